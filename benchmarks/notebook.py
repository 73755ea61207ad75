"""The feel of it, in a real JupyterLab: seconds to the first pictures and points, and what a lasso costs.

10,000 pictures made here and a map of them, in JupyterLab and Chromium as in the browser tests. jupyter-scatter, with
as many points, is measured in the same run.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks import subjects
from tests.e2e.conftest import CHROMIUM_FLAGS, VIEWPORT, Lab, chromium_path
from tests.e2e.gestures import LEFT_HALF, drag, plot
from tests.e2e.notebook import Notebook
from tests.e2e.server import LabServer

N = 10_000
RUNS = 5
PEER_RUNS = 3
WATCH = (Path(__file__).parent / "watch.js").read_text()
LIMITS = {
    "first_screenful_s": 1.0,
    "first_points_s": 1.0,
    "committed_ms": 100,
    "count_on_screen_ms": 150,
    "gesture_bytes": 1024,
    "kernel_rss_mb": 350,
}
ARM = "tiles => Object.assign(window.__seen, {armed: true, tiles, points: null, pictures: null, started: Date.now()})"
STATUS = "document.querySelector('[data-dataide-panel] [role=status]').textContent"

MAKE = f"""
import numpy as np, dataide as di
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, {N})
images = (rng.random(({N}, 32, 32, 3)) * 90 + (labels * 16)[:, None, None, None]).astype("uint8")
with di.open("ten.duckdb") as session:
    session.add_arrays(images, label=labels)
    session.embed()
    session.project("pca")
"""
OPEN = "import dataide as di\nsession = di.open('ten.duckdb')"
# The callback comes right after the transaction.
NOTE = """
import time
committed = []
session.context.changes.subscribe(lambda topic: committed.append(time.time() * 1000) if topic == "data" else None)
panel.workspace.arm({"verb": "tag", "arguments": {"tag": "lasso"}})
session.select([])
"""
RSS = "next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmRSS')) / 1024"

JSCATTER = [
    f"""import numpy as np, pandas as pd, jscatter
rng = np.random.default_rng(0)
frame = pd.DataFrame({{"x": rng.normal(size={N}), "y": rng.normal(size={N})}})
frame["c"] = rng.integers(0, 10, {N}).astype(str)
frame["c"] = frame["c"].astype("category")""",
    "jscatter.Scatter(data=frame, x='x', y='y', color_by='c', height=500).show()",
]


def start_last(lab: Lab, cells: list[str], tiles: str) -> Notebook:
    """Opens a notebook, runs all but the last cell, and starts the last with the watch running."""
    notebook = lab.notebook(cells)
    for index in range(len(cells) - 1):
        notebook.run(index)
    notebook.page.evaluate(ARM, tiles)
    notebook.start(len(cells) - 1)
    return notebook


def since_start(page: Page, what: str) -> float:
    until(page, f"window.__seen.{what} !== null")
    return float(page.evaluate(f"(window.__seen.{what} - window.__seen.started) / 1000"))


def until(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", timeout=60_000)


def workbench(lab: Lab, file: Path) -> dict[str, float]:
    """One run: open, see, and lasso half of the map with a tag armed."""
    shutil.copy(file, lab.work / "ten.duckdb")
    notebook = start_last(
        lab, [OPEN, "panel = session.workbench()\npanel"], "[data-dataide-panel=grid] [data-sample-id]"
    )
    page = notebook.page
    figures = {"first_points_s": since_start(page, "points"), "first_screenful_s": since_start(page, "pictures")}
    notebook.show(1)
    canvas = plot(notebook.panel("scatter"))
    # A first lasso tells how many it will be, so that the page can watch for the right count.
    drag(page, canvas, LEFT_HALF)
    until(page, f"/^[1-9]/.test({STATUS})")
    expected = notebook.value("len(session.selection)")
    notebook.execute(NOTE)
    until(page, f"{STATUS}.startsWith('0')")
    page.evaluate("count => { window.__seen.expected = count; }", expected)
    drag(page, canvas, LEFT_HALF)
    until(page, "window.__seen.count !== null")
    until(page, "document.body.innerText.includes('lasso')")
    while not notebook.value("committed != []"):
        page.wait_for_timeout(5)
    assert notebook.value("len(session.where(tag='lasso'))") == expected, "the lasso tagged something else"
    seen = page.evaluate("window.__seen")
    return figures | {
        "selected": expected,
        "committed_ms": notebook.value("committed[0]") - seen["mouseUp"],
        "count_on_screen_ms": seen["count"] - seen["mouseUp"],
        "gesture_bytes": seen["firstMessage"],  # the whole websocket message, JupyterLab's own headers included
        "kernel_rss_mb": notebook.value(RSS),
    }


def in_lab(server: LabServer, job: Callable[[Lab], Any]) -> Any:
    """Runs a job with a new browser, so that nothing is warm but the disk."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=[*CHROMIUM_FLAGS, "--no-sandbox"])
        context = chromium.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
        context.add_init_script(WATCH)
        lab = Lab(server, context, "bench")
        try:
            return job(lab)
        finally:
            lab.close(failed=False)
            chromium.close()


def median(runs: list[float]) -> float:
    return round(statistics.median(runs), 3)


def measure() -> dict[str, Any]:
    """Medians of 5 runs, each with a new browser and kernel, peers of 3."""
    with tempfile.TemporaryDirectory(prefix="dataide-bench-") as folder:
        subprocess.run([sys.executable, "-c", MAKE], cwd=folder, check=True)
        server = LabServer()
        try:
            file = Path(folder) / "ten.duckdb"
            runs = [in_lab(server, lambda lab: workbench(lab, file)) for _ in range(RUNS)]
        finally:
            server.close()
    server = LabServer(subjects.python("jupyter_scatter"))
    try:

        def points(lab: Lab) -> float:
            return since_start(start_last(lab, JSCATTER, "none").page, "points")

        peers = {
            "peer_jupyter_scatter_first_points_s": median([in_lab(server, points) for _ in range(PEER_RUNS)]),
        }
    finally:
        server.close()
    ours = {name: median([run[name] for run in runs]) for name in runs[0]}
    return {"benchmark": "notebook", **ours, **peers, "limits": LIMITS, "runs": runs}
