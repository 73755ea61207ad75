"""From a media reference to bytes.

A reference is a path relative to the session file's folder, an absolute path, a URL, `blob:HASH` (bytes kept in the
session file) or `parquet:PATH#COLUMN:ROW` (a row of a Parquet file, read in place).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from dataide.errors import DataideError, MediaError
from dataide.storage import parquet_rows
from dataide.storage.trust import Trust, read_regular

if TYPE_CHECKING:
    from dataide.storage.database import Database

BLOB = "blob:"
LARGEST_DOWNLOAD_BYTES = 256 << 20
ATTEMPTS = 3
TIMEOUT_S = 20.0
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
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
        answers: list[bytes | DataideError] = [MediaError("The reference is empty.", code="missing")] * len(refs)
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
        return answers

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
        """Closes what is held open."""
        self._rows.close()

    def _blobs(self, refs: Sequence[str], wanted: list[int]) -> Iterator[tuple[int, bytes | DataideError]]:
        if not wanted:
            return
        hashes = sorted({refs[index][len(BLOB) :] for index in wanted})
        marks = ", ".join("?" * len(hashes))
        with self._database.query(
            f"SELECT content_hash, bytes FROM data.blob WHERE content_hash IN ({marks})", hashes
        ) as cursor:
            found = dict(cursor.fetchall())
        for index in wanted:
            data = found.get(refs[index][len(BLOB) :])
            yield (
                index,
                MediaError("The session file does not hold these bytes any more.", code="missing")
                if data is None
                else data,
            )

    def _parquet(self, refs: Sequence[str], wanted: list[int]) -> Iterator[tuple[int, bytes | DataideError]]:
        places: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for index in wanted:
            try:
                path, column, row = parquet_rows.parse(refs[index])
                places.setdefault((path, column), []).append((index, row))
            except MediaError as error:
                yield index, error
        for (path, column), members in places.items():
            try:
                real = self.resolve(path)
                values: list[Any] = self._rows.read(real, column, [row for _, row in members])
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
        return read_url(url)


def is_url(ref: str) -> bool:
    """Whether a reference is an address such as `https://…` or `s3://…`."""
    return _SCHEME.match(ref) is not None


def url_path(url: str) -> str:
    """The path of a `file://` address."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise MediaError(f"{url[:200]} names another machine.", code="unreadable")
    from urllib.request import url2pathname

    return url2pathname(url[url.index("://") + 3 + len(parts.netloc) :]) if os.name == "nt" else unquote(parts.path)


def address_prefix(url: str) -> str:
    """What an import of this address grants: its scheme and its server or bucket."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.netloc and url.count("/") > 2 else url


def read_url(url: str) -> bytes:
    """Fetches an address, trying again when the network fails.

    Raises:
        MediaError: with code unreachable, missing or too_large.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _fetch(url)
        except DataideError:
            raise
        except FileNotFoundError:
            raise MediaError(f"There is nothing at {url[:200]}.", code="missing") from None
        except ImportError as error:
            raise MediaError(
                f"{url[:200]} needs a package that is not installed: {error}",
                hint=f"pip install {error.name or 'fsspec'}",
                code="unreachable",
            ) from None
        except Exception as error:
            if attempt == ATTEMPTS:
                said = " ".join(str(error).split())[:200] or type(error).__name__
                raise MediaError(f"{url[:200]} cannot be reached: {said}", code="unreachable") from None
            time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def _fetch(url: str) -> bytes:
    if url[:7].lower() == "http://" or url[:8].lower() == "https://":
        return _fetch_http(url)
    import fsspec

    if "::" in url:
        raise MediaError(f"{url[:200]} chains addresses, which is not supported.", code="unreachable")
    with fsspec.open(url, "rb") as file:
        data: bytes = file.read(LARGEST_DOWNLOAD_BYTES + 1)
    return _bounded(url, data)


def _fetch_http(url: str) -> bytes:
    # The standard library's client: fsspec's own would bring a whole asynchronous stack for a plain GET.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(
            Request(url, headers={"User-Agent": "dataide", "Accept": "image/*,*/*;q=0.5"}), timeout=TIMEOUT_S
        ) as answer:
            data: bytes = answer.read(LARGEST_DOWNLOAD_BYTES + 1)
    except HTTPError as error:
        if error.code in (408, 425, 429) or error.code >= 500:
            raise
        code = "missing" if error.code in (404, 410) else "unreachable"
        raise MediaError(f"{url[:200]} answers {error.code} {error.reason}.", code=code) from None
    except HTTPException as error:
        raise ConnectionError(str(error) or type(error).__name__) from None
    return _bounded(url, data)


def _bounded(url: str, data: bytes) -> bytes:
    if len(data) > LARGEST_DOWNLOAD_BYTES:
        raise MediaError(f"{url[:200]} has more than {LARGEST_DOWNLOAD_BYTES:,} bytes.", code="too_large")
    return data


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
