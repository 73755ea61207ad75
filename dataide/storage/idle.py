"""Folding the write-ahead log into the file while nobody waits for it."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dataide.storage.database import Database

# DuckDB folds by itself when a commit brings the log to this size. At its own 16 MiB a decision about ten thousand
# labels waited 45 ms for that, and one about half a million 40 ms.
OWN_THRESHOLD = "256MiB"
WORTH_BYTES = 16 * 2**20
QUIET_S = 2.0
_log = logging.getLogger(__name__)


class IdleCheckpoint:
    """Folds the log of one database once it is long and nothing has been written for a while.

    Its thread lives only from such a commit to the folding, and keeps neither the database nor the interpreter alive.
    """

    def __init__(self, path: Path, *, worth_bytes: int = WORTH_BYTES, quiet_s: float = QUIET_S) -> None:
        self._log_path = f"{path}.wal"
        self._worth_bytes = worth_bytes
        self._quiet_s = quiet_s
        self._lock = threading.Lock()
        self._written = threading.Event()
        self._thread: threading.Thread | None = None

    def committed(self, database: Database) -> None:
        """Takes note of a commit; costs a look at the size of one file."""
        try:
            if os.stat(self._log_path).st_size < self._worth_bytes:
                return
        except OSError:
            return
        with self._lock:
            self._written.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._wait_and_fold, args=(weakref.ref(database),), name="dataide-checkpoint", daemon=True
                )
                self._thread.start()

    def _wait_and_fold(self, database: weakref.ref[Database]) -> None:
        while True:
            self._written.clear()
            if self._written.wait(self._quiet_s):
                continue  # still at work
            with self._lock:
                if self._written.is_set():
                    continue
                self._thread = None
            opened = database()
            if opened is not None and not opened.closed:
                try:
                    opened.fold_log()
                except Exception:
                    # Another query is running, or the session was closed just now. The next commit tries again.
                    _log.debug("the log was not folded", exc_info=True)
            return
