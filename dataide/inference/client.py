"""Embedding: what lacks a vector is read, sent to the inference process, and committed as it comes back."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference import contract
from dataide.inference.identity import Identity, ModelLike, identify
from dataide.inference.job import Job, Progress
from dataide.inference.process import Child, cores
from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.inference import models
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media

# A batch ends at so many pictures or bytes, whichever comes first; so many batches are under way at once.
BATCH = {"auto": 256, "torchvision": 64, "callable": 32}
BATCH_BYTES = 8 << 20
# A commit costs some 10 ms, and panels redraw after each.
COMMIT_S = 1.0
COMMIT_VECTORS = 8192


@dataclass(frozen=True)
class EmbedReport:
    """What an embedding did.

    Attributes:
        model: name of the embedding.
        revision: of the model.
        dimension: numbers in a vector.
        embedded: samples that got a vector now.
        present: samples that had one already.
        problems: pictures that could not be read; `session.problems()` lists them.
        seconds: wall time.
        cancelled: it was stopped; the same call goes on.
        note: what else to know.
    """

    model: str
    revision: str
    dimension: int
    embedded: int
    present: int
    problems: int
    seconds: float
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        parts = []
        if self.embedded or not self.present:
            parts.append(
                f"Embedded {self.embedded:,} samples with {self.model!r}, {self.dimension} numbers each, "
                f"in {self.seconds:.1f} s."
            )
        if self.present:
            parts.append(f"{self.present:,} had their vectors already.")
        if self.problems:
            pictures = "picture" if self.problems == 1 else "pictures"
            parts.append(f"{self.problems:,} {pictures} could not be read: session.problems() lists them.")
        if self.cancelled:
            parts.append("It was stopped; the same call goes on.")
        if self.note:
            parts.append(f"{self.note}.")
        return " ".join(parts)


@overload
def embed(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    wait: Literal[True] = True,
) -> EmbedReport: ...
@overload
def embed(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    wait: Literal[False],
) -> Job[EmbedReport]: ...
def embed(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    wait: bool = True,
) -> EmbedReport | Job[EmbedReport]:
    """Gives each sample a vector, and returns when all have one; Ctrl-C keeps what was committed.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers; those that have a vector of their present picture are left alone.
        model: `"auto"`, a name of torchvision, or a callable on a list of PIL pictures.
        name: of the embedding; by default the model's.
        batch_size: pictures that go to the model at once.
        progress: called with (done, total, sentence): about ten times a second on the caller's thread, or, without
            waiting, at each step on the job's.
        wait: False returns a Job at once.

    Raises:
        ModelError: the model cannot be had, or failed.
    """
    identity = identify(model, name)
    if batch_size is not None and batch_size < 1:
        raise ModelError(
            f"A batch of {batch_size} pictures is not possible.", hint="Leave batch_size out, or give 1 or more."
        )
    vectors.check_writable(database)
    run = _Embedding(database, media, np.unique(np.asarray(nos, np.uint32)), identity, batch_size)
    job = Job(run, verb=f"Embedding with {identity.name!r}", owner=database)
    if wait:
        return job.complete(progress)
    if progress is not None:
        job.watch(progress)
    return job


def embed_pictures(model: ModelLike, data: list[bytes], *, name: str | None = None) -> np.ndarray:
    """Vectors of a few encoded pictures that are no samples: to search by.

    Raises:
        ModelError: the model cannot be had, or a picture cannot be read.
    """
    identity = identify(model, name)
    with_model = _Remote(identity) if identity.kind != "callable" or identity.pickled else _Local(identity)
    try:
        with_model.begin()
        with_model.send(0, data)
        answer = with_model.receive()
    finally:
        with_model.close()
    if answer.problems:
        raise ModelError(f"The picture cannot be read: {answer.problems[0][2]}")
    return answer.vectors


@dataclass(slots=True)
class _Answer:
    batch: int
    vectors: np.ndarray
    problems: list[tuple[int, str, str]]


class _Remote:
    """A model in a child process."""

    def __init__(self, identity: Identity) -> None:
        path = [entry or os.getcwd() for entry in sys.path] if identity.kind == "callable" else []
        self._child = Child(contract.Load(identity.kind, identity.model, path, cores()), identity.pickled)
        self.revision = identity.revision or ""

    def begin(self, say: Callable[[str], None] = lambda sentence: None) -> None:
        while True:
            message, _ = self._child.receive()
            if isinstance(message, contract.Note):
                say(message.sentence)
            elif isinstance(message, contract.Ready):
                self.revision = self.revision or message.revision
                return

    def send(self, batch: int, data: list[bytes]) -> bool:
        return self._child.send(contract.Pictures(batch, [len(one) for one in data]), data)

    def receive(self) -> _Answer:
        message, body = self._child.receive()
        assert isinstance(message, contract.Vectors)
        rows = np.frombuffer(body, np.float32).reshape(-1, max(message.dimension, 1))
        return _Answer(message.batch, rows, message.problems)

    def end(self) -> None:
        self._child.end()

    def close(self) -> None:
        self._child.close()


class _Local:
    """A callable that only this process has, run on the job's thread."""

    def __init__(self, identity: Identity) -> None:
        from dataide.inference import models

        assert identity.function is not None
        self._model: models.Model = models.Function(identity.function, identity.name)
        self._batches: queue.Queue[tuple[int, tuple[Any, list[models.Problem]]] | None] = queue.Queue()
        self._ended = False
        self.revision = identity.revision or ""

    def begin(self, say: Callable[[str], None] = lambda sentence: None) -> None:
        return None

    def send(self, batch: int, data: list[bytes]) -> bool:
        if not self._ended:
            self._batches.put((batch, self._model.prepare(data)))
        return not self._ended

    def receive(self) -> _Answer:
        item = self._batches.get()
        if item is None:
            raise ModelError("The embedding was stopped.", code="cancelled")
        batch, (prepared, problems) = item
        return _Answer(batch, self._model.compute(prepared), problems)

    def end(self) -> None:
        self._ended = True
        self._batches.put(None)

    def close(self) -> None:
        self.end()


