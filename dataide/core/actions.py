"""Actions: one person's decision as a value. Applying one writes the journal and the present state together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from dataide.core.predicate import column_named
from dataide.errors import ActionError
from dataide.storage import decisions
from dataide.storage.columns import FLOATS, INTEGERS, OPEN, TAKEN

if TYPE_CHECKING:
    from dataide.storage.database import Cursor

LONGEST_NAME = 200
VERBS = ("tag", "untag", "relabel", "enqueue", "exclude", "include", "set")


@dataclass(frozen=True)
class Action:
    """The base of all verbs."""

    verb: ClassVar[str]

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        """Changes what is not so already, and notes it; `temp.target` holds the samples. Returns how many changed."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """What the journal and the wire say beside the verb."""
        return {}

    def done(self, count: int) -> str:
        """The sentence of having done it to so many samples."""
        raise NotImplementedError

    def nothing(self, count: int) -> str:
        """The sentence when all of them were so already."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tag(Action):
    """Puts a free word on samples."""

    verb = "tag"
    tag: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", _name(self.tag, "tag"))

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return decisions.tag(cursor, event, self.tag)

    def arguments(self) -> dict[str, Any]:
        return {"tag": self.tag}

    def done(self, count: int) -> str:
        return f"Tagged {samples(count)} “{self.tag}”"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {_all(count)} had the tag “{self.tag}” already"


@dataclass(frozen=True)
class Untag(Action):
    """Takes a tag away."""

    verb = "untag"
    tag: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", _name(self.tag, "tag"))

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return decisions.untag(cursor, event, self.tag)

    def arguments(self) -> dict[str, Any]:
        return {"tag": self.tag}

    def done(self, count: int) -> str:
        return f"Took the tag “{self.tag}” from {samples(count)}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: none of {samples(count)} had the tag “{self.tag}”"


@dataclass(frozen=True)
class Relabel(Action):
    """Says what samples are; None takes the label away."""

    verb = "relabel"
    label: str | None

    def __post_init__(self) -> None:
        if self.label is not None:
            object.__setattr__(self, "label", _name(_as_text(self.label), "label"))

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return decisions.assign(cursor, event, "label", "VARCHAR", self.label)

    def arguments(self) -> dict[str, Any]:
        return {"label": self.label}

    def done(self, count: int) -> str:
        if self.label is None:
            return f"Took the label from {samples(count)}"
        return f"Relabelled {samples(count)} “{self.label}”"

    def nothing(self, count: int) -> str:
        what = "had no label" if self.label is None else f"had the label “{self.label}”"
        return f"Nothing changed: {_all(count)} {what} already"


@dataclass(frozen=True)
class Enqueue(Action):
    """Puts samples in a queue for review."""

    verb = "enqueue"
    queue: str
    reason: str | None = None
    priority: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "queue", _name(self.queue, "queue"))
        if self.priority is not None:
            if isinstance(self.priority, bool) or not isinstance(self.priority, int | float):
                raise ActionError(f"A priority is a number, not {self.priority!r}.")
            object.__setattr__(self, "priority", float(self.priority))

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return decisions.enqueue(cursor, event, self.queue, self.reason, self.priority)

    def arguments(self) -> dict[str, Any]:
        given = {"queue": self.queue, "reason": self.reason, "priority": self.priority}
        return {name: value for name, value in given.items() if value is not None}

    def done(self, count: int) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"Queued {samples(count)} for “{self.queue}”{why}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {_all(count)} waited in “{self.queue}” already"


@dataclass(frozen=True)
class Exclude(Action):
    """Leaves samples out of every view that does not ask for them; nothing is deleted."""

    verb = "exclude"

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return decisions.assign(cursor, event, "excluded", "BOOLEAN", True)

    def done(self, count: int) -> str:
        return f"Excluded {samples(count)}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {_all(count)} {'was' if count == 1 else 'were'} excluded already"


@dataclass(frozen=True)
class Include(Action):
    """Brings excluded samples back."""

    verb = "include"

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return decisions.assign(cursor, event, "excluded", "BOOLEAN", False)

    def done(self, count: int) -> str:
        return f"Brought back {samples(count)}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: none of {samples(count)} was excluded"


@dataclass(frozen=True)
class Set(Action):
    """Gives columns one value each."""

    verb = "set"
    values: Mapping[str, Any] = field(default_factory=dict)

    def missing(self, columns: Mapping[str, str]) -> dict[str, str]:
        """The columns that must be made first, with the type of their value.

        Raises:
            ActionError: a column is not for setting, or the value is of another type.
        """
        if not self.values:
            raise ActionError("There is nothing to set.", hint='For example: .set(weather="fog", price=3.5)')
        by_lower = {name.lower() for name in columns}
        new: dict[str, str] = {}
        for name, value in self.values.items():
            if name.lower() in TAKEN and name.lower() not in OPEN:
                raise ActionError(f"The column {name} cannot be set.", hint=_INSTEAD.get(name.lower()))
            if name.lower() not in by_lower:
                new[_name(name, "column")] = _type_of(name, value)
            else:
                column = column_named(name, columns)
                converted(column, columns[column], value)
        return new

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        counts = []
        for given, value in self.values.items():
            name = column_named(given, columns)
            counts.append(decisions.assign(cursor, event, name, columns[name], converted(name, columns[name], value)))
        return counts[0] if len(counts) == 1 else decisions.changed_samples(cursor, event) if any(counts) else 0

    def arguments(self) -> dict[str, Any]:
        return {"values": {name: _plain(value) for name, value in self.values.items()}}

    def done(self, count: int) -> str:
        return f"Set {self._said()} on {samples(count)}"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: {_all(count)} had {self._said()} already"

    def _said(self) -> str:
        return ", ".join(f"{name} to {_said(value)}" for name, value in self.values.items())


