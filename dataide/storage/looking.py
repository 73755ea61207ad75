"""Looking at many pictures: read, decode, measure. This is what the import's own processes run.

They are plain children that speak pickles over pipes. A fork would copy the threads' locks of a notebook kernel, and
multiprocessing's spawn would run the user's script a second time.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import queue
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from dataide.errors import DataideError
from dataide.storage import measures, pictures
from dataide.storage.trust import read_regular

if TYPE_CHECKING:
    import numpy as np

# Larger pictures are measured where they are decoded, when so many pixels are held. Small ones are cheaper to hand over
# than numpy is to import in each process.
_HELD_PX = 262_144


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture that comes as raw pixels and is to be kept as PNG. `mode` is Pillow's: L, RGB or RGBA."""

    mode: str
    width: int
    height: int
    data: bytes


# A path that may be read, encoded bytes, raw pixels, or the reason why there is nothing to read.
Item = str | bytes | Pixels | DataideError


@dataclass(slots=True)
class Seen:
    """What is known of the good pictures of one job, in order, and what is wrong with the others.

    Attributes:
        good: positions in the job.
        planes: of those good pictures, the last ones, that are not measured yet.
        measured: float32, 6 x len(good) in parts, as `measures.measure` says.
        encoded: the PNG bytes by position, of raw pixels only.
        problems: position, code and reason.
    """

    good: list[int] = field(default_factory=list)
    width_px: list[int] = field(default_factory=list)
    height_px: list[int] = field(default_factory=list)
    size_bytes: list[int] = field(default_factory=list)
    format: list[str] = field(default_factory=list)
    content_hash: list[str] = field(default_factory=list)
    planes: list[measures.Planes] = field(default_factory=list)
    measured: list[np.ndarray] = field(default_factory=list)
    encoded: dict[int, bytes] = field(default_factory=dict)
    problems: list[tuple[int, str, str]] = field(default_factory=list)

    def measure(self) -> None:
        """Measures what is not measured yet."""
        if self.planes:
            self.measured.append(measures.measure(self.planes))
            self.planes = []


def look_at(items: Sequence[Item]) -> Seen:
    """Reads, decodes and measures; what is wrong with one picture never stops the others."""
    seen = Seen()
    held_px = 0
    for position, item in enumerate(items):
        try:
            data = _bytes_of(item)
            picture = pictures.look_for_statistics(data)
        except DataideError as error:
            seen.problems.append((position, error.code, error.message))
            continue
        except MemoryError:
            seen.problems.append((position, "too_large", "there is not enough memory for it"))
            continue
        except Exception as error:
            seen.problems.append((position, "unreadable", f"{type(error).__name__}: {error}"[:300]))
            continue
        if isinstance(item, Pixels):
            seen.encoded[position] = data
        seen.good.append(position)
        seen.width_px.append(picture.width_px)
        seen.height_px.append(picture.height_px)
        seen.size_bytes.append(len(data))
        seen.format.append(picture.format)
        seen.content_hash.append(pictures.content_hash(data))
        seen.planes.append(measures.planes(picture.image))
        area = picture.image.width * picture.image.height
        held_px += area
        if area > measures.SMALL_PX and held_px > _HELD_PX:
            seen.measure()
            held_px = 0
    return seen


def _bytes_of(item: Item) -> bytes:
    if isinstance(item, str):
        return read_regular(item)
    if isinstance(item, bytes):
        return item
    if isinstance(item, Pixels):
        return png(item)
    raise item


def png(pixels: Pixels) -> bytes:
    """Raw pixels as a PNG, quickly rather than small."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.frombuffer(pixels.mode, (pixels.width, pixels.height), pixels.data, "raw", pixels.mode, 0, 1)
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def serve() -> None:
    """Answers jobs from standard input on standard output, until the input ends."""
    warnings.simplefilter("ignore")
    gc.set_threshold(100_000)  # the collector would look through thousands of fresh objects and find no cycle
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not get between the answers.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    jobs: queue.Queue[Sequence[Item] | None] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, jobs), daemon=True).start()
    _send(answers, "ready")
    while (job := jobs.get()) is not None:
        _send(answers, look_at(job))


def _receive(source: BinaryIO, jobs: queue.Queue[Sequence[Item] | None]) -> None:
    # Takes the next job off the pipe while the present one is worked on, so that neither side waits for the other.
    try:
        while True:
            jobs.put(pickle.load(source))
    except (EOFError, OSError, pickle.UnpicklingError):
        jobs.put(None)


def _send(target: BinaryIO, answer: object) -> None:
    pickle.dump(answer, target, protocol=pickle.HIGHEST_PROTOCOL)
    target.flush()
