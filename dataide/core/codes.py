"""Columns as small integers by sample number: what facets count and what the plot colours by.

Counting then is `tally`: some milliseconds for a million samples, whatever the mask.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dataide.errors import unknown_column
from dataide.storage.columns import FLOATS
from dataide.storage.query import listed, name_of

from .edges import nice_edges, nice_time_edges
from .tally import tally
from .touched import versions

if TYPE_CHECKING:
    from dataide.storage.database import Database

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["category", "number", "text", "time", "bool", "other"]

# Lists that stand beside the sample and not in it; facets and filters know them like columns.
LISTS = {
    "tags": "SELECT sample_no, tag AS value FROM data.tag",
    "queues": "SELECT sample_no, queue AS value FROM data.task WHERE state = 'pending'",
    "issues": "SELECT sample_no, kind AS value FROM data.issue_now WHERE is_issue AND state = 'open'",
}
NEVER_CATEGORIES = frozenset({"sample_id", "media", "content_hash"})
ALWAYS_CATEGORIES = frozenset({"label", "split", "format"})
MOST_CATEGORIES = 50_000
BINS = 24
# Stretches, and samples in each, that say what kind of text a column of very many samples holds.
_SPREAD = 16
_STRETCH = 8_192
_CHUNK = 65_536
_WORTH_THREADS = 100_000
_AT_ONCE = 8 * 122_880  # samples: row groups of DuckDB
_MOST_IN_ENUM = 2_000  # a longer list of values takes longer to parse than a join
_SQL_OF: dict[type[np.unsignedinteger[Any]], str] = {
    np.uint8: "UTINYINT", np.uint16: "USMALLINT", np.uint32: "UINTEGER",
}  # fmt: skip


@dataclass(frozen=True)
class Bars:
    """A column of categories. Code i means values[i]; code len(values) means no value."""

    name: str
    type: str
    values: list[str]  # the most frequent first
    codes: Array  # by sample number; for a list column by entry
    samples: int  # the length of the masks that `counts` takes
    entries: Array | None = None  # sample number of each entry of a list column

    def counts(self, mask: Array | None = None) -> Array:
        """How many samples of the mask (None: all) have each value; the last count is of those without one."""
        if self.entries is None:
            return tally(self.codes, self.size, mask)
        counts = tally(self.codes, self.size, None if mask is None else mask[self.entries])
        counts[-1] = 0
        return counts

    @property
    def size(self) -> int:
        """All codes are smaller."""
        return len(self.values) + 1


@dataclass(frozen=True)
class Histogram:
    """A column of numbers or times. Code i means bin i; code len(edges) - 1 means no value."""

    name: str
    type: str
    edges: Array
    codes: Array
    read: Callable[[], Array]
    is_time: bool = False

    @property
    def numbers(self) -> Array:
        """float64 by sample number, NaN for no value; times as milliseconds since 1970. Read anew: 8 bytes a sample."""
        return self.read()

    @property
    def samples(self) -> int:
        """The length of the masks that `counts` takes."""
        return len(self.codes)

    def counts(self, mask: Array | None = None) -> Array:
        """How many samples of the mask (None: all) lie in each bin; the last count is of those without a value."""
        return tally(self.codes, self.size, mask)

    @property
    def size(self) -> int:
        """All codes are smaller."""
        return len(self.edges)


Coded = Bars | Histogram


def sql_kind(sql_type: str) -> Kind:
    """What a SQL type is good for; text counts as categories until its values are known."""
    base = sql_type.upper().split("(")[0].strip()
    if "[" in sql_type or base in {"STRUCT", "MAP", "LIST", "BLOB", "UNION", "JSON", "BIT", "INTERVAL", "TIME"}:
        return "other"
    if base == "BOOLEAN":
        return "bool"
    if base == "DATE" or base.startswith("TIMESTAMP"):
        return "time"
    if base in {"VARCHAR", "UUID", "ENUM", "CHAR", "TEXT", "STRING"}:
        return "category"
    if "INT" in base or base in {"FLOAT", "DOUBLE", "REAL", "DECIMAL"}:
        return "number"
    return "other"


def _some(count: int) -> str:
    """Where to look at samples: all of few, of many some stretches, which are enough to tell a text from a category."""
    if count <= _SPREAD * _STRETCH:
        return "SELECT * FROM data.sample"
    starts = [place * (count - _STRETCH) // (_SPREAD - 1) for place in range(_SPREAD)]
    # One question each, so that only these rows are read: of conditions joined by OR every row is asked.
    return " UNION ALL ".join(
        f"SELECT * FROM data.sample WHERE sample_no BETWEEN {start} AND {start + _STRETCH - 1}" for start in starts
    )


class Codes:
    """The coded columns of one session, made when first asked for and again when their values have changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}  # of each column: nobody waits for columns that others ask for
        self._versions = versions(database)
        self._coded: dict[str, tuple[int, Coded]] = {}
        self._kinds: tuple[tuple[dict[str, str], int], dict[str, Kind]] | None = None

    def kinds(self) -> dict[str, Kind]:
        """The kind of each column of `sample`; text of mostly different values is `text` and not `category`."""
        columns, count = self._database.columns(), self._database.sample_count
        known = self._kinds
        if known is not None and known[0] == (columns, count):
            return known[1]
        kinds = {name: sql_kind(sql_type) for name, sql_type in columns.items()}
        texts = [name for name, kind in kinds.items() if kind == "category" and name not in ALWAYS_CATEGORIES]
        asked = [name for name in texts if name not in NEVER_CATEGORIES]
        kinds.update(dict.fromkeys(set(texts) & NEVER_CATEGORIES, "text"))
        if asked and count:
            wanted = ", ".join(f"approx_count_distinct({name_of(name)}), count({name_of(name)})" for name in asked)
            with self._database.query(f"SELECT {wanted} FROM ({_some(count)})") as cursor:
                row = cursor.fetchall()[0]
            for name, distinct, filled in zip(asked, row[::2], row[1::2], strict=True):
                if distinct > MOST_CATEGORIES or (filled > 20 and distinct > filled / 2):
                    kinds[name] = "text"
        self._kinds = ((columns, count), kinds)
        return kinds

    def get(self, names: Iterable[str]) -> list[Coded]:
        """The columns with these names.

        Raises:
            UnknownColumn: there is no such column.
        """
        wanted = list(names)
        types = self._database.columns()
        for name in wanted:
            if name not in types and name not in LISTS:
                raise unknown_column(name, [*types, *LISTS])
        asked = list(dict.fromkeys(wanted))
        found = {name: coded for name in asked if (coded := self._fresh(name)) is not None}
        missing = {name: types.get(name, "") for name in asked if name not in found}
        if missing:
            reader = _Reader(self._database, missing)
            if len(missing) < 2 or reader.count < _WORTH_THREADS:
                found.update({name: self._made(name, reader) for name in missing})
            else:
                # While numpy codes one column, DuckDB reads the next.
                with ThreadPoolExecutor(2, thread_name_prefix="dataide-codes") as pool:
                    made = pool.map(lambda name: self._made(name, reader), missing)
                    found.update(zip(missing, made, strict=True))
        return [found[name] for name in wanted]

    def _fresh(self, name: str) -> Coded | None:
        known = self._coded.get(name)
        return known[1] if known is not None and known[0] == self._versions.of([name]) else None

    def _made(self, name: str, reader: _Reader) -> Coded:
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            coded = self._fresh(name)
            if coded is None:
                # The version first: what is written meanwhile is read again next time.
                version = self._versions.of([name])
                coded = reader.coded(name)
                self._coded[name] = (version, coded)
            return coded

    def version(self, name: str) -> int:
        """Another number whenever the values of this column may have changed."""
        return self._versions.of([name])

    def one(self, name: str) -> Coded:
        """The column with this name."""
        return self.get([name])[0]


