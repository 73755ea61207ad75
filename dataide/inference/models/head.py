"""The recipe for vectors: a light head over an embedding, in seconds, in numpy. It takes what recipe.py takes, and
leaves what that leaves; so a trial that would take minutes with pictures can be made with vectors first.

One hidden layer of rectified units, trained by AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay
regularization", algorithm 2) with a warm-up and a straight way down, labels smoothed (Szegedy et al. 2016, section 7).
How many steps it takes depends on `passes` or, without these, on nothing: so two heads that are compared have had the
same training, and not the one with more examples more of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dataide.errors import ModelError
from dataide.inference.models.examples import HELD_OUT, Examples, Progress, Trained, examples, figures
from dataide.inference.models.state import FORMAT, packed, revision_of, unpacked

HIDDEN = 128
RATE = 0.004
DECAY = 0.05
SMOOTHING = 0.1
WARM_UP = 0.25
BATCH = 128
STEPS = {"quick": 600, "thorough": 2_000}
POINTS = 10  # of the curves, where there are no passes
PORTION = 65_536


def train(
    vectors: np.ndarray | Iterable[np.ndarray],
    labels: np.ndarray | Sequence[int],
    classes: Sequence[str],
    *,
    effort: str = "quick",
    passes: int | None = None,
    seed: int = 0,
    weights: np.ndarray | Sequence[float] | None = None,
    held_out: float | np.ndarray = HELD_OUT,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Trained:
    """Trains a head to tell classes apart by their vectors.

    Args:
        vectors: numbers N x d; rows with a number that is none are not trained on. Or batches of these.
        labels: N codes of classes; -1 for none.
        classes: their names.
        effort: "quick" (600 steps) or "thorough" (2,000).
        passes: over all examples, instead.
        seed: of everything that is drawn.
        weights: N, how much each counts; 0 leaves it out.
        held_out: which part only says what the head is worth; or a mask, or row numbers.
        progress: called with the part that is done (0 to 1) and a sentence.
        cancelled: asked between two batches whether to stop. It takes seconds, so nothing is kept then.

    Raises:
        ModelError: what is given cannot be trained on, or the loss is no number.
    """
    began = time.process_time()
    if effort not in STEPS:
        raise ModelError(f"There is no effort {effort!r}.", hint="Say effort='quick' or effort='thorough'.")
    if passes is not None and not 0 < passes <= 10_000:
        raise ModelError(f"passes={passes} is no number of passes.", hint="Say passes=10.")
    given = examples(vectors, labels, classes, weights=weights, held_out=held_out, seed=seed)
    if given.inputs.ndim != 2:
        raise ModelError("These are pictures.", hint="Train a network: dataide.inference.models.recipe.train(…).")
    size = min(BATCH, len(given.train))
    steps = STEPS[effort] if passes is None else max(round(passes * len(given.train) / size), 1)
    head = _Head(given, steps, seed)
    curves: dict[str, list[float]] = {"loss": [], "accuracy": []}
    held = given.held_out[np.isfinite(given.inputs[given.held_out]).all(axis=1)]
    if len(held):
        curves |= {"held_out_loss": [], "held_out_accuracy": []}
    chosen = {"steps": steps, "batch": size, "hidden": HIDDEN}
    every = max(steps // (passes or POINTS), 1)
    for number in range(steps):
        if cancelled is not None and cancelled():
            spent = time.process_time() - began
            return Trained(b"", "", given.classes, None, held, len(given.train), {}, chosen, spent, cancelled=True)
        loss, right = head.step(size)
        if (number + 1) % every == 0 or number + 1 == steps:
            curves["loss"].append(loss)
            curves["accuracy"].append(right)
            if len(held):
                worth = figures(head.scores(given.inputs[held]), given.labels[held])
                curves["held_out_loss"].append(worth[0])
                curves["held_out_accuracy"].append(worth[1])
            if progress is not None:
                progress((number + 1) / steps, f"training: loss {loss:.2f}, {right:.0%} right")
    config = {"format": FORMAT, "looks_at": "vectors", "classes": given.classes, "label": None}
    state = packed(config, head.arrays)
    return Trained(
        state,
        revision_of(state),
        given.classes,
        curves["held_out_accuracy"][-1] if len(held) else None,
        held,
        len(given.train),
        {name: np.asarray(curve, np.float64) for name, curve in curves.items()},
        chosen,
        round(time.process_time() - began, 2),
    )


def scores(state: bytes, vectors: np.ndarray) -> np.ndarray:
    """Scores of the classes before softmax, float32 N x classes.

    Raises:
        ModelError: the state is none of a head, or vectors have another length.
    """
    config, arrays = unpacked(state, "the head")
    if config.get("looks_at") != "vectors":
        raise ModelError("This model looks at pictures, not at vectors.", hint="Use recipe.scores(state, pictures).")
    if vectors.ndim != 2 or vectors.shape[1] != len(arrays["mean"]):
        shape = "x".join(map(str, vectors.shape))
        raise ModelError(f"The head takes vectors N x {len(arrays['mean'])}, and these are {shape}.", code="shape")
    parts = [_forward(arrays, vectors[start : start + PORTION])[1] for start in range(0, len(vectors), PORTION)]
    return np.concatenate(parts) if parts else np.empty((0, len(config["classes"])), np.float32)


class _Head:
    """The head on its way."""

    def __init__(self, given: Examples, steps: int, seed: int) -> None:
        self._given, self._steps, self._done = given, steps, 0
        self._random = np.random.default_rng([seed, 3])
        counts = given.weights
        self._weights = None if counts is None else counts / counts[given.train].mean()
        # A generator of its own, so that the same seed begins with the same weights whatever it is trained on.
        begins = np.random.default_rng([seed, 4])
        dimension, classes = given.inputs.shape[1], len(given.classes)
        mean, spread = _spread(given.inputs, given.train)
        # What is the same everywhere says nothing.
        scale = np.where(spread > 1e-6 * spread.max(), 1 / np.maximum(spread, 1e-30), 0).astype(np.float32)
        self.arrays: dict[str, np.ndarray] = {"mean": mean, "scale": scale}
        self._learned = {
            "into": begins.standard_normal((dimension, HIDDEN), np.float32) * np.float32((2 / dimension) ** 0.5),
            "from": np.zeros(HIDDEN, np.float32),
            "out": begins.standard_normal((HIDDEN, classes), np.float32) * np.float32((1 / HIDDEN) ** 0.5),
            "bias": np.zeros(classes, np.float32),
        }
        self.arrays |= self._learned
        self._means = {name: np.zeros_like(one) for name, one in self._learned.items()}
        self._squares = {name: np.zeros_like(one) for name, one in self._learned.items()}
        self._order, self._at = np.empty(0, np.int64), 0
        self._loss = self._right = float("nan")

    def step(self, size: int) -> tuple[float, float]:
        """One batch; loss and accuracy of the last ones."""
        rows = self._next(size)
        labels = self._given.labels[rows]
        hidden, found, inputs = _forward(self.arrays, self._given.inputs[rows])
        shifted = np.exp(found - found.max(axis=1, keepdims=True))
        likely = shifted / shifted.sum(axis=1, keepdims=True)
        each = -np.log(np.maximum(likely[np.arange(len(rows)), labels], 1e-12))
        wanted = np.full_like(likely, SMOOTHING / likely.shape[1])
        wanted[np.arange(len(rows)), labels] += 1 - SMOOTHING
        wrong = (likely - wanted) / np.float32(len(rows))
        if self._weights is not None:
            wrong *= self._weights[rows, None]
        loss = float(each.mean())
        if not np.isfinite(loss):
            raise ModelError("Training a head failed: the loss is no number.", code="not_finite")
        back = (wrong @ self.arrays["out"].T) * (hidden > 0)
        self._go(
            {"into": inputs.T @ back, "from": back.sum(axis=0), "out": hidden.T @ wrong, "bias": wrong.sum(axis=0)}
        )
        right = float((found.argmax(axis=1) == labels).mean())
        self._loss = loss if np.isnan(self._loss) else 0.95 * self._loss + 0.05 * loss
        self._right = right if np.isnan(self._right) else 0.95 * self._right + 0.05 * right
        return self._loss, self._right

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        return _forward(self.arrays, vectors)[1]

    def _next(self, size: int) -> np.ndarray:
        if self._at + size > len(self._order):
            self._order, self._at = self._random.permutation(self._given.train), 0
        self._at += size
        return self._order[self._at - size : self._at]

    def _go(self, gradients: dict[str, np.ndarray]) -> None:
        part = (self._done + 1) / (self._steps + 1)
        rate = RATE * (part / WARM_UP if part < WARM_UP else (1 - part) / (1 - WARM_UP))
        self._done += 1
        first, second = 1 - 0.9**self._done, 1 - 0.999**self._done
        for name, gradient in gradients.items():
            mean, square, one = self._means[name], self._squares[name], self._learned[name]
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            one *= 1 - rate * DECAY
            one -= (rate / first) * mean / (np.sqrt(square / second) + 1e-8)


def _forward(arrays: dict[str, np.ndarray], vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hidden layer, the scores, and the vectors as the head sees them."""
    inputs = (np.asarray(vectors, np.float32) - arrays["mean"]) * arrays["scale"]
    hidden = np.maximum(inputs @ arrays["into"] + arrays["from"], 0)
    return hidden, hidden @ arrays["out"] + arrays["bias"], inputs


def _spread(vectors: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each dimension, a block of rows at a time."""
    total = np.zeros(vectors.shape[1])
    squares = np.zeros(vectors.shape[1])
    for start in range(0, len(rows), PORTION):
        block = vectors[rows[start : start + PORTION]].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block * block).sum(axis=0)
    mean = total / len(rows)
    return mean.astype(np.float32), np.sqrt(np.maximum(squares / len(rows) - mean * mean, 0)).astype(np.float32)
