"""Requests and answers over one comm: each request ends in exactly one last answer, whatever happens to it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataide.errors import ActionError, DataideError, ProtocolError

from .lanes import Job, Lane
from .protocol import ASKS, MEDIA, READS, STARTS, VERSION, Failure, Request, Upward
from .underway import answering
from .wire import check

PARTS_UNDER_WAY = 4
# Bytes of one answer under way, from the slowest line to the quickest: what is asked next waits behind them.
BYTES_UNDER_WAY = (128 * 2**10, 4 * 2**20)
BYTES_AT_FIRST = 512 * 2**10
QUICK_S = 0.1
SLOW_S = 0.4
MOST_STALLED = 16
_log = logging.getLogger(__name__)

Buffer = bytes | memoryview
Send = Callable[[dict[str, Any], Sequence[Buffer]], None]


@dataclass
class Reply:
    """One answer, or one part of it."""

    body: Mapping[str, Any]
    buffers: Sequence[Buffer] = ()
    last: bool = True


Answer = Callable[[str, str, Any], Reply | Iterable[Reply]]  # panel, op, checked body


@dataclass(eq=False)
class _Exchange:
    id: int
    op: str
    panel: str
    body: Any
    lane: Lane
    parts: Iterator[Reply] | None = None
    sent: int = 0
    acknowledged: int = 0
    window: int = BYTES_AT_FIRST
    sizes: list[int] = field(default_factory=list)  # bytes of each part sent
    times: list[float] = field(default_factory=list)  # when each was sent
    stalled: bool = False  # waits for the browser to acknowledge
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def too_much(self) -> bool:
        """Whether so much is under way that the browser should acknowledge some of it first."""
        under_way = self.sizes[self.acknowledged :]
        return len(under_way) >= PARTS_UNDER_WAY or sum(under_way) >= self.window

    def taken(self, part: int, now: float) -> None:
        """The browser has this part: the quicker it came, the more may be under way."""
        if not self.acknowledged <= part < self.sent:
            return
        self.acknowledged = part + 1
        least, most = BYTES_UNDER_WAY
        waited = now - self.times[part]
        if waited < QUICK_S:
            self.window = min(most, 2 * self.window)
        elif waited > SLOW_S:
            self.window = max(least, self.window // 2)


class WrongField(ActionError):
    """What was filled into one field of a form cannot be used.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, code="wrong_field")
        self.field = field


def failure(error: BaseException) -> Failure:
    """What the browser is told about an error. One that nobody foresaw is logged."""
    if isinstance(error, DataideError):
        told: Failure = {"code": error.code, "message": error.message, "hint": error.hint}
        if isinstance(error, WrongField):
            told["field"] = error.field
        return told
    _log.error("a request failed", exc_info=error)
    first_line = str(error).strip().split("\n", 1)[0][:300]
    return {
        "code": "internal",
        "message": f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__,
        "hint": "The log of the kernel has the whole story.",
    }


