"""What is known of an object beside its crop: its size and shape, where it is, and what else is in the picture.

A crop of twenty pixels says little; that it is small, lies on a street and has ten cars around it says a lot. "Context"
as in C. Galleguillos, A. Rabinovich and S. Belongie, "Object Categorization using Co-Occurrence, Location and
Appearance", CVPR 2008, section 2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataide.core.boxes import tents
from dataide.find.pairs import Stopped
from dataide.find.probes import Floats

# The commonest classes say what a picture shows.
CONTEXT = 128
# Peaks of log size, log aspect, and the middle across and down.
KNOTS = (7, 7, 4, 4)
BLOCK = 8_192

Ints = NDArray[np.int64]


def joined(
    crops: np.ndarray,
    labels: np.ndarray,
    pictures: np.ndarray,
    boxes: np.ndarray,
    sizes: np.ndarray,
    *,
    others: tuple[np.ndarray, np.ndarray] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Floats:
    """Crops, shapes and surroundings of N objects as one table of columns, each of the three with the same weight.

    Args:
        crops: float, N x D; rows of zeros or of no numbers stay rows of no numbers.
        labels: int, N; -1 for none.
        pictures: int, N, which picture each is in.
        boxes: float, N x 4: left, top, width, height in px.
        sizes: float, N x 2, px of the pictures; NaN where they are not known.
        others: labels and pictures of what is in these pictures beside them, of M more objects.
        stop: asked between two blocks.

    Returns:
        float32, N x (D + columns of shape and surroundings).

    Raises:
        Stopped: `stop` said so.
    """
    more = (np.empty(0, np.int64), np.empty(0, np.int64)) if others is None else others
    _, where = np.unique(np.concatenate([pictures, more[1]]), return_inverse=True)
    kinds = np.concatenate([labels, more[0]]).astype(np.int64)
    counted, width = _counted(kinds)
    around = _Around(where, np.where(kinds >= 0, counted[kinds], -1), width)
    measures = _measures(boxes, sizes)
    knots = [_knots(values, many) for values, many in zip(measures.T, KNOTS, strict=True)]
    shape_width = sum(map(len, knots))
    count, dimension = crops.shape
    found = np.empty((count, dimension + shape_width + width), np.float32)
    power = np.zeros(3)
    parts = (slice(0, dimension), slice(dimension, dimension + shape_width), slice(dimension + shape_width, None))
    for start in range(0, count, BLOCK):
        if stop():
            raise Stopped
        rows = np.arange(start, min(start + BLOCK, count))
        block = found[start : start + BLOCK]
        block[:, parts[0]] = _unit(crops[start : start + BLOCK])
        block[:, parts[1]] = tents(measures[rows].T, knots)
        block[:, parts[2]] = around.counts(rows)
        power += [float(np.nansum(np.square(block[:, part], dtype=np.float64))) for part in parts]
    # As it would be if each part were of length 1 on the whole.
    for part, sum_of_squares in zip(parts, power, strict=True):
        if sum_of_squares > 0:
            found[:, part] /= np.float32(np.sqrt(sum_of_squares / max(count, 1)))
    return found


class _Around:
    """What else is in the picture of each object: logarithms of how many of each class, scaled to length 1."""

    def __init__(self, picture: Ints, column: Ints, width: int) -> None:
        self._picture, self._column, self._width = picture, column, width
        self._order = np.argsort(picture, kind="stable")
        self._starts = np.searchsorted(picture[self._order], np.arange(int(picture.max(initial=-1)) + 2))

    def counts(self, rows: Ints) -> Floats:
        pictures, which = np.unique(self._picture[rows], return_inverse=True)
        begin = self._starts[pictures]
        size = self._starts[pictures + 1] - begin
        owner = np.repeat(np.arange(len(pictures)), size)
        members = self._order[np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(begin, size)]
        column = self._column[members]
        some = column >= 0
        cells = np.bincount(owner[some] * self._width + column[some], minlength=len(pictures) * self._width)
        counts = cells.reshape(len(pictures), self._width)[which].astype(np.float32)
        own = np.flatnonzero(self._column[rows] >= 0)
        counts[own, self._column[rows][own]] -= 1
        counts = np.log1p(counts, dtype=np.float32)
        length = np.sqrt((counts * counts).sum(axis=1, keepdims=True))
        even: Floats = counts / np.maximum(length, np.float32(1e-9))
        return even


def _counted(kinds: Ints) -> tuple[Ints, int]:
    """In which column each class counts, -1 for the rare ones; and how many columns there are."""
    sizes = np.bincount(kinds[kinds >= 0], minlength=1)
    common = np.argsort(-sizes, kind="stable")[:CONTEXT]
    column = np.full(len(sizes), -1, np.int64)
    column[common] = np.arange(len(common))
    return column, len(common)


def _measures(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Log size (a part of its picture, where that is known), log aspect, middle across and down; NaN to the middle."""
    with np.errstate(all="ignore"):
        whole = np.where(np.isfinite(sizes).all(axis=1), np.sqrt(sizes[:, 0] * sizes[:, 1]), 1.0)
        side = np.sqrt(boxes[:, 2] * boxes[:, 3])
        found = np.stack(
            [
                np.log(side / whole),
                np.log(boxes[:, 2] / boxes[:, 3]),
                (boxes[:, 0] + boxes[:, 2] / 2) / sizes[:, 0],
                (boxes[:, 1] + boxes[:, 3] / 2) / sizes[:, 1],
            ],
            axis=1,
        )
    for column in found.T:
        known = np.isfinite(column)
        column[~known] = np.median(column[known]) if known.any() else 0.0
    return found


def _knots(values: np.ndarray, many: int) -> np.ndarray:
    knots: np.ndarray = np.unique(np.quantile(values, np.linspace(0, 1, many))) if len(values) else np.zeros(1)
    return knots


def _unit(rows: np.ndarray) -> Floats:
    """Of length 1; zeros and what is no number become NaN, which nobody is judged by."""
    values = np.asarray(rows, np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", values, values))
    good = np.isfinite(length) & (length > 0)
    divisor = np.where(good, length, np.nan).astype(np.float32)
    unit: Floats = np.divide(values, divisor[:, None], dtype=np.float32)
    return unit
