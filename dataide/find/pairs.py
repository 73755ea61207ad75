"""The nearest neighbours of every row among all others: exactly in tiles, or inside cells where rows are very many.

A pair is looked at once and offered to both of its rows. Up to `EXACT_ROWS` all pairs are. Beyond that, rows are
compared inside cells around some of them, each row in its two nearest cells, as near duplicates hardly ever lie in
different ones: A. Abbas et al., "SemDeDup: Data-efficient learning at web-scale through semantic deduplication", 2023,
section 3 (there one cell a row).

A picture and its mirror image are compared at no extra cost. Numbers that mirroring leaves as they are (`even`) and
numbers whose sign it turns (`odd`) give e·e' + o·o' for one way and e·e' - o·o' for the other: the larger of both is
e·e' + |o·o'|.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Places = NDArray[np.int64]

EXACT_ROWS = 200_000
_TILE = 1_024
# Larger cells are cut: with rows that are all alike, one cell would hold everything.
_LARGEST_CELL = 4_096
_NONE = np.float32(-np.inf)


def never() -> bool:
    """The default of `stop`."""
    return False


class Stopped(Exception):
    """`stop` said so: nothing is given back."""


class Lists:
    """The k best partners of each row so far, in no order.

    Attributes:
        places: int32, N x k: rows; -1 where there is none.
        similarity: float32, N x k; -inf where there is none.
    """

    def __init__(self, count: int, k: int) -> None:
        self.places = np.full((count, k), -1, np.int32)
        self.similarity = np.full((count, k), _NONE, np.float32)
        self._least = np.full(count, _NONE, np.float32)

    def offer(self, rows: Places, partners: Places, similarity: Float) -> None:
        """similarity: rows x partners; -inf where the two are no pair."""
        above = similarity > self._least[rows, None]
        busy = np.flatnonzero(above.any(axis=1))
        if not len(busy):
            return
        k = self.places.shape[1]
        counts = above[busy].sum(axis=1)
        most = int(counts.max())
        if most > 4 * k and len(partners) > 4 * k:
            chosen = np.argpartition(similarity[busy], len(partners) - k, axis=1)[:, len(partners) - k :]
            values = np.take_along_axis(similarity[busy], chosen, axis=1)
            others = partners[chosen]
        else:
            at, column = np.nonzero(above[busy])
            place = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
            values = np.full((len(busy), most), _NONE, np.float32)
            others = np.full((len(busy), most), -1, np.int64)
            values[at, place] = similarity[busy[at], column]
            others[at, place] = partners[column]
        held = rows[busy]
        values = np.concatenate([self.similarity[held], values], axis=1)
        others = np.concatenate([self.places[held], np.where(np.isfinite(values[:, k:]), others, -1)], axis=1)
        best = np.argpartition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k :]
        self.similarity[held] = np.take_along_axis(values, best, axis=1)
        self.places[held] = np.take_along_axis(others, best, axis=1)
        self._least[held] = self.similarity[held].min(axis=1)


def neighbours(
    even: Float,
    odd: Float | None = None,
    *,
    k: int = 10,
    exact_rows: int = EXACT_ROWS,
    stop: Callable[[], bool] = never,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.int32], Float]:
    """The k most similar other rows of each row, best first.

    Args:
        even: float32, N x d: rows of length 1 (with `odd`: both together), so that products are cosines. Rows of
            zeros, and rows that are not finite, are nobody's neighbours and have none.
        odd: float32, N x e: numbers whose sign mirroring turns; None where mirror images do not count.
        k: how many; fewer come where there are fewer.
        exact_rows: up to so many rows all pairs are compared, beyond that those within cells.
        stop: asked now and then; when it says yes, `Stopped` is raised.
        progress: told how many of how many pieces are done.

    Returns:
        int32 N x k of rows, -1 where there is none; float32 N x k of similarities, -inf where there is none. The memory
        is that of the rows, of both results, and a few tiles.
    """
    count = len(even)
    k = max(1, min(k, count - 1))
    places, similarity = np.full((count, k), -1, np.int32), np.full((count, k), _NONE, np.float32)
    good = _usable(even, odd)
    if len(good) < 2:
        return places, similarity
    if len(good) < count:
        even, odd = even[good], None if odd is None else odd[good]
    lists = Lists(len(even), k)
    pieces, whole = _pieces(even, odd, exact_rows)
    for done, (rows, partners, skip) in enumerate(pieces):
        if stop():
            raise Stopped
        if progress is not None and done % 16 == 0:
            progress(min(done, whole), whole)
        tile = _similarity(even, odd, rows, partners)
        if rows is partners:
            np.fill_diagonal(tile, _NONE)
        if skip is not None:
            tile[skip] = _NONE
        lists.offer(rows, partners, tile)
        if rows is not partners:
            lists.offer(partners, rows, tile.T)
    order = np.lexsort((lists.places, -lists.similarity), axis=1)
    similarity[good] = np.take_along_axis(lists.similarity, order, axis=1)
    found = np.take_along_axis(lists.places, order, axis=1)
    places[good] = np.where(found >= 0, good[found], -1)
    return places, similarity


def _usable(even: Float, odd: Float | None) -> Places:
    squares = np.einsum("ij,ij->i", even, even)
    if odd is not None:
        squares = squares + np.einsum("ij,ij->i", odd, odd)
    return np.flatnonzero(np.isfinite(squares) & (squares > 0))


def _similarity(even: Float, odd: Float | None, rows: Places, partners: Places) -> Float:
    one = even[rows]
    tile: Float = one @ (one if rows is partners else even[partners]).T
    if odd is not None:
        one = odd[rows]
        turned = one @ (one if rows is partners else odd[partners]).T
        np.abs(turned, out=turned)
        tile += turned
    return tile


Piece = tuple[Places, Places, NDArray[np.bool_] | None]


def _pieces(even: Float, odd: Float | None, exact_rows: int) -> tuple[Iterator[Piece], int]:
    """Rows, partners, and which pairs of them are left out because another piece has them; and how many pieces."""
    if len(even) <= exact_rows:
        tiles = [np.arange(start, min(start + _TILE, len(even))) for start in range(0, len(even), _TILE)]
        return _all_pairs(tiles), len(tiles) * (len(tiles) + 1) // 2
    cells = _cells(even)
    # A cell is a few tiles; nobody knows how many before they are cut.
    return _cell_pairs(cells), int(cells.max()) + 1


def _all_pairs(tiles: list[Places]) -> Iterator[Piece]:
    for index, rows in enumerate(tiles):
        for partners in tiles[index:]:
            yield rows, partners, None


def _cells(even: Float) -> NDArray[np.int32]:
    """The two nearest cells of each row, the nearest first: N x 2. Mirror images have the same `even`, so the same."""
    random = np.random.default_rng(0)
    count = int(np.sqrt(len(even)))
    centres = even[random.choice(len(even), count, replace=False)]
    sample = even[np.sort(random.choice(len(even), min(len(even), 32 * count), replace=False))]
    for _ in range(2):
        belongs = np.concatenate([(part @ centres.T).argmax(axis=1) for part in _parts(sample)])
        sums = np.zeros_like(centres)
        np.add.at(sums, belongs, sample)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres)
    nearest = np.empty((len(even), 2), np.int32)
    for start in range(0, len(even), _TILE):
        products = even[start : start + _TILE] @ centres.T
        two = np.argpartition(products, count - 2, axis=1)[:, count - 2 :]
        first = np.take_along_axis(products, two, axis=1).argmax(axis=1)
        nearest[start : start + len(two), 0] = two[np.arange(len(two)), first]
        nearest[start : start + len(two), 1] = two[np.arange(len(two)), 1 - first]
    return nearest


def _parts(rows: Float) -> Iterator[Float]:
    for start in range(0, len(rows), _TILE):
        yield rows[start : start + _TILE]


def _cell_pairs(cells: NDArray[np.int32]) -> Iterator[Piece]:
    order = np.argsort(cells.ravel(), kind="stable")
    sorted_cells = cells.ravel()[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_cells[1:] != sorted_cells[:-1]]))
    for start, stop in zip(starts, [*starts[1:].tolist(), len(order)], strict=True):
        for cut in range(int(start), int(stop), _LARGEST_CELL):
            taken = order[cut : min(cut + _LARGEST_CELL, int(stop))]
            members, other, here = taken // 2, cells[taken // 2, 1 - taken % 2], int(sorted_cells[start])
            tiles = [slice(at, at + _TILE) for at in range(0, len(members), _TILE)]
            rows = [members[tile] for tile in tiles]
            for index, tile in enumerate(tiles):
                for later in range(index, len(tiles)):
                    # Two rows with the same two cells meet twice, and count in the one with the smaller number.
                    same = other[tile][:, None] == other[tiles[later]]
                    skip = same & (other[tile][:, None] < here)
                    yield rows[index], rows[later], skip if skip.any() else None
