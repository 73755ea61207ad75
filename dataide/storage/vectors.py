"""Embeddings in the session file: which there are, which samples lack a vector, and the vectors themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import ModelError, ReadOnly
from dataide.storage import arrow_arrays
from dataide.storage.database import registered

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

BATCH_ROWS = 2_048


@dataclass(frozen=True, slots=True)
class Embedding:
    """One embedding: the vectors of one model in one revision, in the table `data.vector_<number>`."""

    number: int
    name: str
    revision: str
    dimension: int

    @property
    def table(self) -> str:
        return f"data.vector_{self.number}"


@dataclass(frozen=True, slots=True)
class Pending:
    """Samples that still need a vector, in order of their numbers."""

    nos: np.ndarray
    media: list[str]
    media_revisions: np.ndarray


def check_writable(database: Database) -> None:
    """Refuses before the work instead of after it.

    Raises:
        ReadOnly: the session is open for reading only.
    """
    if database.read_only:
        raise ReadOnly(
            f"{database.path.name} is open for reading only, so vectors and maps cannot be kept.",
            hint=f"Close it and open it again: session.close(); di.open({database.path.name!r})",
        )


def embeddings(database: Database) -> list[Embedding]:
    """All embeddings of the file, the oldest first."""
    with database.query(
        "SELECT embedding_no, name, revision, dimension FROM data.embedding ORDER BY embedding_no"
    ) as cursor:
        return [Embedding(*row) for row in cursor.fetchall()]


def embedding(database: Database, name: str) -> Embedding | None:
    """The embedding of this name, or None."""
    return next((known for known in reversed(embeddings(database)) if known.name == name), None)


def create(cursor: Cursor, name: str, revision: str, dimension: int) -> Embedding:
    """Adds an embedding, inside the caller's `write()`, which then rebuilds the views.

    Those of the same name are dropped: vectors of two revisions cannot be compared.
    """
    cursor.execute("SELECT embedding_no FROM data.embedding WHERE name = ?", [name])
    for (number,) in cursor.fetchall():
        cursor.execute(f"DROP TABLE IF EXISTS data.vector_{int(number)}")
    cursor.execute("SELECT coalesce(max(embedding_no) + 1, 0) FROM data.embedding")
    row = cursor.fetchone()
    made = Embedding(int(row[0]) if row else 0, name, revision, dimension)
    cursor.execute("DELETE FROM data.embedding WHERE name = ?", [name])
    cursor.execute(
        "INSERT INTO data.embedding (embedding_no, name, revision, dimension, created_at) VALUES (?, ?, ?, ?, ?)",
        [made.number, name, revision, dimension, datetime.now(UTC)],
    )
    cursor.execute(
        f"CREATE TABLE {made.table} (sample_no UINTEGER NOT NULL, media_revision UINTEGER NOT NULL, "
        f"vector FLOAT[{int(dimension)}] NOT NULL)"
    )
    return made


def pending(database: Database, known: Embedding | None, nos: np.ndarray) -> Pending:
    """Those of `nos` that have no vector of their present picture."""
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    lacking = ""
    if known is not None:
        present = f"FROM {known.table} v WHERE v.sample_no = s.sample_no AND v.media_revision = s.media_revision"
        lacking = f"AND NOT EXISTS ({present})"
    sql = (
        "SELECT s.sample_no, s.media, s.media_revision FROM data.sample s "
        f"WHERE s.sample_no IN (SELECT sample_no FROM wanted) {lacking} ORDER BY s.sample_no"
    )
    with database.query(sql, frames={"wanted": wanted}) as cursor:
        columns = cursor.fetchnumpy()
    return Pending(
        np.asarray(columns["sample_no"], np.uint32),
        [str(media) for media in columns["media"]],
        np.asarray(columns["media_revision"], np.uint32),
    )


def store(cursor: Cursor, into: Embedding, nos: np.ndarray, media_revisions: np.ndarray, vectors: np.ndarray) -> None:
    """Writes vectors, inside the caller's `write()`; earlier ones of the same samples are replaced.

    Args:
        cursor: the cursor that `write()` gave.
        into: the embedding.
        nos: whose they are, each once.
        media_revisions: of which of their pictures.
        vectors: float32, len(nos) x dimension, finite.

    Raises:
        ModelError: a number is infinite or none.
    """
    import pyarrow as pa

    checked = np.ascontiguousarray(vectors, np.float32)
    wrong = _first_not_finite(checked)
    if wrong is not None:
        raise ModelError(
            f"The vector of sample number {int(nos[wrong])} has numbers that are infinite or not numbers.",
            hint="Look at what the model gives for this picture; nothing of this batch was written.",
            code="not_finite",
        )
    numbers = arrow_arrays.numbers(nos, np.uint32)
    columns = {
        "sample_no": numbers,
        "media_revision": arrow_arrays.numbers(media_revisions, np.uint32),
        "vector": pa.FixedSizeListArray.from_arrays(
            arrow_arrays.numbers(checked.reshape(-1), np.float32), into.dimension
        ),
    }
    # Two frames: whoever asks for numbers only would have the vectors taken in hand as well.
    frames = {"batch": pa.table(columns), "arriving": pa.table({"sample_no": numbers})}
    with registered(cursor, frames):
        cursor.execute(f"DELETE FROM {into.table} WHERE sample_no IN (SELECT sample_no FROM arriving)")
        replaced = cursor.fetchall()
        if replaced and replaced[0][0]:
            # What was read of the earlier ones is no longer true, even where the picture is the same.
            cursor.execute(
                "UPDATE data.embedding SET created_at = ? WHERE embedding_no = ?", [datetime.now(UTC), into.number]
            )
        cursor.execute(f"INSERT INTO {into.table} SELECT sample_no, media_revision, vector FROM batch")


def note_problems(cursor: Cursor, source: str, problems: list[tuple[str, str, str]]) -> None:
    """Lists pictures that could not be embedded (media, code, reason), each once, inside the caller's `write()`."""
    now = datetime.now(UTC)
    listed = [(source, media) for media, _, _ in problems]
    cursor.executemany("DELETE FROM data.problem WHERE source = ? AND media = ?", listed)
    cursor.executemany(
        "INSERT INTO data.problem (found_at, source, media, code, reason) VALUES (?, ?, ?, ?, ?)",
        [(now, source, media, code, reason) for media, code, reason in problems],
    )


