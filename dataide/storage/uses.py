"""Which threads are reading the session file now: closing it must not take a connection from under a query."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)
_PATIENCE_S = 10.0
_REPEAT_S = 0.02


class Uses:
    """Counts what each thread is doing with the file."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._threads: Counter[int] = Counter()

    @contextmanager
    def one(self, check_open: Callable[[], None]) -> Iterator[None]:
        """A use by the calling thread; `check_open` raises where it comes too late."""
        me = threading.get_ident()
        with self._condition:
            check_open()
            self._threads[me] += 1
        try:
            yield
        finally:
            with self._condition:
                self._threads[me] -= 1
                if not self._threads[me]:
                    del self._threads[me]
                    self._condition.notify_all()

    def end(self, interrupt: Callable[[], None]) -> None:
        """Interrupts what other threads do, and waits until they have stopped. Call it when no new use can begin."""
        me = threading.get_ident()
        until = time.monotonic() + _PATIENCE_S
        with self._condition:
            while any(thread != me for thread in self._threads):
                if time.monotonic() > until:
                    _log.warning("a thread has not stopped reading the session file within %g s", _PATIENCE_S)
                    return
                # Again and again: a thread may have been between two of its queries.
                interrupt()
                self._condition.wait(_REPEAT_S)
