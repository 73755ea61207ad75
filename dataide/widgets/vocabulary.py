"""The words of the protocol: the state of the session, gestures, and what panels show. Part of protocol.py."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from .protocol_objects import ObjectsState
from .wire import Longest, Most

ColumnKind = Literal["category", "number", "text", "time", "bool", "other"]
Verb = Literal[
    "tag", "untag", "relabel", "enqueue", "exclude", "include", "accept_proposals", "reject_issues", "reopen_issues"
]
IssueState = Literal["open", "accepted", "rejected", "stale"]
Mode = Literal["replace", "add", "subtract", "intersect"]

Name = Annotated[str, Longest(1_000)]
Text = Annotated[str, Longest(20_000)]
Uuid = Annotated[str, Longest(64)]
Nos = Annotated[list[int], Most(1_000)]
Box = Annotated[list[float], Most(4)]  # x low, y low, x high, y high, in data coordinates
# Which of the points: none, all, only these positions, all but these (both as gaps), or a bit for each.
Share = Literal["none", "all", "only", "except", "some"]


# ---- the state of the session ------------------------------------------------------------------------------------


class ColumnInfo(TypedDict):
    name: str
    type: str
    kind: ColumnKind
    # Another number whenever values of the column may have changed: what is drawn from them is old then.
    version: NotRequired[int]


class NameCount(TypedDict):
    name: str
    count: int


class IssueCount(NameCount):
    """How many issues of a kind are open."""

    worst: float | None  # the score of the worst of them: 0..1, low = severe
    cure: NotRequired[str]  # what accepting a proposal changes; left out for kinds that propose nothing


class ProjectionInfo(TypedDict):
    name: str
    method: str
    embedding: str
    count: int
    stale: int
    version: int


class Clause(TypedDict):
    source: str
    sentence: str
    column: str | None
    # What was asked for, so that a facet draws its brush again after a reload; None for clauses made in Python.
    clause: NotRequired[FilterClause | None]


class SortAdded(TypedDict):
    by: Literal["added"]
    descending: bool


class SortColumn(TypedDict):
    by: Literal["column"]
    column: Name
    descending: bool


class SortSimilar(TypedDict):
    by: Literal["similar"]
    token: Name
    label: Name
    descending: bool


class SortIssue(TypedDict):
    by: Literal["issue"]
    kind: Name | None  # the most severe first; None: of any kind
    descending: bool


Sort = SortAdded | SortColumn | SortSimilar | SortIssue


class ActArguments(TypedDict):
    tag: NotRequired[Name]
    label: NotRequired[Name | None]
    queue: NotRequired[Name]
    reason: NotRequired[Text]
    kind: NotRequired[Name]  # of issue, for the verbs about issues


class Armed(TypedDict):
    verb: Verb
    arguments: ActArguments


class SelectionState(TypedDict):
    count: int
    version: int
    lead: int
    gesture: Gesture | None


class FilterState(TypedDict):
    count: int
    version: int
    passing: int
    text: str
    clauses: list[Clause]


class HistoryState(TypedDict):
    undo: str | None
    redo: str | None


class JobState(TypedDict):
    id: str
    verb: str
    sentence: str
    done: int
    total: int
    rate: float
    left_s: float | None
    state: Literal["running", "cancelling"]


class EndedJob(TypedDict):
    """What came of a job that was started in a panel, as long as nobody has put it away."""

    id: str
    verb: str
    state: Literal["done", "failed"]
    message: str
    hint: str | None
    embedding: str | None  # of which there is no map yet
    show: NotRequired[Literal["issues"]]  # where to see what was found


class JobsState(TypedDict):
    # Grows with each look: the higher one is right, whichever message comes last.
    version: int
    running: list[JobState]
    ended: NotRequired[list[EndedJob]]


class SessionState(TypedDict):
    rev: int
    name: str
    sample_count: int
    # Another number whenever pictures were replaced: what the browser keeps of them is old then.
    media_version: NotRequired[int]
    columns: list[ColumnInfo]
    labels: list[NameCount]
    tags: list[NameCount]
    queues: list[NameCount]
    # Kinds that were looked for, the most open ones first; none as long as nothing was looked for.
    issues: NotRequired[list[IssueCount]]
    objects: NotRequired[ObjectsState | None]  # None: there are none, and nothing about them costs anything
    projections: list[ProjectionInfo]
    selection: SelectionState
    filter: FilterState
    history: HistoryState
    sort: Sort
    group: str | None
    armed: Armed | None
    jobs: NotRequired[JobsState]


# ---- starting jobs -----------------------------------------------------------------------------------------------

JobTarget = Literal["all", "filter", "selection"]


class StartChoice(TypedDict):
    value: str
    text: str


class StartField(TypedDict):
    name: str
    label: str
    kind: Literal["text", "choice", "number"]
    value: str
    choices: list[StartChoice]
    hint: str | None


class StartKind(TypedDict):
    kind: str
    title: str
    about: str
    fields: list[StartField]


class TargetCount(TypedDict):
    target: JobTarget
    count: int


class StartOptions(TypedDict):
    model: NotRequired[Name]
    name: NotRequired[Name]
    embedding: NotRequired[Name]
    method: NotRequired[Name]
    label: NotRequired[Name]
    minutes: NotRequired[float]
    run: NotRequired[Name]
    kinds: NotRequired[Name]


# ---- gestures ----------------------------------------------------------------------------------------------------


class PolygonShape(TypedDict):
    type: Literal["polygon"]
    projection: Name
    points: Annotated[list[float], Most(40_000)]


class BoxShape(TypedDict):
    type: Literal["box"]
    projection: Name
    x0: float
    y0: float
    x1: float
    y1: float


# The lasso or box that made the present selection out of the one before it; js/core/protocol.ts says more.
Gesture = TypedDict(
    "Gesture",
    {
        "token": str | None,
        "from": int,
        "passing": int,
        "mode": Mode,
        "shape": PolygonShape | BoxShape,
        "places": str,
        "on": list[int],
        "off": list[int],
    },
)


class PointsShape(TypedDict):
    type: Literal["points"]
    projection: Name
    indices: Annotated[list[int], Most(100)]


# `from` is a word of Python, hence this spelling.
RangeShape = TypedDict("RangeShape", {"type": Literal["range"], "order_id": Name, "from": int, "to": int})


class PositionsShape(TypedDict):
    type: Literal["positions"]
    order_id: Name
    positions: Annotated[list[int], Most(1_000)]


class SamplesShape(TypedDict):
    type: Literal["samples"]
    nos: Nos


class PredicateShape(TypedDict):
    type: Literal["predicate"]
    text: Text


class AboveShape(TypedDict):
    """What passes the filter and is at least so similar, by a ranking."""

    type: Literal["above"]
    token: Name
    threshold: float


class PlainShape(TypedDict):
    type: Literal["all", "none", "invert"]


Shape = (
    PolygonShape
    | BoxShape
    | PointsShape
    | RangeShape
    | PositionsShape
    | SamplesShape
    | PredicateShape
    | AboveShape
    | PlainShape
)


class SelectionTarget(TypedDict):
    type: Literal["selection"]


class SamplesTarget(TypedDict):
    type: Literal["samples"]
    nos: Nos


class IssuesTarget(TypedDict):
    """All issues of one kind that are severe and sure enough; by default the open ones."""

    type: Literal["issues"]
    kind: Name
    states: NotRequired[Annotated[list[IssueState], Most(4)]]
    max_score: float
    min_confidence: float
    group: NotRequired[int]


Target = SelectionTarget | SamplesTarget | IssuesTarget


class SqlClause(TypedDict):
    type: Literal["sql"]
    text: Text


class ValuesClause(TypedDict):
    type: Literal["in", "not_in"]
    column: Name
    values: Annotated[list[Name | None], Most(10_000)]


class RangeClause(TypedDict):
    type: Literal["range"]
    column: Name
    low: float | None
    high: float | None


FilterClause = SqlClause | ValuesClause | RangeClause


# ---- what is shown -----------------------------------------------------------------------------------------------


class LegendEntry(TypedDict):
    value: str | None
    count: int
    color: int


class NoLegend(TypedDict):
    kind: Literal["none"]


class CategoryLegend(TypedDict):
    kind: Literal["category"]
    column: str
    entries: list[LegendEntry]
    more: int


class NumberLegend(TypedDict):
    kind: Literal["number"]
    column: str
    low: float
    high: float


Legend = NoLegend | CategoryLegend | NumberLegend


class Bar(TypedDict):
    value: str | None
    total: int
    visible: int
    selected: int


class BarsFacet(TypedDict):
    kind: Literal["bars"]
    column: str
    type: str
    bars: list[Bar]
    more: int


class HistogramFacet(TypedDict):
    kind: Literal["histogram"]
    column: str
    type: str
    edges: list[float]
    total: list[int]
    visible: list[int]
    selected: list[int]
    missing: int


Facet = BarsFacet | HistogramFacet


class Group(TypedDict):
    value: str | None
    start: int
    count: int


class Groups(TypedDict):
    column: str
    entries: list[Group]
    more: int


class Thumbs(TypedDict):
    mime: list[str]
    starts: list[int]
    problems: list[str | None]


class QueueState(TypedDict):
    queue: str
    state: str
    reason: str | None


class Field(TypedDict):
    name: str
    type: str
    value: str | None


class ShownIssue(TypedDict):
    """One issue of one sample, as a badge or a line of facts shows it."""

    kind: str
    state: Literal["open", "accepted", "rejected"]
    score: float
    proposal: str | None
    confidence: float | None
    reason: str | None
    cure: NotRequired[str]  # what accepting changes: label, excluded …; left out where there is nothing to accept


class HistoryEntry(TypedDict):
    at: str
    author: str
    sentence: str
    undone: bool


class Picture(TypedDict):
    mime: str
    width_px: int
    height_px: int


class CompletionItem(TypedDict):
    text: str
    kind: str
    detail: str | None
