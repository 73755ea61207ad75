"""A filter text as a value: exactly one boolean SQL expression over known columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dataide.core.functions import AGGREGATES, FUNCTIONS, OPERATORS
from dataide.errors import FilterError, closest, unknown_column
from dataide.storage import query, syntax
from dataide.storage.database import DatabaseError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dataide.storage.database import Database

# Lists that every sample has beside its columns.
PSEUDO = {"tags": "VARCHAR[]", "queues": "VARCHAR[]", "issues": "VARCHAR[]"}
LONGEST = 200_000
_NODES = frozenset(
    {"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR", "FUNCTION", "CAST", "CASE", "BETWEEN"}
    | {"COLLATE", "TYPE"}  # DuckDB 2 writes the type of a cast as a node
)
_REFUSED = {
    "SUBQUERY": "A filter looks at one sample at a time, so it holds no sub-query.",
    "WINDOW": "A filter looks at one sample at a time, so it holds no window function.",
    "STAR": "A filter names its columns; * is not one.",
    "PARAMETER": "A filter holds its values; ? and $1 stand for none here.",
    "LAMBDA": "A filter holds no lambda.",
    "POSITIONAL_REFERENCE": "A filter names its columns; #1 is not one.",
}
# A word in one of the lists, or not in it, as DuckDB writes it: nothing else in the text, so no list need be made.
_ONE_MEMBER = re.compile(
    rf"(?P<brackets>\()?(?P<without>NOT )?contains\((?:\"?sample\"?\.)?(?P<name>{'|'.join(PSEUDO)}), "
    r"'(?P<word>(?:[^'\0]|'')*)'\)(?(brackets)\))",
    re.IGNORECASE,
)
# Written like columns, these are moments.
MOMENTS = frozenset({"current_date", "current_timestamp", "current_time", "localtime", "localtimestamp"})


@dataclass(frozen=True)
class Members:
    """Samples that have one of these tags or open issues, or wait in one of these queues; None: that have none at all.

    Attributes:
        name: tags, queues or issues.
        values: the words.
        without: all the others are meant.
    """

    name: str
    values: tuple[str | None, ...]
    without: bool = False

    def mask(self, database: Database) -> NDArray[np.bool_]:
        """Which samples these are, by sample number. No list is put together for every sample."""
        count = database.sample_count
        mask = query.members(database, self.name, [value for value in self.values if value is not None], count)
        if None in self.values:
            mask |= ~query.members(database, self.name, None, count)
        return ~mask if self.without else mask


@dataclass(frozen=True)
class Predicate:
    """A condition on one sample that is known to be harmless and boolean.

    Attributes:
        text: as it was typed.
        sql: as DuckDB writes it; safe to stand in brackets in a query over `sample`.
        columns: the columns it reads, `tags`, `queues` and `issues` among them.
        members: the same as membership in one of the lists, where it is nothing else.
    """

    text: str
    sql: str
    columns: frozenset[str]
    members: Members | None = None

    def mask(self, database: Database) -> NDArray[np.bool_]:
        """Which samples it holds for, by sample number.

        Raises:
            FilterError: a value could not be converted.
        """
        if self.members is not None:
            return self.members.mask(database)
        selected = query.Query(lists=self.columns)
        selected.where(self.sql)
        try:
            return selected.mask(database)
        except DatabaseError as error:
            raise evaluation_error(error) from error


def parse(text: str, columns: Mapping[str, str]) -> Predicate:
    """Admits one boolean SQL expression over known columns, and nothing else.

    Args:
        text: for example `label = 'cat' and brightness < 0.2`, or `'glare' in tags`.
        columns: name and SQL type of each column of `sample`.

    Raises:
        FilterError: it is something else; the hint has the closest names or the place.
        UnknownColumn: it names a column that is not there.
    """
    if not text.strip():
        raise FilterError("The filter is empty.", hint="For example: label = 'cat' and brightness < 0.2")
    if len(text) > LONGEST:
        raise FilterError(f"The filter has {len(text):,} characters.", hint=f"At most {LONGEST:,} are read.")
    known = {**columns, **PSEUDO}
    try:
        tree = syntax.expression(text)
    except syntax.Refusal as refusal:
        raise _refused(text, refusal) from None
    named = frozenset(_checked(tree, text, known))
    sql = syntax.canonical(text)
    _check_boolean(sql, {name: kind for name, kind in known.items() if name in named})
    return Predicate(text.strip(), sql, named, _one_member(sql))


def _one_member(sql: str) -> Members | None:
    found = _ONE_MEMBER.fullmatch(sql)
    if found is None:
        return None
    word = found["word"].replace("''", "'")
    return Members(found["name"].lower(), (word,), found["without"] is not None)


def column_named(name: str, columns: Mapping[str, str]) -> str:
    """The column as the session spells it; SQL does not tell Label from label.

    Raises:
        UnknownColumn: there is none.
    """
    if name in columns:
        return name
    for known in columns:
        if known.lower() == name.lower():
            return known
    raise unknown_column(name, [known for known in columns if known not in PSEUDO])


def equality_text(column: str, value: Any, kind: str) -> str:
    """The text of `column = value` in SQL."""
    name = query.name_of(column)
    if _is_list(value):
        values = list(value)
        present = [literal(_plain(one), kind) for one in values if not _is_missing(one)]
        parts = [f"{name} IN ({', '.join(present)})"] if present else []
        if len(present) < len(values):
            parts.append(f"{name} IS NULL")
        return " OR ".join(parts) if parts else "false"
    if _is_missing(value):
        return f"{name} IS NULL"
    return f"{name} = {literal(_plain(value), kind)}"


def literal(value: Any, kind: str = "") -> str:
    """A Python value as SQL, in the kind of its column where that matters.

    Raises:
        FilterError: SQL has no such value.
    """
    if kind == "VARCHAR" and not isinstance(value, str):
        # Labels are text even where they look like numbers: session.where(label=3).
        value = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"CAST('{value}' AS DOUBLE)"
    if isinstance(value, str):
        return query.text(value)
    if isinstance(value, datetime):
        return f"CAST('{value.isoformat(sep=' ')}' AS {'TIMESTAMPTZ' if value.tzinfo else 'TIMESTAMP'})"
    if isinstance(value, date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    raise FilterError(
        f"A column cannot be compared with a {type(value).__name__}.",
        hint="Give a number, a text, a date, True or False, None, or a list of these.",
    )


def evaluation_error(error: DatabaseError) -> FilterError:
    """The error for an expression that failed on some sample."""
    return FilterError(
        f"The filter fails on some sample: {syntax.first_line(error)}.".replace("..", "."),
        hint="try_cast(column AS DOUBLE) gives NULL where a value does not convert.",
    )


def _checked(tree: Mapping[str, Any], text: str, known: Mapping[str, str]) -> Iterator[str]:
    """Goes through all nodes, refuses what is not plain, and gives the columns. No recursion: depth is the typist's."""
    waiting: list[Any] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            kind = item.get("class")
            if kind == "COLUMN_REF":
                name = _column(item, text, known)
                if name is not None:
                    yield name
            elif kind == "FUNCTION":
                _check_function(item, text)
            elif isinstance(kind, str) and kind not in _NODES:
                raise FilterError(
                    _REFUSED.get(kind, f"A filter holds no {kind.lower().replace('_', ' ')}."),
                    position=syntax.location(item, text),
                )
            waiting.extend(item.values())


