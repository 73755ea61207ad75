"""How good predicted numbers are: errors, with intervals.

- mae, rmse, bias: the mean absolute error, the root of the mean squared error, and the mean error, predicted less true.
- median_error: the median absolute error; its interval is two of the sorted errors.
- r2: the share of the variance that is explained; 0 is what the mean would reach, and below is worse. Its interval, as
  that of rmse, is from influences (see intervals.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import intervals, own_metrics, predictions
from dataide.evaluate.figures import Figures, counted
from dataide.evaluate.intervals import Figure, Floats, Sampling


@dataclass(frozen=True, eq=False, repr=False)
class Regression(Figures):
    """What predicted numbers are worth; reads like a mapping: result["mae"].

    Attributes:
        index: places of the rows that count.
        error: predicted less true, of these rows.
        bad: places of rows with a label whose prediction is no finite number.
        unlabelled: rows without a finite label.
    """

    index: NDArray[np.int64] = field(kw_only=True)
    error: Floats = field(kw_only=True)
    bad: NDArray[np.int64] = field(kw_only=True)
    unlabelled: int = field(kw_only=True)

    @property
    def title(self) -> str:
        return f"Regression of {self.count:,} samples"


def regression(
    labels: ArrayLike,
    predicted: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    metrics: Mapping[str, own_metrics.Metric] | None = None,
    level: float = intervals.LEVEL,
) -> Regression:
    """Compares predicted numbers with true ones.

    Args:
        labels: N numbers; NaN, None or infinite for none.
        predicted: N numbers. Rows where it is not finite are counted and left out.
        groups: N values: rows of one group are alike, and intervals are the wider for it.
        metrics: functions of one's own by name, called with labels and predictions.
        level: of the intervals.

    Raises:
        EvaluationError: nothing is left to compare, or lengths differ, or these are no numbers.
    """
    level = intervals.check_level(level)
    truth, said = (
        predictions.numbers(values, what).astype(np.float64)
        for values, what in ((labels, "labels"), (predicted, "predictions"))
    )
    if len(truth) != len(said):
        raise EvaluationError(
            f"There are {len(truth):,} labels and {len(said):,} predictions.", hint="Give one for each sample."
        )
    there, readable = np.isfinite(truth), np.isfinite(said)
    index, bad = np.flatnonzero(there & readable), np.flatnonzero(there & ~readable)
    unlabelled = int(np.count_nonzero(~there))
    if not len(index):
        raise EvaluationError(
            f"Nothing is left to evaluate: of {len(truth):,} rows {unlabelled:,} have no label, and {len(bad):,} a "
            "prediction that is no finite number.",
            code="empty",
        )
    how = intervals.sampling(len(truth), groups).take(index) if groups is not None else Sampling(len(index))
    truth, said = truth[index], said[index]
    error = said - truth
    figures = _figures(truth, error, how, level)
    own, problems = own_metrics.computed(metrics, (truth, said), how, level, taken=figures)
    notes = [f"Left out: {counted(unlabelled, 'row')} without a label."] if unlabelled else []
    if len(bad):
        rows = counted(len(bad), "row")
        notes.append(f"Left out: {rows} whose prediction is no number ({predictions.some(bad)}).")
    if math.isnan(figures["r2"].value):
        notes.append("All labels are the same, so there is no variance to explain.")
    return Regression(
        {**figures, **own}, len(index), level, tuple(notes), tuple(problems),
        index=index, error=error, bad=bad, unlabelled=unlabelled,
    )  # fmt: skip


def _figures(truth: Floats, error: Floats, how: Sampling, level: float) -> dict[str, Figure]:
    size = np.abs(error)
    ordered = np.sort(size)
    square, count = error * error, len(error)
    mean_square = float(square.mean())
    rmse = math.sqrt(mean_square)
    # Of a root: the ends of the mean squared error's interval, which cannot be below 0.
    _, least, most = intervals.of_mean(square, how, level)
    bias = float(error.mean())
    figures = {
        "mae": intervals.of_mean(size, how, level),
        "rmse": Figure(rmse, math.sqrt(max(least, 0.0)), math.sqrt(most)),
        "bias": Figure(bias, *intervals.of_sum(bias, how.variance((error - bias) / count), how, level)),
    }
    median = float(np.median(ordered))
    if how.groups is None:
        ends = intervals.of_median(ordered, level)
    else:
        drawn = {"draws": 200, "seed": 0}
        ends = intervals.resampled(lambda rows: float(np.median(size[rows])), median, how, level, **drawn)
    figures["median_error"] = Figure(median, *ends)
    apart = (truth - truth.mean()) ** 2
    whole = float(apart.mean())
    # Differences that are only rounding are no variance.
    if whole <= (1e-13 * float(np.abs(truth).max(initial=0.0))) ** 2:
        figures["r2"] = Figure(math.nan, math.nan, math.nan)
        return figures
    left = mean_square / whole
    variance = how.variance((left * apart - square) / whole / count)
    low, high = intervals.of_sum(1 - left, variance, how, level)
    figures["r2"] = Figure(1 - left, low, min(high, 1.0))
    return figures
