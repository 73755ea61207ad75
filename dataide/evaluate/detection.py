"""How well objects are found: COCO's figures for boxes, masks and keypoints, and what became of each object.

The figures are those of T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, as its evaluation
code (pycocotools) computes them: average precision (AP) over ten thresholds of overlap from 0.5 to 0.95, at 0.5 and
0.75, for small, medium and large objects (up to 32² and 96² px), and average recall (AR) with 1, 10 and 100 predictions
an image and class. Keypoints are compared by OKS, with 20 predictions an image.
How the predictions are matched: matching.py. Averages and intervals: average_precision.py. Kinds of errors:
object_kinds.py. `benchmarks/detection.py` compares figures and time with pycocotools.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError, did_you_mean
from dataide.evaluate import average_precision as averages
from dataide.evaluate import matching, object_kinds
from dataide.evaluate.average_precision import FALSE, IGNORED, TRUE, Judged
from dataide.evaluate.found_objects import Columns, Predictions, Truth, columns, corners
from dataide.evaluate.instance_masks import Masks
from dataide.evaluate.object_kinds import Objects, Seen
from dataide.evaluate.overlap import overlapping

__all__ = ["Detection", "Masks", "Objects", "Predictions", "Truth", "corners", "detection", "difference"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
AT_50, AT_75 = 0, 5
# Sizes in square px, both ends included: a figure's letter, from, to.
SIZES = {"": (0.0, 1e10), "s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)}
POINT_SIZES = {"": (0.0, 1e10), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)}
MOST, MOST_POINTS = (1, 10, 100), (20,)
# Pairs that overlap, matched in one go.
AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Detection(Mapping[str, float]):
    """How well objects are found; reads as a mapping from a figure's name to its value: `result["AP50"]`.

    Attributes:
        figures: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl; of keypoints AP, AP50, AP75, APm, APl,
            AR, AR50, AR75, ARm, ARl. -1 where there is no truth to measure by, as COCO's code has it.
        intervals: of AP, AP50 and AP75, from and to, by bootstrap over images; empty where none was asked for or there
            are fewer than two images.
        per_class: `class`, `truths` and `predictions` (how many count) and the figures, c each; `AP_low` and `AP_high`
            with intervals.
        precision: 10 x 101 x c, at overlaps of 0.5 to 0.95 and recalls of 0 to 1, for all sizes; -1 where a class has
            no truth.
        scores: 10 x 101 x c, the score of the prediction with which that recall is reached; NaN where it is not.
        objects: what became of each object.
        drawn: AP, AP50 and AP75 of each resample, by which `difference` compares runs; NaN where it has no truth.
        images: how many images count.
        by: boxes, masks or keypoints.
        confidence: of the intervals.
        seed: of the draw.
    """

    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, NDArray[Any]] = field(repr=False)
    precision: Floats = field(repr=False)
    scores: Floats = field(repr=False)
    objects: Objects = field(repr=False)
    drawn: dict[str, Floats] = field(repr=False)
    images: int
    by: str
    confidence: float
    seed: int

    def __getitem__(self, name: str) -> float:
        try:
            return self.figures[name]
        except KeyError:
            hint = did_you_mean(str(name), self.figures)
            raise KeyError(f"There is no figure '{name}'. {hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __repr__(self) -> str:
        lines = [f"Detection by {self.by}, {self.images:,} images"]
        for name, value in self.figures.items():
            told = f"{value:.4f}" if value > -1 else "no truth"
            if name in self.intervals:
                low, high = self.intervals[name]
                told += f"  ({low:.4f} to {high:.4f}, {self.confidence:.0%})"
            lines.append(f"{name:<6} {told}")
        kinds = [f"{many:,} {kind.replace('_', ' ')}" for kind, many in self.objects.counts().items() if many]
        return "\n".join([*lines, ", ".join(kinds)])


def detection(
    truth: Truth,
    predictions: Predictions,
    *,
    by: str = "boxes",
    images: Any = None,
    classes: Sequence[Any] | None = None,
    sigmas: Any = None,
    match_at: float = 0.5,
    background_at: float = 0.1,
    least_score: float | None = None,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Detection:
    """Measures predicted objects by true ones (Lin et al., ECCV 2014; kinds of errors by Bolya et al., ECCV 2020).

    Takes memory for a byte a prediction, threshold and size beside its columns; no pair that does not overlap is kept.
    Boxes that have no area or reach out of the picture are compared as they are: without area they match nothing.

    Args:
        truth: what is there; none at all gives figures of -1.
        predictions: what was found; none at all gives figures of 0.
        by: boxes, masks or keypoints; truths by keypoints need boxes too.
        images: the images that count (whole numbers), also those without any object; rows of others are left out.
            None: all that are named.
        classes: that count, in this order; None: all that are named, sorted. A class without truth has no figures.
        sigmas: k, how much people differ about each keypoint, as a share of the object's scale; None: a person's 17.
        match_at: the overlap from which an object counts as found, in `objects` only.
        background_at: below it, a prediction has nothing to do with a truth, in `objects` only.
        least_score: predictions below it are "uncounted" in `objects`, as a user of the model would not see them.
        resamples: sets of images drawn for intervals; 0 for none.
        confidence: of the intervals, between 0 and 1.
        seed: of the draw.

    Raises:
        EvaluationError: a column is missing or of another length, an object has no class, or a number is none; a width
            is negative; masks of one image differ in size; an argument is out of range.
    """
    if not 0 < background_at <= match_at <= 1:
        raise EvaluationError(
            f"An object is found from an overlap of {match_at} and background below {background_at}.",
            hint="Both are above 0 and at most 1, and match_at is not the smaller one.",
        )
    if not 0 < confidence < 1 or resamples < 0:
        raise EvaluationError(
            f"There are no intervals of confidence {confidence} from {resamples} resamples.",
            hint="confidence is between 0 and 1, say 0.95; resamples is 0 or more.",
        )
    given = columns(truth, predictions, by, images=images, classes=classes, sigmas=sigmas)
    sizes, most = (POINT_SIZES, MOST_POINTS) if by == "keypoints" else (SIZES, MOST)
    work = _Matched(given, list(sizes.values()), most[-1], match_at)
    rows = work.rows
    codes = averages.judged(
        work.codes, given.label[rows], given.score[rows], given.image[rows], work.rank, len(given.classes)
    )
    truths = _truths(given, list(sizes.values()))
    precision, scores = averages.precisions(codes, np.repeat(truths, len(THRESHOLDS), axis=0))
    per_class = _per_class(by, sizes, most, codes, truths, precision)
    intervals: dict[str, tuple[float, float]] = {}
    drawn: dict[str, Floats] = {}
    spans: dict[str, NDArray[Any]] = {}
    if resamples and given.images > 1 and truths[0].any():
        total, of_class = _drawn(given, codes, resamples, seed)
        drawn = dict(zip(("AP", "AP50", "AP75"), total.T, strict=True))
        intervals = {
            name: averages.interval(averages.mean(per_class[name]), values, confidence)
            for name, values in drawn.items()
        }
        ends = [
            averages.interval(value, of_class[:, at], confidence) if value > -1 else (-1.0, -1.0)
            for at, value in enumerate(per_class["AP"].tolist())
        ]
        spans = dict(zip(("AP_low", "AP_high"), np.array(ends).T, strict=True))
    names = np.array(given.classes) if given.classes else np.empty(0, np.int64)
    counted = np.diff(codes.starts)
    return Detection(
        figures={name: averages.mean(values) for name, values in per_class.items()},
        intervals=intervals,
        per_class={"class": names, "truths": truths[0], "predictions": counted, **per_class, **spans},
        precision=precision[: len(THRESHOLDS)],
        scores=scores[: len(THRESHOLDS)],
        objects=_objects(truth, predictions, given, work, (match_at, background_at), least_score),
        drawn=drawn,
        images=given.images,
        by=by,
        confidence=confidence,
        seed=seed,
    )


class _Matched:
    """All predictions matched, in the order of their groups.

    Attributes:
        rows: of the predictions that are among the best of their image and class.
        rank: their place there, from 0.
        codes: n x (sizes x thresholds), FALSE, TRUE or IGNORED.
        partner: the truth's row of each at the overlap asked for, whatever the size, or -1.
    """

    def __init__(self, given: Columns, sizes: list[tuple[float, float]], most: int, match_at: float) -> None:
        groups = max(len(given.classes), 1)
        layout = matching.lay_out(
            given.image * groups + given.label, given.score, given.truth_image * groups + given.truth_label, most
        )
        self.rows, self.rank = layout.rows, layout.rank
        area, truth_area = given.area[layout.rows], given.truth_area[layout.truth_rows]
        other = np.stack([(truth_area < low) | (truth_area > high) for low, high in sizes], axis=1)
        ignored = other | given.ignored[layout.truth_rows, None]
        # One lane more, for the objects: the overlap asked for, and all sizes.
        of_size = np.append(np.repeat(np.arange(len(sizes)), len(THRESHOLDS)), 0)
        threshold = np.append(np.tile(THRESHOLDS, len(sizes)), match_at)
        lanes = matching.Lanes(threshold, ignored[:, of_size])
        outside = np.stack([(area < low) | (area > high) for low, high in sizes], axis=1)
        # Without a partner, what has another size does not count.
        self.codes = np.where(outside, IGNORED, FALSE).astype(np.uint8).repeat(len(THRESHOLDS), axis=1)
        self.partner = np.full(len(self.rows), -1)
        crowd = given.crowd[layout.truth_rows]
        for pairs in _portions(given, layout, min(float(threshold.min()), matching.ALMOST_ONE)):
            near, chosen = matching.match(pairs, layout.rank, crowd, lanes)
            hit, lane = np.nonzero(chosen[:, :-1] >= 0)
            skipped = lanes.ignored[chosen[hit, lane], lane]
            self.codes[near[hit], lane] = np.where(skipped, IGNORED, TRUE)
            last = chosen[:, -1]
            self.partner[near] = np.where(last >= 0, layout.truth_rows[last], -1)


def _portions(given: Columns, layout: matching.Layout, least: float) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Pairs that overlap, of whole images: what is matched in one go must not miss a rival."""
    waiting: list[tuple[Ints, Ints, Floats]] = []
    held = 0
    image = given.image[layout.rows]
    for part in overlapping(given.overlap, (layout.rows, layout.truth_rows), layout.first, layout.count, least):
        waiting.append(part)
        held += len(part[0])
        if held >= AT_ONCE:
            joined = _joined(waiting)
            # The last image may go on in the next part.
            cut = int(np.searchsorted(image[joined[0]], image[joined[0][-1]]))
            if cut:
                yield joined[0][:cut], joined[1][:cut], joined[2][:cut]
            waiting = [(joined[0][cut:], joined[1][cut:], joined[2][cut:])]
            held = len(waiting[0][0])
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[tuple[Ints, Ints, Floats]]) -> tuple[Ints, Ints, Floats]:
    left, right, value = zip(*parts, strict=True)
    return np.concatenate(left), np.concatenate(right), np.concatenate(value)


