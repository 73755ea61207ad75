"""Exact search over parts in memory and in files: the same as computing everything in float64, whatever the data is."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import numpy as np
import pytest

from dataide.errors import ModelError
from dataide.find import neighbours, search, vector_parts
from dataide.find.neighbours import nearest, require
from dataide.find.vector_parts import Part
from dataide.storage import vectors
from dataide.storage.database import Database

COUNT, DIMENSION = 3_000, 48
random = np.random.default_rng(4)


def plainly(rows, query, k=None, inside=None):
    """Every cosine in float64, sorted stably: the definition."""
    wide, direction = rows.astype(np.float64), np.asarray(query, np.float64)
    direction = direction / np.sqrt(direction @ direction)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    cosines = np.divide(np.einsum("ij,j->i", wide, direction), lengths, out=np.zeros(len(rows)), where=lengths > 0)
    order = np.argsort(-cosines, kind="stable")
    if inside is not None:
        order = order[inside[order]]
    return order[:k], cosines[order[:k]]


def spread():
    return random.standard_normal((COUNT, DIMENSION)).astype(np.float32)


def copies():
    return np.repeat(spread()[: COUNT // 100], 100, axis=0)[random.permutation(COUNT)]


def zeros_between():
    rows = spread()
    rows[::3] = 0
    return rows


def all_the_same():
    return np.tile(spread()[:1], (COUNT, 1))


def hardly_different():
    """All within what float32 cannot tell apart by one product."""
    rows = np.tile(spread()[:1], (COUNT, 1))
    steps = random.integers(-3, 4, rows.shape).astype(np.int32)
    return (rows.view(np.int32) + steps).view(np.float32)


def cancelling():
    """Large numbers whose sum of products all but vanishes, where float32 is at its worst."""
    rows = spread()
    rows[:, 1::2] = -rows[:, ::2] * (1 + 1e-6 * random.standard_normal((COUNT, DIMENSION // 2))).astype(np.float32)
    return rows


DATA = [spread, copies, zeros_between, all_the_same, hardly_different, cancelling]


@pytest.fixture(params=DATA, ids=lambda made: made.__name__)
def rows(request):
    return request.param()


def parts_of(rows):
    """Two parts, in no order, and with rows that no longer count."""
    nos = random.permutation(len(rows)).astype(np.uint32)
    made = []
    for chosen in (nos[: len(nos) // 3], nos[len(nos) // 3 :]):
        some = np.concatenate([chosen, chosen[:50]])
        part = Part.of(some, np.ones(len(some), np.uint32), rows[some].copy())
        part.counts = np.arange(len(some)) < len(chosen)
        made.append(part)
    return made


@pytest.mark.parametrize("k", [1, 7, 100, COUNT - 1, None])
@pytest.mark.parametrize("piece", [300, 1 << 20])
def test_the_best_are_those_of_the_definition(rows, k, piece, monkeypatch):
    monkeypatch.setattr(search, "PIECE_ROWS", piece)
    for query in (rows[1], np.ones(DIMENSION, np.float32), spread()[0]):
        direction = query.astype(np.float64)
        direction /= np.sqrt(direction @ direction)
        nos, cosines = search.best(parts_of(rows), direction, k, None)
        expected, values = plainly(rows, query, k)
        np.testing.assert_allclose(cosines, values, atol=1e-15)
        np.testing.assert_array_equal(nos, expected)
        inside = np.arange(COUNT // 2) % 5 == 0
        expected, _ = plainly(rows, query, k, np.pad(inside, (0, COUNT - len(inside))))
        np.testing.assert_array_equal(search.best(parts_of(rows), direction, k, inside)[0], expected)


def test_the_quick_similarity_is_off_by_no_more_than_the_bound(rows):
    part = Part.of(np.arange(COUNT, dtype=np.uint32), np.ones(COUNT, np.uint32), rows.copy())
    for query in (rows[1], spread()[0]):
        direction = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
        quick = (part.rows @ direction.astype(np.float32)) * part.inverse
        exact = search.precise(part, np.arange(COUNT), direction)
        assert np.abs(quick - exact).max() <= search.bound(DIMENSION)


def test_lengths_beyond_float32_do_not_matter():
    rows = spread()[:50]
    expected, _ = plainly(rows, rows[3])
    scale = np.ldexp(np.float32(1), random.choice([-100, 0, 80, 100], 50)).astype(np.float32)
    part = Part.of(np.arange(50, dtype=np.uint32), np.ones(50, np.uint32), rows * scale[:, None])
    direction = rows[3].astype(np.float64) / np.linalg.norm(rows[3].astype(np.float64))
    for k in (None, 10):
        np.testing.assert_array_equal(search.best([part], direction, k, None)[0], expected[:k])


# In a session ------------------------------------------------------------------------------------------------------


def session(path, rows):
    database = Database(path)
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, i || '.png', now()::TIMESTAMP FROM range(?) t(i)",
            [2 * len(rows)],
        )
        known = vectors.create(cursor, "toy", "toy/1", rows.shape[1])
        vectors.store(cursor, known, np.arange(len(rows)), np.ones(len(rows)), rows)
        database.rebuild_views(cursor)
    return database


@pytest.fixture
def kept_in_files(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_parts, "MEMORY_BYTES", 100 * DIMENSION * 4)
    rows = spread()
    database = session(tmp_path / "files.duckdb", rows)
    yield database, rows
    database.close()


def files(database):
    return sorted((database.cache_dir / vector_parts.FOLDER).iterdir())


def same(database, rows, k=20):
    for query in (rows[5], rows[-1]):
        nos, cosines = nearest(database, "toy", query, k)
        expected, values = plainly(rows, query, k)
        np.testing.assert_array_equal(nos, expected)
        np.testing.assert_array_equal(cosines, values.astype(np.float32))


def read_from_the_session(monkeypatch):
    """Counts the vectors that are read from the session file."""
    read = [0]
    present_rows = vectors.present_rows

    def counted(*arguments):
        for batch in present_rows(*arguments):
            read[0] += len(batch[0])
            yield batch

    monkeypatch.setattr(vectors, "present_rows", counted)
    return read


def test_many_vectors_lie_in_a_file_and_only_what_is_new_is_read(kept_in_files, monkeypatch):
    database, rows = kept_in_files
    read = read_from_the_session(monkeypatch)
    same(database, rows)
    assert read == [COUNT]
    assert len(files(database)) == 1
    known = require(database, "toy")
    for count, there in ((40, 1), (150, 2)):
        fresh = spread()[:count]
        nos = np.arange(len(rows), len(rows) + count)
        with database.write() as cursor:
            vectors.store(cursor, known, nos, np.ones(count), fresh)
        rows, read[0] = np.concatenate([rows, fresh]), 0
        same(database, rows)
        assert read[0] <= count + 40
        assert len(files(database)) == there


def test_another_session_takes_over_the_file(kept_in_files, monkeypatch):
    database, rows = kept_in_files
    same(database, rows)
    path = database.path
    database.close()
    read = read_from_the_session(monkeypatch)
    for read_only in (False, True):
        again = Database(path, read_only=read_only)
        same(again, rows)
        again.close()
    assert read == [2 * vector_parts._PROVED], "no more than what proves the file"


def test_a_file_that_is_cut_off_or_of_other_vectors_is_made_anew(kept_in_files):
    database, rows = kept_in_files
    same(database, rows)
    neighbours._kept.clear()
    (there,) = files(database)
    there.write_bytes(there.read_bytes()[:-16])
    (there.parent / "9-gone.rows").write_bytes(b"of an embedding that is no more")
    (there.parent / f"{there.stem}.part").write_bytes(b"of a process that was killed")
    same(database, rows)
    (made,) = files(database)
    assert made != there

    other = spread()
    with database.write() as cursor:
        known = vectors.create(cursor, "toy", "toy/2", DIMENSION)
        vectors.store(cursor, known, np.arange(COUNT), np.ones(COUNT), other)
        database.rebuild_views(cursor)
    same(database, other)
    assert len(files(database)) == 1
    assert files(database) != [made]


def test_when_most_of_the_file_no_longer_counts_it_is_written_anew(kept_in_files):
    database, rows = kept_in_files
    same(database, rows)
    (first,) = files(database)
    with database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no < ?", [2 * COUNT // 3])
    nos, _ = nearest(database, "toy", rows[5], None)
    assert nos.min() == 2 * COUNT // 3
    assert files(database) == [first]
    known = require(database, "toy")
    with database.write() as cursor:
        fresh = np.arange(COUNT, COUNT + 200)
        vectors.store(cursor, known, fresh, np.ones(200), spread()[:200])
    assert len(nearest(database, "toy", rows[5], None)[0]) == COUNT // 3 + 200
    assert len(files(database)) == 1
    assert files(database) != [first]


def test_what_is_not_a_number_is_refused(kept_in_files):
    database, rows = kept_in_files
    known = require(database, "toy")
    wrong = rows[:3].copy()
    wrong[1, 7] = np.nan
    with pytest.raises(ModelError, match="sample number 8 "), database.write() as cursor:
        vectors.store(cursor, known, np.array([7, 8, 9]), np.ones(3), wrong)
    with pytest.raises(ModelError, match="infinite or not numbers"):
        nearest(database, "toy", wrong[1], 3)
    same(database, rows)
    assert (nearest(database, "toy", np.zeros(DIMENSION), 3)[1] == 0).all()


def test_all_by_similarity_are_all(kept_in_files):
    database, rows = kept_in_files
    same(database, rows, None)


def test_prepared_the_first_search_reads_nothing(kept_in_files, monkeypatch):
    database, rows = kept_in_files
    neighbours.prepare(database, "toy")
    read = read_from_the_session(monkeypatch)
    same(database, rows)
    assert read == [0]


@pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="DuckDB 1 imports pandas by itself")
def test_storing_loads_no_pandas(tmp_path):
    script = (
        "import sys, numpy as np; from pathlib import Path; from dataide.storage import vectors\n"
        "from dataide.storage.database import Database\n"
        f"database = Database(Path({str(tmp_path / 'bare.duckdb')!r}))\n"
        "with database.write() as cursor:\n"
        "    known = vectors.create(cursor, 'toy', 'toy/1', 8)\n"
        "    vectors.store(cursor, known, np.arange(3), np.ones(3), np.ones((3, 8)))\n"
        "database.close(); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_older_copy_put_back_does_not_get_the_vectors_of_the_newer_one(kept_in_files):
    database, rows = kept_in_files
    path, known = database.path, require(database, "toy")
    database.close()
    older = path.read_bytes()
    for _ in range(2):
        path.write_bytes(older)
        again = Database(path)
        fresh = spread()[:30]
        with again.write() as cursor:
            vectors.store(cursor, known, np.arange(COUNT, COUNT + 30), np.ones(30), fresh)
        same(again, np.concatenate([rows, fresh]))
        assert len(files(again)) == 1
        again.close()
