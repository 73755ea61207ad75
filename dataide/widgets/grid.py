"""The grid panel: pictures in the session's order. Its twin is js/panels/grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dataide.core.order import Sort
from dataide.core.predicate import column_named

from .answers import pages
from .dialogue import Reply
from .hub import Hub
from .panel import Panel

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View

FIRST_TILES = 120
FIRST_TILES_WITHIN_S = 0.25
TILE_PX = 96
HEIGHT_PX = 480


class Grid(Panel):
    """Tiles that pass the filter, in the session's order.

    Args:
        context: of the session.
        tile_px: width of a tile.
        caption: a column whose value stands under each tile.
        sort: a column; "-column" begins with the highest; "issues" with the most severe issues, "issues:label" with
            those of one kind. It holds for every grid of the session.
        group: a column of categories; each value gets a heading, the most frequent first. For every grid likewise.
        height: of the panel, in px.

    Raises:
        UnknownColumn: there is no such column.
        ActionError: the grid cannot be grouped by this column, or this kind of issue was not looked for.
    """

    name = "grid"

    def __init__(
        self,
        context: Context,
        *,
        tile_px: int = TILE_PX,
        caption: str | None = None,
        sort: str | None = None,
        group: str | None = None,
        height: int = HEIGHT_PX,
        **more: Any,
    ) -> None:
        if sort is not None:
            Hub.of(context).workspace.orders.set_sort(_sort(sort, context.database.columns()))
        if group is not None:
            Hub.of(context).workspace.orders.set_group(column_named(group, context.database.columns()))
        super().__init__(context, {"tile_px": int(tile_px), "caption": caption, "height_px": height, **more})

    @property
    def view(self) -> View:
        """The samples of the grid, in its order."""
        sort, group = self.workspace.orders.sort, self.workspace.orders.group
        view = super().view
        if group is not None:
            return view.ranked(self.workspace.orders.current().nos, f"grouped by {group}")
        if sort.by == "column" and sort.column is not None:
            return view.order_by(sort.column, descending=sort.descending)
        if sort.by != "added" or sort.descending:
            return view.ranked(self.workspace.orders.current().nos, f"by {_said(sort)}")
        return view

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """The first screenful, with as many thumbnails as can be had at once."""
        ask = pages.first(FIRST_TILES, int(self.config["tile_px"]), self.config["caption"])
        yield "page", {**ask}, pages.page(self.workspace, ask, within_s=FIRST_TILES_WITHIN_S)

    def picture(self) -> Image | None:
        """A contact sheet of the first tiles."""
        from .snapshot import contact_sheet

        return contact_sheet(self.workspace)


def _said(sort: Sort) -> str:
    if sort.by == "issue":
        return f"severity of {(sort.kind or 'all').replace('_', ' ')} issues"
    return sort.label or "arrival"


def _sort(given: str, columns: dict[str, str]) -> Sort:
    descending = given.startswith("-") and given not in columns
    name, _, kind = given.removeprefix("-").partition(":")
    if name == "issues" and given not in columns:  # no column may have this name
        return Sort("issue", kind=kind or None, descending=descending)
    return Sort("column", column=column_named(given[1:] if descending else given, columns), descending=descending)
