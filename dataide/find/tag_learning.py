"""What autotag learns with: some of all vectors beside the marks, and a regression pulled to the prototype.

The method is told in `find/autotag.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError
from dataide.find.tag_vectors import UnitRows

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]
Rows = NDArray[np.int64]

BLOCK_ROWS = 1 << 16
_BACKGROUND_ROWS = 400
# The ridge, for vectors scaled to a total variance of 1; the same for all data.
_RIDGE = 0.3
_FOLDS = 5
_PLAIN = 0.5


@dataclass(frozen=True)
class Background:
    """Some of all vectors, and how far they are spread: made once for an embedding, used in every round.

    Attributes:
        rows: which, int64, ascending.
        vectors: float32, B x D.
        spread: the total variance, the mean squared distance from the mean.
    """

    rows: Rows
    vectors: Floats
    spread: float

    @classmethod
    def of(cls, vectors: Floats | UnitRows, *, among: NDArray[np.bool_] | None = None, seed: int = 0) -> Background:
        """Draws them from `vectors` (N x D), or from those `among` which (bool, N) to rank.

        Raises:
            ActionError: there is nothing to draw from, or all that was drawn is the same.
        """
        if vectors.ndim != 2:
            raise ActionError(f"Vectors are N x D, and these have the shape {vectors.shape}.")
        random = np.random.default_rng(seed)
        count = len(vectors) if among is None else int(np.count_nonzero(among))
        drawn = np.sort(random.choice(count, min(count, 4 * _BACKGROUND_ROWS), replace=False))
        rows = drawn if among is None else np.flatnonzero(among)[drawn]
        taken = np.asarray(vectors[rows], np.float32)
        usable = np.isfinite(taken).all(axis=1) & taken.any(axis=1)
        rows, taken = rows[usable], taken[usable]
        if not len(rows):
            raise ActionError(
                "There are no usable vectors to rank.",
                hint="embed(…) makes vectors: of samples, or session.objects.embed() of objects.",
            )
        spread = float(taken.astype(np.float64).var(axis=0).sum())
        if len(rows) > 1 and spread < 1e-10:
            raise ActionError(
                "All vectors are the same, so nothing tells one from another.",
                hint="Rank by another embedding: embed(…) makes one.",
            )
        kept = np.sort(random.permutation(len(rows))[:_BACKGROUND_ROWS])
        return cls(rows[kept], taken[kept], max(spread, 1e-10))


@dataclass(frozen=True)
class HeldOut:
    """Scores of marks by heads that did not see them, in widths of the background."""

    pulled: Wide
    prototype: Wide


class Learner:
    """Fits directions to marks, within the space that marks and background span."""

    def __init__(self, marks: Wide, truth: Wide, background: Background, rows: Rows) -> None:
        self.marks, self.truth = marks, truth
        # A mark is not its own background.
        self.background = background.vectors[~np.isin(background.rows, rows)].astype(np.float64)
        self.spread = background.spread
        everything = np.concatenate([marks, self.background])
        count, dimension = everything.shape
        # The optimum lies in the span of the rows (representer theorem), which may be the smaller space.
        self.basis = np.linalg.qr(everything.T)[0] if count < dimension else np.eye(dimension)
        self.inside = everything @ self.basis

    def direction(self, use: NDArray[np.bool_], prototype: Wide) -> Wide:
        """The direction (length 1, D) that the marks in `use` teach, pulled to the prototype."""
        rows = np.concatenate([np.flatnonzero(use), np.arange(len(self.marks), len(self.inside))])
        scale = np.sqrt(self.spread)
        target = np.concatenate([self.truth[use], np.zeros(len(self.background))])
        marks = np.count_nonzero(use)
        # All of the background together weighs as much as the marks.
        faint = np.full(len(self.background), marks / max(len(self.background), 1))
        weight = np.concatenate([np.ones(marks), faint])
        along = np.concatenate([self.marks[use], self.background]) @ prototype / scale
        shift, pull = _logistic(self.inside[rows] / scale, along, target, weight)
        taught = unit(pull * prototype + self.basis @ shift)
        # What a fit takes from one concept for some unlucky marks, half of the plain prototype gives back, at next to
        # no cost for the others (average precision after 30 clicks, worst of ten concepts: 0.06 below it, then 0.00).
        plain = unit_mean(self.marks[use & (self.truth > 0)])
        return unit(taught / self.scale(taught)[1] + _PLAIN * plain / self.scale(plain)[1])

    def scale(self, direction: Wide) -> tuple[float, float]:
        """Centre and width of the background along a direction, so that the scores of several heads compare."""
        along = self.background @ direction if len(self.background) else self.marks @ direction
        return float(along.mean()), max(float(along.std()), 1e-6)

    def held_out(self, seed: int) -> HeldOut | None:
        """Each mark's score by a head and by a prototype that were made without it; None with too few."""
        counts = counts_of(self.truth)
        folds = min(_FOLDS, *counts)
        if folds < 2:
            return None
        random = np.random.default_rng(seed)
        fold = np.empty(len(self.truth), np.int64)
        for kind in (0, 1):
            members = random.permutation(np.flatnonzero(self.truth == kind))
            fold[members] = np.arange(len(members)) % folds
        pulled, plain = np.empty(len(self.truth)), np.empty(len(self.truth))
        for number in range(folds):
            inside, outside = fold != number, fold == number
            prototype = unit_mean(self.marks[inside & (self.truth > 0)])
            for scores, direction in ((pulled, self.direction(inside, prototype)), (plain, prototype)):
                centre, width = self.scale(direction)
                scores[outside] = (self.marks[outside] @ direction - centre) / width
        return HeldOut(pulled, plain)


