"""Pictures that could not be had when somebody looked at them, until they are written down.

Looking must not write: each write is a new revision, which every panel answers by asking again. So what went wrong is
kept here, and goes into the file when somebody asks for the problems, or at the end.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataide.errors import DataideError

if TYPE_CHECKING:
    from dataide.storage.database import Database

SOURCE = "fetch"


class Troubles:
    """What could not be fetched, each address once. Safe for threads.

    Args:
        database: the session's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._found: dict[str, tuple[str, str]] = {}
        self._mended: set[str] = set()
        self._listed: set[str] | None = None  # addresses that the file lists; read when first needed

    def note(self, ref: str, answer: bytes | DataideError) -> None:
        """Remembers how fetching one address ended."""
        if isinstance(answer, DataideError):
            # What an earlier failure said is as true, and says more than “did not answer a moment ago”.
            with self._lock:
                self._mended.discard(ref)
                self._found.setdefault(ref, (answer.code, str(answer)))
            return
        if not self._found and self._listed is None and not self._any_listed():
            return
        with self._lock:
            self._found.pop(ref, None)
            if self._listed and ref in self._listed:
                self._mended.add(ref)

    def settle(self) -> None:
        """Writes down what is new, and takes off the list what came after all."""
        with self._lock:
            found, mended = dict(self._found), set(self._mended)
        if self._database.read_only or self._database.closed or not (found or mended):
            return
        listed = self._read_listed()
        fresh = [(SOURCE, ref, *why) for ref, why in found.items() if ref not in listed]
        gone = [(SOURCE, ref) for ref in mended if ref in listed]
        if fresh or gone:
            now = datetime.now(UTC)
            with self._database.write() as cursor:
                if gone:
                    cursor.executemany("DELETE FROM data.problem WHERE source = ? AND media = ?", gone)
                if fresh:
                    cursor.executemany(
                        "INSERT INTO data.problem (found_at, source, media, code, reason) VALUES (?, ?, ?, ?, ?)",
                        [(now, *row) for row in fresh],
                    )
        with self._lock:
            self._listed = (listed | found.keys()) - mended
            self._mended -= mended
            for ref in found:
                self._found.pop(ref, None)

    def _any_listed(self) -> bool:
        listed = self._read_listed()
        with self._lock:
            self._listed = listed
        return bool(listed)

    def _read_listed(self) -> set[str]:
        with self._database.query("SELECT media FROM data.problem WHERE source = ?", [SOURCE]) as cursor:
            return {str(media) for (media,) in cursor.fetchall()}
