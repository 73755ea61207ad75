"""The messages of the autotag panel, part of protocol.py: the twin of js/core/protocol_autotag.ts."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from .vocabulary import Name, Nos, Target, Thumbs, Uuid

Sign = Literal["positive", "negative", "none"]


class AutotagAsk(TypedDict):
    tag: Name
    # Learns anew where marks or vectors have changed; else the round that is there.
    round: bool
    # What the marks of these samples are, in their order.
    nos: NotRequired[Nos]


class AutotagSteps(TypedDict):
    """What thresholds 0, 1 / (n - 1) … 1 give; estimates are None with too few marks."""

    taken: list[int]
    bins: list[int]  # samples between two thresholds, and the marks among them
    yes: list[int]
    no: list[int]
    precision: list[float] | None
    precision_low: list[float] | None
    precision_high: list[float] | None
    recall: list[float] | None
    recall_low: list[float] | None
    recall_high: list[float] | None


class AutotagAnswer(TypedDict):
    tag: str
    embedding: str
    round: int  # 0 before the first
    stale: bool  # marks have changed since the round
    since: int  # how many
    positives: int
    negatives: int
    outdated: int  # marks of pictures that were replaced since, which count no longer
    tagged: int  # samples that have the tag now
    total: int  # samples that were scored
    threshold: float
    committed: float | None  # the threshold of the commit that stands
    sentence: str
    steps: AutotagSteps | None
    marks: list[Sign]


class AutotagPageAsk(TypedDict):
    tag: Name
    show: Literal["ask", "best", "near"]
    round: int  # of a round that is no longer held the latest is shown
    threshold: float
    offset: int
    limit: int
    px: int
    thumbs: bool


class AutotagPageAnswer(TypedDict):
    round: int
    total: int
    offset: int
    nos: list[int]
    ids: list[str]
    labels: list[str | None]
    tagged: list[bool]
    scores: list[float | None]
    why: list[str | None]
    marks: list[Sign]
    thumbs: Thumbs | None


class AutotagMarkAsk(TypedDict):
    tag: Name
    sign: Sign
    target: Target
    uuid: Uuid
    tagged: NotRequired[bool]  # the samples that have the tag already, whatever the target


class AutotagMarkAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str
    positives: int
    negatives: int
    since: int


class AutotagCommitAsk(TypedDict):
    tag: Name
    round: int
    threshold: float
    uuid: Uuid


class AutotagCommitAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str
    python: str


ASKS: dict[str, Any] = {
    "autotag": AutotagAsk,
    "autotag_page": AutotagPageAsk,
    "autotag_mark": AutotagMarkAsk,
    "autotag_commit": AutotagCommitAsk,
}
ANSWERS: dict[str, Any] = {
    "autotag": AutotagAnswer,
    "autotag_page": AutotagPageAnswer,
    "autotag_mark": AutotagMarkAnswer,
    "autotag_commit": AutotagCommitAnswer,
}
READS = frozenset({"autotag", "autotag_page"})
MEDIA = frozenset({"autotag_page"})
