"""Vectors of crops in the session file: which embeddings of objects there are, which objects lack a vector, and maps.

A vector stands beside what it was made of: the revision of the picture and the box. One whose picture was replaced, or
whose box was moved, does not count, and is computed anew by the next `objects.embed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ModelError
from dataide.storage import arrow_arrays, vectors
from dataide.storage.database import registered
from dataide.storage.object_tables import BOX
from dataide.storage.vectors import Embedding, Pending

if TYPE_CHECKING:
    from dataide.storage.database import Cursor, Database

_BOXED = "o.width_px > 0 AND o.height_px > 0 AND isfinite(o.left_px + o.top_px + o.width_px + o.height_px)"
# 32 bits of what a vector was made of, for the rows that are kept for searching; never written into the session file.
_MADE_OF = f"CAST(hash(v.media_revision, {', '.join(f'v.{side}' for side in BOX)}) & 4294967295 AS UINTEGER)"


@dataclass(frozen=True, slots=True)
class PendingCrops(Pending):
    """Objects that still need a vector, picture by picture.

    Attributes:
        nos: uint32, of the objects.
        media: their ids, as problems are listed.
        media_revisions: uint32, of the pictures.
        refs: references of the pictures.
        boxes: float64, N x 4: left, top, width, height in px.
    """

    refs: list[str]
    boxes: NDArray[np.float64]


def embeddings(database: Database) -> list[Embedding]:
    """All embeddings of objects, the oldest first, without those that are `torn`."""
    return _told(database)[0]


def torn(database: Database) -> list[str]:
    """Names of embeddings whose vectors are gone or none, in a file that somebody sent; `create` makes them anew."""
    return [one.name for one in _told(database)[1]]


def _told(database: Database) -> tuple[list[Embedding], list[Embedding]]:
    """The embeddings that have a table as `create` makes it, and the others."""
    with database.query(
        "SELECT embedding_no, name, revision, dimension FROM data.object_embedding ORDER BY embedding_no"
    ) as cursor:
        told = [Embedding(*row) for row in cursor.fetchall()]
    if not told:
        return [], []
    with database.query(
        "SELECT 'data.' || table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'data' "
        "AND database_name = current_database() AND starts_with(table_name, 'object_vector_') AND NOT is_nullable"
    ) as cursor:
        there = set(cursor.fetchall())
    whole: list[Embedding] = []
    others: list[Embedding] = []
    for one in told:
        wanted = {(table_of(one), name, kind) for name, kind in _columns(one.dimension).items()}
        (whole if wanted <= there else others).append(one)
    return whole, others


def _columns(dimension: int) -> dict[str, str]:
    """The columns of a table of vectors with their SQL types; none of them may be NULL."""
    sides = dict.fromkeys(BOX, "DOUBLE")
    return {"object_no": "UINTEGER", "media_revision": "UINTEGER", **sides, "vector": f"FLOAT[{int(dimension)}]"}


def embedding(database: Database, name: str) -> Embedding | None:
    """The embedding of objects of this name, or None."""
    return next((known for known in embeddings(database) if known.name == name), None)


def table_of(known: Embedding) -> str:
    """The table of its vectors."""
    return f"data.object_vector_{known.number}"


def create(cursor: Cursor, name: str, revision: str, dimension: int) -> Embedding:
    """Adds an embedding of objects, inside the caller's `write()`; one of the same name is dropped, its maps stay."""
    for (number,) in cursor.execute("SELECT embedding_no FROM data.object_embedding WHERE name = ?", [name]).fetchall():
        _drop(cursor, int(number))
    largest = cursor.execute("SELECT coalesce(max(embedding_no) + 1, 0) FROM data.object_embedding").fetchall()
    made = Embedding(int(largest[0][0]), name, revision, dimension)
    cursor.execute("DELETE FROM data.object_embedding WHERE name = ?", [name])
    cursor.execute(
        "INSERT INTO data.object_embedding VALUES (?, ?, ?, ?, ?)",
        [made.number, name, revision, dimension, datetime.now(UTC)],
    )
    _drop(cursor, made.number)  # a file that somebody sent may hold one without an embedding
    columns = ", ".join(f"{column} {kind} NOT NULL" for column, kind in _columns(dimension).items())
    cursor.execute(f"CREATE TABLE {table_of(made)} ({columns})")
    return made


def _drop(cursor: Cursor, number: int) -> None:
    name = f"object_vector_{number}"
    sql = "SELECT 1 FROM duckdb_views() WHERE schema_name = 'data' AND database_name = current_database() AND "
    is_view = cursor.execute(f"{sql} view_name = ?", [name]).fetchall()
    cursor.execute(f"DROP {'VIEW' if is_view else 'TABLE'} IF EXISTS data.{name}")


