"""Embedding: what lacks a vector goes through the inference kernel, and is committed as it comes back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from dataide.errors import ModelError
from dataide.inference.identity import Identity, ModelLike, identify
from dataide.inference.job import Job, Progress
from dataide.inference.kernel import Kernel
from dataide.inference.pump import Computer, Local, Pump, Results
from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.inference.contract import Arrays, Lane, Problem
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media

# A batch ends at so many pictures, or at pump.BATCH_BYTES.
BATCH = {"auto": 256, "torchvision": 64, "callable": 32}


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
    kernel: Kernel | None = None,
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
    kernel: Kernel | None = None,
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
    kernel: Kernel | None = None,
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
        kernel: whose process computes; by default one for this call alone.
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
    run = _Embedding(database, media, np.unique(np.asarray(nos, np.uint32)), identity, batch_size, kernel)
    job = Job(run, verb=f"Embedding with {identity.name!r}", owner=database)
    if wait:
        return job.complete(progress)
    if progress is not None:
        job.watch(progress)
    return job


def embed_pictures(
    model: ModelLike, data: list[bytes], *, name: str | None = None, kernel: Kernel | None = None
) -> np.ndarray:
    """Vectors of a few encoded pictures that are no samples, to search by; float32, a row for each.

    They overtake the jobs of the kernel between two batches.

    Args:
        model: as for `embed`.
        data: encoded pictures.
        name: of the embedding; by default the model's.
        kernel: whose process computes; by default one for this call alone.

    Raises:
        ModelError: the model cannot be had, or a picture cannot be read.
    """
    identity = identify(model, name)
    own = kernel or Kernel()
    try:
        try:
            arrays, problems = _once(_computer(identity, own, "interactive"), data)
        except ModelError as error:
            if error.code != "not_portable":
                raise
            arrays, problems = _once(Local(identity), data)
    finally:
        if kernel is None:
            own.close()
    if problems:
        raise ModelError(f"The picture cannot be read: {problems[0][2]}")
    return arrays["vectors"]


def _once(computer: Computer, data: list[bytes]) -> tuple[Arrays, list[Problem]]:
    try:
        computer.begin()
        computer.send(0, data)
        _, arrays, problems = computer.receive()
    finally:
        computer.close()
    return arrays, problems


def _computer(identity: Identity, kernel: Kernel, lane: Lane) -> Computer:
    return Local(identity) if identity.kind == "callable" and not identity.pickled else kernel.open(identity, lane)


class _Embedding:
    """One run of `embed`: the work of a job, and of a pump."""

    def __init__(
        self,
        database: Database,
        media: Media,
        nos: np.ndarray,
        identity: Identity,
        batch_size: int | None,
        kernel: Kernel | None,
    ) -> None:
        self._database = database
        self._media = media
        self._nos = nos
        self._identity = identity
        self._batch_size = batch_size or BATCH[identity.kind]
        self._kernel = kernel
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
        kernel = self._kernel or Kernel()
        try:
            while True:
                try:
                    return self._through(_computer(self._identity, kernel, "bulk"), present)
                except ModelError as error:
                    if error.code == "not_portable":
                        self._run_here(error)
                        continue
                    if self._job.cancelled:
                        return present
                    raise
        finally:
            if self._kernel is None:
                kernel.close()

    def _through(self, computer: Computer, present: int) -> int:
        job = self._job
        try:
            job.on_cancel(computer.end)
            computer.begin(lambda sentence: job.advance(0, len(self._pending.nos), sentence))
            if self._known is not None and self._known.revision != computer.revision:
                self._known = None  # torchvision has newer weights: the vectors do not go together
                self._pending = vectors.pending(self._database, None, self._nos)
                present = 0
            Pump(self, self._media, computer, batch_size=self._batch_size, job=job, verb="embedding").run()
            return present
        finally:
            computer.close()

    def _run_here(self, error: ModelError) -> None:
        self._identity = replace(self._identity, pickled=b"", note=f"{error.message}, so it ran in this process")

    # For the pump --------------------------------------------------------------------------------------------------

    @property
    def pending_media(self) -> Sequence[str]:
        return self._pending.media

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        self._problems += len(problems)
        with self._database.write() as cursor:
            vectors.note_problems(cursor, self._source, problems)

    def commit(self, results: Results, revision: str) -> None:
        positions = np.concatenate([np.empty(0, np.int64), *(positions for positions, _ in results.batches)])
        pending = self._pending
        with self._database.write() as cursor:
            into = self._known
            if len(positions):
                rows = np.concatenate([arrays["vectors"] for good, arrays in results.batches if len(good)])
                if into is None:
                    into = self._made(cursor, revision, rows.shape[1])
                elif into.dimension != rows.shape[1]:
                    raise ModelError(
                        f"{into.name} gave {rows.shape[1]} numbers a picture, and {into.dimension} before.",
                        hint="Give the new one a name of its own: embed(…, name='…').",
                    )
                vectors.store(cursor, into, pending.nos[positions], pending.media_revisions[positions], rows)
                vectors.forget_problems(cursor, self._source, [pending.media[position] for position in positions])
            if results.problems:
                vectors.note_problems(cursor, self._source, results.problems)
        self._known = into
        self._embedded += len(positions)
        self._problems += len(results.problems)

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
