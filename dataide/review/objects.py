"""The table of objects that linters look at: columns of numbers, checked once, sorted by picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dataide.core.boxes import proper
from dataide.errors import DataideError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class LinterError(DataideError):
    """Objects or a rule that linters cannot work with."""

    code = "linter"


@dataclass(frozen=True)
class Objects:
    """Objects of many pictures, sorted by picture. Made by `objects`.

    Attributes:
        object_no, sample_no: N integers; rows are sorted by `sample_no`.
        class_no: N integers, places in `classes`; -1 means that an object has no label.
        boxes: N x 4 float64: x, y, width, height in px of the upright picture, as given: NaN and negative sides occur.
        width_px, height_px: N float64, the size of the picture that an object is in; NaN where it is not known.
        classes: names by class number.
        vocabulary: names that are allowed, or None for all of `classes`.
        mask_area: N float64, square px, NaN for an object without a mask; or None.
        track, frame: N integers, -1 for an object without; or None.
        row: N integers, where an object stood in the columns that were given.
    """

    object_no: Ints
    sample_no: Ints
    class_no: Ints
    boxes: Floats
    width_px: Floats
    height_px: Floats
    classes: tuple[str, ...]
    vocabulary: frozenset[str] | None = None
    mask_area: Floats | None = None
    track: Ints | None = None
    frame: Ints | None = None
    row: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.object_no)

    @property
    def x(self) -> Floats:
        return self.boxes[:, 0]

    @property
    def y(self) -> Floats:
        return self.boxes[:, 1]

    @property
    def width(self) -> Floats:
        return self.boxes[:, 2]

    @property
    def height(self) -> Floats:
        return self.boxes[:, 3]

    @cached_property
    def proper(self) -> Bools:
        """Which objects have a box that is one: finite, both sides above 0."""
        return proper(self.boxes)

    @cached_property
    def known_size(self) -> Bools:
        """Which objects are in a picture whose size is known."""
        return (self.width_px > 0) & (self.height_px > 0)

    @cached_property
    def classed(self) -> Bools:
        """Which objects have a class number that stands for a name."""
        return (self.class_no >= 0) & (self.class_no < len(self.classes))

    @cached_property
    def allowed(self) -> Bools:
        """Which classes are in the vocabulary, one bool a class."""
        if self.vocabulary is None:
            return np.ones(len(self.classes), bool)
        return np.array([name in self.vocabulary for name in self.classes], bool)

    @cached_property
    def starts(self) -> Ints:
        """Where pictures begin, and at the end N: the objects of the k-th are starts[k] up to starts[k + 1]."""
        edges = np.flatnonzero(self.sample_no[1:] != self.sample_no[:-1]) + 1
        return np.concatenate([[0], edges, [len(self)]]) if len(self) else np.zeros(1, np.int64)

    @cached_property
    def picture(self) -> Ints:
        """The picture of an object, counted from 0 in the order of `sample_no`."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @cached_property
    def label(self) -> np.ndarray:
        """Names of the objects' classes (str), "" where there is none. For rules of one's own."""
        names = np.array([*self.classes, ""], dtype=object)
        return np.asarray(names[np.where(self.classed, self.class_no, len(self.classes))])

    def take(self, rows: np.ndarray) -> Objects:
        """These rows only, which must be in ascending order."""
        return self._with(rows, self.boxes[rows])

    def moved(self, boxes: np.ndarray) -> Objects:
        """The same objects with other boxes, N x 4."""
        return self._with(slice(None), boxes)

    def _with(self, rows: np.ndarray | slice, boxes: np.ndarray) -> Objects:
        def part(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        return replace(
            self,
            object_no=self.object_no[rows],
            sample_no=self.sample_no[rows],
            class_no=self.class_no[rows],
            boxes=boxes,
            width_px=self.width_px[rows],
            height_px=self.height_px[rows],
            mask_area=part(self.mask_area),
            track=part(self.track),
            frame=part(self.frame),
            row=self.row[rows],
        )


def objects(
    columns: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
    classes: Sequence[str],
    *,
    vocabulary: Sequence[str] | None = None,
) -> Objects:
    """The table of objects from columns.

    Args:
        columns: arrays of one length N: object_no, sample_no, class_no (integers; class_no -1 for none), x, y, width,
            height (px), and, where there are such, mask_area (square px, NaN for none), track and frame (integers, -1
            for none).
        samples: arrays of one length: sample_no, width_px, height_px. A sample may be missing; then its size is
            unknown, and rules that need it leave its objects alone.
        classes: names by class number.
        vocabulary: names that are allowed; all of `classes` when left out.

    Returns:
        The table, sorted by sample.

    Raises:
        LinterError: a column is missing, or is shorter than the others.
    """
    needed = ("object_no", "sample_no", "class_no", "x", "y", "width", "height")
    _check("objects", columns, needed)
    _check("samples", samples, ("sample_no", "width_px", "height_px"))
    count = len(columns["object_no"])
    for name, values in columns.items():
        if len(values) != count:
            raise LinterError(
                f"The column {name} has {len(values)} values, object_no has {count}.",
                hint="Give each column one value for each object.",
            )
    sample_no = np.asarray(columns["sample_no"], np.int64)
    order = np.arange(count) if (sample_no[1:] >= sample_no[:-1]).all() else np.argsort(sample_no, kind="stable")

    def column(name: str, kind: type) -> np.ndarray | None:
        return np.asarray(columns[name], kind)[order] if columns.get(name) is not None else None

    sizes = _sizes(samples, sample_no[order])
    sides = [np.asarray(columns[name], np.float64)[order] for name in needed[3:]]
    return Objects(
        object_no=np.asarray(columns["object_no"], np.int64)[order],
        sample_no=sample_no[order],
        class_no=np.asarray(columns["class_no"], np.int64)[order],
        boxes=np.stack(sides, axis=1),
        width_px=sizes[0],
        height_px=sizes[1],
        classes=tuple(classes),
        vocabulary=None if vocabulary is None else frozenset(vocabulary),
        mask_area=column("mask_area", np.float64),
        track=column("track", np.int64),
        frame=column("frame", np.int64),
        row=order,
    )


def _check(what: str, columns: Mapping[str, np.ndarray], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise LinterError(
            f"The table of {what} has no column {', '.join(missing)}.",
            hint=f"It needs {', '.join(needed)}.",
        )


def _sizes(samples: Mapping[str, np.ndarray], sample_no: Ints) -> tuple[Floats, Floats]:
    """Width and height of each object's picture."""
    known = np.asarray(samples["sample_no"], np.int64)
    if not len(known):
        return np.full(len(sample_no), np.nan), np.full(len(sample_no), np.nan)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], sample_no), len(known) - 1)
    found = known[order][at] == sample_no
    wide, high = (np.asarray(samples[name], np.float64)[order][at] for name in ("width_px", "height_px"))
    return np.where(found, wide, np.nan), np.where(found, high, np.nan)
