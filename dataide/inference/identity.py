"""What a model is called, and which revision of it this is."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cloudpickle
import numpy as np

from dataide.errors import ModelError, did_you_mean
from dataide.inference import descriptor, fingerprint

ModelLike = Any  # a name, a path, a callable, a torch module, or an object with embed_images and embed_texts
Task = Literal["embedding", "classification", "detection", "attributes"]


# What a model may be loaded with, beside its name; all JSON, but for transform, which is pickled with the module.
OPTIONS = frozenset(
    {"task", "form", "classes", "output", "threshold", "layer", "transform", "weights", "trust", "compile", "precision"}
)
ADAPTERS = ("timm:", "open_clip:", "transformers:")
# What some kinds of models take of them; the others would be ignored.
_OF_ADAPTERS = ("classes", "trust", "compile", "precision", "task", "form")
_OF_FUNCTIONS = ("classes", "output", "threshold", "task", "form")
# Options of a model of torchvision that make other results of the same weights.
_CHANGING = ("layer", "output", "threshold")
FILES = (".pt2", ".pt", ".pth", ".ts", ".safetensors")
_TRANSFORM = (
    "Give transform=, a function from a PIL picture to a tensor C x H x W that does what the model was trained with: "
    "transform=torchvision.transforms.Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize(mean, std)]), or "
    "torchvision.models.ResNet18_Weights.DEFAULT.transforms()."
)


@dataclass(frozen=True)
class Identity:
    """A model before it is loaded.

    Attributes:
        kind: as `models.load` tells them apart: auto, torchvision, module, file, towers, adapter, callable …
        name: of the embedding or run.
        model: as torchvision knows it, as the callable or class is called, or the path of a file.
        revision: what the numbers depend on: `auto/1`, `resnet18/IMAGENET1K_V1`, `module.function#hash`; None while
            only the loaded model knows it.
        pickled: what the user gave, where another process can have it.
        function: the callable itself.
        note: for people: where it runs, if that is worth saying.
        options: what else the model is loaded with, as JSON: task, classes, layer, form (text or picture) …
    """

    kind: str
    name: str
    model: str
    revision: str | None
    pickled: bytes = b""
    function: Callable[..., Any] | None = None
    note: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def key(self) -> str:
        """What a loaded model is known by: the same key is the same model, for any name of an embedding."""
        # Which of its inputs is read is said with each batch.
        options = {name: value for name, value in self.options.items() if name != "form"}
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.pickled, json.dumps(options, sort_keys=True).encode()):
            digest.update(part)
        return f"{self.kind}:{self.revision or self.model}:{digest.hexdigest()}"

    def matches(self, revision: str) -> bool:
        """Whether results of this revision may stand beside this model's, as far as is known before it is loaded."""
        if self.revision is not None:
            return revision == self.revision
        # Which weights there are only the loaded model knows, but not with which transform or layer it was asked for.
        known, _, digest = revision.partition("#")
        return known.startswith(f"{self.model}/") and digest == self.options.get("digest", "")


def identify(model: ModelLike, name: str | None = None, **options: Any) -> Identity:
    """Says what a user's `model=` means.

    Args:
        model: what the user gave: a name, the path of a file, a torch module, an object with embed_images and
            embed_texts, or a callable. docs/models.md describes them all.
        name: of the embedding or run; by default the model's.
        **options: for loading it (`OPTIONS`); those that are None are left out.

    Raises:
        ModelError: it is nothing that can compute, or the name will not do.
    """
    check_name(name, options.get("task"))
    given = _checked(options)
    transform = given.pop("transform", None)
    if hasattr(model, "embed_images") and hasattr(model, "embed_texts"):
        return _towers(model, name, given)
    if hasattr(model, "graph_signature") or type(model).__name__ in ("GraphModule", "RecursiveScriptModule"):
        raise ModelError(
            "An exported program travels as a file.",
            hint="torch.export.save(program, 'net.pt2'), then give 'net.pt2' with transform=.",
            code="not_portable",
        )
    if fingerprint.is_module(model):
        return _module(model, name, transform, given)
    if isinstance(model, os.PathLike) or (isinstance(model, str) and model.lower().endswith(FILES)):
        return _file(Path(model), name, transform, given)
    if isinstance(model, str):
        return _named(model, name, transform, given)
    if not callable(model):
        raise ModelError(
            f"A {type(model).__name__} is no model.",
            hint="Give 'auto', a name of torchvision such as 'resnet18', a torch module with transform=, the path of "
            "an exported program, or a function from pictures to an array.",
        )
    if isinstance(model, type) and hasattr(model, "register_forward_hook"):
        raise ModelError(f"{model.__name__} is a class.", hint=f"Give a module of it: {model.__name__}().")
    if transform is not None:
        raise ModelError("transform= is for torch modules and files.", hint="A function gets pictures: do it there.")
    refuse(given, _OF_FUNCTIONS, "A function")
    called, revision = revision_of(model)
    revision += _how_read(given)
    title = _title(name, called)
    if title == descriptor.NAME and name is None:
        raise ModelError("A function called 'auto' would take the place of the model 'auto'.", hint="Give name='…'.")
    pickled = pickled_for_another(model)
    note = None if pickled else f"{title} cannot be sent to another process, so it runs in this one"
    return Identity("callable", title, called, revision, pickled, model, note, given)


