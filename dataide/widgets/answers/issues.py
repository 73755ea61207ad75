"""Issues on the wire: which kinds there are, pages of a list, what accepting would change, and neighbours."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from dataide.core.cards import Card, cards
from dataide.errors import ActionError, DataideError, did_you_mean
from dataide.storage import findings, issue_lists, issues
from dataide.storage.issue_lists import GROUPED, Columns, Row
from dataide.storage.query import ids_of
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol_issues import (
    IssueKind,
    IssueKindsAnswer,
    IssueKindsAsk,
    IssueNeighbour,
    IssueNeighboursAnswer,
    IssueNeighboursAsk,
    IssueObjects,
    IssueOrder,
    IssuePageAnswer,
    IssuePageAsk,
    IssuePreviewAnswer,
    IssuePreviewAsk,
    IssueRow,
    ObjectRepair,
)
from dataide.widgets.vocabulary import IssuesTarget, Thumbs
from dataide.widgets.workspace import Workspace

from . import issue_crops
from .badges import LONGEST_PROPOSAL, cut
from .pages import size_px, thumbnails

if TYPE_CHECKING:
    from dataide.storage.issues import State

MOST_HELD = 100_000
MOST_ENTRIES = 200
MOST_MEMBERS = 12
MOST_LISTS = 16
MOST_CHANGES = 20
MOST_NEIGHBOURS = 12
LONGEST_REASON = 500
_METHODS = {"accept_proposals": "accept", "reject_issues": "reject", "reopen_issues": "reopen"}
VERBS = frozenset(_METHODS)
_NAME = "issue lists"


@dataclass(frozen=True)
class Listed:
    """A list as it was made: its entries keep their places, whatever is answered.

    Attributes:
        name: of the list.
        kind, state, order: what was asked for.
        version: of the answers, when it was made.
        entries: the first ones, sample or group numbers; int64.
        total: how many there were.
    """

    name: str
    kind: str
    state: State
    order: IssueOrder
    version: int
    entries: NDArray[np.int64]
    total: int


class Lists:
    """The latest lists of one session. Safe on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: OrderedDict[str, Listed] = OrderedDict()

    @classmethod
    def of(cls, workspace: Workspace) -> Lists:
        context = workspace.context
        with context.lock:
            found = context.attached.setdefault(_NAME, cls())
            assert isinstance(found, Lists)
            return found

    def get(
        self, workspace: Workspace, kind: str, state: State, order: IssueOrder, name: str | None = None
    ) -> tuple[Listed, Columns]:
        """The list of this name, as far as it is of this kind, state and order; else one of what holds now."""
        version = version_of(workspace)
        known = columns_of(workspace, kind)
        wanted = (kind, state, order)
        with self._lock:
            same = [one for one in self._lists.values() if (one.kind, one.state, one.order) == wanted]
            named = [one for one in same if one.name == name] or [one for one in same if one.version == version]
            if named:
                self._lists.move_to_end(named[-1].name)
                return named[-1], known
        entries = issue_lists.arranged(known, state, order)
        listed = Listed(uuid4().hex[:12], kind, state, order, version, entries[:MOST_HELD].copy(), len(entries))
        with self._lock:
            self._lists[listed.name] = listed
            while len(self._lists) > MOST_LISTS:
                self._lists.popitem(last=False)
        return listed, known


def version_of(workspace: Workspace) -> int:
    """Another number whenever issues may have changed, or what they are about."""
    return workspace.versions.of(["issues", "label", "excluded"])


def columns_of(workspace: Workspace, kind: str) -> Columns:
    """The issues of one kind, read once for each version.

    Raises:
        ActionError: this kind was not looked for.
    """
    require(workspace, kind)
    version = version_of(workspace)
    return workspace.kept(f"issues of {kind}", version, lambda: issue_lists.columns(workspace.database, kind))


def kinds_of(workspace: Workspace) -> list[IssueKind]:
    """The kinds that were looked for, those with most open issues first."""
    return workspace.kept("issue kinds", version_of(workspace), lambda: _kinds(workspace))


