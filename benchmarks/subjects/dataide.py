"""This project: a session opened from its file, and its own panels."""

from __future__ import annotations

from playwright.sync_api import Locator

from benchmarks.stage import Stage
from benchmarks.subjects import draw_strip

PACKAGES: tuple[str, ...] = ()
BARE: tuple[str, ...] = ()
MODULE = "dataide"
TEN_MILLION = 10_000_000
MOST = {
    "plot": TEN_MILLION, "frames": TEN_MILLION, "lasso": TEN_MILLION, "armed": TEN_MILLION, "memory": TEN_MILLION,
    "filter": TEN_MILLION, "facets": TEN_MILLION, "slow": TEN_MILLION, "grid": 1_000_000, "scroll": 1_000_000,
}  # fmt: skip
PAN_BUTTON = "middle"
FACETS = ["label", "split", "camera", "place", "scene", "checked", "score", "loss", "area", "speed", "depth", "seen"]
OPEN = """import dataide as di, time
session = di.open("large.duckdb")
noted, committed = [], []
def note(topic):
    if topic == "selection": noted.append([time.time() * 1000, session.context.selection.count])
    if topic == "data": committed.append(time.time() * 1000)
session.context.changes.subscribe(note);"""
# What the database itself holds of what the plot reads: its pages are the session's own data.
READ = """
for table in ("data.point", "data.sample"):
    for _ in range(2): session.sql(f"SELECT max(hash(COLUMNS(*))) FROM {table}").fetchall();"""
SHOW = {
    "grid": "panel = session.grid(height=640)\npanel",
    "facets": f"panel = session.facets(columns={FACETS!r})\npanel",
    "filter": "panel = session.workbench()\npanel",
}


def cells(what: str, count: int) -> list[str]:
    return [OPEN + (READ if what == "memory" else ""), SHOW.get(what, "panel = session.scatter(height=640)\npanel")]


def plot(stage: Stage) -> Locator:
    return stage.notebook.panel("scatter").locator("canvas").first


def lasso_tool(stage: Stage) -> None:
    """The lasso is what a hand has from the start."""


def pan_tool(stage: Stage) -> None:
    """The middle button pans whatever the tool."""


def clear(stage: Stage) -> None:
    stage.notebook.execute("session.select(None)")


def lasso(stage: Stage, share: float) -> None:
    draw_strip(stage, plot(stage), share)
