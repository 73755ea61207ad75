"""The SQL of decisions: what changes, in the journal and in the present state, and the way back.

Every statement here runs inside the caller's transaction. `temp.target` holds the sample numbers acted on.

`data.change` is a view: `change_each` has a row with its texts for each sample, `alike` what an event did to all of the
samples that `alike_sample` numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dataide.storage import objects_journal
from dataide.storage.database import registered
from dataide.storage.documented import quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.storage.database import Cursor, Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_COLUMNS = "event_no, uuid, epoch_us(decided_at), author, verb, arguments, target, sample_count, state, refers_to"


@dataclass(frozen=True)
class EventRow:
    """One row of the journal."""

    event: int
    uuid: str
    at: datetime
    author: str
    verb: str
    arguments: str
    target: str
    count: int
    state: str
    refers_to: int | None


def next_event(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT coalesce(max(event_no), 0) + 1 FROM data.event").fetchall()[0][0])


def add_event(
    cursor: Cursor,
    event: int,
    *,
    uuid: str,
    author: str,
    verb: str,
    arguments: str,
    target: str,
    count: int,
    refers_to: int | None = None,
) -> None:
    cursor.execute(
        "INSERT INTO data.event VALUES "
        "($event, $uuid, now(), $author, $verb, $arguments, $target, $count, 'done', $refers_to)",
        {
            "event": event, "uuid": uuid, "author": author, "verb": verb, "arguments": arguments, "target": target,
            "count": count, "refers_to": refers_to,
        },
    )  # fmt: skip


def drop_undone(cursor: Cursor) -> None:
    """A new decision overtakes what was undone: it can no longer be redone."""
    cursor.execute("UPDATE data.event SET state = 'dropped' WHERE state = 'undone'")


def set_state(cursor: Cursor, event: int, state: str) -> None:
    cursor.execute("UPDATE data.event SET state = $state WHERE event_no = $event", {"state": state, "event": event})


@contextmanager
def targeted(cursor: Cursor, nos: NDArray[np.uint32]) -> Iterator[None]:
    """Lends the samples acted on as the table `temp.target`, ascending and each once, inside the caller's transaction.

    A lent array is read by one thread, a table by all: half the time of a decision about half a million samples.
    """
    with registered(cursor, {"lent_target": {"sample_no": nos}}):
        cursor.execute("CREATE OR REPLACE TEMP TABLE target AS SELECT sample_no FROM lent_target").fetchall()
    yield
    # After an error the rollback takes the table with it.
    cursor.execute("DROP TABLE temp.target").fetchall()


def tag(cursor: Cursor, event: int, name: str) -> int:
    """Puts a tag on the samples of `target` that do not have it."""
    if not _there(cursor, "data.tag", "tag = $name", name):
        # The usual case, a new word: nothing to compare with, and no way round by the journal.
        added = _note_alike(cursor, event, "tag", name)
        _count(cursor, "INSERT INTO data.tag SELECT sample_no, $tag FROM temp.target", {"tag": name})
        return added
    added = _count(
        cursor,
        "INSERT INTO data.change_each SELECT $event, t.sample_no, 'tag', NULL, $tag FROM temp.target t "
        "ANTI JOIN (SELECT sample_no FROM data.tag WHERE tag = $tag) had ON had.sample_no = t.sample_no",
        {"event": event, "tag": name},
    )
    if added:
        _tags_in(cursor, event, "after")
    return added


def untag(cursor: Cursor, event: int, name: str) -> int:
    """Takes a tag from the samples of `target` that have it."""
    count = _count(
        cursor,
        "INSERT INTO data.change_each SELECT $event, g.sample_no, 'tag', $tag, NULL FROM data.tag g "
        "JOIN temp.target t ON t.sample_no = g.sample_no WHERE g.tag = $tag",
        {"event": event, "tag": name},
    )
    if count:
        _count(
            cursor,
            "DELETE FROM data.tag WHERE tag = $tag AND sample_no IN (SELECT sample_no FROM temp.target)",
            {"tag": name},
        )
    return count


def assign(cursor: Cursor, event: int, column: str, kind: str, value: Any) -> int:
    """Gives a column one value on the samples of `target` where it has another."""
    name = quoted(column)
    given: dict[str, Any] = {"event": event, "field": column}
    if value is None:
        new, differs = "NULL", f"s.{name} IS NOT NULL"
    else:
        # Not IS DISTINCT FROM, which DuckDB evaluates five times as slowly over a million texts.
        new, differs = f"CAST($value AS {kind})", f"(s.{name} <> CAST($value AS {kind}) OR s.{name} IS NULL)"
        given["value"] = value
    count = _count(
        cursor,
        f"INSERT INTO data.change_each SELECT $event, s.sample_no, $field, CAST(s.{name} AS VARCHAR), "
        f"CAST({new} AS VARCHAR) FROM data.sample s JOIN temp.target t ON t.sample_no = s.sample_no WHERE {differs}",
        given,
    )
    if not count:
        return 0
    if count == _targets(cursor):
        changing = "SELECT sample_no FROM temp.target"
        given = {"value": value} if value is not None else {}
    else:
        changing = "SELECT sample_no FROM data.change WHERE event_no = $event AND field = $field"
    _count(cursor, f"UPDATE data.sample SET {name} = {new} WHERE sample_no IN ({changing})", given)
    return count


def enqueue(cursor: Cursor, event: int, queue: str, reason: str | None, priority: float | None) -> int:
    """Makes a pending task for the samples of `target`, where there is none like it."""
    if not _there(cursor, "data.task", "queue = $name", queue):
        given = {"queue": queue, "reason": reason, "priority": priority}
        task = task_text("$queue", "'pending'", "$reason", "$priority", "NULL")
        text = cursor.execute(f"SELECT {task}", given).fetchall()[0][0]
        added = _note_alike(cursor, event, "queue", text)
        _count(
            cursor,
            "INSERT INTO data.task SELECT $queue, sample_no, 'pending', $reason, $priority, NULL FROM temp.target",
            given,
        )
        return added
    given = {"event": event, "queue": queue, "reason": reason, "priority": priority}
    before = task_text("k.queue", "k.state", "k.reason", "k.priority", "k.owner")
    after = task_text(
        "$queue", "'pending'", "coalesce($reason, k.reason)", "coalesce($priority, k.priority)", "k.owner"
    )
    count = _count(
        cursor,
        f"""
        INSERT INTO data.change_each
        SELECT $event, t.sample_no, 'queue', CASE WHEN k.sample_no IS NULL THEN NULL ELSE {before} END, {after}
        FROM temp.target t LEFT JOIN (SELECT * FROM data.task WHERE queue = $queue) k ON k.sample_no = t.sample_no
        WHERE k.sample_no IS NULL OR k.state <> 'pending'
           OR ($reason IS NOT NULL AND k.reason IS DISTINCT FROM $reason)
           OR ($priority IS NOT NULL AND k.priority IS DISTINCT FROM CAST($priority AS DOUBLE))
        """,
        given,
    )
    if count:
        _tasks_out(cursor, event, "before")
        _tasks_in(cursor, event, "after")
    return count


def changed_samples(cursor: Cursor, event: int) -> int:
    """How many samples one event touched."""
    sql = "SELECT count(DISTINCT sample_no) FROM data.change WHERE event_no = ?"
    return int(cursor.execute(sql, [event]).fetchall()[0][0])


def restore(cursor: Cursor, event: int, *, side: str, columns: dict[str, str]) -> None:
    """Puts back what stood before (`side="before"`) or after (`side="after"`) an event."""
    if objects_journal.restore(cursor, event, side=side):
        return
    other = "after" if side == "before" else "before"
    sql = (
        "SELECT field FROM data.alike WHERE event_no = $event "
        "UNION SELECT field FROM data.change_each WHERE event_no = $event"
    )
    for (field,) in cursor.execute(sql, {"event": event}).fetchall():
        if field == "tag":
            _tags_out(cursor, event, other)
            _tags_in(cursor, event, side)
        elif field == "queue":
            _tasks_out(cursor, event, other)
            _tasks_in(cursor, event, side)
        elif field == "issues":
            continue  # answers are read from the journal itself
        elif field in columns:
            cursor.execute(
                f"UPDATE data.sample SET {quoted(field)} = CAST(c.{side} AS {columns[field]}) FROM data.change c "
                "WHERE c.event_no = $event AND c.field = $field AND c.sample_no = sample.sample_no",
                {"event": event, "field": field},
            )


def by_uuid(database: Database, uuid: str) -> EventRow | None:
    return _first(database, "WHERE uuid = ?", [uuid])


def by_number(database: Database, event: int) -> EventRow | None:
    return _first(database, "WHERE event_no = ?", [event])


def next_undo(database: Database) -> EventRow | None:
    """The latest decision that stands."""
    return _first(database, "WHERE state = 'done' AND verb NOT IN ('undo', 'redo') ORDER BY event_no DESC", [])


def next_redo(database: Database) -> EventRow | None:
    """The undone decision that was undone last: the earliest, because undo goes backwards."""
    return _first(database, "WHERE state = 'undone' ORDER BY event_no", [])


def all_events(database: Database) -> pa.Table:
    return database.arrow(
        "SELECT event_no AS event, decided_at AS at, author, verb, arguments, target, "
        "CAST(sample_count AS BIGINT) AS count, state, refers_to FROM data.event ORDER BY event_no"
    )


def sample_changes(database: Database, no: int, limit: int) -> list[tuple[EventRow, str, str | None, str | None]]:
    """What happened to one sample, the latest first: event, field, before, after."""
    listed = ", ".join(f"e.{name}" if "(" not in name else name for name in _EVENT_COLUMNS.split(", "))
    sql = (
        f"SELECT {listed}, c.field, c.before, c.after FROM data.change c JOIN data.event e USING (event_no) "
        "WHERE c.sample_no = ? ORDER BY e.event_no DESC, c.field LIMIT ?"
    )
    with database.query(sql, [no, limit]) as cursor:
        return [(_row(row[:-3]), *row[-3:]) for row in cursor.fetchall()]


def _first(database: Database, condition: str, parameters: Sequence[Any]) -> EventRow | None:
    with database.query(f"SELECT {_EVENT_COLUMNS} FROM data.event {condition} LIMIT 1", parameters) as cursor:
        rows = cursor.fetchall()
    return _row(rows[0]) if rows else None


def _row(row: Sequence[Any]) -> EventRow:
    event, uuid, at, *rest = row
    return EventRow(event, uuid, _EPOCH + timedelta(microseconds=at), *rest)


def _count(cursor: Cursor, sql: str, parameters: dict[str, Any]) -> int:
    return int(cursor.execute(sql, parameters).fetchall()[0][0])


def _targets(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT count(*) FROM temp.target").fetchall()[0][0])


def _there(cursor: Cursor, table: str, condition: str, name: str) -> int:
    """How many rows under this name a table has for the samples of `target`."""
    # Whether the word is there at all is cheap to see, and it mostly is not: then half a million need not be hashed.
    if not cursor.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1", {"name": name}).fetchall():
        return 0
    sql = f"SELECT count(*) FROM {table} k JOIN temp.target t ON t.sample_no = k.sample_no WHERE {condition}"
    return _count(cursor, sql, {"name": name})


def _note_alike(cursor: Cursor, event: int, field: str, after: str) -> int:
    """Notes that all samples of `target` came by this value, and had none. Returns how many they are."""
    cursor.execute(
        "INSERT INTO data.alike VALUES ($event, $field, NULL, $after)",
        {"event": event, "field": field, "after": after},
    )
    return _count(cursor, "INSERT INTO data.alike_sample SELECT $event, sample_no FROM temp.target", {"event": event})


def _tags_in(cursor: Cursor, event: int, side: str) -> None:
    cursor.execute(
        f"INSERT INTO data.tag SELECT sample_no, {side} FROM data.change "
        f"WHERE event_no = $event AND field = 'tag' AND {side} IS NOT NULL",
        {"event": event},
    )


def _tags_out(cursor: Cursor, event: int, side: str) -> None:
    cursor.execute(
        f"DELETE FROM data.tag USING data.change c WHERE c.event_no = $event AND c.field = 'tag' "
        f"AND c.{side} = tag.tag AND c.sample_no = tag.sample_no",
        {"event": event},
    )


def _tasks_in(cursor: Cursor, event: int, side: str) -> None:
    # Each different text is parsed once: a decision about half a million samples mostly writes one.
    parts = ", ".join(
        f"json_extract_string(task, '$.{part}') AS {part}" for part in ("queue", "state", "reason", "priority", "owner")
    )
    cursor.execute(
        f"INSERT INTO data.task SELECT t.queue, c.sample_no, t.state, t.reason, CAST(t.priority AS DOUBLE), t.owner "
        f"FROM data.change c JOIN (SELECT task, {parts} FROM (SELECT DISTINCT {side} AS task FROM data.change "
        f"WHERE event_no = $event AND field = 'queue' AND {side} IS NOT NULL)) t ON t.task = c.{side} "
        "WHERE c.event_no = $event AND c.field = 'queue'",
        {"event": event},
    )


def _tasks_out(cursor: Cursor, event: int, side: str) -> None:
    cursor.execute(
        f"DELETE FROM data.task USING data.change c WHERE c.event_no = $event AND c.field = 'queue' "
        f"AND json_extract_string(c.{side}, '$.queue') = task.queue AND c.sample_no = task.sample_no",
        {"event": event},
    )


def task_text(queue: str, state: str, reason: str, priority: str, owner: str) -> str:
    """A task as the journal keeps it, as SQL; each part is SQL as well."""
    return (
        f"CAST(json_object('queue', {queue}, 'state', {state}, 'reason', {reason}, "
        f"'priority', CAST({priority} AS DOUBLE), 'owner', {owner}) AS VARCHAR)"
    )