def require(workspace: Workspace, kind: str) -> None:
    """Raises ActionError where this kind was not looked for."""
    known = [one["kind"] for one in kinds_of(workspace)]
    if kind not in known:
        hint = did_you_mean(kind, known) or f"session.find_issues({kind!r}) looks for them."
        raise ActionError(f"Issues of the kind {kind!r} were not looked for.", hint=hint, code="no_kind")


def _kinds(workspace: Workspace) -> list[IssueKind]:
    counted = issues.counts(workspace.database)
    latest = {search.kind: search for search in issues.searches(workspace.database)}
    made: list[IssueKind] = []
    for kind, search in latest.items():
        count = counted.get(kind) or dict.fromkeys(issues.STATES, 0)
        cure = cast('Literal["label", "excluded", "objects"] | None', issues.CURES.get(kind))
        made.append(
            {
                "kind": kind,
                "open": count["open"],
                "accepted": count["accepted"],
                "rejected": count["rejected"],
                "stale": count["stale"],
                "cure": cure,
                "grouped": kind in GROUPED,
                "samples": search.samples,
                "searched_at": search.made_at.isoformat(timespec="seconds"),
                "note": cut(search.note, LONGEST_REASON),
            }
        )
    return sorted(made, key=lambda one: (-one["open"], one["kind"]))


def issue_kinds(workspace: Workspace, ask: IssueKindsAsk) -> Reply:
    """The kinds that were looked for, with their counts."""
    answer: IssueKindsAnswer = {"kinds": kinds_of(workspace)}
    return Reply(answer)


def issue_page(workspace: Workspace, ask: IssuePageAsk, within_s: float | None = None) -> Reply:
    """Some entries of a list, with thumbnails; it ends before its buffer grows over 4 MiB.

    Args:
        workspace: of the session.
        ask: which.
        within_s: cut no more objects out of their pictures after this time; the page ends there.
    """
    kind = ask["kind"]
    listed, known = Lists.of(workspace).get(workspace, kind, ask["state"], ask["order"], ask.get("list"))
    offset = max(0, min(ask["offset"], len(listed.entries)))
    wanted: list[int] = listed.entries[offset : offset + max(1, min(ask["limit"], MOST_ENTRIES))].tolist()
    members, more = _members(workspace, known, wanted)
    nos = [row.no for rows in members for row in rows]
    about = issue_crops.worst(workspace, kind, nos) if ask["thumbs"] and kind not in GROUPED else {}
    objects: IssueObjects | None = None
    thumbs: Thumbs | None = None
    data = b""
    if about:
        thumbs, data, objects = issue_crops.thumbs(workspace, nos, about, size_px(ask["px"]), within_s)
    elif ask["thumbs"]:
        thumbs, data = thumbnails(workspace, nos, size_px(ask["px"]))
    starts = [0]
    for rows in members:
        if thumbs is not None and starts[-1] + len(rows) > len(thumbs["mime"]) and len(starts) > 1:
            break
        starts.append(starts[-1] + len(rows))
    nos = nos[: starts[-1]]
    shown = {card.no: card for card in cards(workspace.database, nos)}
    selected = workspace.selection.mask
    answer: IssuePageAnswer = {
        "list": listed.name,
        "total": listed.total,
        "held": len(listed.entries),
        "answered": int(np.count_nonzero(~issue_lists.standing(known, listed.state, listed.entries))),
        "offset": offset,
        "starts": starts,
        "more": more[: len(starts) - 1],
        "rows": [
            _row(row, known.state_of(row.no), shown.get(row.no), row.no < len(selected) and bool(selected[row.no]))
            for rows in members[: len(starts) - 1]
            for row in rows
        ],
        "thumbs": None,
    }
    if thumbs is None:
        return Reply(answer)
    answer["thumbs"] = cut = _cut(thumbs, len(nos))
    if objects is not None:
        answer["objects"] = {
            "nos": objects["nos"][: len(nos)],
            "boxes": objects["boxes"][: len(nos)],
            "labels": objects["labels"][: len(nos)],
        }
    return Reply(answer, [data[: cut["starts"][-1]]])


