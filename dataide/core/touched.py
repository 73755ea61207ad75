"""Which columns have changed: a tag leaves a million prices as they were, so nobody need read them again."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataide.storage.database import Database

_OF_FIELD = {"tag": "tags", "queue": "queues"}
_EVENTS = "SELECT count(*), max(event_no) FROM data.event WHERE event_no > $since"
_LAST = "SELECT coalesce(max(event_no), 0) FROM data.event"
_FIELDS = """
    WITH news AS MATERIALIZED (
        SELECT unnest([event_no, refers_to]) AS event_no FROM data.event WHERE event_no > $since
    )
    SELECT field FROM data.alike WHERE event_no IN (FROM news)
    UNION SELECT field FROM data.change_each WHERE event_no IN (FROM news)
"""


class Touched:
    """Compares the journal with the revision: where each new one is a decision, its changes say what it touched."""

    def __init__(self, database: Database) -> None:
        self._database = weakref.ref(database)
        self.revision = -1
        self._event = 0

    def since(self) -> frozenset[str] | None:
        """The columns and lists that changed since the last call; None when it could be any."""
        database = self._database()
        if database is None:
            return None
        revision, before = database.revision, self.revision
        if revision == before:
            return frozenset()
        since = {"since": self._event}
        with database.query(_EVENTS, since) as cursor:
            events, last = cursor.fetchall()[0]
        if before < 0 or events != revision - before:
            # An import, new columns or vectors: writes that are no decisions.
            with database.query(_LAST) as cursor:
                self._event = int(cursor.fetchall()[0][0])
            self.revision = revision
            return None
        with database.query(_FIELDS, since) as cursor:
            fields = frozenset(_OF_FIELD.get(field, field) for (field,) in cursor.fetchall())
        self.revision, self._event = revision, int(last)
        # An issue about a label, or about objects, is none of others.
        return fields | {"issues"} if fields & {"label", "objects"} else fields


class Versions:
    """A number for each column that grows whenever its values may have changed. Safe on any thread.

    `tags`, `queues` and `issues` count as columns.
    """

    def __init__(self, database: Database) -> None:
        self._lock = threading.Lock()
        self._touched = Touched(database)
        self._oldest = 0
        self._of: dict[str, int] = {}

    def of(self, names: Iterable[str]) -> int:
        """The version of these columns together: the same number, the same values."""
        with self._lock:
            self._look()
            return max((self._of.get(name, self._oldest) for name in names), default=self._oldest)

    def all(self) -> int:
        """Grows with what is no decision: samples that came or were replaced, new columns, vectors, points."""
        with self._lock:
            self._look()
            return self._oldest

    def _look(self) -> None:
        touched = self._touched.since()
        if touched is None:
            self._of, self._oldest = {}, self._touched.revision
        elif touched:
            self._of.update(dict.fromkeys(touched, self._touched.revision))


_known: weakref.WeakKeyDictionary[Database, Versions] = weakref.WeakKeyDictionary()
_known_lock = threading.Lock()


def versions(database: Database) -> Versions:
    """The versions of one session's columns: one look at the journal serves all who ask."""
    with _known_lock:
        found = _known.get(database)
        if found is None:
            found = _known[database] = Versions(database)
        return found
