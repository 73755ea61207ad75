"""Columns as small integers by sample number: what facets count and what the plot colours by.

Counting then is `bincount(codes[mask])`: a few milliseconds for a million samples, whatever the mask.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dataide.errors import unknown_column
from dataide.storage.query import name_of

from .edges import nice_edges, nice_time_edges
from .touched import Touched

if TYPE_CHECKING:
    from dataide.storage.database import Database

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["category", "number", "text", "time", "bool", "other"]

# Lists that stand beside the sample and not in it; facets and filters know them like columns.
LISTS = {
    "tags": "SELECT sample_no, tag AS value FROM data.tag",
    "queues": "SELECT sample_no, queue AS value FROM data.task WHERE state = 'pending'",
}
NEVER_CATEGORIES = frozenset({"sample_id", "media", "content_hash"})
ALWAYS_CATEGORIES = frozenset({"label", "split", "format"})
MOST_CATEGORIES = 50_000
BINS = 24


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
        size = len(self.values) + 1
        if self.entries is None:
            return np.bincount(self.codes if mask is None else self.codes[mask], minlength=size)
        counts = np.bincount(self.codes if mask is None else self.codes[mask[self.entries]], minlength=size)
        counts[-1] = 0
        return counts


@dataclass(frozen=True)
class Histogram:
    """A column of numbers or times. Code i means bin i; code len(edges) - 1 means no value."""

    name: str
    type: str
    edges: Array
    codes: Array
    numbers: Array  # float64 by sample number, NaN for no value; times as milliseconds since 1970
    is_time: bool = False

    @property
    def samples(self) -> int:
        """The length of the masks that `counts` takes."""
        return len(self.codes)

    def counts(self, mask: Array | None = None) -> Array:
        """How many samples of the mask (None: all) lie in each bin; the last count is of those without a value."""
        return np.bincount(self.codes if mask is None else self.codes[mask], minlength=len(self.edges))


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


class Codes:
    """The coded columns of one session, made when first asked for and again when the data have changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._touched = Touched(database)
        self._coded: dict[str, Coded] = {}
        self._versions: dict[str, int] = {}
        self._oldest_version = 0
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
            with self._database.query(f"SELECT {wanted} FROM data.sample") as cursor:
                row = cursor.fetchone() or ()
            for position, name in enumerate(asked):
                distinct, filled = row[2 * position], row[2 * position + 1]
                if distinct > MOST_CATEGORIES or (filled > 20 and distinct > filled / 2):
                    kinds[name] = "text"
        self._kinds = ((columns, count), kinds)
        return kinds

    def get(self, names: Iterable[str]) -> list[Coded]:
        """The columns with these names, the numbers among those not yet known in one scan.

        Raises:
            UnknownColumn: there is no such column.
        """
        wanted = list(names)
        database = self._database
        with self._lock:
            self._forget_touched()
            columns = database.columns()
            for name in wanted:
                if name not in columns and name not in LISTS:
                    raise unknown_column(name, [*columns, *LISTS])
            missing = [name for name in dict.fromkeys(wanted) if name not in self._coded]
            count = database.sample_count
            numbers = {
                name: columns[name]
                for name in missing
                if name not in LISTS and sql_kind(columns[name]) in ("number", "time")
            }
            if numbers:
                self._coded.update(_numbers(database, numbers, count))
            for name in missing:
                if name not in numbers:
                    self._coded[name] = _categories(database, name, columns.get(name, ""), count)
            return [self._coded[name] for name in wanted]

    def version(self, name: str) -> int:
        """Another number whenever the values of this column may have changed."""
        with self._lock:
            self._forget_touched()
            return self._versions.get(name, self._oldest_version)

    def _forget_touched(self) -> None:
        touched = self._touched.since()
        if touched is None:
            self._coded, self._versions, self._oldest_version = {}, {}, self._touched.revision
            return
        for name in touched:
            self._coded.pop(name, None)
            self._versions[name] = self._touched.revision

    def one(self, name: str) -> Coded:
        """The column with this name."""
        return self.get([name])[0]


