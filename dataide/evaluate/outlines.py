"""Outlines filled as COCO fills them, to the pixel, for many objects at once.

COCO draws an outline on a grid five times as fine, takes where that line crosses the middles of columns, and fills
between crossings down each column (T.-Y. Lin et al., ECCV 2014; the COCO API's maskApi.c, rleFrPoly). Whoever wants the
same figures needs the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dataide.evaluate.run_texts import NoRuns
from dataide.evaluate.spans import grouped

Ints = NDArray[np.int64]

FINER = 5
# Points on the fine grid in one go.
AT_ONCE = 1 << 20


def filled(objects: Sequence[Sequence[Sequence[float]]], height_px: Ints, width_px: Ints) -> tuple[Ints, Ints, Ints]:
    """The stretches of pixels inside of outlines; those of one object are filled each by itself, and joined.

    Args:
        objects: of each, its outlines: x, y, x, y … in px.
        height_px, width_px: of each object's picture.

    Returns:
        Of each stretch its object, its first pixel and the one after its last (column x height + row), in order.

    Raises:
        NoRuns: an outline is not pairs of finite numbers.
    """
    owner = np.array([row for row, shapes in enumerate(objects) for _ in shapes], np.int64)
    shapes = [_numbers(shape) for outlines in objects for shape in outlines]
    for row, shape in zip(owner.tolist(), shapes, strict=True):
        if len(shape) % 2 or not np.isfinite(shape).all():
            raise NoRuns(row, "an outline is not pairs of numbers")
    keep = [place for place, shape in enumerate(shapes) if len(shape)]
    owner, shapes = owner[keep], [shapes[place] for place in keep]
    stride = int((height_px * width_px).max()) + 1 if len(height_px) else 1
    parts = [_crossings(some, shapes, owner, height_px, width_px, stride) for some in _portions(shapes)]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    # Where an outline crosses twice at one place it does not cross.
    places, times = np.unique(np.concatenate(parts), return_counts=True)
    places = places[times % 2 == 1]
    shape, place = places // stride, places % stride
    starts = (np.arange(len(shape)) - np.searchsorted(shape, shape)) % 2 == 0
    # Each stretch goes one deeper and comes back; where the depth is above 0, the object is.
    line = owner[shape] * stride + place
    order = np.argsort(line, kind="stable")
    line, step = line[order], np.where(starts, 1, -1)[order]
    if not len(line):
        return line, line, line
    last_here = np.append(line[1:] != line[:-1], True)
    depth, line = np.cumsum(step)[last_here], line[last_here]
    was = np.concatenate([[0], depth[:-1]])
    first, last = line[(was == 0) & (depth > 0)], line[(was > 0) & (depth == 0)]
    return first // stride, first % stride, last % stride


def _numbers(shape: Sequence[float]) -> NDArray[np.float64]:
    try:
        return np.asarray(shape, np.float64).ravel()
    except (TypeError, ValueError):
        return np.full(1, np.nan)


def _portions(shapes: list[NDArray[np.float64]]) -> list[Ints]:
    """Shapes that together have no more points on the fine grid than are looked at in one go."""
    around = np.array([FINER * np.abs(np.diff(shape)).sum() + len(shape) for shape in shapes])
    portion = (np.cumsum(around) // AT_ONCE).astype(np.int64)
    return [np.flatnonzero(portion == one) for one in np.unique(portion)]


def _crossings(
    some: Ints, shapes: list[NDArray[np.float64]], owner: Ints, height_px: Ints, width_px: Ints, stride: int
) -> Ints:
    """Where these outlines cross the columns: number of the outline x stride + column x height + row."""
    points = np.concatenate([shapes[shape] for shape in some]).reshape(-1, 2)
    sizes = np.array([len(shapes[shape]) // 2 for shape in some], np.int64)
    of = np.repeat(np.arange(len(some)), sizes)
    corners = (FINER * points + 0.5).astype(np.int64)
    following = np.arange(len(of)) + 1
    ends = np.cumsum(sizes)
    following[ends - 1] = ends - sizes
    begin, end = corners, corners[following]
    across, down = np.abs(end - begin).T
    flat = across >= down
    turned = np.where(flat, begin[:, 0] > end[:, 0], begin[:, 1] > end[:, 1])
    low, high = np.where(turned[:, None], end, begin), np.where(turned[:, None], begin, end)
    longer = np.maximum(across, down)
    slope = np.where(flat, high[:, 1] - low[:, 1], high[:, 0] - low[:, 0]) / np.maximum(longer, 1)
    edge, at = grouped(longer + 1)
    step = np.where(turned[edge], longer[edge] - at, at)
    aside = slope[edge] * step
    level = flat[edge]
    x = np.where(level, step + low[edge, 0], (low[edge, 0] + aside + 0.5).astype(np.int64))
    y = np.where(level, (low[edge, 1] + aside + 0.5).astype(np.int64), step + low[edge, 1])
    shape = of[edge]
    turns = np.flatnonzero((x[1:] != x[:-1]) & (shape[1:] == shape[:-1])) + 1
    column = (np.minimum(x[turns], x[turns - 1]) + 0.5) / FINER - 0.5
    row = np.ceil(np.maximum((np.minimum(y[turns], y[turns - 1]) + 0.5) / FINER - 0.5, 0))
    shape = shape[turns]
    tall, wide = height_px[owner[some[shape]]], width_px[owner[some[shape]]]
    good = (np.floor(column) == column) & (column >= 0) & (column <= wide - 1)
    row = np.minimum(row, tall)
    return np.asarray(some[shape[good]] * stride + (column * tall + row)[good].astype(np.int64), np.int64)
