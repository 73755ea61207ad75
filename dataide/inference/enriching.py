"""Enriching: attributes of samples as typed columns, to filter, colour, sort and slice by.

What needs pictures goes through the inference process (`"quality"`, a function of the user). What the session knows
already (`"text"`, `"objects"`) is one statement of SQL.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError, UnknownColumn, did_you_mean
from dataide.inference import attributes, typed_columns
from dataide.inference.identity import Identity, check_name, identify, refuse
from dataide.inference.job import Job, Progress
from dataide.inference.predicting import pending_of
from dataide.inference.running import Means, Running, closing, pictures_failed
from dataide.inference.typed_columns import Column
from dataide.storage import arrow_arrays, runs, vectors
from dataide.storage.documented import quoted
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from dataide.inference.pump import Results
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.run_tables import Run
    from dataide.storage.vectors import Pending

SEEN = "seen "  # see models/measuring.py
TEXT, OBJECTS = "text", "objects"


@dataclass(frozen=True)
class EnrichReport:
    """What an enrichment did.

    Attributes:
        name: of what was measured.
        columns: where it stands in `sample`.
        enriched: samples that got values now.
        present: samples that had them already.
        problems: pictures that could not be read or measured; `session.problems()` lists them.
        seconds: wall time.
        cancelled: it was stopped; the same call goes on.
        note: what else to know.
    """

    name: str
    columns: tuple[str, ...]
    enriched: int
    present: int
    problems: int
    seconds: float
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        parts = []
        if self.enriched or not self.present:
            parts.append(f"Enriched {self.enriched:,} samples with {self.name!r} in {self.seconds:.1f} s.")
        if self.present:
            parts.append(f"{self.present:,} had their values already.")
        if self.columns:
            parts.append(f"Columns: {', '.join(self.columns)}.")
        return " ".join([*parts, *closing(pictures_failed(self.problems), self.cancelled, self.note)])


def enrich(
    database: Database,
    media: Media,
    nos: np.ndarray,
    what: str | Callable[..., Any],
    *,
    name: str | None = None,
    column: str | None = None,
    run: str | None = None,
    progress: Progress | None = None,
    wait: bool = True,
    **options: Any,
) -> EnrichReport | Job[EnrichReport]:
    """Gives each sample attributes; running it again does only what is missing.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers.
        what: "quality" (see attributes.py), "text" (length and words of a column), "objects" (kinds and area of what a
            detector found; their number is a column of its run), or a function from a list of PIL pictures to a dict of
            columns, a list of dicts, or one value for each.
        name: what the attributes are called together; by default as the function is.
        column: of texts, for "text".
        run: of a detector, for "objects".
        progress: called with (done, total, sentence).
        wait: False returns a Job at once.
        **options: kernel=, batch_size= (see `Means`).

    Raises:
        ModelError: the function cannot be had, or failed, or an option means nothing to it.
        UnknownColumn: there is no such column of texts.
    """
    means, loading = Means.of(options)
    given = {**loading, "column": column, "run": run}
    if what in (TEXT, OBJECTS):
        refuse(given | {"batch_size": means.batch_size}, ["column" if what == TEXT else "run"], repr(what))
        vectors.check_writable(database)
        of, columns = _of_text(database, column) if what == TEXT else _of_objects(database, run)
        check_name(name, "attributes")
        title = name or f"{what} of {of}"
        _place(database, title)
        known = _Known(database, ascending(np.asarray(nos, np.uint32)), title, *columns)
        job = Job(known, verb=f"Enriching with {title!r}", owner=database)
        return job.complete(progress) if wait else job.watched(progress)
    identity = _identity(what, name, given)
    return _Enriching(database, media, nos, identity, means).start(wait, progress)


def _identity(what: Any, name: str | None, given: dict[str, Any]) -> Identity:
    check_name(name, "attributes")
    if what == attributes.NAME:
        refuse(given, ["batch_size"], repr(what))
        revision = f"{attributes.NAME}/{attributes.REVISION}"
        return Identity("quality", name or attributes.NAME, attributes.NAME, revision, options={"task": "attributes"})
    if isinstance(what, str) or not callable(what):
        raise ModelError(
            f"There are no attributes {what!r}.",
            hint=did_you_mean(str(what), [attributes.NAME, TEXT, OBJECTS])
            or "Give 'quality', 'text', 'objects' or a function from pictures to values.",
            code="unknown_attributes",
        )
    refuse(given, ["batch_size"], "A function that enriches")
    return identify(what, name, task="attributes")


def _place(database: Database, name: str) -> Run | None:
    """The run to write into, if it is there."""
    there = runs.run(database, name)
    if there is not None:
        runs.same_task(there, "attributes")
    return there


class _Enriching(Running[EnrichReport]):
    """One run of `enrich` that needs pictures."""

    verb = "enriching"

    def __init__(self, database: Database, media: Media, nos: np.ndarray, identity: Identity, means: Means) -> None:
        super().__init__(database, media, nos, identity, means)
        self._since = 0
        _place(database, identity.name)

    @property
    def source(self) -> str:
        return f"enrich {self.identity.name}"

    def find_pending(self, revision: str | None, details: dict[str, Any]) -> Pending:
        known = runs.run(self.database, self.identity.name)
        pending, self._since = pending_of(self.database, known, self.identity, revision, self.nos)
        return pending

    def store(self, cursor: Cursor, positions: np.ndarray, results: Results, revision: str) -> None:
        batches = [(typed_columns.unpacked(arrays), len(good)) for good, arrays in results.batches if len(good)]
        columns = typed_columns.appended([part for part, _ in batches], [length for _, length in batches])
        found = {name: column for name, column in columns.items() if _any(column)}
        # A function of the user may call its columns as it likes.
        for_schema = [name for name in found if name.startswith(SEEN)] if self.identity.kind == "quality" else []
        seen = {name.removeprefix(SEEN): found.pop(name) for name in for_schema}
        name = self.identity.name
        run = _place(self.database, name) or runs.create(cursor, name, "attributes")
        run = runs.columns_for(self.database, cursor, run, {key: (key, column.sql) for key, column in found.items()})
        number = runs.number_of(cursor, run, revision, self._since)
        nos = self.pending.nos[positions]
        runs.store(cursor, run, number, nos, self.pending.media_revisions[positions])
        given = {run.columns[key]: _arrow(column) for key, column in found.items()}
        # What an earlier revision said, or was said of an earlier picture, and is said no more.
        silent = {column: arrow_arrays.nulls(len(nos)) for key, column in run.columns.items() if key not in found}
        runs.set_columns(
            cursor, nos, given | silent | {key: _arrow(column) for key, column in seen.items()}, where_null=seen
        )

    def report(self, seconds: float, present: int, cancelled: bool) -> EnrichReport:
        run = runs.run(self.database, self.identity.name)
        return EnrichReport(
            name=self.identity.name,
            columns=tuple(run.columns.values()) if run else (),
            enriched=self.did.good,
            present=present,
            problems=self.did.problems,
            seconds=seconds,
            cancelled=cancelled,
            note=self.note,
        )


class _Known:
    """What one statement finds out of what the session knows."""

    def __init__(
        self, database: Database, nos: np.ndarray, name: str, fields: dict[str, tuple[str, str]], source: str
    ) -> None:
        self._database = database
        self._nos = nos
        self._name = name
        self._fields = fields  # column: SQL type and expression
        self._source = source

    def __call__(self, job: Job[EnrichReport]) -> EnrichReport:
        began = time.monotonic()
        job.advance(0, len(self._nos), f"enriching with {self._name!r}")
        wanted = {column: (column, kind) for column, (kind, _) in self._fields.items()}
        asked = {"sample_no": self._nos}
        with self._database.write() as cursor:
            run = _place(self._database, self._name) or runs.create(cursor, self._name, "attributes")
            run = runs.columns_for(self._database, cursor, run, wanted)
            number = runs.number_of(cursor, run, "sql/1")
            fields = {key: sql for key, (_, sql) in self._fields.items()}
            count = runs.compute(cursor, run, number, asked, fields, self._source)
        job.advance(len(self._nos), len(self._nos), f"enriching with {self._name!r}")
        seconds = time.monotonic() - began
        return EnrichReport(self._name, tuple(run.columns.values()), count, 0, 0, seconds)


_Fields = tuple[dict[str, tuple[str, str]], str]  # column: SQL type and expression; from where


def _of_text(database: Database, column: str | None) -> tuple[str, _Fields]:
    texts = [name for name, kind in database.columns().items() if kind == "VARCHAR"]
    if column not in texts:
        raise UnknownColumn(
            f"There is no column of texts {column!r}." if column else "Which column has the texts?",
            hint=did_you_mean(column or "", texts) or "view.enrich('text', column='caption')",
        )
    name, text = runs.column_name(column), f"s.{quoted(column)}"
    fields = {
        f"{name}_length": ("INTEGER", f"length({text})::INTEGER"),
        f"{name}_words": ("INTEGER", f"len(regexp_extract_all({text}, '\\S+'))::INTEGER"),
    }
    return column, (fields, "data.sample s")


def _of_objects(database: Database, name: str | None) -> tuple[str, _Fields]:
    detectors = [one for one in runs.runs(database) if one.task == "detection"]
    chosen = next((one for one in detectors if one.name == name or name is None), None)
    if chosen is None:
        raise ModelError(
            f"There is no detector's run {name!r}." if name else "No detector has looked at these samples.",
            hint=did_you_mean(name or "", [one.name for one in detectors])
            or "First: view.predict('fasterrcnn_resnet50_fpn', run='objects')",
            code="unknown_run",
        )
    prefix = runs.column_name(chosen.name)
    # As shares of the picture: whatever the size of it, large is large.
    area = "o.width_px * o.height_px / nullif(s.width_px::DOUBLE * s.height_px, 0)"
    grouped = (
        f"data.sample s LEFT JOIN (SELECT o.sample_no, count(DISTINCT o.class_no) AS kinds, "
        f"sum({area}) AS area, max({area}) AS largest FROM {chosen.objects} o JOIN data.sample s USING (sample_no) "
        f"GROUP BY o.sample_no) f USING (sample_no) JOIN {chosen.table} r ON r.sample_no = s.sample_no "
        "AND r.media_revision = s.media_revision"  # objects of an earlier picture are none of this one
    )
    fields = {
        f"{prefix}_kinds": ("INTEGER", "coalesce(f.kinds, 0)::INTEGER"),
        f"{prefix}_area": ("FLOAT", "coalesce(f.area, 0)::FLOAT"),
        f"{prefix}_largest": ("FLOAT", "coalesce(f.largest, 0)::FLOAT"),
    }
    return chosen.name, (fields, grouped)


def _any(column: Column) -> bool:
    return bool(len(column.values)) and (column.there is None or bool(column.there.any()))


def _arrow(column: Column) -> pa.Array:
    import pyarrow as pa

    there = column.there
    if column.values.dtype == object:
        kept = [True] * len(column.values) if there is None else there.tolist()
        return arrow_arrays.text([value if good else None for value, good in zip(column.values, kept, strict=True)])
    mask = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    if column.values.dtype == np.bool_:
        bits = np.packbits(column.values, bitorder="little").tobytes()
        return pa.Array.from_buffers(pa.bool_(), len(column.values), [mask, pa.py_buffer(bits)])
    values = np.ascontiguousarray(column.values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [mask, pa.py_buffer(values.tobytes())])
