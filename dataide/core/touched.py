"""Which columns have changed: a tag leaves a million prices as they were, so nobody need read them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataide.storage.database import Database

_OF_FIELD = {"tag": "tags", "queue": "queues"}
_EVENTS = "SELECT count(*), max(event_no) FROM data.event WHERE event_no > $since"
_LAST = "SELECT coalesce(max(event_no), 0) FROM data.event"
_FIELDS = """
    SELECT DISTINCT field FROM data.change
    WHERE event_no IN (SELECT unnest([event_no, refers_to]) FROM data.event WHERE event_no > $since)
"""


class Touched:
    """Compares the journal with the revision: where each new one is a decision, its changes say what it touched."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.revision = -1
        self._event = 0

    def since(self) -> frozenset[str] | None:
        """The columns and lists that changed since the last call; None when it could be any."""
        database = self._database
        revision, before = database.revision, self.revision
        if revision == before:
            return frozenset()
        since = {"since": self._event}
        with database.query(_EVENTS, since) as cursor:
            events, last = cursor.fetchone() or (0, None)
        self.revision = revision
        if before < 0 or events != revision - before:
            # An import, new columns or vectors: writes that are no decisions.
            with database.query(_LAST) as cursor:
                self._event = int((cursor.fetchone() or (0,))[0])
            return None
        self._event = int(last)
        with database.query(_FIELDS, since) as cursor:
            return frozenset(_OF_FIELD.get(field, field) for (field,) in cursor.fetchall())
