"""Writing samples that arrive: new rows, replaced rows, bytes that are kept, and what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dataide.errors import ModelError
from dataide.storage import arrow_arrays, run_tables
from dataide.storage.database import registered
from dataide.storage.documented import quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

MEASURED = ("brightness", "contrast", "sharpness", "mean_red", "mean_green", "mean_blue")

_INSERT_FIXED = """
INSERT INTO data.sample (
    sample_no, sample_id, media, label, split, width_px, height_px, bytes, format,
    brightness, contrast, sharpness, mean_red, mean_green, mean_blue, content_hash, added_at{names}
)
SELECT
    sample_no, sample_id, media, label, split, width_px, height_px, bytes, format,
    brightness, contrast, sharpness, mean_red, mean_green, mean_blue, content_hash,
    now() AT TIME ZONE 'UTC'{values}
FROM arriving ORDER BY sample_no
"""
_REPLACE = """
UPDATE data.sample AS old SET
    media_revision = old.media_revision + (old.content_hash IS DISTINCT FROM new.content_hash)::UINTEGER,
    media = new.media, width_px = new.width_px, height_px = new.height_px, bytes = new.bytes, format = new.format,
    brightness = new.brightness, contrast = new.contrast, sharpness = new.sharpness, mean_red = new.mean_red,
    mean_green = new.mean_green, mean_blue = new.mean_blue, content_hash = new.content_hash{assignments}
