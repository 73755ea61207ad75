"""What is usual, learned in another process: objects go over as plain arrays, what was learned comes back as such.

Learning takes seconds of products of matrices. In a notebook's kernel their threads would wait for each other awake,
and for everything else that computes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from dataide.review.crop_vectors import Vectors
from dataide.review.linters import Known, drawn, learn
from dataide.review.objects import Objects
from dataide.review.odds import Odds
from dataide.review.sizes import Sizes
from dataide.review.swaps import Judge, Regression, Swaps

Arrays = dict[str, np.ndarray]
Say = Callable[[str], None]
Stop = Callable[[], bool]
Learn = Callable[[Objects, Say, Stop, Vectors | None], Known]
# The name of `task` for a process that finds its functions by name.
TASK = "dataide.review.learning:task"
# Of fewer objects it is learned sooner than another process starts.
FEW = 1_000

_COLUMNS = (
    "object_no",
    "sample_no",
    "class_no",
    "boxes",
    "width_px",
    "height_px",
    "mask_area",
    "track",
    "frame",
    "row",
)
_KINDS: dict[str, type] = {kind.__name__: kind for kind in (Known, Sizes, Swaps, Judge, Regression, Odds)}


def here(table: Objects, say: Say, stop: Stop, vectors: Vectors | None = None) -> Known:
    """Learns in this process."""
    return learn(table, vectors, say=say, stop=stop)


def sent(table: Objects, vectors: Vectors | None = None) -> tuple[Arrays, dict[str, Any]]:
    """What `task` needs of a table: of many objects those that are learned from, as arrays and plain values."""
    part = drawn(table)
    arrays = {name: value for name in _COLUMNS if (value := getattr(part, name)) is not None}
    if vectors is not None:
        # Of what is sent, in its order; `vectors` are those of samples, which the process may hold.
        arrays |= {"crop_vectors": vectors[part.row], "row": np.arange(len(part))}
    return arrays, {"classes": list(part.classes)}


def task(arrays: Arrays, arguments: Mapping[str, Any], say: Say, stop: Stop) -> tuple[Arrays, dict[str, Any]]:
    """`linters.learn` of what `sent` made; `known_from` reads the answer."""
    columns: dict[str, Any] = {name: arrays[name] for name in _COLUMNS if name in arrays}
    table = Objects(**columns, classes=tuple(arguments["classes"]))
    known = learn(table, arrays.get("crop_vectors"), say=say, stop=stop)
    told: Arrays = {}
    return told, {"known": _flat(known, "known", told)}


def known_from(arrays: Arrays, details: Mapping[str, Any]) -> Known:
    """What was learned, of the answer of `task`."""
    known = _whole(details["known"], arrays)
    assert isinstance(known, Known)
    return known


def _flat(value: Any, path: str, arrays: Arrays) -> Any:
    """A value as JSON, with its arrays beside it."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if is_dataclass(value):
        parts = {one.name: _flat(getattr(value, one.name), f"{path}.{one.name}", arrays) for one in fields(value)}
        return {"kind": type(value).__name__, "fields": parts}
    if isinstance(value, tuple):
        return {"tuple": [_flat(one, f"{path}.{place}", arrays) for place, one in enumerate(value)]}
    return value.item() if isinstance(value, np.generic) else value


def _whole(flat: Any, arrays: Arrays) -> Any:
    match flat:
        case {"array": path}:
            return arrays[path]
        case {"kind": kind, "fields": parts}:
            return _KINDS[kind](**{name: _whole(part, arrays) for name, part in parts.items()})
        case {"tuple": parts}:
            return tuple(_whole(part, arrays) for part in parts)
    return flat