class _Reader:
    """Reads columns of `sample` by sample number, as plain arrays, and codes them.

    Not by way of Arrow, whose arrays load pandas when they become numpy's.
    """

    def __init__(self, database: Database, types: Mapping[str, str]) -> None:
        self.database = database
        self.count = database.sample_count
        self._types = types
        self._ranges = _ranges(
            database, {name: kind for name, kind in types.items() if sql_kind(kind) in ("number", "time")}
        )
        # Samples are written in the order of their numbers, and so they are read: then the numbers need not come along.
        with database.query("SELECT count(*) FROM data.sample WHERE sample_no <> rowid") as cursor:
            self._in_order = not cursor.fetchall()[0][0]

    def coded(self, name: str) -> Coded:
        """One of the columns and lists."""
        if name in LISTS:
            return _list(self.database, name, self.count)
        if name in self._ranges:
            return _histogram(self, name, self._types[name], self._ranges[name])
        return _categories(self, name, self._types[name])

    def column(self, expression: str, empty: Any) -> Array:
        """The expression by sample number; it must not give NULL, and `empty` stands where there is no row."""
        if self._in_order:
            with self.database.query(f"SELECT {expression} AS value FROM data.sample") as cursor:
                values = np.asarray(cursor.fetchnumpy()["value"])
            if len(values) >= self.count:  # more: samples that came meanwhile
                return values[: self.count]
        with self.database.query(f"SELECT sample_no, {expression} AS value FROM data.sample") as cursor:
            found = cursor.fetchnumpy()
        nos, values = np.asarray(found["sample_no"]), np.asarray(found["value"])
        by_no = np.full(self.count, empty, dtype=values.dtype)
        known = nos < self.count
        by_no[nos[known]] = values[known]
        return by_no

    def coded_in_portions(self, expression: str, empty: Any, code: Callable[[Array], Array]) -> Array:
        """What `code` makes of `column`: of very many samples without all their values in memory at once."""
        if not self._in_order or self.count <= _AT_ONCE:
            return code(self.column(expression, empty))
        coded = []
        for start in range(0, self.count, _AT_ONCE):
            stop = min(self.count, start + _AT_ONCE)
            sql = f"SELECT {expression} AS value FROM data.sample WHERE sample_no BETWEEN {start} AND {stop - 1}"
            with self.database.query(sql) as cursor:
                values = np.asarray(cursor.fetchnumpy()["value"])
            if len(values) != stop - start:  # taken away meanwhile
                return code(self.column(expression, empty))
            coded.append(code(values))
        return np.concatenate(coded)


