"""The methods of a session about objects; `api.Session` has them all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from dataide.core import object_actions
from dataide.core.context import Context
from dataide.core.object_views import ObjectView, checked_rows

if TYPE_CHECKING:
    from dataide.core.journal import Event
    from dataide.formats.ingest import Conflict
    from dataide.formats.object_frame import BoxFormat, ObjectReport
    from dataide.formats.progress import Listener


class Objects(ObjectView):
    """The objects of a session, as `session.objects` gives them."""

    def add(self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, uuid: str | None = None) -> Event:
        """Adds objects as a decision: in the history, and undone by session.undo().

        Args:
            rows: one dict or several, with the columns of `session.add_objects`:
                {"sample_id": "a.jpg", "label": "dog", "bbox": [left, top, width, height]}.
            uuid: names this very decision; a repeat does nothing.

        Raises:
            ActionError: a sample is not there, or an object id is.
            ImportProblem: a row does not say where it is.
        """
        from dataide.formats.object_frame import Reader, taken_apart

        listed = checked_rows(rows)
        if not listed:
            raise object_actions.nothing_to_add()
        table, loose = taken_apart(listed)
        lot = Reader(table.schema.names, "sample_id", None, None, None, None, loose).lot(table, 0)
        lot.id_stem = ""  # the decision makes ids: the same box drawn twice is two objects
        return object_actions.act(self._context.journal, object_actions.AddObjects(lot=lot), uuid=uuid)

    def to_coco(self, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """These objects as COCO's JSON says them, with their images and categories; written to a file if one is named.

        Masks are written as compressed runs, except those of crowds. More in `dataide.formats.coco_writing`.
        """
        from dataide.formats.coco_writing import to_coco, write_coco

        return to_coco(self) if path is None else write_coco(self, path)


class ObjectWaysIn:
    """What brings objects into a session, and what shows them.

    Attributes:
        context: the session's.
    """

    context: Context

    @property
    def objects(self) -> Objects:
        """Boxes, masks and keypoints as a View: session.objects.where(label="dog").to_pandas()."""
        return Objects(self.context)

    def add_objects(
        self,
        frame: Any,
        *,
        sample_id: str = "sample_id",
        label: str | None = None,
        box: str | Sequence[str] | None = None,
        box_format: BoxFormat | None = None,
        on_conflict: Conflict = "skip",
        **options: Any,
    ) -> ObjectReport:
        """Adds an object per row of a frame; more in `dataide.formats.object_frame.add_objects`.

        Args:
            frame: the rows: pandas, Polars, Arrow, a DuckDB relation or a list of dicts. Columns that are not known
                become attributes.
            sample_id: the column that says on which sample the object is.
            label: the column of classes.
            box: four columns, or one of lists of four; by default found by their names.
            box_format: "xywh" (left, top, width, height), "xyxy" (left, top, right, bottom) or "cxcywh".
            on_conflict: what to do with object ids that are there: skip, replace or error.
            **options: progress=False for silence; object_id=, the column of ids; relative=True for shares of the
                picture.
        """
        from dataide.formats.object_frame import add_objects

        given = {"sample_id": sample_id, "label": label, "box": box, "box_format": box_format}
        return add_objects(self.context.database, frame, **given, on_conflict=on_conflict, **options)  # type: ignore[arg-type]

    def add_coco(
        self,
        annotations: str | os.PathLike[str] | Mapping[str, Any],
        *,
        images: str | os.PathLike[str] | None = None,
        missing_media: Literal["keep", "error"] = "keep",
        prefix: str = "",
        split: str | None = None,
        on_conflict: Conflict = "skip",
        progress: bool | Listener = True,
    ) -> ObjectReport:
        """Adds the objects of a COCO file, and images that are not there yet; see `dataide.formats.coco.add_coco`.

        Args:
            annotations: the JSON file, or what was read from it.
            images: the folder of the pictures; without it, images are matched with the samples that are there.
            missing_media: "keep" takes images without a picture as samples, "error" adds nothing.
            prefix: before the ids of objects: two files may number theirs alike.
            split: of new samples.
            on_conflict: what to do with object ids that are there: skip, replace or error.
            progress: False for silence.
        """
        from dataide.formats.coco import add_coco

        return add_coco(
            self.context.database, self.context.media, annotations, images=images, missing_media=missing_media,
            prefix=prefix, split=split, on_conflict=on_conflict, progress=progress,
        )  # fmt: skip
