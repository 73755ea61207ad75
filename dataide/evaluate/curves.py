"""Curves of one class against the rest, ROC, precision and recall, and calibration, and their areas.

Equal scores are one threshold. Areas of all classes take one sort of the scores of each, and no rows of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataide.errors import EvaluationError
from dataide.evaluate.intervals import Floats, Interval, Sampling, of_share, total, trials, wilson
from dataide.evaluate.predictions import numbers

Array = NDArray[Any]
BINS = 15
_COLUMNS = 128  # bytes of a row that are read at once
_STRETCH = 512  # rows that are turned into columns at once: they stay in the processor's nearest cache
# Rows that stand for all where the variance of an average over classes is asked for: it is known to 2% of itself.
_STANDING = 10_000
_FEWEST_OF_CLASS = 100
_SIMULATED = 2_000


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve through all thresholds.

    Attributes:
        x, y: false positive rate and true positive rate; or recall and precision.
        threshold: a sample counts as positive from this score on; infinite where none does.
        area: below the curve; for precision and recall the average precision.
    """

    x: Floats
    y: Floats
    threshold: Floats
    area: float


def roc(positive: ArrayLike, score: ArrayLike) -> Curve:
    """The ROC curve (Fawcett, Pattern Recognition Letters 2006, section 4), from the highest threshold down.

    Args:
        positive: N bools.
        score: N floats, high for positive.

    Raises:
        EvaluationError: a score is not finite, or lengths differ, or all rows are of one kind.
    """
    scores, hits, counts = _thresholds(positive, score)
    misses = counts - hits
    if not hits[-1] or not misses[-1]:
        raise _one_kind("ROC", "positive" if hits[-1] else "negative")
    x, y = np.concatenate([[0], misses / misses[-1]]), np.concatenate([[0], hits / hits[-1]])
    return Curve(x, y, np.concatenate([[np.inf], scores]), float(np.trapezoid(y, x)))


def precision_recall(positive: ArrayLike, score: ArrayLike) -> Curve:
    """Precision over recall, from the highest threshold down; its area is the average precision, without interpolation.

    Raises:
        EvaluationError: a score is not finite, or lengths differ, or no row is positive.
    """
    scores, hits, counts = _thresholds(positive, score)
    if not hits[-1]:
        raise _one_kind("precision and recall", "negative")
    precision, recall = hits / counts, hits / hits[-1]
    area = float(np.diff(recall, prepend=0) @ precision)
    x, y = np.concatenate([[0], recall]), np.concatenate([[1], precision])
    return Curve(x, y, np.concatenate([[np.inf], scores]), area)


