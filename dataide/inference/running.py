"""Work that goes through a model: what is pending goes out in batches, and is committed as it comes back.

`embedding`, `predicting` and `enriching` say what is pending and where results go; this is what they have in common:
which computer it is, resuming, what could not be read, and falling back to this process.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from dataide.errors import ModelError
from dataide.inference.identity import Identity, ModelLike, Task, check_name, identify, refuse
from dataide.inference.job import Job, Progress
from dataide.inference.kernel import Kernel
from dataide.inference.pump import Answer, Computer, Local, Pump, Results
from dataide.storage import models_used, vectors
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from dataide.errors import DataideError
    from dataide.inference.contract import Lane
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Pending

# A batch ends at so many pictures, or at pump.BATCH_BYTES; of networks the pump finds out how many are best.
BATCH = {"auto": 256, "quality": 64, "callable": 32}
Report = TypeVar("Report")


@dataclass(frozen=True)
class Means:
    """How work is carried out.

    Attributes:
        kernel: whose process computes; None for one of this work alone.
        batch_size: pictures that go to the model at once; None to leave it to the model.
    """

    kernel: Kernel | None = None
    batch_size: int | None = None

    @classmethod
    def of(cls, options: dict[str, Any]) -> tuple[Means, dict[str, Any]]:
        """The means among a call's options, and what is left for loading the model."""
        names = [one.name for one in fields(cls)]
        left = {name: value for name, value in options.items() if name not in names}
        return cls(**{name: options[name] for name in names if name in options}), left

    def check(self) -> None:
        """Refuses before the work.

        Raises:
            ModelError: the number is not possible.
        """
        size = self.batch_size
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise ModelError(
                f"A batch of {size} pictures is not possible.",
                hint="Leave batch_size out, or give 1 or more.",
            )


@dataclass
class Done:
    """What a run has done so far."""

    good: int = 0
    problems: int = 0
    notes: list[str] = field(default_factory=list)


class Running(ABC, Generic[Report]):
    """One run of a model over samples: the work of a job, and of a pump.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers, ascending, each once.
        identity: the model.
        means: how it is carried out.
    """

    verb = "computing"

    def __init__(self, database: Database, media: Media, nos: np.ndarray, identity: Identity, means: Means) -> None:
        means.check()
        vectors.check_writable(database)
        self.database = database
        self.media = media
        self.nos = ascending(np.asarray(nos, np.uint32))
        self.identity = identity
        self.means = means
        self.did = Done()
        self.pending: Pending
        self._computer: Computer | None = None
        self._noted = False

    # What each kind of work says of itself ---------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """Who lists a problem, as `problem.source` says it."""
        return f"{self.verb} {self.identity.name}"

    @abstractmethod
    def find_pending(self, revision: str | None, details: dict[str, Any]) -> Pending:
        """What lacks a result. Asked before the model is loaded (None where only it knows its revision) and after."""

    @abstractmethod
    def store(self, cursor: Cursor, positions: np.ndarray, results: Results, revision: str) -> None:
        """Writes results of pending positions, inside one transaction."""

    @abstractmethod
    def report(self, seconds: float, present: int, cancelled: bool) -> Report:
        """What was done."""

    # The job ---------------------------------------------------------------------------------------------------------

    def start(self, wait: bool, progress: Progress | None) -> Report | Job[Report]:
        """Begins, and waits for the end unless told not to."""
        job = Job(self, verb=f"{self.verb.capitalize()} {self.said}", owner=self.database)
        return job.complete(progress) if wait else job.watched(progress)

    @property
    def said(self) -> str:
        """What a job calls it: Embedding with 'auto'."""
        return f"with {self.identity.name!r}"

    def __call__(self, job: Job[Report]) -> Report:
        began = time.monotonic()
        self._job = job
        self.pending = self.find_pending(self.identity.revision, {})
        if len(self.pending.nos):
            # Without a model nothing can be said about its revision; where all have results, the stored one is taken.
            job.advance(0, len(self.pending.nos), f"loading {self.identity.name}")
            self._with_model()
        done = self.did.good + self.did.problems
        present = len(self.nos) - len(self.pending.nos)
        return self.report(time.monotonic() - began, present, job.cancelled and done < len(self.pending.nos))

    def _with_model(self) -> None:
        kernel = self.means.kernel or Kernel()
        try:
            while True:
                try:
                    return self._through(computer(self.identity, kernel, "bulk"))
                except ModelError as error:
                    if error.code == "not_portable" and self.identity.function is not None:
                        self._run_here(error)
                        continue
                    if self._job.cancelled:
                        return
                    raise
        finally:
            if self.means.kernel is None:
                kernel.close()

    def _through(self, computer: Computer) -> None:
        job, self._computer = self._job, computer
        try:
            job.on_cancel(computer.end)
            computer.begin(lambda sentence: job.advance(0, len(self.pending.nos), sentence))
            self.pending = self.find_pending(computer.revision, computer.details)
            size = self.means.batch_size or BATCH.get(self.identity.kind)  # None: the pump finds the best
            Pump(self, computer, batch_size=size, job=job, verb=self.verb).run()
        finally:
            computer.close()

    def _run_here(self, error: ModelError) -> None:
        self.identity = replace(self.identity, pickled=b"", note=f"{error.message}, so it ran in this process")

    # For the pump ----------------------------------------------------------------------------------------------------

    @property
    def pending_refs(self) -> Sequence[str]:
        return self.pending.media

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        return self.media.read_many(self.pending.media[first:last])

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        with self.database.write() as cursor:
            vectors.note_problems(cursor, self.source, problems)
            self.did.problems += len(problems)  # in here: the job's thread counts as well

    def commit(self, results: Results, revision: str) -> None:
        positions = np.concatenate([np.empty(0, np.int64), *(positions for positions, _ in results.batches)])
        with self.database.write() as cursor:
            if len(positions):
                self.store(cursor, positions, results, revision)
                vectors.forget_problems(cursor, self.source, [self.pending.media[position] for position in positions])
                self._note_model(cursor, revision)
            if results.problems:
                vectors.note_problems(cursor, self.source, results.problems)
                self.did.problems += len(results.problems)
        self._noted = self._noted or len(positions) > 0
        self.did.good += len(positions)

    @property
    def details(self) -> dict[str, Any]:
        """What is known of the model now."""
        return self._computer.details if self._computer is not None else {}

    @property
    def note(self) -> str | None:
        """What else there is to say in the report."""
        return ". ".join(filter(None, [self.identity.note, self.details.get("note"), *self.did.notes])) or None

    def _note_model(self, cursor: Cursor, revision: str) -> None:
        if not self._noted:
            details = {**self.identity.options, **self.details}
            models_used.note(cursor, self.identity.model, self.identity.kind, revision, details)


