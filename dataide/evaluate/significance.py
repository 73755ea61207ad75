"""Whether a group fails more than by chance: tails, intervals of a difference, and many tests at once. Numpy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Terms of a tail that are added up; what follows them is bounded by a geometric series.
_TERMS = 48
Z95 = 1.959963984540054


def fisher(errors: np.ndarray, sizes: np.ndarray, all_errors: int, everybody: int) -> Floats:
    """The chance that a group of this size, drawn blindly, holds so many errors or more.

    The upper tail of the hypergeometric distribution (Fisher, "Statistical Methods for Research Workers", 1934,
    section 21.02), never below the exact value and above it by less than one part in a hundred where it is small.

    Args:
        errors: int, any shape: of each group.
        sizes: int, the same shape.
        all_errors: among everybody, the group included.
        everybody: how many there are.

    Returns:
        float64, the same shape; 1 where a group fails no more than everybody does.
    """
    errors, sizes = np.asarray(errors, np.float64), np.asarray(sizes, np.float64)
    chance = np.ones(errors.shape)
    more = (sizes > 0) & (errors * everybody > sizes * all_errors)
    if not more.any():
        return chance
    k, s = errors[more], sizes[more]
    whole, wrong = float(everybody), float(all_errors)
    log_first = (
        _log_choose(np.full_like(k, wrong), k)
        + _log_choose(np.full_like(k, whole - wrong), s - k)
        - _log_choose(np.full_like(k, whole), s)
    )
    total, term, ratio = np.ones_like(k), np.ones_like(k), np.zeros_like(k)
    for step in range(_TERMS):
        above = np.maximum(wrong - k - step, 0) * np.maximum(s - k - step, 0)
        ratio = above / ((k + 1 + step) * np.maximum(whole - wrong - s + k + 1 + step, 1))
        term *= ratio
        total += term
    total += term * ratio / np.maximum(1 - ratio, 1e-12)
    chance[more] = np.minimum(np.exp(log_first) * total, 1.0)
    return chance


def welch(
    sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray, all_sum: float, all_square: float, everybody: int
) -> Floats:
    """The chance of so large a mean in a group, against the mean of everybody else.

    The t test for unequal variances (Welch, Biometrika 1947), its tail by Wallace's normal approximation (Annals of
    Mathematical Statistics 1959, section 4). Losses lean to the right, for which its upper side is on the safe side.

    Args:
        sums, squares, sizes: of the losses of each group, any shape: sum, sum of squares and number.
        all_sum, all_square, everybody: the same of everybody, the group included.

    Returns:
        float64, the same shape; 1 where a mean is not above the others', or a group or its rest is below two.
    """
    sizes = np.asarray(sizes, np.float64)
    others = everybody - sizes
    chance = np.ones(sizes.shape)
    mean, error = _mean_and_error(np.asarray(sums, np.float64), np.asarray(squares, np.float64), sizes)
    rest, rest_error = _mean_and_error(all_sum - sums, all_square - squares, others)
    # A group without any spread of its own is given everybody's, or one lucky value would prove anything.
    spread = max(all_square / everybody - (all_sum / everybody) ** 2, 0.0)
    error = np.where(error > 0, error, spread / np.maximum(sizes, 1))
    variance = error + rest_error
    more = (sizes > 1) & (others > 1) & (mean > rest) & (variance > 0)
    if not more.any():
        return chance
    t = (mean - rest)[more] / np.sqrt(variance[more])
    freedom = variance[more] ** 2 / (error[more] ** 2 / (sizes[more] - 1) + rest_error[more] ** 2 / (others[more] - 1))
    chance[more] = upper_tail((8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(t * t / freedom)))
    return chance


def upper_tail(z: np.ndarray) -> Floats:
    """The part of a normal distribution above z, any shape."""
    flat = np.asarray(z, np.float64)
    return np.array([0.5 * math.erfc(one / math.sqrt(2)) for one in flat.ravel().tolist()]).reshape(flat.shape)


def adjusted(chances: np.ndarray, tested: int) -> Floats:
    """p values adjusted so that those below q hold at most a part q of false ones, however they depend on each other.

    Benjamini and Yekutieli, "The control of the false discovery rate in multiple testing under dependency", Annals of
    Statistics 2001, theorem 1.3.

    Args:
        chances: N, the p values at hand; leaving out others of those tested only makes it stricter.
        tested: how many hypotheses there were.
    """
    chances = np.asarray(chances, np.float64)
    if not len(chances):
        return chances
    tested = max(tested, len(chances))
    harmonic = math.log(tested) + 0.5772156649 + 0.5 / tested
    order = np.argsort(chances, kind="stable")
    steps = chances[order] * tested * max(harmonic, 1.0) / np.arange(1, len(chances) + 1)
    result = np.empty(len(chances))
    result[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return result


def rate_gap(errors: int, size: int, other_errors: int, others: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two rates (Newcombe, Statistics in Medicine 1998, method 10)."""
    one, other = errors / max(size, 1), other_errors / max(others, 1)
    low, high = wilson(errors, size)
    other_low, other_high = wilson(other_errors, others)
    gap = one - other
    return gap - math.hypot(one - low, other_high - other), gap + math.hypot(high - one, other - other_low)