def _thresholds(positive: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Different scores, the highest first, and how many positive and how many rows reach each."""
    truth, scores = np.asarray(positive, bool), numbers(score, "scores")
    if truth.shape != scores.shape:
        raise EvaluationError(f"There are {truth.size:,} labels and {len(scores):,} scores.", hint="Give one of each.")
    if not len(scores):
        raise EvaluationError("There are no rows to draw a curve of.", hint="Give at least one of each kind.")
    if not np.isfinite(scores).all():
        bad = int(np.count_nonzero(~np.isfinite(scores)))
        raise EvaluationError(f"{bad:,} scores are NaN or infinite.", hint="Leave these rows out: np.isfinite(score).")
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits: Floats = np.cumsum(truth[order])[ends].astype(np.float64)
    return scores[order][ends].astype(np.float64), hits, (ends + 1).astype(np.float64)


def _one_kind(curve: str, kind: str) -> EvaluationError:
    return EvaluationError(f"All rows are {kind}: there is no curve of {curve}.", hint="It needs rows of both kinds.")


# Areas -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ranked:
    """How the scores of one class's samples lie among all.

    Areas and their variances need only the different scores of the positive rows. The variance of the area below the
    ROC curve is that of DeLong, DeLong and Clarke-Pearson (Biometrics 1988); that of the average precision is got
    likewise, from its derivative with respect to how often a row counts.

    Attributes:
        at: the different scores of positive rows, ascending.
        count: how many of them have each.
        before: negative rows with a lower score.
        tied: negative rows with the same score.
        negatives: all of them.
    """

    at: Array
    count: NDArray[np.int64]
    before: NDArray[np.int64]
    tied: NDArray[np.int64]
    negatives: int

    @cached_property
    def positives(self) -> int:
        return int(self.count.sum())

    @cached_property
    def reached(self) -> Floats:
        """Positive rows with this score or a higher one."""
        return (self.positives - np.cumsum(self.count) + self.count).astype(np.float64)

    @cached_property
    def passed(self) -> Floats:
        """The share of negative rows that a positive one with this score is above; ties count half."""
        return (self.before + self.tied / 2) / self.negatives

    @cached_property
    def roc_area(self) -> float:
        return float(self.count @ self.passed) / self.positives

    @cached_property
    def precision(self) -> Floats:
        """The precision at each of the scores as a threshold."""
        share: Floats = self.reached / (self.reached + self.negatives - self.before)
        return share

    @cached_property
    def average_precision(self) -> float:
        return float(self.count @ self.precision) / self.positives

    @cached_property
    def _lost(self) -> Floats:
        """By how much a negative row at each score lowers the sum of precisions."""
        rows = self.reached + self.negatives - self.before
        return np.cumsum(self.count * self.reached / rows**2)

    @cached_property
    def _won(self) -> Floats:
        rows = self.reached + self.negatives - self.before
        return np.cumsum(self.count / rows)

    @property
    def roc_variance(self) -> float:
        if self.positives < 2 or self.negatives < 2:
            return 0.0  # one row says nothing of how others vary: `trials` goes by their number then
        here = self.count @ (self.passed - self.roc_area) ** 2
        above = np.append(self.reached, 0.0) / self.positives
        tied = (self.reached - self.count / 2) / self.positives
        before = np.append(self.before, self.negatives)
        between = np.diff(before, prepend=0) - np.concatenate([[0], self.tied])
        there = between @ (above - self.roc_area) ** 2 + self.tied @ (tied - self.roc_area) ** 2
        return float(here / self.positives / (self.positives - 1) + there / self.negatives / (self.negatives - 1))

    @property
    def precision_variance(self) -> float:
        if self.positives < 2:
            return 0.0
        here = self.count @ (self.precision - self.average_precision + self._won - self._lost) ** 2
        after = np.diff(np.append(self.before, self.negatives))
        return float(here + after @ self._lost**2) / self.positives**2

    def influences(self, scores: Array, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """What each row adds to the area below the ROC curve and to the average precision."""
        place = np.searchsorted(self.at, scores, side="right") - 1
        inside = np.maximum(place, 0)
        equal = (place >= 0) & (self.at[inside] == scores)
        next_ = np.append(self.reached, 0.0)[place + 1]  # positive rows strictly above
        above = (next_ + np.where(equal, self.count[inside], 0) / 2) / self.positives
        lost = np.where(place >= 0, self._lost[inside], 0.0)
        roc_area = np.where(
            positive,
            (self.passed[inside] - self.roc_area) / self.positives,
            (above - self.roc_area) / self.negatives,
        )
        gain = self.precision[inside] - self.average_precision + self._won[inside]
        return roc_area, (np.where(positive, gain, 0.0) - lost) / self.positives


def ranked(scores: Array, positive_scores: Array) -> Ranked | None:
    """How positive scores lie among all; both ascending. None where there are no positive or no negative rows."""
    if not len(positive_scores) or len(positive_scores) == len(scores):
        return None
    first = np.flatnonzero(np.concatenate([[True], positive_scores[1:] != positive_scores[:-1]]))
    at, count = positive_scores[first], np.diff(np.append(first, len(positive_scores)))
    left, right = np.searchsorted(scores, at, side="left"), np.searchsorted(scores, at, side="right")
    return Ranked(at, count, left - first, right - left - count, len(scores) - len(positive_scores))


@dataclass(frozen=True, eq=False)
class Standing:
    """Rows that stand for all others of their kind.

    Attributes:
        rows: places of rows that count.
        weight: how many each stands for.
        how: they came about.
        scale: what sums of squares are multiplied by besides: groups for each one that is here.
    """

    rows: NDArray[np.intp]
    weight: Floats
    how: Sampling
    scale: float

    def variance(self, influence: Floats) -> float:
        """The variance of a sum over all rows, of which these are known."""
        if self.how.groups is None:
            return float(self.weight @ (influence * influence))
        return self.how.variance(influence) * self.scale


def standing(labels: NDArray[np.int64], how: Sampling, classes: int, seed: int = 0) -> Standing:
    """Chooses rows evenly: of each class as many as there are, or enough; of groups whole ones."""
    random = np.random.default_rng(seed)
    if how.groups is not None:
        wanted = min(how.units, max(2, math.ceil(how.units * _STANDING / max(how.count, 1))))
        chosen = np.zeros(how.units, bool)
        chosen[random.permutation(how.units)[:wanted]] = True
        rows = np.flatnonzero(chosen[how.groups])
        return Standing(rows, np.ones(len(rows)), how.take(rows), how.units / wanted)
    counts = np.bincount(labels, minlength=classes)
    most = max(_FEWEST_OF_CLASS, _STANDING // max(int(np.count_nonzero(counts)), 1))
    order = random.permutation(len(labels))
    order = order[sorted_by(labels[order], classes)]
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.sort(order[place < most])
    return Standing(rows, (counts / np.minimum(counts, most).clip(1))[labels[rows]], Sampling(len(rows)), 1.0)


@dataclass(frozen=True, eq=False)
class Areas:
    """Areas of each class against the rest, and the rows that say how sure their averages are.

    Attributes:
        roc, precision: C floats: area below the ROC curve, average precision; NaN without rows of both kinds.
        roc_ends, precision_ends: C × 2, their intervals.
        standing: which rows stand for all.
        influence: by name of the average (roc_auc_macro …) what each of these rows adds to it.
    """

    roc: Floats
    precision: Floats
    roc_ends: Floats
    precision_ends: Floats
    standing: Standing
    influence: dict[str, Floats]

    def average(self, name: str, support: Floats) -> float:
        """The average of an area over the classes that have one, plain or by their number of rows."""
        of = self.roc if name.startswith("roc") else self.precision
        known = ~np.isnan(of)
        if not known.any():
            return math.nan
        return float(np.average(of[known], weights=support[known] if name.endswith("weighted") else None))

    def interval(self, name: str, value: float, support: Floats, how: Sampling, level: float) -> Interval:
        """The interval of one of the averages."""
        if math.isnan(value):
            return Interval(math.nan, math.nan)
        known = ~np.isnan(self.roc)
        rare = np.minimum(support, support.sum() - support)[known]
        sure = float(known.sum() ** 2 / (1 / rare).sum())
        return of_share(value, self.standing.variance(self.influence[name]), sure, how, level)


AVERAGES = ("roc_auc_macro", "roc_auc_weighted", "average_precision_macro", "average_precision_weighted")


def areas(
    probabilities: Array,
    index: NDArray[np.int64],
    labels: NDArray[np.int64],
    scale: Floats | None,
    how: Sampling,
    level: float,
) -> Areas:
    """The areas of all classes.

    Args:
        probabilities: all rows × C.
        index: which rows count, ascending.
        labels: of these rows.
        scale: what each of these rows is divided by; None for 1.
        how: these rows came about.
        level: of the intervals.
    """
    classes = probabilities.shape[1]
    chosen = standing(labels, how, classes)
    order = sorted_by(labels, classes)
    starts = np.searchsorted(labels[order], np.arange(classes + 1))
    quantile = how.quantile(level)
    values, ends = np.full((2, classes), np.nan), np.full((2, classes, 2), np.nan)
    support = np.diff(starts)
    known = (support > 0) & (support < len(labels))
    share = support[known].sum()
    influence = {name: np.zeros(len(chosen.rows)) for name in AVERAGES}
    for number, scores in _columns(probabilities, index, scale):
        mine = scores[order[starts[number] : starts[number + 1]]]
        of_rows = scores[chosen.rows]
        found = ranked(_sorted(scores), np.sort(mine))
        if found is None:
            continue
        positive = labels[chosen.rows] == number
        added = found.influences(of_rows, positive)
        both = (found.roc_area, found.average_precision)
        rare = min(found.positives, found.negatives)
        alone = (found.roc_variance, found.precision_variance)
        for kind, value in enumerate(both):
            variance = alone[kind] if how.groups is None else chosen.variance(added[kind])
            count = trials(value, variance, min(found.positives if kind else rare, how.units))
            values[kind, number] = value
            ends[kind, number] = np.stack(wilson(value, count, quantile))
            plain, weighted = AVERAGES[2 * kind : 2 * kind + 2]
            influence[plain] += added[kind] / np.count_nonzero(known)
            # A row adds to the weight of its class too.
            influence[weighted] += added[kind] * (len(mine) / share) + positive * (value / share)
    for kind in range(2):
        weighted = AVERAGES[2 * kind + 1]
        average = np.nansum(values[kind][known] * support[known]) / max(share, 1)
        influence[weighted] -= np.where(known[labels[chosen.rows]], average / max(share, 1), 0.0)
    return Areas(values[0], values[1], ends[0], ends[1], chosen, influence)


def sorted_by(labels: NDArray[np.int64], classes: int) -> NDArray[np.intp]:
    """Rows by class, in each as they came; numbers of 16 bits are sorted by their digits, in a sixth of the time."""
    return np.argsort(labels.astype(np.uint16) if classes <= 1 << 16 else labels, kind="stable")


def _columns(probabilities: Array, index: NDArray[np.int64], scale: Floats | None) -> Iterator[tuple[int, Array]]:
    """Number and scores of each class, of the rows that count; several are copied at once, as memory is read."""
    classes = probabilities.shape[1]
    step = max(1, _COLUMNS // probabilities.dtype.itemsize)
    whole = len(index) == len(probabilities)
    for start in range(0, classes, step):
        part = probabilities[:, start : start + step]
        together = np.empty((part.shape[1], len(index)), probabilities.dtype)
        for first in range(0, len(index), _STRETCH):
            rows = slice(first, first + _STRETCH)
            together[:, rows] = (part[rows] if whole else part[index[rows]]).T
        if scale is not None:
            together /= scale.astype(together.dtype)
        yield from enumerate(together, start)


def _sorted(scores: Array) -> Array:
    """Ascending, in place: a column is a copy, and its rows are asked for before."""
    scores.sort()
    return scores


# Calibration -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Calibration:
    """How sure predictions are and how often they are right, by bins of equal width.

    Attributes:
        edges: bins + 1 confidences; edges[i] < confidence <= edges[i + 1].
        count: rows in each bin.
        confidence, accuracy: their means; NaN in empty bins.
        low, high: interval of the accuracy.
        gap: of each bin, the sum over rows of (right - confidence).
        variance: of each gap.
    """

    edges: Floats
    count: Floats
    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    gap: Floats
    variance: Floats

    @property
    def error(self) -> float:
        """The expected calibration error (Guo, Pleiss, Sun and Weinberger, ICML 2017, section 2)."""
        return float(np.abs(self.gap).sum() / self.count.sum())

    def interval(self, level: float, seed: int = 0) -> Interval:
        """The interval of the error that a model of unlimited rows would have in these bins.

        Few rows make any model look miscalibrated (Kumar, Liang and Ma, NeurIPS 2019, section 4). So gaps are shrunk by
        what chance adds to their squares, errors are simulated from there, and the differences are taken off.
        """
        if not np.isfinite(self.variance).all():
            return Interval(math.nan, math.nan)
        likely = shrunk(self.gap, self.variance)
        chance = np.random.default_rng(seed).standard_normal((_SIMULATED, len(likely))) * np.sqrt(self.variance)
        rows = self.count.sum()
        ends = np.array([(1 - level) / 2, (1 + level) / 2])
        low, high = np.quantile((np.abs(chance + likely).sum(axis=1) - likely.sum()) / rows, ends)
        if self.error <= np.quantile(np.abs(chance).sum(axis=1) / rows, ends[1]):
            high = self.error  # a model that is calibrated looks as far off as this
        return Interval(max(self.error - max(float(high), 0.0), 0.0), min(self.error - min(float(low), 0.0), 1.0))


def shrunk(gap: Floats, variance: Floats) -> Floats:
    """Gaps of bins, all made smaller by the same share, so that their squares are as large as without chance."""
    filled = variance > 0
    if not filled.any():
        return np.zeros(len(gap))
    surplus = float(np.mean(gap[filled] ** 2 / variance[filled]))
    kept: Floats = np.abs(gap) * math.sqrt(max(1 - 1 / surplus, 0.0) if surplus > 0 else 0.0)
    return kept


def calibration(
    right: NDArray[np.bool_], confidence: Floats, how: Sampling, level: float, bins: int = BINS
) -> Calibration:
    """Compares how sure predictions are with how often they are right.

    Args:
        right: N bools.
        confidence: N floats, 0..1.
        how: the rows came about.
        level: of the intervals.
        bins: how many, of equal width.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = bins_of(confidence, bins)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    hits = np.bincount(place, right, bins)
    sums = np.bincount(place, confidence, bins)
    each = right - confidence
    gap = total(place, each, bins)
    filled = count.clip(1)
    # One of each kind is added (Agresti and Coull, 1998): a bin of two rows that are both right is not certain.
    chance = (hits + 1) / (count + 2)
    variance = count * chance * (1 - chance)
    if how.groups is not None:
        each = how.variances(each - (gap / filled)[place], place, bins, np.arange(len(place)))
        variance = np.maximum(variance, each)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy, mean = hits / count, sums / count
    low, high = wilson(accuracy, np.minimum(count, how.units), how.quantile(level))
    return Calibration(edges, count, mean, accuracy, low, high, gap, variance)


def bins_of(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """In which of so many bins each confidence lies; 0 in the first."""
    place: NDArray[np.int64] = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return place
