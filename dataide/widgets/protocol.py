"""The messages between the browser and the kernel, version 1: the twin of js/core/protocol.ts.

Names are snake_case here and on the wire. What the browser asks is checked against these types before anything else
looks at it (see wire.py); what the kernel answers is written in them, so that mypy checks it.
A sample is named by `no`, its small integer number inside the session; ids never travel in bulk.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from . import protocol_autotag, protocol_issues, protocol_objects, protocol_similar
from .protocol_objects import PeekedObject
from .vocabulary import (
    ActArguments,
    Armed,
    Bar,
    Box,
    CompletionItem,
    Facet,
    Field,
    FilterClause,
    Groups,
    HistoryEntry,
    JobTarget,
    Legend,
    Mode,
    Name,
    Nos,
    Picture,
    QueueState,
    SessionState,
    Shape,
    Share,
    ShownIssue,
    Sort,
    StartKind,
    StartOptions,
    Target,
    TargetCount,
    Text,
    Thumbs,
    Uuid,
    Verb,
)
from .wire import Longest, Most

VERSION = 1

# ---- operations: what each asks and answers ----------------------------------------------------------------------


class HelloAsk(TypedDict):
    pass


class HelloAnswer(TypedDict):
    protocol: int
    state: SessionState


class PointsAsk(TypedDict):
    projection: Name | None
    color: Name | None
    offset: NotRequired[int]


class PointsAnswer(TypedDict):
    projection: str
    places: str
    offset: int
    count: int
    held: int
    total: int
    bounds: list[float]
    legend: Legend


class ColorsAsk(TypedDict):
    projection: Name
    color: Name | None


class ColorsAnswer(TypedDict):
    places: str
    offset: int
    count: int
    held: int
    total: int
    legend: Legend


class MarksAsk(TypedDict):
    projection: Name


class MarksAnswer(TypedDict):
    places: str
    held: int
    total: int
    selection_version: int
    passing: int
    selected: Share
    visible: Share


class DetailAsk(TypedDict):
    projection: Name
    box: Box
    color: Name | None


class DetailAnswer(TypedDict):
    projection: str
    places: str
    box: list[float]
    count: int
    inside: int
    selection_version: int
    passing: int


class DensityAsk(TypedDict):
    projection: Name
    box: Box
    width: int
    height: int
    color: Name | None


class DensityAnswer(TypedDict):
    projection: str
    places: str
    box: list[float]
    width: int
    height: int
    inside: int
    highest: int
    selection_version: int
    passing: int


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
    object: NotRequired[PeekedObject]  # of a map of objects: the picture is cut around it
    issues: NotRequired[list[ShownIssue]]


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
    known: NotRequired[Name | None]


class PageAnswer(TypedDict):
    order_id: str
    total: int
    groups: NotRequired[Groups | None]
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
    issues: NotRequired[list[list[ShownIssue]]]  # open ones, the most severe first; left out where none is open


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
    issues: NotRequired[list[ShownIssue]]  # those that were answered as well


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
    token: NotRequired[Name]
    uuid: NotRequired[Name]  # with it the armed action, if there is one, is carried out on the new selection


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


class GroupAsk(TypedDict):
    """What `group` asks and answers."""

    column: Name | None


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


class SelectAnswer(SubsetAnswer):
    """What `select` answers: also what the armed action did."""

    decision: NotRequired[ActAnswer | None]


class StepAsk(TypedDict):
    """What `undo` and `redo` ask."""

    uuid: Uuid


class StepAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str


class CompleteAsk(TypedDict):
    what: Literal["filter", "tag", "label", "queue"]
    text: Text
    cursor: int


CompleteAnswer = TypedDict("CompleteAnswer", {"from": int, "to": int, "items": list[CompletionItem]})


class ConfigureAsk(TypedDict):
    panel: Name
    name: Annotated[str, Longest(60)]
    value: Annotated[str, Longest(4_000)] | float | bool | None


class CancelJobAsk(TypedDict):
    id: Annotated[str, Longest(60)]


class CancelJobAnswer(TypedDict):
    found: bool


class StartableAsk(TypedDict):
    pass


class StartableAnswer(TypedDict):
    targets: list[TargetCount]
    kinds: list[StartKind]
    suggested: str | None
    torch: bool
    note: str | None


class StartJobAsk(TypedDict):
    kind: Name
    target: JobTarget
    options: StartOptions
    uuid: Uuid
    panel: NotRequired[Name]  # the workbench that shows what comes of it


class StartJobAnswer(TypedDict):
    job: str


class DismissJobAsk(TypedDict):
    id: Annotated[str, Longest(60)]


class DismissJobAnswer(TypedDict):
    found: bool


class Nothing(TypedDict):
    pass


ASKS: dict[str, Any] = {
    "hello": HelloAsk,
    "points": PointsAsk,
    "colors": ColorsAsk,
    "marks": MarksAsk,
    "detail": DetailAsk,
    "density": DensityAsk,
    "peek": PeekAsk,
    "locate": LocateAsk,
    "page": PageAsk,
    "inspect": InspectAsk,
    "facets": FacetsAsk,
    "facet_values": FacetValuesAsk,
    "select": SelectAsk,
    "filter": FilterAsk,
    "sort": SortAsk,
    "group": GroupAsk,
    "arm": ArmAsk,
    "act": ActAsk,
    "undo": StepAsk,
    "redo": StepAsk,
    "complete": CompleteAsk,
    "configure": ConfigureAsk,
    "cancel_job": CancelJobAsk,
    "startable": StartableAsk,
    "start_job": StartJobAsk,
    "dismiss_job": DismissJobAsk,
    **protocol_objects.ASKS,
    **protocol_similar.ASKS,
    **protocol_issues.ASKS,
    **protocol_autotag.ASKS,
}

ANSWERS: dict[str, Any] = {
    "hello": HelloAnswer,
    "points": PointsAnswer,
    "colors": ColorsAnswer,
    "marks": MarksAnswer,
    "detail": DetailAnswer,
    "density": DensityAnswer,
    "peek": PeekAnswer,
    "locate": LocateAnswer,
    "page": PageAnswer,
    "inspect": InspectAnswer,
    "facets": FacetsAnswer,
    "facet_values": FacetValuesAnswer,
    "select": SelectAnswer,
    "filter": SubsetAnswer,
    "sort": SortAsk,
    "group": GroupAsk,
    "arm": ArmAsk,
    "act": ActAnswer,
    "undo": StepAnswer,
    "redo": StepAnswer,
    "complete": CompleteAnswer,
    "configure": Nothing,
    "cancel_job": CancelJobAnswer,
    "startable": StartableAnswer,
    "start_job": StartJobAnswer,
    "dismiss_job": DismissJobAnswer,
    **protocol_objects.ANSWERS,
    **protocol_similar.ANSWERS,
    **protocol_issues.ANSWERS,
    **protocol_autotag.ANSWERS,
}

# A newer one of the same panel replaces an older one that waits. Everything else is done in the order of arrival.
READS = frozenset(
    {
        *("points", "colors", "marks", "detail", "density", "peek", "locate"),
        *("page", "inspect", "facets", "facet_values", "complete", "startable"),
        *protocol_objects.READS,
        *protocol_similar.READS,
        *protocol_issues.READS,
        *protocol_autotag.READS,
    }
)
MEDIA = frozenset({"page", "peek", "inspect", *protocol_issues.MEDIA, *protocol_autotag.MEDIA})
# What takes its time to begin: it sees every gesture that came before it, and holds up none that comes after.
STARTS = frozenset({"start_job"})


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
    field: NotRequired[str]  # of what was asked for, where one is to blame
