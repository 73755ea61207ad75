"""What every training in the inference process goes through: pictures gathered there, commands, what is kept of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import DataideError
from dataide.inference.identity import Identity
from dataide.inference.job import Job
from dataide.inference.kernel import Kernel, Request
from dataide.inference.pump import Pump, Results
from dataide.storage import models_used, trained

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media

BATCH = 256
# Commands under way: with two the process need not wait for this one.
UNDER_WAY = 2


@dataclass
class Gathering:
    """Pictures on their way to the process; what comes back says only which were good."""

    pending_refs: Sequence[str]
    media: Media
    good: list[np.ndarray] = field(default_factory=list)

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        return self.media.read_many(self.pending_refs[first:last])

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        return None  # embedding lists them

    def commit(self, results: Results, revision: str) -> None:
        self.good += [positions for positions, _ in results.batches]


@contextmanager
def gathered(
    job: Job[Any], kernel: Kernel, media: Media, refs: Sequence[str], identity: Identity, fingerprint: str, verb: str
) -> Iterator[tuple[np.ndarray, Request]]:
    """Pictures in the process: places of those that could be read, and where commands to train on them are sent.

    Args:
        job: that says how far it is, and ends both requests when it is cancelled.
        kernel: whose process it is.
        media: reads the pictures.
        refs: of the pictures.
        identity: what trains, with its options.
        fingerprint: of what is trained on.
        verb: for people.
    """
    # A key of its own: what another training has gathered is not to be mixed with this.
    options = {**identity.options, "training": f"{fingerprint}-{time.monotonic_ns()}"}
    pictures = kernel.open(replace(identity, options=options))
    commands = kernel.open(replace(identity, options={**options, "form": "text"}))
    try:
        for request in (pictures, commands):
            job.on_cancel(request.end)
            request.begin(lambda sentence: job.advance(0, len(refs), sentence))
        gathering = Gathering(refs, media)
        Pump(gathering, pictures, batch_size=BATCH, job=job, verb=verb).run()
        yield np.concatenate([np.empty(0, np.int64), *gathering.good]), commands
    finally:
        pictures.close()
        commands.close()


def follow(
    job: Job[Any],
    request: Request,
    command: dict[str, Any],
    total: int,
    put: Callable[[bytes], None] = lambda checkpoint: None,
) -> tuple[bytes, dict[str, Any]]:
    """Commands until the model is there: its state, and what was told of it.

    Args:
        job: that says how far it is.
        request: where commands are sent.
        command: the first one.
        total: what the job counts to.
        put: takes a checkpoint.
    """
    job.counts = False
    job.advance(0, total, "loading what it takes to train")
    request.send(0, [json.dumps(command).encode()])
    for number in range(1, UNDER_WAY):
        request.send(number, [b'{"do": "go on"}'])
    number = UNDER_WAY
    while True:
        answer = request.receive()
        told = answer.details
        if "state" in answer.arrays:
            job.counts = True
            return answer.arrays["state"].tobytes(), told
        if "checkpoint" in answer.arrays:
            put(answer.arrays["checkpoint"].tobytes())
        said = told.get("doing", "training")
        if told.get("accuracy") is not None and said == "training":
            said = f"training: loss {told['loss']:.2f}, {told['accuracy']:.0%} of the last pictures right"
        job.advance(min(round(told.get("part", 0.0) * total), total), total, said)
        request.send(number, [b'{"do": "go on"}'])
        number += 1


def kept(database: Database, name: str, fingerprint: str) -> dict[str, Any] | None:
    """The details of what the same call has trained before, if it has."""
    found = models_used.trained(database, name)
    if found is None or found[1].get("learned", {}).get("fingerprint") != fingerprint:
        return None
    details: dict[str, Any] = found[1]["learned"]
    return details


def keep(database: Database, name: str, task: str, details: dict[str, Any], state: bytes) -> None:
    """Keeps a model under its name, in place of an earlier one."""
    from dataide.inference.models.learned import revision_of

    told = {"task": task, "classes": details["classes"], "learned": details}
    with database.write() as cursor:
        trained.forget(cursor, name)
        models_used.note(cursor, name, "learned", revision_of(state), told, state)


def left_out(details: dict[str, Any], label: str | None) -> str | None:
    """Which samples were not trained on, and why; None where all were."""
    notes = []
    if details.get("unlabelled"):
        notes.append(f"{details['unlabelled']:,} samples have no {label!r} and were not trained on")
    if details.get("unreadable"):
        notes.append(f"{details['unreadable']:,} pictures could not be read and were left out")
    return ". ".join(notes) or None
