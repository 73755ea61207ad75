"""The inference process. It knows nothing of the session: pictures come in, named arrays go out.

One thread receives and never waits for anything else. Several decode, one more decodes only for the interactive lane,
one loads models, and the main thread computes: always the interactive lane first, so that a single picture waits for
one batch at most.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference import contract, machine, models
from dataide.inference.models.base import keep_picture_memory
from dataide.inference.models.outputs import by_position
from dataide.inference.user_modules import UserModules

LANES: tuple[contract.Lane, ...] = ("interactive", "bulk")
RATE_OVER_S = 10.0
# The notebook and its panels come first; where nobody else computes this costs nothing.
NICE = 5
# What comes as a pickle of this user's, and may come from files that change meanwhile.
_OF_USER = ("callable", "module", "towers")


def main() -> None:
    """Serves over standard input and output until the input ends."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What libraries and the user's functions print must not stand between the frames.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    keep_picture_memory()
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    try:
        _serve(incoming, outgoing)
    except BrokenPipeError:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # other threads may be in the middle of a batch nobody waits for


def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    first = contract.read(incoming)
    if first is None:
        return
    start = first[0]
    assert isinstance(start, contract.Start)
    device = machine.device(start.device)
    contract.write(outgoing, contract.Started(device, machine.memory_bytes(), machine.versions()))
    frame = contract.read(incoming)
    if frame is None:
        return
    if isinstance(frame[0], contract.Layout):
        from dataide.inference import layout

        layout.serve(frame[0], frame[1], incoming, outgoing)
        return
    server = Server(outgoing, start.device, start.threads)
    threading.Thread(target=_receive, args=(server, frame, incoming), name="receive", daemon=True).start()
    server.compute_for_ever()


def _receive(server: Server, frame: tuple[contract.Message, bytearray] | None, incoming: BinaryIO) -> None:
    try:
        while frame is not None:
            server.take(*frame)
            frame = contract.read(incoming)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # the other side has closed or is gone


@dataclass(eq=False, slots=True)
class Work:
    """One batch on its way: its pictures until they are decoded, then what the model makes of them."""

    message: contract.Pictures
    model: models.Model
    body: bytearray | None
    prepared: Any = None
    problems: Sequence[models.Problem] = ()
    decoded: bool = False


