"""Models of torchvision by name, with their published weights and transforms, or with weights in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataide.errors import ModelError, closest
from dataide.inference import contract
from dataide.inference.models.base import Say, last_words, unnamed
from dataide.inference.models.network import Network
from dataide.inference.models.outputs import output_for
from dataide.inference.models.torch_here import device_for, torch_and_vision

# The last layers that published weights have, by task.
DEFAULT_CLASSES = {"embedding": 1000, "classification": 1000, "detection": 91}


def load(message: contract.Load, sent: Mapping[str, Any], say: Say, device: str, threads: int) -> Network:
    """A classifier with its own classes, one without its last layer to embed with, or a detector.

    Args:
        message: the name, and of the options task, weights, trust, layer, classes, and fetch: False where published
            weights are taken only if they are here.
        sent: "transform", where the user gave one.

    Raises:
        ModelError: torch is missing, the name is unknown, or the weights cannot be had.
    """
    name, options = message.name, message.options
    task = str(options.get("task", "embedding"))
    torch, torchvision = torch_and_vision(name, threads, say)
    _require_known(torchvision, name, task)
    on = device_for(torch, device)
    published, file = _weights(torchvision, name, options.get("weights"))
    if file is not None:
        network, count = _from_file(torchvision, name, file, DEFAULT_CLASSES[task], bool(options.get("trust")), say)
        revision = str(options.get("revision") or f"{name}/{file.name}")
        categories = published.meta.get("categories") or []
        categories = categories if len(categories) == count else [str(number) for number in range(count)]
    else:
        network = _with_weights(torch, torchvision, name, published, options.get("fetch", True), say)
        revision = f"{name}/{published.name}"
        if "digest" in options:
            revision += f"#{options['digest']}"
        categories = published.meta.get("categories")
    details: dict[str, Any] = {"parameters": sum(one.numel() for one in network.parameters())}
    transform = sent.get("transform") or published.transforms()
    if task == "embedding":
        network = _embedding(torch, network, name, options.get("layer"))
    else:
        options = {"classes": list(categories or ()) or None, **options}
    if task == "classification":
        options = {"output": "logits", **options}
    return Network(
        network,
        transform,
        output_for(options, name),
        name=name,
        revision=revision,
        device=on,
        apart=task == "detection",
        details=details,
        precision=str(options.get("precision", "auto")),
        compile=bool(options.get("compile")),
    )


def without_head(torch: Any, network: Any) -> None:
    """Takes the last linear layer away."""
    for path in [path for path, module in network.named_modules() if isinstance(module, torch.nn.Linear)][-1:]:
        parent, _, child = path.rpartition(".")
        setattr(network.get_submodule(parent), child, torch.nn.Identity())


def _embedding(torch: Any, network: Any, name: str, layer: str | None) -> Any:
    if layer is None:
        without_head(torch, network)
        return network
    from dataide.inference.models.modules import LayerOf

    return LayerOf(network, layer, name)


def _require_known(torchvision: Any, name: str, task: str) -> None:
    classifiers = torchvision.models.list_models(module=torchvision.models)
    detectors = [
        one
        for one in torchvision.models.list_models(module=torchvision.models.detection)
        if not one.startswith("keypoint")  # their points have no place to go
    ]
    known = detectors if task == "detection" else classifiers
    if name in known:
        return
    if name in detectors:
        raise ModelError(
            f"{name} detects objects; it gives no {'vectors' if task == 'embedding' else 'classes of pictures'}.",
            hint=f"view.predict({name!r}, task='detection') finds objects.",
            code="task",
        )
    if name in classifiers:
        raise ModelError(
            f"{name} classifies pictures; it finds no objects in them.",
            hint=f"Say task='classification', or take a detector: {', '.join(detectors[:3])} …",
            code="task",
        )
    near = closest(name, known)
    common = "'fasterrcnn_resnet50_fpn_v2' is a good one." if task == "detection" else ""
    raise ModelError(
        f"torchvision has no model {name!r}.",
        hint=f"Did you mean {', '.join(near)}?" if near else common or "'resnet18' and 'convnext_tiny' are good ones.",
        code="unknown_model",
    )


def _weights(torchvision: Any, name: str, wanted: Any) -> tuple[Any, Path | None]:
    """The published weights that are meant, or whose transform fits, and the file with others."""
    published = torchvision.models.get_model_weights(name)
    if wanted is None:
        return published.DEFAULT, None
    if wanted in published.__members__:
        return published[wanted], None
    if os.sep not in str(wanted):
        raise ModelError(
            f"There are no weights {wanted!r} of {name}.",
            hint=f"There are: {', '.join(published.__members__)}; or give the path of a file.",
            code="no_weights",
        )
    return published.DEFAULT, Path(wanted)


def _from_file(torchvision: Any, name: str, file: Path, default: int, trust: bool, say: Say) -> tuple[Any, int]:
    from dataide.inference.models.weights import fitted, state_dict

    say(f"reading {file.name}")
    detects = default == DEFAULT_CLASSES["detection"]

    def build(count: int | None) -> Any:
        options: dict[str, Any] = {"weights": None} | ({"weights_backbone": None} if detects else {})
        return torchvision.models.get_model(name, **options, **({} if count is None else {"num_classes": count}))

    return fitted(build, state_dict(file, trust), default, name, file.name)


def _with_weights(torch: Any, torchvision: Any, name: str, weights: Any, fetch: bool, say: Say) -> Any:
    file = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(weights.url))
    if not fetch and not os.path.exists(file):
        raise unnamed(name)
    say(f"loading {file}" if os.path.exists(file) else f"downloading {weights.url}")
    try:
        return torchvision.models.get_model(name, weights=weights)
    except Exception as error:  # no network, a proxy's page instead of the file, a damaged file, a full disk
        there = os.path.exists(file)
        cure = f"Delete {file} and call again" if there else f"Download {weights.url} elsewhere and put it at {file}"
        raise ModelError(
            f"The weights of {name} ({weights.name}) {'cannot be read' if there else 'cannot be downloaded'}: "
            f"{last_words(error)}.",
            hint=f"{cure}, or use model='auto', which needs no weights.",
            code="no_weights",
        ) from None
