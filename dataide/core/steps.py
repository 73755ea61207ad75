"""What Views of samples and candidates of an attached table have in common: conditions, orders, the first so many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataide.errors import FilterError

from .predicate import Predicate, column_named

_LONGEST_CELL = 80


@dataclass(frozen=True)
class Where:
    """Keeps what a condition holds for; `sentence` is None when the condition says it itself."""

    predicate: Predicate
    sentence: str | None = None


@dataclass(frozen=True)
class OrderBy:
    """Orders by columns: name and descending."""

    columns: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Take:
    """Keeps the first ones."""

    count: int


@dataclass(frozen=True)
class Shuffle:
    """Keeps some at random; the same seed gives the same ones."""

    count: int
    seed: int


def ordered_by(columns: Sequence[str], descending: bool, known: Mapping[str, str], example: str) -> OrderBy:
    """The step of `order_by`; a name with a minus before it begins with the highest.

    Raises:
        FilterError: no column is named.
        UnknownColumn: there is no such column.
    """
    if not columns:
        raise FilterError("order_by needs a column.", hint=f'For example: .order_by("-{example}")')
    keys = []
    for given in columns:
        backwards = given.startswith("-") and given not in known
        keys.append((column_named(given[1:] if backwards else given, known), backwards != descending))
    return OrderBy(tuple(keys))


def natural(count: int, verb: str, what: str) -> int:
    """A count that was given to `verb`.

    Raises:
        FilterError: it is none.
    """
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
        raise FilterError(f"{verb}() needs a number of {what}, not {count!r}.")
    return int(count)


def cell(value: Any) -> str:
    """A value as a small table shows it."""
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
