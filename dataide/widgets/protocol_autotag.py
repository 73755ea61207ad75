"""The messages of the autotag panel, part of protocol.py: the twin of js/core/protocol_autotag.ts."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from .vocabulary import Name, Nos, Target, Thumbs, Uuid

Sign = Literal["positive", "negative", "none"]


class AutotagNamed(TypedDict):
    """Which tag: of samples, or of the objects that a token stands for."""

    tag: Name
    of: NotRequired[Literal["samples", "objects"]]
    view: NotRequired[Name]


class ObjectsTarget(TypedDict):
    type: Literal["objects"]
    nos: Nos


class AutotagAsk(AutotagNamed):
    # Learns anew where marks or vectors have changed; else the round that is there.
    round: bool
    # What the marks of these samples are, in their order.
    nos: NotRequired[Nos]


class AutotagSteps(TypedDict):
    """What thresholds 0, 1 / (n - 1) … 1 give; estimates are None with too few marks."""

    taken: list[int]
    bins: list[int]  # how many lie between two thresholds, and the marks among them
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
    tagged: int  # samples that have the tag now, or objects that have the label
    total: int  # samples or objects that were scored
    threshold: float
    committed: float | None  # the threshold of the commit that stands
    sentence: str
    steps: AutotagSteps | None
    marks: list[Sign]
    label: NotRequired[str]  # of objects: what a commit calls them
    selected: NotRequired[int]  # of objects, before the first round: how many are selected


class AutotagPageAsk(AutotagNamed):
    show: Literal["ask", "best", "near"]
    round: int  # of a round that is no longer held the latest is shown
    threshold: float
    offset: int
    limit: int
    px: int
    thumbs: bool
    whole: NotRequired[bool]  # of objects: the whole pictures, and not the crops


class AutotagObjects(TypedDict):
    """Of tiles of objects: what they are on, and where they lie in the pictures that came, in shares."""

    samples: list[int]
    sample_ids: list[str]
    boxes: list[list[float] | None]  # left, top, width, height


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
    objects: NotRequired[AutotagObjects]


class AutotagMarkAsk(AutotagNamed):
    sign: Sign
    target: Target | ObjectsTarget
    uuid: Uuid
    tagged: NotRequired[bool]  # what has the tag (of objects: the label) already, whatever the target


class AutotagMarkAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str
    positives: int
    negatives: int
    since: int


class AutotagCommitAsk(AutotagNamed):
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