def pending(database: Database, known: Embedding | None, nos: NDArray[np.uint32]) -> PendingCrops:
    """Those of the objects that have a box, and no vector of their present picture and box; picture by picture."""
    lacking = ""
    if known is not None:
        same = " AND ".join(f"v.{side} = o.{side}" for side in BOX)
        lacking = (
            f"AND NOT EXISTS (FROM {table_of(known)} v WHERE v.object_no = o.object_no "
            f"AND v.media_revision = s.media_revision AND {same})"
        )
    sql = (
        f"SELECT o.object_no, o.object_id, s.media, s.media_revision, {', '.join(f'o.{side}' for side in BOX)} "
        "FROM data.object o JOIN data.sample s ON s.sample_no = o.sample_no WHERE NOT o.removed AND "
        f"coalesce(s.media, '') <> '' AND {_BOXED} AND o.object_no IN (SELECT object_no FROM wanted) {lacking} "
        "ORDER BY o.sample_no, o.object_no"
    )
    wanted = {"object_no": np.ascontiguousarray(nos, np.uint32)}
    with database.query(sql, frames={"wanted": wanted}) as cursor:
        columns = cursor.fetchnumpy()
    boxes = np.stack([np.asarray(columns[side], np.float64) for side in BOX], axis=1).reshape(-1, 4)
    return PendingCrops(
        np.asarray(columns["object_no"], np.uint32),
        [str(one) for one in columns["object_id"]],
        np.asarray(columns["media_revision"], np.uint32),
        [str(one) for one in columns["media"]],
        boxes,
    )


def store(
    cursor: Cursor,
    into: Embedding,
    nos: NDArray[np.uint32],
    media_revisions: NDArray[np.uint32],
    boxes: NDArray[np.float64],
    rows: NDArray[np.float32],
) -> None:
    """Writes vectors, inside the caller's `write()`; earlier ones of the same objects are replaced.

    Args:
        cursor: the cursor that `write()` gave.
        into: the embedding.
        nos: of the objects, each once.
        media_revisions, boxes: what the crops were cut from, as `PendingCrops` says.
        rows: float32, N x dimension, finite.

    Raises:
        ModelError: a number is infinite or none.
    """
    import pyarrow as pa

    checked = np.ascontiguousarray(rows, np.float32)
    finite = np.isfinite(checked).all(axis=1)
    if not finite.all():
        raise ModelError(
            f"The vector of object number {int(nos[int(np.argmin(finite))])} has numbers that are infinite or not "
            "numbers.",
            hint="Look at what the model gives for this crop; nothing of this batch was written.",
            code="not_finite",
        )
    numbers = arrow_arrays.numbers(nos, np.uint32)
    columns = {"object_no": numbers, "media_revision": arrow_arrays.numbers(media_revisions, np.uint32)}
    for index, side in enumerate(BOX):
        columns[side] = arrow_arrays.numbers(np.ascontiguousarray(boxes[:, index]), np.float64)
    flat = arrow_arrays.numbers(checked.reshape(-1), np.float32)
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, into.dimension)
    frames = {"batch": pa.table(columns), "arriving": pa.table({"object_no": numbers})}
    with registered(cursor, frames):
        # Whoever kept rows of these objects for searching tells by `_MADE_OF` that they are of an earlier box.
        cursor.execute(f"DELETE FROM {table_of(into)} WHERE object_no IN (SELECT object_no FROM arriving)").fetchall()
        cursor.execute(
            f"INSERT INTO {table_of(into)} SELECT object_no, media_revision, {', '.join(BOX)}, vector FROM batch"
        ).fetchall()


def valid(of: Embedding) -> str:
    """The vectors `v` that count, their objects `o` and samples `s`, as SQL after FROM."""
    same = " AND ".join(f"v.{side} = o.{side}" for side in BOX)
    return (
        f"{table_of(of)} v JOIN data.object o ON o.object_no = v.object_no AND NOT o.removed AND {same} "
        "JOIN data.sample s ON s.sample_no = o.sample_no AND s.media_revision = v.media_revision"
    )


# What vector_parts asks of whoever keeps vectors; the same for samples in storage/vectors.py. ------------------------


def made_at(database: Database, of: Embedding) -> str:
    """When the embedding was made, to the microsecond."""
    return vectors.made_at(database, of, "data.object_embedding")


def stamp(database: Database, of: Embedding) -> tuple[int, int, int, str]:
    """Changes whenever the vectors that count do: (embedding, how many, hash of what they are of, when it was made)."""
    return of.number, *vectors.counted(database, f"v.object_no, {_MADE_OF}", valid(of)), made_at(database, of)


