"""What a lasso or a box came to, said so shortly that a plot which holds the points works out the rest by itself.

A plot tests the rounded places that it was sent, at once, so that the highlight is there with the hand. Only points
within a step of the line can come out otherwise than by the exact test: these few are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plot_files import STEPS

Bounds = tuple[float, float, float, float]
# With more of them the marks of all points are the shorter message.
MOST_CORRECTIONS = 2_000
# Steps farther out than this lose parts of a step to rounding.
_FARTHEST = 1e7
_CHUNK = 32_768


@dataclass(frozen=True)
class Differing:
    """Points whose rounded places lie on the other side of the line than their exact ones.

    Attributes:
        nos: sample numbers.
        positions: in the order of the wire.
        exact: whether the exact place is inside; the rounded one is where this one is not.
    """

    nos: NDArray[np.uint32]
    positions: NDArray[np.uint32]
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """A lasso or box, before it is resolved against the selection.

    Attributes:
        token: by which a panel knows its own.
        passing: of the filter when it was tested.
        shape: as it was asked.
        places: the order in which positions count.
        differing: None where it is not known, or where they are too many to name.
    """

    token: str | None
    passing: int
    shape: Mapping[str, Any]
    places: str
    differing: Differing | None

    def record(self, before: NDArray[np.bool_], version: int, mode: str) -> dict[str, Any] | None:
        """What panels are told.

        Args:
            before: which samples were selected.
            version: of that selection.
            mode: how the two are combined.
        """
        differing = self.differing
        if differing is None:
            return None
        known = differing.nos < len(before)
        was = np.zeros(len(differing.nos), bool)
        was[known] = before[differing.nos[known]]
        wanted, thought = combined(was, differing.exact, mode), combined(was, ~differing.exact, mode)
        on, off = differing.positions[wanted & ~thought], differing.positions[thought & ~wanted]
        if len(on) + len(off) > MOST_CORRECTIONS:
            return None
        return {
            "token": self.token,
            "from": version,
            "passing": self.passing,
            "mode": mode,
            "shape": dict(self.shape),
            "places": self.places,
            "on": np.sort(on).tolist(),
            "off": np.sort(off).tolist(),
        }


def combined(now: NDArray[np.bool_], given: NDArray[np.bool_], mode: str) -> NDArray[np.bool_]:
    """What is selected after a gesture of this mode."""
    match mode:
        case "replace":
            return given
        case "add":
            return now | given
        case "subtract":
            return now & ~given
        case _:
            return now & given


def ring_of(corners: NDArray[np.float64], bounds: Bounds) -> NDArray[np.float64] | None:
    """The corners in steps, rounded as the page rounds them; None where they lie too far out for that."""
    x_low, y_low, x_high, y_high = bounds
    with np.errstate(all="ignore"):
        ring = np.stack(
            [
                ((corners[:, 0] - x_low) / (x_high - x_low)) * STEPS,
                ((corners[:, 1] - y_low) / (y_high - y_low)) * STEPS,
            ],
            axis=1,
        )
    return ring if bool((np.abs(ring) < _FARTHEST).all()) else None


def inside_ring(x: NDArray[np.uint16], y: NDArray[np.uint16], ring: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The test of js/panels/scatter/lasso.ts, to the last bit: the same operations in the same order.

    Args:
        x: steps, shape (n,).
        y: likewise.
        ring: corners in steps, shape (corners, 2).
    """
    before = np.roll(ring, 1, axis=0)
    steep = ring[:, 1] != before[:, 1]
    (xi, yi), (xj, yj) = ring[steep].T, before[steep].T
    low, high = np.minimum(yi, yj), np.maximum(yi, yj)
    inside = np.zeros(len(x), bool)
    for start in range(0, len(x), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        order = np.argsort(y[chunk], kind="stable")
        px, py = x[chunk][order].astype(np.float64), y[chunk][order].astype(np.float64)
        odd = np.zeros(len(px), bool)
        # (yi > y) != (yj > y) says: from the lower end on, without the upper one.
        first, last = np.searchsorted(py, low), np.searchsorted(py, high)
        for at in np.flatnonzero(first < last).tolist():
            beside = slice(first[at], last[at])
            crossing = ((xj[at] - xi[at]) * (py[beside] - yi[at])) / (yj[at] - yi[at]) + xi[at]
            odd[beside] ^= px[beside] < crossing
        answer = np.empty(len(px), bool)
        answer[order] = odd
        inside[chunk] = answer
    return inside
