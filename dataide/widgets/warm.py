"""Gets ready for the first panel, behind the scenes: in a notebook it comes a moment after the session was opened."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from dataide.errors import DataideError

if TYPE_CHECKING:
    from dataide.core.context import Context

    from .workspace import Workspace

_log = logging.getLogger(__name__)
_PATIENCE_S = 5.0


def in_notebook() -> bool:
    """Whether this Python is a Jupyter kernel; nothing is imported to find out."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return getattr(shell, "kernel", None) is not None


def warm_up(context: Context) -> None:
    """Loads the panels' code and what every first answer needs, on a thread that ends with the session."""
    thread = threading.Thread(target=_warm, args=(context,), name="dataide-warm", daemon=True)
    context.at_close(lambda: thread.join(_PATIENCE_S) if thread is not threading.current_thread() else None)
    thread.start()


def _warm(context: Context) -> None:
    from dataide.widgets import grid, scatter, snapshot  # noqa: F401  their code is what takes longest
    from dataide.widgets.answers.state import session_state
    from dataide.widgets.workspace import Workspace

    try:
        workspace = Workspace.of(context)
        session_state(workspace)
        if workspace.places.projections():
            # Not the whole order of the points: that takes both processors, and somebody is about to look.
            workspace.places.colorings.first("label", workspace.places.points(None))
            image = snapshot.scatter(workspace, None, "label")
            snapshot.encoded(snapshot.card("") if image is None else image)
        _first_pictures(workspace)
        if workspace.places.projections():
            colorings = workspace.places.colorings
            colorings.entries(colorings.get("label"), workspace.places.points(None))
    except DataideError as error:  # closed meanwhile, for one; the panel will say it
        _log.debug("not warmed up: %s", error)


def _first_pictures(workspace: Workspace) -> None:
    """Makes the thumbnails that a grid begins with, until a panel is there and asks for what it needs itself."""
    from dataide.storage.addresses import is_url
    from dataide.storage.rows import rows_of

    from .answers import pages
    from .grid import FIRST_TILES, FIRST_TILES_WITHIN_S, TILE_PX
    from .hub import NAME
    from .underway import answering

    nos = workspace.orders.current().part(0, FIRST_TILES).tolist()
    # What lies elsewhere is fetched when somebody looks at it.
    if any(is_url(media or "") for (media,) in rows_of(workspace.database, "media", nos).values()):
        return
    ask = pages.first(FIRST_TILES, TILE_PX, None)
    with answering(lambda: NAME in workspace.context.attached):
        pages.page(workspace, ask, within_s=FIRST_TILES_WITHIN_S)
