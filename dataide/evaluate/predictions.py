"""Probabilities read once, in blocks: what each row says, how sure it is, and what its true class was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataide.errors import EvaluationError

Array = NDArray[Any]
SUM_TOLERANCE = 1e-3  # from 1: a softmax in half precision is as far off
_BLOCK_BYTES = 4 << 20
_NAMED = 5
_AS_LOGITS = "If they are scores before a softmax, put them through one first."
NORMALISE = "normalise=True divides each row by its sum."


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that count: they have a label, and a prediction that can be read.

    Attributes:
        index: their places among all that were given, int64 and ascending.
        labels, predicted: int64, class numbers.
        confidence: of the prediction, float64; None where nobody said.
        own: what the true class was given; None without probabilities.
        rank: how many classes were given more than the true one, int64; of equal ones the later classes go before.
        squares: the squared distance between probabilities and truth.
        scale: what each row of the probabilities is divided by; None for 1.
        unlabelled: rows without a label.
        bad: places of labelled rows whose prediction cannot be read: NaN, infinite, or nothing but zeros.
        summed: rows that were divided by their sum.
        least: what a probability of 0 counts as in a logarithm: the smallest step from 1 of its type.
    """

    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64] | None
    own: NDArray[np.float64] | None
    rank: NDArray[np.int64] | None
    squares: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None
    unlabelled: int
    bad: NDArray[np.int64]
    summed: int = 0
    least: float = 0.0

    def __len__(self) -> int:
        return len(self.index)


def of_codes(labels: ArrayLike, predicted: ArrayLike, confidence: ArrayLike | None, classes: int) -> Rows:
    """Rows of which only the predicted class is known, and perhaps how sure it is.

    Raises:
        EvaluationError: lengths differ, or a number names no class, or a confidence is not between 0 and 1.
    """
    truth, said = codes(labels, "labels", classes), codes(predicted, "predictions", classes)
    _same_length(len(truth), len(said), "predictions")
    sure = None
    readable = said >= 0
    if confidence is not None:
        sure = numbers(confidence, "confidences")
        _same_length(len(truth), len(sure), "confidences")
        readable &= np.isfinite(sure)
        _in_unit(sure[readable], "confidence")
    index = np.flatnonzero((truth >= 0) & readable)
    return Rows(
        index, truth[index], said[index], None if sure is None else sure[index].astype(np.float64), None, None, None,
        None, int(np.count_nonzero(truth < 0)), np.flatnonzero((truth >= 0) & ~readable),
    )  # fmt: skip


def of_probabilities(labels: ArrayLike, probabilities: Array, predicted: ArrayLike | None, normalise: bool) -> Rows:
    """Rows of which the probability of each class is known.

    Args:
        labels: N class numbers, -1 for none.
        probabilities: N × C floats.
        predicted: N class numbers where the prediction is not the likeliest class, -1 for none.
        normalise: divide rows by their sums, where these are not 1, instead of refusing them.

    Raises:
        EvaluationError: lengths differ, a number names no class, or these are no probabilities.
    """
    count, classes = probabilities.shape
    truth = codes(labels, "labels", classes)
    _same_length(len(truth), count, "rows of probabilities")
    said = None if predicted is None else codes(predicted, "predictions", classes)
    if said is not None:
        _same_length(count, len(said), "predictions")
    parts = [_block(probabilities, truth, said, start, stop, normalise) for start, stop in blocks(probabilities)]
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    index, chosen, sure, own, rank, squares, sums, bad = joined
    off = np.abs(sums - 1) > SUM_TOLERANCE
    return Rows(
        index, truth[index], chosen, sure, own, rank, squares, np.where(off, sums, 1.0) if off.any() else None,
        int(np.count_nonzero(truth < 0)), bad, int(np.count_nonzero(off)), float(np.finfo(probabilities.dtype).eps),
    )  # fmt: skip