def _members(workspace: Workspace, known: Columns, entries: Sequence[int]) -> tuple[list[list[Row]], list[int]]:
    """The rows of each entry, and how many further members its group has."""
    database, kind = workspace.database, known.kind
    if kind not in GROUPED:
        found = issue_lists.rows_of(database, kind, nos=entries)
        rows = [[found.get(no) or Row(no, None, None, None, 1.0, None, None)] for no in entries]
        return rows, [0] * len(rows)
    by_group: dict[int, list[Row]] = {group: [] for group in entries}
    for row in issue_lists.rows_of(database, kind, groups=entries, most=MOST_MEMBERS).values():
        if row.group in by_group:
            by_group[row.group].append(row)
    # Of large groups only: the small ones are here whole.
    more = [
        max(0, int(np.count_nonzero(known.group == group)) - MOST_MEMBERS) if len(rows) == MOST_MEMBERS else 0
        for group, rows in by_group.items()
    ]
    return list(by_group.values()), more


def _row(row: Row, state: State, card: Card | None, selected: bool) -> IssueRow:
    return {
        "no": row.no,
        "id": card.id if card else "",
        "label": card.label if card else None,
        "given": cut(row.given, LONGEST_PROPOSAL),
        "proposal": cut(row.proposal, LONGEST_PROPOSAL),
        "confidence": row.confidence,
        "score": row.score,
        "reason": cut(row.reason, LONGEST_REASON),
        "group": row.group,
        "state": state,
        "excluded": bool(card and card.excluded),
        "queued": bool(card and card.queued),
        "selected": selected,
    }


def _cut(thumbs: Thumbs, count: int) -> Thumbs:
    return {
        "mime": thumbs["mime"][:count],
        "starts": thumbs["starts"][: count + 1],
        "problems": thumbs["problems"][:count],
    }


def issue_preview(workspace: Workspace, ask: IssuePreviewAsk) -> Reply:
    """What accepting all proposals that are sure and severe enough would change."""
    known = columns_of(workspace, ask["kind"])
    answer: IssuePreviewAnswer = {
        "count": 0, "changes": [], "more": 0, "repairs": [], "by": "confidence", "bins": []
    }  # fmt: skip
    if ask["kind"] in issues.CURES:
        marks = known.chosen(confidence=ask["min_confidence"], score=ask["max_score"])
        if issues.CURES[ask["kind"]] == issues.OBJECTS:
            answer["count"], answer["repairs"] = _repairs(workspace, known, marks)
        else:
            changes, answer["more"] = issue_lists.changes(workspace.database, known, marks, MOST_CHANGES)
            answer["count"] = int(np.count_nonzero(marks & known.changes))
            answer["changes"] = [{"from": one.before, "to": one.after, "count": one.count} for one in changes]
        answer["by"] = "confidence" if known.has_confidence or not len(known.nos) else "severity"
        answer["bins"] = issue_lists.histogram(known).tolist()
    return Reply(answer)


def _repairs(workspace: Workspace, known: Columns, marks: NDArray[np.bool_]) -> tuple[int, list[ObjectRepair]]:
    """How many of the marked samples have objects to repair, and how many objects get which repair."""
    found = workspace.kept(
        f"repairs of {known.kind}",
        version_of(workspace),
        lambda: findings.repairs(workspace.database, known.kind),
    )
    chosen = np.isin(found["sample_no"], known.nos[marks & known.changes])
    said: dict[str, Literal["delete", "move", "relabel"]] = {"delete": "delete", "box": "move", "relabel": "relabel"}
    counts = {act: int(found[act][chosen].sum()) for act in said}
    return int(np.count_nonzero(chosen)), [{"act": said[act], "count": count} for act, count in counts.items() if count]


