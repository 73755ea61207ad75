"""Keep or drop: over tables of right and wrong whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.loop import student
from dataide.loop.verdict import EVERYTHING, TrialError, verdict


def arms(
    change: float, seed: int, *, samples: int = 2_000, seeds: int = 4, by_seed: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """Both arms; a sample is as hard in each, and each training is better or worse as a whole by chance."""
    random = np.random.default_rng(seed)
    hard = random.uniform(0, 1, samples)
    both = []
    for shift in (0.0, change):
        likely = hard + shift + random.normal(0, by_seed, (seeds, 1))
        both.append(random.uniform(0, 1, (seeds, samples)) < np.clip(likely, 0, 1))
    return both[0], both[1]


def test_a_gain_is_kept_a_loss_is_dropped_and_the_same_arm_is_no_evidence():
    assert verdict(*arms(0.06, 0)).decision == "keep"
    assert verdict(*arms(-0.06, 1)).decision == "drop"
    before, _ = arms(0, 2)
    same = verdict(before, before)
    assert same.decision == "no evidence" and same.differences[EVERYTHING].change == 0
    assert same.differences[EVERYTHING].low < 0 < same.differences[EVERYTHING].high


@pytest.mark.parametrize("by_seed", [0.0, 0.02])
def test_what_changes_nothing_is_hardly_ever_kept(by_seed):
    decisions, inside = [], 0
    for seed in range(200):
        before, after = arms(0, seed, samples=400, by_seed=by_seed)
        found = verdict(before, after, {"first": np.arange(100), "rare": np.arange(380, 400)})
        decisions.append(found.decision)
        inside += found.differences[EVERYTHING].low <= 0 <= found.differences[EVERYTHING].high
    # At most 2.5 % are expected; more than 6 % of 200 is less likely than one in a thousand.
    assert decisions.count("keep") <= 12 and decisions.count("drop") <= 12
    assert inside >= 180


def test_a_set_that_improved_is_named_and_one_that_broke_outweighs_it():
    before = np.zeros((3, 1_000), bool)
    before[:, 100:] = np.random.default_rng(0).uniform(size=900) < 0.5
    after = before.copy()
    after[:, :60] = True
    found = verdict(before, after, {"cats": np.arange(100), "dogs": np.arange(100, 300)})
    assert found.decision == "keep" and "cats" in found.improved and "'cats'" in found.sentence
    after[:, 100:300] = False
    found = verdict(before, after, {"cats": np.arange(100), "dogs": np.arange(100, 300)})
    assert found.decision == "drop" and "dogs" in found.broken
    assert "though 'cats' improved" in found.sentence
    permitted = verdict(
        before, after, {"cats": np.arange(100), "dogs": np.arange(100, 300)}, allowed={"dogs": 0.9, EVERYTHING: 0.5}
    )
    assert permitted.decision == "keep"


def test_a_gain_that_nobody_hoped_for_is_no_reason_to_keep():
    before = np.zeros((3, 1_000), bool)
    before[:, 500:] = True
    after = before.copy()
    after[:, :30] = True
    after[:, 500:530] = False
    sets = {"cats": np.arange(100)}
    assert verdict(before, after, sets).decision == "keep"
    assert verdict(before, after, sets, aims=[EVERYTHING]).decision == "no evidence"


def test_five_samples_that_agree_are_not_certain():
    found = verdict(np.zeros((3, 5), bool), np.ones((3, 5), bool)).differences[EVERYTHING]
    assert found.low < 1 and found.change == 1


@pytest.mark.parametrize(
    ("before", "after", "options", "message"),
    [
        (np.zeros((2, 9)), np.zeros((2, 9)), {}, "2 pairs of trainings say too little"),
        (np.zeros((3, 9)), np.zeros((3, 8)), {}, "One arm has 3 seeds and 9 samples"),
        (np.zeros((3, 0)), np.zeros((3, 0)), {}, r"has the shape \(3, 0\)"),
        (np.zeros((3, 9)), np.full((3, 9), np.nan), {}, "not from 0 to 1"),
        (np.zeros((3, 9)), np.zeros((3, 9)), {"sets": {"a": np.zeros(9, bool)}}, "'a' has no samples"),
        (np.zeros((3, 9)), np.zeros((3, 9)), {"sets": {"a": np.array([9])}}, "that were not judged"),
        (np.zeros((3, 9)), np.zeros((3, 9)), {"allowed": {"b": 0.1}}, "There is no set 'b'"),
        (np.zeros((3, 9)), np.zeros((3, 9)), {"aims": []}, "Nothing is to become better"),
    ],
)
def test_what_cannot_be_compared_is_refused(before, after, options, message):
    with pytest.raises(TrialError, match=message):
        verdict(before, after, options.pop("sets", None), **options)


def test_the_tail_of_students_t_is_that_of_the_tables():
    # Abramowitz and Stegun 1964, table 26.10.
    for freedom, part, value in ((1, 0.025, 12.706), (4, 0.025, 2.776), (10, 0.005, 3.169), (120, 0.025, 1.980)):
        assert student.quantile(part, freedom) == pytest.approx(value, abs=6e-4)
        assert student.tail(value, freedom) == pytest.approx(part, rel=2e-3)
    assert student.tail(-2.776, 4) == pytest.approx(0.975, abs=1e-4)
    assert student.tail(float("inf"), 3) == 0 and student.tail(float("nan"), 3) == 1
