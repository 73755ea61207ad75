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


def sampled(runs: np.ndarray, height_px: int, box_px: tuple[int, int, int, int], columns: int, rows: int) -> np.ndarray:
    """A part of a mask, rows x columns bool, one look at the middle of each cell; the mask itself is never unpacked.

    Args:
        runs: of the mask.
        height_px: of the mask.
        box_px: the part: left, top, width, height in px, inside of the mask.
        columns, rows: cells across and down.
    """
    left, top, width, height = box_px
    across = left + np.minimum((np.arange(columns) + 0.5) * width / columns, width - 1).astype(np.int64)
    down = top + np.minimum((np.arange(rows) + 0.5) * height / rows, height - 1).astype(np.int64)
    places = across[None, :] * height_px + down[:, None]
    # The run in which a pixel lies: those of odd number are on.
    return np.asarray(np.searchsorted(np.cumsum(np.asarray(runs, np.int64)), places, side="right") & 1, bool)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The borders of a bool mask (H x W): rings of corners, n x 2 int64 (x, y), each closed by itself.

    Filled by the even-odd rule they are the mask again, holes included. Corners of rectilinear outlines that follow
    each other in a row or a column belong together in pairs (O'Rourke 1988, Uniqueness of orthogonal connect-the-dots).
    """
    turning, touching = _turning(mask)
    y, x = np.nonzero(turning | touching)
    twice = 1 + touching[y, x].astype(np.int64)
    y, x = np.repeat(y, twice), np.repeat(x, twice)
    count = len(x)
    # np.nonzero gives them row by row: neighbours in that list share a horizontal edge, those in the other a vertical.
    beside = np.arange(count) ^ 1
    by_column = np.lexsort((y, x))
    above = np.empty(count, np.int64)
    above[by_column] = by_column[np.arange(count) ^ 1]
    corners, partners = np.stack([x, y], axis=1), (beside.tolist(), above.tolist())
    rings: list[np.ndarray] = []
    seen = bytearray(count)
    for start in range(count):
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            for partner in partners:
                seen[at] = 1
                ring.append(at)
                at = partner[at]
        rings.append(corners[ring])
    return rings


def corners(mask: np.ndarray) -> int:
    """How many corners the borders of a bool mask (H x W) have; quicker than `outlines`."""
    turning, touching = _turning(mask)
    return int(np.count_nonzero(turning)) + 2 * int(np.count_nonzero(touching))


def _turning(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which pixels of a mask a border turns, and where two do: bool, (H + 1) x (W + 1)."""
    padded = np.pad(np.asarray(mask, bool), 1).astype(np.int8)
    around = padded[:-1, :-1] + padded[:-1, 1:] + padded[1:, :-1] + padded[1:, 1:]
    # Where two pixels touch by their corners only, two outlines have a corner at the same place.
    touching = (around == 2) & (padded[:-1, :-1] == padded[1:, 1:])
    return (around & 1).astype(bool), touching


def simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """A closed ring (n x 2) with fewer corners, none of what is left out further than `tolerance` from what stays.

    Douglas and Peucker 1973, from the two corners that lie furthest apart. Fewer than three corners are left of rings
    that are smaller than the tolerance.
    """
    points = np.asarray(ring, np.float64)
    count = len(points)
    if count <= 3 or tolerance <= 0:
        return points
    far = int(np.argmax(((points - points[0]) ** 2).sum(axis=1)))
    kept = np.zeros(count + 1, bool)
    kept[[0, far, count]] = True
    closed = np.concatenate([points, points[:1]])
    waiting = [(0, far), (far, count)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        between = closed[first + 1 : last] - closed[first]
        line = closed[last] - closed[first]
        length = float(np.hypot(line[0], line[1]))
        if length == 0:
            away = np.hypot(between[:, 0], between[:, 1])
        else:
            # Beyond the ends of the line the nearest place is an end.
            along = np.clip((between @ line) / length**2, 0, 1)
            away = np.hypot(*(between - along[:, None] * line).T)
        worst = int(np.argmax(away))
        if away[worst] > tolerance:
            middle = first + 1 + worst
            kept[middle] = True
            waiting += [(first, middle), (middle, last)]
    return points[kept[:-1]]


def thinned(ring: np.ndarray, step: float) -> np.ndarray:
    """A ring (n x 2) without the corners that lie in the same cell of a grid as the one before: quick, and near enough
    where a cell is smaller than what anyone sees."""
    cells = np.floor(np.asarray(ring, np.float64) / step)
    return np.asarray(ring[(cells != np.roll(cells, 1, axis=0)).any(axis=1)])


def _checked(runs: np.ndarray) -> np.ndarray:
    if len(runs) and (int(runs.min()) < 0 or int(runs.max()) > 0xFFFFFFFF):
        raise ValueError("a run has a length that is none")
    return np.asarray(runs.astype(np.uint32))
