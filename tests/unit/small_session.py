"""A real session with a few dozen pictures, vectors and a map, for tests of what panels are told."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

import dataide as di

LABELS = ["cat", "dog", 'a "<b>" it\'s', None]


@contextmanager
def small_session(folder: Path, count: int = 40) -> Iterator[di.Session]:
    """Labels in turn, a number column `price` with gaps, a time column `seen`, vectors and a PCA map.

    Made once for all tests of a process, which starts processes for pictures and vectors; each gets a copy.
    """
    with di.open(shutil.copy(Path(_made(count).name) / "small.duckdb", folder)) as session:
        yield session


@cache
def _made(count: int) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="dataide-small-")  # gone when the process ends
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (count, 8, 8), dtype=np.uint8)
    with di.open(Path(folder.name) / "small.duckdb") as session:
        session.add_arrays(
            pictures,
            label=[LABELS[n % 4] for n in range(count)],
            sample_id=[f"s{n:03}" for n in range(count)],
            price=[None if n % 5 == 0 else n / 2 for n in range(count)],
            seen=np.datetime64("2026-01-01T00:00", "us") + np.arange(count) * np.timedelta64(1, "D"),
            progress=False,
        )
        session.embed(progress=False)
        session.project("pca", progress=False)
    return folder