def _truths(given: Columns, sizes: list[tuple[float, float]]) -> Ints:
    """How many truths of each class count, for each size: a x c."""
    area = given.truth_area
    return np.stack(
        [
            np.bincount(
                given.truth_label[~given.ignored & (area >= low) & (area <= high)], minlength=len(given.classes)
            )
            for low, high in sizes
        ]
    ).astype(np.int64)


def _per_class(
    by: str, sizes: Mapping[str, Any], most: Sequence[int], codes: Judged, truths: Ints, precision: Floats
) -> dict[str, Floats]:
    """COCO's figures of each class, c each, in their order."""
    many, classes = len(THRESHOLDS), truths.shape[1]
    repeated = np.repeat(truths, many, axis=0)
    curves = precision.reshape(len(sizes), many, len(averages.RECALLS), classes).mean(axis=2)
    reached = {limit: averages.recalls(codes, repeated, limit).reshape(len(sizes), many, classes) for limit in most}
    found = {"AP": curves[0].mean(axis=0), "AP50": curves[0, AT_50], "AP75": curves[0, AT_75]}
    found |= {f"AP{letter}": curves[place].mean(axis=0) for place, letter in enumerate(sizes) if letter}
    best = reached[most[-1]]
    if by == "keypoints":
        found |= {"AR": best[0].mean(axis=0), "AR50": best[0, AT_50], "AR75": best[0, AT_75]}
    else:
        found |= {f"AR{limit}": reached[limit][0].mean(axis=0) for limit in most}
    return found | {f"AR{letter}": best[place].mean(axis=0) for place, letter in enumerate(sizes) if letter}


