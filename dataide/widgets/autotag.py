"""The autotag panel, and the tagger that shows it. The panel's twin is js/panels/autotag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.find import tagging

from .panel import Panel
from .snapshot import labelled_sheet, tiles_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View
    from dataide.storage.marks import Marks

HEIGHT_PX = 560
# Of each kind in the picture for a saved notebook: two rows of tiles.
MOST_IN_ROW = 20


class Tagger(tagging.Tagger):
    """A tag that is learned from marks: `session.autotag("flower")`; in a notebook it shows as a panel."""

    _panel: AutotagPanel | None = None

    def panel(self, *, height: int = HEIGHT_PX, **options: Any) -> AutotagPanel:
        """The panel: tiles to mark, a histogram with the threshold, and the button that commits.

        Args:
            height: of the panel, in px.
            **options: show="ask" (what to judge next), "best" (the likeliest first) or "near" (around the threshold);
                tile_px=.
        """
        return AutotagPanel(self.context, tagger=self, height=height, **options)

    def threshold_of(self, of: tagging.Round[View]) -> float:
        """The threshold that was set, else the best one of a round, without making another."""
        return of.best.threshold if self._threshold is None else self._threshold

    def since(self, of: Marks) -> int:
        """How many of the marks are not what the latest round was made by."""
        latest = self.latest
        known: dict[int, bool] = {} if latest is None else dict(latest.marked)
        now: dict[int, bool] = dict(zip(of.nos.tolist(), of.positive.tolist(), strict=True))
        changed = sum(1 for no, sign in now.items() if known.get(no) != sign)
        return changed + sum(1 for no in known if no not in now)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if self.context.database.closed:
            return {"text/plain": repr(self)}, {}
        self._panel = self.panel()  # held, or the widget would end before the page has asked for it
        return self._panel._repr_mimebundle_(**kwargs)


class AutotagPanel(Panel):
    """Tiles to mark, what a threshold would give, and the commit.

    Args:
        context: of the session.
        tagger: of the tag.
        show: "ask", "best" or "near".
        tile_px: width of a tile.
        height: of the panel, in px.
    """

    name = "autotag"

    def __init__(
        self, context: Context, *, tagger: Tagger, show: str = "ask", tile_px: int = 96, height: int = HEIGHT_PX
    ) -> None:
        self.tagger = tagger
        super().__init__(context, {"tag": tagger.tag, "show": show, "tile_px": int(tile_px), "height_px": height})
        tagger.warm()  # so that the first round is as quick as the others

    @property
    def view(self) -> View:
        """All that was scored, the likeliest first; before the first round what passes the filter."""
        latest = self.tagger.latest
        return super().view if latest is None else latest.view

    def sentence(self) -> str:
        """The tag, its marks and the round."""
        return self.tagger.sentence()

    def picture(self) -> Image | None:
        """A contact sheet of what is marked, and of the likeliest that is not."""
        of, latest = self.tagger.marks, self.tagger.latest
        rows = [(f"+ {self.tagger.tag}", of.positives), ("not", of.negatives)]
        if latest is not None:
            best = latest.nos[latest.order]
            rows.append(("best", best[~np.isin(best, of.nos)]))
        thumbnails = self.workspace.thumbnails
        return labelled_sheet([(said, tiles_of(thumbnails, nos[:MOST_IN_ROW].tolist())) for said, nos in rows])
