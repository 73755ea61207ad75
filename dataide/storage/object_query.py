"""Queries over objects, put together piece by piece like those over samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage.object_tables import DOCUMENTED
from dataide.storage.query import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.storage.database import Database


_FEW = 200


class ObjectQuery:
    """Collects conditions, order and limit over objects; `plain` speaks of the documented tables only."""

    def __init__(self, *, plain: bool = False) -> None:
        self.plain = plain
        self.frames: dict[str, Any] = {}
        # Conditions of people may say sample.label: the table has the name that it has for samples.
        self._source = "object AS sample" if plain else f"({DOCUMENTED}) AS sample"
        self._where: list[str] = []
        self._order: list[str] = []
        self._positions: list[str] = []
        self._limit: int | None = None

    def where(self, condition: str) -> None:
        """Keeps the objects for which the condition holds."""
        self._wrap()
        self._where.append(condition)

    def order(self, keys: Sequence[str]) -> None:
        """Orders anew by these SQL keys."""
        self._wrap()
        self._order = list(keys)

    def take(self, count: int) -> None:
        """Keeps the first ones."""
        self._limit = count if self._limit is None else min(self._limit, count)

    def shuffle(self, count: int, seed: int) -> None:
        """Keeps some at random, in random order: the same ones for the same seed, in every DuckDB."""
        self.order([f"md5(object_id || ':{int(seed)}')"])
        self.take(count)

    def among(self, name: str, nos: NDArray[np.uint32], database: Database) -> None:
        """Keeps the objects whose number (`object_no`, `sample_no`) is one of these."""
        # A few numbers in the statement itself are compared while the table is read: for the objects of one sample.
        if self.plain or len(nos) <= _FEW:
            listed = ", ".join(str(no) for no in np.asarray(nos).tolist())
            self.where(f"{name} IN ({listed})" if listed else "false")
            return
        lent = f"lent_{len(self.frames)}"
        self.frames[lent] = {"no": np.ascontiguousarray(nos, np.uint32)}
        self.where(f"{name} IN (SELECT no FROM {lent})")

    def ranked(
        self, nos: NDArray[np.uint32], similarity: NDArray[np.float32] | None, column: str = "similarity"
    ) -> None:
        """Keeps the objects with these numbers, in this order, with a column `similarity`, or named otherwise; without
        similarities only in this order."""
        self._wrap()
        position = f"position_{len(self._positions)}"
        known = np.zeros(len(nos), np.float32) if similarity is None else np.ascontiguousarray(similarity, np.float32)
        shown = "" if similarity is None else f", ranked.similarity AS {column}"
        columns = f"sample.*{shown}, ranked.{position} FROM {self._source}"
        if self.plain:
            pairs = enumerate(zip(nos.tolist(), known.tolist(), strict=True))
            rows = ", ".join(f"({no}, {value!r}::FLOAT, {place})" for place, (no, value) in pairs)
            empty = "(SELECT * FROM (VALUES (0, 0::FLOAT, 0)) WHERE false)"
            frame = f"{f'(VALUES {rows})' if rows else empty} AS ranked(object_no, similarity, {position})"
        else:
            lent = f"lent_{len(self.frames)}"
            places = np.arange(len(nos), dtype=np.uint32)
            self.frames[lent] = {
                "object_no": np.ascontiguousarray(nos, np.uint32), "similarity": known, position: places
            }  # fmt: skip
            frame = f"{lent} AS ranked"
        where = f" WHERE {' AND '.join(f'({one})' for one in self._where)}" if self._where else ""
        self._source = f"(SELECT {columns} JOIN {frame} ON sample.object_no = ranked.object_no{where}) AS sample"
        self._where = []
        self._order = [position]
        self._positions.append(position)

    def sql(self, columns: str | None = None, *, ordered: bool = True) -> str:
        """The whole statement, by default with all columns that people know."""
        everything = f"* EXCLUDE ({', '.join(self._positions)})" if self._positions else "*"
        parts = [f"SELECT {columns or everything} FROM {self._source}"]
        if self._where:
            parts.append("WHERE " + " AND ".join(f"({condition})" for condition in self._where))
        if ordered:
            # In order of arrival without another order: sorting ten million numbers of sorted numbers is quick.
            parts.append("ORDER BY " + ", ".join([*self._order, "object_no"]))
        if self._limit is not None:
            parts.append(f"LIMIT {self._limit}")
        return "\n".join(parts) if self.plain else " ".join(parts)

    def count(self, database: Database) -> int:
        """How many objects there are."""
        inner = self.sql("object_no", ordered=self._limit is not None)
        with database.query(f"SELECT count(*) FROM ({inner})", frames=self.frames) as cursor:
            return int(cursor.fetchall()[0][0])

    def numbers(self, column: str, database: Database, *, distinct: bool = False) -> NDArray[np.uint32]:
        """`object_no` or `sample_no` of the objects, in order; each once and ascending with `distinct`."""
        sql = self.sql(column, ordered=not distinct or self._limit is not None)
        if distinct:
            sql = f"SELECT DISTINCT {column} FROM ({sql}) ORDER BY 1"
        with database.query(sql, frames=self.frames) as cursor:
            return np.asarray(cursor.fetchnumpy()[column], np.uint32)

    def _wrap(self) -> None:
        if self._limit is not None:
            # Materialized, because DuckDB 1.5 pushes a join's filter through ORDER BY … LIMIT and gives wrong rows.
            self._source = f"(WITH kept AS MATERIALIZED ({self.sql('*')}) SELECT * FROM kept) AS sample"
            self._where, self._limit = [], None


def label_counts(database: Database) -> dict[str | None, int]:
    """How many objects each label has, the most frequent first, without deleted ones and those of excluded samples."""
    sql = (
        "SELECT o.label, count(*) FROM data.object o JOIN data.sample s USING (sample_no) "
        "WHERE NOT o.removed AND NOT s.excluded GROUP BY o.label ORDER BY count(*) DESC, o.label"
    )
    with database.query(sql) as cursor:
        return dict(cursor.fetchall())


def nos_of(database: Database, ids: Sequence[str]) -> tuple[NDArray[np.uint32], list[str]]:
    """The numbers of these object ids, in their order, and the ids that are not there or were deleted."""
    if not ids:
        return np.empty(0, np.uint32), []
    listed = ", ".join(text(one) for one in ids)
    with database.query(
        f"SELECT object_id, object_no FROM data.object WHERE NOT removed AND object_id IN ({listed})"
    ) as cursor:
        found = dict(cursor.fetchall())
    missing = [one for one in ids if one not in found]
    return np.asarray([found[one] for one in ids if one in found], np.uint32), missing
