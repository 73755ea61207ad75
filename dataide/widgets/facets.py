"""The facets panel: counts of each column, crossfiltered. Its twin is js/panels/facets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .answers import counts
from .dialogue import Reply
from .panel import Panel
from .protocol import FacetsAsk

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context

BARS = 24
HEIGHT_PX = 560


class Facets(Panel):
    """Bars of categories and histograms of numbers and times.

    Args:
        context: of the session.
        columns: which ones; None for all that tell samples apart.
        height: of the panel, in px.

    Raises:
        UnknownColumn: there is no such column.
    """

    name = "facets"

    def __init__(
        self, context: Context, *, columns: Sequence[str] | None = None, height: int = HEIGHT_PX, **more: Any
    ) -> None:
        named = None if columns is None else [columns] if isinstance(columns, str) else list(columns)
        super().__init__(context, {"columns": named, "bars": BARS, "height_px": height, **more})

    def check_choice(self, name: str, value: object) -> None:
        """Refuses columns that there are not."""
        super().check_choice(name, value)
        if name == "columns" and isinstance(value, list):
            for column in value:
                self.column(column)

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """The counts of all columns shown."""
        ask: FacetsAsk = {"columns": self.config["columns"], "bars": BARS}
        yield "facets", {**ask}, counts.facets(self.workspace, ask)

    def picture(self) -> Image | None:
        """The first few facets."""
        from .snapshot import facets

        return facets(self.workspace, self.config["columns"])
