"""Projections in the session file: maps of samples on a plane, and where each sample lies on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage.database import registered
from dataide.storage.documented import quoted

if TYPE_CHECKING:
    from dataide.storage.database import Cursor, Database

# Of maps that were given and not laid out from vectors: the number of no embedding, and their method.
NO_EMBEDDING = 0xFFFF_FFFF
GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Projection:
    """One map.

    Attributes:
        number: in `data.point`.
        name: as people call it: `auto/pca`.
        embedding_no: whose vectors were laid out, or NO_EMBEDDING.
        method: pca, umap or given.
        parameters: how.
        state: what places new samples (an .npz archive), or None where their neighbours do.
    """

    number: int
    name: str
    embedding_no: int
    method: str
    parameters: dict[str, Any]
    state: bytes | None


def projection(database: Database, name: str) -> Projection | None:
    """The map of this name, or None."""
    sql = (
        "SELECT projection_no, name, embedding_no, method, parameters, state FROM data.projection "
        "WHERE name = ? ORDER BY projection_no DESC LIMIT 1"
    )
    with database.query(sql, [name]) as cursor:
        row = cursor.fetchone()
    if row is None:
        return None
    number, known_as, embedding_no, method, parameters, state = row
    return Projection(number, known_as, embedding_no, method, json.loads(parameters), state)


def replace(
    cursor: Cursor, name: str, embedding_no: int, method: str, parameters: dict[str, Any], state: bytes | None
) -> int:
    """Makes a map anew, without points yet, inside the caller's `write()`; gives its number."""
    cursor.execute(
        "DELETE FROM data.point WHERE projection_no IN (SELECT projection_no FROM data.projection WHERE name = ?)",
        [name],
    )
    cursor.execute("SELECT coalesce(max(projection_no) + 1, 0) FROM data.projection")
    row = cursor.fetchone()
    number = int(row[0]) if row else 0
    cursor.execute("DELETE FROM data.projection WHERE name = ?", [name])
    cursor.execute(
        "INSERT INTO data.projection (projection_no, name, embedding_no, method, parameters, state, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [number, name, embedding_no, method, json.dumps(parameters), state, datetime.now(UTC)],
    )
    return number


def store(cursor: Cursor, number: int, nos: np.ndarray, places: np.ndarray) -> None:
    """Puts samples on a map, inside the caller's `write()`; those that are on it move.

    Args:
        cursor: the cursor that `write()` gave.
        number: the map's.
        nos: sample numbers.
        places: N x 2.
    """
    batch = {
        "sample_no": np.ascontiguousarray(nos, np.uint32),
        "x": np.ascontiguousarray(places[:, 0], np.float32),
        "y": np.ascontiguousarray(places[:, 1], np.float32),
    }
    with registered(cursor, {"batch": batch}):
        cursor.execute(
            "DELETE FROM data.point WHERE projection_no = ? AND sample_no IN (SELECT sample_no FROM batch)", [number]
        )
        cursor.execute(
            "INSERT INTO data.point (projection_no, sample_no, media_revision, x, y) "
            "SELECT ?, b.sample_no, s.media_revision, b.x, b.y FROM batch b JOIN data.sample s USING (sample_no)",
            [number],
        )


def placed(database: Database, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples whose present picture has a place on the map: numbers, ascending, and float32 N x 2."""
    sql = (
        "SELECT q.sample_no, q.x, q.y FROM data.point q JOIN data.projection p USING (projection_no) "
        "JOIN data.sample s ON s.sample_no = q.sample_no AND s.media_revision = q.media_revision "
        "WHERE p.name = ? ORDER BY q.sample_no"
    )
    with database.query(sql, [name]) as cursor:
        columns = cursor.fetchnumpy()
    places = np.stack([np.asarray(columns["x"], np.float32), np.asarray(columns["y"], np.float32)], axis=1)
    return np.asarray(columns["sample_no"], np.uint32), places


def from_columns(cursor: Cursor, number: int, x: str, y: str) -> int:
    """Puts all samples on a map whose place stands in two of their columns, inside the caller's `write()`.

    Args:
        cursor: the cursor that `write()` gave.
        number: the map's; it has no points yet.
        x: a column of numbers.
        y: likewise.

    Returns:
        How many have a place: no value, NaN and infinity are none.
    """
    # Through FLOAT first: a number that is too large for it is infinite there, and no place.
    sql = (
        "INSERT INTO data.point (projection_no, sample_no, media_revision, x, y) "
        "SELECT ?, sample_no, media_revision, x, y FROM (SELECT sample_no, media_revision, "
        f"{_as_float(x)} AS x, {_as_float(y)} AS y FROM data.sample) WHERE isfinite(x) AND isfinite(y)"
    )
    return int(cursor.execute(sql, [number]).fetchall()[0][0])


def _as_float(column: str) -> str:
    # TRY_CAST of 1e300 to FLOAT is an overflow, which is NULL.
    return f"TRY_CAST({quoted(column)} AS FLOAT)"


def from_arrays(cursor: Cursor, number: int, nos: np.ndarray, places: np.ndarray) -> int:
    """Puts samples on a map that has no points yet, inside the caller's `write()`.

    Args:
        cursor: the cursor that `write()` gave.
        number: the map's.
        nos: sample numbers, each once.
        places: N x 2, float32, all finite.

    Returns:
        How many came onto it.
    """
    batch = {
        "sample_no": np.ascontiguousarray(nos, np.uint32),
        "x": np.ascontiguousarray(places[:, 0], np.float32),
        "y": np.ascontiguousarray(places[:, 1], np.float32),
    }
    with registered(cursor, {"batch": batch}):
        sql = (
            "INSERT INTO data.point (projection_no, sample_no, media_revision, x, y) "
            "SELECT ?, s.sample_no, s.media_revision, b.x, b.y FROM data.sample s JOIN batch b USING (sample_no)"
        )
        return int(cursor.execute(sql, [number]).fetchall()[0][0])
