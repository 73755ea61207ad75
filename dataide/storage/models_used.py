"""The models that a session has used, and the weights of those that were trained in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Cursor, Database


def note(
    cursor: Cursor, name: str, kind: str, revision: str, details: dict[str, Any], state: bytes | None = None
) -> None:
    """Notes that a model was used, inside the caller's `write()`; one of the same revision keeps its first date."""
    now = datetime.now(UTC)
    text = json.dumps(details, sort_keys=True, default=str)
    cursor.execute(
        "SELECT count(*) FROM data.model WHERE name = ? AND kind = ? AND revision = ?", [name, kind, revision]
    )
    row = cursor.fetchone()
    if row and row[0]:
        cursor.execute(
            "UPDATE data.model SET used_at = ?, details = ?, state = coalesce(?, state) "
            "WHERE name = ? AND kind = ? AND revision = ?",
            [now, text, state, name, kind, revision],
        )
    else:
        cursor.execute(
            "INSERT INTO data.model VALUES (?, ?, ?, ?, ?, ?, ?)", [name, kind, revision, text, state, now, now]
        )


def listing(database: Database) -> pa.Table:
    """The models that were used, the latest last: model, kind, revision, parameters, details, when first and last."""
    return database.arrow(
        "SELECT name AS model, kind, revision, "
        # A damaged file, or a stranger's, may have anything there.
        "try_cast(CASE WHEN json_valid(details) THEN json_extract_string(details, '$.parameters') END AS BIGINT) "
        "AS parameters, details, "
        "first_used_at, used_at FROM data.model ORDER BY used_at, name"
    )


def trained(database: Database, name: str) -> tuple[str, dict[str, Any], bytes] | None:
    """Revision, details and weights of the latest model of this name that was trained here; None if there is none.

    Details that cannot be read are empty: the weights are as good without them.
    """
    with database.query(
        "SELECT revision, details, state FROM data.model WHERE name = ? AND state IS NOT NULL "
        "ORDER BY used_at DESC LIMIT 1",
        [name],
    ) as cursor:
        rows = cursor.fetchall()
    return (rows[0][0], details_of(rows[0][1]), bytes(rows[0][2])) if rows else None


def details_of(text: str) -> dict[str, Any]:
    """Details as they were noted; of a damaged file, or a stranger's, what is of use in them."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    if not isinstance(found.get("learned", {}), dict):
        del found["learned"]
    return found
