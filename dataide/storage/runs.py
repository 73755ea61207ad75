"""Runs in the session file: what one model, over its revisions, said of which samples.

A run is a classifier's, a detector's, or a function's that measures (task "attributes"). Results of earlier revisions
of the model, or of an earlier picture, are stale: they stay until the same call computes them anew.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import ModelError, UnknownRun, did_you_mean
from dataide.storage import arrow_arrays, columns
from dataide.storage.database import registered
from dataide.storage.documented import quoted
from dataide.storage.run_tables import LIST, Run, of_row, stale
from dataide.storage.vectors import Pending

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

_TABLES = {
    "classification": ", class_no UINTEGER NOT NULL, confidence FLOAT NOT NULL, "
    "probabilities FLOAT[{classes}] NOT NULL",
    "detection": ", object_count UINTEGER NOT NULL",
    "attributes": "",
}


def runs(database: Database) -> list[Run]:
    """All runs of the file, the oldest first."""
    with database.query(LIST) as cursor:
        return [of_row(row) for row in cursor.fetchall()]


def run(database: Database, name: str) -> Run | None:
    """The run of this name, or None."""
    return next((known for known in runs(database) if known.name == name), None)


def require(database: Database, name: str) -> Run:
    """The run of this name.

    Raises:
        UnknownRun: there is none.
    """
    known = runs(database)
    for one in known:
        if one.name == name:
            return one
    names = [one.name for one in known if one.task != "attributes"]
    raise UnknownRun(
        f"There is no run {name!r}.", hint=did_you_mean(name, names) or f"Make it: session.predict(model, run={name!r})"
    )


def revisions(database: Database, of: Run) -> list[str]:
    """The revisions of its model, the latest last; their numbers are their places."""
    with database.query(
        "SELECT revision FROM data.run_revision WHERE run_no = ? ORDER BY revision_no", [of.number]
    ) as cursor:
        return [revision for (revision,) in cursor.fetchall()]


def create(cursor: Cursor, name: str, task: str, classes: Sequence[str] = ()) -> Run:
    """Adds a run, inside the caller's `write()`, which then rebuilds the views."""
    cursor.execute("SELECT coalesce(max(run_no) + 1, 0) FROM data.run")
    row = cursor.fetchone()
    made = Run(int(row[0]) if row else 0, name, task, tuple(classes), {})
    cursor.execute(
        "INSERT INTO data.run VALUES (?, ?, ?, ?::VARCHAR[], [], [], ?)",
        [made.number, name, task, list(classes), datetime.now(UTC)],
    )
    more = _TABLES[task].format(classes=max(len(classes), 1))
    cursor.execute(
        f"CREATE TABLE {made.table} (sample_no UINTEGER NOT NULL, media_revision UINTEGER NOT NULL, "
        f"revision_no UINTEGER NOT NULL{more})"
    )
    if task == "detection":
        cursor.execute(
            f"CREATE TABLE {made.objects} (sample_no UINTEGER NOT NULL, class_no UINTEGER NOT NULL, "
            "score DOUBLE NOT NULL, left_px DOUBLE NOT NULL, top_px DOUBLE NOT NULL, width_px DOUBLE NOT NULL, "
            "height_px DOUBLE NOT NULL, mask_runs UINTEGER[])"
        )
    return made


def columns_for(database: Database, cursor: Cursor, of: Run, wanted: Mapping[str, tuple[str, str]]) -> Run:
    """Makes sure that there is a column of `sample` for each field; call it before rows are changed.

    Args:
        database: the session's.
        cursor: of the caller's `write()`.
        of: the run.
        wanted: for each field the name that its column should have, and its SQL type. A column of that name that is
            somebody else's is left alone: ours gets a number.

    Returns:
        The run with all its columns.

    Raises:
        ModelError: a field had values of another kind before.
    """
    there = {name.lower(): name for name in columns.read(cursor)}
    chosen: dict[str, str] = {}
    for field, (name, _) in wanted.items():
        number = 1
        column = name = of.columns.get(field, name.strip() or "column")
        while field not in of.columns and (column.lower() in there or column.lower() in columns.TAKEN):
            number += 1
            column = f"{name}_{number}"
        chosen[field] = column
        there[column.lower()] = column
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said as an error below
        stands = database.ensure_columns(cursor, {chosen[field]: kind for field, (_, kind) in wanted.items()})
    moved = next((field for field, column in chosen.items() if stands[column] != column), None)
    if moved is not None:
        raise ModelError(
            f"{of.name!r} has given values of another kind for {moved!r} before.",
            hint="Always return numbers, or always texts; or give the new ones another name.",
            code="callable",
        )
    both = {**of.columns, **chosen}
    if both == of.columns:
        return of
    cursor.execute(
        "UPDATE data.run SET fields = ?::VARCHAR[], sample_columns = ?::VARCHAR[] WHERE run_no = ?",
        [list(both), list(both.values()), of.number],
    )
    return replace(of, columns=both)


