"""What could come next in the filter box: a column, an operator, a value, a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dataide.storage.syntax import reserved_words

from .codes import LISTS, Kind
from .predicate import MOMENTS

Context = Literal["operand", "operator", "value", "connective"]
MOST_ITEMS = 50


@dataclass(frozen=True)
class Item:
    """One proposal: `text` replaces what stands between `start` and `stop` of the completion."""

    text: str
    kind: str  # column, operator, value, function, keyword
    detail: str | None = None


@dataclass(frozen=True)
class Completion:
    start: int
    stop: int
    items: list[Item]


@dataclass(frozen=True)
class Token:
    kind: Literal["word", "name", "text", "number", "sign"]
    text: str  # without quotes
    start: int
    stop: int
    closed: bool = True


_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*'?)|(?P<name>"(?:[^"]|"")*"?)|(?P<number>\d[\w.]*)|(?P<word>\w+)"""
    r"""|(?P<sign><=|>=|<>|!=|==|\S)""",
)
_COMPARISONS = frozenset({"=", "==", "!=", "<>", "<", "<=", ">", ">=", "like", "ilike"})
_OPERATORS: dict[str, Sequence[tuple[str, str]]] = {
    "category": [
        ("=", "is"),
        ("!=", "is not"),
        ("in (", "one of"),
        ("not in (", "none of"),
        ("like", "% stands for anything"),
        ("ilike", "like, in any case"),
        ("is null", "has no value"),
        ("is not null", "has a value"),
    ],
    "number": [
        ("<", "below"),
        ("<=", "at most"),
        (">", "above"),
        (">=", "at least"),
        ("=", "is"),
        ("!=", "is not"),
        ("between", "from … and …"),
        ("is null", "has no value"),
        ("is not null", "has a value"),
    ],
    "bool": [("= true", "yes"), ("= false", "no"), ("is null", "has no value")],
    "other": [("is null", "has no value"), ("is not null", "has a value")],
}
_OPERATORS["text"] = _OPERATORS["category"]
_OPERATORS["time"] = _OPERATORS["number"]
_FUNCTIONS = [
    ("list_contains(", "list, value"),
    ("len(", "length of a list or text"),
    ("lower(", "text"),
    ("contains(", "text, part"),
    ("starts_with(", "text, beginning"),
    ("regexp_matches(", "text, pattern"),
    ("abs(", "number"),
    ("round(", "number, digits"),
    ("coalesce(", "the first that is not null"),
    ("year(", "time"),
    ("month(", "time"),
    ("date_trunc(", "'day', time"),
]


def complete_filter(
    text: str, cursor: int, kinds: dict[str, Kind], values_of: Callable[[str], Sequence[tuple[str, int]]]
) -> Completion:
    """Proposes what to type at the cursor of a filter.

    Args:
        text: the filter so far.
        cursor: how many characters stand before the cursor.
        kinds: the columns and what they hold.
        values_of: the values of a category column with their counts, the most frequent first.
    """
    cursor = max(0, min(cursor, len(text)))
    tokens = _tokens(text)
    known = {name.lower(): name for name in [*kinds, *LISTS]}
    partial = next((token for token in tokens if token.start < cursor <= token.stop and _partial(token, cursor)), None)
    before = [token for token in tokens if token.stop <= cursor and token is not partial]
    start, stop = (partial.start, partial.stop) if partial else (cursor, cursor)
    typed = _inner(text[start:cursor], partial)
    context, column = _context(before, known)
    if partial is not None and partial.kind == "text" and context != "value":
        return Completion(start, stop, [])  # inside a text that is compared with nothing we know
    if context == "value" and column is not None:
        items = [Item(_literal(value), "value", f"{count:,}") for value, count in values_of(column)]
        items += [Item(word, "value", None) for word in ("true", "false") if kinds.get(column) == "bool" and not items]
    elif context == "operator":
        kind = "other" if column is None or column in LISTS else kinds.get(column, "other")
        items = [Item(sign, "operator", detail) for sign, detail in _OPERATORS[kind]]
    elif context == "connective":
        items = [Item("and", "keyword", None), Item("or", "keyword", None)]
    else:
        items = [Item(_identifier(name), "column", kind) for name, kind in kinds.items()]
        items += [Item(name, "column", "list") for name in LISTS]
        if typed:
            items += [Item(name, "function", detail) for name, detail in _FUNCTIONS]
        items.append(Item("not", "keyword", None))
    return Completion(start, stop, matching(items, typed, key=_bare)[:MOST_ITEMS])


