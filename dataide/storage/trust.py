"""Which files and addresses a session may read, and reading one file without being led astray.

A session file can come from a stranger, and it names files. So a path in it is followed only below the folder it stands
in, below folders that the user names (`di.open(path, allow=[...])`), and below those that this user's own imports
brought in on this machine. The last are remembered in the user's state folder and never in the session file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dataide.errors import MediaError

LARGEST_FILE_BYTES = 1 << 30
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Trust:
    """The folders and addresses that one session may read from.

    Args:
        session_path: the session file.
        session_uuid: of the file's own content, so that another file put in its place inherits nothing.
        allow: more folders, for this process only.
    """

    def __init__(self, session_path: Path, session_uuid: str, allow: Iterable[str | os.PathLike[str]] = ()) -> None:
        real = os.path.realpath(session_path)
        self.folder = os.path.dirname(real)
        self._lock = threading.Lock()
        self._store = (
            state_folder() / "grants" / f"{hashlib.blake2b(os.fsencode(real), digest_size=16).hexdigest()}.json"
        )
        self._identity = {"session": real, "uuid": session_uuid}
        self._allowed = [_real_folder(path) for path in allow]
        self._granted, self._addresses = self._remembered()
        self._roots = self._all_roots()

    def grant(self, root: str | os.PathLike[str]) -> None:
        """Trusts a folder and all below it, and remembers that for this user and session."""
        real = _real_folder(root)
        with self._lock:
            if not self._below(real, self._roots):
                self._granted.append(real)
                self._roots = self._all_roots()
                self._remember()

    def grant_address(self, prefix: str) -> None:
        """Trusts addresses that begin with `prefix`, such as `https://example.org/`."""
        with self._lock:
            if prefix not in self._addresses:
                self._addresses.append(prefix)
                self._remember()

    def is_address_granted(self, url: str) -> bool:
        return any(url.startswith(prefix) for prefix in self._addresses)

    def checked(self, path: str) -> str:
        """The real path, symbolic links followed, if it may be read.

        Raises:
            MediaError: it lies outside of what is trusted.
        """
        real = os.path.realpath(path)
        if self._below(real, self._roots):
            return real
        raise outside(path, real)

    def _all_roots(self) -> list[str]:
        return [_with_separator(root) for root in (self.folder, *self._allowed, *self._granted)]

    @staticmethod
    def _below(real: str, roots: Sequence[str]) -> bool:
        return any(real.startswith(root) or real + os.sep == root for root in roots)

    def _remembered(self) -> tuple[list[str], list[str]]:
        import json

        try:
            kept: dict[str, Any] = json.loads(self._store.read_text("utf-8"))
            if {key: kept.get(key) for key in self._identity} == self._identity:
                return [str(path) for path in kept["folders"]], [str(prefix) for prefix in kept["addresses"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # none yet, or damaged: the next import grants again
        return [], []

    def _remember(self) -> None:
        import json
        import tempfile

        if not self._identity["uuid"]:
            return  # a file that was never written to by us: nothing to know it by
        text = json.dumps({**self._identity, "folders": self._granted, "addresses": self._addresses}, indent=1)
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self._store.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self._store)
        except OSError:
            pass  # a read-only home: the grant holds for this process


def state_folder() -> Path:
    """Where this user's programs keep what they remember between runs."""
    if named := os.environ.get("XDG_STATE_HOME"):
        return Path(named) / "dataide"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "dataide"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "dataide"
    return Path.home() / ".local" / "state" / "dataide"


def read_regular(path: str, largest_bytes: int = LARGEST_FILE_BYTES) -> bytes:
    """The bytes of a regular file. Pipes, sockets and devices are refused without waiting for them.

    Raises:
        MediaError: with code missing, not_a_file, too_large or unreadable.
    """
    try:
        handle = os.open(path, _READ_FLAGS)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{_shown(path)} is {_kind(status.st_mode)}, not a file.", code="not_a_file")
        if status.st_size > largest_bytes:
            raise MediaError(
                f"{_shown(path)} has {status.st_size:,} bytes; at most {largest_bytes:,} are read.", code="too_large"
            )
        # One read is enough for nearly all; a file that grows meanwhile is cut at the size it had.
        data = os.read(handle, status.st_size)
        while len(data) < status.st_size and (more := os.read(handle, status.st_size - len(data))):
            data += more
        return data
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(handle)


def outside(path: str, real: str) -> MediaError:
    """The error about a path that may not be followed."""
    said = f"{_shown(path)} leads to {_shown(real)}, which" if os.path.abspath(path) != real else _shown(path)
    folder = real if os.path.isdir(real) else os.path.dirname(real)
    return MediaError(
        f"{said} lies outside the session's folder, and this session was not given leave to read there.",
        hint=f"If you trust it: di.open(path, allow=[{folder!r}])",
        code="outside",
    )


def _unreadable(path: str, error: OSError) -> MediaError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return MediaError(f"There is no file {_shown(path)}.", code="missing")
    if error.errno == errno.ENXIO:
        return MediaError(f"{_shown(path)} is a socket or a device, not a file.", code="not_a_file")
    if isinstance(error, IsADirectoryError):
        return MediaError(f"{_shown(path)} is a folder, not a file.", code="not_a_file")
    return MediaError(f"{_shown(path)} cannot be read: {error.strerror or error}.", code="unreadable")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _real_folder(path: str | os.PathLike[str]) -> str:
    return os.path.realpath(os.path.expanduser(os.fspath(path)))


def _with_separator(folder: str) -> str:
    return folder if folder.endswith(os.sep) else folder + os.sep


def _shown(path: str) -> str:
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if len(text) <= 200 else f"{text[:80]}…{text[-100:]}"
