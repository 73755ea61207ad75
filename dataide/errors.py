"""One tree of errors. Code, message and hint are the same three that travel to the browser."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

# Whose lines say nothing to somebody who reads an error in a notebook.
_INSIDE = ("dataide", "IPython", "ipykernel")


class DataideError(Exception):
    """What went wrong, on what, and what to type next.

    Attributes:
        code: a stable word for programs.
        message: one sentence for people.
        hint: what to do next, or None.
    """

    code: str = "error"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: what happened, what to do, and the user's own lines.

        With DATAIDE_TRACEBACKS=full in the environment, ours as well.
        """
        lines = [f"\x1b[31m{type(self).__name__}\x1b[0m: {self.message}", *([self.hint] if self.hint else []), ""]
        return [*lines, *_own_lines(self)]

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (ingest and inference), and keyword arguments do not survive the default.
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _own_lines(error: BaseException) -> Iterator[str]:
    """The lines of a traceback outside of dataide, the innermost last, and those of what it came from."""
    full = os.environ.get("DATAIDE_TRACEBACKS") == "full"
    for frame, number in traceback.walk_tb(error.__traceback__):
        if full or str(frame.f_globals.get("__name__")).partition(".")[0] not in _INSIDE:
            code = frame.f_code
            where = "the cell" if "ipykernel_" in code.co_filename else code.co_filename
            inside = "" if code.co_name == "<module>" else f", in {code.co_name}"
            yield f"Line {number} of {where}{inside}: {linecache.getline(code.co_filename, number).strip()}"
    if error.__cause__ is not None and not isinstance(error.__cause__, DataideError):
        yield f"It came from {type(error.__cause__).__name__}: {error.__cause__}"
        yield from _own_lines(error.__cause__)


def _rebuild(kind: type[DataideError], message: str, state: dict[str, object]) -> DataideError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class SessionError(DataideError):
    """A session file that cannot be opened or used."""

    code = "session"


class NotWritten(SessionError):
    """The disk did not take a commit: it is full, or broken. Nothing of the commit is kept."""

    code = "not_written"


class SessionLocked(SessionError):
    """Another process has the session file."""

    code = "session_locked"


class SessionClosed(SessionError):
    """The session was used after `close()`."""

    code = "session_closed"


class ReadOnly(SessionError):
    """A change was asked of something that is open for reading only."""

    code = "read_only"


class NotASession(SessionError):
    """The file is something else, or is damaged."""

    code = "not_a_session"


class NewerSession(SessionError):
    """The file was written by a newer version of dataide."""

    code = "newer_session"


class FilterError(DataideError):
    """A filter text that is not one boolean expression over known columns.

    Attributes:
        position: the character where the trouble is, from 0, or None.
    """

    code = "filter"

    def __init__(
        self, message: str, *, hint: str | None = None, code: str | None = None, position: int | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.position = position


class UnknownColumn(FilterError):
    """A column name that the session does not have."""

    code = "unknown_column"


class UnknownSample(DataideError):
    """A sample id that the session does not have."""

    code = "unknown_sample"


class UnknownRun(DataideError):
    """The name of a run that the session does not have."""

    code = "unknown_run"


class QueryError(DataideError):
    """SQL that the database refused."""

    code = "query"


class ActionError(DataideError):
    """An action that cannot be carried out as asked."""

    code = "action"


class ImportProblem(DataideError):
    """Input that cannot be added as asked."""

    code = "import"


class MediaError(DataideError):
    """A media reference whose bytes cannot be read."""

    code = "media"


class PictureError(DataideError):
    """Bytes that are not a picture we can show."""

    code = "picture"


class ModelError(DataideError):
    """A model that cannot be loaded or run."""

    code = "model"


class EvaluationError(DataideError):
    """Labels and predictions that cannot be compared as given."""

    code = "evaluation"


class ProtocolError(DataideError):
    """A message from the browser that does not follow the protocol."""

    code = "protocol"


class StaleOrder(DataideError):
    """Grid positions that were counted in an order which has changed since."""

    code = "stale_order"


class MissingExtra(DataideError):
    """An optional part of dataide that is not installed."""

    code = "missing_extra"


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Names a person may have meant, the likeliest first."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    return [by_lower[match] for match in get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.6)]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint of an error about an unknown name: the closest ones, or the first few there are."""
    names = list(known)
    near = closest(name, names)
    if near:
        return f"Did you mean {_either(near)}?"
    if not names:
        return None
    shown = ", ".join(names[:12])
    return f"There are {shown} and {len(names) - 12} more." if len(names) > 12 else f"There are: {shown}."


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def unknown_column(name: str, known: Iterable[str], *, position: int | None = None) -> UnknownColumn:
    """The error about a column that is not there, with the closest ones."""
    return UnknownColumn(f"There is no column '{name}'.", hint=did_you_mean(name, known), position=position)