def number_of(cursor: Cursor, of: Run, revision: str, since: int | None = None) -> int:
    """The number of a revision of its model; a new one gets the next, and all others are stale then.

    Args:
        cursor: of the caller's `write()`.
        of: the run.
        revision: of the model that computes.
        since: how many revisions there were before this one when the caller's work began. If it has got its number
            since then and another one came after it, another work goes on with the run now.

    Raises:
        ModelError: another revision has taken over since then. Two that took turns would both end up stale.
    """
    cursor.execute("SELECT revision FROM data.run_revision WHERE run_no = ? ORDER BY revision_no", [of.number])
    known = [str(one) for (one,) in cursor.fetchall()]
    number = len(known)
    if known and known[-1] == revision:
        return number - 1
    if since is not None and revision in known[since:]:
        call = "enrich(…, name='…')" if of.task == "attributes" else "predict(…, run='…')"
        raise ModelError(
            f"The run {of.name!r} goes on with {known[-1]} meanwhile, so {revision} has stopped.",
            hint=f"To have the results of both, give one of them a name of its own: {call}.",
            code="replaced",
        )
    # One that comes back is the latest again: a new number, and the results of its old one are computed anew.
    cursor.execute(
        "INSERT INTO data.run_revision VALUES (?, ?, ?, ?)", [of.number, number, revision, datetime.now(UTC)]
    )
    return number


def pending(database: Database, known: Run | None, revision_no: int | None, nos: np.ndarray) -> Pending:
    """Those of `nos` that have no result of their present picture by this revision; None for all."""
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    lacking = ""
    if known is not None and revision_no is not None:
        lacking = (
            f"AND NOT EXISTS (FROM {known.table} r WHERE r.sample_no = s.sample_no "
            f"AND r.media_revision = s.media_revision AND r.revision_no = {int(revision_no)})"
        )
    sql = (
        "SELECT s.sample_no, s.media, s.media_revision FROM data.sample s "
        f"WHERE s.sample_no IN (SELECT sample_no FROM wanted) {lacking} ORDER BY s.sample_no"
    )
    with database.query(sql, frames={"wanted": wanted}) as cursor:
        found = cursor.fetchnumpy()
    return Pending(
        np.asarray(found["sample_no"], np.uint32),
        [str(media) for media in found["media"]],
        np.asarray(found["media_revision"], np.uint32),
    )


def store(
    cursor: Cursor,
    into: Run,
    revision_no: int,
    nos: np.ndarray,
    media_revisions: np.ndarray,
    more: Mapping[str, pa.Array] | None = None,
) -> None:
    """Writes results, inside the caller's `write()`; earlier ones of the same samples are replaced.

    Args:
        cursor: the cursor that `write()` gave.
        into: the run.
        revision_no: which revision of the model computed them.
        nos: whose they are, each once.
        media_revisions: of which of their pictures.
        more: the further columns of its table.
    """
    import pyarrow as pa

    further = dict(more or {})
    numbers = arrow_arrays.numbers(nos, np.uint32)
    frame = pa.table(
        {"sample_no": numbers, "media_revision": arrow_arrays.numbers(media_revisions, np.uint32), **further}
    )
    names = "".join(f", {name}" for name in further)
    with registered(cursor, {"batch": frame, "arriving": pa.table({"sample_no": numbers})}):
        cursor.execute(f"DELETE FROM {into.table} WHERE sample_no IN (SELECT sample_no FROM arriving)")
        cursor.execute(
            f"INSERT INTO {into.table} (sample_no, media_revision, revision_no{names}) "
            f"SELECT sample_no, media_revision, {int(revision_no)}{names} FROM batch"
        )


def store_objects(cursor: Cursor, into: Run, nos: np.ndarray, objects: Mapping[str, pa.Array]) -> None:
    """Writes the detected objects of samples in place of earlier ones; `objects` has the columns of their table."""
    import pyarrow as pa

    frames = {
        "arriving": pa.table({"sample_no": arrow_arrays.numbers(nos, np.uint32)}),
        "batch": pa.table(dict(objects)),
    }
    names = ", ".join(objects)
    with registered(cursor, frames):
        cursor.execute(f"DELETE FROM {into.objects} WHERE sample_no IN (SELECT sample_no FROM arriving)")
        cursor.execute(f"INSERT INTO {into.objects} ({names}) SELECT {names} FROM batch")


def set_columns(
    cursor: Cursor, nos: np.ndarray, given: Mapping[str, pa.Array], *, where_null: Collection[str] = ()
) -> None:
    """Sets columns of samples, which are there, inside the caller's `write()`; some only where they have no value."""
    import pyarrow as pa

    if not given:
        return
    names = {name: f"c{index}" for index, name in enumerate(given)}  # any name will do for a column of `sample`
    frame = pa.table(
        {"sample_no": arrow_arrays.numbers(nos, np.uint32), **{names[name]: column for name, column in given.items()}}
    )
    sets = ", ".join(
        f"{quoted(name)} = coalesce(old.{quoted(name)}, new.{short})"
        if name in where_null
        else f"{quoted(name)} = new.{short}"
        for name, short in names.items()
    )
    with registered(cursor, {"arriving": frame}):
        cursor.execute(f"UPDATE data.sample AS old SET {sets} FROM arriving AS new WHERE old.sample_no = new.sample_no")