FROM arriving AS new WHERE old.sample_no = new.sample_no
"""
_KEEP_BYTES = """
INSERT INTO data.blob
SELECT content_hash, bytes FROM keeping WHERE content_hash NOT IN (SELECT content_hash FROM data.blob)
"""
_KNOWN = "SELECT s.sample_id, s.sample_no, s.media FROM data.sample s JOIN asked USING (sample_id)"


class Known(NamedTuple):
    """A sample that is there."""

    sample_no: int
    media: str


class Fault(NamedTuple):
    """A picture that could not be taken in."""

    media: str
    code: str
    reason: str


class Committed(NamedTuple):
    """What one commit did."""

    added: int
    replaced: int
    skipped: int


@dataclass(slots=True)
class Arrivals:
    """Looked-at samples that wait for their commit, column by column, and the faults beside them.

    Attributes:
        source: where they come from, as `problem.source` says it.
        measured: parts of float32, 6 x n, in the order of MEASURED.
        columns: parts of the user's columns; None where there are none.
        kept: encoded bytes by content hash, for the session file.
    """

    source: str
    sample_id: list[str] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    label: list[str | None] | None = None
    split: list[str | None] | None = None
    width_px: list[int] = field(default_factory=list)
    height_px: list[int] = field(default_factory=list)
    size_bytes: list[int] = field(default_factory=list)
    format: list[str] = field(default_factory=list)
    content_hash: list[str] = field(default_factory=list)
    measured: list[np.ndarray] = field(default_factory=list)
    columns: list[pa.Table] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    kept_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sample_id)


def known_samples(database: Database, ids: Sequence[str]) -> dict[str, Known]:
    """Those of the ids that are there."""
    if not ids or database.sample_count == 0:
        return {}
    return _known(database.cursor(), ids)


def _known(cursor: Cursor, ids: Sequence[str]) -> dict[str, Known]:
    import pyarrow as pa

    with registered(cursor, {"asked": pa.Table.from_arrays([arrow_arrays.text(ids)], ["sample_id"])}):
        rows = cursor.execute(_KNOWN).fetchall()
    return {sample_id: Known(int(number), media) for sample_id, number, media in rows}


def ascending(nos: np.ndarray) -> np.ndarray:
    """Sample numbers in order, each once. Of a million `numpy.unique` (2.4, by hashing) took seconds, this 20 ms."""
    import numpy as np

    numbers = np.sort(nos)
    first = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return numbers if first.all() else numbers[first]


def with_pictures(database: Database, nos: np.ndarray) -> np.ndarray:
    """Those of the samples that have a picture, in order.

    Raises:
        ModelError: there are samples, and none has one.
    """
    import numpy as np

    with database.query("SELECT sample_no FROM data.sample WHERE media = ''") as cursor:
        bare = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
    if not len(bare):
        return nos
    kept = nos[~np.isin(nos, bare)]
    if len(nos) and not len(kept):
        raise ModelError(
            "None of these samples has a picture, so a model has nothing to look at.",
            hint="Coordinates of your own make a map: session.add_projection('mine', x='column', y='column')",
            code="no_pictures",
        )
    return kept


def commit_arrivals(database: Database, arrivals: Arrivals, *, replace: bool) -> Committed:
    """Writes everything that waits, in one transaction.

    Args:
        database: the session's file.
        arrivals: samples and faults; the caller starts a new one after.
        replace: what to do with ids that are there: replace the sample, else leave it. Of an id that arrives twice the
            last counts when replacing, else the first.
    """
    if not len(arrivals) and not arrivals.faults:
        return Committed(0, 0, 0)
    with database.write() as cursor:
        committed = _write_samples(database, cursor, arrivals, replace) if len(arrivals) else Committed(0, 0, 0)
        _write_faults(cursor, arrivals)
    return committed


def _write_samples(database: Database, cursor: Cursor, arrivals: Arrivals, replace: bool) -> Committed:
    import numpy as np
    import pyarrow as pa

    table, actual = _table(database, cursor, arrivals)
    known = _known(cursor, arrivals.sample_id) if database.next_sample_no(cursor) else {}
    order = range(len(arrivals)) if not replace else range(len(arrivals) - 1, -1, -1)
    chosen: dict[str, int] = {}
    for position in order:
        chosen.setdefault(arrivals.sample_id[position], position)
    old = sorted(position for sample_id, position in chosen.items() if sample_id in known)
    new = sorted(position for sample_id, position in chosen.items() if sample_id not in known)
    if new:
        first = database.next_sample_no(cursor)
        numbers = arrow_arrays.numbers(np.arange(first, first + len(new)), np.uint32)
        _insert(cursor, _picked(table, new).append_column("sample_no", numbers), actual)
    if old and replace:
        numbers = arrow_arrays.numbers([known[arrivals.sample_id[position]].sample_no for position in old], np.uint32)
        _update(cursor, _picked(table, old).append_column("sample_no", numbers), actual, arrivals)
    if arrivals.kept:
        kept = [arrow_arrays.text(list(arrivals.kept)), arrow_arrays.binary(list(arrivals.kept.values()))]
        keeping = pa.Table.from_arrays(kept, ["content_hash", "bytes"])
        with registered(cursor, {"keeping": keeping}):
            cursor.execute(_KEEP_BYTES)
    replaced = len(old) if replace else 0
    return Committed(len(new), replaced, len(arrivals) - len(new) - replaced)


def _table(database: Database, cursor: Cursor, arrivals: Arrivals) -> tuple[pa.Table, dict[str, str]]:
    """All arrivals as one Arrow table, the user's columns under plain names, and the column of `sample` of each."""
    import numpy as np
    import pyarrow as pa

    count = len(arrivals)
    text, numbers = arrow_arrays.text, arrow_arrays.numbers
    data: dict[str, Any] = {
        "sample_id": text(arrivals.sample_id),
        "media": text(arrivals.media),
        "label": text(arrivals.label) if arrivals.label is not None else arrow_arrays.nulls(count),
        "split": text(arrivals.split) if arrivals.split is not None else arrow_arrays.nulls(count),
        "width_px": numbers(arrivals.width_px, np.uint32),
        "height_px": numbers(arrivals.height_px, np.uint32),
        "bytes": numbers(arrivals.size_bytes, np.uint64),
        "format": text(arrivals.format),
        "content_hash": text(arrivals.content_hash),
    }
    measured = np.concatenate(arrivals.measured, axis=1)
    data.update((name, numbers(row, np.float32)) for name, row in zip(MEASURED, measured, strict=True))
    actual: dict[str, str] = {}
    if arrivals.columns:
        users = pa.concat_tables(arrivals.columns)
        plain = [f"user_{index}" for index in range(users.num_columns)]
        wanted = dict(zip(users.column_names, sql_types(cursor, users.rename_columns(plain)), strict=True))
        stands = database.ensure_columns(cursor, wanted)
        for name, short, column in zip(users.column_names, plain, users.columns, strict=True):
            data[short] = column
            actual[short] = stands[name]
    return pa.Table.from_arrays(list(data.values()), list(data)), actual


