"""Moves pictures through a model: a thread reads and sends them, the job's thread commits what comes back, in order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference.contract import Arrays, Problem
from dataide.inference.process import cores

if TYPE_CHECKING:
    from dataide.inference import models
    from dataide.inference.identity import Identity
    from dataide.inference.job import Job
    from dataide.storage.media import Media

# A batch ends at so many pictures or bytes, whichever comes first.
BATCH_BYTES = 8 << 20
# A commit costs some 10 ms, and panels redraw after each.
COMMIT_S = 1.0
COMMIT_PICTURES = 8192


@dataclass
class Results:
    """What has come back since the last commit.

    Attributes:
        batches: for each the positions (int64, within what is pending) of its good pictures, and the model's arrays.
        problems: reference, code and reason of what could not be decoded.
        count: pictures, good and bad.
    """

    batches: list[tuple[np.ndarray, Arrays]] = field(default_factory=list)
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    count: int = 0


class Work(Protocol):
    """What is pending, and where its results go."""

    @property
    def pending_media(self) -> Sequence[str]:
        """The references of the pictures, by position."""
        ...

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        """Notes pictures that could not be read: reference, code, reason. On the reading thread."""
        ...

    def commit(self, results: Results, revision: str) -> None:
        """Stores results; on the job's thread, in order of position."""
        ...


class Computer(Protocol):
    """A model to send batches to: a request to the inference kernel, or a callable of this process."""

    revision: str

    def begin(self, say: Callable[[str], None] = ...) -> None:
        """Waits until the model is there."""
        ...

    def send(self, batch: int, data: list[bytes]) -> bool:
        """Sends encoded pictures; False when nobody would compute them."""
        ...

    def receive(self) -> tuple[int, Arrays, list[Problem]]:
        """The next batch, in the order of sending."""
        ...

    def end(self) -> None:
        """Stops the work and wakes who waits in `receive`."""
        ...

    def close(self) -> None:
        """Gives back what was held for this work."""
        ...


class Local:
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

    def receive(self) -> tuple[int, Arrays, list[Problem]]:
        item = self._batches.get()
        if item is None:
            raise ModelError("The work was stopped.", code="cancelled")
        batch, (prepared, problems) = item
        return batch, self._model.compute(prepared), problems

    def end(self) -> None:
        self._ended = True
        self._batches.put(None)

    def close(self) -> None:
        self.end()


@dataclass(slots=True)
class _Batch:
    start: int
    count: int
    readable: list[int]  # positions within what is pending that were sent


class Pump:
    """Moves all that is pending of one work through one model.

    Args:
        work: what is pending, and who commits.
        media: reads the pictures.
        computer: the model, ready.
        batch_size: pictures that go to the model at once.
        job: hears how far it is, and may be cancelled.
        verb: what the job says meanwhile: "embedding".
    """

    def __init__(
        self, work: Work, media: Media, computer: Computer, *, batch_size: int, job: Job[Any], verb: str
    ) -> None:
        self._work = work
        self._media = media
        self._computer = computer
        self._batch_size = batch_size
        self._job = job
        self._verb = verb
        self._pending = work.pending_media
        # So many batches are under way at once, however many samples there are; the process takes all that is sent.
        self._room = threading.Semaphore(cores() + 2)
        self._under_way: queue.Queue[_Batch | BaseException | None] = queue.Queue()
        self._stop = threading.Event()
        self._reading = threading.Lock()

    def run(self) -> None:
        """Returns when all is committed or the job is cancelled; what was done is committed whatever happens.

        Raises:
            ModelError: the model failed, or its process ended.
        """
        reader = threading.Thread(target=self._feed, name="dataide read pictures", daemon=True)
        reader.start()
        held = Results()
        last_commit = time.monotonic()
        finished = False
        try:
            while (batch := self._under_way.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                if batch.readable:
                    self._take(batch, held)
                self._room.release()
                if held.count >= COMMIT_PICTURES or time.monotonic() - last_commit >= COMMIT_S:
                    self._commit(held)
                    held, last_commit = Results(), time.monotonic()
                self._job.advance(batch.start + batch.count, len(self._pending), self._verb)
                if self._job.cancelled:
                    break
            else:
                finished = True
        finally:
            self._stop.set()
            self._room.release()
            if not finished:
                self._computer.end()
            self._commit(held)
            # It reads nothing any more, so the session may be closed. A process that is too busy to listen may keep it
            # in the middle of sending: that ends with the batch, or with the process.
            if self._reading.acquire(timeout=30):
                self._reading.release()
            reader.join(30 if finished else 0.5)

    def _commit(self, held: Results) -> None:
        if held.count:
            self._work.commit(held, self._computer.revision)

    def _take(self, batch: _Batch, held: Results) -> None:
        _, arrays, problems = self._computer.receive()
        failed = {index for index, _, _ in problems}
        good = [position for index, position in enumerate(batch.readable) if index not in failed]
        held.batches.append((np.asarray(good, np.int64), arrays))
        held.problems += [(self._pending[batch.readable[index]], code, reason) for index, code, reason in problems]
        held.count += len(batch.readable)

    def _feed(self) -> None:
        try:
            batches = self._read()
            while not self._stop.is_set():
                with self._reading:
                    item = None if self._stop.is_set() else next(batches, None)
                if item is None:
                    break
                batch, data = item
                self._room.acquire()
                if self._stop.is_set():
                    break
                self._under_way.put(batch)
                if batch.readable and not self._computer.send(batch.start, data):
                    break  # the process is gone: the job's thread hears why when it asks for the answer
            self._under_way.put(None)
        except BaseException as error:
            self._under_way.put(error)

    def _read(self) -> Iterator[tuple[_Batch, list[bytes]]]:
        """Batches of encoded pictures, limited in number and in bytes; what cannot be read is noted."""
        step = self._batch_size
        start, count, readable, data, size = 0, 0, list[int](), list[bytes](), 0
        unreadable: list[tuple[str, str, str]] = []
        first, page = 0, 8
        while first < len(self._pending) and not self._stop.is_set():
            refs = self._pending[first : first + page]
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
        if self._stop.is_set():
            return
        self._note(unreadable)
        if count:
            yield _Batch(start, count, readable), data

    def _note(self, unreadable: list[tuple[str, str, str]]) -> None:
        if unreadable:
            self._work.unreadable(unreadable)
