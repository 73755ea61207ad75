"""Counts for facets: of the whole, of what passes the filter, and of the selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .codes import LISTS, NEVER_CATEGORIES, Array, Bars, Coded, Codes, Histogram
from .selection import fitted
from .tally import tallies

if TYPE_CHECKING:
    from .filter import Filter
    from .selection import Selection

# The order in which facets are shown: what people decide about, then their columns, then what was measured at ingest.
FIRST = ("label", "issues", "tags", "queues", "split")
MEASURED = (
    *("brightness", "contrast", "sharpness", "width_px", "height_px", "bytes", "format"),
    *("mean_red", "mean_green", "mean_blue", "excluded", "added_at"),
)
HIDDEN = NEVER_CATEGORIES | {"media_revision", "sample_no", "dhash", "phash"}


@dataclass(frozen=True)
class BarCount:
    value: str | None
    total: int
    visible: int
    selected: int


@dataclass(frozen=True)
class BarCounts:
    """Bars of a column of categories, the most frequent first; `more` is how many values are not among them."""

    column: Bars
    bars: list[BarCount]
    more: int


@dataclass(frozen=True)
class HistogramCounts:
    """Counts of each bin; `missing` samples have no value."""

    column: Histogram
    total: list[int]
    visible: list[int]
    selected: list[int]
    missing: int


class FacetCounts:
    """Counts the columns of one session.

    `visible` leaves out the column's own clause (crossfilter), so that a facet still shows what else could be chosen.
    """

    def __init__(self, codes: Codes, filter: Filter, selection: Selection) -> None:
        self._codes = codes
        self._filter = filter
        self._selection = selection
        self._known: dict[tuple[str, str], tuple[Coded, Array | None, Array]] = {}
        self._apart: dict[str, tuple[Coded, bool]] = {}
        self._shares: tuple[tuple[Array, int], ...] = ()

    def columns(self) -> list[str]:
        """Columns worth a facet, in the order of showing; those with fewer than two values are left out."""
        kinds = self._codes.kinds()
        usable = [name for name, kind in kinds.items() if kind not in ("text", "other") and name not in HIDDEN]
        users = [name for name in usable if name not in FIRST and name not in MEASURED]
        ordered = [name for name in FIRST if name in usable or name in LISTS] + users
        ordered += [name for name in MEASURED if name in usable]
        coded = self._codes.get(ordered)
        return [column.name for column in coded if column.name == "label" or self._tells_apart(column)]

    def count(self, columns: Sequence[str] | None, bars: int) -> list[BarCounts | HistogramCounts]:
        """Counts of these columns, or of all that are worth it.

        Raises:
            UnknownColumn: there is no such column.
        """
        names = self.columns() if columns is None else list(columns)
        coded = self._codes.get(names)
        selected, everywhere = self._selection.mask, self._filter.mask()
        sources = {clause.source for clause in self._filter.clauses}
        owns = [f"facet:{name}" for name in names]
        visible = [self._filter.mask(without=own) if own in sources else everywhere for own in owns]
        totals = self._counted(coded, "total", [None] * len(coded))
        shown = self._counted(coded, "visible", visible)
        chosen = self._counted(coded, "selected", [selected] * len(coded))
        return [
            _histogram(column, *counts) if isinstance(column, Histogram) else _bars(column, *counts, bars)
            for column, counts in zip(coded, zip(totals, shown, chosen, strict=True), strict=True)
        ]

    def _tells_apart(self, column: Coded) -> bool:
        """Whether a column has at least two values, no value being one."""
        if isinstance(column, Bars) and column.entries is not None:
            return len(column.entries) > 0
        if not column.samples or (isinstance(column, Bars) and not column.values):
            return False
        known = self._apart.get(column.name)
        if known is None or known[0] is not column:
            known = self._apart[column.name] = (column, bool((column.codes != column.codes[0]).any()))
        return known[1]

    def _counted(self, columns: Sequence[Coded], what: str, masks: Sequence[Array | None]) -> list[Array]:
        """The counts of each column in its mask; counted again only when one of both is another one."""
        found: dict[str, Array] = {}
        # What must be counted, by mask: columns of the same samples are counted together.
        asked: dict[tuple[int, int], tuple[Array | None, list[Coded]]] = {}
        for column, mask in zip(columns, masks, strict=True):
            known = self._known.get((column.name, what))
            if known is not None and known[0] is column and known[1] is mask:
                found[column.name] = known[2]
                continue
            share = 1 if mask is None else self._share(mask)
            if mask is not None and (not share or share == len(mask) == column.samples):
                (total,) = self._counted([column], "total", [None])
                found[column.name] = total if share else np.zeros_like(total)
            elif isinstance(column, Bars) and column.entries is not None:
                found[column.name] = column.counts(None if mask is None else fitted(mask, column.samples))
            else:
                asked.setdefault((id(mask), column.samples), (mask, []))[1].append(column)
        for (_, samples), (mask, together) in asked.items():
            coded = [(column.codes, column.size) for column in together]
            counts = tallies(coded, None if mask is None else fitted(mask, samples))
            found.update({column.name: of_column for column, of_column in zip(together, counts, strict=True)})
        for column, mask in zip(columns, masks, strict=True):
            self._known[column.name, what] = (column, mask, found[column.name])
        return [found[column.name] for column in columns]

    def _share(self, mask: Array) -> int:
        """How many a mask holds: facets of a dozen columns ask it of the same one."""
        for known, count in self._shares:
            if known is mask:
                return count
        count = int(np.count_nonzero(mask))
        self._shares = ((mask, count), *self._shares[:3])
        return count

    def values(self, column: str, search: str, limit: int) -> BarCounts:
        """Bars whose value contains the search text, those that begin with it first."""
        (counted,) = self.count([column], bars=2**31)
        if isinstance(counted, HistogramCounts):
            return BarCounts(Bars(column, counted.column.type, [], np.empty(0, np.uint8), 0), [], 0)
        needle = search.casefold()
        found = [bar for bar in counted.bars if needle in (bar.value or "").casefold()]
        found.sort(key=lambda bar: not (bar.value or "").casefold().startswith(needle))
        return BarCounts(counted.column, found[:limit], max(0, len(found) - limit))


def _bars(column: Bars, totals: Array, shown: Array, chosen: Array, most: int) -> BarCounts:
    values: list[str | None] = [*column.values, None]
    order = [code for code in np.argsort(-totals, kind="stable").tolist() if totals[code] > 0]
    bars = [BarCount(values[code], int(totals[code]), int(shown[code]), int(chosen[code])) for code in order[:most]]
    return BarCounts(column, bars, max(0, len(order) - most))


def _histogram(column: Histogram, total: Array, shown: Array, chosen: Array) -> HistogramCounts:
    return HistogramCounts(column, total[:-1].tolist(), shown[:-1].tolist(), chosen[:-1].tolist(), int(total[-1]))
