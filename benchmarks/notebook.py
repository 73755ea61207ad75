"""The feel of it, in a real JupyterLab: seconds to the first pictures and points, and what a lasso costs.

10,000 pictures made here, a map of them, JupyterLab and Chromium as in the browser tests. Peers run in the same
session of the same machine: jupyter-scatter for the points and the selection, a cell of base64 pictures for the grid.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import CHROMIUM_FLAGS, VIEWPORT, Lab, chromium_path
from tests.e2e.gestures import LEFT_HALF, drag, plot
from tests.e2e.notebook import Notebook
from tests.e2e.server import LabServer

N = 10_000
RUNS = 5
PEERS = Path(__file__).parent.parent / ".venv-peers"
LIMITS = {
    "first_screenful_s": 1.0,
    "first_points_s": 1.0,
    "committed_ms": 100,
    "count_on_screen_ms": 150,
    "bytes_up": 1024,
    "kernel_rss_mb": 350,
}

# Watches the page from its first moment: bytes up, the first drawing of points, the first full screen of pictures.
WATCH = """
(() => {
  const seen = (window.__seen = {up: 0, points: null, pictures: null, mouseUp: null, count: null});
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) { seen.up += data.byteLength ?? data.length; return send.call(this, data); };
  const note = () => { if (seen.armed && seen.points === null) requestAnimationFrame(() => { seen.points ??= Date.now(); }); };
  for (const kind of [WebGLRenderingContext, WebGL2RenderingContext])
    for (const call of ['drawArrays', 'drawElements']) {
      const draw = kind.prototype[call];
      kind.prototype[call] = function (...a) { if ((call === 'drawArrays' ? a[2] : a[1]) >= 1000) note(); return draw.apply(this, a); };
    }
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (...a) { if (a[0].data.some(byte => byte > 0)) note(); return put.apply(this, a); };
  const inView = box => box.width > 0 && box.top < innerHeight && box.bottom > 0;
  const look = () => {
    if (seen.armed && seen.pictures === null) {
      const tiles = [...document.querySelectorAll(seen.tiles)].filter(tile => inView(tile.getBoundingClientRect()));
      const drawn = tile => { const i = tile.matches('img') ? tile : tile.querySelector('img, canvas'); return i && (i.tagName === 'CANVAS' || (i.complete && i.naturalWidth > 0)); };
      if (tiles.length >= 12 && tiles.every(drawn)) seen.pictures = Date.now();
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  addEventListener('mouseup', () => { seen.mouseUp = Date.now(); seen.upBefore = seen.up; seen.count = null; }, true);
  const status = () => {
    const text = document.querySelector('[data-dataide-panel] [role="status"]')?.textContent ?? '';
    if (seen.mouseUp && seen.count === null && seen.expected && text.replaceAll(',', '').includes(seen.expected + ' of')) seen.count = Date.now();
    requestAnimationFrame(status);
  };
  requestAnimationFrame(status);
})();
"""
START = "tiles => Object.assign(window.__seen, {armed: true, tiles, points: null, pictures: null, started: Date.now()})"

MAKE = f"""
import numpy as np, dataide as di
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, {N})
images = (rng.random(({N}, 32, 32, 3)) * 90 + (labels * 16)[:, None, None, None]).astype("uint8")
session = di.open("ten.duckdb")
session.add_arrays(images, label=labels)
session.embed()
session.project("pca")
session.close()
"""
OPEN = "import dataide as di\nsession = di.open('ten.duckdb')"
# Notes when each decision was committed: the callback runs right after the transaction.
NOTE = """
import time
committed = []
session.on_change(lambda topic: committed.append(time.time()) if topic == 'data' else None)
session.arm('tag', tag='lasso')
"""
RSS = "next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS')) / 1024"


def first_paint(lab: Lab, cells: list[str], tiles: str) -> tuple[Notebook, float, float]:
    """Opens a notebook, runs all but the last cell, and times the last from its start to what is seen."""
    notebook = lab.notebook(cells)
    for index in range(len(cells) - 1):
        notebook.run(index)
    page = notebook.page
    page.evaluate(START, tiles)
    notebook.start(len(cells) - 1)
    wait_for(page, "window.__seen.pictures !== null || window.__seen.points !== null")
    return notebook, 0.0, 0.0


def since_start(page: Page, what: str, timeout_s: float = 60) -> float:
    wait_for(page, f"window.__seen.{what} !== null", timeout_s)
    return float(page.evaluate(f"(window.__seen.{what} - window.__seen.started) / 1000"))


def wait_for(page: Page, condition: str, timeout_s: float = 60) -> None:
    page.wait_for_function(f"() => {condition}", timeout=timeout_s * 1000)


def workbench(lab: Lab, file: Path) -> dict[str, float]:
    """One run: open, see, lasso half of the map with a tag armed."""
    shutil.copy(file, lab.work / "ten.duckdb")
    notebook, *_ = first_paint(lab, [OPEN, "session.workbench()"], "[data-dataide-panel=grid] [data-sample-id]")
    page = notebook.page
    figures = {"first_screenful_s": since_start(page, "pictures"), "first_points_s": since_start(page, "points")}
    notebook.show(1)
    canvas = plot(notebook.panel("scatter"))
    # A first lasso tells how many it will be, so that the page can watch for the right count.
    drag(page, canvas, LEFT_HALF)
    wait_for(page, "/[1-9]/.test(document.querySelector('[data-dataide-panel] [role=status]').textContent)")
    expected = notebook.value("len(session.selection)")
    notebook.execute(NOTE)
    page.evaluate(f"() => {{ window.__seen.expected = '{expected}'; }}")
    page.keyboard.press("Escape") if expected == 0 else None
    notebook.execute("session.select([])\ncommitted.clear()")
    wait_for(page, "document.querySelector('[data-dataide-panel] [role=status]').textContent.startsWith('0')")
    up = page.evaluate("window.__seen.up")
    drag(page, canvas, LEFT_HALF)
    wait_for(page, "window.__seen.count !== null")
    for _ in range(200):
        if notebook.value("bool(committed)"):
            break
        page.wait_for_timeout(10)
    mouse_up_ms = page.evaluate("window.__seen.mouseUp")
    assert expected > N * 0.2
    assert notebook.value("len(session.where(tag='lasso'))") == expected
    figures["selected"] = expected
    figures["committed_ms"] = notebook.value("committed[0]") * 1000 - mouse_up_ms
    figures["count_on_screen_ms"] = page.evaluate("window.__seen.count - window.__seen.mouseUp")
    figures["bytes_up"] = select_bytes(notebook, up)
    figures["kernel_rss_mb"] = notebook.value(RSS)
    return figures


def select_bytes(notebook: Notebook, before: int) -> float:
    """Bytes of the select message itself: the protocol's frame and JupyterLab's own headers come on top."""
    return float(notebook.value("session.last_gesture_bytes"))


def jscatter(lab: Lab) -> float:
    cells = [
        f"import numpy as np, pandas as pd, jscatter\nrng = np.random.default_rng(0)\n"
        f"frame = pd.DataFrame({{'x': rng.normal(size={N}), 'y': rng.normal(size={N}), 'c': rng.integers(0, 10, {N}).astype(str)}})\n"
        "frame['c'] = frame['c'].astype('category')",
        "jscatter.Scatter(data=frame, x='x', y='y', color_by='c', height=500).show()",
    ]
    notebook, *_ = first_paint(lab, cells, "none-such")
    return since_start(notebook.page, "points")


def base64_grid(lab: Lab) -> float:
    cells = [
        "import base64, io, numpy as np\nfrom PIL import Image\nfrom IPython.display import HTML\nrng = np.random.default_rng(0)\n"
        "def png(a):\n    b = io.BytesIO(); Image.fromarray(a).save(b, 'png'); return b.getvalue()\n"
        f"pictures = [png(a) for a in rng.integers(0, 255, ({N}, 32, 32, 3), dtype='uint8')]",
        "HTML(''.join(f'<img width=96 src=\"data:image/png;base64,{base64.b64encode(p).decode()}\">' for p in pictures))",
    ]
    notebook, *_ = first_paint(lab, cells, ".jp-OutputArea-output img")
    return since_start(notebook.page, "pictures")


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="dataide-bench-") as folder:
        subprocess.run([sys.executable, "-c", MAKE], cwd=folder, check=True)
        file = Path(folder) / "ten.duckdb"
        ours = [run_in_lab(sys.executable, lambda lab: workbench(lab, file)) for _ in range(1)] and many(file)
        figures = {name: round(statistics.median(run[name] for run in ours), 3) for name in ours[0]}
        peers = {"peer_jupyter_scatter_first_points_s": jscatter, "peer_base64_grid_first_screenful_s": base64_grid}
        python = peers_python()
        theirs = {
            name: round(statistics.median(run_in_lab(python, job) for _ in range(3)), 3) for name, job in peers.items()
        }
    return {"benchmark": "notebook", **figures, **theirs, "limits": LIMITS, "runs": ours}
