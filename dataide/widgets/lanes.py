"""Worker threads that answer requests, so that neither the comm thread nor a running cell is ever in the way."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)
_PATIENCE_S = 1.0


@dataclass(eq=False)
class Job:
    """A piece of work of one request.

    Attributes:
        request: the id of the request.
        run: does the work; it reports its own failures.
        replaceable_by: a newer job with the same key takes its place while it waits; None for never.
        replaced: called then, on the thread of the newer one.
    """

    request: int
    run: Callable[[], None]
    replaceable_by: tuple[str, str] | None = None
    replaced: Callable[[], None] | None = None


class Lane:
    """Jobs in the order of arrival, done by a few threads that start with the first job.

    Args:
        name: for the names of the threads.
        threads: how many jobs may run at once.
        after: a lane whose jobs go first: none of this one starts while one of that waits or runs.
    """

    def __init__(self, name: str, threads: int = 1, *, after: Lane | None = None) -> None:
        self._name = name
        self._most = threads
        self._waiting: deque[Job] = deque()
        self._condition = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._running = 0
        self._closed = False
        self._after = after
        _at_work.add(self)

    def put(self, job: Job) -> bool:
        """Queues a job; False when the lane is closed."""
        older: Job | None = None
        with self._condition:
            if self._closed:
                return False
            if job.replaceable_by is not None:
                older = next((other for other in self._waiting if other.replaceable_by == job.replaceable_by), None)
                if older is not None:
                    self._waiting.remove(older)
            self._waiting.append(job)
            if self._idle < len(self._waiting) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._condition.notify_all()
        if older is not None and older.replaced is not None:
            older.replaced()
        return True

    def withdraw(self, request: int) -> bool:
        """Takes a waiting job back; False when it runs already, or is done."""
        with self._condition:
            for job in self._waiting:
                if job.request == request:
                    self._waiting.remove(job)
                    return True
        return False

    def close(self) -> None:
        """Ends the threads once their present job is done; what waits is dropped."""
        with self._condition:
            self._closed = True
            self._waiting.clear()
            self._condition.notify_all()

    def settle(self) -> None:
        """Waits until no job waits or runs here."""
        with self._condition:
            while (self._waiting or self._running) and not self._closed:
                self._condition.wait()

    def join(self) -> None:
        """Waits a moment for the threads of a closed lane."""
        _join(self._threads)

    def _work(self) -> None:
        while True:
            job = self._next()
            if job is None:
                return
            try:
                job.run()
            except Exception:
                _log.exception("a job of the lane %s failed", self._name)
            del job  # while this thread waits, it must not keep the last answer alive
            with self._condition:
                self._running -= 1
                self._condition.notify_all()

    def _next(self) -> Job | None:
        """The next job, when there is one and the other lane lets it go; None when the lane is closed."""
        while True:
            with self._condition:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._condition.wait()
                self._idle -= 1
            # A job is taken only afterwards: while it waits it may be replaced or withdrawn.
            if self._after is not None and not self._closed:
                self._after.settle()
            with self._condition:
                if self._closed:
                    return None
                if self._waiting:
                    self._running += 1
                    return self._waiting.popleft()


class Coalescer:
    """Calls back once after a burst of notes: soon after the first, and never more often than every `rest_s`.

    Args:
        call: what to do; runs on a thread of its own.
        gather_s: how long to wait for more after the first note.
        rest_s: the shortest time between two calls.
    """

    def __init__(self, call: Callable[[], None], *, gather_s: float = 0.004, rest_s: float = 0.05) -> None:
        self._call = call
        self._gather_s = gather_s
        self._rest_s = rest_s
        self._noted = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        _at_work.add(self)

    def note(self) -> None:
        """Something has changed. Cheap, and safe on any thread."""
        self._noted.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._ended.is_set():
                    self._thread = threading.Thread(target=self._work, name="dataide-events", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._noted.set()

    def join(self) -> None:
        """Waits a moment for the thread of a closed coalescer."""
        _join([self._thread] if self._thread is not None else [])

    def _work(self) -> None:
        while True:
            self._noted.wait()
            if self._ended.wait(self._gather_s):
                return
            self._noted.clear()
            try:
                self._call()
            except Exception:
                _log.exception("an event could not be sent")
            if self._ended.wait(self._rest_s):
                return


_at_work: weakref.WeakSet[Lane | Coalescer] = weakref.WeakSet()


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(_PATIENCE_S)


@atexit.register
def _end_all() -> None:
    """Ends the threads before the interpreter does: each has a cursor, which DuckDB reports as leaked otherwise."""
    remaining = list(_at_work)
    for worker in remaining:
        worker.close()
    for worker in remaining:
        worker.join()
