"""The SQL of decisions about objects: what changes, in the journal and in the present state, and the way back.

Every statement here runs inside the caller's transaction. `temp.object_target` holds the object numbers acted on.
`data.object_change` has a row for each object; their samples are noted in `data.alike` under the field 'objects', so
that a sample's history knows of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dataide.storage import arrow_arrays
from dataide.storage.database import registered
from dataide.storage.object_tables import KINDS, PLACE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor, Database

FIELD = "objects"
_PLACE = f"STRUCT({', '.join(f'{name} {KINDS[name]}' for name in PLACE)})"


@contextmanager
def targeted(cursor: Cursor, objects: NDArray[np.uint32]) -> Iterator[None]:
    """Lends the objects acted on as `temp.object_target`, inside the caller's transaction."""
    with registered(cursor, {"lent_objects": {"object_no": objects}}):
        cursor.execute(
            "CREATE OR REPLACE TEMP TABLE object_target AS SELECT DISTINCT object_no FROM lent_objects"
        ).fetchall()
    yield
    # After an error the rollback takes the table with it.
    cursor.execute("DROP TABLE temp.object_target").fetchall()


def samples_of(database: Database, objects: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The numbers of the samples that these objects belong to, ascending; of objects that are not there none."""
    import numpy as np

    sql = "SELECT DISTINCT o.sample_no FROM data.object o SEMI JOIN asked a ON a.object_no = o.object_no ORDER BY 1"
    with database.query(sql, frames={"asked": {"object_no": objects}}) as cursor:
        return np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)


def relabel(cursor: Cursor, event: int, label: str | None) -> int:
    """Gives the objects of the target another label."""
    given: dict[str, Any]
    if label is None:
        differs, given = "o.label IS NOT NULL", {"event": event}
        new = "NULL"
    else:
        differs, given = "(o.label <> $label OR o.label IS NULL)", {"event": event, "label": label}
        new = "$label"
    count = _note(cursor, f"o.label, {new}", "label", differs, given)
    return _finished(cursor, event, count, f"relabelled {_quoted(label)}")


def remove(cursor: Cursor, event: int) -> int:
    """Takes the objects of the target away; undo brings them back."""
    count = _note(cursor, "'false', 'true'", "removed", "true", {"event": event})
    return _finished(cursor, event, count, "deleted")


def added(cursor: Cursor, event: int, first: int, count: int) -> int:
    """Notes that the objects with these numbers are new; they stand in the file already."""
    cursor.execute(
        "INSERT INTO data.object_change SELECT $event, object_no, 'removed', 'true', 'false' FROM data.object "
        "WHERE object_no >= $first AND object_no < $last",
        {"event": event, "first": first, "last": first + count},
    ).fetchall()
    return noted(cursor, event, count, "added")


def places(cursor: Cursor) -> list[dict[str, Any]]:
    """All that moves of each object of the target: object_no and PLACE."""
    rows = cursor.execute(
        f"SELECT o.object_no, {', '.join(f'o.{name}' for name in PLACE)} FROM data.object o "
        "JOIN temp.object_target t ON t.object_no = o.object_no WHERE NOT o.removed ORDER BY o.object_no"
    ).fetchall()
    return [dict(zip(("object_no", *PLACE), row, strict=True)) for row in rows]


def move(cursor: Cursor, event: int, objects: Sequence[int], after: Sequence[str]) -> int:
    """Puts objects elsewhere; `after` says it as JSON with the names of PLACE."""
    import numpy as np
    import pyarrow as pa

    table = pa.Table.from_arrays(
        [arrow_arrays.numbers(objects, np.uint32), arrow_arrays.text(list(after))], ["object_no", "after"]
    )
    packed = ", ".join(f"{name} := o.{name}" for name in PLACE)
    with registered(cursor, {"moving": table}):
        rows = cursor.execute(
            "INSERT INTO data.object_change SELECT $event, o.object_no, 'place', "
            f"CAST(to_json(struct_pack({packed})) AS VARCHAR), m.after "
            "FROM data.object o JOIN moving m ON m.object_no = o.object_no",
            {"event": event},
        ).fetchall()
    return _finished(cursor, event, int(rows[0][0]), "moved")


def restore(cursor: Cursor, event: int, *, side: str) -> bool:
    """Puts back what stood before (`side="before"`) or after an event about objects. False where it was about none."""
    fields = cursor.execute("SELECT DISTINCT field FROM data.object_change WHERE event_no = ?", [event]).fetchall()
    changed = f"FROM data.object_change c WHERE c.event_no = {int(event)} AND c.object_no = object.object_no"
    for (field,) in fields:
        if field == "label":
            cursor.execute(f"UPDATE data.object SET label = c.{side} {changed} AND c.field = 'label'").fetchall()
        elif field == "removed":
            cursor.execute(
                f"UPDATE data.object SET removed = CAST(c.{side} AS BOOLEAN) {changed} AND c.field = 'removed'"
            ).fetchall()
        elif field == "place":
            sets = ", ".join(f"{name} = p.place.{name}" for name in PLACE)
            cursor.execute(
                f"UPDATE data.object SET {sets} FROM "
                f"(SELECT object_no, CAST(CAST({side} AS JSON) AS {_PLACE}) AS place "
                "FROM data.object_change WHERE event_no = ? AND field = 'place') p "
                "WHERE p.object_no = object.object_no",
                [event],
            ).fetchall()
    return bool(fields)


def _note(cursor: Cursor, sides: str, field: str, differs: str, given: dict[str, Any]) -> int:
    rows = cursor.execute(
        f"INSERT INTO data.object_change SELECT $event, o.object_no, '{field}', {sides} FROM data.object o "
        f"JOIN temp.object_target t ON t.object_no = o.object_no WHERE NOT o.removed AND {differs}",
        given,
    ).fetchall()
    return int(rows[0][0])


def _finished(cursor: Cursor, event: int, count: int, said: str) -> int:
    if count:
        restore(cursor, event, side="after")
        noted(cursor, event, count, said)
    return count


def noted(cursor: Cursor, event: int, count: int, said: str, *, name: str = FIELD, before: str | None = None) -> int:
    """One line for all samples of the changed objects, so that their histories tell it; gives `count` back."""
    if count:
        cursor.execute("INSERT INTO data.alike VALUES (?, ?, ?, ?)", [event, name, before, said]).fetchall()
        cursor.execute(
            "INSERT INTO data.alike_sample SELECT DISTINCT c.event_no, o.sample_no FROM data.object_change c "
            "JOIN data.object o ON o.object_no = c.object_no WHERE c.event_no = ?",
            [event],
        ).fetchall()
    return count


def _quoted(label: str | None) -> str:
    return "nothing" if label is None else f"“{label}”"
