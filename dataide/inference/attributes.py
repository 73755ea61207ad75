"""`view.enrich("quality")`: what the pixels of a picture say about it, in numbers that mean something to people.

| column | type | range and unit | what it is |
|---|---|---|---|
| `width`, `height` | INTEGER | px | of the upright picture in full |
| `aspect` | FLOAT | > 0 | width / height |
| `brightness` | FLOAT | 0..1 | mean luma; 0 black, 1 white |
| `contrast` | FLOAT | 0..0.5 | standard deviation of luma (RMS contrast) |
| `entropy` | FLOAT | 0..8 bits | Shannon entropy of the 256 luma levels |
| `sharpness` | FLOAT | 0..20 | variance of the Laplacian of luma (0..1); a blurred copy always has less |
| `blur` | FLOAT | 0..1 | 1 / (1 + 1000 sharpness): below 0.2 crisp, above 0.8 blurred or without detail |
| `noise` | FLOAT | 0..4 | standard deviation of white noise in luma (0..1); 0.02 can be seen |
| `colourfulness` | FLOAT | 0..230 | 0 grey, 15 slightly, 45 averagely, 82 highly, 109 extremely colourful |
| `is_grey` | BOOLEAN | | no part of it differs visibly between red, green and blue |
| `colour_1`, `colour_2`, `colour_3` | VARCHAR | `#rrggbb` | the most frequent colour first; NULL for want of more |
| `dhash`, `phash` | UBIGINT | 64 bit | perceptual hashes: few different bits mean alike pictures |

Luma is that of ITU-R BT.601, which Pillow's mode L holds. Brightness, contrast and entropy are taken from all pixels;
noise from the middle 192 x 192 of them as they are, because every reduction smooths noise away; sharpness and the
hashes from a copy whose longest side is 192 px, so that sizes compare (smaller pictures as they are); colour from
pixels picked evenly: at most 96 along a side, and 20 x 20 for the main colours. Give pictures as they were decoded in
full: of a copy that was shrunk while decoding the noise is too low, and the size is that of the copy unless `sizes`
says otherwise.
The numbers depend on nothing but the picture; `REVISION` changes when they would.

Sources:
- sharpness: J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000
  (variance of the Laplacian).
- noise: J. Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image Understanding 64(2), 1996: the mean
  of absolute values after a mask that answers neither to planes nor to straight edges along the axes.
- colourfulness: D. Hasler and S. Suesstrunk, "Measuring Colourfulness in Natural Images", Human Vision and Electronic
  Imaging VIII, 2003: the estimate M(3), from means and deviations of red - green and yellow - blue.
- entropy: C. E. Shannon, "A Mathematical Theory of Communication", 1948, section 6.
- main colours: k-means (S. Lloyd, "Least Squares Quantization in PCM", 1982) from the boxes that a cut across the
  widest channel leaves (P. Heckbert, "Color Image Quantization for Frame Buffer Display", SIGGRAPH 1982), here at the
  mean, where colours part, instead of the median.
- dhash: N. Krawetz, "Kind of Like That", The Hacker Factor Blog, 2013: is a pixel darker than its right neighbour.
- phash: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, the hash based on the
  DCT: are the 8 x 8 lowest frequencies without those of the first row and column above their median.

`benchmarks/decoding.py` measures what this costs beside decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ModelError
from dataide.storage import measures, pictures

if TYPE_CHECKING:
    from PIL import Image

NAME = "quality"
REVISION = "1"
SCHEMA = {
    "width": "INTEGER",
    "height": "INTEGER",
    "aspect": "FLOAT",
    "brightness": "FLOAT",
    "contrast": "FLOAT",
    "entropy": "FLOAT",
    "sharpness": "FLOAT",
    "blur": "FLOAT",
    "noise": "FLOAT",
    "colourfulness": "FLOAT",
    "is_grey": "BOOLEAN",
    "colour_1": "VARCHAR",
    "colour_2": "VARCHAR",
    "colour_3": "VARCHAR",
    "dhash": "UBIGINT",
    "phash": "UBIGINT",
}

WORKING_SIDE_PX = 192
NOISE_SIDE_PX = 192
COLOUR_SIDE_PX = 96
MAIN_COLOURS_SIDE_PX = 20
# JPEG writes grey pictures in colour with differences of one or two levels.
GREY_LEVELS = 8
COLOURS = 3
# Main colours no further apart than this in each channel are one: the rest is noise, or JPEG.
SAME_COLOUR_LEVELS = 12
_ROUNDS = 4

# Working copies of so many pictures are held at once: 2 MB.
_BATCH = 64
_KINDS = {
    "INTEGER": np.dtype(np.int32),
    "FLOAT": np.dtype(np.float32),
    "BOOLEAN": np.dtype(np.bool_),
    "VARCHAR": np.dtype(object),
    "UBIGINT": np.dtype(np.uint64),
}
_DHASH_SIZE = (9, 8)
_PHASH_SIDE_PX = 32


def describe(
    images: Sequence[Image.Image | np.ndarray] | np.ndarray, *, sizes: Sequence[tuple[int, int]] | None = None
) -> dict[str, np.ndarray]:
    """The attributes of pictures: one array of length N for each column of `SCHEMA`.

    Args:
        images: N Pillow images of any mode and size, or arrays H×W (grey; uint8, uint16 or float32) or H×W×C (uint8;
            C = 1 grey, 3 RGB, 4 RGB and alpha); an array N×H×W or N×H×W×C does as well. Transparent parts are seen
            over white, more than 8 bits are scaled by the range in use.
        sizes: width and height of the originals in px, where the pictures were shrunk while they were decoded.

    Raises:
        ModelError: an array is no picture, or `sizes` has another length; code "wrong_shape".
    """
    count = len(images)
    if sizes is not None and len(sizes) != count:
        raise ModelError(
            f"There are {count:,} pictures and {len(sizes):,} sizes.",
            hint="Give one (width, height) for each picture, or leave `sizes` out.",
            code="wrong_shape",
        )
    columns = {name: np.zeros(count, _KINDS[kind]) for name, kind in SCHEMA.items()}
    for start in range(0, count, _BATCH):
        part = slice(start, min(start + _BATCH, count))
        looked = [_look(image, start + index) for index, image in enumerate(images[part])]
        given = [one["size"] for one in looked] if sizes is None else sizes[part]
        for name, values in _together(looked, given).items():
            columns[name][part] = values
    return columns


def distance(one: np.ndarray | int, other: np.ndarray | int) -> np.ndarray:
    """How many of the 64 bits of hashes differ: uint8, of arrays or numbers that broadcast."""
    differing: np.ndarray = np.bitwise_count(np.asarray(one, np.uint64) ^ np.asarray(other, np.uint64))
    return differing


def _look(image: Image.Image | np.ndarray, number: int) -> dict[str, Any]:
    """What needs Pillow, picture by picture: small copies, histogram, noise and main colours."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        image = _picture(image, number)
    image = pictures.opaque(image)
    luma = image if image.mode == "L" else image.convert("L")
    # An exact share of the area for each pixel (box), because it is fast and adds no ringing.
    box = Image.Resampling.BOX
    scale = WORKING_SIDE_PX / max(luma.size)
    work = luma if scale >= 1 else luma.resize((_scaled(luma.width, scale), _scaled(luma.height, scale)), box)
    looked: dict[str, Any] = {
        "size": image.size,
        "histogram": luma.histogram(),
        "work": ("L", work.width, work.height, work.tobytes(), b""),
        "noise": _noise(luma),
    }
    # Tiny pictures are enlarged smoothly, as a larger copy of them would have been.
    side = _PHASH_SIDE_PX
    hashed = work.resize((side, side), box if min(work.size) >= side else Image.Resampling.BILINEAR)
    looked["phash"], looked["dhash"] = np.asarray(hashed), np.asarray(hashed.resize(_DHASH_SIZE, box))
    # Pixels as they are, not means of them: a mean is less colourful, and of two colours it is a third.
    scale = min(1.0, COLOUR_SIDE_PX / max(image.size))
    nearest = Image.Resampling.NEAREST
    small = image.resize((_scaled(image.width, scale), _scaled(image.height, scale)), nearest)
    looked["colourfulness"], looked["is_grey"] = (0.0, True) if small.mode == "L" else _colour(np.asarray(small))
    looked["pixels"] = np.asarray(image.resize((MAIN_COLOURS_SIDE_PX,) * 2, nearest).convert("RGB")).reshape(-1, 3)
    return looked


