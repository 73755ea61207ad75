"""Models in files: exported programs, and, for who trusts them, TorchScript and pickled modules.

Nothing that a file contains runs unless `trust=True`; see archives.py for how an exported program is kept from it.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dataide.errors import ModelError
from dataide.inference import contract, fingerprint
from dataide.inference.models import archives
from dataide.inference.models.base import Say, last_words
from dataide.inference.models.modules import Quiet, network
from dataide.inference.models.network import Network
from dataide.inference.models.torch_here import device_for
from dataide.inference.models.weights import unpickled


def load(message: contract.Load, sent: Mapping[str, Any], say: Say, device: str) -> Network:
    """The model of a file.

    Args:
        message: its name is the path.
        sent: "transform".
        say: hears what takes time.
        device: auto, cpu, cuda or cuda:1.

    Raises:
        ModelError: the file is no model, holds code and is not trusted, or has changed.
    """
    path = Path(message.name)
    trust = bool(message.options.get("trust"))
    say(f"reading {path.name}")
    revision = str(message.options.get("revision") or "")
    try:
        digest = fingerprint.of_file(path)
        kind = _kind(path)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror or error}.", code="no_file") from None
    if f"#{digest}" not in revision:
        raise ModelError(f"{path.name} has changed just now.", hint="Call again.", code="changed")
    on = device_for(torch, device)
    module = _program(path, trust, on) if kind == "program" else _other(path, kind, trust)
    if isinstance(module, Program) and message.options.get("task") == "detection":
        raise ModelError(
            f"{path.name} is an exported program, which takes a batch; a detector takes each picture in its own size.",
            hint="Give the detector as a torch module, or by its name in torchvision.",
            code="task",
        )
    layer = message.options.get("layer")
    if layer is not None and kind != "pickle":
        raise ModelError(
            f"{path.name} has no layers to read any more, so layer={layer!r} cannot be found.",
            hint="Export a module that ends with that layer.",
            code="unknown_layer",
        )
    details = {"file": path.name, "hash": digest, "form": _FORMS[kind]}
    if isinstance(module, Program):
        details["input"] = " x ".join(map(str, module.shape))
    return network(
        message, module, sent["transform"], revision=revision, device=device, name=path.name, details=details
    )


_FORMS = {"program": "exported program", "script": "TorchScript", "pickle": "pickled module"}


def _kind(path: Path) -> str:
    """What a file is, by its content: program, script, pickle, or safetensors by its name."""
    if path.suffix.lower() == ".safetensors":
        return "safetensors"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        if path.suffix.lower() == ".pt2":
            raise ModelError(
                f"{path.name} is no exported program, or a damaged one.",
                hint="Make it with torch.export.save(torch.export.export(module, (batch,)), 'model.pt2').",
                code="no_program",
            ) from None
        return "pickle"
    if archives.is_program(names):
        return "program"
    return "script" if any(name.partition("/")[2] == "constants.pkl" for name in names) else "pickle"


def _other(path: Path, kind: str, trust: bool) -> Any:
    if kind == "script":
        if not trust:
            raise ModelError(
                f"{path.name} is a TorchScript program, and its code may do more than compute: it can read and write "
                "files.",
                hint="Export the module with torch.export instead, or, if you trust who made it, say trust=True.",
                code="untrusted",
            )
        try:
            return Quiet(torch.jit.load(path, map_location="cpu"))
        except Exception as error:
            raise ModelError(f"{path.name} cannot be loaded: {last_words(error)}.", code="no_program") from None
    held = None if kind == "safetensors" else unpickled(path, trust)
    if isinstance(held, nn.Module):
        return held
    what = "weights" if held is None or isinstance(held, Mapping) else f"a {type(held).__name__}"
    raise ModelError(
        f"{path.name} holds {what}, and nothing says which network they are of."
        if what == "weights"
        else f"{path.name} holds {what} and no model.",
        hint=f"Name the network: model='resnet18', weights={path.name!r}; or load them into your module and give that.",
        code="no_program",
    )


def _program(path: Path, trust: bool, device: str) -> Program:
    checked = None if trust else archives.checked(path)
    if checked is None or any(operator.startswith("torch.ops.torchvision.") for operator in checked.operators):
        with contextlib.suppress(ImportError):
            import torchvision  # noqa: F401 - registers its operators
    try:
        program = torch.export.load(path if checked is None else checked.archive)
        if device.startswith("cuda"):
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        return Program(program, path.name)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{path.name} cannot be loaded by torch {torch.__version__}: {last_words(error)}.",
            hint="Export it again with this torch: torch.export.save(program, 'model.pt2').",
            code="no_program",
        ) from None


class Program(Quiet):
    """An exported program; batches are cut and filled up to the sizes that it was exported for.

    Attributes:
        shape: of its input, as people write it: N x 3 x 224 x 224.
    """

    def __init__(self, exported: Any, name: str) -> None:
        super().__init__(exported.module())
        self._name = name
        inputs = exported.graph_signature.user_inputs
        nodes = [node for node in exported.graph.nodes if node.op == "placeholder" and node.name in inputs]
        if len(inputs) != 1 or len(nodes) != 1 or not isinstance(nodes[0].meta.get("val"), torch.Tensor):
            raise ModelError(
                f"{name} takes {len(inputs)} inputs; a batch of pictures is one.",
                hint="Export a module whose forward takes one tensor N x C x H x W.",
                code="no_program",
            )
        shape = list(nodes[0].meta["val"].shape)
        self._least, self._most = _range(exported, shape[0]) if shape else (1, 1)
        self._picture = [length if isinstance(length, int) else None for length in shape[1:]]
        lengths = ["any" if length is None else str(length) for length in self._picture]
        self.shape = [str(self._most) if self._least == self._most else "N", *lengths]

    def forward(self, batch: torch.Tensor) -> Any:
        lengths = list(batch.shape[1:])
        if len(lengths) != len(self._picture) or any(
            wanted not in (None, there) for wanted, there in zip(self._picture, lengths, strict=True)
        ):
            raise ModelError(
                f"{self._name} was exported for pictures of {' x '.join(self.shape[1:])}, and the transform makes "
                f"{' x '.join(map(str, lengths))}.",
                hint="Change transform= so that it makes tensors of this shape.",
                code="transform",
            )
        # It was made for numbers in plain order.
        batch = batch.contiguous()
        if self._least <= len(batch) <= self._most:
            return self.program(batch)
        parts = batch.split(self._most)
        made = []
        for part in parts:
            lacking = self._least - len(part)
            filled = torch.cat([part, part[-1:].expand(lacking, *part.shape[1:])]) if lacking > 0 else part
            made.append(self.program(filled))
        return _joined(made, [len(part) for part in parts])


def _joined(made: list[Any], counts: list[int]) -> Any:
    """What a program made of some parts as if it had been one, without what they were filled up with."""
    first = made[0]
    if isinstance(first, torch.Tensor):
        return torch.cat([one[:count] for one, count in zip(made, counts, strict=True)]) if first.ndim else first
    if isinstance(first, Mapping):
        return {key: _joined([one[key] for one in made], counts) for key in first}
    if isinstance(first, tuple | list):
        return [_joined(list(ones), counts) for ones in zip(*made, strict=True)]
    return first


def _range(exported: Any, count: Any) -> tuple[int, int]:
    """How few and how many pictures go through at once."""
    if isinstance(count, int):
        return count, count
    limits = exported.range_constraints.get(count.node.expr)
    if limits is None:
        return 1, 1 << 31
    return max(int(limits.lower), 1), int(limits.upper) if limits.upper.is_finite else 1 << 31
