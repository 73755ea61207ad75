"""The process between a session and a Ray cluster. It speaks as the inference process does, and has actors compute.

It is a process of its own because Ray ends the process that drives it when a cluster is gone, takes over its signals,
and loads pandas: nothing of that may happen to a notebook. When its input ends, the pipelines end, and so does a
cluster that it started.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from dataide.errors import DataideError, ModelError
from dataide.inference import contract, machine
from dataide.inference.engines import ray_actors
from dataide.inference.engines.ray_cluster import Cluster, Options, Plan, end_children
from dataide.inference.models.base import last_words
from dataide.inference.worker import RATE_OVER_S

# People hear that the cluster lets them wait.
PATIENCE_S = 15.0
# Actors end between two batches; one that is still at it after so long is ended by force.
GRACE_S = 10.0


def main(options: str) -> None:
    """Serves over standard input and output until the input ends; the options are JSON."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What Ray prints must not stand between the frames; and no process of Ray may keep the input open.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = sys.stderr
    server = Server(outgoing, Options(**json.loads(options)))
    threading.Thread(target=_receive, args=(server, incoming), name="receive", daemon=True).start()
    # On the main thread: Ray's processes end with the thread that started them.
    try:
        server.load_until_end()
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)


def _receive(server: Server, incoming: BinaryIO) -> None:
    try:
        while (frame := contract.read(incoming)) is not None:
            server.take(*frame)
    except BaseException:
        traceback.print_exc()
    server.end()


def _end_by_force() -> None:
    end_children()
    os._exit(1)


class Server:
    """The pipelines of this process, one for each model that is in use."""

    def __init__(self, outgoing: BinaryIO, options: Options) -> None:
        self._outgoing = outgoing
        self._options = options
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._plan: Plan | None = None
        self._pipelines: dict[str, Pipeline] = {}
        self._of_request: dict[int, Pipeline] = {}
        self._opening: set[int] = set()  # requests whose pipeline is still to be found or made
        self._loads: queue.SimpleQueue[tuple[contract.Load, bytes] | None] = queue.SimpleQueue()
        self._computed: deque[tuple[float, int]] = deque()

    # The receiving thread ------------------------------------------------------------------------------------------

    def take(self, message: contract.Message, body: bytearray) -> None:
        """Takes one message."""
        if isinstance(message, contract.Pictures):
            with self._lock:
                pipeline = self._of_request.get(message.request)
            if pipeline is not None:
                pipeline.send(message, body)
        elif isinstance(message, contract.Load):
            with self._lock:
                self._opening.add(message.request)
            self._loads.put((message, bytes(body)))
        elif isinstance(message, contract.Cancel):
            self._leave(message.request)
        elif isinstance(message, contract.Ask):
            self.say(self._health(message.request))
        elif isinstance(message, contract.Start):
            self.say(contract.Started("ray", machine.memory_bytes(), machine.versions()))
        elif not isinstance(message, contract.Unload):  # models go when nobody uses them
            raise TypeError(f"{message.KIND} is nothing that this process can be told")

    def end(self) -> None:
        """From the receiving thread: the other side has closed."""
        self._loads.put(None)
        watchdog = threading.Timer(GRACE_S, _end_by_force)  # for a cluster that is still starting, or hangs
        watchdog.daemon = True
        watchdog.start()

    def _leave(self, request: int) -> None:
        with self._lock:
            self._opening.discard(request)
            pipeline = self._of_request.pop(request, None)
            if pipeline is None or not pipeline.leave(request):
                return
            self._forget(pipeline)
        # Its actors hold cores that another model, or another user, may wait for.
        pipeline.close()

    def _forget(self, pipeline: Pipeline) -> None:
        if self._pipelines.get(pipeline.key) is pipeline:
            del self._pipelines[pipeline.key]

    def _health(self, request: int) -> contract.Health:
        now = time.monotonic()
        with self._lock:
            pipelines = list(self._pipelines.values())
            recent = [(at, count) for at, count in self._computed if now - at < RATE_OVER_S]
        span = now - recent[0][0] if len(recent) > 1 else 0.0
        rate = sum(count for _, count in recent[1:]) / span if span > 0 else 0.0
        plan = self._plan
        where = f"ray ({plan.actors} actors on {plan.machines} machines)" if plan else "ray"
        queued = {"interactive": 0, "bulk": sum(pipeline.waiting for pipeline in pipelines)}
        names = {pipeline.key: pipeline.name for pipeline in pipelines}
        return contract.Health(request, where, machine.resident_bytes(), 0, 0, names, queued, rate)

    # The main thread -----------------------------------------------------------------------------------------------

    def load_until_end(self) -> None:
        """Opens a pipeline for each request as it comes; then leaves the cluster."""
        while (item := self._loads.get()) is not None:
            load, body = item
            try:
                self._open(load, body)
            except BaseException as error:
                self.fail(load.request, ray_actors.described(error, load.name))
        if self._cluster is not None:
            self._cluster.close()

    def _open(self, load: contract.Load, body: bytes) -> None:
        if self._cluster is None:
            where = "starting Ray" if self._options.address is None else f"connecting to Ray at {self._options.address}"
            self.say(contract.Note(load.request, load.key, where))
            self._cluster = Cluster(self._options)
        self._plan = plan = self._cluster.plan()
        with self._lock:
            if load.request not in self._opening:
                return  # cancelled meanwhile
            self._opening.discard(load.request)
            pipeline = self._pipelines.get(load.key)
            fresh = pipeline is None
            if pipeline is None:
                pipeline = self._pipelines[load.key] = Pipeline(self, self._cluster.ray, load, plan)
            self._of_request[load.request] = pipeline
            pipeline.join(load.request)
        if fresh:
            try:
                pipeline.start(load, body)
            except BaseException as error:
                pipeline.fail(error)  # also whoever joins it meanwhile

    # From the pipelines --------------------------------------------------------------------------------------------

    def computed(self, count: int) -> None:
        """Notes that so many pictures are through."""
        with self._lock:
            self._computed.append((time.monotonic(), count))
            while self._computed[-1][0] - self._computed[0][0] > RATE_OVER_S:
                self._computed.popleft()

    def over(self, pipeline: Pipeline) -> None:
        """Forgets a pipeline that cannot go on: the next call makes a new one."""
        with self._lock:
            self._forget(pipeline)

    def fail(self, request: int, error: DataideError) -> None:
        """Ends a request that cannot go on."""
        self.say(contract.Failed(request, error.code, error.message, error.hint))

    def say(self, message: contract.Message, body: Sequence[bytes | memoryview] = ()) -> None:
        """Sends to the session."""
        try:
            with self._writing:
                contract.write(self._outgoing, message, body)
        except (BrokenPipeError, ValueError):
            self.end()  # nobody listens any more