def present(database: Database, of: Embedding) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Which objects have a vector that counts: ascending numbers, and 32 bits of what it was made of; uint32."""
    sql = f"SELECT v.object_no, {_MADE_OF} AS made_of FROM {valid(of)} ORDER BY v.object_no"
    with database.query(sql) as cursor:
        columns = cursor.fetchnumpy()
    return np.asarray(columns["object_no"], np.uint32), np.asarray(columns["made_of"], np.uint32)


def present_rows(
    database: Database, of: Embedding, nos: NDArray[np.uint32] | None = None
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]]:
    """Vectors that count, a few thousand at a time, in any order: numbers, what they are of, float32 N x dimension.

    Args:
        database: the session's.
        of: the embedding.
        nos: only these objects.
    """
    sql = f"SELECT v.object_no, {_MADE_OF} AS made_of, v.vector FROM {valid(of)}"
    frames: dict[str, object] = {}
    if nos is not None:
        frames["wanted"] = {"object_no": np.ascontiguousarray(nos, np.uint32)}
        sql += " WHERE v.object_no IN (SELECT object_no FROM wanted)"
    return vectors.streamed(database, sql, of.dimension, frames)


def fetch(
    database: Database, of: Embedding, nos: NDArray[np.uint32] | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Vectors that count: numbers of objects, ascending, and float32 N x dimension."""
    parts = list(present_rows(database, of, nos))
    if not parts:
        return np.empty(0, np.uint32), np.empty((0, of.dimension), np.float32)
    numbers = np.concatenate([part[0] for part in parts])
    order = np.argsort(numbers)
    return numbers[order], np.concatenate([part[2] for part in parts])[order]


# Maps ----------------------------------------------------------------------------------------------------------------


def replace_map(
    cursor: Cursor, name: str, of: Embedding, method: str, nos: NDArray[np.uint32], places: NDArray[np.float32]
) -> None:
    """Keeps a map of objects (places: N x 2), inside the caller's `write()`, in place of one of the same name."""
    cursor.execute(
        "DELETE FROM data.object_point WHERE projection_no IN "
        "(SELECT projection_no FROM data.object_projection WHERE name = ?)",
        [name],
    ).fetchall()
    cursor.execute("DELETE FROM data.object_projection WHERE name = ?", [name]).fetchall()
    largest = cursor.execute("SELECT coalesce(max(projection_no) + 1, 0) FROM data.object_projection").fetchall()
    number = int(largest[0][0])
    cursor.execute(
        "INSERT INTO data.object_projection VALUES (?, ?, ?, ?, ?)",
        [number, name, of.number, method, datetime.now(UTC)],
    ).fetchall()
    batch = {
        "object_no": np.ascontiguousarray(nos, np.uint32),
        "x": np.ascontiguousarray(places[:, 0], np.float32),
        "y": np.ascontiguousarray(places[:, 1], np.float32),
    }
    with registered(cursor, {"batch": batch}):
        cursor.execute("INSERT INTO data.object_point SELECT ?, object_no, x, y FROM batch", [number]).fetchall()


def maps(database: Database) -> list[tuple[int, str, str, str, int]]:
    """Maps of objects, the newest first: number, name, method, embedding, points."""
    with database.query(
        "SELECT j.projection_no, j.name, j.method, coalesce(e.name, ''), (SELECT count(*) FROM data.object_point p "
        "WHERE p.projection_no = j.projection_no) FROM data.object_projection j "
        "LEFT JOIN data.object_embedding e USING (embedding_no) ORDER BY j.created_at DESC, j.projection_no DESC"
    ) as cursor:
        return cursor.fetchall()


def placed(
    database: Database, name: str
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    """Objects on a map that are still there, ascending: their numbers, their samples', and x and y (float32)."""
    with database.query(
        "SELECT p.object_no, o.sample_no, p.x, p.y FROM data.object_point p "
        "JOIN data.object_projection j USING (projection_no) JOIN data.object o USING (object_no) "
        # Numbers are dense, so what a panel keeps for each may be as long as the largest; a torn file has any.
        "WHERE j.name = ? AND NOT o.removed AND o.object_no < (SELECT count(*) FROM data.object) ORDER BY p.object_no",
        [name],
    ) as cursor:
        columns = cursor.fetchnumpy()
    return (
        np.asarray(columns["object_no"], np.uint32),
        np.asarray(columns["sample_no"], np.uint32),
        np.asarray(columns["x"], np.float32),
        np.asarray(columns["y"], np.float32),
    )
