"""Which prediction is which truth: COCO's greedy matching, for all images, classes, thresholds and sizes at once.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its evaluation code: in each image and
class the best-scored prediction chooses first, the truth that it overlaps most. Truths that do not count (crowds, other
sizes) are chosen only when no other is left. Between equal overlaps the later truth wins, as it does there.

Only pairs above the lowest threshold can ever match; they are few. So the work goes through the images side by side:
first all best predictions, then all second ones …
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# COCO's code asks for a hair less than 1 where a threshold is 1.
ALMOST_ONE = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class Layout:
    """Predictions and truths, ordered by group: an image and a class.

    Attributes:
        rows: n, the predictions' rows: by image, class, best score first; equal scores as they were given.
        rank: n, place among the predictions of its group, from 0.
        truth_rows: m, the truths' rows, by image and class, as they were given.
        first, count: n, which truths belong to the same group: positions in `truth_rows`.
    """

    rows: Ints
    rank: Ints
    truth_rows: Ints
    first: Ints
    count: Ints


def lay_out(group: Ints, score: Floats, truth_group: Ints, most: int) -> Layout:
    """Orders predictions and truths by group.

    Args:
        group: n, of each prediction.
        score: n.
        truth_group: m.
        most: so many predictions of a group are kept, the best.
    """
    rows = np.argsort(-score, kind="stable")
    rows = rows[np.argsort(group[rows], kind="stable")]
    ordered = group[rows]
    fresh = np.append(True, ordered[1:] != ordered[:-1])[: len(rows)]
    starts = np.flatnonzero(fresh)
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    kept = rank < most
    rows, rank, ordered = rows[kept], rank[kept], ordered[kept]
    truth_rows = np.argsort(truth_group, kind="stable")
    truths = truth_group[truth_rows]
    first = np.searchsorted(truths, ordered)
    return Layout(rows, rank, truth_rows, first, np.searchsorted(truths, ordered, side="right") - first)


@dataclass(frozen=True, eq=False)
class Lanes:
    """The matchings that are made side by side.

    Attributes:
        threshold: l, the least overlap of a match.
        ignored: m x l, truths that do not count.
    """

    threshold: Floats
    ignored: Flags


def match(pairs: tuple[Ints, Ints, Floats], rank: Ints, crowd: Flags, lanes: Lanes) -> tuple[Ints, NDArray[np.int32]]:
    """Matches what overlaps.

    Args:
        pairs: p positions of predictions, of truths, and overlaps, as `overlapping` gives them.
        rank: of each position of a prediction.
        crowd: of each position of a truth: it may be matched many times.
        lanes: with as many truths.

    Returns:
        The k predictions that stand in a pair, ascending, and k x l the truth of each (a position), or -1.
    """
    predicted, truth, value = pairs
    rows, of = np.unique(predicted, return_inverse=True)
    chosen = np.full((len(rows), len(lanes.threshold)), -1, np.int32)
    if not len(rows):
        return rows, chosen
    # Each prediction's pairs, the best first, and of equal ones the later truth.
    order = np.lexsort((-truth, -value, of, rank[predicted]))
    of, truth, value = of[order], truth[order].astype(np.int32), value[order]
    turn = rank[predicted[order]]
    bounds = np.flatnonzero(np.append(np.append(True, turn[1:] != turn[:-1]), True))
    threshold = np.minimum(lanes.threshold, ALMOST_ONE)
    taken = np.zeros(lanes.ignored.shape, bool)
    some_crowd = bool(crowd.any())
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        here, at = of[start:stop], truth[start:stop]
        free = ~taken[at]
        if some_crowd:
            free |= crowd[at, None]
        free &= value[start:stop, None] >= threshold
        # The first that is free; those that do not count come behind all others.
        size = np.int32(stop - start)
        place = np.arange(size, dtype=np.int32)[:, None] + size * lanes.ignored[at]
        place = np.where(free, place, 2 * size)
        segments = np.flatnonzero(np.append(True, here[1:] != here[:-1]))
        best = np.minimum.reduceat(place, segments, axis=0) if len(segments) < size else place
        found = best < 2 * size
        best -= size * (best >= size)
        best[~found] = 0
        partner = np.where(found, at[best], np.int32(-1))
        chosen[here[segments]] = partner
        hit, lane = np.nonzero(found)
        taken[partner[hit, lane], lane] = True
    return rows, chosen
