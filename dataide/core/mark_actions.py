"""Decisions of autotag: marks, and tagging what a head says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from dataide.core.actions import Action, Tag, samples
from dataide.errors import ActionError
from dataide.storage import marks, models_used
from dataide.storage.marks import Sign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor

VERBS = ("mark", "autotag")
_NONE = np.empty(0, np.uint32)


@dataclass(frozen=True)
class Mark(Action):
    """Says of samples that they have a tag, that they have not, or takes that back; the tag itself stays as it is.

    Attributes:
        tag: the word.
        sign: "positive", "negative" or "none".
        embedding: with which it is learned, so that the next day goes on with it.
        asked: numbers (uint32) of samples that were asked about: their answers say more about the rest.
    """

    verb = "mark"
    tag: str
    sign: Sign
    embedding: str | None = None
    asked: NDArray[np.uint32] = field(default_factory=lambda: _NONE, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", Tag(self.tag).tag)
        if self.sign not in get_args(Sign):
            raise ActionError(f"There is no mark {self.sign!r}.", hint=f"There are: {', '.join(get_args(Sign))}.")

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        if marks.field_of(self.tag) in columns:
            raise ActionError(
                f"There is a column {marks.field_of(self.tag)!r}, under which the journal would have these marks.",
                hint="Autotag another word.",
            )
        return marks.put(cursor, event, self.tag, self.sign, self.asked)

    def arguments(self) -> dict[str, Any]:
        said = {"tag": self.tag, "sign": self.sign}
        return said if self.embedding is None else said | {"embedding": self.embedding}

    def done(self, count: int) -> str:
        if self.sign == "none":
            return f"Took the mark “{self.tag}” from {samples(count)}"
        return f"Marked {samples(count)} as {'not ' if self.sign == 'negative' else ''}“{self.tag}”"

    def nothing(self, count: int) -> str:
        if self.sign == "none":
            return f"Nothing changed: none of {samples(count)} was marked for “{self.tag}”"
        kind = "not " if self.sign == "negative" else ""
        return f"Nothing changed: {samples(count)} {'was' if count == 1 else 'were'} marked {kind}“{self.tag}” already"


@dataclass(frozen=True)
class Autotag(Action):
    """Tags what a head takes, in place of what an earlier one took.

    Attributes:
        tag: the word.
        head, embedding, threshold, positives, negatives: by what: revision of the head, whose vectors, and marks.
        rest: numbers (uint32) of the samples that were scored and not taken; None in what the journal tells.
        state: the head as JSON holds it, which is kept among the models.
    """

    verb = "autotag"
    tag: str
    head: str = ""
    embedding: str = ""
    threshold: float = 0.0
    positives: int = 0
    negatives: int = 0
    rest: NDArray[np.uint32] | None = field(default=None, repr=False, compare=False)
    state: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    changed: dict[str, int] = field(default_factory=dict, compare=False)

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        if self.rest is None or self.state is None:
            raise ActionError("A tag is committed by its autotag.", hint=f"session.autotag({self.tag!r}).commit()")
        tagged, taken = marks.tag(cursor, event, self.tag, self.rest)
        self.changed.update(tagged=tagged, taken_back=taken)
        if tagged + taken:
            details = {"task": "autotag", **self._lineage()}
            models_used.note(
                cursor, marks.model_name(self.tag), marks.MODEL, self.head, details, json.dumps(self.state).encode()
            )
        return tagged + taken

    def arguments(self) -> dict[str, Any]:
        return {**self._lineage(), "head": self.head, **self.changed}

    def done(self, count: int) -> str:
        taken = self.changed.get("taken_back", 0)
        said = f"Autotagged {samples(self.changed.get('tagged', count))} “{self.tag}”"
        return f"{said}, and took the tag from {taken:,}" if taken else said

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {samples(count)} that the autotag takes had the tag “{self.tag}” already"

    def _lineage(self) -> dict[str, Any]:
        return {
            "tag": self.tag, "embedding": self.embedding, "threshold": self.threshold,
            "positives": self.positives, "negatives": self.negatives,
        }  # fmt: skip


def from_wire(verb: str, arguments: Mapping[str, Any]) -> Action | None:
    """The action of autotag that a verb names; None where it names another."""
    if verb == "mark":
        return Mark(arguments["tag"], arguments["sign"], arguments.get("embedding"))
    if verb != "autotag":
        from dataide.core import object_mark_actions  # needs the base of all actions, as this module does

        return object_mark_actions.from_wire(verb, arguments)
    changed = {name: int(arguments[name]) for name in ("tagged", "taken_back") if name in arguments}
    return Autotag(
        arguments["tag"], str(arguments["head"]), str(arguments["embedding"]), float(arguments["threshold"]),
        int(arguments["positives"]), int(arguments["negatives"]), changed=changed,
    )  # fmt: skip
