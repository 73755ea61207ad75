"""The newest embedding-atlas. Where it needs WebGPU its view stays empty, and only what it sends can be measured."""

from __future__ import annotations

from benchmarks.subjects.embedding_atlas import PACKAGES as PACKAGES
from benchmarks.subjects.embedding_atlas import cells as cells
from benchmarks.subjects.embedding_atlas import clear as clear
from benchmarks.subjects.embedding_atlas import lasso as lasso
from benchmarks.subjects.embedding_atlas import lasso_tool as lasso_tool
from benchmarks.subjects.embedding_atlas import pan_tool as pan_tool
from benchmarks.subjects.embedding_atlas import plot as plot

BARE: tuple[str, ...] = ("embedding-atlas",)
MODULE = "embedding_atlas.widget"
MOST = {"data": 5_000_000}
PAN_BUTTON = "left"
