"""Decoding JPEGs of 500 x 375: Pillow beside other decoders, in full and at half the size; then what attributes cost.

Pictures per second of CPU time on one thread, and by the clock on two; medians of rounds in which all take turns. Each
ends at an RGB array. `pictures` is what the project does (`storage.pictures`), with its checks. Decoders that are
not installed are left out and listed; torchvision cannot reduce while it decodes. Limit: attributes cost no more than
decoding in full does.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

COUNT = 100
ROUNDS = 7
WIDTH_PX, HEIGHT_PX = 500, 375
# Half of the size is the least that has this longest side.
HALF_SIDE_PX = 128
LIMITS = {"attributes_to_decode": 1.0}

Decode = Callable[[bytes], Any]


def measure() -> dict[str, Any]:
    files = [jpeg(seed) for seed in range(COUNT)]
    full, half, absent = decoders()
    figures: dict[str, Any] = {"jpeg_bytes": round(statistics.mean(map(len, files)))}
    for suffix, group in (("full", full), ("half", half)):
        for name, (one, two) in rates(group, files).items():
            figures[f"{name}_{suffix}_per_core_s"] = round(one)
            figures[f"{name}_{suffix}_2_threads_per_s"] = round(two)
    figures |= attributes(files)
    for name in absent:
        print(f"decoding: {name} is left out, because it is not installed", file=sys.stderr)
    return {**figures, "limits": LIMITS}


def jpeg(seed: int) -> bytes:
    """Smooth random content with some grain, quality 85."""
    from PIL import Image

    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (25, 33, 3), np.uint8))
    smooth = coarse.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth, np.float32) + random.normal(0, 6, (HEIGHT_PX, WIDTH_PX, 1))
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    return out.getvalue()


def decoders() -> tuple[dict[str, Decode], dict[str, Decode], list[str]]:
    """Those that decode in full, those that decode at half the size, and those that are not here."""
    from PIL import Image

    from dataide.storage import pictures

    def reduced(data: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (HALF_SIDE_PX, HALF_SIDE_PX * HEIGHT_PX // WIDTH_PX))
        return np.asarray(image)

    full: dict[str, Decode] = {
        "pictures": lambda data: np.asarray(pictures.decode(data)),
        "pillow": lambda data: np.asarray(Image.open(io.BytesIO(data))),
    }
    half: dict[str, Decode] = {
        "pictures": lambda data: np.asarray(pictures.look(data, max_side_px=HALF_SIDE_PX, shrink=False).image),
        "pillow": reduced,
    }
    absent = []
    for add in (torchvision, simplejpeg, pyturbojpeg, opencv):
        try:
            add(full, half)
        except (ImportError, RuntimeError, OSError) as error:
            absent.append(f"{add.__name__} ({str(error).splitlines()[0][:100]})")
    return full, half, absent


def torchvision(full: dict[str, Decode], half: dict[str, Decode]) -> None:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    full["torchvision"] = lambda data: decode_jpeg(
        torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB
    )


def simplejpeg(full: dict[str, Decode], half: dict[str, Decode]) -> None:
    import simplejpeg

    full["simplejpeg"] = simplejpeg.decode_jpeg
    half["simplejpeg"] = lambda data: simplejpeg.decode_jpeg(data, min_width=WIDTH_PX // 2, min_height=1)


def pyturbojpeg(full: dict[str, Decode], half: dict[str, Decode]) -> None:
    from turbojpeg import TJPF_RGB, TurboJPEG

    turbo = TurboJPEG()
    full["pyturbojpeg"] = lambda data: turbo.decode(data, pixel_format=TJPF_RGB)
    half["pyturbojpeg"] = lambda data: turbo.decode(data, pixel_format=TJPF_RGB, scaling_factor=(1, 2))


def opencv(full: dict[str, Decode], half: dict[str, Decode]) -> None:
    import cv2

    cv2.setNumThreads(1)

    def at(flag: int) -> Decode:
        return lambda data: cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flag), cv2.COLOR_BGR2RGB)

    full["opencv"] = at(cv2.IMREAD_COLOR)
    half["opencv"] = at(cv2.IMREAD_REDUCED_COLOR_2)


def rates(group: dict[str, Decode], files: list[bytes]) -> dict[str, tuple[float, float]]:
    """By name: pictures per second of CPU time on one thread, and by the clock on two."""
    shapes = {name: tuple(sorted(decode(files[0]).shape)) for name, decode in group.items()}
    if len(set(shapes.values())) != 1:
        raise AssertionError(f"They do not decode to the same size: {shapes}")
    alone: dict[str, list[float]] = {name: [] for name in group}
    paired: dict[str, list[float]] = {name: [] for name in group}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            for name, decode in group.items():
                began = time.process_time()
                for data in files:
                    decode(data)
                alone[name].append(len(files) / (time.process_time() - began))
                wall = time.perf_counter()
                list(pool.map(decode, files))
                paired[name].append(len(files) / (time.perf_counter() - wall))
    return {name: (statistics.median(alone[name]), statistics.median(paired[name])) for name in group}


def attributes(files: list[bytes]) -> dict[str, float]:
    """What `enrich("quality")` computes, and its cost as a share of that of decoding the same pictures in full."""
    from dataide.inference.attributes import describe
    from dataide.storage import pictures

    costs, shares = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        images = [pictures.decode(data) for data in files]
        decoded = time.process_time()
        describe(images)
        costs.append(len(files) / (time.process_time() - decoded))
        shares.append((time.process_time() - decoded) / (decoded - began))
    return {
        "attributes_per_core_s": round(statistics.median(costs)),
        "attributes_to_decode": round(statistics.median(shares), 2),
    }
