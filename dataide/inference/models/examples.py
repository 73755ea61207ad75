"""What a recipe trains on, and what it leaves: the same for pictures and for vectors. Needs numpy only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataide.errors import ModelError

HELD_OUT = 0.1
MOST_HELD_OUT = 2_000
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Examples:
    """Examples that were looked at and may be trained on.

    Attributes:
        inputs: uint8 N x side x side x channels, or float32 N x d.
        labels: int64, N; -1 for none.
        classes: their names.
        weights: float32, N, or None where all count the same.
        train: int64, ascending: the rows to train on; each has a label and counts for something.
        held_out: int64, ascending: the rows that only say what it is worth.
    """

    inputs: np.ndarray
    labels: np.ndarray
    classes: list[str]
    weights: np.ndarray | None
    train: np.ndarray
    held_out: np.ndarray

    def fingerprint(self, settings: dict[str, Any]) -> str:
        """Another one when anything is that the result depends on."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.inputs, self.labels, self.train, self.held_out, self.weights):
            if part is not None:
                digest.update(np.ascontiguousarray(part).view(np.uint8).reshape(-1).data)
        digest.update(json.dumps([self.classes, settings], sort_keys=True).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Trained:
    """What a recipe leaves.

    Attributes:
        state: the model as plain arrays (an .npz archive, nothing pickled); empty when it was stopped before the end.
        revision: of the model; another one when its weights are.
        classes: their names.
        accuracy: of the held-out examples, which part is named right, 0 to 1; None where none were held out.
        held_out: the rows of these, int64.
        trained_on: how many examples.
        curves: by name, float64, a number a pass: loss and accuracy (in training), held_out_loss and held_out_accuracy.
        chosen: what was trained and why so, by name.
        cpu_s: seconds of computing.
        cancelled: it was stopped; a call with the same checkpoint goes on.
    """

    state: bytes
    revision: str
    classes: list[str]
    accuracy: float | None
    held_out: np.ndarray
    trained_on: int
    curves: dict[str, np.ndarray] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    cpu_s: float = 0.0
    cancelled: bool = False

    def __repr__(self) -> str:
        if self.cancelled:
            return f"Training was stopped after {len(self.curves.get('loss', ()))} passes; the same call goes on."
        worth = (
            f"; {self.accuracy:.1%} of {len(self.held_out):,} held out are named right" if self.held_out.size else ""
        )
        return (
            f"Trained on {self.trained_on:,} examples of {len(self.classes)} classes in {self.cpu_s:.0f} CPU s{worth}."
        )


def examples(
    inputs: np.ndarray | Iterable[np.ndarray],
    labels: np.ndarray | Sequence[int],
    classes: Sequence[str],
    *,
    weights: np.ndarray | Sequence[float] | None = None,
    held_out: float | np.ndarray = HELD_OUT,
    seed: int = 0,
) -> Examples:
    """Looks at what is given, and draws what is held out: of each class the same part, but never its only example.

    Args:
        inputs: uint8 N x H x W or N x H x W x C (pictures), or numbers N x d (vectors); or batches of these.
        labels: N codes of classes from 0; -1 for none.
        classes: their names.
        weights: N, how much each counts; 0 leaves it out.
        held_out: which part is held out, at most 2,000; or a mask, or row numbers. 0 for none.
        seed: of the draw.

    Raises:
        ModelError: they do not fit together, or there is nothing to tell apart.
    """
    array = inputs if isinstance(inputs, np.ndarray) else _joined(inputs)
    array = array[..., None] if array.ndim == 3 else array
    if array.ndim not in (2, 4) or (array.ndim == 4 and (array.dtype != np.uint8 or array.shape[3] not in (1, 3))):
        raise ModelError(
            f"{array.dtype} of shape {'x'.join(map(str, array.shape))} are neither pictures nor vectors.",
            hint="Give pictures as uint8 N x H x W x 3, or N x H x W for grey ones; vectors as numbers N x d.",
            code="shape",
        )
    count = len(array)
    codes = _column(labels, count, "labels")
    if codes.dtype.kind not in "iu":
        raise ModelError(
            f"Labels are numbers of classes, and these are {codes.dtype}.",
            hint="names, labels = np.unique(names, return_inverse=True)",
            code="labels",
        )
    codes = codes.astype(np.int64)
    if count and (codes.min() < -1 or codes.max() >= len(classes)):
        raise ModelError(
            f"Labels go from {codes.min()} to {codes.max()}, and there are {len(classes)} classes.",
            hint="Labels are 0 to len(classes) - 1, and -1 where there is none.",
            code="labels",
        )
    counting = codes >= 0
    counts = None
    if weights is not None:
        counts = _column(weights, count, "weights").astype(np.float32)
        if not np.isfinite(counts).all() or (counts < 0).any():
            raise ModelError("Weights are numbers from 0 on; some are negative, or none at all.", code="weights_given")
        counting = counting & (counts > 0)
    if array.ndim == 2:
        array = np.asarray(array, np.float32)
        bad = ~np.isfinite(array).all(axis=1)
        counting = counting & ~bad
    held = _held_out(held_out, codes, counting, seed)
    train = np.flatnonzero(counting & ~held)
    present = np.unique(codes[train])
    if len(present) < 2:
        only = f"all are {classes[int(present[0])]!r}" if len(present) else "there are none"
        raise ModelError(
            f"Two classes are needed to learn to tell them apart; of the examples to train on {only}.",
            hint="Give labels of at least two classes that are not all held out.",
            code="one_label",
        )
    return Examples(array, codes, [str(name) for name in classes], counts, train, np.flatnonzero(held))


def figures(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy (nats) of scores before softmax, N x classes, and which part is named right."""
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(labels)), labels].mean()), float((scores.argmax(axis=1) == labels).mean())


def _held_out(wanted: float | np.ndarray, codes: np.ndarray, counting: np.ndarray, seed: int) -> np.ndarray:
    held = np.zeros(len(codes), bool)
    if isinstance(wanted, np.ndarray):
        if wanted.dtype == bool and wanted.shape != held.shape:
            raise ModelError(f"The mask of what is held out has {wanted.size:,} places for {len(held):,} examples.")
        if wanted.dtype != bool and wanted.size and (wanted.min() < 0 or wanted.max() >= len(held)):
            raise ModelError(f"Rows to hold out go up to {wanted.max():,}, and there are {len(held):,} examples.")
        held[wanted if wanted.dtype == bool else wanted.astype(np.int64)] = True
        return held & (codes >= 0)
    if not 0 <= wanted < 1:
        raise ModelError(f"held_out={wanted} is no part of the examples.", hint="Say held_out=0.1, or 0 for none.")
    rows = np.flatnonzero(counting)
    part = min(wanted, MOST_HELD_OUT / max(len(rows), 1))
    random = np.random.default_rng([seed, 1])
    for code in np.unique(codes[rows]):
        own = random.permutation(rows[codes[rows] == code])
        held[own[: min(round(part * len(own)), len(own) - 1)]] = True
    return held


def _joined(batches: Iterable[np.ndarray]) -> np.ndarray:
    parts = list(batches)
    if not parts:
        raise ModelError("There are no examples to train on.", code="too_few")
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = sorted({"x".join(map(str, part.shape[1:])) for part in parts})
        raise ModelError(f"Batches have different shapes: {', '.join(shapes)}.", code="shape")
    return np.concatenate(parts)


def _column(values: Any, count: int, what: str) -> np.ndarray:
    column = np.asarray(values)
    if column.shape != (count,):
        shape = "x".join(map(str, column.shape))
        raise ModelError(f"There are {count:,} examples, and {what} of shape {shape}.", code="shape")
    return column
