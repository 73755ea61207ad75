"""The long works of a session: how far they are, the button that stops one, and the form that starts one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

from dataide.inference import job as jobs
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import (
    CancelJobAnswer,
    CancelJobAsk,
    DismissJobAnswer,
    DismissJobAsk,
    StartableAsk,
    StartJobAnswer,
    StartJobAsk,
)
from dataide.widgets.started import Starter
from dataide.widgets.starting import options_for
from dataide.widgets.vocabulary import EndedJob, JobsState, JobState
from dataide.widgets.workspace import Workspace

MOST_SENTENCE = 300

_lock = threading.Lock()
_version = 0


def jobs_state(database: object, ended: Sequence[EndedJob] = ()) -> JobsState:
    """The jobs that work on this database now, and what came of those started in a panel.

    A higher version is a later look: messages may overtake each other.
    """
    global _version
    with _lock:
        _version += 1
        return {"version": _version, "running": [_told(job) for job in _running(database)], "ended": list(ended)}


def _running(database: object) -> list[jobs.Job[object]]:
    return sorted(jobs.running(database), key=lambda job: job.began_at)


def _told(job: jobs.Job[object]) -> JobState:
    left = job.left_s
    return {
        "id": job.id,
        "verb": job.verb[:MOST_SENTENCE],
        "sentence": job.sentence[:MOST_SENTENCE],
        "done": int(job.done),
        "total": int(job.total),
        "rate": round(job.rate, 3),
        "left_s": None if left is None else round(left, 1),
        "state": "cancelling" if job.cancelled else "running",
    }


def cancel_job(workspace: Workspace, ask: CancelJobAsk) -> Reply:
    """Cancels a job of this session; what it has committed stays. One that has ended meanwhile is no error."""
    found = next((job for job in _running(workspace.database) if job.id == ask["id"]), None)
    if found is not None:
        found.cancel()
    return Reply(cast("CancelJobAnswer", {"found": found is not None}))


def startable(workspace: Workspace, ask: StartableAsk) -> Reply:
    """What can be started here, and with which choices."""
    return Reply(options_for(workspace))


def start_job(workspace: Workspace, ask: StartJobAsk) -> Reply:
    """Starts a job and answers with its id, once for each uuid."""
    return Reply(cast("StartJobAnswer", {"job": Starter.of(workspace).start(ask)}))


def dismiss_job(workspace: Workspace, ask: DismissJobAsk) -> Reply:
    """Puts away what came of a job. One that somebody else has put away is no error."""
    return Reply(cast("DismissJobAnswer", {"found": Starter.of(workspace).dismiss(ask["id"])}))
