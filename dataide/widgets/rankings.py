"""Rankings by similarity that the panels of a session show: by what, and how similar each sample is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.core.order import KEPT_RANKINGS
from dataide.core.selection import fitted
from dataide.errors import StaleOrder

if TYPE_CHECKING:
    from dataide.find.similarity import Examples
    from dataide.widgets.workspace import Workspace

BINS = 64
_NAME = "rankings"


@dataclass(eq=False)
class Kept:
    """One ranking.

    Attributes:
        token: as orders call it.
        embedding: whose vectors were compared.
        like: examples of what is wanted, as they were added.
        unlike: examples of what is not.
        scores: float32 by sample number; NaN for a sample without a vector.
        threshold: where the handle begins.
        number: of the embedding as it was; made anew it has another one.
    """

    token: str
    embedding: str
    like: list[Examples]
    unlike: list[Examples]
    scores: NDArray[np.float32]
    threshold: float
    number: int = -1
    _counted: tuple[Any, tuple[NDArray[np.int64], NDArray[np.float64]]] | None = field(default=None, repr=False)

    def histogram(self, passing: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts and edges over what passes; counted once for each filter."""
        from dataide.find.relevance import histogram

        known = self._counted
        if known is None or known[0] is not passing:
            among = fitted(passing, len(self.scores))
            known = self._counted = (passing, histogram(self.scores, among=among, bins=BINS))
        return known[1]

    def above(self, threshold: float) -> NDArray[np.bool_]:
        """Which samples are at least so similar, by sample number."""
        return np.asarray(self.scores >= np.float32(threshold))


class Rankings:
    """The latest rankings of one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    @classmethod
    def of(cls, workspace: Workspace) -> Rankings:
        """Those of this session."""
        context = workspace.context
        with context.lock:
            known = context.attached.get(_NAME)
            if known is None:
                known = context.attached[_NAME] = cls()
            assert isinstance(known, Rankings)
            return known

    def add(self, made: Kept, shown: str | None) -> None:
        """Keeps one; the oldest go, never the one that is shown."""
        with self._lock:
            self._kept[made.token] = made
            while len(self._kept) > KEPT_RANKINGS:
                del self._kept[next(token for token in self._kept if token != shown)]

    def find(self, token: str | None) -> Kept | None:
        """The ranking of this token, if it is still kept."""
        with self._lock:
            return self._kept.get(token or "")

    def get(self, token: str) -> Kept:
        """The ranking of this token.

        Raises:
            StaleOrder: it is no longer kept.
        """
        found = self.find(token)
        if found is None:
            raise StaleOrder("This ranking by similarity is gone.", hint="Choose the samples again and press S.")
        return found


def above(workspace: Workspace, token: str, threshold: float) -> NDArray[np.bool_]:
    """The samples that pass the filter and are at least so similar, by sample number.

    Raises:
        StaleOrder: the ranking is no longer kept.
    """
    ranking = Rankings.of(workspace).get(token)
    passing = workspace.filter.mask()
    return fitted(ranking.above(threshold), len(passing)) & passing


def caption_of(workspace: Workspace, nos: list[int], captions: list[str | None]) -> list[str | None]:
    """What stands under tiles: while the grid is sorted by similarity, how similar each is, behind what else does."""
    sort = workspace.orders.sort
    ranking = Rankings.of(workspace).find(sort.token) if sort.by == "similar" else None
    if ranking is None:
        return captions
    said: list[str | None] = []
    for no, caption in zip(nos, captions, strict=True):
        score = float(ranking.scores[no]) if no < len(ranking.scores) else float("nan")
        shown = None if np.isnan(score) else f"{score:.3f}"
        said.append(" · ".join(filter(None, [caption, shown])) or None)
    return said
