"""The messages about boxes, masks and keypoints: part of protocol.py, the twin of js/core/protocol_objects.ts."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from .wire import Longest, Most

Label = Annotated[str, Longest(1_000)]
Nos = Annotated[list[int], Most(500)]
PlaceInPx = Annotated[list[float], Most(4)]  # left, top, width, height in px of the upright picture


class ObjectLabel(TypedDict):
    """A class of objects. `color` stays the same as long as the session is open; 255 stands for no label."""

    name: str
    count: int
    color: int


class ObjectsState(TypedDict):
    """What the session's state says about objects; without any it says nothing."""

    count: int
    version: int  # another number whenever objects may have changed
    labels: list[ObjectLabel]  # the most frequent first, at most 200


class ObjectsAsk(TypedDict):
    nos: Nos
    px: int | None  # the longest side as drawn, for tiles; None: as large as can be, with ids, for the inspector


class ObjectsAnswer(TypedDict):
    """Objects of the first so many samples that were asked for, in columns; buffers: boxes, then points of outlines.

    Object i of sample s is number starts[s] + i. Boxes are four Float64 an object (left, top, width, height), points
    two Float32 each, all of them shares of the picture.
    """

    nos: list[int]
    widths: list[int | None]  # of the upright pictures, in px; None where nobody has seen the picture yet
    heights: list[int | None]
    starts: list[int]  # one more than samples
    more: list[int]  # of each sample, how many objects are left out: the smallest
    objects: list[int]  # their numbers
    labels: list[int]  # places in `names`, -1 for none
    names: list[str]
    colors: list[int]  # of `names`
    crowds: list[int]  # places of crowds among the objects
    rings: list[int]  # how many outlines each object has
    points: list[int]  # how many points each outline has
    keypoints: list[list[float]] | None  # x, y, visibility … of each object; None where none has any
    limbs: list[list[int]] | None  # of each object, the lines of its skeleton: from, to … as places among its keypoints
    ids: list[str] | None
    tracks: list[str | None] | None


class ActObjectsAsk(TypedDict):
    verb: Literal["add", "move", "relabel", "delete"]
    uuid: Annotated[str, Longest(64)]
    no: NotRequired[int]  # the sample, for add
    objects: NotRequired[Annotated[list[int], Most(1_000)]]  # for all others
    box: NotRequired[PlaceInPx]  # for add, and for move of one object
    label: NotRequired[Label | None]  # for add and relabel


class ActObjectsAnswer(TypedDict):
    event: int | None
    count: int
    sentence: str
    python: str
    objects: list[int]  # which ones were added or changed


class LintObjectsAsk(TypedDict):
    no: int


class ShownRepair(TypedDict):
    act: Literal["delete", "move", "relabel"]
    object: int
    box: NotRequired[list[float]]  # px
    label: NotRequired[str]


class ShownFinding(TypedDict):
    rule: str
    severity: Literal["error", "warning", "hint"]
    message: str
    objects: list[int]
    repair: ShownRepair | None


class LintObjectsAnswer(TypedDict):
    findings: list[ShownFinding]
    learning: bool  # what is usual is being learned: asked again later, there may be more


class PeekedObject(TypedDict):
    """On a map of objects: the picture that comes is cut around this one."""

    no: int
    box: list[float]  # left, top, width, height as shares of the cut


ASKS: dict[str, Any] = {"objects": ObjectsAsk, "act_objects": ActObjectsAsk, "lint_objects": LintObjectsAsk}
ANSWERS: dict[str, Any] = {
    "objects": ObjectsAnswer,
    "act_objects": ActObjectsAnswer,
    "lint_objects": LintObjectsAnswer,
}
READS = frozenset({"objects", "lint_objects"})
