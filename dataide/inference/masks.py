"""Masks as runs, as COCO counts them: column by column, first how many pixels are off, then on, then off …

The sum of the runs is height x width, so the height of the picture is all one needs beside them.
"""

from __future__ import annotations

import numpy as np


def encoded(mask: np.ndarray) -> np.ndarray:
    """The runs (uint32) of a bool mask, H x W."""
    flat = np.asarray(mask, bool).ravel(order="F")
    if not len(flat):
        return np.empty(0, np.uint32)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [len(flat)]]))
    return np.concatenate([[0], runs] if flat[0] else [runs]).astype(np.uint32)


def decoded(runs: np.ndarray, height_px: int) -> np.ndarray:
    """The bool mask, H x W, of these runs."""
    lengths = np.asarray(runs, np.int64)
    on = np.zeros(len(lengths), bool)
    on[1::2] = True
    return (
        np.repeat(on, lengths).reshape((height_px, -1), order="F") if len(lengths) else np.zeros((height_px, 0), bool)
    )
