"""Moves pictures through a model: a thread reads and sends them, the job's thread commits what comes back, in order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference.contract import Arrays, Problem
from dataide.inference.models.outputs import by_position
from dataide.inference.process import cores

if TYPE_CHECKING:
    from dataide.inference.identity import Identity
    from dataide.inference.job import Job

# A batch ends at so many pictures or bytes, whichever comes first.
BATCH_BYTES = 8 << 20
# A commit costs some 10 ms and all that panels ask for after it; what is dearer comes less often.
COMMIT_S = 1.0
COMMIT_SHARE = 0.02
LONGEST_PAUSE_S = 5.0
COMMIT_PICTURES = 8192
# Of a network nobody knows how many pictures at once it does best. It begins with few, so that small work is done soon,
# and takes twice as many as long as that is worth it: a ResNet-18 on two cores gains 3 % from 16 to 32, 2 % more at 64.
# A query waits for one batch, so none should take longer.
FIRST_BATCH = 16
LARGEST_BATCH = 512
LONGEST_BATCH_S = 1.0
WORTH = 1.02
TRIES = 2


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


class Answer(NamedTuple):
    """What came back for a batch.

    Attributes:
        batch: which.
        arrays: see models/outputs.py.
        problems: position in the batch, code, reason.
        seconds: how long the model computed.
        details: what is known of the model now.
    """

    batch: int
    arrays: Arrays
    problems: list[Problem]
    seconds: float
    details: dict[str, Any]


class Work(Protocol):
    """What is pending, and where its results go."""

    @property
    def pending_refs(self) -> Sequence[str]:
        """What is listed where one cannot be computed, by position: references of pictures, or ids of samples."""
        ...

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        """The encoded pictures or texts of positions first up to, not including, last. On the reading thread."""
        ...

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        """Notes pictures that could not be read: reference, code, reason. On the reading thread."""
        ...

    def commit(self, results: Results, revision: str) -> None:
        """Stores results; on the job's thread, in order of position."""
        ...


class Computer(Protocol):
    """A model to send batches to: a request to the inference kernel, a callable of this process, or Ray's actors."""

    revision: str
    details: dict[str, Any]  # once it is there

    def begin(self, say: Callable[[str], None] = ...) -> None:
        """Waits until the model is there."""
        ...

    def send(self, batch: int, data: list[bytes]) -> bool:
        """Sends encoded pictures or texts; False when nobody would compute them."""
        ...

    def receive(self) -> Answer:
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
        from dataide.inference.models.function import Function
        from dataide.inference.models.outputs import output_for

        assert identity.function is not None
        self._model = Function(identity.function, identity.name, output_for(identity.options, identity.name))
        self._prepare = self._model.prepare_text if identity.options.get("form") == "text" else self._model.prepare
        self._batches: queue.Queue[tuple[int, int, Any, list[Problem]] | None] = queue.Queue()
        self._ended = False
        self.revision = identity.revision or ""
        self.details = self._model.details

    def begin(self, say: Callable[[str], None] = lambda sentence: None) -> None:
        return None

    def send(self, batch: int, data: list[bytes]) -> bool:
        if not self._ended:
            self._batches.put((batch, len(data), *self._prepare(data)))
        return not self._ended

    def receive(self) -> Answer:
        item = self._batches.get()
        if item is None:
            raise ModelError("The work was stopped.", code="cancelled")
        batch, count, prepared, undecoded = item
        began = time.monotonic()
        computed = self._model.compute(prepared)
        problems = by_position(count, undecoded, computed.problems)
        return Answer(batch, computed.arrays, problems, time.monotonic() - began, self._model.details)

    def end(self) -> None:
        self._ended = True
        self._batches.put(None)

    def close(self) -> None:
        self.end()


