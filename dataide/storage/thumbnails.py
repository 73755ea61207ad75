"""Thumbnails, made once and kept beside the session file. The cache can be deleted at any time."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataide.errors import DataideError
from dataide.storage import parquet_rows, pictures
from dataide.storage.addresses import is_url
from dataide.storage.rows import rows_of

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media

_log = logging.getLogger(__name__)

MOST_CACHED_BYTES = 1 << 30
MOST_FULL_BYTES = 4 << 20
# What is on screen is asked for again and again while people scroll; these are a few screens.
MOST_HELD_BYTES = 16 << 20
FILE = "thumbnails.sqlite"
# A change of how thumbnails look gives them another number, so that old ones are not shown.
_MAKE = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS thumbnail (
    content_hash TEXT NOT NULL, px INTEGER NOT NULL, make INTEGER NOT NULL,
    mime TEXT NOT NULL, data BLOB NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (content_hash, px, make)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded picture for the browser, or the reason why there is none.

    Attributes:
        data: empty where there is a problem.
        mime: likewise.
        problem: a sentence for people, or None.
    """

    data: bytes
    mime: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FullPicture:
    """One picture in full, its size as people see it."""

    data: bytes
    mime: str
    width_px: int
    height_px: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the picture of a sample is.

    Attributes:
        ref: its media reference.
        content_hash: None where nobody has looked at it yet.
        key: by which its thumbnails are kept; None where the reference may mean another picture tomorrow.
    """

    ref: str
    content_hash: str | None
    key: str | None


class Thumbnails:
    """Makes, keeps and gives thumbnails. Safe for threads.

    Args:
        database: the session's file.
        media: reads the pictures.
    """

    def __init__(self, database: Database, media: Media) -> None:
        self._database = database
        self._media = media
        self._cache = _Cache(None if database.read_only else os.fspath(database.cache_dir))
        self._held: dict[tuple[str, int], Thumbnail] = {}
        self._held_bytes = 0
        self._lock = threading.Lock()
        # Pillow lets go of the interpreter's lock while it decodes.
        self._pool = ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 2), thread_name_prefix="dataide-thumbnails")

    def get(self, nos: Sequence[int], px: int) -> list[Thumbnail]:
        """Thumbnails of some samples, in the order asked.

        Args:
            nos: sample numbers.
            px: longest side wanted; pictures are never enlarged, and small ones come as they are.
        """
        places = self._places(nos)
        found: dict[int, Thumbnail] = {}
        due: list[tuple[int, _Place]] = []
        for number in dict.fromkeys(int(no) for no in nos):
            if number not in places:
                found[number] = Thumbnail(b"", "", f"There is no sample with the number {number}.")
                continue
            place = places[number]
            held = self._held.get((place.key, px)) if place.key else None
            if held is not None:
                found[number] = held
            else:
                due.append((number, place))
        if due:
            found.update(self._make(due, px))
        return [found[int(no)] for no in nos]

    def full(self, no: int, px: int) -> FullPicture:
        """One picture for the inspector: the file itself if a browser shows it and it is at most 4 MiB, else a copy.

        Args:
            no: sample number.
            px: longest side of a copy.
        """
        place = self._places([no]).get(int(no))
        if place is None:
            return FullPicture(b"", "", 0, 0, f"There is no sample with the number {no}.")
        try:
            data = self._media.read(place.ref)
            encoded, mime, width, height = pictures.web_picture(data, px, MOST_FULL_BYTES)
        except DataideError as error:
            return FullPicture(b"", "", 0, 0, _problem(error))
        return FullPicture(encoded, mime, width, height)

    def close(self) -> None:
        """Waits for running work and closes the cache."""
        self._pool.shutdown(cancel_futures=True)
        self._cache.close()

    def _places(self, nos: Sequence[int]) -> dict[int, _Place]:
        numbers = sorted({int(no) for no in nos if 0 <= int(no) < 1 << 32})
        if not numbers:
            return {}
        rows = rows_of(self._database, "media, content_hash, media_revision", numbers)
        return {
            no: _Place(media, content_hash, content_hash or _key_of(media, revision))
            for no, (media, content_hash, revision) in rows.items()
        }

    def _make(self, due: Sequence[tuple[int, _Place]], px: int) -> dict[int, Thumbnail]:
        cached = self._cache.read([place.key for _, place in due if place.key], px)
        found: dict[int, Thumbnail] = {}
        missing: list[tuple[int, _Place]] = []
        for number, place in due:
            kept = cached.get(place.key or "")
            if kept is None:
                missing.append((number, place))
            else:
                found[number] = kept
                self._hold(place.key, px, kept)
        if not missing:
            return found
        read = self._media.read_many([place.ref for _, place in missing])
        work = [(data, place.content_hash, px) for data, (_, place) in zip(read, missing, strict=True)]
        made = (
            list(map(_thumbnail, work)) if sum(map(_cost, work)) < 500_000 else list(self._pool.map(_thumbnail, work))
        )
        fresh: list[tuple[str, int, Thumbnail]] = []
        for (number, place), (thumbnail, actual_hash, passed) in zip(missing, made, strict=True):
            found[number] = thumbnail
            if actual_hash is None:
                continue
            # A file may have changed since it was looked at: then its thumbnail is not that of the known hash.
            key = actual_hash if place.content_hash or not place.key else place.key
            self._hold(key, px, thumbnail)
            # Small files that were looked at once are as quick as their thumbnails; others would be checked each time.
            if not passed or not place.content_hash:
                fresh.append((key, px, thumbnail))
        if fresh:
            self._cache.write(fresh)
        return found

    def _hold(self, key: str | None, px: int, thumbnail: Thumbnail) -> None:
        if not key or len(thumbnail.data) > MOST_HELD_BYTES // 8:
            return
        with self._lock:
            if (key, px) in self._held:
                return
            self._held[key, px] = thumbnail
            self._held_bytes += len(thumbnail.data)
            while self._held_bytes > MOST_HELD_BYTES:
                oldest = next(iter(self._held))  # dicts keep the order of arrival
                self._held_bytes -= len(self._held.pop(oldest).data)


def _key_of(ref: str, revision: int) -> str | None:
    """The key of a picture whose bytes nobody has looked at: an address, or a row of a Parquet file as it was."""
    if is_url(ref):
        lasting = ref[:7].lower() != "file://"
    else:
        lasting = ref.startswith(parquet_rows.PREFIX) and "@" in ref.rpartition(":")[2]
    if not lasting:
        return None
    # Addresses may carry keys, which have no place in a cache.
    return "ref:" + hashlib.blake2b(f"{revision} {ref}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _cost(work: tuple[bytes | DataideError, str | None, int]) -> int:
    return len(work[0]) if isinstance(work[0], bytes) else 0


def _thumbnail(work: tuple[bytes | DataideError, str | None, int]) -> tuple[Thumbnail, str | None, bool]:
    """The thumbnail, the hash of the bytes as they are now, and whether it is the file itself."""
    data, content_hash, px = work
    if isinstance(data, DataideError):
        return Thumbnail(b"", "", _problem(data)), None, False
    try:
        actual = pictures.content_hash(data)
        # Bytes that the import has decoded need not be decoded again to know that they are sound.
        made, mime = pictures.thumbnail(data, px, trusted=actual == content_hash)
    except DataideError as error:
        return Thumbnail(b"", "", _problem(error)), None, False
    return Thumbnail(made, mime), actual, made is data


def _problem(error: DataideError) -> str:
    text = str(error)
    return (text[:1].upper() + text[1:]).rstrip(".") + "."


class _Cache:
    """Thumbnails in SQLite: unlike DuckDB it takes many small writes from several threads and processes.

    A cache that cannot be written, or is damaged, costs speed and nothing else.
    """

    def __init__(self, folder: str | None, most_bytes: int = MOST_CACHED_BYTES) -> None:
        self._path = os.path.join(folder, FILE) if folder is not None else None
        self._most = most_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened = False
        self._written = 0

    def read(self, hashes: Iterable[str], px: int) -> dict[str, Thumbnail]:
        wanted = list(dict.fromkeys(hashes))
        found: dict[str, Thumbnail] = {}
        with self._lock:
            connection = self._open()
            if connection is None:
                return found
            try:
                for start in range(0, len(wanted), 500):  # SQLite's limit is on parameters
                    part = wanted[start : start + 500]
                    marks = ", ".join("?" * len(part))
                    rows = connection.execute(
                        "SELECT content_hash, mime, data FROM thumbnail "
                        f"WHERE px = ? AND make = ? AND content_hash IN ({marks})",
                        [px, _MAKE, *part],
                    )
                    found.update((key, Thumbnail(bytes(data), str(mime))) for key, mime, data in rows)
            except (sqlite3.Error, TypeError, ValueError):
                self._begin_anew()
        return found

    def write(self, fresh: Sequence[tuple[str, int, Thumbnail]]) -> None:
        now = int(time.time())
        with self._lock:
            connection = self._open()
            if connection is None:
                return
            try:
                with connection:
                    connection.executemany(
                        "INSERT OR REPLACE INTO thumbnail VALUES (?, ?, ?, ?, ?, ?)",
                        [(key, px, _MAKE, thumbnail.mime, thumbnail.data, now) for key, px, thumbnail in fresh],
                    )
                self._written += sum(len(thumbnail.data) for _, _, thumbnail in fresh)
                if self._written > self._most // 16:
                    self._trim(connection)
            except sqlite3.OperationalError:
                # Read-only, full or in use by another process for too long: go on without.
                _log.debug("thumbnails are not kept", exc_info=True)
            except sqlite3.Error:
                self._begin_anew()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.close()
                except sqlite3.Error:
                    _log.debug("the cache did not close", exc_info=True)
            self._connection, self._opened = None, True

    def _open(self) -> sqlite3.Connection | None:
        if self._opened or self._path is None:
            return self._connection
        self._opened = True
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._connection = self._connect(self._path)
        except (sqlite3.Error, OSError):
            self._begin_anew()
        return self._connection

    @staticmethod
    def _connect(path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=2, check_same_thread=False)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            # Losing the last thumbnails in a power cut costs nothing.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(_TABLE)
            connection.execute("SELECT content_hash, px, make, mime, data, used FROM thumbnail LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_anew(self) -> None:
        """Throws a damaged cache away; once, and for good if that does not help."""
        assert self._path is not None
        if self._connection is not None:
            try:
                self._connection.close()
            except sqlite3.Error:
                _log.debug("the damaged cache did not close", exc_info=True)
        self._connection = None
        path = self._path
        try:
            for name in (path, f"{path}-wal", f"{path}-shm"):
                if os.path.exists(name):
                    os.remove(name)
            self._connection = self._connect(path)
        except (sqlite3.Error, OSError):
            _log.debug("no cache for thumbnails at %s", path, exc_info=True)

    def _trim(self, connection: sqlite3.Connection) -> None:
        """Drops the oldest until the cache has three quarters of its largest size."""
        self._written = 0
        row = connection.execute("SELECT coalesce(sum(length(data)), 0) FROM thumbnail").fetchone()
        excess = int(row[0]) - self._most
        if excess <= 0:
            return
        excess += self._most // 4
        oldest = connection.execute(
            "SELECT content_hash, px, make, length(data) FROM thumbnail ORDER BY used"
        ).fetchall()
        dropped: list[tuple[str, int, int]] = []
        for key, px, make, size in oldest:
            if excess <= 0:
                break
            dropped.append((key, px, make))
            excess -= size
        with connection:
            connection.executemany("DELETE FROM thumbnail WHERE content_hash = ? AND px = ? AND make = ?", dropped)
        connection.execute("PRAGMA incremental_vacuum")
