"""What an embedding is learned from, as the session file tells it, and weights that were replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataide.storage.documented import quoted

if TYPE_CHECKING:
    from dataide.storage.database import Cursor, Database


def labelled(database: Database, nos: np.ndarray, column: str, most: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Samples with a picture, and their values in a column.

    Args:
        database: the session's.
        nos: among these.
        column: of `sample`; empty texts are no values.
        most: values to list.

    Returns:
        Their numbers (uint32, ascending), the codes of their values (int64, -1 for none), and the values by code, the
        most frequent first.
    """
    wanted = {"sample_no": np.ascontiguousarray(nos, np.uint32)}
    given = (
        f"WITH given AS (SELECT sample_no, CAST({quoted(column)} AS VARCHAR) AS value FROM sample "
        "WHERE sample_no IN (SELECT sample_no FROM wanted) AND media <> ''), "
        "coded AS (SELECT value, row_number() OVER (ORDER BY count(*) DESC, value) - 1 AS code FROM given "
        "WHERE value IS NOT NULL AND value <> '' GROUP BY value)"
    )
    coded = f"{given} SELECT sample_no, coalesce(code, -1) AS code FROM given LEFT JOIN coded USING (value) ORDER BY 1"
    with database.query(coded, frames={"wanted": wanted}) as cursor:
        rows = cursor.fetchnumpy()
    with database.query(
        f"{given} SELECT value FROM coded ORDER BY code LIMIT {int(most)}", frames={"wanted": wanted}
    ) as cursor:
        values = [str(value) for (value,) in cursor.fetchall()]
    return np.asarray(rows["sample_no"], np.uint32), np.asarray(rows["code"], np.int64), values


def usual_side(database: Database, nos: np.ndarray) -> float | None:
    """The median of the longer sides of these pictures, px; None where no size is known."""
    sql = (
        "SELECT median(greatest(width_px, height_px)) FROM data.sample "
        "WHERE sample_no IN (SELECT sample_no FROM wanted)"
    )
    with database.query(sql, frames={"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}) as cursor:
        row = cursor.fetchone()
    return float(row[0]) if row and row[0] is not None else None


def forget(cursor: Cursor, name: str) -> None:
    """Drops the weights of what was trained under this name before; that it was used stays noted."""
    cursor.execute("UPDATE data.model SET state = NULL WHERE name = ? AND kind = 'learned'", [name])
