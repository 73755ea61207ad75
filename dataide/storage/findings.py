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
from dataide.storage.object_tables import BOX, PLACE
from dataide.storage.query import listed

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database

ACTS = ("delete", "box", "relabel")
_SEEN = f"struct_pack(label := o.label, {', '.join(f'{side} := o.{side}' for side in BOX)})"
_NOTHING = "NULL, NULL, NULL, NULL"
# What was said of a label is not said of the next one; of other kinds digests stay as they were written.
_LABEL = "CASE WHEN starts_with(kind, 'object_') THEN seen.label END"
_DIGEST = (
    f"md5(string_agg(concat_ws(' ', rule, object_no, other_no, {_LABEL}), ',' ORDER BY rule, object_no, other_no))"
)


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


def open_objects(database: Database, nos: np.ndarray) -> dict[str, int]:
    """How many objects of these samples the open issues of each kind are about."""
    sql = (
        "SELECT f.kind, count(DISTINCT f.object_no) FROM data.finding f JOIN data.issue_now i ON i.kind = f.kind "
        "AND i.sample_no = f.sample_no WHERE i.is_issue AND i.state = 'open' AND NOT i.excluded "
        "AND f.sample_no IN (SELECT sample_no FROM wanted) GROUP BY f.kind"
    )
    with database.query(sql, frames={"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}) as cursor:
        return dict(cursor.fetchall())


def proposed(cursor: Cursor) -> dict[str, np.ndarray]:
    """What open issues propose to do to objects, the surest first; hints left out. Inside `standing.of_target`.

    Returns:
        object_no (uint32), act and label (texts; "" for none), box (M x 4).
    """
    cursor.execute(
        f"SELECT f.object_no, f.act, coalesce(f.label, '') AS label, {', '.join(_filled(side) for side in BOX)} "
        "FROM temp.standing_finding f JOIN temp.standing i ON i.sample_no = f.sample_no "
        f"WHERE i.is_issue AND i.state = 'open' AND f.holds AND f.object_no IS NOT NULL "
        f"AND f.act IN {listed(list(ACTS))} AND f.severity <> 'hint' ORDER BY f.score, f.object_no, f.rule"
    )
    found = cursor.fetchnumpy()
    box = np.stack([np.asarray(found[side], np.float64) for side in BOX], axis=1)
    return {"object_no": np.asarray(found["object_no"], np.uint32), "act": found["act"], "label": found["label"],
            "box": box}  # fmt: skip


def note(
    cursor: Cursor,
    event: int,
    objects: np.ndarray,
    gone: np.ndarray,
    labels: Sequence[str | None],
    places: Sequence[str | None],
) -> None:
    """Notes what becomes of objects, in one statement; `settle` does it. What is so already is left out.

    Args:
        cursor: the cursor that `write()` gave.
        event: its number.
        objects: N numbers, each once.
        gone: N bools: taken away.
        labels: N new labels, None to keep it.
        places: N new places as `objects_journal.move` takes them, None to stay.
    """
    import pyarrow as pa

    repairing = pa.table(
        {
            "object_no": arrow_arrays.numbers(objects, np.uint32),
            "gone": arrow_arrays.numbers(gone.astype(np.uint8), np.uint8),
            "label": arrow_arrays.text(list(labels)),
            "place": arrow_arrays.text(list(places)),
        }
    )
    packed = ", ".join(f"{name} := o.{name}" for name in PLACE)
    with registered(cursor, {"repairing": repairing}):
        cursor.execute(
            "INSERT INTO data.object_change WITH known AS MATERIALIZED (SELECT o.object_no, o.label, r.label AS named, "
            "r.gone, r.place, CASE WHEN r.place IS NOT NULL THEN "
            f"CAST(to_json(struct_pack({packed})) AS VARCHAR) END AS stood "
            "FROM data.object o JOIN repairing r ON r.object_no = o.object_no WHERE NOT o.removed) "
            "SELECT $event, object_no, 'removed', 'false', 'true' FROM known WHERE gone = 1 "
            "UNION ALL SELECT $event, object_no, 'label', label, named FROM known "
            "WHERE named IS NOT NULL AND label IS DISTINCT FROM named "
            "UNION ALL SELECT $event, object_no, 'place', stood, place FROM known WHERE place IS NOT NULL",
            {"event": event},
        ).fetchall()


def settle(cursor: Cursor, event: int) -> int:
    """Brings the present state to what was noted for an event, and notes its samples; says how many objects changed."""
    sql = "SELECT count(DISTINCT object_no) FROM data.object_change WHERE event_no = ?"
    count = int(cursor.execute(sql, [event]).fetchall()[0][0])
    if count:
        objects_journal.restore(cursor, event, side="after")
    return objects_journal.noted(cursor, event, count, "repaired", before="as they were")


def answer(cursor: Cursor, event: int, kind: str, template: str) -> None:
    """Notes the open issues of samples that an event repaired as accepted; `template` is the answer as SQL.

    Inside `standing.of_target`, which knows how they stood before.
    """
    cursor.execute(
        f"INSERT INTO data.change_each SELECT $event, sample_no, 'issues', NULL, {template} FROM temp.standing "
        "WHERE state = 'open' AND sample_no IN (SELECT sample_no FROM data.alike_sample WHERE event_no = $event)",
        {"event": event, "kind": kind, "state": "accepted"},
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


def repairs(database: Database, kind: str) -> dict[str, np.ndarray]:
    """What accepting would do to the objects of each sample, as far as it still holds; hints left out.

    Returns:
        sample_no (uint32), and how many of its objects would be deleted (`delete`), get another box (`box`) or another
        label (`relabel`); one that is deleted counts for nothing else. int64, shape (samples,) each.
    """
    sql = (
        'SELECT sample_no, count(*) FILTER (gone) AS "delete", count(*) FILTER (moved AND NOT gone) AS box, '
        "count(*) FILTER (named AND NOT gone) AS relabel FROM (SELECT f.sample_no, f.object_no, "
        "bool_or(f.act = 'delete') AS gone, bool_or(f.act = 'box') AS moved, "
        "bool_or(f.act = 'relabel') AS named FROM data.finding_now f "
        "WHERE f.kind = $kind AND f.holds AND f.object_no IS NOT NULL AND f.severity <> 'hint' "
        f"AND f.act IN {listed(list(ACTS))} GROUP BY ALL) GROUP BY sample_no ORDER BY sample_no"
    )
    with database.query(sql, {"kind": kind}) as cursor:
        found = cursor.fetchnumpy()
    counts = {act: np.asarray(found[act], np.int64) for act in ACTS}
    return {"sample_no": np.asarray(found["sample_no"], np.uint32), **counts}
