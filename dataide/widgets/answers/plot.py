"""What the scatter plot draws: places, colours, and which points are selected or pass the filter."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dataide.core import density as counting
from dataide.core.coloring import Coloring
from dataide.core.object_points import ObjectPoints
from dataide.core.points import Points
from dataide.core.selection import fitted
from dataide.errors import ProtocolError
from dataide.widgets import chosen_objects
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import (
    ColorsAnswer,
    ColorsAsk,
    DensityAnswer,
    DensityAsk,
    DetailAnswer,
    DetailAsk,
    LocateAnswer,
    LocateAsk,
    MarksAnswer,
    MarksAsk,
    PointsAnswer,
    PointsAsk,
)
from dataide.widgets.vocabulary import Legend
from dataide.widgets.workspace import Workspace

Array = np.ndarray[Any, np.dtype[Any]]
POINTS_A_PART = 262_144
FIRST_PART = 20_000
# On a slow line what is asked meanwhile waits behind a part: parts grow while they are taken quickly.
LEAST_A_PART = 32_768
SECOND_PART = 65_536
QUICK_S = 0.1
SLOW_S = 0.5
MOST_IN_DETAIL = 262_144
MOST_CELLS = counting.MOST_CELLS


def points(workspace: Workspace, ask: PointsAsk) -> Iterator[Reply]:
    """All points that a page holds, a small part first; or from `offset` on."""
    placed = workspace.places.points(ask["projection"])
    start = max(0, min(ask.get("offset", 0), placed.held))
    if start == 0:
        stop = min(placed.held, FIRST_PART)
        yield points_part(workspace, placed, first_coloring(workspace, placed, ask["color"]), start, stop)
        start = stop
        if stop >= placed.held:
            return
    coloring = coloring_of(workspace, placed, ask["color"])
    size = min(SECOND_PART, POINTS_A_PART)
    while True:
        stop = min(placed.held, start + size)
        part = points_part(workspace, placed, coloring, start, stop)
        asked = time.monotonic()
        yield part
        start = stop
        if stop >= placed.held:
            return
        taken_s = time.monotonic() - asked
        if taken_s < QUICK_S:
            size = min(POINTS_A_PART, 2 * size)
        elif taken_s > SLOW_S:
            size = max(LEAST_A_PART, size // 2)


def first_part(workspace: Workspace, projection: str | None, color: str | None) -> Reply:
    """The first points, as cheaply as they can be had; `last` says whether there are more."""
    placed = workspace.places.points(projection)
    coloring = first_coloring(workspace, placed, color)
    part = points_part(workspace, placed, coloring, 0, min(placed.held, FIRST_PART))
    placed.begin()  # while these are on their way
    return part


def points_part(workspace: Workspace, placed: Points, coloring: Coloring, start: int, stop: int) -> Reply:
    """Points start to stop: uint16 pairs and colour bytes."""
    answer: PointsAnswer = {
        "projection": placed.projection,
        "places": placed.places,
        "offset": start,
        "count": stop - start,
        "held": placed.held,
        "total": placed.total,
        "bounds": list(placed.bounds),
        "legend": legend(workspace, placed, coloring),
    }
    buffers = [placed.quantised(start, stop).tobytes(), coloring.of(placed, start, stop).tobytes()]
    return Reply(answer, buffers, last=stop >= placed.held)


def colors(workspace: Workspace, ask: ColorsAsk) -> Iterator[Reply]:
    """The colour bytes alone, for another column on the same points."""
    placed = workspace.places.points(ask["projection"])
    coloring = coloring_of(workspace, placed, ask["color"])
    start = 0
    while True:
        stop = min(placed.held, start + 4 * POINTS_A_PART)
        answer: ColorsAnswer = {
            "places": placed.places,
            "offset": start,
            "count": stop - start,
            "held": placed.held,
            "total": placed.total,
            "legend": legend(workspace, placed, coloring),
        }
        yield Reply(answer, [coloring.of(placed, start, stop).tobytes()], last=stop >= placed.held)
        start = stop
        if stop >= placed.held:
            return


def coloring_of(workspace: Workspace, placed: Points, column: str | None) -> Coloring:
    """The colour bytes of a column, by what the points are."""
    coloring = workspace.places.coloring(column)
    return placed.colored(coloring) if isinstance(placed, ObjectPoints) else coloring


def first_coloring(workspace: Workspace, placed: Points, column: str | None) -> Coloring:
    """A colouring that is good for the first points at least."""
    if isinstance(placed, ObjectPoints):
        return coloring_of(workspace, placed, column)
    return workspace.places.colorings.first(column, placed)


def selected_of(workspace: Workspace, placed: Points) -> Array:
    """What is selected, as a mask over what the points are: objects that were chosen, or those of selected samples."""
    if isinstance(placed, ObjectPoints):
        nos = chosen_objects.chosen(workspace.context)
        if nos is not None:
            mask = np.zeros(placed.reach, bool)
            mask[nos[nos < placed.reach]] = True
            return mask
    return placed.own(workspace.selection.mask)


def legend(workspace: Workspace, placed: Points, coloring: Coloring) -> Legend:
    """What the colour bytes mean."""
    if coloring.column is None:
        return {"kind": "none"}
    if not coloring.is_category:
        return {"kind": "number", "column": coloring.column, "low": coloring.low, "high": coloring.high}
    entries = workspace.places.colorings.entries(coloring, placed)
    return {
        "kind": "category",
        "column": coloring.column,
        "entries": [{"value": value, "count": count, "color": color} for value, count, color in entries],
        "more": coloring.more,
    }


def passing(workspace: Workspace) -> int:
    """Another number whenever other samples pass the filter than before."""
    version: int = getattr(workspace.filter, "passing", workspace.filter.version)
    return version


def marks(workspace: Workspace, ask: MarksAsk) -> Reply:
    """Which points are selected, and which pass the filter: each in the form that takes the fewest bytes."""
    placed = workspace.places.points(ask["projection"])
    # Versions are read first: marks that are newer than they say are refreshed once too often, never once too rarely.
    _, version, _ = workspace.selection.told()
    passes = passing(workspace)
    selected, which_selected = placed.marked(selected_of(workspace, placed))
    visible, which_visible = placed.marked(placed.own(workspace.filter.mask()))
    answer: MarksAnswer = {
        "places": placed.places,
        "held": placed.held,
        "total": placed.total,
        "selection_version": version,
        "passing": passes,
        "selected": selected,
        "visible": visible,
    }
    return Reply(answer, [which for which in (which_selected, which_visible) if which])


def detail(workspace: Workspace, ask: DetailAsk) -> Reply:
    """The points in a box with exact places; none where there are too many."""
    placed = workspace.places.points(ask["projection"])
    coloring = coloring_of(workspace, placed, ask["color"])
    box = box_of(ask["box"])
    _, version, _ = workspace.selection.told()
    passes = passing(workspace)
    selected = fitted(selected_of(workspace, placed), placed.reach)
    visible = fitted(placed.own(workspace.filter.mask()), placed.reach)
    inside, rows = placed.within(box, MOST_IN_DETAIL) if placed.total else (0, np.empty(0, np.int64))
    answer: DetailAnswer = {
        "projection": placed.projection,
        "places": placed.places,
        "box": list(box),
        "count": len(rows),
        "inside": inside,
        "selection_version": version,
        "passing": passes,
    }
    if not len(rows):
        return Reply(answer, [b"", b"", b"", b""])
    nos, positions, pairs = placed.detail(rows, box)
    # In the order of the wire, so that a prefix of them is a fair sample too.
    order = np.argsort(positions)
    nos, positions, pairs = nos[order], positions[order], pairs[order]
    flags = selected[nos].astype(np.uint8) | visible[nos].astype(np.uint8) << np.uint8(1)
    buffers = [positions.astype("<u4", copy=False), pairs, coloring.of_samples(nos), flags]
    placed.rest()
    return Reply(answer, [buffer.tobytes() for buffer in buffers])


def density(workspace: Workspace, ask: DensityAsk) -> Reply:
    """How many points lie in each cell of a box, as levels."""
    placed = workspace.places.points(ask["projection"])
    coloring = coloring_of(workspace, placed, ask["color"])
    _, version, _ = workspace.selection.told()
    passes = passing(workspace)
    selected = fitted(selected_of(workspace, placed), placed.reach)
    visible = fitted(placed.own(workspace.filter.mask()), placed.reach)
    size = ask["width"], ask["height"]
    counted = counting.density(placed, box_of(ask["box"]), size, coloring, selected, visible)
    answer: DensityAnswer = {
        "projection": placed.projection,
        "places": placed.places,
        "box": list(counted.box),
        "width": counted.width,
        "height": counted.height,
        "inside": counted.inside,
        "highest": counted.highest,
        "selection_version": version,
        "passing": passes,
    }
    levels = (counted.visible, counted.gone, counted.selected, counted.colors)
    return Reply(answer, [level.tobytes() for level in levels])


def box_of(corners: Sequence[float]) -> tuple[float, float, float, float]:
    """A box that was asked for: x low, y low, x high, y high.

    Raises:
        ProtocolError: it is none.
    """
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise ProtocolError("A box is four numbers: x low, y low, x high, y high.")
    x_low, y_low, x_high, y_high = corners
    if not (x_low < x_high and y_low < y_high and math.isfinite(x_high - x_low) and math.isfinite(y_high - y_low)):
        raise ProtocolError("A box has a width and a height: its low corner comes first.")
    return float(x_low), float(y_low), float(x_high), float(y_high)


def locate(workspace: Workspace, ask: LocateAsk) -> Reply:
    """Where samples lie."""
    answer: LocateAnswer = {"places": workspace.places.where(ask["projection"], ask["nos"])}
    return Reply(answer)
