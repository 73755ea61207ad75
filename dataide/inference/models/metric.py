"""A measure of likeness learned without labels: what changes when a picture is looked at in another way counts less.

Each picture is described (descriptor.py) as it is, and again several times cropped, mirrored, lighter, darker, tinted.
How the descriptions of one picture differ from their mean says which directions carry nothing: the inverse square root
of that covariance, taken towards the identity, weighs them down. This is within-class covariance normalisation
(A. Hatch, S. Kajarekar and A. Stolcke, "Within-class covariance normalization for SVM-based speaker recognition",
Interspeech 2006, section 3) with each picture as a class of its own.

It needs seconds and no torch. With 20,000 pictures of CIFAR-10 to look among, ten neighbours named .613 of the test
pictures right by the descriptor and .646 by this. A convolutional network trained by the SimCLR loss was at .544 after
90 seconds of one core, whitened, and at .663 joined with this; by the VICReg loss it was at .522 after 50 seconds.
`benchmarks/learned.py` measures what is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dataide.inference import descriptor

SIDE_PX = descriptor.CANVAS_PX
VIEWS = 4
# More pictures do not change a covariance of 480 x 480 by much.
MOST_PICTURES = 10_000
PORTION = 256
# How far the covariance is taken towards the identity: the part of its mean variance that is added to each direction.
TOWARDS_IDENTITY = 1.0
SMALLEST_CROP = 0.4  # of the area
LIGHT = 0.4
TINT = 16.0  # of 255


@dataclass(frozen=True)
class Metric:
    """Descriptors to vectors: off with the mean, then through a matrix, then to length 1."""

    mean: np.ndarray  # float32, 480
    weigh: np.ndarray  # float32, 480 x 480

    def __call__(self, descriptors: np.ndarray) -> np.ndarray:
        """Vectors of descriptors: float32 N x 480."""
        rows = (descriptors - self.mean) @ self.weigh
        unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        return unit


def learning(canvases: np.ndarray, rows: np.ndarray, *, mirrored: bool, seed: int) -> Iterator[Metric | float]:
    """Learns from rows of canvases (uint8 N x 32 x 32 x 3): yields which part is done, and in the end the metric."""
    random = np.random.default_rng(seed)
    picked = np.sort(random.permutation(rows)[:MOST_PICTURES])
    size = descriptor.DIMENSION
    within, total, counted = np.zeros((size, size)), np.zeros(size), 0
    for start in range(0, len(picked), PORTION):
        some = canvases[picked[start : start + PORTION]]
        plain = descriptor.describe_canvases(some)
        views = [plain]
        for _ in range(VIEWS):
            views.append(descriptor.describe_canvases(seen_again(some, mirrored, random)))
            # So often that others need not wait.
            yield (start + len(some) * len(views) / (VIEWS + 1)) / len(picked)
        middle = sum(views[1:], views[0]) / len(views)
        for view in views:
            apart = (view - middle).astype(np.float64)
            within += apart.T @ apart
        total += plain.sum(axis=0)
        counted += len(some)
    within /= counted * (VIEWS + 1)
    within += TOWARDS_IDENTITY * np.trace(within) / size * np.eye(size) + 1e-12 * np.eye(size)
    variances, directions = np.linalg.eigh(within)
    yield Metric((total / counted).astype(np.float32), (directions / np.sqrt(variances)).astype(np.float32))


def seen_again(canvases: np.ndarray, mirrored: bool, random: np.random.Generator) -> np.ndarray:
    """Canvases cropped, lighter or darker, with more or less contrast, and, where colour and sides mean nothing, tinted
    and mirrored: uint8 N x side x side x 3."""
    count, side = canvases.shape[:2]
    area = random.uniform(SMALLEST_CROP, 1, count)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), count))
    wide, high = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    turned = random.random(count) < 0.5 if mirrored else np.zeros(count, bool)
    across, down = (_positions(length, side, random) for length in (wide, high))
    across[turned] = across[turned, ::-1]
    pixels = _sampled(_sampled(canvases.astype(np.float32), down, 1), across, 2)
    pixels *= random.uniform(1 - LIGHT, 1 + LIGHT, (count, 1, 1, 1)).astype(np.float32)
    middle = pixels.mean(axis=(1, 2, 3), keepdims=True)
    pixels = (pixels - middle) * random.uniform(1 - LIGHT, 1 + LIGHT, (count, 1, 1, 1)).astype(np.float32) + middle
    if mirrored:
        grey = pixels.mean(axis=3, keepdims=True)
        colour = random.uniform(1 - LIGHT, 1 + LIGHT, (count, 1, 1, 1)) * (random.random((count, 1, 1, 1)) >= 0.2)
        pixels = grey + (pixels - grey) * colour.astype(np.float32)
        pixels += random.uniform(-TINT, TINT, (count, 1, 1, 3)).astype(np.float32)
    seen: np.ndarray = np.clip(pixels, 0, 255).astype(np.uint8)
    return seen


def coloured(canvases: np.ndarray) -> bool:
    """Whether at least a tenth of the canvases have colours.

    Grey pictures are mostly digits, letters, X-rays and the like, where left and right are not the same.
    """
    some = canvases[:512].astype(np.int16)
    spread = (some.max(axis=3) - some.min(axis=3)).mean(axis=(1, 2))
    return bool((spread > 4).mean() >= 0.1)


def _positions(lengths: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """Where the pixels of a crop lie along one side, px: N x side."""
    start = random.random(len(lengths)) * (1 - lengths)
    steps = (np.arange(side) + 0.5) / side
    positions: np.ndarray = np.clip((start[:, None] + lengths[:, None] * steps) * side - 0.5, 0, side - 1)
    return positions


def _sampled(pixels: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Pixels at positions between them along an axis, by linear interpolation."""
    lower = np.floor(positions).astype(np.intp)
    upper = np.minimum(lower + 1, pixels.shape[axis] - 1)
    shape = [len(pixels), 1, 1, 1]
    shape[axis] = positions.shape[1]
    share = (positions - lower).astype(np.float32).reshape(shape)
    low = np.take_along_axis(pixels, lower.reshape(shape), axis)
    high = np.take_along_axis(pixels, upper.reshape(shape), axis)
    sampled: np.ndarray = low + (high - low) * share
    return sampled
