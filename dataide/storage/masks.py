"""Masks as runs, as COCO counts them: column by column, first how many pixels are off, then on, then off …

The sum of the runs is height x width, so the height of the picture is all one needs beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FIVE_BITS, _SIGN, _MORE, _FIRST = 0x1F, 0x10, 0x20, 48


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


def area(runs: np.ndarray) -> int:
    """How many pixels are on."""
    return int(np.asarray(runs, np.int64)[1::2].sum())


def box(runs: np.ndarray, height_px: int) -> tuple[int, int, int, int] | None:
    """The smallest box around the pixels that are on: left, top, width, height in px; None where there are none."""
    lengths = np.asarray(runs, np.int64)
    ends = np.cumsum(lengths)
    first, last = (ends - lengths)[1::2], ends[1::2] - 1
    there = last >= first
    if not there.any() or height_px <= 0:
        return None
    first, last = first[there], last[there]
    left, right = int(first[0] // height_px), int(last[-1] // height_px)
    if (first // height_px != last // height_px).any():
        # A run that goes on in the next column touches the bottom of one and the top of the other.
        top, bottom = 0, height_px - 1
    else:
        top, bottom = int((first % height_px).min()), int((last % height_px).max())
    return left, top, right - left + 1, bottom - top + 1


def from_text(counts: str | bytes) -> np.ndarray:
    """The runs (uint32) that COCO's compressed text stands for.

    Numbers in groups of five bits, the lowest first, each a character from "0" on; from the fourth on they are
    differences to the number before the last (Lin et al. 2014, maskApi.c of the COCO API).

    Raises:
        ValueError: it is no such text.
    """
    data = np.frombuffer(counts.encode("ascii") if isinstance(counts, str) else bytes(counts), np.uint8)
    values = data.astype(np.int64) - _FIRST
    if not len(values):
        return np.empty(0, np.uint32)
    more = values & _MORE
    if ((values < 0) | (values > 63)).any() or more[-1]:
        raise ValueError("the counts are no compressed runs")
    ends = np.flatnonzero(more == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if int(sizes.max()) > 8:
        raise ValueError("the counts are no compressed runs")
    shift = 5 * (np.arange(len(values)) - np.repeat(starts, sizes))
    numbers = np.add.reduceat((values & _FIVE_BITS) << shift, starts)
    numbers -= np.where(values[ends] & _SIGN, np.int64(1) << (5 * sizes), 0)
    runs = numbers.copy()
    runs[1::2] = np.cumsum(numbers[1::2])
    runs[2::2] = np.cumsum(numbers[2::2])
    return _checked(runs)


def to_text(runs: np.ndarray) -> str:
    """COCO's compressed text of runs."""
    numbers = np.asarray(runs, np.int64)
    differences = numbers.copy()
    differences[3:] -= numbers[1:-2]
    written = bytearray()
    for value in differences.tolist():
        while True:
            low, value = value & _FIVE_BITS, value >> 5
            done = value == (-1 if low & _SIGN else 0)
            written.append(_FIRST + (low if done else low | _MORE))
            if done:
                break
    return written.decode("ascii")


def from_counts(counts: Sequence[int] | str | bytes, height_px: int, width_px: int) -> np.ndarray:
    """The runs (uint32) of COCO's counts, compressed or not, of a mask of this size.

    Raises:
        ValueError: they do not go through the picture once.
    """
    if isinstance(counts, str | bytes):
        runs = from_text(counts)
    else:
        array = np.asarray(counts)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ValueError("the counts are no whole numbers")
        runs = _checked(array.astype(np.int64))
    total = int(runs.sum(dtype=np.int64))
    if total != height_px * width_px:
        raise ValueError(f"the runs have {total:,} pixels, and the picture {height_px * width_px:,}")
    return runs


def polygon_area(polygons: Sequence[Sequence[float]]) -> float:
    """The area inside outlines (x, y, x, y …), each by itself, in square px: Gauss's formula."""
    total = 0.0
    for outline in polygons:
        points = np.asarray(outline, np.float64).reshape(-1, 2)
        x, y = points[:, 0] - points[0, 0], points[:, 1] - points[0, 1]
        total += abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return total


def placed(
    mask: np.ndarray, before: tuple[float, float, float, float], after: tuple[float, float, float, float]
) -> np.ndarray:
    """A bool mask (H x W) whose content of one box (left, top, width, height in px) stands in another, stretched to it.

    What falls outside of the picture is lost.
    """
    height, width = mask.shape
    columns = before[0] + (np.arange(width) + 0.5 - after[0]) * (before[2] / after[2])
    rows = before[1] + (np.arange(height) + 0.5 - after[1]) * (before[3] / after[3])
    column, row = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
    good_column, good_row = (column >= 0) & (column < width), (row >= 0) & (row < height)
    found = mask[np.clip(row, 0, height - 1)[:, None], np.clip(column, 0, width - 1)[None, :]]
    return np.asarray(found & good_row[:, None] & good_column[None, :])


def _checked(runs: np.ndarray) -> np.ndarray:
    if len(runs) and (int(runs.min()) < 0 or int(runs.max()) > 0xFFFFFFFF):
        raise ValueError("a run has a length that is none")
    return np.asarray(runs.astype(np.uint32))
