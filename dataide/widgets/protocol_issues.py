"""The messages about issues: the twin of js/core/protocol_issues.ts, and a part of protocol.py."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from .vocabulary import IssueState, Name, Thumbs

IssueOrder = Literal["severity", "confidence"]


class IssueKind(TypedDict):
    """One kind that was looked for. `cure` is what accepting changes: the label, leaving out, objects, or None."""

    kind: str
    open: int
    accepted: int
    rejected: int
    stale: int
    cure: Literal["label", "excluded", "objects"] | None
    grouped: bool
    samples: int
    searched_at: str
    note: str | None


class IssueKindsAsk(TypedDict):
    pass


class IssueKindsAnswer(TypedDict):
    kinds: list[IssueKind]


class IssuePageAsk(TypedDict):
    kind: Name
    state: IssueState
    order: IssueOrder
    offset: int
    limit: int
    thumbs: bool
    px: int
    list: NotRequired[Name | None]  # a list that was had before: its entries stay where they are, answered or not


class IssueRow(TypedDict):
    no: int
    id: str
    label: str | None
    given: str | None  # the label that was looked at
    proposal: str | None
    confidence: float | None
    score: float
    reason: str | None
    group: int | None
    state: IssueState
    excluded: bool
    queued: bool
    selected: bool


class IssueObjects(TypedDict):
    """Of issues about objects: which one a row's picture is cut around, and where the thing lies in it, in shares."""

    nos: list[int | None]  # None: the picture is the whole one
    boxes: list[list[float] | None]  # left, top, width, height
    labels: list[str | None]  # of these objects, as they are now


class IssuePageAnswer(TypedDict):
    list: str
    total: int
    held: int
    answered: int
    offset: int
    starts: list[int]
    more: list[int]
    rows: list[IssueRow]
    thumbs: Thumbs | None
    objects: NotRequired[IssueObjects]  # one entry for each row


class IssuePreviewAsk(TypedDict):
    kind: Name
    min_confidence: float
    max_score: float


# `from` is a word of Python, hence this spelling.
IssueChange = TypedDict("IssueChange", {"from": str | None, "to": str | None, "count": int})


class ObjectRepair(TypedDict):
    act: Literal["delete", "move", "relabel"]
    count: int  # objects


class IssuePreviewAnswer(TypedDict):
    count: int
    changes: list[IssueChange]
    more: int
    repairs: list[ObjectRepair]
    by: Literal["confidence", "severity"]
    bins: list[int]


class IssueNeighboursAsk(TypedDict):
    kind: Name
    no: int
    limit: int
    px: int


class IssueNeighbour(TypedDict):
    no: int
    id: str
    label: str | None
    similarity: float | None
    excluded: bool


class IssueObject(TypedDict):
    """The object whose neighbours these are: its label, and which one it should have."""

    label: str | None
    proposal: str | None


class IssueNeighboursAnswer(TypedDict):
    no: int
    neighbours: list[IssueNeighbour]
    embedding: str | None
    note: str | None
    thumbs: Thumbs
    object: NotRequired[IssueObject]  # the neighbours are objects, on the samples `no`, and the labels are theirs
    objects: NotRequired[IssueObjects]  # then one entry for each neighbour


ASKS: dict[str, Any] = {
    "issue_kinds": IssueKindsAsk,
    "issue_page": IssuePageAsk,
    "issue_preview": IssuePreviewAsk,
    "issue_neighbours": IssueNeighboursAsk,
}
ANSWERS: dict[str, Any] = {
    "issue_kinds": IssueKindsAnswer,
    "issue_page": IssuePageAnswer,
    "issue_preview": IssuePreviewAnswer,
    "issue_neighbours": IssueNeighboursAnswer,
}
READS = frozenset(ASKS)
MEDIA = frozenset({"issue_page"})
