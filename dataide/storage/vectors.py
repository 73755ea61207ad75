"""Embeddings in the session file: which there are, which samples lack a vector, and the vectors themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import ModelError, ReadOnly, did_you_mean
from dataide.storage import arrow_arrays
from dataide.storage.database import registered
from dataide.storage.documented import quoted, version_of

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

BATCH_ROWS = 2_048


@dataclass(frozen=True, slots=True)
class Embedding:
    """One embedding: the vectors of one model in one revision, in the table `data.vector_<number>`.

    What a vector was made of stands beside it in `media_revision`: the revision of the picture, or 32 bits of the MD5
    of the text. One whose picture or text is another now does not count.

    Attributes:
        number: of the table.
        name: as people call it.
        revision: of the model.
        dimension: numbers in a vector.
        source: the column of texts that was embedded; None for the picture.
    """

    number: int
    name: str
    revision: str
    dimension: int
    source: str | None = None

    @property
    def table(self) -> str:
        return f"data.vector_{self.number}"


@dataclass(frozen=True, slots=True)
class Pending:
    """Samples that still need a vector, in order of their numbers.

    Attributes:
        nos: uint32.
        media: what is listed where one cannot be had: references of pictures, or ids of samples with texts.
        media_revisions: uint32, of the pictures, or hashes of the texts.
    """

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
            f"{database.path.name} is open for reading only, so nothing that is computed can be kept.",
            hint=f"Close it and open it again: session.close(); di.open({database.path.name!r})",
        )


def embeddings(database: Database) -> list[Embedding]:
    """All embeddings of the file, the oldest first."""
    with database.query(
        "SELECT embedding_no, name, revision, dimension, source FROM data.embedding ORDER BY embedding_no"
    ) as cursor:
        return [Embedding(*row) for row in cursor.fetchall()]


def embedding(database: Database, name: str) -> Embedding | None:
    """The embedding of this name, or None."""
    return next((known for known in reversed(embeddings(database)) if known.name == name), None)


def create(cursor: Cursor, name: str, revision: str, dimension: int, source: str | None = None) -> Embedding:
    """Adds an embedding, inside the caller's `write()`, which then rebuilds the views.

    Those of the same name are dropped: vectors of two revisions cannot be compared.
    """
    cursor.execute("SELECT embedding_no FROM data.embedding WHERE name = ?", [name])
    for (number,) in cursor.fetchall():
        cursor.execute(f"DROP TABLE IF EXISTS data.vector_{int(number)}")
    cursor.execute("SELECT coalesce(max(embedding_no) + 1, 0) FROM data.embedding")
    row = cursor.fetchone()
    made = Embedding(int(row[0]) if row else 0, name, revision, dimension, source)
    cursor.execute("DELETE FROM data.embedding WHERE name = ?", [name])
    cursor.execute(
        "INSERT INTO data.embedding (embedding_no, name, revision, dimension, created_at, source) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [made.number, name, revision, dimension, datetime.now(UTC), source],
    )
    cursor.execute(
        f"CREATE TABLE {made.table} (sample_no UINTEGER NOT NULL, media_revision UINTEGER NOT NULL, "
        f"vector FLOAT[{int(dimension)}] NOT NULL)"
    )
    return made


def pending(database: Database, known: Embedding | None, nos: np.ndarray, source: str | None = None) -> Pending:
    """Those of `nos` that have no vector of their present picture, or of their present text in the column `source`."""
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    lacking = ""
    version = version_of(source)
    if known is not None:
        present = f"FROM {known.table} v WHERE v.sample_no = s.sample_no AND v.media_revision = {version}"
        lacking = f"AND NOT EXISTS ({present})"
    there = "s.media" if source is None else "s.sample_id"
    some = "" if source is None else f"AND {_is_text(source)}"
    sql = (
        f"SELECT s.sample_no, {there} AS media, {version} AS media_revision FROM data.sample s "
        f"WHERE s.sample_no IN (SELECT sample_no FROM wanted) {some} {lacking} ORDER BY s.sample_no"
    )
    with database.query(sql, frames={"wanted": wanted}) as cursor:
        columns = cursor.fetchnumpy()
    return Pending(
        np.asarray(columns["sample_no"], np.uint32),
        [str(media) for media in columns["media"]],
        np.asarray(columns["media_revision"], np.uint32),
    )


def with_texts(database: Database, nos: np.ndarray, column: str) -> np.ndarray:
    """Those of the samples that have a text in a column, in order; an empty one is none.

    Raises:
        ModelError: there is no such column of texts, or there are samples and none has a text.
    """
    columns = database.columns()
    if columns.get(column) != "VARCHAR":
        texts = [name for name, kind in columns.items() if kind == "VARCHAR"]
        there = f"The column {column!r} is {columns.get(column)} and holds no texts."
        raise ModelError(
            there if column in columns else f"There is no column {column!r}.",
            hint=did_you_mean(column, texts),
            code="no_column",
        )
    with database.query(f"SELECT s.sample_no FROM data.sample s WHERE {_is_text(column)}") as cursor:
        having = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
    kept = nos[np.isin(nos, having)]
    if len(nos) and not len(kept):
        raise ModelError(
            f"None of these {len(nos):,} samples has a text in {column!r}, so there is nothing to embed.",
            hint=f"session.where({quoted(column) + ' IS NOT NULL'!r}) shows those that have one.",
            code="no_texts",
        )
    return kept


def texts(database: Database, nos: np.ndarray, column: str) -> list[str]:
    """The texts of samples, in order of `nos`, which ascend; empty for one that is gone meanwhile."""
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    low, high = (int(nos[0]), int(nos[-1])) if len(nos) else (0, 0)
    sql = (
        f"SELECT s.sample_no, s.{quoted(column)} FROM data.sample s WHERE s.sample_no BETWEEN {low} AND {high} "
        f"AND s.sample_no IN (SELECT sample_no FROM wanted) AND {_is_text(column)}"
    )
    with database.query(sql, frames={"wanted": wanted}) as cursor:
        found = dict(cursor.fetchall())
    return [found.get(no, "") for no in nos.tolist()]


def made_by(database: Database, revision: str) -> tuple[str, str] | None:
    """Name and kind of the model that a revision is of, as they were noted when it was used here."""
    with database.query(
        "SELECT name, kind FROM data.model WHERE revision = ? ORDER BY used_at DESC LIMIT 1", [revision]
    ) as cursor:
        rows = cursor.fetchall()
    return (rows[0][0], rows[0][1]) if rows else None


def store(cursor: Cursor, into: Embedding, nos: np.ndarray, media_revisions: np.ndarray, vectors: np.ndarray) -> None:
    """Writes vectors, inside the caller's `write()`; earlier ones of the same samples are replaced.

    Args:
        cursor: the cursor that `write()` gave.
        into: the embedding.
        nos: whose they are, each once.
        media_revisions: of which of their pictures, or texts: `Pending.media_revisions`.
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
            if into.source is not None:
                # A place tells by its picture's revision that it is of earlier; of a text nobody could tell.
                cursor.execute(
                    "DELETE FROM data.point WHERE sample_no IN (SELECT sample_no FROM arriving) AND projection_no IN "
                    "(SELECT projection_no FROM data.projection WHERE embedding_no = ?)",
                    [into.number],
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


def valid(of: Embedding) -> str:
    """The vectors `v` that count and their samples `s`, as SQL after FROM."""
    version = version_of(of.source)
    return f"{of.table} v JOIN data.sample s ON s.sample_no = v.sample_no AND {version} = v.media_revision"


def _is_text(column: str) -> str:
    return f"trim(s.{quoted(column)}) <> ''"


def made_at(database: Database, of: Embedding, table: str = "data.embedding") -> str:
    """When the embedding was made, or vectors in it were last replaced, to the microsecond; `table` lists it."""
    sql = f"SELECT epoch_us(created_at) FROM {table} WHERE embedding_no = ?"
    with database.query(sql, [of.number]) as cursor:
        rows = cursor.fetchall()
    return str(rows[0][0]) if rows else ""


def stamp(database: Database, of: Embedding) -> tuple[int, int, int, str]:
    """Changes whenever the vectors that count do: (embedding, how many, hash of their pictures, when it was made)."""
    return of.number, *counted(database, "v.sample_no, v.media_revision", valid(of)), made_at(database, of)


def counted(database: Database, columns: str, source: str) -> tuple[int, int]:
    """How many rows a source has, as SQL after FROM, and a hash of these columns that knows no order."""
    with database.query(f"SELECT count(*), coalesce(bit_xor(hash({columns})), 0) FROM {source}") as cursor:
        count, mixed = cursor.fetchall()[0]
    return int(count), int(mixed)


def present(database: Database, of: Embedding) -> tuple[np.ndarray, np.ndarray]:
    """Which samples have a vector that counts, and of which picture or text: ascending numbers, versions; uint32."""
    with database.query(f"SELECT v.sample_no, v.media_revision FROM {valid(of)} ORDER BY v.sample_no") as cursor:
        columns = cursor.fetchnumpy()
    return np.asarray(columns["sample_no"], np.uint32), np.asarray(columns["media_revision"], np.uint32)


def present_rows(
    database: Database, of: Embedding, nos: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vectors of samples whose picture or text has not changed since, a few thousand at a time, in any order.

    Yields sample numbers and revisions of the pictures (uint32), and float32 N x dimension that may be written to.

    Args:
        database: the session's.
        of: the embedding.
        nos: only these samples.
    """
    sql = f"SELECT v.sample_no, v.media_revision, v.vector FROM {valid(of)}"
    frames: dict[str, object] = {}
    if nos is not None:
        frames["wanted"] = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
        sql += " WHERE v.sample_no IN (SELECT sample_no FROM wanted)"
    return streamed(database, sql, of.dimension, frames)


def streamed(
    database: Database, sql: str, dimension: int, frames: dict[str, object]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What a query gives, some thousand rows at a time: two columns of uint32, and vectors (float32, N x dimension)."""
    with database.batches(sql, BATCH_ROWS, frames=frames) as batches:
        for batch in batches:
            if batch.num_rows:
                numbers, made_of, rows = (batch.column(place) for place in range(3))
                yield (
                    _numbers(numbers, np.uint32).copy(),
                    _numbers(made_of, np.uint32).copy(),
                    _numbers(rows.flatten(), np.float32).reshape(-1, dimension).copy(),
                )


def fetch(
    database: Database, of: Embedding, nos: np.ndarray | None = None, *, between: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of samples whose picture or text has not changed since: numbers, ascending, and float32 N x dimension.

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
    chosen = f"FROM {valid(of)} WHERE {' AND '.join(conditions)}"
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
