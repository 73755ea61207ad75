"""A linear probe: multinomial logistic regression on vectors, in numpy, for thousands of labels.

Softmax regression with a ridge (Böhning, Multinomial logistic regression algorithm, 1992), minimised by L-BFGS with two
loops (Nocedal, Updating quasi-Newton matrices with limited storage, 1980).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]
Codes = NDArray[np.int64]

_BLOCK_ROWS = 1 << 15
_KEPT = 10


@dataclass(frozen=True)
class Probe:
    """Probabilities of classes from a vector.

    Attributes:
        weights: float32, D x C. bias: float32, C.
        classes: int64, C, the codes of the classes it knows, ascending.
    """

    weights: Floats
    bias: Floats
    classes: Codes

    def probabilities(self, vectors: Floats, *, stop: Callable[[], bool] = lambda: False) -> Floats:
        """Float32, N x C, rows that sum to 1; NaN where the vector is not finite. Blockwise.

        Raises:
            ActionError: `stop` said so.
        """
        out = np.empty((len(vectors), len(self.classes)), np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            if stop():
                raise ActionError("The probe was stopped.")
            part = slice(start, start + _BLOCK_ROWS)
            out[part] = np.asarray(vectors[part], np.float32) @ self.weights + self.bias
            out[part] -= out[part].max(axis=1, keepdims=True)
            np.exp(out[part], out=out[part])
            out[part] /= out[part].sum(axis=1, keepdims=True)
        return out


def fit(vectors: Floats, labels: Codes, *, ridge: float = 1.0, start: Probe | None = None, steps: int = 60) -> Probe:
    """Fits a probe to labelled vectors.

    Args:
        vectors: float32, L x D, finite.
        labels: int64, L, at least two classes among them.
        ridge: its strength, for vectors scaled to a total variance of D, beside the sum of losses.
        start: a probe of the same classes to begin from.
        steps: at most so many.

    Raises:
        ActionError: fewer than two classes.
    """
    classes, truth = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ActionError("A probe needs labels of two classes at least.", hint="Label samples of another class.")
    wide = np.asarray(vectors, np.float64)
    centre = wide.mean(axis=0)
    scale = float(np.sqrt(np.maximum(wide.var(axis=0).mean(), 1e-12)))
    # Sums over thousands of rows of single precision are exact enough for a descent that ends at a thousandth.
    rows = np.concatenate([(wide - centre) / scale, np.ones((len(wide), 1))], axis=1).astype(np.float32)
    target = np.zeros((len(rows), len(classes)), np.float32)
    target[np.arange(len(rows)), truth] = 1
    penalty = np.full((rows.shape[1], 1), ridge)
    penalty[-1] = 1e-3

    def value(theta: Wide) -> tuple[float, Wide]:
        odds = rows @ theta.astype(np.float32)
        odds -= odds.max(axis=1, keepdims=True)
        likely = np.exp(odds)
        total = likely.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0]) - (odds * target).sum(axis=1)).sum())
        loss += float((penalty * theta**2).sum()) / 2
        return loss, rows.T @ (likely / total - target) + penalty * theta

    theta = np.zeros((rows.shape[1], len(classes)))
    if start is not None and np.array_equal(start.classes, classes):
        theta[:-1] = start.weights * scale
        theta[-1] = start.bias + centre @ start.weights
    theta = _descend(value, theta, steps, tolerance=1e-3 * len(rows))
    weights = theta[:-1] / scale
    return Probe(weights.astype(np.float32), (theta[-1] - centre @ weights).astype(np.float32), classes)


def _descend(value: Callable[[Wide], tuple[float, Wide]], theta: Wide, steps: int, tolerance: float) -> Wide:
    """L-BFGS with backtracking."""
    loss, gradient = value(theta)
    moves: list[tuple[Wide, Wide, float]] = []
    for _ in range(steps):
        if float(np.abs(gradient).sum()) < tolerance:
            break
        direction = gradient.copy()
        factors = []
        for move, change, inverse in reversed(moves):
            factor = inverse * float((move * direction).sum())
            direction -= factor * change
            factors.append(factor)
        if moves:
            move, change, inverse = moves[-1]
            direction *= 1 / (inverse * float((change * change).sum()))
        else:
            direction /= max(float(np.sqrt((gradient**2).sum())), 1e-12)
        for (move, change, inverse), factor in zip(moves, reversed(factors), strict=True):
            direction += (factor - inverse * float((change * direction).sum())) * move
        slope = float((direction * gradient).sum())
        length = 1.0
        for _ in range(20):
            new = theta - length * direction
            new_loss, new_gradient = value(new)
            if new_loss <= loss - 1e-4 * length * slope:
                break
            length /= 2
        else:
            break
        move, change = new - theta, new_gradient - gradient
        curvature = float((move * change).sum())
        theta, loss, gradient = new, new_loss, new_gradient
        if curvature > 1e-12:
            moves = [*moves[1 - _KEPT :], (move, change, 1 / curvature)]
    return theta