def column_name(wanted: str) -> str:
    """A name that reads well in a filter: letters, digits and _."""
    return re.sub(r"\W+", "_", wanted).strip("_") or "run"


def compute(
    cursor: Cursor, into: Run, revision_no: int, asked: Mapping[str, np.ndarray], fields: Mapping[str, str], source: str
) -> int:
    """Fills the columns of a run with what SQL finds, inside the caller's `write()`; says of how many samples.

    Args:
        cursor: the cursor that `write()` gave.
        into: the run.
        revision_no: which revision this is.
        asked: the samples, as the column `sample_no`.
        fields: for each field its expression.
        source: what it is computed from; `s` is the sample.
    """
    sets = ", ".join(f"{quoted(into.columns[field])} = new.f{index}" for index, field in enumerate(fields))
    chosen = ", ".join(f"{sql} AS f{index}" for index, sql in enumerate(fields.values()))
    with registered(cursor, {"asked": dict(asked)}):
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE found AS SELECT s.sample_no, s.media_revision, {chosen} FROM {source} "
            "WHERE s.sample_no IN (SELECT sample_no FROM asked)"
        )
    cursor.execute(f"DELETE FROM {into.table} WHERE sample_no IN (SELECT sample_no FROM found)")
    cursor.execute(
        f"INSERT INTO {into.table} (sample_no, media_revision, revision_no) "
        f"SELECT sample_no, media_revision, {int(revision_no)} FROM found"
    )
    count = int(cursor.fetchall()[0][0])
    cursor.execute(f"UPDATE data.sample AS old SET {sets} FROM found AS new WHERE old.sample_no = new.sample_no")
    cursor.execute("DROP TABLE found")
    return count


def name_classes(cursor: Cursor, of: Run, count: int) -> Run:
    """Gives a detector's classes that nobody named their numbers, up to so many."""
    if count <= len(of.classes):
        return of
    named = (*of.classes, *(str(number) for number in range(len(of.classes), count)))
    cursor.execute("UPDATE data.run SET classes = ?::VARCHAR[] WHERE run_no = ?", [list(named), of.number])
    return replace(of, classes=named)


def same_task(of: Run, task: str) -> None:
    """Refuses to write results of one kind into a run of another.

    Raises:
        ModelError: the run is of another task.
    """
    if of.task == task:
        return
    if task == "attributes":
        raise ModelError(f"{of.name!r} is the name of a run of predictions.", hint="Give name='…'.", code="task")
    raise ModelError(
        f"The run {of.name!r} is one of {of.task}, and this is {task}.",
        hint="Give it a name of its own: predict(…, run='…').",
        code="task",
    )


def free_name(database: Database, name: str) -> None:
    """Refuses the name of a new run that differs from another one's in capitals alone.

    Raises:
        ModelError: there is such a run.
    """
    other = next((one.name for one in runs(database) if one.name.lower() == name.lower() and one.name != name), None)
    if other is not None:
        raise ModelError(
            f"There is a run {other!r} already, and SQL does not tell its table from one of {name!r}.",
            hint=f"Go on with run={other!r}, or give it another name.",
            code="run_name",
        )


def same_classes(of: Run, classes: Sequence[str]) -> None:
    """Refuses to mix results that mean different things.

    Raises:
        ModelError: the run has other classes.
    """
    if tuple(classes) != of.classes:
        raise ModelError(
            f"The run {of.name!r} has {len(of.classes):,} classes ({_few(of.classes)}), and this model "
            f"{len(classes):,} ({_few(classes)}).",
            hint="Give this model's results a name of their own: predict(…, run='…').",
            code="classes",
        )


def listing(database: Database) -> pa.Table:
    """All runs: run, task, samples, stale, revision, classes, made_at."""
    parts = [
        f"SELECT {one.number} AS run_no, count(*) AS samples, count(*) FILTER (WHERE {stale(one)}) AS stale "
        f"FROM {one.table} r JOIN data.sample s USING (sample_no)"
        for one in runs(database)
    ] or ["SELECT 0 AS run_no, 0 AS samples, 0 AS stale WHERE false"]
    return database.arrow(
        f"WITH counted AS ({' UNION ALL '.join(parts)}) "
        "SELECT r.name AS run, r.task, coalesce(c.samples, 0) AS samples, coalesce(c.stale, 0) AS stale, "
        "(SELECT arg_max(v.revision, v.revision_no) FROM data.run_revision v WHERE v.run_no = r.run_no) AS revision, "
        "len(r.classes) AS classes, r.sample_columns AS columns, r.made_at "
        "FROM data.run r LEFT JOIN counted c USING (run_no) "
        "ORDER BY r.run_no"
    )


def _few(classes: Sequence[str]) -> str:
    return ", ".join(classes[:3]) + (" …" if len(classes) > 3 else "")