def check_name(name: str | None, task: str | None) -> None:
    """Refuses what can be no name of an embedding or run; None is for the model's own.

    Raises:
        ModelError: it is empty, too long, or has other characters than letters, digits, _, dots, dashes and spaces.
    """
    if name is not None and not (isinstance(name, str) and re.fullmatch(r"\w[\w.\- ]{0,62}", name)):
        what = {"embedding": "an embedding", "attributes": "attributes"}.get(task or "embedding", "a run")
        raise ModelError(f"{name!r} cannot be the name of {what}.", hint="Use letters, digits and _, at most 63.")


def revision_of(function: Callable[..., Any]) -> tuple[str, str]:
    """What a callable is called, and its revision, which is another one when its code is, or what it holds."""
    called, qualified = _described(function)
    return called, f"{qualified}#{fingerprint.of(function)}"


def pickled_for_another(what: Any) -> bytes:
    """The pickle of something of the user's, or nothing where there is none.

    What the notebook itself defines goes along by value; what comes from a file, by the name of its module.
    """
    try:
        return bytes(cloudpickle.dumps(what))
    except Exception:  # it holds a lock, an open file, a session …
        return b""


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options that are given.

    Raises:
        ModelError: there is no such option, or its value is of no use.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise ModelError(
            f"There is no option {unknown[0]!r}.", hint=did_you_mean(unknown[0], OPTIONS) or None, code="unknown_option"
        )
    given = {
        key: value if key in ("transform", "classes") else _plain(key, value)
        for key, value in options.items()
        if value is not None
    }
    if "classes" in given:
        classes = given["classes"]
        if isinstance(classes, str) or not hasattr(classes, "__iter__") or not (names := [str(one) for one in classes]):
            raise ModelError(
                f"classes={classes!r} is no list of names.", hint="Give classes=['cat', 'dog'].", code="classes"
            )
        twice = next((one for number, one in enumerate(names) if one in names[:number] and one != "N/A"), None)
        if twice is not None:
            raise ModelError(f"Two classes are called {twice!r}.", hint="Give each a name of its own.", code="classes")
        given["classes"] = names
    if "transform" in given and not callable(given["transform"]):
        raise ModelError(
            f"transform= must be a function, and this is a {type(given['transform']).__name__}.",
            hint=_TRANSFORM,
            code="transform",
        )
    if "threshold" in given and (isinstance(given["threshold"], str) or not 0 <= given["threshold"] <= 1):
        raise ModelError(
            f"threshold={given['threshold']!r} is no score.", hint="Give a number from 0 to 1.", code="threshold"
        )
    return given


