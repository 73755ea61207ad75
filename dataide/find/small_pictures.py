"""Pictures made so small that a million of them fit on the disk beside the session: for looking which show the same.

They are made in the inference process, like vectors, and kept in NAME.cache/small, a row of bytes for each picture; it
is safe to delete. The index says whose row it is, and of which revision of the picture, so a row of an earlier picture
is never taken for one of the present.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.inference import descriptor
from dataide.inference.identity import identify
from dataide.inference.job import Job
from dataide.inference.running import Means, Running, stacked
from dataide.storage import vectors
from dataide.storage.vectors import Pending

if TYPE_CHECKING:
    from dataide.inference.kernel import Kernel
    from dataide.inference.pump import Results
    from dataide.storage.database import Database
    from dataide.storage.media import Media

SIDE_PX = descriptor.CANVAS_PX
_ROW = SIDE_PX * SIDE_PX * 3
_NAME = "small pictures"
_writing = threading.Lock()


def shrunk(pictures: list[Any]) -> np.ndarray:
    """Pillow pictures as float32 levels, shape (n, side * side * 3): squashed, so that all of each is seen."""
    return np.stack([descriptor.canvas(one).reshape(-1) for one in pictures]).astype(np.float32)


def fetch(database: Database, nos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The small pictures that were made of the present pictures of samples.

    Returns:
        sample numbers, ascending (uint32), and uint8, shape (n, side, side, 3).
    """
    looked = _Files(database)
    pending = vectors.pending(database, None, nos)
    rows = looked.rows(pending)
    there = rows >= 0
    if not there.any():
        return np.zeros(0, np.uint32), np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8)
    found = np.memmap(looked.data, np.uint8, "r").reshape(-1, _ROW)[rows[there]]
    return pending.nos[there], np.asarray(found).reshape(-1, SIDE_PX, SIDE_PX, 3)


def make(database: Database, media: Media, nos: np.ndarray, kernel: Kernel | None) -> Job[Made]:
    """Makes those that are missing.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers.
        kernel: whose process makes them.
    """
    identity = identify(shrunk, _NAME, task="embedding")
    job = _Making(database, media, nos, identity, Means(kernel)).start(False, None)
    assert isinstance(job, Job)
    return job


@dataclass(frozen=True)
class Made:
    """How many were made, how many were there, and how many could not be read."""

    made: int
    present: int
    problems: int


class _Files:
    """The rows on the disk."""

    def __init__(self, database: Database) -> None:
        folder = database.cache_dir / "small"
        self.data = folder / f"{SIDE_PX}.bytes"
        self._index = folder / f"{SIDE_PX}.npy"
        self._known = self._read()

    def rows(self, pending: Pending) -> np.ndarray:
        """In which row each of the pictures stands; -1 for none. int64, shape (n,)."""
        found = np.full(len(pending.nos), -1, np.int64)
        if len(self._known) and len(pending.nos):
            wanted = _keys(pending.nos, pending.media_revisions)
            order = np.argsort(self._known, kind="stable")
            places = np.minimum(np.searchsorted(self._known, wanted, sorter=order), len(order) - 1)
            same = self._known[order[places]] == wanted
            found[same] = order[places[same]]
        return found

    def append(self, nos: np.ndarray, revisions: np.ndarray, rows: np.ndarray) -> None:
        """Adds rows: the bytes first, so that the index never names one that is not there."""
        with _writing:
            self._known = self._read()
            self.data.parent.mkdir(parents=True, exist_ok=True)
            with open(self.data, "r+b" if self.data.exists() else "w+b") as stream:
                stream.seek(len(self._known) * _ROW)
                stream.truncate()
                stream.write(np.ascontiguousarray(rows, np.uint8).data)
            self._known = np.concatenate([self._known, _keys(nos, revisions)])
            fresh = self._index.with_suffix(f".{os.getpid()}.new")
            with open(fresh, "wb") as stream:
                np.save(stream, self._known, allow_pickle=False)
            os.replace(fresh, self._index)

    def _read(self) -> np.ndarray:
        try:
            known: np.ndarray = np.load(self._index, allow_pickle=False)
            whole = known.dtype == np.uint64 and known.ndim == 1 and _size(self.data) >= len(known) * _ROW
        except (OSError, ValueError):
            whole = False
        return known if whole else np.zeros(0, np.uint64)


class _Making(Running[Made]):
    verb = "shrinking"

    @property
    def said(self) -> str:
        return "pictures"

    def find_pending(self, revision: str | None, details: dict[str, Any]) -> Pending:
        every = vectors.pending(self.database, None, self.nos)
        missing = np.flatnonzero(_Files(self.database).rows(every) < 0)
        return Pending(every.nos[missing], [every.media[at] for at in missing], every.media_revisions[missing])

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        self.did.problems += len(problems)  # whoever embeds or measures lists them

    def commit(self, results: Results, revision: str) -> None:
        # Not a transaction: nothing that panels show has changed.
        good = [positions for positions, _ in results.batches if len(positions)]
        if good:
            self.store(None, np.concatenate(good), results, revision)
        self.did.good += sum(map(len, good))
        self.did.problems += len(results.problems)

    def store(self, cursor: object, positions: np.ndarray, results: Results, revision: str) -> None:
        rows = np.clip(np.rint(stacked(results, "vectors")), 0, 255).astype(np.uint8)
        _Files(self.database).append(self.pending.nos[positions], self.pending.media_revisions[positions], rows)

    def report(self, seconds: float, present: int, cancelled: bool) -> Made:
        return Made(self.did.good, present, self.did.problems)


def _keys(nos: np.ndarray, revisions: np.ndarray) -> np.ndarray:
    return nos.astype(np.uint64) << np.uint64(32) | revisions.astype(np.uint64)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
