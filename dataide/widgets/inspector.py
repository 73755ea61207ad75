"""The inspector panel: one sample in full, with its history. Its twin is js/panels/inspector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage.query import ids_of

from .answers import pages
from .dialogue import Reply
from .panel import Panel
from .protocol import InspectAsk

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View

PICTURE_PX = 1_024
HEIGHT_PX = 480


class Inspector(Panel):
    """One sample: its picture, everything known about it, and what was decided about it.

    Args:
        context: of the session.
        no: the number of the sample; None follows what the other panels inspect.
        height: of the panel, in px.
    """

    name = "inspector"

    def __init__(self, context: Context, *, no: int | None = None, height: int = HEIGHT_PX, **more: Any) -> None:
        super().__init__(context, {"no": no, "height_px": height, **more})

    @property
    def view(self) -> View:
        """The sample as a View."""
        no = self.config["no"]
        nos = np.array([] if no is None else [no], dtype=np.uint32)
        return self.context.view().among(nos, "in the inspector")

    def sentence(self) -> str:
        """The sample in one line."""
        no = self.config["no"]
        if no is None:
            return super().sentence()
        return f"Sample {ids_of(self.workspace.database, np.array([no], dtype=np.uint32))[0]} in {self.context.name}"

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """The sample, where one was named."""
        if self.config["no"] is not None:
            ask: InspectAsk = {"no": self.config["no"], "px": PICTURE_PX}
            yield "inspect", {**ask}, pages.inspect(self.workspace, ask)

    def picture(self) -> Image | None:
        """The picture of the sample with its boxes, where one was named."""
        from .object_picture import with_boxes
        from .snapshot import sample

        no = self.config["no"]
        image = None if no is None else sample(self.workspace, no)
        return None if image is None else with_boxes(self.workspace, no, image)
