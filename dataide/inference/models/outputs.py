"""What models give, checked: vectors, probabilities of classes, detected objects, or columns of a user's function.

Each output takes what a model returned for a batch and makes named arrays of it that fit the contract. A row that is no
good (NaN, infinite) is a problem of its sample and left out; a shape that is wrong is a fault of the model and ends the
work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dataide.errors import ModelError
from dataide.inference import typed_columns
from dataide.inference.contract import Arrays, Problem
from dataide.storage.masks import encoded

# Rows of probabilities add up to one, but for rounding in half precision.
SUM_TOLERANCE = 2e-2
# So many numbers fit into an array of DuckDB. Of classes that nobody names each number up to the largest gets a name.
MOST_CLASSES = 100_000


@dataclass
class Computed:
    """What a model made of a batch.

    Attributes:
        arrays: by name; a row for each good one, in order (objects of all pictures stand back to back).
        problems: row among the prepared, code, reason.
    """

    arrays: Arrays
    problems: list[Problem] = field(default_factory=list)


def joined(parts: Sequence[Computed], counts: Sequence[int]) -> Computed:
    """Parts of one batch as one; `counts` are the prepared rows of each."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.arrays)
    problems: list[Problem] = []
    before = 0
    for part, count in zip(parts, counts, strict=True):
        problems += [(before + row, code, reason) for row, code, reason in part.problems]
        before += count
    arrays = [part.arrays for part in parts]
    if any(name.startswith(typed_columns.PREFIXES) for name in names):
        columns = [typed_columns.unpacked(one) for one in arrays]
        return Computed(typed_columns.packed(typed_columns.appended(columns, counts)))
    return Computed({name: np.concatenate([one[name] for one in arrays]) for name in names}, problems)


def by_position(count: int, undecoded: Sequence[Problem], computed: Sequence[Problem]) -> list[Problem]:
    """All problems of a batch by position: what could not be decoded was no row for the model."""
    if not computed:
        return list(undecoded)
    missing = {position for position, _, _ in undecoded}
    rows = [position for position in range(count) if position not in missing]
    return [*undecoded, *((rows[row], code, reason) for row, code, reason in computed)]


class Output(Protocol):
    """Checks what a model returns for `count` pictures or texts."""

    details: dict[str, Any]

    def __call__(self, raw: Any, count: int) -> Computed: ...

    def empty(self) -> Computed:
        """The outcome of a batch without a good picture."""
        ...


