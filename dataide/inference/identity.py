"""What a model is called, and which revision of it this is."""

from __future__ import annotations

import functools
import hashlib
import pickle
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dataide.errors import ModelError
from dataide.inference import descriptor

ModelLike = str | Callable[..., Any]


@dataclass(frozen=True)
class Identity:
    """A model before it is loaded.

    Attributes:
        kind: auto, torchvision or callable.
        name: of the embedding.
        model: as torchvision knows it, or as the callable is called.
        revision: what the numbers depend on: `auto/1`, `resnet18/IMAGENET1K_V1`, `module.function#hash`; None while
            only the loaded model knows it.
        pickled: the callable, where another process can have it.
        function: the callable itself.
        note: for people: where it runs, if that is worth saying.
    """

    kind: str
    name: str
    model: str
    revision: str | None
    pickled: bytes = b""
    function: Callable[..., Any] | None = None
    note: str | None = None

    def matches(self, revision: str) -> bool:
        """Whether vectors of this revision may stand beside this model's, as far as is known before it is loaded."""
        return revision.startswith(f"{self.model}/") if self.revision is None else revision == self.revision


def identify(model: ModelLike, name: str | None = None) -> Identity:
    """Says what a user's `model=` means.

    Raises:
        ModelError: it is neither a name nor a callable, or the embedding's name will not do.
    """
    if name is not None and not re.fullmatch(r"\w[\w.\- ]{0,62}", name):
        raise ModelError(f"{name!r} cannot be the name of an embedding.", hint="Use letters, digits and _, at most 63.")
    if isinstance(model, str):
        if model == descriptor.NAME:
            return Identity("auto", name or model, model, f"{descriptor.NAME}/{descriptor.REVISION}")
        return Identity("torchvision", name or model, model, None)
    if not callable(model):
        raise ModelError(
            f"A {type(model).__name__} is no model.",
            hint="Give 'auto', a name of torchvision such as 'resnet18', or a function from pictures to an array.",
        )
    called, revision = revision_of(model)
    title = name or re.sub(r"\W+", "_", called).strip("_") or "model"
    if title == descriptor.NAME and name is None:
        raise ModelError("A function called 'auto' would take the place of the model 'auto'.", hint="Give name='…'.")
    pickled = _pickled(model)
    note = None if pickled else f"{title} is defined in this notebook, so it runs in this process"
    return Identity("callable", title, called, revision, pickled, model, note)


def revision_of(function: Callable[..., Any]) -> tuple[str, str]:
    """What a callable is called, and its revision, which is another one when its code is."""
    called, qualified, code = _described(function)
    return called, f"{qualified}#{hashlib.blake2b(code, digest_size=6).hexdigest()}"


def _pickled(function: Callable[..., Any]) -> bytes:
    """The pickle of a callable, or nothing where another process could not load it: a lambda, or of a notebook."""
    try:
        pickled = pickle.dumps(function)
    except Exception:
        return b""
    # Pickle stores functions and classes by the name of their module; another process does not have a notebook's.
    return b"" if b"__main__" in pickled else pickled


def _described(function: Any) -> tuple[str, str, bytes]:
    """Short name, qualified name, and bytes that change when the code does."""
    if isinstance(function, functools.partial):
        called, qualified, code = _described(function.func)
        return called, qualified, code + repr((function.args, sorted(function.keywords.items()))).encode()
    if isinstance(function, types.MethodType):
        called, qualified, code = _described(function.__func__)
        return called, qualified, code
    if isinstance(function, types.FunctionType):
        qualified = function.__qualname__.replace("<locals>.", "").replace("<lambda>", "lambda")
        return qualified.rpartition(".")[2], f"{function.__module__}.{qualified}", _code(function)
    if isinstance(function, types.BuiltinFunctionType | type):
        qualified = f"{function.__module__}.{function.__qualname__}"
        return function.__name__, qualified, qualified.encode()
    kind = type(function)
    call = getattr(kind, "__call__", None)  # noqa: B004 - its code is wanted
    code = _code(call) if isinstance(call, types.FunctionType) else b""
    return kind.__name__, f"{kind.__module__}.{kind.__qualname__}", code


def _code(function: types.FunctionType) -> bytes:
    parts = [_code_object(function.__code__), repr(function.__defaults__).encode()]
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if isinstance(value, bool | int | float | str | bytes | None):
            parts.append(repr(value).encode())
    return b"\0".join(parts)


def _code_object(code: types.CodeType) -> bytes:
    constants = [
        _code_object(constant) if isinstance(constant, types.CodeType) else repr(constant).encode()
        for constant in code.co_consts
    ]
    return b"\0".join([code.co_code, " ".join(code.co_names).encode(), *constants])
