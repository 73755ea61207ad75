"""How good a classifier is: figures with intervals, by class, what was taken for what, and how sure it should be.

Values are those of scikit-learn where it has them. What each figure means:

- accuracy, top_k: the share of rows whose class is predicted, or among the k likeliest; intervals of Wilson (1927).
- precision, recall, f1: of each class, and as averages: macro counts classes alike, weighted counts rows alike.
  balanced_accuracy is the average recall of the classes that rows have (Brodersen et al., ICPR 2010).
- log_loss: the mean negative logarithm of what the true class was given.
- brier: the mean squared distance between probabilities and truth, 0..2 (Brier, Monthly Weather Review 1950).
- calibration_error: by how much confidence and accuracy differ on average (Guo et al., ICML 2017), in 15 bins.
- roc_auc, average_precision: areas of each class against the rest, and their averages over classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import confusion, curves, intervals, own_metrics, predictions
from dataide.evaluate.curves import Areas, Calibration
from dataide.evaluate.figures import Figures, Table, counted
from dataide.evaluate.intervals import Figure, Sampling
from dataide.evaluate.predictions import Rows

TOP = (3, 5)
_MOST_CELLS = 30


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Figures):
    """What a classifier is worth; reads like a mapping: result["accuracy"], result.interval("f1_macro").

    Attributes:
        classes: their names.
        rows: those that count: place, label, prediction, and what the probabilities say.
        pairs: how often each pair of true and predicted class occurs.
        per_class: a table: class, rows, predicted, precision, recall, f1, and with probabilities roc_auc and
            average_precision, each with its ends (precision_low, precision_high …). NaN where a class has none.
        calibration: confidence and accuracy in bins; None where nobody said how sure a prediction is.
        areas: below curves; None without probabilities.
        how: rows came about: each by itself, or in groups.
    """

    classes: tuple[str, ...] = ()
    rows: Rows = field(kw_only=True)
    pairs: confusion.Pairs = field(kw_only=True)
    per_class: Table = field(kw_only=True)
    calibration: Calibration | None = field(kw_only=True)
    areas: Areas | None = field(kw_only=True)
    how: Sampling = field(kw_only=True)

    @property
    def title(self) -> str:
        there = int(np.count_nonzero(self.pairs.support))
        named = _classes(len(self.classes))
        lacking = f", of which {there:,} occur" if there < len(self.classes) else ""
        groups = f" in {self.how.units:,} groups" if self.how.groups is not None else ""
        return f"Classification of {self.count:,} samples{groups}, {named}{lacking}"

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often each class was taken for each: C × C, rows are truth and columns predictions.

        Raises:
            EvaluationError: there are more than 11,585 classes; `confusions` lists the pairs that occur.
        """
        return self.pairs.dense()

    @cached_property
    def confusions(self) -> Table:
        """What was taken for what, the most frequent first: label, predicted, count, share (of the label's rows)."""
        wrong = np.flatnonzero(self.pairs.truth != self.pairs.predicted)
        wrong = wrong[np.argsort(-self.pairs.counts[wrong], kind="stable")]
        truth, said, counts = self.pairs.truth[wrong], self.pairs.predicted[wrong], self.pairs.counts[wrong]
        return Table(
            {
                "label": [self.classes[number] for number in truth.tolist()],
                "predicted": [self.classes[number] for number in said.tolist()],
                "count": counts,
                "share": counts / self.pairs.support[truth],
            }
        )

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each of the rows that count is predicted as it is labelled."""
        same: NDArray[np.bool_] = self.rows.labels == self.rows.predicted
        return same

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """How bad each of the rows that count is: its log loss, or 0 and 1 where there are no probabilities."""
        return (~self.right).astype(np.float64) if self.rows.own is None else _log_loss(self.rows)

    def _more_html(self) -> str:
        order = np.argsort(np.nan_to_num(np.asarray(self.per_class["f1"], np.float64), nan=2.0), kind="stable")
        ends = ("_low", "_high")
        plain = {name: values for name, values in self.per_class.columns.items() if not name.endswith(ends)}
        parts = [f"<p>By class, the lowest F1 first</p>{Table(plain).take(order).html()}"]
        if len(self.confusions):
            parts.append(f"<p>Taken for another, the most frequent first</p>{self.confusions.html(_MOST_CELLS)}")
        return "".join(parts)


def classification(
    labels: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    probabilities: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    top: Sequence[int] = TOP,
    metrics: Mapping[str, own_metrics.Metric] | None = None,
    normalise: bool = False,
    level: float = intervals.LEVEL,
) -> Classification:
    """Compares predictions with labels.

    Rows without a label, and rows whose prediction cannot be read (NaN, or nothing but zeros), are counted and left
    out; `result.rows.bad` has their places.

    Args:
        labels: N class numbers from 0; -1, None or NaN for none.
        predicted: N class numbers; by default the likeliest class.
        probabilities: N × C floats. They are read in blocks and never copied as a whole.
        confidence: N floats, 0..1: how sure each prediction is, where there are no probabilities.
        classes: names, by number.
        groups: N values: rows of one group (a patient, a video) are alike, and intervals are the wider for it.
        top: for each k, how often the label is among the k likeliest classes; those below the number of classes.
        metrics: functions of one's own by name, called with labels, predicted and, where there are, probabilities of
            the rows that count. One that fails is told by its name in `problems`.
        normalise: divide probabilities by their sum where that is not 1, instead of refusing them.
        level: of the intervals.

    Raises:
        EvaluationError: nothing is left to compare, or lengths differ, or a number names no class, or these are no
            probabilities.
    """
    level = intervals.check_level(level)
    given = None if probabilities is None else predictions.probabilities_of(probabilities)
    if given is not None:
        if confidence is not None:
            raise EvaluationError("Probabilities say how sure a prediction is.", hint="Leave confidence= out.")
        names = predictions.named(classes, given.shape[1])
        rows = predictions.of_probabilities(labels, given, predicted, normalise)
        total = len(given)
    else:
        if predicted is None:
            raise EvaluationError("There are no predictions.", hint="Give predicted= or probabilities=.")
        names = predictions.named(classes, _most(labels, predicted) if classes is None else len(classes))
        rows = predictions.of_codes(labels, predicted, confidence, len(names))
        total = len(rows) + rows.unlabelled + len(rows.bad)
    if not len(rows):
        raise _nothing(rows, total)
    how = intervals.sampling(total, groups)
    how = how if len(rows) == total else how.take(rows.index)
    found = confusion.pairs(rows.labels, rows.predicted, len(names))
    per = {
        "precision": confusion.precisions(found, how, level),
        "recall": confusion.recalls(found, how, level),
        "f1": confusion.f1s(found, how, level),
    }
    figures = confusion.averages(found, how, level, per)
    columns = _by_class(names, found, per)
    sure = None
    if rows.confidence is not None:
        sure = curves.calibration(found.truth[found.of] == found.predicted[found.of], rows.confidence, how, level)
    areas = None
    if given is not None:
        figures |= _of_probabilities(rows, given, top, how, level)
        areas = curves.areas(given, rows.index, rows.labels, rows.scale, how, level)
        for name in curves.AVERAGES:
            value = areas.average(name, found.support)
            figures[name] = Figure(value, *areas.interval(name, value, found.support, how, level))
        for name, values, ends in (
            ("roc_auc", areas.roc, areas.roc_ends),
            ("average_precision", areas.precision, areas.precision_ends),
        ):
            columns |= {name: values, f"{name}_low": ends[:, 0], f"{name}_high": ends[:, 1]}
    if sure is not None:
        figures["calibration_error"] = Figure(sure.error, *sure.interval(level))
    arrays: tuple[NDArray[Any], ...] = (rows.labels, rows.predicted)
    if given is not None and metrics:
        arrays = (*arrays, _readable(given, rows))
    own, problems = own_metrics.computed(metrics, arrays, how, level, taken=figures)
    return Classification(
        {**figures, **own}, len(rows), level, tuple(_notes(rows, found, given is not None)), tuple(problems), names,
        rows=rows, pairs=found, per_class=Table(columns), calibration=sure, areas=areas, how=how,
    )  # fmt: skip


def _of_probabilities(
    rows: Rows, given: NDArray[Any], top: Sequence[int], how: Sampling, level: float
) -> dict[str, Figure]:
    """Top-k, log loss and Brier score."""
    assert rows.rank is not None and rows.own is not None and rows.squares is not None
    figures = {}
    for k in top:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise EvaluationError(f"top= takes numbers of classes, not {k!r}.", hint="For example: top=(3, 5)")
        if k < given.shape[1]:
            hit = (rows.rank < k).astype(np.float64)
            share = float(hit.mean())
            variance = share * (1 - share) / len(hit)
            if how.groups is not None:
                variance = how.variance((hit - share) / len(hit))
            figures[f"top_{k}"] = Figure(share, *intervals.of_share(share, variance, len(hit), how, level))
    figures["log_loss"] = intervals.of_mean(_log_loss(rows), how, level)
    figures["brier"] = intervals.of_mean(rows.squares, how, level)
    return figures


def _log_loss(rows: Rows) -> NDArray[np.float64]:
    """Of each row; a probability of 0 counts as the smallest step from 1 of its type, as in scikit-learn."""
    assert rows.own is not None
    loss: NDArray[np.float64] = -np.log(np.clip(rows.own, rows.least, 1 - rows.least))
    return loss


def _by_class(
    names: tuple[str, ...], found: confusion.Pairs, per: dict[str, confusion.Shares]
) -> dict[str, Sequence[str] | NDArray[Any]]:
    columns: dict[str, Sequence[str] | NDArray[Any]] = {
        "class": names,
        "rows": found.support.astype(np.int64),
        "predicted": found.said.astype(np.int64),
    }
    for name, of in per.items():
        columns |= {name: of.values, f"{name}_low": of.low, f"{name}_high": of.high}
    return columns


def _readable(given: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """The probabilities of the rows that count, for metrics of one's own."""
    kept = given if len(rows) == len(given) else given[rows.index]
    return kept if rows.scale is None else kept / rows.scale[:, None]