def issue_neighbours(workspace: Workspace, ask: IssueNeighboursAsk) -> Reply:
    """What a sample should be compared with: the others of its group, of an issue about an object the most similar
    crops, else the most similar samples."""
    no, database = workspace.sample_no(ask["no"]), workspace.database
    most = max(1, min(ask["limit"], MOST_NEIGHBOURS))
    nos: list[int] = []
    similar: dict[int, float] = {}
    answer: IssueNeighboursAnswer = {
        "no": no,
        "neighbours": [],
        "embedding": None,
        "note": None,
        "thumbs": {"mime": [], "starts": [0], "problems": []},
    }
    if ask["kind"] in GROUPED:
        row = issue_lists.rows_of(database, ask["kind"], nos=[no]).get(no)
        if row is not None and row.group is not None:
            others = issue_lists.rows_of(database, ask["kind"], groups=[row.group], most=most + 1)
            nos = [other for other in others if other != no][:most]
    else:
        of_objects = issue_crops.neighbours(workspace, ask["kind"], no, most, size_px(ask["px"]))
        if of_objects is not None:
            return of_objects
    if not nos:
        from dataide.find.neighbours import around

        try:
            answer["embedding"], found, cosines = around(
                database, no, most, embedding=embedding_in_sight(workspace), among=workspace.context.view().mask()
            )
        except DataideError as error:
            answer["note"] = f"{error.message} {error.hint or ''}".strip()
        else:
            nos = found.tolist()
            similar = dict(zip(nos, cosines.tolist(), strict=True))
            if not nos:
                answer["note"] = "No other sample has a vector."
    answer["thumbs"], data = thumbnails(workspace, nos, size_px(ask["px"]))
    shown = cards(database, nos[: len(answer["thumbs"]["mime"])])
    answer["neighbours"] = [
        IssueNeighbour(
            no=card.no, id=card.id, label=card.label, similarity=similar.get(card.no), excluded=card.excluded
        )
        for card in shown
    ]
    return Reply(answer, [data])


def embedding_in_sight(workspace: Workspace) -> str | None:
    """The embedding that the newest map was made from: what looks near should be near."""
    projections = workspace.places.projections()
    return projections[0].embedding if projections else None


# What `act` asks about issues ---------------------------------------------------------------------------------------


def targeted(workspace: Workspace, target: IssuesTarget) -> NDArray[np.uint32]:
    """Numbers of the samples with such issues, ascending.

    Raises:
        ActionError: this kind was not looked for.
    """
    known = columns_of(workspace, target["kind"])
    states: Sequence[State] = target.get("states", ("open",))
    marks = known.chosen(states, target["min_confidence"], target["max_score"], target.get("group"))
    return np.sort(known.nos[marks])


def target_said(target: IssuesTarget, count: int) -> str:
    """What was acted on, as the history says it."""
    states = " and ".join(target.get("states", ["open"]))
    said = f"{states} {target['kind'].replace('_', ' ')} issues"
    if target["min_confidence"] > 0:
        said += f" with confidence {target['min_confidence']:g} or more"
    if target["max_score"] < 1:
        said += f" with score {target['max_score']:g} or less"
    return f"{said}, {count:,}"


def python_of(
    workspace: Workspace, verb: str, arguments: Mapping[str, Any], target: Mapping[str, Any], nos: NDArray[Any]
) -> str | None:
    """The line of Python that answers the same issues; None where verb and target are about no issues."""
    about = target["type"] == "issues"
    if verb not in VERBS and not about:
        return None
    kind = target["kind"] if about else arguments["kind"]
    state = "rejected" if verb == "reopen_issues" else "open"
    if about and target.get("states", ["open"]) != ["open"]:
        state = target["states"][0] if len(target["states"]) == 1 else "any"
    shown = {"open": "", "any": ", state=None"}.get(state, f", state={state!r}")
    start = f"session.issues({kind!r}{shown})"
    given = []
    if not about or target.get("group") is not None:
        if target["type"] == "selection":
            given.append("of=session.selection")
        else:
            ids = ids_of(workspace.database, nos)
            given.append(f"of={(ids[0] if len(ids) == 1 else ids)!r}")
    if about and target["min_confidence"] > 0:
        given.append(f"confidence={target['min_confidence']:g}")
    if about and target["max_score"] < 1:
        given.append(f"score={target['max_score']:g}")
    if verb in VERBS:
        return f"{start}.{_METHODS[verb]}({', '.join(given)})"
    return f"{start}.chosen({', '.join(given)})"
