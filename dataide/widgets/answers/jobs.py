"""The long works of a session: how far they are, and the button that stops one."""

from __future__ import annotations

import threading
from typing import cast

from dataide.inference import job as jobs
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import CancelJobAnswer, CancelJobAsk
from dataide.widgets.vocabulary import JobsState, JobState
from dataide.widgets.workspace import Workspace

MOST_SENTENCE = 300

_lock = threading.Lock()
_version = 0


def jobs_state(database: object) -> JobsState:
    """The jobs that work on this database now. A higher version is a later look: messages may overtake each other."""
    global _version
    with _lock:
        _version += 1
        return {"version": _version, "running": [_told(job) for job in _running(database)]}


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
