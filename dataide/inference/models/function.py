"""A callable of the user: a list of pictures or of texts in, whatever its task asks for out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dataide.errors import ModelError
from dataide.inference.identity import revision_of
from dataide.inference.models.base import Halving, Problem, decode, last_words, out_of_memory
from dataide.inference.models.outputs import Computed, Output, Vectors

if TYPE_CHECKING:
    from PIL import Image


class Function:
    """A callable: a list of PIL pictures (RGB, full size) or of str in; what `output` checks out."""

    revision = ""  # the kernel knows it: it has the code
    takes_all_cores = False

    def __init__(self, function: Callable[[list[Any]], Any], name: str, output: Output | None = None) -> None:
        self.code = revision_of(function)[1]
        self._function = function
        self._name = name
        self._output = output or Vectors(name)
        self._halving = Halving()

    @property
    def dimension(self) -> int:
        return getattr(self._output, "dimension", 0)

    @property
    def details(self) -> dict[str, Any]:
        return self._output.details

    def prepare(self, data: Sequence[bytes]) -> tuple[list[Image.Image], list[Problem]]:
        return decode(data, None)

    def prepare_text(self, data: Sequence[bytes]) -> tuple[list[str], list[Problem]]:
        return [one.decode("utf-8", "replace") for one in data], []

    def compute(self, prepared: list[Any]) -> Computed:
        return self._halving(self._once, prepared) if prepared else self._output.empty()

    def _once(self, prepared: list[Any]) -> Computed:
        what = "texts" if isinstance(prepared[0], str) else "pictures"
        try:
            result = self._function(prepared)
        except Exception as error:
            if out_of_memory(error) and len(prepared) > 1:
                raise
            raise ModelError(
                f"{self._name} failed on a batch of {len(prepared)} {what}: {last_words(error)}.", code="callable"
            ) from error
        return self._output(result, len(prepared))
