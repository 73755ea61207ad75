"""The one pipeline under all ways in: records come in, pictures are looked at by processes, samples are committed.

What is committed stays: after Ctrl-C, the same call again skips what is there and goes on.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dataide.errors import ImportProblem
from dataide.formats.progress import Listener, Progress
from dataide.formats.workers import Pool, look_here
from dataide.storage.looking import Item, Pixels, Seen
from dataide.storage.media import BLOB
from dataide.storage.samples import Arrivals, Fault, commit_arrivals, known_samples

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.storage.database import Database

Conflict = Literal["skip", "replace", "error"]
COMMIT_SAMPLES = 4096
COMMIT_BYTES = 64 << 20
COMMIT_S = 3.0
# An import of fewer pictures is over before a process would have started.
ALONE = 192
FIRST_JOB, LARGEST_JOB = 64, 512
JOB_BYTES = 16 << 20


@dataclass(slots=True)
class Batch:
    """Some records of a source, in order.

    Attributes:
        ids: sample ids.
        media: references, or None for bytes that go into the session file.
        items: what to look at: a path, an address, bytes or pixels.
        labels: or None.
        splits: or None.
        columns: the user's columns, one row for each record, or None.
        names: what a problem calls the record, where that is not its reference.
    """

    ids: list[str]
    media: list[str | None]
    items: list[Item]
    labels: list[str | None] | None = None
    splits: list[str | None] | None = None
    columns: pa.Table | None = None
    names: list[str] | None = None
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What an import did. Its repr is a sentence.

    Attributes:
        added: new samples.
        replaced: samples that were there and have new content now.
        skipped: records whose sample was there already.
        problems: pictures that could not be taken in; `session.problems()` says why.
        seconds: it took.
        notes: what else is worth knowing.
    """

    added: int
    replaced: int
    skipped: int
    problems: int
    seconds: float
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = [f"{_count(self.added, 'sample')} added"]
        if self.replaced:
            parts.append(f"{self.replaced:,} replaced")
        if self.skipped:
            parts.append(f"{self.skipped:,} skipped because they were there already")
        text = f"{', '.join(parts)} in {self.seconds:.1f} s."
        if self.problems:
            text += f" {_count(self.problems, 'picture')} could not be taken in: session.problems() says why."
        return " ".join([text, *self.notes])


