"""The scatter panel: a projection of the samples as points. Its twin is js/panels/scatter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dataide.errors import DataideError

from .answers import plot
from .dialogue import Reply
from .panel import Panel
from .protocol import MarksAsk
from .workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context

MOST_MARKS = 2_000_000
HEIGHT_PX = 480


class Scatter(Panel):
    """Points of a projection, coloured by a column.

    Args:
        context: of the session.
        color: a column, `tags` or `queues`; None for one colour.
        projection: its name; None for the newest.
        of: "samples", or "objects" for the newest map of objects: each point is an object.
        height: of the panel, in px.

    Raises:
        UnknownColumn: there is no such column.
        DataideError: there is no such projection.
    """

    name = "scatter"

    def __init__(
        self,
        context: Context,
        *,
        color: str | None = "label",
        projection: str | None = None,
        of: str = "samples",
        height: int = HEIGHT_PX,
        **more: Any,
    ) -> None:
        if of == "objects" and projection is None:
            maps = Workspace.of(context).places.object_maps()
            if not maps:
                raise DataideError(
                    "There is no map of objects yet.",
                    hint="Type session.objects.embed() and session.objects.project().",
                    code="no_points",
                )
            projection = maps[0].name
        elif of not in ("samples", "objects"):
            raise DataideError(f"A plot of {of!r} is not possible.", hint="Say of='samples' or of='objects'.")
        super().__init__(context, {"color": color, "projection": projection, "height_px": height, **more})

    def check_choice(self, name: str, value: object) -> None:
        """Refuses a projection that there is not, too."""
        super().check_choice(name, value)
        if name == "projection" and value is not None:
            self.workspace.places.find(str(value))

    @property
    def _has_map(self) -> bool:
        return bool(self.workspace.places.projections() or self.workspace.places.object_maps())

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """The first points, and which of all of them are selected and pass the filter."""
        ask = {"projection": self.config["projection"], "color": self.config["color"]}
        if not self._has_map:
            return
        yield "points", ask, plot.first_part(self.workspace, ask["projection"], ask["color"])
        # "none" and "all" cost nothing; which points it is travels along where there are not too many.
        workspace = self.workspace
        whole = not workspace.selection.count and workspace.visible_count() == workspace.database.sample_count
        placed = workspace.places.points(ask["projection"])
        if whole or (placed.total <= MOST_MARKS and placed.is_arranged):
            about: MarksAsk = {"projection": placed.projection}
            yield "marks", {**about}, plot.marks(workspace, about)

    def sentence(self) -> str:
        """The panel in one line; without a map also what makes one."""
        said = super().sentence()
        maps = {one.name: one for one in self.workspace.places.object_maps()}
        if self.config["projection"] in maps:
            count = maps[self.config["projection"]].count
            return f"{said}: a map of {count:,} object{'s' if count != 1 else ''}"
        if self._has_map:
            return said
        return f"{said}: no map yet, type session.embed() and session.project()"

    def picture(self) -> Image | None:
        """The points with their legend."""
        from .snapshot import scatter

        return scatter(self.workspace, self.config["projection"], self.config["color"])
