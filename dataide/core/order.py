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

from .codes import LISTS, Array, Codes
from .grouping import Grouped, Section, grouped, refused_group
from .ranks import Ranks
from .selection import fitted
from .severity import check_kind, most_severe

if TYPE_CHECKING:
    from dataide.storage.database import Database

    from .changes import Changes
    from .filter import Filter
    from .selection import Selection

KEPT_ORDERS = 6
KEPT_RANKINGS = 4
NEAR = 10_000


@dataclass(frozen=True)
class Sort:
    """How the grid is sorted: by arrival, by a column, by similarity to something, or by the severity of issues.

    `token` names the ranking by similarity, `kind` the kind of issues; None for all kinds.
    """

    by: str = "added"
    column: str | None = None
    token: str | None = None
    label: str = ""
    descending: bool = False
    kind: str | None = None


@dataclass(frozen=True, eq=False)
class Order:
    """Samples in the order of showing. The id says which content positions were counted in.

    What is kept is which samples are in it, a bit for each, and the arrangement that it shares with others: an order of
    ten million is made in a hundredth of a second, and any page of it read in the same time as the first.

    Attributes:
        id: another one for other content.
        arrangement: all sample numbers in the order of the sort; None for the order of arrival.
        lead: places in the arrangement of what comes first, in all or in its group.
        rest: places of what follows.
        column: the one it is grouped by, or None.
        sections: the groups, the first 1,000 by name and what remains as one.
        more: how many groups that last section holds; 0 when all are named.
    """

    id: str
    arrangement: Array | None  # uint32
    lead: Ranks
    rest: Ranks
    column: str | None = None
    sections: tuple[Section, ...] = ()
    more: int = 0

    @property
    def total(self) -> int:
        return self.lead.total + self.rest.total

    @property
    def nos(self) -> Array:
        """All sample numbers, uint32: 4 bytes for each sample."""
        return self.part(0, self.total)

    def part(self, start: int, stop: int) -> Array:
        """The sample numbers from position `start` up to, not including, `stop`: uint32, shape (stop - start,)."""
        start, stop = max(0, start), min(stop, self.total)
        if start >= stop:
            return np.zeros(0, dtype=np.uint32)
        pieces: list[Array] = []
        position = leading = 0  # how many tiles, and how many leading ones, lie before the section
        for count, first in self._runs():
            low, high = max(start - position, 0), min(stop - position, count)
            if low < high:
                pieces.append(self.lead.part(leading + low, leading + min(high, first)))
                behind = position - leading  # of those that do not lead, so many lie before
                pieces.append(self.rest.part(behind + max(low - first, 0), behind + high - first))
            position += count
            leading += first
            if position >= stop:
                break
        places = np.concatenate(pieces)
        return places.astype(np.uint32) if self.arrangement is None else self.arrangement[places]

    def at(self, positions: Array | list[int]) -> Array:
        """The sample numbers at some positions: uint32, shape (positions,)."""
        wanted = np.asarray(positions, dtype=np.int64)
        distinct, inverse = np.unique(wanted, return_inverse=True)
        # What lies near each other is read as one stretch: a box of tiles is many short runs.
        cuts = np.flatnonzero(np.diff(distinct) > NEAR) + 1
        stretches = [one for one in np.split(distinct, cuts) if len(one)]
        found = [self.part(int(one[0]), int(one[-1]) + 1)[one - one[0]] for one in stretches]
        return np.concatenate(found)[inverse] if found else np.zeros(0, dtype=np.uint32)

    def same(self, other: Order) -> bool:
        """Whether the other one shows the same samples at the same positions, under the same headings."""
        mine, theirs = self.arrangement, other.arrangement
        arranged = mine is theirs or (mine is not None and theirs is not None and np.array_equal(mine, theirs))
        headed = (self.column, self.sections, self.more) == (other.column, other.sections, other.more)
        return headed and arranged and self.lead == other.lead and self.rest == other.rest

    def _runs(self) -> list[tuple[int, int]]:
        """How many tiles each section has, and how many of them lead."""
        if self.lead.total and self.sections:
            return [(section.count, section.leading) for section in self.sections]
        return [(self.total, self.lead.total)]


