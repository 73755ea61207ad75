"""Ends that come in between: closing while something still reads or writes, and Ctrl-C inside DuckDB."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.errors import SessionClosed
from dataide.inference import job
from dataide.storage.database import Database, registered
from dataide.widgets.hub import Hub


def endless(started: threading.Event) -> pa.RecordBatchReader:
    """A table without an end: a query over it runs until it is interrupted."""
    batch = pa.record_batch({"n": np.arange(2_000)})

    def batches() -> Iterator[pa.RecordBatch]:
        while True:
            yield batch
            started.set()

    return pa.RecordBatchReader.from_batches(batch.schema, batches())


def counted(database: Database, started: threading.Event) -> None:
    with database.query("SELECT count(*) FROM endless", frames={"endless": endless(started)}) as cursor:
        cursor.fetchall()


def in_arrow(database: Database, started: threading.Event) -> None:
    database.arrow("SELECT sum(n) FROM endless", frames={"endless": endless(started)})


@pytest.mark.parametrize("use", [counted, in_arrow])
def test_closing_stops_the_queries_of_other_threads(
    tmp_path: Path, use: Callable[[Database, threading.Event], None]
) -> None:
    session = di.open(tmp_path / "pets.duckdb")
    session.add_arrays(np.zeros((3, 8, 8), np.uint8), progress=False)
    database, started = session.context.database, threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            use(database, started)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(30)
    session.close()
    thread.join(30)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [SessionClosed]
    with duckdb.connect(str(tmp_path / "pets.duckdb")) as plain:
        assert plain.execute("SELECT count(*) FROM sample").fetchall() == [(3,)]


def test_sql_that_closing_cuts_off_says_that_the_session_was_closed(tmp_path: Path) -> None:
    session = di.open(tmp_path / "pets.duckdb")
    answer, started = {}, threading.Event()

    def ask() -> None:
        try:
            session.sql("SELECT count(*) FROM endless", endless=endless(started))
        except Exception as error:
            answer["code"] = getattr(error, "code", None)

    thread = threading.Thread(target=ask)
    thread.start()
    assert started.wait(30)
    session.close()
    thread.join(30)
    assert answer == {"code": "session_closed"}


def test_closing_waits_for_a_write_that_is_under_way(tmp_path: Path) -> None:
    database = Database(tmp_path / "pets.duckdb")
    began, finish = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as cursor:
            began.set()
            assert finish.wait(30)
            cursor.execute("INSERT INTO data.meta VALUES ('written', 'yes')")

    writer = threading.Thread(target=write)
    writer.start()
    assert began.wait(30)
    closer = threading.Thread(target=database.close)
    closer.start()
    finish.set()
    writer.join(30)
    closer.join(30)
    assert database.closed
    with duckdb.connect(str(tmp_path / "pets.duckdb"), read_only=True) as plain:
        assert plain.execute("SELECT value FROM data.meta WHERE key = 'written'").fetchall() == [("yes",)]
    with pytest.raises(SessionClosed), database.write():
        pass


def interrupted() -> pa.RecordBatchReader:
    """A table in the middle of which somebody types Ctrl-C."""
    batch = pa.record_batch({"n": [1]})

    def batches() -> Iterator[pa.RecordBatch]:
        yield batch
        raise KeyboardInterrupt

    return pa.RecordBatchReader.from_batches(batch.schema, batches())


class InterruptedAtOnce:
    def __arrow_c_schema__(self) -> object:
        return pa.schema({"n": pa.int64()}).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise KeyboardInterrupt


@pytest.mark.parametrize("lent", [interrupted, InterruptedAtOnce])
def test_ctrl_c_while_duckdb_reads_a_lent_table_is_ctrl_c(tmp_path: Path, lent: Callable[[], object]) -> None:
    with di.open(tmp_path / "pets.duckdb") as session:
        database = session.context.database
        with pytest.raises(KeyboardInterrupt), database.query("SELECT * FROM lent", frames={"lent": lent()}) as cursor:
            cursor.fetchall()
        with pytest.raises(KeyboardInterrupt), database.write() as cursor, registered(cursor, {"lent": lent()}):
            cursor.execute("INSERT INTO data.meta SELECT n, n FROM lent").fetchall()
        assert session.sql("SELECT 1").fetchall() == [(1,)]
        session.add_arrays(np.zeros((3, 8, 8), np.uint8), progress=False)
        assert len(session) == 3


def test_ctrl_c_that_duckdb_takes_for_itself_is_ctrl_c(tmp_path: Path) -> None:
    with di.open(tmp_path / "pets.duckdb") as session:
        database = session.context.database
        revision = database.revision
        with pytest.raises(KeyboardInterrupt), database.write() as cursor:
            cursor.execute("INSERT INTO data.meta VALUES ('half', 'done')")
            raise RuntimeError("Query interrupted")  # as DuckDB 1.5 does
        with pytest.raises(KeyboardInterrupt), database.query("SELECT 1"):
            raise RuntimeError("Query interrupted")
        with pytest.raises(RuntimeError, match="something else"), database.write():
            raise RuntimeError("something else")
        assert database.revision == revision
        with database.query("SELECT count(*) FROM data.meta WHERE key = 'half'") as cursor:
            assert cursor.fetchall() == [(0,)]


def test_a_hub_that_is_collected_takes_no_lock_that_its_thread_may_hold(tmp_path):
    session = di.open(tmp_path / "pets.duckdb")
    hub = Hub.of(session.context)
    session.close()

    def collect() -> None:
        with job._lock:
            hub.__del__()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
