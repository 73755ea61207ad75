"""Findings about objects of samples, in the session file, and what repairs them.

Several findings of one sample are one issue of it (`issues.py`). What a repair does stands in the journal as all else
that is done to objects. Statements of decisions run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage import arrow_arrays, objects_journal
from dataide.storage.database import registered
from dataide.storage.object_tables import BOX
from dataide.storage.query import listed

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

ACTS = ("delete", "box", "relabel")
_SEEN = f"struct_pack(label := o.label, {', '.join(f'{side} := o.{side}' for side in BOX)})"
_NOTHING = "NULL, NULL, NULL, NULL"
_DIGEST = "md5(string_agg(concat_ws(' ', rule, object_no, other_no), ',' ORDER BY rule, object_no, other_no))"


def table(
    sample_no: np.ndarray,
    object_no: np.ndarray,
    other_no: np.ndarray,
    rule: Sequence[str],
    severity: Sequence[str],
    score: np.ndarray,
    message: Sequence[str],
    act: Sequence[str],
    box: np.ndarray,
    label: Sequence[str | None],
) -> pa.Table:
    """M findings as `store` takes them.

    Args:
        sample_no: M numbers. object_no, other_no: M numbers, -1 for none.
        rule, severity, message, act: M texts. score: M in [0, 1].
        box: M x 4, the new box; NaN for none. label: M new labels.
    """
    import pyarrow as pa

    sides = {name: arrow_arrays.numbers(box[:, place], np.float64) for place, name in enumerate(BOX)}
    return pa.table(
        {
            "sample_no": arrow_arrays.numbers(sample_no, np.uint32),
            "object_no": arrow_arrays.numbers(object_no, np.int64),
            "other_no": arrow_arrays.numbers(other_no, np.int64),
            "rule": arrow_arrays.text(list(rule)),
            "severity": arrow_arrays.text(list(severity)),
            "score": arrow_arrays.numbers(score, np.float32),
            "message": arrow_arrays.text(list(message)),
            "act": arrow_arrays.text(list(act)),
            **sides,
            "label": arrow_arrays.text(list(label)),
        }
    )


def store(cursor: Cursor, kind: str, found: pa.Table | None, *, of_sample_label: bool = False) -> None:
    """Writes findings in place of what was known of the samples in `temp.looked_at`, whose issues stand already.

    Args:
        cursor: the cursor that `write()` gave.
        kind: of the issues.
        found: as `table` makes it; None for none.
        of_sample_label: those about a sample itself hold for its present label only.
    """
    cursor.execute(
        "DELETE FROM data.finding WHERE kind = ? AND sample_no IN (SELECT sample_no FROM temp.looked_at)", [kind]
    ).fetchall()
    if found is None or not found.num_rows:
        return
    of_sample = f"struct_pack(label := s.label, {', '.join(f'{side} := CAST(NULL AS DOUBLE)' for side in BOX)})"
    sides = ", ".join(f"CASE WHEN isnan(f.{side}) THEN NULL ELSE f.{side} END" for side in BOX)
    with registered(cursor, {"arriving": found}):
        cursor.execute(
            "INSERT INTO data.finding SELECT $kind, f.sample_no, CASE WHEN f.object_no >= 0 THEN f.object_no END, "
            "CASE WHEN f.other_no >= 0 THEN f.other_no END, f.rule, f.severity, f.score, f.message, f.act, "
            f"{sides}, f.label, CASE WHEN f.object_no >= 0 THEN {_SEEN} WHEN $of_label THEN {of_sample} END "
            "FROM arriving f JOIN data.sample s ON s.sample_no = f.sample_no "
            "LEFT JOIN data.object o ON o.object_no = f.object_no",
            {"kind": kind, "of_label": of_sample_label},
        ).fetchall()
    cursor.execute(
        f"UPDATE data.issue SET findings = d.digest FROM (SELECT sample_no, {_DIGEST} AS digest FROM data.finding "
        "WHERE kind = $kind AND sample_no IN (SELECT sample_no FROM temp.looked_at) GROUP BY sample_no) d "
        "WHERE d.sample_no = issue.sample_no AND issue.kind = $kind",
        {"kind": kind},
    ).fetchall()


def listing(database: Database, kind: str | None, states: Sequence[str]) -> pa.Table:
    """Findings of samples whose issue is in one of these states, each in its row, the most severe first."""
    of_kind = "true" if kind is None else f"f.kind IN {listed([kind])}"
    return database.arrow(
        "SELECT s.sample_id, o.object_id, f.kind, f.rule, f.severity, f.score, f.message, f.act AS repair, "
        f"{', '.join(f'f.{side}' for side in BOX)}, f.label, p.object_id AS other_id, i.state "
        "FROM data.finding f JOIN data.issue_now i ON i.kind = f.kind AND i.sample_no = f.sample_no "
        "JOIN data.sample s ON s.sample_no = f.sample_no LEFT JOIN data.object o ON o.object_no = f.object_no "
        "LEFT JOIN data.object p ON p.object_no = f.other_no "
        f"WHERE {of_kind} AND i.is_issue AND i.state IN {listed(list(states))} "
        "ORDER BY f.score, f.sample_no, f.object_no, f.rule"
    )


def proposed(cursor: Cursor, kind: str) -> dict[str, np.ndarray]:
    """What open issues of the samples of `temp.target` propose to do to objects, the surest first; hints left out.

    Returns:
        object_no (uint32), act and label (texts; "" for none), box (M x 4).
    """
    cursor.execute(
        f"SELECT f.object_no, f.act, coalesce(f.label, '') AS label, {', '.join(_filled(side) for side in BOX)} "
        "FROM data.finding_now f JOIN data.issue_now i ON i.kind = f.kind AND i.sample_no = f.sample_no "
        "JOIN temp.target t ON t.sample_no = f.sample_no WHERE f.kind = $kind AND i.is_issue AND i.state = 'open' "
        f"AND f.holds AND f.object_no IS NOT NULL AND f.act IN {listed(list(ACTS))} AND f.severity <> 'hint' "
        "ORDER BY f.score, f.object_no, f.rule",
        {"kind": kind},
    )
    found = cursor.fetchnumpy()
    box = np.stack([np.asarray(found[side], np.float64) for side in BOX], axis=1)
    return {"object_no": np.asarray(found["object_no"], np.uint32), "act": found["act"], "label": found["label"],
            "box": box}  # fmt: skip


def delete(cursor: Cursor, event: int, objects: np.ndarray) -> None:
    """Notes that objects are taken away; `settle` does it."""
    _note(cursor, event, objects, "removed", "'false', 'true'", "true")


def relabel(cursor: Cursor, event: int, objects: np.ndarray, labels: Sequence[str]) -> None:
    """Notes that objects get other labels, each its own; `settle` does it."""
    import pyarrow as pa

    columns = {"object_no": arrow_arrays.numbers(objects, np.uint32), "label": arrow_arrays.text(list(labels))}
    with registered(cursor, {"repairing": pa.table(columns)}):
        cursor.execute(
            "INSERT INTO data.object_change SELECT $event, o.object_no, 'label', o.label, r.label FROM data.object o "
            "JOIN repairing r ON r.object_no = o.object_no WHERE NOT o.removed AND o.label IS DISTINCT FROM r.label",
            {"event": event},
        ).fetchall()


def settle(cursor: Cursor, event: int) -> int:
    """Brings the present state to what was noted for an event, and notes its samples; says how many objects changed."""
    sql = "SELECT count(DISTINCT object_no) FROM data.object_change WHERE event_no = ?"
    count = int(cursor.execute(sql, [event]).fetchall()[0][0])
    if count:
        objects_journal.restore(cursor, event, side="after")
        told = [event, objects_journal.FIELD]
        cursor.execute("DELETE FROM data.alike WHERE event_no = ? AND field = ?", told).fetchall()
        cursor.execute("DELETE FROM data.alike_sample WHERE event_no = ?", [event]).fetchall()
        cursor.execute("INSERT INTO data.alike VALUES (?, ?, 'as they were', 'repaired')", told).fetchall()
        cursor.execute(
            "INSERT INTO data.alike_sample SELECT DISTINCT c.event_no, o.sample_no FROM data.object_change c "
            "JOIN data.object o ON o.object_no = c.object_no WHERE c.event_no = ?",
            [event],
        ).fetchall()
    return count


def answer(cursor: Cursor, event: int, kind: str, template: str) -> None:
    """Notes the issues of samples that an event repaired as accepted; `template` is the answer as SQL over `i`."""
    cursor.execute(
        f"INSERT INTO data.change_each SELECT $event, i.sample_no, 'issues', NULL, {template} FROM data.issue_now i "
        "JOIN data.sample s ON s.sample_no = i.sample_no WHERE i.kind = $kind AND i.sample_no IN "
        "(SELECT sample_no FROM data.alike_sample WHERE event_no = $event) AND i.state IN ('open', 'stale')",
        {"event": event, "kind": kind, "state": "accepted"},
    ).fetchall()


def _note(cursor: Cursor, event: int, objects: np.ndarray, field: str, sides: str, differs: str) -> None:
    with registered(cursor, {"repairing": {"object_no": np.ascontiguousarray(objects, np.uint32)}}):
        cursor.execute(
            f"INSERT INTO data.object_change SELECT $event, o.object_no, '{field}', {sides} FROM data.object o "
            f"SEMI JOIN repairing r ON r.object_no = o.object_no WHERE NOT o.removed AND {differs}",
            {"event": event},
        ).fetchall()


def _filled(side: str) -> str:
    return f"coalesce(f.{side}, 'nan'::DOUBLE) AS {side}"


def fingerprint(database: Database) -> tuple[int, int]:
    """Another one whenever an object that linters look at is: how many there are, and a mixture of all of them."""
    sql = (
        "SELECT count(*), coalesce(bit_xor(hash(o.object_no, o.sample_no, o.label, o.area_px, o.track, "
        f"{', '.join(f'o.{side}' for side in BOX)}, s.width_px, s.height_px)), 0) FROM data.object o "
        "JOIN data.sample s ON s.sample_no = o.sample_no WHERE NOT o.removed AND NOT o.crowd AND NOT s.excluded"
    )
    with database.query(sql) as cursor:
        count, mixed = cursor.fetchall()[0]
    return int(count), int(mixed)


def object_columns(
    database: Database, nos: np.ndarray | None, classes: Sequence[str] = ()
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """The objects of samples as numbers, crowds left out, in order of arrival.

    Args:
        database: the session's.
        nos: sample numbers; None for all samples that are not excluded.
        classes: names that keep their numbers.

    Returns:
        columns of objects (object_no, sample_no, class_no, x, y, width, height, mask_area, and track and frame where
        there are tracks), columns of their samples (sample_no, width_px, height_px), and names by class number.
    """
    frames: dict[str, Any] = {}
    if nos is None:
        chosen = "NOT s.excluded"
    elif len(nos) <= 200:
        # A few numbers in the statement itself are compared while the table is read.
        chosen = f"o.sample_no IN ({', '.join(map(str, np.asarray(nos).tolist())) or 'NULL'})"
    else:
        frames["wanted"] = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
        chosen = "o.sample_no IN (SELECT sample_no FROM wanted)"
    source = "FROM data.object o JOIN data.sample s ON s.sample_no = o.sample_no"
    where = f"WHERE NOT o.removed AND NOT o.crowd AND {chosen}"
    with database.query(f"SELECT DISTINCT o.label {source} {where} AND o.label IS NOT NULL ORDER BY 1",
                        frames=frames) as cursor:  # fmt: skip
        present = [str(label) for (label,) in cursor.fetchall()]
    names = [*classes, *(label for label in present if label not in set(classes))]
    place = "coalesce(list_position($names::VARCHAR[], o.label) - 1, -1)::BIGINT"
    tracked = f"SELECT count(o.track) FROM data.object o JOIN data.sample s USING (sample_no) {where}"
    with database.query(tracked, frames=frames) as cursor:
        has_tracks = bool(cursor.fetchall()[0][0])
    track = ", CASE WHEN o.track IS NULL THEN -1 ELSE dense_rank() OVER (ORDER BY o.track) END AS track"
    sides = ", ".join(f"coalesce(o.{side}, 'nan'::DOUBLE) AS {side}" for side in BOX)
    masked = "o.mask_runs IS NOT NULL OR o.polygons IS NOT NULL"
    sql = (
        f"SELECT o.object_no, o.sample_no, {place} AS class_no, {sides}, "
        f"coalesce(CASE WHEN {masked} THEN o.area_px END, 'nan'::DOUBLE) AS mask_area, "
        "coalesce(s.width_px, 0)::DOUBLE AS picture_width, coalesce(s.height_px, 0)::DOUBLE AS picture_height"
        f"{track if has_tracks else ''} {source} {where} ORDER BY o.object_no"
    )
    with database.query(sql, {"names": names}, frames=frames) as cursor:
        found = cursor.fetchnumpy()
    columns = {name: np.asarray(found[name], np.int64) for name in ("object_no", "sample_no", "class_no")}
    for name, side in zip(("x", "y", "width", "height"), BOX, strict=True):
        columns[name] = np.asarray(found[side], np.float64)
    columns["mask_area"] = np.asarray(found["mask_area"], np.float64)
    if has_tracks:
        columns["track"] = np.asarray(found["track"], np.int64)
        # Samples arrive in the order of the film: a frame is a sample.
        columns["frame"] = np.where(columns["track"] >= 0, columns["sample_no"], -1)
    of_sample, first = np.unique(columns["sample_no"], return_index=True)
    sizes = {}
    for name, key in (("width_px", "picture_width"), ("height_px", "picture_height")):
        value = np.asarray(found[key], np.float64)[first]
        sizes[name] = np.where(value > 0, value, np.nan)
    return columns, {"sample_no": of_sample, **sizes}, names
