"""Similarity: the nearest by cosine, exactly, for samples and for pictures from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError, UnknownSample
from dataide.find import neighbours, vector_parts
from dataide.find.neighbours import mean_vector, nearest, query_vector, require
from dataide.inference.embedding import embed
from dataide.storage import vectors
from dataide.storage.database import Database
from dataide.storage.media import Media

COUNT, DIMENSION = 500, 16


@pytest.fixture
def rows():
    return np.random.default_rng(1).standard_normal((COUNT, DIMENSION)).astype(np.float32)


@pytest.fixture
def database(tmp_path, rows):
    database = Database(tmp_path / "near.duckdb")
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, i || '.png', now()::TIMESTAMP FROM range(?) t(i)",
            [COUNT],
        )
        known = vectors.create(cursor, "toy", "toy/1", DIMENSION)
        vectors.store(cursor, known, np.arange(COUNT), np.ones(COUNT), rows)
        database.rebuild_views(cursor)
    yield database
    database.close()


def by_hand(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    return rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)


def test_the_nearest_are_those_of_highest_cosine_best_first(database, rows):
    nos, similarity = nearest(database, "toy", rows[7] * 5, 20)
    expected = by_hand(rows, rows[7])
    np.testing.assert_array_equal(nos, np.argsort(-expected)[:20])
    np.testing.assert_allclose(similarity, expected[nos], atol=1e-5)
    assert nos[0] == 7
    assert nos.dtype == np.uint32


def test_without_k_all_come_and_with_a_k_too_large_as_well(database, rows):
    assert sorted(nearest(database, "toy", rows[0])[0].tolist()) == list(range(COUNT))
    assert len(nearest(database, "toy", rows[0], 10_000)[0]) == COUNT
    assert len(nearest(database, "toy", rows[0], 0)[0]) == 0


@pytest.mark.parametrize("as_mask", [False, True])
def test_only_samples_asked_for_come(database, rows, as_mask):
    among = np.arange(0, COUNT, 3)
    given = np.isin(np.arange(COUNT), among) if as_mask else among
    nos, _ = nearest(database, "toy", rows[1], 10, given)
    expected = among[np.argsort(-by_hand(rows[among], rows[1]))[:10]]
    np.testing.assert_array_equal(nos, expected)


def test_equals_come_in_order_of_arrival(database, rows):
    known = require(database, "toy")
    with database.write() as cursor:
        vectors.store(cursor, known, np.arange(100, 130), np.ones(30), np.tile(rows[3], (30, 1)))
    assert nearest(database, "toy", rows[3], 6)[0].tolist() == [3, 100, 101, 102, 103, 104]


def test_without_room_in_memory_and_on_the_disk_the_answer_is_the_same(database, rows, monkeypatch):
    expected = nearest(database, "toy", rows[9], 30)
    monkeypatch.setattr(vector_parts, "MEMORY_BYTES", 100)
    monkeypatch.setattr(neighbours, "PIECE", 64)
    database.cache_dir.mkdir(exist_ok=True)
    (database.cache_dir / vector_parts.FOLDER).write_text("in the way")
    neighbours._kept.clear()
    found = nearest(database, "toy", rows[9], 30)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert not neighbours._kept.get(database)


def test_a_tag_does_not_make_vectors_be_read_again_and_a_new_vector_does(database, rows, monkeypatch):
    nearest(database, "toy", rows[0], 1)
    kept = list(neighbours._kept[database]["vectors"].parts)
    with database.write() as cursor:
        cursor.execute("INSERT INTO data.tag VALUES (1, 'x')")
    nearest(database, "toy", rows[0], 1)
    assert neighbours._kept[database]["vectors"].parts == kept
    with database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no = 0")
    assert nearest(database, "toy", rows[0], 1)[0][0] != 0, "a vector of an earlier picture no longer counts"
    known = require(database, "toy")
    with database.write() as cursor:
        vectors.store(cursor, known, np.array([0]), np.array([2]), rows[5:6])
    assert nearest(database, "toy", rows[5], 2)[0].tolist() == [0, 5]
    with database.write() as cursor:
        vectors.store(cursor, known, np.array([7]), np.array([1]), rows[5:6])
    assert nearest(database, "toy", rows[5], 3)[0].tolist() == [0, 5, 7], "replaced, though the picture is the same"


def test_the_mean_of_samples_is_of_their_directions(database, rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(mean_vector(database, "toy", np.array([3, 9])), unit[[3, 9]].mean(axis=0), atol=1e-6)


def test_errors_say_what_there_is(database, rows):
    with pytest.raises(ModelError, match="Did you mean toy"):
        nearest(database, "toys", rows[0])
    with pytest.raises(ModelError, match="3 numbers"):
        nearest(database, "toy", np.ones(3))
    with pytest.raises(UnknownSample, match=r"Did you mean s49"):
        query_vector(database, "toy", "s4999")
    with pytest.raises(UnknownSample, match="neither a sample nor a picture"):
        query_vector(database, "toy", object())
    with pytest.raises(ModelError, match="None of these 1 samples has a vector"):
        mean_vector(database, "toy", np.array([9999]))


def test_a_sample_a_file_bytes_a_picture_and_an_array_mean_the_same(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    database = Database(tmp_path / "same.duckdb")
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, i || '.png', now()::TIMESTAMP FROM range(5) t(i)"
        )
    embed(database, Media(database), np.arange(5))
    file = tmp_path / "2.png"
    expected, no = query_vector(database, "auto", "s2")
    assert no == 2
    for target in (2, file, str(file), file.read_bytes(), Image.open(file), pixels[2]):
        found, number = query_vector(database, "auto", target)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert number == (2 if isinstance(target, int) else None)
        assert nearest(database, "auto", found, 1)[0].tolist() == [2]
    with pytest.raises(UnknownSample, match="cannot be read"):
        query_vector(database, "auto", Path("nowhere.png"))
    database.close()
