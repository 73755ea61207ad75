"""From a media reference to bytes.

A reference is a path relative to the session file's folder, an absolute path, a URL, `blob:HASH` (bytes kept in the
session file) or `parquet:PATH#COLUMN:ROW@STAMP` (a row of a Parquet file, read in place). The empty one is that of a
sample without a picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from dataide.errors import DataideError, MediaError
from dataide.storage import parquet_rows
from dataide.storage.addresses import address_prefix, is_url
from dataide.storage.blobs import Blobs
from dataide.storage.downloads import FOLDER, Downloads
from dataide.storage.seen_troubles import Troubles
from dataide.storage.trust import Trust, read_regular

if TYPE_CHECKING:
    from dataide.storage.database import Database

BLOB = "blob:"
# Of a sample that has no picture.
NONE = ""
_THREADS = 8


class Media:
    """Reads the bytes behind references, and only from where this session may read. Safe for threads.

    Args:
        database: the session's file.
        allow: folders to trust, for this process only.
    """

    def __init__(self, database: Database, allow: Sequence[str | os.PathLike[str]] = ()) -> None:
        self._database = database
        self.trust = Trust(database.path, _session_uuid(database), allow)
        self._rows = parquet_rows.ParquetRows()
        self._kept = Blobs(database)
        self._downloads = Downloads(database.cache_dir / FOLDER, writable=not database.read_only)
        self._troubles = Troubles(database)
        self._given_folder = os.path.join(os.path.abspath(database.path.parent), "")
        self._real_folder = os.path.join(self.trust.folder, "")

    def read(self, ref: str) -> bytes:
        """The encoded bytes of one picture.

        Raises:
            MediaError: with code missing, outside, unreadable, not_a_file, too_large or unreachable.
        """
        answer = self.read_many([ref])[0]
        if isinstance(answer, DataideError):
            raise answer
        return answer

    def read_many(self, refs: Sequence[str]) -> list[bytes | DataideError]:
        """The bytes of many pictures, or for each the reason why not; rows of one table or file are read together."""
        answers: list[bytes | DataideError] = [no_picture()] * len(refs)
        blobs: list[int] = []
        rows: list[int] = []
        slow: list[int] = []
        for index, ref in enumerate(refs):
            if ref.startswith(BLOB):
                blobs.append(index)
            elif ref.startswith(parquet_rows.PREFIX):
                rows.append(index)
            elif is_url(ref):
                slow.append(index)
            elif ref:
                answers[index] = _attempt(lambda ref=ref: read_regular(self.resolve(ref)))  # type: ignore[misc]
        for index, answer in [*self._blobs(refs, blobs), *self._parquet(refs, rows)]:
            answers[index] = answer
        if len(slow) == 1:
            answers[slow[0]] = _attempt(lambda: self._address(refs[slow[0]]))
        elif slow:
            with ThreadPoolExecutor(_THREADS) as pool:
                fetched = pool.map(lambda index: _attempt(lambda: self._address(refs[index])), slow)
                for index, answer in zip(slow, fetched, strict=True):
                    answers[index] = answer
        for index in slow:
            self._troubles.note(refs[index], answers[index])
        return answers

    def settle(self) -> None:
        """Writes down what could not be fetched since the last time, for `session.problems()`."""
        self._troubles.settle()

    def relative(self, path: str | os.PathLike[str]) -> str:
        """The reference stored for a path: relative to the session file's folder where it lies below, else absolute."""
        given = os.path.abspath(os.path.expanduser(os.fspath(path)))
        for folder in (self._given_folder, self._real_folder):
            if given.startswith(folder):
                inside = PurePath(given[len(folder) :]).as_posix()
                # A file may be called `blob:x` or `http:`: the dot says that it is a path.
                return f"./{inside}" if ":" in inside.split("/", 1)[0] else inside
        if given + os.sep in (self._given_folder, self._real_folder):
            return "."
        return PurePath(given).as_posix()

    def resolve(self, ref: str) -> str:
        """The real path of a reference to a file, if it may be read.

        Raises:
            MediaError: it is no path, or lies outside of what is trusted.
        """
        return self.trust.checked(self.located(ref))

    def located(self, ref: str) -> str:
        """The path that a reference means, not yet checked."""
        if ref[:7].lower() == "file://":
            ref = url_path(ref)
        if "\0" in ref:
            raise MediaError("A path cannot hold a zero byte.", code="missing")
        return os.path.join(self.trust.folder, ref)

    def grant(self, root: str | os.PathLike[str]) -> None:
        """Trusts a folder for this session, and remembers it for this user outside the session file."""
        self.trust.grant(root)

    def grant_address(self, url: str) -> None:
        """Trusts the server or bucket of a URL, and remembers it likewise."""
        self.trust.grant_address(address_prefix(url))

    def close(self) -> None:
        """Writes down what could not be fetched, and closes what is held open."""
        self._troubles.settle()
        self._rows.close()

    def _blobs(self, refs: Sequence[str], wanted: list[int]) -> Iterator[tuple[int, bytes | DataideError]]:
        if not wanted:
            return
        found = self._kept.read([refs[index][len(BLOB) :] for index in wanted])
        for index in wanted:
            data = found.get(refs[index][len(BLOB) :])
            yield (
                index,
                MediaError("The session file does not hold these bytes any more.", code="missing")
                if data is None
                else data,
            )

    def _parquet(self, refs: Sequence[str], wanted: list[int]) -> Iterator[tuple[int, bytes | DataideError]]:
        places: dict[tuple[str, str, str | None], list[tuple[int, int]]] = {}
        for index in wanted:
            try:
                path, column, row, stamp = parquet_rows.parse(refs[index])
                places.setdefault((path, column, stamp), []).append((index, row))
            except MediaError as error:
                yield index, error
        for (path, column, stamp), members in places.items():
            try:
                real = self.resolve(path)
                values: list[Any] = self._rows.read(real, column, [row for _, row in members], stamp)
            except MediaError as error:
                yield from ((index, error) for index, _ in members)
                continue
            for (index, _), value in zip(members, values, strict=True):
                yield index, self._cell(value, os.path.dirname(real))

    def _cell(self, value: Any, folder: str) -> bytes | DataideError:
        """A cell of a Parquet file: bytes, or {bytes, path} as Hugging Face writes it."""
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if isinstance(value, str):
            path = os.path.join(folder, value)
            return _attempt(lambda: read_regular(self.trust.checked(path)))
        if isinstance(value, bytes):
            return value
        return MediaError("The row holds no picture.", code="missing")

    def _address(self, url: str) -> bytes:
        if url[:7].lower() == "file://":
            return read_regular(self.resolve(url))
        if not self.trust.is_address_granted(url):
            raise MediaError(
                f"{url[:200]} is an address that this session was not given leave to read.",
                hint="If you trust it, import it here: session.add_frame([{'path': url}], on_conflict='replace')",
                code="outside",
            )
        return self._downloads.get(url)


