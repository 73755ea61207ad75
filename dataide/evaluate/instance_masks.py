"""Masks of many objects as runs, side by side: their areas, boxes, and how many pixels two of them share.

A mask is never unpacked: it is the stretches of pixels that are on, counted down the columns as COCO does (storage's
masks.py). What two masks share is, summed over the stretches of one, how far the other's count of pixels has gone on
between start and end; the two counts are found by bisection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import outlines, run_texts
from dataide.evaluate.spans import grouped

Ints = NDArray[np.int64]

# So many stretches are looked up in one go.
AT_ONCE = 1 << 20
# So many masks are read in one go.
PORTION = 10_000
_TAKEN = 'It takes [[x, y, x, y, …], …] or {"counts": …, "size": [height, width]}.'


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of n objects.

    Attributes:
        starts: n + 1 int64: mask i has the stretches starts[i] … starts[i + 1] - 1.
        first, last: of each stretch, the first pixel and the one after the last: column x height + row.
        height_px, width_px: n int64, of the pictures.
        area: n int64, pixels that are on.
        boxes: n x 4 int64, left, top, width, height in px; zeros where nothing is on.
    """

    starts: Ints
    first: Ints
    last: Ints
    height_px: Ints
    width_px: Ints
    area: Ints
    boxes: Ints

    def __len__(self) -> int:
        return len(self.height_px)

    @classmethod
    def from_runs(cls, runs: Sequence[Any], height_px: Any) -> Masks:
        """Of runs as `object` has them in `mask_runs`: off, on, off … down the columns.

        Args:
            runs: n arrays of whole numbers.
            height_px: n, or one for all, in px.

        Raises:
            EvaluationError: a mask has no whole number of columns.
        """
        try:
            return cls.from_flat_runs(*run_texts.joined(runs), height_px)
        except run_texts.NoRuns as error:
            raise EvaluationError(
                f"Mask {error.place} is no mask: {error}.", hint="Runs are whole numbers: off, on, off …"
            ) from error

    @classmethod
    def from_flat_runs(cls, values: Any, offsets: Any, height_px: Any) -> Masks:
        """As `from_runs`, of a column as Arrow keeps lists: all runs in a row, and n + 1 offsets into them.

        Raises:
            EvaluationError: a mask has no whole number of columns, or a run is negative.
        """
        values, offsets = np.asarray(values, np.int64), np.asarray(offsets, np.int64)
        count = len(offsets) - 1
        height = np.broadcast_to(np.asarray(height_px, np.int64), (count,))
        owner, first, last, total = _stretches(values, offsets)
        wrong = np.flatnonzero((height <= 0) | (total % np.maximum(height, 1) != 0))
        if len(wrong) or (values < 0).any():
            at = wrong if len(wrong) else np.searchsorted(offsets, np.flatnonzero(values < 0), side="right") - 1
            row = int(at[0])
            raise EvaluationError(
                f"Mask {row} is no mask: its runs have {int(total[row]):,} px and its picture is {int(height[row])} px "
                "high.",
                hint="Runs go down the columns through the whole picture, as COCO's counts do.",
            )
        return _made(owner, first, last, height, total // np.maximum(height, 1))

    @classmethod
    def from_coco(cls, segmentations: Sequence[Any], height_px: Any, width_px: Any) -> Masks:
        """Of COCO's `segmentation`s: outlines, or counts (a list, or the compressed text) with a size.

        Outlines are filled as COCO's own code does (outlines.py), several of one object together.

        Args:
            segmentations: n; each a list of outlines [x, y, x, y …] in px, or {"counts", "size": [height, width]}.
            height_px, width_px: n, or one for all, of the pictures.

        Raises:
            EvaluationError: one is neither, or its runs are not of its size.
        """
        count = len(segmentations)
        height = np.array(np.broadcast_to(np.asarray(height_px, np.int64), (count,)))
        width = np.array(np.broadcast_to(np.asarray(width_px, np.int64), (count,)))
        # Reading takes much more than what is kept, so it goes by portions.
        parts = [
            _read(segmentations[begin : begin + PORTION], begin, height, width) for begin in range(0, count, PORTION)
        ]
        if not parts:
            parts = [(np.empty(0, np.int64),) * 3]
        owner, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        return _made(owner, first, last, height, width)


def _read(some: Sequence[Any], begin: int, height: Ints, width: Ints) -> tuple[Ints, Ints, Ints]:
    """The stretches of COCO's segmentations, which are those from `begin` on; their sizes are written down."""
    drawn: list[int] = []
    texts: list[tuple[int, Any]] = []
    lists: list[tuple[int, Any]] = []
    for row, one in enumerate(some, begin):
        if isinstance(one, Mapping):
            try:
                height[row], width[row] = (int(side) for side in one["size"])
                counts = one["counts"]
            except (KeyError, TypeError, ValueError) as error:
                raise _unreadable(row, f"{type(error).__name__}: {error}") from error
            (texts if isinstance(counts, str | bytes) else lists).append((row, counts))
        elif isinstance(one, list | tuple):
            drawn.append(row)
        else:
            raise EvaluationError(
                f"Mask {row} is neither outlines nor runs: {type(one).__name__}.",
                hint=_TAKEN,
            )
    rows = np.array(drawn, np.int64)
    try:
        owner, first, last = outlines.filled([some[row - begin] for row in drawn], height[rows], width[rows])
    except run_texts.NoRuns as error:
        raise _unreadable(int(rows[error.place]), str(error)) from error
    parts = [(rows[owner], first, last)]
    for given, read in ((texts, run_texts.read), (lists, run_texts.joined)):
        rows = np.array([row for row, _ in given], np.int64)
        try:
            values, offsets = read([counts for _, counts in given])
        except run_texts.NoRuns as error:
            raise _unreadable(int(rows[error.place]), str(error)) from error
        owner, first, last, total = _stretches(values, offsets)
        wrong = np.flatnonzero((total != height[rows] * width[rows]) | (height[rows] < 0))
        if len(wrong):
            row = int(rows[wrong[0]])
            said = f"the runs have {int(total[wrong[0]]):,} px, and the picture {int(height[row] * width[row]):,}"
            raise _unreadable(row, said)
        parts.append((rows[owner], first, last))
    owner, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(owner, kind="stable")
    return owner[order], first[order], last[order]


def _unreadable(row: int, why: str) -> EvaluationError:
    return EvaluationError(f"Mask {row} cannot be read: {why}.", hint=_TAKEN)


def _stretches(values: Ints, offsets: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """What is on in runs: of each stretch its mask, its first pixel and the one after its last; of masks all pixels."""
    ends = np.concatenate([[0], np.cumsum(values)])
    owner, place = grouped(np.diff(offsets))
    on = np.flatnonzero((place % 2 == 1) & (values > 0))
    before = ends[on] - ends[offsets[owner[on]]]
    return owner[on], before, before + values[on], ends[offsets[1:]] - ends[offsets[:-1]]


def _made(owner: Ints, first: Ints, last: Ints, height: Ints, width: Ints) -> Masks:
    """Masks of stretches that are ordered by owner and place."""
    count = len(height)
    starts = np.searchsorted(owner, np.arange(count + 1)).astype(np.int64)
    size = np.concatenate([[0], np.cumsum(last - first)])
    area = size[starts[1:]] - size[starts[:-1]]
    boxes = np.zeros((count, 4), np.int64)
    some = np.flatnonzero(np.diff(starts))
    if len(some):
        tall = height[owner]
        across, down = first // tall, first % tall
        ends_across, ends_down = (last - 1) // tall, (last - 1) % tall
        # A stretch that goes on in the next column touches the bottom of one and the top of the other.
        on = ends_across > across
        top = np.minimum.reduceat(np.where(on, 0, down), starts[some])
        bottom = np.maximum.reduceat(np.where(on, tall - 1, ends_down), starts[some])
        left, right = across[starts[some]], ends_across[starts[some + 1] - 1]
        boxes[some] = np.stack([left, top, right - left + 1, bottom - top + 1], axis=1)
    return Masks(starts, first, last, height, width, area, boxes)


def intersections(a: Masks, rows_a: Ints, b: Masks, rows_b: Ints) -> Ints:
    """How many pixels mask `rows_a[i]` of one shares with mask `rows_b[i]` of the other.

    Time grows with the stretches of the mask that has fewer, memory does not grow.

    Raises:
        EvaluationError: two masks are of pictures of different sizes.
    """
    differ = np.flatnonzero((a.height_px[rows_a] != b.height_px[rows_b]) | (a.width_px[rows_a] != b.width_px[rows_b]))
    if len(differ):
        one, other = int(rows_a[differ[0]]), int(rows_b[differ[0]])
        raise EvaluationError(
            f"Masks of one image have other sizes: {a.width_px[one]} x {a.height_px[one]} px predicted (row {one}), "
            f"{b.width_px[other]} x {b.height_px[other]} px true (row {other}).",
            hint="Predict masks in the size of the picture, or scale them to it before.",
        )
    shared = np.zeros(len(rows_a), np.int64)
    fewer = np.diff(a.starts)[rows_a] <= np.diff(b.starts)[rows_b]
    for some, left, right, rows_left, rows_right in (
        (np.flatnonzero(fewer), a, b, rows_a, rows_b),
        (np.flatnonzero(~fewer), b, a, rows_b, rows_a),
    ):
        if len(some):
            shared[some] = _shared(left, rows_left[some], right, rows_right[some])
    return shared


def _shared(a: Masks, rows_a: Ints, b: Masks, rows_b: Ints) -> Ints:
    # One long line of pixels with all masks of b behind each other: then one bisection serves all pairs.
    stride = int((b.height_px * b.width_px).max()) + 1
    line = b.first + np.repeat(np.arange(len(b)), np.diff(b.starts)) * stride
    before = np.concatenate([[0], np.cumsum(b.last - b.first)])
    many = np.diff(a.starts)[rows_a]
    ends = np.cumsum(many)
    shared = np.zeros(len(rows_a), np.int64)
    start = 0
    while start < len(rows_a):
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + AT_ONCE, side="right")))
        count = many[start:stop]
        owner = np.repeat(np.arange(start, stop), count)
        runs = np.arange(len(owner)) + np.repeat(a.starts[rows_a[start:stop]] - (np.cumsum(count) - count), count)
        base = rows_b[owner] * stride
        gained = _on_before(a.last[runs] + base, line, before) - _on_before(a.first[runs] + base, line, before)
        shared[start:stop] = np.bincount(owner - start, weights=gained, minlength=stop - start).astype(np.int64)
        start = stop
    return shared


def _on_before(places: Ints, line: Ints, before: Ints) -> Ints:
    """How many pixels are on before these places, all masks in front of them counted too."""
    if not len(line):
        return np.zeros(len(places), np.int64)
    at = np.searchsorted(line, places, side="right") - 1
    inside = np.maximum(at, 0)
    gone = np.minimum(places - line[inside], before[inside + 1] - before[inside])
    return np.asarray(np.where(at < 0, 0, before[inside] + gone), np.int64)
