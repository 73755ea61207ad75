"""jupyter-scatter, coloured by class."""

from __future__ import annotations

from playwright.sync_api import Locator

from benchmarks.stage import Stage
from benchmarks.subjects import LOAD, draw_strip, largest_canvas

PACKAGES: tuple[str, ...] = ("jupyter-scatter", "pillow")
BARE: tuple[str, ...] = ()
MODULE = "jscatter"
MOST = {"plot": 5_000_000, "frames": 5_000_000, "lasso": 1_000_000, "memory": 5_000_000}
PAN_BUTTON = "left"
SHOW = """plot = jscatter.Scatter(x="x", y="y", data=frame, color_by="c", height=600)
shown = plot.show()
plot.widget.observe(lambda change: note(change["new"].size), "selection")
shown"""


def cells(what: str, count: int) -> list[str]:
    return [f"{LOAD}\nimport jscatter", SHOW]


def plot(stage: Stage) -> Locator:
    return largest_canvas(stage)


def lasso_tool(stage: Stage) -> None:
    stage.notebook.execute("plot.widget.mouse_mode = 'lasso'")
    stage.page.wait_for_timeout(300)


def pan_tool(stage: Stage) -> None:
    stage.notebook.execute("plot.widget.mouse_mode = 'panZoom'")
    stage.page.wait_for_timeout(300)


def clear(stage: Stage) -> None:
    stage.notebook.execute("plot.widget.selection = np.array([], dtype='uint32')")


def lasso(stage: Stage, share: float) -> None:
    draw_strip(stage, plot(stage), share)
