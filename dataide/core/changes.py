"""Who hears about changes of a session: panels, caches, and whoever else subscribes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
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

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Calls `callback(topic)` after each change, until the returned function is called."""
        with self._lock:
            self._callbacks.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return unsubscribe

    def notify(self, topic: Topic) -> None:
        """Tells every subscriber. What fails in one is logged and does not reach the others, nor the change itself."""
        if topic not in TOPICS:
            raise ValueError(f"{topic!r} is not one of the topics {', '.join(TOPICS)}")
        with self._lock:
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            try:
                callback(topic)
            except Exception:
                _log.exception("a subscriber failed on the topic %s", topic)
