"""Unit vectors of a session as one array that is never made: what `find/autotag.py` goes through in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ActionError

if TYPE_CHECKING:
    from dataide.find.vector_parts import Part

Floats = NDArray[np.float32]
# Large pieces: between two products BLAS waits for all its threads (see `find/search.py`).
_PIECE_ROWS = 1 << 18


class UnitRows:
    """N x D, float32, each row of length 1, or NaN where a vector has no direction; over parts, which may be mapped.

    Attributes:
        nos: uint32, N: whose they are.
        shape, ndim: as of an array.

    Args:
        parts: of one embedding; rows that no longer count are left out.
        dimension: D.
    """

    ndim = 2

    def __init__(self, parts: Iterable[Part], dimension: int) -> None:
        self.parts = [part for part in parts if len(part)]
        self._places = [None if part.counts is None else np.flatnonzero(part.counts) for part in self.parts]
        counts = [len(p) if at is None else len(at) for p, at in zip(self.parts, self._places, strict=True)]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        chosen = [p.nos if at is None else p.nos[at] for p, at in zip(self.parts, self._places, strict=True)]
        self.nos: NDArray[np.uint32] = np.concatenate([np.empty(0, np.uint32), *chosen]).astype(np.uint32)
        self.shape = (len(self.nos), dimension)

    def __len__(self) -> int:
        return self.shape[0]

    def same_as(self, other: UnitRows) -> bool:
        """Whether these are the same vectors of the same: parts are replaced and never changed."""
        same = len(self.parts) == len(other.parts) and all(a is b for a, b in zip(self.parts, other.parts, strict=True))
        return same and np.array_equal(self.nos, other.nos)

    def __getitem__(self, rows: NDArray[np.integer]) -> Floats:
        """Some rows, by their positions."""
        wanted = np.asarray(rows, np.int64)
        out = np.empty((len(wanted), self.shape[1]), np.float32)
        which = np.searchsorted(self._starts, wanted, side="right") - 1
        for number, (part, places) in enumerate(zip(self.parts, self._places, strict=True)):
            mine = np.flatnonzero(which == number)
            if not len(mine):
                continue
            at = wanted[mine] - self._starts[number]
            at = at if places is None else places[at]
            out[mine] = np.asarray(part.rows[at], np.float32) * _inverse(part, at)[:, None]
        return out

    def product(self, direction: Floats, stop: Callable[[], bool] = lambda: False) -> Floats:
        """The cosine with a direction of length 1, or a multiple of it for another length: float32, N.

        Raises:
            ActionError: `stop` said so.
        """
        out = np.empty(len(self), np.float32)
        for number, (part, places) in enumerate(zip(self.parts, self._places, strict=True)):
            whole = out[self._starts[number] : self._starts[number + 1]]
            along = whole if places is None else np.empty(len(part), np.float32)
            for start in range(0, len(part), _PIECE_ROWS):
                if stop():
                    raise ActionError("The ranking was stopped.")
                piece = slice(start, start + _PIECE_ROWS)
                np.dot(part.rows[piece], direction, out=along[piece])
                along[piece] *= _inverse(part, piece)
            if places is not None:
                whole[:] = along[places]
        return out

    def rows_of(self, nos: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Positions of samples, and which of the samples have one; the positions are of those only."""
        order = np.argsort(self.nos, kind="stable") if np.any(self.nos[1:] < self.nos[:-1]) else None
        ascending = self.nos if order is None else self.nos[order]
        wanted = np.asarray(nos, np.int64)
        places = np.searchsorted(ascending, wanted)
        there = places < len(ascending)
        there[there] = ascending[places[there]] == wanted[there]
        found = places[there].astype(np.int64)
        return (found if order is None else order[found].astype(np.int64)), there


def _inverse(part: Part, at: slice | NDArray[np.integer]) -> Floats:
    inverse = part.inverse[at].copy()
    inverse[inverse == 0] = np.nan  # no direction: no score, which is no news
    return inverse