def complete_names(text: str, names: Iterable[tuple[str, int]]) -> Completion:
    """Proposes names that begin with the text, then those that contain it, the most used first."""
    items = [Item(name, "name", f"{count:,}") for name, count in sorted(names, key=lambda pair: -pair[1])]
    return Completion(0, len(text), matching(items, text.strip(), key=lambda item: item.text)[:MOST_ITEMS])


def matching(items: Sequence[Item], typed: str, key: Callable[[Item], str]) -> list[Item]:
    """Items that begin with what was typed, then those that contain it; otherwise in the order they came."""
    needle = typed.casefold()
    beginning = [item for item in items if key(item).casefold().startswith(needle)]
    inside = [item for item in items if needle in key(item).casefold() and item not in beginning] if needle else []
    return beginning + inside


def _tokens(text: str) -> list[Token]:
    tokens = []
    for match in _TOKEN.finditer(text):
        kind, raw = match.lastgroup, match.group()
        closed = True
        if kind in ("text", "name"):
            mark = raw[0]
            closed = len(raw) > 1 and raw.endswith(mark) and (len(raw) - len(raw.rstrip(mark))) % 2 == 1
            closed = closed or raw == mark * 2
            raw = (raw[1:-1] if closed else raw[1:]).replace(mark * 2, mark)
        tokens.append(Token(kind, raw, match.start(), match.end(), closed))  # type: ignore[arg-type]
    return tokens


def _partial(token: Token, cursor: int) -> bool:
    """Is this token still being typed? A closed text is not, unless the cursor stands inside it."""
    if token.kind in ("text", "name"):
        return cursor < token.stop or not token.closed
    return token.kind in ("word", "number")


def _inner(typed: str, partial: Token | None) -> str:
    if partial is not None and partial.kind in ("text", "name"):
        return typed[1:].replace("''", "'") if partial.kind == "text" else typed[1:]
    return typed


def _context(before: Sequence[Token], known: dict[str, str]) -> tuple[Context, str | None]:
    """What is expected after these tokens, and of which column."""

    def column_at(position: int) -> str | None:
        if not -len(before) <= position < 0:
            return None
        token = before[position]
        return known.get(token.text.lower()) if token.kind in ("word", "name") else None

    if not before:
        return "operand", None
    last = before[-1].text.lower() if before[-1].kind in ("word", "sign") else ""
    if last in _COMPARISONS:
        back = -3 if len(before) > 2 and before[-2].text.lower() == "not" else -2
        column = column_at(back)
        return ("value", column) if column else ("operand", None)
    if last in ("(", ","):
        column = _list_column(before, known)
        return ("value", column) if column else ("operand", None)
    if last in ("and", "or", "not", "between", "in", "+", "-", "*", "/", "%", "when", "then", "else"):
        return "operand", None
    if (column := column_at(-1)) is not None:
        compared = len(before) > 1 and before[-2].text.lower() in _COMPARISONS
        return ("connective", None) if compared else ("operator", column)
    return "connective", None


def _list_column(before: Sequence[Token], known: dict[str, str]) -> str | None:
    """The column of `column in ('a', ` and of `list_contains(column, `."""
    position = len(before) - 1
    while position > 0 and before[position].text != "(":
        if before[position].kind == "sign" and before[position].text != ",":
            return None
        position -= 1
    if position < 1 or before[position].text != "(":
        return None
    word = before[position - 1].text.lower()
    if word == "in":
        negated = position > 1 and before[position - 2].text.lower() == "not"
        owner = position - (3 if negated else 2)
        return known.get(before[owner].text.lower()) if owner >= 0 else None
    if word in ("list_contains", "contains", "starts_with", "array_contains") and len(before) - position == 3:
        return known.get(before[position + 1].text.lower())
    return None


def _bare(item: Item) -> str:
    return item.text.strip("'\"")


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in reserved_words() | MOMENTS:
        return name
    return '"' + name.replace('"', '""') + '"'
