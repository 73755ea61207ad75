"""Pickles of torch modules for the inference process: their tensors as plain bytes, wherever they are now."""

from __future__ import annotations

import io
from typing import Any

import cloudpickle
import numpy as np
import torch


def dumps(what: Any) -> bytes:
    """A pickle whose tensors are the CPU's when it is loaded; what is pickled stays as it is."""
    stream = io.BytesIO()
    _Pickler(stream).dump(what)
    return stream.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """torch's own way would write each tensor as an archive of its own, and put it back onto the GPU it came from."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in (torch.Tensor, torch.nn.Parameter) and obj.layout == torch.strided and not obj.is_quantized:
            plain = obj.detach().cpu().contiguous()
            flat = plain.reshape(-1).view(torch.uint8).numpy()
            dtype = str(plain.dtype).removeprefix("torch.")
            parameter = isinstance(obj, torch.nn.Parameter)
            return tensor, (flat, dtype, tuple(plain.shape), parameter, obj.requires_grad)
        return super().reducer_override(obj)


def tensor(flat: np.ndarray, dtype: str, shape: tuple[int, ...], parameter: bool, requires_grad: bool) -> Any:
    """A tensor of what was sent."""
    # Its memory belongs to the pickle otherwise, which is not for writing.
    made = torch.from_numpy(flat.copy()).view(getattr(torch, dtype)).reshape(shape)
    return torch.nn.Parameter(made, requires_grad=requires_grad) if parameter else made.requires_grad_(requires_grad)
