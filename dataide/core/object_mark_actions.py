"""Decisions of autotag about objects: marks, and labels that a head gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np

from dataide.core.actions import Relabel, Tag
from dataide.core.object_actions import ObjectAction, things
from dataide.errors import ActionError
from dataide.storage import marks, models_used, object_marks, objects_journal
from dataide.storage.marks import Sign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor, Database

VERBS = ("mark_objects", object_marks.COMMIT)
_NONE: Any = np.empty(0, np.uint32)


@dataclass(frozen=True, eq=False)
class MarkObjects(ObjectAction):
    """Says of objects that they are what a tag says, that they are not, or takes that back; their labels stay.

    Attributes:
        tag: the word.
        sign: "positive", "negative" or "none".
        embedding: with which it is learned, so that the next day goes on with it.
        asked: numbers (uint32) of objects that were asked about.
    """

    verb: ClassVar[str] = "mark_objects"
    tag: str = ""
    sign: Sign = "none"
    embedding: str | None = None
    asked: NDArray[np.uint32] = field(default_factory=lambda: _NONE, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tag", Tag(self.tag).tag)
        if self.sign not in get_args(Sign):
            raise ActionError(f"There is no mark {self.sign!r}.", hint=f"There are: {', '.join(get_args(Sign))}.")

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        with objects_journal.targeted(cursor, self.objects):
            return object_marks.put(cursor, event, self.tag, self.sign, self.asked)

    def arguments(self) -> dict[str, Any]:
        said = {"tag": self.tag, "sign": self.sign}
        return said if self.embedding is None else said | {"embedding": self.embedding}

    def done(self, count: int) -> str:
        if self.sign == "none":
            return f"Took the mark “{self.tag}” from {things(count)}"
        return f"Marked {things(count)} as {'not ' if self.sign == 'negative' else ''}“{self.tag}”"

    def nothing(self, count: int) -> str:
        many = len(self.objects)
        if self.sign == "none":
            return f"Nothing changed: none of {things(many)} was marked for “{self.tag}”"
        kind = "not " if self.sign == "negative" else ""
        return f"Nothing changed: {things(many)} {'was' if many == 1 else 'were'} marked {kind}“{self.tag}” already"


@dataclass(frozen=True, eq=False)
class AutotagObjects(ObjectAction):
    """Labels the objects that a head takes, in place of those that an earlier one took.

    Attributes:
        tag, label: the word, and the label that is given.
        head, embedding, threshold, positives, negatives: by what: revision of the head, whose vectors, and marks.
        rest: numbers (uint32) of the objects that were scored and not taken; None in what the journal tells.
        state: the head as JSON holds it, which is kept among the models.
    """

    verb: ClassVar[str] = object_marks.COMMIT
    tag: str = ""
    label: str = ""
    head: str = ""
    embedding: str = ""
    threshold: float = 0.0
    positives: int = 0
    negatives: int = 0
    rest: NDArray[np.uint32] | None = field(default=None, repr=False)
    state: dict[str, Any] | None = field(default=None, repr=False)
    changed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "label", str(Relabel(self.label).label))

    def samples(self, database: Database) -> NDArray[np.uint32]:
        rest = _NONE if self.rest is None else self.rest
        return objects_journal.samples_of(database, np.concatenate([self.objects, rest]).astype(np.uint32))

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        if self.rest is None or self.state is None:
            raise ActionError(
                "Objects are labelled by their autotag.", hint=f"session.objects.autotag({self.tag!r}).commit()"
            )
        with objects_journal.targeted(cursor, self.objects):
            labelled, taken = object_marks.relabel(cursor, event, self.tag, self.label, self.rest)
        self.changed.update(labelled=labelled, taken_back=taken)
        if labelled + taken:
            details = {"task": "autotag", **self._lineage()}
            name, state = object_marks.model_name(self.tag), json.dumps(self.state).encode()
            models_used.note(cursor, name, marks.MODEL, self.head, details, state)
        return labelled + taken

    def arguments(self) -> dict[str, Any]:
        return {**self._lineage(), "head": self.head, **self.changed}

    def done(self, count: int) -> str:
        taken = self.changed.get("taken_back", 0)
        said = f"Autotagged {things(self.changed.get('labelled', count))} “{self.label}”"
        return f"{said}, and took the label from {taken:,}" if taken else said

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {things(len(self.objects))} that the autotag takes had the label “{self.label}”"

    def _lineage(self) -> dict[str, Any]:
        return {
            "tag": self.tag, "label": self.label, "embedding": self.embedding, "threshold": self.threshold,
            "positives": self.positives, "negatives": self.negatives,
        }  # fmt: skip


def from_wire(verb: str, arguments: Mapping[str, Any]) -> ObjectAction | None:
    """The action on objects that a verb names, for its sentence; None where it names another."""
    if verb == "mark_objects":
        return MarkObjects(_NONE, arguments["tag"], arguments["sign"], arguments.get("embedding"))
    if verb != object_marks.COMMIT:
        return None
    changed = {name: int(arguments[name]) for name in ("labelled", "taken_back") if name in arguments}
    return AutotagObjects(
        _NONE, arguments["tag"], str(arguments["label"]), str(arguments["head"]), str(arguments["embedding"]),
        float(arguments["threshold"]), int(arguments["positives"]), int(arguments["negatives"]), changed=changed,
    )  # fmt: skip
