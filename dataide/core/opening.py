"""Which session a path means, and whether it is open in this process already."""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from dataide.core.context import Context
from dataide.errors import SessionError


class _HasContext(Protocol):
    @property
    def context(self) -> Context: ...

    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_HasContext)
PathLike = str | os.PathLike[str]


class Registry(Generic[Opened]):
    """The sessions that are open in this process, by file. Running a cell again gives the same session."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._open: dict[Path, tuple[Opened, tuple[int, int] | None]] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def get(self, path: Path, make: Callable[[], Opened], *, read_only: bool, allow: Sequence[Path]) -> Opened:
        """The open session of this file, or a new one.

        Raises:
            SessionError: it is open in the other way, for reading or for writing.
        """
        with self.lock:
            known, identity = self._open.get(path, (None, None))
            if known is not None and not known.context.database.closed:
                if identity == _identity(path):
                    return self._again(known, read_only, allow)
                known.close()  # the file was deleted or replaced meanwhile
            session = make()
            self._open[path] = (session, _identity(path))
            return session

    def drop(self, session: Opened) -> None:
        """Forgets a session that is being closed."""
        with self.lock:
            self._open = {path: entry for path, entry in self._open.items() if entry[0] is not session}

    def _again(self, known: Opened, read_only: bool, allow: Sequence[Path]) -> Opened:
        database = known.context.database
        if database.read_only != read_only:
            way, other = ("reading only", "") if database.read_only else ("writing", ", read_only=True")
            raise SessionError(
                f"{database.path.name} is already open here, for {way}.",
                hint=f"Close that session first: session.close(); di.open({database.path.name!r}{other})",
            )
        for root in allow:
            if root not in known.context.allow:
                known.context.media.grant(root)
        return known

    def _forget(self) -> None:
        # The sessions of a forked child's parent are not the child's to use or to close.
        self._open = {}
        self.lock = threading.RLock()


def placed(path: PathLike) -> Path:
    """The session file that a path means, links resolved; without an ending it gets .duckdb."""
    place = Path(path).expanduser().absolute()
    if not place.suffix and not place.exists():
        place = place.with_name(f"{place.name}.duckdb")
    return place.resolve()


def author_name() -> str:
    """Who decides: $DATAIDE_AUTHOR, else the user's name, as far as the machine knows it."""
    named = os.environ.get("DATAIDE_AUTHOR", "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # a container's user may have a number and no name


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
