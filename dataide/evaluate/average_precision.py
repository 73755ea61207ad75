"""Average precision and recall from what each prediction turned out to be, and how far chance could move them.

Precision is read off at 101 recalls, each the best precision at that recall or a higher one (M. Everingham et al., "The
PASCAL Visual Object Classes Challenge", IJCV 2010, section 4.2; T.-Y. Lin et al., ECCV 2014, and its evaluation code).
That best is always found at a true positive, so only these are walked through.

Intervals: bootstrap over images (B. Efron, "Bootstrap Methods", 1979; B. Efron and R. Tibshirani, "An Introduction to
the Bootstrap", 1993, chapter 13, percentiles). An image that is drawn twice counts twice, which is a weight: nothing is
matched or sorted again. One resample costs a walk over all predictions, and one over the true positives of each
threshold.

The best precision "at that recall or a higher one" makes AP too high where truths are few, the more so in a resample:
plain percentiles would lie above the figure. So an interval is the wider, at each end, of two: the resamples' spread
around the figure, which is where another set of as many images would put it, and the spread turned around (Efron and
Tibshirani, section 13.3; A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2,
"basic"), which is where very many images would. With a handful of truths a class that is still not far enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.uint8]

# What a prediction is in a lane; IGNORED ones are left out of everything.
FALSE, TRUE, IGNORED = 0, 1, 2
RECALLS = np.linspace(0.0, 1.0, 101)
# Numbers of one block of resamples.
AT_ONCE = 1 << 21


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of all classes, best first in each.

    Attributes:
        codes: l x n uint8, FALSE, TRUE or IGNORED in each lane (a threshold and a range of sizes).
        starts: c + 1: class i has the rows starts[i] … starts[i + 1] - 1.
        image: n, from 0.
        rank: n, among the predictions of its image and class.
        score: n.
    """

    codes: Codes
    starts: Ints
    image: Ints
    rank: Ints
    score: Floats


def judged(codes: Codes, label: Ints, score: Floats, image: Ints, rank: Ints, classes: int) -> Judged:
    """Orders predictions by class and score, equal scores as they are; codes are n x l here."""
    order = np.argsort(-score, kind="stable")
    order = order[np.argsort(label[order], kind="stable")]
    starts = np.searchsorted(label[order], np.arange(classes + 1)).astype(np.int64)
    return Judged(np.ascontiguousarray(codes[order].T), starts, image[order], rank[order], score[order])


def precisions(found: Judged, truths: Ints) -> tuple[Floats, Floats]:
    """Precision at each of the 101 recalls, and the score from which on predictions reach it.

    Args:
        found: the predictions.
        truths: l x c, how many truths count.

    Returns:
        Precision, l x 101 x c, -1 where a class has no truth; score, likewise, NaN where the recall is not reached.
    """
    lanes, classes = truths.shape
    result = np.full((lanes, len(RECALLS), classes), -1.0)
    score = np.full(result.shape, np.nan)
    for one in range(classes):
        if not truths[:, one].any():
            continue
        own = found.score[found.starts[one] : found.starts[one + 1]]
        codes = found.codes[:, found.starts[one] : found.starts[one + 1]]
        counted = np.cumsum(codes != IGNORED, axis=1, dtype=np.int32)
        lane, place = np.nonzero(codes == TRUE)
        ends = np.searchsorted(lane, np.arange(lanes + 1))
        for each in np.flatnonzero(truths[:, one]):
            at = place[ends[each] : ends[each + 1]]
            hits = np.arange(1, len(at) + 1)
            # COCO adds the smallest step above 1 to what it divides by.
            best = np.maximum.accumulate((hits / (counted[each, at] + np.spacing(1)))[::-1])[::-1]
            reached = np.searchsorted(hits / truths[each, one], RECALLS)
            result[each, :, one] = np.append(best, 0.0)[np.minimum(reached, len(at))]
            score[each, :, one] = np.append(own[at], np.nan)[np.minimum(reached, len(at))]
    return result, score


def recalls(found: Judged, truths: Ints, most: int) -> Floats:
    """Recall with the best `most` predictions of each image and class: l x c, -1 where there is no truth."""
    hits = np.zeros(truths.shape, np.int64)
    within = found.rank < most
    for one in range(truths.shape[1]):
        rows = slice(int(found.starts[one]), int(found.starts[one + 1]))
        hits[:, one] = np.count_nonzero((found.codes[:, rows] == TRUE) & within[rows], axis=1)
    return np.where(truths > 0, hits / np.maximum(truths, 1), -1.0)