def forget_problems(cursor: Cursor, source: str, media: list[str]) -> None:
    """Takes pictures off the list that have been embedded meanwhile, inside the caller's `write()`."""
    cursor.execute("SELECT DISTINCT media FROM data.problem WHERE source = ?", [source])
    listed = {row[0] for row in cursor.fetchall()}
    gone = [(source, one) for one in media if one in listed] if listed else []
    if gone:
        cursor.executemany("DELETE FROM data.problem WHERE source = ? AND media = ?", gone)


def _first_not_finite(rows: np.ndarray) -> int | None:
    """The first row with a number that is none. The sum of a row is finite only if all of it is, and needs no copy."""
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = np.flatnonzero(~np.isfinite(rows.sum(axis=1)))
    return next((int(row) for row in suspects if not np.isfinite(rows[row]).all()), None)


def _valid(of: Embedding) -> str:
    return f"{of.table} v JOIN data.sample s ON s.sample_no = v.sample_no AND s.media_revision = v.media_revision"


def made_at(database: Database, of: Embedding) -> str:
    """When the embedding was made, or vectors in it were last replaced, to the microsecond."""
    sql = "SELECT epoch_us(created_at) FROM data.embedding WHERE embedding_no = ?"
    with database.query(sql, [of.number]) as cursor:
        rows = cursor.fetchall()
    return str(rows[0][0]) if rows else ""