_INSTEAD = {
    "excluded": "Use .exclude() and .include().",
    "sample_id": "An id stands for its sample for ever; put another name into a column of its own.",
    "media": "Add the pictures again with on_conflict='replace'.",
    "tag": "Use .tag('…').", "tags": "Use .tag('…').",
    "queue": "Use .enqueue('…').", "queues": "Use .enqueue('…').",
    "issue": "Use .find_issues('…').", "issues": "Use .find_issues('…').",
}  # fmt: skip


def from_wire(verb: str, arguments: Mapping[str, Any]) -> Action:
    """The action that a verb and its arguments name, as in the protocol and in the journal.

    Raises:
        ActionError: there is no such verb, or an argument is missing.
    """
    try:
        match verb:
            case "tag":
                return Tag(arguments["tag"])
            case "untag":
                return Untag(arguments["tag"])
            case "relabel":
                return Relabel(arguments["label"])
            case "enqueue":
                return Enqueue(arguments["queue"], arguments.get("reason"), arguments.get("priority"))
            case "exclude":
                return Exclude()
            case "include":
                return Include()
            case "set":
                return Set(dict(arguments["values"]))
        from dataide.core import issue_actions  # which knows the base of all actions

        if (action := issue_actions.from_wire(verb, arguments)) is not None:
            return action
        from dataide.core import mark_actions  # likewise

        if (action := mark_actions.from_wire(verb, arguments)) is not None:
            return action
    except KeyError as error:
        raise ActionError(f"The action {verb} needs {error.args[0]}.") from None
    if verb == "repair_objects":
        from dataide.core import repairs  # likewise

        if (action := repairs.from_wire(verb, arguments)) is not None:
            return action
    if verb.endswith("_objects"):
        from dataide.core import object_actions  # needs this module

        return object_actions.from_wire(verb, arguments)
    raise ActionError(f"There is no action {verb!r}.", hint=f"There are: {', '.join(VERBS)}.")


def sentence(verb: str, arguments: str, count: int) -> str:
    """The sentence of a journal entry; a verb of a later version is given as it stands."""
    try:
        return from_wire(verb, json.loads(arguments)).done(count)
    except (ActionError, ValueError, TypeError, AttributeError):
        return f"{verb.capitalize()}: {samples(count)}"


def samples(count: int) -> str:
    """1 sample, 10,000 samples."""
    return f"{count:,} sample{'' if count == 1 else 's'}"


def converted(column: str, kind: str, value: Any) -> Any:
    """The value as its column takes it.

    Raises:
        ActionError: it is of another type.
    """
    value = _plain(value)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "VARCHAR": isinstance(value, str | int | float | bool),
        "BOOLEAN": isinstance(value, bool),
        "DATE": isinstance(value, date),
    }
    if kind in INTEGERS:
        good = number and float(value).is_integer()
    elif kind in FLOATS or kind.startswith("DECIMAL"):
        good = number
    elif kind.startswith("TIMESTAMP"):
        good = isinstance(value, date)
    else:
        good = fits.get(kind, True)
    if not good:
        example = {"BOOLEAN": "True", "DATE": "datetime.date(2026, 1, 31)"}.get(
            kind, "3" if kind in INTEGERS else "3.5"
        )
        if kind.startswith("TIMESTAMP"):
            example = "datetime.datetime(2026, 1, 31, 12, 0)"
        raise ActionError(
            f"The column {column} holds {kind}, and {value!r} is a {type(value).__name__}.",
            hint=f"For example: .set({column}={example}), or another column name for other values.",
        )
    return _as_text(value) if kind == "VARCHAR" else value


def _type_of(name: str, value: Any) -> str:
    value = _plain(value)
    kinds: list[tuple[type, str]] = [
        (bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"), (str, "VARCHAR"),
        (datetime, "TIMESTAMP"), (date, "DATE"),
    ]  # fmt: skip
    for kind, sql in kinds:
        if isinstance(value, kind):
            return sql
    what = "None" if value is None else f"a {type(value).__name__}"
    raise ActionError(
        f"There is no column {name} yet, and {what} does not say what it holds.",
        hint="Give a number, a text, True or False, or a date.",
    )


def _name(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise ActionError(f"A {what} is a text, not {given!r}.")
    name = given.strip()
    if not name:
        raise ActionError(f"A {what} needs at least one letter.")
    if "\0" in name:
        raise ActionError(f"A {what} has no zero character.", hint="Leave the character \\0 out.")
    if len(name) > LONGEST_NAME:
        raise ActionError(f"A {what} has at most {LONGEST_NAME} characters, and this has {len(name):,}.")
    return name


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and not isinstance(value, str) else value


def _as_text(value: Any) -> str:
    value = _plain(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(value: Any) -> str:
    return "nothing" if value is None else f"“{value}”" if isinstance(value, str) else str(_plain(value))


def _all(count: int) -> str:
    return "the sample" if count == 1 else f"all {samples(count)}"
