"""Opening, closing, sharing and distrusting session files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.errors import NewerSession, NotASession, QueryError, ReadOnly, SessionClosed, SessionError, SessionLocked

HOLDER = """
import sys, dataide as di
session = di.open(sys.argv[1])
if len(sys.argv) > 2:
    session.where(label="cat").tag("held")
print("ready", flush=True)
sys.stdin.readline()
"""


def fill(session: Session, count: int = 100) -> None:
    with session.context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, split, brightness, added_at) "
            "SELECT i, 's' || i, 'm/' || i || '.png', CASE i % 3 WHEN 0 THEN 'cat' WHEN 1 THEN 'dog' END, "
            "CASE WHEN i % 5 = 0 THEN 'val' ELSE 'train' END, i / ?, now() AT TIME ZONE 'UTC' "
            "FROM range(?) t(i)",
            [count, count],
        )


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "pets.duckdb", author="Ada") as opened:
        fill(opened)
        yield opened


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has pets.duckdb open."""
    with di.open(tmp_path / "pets.duckdb") as opened:
        fill(opened)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "pets.duckdb"), "tag"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    process.stdout.close()


def test_import_loads_no_heavy_library() -> None:
    heavy = ["torch", "umap", "sklearn", "bokeh", "pandas", "pyarrow", "PIL", "anywidget", "ipywidgets", "duckdb"]
    code = f"import sys, dataide as di; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="DuckDB 1 imports pandas and pyarrow by itself")