def _numbers(database: Database, columns: dict[str, str], count: int) -> dict[str, Coded]:
    """Reads all columns of numbers and times in one scan and codes each."""
    expressions = []
    for position, (name, sql_type) in enumerate(columns.items()):
        value = f"epoch_ms({name_of(name)}::TIMESTAMP)" if sql_kind(sql_type) == "time" else name_of(name)
        expressions.append(f"coalesce({value}::DOUBLE, 'nan'::DOUBLE) AS c{position}")
    found = _read(database, f"SELECT sample_no, {', '.join(expressions)} FROM data.sample")
    coded: dict[str, Coded] = {}
    for position, (name, sql_type) in enumerate(columns.items()):
        numbers = np.full(count, np.nan)
        numbers[found["sample_no"]] = found[f"c{position}"]
        coded[name] = histogram(name, sql_type, numbers, is_time=sql_kind(sql_type) == "time")
    return coded


# DuckDB codes the values itself: a million texts never become Python objects, only the different ones do.
_VALUES = "SELECT value, count(*) FROM ({source}) WHERE value IS NOT NULL GROUP BY value ORDER BY 2 DESC, 1"
_CODES = """
    WITH source AS ({source}),
    ranked AS (
        SELECT value, row_number() OVER (ORDER BY count(*) DESC, value) - 1 AS code
        FROM source WHERE value IS NOT NULL GROUP BY value
    )
    SELECT source.sample_no, coalesce(ranked.code, -1)::BIGINT AS code FROM source LEFT JOIN ranked USING (value)
"""


def _categories(database: Database, name: str, sql_type: str, count: int) -> Bars:
    """Reads one column of categories, or one of the lists."""
    plain = name not in LISTS
    source = f"SELECT sample_no, {name_of(name)}::VARCHAR AS value FROM data.sample" if plain else LISTS[name]
    with database.query(_VALUES.format(source=source)) as cursor:
        values = [str(value) for value, _ in cursor.fetchall()]
    found = _read(database, _CODES.format(source=source))
    nos, codes = found["sample_no"], found["code"]
    kind = smallest_type(len(values))
    known = (nos < count) & (codes < len(values))  # what came between the two questions is counted next time
    nos, codes = nos[known], np.where(codes[known] < 0, len(values), codes[known]).astype(kind)
    if not plain:
        return Bars(name, "VARCHAR[]", values, codes, count, nos)
    by_no = np.full(count, len(values), dtype=kind)
    by_no[nos] = codes
    return Bars(name, sql_type, values, by_no, count)


def _read(database: Database, sql: str) -> dict[str, Array]:
    """Columns without NULL as plain arrays. Not by way of Arrow, whose arrays load pandas when they become numpy's."""
    with database.query(sql) as cursor:
        return {name: np.asarray(column) for name, column in cursor.fetchnumpy().items()}


def histogram(name: str, sql_type: str, numbers: Array, *, is_time: bool = False) -> Histogram:
    """Numbers by sample number, put into bins with edges that people can read."""
    finite = np.isfinite(numbers)
    numbers = np.where(finite, numbers, np.nan)
    some = numbers[finite]
    low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 1.0)
    if is_time:
        edges = nice_time_edges(low, high, BINS)
    else:
        edges = nice_edges(low, high, BINS, whole="INT" in sql_type.upper())
    bins = len(edges) - 1
    codes = np.full(len(numbers), bins, dtype=smallest_type(bins))
    codes[finite] = np.clip(np.searchsorted(edges, some, side="right") - 1, 0, bins - 1)
    return Histogram(name, sql_type, edges, codes, numbers, is_time)


def smallest_type(largest: int) -> type[np.unsignedinteger[Any]]:
    """The smallest unsigned type that holds this number."""
    return np.uint8 if largest < 2**8 else np.uint16 if largest < 2**16 else np.uint32