def _together(looked: list[dict[str, Any]], sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What is computed for many pictures at once."""
    width, height = np.array(sizes, np.int32).reshape(-1, 2).T
    columns: dict[str, Any] = {"width": width, "height": height, "aspect": width / height}
    columns |= _light(np.array([one["histogram"] for one in looked], np.float64))
    columns["sharpness"] = measures.measure([one["work"] for one in looked])[2]
    columns["blur"] = 1 / (1 + 1000 * columns["sharpness"])
    for name in ("noise", "colourfulness", "is_grey"):
        columns[name] = [one[name] for one in looked]
    colours = _main_colours(np.stack([one["pixels"] for one in looked]).astype(np.float32))
    for rank in range(COLOURS):
        columns[f"colour_{rank + 1}"] = [names[rank] for names in colours]
    columns["dhash"] = _dhash(np.stack([one["dhash"] for one in looked]))
    columns["phash"] = _phash(np.stack([one["phash"] for one in looked]))
    return columns


def _light(histograms: np.ndarray) -> dict[str, np.ndarray]:
    """Brightness, contrast and entropy of histograms N x 256."""
    shares = histograms / histograms.sum(axis=1, keepdims=True)
    levels = np.arange(256) / 255
    brightness = shares @ levels
    variance = (shares * (levels - brightness[:, None]) ** 2).sum(axis=1)
    bits = -(shares * np.log2(shares, out=np.zeros_like(shares), where=shares > 0)).sum(axis=1)
    return {"brightness": brightness, "contrast": np.sqrt(variance), "entropy": np.maximum(bits, 0)}


def _noise(luma: Image.Image) -> float:
    width, height = luma.size
    if width < 3 or height < 3:
        return 0.0
    if max(width, height) > NOISE_SIDE_PX:
        left, top = max(0, (width - NOISE_SIDE_PX) // 2), max(0, (height - NOISE_SIDE_PX) // 2)
        luma = luma.crop((left, top, min(width, left + NOISE_SIDE_PX), min(height, top + NOISE_SIDE_PX)))
    values = np.asarray(luma).astype(np.int16)
    # The mask [[1, -2, 1], [-2, 4, -2], [1, -2, 1]] is second differences down, then across: at most 16 x 255.
    down = values[:-2] + values[2:]
    down -= 2 * values[1:-1]
    both = down[:, :-2] + down[:, 2:]
    both -= 2 * down[:, 1:-1]
    np.abs(both, out=both)
    return float(np.sqrt(np.pi / 2) / 6 / 255 * both.mean())


def _colour(pixels: np.ndarray) -> tuple[float, bool]:
    """Colourfulness, and whether it is grey: of uint8 H x W x 3."""
    red, green, blue = np.ascontiguousarray(pixels.reshape(-1, 3).T).astype(np.float32)
    red_green = red - green
    yellow_blue = (red + green) * np.float32(0.5) - blue
    deviation = np.hypot(red_green.std(), yellow_blue.std())
    mean = np.hypot(red_green.mean(), yellow_blue.mean())
    apart = max(float(np.abs(red_green).max()), float(np.abs(green - blue).max()), float(np.abs(red - blue).max()))
    return float(deviation + 0.3 * mean), apart <= GREY_LEVELS


def _main_colours(pixels: np.ndarray) -> list[list[str | None]]:
    """Three names or None for each of N pictures: of float32 N x M x 3, in levels."""
    belongs = np.zeros(pixels.shape[:2], np.int8)
    for fresh in range(1, COLOURS):
        belongs = _cut(pixels, belongs, fresh)
    for _ in range(_ROUNDS):
        centres, counts = _centres(pixels, belongs)
        away = (centres**2).sum(axis=2)[:, None] - 2 * np.matmul(pixels, centres.transpose(0, 2, 1))
        away[np.broadcast_to(counts[:, None] == 0, away.shape)] = np.inf
        belongs = away.argmin(axis=2).astype(np.int8)
    centres, counts = _centres(pixels, belongs)
    return [_named(*one) for one in zip(np.rint(centres).astype(np.int16), counts, strict=True)]


def _cut(pixels: np.ndarray, belongs: np.ndarray, fresh: int) -> np.ndarray:
    """Parts the set of pixels that varies most, at the mean of its widest channel; the upper ones are set `fresh`."""
    rows = np.arange(len(pixels))
    centres, counts = _centres(pixels, belongs)
    spread = np.stack([np.matmul(_members(belongs, group), pixels**2)[:, 0] for group in range(fresh)], axis=1)
    spread -= counts[:, :fresh, None] * centres[:, :fresh] ** 2
    group, channel = np.divmod(spread.reshape(len(pixels), -1).argmax(axis=1), 3)
    upper = pixels[rows, :, channel] > centres[rows, group, channel][:, None]
    return np.where(upper & (belongs == group[:, None]), np.int8(fresh), belongs)


def _centres(pixels: np.ndarray, belongs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours N x 3 x 3 and sizes N x 3 of the sets of pixels; 0 for empty ones."""
    members = np.concatenate([_members(belongs, group) for group in range(COLOURS)], axis=1)
    counts = members.sum(axis=2)
    return np.matmul(members, pixels) / np.maximum(counts, 1)[..., None], counts


def _members(belongs: np.ndarray, group: int) -> np.ndarray:
    members: np.ndarray = (belongs == group).astype(np.float32)[:, None]
    return members


def _named(centres: np.ndarray, counts: np.ndarray) -> list[str | None]:
    # Of equally frequent colours the darker one first, so that the order never depends on chance.
    kept: list[list[int]] = []
    for _, colour in sorted(
        (-count, colour) for count, colour in zip(counts.tolist(), centres.tolist(), strict=True) if count
    ):
        if all(max(abs(a - b) for a, b in zip(colour, other, strict=True)) > SAME_COLOUR_LEVELS for other in kept):
            kept.append(colour)
    return [f"#{bytes(colour).hex()}" for colour in kept] + [None] * (COLOURS - len(kept))


def _dhash(pixels: np.ndarray) -> NDArray[np.uint64]:
    """uint8 N x 8 x 9 to 64 bits, the first row first, the first bit the highest."""
    return _bits(pixels[:, :, :-1] < pixels[:, :, 1:])


def _phash(pixels: np.ndarray) -> NDArray[np.uint64]:
    """uint8 N x 32 x 32 to 64 bits."""
    frequencies = np.matmul(np.matmul(_waves(), pixels.astype(np.float64)), _waves().T).reshape(len(pixels), -1)
    # Rounding leaves nothing of the arithmetic's own noise: even pictures have the hash 0 on every machine.
    frequencies = np.round(frequencies, 3)
    return _bits(frequencies > np.median(frequencies, axis=1, keepdims=True))


@cache
def _waves() -> np.ndarray:
    """Cosines 1 to 8 of the orthonormal DCT-II over 32 pixels: 8 x 32."""
    position = (np.arange(_PHASH_SIDE_PX) + 0.5) / _PHASH_SIDE_PX
    waves: np.ndarray = np.cos(np.pi * np.arange(1, 9)[:, None] * position) * np.sqrt(2 / _PHASH_SIDE_PX)
    return waves


def _bits(true: np.ndarray) -> NDArray[np.uint64]:
    packed = np.packbits(true.reshape(len(true), 64), axis=1)
    return packed.view(">u8")[:, 0].astype(np.uint64)


def _scaled(side_px: int, scale: float) -> int:
    return max(1, round(side_px * scale))


def _picture(array: np.ndarray, number: int) -> Image.Image:
    from PIL import Image

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16, np.float32)
    colour = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    if not (grey or colour) or array.size == 0:
        raise ModelError(
            f"Number {number:,} of the pictures is an array of {array.dtype} and shape {array.shape}.",
            hint="Give grey H×W of uint8, uint16 or float32, or H×W×3 or H×W×4 of uint8.",
            code="wrong_shape",
        )
    return Image.fromarray(np.ascontiguousarray(array))
