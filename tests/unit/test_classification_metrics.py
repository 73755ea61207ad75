"""Figures of classifiers: equal to scikit-learn's, with intervals that hold, and clear about bad input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from dataide.errors import EvaluationError
from dataide.evaluate import curves
from dataide.evaluate.classification import Classification, classification
from dataide.evaluate.figures import UnknownMetric
from dataide.evaluate.intervals import of_median, t_quantile, two_sided


def predicted(count: int, classes: int, *, seed: int = 0, sure: float = 1.5, kind: Any = np.float64) -> Any:
    """Labels and probabilities of a model that is right now and then."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    scores = random.standard_normal((count, classes))
    scores[np.arange(count), labels] += sure
    odds = np.exp(scores)
    return labels, (odds / odds.sum(axis=1, keepdims=True)).astype(kind)


def ties(count: int, classes: int, seed: int) -> Any:
    """Probabilities in few steps: many rows have several likeliest classes, and many rows the same score."""
    random = np.random.default_rng(seed)
    steps = random.integers(0, 4, (count, classes)) + 1e-12
    return random.integers(0, classes, count), steps / steps.sum(axis=1, keepdims=True)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    labels, sure = predicted(3000, 7)
    lacking, few = predicted(400, 6, seed=1)
    lacking = np.where(lacking == 2, 3, lacking)  # class 2 in no label
    few[:, 4] *= 1e-3  # class 4 hardly ever predicted
    few /= few.sum(axis=1, keepdims=True)
    zeros = np.eye(5)[np.random.default_rng(3).integers(0, 5, 300)]
    return {
        "random": (labels, sure),
        "float32": predicted(2000, 5, seed=2, kind=np.float32),
        "binary": predicted(500, 2, seed=4),
        "classes missing": (lacking, few),
        "ties": ties(800, 4, 5),
        "zeros and ones": (np.random.default_rng(6).integers(0, 5, 300), zeros),
        "few rows": predicted(5, 3, seed=8),
    }


