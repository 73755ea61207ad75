"""The user's own columns of `data.sample`: names that do not clash, and types that hold what comes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from dataide.storage.documented import quoted

if TYPE_CHECKING:
    import duckdb

# Columns of the schema that people and imports may fill.
OPEN = frozenset({"label", "split"})
# Names that mean something else in filters and in the file.
TAKEN = frozenset(
    {"sample_no", "sample_id", "media", "excluded", "width_px", "height_px", "bytes", "format"}
    | {"brightness", "contrast", "sharpness", "mean_red", "mean_green", "mean_blue"}
    | {"content_hash", "media_revision", "added_at"}
    | {"tag", "tags", "queue", "queues", "issue", "issues", "rowid"}
)
SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
INTEGERS = (*SIGNED, "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")


def read(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Name and SQL type of each column of `sample`, in order."""
    cursor.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = 'data' AND table_name = 'sample' AND column_name <> 'sample_no' ORDER BY column_index"
    )
    return dict(cursor.fetchall())


def ensure(cursor: duckdb.DuckDBPyConnection, wanted: dict[str, str]) -> tuple[dict[str, str], bool]:
    """Adds or widens columns so that each name in `wanted` can hold its SQL type.

    Returns:
        Under which name each one stands, and whether anything was altered.
    """
    there = read(cursor)
    actual: dict[str, str] = {}
    altered = False
    for name, kind in wanted.items():
        stands = _place(name, kind, there, set(actual.values()))
        if stands != name:
            warnings.warn(f"The column {name!r} is kept as {stands!r}: the name or its type was taken.", stacklevel=3)
        if stands not in there:
            cursor.execute(f"ALTER TABLE data.sample ADD COLUMN {quoted(stands)} {kind}")
            there[stands] = kind
            altered = True
        elif stands not in OPEN and (wider := _common(there[stands], kind)) not in (None, there[stands]):
            cursor.execute(f"ALTER TABLE data.sample ALTER COLUMN {quoted(stands)} SET DATA TYPE {wider}")
            there[stands] = str(wider)
            altered = True
        actual[name] = stands
    return actual, altered


def _place(name: str, kind: str, there: dict[str, str], used: set[str]) -> str:
    """The existing column that fits, else the first free name: price, price_2, price_3 …"""
    base = name.strip() or "column"
    by_lower = {known.lower(): known for known in there}  # SQL names do not tell Price from price
    if base.lower() in OPEN:
        return base.lower()
    number = 1
    while True:
        candidate = base if number == 1 else f"{base}_{number}"
        known = by_lower.get(candidate.lower())
        free = candidate.lower() not in TAKEN and candidate.lower() not in {other.lower() for other in used}
        if free and known is None:
            return candidate
        if free and known is not None and _common(there[known], kind) is not None:
            return known
        number += 1


def _common(one: str, other: str) -> str | None:
    """The type that holds both, or None where they have none in common."""
    if one == other:
        return one
    if one in INTEGERS and other in INTEGERS:
        # Signed and unsigned of one width hold each other's values only in the next width.
        return SIGNED[min(max(_signed_rank(one), _signed_rank(other)), len(SIGNED) - 1)]
    if {one, other} <= {*INTEGERS, *FLOATS}:
        return "DOUBLE"
    if {one, other} <= {"DATE", "TIMESTAMP"}:
        return "TIMESTAMP"
    if {one, other} <= {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}:
        return "TIMESTAMP"
    return None


def _signed_rank(kind: str) -> int:
    return SIGNED.index(kind[1:]) + 1 if kind.startswith("U") else SIGNED.index(kind)