def blocks(probabilities: Array) -> Iterator[tuple[int, int]]:
    """Stretches of rows that fit the processor's cache; one empty stretch of none."""
    step = max(1, _BLOCK_BYTES // max(probabilities.shape[1] * probabilities.dtype.itemsize, 1))
    for start in range(0, max(len(probabilities), 1), step):
        yield start, min(start + step, len(probabilities))


def _block(p: Array, truth: Array, said: Array | None, start: int, stop: int, normalise: bool) -> tuple[Array, ...]:
    """index, predicted, confidence, own, rank, squares, sums, bad: of the rows of one block that count."""
    block, labels = p[start:stop], truth[start:stop]
    with np.errstate(over="ignore", invalid="ignore"):
        # A product with ones is the quickest sum; it tells NaN and infinity as well.
        sums = (block @ np.ones(block.shape[1], block.dtype)).astype(np.float64)
    good = np.isfinite(sums) & (sums != 0)
    if said is not None:
        good &= said[start:stop] >= 0
    index = np.flatnonzero((labels >= 0) & good)
    bad = np.flatnonzero((labels >= 0) & ~good) + start
    if len(index) < len(block):
        block, labels, sums = block[index], labels[index], sums[index]
    rows = np.arange(len(block))
    if len(block):
        _check(block, sums, index + start, normalise)
    chosen = block.argmax(axis=1) if said is None else said[start:stop][index]
    own = block[rows, labels]
    scale = np.where(np.abs(sums - 1) > SUM_TOLERANCE, sums, 1.0)
    rank = _ranks(block, labels, own)
    sure, mine = block[rows, chosen] / scale, own / scale
    squares = np.einsum("ij,ij->i", block, block, dtype=np.float64) / (scale * scale) - 2 * mine + 1
    return index + start, chosen, sure, mine, rank, np.maximum(squares, 0), sums, bad


def _ranks(block: Array, labels: Array, own: Array) -> Array:
    """How many classes stand before the true one, by value and then, of equal ones, the later class first."""
    least = own[:, None]
    kind = np.uint8 if block.shape[1] < 256 else np.uint16 if block.shape[1] < 65_536 else np.uint32
    rank: Array = (block >= least).view(np.uint8).sum(axis=1, dtype=kind).astype(np.int64) - 1
    equal = block == least
    if np.count_nonzero(equal) > len(block):
        tied = np.flatnonzero(equal.sum(axis=1) > 1)
        rank[tied] -= (equal[tied] & (np.arange(block.shape[1]) < labels[tied, None])).sum(axis=1)
    return rank


def _check(block: Array, sums: Array, index: Array, normalise: bool) -> None:
    lowest, highest = float(block.min()), float(block.max())
    if lowest < 0 or (highest > 1 + SUM_TOLERANCE and not normalise):
        wrong = (block < 0) | ((block > 1 + SUM_TOLERANCE) & (not normalise))
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        value = float(block[row][wrong[row]][0])
        raise EvaluationError(
            f"Row {index[row]:,} gives a class {value:.4g}, which is no probability.",
            hint=_AS_LOGITS if lowest < 0 else f"{_AS_LOGITS} {NORMALISE}",
            code="probabilities",
        )
    off = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(off) and not normalise:
        raise EvaluationError(
            f"The probabilities of row {index[off[0]]:,} add up to {sums[off[0]]:.4g}, and not to 1.",
            hint=f"{NORMALISE} For classes that may hold together, use multi_label(…).",
            code="probabilities",
        )


def probabilities_of(values: ArrayLike) -> Array:
    """Probabilities as an N × C array of floats, not copied where they are one.

    Raises:
        EvaluationError: they have another shape, or are no numbers.
    """
    array = numbers(values, "probabilities", 2)
    if array.shape[1] < 1:
        raise EvaluationError("The probabilities have no column.", hint="Give N × C: a column for each class.")
    return array


def numbers(values: ArrayLike, what: str, dimensions: int = 1) -> Array:
    """Numbers as float32 or float64, of so many dimensions; None is NaN.

    Raises:
        EvaluationError: they are something else.
    """
    try:
        array = np.asarray(values)
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"The {what} are no numbers: {error}.", hint="Give an array of floats.") from error
    if array.ndim != dimensions:
        shape = "N × C" if dimensions == 2 else "N"
        raise EvaluationError(f"The {what} have the shape {array.shape}.", hint=f"Give an array of {shape} floats.")
    return array


def codes(values: ArrayLike, what: str, classes: int) -> NDArray[np.int64]:
    """Class numbers; None, NaN and anything below 0 become -1.

    Raises:
        EvaluationError: they are no whole numbers, or name a class that is not there.
    """
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype == object:
        array = np.array([-1 if value is None else value for value in array.tolist()])
    if array.ndim == 1 and array.dtype.kind == "f":
        rounded = np.where(np.isfinite(array), array, -1)
        array = rounded.astype(np.int64) if (rounded == np.floor(rounded)).all() else array
    if array.ndim == 1 and not len(array):
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise EvaluationError(
            f"The {what} are no class numbers (shape {array.shape}, {array.dtype}).",
            hint="Give whole numbers from 0, -1 for none: classes.index(name) makes them of names.",
        )
    found = array.astype(np.int64)
    if (most := int(found.max())) >= classes:
        row = int(found.argmax())
        raise EvaluationError(
            f"Row {row:,} of the {what} names class {most:,}, and the {classes:,} classes end with {classes - 1:,}.",
            hint="Give classes=[…] with a name for each, or a column of probabilities for each.",
        )
    return np.maximum(found, -1)


def named(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names of the classes, by number where nobody named them.

    Raises:
        EvaluationError: there are not as many as classes, or one has two places.
    """
    if classes is None:
        return tuple(str(number) for number in range(count))
    names = tuple(str(name) for name in classes)
    if len(names) != count:
        raise EvaluationError(
            f"{len(names):,} classes are named, and the probabilities have {count:,} columns.",
            hint="Give a name for each column, in order.",
        )
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise EvaluationError(f"Two classes are named {twice!r}.", hint="Name each class once.")
    return names


def some(rows: NDArray[np.int64]) -> str:
    """The first few rows by number, for a message."""
    listed = ", ".join(f"{row:,}" for row in rows[:_NAMED].tolist())
    return f"{listed} …" if len(rows) > _NAMED else listed


def _same_length(labels: int, others: int, what: str) -> None:
    if labels != others:
        raise EvaluationError(f"There are {labels:,} labels and {others:,} {what}.", hint="Give one for each sample.")


def _in_unit(values: Array, what: str) -> None:
    if len(values) and not (values.min() >= 0 and values.max() <= 1 + SUM_TOLERANCE):
        wrong = values.min() if values.min() < 0 else values.max()
        raise EvaluationError(f"A {what} lies between 0 and 1, and {wrong:.4g} does not.", hint=_AS_LOGITS)
