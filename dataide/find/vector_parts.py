"""The vectors of an embedding where a search can run over them: in memory while they are few, else in mapped files.

The files lie in `NAME.cache/vectors/` and may be deleted at any time. A file is written once and never changed; what is
embedded later goes into memory, and into a file of its own once there is enough of it. So a search in the middle of an
embedding reads only what is new. Each row says of which sample and which of its pictures it is, and counts only while
the session file says the same.

Memory: at most `MEMORY_BYTES` a session, and 24 bytes a sample. Mapped pages are the system's: it keeps what is
searched for as long as nobody needs the room, and takes it back without writing anything.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.vectors import Embedding

_log = logging.getLogger(__name__)
MEMORY_BYTES = 64 << 20
MOST_FILES = 32
FOLDER = "vectors"
_MAGIC = b"dataide vectors 1\n\0"
_HEAD = 4_096
_BLOCK = 256
_PROVED = 64
# Products of numbers this large or small stay within what float32 holds.
_PLAIN = 2.0**60


class Source(Protocol):
    """Who keeps the vectors in the session file: storage/vectors.py of samples, object_vectors.py of objects."""

    def embeddings(self, database: Database, /) -> list[Embedding]: ...
    def made_at(self, database: Database, of: Embedding, /) -> str: ...
    def stamp(self, database: Database, of: Embedding, /) -> tuple[int, int, int, str]: ...
    def present(self, database: Database, of: Embedding, /) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def present_rows(
        self, database: Database, of: Embedding, nos: NDArray[Any] | None = None, /
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]: ...


class Part:
    """Some rows: in memory, or mapped from a file.

    Attributes:
        rows: float32, N x dimension: the vectors as they are. One whose length float32 could not square is multiplied
            by a power of two, which changes no digit; one that is not finite is all zeros.
        nos: uint32, whose they are, in any order.
        revisions: uint32, of which of the sample's pictures.
        lengths: float64, the lengths of the rows; 0 where there is no direction.
        inverse: float32, one by the length, 0 where there is none.
        counts: bool, which of them are of the present picture; None for all.
    """

    def __init__(
        self,
        rows: NDArray[np.float32],
        nos: NDArray[np.uint32],
        revisions: NDArray[np.uint32],
        lengths: NDArray[np.float64],
        path: Path | None = None,
        *,
        mapped: bool = False,
    ) -> None:
        self.rows, self.nos, self.revisions, self.lengths, self.path = rows, nos, revisions, lengths, path
        self.mapped = mapped
        self.inverse = np.zeros(len(lengths), np.float32)
        np.divide(1, lengths, out=self.inverse, where=lengths > 0, casting="same_kind")
        self.counts: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.nos)

    @classmethod
    def of(cls, nos: NDArray[np.uint32], revisions: NDArray[np.uint32], rows: NDArray[np.float32]) -> Part:
        """A part in memory; `rows` are changed where they have to be."""
        lengths = measured(rows)
        return cls(rows, nos, revisions, lengths)


def measured(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The lengths of rows, float64, after bringing those into reach (see `Part.rows`), in place."""
    lengths = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), _BLOCK):
        wide = rows[start : start + _BLOCK].astype(np.float64)
        np.sqrt(np.einsum("ij,ij->i", wide, wide), out=lengths[start : start + _BLOCK])
    for odd in np.flatnonzero(~((lengths < _PLAIN) & (lengths > 1 / _PLAIN))):
        wide_row = rows[odd].astype(np.float64)
        if not np.isfinite(lengths[odd]):
            rows[odd], lengths[odd] = 0, 0
        elif lengths[odd] > 0:
            rows[odd] = np.ldexp(wide_row, -int(np.frexp(lengths[odd])[1]))
            wide_row = rows[odd].astype(np.float64)
            lengths[odd] = np.sqrt(np.einsum("j,j->", wide_row, wide_row))
    return lengths


