"""Who hears about changes of a session: panels, caches, and whoever else subscribes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Topic = Literal["data", "selection", "filter", "sort", "armed", "schema", "progress"]
TOPICS: tuple[Topic, ...] = get_args(Topic)

Callback = Callable[[Topic], None]
_log = logging.getLogger(__name__)


class Changes:
    """Tells subscribers which part of the session has changed; they fetch the rest themselves.

    Callbacks run on the thread that made the change and hold no lock of the session: they should only take note.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callback] = []
        self._held = threading.local()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Calls `callback(topic)` after each change, until the returned function is called."""
        with self._lock:
            self._callbacks.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return unsubscribe

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tells of this thread's changes at the end, each topic once: nobody draws half of what is happening."""
        if getattr(self._held, "topics", None) is not None:
            yield
            return
        topics: dict[Topic, None] = {}
        self._held.topics = topics
        try:
            yield
        finally:
            self._held.topics = None
            for topic in topics:
                self.notify(topic)

    def notify(self, topic: Topic) -> None:
        """Tells every subscriber. What fails in one is logged and does not reach the others, nor the change itself."""
        if topic not in TOPICS:
            raise ValueError(f"{topic!r} is not one of the topics {', '.join(TOPICS)}")
        with self._lock:
            callbacks = tuple(self._callbacks)
        held: dict[Topic, None] | None = getattr(self._held, "topics", None)
        if held is not None:
            held[topic] = None
            return
        for callback in callbacks:
            try:
                callback(topic)
            except Exception:
                _log.exception("a subscriber failed on the topic %s", topic)