@dataclass(frozen=True)
class Learned:
    """What marks and background teach, without a look at all the other vectors.

    Attributes:
        direction: float64, D, of length 1: along it samples are ranked.
        base: float64, D: the mean of the positives, of length 1.
        plain: whether held-out marks say that training did harm, so that the direction is the prototype's.
        out: float64, a mark's score by a head that did not see it, in widths of the background; None with too few.
        centre, width: of the background along the direction.
    """

    direction: Wide
    base: Wide
    plain: bool
    out: Wide | None
    centre: float
    width: float


def learned(marks: Wide, truth: Wide, background: Background, rows: Rows, prototype: Floats, seed: int) -> Learned:
    """The heavy part of a round: many small products, for one thread (see `find/computing.py`).

    Args:
        marks: float64, n x D, of length 1.
        truth: float64, n: 1 or 0.
        background: some of all vectors.
        rows: which rows of all vectors the marks are.
        prototype: float32, D.
        seed: of the folds.
    """
    learner = Learner(marks, truth, background, rows)
    held = learner.held_out(seed)
    plain = held is not None and worse(held.pulled, held.prototype, truth)
    base = unit_mean(learner.marks[truth > 0])
    direction = base if plain else learner.direction(np.ones(len(truth), bool), prototype.astype(np.float64))
    out = held.prototype if held is not None and plain else (held.pulled if held is not None else None)
    centre, width = learner.scale(direction)
    return Learned(direction, base, plain, out, centre, width)


def _logistic(rows: Wide, along: Wide, truth: Wide, weight: Wide) -> tuple[Wide, float]:
    """Ridge logistic regression around a multiple of a given direction, by Newton's method with bounded steps.

    Args:
        rows: n x d.
        along: n, the rows' products with the direction.
        truth: n, 1 or 0.
        weight: n.

    Returns:
        What is added to the multiple of the direction (d), and the multiple, not below 0.
    """
    count, dimension = rows.shape
    width = max(float(along.std()), 1e-6)
    design = np.concatenate([rows, along[:, None], np.ones((count, 1))], axis=1)
    start = np.zeros(dimension + 2)
    start[dimension], start[dimension + 1] = 2 / width, -2 / width * float(np.average(along, weights=weight))
    ridge = np.full(dimension + 2, _RIDGE)
    ridge[dimension], ridge[dimension + 1] = (width / 2) ** 2, 1e-6
    theta = start.copy()
    for _ in range(25):
        likely = 0.5 * (1 + np.tanh(design @ theta / 2))
        gradient = design.T @ (weight * (likely - truth)) + ridge * (theta - start)
        curvature = weight * np.maximum(likely * (1 - likely), 1e-4)
        hessian = (design * curvature[:, None]).T @ design
        hessian.flat[:: dimension + 3] += ridge
        step = np.linalg.solve(hessian, gradient)
        change = float(np.abs(design @ step).max())
        theta -= step * min(1.0, 4 / max(change, 1e-12))
        if change < 1e-3:
            break
    return theta[:dimension], max(float(theta[dimension]), 0.0)


def worse(ours: Wide, plain: Wide, truth: Wide) -> bool:
    """Whether held-out marks say that `ours` orders them worse than `plain`, by more than chance (one-sided, 2 sd).

    The areas under the two ROC curves of the same marks, compared by DeLong, DeLong and Clarke-Pearson (1988).
    """
    yes, no = truth > 0, truth <= 0
    if min(np.count_nonzero(yes), np.count_nonzero(no)) < 5:
        return False
    pieces = []
    for scores in (ours, plain):
        wins = np.sign(scores[yes][:, None] - scores[no][None, :]) / 2 + 0.5
        pieces.append((wins.mean(axis=1), wins.mean(axis=0)))
    by_yes, by_no = pieces[1][0] - pieces[0][0], pieces[1][1] - pieces[0][1]
    deviation = np.sqrt(by_yes.var(ddof=1) / len(by_yes) + by_no.var(ddof=1) / len(by_no))
    return bool(by_yes.mean() > 2 * deviation and by_yes.mean() > 0)


def blocks(count: int, rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Slices of at most so many rows."""
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def product_with(vectors: Floats | UnitRows, direction: Floats, stop: Callable[[], bool]) -> Floats:
    if isinstance(vectors, UnitRows):
        return vectors.product(direction, stop)
    out = np.empty(len(vectors), np.float32)
    for part in blocks(len(vectors)):
        if stop():
            raise ActionError("The ranking was stopped.")
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite has no score, which is no news
            np.dot(np.asarray(vectors[part], np.float32), direction, out=out[part])
    return out


def counts_of(truth: Wide) -> tuple[int, int]:
    yes = int(np.count_nonzero(truth > 0))
    return yes, len(truth) - yes


def unit_mean(rows: Wide) -> Wide:
    return unit(rows.mean(axis=0))


def unit(row: Wide) -> Wide:
    length = float(np.sqrt(row @ row))
    return row / length if length > 1e-12 else row
