"""Regions: clusters of mistakes in embedding space are found, tested on other samples, and described."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.errors import EvaluationError
from dataide.evaluate.region_mixture import Axes, discriminant
from dataide.evaluate.regions import differences, find_regions, told
from dataide.storage.database import Database

COUNT = 2400


def world(seed: int, rate: float = 0.6, base: float = 0.08) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vectors in eight clumps of two labels; in the first clump mistakes are frequent."""
    random = np.random.default_rng(seed)
    clump = random.integers(0, 8, COUNT)
    vectors = (random.standard_normal((8, 24)) * 1.5)[clump] + random.standard_normal((COUNT, 24))
    labels = clump % 2
    wrong = random.random(COUNT) < np.where(clump == 0, rate, base)
    sure = np.where(wrong, random.uniform(0.05, 0.45, COUNT), random.uniform(0.55, 0.99, COUNT))
    probabilities = np.where(np.arange(2) == labels[:, None], sure[:, None], 1 - sure[:, None])
    return vectors.astype(np.float32), labels, wrong, probabilities


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("known", ["all", "labels", "errors"])
def test_a_clump_that_fails_is_found_among_samples_it_was_not_made_from(seed: int, known: str) -> None:
    vectors, labels, wrong, probabilities = world(seed)
    clump = np.random.default_rng(seed).integers(0, 8, COUNT) == 0
    found = find_regions(
        vectors,
        wrong,
        labels=None if known == "errors" else labels,
        probabilities=probabilities if known == "all" else None,
        classes=["cat", "dog"],
    )
    assert not set(found.found_on.tolist()) & set(found.tested_on.tolist())
    best = found.regions[0]
    assert best.label == (None if known == "errors" else 0)
    scores = best.score(vectors[found.tested_on])
    if known != "errors":
        scores = np.where(labels[found.tested_on] == 0, scores, -np.inf)
        assert "labelled 'cat'" in best.sentence
    assert clump[found.tested_on][np.argsort(-scores)[:10]].mean() >= 0.9
    inside = scores >= 0
    assert best.checked == inside.sum()
    assert best.metric == pytest.approx(wrong[found.tested_on][inside].mean())
    assert best.gap == pytest.approx(best.metric - wrong[found.tested_on][~inside].mean())
    assert best.interval[0] < best.gap < best.interval[1] and best.p < 0.01
    assert wrong[list(best.examples)].all() and set(best.examples) <= set(found.tested_on.tolist())
    everywhere = best.score(vectors) >= 0
    assert best.size == (everywhere if known == "errors" else everywhere & (labels == 0)).sum()


def test_where_mistakes_follow_nothing_no_region_is_told() -> None:
    reported = 0
    for seed in range(10):
        vectors, labels, wrong, probabilities = world(seed, rate=0.1, base=0.1)
        reported += bool(find_regions(vectors, wrong, labels=labels, probabilities=probabilities, seed=seed).regions)
    assert reported == 0


def test_losses_are_read_as_well() -> None:
    vectors, labels, wrong, _ = world(4)
    losses = np.random.default_rng(0).exponential(0.3, COUNT) + 2.0 * wrong
    (best, *_) = find_regions(vectors, losses, labels=labels).regions
    assert best.metric > 2 * best.rest and "mean loss" in best.sentence


def test_what_cannot_be_used_is_left_out_and_the_rest_still_answers() -> None:
    vectors, labels, wrong, probabilities = world(5)
    errors = wrong.astype(float)
    vectors[:50], errors[50:100], probabilities[100:150] = np.nan, np.nan, -1.0
    labels[150:200] = -1
    found = find_regions(vectors, errors, labels=labels, probabilities=probabilities)
    assert min(found.found_on.min(), found.tested_on.min()) == 150
    assert len(found.found_on) + len(found.tested_on) == COUNT - 150
    assert found.regions[0].label == 0


