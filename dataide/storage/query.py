"""Queries over samples, put together piece by piece: for the tables inside, and as plain SQL for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage.documented import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.storage.database import Database

_TAGS_INSIDE = "SELECT sample_no AS no, list(tag ORDER BY tag) AS tags FROM data.tag GROUP BY sample_no"
_QUEUES_INSIDE = (
    "SELECT sample_no AS no, list(queue ORDER BY queue) AS queues FROM data.task "
    "WHERE state = 'pending' GROUP BY sample_no"
)
_TAGS_PLAIN = "SELECT sample_id AS id, list(tag ORDER BY tag) AS tags FROM tag GROUP BY sample_id"
_QUEUES_PLAIN = (
    "SELECT sample_id AS id, list(queue ORDER BY queue) AS queues FROM task WHERE state = 'pending' GROUP BY sample_id"
)
_ISSUES_INSIDE = (
    "SELECT sample_no AS no, list(kind ORDER BY kind) AS issues FROM data.issue_now "
    "WHERE is_issue AND state = 'open' GROUP BY sample_no"
)
_ISSUES_PLAIN = (
    "SELECT sample_id AS id, list(kind ORDER BY kind) AS issues FROM issue "
    "WHERE is_issue AND state = 'open' GROUP BY sample_id"
)
ARRIVAL = "sample_no"
_MARGIN = 80
# Of each list the table, the word, and which of its rows count.
_MEMBERS = {
    "tags": ("data.tag", "tag"),
    "queues": ("data.task", "queue", "state = 'pending'"),
    "issues": ("data.issue_now", "kind", "is_issue", "state = 'open'"),
}


class Query:
    """Collects conditions, order and limit over `sample`; `plain` speaks of the documented tables only.

    Args:
        plain: for people, to be run in any DuckDB; else over the physical tables and lent frames.
        lists: names that conditions read; those of lists among them (tags, queues, issues) are joined.
    """

    def __init__(self, *, plain: bool = False, lists: Collection[str] = ()) -> None:
        self.plain = plain
        self.frames: dict[str, Any] = {}
        self._lists = [name for name in _MEMBERS if name in lists]
        self._added: list[str] = []
        self._source = self._base()
        self._where: list[str] = []
        self._order: list[str] = []
        self._limit: int | None = None

    def where(self, condition: str) -> None:
        """Keeps the samples for which the condition over `sample` holds."""
        if self._limit is not None:
            self._wrap()
        self._where.append(condition)

    def having(self, name: str, words: Sequence[str | None], *, without: bool = False) -> None:
        """Keeps the samples with one of these words in a list (None: with none at all), or all the others.

        The list is not put together for every sample, as it is for a condition that reads it; not for `plain`.
        """
        some = [word for word in words if word is not None]
        parts = [f"sample_no IN ({_members(name, some)})"] if some else []
        if len(some) < len(words):
            parts.append(f"sample_no NOT IN ({_members(name, None)})")
        condition = " OR ".join(parts) or "false"
        self.where(f"NOT ({condition})" if without else condition)

    def order(self, keys: Sequence[str]) -> None:
        """Orders anew by these SQL keys."""
        if self._limit is not None:
            self._wrap()
        self._order = list(keys)

    def take(self, count: int) -> None:
        """Keeps the first ones."""
        self._limit = count if self._limit is None else min(self._limit, count)

    def shuffle(self, count: int, seed: int) -> None:
        """Keeps some at random, in random order: the same ones for the same seed, in every DuckDB."""
        self.order([f"md5(sample_id || ':{int(seed)}')"])
        self.take(count)

    def among(self, nos: NDArray[np.uint32], database: Database) -> None:
        """Keeps the samples with these numbers."""
        if self.plain:
            ids = ", ".join(text(one) for one in ids_of(database, nos))
            self.where(f"sample_id IN ({ids})" if ids else "false")
            return
        name = self._lend({"sample_no": nos})
        self.where(f"sample_no IN (SELECT sample_no FROM {name})")

    def ranked(self, nos: NDArray[np.uint32], scores: dict[str, NDArray[Any]], database: Database) -> None:
        """Keeps the samples with these numbers, in this order, with a column for each score."""
        self._wrap()
        position = f"position_{len(self._added)}"
        columns = [position, *scores]
        listed = ", ".join(f"ranked.{quoted(name)}" for name in columns)
        if self.plain:
            frame, key = self._values(nos, scores, columns, database), "sample_id"
        else:
            lent = self._lend({"no": nos, position: np.arange(len(nos), dtype=np.uint32), **scores})
            frame, key = f"(SELECT no AS sample_no, * EXCLUDE (no) FROM {lent}) AS ranked", "sample_no"
        self._source = (
            f"(SELECT sample.*, {listed} FROM {self._source} JOIN {frame} ON sample.{key} = ranked.{key}) AS sample"
        )
        self._added.append(position)
        self._order = [quoted(position)]

    def sql(self, columns: str | None = None) -> str:
        """The whole statement, by default with all columns that people know."""
        hidden = [*self._lists, *self._added]
        everything = f"* EXCLUDE ({', '.join(quoted(name) for name in hidden)})" if hidden else "*"
        return self._text(columns or everything)

    def count(self, database: Database) -> int:
        """How many samples there are."""
        inner = self._text("sample_no", ordered=self._limit is not None)
        with database.query(f"SELECT count(*) FROM ({inner})", frames=self.frames) as cursor:
            return int(cursor.fetchall()[0][0])

    def nos(self, database: Database) -> NDArray[np.uint32]:
        """The numbers of the samples, in order."""
        with database.query(self._text("sample_no"), frames=self.frames) as cursor:
            return np.asarray(cursor.fetchnumpy()["sample_no"], dtype=np.uint32)

    def mask(self, database: Database) -> NDArray[np.bool_]:
        """Which samples there are, by sample number."""
        # A mask needs no order, and to sort ten million numbers takes longer than to find them.
        with database.query(self._text("sample_no", ordered=self._limit is not None), frames=self.frames) as cursor:
            nos = np.asarray(cursor.fetchnumpy()["sample_no"], dtype=np.uint32)
        return mask_of(nos, database.sample_count)

    def _base(self) -> str:
        if not self._lists:
            return "sample" if self.plain else "data.sample AS sample"
        table, key, other = ("sample", "sample_id", "id") if self.plain else ("data.sample", "sample_no", "no")
        bodies = (
            {"tags": _TAGS_PLAIN, "queues": _QUEUES_PLAIN, "issues": _ISSUES_PLAIN}
            if self.plain
            else {"tags": _TAGS_INSIDE, "queues": _QUEUES_INSIDE, "issues": _ISSUES_INSIDE}
        )
        lists = ", ".join(f"coalesce({name}, CAST([] AS VARCHAR[])) AS {name}" for name in self._lists)
        joins = " ".join(
            f"LEFT JOIN ({bodies[name]}) AS of_{name} ON of_{name}.{other} = s.{key}" for name in self._lists
        )
        return f"(SELECT s.*, {lists} FROM {table} AS s {joins}) AS sample"

    def _wrap(self) -> None:
        """Makes what there is the source of a further level; the order goes on holding outside."""
        if self._limit is not None:
            # Materialized, because DuckDB 1.5 pushes a join's filter through ORDER BY … LIMIT and gives wrong rows.
            self._source = f"(WITH kept AS MATERIALIZED ({self._text('*')}) SELECT * FROM kept) AS sample"
        elif self._where:
            self._source = f"({self._text('*', ordered=False)}) AS sample"
        self._where, self._limit = [], None

    def _text(self, columns: str, *, ordered: bool = True) -> str:
        parts = [f"SELECT {columns} FROM {self._source}"]
        if self._where:
            parts.append("WHERE " + " AND ".join(f"({condition})" for condition in self._where))
        if ordered:
            parts.append("ORDER BY " + ", ".join([*self._order, ARRIVAL]))
        if self._limit is not None:
            parts.append(f"LIMIT {self._limit}")
        line = " ".join(parts)
        return line if len(line) <= _MARGIN or not self.plain else "\n".join(parts)

    def _lend(self, frame: dict[str, Any]) -> str:
        name = f"lent_{len(self.frames)}"
        self.frames[name] = frame
        return name

    def _values(
        self, nos: NDArray[np.uint32], scores: dict[str, NDArray[Any]], columns: list[str], database: Database
    ) -> str:
        names = ", ".join(quoted(name) for name in ["sample_id", *columns])
        lists = [values.tolist() for values in scores.values()]
        rows = [
            f"({', '.join([text(one), str(place), *(repr(values[place]) for values in lists)])})"
            for place, one in enumerate(ids_of(database, nos))
        ]
        if not rows:
            empty = ", ".join(["NULL"] * (len(columns) + 1))
            return f"(SELECT * FROM (VALUES ({empty})) WHERE false) AS ranked({names})"
        return f"(VALUES {', '.join(rows)}) AS ranked({names})"


def ids_of(database: Database, nos: NDArray[np.uint32]) -> list[str]:
    """The sample ids of these numbers, in their order."""
    frame = {"no": nos, "place": np.arange(len(nos), dtype=np.int64)}
    sql = "SELECT s.sample_id FROM data.sample s JOIN wanted w ON s.sample_no = w.no ORDER BY w.place"
    with database.query(sql, frames={"wanted": frame}) as cursor:
        return [str(one) for (one,) in cursor.fetchall()]


def nos_of(database: Database, ids: Sequence[str]) -> tuple[NDArray[np.uint32], list[str]]:
    """The numbers of these sample ids, in their order, and the ids that are not there."""
    wanted = np.asarray(list(ids), dtype=object)
    frame = {"sample_id": wanted, "place": np.arange(len(wanted), dtype=np.int64)}
    if not len(wanted):
        return np.empty(0, dtype=np.uint32), []
    sql = (
        "SELECT w.place, s.sample_no FROM wanted w JOIN data.sample s ON s.sample_id = CAST(w.sample_id AS VARCHAR) "
        "ORDER BY w.place"
    )
    with database.query(sql, frames={"wanted": frame}) as cursor:
        found = cursor.fetchnumpy()
    there = np.zeros(len(wanted), dtype=bool)
    there[np.asarray(found["place"], dtype=np.int64)] = True
    missing = [str(one) for one in wanted[~there][:20]]
    return np.asarray(found["sample_no"], dtype=np.uint32), missing


def mask_of(nos: NDArray[np.integer[Any]], count: int) -> NDArray[np.bool_]:
    """A mask over `count` sample numbers that is true at these."""
    mask = np.zeros(count, dtype=bool)
    # A sample that arrived while we were asking is not in the mask yet.
    mask[nos if not len(nos) or int(nos.max()) < count else nos[nos < count]] = True
    return mask


def members(database: Database, name: str, words: Sequence[str] | None, count: int) -> NDArray[np.bool_]:
    """A mask over `count` sample numbers: those with one of these words, or any (None), in a list."""
    if words is not None and not words:
        return np.zeros(count, dtype=bool)
    with database.query(_members(name, words)) as cursor:
        return mask_of(np.asarray(cursor.fetchnumpy()["sample_no"], dtype=np.uint32), count)


def _members(name: str, words: Sequence[str] | None) -> str:
    table, word, *conditions = _MEMBERS[name]
    if words is not None:
        conditions.append(f"{word} IN {listed(words)}")
    return f"SELECT sample_no FROM {table}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")


def name_of(column: str) -> str:
    """A column as SQL."""
    return quoted(column)


def text(value: str) -> str:
    """A text as an SQL literal."""
    # A NUL would end the literal early in DuckDB's parser.
    return "'" + value.replace("'", "''").replace("\0", "") + "'"


def listed(values: Iterable[str]) -> str:
    """Texts as an SQL list in brackets."""
    return f"({', '.join(text(value) for value in values)})"
