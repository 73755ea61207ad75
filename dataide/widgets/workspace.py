"""What the hub and the panels of one session share: coded columns, points, orders, counts, and the armed action."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from dataide.core.codes import Codes
from dataide.core.facet_counts import FacetCounts
from dataide.core.order import Orders
from dataide.core.points import Places
from dataide.core.touched import versions
from dataide.errors import UnknownSample

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.storage.thumbnails import Thumbnails

    from .vocabulary import Armed


Kept = TypeVar("Kept")


_NAME = "workspace"


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
        self.versions = versions(context.database)
        self._kept: dict[str, tuple[int, Any]] = {}
        self._visible: tuple[Any, int] = (None, 0)

    @classmethod
    def of(cls, context: Context) -> Workspace:
        """The one of this session."""
        with context.lock:
            known = context.attached.get(_NAME)
            if known is None:
                known = context.attached[_NAME] = cls(context)
            assert isinstance(known, Workspace)
            return known

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

    def sample_no(self, no: int) -> int:
        """A sample's number as a page says it, checked.

        Raises:
            UnknownSample: there is no such sample.
        """
        if not 0 <= no < self.database.sample_count:
            raise UnknownSample(f"There is no sample number {no}.", hint="The session has changed: reload the page.")
        return no

    def visible_count(self) -> int:
        """How many samples pass the filter."""
        mask = self.filter.mask()
        known = self._visible
        if known[0] is not mask:
            known = self._visible = (mask, int(np.count_nonzero(mask)))
        return known[1]

    def kept(self, name: str, version: int, make: Callable[[], Kept]) -> Kept:
        """What was made under this name for this version of the data; made now where it was not.

        Args:
            name: of what is kept.
            version: of what it depends on, asked before: see `core.touched.Versions`.
            make: makes it.
        """
        with self._lock:
            known = self._kept.get(name)
        if known is not None and known[0] == version:
            return cast("Kept", known[1])
        made = make()
        with self._lock:
            self._kept[name] = (version, made)
        return made
