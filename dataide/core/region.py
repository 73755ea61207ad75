"""Which points lie inside what was drawn: a lasso or a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ActionError, did_you_mean
from dataide.storage import listings

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from dataide.storage.database import Database

# So many points at a time stay in the processor's cache, with the few arrays that one edge needs.
_CHUNK = 32_768


def inside(database: Database, polygon: ArrayLike, projection: str | None) -> tuple[NDArray[np.uint32], str]:
    """The samples inside a polygon on a map (by default the latest), and the name of the map.

    Raises:
        ActionError: there is no such map.
    """
    known = listings.projections(database)
    name = projection or (known[-1] if known else "")
    if name not in known:
        hint = did_you_mean(name, known) if known else "session.project()"
        raise ActionError(f"There is no map {name!r}." if name else "The session has no map yet.", hint=hint)
    nos, x, y = listings.places(database, name)
    return np.sort(nos[inside_polygon(x, y, polygon)]), name


def inside_polygon(x: NDArray[Any], y: NDArray[Any], polygon: ArrayLike) -> NDArray[np.bool_]:
    """Tests points against a polygon by the even-odd rule: where a lasso crosses itself, the overlap is outside.

    Args:
        x: shape (n,).
        y: shape (n,).
        polygon: the corners, x, y, x, y … or shape (corners, 2); it closes itself.

    Returns:
        A mask of shape (n,). A point without a place (NaN) is outside.
    """
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    inside = np.zeros(len(x), dtype=bool)
    if len(corners) < 3:
        return inside
    if not np.isfinite(corners).all():
        raise ActionError("A corner of the polygon is not a number.")
    candidates = np.flatnonzero(inside_box(x, y, *corners.min(axis=0), *corners.max(axis=0)))
    edges = _edges(corners)
    for start in range(0, len(candidates), _CHUNK):
        chosen = candidates[start : start + _CHUNK]
        inside[chosen] = _crossings_odd(
            np.asarray(x[chosen], dtype=np.float64), np.asarray(y[chosen], dtype=np.float64), edges
        )
    return inside


def inside_box(x: NDArray[Any], y: NDArray[Any], x0: float, y0: float, x1: float, y1: float) -> NDArray[np.bool_]:
    """Tests points against a box given by two opposite corners; its border is inside."""
    left, right = min(x0, x1), max(x0, x1)
    low, high = min(y0, y1), max(y0, y1)
    inside: NDArray[np.bool_] = (x >= left) & (x <= right)
    inside &= y >= low
    inside &= y <= high
    return inside


def _edges(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each edge that is not level, a column: lower y, upper y, and x = slope * y + offset along it."""
    following = np.roll(corners, -1, axis=0)
    steep = corners[:, 1] != following[:, 1]
    (x0, y0), (x1, y1) = corners[steep].T, following[steep].T
    with np.errstate(all="ignore"):
        slope = (x1 - x0) / (y1 - y0)
        return np.stack([np.minimum(y0, y1), np.maximum(y0, y1), slope, x0 - slope * y0])


def _crossings_odd(x: NDArray[np.float64], y: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a ray to the right crosses an odd number of edges. Each edge looks only at the points beside it."""
    order = np.argsort(y)
    x, y = x[order], y[order]
    odd = np.zeros(len(x), dtype=bool)
    # Half-open, so that a ray through a corner counts one of its two edges.
    first, last = np.searchsorted(y, edges[0]), np.searchsorted(y, edges[1])
    for at in np.flatnonzero(first < last).tolist():
        beside = slice(first[at], last[at])
        odd[beside] ^= x[beside] < edges[2, at] * y[beside] + edges[3, at]
    answer = np.empty(len(x), dtype=bool)
    answer[order] = odd
    return answer
