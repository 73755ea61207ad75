"""Label errors among boxes, from what a detector predicts: missed, spurious, under a wrong class, badly placed.

After U. Tkachenko, A. Thyagarajan and J. Mueller, "ObjectLab: Automated Diagnosis of Mislabeled Images in Object
Detection Data", ICML workshop on data-centric machine learning 2023, section 3: boxes are compared by overlap and by
the distance of their corners, and a given box is judged by the most similar predicted box of its class and of others.
Two things differ. What counts as a confident prediction is not a constant but the mean score of a class's predictions
that agree with a given box (C. Northcutt, L. Jiang and I. Chuang, "Confident Learning", JAIR 2021, section 3.1), since
detectors differ in their scale; how well a box should be placed is learned in the same way. And boxes that no
prediction supports are told as spurious. Predictions should come from a model that was not trained on these boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.core.boxes import iou, pairs_between, proper
from dataide.errors import DataideError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The overlap counts nine times as much as the corners, which tell apart boxes that do not overlap: ObjectLab's values.
OVERLAP_WEIGHT = 0.9
SOFTNESS = 0.1
AGREE_IOU = 0.5
# Below it two boxes are about different things.
SAME_THING_IOU = 0.1
# A class with few agreeing predictions is drawn towards all, as by so many of the usual score.
SHRINK = 5.0
UNUSUAL = 3.5
# Support (score x overlap) below this share of what is usual is none.
LEAST_SUPPORT = 0.15


class BoxErrorsError(DataideError):
    """Given or predicted boxes that cannot be compared."""

    code = "box_errors"


@dataclass(frozen=True)
class BoxErrors:
    """Scores in [0, 1], low = severe, of N given and M predicted boxes.

    Attributes:
        badly_placed: N, similarity to the best predicted box of the class; 1 where none is confident.
        wrong_class: N, dissimilarity to the best confident predicted box of another class; 1 without.
        spurious: N, how much any prediction supports that there is something, 1 for as much as usual.
        missed: M, similarity of a confident prediction to the best given box of its class; 1 for those not confident.
        is_badly_placed, is_wrong_class, is_spurious, is_missed: what is told: each box under one kind at most.
        better: N, the row of the predicted box that is proposed instead (place or class), -1 for none.
        proposal: N, the proposed class, -1 for none.
        confident: C, from which score on a prediction of a class is confident.
        least_iou: below this overlap with a confident prediction of its class a box is badly placed.
    """

    badly_placed: Floats
    wrong_class: Floats
    spurious: Floats
    missed: Floats
    is_badly_placed: NDArray[np.bool_]
    is_wrong_class: NDArray[np.bool_]
    is_spurious: NDArray[np.bool_]
    is_missed: NDArray[np.bool_]
    better: Ints
    proposal: Ints
    confident: Floats
    least_iou: float

    def pictures(self, given_picture: np.ndarray, predicted_picture: np.ndarray, count: int) -> Floats:
        """One score for each of `count` pictures: the soft minimum of its boxes' scores (ObjectLab, section 3.4)."""
        picture = np.concatenate([given_picture, given_picture, given_picture, predicted_picture])
        score = np.concatenate([self.badly_placed, self.wrong_class, self.spurious, self.missed])
        weight = np.exp(-score / SOFTNESS)
        total = np.bincount(picture, weight, count)
        mean: Floats = np.bincount(picture, weight * score, count) / np.maximum(total, 1e-300)
        return np.where(total > 0, mean, 1.0)


