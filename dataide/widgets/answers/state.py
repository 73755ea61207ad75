"""Everything small that panels show about the session, and what the user chose in one panel."""

from __future__ import annotations

from typing import cast

from dataide.core.clauses import Clause, InClause, NotInClause, RangeClause
from dataide.core.order import Sort
from dataide.core.touched import versions
from dataide.errors import ProtocolError, SessionClosed
from dataide.storage import issues
from dataide.widgets import protocol, vocabulary
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import ConfigureAsk, HelloAnswer, HelloAsk
from dataide.widgets.started import Starter
from dataide.widgets.vocabulary import (
    ColumnInfo,
    FilterClause,
    Gesture,
    IssueCount,
    NameCount,
    ProjectionInfo,
    SessionState,
)
from dataide.widgets.workspace import Workspace

from .jobs import jobs_state
from .objects import objects_state

MOST_NAMES = 1_000
_COUNTED = "SELECT {name}, count(*) FROM {table} WHERE {condition} GROUP BY {name} ORDER BY 2 DESC, 1 LIMIT ?"
_OPEN_ISSUES = (
    "SELECT kind, count(*), coalesce(min(score) FILTER (isfinite(score)), 1) FROM data.issue_now "
    "WHERE is_issue AND state = 'open' AND NOT excluded GROUP BY kind"
)
# What stands in the statistics of the file answers for the usual case: nothing was ever replaced.
_EVER_REPLACED = "SELECT coalesce(max(media_revision), 1) > 1 FROM data.sample"
_REPLACED = "SELECT coalesce(sum(media_revision - 1), 0) FROM data.sample"
_NAMES = {
    "labels": _COUNTED.format(name="label", table="data.sample", condition="label IS NOT NULL"),
    "tags": _COUNTED.format(name="tag", table="data.tag", condition="true"),
    "queues": _COUNTED.format(name="queue", table="data.task", condition="state = 'pending'"),
}
_NAMES_OF = {"labels": "label", "tags": "tags", "queues": "queues"}


def hello(workspace: Workspace, ask: HelloAsk) -> Reply:
    """The first question of every page."""
    answer: HelloAnswer = {"protocol": protocol.VERSION, "state": session_state(workspace)}
    return Reply(answer)


def session_state(workspace: Workspace) -> SessionState:
    """The state of the session now. What depends on the data only is read again when just these data have changed."""
    database, selection, filtered = workspace.database, workspace.selection, workspace.filter
    if database.closed:
        raise SessionClosed("The session is closed.", hint="Run the cells of this notebook again, from the top.")
    revision = database.revision
    undo, redo = history(workspace, revision)
    passing = filtered.passing
    clauses = filtered.clauses
    count, version, gesture = selection.told()
    return {
        "rev": revision,
        "name": database.path.stem,
        "sample_count": database.sample_count,
        "media_version": media_version(workspace),
        "columns": columns(workspace),
        "labels": names(workspace, "labels"),
        "tags": names(workspace, "tags"),
        "queues": names(workspace, "queues"),
        "issues": issue_counts(workspace),
        "objects": objects_state(workspace),
        "projections": projections(workspace),
        "selection": {
            "count": count,
            "version": version,
            "lead": selection.lead_version,
            "gesture": cast("Gesture | None", gesture),
        },
        "filter": {
            "count": workspace.visible_count(),
            "version": filtered.version,
            "passing": passing,
            "text": filtered.text,
            "clauses": [
                {
                    "source": said.source,
                    "sentence": said.sentence,
                    "column": said.column,
                    "clause": clause_on_wire(said.clause),
                }
                for said in clauses
            ],
        },
        "history": {"undo": undo, "redo": redo},
        "sort": sort_on_wire(workspace.orders.sort),
        "group": workspace.orders.group,
        "armed": workspace.armed,
        "jobs": jobs_state(database, Starter.of(workspace).ended()),
    }


def names(workspace: Workspace, what: str) -> list[NameCount]:
    """Labels, tags or queues with how often they are used, the most used first."""
    return workspace.kept(what, workspace.versions.of([_NAMES_OF[what]]), lambda: _counted_names(workspace, what))