class Vectors:
    """An embedding: one row of numbers each, "vectors", float32 N x dimension."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._good = False
        self.dimension = 0
        self.details: dict[str, Any] = {}

    def __call__(self, raw: Any, count: int) -> Computed:
        vectors = plain(raw, self._name)
        _require_rows(self._name, vectors, count, self.dimension, "d")
        self.dimension = vectors.shape[1]
        kept, problems = _finite(self._name, vectors, self._good)
        self._good = self._good or len(kept) > 0
        return Computed({"vectors": vectors if len(kept) == count else vectors[kept]}, problems)

    def empty(self) -> Computed:
        return Computed({"vectors": np.empty((0, self.dimension), np.float32)})


class Classes:
    """A classifier: "probabilities", float32 N x classes, each row adding up to 1.

    Args:
        name: for messages.
        classes: their names, as many as there are columns; made up as "0", "1" … where nobody knows them.
        form: "probabilities", "logits", or "auto": probabilities where the first batch is some, else logits.
    """

    def __init__(self, name: str, classes: Sequence[str] | None = None, form: str = "auto") -> None:
        self._name = name
        self._form = form
        self._good = False
        self.classes = list(classes) if classes is not None else None
        self.details: dict[str, Any] = {} if self.classes is None else {"classes": self.classes}

    def __call__(self, raw: Any, count: int) -> Computed:
        scores = plain(raw, self._name)
        if scores.ndim == 2 and len(scores) == count and self.classes and scores.shape[1] != len(self.classes):
            raise ModelError(
                f"{self._name} gives {scores.shape[1]:,} numbers for each sample, and there are "
                f"{len(self.classes):,} classes.",
                hint="Give classes=[…], a name for each number in order, or leave it out to call them 0, 1, 2 …",
                code="classes",
            )
        _require_rows(self._name, scores, count, len(self.classes or ()), "classes")
        if scores.shape[1] > MOST_CLASSES:
            raise ModelError(
                f"{self._name} gives {scores.shape[1]:,} classes, and a run can have {MOST_CLASSES:,}.",
                hint="Is it an embedding? session.embed(model) keeps its numbers as vectors.",
                code="classes",
            )
        if self.classes is None:
            self.classes = self.details["classes"] = [str(number) for number in range(scores.shape[1])]
        kept, problems = _finite(self._name, scores, self._good)
        good = scores if len(kept) == count else scores[kept]
        if len(good):
            self._good = True
            good = self._probabilities(good)
        return Computed({"probabilities": good}, problems)

    def empty(self) -> Computed:
        return Computed({"probabilities": np.empty((0, len(self.classes or ())), np.float32)})

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        fits = bool((scores >= -1e-6).all() and (np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE).all())
        if self._form == "auto":
            self._form = "probabilities" if fits else "logits"
        if self._form == "logits":
            scaled: np.ndarray = np.exp(scores - scores.max(axis=1, keepdims=True))
            scaled /= scaled.sum(axis=1, keepdims=True)
            return scaled
        if not fits:
            raise ModelError(
                f"{self._name} gave numbers that are no probabilities: they must be 0 or more and add up to 1.",
                hint="Say output='logits' if they are scores before a softmax.",
                code="classes",
            )
        positive: np.ndarray = np.maximum(scores, 0)
        return positive


class Boxes:
    """A detector: for each picture a dict of "boxes" (N x 4: left, top, right, bottom in px of the picture given),
    "scores" (N), "labels" or "classes" (N numbers of classes), and optionally "masks" (N x H x W, or N x 1 x H x W,
    bool or 0..1).

    Arrays: "count" int32 a picture; "boxes" float32 (left, top, width, height, px), "scores" float32, "classes" int32
    an object; with masks "mask_runs" uint32 and "mask_lengths" int32: how many of them each has (see masks.py).

    Args:
        name: for messages.
        classes: their names.
        threshold: objects with a lower score are left out.
    """

    def __init__(self, name: str, classes: Sequence[str] | None = None, threshold: float = 0.05) -> None:
        self._name = name
        self._threshold = threshold
        self.classes = list(classes) if classes is not None else None
        self.details: dict[str, Any] = {} if self.classes is None else {"classes": self.classes}

    def __call__(self, raw: Any, count: int) -> Computed:
        found = list(raw) if isinstance(raw, Sequence) else None
        if found is None or len(found) != count or not all(isinstance(one, Mapping) for one in found):
            raise ModelError(
                f"{self._name} returned {_described(raw)} for {count} pictures; a list of {count} dicts is needed.",
                hint="Each with boxes (N x 4: left, top, right, bottom), scores (N) and classes (N).",
                code="callable",
            )
        counts, boxes, scores, classes = [], [], [], []
        runs: list[np.ndarray] = []
        problems: list[Problem] = []
        for row, one in enumerate(found):
            box, score, kind, masks = self._checked(one)
            if not (np.isfinite(box).all() and np.isfinite(score).all()):
                problems.append((row, "not_finite", f"{self._name} gave numbers that are infinite or not numbers."))
                continue
            keep = np.flatnonzero((score >= self._threshold) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1]))
            counts.append(len(keep))
            boxes.append(np.column_stack([box[keep, :2], box[keep, 2:] - box[keep, :2]]))
            scores.append(score[keep])
            classes.append(kind[keep])
            runs += [np.empty(0, np.uint32) if masks is None else encoded(masks[index]) for index in keep]
        arrays = self.empty().arrays
        if counts:
            arrays = {
                "count": np.asarray(counts, np.int32),
                "boxes": np.concatenate(boxes).astype(np.float32),
                "scores": np.concatenate(scores),
                "classes": np.concatenate(classes),
                "mask_runs": np.concatenate([np.empty(0, np.uint32), *runs]),
                "mask_lengths": np.asarray([len(run) for run in runs], np.int32),
            }
        return Computed(arrays, problems)

    def empty(self) -> Computed:
        kinds = {"count": np.int32, "scores": np.float32, "classes": np.int32}
        arrays: Arrays = {name: np.empty(0, kind) for name, kind in kinds.items()}
        arrays |= {"mask_runs": np.empty(0, np.uint32), "mask_lengths": np.empty(0, np.int32)}
        return Computed(arrays | {"boxes": np.empty((0, 4), np.float32)})

    def _checked(self, one: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        kinds = one.get("classes", one.get("labels"))
        if kinds is None or "boxes" not in one or "scores" not in one:
            raise ModelError(
                f"{self._name} gave a picture {', '.join(map(repr, one)) or 'nothing'}; boxes, scores and classes are "
                "needed.",
                code="callable",
            )
        boxes = plain(one["boxes"], self._name).reshape(-1, 4)
        scores = plain(one["scores"], self._name).reshape(-1)
        numbers = plain(kinds, self._name).reshape(-1).astype(np.int32)
        if not len(boxes) == len(scores) == len(numbers):
            raise ModelError(
                f"{self._name} gave {len(boxes)} boxes, {len(scores)} scores and {len(numbers)} classes of a picture.",
                code="callable",
            )
        if self.classes is not None and len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self.classes):
            wrong = numbers.min() if numbers.min() < 0 else numbers.max()
            raise ModelError(
                f"{self._name} gave the class {wrong}, and there are {len(self.classes):,} classes.",
                hint="Give classes=[…] with a name for each number, the background included where it has one.",
                code="classes",
            )
        if self.classes is None and len(numbers) and not 0 <= numbers.min() <= numbers.max() < MOST_CLASSES:
            raise ModelError(
                f"{self._name} gave classes from {numbers.min()} to {numbers.max()}; they must be numbers from 0 up to "
                f"{MOST_CLASSES - 1:,}.",
                hint="Number the classes from 0, and give classes=[…] with a name for each.",
                code="classes",
            )
        masks = one.get("masks")
        if masks is None:
            return boxes, scores, numbers, None
        flat = plain(masks, self._name)
        flat = flat[:, 0] if flat.ndim == 4 else flat
        if flat.ndim != 3 or len(flat) != len(boxes):
            raise ModelError(f"{self._name} gave masks of shape {flat.shape} for {len(boxes)} boxes.", code="callable")
        return boxes, scores, numbers, flat >= 0.5


class Columns:
    """A user's function that measures: a dict of columns, a list of dicts, or one value each; see typed_columns.py."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.details: dict[str, Any] = {}

    def __call__(self, raw: Any, count: int) -> Computed:
        return Computed(typed_columns.packed(typed_columns.columns(raw, count, self._name)))

    def empty(self) -> Computed:
        return Computed({})


