"""How many points lie in each cell of a box: what is drawn of more points than a page holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .cells import Bounds

if TYPE_CHECKING:
    from .codes import Array
    from .coloring import Coloring
    from .points import Points

MOST_CELLS = 1_024
# Up to so many points are counted by their exact places; more only by the cell of the kept grid in which they lie.
MOST_EXACT = 4_000_000
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Density:
    """Counts in cells; row 0 is the low y. The box may be a little larger than the one asked for, its cells fewer."""

    box: Bounds
    width: int
    height: int
    inside: int
    highest: int
    visible: Array  # uint8 levels, height x width
    gone: Array
    selected: Array
    colors: Array  # uint8, the commonest colour byte of the visible ones


class _Portion(NamedTuple):
    """Some points: their sample numbers and in which cell of the picture each lies."""

    nos: Array
    cell: Array


def density(
    points: Points, box: Bounds, size: tuple[int, int], coloring: Coloring, selected: Array, visible: Array
) -> Density:
    """Counts points in cells.

    Args:
        points: of a map.
        box: x low, y low, x high, y high, in data coordinates.
        size: cells wanted along x and y.
        coloring: whose bytes are counted.
        selected: mask by sample number, at least `points.reach` long.
        visible: likewise.
    """
    width, height = (max(1, min(MOST_CELLS, wanted)) for wanted in size)
    inside, rows = points.within(box, MOST_EXACT) if points.total else (0, np.empty(0, np.int64))
    if inside <= MOST_EXACT:
        portions: Iterator[_Portion] = _exact(points, rows, box, width, height)
    else:
        box, columns, lines, portions = _by_grid(points, box, width, height)
        width, height = columns, lines
    counts = np.zeros((3, width * height), np.int64)
    colors = np.zeros(width * height, np.uint8)
    total = 0
    for portion in portions:
        passing = visible[portion.nos]
        here = portion.cell[passing]
        total += len(portion.cell)
        for at, which in enumerate((here, portion.cell[~passing], portion.cell[selected[portion.nos]])):
            counts[at] += np.bincount(which, minlength=width * height)
        _commonest(colors, here, coloring.of_samples(portion.nos[passing]))
    points.rest()
    highest = int(counts.max(initial=0))
    shown, gone, chosen = (_levels(one, highest).reshape(height, width) for one in counts)
    return Density(box, width, height, total, highest, shown, gone, chosen, colors.reshape(height, width))


def _exact(points: Points, rows: Array, box: Bounds, width: int, height: int) -> Iterator[_Portion]:
    if not len(rows):
        return
    plot = points.plot
    x, y = plot.cell_x[rows], plot.cell_y[rows]
    yield _Portion(plot.cell_nos[rows], _along(y, box[1], box[3], height) * width + _along(x, box[0], box[2], width))


def _along(values: Array, low: float, high: float, count: int) -> Array:
    scaled = (values.astype(np.float64) - low) * (count / (high - low))
    return np.clip(scaled, 0, count - 1).astype(np.int64)


def _by_grid(points: Points, box: Bounds, width: int, height: int) -> tuple[Bounds, int, int, Iterator[_Portion]]:
    """Cells that are made of whole cells of the kept grid, so that each point lies in exactly one of them."""
    plot, grid = points.plot, points.plot.head.grid
    first_column, last_column = grid.columns(np.array([box[0], box[2]])).tolist()
    first_row, last_row = grid.rows(np.array([box[1], box[3]])).tolist()
    wide, high = -(-(last_column - first_column + 1) // width), -(-(last_row - first_row + 1) // height)
    columns, lines = -(-(last_column - first_column + 1) // wide), -(-(last_row - first_row + 1) // high)
    x_low, y_low = grid.bounds[0] + first_column / grid.per_x, grid.bounds[1] + first_row / grid.per_y
    there = (x_low, y_low, x_low + columns * wide / grid.per_x, y_low + lines * high / grid.per_y)

    def portions() -> Iterator[_Portion]:
        starts = plot.starts
        waiting: list[_Portion] = []
        count = 0
        for line in range(lines):
            for row in range(first_row + line * high, min(last_row, first_row + (line + 1) * high - 1) + 1):
                begin, end = row * grid.size + first_column, row * grid.size + last_column + 1
                stops = starts[begin : end + 1].astype(np.int64)
                many = stops[1:] - stops[:-1]
                cell = np.repeat(line * columns + np.arange(end - begin) // wide, many)
                waiting.append(_Portion(plot.cell_nos[stops[0] : stops[-1]], cell))
                count += len(cell)
            # Whole lines only: the commonest colour of a cell is found among all of its points.
            if count > _AT_ONCE or line == lines - 1:
                yield _Portion(*(np.concatenate(part) for part in zip(*waiting, strict=True)))
                waiting, count = [], 0

    return there, columns, lines, portions()


def _commonest(colors: Array, cell: Array, bytes_of: Array) -> None:
    """Sets the colour of each cell that has points; of equally common ones the one with the larger byte."""
    if not len(cell):
        return
    keys = cell.astype(np.uint32) << np.uint32(8) | bytes_of  # at most 2^20 cells
    keys.sort()
    ends = np.flatnonzero(np.append(keys[1:] != keys[:-1], True))
    counts = np.diff(ends, prepend=-1).astype(np.uint64)
    keys = keys[ends].astype(np.uint64)
    # Behind each other by cell, then by count: the last one of a cell is its commonest.
    ranked = np.sort((keys >> np.uint64(8)) << np.uint64(40) | counts << np.uint64(8) | (keys & np.uint64(255)))
    of_cell = ranked >> np.uint64(40)
    last = np.flatnonzero(np.append(of_cell[1:] != of_cell[:-1], True))
    colors[of_cell[last].astype(np.int64)] = (ranked[last] & np.uint64(255)).astype(np.uint8)


def _levels(counts: Array, highest: int) -> Array:
    if not highest:
        return np.zeros(len(counts), np.uint8)
    levels = np.rint(255 * np.log1p(counts) / np.log1p(highest))
    return np.where(counts > 0, np.maximum(levels, 1), 0).astype(np.uint8)
