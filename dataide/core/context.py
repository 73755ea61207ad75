"""What belongs to one open session; views, actions, panels and the session itself share it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataide.core.changes import Changes
from dataide.core.filter import Filter
from dataide.core.journal import Journal
from dataide.core.selection import Selection
from dataide.core.view import View

if TYPE_CHECKING:
    from dataide.core.view import Step
    from dataide.storage.database import Database
    from dataide.storage.media import Media
    from dataide.storage.thumbnails import Thumbnails

_log = logging.getLogger(__name__)


@dataclass
class Context:
    """One per session.

    Attributes:
        database: the open session file.
        author: who decides, as the journal says it.
        allow: folders outside the session's own whose pictures may be read.
        view_type: what `view()` makes; the session's own kind of View.
        attached: what upper rooms keep for this session, by their own name (the hub of the panels, for one).
    """

    database: Database
    author: str
    allow: Sequence[Path] = ()
    view_type: type[View] = View
    attached: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.changes = Changes()
        self.journal = Journal(self.database, self.author)
        self.selection = Selection(self.database, self.changes)
        self.filter = Filter(self.database, self.changes)
        self._closing: list[Callable[[], None]] = []
        self.database.changed = lambda: self.changes.notify("data")
        self.database.schema_changed = lambda: self.changes.notify("schema")

    @cached_property
    def media(self) -> Media:
        """The bytes of the pictures."""
        from dataide.storage.media import Media

        return Media(self.database, self.allow)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        """Small pictures, made once."""
        from dataide.storage.thumbnails import Thumbnails

        return Thumbnails(self.database, self.media)

    @property
    def name(self) -> str:
        """The name of the session file."""
        return self.database.path.name

    def view(self, *steps: Step) -> View:
        """A View over everything, or with these steps."""
        return self.view_type(self, steps)

    def selected(self) -> View:
        """A View of what is selected whenever it is used."""
        return self.view().selected()

    def at_close(self, callback: Callable[[], None]) -> None:
        """Calls back before the session file is closed: worker threads end here."""
        with self.lock:
            self._closing.append(callback)

    def close(self) -> None:
        """Ends what was started for this session, then closes the file. Closing twice is harmless."""
        with self.lock:
            callbacks, self._closing = self._closing[::-1], []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("something did not end cleanly with the session")
        for part in ("thumbnails", "media"):
            made = self.__dict__.get(part)
            if made is not None and hasattr(made, "close"):
                made.close()
        self.database.close()
