"""Single rows of one column of a Parquet file, read in place."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from dataide.errors import MediaError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PREFIX = "parquet:"
# A row group whose column unpacks to more is streamed through instead of kept.
LARGEST_KEPT_BYTES = 32 << 20


def reference(path: str, column: str, row: int) -> str:
    """The media reference of one row; the column is quoted, so that the last `#` ends the path."""
    return f"{PREFIX}{path}#{quote(column, safe='')}:{row}"


def parse(ref: str) -> tuple[str, str, int]:
    """Path, column and row of a reference.

    Raises:
        MediaError: it is not of the form parquet:PATH#COLUMN:ROW.
    """
    path, _, place = ref.removeprefix(PREFIX).rpartition("#")
    column, _, row = place.rpartition(":")
    if not path or not column or not row.isascii() or not row.isdigit():
        raise MediaError(f"{ref[:200]!r} is not of the form parquet:PATH#COLUMN:ROW.", code="unreadable")
    return path, unquote(column), int(row)


class ParquetRows:
    """Reads rows of Parquet files and keeps the row groups used last. Safe for threads: one reads at a time.

    Args:
        most_bytes: of unpacked row groups that are kept.
    """

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most = most_bytes
        self._held = 0
        self._groups: OrderedDict[tuple[str, int, str, int], pa.ChunkedArray] = OrderedDict()
        self._files: OrderedDict[str, tuple[int, pq.ParquetFile, list[int]]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: str, column: str, rows: Sequence[int]) -> list[Any]:
        """The values of some rows, as Python objects, in the order asked.

        Args:
            path: a real path that may be read.
            column: a top-level column.
            rows: counted from 0 over the whole file.

        Raises:
            MediaError: the file is not there or not Parquet, or has no such column or row.
        """
        import pyarrow as pa

        with self._lock:
            try:
                return self._read(path, column, rows)
            except FileNotFoundError:
                raise MediaError(f"There is no file {path}.", code="missing") from None
            except (OSError, pa.ArrowException) as error:
                raise MediaError(f"{path} cannot be read as Parquet: {str(error)[:200]}", code="unreadable") from None

    def _read(self, path: str, column: str, rows: Sequence[int]) -> list[Any]:
        from bisect import bisect_right

        modified, file, starts = self._file(path)
        if column not in file.schema_arrow.names:
            raise MediaError(f"{path} has no column {column!r}.", code="missing")
        by_group: dict[int, list[int]] = {}
        for row in rows:
            if row >= starts[-1]:
                raise MediaError(f"{path} has {starts[-1]:,} rows; row {row:,} is beyond.", code="missing")
            by_group.setdefault(bisect_right(starts, row) - 1, []).append(row)
        found: dict[int, Any] = {}
        for group, members in by_group.items():
            wanted = [row - starts[group] for row in members]
            values = self._from_group(path, modified, file, column, group, wanted)
            found.update(zip(members, values, strict=True))
        return [found[row] for row in rows]

    def _from_group(
        self, path: str, modified: int, file: pq.ParquetFile, column: str, group: int, wanted: list[int]
    ) -> list[Any]:
        key = (path, modified, column, group)
        kept = self._groups.get(key)
        if kept is None:
            if _unpacked_bytes(file, column, group) > LARGEST_KEPT_BYTES:
                return _streamed(file, column, group, wanted)
            kept = file.read_row_group(group, columns=[column], use_threads=False).column(column)
            self._groups[key] = kept
            self._held += kept.nbytes
            while self._held > self._most and len(self._groups) > 1:
                _, dropped = self._groups.popitem(last=False)
                self._held -= dropped.nbytes
        else:
            self._groups.move_to_end(key)
        return [kept[row].as_py() for row in wanted]

    def _file(self, path: str) -> tuple[int, pq.ParquetFile, list[int]]:
        import pyarrow.parquet as pq

        modified = os.stat(path).st_mtime_ns
        known = self._files.get(path)
        if known is None or known[0] != modified:
            file = pq.ParquetFile(path)
            starts = [0]
            for group in range(file.num_row_groups):
                starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
            known = self._files[path] = (modified, file, starts)
            while len(self._files) > 16:
                self._files.popitem(last=False)[1][1].close()
        self._files.move_to_end(path)
        return known

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            for _, file, _ in self._files.values():
                file.close()
            self._files.clear()
            self._groups.clear()
            self._held = 0


def _unpacked_bytes(file: pq.ParquetFile, column: str, group: int) -> int:
    meta = file.metadata.row_group(group)
    chunks = (meta.column(index) for index in range(meta.num_columns))
    return sum(
        c.total_uncompressed_size
        for c in chunks
        if c.path_in_schema == column or c.path_in_schema.startswith(f"{column}.")
    )


def _streamed(file: pq.ParquetFile, column: str, group: int, wanted: list[int]) -> list[Any]:
    """Walks through a large row group in small batches, and keeps only what is asked for."""
    found: dict[int, Any] = {}
    last, start = max(wanted), 0
    due = set(wanted)
    for batch in file.iter_batches(batch_size=64, row_groups=[group], columns=[column], use_threads=False):
        values = batch.column(0)
        for row in [row for row in due if start <= row < start + len(values)]:
            found[row] = values[row - start].as_py()
        start += len(values)
        if start > last:
            break
    return [found[row] for row in wanted]
