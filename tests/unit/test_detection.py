"""COCO's figures: the same as COCO's own code gives, whatever the objects look like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import planted_detections as planted
from dataide.errors import EvaluationError
from dataide.evaluate import average_precision, detection, found_objects, instance_masks, outlines, overlap, run_texts
from dataide.evaluate.detection import Masks, Predictions, Truth, corners
from dataide.evaluate.instance_masks import intersections
from dataide.storage import masks as runs
from tests.unit import coco_loops

# By pycocotools 2.0.11, over the images with results, and over all hundred.
REAL = {
    "boxes": (
        [
            0.506985225,
            0.699377251,
            0.575386193,
            0.585625721,
            0.519399695,
            0.501397899,
            0.389193732,
            0.596060529,
            0.597733935,
            0.639810963,
            0.566420598,
            0.564290598,
        ],
        [
            0.504580699,
            0.696972725,
            0.572981667,
            0.585625721,
            0.519399695,
            0.501397899,
            0.386812780,
            0.593679576,
            0.595352983,
            0.639810963,
            0.566420598,
            0.564290598,
        ],
    ),
    "masks": (
        [
            0.321709349,
            0.564692923,
            0.301331060,
            0.387374032,
            0.310182724,
            0.326933907,
            0.270372580,
            0.417591538,
            0.418982356,
            0.469449862,
            0.376759227,
            0.381471510,
        ],
        [
            0.319545276,
            0.562288397,
            0.298926534,
            0.387374032,
            0.310182724,
            0.326933907,
            0.268229723,
            0.415448681,
            0.416839499,
            0.469449862,
            0.376759227,
            0.381471510,
        ],
    ),
}
NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


@pytest.mark.parametrize("by", ["boxes", "masks"])
def test_real_objects_get_the_figures_of_pycocotools(shared_data: Callable[[str], Path], by: str) -> None:
    folder = shared_data("coco-eval-oracle")
    truth = json.loads((folder / "instances_val2014_100.json").read_text(encoding="utf-8"))
    kind = {"boxes": "bbox", "masks": "segm"}[by]
    found = json.loads((folder / f"instances_val2014_fake{kind}100_results.json").read_text(encoding="utf-8"))
    ours, theirs, known = planted.as_columns(truth, found, by)
    everything = detection.detection(ours, theirs, by=by, resamples=0, **known)
    known["images"] = sorted({one["image_id"] for one in found})
    with_results = detection.detection(ours, theirs, by=by, resamples=0, **known)
    assert list(with_results) == NAMES
    for result, expected in zip((with_results, everything), REAL[by], strict=True):
        np.testing.assert_allclose(list(result.values()), expected, atol=1e-6)


def _as_loops_take_it(truth: Any, found: Any, by: str) -> tuple[list[Any], list[Any], Any]:
    def row(one: dict[str, Any]) -> dict[str, Any]:
        place: Any = one.get("bbox")
        if by == "masks":
            made = Masks.from_coco([one["segmentation"]], planted.SIDE, planted.SIDE)
            place = _drawn(made, 0)
        area = one["area"] if "area" in one else place.sum() if by == "masks" else place[2] * place[3]
        return {
            "image": one["image_id"], "label": one["category_id"], "place": place, "area": area,
            "score": one.get("score"), "crowd": bool(one.get("iscrowd")),
        }  # fmt: skip

    way = coco_loops.mask_overlap if by == "masks" else coco_loops.box_overlap
    return [row(one) for one in truth["annotations"]], [row(one) for one in found], way


def _drawn(some: Masks, row: int) -> np.ndarray:
    """The bitmap of a mask."""
    flat = np.zeros(int(some.height_px[row] * some.width_px[row]), bool)
    for at in range(some.starts[row], some.starts[row + 1]):
        flat[some.first[at] : some.last[at]] = True
    return flat.reshape((int(some.height_px[row]), -1), order="F")


@pytest.mark.parametrize("name", planted.CASES)
@pytest.mark.parametrize("by", ["boxes", "masks"])
def test_figures_are_those_of_the_rules_followed_one_by_one(name: str, by: str) -> None:
    differing = {"images": 6, **planted.CASES[name]} | ({"images": 1, "found": 110} if name == "many" else {})
    truth, found = planted.planted(300 + len(name), by, **differing)
    ours, theirs, known = planted.as_columns(truth, found, by)
    result = detection.detection(ours, theirs, by=by, resamples=0, **known)
    np.testing.assert_allclose(
        list(result.values()), coco_loops.figures(*_as_loops_take_it(truth, found, by)), atol=1e-9
    )


def test_a_thousand_pairs_at_a_time_give_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found, known = planted.as_columns(*planted.planted(5, images=40, found=20), "boxes")
    whole = detection.detection(truth, found, resamples=0, **known)
    monkeypatch.setattr(overlap, "PAIRS_AT_ONCE", 100)
    monkeypatch.setattr(detection, "AT_ONCE", 50)
    parts = detection.detection(truth, found, resamples=0, **known)
    assert dict(parts) == dict(whole)
    assert np.array_equal(parts.objects.predictions.partner, whole.objects.predictions.partner)


def test_keypoints_are_compared_by_their_distance_and_the_objects_size() -> None:
    points = np.array([[[10.0, 10, 2], [60, 60, 1], [5, 90, 0]]])
    truth = Truth([0], ["cat"], boxes=[[0, 0, 100, 100]], keypoints=points, area=[6400.0])
    moved = points[:, :, :2] + [[[3.0, 4.0], [0, 0], [70, 70]]]
    sigmas = [0.05, 0.05, 0.05]
    found = Predictions([0], ["cat"], [0.9], keypoints=moved)
    result = detection.detection(truth, found, by="keypoints", sigmas=sigmas)
    # What is not labelled does not count; the other two are exp(-25 / (2 x 0.1² x 6400)) and 1.
    likeness = (np.exp(-25 / (2 * 0.01 * 6400)) + 1) / 2
    assert result.objects.predictions.overlap[0] == pytest.approx(likeness)
    assert result["AP"] == pytest.approx(np.mean(likeness >= detection.THRESHOLDS))
    assert list(result) == ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]
    blank = Truth([0], ["cat"], boxes=[[0, 0, 100, 100]], keypoints=points * [1, 1, 0])
    inside = detection.detection(blank, found, by="keypoints", sigmas=sigmas)
    assert inside["AP"] == -1 and inside.objects.predictions.names().tolist() == ["uncounted"]


def test_what_became_of_each_object_is_told() -> None:
    truth = Truth(
        image=[1, 1, 1, 1, 1, 2],
        label=["cat", "dog", "cat", "cat", "cat", "dog"],
        boxes=[[0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10], [60, 0, 30, 30], [200, 0, 10, 10], [0, 0, 10, 10]],
        crowd=[0, 0, 0, 1, 0, 0],
    )
    rows = [
        ("cat", 0.90, [0, 0, 10, 10], "true_positive", 0),
        ("cat", 0.80, [1, 0, 10, 10], "duplicate", 0),
        ("cat", 0.70, [20, 0, 10, 10], "wrong_class", 1),
        ("cat", 0.60, [45, 0, 10, 10], "badly_placed", 2),
        ("cat", 0.50, [65, 5, 10, 10], "uncounted", 3),
        ("dog", 0.40, [205, 0, 10, 10], "wrong_class_and_place", 4),
        ("cat", 0.30, [100, 100, 10, 10], "false_positive", -1),
    ]
    found = Predictions([1] * 7, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    objects = detection.detection(truth, found).objects
    assert objects.predictions.names().tolist() == [row[3] for row in rows]
    assert objects.predictions.partner.tolist() == [row[4] for row in rows]
    np.testing.assert_allclose(objects.predictions.overlap, [1, 9 / 11, 1, 1 / 3, 1, 1 / 3, 0])
    kinds = ["true_positive", "wrong_class", "badly_placed", "uncounted", "miss", "miss"]
    assert objects.truths.names().tolist() == kinds
    assert objects.truths.partner.tolist() == [0, 2, 3, -1, -1, -1]
    assert objects.counts() == {
        "true_positive": 1, "false_positive": 1, "miss": 2, "wrong_class": 1, "badly_placed": 1, "duplicate": 1,
        "wrong_class_and_place": 1, "uncounted": 1,
    }  # fmt: skip
    table = objects.columns()
    assert table["kind"][7:].tolist() == ["miss", "miss"] and table["truth"][7:].tolist() == [4, 5]
    assert table["prediction"].tolist() == [0, 1, 2, 3, 4, 5, 6, -1, -1]


@pytest.mark.parametrize("seed", [1, 2])
def test_kinds_are_those_of_the_rules_followed_one_by_one(seed: int) -> None:
    given = planted.planted(seed, images=30, truths=10, found=25, classes=2, noise=0.3, crowd=0.1)
    truth, found, known = planted.as_columns(*given, "boxes")
    objects = detection.detection(truth, found, resamples=0, **known).objects
    seen: set[str] = set()
    for row, kind in enumerate(objects.predictions.names()):
        beside = np.flatnonzero((truth.image == found.image[row]) & ~truth.crowd)
        value = np.array([coco_loops.box_overlap(found.boxes[row], truth.boxes[at], False) for at in beside])
        alike = truth.label[beside] == found.label[row]
        same, other = (value[some].max(initial=0.0) for some in (alike, ~alike))
        if objects.predictions.partner[row] >= 0 and kind != "uncounted":
            at = np.flatnonzero(beside == objects.predictions.partner[row])
            assert value[at] == pytest.approx(objects.predictions.overlap[row])
            assert value[at] == pytest.approx(other if kind.startswith("wrong") else same) or kind == "true_positive"
        if kind in ("true_positive", "uncounted"):
            continue
        if 0.1 <= same < 0.5:
            expected = "badly_placed"
        elif other >= 0.5:
            expected = "wrong_class"
        elif same >= 0.5:
            expected = "duplicate"
        else:
            expected = "wrong_class_and_place" if other >= 0.1 else "false_positive"
        assert kind == expected
        seen.add(kind)
    assert len(seen) == 5
    explained = objects.predictions.partner[np.isin(objects.predictions.kind, [3, 4])]
    right = objects.predictions.partner[objects.predictions.kind == 0]
    missed = np.setdiff1d(np.flatnonzero(~truth.crowd), np.concatenate([explained, right]))
    assert np.array_equal(np.flatnonzero(objects.truths.kind == 2), missed)


def test_predictions_that_nobody_would_see_become_misses() -> None:
    truth = Truth([1], [0], [[0, 0, 10, 10]])
    found = Predictions([1, 1], [0, 0], [0.4, 0.2], [[0, 0, 10, 10], [0, 0, 10, 10]])
    objects = detection.detection(truth, found, least_score=0.5).objects
    assert objects.predictions.counts()["uncounted"] == 2 and objects.truths.counts()["miss"] == 1
    objects = detection.detection(truth, found, least_score=0.3).objects
    assert objects.predictions.names().tolist() == ["true_positive", "uncounted"]


def test_each_truth_is_found_once_and_each_partner_answers() -> None:
    truth, found, known = planted.as_columns(*planted.planted(8, images=60, crowd=0.2, scores=5), "boxes")
    objects = detection.detection(truth, found, **known).objects
    right = np.flatnonzero(objects.predictions.kind == 0)
    partner = objects.predictions.partner[right]
    assert len(right) > 20 and len(np.unique(partner)) == len(partner)
    assert np.array_equal(objects.truths.partner[partner], right)
    assert (truth.image[partner] == found.image[right]).all() and (truth.label[partner] == found.label[right]).all()
    assert (objects.predictions.overlap[right] >= 0.5).all()
    assert (objects.truths.kind[truth.crowd] == 7).all()


def test_an_interval_holds_the_figure_and_shrinks_with_more_images() -> None:
    truth, found = planted.large(400, 10, 2, 5, seed=3)
    few = detection.detection(truth, found, images=np.arange(40), seed=1)
    many = detection.detection(truth, found, seed=1)
    for result in (few, many):
        for name in ("AP", "AP50", "AP75"):
            low, high = result.intervals[name]
            assert low < result[name] < high
        assert (result.per_class["AP_low"] < result.per_class["AP"]).all()
    widths = [np.ptp(result.intervals["AP"]) for result in (few, many)]
    assert widths[1] < widths[0] / 1.8
    assert detection.detection(truth, found, seed=1).intervals == many.intervals


def test_a_curve_says_from_which_score_a_recall_is_reached() -> None:
    boxes = [[20.0 * at, 0, 10, 10] for at in range(5)]
    truth = Truth([0] * 4, ["cat"] * 4, boxes[:4])
    found = Predictions([0] * 4, ["cat"] * 4, [0.9, 0.8, 0.7, 0.6], [boxes[0], boxes[4], boxes[1], boxes[2]])
    result = detection.detection(truth, found)
    assert result.scores.shape == result.precision.shape == (10, 101, 1)
    asked = [0, 25, 26, 50, 75, 76, 100]
    np.testing.assert_allclose(result.scores[0, asked, 0], [0.9, 0.9, 0.7, 0.7, 0.6, np.nan, np.nan])
    np.testing.assert_allclose(result.precision[0, asked, 0], [1, 1, 0.75, 0.75, 0.75, 0, 0])


def test_two_runs_are_compared_on_the_same_images() -> None:
    truth, found = planted.large(200, 10, 2, 5, seed=3)
    worse = Predictions(found.image, found.label, found.score, found.boxes + np.array([1.0, 0, 0, 0]))
    first, second = detection.detection(truth, worse), detection.detection(truth, found)
    value, low, high = detection.difference(first, second)
    assert value == second["AP"] - first["AP"] and 0 < low < value < high
    # What is hard is hard for both: the difference is surer than the figures are.
    assert high - low < 0.5 * np.ptp([first.intervals["AP"], second.intervals["AP"]], axis=1).sum()
    assert detection.difference(first, first) == (0, 0, 0)
    with pytest.raises(EvaluationError, match="not measured alike"):
        detection.difference(first, detection.detection(truth, found, seed=5))
    with pytest.raises(EvaluationError, match="no resamples of AP75"):
        detection.difference(first, detection.detection(truth, found, resamples=0), "AP75")


def test_an_image_drawn_twice_counts_as_two_images() -> None:
    truth, found = planted.large(30, 8, 2, 4, seed=4)
    result = detection.detection(truth, found, resamples=0)
    given = found_objects.columns(truth, found, "boxes")
    drawn = np.bincount(np.random.default_rng(0).integers(0, 30, 30), minlength=30)
    first, found_first = _repeated(truth, drawn), _repeated(found, drawn)
    counting = np.flatnonzero(~given.ignored)
    work = detection._Matched(given, list(detection.SIZES.values()), 100, 0.5)
    rows = work.rows
    codes = average_precision.judged(
        work.codes[:, :10], given.label[rows], given.score[rows], given.image[rows], work.rank, 2
    )
    image, label = given.truth_image[counting], given.truth_label[counting]
    [once] = average_precision.resampled(codes, image, label, 30, times=1, seed=0)
    expected = detection.detection(first, found_first, resamples=0)
    # A recall of 0.29 or so may round to either side of that level: a part in a thousand of one precision.
    np.testing.assert_allclose(once[0].mean(axis=0), expected.per_class["AP"], atol=2e-4)
    assert abs(once.mean() - result["AP"]) > 2e-3


def _repeated(given: Any, times: np.ndarray) -> Any:
    """Images as often as they were drawn, each time by another number."""
    parts: dict[str, list[np.ndarray]] = {}
    for turn in range(int(times.max())):
        rows = np.flatnonzero(times[given.image] > turn)
        for name in ("image", "label", "boxes", "score", "crowd", "area"):
            values = getattr(given, name, None)
            if values is not None:
                parts.setdefault(name, []).append(values[rows] + (turn * len(times) if name == "image" else 0))
    return type(given)(**{name: np.concatenate(values) for name, values in parts.items()})


def test_nothing_at_all_is_no_error() -> None:
    none: dict[str, Any] = {"image": np.empty(0, int), "label": [], "boxes": np.empty((0, 4))}
    empty = detection.detection(Truth(**none), Predictions(**none, score=[]))
    assert set(empty.values()) == {-1.0} and empty.images == 0 and not empty.intervals
    only_truth = detection.detection(Truth([3], ["cat"], [[0, 0, 5, 5]]), Predictions(**none, score=[]))
    assert only_truth["AP"] == 0 and only_truth["APl"] == -1 and only_truth.objects.counts()["miss"] == 1
    only_found = detection.detection(Truth(**none), Predictions([3], ["cat"], [0.5], [[0, 0, 5, 5]]))
    assert only_found["AP"] == -1 and only_found.per_class["class"].tolist() == ["cat"]
    assert only_found.objects.counts()["false_positive"] == 1
    no_masks = Masks.from_runs([], 10)
    masks: dict[str, Any] = {"image": np.empty(0, int), "label": [], "masks": no_masks}
    assert detection.detection(Truth(**masks), Predictions(**masks, score=[]), by="masks")["AP"] == -1


def test_only_rows_of_the_images_and_classes_asked_for_count() -> None:
    truth = Truth([1, 2, 3], ["cat", "dog", "cat"], [[0, 0, 10, 10]] * 3)
    found = Predictions([1, 2, 9], ["cat", "cat", "cat"], [0.9, 0.8, 0.7], [[0, 0, 10, 10]] * 3)
    result = detection.detection(truth, found, images=[1, 2], classes=["dog", "cat", "bird"])
    assert result.images == 2 and result.per_class["class"].tolist() == ["dog", "cat", "bird"]
    np.testing.assert_allclose(result.per_class["AP50"], [0, 1, -1])
    assert result.objects.predictions.names().tolist() == ["true_positive", "wrong_class", "uncounted"]
    assert result.objects.truths.partner.tolist() == [0, 1, -1]
    assert "AP50   0.5" in repr(result) and len(result) == 12
    with pytest.raises(KeyError, match="Did you mean AP50"):
        result["ap50x"]


GOOD: dict[str, Any] = {"image": [1, 2], "label": ["cat", "dog"], "boxes": [[0, 0, 9, 9], [5, 5, 9, 9]]}


@pytest.mark.parametrize(
    ("truth", "found", "asked", "told"),
    [
        ({}, {"score": [0.5]}, {}, r"score of the predictions have the shape \(1,\)"),
        ({}, {"score": [0.5, np.nan]}, {}, "1 of 2 predictions have a score that is no number, the first in row 1"),
        ({"label": ["cat", None]}, {}, {}, "1 of 2 objects of the truth have no class, the first in row 1"),
        ({"label": [0, -1]}, {"label": [0, 1]}, {}, "of the truth have no class"),
        ({"label": [0, 1]}, {}, {}, "numbers on one side and names on the other"),
        ({"label": [0.5, 1]}, {}, {}, "neither whole numbers nor names"),
        ({"label": ["cat"]}, {}, {}, r"classes of shape \(1,\)"),
        ({"boxes": [[0, 0, 9, np.inf], [0, 0, 1, 1]]}, {}, {}, "that is no number, the first in row 0"),
        ({}, {"boxes": [[0, 0, 9, 9], [9, 9, -1, 2]]}, {}, "1 of 2 boxes of the predictions have a negative width"),
        ({"boxes": None}, {}, {}, "The truth have no boxes"),
        ({"boxes": [[0, 0], [1, 1]]}, {}, {}, r"shape \(2, 2\), and not 2 x 4"),
        ({"image": ["a", "b"]}, {}, {}, "not one column of whole numbers"),
        ({"crowd": [0.5, 1]}, {}, {}, "Crowd is not 2 times yes or no"),
        ({}, {}, {"by": "shape"}, "not compared by 'shape'"),
        ({}, {}, {"by": "masks"}, "no masks for 2 objects"),
        ({}, {}, {"by": "keypoints"}, "no keypoints"),
        ({}, {}, {"match_at": 0.05}, "overlap of 0.05"),
        ({}, {}, {"confidence": 1.5}, "confidence 1.5"),
        ({}, {}, {"classes": ["cat", "cat"]}, "named twice"),
        ({}, {}, {"classes": ["car", "bus"]}, "None of the classes asked for is among those of the objects: car, bus"),
        ({"label": np.ma.array(["cat", "x"], mask=[False, True])}, {}, {}, "1 of 2 objects of the truth have no class"),
        ({}, {"score": np.ma.array([0.5, 1], mask=[True, False])}, {}, "score that is no number, the first in row 0"),
    ],
)
def test_what_cannot_be_measured_is_said(truth: Any, found: Any, asked: Any, told: str) -> None:
    with pytest.raises(EvaluationError, match=told) as error:
        detection.detection(Truth(**GOOD | truth), Predictions(**GOOD | {"score": [0.9, 0.8]} | found), **asked)
    assert error.value.hint


def test_keypoints_of_another_number_are_refused() -> None:
    points = np.ones((2, 5, 3))
    with pytest.raises(EvaluationError, match="5 keypoints of 3 numbers, and there are 17 sigmas"):
        detection.detection(
            Truth(**GOOD, keypoints=points), Predictions(**GOOD, score=[1, 2], keypoints=points), by="keypoints"
        )


def test_a_crowd_that_is_not_known_is_none() -> None:
    crowd = np.ma.array([True, True], mask=[False, True])
    result = detection.detection(Truth(**GOOD, crowd=crowd), Predictions(**GOOD, score=[0.5, 0.6]))
    assert result.per_class["truths"].tolist() == [0, 1]


def test_corners_become_sizes() -> None:
    assert corners([[1, 2, 11, 22]]).tolist() == [[1, 2, 10, 20]]


def test_masks_share_the_pixels_that_their_pictures_share() -> None:
    draw = np.random.default_rng(1)
    pictures = [np.kron(draw.random((6, 8)) < share, np.ones((5, 4))).astype(bool) for share in (0, 0.2, 0.5, 0.8, 1)]
    some = Masks.from_runs([runs.encoded(picture) for picture in pictures], 30)
    text = [{"counts": runs.to_text(runs.encoded(picture)), "size": [30, 32]} for picture in pictures]
    other = Masks.from_coco(text, 30, 32)
    for given in (some, other):
        assert given.area.tolist() == [picture.sum() for picture in pictures]
        for row, picture in enumerate(pictures):
            assert tuple(given.boxes[row]) == (runs.box(runs.encoded(picture), 30) or (0, 0, 0, 0))
            assert np.array_equal(_drawn(given, row), picture)
    left, right = (grid.ravel() for grid in np.meshgrid(np.arange(5), np.arange(5)))
    shared = [int((pictures[a] & pictures[b]).sum()) for a, b in zip(left, right, strict=True)]
    assert intersections(some, left, other, right).tolist() == shared


def test_outlines_are_filled_and_those_of_one_object_joined() -> None:
    square, beside = [2, 3, 7, 3, 7, 8, 2, 8], [5, 6, 12, 6, 12, 10, 5, 10]
    some = Masks.from_coco([[square], [square, beside], [square, square], [[50, 50, 60, 50, 60, 60]], []], 20, 15)
    expected = np.zeros((2, 20, 15), bool)
    expected[:, 3:8, 2:7] = True
    expected[1, 6:10, 5:12] = True
    assert np.array_equal(_drawn(some, 0), expected[0])
    assert np.array_equal(_drawn(some, 1), expected[1])
    assert np.array_equal(_drawn(some, 2), expected[0])
    assert some.area[3:].tolist() == [0, 0]


TEXTS = [{"counts": runs.to_text(np.array([5, 20])), "size": [5, 5]}] * 2


def test_texts_read_together_are_those_read_one_by_one() -> None:
    draw = np.random.default_rng(3)
    lists = [draw.integers(0, 2 ** draw.integers(1, 24), draw.integers(0, 40)) for _ in range(200)]
    values, offsets = run_texts.read([runs.to_text(one) for one in lists])
    for row, one in enumerate(lists):
        assert np.array_equal(values[offsets[row] : offsets[row + 1]], one)


def test_masks_are_the_same_read_by_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found = planted.planted(6, "masks", images=10)
    mixed = [one["segmentation"] for one in truth["annotations"] + found]
    whole = Masks.from_coco(mixed, planted.SIDE, planted.SIDE)
    monkeypatch.setattr(instance_masks, "PORTION", 7)
    monkeypatch.setattr(instance_masks, "AT_ONCE", 30)
    monkeypatch.setattr(outlines, "AT_ONCE", 500)
    parts = Masks.from_coco(mixed, planted.SIDE, planted.SIDE)
    for name in ("starts", "first", "last", "area", "boxes"):
        assert np.array_equal(getattr(parts, name), getattr(whole, name))
    rows = np.arange(len(mixed))
    assert intersections(parts, rows, whole, rows).tolist() == whole.area.tolist()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Masks.from_runs([[3, 4]], 5), "Mask 0 is no mask"),
        (lambda: Masks.from_runs([[10], [6, -1, 5]], 5), "Mask 1 is no mask: a run"),
        (lambda: Masks.from_flat_runs([10, 6, -1, 5], [0, 1, 4], 5), "Mask 1 is no mask"),
        (lambda: Masks.from_coco([{"counts": [3, 4], "size": [5, 5]}], 5, 5), "Mask 0 cannot be read: the runs have 7"),
        (
            lambda: Masks.from_coco([[], *TEXTS, {"counts": "o", "size": [5, 5]}], 5, 5),
            "Mask 3 cannot be read: the counts",
        ),
        (
            lambda: Masks.from_coco([*TEXTS, {"counts": "~0", "size": [5, 5]}], 5, 5),
            "Mask 2 cannot be read: the counts",
        ),
        (
            lambda: Masks.from_coco([*TEXTS, {"counts": "", "size": [5, 5]}], 5, 5),
            "Mask 2 cannot be read: the runs have 0",
        ),
        (lambda: Masks.from_coco([{"counts": [9.5, 15.5], "size": [5, 5]}], 5, 5), "no whole numbers"),
        (lambda: Masks.from_runs([[5], [5.5]], 5), "Mask 1 is no mask: the counts"),
        (lambda: Masks.from_coco([{"size": [5, 5]}], 5, 5), "Mask 0 cannot be read"),
        (lambda: Masks.from_coco([None], 5, 5), "neither outlines nor runs: NoneType"),
        (lambda: Masks.from_coco([*TEXTS, [[1, 2, 3]]], 5, 5), "Mask 2 cannot be read: an outline is not pairs"),
        (lambda: Masks.from_coco([[["a", "b"]]], 5, 5), "not pairs of numbers"),
    ],
)
def test_masks_that_are_none_are_named(make: Callable[[], Masks], told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        make()


def test_masks_of_another_size_are_not_compared() -> None:
    small, large = Masks.from_runs([[0, 25]], 5), Masks.from_runs([[0, 50]], 5)
    with pytest.raises(EvaluationError, match=r"10 x 5 px predicted .* 5 x 5 px true"):
        detection.detection(Truth([1], [0], masks=small), Predictions([1], [0], [0.5], masks=large), by="masks")
