"""The inference kernel: the process of a session that computes and stays, with its models."""

from __future__ import annotations

import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dataide.errors import DataideError, ModelError
from dataide.inference import contract
from dataide.inference.identity import Identity
from dataide.inference.process import Child, cores
from dataide.inference.pump import Answer

if TYPE_CHECKING:
    from dataide.core.context import Context

# Models that nobody uses now and that stay loaded all the same, the latest ones.
IDLE_MODELS = 4
# A health question is answered between two frames; a process that compiles or imports may take longer.
HEALTH_S = 2.0

_Answer = tuple[contract.Message, bytearray] | DataideError


def kernel_of(context: Context, device: str = "auto") -> Kernel:
    """The inference kernel of a session for a device; it starts no process, and ends with the session."""
    name = "kernel" if device == "auto" else f"kernel {device}"
    with context.lock:
        kernel = context.attached.get(name)
        if kernel is None:
            kernel = context.attached[name] = Kernel(device)
            context.at_close(kernel.close)
    assert isinstance(kernel, Kernel)
    return kernel


class Kernel:
    """One inference process: started when it is first needed, and anew after it has ended. Safe from several threads.

    Args:
        device: auto, cpu, cuda or cuda:1.
        threads: to decode and compute with; by default all cores.
    """

    def __init__(self, device: str = "auto", *, threads: int | None = None) -> None:
        self._wanted = device
        self._threads = threads or cores()
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._closed = False

    # For work ------------------------------------------------------------------------------------------------------

    def open(self, identity: Identity, lane: contract.Lane = "bulk") -> Request:
        """Begins a request with a model; `Request.ready` waits until the model is loaded.

        Raises:
            ModelError: the session is closed.
        """
        path = [entry or os.getcwd() for entry in sys.path] if identity.pickled else []
        key = identity.key
        with self._lock:
            if self._closed:
                raise ModelError(
                    "The session is closed, and its inference kernel with it.", hint="Open it again.", code="closed"
                )
            process = self._process
            if process is None or not process.alive:
                if process is not None:
                    process.end(None)
                process = self._process = self._begin()
            request = process.open(key, identity, lane)
        # Outside of the lock: the body may be large.
        options = {**identity.options, "revision": identity.revision}
        load = contract.Load(request.number, key, identity.kind, identity.model, path, options)
        request.load(load, identity.pickled)
        return request

    def _begin(self) -> Process:
        return Process(Child(contract.Start(self._wanted, self._threads)))

    def restart(self) -> None:
        """Ends the process and starts a new one without models. Work under way fails; the same call goes on."""
        with self._lock:
            self.stop()
            if not self._closed:
                self._process = self._begin()

    def stop(self) -> None:
        """Ends the process and frees its memory; the next use starts a new one. Work under way fails."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end("was stopped")

    def close(self) -> None:
        """Ends the process for good: the session is closed."""
        with self._lock:
            self._closed = True
        self.stop()

    # For people ----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether there is a process now."""
        return self._alive() is not None

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        process = self._alive()
        return process.child.pid if process else None

    @property
    def device(self) -> str:
        """What it computes on: cpu, or cuda with the GPU's name once it is in use."""
        health = self.health()
        return health.device if health else self._wanted

    @property
    def memory(self) -> int:
        """Bytes of main memory that the process has; 0 while there is none."""
        health = self.health()
        return health.rss_bytes if health else 0

    @property
    def models(self) -> list[str]:
        """The names of the models that are loaded."""
        health = self.health()
        return list(health.models.values()) if health else []

    @property
    def queue(self) -> dict[str, int]:
        """Batches that wait, by lane."""
        health = self.health()
        return dict(health.queued) if health else {"interactive": 0, "bulk": 0}

    @property
    def rate(self) -> float:
        """Pictures a second, over the last ten seconds."""
        health = self.health()
        return health.rate if health else 0.0

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python and of what models are made of, in the process; empty while there is none."""
        process = self._alive()
        return dict(process.started.versions) if process and process.started else {}

    def health(self) -> contract.Health | None:
        """How the process is; None while there is none, or while it does not answer."""
        process = self._alive()
        return process.health() if process else None

    def __repr__(self) -> str:
        process = self._alive()
        if process is None:
            what = "closed with its session" if self._closed else "no process yet, the first use starts one"
            return f"Inference kernel on {self._wanted}: {what}."
        health = process.health()
        if health is None:
            return f"Inference kernel on {self._wanted}: process {process.child.pid} is starting, or busy."
        memory = f"{health.rss_bytes / 1e6:,.0f} MB"
        if health.device_total_bytes:
            memory += f", GPU {health.device_used_bytes / 1e9:,.1f} of {health.device_total_bytes / 1e9:,.1f} GB"
        models = ", ".join(health.models.values()) or "no models"
        waiting = sum(health.queued.values())
        queued = f"{waiting:,} {'batch waits' if waiting == 1 else 'batches wait'}" if waiting else "nothing waits"
        rate = f", {health.rate:,.0f} pictures a second" if health.rate else ""
        return f"Inference kernel on {health.device}: process {process.child.pid}, {memory}; {models}; {queued}{rate}."

    def _alive(self) -> Process | None:
        process = self._process
        return process if process is not None and process.alive else None


class Request:
    """Batches of pictures for one model, and their outcomes in the same order. One thread sends, one receives."""

    def __init__(self, process: Process, number: int, key: str, identity: Identity, lane: contract.Lane) -> None:
        self._process = process
        self._key = key
        self._lane: contract.Lane = lane
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._ended = False
        self.number = number
        self._form: contract.Form = "text" if identity.options.get("form") == "text" else "picture"
        self.name = identity.model
        self.revision = identity.revision or ""
        self.details: dict[str, Any] = {}

    def load(self, load: contract.Load, body: bytes) -> None:
        """Asks for the model. Of one that the process has its body stays here: a network's is megabytes."""
        self._load = load, body
        if body and self._process.has(self._key):
            self._process.child.send(replace(load, kept=True))
        else:
            self._process.child.send(load, body)

    def begin(self, say: Callable[[str], None] = lambda sentence: None) -> None:
        """Waits until the model is loaded; `say` hears what is done meanwhile.

        Raises:
            ModelError: it cannot be had.
        """
        while True:
            try:
                message, _ = self._answer()
            except ModelError as error:
                if error.code != "send_again":
                    raise
                self._process.child.send(*self._load)
                continue
            if isinstance(message, contract.Note):
                say(message.sentence)
            elif isinstance(message, contract.Ready):
                self._process.now_has(self._key)
                self.revision = self.revision or message.revision
                self.details = message.details
                return

    def send(self, batch: int, data: list[bytes]) -> bool:
        """Sends a batch of pictures or texts; False when nobody would compute it, which `receive` then explains."""
        if self._ended:
            return False
        sizes = [len(one) for one in data]
        message = contract.Pictures(self.number, self._key, self._lane, batch, sizes, self._form)
        return self._process.child.send(message, data)

    def receive(self) -> Answer:
        """The next batch: its number, what the model made of it, and which of its pictures are not among that.

        Raises:
            ModelError: the model failed, the process ended, or this was cancelled.
        """
        while True:
            message, body = self._answer()
            if isinstance(message, contract.Outcome):
                arrays = contract.unpacked(message, body)
                self.details = {**self.details, **message.details}
                return Answer(message.batch, arrays, message.problems, message.seconds, message.details)

    def end(self) -> None:
        """Cancels: what waits is dropped, and who waits in `receive` is told so."""
        if not self._ended:
            self._ended = True
            self.take(ModelError("The work was stopped.", code="cancelled"))
            self._process.forget(self)

    def close(self) -> None:
        """Ends the request; its model stays loaded."""
        self.end()

    def take(self, answer: _Answer) -> None:
        """From the thread that reads what the process says."""
        self._answers.put(answer)

    @property
    def key(self) -> str:
        return self._key

    def _answer(self) -> tuple[contract.Message, bytearray]:
        answer = self._answers.get()
        if isinstance(answer, DataideError):
            if answer.code != "send_again":  # all others end the request: whoever asks again hears it again
                self._answers.put(answer)
            raise answer
        return answer


