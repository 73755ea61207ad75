"""Models as the inference process runs them; `load` makes one of what a message names."""

from __future__ import annotations

import pickle
import sys
from typing import Any

from dataide.errors import ModelError
from dataide.inference import contract
from dataide.inference.models.base import Model, Problem, Say, last_words
from dataide.inference.models.function import Function
from dataide.inference.models.measuring import Descriptor, Quality
from dataide.inference.models.outputs import output_for

__all__ = ["Function", "Model", "Problem", "last_words", "load", "of_user"]
_OWN_PATH = tuple(sys.path)


def load(message: contract.Load, body: bytes, say: Say, device: str = "auto", threads: int = 1) -> Model:
    """Loads the model that a message names.

    Raises:
        ModelError: it cannot be had.
    """
    if message.kind == "auto":
        return Descriptor()
    if message.kind == "quality":
        return Quality()
    if message.kind == "callable":
        return Function(of_user(message, body), message.name, output_for(message.options, message.name))  # type: ignore[arg-type]
    return _with_torch(message, body, say, device, threads)


def _with_torch(message: contract.Load, body: bytes, say: Say, device: str, threads: int) -> Model:
    # Each is imported only when it is asked for: they need torch, or what only some have installed.
    kind = message.kind
    if kind == "torchvision":
        from dataide.inference.models import zoo

        return zoo.load(message, _sent(message, body), say, device, threads)
    if kind == "towers":
        from dataide.inference.models import towers

        return towers.load(message, body, say)
    if kind == "adapter":
        from dataide.inference.models import adapters

        return adapters.load(message, say, device, threads)
    if kind in ("learn", "train", "learned"):
        from dataide.inference.models import learned

        return learned.load(message, body, say, device, threads)
    from dataide.inference.models.torch_here import torch_only

    torch_only(message.name, threads, say)
    if kind == "module":
        from dataide.inference.models import modules

        return modules.load(message, _sent(message, body), device)
    if kind == "file":
        from dataide.inference.models.files import load as load_file

        return load_file(message, _sent(message, body), say, device)
    raise ModelError(f"There is no kind of model {kind!r}.", code="unknown_model")


def _sent(message: contract.Load, body: bytes) -> dict[str, Any]:
    """What the notebook sent along: "module", "transform"."""
    sent = of_user(message, body) if body else {}
    assert isinstance(sent, dict)
    return sent


def of_user(message: contract.Load, body: bytes) -> object:
    """What this user's own process pickled: a function, or a module and its transform.

    Raises:
        ModelError: it cannot be had in another process.
    """
    # In place of what another callable needed: the notebook may be in another folder now.
    sys.path[:] = [*_OWN_PATH, *(entry for entry in message.search_path if entry not in _OWN_PATH)]
    try:
        return pickle.loads(body)
    except Exception as error:
        raise ModelError(
            f"{message.name} cannot be loaded in another process: {last_words(error)}", code="not_portable"
        ) from None
