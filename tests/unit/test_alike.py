"""A decision that does the same to all its samples says so once; who reads the journal cannot tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import dataide as di
from dataide.core import actions
from dataide.storage import migrations
from tests.unit.big_session import big_session

COUNT = 1_000
FIRST, ALL = np.arange(400), np.arange(COUNT)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with di.open(big_session(tmp_path / "some.duckdb", COUNT)) as session:
        yield session


def _rows(session: di.Session, sql: str) -> list[tuple[Any, ...]]:
    with session.context.database.query(sql) as cursor:
        return cursor.fetchall()


def _texts(session: di.Session) -> int:
    """How many rows with texts the journal has."""
    return int(
        _rows(session, "SELECT (SELECT count(*) FROM data.change_each) + (SELECT count(*) FROM data.alike)")[0][0]
    )


@pytest.mark.parametrize(
    ("action", "field", "after"),
    [
        (actions.Tag("new"), "tag", "new"),
        (
            actions.Enqueue("q", "why", 1.5),
            "queue",
            '{"queue":"q","state":"pending","reason":"why","priority":1.5,"owner":null}',
        ),
    ],
)
def test_a_new_word_is_noted_once_and_read_for_each_sample(
    session: di.Session, action: actions.Action, field: str, after: str
) -> None:
    journal = session.context.journal
    assert journal.act(action, FIRST).count == len(FIRST)
    assert _texts(session) == 1
    listed = "SELECT event, sample_id, field, before, after FROM change ORDER BY sample_id"
    assert session.sql(listed).fetchall() == sorted((1, f"s{no}", field, None, after) for no in FIRST)
    (seen,) = journal.sample_history(7)
    assert seen.event == 1 and not seen.undone and journal.sample_history(400) == []

    # Where some have the word, only the others change, and each of them is noted.
    assert journal.act(action, ALL).count == COUNT - len(FIRST)
    assert _texts(session) == 1 + COUNT - len(FIRST)
    assert len(session.sql("SELECT DISTINCT sample_id FROM change").fetchall()) == COUNT
    table = {"tag": "data.tag", "queue": "data.task"}[field]
    for step, there in ((journal.undo, FIRST), (journal.undo, []), (journal.redo, FIRST), (journal.redo, ALL)):
        step()
        assert _rows(session, f"SELECT sample_no FROM {table} ORDER BY ALL") == [(no,) for no in there]


def test_a_word_that_only_others_have_is_noted_once_too(session: di.Session) -> None:
    journal = session.context.journal
    journal.act(actions.Tag("t"), FIRST)
    assert journal.act(actions.Tag("t"), ALL[len(FIRST) :]).count == COUNT - len(FIRST)
    assert _texts(session) == 2
    assert _rows(session, "SELECT event_no, count(*) FROM data.change GROUP BY ALL ORDER BY ALL") == [
        (1, 400),
        (2, 600),
    ]


def test_what_fails_halfway_leaves_nothing_of_either_kind(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr("dataide.storage.decisions.add_event", fails)
    with pytest.raises(OSError, match="no space"):
        session.context.journal.act(actions.Tag("t"), ALL)
    for table in ("data.alike", "data.alike_sample", "data.change", "data.tag", "data.event"):
        assert _rows(session, f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_file_of_the_first_version_keeps_its_journal_and_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "first.duckdb"
    with duckdb.connect(str(path)) as plain:
        plain.execute(migrations.steps()[1])
        plain.execute("INSERT INTO data.meta VALUES ('version', '1'), ('format', 'dataide'), ('revision', '0')")
        plain.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, '', now()::TIMESTAMP FROM range(?) t(i)",
            [COUNT],
        )
        plain.execute("INSERT INTO data.embedding VALUES (0, 'auto', 'auto/1', 2, now())")
        plain.execute("CREATE TABLE data.vector_0 (sample_no UINTEGER, media_revision UINTEGER, vector FLOAT[2])")
        plain.execute("INSERT INTO data.vector_0 VALUES (3, 1, [0.5, 1])")
        plain.execute("INSERT INTO data.change SELECT 1, i, 'tag', NULL, 'old' FROM range(400) t(i)")
        plain.execute("INSERT INTO data.tag SELECT i, 'old' FROM range(400) t(i)")
        plain.execute(
            "INSERT INTO data.event VALUES (1, 'u', now(), 'ann', 'tag', '{\"tag\": \"old\"}', '', 400, 'done', NULL)"
        )
    with di.open(path, read_only=True) as session:
        assert session.tags == {"old": 400} and session.sql("SELECT count(*) FROM change").fetchall() == [(400,)]
        assert [(no, list(of)) for no, of in session.sql("SELECT * FROM vector_auto").fetchall()] == [
            ("s3", [0.5, 1.0])
        ]
    with di.open(path) as session:
        journal = session.context.journal
        journal.act(actions.Tag("new"), ALL)
        assert [one.sentence for one in journal.sample_history(3)] == ["tagged “new”", "tagged “old”"]
        assert journal.head()[0] == "Tagged 1,000 samples “new”"
        journal.undo()
        journal.undo()
        assert session.tags == {}
        journal.redo()
        assert session.tags == {"old": 400}
    with di.open(path) as session:
        assert session.tags == {"old": 400}
