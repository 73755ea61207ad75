"""Outlines, masks and keypoints as data sets write them, as columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage import arrow_arrays, masks

if TYPE_CHECKING:
    import pyarrow as pa

_FEWEST = 6  # numbers of an outline: three corners
_MOST_PIXELS = 1 << 31


class Parts:
    """What objects have beside their box, gathered one by one: polygons, mask_runs, mask_height_px, keypoints."""

    def __init__(self) -> None:
        self._outlines: list[int | None] = []  # of each object
        self._corners: list[int] = []  # numbers of each outline
        self._places = array("d")
        self._runs: list[np.ndarray] = []
        self._run_counts: list[int | None] = []
        self._heights: list[int] = []
        self._points: list[int | None] = []
        self._x, self._y, self._seen = array("d"), array("d"), array("B")

    def add(self, segmentation: Any, keypoints: Any) -> tuple[Sequence[float] | None, float | None, list[str]]:
        """Takes what one object has: COCO's `segmentation` and `keypoints`, or None.

        Returns:
            The box around it (left, top, width, height in px) and its area, as far as known, and what is wrong with it;
            what is wrong is left out.
        """
        wrong: list[str] = []
        box: Sequence[float] | None = None
        area: float | None = None
        outlines: list[array[float]] = []
        runs = None
        height = 0
        try:
            if isinstance(segmentation, Mapping):
                runs, height = _runs(segmentation)
            elif segmentation is not None:
                outlines = _outlines(segmentation, wrong)
        except (ValueError, TypeError, OverflowError, KeyError, UnicodeEncodeError) as error:
            wrong.append(f"Its mask was left out: {error or 'it cannot be read'}.")
        if runs is not None:
            box, area = masks.box(runs, height), float(masks.area(runs))
        elif outlines:
            across = [value for outline in outlines for value in outline[::2]]
            down = [value for outline in outlines for value in outline[1::2]]
            box = (min(across), min(down), max(across) - min(across), max(down) - min(down))
            area = masks.polygon_area(outlines)
        self._outlines.append(len(outlines) or None)
        for outline in outlines:
            self._corners.append(len(outline))
            self._places.extend(outline)
        self._run_counts.append(None if runs is None else len(runs))
        if runs is not None:
            self._runs.append(runs)
        self._heights.append(height)
        seen = self._keypoints(keypoints, wrong)
        return (seen if box is None else box), area, wrong

    def columns(self) -> dict[str, pa.Array]:
        """The columns of all objects so far."""
        import pyarrow as pa

        numbers = arrow_arrays.numbers
        points = pa.StructArray.from_arrays(
            [
                numbers(np.frombuffer(self._x), np.float64),
                numbers(np.frombuffer(self._y), np.float64),
                numbers(np.frombuffer(self._seen, np.uint8), np.uint8),
            ],
            ["x_px", "y_px", "visibility"],
        )
        runs = np.concatenate(self._runs) if self._runs else np.empty(0, np.uint32)
        outlines = _lists(numbers(np.frombuffer(self._places), np.float64), self._corners)
        columns: dict[str, pa.Array] = {}
        if any(self._outlines):
            columns["polygons"] = _lists(outlines, self._outlines)
        if self._runs:
            columns["mask_runs"] = _lists(numbers(runs, np.uint32), self._run_counts)
            columns["mask_height_px"] = _optional(self._heights)
        if any(self._points):
            columns["keypoints"] = _lists(points, self._points)
        return columns

    def _keypoints(self, given: Any, wrong: list[str]) -> Sequence[float] | None:
        try:
            points = _points(given)
        except (ValueError, TypeError, KeyError) as error:
            wrong.append(f"Its keypoints were left out: {error or 'they cannot be read'}.")
            points = []
        self._points.append(len(points) or None)
        for x, y, seen in points:
            self._x.append(x)
            self._y.append(y)
            self._seen.append(seen)
        across, down = [x for x, _, seen in points if seen], [y for _, y, seen in points if seen]
        if not across:
            return None
        return min(across), min(down), max(across) - min(across), max(down) - min(down)


def _outlines(given: Any, wrong: list[str]) -> list[array[float]]:
    listed = list(given)
    if listed and not isinstance(listed[0], list | tuple) and not hasattr(listed[0], "__len__"):
        listed = [listed]
    kept = []
    for outline in listed:
        numbers = array("d", outline)
        if len(numbers) < _FEWEST or len(numbers) % 2:
            wrong.append(
                f"An outline of {len(numbers)} numbers was left out: three corners and more have x and y each."
            )
        elif not math.isfinite(sum(numbers)):
            wrong.append("An outline was left out: a corner is no number.")
        else:
            kept.append(numbers)
    return kept


def _runs(given: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    size = given["size"]
    height, width = int(size[0]), int(size[1])
    if height <= 0 or width <= 0 or height * width > _MOST_PIXELS:
        raise ValueError(f"its size is {height} x {width} px")
    return masks.from_counts(given["counts"], height, width), height


def _points(given: Any) -> list[tuple[float, float, int]]:
    listed = [] if given is None else list(given)
    if not listed:
        return []
    if isinstance(listed[0], Mapping):
        names = ("x_px", "y_px") if "x_px" in listed[0] else ("x", "y")
        triples = [(one[names[0]], one[names[1]], one.get("visibility", 2)) for one in listed]
    elif hasattr(listed[0], "__len__"):
        triples = [(one[0], one[1], one[2] if len(one) > 2 else 2) for one in listed]
    elif len(listed) % 3:
        raise ValueError(f"{len(listed)} numbers are no triples of x, y, visibility")
    else:
        triples = list(zip(listed[::3], listed[1::3], listed[2::3], strict=True))
    points = [(float(x), float(y), int(seen)) for x, y, seen in triples]
    if not all(math.isfinite(x) and math.isfinite(y) and 0 <= seen <= 255 for x, y, seen in points):
        raise ValueError("a place or visibility is no number")
    return points


def _lists(values: pa.Array, lengths: Sequence[int | None]) -> pa.Array:
    """Lists of so many of the values each; None is null."""
    import pyarrow as pa

    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum([length or 0 for length in lengths], out=offsets[1:])
    validity = None
    if None in lengths:
        there = np.fromiter((length is not None for length in lengths), np.bool_, len(lengths))
        validity = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    kind = pa.large_list(values.type)
    return pa.Array.from_buffers(kind, len(lengths), [validity, pa.py_buffer(offsets)], children=[values])


def _optional(values: Sequence[int]) -> pa.Array:
    """Whole numbers (uint32); 0 is null."""
    import pyarrow as pa

    array_ = np.asarray(values, np.uint32)
    validity = pa.py_buffer(np.packbits(array_ > 0, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.uint32(), len(array_), [validity, pa.py_buffer(array_)])
