"""Small pieces that learned rules share: a logistic regression, and medians of groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Odds:
    """Log odds that a row of numbers is one of the faulty: a logistic regression, with `cut` as its zero.

    Attributes:
        mean, scale: of each of D columns.
        weights: D + 1, the last is the constant.
        cut: log odds that are taken as even.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    cut: float = 0.0

    def __call__(self, rows: np.ndarray) -> Floats:
        """N x D to N log odds, above 0 where a fault is more likely than not."""
        # Far from anything that was seen, squares of columns would run away.
        standard = np.clip((rows - self.mean) / self.scale, -8, 8)
        values: Floats = standard @ self.weights[:-1] + (self.weights[-1] - self.cut)
        return values


def learn_odds(sound: np.ndarray, faulty: np.ndarray, *, share: float) -> Odds:
    """Log odds of a fault, learned from sound rows and rows with a planted one.

    Telling data from a made-up contrast is noise-contrastive estimation (M. Gutmann and A. Hyvarinen, AISTATS 2010);
    the regression is fitted by Newton's method with a ridge of one row.

    Args:
        sound, faulty: N x D and M x D, finite.
        share: how many in the set are supposed to be faulty, which sets the constant; above 0, below 1.
    """
    rows = np.concatenate([sound, faulty])
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    rows = np.clip((rows - mean) / scale, -8, 8)
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    target = np.concatenate([np.zeros(len(sound)), np.ones(len(faulty))])
    # Both kinds weigh the same in the fit; the constant is moved to the share afterwards.
    mass = np.concatenate([np.full(len(sound), 0.5 / len(sound)), np.full(len(faulty), 0.5 / len(faulty))])
    mass *= len(rows)
    ridge = np.eye(rows.shape[1])
    ridge[-1, -1] = 1e-6
    weights = np.zeros(rows.shape[1])
    for _ in range(20):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (mass * (target - chance)) - ridge @ weights
        # The product of a matrix with itself takes half the work.
        weighed = rows * np.sqrt(mass * np.maximum(chance * (1 - chance), 1e-6))[:, None]
        curve = weighed.T @ weighed + ridge
        move = np.linalg.solve(curve, slope)
        # A step too long would swing; two standard deviations of log odds are plenty.
        weights += move * min(1.0, 2.0 / max(float(np.abs(move).max()), 1e-12))
        if np.abs(move).max() < 1e-6:
            break
    weights[-1] += np.log(share / (1 - share))
    return Odds(mean, scale, weights)


def group_medians(values: np.ndarray, group: np.ndarray, count: int) -> tuple[Floats, Ints]:
    """Median of the values of each of `count` groups (0 where there are none), and how many there are."""
    order = np.lexsort((values, group))
    size = np.bincount(group, minlength=count)
    start = np.cumsum(size) - size
    ordered = values[order]
    medians = np.zeros(count)
    some = np.flatnonzero(size)
    low, high = start[some] + (size[some] - 1) // 2, start[some] + size[some] // 2
    medians[some] = (ordered[low] + ordered[high]) / 2
    return medians, size


def medians_of_others(values: np.ndarray, *groups: np.ndarray) -> tuple[Floats, Ints]:
    """For each of N values the median of the others of its group (0 without any), and how many those are.

    Args:
        values: N numbers.
        groups: one or more arrays of N integers; a group is what has all of them in common.
    """
    if not len(values):
        return np.zeros(0), np.zeros(0, np.int64)
    order = np.lexsort((values, *groups))
    ordered = values[order]
    new = np.zeros(len(values) - 1, bool)
    for group in groups:
        new |= group[order[1:]] != group[order[:-1]]
    starts = np.concatenate([[0], np.flatnonzero(new) + 1])
    size = np.diff(np.concatenate([starts, [len(values)]]))
    start, others = np.repeat(starts, size), np.repeat(size, size) - 1
    rank = np.arange(len(values)) - start

    def at(place: np.ndarray) -> np.ndarray:
        """The value of this rank among the others."""
        return np.asarray(ordered[np.clip(start + place + (place >= rank), 0, len(values) - 1)])

    middle = (at((others - 1) // 2) + at(others // 2)) / 2
    result, counts = np.empty(len(values)), np.empty(len(values), np.int64)
    result[order] = np.where(others > 0, middle, 0.0)
    counts[order] = others
    return result, counts
