"""The colours of categories and numbers: the twin of js/core/colors.ts, for the pictures in saved notebooks."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

Rgb = tuple[int, int, int]

# Okabe and Ito (2008) without black and with a darker yellow, and four of Paul Tol's "muted".
_FEW = ["0072b2", "e69f00", "009e73", "cc79a7", "56b4e9", "d55e00", "8f6bd1", "a89f00", "aa4466", "44b7a8"]
# Viridis (Smith and van der Walt, 2015) without its darkest end.
_NUMBERS = ["482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
NO_VALUE: Rgb = (154, 160, 166)
ONE_COLOR: Rgb = (0, 114, 178)
_GOLDEN_ANGLE_DEG = 137.508


def category(index: int, total: int) -> Rgb:
    """The colour of category `index` out of `total`."""
    if not 0 <= index < 255:
        return NO_VALUE
    if total <= len(_FEW) and index < len(_FEW):
        return _rgb(_FEW[index])
    lightness = (0.5, 0.62, 0.42)[index % 3]
    hue = (index * _GOLDEN_ANGLE_DEG + 205) % 360
    red, green, blue = colorsys.hls_to_rgb(hue / 360, lightness, 0.62)
    return round(red * 255), round(green * 255), round(blue * 255)


def categories(total: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The colours of all 256 colour bytes, when `total` categories are shown."""
    return np.array([category(byte, total) for byte in range(256)], dtype=np.uint8)


def numbers() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The colours of all 256 colour bytes of a number column."""
    stops = np.array([_rgb(color) for color in _NUMBERS], dtype=np.float64)
    at = np.linspace(0, len(stops) - 1, 255)
    scale = np.stack([np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], axis=1)
    return np.vstack([np.rint(scale), [NO_VALUE]]).astype(np.uint8)


def _rgb(color: str) -> Rgb:
    return int(color[:2], 16), int(color[2:4], 16), int(color[4:], 16)
