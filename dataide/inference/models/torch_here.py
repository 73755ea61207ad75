"""torch as this machine has it."""

from __future__ import annotations

from typing import Any

from dataide.errors import ModelError
from dataide.inference.models.base import Say, last_words


def torch_only(name: str, threads: int, say: Say) -> Any:
    """torch, with so many threads.

    Raises:
        ModelError: it is not installed.
    """
    say("importing torch")
    try:
        import torch
    except ImportError as error:
        raise _missing(name, "torch", error) from None
    torch.set_num_threads(threads)
    return torch


def torch_and_vision(name: str, threads: int, say: Say) -> tuple[Any, Any]:
    """torch and torchvision.

    Raises:
        ModelError: one is not installed, or they do not go together.
    """
    torch = torch_only(name, threads, say)
    try:
        import torchvision
    except ImportError as error:
        raise _missing(name, "torch and torchvision", error) from None
    except Exception as error:
        raise ModelError(
            f"torch and torchvision do not fit together ({last_words(error)}).",
            hint="pip install --upgrade --force-reinstall torch torchvision",
        ) from None
    return torch, torchvision


def device_for(torch: Any, wanted: str) -> str:
    """The device that is meant: "auto" is CUDA where torch can use it.

    Raises:
        ModelError: a GPU is asked for that torch cannot use.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            f"torch cannot use {wanted!r} here.",
            hint="Install a torch that fits the GPU's driver, or compute on the CPU.",
            code="no_device",
        )
    return wanted


def _missing(name: str, what: str, error: ImportError) -> ModelError:
    return ModelError(
        f"The model {name!r} needs {what} ({last_words(error)}).",
        hint="pip install 'dataide[ml]', or use model='auto', which needs neither.",
        code="missing_extra",
    )
