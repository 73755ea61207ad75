"""The SQL of autotag: marks, what a head tags and takes back, and the heads that were committed.

Marks are changes in the journal (see `0006_marks.sql`). What writes runs inside the caller's transaction, where
`temp.target` holds the sample numbers acted on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dataide.storage import decisions
from dataide.storage.database import registered

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor, Database

Sign = Literal["positive", "negative", "none"]
MODEL = "autotag"
# Who has put the tag on a sample, or taken it from it, last.
_LAST = (
    "(SELECT c.sample_no, arg_max(e.verb, c.event_no) AS verb FROM data.change c "
    "JOIN data.event e ON e.event_no = c.event_no WHERE c.field = 'tag' AND e.state = 'done' "
    "AND (c.after = $tag OR c.before = $tag) GROUP BY c.sample_no)"
)


@dataclass(frozen=True)
class Marks:
    """The marks of one tag.

    Attributes:
        nos: uint32, ascending: the samples.
        positive, asked: bool, as many: whether it has the tag, and whether it was asked about.
    """

    nos: NDArray[np.uint32]
    positive: NDArray[np.bool_]
    asked: NDArray[np.bool_]

    @property
    def positives(self) -> NDArray[np.uint32]:
        return self.nos[self.positive]

    @property
    def negatives(self) -> NDArray[np.uint32]:
        return self.nos[~self.positive]

    def of(self, nos: NDArray[np.integer]) -> list[Sign]:
        """The marks of some samples, in their order."""
        places = np.searchsorted(self.nos, nos)
        return [
            "none"
            if place == len(self.nos) or self.nos[place] != no
            else ("positive" if self.positive[place] else "negative")
            for place, no in zip(places.tolist(), np.asarray(nos).tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Committed:
    """What was committed last under a tag and stands."""

    head: str
    embedding: str
    threshold: float


def field_of(tag: str) -> str:
    """The field under which the journal has the marks of a tag."""
    return f"mark “{tag}”"


def marks(database: Database, tag: str) -> Marks:
    """The marks of a tag that stand."""
    with database.query(
        f"SELECT c.sample_no, {_said()} AS said {_marked()} ORDER BY c.sample_no", [field_of(tag)]
    ) as cursor:
        found = cursor.fetchall()
    said = [text for _, text in found if text != "none"]
    nos = np.asarray([no for no, text in found if text != "none"], np.uint32)
    return Marks(
        nos,
        np.asarray([text.startswith("positive") for text in said], bool),
        np.asarray(["asked" in text for text in said], bool),
    )


def put(cursor: Cursor, event: int, tag: str, sign: Sign, asked: NDArray[np.uint32]) -> int:
    """Marks the samples of `target` that are not marked so; those among `asked` as answers to a question."""
    with registered(cursor, {"lent_asked": {"sample_no": asked}}):
        rows = cursor.execute(
            "INSERT INTO data.change_each SELECT $event, t.sample_no, $field, m.said, "
            "CASE WHEN a.sample_no IS NULL OR $sign = 'none' THEN $sign ELSE $sign || ', asked' END "
            f"FROM temp.target t LEFT JOIN (SELECT c.sample_no, {_said()} AS said {_marked('$field')}) m "
            "ON m.sample_no = t.sample_no LEFT JOIN lent_asked a ON a.sample_no = t.sample_no "
            "WHERE split_part(coalesce(m.said, 'none'), ',', 1) <> $sign",
            {"event": event, "field": field_of(tag), "sign": sign},
        ).fetchall()
    return int(rows[0][0])


def tag(cursor: Cursor, event: int, name: str, rest: NDArray[np.uint32]) -> tuple[int, int]:
    """Tags the samples of `target`, and takes the tag from those of `rest` where nobody but autotag put it.

    A negative mark takes it away whoever put it; what a person took the tag from is left without, unless it is marked.

    Returns:
        How many samples got the tag, and how many lost it.
    """
    given = {"tag": name, "event": event, "field": field_of(name)}
    cursor.execute(
        f"DELETE FROM temp.target WHERE sample_no IN (SELECT sample_no FROM {_LAST} WHERE verb = 'untag') "
        "AND sample_no NOT IN (SELECT m.sample_no FROM data.mark m WHERE m.tag = $tag AND m.positive)",
        {"tag": name},
    ).fetchall()
    with registered(cursor, {"lent_rest": {"sample_no": rest}}):
        taken = cursor.execute(
            "INSERT INTO data.change_each SELECT $event, g.sample_no, 'tag', $tag, NULL FROM data.tag g "
            "JOIN lent_rest r ON r.sample_no = g.sample_no WHERE g.tag = $tag AND "
            f"(g.sample_no IN (SELECT sample_no FROM {_LAST} WHERE verb = 'autotag') "
            f"OR g.sample_no IN (SELECT c.sample_no {_marked('$field')} HAVING starts_with({_said()}, 'negative')))",
            given,
        ).fetchall()[0][0]
    if taken:
        cursor.execute(
            "DELETE FROM data.tag WHERE tag = $tag AND sample_no IN "
            "(SELECT sample_no FROM data.change_each WHERE event_no = $event AND field = 'tag' AND after IS NULL)",
            {"tag": name, "event": event},
        ).fetchall()
    return decisions.tag(cursor, event, name), int(taken)


def committed(database: Database, tag: str) -> Committed | None:
    """The latest commit of a tag that was not undone; None where there is none that can be read."""
    sql = (
        "SELECT arguments FROM data.event WHERE verb = 'autotag' AND state = 'done' "
        "AND json_extract_string(arguments, '$.tag') = ? ORDER BY event_no DESC LIMIT 1"
    )
    with database.query(sql, [tag]) as cursor:
        rows = cursor.fetchall()
    if not rows:
        return None
    try:
        said = json.loads(rows[0][0])
        return Committed(str(said["head"]), str(said["embedding"]), float(said["threshold"]))
    except (ValueError, KeyError, TypeError):
        return None


def head(database: Database, tag: str, revision: str) -> dict[str, Any] | None:
    """What is kept of a head, as JSON holds it; None where it is not there."""
    sql = "SELECT state FROM data.model WHERE kind = ? AND name = ? AND revision = ? AND state IS NOT NULL LIMIT 1"
    with database.query(sql, [MODEL, model_name(tag), revision]) as cursor:
        rows = cursor.fetchall()
    try:
        found = json.loads(bytes(rows[0][0])) if rows else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def model_name(tag: str) -> str:
    """The name in `session.models`; no model that predicts has it by chance."""
    return f"autotag “{tag}”"


def embedding_of(database: Database, tag: str) -> str | None:
    """The embedding that was used with this tag last."""
    sql = (
        "SELECT json_extract_string(arguments, '$.embedding') FROM data.event WHERE verb IN ('autotag', 'mark') "
        "AND json_extract_string(arguments, '$.tag') = ? AND json_extract_string(arguments, '$.embedding') IS NOT NULL "
        "ORDER BY event_no DESC LIMIT 1"
    )
    with database.query(sql, [tag]) as cursor:
        rows = cursor.fetchall()
    return rows[0][0] if rows else None


def tagged(database: Database, tag: str) -> int:
    """How many samples have the tag."""
    with database.query("SELECT count(*) FROM data.tag WHERE tag = ?", [tag]) as cursor:
        return int(cursor.fetchall()[0][0])


def with_tag(database: Database, tag: str) -> NDArray[np.uint32]:
    """The samples that have the tag, excluded ones left out; ascending."""
    sql = (
        "SELECT g.sample_no FROM data.tag g JOIN data.sample s ON s.sample_no = g.sample_no "
        "WHERE g.tag = ? AND NOT s.excluded ORDER BY 1"
    )
    with database.query(sql, [tag]) as cursor:
        return np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)


def listing(database: Database) -> pa.Table:
    """Tags that were marked or committed: tag, positives, negatives, tagged, embedding, threshold, head, when."""
    return database.arrow(
        "WITH marked AS (SELECT tag, count_if(positive) AS positives, count_if(NOT positive) AS negatives "
        "FROM data.mark GROUP BY tag), "
        "done AS (SELECT json_extract_string(arguments, '$.tag') AS tag, arg_max(arguments, event_no) AS said, "
        "max(decided_at) AS committed_at FROM data.event WHERE verb = 'autotag' AND state = 'done' GROUP BY 1), "
        "had AS (SELECT tag, count(*) AS tagged FROM data.tag GROUP BY tag) "
        "SELECT tag, CAST(coalesce(positives, 0) AS BIGINT) AS positives, "
        "CAST(coalesce(negatives, 0) AS BIGINT) AS negatives, coalesce(tagged, 0) AS tagged, "
        "json_extract_string(said, '$.embedding') AS embedding, "
        "try_cast(json_extract_string(said, '$.threshold') AS DOUBLE) AS threshold, "
        "json_extract_string(said, '$.head') AS head, committed_at "
        "FROM marked FULL JOIN done USING (tag) LEFT JOIN had USING (tag) ORDER BY tag"
    )


def _said() -> str:
    return "arg_max(c.after, c.event_no)"


def _marked(field: str = "?") -> str:
    return (
        "FROM data.change_each c JOIN data.event e ON e.event_no = c.event_no "
        f"WHERE c.field = {field} AND e.state = 'done' GROUP BY c.sample_no"
    )