def _plain(name: str, value: Any) -> str | bool | int | float:
    """The value of an option as plain JSON has it: it travels to the inference process, and is part of a key."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str | bool | int | float):
        raise ModelError(
            f"{name}= cannot be a {type(value).__name__}.", hint=f"Give {name}= a text or a number.", code="option"
        )
    return value


def refuse(options: Mapping[str, Any], allowed: Collection[str], what: str) -> None:
    """Refuses options that would be ignored; those that are None are not given.

    Args:
        options: what was given.
        allowed: the names of those that mean something.
        what: whose options these are, for people.

    Raises:
        ModelError: one of them is not allowed.
    """
    unknown = sorted(name for name, value in options.items() if value is not None and name not in allowed)
    if unknown:
        said = sorted(set(allowed) - {"task", "form"})
        raise ModelError(
            f"{what} has no option {unknown[0]!r}.",
            hint=did_you_mean(unknown[0], said) or "Leave it out.",
            code="unknown_option",
        )


def _named(model: str, name: str | None, transform: Any, given: dict[str, Any]) -> Identity:
    if model == descriptor.NAME:
        refuse(given | {"transform": transform}, ("task", "form"), repr(model))
        return Identity("auto", name or model, model, f"{descriptor.NAME}/{descriptor.REVISION}", options=given)
    if model.startswith(ADAPTERS):
        refuse(given | {"transform": transform}, _OF_ADAPTERS, repr(model))
        return Identity("adapter", _title(name, model.replace(":", "_").replace("/", "_")), model, None, options=given)
    revision: str | None = None
    if "weights" in given:
        weights = str(given["weights"])
        if re.fullmatch(r"[A-Z][A-Z0-9_]*", weights):
            revision = f"{model}/{weights}"
        else:
            path, digest = _hashed(Path(weights), "weights")
            given["weights"] = str(path)
            revision = f"{model}/{path.name}#{digest}"
    pickled = b"" if transform is None else _sent({"transform": transform}, "This transform")
    changing = {option: given[option] for option in _CHANGING if option in given}
    if transform is not None or changing:
        digest = fingerprint.of(transform, changing)
        if revision is None:
            given["digest"] = digest
        else:
            revision += f"#{digest}"
    return Identity("torchvision", name or model, model, revision, pickled, options=given)


def _file(path: Path, name: str | None, transform: Any, given: dict[str, Any]) -> Identity:
    refuse(given, OPTIONS - {"weights"}, f"The model file {path.name}")
    path, digest = _hashed(path, "model")
    if transform is None and path.suffix.lower() != ".safetensors":
        raise ModelError(
            f"{path.name} is a model, and nothing says how pictures become its input.",
            hint=_TRANSFORM,
            code="transform",
        )
    pickled = b"" if transform is None else _sent({"transform": transform}, "This transform")
    revision = f"{path.name}#{digest}#{fingerprint.of(transform, given.get('layer'))}{_how_read(given)}"
    return Identity("file", _title(name, path.stem), str(path), revision, pickled, options=given)


def _module(module: Any, name: str | None, transform: Any, given: dict[str, Any]) -> Identity:
    # What torch.compile and DataParallel put around it does not travel, and is of no use there.
    module = getattr(module, "_orig_mod", module)
    module = module.module if type(module).__name__ in ("DataParallel", "DistributedDataParallel") else module
    called = type(module).__name__
    transform = transform or getattr(module, "transform", None)
    if not callable(transform):
        raise ModelError(
            f"{called} is a torch module, and nothing says how pictures become its input.",
            hint=_TRANSFORM,
            code="transform",
        )
    if "layer" in given:
        _require_layer(module, str(given["layer"]))
    if "weights" in given:
        raise ModelError(f"{called} has its weights already.", hint="Leave weights= out, or load them into it first.")
    digest = fingerprint.of(module)
    # The weights are gone through once: they may be a gigabyte, and the notebook waits.
    revision = f"{called}#{fingerprint.of(digest, transform, given.get('layer'))}{_how_read(given)}"
    options = given | {"hash": digest, "class": f"{type(module).__module__}.{type(module).__qualname__}"}
    pickled = _sent({"module": module, "transform": transform}, called)
    return Identity("module", _title(name, called), called, revision, pickled, options=options)


def _how_read(given: dict[str, Any]) -> str:
    """What a revision ends with where options say how the model's numbers become results."""
    changing = {option: given[option] for option in ("output", "threshold") if option in given}
    return f"#{fingerprint.of(changing)}" if changing else ""


def _towers(model: Any, name: str | None, given: dict[str, Any]) -> Identity:
    kind = type(model) if not isinstance(model, type) else None
    if kind is None:
        raise ModelError(f"{model.__name__} is a class.", hint=f"Give an object of it: {model.__name__}().")
    called = kind.__name__
    revision = f"{kind.__module__}.{kind.__qualname__}#{fingerprint.of(model)}"
    return Identity("towers", _title(name, called), called, revision, _sent(model, called), options=given)


def _require_layer(module: Any, layer: str) -> None:
    names = [path for path, _ in module.named_modules() if path]
    if layer not in names:
        raise ModelError(
            f"{type(module).__name__} has no layer {layer!r}.", hint=did_you_mean(layer, names), code="unknown_layer"
        )


def _hashed(path: Path, what: str) -> tuple[Path, str]:
    """The file, absolute, and a hash of its bytes.

    Raises:
        ModelError: it is not there, or cannot be read.
    """
    path = path.expanduser().absolute()
    try:
        return path, fingerprint.of_file(path)
    except OSError as error:
        words = error.strerror or str(error)
        hint = f"{path} is what was looked for." if isinstance(error, FileNotFoundError) else None
        raise ModelError(f"The {what} file {path.name} cannot be read: {words}.", hint=hint, code="no_file") from None


def _sent(what: Any, called: str) -> bytes:
    """The pickle for the inference process; tensors of a GPU go as the CPU's, and the user's own stay where they are.

    Raises:
        ModelError: it holds something that no other process can have.
    """
    try:
        if fingerprint.torch_if_imported() is not None:
            from dataide.inference.models.sending import dumps

            return dumps(what)
        return bytes(cloudpickle.dumps(what))
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{called} cannot be sent to the inference process: {type(error).__name__}: {words}.",
            hint="It must not hold locks, open files or compiled code. Give a function that makes or uses it instead.",
            code="not_portable",
        ) from None


def _title(name: str | None, called: str) -> str:
    return name or re.sub(r"\W+", "_", called).strip("_")[:63] or "model"


def _described(function: Any) -> tuple[str, str]:
    """Short and qualified name."""
    if isinstance(function, functools.partial):
        return _described(function.func)
    if isinstance(function, types.MethodType):
        return _described(function.__func__)
    if isinstance(function, types.FunctionType):
        qualified = function.__qualname__.replace("<locals>.", "").replace("<lambda>", "lambda")
        return qualified.rpartition(".")[2], f"{function.__module__}.{qualified}"
    if isinstance(function, types.BuiltinFunctionType | type):
        return function.__name__, f"{function.__module__}.{function.__qualname__}"
    kind = type(function)
    return kind.__name__, f"{kind.__module__}.{kind.__qualname__}"
