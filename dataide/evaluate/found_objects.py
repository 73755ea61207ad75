"""Columns of true and of predicted objects, checked: what detection.py measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError, did_you_mean
from dataide.evaluate.instance_masks import Masks
from dataide.evaluate.overlap import PERSON_SIGMAS, BoxOverlap, MaskOverlap, Overlap, PointOverlap

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

WAYS = ("boxes", "masks", "keypoints")


@dataclass(frozen=True, eq=False)
class Truth:
    """What is there.

    Attributes:
        image: m, the image of each object: whole numbers.
        label: m, its class: whole numbers from 0, or texts.
        boxes: m x 4, left, top, width, height in px (`corners` makes them of left, top, right, bottom).
        masks: m masks.
        keypoints: m x k x 3, x and y in px, and visibility: 0 where it is not labelled.
        crowd: m; a crowd is no object: what is predicted in it does not count. None: there are no crowds.
        area: m, in square px, by which objects are small, medium or large; None: that of the mask or box.
    """

    image: Any
    label: Any
    boxes: Any = None
    masks: Masks | None = None
    keypoints: Any = None
    crowd: Any = None
    area: Any = None


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says is there.

    Attributes:
        image, label, boxes, masks: n, as those of Truth.
        score: n, how sure it is, any numbers: only their order counts.
        keypoints: n x k x 2 or more, x and y in px.
        area: n; None: that of the mask, the box, or the box around the keypoints.
    """

    image: Any
    label: Any
    score: Any
    boxes: Any = None
    masks: Masks | None = None
    keypoints: Any = None
    area: Any = None


@dataclass(frozen=True, eq=False)
class Columns:
    """Checked, with numbers for images and classes; only rows of the images that count.

    Attributes:
        images: how many images there are; image numbers go from 0 in their order.
        classes: the names, or numbers.
        rows, truth_rows: n and m, the rows as they were given.
        image, label, score, area: n.
        truth_image, truth_label, truth_area, crowd, ignored: m; ignored ones never count, crowds are ignored.
        overlap: of these rows.
    """

    images: int
    classes: tuple[Any, ...]
    rows: Ints
    truth_rows: Ints
    image: Ints
    label: Ints
    score: Floats
    area: Floats
    truth_image: Ints
    truth_label: Ints
    truth_area: Floats
    crowd: Flags
    ignored: Flags
    overlap: Overlap


def corners(boxes: Any) -> Floats:
    """Left, top, width, height of boxes given as left, top, right, bottom: n x 4 float64, px."""
    given = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([given[:, :2], given[:, 2:] - given[:, :2]], axis=1)


def columns(
    truth: Truth,
    predictions: Predictions,
    by: str,
    *,
    images: Any = None,
    classes: Sequence[Any] | None = None,
    sigmas: Any = None,
) -> Columns:
    """Checks and numbers what was given.

    Args:
        truth, predictions: the objects.
        by: boxes, masks or keypoints.
        images: the images that count, also those without any object; None: all that are named.
        classes: that count, in their order; None: all that are named, sorted.
        sigmas: k, of the keypoints; None: a person's 17.

    Raises:
        EvaluationError: a column is missing, has another length or shape, or a value that is none.
    """
    if by not in WAYS:
        raise EvaluationError(f"Objects are not compared by '{by}'.", hint=f"There are: {', '.join(WAYS)}.")
    truth_image, image = _images(truth.image, "truth"), _images(predictions.image, "predictions")
    count, truths = len(image), len(truth_image)
    score = _numbers(predictions.score, (count,), "predictions", "score")
    crowd = np.zeros(truths, bool) if truth.crowd is None else _flags(truth.crowd, truths)
    given = np.unique(np.concatenate([truth_image, image])) if images is None else np.unique(_images(images, "images"))
    names, truth_label, label = _labels(truth.label, predictions.label, truths, count, classes)
    place, known = _placed(image, given)
    truth_place, truth_known = _placed(truth_image, given)
    rows = np.flatnonzero(known & (label >= 0))
    truth_rows = np.flatnonzero(truth_known & (truth_label >= 0))
    shapes = _Shapes(truth, predictions, by, rows, truth_rows, crowd[truth_rows], sigmas)
    return Columns(
        images=len(given),
        classes=names,
        rows=rows,
        truth_rows=truth_rows,
        image=place[rows],
        label=label[rows],
        score=score[rows],
        area=shapes.area,
        truth_image=truth_place[truth_rows],
        truth_label=truth_label[truth_rows],
        truth_area=shapes.truth_area,
        crowd=crowd[truth_rows],
        ignored=crowd[truth_rows] | shapes.blank,
        overlap=shapes.overlap,
    )