def meant(
    database: Database, model: ModelLike | Identity, name: str | None, task: Task, options: dict[str, Any]
) -> Identity:
    """What a user's `model=` means in this session: what was trained here goes by its name.

    Args:
        database: the session's.
        model: what the user gave, or what `identify` made of it.
        name: of the embedding or run; by default the model's.
        task: what it is to compute.
        options: for loading it; those that are None are left out.

    Raises:
        ModelError: it is nothing that can compute, or an option means nothing to it.
    """
    if "task" in options:  # of predict() it is a parameter
        raise ModelError("There is no option 'task' here.", hint="predict(…, task='detection')", code="unknown_option")
    if isinstance(model, Identity):
        return model
    if isinstance(model, str):
        from dataide.inference.learning import identity_of

        trained = identity_of(database, model, task)
        if trained is not None:
            check_name(name, task)
            refuse(options, ["form"], f"{model!r}, which was trained here,")
            form = {"form": options["form"]} if "form" in options else {}
            return replace(trained, name=name or model, options=trained.options | form)
    return identify(model, name, task=task, **options)


def closing(failed: str | None, cancelled: bool, note: str | None, *between: str) -> list[str]:
    """How every report ends: what failed, whether it was stopped, what a kind of work adds, and the note."""
    return [
        *([f"{failed}: session.problems() lists them."] if failed else []),
        *(["It was stopped; the same call goes on."] if cancelled else []),
        *between,
        *([f"{note}."] if note else []),
    ]


def pictures_failed(count: int) -> str | None:
    """12 pictures failed; None for none."""
    return f"{count:,} {'picture' if count == 1 else 'pictures'} failed" if count else None


def stacked(results: Results, name: str) -> np.ndarray:
    """One of the arrays of all good rows."""
    return np.concatenate([arrays[name] for good, arrays in results.batches if len(good)])


def computer(identity: Identity, kernel: Kernel, lane: Lane) -> Computer:
    """Who computes: this process for what cannot be sent, else the kernel's, be it of this machine or of a cluster."""
    if identity.kind == "callable" and not identity.pickled:
        return Local(identity)
    return kernel.open(identity, lane)


def once(identity: Identity, data: list[bytes], kernel: Kernel | None) -> Answer:
    """What a model makes of a few encoded pictures or texts; they overtake the jobs of the kernel between two batches.

    Raises:
        ModelError: the model cannot be had, or failed.
    """
    own = kernel or Kernel()
    try:
        try:
            return _once(computer(identity, own, "interactive"), data)
        except ModelError as error:
            if error.code != "not_portable" or identity.function is None:
                raise
            return _once(Local(identity), data)
    finally:
        if kernel is None:
            own.close()


def _once(computer: Computer, data: list[bytes]) -> Answer:
    try:
        computer.begin()
        computer.send(0, data)
        return computer.receive()
    finally:
        computer.close()
