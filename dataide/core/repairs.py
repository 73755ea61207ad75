"""Repairs of objects: what linters and detectors propose, done in one decision and taken back in one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataide.core.object_actions import MoveObjects, ObjectAction, is_label, things
from dataide.errors import ActionError
from dataide.storage import findings, issues, objects_journal, standing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor

VERB = "repair_objects"


@dataclass(frozen=True, eq=False)
class RepairObjects(ObjectAction):
    """Does to each object what was proposed for it: delete it, give it another box, or another label.

    Of several proposals for one object the first of a sort counts, and one that is deleted is not moved as well.

    Attributes:
        act: for each object "delete", "box" or "relabel".
        boxes: left, top, width, height in px, shape (objects, 4); NaN where no box is proposed.
        labels: the new label, "" where none is proposed.
    """

    verb: ClassVar[str] = VERB
    act: Sequence[str] = ()
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    labels: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.objects) == len(self.act) == len(self.boxes) == len(self.labels):
            raise ActionError("Each object needs what is to be done to it, a box and a label.")
        if unknown := set(self.act) - set(findings.ACTS):
            raise ActionError(
                f"There is no repair {sorted(unknown)[0]!r}.", hint=f"There are: {', '.join(findings.ACTS)}."
            )

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return mend(cursor, event, self.objects, self.act, self.boxes, self.labels)

    def done(self, count: int) -> str:
        return f"Repaired {things(count)}"

    def nothing(self, count: int) -> str:
        return "Nothing changed: what was proposed is so already, or the objects were deleted"


def accept(cursor: Cursor, event: int, kind: str) -> int:
    """Does what open issues of one kind propose for objects of the samples of `temp.target`; says of how many."""
    with standing.of_target(cursor, kind) as has_findings:
        if not has_findings:
            return 0
        found = findings.proposed(cursor)
        if not len(found["object_no"]):
            return 0
        acts, labels = ([str(one) for one in found[name].tolist()] for name in ("act", "label"))
        # In a file from elsewhere a proposal may be no label that anybody could give.
        kept = [at for at, act in enumerate(acts) if act != "relabel" or is_label(labels[at])]
        some = ([acts[at] for at in kept], found["box"][kept], [labels[at] for at in kept])
        count = mend(cursor, event, found["object_no"][kept], *some)
        if count:
            findings.answer(cursor, event, kind, issues.answer_sql())
        return count


def mend(
    cursor: Cursor,
    event: int,
    objects: NDArray[np.uint32],
    act: Sequence[str],
    boxes: NDArray[np.float64],
    labels: Sequence[str],
) -> int:
    """Carries repairs out, inside the caller's transaction; says how many objects changed."""
    kinds = np.asarray(act, object)
    each = np.unique(objects)
    gone = np.isin(each, objects[kinds == "delete"])
    kept = ~np.isin(objects, each[gone])
    named: list[str | None] = [None] * len(each)
    for row in _firsts(objects, kept & (kinds == "relabel")):
        named[np.searchsorted(each, objects[row])] = labels[row]
    places: list[str | None] = [None] * len(each)
    rows = _firsts(objects, kept & (kinds == "box"))
    if len(rows):
        action = MoveObjects(objects[rows], boxes[rows])  # which looks at what a box must be
        wanted = dict(zip(action.objects.tolist(), map(tuple, action.boxes.tolist()), strict=True))
        with objects_journal.targeted(cursor, action.objects):
            for place in objects_journal.places(cursor):
                no = place["object_no"]
                places[int(np.searchsorted(each, no))] = json.dumps(action.moved(place, wanted[no]))
    if len(each):
        findings.note(cursor, event, each, gone, named, places)
    return findings.settle(cursor, event)


def in_words(acts: Sequence[str]) -> str:
    """Delete 2 boxes, move 1, relabel 1: what is proposed for one sample; "" for nothing."""
    verbs = {"delete": "delete", "box": "move", "relabel": "relabel"}
    parts = [f"{said} {acts.count(act):,}" for act, said in verbs.items() if act in acts]
    if not parts:
        return ""
    noun = "box" if parts[0].endswith(" 1") else "boxes"
    return ", ".join([f"{parts[0]} {noun}", *parts[1:]])


def _firsts(objects: NDArray[np.uint32], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first row of each object among the chosen ones."""
    rows = np.flatnonzero(chosen)
    first: NDArray[np.int64] = rows[np.sort(np.unique(objects[rows], return_index=True)[1])]
    return first


def from_wire(verb: str, arguments: Mapping[str, Any]) -> RepairObjects | None:
    """The repair that the journal names, for its sentence; None for another verb."""
    return RepairObjects() if verb == VERB else None
