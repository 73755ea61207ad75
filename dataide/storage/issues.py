"""Issues in the session file: what is suspicious about samples, how people answered, and what was searched.

Results of a search stand in `data.issue`. An answer is a change of the field `issues` in the journal: who undoes it has
the issue back, and nothing else need be kept. It holds while picture and label are as they were right after it, so a
search that finds the same again does not ask again, and one about another picture does.

Statements of decisions run inside the caller's transaction; `temp.target` holds the sample numbers acted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dataide.storage import arrow_arrays, findings, standing
from dataide.storage.database import registered
from dataide.storage.query import listed

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

State = Literal["open", "accepted", "rejected", "stale"]
STATES: tuple[State, ...] = ("open", "accepted", "rejected", "stale")
# The field of the journal that answers stand under.
FIELD = "issues"
# What becomes of a sample when the proposal of its issue is accepted; of other kinds there is nothing to accept.
OBJECTS = "objects"
CURES = {"label": "label", "near_duplicate": "excluded", "leak": "excluded", "linter": OBJECTS, "box": OBJECTS}
CURES |= {"object_label": OBJECTS, "object_duplicate": OBJECTS}
KEEP, EXCLUDE = "keep", "exclude"
NONE = -1
_LAST_US = 253_402_300_800_000_000  # the year 10000

_LISTED = (
    "s.sample_id, i.kind, i.score, i.is_issue, s.label, i.proposal, i.confidence, i.reason, i.group_no, i.state, "
    "r.revision, o.object_id"
)
_FROM = (
    "FROM data.issue_now i JOIN data.sample s ON s.sample_no = i.sample_no "
    "LEFT JOIN data.issue_search r ON r.search_no = i.search_no "
    # Of several findings the worst one's object.
    "LEFT JOIN (SELECT kind, sample_no, arg_min(object_no, score) AS object_no FROM data.finding "
    "WHERE object_no IS NOT NULL GROUP BY ALL) w ON w.kind = i.kind AND w.sample_no = i.sample_no "
    "LEFT JOIN data.object o ON o.object_no = w.object_no"
)
_ANSWER = (
    "CAST(json_object('kind', $kind, 'state', $state, 'media_revision', {picture}, 'label', {label}, "
    "'findings', {findings}) AS VARCHAR)"
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found of one kind: a row for each sample that it has something to say of.

    Attributes:
        nos: sample numbers, each once; uint32, shape (n,).
        score: 0..1, low = severe; float32, shape (n,).
        is_issue: worth a person's look; bool, shape (n,).
        proposal: place in `words`, or -1; int32, shape (n,).
        confidence: of the proposal, 0..1, or -1; float32, shape (n,).
        group: number of the group of duplicates, from 0, or -1; int64, shape (n,).
        words: what can be proposed.
        reasons: one sentence for some of the rows, by place.
        of_label: it holds for the present label only.
        findings: about objects, several of a sample: `storage.findings.table`.
    """

    nos: np.ndarray
    score: np.ndarray
    is_issue: np.ndarray
    proposal: np.ndarray | None = None
    confidence: np.ndarray | None = None
    group: np.ndarray | None = None
    words: Sequence[str] = ()
    reasons: Mapping[int, str] = field(default_factory=dict)
    of_label: bool = False
    findings: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The samples a search looked at, as it saw them.

    Attributes:
        nos: ascending; uint32, shape (n,).
        media_revisions: of their pictures; uint32, shape (n,).
        label_nos: places in `classes`, -1 for no label; int32, shape (n,).
        classes: the labels.
    """

    nos: np.ndarray
    media_revisions: np.ndarray
    label_nos: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """One search that was made: what it looked at (`revision`) and what came of it."""

    number: int
    kind: str
    revision: str
    fresh: bool
    samples: int
    issues: int
    note: str | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of one sample, as a tile shows it."""

    kind: str
    score: float
    is_issue: bool
    proposal: str | None
    confidence: float | None
    reason: str | None
    group: int | None
    state: State


def seen(database: Database, nos: np.ndarray) -> Seen:
    """How samples are now: their pictures' revisions and their labels; numbers that are gone are left out."""
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    with database.query(
        "SELECT DISTINCT label FROM data.sample WHERE label IS NOT NULL "
        "AND sample_no IN (SELECT sample_no FROM wanted) ORDER BY label",
        frames={"wanted": wanted},
    ) as cursor:
        classes = [str(label) for (label,) in cursor.fetchall()]
    words = _words(classes)
    sql = (
        "SELECT s.sample_no, s.media_revision, coalesce(w.place, -1) AS label_no FROM data.sample s "
        "LEFT JOIN words w ON w.word = s.label WHERE s.sample_no IN (SELECT sample_no FROM wanted) ORDER BY s.sample_no"
    )
    with database.query(sql, frames={"wanted": wanted, "words": words}) as cursor:
        found = cursor.fetchnumpy()
    return Seen(
        np.asarray(found["sample_no"], np.uint32),
        np.asarray(found["media_revision"], np.uint32),
        np.asarray(found["label_no"], np.int32),
        tuple(classes),
    )


