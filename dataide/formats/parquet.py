"""Pictures inside Parquet files, which stay there."""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dataide.errors import ImportProblem, MediaError
from dataide.formats.ingest import Batch, Conflict, Ingest, Report
from dataide.formats.progress import Listener
from dataide.formats.table import Roles, check_column, plain_values, roles, texts, user_columns
from dataide.storage import parquet_rows
from dataide.storage.addresses import is_url
from dataide.storage.looking import Item
from dataide.storage.samples import Fault
from dataide.storage.trust import read_regular

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from dataide.storage.database import Database
    from dataide.storage.media import Media

# Rows read at once: pictures of a megabyte each must still fit in memory.
BATCH = 256


def add_parquet(
    database: Database,
    media_store: Media,
    glob: str | os.PathLike[str],
    *,
    media: str = "image",
    label: str | None = None,
    sample_id: str | None = None,
    prefix: str = "",
    on_conflict: Conflict = "skip",
    progress: bool | Listener = True,
) -> Report:
    """Adds one sample for each row of Parquet files. The pictures stay in the files, and are read from there.

    Args:
        database: the session's file.
        media_store: the session's reader, which is granted the files' folder.
        glob: a file, a folder of files, or a pattern such as "data/train-*.parquet".
        media: the column of encoded bytes, or of `bytes` and `path` as Hugging Face writes it.
        label: the column of labels; without it a column called `label` is taken, if there is one.
        sample_id: the column of ids; without it, and without a column called `sample_id`, ids are FILE:ROW.
        prefix: put before each id that is made of file and row.
        on_conflict: what to do when an id is there already.
        progress: False for silence.

    Raises:
        ImportProblem: there is no such file, a column is not there, or an id is taken and on_conflict is "error".
    """
    paths, root = _files(os.path.expanduser(os.fspath(glob)))
    media_store.grant(root)
    reader = _Reader(media_store, paths, root, media, sample_id, label, prefix)
    hint = "Name a column of unique ids with sample_id=, or give these a prefix=, to add them too."
    ingest = Ingest(
        database,
        os.path.basename(paths[0]),
        on_conflict=on_conflict,
        progress=progress,
        total=reader.total,
        clash_hint=hint,
    )
    return ingest.run(reader.batches(ingest.notes))


def _files(pattern: str) -> tuple[list[str], str]:
    """The files in order, and the folder that holds them all."""
    if is_url(pattern):
        raise ImportProblem(
            f"{pattern} is an address; add_parquet reads from this machine's disks.",
            hint=f"session.attach('candidates', {pattern!r}).add() brings it in from there.",
        )
    pattern = os.path.abspath(pattern)
    if os.path.isfile(pattern):
        return [pattern], os.path.dirname(pattern)
    found = sorted(
        globbing.glob(os.path.join(pattern, "**", "*.parquet") if os.path.isdir(pattern) else pattern, recursive=True)
    )
    files = [path for path in found if os.path.isfile(path)]
    if not files:
        raise ImportProblem(
            f"There is no file {pattern}.", hint="session.add_parquet('folder/*.parquet', media='image', label='label')"
        )
    return files, os.path.commonpath([os.path.dirname(path) for path in files])


class _Reader:
    def __init__(
        self,
        store: Media,
        paths: list[str],
        root: str,
        media: str,
        sample_id: str | None,
        label: str | None,
        prefix: str,
    ) -> None:
        self._store = store
        self._paths = paths
        self._root = root
        self._media = media
        self._sample_id = sample_id
        self._label = label
        self._prefix = prefix
        self.total: int | None = 0
        for path in paths:
            # All heads first: a wrong column name is an error before anything has happened.
            head = _opened(path)
            if isinstance(head, Fault):
                self.total = None
                continue
            names = list(head.schema_arrow.names)
            check_column(media, names, "media")
            self._roles(names)
            if self.total is not None:
                self.total += head.metadata.num_rows
            head.close()

    def _roles(self, names: list[str]) -> Roles:
        return roles(names, self._media, self._sample_id, self._label)

    def batches(self, notes: list[str]) -> Iterator[Batch]:
        for path in self._paths:
            file = _opened(path)
            if isinstance(file, Fault):
                yield Batch([], [], [], faults=[file])
                continue
            # Taken first: whatever happens to the file from here on, its rows are not mistaken for these.
            stamp = parquet_rows.stamp(path, self._media)
            yield from self._batches_of(file, path, stamp, notes)
            file.close()

    def _batches_of(self, file: pq.ParquetFile, path: str, stamp: str, notes: list[str]) -> Iterator[Batch]:
        import pyarrow as pa

        chosen = self._roles(list(file.schema_arrow.names))
        relative = self._store.relative(path)
        stem = os.path.relpath(path, self._root).replace(os.sep, "/").removesuffix(".parquet")
        row = 0
        found = file.iter_batches(batch_size=BATCH, use_threads=False)
        while True:
            try:
                part = next(found)
            except StopIteration:
                return
            except (OSError, pa.ArrowException) as error:
                reason = f"From row {row:,} on it cannot be read: {' '.join(str(error).split())[:200]}"
                yield Batch([], [], [], faults=[Fault(relative, "unreadable", reason)])
                return
            table = pa.Table.from_batches([part])
            yield self._batch(table, chosen, path, (relative, stem, stamp), row, notes)
            row += table.num_rows

    def _batch(
        self, table: pa.Table, chosen: Roles, path: str, named: tuple[str, str, str], row: int, notes: list[str]
    ) -> Batch:
        relative, stem, stamp = named
        rows = range(row, row + table.num_rows)
        given = texts(table.column(chosen.sample_id)) if chosen.sample_id is not None else [None] * table.num_rows
        return Batch(
            [
                one if one is not None else f"{self._prefix}{stem}:{number}"
                for one, number in zip(given, rows, strict=True)
            ],
            [parquet_rows.reference(relative, self._media, number, stamp) for number in rows],
            [self._item(value, os.path.dirname(path)) for value in plain_values(table.column(self._media))],
            texts(table.column(chosen.label)) if chosen.label is not None else None,
            texts(table.column(chosen.split)) if chosen.split is not None else None,
            user_columns(table, (self._media, chosen.sample_id, chosen.label, chosen.split), notes),
        )

    def _item(self, value: Any, folder: str) -> Item:
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if isinstance(value, bytes):
            return value
        if isinstance(value, str) and value:
            try:
                return read_regular(self._store.trust.checked(os.path.join(folder, value)))
            except MediaError as error:
                return error
        return MediaError("The row holds no picture.", code="missing")


def _opened(path: str) -> pq.ParquetFile | Fault:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        return Fault(
            path, "unreadable", f"It is not a Parquet file that can be read: {' '.join(str(error).split())[:200]}"
        )
