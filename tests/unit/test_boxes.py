"""Overlaps of boxes and masks against the plainest way to compute them."""

import numpy as np
import pytest

from dataide.core import boxes
from dataide.storage.masks import encoded


def some(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    sides = np.concatenate([random.uniform(0, 100, (count, 2)), random.uniform(1, 60, (count, 2))], axis=1)
    return sides, random.integers(0, max(count // 12, 1), count)


def plain_iou(first: np.ndarray, second: np.ndarray) -> float:
    across = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    down = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    shared = max(across, 0) * max(down, 0)
    return float(shared / (first[2] * first[3] + second[2] * second[3] - shared))


@pytest.mark.parametrize("portion", [3, 1 << 20])
def test_all_pairs_that_overlap_are_found_once(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "PAIRS_AT_ONCE", portion)
    box, picture = some(200, 1)
    box[5, 2], box[6, 3], box[7, 0], box[8, 2] = -4, 0, np.nan, np.inf
    expected = {
        (i, j): plain_iou(box[i], box[j])
        for i in range(200)
        for j in range(i + 1, 200)
        if picture[i] == picture[j] and not {i, j} & {5, 6, 7, 8} and plain_iou(box[i], box[j]) > 0
    }
    found = {}
    for first, second, shared in boxes.overlapping(box, picture):
        for i, j, area in zip(first.tolist(), second.tolist(), shared, strict=True):
            assert (i, j) not in found
            found[i, j] = area / (box[i, 2] * box[i, 3] + box[j, 2] * box[j, 3] - area)
    assert found.keys() == expected.keys() and len(found) > 200
    assert all(found[pair] == pytest.approx(expected[pair]) for pair in expected)


def test_iou_of_the_same_of_none_and_of_what_is_no_box() -> None:
    box = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 0]], float)
    other = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [np.nan, 0, 10, 10], [0, 0, 0, 0]], float)
    assert boxes.iou(box, other) == pytest.approx([1, 1 / 3, 0, 0])


@pytest.mark.parametrize("portion", [5, 1 << 20])
def test_pairs_between_two_tables(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "PAIRS_AT_ONCE", portion)
    random = np.random.default_rng(3)
    first, second = random.integers(0, 9, 40), random.integers(2, 12, 50)
    found = [pair for one, two in boxes.pairs_between(first, second) for pair in zip(one, two, strict=True)]
    assert sorted(found) == [(i, j) for i in range(40) for j in range(50) if first[i] == second[j]]
    assert list(boxes.pairs_between(np.empty(0, np.int64), second)) == []


def test_a_thousand_boxes_at_one_place() -> None:
    box = np.tile([1.0, 2.0, 30.0, 40.0], (1000, 1))
    count = sum(len(first) for first, _, _ in boxes.overlapping(box, np.zeros(1000, np.int64)))
    assert count == 1000 * 999 // 2


def test_clipped_and_upright() -> None:
    box = np.array([[-5, 2, 20, 10], [90, 90, 20, 20], [200, 0, 5, 5]], float)
    cut = boxes.clipped(box, np.full(3, 100.0), np.full(3, 100.0))
    assert cut.tolist() == [[0, 2, 15, 10], [90, 90, 10, 10], [100, 0, 0, 5]]
    assert boxes.upright(np.array([[10, 20, -4, -6], [1, 1, 2, 2]], float)).tolist() == [[6, 14, 4, 6], [1, 1, 2, 2]]


@pytest.mark.parametrize("seed", range(4))
def test_masks_as_runs_like_masks_as_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.random((17, 23)) < 0.4, random.random((17, 23)) < 0.2 + 0.2 * seed
    one, two = encoded(first), encoded(second)
    assert boxes.run_area(one) == first.sum()
    assert boxes.run_iou(one, two) == pytest.approx((first & second).sum() / (first | second).sum())
    assert boxes.run_iou(one, one) == 1 and boxes.run_iou(one, encoded(~first)) == 0
    assert boxes.run_iou(one, encoded(np.zeros((17, 23), bool))) == 0
    assert boxes.run_iou(np.empty(0, np.uint32), two) == 0