@pytest.mark.parametrize("name", cases())
def test_figures_are_those_of_scikit_learn(name: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels, probabilities = cases()[name]
    classes = probabilities.shape[1]
    numbers = np.arange(classes)
    said = probabilities.argmax(axis=1)
    result = classification(labels, probabilities=probabilities, top=range(1, classes))
    wanted = {
        "accuracy": metrics.accuracy_score(labels, said),
        "log_loss": metrics.log_loss(labels, probabilities, labels=numbers),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes that do not occur
        wanted["balanced_accuracy"] = metrics.balanced_accuracy_score(labels, said)
        for average in ("macro", "weighted"):
            wanted[f"precision_{average}"] = metrics.precision_score(labels, said, average=average, zero_division=0)
            wanted[f"recall_{average}"] = metrics.recall_score(labels, said, average=average, zero_division=0)
            wanted[f"f1_{average}"] = metrics.f1_score(labels, said, average=average, zero_division=0)
    for k in range(1, classes):
        if classes > 2:
            wanted[f"top_{k}"] = metrics.top_k_accuracy_score(labels, probabilities, k=k, labels=numbers)
    truth = np.eye(classes)[labels]
    wanted["brier"] = ((probabilities - truth) ** 2).sum(axis=1).mean()
    there = [number for number in numbers if 0 < (labels == number).sum() < len(labels)]
    roc = np.array([metrics.roc_auc_score(labels == one, probabilities[:, one]) for one in there])
    precision = np.array([metrics.average_precision_score(labels == one, probabilities[:, one]) for one in there])
    support = np.array([(labels == one).sum() for one in there])
    wanted |= {
        "roc_auc_macro": roc.mean(), "roc_auc_weighted": np.average(roc, weights=support),
        "average_precision_macro": precision.mean(),
        "average_precision_weighted": np.average(precision, weights=support),
    }  # fmt: skip
    tolerance = 1e-6 if probabilities.dtype == np.float32 else 1e-9  # the oracle adds up in float32 there
    for figure, value in wanted.items():
        loose = figure in ("log_loss", "brier")
        assert result[figure] == pytest.approx(value, abs=tolerance if loose else 1e-9), figure
        low, high = result.interval(figure)
        assert low <= result[figure] <= high, figure
    for column, score in (
        ("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score),
    ):  # fmt: skip
        oracle = score(labels, said, labels=numbers, average=None, zero_division=np.nan)
        np.testing.assert_allclose(np.asarray(result.per_class[column]), oracle, atol=1e-12, err_msg=column)
    np.testing.assert_allclose(np.asarray(result.per_class["roc_auc"])[there], roc, atol=1e-9)
    np.testing.assert_allclose(np.asarray(result.per_class["average_precision"])[there], precision, atol=1e-9)
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(labels, said, labels=numbers))


def test_curves_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    truth = random.random(2000) < 0.3
    score = np.round(random.standard_normal(2000) + truth, 1)
    x, y, threshold = metrics.roc_curve(truth, score, drop_intermediate=False)
    ours = curves.roc(truth, score)
    for mine, theirs in ((ours.x, x), (ours.y, y), (ours.threshold, threshold)):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)
    precision, recall, _ = metrics.precision_recall_curve(truth, score)
    ours = curves.precision_recall(truth, score)
    np.testing.assert_allclose(ours.y, precision[::-1], atol=1e-12)
    np.testing.assert_allclose(ours.x, recall[::-1], atol=1e-12)
    assert ours.area == pytest.approx(metrics.average_precision_score(truth, score), abs=1e-12)


def test_calibration_error_counts_rows_in_bins() -> None:
    labels, probabilities = predicted(1500, 4)
    result = classification(labels, probabilities=probabilities)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    error = 0.0
    for number in range(15):
        inside = (sure > number / 15) & (sure <= (number + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert result["calibration_error"] == pytest.approx(error, abs=1e-12)
    only = classification(labels, probabilities.argmax(axis=1), confidence=sure)
    assert only["calibration_error"] == pytest.approx(error, abs=1e-12)
    assert only["accuracy"] == result["accuracy"]
    assert "log_loss" not in only and only.calibration is not None


def true_figures(classes: int, sure: float) -> Classification:
    """Of so many rows that intervals are narrow."""
    labels, probabilities = predicted(200_000, classes, seed=99, sure=sure)
    return classification(labels, probabilities=probabilities)


@pytest.mark.parametrize(("count", "sure"), [(150, 1.0), (80, 3.5)])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int, sure: float) -> None:
    truth = true_figures(4, sure)
    draws = 300
    held = dict.fromkeys(truth, 0)
    for seed in range(draws):
        labels, probabilities = predicted(count, 4, seed=1000 + seed, sure=sure)
        result = classification(labels, probabilities=probabilities)
        for name in held:
            low, high = result.interval(name)
            held[name] += low <= truth[name] <= high
    # 95%, less five standard errors of 300 draws: what is off by more than chance.
    assert not {name: share / draws for name, share in held.items() if share / draws < 0.88}


def test_rows_of_a_group_widen_intervals() -> None:
    """Frames of one video are right or wrong together: twenty of them say as much as one."""
    random = np.random.default_rng(0)
    truth, draws, held, alone = 0.7, 200, 0, 0
    for _ in range(draws):
        right = np.repeat(random.random(40) < truth, 20)
        labels = random.integers(0, 3, 800)
        said = np.where(right, labels, (labels + 1) % 3)
        with_groups = classification(labels, said, groups=np.repeat(np.arange(40), 20))
        low, high = with_groups.interval("accuracy")
        held += low <= truth <= high
        low, high = classification(labels, said).interval("accuracy")
        alone += low <= truth <= high
    assert held / draws >= 0.90
    assert alone / draws < 0.6  # what it would be without


def test_groups_of_one_row_each_change_little() -> None:
    labels, probabilities = predicted(400, 5)
    plain = classification(labels, probabilities=probabilities)
    grouped = classification(labels, probabilities=probabilities, groups=[f"g{row}" for row in range(400)])
    for name in plain:
        if name == "calibration_error":
            continue
        one, other = plain.interval(name), grouped.interval(name)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.05), name


def test_every_row_counted_is_told() -> None:
    labels, probabilities = predicted(50, 3)
    labels = labels.astype(object)
    labels[3], labels[4], labels[5] = None, -1, float("nan")
    probabilities[10, 1], probabilities[11] = np.nan, 0.0
    probabilities[12, 0] = np.inf
    result = classification(labels, probabilities=probabilities)
    assert result.count == 44
    assert result.rows.unlabelled == 3
    assert result.rows.bad.tolist() == [10, 11, 12]
    assert "Left out: 3 rows without a label." in result.notes
    assert any("10, 11, 12" in note for note in result.notes)


def test_probabilities_that_do_not_add_up_are_refused_or_divided() -> None:
    labels, probabilities = predicted(60, 3)
    wrong = probabilities.copy()
    wrong[7] *= 1.5
    with pytest.raises(EvaluationError, match=r"row 7 add up to 1\.5"):
        classification(labels, probabilities=wrong)
    result = classification(labels, probabilities=wrong, normalise=True)
    assert result.rows.summed == 1 and any("Divided by their sum" in note for note in result.notes)
    for name, value in classification(labels, probabilities=probabilities).items():
        assert result[name] == pytest.approx(value, abs=1e-12), name
    with pytest.raises(EvaluationError, match="softmax"):
        classification(labels, probabilities=np.log(probabilities))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": [], "predicted": []}, "no rows were given"),
        ({"labels": [-1, -1], "predicted": [0, 1]}, "Nothing is left .* 2 have no label"),
        ({"labels": [0, 1], "predicted": [0]}, "2 labels and 1 predictions"),
        ({"labels": [0, 1]}, "no predictions"),
        ({"labels": ["cat", "dog"], "predicted": [0, 1]}, "no class numbers"),
        ({"labels": [0, 3], "predicted": [0, 1], "classes": ["a", "b"]}, "names class 3"),
        ({"labels": [0, 1], "predicted": [0, 1], "classes": ["a", "a"]}, "Two classes are named 'a'"),
        ({"labels": [0, 1], "predicted": [0, 1], "confidence": [0.5, 7]}, "between 0 and 1"),
        ({"labels": [0, 1], "probabilities": [0.5, 0.5]}, "the shape"),
        ({"labels": [0, 1], "probabilities": np.full((2, 2), np.nan)}, "cannot be read"),
        ({"labels": [0, 1], "predicted": [0, 1], "groups": [1]}, "groups"),
        ({"labels": [0, 1], "predicted": [0, 1], "level": 95}, "level"),
        ({"labels": [0, 1], "predicted": [0, 1], "metrics": {"accuracy": len}}, "already"),
    ],
)
def test_bad_input_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        classification(**given)


