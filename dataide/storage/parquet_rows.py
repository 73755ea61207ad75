"""Single rows of one column of a Parquet file, read in place."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from dataide.errors import MediaError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PREFIX = "parquet:"
# A row group whose column unpacks to more is streamed through instead of kept.
LARGEST_KEPT_BYTES = 32 << 20
# Up to here a file is read as a whole to know it again.
SMALL_FILE_BYTES = 4 << 20
LOOK_BYTES = 1024


def reference(path: str, column: str, row: int, stamp: str | None = None) -> str:
    """The media reference of one row; the column is quoted, so that the last `#` ends the path."""
    return f"{stem(path, column)}{row}{ending(stamp)}"


def stem(path: str, column: str) -> str:
    """What stands before the number in the references of one file and column."""
    return f"{PREFIX}{path}#{quote(column, safe='')}:"


def ending(stamp: str | None) -> str:
    """What stands behind the number."""
    return f"@{stamp}" if stamp else ""


def parse(ref: str) -> tuple[str, str, int, str | None]:
    """Path, column, row and stamp of a reference; those of earlier versions have no stamp.

    Raises:
        MediaError: it is not of the form parquet:PATH#COLUMN:ROW@STAMP.
    """
    path, _, place = ref.removeprefix(PREFIX).rpartition("#")
    column, _, last = place.rpartition(":")
    row, _, stamp = last.partition("@")
    if not path or not column or not row.isascii() or not row.isdigit():
        raise MediaError(f"{ref[:200]!r} is not of the form parquet:PATH#COLUMN:ROW.", code="unreadable")
    return path, unquote(column), int(row), stamp or None


def stamp(path: str, column: str) -> str:
    """Eight hex digits that change when a Parquet file is written anew with other content, and not when it is copied.

    Of a small file they come from all of it; of a large one from its size, its foot (places, sizes, counts and extremes
    of all row groups) and the beginning, middle and end of each stretch of the column, which is read in milliseconds.

    Args:
        path: a Parquet file.
        column: the top-level column whose values are referred to.

    Raises:
        OSError: it cannot be read.
        pyarrow.ArrowException: it is no Parquet file.
    """
    import hashlib

    import pyarrow.parquet as pq

    digest = hashlib.blake2b(digest_size=4)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        if size <= SMALL_FILE_BYTES:
            digest.update(file.read())
            return digest.hexdigest()
        file.seek(size - 8)
        foot = int.from_bytes(file.read(4), "little")
        file.seek(max(0, size - 8 - foot))
        digest.update(file.read(foot))
        with pq.ParquetFile(path) as parquet:
            stretches = list(_stretches(parquet, column))
        for start, length in stretches:
            for place in (start, start + length // 2, start + length - LOOK_BYTES):
                file.seek(max(0, place))
                digest.update(file.read(LOOK_BYTES))
    return digest.hexdigest()


def _stretches(file: pq.ParquetFile, column: str) -> Iterator[tuple[int, int]]:
    """Where the bytes of a column lie: start and length in each row group."""
    for group in range(file.num_row_groups):
        for chunk in _chunks(file, column, group):
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            yield start, chunk.total_compressed_size


def _chunks(file: pq.ParquetFile, column: str, group: int) -> Iterator[Any]:
    meta = file.metadata.row_group(group)
    for chunk in (meta.column(index) for index in range(meta.num_columns)):
        if chunk.path_in_schema == column or chunk.path_in_schema.startswith(f"{column}."):
            yield chunk


class ParquetRows:
    """Reads rows of Parquet files and keeps the row groups used last. Safe for threads: one reads at a time.

    Args:
        most_bytes: of unpacked row groups that are kept.
    """

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most = most_bytes
        self._held = 0
        self._groups: OrderedDict[tuple[str, tuple[int, int], str, int], pa.ChunkedArray] = OrderedDict()
        self._files: OrderedDict[str, tuple[tuple[int, int], pq.ParquetFile, list[int]]] = OrderedDict()
        self._stamps: dict[tuple[str, str], tuple[tuple[int, int], str]] = {}
        self._lock = threading.Lock()

    def read(self, path: str, column: str, rows: Sequence[int], stamp: str | None = None) -> list[Any]:
        """The values of some rows, as Python objects, in the order asked.

        Args:
            path: a real path that may be read.
            column: a top-level column.
            rows: counted from 0 over the whole file.
            stamp: of the file as it was when the rows were referred to; None does not compare.

        Raises:
            MediaError: the file is not there or not Parquet, has no such column or row, or is another one now.
        """
        import pyarrow as pa

        with self._lock:
            try:
                for _ in range(3):
                    before = _state(path)
                    if stamp is not None and self._stamp(path, column, before) != stamp:
                        raise changed(path)
                    values = self._read(path, column, rows)
                    # Written to while it was being read: what was read may be of both.
                    if _state(path) == before:
                        return values
                raise changed(path)
            except FileNotFoundError:
                raise MediaError(f"There is no file {path}.", code="missing") from None
            except (OSError, pa.ArrowException) as error:
                raise MediaError(f"{path} cannot be read as Parquet: {str(error)[:200]}", code="unreadable") from None

    def _stamp(self, path: str, column: str, state: tuple[int, int]) -> str:
        known = self._stamps.get((path, column))
        if known is None or known[0] != state:
            known = self._stamps[path, column] = (state, stamp(path, column))
        return known[1]

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
        self, path: str, modified: tuple[int, int], file: pq.ParquetFile, column: str, group: int, wanted: list[int]
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

    def _file(self, path: str) -> tuple[tuple[int, int], pq.ParquetFile, list[int]]:
        import pyarrow.parquet as pq

        modified = _state(path)
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


def _state(path: str) -> tuple[int, int]:
    """Size and time of the last change: cheap, and enough to know that nothing was written since."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def changed(path: str) -> MediaError:
    """The error about a file that is not the one any more whose rows were added."""
    return MediaError(
        f"{path} has changed since its rows were added, so row numbers may mean other pictures now.",
        hint="Add them again, which takes the new pictures: on_conflict='replace'. Or put the earlier file back.",
        code="changed",
    )


def _unpacked_bytes(file: pq.ParquetFile, column: str, group: int) -> int:
    return sum(chunk.total_uncompressed_size for chunk in _chunks(file, column, group))


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