def _number(name: str, sql_type: str) -> str:
    """A column of numbers or times as SQL numbers; floats stay as narrow as they are."""
    if sql_kind(sql_type) == "time":
        return f"epoch_ms({name_of(name)}::TIMESTAMP)::DOUBLE"
    return name_of(name) if sql_type in FLOATS else f"{name_of(name)}::DOUBLE"


def _ranges(database: Database, columns: Mapping[str, str]) -> dict[str, tuple[float, float] | None]:
    """The lowest and the highest finite number of each column; None where there is none."""
    if not columns:
        return {}
    # Without a condition it stands in the statistics of the file, but not for columns without any value, and one such
    # among others makes DuckDB read them all: so each is asked about by itself.
    asked = (_ends(database, {name: kind}, "") for name, kind in columns.items())
    ranges = {name: ends for one in asked for name, ends in one.items() if ends is not None}
    odd = {name: columns[name] for name, ends in ranges.items() if not all(math.isfinite(end) for end in ends)}
    if odd:
        ranges.update({name: ends for name, ends in _ends(database, odd, " FILTER (isfinite({0}))").items() if ends})
    finite = {name: ends for name, ends in ranges.items() if all(math.isfinite(end) for end in ends)}
    return {name: finite.get(name) for name in columns}


def _ends(database: Database, columns: Mapping[str, str], condition: str) -> dict[str, tuple[float, float] | None]:
    asked = []
    for name, sql_type in columns.items():
        for end in ("min", "max"):
            value = f"{end}({name_of(name)}){condition.format(name_of(name))}"
            is_time = sql_kind(sql_type) == "time"
            asked.append(f"epoch_ms({value}::TIMESTAMP)::DOUBLE" if is_time else f"{value}::DOUBLE")
    with database.query(f"SELECT {', '.join(asked)} FROM data.sample") as cursor:
        row = cursor.fetchall()[0]
    ends = zip(columns, row[::2], row[1::2], strict=True)
    return {name: None if low is None else (float(low), float(high)) for name, low, high in ends}


def _histogram(rows: _Reader, name: str, sql_type: str, ends: tuple[float, float] | None) -> Histogram:
    number, is_time = _number(name, sql_type), sql_kind(sql_type) == "time"

    def read() -> Array:
        return _Reader(rows.database, {}).column(f"coalesce({number}::DOUBLE, 'nan'::DOUBLE)", np.nan)

    low, high = ends or (0.0, 1.0)
    if is_time:
        edges = nice_time_edges(low, high, BINS)
    else:
        edges = nice_edges(low, high, BINS, whole="INT" in sql_type.upper())
    bins = len(edges) - 1
    if ends is None:
        codes = np.full(rows.count, bins, dtype=np.uint8)
    elif low == high:
        there = f"coalesce({number}::DOUBLE BETWEEN {low!r} AND {high!r}, false)"
        codes = rows.column(f"(NOT {there})::UTINYINT", bins)
    else:
        codes = rows.coded_in_portions(f"coalesce({number}, 'nan')", np.nan, lambda numbers: binned(numbers, edges))
    return Histogram(name, sql_type, edges, codes, read, is_time)