class Orders:
    """The sort and the grouping of one session, its current order, and the last few before it."""

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
        self._group: str | None = None
        self._current: tuple[tuple[object, ...], Order] | None = None
        self._kept: OrderedDict[str, Order] = OrderedDict()
        self._rankings: OrderedDict[str, Array] = OrderedDict()
        self._sorted: tuple[tuple[object, ...], Array] | None = None
        self._grouped: tuple[tuple[object, ...], Grouped] | None = None

    @property
    def sort(self) -> Sort:
        return self._sort

    @property
    def group(self) -> str | None:
        """The column by which every grid of the session is grouped."""
        return self._group

    def set_sort(self, sort: Sort) -> None:
        """Changes the order for every grid of the session; inside the groups, when it is grouped.

        Raises:
            UnknownColumn: there is no such column.
            StaleOrder: the similarity ranking is no longer kept.
            ActionError: this kind of issue was not looked for.
        """
        if sort.by == "column":
            columns = self._database.columns()
            if sort.column not in columns:
                raise unknown_column(str(sort.column), columns)
        if sort.by == "similar" and sort.token not in self._rankings:
            raise StaleOrder("This ranking by similarity is gone.", hint="Choose the samples again and press S.")
        if sort.by == "issue":
            check_kind(self._database, sort.kind)
        if sort.by in ("similar", "issue"):
            self._selection.follow()  # the best match, or the worst issue, is what one wants to see first
        with self._lock:
            self._sort = sort
        self._changes.notify("sort")

    def set_group(self, column: str | None) -> None:
        """Groups every grid of the session by a column of categories, the largest group first.

        Raises:
            UnknownColumn: there is no such column.
            ActionError: its values are no categories.
        """
        if column is not None:
            kinds = self._codes.kinds()
            if column not in kinds and column not in LISTS:
                raise unknown_column(column, kinds)
            if kinds.get(column) not in ("category", "bool"):
                raise refused_group(column, kinds)
        with self._lock:
            self._group = column
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
            key = (
                self._database.revision,
                self._filter.version,
                self._sort,
                self._group,
                self._selection.lead_version,
            )
            if self._current is not None and self._current[0] == key:
                return self._current[1]
            order = self._made()
            if self._current is not None and self._current[1].same(order):
                order = self._current[1]
            else:
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

    def _made(self) -> Order:
        mask = self._filter.mask()
        lead = fitted(self._selection.lead, len(mask))
        groups = self._groups(len(mask)) if self._group is not None else None
        arrangement = groups.arrangement if groups is not None else self._arrangement(len(mask))
        first, rest = _places(mask, lead, arrangement)
        made = uuid.uuid4().hex[:12]
        if groups is None:
            return Order(made, arrangement, Ranks(first), Ranks(rest))
        sections, more = groups.sections(first, rest)
        return Order(made, arrangement, Ranks(first), Ranks(rest), self._group, sections, more)

    def _arrangement(self, count: int) -> Array | None:
        """All sample numbers in the order of the sort, kept while nothing it depends on changes."""
        sort = self._sort
        if sort.by == "added" and not sort.descending:
            return None
        column = {"column": str(sort.column), "issue": "issues"}.get(sort.by)
        key = (sort, count, None if column is None else self._codes.version(column))
        if self._sorted is None or self._sorted[0] != key:
            if sort.by == "added":
                made = np.arange(count, dtype=np.uint32)[::-1]
            elif sort.by == "issue":
                made = _ranked(most_severe(self._database, sort.kind), count, descending=sort.descending)
            elif sort.by == "similar":
                made = _ranked(self._rankings[str(sort.token)], count, descending=sort.descending)
            else:
                made = self._by_column(str(sort.column), sort.descending)
            self._sorted = (key, made)
        return self._sorted[1]

    def _by_column(self, column: str, descending: bool) -> Array:
        sql = (
            "SELECT sample_no FROM data.sample "
            f"ORDER BY {name_of(column)} {'DESC' if descending else 'ASC'} NULLS LAST, sample_no"
        )
        with self._database.query(sql) as cursor:
            return np.asarray(cursor.fetchnumpy()["sample_no"], dtype=np.uint32)

    def _groups(self, count: int) -> Grouped:
        """The arrangement by group, kept likewise."""
        column, arrangement = str(self._group), self._arrangement(count)
        key = (column, self._codes.version(column), count, self._sorted[0] if arrangement is not None else None)  # type: ignore[index]
        if self._grouped is None or self._grouped[0] != key:
            self._grouped = (key, grouped(self._codes.one(column), arrangement))
        return self._grouped[1]


def _places(mask: Array, lead: Array, arrangement: Array | None) -> tuple[Array, Array]:
    """Where in the arrangement is what passes and comes first, and where what passes besides; bool."""
    first = mask & lead
    if arrangement is None:
        return first, mask & ~first if first.any() else mask
    most = int(arrangement.max(initial=0)) + 1
    if most > len(mask):  # samples arrived while we were asking
        mask, first = fitted(mask, most), fitted(first, most)
    # One look-up for each sample: they lie all over the memory, which is what takes the time.
    code = (mask.view(np.uint8) + first.view(np.uint8)).take(arrangement)
    return code == 2, code == 1


def _ranked(ranking: Array, count: int, *, descending: bool) -> Array:
    """A ranking, then what is not in it in order of arrival: samples without a vector come last."""
    unranked = np.ones(max(count, int(ranking.max(initial=0)) + 1), dtype=bool)
    unranked[ranking] = False
    ordered = ranking[::-1] if descending else ranking
    return np.concatenate([ordered, np.flatnonzero(unranked[:count]).astype(np.uint32)])
