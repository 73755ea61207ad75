"""A mixture over vectors, labels and predictions, and a discriminant between samples: what regions are made with.

Domino (Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings", ICLR 2022, section 4.2
and appendix): each component is a Gaussian with a diagonal covariance over the vectors, a distribution of labels and
one of predictions; the logarithms of the latter two count `SHARPNESS` times, so that components hold one kind of error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COMPONENTS = 25
SHARPNESS = 10.0
_STEPS = 60
_SMALLEST = 1e-9
# Of the mean variance of the vectors: a component of a few samples has no thinner one.
_FLOOR = 1e-2
_BLOCK = 65_536


@dataclass(frozen=True)
class Axes:
    """The main directions of vectors, scaled by one number so that a coordinate varies by one on average.

    Attributes:
        mean: D.
        axes: D x d, `(vector - mean) @ axes` are the coordinates.
    """

    mean: Floats
    axes: Floats

    @classmethod
    def of(cls, vectors: np.ndarray, most: int) -> Axes | None:
        """Of M x D vectors, at most so many; None where they do not vary."""
        some = np.asarray(vectors, np.float64)
        mean = some.mean(axis=0)
        off = some - mean
        values, directions = np.linalg.eigh(off.T @ off / max(len(off), 1))
        kept = np.flatnonzero(values > values.max(initial=0.0) * 1e-9)[::-1][:most]
        if not len(kept) or values.max() <= 1e-20:
            return None
        return cls(mean, directions[:, kept] / np.sqrt(values[kept].mean()))

    def __call__(self, vectors: np.ndarray) -> Floats:
        result: Floats = (np.asarray(vectors, np.float64) - self.mean) @ self.axes
        return result


def shares(
    places: Floats, labels: NDArray[np.int64], predictions: Floats, wrong: NDArray[np.bool_], *, seed: int
) -> Floats:
    """How much each sample belongs to each component, by expectation and maximisation.

    Args:
        places: M x d, coordinates.
        labels: M, from 0 and without gaps.
        predictions: M x C, rows that add up to one.
        wrong: M, which the model gets wrong: half of the components begin among these.
        seed: of the beginning.

    Returns:
        M x k, rows that add up to one; k is `COMPONENTS`, or fewer where there are few samples.
    """
    random = np.random.default_rng(seed)
    count = max(1, min(COMPONENTS, len(places) // 20))
    begun = np.zeros((len(places), count))
    # Components begin spread over labels and over right and wrong, as Domino's "confusion" beginning.
    cells = np.unique(np.stack([labels, wrong], axis=1), axis=0)
    order = np.lexsort((cells[:, 0], ~cells[:, 1].astype(bool)))
    for component in range(count):
        label, is_wrong = cells[order[component % len(cells)]]
        inside = (labels == label) & (wrong == bool(is_wrong))
        begun[:, component] = inside * random.random(len(places)) ** 4 + _SMALLEST
    part: Floats = begun / begun.sum(axis=1, keepdims=True)
    squares = places**2
    known: Floats = np.zeros((int(labels.max()) + 1, count))
    for _ in range(_STEPS):
        sizes = part.sum(axis=0) + 1e-6
        means = part.T @ places / sizes[:, None]
        spread = np.maximum(part.T @ squares / sizes[:, None] - means**2, 0) + _FLOOR
        for component in range(count):
            known[:, component] = np.bincount(labels, part[:, component], len(known)) / sizes[component]
        guessed = part.T @ predictions / sizes[:, None]
        inverse = 1 / spread
        logs = squares @ inverse.T - 2 * places @ (means * inverse).T + (means**2 * inverse).sum(axis=1)
        logs = -0.5 * (logs + np.log(spread).sum(axis=1)) + np.log(sizes / len(places))
        logs += SHARPNESS * (np.log(known + _SMALLEST)[labels] + predictions @ np.log(guessed + _SMALLEST).T)
        logs -= logs.max(axis=1, keepdims=True)
        part = np.exp(logs)
        part /= part.sum(axis=1, keepdims=True)
    return part


def discriminant(places: Floats, part: Floats, others: Floats) -> tuple[Floats, float] | None:
    """The direction that tells samples from others best: Fisher's linear discriminant, its covariance shrunk.

    Fisher, Annals of Eugenics 1936; shrinkage towards a multiple of the identity, by a tenth (Friedman, "Regularized
    Discriminant Analysis", JASA 1989, section 3).

    Args:
        places: A x d, of the samples that are to lie above.
        part: A, how much each of them counts.
        others: B x d, of those that are to lie below.

    Returns:
        d, and what lies half way between the two means; None where there are no two groups.
    """
    weight = float(part.sum())
    if weight < 2 or len(others) < 2:
        return None
    here, there = part @ places / weight, others.mean(axis=0)
    off, other = places - here, others - there
    # Few samples say little of a covariance: they count by their number, at most as much as the others.
    share = min(1.0, weight / len(others))
    spread = (share * ((off * part[:, None]).T @ off) / weight + other.T @ other / len(others)) / (1 + share)
    spread = 0.9 * spread + 0.1 * max(float(np.trace(spread)), 1e-12) / len(spread) * np.eye(len(spread))
    direction: Floats = np.linalg.solve(spread, here - there)
    return direction, float(direction @ (here + there)) / 2


def scored(vectors: np.ndarray, rows: NDArray[np.int64], direction: np.ndarray) -> NDArray[np.float32]:
    """The products of these rows with a direction, a block at a time: float32, as many as rows."""
    result = np.empty(len(rows), np.float32)
    narrow = np.asarray(direction, np.float32)
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        result[start : start + _BLOCK] = np.asarray(vectors[some], np.float32) @ narrow
    return result
