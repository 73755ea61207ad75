"""Groups of different sizes in one flat array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def grouped(sizes: Ints) -> tuple[Ints, Ints]:
    """For groups of these sizes behind each other: of each element its group, and its place in it from 0."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    return group, np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
