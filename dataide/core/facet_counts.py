"""Counts for facets: of the whole, of what passes the filter, and of the selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .codes import LISTS, NEVER_CATEGORIES, Array, Bars, Coded, Codes, Histogram
from .selection import fitted

if TYPE_CHECKING:
    from .filter import Filter
    from .selection import Selection

# The order in which facets are shown: what people decide about, then their columns, then what was measured at ingest.
FIRST = ("label", "tags", "queues", "split")
MEASURED = (
    *("brightness", "contrast", "sharpness", "width_px", "height_px", "bytes", "format"),
    *("mean_red", "mean_green", "mean_blue", "excluded", "added_at"),
)
HIDDEN = NEVER_CATEGORIES | {"media_revision", "sample_no"}


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

    def columns(self) -> list[str]:
        """Columns worth a facet, in the order of showing; those with fewer than two values are left out."""
        kinds = self._codes.kinds()
        usable = [name for name, kind in kinds.items() if kind not in ("text", "other") and name not in HIDDEN]
        users = [name for name in usable if name not in FIRST and name not in MEASURED]
        ordered = [name for name in FIRST if name in usable or name in LISTS] + users
        ordered += [name for name in MEASURED if name in usable]
        coded = self._codes.get(ordered)
        return [name for name, column in zip(ordered, coded, strict=True) if name == "label" or _tells_apart(column)]

    def count(self, columns: Sequence[str] | None, bars: int) -> list[BarCounts | HistogramCounts]:
        """Counts of these columns, or of all that are worth it.

        Raises:
            UnknownColumn: there is no such column.
        """
        names = self.columns() if columns is None else list(columns)
        coded = self._codes.get(names)
        selected, everywhere = self._selection.mask, self._filter.mask()
        sources = {clause.source for clause in self._filter.clauses}
        counts: list[BarCounts | HistogramCounts] = []
        for column in coded:
            own = f"facet:{column.name}"
            visible = self._filter.mask(without=own) if own in sources else everywhere
            shown, chosen = fitted(visible, column.samples), fitted(selected, column.samples)
            if isinstance(column, Histogram):
                counts.append(_histogram(column, shown, chosen))
            else:
                counts.append(_bars(column, shown, chosen, bars))
        return counts

    def values(self, column: str, search: str, limit: int) -> BarCounts:
        """Bars whose value contains the search text, those that begin with it first."""
        (counted,) = self.count([column], bars=2**31)
        if isinstance(counted, HistogramCounts):
            return BarCounts(Bars(column, counted.column.type, [], np.empty(0, np.uint8), 0), [], 0)
        needle = search.casefold()
        found = [bar for bar in counted.bars if needle in (bar.value or "").casefold()]
        found.sort(key=lambda bar: not (bar.value or "").casefold().startswith(needle))
        return BarCounts(counted.column, found[:limit], max(0, len(found) - limit))


def _tells_apart(column: Coded) -> bool:
    if isinstance(column, Bars) and column.entries is not None:
        return len(column.entries) > 0
    return int(np.count_nonzero(column.counts())) > 1


def _bars(column: Bars, visible: Array, selected: Array, most: int) -> BarCounts:
    totals, shown, chosen = column.counts(), column.counts(visible), column.counts(selected)
    values: list[str | None] = [*column.values, None]
    order = [code for code in np.argsort(-totals, kind="stable").tolist() if totals[code] > 0]
    bars = [BarCount(values[code], int(totals[code]), int(shown[code]), int(chosen[code])) for code in order[:most]]
    return BarCounts(column, bars, max(0, len(order) - most))


def _histogram(column: Histogram, visible: Array, selected: Array) -> HistogramCounts:
    total = column.counts()
    return HistogramCounts(
        column,
        total[:-1].tolist(),
        column.counts(visible)[:-1].tolist(),
        column.counts(selected)[:-1].tolist(),
        int(total[-1]),
    )
