"""Rows of a frame as samples that have no picture, in lots of some hundred thousand."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dataide.errors import ImportProblem
from dataide.formats.ingest import Conflict, Report, check_conflict, id_taken
from dataide.formats.progress import Listener, Progress
from dataide.formats.table import (
    Roles,
    column_of,
    from_polars,
    no_frame,
    pandas_column,
    roles,
    text_column,
    user_columns,
)
from dataide.storage import bulk

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Database


def add_rows(
    database: Database,
    frame: Any,
    *,
    label: str | None,
    sample_id: str | None,
    on_conflict: Conflict,
    progress: bool | Listener,
) -> Report:
    """Adds one sample without a picture for each row of a frame, all or none of them.

    Args:
        database: the session's file.
        frame: as `add_frame` takes it.
        label: the column of labels; without it a column called `label` is taken, if there is one.
        sample_id: the column of ids; without it, and without a column called `sample_id`, ids are made of the content
            and the position, so that the same frame is the same samples.
        on_conflict: what to do when an id is there already.
        progress: False for silence.

    Raises:
        ImportProblem: it is no frame, a column is not there, or an id is taken and on_conflict is "error".
    """
    table = whole(frame)
    chosen = roles(table.schema.names, None, sample_id, label)
    notes: list[str] = []
    lots = (lot_of(part, chosen, first, notes) for first, part in parts(table))
    total = getattr(table, "num_rows", None)
    return write(database, lots, "frame", on_conflict=on_conflict, progress=progress, total=total, notes=notes)


def write(
    database: Database,
    lots: Iterator[bulk.Lot],
    source: str,
    *,
    on_conflict: Conflict,
    progress: bool | Listener,
    total: int | None,
    notes: list[str],
) -> Report:
    """Writes lots and reports; `notes` may grow while they are read."""
    check_conflict(on_conflict)
    started = time.monotonic()
    shown = Progress(source, progress, total, "samples")
    writing = bulk.insert(database, lots, on_conflict=on_conflict)
    done = 0
    try:
        while True:
            done = next(writing)
            shown.update(done)
    except StopIteration as end:
        inserted: bulk.Inserted = end.value
    except bulk.Taken as taken:
        raise id_taken(taken.sample_id, taken.media) from None
    finally:
        writing.close()
    report = Report(
        inserted.added, inserted.replaced, inserted.skipped, 0, time.monotonic() - started, tuple(dict.fromkeys(notes))
    )
    shown.finish(done, f"{source}: {report!r}", report)
    return report


def lot_of(
    part: pa.Table, chosen: Roles, first_row: int, notes: list[str], *, drop: tuple[str, ...] = (), made: bool = True
) -> bulk.Lot:
    """Some rows as samples.

    Args:
        part: the rows.
        chosen: which columns mean what.
        first_row: the number of the first one.
        notes: gets what is worth knowing.
        drop: columns that are not the user's.
        made: make ids where no column has them; else the caller does.
    """
    lot = bulk.Lot(part.num_rows, first_row=first_row)
    if chosen.sample_id is not None:
        given = text_column(part.column(chosen.sample_id))
        lot.sample_id = _without_gaps(given, part, first_row) if given.null_count else given
    elif made:
        lot.id_stem = stem(part)
    if chosen.label is not None:
        lot.label = text_column(part.column(chosen.label))
    if chosen.split is not None:
        lot.split = text_column(part.column(chosen.split))
    lot.columns = user_columns(part, (chosen.sample_id, chosen.label, chosen.split, *drop), notes)
    return lot


def stem(part: pa.Table) -> str:
    """Of the ids of these rows: a hash of what they hold, so that the same rows are the same samples."""
    import pyarrow as pa

    digest = hashlib.blake2b(digest_size=4)

    class Sink:
        closed = False

        def write(self, data: Any) -> int:
            digest.update(data)
            return len(memoryview(data))

        def flush(self) -> None: ...

    # Through the writer of Arrow's own format, which leaves out what a slice does not show.
    with pa.ipc.new_stream(pa.PythonFile(Sink(), mode="w"), part.schema.remove_metadata()) as stream:
        stream.write_table(part.combine_chunks().replace_schema_metadata())
    return f"{digest.hexdigest()}-"


def _without_gaps(given: pa.ChunkedArray, part: pa.Table, first_row: int) -> pa.ChunkedArray:
    """The ids, and made ones where there is none."""
    import pyarrow as pa

    from dataide.storage import arrow_arrays

    beginning = stem(part)
    filled = [one if one is not None else f"{beginning}{first_row + row}" for row, one in enumerate(given.to_pylist())]
    return pa.chunked_array([arrow_arrays.text(filled)])


def whole(source: Any) -> pa.Table | pa.RecordBatchReader:
    """Any kind of frame as an Arrow table, or as a stream where it is one.

    Raises:
        ImportProblem: it is nothing of that kind.
    """
    import pyarrow as pa

    library = type(source).__module__.partition(".")[0]
    if library == "pandas" and hasattr(source, "columns"):
        names = [str(name) for name in source.columns]
        if len(set(names)) < len(names):
            raise ImportProblem(
                "Two columns have the same name.", hint="Rename one: frame = frame.rename(columns={...})"
            )
        return pa.Table.from_arrays([pandas_column(source.iloc[:, place]) for place in range(len(names))], names)
    if library == "polars":
        source = from_polars(source)
    if isinstance(source, (list, tuple)):
        if not all(isinstance(row, dict) for row in source):
            raise ImportProblem(
                "The list holds something else than dicts.", hint="session.add_frame([{'label': 'cat'}], media=None)"
            )
        listed = list(dict.fromkeys(str(name) for row in source for name in row))
        source = {name: [row.get(name) for row in source] for name in listed}
    if isinstance(source, dict):
        columns = {str(name): column_of(values) for name, values in source.items()}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name!r} has {count:,}" for name, count in list(lengths.items())[:4])
            raise ImportProblem(f"The columns are not of one length: {said}.", hint="Give one value for each sample.")
        return pa.Table.from_arrays(list(columns.values()), list(columns))
    if isinstance(source, pa.Table):
        return source
    if hasattr(source, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(source)
    if isinstance(source, (str, bytes, os.PathLike)):
        raise ImportProblem(
            f"{os.fsdecode(source)[:200]!r} is a path, not a frame.",
            hint=f"session.attach('candidates', {os.fsdecode(source)[:200]!r}) makes a Parquet file readable in place.",
        )
    raise no_frame(source)


def parts(source: pa.Table | pa.RecordBatchReader | Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """Pieces of always the same size, and the number of the first row of each."""
    import pyarrow as pa

    if isinstance(source, pa.Table):
        for start in range(0, source.num_rows, bulk.ROWS):
            yield start, source.slice(start, bulk.ROWS)
        return
    waiting: list[Any] = []
    held = start = 0
    for batch in source:
        waiting.append(batch)
        held += batch.num_rows
        while held >= bulk.ROWS:
            table = pa.Table.from_batches(waiting)
            yield start, table.slice(0, bulk.ROWS)
            start, held = start + bulk.ROWS, held - bulk.ROWS
            waiting = table.slice(bulk.ROWS).to_batches()
    if held:
        yield start, pa.Table.from_batches(waiting)
