"""Brightness, contrast, sharpness and mean colours of decoded pictures, many at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Pixels measured together: their arrays stay in the processor's cache.
_TOGETHER_PX = 65_536

# Pictures of so many pixels go whole between processes: that costs less than what it takes to say less about them.
SMALL_PX = 4_096
# Mode, width, height, luma and colours (whole, or means of 8 x 8 blocks) as bytes. Small RGB comes without luma.
Planes = tuple[str, int, int, bytes, bytes]

_store = threading.local()


def planes(image: Image.Image) -> Planes:
    """What `measure` needs of a picture in mode L or RGB."""
    mode, (width, height) = image.mode, image.size
    if mode == "L":
        return mode, width, height, image.tobytes(), b""
    if width * height <= SMALL_PX:
        return mode, width, height, b"", image.tobytes()
    luma = image.convert("L").tobytes()
    # Means of blocks, by Pillow, are all that the mean colours need.
    colours = image.reduce(8) if _in_blocks(width, height) else image
    return mode, width, height, luma, colours.tobytes()


def measure(pictures: Sequence[Planes]) -> np.ndarray:
    """Brightness, contrast, sharpness and mean colours of many pictures: float32, 6 x N, all in 0..1.

    Pictures of one size are measured together, so that small ones cost microseconds.
    """
    import numpy as np

    result = np.zeros((6, len(pictures)), np.float32)
    groups: dict[tuple[str, int, int], list[int]] = {}
    for index, (mode, width, height, _, _) in enumerate(pictures):
        groups.setdefault((mode, width, height), []).append(index)
    for (mode, width, height), members in groups.items():
        step = max(1, _TOGETHER_PX // (width * height))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            luma = b"".join([pictures[index][3] for index in part])
            colours = b"".join([pictures[index][4] for index in part])
            result[:, part] = _measure_same_size(len(part), luma, colours, mode, width, height)
    return result


def _in_blocks(width: int, height: int) -> bool:
    return width * height > SMALL_PX and min(width, height) >= 8


def _measure_same_size(count: int, luma: bytes, colours: bytes, mode: str, width: int, height: int) -> np.ndarray:
    import numpy as np

    area = width * height
    shown = np.frombuffer(luma, np.uint8) if luma else _luma(np.frombuffer(colours, np.uint8))
    light = shown.reshape(count, height, width)
    result = np.zeros((6, count), np.float32)
    values = _scratch("values", np.float32, (count, area))
    np.copyto(values, light.reshape(count, area))
    mean = values.mean(axis=1)
    np.subtract(values, mean[:, None], out=values)
    result[0] = mean / 255
    result[1] = np.sqrt(np.einsum("ij,ij->i", values, values) / area) / 255
    if width > 2 and height > 2:
        result[2] = _laplacian_variance(light)
    result[3:] = result[0] if mode == "L" else _mean_colours(count, colours, width, height)
    return result


def _luma(colours: np.ndarray) -> np.ndarray:
    """Of RGB, as Pillow's mode L has it: ITU-R BT.601."""
    import numpy as np

    values = _scratch("colours", np.float32, (len(colours) // 3, 3))
    np.copyto(values, colours.reshape(-1, 3))
    luma: np.ndarray = np.rint(values @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
    return luma


def _laplacian_variance(light: np.ndarray) -> np.ndarray:
    import numpy as np

    count, height, width = light.shape
    signed = _scratch("signed", np.int16, light.shape)
    np.copyto(signed, light)
    edges = _scratch("edges", np.int16, (count, height - 2, width - 2))
    np.multiply(signed[:, 1:-1, 1:-1], np.int16(4), out=edges)
    edges -= signed[:, :-2, 1:-1]
    edges -= signed[:, 2:, 1:-1]
    edges -= signed[:, 1:-1, :-2]
    edges -= signed[:, 1:-1, 2:]
    steep = _scratch("values", np.float32, edges.shape)
    np.copyto(steep, edges)
    steep = steep.reshape(count, -1)
    mean = steep.mean(axis=1)
    variance: np.ndarray = (np.einsum("ij,ij->i", steep, steep) / steep.shape[1] - mean * mean) / (255 * 255)
    return variance


def _scratch(name: str, kind: type[np.generic], shape: tuple[int, ...]) -> np.ndarray:
    """An array to work in, from this thread's own store: fresh memory costs more than all the arithmetic on it."""
    import numpy as np

    size = math.prod(shape)
    kept: np.ndarray | None = getattr(_store, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(max(size, 65_536), kind)
        setattr(_store, name, kept)
    return kept[:size].reshape(shape)


def _mean_colours(count: int, colours: bytes, width: int, height: int) -> np.ndarray:
    import numpy as np

    weights = _block_weights(width, height) if _in_blocks(width, height) else _even_weights(width * height)
    values = np.frombuffer(colours, np.uint8).reshape(count, -1, 3).astype(np.float32)
    means: np.ndarray = (weights @ values).T
    return means


@lru_cache(maxsize=64)
def _block_weights(width: int, height: int) -> np.ndarray:
    """The share of each 8 x 8 block; those at the right and lower border are smaller."""
    import numpy as np

    across, down = np.full(-(-width // 8), 8.0), np.full(-(-height // 8), 8.0)
    across[-1] -= -width % 8
    down[-1] -= -height % 8
    weights: np.ndarray = (np.outer(down, across).ravel() / (255 * width * height)).astype(np.float32)
    return weights


@lru_cache(maxsize=64)
def _even_weights(area: int) -> np.ndarray:
    import numpy as np

    return np.full(area, 1 / (255 * area), np.float32)