def _drawn(given: Columns, codes: Judged, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """AP, AP50 and AP75 of each resample (r x 3), and AP of each class (r x c); NaN where there is no truth."""
    counting = np.flatnonzero(~given.ignored)
    every_size = Judged(codes.codes[: len(THRESHOLDS)], codes.starts, codes.image, codes.rank, codes.score)
    total, of_class = [], []
    for part in averages.resampled(
        every_size, given.truth_image[counting], given.truth_label[counting], given.images, times=resamples, seed=seed
    ):
        there = ~np.isnan(part)
        many = there.sum(axis=2)
        values = np.where(many > 0, np.where(there, part, 0).sum(axis=2) / np.maximum(many, 1), np.nan)
        total.append(np.stack([values.mean(axis=1), values[:, AT_50], values[:, AT_75]], axis=1))
        of_class.append(part.mean(axis=1))
    return np.concatenate(total), np.concatenate(of_class)


def _objects(
    truth: Truth,
    predictions: Predictions,
    given: Columns,
    work: _Matched,
    at: tuple[float, float],
    least_score: float | None,
) -> Objects:
    """What became of each object, in the rows as they were given."""
    partner, counted = np.full(len(given.rows), -1), np.zeros(len(given.rows), bool)
    partner[work.rows], counted[work.rows] = work.partner, True
    if least_score is not None:
        low = given.score < least_score
        partner[low], counted[low] = -1, False
    seen = Seen(
        given.image, given.label, given.score, given.truth_image, given.truth_label, given.ignored, partner, counted
    )
    told = object_kinds.tell(seen, given.overlap, *at)
    return Objects(
        told.predictions.spread(given.rows, given.truth_rows, len(predictions.image)),
        told.truths.spread(given.truth_rows, given.rows, len(truth.image)),
    )


def difference(before: Detection, after: Detection, name: str = "AP") -> tuple[float, float, float]:
    """By how much a run finds objects better than another, and from where to where that could be chance.

    Both are drawn from the same sets of images, so what is hard in an image is hard for both (a paired bootstrap: B.
    Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, sections 8.4 and 13.3).

    Args:
        before, after: measured on the same truth, with the same images, number of resamples and seed.
        name: AP, AP50 or AP75.

    Returns:
        After minus before, and the interval of `after.confidence`.

    Raises:
        EvaluationError: they were not drawn alike, or nothing was drawn.
    """
    if name not in before.drawn or name not in after.drawn:
        hint = did_you_mean(name, set(before.drawn) & set(after.drawn)) or "Measure both with resamples=200, say."
        raise EvaluationError(f"There are no resamples of {name} to compare by.", hint=hint)
    alike = before.images == after.images and before.seed == after.seed and before.by == after.by
    same_truth = np.array_equal(before.per_class["truths"], after.per_class["truths"])
    truths = [int(one.per_class["truths"].sum()) for one in (before, after)]
    if not alike or not same_truth or len(before.drawn[name]) != len(after.drawn[name]):
        raise EvaluationError(
            f"The two were not measured alike: {before.images:,} and {after.images:,} images, by {before.by} and "
            f"{after.by}, seeds {before.seed} and {after.seed}, {truths[0]:,} and {truths[1]:,} truths.",
            hint="Give the same truth, `images`, `classes`, `resamples` and `seed` to both.",
        )
    value = after[name] - before[name]
    return value, *averages.interval(value, after.drawn[name] - before.drawn[name], after.confidence, least=-1.0)
