"""Which places of a long row are taken, a bit each: any stretch of them is found without looking at the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# A stretch is found by unpacking the blocks it lies in: some tens of microseconds each.
BLOCK = 1 << 16


class Ranks:
    """The places where a mask is true, in their order.

    Args:
        mask: bool, one for each place. It is not kept: a bit for each place is.
    """

    def __init__(self, mask: Array) -> None:
        self._packed = np.packbits(mask, bitorder="little")
        counts = [np.count_nonzero(mask[start : start + BLOCK]) for start in range(0, len(mask), BLOCK)]
        self._before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
        self.total = int(self._before[-1])

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self._packed.nbytes + self._before.nbytes

    def part(self, start: int, stop: int) -> Array:
        """Where the true ones number `start` up to, not including, `stop` are: int64, shape (stop - start,)."""
        start, stop = max(0, start), min(stop, self.total)
        if start >= stop:
            return np.zeros(0, dtype=np.int64)
        first = int(np.searchsorted(self._before, start, side="right")) - 1
        last = int(np.searchsorted(self._before, stop, side="left"))
        bits = np.unpackbits(self._packed[first * BLOCK // 8 : last * BLOCK // 8], bitorder="little")
        found = np.flatnonzero(bits)[start - self._before[first] : stop - self._before[first]]
        return np.asarray(found + first * BLOCK)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranks) and self.total == other.total and np.array_equal(self._packed, other._packed)

    __hash__ = None  # type: ignore[assignment]
