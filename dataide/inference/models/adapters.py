"""Models of other libraries by name: "timm:resnet50", "open_clip:ViT-B-32/laion2b_s34b_b79k", "transformers:org/name".

Each library is imported when one of its models is asked for, and not needed otherwise. Weights are read as plain
tensors (safetensors, or torch's weights_only); code that comes with a model runs only with trust=True.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dataide.errors import DataideError, ModelError, closest
from dataide.inference import contract
from dataide.inference.models.base import Model, Say, last_words, unnamed
from dataide.inference.models.network import Network
from dataide.inference.models.outputs import Classes, Output, Vectors
from dataide.inference.models.presets import DECODE_MARGIN
from dataide.inference.models.torch_here import device_for, torch_only
from dataide.inference.models.towers import Towers

PACKAGES = {"timm": "timm", "open_clip": "open_clip_torch", "transformers": "transformers"}
_BOTH = ("embedding", "classification")
TASKS = {"timm": _BOTH, "open_clip": ("embedding",), "transformers": _BOTH}


def load(message: contract.Load, say: Say, device: str = "auto", threads: int = 1) -> Model:
    """The model that a name with a library before the colon means.

    Raises:
        ModelError: the library is missing, it has no such model or none for this task, or the weights cannot be had,
            or only a session file names it.
    """
    name = message.name
    library, _, model = name.partition(":")
    if library not in PACKAGES or not model:
        raise ModelError(
            f"{name!r} names no model of another library.",
            hint="'timm:resnet50', 'open_clip:ViT-B-32/laion2b_s34b_b79k' and 'transformers:org/name' are some.",
            code="unknown_model",
        )
    if not message.options.get("fetch", True):
        raise unnamed(name)
    if _task(message) not in TASKS[library]:
        raise ModelError(
            f"{name} cannot be used for {_task(message)}.",
            hint="Embed with it, or predict with a model of torchvision, timm or transformers that was trained for it.",
            code="task",
        )
    torch = torch_only(name, threads, say)
    say(f"importing {library}")
    try:
        found = importlib.import_module(library)
    except ImportError as error:
        raise ModelError(
            f"The model {name!r} needs {library} ({last_words(error)}).",
            hint=f"pip install {PACKAGES[library]}",
            code="missing_extra",
        ) from None
    make = {"timm": _timm, "open_clip": _open_clip, "transformers": _transformers}[library]
    return make(torch, found, model, message, say, device_for(torch, device))


def _timm(torch: Any, timm: Any, model: str, message: contract.Load, say: Say, device: str) -> Model:
    name, classify = message.name, _task(message) == "classification"
    if ":" not in model and not timm.is_model(model.partition(".")[0]):
        raise _unknown(name, [f"timm:{near}" for near in closest(model, timm.list_models())])
    with _weights(name, say, "timm:local-dir:/path/to/folder"):
        module = timm.create_model(model, pretrained=True, **({} if classify else {"num_classes": 0}))
    data = importlib.import_module("timm.data")
    config = data.resolve_model_data_config(module)
    subset = data.infer_imagenet_subset(module) if classify else None
    info = data.ImageNetInfo(subset) if subset else None
    labels = list(module.pretrained_cfg.get("label_names") or ()) if classify else []
    if classify and not labels:
        known = range(module.num_classes)
        labels = [info.index_to_description(index) if info else str(index) for index in known]
    transform = data.create_transform(**config, is_training=False)
    output, side = _output(message, labels if classify else None), max(config["input_size"][1:])
    return _network(module, transform, output, message, device, side, config)


def _open_clip(torch: Any, open_clip: Any, model: str, message: contract.Load, say: Say, device: str) -> Model:
    name = message.name
    with_place = model.startswith(("hf-hub:", "local-dir:"))
    known, _, tag = (model, "", "") if with_place else model.partition("/")
    if not with_place and known not in open_clip.list_models():
        raise _unknown(name, [f"open_clip:{near}" for near in closest(known, open_clip.list_models())])
    if not with_place and not tag:
        tags = open_clip.list_pretrained_tags_by_model(known)
        raise _unknown(name, [f"open_clip:{known}/{one}" for one in tags[:3]])
    with _weights(name, say, "open_clip:local-dir:/path/to/folder"):
        module, transform = open_clip.create_model_from_pretrained(known, pretrained=tag or None)
        tokenizer = open_clip.get_tokenizer(known)
    size = module.visual.image_size
    side = max(size) if isinstance(size, tuple) else int(size)
    pictures = _calling(torch, module, module.encode_image)
    output = _output(message, None)
    settings = open_clip.get_model_preprocess_cfg(module)
    network = _network(pictures, transform, output, message, device, side, settings)

    def texts(batch: list[str]) -> Any:
        with torch.inference_mode():
            return module.encode_text(tokenizer(batch).to(device))

    return Towers(network, texts, name)


def _transformers(torch: Any, transformers: Any, model: str, message: contract.Load, say: Say, device: str) -> Model:
    name, classify, trust = message.name, _task(message) == "classification", bool(message.options.get("trust"))
    maker = transformers.AutoModelForImageClassification if classify else transformers.AutoModel
    with _weights(name, say, "transformers:/path/to/folder"):
        module, loaded = maker.from_pretrained(model, trust_remote_code=trust, output_loading_info=True)
        processor = transformers.AutoImageProcessor.from_pretrained(model, trust_remote_code=trust)
        two = not classify and hasattr(module, "get_image_features") and hasattr(module, "get_text_features")
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=trust) if two else None
    missing = sorted(loaded["missing_keys"])
    # A classifier was saved without the layer that AutoModel pools with; random numbers are put there.
    pooler = not any("pooler" in key for key in missing)
    if lacking := [key for key in missing if "pooler" not in key]:
        raise ModelError(
            f"The weights of {name} lack {len(lacking):,} parts that {_task(message)} needs, {lacking[0]} among them.",
            hint="Take a model that was saved for it.",
            code="no_weights",
        )

    def transform(image: Any) -> Any:
        return processor(images=image, return_tensors="pt")["pixel_values"][0]

    def pictures(batch: Any) -> Any:
        if two:
            return _pooled(module.get_image_features(pixel_values=batch), True)
        outcome = module(pixel_values=batch)
        return outcome.logits if classify else _pooled(outcome, pooler)

    def texts(batch: list[str]) -> Any:
        # Some tokenizers do not know how much the model can read, and SigLIP was trained with texts of one length.
        limit = getattr(getattr(module.config, "text_config", None), "max_position_embeddings", None)
        padding = "max_length" if "siglip" in module.config.model_type else True
        assert tokenizer is not None
        with torch.inference_mode():
            tokens = tokenizer(batch, padding=padding, truncation=True, max_length=limit, return_tensors="pt")
            return _pooled(module.get_text_features(**tokens.to(device)), True)

    sides = [side for side in dict(processor.size or {}).values() if isinstance(side, int)]
    labels = [str(module.config.id2label[index]) for index in range(module.config.num_labels)] if classify else None
    tower, output = _calling(torch, module, pictures), _output(message, labels)
    network = _network(tower, transform, output, message, device, max(sides, default=256), processor.to_dict())
    return Towers(network, texts, name) if two else network


def _pooled(outcome: Any, pooler: bool) -> Any:
    """One row a picture or text: what the model pools, else its first token, else the mean over the plane."""
    pooled = getattr(outcome, "pooler_output", None) if pooler else None
    if pooled is None:
        hidden = getattr(outcome, "last_hidden_state", None)
        if hidden is None:
            pooled = outcome  # older versions give the tensor itself
        else:
            pooled = hidden[:, 0] if hidden.ndim == 3 else hidden.mean((2, 3))
    return pooled.flatten(1)


def _calling(torch: Any, module: Any, forward: Callable[[Any], Any]) -> Any:
    """A module of which another function is called."""

    class Tower(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, batch: Any) -> Any:
            return forward(batch)

    return Tower()


def _network(
    module: Any,
    transform: Any,
    output: Output,
    message: contract.Load,
    device: str,
    side_px: int,
    settings: dict[str, Any],
) -> Network:
    """The model, whose revision is that of its weights and of how it wants pictures: `settings`."""
    import torch

    digest = hashlib.blake2b(repr(sorted(settings.items())).encode(), digest_size=6)
    for key, tensor in module.state_dict().items():
        digest.update(key.encode())
        # As bytes, because numpy has no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    count = sum(parameter.numel() for parameter in module.parameters())
    return Network(
        module,
        transform,
        output,
        name=message.name,
        revision=f"{message.name}/{digest.hexdigest()}",
        device=device,
        decode_side_px=int(side_px * DECODE_MARGIN),
        details={"parameters": count, "hash": digest.hexdigest()},
        precision=str(message.options.get("precision", "auto")),
        compile=bool(message.options.get("compile")),
    )


def _task(message: contract.Load) -> str:
    return str(message.options.get("task", "embedding"))


def _output(message: contract.Load, labels: list[str] | None) -> Output:
    """What checks the model's numbers; `labels` are those that it was trained with, None to embed."""
    if labels is None:
        return Vectors(message.name)
    return Classes(message.name, message.options.get("classes") or labels, "logits")


def _unknown(name: str, near: list[str]) -> ModelError:
    library = name.partition(":")[0]
    return ModelError(
        f"{library} has no model {name.partition(':')[2]!r}.",
        hint=f"Did you mean {', '.join(near)}?" if near else f"Look at {library}.list_models().",
        code="unknown_model",
    )


@contextmanager
def _weights(name: str, say: Say, place: str) -> Iterator[None]:
    say(f"loading {name}, which may take a download")
    try:
        yield
    except DataideError:
        raise
    except Exception as error:  # no network, no such repository, a damaged file, a full disk
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"{name} brings code of its own, which would run on this machine.",
                hint="Read that code; if you trust it, call again with trust=True.",
                code="untrusted",
            ) from None
        raise ModelError(
            f"The weights of {name} cannot be had: {last_words(error)}.",
            hint="Where there is no network, download them elsewhere (hf download ORG/NAME), bring the folder here and "
            f"give model='{place}', or copy the cache that HF_HOME names.",
            code="no_weights",
        ) from None
