"""Objects of the samples on a page: what tiles and the inspector draw, at a cost that hardly grows with the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage.object_tables import KINDS

if TYPE_CHECKING:
    from dataide.storage.database import Database

COLUMNS = ("object_no", "sample_no", "object_id", *KINDS)
# One narrow column is read as a whole, and then the rows themselves by their ids: with all columns at once DuckDB reads
# most of a large table for a hundred samples.
_WHERE = "SELECT o.rowid AS place FROM data.object o SEMI JOIN wanted w ON w.no = o.sample_no WHERE NOT o.removed"
_ROWS = "SELECT {columns} FROM data.object WHERE rowid IN (SELECT unnest(?::BIGINT[]))"


def objects_of(
    database: Database, nos: Sequence[int], columns: Sequence[str] = COLUMNS
) -> dict[int, list[dict[str, Any]]]:
    """The objects of some samples by sample number, each a dict in order of arrival; samples without any are left out.

    Args:
        database: the open session file.
        nos: sample numbers.
        columns: which of COLUMNS; `object_no` and `sample_no` come always.

    Raises:
        KeyError: there is no such column.
    """
    for name in columns:
        if name not in COLUMNS:
            raise KeyError(name)
    names = list(dict.fromkeys(("object_no", "sample_no", *columns)))
    if not len(nos):
        return {}
    wanted = {"no": np.unique(np.asarray(nos, np.uint32))}
    with database.query(_WHERE, frames={"wanted": wanted}) as cursor:
        places = cursor.fetchnumpy()["place"].tolist()
    found: dict[int, list[dict[str, Any]]] = {}
    if not places:
        return found
    with database.query(_ROWS.format(columns=", ".join(names)), [places]) as cursor:
        for row in sorted(cursor.fetchall(), key=lambda row: int(row[0])):
            found.setdefault(int(row[1]), []).append(dict(zip(names, row, strict=True)))
    return found
