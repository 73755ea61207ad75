"""Samples whose pictures nobody looks at now, or that have none: from Arrow into the file, millions at once."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dataide.storage import arrow_arrays, run_tables
from dataide.storage.database import registered
from dataide.storage.documented import quoted
from dataide.storage.samples import sql_types

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

# Four of DuckDB's row groups.
ROWS = 491_520
# By row of a lot: number and media of the sample that has its id, None where an earlier row of the lot has it.
_Known = dict[int, tuple[int | None, str | None]]
_FIXED = ("sample_id", "media", "label", "split")


@dataclass(slots=True)
class Lot:
    """Some hundred thousand samples.

    Attributes:
        count: how many.
        sample_id: a column of text without nulls, or None where ids are made: `id_stem` and the number of the row.
        id_stem: of the ids that are made.
        first_row: the number of the first row.
        media: a column of references, or None for samples without pictures.
        label: or None.
        split: or None.
        columns: the user's columns, or None. All lots of one import have the same.
    """

    count: int
    sample_id: Any | None = None
    id_stem: str = ""
    first_row: int = 0
    media: Any | None = None
    label: Any | None = None
    split: Any | None = None
    columns: pa.Table | None = None


class Inserted(NamedTuple):
    """What came in.

    Attributes:
        added: new samples.
        replaced: samples that were there and say something else now.
        skipped: rows whose sample was there.
        taken: the id of the first of these, and the media of the sample that has it; None where an earlier row has it.
    """

    added: int
    replaced: int
    skipped: int
    taken: tuple[str, str | None] | None


class Taken(Exception):
    """An id is taken, and that was to be an error."""

    def __init__(self, sample_id: str, media: str | None) -> None:
        super().__init__(sample_id)
        self.sample_id = sample_id
        self.media = media


def insert(database: Database, lots: Iterable[Lot], *, on_conflict: str) -> Generator[int, None, Inserted]:
    """Writes all lots in one transaction: all of them come in, or nothing does.

    A generator, so that the caller can show how far it is: gives the rows done after each lot, and returns Inserted.

    Args:
        database: the session's file.
        lots: read while the transaction is open; an error among them undoes everything.
        on_conflict: skip, replace or error.

    Raises:
        Taken: an id is taken and on_conflict is "error".
    """
    with database.write() as cursor:
        work = _Insertion(database, cursor, on_conflict)
        done = 0
        for lot in lots:
            if lot.count:
                work.take(lot)
            done += lot.count
            yield done
    return Inserted(work.added, work.replaced, work.skipped, work.taken)


class _Insertion:
    def __init__(self, database: Database, cursor: Cursor, on_conflict: str) -> None:
        self._database = database
        self._cursor = cursor
        self._on_conflict = on_conflict
        self._next = database.next_sample_no(cursor)
        self._names: dict[str, str] | None = None
        self._free_stems: dict[str, bool] = {}
        self.added = self.replaced = self.skipped = 0
        self.taken: tuple[str, str | None] | None = None

    def take(self, lot: Lot) -> None:
        if self._names is None:
            # Before any row changes: DuckDB 1.5 alters no table that the same transaction has written to.
            self._names = self._ensured(lot)
        if lot.sample_id is None and self._is_free(lot.id_stem):
            self._insert(lot, _numbered(lot, None))
            return
        table = _numbered(lot, self._ids(lot))
        known = self._known(table)
        if not known:
            self._insert(lot, table)
            return
        self._meet(lot, table, known)

    def _ensured(self, lot: Lot) -> dict[str, str]:
        if lot.columns is None:
            return {}
        plain = _plain(lot.columns)
        wanted = dict(zip(lot.columns.column_names, sql_types(self._cursor, plain), strict=True))
        stands = self._database.ensure_columns(self._cursor, wanted)
        return {short: stands[name] for short, name in zip(plain.column_names, lot.columns.column_names, strict=True)}

    def _is_free(self, stem: str) -> bool:
        """Whether no sample had an id that begins so; asked once, because those that we make are all different."""
        if stem not in self._free_stems:
            asked = "SELECT count(*) FROM data.sample WHERE starts_with(sample_id, ?)"
            self._free_stems[stem] = self._next == 0 or self._cursor.execute(asked, [stem]).fetchall()[0][0] == 0
        return self._free_stems[stem]

    def _ids(self, lot: Lot) -> Any:
        if lot.sample_id is not None:
            return lot.sample_id
        numbers = range(lot.first_row, lot.first_row + lot.count)
        return arrow_arrays.text([f"{lot.id_stem}{number}" for number in numbers])

    def _known(self, table: pa.Table) -> _Known:
        """Rows whose id is taken: by which sample and with which media, or None by an earlier row of the lot."""
        found: _Known = {}
        asking = table.select(["row", "sample_id"])
        with registered(self._cursor, {"asking": asking}):
            if self._cursor.execute("SELECT count(DISTINCT sample_id) <> count(*) FROM asking").fetchall()[0][0]:
                twice = (
                    "SELECT row FROM (SELECT row, row_number() OVER (PARTITION BY sample_id ORDER BY row) AS time "
                    "FROM asking) WHERE time > 1"
                )
                found.update((int(row), (None, None)) for (row,) in self._cursor.execute(twice).fetchall())
            if self._next:
                there = (
                    "SELECT a.row, s.sample_no, s.media FROM data.sample s JOIN asking a ON s.sample_id = a.sample_id"
                )
                found.update((int(row), (no, media)) for row, no, media in self._cursor.execute(there).fetchall())
        return found

    def _meet(self, lot: Lot, table: pa.Table, known: _Known) -> None:
        """Adds what is new and deals with the rest as asked."""
        import numpy as np

        first = min(known)
        who = (table.column("sample_id")[first].as_py(), known[first][1])
        if self._on_conflict == "error":
            raise Taken(*who)
        self.taken = self.taken or who
        there = {row: no for row, (no, _) in known.items() if no is not None}
        keep = np.ones(lot.count, bool)
        keep[list(known)] = False
        changed = 0
        if self._on_conflict == "replace":
            # Of an id that comes twice the last row counts, as in the other ways in; when skipping, the first.
            row_of = {there[row]: row for row in sorted(there)}
            if row_of:
                rows = arrow_arrays.numbers(list(row_of.values()), np.int64)
                numbers = arrow_arrays.numbers(list(row_of), np.uint32)
                self._update(lot, table.take(rows).append_column("sample_no", numbers))
            changed = len(row_of)
            if len(known) > len(there):
                _keep_last(keep, table, there)
        self.replaced += changed
        self.skipped += lot.count - int(keep.sum()) - changed
        if keep.any():
            chosen = table.take(arrow_arrays.numbers(np.flatnonzero(keep), np.int64))
            self._insert(lot, chosen)

    def _insert(self, lot: Lot, table: pa.Table) -> None:
        import numpy as np

        names = self._names or {}
        numbers = np.arange(self._next, self._next + table.num_rows, dtype=np.uint32)
        arriving = table.append_column("sample_no", arrow_arrays.numbers(numbers, np.uint32))
        made = f"{_text(lot.id_stem)} || (row + {int(lot.first_row)})"
        known = set(arriving.column_names)
        values = [
            "sample_id" if "sample_id" in known else made,
            "media" if "media" in known else "''",
            *("label" if "label" in known else "NULL", "split" if "split" in known else "NULL"),
        ]
        columns = ", ".join(["sample_no", *_FIXED, "added_at", *(quoted(name) for name in names.values())])
        chosen = ", ".join(["sample_no", *values, "now() AT TIME ZONE 'UTC'", *names])
        with registered(self._cursor, {"arriving": arriving}):
            self._cursor.execute(f"INSERT INTO data.sample ({columns}) SELECT {chosen} FROM arriving")
        self._next += table.num_rows
        self.added += table.num_rows

    def _update(self, lot: Lot, table: pa.Table) -> None:
        # What the import says nothing about stays: a picture, or a label that a person gave.
        sets = [f"{quoted(name)} = new.{short}" for short, name in (self._names or {}).items()]
        sets += [f"{name} = new.{name}" for name in ("label", "split") if name in table.column_names]
        if lot.media is not None:
            other = "old.media IS DISTINCT FROM new.media"
            sets += ["media = new.media", f"media_revision = old.media_revision + ({other})::UINTEGER"]
            said = set(run_tables.filled_columns(self._cursor)) - set((self._names or {}).values())
            seen = [*_SEEN, *(quoted(name) for name in sorted(said))]
            sets += [f"{name} = CASE WHEN {other} THEN NULL ELSE old.{name} END" for name in seen]
        if sets:
            with registered(self._cursor, {"arriving": table}):
                self._cursor.execute(
                    f"UPDATE data.sample AS old SET {', '.join(sets)} FROM arriving AS new "
                    "WHERE old.sample_no = new.sample_no"
                )


# What is known of a picture once somebody has looked at it.
_SEEN = (
    *("width_px", "height_px", "bytes", "format", "content_hash"),
    *("brightness", "contrast", "sharpness", "mean_red", "mean_green", "mean_blue"),
)


def _numbered(lot: Lot, ids: Any | None) -> pa.Table:
    """The lot as one Arrow table, the user's columns under plain names, with the number of each row in it."""
    import numpy as np
    import pyarrow as pa

    columns: dict[str, Any] = {"row": arrow_arrays.numbers(np.arange(lot.count, dtype=np.int64), np.int64)}
    for name, column in (("sample_id", ids), ("media", lot.media), ("label", lot.label), ("split", lot.split)):
        if column is not None:
            columns[name] = column
    table = pa.Table.from_arrays(list(columns.values()), list(columns))
    if lot.columns is not None:
        plain = _plain(lot.columns)
        for name, column in zip(plain.column_names, plain.columns, strict=True):
            table = table.append_column(name, column)
    return table


def _plain(columns: pa.Table) -> pa.Table:
    return columns.rename_columns([f"user_{index}" for index in range(columns.num_columns)])


def _keep_last(keep: np.ndarray, table: pa.Table, there: dict[int, int]) -> None:
    """Of new ids that come more than once, keeps the last row."""
    ids = table.column("sample_id").to_pylist()
    taken = {ids[row] for row in there}
    keep[:] = False
    keep[list({one: row for row, one in enumerate(ids) if one not in taken}.values())] = True


def _text(value: str) -> str:
    return "'" + value.replace("'", "''").replace("\0", "") + "'"
