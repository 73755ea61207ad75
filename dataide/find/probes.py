"""Classifiers small enough to be trained many times over: what they say of samples they were not trained on.

A probe learns classes from vectors, one fold is left out at a time, and each sample is judged by the one that has not
seen it. Numpy alone. Training costs the same however many samples there are beyond `MOST_TRAINED`; memory beyond the
vectors is a batch and N x C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ModelError
from dataide.find.pairs import Stopped

Floats = NDArray[np.float32]
Stop = Callable[[], bool]

# Rows that one probe is trained on; more say little new to so small a model, and cost in proportion.
MOST_TRAINED = 100_000
BATCH = 256
BLOCK = 8192
RATE = 0.004
WARM_UP = 0.15
NOBODY = -2.0  # a cosine that nobody has


@dataclass(frozen=True)
class Kind:
    """A kind of probe.

    Attributes:
        hidden: units of the one hidden layer; 0 for a linear probe.
        passes: over the rows it is trained on.
        decay: of the weights, a step and unit of the rate (Loshchilov and Hutter, "Decoupled Weight Decay
            Regularization", 2019, section 2).
        dropout: part of the hidden units that is left out at each step.
    """

    hidden: int
    passes: float
    decay: float
    dropout: float = 0.0


@dataclass(frozen=True)
class Scaling:
    """What is taken from each vector before a probe sees it: the mean, and one scale for all dimensions.

    One scale, because dividing each dimension by its own spread makes noise of what hardly varies as large as signal.
    """

    mean: Floats
    scale: float

    @classmethod
    def of(cls, vectors: np.ndarray, rows: np.ndarray) -> Scaling:
        some = np.asarray(vectors[rows[:: max(1, len(rows) // 20_000)]], np.float32)
        mean = some.mean(axis=0)
        spread = float(np.sqrt(np.mean((some - mean) ** 2))) if len(some) else 0.0
        return cls(mean, 1 / spread if spread > 1e-12 else 0.0)

    def __call__(self, rows: np.ndarray) -> Floats:
        scaled: Floats = (np.asarray(rows, np.float32) - self.mean) * np.float32(self.scale)
        return scaled


def folds_of(labels: np.ndarray, count: int, seed: int) -> NDArray[np.int8]:
    """Which fold each sample is in, the samples of each class dealt out evenly, at random.

    Args:
        labels: int, N; -1 where there is none, which are dealt out like a class of their own.
        count: of folds.
        seed: of the dealing.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Each class goes on where the one before ended, so that small classes do not all begin with the first fold.
    folds = np.empty(len(labels), np.int8)
    folds[order] = np.arange(len(labels)) % count
    return folds


def out_of_sample(
    vectors: np.ndarray,
    targets: Floats,
    weights: Floats,
    folds: np.ndarray,
    kind: Kind,
    *,
    seed: int,
    stop: Stop = lambda: False,
) -> Floats:
    """Scores (logits) of each class for each sample, by a probe that was not trained on it.

    Multinomial logistic regression, or a network with one hidden layer; Adam (Kingma and Ba, 2015, algorithm 1) with
    decoupled decay, the rate up and then straight down. What cross-validated probabilities are for: Northcutt, Jiang
    and Chuang, "Confident Learning", JAIR 2021, section 4.2.

    Args:
        vectors: N x D.
        targets: N x C, how much of each class a sample is to be; rows add up to one where the weight is not 0.
        weights: N, how much each sample counts in training; 0 to leave it out.
        folds: int, N, as `folds_of` gives.
        kind: of probe.
        seed: of weights and order.
        stop: asked between two batches.

    Returns:
        float32, N x C.

    Raises:
        ModelError: training came to numbers that are not finite.
        Stopped: `stop` said so.
    """
    scores = np.zeros(targets.shape, np.float32)
    for fold in np.unique(folds):
        out = np.flatnonzero(folds == fold)
        among = np.flatnonzero((folds != fold) & (weights > 0))
        if not len(among):
            continue
        random = np.random.default_rng((seed, int(fold)))
        if len(among) > MOST_TRAINED:
            among = np.sort(random.choice(among, MOST_TRAINED, replace=False))
        scaling = Scaling.of(vectors, among)
        model = _trained(vectors, targets, weights, among, scaling, kind, random, stop)
        for start in range(0, len(out), BLOCK):
            if stop():
                raise Stopped
            rows = out[start : start + BLOCK]
            scores[rows] = _scored(model, scaling(vectors[rows]))
    if not np.isfinite(scores).all():
        raise ModelError(
            "A probe trained on these vectors came to numbers that are not finite.",
            hint="Look at the vectors: are some of them a million times longer than the others?",
            code="not_finite",
        )
    return scores


def _trained(
    vectors: np.ndarray,
    targets: Floats,
    weights: Floats,
    among: np.ndarray,
    scaling: Scaling,
    kind: Kind,
    random: np.random.Generator,
    stop: Stop,
) -> list[Floats]:
    dimension, classes = vectors.shape[1], targets.shape[1]
    sizes = [dimension, kind.hidden, classes] if kind.hidden else [dimension, classes]
    model: list[Floats] = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        start = 0.0 if last else np.sqrt(2 / inputs)
        model += [(random.standard_normal((inputs, outputs)) * start).astype(np.float32), np.zeros(outputs, np.float32)]
    size = max(1, min(BATCH, len(among) // 8))
    steps = max(int(kind.passes * len(among) / size), 60)
    first = [np.zeros_like(part) for part in model]
    second = [np.zeros_like(part) for part in model]
    for step, batch in zip(range(1, steps + 1), _batches(among, size, random), strict=False):
        if step % 16 == 0 and stop():
            raise Stopped
        part = step / steps
        rate = np.float32(RATE * (part / WARM_UP if part < WARM_UP else (1 - part) / (1 - WARM_UP)))
        gradients = _gradients(model, scaling(vectors[batch]), targets[batch], weights[batch], kind, random)
        fix1, fix2 = np.float32(1 - 0.9**step), np.float32(1 - 0.99**step)
        for at, gradient in enumerate(gradients):
            first[at] += np.float32(0.1) * (gradient - first[at])
            second[at] += np.float32(0.01) * (gradient * gradient - second[at])
            if at % 2 == 0:
                model[at] *= 1 - rate * np.float32(kind.decay)
            model[at] -= rate * (first[at] / fix1) / (np.sqrt(second[at] / fix2) + np.float32(1e-8))
    return model


def _gradients(
    model: list[Floats], rows: Floats, wanted: Floats, weights: Floats, kind: Kind, random: np.random.Generator
) -> list[Floats]:
    """Of cross-entropy, weighted; in the order of the model's parts."""
    if not kind.hidden:
        off = (softmax(rows @ model[0] + model[1]) - wanted) * (weights / len(rows))[:, None]
        return [rows.T @ off, off.sum(axis=0)]
    hidden = np.maximum(rows @ model[0] + model[1], 0)
    if kind.dropout:
        kept = (random.random(hidden.shape, np.float32) >= kind.dropout) * np.float32(1 / (1 - kind.dropout))
        hidden *= kept
    off = (softmax(hidden @ model[2] + model[3]) - wanted) * (weights / len(rows))[:, None]
    back = off @ model[2].T
    back *= hidden > 0
    if kind.dropout:
        back *= kept
    return [rows.T @ back, back.sum(axis=0), hidden.T @ off, off.sum(axis=0)]


def _scored(model: list[Floats], rows: Floats) -> Floats:
    if len(model) == 2:
        return np.asarray(rows @ model[0] + model[1], np.float32)
    return np.asarray(np.maximum(rows @ model[0] + model[1], 0) @ model[2] + model[3], np.float32)


def _batches(among: np.ndarray, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        order = random.permutation(among)
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def softmax(scores: np.ndarray) -> Floats:
    """Scores as probabilities, a row each; float32."""
    scores = np.asarray(scores, np.float32)
    raised: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def neighbours(
    vectors: np.ndarray, among: np.ndarray, asked: np.ndarray, count: int, *, stop: Stop = lambda: False
) -> tuple[NDArray[np.int64], Floats]:
    """The nearest by cosine, the mean taken off, exactly and a block at a time; nobody is a neighbour of its own.

    Args:
        vectors: N x D; a vector of length 0 is as far from all as a right angle.
        among: rows that may be neighbours, ascending.
        asked: rows whose neighbours are wanted.
        count: of neighbours.
        stop: asked between two blocks.

    Returns:
        Rows (len(asked) x count) and cosines, the nearest first; row -1 where there are fewer.

    Raises:
        Stopped: `stop` said so.
    """
    if not len(among) or not len(asked) or count < 1:
        return np.empty((len(asked), 0), np.int64), np.empty((len(asked), 0), np.float32)
    mean = np.asarray(vectors[among[:: max(1, len(among) // 20_000)]], np.float32).mean(axis=0)
    best = np.full((len(asked), count), -1, np.int64)
    near = np.full((len(asked), count), NOBODY, np.float32)
    for base in range(0, len(among), BLOCK):
        there = among[base : base + BLOCK]
        rows = _unit(vectors, there, mean)
        keep = min(count, len(there))
        for start in range(0, len(asked), BLOCK // 4):
            if stop():
                raise Stopped
            part = slice(start, start + BLOCK // 4)
            some = asked[part]
            cosines = _unit(vectors, some, mean) @ rows.T
            at = np.minimum(np.searchsorted(there, some), len(there) - 1)
            own = np.flatnonzero(there[at] == some)
            cosines[own, at[own]] = NOBODY
            top = np.argpartition(cosines, len(there) - keep, axis=1)[:, len(there) - keep :]
            values = np.concatenate([near[part], np.take_along_axis(cosines, top, 1)], axis=1)
            found = np.concatenate([best[part], there[top]], axis=1)
            order = np.argsort(-values, axis=1, kind="stable")[:, :count]
            near[part] = np.take_along_axis(values, order, 1)
            best[part] = np.take_along_axis(found, order, 1)
    best[near == NOBODY] = -1
    return best, near


def _unit(vectors: np.ndarray, rows: np.ndarray, mean: Floats) -> Floats:
    some: Floats = np.asarray(vectors[rows], np.float32) - mean
    some /= np.maximum(np.sqrt(np.einsum("ij,ij->i", some, some)), 1e-12)[:, None]
    return some
