"""What all models have in common: encoded pictures or texts in, named arrays out, and how short memory is met."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from dataide.errors import DataideError, ModelError
from dataide.inference import contract, machine
from dataide.inference.models.outputs import Computed, joined
from dataide.storage import pictures

if TYPE_CHECKING:
    from PIL import Image

Problem = contract.Problem
Say = Callable[[str], None]


class Model(Protocol):
    """A model in two steps, so that one batch is decoded while the one before is computed.

    Models that read text as well have `prepare_text(data)`, which takes UTF-8; what it gives goes to `compute`.
    """

    @property
    def revision(self) -> str: ...

    @property
    def dimension(self) -> int:
        """Of an embedding; 0 until it is known, and for others."""
        ...

    @property
    def takes_all_cores(self) -> bool:
        """Whether several threads compute one batch together: then none is decoded meanwhile."""
        ...

    @property
    def details(self) -> dict[str, Any]:
        """What session.models says of it: classes, parameters, hash. Grows with the first batch of a callable."""
        ...

    def prepare(self, data: Sequence[bytes]) -> tuple[Any, list[Problem]]:
        """Decodes; runs on several threads at once. Problems are by position in `data`, and left out of the rest."""
        ...

    def compute(self, prepared: Any) -> Computed:
        """What it makes of a prepared batch; runs on one thread. Problems are by row of what was prepared."""
        ...


def keep_picture_memory() -> None:
    """Lets Pillow keep the memory of a picture for the next one, which decodes a quarter faster; at most 64 MiB."""
    from PIL import _imaging

    _imaging.set_block_size(1 << 20)
    _imaging.set_blocks_max(64)


def decode(data: Sequence[bytes], max_side_px: int | None) -> tuple[list[Image.Image], list[Problem]]:
    """Decodes a batch; what cannot be decoded is left out and listed."""
    images: list[Image.Image] = []
    problems: list[Problem] = []
    for index, one in enumerate(data):
        try:
            images.append(pictures.decode(one, max_side_px=max_side_px))
        except DataideError as error:
            problems.append((index, error.code, error.message))
    return images, problems


class Halving:
    """Computes a batch in as large parts as fit into memory; what did not fit once is not tried again."""

    def __init__(self) -> None:
        self._largest = sys.maxsize

    @property
    def largest(self) -> int | None:
        """The most that is tried at once; None as long as everything has fitted."""
        return self._largest if self._largest < sys.maxsize else None

    def __call__(self, compute: Callable[[Any], Computed], batch: Any) -> Computed:
        """The outcome of a batch; `compute` raises what torch raises when memory is short."""
        parts: list[Computed] = []
        counts: list[int] = []
        done = 0
        while done < len(batch):
            part = batch[done : done + self._largest]
            try:
                parts.append(compute(part))
            except Exception as error:
                if not out_of_memory(error) or len(part) == 1:
                    raise
                self._largest = len(part) // 2
            else:
                done += len(part)
                counts.append(len(part))
                continue
            # Outside of the handler: the traceback held what had been computed.
            cuda = machine.cuda_in_use()
            if cuda is not None:
                cuda.empty_cache()
        return joined(parts, counts)


def out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory was too small: torch says so in words, whichever type it raises."""
    return isinstance(error, RuntimeError) and "out of memory" in str(error)


def unnamed(name: str) -> ModelError:
    """Why a model is refused that would be fetched, and that only a session file names ("fetch" is False)."""
    return ModelError(
        f"The session file says that {name!r} made these vectors, and nothing is fetched because a file says so.",
        hint=f"If you know this model and want it, name it yourself: session.similar(…, model={name!r}).",
        code="needs_model",
    )


def last_words(error: BaseException) -> str:
    """Type and message of an error, on one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
