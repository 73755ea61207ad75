"""The issues of the samples on a page: badges on tiles and in the card under the pointer, facts in the inspector."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from dataide.core.clauses import InClause
from dataide.storage import issues
from dataide.storage.issues import CURES, KEEP, Issue
from dataide.widgets.vocabulary import ShownIssue
from dataide.widgets.workspace import Workspace

from .state import issue_counts

MOST_BADGES = 6
LONGEST_REASON = 300
LONGEST_PROPOSAL = 200


def has_open(workspace: Workspace) -> bool:
    """Whether any issue of the session is open: most sessions have none, and ask no more than that."""
    return any(kind["count"] for kind in issue_counts(workspace))


def badges(workspace: Workspace, nos: Sequence[int]) -> dict[int, list[ShownIssue]]:
    """The open issues of some samples, at most six each; samples without one are left out.

    The most severe come first; before them the kind that is filtered or sorted by, because that is what one is at.
    """
    now = kind_in_force(workspace)
    found: dict[int, list[ShownIssue]] = {}
    for no, of_sample in issues.of_samples(workspace.database, nos).items():
        shown = [_shown(one) for one in of_sample if one.state == "open"]
        if shown:
            found[no] = sorted(shown, key=lambda one: one["kind"] != now)[:MOST_BADGES]
    return found


def kind_in_force(workspace: Workspace) -> str | None:
    """The one kind of issue that is filtered by, else the one that is sorted by; as js/core/issues/words.ts says it."""
    for stated in workspace.filter.clauses:
        clause = stated.clause
        if isinstance(clause, InClause) and clause.column == "issues" and len(clause.values) == 1 and clause.values[0]:
            return clause.values[0]
    sort = workspace.orders.sort
    return sort.kind if sort.by == "issue" else None


def facts(workspace: Workspace, no: int) -> list[ShownIssue]:
    """The issues of one sample in the same order, the answered ones last."""
    found, now = issues.of_samples(workspace.database, [no]).get(no, []), kind_in_force(workspace)
    ordered = sorted(found, key=lambda one: (one.state != "open", one.kind != now))
    return [_shown(one) for one in ordered if one.state != "stale"]


def _shown(issue: Issue) -> ShownIssue:
    shown: ShownIssue = {
        "kind": issue.kind,
        "state": "open" if issue.state == "stale" else issue.state,
        "score": round(float(issue.score), 4) if isfinite(issue.score) else 1.0,
        "proposal": cut(issue.proposal, LONGEST_PROPOSAL),
        "confidence": round(float(sure), 4) if (sure := issue.confidence) is not None and isfinite(sure) else None,
        "reason": cut(issue.reason, LONGEST_REASON),
    }
    # The one of its group that is proposed to be kept has nothing to accept.
    if issue.kind in CURES and issue.proposal not in (None, KEEP):
        shown["cure"] = CURES[issue.kind]
    return shown


def cut(text: str | None, longest: int) -> str | None:
    """A text that is no longer than this."""
    return text if text is None or len(text) <= longest else text[: longest - 1] + "…"
