"""Plain SQL for people: read only, and the answer as a table for any tool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from dataide.errors import MissingExtra, QueryError, ReadOnly
from dataide.storage import syntax
from dataide.storage.database import DatabaseError, registered, table_of

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from dataide.storage.database import Database

_READING = ("SELECT", "EXPLAIN")
_PREVIEW = 20
_BATCH = 1000


class Frames(ABC):
    """What can be asked for as a table, in whichever library one works."""

    @abstractmethod
    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as an Arrow table, with all columns or these."""

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The same as a pandas frame, with all columns or these."""
        frame: pd.DataFrame = self.to_arrow(columns).to_pandas()
        return frame

    def to_polars(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The same as a Polars frame, with all columns or these."""
        return _in_polars(self.to_arrow(columns))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict, in order."""
        for batch in self.to_arrow().to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()


class Result:
    """The rows of a query: for pandas, Polars and Arrow, or one by one as tuples."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._next = 0

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._table.column_names)

    def to_arrow(self) -> pa.Table:
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        return _in_polars(self._table)

    df = to_pandas
    pl = to_polars

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows."""
        part = self._table.slice(self._next, size)
        self._next += part.num_rows
        return _tuples(part)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All further rows."""
        return self.fetchmany(self._table.num_rows - self._next)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for batch in self._table.to_batches(max_chunksize=_BATCH):
            yield from _tuples(batch)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        shown = self._table.slice(0, _PREVIEW)
        cells = [self.columns, *([_cell(value) for value in row] for row in _tuples(shown))]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        if len(self) > _PREVIEW:
            lines.append(f"… {len(self):,} rows")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
            for row in _tuples(self._table.slice(0, _PREVIEW))
        )
        more = f"<p>{len(self):,} rows</p>" if len(self) > _PREVIEW else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _in_polars(table: pa.Table) -> pl.DataFrame:
    try:
        import polars
    except ImportError:
        raise MissingExtra("Polars is not installed.", hint="pip install polars") from None
    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)
    return frame


def read(
    database: Database,
    sql: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    frames: Mapping[str, Any] | None = None,
) -> Result:
    """Answers one statement that reads; nothing in the file can be changed by it.

    Raises:
        ReadOnly: the statement would change something.
        QueryError: the database refuses it.
    """
    try:
        kinds = syntax.kinds(sql)
    except syntax.Refusal as refusal:
        raise QueryError(f"This is not SQL that DuckDB reads: {refusal.message}") from None
    # DuckDB 1.5 splits PIVOT into CREATE TYPE and SELECT; the type would be temporary, and the transaction forbids it.
    if len(kinds) != 1:
        raise QueryError(f"session.sql answers one statement; there are {len(kinds)}.")
    if kinds[0] not in _READING:
        raise _refused(kinds[0])
    # A statement of kind SELECT may still write in DuckDB 2 (WITH x AS (INSERT …)): the transaction forbids it.
    try:
        with database.reading() as cursor, registered(cursor, frames or {}):
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                table = table_of(cursor, sql, parameters)
            finally:
                cursor.execute("ROLLBACK")
    except DatabaseError as error:
        if "read-only mode" in str(error):
            raise _refused("statement that writes") from None
        raise QueryError(str(error).strip()) from None
    return Result(table)


def _refused(kind: str) -> ReadOnly:
    return ReadOnly(
        f"session.sql only reads, and this is a {kind}.",
        hint="Views change samples, with undo: session.where(\"label = 'cat'\").tag('x')",
    )


def _tuples(table: Any) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    text = text.replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:59]}…"