def stamp(database: Database, of: Embedding) -> tuple[int, int, int, str]:
    """Changes whenever the vectors that count do: (embedding, how many, hash of their pictures, when it was made)."""
    sql = f"SELECT count(*), coalesce(bit_xor(hash(v.sample_no, v.media_revision)), 0) FROM {_valid(of)}"
    with database.query(sql) as cursor:
        rows = cursor.fetchall()
    count, mixed = rows[0]
    return of.number, int(count), int(mixed), made_at(database, of)


def present(database: Database, of: Embedding) -> tuple[np.ndarray, np.ndarray]:
    """Which samples have a vector of their present picture: numbers, ascending, and pictures' revisions; uint32."""
    with database.query(f"SELECT v.sample_no, v.media_revision FROM {_valid(of)} ORDER BY v.sample_no") as cursor:
        columns = cursor.fetchnumpy()
    return np.asarray(columns["sample_no"], np.uint32), np.asarray(columns["media_revision"], np.uint32)


def present_rows(
    database: Database, of: Embedding, nos: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vectors of samples whose picture has not changed since, a few thousand at a time, in any order.

    Yields sample numbers and revisions of the pictures (uint32), and float32 N x dimension that may be written to.

    Args:
        database: the session's.
        of: the embedding.
        nos: only these samples.
    """
    sql = f"SELECT v.sample_no, v.media_revision, v.vector FROM {_valid(of)}"
    frames: dict[str, object] = {}
    if nos is not None:
        frames["wanted"] = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
        sql += " WHERE v.sample_no IN (SELECT sample_no FROM wanted)"
    with database.batches(sql, BATCH_ROWS, frames=frames) as batches:
        for batch in batches:
            if batch.num_rows:
                yield (
                    _numbers(batch.column("sample_no"), np.uint32).copy(),
                    _numbers(batch.column("media_revision"), np.uint32).copy(),
                    _numbers(batch.column("vector").flatten(), np.float32).reshape(-1, of.dimension).copy(),
                )


def fetch(
    database: Database, of: Embedding, nos: np.ndarray | None = None, *, between: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of samples whose picture has not changed since: numbers, ascending, and float32 N x dimension.

    Args:
        database: the session's.
        of: the embedding.
        nos: only these samples.
        between: only numbers from the first up to, not including, the second.
    """
    conditions = ["true"]
    frames: dict[str, object] = {}
    if nos is not None:
        frames["wanted"] = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
        conditions.append("v.sample_no IN (SELECT sample_no FROM wanted)")
    if between is not None:
        conditions.append(f"v.sample_no >= {int(between[0])} AND v.sample_no < {int(between[1])}")
    chosen = f"FROM {_valid(of)} WHERE {' AND '.join(conditions)}"
    with database.query(f"SELECT v.sample_no {chosen} ORDER BY v.sample_no", frames=frames) as cursor:
        numbers = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
    # Sorting the vectors in the database would hold them there twice more; each is put in its place instead.
    rows = np.zeros((len(numbers), of.dimension), np.float32)
    there = np.zeros(len(numbers), bool)
    with database.batches(f"SELECT v.sample_no, v.vector {chosen}", BATCH_ROWS, frames=frames) as batches:
        for batch in batches:
            arrived = _numbers(batch.column("sample_no"), np.uint32)
            places = np.searchsorted(numbers, arrived)
            # What came or went between the two questions is left to the next one.
            known = places < len(numbers)
            known[known] = numbers[places[known]] == arrived[known]
            vectors = _numbers(batch.column("vector").flatten(), np.float32).reshape(len(arrived), of.dimension)
            rows[places[known]] = vectors if known.all() else vectors[known]
            there[places[known]] = True
    return (numbers, rows) if there.all() else (numbers[there], rows[there])


def _numbers(column: pa.Array, kind: type[np.generic]) -> np.ndarray:
    """An Arrow column without nulls as numpy, without a copy. Arrow's own `to_numpy` would load pandas."""
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * np.dtype(kind).itemsize)
