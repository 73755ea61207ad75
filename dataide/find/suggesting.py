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
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError, did_you_mean
from dataide.find.active import BLOCK_ROWS, BY_SCORE, STRATEGIES, Doubts, duplicate_distance, pick, score, usable
from dataide.find.teaching import FEWEST, Evidence, taught, weigh

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Codes = NDArray[np.int64]

_ONE_OF = 10
# How much better than chance (Cohen's kappa) a probe has to be on the pool before its doubts are followed.
ENOUGH_KAPPA = 0.5
# A second class is worth naming from half of the share of the first on.
_SECOND = 0.5


@dataclass(frozen=True)
class Suggestion:
    """A batch to label.

    Attributes:
        rows: int64, the most useful first.
        scores: float32, how useful, in [0, 1]; NaN for strategies that know none.
        by: the strategy that was used.
        sentence: what was done and why.
        evidence: what "auto" went by; None when a strategy was named.
        guesses: int64, n x 2, the class codes that a probe or run holds likeliest for each row; -1 where the second is
            far behind. None where nothing was asked.
    """

    rows: Rows
    scores: Floats
    by: str
    sentence: str
    evidence: Evidence | None
    guesses: Codes | None = None


def suggest(
    n: int,
    *,
    by: str = "auto",
    vectors: Floats | None = None,
    labels: Codes | None = None,
    probabilities: NDArray[np.floating] | None = None,
    among: NDArray[np.bool_] | None = None,
    balance: Codes | Literal["class"] | None = None,
    groups: Codes | None = None,
    at_most: int | None = None,
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
            be. Samples below 0 are not suggested. "class" for the labels themselves, and the guesses of a probe for
            what has none.
        groups: int, N, what belongs together, like the objects of one picture.
        at_most: no more than so many of one group. Of each group the most doubtful come into question, or, by a
            strategy without scores, some drawn at random.
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
    column = None if balance is None or isinstance(balance, str) else np.asarray(balance, np.int64)
    count = _count(vectors, labels, probabilities, among, column, groups)
    codes = np.full(count, -1, np.int64) if labels is None else np.asarray(labels, np.int64)
    fit_for = np.ones(count, bool) if vectors is None else usable(vectors, stop=stop)
    labelled = np.flatnonzero((codes >= 0) & fit_for)
    free = (codes < 0) & fit_for
    free &= True if among is None else among
    free &= True if column is None else column >= 0
    pool = np.flatnonzero(free)
    if not len(pool):
        raise ActionError("There is nothing left to suggest: everything has a label, or no vector.")
    evidence, whole, guessing = None, pool, None
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
        doubts = taught(by, vectors, codes, labelled, evidence, seed, stop)
    if isinstance(balance, str):
        guessing = doubts or taught("balance='class'", vectors, codes, labelled, evidence, seed, stop)
        column = _guessed(guessing, codes, labelled, whole, stop)
    if groups is not None and at_most is not None:
        few = _thinned(by, pool, doubts, groups, at_most, seed, stop)
        # The groups of what was drawn may be too few, where those of everything are enough.
        pool = few if len(few) >= min(n, len(whole)) else _thinned(by, whole, doubts, groups, at_most, seed, stop)
    apart = duplicate_distance(vectors, pool, seed=seed) if vectors is not None else 0.0
    rows, scores = _batch(by, n, pool, vectors, doubts, labelled, column, apart, seed, stop)
    guessing = doubts or guessing
    return Suggestion(rows, scores, by, why, evidence, None if guessing is None else _two_first(guessing, rows))


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
        raise ActionError("There is nothing to rank: none of it has a vector that can be compared.")
    doubts = Doubts(given=probabilities) if probabilities is not None else None
    if doubts is None and by in (*BY_SCORE, "badge"):
        doubts = taught(by, vectors, codes, labelled, None, seed, stop)
    if by not in (*BY_SCORE, "random"):
        # A batch is chosen beside what has a label already.
        free = pool[codes[pool] < 0]
        pool, labelled = (free, labelled) if len(free) else (pool, np.empty(0, np.int64))
    rows, scores = pick(
        by, n or len(pool), pool, vectors=vectors, doubts=doubts, labelled=labelled, seed=seed, stop=stop
    )
    told = ~np.isnan(scores) if by in BY_SCORE else np.ones(len(rows), bool)
    return rows[told], scores[told]


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
            f"({FEWEST} of two classes at least do)."
        )
    told = f"by {evidence.labels:,} labels a probe is right for about {evidence.accuracy:.0%} of the rest"
    if evidence.kappa < ENOUGH_KAPPA:
        return "random", f"Random: {told}, too few for its doubts to be better than chance."
    return "margin", f"By margin, among some drawn at random: {told}, so its doubts mean something."


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
    classes, of = np.unique(balance[pool], return_inverse=True)
    there = np.array([int(np.count_nonzero(balance[labelled] == code)) for code in classes])
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


