"""Work that goes on in a thread while the notebook stays free."""

from __future__ import annotations

import logging
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Generic, Literal, Self, TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]  # done, total, what is being done
Listener = Callable[["Job[Any]"], None]
State = Literal["running", "cancelling", "done", "cancelled", "failed"]

_log = logging.getLogger(__name__)
_running: weakref.WeakSet[Job[object]] = weakref.WeakSet()
_listeners: weakref.WeakKeyDictionary[object, list[Listener]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()  # of these two
_GOODBYE_S = 5.0  # for the thread's last steps, once the result is there
# What a notebook shows of a job. The room of the widgets sets it: this one lies below, and works without widgets.
show: Callable[[Job[Any]], dict[str, Any] | None] | None = None


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
        self.counts = True  # what is done are samples; else only shares and the sentence mean something to people
        self.sentence = verb
        self.verb = verb
        self.id = uuid.uuid4().hex[:12]
        self.began_at = time.monotonic()
        self._owner = weakref.ref(owner)
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._began: float | None = None
        self._ended: float | None = None
        self._pace = Pace()
        self._watchers: list[Progress] = []
        self._followers: list[Listener] = []
        self._closers: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, args=(work,), name=f"dataide {verb.lower()}", daemon=True)
        with _lock:
            _running.add(self)  # type: ignore[arg-type]
        self._tell()
        self._thread.start()

    # For the work ----------------------------------------------------------------------------------------------

    def advance(self, done: int, total: int, sentence: str) -> None:
        """Says how far the work is; watchers are called on this thread."""
        now = time.monotonic()
        if self._began is None and done:
            self._began = now
        if total != self.total:
            self._pace = Pace()  # another stage of the work: what its steps take says nothing about this one
        self._pace.note(now, done)
        self.done, self.total, self.sentence = done, total, sentence
        for watch in tuple(self._watchers):
            watch(done, total, sentence)
        self._tell()

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
    def state(self) -> State:
        """How the job stands: running, cancelling (the step under way still ends), done, cancelled or failed."""
        if not self.finished:
            return "cancelling" if self.cancelled else "running"
        if self.cancelled and (self._error is not None or not self.total or self.done < self.total):
            return "cancelled"
        return "done" if self._error is None else "failed"

    @property
    def rate(self) -> float:
        """Samples a second: over the last seconds while it runs, over all of it in the end; 0 before there are any.

        0 as well while it does not count samples.
        """
        if not self.counts:
            return 0.0
        if self._ended is None:
            return self._pace.rate(time.monotonic())
        return self.done / max(self._ended - self._began, 1e-3) if self._began is not None else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until it is done, at the rate of the last ones; None while nobody can know, 0 in the end."""
        if self.finished:
            return 0.0
        rate = self._pace.rate(time.monotonic())
        return max(self.total - self.done, 0) / rate if rate and self.total else None

    @property
    def error(self) -> BaseException | None:
        """What ended it, if something did; `result()` raises it."""
        return self._error

    def said(self) -> str:
        """What came of it, in a sentence: its result, be it of a part, or else its error."""
        if self.finished and self._error is None and self._result is not None:
            return repr(self._result)
        return repr(self)

    def watch(self, progress: Progress) -> None:
        """Calls `progress(done, total, sentence)` at each step, on the job's thread."""
        self._watchers.append(progress)

    def watched(self, progress: Progress | None) -> Self:
        """The job, for who does not wait for it: `progress` is called as `watch` says, where there is one."""
        if progress is not None:
            self.watch(progress)
        return self

    def follow(self, listener: Listener) -> None:
        """Calls `listener(job)` whenever something about it changes, its end included; see `listen`."""
        self._followers.append(listener)

    def cancel(self) -> None:
        """Stops after the step that is under way. What was committed stays; a job that has ended stays as it is."""
        if self.finished:
            return
        self._cancelled.set()
        for close in tuple(self._closers):
            close()
        self._tell()

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
        counted = f"{self.done:,} of {self.total:,}" if self.counts else f"{self.done / max(self.total, 1):.0%}"
        part = counted if self.total else "starting"
        state = self.state
        if state == "cancelling":
            return f"{self.verb}: {part}. The step under way still ends; then it is cancelled."
        if state == "running":
            speed = f", {spoken_rate(self.rate)}" if self.rate else ""
            left = f", {spoken_time(self.left_s)} left" if self.left_s is not None else ""
            return f"{self.verb}: {part}{speed}{left}. {self.sentence}. job.cancel() stops it."
        part = part if self.total else "the start"
        if state == "failed":
            return f"{self.verb}: failed at {part}. {self._error}"
        return f"{self.verb}: cancelled at {part}." if state == "cancelled" else f"{self.verb}: done, {part}."

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """What a notebook shows: a bar with a button where widgets can be had, else the sentence."""
        shown = None
        if show is not None:
            try:
                shown = show(self)
            except Exception:
                # The job is what people came for; a bar that cannot be made must not cost it.
                _log.debug("no bar for %s", self.verb, exc_info=True)
        return {**(shown or {}), "text/plain": repr(self)}

    def _tell(self) -> None:
        """Lets those who listen to the owner know that something about this job has changed."""
        owner = self._owner()
        listening = _listeners.get(owner, []) if owner is not None else []
        for listener in (*self._followers, *listening):
            try:
                listener(self)
            except Exception:
                _log.exception("a listener failed on %s", self.verb)

    def _run(self, work: Callable[[Job[Result]], Result]) -> None:
        try:
            self._result = work(self)
        except BaseException as error:
            self._error = error
        finally:
            self._ended = time.monotonic()
            with _lock:
                _running.discard(self)  # type: ignore[arg-type]
            self._closers.clear()  # a job is kept to be looked at, the process that computed need not be
            self._finished.set()
            self._tell()