class _Shapes:
    """Where the objects are, by one of the three ways, and how large.

    Attributes:
        overlap: of the rows that count.
        area, truth_area: in square px.
        blank: truths without anything to be found.
    """

    overlap: Overlap

    def __init__(
        self, truth: Truth, given: Predictions, by: str, rows: Ints, truth_rows: Ints, crowd: Flags, sigmas: Any
    ) -> None:
        count, truths = len(given.image), len(truth.image)
        self.blank: Flags = np.zeros(len(truth_rows), bool)
        if by == "masks":
            ours, theirs = _masks(given.masks, count, "predictions"), _masks(truth.masks, truths, "truth")
            self.overlap = _Rows(MaskOverlap(ours, theirs, _spread(crowd, truth_rows, truths)), rows, truth_rows)
            area, truth_area = ours.area.astype(np.float64), theirs.area.astype(np.float64)
        elif by == "boxes":
            ours_px, theirs_px = _boxes(given.boxes, count, "predictions"), _boxes(truth.boxes, truths, "truth")
            self.overlap = BoxOverlap(ours_px[rows], theirs_px[truth_rows], crowd)
            area, truth_area = ours_px[:, 2] * ours_px[:, 3], theirs_px[:, 2] * theirs_px[:, 3]
        else:
            spread = PERSON_SIGMAS if sigmas is None else np.asarray(sigmas, np.float64).ravel()
            if not len(spread) or not (spread > 0).all():
                raise EvaluationError("Sigmas are numbers above 0.", hint="Give one for each keypoint.")
            points = _points(given.keypoints, count, len(spread), 2, "predictions")
            truth_points = _points(truth.keypoints, truths, len(spread), 3, "truth")
            boxes = _boxes(truth.boxes, truths, "truth")
            area = np.prod(np.ptp(points, axis=1), axis=1) if count else np.empty(0)
            truth_area = boxes[:, 2] * boxes[:, 3]
            self.blank = np.asarray((truth_points[truth_rows, :, 2] <= 0).all(axis=1), bool)
        if truth.area is not None:
            truth_area = _numbers(truth.area, (truths,), "truth", "area")
        if given.area is not None:
            area = _numbers(given.area, (count,), "predictions", "area")
        self.area, self.truth_area = area[rows], truth_area[truth_rows]
        if by == "keypoints":
            self.overlap = PointOverlap(
                points[rows], truth_points[truth_rows], boxes[truth_rows], self.truth_area, spread
            )


class _Rows:
    """An overlap of rows that are some of others: masks are not copied for it."""

    def __init__(self, inner: Overlap, rows: Ints, truth_rows: Ints) -> None:
        self._inner, self._rows, self._truth_rows = inner, rows, truth_rows
        self.cost = inner.cost

    def __call__(self, predicted: Ints, truth: Ints, least: float) -> Floats:
        return self._inner(self._rows[predicted], self._truth_rows[truth], least)


def _spread(values: Flags, rows: Ints, count: int) -> Flags:
    whole = np.zeros(count, bool)
    whole[rows] = values
    return whole


def _images(values: Any, of: str) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise EvaluationError(
            f"The images of the {of} are not one column of whole numbers.", hint="Number the images, say by sample_no."
        )
    return array.astype(np.int64)


def _placed(values: Ints, among: Ints) -> tuple[Ints, Flags]:
    """The place of each value in an ascending array, and whether it is there."""
    if not len(among):
        return np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return place, among[place] == values


def _labels(
    truth: Any, predicted: Any, truths: int, count: int, classes: Sequence[Any] | None
) -> tuple[tuple[Any, ...], Ints, Ints]:
    """The classes, and each row's place among them, -1 for others."""
    ours, theirs = _label_column(predicted, count, "predictions"), _label_column(truth, truths, "truth")
    if ours.dtype.kind != theirs.dtype.kind and len(ours) and len(theirs):
        raise EvaluationError(
            "Classes are numbers on one side and names on the other.", hint="Name them alike in truth and predictions."
        )
    if not len(ours) or not len(theirs):
        ours, theirs = (ours, theirs.astype(ours.dtype)) if len(ours) else (ours.astype(theirs.dtype), theirs)
    known, place = np.unique(np.concatenate([theirs, ours]), return_inverse=True)
    if classes is None:
        return tuple(known.tolist()), place[:truths], place[truths:]
    names = list(classes)
    if len(set(names)) < len(names):
        raise EvaluationError("A class is named twice.", hint="Name each class once.")
    where = {name: number for number, name in enumerate(names)}
    if names and len(known) and not any(name in where for name in known.tolist()):
        raise EvaluationError(
            f"None of the classes asked for is among those of the objects: {', '.join(map(str, names[:3]))}.",
            hint=did_you_mean(str(names[0]), [str(name) for name in known.tolist()]),
        )
    renumbered = np.array([where.get(name, -1) for name in known.tolist()], np.int64)
    renumbered = renumbered[place] if len(place) else place
    return tuple(names), renumbered[:truths], renumbered[truths:]


