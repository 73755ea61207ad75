"""`"auto"`: a picture as 480 numbers, computed from its pixels alone. No weights, no network, no torch.

The picture is squashed onto a canvas of 32 x 32 pixels: all of it is seen, nothing is cropped or padded, and its
aspect ratio is given up. Two parts are computed from the canvas:

1. **Shape**, 6 x 6 cells x 12 directions = 432 numbers: histograms of oriented gradients. At each pixel the colour
   channel with the steepest gradient counts; its length is shared between the two nearest of 12 signed directions
   and, by a triangular window, between the neighbouring cells; each cell is divided by the energy of the 3 x 3 cells
   around it, so that light and contrast matter little; a power of 0.75 tames single strong edges. Half of the mean is
   then taken off: all values are positive, and without this every picture resembles every other one.
2. **Colour**, 4 x 4 frequencies x 3 channels = 48 numbers: the low frequencies of a cosine transform of brightness,
   red against green, and yellow against blue: where it is light, dark, red or blue.

Both are joined and scaled to length 1, so a dot product is the cosine similarity. The result depends on nothing but
the picture: vectors of pictures that come later can be compared with those stored before. `REVISION` changes when the
numbers would.

Sources: gradients, soft binning and block normalisation from N. Dalal and B. Triggs, "Histograms of Oriented
Gradients for Human Detection", CVPR 2005, section 6; signed directions and normalisation by neighbouring cells as in
P. Felzenszwalb et al., "Object Detection with Discriminatively Trained Part-Based Models", PAMI 2010, section 6; the
power as in F. Perronnin et al., "Improving the Fisher Kernel", ECCV 2010, section 2.3; taking off the mean against
hubs from I. Suzuki et al., "Centering Similarity Measures to Reduce Hubs", EMNLP 2013; the cosine transform of a
small canvas is the colour layout descriptor of MPEG-7 (ISO/IEC 15938-3). `benchmarks/embedding.py` measures accuracy
and speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ModelError

if TYPE_CHECKING:
    from PIL import Image

NAME = "auto"
REVISION = "1"
CANVAS_PX = 32
CELLS = 6
DIRECTIONS = 12
FREQUENCIES = 4
DIMENSION = CELLS * CELLS * DIRECTIONS + FREQUENCIES * FREQUENCIES * 3
# A file may be decoded at a reduced size, as long as its longest side keeps this: enough for a panorama of 1 : 8.
DECODE_SIDE_PX = 256

Float = NDArray[np.float32]

# The arrays of this many pictures stay inside the cache of one core.
_BATCH = 128
_POWER = 0.75
_CENTERING = 0.5


def describe(images: Sequence[Image.Image] | np.ndarray) -> Float:
    """Vectors of pictures, each of length 1.

    Args:
        images: Pillow images of any mode and size, or one uint8 array N×H×W (grey) or N×H×W×C (C = 1 grey, 3 RGB, 4 RGB
            and alpha, which is left out).

    Returns:
        float32, N x 480.

    Raises:
        ModelError: the array is not of such a shape.
    """
    if isinstance(images, np.ndarray):
        images = _pictures(images)
    vectors = np.empty((len(images), DIMENSION), np.float32)
    for start in range(0, len(images), _BATCH):
        canvases = np.stack([canvas(image) for image in images[start : start + _BATCH]])
        vectors[start : start + len(canvases)] = describe_canvases(canvases)
    return vectors


def canvas(image: Image.Image) -> NDArray[np.uint8]:
    """The whole picture squashed onto the canvas: uint8, 32 x 32 x 3."""
    from PIL import Image

    size = (CANVAS_PX, CANVAS_PX)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if image.size != size:
        # Bicubic smooths the steps of tiny pictures, and widens by itself to an average when it shrinks large ones.
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def describe_canvases(canvases: np.ndarray) -> Float:
    """Vectors of canvases: uint8 N x 32 x 32 x 3 to float32 N x 480 of length 1."""
    pixels = canvases.astype(np.float32)
    pixels *= 1 / 255
    count = len(pixels)
    vectors = np.concatenate([_shape(pixels).reshape(count, -1), _colour(pixels).reshape(count, -1)], axis=1)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    # An evenly mid-grey picture has neither edges nor colour; it gets a direction of its own instead of no direction.
    vectors[length[:, 0] < 1e-6, -1] = 1.0
    unit: Float = vectors / np.maximum(length, 1e-6)
    return unit


def _shape(pixels: np.ndarray) -> Float:
    count = len(pixels)
    across, down, length = _gradients(pixels)
    cells = _pool(_directions(across, down, length))
    cells = _normalised(cells) ** np.float32(_POWER)
    flat = cells.reshape(count, -1)
    flat -= _CENTERING * flat.mean(axis=1, keepdims=True)
    shape: Float = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return shape


def _gradients(pixels: np.ndarray) -> tuple[Float, Float, Float]:
    """Central differences of the colour channel that is steepest at each pixel: across, down and length, N x H x W."""
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    square = across * across + down * down
    steepest = square.argmax(axis=-1)[..., None]
    return (
        np.take_along_axis(across, steepest, -1)[..., 0],
        np.take_along_axis(down, steepest, -1)[..., 0],
        np.sqrt(np.take_along_axis(square, steepest, -1)[..., 0]),
    )


def _directions(across: np.ndarray, down: np.ndarray, length: np.ndarray) -> Float:
    """Gradient lengths shared between the two nearest directions: N x H x W x 12."""
    position = np.arctan2(down, across).ravel() * np.float32(DIRECTIONS / (2 * np.pi))
    lower = np.floor(position)
    share = position - lower
    first = lower.astype(np.int32) % DIRECTIONS
    flat = np.zeros((length.size, DIRECTIONS), np.float32)
    rows = np.arange(length.size)
    flat[rows, first] = length.ravel() * (1 - share)
    flat[rows, (first + 1) % DIRECTIONS] = length.ravel() * share
    return flat.reshape(*length.shape, DIRECTIONS)


@cache
def _windows() -> Float:
    """Triangular windows of the cells over the canvas, twice a cell wide: 6 x 32."""
    cell_px = CANVAS_PX / CELLS
    centre = (np.arange(CELLS) + 0.5) * cell_px - 0.5
    distance = np.abs(np.arange(CANVAS_PX) - centre[:, None])
    return np.maximum(0, 1 - distance / cell_px).astype(np.float32)


def _pool(directions: np.ndarray) -> Float:
    count = len(directions)
    rows = np.matmul(_windows(), directions.reshape(count, CANVAS_PX, -1)).reshape(count, CELLS, CANVAS_PX, DIRECTIONS)
    pooled: Float = np.matmul(_windows(), rows)
    return pooled


def _normalised(cells: np.ndarray) -> Float:
    """Cells divided by the energy around them; the picture's mean is added, so that faint noise stays faint."""
    energy = (cells * cells).sum(axis=-1)
    padded = np.pad(energy, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum(
        padded[:, row : row + CELLS, column : column + CELLS] for row in range(3) for column in range(3)
    ) / np.float32(9)
    mean = energy.mean(axis=(1, 2))[:, None, None]
    normalised: Float = cells / np.sqrt(around + mean + np.float32(1e-4))[..., None]
    return normalised


@cache
def _waves() -> Float:
    """The first four cosines of the orthonormal DCT-II over the canvas: 4 x 32."""
    position = np.arange(CANVAS_PX) + 0.5
    waves = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * position / CANVAS_PX) * np.sqrt(2 / CANVAS_PX)
    waves[0] /= np.sqrt(2)
    result: Float = waves.astype(np.float32)
    return result


def _colour(pixels: np.ndarray) -> Float:
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    channels = np.stack([(red + green + blue) / 3 - np.float32(0.5), red - green, (red + green) / 2 - blue], axis=1)
    layout: Float = np.matmul(np.matmul(_waves(), channels), _waves().T) / np.float32(CANVAS_PX)
    return layout


def _pictures(images: np.ndarray) -> list[Image.Image]:
    from PIL import Image

    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3, 4)):
        raise ModelError(
            f"An array of {images.dtype} and shape {images.shape} is not a batch of pictures.",
            hint="Give uint8 of shape N×H×W or N×H×W×C; one picture is `array[None]`.",
        )
    if images.ndim == 4:
        images = images[..., 0] if images.shape[3] == 1 else images[..., :3]
    return [Image.fromarray(np.ascontiguousarray(image)) for image in images]
