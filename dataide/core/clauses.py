"""Clauses of the filter: what one facet, one legend or the filter box says about a sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dataide.core.predicate import PSEUDO, Members, Predicate, column_named, parse
from dataide.errors import FilterError
from dataide.storage.query import listed, name_of
from dataide.storage.query import text as quoted_text

_SHOWN = 4


@dataclass(frozen=True)
class SqlClause:
    """One boolean SQL expression, as typed into the filter box."""

    text: str

    @property
    def column(self) -> str | None:
        return None

    def sql(self, columns: Mapping[str, str]) -> str:
        return self.text

    def sentence(self, columns: Mapping[str, str]) -> str:
        return self.text.strip()


@dataclass(frozen=True)
class InClause:
    """The column has one of these values, written as text; None stands for no value.

    On `tags` and `queues` it means: has at least one of them, or, for None, has none at all.
    """

    column: str
    values: tuple[str | None, ...]

    def sql(self, columns: Mapping[str, str]) -> str:
        name, kind = _column(self.column, columns)
        present = [value for value in self.values if value is not None]
        if kind in PSEUDO.values() and self.column in PSEUDO:
            parts = [f"list_has_any({name}, [{', '.join(quoted_text(value) for value in present)}])"] if present else []
            none = f"len({name}) = 0"
        else:
            parts = [f"{_as_text(name, kind)} IN {listed(present)}"] if present else []
            none = f"{name} IS NULL"
        if len(present) < len(self.values):
            parts.append(none)
        return " OR ".join(parts) if parts else "false"

    def sentence(self, columns: Mapping[str, str]) -> str:
        return f"{self.column} is {_either(self.values)}" if self.values else f"{self.column} is none of its values"


@dataclass(frozen=True)
class NotInClause:
    """The column has none of these values; None in the list leaves out samples without a value."""

    column: str
    values: tuple[str | None, ...]

    def sql(self, columns: Mapping[str, str]) -> str:
        if not self.values:
            return "true"
        inner = InClause(self.column, self.values).sql(columns)
        # NULL IN (…) is NULL, not false: a sample without a value is not one of the values left out.
        return f"NOT coalesce({inner}, false)"

    def sentence(self, columns: Mapping[str, str]) -> str:
        return f"{self.column} is not {_either(self.values)}" if self.values else f"{self.column} is anything"


@dataclass(frozen=True)
class RangeClause:
    """low <= value <= high; None leaves that side open. Times are milliseconds since 1970."""

    column: str
    low: float | None
    high: float | None

    def sql(self, columns: Mapping[str, str]) -> str:
        name, kind = _column(self.column, columns)
        # A timestamp compared in milliseconds keeps the edge of the bar that was drawn.
        value = f"epoch_ms(CAST({name} AS TIMESTAMP))" if _is_time(kind) else name
        parts = [
            f"{value} {sign} {_number(edge)}"
            for sign, edge in ((">=", self.low), ("<=", self.high))
            if edge is not None
        ]
        return " AND ".join(parts) if parts else f"{name} IS NOT NULL"

    def sentence(self, columns: Mapping[str, str]) -> str:
        time = _is_time(columns.get(self.column, ""))
        low, high = (_edge(edge, time) for edge in (self.low, self.high))
        if self.low is not None and self.high is not None:
            return f"{self.column} from {low} to {high}"
        if self.low is not None:
            return f"{self.column} at least {low}"
        return f"{self.column} at most {high}" if self.high is not None else f"{self.column} has a value"


Clause = SqlClause | InClause | NotInClause | RangeClause


@dataclass(frozen=True)
class Stated:
    """A clause with who stated it.

    Attributes:
        source: "text", "legend", "facet:<column>", "code"; one clause per source.
        clause: what was stated.
        sentence: for people: label is cat or dog.
        column: the column it is about, or None.
        sql: the condition, as `session.where` takes it.
        predicate: the condition, checked.
    """

    source: str
    clause: Clause
    sentence: str
    column: str | None
    sql: str
    predicate: Predicate


def state(source: str, clause: Clause | Mapping[str, Any], columns: Mapping[str, str]) -> Stated:
    """Checks a clause against the columns.

    Raises:
        FilterError: it does not fit.
    """
    known = {**columns, **PSEUDO}
    said = clause_of(clause) if isinstance(clause, Mapping) else clause
    sql = said.sql(known)
    predicate = parse(sql, columns)
    if isinstance(said, InClause | NotInClause) and said.column in PSEUDO:
        predicate = replace(predicate, members=Members(said.column, said.values, isinstance(said, NotInClause)))
    return Stated(source, said, said.sentence(known), said.column, sql, predicate)


def clause_of(given: Mapping[str, Any]) -> Clause:
    """The clause that a message of the protocol describes."""
    try:
        match given["type"]:
            case "sql":
                return SqlClause(str(given["text"]))
            case "in":
                return InClause(str(given["column"]), tuple(given["values"]))
            case "not_in":
                return NotInClause(str(given["column"]), tuple(given["values"]))
            case "range":
                return RangeClause(str(given["column"]), given.get("low"), given.get("high"))
    except (KeyError, TypeError) as error:
        raise FilterError(f"A clause of the filter is not complete: {error}.") from error
    raise FilterError(f"There is no clause {given['type']!r}.", hint="There are: sql, in, not_in, range.")


def _column(name: str, columns: Mapping[str, str]) -> tuple[str, str]:
    known = column_named(name, columns)
    return name_of(known), columns[known]


def _as_text(name: str, kind: str) -> str:
    return name if kind == "VARCHAR" else f"CAST({name} AS VARCHAR)"


def _is_time(kind: str) -> bool:
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def _number(edge: float) -> str:
    if isinstance(edge, bool) or not isinstance(edge, int | float) or not math.isfinite(edge):
        raise FilterError(f"A range has numbers at its ends, not {edge!r}.")
    return repr(edge)


def _edge(edge: float | None, time: bool) -> str:
    if edge is None:
        return ""
    if not time:
        return f"{edge:.4g}" if abs(edge) < 10_000 else f"{edge:,.0f}"
    moment = datetime.fromtimestamp(edge / 1000, UTC)
    return moment.strftime("%Y-%m-%d" if moment.hour == moment.minute == moment.second == 0 else "%Y-%m-%d %H:%M")


def _either(values: tuple[str | None, ...]) -> str:
    words = ["nothing" if value is None else value for value in values]
    if len(words) > _SHOWN:
        return f"{', '.join(words[:_SHOWN])} or {len(words) - _SHOWN} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