class BatchSize:
    """How many pictures go to a model at once: doubled until its rate or its memory says stop.

    Args:
        fixed: so many, whatever is heard; None to find it out.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self.size = fixed or FIRST_BATCH
        self.settled = fixed is not None
        self._rates: list[float] = []
        self._before = 0.0  # pictures a second, with half as many

    def hear(self, count: int, answer: Answer) -> None:
        """Hears how a batch of `count` pictures went."""
        if self.settled:
            return
        largest = answer.details.get("largest_batch")
        if isinstance(largest, int) and largest < self.size:
            self.size, self.settled = max(1, largest), True
        # Smaller ones were sent before, or are the last.
        elif count == self.size and answer.seconds > 0:
            self._rates.append(count / answer.seconds)
            if len(self._rates) == TRIES:
                self._decide(max(self._rates))

    def _decide(self, rate: float) -> None:
        if rate < self._before * WORTH:
            self.size, self.settled = self.size // 2, True
        elif self.size * 2 > LARGEST_BATCH or self.size * 2 / rate > LONGEST_BATCH_S:
            self.settled = True
        else:
            self.size, self._before, self._rates = self.size * 2, rate, []


@dataclass(slots=True)
class _Batch:
    start: int
    count: int
    readable: list[int]  # positions within what is pending that were sent


class Pump:
    """Moves all that is pending of one work through one model.

    Args:
        work: what is pending, who reads it, and who commits.
        computer: the model, ready.
        batch_size: pictures that go to the model at once; None to find out how many it does best.
        job: hears how far it is, and may be cancelled.
        verb: what the job says meanwhile: "embedding".
    """

    def __init__(self, work: Work, computer: Computer, *, batch_size: int | None, job: Job[Any], verb: str) -> None:
        self._work = work
        self._computer = computer
        self._batch_size = BatchSize(batch_size)
        self._job = job
        self._verb = verb
        self._pending = work.pending_refs
        # So many batches are under way at once, however many samples there are; the process takes all that is sent.
        self._room = threading.Semaphore(int(computer.details.get("room", cores() + 2)))
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
        last_commit, pause = time.monotonic(), COMMIT_S
        finished = False
        try:
            while (batch := self._under_way.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                if batch.readable:
                    self._take(batch, held)
                self._room.release()
                if held.count >= COMMIT_PICTURES or time.monotonic() - last_commit >= pause:
                    began = time.monotonic()
                    results, held = held, Results()  # what could not be committed once is not tried again at the end
                    self._commit(results)
                    last_commit = time.monotonic()
                    pause = min(max(COMMIT_S, (last_commit - began) / COMMIT_SHARE), max(COMMIT_S, LONGEST_PAUSE_S))
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
            try:
                self._commit(held)
            finally:
                # It reads nothing any more, so the session may be closed. A process that is too busy to listen may keep
                # it in the middle of sending: that ends with the batch, or with the process.
                if self._reading.acquire(timeout=30):
                    self._reading.release()
                reader.join(30 if finished else 0.5)

    def _commit(self, held: Results) -> None:
        if held.count:
            self._work.commit(held, self._computer.revision)

    def _take(self, batch: _Batch, held: Results) -> None:
        answer = self._computer.receive()
        _, arrays, problems, _, _ = answer
        self._batch_size.hear(len(batch.readable), answer)
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
        step = self._batch_size.size
        start, count, readable, data, size = 0, 0, list[int](), list[bytes](), 0
        unreadable: list[tuple[str, str, str]] = []
        first, page = 0, 8
        while first < len(self._pending) and not self._stop.is_set():
            before = size
            last = min(first + page, len(self._pending))
            for index, answer in enumerate(self._work.read(first, last)):
                if isinstance(answer, DataideError):
                    unreadable.append((self._pending[first + index], answer.code, answer.message))
                else:
                    readable.append(first + index)
                    data.append(answer)
                    size += len(answer)
                count += 1
                if count == step or size >= BATCH_BYTES:
                    self._note(unreadable)
                    yield _Batch(start, count, readable), data
                    start, count, readable, data, unreadable = start + count, 0, [], [], []
                    before, size, step = before - size, 0, self._batch_size.size
            # As many small pictures at once as fill a batch, and few large ones: they all are in memory.
            average = max((size - before) // (last - first), 1)
            first, page = last, max(1, min(step, BATCH_BYTES // average))
        if self._stop.is_set():
            return
        self._note(unreadable)
        if count:
            yield _Batch(start, count, readable), data

    def _note(self, unreadable: list[tuple[str, str, str]]) -> None:
        if unreadable:
            self._work.unreadable(unreadable)