def mean(values: Floats) -> float:
    """The mean of what is there; -1 where nothing is."""
    there = values[values > -1]
    return float(there.mean()) if len(there) else -1.0


def interval(value: float, drawn: Floats, confidence: float, *, least: float = 0.0) -> tuple[float, float]:
    """Where a figure could lie as well, from the figures of resamples (NaN where one has none): from and to.

    Args:
        value: the figure, from `least` to 1.
        drawn: r, of the resamples.
        confidence: between 0 and 1.
        least: the lowest that it can be.
    """
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.percentile(drawn, [50 - 50 * confidence, 50 + 50 * confidence])
    shift = value - drawn.mean()
    ends = min(low + shift, 2 * value - high), max(high + shift, 2 * value - low)
    return float(np.clip(ends[0], least, value)), float(np.clip(ends[1], value, 1))


def resampled(
    found: Judged, truth_image: Ints, truth_label: Ints, images: int, *, times: int, seed: int
) -> Iterator[Floats]:
    """Average precision of sets of images drawn with replacement.

    Args:
        found: with a lane for each threshold.
        truth_image, truth_label: of each truth that counts.
        images: how many there are.
        times: how many sets.
        seed: of the draw.

    Yields:
        b x l x c: of each set, threshold and class; NaN where the set has no truth of the class. Together `times` sets.
    """
    classes = len(found.starts) - 1
    generator = np.random.default_rng(seed)
    largest = max(int(np.diff(found.starts).max(initial=1)), images, len(truth_image), 1)
    most = max(1, AT_ONCE // largest)
    ready = [_prepared(found, one) for one in range(classes)]
    for begin in range(0, times, most):
        sets = min(most, times - begin)
        weights = np.stack(
            [np.bincount(generator.integers(0, images, images), minlength=images) for _ in range(sets)]
        ).astype(np.int32)
        yield _weighted(ready, weights, truth_image, truth_label)


@dataclass(frozen=True, eq=False)
class _Walk:
    """A class, as the resamples walk through it.

    Attributes:
        image: of each prediction.
        hits: the rows that are true in some lane.
        lanes: of each lane, its true positives: positions in `hits`, and its rows that are ignored.
    """

    image: Ints
    hits: Ints
    lanes: list[tuple[Ints, Ints]]


def _prepared(found: Judged, one: int) -> _Walk:
    rows = slice(int(found.starts[one]), int(found.starts[one + 1]))
    codes, image = found.codes[:, rows], found.image[rows]
    hits = np.flatnonzero((codes == TRUE).any(axis=0))
    lanes = [(np.flatnonzero(lane[hits] == TRUE), np.flatnonzero(lane == IGNORED)) for lane in codes]
    return _Walk(image, hits, lanes)


def _weighted(ready: list[_Walk], weights: NDArray[np.int32], truth_image: Ints, truth_label: Ints) -> Floats:
    sets = len(weights)
    lanes = len(ready[0].lanes) if ready else 0
    result = np.full((sets, lanes, len(ready)), np.nan)
    by_label = np.argsort(truth_label, kind="stable")
    ends = np.searchsorted(truth_label[by_label], np.arange(len(ready) + 1))
    for one, walk in enumerate(ready):
        own = truth_image[by_label[ends[one] : ends[one + 1]]]
        if not len(own):
            continue
        truths = weights[:, own].sum(axis=1)
        there = truths > 0
        scale = (len(RECALLS) - 1) / np.maximum(truths, 1)[:, None]
        gone = np.cumsum(weights[:, walk.image], axis=1, dtype=np.int32)[:, walk.hits]
        on = weights[:, walk.image[walk.hits]]
        for lane, (at, ignored) in enumerate(walk.lanes):
            hits = np.cumsum(on[:, at], axis=1, dtype=np.int32)
            counted = gone[:, at]
            if len(ignored):
                skipped = np.cumsum(weights[:, walk.image[ignored]], axis=1, dtype=np.int32)
                before = np.searchsorted(ignored, walk.hits[at])
                counted = counted - np.where(before > 0, skipped[:, np.maximum(before - 1, 0)], 0)
            precision = (hits / np.maximum(counted, 1)).astype(np.float32)
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            # How many of the 101 recalls are reached by each true positive that were not by the one before.
            reached = np.where(hits > 0, np.floor(hits * scale + 1e-9) + 1, 0).astype(np.float32)
            area = (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1, dtype=np.float64) / len(RECALLS)
            result[there, lane, one] = area[there]
    return result
