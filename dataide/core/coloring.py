"""A colour byte for each sample: what the plot colours by, and what the bytes mean."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage.query import name_of

from .codes import LISTS, Array, Bars, Codes, sql_kind

if TYPE_CHECKING:
    from dataide.storage.database import Database

    from .points import Points

NO_VALUE = 255
LAST_COLOR = 254
MOST_ENTRIES = 254
# From so many samples on, the first points are coloured before the whole column is read.
MANY_SAMPLES = 300_000
_COUNTED = 1 << 22

Entry = tuple[str | None, int, int]  # value, how many points, colour byte


@dataclass(frozen=True)
class Coloring:
    """A colour byte for each sample number, and what the bytes mean. 255 is "no value"."""

    column: str | None
    bytes_by_no: Array | None
    values: list[str]  # of a category column, in the order of their bytes
    more: int = 0  # how many values of a category column have no colour of their own
    is_category: bool = True
    low: float = 0.0
    high: float = 0.0
    version: int = -1  # of the values in the column

    def of(self, points: Points, start: int, stop: int) -> Array:
        """The bytes of these points of the wire."""
        if self.bytes_by_no is None:
            return np.zeros(stop - start, dtype=np.uint8)
        return self.of_samples(points.samples(start, stop))

    def of_samples(self, nos: Array) -> Array:
        """The bytes of these samples; those that came later have no value."""
        by_no = self.bytes_by_no
        if by_no is None:
            return np.zeros(len(nos), dtype=np.uint8)
        if len(nos) and int(nos.max()) >= len(by_no):
            known = nos < len(by_no)
            return np.where(known, by_no[np.where(known, nos, 0)], np.uint8(NO_VALUE))
        return by_no[nos]

    def entries(self, points: Points) -> list[Entry]:
        """(value, how many points, colour byte) of each category that has points; no value comes last."""
        counts = self._counts(points)
        entries: list[Entry] = [
            (value, int(counts[byte]), byte) for byte, value in enumerate(self.values) if counts[byte]
        ]
        if counts[NO_VALUE]:
            entries.append((None, int(counts[NO_VALUE]), NO_VALUE))
        return entries

    def _counts(self, points: Points) -> Array:
        by_no = self.bytes_by_no
        counts = np.zeros(256, dtype=np.int64)
        if by_no is not None and points.total == points.reach == len(by_no):
            for start in range(0, len(by_no), _COUNTED):  # in portions: bincount makes eight bytes of one
                counts += np.bincount(by_no[start : start + _COUNTED], minlength=256)
            return counts
        for start in range(0, points.total, _COUNTED):
            stop = min(points.total, start + _COUNTED)
            counts += np.bincount(self.of(points, start, stop), minlength=256)
        return counts


@dataclass(frozen=True)
class Glimpse(Coloring):
    """The colours of the first points, and the legend of all: had before the whole column is read."""

    first: Array | None = None  # colour bytes of the first points of the wire
    counted: tuple[Entry, ...] = ()

    def of(self, points: Points, start: int, stop: int) -> Array:
        """The bytes of these points, which must be among the first."""
        assert self.first is not None and stop <= len(self.first)
        return self.first[start:stop]

    def entries(self, points: Points) -> list[Entry]:
        """As of the whole column."""
        return list(self.counted)


class Colorings:
    """The colourings of one session, kept until the values of their column change."""

    def __init__(self, database: Database, codes: Codes) -> None:
        self._database = database
        self._codes = codes
        self._lock = threading.RLock()
        self._known: dict[str, Coloring] = {}
        self._palette: dict[str, list[str]] = {}  # the order in which the values of a column got their colours
        self._entries: dict[str, tuple[int, str, list[Entry]]] = {}
        self._glimpses: dict[str, tuple[tuple[int, str], Glimpse]] = {}

    def get(self, column: str | None) -> Coloring:
        """The colour bytes of a column.

        A value keeps its colour while the session is open: relabelling some samples must not repaint the others.

        Raises:
            UnknownColumn: there is no such column.
        """
        if column is None:
            return Coloring(None, None, [])
        with self._lock:
            version = self._codes.version(column)
            known = self._known.get(column)
            if known is None or known.version != version:
                known = self._color(column, version)
                self._known[column] = known
                while len(self._known) > 4:
                    self._known.pop(next(iter(self._known)))
            return known

    def first(self, column: str | None, points: Points) -> Coloring:
        """A colouring that is good for the first points at least, without reading the column of ten million samples.

        Raises:
            UnknownColumn: there is no such column.
        """
        if column is None or self.is_ready(column):
            return self.get(column)
        # The version first: what is written meanwhile is looked at again next time. One panel asks twice, for what it
        # shows and for its picture in the notebook.
        key = (self._codes.version(column), points.places)
        known = self._glimpses.get(column)
        if known is None or known[0] != key:
            glimpsed = self._glimpse(column, points)
            if glimpsed is None:
                return self.get(column)
            with self._lock:
                known = self._glimpses[column] = (key, glimpsed)
                while len(self._glimpses) > 4:
                    self._glimpses.pop(next(iter(self._glimpses)))
        return known[1]

    def is_ready(self, column: str) -> bool:
        """Whether `get` has an answer at once."""
        known = self._known.get(column)
        return known is not None and known.version == self._codes.version(column)

    def entries(self, coloring: Coloring, points: Points) -> list[Entry]:
        """The entries of the legend, counted once."""
        if coloring.column is None or isinstance(coloring, Glimpse):
            return coloring.entries(points)
        with self._lock:
            known = self._entries.get(coloring.column)
        if known is None or known[:2] != (coloring.version, points.places):
            known = (coloring.version, points.places, coloring.entries(points))
            with self._lock:
                self._entries[coloring.column] = known
                while len(self._entries) > 8:
                    self._entries.pop(next(iter(self._entries)))
        return known[2]

    def _glimpse(self, column: str, points: Points) -> Glimpse | None:
        database = self._database
        sql_type = database.columns().get(column)
        if points.reach < MANY_SAMPLES or sql_type is None or column in LISTS:
            return None
        # Only categories, and only where every sample is a point: else the counts of the legend would be others.
        if sql_kind(sql_type) in ("number", "time") or points.total != database.sample_count:
            return None
        value = f"{name_of(column)}::VARCHAR"
        with database.query(f"SELECT {value}, count(*) FROM data.sample GROUP BY 1 ORDER BY 2 DESC, 1") as cursor:
            counts = {said: int(count) for said, count in cursor.fetchall()}
        if sum(counts.values()) != points.total:
            return None
        with self._lock:
            values, more = self._extended(column, [said for said in counts if said is not None])
        place = {said: byte for byte, said in enumerate(values)}
        nos = points.samples(0, points.front)
        with database.query(
            f"SELECT sample_no, {value} FROM data.sample WHERE sample_no IN (SELECT no FROM wanted)",
            frames={"wanted": {"no": nos}},
        ) as cursor:
            said_of = dict(cursor.fetchall())
        first = np.fromiter(
            (NO_VALUE if said_of[no] is None else place.get(said_of[no], LAST_COLOR) for no in nos.tolist()),
            dtype=np.uint8,
            count=len(nos),
        )
        entries: list[Entry] = [(said, counts[said], byte) for byte, said in enumerate(values) if said in counts]
        if None in counts:
            entries.append((None, counts[None], NO_VALUE))
        return Glimpse(column, None, values, more, first=first, counted=tuple(entries))

    def _extended(self, column: str, values: list[str]) -> tuple[list[str], int]:
        """The palette of a column with those of these values that it has room for, and how many it has none for."""
        palette = self._palette.setdefault(column, [])
        seen = set(palette)
        new = [value for value in values if value not in seen]
        room = max(0, MOST_ENTRIES - len(palette))
        palette.extend(sorted(new[:room], key=_natural))
        return list(palette), max(0, len(new) - room)

    def _color(self, column: str, version: int) -> Coloring:
        coded = self._codes.one(column)
        if not isinstance(coded, Bars):
            return _scaled(column, coded.numbers, version)
        palette, more = self._extended(column, coded.values)
        place = {value: byte for byte, value in enumerate(palette)}
        table = np.array([*(place.get(value, LAST_COLOR) for value in coded.values), NO_VALUE], dtype=np.uint8)
        if coded.entries is None:
            return Coloring(column, table[coded.codes], palette, more, version=version)
        # Of several tags the most frequent one counts: written last, so that it stays.
        by_no = np.full(coded.samples, NO_VALUE, dtype=np.uint8)
        rarest_first = np.argsort(-coded.codes.astype(np.int64), kind="stable")
        by_no[coded.entries[rarest_first]] = table[coded.codes[rarest_first]]
        return Coloring(column, by_no, palette, more, version=version)


def _scaled(column: str, numbers: Array, version: int) -> Coloring:
    """Numbers scaled to 0…254. A few outliers must not paint everything else in one colour: they share the ends."""
    finite = np.isfinite(numbers)
    some = numbers[finite]
    low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 1.0)
    if some.size > 1_000:
        inner_low, inner_high = (float(edge) for edge in np.percentile(some, (1, 99)))
        if inner_high > inner_low and (inner_high - inner_low) < (high - low) / 2:
            low, high = inner_low, inner_high
    width = high - low or 1.0
    by_no = np.full(len(numbers), NO_VALUE, dtype=np.uint8)
    by_no[finite] = np.rint(np.clip((some - low) / width, 0, 1) * LAST_COLOR)
    return Coloring(column, by_no, [], is_category=False, low=low, high=high, version=version)


def _natural(value: str) -> tuple[bool, float, str]:
    """2 before 10, and numbers before words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value.casefold()
