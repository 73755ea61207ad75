"""The messages between the browser and the kernel, version 1: the twin of js/core/protocol.ts.

Names are snake_case here and on the wire. What the browser asks is checked against these types before anything else
looks at it (see wire.py); what the kernel answers is written in them, so that mypy checks it.
A sample is named by `no`, its small integer number inside the session; ids never travel in bulk.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from .wire import Longest, Most

VERSION = 1

ColumnKind = Literal["category", "number", "text", "time", "bool", "other"]
Verb = Literal["tag", "untag", "relabel", "enqueue", "exclude", "include"]
Mode = Literal["replace", "add", "subtract", "intersect"]

Name = Annotated[str, Longest(1_000)]
Text = Annotated[str, Longest(20_000)]
Uuid = Annotated[str, Longest(64)]
Nos = Annotated[list[int], Most(1_000)]


# ---- the state of the session ------------------------------------------------------------------------------------


class ColumnInfo(TypedDict):
    name: str
    type: str
    kind: ColumnKind


class NameCount(TypedDict):
    name: str
    count: int


class ProjectionInfo(TypedDict):
    name: str
    method: str
    embedding: str
    count: int
    stale: int


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


Sort = SortAdded | SortColumn | SortSimilar


class ActArguments(TypedDict):
    tag: NotRequired[Name]
    label: NotRequired[Name | None]
    queue: NotRequired[Name]
    reason: NotRequired[Text]


class Armed(TypedDict):
    verb: Verb
    arguments: ActArguments


class SelectionState(TypedDict):
    count: int
    version: int


class FilterState(TypedDict):
    count: int
    version: int
    text: str
    clauses: list[Clause]


class HistoryState(TypedDict):
    undo: str | None
    redo: str | None


class SessionState(TypedDict):
    rev: int
    name: str
    sample_count: int
    columns: list[ColumnInfo]
    labels: list[NameCount]
    tags: list[NameCount]
    queues: list[NameCount]
    projections: list[ProjectionInfo]
    selection: SelectionState
    filter: FilterState
    history: HistoryState
    sort: Sort
    armed: Armed | None


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


class PlainShape(TypedDict):
    type: Literal["all", "none", "invert"]


Shape = PolygonShape | BoxShape | PointsShape | RangeShape | PositionsShape | SamplesShape | PredicateShape | PlainShape


class SelectionTarget(TypedDict):
    type: Literal["selection"]


class SamplesTarget(TypedDict):
    type: Literal["samples"]
    nos: Nos


Target = SelectionTarget | SamplesTarget


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


# ---- operations: what each asks and answers ----------------------------------------------------------------------


class HelloAsk(TypedDict):
    pass


class HelloAnswer(TypedDict):
    protocol: int
    state: SessionState


class PointsAsk(TypedDict):
    projection: Name | None
    color: Name | None


class PointsAnswer(TypedDict):
    projection: str
    offset: int
    count: int
    total: int
    bounds: list[float]
    legend: Legend


class ColorsAsk(TypedDict):
    projection: Name
    color: Name | None


class ColorsAnswer(TypedDict):
    offset: int
    count: int
    total: int
    legend: Legend


class MarksAsk(TypedDict):
    projection: Name


class MarksAnswer(TypedDict):
    total: int
    selection_version: int
    filter_version: int


class PeekAsk(TypedDict):
    no: NotRequired[int]
    projection: NotRequired[Name]
    index: NotRequired[int]
    px: int


class PeekAnswer(TypedDict):
    no: int
    id: str
    label: str | None
    caption: str
    mime: str | None
    problem: str | None


class LocateAsk(TypedDict):
    projection: Name
    nos: Nos


class LocateAnswer(TypedDict):
    places: list[list[float] | None]


class PageAsk(TypedDict):
    offset: int
    limit: int
    thumbs: bool
    px: int
    caption: Name | None


class PageAnswer(TypedDict):
    order_id: str
    total: int
    offset: int
    nos: list[int]
    ids: list[str]
    labels: list[str | None]
    tags: list[list[str]]
    queued: list[bool]
    excluded: list[bool]
    selected: list[bool]
    captions: list[str | None]
    thumbs: Thumbs | None


class InspectAsk(TypedDict):
    no: int
    px: int


class InspectAnswer(TypedDict):
    no: int
    id: str
    label: str | None
    tags: list[str]
    queues: list[QueueState]
    excluded: bool
    fields: list[Field]
    history: list[HistoryEntry]
    picture: Picture | None
    problem: str | None


class FacetsAsk(TypedDict):
    columns: Annotated[list[Name], Most(1_000)] | None
    bars: int


class FacetsAnswer(TypedDict):
    facets: list[Facet]


class FacetValuesAsk(TypedDict):
    column: Name
    search: Name
    limit: int


class FacetValuesAnswer(TypedDict):
    bars: list[Bar]
    more: int


class SelectAsk(TypedDict):
    shape: Shape
    mode: Mode
    source: Name


class SubsetAnswer(TypedDict):
    """What `select` and `filter` answer."""

    count: int
    version: int
    python: str


class FilterAsk(TypedDict):
    source: Name
    clause: FilterClause | None


class SortAsk(TypedDict):
    sort: Sort


class ArmAsk(TypedDict):
    armed: Armed | None


class ActAsk(TypedDict):
    verb: Verb
    arguments: ActArguments
    target: Target
    uuid: Uuid


class ActAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str
    python: str


class StepAsk(TypedDict):
    """What `undo` and `redo` ask."""

    uuid: Uuid


class StepAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str


class SimilarAsk(TypedDict):
    target: Target


class SimilarAnswer(TypedDict):
    sort: Sort
    count: int
    embedding: str


class CompleteAsk(TypedDict):
    what: Literal["filter", "tag", "label", "queue"]
    text: Text
    cursor: int


CompleteAnswer = TypedDict("CompleteAnswer", {"from": int, "to": int, "items": list[CompletionItem]})


class ConfigureAsk(TypedDict):
    panel: Name
    name: Annotated[str, Longest(60)]
    value: Annotated[str, Longest(4_000)] | float | bool | None


class Nothing(TypedDict):
    pass


ASKS: dict[str, Any] = {
    "hello": HelloAsk,
    "points": PointsAsk,
    "colors": ColorsAsk,
    "marks": MarksAsk,
    "peek": PeekAsk,
    "locate": LocateAsk,
    "page": PageAsk,
    "inspect": InspectAsk,
    "facets": FacetsAsk,
    "facet_values": FacetValuesAsk,
    "select": SelectAsk,
    "filter": FilterAsk,
    "sort": SortAsk,
    "arm": ArmAsk,
    "act": ActAsk,
    "undo": StepAsk,
    "redo": StepAsk,
    "similar": SimilarAsk,
    "complete": CompleteAsk,
    "configure": ConfigureAsk,
}

ANSWERS: dict[str, Any] = {
    "hello": HelloAnswer,
    "points": PointsAnswer,
    "colors": ColorsAnswer,
    "marks": MarksAnswer,
    "peek": PeekAnswer,
    "locate": LocateAnswer,
    "page": PageAnswer,
    "inspect": InspectAnswer,
    "facets": FacetsAnswer,
    "facet_values": FacetValuesAnswer,
    "select": SubsetAnswer,
    "filter": SubsetAnswer,
    "sort": SortAsk,
    "arm": ArmAsk,
    "act": ActAnswer,
    "undo": StepAnswer,
    "redo": StepAnswer,
    "similar": SimilarAnswer,
    "complete": CompleteAnswer,
    "configure": Nothing,
}

# A newer one of the same panel replaces an older one that waits. Everything else is done in the order of arrival.
READS = frozenset(
    {"points", "colors", "marks", "peek", "locate", "page", "inspect", "facets", "facet_values", "complete"}
)
MEDIA = frozenset({"page", "peek", "inspect"})


class Request(TypedDict):
    v: Literal[1]
    k: Literal["req"]
    id: int
    op: Annotated[str, Longest(60)]
    panel: Name
    body: dict[str, Any]


class Cancel(TypedDict):
    v: Literal[1]
    k: Literal["cancel"]
    id: int


class Ack(TypedDict):
    v: Literal[1]
    k: Literal["ack"]
    id: int
    part: int


Upward = Request | Cancel | Ack


class Failure(TypedDict):
    code: str
    message: str
    hint: str | None
