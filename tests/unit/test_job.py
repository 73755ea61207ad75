"""Jobs, apart from what they do."""

from __future__ import annotations

import threading

from dataide.inference.job import Job


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
