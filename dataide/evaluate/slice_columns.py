"""Columns as conditions that a slice may be made of, and the code of each sample in each column, by SQL.

A condition is SQL that `session.where` reads. Text, truth values and whole numbers of few values become one condition a
value (whole numbers besides: up to a value, and from one on); other numbers and times are cut at quantiles (8 parts,
"below" and "from" at each cut besides); a missing value is a condition of its own; of tags the most frequent ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.core.codes import NEVER_CATEGORIES
from dataide.core.predicate import column_named, literal
from dataide.errors import EvaluationError
from dataide.storage.columns import FLOATS, INTEGERS
from dataide.storage.query import name_of, text

if TYPE_CHECKING:
    from dataide.storage.database import Database

PARTS = 8
MOST_VALUES = 100
MOST_TAGS = 12
FEW_NUMBERS = 12
# Rows whose numbers say where quantiles lie.
_LOOKED_AT = 100_000
_TIMES = ("DATE", "TIMESTAMP")
# What no slice is made of: who a sample is, and what changes without anybody looking at it.
_LEFT_OUT = NEVER_CATEGORIES | {"media_revision", "sample_no", "dhash", "phash", "excluded", "added_at"}


@dataclass(frozen=True)
class Conditions:
    """One column, or one tag.

    Attributes:
        name: of the column; of a tag `tags: glare`, which no column is called.
        codes: SQL over `data.sample AS s` that gives each sample's code.
        size: codes go from 0 to size - 1.
        texts: P, the conditions as SQL for `session.where`.
        holds: P x size, which codes each of them holds for.
    """

    name: str
    codes: str
    size: int
    texts: tuple[str, ...]
    holds: NDArray[np.bool_]


def of_columns(
    database: Database,
    among: Mapping[str, np.ndarray],
    least: int,
    *,
    columns: Sequence[str] | None,
    leave_out: Collection[str],
) -> list[Conditions]:
    """The conditions of these columns, or of all that can say something; those without two codes are left out.

    Args:
        database: of the session.
        among: `sample_no`, N, says among which samples.
        least: samples that a condition holds for.
        columns: names, "tags" among them; None for all.
        leave_out: names that are not used when all are.

    Raises:
        UnknownColumn: there is no such column.
        EvaluationError: a named column's type cannot be a condition.
    """
    types = database.columns()
    if columns is None:
        hidden = _LEFT_OUT | {name.lower() for name in leave_out}
        names = [name for name in types if name.lower() not in hidden] + ([] if "tags" in hidden else ["tags"])
    else:
        names = list(dict.fromkeys("tags" if name == "tags" else column_named(name, types) for name in columns))
    found: list[Conditions] = []
    for name in names:
        if name == "tags":
            found += _tags(database, among, least)
            continue
        made = _column(database, among, least, name, types[name])
        if made is None and columns is not None and not _usable(types[name]):
            raise EvaluationError(
                f"The column '{name}' ({types[name]}) cannot be a condition of a slice.",
                hint="Columns of text, numbers, times and truth values can.",
            )
        if made is not None:
            found.append(made)
    return found


def _usable(kind: str) -> bool:
    known = (*INTEGERS, *FLOATS, *_TIMES, "VARCHAR", "BOOLEAN")
    return kind in known or kind.startswith(("DECIMAL", "ENUM"))


def _column(database: Database, among: Mapping[str, np.ndarray], least: int, name: str, kind: str) -> Conditions | None:
    if not _usable(kind):
        return None
    measured = kind in FLOATS or kind.startswith("DECIMAL") or kind in _TIMES
    if not measured:
        few = kind in INTEGERS
        values = _values(database, among, name, 1 if few else least, FEW_NUMBERS + 1 if few else MOST_VALUES)
        if not few or len(values) <= FEW_NUMBERS:
            return _of_values(name, kind, values)
    cuts = _cuts(database, among, name, kind)
    return _of_parts(name, kind, cuts)


def _values(database: Database, among: Mapping[str, np.ndarray], name: str, least: int, most: int) -> list[Any]:
    """The most frequent values, the missing one left out."""
    column = f"s.{name_of(name)}"
    sql = (
        f"SELECT {column} AS value, count(*) AS times FROM data.sample AS s JOIN among USING (sample_no) "
        f"WHERE {column} IS NOT NULL GROUP BY value HAVING times >= {least} ORDER BY times DESC, value LIMIT {most}"
    )
    with database.query(sql, frames={"among": dict(among)}) as cursor:
        return [value for value, _ in cursor.fetchall()]


def _cuts(database: Database, among: Mapping[str, np.ndarray], name: str, kind: str) -> list[Any]:
    """Where the column is cut: its quantiles, with three digits where that still tells them apart."""
    column = f"s.{name_of(name)}"
    shares = ", ".join(str(part / PARTS) for part in range(1, PARTS))
    known = f"{column} IS NOT NULL" + (f" AND isfinite({column})" if kind in FLOATS else "")
    every = max(1, len(among["sample_no"]) // _LOOKED_AT)
    sql = (
        f"SELECT unnest(quantile_disc({column}, [{shares}])) AS cut, min({column}) AS low FROM data.sample AS s "
        f"JOIN among USING (sample_no) WHERE {known} AND s.sample_no % {every} = 0"
    )
    with database.query(sql, frames={"among": dict(among)}) as cursor:
        found = cursor.fetchall()
    cuts = sorted({cut for cut, low in found if cut is not None and cut > low})
    if kind in FLOATS or kind.startswith("DECIMAL"):
        short = [float(f"{float(cut):.3g}") for cut in cuts]
        cuts = short if len(set(short)) == len(cuts) else [float(cut) for cut in cuts]
    return cuts


def _of_values(name: str, kind: str, values: Sequence[Any]) -> Conditions | None:
    """One code a value, one for missing, one for all the rest."""
    if not values:
        return None
    column, size = name_of(name), len(values) + 2
    texts = [f"{column} = {literal(value, '' if kind in INTEGERS else kind)}" for value in values]
    texts.append(f"{column} IS NULL")
    holds = np.eye(size, dtype=bool)[: size - 1]
    codes = _case(texts, size)
    if kind in INTEGERS:
        # Few whole numbers are often a scale: all up to one of them, or all from one on.
        ordered = sorted(range(len(values)), key=lambda at: values[at])
        for at in range(1, len(values) - 2):
            texts.append(f"{column} <= {values[ordered[at]]}")
            texts.append(f"{column} >= {values[ordered[at + 1]]}")
            more = np.zeros((2, size), bool)
            more[0, ordered[: at + 1]] = True
            more[1, ordered[at + 1 :]] = True
            holds = np.concatenate([holds, more])
    return Conditions(name, codes, size, tuple(texts), holds)


def _of_parts(name: str, kind: str, cuts: Sequence[Any]) -> Conditions | None:
    """One code a part between cuts, one for missing; conditions for parts, and for all below or from a cut."""
    if not cuts:
        return None
    column = name_of(name)
    written = [literal(cut, kind) for cut in cuts]
    parts, size = len(cuts) + 1, len(cuts) + 2
    # In SQL NaN is larger than any number.
    number = f" AND NOT isnan({column})" if kind in FLOATS else ""
    missing = f"{column} IS NULL" + (f" OR isnan({column})" if kind in FLOATS else "")
    steps = [*(f"{column} < {cut}" for cut in written), f"{column} >= {written[-1]}{number}"]
    texts: list[str] = []
    holds: list[range] = []
    for first in range(parts):
        for last in range(first, parts):
            if first == 0 and last < parts - 1:
                texts.append(f"{column} < {written[last]}")
            elif first > 0 and last == parts - 1:
                texts.append(f"{column} >= {written[first - 1]}{number}")
            elif first == last and parts > 1:
                texts.append(f"{column} >= {written[first - 1]} AND {column} < {written[first]}")
            else:
                continue
            holds.append(range(first, last + 1))
    texts.append(missing)
    holds.append(range(parts, size))
    table = np.zeros((len(texts), size), bool)
    for row, codes in enumerate(holds):
        table[row, codes] = True
    return Conditions(name, _case(steps, size), size, tuple(texts), table)


def _tags(database: Database, among: Mapping[str, np.ndarray], least: int) -> list[Conditions]:
    """A condition for each of the most frequent tags."""
    sql = (
        f"SELECT tag, count(*) AS times FROM data.tag JOIN among USING (sample_no) "
        f"GROUP BY tag HAVING times >= {least} ORDER BY times DESC, tag LIMIT {MOST_TAGS}"
    )
    with database.query(sql, frames={"among": dict(among)}) as cursor:
        tags = [str(tag) for tag, _ in cursor.fetchall()]
    return [
        Conditions(
            f"tags: {tag}",
            f"(s.sample_no IN (SELECT sample_no FROM data.tag WHERE tag = {text(tag)}))::UTINYINT",
            2,
            (f"{text(tag)} IN tags",),
            np.array([[False, True]]),
        )
        for tag in tags
    ]


def _case(steps: Iterable[str], size: int) -> str:
    """The code of the first condition that holds; the last code where none does."""
    whens = " ".join(f"WHEN {step} THEN {code}" for code, step in enumerate(steps))
    return f"(CASE {whens} ELSE {size - 1} END)::UTINYINT"


def coded(
    database: Database, conditions: Sequence[Conditions], among: Mapping[str, np.ndarray]
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float64], NDArray[np.uint32]]:
    """The code of each sample in each column, with its error and its number.

    Args:
        database: of the session.
        conditions: K columns.
        among: `sample_no` and `lent_error` (a name that no column has), N each.

    Returns:
        K arrays of N, the errors and the sample numbers, in one order.
    """
    chosen = ", ".join(f"{one.codes} AS c{at}" for at, one in enumerate(conditions))
    sql = (
        f"SELECT s.sample_no AS no, e.lent_error AS lent_error, {chosen} "
        "FROM data.sample AS s JOIN among AS e USING (sample_no)"
    )
    with database.query(sql, frames={"among": dict(among)}) as cursor:
        found = cursor.fetchnumpy()
    codes = [np.asarray(found[f"c{at}"], np.uint8) for at in range(len(conditions))]
    return codes, np.asarray(found["lent_error"], np.float64), np.asarray(found["no"], np.uint32)


def cube(
    database: Database, frame: Mapping[str, np.ndarray], columns: Sequence[int], sizes: Sequence[int], squares: bool
) -> NDArray[np.float64]:
    """How many samples, errors (and squares of losses) there are for each combination of codes, by one GROUP BY.

    Args:
        database: of the session.
        frame: `c0`, `c1` … and `lent_error`, N each.
        columns: which of them; the first varies slowest.
        sizes: how many codes each of these has.
        squares: whether squares are wanted too.

    Returns:
        float64, (2 or 3) x sizes: numbers, sums, sums of squares.
    """
    steps = [math.prod(sizes[at + 1 :]) for at in range(len(sizes))]
    cell = " + ".join(f"c{column}::INTEGER * {step}" for column, step in zip(columns, steps, strict=True))
    also = ", sum(lent_error * lent_error) AS squares" if squares else ""
    sql = f"SELECT {cell} AS cell, count(*) AS samples, sum(lent_error) AS errors{also} FROM coded GROUP BY cell"
    with database.query(sql, frames={"coded": dict(frame)}) as cursor:
        found = cursor.fetchnumpy()
    counts = np.zeros((3 if squares else 2, math.prod(sizes)))
    at = np.asarray(found["cell"], np.int64)
    for row, name in enumerate(("samples", "errors", "squares")[: len(counts)]):
        counts[row, at] = np.asarray(found[name], np.float64)
    return counts.reshape(len(counts), *sizes)
