"""Jobs as panels are told of them, and as a terminal shows them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.inference.job import Job
from dataide.widgets import protocol, vocabulary
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.answers.jobs import jobs_state
from dataide.widgets.answers.state import session_state
from dataide.widgets.dialogue import Reply
from dataide.widgets.hub import Hub
from dataide.widgets.wire import check

BUILT = (Path(di.__file__).parent / "static" / "hub.js").is_file()
needs_build = pytest.mark.skipif(not BUILT, reason="the JavaScript is not built: make setup")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with di.open(tmp_path / "jobs.duckdb") as session:
        session.add_arrays(np.zeros((3, 8, 8), np.uint8), progress=False)
        yield session


def waiting(session: di.Session, verb: str = "Counting") -> Job[str]:
    """A job that has done 3 of 10 and goes on until it is cancelled."""
    told, seen = threading.Event(), threading.Event()

    def work(job: Job[str]) -> str:
        job.on_cancel(told.set)
        job.advance(3, 10, "counting <b>")
        seen.set()
        told.wait(30)
        return "as far as it went"

    job = Job(work, verb=verb, owner=session.context.database)
    assert seen.wait(10)
    return job


def cancel(session: di.Session, job_id: str) -> bool:
    reply = OPERATIONS["cancel_job"](Hub.of(session.context).workspace, check({"id": job_id}, protocol.CancelJobAsk))
    assert isinstance(reply, Reply)
    assert check(reply.body, protocol.CancelJobAnswer, "answer") == reply.body
    return bool(reply.body["found"])


@needs_build
def test_the_state_of_the_session_has_its_jobs_and_one_of_them_is_cancelled(session: di.Session) -> None:
    first, second = waiting(session), waiting(session, "Waiting")
    state = session_state(Hub.of(session.context).workspace)
    assert check(state, vocabulary.SessionState, "state") == state
    told = state["jobs"]["running"]
    assert [job["verb"] for job in told] == ["Counting", "Waiting"]
    assert (told[0]["done"], told[0]["total"], told[0]["sentence"]) == (3, 10, "counting <b>")
    assert told[0]["left_s"] is None and told[0]["state"] == "running"
    assert cancel(session, first.id) and first.wait(10)
    assert not cancel(session, first.id) and not cancel(session, "no such job")
    later = jobs_state(session.context.database)
    assert [job["id"] for job in later["running"]] == [second.id]
    assert later["version"] > state["jobs"]["version"]
    second.cancel()
    assert second.wait(10)


@needs_build
def test_a_job_of_another_session_is_out_of_reach(session: di.Session, tmp_path: Path) -> None:
    with di.open(tmp_path / "other.duckdb") as other:
        job = waiting(other)
        assert not cancel(session, job.id) and not job.cancelled
        job.cancel()
        assert job.wait(10)


def sent(hub: Hub, until: Callable[[list[dict[str, Any]]], bool]) -> tuple[list[dict[str, Any]], threading.Event]:
    """The messages that the hub sends from now on, and an event for when they are enough."""
    messages: list[dict[str, Any]] = []
    enough = threading.Event()

    def note(message: dict[str, Any], buffers: object) -> None:
        messages.append(message)
        if until(messages):
            enough.set()

    hub._send_message = note  # type: ignore[method-assign]
    return messages, enough


@needs_build
def test_pages_hear_of_a_job_a_few_times_however_many_steps_it_takes_and_of_its_end(session: di.Session) -> None:
    hub = Hub.of(session.context)
    messages, gone = sent(hub, lambda all: all[-1]["topic"] == "jobs" and not all[-1]["body"]["running"])
    shown = threading.Event()

    def work(job: Job[int]) -> int:
        for step in range(20_000):
            job.advance(step, 40_000, "counting")
        shown.wait(0.6)
        job.advance(40_000, 40_000, "counting")
        return 1

    assert Job(work, verb="Counting", owner=session.context.database).result(30) == 1
    assert gone.wait(10)
    jobs = [message for message in messages if message["topic"] == "jobs"]
    assert 2 <= len(jobs) <= 10
    assert jobs[0]["body"]["running"][0]["verb"] == "Counting"


@needs_build
def test_the_error_of_a_job_is_told_once_as_a_toast(session: di.Session) -> None:
    hub = Hub.of(session.context)
    messages, gone = sent(hub, lambda all: all[-1]["topic"] == "jobs" and not all[-1]["body"]["running"])

    def work(job: Job[int]) -> int:
        raise ValueError("no light")

    job = Job(work, verb="Counting", owner=session.context.database)
    assert job.wait(10) and gone.wait(10)
    toasts = [message["body"] for message in messages if message["topic"] == "toast"]
    assert toasts == [{"sentence": "Counting: failed at the start. no light", "kind": "error", "event": None}]


IN_A_TERMINAL = """
import threading
from dataide.inference.job import Job
from dataide.widgets.jobs import awaited
class Owner: pass
owner = Owner()
def work(job):
    for done in range(0, 1001, 100):
        job.advance(done, 1000, "counting")
        threading.Event().wait(0.15)
    return "whole"
print(awaited(Job(work, verb="Counting", owner=owner)))
"""


def test_in_a_terminal_a_job_is_a_line_with_a_bar() -> None:
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 120))
    started = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL],
        stdout=subprocess.PIPE,
        stderr=inside,
    )
    out, _ = started.communicate(timeout=60)
    os.close(inside)
    drawn = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert out == b"whole\n"
    assert "Counting: 100%" in drawn and "1000/1000" in drawn and "samples/s" in drawn


def test_into_a_file_nothing_is_drawn() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_TERMINAL], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("whole\n", "")
