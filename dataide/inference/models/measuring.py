"""`"auto"` and `"quality"`: what is computed from pixels alone, on the decoding threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataide.inference import attributes, descriptor, typed_columns
from dataide.inference.models.base import Problem, decode
from dataide.inference.models.outputs import Computed
from dataide.storage import pictures

# What an import measures as well, so that every picture has it by the same measure: it fills what is still unknown.
KNOWN = frozenset({"width", "height", "brightness", "contrast", "sharpness"})
# What begins so is a column of the schema that an import fills: of pictures that nobody had looked at yet.
SEEN = "seen "


class Descriptor:
    """`"auto"`: see descriptor.py."""

    revision = f"{descriptor.NAME}/{descriptor.REVISION}"
    dimension = descriptor.DIMENSION
    takes_all_cores = False

    def __init__(self) -> None:
        self.details: dict[str, Any] = {}

    def prepare(self, data: Sequence[bytes]) -> tuple[np.ndarray, list[Problem]]:
        images, problems = decode(data, descriptor.DECODE_SIDE_PX)
        return descriptor.describe(images), problems

    def compute(self, prepared: np.ndarray) -> Computed:
        return Computed({"vectors": prepared})


class Quality:
    """`"quality"`: see attributes.py."""

    revision = f"{attributes.NAME}/{attributes.REVISION}"
    dimension = 0
    takes_all_cores = False

    def __init__(self) -> None:
        self.details: dict[str, Any] = {}

    def prepare(self, data: Sequence[bytes]) -> tuple[Computed, list[Problem]]:
        images, problems = decode(data, None)
        bad = {position for position, _, _ in problems}
        good = [one for position, one in enumerate(data) if position not in bad]
        columns = {name: _column(values) for name, values in attributes.describe(images).items() if name not in KNOWN}
        seen = [pictures.statistics(image, one) for image, one in zip(images, good, strict=True)]
        for name in pictures.STATISTICS if seen else ():
            columns[f"{SEEN}{name}"] = _column(np.asarray([one[name] for one in seen]))
        return Computed(typed_columns.packed(columns)), problems

    def compute(self, prepared: Computed) -> Computed:
        return prepared


def _column(values: np.ndarray) -> typed_columns.Column:
    if values.dtype.kind not in "OU":
        return typed_columns.Column(values)
    there = np.asarray([value is not None for value in values], bool)
    texts = np.asarray(["" if value is None else str(value) for value in values], object)
    return typed_columns.Column(texts, None if there.all() else there)
