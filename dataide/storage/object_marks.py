"""The SQL of autotag on objects: marks, and the labels that a head gives and takes back.

Marks of objects are changes in the journal, as those of samples are (`storage/marks.py`), under the same field in
`data.object_change`. A mark counts as long as the object is there and its picture is the one that was seen; a box that
is moved a little is still of the same thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataide.storage import objects_journal
from dataide.storage.database import registered
from dataide.storage.marks import SAYING, Ledger, Marks, differs, field_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor, Database
    from dataide.storage.marks import Sign

ENDING = "_objects"
COMMIT = f"autotag{ENDING}"
_OBJECTS = Ledger(
    "data.object_change",
    "object_no",
    "data.object o ON o.object_no = w.object_no AND NOT o.removed JOIN data.sample s ON s.sample_no = o.sample_no",
)
# Who has changed the label of an object last, and what it was before: in a struct, as arg_max passes over NULL.
_LAST = (
    "(SELECT c.object_no, arg_max(e.verb, c.event_no) AS verb, "
    "arg_max(struct_pack(label := c.before), c.event_no).label AS before "
    "FROM data.object_change c JOIN data.event e ON e.event_no = c.event_no "
    "WHERE c.field = 'label' AND e.state = 'done' GROUP BY c.object_no)"
)


def marks(database: Database, tag: str) -> Marks:
    """The marks of a tag that stand, by numbers of objects."""
    return _OBJECTS.read(database, tag)


def put(cursor: Cursor, event: int, tag: str, sign: Sign, asked: NDArray[np.uint32]) -> int:
    """Marks the objects of `object_target` that are not marked so; those among `asked` as answers to a question."""
    with registered(cursor, {"lent_asked": {"no": asked}}):
        rows = cursor.execute(
            f"INSERT INTO data.object_change SELECT $event, t.object_no, $field, m.said, {SAYING} "
            "FROM temp.object_target t JOIN data.object o ON o.object_no = t.object_no AND NOT o.removed "
            "JOIN data.sample s ON s.sample_no = o.sample_no "
            f"LEFT JOIN {_OBJECTS.standing()} m ON m.object_no = t.object_no "
            f"LEFT JOIN lent_asked a ON a.no = t.object_no WHERE {differs('m')}",
            {"event": event, "field": field_of(tag), "sign": sign},
        ).fetchall()
    said = {"positive": f"marked “{tag}”", "negative": f"marked not “{tag}”", "none": f"mark “{tag}” taken away"}
    count = int(rows[0][0])
    # Not under the field 'objects': nothing that is drawn has changed.
    objects_journal.noted(cursor, event, count, said[sign], name=f"{field_of(tag)} of objects")
    return count


def relabel(cursor: Cursor, event: int, tag: str, label: str, rest: NDArray[np.uint32]) -> tuple[int, int]:
    """Labels the objects of `object_target`, and takes the label from those of `rest` that autotag gave it.

    They get back the label that they had before. A negative mark takes the label whoever gave it; an object whose label
    a person changed after autotag keeps that, unless it is marked.

    Returns:
        How many objects got the label, and how many lost it.
    """
    given = {"event": event, "label": label, "field": field_of(tag)}
    marked = _OBJECTS.standing()
    got = cursor.execute(
        "INSERT INTO data.object_change SELECT $event, o.object_no, 'label', o.label, $label FROM data.object o "
        f"JOIN temp.object_target t ON t.object_no = o.object_no LEFT JOIN {_LAST} l ON l.object_no = o.object_no "
        f"LEFT JOIN {marked} m ON m.object_no = o.object_no AND m.positive AND m.fresh "
        "WHERE NOT o.removed AND o.label IS DISTINCT FROM $label AND (m.object_no IS NOT NULL OR l.verb IS NULL "
        f"OR l.verb = '{COMMIT}' OR l.before IS DISTINCT FROM $label)",
        given,
    ).fetchall()[0][0]
    with registered(cursor, {"lent_rest": {"object_no": rest}}):
        lost = cursor.execute(
            "INSERT INTO data.object_change SELECT $event, o.object_no, 'label', o.label, "
            f"CASE WHEN l.verb = '{COMMIT}' AND l.before IS DISTINCT FROM $label THEN l.before END "
            f"FROM data.object o JOIN lent_rest r ON r.object_no = o.object_no "
            f"LEFT JOIN {_LAST} l ON l.object_no = o.object_no "
            f"LEFT JOIN {marked} m ON m.object_no = o.object_no AND NOT m.positive AND m.fresh "
            f"WHERE NOT o.removed AND o.label = $label AND (l.verb = '{COMMIT}' OR m.object_no IS NOT NULL)",
            given,
        ).fetchall()[0][0]
    if got + lost:
        objects_journal.restore(cursor, event, side="after")
        objects_journal.noted(cursor, event, got + lost, f"autotagged “{label}”")
    return int(got), int(lost)


def labelled(database: Database, label: str) -> int:
    """How many objects have the label."""
    sql = (
        "SELECT count(*) FROM data.object o JOIN data.sample s USING (sample_no) "
        "WHERE o.label = ? AND NOT o.removed AND NOT s.excluded"
    )
    with database.query(sql, [label]) as cursor:
        return int(cursor.fetchall()[0][0])


def model_name(tag: str) -> str:
    """The name in `session.models`."""
    return f"autotag “{tag}” of objects"


def listing(database: Database) -> pa.Table:
    """Tags that objects were marked with, or that were committed: tag, positives, negatives, stale, label, embedding,
    threshold, head, committed_at."""
    return database.arrow(
        f"WITH marked AS ({_OBJECTS.counted()}), "
        "done AS (SELECT json_extract_string(arguments, '$.tag') AS tag, arg_max(arguments, event_no) AS said, "
        f"max(decided_at) AS committed_at FROM data.event WHERE verb = '{COMMIT}' AND state = 'done' GROUP BY 1) "
        "SELECT tag, CAST(coalesce(positives, 0) AS BIGINT) AS positives, "
        "CAST(coalesce(negatives, 0) AS BIGINT) AS negatives, CAST(coalesce(stale, 0) AS BIGINT) AS stale, "
        "json_extract_string(said, '$.label') AS label, json_extract_string(said, '$.embedding') AS embedding, "
        "try_cast(json_extract_string(said, '$.threshold') AS DOUBLE) AS threshold, "
        "json_extract_string(said, '$.head') AS head, committed_at "
        "FROM marked FULL JOIN done USING (tag) ORDER BY tag"
    )