def output_for(options: Mapping[str, Any], name: str) -> Output:
    """The output that a model's options ask for."""
    task = options.get("task", "embedding")
    if task == "classification":
        return Classes(name, options.get("classes"), options.get("output", "auto"))
    if task == "detection":
        return Boxes(name, options.get("classes"), options.get("threshold", 0.05))
    return Columns(name) if task == "attributes" else Vectors(name)


def plain(raw: Any, name: str) -> np.ndarray:
    """Any array as float32; a torch tensor may be on a GPU and have a gradient.

    Raises:
        ModelError: it is nothing like an array of numbers.
    """
    try:
        if hasattr(raw, "detach"):
            raw = raw.detach().float().cpu().numpy()
        elif isinstance(raw, list | tuple) and raw and hasattr(raw[0], "detach"):
            raw = [one.detach().float().cpu().numpy() for one in raw]
        made: np.ndarray = np.asarray(raw, np.float32)
        return made
    except (TypeError, ValueError):
        raise ModelError(
            f"{name} returned {_described(raw)}; an array of numbers is needed.", code="callable"
        ) from None


def _require_rows(name: str, rows: np.ndarray, count: int, length: int, called: str) -> None:
    good = rows.ndim == 2 and len(rows) == count and rows.shape[1] == (length or rows.shape[1])
    if good and rows.shape[1]:
        return
    shape = " x ".join(str(length) for length in rows.shape) or "a single number"
    raise ModelError(
        f"{name} returned {shape} for a batch of {count}; {count} x {length or called} is needed.",
        hint="Return one row of numbers for each picture or text, always of the same length.",
        code="callable",
    )


def _finite(name: str, rows: np.ndarray, good_before: bool) -> tuple[np.ndarray, list[Problem]]:
    """Which rows are all finite, and the others as problems; a model that gives nothing else is at fault itself."""
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = np.flatnonzero(~np.isfinite(rows.sum(axis=1)))
    bad = [int(row) for row in suspects if not np.isfinite(rows[row]).all()]
    if not bad:
        return np.arange(len(rows)), []
    reason = f"{name} returned numbers that are infinite or not numbers"
    if len(bad) == len(rows) > 1 and not good_before:
        raise ModelError(
            f"{reason}, for each of {len(rows)} samples.",
            hint="Look at what the model makes of one; half precision may be too small for it.",
            code="not_finite",
        )
    return np.setdiff1d(np.arange(len(rows)), bad), [(row, "not_finite", f"{reason}.") for row in bad]


def _described(raw: Any) -> str:
    return (
        f"{len(raw):,} of {type(raw).__name__}" if isinstance(raw, list | tuple | dict) else f"a {type(raw).__name__}"
    )
