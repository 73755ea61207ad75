"""What labels teach a probe, and whether its doubts mean anything: what suggestions of samples and of objects go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError
from dataide.find import linear_probe
from dataide.find.active import Doubts
from dataide.find.linear_probe import Probe

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Codes = NDArray[np.int64]

FEWEST = 50
_RIDGES = (10.0, 100.0, 300.0)
_FOLDS = 5
_MOST_LABELLED = 5_000
_COMMITTEE = 5
_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Evidence:
    """How good a probe on the labels so far is.

    Attributes:
        labels: how many labels it rests on.
        accuracy: how often it is right on the pool, estimated; None where nothing can be said.
        kappa: how much of the way from chance to always right that is.
        ridge: the strength of regularisation that did best.
    """

    labels: int
    accuracy: float | None
    kappa: float | None
    ridge: float


def weigh(
    vectors: Floats | None,
    codes: Codes,
    labelled: Rows,
    pool: Rows,
    probabilities: NDArray[np.floating] | None = None,
    *,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Evidence:
    """How often a probe is right on the pool, from labels held out.

    Labels that were asked for because they are doubtful are harder than the pool. So they say how often the probe is
    right at a given margin, and the pool says how often it has such margins.

    Args:
        vectors: float32, N x D. codes: int64, N. labelled, pool: int64, rows.
        probabilities: of a run, N x C or A x N x C, whose columns are the codes; then nothing is trained.

    Returns:
        The `Evidence`; without an accuracy where there are fewer than 50 labels, or one class only.
    """
    random = np.random.default_rng(seed)
    some = labelled if len(labelled) <= _MOST_LABELLED else random.choice(labelled, _MOST_LABELLED, replace=False)
    truth = codes[some]
    sizes = np.unique(truth, return_counts=True)[1]
    nothing = Evidence(len(labelled), None, None, _RIDGES[1])
    if len(some) < FEWEST or len(sizes) < 2:
        return nothing
    looked = pool if len(pool) <= _LOOKED_AT else random.choice(pool, _LOOKED_AT, replace=False)
    ridge = _RIDGES[1]
    if probabilities is not None:
        doubts = Doubts(given=probabilities)
        held, seen = (doubts.of(rows).mean(axis=0) for rows in (some, looked))
        right = held.argmax(axis=1) == truth
    elif vectors is not None:
        rows = np.asarray(vectors[some], np.float32)
        ridge, held, right = _held_out(rows, truth, random, stop)
        seen = linear_probe.fit(rows, truth, ridge=ridge).probabilities(np.asarray(vectors[looked], np.float32))
    else:
        return nothing
    accuracy = float(_right_at(_margins(held), right, _margins(seen)).mean())
    chance = float(((sizes / sizes.sum()) ** 2).sum())
    return Evidence(len(labelled), accuracy, (accuracy - chance) / (1 - chance), ridge)


def taught(
    by: str,
    vectors: Floats | None,
    codes: Codes,
    labelled: Rows,
    evidence: Evidence | None,
    seed: int,
    stop: Callable[[], bool],
) -> Doubts:
    """One probe, or a committee of probes on resampled labels."""
    said = by if "=" in by else f"'{by}'"
    if vectors is None:
        raise ActionError(
            f"{said} needs probabilities, or vectors and labels.", hint="Run view.predict(…) or view.embed(…) first."
        )
    random = np.random.default_rng(seed)
    some = labelled if len(labelled) <= _MOST_LABELLED else random.choice(labelled, _MOST_LABELLED, replace=False)
    rows, truth = np.asarray(vectors[some], np.float32), codes[some]
    if len(np.unique(truth)) < 2:
        raise ActionError(
            f"{said} needs labels of two classes at least, and there are {len(np.unique(truth))}.",
            hint="Begin with by='random'; for samples the probabilities of a run will do as well.",
        )
    # Too strong a ridge makes all shares alike, and a committee then differs most where it is surest.
    ridge = evidence.ridge if evidence is not None else _held_out(rows, truth, random, stop)[0]
    if by != "disagreement":
        return Doubts(probes=(linear_probe.fit(rows, truth, ridge=ridge),), vectors=vectors)
    return Doubts(probes=tuple(_resampled(rows, truth, ridge, random) for _ in range(_COMMITTEE)), vectors=vectors)


def _resampled(rows: Floats, truth: Codes, ridge: float, random: np.random.Generator) -> Probe:
    """A probe on a bootstrap sample that keeps one of each class, so that all members know the same classes."""
    firsts = np.unique(truth, return_index=True)[1]
    drawn = np.concatenate([firsts, random.integers(0, len(truth), max(len(truth) - len(firsts), 0))])
    return linear_probe.fit(rows[drawn], truth[drawn], ridge=ridge)


def _held_out(
    rows: Floats, truth: Codes, random: np.random.Generator, stop: Callable[[], bool]
) -> tuple[float, Floats, NDArray[np.bool_]]:
    """The best ridge by log loss, and what probes say of labels that they were not shown."""
    classes, codes = np.unique(truth, return_inverse=True)
    fold = np.empty(len(truth), np.int64)
    for number in range(len(classes)):
        members = random.permutation(np.flatnonzero(codes == number))
        fold[members] = (np.arange(len(members)) + number) % _FOLDS
    best: tuple[float, float, Floats] | None = None
    for ridge in _RIDGES:
        shares = np.zeros((len(truth), len(classes)), np.float32)
        for number in range(_FOLDS):
            if stop():
                raise ActionError("The ranking was stopped.")
            inside, outside = fold != number, np.flatnonzero(fold == number)
            if len(np.unique(codes[inside])) < 2 or not len(outside):
                continue
            probe = linear_probe.fit(rows[inside], codes[inside], ridge=ridge)
            shares[np.ix_(outside, probe.classes)] = probe.probabilities(rows[outside])
        loss = -float(np.log(np.maximum(shares[np.arange(len(codes)), codes], 1e-6)).mean())
        if best is None or loss < best[0]:
            best = loss, ridge, shares
    assert best is not None
    return best[1], best[2], best[2].argmax(axis=1) == codes


def _margins(shares: Floats) -> NDArray[np.float64]:
    told = np.where(np.isfinite(shares), shares, 0)
    two = np.partition(told, told.shape[1] - 2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0], np.float64)


def _right_at(margins: NDArray[np.float64], right: NDArray[np.bool_], asked: NDArray[np.float64]) -> Floats:
    """How likely a probe is right at margins, by a logistic curve through those where it is known (Platt 1999)."""
    design = np.stack([margins, np.ones(len(margins))], axis=1)
    theta = np.array([1.0, 0.0])
    for _ in range(30):
        likely = 1 / (1 + np.exp(-np.clip(design @ theta, -30, 30)))
        curvature = np.maximum(likely * (1 - likely), 1e-4)
        hessian = (design * curvature[:, None]).T @ design + 0.1 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (likely - right) + 0.1 * (theta - [1, 0]))
        theta -= step * min(1.0, 2 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-4:
            break
    return np.asarray(1 / (1 + np.exp(-np.clip(theta[0] * asked + theta[1], -30, 30))), np.float32)
