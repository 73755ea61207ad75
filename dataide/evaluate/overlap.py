"""How far a prediction and a truth cover each other, for lists of pairs: boxes, masks and keypoints.

All as T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, section 5 and the evaluation code that
came with it: in a crowd only the prediction's own area counts, and keypoints are compared by OKS ("object keypoint
similarity": M. R. Ronchi and P. Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV
2017, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dataide.evaluate.instance_masks import Masks, intersections

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Of a person: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles (the COCO keypoint task).
PERSON_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
# So many pairs are looked at in one go: what they need stays in the processor's cache.
PAIRS_AT_ONCE = 1 << 17


class Overlap(Protocol):
    """What a matching needs to know of pairs."""

    # How many numbers a pair costs: blocks of pairs are smaller where it costs more.
    cost: int

    def __call__(self, predicted: Ints, truth: Ints, least: float) -> Floats:
        """From 0 to 1, for row `predicted[i]` and row `truth[i]`; what is below `least` may be said to be 0."""


class BoxOverlap:
    """Intersection over union of boxes: left, top, width, height, in px."""

    cost = 1

    def __init__(self, predicted: Floats, truth: Floats, crowd: Flags) -> None:
        """Args: predicted: n x 4; truth: m x 4; crowd: m, of the truth."""
        self._predicted, self._truth = _columns(predicted), _columns(truth)
        self._crowd = crowd if crowd.any() else None

    def __call__(self, predicted: Ints, truth: Ints, least: float) -> Floats:
        left, top, right, bottom, area = self._predicted
        truth_left, truth_top, truth_right, truth_bottom, truth_area = self._truth
        found = np.zeros(len(predicted))
        width = np.minimum(right[predicted], truth_right[truth]) - np.maximum(left[predicted], truth_left[truth])
        there = np.flatnonzero(width > 0)
        predicted, truth, width = predicted[there], truth[there], width[there]
        height = np.minimum(bottom[predicted], truth_bottom[truth]) - np.maximum(top[predicted], truth_top[truth])
        both = height > 0
        there, predicted, truth = there[both], predicted[both], truth[both]
        shared = width[both] * height[both]
        own = area[predicted]
        union = own + truth_area[truth] - shared
        if self._crowd is not None:
            union = np.where(self._crowd[truth], own, union)
        found[there] = shared / union
        return found


def _columns(boxes: Floats) -> tuple[Floats, ...]:
    left, top, width, height = (np.ascontiguousarray(column) for column in boxes.T)
    return left, top, left + width, top + height, width * height


class MaskOverlap:
    """Intersection over union of masks, counted on their runs."""

    cost = 1

    def __init__(self, predicted: Masks, truth: Masks, crowd: Flags) -> None:
        """Args: predicted: n masks; truth: m; crowd: m, of the truth."""
        self._predicted, self._truth, self._crowd = predicted, truth, crowd
        self._boxes = BoxOverlap(predicted.boxes.astype(float), truth.boxes.astype(float), crowd)

    def __call__(self, predicted: Ints, truth: Ints, least: float) -> Floats:
        own, other = self._predicted.area[predicted], self._truth.area[truth]
        crowd = self._crowd[truth]
        ours, theirs = self._predicted.boxes[predicted], self._truth.boxes[truth]
        ends = np.minimum(ours[:, :2] + ours[:, 2:], theirs[:, :2] + theirs[:, 2:])
        sides = np.maximum(ends - np.maximum(ours[:, :2], theirs[:, :2]), 0)
        # No more can be shared than the smaller one has, nor than the boxes share.
        most = np.minimum(np.minimum(own, other), sides[:, 0] * sides[:, 1])
        bound = most / np.maximum(np.where(crowd, own, own + other - most), 1)
        near = np.flatnonzero((most > 0) & (bound >= least))
        found = np.zeros(len(predicted))
        shared = intersections(self._predicted, predicted[near], self._truth, truth[near])
        own, other = own[near], other[near]
        found[near] = shared / np.maximum(np.where(crowd[near], own, own + other - shared), 1)
        return found


class PointOverlap:
    """Similarity of keypoints: the mean over the visible ones of exp(-distance² / (2 (2 sigma)² area))."""

    def __init__(self, predicted: Floats, truth: Floats, boxes: Floats, area: Floats, sigmas: Floats) -> None:
        """Prepares the comparison.

        Args:
            predicted: n x k x 2, in px.
            truth: m x k x 3, x and y in px and visibility: 0 where a keypoint is not labelled.
            boxes: m x 4, left, top, width, height in px: without any keypoint, what lies near the box is similar.
            area: m, of the truth, in square px.
            sigmas: k, how much people differ about a keypoint, as a share of the object's scale.
        """
        self._predicted = predicted
        self._seen: Flags = np.asarray(truth[:, :, 2] > 0, bool)
        self._places = np.where(self._seen[:, :, None], truth[:, :, :2], 0)
        self._area = area + np.spacing(1)
        self._variances = (sigmas * 2) ** 2
        self._low, self._high = boxes[:, :2] - boxes[:, 2:], boxes[:, :2] + boxes[:, 2:] * 2
        self.cost = 2 * max(len(sigmas), 1)

    def __call__(self, predicted: Ints, truth: Ints, least: float) -> Floats:
        places, seen = self._predicted[predicted], self._seen[truth]
        some: Flags = np.asarray(seen.any(axis=1), bool)
        away = places - self._places[truth]
        none = np.flatnonzero(~some)
        if len(none):
            low, high = self._low[truth[none], None], self._high[truth[none], None]
            away[none] = np.maximum(low - places[none], 0) + np.maximum(places[none] - high, 0)
            seen = seen | ~some[:, None]
        far = (away**2).sum(axis=2) / self._variances / self._area[truth, None] / 2
        return np.asarray(np.where(seen, np.exp(-far), 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1), np.float64)


def blocks(count: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that have about `most` pairs together, from how many pairs each has; rows without any as well."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, stop
        start = stop


def pairs(rows: tuple[int, int], first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """All pairs of a range of rows with what stands beside each: `count[i]` that follow each other from `first[i]`."""
    start, stop = rows
    many = count[start:stop]
    left = np.repeat(np.arange(start, stop), many)
    return left, np.arange(len(left)) + np.repeat(first[start:stop] - (np.cumsum(many) - many), many)


def overlapping(
    overlap: Overlap, rows: tuple[Ints, Ints], first: Ints, count: Ints, least: float
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """The pairs whose overlap is `least` or more, block by block.

    Args:
        overlap: of rows.
        rows: the row of each prediction, and of each truth, in the order in which `first` and `count` number them.
        first, count: for each prediction, with which truths it is compared.
        least: above 0.

    Yields:
        Positions of predictions (ascending), positions of truths (ascending for each), and overlap.
    """
    for block in blocks(count, max(1, PAIRS_AT_ONCE // overlap.cost)):
        left, right = pairs(block, first, count)
        if len(left):
            value = overlap(rows[0][left], rows[1][right], least)
            good = np.flatnonzero(value >= least)
            yield left[good], right[good], value[good]
