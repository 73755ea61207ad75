"""What the kernel and the inference process say to each other.

A frame is the lengths of its head and its body (little-endian, 4 and 8 bytes), a JSON head and a binary body: encoded
pictures or float32 numbers, as they are. Nothing is unpickled from the child, and the child never opens the session
file: the kernel reads the bytes, because only it knows what may be read, and because reading is cheap beside
decoding. Frames go through the child's standard input
and output; when its input ends, the child ends.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any, ClassVar

_LENGTHS = struct.Struct("<IQ")


@dataclass(frozen=True)
class Message:
    """A frame's head; `body` travels beside it as it is."""

    KIND: ClassVar[str]


@dataclass(frozen=True)
class Load(Message):
    """Kernel to child, first: which model. The body of a callable is its pickle, made by this user in this kernel."""

    KIND = "load"
    model: str  # auto, torchvision, callable or umap
    name: str
    search_path: list[str] = field(default_factory=list)
    threads: int = 1


@dataclass(frozen=True)
class Pictures(Message):
    """Kernel to child: encoded pictures; the body is all of them back to back."""

    KIND = "pictures"
    batch: int
    sizes: list[int]


@dataclass(frozen=True)
class Layout(Message):
    """Kernel to child: lay vectors out on a plane; the body is float32, count x dimension."""

    KIND = "layout"
    count: int
    dimension: int
    neighbours: int
    minimum_distance: float
    seed: int


@dataclass(frozen=True)
class Ready(Message):
    """Child to kernel: the model is loaded. The dimension may be 0 until the first batch is through."""

    KIND = "ready"
    revision: str
    dimension: int


@dataclass(frozen=True)
class Note(Message):
    """Child to kernel: what it is doing, for people."""

    KIND = "note"
    sentence: str


@dataclass(frozen=True)
class Vectors(Message):
    """Child to kernel: the answer to `Pictures`. The body is float32: a row for each good picture, in order."""

    KIND = "vectors"
    batch: int
    dimension: int
    problems: list[tuple[int, str, str]]  # position in the batch, code, reason


@dataclass(frozen=True)
class Places(Message):
    """Child to kernel: the answer to `Layout`. The body is float32, count x 2."""

    KIND = "places"
    count: int


@dataclass(frozen=True)
class Failed(Message):
    """Child to kernel: it cannot go on with this model."""

    KIND = "failed"
    code: str
    message: str
    hint: str | None = None


KINDS: dict[str, type[Message]] = {
    kind.KIND: kind for kind in (Load, Pictures, Layout, Ready, Note, Vectors, Places, Failed)
}


def write(stream: IO[bytes], message: Message, body: bytes | memoryview | Sequence[bytes] = b"") -> None:
    """Sends one frame; a body of many parts is sent part by part, without joining them."""
    parts = [memoryview(body).cast("B")] if isinstance(body, bytes | memoryview) else body
    head = json.dumps({"kind": message.KIND, **asdict(message)}, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(head), sum(len(part) for part in parts)) + head)
    for part in parts:
        if len(part):
            stream.write(part)
    stream.flush()


def read(stream: IO[bytes]) -> tuple[Message, bytearray] | None:
    """Receives one frame; None when the other side has closed, or ended inside a frame."""
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    head = _read(stream, head_length)
    body = _read(stream, body_length)
    if head is None or body is None:
        return None
    fields: dict[str, Any] = json.loads(bytes(head))
    kind = KINDS[fields.pop("kind")]
    if kind is Vectors:
        fields["problems"] = [(int(index), str(code), str(reason)) for index, code, reason in fields["problems"]]
    return kind(**fields), body


def _read(stream: IO[bytes], length: int) -> bytearray | None:
    data = bytearray(length)
    view = memoryview(data)
    filled = 0
    while filled < length:
        count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            return None
        filled += count
    return data
