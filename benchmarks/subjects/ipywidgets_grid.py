"""One ipywidgets.Image for each picture in a GridBox: what one does without a tool."""

from __future__ import annotations

PACKAGES: tuple[str, ...] = ("anywidget", "ipywidgets", "numpy", "pyarrow")
BARE: tuple[str, ...] = ()
MODULE = "ipywidgets"
MOST = {"grid": 10_000, "scroll": 1_000}
PAN_BUTTON = "left"
SHOW = """W.GridBox(
    [W.Image(value=picture, format="jpeg", layout=W.Layout(width="96px", height="96px")) for picture in pictures],
    layout=W.Layout(grid_template_columns="repeat(auto-fill, 100px)", height="600px", overflow="auto"))"""


def cells(what: str, count: int) -> list[str]:
    read = "pictures = pq.ParquetFile('large.parquet').read(['image'])['image'].to_pylist();"
    return [f"import ipywidgets as W, pyarrow.parquet as pq\n{read}", SHOW]