def _most(labels: ArrayLike, predicted: ArrayLike) -> int:
    """How many classes numbers name."""
    both = (predictions.codes(labels, "labels", 1 << 31), predictions.codes(predicted, "predictions", 1 << 31))
    return max(1, *(int(codes.max(initial=-1)) + 1 for codes in both))


def _nothing(rows: Rows, total: int) -> EvaluationError:
    if not total:
        return EvaluationError("There is nothing to evaluate: no rows were given.", code="empty")
    why = [f"{rows.unlabelled:,} have no label"] if rows.unlabelled else []
    why += [f"{len(rows.bad):,} have a prediction that cannot be read (NaN, or zeros)"] if len(rows.bad) else []
    return EvaluationError(
        f"Nothing is left to evaluate: of {total:,} rows {', and '.join(why)}.",
        hint="Label some samples, or look at the model's output.",
        code="empty",
    )


def _notes(rows: Rows, found: confusion.Pairs, probabilities: bool) -> list[str]:
    notes = []
    if rows.unlabelled:
        notes.append(f"Left out: {counted(rows.unlabelled, 'row')} without a label.")
    if len(rows.bad):
        bad = counted(len(rows.bad), "row")
        notes.append(f"Left out: {bad} whose prediction cannot be read ({predictions.some(rows.bad)}).")
    if rows.summed:
        notes.append(f"Divided by their sum, which was not 1: probabilities of {counted(rows.summed, 'row')}.")
    never = np.flatnonzero((found.support > 0) & (found.said == 0))
    if len(never):
        notes.append(f"Never predicted, with a precision of 0 in averages: {_classes(len(never))}.")
    if probabilities and np.count_nonzero(found.support) < 2:
        notes.append("Only one class occurs, so there are no curves and no areas.")
    elif probabilities and (lacking := int(np.count_nonzero(found.support == 0))):
        notes.append(f"In no label, so without areas: {_classes(lacking)}.")
    return notes


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count:,} classes"
