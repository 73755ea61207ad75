"""Pictures that were fetched when somebody looked at them, kept on disk up to a limit. Safe to delete at any time.

One file a picture: many threads and processes read and write at once without a lock among them, because a file comes
into being whole (it is renamed into place) and says itself how long it is and what its content's hash must be.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from dataide.errors import MediaError
from dataide.storage.addresses import read_url

_log = logging.getLogger(__name__)

FOLDER = "downloads"
MOST_BYTES = 2 << 30
# A name that did not answer is not asked again for so long: a grid asks for a hundred pictures at once.
FORGET_S = 30.0
FORGET_MISSING_S = 300.0
_HEAD = struct.Struct("<4sQ16s")
_MARK = b"dip1"


class Downloads:
    """A cache of bytes by address, the least recently used dropped first.

    Args:
        folder: where the files lie; None keeps nothing.
        most_bytes: of all files together.
        writable: False reads what is there and keeps nothing new.
    """

    def __init__(self, folder: Path | None, *, most_bytes: int = MOST_BYTES, writable: bool = True) -> None:
        self._folder = folder
        self._most = most_bytes
        self._writable = writable
        self._lock = threading.Lock()
        self._written: int | None = None  # since the folder was last measured; None: not yet
        self._under_way: dict[str, threading.Lock] = {}
        self._failed: dict[str, tuple[float, MediaError]] = {}

    def get(self, url: str) -> bytes:
        """The bytes at an address, from the disk or from there.

        Raises:
            MediaError: as `read_url` says; for half a minute the same one again, without asking.
        """
        data = self._kept(url)
        if data is not None:
            return data
        # Several panels ask for the same picture at the same moment: one fetches, the others wait for it.
        with self._lock:
            turn = self._under_way.setdefault(url, threading.Lock())
        try:
            with turn:
                data = self._kept(url)
                if data is None:
                    data = self._fetch(url)
                    self._keep(url, data)
                return data
        finally:
            with self._lock:
                self._under_way.pop(url, None)

    def _fetch(self, url: str) -> bytes:
        server = _server(url)
        now = time.monotonic()
        for name in (server, url):
            known = self._failed.get(name)
            if known is not None and now < known[0]:
                raise known[1]
        try:
            data = read_url(url)
        except MediaError as error:
            if error.code == "unreachable":
                # The server, not only this picture: the next hundred would each wait as long.
                self._remember(server, FORGET_S, _about_server(server, error))
            self._remember(url, FORGET_S if error.code == "unreachable" else FORGET_MISSING_S, error)
            raise
        self._failed.pop(server, None)
        self._failed.pop(url, None)
        return data

    def _remember(self, name: str, seconds: float, error: MediaError) -> None:
        with self._lock:
            self._failed[name] = (time.monotonic() + seconds, error)
            while len(self._failed) > 10_000:
                self._failed.pop(next(iter(self._failed)))

    # On disk ---------------------------------------------------------------------------------------------------

    def _path(self, url: str) -> Path | None:
        if self._folder is None:
            return None
        # A hash and no more: addresses may carry keys, which have no place in names of files.
        name = hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self._folder / name[:2] / name

    def _kept(self, url: str) -> bytes | None:
        path = self._path(url)
        if path is None:
            return None
        try:
            whole = path.read_bytes()
        except OSError:
            return None
        if len(whole) >= _HEAD.size:
            mark, size, digest = _HEAD.unpack_from(whole)
            data = whole[_HEAD.size :]
            if mark == _MARK and size == len(data) and digest == _digest(data):
                try:
                    os.utime(path)  # used now
                except OSError:
                    _log.debug("could not touch %s", path, exc_info=True)
                return data
        _remove(path)  # cut off or damaged
        return None

    def _keep(self, url: str, data: bytes) -> None:
        path = self._path(url)
        if path is None or not self._writable or len(data) > self._most // 4:
            return
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(_HEAD.pack(_MARK, len(data), _digest(data)) + data)
            os.replace(temporary, path)
        except OSError:
            # A full or read-only disk costs speed and nothing else.
            _log.debug("a picture is not kept", exc_info=True)
            _remove(temporary)
            return
        with self._lock:
            first = self._written is None
            self._written = (self._written or 0) + len(data) + _HEAD.size
            due = first or self._written > self._most // 16
            if due:
                self._written = 0
        if due:
            self._trim()

    def _trim(self) -> None:
        """Drops what was not used for longest, until three quarters of the limit are left."""
        found: list[tuple[int, int, Path]] = []
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue  # another process was quicker
            if path.suffix == ".part" and time.time() - status.st_mtime > 3600:
                _remove(path)  # of a process that is no more
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
        # Room for what comes until the next look, so that the limit holds in between too.
        excess = sum(size for _, size, _ in found) - (self._most - self._most // 16)
        if excess <= 0:
            return
        excess += self._most // 4
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            _remove(path)
            excess -= size

    def _files(self) -> Iterator[Path]:
        if self._folder is None:
            return
        try:
            for group in self._folder.iterdir():
                if len(group.name) == 2 and group.is_dir():
                    yield from group.iterdir()
        except OSError:
            return


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _about_server(server: str, error: MediaError) -> MediaError:
    return MediaError(
        f"{server} did not answer a moment ago: {error.message}",
        hint=f"It is asked again after {FORGET_S:.0f} seconds.",
        code="unreachable",
    )


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        _log.debug("could not remove %s", path, exc_info=True)
