"""The tagger of objects in a notebook: crops of what is marked, of the likeliest, and of what to judge next."""

from __future__ import annotations

import logging
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.object_views import ObjectView
from dataide.errors import DataideError
from dataide.find import object_tagging
from dataide.inference.crops import crop
from dataide.storage import pictures
from dataide.storage.object_tables import BOX

from .snapshot import card, encoded, labelled_sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_log = logging.getLogger(__name__)
MOST_IN_ROW = 10
# Crops are cut from whole pictures, which may be large: what is not there by then stays grey.
WITHIN_S = 2.0


class ObjectTagger(object_tagging.ObjectTagger):
    """Labels of objects that are learned from marks: `session.objects.autotag("wheel")`."""

    def picture(self) -> Image | None:
        """A sheet of crops: marked, likeliest of the latest round, and what that round would ask; None for none."""
        of, latest = self.marks, self.latest
        rows = [(f"+ {self.tag}", of.positives), ("not", of.negatives)]
        if latest is not None:
            best = latest.nos[latest.order[: len(of.nos) + MOST_IN_ROW]]
            rows.append(("best", best[~np.isin(best, of.nos)]))
            rows.append(("to judge next: tagger.ask()", latest.ask(MOST_IN_ROW)[0]))
        until = time.monotonic() + WITHIN_S
        shown = [(said, self._all().among(nos[:MOST_IN_ROW]), nos[:MOST_IN_ROW]) for said, nos in rows]
        return labelled_sheet([(said, self._crops(view, nos, until)) for said, view, nos in shown])

    def _crops(self, view: ObjectView, nos: NDArray[np.uint32], until: float) -> list[bytes | None]:
        """Crops of objects, encoded, in the order of their numbers; None where there is none."""
        found = view.arrays(["object_no", "sample_no", *BOX])
        row_of = {int(no): row for row, no in enumerate(found["object_no"].tolist())}
        boxes = np.stack([np.ma.filled(np.ma.asarray(found[side], np.float64), np.nan) for side in BOX], axis=1)
        there: list[bytes | None] = []
        for no in nos.tolist():
            row = row_of.get(no)
            late = time.monotonic() > until
            there.append(None if row is None or late else self._crop(int(found["sample_no"][row]), boxes[row]))
        return there

    def _crop(self, sample_no: int, box: NDArray[np.float64]) -> bytes | None:
        database = self.context.database
        with database.query("SELECT media FROM data.sample WHERE sample_no = ?", [sample_no]) as cursor:
            (media,) = cursor.fetchall()[0]
        if not media:
            return None
        try:
            return crop(pictures.decode(self.context.media.read(media)), box)
        except (DataideError, OSError):
            return None  # a picture that cannot be drawn costs its place in the sheet only

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        said = {"text/plain": repr(self)}
        if self.context.database.closed:
            return said
        try:
            image = self.picture()
        except DataideError:
            _log.debug("no picture of %r", self.tag, exc_info=True)
            image = None
        shown = encoded(card(repr(self)) if image is None else image)
        return said | {"image/png": b64encode(shown).decode("ascii")}