class Process:
    """One child, the requests in it, and the thread that hands them what it says."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.started: contract.Started | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._requests: dict[int, Request] = {}
        self._questions: dict[int, queue.SimpleQueue[contract.Health | None]] = {}
        self._models: dict[str, int] = {}  # how many requests have it open; the latest is last
        self._loaded: set[str] = set()
        # What must not make its sender wait: a model may hold the interpreter's lock of the child for long, and then
        # nothing there reads what another thread is writing.
        self._errands: queue.SimpleQueue[contract.Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._run_errands, name="dataide inference errands", daemon=True).start()
        self._over: str | None = None  # how it was ended from here
        self._gone = False
        self._reader = threading.Thread(target=self._read_for_ever, name="dataide inference", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return not self._gone and self.child.alive

    def open(self, key: str, identity: Identity, lane: contract.Lane) -> Request:
        with self._lock:
            request = Request(self, next(self._numbers), key, identity, lane)
            self._models[key] = self._models.pop(key, 0) + 1
            self._requests[request.number] = request
            gone = self._gone
        if gone:
            request.take(self._why(request))
        return request

    def has(self, key: str) -> bool:
        """Whether the child has said that it has this model, and was not told to forget it."""
        with self._lock:
            return key in self._loaded

    def now_has(self, key: str) -> None:
        with self._lock:
            if key in self._models:
                self._loaded.add(key)

    def forget(self, request: Request) -> None:
        """Drops what waits of a request, and models that have not been used for long."""
        with self._lock:
            if self._requests.pop(request.number, None) is None:
                return
            self._models[request.key] -= 1
            idle = [key for key, used in self._models.items() if not used]
            old = idle[: max(0, len(idle) - IDLE_MODELS)]
            for key in old:
                del self._models[key]
                self._loaded.discard(key)
            if self._gone:
                return
            now = next(self._numbers)  # who opens one of them again has a higher number
        for message in (contract.Cancel(request.number), *(contract.Unload(key, now) for key in old)):
            self._errands.put(message)

    def health(self) -> contract.Health | None:
        answer: queue.SimpleQueue[contract.Health | None] = queue.SimpleQueue()
        with self._lock:
            if self._gone:
                return None
            number = next(self._numbers)
            self._questions[number] = answer
        self._errands.put(contract.Ask(number))
        try:
            return answer.get(timeout=HEALTH_S)
        except queue.Empty:
            return None
        finally:
            with self._lock:
                self._questions.pop(number, None)

    def end(self, how: str | None) -> None:
        """Ends the child; requests under way hear how."""
        self._over = how
        self.child.end()
        if self._reader is not threading.current_thread():
            self._reader.join(10)
        self.child.close()

    def _run_errands(self) -> None:
        while (message := self._errands.get()) is not None:
            self.child.send(message)

    def _read_for_ever(self) -> None:
        try:
            while (frame := self.child.receive()) is not None:
                self._hand_out(*frame)
        except DataideError as error:  # not a message: nothing that follows can be trusted
            self._over = f"was ended, because it broke the protocol ({error.message})"
            self.child.end()
        with self._lock:
            self._gone = True
            requests, questions = list(self._requests.values()), list(self._questions.values())
        self._errands.put(None)
        for request in requests:
            request.take(self._why(request))
        for question in questions:
            question.put(None)

    def _hand_out(self, message: contract.Message, body: bytearray) -> None:
        if isinstance(message, contract.Started):
            self.started = message
            return
        number = getattr(message, "request", 0)
        with self._lock:
            request, question = self._requests.get(number), self._questions.get(number)
        if isinstance(message, contract.Health):
            if question is not None:
                question.put(message)
        elif request is None:
            return  # it was cancelled meanwhile
        elif isinstance(message, contract.Failed):
            request.take(ModelError(message.message, hint=message.hint, code=message.code))
        else:
            request.take((message, body))

    def _why(self, request: Request) -> ModelError:
        if self._over is None:
            return self.child.obituary(request.name)
        return ModelError(
            f"The process that computes {request.name!r} {self._over}.",
            hint="What was committed is kept; the same call goes on where it stopped.",
            code="stopped",
        )