def thinned(pool: Rows, groups: Codes, at_most: int, worth: NDArray[np.floating], *, seed: int = 0) -> Rows:
    """Of each group the few that are worth most; equals at random.

    Args:
        pool: int64, P, rows. groups: int64, N, of all rows.
        at_most: how many of a group, 1 at least.
        worth: float, P; NaN for the least.
        seed: of what is drawn.

    Returns:
        int64, rows, ascending.
    """
    tie = np.random.default_rng(seed).random(len(pool))
    order = np.lexsort((tie, np.where(np.isnan(worth), np.inf, -worth), groups[pool]))
    of = groups[pool][order]
    starts = np.flatnonzero(np.concatenate([[True], of[1:] != of[:-1]])) if len(of) else np.empty(0, np.int64)
    place = np.arange(len(of)) - np.repeat(starts, np.diff(np.append(starts, len(of))))
    return np.sort(pool[order[place < at_most]])


def _thinned(
    by: str,
    pool: Rows,
    doubts: Doubts | None,
    groups: Codes,
    at_most: int,
    seed: int,
    stop: Callable[[], bool],
) -> Rows:
    scored = doubts is not None and by in BY_SCORE
    worth = score(by, doubts, pool, stop=stop) if scored and doubts is not None else np.zeros(len(pool), np.float32)
    return thinned(pool, np.asarray(groups, np.int64), at_most, worth, seed=seed)


def _guessed(doubts: Doubts, codes: Codes, labelled: Rows, pool: Rows, stop: Callable[[], bool]) -> Codes:
    """The labels, and where there are none what would be likeliest if all classes were as frequent; -1 for the rest.

    A probe holds rare classes unlikely because they are rare among the labels, and would hardly ever guess one: so its
    shares are divided by how frequent the classes are there (Saerens, Latinne and Decaestecker, Adjusting the outputs
    of a classifier to new a priori probabilities, 2002), with one more of each.
    """
    column = np.full(len(codes), -1, np.int64)
    column[labelled] = codes[labelled]
    for start in range(0, len(pool), BLOCK_ROWS):
        if stop():
            raise ActionError("The ranking was stopped.")
        part = pool[start : start + BLOCK_ROWS]
        shares = doubts.of(part).mean(axis=0)
        known = _known(doubts, shares)
        frequent = np.array([np.count_nonzero(column[labelled] == code) for code in known]) + 1
        told = np.isfinite(shares).all(axis=1)
        column[part[told]] = known[(shares[told] / frequent).argmax(axis=1)]
    return column


def _known(doubts: Doubts, shares: Floats) -> Codes:
    """The class codes of the columns of what is said."""
    return np.asarray(doubts.probes[0].classes if doubts.probes else np.arange(shares.shape[1]), np.int64)


def _two_first(doubts: Doubts, rows: Rows) -> Codes:
    """Class codes that are likeliest, n x 2; -1 for a second that is far behind, and where nothing is said."""
    shares = doubts.of(rows).mean(axis=0)
    told = np.where(np.isfinite(shares), shares, 0)
    order = np.argsort(-told, axis=1, kind="stable")[:, :2]
    best = np.take_along_axis(told, order, axis=1)
    guesses = _known(doubts, shares)[order]
    if guesses.shape[1] < 2:
        guesses, best = np.repeat(guesses, 2, axis=1), np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    guesses[best[:, 0] <= 0] = -1
    guesses[best[:, 1] < _SECOND * best[:, 0], 1] = -1
    return np.asarray(guesses, np.int64)


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
