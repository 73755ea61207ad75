"""The SQL of autotag: marks, what a head tags and takes back, and the heads that were committed.

Marks are changes of the field `mark “TAG”` in the journal: positive, negative or none, and behind a comma “asked” where
the sample was asked about, so that undo and redo need nothing else. A mark is about the picture that was seen: from the
second picture of a sample on it names which, and it counts no longer once the picture was replaced. Marks of objects
stand likewise among the changes of objects (`storage/object_marks.py`). What writes runs inside the caller's
transaction, where `temp.target` holds the sample numbers acted on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
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
    """The marks of one tag that count.

    Attributes:
        nos: uint32, ascending: the samples, or the objects.
        positive, asked: bool, as many: whether it has the tag, and whether it was asked about.
        stale: uint32, ascending: whose mark counts no longer, as the picture was replaced since.
    """

    nos: NDArray[np.uint32]
    positive: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    stale: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))

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
    """What was committed last under a tag and stands; `label` is what objects were given."""

    head: str
    embedding: str
    threshold: float
    label: str | None = None


def field_of(tag: str) -> str:
    """The field under which the journal has the marks of a tag."""
    return f"mark “{tag}”"


@dataclass(frozen=True)
class Ledger:
    """Where the marks of something stand.

    Attributes:
        changes: the table of the journal.
        key: what it has a row for.
        owner: SQL behind JOIN that leads from a row `w` to its sample `s`.
    """

    changes: str
    key: str
    owner: str

    def standing(self, which: str = "c.field = $field") -> str:
        """A table of the marks that were not taken back: key, tag, said, positive, asked, fresh.

        Args:
            which: SQL over changes `c`; by default those of one field.
        """
        return (
            f"(SELECT w.*, starts_with(w.said, 'positive') AS positive, "
            f"contains(w.said, 'asked') AS asked, {PICTURE} = s.media_revision AS fresh FROM "
            f"(SELECT c.{self.key}, substr(c.field, 7, length(c.field) - 7) AS tag, "
            f"arg_max(c.after, c.event_no) AS said FROM {self.changes} c "
            "JOIN data.event e ON e.event_no = c.event_no "
            f"WHERE {which} AND e.state = 'done' GROUP BY ALL) w JOIN {self.owner} "
            "WHERE w.said <> 'none')"
        )

    def counted(self) -> str:
        """A query of all tags that are marked: tag, positives, negatives, stale."""
        return (
            "SELECT tag, count_if(positive AND fresh) AS positives, count_if(NOT positive AND fresh) AS negatives, "
            "count_if(NOT fresh) AS stale FROM " + self.standing("starts_with(c.field, 'mark “')") + " GROUP BY tag"
        )

    def read(self, database: Database, tag: str) -> Marks:
        """The marks of a tag that stand."""
        sql = f"SELECT {self.key} AS no, positive, asked, fresh FROM {self.standing()} ORDER BY 1"
        with database.query(sql, {"field": field_of(tag)}) as cursor:
            found = cursor.fetchnumpy()
        fresh = np.asarray(found["fresh"], bool)
        nos = np.asarray(found["no"], np.uint32)
        return Marks(
            nos[fresh], np.asarray(found["positive"], bool)[fresh], np.asarray(found["asked"], bool)[fresh], nos[~fresh]
        )


# Which picture of its sample a mark `w` is about.
PICTURE = r"coalesce(try_cast(regexp_extract(w.said, 'picture (\d+)', 1) AS UINTEGER), 1)"
# What is said of a mark of the picture that sample `s` has now; `a` holds what was asked about.
SAYING = (
    "CASE WHEN $sign = 'none' THEN $sign ELSE $sign || CASE WHEN a.no IS NULL THEN '' ELSE ', asked' END || "
    "CASE WHEN s.media_revision = 1 THEN '' ELSE ', picture ' || s.media_revision END END"
)
_SAMPLES = Ledger("data.change_each", "sample_no", "data.sample s ON s.sample_no = w.sample_no")


def differs(ledger_marks: str) -> str:
    """Whether a sample or object is not marked so already: marks are joined as this, and may be of another picture."""
    return (
        f"(split_part(coalesce({ledger_marks}.said, 'none'), ',', 1) <> $sign "
        f"OR ($sign <> 'none' AND NOT {ledger_marks}.fresh))"
    )


def marks(database: Database, tag: str) -> Marks:
    """The marks of a tag that stand."""
    return _SAMPLES.read(database, tag)


def put(cursor: Cursor, event: int, tag: str, sign: Sign, asked: NDArray[np.uint32]) -> int:
    """Marks the samples of `target` that are not marked so; those among `asked` as answers to a question."""
    with registered(cursor, {"lent_asked": {"no": asked}}):
        rows = cursor.execute(
            f"INSERT INTO data.change_each SELECT $event, t.sample_no, $field, m.said, {SAYING} "
            "FROM temp.target t JOIN data.sample s ON s.sample_no = t.sample_no "
            f"LEFT JOIN {_SAMPLES.standing()} m ON m.sample_no = t.sample_no "
            f"LEFT JOIN lent_asked a ON a.no = t.sample_no WHERE {differs('m')}",
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
        f"AND sample_no NOT IN (SELECT sample_no FROM {_SAMPLES.standing()} WHERE positive AND fresh)",
        {"tag": name, "field": field_of(name)},
    ).fetchall()
    with registered(cursor, {"lent_rest": {"sample_no": rest}}):
        taken = cursor.execute(
            "INSERT INTO data.change_each SELECT $event, g.sample_no, 'tag', $tag, NULL FROM data.tag g "
            "JOIN lent_rest r ON r.sample_no = g.sample_no WHERE g.tag = $tag AND "
            f"(g.sample_no IN (SELECT sample_no FROM {_LAST} WHERE verb = 'autotag') "
            f"OR g.sample_no IN (SELECT sample_no FROM {_SAMPLES.standing()} WHERE NOT positive AND fresh))",
            given,
        ).fetchall()[0][0]
    if taken:
        cursor.execute(
            "DELETE FROM data.tag WHERE tag = $tag AND sample_no IN "
            "(SELECT sample_no FROM data.change_each WHERE event_no = $event AND field = 'tag' AND after IS NULL)",
            {"tag": name, "event": event},
        ).fetchall()
    return decisions.tag(cursor, event, name), int(taken)


def committed(database: Database, tag: str, verb: str = "autotag") -> Committed | None:
    """The latest commit of a tag that was not undone; None where there is none that can be read."""
    sql = (
        "SELECT arguments FROM data.event WHERE verb = $verb AND state = 'done' "
        "AND json_extract_string(arguments, '$.tag') = $tag ORDER BY event_no DESC LIMIT 1"
    )
    with database.query(sql, {"verb": verb, "tag": tag}) as cursor:
        rows = cursor.fetchall()
    if not rows:
        return None
    try:
        said = json.loads(rows[0][0])
        label = said.get("label")
        return Committed(
            str(said["head"]), str(said["embedding"]), float(said["threshold"]), None if label is None else str(label)
        )
    except (ValueError, KeyError, TypeError):
        return None


def head(database: Database, name: str, revision: str) -> dict[str, Any] | None:
    """What is kept of a head under a name of `session.models`, as JSON holds it; None where it is not there."""
    sql = "SELECT state FROM data.model WHERE kind = ? AND name = ? AND revision = ? AND state IS NOT NULL LIMIT 1"
    with database.query(sql, [MODEL, name, revision]) as cursor:
        rows = cursor.fetchall()
    try:
        found = json.loads(bytes(rows[0][0])) if rows else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def model_name(tag: str) -> str:
    """The name in `session.models`; no model that predicts has it by chance."""
    return f"autotag “{tag}”"


def embedding_of(database: Database, tag: str, ending: str = "") -> str | None:
    """The embedding that was used with this tag last; `ending` is "_objects" for the verbs of objects."""
    sql = (
        "SELECT json_extract_string(arguments, '$.embedding') FROM data.event WHERE verb IN ($commit, $mark) "
        "AND json_extract_string(arguments, '$.tag') = $tag "
        "AND json_extract_string(arguments, '$.embedding') IS NOT NULL ORDER BY event_no DESC LIMIT 1"
    )
    with database.query(sql, {"commit": f"autotag{ending}", "mark": f"mark{ending}", "tag": tag}) as cursor:
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
    """Tags that were marked or committed: tag, positives, negatives, stale, tagged, embedding, threshold, head,
    committed_at; `stale` counts marks of pictures that were replaced since."""
    return database.arrow(
        f"WITH marked AS ({_SAMPLES.counted()}), "
        "done AS (SELECT json_extract_string(arguments, '$.tag') AS tag, arg_max(arguments, event_no) AS said, "
        "max(decided_at) AS committed_at FROM data.event WHERE verb = 'autotag' AND state = 'done' GROUP BY 1), "
        "had AS (SELECT tag, count(*) AS tagged FROM data.tag GROUP BY tag) "
        "SELECT tag, CAST(coalesce(positives, 0) AS BIGINT) AS positives, "
        "CAST(coalesce(negatives, 0) AS BIGINT) AS negatives, CAST(coalesce(stale, 0) AS BIGINT) AS stale, "
        "coalesce(tagged, 0) AS tagged, "
        "json_extract_string(said, '$.embedding') AS embedding, "
        "try_cast(json_extract_string(said, '$.threshold') AS DOUBLE) AS threshold, "
        "json_extract_string(said, '$.head') AS head, committed_at "
        "FROM marked FULL JOIN done USING (tag) LEFT JOIN had USING (tag) ORDER BY tag"
    )
