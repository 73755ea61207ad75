"""Orders: the samples that pass the filter, in the order in which a grid shows them."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import StaleOrder, unknown_column
from dataide.storage.query import name_of

from .codes import Array, Codes
from .selection import fitted

if TYPE_CHECKING:
    from dataide.storage.database import Database

    from .changes import Changes
    from .filter import Filter
    from .selection import Selection

KEPT_ORDERS = 6
KEPT_RANKINGS = 4


@dataclass(frozen=True)
class Sort:
    """How the grid is sorted: by arrival, by a column, or by similarity to something (`token` names the ranking)."""

    by: str = "added"
    column: str | None = None
    token: str | None = None
    label: str = ""
    descending: bool = False


@dataclass(frozen=True)
class Order:
    """Sample numbers in the order of showing. The id says which content positions were counted in."""

    id: str
    nos: Array  # uint32

    @property
    def total(self) -> int:
        return len(self.nos)


class Orders:
    """The sort of one session, its current order, and the last few before it."""

    def __init__(
        self, database: Database, codes: Codes, filter: Filter, selection: Selection, changes: Changes
    ) -> None:
        self._database = database
        self._codes = codes
        self._filter = filter
        self._selection = selection
        self._changes = changes
        self._lock = threading.RLock()
        self._sort = Sort()
        self._current: tuple[tuple[object, ...], Order] | None = None
        self._kept: OrderedDict[str, Order] = OrderedDict()
        self._rankings: OrderedDict[str, Array] = OrderedDict()
        self._sorted: tuple[tuple[object, ...], Array] | None = None

    @property
    def sort(self) -> Sort:
        return self._sort

    def set_sort(self, sort: Sort) -> None:
        """Changes the order for every grid of the session.

        Raises:
            UnknownColumn: there is no such column.
            StaleOrder: the similarity ranking is no longer kept.
        """
        if sort.by == "column":
            columns = self._database.columns()
            if sort.column not in columns:
                raise unknown_column(str(sort.column), columns)
        if sort.by == "similar" and sort.token not in self._rankings:
            raise StaleOrder("This ranking by similarity is gone.", hint="Choose the samples again and press S.")
        if sort.by == "similar":
            self._selection.follow()  # what is similar to the selection comes right behind its best
        with self._lock:
            self._sort = sort
        self._changes.notify("sort")

    def rank(self, nos: Array, label: str) -> Sort:
        """Keeps a ranking, best first, and returns the sort that shows it."""
        token = uuid.uuid4().hex[:12]
        with self._lock:
            self._rankings[token] = np.asarray(nos, dtype=np.uint32)
            while len(self._rankings) > KEPT_RANKINGS:
                oldest = next(name for name in self._rankings if name != self._sort.token)
                del self._rankings[oldest]
        return Sort(by="similar", token=token, label=label)

    def current(self) -> Order:
        """The order as it is now. It keeps its id while its content stays the same."""
        with self._lock:
            key = (self._database.revision, self._filter.version, self._sort, self._selection.lead_version)
            if self._current is not None and self._current[0] == key:
                return self._current[1]
            nos = self._led(self._arranged(self._filter.mask()))
            if self._current is not None and np.array_equal(self._current[1].nos, nos):
                order = self._current[1]
            else:
                order = Order(uuid.uuid4().hex[:12], nos)
                self._kept[order.id] = order
                while len(self._kept) > KEPT_ORDERS:
                    self._kept.popitem(last=False)
            self._current = (key, order)
            return order

    def get(self, order_id: str) -> Order:
        """The order that a position was counted in.

        Raises:
            StaleOrder: it is no longer kept.
        """
        with self._lock:
            order = self._kept.get(order_id)
        if order is None:
            raise StaleOrder("The grid has changed since.", hint="Do it again: the grid now shows the new order.")
        return order

    def _led(self, nos: Array) -> Array:
        """What was just selected elsewhere comes first: one sees at once what the lasso caught."""
        lead = self._selection.lead
        first = fitted(lead, max(len(lead), int(nos.max(initial=0)) + 1))[nos]
        return np.concatenate([nos[first], nos[~first]]) if first.any() else nos

    def _arranged(self, mask: Array) -> Array:
        sort = self._sort
        if sort.by == "added":
            nos = np.flatnonzero(mask).astype(np.uint32)
            return nos[::-1] if sort.descending else nos
        if sort.by == "similar":
            ranking = self._rankings[str(sort.token)]
            if sort.descending:
                ranking = ranking[::-1]
            passes = fitted(mask, max(len(mask), int(ranking.max(initial=0)) + 1))
            ranked = ranking[passes[ranking]]
            # Samples without a vector come last, in order of arrival.
            unranked = mask.copy()
            unranked[ranked] = False
            return np.concatenate([ranked, np.flatnonzero(unranked).astype(np.uint32)])
        everything = self._by_column(str(sort.column), sort.descending)
        passes = fitted(mask, max(len(mask), int(everything.max(initial=0)) + 1))
        return everything[passes[everything]]

    def _by_column(self, column: str, descending: bool) -> Array:
        key = (self._codes.version(column), column, descending)
        if self._sorted is None or self._sorted[0] != key:
            sql = (
                "SELECT sample_no FROM data.sample "
                f"ORDER BY {name_of(column)} {'DESC' if descending else 'ASC'} NULLS LAST, sample_no"
            )
            with self._database.query(sql) as cursor:
                self._sorted = (key, np.asarray(cursor.fetchnumpy()["sample_no"], dtype=np.uint32))
        return self._sorted[1]