def no_picture() -> MediaError:
    """What is said of a sample without a picture; it is no problem of anybody's."""
    return MediaError("No picture.", code="no_picture")


def url_path(url: str) -> str:
    """The path of a `file://` address."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise MediaError(f"{url[:200]} names another machine.", code="unreadable")
    from urllib.request import url2pathname

    return url2pathname(url[url.index("://") + 3 + len(parts.netloc) :]) if os.name == "nt" else unquote(parts.path)


def _attempt(read: Callable[[], bytes]) -> bytes | DataideError:
    try:
        return read()
    except DataideError as error:
        return error
    except (OSError, ValueError) as error:
        return MediaError(f"It cannot be read: {error}", code="unreadable")


def _session_uuid(database: Database) -> str:
    """The identity of the file's content; made when the file is first opened for writing."""
    cursor = database.cursor()
    cursor.execute("SELECT value FROM data.meta WHERE key = 'session'")
    row = cursor.fetchone()
    if row is not None and row[0]:
        return str(row[0])
    if database.read_only:
        return ""
    import uuid

    made = uuid.uuid4().hex
    with database.write() as writing:
        writing.execute("INSERT INTO data.meta VALUES ('session', ?)", [made])
    return made


def folders_of(paths: Iterable[str]) -> list[Path]:
    """The topmost folders that hold all these absolute paths' folders: what an import of them grants."""
    folders = sorted({os.path.dirname(path) for path in paths})
    top: list[str] = []
    for folder in folders:
        if not top or not (folder + os.sep).startswith(os.path.join(top[-1], "")):
            top.append(folder)
    return [Path(folder) for folder in top]
