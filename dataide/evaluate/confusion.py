"""Which class was taken for which: the counts, and the metrics that follow from them, each with its variance.

Only pairs of classes that occur are kept, so 20,000 classes cost as much as a million rows have pairs. A class that
nobody has or predicts is left out of averages; one that is only predicted, or never predicted, counts as 0 there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError
from dataide.evaluate.intervals import (
    Figure,
    Floats,
    Sampling,
    of_average,
    of_share,
    total,
    trials,
    wilson,
)

Ints = NDArray[np.int64]
# Pairs of classes that are counted in a full table; of more classes only pairs that occur are sorted out.
_MOST_PLACES = 1 << 22
_MOST_DENSE = 1 << 27


@dataclass(frozen=True, eq=False)
class Pairs:
    """How often each pair of true and predicted class occurs.

    Attributes:
        truth, predicted: class numbers, of each pair that occurs.
        counts: how often.
        classes: how many classes there are.
        of: the pair of each row.
    """

    truth: Ints
    predicted: Ints
    counts: Ints
    classes: int
    of: NDArray[np.intp]

    @cached_property
    def hits(self) -> Floats:
        """By class: rows that have it and are said to have it."""
        same = self.truth == self.predicted
        return total(self.truth[same], self.counts[same], self.classes)

    @cached_property
    def support(self) -> Floats:
        """By class: rows that have it."""
        return total(self.truth, self.counts, self.classes)

    @cached_property
    def said(self) -> Floats:
        """By class: rows that are said to have it."""
        return total(self.predicted, self.counts, self.classes)

    @property
    def occurring(self) -> NDArray[np.bool_]:
        """By class: whether any row has it or is said to."""
        there: NDArray[np.bool_] = self.support + self.said > 0
        return there

    def dense(self) -> Ints:
        """The full table, C × C: rows are truth, columns predictions.

        Raises:
            EvaluationError: there are so many classes that it would fill the memory.
        """
        if self.classes**2 > _MOST_DENSE:
            raise EvaluationError(
                f"A confusion matrix of {self.classes:,} classes has {self.classes**2:,} cells.",
                hint="result.confusions lists the pairs that occur.",
            )
        table = np.zeros((self.classes, self.classes), np.int64)
        table[self.truth, self.predicted] = self.counts
        return table


def pairs(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Pairs:
    """Counts the pairs of true and predicted class, both N numbers below `classes`."""
    places = truth.astype(np.int64) * classes + predicted
    if classes**2 <= _MOST_PLACES:
        full = np.bincount(places, minlength=classes**2)
        found = np.flatnonzero(full)
        number = np.zeros(len(full), np.intp)
        number[found] = np.arange(len(found))
        counts, of = full[found], number[places]
    else:
        found, of, counts = np.unique(places, return_inverse=True, return_counts=True)
    return Pairs(found // classes, found % classes, counts.astype(np.int64), classes, of)


@dataclass(frozen=True, eq=False)
class Shares:
    """Precision, recall or F1 of each class.

    Attributes:
        values: C floats; NaN where a class has none: no recall without rows of it, no precision if it is never said.
        low, high: ends of their intervals.
        variances: of the values.
    """

    values: Floats
    low: Floats
    high: Floats
    variances: Floats


def recalls(found: Pairs, how: Sampling, level: float) -> Shares:
    """The recall of each class: Wilson's interval of the share of its rows."""
    return _conditional(found, found.truth, found.support, how, level)


def precisions(found: Pairs, how: Sampling, level: float) -> Shares:
    """The precision of each class: Wilson's interval of the share of what is said to be it."""
    return _conditional(found, found.predicted, found.said, how, level)


def f1s(found: Pairs, how: Sampling, level: float) -> Shares:
    """F1 of each class, from the share J of hits among rows that have the class or are said to: F1 = 2 J / (1 + J)."""
    union = found.support + found.said - found.hits
    share = _divided(found.hits, union)
    rows = np.arange(len(found.of))
    truth, predicted = found.truth[found.of], found.predicted[found.of]
    variance = share * (1 - share) / union.clip(1)
    at_end = union
    if how.groups is not None:
        wrong = truth != predicted
        of = np.concatenate([truth, predicted[wrong]])
        row = np.concatenate([rows, rows[wrong]])
        hit = np.concatenate([~wrong, np.zeros(np.count_nonzero(wrong), bool)])
        filled = np.nan_to_num(share)
        variance = how.variances((hit - filled[of]) / union[of], of, found.classes, row)
        at_end = np.minimum(union, _units(how, of, found.classes, row))
    low, high = wilson(share, trials(share, variance, at_end), how.quantile(level))
    steep = 2 / (1 + share) ** 2
    value, low, high = (2 * ends / (1 + ends) for ends in (share, low, high))
    return Shares(value, low, high, variance * steep**2)


def _conditional(found: Pairs, given: Ints, totals: Floats, how: Sampling, level: float) -> Shares:
    share = _divided(found.hits, totals)
    variance, at_end = share * (1 - share) / totals.clip(1), totals
    if how.groups is not None:
        of = given[found.of]
        hit = (found.truth == found.predicted)[found.of]
        rows = np.arange(len(of))
        variance = how.variances((hit - np.nan_to_num(share)[of]) / totals[of], of, found.classes, rows)
        at_end = np.minimum(totals, _units(how, of, found.classes, rows))
    low, high = wilson(share, trials(share, variance, at_end), how.quantile(level))
    return Shares(share, low, high, variance)


def _units(how: Sampling, of: Ints, size: int, row: NDArray[np.intp]) -> Floats:
    """In how many groups each class occurs."""
    assert how.groups is not None
    places = np.unique(how.groups[row] * size + of)
    return np.bincount(places % size, minlength=size).astype(np.float64)