class Ingest:
    """One import under way.

    Args:
        database: the session's file.
        source: what is imported, for people.
        on_conflict: what to do when a sample id is there already: skip the record, replace the sample, or raise and
            change nothing at all.
        progress: False for silence; a function is called instead of showing a line.
        total: records, if known.
        clash_hint: what to type when ids are taken by other pictures.
    """

    def __init__(
        self,
        database: Database,
        source: str,
        *,
        on_conflict: Conflict = "skip",
        progress: bool | Listener = True,
        total: int | None = None,
        clash_hint: str | None = None,
    ) -> None:
        check_conflict(on_conflict)
        self.notes: list[str] = []
        self._database = database
        self._source = source
        self._on_conflict = on_conflict
        self._clash_hint = clash_hint
        self._progress = Progress(source, progress, total)
        self._seen_ids: set[str] = set()
        self._jobs: deque[_Job] = deque()
        self._arrivals = Arrivals(source)
        self._added = self._replaced = self._skipped = self._clashes = self._problems = self._done = self._batches = 0
        self._job_size = FIRST_JOB
        self._committed_at = time.monotonic()
        self._pool: Pool | None = None

    def run(self, batches: Iterable[Batch]) -> Report:
        """Takes in all batches, and reports.

        Raises:
            ImportProblem: an id is taken and on_conflict is "error".
            KeyboardInterrupt: stopped by the user; what was looked at until then is committed first.
        """
        started = time.monotonic()
        try:
            for batch in batches:
                self._take_in(batch)
            while self._jobs:
                self._collect()
        except KeyboardInterrupt:
            if self._on_conflict != "error":
                self._commit()
            added = _count(self._added, "sample")
            done = f"{self._source}: stopped; {added} added. The same call again goes on from here."
            self._progress.finish(self._done, done)
            raise
        finally:
            if self._pool is not None:
                self._pool.close()
        self._commit()
        report = self._report(time.monotonic() - started)
        self._progress.finish(self._done, f"{self._source}: {report!r}", report)
        return report

    def _report(self, seconds: float) -> Report:
        if self._clashes:
            hint = f" {self._clash_hint}" if self._clash_hint else ""
            what = _count(self._clashes, "of the skipped ids belongs", "of the skipped ids belong")
            self.notes.insert(0, f"{what} to another picture here.{hint}")
        return Report(self._added, self._replaced, self._skipped, self._problems, seconds, tuple(self.notes))

    # Records in ------------------------------------------------------------------------------------------------

    def _take_in(self, batch: Batch) -> None:
        self._arrivals.faults += batch.faults
        self._problems += len(batch.faults)
        chosen = self._without_conflicts(batch)
        alone = self._pool is None and not self._batches and len(chosen) <= ALONE
        self._batches += 1
        if self._pool is None and not alone:
            self._pool = Pool(_usable_cores())
        start = 0
        paths_only = all(type(item) is str for item in batch.items)
        while start < len(chosen):
            most = self._job_size
            end = start + most if paths_only else _job_end(batch.items, chosen, start, most)
            self._submit(_Job(batch, chosen[start:end], time.monotonic()))
            start = end

    def _without_conflicts(self, batch: Batch) -> list[int]:
        """Positions of the records that are to be looked at."""
        known = known_samples(self._database, batch.ids)
        chosen: list[int] = []
        seen = self._seen_ids
        for position, sample_id in enumerate(batch.ids):
            there = known.get(sample_id)
            if there is None and sample_id not in seen:
                seen.add(sample_id)
            elif self._on_conflict == "error":
                raise id_taken(sample_id, there.media if there is not None else None)
            elif self._on_conflict == "skip":
                self._skipped += 1
                self._done += 1
                media = batch.media[position]
                if there is None or (media is not None and media != there.media):
                    self._clashes += 1
                continue
            chosen.append(position)
        return chosen

    # Looking ---------------------------------------------------------------------------------------------------

    def _submit(self, job: _Job) -> None:
        if self._pool is None:
            self._finish(job, look_here(job.items()))
            return
        while self._pool.is_full:
            self._collect()
        self._pool.submit(job.items())
        self._jobs.append(job)
        while self._jobs and self._pool.is_ready():
            self._collect()

    def _collect(self) -> None:
        assert self._pool is not None
        seen = self._pool.take()
        self._finish(self._jobs.popleft(), seen)

    def _finish(self, job: _Job, seen: Seen) -> None:
        """Moves what was seen to what waits for the commit."""
        self._done += len(job.positions)
        # Large enough that handing over costs nothing, small enough that progress is seen.
        size = len(job.positions)
        if size == self._job_size and time.monotonic() - job.asked_at < 0.4:
            self._job_size = min(LARGEST_JOB, size * 2)
        elif time.monotonic() - job.asked_at > 2:
            self._job_size = max(1, size // 2)
        self._keep(job, seen)
        for position, code, reason in seen.problems:
            self._arrivals.faults.append(Fault(job.name(position), code, _sentence(reason)))
        self._problems += len(seen.problems)
        waiting = self._arrivals
        if self._on_conflict != "error" and (
            len(waiting) >= COMMIT_SAMPLES
            or waiting.kept_bytes >= COMMIT_BYTES
            or time.monotonic() - self._committed_at > COMMIT_S
        ):
            self._commit()
        self._progress.update(self._done)

    def _keep(self, job: _Job, seen: Seen) -> None:
        if not seen.good:
            return
        waiting, batch = self._arrivals, job.batch
        good = [job.positions[position] for position in seen.good]
        waiting.sample_id += [batch.ids[position] for position in good]
        for position, place, content_hash in zip(good, seen.good, seen.content_hash, strict=True):
            media = batch.media[position]
            if media is None:
                media = BLOB + content_hash
                item = seen.encoded.get(place, batch.items[position])
                if isinstance(item, bytes) and content_hash not in waiting.kept:
                    waiting.kept[content_hash] = item
                    waiting.kept_bytes += len(item)
            waiting.media.append(media)
        if batch.labels is not None:
            waiting.label = waiting.label if waiting.label is not None else []
            waiting.label += [batch.labels[position] for position in good]
        if batch.splits is not None:
            waiting.split = waiting.split if waiting.split is not None else []
            waiting.split += [batch.splits[position] for position in good]
        if batch.columns is not None:
            waiting.columns.append(_rows(batch.columns, good))
        waiting.width_px += seen.width_px
        waiting.height_px += seen.height_px
        waiting.size_bytes += seen.size_bytes
        waiting.format += seen.format
        waiting.content_hash += seen.content_hash
        seen.measure()
        waiting.measured += seen.measured

    def _commit(self) -> None:
        waiting, self._arrivals = self._arrivals, Arrivals(self._source)
        committed = commit_arrivals(self._database, waiting, replace=self._on_conflict == "replace")
        self._added += committed.added
        self._replaced += committed.replaced
        self._skipped += committed.skipped
        self._committed_at = time.monotonic()


@dataclass(slots=True)
class _Job:
    batch: Batch
    positions: list[int]
    asked_at: float

    def items(self) -> list[Item]:
        return [self.batch.items[position] for position in self.positions]

    def name(self, place: int) -> str:
        """What a problem calls the record."""
        position = self.positions[place]
        names = self.batch.names
        return names[position] if names is not None else self.batch.media[position] or self.batch.ids[position]


def _rows(table: pa.Table, positions: list[int]) -> pa.Table:
    if len(positions) == table.num_rows:
        return table
    import numpy as np

    from dataide.storage import arrow_arrays

    return table.take(arrow_arrays.numbers(positions, np.int64))


def _job_end(items: Sequence[Item], chosen: Sequence[int], start: int, most: int) -> int:
    """Where a job ends that begins at `start`: `most` items, or fewer when they carry much data."""
    end, held = start, 0
    while end < len(chosen) and end - start < most and held < JOB_BYTES:
        item = items[chosen[end]]
        held += len(item) if isinstance(item, bytes) else len(item.data) if isinstance(item, Pixels) else 0
        end += 1
    return end


def check_conflict(on_conflict: str) -> None:
    """Raises:
    ImportProblem: it is no word that is known.
    """
    if on_conflict not in ("skip", "replace", "error"):
        raise ImportProblem(f"on_conflict is {on_conflict!r}.", hint="Say on_conflict='skip', 'replace' or 'error'.")


def id_taken(sample_id: str, media: str | None) -> ImportProblem:
    """The error about an id that is there: with that media, or, None, in the same import."""
    where = "an earlier record of the same import"
    if media is not None:
        where = f"the picture {media}" if media else "a sample that is here"
    return ImportProblem(
        f"The sample id {sample_id!r} is taken by {where}; nothing was changed.",
        hint="Say on_conflict='skip' or on_conflict='replace', or name a column of unique ids with sample_id=.",
        code="conflict",
    )


def _usable_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return min(16, len(affinity(0)) if affinity is not None else os.cpu_count() or 1)


def _sentence(reason: str) -> str:
    reason = reason.strip()
    return (reason[:1].upper() + reason[1:]).rstrip(".") + "."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
