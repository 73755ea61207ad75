"""Maps: the same vectors give the same map, and new samples do not move the others."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from dataide.errors import ModelError
from dataide.find import projection
from dataide.find.neighbours import require
from dataide.find.projection import principal_axes, project
from dataide.storage import points, vectors
from dataide.storage.database import Database

COUNT, DIMENSION, KINDS = 90, 12, 3


@pytest.fixture
def rows():
    random = np.random.default_rng(4)
    centres = random.standard_normal((KINDS, DIMENSION)) * 4
    kinds = np.arange(COUNT) % KINDS
    return (centres[kinds] + random.standard_normal((COUNT, DIMENSION))).astype(np.float32)


@pytest.fixture
def database(tmp_path, rows):
    database = Database(tmp_path / "map.duckdb")
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, i || '.png', now()::TIMESTAMP FROM range(?) t(i)",
            [COUNT],
        )
        known = vectors.create(cursor, "auto", "toy/1", DIMENSION)
        vectors.store(cursor, known, np.arange(COUNT), np.ones(COUNT), rows)
        database.rebuild_views(cursor)
    yield database
    database.close()


def without_umap(monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "umap" else find(name, *more))


def test_pca_finds_the_directions_of_largest_variance(rows):
    mean, axes = principal_axes(rows)
    _, _, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.abs((axes * right[:2]).sum(axis=1)), 1, atol=1e-4)
    assert (axes[np.arange(2), np.abs(axes).argmax(axis=1)] > 0).all(), (
        "the map is not mirrored from machine to machine"
    )


def test_pca_of_one_sample_and_of_one_number_gives_a_place():
    for shape in [(1, 5), (3, 1), (2, 2)]:
        mean, axes = principal_axes(np.ones(shape, np.float32))
        assert np.isfinite((np.ones(shape) - mean) @ axes.T).all()
        assert axes.shape == (2, shape[1])


def test_new_samples_join_the_map_and_the_others_stay(database, rows):
    first = project(database, np.arange(60), "pca")
    assert (first.name, first.placed, first.refitted) == ("auto/pca", 60, True)
    before = points.placed(database, "auto/pca")
    added = project(database, np.arange(COUNT), "pca")
    assert (added.placed, added.present, added.refitted) == (30, 60, False)
    nos, places = points.placed(database, "auto/pca")
    np.testing.assert_array_equal(nos, np.arange(COUNT))
    np.testing.assert_array_equal(places[:60], before[1])
    mean, axes = principal_axes(rows[:60])
    np.testing.assert_allclose(places, (rows - mean) @ axes.T, atol=1e-4)
    assert project(database, np.arange(COUNT), "pca").placed == 0
    assert project(database, np.arange(COUNT), "pca", refit=True).placed == COUNT


def test_a_changed_picture_is_placed_anew_when_it_has_its_vector(database, rows):
    project(database, np.arange(COUNT), "pca")
    with database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no = 5")
    report = project(database, np.arange(COUNT), "pca")
    assert (report.placed, report.without_vector) == (0, 1)
    assert "embed" in repr(report)
    known = require(database, "auto")
    with database.write() as cursor:
        vectors.store(cursor, known, np.array([5]), np.array([2]), rows[8:9])
    assert project(database, np.arange(COUNT), "pca").placed == 1
    _, places = points.placed(database, "auto/pca")
    np.testing.assert_allclose(places[5], places[8], atol=1e-5)


def test_vectors_of_another_revision_lay_the_map_out_anew(database, rows):
    project(database, np.arange(COUNT), "pca")
    with database.write() as cursor:
        known = vectors.create(cursor, "auto", "toy/2", 5)
        vectors.store(cursor, known, np.arange(40), np.ones(40), rows[:40, :5])
    report = project(database, np.arange(COUNT), "pca")
    assert (report.placed, report.without_vector, report.refitted) == (40, 50, True)
    assert len(points.placed(database, "auto/pca")[0]) == 40


def test_auto_without_umap_is_pca_and_says_so(database, monkeypatch):
    without_umap(monkeypatch)
    report = project(database, np.arange(COUNT), "auto")
    assert report.method == "pca"
    assert "umap-learn is not installed" in repr(report)
    with pytest.raises(ModelError, match=r"pip install 'dataide\[ml\]'"):
        project(database, np.arange(COUNT), "umap")


def test_wrong_names_are_answered_with_the_right_ones(database):
    with pytest.raises(ModelError, match="Did you mean umap"):
        project(database, np.arange(3), "umpa")
    with pytest.raises(ModelError, match="There is no embedding 'resnet18'"):
        project(database, np.arange(3), "pca", embedding="resnet18")
    with database.write() as cursor:
        cursor.execute("DELETE FROM data.vector_0")
    with pytest.raises(ModelError, match=r"session\.embed"):
        project(database, np.arange(3), "pca")


def test_new_samples_are_placed_among_their_neighbours_even_without_umap(database, rows, monkeypatch):
    without_umap(monkeypatch)
    # A UMAP-like map, with each kind in a corner of its own.
    corners = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    mapped = np.arange(60)
    known = require(database, "auto")
    with database.write() as cursor:
        number = points.replace(cursor, "auto/umap", known.number, "umap", {}, None)
        points.store(cursor, number, mapped, corners[mapped % KINDS])
    assert project(database, np.arange(COUNT), "auto").name == "auto/umap"
    _, places = points.placed(database, "auto/umap")
    np.testing.assert_allclose(places[60:], corners[np.arange(60, COUNT) % KINDS], atol=0.5)


@pytest.mark.once
def test_umap_runs_outside_the_kernel_and_puts_like_to_like(database):
    if not importlib.util.find_spec("umap"):
        pytest.skip("umap-learn is not installed")
    told: list[str] = []
    report = project(database, np.arange(COUNT), "auto", progress=lambda done, total, sentence: told.append(sentence))
    assert report.method == "umap"
    assert any("umap" in sentence for sentence in told)
    _, places = points.placed(database, "auto/umap")
    kinds = np.arange(COUNT) % KINDS
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (kinds[distance.argmin(axis=1)] == kinds).mean() > 0.95


def test_a_stopped_projection_leaves_the_map_as_it_was(database):
    if not importlib.util.find_spec("umap"):
        pytest.skip("umap-learn is not installed")
    job = project(database, np.arange(COUNT), "umap", wait=False)
    job.cancel()
    with pytest.raises(ModelError, match="nothing has changed"):
        job.result(30)
    assert points.projection(database, "auto/umap") is None


def test_a_picture_with_few_others_gets_pca(database):
    report = project(database, np.arange(projection.FEWEST_FOR_UMAP - 1), "auto")
    assert report.method == "pca"
