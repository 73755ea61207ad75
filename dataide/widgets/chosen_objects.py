"""Which objects a gesture over a map of objects has selected, for as long as that is the selection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dataide.core.context import Context

_NAME = "selected_objects"
_LOCK = "selecting_objects"


@contextmanager
def choosing(context: Context) -> Iterator[None]:
    """While a selection is made of objects: who asks meanwhile waits, and is not told all of their samples."""
    with _lock_of(context):
        yield


def _lock_of(context: Context) -> threading.RLock:
    with context.lock:
        lock: threading.RLock = context.attached.setdefault(_LOCK, threading.RLock())
        return lock


def remember(context: Context, nos: NDArray[np.uint32], version: int) -> None:
    """Keeps the numbers of objects that made this version of the selection."""
    with context.lock:
        context.attached[_NAME] = (np.asarray(nos, np.uint32), version)


def chosen(context: Context) -> NDArray[np.uint32] | None:
    """The objects that were chosen; None where the selection was made by other means since."""
    with _lock_of(context):
        known: tuple[NDArray[np.uint32], int] | None = context.attached.get(_NAME)
        return None if known is None or known[1] != context.selection.version else known[0]
