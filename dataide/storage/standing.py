"""How the issues of one kind stand for the samples of a decision: `data.issue_now`, `data.finding_now`, of these alone.

The views look at every answer and every finding of a session, which is right for a list. A decision about a thousand
samples of a million asks of those only. Both say the same, which `tests/unit/test_standing.py` compares.

Inside the caller's transaction; `temp.target` holds the sample numbers acted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dataide.storage.object_tables import BOX

if TYPE_CHECKING:
    from dataide.storage.database import Cursor

_OBJECT = f"struct_pack(label := o.label, {', '.join(f'{side} := o.{side}' for side in BOX)})"
_FINDINGS = f"""
CREATE OR REPLACE TEMP TABLE standing_finding AS
    WITH told AS (
        SELECT f.*, s.label AS label_now FROM data.finding f JOIN temp.target t ON t.sample_no = f.sample_no
        JOIN data.sample s ON s.sample_no = f.sample_no WHERE f.kind = $kind
    ), named AS (
        SELECT object_no FROM told WHERE object_no IS NOT NULL
        UNION SELECT other_no FROM told WHERE other_no IS NOT NULL
    ), there AS (
        SELECT o.object_no, o.removed, {_OBJECT} AS now FROM data.object o JOIN named n ON n.object_no = o.object_no
    )
    SELECT f.* EXCLUDE (label_now), CASE
        WHEN f.object_no IS NULL THEN f.seen IS NULL OR f.seen.label IS NOT DISTINCT FROM f.label_now
        ELSE coalesce(NOT o.removed, false) AND f.seen IS NOT DISTINCT FROM o.now
            AND (f.other_no IS NULL OR coalesce(NOT p.removed, false))
        END AS holds
    FROM told f LEFT JOIN there o ON o.object_no = f.object_no LEFT JOIN there p ON p.object_no = f.other_no
"""
_ISSUES = """
CREATE OR REPLACE TEMP TABLE standing AS
    WITH said AS (
        SELECT c.sample_no, arg_max(c.after, c.event_no) AS answer
        FROM data.change_each c JOIN temp.target t ON t.sample_no = c.sample_no
        JOIN data.event e ON e.event_no = c.event_no
        WHERE c.field = 'issues' AND e.state = 'done' AND json_extract_string(c.after, '$.kind') = $kind
        GROUP BY c.sample_no
    ), answered AS (
        SELECT sample_no, json_extract_string(answer, '$.state') AS state,
            CAST(json_extract_string(answer, '$.media_revision') AS UINTEGER) AS media_revision,
            json_extract_string(answer, '$.label') AS label, json_extract_string(answer, '$.findings') AS findings
        FROM said
    ), held AS ({held})
    SELECT i.sample_no, i.is_issue, i.proposal, i.findings, s.label, s.excluded, s.media_revision, CASE
        WHEN a.state <> 'open' AND a.media_revision = s.media_revision AND a.findings IS NOT DISTINCT FROM i.findings
            AND (NOT i.of_label OR a.label IS NOT DISTINCT FROM s.label) THEN a.state
        WHEN i.media_revision <> s.media_revision OR (i.of_label AND i.label IS DISTINCT FROM s.label) THEN 'stale'
        WHEN NOT f.holds THEN 'stale'
        ELSE 'open' END AS state
    FROM data.issue i JOIN temp.target t ON t.sample_no = i.sample_no JOIN data.sample s ON s.sample_no = i.sample_no
    LEFT JOIN answered a ON a.sample_no = i.sample_no LEFT JOIN held f ON f.sample_no = i.sample_no
    WHERE i.kind = $kind
"""
_HELD = "SELECT sample_no, bool_or(holds) AS holds FROM temp.standing_finding GROUP BY sample_no"
_NONE_HELD = "SELECT sample_no, true AS holds FROM data.issue WHERE false"


@contextmanager
def of_target(cursor: Cursor, kind: str) -> Iterator[bool]:
    """Lends how things stand before a decision, as two temporary tables.

    `temp.standing`: sample_no, is_issue, proposal, findings (the digest), state; label, excluded and media_revision as
    the sample has them now. `temp.standing_finding`, of kinds that have findings: the columns of `data.finding`, and
    holds.

    Args:
        cursor: the cursor that `write()` gave.
        kind: of the issues.

    Yields:
        Whether there are findings.
    """
    made = ["standing"]
    if cursor.execute("SELECT 1 FROM data.finding WHERE kind = ? LIMIT 1", [kind]).fetchall():
        cursor.execute(_FINDINGS, {"kind": kind}).fetchall()
        made.append("standing_finding")
    cursor.execute(_ISSUES.format(held=_HELD if len(made) > 1 else _NONE_HELD), {"kind": kind}).fetchall()
    yield len(made) > 1
    # After an error the rollback takes the tables with it.
    for name in made:
        cursor.execute(f"DROP TABLE temp.{name}").fetchall()
