"""Checks what came over the wire against a TypedDict, so that a wrong message is an answer and never a traceback."""

from __future__ import annotations

import math
import types
from dataclasses import dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from dataide.errors import ProtocolError

_LARGEST = 2**53


@dataclass(frozen=True)
class Longest:
    """A text of at most this many characters."""

    characters: int


@dataclass(frozen=True)
class Most:
    """A list of at most this many entries."""

    entries: int


def check(value: object, shape: Any, path: str = "body") -> Any:
    """Return the value as the shape wants it, or raise a ProtocolError that names the place.

    Args:
        value: decoded JSON.
        shape: a TypedDict, or another type that protocol.py uses.
        path: where the value stands, for the message.
    """
    if shape is Any:
        return value
    if is_typeddict(shape):
        return _dictionary(value, shape, path)
    origin = get_origin(shape)
    if origin is Annotated:
        inner, *limits = get_args(shape)
        return _limited(check(value, inner, path), limits, path)
    if origin is Literal:
        if value not in get_args(shape) or isinstance(value, bool):
            raise _wrong(path, "one of " + ", ".join(map(repr, get_args(shape))), value)
        return value
    if origin is list:
        return _list(value, get_args(shape)[0], path)
    if origin is dict:
        if not _is_dictionary(value):
            raise _wrong(path, "an object", value)
        return value
    if origin in (types.UnionType, Union):
        return _union(value, get_args(shape), path)
    return _plain(value, shape, path)


def _dictionary(value: object, shape: Any, path: str) -> dict[str, Any]:
    if not _is_dictionary(value):
        raise _wrong(path, "an object", value)
    checked: dict[str, Any] = {}
    for name, (inner, required) in _fields(shape).items():
        if name in value:
            checked[name] = check(value[name], inner, f"{path}.{name}")
        elif required:
            raise ProtocolError(f"{path}.{name} is missing.")
    return checked  # names that this version does not know are left out


def _list(value: object, inner: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(path, "a list", value)
    if inner is int and all(type(entry) is int and -_LARGEST <= entry <= _LARGEST for entry in value):
        return value  # the long lists are of numbers: no call for each of them
    return [check(entry, inner, f"{path}[{position}]") for position, entry in enumerate(value)]


def _union(value: object, members: tuple[Any, ...], path: str) -> Any:
    """The member whose `type` (or `by`, or `k`) fits says what is wrong; else the first that fits wins."""
    if value is None and types.NoneType in members:
        return None
    dictionaries = [member for member in members if is_typeddict(member)]
    if dictionaries and _is_dictionary(value):
        return _dictionary(value, _tagged(value, dictionaries, path), path)
    for member in members:
        if member is types.NoneType or is_typeddict(member):
            continue
        try:
            return check(value, member, path)
        except ProtocolError:
            if len([other for other in members if other is not types.NoneType]) == 1:
                raise
    raise _wrong(path, "something else", value)


def _tagged(value: dict[str, Any], members: list[Any], path: str) -> Any:
    if len(members) == 1:
        return members[0]
    for tag in ("type", "by", "k", "kind"):
        if all(_words(member, tag) for member in members):
            allowed: list[object] = []
            for member in members:
                words = _words(member, tag)
                if value.get(tag) in words:
                    return member
                allowed.extend(words)
            raise _wrong(f"{path}.{tag}", "one of " + ", ".join(map(repr, allowed)), value.get(tag))
    raise _wrong(path, "something else", value)


def _words(member: Any, tag: str) -> tuple[object, ...]:
    """The literals that this field may be; none where it is not there, or is free."""
    hint = _fields(member).get(tag, (str, False))[0]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _plain(value: object, shape: Any, path: str) -> Any:
    if shape is bool:
        if isinstance(value, bool):
            return value
        raise _wrong(path, "true or false", value)
    if shape is str:
        if isinstance(value, str) and _is_text(value):
            return value
        raise _wrong(path, "a text", value)
    if shape is int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise _wrong(path, "a whole number", value)
        if abs(value) > _LARGEST:
            raise _wrong(path, "a number below 2^53", value)
        return int(value)
    if shape is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise _wrong(path, "a number", value)
        return float(value)
    raise TypeError(f"protocol.py uses a type that wire.py does not know: {shape!r}")


def _is_text(value: str) -> bool:
    """JSON can spell half a character; neither DuckDB nor Arrow takes it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON's whole numbers have no end
        return False


def _limited(value: Any, limits: list[Any], path: str) -> Any:
    for limit in limits:
        if isinstance(limit, Longest) and isinstance(value, str) and len(value) > limit.characters:
            raise ProtocolError(f"{path} has {len(value):,} characters; at most {limit.characters:,} are allowed.")
        if isinstance(limit, Most) and isinstance(value, list) and len(value) > limit.entries:
            raise ProtocolError(f"{path} has {len(value):,} entries; at most {limit.entries:,} are allowed.")
    return value


@cache
def _fields(shape: Any) -> dict[str, tuple[Any, bool]]:
    """Name -> (type, must be there) of a TypedDict."""
    fields = {}
    for name, hint in get_type_hints(shape, include_extras=True).items():
        if get_origin(hint) is NotRequired:
            fields[name] = (get_args(hint)[0], False)
        else:
            fields[name] = (hint, True)
    return fields


def _is_dictionary(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _wrong(path: str, wanted: str, value: object) -> ProtocolError:
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return ProtocolError(f"{path} should be {wanted}, and is {shown}.")
