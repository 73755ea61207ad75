"""Samples arranged by the categories of a column, so that a grid can put each under a heading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dataide.errors import ActionError

from .codes import LISTS, Array, Coded

MOST_SECTIONS = 1_000
_NAMED = 5


@dataclass(frozen=True)
class Section:
    """Neighbouring tiles of one value; the last section may hold the tiles of many.

    Attributes:
        value: None for tiles without a value, and for the last section of many.
        count: how many tiles it has.
        leading: how many of them come first because they were selected elsewhere.
    """

    value: str | None
    count: int
    leading: int


@dataclass(frozen=True, eq=False)
class Grouped:
    """All samples arranged by group, in a group as they were arranged before.

    Attributes:
        arrangement: sample numbers, uint32.
        values: of the groups, the most frequent first; None is the last.
        ends: where each group ends in the arrangement, int64, shape (groups,).
    """

    arrangement: Array
    values: list[str | None]
    ends: Array

    def sections(self, first: Array, rest: Array) -> tuple[tuple[Section, ...], int]:
        """The groups that have tiles, and how many of them the last section holds that has no name.

        Args:
            first: which places of the arrangement lead in their group, bool.
            rest: which other places have a tile, bool.
        """
        leading, following = _between(first, self.ends), _between(rest, self.ends)
        present = np.flatnonzero(leading + following)
        named = [
            Section(self.values[group], int(leading[group] + following[group]), int(leading[group]))
            for group in present[:MOST_SECTIONS]
        ]
        others = present[MOST_SECTIONS:]
        if len(others):
            counts = int(leading[others].sum()), int(following[others].sum())
            named.append(Section(None, sum(counts), counts[0]))
        return tuple(named), len(others)


def grouped(column: Coded, arrangement: Array | None) -> Grouped:
    """Arranges by the values of a column, the most frequent first, samples without a value last.

    Args:
        column: its categories, coded.
        arrangement: how samples lie inside a group: all sample numbers in that order, or None for the order of arrival.
    """
    values: list[str | None] = [*getattr(column, "values", []), None]
    codes = column.codes
    if arrangement is not None:
        arrangement = arrangement[arrangement < len(codes)]
        codes = codes[arrangement]
    # For codes of 8 or 16 bits numpy counts instead of comparing.
    places = np.argsort(codes, kind="stable")
    ordered = places.astype(np.uint32) if arrangement is None else arrangement[places]
    ends = np.cumsum(np.bincount(codes, minlength=len(values)))
    return Grouped(ordered, values, ends)


def refused_group(column: str, kinds: Mapping[str, str]) -> ActionError:
    """Why a column cannot be grouped by, with those that can."""
    kind = kinds.get(column)
    if column in LISTS:
        why = f"A sample may have several {column}, and a tile stands in one place"
    elif kind == "text":
        why = f"Almost every sample has a value of its own in '{column}'"
    elif kind in ("number", "time"):
        why = f"'{column}' holds {'numbers' if kind == 'number' else 'times'} and not categories"
    else:
        why = f"'{column}' holds no categories"
    usable = [name for name, other in kinds.items() if other in ("category", "bool")]
    listed = ", ".join(usable[:_NAMED])
    instead = "Sort by it instead" if kind in ("text", "number", "time") else "Filter by it instead"
    hint = f"{instead}, or group by one of: {listed}." if listed else f"{instead}."
    return ActionError(f"{why}: the grid cannot be grouped by it.", hint=hint, code="no_categories")


def _between(places: Array, ends: Array) -> Array:
    """How many places are true between one end and the next: int64, shape of `ends`."""
    if not len(places):
        return np.zeros(len(ends), dtype=np.int64)
    counted = np.cumsum(places, dtype=np.int64)
    return np.diff(np.where(ends > 0, counted[np.maximum(ends, 1) - 1], 0), prepend=0)
