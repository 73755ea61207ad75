"""Which samples stand among the first points of a map so that no rare value is missing there, of any colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.storage.query import listed, name_of

from .codes import NEVER_CATEGORIES, sql_kind

if TYPE_CHECKING:
    from dataide.storage.database import Database

Nos = NDArray[np.uint32]
FIRST_COLUMN = "label"
# Of each value so many stand in front, if there are so many.
OF_EACH_VALUE = 20
# A column of more values is one of texts or names, and rare is then everything. Labels are looked after all the same.
MOST_VALUES = 256
MOST_LABELS = 254
# Two stretches of so many samples tell most columns of very many values, before anything is asked about them.
_STRETCH = 2_048

# plot_files.scrambled in SQL.
MIXED = """
    SELECT *, xor(e, e >> 16) AS mixed FROM (
        SELECT *, (xor(c, c >> 13) * 3266489909) & 4294967295 AS e FROM (
            SELECT *, (xor(a, a >> 16) * 2246822507) & 4294967295 AS c FROM (
                SELECT *, sample_no::UBIGINT AS a FROM ({points})
            )
        )
    )
"""
_HERE = "WITH here AS MATERIALIZED (SELECT {names} FROM data.sample WHERE sample_no IN (SELECT no FROM wanted)) "
_LABELS = (
    f"SELECT {FIRST_COLUMN} FROM data.sample WHERE {FIRST_COLUMN} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 "
    "LIMIT ?"
)
# A scan for each column, because a condition on one alone is tested on the dictionary of its texts; of conditions
# joined by OR each row is asked, which takes four times as long.
_RARE = f"""(
    SELECT {{place}} AS place, value, arg_min(sample_no, mixed, {OF_EACH_VALUE}) AS nos
    FROM ({MIXED.format(points="SELECT sample_no, {value}::VARCHAR AS value FROM data.sample WHERE {condition}")})
    GROUP BY value ORDER BY count(*) DESC, value LIMIT {{most}}
)"""


def rare(database: Database, first: Nos, most: int, on_map: tuple[str, dict[str, Any]] | None) -> Nos:
    """The samples that have to be put among the first ones.

    Args:
        database: the session.
        first: samples that stand there anyway, a fair sample of all: what is frequent among them is looked after.
        most: how many there is room for. Where values want more, each gets one before any gets a second one, and
            labels come before other columns.
        on_map: SQL that gives the samples with a place, and its parameters; None where all have one.

    Returns:
        Sample numbers, at most `most`, none of them in `first`.
    """
    placed, about = ("", None) if on_map is None else (f" AND sample_no IN ({on_map[0]})", on_map[1])
    types = _candidates(database)
    asked: list[str] = []
    few: list[str] = []
    for name, seen in _seen(database, list(types), first).items():
        enough = [value for value, count in seen.items() if count >= OF_EACH_VALUE]
        wanted = _wanted(database, name, types[name], enough, len(seen))
        values = MOST_LABELS - len(enough) if name == FIRST_COLUMN else MOST_VALUES + 1
        if wanted is not None and values > 0:
            asked.append(_RARE.format(place=len(few), value=name_of(name), condition=wanted + placed, most=values))
            few.append(name)
    if not asked:
        return np.empty(0, np.uint32)
    with database.query(" UNION ALL ".join(asked), about) as cursor:
        found = cursor.fetchall()
    values_of: dict[int, int] = {}
    for place, _, _ in found:
        values_of[place] = values_of.get(place, 0) + 1
    # What turns out to have very many values, nearly all of them rare, is no column of few categories.
    none = {place for place, count in values_of.items() if count > MOST_VALUES and few[place] != FIRST_COLUMN}
    turns = [
        (turn, place, at, no)
        for at, (place, _, nos) in enumerate(found)
        if place not in none
        for turn, no in enumerate(nos)
    ]
    order = dict.fromkeys(no for *_, no in sorted(turns))
    for no in first.tolist():
        order.pop(no, None)
    return np.fromiter(order, np.uint32, len(order))[:most]


def _candidates(database: Database) -> dict[str, str]:
    """Columns that may be of few categories, with their SQL types; labels first."""
    types = {
        name: sql_type
        for name, sql_type in database.columns().items()
        if sql_kind(sql_type) in ("category", "bool") and name not in NEVER_CATEGORIES
    }
    texts = [name for name, sql_type in types.items() if sql_type != "BOOLEAN" and name != FIRST_COLUMN]
    if texts:
        names = ", ".join(map(name_of, texts))
        starts = (0, max(0, database.sample_count // 2 - _STRETCH))
        stretches = " UNION ALL ".join(
            f"SELECT {names} FROM data.sample WHERE sample_no BETWEEN {start} AND {start + _STRETCH - 1}"
            for start in starts
        )
        counts = ", ".join(f"approx_count_distinct({name_of(name)})" for name in texts)
        with database.query(f"SELECT {counts} FROM ({stretches})") as cursor:
            counted = cursor.fetchall()[0]
        # Approximately, so with room; what is left is counted exactly among the first ones.
        many = {name for name, count in zip(texts, counted, strict=True) if count > 2 * MOST_VALUES}
        types = {name: sql_type for name, sql_type in types.items() if name not in many}
    return dict(sorted(types.items(), key=lambda one: one[0] != FIRST_COLUMN))


def _seen(database: Database, names: Sequence[str], first: Nos) -> dict[str, dict[str, int]]:
    """How often each value of these columns occurs among the first samples."""
    seen: dict[str, dict[str, int]] = {name: {} for name in names}
    if not names:
        return seen
    selected = ", ".join(f"{name_of(name)} AS v{place}" for place, name in enumerate(names))
    counts = " UNION ALL ".join(
        f"SELECT {place}, v{place}::VARCHAR, count(*) FROM here WHERE v{place} IS NOT NULL GROUP BY v{place}"
        for place in range(len(names))
    )
    sql = _HERE.format(names=selected) + counts
    with database.query(sql, frames={"wanted": {"no": first}}) as cursor:
        for place, value, count in cursor.fetchall():
            seen[names[place]][value] = int(count)
    return seen


def _wanted(database: Database, name: str, sql_type: str, enough: Sequence[str], values: int) -> str | None:
    """SQL that holds for samples whose value is rare among the first ones; None where there can be none.

    Args:
        database: the session.
        name: of the column.
        sql_type: its type.
        enough: the values that are frequent among the first ones.
        values: how many values there are among those.
    """
    column = name_of(name)
    if sql_type == "BOOLEAN":
        if len(enough) == 2:
            return None
        return f"{column} IS NOT NULL" if not enough else f"NOT {column}" if enough == ["true"] else column
    text = column if sql_type == "VARCHAR" else f"{column}::VARCHAR"
    if values > MOST_VALUES:
        if name != FIRST_COLUMN:
            return None
        with database.query(_LABELS, [MOST_LABELS]) as cursor:
            frequent = [value for (value,) in cursor.fetchall()]
        missing_labels = _spelled(set(frequent) - set(enough))
        return f"{text} IN {listed(missing_labels)}" if missing_labels else None
    # The values as text and not as parameters: only so are they looked for while the column is read.
    common = _spelled(enough)
    return f"{text} NOT IN {listed(common)}" if common else f"{text} IS NOT NULL"


def _spelled(values: Iterable[str]) -> list[str]:
    """Those that can stand in SQL."""
    return sorted(value for value in values if "\0" not in value)