class Dialogue:
    """Takes messages of the browser and answers them on worker threads.

    Args:
        send: gives a message and its buffers to the comm; called from any thread.
        answer: does what a checked request asks; called on a worker thread.
        revision: the revision of the data now.
    """

    def __init__(self, send: Send, answer: Answer, revision: Callable[[], int]) -> None:
        self._send = send
        self._answer = answer
        self._revision = revision
        self._state_lane = Lane("dataide-state")
        # A gesture never waits behind a read, and a read sees every gesture that came before it.
        self._read_lane = Lane("dataide-read", threads=2, after=self._state_lane)
        self._media_lane = Lane("dataide-media", threads=2)
        self._start_lane = Lane("dataide-start", after=self._state_lane)
        self._lock = threading.Lock()
        self._open: dict[int, _Exchange] = {}

    def receive(self, message: object) -> None:
        """Takes one message: checks it, hands it over, and returns at once. Never raises."""
        try:
            checked = check(message, Upward, "message")
            if checked["k"] == "req":
                self._request(checked)
            elif checked["k"] == "cancel":
                self._cancel(checked["id"])
            else:
                self._acknowledge(checked["id"], checked["part"])
        except ProtocolError as error:
            self._refuse(message, error)

    def close(self) -> None:
        """Ends the worker threads; what is not answered yet is told that the session is closed."""
        self._state_lane.close()
        self._read_lane.close()
        self._media_lane.close()
        self._start_lane.close()
        with self._lock:
            exchanges = list(self._open.values())
        for exchange in exchanges:
            self._fail(exchange, {"code": "session_closed", "message": "The session was closed.", "hint": None})

    def _request(self, request: Request) -> None:
        op = request["op"]
        if op not in ASKS:
            raise ProtocolError(
                f"This kernel does not know the operation '{op[:40]}'.",
                hint="Page and kernel have different versions of dataide: restart the kernel and reload the page.",
            )
        body = check(request["body"], ASKS[op])
        exchange = _Exchange(request["id"], op, request["panel"], body, self._lane_of(op))
        with self._lock:
            under_way = self._open.get(exchange.id)
            if under_way is not None and not under_way.stalled:
                return  # asked again after a lost connection; the answer is still to come
            self._open[exchange.id] = exchange
            stalled = [other for other in self._open.values() if other.stalled]
        for forgotten in stalled[:-MOST_STALLED]:
            self._fail(forgotten, {"code": "cancelled", "message": "Nobody took the rest of the answer.", "hint": None})
        job = Job(
            exchange.id,
            lambda: self._go_on(exchange),
            (exchange.panel, op) if op in READS else None,
            lambda: self._fail(exchange, {"code": "superseded", "message": "A newer request came.", "hint": None}),
        )
        if not exchange.lane.put(job):
            self._fail(exchange, {"code": "session_closed", "message": "The session was closed.", "hint": None})

    def _lane_of(self, op: str) -> Lane:
        if op in STARTS:
            return self._start_lane
        return self._media_lane if op in MEDIA else self._read_lane if op in READS else self._state_lane

    def _go_on(self, exchange: _Exchange) -> None:
        """Sends parts until the answer ends or too many of them wait for their acknowledgement."""
        try:
            if exchange.done:
                return
            parts = exchange.parts
            if parts is None:
                with answering(lambda: exchange.done):
                    answer = self._answer(exchange.panel, exchange.op, exchange.body)
                parts = exchange.parts = iter((answer,)) if isinstance(answer, Reply) else iter(answer)
            while not exchange.done:
                with exchange.lock:
                    exchange.stalled = exchange.too_much()
                    if exchange.stalled:
                        return
                reply = next(parts, None)
                if reply is None:
                    raise ProtocolError(f"The answer to {exchange.op} ended without a last part.")
                self._part(exchange, reply)
        except BaseException as error:
            self._fail(exchange, failure(error))
            if not isinstance(error, Exception):
                raise

    def _part(self, exchange: _Exchange, reply: Reply) -> None:
        with exchange.lock:
            if exchange.done:
                return
            exchange.done = reply.last
            part = exchange.sent
            exchange.sent += 1
            exchange.times.append(time.monotonic())
            exchange.sizes.append(sum(memoryview(buffer).nbytes for buffer in reply.buffers))
        if reply.last:
            self._forget(exchange)
        message = {
            "v": VERSION,
            "k": "res",
            "id": exchange.id,
            "ok": True,
            "rev": self._revision(),
            "part": part,
            "last": reply.last,
            "body": reply.body,
        }
        self._send(message, reply.buffers)

    def _fail(self, exchange: _Exchange, error: Failure) -> None:
        with exchange.lock:
            if exchange.done:
                return
            exchange.done = True
            part = exchange.sent
        self._forget(exchange)
        self._say_no(exchange.id, part, error)

    def _say_no(self, request: int, part: int, error: Failure) -> None:
        head = {"v": VERSION, "k": "res", "id": request, "ok": False, "rev": self._revision()}
        self._send({**head, "part": part, "last": True, "error": error}, ())

    def _forget(self, exchange: _Exchange) -> None:
        exchange.parts = None
        with self._lock:
            if self._open.get(exchange.id) is exchange:
                del self._open[exchange.id]

    def _cancel(self, request: int) -> None:
        with self._lock:
            exchange = self._open.get(request)
        if exchange is None or exchange.op not in READS:
            return  # answered already, or a decision: what was decided is done
        exchange.lane.withdraw(request)
        self._fail(exchange, {"code": "cancelled", "message": "The request was cancelled.", "hint": None})

    def _acknowledge(self, request: int, part: int) -> None:
        with self._lock:
            exchange = self._open.get(request)
        if exchange is None:
            return
        with exchange.lock:
            exchange.taken(part, time.monotonic())
            go_on = exchange.stalled and not exchange.too_much()
            if go_on:
                exchange.stalled = False
        if go_on:
            exchange.lane.put(Job(request, lambda: self._go_on(exchange)))

    def _refuse(self, message: object, error: ProtocolError) -> None:
        """Answers a wrong message, if it says to which request the answer belongs."""
        request = message.get("id") if isinstance(message, dict) and message.get("k") == "req" else None
        if type(request) is int:
            self._say_no(request, 0, failure(error))
        else:
            _log.debug("a message that is none: %s", error)
