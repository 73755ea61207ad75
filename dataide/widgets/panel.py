"""What all panels have in common: the hub, a kernel-owned configuration, first answers, a picture for a saved file."""

from __future__ import annotations

import logging
import re
import uuid
from base64 import b64encode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from dataide.core.actions import samples
from dataide.core.codes import LISTS
from dataide.errors import ProtocolError, SessionClosed, unknown_column

from . import bundle
from .dialogue import Reply
from .hub import Boot, Hub
from .subshells import heard_while_busy

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View

_log = logging.getLogger(__name__)
MOST_CHOICES = 64
MOST_RECENT = 4
# The kinds of values that Python reads; what else a panel keeps is its own affair.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("height_px", "tile_px"), (int, float)),
    **dict.fromkeys(("color", "caption", "projection"), (str,)),
}


class HubTrait(anywidget.WidgetTrait):
    """A reference to the hub; None once the session is closed, when a reloaded page asks for the panel again."""

    def __init__(self) -> None:
        super().__init__()
        self.tag(sync=True, to_json=lambda hub, _: f"anywidget:{hub.model_id}" if hub and hub.comm else None)


class Panel(anywidget.AnyWidget):
    """One panel in one cell. All panels of a session are linked through its hub.

    Args:
        context: of the session.
        config: what the panel starts with.
    """

    name: ClassVar[str]

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    hub = HubTrait()
    panel_id = traitlets.Unicode().tag(sync=True)
    config = traitlets.Dict().tag(sync=True)
    boot = Boot()

    made: ClassVar[int] = 0

    def __init__(self, context: Context, config: dict[str, Any], **children: Any) -> None:
        type(self).made += 1
        self._number = self.made
        hub = Hub.of(context)
        self.context = context
        self.workspace = hub.workspace
        for choice, value in config.items():
            self.check_choice(choice, value)
        super().__init__(
            _esm=bundle.script(self.name),
            _css=bundle.style(self.name),
            hub=hub,
            panel_id=f"{self.name}-{uuid.uuid4().hex[:8]}",
            config=config,
            **children,
        )
        heard_while_busy(self.comm)
        self.workspace.panels[self.panel_id] = self

    # What a panel says for itself ------------------------------------------------------------------------------

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """Operation, question and answer of what the panel draws first; they travel with the widget."""
        return ()

    @property
    def is_recent(self) -> bool:
        """Whether first answers travel along: a page reload asks for all panels ever made, most of them replaced."""
        return self.made - self._number < MOST_RECENT

    def picture(self) -> Image | None:
        """What a saved notebook shows of the panel, where there is no kernel."""
        return None

    def sentence(self) -> str:
        """The panel in one line."""
        database = self.workspace.database
        said = f"{self.name.capitalize()} of {samples(database.sample_count)} in {database.path.name}"
        visible = self.workspace.visible_count()
        if self.workspace.filter.clauses:
            said += f", {visible:,} pass the filter"
        if self.workspace.selection.count:
            said += f", {self.workspace.selection.count:,} selected"
        return said

    @property
    def view(self) -> View:
        """The samples behind the panel, as a View: those that pass the filter."""
        view = self.context.view()
        for clause in self.workspace.filter.clauses:
            view = view.where(clause.sql)
        return view

    # What the browser may choose -------------------------------------------------------------------------------

    def configure(self, name: str, value: str | float | bool | None) -> None:
        """Keeps what the user chose in the browser.

        Raises:
            ProtocolError: the value is of another kind.
            UnknownColumn: it should name a column, and there is none.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or name in ("embedded", "columns", "no"):
            raise ProtocolError(f"A panel keeps nothing under the name {name!r}.")
        allowed = KINDS.get(name)
        if allowed is not None and value is not None and (isinstance(value, bool) or not isinstance(value, allowed)):
            raise ProtocolError(f"{name} of the {self.name} cannot be {value!r}.")
        if name not in self.config and len(self.config) >= MOST_CHOICES:
            raise ProtocolError("This panel keeps too many choices already.")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        self.check_choice(name, value)
        self.config = {**self.config, name: value}

    def check_choice(self, name: str, value: object) -> None:
        """Refuses a value that the panel could not use."""
        if name in ("color", "caption") and value is not None:
            self.column(str(value))

    def column(self, name: str) -> str:
        """The name of a column, or of one of the lists.

        Raises:
            UnknownColumn: there is none; the hint has the closest ones.
        """
        known = [*self.workspace.database.columns(), *LISTS]
        if name not in known:
            raise unknown_column(name, known)
        return name

    # Showing ---------------------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundled: tuple[dict[str, Any], dict[str, Any]] | None = super()._repr_mimebundle_(**kwargs)
        if bundled is None:
            return None
        data, metadata = bundled
        data["text/plain"] = repr(self)
        data["image/png"] = b64encode(self._png()).decode("ascii")
        return data, metadata

    def _png(self) -> bytes:
        """The picture, or, where there is nothing to show yet, a card with the sentence."""
        from .snapshot import card, encoded

        try:
            image = self.picture()
        except Exception:
            # The panel itself is what people came for; a missing picture must not cost it.
            _log.debug("no picture of the %s", self.name, exc_info=True)
            image = None
        return encoded(card(repr(self)) if image is None else image)

    def __repr__(self) -> str:
        closed = f"{self.name.capitalize()} of a closed session"
        if self.workspace.database.closed:
            return closed
        try:
            return self.sentence()
        except SessionClosed:
            return closed
