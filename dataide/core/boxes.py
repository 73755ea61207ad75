"""Boxes and their overlaps, for many pictures at once and never with a matrix over all of them.

A box is x, y (left, top), width and height in pixels of the upright picture. Wherever boxes come as one array it is
N x 4 in this order, float64. Boxes that are no boxes (NaN, or a side that is not positive) overlap nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Pairs whose overlap is computed at a time: temporary arrays stay below some tens of megabytes.
PAIRS_AT_ONCE = 1 << 20


def proper(boxes: np.ndarray) -> NDArray[np.bool_]:
    """Which of N boxes are boxes: four finite numbers, both sides above 0."""
    good: NDArray[np.bool_] = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    return good


def intersections(first: np.ndarray, second: np.ndarray) -> Floats:
    """Areas (square px) that the k-th of one array of boxes shares with the k-th of the other; NaN counts as none."""
    right = np.minimum(first[:, 0] + first[:, 2], second[:, 0] + second[:, 2])
    bottom = np.minimum(first[:, 1] + first[:, 3], second[:, 1] + second[:, 3])
    across = right - np.maximum(first[:, 0], second[:, 0])
    down = bottom - np.maximum(first[:, 1], second[:, 1])
    return np.where((across > 0) & (down > 0), across * down, 0.0)


def iou(first: np.ndarray, second: np.ndarray) -> Floats:
    """Intersection over union of the k-th box of one array and the k-th of the other, in [0, 1]."""
    shared = intersections(first, second)
    whole = first[:, 2] * first[:, 3] + second[:, 2] * second[:, 3] - shared
    # Not a number, where a side is not, compares as false and so counts as no overlap.
    return np.where(shared > 0, np.minimum(shared / np.where(whole > 0, whole, 1.0), 1.0), 0.0)


def tents(measures: Iterable[np.ndarray], knots: Iterable[np.ndarray]) -> Floats:
    """Each measure as weights of the two nearest knots: a curve of any shape is a sum of those.

    Args:
        measures: of N boxes each, finite.
        knots: of each measure, ascending; a measure with one knot says nothing.

    Returns:
        N x the number of all knots; a row of a measure sums to 1, or to 0 where it says nothing.
    """
    parts = []
    for values, at in zip(measures, knots, strict=True):
        part = np.zeros((len(values), len(at)))
        if len(at) > 1:
            place = np.interp(values, at, np.arange(len(at)))
            low = np.minimum(place.astype(np.int64), len(at) - 2)
            rows = np.arange(len(values))
            part[rows, low + 1] = place - low
            part[rows, low] = 1 - (place - low)
        parts.append(part)
    return np.concatenate(parts, axis=1)


def overlapping(boxes: np.ndarray, picture: np.ndarray) -> Iterator[tuple[Ints, Ints, Floats]]:
    """All pairs of boxes in one picture that share some area, in portions.

    Boxes are sorted by picture and left edge, and compared with the next one, the one after, … as long as that one
    begins before they end: a sweep for all pictures at once. Work grows with the pairs that overlap from left to right
    in their picture, memory with N.

    Args:
        boxes: N x 4, px.
        picture: N numbers, which picture a box belongs to.

    Yields:
        Rows of the first and of the second box (each pair once, first < second), and the area they share, square px.
    """
    rows = np.flatnonzero(proper(boxes))
    rows = rows[np.lexsort((boxes[rows, 0], picture[rows]))]
    ordered, owner = boxes[rows], picture[rows]
    left, right = ordered[:, 0], ordered[:, 0] + ordered[:, 2]
    active = np.arange(len(rows))
    step = 0
    while len(active):
        step += 1
        active = active[active + step < len(rows)]
        after = active + step
        active = active[(owner[after] == owner[active]) & (left[after] < right[active])]
        for start in range(0, len(active), PAIRS_AT_ONCE):
            one = active[start : start + PAIRS_AT_ONCE]
            shared = intersections(ordered[one], ordered[one + step])
            met = shared > 0
            first, second = rows[one[met]], rows[one[met] + step]
            yield np.minimum(first, second), np.maximum(first, second), shared[met]


def pairs_between(first_picture: np.ndarray, second_picture: np.ndarray) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of one row of the first table and one of the second that belong to one picture, in portions.

    Args:
        first_picture, second_picture: N and M numbers of pictures, in any order.

    Yields:
        Rows in the first and in the second table. Portions are about `PAIRS_AT_ONCE` long and hold all pairs of a row.
    """
    second_order = np.argsort(second_picture, kind="stable")
    first_order = np.argsort(first_picture, kind="stable")
    ordered = second_picture[second_order]
    begin = np.searchsorted(ordered, first_picture[first_order], "left")
    count = np.searchsorted(ordered, first_picture[first_order], "right") - begin
    ends = np.cumsum(count)
    start = 0
    while start < len(first_order):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + PAIRS_AT_ONCE, "right")), start + 1)
        part = count[start:stop]
        within = np.arange(part.sum()) - np.repeat(np.cumsum(part) - part, part)
        yield np.repeat(first_order[start:stop], part), second_order[np.repeat(begin[start:stop], part) + within]
        start = stop


def clipped(boxes: np.ndarray, width_px: np.ndarray, height_px: np.ndarray) -> Floats:
    """N boxes cut off at the edges of their pictures; a box that lies outside altogether gets a side of 0."""
    left, top = np.clip(boxes[:, 0], 0, width_px), np.clip(boxes[:, 1], 0, height_px)
    right = np.clip(boxes[:, 0] + boxes[:, 2], 0, width_px)
    bottom = np.clip(boxes[:, 1] + boxes[:, 3], 0, height_px)
    return np.stack([left, top, right - left, bottom - top], axis=1)


def upright(boxes: np.ndarray) -> Floats:
    """N boxes with corners in order: a negative side becomes a positive one from the other corner."""
    turned = np.asarray(boxes, np.float64).copy()
    turned[:, :2] += np.minimum(turned[:, 2:], 0)
    turned[:, 2:] = np.abs(turned[:, 2:])
    return turned


def run_edges(runs: np.ndarray) -> tuple[Ints, Ints]:
    """Where the stretches of a run-length mask begin and end, in pixels counted column by column.

    Args:
        runs: as COCO counts them: how many pixels are off, then on, then off …

    Returns:
        First pixels, and pixels after the last; stretches of no pixels are left out.
    """
    ends = np.cumsum(np.asarray(runs, np.int64))
    begin, end = ends[0:-1:2], ends[1::2]
    some = end > begin
    return begin[some], end[some]


def run_area(runs: np.ndarray) -> int:
    """The area of a run-length mask, in pixels."""
    return int(np.asarray(runs, np.int64)[1::2].sum())


def run_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two run-length masks of one picture, without unpacking them; 0 when both are empty."""
    (begin, end), (other_begin, other_end) = run_edges(first), run_edges(second)
    if not len(begin) or not len(other_begin):
        return 0.0
    # The part of the second mask before a pixel is a piecewise linear function of it: its values at the ends of the
    # first mask's stretches give the area that is shared.
    places = np.stack([other_begin, other_end], axis=1).ravel()
    before = np.concatenate([[0], np.cumsum(other_end - other_begin)])
    covered = np.stack([before[:-1], before[1:]], axis=1).ravel()
    shared = float((np.interp(end, places, covered) - np.interp(begin, places, covered)).sum())
    return shared / float((end - begin).sum() + (other_end - other_begin).sum() - shared)
