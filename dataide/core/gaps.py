"""Which points of many, in the fewest bytes that say it exactly: hiding a few costs bytes for those few."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# none, all; the positions that are set, or that are not, as gaps; a bit for each.
Form = Literal["none", "all", "only", "except", "some"]
_LARGEST_OF = (1 << 7, 1 << 14, 1 << 21, 1 << 28)  # a varint of so many bytes holds smaller numbers than these


def shortest(bits: Array, total: int) -> tuple[Form, bytes]:
    """The shortest form of a set of points, and its bytes; empty for none and all.

    Args:
        bits: uint8, bit i % 8 of byte i >> 3 for point i; what is beyond `total` in the last byte is 0.
        total: how many points there are.
    """
    count = int(np.bitwise_count(bits).sum())
    if count == 0:
        return "none", b""
    if count == total:
        return "all", b""
    few = min(count, total - count)
    if few <= len(bits):  # a gap takes a byte at least
        form: Form = "only" if few == count else "except"
        gaps = encoded(_positions(bits if form == "only" else ~bits, total))
        if len(gaps) <= len(bits):
            return form, gaps
    return "some", bits.tobytes()


def _positions(bits: Array, total: int) -> Array:
    """Where bits are set, ascending; those from `total` on do not count."""
    where = np.flatnonzero(bits)
    rows, places = np.nonzero(np.unpackbits(bits[where, None], axis=1, bitorder="little"))
    positions = where[rows] * 8 + places
    return positions[: np.searchsorted(positions, total)]


def encoded(positions: Array) -> bytes:
    """Ascending positions as gaps: how many points lie between each and the one before, as LEB128 varints."""
    gaps: Array = np.diff(positions.astype(np.int64), prepend=-1) - 1
    lengths = np.ones(len(gaps), np.int64)
    for largest in _LARGEST_OF:
        lengths += gaps >= largest
    ends = np.cumsum(lengths)
    written = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    at, left = ends - lengths, lengths
    while len(gaps):
        more = left > 1
        written[at] = (gaps & 127) | (more << 7)
        gaps, at, left = gaps[more] >> 7, at[more] + 1, left[more] - 1
    return written.tobytes()
