"""Columns with types over the contract, which knows plain numbers only.

A column is the array "=name"; of text "~name", all values back to back in UTF-8, with "^name", where each one ends;
where some have no value, "!name" says which do.
"""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataide.errors import ModelError
from dataide.inference.contract import Arrays

PREFIXES = ("=", "~", "^", "!")
_SQL = {"b": "BOOLEAN", "i": "BIGINT", "u": "UBIGINT", "f": "DOUBLE"}


@dataclass
class Column:
    """Values of one kind: an array of plain numbers or of str (dtype object), and which are there (None: all)."""

    values: np.ndarray
    there: np.ndarray | None = None

    @property
    def sql(self) -> str:
        """The SQL type that holds it."""
        kind = self.values.dtype
        if kind == np.int32:
            return "INTEGER"
        return "FLOAT" if kind == np.float32 else _SQL.get(kind.kind, "VARCHAR")


def columns(raw: Any, count: int, name: str) -> dict[str, Column]:
    """What a user's function returned for `count` pictures, as columns.

    Args:
        raw: a dict of columns, a list of dicts with the same keys, or one value each, which is then called `name`.
        count: how many values each must have.
        name: of the function.

    Raises:
        ModelError: too many or too few values, or of no kind that a column can hold.
    """
    if hasattr(raw, "to_dict") and hasattr(raw, "columns"):  # a frame of pandas
        raw = {str(column): list(raw[column]) for column in raw.columns}
    if isinstance(raw, Mapping):
        found = dict(raw)
    elif isinstance(raw, list | tuple) and raw and all(isinstance(one, Mapping) for one in raw):
        keys = list(dict.fromkeys(key for one in raw for key in one))
        found = {key: [one.get(key) for one in raw] for key in keys}
    else:
        found = {name: raw}
    made: dict[str, Column] = {}
    for key, values in found.items():
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        if _length(values) != count:
            several = isinstance(values, Sequence | np.ndarray) and _length(values) is not None
            what = f"{len(values):,} values" if several else f"a {type(values).__name__}"
            raise ModelError(
                f"{name} returned {what} of {str(key)!r} for a batch of {count} pictures.",
                hint="Return one value for each picture, or a dict of columns with one value for each picture.",
                code="callable",
            )
        made[str(key)] = _column(values, str(key), name)
    return made


def _length(values: Any) -> int | None:
    """How many values these are; None of what is one value."""
    try:
        return None if isinstance(values, str) else len(values)
    except TypeError:  # also an array without dimensions
        return None


def _column(values: Any, key: str, name: str) -> Column:
    array = np.asarray(values) if isinstance(values, np.ndarray) else None
    if array is not None and array.ndim == 1 and array.dtype.kind in "biuf" and array.dtype != np.float16:
        return Column(array, _numbers_there(array))
    items = [_item(value) for value in values]
    there = np.asarray([item is not None for item in items])
    kinds = {type(item) for item in items if item is not None}
    if kinds <= {bool}:
        made = np.asarray([bool(item) for item in items])
    elif kinds <= {bool, int} and all(-(2**63) <= item < 2**63 for item in items if item is not None):
        made = np.asarray([int(item or 0) for item in items], np.int64)
    elif kinds <= {bool, int, float}:
        made = np.asarray([math.nan if item is None else float(item) for item in items])
        there &= ~np.isnan(made)
    elif kinds <= {str}:
        made = np.asarray([item or "" for item in items], object)
    else:
        said = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ModelError(
            f"{name} returned values of {key!r} that no column holds together ({said}).",
            hint="Return numbers, true or false, or texts; None where there is no value.",
            code="callable",
        )
    return Column(made, None if there.all() else there)


def _item(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) or (hasattr(value, "item") and getattr(value, "shape", None) == ()):
        return value.item()
    if isinstance(value, numbers.Real):
        return float(value)
    return value.isoformat() if isinstance(value, datetime.date) else value


def _numbers_there(array: np.ndarray) -> np.ndarray | None:
    if array.dtype.kind != "f":
        return None
    there = ~np.isnan(array)
    return None if there.all() else there


def _there(column: Column) -> np.ndarray:
    return np.ones(len(column.values), bool) if column.there is None else column.there


def packed(found: Mapping[str, Column]) -> Arrays:
    """Columns as arrays of plain numbers."""
    arrays: Arrays = {}
    for name, column in found.items():
        if column.values.dtype == object:
            encoded = [str(value).encode("utf-8", "surrogatepass") for value in column.values]
            arrays[f"~{name}"] = np.frombuffer(b"".join(encoded), np.uint8)
            arrays[f"^{name}"] = np.cumsum([len(one) for one in encoded], dtype=np.int64)
        else:
            arrays[f"={name}"] = column.values
        if column.there is not None:
            arrays[f"!{name}"] = column.there
    return arrays


def unpacked(arrays: Mapping[str, np.ndarray]) -> dict[str, Column]:
    """The columns that `packed` made arrays of."""
    found: dict[str, Column] = {}
    for key, array in arrays.items():
        name = key[1:]
        if key[0] == "=":
            found[name] = Column(array, arrays.get(f"!{name}"))
        elif key[0] == "~":
            data, ends = array.tobytes(), arrays[f"^{name}"].tolist()
            starts = [0, *ends[:-1]] if ends else []
            texts = [data[start:end].decode("utf-8", "replace") for start, end in zip(starts, ends, strict=True)]
            found[name] = Column(np.asarray(texts, object), arrays.get(f"!{name}"))
    return found


def appended(parts: Sequence[Mapping[str, Column]], lengths: Sequence[int] | None = None) -> dict[str, Column]:
    """Columns of several batches, one after the other; what a batch lacks has no value there.

    Args:
        parts: the columns of each batch.
        lengths: how many samples each has, which one without any column does not tell.

    Raises:
        ModelError: a column has texts in one batch and numbers in another.
    """
    if lengths is None:
        lengths = [len(next(iter(part.values())).values) if part else 0 for part in parts]
    found: dict[str, Column] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        pieces, there = [], []
        text = any(name in part and part[name].values.dtype == object for part in parts)
        for part, length in zip(parts, lengths, strict=True):
            column = part.get(name)
            known = np.zeros(length, bool) if column is None else _there(column)
            there.append(known)
            if column is not None and text == (column.values.dtype == object):
                pieces.append(column.values)
            elif known.any():
                raise ModelError(
                    f"The column {name!r} got texts for some pictures and numbers for others.",
                    hint="Always return numbers, or always texts; None where there is no value.",
                    code="callable",
                )
            else:  # a batch without any value has no kind of its own
                pieces.append(np.full(length, "", object) if text else np.zeros(length, bool))
        present = np.concatenate(there)
        found[name] = Column(np.concatenate(pieces), None if present.all() else present)
    return found
