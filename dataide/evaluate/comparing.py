"""Two models on the same rows: what differs, how sure that is, and which rows were won and lost.

- shares of rows (accuracy, top-k): McNemar's mid-p test (Fagerland, Lydersen and Laake, BMC Medical Research
  Methodology 2013) and the adjusted interval of Bonett and Price (2012); with groups, a test of their differences.
- means of rows (log loss, Brier score): the paired t test.
- averages over classes (F1 and its kin): a paired Poisson bootstrap of what was taken for what; of many different
  pairs, or with groups, from influences (see intervals.py).
- areas: the paired test of DeLong, DeLong and Clarke-Pearson (1988), of the averages over classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import confusion, curves, intervals, own_metrics
from dataide.evaluate.classification import Classification
from dataide.evaluate.figures import Figures, Table, between, number
from dataide.evaluate.intervals import Figure, Floats, Sampling

_DRAWS = 1_000
_MOST_KINDS = 20_000  # of rows that are drawn; of more, the normal distribution is as good
_AT_ONCE = 1 << 21  # numbers that are drawn at once
_SIMULATED = 2_000


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Figures):
    """By how much b is above a: a mapping of differences, result["accuracy"], with intervals and tests.

    Attributes:
        names: of a and b.
        before, after: the figures of a and b.
        p: by metric, how likely so large a difference is where there is none; NaN where nothing can be said.
        won: places of rows that only b has right.
        lost: places of rows that only a has right.
    """

    names: tuple[str, str] = ("a", "b")
    before: Mapping[str, float] = field(kw_only=True)
    after: Mapping[str, float] = field(kw_only=True)
    p: Mapping[str, float] = field(kw_only=True)
    won: NDArray[np.int64] = field(kw_only=True)
    lost: NDArray[np.int64] = field(kw_only=True)

    @property
    def title(self) -> str:
        one, other = self.names
        return (
            f"{other} against {one} on {self.count:,} samples: {len(self.won):,} won, {len(self.lost):,} lost; "
            f"differences are {other} less {one}"
        )

    @property
    def table(self) -> Table:
        """All metrics: metric, the two figures, difference, low, high, p."""
        names = list(self.figures)
        ends = np.array(list(self.figures.values()), np.float64).reshape(-1, 3)
        one, other = self.names
        return Table(
            {
                "metric": names,
                one: np.array([self.before[name] for name in names]),
                other: np.array([self.after[name] for name in names]),
                "difference": ends[:, 0],
                "low": ends[:, 1],
                "high": ends[:, 2],
                "p": np.array([self.p[name] for name in names]),
            }
        )

    def __repr__(self) -> str:
        shown = self._shown()
        wide = [max(len(name), *map(len, values)) for name, values in shown.items()]
        lines = [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
            for row in [tuple(shown), *zip(*shown.values(), strict=True)]
        ]
        return "\n".join([self.title, *lines, *self._told()])

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{escape(line)}</p>" for line in self._told())
        return f"<p>{escape(self.title)}</p>{Table(self._shown()).html(len(self))}{told}"

    def _shown(self) -> dict[str, list[str]]:
        """The table as people read it."""
        before, after = self.names
        return {
            "metric": [name.replace("_", " ") for name in self.figures],
            before: [number(self.before[name]) for name in self.figures],
            after: [number(self.after[name]) for name in self.figures],
            "difference": [f"{'+' * (one.value > 0)}{number(one.value)}" for one in self.figures.values()],
            f"interval of {self.level:.0%}": [between(one.low, one.high) for one in self.figures.values()],
            "p": ["<0.0001" if self.p[name] < 0.0001 else number(self.p[name]) for name in self.figures],
        }


def compare(
    a: Classification,
    b: Classification,
    *,
    names: tuple[str, str] = ("a", "b"),
    metrics: Mapping[str, own_metrics.Metric] | None = None,
    seed: int = 0,
) -> Comparison:
    """Says by how much b is better or worse than a on the same rows.

    Args:
        a, b: of the same rows, labels, groups and level.
        names: of the two.
        metrics: functions of one's own by name, called with labels and predictions; p is not known of these.
        seed: of draws.

    Raises:
        EvaluationError: they are about different rows or labels, or have the same name.
    """
    _same(a, b, names)
    found = {"accuracy": _shares(a.right, b.right, a.how, a.level)}
    found |= _by_class(a, b, seed)
    for name in a:
        if name.startswith("top_") and name in b:
            k = int(name.removeprefix("top_"))
            assert a.rows.rank is not None and b.rows.rank is not None
            found[name] = _shares(a.rows.rank < k, b.rows.rank < k, a.how, a.level)
    if a.rows.own is not None and b.rows.own is not None:
        assert a.rows.squares is not None and b.rows.squares is not None
        found["log_loss"] = _means(b.loss - a.loss, a.how, a.level)
        found["brier"] = _means(b.rows.squares - a.rows.squares, a.how, a.level)
    if a.areas is not None and b.areas is not None:
        for name in curves.AVERAGES:
            off = b.areas.influence[name] - a.areas.influence[name]
            found[name] = _normal(b[name] - a[name], a.areas.standing.variance(off), a.how, a.level)
    if a.calibration is not None and b.calibration is not None:
        found["calibration_error"] = _calibrations(a, b, seed)
    order = [name for name in a.figures if name in found]
    figures = {name: Figure(b[name] - a[name], *found[name][1:3]) for name in order}
    differences = {name: partial(_difference, metric) for name, metric in (metrics or {}).items()}
    arrays = (a.rows.labels, a.rows.predicted, b.rows.predicted)
    own, problems = own_metrics.computed(differences, arrays, a.how, a.level, taken=figures)
    before, after = dict(a), dict(b)
    for name in own:
        before[name] = float(metrics[name](*arrays[:2])) if metrics else math.nan
        after[name] = before[name] + own[name].value
    tests = {name: found[name][3] for name in order} | dict.fromkeys(own, math.nan)
    return Comparison(
        {**figures, **own}, a.count, a.level, (), tuple(problems), names, before=before, after=after, p=tests,
        won=a.rows.index[b.right & ~a.right], lost=a.rows.index[a.right & ~b.right],
    )  # fmt: skip


Tested = tuple[float, float, float, float]  # difference, low, high, p


def _same(a: Classification, b: Classification, names: tuple[str, str]) -> None:
    one, other = names
    if one == other:
        raise EvaluationError(f"Both are named {one!r}.", hint="Compare two runs: session.compare('v1', 'v2')")
    if a.classes != b.classes:
        raise EvaluationError(f"{one} and {other} have different classes.", hint="Give classes=[…] to both, in order.")
    same = np.array_equal(a.rows.index, b.rows.index) and np.array_equal(a.rows.labels, b.rows.labels)
    if not same:
        raise EvaluationError(
            f"{one} is about {a.count:,} rows and {other} about {b.count:,}, and they are not the same with the same "
            "labels.",
            hint="Evaluate both on the rows that both have a prediction for.",
        )
    groups, others = a.how.groups, b.how.groups
    if groups is None or others is None:
        alike = groups is None and others is None
    else:
        alike = np.array_equal(groups, others)
    if not alike:
        raise EvaluationError(f"{one} and {other} have different groups.", hint="Give groups= to both.")
    if a.level != b.level:
        raise EvaluationError(
            f"{one} has intervals of {a.level:.0%} and {other} of {b.level:.0%}.", hint="Use one level."
        )


def _shares(a: NDArray[np.bool_], b: NDArray[np.bool_], how: Sampling, level: float) -> Tested:
    difference = b.astype(np.float64) - a
    if how.groups is not None:
        return _means(difference, how, level)
    won, lost = int(np.count_nonzero(b & ~a)), int(np.count_nonzero(a & ~b))
    mean = (won - lost) / len(a)
    more, less = (won + 1) / (len(a) + 2), (lost + 1) / (len(a) + 2)
    reach = how.quantile(level) * math.sqrt((more + less - (more - less) ** 2) / (len(a) + 2))
    return mean, max(more - less - reach, -1.0), min(more - less + reach, 1.0), mcnemar(won, lost)


def mcnemar(won: int, lost: int) -> float:
    """The mid-p value of McNemar's exact test: how likely so uneven a split of `won` + `lost` rows is by chance."""
    both = won + lost
    if not both:
        return 1.0
    chances = intervals.half_binomial(both)
    fewer = min(won, lost)
    return float(min(1.0, 2 * chances[:fewer].sum() + chances[fewer]))


