"""What is drawn over the plot: which samples it means, and what plots must know to paint the same by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataide.core.codes import Array
from dataide.core.gesture import Differing, Drawn, combined
from dataide.core.object_points import ObjectPoints
from dataide.core.selection import fitted
from dataide.errors import ProtocolError
from dataide.widgets import chosen_objects
from dataide.widgets.vocabulary import BoxShape, Mode, PolygonShape, Shape
from dataide.widgets.workspace import Workspace

from .plot import passing, selected_of


def lassoed(workspace: Workspace, shape: PolygonShape | BoxShape, token: str | None = None) -> tuple[Array, Drawn]:
    """The samples inside that pass the filter, as a mask, and how that is told.

    Raises:
        ProtocolError: the polygon is none.
        DataideError: there is no such map.
    """
    placed = workspace.places.points(shape["projection"])
    if shape["type"] == "polygon":
        if len(shape["points"]) % 2:
            raise ProtocolError("A polygon is x, y, x, y …: an even number of numbers.")
        caught = placed.in_polygon(np.array(shape["points"], dtype=np.float64).reshape(-1, 2))
    else:
        caught = placed.in_box(shape["x0"], shape["y0"], shape["x1"], shape["y1"])
    before = passing(workspace)
    visible = workspace.filter.mask()
    # Where the filter changed meanwhile nobody can say by which one a page tested: then it asks for marks.
    known = before == passing(workspace)
    mask = fitted(caught.mask, len(visible)) & visible
    return mask, Drawn(
        token, before, shape, placed.places, _visible(caught.differing, mask, visible) if known else None
    )


@dataclass(frozen=True, eq=False)
class DrawnObjects:
    """What a gesture over a map of objects comes to.

    Attributes:
        mask: the samples that are selected then.
        objects: uint32, the objects that are.
        drawn: how that is told: plots ask for marks, even where the same samples are selected as before.
    """

    mask: Array
    objects: Array
    drawn: Drawn


def lassoed_objects(workspace: Workspace, shape: Shape, mode: Mode, token: str | None = None) -> DrawnObjects | None:
    """What a gesture over a map of objects selects; None over anything else.

    Objects are combined with those that are selected, and their samples follow: a sample leaves the selection with the
    last of its selected objects.

    Raises:
        ProtocolError: the polygon is none.
        DataideError: there is no such map.
    """
    if shape["type"] not in ("polygon", "box", "points"):
        return None
    placed = workspace.places.points(shape["projection"])
    if not isinstance(placed, ObjectPoints):
        return None
    visible = placed.own(workspace.filter.mask())
    drawn = np.zeros(placed.reach, bool)
    if shape["type"] == "points":
        drawn[[placed.object_no(index) for index in shape["indices"] if 0 <= index < placed.total]] = True
    elif shape["type"] == "box":
        drawn = placed.in_box(shape["x0"], shape["y0"], shape["x1"], shape["y1"]).mask
    elif shape["type"] == "polygon":
        if len(shape["points"]) % 2:
            raise ProtocolError("A polygon is x, y, x, y …: an even number of numbers.")
        drawn = placed.in_polygon(np.array(shape["points"], dtype=np.float64).reshape(-1, 2)).mask
    drawn = drawn & visible
    held = np.zeros_like(drawn)
    if mode != "replace":
        held = selected_of(workspace, placed)
        if chosen_objects.chosen(workspace.context) is None:
            held = held & placed.on_map  # where all samples are selected, what is not on the map is no part of it
    now = combined(held, drawn, mode)
    selected = workspace.selection.mask
    count = max(workspace.database.sample_count, len(selected))
    before, after = fitted(selected, count), placed.samples_of(now, count)
    if mode == "add":
        after = before | after
    elif mode == "subtract":
        after = before & (after | ~placed.samples_of(drawn, count))
    drawn_as = Drawn(token, passing(workspace), shape, placed.places, None)
    return DrawnObjects(after, np.flatnonzero(now).astype(np.uint32), drawn_as)


def _visible(differing: Differing | None, mask: Array, visible: Array) -> Differing | None:
    """Those that take part at all."""
    if differing is None:
        return None
    there = differing.nos < len(mask)
    there[there] = visible[differing.nos[there]]
    return Differing(differing.nos[there], differing.positions[there], differing.exact[there])
