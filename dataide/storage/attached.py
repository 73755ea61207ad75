"""A table somewhere else, readable in place: a DuckDB of its own that reaches that table and nothing else.

It is never the session's connection: that one belongs to a file that may come from a stranger, and reads nothing
outside of it. This one was asked for by the user's own call, holds what the call named, and is locked before anything
is asked of it.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dataide.errors import DataideError, ImportProblem, QueryError, ReadOnly, did_you_mean
from dataide.storage import entry, remote_files, syntax
from dataide.storage.arrow import Result
from dataide.storage.database import registered, table_of
from dataide.storage.documented import quoted

if TYPE_CHECKING:
    import pyarrow as pa

# The row of a Parquet file in the lower bits of a row number, the number of the file above.
ROW_BITS = 40
_LENT = "lent_source"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine's disks, as it was when it was attached."""

    path: str
    size: int
    modified_ns: int


class Source:
    """An attached table. Safe for threads: each question has a cursor of its own.

    Attributes:
        sentence: for people: 12 Parquet files in /data.
        table: the table as SQL.
        row: an SQL expression over it that numbers its rows and stays the same from question to question, or None.
        columns: name and SQL type.
        hidden: further columns of the table that are not the user's.
        files: local Parquet files, in the order of their numbers.
        root: the folder that relative paths start from, or None for the working directory.
        remote: the files are in object storage.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        sentence: str,
        *,
        row: str | None,
        frames: Mapping[str, Any] | None = None,
        files: Sequence[LocalFile] = (),
        root: str | None = None,
        owned: bool = True,
    ) -> None:
        self.sentence = sentence
        self.table = table
        self.row = row
        self.files = tuple(files)
        self.root = root
        self.remote: tuple[Any, Sequence[remote_files.RemoteFile]] | None = None
        self._system: remote_files.RemoteFiles | None = None
        self._frames = dict(frames or {})
        self._connection = connection
        self._closed = False
        self._finalizer = weakref.finalize(self, connection.close) if owned else None
        self.columns: dict[str, str] = {}
        self.hidden: list[str] = []

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Lets go of the table. Closing twice is harmless."""
        self._closed = True
        if self._finalizer is not None:
            self._finalizer()

    # Reading ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self, frames: Mapping[str, Any] | None) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._closed:
            raise ImportProblem("The session is closed, and so is what was attached to it.", hint="Attach it again.")
        cursor = self._connection.cursor()
        try:
            with registered(cursor, {**self._frames, **(frames or {})}):
                yield cursor
        except duckdb.Error as error:
            trouble = self._system.trouble if self._system is not None else None
            if trouble is not None and self._system is not None:
                self._system.trouble = None
                raise ImportProblem(trouble.message, hint=trouble.hint, code=trouble.code) from None
            raise self._explained(error) from error
        finally:
            cursor.close()

    def _explained(self, error: duckdb.Error) -> Exception:
        if isinstance(error, duckdb.IOException | duckdb.InvalidInputException | duckdb.SerializationException):
            self.verify()
            return ImportProblem(f"{self.sentence} cannot be read: {syntax.first_line(error)}", code="unreadable")
        return error

    def arrow(self, sql: str, frames: Mapping[str, Any] | None = None) -> pa.Table:
        """The whole answer to a query."""
        with self._cursor(frames) as cursor:
            return table_of(cursor, sql)

    def rows(self, sql: str, frames: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The answer to a query as tuples."""
        with self._cursor(frames) as cursor:
            return cursor.execute(sql).fetchall()

    def numbers(self, sql: str, frames: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a query as numpy arrays."""
        with self._cursor(frames) as cursor:
            found: dict[str, Any] = cursor.execute(sql).fetchnumpy()
            return found

    @contextmanager
    def batches(
        self, sql: str, rows: int, frames: Mapping[str, Any] | None = None
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """Lends the answer in pieces; it is never in memory as a whole."""
        with self._cursor(frames) as cursor:
            yield iter(cursor.sql(sql).to_arrow_reader(rows))

    def ask(self, view: str, sql: str, parameters: Any, frames: Mapping[str, Any]) -> Result:
        """Answers somebody's SQL that reads, over the table `candidates`, which is what `view` selects.

        Raises:
            ReadOnly: the statement would change something.
            QueryError: it is refused.
        """
        try:
            kinds = syntax.kinds(sql)
        except syntax.Refusal as refusal:
            raise QueryError(f"This is not SQL that DuckDB reads: {refusal.message}") from None
        if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
            said = f"{len(kinds)} statements" if len(kinds) != 1 else f"a {kinds[0]}"
            raise ReadOnly(
                f"sql() answers one statement that reads, and this is {said}.", hint="SELECT … FROM candidates"
            )
        try:
            with self._cursor(frames) as cursor:
                cursor.execute(f"CREATE OR REPLACE TEMP VIEW candidates AS {view}")
                # In DuckDB 2 a statement of kind SELECT may still write (WITH x AS (INSERT …)).
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                try:
                    return Result(table_of(cursor, sql, parameters))
                finally:
                    cursor.execute("ROLLBACK")
        except duckdb.Error as error:
            raise QueryError(str(error).strip()) from None

    # Staying the same ------------------------------------------------------------------------------------------

    def verify(self, *, thorough: bool = False) -> None:
        """Looks whether the files are still those that were attached.

        Args:
            thorough: those in object storage too, which costs a question for each.

        Raises:
            ImportProblem: one has changed or is gone, or cannot be reached.
        """
        for file in self.files:
            try:
                status = os.stat(file.path)
            except OSError:
                raise _changed(file.path, "is not there any more") from None
            if (status.st_size, status.st_mtime_ns) != (file.size, file.modified_ns):
                raise _changed(file.path, "has changed")
        if thorough and self.remote is not None:
            try:
                other = remote_files.changed(*self.remote)
            except DataideError as error:
                raise ImportProblem(error.message, hint=error.hint, code=error.code) from None
            if other is not None:
                raise _changed(other, "has changed, or is gone,")

    def described(self) -> Source:
        """Asks for the columns; the first question of all."""
        with self._cursor(None) as cursor:
            rows = cursor.execute(f"DESCRIBE SELECT * FROM {self.table}").fetchall()
        self.columns = {str(row[0]): str(row[1]) for row in rows if row[0] != FILE}
        self.hidden = [FILE] if len(self.columns) < len(rows) else []
        if self.hidden and "file_row_number" in self.columns:
            self.row = None  # a column of this name hides DuckDB's own, and the rows have no number
        return self


def _changed(path: str, how: str) -> ImportProblem:
    return ImportProblem(
        f"{path} {how} since it was attached.",
        hint="Attach it again and choose anew: candidates = session.attach(…)",
        code="changed",
    )


# Ways to attach ------------------------------------------------------------------------------------------------


def local_parquet(files: Sequence[str], root: str, sentence: str, spill: Path) -> Source:
    """Parquet files on this machine's disks; DuckDB reads them itself."""
    known = []
    for path in files:
        status = os.stat(path)
        known.append(LocalFile(path, status.st_size, status.st_mtime_ns))
    connection = _connected(spill)
    connection.execute(f"SET allowed_paths = {_texts(files)}")
    row = _row_of(f"list_position({_texts(files)}, {FILE}) - 1")
    return _described(Source(_locked(connection), _read_parquet(files), sentence, row=row, files=known, root=root))


def remote_parquet(system: Any, files: Sequence[remote_files.RemoteFile], sentence: str, spill: Path) -> Source:
    """Parquet files in object storage."""
    connection = _connected(spill)
    lent = remote_files.RemoteFiles(system, files)
    connection.register_filesystem(lent)
    connection.execute(f"SET allowed_paths = {_texts(lent.names())}")
    number = f"regexp_extract({FILE}, '^(?:{remote_files.PROTOCOL}://)?([0-9]+)/', 1)"
    made = Source(_locked(connection), _read_parquet(lent.names()), sentence, row=_row_of(number))
    made.remote, made._system = (system, files), lent
    return _described(made)


# The column in which DuckDB says from which file a row is; the files' own columns may be called `filename`.
FILE = "dataide_file"


def _row_of(file: str) -> str:
    # Not DuckDB's `file_index`: it counts only the files that a condition leaves over.
    return f"(CAST({file} AS BIGINT) << {ROW_BITS}) + file_row_number"


def _read_parquet(names: Sequence[str]) -> str:
    together = "true" if len(names) > 1 else "false"
    return f"read_parquet({_texts(names)}, union_by_name = {together}, filename = '{FILE}')"


def arrow_table(table: Any, sentence: str, spill: Path) -> Source:
    """An Arrow table or dataset in this process."""
    return _described(
        Source(_locked(_connected(spill)), _LENT, sentence, row="row_number() OVER () - 1", frames={_LENT: table})
    )


def database_file(path: Path, table: str, spill: Path) -> Source:
    """A table of a DuckDB file, which is opened for reading only."""
    connection = _connected(spill)
    try:
        connection.execute(f"ATTACH {_texts([str(path)])[1:-1]} AS file (READ_ONLY)")
    except duckdb.Error as error:
        connection.close()
        raise ImportProblem(
            f"{path.name} cannot be opened for reading: {syntax.first_line(error)}",
            hint="If this process has it open, give that connection: session.attach('c', connection, table='t')",
        ) from None
    return _of_table(_locked(connection), table, f"the table {table} of {path.name}", "file", owned=True)


def connection_table(connection: Any, table: str) -> Source:
    """A table that somebody's own DuckDB connection reaches: of the file itself, DuckLake, PostgreSQL …"""
    return _of_table(connection.cursor(), table, f"the table {table} of a DuckDB connection", None, owned=True)


def is_connection(value: Any) -> bool:
    """Whether this is a connection of DuckDB's."""
    return isinstance(value, duckdb.DuckDBPyConnection)


def _of_table(
    connection: duckdb.DuckDBPyConnection, table: str, sentence: str, catalog: str | None, *, owned: bool
) -> Source:
    name = ".".join(quoted(part) for part in ([catalog] if catalog is not None else []) + _parts(table))
    try:
        connection.execute(f"SELECT * FROM {name} LIMIT 0").fetchall()
    except duckdb.Error as error:
        known = _tables(connection, catalog)
        connection.close()
        near = did_you_mean(table, known)
        raise ImportProblem(
            f"There is no table {table!r} to attach: {syntax.first_line(error)}", hint=near, code="unknown_table"
        ) from None
    try:
        connection.execute(f"SELECT rowid FROM {name} LIMIT 0").fetchall()
        row: str | None = "rowid"
    except duckdb.Error:
        row = None  # a view, or a table elsewhere that numbers no rows
    return _described(Source(connection, name, sentence, row=row, owned=owned))


def _tables(connection: duckdb.DuckDBPyConnection, catalog: str | None) -> list[str]:
    sql = (
        "SELECT database_name, schema_name, table_name FROM duckdb_tables() UNION ALL "
        "SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal"
    )
    try:
        found = connection.execute(sql).fetchall()
    except duckdb.Error:
        return []
    if catalog is None:
        current = connection.execute("SELECT current_database()").fetchall()[0][0]
        return [
            table if (base, schema) == (current, "main") else f"{base}.{schema}.{table}"
            for base, schema, table in found
        ]
    return [table if schema == "main" else f"{schema}.{table}" for base, schema, table in found if base == catalog]


def _parts(table: str) -> list[str]:
    """The parts of lake.main.t or "odd name".t"""
    found = re.findall(r'"((?:[^"]|"")+)"|([^."]+)', table)
    parts = [inside.replace('""', '"') or plain.strip() for inside, plain in found]
    if not parts or len(parts) > 3:
        raise ImportProblem(f"{table!r} is no name of a table.", hint="For example table='lake.main.pictures'.")
    return parts


def _connected(spill: Path) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "threads": str(max(1, min(4, os.cpu_count() or 1))),
        "memory_limit": f"{max(512, entry.memory_limit_mib() // 2)}MiB",
        "temp_directory": str(spill),
    }
    return duckdb.connect(":memory:", config=config)


def _locked(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """From here on it reaches what was allowed, and nobody allows it more."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _described(source: Source) -> Source:
    try:
        return source.described()
    except duckdb.Error as error:
        source.close()
        raise ImportProblem(
            f"{source.sentence} cannot be read: {syntax.first_line(error)}", code="unreadable"
        ) from None
    except BaseException:
        source.close()
        raise


def _texts(values: Sequence[str]) -> str:
    """Texts as an SQL list."""
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"