def is_fresh(database: Database, kind: str, revision: str) -> bool:
    """Whether the same search was made before and all it found still stands."""
    sql = "SELECT 1 FROM data.issue_search WHERE kind = ? AND revision = ? AND fresh LIMIT 1"
    with database.query(sql, [kind, revision]) as cursor:
        return bool(cursor.fetchall())


def searches(database: Database) -> list[Search]:
    """The searches that were made, the latest of each kind last."""
    sql = (
        "SELECT search_no, kind, revision, fresh, sample_count, issue_count, note, epoch_us(made_at) "
        "FROM data.issue_search ORDER BY search_no"
    )
    with database.query(sql) as cursor:
        rows = cursor.fetchall()
    return [
        Search(number, kind, revision, fresh, samples, found, note, _moment(made_us))
        for number, kind, revision, fresh, samples, found, note, made_us in rows
    ]


def _moment(epoch_us: int | None) -> datetime:
    """A time of the file; the beginning of all times for one that Python has no word for."""
    if epoch_us is None or not 0 <= epoch_us < _LAST_US:
        epoch_us = 0
    return datetime.fromtimestamp(epoch_us / 1e6, UTC)


def store(
    cursor: Cursor, looked: Seen, kinds: Sequence[str], found: Mapping[str, Found], revision: str, note: str | None
) -> None:
    """Writes what one search found, in place of what was known of these samples; inside the caller's `write()`.

    Args:
        cursor: the cursor that `write()` gave.
        looked: the samples that were looked at.
        kinds: what was looked for.
        found: by kind; of one that is missing nothing was found. Groups of duplicates that have a member among these
            samples are replaced whole.
        revision: of everything that went in.
        note: what else to know.
    """
    with registered(cursor, {"looked": {"sample_no": looked.nos}}):
        cursor.execute("CREATE OR REPLACE TEMP TABLE looked_at AS SELECT sample_no FROM looked").fetchall()
    for kind in kinds:
        cursor.execute(
            "DELETE FROM data.issue WHERE kind = $kind AND (sample_no IN (SELECT sample_no FROM temp.looked_at) "
            "OR group_no IN (SELECT group_no FROM data.issue WHERE kind = $kind AND group_no IS NOT NULL "
            "AND sample_no IN (SELECT sample_no FROM temp.looked_at)))",
            {"kind": kind},
        ).fetchall()
        cursor.execute("UPDATE data.issue_search SET fresh = false WHERE kind = ? AND fresh", [kind]).fetchall()
        cursor.execute(
            "DELETE FROM data.issue_search WHERE kind = ? AND search_no NOT IN (SELECT search_no FROM data.issue)",
            [kind],
        ).fetchall()
        number = _one(cursor, "SELECT coalesce(max(search_no) + 1, 0) FROM data.issue_search")
        flagged = 0
        if kind in found:
            _insert(cursor, kind, looked, found[kind], number)
            flagged = int(np.count_nonzero(found[kind].is_issue))
        findings.store(cursor, kind, found[kind].findings if kind in found else None, of_sample_label=kind == "linter")
        cursor.execute(
            "INSERT INTO data.issue_search VALUES (?, ?, ?, true, ?, ?, ?, ?)",
            [number, kind, revision, len(looked.nos), flagged, note, datetime.now(UTC)],
        ).fetchall()
    cursor.execute("DROP TABLE temp.looked_at").fetchall()


def listing(database: Database, kind: str | None, states: Sequence[State], issues_only: bool = True) -> pa.Table:
    """Issues as a table, the most severe first: sample_id, kind, score … state, revision; excluded samples as well
    where their issue was answered."""
    return database.arrow(
        f"SELECT {_LISTED} {_FROM} WHERE {condition(kind, states, issues_only)} ORDER BY i.score, i.sample_no, i.kind"
    )


