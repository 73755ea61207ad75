"""Wrong labels: found where they were planted, on real noise, and a sensible answer to whatever comes in."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest

from dataide.errors import ModelError
from dataide.find import label_errors, noise, probes
from dataide.find.label_errors import LabelErrors, Stopped, agreement, likeliest_errors, suspects

NAMES = ["shirt", "coat", "bag", "boot"]


def clouds(count: int = 800, classes: int = 4, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (count x 16) around a centre for each class, and the classes."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    centres = random.standard_normal((classes, 16)) * 2
    return (centres[truth] + spread * random.standard_normal((count, 16))).astype(np.float32), truth


def planted(truth: np.ndarray, rate: float, classes: int = 4, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a part is wrong, and which."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(truth)) < rate
    return np.where(wrong, (truth + random.integers(1, classes, len(truth))) % classes, truth), wrong


def f1(found: np.ndarray, wrong: np.ndarray) -> float:
    return float(2 * (found & wrong).sum() / (found.sum() + wrong.sum()))


def average_precision(score: np.ndarray, wrong: np.ndarray) -> float:
    hit = wrong[np.argsort(score, kind="stable")]
    return float((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("seed", [0, 5])
def test_planted_errors_are_found_and_put_right(rate: float, seed: int) -> None:
    vectors, truth = clouds(seed=seed)
    labels, wrong = planted(truth, rate, seed=seed + 1)
    found = suspects(vectors, labels, classes=NAMES, seed=seed)
    assert f1(found.is_issue, wrong) > 0.9
    assert np.mean(found.proposal[wrong] == truth[wrong]) > 0.9
    assert abs(found.error_rate - rate) < 0.05
    assert found.score.min() >= 0 and found.score.max() <= 1
    assert found.score[wrong].mean() < 0.2 < 0.8 < found.score[~wrong].mean()


def test_clean_labels_are_left_alone() -> None:
    vectors, truth = clouds(1200)
    assert suspects(vectors, truth, classes=NAMES).is_issue.mean() <= 0.005


def test_a_probe_has_not_seen_the_label_that_it_judges() -> None:
    """Vectors that say nothing: whoever had seen the labels would know them, and nobody else can."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((600, 300)).astype(np.float32)
    labels = random.integers(0, 2, 600)
    targets = np.eye(2, dtype=np.float32)[labels]
    folds = probes.folds_of(labels, 5, 0)
    for kind in label_errors.PROBES:
        scores = probes.out_of_sample(vectors, targets, np.ones(600, np.float32), folds, kind, seed=0)
        assert abs(np.mean(scores.argmax(axis=1) == labels) - 0.5) < 0.1


def test_the_same_seed_gives_the_same_answer() -> None:
    vectors, truth = clouds(300)
    labels, _ = planted(truth, 0.1)
    first, second = (suspects(vectors, labels, classes=NAMES, seed=3) for _ in range(2))
    assert np.array_equal(first.score, second.score) and np.array_equal(first.is_issue, second.is_issue)


