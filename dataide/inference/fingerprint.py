"""What a user's function or module is, as a number: the same in every process, another one when code or weights are.

torch is only looked at where somebody has imported it: what holds no torch module needs none.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Whatever hangs on a function may hold half of the notebook; then its first values have to do.
MOST_VALUES = 50_000
DEEPEST = 100
_CHUNK = 8 << 20
_PYTHON = sysconfig.get_paths()["stdlib"] + os.sep
# How often these are called, or in which mode they are now, changes nothing of what they compute.
_NO_MATTER = frozenset(["training", "num_batches_tracked", "call_super_init", "dump_patches"])


def of(*values: Any, size: int = 6) -> str:
    """Hexadecimal digest of values: code of functions and classes, arrays, tensors, modules and what they hold."""
    digest = _Digest()
    for value in values:
        digest.feed(value)
    return digest.hash.hexdigest()[: 2 * size]


def of_file(path: Path, size: int = 6) -> str:
    """Hexadecimal digest of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[: 2 * size]


def torch_if_imported() -> Any:
    """torch, if this process has imported it all; None otherwise."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "Tensor") and hasattr(torch, "nn") else None


def is_module(value: Any) -> bool:
    """Whether this is an nn.Module."""
    torch = torch_if_imported()
    return torch is not None and isinstance(value, torch.nn.Module)


class _Digest:
    def __init__(self) -> None:
        self.hash = hashlib.blake2b()
        self._within: list[int] = []  # what is being fed now; sharing does not count, only going in circles
        self._count = 0
        self._torch = torch_if_imported()

    def feed(self, value: Any) -> None:
        """Adds a value."""
        if value is None or value is Ellipsis or isinstance(value, bool | int | float | complex | str | bytes):
            self._add(type(value).__name__, repr(value))
            return
        if id(value) in self._within:
            self._add("around", str(self._within.index(id(value))))
            return
        self._count += 1
        if self._count > MOST_VALUES or len(self._within) > DEEPEST:
            return
        self._within.append(id(value))
        self._add(_qualified(type(value)))
        self._feed_object(value)
        self._within.pop()

    def _feed_object(self, value: Any) -> None:
        if isinstance(value, tuple | list):
            self._feed_each(value)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.feed(key)
                self.feed(item)
        elif isinstance(value, set | frozenset):
            # In another process they stand in another order.
            self._add(*sorted(of(item, size=16) for item in value))
        elif isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, functools.partial):
            self._feed_each([value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            self._feed_each([value.__func__, value.__self__])
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType | types.BuiltinFunctionType):
            self._add(str(getattr(value, "__module__", "")), str(getattr(value, "__qualname__", value.__name__)))
        elif self._torch is not None and isinstance(value, self._torch.Tensor):
            self._tensor(value)
        elif self._torch is not None and isinstance(value, self._torch.nn.Module):
            self._module(value)
        else:
            self._instance(value)

    def _feed_each(self, values: Any) -> None:
        self._add(str(len(values)))
        for value in values:
            self.feed(value)

    def _function(self, function: types.FunctionType) -> None:
        self._add(function.__module__ or "", function.__qualname__)
        self._code(function.__code__)
        self._feed_each([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                self.feed(cell.cell_contents)
            except ValueError:  # a name that is not bound yet
                self._add("unbound")
        # What a module's own function refers to is its file's business; what the notebook's does, is nobody else's.
        if function.__module__ == "__main__":
            for name in sorted(set(_global_names(function.__code__))):
                if name in function.__globals__:
                    self._add(name)
                    self.feed(function.__globals__[name])

    def _code(self, code: types.CodeType) -> None:
        self._add(code.co_code.hex(), *code.co_names)
        for constant in code.co_consts:
            self.feed(constant)

    def _class(self, kind: type) -> None:
        self._add(_qualified(kind))
        if _installed(kind):
            return
        for name, value in sorted(vars(kind).items()):
            function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if isinstance(function, property):
                function = function.fget
            if isinstance(function, types.FunctionType):
                self._add(name)
                self._function(function)
            elif not name.startswith("_") and isinstance(function, bool | int | float | str | bytes | tuple):
                self._add(name)
                self.feed(function)
        for base in kind.__bases__:
            self.feed(base)

    def _module(self, module: Any) -> None:
        for name, part in module.named_modules():
            self._add(name)
            self._class(type(part))
            for key, value in sorted(vars(part).items()):
                if not key.startswith("_") and key not in _NO_MATTER:
                    self._add(key)
                    self.feed(value)
        for named in (module.named_parameters(), module.named_buffers()):
            for name, tensor in named:
                if name.rpartition(".")[2] not in _NO_MATTER:
                    self._add(name)
                    self._tensor(tensor)

    def _tensor(self, tensor: Any) -> None:
        self._add(str(tensor.dtype), str(tuple(tensor.shape)))
        try:
            flat = tensor.detach().cpu().contiguous().reshape(-1).view(self._torch.uint8)
            self._bytes(flat.numpy())
        except (RuntimeError, TypeError):  # sparse, quantised or without data
            self._add(repr(tensor))

    def _array(self, array: np.ndarray) -> None:
        self._add(array.dtype.str, str(array.shape))
        if array.dtype.hasobject:
            self._feed_each(array.reshape(-1).tolist())
        else:
            self._bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8))

    def _instance(self, value: Any) -> None:
        self._class(type(value))
        if type(value).__module__.partition(".")[0] in ("dataide", "threading", "_thread", "duckdb", "IPython"):
            return
        slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
        held = {name: getattr(value, name) for name in slots} | getattr(value, "__dict__", {})
        for name, item in sorted(held.items()):
            self._add(str(name))
            self.feed(item)

    def _bytes(self, flat: np.ndarray) -> None:
        for start in range(0, len(flat), _CHUNK):
            self.hash.update(flat[start : start + _CHUNK].data)

    def _add(self, *texts: str) -> None:
        for text in texts:
            data = text.encode("utf-8", "backslashreplace")
            self.hash.update(len(data).to_bytes(8, "little") + data)


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Global names that a function reads: only those go along when it is pickled by value."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return tuple(name for name in ((slots,) if isinstance(slots, str) else slots) if not name.startswith("__"))


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _installed(kind: type) -> bool:
    """Whether a class comes from Python or an installed package: then its name says which it is."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__ == "__main__" or module is None:
        return False
    file = getattr(module, "__file__", None)
    return file is None or "site-packages" in file or "dist-packages" in file or file.startswith(_PYTHON)