@dataclass(slots=True)
class _Batch:
    start: int
    count: int
    readable: list[int]  # positions within `pending` that were sent


@dataclass
class _Uncommitted:
    positions: list[np.ndarray] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    count: int = 0


class _Embedding:
    """One run of `embed`, the work of a job: a reader thread feeds the model, the job's thread commits its answers."""

    def __init__(
        self, database: Database, media: Media, nos: np.ndarray, identity: Identity, batch_size: int | None
    ) -> None:
        self._database = database
        self._media = media
        self._nos = nos
        self._identity = identity
        self._batch_size = batch_size or BATCH[identity.kind]
        self._source = f"embed {identity.name}"
        self._embedded = 0
        self._problems = 0

    def __call__(self, job: Job[EmbedReport]) -> EmbedReport:
        began = time.monotonic()
        self._job = job
        self._known = vectors.embedding(self._database, self._identity.name)
        if self._known is not None and not self._identity.matches(self._known.revision):
            self._known = None
        self._pending = vectors.pending(self._database, self._known, self._nos)
        present = len(self._nos) - len(self._pending.nos)
        if len(self._pending.nos):
            # Without a model nothing can be said about its revision; where all have vectors, the stored one is taken.
            job.advance(0, len(self._pending.nos), f"loading {self._identity.name}")
            present = self._with_model(present)
        known = self._known
        return EmbedReport(
            model=self._identity.name,
            revision=known.revision if known else self._identity.revision or "",
            dimension=known.dimension if known else 0,
            embedded=self._embedded,
            present=present,
            problems=self._problems,
            seconds=time.monotonic() - began,
            cancelled=job.cancelled and self._embedded + self._problems < len(self._pending.nos),
            note=self._identity.note,
        )

    def _with_model(self, present: int) -> int:
        job = self._job
        while True:
            model = self._open()
            try:
                job.on_cancel(model.end)
                model.begin(lambda sentence: job.advance(0, len(self._pending.nos), sentence))
                if self._known is not None and self._known.revision != model.revision:
                    self._known = None  # torchvision has newer weights: the vectors do not go together
                    self._pending = vectors.pending(self._database, None, self._nos)
                    present = 0
                self._pump(model)
                return present
            except ModelError as error:
                if error.code == "not_portable":
                    self._run_here(error)
                    continue
                if job.cancelled:
                    return present
                raise
            finally:
                model.close()

    def _open(self) -> _Remote | _Local:
        identity = self._identity
        return _Local(identity) if identity.kind == "callable" and not identity.pickled else _Remote(identity)

    def _run_here(self, error: ModelError) -> None:
        self._identity = replace(self._identity, pickled=b"", note=f"{error.message}, so it ran in this process")

    def _pump(self, model: _Remote | _Local) -> None:
        """Feeds the model from a thread and commits what comes back, in order."""
        room = threading.Semaphore(cores() + 2)
        under_way: queue.Queue[_Batch | BaseException | None] = queue.Queue()
        stop = threading.Event()
        reader = threading.Thread(
            target=self._feed, args=(model, room, under_way, stop), name="dataide read pictures", daemon=True
        )
        reader.start()
        held = _Uncommitted()
        last_commit = time.monotonic()
        finished = False
        try:
            while (batch := under_way.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                if batch.readable:
                    self._take(model, batch, held)
                room.release()
                if held.count >= COMMIT_VECTORS or time.monotonic() - last_commit >= COMMIT_S:
                    self._commit(held, model.revision)
                    held, last_commit = _Uncommitted(), time.monotonic()
                self._job.advance(batch.start + batch.count, len(self._pending.nos), "embedding")
                if self._job.cancelled:
                    break
            else:
                finished = True
        finally:
            stop.set()
            room.release()
            if not finished:
                model.end()  # else the reader could wait for ever for somebody to read what it sends
            self._commit(held, model.revision)
            reader.join(30)

    def _take(self, model: _Remote | _Local, batch: _Batch, held: _Uncommitted) -> None:
        answer = model.receive()
        failed = {index for index, _, _ in answer.problems}
        good = [position for index, position in enumerate(batch.readable) if index not in failed]
        held.positions.append(np.asarray(good, np.int64))
        held.vectors.append(answer.vectors[: len(good)])
        held.problems += [
            (self._pending.media[batch.readable[index]], code, reason) for index, code, reason in answer.problems
        ]
        held.count += len(batch.readable)

    def _feed(
        self,
        model: _Remote | _Local,
        room: threading.Semaphore,
        under_way: queue.Queue[_Batch | BaseException | None],
        stop: threading.Event,
    ) -> None:
        try:
            for batch, data in self._read(stop):
                room.acquire()
                if stop.is_set():
                    break
                under_way.put(batch)
                if batch.readable and not model.send(batch.start, data):
                    break  # the child is gone: the job's thread hears why when it asks for the answer
            under_way.put(None)
        except BaseException as error:
            under_way.put(error)

    def _read(self, stop: threading.Event) -> Iterator[tuple[_Batch, list[bytes]]]:
        """Batches of encoded pictures, limited in number and in bytes; what cannot be read is noted."""
        step = self._batch_size
        start, count, readable, data, size = 0, 0, list[int](), list[bytes](), 0
        unreadable: list[tuple[str, str, str]] = []
        first, page = 0, 8
        while first < len(self._pending.nos) and not stop.is_set():
            refs = self._pending.media[first : first + page]
            before = size
            for index, answer in enumerate(self._media.read_many(refs)):
                if isinstance(answer, DataideError):
                    unreadable.append((refs[index], answer.code, answer.message))
                else:
                    readable.append(first + index)
                    data.append(answer)
                    size += len(answer)
                count += 1
                if count == step or size >= BATCH_BYTES:
                    self._note(unreadable)
                    yield _Batch(start, count, readable), data
                    start, count, readable, data, unreadable = start + count, 0, [], [], []
                    before, size = before - size, 0
            # As many small pictures at once as fill a batch, and few large ones: they all are in memory.
            average = max((size - before) // len(refs), 1)
            first, page = first + len(refs), max(1, min(step, BATCH_BYTES // average))
        if stop.is_set():
            return
        self._note(unreadable)
        if count:
            yield _Batch(start, count, readable), data

    def _note(self, unreadable: list[tuple[str, str, str]]) -> None:
        if unreadable:
            self._problems += len(unreadable)
            with self._database.write() as cursor:
                vectors.note_problems(cursor, self._source, unreadable)

    def _commit(self, held: _Uncommitted, revision: str) -> None:
        if not held.count:
            return
        positions = np.concatenate(held.positions)
        pending = self._pending
        with self._database.write() as cursor:
            into = self._known
            if len(positions):
                rows = np.concatenate([part for part in held.vectors if len(part)])
                if into is None:
                    into = self._made(cursor, revision, rows.shape[1])
                elif into.dimension != rows.shape[1]:
                    raise ModelError(
                        f"{into.name} gave {rows.shape[1]} numbers a picture, and {into.dimension} before.",
                        hint="Give the new one a name of its own: embed(…, name='…').",
                    )
                vectors.store(cursor, into, pending.nos[positions], pending.media_revisions[positions], rows)
                vectors.forget_problems(cursor, self._source, [pending.media[position] for position in positions])
            if held.problems:
                vectors.note_problems(cursor, self._source, held.problems)
        self._known = into
        self._embedded += len(positions)
        self._problems += len(held.problems)

    def _made(self, cursor: Cursor, revision: str, dimension: int) -> vectors.Embedding:
        """The embedding to write into: a new one, unless another job has made it meanwhile."""
        name = self._identity.name
        there = vectors.embedding(self._database, name)
        if there is not None and there.revision == revision and there.dimension == dimension:
            return there
        if there is not None:
            note = f"The vectors that {there.revision} had made under this name were replaced"
            self._identity = replace(self._identity, note=". ".join(filter(None, [self._identity.note, note])))
        made = vectors.create(cursor, name, revision, dimension)
        self._database.rebuild_views(cursor)
        return made
