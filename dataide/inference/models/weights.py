"""Weights in a file: read without running anything in it, and put into a network that they fit."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from dataide.errors import ModelError
from dataide.inference.models.base import last_words

_SHOWN = 3
# Where checkpoints of training loops keep the weights.
_WITHIN = ("state_dict", "model_state_dict", "model", "net", "weights")
_SAFETENSORS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def state_dict(path: Path, trust: bool) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, on the CPU.

    Args:
        path: made by torch.save(module.state_dict(), …), a checkpoint with such a dict in it, or a .safetensors file.
        trust: run what else is pickled in it.

    Raises:
        ModelError: it holds something else, or code and is not trusted.
    """
    held = _safetensors(path) if path.suffix.lower() == ".safetensors" else unpickled(path, trust)
    if isinstance(held, torch.nn.Module):
        held = held.state_dict()
    for key in _WITHIN:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
            break
    if not isinstance(held, Mapping) or not any(isinstance(value, torch.Tensor) for value in held.values()):
        raise ModelError(
            f"{path.name} holds a {type(held).__name__} and no weights.",
            hint="Save them with torch.save(module.state_dict(), 'weights.pt').",
            code="no_weights",
        )
    tensors = {str(key): value for key, value in held.items() if isinstance(value, torch.Tensor)}
    # What DataParallel and torch.compile put in front of each name.
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def unpickled(path: Path, trust: bool) -> Any:
    """What torch.save has put into a file.

    Raises:
        ModelError: it is damaged, or holds more than tensors and plain values and is not trusted.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:
        words = last_words(error)
        if trust or "weights_only" not in str(error).lower():
            raise ModelError(f"{path.name} cannot be read: {words}.", code="no_weights") from None
        raise ModelError(
            f"{path.name} holds Python objects, and loading them would run code that comes with the file "
            f"({_unsafe(str(error))}).",
            hint="Save the weights alone: torch.save(module.state_dict(), 'weights.pt'). If you made the file or trust "
            "who did: trust=True.",
            code="untrusted",
        ) from None


def fitted(
    build: Callable[[int | None], Any], state: Mapping[str, torch.Tensor], default: int, name: str, file: str
) -> tuple[Any, int]:
    """A network with these weights, and how many classes they are for.

    Args:
        build: makes the network for so many classes; None for its default.
        state: the weights.
        default: how many classes it has by default.
        name: of the network, for messages.
        file: where the weights come from.

    Raises:
        ModelError: they belong to another network.
    """
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in build(None).state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    missing = sorted(key for key in set(expected) - set(found) if not key.endswith("num_batches_tracked"))
    unexpected = sorted(set(found) - set(expected))
    other = sorted(key for key in set(found) & set(expected) if found[key] != expected[key])
    classes = {_classes(expected[key], found[key], default) for key in other}
    count = classes.pop() if len(classes) == 1 and not (missing or unexpected) else None
    if missing or unexpected or (other and count is None):
        parts = [
            f"it lacks {_some(missing)}" if missing else "",
            f"{_some(unexpected)} {'is' if len(unexpected) == 1 else 'are'} not of {name}" if unexpected else "",
            "; ".join(f"{key} is {_shape(found[key])} and not {_shape(expected[key])}" for key in other[:_SHOWN]),
        ]
        raise ModelError(
            f"The weights in {file} do not fit {name}: {'; '.join(filter(None, parts))}.",
            hint="Name the network that they were trained with, or give the module itself: model=my_module.",
            code="weights",
        )
    network = build(count)
    network.load_state_dict(dict(state), strict=False)
    return network, count or default


def _classes(expected: tuple[int, ...], found: tuple[int, ...], default: int) -> int | None:
    """For how many classes the last layer was made, if that explains its shape: only its first length depends on it."""
    if len(expected) != len(found) or not found or expected[1:] != found[1:] or expected[0] % default:
        return None
    each = expected[0] // default
    return found[0] // each if found[0] % each == 0 else None


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors file: a length, a JSON text that says where each is, and their bytes."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100 << 20:
                raise ValueError("its header is longer than 100 MB")
            head = json.loads(file.read(length))
            data = bytearray(file.read())
        tensors = {}
        for name, entry in head.items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            kind = _SAFETENSORS[entry["dtype"]]
            if not 0 <= first <= last <= len(data):
                raise ValueError(f"{name} lies outside of it")
            flat = (
                torch.frombuffer(data, dtype=torch.uint8, count=last - first, offset=first)
                if last > first
                else torch.empty(0, dtype=torch.uint8)
            )
            tensors[name] = flat.clone().view(kind).reshape(entry["shape"])
        return tensors
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, struct.error) as error:
        raise ModelError(f"{path.name} is no safetensors file: {last_words(error)}.", code="no_weights") from None


def _unsafe(text: str) -> str:
    """What of torch's long message says which object it was."""
    lines = [line.strip() for line in text.splitlines()]
    telling = next((line for line in lines if "Unsupported" in line or "GLOBAL" in line), lines[0] if lines else "")
    return telling.removeprefix("WeightsUnpickler error:").strip()[:200].rstrip(".")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