def ranking(
    database: Database, kind: str | None, states: Sequence[State], issues_only: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The samples with such issues, the most severe first: numbers (uint32) and the score of the worst (float32).

    It is the order by severity for a grid as well; there with `issues_only=False`, so that what lies just below the
    threshold follows.
    """
    sql = (
        "SELECT i.sample_no, min(i.score) AS score FROM data.issue_now i "
        f"WHERE {condition(kind, states, issues_only)} "
        "GROUP BY i.sample_no ORDER BY min(i.score), i.sample_no"
    )
    with database.query(sql) as cursor:
        found = cursor.fetchnumpy()
    return np.asarray(found["sample_no"], np.uint32), np.asarray(found["score"], np.float32)


def chosen(
    database: Database, kind: str, states: Sequence[State], confidence: float = 0.0, score: float = 1.0
) -> np.ndarray:
    """The samples with issues of one kind that are sure and severe enough, ascending; uint32.

    Args:
        database: the session's.
        kind: of issue.
        states: open, accepted …
        confidence: of the proposal, at least; at 0 there need be no proposal.
        score: at most.
    """
    sql = (
        f"SELECT i.sample_no FROM data.issue_now i WHERE {condition(kind, states, True)} "
        "AND coalesce(i.confidence, CASE WHEN i.proposal IS NULL THEN 0 ELSE 1 END) >= CAST($confidence AS FLOAT) "
        "AND i.score <= CAST($score AS FLOAT) ORDER BY i.sample_no"
    )
    with database.query(sql, {"confidence": float(confidence), "score": float(score)}) as cursor:
        return np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)


def counts(database: Database) -> dict[str, dict[str, int]]:
    """How many issues of each kind are open, accepted, rejected and stale; the kinds with most open ones first."""
    sql = (
        f"SELECT i.kind, i.state, count(*) FROM data.issue_now i WHERE {condition(None, STATES, True)} "
        "GROUP BY i.kind, i.state"
    )
    found: dict[str, dict[str, int]] = {}
    with database.query(sql) as cursor:
        for kind, state, count in cursor.fetchall():
            found.setdefault(str(kind), dict.fromkeys(STATES, 0))[str(state)] = int(count)
    return dict(sorted(found.items(), key=lambda item: (-item[1]["open"], item[0])))


def open_among(database: Database, nos: np.ndarray) -> dict[str, int]:
    """How many open issues of each kind these samples have."""
    sql = (
        f"SELECT i.kind, count(*) FROM data.issue_now i WHERE {condition(None, ('open',), True)} "
        "AND i.sample_no IN (SELECT sample_no FROM wanted) GROUP BY i.kind"
    )
    with database.query(sql, frames={"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}) as cursor:
        return dict(cursor.fetchall())


def of_samples(database: Database, nos: Sequence[int]) -> dict[int, list[Issue]]:
    """The issues of some samples, for tiles and the inspector: the most severe first, those that are no issue left out.

    Stale ones are left out too.
    """
    wanted = {"no": np.asarray(nos, np.uint32)}
    sql = (
        "SELECT i.sample_no, i.kind, i.score, i.is_issue, i.proposal, i.confidence, i.reason, i.group_no, i.state "
        "FROM data.issue_now i WHERE i.sample_no IN (SELECT no FROM wanted) AND i.is_issue AND i.state <> 'stale' "
        "ORDER BY i.sample_no, i.score, i.kind"
    )
    found: dict[int, list[Issue]] = {}
    with database.query(sql, frames={"wanted": wanted}) as cursor:
        for no, *values in cursor.fetchall():
            found.setdefault(int(no), []).append(Issue(*values))
    return found


def accept(cursor: Cursor, event: int, kind: str) -> int:
    """Does what the issues of the samples of `target` propose; says how many samples that changed.

    What was rejected, or is about an earlier picture or label, stays as it is.
    """
    with standing.of_target(cursor, kind):
        return _accepted(cursor, event, kind, CURES[kind])


def _accepted(cursor: Cursor, event: int, kind: str, cure: str) -> int:
    accepting = "FROM temp.standing WHERE state = 'open' AND proposal IS NOT NULL"
    if cure == "label":
        differs, before, after = "label IS DISTINCT FROM proposal", "label", "proposal"
        update = "SET label = a.proposal"
    else:
        differs, before, after = f"proposal = '{EXCLUDE}' AND NOT excluded", "'false'", "'true'"
        update = "SET excluded = true"
    changed = _one(
        cursor,
        f"INSERT INTO data.change_each SELECT $event, sample_no, '{cure}', {before}, {after} {accepting} AND {differs}",
        {"event": event},
    )
    if changed:
        label = "proposal" if cure == "label" else "label"
        answer = _ANSWER.format(picture="media_revision", label=label, findings="NULL")
        cursor.execute(
            f"INSERT INTO data.change_each SELECT $event, sample_no, '{FIELD}', NULL, {answer} {accepting}",
            {"event": event, "kind": kind, "state": "accepted"},
        ).fetchall()
        cursor.execute(
            f"UPDATE data.sample {update} FROM (SELECT sample_no, proposal {accepting} AND {differs}) a "
            "WHERE a.sample_no = sample.sample_no"
        ).fetchall()
    return changed


def answer_sql() -> str:
    """An answer as SQL over `temp.standing`, with $kind and $state."""
    return _ANSWER.format(picture="media_revision", label="label", findings="findings")


def reject(cursor: Cursor, event: int, kind: str) -> int:
    """Notes that the samples of `target` are all right as they are; says how many were open issues before."""
    return _answered(cursor, event, kind, "rejected", was="open")


def reopen(cursor: Cursor, event: int, kind: str) -> int:
    """Takes a rejection back; says of how many samples of `target`."""
    return _answered(cursor, event, kind, "open", was="rejected")


def _answered(cursor: Cursor, event: int, kind: str, state: State, *, was: State) -> int:
    with standing.of_target(cursor, kind):
        return _one(
            cursor,
            f"INSERT INTO data.change_each SELECT $event, sample_no, '{FIELD}', NULL, {answer_sql()} "
            "FROM temp.standing WHERE state = $was",
            {"event": event, "kind": kind, "state": state, "was": was},
        )


def _insert(cursor: Cursor, kind: str, looked: Seen, found: Found, number: int) -> None:
    count = len(found.nos)
    if len(np.unique(found.nos)) < count:
        raise ValueError(f"a sample has several issues of the kind {kind}")
    absent = np.full(count, NONE, np.int64)
    rows = {
        "sample_no": np.ascontiguousarray(found.nos, np.uint32),
        # What is no number is no suspicion.
        "score": np.nan_to_num(np.clip(found.score, 0, 1).astype(np.float32), nan=1.0),
        "is_issue": np.ascontiguousarray(found.is_issue, np.bool_),
        "proposal_no": absent if found.proposal is None else found.proposal.astype(np.int64),
        "confidence": absent.astype(np.float32)
        if found.confidence is None
        else np.nan_to_num(found.confidence.astype(np.float32), nan=NONE),
        "group_no": absent if found.group is None else found.group.astype(np.int64),
    }
    first = 0
    if found.group is not None:
        first = _one(cursor, "SELECT coalesce(max(group_no) + 1, 0) FROM data.issue WHERE kind = $kind", {"kind": kind})
    frames = {
        "arriving": rows,
        "as_seen": {
            "sample_no": looked.nos,
            "media_revision": looked.media_revisions,
            "label_no": looked.label_nos,
        },
        "proposals": _words(found.words),
        "classes": _words(looked.classes),
        "reasons": _reasons(found),
    }
    with registered(cursor, frames):
        cursor.execute(
            "INSERT INTO data.issue SELECT a.sample_no, $kind, a.score, a.is_issue, p.word, "
            "CASE WHEN a.confidence >= 0 THEN a.confidence END, r.reason, "
            "CASE WHEN a.group_no >= 0 THEN a.group_no + $first END, l.media_revision, c.word, $of_label, $number, "
            "NULL "
            "FROM arriving a JOIN as_seen l ON l.sample_no = a.sample_no "
            "LEFT JOIN proposals p ON p.place = a.proposal_no LEFT JOIN classes c ON c.place = l.label_no "
            "LEFT JOIN reasons r ON r.sample_no = a.sample_no",
            {"kind": kind, "first": first, "of_label": found.of_label, "number": number},
        ).fetchall()


def _words(words: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"place": arrow_arrays.numbers(np.arange(len(words)), np.int64), "word": arrow_arrays.text(words)})


def _reasons(found: Found) -> pa.Table:
    import pyarrow as pa

    places = np.fromiter(found.reasons, np.int64, len(found.reasons))
    return pa.table(
        {
            "sample_no": arrow_arrays.numbers(found.nos[places], np.uint32),
            "reason": arrow_arrays.text(list(found.reasons.values())),
        }
    )


def condition(kind: str | None, states: Sequence[State], issues_only: bool) -> str:
    """Of the view `i`; what was excluded for another reason is no longer asked about."""
    parts = [f"i.state IN {listed(states)}", "(NOT i.excluded OR i.state = 'accepted')"]
    if kind is not None:
        parts.append(f"i.kind IN {listed([kind])}")
    if issues_only:
        parts.append("i.is_issue")
    return " AND ".join(parts)


def _one(cursor: Cursor, sql: str, parameters: dict[str, Any] | None = None) -> int:
    return int(cursor.execute(sql, parameters or {}).fetchall()[0][0])
