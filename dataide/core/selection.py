"""The session's one live subset of samples, shared by all panels and by Python."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from dataide.core.gesture import combined
from dataide.errors import ActionError
from dataide.storage.query import mask_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.changes import Changes
    from dataide.core.gesture import Drawn
    from dataide.storage.database import Database

Mode = Literal["replace", "add", "subtract", "intersect"]
MODES: tuple[Mode, ...] = get_args(Mode)
GRID = "grid"  # the source of gestures among the tiles


@dataclass(frozen=True)
class Chosen:
    """What is selected right after one gesture, whoever selects something else then.

    Attributes:
        mask: by sample number; not to be written into.
        count: how many samples.
        version: of the selection.
    """

    mask: NDArray[np.bool_]
    count: int
    version: int

    def nos(self) -> NDArray[np.uint32]:
        """The sample numbers, in order of arrival."""
        return np.flatnonzero(self.mask).astype(np.uint32)


class Selection:
    """Which samples are selected now. Every gesture is resolved together with what was selected before.

    Attributes:
        version: grows by one whenever the set changes.
        source: which panel or code spoke last.
        lead_version: the version at which `lead` last changed.
        gesture: the lasso or box that made this selection out of the one before, as panels are told it; None where it
            came about otherwise. It belongs to `version`: `told` reads both together.
    """

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self._lock = threading.RLock()
        self._mask = np.zeros(0, dtype=bool)
        self._count = 0
        self.version = 0
        self.source = ""
        self._lead = self._mask
        self.lead_version = 0
        self.gesture: dict[str, Any] | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which samples are selected, by sample number; new samples are not. Do not write into it."""
        with self._lock:
            self._mask = fitted(self._mask, self._database.sample_count)
            return self._mask

    @property
    def count(self) -> int:
        return self._count

    @property
    def lead(self) -> NDArray[np.bool_]:
        """What a grid shows first: the last selection made elsewhere. Picking tiles in the grid moves none of them."""
        with self._lock:
            return fitted(self._lead, self._database.sample_count)

    def told(self) -> tuple[int, int, dict[str, Any] | None]:
        """Count, version and gesture, of the same moment."""
        with self._lock:
            return self._count, self.version, self.gesture

    def follow(self) -> None:
        """Lets the grid go back to its own order, with the selection as it is."""
        with self._lock:
            self._lead, self.lead_version = np.zeros(0, dtype=bool), self.version

    def nos(self) -> NDArray[np.uint32]:
        """The numbers of the selected samples, in order of arrival."""
        return np.flatnonzero(self.mask).astype(np.uint32)

    def combine(self, nos_or_mask: NDArray[Any], mode: Mode = "replace", source: str = "") -> int:
        """Resolves a gesture against what is selected.

        Args:
            nos_or_mask: sample numbers, or a mask over all samples.
            mode: replace, add, subtract or intersect.
            source: which panel or code speaks.

        Returns:
            How many samples are selected now.
        """
        return self.take(nos_or_mask, mode, source).count

    def take(
        self, nos_or_mask: NDArray[Any], mode: Mode = "replace", source: str = "", drawn: Drawn | None = None
    ) -> Chosen:
        """Combines, and returns what just this gesture selected.

        Args:
            nos_or_mask: sample numbers, or a mask over all samples.
            mode: replace, add, subtract or intersect.
            source: which panel or code speaks.
            drawn: what was drawn over a plot, so that plots can follow without asking for marks.
        """
        if mode not in MODES:
            raise ActionError(f"There is no mode {mode!r}.", hint=f"There are: {', '.join(MODES)}.")
        given = as_mask(nos_or_mask, self._database.sample_count)
        with self._lock:
            now = fitted(self._mask, max(len(given), len(self._mask)))
            new = combined(now, fitted(given, len(now)), mode)
            self.source = source
            same = np.array_equal(new, now)
            gesture = None if drawn is None else drawn.record(now, self.version, mode)
            # A plot may have painted something else by its rounded places: then it must hear of this even though the
            # same samples are selected as before.
            unheard = drawn is not None and (gesture is None or gesture["on"] or gesture["off"])
            if same and not unheard:
                return Chosen(self._mask, self._count, self.version)
            if not same:
                new.setflags(write=False)
                self._mask, self._count = new, int(np.count_nonzero(new))
            self.version += 1
            self.gesture = gesture
            if not same and (source != GRID or not self._count):
                self._lead, self.lead_version = new, self.version
            chosen = Chosen(self._mask, self._count, self.version)
        self._changes.notify("selection")
        return chosen

    def renew(self, source: str = "") -> int:
        """The same samples mean something else now (other objects of theirs): another version, which panels are told.

        Returns:
            The new version.
        """
        with self._lock:
            self.source, self.gesture = source, None
            self.version += 1
            version = self.version
        self._changes.notify("selection")
        return version

    def clear(self, source: str = "") -> None:
        """Selects nothing."""
        self.combine(np.zeros(0, dtype=bool), "replace", source)


def as_mask(nos_or_mask: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """A new mask over at least `count` samples, from a mask or from numbers."""
    array = np.asarray(nos_or_mask)
    if array.dtype == np.bool_:
        return fitted(array, max(count, len(array))).copy()
    if array.size and int(array.min()) < 0:
        raise ActionError("Sample numbers start at 0.")
    return mask_of(array.astype(np.int64), count)


def fitted(mask: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The mask at this length: samples that came later are not in it."""
    if len(mask) == count:
        return mask
    if len(mask) > count:
        return mask[:count]
    longer = np.zeros(count, dtype=bool)
    longer[: len(mask)] = mask
    longer.setflags(write=False)
    return longer
