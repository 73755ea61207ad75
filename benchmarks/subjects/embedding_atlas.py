"""embedding-atlas 0.22.0: the last version that draws without WebGPU, which a Chromium without a GPU lacks.

Of what it asks for only what its widget imports is installed: the models that make embeddings have no part in it.
"""

from __future__ import annotations

from playwright.sync_api import Locator

from benchmarks.stage import Stage
from benchmarks.subjects import LOAD, largest_canvas
from tests.e2e.gestures import drag

PACKAGES: tuple[str, ...] = ("anywidget", "duckdb", "inquirer", "narwhals", "pandas", "pyarrow")
BARE: tuple[str, ...] = ("embedding-atlas==0.22.0",)
MODULE = "embedding_atlas.widget"
MOST = {"plot": 5_000_000, "frames": 5_000_000, "lasso": 1_000_000, "memory": 5_000_000}
PAN_BUTTON = "left"
# It holds a predicate and no rows: the rows are asked for as soon as it comes.
SHOW = """widget = EmbeddingAtlasWidget(frame, x="x", y="y", labels="disabled")
def chosen(change):
    if change["new"]:
        sql = f"SELECT __row_index__ FROM {widget._table_name} WHERE {change['new']}"
        note(len(widget._connection.sql(sql).fetchnumpy()["__row_index__"]))
widget.observe(chosen, "_predicate")
widget"""


def cells(what: str, count: int) -> list[str]:
    return [f"{LOAD}\nfrom embedding_atlas.widget import EmbeddingAtlasWidget", SHOW]


def plot(stage: Stage) -> Locator:
    return largest_canvas(stage)


def lasso_tool(stage: Stage) -> None:
    """Shift and a drag select."""


def pan_tool(stage: Stage) -> None:
    """A drag pans."""


def clear(stage: Stage) -> None:
    stage.page.keyboard.press("Escape")


def lasso(stage: Stage, share: float) -> None:
    drag(stage.page, plot(stage), [(0.005, 0.03), (share, 0.97)], key="Shift")
