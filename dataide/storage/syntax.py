"""What DuckDB's own parser says about a text: the syntax tree of an expression, its type, the kind of a statement."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

import duckdb

from dataide.storage.documented import quoted

_PREFIX = "SELECT "
_local = threading.local()


class Refusal(Exception):
    """The parser or the binder said no.

    Attributes:
        position: the character in the text, from 0, or None.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    # A database of its own, in memory and empty: nothing in a stranger's file can take part in reading a text.
    return duckdb.connect(":memory:", config={"enable_external_access": "false", "threads": "1"})


def _cursor() -> duckdb.DuckDBPyConnection:
    cursor: duckdb.DuckDBPyConnection | None = getattr(_local, "cursor", None)
    if cursor is None:
        cursor = _local.cursor = _parser().cursor()
    return cursor


def expression(text: str) -> dict[str, Any]:
    """The syntax tree of exactly one expression.

    Raises:
        Refusal: there is none, there are several, or there is more around it.
    """
    tree = json.loads(_one("SELECT json_serialize_sql(?)", _PREFIX + text))
    if tree["error"]:
        place = tree.get("position")
        if tree.get("error_type") != "parser":
            raise Refusal("there must be one condition, and no statement beside it")
        raise Refusal(tree["error_message"], _place(int(place), text) if place else None)
    statements = tree["statements"]
    if len(statements) != 1:
        raise Refusal("there must be one expression, and there are several statements")
    node = statements[0]["node"]
    selected = node.get("select_list", [])
    if node.get("type") != "SELECT_NODE" or len(selected) != 1:
        raise Refusal("there must be one expression, without a comma outside of brackets")
    around = ("modifiers", "where_clause", "group_expressions", "group_sets", "having", "sample", "qualify")
    bare = not any(node.get(part) for part in around)
    if not bare or node.get("from_table", {}).get("type") != "EMPTY" or node.get("cte_map", {}).get("map"):
        raise Refusal("there must be a condition only, without FROM, WHERE, ORDER BY or LIMIT")
    if selected[0].get("alias"):
        raise Refusal("a condition has no name, so there is no AS")
    found: dict[str, Any] = selected[0]
    return found


def canonical(text: str) -> str:
    """The expression as DuckDB writes it: without comments, and closed in itself."""
    return str(_one("SELECT json_deserialize_sql(json_serialize_sql(?))", _PREFIX + text)).removeprefix(_PREFIX)


def type_of(sql: str, columns: Mapping[str, str]) -> str:
    """The SQL type that the expression has over columns of these types.

    Raises:
        Refusal: the types do not go together.
    """
    names = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
    try:
        cursor = _cursor().execute(f"SELECT {sql} AS answer FROM (SELECT {names}) AS sample LIMIT 0")
    except duckdb.Error as error:
        raise Refusal(first_line(error)) from error
    return str(cursor.description[0][1]) if cursor.description else ""


def location(node: Mapping[str, Any], text: str) -> int | None:
    """Where in the text a node of its tree stands."""
    place = node.get("query_location")
    return _place(int(place), text) if isinstance(place, int) else None


def kinds(sql: str) -> list[str]:
    """What each statement of the text is: SELECT, INSERT, EXPLAIN …

    Raises:
        Refusal: it cannot be parsed.
    """
    try:
        return [statement.type.name for statement in _cursor().extract_statements(sql)]
    except duckdb.Error as error:
        raise Refusal(first_line(error)) from error


@cache
def reserved_words() -> frozenset[str]:
    """Words that name a column in double quotes only, in this DuckDB."""
    words = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
    return frozenset(word for (word,) in _cursor().execute(words).fetchall())


def first_line(error: BaseException) -> str:
    """The first line of one of DuckDB's messages, without its kind."""
    line = str(error).split("\n", 1)[0]
    kind, colon, rest = line.partition(": ")
    return rest if colon and kind.endswith("Error") else line


def _one(sql: str, text: str) -> Any:
    row = _cursor().execute(sql, [text]).fetchall()[0]
    return row[0]


def _place(position: int, text: str) -> int | None:
    place = position - len(_PREFIX)
    return place if 0 <= place <= len(text) else None
