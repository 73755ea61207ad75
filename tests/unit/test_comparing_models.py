"""Two models on the same rows, several labels of one sample, and predicted numbers."""

from __future__ import annotations

import warnings
from math import comb
from typing import Any

import numpy as np
import pytest

from dataide.errors import EvaluationError
from dataide.evaluate.classification import classification
from dataide.evaluate.comparing import compare, mcnemar
from dataide.evaluate.multi_label import multi_label
from dataide.evaluate.regression import regression
from tests.unit.test_classification_metrics import predicted


def pair(count: int, seed: int, better: float = 0.0, classes: int = 4) -> Any:
    """Labels, and the probabilities of two models that are wrong about much the same rows."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    scores = random.standard_normal((count, classes))
    scores[np.arange(count), labels] += 1.5
    made = []
    for more in (0.0, better):
        own = scores + 0.5 * random.standard_normal(scores.shape)
        own[np.arange(count), labels] += more
        odds = np.exp(own)
        made.append(odds / odds.sum(axis=1, keepdims=True))
    return labels, *made


def test_differences_and_the_rows_behind_them() -> None:
    labels, p, q = pair(500, 0, better=0.5)
    a, b = classification(labels, probabilities=p), classification(labels, probabilities=q)
    result = compare(a, b, names=("old", "new"))
    for name in a:
        assert result[name] == pytest.approx(b[name] - a[name], abs=1e-12), name
        low, high = result.interval(name)
        assert low <= result[name] <= high, name
    assert result.won.tolist() == np.flatnonzero(b.right & ~a.right).tolist()
    assert result.lost.tolist() == np.flatnonzero(a.right & ~b.right).tolist()
    table = result.table.to_arrow().to_pydict()
    assert table["old"][0] == a["accuracy"] and table["p"][0] == result.p["accuracy"]
    assert repr(result).startswith("new against old on 500 samples") and "<0.0001" in repr(result)
    odd = compare(a, b, names=("<i>old</i>", "new"))._repr_html_()
    assert "<i>old" not in odd and "<th>&lt;i&gt;old&lt;/i&gt;</th>" in odd and "&lt;0.0001" in odd


def test_mcnemar_is_the_mid_p_of_the_binomial() -> None:
    for won, lost in ((0, 0), (1, 0), (5, 5), (3, 12), (40, 21)):
        both, fewer = won + lost, min(won, lost)
        exact = sum(comb(both, k) for k in range(fewer)) / 2**both
        wanted = min(1.0, 2 * exact + comb(both, fewer) / 2**both) if both else 1.0
        assert mcnemar(won, lost) == pytest.approx(wanted, rel=1e-9)
    assert mcnemar(50_500, 49_500) == pytest.approx(0.001565, rel=0.01)


@pytest.mark.parametrize("groups", [None, 5])
def test_where_there_is_no_difference_few_tests_say_so(groups: int | None) -> None:
    draws, said = 100, dict[str, int]()
    for seed in range(draws):
        labels, p, q = pair(240, seed)
        given = None if groups is None else np.arange(240) // groups
        result = compare(*(classification(labels, probabilities=one, groups=given) for one in (p, q)))
        for name, p_value in result.p.items():
            said[name] = said.get(name, 0) + (p_value < 0.05)
    # 5%, and five standard errors more.
    assert not {name: count / draws for name, count in said.items() if count / draws > 0.16}
    assert sum(said.values()) > 0


def test_intervals_of_differences_hold_the_truth() -> None:
    big = pair(50_000, 77, better=0.3)
    truth = compare(*(classification(big[0], probabilities=one) for one in big[1:]))
    draws, held = 80, dict.fromkeys(truth, 0)
    for seed in range(draws):
        labels, p, q = pair(240, 500 + seed, better=0.3)
        result = compare(*(classification(labels, probabilities=one) for one in (p, q)))
        for name in held:
            low, high = result.interval(name)
            held[name] += low <= truth[name] <= high
    assert not {name: count / draws for name, count in held.items() if count / draws < 0.82}


def test_a_model_against_itself_differs_in_nothing() -> None:
    labels, p, _ = pair(300, 1)
    a = classification(labels, probabilities=p)
    result = compare(a, a)
    assert all(value == 0 for value in result.values())
    assert all(p_value > 0.99 for p_value in result.p.values())


def test_rows_that_do_not_fit_are_not_compared() -> None:
    labels, p, q = pair(50, 2)
    a, q = classification(labels, probabilities=p), q.copy()
    q[3] = np.nan
    with pytest.raises(EvaluationError, match="50 rows and b about 49"):
        compare(a, classification(labels, probabilities=q))
    with pytest.raises(EvaluationError, match="different groups"):
        compare(a, classification(labels, probabilities=p, groups=np.arange(50) // 2))
    with pytest.raises(EvaluationError, match="Both are named"):
        compare(a, a, names=("v1", "v1"))
    with pytest.raises(EvaluationError, match="different classes"):
        compare(a, classification(labels, probabilities=p, classes=list("abcd")))


def test_a_metric_of_ones_own_is_compared_too() -> None:
    labels, p, q = pair(200, 3, better=2.0)
    result = compare(
        *(classification(labels, probabilities=one) for one in (p, q)),
        metrics={"far": lambda truth, said: np.abs(truth - said).mean()},
    )
    off = [np.abs(labels - one.argmax(axis=1)).mean() for one in (p, q)]
    assert result["far"] == pytest.approx(off[1] - off[0]) and result.interval("far").high < 0
    assert result.before["far"] == pytest.approx(off[0]) and np.isnan(result.p["far"])


# Several labels ----------------------------------------------------------------------------------------------------


def several(count: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random((count, labels)) < np.linspace(0.05, 0.6, labels)
    score = 1 / (1 + np.exp(-(random.standard_normal((count, labels)) + 2 * truth - 1)))
    return truth, np.round(score, 2)


@pytest.mark.parametrize(("count", "labels", "seed"), [(600, 6, 0), (12, 5, 1)])
def test_several_labels_have_the_figures_of_scikit_learn(count: int, labels: int, seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, score = several(count, labels, seed)
    said = score >= 0.5
    result = multi_label(truth, probabilities=score)
    wanted = {"exact": metrics.accuracy_score(truth, said), "hamming_loss": metrics.hamming_loss(truth, said)}
    there = truth.any(axis=0) | said.any(axis=0)
    ways = (("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score))
    for name, score_of in ways:
        wanted[f"{name}_macro"] = score_of(truth[:, there], said[:, there], average="macro", zero_division=0)
        for average in ("micro", "samples"):
            wanted[f"{name}_{average}"] = score_of(truth, said, average=average, zero_division=0)
        oracle = score_of(truth, said, average=None, zero_division=np.nan)
        np.testing.assert_allclose(np.asarray(result.per_class[name]), oracle, atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = [at for at in range(labels) if 0 < truth[:, at].sum() < count]
        wanted["roc_auc_macro"] = metrics.roc_auc_score(truth[:, both], score[:, both], average="macro")
        wanted["average_precision_macro"] = metrics.average_precision_score(truth[:, both], score[:, both])
    for name, value in wanted.items():
        assert result[name] == pytest.approx(value, abs=1e-9), name
        low, high = result.interval(name)
        assert low <= result[name] <= high, name


def test_labels_that_are_not_known_count_for_neither_side() -> None:
    truth, score = several(300, 4, 3)
    known = truth.astype(float)
    known[:100, 2] = np.nan
    known[0] = np.nan
    result = multi_label(known, probabilities=score)
    alone = multi_label(truth[100:, 2:3], probabilities=score[100:, 2:3])
    for name in ("precision", "recall", "roc_auc", "average_precision"):
        assert np.asarray(result.per_class[name])[2] == pytest.approx(np.asarray(alone.per_class[name])[0])
    assert result.count == 299 and result.notes == ("Left out: 1 sample without labels.",)


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        ([0, 1], {"predicted": [0, 1]}, "are no table"),
        ([[0, 2]], {"predicted": [[0, 1]]}, "has 2 in column 1"),
        ([[0, 1]], {"predicted": [[0, 1, 1]]}, "shape"),
        ([[0, 1]], {"probabilities": [[0.2, 3.0]]}, "sigmoid"),
        ([[0, 1]], {}, "no predictions"),
        (np.zeros((0, 3), bool), {"predicted": np.zeros((0, 3), bool)}, "Nothing is left"),
        ([[np.nan, np.nan]], {"predicted": [[0, 1]]}, "1 have no labels"),
    ],
)
def test_bad_tables_of_labels_are_named(labels: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        multi_label(labels, **given)


# Numbers -----------------------------------------------------------------------------------------------------------


def test_predicted_numbers_have_the_figures_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    truth = random.normal(50, 10, 400)
    said = truth + random.normal(1, 5, 400)
    result = regression(truth, said)
    assert dict(result) == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, said), "rmse": metrics.root_mean_squared_error(truth, said),
            "bias": (said - truth).mean(), "median_error": metrics.median_absolute_error(truth, said),
            "r2": metrics.r2_score(truth, said),
        },
        abs=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize("count", [40, 1_500])
def test_intervals_of_errors_hold_the_truth(count: int) -> None:
    draws = 200
    truth = {"mae": 5 * np.sqrt(2 / np.pi), "rmse": 5, "bias": 0, "median_error": 5 * 0.67449, "r2": 0.8}
    held = dict.fromkeys(truth, 0)
    for seed in range(draws):
        random = np.random.default_rng(seed)
        labels = random.normal(50, np.sqrt(125), count)
        result = regression(labels, labels + random.normal(0, 5, count))
        for name in held:
            low, high = result.interval(name)
            held[name] += low <= truth[name] <= high
    assert not {name: share / draws for name, share in held.items() if share / draws < 0.87}


def test_numbers_that_are_none_are_told() -> None:
    labels: Any = [1, 2, None, 4, 5]
    result = regression(labels, [1, 2, 3, np.inf, 6])
    assert result.count == 3 and result.bad.tolist() == [3] and result.unlabelled == 1
    assert result.notes[0] == "Left out: 1 row without a label."
    same = regression([3, 3, 3], [3, 4, 5])
    assert np.isnan(same["r2"]) and "no variance" in same.notes[-1] and same["mae"] == 1
    with pytest.raises(EvaluationError, match="Nothing is left"):
        regression([np.nan], [1.0])
    with pytest.raises(EvaluationError, match="no numbers"):
        regression(["a"], [1.0])
    single = regression([1.0], [2.0])
    assert single["mae"] == 1 and np.isnan(single.interval("mae").low)


def test_one_pass_of_predicted_is_the_same_with_groups_for_values() -> None:
    """Groups change intervals and never figures."""
    labels, p = predicted(120, 3)
    plain, grouped = (classification(labels, probabilities=p, groups=g) for g in (None, np.arange(120) // 4))
    assert dict(plain) == dict(grouped)
    numbers = regression(labels, labels + 1.0, groups=np.arange(120) // 4)
    assert numbers["bias"] == 1
