"""What the hub and the panels of one session share: coded columns, points, orders, counts, and the armed action."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dataide.core.codes import Codes
from dataide.core.facet_counts import FacetCounts
from dataide.core.order import Orders
from dataide.core.points import Places

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.storage.thumbnails import Thumbnails

    from .vocabulary import Armed


class Configurable(Protocol):
    """A panel that keeps what the user chose in it."""

    def configure(self, name: str, value: str | float | bool | None) -> None: ...


class Workspace:
    """The services behind all operations of one session."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.database = context.database
        self.selection = context.selection
        self.filter = context.filter
        self.journal = context.journal
        self.changes = context.changes
        self.codes = Codes(context.database)
        self.places = Places(context.database, self.codes)
        self.orders = Orders(context.database, self.codes, context.filter, context.selection, context.changes)
        self.counts = FacetCounts(self.codes, context.filter, context.selection)
        self.panels: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._armed: Armed | None = None
        self._lock = threading.Lock()
        self._of_revision: tuple[int, dict[str, Any]] = (-1, {})
        self._visible: tuple[tuple[int, int], int] = ((-1, -1), 0)

    @property
    def thumbnails(self) -> Thumbnails:
        return self.context.thumbnails

    @property
    def armed(self) -> Armed | None:
        """What every gesture does at once, or None."""
        return self._armed

    def arm(self, armed: Armed | None) -> None:
        """Arms or disarms an action, for all panels of the session."""
        self._armed = armed
        self.changes.notify("armed")

    def visible_count(self) -> int:
        """How many samples pass the filter."""
        key = (self.database.revision, self.filter.version)
        known = self._visible
        if known[0] != key:
            known = self._visible = (key, int(np.count_nonzero(self.filter.mask())))
        return known[1]

    def kept(self, revision: int) -> dict[str, Any]:
        """A place for what holds as long as the data stay the same."""
        with self._lock:
            if self._of_revision[0] != revision:
                self._of_revision = (revision, {})
            return self._of_revision[1]