def test_degenerate_input_gives_nothing_or_says_what_is_wrong() -> None:
    vectors, labels, wrong, probabilities = world(6)
    empty = slice(0, 0)
    for given in (
        (vectors, np.zeros(COUNT), labels),
        (vectors, np.ones(COUNT), labels),
        (np.zeros_like(vectors), wrong, labels),
        (vectors[empty], wrong[empty], labels[empty]),
        (vectors[:3], wrong[:3], labels[:3]),
        (np.full_like(vectors, np.nan), wrong, labels),
    ):
        assert find_regions(given[0], given[1], labels=given[2]).regions == ()
    with pytest.raises(EvaluationError, match="do not fit"):
        find_regions(vectors, wrong[:5])
    with pytest.raises(EvaluationError, match="labels"):
        find_regions(vectors, wrong, labels=labels[:5])
    with pytest.raises(EvaluationError, match="Probabilities"):
        find_regions(vectors, wrong, probabilities=probabilities[:5])
    with pytest.raises(EvaluationError, match="infinite"):
        find_regions(vectors, np.full(COUNT, np.inf))


def test_the_same_seed_gives_the_same_regions() -> None:
    vectors, labels, wrong, probabilities = world(7)
    one, other = (find_regions(vectors, wrong, labels=labels, probabilities=probabilities, seed=3) for _ in range(2))
    assert [region.p for region in one.regions] == [region.p for region in other.regions]
    np.testing.assert_array_equal(one.regions[0].direction, other.regions[0].direction)


def test_a_discriminant_lies_between_two_groups_whatever_their_sizes() -> None:
    random = np.random.default_rng(0)
    here, there = random.standard_normal((30, 5)) + np.array([3, 0, 0, 0, 0]), random.standard_normal((900, 5))
    found = discriminant(here, np.ones(30), there)
    assert found is not None
    direction, middle = found
    assert (here @ direction > middle).mean() > 0.9 and (there @ direction < middle).mean() > 0.9
    assert np.abs(direction).argmax() == 0
    assert discriminant(here[:1], np.ones(1), there) is None


def test_axes_of_vectors_that_do_not_vary_are_none() -> None:
    assert Axes.of(np.ones((20, 4), np.float32), 3) is None
    axes = Axes.of(np.random.default_rng(0).standard_normal((50, 4)) * [5, 1, 1, 0.0], 64)
    assert axes is not None and axes.axes.shape == (4, 3)


def test_a_region_is_described_by_the_columns_and_tags_that_tell_it_apart(tmp_path) -> None:
    random = np.random.default_rng(0)
    inside = random.random(COUNT) < 0.1
    database = Database(tmp_path / "regions.duckdb")
    try:
        with database.write() as cursor:
            database.ensure_columns(cursor, {"light": "DOUBLE", "noise": "DOUBLE"})
            cursor.register(
                "made",
                {
                    "sample_no": np.arange(COUNT, dtype=np.uint32),
                    "light": random.standard_normal(COUNT) - 2.0 * inside,
                    "noise": random.standard_normal(COUNT),
                    "glare": random.random(COUNT) < np.where(inside, 0.8, 0.05),
                },
            )
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, added_at, light, noise) "
                "SELECT sample_no, 's' || sample_no, '', now(), light, noise FROM made"
            )
            cursor.execute("INSERT INTO data.tag (sample_no, tag) SELECT sample_no, 'glare' FROM made WHERE glare")
            cursor.unregister("made")
        found = differences(database, np.arange(COUNT), inside)
        assert {one.column for one in found} == {"tags: glare", "light"}
        tag = next(one for one in found if one.column.startswith("tags"))
        assert tag.condition == "'glare' IN tags" and tag.inside > 0.7 and tag.elsewhere < 0.1
        assert "light" in next(one for one in found if one.column == "light").condition
        said = told(found)
        assert said.startswith("What sets it apart: ")
        assert f"'glare' IN tags ({tag.inside:.0%}, elsewhere {tag.elsewhere:.0%})" in said
        assert differences(database, np.arange(COUNT), np.zeros(COUNT, bool)) == ()
        assert differences(database, np.arange(COUNT), random.random(COUNT) < 0.1) == ()
    finally:
        database.close()
