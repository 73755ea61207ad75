"""The process for finding: heavy arithmetic over whole data sets, away from the notebook that has to answer gestures.

It knows nothing of the session: arrays come in, one of the functions of `find.tasks` goes over them, arrays go out.
One thread receives, so that a cancelled request stops at its next look at `stop`, and the process ends with its input;
the main thread computes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

from dataide.errors import DataideError
from dataide.find.commands import Compute, Keep, unpacked
from dataide.inference import contract, machine

# Panels come first; where nobody else computes this costs nothing.
NICE = 5

_Frame = tuple[contract.Message, bytearray]


def main() -> None:
    """Serves over standard input and output until the input ends."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What libraries print must not stand between the frames.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    try:
        if contract.read(incoming) is None:
            return
        contract.write(outgoing, contract.Started("cpu", machine.memory_bytes(), {}))
        Server(outgoing).serve(incoming)
    except BrokenPipeError:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


class Server:
    """The arrays of this process and the requests that wait."""

    def __init__(self, outgoing: BinaryIO) -> None:
        self._outgoing = outgoing
        self._waiting: queue.SimpleQueue[_Frame] = queue.SimpleQueue()
        self._kept: contract.Arrays = {}
        self._cancelled: set[int] = set()

    def serve(self, incoming: BinaryIO) -> None:
        """Answers one request after the other, for ever."""
        threading.Thread(target=self._receive, args=(incoming,), name="receive", daemon=True).start()
        while True:
            message, body = self._waiting.get()
            if isinstance(message, Keep):
                self._kept.update(unpacked(message.arrays, body))
            elif isinstance(message, Compute):
                self._answer(message, body)

    def _receive(self, incoming: BinaryIO) -> None:
        try:
            while (frame := contract.read(incoming)) is not None:
                if isinstance(frame[0], contract.Cancel):
                    self._cancelled.add(frame[0].request)
                else:
                    self._waiting.put(frame)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)  # the other side has closed or is gone

    def _answer(self, asked: Compute, body: bytearray) -> None:
        from dataide.find.tasks import named

        def say(sentence: str) -> None:
            contract.write(self._outgoing, contract.Note(asked.request, asked.function, sentence))

        def stop() -> bool:
            return asked.request in self._cancelled

        began = time.monotonic()
        try:
            given = {**self._kept, **unpacked(asked.arrays, body)}
            arrays, details = named(asked.function)(given, asked.arguments, say, stop)
            entries, parts = contract.packed(arrays)
        except DataideError as error:
            self._fail(asked, error.code, error.message, error.hint)
        except Exception as error:
            if stop():
                self._fail(asked, "cancelled", "It was stopped; nothing has changed.", None)
                return
            traceback.print_exc()
            self._fail(asked, "find", *_said(asked.function, error))
        else:
            outcome = contract.Outcome(asked.request, 0, entries, [], time.monotonic() - began, details)
            contract.write(self._outgoing, outcome, parts)

    def _fail(self, asked: Compute, code: str, message: str, hint: str | None) -> None:
        contract.write(self._outgoing, contract.Failed(asked.request, code, message, hint))


def _said(function: str, error: Exception) -> tuple[str, str | None]:
    what: Any = "memory is short" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
    hint = "Search a part at a time: session.where(…).find_issues(…)." if isinstance(error, MemoryError) else None
    return f"Searching ({function.replace('_', ' ')}) failed: {what}", hint
