"""A grid over the points of a map: which of its cells a lasso covers, and which ones its line crosses.

Points stand on disk cell by cell, so a covered cell gives its points without looking at any of them, and only points in
crossed cells are tested. What counts as inside is said in region.py; here nothing is guessed: a cell is called covered
or outside only where that test gives the same answer for every point that could lie in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bounds = tuple[float, float, float, float]  # x low, y low, x high, y high
MOST_CELLS = 1_024  # each way
POINTS_A_CELL = 4
# Pairs of an edge and a row of cells that are worked on at a time.
_PAIRS = 400_000
# Rounding of places to cells, as a part of a cell: far more than float64 can lose, far less than a cell.
_SLACK = 1e-3
_EPSILON = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Grid:
    """size x size cells over the bounds. Cell (row, column) has the number row * size + column; row 0 is the lowest."""

    bounds: Bounds
    size: int

    @classmethod
    def over(cls, bounds: Bounds, total: int) -> Grid:
        """A grid that suits so many points."""
        wanted = (total / POINTS_A_CELL) ** 0.5
        return cls(bounds, min(MOST_CELLS, 1 << max(0, int(np.ceil(np.log2(max(1.0, wanted)))))))

    @property
    def per_x(self) -> float:
        """Cells for one unit of data, along x."""
        return self.size / (self.bounds[2] - self.bounds[0])

    @property
    def per_y(self) -> float:
        """The same along y."""
        return self.size / (self.bounds[3] - self.bounds[1])

    def columns(self, x: NDArray[np.floating]) -> NDArray[np.int64]:
        """The column of each x; what lies outside the bounds is in the first or last one."""
        wide = (np.asarray(x, np.float64) - self.bounds[0]) * self.per_x
        return np.clip(wide, 0, self.size - 1).astype(np.int64)

    def rows(self, y: NDArray[np.floating]) -> NDArray[np.int64]:
        """The row of each y, likewise."""
        high = (np.asarray(y, np.float64) - self.bounds[1]) * self.per_y
        return np.clip(high, 0, self.size - 1).astype(np.int64)

    def cells(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.int64]:
        """The number of the cell of each point."""
        return self.rows(y) * self.size + self.columns(x)


@dataclass(frozen=True)
class Cover:
    """What a shape does with each cell, by cell number: all of it is inside, or points must be tested."""

    inside: NDArray[np.bool_]
    crossed: NDArray[np.bool_]


def of_box(grid: Grid, x0: float, y0: float, x1: float, y1: float, margin: tuple[float, float] = (0.0, 0.0)) -> Cover:
    """What a box with these opposite corners covers; its border is inside. `margin` as of `of_polygon`."""
    (x0, x1), (y0, y1), (wide, high) = sorted((x0, x1)), sorted((y0, y1)), margin
    columns, near_columns = _between(grid.columns(np.array([x0 - wide, x0 + wide, x1 - wide, x1 + wide])), grid.size)
    rows, near_rows = _between(grid.rows(np.array([y0 - high, y0 + high, y1 - high, y1 + high])), grid.size)
    inside = rows[:, None] & columns
    touched = (rows | near_rows)[:, None] & (columns | near_columns)
    return Cover(inside.ravel(), (touched & ~inside).ravel())


def _between(ends: NDArray[np.int64], size: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells wholly between the two ends of a box, along one axis, and those that its ends touch."""
    between, near = np.zeros(size, bool), np.zeros(size, bool)
    between[ends[1] + 1 : max(0, ends[2])] = True
    near[ends[0] : ends[1] + 1] = True
    near[ends[2] : ends[3] + 1] = True
    return between & ~near, near


def of_polygon(grid: Grid, corners: NDArray[np.float64], margin: tuple[float, float] = (0.0, 0.0)) -> Cover:
    """What a polygon covers by the even-odd rule.

    Args:
        grid: over the points.
        corners: shape (corners, 2), finite, in data coordinates.
        margin: cells that come so near to the line count as crossed; in data units along x and y.
    """
    size = grid.size
    crossed = np.zeros((size, size + 1), np.int32)  # +1 where a crossed stretch begins, -1 behind its end
    flips = np.zeros((size, size + 2), np.uint8)  # crossings of the middle line of each row, by column + 1; may wrap
    with np.errstate(all="ignore"):
        for edges in _in_portions(grid, corners, margin):
            _mark(grid, edges, margin, crossed, flips)
    touched = np.cumsum(crossed, axis=1, dtype=np.int32)[:, :size] > 0
    # A cell is inside when an odd number of crossings lies to its right.
    odd = (np.cumsum(flips[:, ::-1], axis=1, dtype=np.uint8)[:, ::-1][:, 2:] & 1).astype(bool)
    return Cover((odd & ~touched).ravel(), touched.ravel())


