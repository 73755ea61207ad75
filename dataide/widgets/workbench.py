"""The workbench: facets, scatter, grid and inspector under one bar. Its twin is js/panels/workbench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anywidget

from .facets import Facets
from .grid import TILE_PX, Grid
from .inspector import Inspector
from .panel import Panel
from .scatter import Scatter

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View

HEIGHT_PX = 720


class Workbench(Panel):
    """All panels together; its own JavaScript lays them out.

    Args:
        context: of the session.
        color: of the scatter; a column, or None.
        projection: of the scatter; None for the newest.
        columns: of the facets; None for all that tell samples apart.
        tile_px: of the grid.
        caption: of the grid; a column.
        sort: of the grid; a column, "-column" begins with the highest; "issues" the most severe issues first.
        height: of the whole, in px.

    Raises:
        UnknownColumn: there is no such column.
    """

    name = "workbench"
    scatter = anywidget.WidgetTrait().tag(sync=True)
    grid = anywidget.WidgetTrait().tag(sync=True)
    facets = anywidget.WidgetTrait().tag(sync=True)
    inspector = anywidget.WidgetTrait().tag(sync=True)
    # Made when somebody first opens it.
    fix = anywidget.WidgetTrait().tag(sync=True)

    def __init__(
        self,
        context: Context,
        *,
        color: str | None = "label",
        projection: str | None = None,
        columns: Sequence[str] | None = None,
        tile_px: int = TILE_PX,
        caption: str | None = None,
        sort: str | None = None,
        height: int = HEIGHT_PX,
    ) -> None:
        super().__init__(
            context,
            {"height_px": height},
            scatter=Scatter(context, color=color, projection=projection, embedded=True),
            grid=Grid(context, tile_px=tile_px, caption=caption, sort=sort, embedded=True),
            facets=Facets(context, columns=columns, embedded=True),
            inspector=Inspector(context, embedded=True),
        )

    def configure(self, name: str, value: str | float | bool | None) -> None:
        """Keeps a choice; `fix` is the kind of issue whose panel lies over the grid, None closes it."""
        if name == "fix" and value is not None:
            if self.fix is None:
                from .fix import Fix

                self.fix = Fix(self.context, kind=str(value) or None, embedded=True)
            elif value:
                self.fix.configure("kind", value)
        super().configure(name, value)

    @property
    def view(self) -> View:
        """The samples of the grid, in its order."""
        return self.grid.view  # type: ignore[no-any-return]

    def picture(self) -> Image | None:
        """The panels side by side."""
        from .snapshot import side_by_side

        return side_by_side([self.facets.picture(), self.scatter.picture(), self.grid.picture()])
