"""Everything small that panels show about the session, and what the user chose in one panel."""

from __future__ import annotations

from dataide.core.clauses import Clause, InClause, NotInClause, RangeClause
from dataide.core.order import Sort
from dataide.errors import ProtocolError, SessionClosed
from dataide.widgets import protocol, vocabulary
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import ConfigureAsk, HelloAnswer, HelloAsk
from dataide.widgets.vocabulary import ColumnInfo, FilterClause, NameCount, ProjectionInfo, SessionState
from dataide.widgets.workspace import Workspace

MOST_NAMES = 1_000
_COUNTED = "SELECT {name}, count(*) FROM {table} WHERE {condition} GROUP BY {name} ORDER BY 2 DESC, 1 LIMIT ?"
_REPLACED = "SELECT coalesce(sum(media_revision - 1), 0) FROM data.sample"
_NAMES = {
    "labels": _COUNTED.format(name="label", table="data.sample", condition="label IS NOT NULL"),
    "tags": _COUNTED.format(name="tag", table="data.tag", condition="true"),
    "queues": _COUNTED.format(name="queue", table="data.task", condition="state = 'pending'"),
}


def hello(workspace: Workspace, ask: HelloAsk) -> Reply:
    """The first question of every page."""
    answer: HelloAnswer = {"protocol": protocol.VERSION, "state": session_state(workspace)}
    return Reply(answer)


def session_state(workspace: Workspace) -> SessionState:
    """The state of the session now. What only depends on the data is read once for each revision."""
    database, selection, filtered = workspace.database, workspace.selection, workspace.filter
    if database.closed:
        raise SessionClosed("The session is closed.", hint="Run the cells of this notebook again, from the top.")
    revision = database.revision
    undo, redo = history(workspace, revision)
    clauses = filtered.clauses
    return {
        "rev": revision,
        "name": database.path.stem,
        "sample_count": database.sample_count,
        "media_version": media_version(workspace),
        "columns": columns(workspace),
        "labels": names(workspace, "labels"),
        "tags": names(workspace, "tags"),
        "queues": names(workspace, "queues"),
        "projections": projections(workspace),
        "selection": {"count": selection.count, "version": selection.version, "lead": selection.lead_version},
        "filter": {
            "count": workspace.visible_count(),
            "version": filtered.version,
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
        "armed": workspace.armed,
    }


def names(workspace: Workspace, what: str) -> list[NameCount]:
    """Labels, tags or queues with how often they are used, the most used first."""
    kept = workspace.kept(workspace.database.revision)
    if what not in kept:
        with workspace.database.query(_NAMES[what], [MOST_NAMES]) as cursor:
            kept[what] = [{"name": name, "count": count} for name, count in cursor.fetchall()]
    counted: list[NameCount] = kept[what]
    return counted


def media_version(workspace: Workspace) -> int:
    """How often pictures of samples were replaced by others."""
    kept = workspace.kept(workspace.database.revision)
    if "media_version" not in kept:
        with workspace.database.query(_REPLACED) as cursor:
            kept["media_version"] = int(cursor.fetchall()[0][0])
    version: int = kept["media_version"]
    return version


def columns(workspace: Workspace) -> list[ColumnInfo]:
    """The columns of `sample`, with what they are good for."""
    kinds = workspace.codes.kinds()
    types = workspace.database.columns()
    return [{"name": name, "type": types[name], "kind": kind} for name, kind in kinds.items() if name in types]


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
        for one in workspace.places.projections()
    ]


def history(workspace: Workspace, revision: int) -> tuple[str | None, str | None]:
    """The sentences of what would be undone and redone."""
    kept = workspace.kept(revision)
    if "history" not in kept:
        kept["history"] = workspace.journal.head()
    sentences: tuple[str | None, str | None] = kept["history"]
    return sentences


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
