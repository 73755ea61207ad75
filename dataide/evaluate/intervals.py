"""Intervals for metrics: of shares, of means, of anything whose rows' influence is known, and by resampling.

A metric is a function of rows. The *influence* of a row is what the metric would change by if the row counted a little
more; the sum of their squares is the variance of the metric (the infinitesimal jackknife: Jaeckel, 1972; Efron, The
Jackknife, the Bootstrap and Other Resampling Plans, 1982, section 6). Rows of one group (a patient, a video) are summed
before they are squared, which holds however much alike they are (Liang and Zeger, Biometrika 1986).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataide.errors import EvaluationError

Floats = NDArray[np.float64]
LEVEL = 0.95
# Resampling draws at most so many rows: of more, the spread is that of fewer, scaled (see `resampled`).
_MOST_DRAWN = 20_000
_FEWEST_DRAWS = 0.9  # of the draws must have a value
_FEW = 1_000  # rows of which the binomial distribution is summed exactly


class Interval(NamedTuple):
    """From where to where a figure may truly lie; NaN where nothing can be said."""

    low: float
    high: float


class Figure(NamedTuple):
    """A figure and its interval."""

    value: float
    low: float
    high: float


NOTHING = Interval(math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Sampling:
    """How rows came about: each by itself, or in groups that are alike.

    Attributes:
        count: rows.
        groups: int64 of each row, from 0 and without gaps; None where each row stands for itself.
    """

    count: int
    groups: NDArray[np.int64] | None = None

    @cached_property
    def units(self) -> int:
        """How many independent things there are: groups, or rows."""
        return self.count if self.groups is None else int(self.groups.max(initial=-1)) + 1

    def quantile(self, level: float) -> float:
        """How many standard errors an interval reaches: of the normal distribution, or of t where groups are few."""
        return t_quantile(level, self.units - 1 if self.groups is not None else math.inf)

    def variance(self, influence: Floats) -> float:
        """The variance of the sum of what rows contribute, which is 0 on average."""
        if self.units < 2:
            return math.nan
        sums = influence if self.groups is None else total(self.groups, influence, self.units)
        return float(sums @ sums) * self.units / (self.units - 1)

    def variances(self, influence: Floats, of: NDArray[np.int64], size: int, row: NDArray[np.int64]) -> Floats:
        """`variance` for each of several sums; an entry goes to the sum `of` and belongs to a `row`."""
        if self.groups is None:
            return total(of, influence * influence, size)
        places, entry = np.unique(self.groups[row] * size + of, return_inverse=True)
        sums = total(entry, influence, len(places))
        found = total(places % size, sums * sums, size)
        return found * self.units / (self.units - 1) if self.units > 1 else np.full(size, np.nan)

    def take(self, rows: NDArray[np.intp]) -> Sampling:
        """The same of some rows."""
        if self.groups is None:
            return Sampling(len(rows))
        return Sampling(len(rows), np.unique(self.groups[rows], return_inverse=True)[1].astype(np.int64))


def sampling(count: int, groups: ArrayLike | None) -> Sampling:
    """How rows came about, from any values that name the group of each; None (or NaN) is a group of its own.

    Raises:
        EvaluationError: there are not as many groups as rows.
    """
    if groups is None:
        return Sampling(count)
    given = np.asarray(groups)
    if given.shape != (count,):
        raise EvaluationError(
            f"There are groups of shape {given.shape}, and {count:,} rows.", hint="Give one group for each row."
        )
    if given.dtype == object:
        known: dict[object, int] = {}
        values = given.tolist()
        named = (-1 if one is None or one != one else known.setdefault(one, len(known)) for one in values)
        codes = np.fromiter(named, np.int64, count)
    else:
        codes = np.unique(given, return_inverse=True)[1].astype(np.int64)
        if given.dtype.kind == "f":
            codes[np.isnan(given)] = -1
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return Sampling(count, np.unique(codes, return_inverse=True)[1].astype(np.int64))


def total(of: NDArray[np.integer], values: NDArray[Any], size: int) -> Floats:
    """The sum of the values of each number below `size`."""
    return np.bincount(of, values, size).astype(np.float64, copy=False)


def check_level(level: float) -> float:
    """The level of an interval, as given.

    Raises:
        EvaluationError: it is not between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise EvaluationError(
            f"An interval has a level between 0 and 1, not {level!r}.", hint="For example: level=0.95"
        )
    return float(level)


