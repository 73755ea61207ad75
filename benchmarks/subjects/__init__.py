"""What is measured: one module a subject. All show the same points, or the same pictures.

A subject says with which packages it runs, what can be measured of it up to which size, and how a hand uses it.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from playwright.sync_api import Locator

from benchmarks.stage import Stage
from tests.e2e.gestures import drag

PEERS = Path(__file__).resolve().parents[2] / ".venv-peers"
# Everyone's kernel has `points.npz` beside it: x, y (float32) and c (uint8), made by `large.cloud`.
LOAD = """import numpy as np, pandas as pd, time
_made = np.load("points.npz")
frame = pd.DataFrame({"x": _made["x"], "y": _made["y"], "c": _made["c"].astype(np.int8)})
noted = []
def note(count): noted.append([time.time() * 1000, int(count)])"""
# A view that shows its widgets' pixels on a canvas shows the plot on the largest one.
LARGEST = """() => {
  let best = null, most = 0;
  const walk = root => { for (const node of root.querySelectorAll('*')) {
    if (node.shadowRoot) walk(node.shadowRoot);
    if (node.tagName !== 'CANVAS') continue;
    const box = node.getBoundingClientRect();
    if (box.width * box.height > most) { most = box.width * box.height; best = node; }
  } };
  walk(document);
  best?.setAttribute('data-bench-plot', '');
  return best !== null;
}"""


class Subject(Protocol):
    """What each module of this folder has; one whose MOST names no measurement of a plot has nothing after `cells`.

    Attributes:
        PACKAGES: installed into an environment of its own; empty for the environment of this project.
        BARE: installed there without what they ask for.
        MOST: measurements by name, and up to which number of samples it makes sense to try them.
        PAN_BUTTON: which mouse button moves the view.
        MODULE: what must be importable once the environment is made.
    """

    PACKAGES: tuple[str, ...]
    BARE: tuple[str, ...]
    MODULE: str
    MOST: Mapping[str, int]
    PAN_BUTTON: str

    def cells(self, what: str, count: int) -> list[str]: ...  # the last one shows it
    def plot(self, stage: Stage) -> Locator: ...
    def lasso_tool(self, stage: Stage) -> None: ...
    def pan_tool(self, stage: Stage) -> None: ...
    def clear(self, stage: Stage) -> None: ...  # selects nothing
    def lasso(self, stage: Stage, share: float) -> None: ...  # over this share of the plot's width, from the left


def names() -> list[str]:
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem != "__init__")


def subject(name: str) -> Subject:
    return cast(Subject, importlib.import_module(f"benchmarks.subjects.{name}"))


def python(name: str) -> Path:
    """The Python that runs a subject; its environment is made at the first call."""
    one = subject(name)
    if not one.PACKAGES:
        return Path(sys.executable)
    folder = PEERS / name
    found = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if found.exists() and subprocess.run([found, "-c", f"import {one.MODULE}"], capture_output=True).returncode == 0:
        return found
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(found)]
    subprocess.run([*install, "jupyterlab>=4.4", *one.PACKAGES], check=True)
    if one.BARE:
        subprocess.run([*install, "--no-deps", *one.BARE], check=True)
    subprocess.run([found, "-c", f"import {one.MODULE}"], check=True)
    return found


def largest_canvas(stage: Stage) -> Locator:
    stage.until(f"({LARGEST})()")
    return stage.page.locator("[data-bench-plot]").first


def strip(share: float) -> list[tuple[float, float]]:
    """A ring round the left part of a plot, in fractions of its box."""
    return [(0.005, 0.03), (share, 0.03), (share, 0.97), (0.005, 0.97), (0.005, 0.04)]


def draw_strip(stage: Stage, area: Locator, share: float) -> None:
    drag(stage.page, area, strip(share))
