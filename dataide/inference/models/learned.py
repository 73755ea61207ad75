"""The learned embedding inside the inference process: gathering, training, and computing with what was learned.

`Learning` is a model like any other to the process, so that other work goes on between its steps: pictures come in as
batches and are kept small, then commands come as texts (JSON), each of which trains for a fraction of a second and says
in the details how far it is. The last one gives the array "state": the bytes that `Learned` is loaded with.

State is an .npz archive of plain arrays with a JSON text called "config"; nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError
from dataide.inference import contract, descriptor
from dataide.inference.models import metric
from dataide.inference.models.base import Halving, Model, Problem, Say, decode, last_words, out_of_memory
from dataide.inference.models.outputs import Classes, Computed, Output, Vectors
from dataide.inference.models.state import FORMAT as FORMAT
from dataide.inference.models.state import packed as packed
from dataide.inference.models.state import revision_of as revision_of
from dataide.inference.models.state import unpacked as unpacked
from dataide.inference.models.torch_here import device_for, torch_only

if TYPE_CHECKING:
    from PIL import Image

    from dataide.inference.models.small_network import SmallNetwork

SLICE_S = 0.1
PORTION = 256
NEIGHBOURS = 10
# Among so many are the neighbours looked for: enough for a figure of two digits.
MOST_COMPARED = 10_000


def load(message: contract.Load, body: bytes, say: Say, device: str, threads: int) -> Model:
    """A model that learns ("learn", or "train" by a recipe), or one that has ("learned", with its state as the body).

    Raises:
        ModelError: torch is needed and missing, or the state is none.
    """
    if message.kind == "learn":
        return Learning(message.name, message.options, say, device, threads)
    if message.kind == "train":
        from dataide.inference.models.recipe_process import Recipe

        return Recipe(message.name, message.options, say, device, threads)
    return Learned(message.name, message.options.get("task", "embedding"), body, say, device, threads)


class Learning:
    """Gathers pictures and learns from them.

    Options: side_px of the canvas that pictures are kept at; supervised, whether labels will come.
    """

    revision = ""
    dimension = 0
    takes_all_cores = False

    def __init__(self, name: str, options: dict[str, Any], say: Say, device: str, threads: int) -> None:
        self._name = name
        self._side_px = int(options["side_px"])
        self._supervised = bool(options["supervised"])
        self.details: dict[str, Any] = {}
        self._portions: list[np.ndarray] = []
        self._work: Iterator[dict[str, Any]] | None = None
        if self._supervised:
            self.device = device_for(torch_only(name, threads, say), device)

    def prepare(self, data: Sequence[bytes]) -> tuple[np.ndarray, list[Problem]]:
        images, problems = decode(data, descriptor.DECODE_SIDE_PX)
        return canvases(images, self._side_px), problems

    def prepare_text(self, data: Sequence[bytes]) -> tuple[dict[str, Any], list[Problem]]:
        command: dict[str, Any] = json.loads(data[0])
        return command, []

    def compute(self, prepared: np.ndarray | dict[str, Any]) -> Computed:
        if isinstance(prepared, np.ndarray):
            self._portions.append(prepared)
            return Computed({})
        if prepared["do"] == "learn":
            self._work = self._learn(prepared)
        assert self._work is not None
        try:
            return self._slice(self._work)
        except RuntimeError as error:
            self._portions, self._work = [], None
            if out_of_memory(error):
                raise ModelError(
                    f"The memory of {self.device} is too small to train {self._name!r}.",
                    hint="Free some of it, or compute on the CPU: session.kernel says what is loaded.",
                    code="out_of_memory",
                ) from error
            raise ModelError(f"Training {self._name!r} failed: {last_words(error)}.") from error

    def _slice(self, work: Iterator[dict[str, Any]]) -> Computed:
        """Goes on for a moment; what was asked for too much, after the end, is answered in the same way."""
        began = time.monotonic()
        for told in work:
            if isinstance(told.get("state"), bytes):
                self._portions, self._work = [], iter(())
                state = np.frombuffer(told.pop("state"), np.uint8)
                self.details = {**told, "part": 1.0, "ended": True}
                return Computed({"state": state})
            checkpoint = told.pop("checkpoint", None)
            self.details = {**self.details, **told}
            if checkpoint is not None:
                return Computed({"checkpoint": np.frombuffer(checkpoint, np.uint8)})
            if time.monotonic() - began >= SLICE_S:
                break
        return Computed({})

    def _learn(self, command: dict[str, Any]) -> Iterator[dict[str, Any]]:
        pixels = self._gathered()
        held = np.zeros(len(pixels), bool)
        held[command["held_out"]] = True
        labels = np.asarray(command["labels"], np.int64) if command["labels"] is not None else None
        mirrored = metric.coloured(pixels)
        config: dict[str, Any] = {"format": FORMAT, "side_px": self._side_px, "mirrored": mirrored}
        if self._supervised:
            assert labels is not None
            config |= {"looks_at": "pixels", "classes": command["classes"], "label": command["label"]}
            learning = self._network(pixels, labels, np.flatnonzero(~held), mirrored, command)
        else:
            config |= {"looks_at": "descriptors", "classes": []}
            learning = self._metric(pixels, np.flatnonzero(~held), mirrored, command["seed"])
        arrays: dict[str, np.ndarray] = {}
        for told in learning:
            arrays = told.pop("arrays", arrays)
            yield {"doing": "training", **told}
        state = packed(config, arrays)
        figures: dict[str, float] = {}
        if labels is not None and held.any():
            model = Learned(self._name, "embedding", state, lambda sentence: None, getattr(self, "device", "cpu"), 0)
            for told in _compared(model, pixels, labels, held):
                figures = told.pop("figures", figures)
                yield {"doing": "trying it on samples that were held out", "part": 1.0}
        yield {"state": state, "figures": figures, "trained_on": int((~held).sum())}

    def _gathered(self) -> np.ndarray:
        """All pictures as one array; each portion is given back as soon as it is in there."""
        pixels = np.empty((sum(map(len, self._portions)), self._side_px, self._side_px, 3), np.uint8)
        filled = len(pixels)
        while self._portions:
            portion = self._portions.pop()
            pixels[filled - len(portion) : filled] = portion
            filled -= len(portion)
        return pixels

    def _network(
        self, pixels: np.ndarray, labels: np.ndarray, rows: np.ndarray, mirrored: bool, command: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        import torch

        from dataide.inference.models import small_network

        # On a GPU all of them may be there: they are bounded.
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)
        among = torch.from_numpy(rows)
        network = small_network.SmallNetwork(self._side_px, len(command["classes"]), command["seed"])
        network.to(self.device, memory_format=torch.channels_last)
        network.adapt(pictures[among[: small_network.ADAPTED_TO]])
        steps = small_network.training(
            network,
            pictures,
            torch.from_numpy(labels).to(self.device),
            among,
            seconds=command["seconds"],
            passes=command["passes"],
            mirrored=mirrored,
            seed=command["seed"],
        )
        for step in steps:
            yield {"part": step.part, "loss": round(step.loss, 3), "accuracy": round(step.accuracy, 3)}
        yield {"arrays": network.arrays()}

    def _metric(self, pixels: np.ndarray, rows: np.ndarray, mirrored: bool, seed: int) -> Iterator[dict[str, Any]]:
        for told in metric.learning(pixels, rows, mirrored=mirrored, seed=seed):
            yield {"part": told} if isinstance(told, float) else {"arrays": {"mean": told.mean, "weigh": told.weigh}}


class Learned:
    """What was learned, from its state: an embedding, or, where labels were learned, a classifier."""

    def __init__(self, name: str, task: str, state: bytes, say: Say, device: str, threads: int) -> None:
        self._name = name
        config, arrays = unpacked(state, name)
        self.revision = revision_of(state)
        self.side_px = self._side_px = int(config["side_px"])
        self.channels = int(config.get("channels", 3))
        classes: list[str] = config["classes"]
        if task == "classification" and not classes:
            raise ModelError(
                f"{name!r} was trained without labels, so it knows no classes.",
                hint="Train another one with them: learn_embedding('…', label='label').",
                code="classes",
            )
        self._classifies = task == "classification"
        self._output: Output = Classes(name, classes, "logits") if self._classifies else Vectors(name)
        self._network: SmallNetwork | None = None
        self._metric: metric.Metric | None = None
        self._halving = Halving()
        self.takes_all_cores = False
        if config["looks_at"] == "pixels":
            self._network = self._made(config, arrays, say, device, threads)
        else:
            self._metric = metric.Metric(arrays["mean"], arrays["weigh"])
        numbers = sum(array.size for array in arrays.values())
        about = {"looks_at": config["looks_at"], "classes": classes, "label": config.get("label")}
        self.details: dict[str, Any] = {"task": task, "parameters": numbers, **about}
        self.dimension = 0 if self._classifies else self._dimension()

    def prepare(self, data: Sequence[bytes]) -> tuple[np.ndarray, list[Problem]]:
        images, problems = decode(data, descriptor.DECODE_SIDE_PX)
        seen = canvases(images, self._side_px, self.channels)
        # Describing takes longest and needs nothing but the pixels, so it is done where several threads do it.
        return (seen if self._metric is None else descriptor.describe_canvases(seen)), problems

    def compute(self, prepared: np.ndarray) -> Computed:
        if not len(prepared):
            return self._output.empty()
        return self._halving(self._once, prepared)

    def vectors(self, pixels: np.ndarray) -> np.ndarray:
        """Vectors of canvases."""
        rows = pixels if self._metric is None else descriptor.describe_canvases(pixels)
        return self._halving(self._once, rows).arrays["vectors"]

    def scores(self, pixels: np.ndarray) -> np.ndarray | None:
        """Scores of the classes; None where there are none."""
        return None if self._network is None else self._through(self._network.classify, pixels)

    def _once(self, rows: np.ndarray) -> Computed:
        if self._network is None:
            assert self._metric is not None
            return self._output(self._metric(rows), len(rows))
        step = self._network.classify if self._classifies else self._network
        return self._output(self._through(step, rows), len(rows))

    def _through(self, step: Any, pixels: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)
            result: np.ndarray = step(pictures).float().cpu().numpy()
        return result

    def _made(
        self, config: dict[str, Any], arrays: dict[str, np.ndarray], say: Say, device: str, threads: int
    ) -> SmallNetwork:
        if threads:
            torch_only(self._name, threads, say)
        import torch

        from dataide.inference.models import small_network

        self.device = device_for(torch, device)
        self.takes_all_cores = self.device == "cpu"
        network = small_network.SmallNetwork(
            self._side_px,
            len(config["classes"]),
            widths=config.get("widths", small_network.WIDTHS),
            channels=self.channels,
            early=config.get("early", False),
        )
        network.take(arrays)
        network.eval().to(self.device, memory_format=torch.channels_last)
        return network

    def _dimension(self) -> int:
        return self._network.dimension if self._network is not None else descriptor.DIMENSION


def canvases(images: Sequence[Image.Image], side_px: int, channels: int = 3) -> np.ndarray:
    """Whole pictures squashed onto squares: uint8 N x side x side x channels, 3, or 1 for grey."""
    if not images:
        return np.empty((0, side_px, side_px, channels), np.uint8)
    return np.stack([_canvas(image, side_px, channels) for image in images])


def _canvas(image: Image.Image, side_px: int, channels: int) -> np.ndarray:
    if channels == 3 and side_px == descriptor.CANVAS_PX:
        return descriptor.canvas(image)
    from PIL import Image

    plain = image.convert("RGB" if channels == 3 else "L")
    resized = plain.resize((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(resized).reshape(side_px, side_px, channels)


def _compared(model: Learned, pixels: np.ndarray, labels: np.ndarray, held: np.ndarray) -> Iterator[dict[str, Any]]:
    """How many of the held-out pictures are named right by ten neighbours, here and by "auto", and by the head."""
    known = np.flatnonzero(~held & (labels >= 0))[:MOST_COMPARED]
    asked = np.flatnonzero(held & (labels >= 0))
    if not len(known) or not len(asked):
        return
    figures: dict[str, float] = {"held_out": len(asked)}
    for name, look in (("neighbours", model.vectors), ("auto", _auto)):
        sides = []
        for rows in (known, asked):
            parts = []
            for start in range(0, len(rows), PORTION):
                parts.append(look(pixels[rows[start : start + PORTION]]))
                yield {}
            sides.append(np.concatenate(parts))
        right = 0
        for start in range(0, len(asked), PORTION):
            part = named(sides[0], labels[known], sides[1][start : start + PORTION])
            right += int((part == labels[asked[start : start + PORTION]]).sum())
            yield {}
        figures[name] = round(right / len(asked), 4)
    right = 0
    for start in range(0, len(asked), PORTION):
        rows = asked[start : start + PORTION]
        scores = model.scores(pixels[rows])
        if scores is None:
            break
        right += int((scores.argmax(axis=1) == labels[rows]).sum())
        figures["accuracy"] = round(right / len(asked), 4)
        yield {}
    yield {"figures": figures}


def _auto(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape[1] == descriptor.CANVAS_PX:
        return descriptor.describe_canvases(pixels)
    return descriptor.describe(pixels)


def named(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The label that most of the ten nearest by cosine have; of equals, the nearer one's.

    Args:
        known: float32, N x d.
        labels: int64, N, from 0.
        asked: float32, M x d.
    """
    sides = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (known, asked)]
    similarity = sides[1] @ sides[0].T
    count = min(NEIGHBOURS, len(known))
    near = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    near = np.take_along_axis(near, np.argsort(-np.take_along_axis(similarity, near, axis=1), axis=1), axis=1)
    votes = np.zeros((len(asked), int(labels.max()) + 1))
    for rank in range(count):
        votes[np.arange(len(asked)), labels[near[:, rank]]] += 1 + 1e-6 * (NEIGHBOURS - rank)
    most: np.ndarray = votes.argmax(axis=1)
    return most