class Pace:
    """How quick something goes: from the steps of the last seconds, so that a slow start or a pause is soon forgotten.

    Times are in seconds of any clock that only goes forward.
    """

    WINDOW_S = 8.0
    # A first impression from less than that would jump about.
    LEAST_S = 0.5
    _EVERY_S = 0.1

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()
        self._last: tuple[float, int] | None = None
        self._lock = threading.Lock()

    def note(self, now: float, done: int) -> None:
        """So much is done now."""
        with self._lock:
            steps = self._steps
            if self._last is not None and done < self._last[1]:
                steps.clear()
            if len(steps) == 1 and done == steps[0][1]:
                steps.clear()  # loading and the like: the clock starts with the work
            self._last = (now, done)
            if not steps or now - steps[-1][0] >= self._EVERY_S:
                steps.append(self._last)
            while len(steps) > 2 and now - steps[1][0] >= self.WINDOW_S:
                steps.popleft()

    def rate(self, now: float) -> float:
        """Things a second; 0 while too little is known."""
        with self._lock:
            steps, last = tuple(self._steps), self._last
        if last is None:
            return 0.0
        (then, before), (until, done) = steps[0], last
        seconds = until - then
        if seconds < self.LEAST_S or done <= before:
            return 0.0
        # Between two steps nothing is late; when the next one stays away longer than any other did, it has slowed down.
        longest = max((after[0] - step[0] for step, after in pairwise(steps)), default=seconds)
        late = now - until - max(longest, self.LEAST_S)
        return (done - before) / (seconds + max(late, 0.0))


def spoken_rate(rate: float) -> str:
    """For people: 1,204 a second, 0.3 a second."""
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second"


def spoken_time(seconds: float | None) -> str:
    """For people: 12 s, 3 min, 1.5 h."""
    if seconds is None:
        return "some time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def listen(owner: object, listener: Listener) -> Callable[[], None]:
    """Calls `listener(job)` whenever a job of this database begins, takes a step, is cancelled or ends.

    It is called on the job's thread, or on the one that cancels, so it should be quick.

    Returns:
        what ends it.
    """
    with _lock:
        _listeners[owner] = [*_listeners.get(owner, ()), listener]

    def end() -> None:
        with _lock:
            remaining = [other for other in _listeners.get(owner, ()) if other is not listener]
            if remaining:
                _listeners[owner] = remaining
            else:
                _listeners.pop(owner, None)

    return end


def running(owner: object) -> list[Job[object]]:
    """The jobs that work on this database now."""
    with _lock:
        jobs = list(_running)
    return [job for job in jobs if job._owner() is owner and not job.finished]


def end_all(owner: object, timeout_s: float = 30) -> None:
    """Cancels the jobs of a database and waits for them: call it before closing the database."""
    jobs = [job for job in running(owner) if job._thread is not threading.current_thread()]
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.wait(timeout_s)
