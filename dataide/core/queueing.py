"""Queueing samples for reasons of their own, as one decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.actions import Enqueue
from dataide.errors import ActionError
from dataide.storage import queued

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor

_NONE: Any = np.empty(0, np.uint32)


@dataclass(frozen=True, eq=False)
class EnqueueEach(Enqueue):
    """Puts samples in a queue for review, each for its reason; `reason` is that of the whole, as the history tells it.

    In the journal it is an `enqueue`: what each task said stands among its changes.

    Attributes:
        nos: numbers of samples (uint32), each once.
        reasons: why each of them is there.
    """

    nos: NDArray[np.uint32] = field(default_factory=lambda: _NONE, repr=False)
    reasons: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.nos) != len(self.reasons):
            raise ActionError(f"There are {len(self.nos):,} samples to queue, and {len(self.reasons):,} reasons.")

    def apply(self, cursor: Cursor, event: int, columns: Mapping[str, str]) -> int:
        return queued.enqueue_each(cursor, event, self.queue, self.nos, self.reasons)
