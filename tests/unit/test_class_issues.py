"""Samples that two classes fit, and classes that are too rare."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.errors import ModelError
from dataide.find.class_issues import ambiguous, imbalance

NAMES = ["shirt", "coat", "bag"]


def test_two_classes_equally_likely() -> None:
    found = ambiguous(
        np.array([[0.5, 0.45, 0.05], [0.9, 0.05, 0.05], [0.34, 0.33, 0.33], [0.1, 0.4, 0.5], [0.5, 0.3, 0.2]]),
        classes=NAMES,
    )
    assert found.is_issue.tolist() == [True, False, False, True, False]
    assert (found.first[3], found.second[3]) == (2, 1)
    assert found.score[0] == pytest.approx(0.05 / 0.95, abs=1e-5)
    assert found.reasons == {
        0: "It may as well be shirt (0.50) as coat (0.45).",
        3: "It may as well be bag (0.50) as coat (0.40).",
    }


def test_rows_that_say_nothing() -> None:
    values = np.array([[np.nan, 1, 0], [0, 0, 0], [-1, 1, 1], [np.inf, 0, 0], [5, 5, 0]])
    found = ambiguous(values, classes=NAMES)
    assert found.is_issue.tolist() == [False, False, False, False, True]
    assert (found.score[:4] == 1).all() and (found.first[:4] == -1).all()
    assert not len(ambiguous(np.zeros((0, 3)), classes=NAMES).score)
    assert ambiguous(np.ones((4, 1)), classes=["shirt"]).score.tolist() == [1, 1, 1, 1]
    with pytest.raises(ModelError):
        ambiguous(np.ones((4, 2)), classes=NAMES)


def test_rare_classes() -> None:
    labels = np.array([0] * 600 + [1] * 390 + [2] * 10 + [-1] * 5)
    found = imbalance(labels, classes=[*NAMES, "hat"])
    assert np.flatnonzero(found.is_issue).tolist() == list(range(990, 1000))
    assert found.score[995] == pytest.approx(0.03) and found.score[0] == 1 and found.score[-1] == 1
    assert found.reasons[990] == "Only 10 of 1,000 samples are bag."


def test_labels_without_a_balance() -> None:
    for labels in (np.zeros(9, int), np.full(9, -1), np.zeros(0, int)):
        assert not imbalance(labels, classes=NAMES).is_issue.any()
    with pytest.raises(ModelError):
        imbalance(np.array([3]), classes=NAMES)
