"""Edges of histograms that people can read: 1, 2, 2.5 or 5 times a power of ten; whole minutes, hours and days."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_SECOND, _MINUTE, _HOUR, _DAY = 1e3, 6e4, 3.6e6, 8.64e7
_TIME_STEPS = [
    *(step * _SECOND for step in (1, 2, 5, 10, 15, 30)),
    *(step * _MINUTE for step in (1, 2, 5, 10, 15, 30)),
    *(step * _HOUR for step in (1, 2, 3, 6, 12)),
    *(step * _DAY for step in (1, 2, 7, 14, 30, 60, 90, 182, 365)),
]


def nice_edges(low: float, high: float, bins: int, *, whole: bool = False) -> Array:
    """At most about `bins` bins that cover low to high; of whole width for whole numbers."""
    if not high > low:
        half = 0.5 if whole or low == 0 else abs(low) / 20
        return np.array([low - half, low + half])
    if not math.isfinite(high - low):
        return np.array([low, high])
    step = _nice_step((high - low) / bins)
    if whole:
        step = max(1.0, math.ceil(step))
        if step == 1.0:  # one bin for each number, which stands in its middle
            return np.arange(low - 0.5, high + 1.0)
    return _covering(low, high, step)


def nice_time_edges(low_ms: float, high_ms: float, bins: int) -> Array:
    """The same for milliseconds since 1970: whole seconds, minutes, hours, days, about months, years."""
    if not high_ms > low_ms:
        return np.array([low_ms - _HOUR, low_ms + _HOUR])
    rough = (high_ms - low_ms) / bins
    if rough < _SECOND:
        return _covering(low_ms, high_ms, _nice_step(rough))
    fitting = [step for step in _TIME_STEPS if step >= rough]
    step = fitting[0] if fitting else math.ceil(rough / (365 * _DAY)) * 365 * _DAY
    return _covering(low_ms, high_ms, step)


def _nice_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 2.5, 5.0):
        if factor * magnitude >= rough * (1 - 1e-9):
            return factor * magnitude
    return 10.0 * magnitude


def _covering(low: float, high: float, step: float) -> Array:
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    if last - first > 10_000 or first * step == (first + 1) * step:
        return np.array([low, high])  # numbers so close together, or so large, that floats do not tell the edges apart
    edges = np.arange(first, last + 1) * step
    decimals = max(0, 2 - math.floor(math.log10(step)))
    if decimals < 300:
        edges = np.round(edges, decimals)  # 0.3 and not 0.30000000000000004
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    return edges
