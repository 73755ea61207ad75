"""What a search for issues reads of samples besides vectors: probabilities of a run, columns as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage.documented import quoted
from dataide.storage.object_tables import BOX
from dataide.storage.run_tables import stale
from dataide.storage.vectors import BATCH_ROWS

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.run_tables import Run


def probabilities(database: Database, of: Run, nos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a classifier said of samples whose picture and model are as they were then.

    Returns:
        sample numbers, ascending (uint32), and for each a row of probabilities, float32, shape (n, classes).
    """
    wanted = {"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}
    chosen = (
        f"FROM {of.table} r JOIN data.sample s ON s.sample_no = r.sample_no "
        f"WHERE NOT {stale(of)} AND r.sample_no IN (SELECT sample_no FROM wanted)"
    )
    found = np.zeros(len(nos), np.uint32)
    rows = np.zeros((len(nos), len(of.classes)), np.float32)
    filled = 0
    with database.batches(f"SELECT r.sample_no, r.probabilities {chosen}", BATCH_ROWS, frames=wanted) as batches:
        for batch in batches:
            count = min(batch.num_rows, len(nos) - filled)
            if count <= 0:
                continue
            some = batch.slice(0, count)
            values = some.column("probabilities").flatten()
            found[filled : filled + count] = _plain(some.column("sample_no"), np.uint32)
            rows[filled : filled + count] = _plain(values, np.float32).reshape(count, -1)
            filled += count
    order = np.argsort(found[:filled], kind="stable")
    return found[:filled][order], rows[:filled][order]


def numbers(database: Database, nos: np.ndarray, columns: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Columns of samples as float64, shape (n,), NaN for no value; in the order of `nos`.

    Args:
        database: the session's.
        nos: sample numbers, ascending, each once; shape (n,).
        columns: names under which they are wanted, and the columns of `sample`.
    """
    asked = [f"coalesce(TRY_CAST(s.{quoted(column)} AS DOUBLE), 'nan'::DOUBLE)" for column in columns.values()]
    return _columns(database, nos, dict(zip(columns, asked, strict=True)), np.float64, np.nan)


def words(database: Database, nos: np.ndarray, column: str) -> tuple[np.ndarray, list[str]]:
    """A column of texts as places in a list of its values: int64, shape (n,), -1 for no value."""
    name = quoted(column)
    with database.query(
        f"SELECT DISTINCT CAST({name} AS VARCHAR) FROM data.sample WHERE {name} IS NOT NULL ORDER BY 1"
    ) as cursor:
        values = [str(value) for (value,) in cursor.fetchall()]
    place = f"coalesce(list_position($values::VARCHAR[], CAST(s.{name} AS VARCHAR)) - 1, -1)::BIGINT"
    found = _columns(database, nos, {"place": place}, np.int64, -1, {"values": values})
    return found["place"], values


def bits(database: Database, nos: np.ndarray, column: str) -> tuple[np.ndarray, np.ndarray]:
    """64 bits of a column of hashes, and which samples have one: uint64 and bool, shape (n,).

    Of a hash that is written in hexadecimal, the first 64.
    """
    kind = database.columns().get(column, "")
    name = f"s.{quoted(column)}"
    value = f"TRY_CAST('0x' || {name}[1:16] AS UBIGINT)" if kind == "VARCHAR" else f"TRY_CAST({name} AS UBIGINT)"
    asked = {"bits": f"coalesce({value}, 0)::UBIGINT", "there": f"({value} IS NOT NULL)::UBIGINT"}
    found = _columns(database, nos, asked, np.uint64, 0)
    return found["bits"], found["there"].astype(bool)


def _columns(
    database: Database,
    nos: np.ndarray,
    asked: Mapping[str, str],
    kind: type[np.generic],
    empty: float,
    parameters: Mapping[str, object] | None = None,
) -> dict[str, np.ndarray]:
    """Expressions over `data.sample s`, in the order of `nos`; `empty` for one that is gone meanwhile."""
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    given = {name: f"c{index}" for index, name in enumerate(asked)}
    listed = ", ".join(f"{sql} AS {given[name]}" for name, sql in asked.items())
    sql = (
        f"SELECT s.sample_no, {listed} FROM data.sample s WHERE s.sample_no IN (SELECT sample_no FROM wanted) "
        "ORDER BY s.sample_no"
    )
    with database.query(sql, dict(parameters or {}) or None, frames={"wanted": wanted}) as cursor:
        found = cursor.fetchnumpy()
    places = np.searchsorted(nos, np.asarray(found["sample_no"], np.uint32))
    answer: dict[str, np.ndarray] = {}
    for name, short in given.items():
        answer[name] = np.full(len(nos), empty, kind)
        answer[name][places] = np.asarray(found[short], kind)
    return answer


def _plain(column: object, kind: type[np.generic]) -> np.ndarray:
    """An Arrow column without nulls as numpy, without a copy. Arrow's own `to_numpy` would load pandas."""
    buffer = column.buffers()[1]  # type: ignore[attr-defined]
    offset = column.offset * np.dtype(kind).itemsize  # type: ignore[attr-defined]
    return np.frombuffer(buffer, kind, len(column), offset)  # type: ignore[arg-type]


def given_boxes(database: Database, nos: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """The boxes that samples have: `row` (place in `nos`), `object_no`, `class_no` (-1 for none), `boxes` (n x 4: left,
    top, width, height in px of the upright picture, NaN where there is no number); and the classes."""
    wanted = {"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}
    chosen = "FROM data.object o WHERE NOT o.removed AND NOT o.crowd AND o.sample_no IN (SELECT sample_no FROM wanted)"
    with database.query(
        f"SELECT DISTINCT o.label {chosen} AND o.label IS NOT NULL ORDER BY 1", frames=wanted
    ) as cursor:
        classes = [str(label) for (label,) in cursor.fetchall()]
    place = "coalesce(list_position($classes::VARCHAR[], o.label) - 1, -1)::BIGINT"
    sql = f"SELECT o.sample_no, o.object_no, {place} AS class_no, {_PLACES} {chosen} ORDER BY o.object_no"
    with database.query(sql, {"classes": classes}, frames=wanted) as cursor:
        found = cursor.fetchnumpy()
        return {**_boxes(nos, found), "object_no": np.asarray(found["object_no"], np.int64)}, classes


def predicted_boxes(database: Database, of: Run, nos: np.ndarray) -> dict[str, np.ndarray]:
    """What a detector says of the present pictures: as `given_boxes`, with `score`; the classes are the run's."""
    wanted = {"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}
    sql = (
        f"SELECT o.sample_no, o.class_no::BIGINT AS class_no, o.score, {_PLACES} FROM {of.objects} o "
        f"JOIN {of.table} r ON r.sample_no = o.sample_no JOIN data.sample s ON s.sample_no = o.sample_no "
        f"WHERE NOT {stale(of)} AND o.sample_no IN (SELECT sample_no FROM wanted) "
        "ORDER BY o.sample_no, o.score DESC, o.rowid"
    )
    with database.query(sql, frames=wanted) as cursor:
        found = cursor.fetchnumpy()
    return {**_boxes(nos, found), "score": np.asarray(found["score"], np.float64)}


def judged_by(database: Database, of: Run, nos: np.ndarray) -> np.ndarray:
    """Places of the samples that a run has a result of, as their picture is now; ascending."""
    wanted = {"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}
    sql = (
        f"SELECT r.sample_no FROM {of.table} r JOIN data.sample s ON s.sample_no = r.sample_no "
        f"WHERE NOT {stale(of)} AND r.sample_no IN (SELECT sample_no FROM wanted) ORDER BY r.sample_no"
    )
    with database.query(sql, frames=wanted) as cursor:
        return np.searchsorted(nos, np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32))


def _boxes(nos: np.ndarray, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    sides = [np.asarray(found[side], np.float64) for side in BOX]
    return {
        "row": np.searchsorted(nos, np.asarray(found["sample_no"], np.uint32)),
        "class_no": np.asarray(found["class_no"], np.int64),
        "boxes": np.stack(sides, axis=1),
    }


_PLACES = ", ".join(f"coalesce(o.{side}, 'nan')::DOUBLE AS {side}" for side in BOX)


def problems(database: Database, nos: np.ndarray) -> list[str | None]:
    """The code of what is wrong with the file of each sample, in the order of `nos`; None for nothing."""
    wanted = {"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}
    sql = (
        "SELECT s.sample_no, max(p.code) FROM data.problem p JOIN data.sample s ON s.media = p.media "
        "WHERE s.media <> '' AND s.sample_no IN (SELECT sample_no FROM wanted) GROUP BY s.sample_no"
    )
    with database.query(sql, frames=wanted) as cursor:
        found = {int(no): str(code) for no, code in cursor.fetchall()}
    return [found.get(no) for no in nos.tolist()]