def suspect_boxes(
    boxes: np.ndarray,
    classes: np.ndarray,
    picture: np.ndarray,
    predicted: np.ndarray,
    predicted_classes: np.ndarray,
    predicted_picture: np.ndarray,
    score: np.ndarray,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> BoxErrors:
    """Judges given boxes by predicted ones.

    Args:
        boxes: N x 4, x, y, width, height in px. Boxes that are none (NaN, no area) are not judged.
        classes: N class numbers; -1 for none.
        picture: N numbers of pictures.
        predicted, predicted_classes, predicted_picture: the same for M predicted boxes.
        score: M confidences in [0, 1]; NaN counts as 0.
        stop: asked between portions; what was not compared by then is not told.

    Returns:
        Scores and what is told. Without predictions nothing is.

    Raises:
        BoxErrorsError: arrays that do not fit together, or scores outside [0, 1].
    """
    boxes, predicted = np.asarray(boxes, np.float64), np.asarray(predicted, np.float64)
    classes, predicted_classes = np.asarray(classes, np.int64), np.asarray(predicted_classes, np.int64)
    score = np.nan_to_num(np.asarray(score, np.float64))
    _check("given", boxes, classes, picture)
    _check("predicted", predicted, predicted_classes, predicted_picture, score)
    if len(score) and not (score.min() >= 0 and score.max() <= 1):
        raise BoxErrorsError(
            f"Scores of predictions go from {score.min():g} to {score.max():g}.", hint="Give chances between 0 and 1."
        )
    judged, usable = proper(boxes), proper(predicted)
    best = _Best(len(boxes), len(predicted))
    count = int(max(classes.max(initial=-1), predicted_classes.max(initial=-1))) + 1
    # Two passes: the first learns what is confident, the second needs it to choose whom to compare with.
    for given, other, overlap in _pairs(boxes, picture, predicted, predicted_picture, judged, usable, stop):
        same = classes[given] == predicted_classes[other]
        np.maximum.at(best.agreement, other[same], overlap[same])
    confident, least_iou = _usual(best.agreement, predicted_classes, score, usable, count)
    sure = usable & (predicted_classes >= 0) & (score >= confident[np.maximum(predicted_classes, 0)] - 1e-9)
    for given, other, overlap in _pairs(boxes, picture, predicted, predicted_picture, judged, usable, stop):
        same = classes[given] == predicted_classes[other]
        alike = _similarity(boxes[given], predicted[other], overlap)
        relevant = sure[other]
        # A prediction speaks about the given box that it fits best: in a crowd its neighbours are no evidence.
        own = same & (overlap >= best.agreement[other])
        best.take(given, other, own & relevant, alike, overlap, best.same)
        free = ~same & (best.agreement[other] < AGREE_IOU)
        best.take(given, other, free & relevant, alike, overlap, best.different)
        np.maximum.at(best.fit, given[same], overlap[same])
        np.maximum.at(best.support, given, overlap * score[other])
        np.maximum.at(best.known, other, overlap)
        np.maximum.at(best.likeness, other[same], alike[same])
    return _told(best, classes, predicted_classes, judged, sure, confident, least_iou, score)


class _Best:
    """The best partner so far of each box; columns are similarity, overlap, and the partner's row."""

    def __init__(self, given: int, predicted: int) -> None:
        self.agreement = np.zeros(predicted)
        self.known = np.zeros(predicted)
        self.likeness = np.zeros(predicted)
        self.support = np.zeros(given)
        self.fit = np.zeros(given)
        self.same = (np.full(given, -1.0), np.zeros(given), np.full(given, -1, np.int64))
        self.different = (np.full(given, -1.0), np.zeros(given), np.full(given, -1, np.int64))

    @staticmethod
    def take(
        given: Ints,
        other: Ints,
        which: np.ndarray,
        alike: Floats,
        overlap: Floats,
        into: tuple[Floats, Floats, Ints],
    ) -> None:
        rows = np.flatnonzero(which)
        # Sorted by similarity, the last one written is the most similar.
        rows = rows[np.argsort(alike[rows], kind="stable")]
        rows = rows[alike[rows] > into[0][given[rows]]]
        into[0][given[rows]] = alike[rows]
        into[1][given[rows]] = overlap[rows]
        into[2][given[rows]] = other[rows]


def _told(
    best: _Best,
    classes: Ints,
    predicted_classes: Ints,
    judged: np.ndarray,
    sure: np.ndarray,
    confident: Floats,
    least_iou: float,
    score: Floats,
) -> BoxErrors:
    placed, placed_iou, placed_by = best.same
    swapped, swapped_iou, swapped_by = best.different
    usual = float(np.median(best.support[best.support > 0])) if (best.support > 0).any() else 1.0
    labelled = judged & (classes >= 0)
    wrong = labelled & (swapped_iou >= AGREE_IOU) & (best.fit < AGREE_IOU)
    off = labelled & ~wrong & (placed_by >= 0) & (best.fit < least_iou) & (placed_iou >= SAME_THING_IOU)
    seen = bool(sure.any())
    spurious = np.clip(best.support / usual, 0, 1) if seen else np.ones(len(classes))
    nothing = judged & ~wrong & ~off & (spurious < LEAST_SUPPORT)
    better = np.where(wrong, swapped_by, np.where(off, placed_by, -1))
    # A confident box that no given one agrees with was missed, unless it says where a given one ought to be.
    missed = sure & (best.known < AGREE_IOU)
    missed[better[better >= 0]] = False
    return BoxErrors(
        badly_placed=np.where(judged & (placed >= 0), np.clip(placed, 0, 1), 1.0),
        wrong_class=np.where(judged & (swapped >= 0) & (best.fit < AGREE_IOU), np.clip(1 - swapped, 0, 1), 1.0),
        spurious=np.where(judged, spurious, 1.0),
        # Without any given box of the class the score falls with the confidence.
        missed=np.where(sure, np.maximum(best.likeness, OVERLAP_WEIGHT * best.known) + 0.1 * (1 - score), 1.0).clip(
            0, 1
        ),
        is_badly_placed=off,
        is_wrong_class=wrong,
        is_spurious=nothing,
        is_missed=missed,
        better=better,
        proposal=np.where(wrong, predicted_classes[np.maximum(swapped_by, 0)] if len(predicted_classes) else -1, -1),
        confident=confident,
        least_iou=least_iou,
    )


def _usual(agreement: Floats, classes: Ints, score: Floats, usable: np.ndarray, count: int) -> tuple[Floats, float]:
    """From which score on predictions of a class are confident, and from which overlap on a box is well placed."""
    agree = usable & (agreement >= AGREE_IOU) & (classes >= 0)
    if not agree.any():
        # No prediction agrees with any given box: then none may speak against one.
        return np.full(max(count, 1), np.inf), 0.0
    overall = float(score[agree].mean())
    many = np.bincount(classes[agree], minlength=count)
    total = np.bincount(classes[agree], score[agree], count)
    confident: Floats = (total + SHRINK * overall) / (many + SHRINK)
    overlap = agreement[agree & (score >= overall - 1e-9)]
    middle = float(np.median(overlap))
    spread = 1.4826 * float(np.median(np.abs(overlap - middle)))
    # Under AGREE_IOU agreement was not counted, so nothing can be learned of it.
    return confident, float(np.clip(middle - UNUSUAL * max(spread, 0.02), AGREE_IOU, 0.9))


def _similarity(first: np.ndarray, second: np.ndarray, overlap: Floats) -> Floats:
    """Overlap and nearness of corners as one number in [0, 1]; distances in diagonals of both boxes together."""
    ends, other_ends = first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:]
    span = np.maximum(ends, other_ends) - np.minimum(first[:, :2], second[:, :2])
    apart = np.sqrt(((first[:, :2] - second[:, :2]) ** 2 + (ends - other_ends) ** 2).sum(axis=1))
    near = 1 - np.minimum(apart / np.maximum(np.sqrt(2) * np.hypot(span[:, 0], span[:, 1]), 1e-12), 1)
    alike: Floats = OVERLAP_WEIGHT * overlap + (1 - OVERLAP_WEIGHT) * near
    return alike


def _pairs(
    boxes: np.ndarray,
    picture: np.ndarray,
    predicted: np.ndarray,
    predicted_picture: np.ndarray,
    judged: np.ndarray,
    usable: np.ndarray,
    stop: Callable[[], bool],
) -> Iterator[tuple[Ints, Ints, Floats]]:
    rows, others = np.flatnonzero(judged), np.flatnonzero(usable)
    for given, other in pairs_between(np.asarray(picture)[rows], np.asarray(predicted_picture)[others]):
        if stop():
            return
        yield rows[given], others[other], iou(boxes[rows[given]], predicted[others[other]])


def _check(what: str, boxes: np.ndarray, *columns: np.ndarray) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise BoxErrorsError(f"The {what} boxes have the shape {boxes.shape}.", hint="Give an array N x 4.")
    for column in columns:
        if len(column) != len(boxes):
            raise BoxErrorsError(
                f"There are {len(boxes)} {what} boxes and {len(column)} values beside them.",
                hint="Give one value for each box.",
            )
