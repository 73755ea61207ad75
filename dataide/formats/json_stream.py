"""A large JSON file item by item: the lists of one top-level object are never in memory as a whole."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from dataide.errors import ImportProblem

_CHUNK = 1 << 20
_SPACE = " \t\n\r"


def items(source: str | os.PathLike[str] | Mapping[str, Any], want: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Name and item of each list of a top-level JSON object, and name and value of everything else.

    Args:
        source: a path (.json, or .json.gz), or what was read already.
        want: names whose values matter; other ones are passed over.

    Raises:
        ImportProblem: the file is not there, is no JSON, or breaks off; what was given until then was good.
    """
    if isinstance(source, Mapping):
        for name, value in source.items():
            if name in want:
                yield from ((str(name), one) for one in value) if isinstance(value, list) else ((str(name), value),)
        return
    path = os.fspath(source)
    shown = os.path.basename(path) or path
    try:
        with _opened(path) as stream:
            yield from _Reader(stream, shown).items(want)
    except FileNotFoundError:
        raise ImportProblem(
            f"There is no file {path}.", hint="Give the path of the JSON file.", code="missing"
        ) from None
    except (OSError, EOFError) as error:
        raise ImportProblem(f"{shown} cannot be read: {error}.", code="unreadable") from error
    except UnicodeDecodeError as error:
        raise ImportProblem(f"{shown} is not UTF-8 text, so it is no JSON: {error.reason}.", code="json") from error


def _opened(path: str) -> TextIO:
    if path.endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), "utf-8-sig")
    return open(path, encoding="utf-8-sig", newline="")


class _Reader:
    def __init__(self, stream: TextIO, shown: str) -> None:
        self._stream = stream
        self._shown = shown
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._dropped, self._ended = "", 0, 0, False

    def items(self, want: frozenset[str]) -> Iterator[tuple[str, Any]]:
        start = self._next()
        if start == "[":
            raise ImportProblem(
                f"{self._shown} holds a list, as results of a model do, not images, annotations and categories.",
                hint="Give the file of annotations. Boxes of a model: session.add_objects(rows) takes a list of dicts.",
                code="json",
            )
        self._expect("{")
        if self._next() == "}":
            return
        while True:
            name = self._value()
            if not isinstance(name, str):
                raise self._broken("a name in quotes")
            self._expect(":")
            if self._next() == "[":
                for one in self._list():
                    if name in want:
                        yield name, one
            else:
                value = self._value()
                if name in want:
                    yield name, value
            if self._next() == "}":
                return
            self._expect(",")

    def _list(self) -> Iterator[Any]:
        self._expect("[")
        if self._next() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._next() == "]":
                self._at += 1
                return
            self._expect(",")

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self._broken(error.msg, error.pos) from None
            except RecursionError:
                raise self._broken("fewer lists in lists") from None
            else:
                # A number at the end of what was read may go on.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            self._more()

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise self._broken(f"Expecting '{sign}'")
        self._at += 1

    def _next(self) -> str:
        """The next sign that is no space, left where it is; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def _more(self) -> None:
        rest = self._text[self._at :]
        # As much again as waits, so that one long item is not read over and over.
        chunk = self._stream.read(max(_CHUNK, len(rest)))
        self._ended = not chunk
        self._text, self._dropped, self._at = rest + chunk, self._dropped + self._at, 0

    def _broken(self, what: str, position: int | None = None) -> ImportProblem:
        at = self._dropped + (self._at if position is None else position)
        ends = self._ended and (self._at if position is None else position) >= len(self._text)
        where = "breaks off" if ends else "is no JSON"
        return ImportProblem(
            f"{self._shown} {where} at character {at + 1:,} ({what}); nothing was added.",
            hint="Was it downloaded or written to its end?" if ends else None,
            code="json",
        )
