"""Decisions about issues: accept what they propose, reject them, ask again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataide.core.actions import Action, samples
from dataide.errors import ActionError, did_you_mean
from dataide.storage import issues

if TYPE_CHECKING:
    from dataide.storage.database import Cursor

VERBS = ("accept_proposals", "reject_issues", "reopen_issues")


@dataclass(frozen=True)
class AboutIssues(Action):
    """The base of decisions about issues of one kind."""

    kind: str

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or not self.kind.strip():
            raise ActionError(f"A kind of issue is a text, not {self.kind!r}.", hint="For example: 'label'")

    def arguments(self) -> dict[str, Any]:
        return {"kind": self.kind}


@dataclass(frozen=True)
class AcceptProposals(AboutIssues):
    """Does what the open issues of one kind propose, for each sample its own: another label, or to leave it out.

    Samples whose issue was rejected, or is about an earlier picture or label, stay as they are.

    Raises:
        ActionError: issues of this kind propose nothing.
    """

    verb = "accept_proposals"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in issues.CURES:
            raise ActionError(
                f"Issues of the kind {self.kind!r} propose nothing that could be accepted.",
                hint=did_you_mean(self.kind, issues.CURES),
            )

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        if issues.CURES[self.kind] == issues.OBJECTS:
            from dataide.core import repairs  # which knows the base of all actions

            return repairs.accept(cursor, event, self.kind)
        return issues.accept(cursor, event, self.kind)

    def done(self, count: int) -> str:
        if issues.CURES[self.kind] == issues.OBJECTS:
            return f"Repaired {count:,} object{'' if count == 1 else 's'} as proposed ({_said(self.kind)})"
        if issues.CURES[self.kind] == "label":
            return f"Relabelled {samples(count)} as proposed ({_said(self.kind)})"
        return f"Excluded {samples(count)} as proposed ({_said(self.kind)})"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: there is no open proposal ({_said(self.kind)}) for {samples(count)}"


@dataclass(frozen=True)
class RejectIssues(AboutIssues):
    """Says that samples are all right in this respect. Not asked again while picture and label stay as they are."""

    verb = "reject_issues"

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return issues.reject(cursor, event, self.kind)

    def done(self, count: int) -> str:
        return f"Left {samples(count)} as {'it is' if count == 1 else 'they are'}: no issue ({_said(self.kind)})"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: there is no open issue ({_said(self.kind)}) of {samples(count)}"


@dataclass(frozen=True)
class ReopenIssues(AboutIssues):
    """Takes rejections back: the issues are asked about again."""

    verb = "reopen_issues"

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return issues.reopen(cursor, event, self.kind)

    def done(self, count: int) -> str:
        return f"Asking again about {samples(count)} ({_said(self.kind)})"

    def nothing(self, count: int) -> str:
        return f"Nothing changed: no issue ({_said(self.kind)}) of {samples(count)} was rejected"


def from_wire(verb: str, arguments: Mapping[str, Any]) -> Action | None:
    """The action about issues that a verb names; None where it names another."""
    actions = {one.verb: one for one in (AcceptProposals, RejectIssues, ReopenIssues)}
    return actions[verb](arguments["kind"]) if verb in actions else None


def _said(kind: str) -> str:
    return kind.replace("_", " ")