@dataclass(frozen=True)
class _Edges:
    """Edges, each repeated for every row of cells that it comes near to."""

    x0: NDArray[np.float64]
    y0: NDArray[np.float64]
    x1: NDArray[np.float64]
    y1: NDArray[np.float64]
    row: NDArray[np.int64]


def _in_portions(grid: Grid, corners: NDArray[np.float64], margin: tuple[float, float]) -> Iterator[_Edges]:
    start, stop = corners, np.roll(corners, -1, axis=0)
    near = margin[1] * grid.per_y + _SLACK
    low, high = np.minimum(start[:, 1], stop[:, 1]), np.maximum(start[:, 1], stop[:, 1])
    y_low = grid.bounds[1]
    first = np.clip(np.floor((low - y_low) * grid.per_y - near), 0, grid.size).astype(np.int64)
    last = np.clip(np.floor((high - y_low) * grid.per_y + near), -1, grid.size - 1).astype(np.int64)
    there = np.flatnonzero(first <= last)
    counts = (last - first + 1)[there]
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(there):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        chosen, many = there[begin:end], counts[begin:end]
        offsets = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        edge = np.repeat(chosen, many)
        yield _Edges(start[edge, 0], start[edge, 1], stop[edge, 0], stop[edge, 1], first[edge] + offsets)
        begin = end


def _mark(
    grid: Grid,
    edges: _Edges,
    margin: tuple[float, float],
    crossed: NDArray[np.int32],
    flips: NDArray[np.uint8],
) -> None:
    size, (x_low, y_low, _, _) = grid.size, grid.bounds
    near_x, near_y = margin[0] * grid.per_x + _SLACK, margin[1] * grid.per_y + _SLACK
    x0, y0, x1, y1, row = edges.x0, edges.y0, edges.x1, edges.y1, edges.row
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    level = y0 == y1
    slope = (x1 - x0) / (y1 - y0)
    offset = x0 - slope * y0
    # The part of the edge that lies beside this row, and how far its x may be off where large numbers cancel out.
    below = np.clip(y_low + (row - near_y) / grid.per_y, low, high)
    above = np.clip(y_low + (row + 1 + near_y) / grid.per_y, low, high)
    left, right = np.minimum(x0, x1), np.maximum(x0, x1)
    one = np.where(level, left, np.clip(slope * below + offset, left, right))
    other = np.where(level, right, np.clip(slope * above + offset, left, right))
    doubt = np.where(level, 0.0, _EPSILON * (np.abs(slope) * np.maximum(np.abs(low), np.abs(high)) + np.abs(offset)))
    from_x = (np.minimum(one, other) - doubt - x_low) * grid.per_x - near_x
    to_x = (np.maximum(one, other) + doubt - x_low) * grid.per_x + near_x
    # Beyond all numbers nothing is known: then every cell of the row is tested.
    first = np.clip(np.floor(np.where(np.isnan(from_x), -1, from_x)), 0, size).astype(np.int64)
    last = np.clip(np.floor(np.where(np.isnan(to_x), size, to_x)), -1, size - 1).astype(np.int64)
    there = first <= last
    np.add.at(crossed, (row[there], first[there]), 1)
    np.add.at(crossed, (row[there], last[there] + 1), -1)
    middle = y_low + (row + 0.5) / grid.per_y
    at = slope * middle + offset
    meets = ~level & (low <= middle) & (middle < high) & ~np.isnan(at)
    column = np.clip(np.floor((at - x_low) * grid.per_x), -1, size)[meets].astype(np.int64) + 1
    np.add.at(flips, (row[meets], column), 1)


def runs(cells: NDArray[np.bool_], starts: NDArray[np.unsignedinteger]) -> list[tuple[int, int]]:
    """Where the points of the chosen cells stand in the order of the cells: first and one past the last of each run.

    Args:
        cells: which cells, by their number.
        starts: where the points of each cell begin, one more than there are cells.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], cells, [False]]).view(np.int8)))
    firsts, lasts = starts[edges[::2]].tolist(), starts[edges[1::2]].tolist()
    return [(first, last) for first, last in zip(firsts, lasts, strict=True) if first < last]
