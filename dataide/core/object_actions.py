"""Decisions about objects of samples: add, move, relabel, delete. They go through the same journal as all others.

The journal acts on samples, so an action about objects names its objects itself and is carried out by `act`, which
finds their samples. Its event counts objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataide.core.actions import LONGEST_NAME, Action
from dataide.core.journal import Event
from dataide.errors import ActionError
from dataide.storage import masks, objects, objects_journal
from dataide.storage.object_tables import BOX
from dataide.storage.query import nos_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.core.journal import Journal
    from dataide.storage.database import Cursor, Database

VERBS = ("add_objects", "move_objects", "relabel_objects", "delete_objects")
# A mask that is moved is unpacked, a byte for each pixel.
MOST_PIXELS = 1 << 28
_NONE: Any = np.empty(0, np.uint32)


@dataclass(frozen=True, eq=False)
class ObjectAction(Action):
    """The base of what is done to objects.

    Attributes:
        objects: their numbers, each once.
    """

    objects: NDArray[np.uint32] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        numbers = np.asarray(self.objects)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise ActionError("Objects are named by their numbers, a list of whole ones.")
        if numbers.size and (int(numbers.min()) < 0 or int(numbers.max()) > 0xFFFFFFFF):
            raise ActionError("There is no object of that number.", hint="session.objects.nos() gives the numbers.")
        object.__setattr__(self, "objects", np.ascontiguousarray(numbers, np.uint32))

    def samples(self, database: Database) -> NDArray[np.uint32]:
        """The numbers of the samples whose objects change."""
        return objects_journal.samples_of(database, self.objects)


@dataclass(frozen=True, eq=False)
class RelabelObjects(ObjectAction):
    """Says what objects are; None takes the label away."""

    verb: ClassVar[str] = "relabel_objects"
    label: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label is not None:
            object.__setattr__(self, "label", checked_label(self.label))

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        with objects_journal.targeted(cursor, self.objects):
            return objects_journal.relabel(cursor, event, self.label)

    def arguments(self) -> dict[str, Any]:
        return {"label": self.label}

    def done(self, count: int) -> str:
        if self.label is None:
            return f"Took the label from {things(count)}"
        return f"Relabelled {things(count)} “{self.label}”"

    def nothing(self, count: int) -> str:
        what = "had no label" if self.label is None else f"had the label “{self.label}”"
        return f"Nothing changed: {_all(len(self.objects))} {what} already, or {_were(len(self.objects))} deleted"


@dataclass(frozen=True, eq=False)
class DeleteObjects(ObjectAction):
    """Takes objects away. Their rows and numbers are kept, for undo."""

    verb: ClassVar[str] = "delete_objects"

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        with objects_journal.targeted(cursor, self.objects):
            return objects_journal.remove(cursor, event)

    def done(self, count: int) -> str:
        return f"Deleted {things(count)}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {_all(len(self.objects))} {_were(len(self.objects))} deleted already"


@dataclass(frozen=True, eq=False)
class MoveObjects(ObjectAction):
    """Gives each object another box; outlines, mask and keypoints go with it, stretched as the box is.

    Attributes:
        boxes: left, top, width, height in px of the upright picture, shape (objects, 4).
    """

    verb: ClassVar[str] = "move_objects"
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            boxes = np.asarray(self.boxes, np.float64)
        except (TypeError, ValueError):
            boxes = np.empty(0)
        if boxes.shape != (len(self.objects), 4):
            raise ActionError(
                f"There are {things(len(self.objects))}, and boxes of shape {boxes.shape}.",
                hint="Give left, top, width, height in px for each: .move([[10, 20, 64, 48]])",
            )
        if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
            raise ActionError(
                "A box needs a place, and a width and height above 0 px.", hint="Give [left, top, width, height]."
            )
        if len(np.unique(self.objects)) < len(self.objects):
            raise ActionError("An object was given two places.")
        object.__setattr__(self, "boxes", boxes)

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        wanted = {int(no): tuple(box.tolist()) for no, box in zip(self.objects, self.boxes, strict=True)}
        with objects_journal.targeted(cursor, self.objects):
            found = objects_journal.places(cursor)
            moved: dict[int, str] = {}
            for place in found:
                box = wanted[place["object_no"]]
                if box != tuple(place[name] for name in BOX):
                    moved[place["object_no"]] = json.dumps(_moved(place, box))
            return objects_journal.move(cursor, event, list(moved), list(moved.values())) if moved else 0

    @staticmethod
    def moved(place: Mapping[str, Any], box: Sequence[float]) -> dict[str, Any]:
        """All that moves with an object into a box, as values of JSON."""
        return _moved(place, box)

    def arguments(self) -> dict[str, Any]:
        return {"boxes": self.boxes.tolist()} if len(self.boxes) == 1 else {}

    def done(self, count: int) -> str:
        return f"Moved {things(count)}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {_all(len(self.objects))} {_were(len(self.objects))} there already, or deleted"


@dataclass(frozen=True, eq=False)
class AddObjects(ObjectAction):
    """Puts new objects on samples, as a person does by drawing them.

    Attributes:
        lot: the objects, with `sample_id` or `sample_no`, as `storage.objects.Lot` says.
    """

    verb: ClassVar[str] = "add_objects"
    lot: objects.Lot | None = None

    def samples(self, database: Database) -> NDArray[np.uint32]:
        table = _table(self.lot)
        if "sample_no" in table.column_names:
            return np.unique(np.asarray(table.column("sample_no").to_pylist(), np.uint32))
        nos, missing = nos_of(database, sorted({str(one) for one in table.column("sample_id").to_pylist()}))
        if missing:
            raise ActionError(
                f"There is no sample {missing[0]!r} to put an object on.",
                hint="session.take(5).ids() shows what ids look like.",
            )
        return np.unique(nos)

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        lot = self.lot
        assert lot is not None
        if not lot.id_stem:
            lot.id_stem = f"drawn-{event}-"
        work = objects.Insertion(cursor, source="objects", on_conflict="error")
        try:
            work.take(lot)
        except objects.Taken as taken:
            raise ActionError(
                f"There is an object {taken.object_id!r} already, or there was.", hint="Give another object_id."
            ) from None
        work.settle()
        done = work.done()
        return objects_journal.added(cursor, event, done.first, done.added) if done.added else 0

    def done(self, count: int) -> str:
        return f"Added {things(count)}"

    def nothing(self, count: int) -> str:
        return "Nothing changed: there were no objects to add"


def act(journal: Journal, action: ObjectAction, *, uuid: str | None = None, target: str = "") -> Event:
    """Carries out one decision about objects in one transaction; `Journal.act` tells more.

    Raises:
        ActionError: the action does not fit, or a sample of it is not there.
    """
    adds = isinstance(action, AddObjects)
    empty = not _table(action.lot).num_rows if isinstance(action, AddObjects) else not len(action.objects)
    if empty:
        return Event(None, 0, "Nothing changed: no objects were chosen", action.verb, uuid or "")
    said = target or ("new objects" if adds else things(len(action.objects)))
    return journal.act(action, action.samples(journal.database), uuid=uuid, target=said)


def from_wire(verb: str, arguments: Mapping[str, Any]) -> ObjectAction:
    """The action that a verb and its arguments name; in the journal the objects themselves stand in a table.

    Raises:
        ActionError: there is no such verb, or an argument is missing or of another kind.
    """
    numbers = np.asarray(arguments.get("objects", _NONE))
    numbers = numbers if numbers.size else _NONE
    match verb:
        case "relabel_objects":
            if "label" not in arguments:
                raise ActionError("The action relabel_objects needs label.")
            return RelabelObjects(numbers, arguments["label"])
        case "delete_objects":
            return DeleteObjects(numbers)
        case "move_objects":
            boxes = arguments.get("boxes", np.empty((0, 4))) if numbers.size else np.empty((0, 4))
            return MoveObjects(numbers, boxes)
        case "add_objects":
            return AddObjects(_NONE, None)
    raise ActionError(f"There is no action {verb!r} for objects.", hint=f"There are: {', '.join(VERBS)}.")


def things(count: int) -> str:
    """1 object, 10,000 objects."""
    return f"{count:,} object{'' if count == 1 else 's'}"


def _moved(place: Mapping[str, Any], box: Sequence[float]) -> dict[str, Any]:
    """All that moves, in its new place, as values of JSON."""
    before = [place[name] for name in BOX]
    whole = all(value is not None for value in before)
    known = whole and before[2] > 0 and before[3] > 0
    left, top = (before[0], before[1]) if whole else (box[0], box[1])
    across, down = (box[2] / before[2], box[3] / before[3]) if known else (1.0, 1.0)

    def x(value: float) -> float:
        return box[0] + (value - left) * across

    def y(value: float) -> float:
        return box[1] + (value - top) * down

    after: dict[str, Any] = dict(zip(BOX, box, strict=True))
    area, of_box = place["area_px"], box[2] * box[3]
    # Times a share, an area of the box would be the new one but for rounding.
    same = known and area is not None and area != before[2] * before[3]
    after["area_px"] = area * across * down if same else of_box
    after["polygons"] = place["polygons"] and [
        [x(value) if index % 2 == 0 else y(value) for index, value in enumerate(outline)]
        for outline in place["polygons"]
    ]
    after["keypoints"] = place["keypoints"] and [
        # A keypoint that is not labelled stands at 0, 0 and stays there.
        point if not point["visibility"] else {**point, "x_px": x(point["x_px"]), "y_px": y(point["y_px"])}
        for point in place["keypoints"]
    ]
    after["mask_runs"], after["mask_height_px"] = place["mask_runs"], place["mask_height_px"]
    if known and place["mask_runs"] and place["mask_height_px"]:
        total = sum(place["mask_runs"])
        if total > MOST_PIXELS or total % place["mask_height_px"]:
            raise ActionError(
                f"The mask of this object has {total:,} pixels, {place['mask_height_px']:,} to a column, and cannot be "
                "moved.",
                hint="Delete the object, and add one with another mask: session.objects.add({…}).",
            )
        mask = masks.decoded(np.asarray(place["mask_runs"]), place["mask_height_px"])
        runs = masks.encoded(masks.placed(mask, (before[0], before[1], before[2], before[3]), tuple(box)))  # type: ignore[arg-type]
        after["mask_runs"], after["area_px"] = runs.tolist(), float(masks.area(runs))
    return after


def nothing_to_add() -> ActionError:
    """The error about objects that were not given."""
    return ActionError(
        "There is no object to add.", hint="session.objects.add({'sample_id': …, 'bbox': [1, 2, 30, 40]})"
    )


def _table(lot: objects.Lot | None) -> pa.Table:
    if lot is None:
        raise nothing_to_add()
    return lot.table


def is_label(name: str) -> bool:
    """Whether somebody could give this label to an object."""
    return bool(name.strip()) and len(name) <= LONGEST_NAME and "\0" not in name


def checked_label(given: object) -> str:
    """A label that somebody gives to objects, without the spaces around it.

    Raises:
        ActionError: it is empty, too long, or has a character that no text has.
    """
    name = (given if isinstance(given, str) else str(given)).strip()
    if not is_label(name):
        raise ActionError(
            f"A label has 1 to {LONGEST_NAME} characters, and this has {len(name):,}."
            if "\0" not in name
            else "A label has no zero character.",
            hint="None takes the label away.",
        )
    return name


def _all(count: int) -> str:
    return "the object" if count == 1 else f"all {things(count)}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