def test_the_noise_of_each_class_is_estimated() -> None:
    """Coats that are called shirts, and nothing else, are in the table as such."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 6000)
    scores = np.where(np.eye(3)[truth] > 0, 3.0, 0.0).astype(np.float32)  # the truth has e^3 / (e^3 + 2) = 0.91
    swapped = random.random(6000) < 0.09  # so that they are right so often
    scores[swapped] = scores[swapped][:, [1, 2, 0]]
    given = np.where((truth == 1) & (random.random(6000) < 0.3), 0, truth)
    found = noise.estimate(scores, given[:, None])
    assert found.tables[0, 1, 0] == pytest.approx(0.3, abs=0.05)
    assert found.tables[0, 0, 0] > 0.9 and found.tables[0, 2, 2] > 0.9
    posterior = found.posterior(scores, given[:, None])
    assert np.allclose(posterior.sum(axis=1), 1, atol=1e-5)


def test_further_annotators_tell_more() -> None:
    vectors, truth = clouds(spread=3.0)
    labels, wrong = planted(truth, 0.2)
    others = np.stack([planted(truth, 0.2, seed=seed)[0] for seed in (11, 12, 13)], axis=1)
    others[::7, 1] = -1
    alone = suspects(vectors, labels, classes=NAMES)
    together = suspects(vectors, labels, classes=NAMES, more_labels=others)
    assert average_precision(together.score, wrong) > average_precision(alone.score, wrong) + 0.015
    assert f1(together.is_issue, wrong) > 0.85


def test_a_label_that_only_repeats_an_annotator_is_no_news() -> None:
    vectors, truth = clouds(spread=3.0)
    others = np.stack([planted(truth, 0.2, seed=seed)[0] for seed in (11, 12, 13)], axis=1)
    # The worst of three: wrong as soon as one of them is.
    off = others != truth[:, None]
    given = np.where(off.any(axis=1), others[np.arange(len(truth)), off.argmax(axis=1)], truth)
    found = suspects(vectors, given, classes=NAMES, more_labels=others)
    assert average_precision(found.score, given != truth) > 0.95


def test_probabilities_of_a_run_are_judged_by_alone() -> None:
    vectors, truth = clouds()
    labels, wrong = planted(truth, 0.1)
    probabilities = np.full((len(truth), 4), 0.02)
    probabilities[np.arange(len(truth)), truth] = 0.94
    found = suspects(None, labels, classes=NAMES, probabilities=probabilities)
    assert f1(found.is_issue, wrong) > 0.95
    assert (found.compared == 0).all()
    row = int(np.flatnonzero(wrong)[0])
    name = NAMES[truth[row]]
    assert found.reason(row, NAMES, int(labels[row])).startswith(f"The model gives {name} ")
    with_vectors = suspects(vectors, labels, classes=NAMES, probabilities=probabilities)
    assert f"of 10 nearest neighbours are labelled {name}" in with_vectors.reason(row, NAMES, int(labels[row]))


def test_neighbours_are_those_of_a_plain_search() -> None:
    vectors, labels = clouds(500)
    labels[::9] = -1
    rows, proposals = np.arange(0, 500, 7), np.full(72, 2)
    mine, proposed, there = agreement(vectors, labels, rows, proposals)
    known = np.flatnonzero(labels >= 0)
    centred = vectors - vectors[known].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    for at, row in enumerate(rows):
        others = known[known != row]
        near = others[np.argsort(-(centred[others] @ centred[row]), kind="stable")[:10]]
        assert there[at] == 10
        assert proposed[at] == (labels[near] == 2).sum()
        assert mine[at] == ((labels[near] == labels[row]) & (labels[row] >= 0)).sum()


def test_neighbours_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = clouds(300)
    every = np.arange(300)
    whole = probes.neighbours(vectors, every, every, 10)
    monkeypatch.setattr(probes, "BLOCK", 64)
    pieces = probes.neighbours(vectors, every, every, 10)
    assert np.allclose(whole[1], pieces[1], atol=1e-5)
    assert (whole[0] != every[:, None]).all()
    few = probes.neighbours(vectors, every[:4], every[:4], 10)
    assert ((few[0] >= 0).sum(axis=1) == 3).all()


def test_expected_f1_decides_what_is_flagged() -> None:
    assert likeliest_errors(np.array([0.9, 0.8, 0.01, 0.01])).tolist() == [True, True, False, False]
    assert not likeliest_errors(np.full(1000, 0.01)).any()
    assert likeliest_errors(np.array([0.6, 0.45, 0.4, 0.4])).all()


def test_what_cannot_be_judged_is_left_out() -> None:
    vectors, truth = clouds()
    labels, wrong = planted(truth, 0.1)
    vectors[:3] = np.nan
    vectors[3] = np.inf
    labels[4:8] = -1
    labels = np.append(labels, 4)
    vectors = np.append(vectors, vectors[-1:], axis=0)
    found = suspects(vectors, labels, classes=[*NAMES, "hat"])
    assert not found.judged[:8].any() and not found.judged[-1]
    assert not found.is_issue[~found.judged].any() and (found.score[~found.judged] == 1).all()
    assert np.mean(found.proposal[4:8] == truth[4:8]) >= 0.75  # no label, but a likely one
    assert any("4 samples have a vector" in note for note in found.notes)
    assert any("hat" in note for note in found.notes)
    assert f1(found.is_issue[8:-1], wrong[8:]) > 0.9
    assert found.reason(0, NAMES, 0) == "There is nothing to judge this label by."


@pytest.mark.parametrize(
    ("labels", "note"),
    [(np.zeros(50, int), "All labels are the same"), (np.full(50, -1), "no labels"), (np.zeros(0, int), "no labels")],
)
def test_nothing_to_compare(labels: np.ndarray, note: str) -> None:
    found = suspects(np.ones((len(labels), 4), np.float32), labels, classes=NAMES)
    assert not found.is_issue.any() and len(found.score) == len(labels) and (found.score == 1).all()
    assert any(note in said for said in found.notes)


def test_vectors_that_say_nothing_flag_nothing() -> None:
    labels = np.arange(400) % 4
    found = suspects(np.ones((400, 8), np.float32), labels, classes=NAMES)
    assert not found.is_issue.any() and (found.score == 1).all()
    assert any("tells no class from another" in note for note in found.notes)


def test_probabilities_that_do_not_add_up() -> None:
    _, truth = clouds(400)
    labels, wrong = planted(truth, 0.1)
    probabilities = np.where(np.eye(4)[truth] > 0, 4.7, 0.1)
    probabilities[0] = np.nan
    probabilities[1] = 0
    probabilities[2] = -1
    found = suspects(None, labels, classes=NAMES, probabilities=probabilities)
    assert not found.judged[:3].any()
    assert any("did not add up to one" in note for note in found.notes)
    assert f1(found.is_issue[3:], wrong[3:]) > 0.95


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"vectors": None}, "no_vectors"),
        ({"vectors": np.zeros((5, 2))}, "shape"),
        ({"probabilities": np.zeros((6, 3))}, "shape"),
        ({"more_labels": np.zeros(6, int)}, "shape"),
        ({"more_labels": np.full((6, 1), 9)}, "labels"),
        ({"labels": np.full(6, 4)}, "labels"),
        ({"labels": np.zeros(6)}, "labels"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], code: str) -> None:
    given: dict[str, Any] = {"vectors": np.zeros((6, 2), np.float32), "labels": np.zeros(6, int), **arguments}
    with pytest.raises(ModelError) as caught:
        suspects(given.pop("vectors"), given.pop("labels"), classes=NAMES, **given)
    assert caught.value.code == code and caught.value.hint


def test_it_can_be_stopped() -> None:
    vectors, truth = clouds()
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    said: list[str] = []
    with pytest.raises(Stopped):
        suspects(vectors, truth, classes=NAMES, say=said.append, stop=stop)
    assert said and asked == 4


def test_mnist_labels_are_nearly_clean(shared_data) -> None:
    """The human-verified errors of the test set are among the severest, by the probabilities that come with them."""
    import pyarrow.parquet as pq

    folder = shared_data("label-errors-mnist")
    given = pq.read_table(folder / "mnist_test_pred_probs.parquet")
    labels = pq.read_table(shared_data("mnist") / "mnist.parquet", columns=["id", "label"]).to_pydict()
    number = {name: int(label) for name, label in zip(labels["id"], labels["label"], strict=True)}
    ids = given["id"].to_pylist()
    probabilities = np.stack([np.asarray(given[f"p{digit}"].to_pylist()) for digit in range(10)], axis=1)
    with (folder / "mnist_test_human_votes.csv").open(encoding="utf-8") as file:
        wrong = {row["id"] for row in csv.DictReader(file) if int(row["votes_given"]) < 3}
    found = suspects(
        None,
        np.array([number[name] for name in ids]),
        classes=[str(digit) for digit in range(10)],
        probabilities=probabilities,
    )
    first = {ids[row] for row in np.argsort(found.score, kind="stable")[:100]}
    assert len(wrong) == 15 and len(first & wrong) >= 13
    assert found.is_issue.mean() <= 0.005


def test_human_noise_is_found_with_weak_vectors(shared_data) -> None:
    """Label-free vectors of 6,000 pictures: better than to look where one linear probe is least confident."""
    import pyarrow.parquet as pq

    columns = ["clean_label", "worst_label", "random_label1", "random_label2", "random_label3"]
    table = pq.read_table(shared_data("cifar10n") / "cifar10n_first_half.parquet", columns=columns)
    column = {name: np.asarray(table[name].to_pylist()[:6000]) for name in columns}
    vectors = np.load(shared_data("cifar10-embeddings") / "patch128.npy", mmap_mode="r")[:6000].astype(np.float32)
    labels, names = column["worst_label"], [str(number) for number in range(10)]
    wrong = labels != column["clean_label"]
    targets = np.eye(10, dtype=np.float32)[labels]
    scores = probes.out_of_sample(
        vectors, targets, np.ones(6000, np.float32), probes.folds_of(labels, 5, 0), label_errors.PROBES[0], seed=0
    )
    plain = average_precision(probes.softmax(scores)[np.arange(6000), labels], wrong)
    found: LabelErrors = suspects(vectors, labels, classes=names)
    assert average_precision(found.score, wrong) > plain + 0.01
    more = np.stack([column[f"random_label{number}"] for number in (1, 2, 3)], axis=1)
    together = suspects(vectors[:2000], labels[:2000], classes=names, more_labels=more[:2000])
    assert average_precision(together.score, wrong[:2000]) > 0.95