def binned(numbers: Array, edges: Array) -> Array:
    """In which bin each number lies: edges[i] <= number < edges[i + 1], the last one with its end.

    Numbers that are not finite get len(edges) - 1.
    """
    bins = len(edges) - 1
    codes = np.full(len(numbers), bins, dtype=smallest_type(bins))
    with np.errstate(over="ignore", divide="ignore"):  # edges near the largest number there is, or near each other
        scale = bins / (edges[-1] - edges[0])
    # Of the first and the last bin only the inner end counts: all numbers lie between the edges.
    lows, highs = np.append(-np.inf, edges[1:-1]), np.append(edges[1:-1], np.inf)
    even = np.isfinite(scale) and scale > 0
    for start in range(0, len(numbers), _CHUNK):  # what fits the processor's cache is worked on in half the time
        some = numbers[start : start + _CHUNK].astype(np.float64, copy=False)
        finite = np.isfinite(some)
        whole = finite.all()
        some = some if whole else some[finite]
        if even:
            # A guess for bins of about one width is right for nearly all, and takes a fifth of the time of a search.
            found = np.clip((some - edges[0]) * scale, 0, bins - 1).astype(np.intp)
            wrong = np.flatnonzero((some < lows[found]) | (some >= highs[found]))
            found[wrong] = _searched(some[wrong], edges)
        else:
            found = _searched(some, edges)
        if whole:
            codes[start : start + _CHUNK] = found
        else:
            codes[start : start + _CHUNK][finite] = found
    return codes


def _searched(numbers: Array, edges: Array) -> Array:
    return np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)


# DuckDB codes the values itself: a million texts never become Python objects, only the different ones do.
_VALUES = "SELECT value FROM ({source}) WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value"
_TRUTHS = {"true": "{0}", "false": "NOT {0}"}
_CODES = """
    SELECT source.sample_no, coalesce(ranked.code, -1)::BIGINT AS code
    FROM ({source}) source LEFT JOIN ranked ON ranked.value = source.value
"""


def _categories(rows: _Reader, name: str, sql_type: str) -> Bars:
    """Reads one column of categories."""
    if sql_type == "BOOLEAN":
        return _truths(rows, name)
    text = name_of(name) if sql_type == "VARCHAR" else f"{name_of(name)}::VARCHAR"
    source = f"SELECT sample_no, {text} AS value FROM data.sample"
    values = _values(rows.database, source)
    kind = smallest_type(len(values))
    if not values:
        return Bars(name, sql_type, values, np.zeros(rows.count, dtype=kind), rows.count)
    if len(values) <= _MOST_IN_ENUM and not any("\0" in value for value in values):
        # What came between the two questions is no value of the enumeration, and is counted next time.
        code = f"enum_code(TRY_CAST({text} AS ENUM{listed(values)}))::{_SQL_OF[kind]}"
        codes = rows.column(f"coalesce({code}, {len(values)}::{_SQL_OF[kind]})", len(values))
    else:
        nos, found = _joined(rows.database, source, values, rows.count)
        codes = np.full(rows.count, len(values), dtype=kind)
        codes[nos] = found
    return Bars(name, sql_type, values, codes, rows.count)


def _truths(rows: _Reader, name: str) -> Bars:
    """Reads one column of true and false; as texts they would take five times as long."""
    values = [
        value.lower()
        for value in _values(rows.database, f"SELECT sample_no, {name_of(name)} AS value FROM data.sample")
    ]
    cases = " ".join(f"WHEN {_TRUTHS[value].format(name_of(name))} THEN {code}" for code, value in enumerate(values))
    code = f"(CASE {cases} ELSE {len(values)} END)::UTINYINT" if values else "0::UTINYINT"
    return Bars(name, "BOOLEAN", values, rows.column(code, len(values)), rows.count)


def _list(database: Database, name: str, count: int) -> Bars:
    """Reads one of the lists."""
    values = _values(database, LISTS[name])
    nos, codes = _joined(database, LISTS[name], values, count)
    return Bars(name, "VARCHAR[]", values, codes, count, nos)


def _values(database: Database, source: str) -> list[str]:
    """The different values of a source, the most frequent first."""
    with database.query(_VALUES.format(source=source)) as cursor:
        return [str(value) for (value,) in cursor.fetchall()]


def _joined(database: Database, source: str, values: list[str], count: int) -> tuple[Array, Array]:
    """The sample number and the code of each row of a source."""
    kind = smallest_type(len(values))
    if not values:
        return np.empty(0, np.uint32), np.empty(0, kind)
    ranked = {"value": np.asarray(values, dtype=object), "code": np.arange(len(values), dtype=np.int64)}
    with database.query(_CODES.format(source=source), frames={"ranked": ranked}) as cursor:
        found = cursor.fetchnumpy()
    nos, codes = np.asarray(found["sample_no"]), np.asarray(found["code"])
    known = nos < count  # what came meanwhile is counted next time
    nos, codes = nos[known], codes[known]
    return nos, np.where(codes < 0, len(values), codes).astype(kind)


def smallest_type(largest: int) -> type[np.unsignedinteger[Any]]:
    """The smallest unsigned type that holds this number."""
    return np.uint8 if largest < 2**8 else np.uint16 if largest < 2**16 else np.uint32