class Pipeline:
    """One model on the actors of a cluster: numbers of batches stream in, outcomes stream out.

    Args:
        server: hears what comes.
        ray: the module.
        load: its model.
        plan: how many actors, and how large.
    """

    def __init__(self, server: Server, ray: Any, load: contract.Load, plan: Plan) -> None:
        self.key, self.name = load.key, load.name
        self._server = server
        self._ray = ray
        self._plan = plan
        self._details = {"engine": "ray", "actors": plan.actors, "room": plan.room}
        self._lock = threading.Lock()
        self._exchange: Any = None
        self._ready: contract.Ready | None = None
        self._error: DataideError | None = None
        self._closed = False
        self._requests: set[int] = set()
        self._next = 0
        self._batches: dict[int, tuple[int, int, int]] = {}  # number: request, its batch, pictures
        self._order: dict[int, deque[int]] = {}  # of each request, the numbers as they were sent
        self._arrived: dict[int, tuple[dict[str, Any], bytes]] = {}  # before those that were sent earlier
        self._threads: list[threading.Thread] = []

    @property
    def waiting(self) -> int:
        """Batches that are under way."""
        return len(self._batches)

    def start(self, load: contract.Load, body: bytes) -> None:
        """Has the cluster make the actors; what they say comes by and by."""
        ray, plan = self._ray, self._plan
        exchange = ray.remote(ray_actors.Exchange).options(num_cpus=0, max_concurrency=1000).remote(plan.actors)
        pool = ray.data.ActorPoolStrategy(
            size=plan.actors,
            max_tasks_in_flight_per_actor=plan.cores + 2,
            # One computes while the others decode.
            max_concurrent_calls_per_actor=plan.cores + 1,
            enable_true_multi_threading=True,
        )
        # A table at hand: reading one would need a core, and the actors have them all.
        stream = ray.data.from_arrow(pa.table({"start": [0]})).map_batches(
            ray_actors.numbers, fn_kwargs={"exchange": exchange}, num_cpus=0
        )
        outcomes = stream.map_batches(
            ray_actors.Actor,
            fn_constructor_args=(exchange, asdict(load), [ray.put(body)], plan.cores),
            compute=pool,
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=plan.cores,
            num_gpus=plan.gpus or None,
        )
        self._exchange = exchange
        works = ((self._listen, "listen"), (lambda: self._collect(outcomes), "collect"))
        threads = [threading.Thread(target=work, name=name, daemon=True) for work, name in works]
        for thread in threads:
            thread.start()
        self._threads = threads
        if self._closed:  # while the actors were asked for: nobody has told them yet
            self.close()

    def join(self, request: int) -> None:
        """Adds a request, which hears at once when the model is there already."""
        with self._lock:
            self._requests.add(request)
            self._order[request] = deque()
            ready, error = self._ready, self._error
        if error is not None:
            self._server.fail(request, error)
        elif ready is not None:
            self._tell_ready(request, ready)

    def leave(self, request: int) -> bool:
        """Removes a request and drops what waits of it; says whether it was the last one."""
        with self._lock:
            self._requests.discard(request)
            dropped = list(self._order.pop(request, ()))
            for number in dropped:
                self._batches.pop(number, None)
                self._arrived.pop(number, None)
            last = not self._requests
        if not last:
            for number in dropped:
                self._exchange.drop.remote(number)
        return last

    def send(self, message: contract.Pictures, body: bytearray) -> None:
        """Hands a batch to the exchange; on the receiving thread."""
        with self._lock:
            if message.request not in self._requests or self._error is not None:
                return
            number, self._next = self._next, self._next + 1
            self._batches[number] = (message.request, message.batch, len(message.sizes))
            self._order[message.request].append(number)
        try:
            reference = self._ray.put(np.frombuffer(body, np.uint8))
            # Waited for: the exchange counts on numbers that come in order.
            self._ray.get(self._exchange.put.remote(number, (message.form, message.sizes, [reference])))
        except BaseException as error:
            self.fail(error)

    def close(self) -> None:
        """Ends the stream, and by force the actors that do not end in time."""
        self._closed = True
        if not self._threads:
            return  # `start` looks once more when it has them
        self._exchange.end.remote()
        threading.Thread(target=self._see_off, name="see off", daemon=True).start()

    def _see_off(self) -> None:
        collecting = self._threads[-1]
        collecting.join(GRACE_S)
        if collecting.is_alive():
            for actor in self._ray.get(self._exchange.known.remote()):
                self._ray.kill(actor)
            collecting.join(GRACE_S)
        self._ray.kill(self._exchange)

    # Threads of their own ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Passes on what the actors say until one has the model."""
        heard = 0
        try:
            while not self._closed and self._ready is None:
                news = self._ray.get(self._exchange.news.remote(heard, PATIENCE_S))
                heard += len(news)
                if not heard:
                    self._note(f"waiting for {self._plan.cores} cores of the cluster")
                for one in news:
                    self._hear(one)
        except BaseException as error:
            self.fail(error)

    def _hear(self, news: dict[str, Any]) -> None:
        if "note" in news:
            self._note(news["note"])
        elif "failed" in news:
            self.fail(ModelError(**_keywords(news["failed"])))
        elif self._ready is None:
            said = news["ready"]
            details = {**said["details"], **self._details}
            ready = contract.Ready(0, self.key, said["revision"], said["dimension"], details)
            with self._lock:
                self._ready = ready
                requests = list(self._requests)
            for request in requests:
                self._tell_ready(request, ready)

    def _tell_ready(self, request: int, ready: contract.Ready) -> None:
        self._server.say(contract.Ready(request, ready.key, ready.revision, ready.dimension, ready.details))

    def _note(self, sentence: str) -> None:
        for request in list(self._requests):
            self._server.say(contract.Note(request, self.key, sentence))

    def _collect(self, outcomes: Any) -> None:
        """Takes outcomes as they come, in any order."""
        try:
            for table in outcomes.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
                for row in table.to_pylist():
                    self._arrive(row["number"], json.loads(row["head"]), row["body"])
            if not self._closed:
                raise ModelError("Ray ended the work too early.", hint="The same call goes on.", code="child_died")
        except BaseException as error:
            if not self._closed:
                self.fail(error)

    def _arrive(self, number: int, head: dict[str, Any], body: bytes) -> None:
        self._exchange.drop.remote(number)
        if "failed" in head:
            if number in self._batches:
                self.fail(ModelError(**_keywords(head["failed"])))
            return
        outcomes: list[tuple[contract.Outcome, bytes, int]] = []
        with self._lock:
            if number not in self._batches or "dropped" in head:
                return  # cancelled, or computed a second time
            self._arrived[number] = (head, body)
            order = self._order[self._batches[number][0]]
            while order and order[0] in self._arrived:
                first = order.popleft()
                request, batch, count = self._batches.pop(first)
                head, body = self._arrived.pop(first)
                problems = [(int(index), str(code), str(reason)) for index, code, reason in head["problems"]]
                parts = (head["arrays"], problems, head["seconds"], {**head["details"], **self._details})
                outcomes.append((contract.Outcome(request, batch, *parts), body, count))
        for outcome, data, count in outcomes:
            self._server.computed(count)
            self._server.say(outcome, [data])

    def fail(self, error: BaseException) -> None:
        """Ends all requests for this model, now and to come, with what went wrong."""
        if not isinstance(error, DataideError):
            traceback.print_exception(error)
            error = _explained(self.name, error)
        with self._lock:
            if self._error is not None or self._closed:
                return
            self._error = error
            requests = list(self._requests)
        self._server.over(self)
        for request in requests:
            self._server.fail(request, error)


def _keywords(failed: dict[str, Any]) -> dict[str, Any]:
    return {"message": failed["message"], "hint": failed["hint"], "code": failed["code"]}


def _explained(name: str, error: BaseException) -> ModelError:
    """An error of Ray for somebody who waits for a model."""
    text = str(error)
    if "No module named 'dataide" in text:
        return ModelError(
            "dataide is not installed on all machines of the Ray cluster.",
            hint="pip install dataide there, in the same version as here.",
            code="missing_there",
        )
    return ModelError(
        f"Ray cannot go on with {name}: {last_words(error)}.",
        hint="What was committed is kept; the same call goes on where it stopped.",
        code="child_died",
    )
