"""Each request ends in exactly one last answer, decisions are never dropped, and a slow reader is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from dataide.errors import UnknownColumn
from dataide.widgets.dialogue import BYTES_AT_FIRST, BYTES_UNDER_WAY, Dialogue, Reply, _Exchange
from dataide.widgets.lanes import Coalescer

PAGE = {"offset": 0, "limit": 1, "thumbs": False, "px": 64, "caption": None}
COLORS = {"projection": "p", "color": None}


class Talk:
    """A dialogue with a scripted other side."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.heard = threading.Condition()
        self.gate = threading.Event()
        self.started = threading.Event()
        self.done: list[Any] = []
        self.dialogue = Dialogue(self._send, self._answer, lambda: 7)

    def _send(self, message: dict[str, Any], buffers: object) -> None:
        with self.heard:
            self.sent.append(message)
            self.heard.notify_all()

    def _answer(self, panel: str, op: str, body: Any) -> Reply | Iterable[Reply]:
        self.started.set()
        if op == "hello":
            assert self.gate.wait(10)
        if op == "undo":
            self.done.append(body["uuid"])
        if op == "facets":
            raise UnknownColumn("There is no column 'x'.", hint="Did you mean y?")
        if op == "marks":
            raise ZeroDivisionError("by zero")
        if op == "colors":
            return self._parts()
        return Reply({"op": op})

    def _parts(self) -> Iterator[Reply]:
        for part in range(7):
            yield Reply({"part": part}, [b"x"], last=part == 6)

    def ask(self, number: int, op: str, body: Any = None, panel: str = "p") -> None:
        self.dialogue.receive({"v": 1, "k": "req", "id": number, "op": op, "panel": panel, "body": body or {}})

    def wait(self, count: int) -> list[dict[str, Any]]:
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.sent) >= count, 10), self.sent
            return list(self.sent)

    def last_of(self, number: int) -> dict[str, Any]:
        with self.heard:
            found: list[dict[str, Any]] = []

            def there() -> bool:
                found[:] = [message for message in self.sent if message["id"] == number and message["last"]]
                return bool(found)

            assert self.heard.wait_for(there, 10), self.sent
        assert len(found) == 1
        return found[0]


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.gate.set()
    talk.dialogue.close()


def test_an_answer_says_the_revision_and_that_it_is_the_last(talk: Talk) -> None:
    talk.ask(1, "arm", {"armed": None})
    assert talk.last_of(1) == {
        "v": 1, "k": "res", "id": 1, "ok": True, "rev": 7, "part": 0, "last": True, "body": {"op": "arm"},
    }  # fmt: skip


