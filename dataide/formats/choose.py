"""Chosen rows of an attached table become samples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dataide.errors import ImportProblem
from dataide.formats import bare
from dataide.formats.frame import FrameReader
from dataide.formats.ingest import Batch, Conflict, Ingest, Report
from dataide.formats.progress import Listener
from dataide.formats.table import BATCH, Rows, plain_values, roles, text_column
from dataide.storage import arrow_arrays, bulk, parquet_rows
from dataide.storage.addresses import is_url
from dataide.storage.attached import ROW_BITS
from dataide.storage.media import url_path
from dataide.storage.query import name_of

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.core.context import Context
    from dataide.formats.candidates import Candidates
    from dataide.storage.attached import Source

# What storage.addresses.is_url says, for DuckDB; addresses of files are paths.
_ADDRESS = "regexp_matches({0}, '^[A-Za-z][A-Za-z0-9+.-]+://') AND NOT starts_with(lower({0}), 'file://')"
_SERVER = "regexp_extract({0}, '^[A-Za-z][A-Za-z0-9+.-]+://[^/]*/?')"
# Rows whose pictures are read at once: of a megabyte each, they must fit in memory.
_PICTURES = 256
_LATER = "Pictures are fetched when they are looked at."


class Adding:
    """One `add()` under way."""

    def __init__(
        self,
        context: Context,
        candidates: Candidates,
        source: Source,
        *,
        media: str | None,
        label: str | None,
        sample_id: str | None,
        root: str | None,
        on_conflict: Conflict,
        progress: bool | Listener,
    ) -> None:
        self._context = context
        self._candidates = candidates
        self._source = source
        self._media = media
        self._on_conflict = on_conflict
        self._progress = progress
        self._roles = roles(list(source.columns), media, sample_id, label)
        self._base = os.path.abspath(os.path.expanduser(root)) if root is not None else source.root
        self._rooted = root is not None
        self._row = candidates.row_name
        self._notes: list[str] = []
        self._stamps: dict[int, str] = {}
        self._file_names: dict[int, str] = {}
        self._folders: set[str] = set()
        self._servers: list[str] = []

    def run(self, fetch: str | None) -> Report:
        """Adds the rows, those that wait to be seen first.

        Raises:
            ImportProblem: see `Candidates.add`.
        """
        if fetch not in (None, "seen", "now"):
            raise ImportProblem(f"fetch is {fetch!r}.", hint="Say fetch='seen' or fetch='now'.")
        self._source.verify(thorough=True)
        if self._media is None:
            return self._unseen(None)
        kind = self._source.columns[self._media]
        if "BLOB" in kind:
            if fetch == "seen" and self._in_place:
                return self._unseen(None)
            return self._looked_at(None)
        if kind != "VARCHAR" and not kind.startswith("ENUM"):
            raise ImportProblem(
                f"The column {self._media!r} holds {kind}, not addresses, paths or bytes.",
                hint="Name the column of the pictures with media=, or say media=None for samples without pictures.",
            )
        name = name_of(self._media)
        if fetch == "seen":
            waits = f"{name} IS NOT NULL AND {name} <> ''"
        elif fetch == "now":
            return self._looked_at(None)
        else:
            waits = _ADDRESS.format(name)
        waits = f"coalesce({waits}, false)"
        later, now = self._counted(waits)
        reports = []
        if later or not now:
            reports.append(self._unseen(waits))
        if now:
            reports.append(self._looked_at(f"NOT {waits}"))
        return _together(reports)

    @property
    def _in_place(self) -> bool:
        """Whether the bytes can stay in the table and be read from there, row by row."""
        return bool(self._source.files) and self._source.row is not None

    @property
    def _numbered(self) -> bool:
        """Whether a row is known by its file and its place there."""
        return self._source.row is not None and bool(self._source.files or self._source.remote)

    def _counted(self, waits: str) -> tuple[int, int]:
        """How many rows wait to be seen and how many do not; the servers of the former, for the grants."""
        assert self._media is not None
        name = name_of(self._media)
        server = f"CASE WHEN {waits} AND {_ADDRESS.format(name)} THEN {_SERVER.format(name)} END"
        sql = f"SELECT {waits}, {server}, count(*) FROM ({self._candidates.compiled()}) GROUP BY ALL"
        rows = self._source.rows(sql, self._candidates.frames())
        self._servers = [found for _, found, _ in rows if found is not None]
        later = sum(int(count) for waiting, _, count in rows if waiting)
        return later, sum(int(count) for _, _, count in rows) - later

    # Without looking -------------------------------------------------------------------------------------------

    def _unseen(self, only: str | None) -> Report:
        """Takes rows in as they are, all or none of them."""
        self._grant()
        total = None if only is not None else len(self._candidates)
        lots = self._lots(only)
        if self._source.remote is not None:
            # First all of it comes here; the session's file must not wait for a distant disk.
            fetched = list(lots)
            lots = iter(fetched)
            total = sum(lot.count for lot in fetched)
        if self._media is not None:
            self._notes.append(_LATER)
        return bare.write(
            self._context.database,
            lots,
            self._candidates.name,
            on_conflict=self._on_conflict,
            progress=self._progress,
            total=total,
            notes=self._notes,
        )

    def _grant(self) -> None:
        """Leave to read from the servers and folders that these rows name: it is the user who adds them."""
        if self._media is not None and self._in_place and "BLOB" in self._source.columns[self._media]:
            for folder in sorted({os.path.dirname(file.path) for file in self._source.files}):
                self._context.media.grant(folder)
        for server in self._servers:
            self._context.media.trust.grant_address(server)

    def _lots(self, only: str | None) -> Iterator[bulk.Lot]:
        import pyarrow as pa

        sql = self._candidates.compiled(self._selected(), only=only)
        with self._source.batches(sql, bulk.ROWS, self._candidates.frames()) as batches:
            for first, part in bare.parts(batches):
                lot = bare.lot_of(
                    part, self._roles, first, self._notes, drop=(self._row, self._media or ""), made=False
                )
                refs = self._refs(part)
                if refs is not None:
                    lot.media = pa.chunked_array([refs]) if isinstance(refs, pa.Array) else refs
                if lot.sample_id is None:
                    lot.sample_id = self._ids(part, lot)
                yield lot
        # Inside the caller's transaction: what was read of a file that has changed meanwhile does not come in.
        self._source.verify(thorough=True)

    def _selected(self) -> str:
        """The columns that come along. Bytes that stay where they are do not travel."""
        names = [
            name
            for name, kind in self._source.columns.items()
            if "BLOB" not in kind or (name == self._media and not self._in_place)
        ]
        return ", ".join([name_of(name) for name in names] + [self._row])

    def _refs(self, part: pa.Table) -> Any:
        if self._media is None:
            return None
        if "BLOB" in self._source.columns[self._media]:
            return arrow_arrays.text(self._rows_in_place(part))
        column = text_column(part.column(self._media))
        return arrow_arrays.text([self._ref(value) for value in column.to_pylist()])

    def _ref(self, value: str) -> str:
        media = self._context.media
        if is_url(value):
            if value[:7].lower() != "file://":
                return value
            value = url_path(value)
        path = os.path.normpath(os.path.join(self._base or os.getcwd(), os.path.expanduser(value)))
        folder = self._base if self._rooted and self._base is not None else os.path.dirname(path)
        if folder not in self._folders:
            self._folders.add(folder)
            media.grant(folder)
        return media.relative(path)

    def _rows_in_place(self, part: pa.Table) -> list[str | None]:
        """References to rows of local Parquet files."""
        assert self._media is not None
        stems: dict[int, tuple[str, str]] = {}
        refs: list[str | None] = []
        for number in part.column(self._row).to_pylist():
            file, row = number >> ROW_BITS, number & ((1 << ROW_BITS) - 1)
            if file not in stems:
                path = self._source.files[file].path
                if file not in self._stamps:
                    self._stamps[file] = parquet_rows.stamp(path, self._media)
                relative = self._context.media.relative(path)
                stems[file] = (parquet_rows.stem(relative, self._media), parquet_rows.ending(self._stamps[file]))
            before, after = stems[file]
            refs.append(f"{before}{row}{after}")
        return refs

    def _ids(self, part: pa.Table, lot: bulk.Lot) -> Any:
        """Ids for rows that have none: their address or path, else FILE:ROW, else of the row's number and content."""
        if self._media is not None and "BLOB" not in self._source.columns[self._media]:
            return text_column(part.column(self._media))
        if not self._numbered:
            lot.id_stem = bare.stem(part.drop_columns([self._row]))
            return None
        return arrow_arrays.text([self._row_id(number) for number in part.column(self._row).to_pylist()])

    def _row_id(self, number: int) -> str:
        file, row = number >> ROW_BITS, number & ((1 << ROW_BITS) - 1)
        if file not in self._file_names:
            self._file_names[file] = _file_name(self._source, file)
        return f"{self._file_names[file]}:{row}"

    # Looking ---------------------------------------------------------------------------------------------------

    def _looked_at(self, only: str | None) -> Report:
        """Takes rows in through the import of pictures, which looks at each."""
        assert self._media is not None
        hint = "Name a column of unique ids with sample_id= to add them too."
        total = len(self._candidates) if only is None else None
        ingest = Ingest(
            self._context.database,
            self._candidates.name,
            on_conflict=self._on_conflict,
            progress=self._progress,
            total=total,
            clash_hint=hint,
        )
        self._grant()
        if self._rooted and self._base is not None:
            self._context.media.grant(self._base)
        if "BLOB" in self._source.columns[self._media]:
            return ingest.run(self._with_bytes(only, ingest))
        return ingest.run(self._named(only, ingest))

    def _pieces(self, only: str | None, rows: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        keep = [name for name, kind in self._source.columns.items() if "BLOB" not in kind or name == self._media]
        columns = ", ".join([name_of(name) for name in keep] + [self._row])
        sql = self._candidates.compiled(columns, only=only)
        with self._source.batches(sql, rows, self._candidates.frames()) as batches:
            for batch in batches:
                # What is committed stays, so each piece must be of the table that was chosen from.
                self._source.verify()
                for start in range(0, batch.num_rows, rows):
                    yield pa.Table.from_batches([batch.slice(start, rows)])
        self._source.verify(thorough=True)

    def _named(self, only: str | None, ingest: Ingest) -> Iterator[Batch]:
        """Paths and addresses."""
        assert self._media is not None
        base = self._base or os.getcwd()
        reader = FrameReader(self._context.media, base, self._rooted, self._media, self._roles, ingest)
        for part in self._pieces(only, BATCH):
            named = plain_values(part.column(self._media))
            yield reader.batch(Rows(named, part.drop_columns([self._media, self._row])))

    def _with_bytes(self, only: str | None, ingest: Ingest) -> Iterator[Batch]:
        """Bytes: those in local Parquet files stay there, others come into the session's file."""
        assert self._media is not None
        chosen = self._roles
        base = self._base or os.getcwd()
        reader = FrameReader(self._context.media, base, self._rooted, self._media, chosen, ingest)
        for part in self._pieces(only, _PICTURES):
            rest = part.drop_columns([self._media, self._row])
            batch = reader.batch(Rows(plain_values(part.column(self._media)), rest))
            if self._in_place:
                batch = replace(batch, media=self._rows_in_place(part), names=None)
            if chosen.sample_id is None and self._numbered:
                batch.ids[:] = [self._row_id(number) for number in part.column(self._row).to_pylist()]
            yield batch


def _file_name(source: Source, number: int) -> str:
    """What stands before the row in the ids of one file."""
    if source.files:
        return os.path.relpath(source.files[number].path, source.root).replace(os.sep, "/").removesuffix(".parquet")
    assert source.remote is not None
    paths = [file.path for file in source.remote[1]]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return paths[number][len(folder) :].lstrip("/").removesuffix(".parquet")


def _together(reports: list[Report]) -> Report:
    if len(reports) == 1:
        return reports[0]
    return Report(
        sum(one.added for one in reports),
        sum(one.replaced for one in reports),
        sum(one.skipped for one in reports),
        sum(one.problems for one in reports),
        sum(one.seconds for one in reports),
        tuple(dict.fromkeys(note for one in reports for note in one.notes)),
    )
