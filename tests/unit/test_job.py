"""Jobs, apart from what they do."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dataide.inference import job as jobs
from dataide.inference.job import Job, Pace, spoken_rate, spoken_time


class Goodbye:
    """Like a DuckDB cursor of a thread: ends with the thread, and takes a moment."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def __del__(self) -> None:
        threading.Event().wait(0.1)
        self._ended.set()


def test_when_the_result_is_there_nothing_of_the_jobs_thread_is_left_to_crash_the_end_of_python() -> None:
    ended, local = threading.Event(), threading.local()

    def work(job: Job[int]) -> int:
        local.cursor = Goodbye(ended)
        return 7

    job = Job(work, verb="Counting", owner=ended)
    assert job.result() == 7
    assert ended.is_set()


class Owner:
    """Stands for a database."""


class Steps:
    """Work that goes on when it is told to: `do(3)` lets it say that three are done."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._told = threading.Semaphore(0)
        self._seen = threading.Semaphore(0)
        self._done = 0
        self._ends: str | None = None

    def __call__(self, job: Job[str]) -> str:
        job.on_cancel(self._told.release)
        while True:
            self._told.acquire()
            if job.cancelled:
                return "cut"
            if self._ends is not None:
                if self._ends:
                    raise ValueError(self._ends)
                return "whole"
            job.advance(self._done, self._total, "counting")
            self._seen.release()

    def do(self, done: int) -> None:
        self._done = done
        self._told.release()
        assert self._seen.acquire(timeout=10)

    def end(self, error: str = "") -> None:
        self._ends = error
        self._told.release()


@contextmanager
def counting(total: int = 10) -> Iterator[tuple[Job[str], Steps, Owner]]:
    owner, steps = Owner(), Steps(total)
    job = Job(steps, verb="Counting", owner=owner)
    yield job, steps, owner
    job.cancel()
    assert job.wait(10)


def test_rate_and_time_left_come_from_the_last_seconds() -> None:
    pace = Pace()
    for second in range(40):
        pace.note(float(second), 10 * second)
    assert pace.rate(39.0) == pytest.approx(10)
    for second in range(40, 60):  # ten times as slow
        pace.note(float(second), 390 + second - 39)
    assert pace.rate(59.0) == pytest.approx(1, rel=0.01)


def test_rate_is_unknown_at_first_and_does_not_count_the_loading() -> None:
    pace = Pace()
    assert pace.rate(0.0) == 0
    pace.note(0.0, 0)
    pace.note(30.0, 0)  # the model is loaded
    assert pace.rate(30.0) == 0
    pace.note(31.0, 100)
    pace.note(32.0, 200)
    assert pace.rate(32.0) == pytest.approx(100)


def test_rate_falls_when_no_step_comes_any_more_and_starts_anew_when_the_work_does() -> None:
    pace = Pace()
    for second in range(5):
        pace.note(float(second), 10 * second)
    assert pace.rate(4.9) == pytest.approx(10)  # the next step is not late yet
    assert pace.rate(60.0) < 1
    pace.note(61.0, 0)
    assert pace.rate(61.0) == 0


def test_rare_steps_give_a_rate_too() -> None:
    pace = Pace()
    for step in range(4):
        pace.note(60.0 * step, step)
    assert pace.rate(180.0) == pytest.approx(1 / 60, rel=0.05)


def test_a_job_has_a_name_of_its_own_and_says_how_it_stands() -> None:
    with counting() as (job, steps, _), counting() as (other, _, _):
        assert job.id != other.id and job.id == job.id
        assert (job.state, job.left_s, job.rate) == ("running", None, 0)
        steps.do(4)
        assert "4 of 10" in repr(job)
        other.cancel()
        assert other.wait(10) and other.state == "cancelled" and other.left_s == 0
        steps.end()
        assert job.result(10) == "whole" and job.state == "done" and job.said() == "'whole'"
        job.cancel()  # too late
        assert job.state == "done"


def breaks(job: Job[str]) -> None:
    raise RuntimeError("a listener with a mistake")


def test_a_job_that_fails_says_on_what() -> None:
    with counting() as (job, steps, _):
        steps.do(4)
        steps.end("no more numbers")
        with pytest.raises(ValueError, match="no more numbers"):
            job.result(10)
        assert job.state == "failed" and job.said() == "Counting: failed at 4 of 10. no more numbers"


def test_who_listens_hears_of_every_step_and_of_the_end_until_they_stop() -> None:
    with counting() as (job, steps, owner):
        heard: list[tuple[int, str]] = []
        broken = jobs.listen(owner, breaks)  # costs the job nothing
        end = jobs.listen(owner, lambda job: heard.append((job.done, job.state)))
        steps.do(1)
        end()
        steps.do(2)
        end_again = jobs.listen(owner, lambda job: heard.append((job.done, job.state)))
        steps.end()
        assert job.wait(10)
        assert heard == [(1, "running"), (2, "done")]
        end_again()
        broken()
        assert owner not in jobs._listeners


def test_a_job_shows_a_sentence_where_there_are_no_widgets() -> None:
    with counting() as (job, _, _):
        assert job._repr_mimebundle_() == {"text/plain": repr(job)}


def test_jobs_need_neither_widgets_nor_tqdm() -> None:
    code = "import sys, dataide.inference.job; print([m for m in ('ipywidgets', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (spoken_time(3.4), "3 s"),
        (spoken_time(200), "3 min"),
        (spoken_time(6000), "1.7 h"),
        (spoken_rate(1204.2), "1,204 a second"),
        (spoken_rate(0.31), "0.3 a second"),
    ],
)
def test_times_and_rates_are_said_shortly(said: str, expected: str) -> None:
    assert said == expected


def test_a_job_that_counts_no_samples_says_its_share_and_what_it_does_in_place_of_a_rate() -> None:
    owner, steps, gate = Owner(), threading.Event(), threading.Event()

    def work(job: Job[str]) -> str:
        job.counts = False
        job.advance(1, 10, "training: loss 1.00")
        job.advance(2, 10, "training: loss 0.50")
        steps.set()
        gate.wait(30)
        return "trained"

    job = Job(work, verb="Learning", owner=owner)
    assert steps.wait(30)
    assert job.rate == 0 and "20%" in repr(job) and "loss 0.50" in repr(job)
    gate.set()
    assert job.result() == "trained"


def test_a_job_that_has_ended_keeps_nothing_of_what_computed() -> None:
    class Computer:
        def end(self) -> None:
            raise AssertionError("a job that has ended is not cancelled")

    gone: list[weakref.ref[Computer]] = []

    def work(job: Job[int]) -> int:
        computer = Computer()
        gone.append(weakref.ref(computer))
        job.on_cancel(computer.end)
        return 7

    owner = Owner()
    job = Job(work, verb="Counting", owner=owner)
    assert job.result() == 7
    job.cancel()
    gc.collect()
    assert gone[0]() is None and job.state == "done"
