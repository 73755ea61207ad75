"""Work that goes on in a thread while the notebook stays free."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]  # done, total, what is being done

_running: weakref.WeakSet[Job[object]] = weakref.WeakSet()
_GOODBYE_S = 5.0  # for the thread's last steps, once the result is there


class Job(Generic[Result]):
    """Work under way: how far it is, and how to stop it.

    Args:
        work: gets the job, reports through `advance`, looks at `cancelled` between steps, and returns the result.
        verb: for people: Embedding, Projecting.
        owner: the database that is worked on; `end_all` ends its jobs.
    """

    def __init__(self, work: Callable[[Job[Result]], Result], *, verb: str, owner: object) -> None:
        self.done = 0
        self.total = 0
        self.sentence = verb
        self.verb = verb
        self._owner = weakref.ref(owner)
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._began: float | None = None
        self._ended: float | None = None
        self._watchers: list[Progress] = []
        self._closers: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, args=(work,), name=f"dataide {verb.lower()}", daemon=True)
        _running.add(self)  # type: ignore[arg-type]
        self._thread.start()

    # For the work ----------------------------------------------------------------------------------------------

    def advance(self, done: int, total: int, sentence: str) -> None:
        """Says how far the work is; watchers are called on this thread."""
        if self._began is None and done:
            self._began = time.monotonic()
        self.done, self.total, self.sentence = done, total, sentence
        for watch in tuple(self._watchers):
            watch(done, total, sentence)

    def on_cancel(self, close: Callable[[], None]) -> None:
        """Runs `close` when the job is cancelled, to end a wait at once."""
        self._closers.append(close)
        if self._cancelled.is_set():
            close()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    # For people ------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        return self._finished.is_set()

    @property
    def rate(self) -> float:
        """Samples a second since the first ones were done; 0 before."""
        if self._began is None:
            return 0.0
        return self.done / max((self._ended or time.monotonic()) - self._began, 1e-3)

    def watch(self, progress: Progress) -> None:
        """Calls `progress(done, total, sentence)` at each step, on the job's thread."""
        self._watchers.append(progress)

    def cancel(self) -> None:
        """Stops after the step that is under way. What was committed stays."""
        self._cancelled.set()
        for close in tuple(self._closers):
            close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until the job has ended, at most `timeout_s`; says whether it has."""
        if not self._finished.wait(timeout_s):
            return False
        # The thread still gives back its DuckDB cursor. Python may be at its end right after this, and a cursor that
        # waits for the interpreter lock then takes the whole process down.
        if self._thread is not threading.current_thread():
            self._thread.join(_GOODBYE_S)
        return True

    def result(self, timeout_s: float | None = None) -> Result:
        """The result, as soon as it is there; errors of the work are raised here.

        Raises:
            TimeoutError: the job has not ended within `timeout_s`.
        """
        if not self.wait(timeout_s):
            raise TimeoutError(f"{self!r} It has not ended within {timeout_s} s.")
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def complete(self, progress: Progress | None = None) -> Result:
        """Waits with progress; Ctrl-C cancels the job, keeps what was committed, and is raised again."""
        try:
            while not self._finished.wait(0.1):
                if progress is not None:
                    progress(self.done, self.total, self.sentence)
        except KeyboardInterrupt:
            self.cancel()
            self.wait(30)
            raise
        result = self.result()
        if progress is not None:
            progress(self.done, self.total, self.sentence)
        return result

    def __repr__(self) -> str:
        part = f"{self.done:,} of {self.total:,}" if self.total else "starting"
        if not self.finished:
            speed = f", {self.rate:,.0f} a second" if self.rate else ""
            return f"{self.verb}: {part}{speed}. {self.sentence}. job.cancel() stops it."
        if self._error is not None:
            return f"{self.verb}: failed at {part}. {self._error}"
        return f"{self.verb}: {'cancelled at' if self.cancelled and self.done < self.total else 'done,'} {part}."

    def _run(self, work: Callable[[Job[Result]], Result]) -> None:
        try:
            self._result = work(self)
        except BaseException as error:
            self._error = error
        finally:
            self._ended = time.monotonic()
            _running.discard(self)  # type: ignore[arg-type]
            self._finished.set()


def running(owner: object) -> list[Job[object]]:
    """The jobs that work on this database now."""
    return [job for job in list(_running) if job._owner() is owner and not job.finished]


def end_all(owner: object, timeout_s: float = 30) -> None:
    """Cancels the jobs of a database and waits for them: call it before closing the database."""
    jobs = [job for job in running(owner) if job._thread is not threading.current_thread()]
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.wait(timeout_s)