def _column(node: Mapping[str, Any], text: str, known: Mapping[str, str]) -> str | None:
    path = [str(part) for part in node["column_names"]]
    if len(path) > 1 and path[0].lower() == "sample":
        path = path[1:]
    name = path[0]
    for candidate in known:
        if candidate.lower() == name.lower():
            return candidate
    if name.lower() in MOMENTS and len(path) == 1:
        return None
    error = unknown_column(name, known, position=syntax.location(node, text))
    if not closest(name, known):
        # `label = cat` is what people type first.
        error.hint = f"A text stands in single quotes: {query.text(name)}. {error.hint or ''}".strip()
    raise error


def _check_function(node: Mapping[str, Any], text: str) -> None:
    name = str(node["function_name"]).lower()
    place = syntax.location(node, text)
    plain = not node.get("catalog") and str(node.get("schema") or "") in ("", "main")
    if name in OPERATORS or (name in FUNCTIONS and plain):
        if node.get("filter") or node.get("distinct") or (node.get("order_bys") or {}).get("orders"):
            raise FilterError(f"{name}() takes values only in a filter.", position=place)
        return
    if name in AGGREGATES:
        raise FilterError(
            f"A filter looks at one sample at a time, and {name.replace('_star', '')}() looks at many.",
            hint="session.sql('SELECT …') can do that.",
            position=place,
        )
    near = closest(name, FUNCTIONS)
    hint = f"Did you mean {' or '.join(near)}?" if near else "session.sql('SELECT …') has all functions that read."
    raise FilterError(f"A filter has no function '{name}'.", hint=hint, position=place)


def _check_boolean(sql: str, columns: Mapping[str, str]) -> None:
    try:
        kind = syntax.type_of(sql, columns or {"nothing": "BOOLEAN"})
    except syntax.Refusal as refusal:
        raise FilterError(f"The filter does not fit its columns: {refusal.message}") from None
    if kind != "BOOLEAN":
        hint = "Compare it with something: label = 'cat', brightness < 0.2, 'glare' in tags."
        raise FilterError(f"The filter gives a value ({kind}), not true or false.", hint=hint)


def _refused(text: str, refusal: syntax.Refusal) -> FilterError:
    place = refusal.position
    if place is None:
        return FilterError(f"This is no filter: {refusal.message}.", hint="For example: label = 'cat'")
    ends = place >= len(text.rstrip())
    at = "at its end" if ends else f"at character {place + 1}: {text[place : place + 20].strip()!r}"
    return FilterError(
        f"This is no filter: {refusal.message}.",
        hint=f"The trouble is {at}. For example: label = 'cat'",
        position=place,
    )


def _is_list(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, Sequence | set | frozenset) or (hasattr(value, "tolist") and getattr(value, "ndim", 1) > 0)


def _plain(value: Any) -> Any:
    """A numpy or pandas scalar as Python's own."""
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") and not isinstance(value, str) else value


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in ("NAType", "NaTType")  # pandas' own, without importing pandas
