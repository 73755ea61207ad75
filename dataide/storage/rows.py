"""Rows of samples by their numbers: what a page needs, at a cost that does not grow with the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataide.storage.database import Database

# Samples are numbered in the order in which they are stored, so number and row id are mostly the same; a row is reached
# by its id without reading its neighbours. The semi-join is what makes DuckDB fetch instead of scan.
_BY_ROW = "SELECT sample_no, {columns} FROM data.sample WHERE rowid IN (SELECT unnest(?::BIGINT[]))"
_BY_NUMBER = """
    SELECT sample_no, {columns} FROM data.sample
    WHERE sample_no BETWEEN ? AND ? AND sample_no IN (SELECT unnest(?::BIGINT[]))
"""


def rows_of(database: Database, columns: str, nos: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """Some columns of some samples by their numbers; numbers that are not there are left out.

    Args:
        database: the open session file.
        columns: SQL expressions over `data.sample`.
        nos: sample numbers.
    """
    wanted = {int(no) for no in nos}
    found = _read(database, _BY_ROW.format(columns=columns), [sorted(wanted)], wanted)
    moved = sorted(wanted - found.keys())  # rows that were written anew stand elsewhere
    if moved:
        found |= _read(database, _BY_NUMBER.format(columns=columns), [moved[0], moved[-1], moved], wanted)
    return found


def _read(database: Database, sql: str, parameters: list[Any], wanted: set[int]) -> dict[int, tuple[Any, ...]]:
    with database.query(sql, parameters) as cursor:
        return {no: tuple(values) for no, *values in cursor.fetchall() if no in wanted}