def _counted_names(workspace: Workspace, what: str) -> list[NameCount]:
    with workspace.database.query(_NAMES[what], [MOST_NAMES]) as cursor:
        return [{"name": name, "count": count} for name, count in cursor.fetchall()]


def issue_counts(workspace: Workspace) -> list[IssueCount]:
    """How many issues of each kind are open, the most first; kinds that were looked for without success have 0.

    Empty as long as nothing was looked for: then nothing else about issues costs anything.
    """
    version = workspace.versions.of(["issues", "excluded"])
    return workspace.kept("issues", version, lambda: _counted_issues(workspace))


def _counted_issues(workspace: Workspace) -> list[IssueCount]:
    searched = {search.kind for search in issues.searches(workspace.database)}
    if not searched:
        return []
    with workspace.database.query(_OPEN_ISSUES) as cursor:
        found = {str(kind): (int(count), round(float(worst), 4)) for kind, count, worst in cursor.fetchall()}
    counts: list[IssueCount] = []
    for kind in sorted(searched | found.keys(), key=lambda kind: (-found.get(kind, (0, 0))[0], kind)):
        count, worst = found.get(kind, (0, None))
        said: IssueCount = {"name": kind, "count": count, "worst": worst}
        if kind in issues.CURES:
            said["cure"] = issues.CURES[kind]
        counts.append(said)
    return counts


def media_version(workspace: Workspace) -> int:
    """How often pictures of samples were replaced by others."""
    return workspace.kept("media_version", workspace.versions.all(), lambda: _replaced(workspace))


def _replaced(workspace: Workspace) -> int:
    for sql in (_EVER_REPLACED, _REPLACED):
        with workspace.database.query(sql) as cursor:
            found = int(cursor.fetchall()[0][0])
        if not found:
            break
    return found


def columns(workspace: Workspace) -> list[ColumnInfo]:
    """The columns of `sample`, with what they are good for."""
    kinds = workspace.codes.kinds()
    types = workspace.database.columns()
    seen = versions(workspace.database)
    return [
        {"name": name, "type": types[name], "kind": kind, "version": seen.of([name])}
        for name, kind in kinds.items()
        if name in types
    ]


def projections(workspace: Workspace) -> list[ProjectionInfo]:
    """The projections, the newest first."""
    return [
        {
            "name": one.name,
            "method": one.method,
            "embedding": one.embedding,
            "count": one.count,
            "stale": one.stale,
            "version": one.number,
        }
        for one in [*workspace.places.projections(), *workspace.places.object_maps()]
    ]


def history(workspace: Workspace, revision: int) -> tuple[str | None, str | None]:
    """The sentences of what would be undone and redone."""
    return workspace.kept("history", revision, workspace.journal.head)


def clause_on_wire(clause: Clause) -> FilterClause:
    """A clause as the protocol writes it: a facet draws its brush and its pressed bars by it."""
    match clause:
        case RangeClause():
            return {"type": "range", "column": clause.column, "low": clause.low, "high": clause.high}
        case InClause():
            return {"type": "in", "column": clause.column, "values": list(clause.values)}
        case NotInClause():
            return {"type": "not_in", "column": clause.column, "values": list(clause.values)}
    return {"type": "sql", "text": clause.text}


def sort_on_wire(sort: Sort) -> vocabulary.Sort:
    """A sort as the protocol writes it."""
    if sort.by == "column":
        return {"by": "column", "column": sort.column or "", "descending": sort.descending}
    if sort.by == "issue":
        return {"by": "issue", "kind": sort.kind, "descending": sort.descending}
    if sort.by == "similar":
        return {"by": "similar", "token": sort.token or "", "label": sort.label, "descending": sort.descending}
    return {"by": "added", "descending": sort.descending}


def configure(workspace: Workspace, ask: ConfigureAsk) -> Reply:
    """Keeps what the user chose in one panel, so that a reload brings it back."""
    panel = workspace.panels.get(ask["panel"])
    if panel is None:
        raise ProtocolError("This panel is no longer there.", hint="Run its cell again.")
    panel.configure(ask["name"], ask["value"])
    return Reply({})
