"""Small lists about a session: labels, tags, queues, problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.storage.database import Database

_COUNTS = {
    "label": "SELECT label, count(*) FROM data.sample WHERE label IS NOT NULL AND NOT excluded "
    "GROUP BY label ORDER BY count(*) DESC, label",
    "tag": "SELECT tag, count(*) FROM data.tag GROUP BY tag ORDER BY count(*) DESC, tag",
    "queue": "SELECT queue, count(*) FROM data.task WHERE state = 'pending' "
    "GROUP BY queue ORDER BY count(*) DESC, queue",
}


def counts(database: Database, what: str) -> dict[str, int]:
    """How many samples each label, tag or queue has, the most frequent first."""
    with database.query(_COUNTS[what]) as cursor:
        return dict(cursor.fetchall())


def summary(database: Database) -> dict[str, Any]:
    """The counts that a session says about itself."""
    sql = """
        SELECT (SELECT count(*) FROM data.sample WHERE NOT excluded) AS samples,
               (SELECT count(*) FROM data.sample WHERE excluded) AS excluded,
               (SELECT count(DISTINCT label) FROM data.sample) AS labels,
               (SELECT count(DISTINCT tag) FROM data.tag) AS tags,
               (SELECT count(DISTINCT queue) FROM data.task WHERE state = 'pending') AS queues,
               (SELECT count(*) FROM data.problem) AS problems
    """
    with database.query(sql) as cursor:
        row = cursor.fetchall()[0]
    return dict(zip(("samples", "excluded", "labels", "tags", "queues", "problems"), row, strict=True))


def problems(database: Database) -> pa.Table:
    """What could not be taken in or read, the latest last."""
    return database.arrow(
        "SELECT found_at AS at, source, media, code, reason FROM data.problem ORDER BY found_at, media"
    )


def projections(database: Database) -> list[str]:
    """The names of the maps, the oldest first."""
    with database.query("SELECT name FROM data.projection ORDER BY projection_no") as cursor:
        return [name for (name,) in cursor.fetchall()]


def embeddings(database: Database) -> list[str]:
    """The names of the embeddings, the oldest first."""
    with database.query("SELECT name FROM data.embedding ORDER BY embedding_no") as cursor:
        return [name for (name,) in cursor.fetchall()]


def places(database: Database, projection: str) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    """Where the samples lie on a map: numbers, x, y."""
    sql = "SELECT q.sample_no, q.x, q.y FROM data.point q JOIN data.projection p USING (projection_no) WHERE p.name = ?"
    with database.query(sql, [projection]) as cursor:
        found = cursor.fetchnumpy()
    return np.asarray(found["sample_no"]), np.asarray(found["x"]), np.asarray(found["y"])