class Server:
    """The models of this process and the work that waits for them."""

    def __init__(self, outgoing: BinaryIO, device: str, threads: int) -> None:
        self._outgoing = outgoing
        self._writing = threading.Lock()
        self._device = device  # as asked for; a model that is loaded knows what "auto" has come to
        self._shown = machine.device(device)
        self._threads = threads
        self._models: dict[str, models.Model] = {}
        self._names: dict[str, str] = {}
        self._changed = threading.Condition()
        self._encoded: dict[str, deque[Work]] = {lane: deque() for lane in LANES}
        self._waiting: dict[str, deque[Work]] = {lane: deque() for lane in LANES}
        self._failed: set[int] = set()  # until their Cancel comes
        self._loads: queue.SimpleQueue[tuple[contract.Load, bytes]] = queue.SimpleQueue()
        self._user_modules = UserModules()
        self._stale: set[str] = set()
        self._asked: dict[str, int] = {}  # by key: the last request that asked for the model
        self._learning: dict[int, str] = {}  # requests that feed a model which learns, and its key
        self._computed: deque[tuple[float, int]] = deque()
        self._computing: Work | None = None
        # The last one keeps a single picture from waiting behind batches that are being decoded.
        for lanes in [LANES] * threads + [LANES[:1]]:
            threading.Thread(target=self._decode_for_ever, args=(lanes,), name="decode", daemon=True).start()
        threading.Thread(target=self._load_for_ever, name="load", daemon=True).start()

    # The receiving thread ------------------------------------------------------------------------------------------

    def take(self, message: contract.Message, body: bytearray) -> None:
        """Takes one message; returns at once."""
        if isinstance(message, contract.Pictures):
            self._queue(message, body)
        elif isinstance(message, contract.Load):
            with self._changed:
                self._failed.discard(message.request)  # it may be the second time that it is sent
                self._asked[message.key] = message.request
            self._loads.put((message, bytes(body)))
        elif isinstance(message, contract.Cancel):
            with self._changed:
                self._drop(message.request)
                self._failed.discard(message.request)
                key = self._learning.pop(message.request, "")
                if key and key not in self._learning.values():
                    # What was gathered to learn from is of no use to anybody else.
                    self._models.pop(key, None)
                    self._names.pop(key, None)
        elif isinstance(message, contract.Unload):
            with self._changed:
                # It is sent in its own time, and may come after the load of who wants the model again.
                if self._asked.get(message.key, 0) < message.before:
                    for known in (self._models, self._names, self._asked):
                        known.pop(message.key, None)
        elif isinstance(message, contract.Ask):
            self._say(self._health(message.request))
        else:
            raise TypeError(f"{message.KIND} is nothing that this process can be told")

    def _queue(self, message: contract.Pictures, body: bytearray) -> None:
        with self._changed:
            if message.request in self._failed:
                return
            model = self._models.get(message.key)
            if model is not None:
                work = Work(message, model, body)
                self._encoded[message.lane].append(work)
                self._waiting[message.lane].append(work)
                self._changed.notify_all()
                return
        self._fail(message.request, ModelError("The model is not loaded any more.", hint="Call again."))

    def _health(self, request: int) -> contract.Health:
        with self._changed:
            queued: dict[str, int] = {lane: len(self._waiting[lane]) for lane in LANES}
            names, computed = dict(self._names), list(self._computed)
        now = time.monotonic()
        recent = [(at, count) for at, count in computed if now - at < RATE_OVER_S]
        # The first batch only says when the others began.
        span = now - recent[0][0] if len(recent) > 1 else 0.0
        rate = sum(count for _, count in recent[1:]) / span if span > 0 else 0.0
        used, total = machine.device_memory(self._shown)
        return contract.Health(
            request, machine.named(self._shown), machine.resident_bytes(), used, total, names, queued, rate
        )

    # The loading thread --------------------------------------------------------------------------------------------

    def _load_for_ever(self) -> None:
        while True:
            load, body = self._loads.get()
            try:
                model = self._model(load, body)
                if load.kind in ("learn", "train"):
                    with self._changed:
                        self._learning[load.request] = load.key
                self._say(contract.Ready(load.request, load.key, model.revision, model.dimension, model.details))
            except BaseException as error:
                self._fail(load.request, error, load.name)

    def _model(self, load: contract.Load, body: bytes, *, again: bool = False) -> models.Model:
        if load.kind in _OF_USER and self._user_modules.forget_if_changed():
            self._stale |= set(self._models)
        model = self._models.get(load.key)
        if model is not None and not (load.kind in _OF_USER and load.key in self._stale):
            return model
        if load.kept:
            raise ModelError("The model is not loaded any more.", hint="Call again.", code="send_again")
        model = models.load(
            load,
            body,
            lambda sentence: self._say(contract.Note(load.request, load.key, sentence)),
            self._device,
            self._threads,
        )
        revision = str(load.options.get("revision"))  # begins with the code
        if isinstance(model, models.Function) and not revision.startswith(model.code) and not again:
            # Another module of the same name, of a folder that the notebook has left: import it anew, once.
            self._user_modules.forget()
            return self._model(load, body, again=True)
        self._user_modules.note()
        with self._changed:
            self._models[load.key] = model
            self._names[load.key] = load.name
            self._stale.discard(load.key)
            self._shown = getattr(model, "device", self._shown)
        return model

    # The decoding threads ------------------------------------------------------------------------------------------

    def _decode_for_ever(self, lanes: Sequence[str]) -> None:
        while True:
            with self._changed:
                while not (lane := next((lane for lane in lanes if self._to_decode(lane)), None)):
                    self._changed.wait()
                work = self._encoded[lane].popleft()
            body, work.body = work.body, None
            assert body is not None
            try:
                prepare = work.model.prepare if work.message.form == "picture" else _reads_text(work.model)
                work.prepared, work.problems = prepare(_cut(body, work.message.sizes))
            except BaseException as error:
                self._fail(work.message.request, error, self._names.get(work.message.key, "The model"))
            del body
            with self._changed:
                work.decoded = True
                self._changed.notify_all()
            del work

    def _to_decode(self, lane: str) -> bool:
        """Whether a batch of this lane is to be decoded now.

        Threads that compute one batch together wait for each other, so a thread that decodes in place of one of them
        holds up all. Beside a model that takes all cores, decoding has its turn when there is nothing to compute.
        """
        if not self._encoded[lane] or lane == LANES[0]:
            return bool(self._encoded[lane])
        ahead = [work for work in self._waiting[lane] if work.decoded]
        return not any(work.model.takes_all_cores for work in (self._computing, *ahead) if work is not None)

    # The main thread -----------------------------------------------------------------------------------------------

    def compute_for_ever(self) -> None:
        """Computes one batch after the other."""
        while True:
            with self._changed:
                self._computing = None
                self._changed.notify_all()
                while (work := self._next()) is None:
                    self._changed.wait()
                self._computing = work
            message = work.message
            began = time.monotonic()
            try:
                computed = work.model.compute(work.prepared)
                seconds = time.monotonic() - began
                entries, parts = contract.packed(computed.arrays)
                problems = by_position(len(message.sizes), work.problems, computed.problems)
            except BaseException as error:
                self._fail(message.request, error, self._names.get(message.key, "The model"))
                continue
            # Before the answer: who has it may ask for the rate at once.
            with self._changed:
                self._computed.append((time.monotonic(), len(message.sizes)))
                while self._computed[-1][0] - self._computed[0][0] > RATE_OVER_S:
                    self._computed.popleft()
            details = work.model.details
            self._say(contract.Outcome(message.request, message.batch, entries, problems, seconds, details), parts)
            del work, computed, parts

    def _next(self) -> Work | None:
        """The first decoded batch of the first lane that has one; the batches of a request keep their order."""
        for lane in LANES:
            behind: set[int] = set()
            for work in self._waiting[lane]:
                if work.decoded and work.message.request not in behind:
                    self._waiting[lane].remove(work)
                    return work
                behind.add(work.message.request)
        return None

    # All -----------------------------------------------------------------------------------------------------------

    def _drop(self, request: int) -> None:
        for queues in (self._encoded, self._waiting):
            for lane in LANES:
                queues[lane] = deque(work for work in queues[lane] if work.message.request != request)

    def _fail(self, request: int, error: BaseException, name: str = "The model") -> None:
        """Ends a request that cannot go on; the process and the other requests do."""
        if not isinstance(error, DataideError):
            traceback.print_exception(error)
            error = ModelError(f"{name} failed: {models.last_words(error)}.")
        with self._changed:
            self._failed.add(request)
            self._drop(request)
        self._say(contract.Failed(request, error.code, error.message, error.hint))

    def _say(self, message: contract.Message, body: Sequence[bytes | memoryview] = ()) -> None:
        try:
            with self._writing:
                contract.write(self._outgoing, message, body)
        except BrokenPipeError:
            os._exit(0)  # nobody listens any more


def _reads_text(model: models.Model) -> Callable[[Sequence[bytes]], tuple[Any, list[models.Problem]]]:
    prepare = getattr(model, "prepare_text", None)
    if prepare is None:
        raise ModelError(
            "This model reads pictures, not texts.",
            hint="Give a function from a list of texts to an array, or an object with embed_texts and embed_images.",
            code="no_text",
        )
    return prepare  # type: ignore[no-any-return]


def _cut(body: bytearray, sizes: list[int]) -> list[bytes]:
    ends = np.cumsum([0, *sizes]).tolist()
    view = memoryview(body)
    return [bytes(view[start:end]) for start, end in itertools.pairwise(ends)]


if __name__ == "__main__":
    main()
