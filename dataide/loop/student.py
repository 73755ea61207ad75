"""Student's t: how likely a larger value is, and which value is that likely. Needs no more than floats."""

from __future__ import annotations

import math


def tail(value: float, freedom: float) -> float:
    """How likely a value of Student's t is at least as large as this one, with so many degrees of freedom.

    By the incomplete beta function: NIST Digital Library of Mathematical Functions, 8.17.22 (its continued fraction).
    """
    if math.isnan(value) or freedom <= 0:
        return 1.0
    if math.isinf(value):
        return 0.0 if value > 0 else 1.0
    half = 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + value * value))
    return half if value >= 0 else 1 - half


def quantile(part: float, freedom: float) -> float:
    """The value that is exceeded with the probability `part`, below one half."""
    low, high = 0.0, 1.0
    while tail(high, freedom) > part and high < 1e12:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, freedom) > part else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - _incomplete_beta(b, a, 1 - x)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # Lentz's way through the fraction; neither of the two may become zero.
    least = 1e-300
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1), least)
    found = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _apart(1 + term * d, least)
            c = _apart(1 + term / c, least)
            found *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(logs) * found / a


def _apart(value: float, least: float) -> float:
    return value if abs(value) > least else least