def test_one_class_and_one_row_have_figures() -> None:
    result = classification([0, 0, 0], probabilities=[[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert np.isnan(result["roc_auc_macro"]) and "Only one class occurs" in result.notes[-1]
    assert np.isnan(np.asarray(result.per_class["recall"])[1])
    single = classification([1], [1])
    assert single["accuracy"] == 1 and single.interval("accuracy").low < 0.3
    assert single["f1_macro"] == 1 and single.interval("f1_macro").low < 0.3
    assert "NaN" not in repr(single)


def test_perfect_predictions_are_not_called_certain() -> None:
    labels = np.arange(30) % 3
    result = classification(labels, probabilities=np.eye(3)[labels])
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc_macro", "average_precision_macro"):
        low, high = result.interval(name)
        assert high == 1 and 0.5 < low < 0.97, name


def test_metrics_of_ones_own_have_intervals_and_failures_have_names() -> None:
    labels, probabilities = predicted(300, 3)

    def cost(truth: np.ndarray, said: np.ndarray, p: np.ndarray) -> float:
        return float(np.abs(truth - said).mean())

    def broken(*_: np.ndarray) -> float:
        raise ValueError("no such <class>")

    metrics: dict[str, Any] = {"cost": cost, "broken": broken, "three": lambda *_: [1, 2, 3], "nan": lambda *_: np.nan}
    result = classification(labels, probabilities=probabilities, metrics=metrics)
    low, high = result.interval("cost")
    spread = np.abs(labels - probabilities.argmax(axis=1)).std() / np.sqrt(300)
    assert result["cost"] == cost(labels, probabilities.argmax(axis=1), probabilities)
    assert (high - low) / (2 * 1.96 * spread) == pytest.approx(1, abs=0.2)
    assert [name for name, _ in result.problems] == ["broken", "three", "nan"]
    assert "The metric 'broken' was not computed: ValueError: no such <class>." in repr(result)
    assert "&lt;class&gt;" in result._repr_html_()
    with pytest.raises(UnknownMetric, match="'broken' was not computed"):
        result["broken"]


def test_a_metric_on_many_rows_is_drawn_from_fewer() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60_000)
    said = np.where(random.random(60_000) < 0.8, labels, 1 - labels)
    seen: list[int] = []

    def share(truth: np.ndarray, mine: np.ndarray) -> float:
        seen.append(len(truth))
        return float((truth == mine).mean())

    result = classification(labels, said, metrics={"share": share})
    assert max(seen[1:]) <= 20_000
    (low, high), plain = result.interval("share"), result.interval("accuracy")
    assert high - low == pytest.approx(plain.high - plain.low, rel=0.2)


def test_it_reads_like_a_mapping_and_shows_no_html_of_the_data() -> None:
    labels, probabilities = predicted(90, 3)
    result = classification(labels, probabilities=probabilities, classes=["<b>cat</b>", "dog", "x" * 60])
    assert dict(result)["accuracy"] == result["accuracy"] and "f1_macro" in result and "nothing" not in result
    assert result.get("nothing") is None
    with pytest.raises(UnknownMetric, match="accuracy"):
        result["acuracy"]
    html = result._repr_html_()
    assert "<b>cat" not in html and "&lt;b&gt;cat" in html and "x" * 50 not in html
    assert result.table.to_arrow().num_rows == len(result)
    assert result.per_class.to_arrow().column("class").to_pylist()[0] == "<b>cat</b>"
    assert int(np.asarray(result.confusions["count"]).sum()) == int((~result.right).sum())
    assert repr(result).startswith("Classification of 90 samples, 3 classes")


def test_t_and_the_median_have_the_ends_of_their_tables() -> None:
    assert t_quantile(0.95, 1) == pytest.approx(12.7062, abs=1e-4)
    assert t_quantile(0.95, 4) == pytest.approx(2.7764, abs=1e-4)
    assert t_quantile(0.99, 30) == pytest.approx(2.7500, abs=1e-4)
    assert two_sided(2.7764, 4) == pytest.approx(0.05, abs=1e-5)
    assert two_sided(1.959964) == pytest.approx(0.05, abs=1e-6)
    assert of_median(np.arange(1.0, 11.0), 0.95) == (2.0, 9.0)  # 10 values: the second and the ninth
    assert np.isnan(of_median(np.arange(3.0), 0.95).low)
