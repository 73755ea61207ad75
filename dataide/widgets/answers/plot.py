"""What the scatter plot draws: places, colours, and which points are selected or pass the filter."""

from __future__ import annotations

from collections.abc import Iterator

from dataide.core.points import Coloring, Points
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import (
    ColorsAnswer,
    ColorsAsk,
    LocateAnswer,
    LocateAsk,
    MarksAnswer,
    MarksAsk,
    PointsAnswer,
    PointsAsk,
)
from dataide.widgets.vocabulary import Legend
from dataide.widgets.workspace import Workspace

POINTS_A_PART = 262_144
FIRST_PART = 20_000


def points(workspace: Workspace, ask: PointsAsk) -> Iterator[Reply]:
    """All points, a small part first."""
    placed = workspace.places.points(ask["projection"])
    coloring = workspace.places.coloring(ask["color"])
    start = 0
    while True:
        stop = min(placed.total, start + (POINTS_A_PART if start else FIRST_PART))
        yield points_part(placed, coloring, start, stop)
        start = stop
        if stop >= placed.total:
            return


def points_part(placed: Points, coloring: Coloring, start: int, stop: int) -> Reply:
    """Points start to stop: uint16 pairs and colour bytes."""
    answer: PointsAnswer = {
        "projection": placed.projection,
        "offset": start,
        "count": stop - start,
        "total": placed.total,
        "bounds": list(placed.bounds),
        "legend": legend(placed, coloring),
    }
    buffers = [placed.quantised(start, stop).tobytes(), coloring.of(placed, start, stop)]
    return Reply(answer, buffers, last=stop >= placed.total)


def colors(workspace: Workspace, ask: ColorsAsk) -> Iterator[Reply]:
    """The colour bytes alone, for another column on the same points."""
    placed = workspace.places.points(ask["projection"])
    coloring = workspace.places.coloring(ask["color"])
    start = 0
    while True:
        stop = min(placed.total, start + 4 * POINTS_A_PART)
        answer: ColorsAnswer = {
            "offset": start,
            "count": stop - start,
            "total": placed.total,
            "legend": legend(placed, coloring),
        }
        yield Reply(answer, [coloring.of(placed, start, stop)], last=stop >= placed.total)
        start = stop
        if stop >= placed.total:
            return


def legend(placed: Points, coloring: Coloring) -> Legend:
    """What the colour bytes mean."""
    if coloring.column is None:
        return {"kind": "none"}
    if not coloring.is_category:
        return {"kind": "number", "column": coloring.column, "low": coloring.low, "high": coloring.high}
    entries = coloring.entries(placed)
    return {
        "kind": "category",
        "column": coloring.column,
        "entries": [{"value": value, "count": count, "color": color} for value, count, color in entries],
        "more": coloring.more,
    }


def marks(workspace: Workspace, ask: MarksAsk) -> Reply:
    """Two bits for each point: selected, and passes the filter."""
    placed = workspace.places.points(ask["projection"])
    # Versions are read first: marks that are newer than they say are refreshed once too often, never once too rarely.
    answer: MarksAnswer = {
        "total": placed.total,
        "selection_version": workspace.selection.version,
        "filter_version": workspace.filter.version,
    }
    return Reply(answer, [placed.bits(workspace.selection.mask), placed.bits(workspace.filter.mask())])


def locate(workspace: Workspace, ask: LocateAsk) -> Reply:
    """Where samples lie."""
    placed = workspace.places.points(ask["projection"])
    answer: LocateAnswer = {"places": placed.places(ask["nos"])}
    return Reply(answer)
