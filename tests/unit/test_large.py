"""What must not grow with the number of samples: the bytes of a gesture, and who waits for whom."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import actions
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.answers.state import session_state
from dataide.widgets.dialogue import Dialogue, Reply
from dataide.widgets.workspace import Workspace
from tests.unit.big_session import big_session

LASSO = [0.1, 0.1, 0.9, 0.15, 0.8, 0.9, 0.45, 0.6, 0.15, 0.85]
PAGE = {"offset": 0, "limit": 60, "thumbs": False, "px": 96, "caption": "label"}
FACETS = {"columns": None, "bars": 20}


class Page:
    """A browser of which only the bytes are of interest."""

    def __init__(self, session: di.Session) -> None:
        self.workspace = Workspace(session.context)
        self.dialogue = Dialogue(self._take, self._answer, lambda: self.workspace.database.revision)
        self.heard = threading.Condition()
        self.answers: dict[int, dict[str, Any]] = {}
        self.numbers = 0
        self.up = self.down = 0

    def _answer(self, panel: str, op: str, body: Any) -> Reply | Iterable[Reply]:
        return OPERATIONS[op](self.workspace, body)

    def _take(self, message: dict[str, Any], buffers: Sequence[bytes | memoryview]) -> None:
        self._count_down(message, buffers)
        if message["last"]:
            with self.heard:
                self.answers[message["id"]] = message
                self.heard.notify_all()

    def _count_down(self, message: Any, buffers: Sequence[bytes | memoryview] = ()) -> None:
        self.down += len(_written(message)) + sum(memoryview(buffer).nbytes for buffer in buffers)

    def ask(self, op: str, **body: Any) -> Any:
        self.numbers += 1
        request = {"v": 1, "k": "req", "id": self.numbers, "op": op, "panel": "p", "body": body}
        self.up += len(_written(request))
        self.dialogue.receive(request)
        with self.heard:
            assert self.heard.wait_for(lambda: self.numbers in self.answers, 60)
        answer = self.answers[self.numbers]
        assert answer["ok"], answer
        return answer["body"]

    def refresh(self) -> None:
        """What panels do when they hear of a change."""
        self._count_down(session_state(self.workspace))
        self.ask("page", **PAGE)
        self.ask("facets", **FACETS)


def _written(message: Any) -> str:
    """A message with one digit for each number: 416 and 41,583 are the same answer."""
    return re.sub(r"\d+", "0", json.dumps(message))


def _interaction(path: Path, count: int) -> tuple[int, int]:
    """Bytes up and down of the gestures of a minute."""
    with di.open(big_session(path, count)) as session:
        page = Page(session)
        page.refresh()
        page.up = page.down = 0
        shape = {"type": "polygon", "projection": "auto/pca", "points": LASSO}
        caught = page.ask("select", shape=shape, mode="replace", source="scatter")["count"]
        assert 0.3 * count < caught < 0.6 * count
        page.refresh()
        page.ask("arm", armed={"verb": "tag", "arguments": {"tag": "armed"}})
        shape["points"] = LASSO[:6]
        decision = page.ask("select", shape=shape, mode="replace", source="scatter", uuid="one")["decision"]
        assert decision["count"] == np.count_nonzero(page.workspace.selection.mask) > 0.2 * count
        page.refresh()
        page.ask("arm", armed=None)
        page.ask("page", **{**PAGE, "offset": count // 2})
        page.ask("act", verb="tag", arguments={"tag": "t"}, target={"type": "selection"}, uuid="two")
        page.refresh()
        page.ask("undo", uuid="three")
        page.refresh()
        page.dialogue.close()
        return page.up, page.down


@pytest.mark.once
def test_the_bytes_of_an_interaction_are_the_same_at_ten_thousand_and_at_a_million(tmp_path: Path) -> None:
    up, down = _interaction(tmp_path / "small.duckdb", 10_000)
    many_up, many_down = _interaction(tmp_path / "large.duckdb", 1_000_000)
    assert many_up <= 1.1 * up and many_up < 5_000
    assert many_down <= 1.1 * down, (down, many_down)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with di.open(big_session(tmp_path / "some.duckdb", 5_000)) as session:
        yield session


def test_the_filter_says_when_others_may_pass_and_only_then(session: di.Session) -> None:
    context, filter = session.context, session.context.filter
    everything = np.arange(5_000)
    passing, mask = filter.passing, filter.mask()
    context.journal.act(actions.Tag("t"), everything)
    context.journal.act(actions.Relabel("new"), everything[:9])
    assert filter.passing == passing and filter.mask() is mask  # neither is asked about

    filter.set("facet:label", {"type": "in", "column": "label", "values": ["new"]})
    assert filter.passing > passing and np.count_nonzero(filter.mask()) == 9
    passing, mask = filter.passing, filter.mask()
    context.journal.act(actions.Untag("t"), everything)
    assert filter.passing == passing and filter.mask() is mask
    context.journal.act(actions.Relabel("new"), everything[:12])
    assert filter.passing > passing and np.count_nonzero(filter.mask()) == 12
    passing = filter.passing
    context.journal.undo()
    assert filter.passing > passing and np.count_nonzero(filter.mask()) == 9
    passing = filter.passing
    context.journal.act(actions.Exclude(), everything[:4])
    assert filter.passing > passing and np.count_nonzero(filter.mask()) == 5

    context.journal.act(actions.Set({"fresh": 3}), everything[:20])  # a new column, then other values in it
    filter.clear()
    filter.set("text", {"type": "sql", "text": "fresh = 3"})
    passing = filter.passing
    context.journal.act(actions.Set({"fresh": 4}), everything[4:6])
    assert filter.passing > passing and np.count_nonzero(filter.mask()) == 14


def test_a_new_sample_is_another_mask(session: di.Session) -> None:
    filter = session.context.filter
    passing = filter.passing
    assert len(filter.mask()) == 5_000
    with session.context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "VALUES (5000, 'new', 'none/new.png', TIMESTAMP '2026-01-01')"
        )
    assert filter.passing > passing and len(filter.mask()) == 5_001


@pytest.mark.parametrize("values", [["a"], ["a", "b"], [None], ["a", None], ["none such"], []])
@pytest.mark.parametrize("kind", ["in", "not_in"])
@pytest.mark.parametrize("name", ["tags", "queues"])
def test_lists_are_filtered_as_their_sql_says(session: di.Session, name: str, kind: str, values: list[Any]) -> None:
    for word, nos in (("a", np.arange(0, 5_000, 3)), ("b", np.arange(0, 5_000, 5)), ("c", np.arange(7))):
        action = actions.Tag(word) if name == "tags" else actions.Enqueue(word)
        session.context.journal.act(action, nos)
    stated = session.context.filter.set("facet:x", {"type": kind, "column": name, "values": values})
    assert stated is not None
    database = session.context.database
    assert np.array_equal(session.context.filter.mask(), session.where(stated.sql).mask())
    assert stated.predicate.members is not None and len(stated.predicate.mask(database)) == 5_000


class Slow:
    """A dialogue whose reads wait for a gate."""

    def __init__(self) -> None:
        self.heard = threading.Condition()
        self.done: list[int] = []
        self.failed: dict[int, str] = {}
        self.reading, self.gate = threading.Event(), threading.Event()
        self.dialogue = Dialogue(self._take, self._answer, lambda: 1)
        self.value = 0
        self.seen: list[int] = []

    def _take(self, message: dict[str, Any], buffers: object) -> None:
        with self.heard:
            self.done.append(message["id"])
            if not message["ok"]:
                self.failed[message["id"]] = message["error"]["code"]
            self.heard.notify_all()

    def _answer(self, panel: str, op: str, body: Any) -> Reply:
        if op == "undo":
            self.value += 1
        elif op == "facets":
            self.reading.set()
            assert self.gate.wait(10)
        elif op == "locate":
            self.seen.append(self.value)
        return Reply({})

    def ask(self, number: int, op: str, **body: Any) -> None:
        self.dialogue.receive({"v": 1, "k": "req", "id": number, "op": op, "panel": "p", "body": body})

    def wait(self, number: int) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: number in self.done, 10), self.done


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.gate.set()
    slow.dialogue.close()


def test_a_gesture_does_not_wait_for_a_read_and_a_read_sees_the_gestures_before_it(slow: Slow) -> None:
    slow.ask(1, "facets", **FACETS)
    assert slow.reading.wait(10)
    slow.ask(2, "undo", uuid="u")
    slow.wait(2)
    assert 1 not in slow.done
    for number in range(3, 43, 2):
        slow.ask(number, "undo", uuid=str(number))
        slow.ask(number + 1, "locate", projection="p", nos=[number])
    slow.wait(42)
    assert slow.seen[-1] == 21  # all of them, the first among them
    assert slow.seen == sorted(slow.seen)


def test_of_facets_that_wait_only_the_newest_are_counted(slow: Slow) -> None:
    slow.ask(1, "facets", **FACETS)
    assert slow.reading.wait(10)
    slow.ask(2, "facet_values", column="label", search="", limit=1)
    slow.wait(2)
    for number in (3, 4, 5):
        slow.dialogue.receive({"v": 1, "k": "req", "id": number, "op": "facets", "panel": "q", "body": FACETS})
    slow.reading.clear()
    slow.gate.set()
    slow.wait(5)
    slow.wait(1)
    assert set(slow.failed.values()) <= {"superseded"} and not {1, 2, 5} & set(slow.failed)
