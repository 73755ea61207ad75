"""Similar to these, and not to those: scores for everything, and a histogram for a threshold to be dragged over.

Rocchio's relevance feedback (1971; Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, 9.1.1),
on unit vectors. Nothing is trained and two examples are enough; with ten marks `find/autotag.py` does better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError
from dataide.find.tag_learning import Floats, blocks, product_with

# Of what is not wanted less is taken away than of what is wanted is added, as is usual.
_UNLIKE = 0.5


@dataclass(frozen=True)
class Relevance:
    """How similar everything is to the one, and unlike the other.

    Attributes:
        scores: float32, N, cosines with the query in [-1, 1]; NaN for what is not finite.
        query: float32, D, length 1: for more samples later.
        counts: int64, bins: how many samples score between two edges.
        edges: float64, bins + 1.
        threshold: where a handle may begin: the score of the least similar of what was wanted, or half-way to the most
            similar of what was not wanted, where that is higher.
    """

    scores: Floats
    query: Floats
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    threshold: float

    def above(self, threshold: float) -> int:
        """How many samples score at least this."""
        return int(np.count_nonzero(self.scores >= threshold))


def relevance(
    vectors: Floats,
    like: Floats,
    unlike: Floats | None = None,
    *,
    among: NDArray[np.bool_] | None = None,
    bins: int = 64,
    stop: Callable[[], bool] = lambda: False,
) -> Relevance:
    """Scores everything by examples; blockwise.

    Args:
        vectors: float32, N x D, of length 1.
        like: float32, A x D, examples of what is wanted, at least one: samples, crops or texts.
        unlike: float32, B x D, examples of what is not.
        among: bool, N: what the histogram counts; None for all.
        bins: of the histogram.
        stop: asked between blocks.

    Returns:
        A `Relevance`.

    Raises:
        ActionError: no usable example, another dimension, examples that take each other away, or `stop` said so.
    """
    wanted = _examples(vectors, like)
    other = _examples(vectors, unlike) if unlike is not None else wanted[:0]
    towards, threshold = direction(wanted, other)
    query = towards.astype(np.float32)
    scores = product_with(vectors, query, stop)
    scores[~np.isfinite(scores)] = np.nan
    np.clip(scores, -1, 1, out=scores)
    counts, edges = histogram(scores, among=among, bins=bins)
    return Relevance(scores, query, counts, edges, threshold)


def direction(like: NDArray[Any], unlike: NDArray[Any] | None = None) -> tuple[NDArray[np.float64], float]:
    """Where examples point to, by Rocchio's rule, and where a threshold may begin.

    Args:
        like: A x D, examples of what is wanted, at least one; their lengths do not matter.
        unlike: B x D, examples of what is not.

    Returns:
        A vector of length 1 (float64, D), and the threshold as in `Relevance.threshold`.

    Raises:
        ActionError: no usable example, or examples that take each other away.
    """
    wanted = usable(like)
    if not len(wanted):
        raise ActionError("There is no usable example of what is wanted.", hint="Give one example that has a vector.")
    other = usable(unlike) if unlike is not None else wanted[:0]
    query = wanted.mean(axis=0) - (_UNLIKE * other.mean(axis=0) if len(other) else 0)
    length = float(np.linalg.norm(query))
    if length < 1e-6:
        raise ActionError("The examples take each other away, and no direction is left.", hint="Leave one of them out.")
    query = query / length
    threshold = float((wanted @ query).min())
    if len(other):
        threshold = max(threshold, float(((wanted @ query).max() + (other @ query).max()) / 2))
    return query, threshold


def histogram(
    scores: Floats, *, among: NDArray[np.bool_] | None = None, bins: int = 64
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts of scores between the lowest and the highest, what is NaN or not `among` left out; blockwise.

    Returns:
        counts (int64, bins) and edges (float64, bins + 1); zeros over [0, 1] where there is no score.
    """
    counts = np.zeros(bins, np.int64)
    held = np.isfinite(scores) if among is None else np.isfinite(scores) & among
    if not held.any():
        return counts, np.linspace(0, 1, bins + 1)
    low, high = float(scores.min(where=held, initial=np.inf)), float(scores.max(where=held, initial=-np.inf))
    if high <= low:
        high = low + 1e-6
    for part in blocks(len(scores)):
        counts += np.histogram(scores[part][held[part]].astype(np.float64), bins, (low, high))[0]
    return counts, np.linspace(low, high, bins + 1)


def _examples(vectors: Floats, examples: Floats) -> NDArray[np.float64]:
    """The usable ones, at length 1."""
    rows = np.atleast_2d(np.asarray(examples, np.float64))
    if vectors.ndim != 2 or (rows.size and rows.shape[1] != vectors.shape[1]):
        raise ActionError(f"The examples have the shape {rows.shape}, and the vectors {vectors.shape}.")
    return usable(rows) if rows.size else np.empty((0, vectors.shape[1]))


def usable(examples: NDArray[Any]) -> NDArray[np.float64]:
    """Those that point somewhere, at length 1: float64, M x D."""
    rows = np.array(examples, np.float64, ndmin=2)
    largest = np.abs(rows).max(axis=1, initial=0)
    kept: NDArray[np.float64] = rows[np.isfinite(largest) & (largest > 0)]
    kept /= np.abs(kept).max(axis=1, initial=0, keepdims=True)  # or the squares of large numbers would be infinite
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    return kept
