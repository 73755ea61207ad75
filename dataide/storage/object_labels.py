"""What is read of objects to choose among them: labels as numbers, whose they are, and what waits in a queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage import arrow_arrays

if TYPE_CHECKING:
    from dataide.storage.database import Database


@dataclass(frozen=True, slots=True)
class ObjectsNow:
    """Objects as they are now.

    Attributes:
        nos: ascending; uint32, shape (n,).
        sample_nos: of their samples; uint32, shape (n,).
        label_nos: places in `classes`, -1 for no label; int64, shape (n,).
        crowd: whether one is a crowd, of which no label is a single thing's; bool, shape (n,).
        classes: the labels, in order.
    """

    nos: np.ndarray
    sample_nos: np.ndarray
    label_nos: np.ndarray
    crowd: np.ndarray
    classes: tuple[str, ...]


def seen(database: Database, nos: np.ndarray) -> ObjectsNow:
    """How objects are now; those that were deleted, or whose sample is excluded, are left out.

    Args:
        database: the session's.
        nos: uint32, numbers of objects, in any order.
    """
    import pyarrow as pa

    frames: dict[str, object] = {"wanted": {"object_no": np.ascontiguousarray(nos, np.uint32)}}
    chosen = "NOT o.removed AND o.object_no IN (SELECT object_no FROM wanted)"
    with database.query(
        f"SELECT DISTINCT o.label FROM data.object o WHERE o.label IS NOT NULL AND {chosen} ORDER BY 1", frames=frames
    ) as cursor:
        classes = [str(label) for (label,) in cursor.fetchall()]
    places = arrow_arrays.numbers(np.arange(len(classes)), np.int64)
    frames["words"] = pa.table({"place": places, "word": arrow_arrays.text(classes)})
    sql = (
        "SELECT o.object_no, o.sample_no, coalesce(w.place, -1) AS place, coalesce(o.crowd, false) AS crowd "
        "FROM data.object o JOIN data.sample s ON s.sample_no = o.sample_no AND NOT s.excluded "
        f"LEFT JOIN words w ON w.word = o.label WHERE {chosen} ORDER BY o.object_no"
    )
    with database.query(sql, frames=frames) as cursor:
        found = cursor.fetchnumpy()
    return ObjectsNow(
        np.asarray(found["object_no"], np.uint32),
        np.asarray(found["sample_no"], np.uint32),
        np.asarray(found["place"], np.int64),
        np.asarray(found["crowd"], bool),
        tuple(classes),
    )


def labelled(database: Database) -> np.ndarray:
    """The numbers of all objects with a label that are single things, of samples that are not excluded; ascending."""
    return _numbers(
        database,
        "SELECT o.object_no AS no FROM data.object o JOIN data.sample s USING (sample_no) WHERE NOT o.removed "
        "AND NOT s.excluded AND NOT coalesce(o.crowd, false) AND o.label IS NOT NULL ORDER BY 1",
    )


def waiting(database: Database, queue: str) -> np.ndarray:
    """The numbers of the objects whose samples wait in a queue, ascending."""
    return _numbers(
        database,
        "SELECT o.object_no AS no FROM data.object o WHERE NOT o.removed AND o.sample_no IN "
        "(SELECT sample_no FROM data.task WHERE queue = $queue AND state = 'pending') ORDER BY 1",
        {"queue": queue},
    )


def _numbers(database: Database, sql: str, parameters: dict[str, object] | None = None) -> np.ndarray:
    with database.query(sql, parameters) as cursor:
        return np.asarray(cursor.fetchnumpy()["no"], np.uint32)