def _means(difference: Floats, how: Sampling, level: float) -> Tested:
    mean = float(difference.mean())
    return _normal(mean, how.variance((difference - mean) / len(difference)), how, level)


def _normal(difference: float, variance: float, how: Sampling, level: float) -> Tested:
    if not math.isfinite(variance) or math.isnan(difference):
        return difference, math.nan, math.nan, math.nan
    if variance <= 1e-24:
        return difference, difference, difference, 1.0 if abs(difference) < 1e-12 else 0.0
    freedom = how.units - 1 if how.groups is not None else math.inf
    low, high = intervals.of_sum(difference, variance, how, level)
    return difference, low, high, intervals.two_sided(difference / math.sqrt(variance), freedom)


def _by_class(a: Classification, b: Classification, seed: int) -> dict[str, Tested]:
    """Averages over classes: from the pairs (label, prediction of a, prediction of b) that occur."""
    together = a.pairs.of.astype(np.int64) * len(b.pairs.counts) + b.pairs.of
    kinds, of, counts = np.unique(together, return_inverse=True, return_counts=True)
    one, other = kinds // len(b.pairs.counts), kinds % len(b.pairs.counts)
    if a.how.groups is not None or len(kinds) > _MOST_KINDS:
        before, after = confusion.influences(a.pairs), confusion.influences(b.pairs)
        found = {}
        for name in before:
            off = after[name][other] - before[name][one]
            rows = len(a.rows)
            plain = float(counts @ (off * off)) * rows / max(rows - 1, 1)
            variance = plain if a.how.groups is None else a.how.variance(off[of])
            found[name] = _normal(b[name] - a[name], variance, a.how, a.level)
        return {name: tested for name, tested in found.items() if name != "accuracy"}
    random = np.random.default_rng(seed)
    sides = [
        confusion.Pairs(pairs.truth[part], pairs.predicted[part], counts, pairs.classes, of)
        for pairs, part in ((a.pairs, one), (b.pairs, other))
    ]
    drawn: dict[str, list[Floats]] = {}
    step = max(1, _AT_ONCE // len(kinds))
    for start in range(0, _DRAWS, step):
        weights = intervals.weights(random, counts.astype(np.int64), min(step, _DRAWS - start))
        before, after = (confusion.averaged(weights, side) for side in sides)
        for name in before:
            drawn.setdefault(name, []).append(after[name] - before[name])
    return {
        name: _drawn(b[name] - a[name], np.concatenate(parts), a.level)
        for name, parts in drawn.items()
        if name != "accuracy"
    }


def _drawn(difference: float, draws: Floats, level: float) -> Tested:
    draws = draws[np.isfinite(draws)]
    if len(draws) < _DRAWS // 2:
        return difference, math.nan, math.nan, math.nan
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    least = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    return difference, float(low), float(high), min(1.0, 2 * (least + 1) / (len(draws) + 1))


def _calibrations(a: Classification, b: Classification, seed: int) -> Tested:
    """The difference of calibration errors, simulated from both models' gaps at once: their rows are the same."""
    assert a.calibration is not None and b.calibration is not None
    assert a.rows.confidence is not None and b.rows.confidence is not None
    bins = len(a.calibration.count)
    each, place = [], []
    for side, calibration, confidence in ((a, a.calibration, a.rows.confidence), (b, b.calibration, b.rows.confidence)):
        inside = curves.bins_of(confidence, bins)
        each.append(side.right - confidence - (calibration.gap / calibration.count.clip(1))[inside])
        place.append(inside)
    if a.how.groups is None:
        shared = intervals.total(place[0] * bins + place[1], each[0] * each[1], bins * bins).reshape(bins, bins)
    else:
        sums = [
            intervals.total(a.how.groups * bins + inside, values, a.how.units * bins).reshape(-1, bins)
            for inside, values in zip(place, each, strict=True)
        ]
        shared = sums[0].T @ sums[1]
    spread = np.block(
        [[np.diag(a.calibration.variance), shared], [shared.T, np.diag(b.calibration.variance)]],
    )
    if not np.isfinite(spread).all():
        return b["calibration_error"] - a["calibration_error"], math.nan, math.nan, math.nan
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0))
    chance = np.random.default_rng(seed).standard_normal((_SIMULATED, 2 * bins)) @ root.T
    likely = [curves.shrunk(side.gap, side.variance) for side in (a.calibration, b.calibration)]
    errors = [np.abs(chance[:, :bins] + likely[0]).sum(axis=1), np.abs(chance[:, bins:] + likely[1]).sum(axis=1)]
    off = (errors[1] - likely[1].sum() - errors[0] + likely[0].sum()) / a.count
    difference = b["calibration_error"] - a["calibration_error"]
    # Where gaps are so large that their signs are sure, the errors vary as the sums of gaps do.
    signs = np.concatenate([-np.sign(a.calibration.gap), np.sign(b.calibration.gap)]) / a.count
    variance = max(float(off.var()), float(signs @ spread @ signs))
    _, low, high, p = _normal(difference - float(off.mean()), variance, a.how, a.level)
    return difference, min(low, difference), max(high, difference), p


def _difference(metric: own_metrics.Metric, labels: Any, before: Any, after: Any) -> float:
    return float(metric(labels, after)) - float(metric(labels, before))