def test_open_loads_neither_pandas_nor_pyarrow(tmp_path: Path) -> None:
    code = (
        "import sys, dataide as di; s = di.open(sys.argv[1]); repr(s); s.where(label='x').tag('y'); s.close(); "
        "print([name for name in ['pandas', 'pyarrow', 'PIL', 'anywidget'] if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code, str(tmp_path / "a.duckdb")], text=True).strip() == "[]"


def test_repr_is_a_sentence(session: Session) -> None:
    session.where(label="cat").tag("a")
    session.where(label="dog").enqueue("review")
    assert repr(session) == "Session pets.duckdb: 100 samples, 2 labels, 1 tag, 1 queue"
    session.take(3).exclude()
    assert repr(session).startswith("Session pets.duckdb: 97 samples (3 more excluded)")


def test_running_the_cell_again_gives_the_same_session(session: Session, tmp_path: Path) -> None:
    assert di.open(tmp_path / "pets.duckdb") is session
    assert di.open(str(tmp_path / "sub" / ".." / "pets")) is session  # .. is resolved, the ending is added


def test_a_second_way_of_opening_says_to_close_first(session: Session, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"already open here, for writing.*session.close\(\)"):
        di.open(tmp_path / "pets.duckdb", read_only=True)


def test_a_deleted_file_is_not_reused(tmp_path: Path) -> None:
    first = di.open(tmp_path / "a.duckdb")
    fill(first)
    (tmp_path / "a.duckdb").unlink()
    with di.open(tmp_path / "a.duckdb") as second:
        assert second is not first
        assert len(second) == 0


def test_using_a_closed_session_says_so(session: Session) -> None:
    view = session.where(label="cat")
    session.close()
    session.close()
    assert repr(session) == "Session pets.duckdb: closed"
    assert "closed session" in repr(view)
    with pytest.raises(SessionClosed, match=r"di.open\('pets.duckdb'\)"):
        len(view)
    with pytest.raises(SessionClosed):
        session.undo()


def test_close_calls_back_before_the_file_is_closed(session: Session) -> None:
    seen: list[bool] = []
    session.context.at_close(lambda: seen.append(session.context.database.closed))
    session.close()
    assert seen == [False]


def test_close_leaves_no_log_and_frees_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with di.open(path) as opened:
        fill(opened)
        # Cursors of other threads keep a DuckDB file open until they are closed.
        thread = threading.Thread(target=lambda: len(opened))
        thread.start()
        thread.join()
    assert not path.with_name("a.duckdb.wal").exists()
    assert not (tmp_path / "a.cache" / "owner.json").exists()
    with duckdb.connect(str(path)) as plain:
        assert plain.execute("SELECT count(*), max(label) FROM sample").fetchall() == [(100, "dog")]


def test_not_a_duckdb_file(tmp_path: Path) -> None:
    (tmp_path / "note.duckdb").write_text("hello " * 1000)
    with pytest.raises(NotASession, match=r"note\.duckdb is not a DuckDB file"):
        di.open(tmp_path / "note.duckdb")
    assert (tmp_path / "note.duckdb").read_text().startswith("hello")


def test_a_truncated_session_is_refused(tmp_path: Path) -> None:
    with di.open(tmp_path / "a.duckdb") as opened:
        fill(opened)
    whole = (tmp_path / "a.duckdb").read_bytes()
    (tmp_path / "a.duckdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotASession, match=r"a\.duckdb"), di.open(tmp_path / "a.duckdb") as opened:
        opened.to_arrow()


def test_somebody_elses_duckdb_file_is_left_alone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as plain:
        plain.execute("CREATE TABLE t (a INTEGER)")
    with pytest.raises(NotASession, match="not a session of dataide"):
        di.open(tmp_path / "mine.duckdb")
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as plain:
        assert plain.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("t",)]


def test_an_empty_file_becomes_a_session(tmp_path: Path) -> None:
    (tmp_path / "empty.duckdb").touch()
    with di.open(tmp_path / "empty.duckdb") as opened:
        assert len(opened) == 0


def test_a_folder_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(NotASession, match="is a folder"):
        di.open(tmp_path)


def test_a_missing_file_cannot_be_opened_for_reading(tmp_path: Path) -> None:
    with pytest.raises(NotASession, match=r"There is no file a\.duckdb"):
        di.open(tmp_path / "a.duckdb", read_only=True)
    assert not (tmp_path / "a.duckdb").exists()


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    di.open(tmp_path / "a.duckdb").close()
    with duckdb.connect(str(tmp_path / "a.duckdb")) as plain:
        plain.execute("UPDATE data.meta SET value = '999' WHERE key = 'version'")
    with pytest.raises(NewerSession, match=r"version 999.*pip install -U dataide"):
        di.open(tmp_path / "a.duckdb")
    with pytest.raises(NewerSession):
        di.open(tmp_path / "a.duckdb", read_only=True)


def test_a_file_that_duckdb_has_open_here_says_so(tmp_path: Path) -> None:
    di.open(tmp_path / "a.duckdb").close()
    with duckdb.connect(str(tmp_path / "a.duckdb")), pytest.raises(SessionError, match=r"duckdb\.connect"):
        di.open(tmp_path / "a.duckdb")


def test_a_second_process_is_told_who_has_the_file(held: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(SessionLocked) as caught:
        di.open(tmp_path / "pets.duckdb")
    assert f"process {held.pid}" in caught.value.message
    assert "python" in caught.value.message
    assert "read_only=True" in str(caught.value.hint)


def test_reading_beside_a_writer_gives_a_copy_of_now(held: subprocess.Popen[str], tmp_path: Path) -> None:
    with di.open(tmp_path / "pets.duckdb", read_only=True) as copy:
        assert "a copy for reading" in repr(copy)
        assert len(copy.where(tag="held")) == 34  # committed, and not yet folded into the file
        with pytest.raises(ReadOnly, match="open for reading only"):
            copy.take(1).tag("x")
        snapshot = copy.context.database.snapshot
        assert snapshot is not None and snapshot.exists()
    assert not snapshot.exists()


def test_the_file_is_free_once_its_process_was_killed(held: subprocess.Popen[str], tmp_path: Path) -> None:
    held.kill()
    held.wait()
    with di.open(tmp_path / "pets.duckdb") as opened:
        assert len(opened.where(tag="held")) == 34


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    code = """
import os, signal, sys, dataide as di
session = di.open(sys.argv[1])
for number in range(5):
    print(session.take(50).tag(f"t{number}").event, flush=True)
session.undo()
print("undone", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "a.duckdb"
    with di.open(path) as opened:
        fill(opened)
    ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert ended.returncode == -9
    assert ended.stdout.split() == ["1", "2", "3", "4", "5", "undone"]
    with di.open(path) as opened:
        assert opened.tags == {f"t{number}": 50 for number in range(4)}
        assert opened.redo().count == 50
        assert len(opened.where(tag="t4")) == 50


def test_a_forked_child_neither_uses_nor_harms_the_session(session: Session) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child
        answer = b"no error"
        try:
            len(session)
        except SessionError as error:
            answer = str(error).encode()
        os.write(write_end, answer)
        os._exit(0)
    os.close(write_end)
    said = os.read(read_end, 4096).decode()
    os.close(read_end)
    os.waitpid(child, 0)
    assert "forked child" in said
    assert len(session) == 100


def test_a_forgotten_session_is_closed_at_exit(tmp_path: Path) -> None:
    code = "import sys, dataide as di; di.open(sys.argv[1]).context.journal.author"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.duckdb")], check=True)
    assert not (tmp_path / "a.cache" / "owner.json").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM data.sample",
        "UPDATE data.event SET author = 'Eve'",
        "CREATE TABLE t AS SELECT 1",
        "ATTACH 'other.duckdb'",
        "COPY sample TO 'out.csv'",
        "SET threads = 1",
        "PRAGMA enable_checkpoint_on_shutdown",
        "CHECKPOINT",
        "SELECT 1; DELETE FROM data.sample",
        "EXPLAIN ANALYZE DELETE FROM data.sample",
        "WITH gone AS (DELETE FROM data.sample RETURNING *) SELECT * FROM gone",
        "WITH made AS (INSERT INTO data.tag VALUES (1, 'x') RETURNING *) SELECT * FROM made",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "INSTALL httpfs",
        "not sql",
    ],
)
def test_plain_sql_cannot_change_or_reach_anything(session: Session, statement: str) -> None:
    with pytest.raises((ReadOnly, QueryError)):
        session.sql(statement)
    assert session.sql("SELECT count(*) FROM sample").fetchone() == (100,)
    assert session.sql("SELECT count(*) FROM tag").fetchone() == (0,)


def test_plain_sql_answers_for_every_tool(session: Session) -> None:
    answer = session.sql("SELECT label, count(*) AS n FROM sample GROUP BY label ORDER BY label")
    assert answer.columns == ["label", "n"]
    assert answer.fetchone() == ("cat", 34)
    assert answer.fetchall() == [("dog", 33), (None, 33)]
    assert answer.fetchone() is None
    assert list(answer) == [("cat", 34), ("dog", 33), (None, 33)]
    assert answer.df()["n"].tolist() == [34, 33, 33]
    assert answer.to_polars().shape == (3, 2)
    assert "label" in repr(answer) and "cat" in repr(answer)
    assert session.sql("SELECT * FROM sample WHERE label = ?", ["dog"]).to_arrow().num_rows == 33
    assert session.sql("SELECT $a + 1", {"a": 2}).fetchall() == [(3,)]
    assert session.sql("SELECT decided_at, author FROM event").fetchall() == []
    assert len(session.sql("DESCRIBE sample")) > 10


def test_plain_sql_joins_the_users_own_frame(session: Session) -> None:
    import pandas as pd

    mine = pd.DataFrame({"sample_id": ["s3", "s4"], "price": [1.0, 2.0]})
    answer = session.sql("SELECT s.label, m.price FROM mine m JOIN sample s USING (sample_id) ORDER BY 2", mine=mine)
    assert answer.fetchall() == [("cat", 1.0), ("dog", 2.0)]


def test_html_of_a_query_is_escaped(session: Session) -> None:
    session.take(1).relabel("<script>alert('x')</script>")
    html = session.sql("SELECT label FROM sample ORDER BY sample_no LIMIT 1")._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "<script>" not in session.take(1)._repr_html_()


def test_a_strangers_file_reads_nothing_outside_itself(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nhush\n")
    path = tmp_path / "stranger.duckdb"
    with di.open(path) as opened:
        fill(opened)
    with duckdb.connect(str(path)) as plain:
        plain.execute(f"CREATE OR REPLACE VIEW tag AS SELECT a AS sample_id, a AS tag FROM read_csv('{secret}')")
        plain.execute(f"CREATE VIEW peek AS SELECT * FROM read_text('{secret}')")
        plain.execute(f"CREATE MACRO lower(x) AS (SELECT content FROM read_text('{secret}'))")
        plain.execute(f"CREATE MACRO look() AS TABLE SELECT * FROM read_text('{secret}')")
    with di.open(path) as opened:
        assert len(opened) == 100
        assert opened.sql("SELECT count(*) FROM tag").fetchone() == (0,)  # the documented tables are made anew
        for hidden in ("SELECT * FROM peek", "SELECT * FROM look()", "SELECT lower('x')"):
            try:
                rows = opened.sql(hidden).fetchall()
            except QueryError:
                continue
            assert "hush" not in str(rows)
        try:
            hit = opened.where("lower(label) = 'hush'")
            assert len(hit) == 0
        except di.DataideError:
            pass
        assert opened.take(2).tag("x").count == 2
    with di.open(path, read_only=True) as opened:
        assert len(opened.where(tag="x")) == 2


def test_a_strangers_tables_in_the_way_are_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "odd.duckdb"
    di.open(path).close()
    with duckdb.connect(str(path)) as plain:
        plain.execute("DROP VIEW sample")
        plain.execute("CREATE TABLE sample (a INTEGER)")
    with pytest.raises(NotASession, match=r"odd\.duckdb"):
        di.open(path)


def test_threads_read_while_another_writes(session: Session) -> None:
    problems: list[BaseException] = []

    def look() -> None:
        try:
            for _ in range(30):
                assert len(session.where(label="cat")) in (34, 100)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        session.where().relabel("cat")
        session.undo()
        session.where().tag(f"t{number}")
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(session.tags) == 10


def test_a_failed_write_changes_nothing(session: Session) -> None:
    database = session.context.database
    revision = database.revision
    with pytest.raises(RuntimeError), database.write() as cursor:
        cursor.execute("DELETE FROM data.sample")
        raise RuntimeError
    assert database.revision == revision
    assert len(session) == 100


def test_revision_grows_with_each_write_and_survives(session: Session, tmp_path: Path) -> None:
    seen: list[str] = []
    session.context.changes.subscribe(seen.append)
    before = session.context.database.revision
    session.take(2).tag("a")
    session.take(2).tag("a")  # nothing changes
    assert session.context.database.revision == before + 1
    assert seen == ["data"]
    session.close()
    with di.open(tmp_path / "pets.duckdb") as again:
        assert again.context.database.revision == before + 1


def test_user_columns_that_clash_are_renamed_with_a_message(session: Session) -> None:
    database = session.context.database
    with pytest.warns(UserWarning, match=r"'tags' is kept as 'tags_2'"), database.write() as cursor:
        actual = database.ensure_columns(cursor, {"price": "BIGINT", "tags": "VARCHAR", 'Odd "name"': "DOUBLE"})
    assert actual == {"price": "price", "tags": "tags_2", 'Odd "name"': 'Odd "name"'}
    with database.write() as cursor:
        assert database.ensure_columns(cursor, {"price": "DOUBLE"}) == {"price": "price"}  # wide enough for both
    assert database.columns()["price"] == "DOUBLE"
    assert 'Odd "name"' in session.to_arrow().column_names
    assert len(session.where('"Odd ""name""" IS NULL')) == 100


def test_selection_grows_when_samples_are_added(session: Session) -> None:
    session.select(session.where(label="cat"))
    with session.context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) "
            "VALUES (100, 'new', 'm', 'cat', now()::TIMESTAMP)"
        )
    assert len(session.context.selection.mask) == 101
    assert len(session.selection) == 34
    assert np.count_nonzero(session.context.filter.mask()) == 101