def wilson(share: ArrayLike, count: ArrayLike, quantile: float) -> tuple[Floats, Floats]:
    """The interval of a share (Wilson, JASA 1927); also of one that has the variance of a share of `count` trials.

    Args:
        share: 0..1; NaN gives NaN.
        count: of trials, which need not be whole; 0 gives NaN.
        quantile: how many standard errors it reaches.

    Returns:
        Lower and upper ends, of the shape of share and count.
    """
    share, count = np.asarray(share, np.float64), np.asarray(count, np.float64)
    square = quantile * quantile
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = share + square / (2 * count)
        reach = quantile * np.sqrt(np.maximum(share * (1 - share), 0) / count + square / (4 * count * count))
        whole = 1 + square / count
        low, high = (middle - reach) / whole, (middle + reach) / whole
    # Rounding must not leave the share outside of its own interval.
    return np.minimum(np.clip(low, 0, 1), share), np.maximum(np.clip(high, 0, 1), share)


def trials(share: ArrayLike, variance: ArrayLike, at_end: ArrayLike) -> Floats:
    """How many independent trials would give a share this variance (Kish, Survey Sampling, 1965, section 8.2).

    Args:
        share: 0..1.
        variance: of its estimate.
        at_end: what to say where the variance is 0, as it is at 0 and 1.
    """
    share, variance = np.asarray(share, np.float64), np.asarray(variance, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = share * (1 - share) / variance
    fits = (variance > 1e-18) & (share > 0) & (share < 1)
    found: Floats = np.where(np.isnan(variance), np.nan, np.where(fits, count, at_end))
    return found


def of_share(share: float, variance: float, at_end: float, how: Sampling, level: float) -> Interval:
    """The interval of anything between 0 and 1 whose variance is known: Wilson's, for as many `trials`."""
    low, high = wilson(share, trials(share, variance, min(at_end, how.units)), how.quantile(level))
    return Interval(float(low), float(high))


def of_sum(value: float, variance: float, how: Sampling, level: float) -> Interval:
    """The interval of anything else whose variance is known."""
    if not math.isfinite(variance):
        return NOTHING
    reach = how.quantile(level) * math.sqrt(variance)
    return Interval(value - reach, value + reach)


def of_mean(values: Floats, how: Sampling, level: float) -> Figure:
    """A mean over rows and its interval; it cannot be lower than the lowest value may be, if that is 0."""
    mean = float(values.mean())
    low, high = of_sum(mean, how.variance((values - mean) / len(values)), how, level)
    return Figure(mean, max(low, 0.0) if values.min() >= 0 else low, high)


def of_average(values: Floats, low: Floats, high: Floats, inflation: float) -> Interval:
    """The interval of the plain average of estimates whose own intervals are known.

    The method of variance estimates recovery (Zou and Donner, Statistics in Medicine 2008, section 2): it stays
    sensible where estimates lie at 0 or 1, whose variances look like 0.

    Args:
        values: of the estimates, with `low` and `high` ends.
        inflation: how many times the variance is what it would be if they were independent.
    """
    average, weight = float(values.mean()), math.sqrt(max(inflation, 0.0)) / len(values)
    below = weight * float(np.linalg.norm(values - low))
    above = weight * float(np.linalg.norm(high - values))
    return Interval(max(average - below, 0.0), min(average + above, 1.0))


def of_median(ordered: Floats, level: float) -> Interval:
    """The interval of a median: two of the sorted values (David and Nagaraja, Order Statistics, 2003, section 7.1)."""
    count = len(ordered)
    if count > _FEW:
        reach = t_quantile(level, math.inf) * math.sqrt(count) / 2
        first = math.floor(count / 2 - reach)
    else:
        below = np.cumsum(half_binomial(count))  # the chance of at most so many values below the median
        first = int(np.searchsorted(below, (1 - level) / 2, side="right"))
    if first < 1:
        return NOTHING  # so few values that even the lowest and the highest do not reach the level
    return Interval(float(ordered[first - 1]), float(ordered[count - first]))


def half_binomial(count: int) -> Floats:
    """The chances of 0, 1 … `count` heads of so many fair coins."""
    heads = np.arange(count)
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - heads) / (heads + 1)))])
    chances: Floats = np.exp(logs - count * math.log(2))
    return chances


