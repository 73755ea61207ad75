"""Objects of samples: from Arrow into the file, millions at once. What is wrong with a box is kept and listed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dataide.storage import arrow_arrays
from dataide.storage.database import registered
from dataide.storage.documented import quoted
from dataide.storage.object_tables import BOX, KINDS
from dataide.storage.query import text
from dataide.storage.samples import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

# So many problems of one import are listed; all are counted.
MOST_LISTED = 10_000
# Two decimals, each rounded, are no box outside of its picture.
SLACK_PX = 0.05

_WRONG = f"""
CASE WHEN n.left_px IS NULL OR n.top_px IS NULL OR n.width_px IS NULL OR n.height_px IS NULL THEN 'no_box'
     WHEN n.width_px < 0 OR n.height_px < 0 THEN 'inverted_box'
     WHEN n.width_px = 0 OR n.height_px = 0 THEN 'empty_box'
     WHEN n.left_px < -{SLACK_PX} OR n.top_px < -{SLACK_PX} OR n.left_px + n.width_px > s.width_px + {SLACK_PX}
       OR n.top_px + n.height_px > s.height_px + {SLACK_PX} THEN 'outside' END
"""
_SAID = {
    "no_box": "It has no box: a place or size is missing or no number.",
    "inverted_box": "Its box is inverted: {width:g} x {height:g} px.",
    "empty_box": "Its box has no area: {width:g} x {height:g} px.",
    "outside": "Its box ({left:g}, {top:g}, {width:g} x {height:g} px) reaches out of the picture "
    "({across} x {down} px).",
}


@dataclass(slots=True)
class Lot:
    """Some hundred thousand objects.

    Attributes:
        table: `sample_id` (text), or `sample_no`; any columns of object_tables.KINDS; `object_id` (text without nulls),
            or not, then ids are made: `id_stem` and the number of the row.
        id_stem: of the ids that are made.
        first_row: the number of the first row.
        extra: further columns, which become the attributes; same length.
        faults: what the reader found.
    """

    table: pa.Table
    id_stem: str = ""
    first_row: int = 0
    extra: pa.Table | None = None
    faults: list[Fault] = field(default_factory=list)


class Inserted(NamedTuple):
    """What came in.

    Attributes:
        first: the number of the first new object.
        added: new objects; their numbers follow each other.
        replaced: objects that were there and are other ones now.
        skipped: rows whose object was there.
        faults: how many problems of each kind.
    """

    first: int
    added: int
    replaced: int
    skipped: int
    faults: dict[str, int]


class Taken(Exception):
    """An id is taken, and that was to be an error."""

    def __init__(self, object_id: str) -> None:
        super().__init__(object_id)
        self.object_id = object_id


def next_object_no(cursor: Cursor) -> int:
    """The number that the next new object gets."""
    return int(cursor.execute("SELECT coalesce(max(object_no) + 1, 0) FROM data.object").fetchall()[0][0])


def insert(
    database: Database, lots: Iterable[Lot], *, source: str, on_conflict: str, relative: bool = False
) -> Generator[int, None, Inserted]:
    """Writes all lots in one transaction: all of them come in, or nothing does.

    A generator, so that the caller can show how far it is: gives the rows done after each lot, and returns Inserted.

    Args:
        database: the session's file.
        lots: read while the transaction is open; an error among them undoes everything.
        source: what `problem` calls the import.
        on_conflict: skip, replace or error, for object ids that are there. An object that a person deleted is there.
        relative: places are shares of width and height of the picture.

    Raises:
        Taken: an id is taken and on_conflict is "error".
    """
    with database.write() as cursor:
        work = Insertion(cursor, source=source, on_conflict=on_conflict, relative=relative)
        done = 0
        for lot in lots:
            work.take(lot)
            done += lot.table.num_rows
            yield done
        work.settle()
    return work.done()


class Insertion:
    """Objects under way into the file, inside the caller's transaction."""

    def __init__(self, cursor: Cursor, *, source: str, on_conflict: str, relative: bool = False) -> None:
        self._cursor = cursor
        self._source = source
        self._on_conflict = on_conflict
        self._relative = relative
        self._first = self._next = next_object_no(cursor)
        self._free_stems: dict[str, bool] = {}
        self._faults: list[Fault] = []
        self._renewed: list[str] = []
        self._counts: dict[str, int] = {}
        self._replaced = self._skipped = 0

    def take(self, lot: Lot) -> None:
        """Writes one lot.

        Raises:
            Taken: an id is taken and that is to be an error.
        """
        for fault in lot.faults:
            self._note(fault)
        if not lot.table.num_rows:
            return
        self._lend(lot)
        self._leave_unknown()
        if "object_id" in lot.table.column_names or not self._is_free(lot.id_stem):
            self._meet()
        self._list_wrong()
        self._insert()
        self._run("DROP TABLE temp.object_lot")

    def settle(self) -> None:
        """Lists what is wrong; what was found wrong before under the same name is listed once."""
        faults, renewed = self._faults, self._renewed
        if not faults and not renewed:
            return
        # Of an object that was there and stays, what else was found before still holds.
        known = [(fault.media, fault.code) for fault in faults] + [(one, "") for one in renewed]
        frame = {"looked_at": _table({"media": [media for media, _ in known], "code": [code for _, code in known]})}
        with registered(self._cursor, frame):
            self._run(
                "DELETE FROM data.problem p WHERE p.source = $s AND EXISTS "
                "(FROM looked_at l WHERE l.media = p.media AND (l.code = p.code OR l.code = ''))",
                {"s": self._source},
            )
        if faults:
            columns = dict(zip(Fault._fields, zip(*faults, strict=True), strict=True))
            with registered(self._cursor, {"faulty": _table(columns)}):
                self._run(
                    "INSERT INTO data.problem SELECT now(), $s, media, code, reason FROM faulty", {"s": self._source}
                )

    def done(self) -> Inserted:
        return Inserted(self._first, self._next - self._first, self._replaced, self._skipped, dict(self._counts))

    def _lend(self, lot: Lot) -> None:
        """Makes the lot `temp.object_lot`, with the sample of each row and finite places."""
        import numpy as np

        table, given = lot.table, set(lot.table.column_names)
        numbers = np.arange(lot.first_row, lot.first_row + table.num_rows, dtype=np.int64)
        table = table.append_column("row", arrow_arrays.numbers(numbers, np.int64))
        frames: dict[str, Any] = {}
        values = {name: f"CAST(l.{name} AS {kind})" if name in given else f"CAST(NULL AS {kind})"
                  for name, kind in KINDS.items()}  # fmt: skip
        for name in (*BOX, "area_px"):
            values[name] = f"CASE WHEN isfinite({values[name]}) THEN {values[name]} END"
        if self._relative:
            for name, side in zip(BOX, ("width_px", "height_px") * 2, strict=True):
                values[name] = f"({values[name]}) * s.{side}"
        if lot.extra is not None and lot.extra.num_columns:
            plain = [f"extra_{index}" for index in range(lot.extra.num_columns)]
            for name, column in zip(plain, lot.extra.columns, strict=True):
                table = table.append_column(name, column)
            packed = ", ".join(f"{quoted(name)} := l.{short}" for name, short in
                               zip(lot.extra.column_names, plain, strict=True))  # fmt: skip
            values["attributes"] = f"CAST(to_json(struct_pack({packed})) AS VARCHAR)"
        made = "l.object_id" if "object_id" in given else f"{text(lot.id_stem)} || l.row"
        key = "sample_id" if "sample_id" in given else "sample_no"
        chosen = ", ".join(f"{value} AS {name}" for name, value in values.items())
        frames["lent_objects"] = table
        with registered(self._cursor, frames):
            self._run(
                f"CREATE OR REPLACE TEMP TABLE object_lot AS SELECT l.row, CAST(l.{key} AS VARCHAR) AS given, "
                f"s.sample_no, CAST({made} AS VARCHAR) AS object_id, {chosen} "
                f"FROM lent_objects l LEFT JOIN data.sample s ON s.{key} = l.{key}"
            )

    def _leave_unknown(self) -> None:
        found = self._cursor.execute(
            "SELECT coalesce(given, ''), count(*), min(row) AS first FROM temp.object_lot WHERE sample_no IS NULL "
            "GROUP BY given ORDER BY first"
        ).fetchall()
        for given, count, row in found:
            said = f"There is no sample {given!r}" if given else f"Row {row:,} names no sample"
            times = "1 object" if count == 1 else f"{count:,} objects"
            self._note(
                Fault(given or f"row {row:,}", "unknown_sample", f"{said}, so {times} could not come in."), count
            )
        if found:
            self._run("DELETE FROM temp.object_lot WHERE sample_no IS NULL")

    def _is_free(self, stem: str) -> bool:
        """Whether no object had an id that begins so; asked once, because those that we make are all different."""
        if stem not in self._free_stems:
            asked = "SELECT count(*) FROM data.object WHERE starts_with(object_id, ?)"
            self._free_stems[stem] = self._next == 0 or self._cursor.execute(asked, [stem]).fetchall()[0][0] == 0
        return self._free_stems[stem]

    def _meet(self) -> None:
        """Deals with ids that are taken, by an object of the file or by another row of the lot."""
        last = "DESC" if self._on_conflict == "replace" else ""
        twice = (
            "SELECT row FROM (SELECT row, row_number() OVER "
            f"(PARTITION BY object_id ORDER BY row {last}) AS time FROM temp.object_lot) WHERE time > 1"
        )
        there = "SELECT l.row FROM temp.object_lot l SEMI JOIN data.object o ON o.object_id = l.object_id"
        if self._on_conflict == "error":
            asked = (
                f"SELECT object_id FROM temp.object_lot WHERE row IN ({twice} UNION ALL {there}) ORDER BY row LIMIT 1"
            )
            if taken := self._cursor.execute(asked).fetchall():
                raise Taken(str(taken[0][0]))
            return
        unique = "SELECT count(*) = count(DISTINCT object_id) FROM temp.object_lot"
        if not self._cursor.execute(unique).fetchall()[0][0]:
            self._skipped += self._run(f"DELETE FROM temp.object_lot WHERE row IN ({twice})")
        if not self._next:
            return
        if self._on_conflict == "replace":
            self._replace()
            self._run(f"DELETE FROM temp.object_lot WHERE row IN ({there})")
        else:
            self._skipped += self._run(f"DELETE FROM temp.object_lot WHERE row IN ({there})")

    def _replace(self) -> None:
        sets = ", ".join(f"{name} = {_filled(name, 'n')}" for name in KINDS)
        count = self._run(
            f"UPDATE data.object AS old SET sample_no = n.sample_no, removed = false, {sets} "
            "FROM temp.object_lot n WHERE old.object_id = n.object_id"
        )
        self._replaced += count
        if count:
            ids = self._cursor.execute(
                "SELECT l.object_id FROM temp.object_lot l SEMI JOIN data.object o ON o.object_id = l.object_id"
            ).fetchall()
            self._renewed.extend(str(one) for (one,) in ids)
            self._list_wrong("SEMI JOIN data.object o ON o.object_id = n.object_id")

    def _list_wrong(self, among: str = "") -> None:
        # What was replaced was looked at before it left the lot.
        wrong = (
            f"SELECT n.*, s.sample_id, s.width_px AS across, s.height_px AS down, {_WRONG} AS code "
            f"FROM temp.object_lot n {among} JOIN data.sample s ON s.sample_no = n.sample_no"
        )
        counted = self._cursor.execute(
            f"SELECT code, count(*) FROM ({wrong}) WHERE code IS NOT NULL GROUP BY code"
        ).fetchall()
        if not counted:
            return
        rows = self._cursor.execute(
            "SELECT code, object_id, sample_id, left_px, top_px, width_px, height_px, across, down "
            f"FROM ({wrong}) WHERE code IS NOT NULL ORDER BY row LIMIT {MOST_LISTED}"
        ).fetchall()
        for code, object_id, sample_id, left, top, width, height, across, down in rows:
            places = {"left": left, "top": top, "width": width, "height": height, "across": across, "down": down}
            self._note(Fault(str(object_id), code, f"On {sample_id}: {_SAID[code].format(**places)}"), 0)
        for code, count in counted:
            self._counts[code] = self._counts.get(code, 0) + int(count)

    def _insert(self) -> None:
        names = ", ".join(KINDS)
        values = ", ".join(_filled(name, "l") for name in KINDS)
        count = self._run(
            f"INSERT INTO data.object (object_no, sample_no, object_id, {names}, added_at) "
            f"SELECT {self._next} + row_number() OVER (ORDER BY l.row) - 1, l.sample_no, l.object_id, {values}, "
            "now() AT TIME ZONE 'UTC' FROM temp.object_lot l ORDER BY l.row"
        )
        self._next += count

    def _note(self, fault: Fault, count: int = 1) -> None:
        if count:
            self._counts[fault.code] = self._counts.get(fault.code, 0) + count
        if len(self._faults) < MOST_LISTED:
            self._faults.append(fault)

    def _run(self, sql: str, parameters: dict[str, Any] | None = None) -> int:
        rows = self._cursor.execute(sql, parameters).fetchall()
        return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0


