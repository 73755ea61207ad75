"""What is drawn over the plot: which samples it means, and what plots must know to paint the same by themselves."""

from __future__ import annotations

import numpy as np

from dataide.core.codes import Array
from dataide.core.gesture import Differing, Drawn
from dataide.core.selection import fitted
from dataide.errors import ProtocolError
from dataide.widgets.vocabulary import BoxShape, PolygonShape
from dataide.widgets.workspace import Workspace

from .plot import passing


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


def _visible(differing: Differing | None, mask: Array, visible: Array) -> Differing | None:
    """Those that take part at all."""
    if differing is None:
        return None
    there = differing.nos < len(mask)
    there[there] = visible[differing.nos[there]]
    return Differing(differing.nos[there], differing.positions[there], differing.exact[there])