class Parts:
    """All parts of one embedding of one session. Use it under a lock of the caller's.

    Args:
        database: the session's.
        known: the embedding.
        identity: as `identity()` says.
        source: who keeps the vectors.
        folder: of the files, in the session's cache.
    """

    def __init__(
        self, database: Database, known: Embedding, identity: str, source: Source = vectors, folder: str = FOLDER
    ) -> None:
        self.known, self.identity = known, identity
        self._source = source
        self._cache = database.cache_dir / folder
        self._private = database.read_only
        self.checked_at = -1
        self._stamp: tuple[Any, ...] | None = None
        self.parts: list[Part] = list(self._found(database))
        self._unproved = list(self.parts)

    def refresh(self, database: Database) -> bool:
        """Brings the parts to what the session file holds now. False where they are too many and no file can be had."""
        revision = database.revision
        if self.checked_at == revision:
            return True
        stamp = self._source.stamp(database, self.known)
        if stamp != self._stamp:
            nos, revisions = self._source.present(database, self.known)
            missing = self._lacking(nos, revisions)
            if self._unproved:
                self._prove(database)
                missing = self._lacking(nos, revisions)
            if len(missing) and not self._take(database, nos, missing):
                return False
            if len(self.parts) > 1:
                self._lacking(*self._source.present(database, self.known))
            self._stamp = stamp
        self.checked_at = revision
        return True

    def _lacking(self, nos: NDArray[np.uint32], revisions: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Notes which rows count, and returns the samples whose vector is in no part."""
        covered = np.zeros(len(nos), bool)
        for part in self.parts:
            places = np.searchsorted(nos, part.nos)
            places[places == len(nos)] = 0
            counts = np.zeros(len(part), bool)
            if len(nos):
                counts = (nos[places] == part.nos) & (revisions[places] == part.revisions) & ~covered[places]
            covered[places[counts]] = True
            part.counts = None if counts.all() else counts
        lacking: NDArray[np.uint32] = nos[~covered]
        return lacking

    def _prove(self, database: Database) -> None:
        """Compares the latest rows of files found with the session file, and drops files that say something else.

        Where somebody puts an older copy of the session back and goes on from there, numbers are given a second time:
        then the latest samples that both know are others.
        """
        for part in self._unproved:
            places = np.arange(len(part)) if part.counts is None else np.flatnonzero(part.counts)
            latest = places[np.argsort(part.nos[places])[-_PROVED:]]
            by_no = {int(part.nos[place]): place for place in latest}
            sound = True
            for nos, _, rows in self._source.present_rows(database, self.known, part.nos[latest]):
                measured(rows)
                sound &= all(np.array_equal(part.rows[by_no[int(no)]], row) for no, row in zip(nos, rows, strict=True))
            if not sound:
                self.parts = [one for one in self.parts if one is not part]
                if part.path is not None and not self._private:
                    _remove(part.path)
        self._unproved = []

    def _take(self, database: Database, nos: NDArray[np.uint32], missing: NDArray[np.uint32]) -> bool:
        row_bytes = self.known.dimension * 4
        there = [part for part in self.parts if part.mapped]
        in_memory = [part for part in self.parts if not part.mapped]
        few = sum(map(len, in_memory)) + len(missing)
        if few * row_bytes <= MEMORY_BYTES:
            arrived = self._source.present_rows(database, self.known, missing)
            self.parts = [*there, _joined([*in_memory, *(Part.of(*batch) for batch in arrived)], self.known.dimension)]
            return True
        used = sum(len(part) if part.counts is None else int(part.counts.sum()) for part in there)
        # Rather all anew than many files, or files of which less than half counts.
        anew = len(there) >= MOST_FILES or used * 2 < sum(map(len, there))
        wanted = missing
        if anew:
            wanted = nos
        elif in_memory:
            wanted = np.concatenate([missing, *(_counting(part) for part in in_memory)])
        everything = len(wanted) == len(nos)
        made = self._written(self._source.present_rows(database, self.known, None if everything else wanted))
        if made is None:
            return False
        if anew:
            for part in there:
                if part.path is not None:
                    _remove(part.path)
            there = []
        self.parts = [*there, made]
        return True

    # Files -------------------------------------------------------------------------------------------------------

    def _found(self, database: Database) -> Iterator[Part]:
        """The sound files of this embedding. Whoever may write clears away all that nobody will read any more."""
        there = {one.number for one in self._source.embeddings(database)}
        for path in sorted(self._cache.glob("*-*.*")):
            number = path.name.partition("-")[0]
            part = None
            if number == str(self.known.number) and path.suffix == ".rows":
                part = _opened(path, self.identity, self.known.dimension)
            if part is not None:
                yield part
            elif not self._private and (number == str(self.known.number) or number not in map(str, there)):
                _remove(path)

    def _written(self, batches: Iterable[_Batch]) -> Part | None:
        """Writes a file of these rows and maps it; where there can be none beside the session, in a private place."""
        if self._private:
            return self._in_private(batches)
        temporary = None
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._cache, prefix=f"{self.known.number}-", suffix=".part")
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                _write(file, batches, self.identity, self.known.dimension)
            target = temporary.with_suffix(".rows")
            os.replace(temporary, target)
            return _opened(target, self.identity, self.known.dimension)
        except OSError as error:
            _log.debug("vectors are not kept beside the session: %s", error)
            return None
        finally:
            if temporary is not None:
                _remove(temporary)

    def _in_private(self, batches: Iterable[_Batch]) -> Part | None:
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115, the map holds it
            _write(file, batches, self.identity, self.known.dimension)
            file.flush()
            return _mapped(file, self.identity, self.known.dimension, None)
        except (OSError, ValueError) as error:
            _log.debug("vectors are not kept: %s", error)
            return None


_Batch = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]


def identity(database: Database, known: Embedding, source: Source = vectors) -> str:
    """Names the embedding so that no other, and no later one of the same name, has it."""
    said = json.dumps([known.number, known.name, known.revision, known.dimension, source.made_at(database, known)])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _counting(part: Part) -> NDArray[np.uint32]:
    return part.nos if part.counts is None else part.nos[part.counts]


def _joined(parts: list[Part], dimension: int) -> Part:
    """One part in memory of those rows that count."""
    chosen = [slice(None) if part.counts is None else part.counts for part in parts]
    if not parts:
        return Part.of(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty((0, dimension), np.float32))
    rows = np.concatenate([part.rows[some] for part, some in zip(parts, chosen, strict=True)])
    nos = np.concatenate([part.nos[some] for part, some in zip(parts, chosen, strict=True)])
    revisions = np.concatenate([part.revisions[some] for part, some in zip(parts, chosen, strict=True)])
    lengths = np.concatenate([part.lengths[some] for part, some in zip(parts, chosen, strict=True)])
    return Part(rows, nos, revisions, lengths)


def _write(file: Any, batches: Iterable[_Batch], identity: str, dimension: int) -> None:
    """The head comes last: a file that was cut off has none."""
    about: list[tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float64]]] = []
    file.seek(_HEAD)
    for nos, revisions, rows in batches:
        lengths = measured(rows)
        file.write(np.ascontiguousarray(rows, "<f4").view(np.uint8).data)
        about.append((nos, revisions, lengths))
    count = sum(len(nos) for nos, _, _ in about)
    for kind, column in (("<f8", 2), ("<u4", 0), ("<u4", 1)):
        for one in about:
            file.write(np.ascontiguousarray(one[column], kind).view(np.uint8).data)
    head = {"identity": identity, "dimension": dimension, "count": count}
    file.seek(0)
    file.write((_MAGIC + json.dumps(head).encode()).ljust(_HEAD, b"\0"))


def _opened(path: Path, identity: str, dimension: int) -> Part | None:
    """Maps a file; None where it is not whole or about something else."""
    try:
        with path.open("rb", buffering=0) as file:
            return _mapped(file, identity, dimension, path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.debug("%s is no file of these vectors: %s", path, error)
        return None


def _mapped(file: Any, identity: str, dimension: int, path: Path | None) -> Part:
    file.seek(0)
    first = file.read(_HEAD)
    if not first.startswith(_MAGIC):
        raise ValueError("it begins with other bytes")
    head = json.loads(first[len(_MAGIC) :].rstrip(b"\0"))
    count = int(head["count"])
    if head["identity"] != identity or int(head["dimension"]) != dimension or not 0 < count < 1 << 32:
        raise ValueError("it is about something else")
    after = _HEAD + count * dimension * 4
    if os.fstat(file.fileno()).st_size != after + count * 16:
        raise ValueError("it is cut off")
    held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    rows = np.frombuffer(held, "<f4", count * dimension, _HEAD).reshape(count, dimension)
    # Copies, because these are looked at with each search and with each decision.
    lengths = np.frombuffer(held, "<f8", count, after).copy()
    nos = np.frombuffer(held, "<u4", count, after + 8 * count).copy()
    revisions = np.frombuffer(held, "<u4", count, after + 12 * count).copy()
    if not (np.isfinite(lengths).all() and (lengths >= 0).all() and (lengths < 2 * _PLAIN).all()):
        raise ValueError("its lengths cannot be")
    return Part(rows, nos, revisions, lengths, path, mapped=True)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        _log.debug("could not remove %s", path, exc_info=True)  # Windows keeps what somebody reads
