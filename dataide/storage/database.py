"""The open session file: a cursor for each thread, one writer at a time, a revision that grows with each write."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shutil
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dataide.errors import NewerSession, NotASession, NotWritten, ReadOnly, SessionClosed, SessionError
from dataide.storage import columns, documented, entry, lock, migrations
from dataide.storage.idle import OWN_THRESHOLD, IdleCheckpoint
from dataide.storage.uses import Uses

if TYPE_CHECKING:
    import pyarrow as pa

Cursor = duckdb.DuckDBPyConnection
DatabaseError = duckdb.Error
_log = logging.getLogger(__name__)
_alive: weakref.WeakSet[Database] = weakref.WeakSet()
# Ctrl-C while DuckDB reads a lent table comes out of it as an error of its own with these words.
_INTERRUPTED = re.compile(r"(?:^|\n|failed: )KeyboardInterrupt(?::|\s|$)")


class Database:
    """One session file, open in this process.

    Args:
        path: the session file; it is created where there is none.
        read_only: look only. Where another process is writing, a copy of the present moment is read.

    Raises:
        SessionLocked: another process has the file open.
        NotASession: the file is something else, or is damaged.
        NewerSession: a newer dataide wrote it.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.path = Path(path).expanduser().absolute()
        self.cache_dir = self.path.with_suffix(".cache")
        self.read_only = read_only
        self.revision = 0
        self.changed: Callable[[], None] | None = None
        self.schema_changed: Callable[[], None] | None = None
        self.snapshot: Path | None = None
        self._pid = os.getpid()
        self._writer = threading.RLock()
        self._depth = 0
        self._altered = False
        self._schema = 0  # grows with each commit that altered tables
        self._local = threading.local()
        self._cursors: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self._cursors_lock = threading.Lock()
        self._uses = Uses()
        self._idle_checkpoint = IdleCheckpoint(self.path)
        self._columns: tuple[int, dict[str, str]] | None = None
        self._count: tuple[int, int] | None = None
        self._connection = self._open()
        self._closed = False
        self._finalizer = weakref.finalize(
            self,
            _shut,
            self._connection,
            self._cursors,
            self._cursors_lock,
            self._uses,
            self._pid,
            self.cache_dir,
            self.read_only,
            self.snapshot,
        )
        _alive.add(self)

    # Opening ---------------------------------------------------------------------------------------------------

    def _open(self) -> Cursor:
        entry.check_place(self.path, self.read_only)
        try:
            connection = self._connect(self.path, self.read_only)
        except duckdb.IOException as refusal:
            if "lock" not in str(refusal):
                raise entry.unopened(self.path, refusal) from refusal
            if not self.read_only:
                raise lock.locked(self.path, self.cache_dir, str(refusal)) from None
            connection = self._connect_copy()
        except duckdb.ConnectionException as refusal:
            raise SessionError(
                f"{self.path.name} is already open in this Python through duckdb.connect().",
                hint="Close that connection first; session.sql() answers plain SQL.",
            ) from refusal
        except duckdb.Error as refusal:
            raise entry.unopened(self.path, refusal) from refusal
        try:
            connection = self._prepare(connection)
        except BaseException as error:
            connection.close()
            if self.snapshot is not None:
                shutil.rmtree(self.snapshot.parent, ignore_errors=True)
            if isinstance(error, duckdb.Error):
                raise NotASession(
                    f"{self.path.name} is damaged, or is not a session: {entry.first_line(error)}",
                    hint="Open it with plain DuckDB to see what is in it.",
                ) from error
            raise
        if not self.read_only:
            lock.claim(self.cache_dir)
        return connection

    def _connect(self, path: Path, read_only: bool) -> Cursor:
        # A stranger's file may hold views and macros that read other files. Nothing in it may reach outside itself,
        # and no query may switch that back on. Extensions are never fetched.
        config: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "threads": str(max(1, min(4, os.cpu_count() or 1))),
            "memory_limit": f"{entry.memory_limit_mib()}MiB",
            "temp_directory": str(self.cache_dir / "spill"),
            "checkpoint_threshold": OWN_THRESHOLD,
            "lock_configuration": "true",
        }
        return duckdb.connect(str(path), read_only=read_only, config=config)

    def _connect_copy(self) -> Cursor:
        """Opens a copy of the present moment. It may be written to (migrated): nobody else sees it."""
        self.snapshot = lock.snapshot(self.path)
        return self._connect(self.snapshot, read_only=False)

    def _prepare(self, connection: Cursor) -> Cursor:
        version = entry.version(connection, self.path)
        if version > migrations.latest():
            raise NewerSession(
                f"{self.path.name} was written by a newer dataide (its tables are version {version}, "
                f"this one knows {migrations.latest()}).",
                hint="Update: pip install -U dataide",
            )
        if self.read_only and self.snapshot is None and version < migrations.latest():
            connection.close()
            connection = self._connect_copy()
        if not self.read_only or self.snapshot is not None:
            connection.execute("BEGIN TRANSACTION")
            migrations.apply(connection, version)
            if not connection.execute("SELECT 1 FROM data.meta WHERE key = 'revision'").fetchall():
                connection.execute("INSERT INTO data.meta VALUES ('format', 'dataide'), ('revision', '0')")
            documented.rebuild(connection)
            connection.execute("COMMIT")
        stored = connection.execute("SELECT value FROM data.meta WHERE key = 'revision'").fetchall()
        self.revision = int(stored[0][0]) if stored else 0
        return connection

    # Reading ---------------------------------------------------------------------------------------------------

    def cursor(self) -> Cursor:
        """The cursor of the calling thread. DuckDB refuses one connection to two threads at once."""
        self._check_open()
        cursor: Cursor | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._new_cursor()
        return cursor

    def _new_cursor(self) -> Cursor:
        cursor = self._connection.cursor()
        with self._cursors_lock:
            self._cursors.add(cursor)
        return cursor

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Closing waits for what is done in here, and interrupts it."""
        with self._uses.one(self._check_open), _stopped_by_hand():
            try:
                yield
            except duckdb.InterruptException:
                self._check_open()
                raise

    @contextmanager
    def query(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        frames: Mapping[str, Any] | None = None,
    ) -> Iterator[Cursor]:
        """Runs one statement and lends the cursor with its result; `frames` are tables by name, for this query only.

        A frame is an Arrow table or a dict of numpy arrays.
        """
        with self._using(), registered(cursor := self.cursor(), frames or {}):
            yield cursor.execute(sql, parameters) if parameters is not None else cursor.execute(sql)

    def arrow(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        frames: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        """The whole answer to one query as an Arrow table."""
        with self._using(), registered(cursor := self.cursor(), frames or {}):
            return table_of(cursor, sql, parameters)

    @contextmanager
    def batches(
        self, sql: str, rows: int, *, frames: Mapping[str, Any] | None = None
    ) -> Iterator[Iterable[pa.RecordBatch]]:
        """Lends the answer to one query as Arrow batches of about so many rows: it is never in memory as a whole."""
        with self._using(), registered(cursor := self.cursor(), frames or {}):
            _finish(cursor)
            yield cursor.sql(sql).to_arrow_reader(rows)

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """A cursor of its own: what a stranger's SQL does with it stays apart from everything else."""
        with self._using():
            cursor = self._new_cursor()
            try:
                yield cursor
            finally:
                cursor.close()

    def columns(self) -> dict[str, str]:
        """Name and SQL type of each column of `sample`, in order."""
        if self._writing() and self._altered:
            return columns.read(self.cursor())
        known, schema = self._columns, self._schema
        if known is None or known[0] != schema:
            with self._using():
                known = self._columns = (schema, columns.read(self.cursor()))
        return dict(known[1])

    @property
    def sample_count(self) -> int:
        """How many sample numbers there are: masks over all samples have this length."""
        if self._writing():
            return self.next_sample_no(self.cursor())
        known, revision = self._count, self.revision
        if known is None or known[0] != revision:
            with self._using():
                known = self._count = (revision, self.next_sample_no(self.cursor()))
        return known[1]

    def next_sample_no(self, cursor: Cursor) -> int:
        """The number that the next new sample gets."""
        # To its end: in DuckDB 2 a result that is not fetched whole keeps its transaction open.
        return int(cursor.execute("SELECT coalesce(max(sample_no) + 1, 0) FROM data.sample").fetchall()[0][0])

    # Writing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps other writers out, without a transaction: for looking first and writing only where there is need."""
        with self._writer:
            yield

    @contextmanager
    def write(self) -> Iterator[Cursor]:
        """One transaction: all of it is committed, with a new revision, or nothing is. Nested, it joins the outer."""
        self._check_open()
        if self.read_only:
            raise ReadOnly(
                f"{self.path.name} is open for reading only.",
                hint=f"Close it and open it again: session.close(); di.open({self.path.name!r})",
            )
        with self._writer, _stopped_by_hand():
            cursor = self.cursor()
            if self._depth:
                yield cursor
                return
            cursor.execute("BEGIN TRANSACTION")
            self._depth, self._altered = 1, False
            try:
                yield cursor
                cursor.execute("UPDATE data.meta SET value = ? WHERE key = 'revision'", [str(self.revision + 1)])
                cursor.execute("COMMIT")
            except BaseException as error:
                _roll_back(cursor)
                if isinstance(error, duckdb.Error) and (why := _disk_said(error)):
                    raise NotWritten(
                        f"{self.path.name} could not be written: {why}.",
                        hint="Free space on its disk and call again; what was committed before is kept.",
                    ) from error
                raise
            finally:
                self._depth = 0
            self.revision += 1
            altered = self._altered
            self._schema += altered
            self._idle_checkpoint.committed(self)
        if altered and self.schema_changed is not None:
            self.schema_changed()
        if self.changed is not None:
            self.changed()

    def ensure_columns(self, cursor: Cursor, wanted: dict[str, str]) -> dict[str, str]:
        """Adds the user's columns where they are missing, inside the caller's `write()`.

        Call it before the transaction changes rows: DuckDB 1.5 refuses to alter a table whose rows the same
        transaction has updated.

        Args:
            cursor: the cursor that `write()` gave.
            wanted: name and SQL type.

        Returns:
            Under which name each one stands; a name that is taken gets a number, with a warning.
        """
        actual, altered = columns.ensure(cursor, wanted)
        if altered:
            self.rebuild_views(cursor)
        return actual

    def rebuild_views(self, cursor: Cursor) -> None:
        """Makes the documented tables anew, inside the caller's `write()`: after columns or embeddings were added."""
        documented.rebuild(cursor)
        self._altered = True

    def checkpoint(self) -> None:
        """Folds the write-ahead log into the file, where no other query is running."""
        if not self.read_only:
            with self._writer:
                cursor = self.cursor()
                _finish(cursor)
                cursor.execute("CHECKPOINT")

    def fold_log(self) -> None:
        """Like `checkpoint`, on any thread, and only while nobody else writes."""
        if self.read_only or not self._writer.acquire(blocking=False):
            return
        try:
            with self.reading() as cursor:
                cursor.execute("CHECKPOINT").fetchall()
        finally:
            self._writer.release()

    # Closing ---------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Waits for a running write, stops running queries, folds the log into the file and gives the file free.

        Closing twice is harmless.
        """
        if os.getpid() != self._pid:
            return
        with self._writer:
            self._closed = True
            self._finalizer()  # does its work once

    def _writing(self) -> bool:
        # Only the owner of the lock gets here with a depth: another thread cannot acquire it meanwhile.
        if not self._depth or not self._writer.acquire(blocking=False):
            return False
        self._writer.release()
        return True

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise SessionError(
                f"{self.path.name} was opened by process {self._pid}; a forked child cannot use it.",
                hint="Work with ids or frames in the child, and let the first process write.",
            )
        if self._closed:
            raise SessionClosed(
                f"The session {self.path.name} is closed.", hint=f"Open it again: di.open({self.path.name!r})"
            )

    def __repr__(self) -> str:
        return f"Database {self.path.name}, revision {self.revision}{', closed' if self._closed else ''}"


@contextmanager
def _stopped_by_hand() -> Iterator[None]:
    """Ctrl-C during a statement is Ctrl-C: DuckDB 1.5 takes the signal and raises a bare RuntimeError instead."""
    try:
        yield
    except RuntimeError as error:
        if type(error) is RuntimeError and str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def _disk_said(error: duckdb.Error) -> str | None:
    """Why the disk took no more, if that is what an error is about."""
    text = str(error)
    if isinstance(error, duckdb.IOException) or "Failed to commit: Could not" in text:
        return text.rpartition(": ")[2].strip().rstrip(".") or text
    return None


@contextmanager
def registered(cursor: Cursor, frames: Mapping[str, Any]) -> Iterator[None]:
    """Lends tables to a cursor under their names."""
    names: list[str] = []
    if frames:
        _finish(cursor)
    try:
        for name, frame in frames.items():
            cursor.register(name, frame)
            names.append(name)
        yield
    except duckdb.Error as error:
        if _INTERRUPTED.search(str(error)):
            raise KeyboardInterrupt from error
        raise
    finally:
        for name in names:
            # After a failed statement the transaction takes nothing more until it is rolled back.
            try:
                _finish(cursor)
                cursor.unregister(name)
            except duckdb.Error:
                _log.debug("could not unregister %s", name, exc_info=True)


def table_of(cursor: Cursor, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
    """The whole answer to one query as an Arrow table."""
    if not hasattr(cursor, "complete"):
        return cursor.execute(sql, parameters).to_arrow_table()
    # DuckDB 2 copies the rows of execute() once more, and warns of it; a relation hands them over.
    _finish(cursor)
    return cursor.sql(sql, params=parameters).to_arrow_table()


def _finish(cursor: Cursor) -> None:
    """Ends a result that was not fetched whole: DuckDB 2 registers nothing while there is one (1.5 does not mind)."""
    complete = getattr(cursor, "complete", None)
    if complete is not None:
        complete()


def _roll_back(cursor: Cursor) -> None:
    try:
        cursor.execute("ROLLBACK")
    except duckdb.Error:
        _log.debug("nothing to roll back", exc_info=True)  # DuckDB rolls back by itself after a failed commit


def _shut(
    connection: Cursor,
    cursors: weakref.WeakSet[Cursor],
    cursors_lock: threading.Lock,
    uses: Uses,
    pid: int,
    cache_dir: Path,
    read_only: bool,
    snapshot: Path | None,
) -> None:
    """Closes every connection to the file; runs at close(), at garbage collection and at the interpreter's end."""
    if os.getpid() != pid:
        return

    def interrupt() -> None:
        with cursors_lock:
            running = list(cursors)
        for cursor in running:
            cursor.interrupt()

    uses.end(interrupt)
    for cursor in list(cursors):
        try:
            cursor.close()
        except duckdb.Error:
            _log.debug("a cursor did not close", exc_info=True)
    if not read_only:
        try:
            connection.execute("CHECKPOINT")
        except duckdb.Error:
            _log.debug("no checkpoint at close; the log beside the file holds everything", exc_info=True)
    connection.close()
    if not read_only:
        lock.release(cache_dir)
    if snapshot is not None:
        shutil.rmtree(snapshot.parent, ignore_errors=True)


def _keep_in_child() -> None:
    """In a forked child, keeps the parent's connections from ever being destroyed.

    Destroying one would fold the log into a file that the parent is still writing.
    """
    for database in list(_alive):
        for connection in (database._connection, *list(database._cursors)):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_in_child)