def _label_column(values: Any, count: int, of: str) -> NDArray[Any]:
    array = _unmasked(values, None)
    if array.shape != (count,):
        raise EvaluationError(
            f"The {of} have {count:,} images and classes of shape {array.shape}.", hint="Give each object one class."
        )
    if array.dtype == object:
        missing = np.flatnonzero([value is None or value != value for value in array.tolist()])
        if not len(missing):
            array = np.array(array.tolist()) if len(array) else np.empty(0, np.int64)
    elif array.dtype.kind in "iu":
        array = array.astype(np.int64)
        missing = np.flatnonzero(array < 0)
    elif not len(array):
        return np.empty(0, np.int64)
    elif array.dtype.kind in "US":
        missing = np.empty(0, np.int64)
    else:
        missing = np.arange(0)
        if array.dtype.kind != "T":
            raise EvaluationError(
                f"The classes of the {of} are neither whole numbers nor names.", hint="Give each object one class."
            )
    if len(missing):
        raise EvaluationError(
            f"{len(missing):,} of {count:,} objects of the {of} have no class, the first in row {int(missing[0])}.",
            hint="Leave them out, or give them a class.",
        )
    return array


def _unmasked(values: Any, missing: Any) -> NDArray[Any]:
    """An array; what a masked one hides, as DuckDB's answers do with NULL, is said to be `missing`."""
    array = np.asarray(values)
    hidden = np.ma.getmask(values)
    if not np.any(hidden):
        return array
    # An array of objects takes None, one of numbers NaN.
    array = array.astype(object if missing is None else np.float64 if missing is not False else array.dtype)
    array[hidden] = missing
    return array


def _flags(values: Any, count: int) -> Flags:
    array = _unmasked(values, False)
    if array.shape != (count,) or (array.size and array.dtype.kind not in "biu"):
        raise EvaluationError(f"Crowd is not {count:,} times yes or no.", hint="Give it for each true object, or None.")
    return array.astype(bool)


def _numbers(values: Any, shape: tuple[int, ...], of: str, what: str) -> Floats:
    """Finite numbers of this shape; -1 stands for any length."""
    if values is None:
        raise EvaluationError(f"The {of} have no {what}.", hint=f"Give {what}, or compare by something else.")
    try:
        array = np.asarray(_unmasked(values, np.nan), np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"The {what} of the {of} are no numbers.", hint="Give an array of numbers.") from error
    if not shape[0] and not array.size:
        array = np.zeros(tuple(max(side, 0) for side in shape))
    if len(shape) != array.ndim or not all(side in (-1, has) for side, has in zip(shape, array.shape, strict=True)):
        said = " x ".join("any" if side < 0 else f"{side:,}" for side in shape)
        raise EvaluationError(
            f"The {what} of the {of} have the shape {array.shape}, and not {said}.", hint="Give a row for each object."
        )
    wrong = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1)) if array.size else np.arange(0)
    if len(wrong):
        raise EvaluationError(
            f"{len(wrong):,} of {len(array):,} {of} have a {what} that is no number, the first in row {int(wrong[0])}.",
            hint="Leave these rows out, or mend them.",
        )
    return array


def _boxes(values: Any, count: int, of: str) -> Floats:
    array = _numbers(values, (count, 4), of, "boxes")
    wrong = np.flatnonzero((array[:, 2:] < 0).any(axis=1))
    if len(wrong):
        raise EvaluationError(
            f"{len(wrong):,} of {count:,} boxes of the {of} have a negative width or height, the first in row "
            f"{int(wrong[0])}.",
            hint="Boxes are left, top, width, height; `corners(boxes)` makes them of left, top, right, bottom.",
        )
    return array


def _masks(given: Masks | None, count: int, of: str) -> Masks:
    if given is None or len(given) != count:
        there = "no" if given is None else f"{len(given):,}"
        raise EvaluationError(
            f"The {of} have {there} masks for {count:,} objects.", hint="Give one mask each, or compare by boxes."
        )
    return given


def _points(values: Any, count: int, points: int, least: int, of: str) -> Floats:
    if values is not None and np.ndim(values) == 3 and least == 3:
        # What is not labelled has no place: that one is no number is no fault.
        values = np.where(np.asarray(values, np.float64)[:, :, 2:3] > 0, values, 0)
    array = _numbers(values, (count, -1, -1), of, "keypoints")
    if not count:
        return np.zeros((0, points, least))
    if array.shape[1] != points or array.shape[2] < least:
        raise EvaluationError(
            f"The {of} have {array.shape[1]} keypoints of {array.shape[2]} numbers, and there are {points} sigmas.",
            hint="Give `sigmas`, one for each keypoint; truths have x, y and visibility, predictions x and y.",
        )
    return array[:, :, :least]
