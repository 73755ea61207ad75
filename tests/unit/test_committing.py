"""Decisions about many samples against a model of plain sets; what was answered stays in the file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import actions
from dataide.storage.idle import IdleCheckpoint
from tests.unit.big_session import big_session

COUNT = 4_000
WORDS = ("a", "b")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with di.open(big_session(tmp_path / "some.duckdb", COUNT)) as session:
        yield session


def _rows(session: di.Session, sql: str) -> list[tuple[Any, ...]]:
    with session.context.database.query(sql) as cursor:
        return sorted(cursor.fetchall(), key=repr)


def _present(session: di.Session) -> tuple[Any, ...]:
    sample = "SELECT sample_no, label, excluded, score FROM data.sample"
    return tuple(_rows(session, sql) for sql in ("FROM data.tag", "FROM data.task", sample))


def test_each_decision_counts_what_really_changes_and_goes_back(session: di.Session) -> None:
    journal = session.context.journal
    random = np.random.default_rng(0)
    tags: dict[str, set[int]] = {word: set() for word in WORDS}
    tasks: dict[int, tuple[str | None, float | None]] = {}
    labels = dict(_rows(session, "SELECT sample_no, label FROM data.sample"))
    states = [_present(session)]
    for step in range(24):
        nos = np.flatnonzero(random.random(COUNT) < random.choice([0.01, 0.5])).astype(np.uint32)
        chosen = set(nos.tolist())
        word = str(random.choice(WORDS))
        match step % 4:
            case 0:
                expected = len(chosen - tags[word])
                tags[word] |= chosen
                event = journal.act(actions.Tag(word), nos)
            case 1:
                expected = len(chosen & tags[word])
                tags[word] -= chosen
                event = journal.act(actions.Untag(word), nos)
            case 2:
                label = None if step == 6 else word
                expected = sum(labels[no] != label for no in chosen)
                labels.update(dict.fromkeys(chosen, label))
                event = journal.act(actions.Relabel(label), nos)
            case _:
                reason, priority = (None, "why")[step % 8 == 3], (None, 1.5)[step % 3 == 0]
                before = {no: tasks.get(no, (None, None)) for no in chosen}
                after = {no: (reason or had[0], had[1] if priority is None else priority) for no, had in before.items()}
                expected = sum(tasks.get(no) != task for no, task in after.items())
                tasks.update(after)
                event = journal.act(actions.Enqueue("q", reason, priority), nos)
        assert event.count == expected
        states.append(_present(session))
        again = journal.act(actions.from_wire(event.verb, _arguments(session, event.event)), nos)
        assert again.event is None and again.count == 0
    assert {word: {no for no, tag in _rows(session, "FROM data.tag") if tag == word} for word in WORDS} == tags
    assert dict(_rows(session, "SELECT sample_no, label FROM data.sample")) == labels
    found = _rows(session, "SELECT sample_no, reason, priority, state, owner FROM data.task WHERE queue = 'q'")
    assert {row[0]: row[1:] for row in found} == {no: (*task, "pending", None) for no, task in tasks.items()}
    for state in states[-2::-1]:
        journal.undo()
        assert _present(session) == state
    for state in states[1:]:
        journal.redo()
        assert _present(session) == state


def _arguments(session: di.Session, event: int | None) -> dict[str, object]:
    ((text,),) = _rows(session, f"SELECT arguments FROM data.event WHERE event_no = {event}")
    found: dict[str, object] = json.loads(str(text))
    return found


def test_numbers_that_come_twice_or_in_another_order_count_once(session: di.Session) -> None:
    event = session.context.journal.act(actions.Tag("t"), np.array([7, 3, 7, 5, 3]))
    assert event.count == 3
    assert _rows(session, "FROM data.tag") == [(3, "t"), (5, "t"), (7, "t")]


def test_a_value_that_is_not_a_number_is_the_same_as_itself(session: di.Session) -> None:
    nos = np.arange(10)
    assert session.context.journal.act(actions.Set({"score": float("nan")}), nos).count == 10
    assert session.context.journal.act(actions.Set({"score": float("nan")}), nos).count == 0
    assert session.context.journal.act(actions.Set({"score": None}), nos).count == 10


_KILLED = """
import os, signal, sys
import numpy as np
import dataide as di
from dataide.core import actions
session = di.open(sys.argv[1])
for step in range(5):
    event = session.context.journal.act(actions.Relabel(f"last {step}"), np.arange(4_000), uuid=f"u{step}")
    session.context.journal.act(actions.Tag(f"t{step}"), np.arange(4_000))
    print(event.count, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_answered_is_in_the_file_when_the_process_is_killed(tmp_path: Path) -> None:
    path = big_session(tmp_path / "some.duckdb", COUNT)
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(path)], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL and ended.stdout.split() == ["4000"] * 5, ended.stderr
    with di.open(path) as session:
        assert _rows(session, "SELECT DISTINCT label FROM data.sample") == [("last 4",)]
        assert _rows(session, "SELECT count(*) FROM data.tag") == [(5 * COUNT,)]
        assert session.context.journal.act(actions.Relabel("last 4"), np.arange(4_000), uuid="u4").count == COUNT
        assert _rows(session, "SELECT count(*) FROM data.event") == [(10,)]


def test_a_long_log_is_folded_once_nobody_writes(session: di.Session) -> None:
    database = session.context.database
    folded = threading.Event()
    fold = database.fold_log

    def folding() -> None:
        fold()
        folded.set()

    database.fold_log = folding  # type: ignore[method-assign]
    database._idle_checkpoint = IdleCheckpoint(database.path, worth_bytes=1, quiet_s=0.05)
    session.context.journal.act(actions.Tag("t"), np.arange(COUNT))
    assert folded.wait(10)
    log = Path(f"{database.path}.wal")
    assert not log.exists() or log.stat().st_size == 0
    assert session.context.journal.act(actions.Tag("u"), np.arange(COUNT)).count == COUNT
