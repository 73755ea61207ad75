"""What runs on Ray's machines: the exchange that holds batches, the stream of their numbers, and the actors.

Only numbers of batches flow through the pipeline of Ray Data. An actor fetches the pictures themselves from the
exchange, which keeps them until their outcome has arrived: whatever machine or process is lost meanwhile, Ray gives the
number to another actor, and nothing is lost or counted twice.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dataide.errors import DataideError, ModelError
from dataide.inference import contract, models
from dataide.inference.models.outputs import by_position

# A batch that ended its process so often would end the next one too: a picture that makes a library crash, say.
ATTEMPTS = 3
# A model that ends its process while it is loaded, so often more than there are actors.
LOADS = 3

Row = tuple[contract.Form, list[int], list[Any]]  # form, sizes in bytes, a reference to all of them back to back


class Exchange:
    """Batches that are under way, and what actors say about the model. An asynchronous actor, one for each pipeline."""

    def __init__(self, actors: int) -> None:
        self._actors = actors
        self._batches: dict[int, Row] = {}
        self._attempts: Counter[int] = Counter()
        self._last = -1
        self._ended = False
        self._changed = asyncio.Condition()
        self._news: list[dict[str, Any]] = []
        self._loads = 0
        self._known: dict[Any, Any] = {}

    async def put(self, number: int, row: Row) -> None:
        """Takes a batch; numbers count up."""
        async with self._changed:
            self._batches[number] = row
            self._last = number
            self._changed.notify_all()

    async def there(self, number: int) -> bool:
        """Waits for a batch; False when there will be no more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or number <= self._last)
        return not self._ended

    async def take(self, number: int) -> Row | None:
        """A batch for an actor; None when nobody waits for its outcome any more.

        Raises:
            ModelError: it was taken too often, and no outcome came.
        """
        row = self._batches.get(number)
        if row is None or self._ended:
            return None
        self._attempts[number] += 1
        if self._attempts[number] > ATTEMPTS:
            raise ModelError(
                f"The process of an actor ended {ATTEMPTS} times while it computed the same {len(row[1])} pictures.",
                hint="What was committed is kept. Memory may be short: try a smaller batch_size.",
                code="child_died",
            )
        return row

    async def drop(self, number: int) -> None:
        """Forgets a batch whose outcome has arrived."""
        self._batches.pop(number, None)
        self._attempts.pop(number, None)

    async def load(self, actor: list[Any]) -> bool:
        """Notes that an actor (its handle) begins to load the model; False when that has ended too many processes."""
        self._known[actor[0]._actor_id] = actor[0]
        self._loads += 1
        return self._loads <= self._actors + LOADS

    async def known(self) -> list[Any]:
        """The actors' handles."""
        return list(self._known.values())

    async def say(self, news: dict[str, Any]) -> None:
        """From an actor: what it does, that the model is there, or why it is not."""
        if "ready" in news:
            self._loads = 0
        async with self._changed:
            self._news.append(news)
            self._changed.notify_all()

    async def news(self, after: int, seconds: float) -> list[dict[str, Any]]:
        """What was said after so many pieces of news; waits for the next one, so long at most."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: len(self._news) > after), seconds)
            except TimeoutError:
                return []
        return self._news[after:]

    async def end(self) -> None:
        """Drops what waits, and lets the stream of numbers end."""
        async with self._changed:
            self._ended = True
            self._batches.clear()
            self._changed.notify_all()


def numbers(first: Mapping[str, Any], exchange: Any) -> Iterator[dict[str, np.ndarray]]:
    """The stream: the number of each batch, a row each, as soon as it is there. Again from 0 if Ray repeats it."""
    ray = importlib.import_module("ray")
    for number in itertools.count():
        if not ray.get(exchange.there.remote(number)):
            return
        yield {"number": np.asarray([number], np.int64)}


class Actor:
    """A model on one of Ray's machines. Batches are decoded on several threads and computed one at a time.

    Args:
        exchange: see above.
        load: the fields of a `contract.Load`.
        body: a reference to its body, in a list, so that Ray does not fetch it for the scheduler too.
        threads: to compute with.
    """

    def __init__(self, exchange: Any, load: dict[str, Any], body: list[Any], threads: int) -> None:
        self._ray: Any = importlib.import_module("ray")
        self._exchange = exchange
        self._computing = threading.Lock()
        self._failed: DataideError | None = None
        self._load = contract.Load(**load)
        try:
            self._model = self._loaded(body, threads)
            model = self._model
            said: dict[str, Any] = {
                "ready": {"revision": model.revision, "dimension": model.dimension, "details": model.details}
            }
        except BaseException as error:
            # An actor that raises here would be made again and again; this one says why it computes nothing.
            self._failed = described(error, self._load.name)
            said = {"failed": failure(self._failed)}
        self._ray.get(exchange.say.remote(said))

    def _loaded(self, body: list[Any], threads: int) -> models.Model:
        if not self._ray.get(self._exchange.load.remote([self._ray.get_runtime_context().current_actor])):
            raise ModelError(
                f"The processes of Ray's actors end while {self._load.name} is loaded.",
                hint="Memory may be short: try fewer actors.",
                code="child_died",
            )
        pickled = self._ray.get(body[0])
        model = models.load(
            self._load,
            pickled,
            lambda sentence: self._exchange.say.remote({"note": sentence}),
            "auto",
            threads,
        )
        code, wanted = getattr(model, "code", None), str(self._load.options.get("revision") or "")
        # What travels by value is what it was; what is named by its module may be another one on another machine.
        if code and wanted and not wanted.startswith(code) and b"cloudpickle" not in pickled:
            raise ModelError(
                f"{self._load.name} is another one on Ray's machines ({code}) than here ({wanted}).",
                hint="Bring its file there up to date, or define the function in the notebook: then it travels along.",
                code="other_code",
            )
        return model

    def __call__(self, batch: Any) -> Any:
        """Outcomes for numbers of batches: a table with the number, a head in JSON and the arrays back to back."""
        import pyarrow as pa

        wanted = batch["number"].to_pylist()
        answers = [self._answer(number) for number in wanted]
        heads = [json.dumps(head).encode() for head, _ in answers]
        return pa.table(
            {
                "number": pa.array(wanted, pa.int64()),
                "head": pa.array(heads, pa.large_binary()),
                "body": pa.array([body for _, body in answers], pa.large_binary()),
            }
        )

    def _answer(self, number: int) -> tuple[dict[str, Any], bytes]:
        try:
            if self._failed is not None:
                raise self._failed
            row = self._taken(number)
            return ({"dropped": True}, b"") if row is None else self._outcome(*row)
        except BaseException as error:
            return {"failed": failure(described(error, self._load.name))}, b""

    def _taken(self, number: int) -> Row | None:
        try:
            row: Row | None = self._ray.get(self._exchange.take.remote(number))
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, DataideError) else error from None
        return row

    def _outcome(self, form: contract.Form, sizes: list[int], reference: list[Any]) -> tuple[dict[str, Any], bytes]:
        prepare = getattr(self._model, "prepare_text", None) if form == "text" else self._model.prepare
        if prepare is None:
            raise ModelError(f"{self._load.name} reads pictures, not texts.", code="no_text")
        prepared, undecoded = prepare(cut(self._ray.get(reference[0]), sizes))
        with self._computing:
            began = time.monotonic()
            computed = self._model.compute(prepared)
            seconds = time.monotonic() - began
            details = dict(self._model.details)
        entries, parts = contract.packed(computed.arrays)
        problems = by_position(len(sizes), undecoded, computed.problems)
        head = {"arrays": entries, "problems": problems, "seconds": seconds, "details": details}
        return head, b"".join(parts)


def cut(body: np.ndarray, sizes: Sequence[int]) -> list[bytes]:
    """A body (uint8) into parts of these lengths."""
    ends = np.cumsum([0, *sizes]).tolist()
    view = body.data
    return [bytes(view[start:end]) for start, end in itertools.pairwise(ends)]


def described(error: BaseException, name: str) -> DataideError:
    """An error of ours as it is, any other with the model's name."""
    return error if isinstance(error, DataideError) else ModelError(f"{name} failed: {models.last_words(error)}.")


def failure(error: DataideError) -> dict[str, Any]:
    """The fields that `contract.Failed` has of an error."""
    return {"code": error.code, "message": error.message, "hint": error.hint}
