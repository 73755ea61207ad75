"""The autotag panel, and the taggers that show it. The panel's twin is js/panels/autotag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.find import object_tagging, tagging
from dataide.storage import marks, object_marks

from .panel import Panel
from .snapshot import labelled_sheet, tiles_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View
    from dataide.find.tag_rounds import Round
    from dataide.storage.marks import Marks

HEIGHT_PX = 560
TILE_PX = 96
# A crop has something around it, and is seldom square: smaller tiles show too little of it.
CROP_TILE_PX = 104
# Of each kind in the picture for a saved notebook: two rows of tiles.
MOST_IN_ROW = 20
# Crops are cut from whole pictures, which may be large: one row of them.
MOST_CROPS_IN_ROW = 10
SHEET_PX = 64


class Shown(tagging.Tagging[Any]):
    """What a tagger of either kind adds for its panel."""

    _panel: AutotagPanel | None = None

    def panel(self, *, height: int = HEIGHT_PX, **options: Any) -> AutotagPanel:
        """The panel: tiles to mark, a histogram with the threshold, and the button that commits.

        Args:
            height: of the panel, in px.
            **options: show="ask" (what to judge next), "best" (the likeliest first) or "near" (around the threshold);
                tile_px=.
        """
        return AutotagPanel(self.context, tagger=self, height=height, **options)

    def threshold_of(self, of: Round[Any]) -> float:
        """The threshold that was set, else the best one of a round, without making another."""
        return of.best.threshold if self._threshold is None else self._threshold

    def since(self, of: Marks) -> int:
        """How many of the marks are not what the latest round was made by."""
        latest = self.latest
        known: dict[int, bool] = {} if latest is None else dict(latest.marked)
        now: dict[int, bool] = dict(zip(of.nos.tolist(), of.positive.tolist(), strict=True))
        changed = sum(1 for no, sign in now.items() if known.get(no) != sign)
        return changed + sum(1 for no in known if no not in now)

    def committed_from(self) -> float | None:
        """The threshold of the commit that stands; None for none."""
        before = self._committed()
        return None if before is None else before.threshold

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if self.context.database.closed:
            return {"text/plain": repr(self)}, {}
        self._panel = self.panel()  # held, or the widget would end before the page has asked for it
        return self._panel._repr_mimebundle_(**kwargs)


class Tagger(Shown, tagging.Tagger):
    """A tag that is learned from marks: `session.autotag("flower")`; in a notebook it shows as a panel."""

    def having(self) -> NDArray[np.uint32]:
        """Numbers of the samples that have the tag."""
        return marks.with_tag(self.context.database, self.tag)

    def count_having(self) -> int:
        """How many samples have the tag."""
        return marks.tagged(self.context.database, self.tag)


class ObjectTagger(Shown, object_tagging.ObjectTagger):
    """Labels of objects that are learned from marks: `session.objects.autotag("wheel")`, a panel of crops likewise."""

    def having(self) -> NDArray[np.uint32]:
        """Numbers of the objects that have the label which a commit gives."""
        return self._all().label(self.label).nos()

    def count_having(self) -> int:
        """How many objects have the label which a commit gives."""
        return object_marks.labelled(self.context.database, self.label)


class AutotagPanel(Panel):
    """Tiles to mark, what a threshold would give, and the commit.

    Args:
        context: of the session.
        tagger: of the tag, of samples or of objects.
        show: "ask", "best" or "near".
        tile_px: width of a tile; by default 96, and 104 for crops of objects.
        height: of the panel, in px.
    """

    name = "autotag"

    def __init__(
        self, context: Context, *, tagger: Shown, show: str = "ask", tile_px: int | None = None, height: int = HEIGHT_PX
    ) -> None:
        self.tagger = tagger
        config: dict[str, Any] = {"tag": tagger.tag, "show": show}
        if isinstance(tagger, ObjectTagger):
            config |= {"of": "objects", "view": tagger.token, "among": tagger.view.sentence}
        px = tile_px or (CROP_TILE_PX if isinstance(tagger, ObjectTagger) else TILE_PX)
        super().__init__(context, config | {"tile_px": int(px), "height_px": height})
        tagger.warm()  # so that the first round is as quick as the others

    @property
    def view(self) -> View:
        """All that was scored, the likeliest first; before the first round what passes the filter.

        Of objects: the samples that they are on.
        """
        latest = self.tagger.latest
        if isinstance(self.tagger, ObjectTagger):
            return (self.tagger.view if latest is None else latest.view).samples()
        return super().view if latest is None else latest.view

    def sentence(self) -> str:
        """The tag, its marks and the round."""
        return self.tagger.sentence()

    def picture(self) -> Image | None:
        """A contact sheet of what is marked, and of the likeliest that is not."""
        of, latest = self.tagger.marks, self.tagger.latest
        rows = [(f"+ {self.tagger.tag}", of.positives), ("not", of.negatives)]
        if latest is not None:
            best = latest.nos[latest.order[: len(of.nos) + MOST_IN_ROW]]
            rows.append(("best", best[~np.isin(best, of.nos)]))
        return labelled_sheet([(said, self._tiles(nos)) for said, nos in rows])

    def _tiles(self, nos: NDArray[np.uint32]) -> list[bytes | None]:
        """The first few of these as small pictures, encoded; None where there is none."""
        if not isinstance(self.tagger, ObjectTagger):
            return tiles_of(self.workspace.thumbnails, nos[:MOST_IN_ROW].tolist())
        from .answers.object_tiles import cards, crops

        shown = cards(self.workspace, nos[:MOST_CROPS_IN_ROW].tolist())
        return [one.data or None for one in crops(self.workspace, shown, SHEET_PX)]