def wilson(errors: int, size: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson, JASA 1927); all that is possible where nobody was looked at."""
    if size < 1:
        return 0.0, 1.0
    rate, square = errors / size, Z95 * Z95
    middle = (rate + square / (2 * size)) / (1 + square / size)
    wide = Z95 * math.sqrt(rate * (1 - rate) / size + square / (4 * size * size)) / (1 + square / size)
    return max(0.0, middle - wide), min(1.0, middle + wide)


def mean_gap(losses: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the difference of two means, by their standard errors."""
    wide = Z95 * math.sqrt(sum(_standard_error(part) ** 2 for part in (losses, others)))
    gap = float(np.mean(losses) - np.mean(others)) if len(losses) and len(others) else 0.0
    return gap - wide, gap + wide


def gap_interval(errors: np.ndarray, inside: np.ndarray, binary: bool) -> tuple[float, float]:
    """The 95 % interval of how much more those inside fail than the others: N errors or losses, N bools."""
    here, there = errors[inside], errors[~inside]
    if binary:
        return rate_gap(int(here.sum()), len(here), int(there.sum()), len(there))
    return mean_gap(here, there)


def chance_of(errors: np.ndarray, inside: np.ndarray, binary: bool) -> float:
    """The p value of one group among these rows: N errors or losses, N bools."""
    return float(chances_of([inside], errors, binary)[0])


def chances_of(groups: Sequence[np.ndarray], errors: np.ndarray, binary: bool) -> Floats:
    """The same for several groups among the same rows."""
    sizes = np.array([int(one.sum()) for one in groups], np.int64)
    sums = np.array([float(errors[one].sum()) for one in groups])
    if binary:
        return fisher(sums, sizes, int(errors.sum()), len(errors))
    squares = np.array([float(np.square(errors[one]).sum()) for one in groups])
    return welch(sums, squares, sizes, float(errors.sum()), float(np.square(errors).sum()), len(errors))


def _mean_and_error(sums: np.ndarray, squares: np.ndarray, sizes: np.ndarray) -> tuple[Floats, Floats]:
    """Means, and the squares of their standard errors."""
    mean = sums / np.maximum(sizes, 1)
    spread = np.maximum(squares / np.maximum(sizes, 1) - mean * mean, 0)
    # What is left of the rounding of two large numbers is no spread.
    spread = np.where(spread > 1e-12 * np.maximum(mean * mean, 1e-300), spread, 0.0)
    return mean, spread / np.maximum(sizes - 1, 1)


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def _log_choose(n: Floats, k: Floats) -> Floats:
    return _log_factorial(n) - _log_factorial(k) - _log_factorial(n - k)


def _log_factorial(n: Floats) -> Floats:
    """log n! for whole numbers: by table up to 255, then Stirling's series, whose error there is below 1e-15."""
    large = np.maximum(n, 1.0)
    series = large * np.log(large) - large + 0.5 * np.log(2 * np.pi * large) + 1 / (12 * large) - 1 / (360 * large**3)
    small: Floats = _SMALL[np.clip(n, 0, 255).astype(np.int64)]
    return np.where(n < 256, small, series)


_SMALL: Floats = np.array([math.lgamma(n + 1.0) for n in range(256)])