def averages(found: Pairs, how: Sampling, level: float, per: dict[str, Shares]) -> dict[str, Figure]:
    """Accuracy, balanced accuracy, and precision, recall and F1 as averages over classes, plain and by support.

    Variances of F1's averages are those of Takahashi, Yamamoto, Kuchiba and Koyama (Applied Intelligence 2022, section
    3), got from influences. `per` has the figures of the classes, under "recall", "precision" and "f1".
    """
    count = int(found.counts.sum())
    figures: dict[str, Figure] = {}
    right = float(found.hits.sum() / count)
    influence = influences(found)

    def variance(name: str) -> float:
        given = influence[name]
        if how.groups is None:
            units = found.counts @ (given * given)
            return float(units) * count / max(count - 1, 1)
        return how.variance(given[found.of])

    plain = right * (1 - right) / count  # of rows each by itself Wilson's interval is exact in its number of trials
    there = {"balanced_accuracy": found.support > 0, **{f"{name}_macro": found.occurring for name in per}}
    figures["accuracy"] = _share(right, plain if how.groups is None else variance("accuracy"), count, how, level)
    for name, among in there.items():
        of = per["recall" if name == "balanced_accuracy" else name.removesuffix("_macro")]
        # What was never said has no precision of its own; in the average it counts as 0, and as sure.
        known = among & ~np.isnan(of.values)
        size = int(np.count_nonzero(among))
        values, low, high = (np.nan_to_num(ends[among]) for ends in (of.values, of.low, of.high))
        apart = float(of.variances[known].sum()) / size**2
        together = variance(name)
        # Errors between two classes lower F1 of both: where no error tells, at most twice the variance.
        inflation = together / apart if apart > 0 else 2.0 if name == "f1_macro" else 1.0
        value = float(values.mean())
        ends = of_average(values, low, high, inflation)
        # Of few rows either may be too narrow: this one above, where most classes are at 1; that one below.
        also = of_share(value, together, count, how, level)
        figures[name] = Figure(value, min(ends.low, also.low), max(ends.high, also.high))
    weight = found.support / count
    for name, of in per.items():
        value = float(np.nansum(np.where(weight > 0, weight * np.nan_to_num(of.values), 0.0)))
        figures[f"{name}_weighted"] = _share(value, variance(f"{name}_weighted"), count, how, level)
    return figures


def _share(value: float, variance: float, at_end: float, how: Sampling, level: float) -> Figure:
    return Figure(value, *of_share(value, variance, at_end, how, level))


def influences(found: Pairs) -> dict[str, Floats]:
    """For each metric what a row of each pair adds to it: derivatives with respect to the counts."""
    i, j = found.truth, found.predicted
    same = (i == j).astype(np.float64)
    count = float(found.counts.sum())
    recall, precision = _filled(found.hits, found.support), _filled(found.hits, found.said)
    both = found.support + found.said
    f1 = _filled(2 * found.hits, both)
    weight = found.support / count
    support, said, both = found.support.clip(1), found.said.clip(1), both.clip(1)
    of_recall, of_precision = (same - recall[i]) / support[i], (same - precision[j]) / said[j]
    having = np.count_nonzero(found.support)
    occurring = np.count_nonzero(found.occurring)
    right = float(found.hits.sum() / count)
    return {
        "accuracy": (same - right) / count,
        "balanced_accuracy": of_recall / having,
        "recall_macro": of_recall / occurring,
        "precision_macro": of_precision / occurring,
        "f1_macro": (2 * same / both[i] - f1[i] / both[i] - f1[j] / both[j]) / occurring,
        "recall_weighted": (same - right) / count,
        "precision_weighted": (precision[i] - weight @ precision) / count + weight[j] * of_precision,
        "f1_weighted": (f1[i] - weight @ f1) / count
        + 2 * same * weight[i] / both[i]
        - weight[i] * f1[i] / both[i]
        - weight[j] * f1[j] / both[j],
    }


def averaged(counts: Floats, found: Pairs) -> dict[str, Floats]:
    """The metrics of `averages` for many draws of the counts at once.

    Args:
        counts: draws × pairs, as `intervals.weights` gives them.
        found: the pairs.

    Returns:
        A value for each draw; classes that do not occur in a draw are left out of its averages.
    """
    same = found.truth == found.predicted
    of_truth, of_said = _summed(counts, found.truth, found.classes), _summed(counts, found.predicted, found.classes)
    hits = _summed(counts[:, same], found.truth[same], found.classes)
    rows = counts.sum(axis=1)
    recall, precision = _filled(hits, of_truth), _filled(hits, of_said)
    f1 = _filled(2 * hits, of_truth + of_said)
    having, occurring = (of_truth > 0).sum(axis=1), (of_truth + of_said > 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = {"accuracy": hits.sum(axis=1) / rows, "balanced_accuracy": recall.sum(axis=1) / having}
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            figures[f"{name}_macro"] = values.sum(axis=1) / occurring
            figures[f"{name}_weighted"] = (values * of_truth).sum(axis=1) / rows
    return figures


def _summed(counts: Floats, of: Ints, classes: int) -> Floats:
    """Sums of columns that are of the same class, draws × classes."""
    order = np.argsort(of, kind="stable")
    summed = np.zeros((len(counts), classes))
    if len(order):
        first = np.flatnonzero(np.diff(of[order], prepend=-1))
        summed[:, of[order][first]] = np.add.reduceat(counts[:, order], first, axis=1)
    return summed


def _divided(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Floats = np.where(whole > 0, part / whole, math.nan)
    return share


def _filled(part: Floats, whole: Floats) -> Floats:
    return np.nan_to_num(_divided(part, whole), copy=False)
