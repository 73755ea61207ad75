"""Vectors of objects in a file that somebody sent: what is none is said to be none, and can be made anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dataide as di
from dataide.errors import ModelError
from dataide.storage import object_vectors

SAMPLES, OBJECTS = 3, 6
VECTORS = "data.object_vector_0"
REPLACED = f"CREATE OR REPLACE TABLE {VECTORS} AS SELECT * REPLACE ({{}}) FROM {VECTORS}"


def made(folder: Path, *torn: str) -> Path:
    """Two objects on each of three pictures, with vectors of three numbers; then what tears them."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (SAMPLES, 24, 32, 3), dtype=np.uint8)
    box = [1.0, 2.0, 8.0, 9.0]
    with di.open(folder / "torn.duckdb") as session:
        session.add_arrays(pictures, sample_id=[f"s{n}" for n in range(SAMPLES)], progress=False)
        rows = [{"sample_id": f"s{n}", "label": label, "bbox": box} for n in range(SAMPLES) for label in "ab"]
        session.add_objects(rows, progress=False)
        with session.context.database.write() as cursor:
            crops = object_vectors.create(cursor, "crops", "r1", 3)
            nos, revisions = np.arange(OBJECTS, dtype=np.uint32), np.ones(OBJECTS, np.uint32)
            vectors = random.normal(size=(OBJECTS, 3)).astype(np.float32)
            object_vectors.store(cursor, crops, nos, revisions, np.tile(box, (OBJECTS, 1)), vectors)
        for sql in torn:
            with session.context.database.write() as cursor:
                cursor.execute(sql).fetchall()
    return folder / "torn.duckdb"


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    with di.open(made(tmp_path)) as session:
        assert object_vectors.torn(session.context.database) == []
        assert session.objects.vectors("crops").to_numpy().shape == (OBJECTS, 3)


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param([f"DROP TABLE {VECTORS}"], id="gone"),
        pytest.param([f"DROP TABLE {VECTORS}", f"CREATE VIEW {VECTORS} AS SELECT 1 AS vector"], id="view"),
        pytest.param([f"ALTER TABLE {VECTORS} DROP COLUMN vector"], id="column-gone"),
        pytest.param([REPLACED.format("'x' AS vector")], id="text"),
        pytest.param([REPLACED.format("vector::FLOAT[] AS vector")], id="list"),
        pytest.param([REPLACED.format("nullif(vector, vector) AS vector")], id="null"),
        pytest.param([REPLACED.format("'x' AS left_px")], id="side"),
        pytest.param(["UPDATE data.object_embedding SET dimension = 5"], id="other-length"),
        pytest.param(["UPDATE data.object_embedding SET dimension = 0"], id="no-length"),
    ],
)
def test_torn_vectors_are_told_and_made_anew(tmp_path: Path, torn: list[str]) -> None:
    with di.open(made(tmp_path, *torn)) as session:
        assert object_vectors.torn(session.context.database) == ["crops"]
        first = session.objects.take(1)
        for use in (
            lambda: session.objects.vectors("crops").to_numpy(),
            lambda: session.objects.vectors().to_numpy(),
            lambda: session.objects.project("pca", progress=False),
            lambda: session.objects.similar(first, 3),
            lambda: session.objects.autotag("t"),
        ):
            with pytest.raises(ModelError, match="'crops' are damaged") as caught:
                use()
            assert "embed" in str(caught.value.hint)
        session.objects.embed("auto", name="crops", progress=False)
        assert len(session.objects.vectors("crops")) == OBJECTS
        assert object_vectors.torn(session.context.database) == []


def test_a_table_without_an_embedding_is_in_nobodys_way(tmp_path: Path) -> None:
    with di.open(made(tmp_path, "CREATE TABLE data.object_vector_1 (vector VARCHAR)")) as session:
        session.objects.embed("auto", progress=False)
        assert len(session.objects.vectors()) == OBJECTS
