"""A pool of processes that look at pictures, and survive pictures that kill a decoder."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dataide.errors import DataideError, MediaError
from dataide.storage.addresses import read_url
from dataide.storage.looking import Item, Seen, look_at

_BOOT = """
import sys, pickle
sys.path[:] = pickle.load(sys.stdin.buffer)
from dataide.storage.looking import serve
serve()
"""
_IN_FLIGHT = 2
_FETCHERS = 8


class Address(str):
    """An item that is a URL: it is fetched here, many at a time, before a process sees it."""

    __slots__ = ()


class Crashed(Exception):
    """The process ended."""


class Pool:
    """Works on jobs in parallel and gives the answers in the order of the jobs.

    Args:
        workers: how many processes.
    """

    def __init__(self, workers: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[int, Sequence[Item]] | None] = queue.SimpleQueue()
        self._answers: dict[int, Seen | BaseException] = {}
        self._arrived = threading.Condition()
        self._asked = self._taken = 0
        self._stopping = False
        self._processes = [_Process() for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._drive, args=(process,), daemon=True, name="dataide-import")
            for process in self._processes
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that were submitted and whose answer was not taken yet."""
        return self._asked - self._taken

    @property
    def is_full(self) -> bool:
        """Whether another job would only pile up."""
        return self.waiting >= 2 * _IN_FLIGHT * len(self._processes)

    def submit(self, items: Sequence[Item]) -> None:
        number = self._asked
        self._asked += 1
        self._jobs.put((number, items))

    def take(self) -> Seen:
        """The answer to the oldest job; waits for it."""
        with self._arrived:
            # In slices, so that Ctrl-C gets through on every system.
            while self._taken not in self._answers:
                self._arrived.wait(0.5)
            answer = self._answers.pop(self._taken)
        self._taken += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def is_ready(self) -> bool:
        """Whether `take` would not wait."""
        return self._taken in self._answers

    def close(self) -> None:
        """Ends the processes."""
        self._stopping = True
        for _ in self._threads:
            self._jobs.put(None)
        for process in self._processes:
            process.end()

    def _drive(self, process: _Process) -> None:
        flying: deque[tuple[int, Sequence[Item]]] = deque()
        try:
            while True:
                while len(flying) < _IN_FLIGHT:
                    try:
                        job = self._jobs.get(block=not flying)
                    except queue.Empty:
                        break
                    if job is None or self._stopping:
                        if job is None:
                            self._jobs.put(None)  # for the next thread; and for this one, after what is still flying
                        if not flying or self._stopping:
                            return
                        break
                    flying.append((job[0], _fetched(job[1])))
                    if process.usable:
                        try:
                            process.send(flying[-1][1])
                        except Crashed:
                            break
                number, items = flying[0]
                try:
                    answer = process.receive() if process.usable else look_at(items)
                except Crashed:
                    if self._stopping:
                        return
                    while flying:
                        number, items = flying.popleft()
                        self._arrive(number, self._one_by_one(process, items))
                    continue
                flying.popleft()
                answer.measure()
                self._arrive(number, answer)
        except BaseException as error:
            for number, _ in flying:
                self._arrive(number, error)

    def _one_by_one(self, process: _Process, items: Sequence[Item]) -> Seen:
        """Does a job again, picture by picture, after a process died over it: so the culprit is known."""
        process.restart()
        answers: list[Seen] = []
        for item in items:
            try:
                answers.append(process.ask([item]) if process.usable else look_at([item]))
            except Crashed:
                if self._stopping:
                    break
                process.restart()
                answers.append(Seen(problems=[(0, "unreadable", "the decoder crashed on it, or ran out of memory")]))
        return _joined(answers)

    def _arrive(self, number: int, answer: Seen | BaseException) -> None:
        with self._arrived:
            self._answers[number] = answer
            self._arrived.notify_all()


class _Process:
    """One child. `usable` turns False where this system lets us start none; the caller then works by itself."""

    def __init__(self) -> None:
        self.usable = True
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._start()

    def _start(self) -> None:
        self._ready = False
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        extra: dict[str, Any] = {}
        if sys.platform == "win32":
            extra["creationflags"] = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        else:
            # Ctrl-C is for the one who started the import; the child ends when its input does.
            extra["start_new_session"] = True
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-W", "ignore", "-c", _BOOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                **extra,
            )
            assert self._process.stdin is not None
            pickle.dump([*sys.path, str(Path(__file__).parents[2])], self._process.stdin)
            self._process.stdin.flush()
        except (OSError, ValueError, TypeError):
            self.usable = False

    def send(self, items: Sequence[Item]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise Crashed
        try:
            pickle.dump(items, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
        except (OSError, ValueError):
            raise Crashed from None

    def receive(self) -> Seen:
        process = self._process
        if process is None or process.stdout is None:
            raise Crashed
        try:
            if not self._ready:
                pickle.load(process.stdout)
                self._ready = True
            answer: Seen = pickle.load(process.stdout)
            return answer
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            if not self._ready:
                self.usable = False  # it never came up, so it is not the pictures' fault
            raise Crashed from None

    def ask(self, items: Sequence[Item]) -> Seen:
        self.send(items)
        return self.receive()

    def restart(self) -> None:
        self.end()
        if self.usable:
            self._start()

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # it holds nothing worth saving
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass


def look_here(items: Sequence[Item]) -> Seen:
    """Does a job in the calling thread."""
    with warnings.catch_warnings():
        # Pillow warns of every oddity in a file; what matters becomes a problem with a reason.
        warnings.simplefilter("ignore")
        return look_at(_fetched(items))


def _fetched(items: Sequence[Item]) -> Sequence[Item]:
    places = [place for place, item in enumerate(items) if isinstance(item, Address)]
    if not places:
        return items
    filled = list(items)
    with ThreadPoolExecutor(min(_FETCHERS, len(places))) as fetchers:
        for place, data in zip(places, fetchers.map(_fetch, [str(items[place]) for place in places]), strict=True):
            filled[place] = data
    return filled


def _fetch(url: str) -> bytes | DataideError:
    try:
        return read_url(url)
    except DataideError as error:
        return error
    except Exception as error:
        return MediaError(f"{url[:200]} cannot be read: {error}", code="unreachable")


def _joined(parts: Sequence[Seen]) -> Seen:
    whole = Seen()
    for position, part in enumerate(parts):
        whole.good += [position] * len(part.good)
        whole.width_px += part.width_px
        whole.height_px += part.height_px
        whole.size_bytes += part.size_bytes
        whole.format += part.format
        whole.content_hash += part.content_hash
        whole.problems += [(position, code, reason) for _, code, reason in part.problems]
        whole.encoded.update((position, data) for data in part.encoded.values())
        part.measure()
        whole.measured += part.measured
    return whole
