"""Active learning: which samples to label next, by what a model doubts, by where they lie, or by both.

The strategies, each by its name:

- "uncertainty" (least confidence), "margin" between the two likeliest classes, "entropy": Settles, Active learning
  literature survey (2009), 3.1.
- "disagreement" of a committee, as mutual information: Houlsby et al., Bayesian active learning for classification and
  preference learning (2011), 2.
- "badge", by k-means++ over gradients of the last layer: Ash et al., Deep batch active learning by diverse, uncertain
  gradient lower bounds (2020), 3.
- "coreset", greedy k-centre: Sener and Savarese, Active learning for convolutional neural networks: a core-set
  approach (2018), 4.
- "typiclust", the most typical of uncovered clusters: Hacohen, Dekel and Weinshall, Active learning on a budget
  (2022), 3.
- "random", the control that all of them have to beat, and often do not.

All of them work in blocks. Those that compare samples with each other look at so many drawn at random of the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError, did_you_mean
from dataide.find.linear_probe import Probe

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Codes = NDArray[np.int64]
Stop = Callable[[], bool]

BY_SCORE = ("uncertainty", "margin", "entropy", "disagreement")
BY_VECTORS = ("coreset", "typiclust")
STRATEGIES = (*BY_SCORE, "badge", *BY_VECTORS, "random")

BLOCK_ROWS = 1 << 15
# The most of a pool that samples are compared within.
MOST_COMPARED = {"badge": 50_000, "coreset": 200_000, "typiclust": 20_000}
_MOST_LABELLED = 2_000
_MOST_CLUSTERS = 500
_TYPICAL_OF = 20


@dataclass(frozen=True)
class Doubts:
    """What models say of samples: probabilities at hand, or probes that are asked when they are needed.

    Attributes:
        given: float, N x C, or a committee's A x N x C; None where probes say.
        probes: one, or a committee of several.
        vectors: float32, N x D, what the probes look at.
    """

    given: NDArray[np.floating] | None = None
    probes: tuple[Probe, ...] = ()
    vectors: Floats | None = None

    @property
    def members(self) -> int:
        if self.given is None:
            return len(self.probes)
        return len(self.given) if self.given.ndim == 3 else 1

    def of(self, rows: Rows) -> Floats:
        """Float32, members x n x C, rows that sum to 1; NaN for a row that says nothing."""
        if self.given is None:
            assert self.vectors is not None
            part = np.asarray(self.vectors[rows], np.float32)
            return np.stack([probe.probabilities(part) for probe in self.probes])
        told = np.asarray(self.given[..., rows, :], np.float32)
        told = told if told.ndim == 3 else told[None]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: Floats = told / told.sum(axis=2, keepdims=True)
        shares[(told < 0).any(axis=2) | ~np.isfinite(shares).all(axis=2)] = np.nan
        return shares


def score(by: str, doubts: Doubts, rows: Rows, *, stop: Stop = lambda: False) -> Floats:
    """How much each sample would teach, by what models say of it: float32 in [0, 1], the more the higher; blockwise.

    Args:
        by: one of `BY_SCORE`.
        doubts: what the models say; "disagreement" needs a committee.
        rows: int64, which samples.
        stop: asked between blocks.

    Returns:
        n scores; NaN where the models say nothing.

    Raises:
        ActionError: an unknown strategy, one class only, no committee, or `stop` said so.
    """
    if by not in BY_SCORE:
        raise ActionError(f"'{by}' does not score samples one by one.", hint=did_you_mean(by, BY_SCORE))
    if by == "disagreement" and doubts.members < 2:
        raise ActionError(
            "Disagreement needs a committee of two models at least.",
            hint="Rank by 'margin', or give several runs.",
        )
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        if stop():
            raise ActionError("The ranking was stopped.")
        part = slice(start, start + BLOCK_ROWS)
        out[part] = _doubt(by, doubts.of(rows[part]))
    return out


def pick(
    by: str,
    n: int,
    pool: Rows,
    *,
    vectors: Floats | None = None,
    doubts: Doubts | None = None,
    labelled: Rows | None = None,
    apart: float = 0.0,
    seed: int = 0,
    stop: Stop = lambda: False,
) -> tuple[Rows, Floats]:
    """A batch by one strategy, the most useful first.

    Args:
        by: one of `STRATEGIES`.
        n: how many, fewer where the pool has fewer.
        pool: int64, the rows to choose from; with vectors, those that have usable ones (`usable`).
        vectors: float32, N x D, of length 1.
        doubts: what models say.
        labelled: int64, the rows that have labels.
        apart: no two of a batch have a cosine above 1 - apart (`duplicate_distance`), as long as others are left.
        seed: of what is drawn.
        stop: asked between blocks.

    Returns:
        rows (int64), and the score of each (float32; NaN for strategies that know none).

    Raises:
        ActionError: an unknown strategy, one that needs what was not given, or `stop` said so.
    """
    if by not in STRATEGIES:
        raise ActionError(f"There is no strategy '{by}'.", hint=did_you_mean(by, STRATEGIES))
    n = min(n, len(pool))
    random = np.random.default_rng(seed)
    if n <= 0:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    if by in (*BY_SCORE, "badge") and doubts is None:
        raise ActionError(f"'{by}' needs probabilities.", hint="Run view.predict(…) first, or label some samples.")
    if by in (*BY_VECTORS, "badge") and vectors is None:
        raise ActionError(f"'{by}' needs vectors.", hint="Embed the samples first: view.embed(…).")
    wanted = n if vectors is None or apart <= 0 else min(len(pool), n + (9 * n if by in BY_SCORE else n // 10) + 10)
    known = np.empty(0, np.int64) if labelled is None else labelled
    scores: Floats = np.full(0, np.nan, np.float32)
    if by == "random":
        # Drawn one after another, so that a longer draw begins with the shorter one.
        order = random.permutation(pool)[:wanted]
    elif by in BY_SCORE:
        assert doubts is not None
        values = score(by, doubts, pool, stop=stop)
        best = _first(np.where(np.isnan(values), np.inf, -values), wanted, random)
        order, scores = pool[best], values[best]
    else:
        assert vectors is not None
        some = pool if len(pool) <= MOST_COMPARED[by] else random.choice(pool, MOST_COMPARED[by], replace=False)
        wanted = min(wanted, len(some))
        if by == "badge":
            assert doubts is not None
            order = _badge(np.asarray(vectors[some], np.float32), doubts.of(some).mean(axis=0), wanted, random, stop)
        elif by == "coreset":
            order = _coreset(vectors, some, known, wanted, random, stop)
        else:
            order = _typiclust(vectors, some, known, wanted, random, stop)
        order = some[order]
    if vectors is not None and apart > 0:
        kept = _apart(np.asarray(vectors[order], np.float32), apart, n)
        order, scores = order[kept], scores[kept] if len(scores) else scores
    order = order[:n]
    return order, scores[:n] if len(scores) else np.full(len(order), np.nan, np.float32)


def usable(vectors: Floats, *, stop: Stop = lambda: False) -> NDArray[np.bool_]:
    """Which of the vectors (N x D) are finite and not all zeros; blockwise."""
    out = np.empty(len(vectors), bool)
    for start in range(0, len(vectors), BLOCK_ROWS):
        if stop():
            raise ActionError("The ranking was stopped.")
        part = np.asarray(vectors[start : start + BLOCK_ROWS], np.float32)
        length = np.einsum("ij,ij->i", part, part)
        out[start : start + BLOCK_ROWS] = np.isfinite(length) & (length > 0)
    return out


def duplicate_distance(vectors: Floats, pool: Rows, *, seed: int = 0) -> float:
    """Below what cosine distance two samples are nearly the same: a tenth of what is usual between neighbours.

    From 500 samples, each with its nearest among 10,000 others; the pool may be full of copies without changing what
    the median says, as long as they are fewer than half.
    """
    random = np.random.default_rng(seed)
    drawn = random.permutation(pool)[:10_500]
    if len(drawn) < 3:
        return 0.0
    split = min(500, len(drawn) // 2)
    some, others = (np.asarray(vectors[rows], np.float32) for rows in (drawn[:split], drawn[split:]))
    return 0.1 * max(float(np.median(1 - (some @ others.T).max(axis=1))), 0.0)


def _doubt(by: str, told: Floats) -> Floats:
    """Scores from probabilities, members x n x C."""
    classes = told.shape[2]
    if classes < 2:
        raise ActionError("Doubt needs two classes at least, and the model knows one.", hint="Rank by 'coreset'.")
    mean: Floats = told.mean(axis=0)
    if by == "uncertainty":
        return np.asarray((1 - mean.max(axis=1)) * classes / (classes - 1), np.float32)
    if by == "margin":
        two = np.partition(mean, classes - 2, axis=1)[:, -2:]
        return np.asarray(1 - (two[:, 1] - two[:, 0]), np.float32)
    entropy = _entropy(mean) / np.log(classes)
    if by == "entropy":
        return np.asarray(entropy, np.float32)
    return np.asarray(np.maximum(entropy - _entropy(told).mean(axis=0) / np.log(classes), 0), np.float32)


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=-1), np.float32)


def _badge(vectors: Floats, shares: Floats, n: int, random: np.random.Generator, stop: Stop) -> Rows:
    """k-means++ over the gradients (p - guess) ⊗ x, whose products are products of both parts: none is ever built."""
    part = np.where(np.isnan(shares), 0, shares)
    part[np.arange(len(part)), part.argmax(axis=1)] -= part.any(axis=1)
    squares = np.einsum("ij,ij->i", part, part) * np.einsum("ij,ij->i", vectors, vectors)
    taken = [int(np.argmax(squares))]
    far = np.full(len(vectors), np.inf, np.float64)
    while len(taken) < n:
        if stop():
            raise ActionError("The ranking was stopped.")
        last = taken[-1]
        away = squares + squares[last] - 2 * (part @ part[last]) * (vectors @ vectors[last])
        far = np.minimum(far, np.maximum(away, 0))
        far[taken] = 0
        taken.append(_drawn(far, taken, random))
    return np.asarray(taken, np.int64)


def _drawn(weights: NDArray[np.float64], taken: list[int], random: np.random.Generator) -> int:
    total = np.cumsum(weights)
    if total[-1] > 1e-12:
        return int(min(np.searchsorted(total, random.random() * total[-1], side="right"), len(total) - 1))
    left = np.setdiff1d(np.arange(len(weights)), taken)  # all that is left is the same as what was taken
    return int(random.choice(left))


def _coreset(vectors: Floats, some: Rows, labelled: Rows, n: int, random: np.random.Generator, stop: Stop) -> Rows:
    rows = np.asarray(vectors[some], np.float32)
    near = np.full(len(rows), -np.inf, np.float32)
    if len(labelled) > _MOST_LABELLED:
        labelled = random.choice(labelled, _MOST_LABELLED, replace=False)
    known = np.asarray(vectors[labelled], np.float32)
    known = known[np.isfinite(known).all(axis=1)]
    for start in range(0, len(rows) if len(known) else 0, 8192):
        if stop():
            raise ActionError("The ranking was stopped.")
        near[start : start + 8192] = (rows[start : start + 8192] @ known.T).max(axis=1)
    taken = [int(np.argmin(near)) if len(known) else int(random.integers(len(rows)))]
    while len(taken) < n:
        if stop():
            raise ActionError("The ranking was stopped.")
        near = np.maximum(near, rows @ rows[taken[-1]])
        near[taken] = np.inf
        taken.append(int(np.argmin(near)))
    return np.asarray(taken, np.int64)


def _typiclust(vectors: Floats, some: Rows, labelled: Rows, n: int, random: np.random.Generator, stop: Stop) -> Rows:
    if len(labelled) > _MOST_LABELLED:
        labelled = random.choice(labelled, _MOST_LABELLED, replace=False)
    known = np.asarray(vectors[labelled], np.float32)
    known = known[np.isfinite(known).all(axis=1)]
    rows = np.concatenate([np.asarray(vectors[some], np.float32), known])
    clusters = min(len(known) + n, _MOST_CLUSTERS, len(rows))
    of = _clusters(rows, clusters, random, stop)
    covered = np.bincount(of[len(some) :], minlength=clusters)
    ranked = []
    for number in range(clusters):
        members = np.flatnonzero(of[: len(some)] == number)
        if len(members):
            inside = rows[members] @ rows[members].T
            k = min(_TYPICAL_OF, len(members) - 1)
            typical = np.sort(inside, axis=1)[:, -k - 1 : -1].mean(axis=1) if k else np.zeros(1)
            ranked.append((covered[number], -len(members), number, members[np.argsort(-typical, kind="stable")]))
    ranked.sort(key=lambda entry: entry[:3])
    # Round after round, one of each cluster; clusters with labels of their own come last.
    taken: list[int] = []
    depth = 0
    while len(taken) < n:
        turn = [entry for entry in ranked if len(entry[3]) > depth]
        taken += [int(entry[3][depth]) for entry in turn][: n - len(taken)]
        depth += 1
    return np.asarray(taken, np.int64)


def _clusters(rows: Floats, count: int, random: np.random.Generator, stop: Stop) -> NDArray[np.int64]:
    """Spherical k-means (Dhillon and Modha 2001), ten rounds."""
    centres = rows[random.choice(len(rows), count, replace=False)]
    of = np.zeros(len(rows), np.int64)
    for _ in range(10):
        for part in _blocks(len(rows)):
            if stop():
                raise ActionError("The ranking was stopped.")
            of[part] = (rows[part] @ centres.T).argmax(axis=1)
        order = np.argsort(of, kind="stable")
        sizes = np.bincount(of, minlength=count)
        filled = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])[filled]
        sums = np.add.reduceat(rows[order], starts, axis=0)
        centres = centres.copy()
        centres[filled] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return of


def _apart(rows: Floats, distance: float, n: int) -> Rows:
    """The first n that are no near copies of one before; copies fill up what is missing."""
    kept: list[int] = []
    copies: list[int] = []
    for number in range(len(rows)):
        if len(kept) == n:
            break
        close = bool(kept) and float((rows[kept] @ rows[number]).max()) > 1 - distance
        (copies if close else kept).append(number)
    return np.asarray([*kept, *copies[: n - len(kept)]], np.int64)


def _first(values: NDArray[np.floating], count: int, random: np.random.Generator) -> Rows:
    """Positions of the smallest, in order; equals at random, or all of a batch would come from one end of the pool."""
    tie = random.permutation(len(values))
    near = np.lexsort((tie, values))[:count] if count * 4 > len(values) else _part(values, tie, count)
    return np.asarray(near, np.int64)


def _part(values: NDArray[np.floating], tie: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    limit = np.partition(values, count - 1)[count - 1]
    near = np.flatnonzero(values <= limit)
    return near[np.lexsort((tie[near], values[near]))][:count]


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + 8192, count)) for start in range(0, count, 8192))