def resampled(
    metric: Callable[[NDArray[np.intp]], float], value: float, how: Sampling, level: float, *, draws: int, seed: int
) -> Interval:
    """The interval of any metric by drawing rows, or groups, with replacement (Efron, Annals of Statistics 1979).

    Of many rows fewer are drawn, and the spread is scaled by the root of their share (Bickel, Götze and van Zwet,
    Statistica Sinica 1997), so a million rows take no longer than 20,000.

    Args:
        metric: of rows, by their places.
        value: of all rows.
        how: they came about.
        level: of the interval.
        draws: how often.
        seed: of the draws.
    """
    if how.units < 2:
        return NOTHING
    random = np.random.default_rng(seed)
    drawn = min(how.units, max(2, math.ceil(_MOST_DRAWN * how.units / how.count)))
    if how.groups is not None:
        rows = np.argsort(how.groups, kind="stable")
        starts = np.searchsorted(how.groups[rows], np.arange(how.units + 1))
    found = np.empty(draws)
    for at in range(draws):
        units = random.integers(0, how.units, drawn)
        if how.groups is None:
            found[at] = metric(units)
        else:
            found[at] = metric(np.concatenate([rows[starts[unit] : starts[unit + 1]] for unit in units.tolist()]))
    found = found[np.isfinite(found)]
    if len(found) < _FEWEST_DRAWS * draws:
        return NOTHING
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    if drawn == how.units:
        low, high = np.quantile(found, ends)
    else:
        low, high = value + np.quantile(found - found.mean(), ends) * math.sqrt(drawn / how.units)
    return Interval(float(low), float(high))


def weights(random: np.random.Generator, counts: NDArray[np.int64], draws: int) -> Floats:
    """How often each kind of row is there in each draw of a Poisson bootstrap, shape draws × kinds.

    Rows that are alike for a metric are drawn together: the sum of `n` Poisson numbers of mean 1 is one of mean `n`, so
    a million rows cost as much as there are different ones (Chamandy, Muralidharan, Najmi and Naidu, Estimating
    uncertainty for massive data streams, 2012, section 3).
    """
    return random.poisson(counts, (draws, len(counts))).astype(np.float64)


@cache
def t_quantile(level: float, freedom: float) -> float:
    """How far from 0 the middle share `level` of Student's t reaches; infinite freedom is the normal distribution."""
    if freedom < 1:
        return math.nan
    normal = NormalDist().inv_cdf((1 + level) / 2)
    if math.isinf(freedom):
        return normal
    low, high = normal, 2 * normal
    while two_sided(high, freedom) > 1 - level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 1 - level else (low, middle)
    return high


def two_sided(statistic: float, freedom: float = math.inf) -> float:
    """The chance that Student's t (or the normal distribution) lies as far from 0 as this, to either side."""
    if math.isnan(statistic) or freedom < 1:
        return math.nan
    if math.isinf(freedom):
        return math.erfc(abs(statistic) / math.sqrt(2))
    if math.isinf(statistic):
        return 0.0
    return _incomplete_beta(freedom / (freedom + statistic * statistic), freedom / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun, 1964, 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    tiny = 1e-300
    upper, lower, fraction = 1.0, 1 - (a + b) * x / (a + 1), 0.0
    lower = 1 / (lower if abs(lower) > tiny else tiny)
    fraction = lower
    for step in range(1, 500):
        for term in (
            step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            lower = 1 + term * lower
            lower = 1 / (lower if abs(lower) > tiny else tiny)
            upper = 1 + term / upper
            upper = upper if abs(upper) > tiny else tiny
            fraction *= lower * upper
        if abs(lower * upper - 1) < 1e-15:
            break
    return front * fraction