def sql_types(cursor: Cursor, users: pa.Table) -> list[str]:
    """How DuckDB itself reads the Arrow types; a column of nulls only is text."""
    with registered(cursor, {"describing": users.slice(0, 0)}):
        rows = cursor.execute("DESCRIBE SELECT * FROM describing").fetchall()
    return [_plain_type(str(row[1])) for row in rows]


def _plain_type(kind: str) -> str:
    # NULL is not a type of a column, and timestamps of other precisions take no part in most functions.
    if kind in ('"NULL"', "NULL", "INTEGER NULL"):
        return "VARCHAR"
    return "TIMESTAMP" if kind in ("TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S") else kind


def _picked(table: pa.Table, positions: list[int]) -> pa.Table:
    import numpy as np

    return table if len(positions) == table.num_rows else table.take(arrow_arrays.numbers(positions, np.int64))


def _insert(cursor: Cursor, table: pa.Table, actual: dict[str, str]) -> None:
    names = "".join(f", {quoted(name)}" for name in actual.values())
    values = "".join(f", {short}" for short in actual)
    with registered(cursor, {"arriving": table}):
        cursor.execute(_INSERT_FIXED.format(names=names, values=values))


def _update(cursor: Cursor, table: pa.Table, actual: dict[str, str], arrivals: Arrivals) -> None:
    # What the import says nothing about stays: a label that a person gave is not wiped by new pixels.
    columns = dict(actual)
    if arrivals.label is not None:
        columns["label"] = "label"
    if arrivals.split is not None:
        columns["split"] = "split"
    assignments = "".join(f", {quoted(name)} = new.{short}" for short, name in columns.items())
    for name in run_tables.filled_columns(cursor):
        if name not in columns.values():  # what a model said of the picture before
            same = "old.content_hash IS NOT DISTINCT FROM new.content_hash"
            assignments += f", {quoted(name)} = CASE WHEN {same} THEN old.{quoted(name)} END"
    with registered(cursor, {"arriving": table}):
        cursor.execute(_REPLACE.format(assignments=assignments))


def _write_faults(cursor: Cursor, arrivals: Arrivals) -> None:
    """Lists what is wrong now: what was found wrong before and came in this time is wrong no more."""
    import pyarrow as pa

    row = cursor.execute("SELECT count(*) FROM data.problem").fetchone()
    if row is not None and row[0]:
        looked_at = arrow_arrays.text([*arrivals.media, *(fault.media for fault in arrivals.faults)])
        media = pa.Table.from_arrays([looked_at], ["media"])
        with registered(cursor, {"looked_at": media}):
            cursor.execute(
                "DELETE FROM data.problem WHERE source = ? AND media IN (SELECT media FROM looked_at)",
                [arrivals.source],
            )
    if arrivals.faults:
        faults = pa.Table.from_arrays(
            [arrow_arrays.text(part) for part in zip(*arrivals.faults, strict=True)], Fault._fields
        )
        with registered(cursor, {"faulty": faults}):
            cursor.execute(
                "INSERT INTO data.problem SELECT now(), ?, media, code, reason FROM faulty", [arrivals.source]
            )
