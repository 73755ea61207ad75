"""What to label next: a strategy by name, or the one that the labels so far speak for.

Doubts of a model teach when the model is already right about most of what it sees; with poor vectors, or very few
labels, they are noise that prefers outliers, and a random draw does better (Hacohen and Weinshall, How to select which
active learning strategy is best suited for your specific problem and budget, 2023; Mittal et al., Parting with
illusions about deep active learning, 2019). So "auto" estimates, from labels held out, how often a probe is right on
the pool, and stays random below a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError, did_you_mean
from dataide.find import linear_probe
from dataide.find.active import BY_SCORE, STRATEGIES, Doubts, duplicate_distance, pick, usable
from dataide.find.linear_probe import Probe

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Codes = NDArray[np.int64]

_RIDGES = (10.0, 100.0, 300.0)
_FOLDS = 5
_MOST_LABELLED = 5_000
_COMMITTEE = 5
_LOOKED_AT = 20_000
_ONE_OF = 10
# How much better than chance (Cohen's kappa) a probe has to be on the pool before its doubts are followed.
ENOUGH_KAPPA = 0.5
_FEWEST = 50


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


@dataclass(frozen=True)
class Suggestion:
    """A batch to label.

    Attributes:
        rows: int64, the most useful first.
        scores: float32, how useful, in [0, 1]; NaN for strategies that know none.
        by: the strategy that was used.
        sentence: what was done and why.
        evidence: what "auto" went by; None when a strategy was named.
    """

    rows: Rows
    scores: Floats
    by: str
    sentence: str
    evidence: Evidence | None


def suggest(
    n: int,
    *,
    by: str = "auto",
    vectors: Floats | None = None,
    labels: Codes | None = None,
    probabilities: NDArray[np.floating] | None = None,
    among: NDArray[np.bool_] | None = None,
    balance: Codes | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda sentence: None,
    stop: Callable[[], bool] = lambda: False,
) -> Suggestion:
    """A batch of n samples that teaches most, without near duplicates.

    Args:
        n: how many; fewer where there are fewer.
        by: one of `active.STRATEGIES`, or "auto".
        vectors: float32, N x D, of length 1.
        labels: int, N, class codes; below 0 where there is none. These are not suggested again.
        probabilities: float, N x C of a run, or a committee's A x N x C; without, a probe is trained on the labels.
        among: bool, N, what may be suggested; None for all.
        balance: int, N, codes of a column's classes: labels and suggestions together shall be as even over these as can
            be. Samples below 0 are not suggested.
        seed: of what is drawn.
        say: hears what goes on.
        stop: asked between blocks.

    Returns:
        A `Suggestion`.

    Raises:
        ActionError: an unknown strategy, arrays of different lengths, nothing left, a strategy that needs what
            is not there, or `stop` said so.
    """
    if by not in (*STRATEGIES, "auto"):
        raise ActionError(f"There is no strategy '{by}'.", hint=did_you_mean(by, (*STRATEGIES, "auto")))
    if n < 1:
        raise ActionError(f"{n} samples cannot be suggested.", hint="Ask for one at least.")
    count = _count(vectors, labels, probabilities, among, balance)
    codes = np.full(count, -1, np.int64) if labels is None else np.asarray(labels, np.int64)
    fit_for = np.ones(count, bool) if vectors is None else usable(vectors, stop=stop)
    labelled = np.flatnonzero((codes >= 0) & fit_for)
    free = (codes < 0) & fit_for
    free &= True if among is None else among
    free &= True if balance is None else np.asarray(balance) >= 0
    pool = np.flatnonzero(free)
    if not len(pool):
        raise ActionError("There is nothing left to suggest: all samples are labelled, or have no vector.")
    evidence = None
    doubts = Doubts(given=probabilities) if probabilities is not None else None
    if by == "auto":
        evidence = weigh(vectors, codes, labelled, pool, probabilities, seed=seed, stop=stop)
        by, why = _chosen(evidence, vectors is not None or probabilities is not None)
        if by != "random":
            # The most doubtful of everything are like each other and often beyond telling (Kirsch et al., Stochastic
            # batch acquisition, 2023).
            some = max(len(pool) // _ONE_OF, _ONE_OF * n)
            pool = pool if len(pool) <= some else np.random.default_rng(seed).choice(pool, some, replace=False)
    else:
        why = f"By {by}, as asked."
    say(why)
    if doubts is None and by in (*BY_SCORE, "badge"):
        doubts = _taught(by, vectors, codes, labelled, evidence, seed, stop)
    apart = duplicate_distance(vectors, pool, seed=seed) if vectors is not None else 0.0
    rows, scores = _batch(by, n, pool, vectors, doubts, labelled, balance, apart, seed, stop)
    return Suggestion(rows, scores, by, why, evidence)


def rank(
    by: str,
    n: int | None = None,
    *,
    vectors: Floats | None = None,
    labels: Codes | None = None,
    probabilities: NDArray[np.floating] | None = None,
    among: NDArray[np.bool_] | None = None,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Rows, Floats]:
    """Samples by one strategy, the most useful first; near duplicates and those with labels stay in.

    Args:
        by: one of `active.STRATEGIES`.
        n: how many; None for all.
        vectors: float32, N x D, of length 1.
        labels: int, N, class codes, below 0 for none: what a probe is trained on, and what counts as covered.
        probabilities: float, N x C of a run, or a committee's A x N x C; without, a probe is trained on the labels.
        among: bool, N, what is ranked; None for all.
        seed: of what is drawn.
        stop: asked between blocks.

    Returns:
        rows (int64) and scores in [0, 1] (float32; NaN for strategies that know none). A row that the model says
        nothing of is left out.

    Raises:
        ActionError: an unknown strategy, nothing to rank, or a strategy that needs what is not there.
    """
    if by not in STRATEGIES:
        raise ActionError(f"There is no strategy '{by}'.", hint=did_you_mean(by, STRATEGIES))
    if n is not None and n < 1:
        raise ActionError(f"{n} samples cannot be ranked.", hint="Ask for one at least.")
    count = _count(vectors, labels, probabilities, among)
    codes = np.full(count, -1, np.int64) if labels is None else np.asarray(labels, np.int64)
    fit_for = np.ones(count, bool) if vectors is None else usable(vectors, stop=stop)
    pool = np.flatnonzero(fit_for if among is None else fit_for & among)
    labelled = np.flatnonzero((codes >= 0) & fit_for)
    if not len(pool):
        raise ActionError("There is nothing to rank: no sample has a vector that can be compared.")
    doubts = Doubts(given=probabilities) if probabilities is not None else None
    if doubts is None and by in (*BY_SCORE, "badge"):
        doubts = _taught(by, vectors, codes, labelled, None, seed, stop)
    if by not in (*BY_SCORE, "random"):
        # A batch is chosen beside what has a label already.
        free = pool[codes[pool] < 0]
        pool, labelled = (free, labelled) if len(free) else (pool, np.empty(0, np.int64))
    rows, scores = pick(
        by, n or len(pool), pool, vectors=vectors, doubts=doubts, labelled=labelled, seed=seed, stop=stop
    )
    told = ~np.isnan(scores) if by in BY_SCORE else np.ones(len(rows), bool)
    return rows[told], scores[told]


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
    if len(some) < _FEWEST or len(sizes) < 2:
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


def _count(*arrays: NDArray[np.generic] | None) -> int:
    # Of a committee's probabilities the samples are the second axis.
    lengths = {array.shape[1] if array.ndim == 3 else len(array) for array in arrays if array is not None}
    if not lengths:
        raise ActionError("There is nothing to suggest from.", hint="Give vectors, or the probabilities of a run.")
    if len(lengths) > 1:
        raise ActionError(f"Arrays of one set of samples have different lengths: {sorted(lengths)}.")
    return lengths.pop()


def _chosen(evidence: Evidence, comparable: bool) -> tuple[str, str]:
    if not comparable:
        return "random", "Random: there are neither vectors nor probabilities to judge by."
    if evidence.accuracy is None or evidence.kappa is None:
        return "random", (
            f"Random: {evidence.labels} labels do not say yet whether a model's doubts mean anything "
            f"({_FEWEST} of two classes at least do)."
        )
    told = f"by {evidence.labels:,} labels a probe is right for about {evidence.accuracy:.0%} of the rest"
    if evidence.kappa < ENOUGH_KAPPA:
        return "random", f"Random: {told}, too few for its doubts to be better than chance."
    return "margin", f"By margin, among some drawn at random: {told}, so its doubts mean something."


def _taught(
    by: str,
    vectors: Floats | None,
    codes: Codes,
    labelled: Rows,
    evidence: Evidence | None,
    seed: int,
    stop: Callable[[], bool],
) -> Doubts:
    """One probe, or a committee of probes on resampled labels."""
    if vectors is None:
        raise ActionError(
            f"'{by}' needs probabilities, or vectors and labels.", hint="Run view.predict(…) or view.embed(…) first."
        )
    random = np.random.default_rng(seed)
    some = labelled if len(labelled) <= _MOST_LABELLED else random.choice(labelled, _MOST_LABELLED, replace=False)
    rows, truth = np.asarray(vectors[some], np.float32), codes[some]
    if len(np.unique(truth)) < 2:
        raise ActionError(
            f"'{by}' needs labels of two classes at least, and there are {len(np.unique(truth))}.",
            hint="Begin with by='random', or give the probabilities of a run.",
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


def _batch(
    by: str,
    n: int,
    pool: Rows,
    vectors: Floats | None,
    doubts: Doubts | None,
    labelled: Rows,
    balance: Codes | None,
    apart: float,
    seed: int,
    stop: Callable[[], bool],
) -> tuple[Rows, Floats]:
    if balance is None:
        return pick(by, n, pool, vectors=vectors, doubts=doubts, labelled=labelled, apart=apart, seed=seed, stop=stop)
    column = np.asarray(balance, np.int64)
    classes, of = np.unique(column[pool], return_inverse=True)
    there = np.array([int(np.count_nonzero(column[labelled] == code)) for code in classes])
    rows, scores = [], []
    for number, share in enumerate(shares_of(n, there, np.bincount(of, minlength=len(classes)))):
        within = pool[of == number]
        some = pick(
            by, int(share), within, vectors=vectors, doubts=doubts, labelled=labelled, apart=apart, seed=seed, stop=stop
        )
        rows.append(some[0])
        scores.append(some[1])
    # One of each class in turn, so that a batch broken off is balanced too.
    turn = np.concatenate([np.arange(len(part)) for part in rows])
    order = np.argsort(turn, kind="stable")
    return np.concatenate(rows)[order], np.concatenate(scores)[order]


def shares_of(n: int, there: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each class to add, so that what is there and what is added is as even as can be.

    Args:
        n: how many in all.
        there: int, C, how many labels each class has. left: int, C, how many could be added.

    Returns:
        int64, C; the sum is n, or all that is left.
    """
    added = np.zeros(len(there), np.int64)
    todo = min(n, int(left.sum()))
    while todo:
        open_ = np.flatnonzero(added < left)
        level = there[open_] + added[open_]
        lowest = open_[level == level.min()]
        above = level[level > level.min()]
        step = min(
            int(above.min() - level.min()) if len(above) else todo,
            int((left - added)[lowest].min()),
            max(todo // len(lowest), 1),
        )
        lowest = lowest[: todo // step]
        added[lowest] += step
        todo -= step * len(lowest)
    return added
