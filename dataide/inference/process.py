"""The hold on one inference process: starting it, talking to it, ending it, and saying how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from dataide.errors import ModelError
from dataide.inference import contract
from dataide.inference.machine import cores as cores

# `-P` keeps a file called json.py in the user's folder from being taken for Python's own.
_START = (
    "import importlib, sys; root, module = sys.argv[1:3]; root in sys.path or sys.path.insert(0, root); "
    "importlib.import_module(module).main(*sys.argv[3:])"
)
_ROOT = str(Path(__file__).resolve().parents[2])
PIPE_BYTES = 1 << 20
# Freed memory that the child keeps for the next batch.
KEPT_BYTES = 1 << 30


def _widen(pipe: int) -> None:
    """Lets a pipe hold a whole batch: with 64 KiB the two sides would wake each other for each part of it."""
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):  # not Linux, or its limit is lower
        return


class Child:
    """One inference process.

    Args:
        start: where it computes, and with how many threads.
        blas_threads: of numpy's own matrix products: 1 where several threads make them at once.
        module: whose `main` it runs.
        arguments: of `main`.
    """

    goodbye_s = 1.0

    def __init__(
        self,
        start: contract.Start,
        *,
        blas_threads: int = 1,
        module: str = "dataide.inference.worker",
        arguments: Sequence[str] = (),
    ) -> None:
        # What libraries print. Into a pipe that nobody reads they could print only so much.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child
        environment = {
            # A layer's output is larger than what glibc keeps of freed memory by itself: each would be mapped, filled
            # with zeros page by page and given back, which takes a fifth of the time of a network.
            "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
            **os.environ,
            # Libraries that each start a thread per core slow each other down, and idle ones would spin on busy cores.
            "OMP_NUM_THREADS": str(start.threads),
            "OPENBLAS_NUM_THREADS": str(blas_threads),
            "MKL_NUM_THREADS": str(start.threads),
            "NUMBA_NUM_THREADS": str(start.threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            # Where GNU's library computes: for less than a millisecond it pays to wait awake for the other threads.
            "GOMP_SPINCOUNT": "100000",
            "PYTHONUNBUFFERED": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, _ROOT, module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,  # Ctrl-C in a terminal goes to the notebook alone, which ends the child in order
        )
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            _widen(stream.fileno())
        self._sending = threading.Lock()
        self.send(start)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: contract.Message, body: bytes | memoryview | Sequence[bytes | memoryview] = b"") -> bool:
        """Sends one message; False when the child is gone, which `receive` then says."""
        assert self._process.stdin is not None
        with self._sending:
            try:
                contract.write(self._process.stdin, message, body)
            except (OSError, ValueError):  # a broken pipe, or closed here meanwhile
                return False
        return True

    def receive(self) -> tuple[contract.Message, bytearray] | None:
        """The next message of the child; None when it is gone, which `obituary` explains.

        Raises:
            ProtocolError: it said something that is no message.
        """
        assert self._process.stdout is not None
        try:
            return contract.read(self._process.stdout)
        except (OSError, ValueError):
            return None

    def end(self) -> None:
        """Ends the child: politely by closing its input, and by force after `goodbye_s`."""
        process = self._process
        # Closing while another thread is inside write() would wait for it; that thread ends when the child does.
        if self._sending.acquire(timeout=0.5):
            try:
                if process.stdin is not None:
                    with contextlib.suppress(OSError):
                        process.stdin.close()
            finally:
                self._sending.release()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.goodbye_s)
        if process.poll() is None:
            process.kill()
        process.wait()

    def close(self) -> None:
        """Ends the child and closes everything held for it; not while another thread is in `receive`."""
        self.end()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()

    def obituary(self, name: str) -> ModelError:
        """How the child ended, for somebody who waited for the model or the layout of this name."""
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        code = process.poll()
        if code is not None and code < 0:
            how = f"was ended by signal {-code} ({signal.Signals(-code).name})"
        else:
            how = f"ended by itself with status {code}"
        said = self._last_line()
        return ModelError(
            f"The process that computes {name!r} {how}{f': {said}' if said else ''}.",
            hint="What was committed is kept; the same call goes on where it stopped. "
            "If it ends again, memory may be short: try a smaller batch_size.",
            code="child_died",
        )

    def _last_line(self) -> str:
        try:
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - 4096))
            lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines()]
        except (OSError, ValueError):
            return ""
        return next((line[:300] for line in reversed(lines) if line), "")
