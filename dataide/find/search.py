"""Exact search: float32 over everything by BLAS, then float64 over those that could still be among the best.

The product of a row and the query in float32, in whatever order it is summed up, is off by no more than
d u / (1 - d u) times both lengths, with u = 2**-24 and d numbers (Higham, Accuracy and Stability of Numerical
Algorithms, 3.1). So a row whose quick similarity is more than that below the k-th best cannot be one of the k. Those
left are computed in float64, each row by itself, so that equal vectors have equal similarities wherever they stand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from dataide.find.vector_parts import Part

# Few and large: between two products BLAS waits for all its threads, which on a busy machine takes longer than the work
# (1,000,000 x 512 beside other work: 150 ms as one, 250 ms by 32,768 rows, 800 ms by 8,192; 72 ms each when quiet).
PIECE_ROWS = 1 << 22
_BLOCK = 256
_THREADS = max(1, min(2, os.cpu_count() or 1))


def best(
    parts: Iterable[Part], query: NDArray[np.float64], k: int | None, inside: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """The rows most similar to the query: sample numbers and cosines, best first, equals by number.

    Args:
        parts: the rows; each sample once.
        query: of length 1, or zeros.
        k: how many; None for all.
        inside: by sample number, which may come; those beyond its end do not. None for all.
    """
    held_nos, held = np.empty(0, np.uint32), np.empty(0, np.float64)
    if k == 0:
        return held_nos, held
    for part in parts:
        if k is None or k > min(len(part), PIECE_ROWS) // 4:
            places = np.flatnonzero(_wanted(part, inside, 0, len(part)))
            found = [(part.nos[places], precise(part, places, query))]
            if k is not None:
                found = [_cut(*found[0], k)]
        else:
            found = []
            for start in range(0, len(part), PIECE_ROWS):
                places = _candidates(part, start, min(start + PIECE_ROWS, len(part)), query, k, inside, held)
                if len(places):
                    held_nos, held = _cut(
                        np.concatenate([held_nos, part.nos[places]]),
                        np.concatenate([held, precise(part, places, query)]),
                        k,
                    )
        for nos, values in found:
            held_nos, held = np.concatenate([held_nos, nos]), np.concatenate([held, values])
            if k is not None:
                held_nos, held = _cut(held_nos, held, k)
    order = np.lexsort((held_nos, -held))[:k]
    return held_nos[order], held[order]


def bound(dimension: int) -> float:
    """How far a quick similarity may be off. Eight more for rounding the query, the length and the comparison."""
    terms = (dimension + 8) * 2.0**-24
    return terms / (1 - terms) if terms < 0.5 else 4.0


def precise(part: Part, places: NDArray[np.intp], query: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines of these rows in float64. Each depends on its row and the query alone, not on what stands around it."""
    cosines = np.zeros(len(places), np.float64)

    def some(start: int) -> None:
        at = places[start : start + _BLOCK]
        whole = len(at) and int(at[-1]) - int(at[0]) + 1 == len(at)
        rows = part.rows[int(at[0]) : int(at[-1]) + 1] if whole else part.rows[at]
        products = np.einsum("ij,j->i", rows.astype(np.float64), query)
        lengths = part.lengths[at]
        np.divide(products, lengths, out=cosines[start : start + _BLOCK], where=lengths > 0)

    starts = range(0, len(places), _BLOCK)
    if len(starts) < 16 or _THREADS == 1:
        for start in starts:
            some(start)
    else:
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(some, starts):
                pass
    return cosines


def _wanted(part: Part, inside: NDArray[np.bool_] | None, start: int, stop: int) -> NDArray[np.bool_]:
    wanted = np.ones(stop - start, bool) if part.counts is None else part.counts[start:stop].copy()
    if inside is not None:
        nos = part.nos[start:stop]
        within = nos < len(inside)
        wanted &= within
        wanted[within] &= inside[nos[within]]
    return wanted


def _candidates(
    part: Part,
    start: int,
    stop: int,
    query: NDArray[np.float64],
    k: int,
    inside: NDArray[np.bool_] | None,
    held: NDArray[np.float64],
) -> NDArray[np.intp]:
    """The rows between start and stop that may be among the k best, ascending."""
    wanted = None if part.counts is None and inside is None else _wanted(part, inside, start, stop)
    if wanted is not None and not wanted.any():
        return np.empty(0, np.intp)
    quick = part.rows[start:stop] @ query.astype(np.float32)
    quick *= part.inverse[start:stop]
    off = bound(part.rows.shape[1])
    if wanted is not None:
        quick[~wanted] = -np.inf
    least = float(held.min()) - off if len(held) >= k else -np.inf
    if least == -np.inf and len(quick) > 2 * k:
        # Those that may not come sort below all others; where fewer than k may, they are what is found here.
        least = float(np.partition(quick, len(quick) - k)[len(quick) - k]) - 2 * off
    left = np.flatnonzero(quick >= least) if least > -np.inf else np.flatnonzero(quick > -np.inf)
    if len(left) > 2 * k:
        few = quick[left]
        kth = float(np.partition(few, len(few) - k)[len(few) - k])
        left = left[few >= kth - 2 * off]
    places: NDArray[np.intp] = left + start
    return places


def _cut(
    nos: NDArray[np.uint32], values: NDArray[np.float64], k: int
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """The k best; of those that equal the last, the ones with the smallest numbers."""
    if len(values) <= k:
        return nos, values
    least = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > least)
    equal = np.flatnonzero(values == least)
    equal = equal[np.argsort(nos[equal], kind="stable")[: k - len(above)]]
    chosen = np.concatenate([above, equal])
    return nos[chosen], values[chosen]
