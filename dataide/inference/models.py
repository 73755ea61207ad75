"""Models as the inference process runs them: encoded pictures in, named arrays out."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dataide.errors import DataideError, ModelError, closest
from dataide.inference import contract, descriptor, machine
from dataide.inference.identity import revision_of
from dataide.storage import pictures

if TYPE_CHECKING:
    from PIL import Image

Arrays = contract.Arrays
Problem = contract.Problem
Say = Callable[[str], None]
_OWN_PATH = tuple(sys.path)


class Model(Protocol):
    """A model in two steps, so that one batch is decoded while the one before is computed."""

    revision: str
    dimension: int  # 0 until it is known

    def prepare(self, data: Sequence[bytes]) -> tuple[Any, list[Problem]]:
        """Decodes; runs on several threads at once."""
        ...

    def compute(self, prepared: Any) -> Arrays:
        """What it makes of a prepared batch; runs on one thread. An embedding: "vectors", float32 N x dimension."""
        ...


def load(message: contract.Load, body: bytes, say: Say, device: str = "auto", threads: int = 1) -> Model:
    """Loads the model that a message names.

    Raises:
        ModelError: it cannot be had.
    """
    if message.kind == "auto":
        return Descriptor()
    if message.kind == "torchvision":
        return Torchvision(message.name, threads, say, device)
    # In place of what another callable needed: the notebook may be in another folder now.
    sys.path[:] = [*_OWN_PATH, *(entry for entry in message.search_path if entry not in _OWN_PATH)]
    try:
        function = pickle.loads(body)
    except Exception as error:
        raise ModelError(
            f"{message.name} cannot be loaded in another process: {last_words(error)}", code="not_portable"
        ) from None
    return Function(function, message.name)


def decode(data: Sequence[bytes], max_side_px: int | None) -> tuple[list[Image.Image], list[Problem]]:
    """Decodes a batch; what cannot be decoded is left out and listed."""
    images: list[Image.Image] = []
    problems: list[Problem] = []
    for index, one in enumerate(data):
        try:
            images.append(pictures.decode(one, max_side_px=max_side_px))
        except DataideError as error:
            problems.append((index, error.code, error.message))
    return images, problems


class Descriptor:
    """`"auto"`: see descriptor.py."""

    revision = f"{descriptor.NAME}/{descriptor.REVISION}"
    dimension = descriptor.DIMENSION

    def prepare(self, data: Sequence[bytes]) -> tuple[np.ndarray, list[Problem]]:
        images, problems = decode(data, descriptor.DECODE_SIDE_PX)
        return descriptor.describe(images), problems

    def compute(self, prepared: np.ndarray) -> Arrays:
        return {"vectors": prepared}


class Function:
    """A callable of the user: a list of PIL pictures (RGB, full size) in, an array of one row for each out."""

    revision = ""  # the kernel knows it: it has the code
    dimension = 0

    def __init__(self, function: Callable[[list[Image.Image]], Any], name: str) -> None:
        self.code = revision_of(function)[1]
        self._function = function
        self._name = name
        self._halving = Halving()

    def prepare(self, data: Sequence[bytes]) -> tuple[list[Image.Image], list[Problem]]:
        return decode(data, None)

    def compute(self, prepared: list[Image.Image]) -> Arrays:
        if not prepared:
            return {"vectors": np.empty((0, self.dimension), np.float32)}
        return {"vectors": self._halving(self._vectors, prepared)}

    def _vectors(self, prepared: list[Image.Image]) -> np.ndarray:
        try:
            result = self._function(prepared)
            if hasattr(result, "detach"):  # a torch tensor, perhaps on a GPU and with a gradient
                result = result.detach().cpu().float().numpy()
            vectors = np.asarray(result, np.float32)
        except Exception as error:
            if out_of_memory(error) and len(prepared) > 1:
                raise
            raise ModelError(
                f"{self._name} failed on a batch of {len(prepared)} pictures: {last_words(error)}.", code="callable"
            ) from error
        self._check(vectors, len(prepared))
        self.dimension = vectors.shape[1]
        return vectors

    def _check(self, vectors: np.ndarray, count: int) -> None:
        expected = f"{count} x {self.dimension}" if self.dimension else f"{count} x d"
        good = vectors.ndim == 2 and len(vectors) == count and vectors.shape[1] == (self.dimension or vectors.shape[1])
        if not good or not vectors.shape[1]:
            shape = " x ".join(str(length) for length in vectors.shape) or "a single number"
            raise ModelError(
                f"{self._name} returned {shape} for a batch of {count} pictures; {expected} is needed.",
                hint="Return one row of numbers for each picture, always of the same length.",
                code="callable",
            )
        if not np.isfinite(vectors).all():
            raise ModelError(f"{self._name} returned numbers that are infinite or not numbers.", code="callable")


class Torchvision:
    """A classifier of torchvision with its published weights, without its last layer."""

    def __init__(self, name: str, threads: int, say: Say, device: str) -> None:
        say("importing torch")
        try:
            import torch
            import torchvision
        except ImportError as error:
            raise ModelError(
                f"The model {name!r} needs torch and torchvision ({last_words(error)}).",
                hint="pip install 'dataide[ml]', or use model='auto', which needs neither.",
                code="missing_extra",
            ) from None
        except Exception as error:
            raise ModelError(
                f"torch and torchvision do not fit together ({last_words(error)}).",
                hint="pip install --upgrade --force-reinstall torch torchvision",
            ) from None
        self._torch = torch
        torch.set_num_threads(threads)
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            near = closest(name, known)
            raise ModelError(
                f"torchvision has no model {name!r}.",
                hint=f"Did you mean {', '.join(near)}?" if near else "'resnet18' and 'convnext_tiny' are good ones.",
                code="unknown_model",
            )
        weights = torchvision.models.get_model_weights(name).DEFAULT
        self.revision = f"{name}/{weights.name}"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(
                f"torch cannot use {device!r} here.",
                hint="Install a torch that fits the GPU's driver, or compute on the CPU.",
                code="no_device",
            )
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._halving = Halving()
        self._transform = weights.transforms()
        self._network = self._with_weights(torchvision.models.get_model, name, weights, say)
        self._network.eval().to(self.device)
        probe = self._transform(torch.zeros(3, 64, 64, dtype=torch.uint8))
        self.dimension = int(self._forward(probe[None]).shape[1])

    def prepare(self, data: Sequence[bytes]) -> tuple[Any, list[Problem]]:
        # 640 px keeps more than any published transform asks for, and lets JPEG decode at a reduced size.
        images, problems = decode(data, 640)
        return (self._torch.stack([self._transform(image) for image in images]) if images else None), problems

    def compute(self, prepared: Any) -> Arrays:
        if prepared is None:
            return {"vectors": np.empty((0, self.dimension), np.float32)}
        try:
            return {"vectors": self._halving(self._forward, prepared)}
        except RuntimeError as error:
            raise ModelError(f"The model failed: {last_words(error)}") from error

    def _forward(self, batch: Any) -> np.ndarray:
        with self._torch.inference_mode():
            vectors: np.ndarray = self._network(batch.to(self.device)).flatten(1).float().cpu().numpy()
        return vectors

    def _with_weights(self, build: Callable[..., Any], name: str, weights: Any, say: Say) -> Any:
        import os

        file = os.path.join(self._torch.hub.get_dir(), "checkpoints", os.path.basename(weights.url))
        say(f"loading {file}" if os.path.exists(file) else f"downloading {weights.url}")
        try:
            network = build(name, weights=weights)
        except Exception as error:  # no network, a proxy's page instead of the file, a damaged file, a full disk
            there = os.path.exists(file)
            cure = (
                f"Delete {file} and call again" if there else f"Download {weights.url} elsewhere and put it at {file}"
            )
            raise ModelError(
                f"The weights of {name} ({weights.name}) {'cannot be read' if there else 'cannot be downloaded'}: "
                f"{last_words(error)}.",
                hint=f"{cure}, or use model='auto', which needs no weights.",
                code="no_weights",
            ) from None
        last = [path for path, module in network.named_modules() if isinstance(module, self._torch.nn.Linear)][-1:]
        for path in last:
            parent, _, child = path.rpartition(".")
            setattr(network.get_submodule(parent), child, self._torch.nn.Identity())
        return network


class Halving:
    """Computes a batch in as large parts as fit into memory; what did not fit once is not tried again."""

    def __init__(self) -> None:
        self._largest = sys.maxsize

    def __call__(self, compute: Callable[[Any], np.ndarray], batch: Any) -> np.ndarray:
        """Vectors of a batch; `compute` raises what torch raises when memory is short."""
        parts: list[np.ndarray] = []
        done = 0
        while done < len(batch):
            part = batch[done : done + self._largest]
            try:
                parts.append(compute(part))
            except Exception as error:
                if not out_of_memory(error) or len(part) == 1:
                    raise
                self._largest = len(part) // 2
            else:
                done += len(part)
                continue
            # Outside of the handler: the traceback held what had been computed.
            cuda = machine.cuda_in_use()
            if cuda is not None:
                cuda.empty_cache()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory was too small: torch says so in words, whichever type it raises."""
    return isinstance(error, RuntimeError) and "out of memory" in str(error)


def last_words(error: BaseException) -> str:
    """Type and message of an error, on one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
