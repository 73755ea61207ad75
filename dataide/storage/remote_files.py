"""Files in object storage as DuckDB reads them: those that were attached, and no others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from dataide.errors import DataideError, ImportProblem, MediaError
from dataide.storage import addresses

PROTOCOL = "attached"
# Small pieces: of a Parquet file only its foot and the stretches of some columns are wanted.
_BLOCK_BYTES = 256 << 10

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a bucket, as it was when it was attached.

    Attributes:
        url: for people.
        path: as its file system calls it.
        size: in bytes.
        mark: changes when the file does.
    """

    url: str
    path: str
    size: int
    mark: Mapping[str, str]


def found(url: str, options: Mapping[str, Any] | None, ending: str) -> tuple[Any, list[RemoteFile]]:
    """The file system of an address, and the files there: one, those of a folder, or those that a pattern names.

    Args:
        url: for example `s3://bucket/folder/*.parquet`.
        options: for the file system: keys, an endpoint.
        ending: of the files in a folder.

    Raises:
        ImportProblem: there is nothing, or it cannot be reached; the hint says what to do.
    """
    if "::" in url:
        raise ImportProblem(f"{url[:200]} chains addresses, which is not supported.", code="unreachable")
    try:
        return addresses.trying(url, lambda: within(url, lambda: _found(url, dict(options or {}), ending)))
    except MediaError as error:
        hint = error.hint
        if error.code in ("unreachable", "busy"):
            hint = (
                "Look whether this machine reaches it, and whether the name, the endpoint and the credentials are "
                "right: session.attach('candidates', url, storage_options={'endpoint_url': 'https://…'})"
            )
        raise ImportProblem(error.message, hint=hint, code=error.code) from None


def _found(url: str, options: dict[str, Any], ending: str) -> tuple[Any, list[RemoteFile]]:
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url, **options)
    except ValueError as error:
        raise ImportProblem(f"{url[:200]} cannot be read: {addresses.said(error)}", code="unreachable") from None
    # What it remembers of an earlier look may be of before a change.
    system.invalidate_cache()
    if any(sign in path for sign in "*?["):
        details = system.glob(path, detail=True)
    else:
        info = system.info(path)
        details = {path: info}
        if info.get("type") == "directory":
            details = {name: one for name, one in system.find(path, detail=True).items() if name.endswith(ending)}
    scheme = url.split("://", 1)[0]
    files = [
        RemoteFile(f"{scheme}://{name.lstrip('/')}", name, int(info.get("size") or 0), _mark(info))
        for name, info in sorted(details.items())
        if info.get("type") != "directory"
    ]
    if not files:
        raise MediaError(f"There is no file {url[:200]}.", code="missing")
    return system, files


def _mark(info: Mapping[str, Any]) -> dict[str, str]:
    """What a file system says that changes with a file: its size, its tag, its time."""
    names = ("size", "ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "mtime", "created")
    return {name: _plain(info[name]) for name in names if info.get(name) is not None}


def _plain(value: Any) -> str:
    # A listing and a question about one file write the same time in different ways.
    moment = value
    if isinstance(value, float):
        moment = datetime.fromtimestamp(value, UTC)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value.strip('"')
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return str(value)


def _differ(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    return any(before[name] != now[name] for name in before.keys() & now.keys())


def changed(system: Any, files: Sequence[RemoteFile]) -> str | None:
    """The address of the first file that is not the same any more, or None.

    Raises:
        MediaError: they cannot be reached.
    """
    for file in files:
        try:
            info = addresses.trying(file.url, lambda file=file: within(file.url, lambda: _fresh(system, file.path)))  # type: ignore[misc]
        except MediaError as error:
            if error.code == "missing":
                return file.url
            raise
        if _differ(file.mark, _mark(info)):
            return file.url
    return None


def _fresh(system: Any, path: str) -> Mapping[str, Any]:
    system.invalidate_cache()
    info: Mapping[str, Any] = system.info(path)
    return info


def within(what: str, work: Callable[[], Answer], seconds: float | None = None) -> Answer:
    """Does something in a thread, and gives up waiting for it in time: not every client has a limit of its own.

    Raises:
        GaveUp: it did not end in time; the thread is left behind and ends when the client lets go.
    """
    limit = addresses.TIMEOUT_S if seconds is None else seconds
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="dataide-remote")
    thread.start()
    thread.join(limit)
    if errors:
        raise errors[0]
    if answers:
        return answers[0]
    raise addresses.GaveUp(f"{what[:200]} did not answer within {limit:.0f} s")


class RemoteFiles(AbstractFileSystem):  # type: ignore[misc]
    """The attached files under names of our own, for DuckDB: `attached://NUMBER/path`. Nothing else is there.

    Args:
        system: fsspec's, that has them.
        files: in order.
    """

    protocol = PROTOCOL
    cachable = False

    def __init__(self, system: Any, files: Sequence[RemoteFile]) -> None:
        super().__init__()
        self._system = system
        self._files = {_inside(number, file): file for number, file in enumerate(files)}
        self.trouble: DataideError | None = None
        self.bytes_read = 0
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """What DuckDB is to read, in order."""
        return [f"{PROTOCOL}://{name}" for name in self._files]

    def _file(self, path: str) -> RemoteFile:
        name = self._strip_protocol(path)
        if name not in self._files:
            raise FileNotFoundError(path)
        return self._files[name]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": self._strip_protocol(path), "size": self._file(path).size, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        return self._strip_protocol(path) in self._files

    def glob(self, path: str, **_: Any) -> list[str]:
        # Names may hold signs that mean something in a pattern; here each stands for itself.
        return [self._strip_protocol(path)] if self.exists(path) else []

    def modified(self, path: str) -> Any:
        self._file(path)
        return datetime.fromtimestamp(0, UTC)

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **_: Any) -> Any:
        if mode != "rb":
            raise PermissionError(path)
        return _Reading(self, path, mode, _BLOCK_BYTES, cache_type="readahead", size=self._file(path).size)

    def fetch(self, path: str, start: int, end: int) -> bytes:
        """Bytes of a file, fetched again when the network fails."""
        file = self._file(path)
        try:
            data: bytes = addresses.trying(
                file.url, lambda: within(file.url, lambda: self._system.cat_file(file.path, start=start, end=end))
            )
        except DataideError as error:
            self.trouble = error
            raise OSError(str(error)) from None
        if len(data) < end - start:
            self.trouble = MediaError(f"{file.url} has become shorter while it was read.", code="changed")
            raise OSError(str(self.trouble))
        with self._lock:
            self.bytes_read += len(data)
        return data


class _Reading(AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.fetch(self.path, start, min(end, self.size))
        return data


def _inside(number: int, file: RemoteFile) -> str:
    # Folders such as label=cat stay in the name: they are columns.
    return f"{number}/{file.path.lstrip('/')}"
