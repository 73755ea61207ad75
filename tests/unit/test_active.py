"""What to label next: each strategy's promise, the evidence for staying random, balance and copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataide.errors import ActionError
from dataide.find import active, linear_probe
from dataide.find.active import BY_SCORE, STRATEGIES, Doubts, duplicate_distance, pick, score, usable
from dataide.find.suggesting import shares_of, suggest
from dataide.find.teaching import weigh


def kinds(count: int, spread: float, seed: int = 0, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around centres; the larger the spread, the less can be told apart."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, 32))
    of = random.integers(0, classes, count)
    rows = centres[of] + spread * random.standard_normal((count, 32))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), of


def with_labels(of: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    labels = np.full(len(of), -1)
    drawn = np.random.default_rng(seed).permutation(len(of))[:count]
    labels[drawn] = of[drawn]
    return labels


def test_scores_are_those_of_the_definitions():
    told = np.array([[0.5, 0.3, 0.2], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    doubts = Doubts(given=told)
    rows = np.arange(3)
    assert score("uncertainty", doubts, rows) == pytest.approx([0.75, 0, 1], abs=1e-6)
    assert score("margin", doubts, rows) == pytest.approx([0.8, 0, 1], abs=1e-6)
    entropy = -(told[0] * np.log(told[0])).sum() / np.log(3)
    assert score("entropy", doubts, rows) == pytest.approx([entropy, 0, 1], abs=1e-6)
    split = Doubts(given=np.array([[[1, 0.0], [0.5, 0.5]], [[0, 1.0], [0.5, 0.5]]]))
    # Two that contradict each other, and two that both know nothing.
    assert score("disagreement", split, np.arange(2)) == pytest.approx([1, 0], abs=1e-6)


def test_every_strategy_gives_a_whole_batch_without_labelled_samples_or_repeats():
    rows, of = kinds(1_500, 0.8)
    labels = with_labels(of, 120)
    for by in STRATEGIES:
        found = suggest(40, by=by, vectors=rows, labels=labels)
        assert len(np.unique(found.rows)) == 40 and (labels[found.rows] < 0).all(), by
        again = suggest(40, by=by, vectors=rows, labels=labels)
        assert np.array_equal(found.rows, again.rows), by
        assert found.by == by and by in found.sentence
        if by in BY_SCORE:
            assert (np.diff(found.scores) <= 0).all() and found.scores.min() >= 0 and found.scores.max() <= 1


def test_doubt_finds_samples_between_two_kinds():
    rows, of = kinds(3_000, 2.0)
    labels = with_labels(of, 200)
    probe = linear_probe.fit(rows[labels >= 0], labels[labels >= 0], ridge=100)
    wrong = probe.classes[probe.probabilities(rows).argmax(axis=1)] != of
    for by in (*BY_SCORE, "badge"):
        asked = suggest(60, by=by, vectors=rows, labels=labels).rows
        assert wrong[asked].mean() > 1.5 * wrong.mean(), by


def test_a_core_set_reaches_what_is_far_from_all_labels():
    rows, of = kinds(2_000, 0.3)
    labels = np.where(of < 5, with_labels(of, 400), -1)  # nobody has seen the sixth kind
    assert of[suggest(5, by="coreset", vectors=rows, labels=labels).rows[:1]] == 5
    spread = suggest(30, by="coreset", vectors=rows, labels=labels).rows
    chance = suggest(30, by="random", vectors=rows, labels=labels).rows
    nearest = [
        (rows @ rows[np.concatenate([np.flatnonzero(labels >= 0), some])].T).max(axis=1).min()
        for some in (spread, chance)
    ]
    assert nearest[0] > nearest[1]


def test_typical_samples_come_from_clusters_without_labels_and_from_their_middle():
    rows, of = kinds(1_800, 0.3)
    labels = np.full(len(of), -1)
    first = suggest(6, by="typiclust", vectors=rows, labels=labels).rows
    assert len(np.unique(of[first])) >= 5
    centres = np.stack([rows[of == kind].mean(axis=0) for kind in range(6)])
    closeness = (rows * centres[of]).sum(axis=1)
    assert closeness[first].mean() > np.median(closeness)


def test_a_batch_holds_no_copies_while_there_is_anything_else():
    rows, _ = kinds(400, 0.8)
    random = np.random.default_rng(0)
    copies = rows[:20].repeat(10, axis=0) + 1e-4 * random.standard_normal((200, 32))
    doubled = np.concatenate([copies / np.linalg.norm(copies, axis=1, keepdims=True), rows[20:]]).astype(np.float32)
    # What there are copies of is what the model doubts most.
    told = np.concatenate([np.full((200, 2), 0.5), np.tile([0.6, 0.4], (380, 1))])
    found = suggest(30, by="margin", vectors=doubled, probabilities=told).rows
    groups = np.where(found < 200, found // 10, found)
    assert len(np.unique(groups)) == 30 and len(np.unique(groups[groups < 20])) == 20
    # Nothing but copies: better those than fewer than were asked for.
    assert len(suggest(30, by="margin", vectors=doubled[:200], probabilities=told[:200]).rows) == 30
    assert 0 < duplicate_distance(rows, np.arange(400)) < 0.2


def test_it_stays_random_with_poor_vectors_and_says_so():
    rows, of = kinds(4_000, 5.0)
    labels = with_labels(of, 300)
    found = suggest(50, vectors=rows, labels=labels, seed=4)
    assert found.by == "random" and found.evidence is not None
    assert found.sentence.startswith("Random: by 300 labels a probe is right for about ")
    control = suggest(50, by="random", vectors=rows, labels=labels, seed=4)
    assert np.array_equal(found.rows, control.rows)


def test_it_follows_doubts_with_good_vectors_and_says_so():
    rows, of = kinds(4_000, 0.6)
    found = suggest(50, vectors=rows, labels=with_labels(of, 300))
    assert found.by != "random" and "a probe is right for about" in found.sentence


def test_on_real_pictures_it_follows_doubts_only_where_the_vectors_are_good(shared_data):
    from benchmarks.active import pictures

    shared_data("cifar10")
    shared_data("cifar10-embeddings")
    for name, doubts in (("cnn256", True), ("patch128", False)):
        vectors, truth, _, _ = pictures(name)
        for seed in (0, 1):
            for count in (200, 1_000):
                found = suggest(100, vectors=vectors, labels=with_labels(truth, count, seed), seed=seed)
                assert (found.by != "random") == doubts, found.sentence
                assert found.evidence is not None and found.evidence.kappa is not None
                assert (found.evidence.kappa > 0.65) == doubts and (found.evidence.kappa < 0.48) == (not doubts)


def test_accuracy_is_estimated_for_the_pool_also_from_labels_that_were_asked_for_in_doubt():
    rows, of = kinds(6_000, 1.0)
    labels = with_labels(of, 150)
    for turn in range(4):
        asked = suggest(100, by="margin", vectors=rows, labels=labels, seed=turn).rows
        labels[asked] = of[asked]
    labelled, pool = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    evidence = weigh(rows, labels, labelled, pool)
    probe = linear_probe.fit(rows[labelled], labels[labelled], ridge=evidence.ridge)
    truth = (probe.classes[probe.probabilities(rows[pool]).argmax(axis=1)] == of[pool]).mean()
    assert evidence.accuracy == pytest.approx(truth, abs=0.06)


def test_balance_fills_up_the_classes_that_have_few_labels():
    assert shares_of(10, np.array([0, 5, 9]), np.array([100, 100, 100])).tolist() == [8, 2, 0]
    assert shares_of(10, np.array([0, 0, 0]), np.array([2, 100, 100])).tolist() == [2, 4, 4]
    assert shares_of(7, np.array([0, 0]), np.array([1, 2])).tolist() == [1, 2]
    assert shares_of(1, np.array([3, 3]), np.array([5, 5])).sum() == 1
    rows, of = kinds(2_000, 0.6)
    column = np.where(np.arange(2_000) < 1_900, 0, 1)
    column[:50] = -1
    found = suggest(40, by="margin", vectors=rows, labels=with_labels(of, 200), balance=column).rows
    labelled = np.bincount(column[with_labels(of, 200) >= 0] + 1, minlength=3)[1:]
    added = np.bincount(column[found], minlength=2)
    assert added.sum() == 40 and added[1] == min(40, labelled[0] - labelled[1])
    assert (column[found] >= 0).all()


def test_a_probe_finds_the_minimum_of_its_loss():
    rows, of = kinds(600, 0.8)
    probe = linear_probe.fit(rows, of, ridge=50)
    sklearn = pytest.importorskip("sklearn.linear_model")
    scale = float(np.sqrt(rows.astype(np.float64).var(axis=0).mean()))
    theirs = sklearn.LogisticRegression(C=1 / 50, tol=1e-8, max_iter=5000).fit((rows - rows.mean(axis=0)) / scale, of)
    ours = probe.probabilities(rows)
    assert np.abs(ours - theirs.predict_proba((rows - rows.mean(axis=0)) / scale)).max() < 0.02
    assert ours.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.filterwarnings("error")
def test_odd_input_has_a_clear_answer():
    rows, of = kinds(300, 0.6)
    labels = with_labels(of, 100)
    broken = rows.copy()
    broken[5], broken[6] = np.nan, 0
    assert not usable(broken)[5:7].any() and usable(broken).sum() == 298
    for by in STRATEGIES:
        found = suggest(280, by=by, vectors=broken, labels=labels)
        assert not np.isin([5, 6], found.rows).any(), by
        assert len(found.rows) == ((labels < 0) & usable(broken)).sum(), by
    same = np.repeat(rows[:1], 60, axis=0)
    for by in ("coreset", "typiclust", "random"):
        assert len(np.unique(suggest(10, by=by, vectors=same).rows)) == 10, by
    assert "do not say yet" in suggest(5, vectors=rows, labels=with_labels(of, 10)).sentence
    assert suggest(5, vectors=rows, labels=np.where(labels >= 0, 0, -1)).by == "random"
    # Probabilities that do not sum to one are shares; rows that say nothing come last.
    odd = np.abs(np.random.default_rng(0).standard_normal((300, 4)))
    odd[7] = np.nan
    odd[8] = 0
    ranked = suggest(300, by="entropy", probabilities=odd).rows
    assert sorted(ranked[-2:]) == [7, 8]
    assert np.array_equal(ranked[:-2], suggest(300, by="entropy", probabilities=3 * odd).rows[:-2])
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("margins", {"vectors": rows}, "no strategy 'margins'. Did you mean margin"),
        ("margin", {"vectors": rows}, "two classes"),
        ("margin", {"probabilities": np.ones((300, 1))}, "two classes"),
        ("disagreement", {"probabilities": odd}, "committee"),
        ("coreset", {"probabilities": odd}, "needs vectors"),
        ("random", {}, "nothing to suggest from"),
        ("random", {"vectors": rows, "labels": labels[:9]}, "different lengths"),
        ("random", {"vectors": rows, "labels": of}, "nothing left"),
        ("random", {"vectors": rows[:0]}, "nothing left"),
    ]
    for by, told, message in wrong:
        with pytest.raises(ActionError, match=message):
            suggest(5, by=by, **told)
    with pytest.raises(ActionError, match="0 samples"):
        suggest(0, vectors=rows)
    for by in STRATEGIES[:-1]:
        with pytest.raises(ActionError, match="stopped"):
            pick(by, 5, np.arange(300), vectors=rows, doubts=Doubts(given=np.stack([odd, odd])), labelled=np.arange(3),
                 stop=lambda: True)  # fmt: skip


def test_more_than_a_strategy_compares_is_as_many_as_it_compares(monkeypatch):
    monkeypatch.setitem(active.MOST_COMPARED, "typiclust", 50)
    rows, _ = kinds(200, 0.8)
    found, _ = pick("typiclust", 80, np.arange(200), vectors=rows)
    assert len(np.unique(found)) == len(found) == 50
