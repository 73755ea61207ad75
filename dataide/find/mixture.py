"""How many labels can be wrong at most, and which, where a model of few objects of many classes often errs itself.

A model that names six objects of ten rightly disagrees with labels all over, whether they are right or wrong. What
tells is how it disagrees with labels that are wrong on purpose: the same objects, each under a class that it is not of
(noise-contrastive estimation, M. Gutmann and A. Hyvarinen, AISTATS 2010). The given labels are a mixture of right ones
and of wrong ones, and the part of wrong ones is at most the least ratio of how many given and how many planted labels
the model gives so little: G. Blanchard, G. Lee and C. Scott, "Semi-Supervised Novelty Detection", JMLR 2010, section 4.
The ratio falls as the model gives more, which pooling adjacent violators sees to: M. Ayer et al., "An Empirical
Distribution Function for Sampling with Incomplete Information", Annals of Mathematical Statistics 1955, section 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataide.find.probes import Floats

# Rows whose margins are taken together: rows x classes stay some megabytes.
BLOCK = 8_192
# Margins are counted in so many bins at most, with so many labels in each at least.
BINS, LEAST = 200, 25
SMALLEST = 1e-6

Ints = NDArray[np.int64]


def wrong_at_most(probabilities: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> tuple[Floats, float]:
    """How probable it is at most that each label is wrong; methods and papers stand at the head of this file.

    Args:
        probabilities: float, N x C, of a model that has not seen the label of the row.
        labels: int, N, number of the class; -1 for none.
        seed: of the labels that are wrong on purpose.

    Returns:
        float32 of N, 0 where there is no label; and the part of wrong labels among those that there are. All zeros
        where fewer than two classes have a label.
    """
    wrong = np.zeros(len(labels), np.float32)
    rows = np.flatnonzero(labels >= 0)
    given = labels[rows].astype(np.int64)
    sizes = np.bincount(given, minlength=probabilities.shape[1])
    present = np.flatnonzero(sizes)
    if len(present) < 2:
        return wrong, 0.0
    random = np.random.default_rng(seed)
    margin = margins(probabilities, rows, given)
    planted = []
    # Any class, and one as common as it is: slips of the hand are of both kinds.
    for drawn in (random.choice(present, len(rows)), random.choice(len(sizes), len(rows), p=sizes / sizes.sum())):
        other = np.flatnonzero(drawn != given)
        planted.append(margins(probabilities, rows[other], drawn[other]))
    faulty = np.concatenate(planted)
    bins = max(1, min(BINS, len(rows) // LEAST))
    edges = np.unique(np.quantile(np.concatenate([margin, faulty]), np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, margin)
    # Half a label more in each bin: none seen is not none there are.
    told = np.bincount(place, minlength=len(edges) + 1) + 0.5
    known = np.bincount(np.searchsorted(edges, faulty), minlength=len(edges) + 1) + 0.5
    told, known = told / told.sum(), known / known.sum()
    part = float(min(1.0, (np.cumsum(told) / np.cumsum(known)).min()))
    wrong[rows] = np.minimum(part * _falling(known / told, told)[place], 1)
    return wrong, part


def margins(probabilities: np.ndarray, rows: np.ndarray, classes: np.ndarray) -> Floats:
    """How much likelier rows find these classes than the likeliest other one, as logarithms; float32, shape (rows,)."""
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        some = np.log(np.maximum(probabilities[rows[start : start + BLOCK]], SMALLEST))
        at, own = np.arange(len(some)), classes[start : start + BLOCK]
        mine = some[at, own].copy()
        some[at, own] = -np.inf
        found[start : start + BLOCK] = mine - some.max(axis=1)
    return found


def _falling(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The nearest values that never rise, by squares with these weights."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] < block[0]:
            mean, mass, count = blocks.pop()
            whole = mass + block[1]
            block = ((mean * mass + block[0] * block[1]) / whole, whole, count + block[2])
        blocks.append(block)
    return np.repeat([mean for mean, _, _ in blocks], [count for _, _, count in blocks])
