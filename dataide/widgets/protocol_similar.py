"""Messages about similarity: by what, and how similar everything is. The twin of js/core/protocol_similar.ts."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from .vocabulary import Name, SamplesTarget, SelectionTarget, Sort
from .wire import Most


class RegionTarget(TypedDict):
    """A region of one sample's picture: left, top, width, height as shares (0..1) of the upright picture."""

    type: Literal["region"]
    no: int
    box: Annotated[list[float], Most(4)]


class ObjectTarget(TypedDict):
    """The box of one object, cut out."""

    type: Literal["object"]
    no: int


SimilarMode = Literal["replace", "like", "unlike"]


class SimilarAsk(TypedDict):
    target: SelectionTarget | SamplesTarget | RegionTarget | ObjectTarget
    # Instead of a new search: one more example for the ranking by which the grid is sorted.
    mode: NotRequired[SimilarMode]
    # What it should not be like, with a new search.
    unlike: NotRequired[SelectionTarget | SamplesTarget | RegionTarget | ObjectTarget]


class SimilarAnswer(TypedDict):
    sort: Sort
    count: int
    embedding: str


class RankedAsk(TypedDict):
    token: Name
    threshold: float | None  # None: where a handle may begin


class RankedAnswer(TypedDict):
    token: str
    like: int
    unlike: int
    low: float  # where the first bin begins,
    high: float  # and where the last one ends
    counts: list[int]  # of what passes the filter
    threshold: float
    above: int  # how many that pass the filter are at least so similar
    total: int  # how many that pass the filter have a similarity


ASKS: dict[str, Any] = {"similar": SimilarAsk, "ranked": RankedAsk}
ANSWERS: dict[str, Any] = {"similar": SimilarAnswer, "ranked": RankedAnswer}
READS = frozenset({"ranked"})
