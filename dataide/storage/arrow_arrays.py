"""Arrow arrays out of Python lists, without pandas.

`pyarrow.array` asks whether what it got is a pandas object, and imports pandas to find out: over half a second of work
and forty megabytes, for nothing. These build the same arrays from their buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def text(values: Sequence[str | None]) -> pa.Array:
    """Strings; None is null."""
    import pyarrow as pa

    return _variable(pa.large_string(), [None if value is None else value.encode() for value in values])


def binary(values: Sequence[bytes | None]) -> pa.Array:
    """Bytes; None is null."""
    import pyarrow as pa

    return _variable(pa.large_binary(), values)


def numbers(values: Sequence[int] | Sequence[float] | np.ndarray, kind: npt.DTypeLike) -> pa.Array:
    """Numbers of one numpy type."""
    import numpy as np
    import pyarrow as pa

    array = np.ascontiguousarray(values, dtype=kind)
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])


def nulls(count: int) -> pa.Array:
    """Strings that are all null."""
    return text([None] * count)


def _variable(kind: pa.DataType, values: Sequence[bytes | None]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(values) + 1, np.int64)
    validity = None
    filled: Sequence[bytes] = [b"" if value is None else value for value in values]
    if None in values:
        there = np.fromiter((value is not None for value in values), np.bool_, len(values))
        validity = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    np.cumsum(np.fromiter(map(len, filled), np.int64, len(filled)), out=offsets[1:])
    data = pa.py_buffer(b"".join(filled))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(offsets), data])
