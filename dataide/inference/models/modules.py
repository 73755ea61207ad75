"""A torch module of the user with a transform: from the notebook, or whatever else has been made one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from dataide.errors import ModelError, did_you_mean
from dataide.inference import contract
from dataide.inference.models.network import Network
from dataide.inference.models.outputs import output_for
from dataide.inference.models.torch_here import device_for

# What libraries call the one output that is meant, the likeliest first.
_NAMES = {
    "embedding": (
        *("pooler_output", "image_embeds", "embedding", "embeddings", "features", "last_hidden_state", "out", "logits"),
    ),
    "classification": ("logits", "probabilities", "probs", "scores", "out", "output"),
}


def load(message: contract.Load, sent: Mapping[str, Any], device: str) -> Network:
    """A module that the notebook has sent.

    Args:
        message: its options say the task and the layer, and what the notebook knows: hash, class, revision.
        sent: "module" and "transform".
        device: auto, cpu, cuda or cuda:1.

    Raises:
        ModelError: the layer is not there, or the device.
    """
    options = message.options
    details: dict[str, Any] = {name: options[name] for name in ("hash", "class") if name in options}
    revision = str(options.get("revision") or message.name)
    return network(message, sent["module"], sent["transform"], revision=revision, device=device, details=details)


def network(
    message: contract.Load,
    module: Any,
    transform: Callable[[Any], Any],
    *,
    revision: str,
    device: str,
    name: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Network:
    """A module as a model for the task of a message.

    Args:
        message: its options say the task and the layer.
        module: takes a batch N x C x H x W; for detection a list of tensors, as torchvision's detectors do.
        transform: a PIL picture to a tensor C x H x W.
        revision: of all of it.
        device: auto, cpu, cuda or cuda:1.
        name: for messages; by default the message's.
        details: what else to say of it.

    Raises:
        ModelError: the layer is not there, or the device.
    """
    name = name or message.name
    task = str(message.options.get("task", "embedding"))
    layer = message.options.get("layer")
    said = {"parameters": sum(one.numel() for one in module.parameters()), **(details or {})}
    if layer is not None:
        said["layer"] = layer
    if task == "detection":
        reads: Any = module
    else:
        reads = LayerOf(module, str(layer), name) if layer is not None else OutputOf(module, task, name)
    return Network(
        reads,
        transform,
        output_for(message.options, name),
        name=name,
        revision=revision,
        device=device_for(torch, device),
        apart=task == "detection",
        details=said,
        precision=str(message.options.get("precision", "auto")),
        compile=bool(message.options.get("compile")),
    )


class Quiet(nn.Module):  # type: ignore[misc]
    """A program that has been made for evaluation, and bears no other mode."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> Quiet:
        return self

    def forward(self, batch: torch.Tensor) -> Any:
        return self.program(batch)


class OutputOf(nn.Module):  # type: ignore[misc]
    """A module whose output is the one tensor that is meant, wherever in a dict or tuple it is."""

    def __init__(self, module: Any, task: str, name: str) -> None:
        super().__init__()
        self.module = module
        self._task = task
        self._name = name

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        made, key = one_tensor(self.module(batch), self._task, self._name)
        # A grid or a row of tokens has a name of its own; a bare tensor must be what was asked for.
        return flat(made) if key and self._task == "embedding" else made


class LayerOf(nn.Module):  # type: ignore[misc]
    """What one layer gives when it is first used; whatever comes after that layer is not computed."""

    def __init__(self, module: Any, layer: str, name: str) -> None:
        super().__init__()
        names = [path for path, _ in module.named_modules() if path]
        if layer not in names:
            raise ModelError(f"{name} has no layer {layer!r}.", hint=did_you_mean(layer, names), code="unknown_layer")
        self.module = module
        self._layer = layer
        self._name = name
        module.get_submodule(layer).register_forward_hook(_stop)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        try:
            made = self.module(batch)
        except _Reached as reached:
            if isinstance(reached.output, torch.fx.Proxy):
                return reached.output
            made, _ = one_tensor(reached.output, "embedding", f"The layer {self._layer!r} of {self._name}")
            return flat(made)
        if isinstance(made, torch.fx.Proxy):
            return made  # the module is looked at, and not computed (see tuning.py)
        raise ModelError(
            f"The layer {self._layer!r} of {self._name} is never used when the module is called.",
            hint="Name a layer that its forward() calls.",
            code="unknown_layer",
        )


class _Reached(BaseException):
    """No error, so that nothing in the module catches it."""

    def __init__(self, output: Any) -> None:
        self.output = output


def _stop(module: Any, inputs: Any, output: Any) -> None:
    raise _Reached(output)


def flat(made: torch.Tensor) -> torch.Tensor:
    """One row for each picture: grids N x C x H x W and tokens N x T x C are averaged over their places."""
    if made.ndim == 4:
        return made.mean((2, 3))
    if made.ndim == 3:
        return made.mean(1)
    return made.flatten(1) if made.ndim > 1 else made[:, None]


def one_tensor(made: Any, task: str, name: str) -> tuple[torch.Tensor, str]:
    """The tensor that is meant in what a module returned, and what it is called there.

    Raises:
        ModelError: there is none, or several.
    """
    if isinstance(made, torch.Tensor | torch.fx.Proxy):
        return made, ""
    if isinstance(made, Mapping):
        named = {str(key): value for key, value in made.items()}
    elif isinstance(made, tuple | list) and not hasattr(made, "_fields"):
        named = {str(number): value for number, value in enumerate(made)}
    else:
        named = {key: getattr(made, key, None) for key in (*_NAMES.get(task, ()), *getattr(made, "_fields", ()))}
    tensors = {key: value for key, value in named.items() if isinstance(value, torch.Tensor)}
    wanted = next((key for key in _NAMES.get(task, ()) if key in tensors), None)
    if wanted is None and len(tensors) == 1:
        wanted = next(iter(tensors))
    if wanted is not None:
        return tensors[wanted], wanted
    shown = ", ".join(f"{key}: {' x '.join(map(str, value.shape))}" for key, value in list(tensors.items())[:6])
    raise ModelError(
        f"{name} returned a {type(made).__name__}" + (f" with {shown}" if shown else " without a tensor") + ".",
        hint="Wrap it in a module that returns the one that is meant, or name a layer: layer='…'.",
        code="output",
    )
