"""Two towers: a model that gives pictures and texts vectors of one space, so that words find pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dataide.errors import ModelError
from dataide.inference import contract
from dataide.inference.models.base import Halving, Model, Problem, Say
from dataide.inference.models.function import Function
from dataide.inference.models.outputs import Computed, Vectors

if TYPE_CHECKING:
    from PIL import Image


@runtime_checkable
class TwoTower(Protocol):
    """What a user brings: any object with these two methods, whose vectors have one dimension."""

    def embed_images(self, images: list[Image.Image]) -> Any:
        """Vectors of pictures (RGB, full size): an array or tensor N x d."""
        ...

    def embed_texts(self, texts: list[str]) -> Any:
        """Vectors of texts: an array or tensor N x d."""
        ...


class Tower(Function):
    """One of two towers. Its revision is that of both, which the kernel knows: finding out the code of a function, as
    `Function` does, would go through all weights again."""

    code = ""

    def __init__(self, function: Callable[[list[Any]], Any], name: str) -> None:
        self._function = function
        self._name = name
        self._output = Vectors(name)
        self._halving = Halving()


class Towers:
    """Two towers as one model; a batch goes to the tower that reads it.

    Args:
        pictures: the model that embeds pictures.
        texts: from a list of texts to an array N x d.
        name: for messages.
    """

    def __init__(self, pictures: Model, texts: Callable[[list[str]], Any], name: str) -> None:
        self._pictures = pictures
        self._texts = Tower(texts, name)
        self._name = name
        self.revision = pictures.revision
        self.device = getattr(pictures, "device", "cpu")
        self.takes_all_cores = pictures.takes_all_cores

    @property
    def dimension(self) -> int:
        return self._pictures.dimension or self._texts.dimension

    @property
    def details(self) -> dict[str, Any]:
        return {**self._pictures.details, "reads": ["pictures", "texts"]}

    def prepare(self, data: Sequence[bytes]) -> tuple[Any, list[Problem]]:
        return self._pictures.prepare(data)

    def prepare_text(self, data: Sequence[bytes]) -> tuple[list[str], list[Problem]]:
        return self._texts.prepare_text(data)

    def compute(self, prepared: Any) -> Computed:
        text = isinstance(prepared, list) and len(prepared) > 0 and isinstance(prepared[0], str)
        computed = self._texts.compute(prepared) if text else self._pictures.compute(prepared)
        pictures, texts = self._pictures.dimension, self._texts.dimension
        if pictures and texts and pictures != texts:
            raise ModelError(
                f"{self._name} gives a picture {pictures} numbers and a text {texts}, so they cannot be compared.",
                hint="Give both towers the same last layer: embed_images and embed_texts return N x d, with one d.",
                code="dimension",
            )
        return computed


def load(message: contract.Load, body: bytes, say: Say) -> Towers:
    """The two towers that this user's own process pickled.

    Raises:
        ModelError: they cannot be had in another process.
    """
    from dataide.inference.models import of_user

    say(f"loading {message.name}")
    return of_towers(of_user(message, body), message.name)


def of_towers(towers: Any, name: str) -> Towers:
    """An object with embed_images and embed_texts as a model.

    Raises:
        ModelError: one of the two is missing.
    """
    if not isinstance(towers, TwoTower):
        raise ModelError(
            f"{name} lacks embed_images or embed_texts.",
            hint="Two towers are an object with embed_images(pictures) and embed_texts(texts), which return N x d.",
            code="towers",
        )
    return Towers(Tower(towers.embed_images, name), towers.embed_texts, name)
