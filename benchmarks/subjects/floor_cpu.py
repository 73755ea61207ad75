"""A yardstick of our own: the least widget that shows all points without a GPU, in one message and one picture.

Five bytes a point come as one buffer, points are counted into the pixels of the canvas, a lasso sends one bit a point.
It has ten colours, no hover, no filter, and nothing of it is kept anywhere: what a product adds comes on top of this.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator

from benchmarks.stage import Stage
from benchmarks.subjects import LOAD, draw_strip, largest_canvas

PACKAGES: tuple[str, ...] = ()
BARE: tuple[str, ...] = ()
MODULE = "anywidget"
MOST = {"plot": 10_000_000, "frames": 10_000_000, "lasso": 10_000_000, "memory": 10_000_000}
PAN_BUTTON = "left"
MODULE_SOURCE = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
DEFINE = f"""
import anywidget, traitlets
class Floor(anywidget.AnyWidget):
    _esm = {MODULE_SOURCE!r}
    packed = traitlets.Bytes().tag(sync=True)
    count = traitlets.Int().tag(sync=True)
    lasso = traitlets.Bool(False).tag(sync=True)"""
SHOW = """def packed():
    bytes_ = np.empty(5 * len(frame), np.uint8)
    pairs = bytes_[: 4 * len(frame)].view(np.uint16).reshape(-1, 2)
    for column, name in enumerate("xy"):
        values = frame[name].to_numpy()
        pairs[:, column] = (values - values.min()) * (65535 / (values.max() - values.min()))
    bytes_[4 * len(frame) :] = frame["c"].to_numpy().view(np.uint8)
    return bytes_.tobytes()
widget = Floor(packed=packed(), count=len(frame))
def chosen(_, content, buffers):
    mask = np.unpackbits(np.frombuffer(buffers[0], np.uint8), count=len(frame), bitorder="little").view(bool)
    note(len(np.flatnonzero(mask)))
widget.on_msg(chosen)
widget"""


def cells(what: str, count: int) -> list[str]:
    return [LOAD + DEFINE, SHOW]


def plot(stage: Stage) -> Locator:
    return largest_canvas(stage)


def lasso_tool(stage: Stage) -> None:
    stage.notebook.execute("widget.lasso = True")
    stage.page.wait_for_timeout(100)


def pan_tool(stage: Stage) -> None:
    stage.notebook.execute("widget.lasso = False")
    stage.page.wait_for_timeout(100)


def clear(stage: Stage) -> None:
    """It keeps no selection."""


def lasso(stage: Stage, share: float) -> None:
    draw_strip(stage, plot(stage), share)
