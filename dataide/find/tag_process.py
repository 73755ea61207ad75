"""Autotag's learning in the process for finding, where a product has one thread.

A round solves some hundred small systems. In a notebook's process each of their products is shared out among threads
that wait for each other awake: where others compute as well that took ten times the work (a round over 100,000 vectors
on two busy cores: 2.3 to 3.5 s of CPU, with one thread 0.2 s). Only marks and background go over, less than 5 MB.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import ModelError, SessionClosed
from dataide.find.computing import Computing
from dataide.find.tag_learning import Background, Floats, Learned, Rows, Wide

if TYPE_CHECKING:
    from dataide.core.context import Context

_NAME = "autotag_learning"


class Learning:
    """One process for all taggers of a session; it starts with the first of them and ends with the session."""

    def __init__(self, context: Context) -> None:
        self._lock = threading.Lock()
        self._computing: Computing | None = Computing()
        self._closed = False
        context.at_close(self.close)

    @classmethod
    def of(cls, context: Context) -> Learning:
        """The one of this session."""
        with context.lock:
            known = context.attached.get(_NAME)
            if known is None:
                known = context.attached[_NAME] = cls(context)
            assert isinstance(known, cls)
            return known

    def warm(self) -> None:
        """Lets the process load what it learns with, so that the first round need not wait for it."""
        two = np.eye(2)
        self(
            two,
            np.array([1.0, 0.0]),
            Background(np.array([2]), np.ones((1, 2), np.float32), 1.0),
            np.arange(2),
            np.ones(2, np.float32),
            0,
        )

    def __call__(
        self, marks: Wide, truth: Wide, background: Background, rows: Rows, prototype: Floats, seed: int
    ) -> Learned:
        """`tag_learning.learned`, there.

        Raises:
            ModelError: the process has ended; the next call starts another.
            SessionClosed: the session has.
        """
        arrays: dict[str, np.ndarray] = {
            "marks": marks, "truth": truth, "rows": rows, "prototype": prototype,
            "background_rows": background.rows, "background_vectors": background.vectors,
        }  # fmt: skip
        with self._lock:
            if self._closed:
                raise SessionClosed("The session was closed.", hint="Open it again: session = di.open(…)")
            computing = self._computing = self._computing or Computing()
            try:
                found, told = computing.call("tag_head", {"seed": seed, "spread": background.spread}, arrays)
            except ModelError:
                self._computing = None
                computing.close()
                raise
        out = np.asarray(found["out"], np.float64)
        return Learned(
            np.asarray(found["direction"], np.float64), np.asarray(found["base"], np.float64), bool(told["plain"]),
            out if len(out) else None, float(told["centre"]), float(told["width"]),
        )  # fmt: skip

    def close(self) -> None:
        """Ends the process; a call that waits raises."""
        self._closed = True
        computing = self._computing
        if computing is not None:
            computing.end()
        with self._lock:
            computing, self._computing = self._computing, None
        if computing is not None:
            computing.close()
