"""Autotag: a light head on vectors, trained anew with each round of marks, and what it says about itself.

The head is a logistic regression that is pulled to the prototype, the mean of the positives (the ridge's centre is a
multiple of the prototype instead of zero, as in transfer by a biased regulariser). Two things make it sound with ten
marks. A few hundred samples drawn from everything stand beside the marks as faint negatives (Elkan and Noto, Learning
classifiers from only positive and unlabeled data, 2008), so that hard negatives, which lie beside the positives, do not
turn the head away from the class. And as long as there are hardly any marks, the prototype is half the mean of what is
most similar to it (pseudo relevance feedback: Rocchio 1971; Manning, Raghavan, Schütze, Introduction to Information
Retrieval, 2008, 9.1.6).

What a threshold would give is estimated in `find/tag_estimates.py`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError
from dataide.find.tag_estimates import Curve, Estimate, calibrate, likely_of, trusted_marks
from dataide.find.tag_learning import (
    Background,
    Floats,
    Learned,
    Rows,
    Wide,
    counts_of,
    learned,
    product_with,
    unit,
    unit_mean,
)
from dataide.find.tag_vectors import UnitRows

__all__ = ["Background", "Estimate", "Head", "Ranking", "more", "rank"]

# How many of the nearest stand in for positives, and at how many marks they have faded away.
_PSEUDO, _PSEUDO_UNTIL = 20, 30
_MOST_MARKS = 4_000
_SPREAD_OVER = 20_000


@dataclass(frozen=True)
class Head:
    """What a round has learned: 1 / (1 + exp(-(vector · weights + bias))) is how likely a sample is of the tag.

    Attributes:
        weights, prototype: float32, D; the prototype has length 1.
        bias: a number.
        kind: "pulled", or "prototype" where held-out marks say that training did harm.
        positives, negatives: by how many marks it was made.
        revision: twelve hexadecimal digits, the same for the same head.
    """

    weights: Floats
    bias: float
    prototype: Floats
    kind: str
    positives: int
    negatives: int
    revision: str = field(default="")

    def __post_init__(self) -> None:
        known = hashlib.sha256(self.weights.tobytes() + np.float64(self.bias).tobytes() + self.prototype.tobytes())
        object.__setattr__(self, "revision", known.hexdigest()[:12])

    def score(self, vectors: Floats | UnitRows, *, stop: Callable[[], bool] = lambda: False) -> Floats:
        """Scores in [0, 1], float32, N, of unit vectors (N x D), blockwise; 0 for what is not finite.

        Raises:
            ActionError: the vectors have another dimension, or `stop` said so.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.weights):
            raise ActionError(
                f"This autotag was made for vectors of {len(self.weights)} numbers, and these have the shape "
                f"{vectors.shape}.",
                hint="Use the embedding that it was made with.",
            )
        return likely_of(product_with(vectors, self.weights, stop) + np.float32(self.bias))

    def to_json(self) -> dict[str, Any]:
        """The head as what JSON can hold; numbers to the last bit."""
        return {
            "weights": _packed(self.weights),
            "bias": self.bias,
            "prototype": _packed(self.prototype),
            "kind": self.kind,
            "positives": self.positives,
            "negatives": self.negatives,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Head:
        """The head that `to_json` told of.

        Raises:
            ActionError: it is something else.
        """
        try:
            weights, prototype = _unpacked(told["weights"]), _unpacked(told["prototype"])
            known = cls(
                weights, float(told["bias"]), prototype, told["kind"], int(told["positives"]), int(told["negatives"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ActionError("What is kept of this autotag cannot be read.", hint="Mark and train it anew.") from error
        if weights.shape != prototype.shape or not np.isfinite(weights).all():
            raise ActionError("What is kept of this autotag is damaged.", hint="Mark and train it anew.")
        return known


@dataclass(frozen=True)
class Ranking:
    """One round.

    Attributes:
        head: what was learned.
        scores: float32, N: for every sample; 0 where there is no usable vector.
        ask: int64: the rows to ask about next, the most useful mixed with the best.
        why: for each of them "near", "best" or "spread".
        curve: counts and estimates by score, for whoever draws all thresholds at once.
    """

    head: Head
    scores: Floats
    ask: Rows
    why: list[str]
    curve: Curve = field(repr=False)

    @cached_property
    def best(self) -> Estimate:
        """The estimate at the threshold with the best estimated F1."""
        return self.curve.at(self.curve.threshold())

    def at(self, threshold: float) -> Estimate:
        """The estimate at another threshold: for a handle that is dragged, without touching the samples again."""
        return self.curve.at(threshold)


def more(
    vectors: Floats | UnitRows, ranking: Ranking, count: int, free: NDArray[np.bool_], seed: int = 0
) -> tuple[Rows, list[str]]:
    """Another number of samples to ask about than `rank` was told: rows (int64) and for each why, as in `Ranking`.

    Args:
        vectors: those that were ranked.
        ranking: the round.
        count: how many.
        free: bool, N: which may be asked about; the marks should not.
        seed: of what is drawn.
    """
    return _ask(vectors, ranking.scores, free & (ranking.scores > 0), ranking.curve, count, seed)


def rank(
    vectors: Floats | UnitRows,
    positives: NDArray[np.integer],
    negatives: NDArray[np.integer],
    *,
    found: NDArray[np.integer] | None = None,
    among: NDArray[np.bool_] | None = None,
    background: Background | None = None,
    ask: int = 10,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    learn: Callable[[Wide, Wide, Background, Rows, Floats, int], Learned] = learned,
    things: str = "samples",
) -> Ranking:
    """Learns from marks, scores every sample, and says what to ask next; see the module for the method.

    Args:
        vectors: float32, N x D, of length 1; read in blocks, so it may be a mapped file.
        positives, negatives: rows that were marked; there may be no negatives.
        found: the marks a person looked up by what they are. They train the head, but as they were chosen by their
            answer they say nothing about precision, and are left out of the estimate once others suffice.
        among: bool, N: the samples to ask about and to count; None for all.
        background: `Background.of` the same vectors, when it is at hand.
        ask: how many samples to ask about.
        seed: of what is drawn.
        stop: asked between blocks.
        learn: `tag_learning.learned`, or who does the same in another process.
        things: what the rows are of, for sentences.

    Returns:
        A `Ranking`.

    Raises:
        ActionError: no positives, a mark that is both or is not there or has no usable vector, vectors that are all the
            same, or `stop` said so.
    """
    positives, negatives = _marks(vectors, positives, negatives)
    background = background or Background.of(vectors, among=among, seed=seed)
    prototype = _prototype(vectors, positives, negatives, stop)
    marks = np.concatenate([positives, negatives])
    truth = np.concatenate([np.ones(len(positives)), np.zeros(len(negatives))])
    taught = learn(np.asarray(vectors[marks], np.float64), truth, background, marks, prototype, seed)
    direction, base, out, centre, width = taught.direction, taught.base, taught.out, taught.centre, taught.width
    raw = product_with(vectors, direction.astype(np.float32), stop)
    trusted = trusted_marks(marks, truth, found)
    slope, offset = calibrate(out, truth, trusted, (raw[marks] - centre) / width)
    weights = (direction * (slope / width)).astype(np.float32)
    bias = float(offset - slope * centre / width)
    head = Head(weights, bias, base.astype(np.float32), "prototype" if taught.plain else "pulled", *counts_of(truth))
    scores = likely_of(raw * np.float32(slope / width) + np.float32(bias))
    free = np.isfinite(raw) if among is None else np.isfinite(raw) & among
    told = free.copy()
    free[marks] = False
    curve = Curve.of(scores, told, marks, truth, out, trusted, (slope, offset), seed, things)
    asked, why = _ask(vectors, scores, free, curve, ask, seed)
    return Ranking(head, scores, asked, why, curve)


def _marks(
    vectors: Floats | UnitRows, positives: NDArray[np.integer], negatives: NDArray[np.integer]
) -> tuple[Rows, Rows]:
    if vectors.ndim != 2:
        raise ActionError(f"Vectors are N x D, and these have the shape {vectors.shape}.")
    yes, no = (np.unique(np.asarray(rows, np.int64)) for rows in (positives, negatives))
    if not len(yes):
        raise ActionError("There is no positive mark yet.", hint="Mark one sample that has the tag.")
    both = np.intersect1d(yes, no)
    if len(both):
        raise ActionError(f"Row {both[0]} is marked both as having the tag and as not having it.")
    everyone = np.concatenate([yes, no])
    if everyone.min() < 0 or everyone.max() >= len(vectors):
        raise ActionError(f"A mark names row {everyone.max()}, and there are {len(vectors)} vectors.")
    usable = np.isfinite(vectors[everyone]).all(axis=1) & np.any(vectors[everyone], axis=1)
    if not usable[: len(yes)].any():
        raise ActionError("None of the positive marks has a usable vector.", hint="Embed the samples anew.")
    yes, no = yes[usable[: len(yes)]], no[usable[len(yes) :]]
    random = np.random.default_rng(len(yes) + len(no))
    return tuple(  # type: ignore[return-value]
        rows if len(rows) <= _MOST_MARKS else np.sort(random.choice(rows, _MOST_MARKS, replace=False))
        for rows in (yes, no)
    )


def _prototype(vectors: Floats | UnitRows, positives: Rows, negatives: Rows, stop: Callable[[], bool]) -> Floats:
    """The mean of the positives, drawn to what is most similar to it while there are few marks."""
    mean = unit_mean(np.asarray(vectors[positives], np.float64))
    faith = 0.5 * (1 - (len(positives) + len(negatives) - 10) / (_PSEUDO_UNTIL - 10))
    free = len(vectors) - len(positives) - len(negatives)
    count = min(_PSEUDO, free // 10)
    if faith <= 0 or count < 1:
        return mean.astype(np.float32)
    near = product_with(vectors, mean.astype(np.float32), stop)
    near[~np.isfinite(near)] = -np.inf
    near[positives] = near[negatives] = -np.inf
    top = np.argpartition(-near, count - 1)[:count]
    top = top[np.isfinite(near[top])]
    faith = min(faith, 0.5)
    stand_in = np.asarray(vectors[top], np.float64).mean(axis=0) if len(top) else mean
    own = np.asarray(vectors[positives], np.float64).mean(axis=0)
    return unit((1 - faith) * own + faith * stand_in).astype(np.float32)


def _ask(
    vectors: Floats | UnitRows, scores: Floats, free: NDArray[np.bool_], curve: Curve, ask: int, seed: int
) -> tuple[Rows, list[str]]:
    """What to ask next: two fifths the best there are, two fifths near the threshold and unlike each other, and the
    rest spread over ranks around it, so that estimates do not rest on one place."""
    left = np.flatnonzero(free)
    ask = min(ask, len(left))
    if ask <= 0:
        return np.empty(0, np.int64), []
    random = np.random.default_rng((seed, len(left)))
    threshold = curve.threshold()
    values = scores[left]
    n_best = (2 * ask + 4) // 5
    n_near = min((2 * ask + 4) // 5, ask - n_best)
    order = _first(-values, n_best)
    chosen, why = [int(left[i]) for i in order], ["best"] * len(order)
    close = np.abs(values - np.float32(threshold))
    close[order] = np.inf
    nearest = left[_first(close, min(len(left) - len(order), 30 * n_near))]
    for row in _apart(np.asarray(vectors[nearest], np.float32), n_near):
        chosen.append(int(nearest[row]))
        why.append("near")
    taken = set(chosen)
    # Ranks from half of what is taken to the last, each power of two as likely as the next.
    drawn = random.integers(0, len(left), _SPREAD_OVER) if len(left) > _SPREAD_OVER else np.arange(len(left))
    among = left[drawn[np.argsort(-values[drawn], kind="stable")]]
    start = min(max(curve.taken(threshold) / 2 / len(left), 1 / len(among)), 1.0)
    ranks = (start ** random.random(8 * ask) * len(among)).astype(np.int64)
    for row in among[np.minimum(ranks, len(among) - 1)].tolist():
        if len(chosen) >= ask:
            break
        if row not in taken:
            chosen.append(row)
            why.append("spread")
            taken.add(row)
    for row in left[: 2 * ask].tolist():  # fewer candidates than were asked for
        if len(chosen) >= ask:
            break
        if row not in taken:
            chosen.append(row)
            why.append("spread")
    return np.asarray(chosen, np.int64), why


def _first(values: NDArray[np.floating], count: int) -> Rows:
    """Positions of the smallest, in order, equals by position."""
    if count <= 0:
        return np.empty(0, np.int64)
    near: Rows = np.argpartition(values, count - 1)[:count] if count < len(values) else np.arange(len(values))
    return near[np.lexsort((near, values[near]))]


def _apart(rows: Floats, count: int) -> list[int]:
    """The first of the rows, and then each time the one least similar to those taken (Gonzalez 1985)."""
    if not len(rows) or count < 1:
        return []
    taken = [0]
    near = rows @ rows[0]
    while len(taken) < min(count, len(rows)):
        near[taken] = np.inf
        taken.append(int(np.argmin(near)))
        near = np.maximum(near, rows @ rows[taken[-1]])
    return taken


def _packed(numbers: Floats) -> str:
    return base64.b64encode(np.asarray(numbers, "<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