def test_errors_travel_as_code_message_and_hint(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    talk.ask(1, "facets", {"columns": None, "bars": 3})
    error = {"code": "unknown_column", "message": "There is no column 'x'.", "hint": "Did you mean y?"}
    assert talk.last_of(1)["error"] == error
    assert not caplog.records
    talk.ask(2, "marks", {"projection": "p"})
    assert talk.last_of(2)["error"]["code"] == "internal"
    assert talk.last_of(2)["error"]["message"] == "ZeroDivisionError: by zero"
    assert "a request failed" in caplog.text


def test_messages_that_are_none_leave_no_trace_in_the_log(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    incomplete: list[object] = [{}, {"v": 2}, {"v": 1, "k": "req"}, {"v": 1, "k": "ack", "id": 4, "part": 0}]
    for nonsense in [None, 5, "x", [], *incomplete]:
        talk.dialogue.receive(nonsense)
    talk.ask(9, "fly")
    assert talk.last_of(9)["error"]["code"] == "protocol"
    assert not caplog.records


def test_a_newer_read_takes_the_place_of_one_that_waits(talk: Talk) -> None:
    talk.ask(1, "hello")
    assert talk.started.wait(10)
    talk.ask(2, "locate", {"projection": "p", "nos": []})
    talk.ask(3, "locate", {"projection": "p", "nos": []}, panel="other")
    talk.ask(4, "locate", {"projection": "p", "nos": []})
    assert talk.last_of(2)["error"]["code"] == "superseded"
    talk.gate.set()
    assert talk.last_of(3)["ok"] and talk.last_of(4)["ok"]


def test_decisions_are_all_carried_out_in_order(talk: Talk) -> None:
    talk.ask(1, "hello")
    for number in range(2, 12):
        talk.ask(number, "undo", {"uuid": str(number)})
    talk.dialogue.receive({"v": 1, "k": "cancel", "id": 5})
    talk.gate.set()
    assert talk.last_of(11)["ok"]
    assert talk.done == [str(number) for number in range(2, 12)]


def test_a_cancelled_read_ends_at_once(talk: Talk) -> None:
    talk.ask(1, "hello")
    assert talk.started.wait(10)
    talk.ask(2, "locate", {"projection": "p", "nos": []})
    talk.dialogue.receive({"v": 1, "k": "cancel", "id": 2})
    assert talk.last_of(2)["error"]["code"] == "cancelled"


def test_no_more_than_four_parts_are_under_way(talk: Talk) -> None:
    talk.ask(1, "colors", COLORS)
    assert [message["body"]["part"] for message in talk.wait(4)] == [0, 1, 2, 3]
    talk.ask(2, "arm", {"armed": None})
    talk.last_of(2)  # the lane is free while the parts wait
    assert len(talk.wait(5)) == 5
    talk.dialogue.receive({"v": 1, "k": "ack", "id": 1, "part": 1})
    talk.wait(7)
    talk.dialogue.receive({"v": 1, "k": "ack", "id": 1, "part": 3})
    assert talk.last_of(1)["part"] == 6
    assert [message["part"] for message in talk.wait(8) if message["id"] == 1] == list(range(7))


def test_pages_that_went_away_do_not_pile_up(talk: Talk) -> None:
    for number in range(1, 30):
        talk.ask(number, "colors", COLORS, panel=str(number))
        talk.wait(4 * number)
    assert talk.last_of(1)["error"]["code"] == "cancelled"


def test_closing_answers_what_waits(talk: Talk) -> None:
    talk.ask(1, "hello")
    assert talk.started.wait(10)
    talk.ask(2, "arm", {"armed": None})
    talk.dialogue.close()
    assert talk.last_of(2)["error"]["code"] == "session_closed"
    talk.ask(3, "arm", {"armed": None})
    assert talk.last_of(3)["error"]["code"] == "session_closed"


def test_a_burst_of_notes_is_few_calls_and_the_last_note_is_never_lost() -> None:
    calls: list[int] = []
    noted = 0
    seen = threading.Condition()

    def call() -> None:
        with seen:
            calls.append(noted)
            seen.notify_all()

    coalescer = Coalescer(call, gather_s=0.001, rest_s=0.01)
    while noted < 2_000:
        noted += 1
        coalescer.note()
    with seen:
        assert seen.wait_for(lambda: bool(calls) and calls[-1] == 2_000, 10)
    coalescer.close()
    assert len(calls) < 200


def test_the_quicker_parts_are_taken_the_more_is_under_way() -> None:
    exchange = _Exchange(1, "points", "p", None, lane=None)  # type: ignore[arg-type]
    least, most = BYTES_UNDER_WAY

    def sent_and_taken(waited_s: float) -> int:
        exchange.sizes.append(1_000)
        exchange.times.append(100.0)
        exchange.sent += 1
        exchange.taken(exchange.sent - 1, 100.0 + waited_s)
        return exchange.window

    assert exchange.window == BYTES_AT_FIRST
    assert sent_and_taken(0.05) == 2 * BYTES_AT_FIRST
    assert sent_and_taken(0.2) == 2 * BYTES_AT_FIRST, "neither quick nor slow: as it is"
    assert sent_and_taken(0.5) == BYTES_AT_FIRST
    assert [sent_and_taken(0.01) for _ in range(6)][-2:] == [most, most]
    assert [sent_and_taken(3.0) for _ in range(8)][-2:] == [least, least]


def test_a_part_counts_once_and_only_when_it_was_sent() -> None:
    exchange = _Exchange(1, "points", "p", None, lane=None)  # type: ignore[arg-type]
    exchange.sizes, exchange.times, exchange.sent = [10, 10, 10], [0.0, 0.0, 0.0], 3
    exchange.taken(5, 0.01)
    exchange.taken(-1, 0.01)
    assert (exchange.acknowledged, exchange.window) == (0, BYTES_AT_FIRST)
    exchange.taken(1, 0.01)
    assert (exchange.acknowledged, exchange.window) == (2, 2 * BYTES_AT_FIRST)
    exchange.taken(1, 0.01)
    exchange.taken(0, 9.0)
    assert (exchange.acknowledged, exchange.window) == (2, 2 * BYTES_AT_FIRST), "said twice, or late"


def test_a_full_window_waits_though_few_parts_are_under_way() -> None:
    exchange = _Exchange(1, "points", "p", None, lane=None)  # type: ignore[arg-type]
    exchange.sizes, exchange.times, exchange.sent = [BYTES_AT_FIRST - 1], [0.0], 1
    assert not exchange.too_much()
    exchange.sizes.append(1)
    exchange.times.append(0.0)
    exchange.sent = 2
    assert exchange.too_much()
    exchange.taken(0, 0.2)
    assert not exchange.too_much(), "one byte is under way"
