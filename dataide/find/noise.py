"""How labels go wrong, estimated from what a classifier says and what was given; and what the true label is, then.

The classifier's P(class | sample) is the prior, a table P(given | true) is what an annotator does to the truth, and
Bayes' rule joins them. The table is found by expectation maximisation, as A. P. Dawid and A. M. Skene, "Maximum
Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied Statistics 1979, section 2; with the
classifier as prior of each sample as V. C. Raykar et al., "Learning From Crowds", JMLR 2010, section 2.3. How sharp the
classifier is is one number, chosen with the table by the likelihood of the labels: C. Guo et al., "On Calibration of
Modern Neural Networks", ICML 2017, section 4.2, but with the noise accounted for, as otherwise the noise is
taken for doubt and the classifier made too soft.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.find.probes import Floats, softmax

Doubles = NDArray[np.float64]

STEPS = 30
# A table begins here, and a class of few samples stays near it: it counts as so many samples.
RIGHT_AT_FIRST = 0.9
PRIOR_SAMPLES = 5.0
# An annotator's table is drawn to that of all annotators, which counts as so many samples of each class.
POOLED_SAMPLES = 10.0
# Tables are estimated from so many samples, drawn evenly; the rest would change the fourth digit.
MOST_ESTIMATED = 100_000
BLOCK = 65_536
SHARPER = (-2.5, 3.5)  # bounds of the logarithm of the factor on the scores


@dataclass(frozen=True)
class Noise:
    """What was estimated.

    Attributes:
        tables: A x C x C, P(given | true) of each column of labels.
        factor: the scores of the classifier are to be multiplied by it.
        likelihood: mean logarithm, of the labels.
    """

    tables: Doubles
    factor: float
    likelihood: float

    def posterior(self, scores: np.ndarray, labels: np.ndarray) -> Floats:
        """P(true class | sample, labels), float32 N x C, a block at a time; arguments as of `estimate`."""
        found = np.empty(scores.shape, np.float32)
        for start in range(0, len(scores), BLOCK):
            rows = slice(start, start + BLOCK)
            found[rows] = _joined(softmax(scores[rows] * np.float32(self.factor)), labels[rows], self.tables)[0]
        return found


def estimate(scores: np.ndarray, labels: np.ndarray, *, most: int = MOST_ESTIMATED) -> Noise:
    """The noise that makes the labels likeliest.

    Args:
        scores: N x C, logits (or logarithms of probabilities) of the classes, out of sample.
        labels: int, N x A, a column for each annotator; -1 where one said nothing.
        most: samples to estimate from, drawn evenly.
    """
    every = max(1, -(-len(scores) // most))
    scores, labels = scores[::every], labels[::every]

    def at(logarithm: float, steps: int) -> tuple[Doubles, float]:
        return _tables(softmax(scores * np.float32(np.exp(logarithm))), labels, steps)

    logarithm = _highest(lambda value: at(value, STEPS // 3)[1], *SHARPER)
    tables, likelihood = at(logarithm, STEPS)
    return Noise(tables, float(np.exp(logarithm)), likelihood)


def _tables(prior: Floats, labels: np.ndarray, steps: int) -> tuple[Doubles, float]:
    """The tables after some steps, and the mean logarithm of the likelihood."""
    classes, annotators = prior.shape[1], labels.shape[1]
    start = np.full((classes, classes), (1 - RIGHT_AT_FIRST) / max(classes - 1, 1))
    np.fill_diagonal(start, RIGHT_AT_FIRST if classes > 1 else 1.0)
    tables = np.repeat(start[None], annotators, axis=0)
    order = [_by_label(labels[:, i], classes) for i in range(annotators)]
    for _ in range(steps):
        after, _ = _joined(prior, labels, tables)
        counts = np.zeros((annotators, classes, classes))
        for i, (rows, starts, there) in enumerate(order):
            if len(rows):
                counts[i][:, there] = np.add.reduceat(after[rows], starts, axis=0).T
        pooled = counts.sum(axis=0) + PRIOR_SAMPLES * start
        pooled /= pooled.sum(axis=1, keepdims=True)
        tables = counts + POOLED_SAMPLES * pooled if annotators > 1 else counts + PRIOR_SAMPLES * start
        tables /= tables.sum(axis=2, keepdims=True)
    return tables, float(np.mean(_joined(prior, labels, tables)[1]))


def _by_label(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in order of their label, where each label starts, and which labels there are."""
    rows = np.argsort(labels, kind="stable")
    rows = rows[np.searchsorted(labels[rows], 0) :]
    there, starts = np.unique(labels[rows], return_index=True)
    return rows, starts, there


def _joined(prior: Floats, labels: np.ndarray, tables: Doubles) -> tuple[Floats, Floats]:
    """P(true | sample, labels), and the logarithm of P(labels | sample)."""
    # A column more, of ones, is what a missing label (-1) takes.
    after = prior.copy() if labels.shape[1] < 4 else np.log(np.maximum(prior, 1e-30))
    for i, table in enumerate(tables):
        open_ended = np.ones((table.shape[0] + 1, table.shape[0]), np.float32)
        open_ended[:-1] = np.maximum(table.T, 1e-9)
        if labels.shape[1] < 4:
            after *= open_ended[labels[:, i]]
        else:
            after += np.log(open_ended)[labels[:, i]]
    if labels.shape[1] < 4:
        total = np.maximum(after.sum(axis=1), np.float32(1e-30))
        return after / total[:, None], np.log(total)
    highest = after.max(axis=1, keepdims=True)
    np.exp(after - highest, out=after)
    total = after.sum(axis=1)
    return after / total[:, None], np.log(total) + highest[:, 0]


def _highest(value: Callable[[float], float], low: float, high: float, steps: int = 10) -> float:
    """Where a function of one hump is highest: golden section (J. Kiefer, 1953)."""
    golden = (5**0.5 - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(steps):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = value(right)
    return (low + high) / 2
