"""Numbered steps from an empty file to the present schema; `0002_name.sql` makes version 2 out of version 1."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@cache
def steps() -> dict[int, str]:
    """The SQL of each step, by number, in order."""
    found = {
        int(entry.name.split("_", 1)[0]): entry.read_text("utf-8")
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".sql")
    }
    return dict(sorted(found.items()))


def latest() -> int:
    """The version that this dataide writes."""
    return max(steps())


def apply(cursor: duckdb.DuckDBPyConnection, version: int) -> int:
    """Brings the tables from `version` (0 for an empty file) to the latest, inside the caller's transaction.

    Returns:
        The number of steps taken.
    """
    due = [number for number in steps() if number > version]
    for number in due:
        cursor.execute(steps()[number])
    if due:
        cursor.execute("DELETE FROM data.meta WHERE key = 'version'")
        cursor.execute("INSERT INTO data.meta VALUES ('version', ?)", [str(due[-1])])
    return len(due)