def declare_labels(cursor: Cursor, labels: Sequence[dict[str, Any]]) -> None:
    """Keeps what is known of labels: label, category_id, supercategory, keypoint_names, skeleton; later words count."""
    if not labels:
        return
    kept = {str(one["label"]): one for one in labels}
    for name, one in kept.items():
        known = {
            "label": name, "category_id": one.get("category_id"), "supercategory": one.get("supercategory"),
            "keypoint_names": one.get("keypoint_names"), "skeleton": one.get("skeleton"),
        }  # fmt: skip
        values = "CAST($category_id AS BIGINT), $supercategory, CAST($keypoint_names AS VARCHAR[]), "
        values += "CAST($skeleton AS UINTEGER[][])"
        there = cursor.execute("SELECT count(*) FROM data.object_label WHERE label = $l", {"l": name}).fetchall()
        if there[0][0]:
            cursor.execute(
                "UPDATE data.object_label SET category_id = coalesce(CAST($category_id AS BIGINT), category_id), "
                "supercategory = coalesce($supercategory, supercategory), "
                "keypoint_names = coalesce(CAST($keypoint_names AS VARCHAR[]), keypoint_names), "
                "skeleton = coalesce(CAST($skeleton AS UINTEGER[][]), skeleton) WHERE label = $label",
                known,
            ).fetchall()
        else:
            cursor.execute(f"INSERT INTO data.object_label SELECT $label, {values}", known).fetchall()


def _filled(name: str, of: str) -> str:
    if name == "area_px":
        of_box = f"CASE WHEN {of}.width_px > 0 AND {of}.height_px > 0 THEN {of}.width_px * {of}.height_px END"
        return f"coalesce({of}.area_px, {of_box})"
    return f"coalesce({of}.crowd, false)" if name == "crowd" else f"{of}.{name}"


def _table(columns: Mapping[str, Sequence[str]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_arrays([arrow_arrays.text(list(values)) for values in columns.values()], list(columns))
