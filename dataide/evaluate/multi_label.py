"""How good predictions are where several labels may hold of one sample, each with its interval.

- exact: the share of samples with all labels right; hamming_loss: the share of single labels that are wrong.
- precision, recall and f1: of each label; macro is their average over labels that occur, micro counts all decisions
  alike, samples is the average over samples (Tsoumakas, Katakis and Vlahavas, Data Mining and Knowledge Discovery
  Handbook 2010, section 34.6).
- roc_auc, average_precision: the areas of each label, and their averages.

A label that is not known of a sample (NaN) counts for neither side. What is independent are samples, or groups of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import curves, intervals, own_metrics, predictions
from dataide.evaluate.figures import Figures, Table, counted
from dataide.evaluate.intervals import Figure, Floats, Sampling


@dataclass(frozen=True, eq=False, repr=False)
class MultiLabel(Figures):
    """What predictions of several labels are worth; reads like a mapping: result["f1_macro"].

    Attributes:
        classes: the labels' names.
        per_class: a table: class, rows, predicted, precision, recall, f1, with ends, and areas where scores are known.
        index: places of the samples that count.
        right: whether all labels of each of these are right.
        bad: places of samples whose scores are NaN or infinite.
    """

    classes: tuple[str, ...] = ()
    per_class: Table = field(kw_only=True)
    index: NDArray[np.int64] = field(kw_only=True)
    right: NDArray[np.bool_] = field(kw_only=True)
    bad: NDArray[np.int64] = field(kw_only=True)

    @property
    def title(self) -> str:
        return f"Multi-label classification of {self.count:,} samples, {len(self.classes):,} labels"

    def _more_html(self) -> str:
        plain = {name: values for name, values in self.per_class.columns.items() if "_low" not in name}
        return f"<p>By label</p>{Table({n: v for n, v in plain.items() if '_high' not in n}).html()}"


def multi_label(
    labels: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    probabilities: ArrayLike | None = None,
    threshold: float | ArrayLike = 0.5,
    classes: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    metrics: Mapping[str, own_metrics.Metric] | None = None,
    level: float = intervals.LEVEL,
) -> MultiLabel:
    """Compares predicted sets of labels with true ones.

    Args:
        labels: N × C bools, or floats of 0, 1 and NaN for unknown.
        predicted: N × C bools; by default the probabilities that reach the threshold.
        probabilities: N × C floats, each 0..1; they need not add up to anything.
        threshold: of all labels, or C of them.
        classes: names of the labels.
        groups: N values: samples of one group are alike, and intervals are the wider for it.
        metrics: functions of one's own by name, called with labels, predicted and, where there are, probabilities.
        level: of the intervals.

    Raises:
        EvaluationError: nothing is left to compare, shapes differ, or a label is neither 0 nor 1.
    """
    level = intervals.check_level(level)
    truth, known = _truths(labels)
    names = predictions.named(classes, truth.shape[1])
    scores = None if probabilities is None else predictions.probabilities_of(probabilities)
    good = known.any(axis=1)
    unlabelled = int(np.count_nonzero(~good))
    bad = np.empty(0, np.int64)
    if scores is not None:
        _same_shape(truth, scores, "probabilities")
        finite = np.isfinite(scores).all(axis=1)
        bad = np.flatnonzero(good & ~finite)
        good &= finite
        if good.any() and not (scores[good].min() >= 0 and scores[good].max() <= 1):
            raise EvaluationError(
                "Probabilities lie between 0 and 1, and some do not.", hint="Put scores through a sigmoid first."
            )
    if predicted is not None:
        said, sure = _truths(predicted)
        _same_shape(truth, said, "predictions")
        bad = np.union1d(bad, np.flatnonzero(good & ~sure.all(axis=1)))
        good &= sure.all(axis=1)
    elif scores is not None:
        limits = np.asarray(threshold, np.float64)
        if limits.shape not in ((), (truth.shape[1],)):
            raise EvaluationError(f"There are {truth.shape[1]:,} labels and thresholds of shape {limits.shape}.")
        with np.errstate(invalid="ignore"):
            said = scores >= limits
    else:
        raise EvaluationError("There are no predictions.", hint="Give predicted= or probabilities=.")
    index = np.flatnonzero(good)
    if not len(index):
        raise EvaluationError(
            f"Nothing is left to evaluate: of {len(truth):,} samples {unlabelled:,} have no labels and {len(bad):,} no "
            "prediction that can be read.",
            code="empty",
        )
    how = intervals.sampling(len(truth), groups)
    if len(index) < len(truth):
        truth, known, said, how = truth[index], known[index], said[index], how.take(index)
    tables = _Counted(truth & known, said & known, known)
    figures, columns = _figures(tables, how, level)
    if scores is not None:
        figures |= _areas(scores, index, truth, known, how, level, columns)
    arrays: tuple[NDArray[Any], ...] = (truth, said)
    if scores is not None and metrics:
        arrays = (*arrays, scores[index])
    own, problems = own_metrics.computed(metrics, arrays, how, level, taken=figures)
    notes = [f"Left out: {counted(unlabelled, 'sample')} without labels."] if unlabelled else []
    if len(bad):
        samples = counted(len(bad), "sample")
        notes.append(f"Left out: {samples} whose prediction cannot be read ({predictions.some(bad)}).")
    if absent := int(np.count_nonzero(~tables.occurring)):
        notes.append(f"In no average, since they neither occur nor are predicted: {counted(absent, 'label')}.")
    table = Table({"class": names, **columns})
    return MultiLabel(
        {**figures, **own}, len(index), level, tuple(notes), tuple(problems), names,
        per_class=table, index=index, right=np.count_nonzero(tables.wrong, axis=1) == 0, bad=bad,
    )  # fmt: skip


class _Counted:
    """Hits, labels and predictions, by label and by sample."""

    def __init__(self, truth: NDArray[np.bool_], said: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        self.truth, self.said, self.known = truth, said, known
        self.hit, self.wrong = truth & said, truth ^ said
        self.hits, self.support, self.predicted = (
            np.count_nonzero(table, axis=0).astype(np.float64) for table in (self.hit, truth, said)
        )
        self.occurring = self.support + self.predicted > 0


def _figures(of: _Counted, how: Sampling, level: float) -> tuple[dict[str, Figure], dict[str, Any]]:
    count, labels = of.truth.shape
    decisions = np.count_nonzero(of.known, axis=1).astype(np.float64)
    wrong = np.count_nonzero(of.wrong, axis=1).astype(np.float64)
    exact = (wrong == 0).astype(np.float64)
    hits, true, said = (np.count_nonzero(t, axis=1).astype(np.float64) for t in (of.hit, of.truth, of.said))
    figures = {
        "exact": _ratio(exact, np.ones(count), how, level),
        "hamming_loss": _ratio(wrong, decisions, how, level),
    }
    columns: dict[str, Any] = {"rows": of.support.astype(np.int64), "predicted": of.predicted.astype(np.int64)}
    parts = {
        "precision": (1.0, (of.said,), of.predicted, said),
        "recall": (1.0, (of.truth,), of.support, true),
        "f1": (2.0, (of.truth, of.said), of.support + of.predicted, true + said),
    }
    occurring = max(int(np.count_nonzero(of.occurring)), 1)
    for name, (factor, bases, totals, per_sample) in parts.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(totals > 0, factor * of.hits / totals, math.nan)
        variance, together = np.empty(labels), np.zeros(count)
        influence: Floats
        for label in range(labels):  # one at a time: all of them are eight times as large as the labels
            influence = np.multiply(factor, of.hit[:, label], dtype=np.float64)
            for table in bases:
                influence -= np.nan_to_num(share[label]) * table[:, label]
            influence /= max(totals[label], 1)
            variance[label] = how.variance(influence)
            together += influence
        low, high = intervals.wilson(
            share, intervals.trials(share, variance, np.minimum(totals / factor, how.units)), how.quantile(level)
        )
        columns |= {name: share, f"{name}_low": low, f"{name}_high": high}
        macro = float(np.nansum(share) / occurring)
        spread = how.variance(together / occurring)
        figures[f"{name}_macro"] = Figure(macro, *intervals.of_share(macro, spread, count, how, level))
        figures[f"{name}_micro"] = _ratio(factor * hits, per_sample, how, level)
        # A sample with nothing to find, or nothing found, counts as 0, as in scikit-learn.
        own = factor * hits / per_sample.clip(1)
        figures[f"{name}_samples"] = _ratio(own, np.ones(count), how, level)
    return figures, columns


def _ratio(part: Floats, whole: Floats, how: Sampling, level: float) -> Figure:
    """The share of two sums over samples, and its interval; 0 where there is nothing to share."""
    total = float(whole.sum())
    if not total:
        return Figure(0.0, math.nan, math.nan)
    share = float(part.sum()) / total
    variance = how.variance((part - share * whole) / total)
    return Figure(share, *intervals.of_share(share, variance, how.units, how, level))


def _areas(
    scores: NDArray[Any],
    index: NDArray[np.int64],
    truth: NDArray[np.bool_],
    known: NDArray[np.bool_],
    how: Sampling,
    level: float,
    columns: dict[str, Any],
) -> dict[str, Figure]:
    """Areas of each label; their averages, with variances from all samples."""
    labels = truth.shape[1]
    values, ends = np.full((2, labels), np.nan), np.full((2, labels, 2), np.nan)
    sums, sure = np.zeros((2, len(index))), []
    for label in range(labels):
        rows = np.flatnonzero(known[:, label])
        column, positive = np.ascontiguousarray(scores[index[rows], label]), truth[rows, label]
        found = curves.ranked(np.sort(column), np.sort(column[positive]))
        if found is None:
            continue
        added = found.influences(column, positive)
        sure.append(min(found.positives, found.negatives))
        for kind, value in enumerate((found.roc_area, found.average_precision)):
            everywhere = np.zeros(len(index))
            everywhere[rows] = added[kind]
            sums[kind] += everywhere
            least = min(found.positives if kind else sure[-1], how.units)
            values[kind, label] = value
            count = intervals.trials(value, how.variance(everywhere), least)
            ends[kind, label] = np.stack(intervals.wilson(value, count, how.quantile(level)))
    figures = {}
    for kind, name in enumerate(("roc_auc", "average_precision")):
        columns |= {name: values[kind], f"{name}_low": ends[kind, :, 0], f"{name}_high": ends[kind, :, 1]}
        average = float(np.nanmean(values[kind])) if sure else math.nan
        trials = len(sure) ** 2 / sum(1 / rare for rare in sure) if sure else math.nan
        variance = how.variance(sums[kind] / max(len(sure), 1))
        figures[f"{name}_macro"] = Figure(average, *intervals.of_share(average, variance, trials, how, level))
    return figures


def _truths(values: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What holds, and what is known."""
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] < 1:
        raise EvaluationError(
            f"Labels of shape {array.shape} are no table.", hint="Give N × C bools: a column for each label."
        )
    if array.dtype == np.bool_:
        return array, np.ones(array.shape, bool)
    try:
        numbers = array if array.dtype.kind in "iuf" else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"The labels are no numbers: {error}.", hint="Give bools, or 0 and 1.") from error
    known = ~np.isnan(numbers)
    odd = known & (numbers != 0) & (numbers != 1)
    if odd.any():
        row, column = (int(place[0]) for place in np.nonzero(odd))
        raise EvaluationError(
            f"Row {row:,} of the labels has {numbers[row, column]:.4g} in column {column:,}.",
            hint="A label holds (1), does not (0), or is not known (NaN).",
        )
    return known & (numbers == 1), known


def _same_shape(truth: NDArray[Any], other: NDArray[Any], what: str) -> None:
    if truth.shape != other.shape:
        raise EvaluationError(
            f"The labels have the shape {truth.shape} and the {what} {other.shape}.", hint="Give N × C of both."
        )
