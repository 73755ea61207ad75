"""What the notebook's process and the inference process say to each other.

A frame is the lengths of its head and its body (little-endian, 4 and 8 bytes), a JSON head and a binary body: encoded
pictures or arrays of plain numbers, as they are. Nothing is unpickled from the child, and the child never opens the
session file: the notebook's process reads the bytes, because only it knows what may be read, and because reading is
cheap beside decoding. Frames go through the child's standard input and output; when its input ends, the child ends.

One child serves many models and many requests at once. `request` names a request and is never used twice in one
process; what the child says about it carries its number. The child reads whatever comes at once, so the sender keeps
the number of batches under way small.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any, ClassVar, Literal

import numpy as np

from dataide.errors import ProtocolError

Lane = Literal["bulk", "interactive"]
Form = Literal["picture", "text"]
Arrays = dict[str, np.ndarray]
Problem = tuple[int, str, str]  # position in the batch, code, reason

_LENGTHS = struct.Struct("<IQ")
# Little-endian or single bytes; object arrays and everything that would need a pickle is not among them.
DTYPES = frozenset(
    ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"],
)


@dataclass(frozen=True)
class Message:
    """A frame's head; `body` travels beside it as it is."""

    KIND: ClassVar[str]


@dataclass(frozen=True)
class Start(Message):
    """To the child, first: where and with how many threads it computes. The device is auto, cpu, cuda or cuda:1."""

    KIND = "start"
    device: str = "auto"
    threads: int = 1


@dataclass(frozen=True)
class Started(Message):
    """From the child, first: what it found. The memory is the machine's; versions are of what is installed."""

    KIND = "started"
    device: str
    memory_bytes: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Load(Message):
    """To the child: a request needs this model; it is loaded once. The body of a callable is its pickle.

    The pickle is made by this user in this process; its key says which pickle it is. Where the child should have the
    model the body is left out (`kept`); a child that needs it after all says `Failed` with the code "send_again".
    """

    KIND = "load"
    request: int
    key: str
    kind: str  # see models.load
    name: str
    search_path: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    kept: bool = False


@dataclass(frozen=True)
class Unload(Message):
    """To the child: forget a model, unless a request of a higher number has asked for it meanwhile."""

    KIND = "unload"
    key: str
    before: int


@dataclass(frozen=True)
class Pictures(Message):
    """To the child: encoded pictures, or texts in UTF-8, for a loaded model; the body is all of them back to back."""

    KIND = "pictures"
    request: int
    key: str
    lane: Lane
    batch: int
    sizes: list[int]
    form: Form = "picture"


@dataclass(frozen=True)
class Cancel(Message):
    """To the child: drop what waits of a request; nothing more of it will come."""

    KIND = "cancel"
    request: int


@dataclass(frozen=True)
class Ask(Message):
    """To the child: how are you? `Health` answers, also while a batch is computed."""

    KIND = "ask"
    request: int


@dataclass(frozen=True)
class Layout(Message):
    """To the child: lay vectors out on a plane; the body is float32, count x dimension. For a child of its own."""

    KIND = "layout"
    count: int
    dimension: int
    neighbours: int
    minimum_distance: float
    seed: int


@dataclass(frozen=True)
class Ready(Message):
    """From the child: the model is loaded. The dimension may be 0 until the first batch is through.

    Details are what `session.models` says of it: task, classes, parameters, hash, device.
    """

    KIND = "ready"
    request: int
    key: str
    revision: str
    dimension: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Note(Message):
    """From the child: what it is doing, for people, and for which model."""

    KIND = "note"
    request: int
    key: str
    sentence: str


@dataclass(frozen=True)
class Outcome(Message):
    """From the child: the answer to `Pictures`.

    The body is the arrays back to back, as `arrays` describes them: name, dtype, shape. An embedding has "vectors",
    float32, a row for each good picture in order; models/outputs.py says what the others have. `seconds` is how long
    the model computed; details that only a first batch shows (the classes of a callable) come with it.
    """

    KIND = "outcome"
    request: int
    batch: int
    arrays: list[dict[str, Any]]
    problems: list[Problem]
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Places(Message):
    """From the child: the answer to `Layout`. The body is float32, count x 2."""

    KIND = "places"
    count: int


@dataclass(frozen=True)
class Health(Message):
    """From the child: the answer to `Ask`. Memory in bytes, 0 where there is none; the rate in pictures a second."""

    KIND = "health"
    request: int
    device: str
    rss_bytes: int
    device_used_bytes: int
    device_total_bytes: int
    models: dict[str, str]  # key: name
    queued: dict[str, int]  # lane: batches
    rate: float


@dataclass(frozen=True)
class Failed(Message):
    """From the child: it cannot go on with this request (0: with a layout). Others go on."""

    KIND = "failed"
    request: int
    code: str
    message: str
    hint: str | None = None


KINDS: dict[str, type[Message]] = {
    kind.KIND: kind
    for kind in (
        *(Start, Load, Unload, Pictures, Cancel, Ask, Layout),
        *(Started, Ready, Note, Outcome, Places, Health, Failed),
    )
}


def write(stream: IO[bytes], message: Message, body: bytes | memoryview | Sequence[bytes | memoryview] = b"") -> None:
    """Sends one frame; a body of many parts is sent part by part, without joining them."""
    parts = [memoryview(part).cast("B") for part in ([body] if isinstance(body, bytes | memoryview) else body)]
    head = json.dumps({"message_kind": message.KIND, **asdict(message)}, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(head), sum(len(part) for part in parts)) + head)
    for part in parts:
        if len(part):
            stream.write(part)
    stream.flush()


def read(stream: IO[bytes]) -> tuple[Message, bytearray] | None:
    """Receives one frame; None when the other side has closed, or ended inside a frame.

    Raises:
        ProtocolError: what came is no message of this contract.
    """
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    head = _read(stream, head_length)
    body = _read(stream, body_length)
    if head is None or body is None:
        return None
    try:
        fields: dict[str, Any] = json.loads(bytes(head))
        kind = KINDS[fields.pop("message_kind")]
        if kind is Outcome:
            fields["problems"] = [(int(index), str(code), str(reason)) for index, code, reason in fields["problems"]]
        return kind(**fields), body
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"What came over the pipe of the inference process is no message: {error!r}.") from None


def packed(arrays: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[bytes | memoryview]]:
    """Named arrays as `Outcome` describes them, and the parts of its body.

    Raises:
        ProtocolError: an array is not of plain numbers.
    """
    entries: list[dict[str, Any]] = []
    parts: list[bytes | memoryview] = []
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        _require_plain(name, plain.dtype.str)
        entries.append({"name": name, "dtype": plain.dtype.str, "shape": list(array.shape)})
        parts.append(plain.reshape(-1).view(np.uint8).data)
    return entries, parts


def unpacked(outcome: Outcome, body: bytearray) -> Arrays:
    """The arrays of an outcome, over its body without a copy.

    Raises:
        ProtocolError: an array is not of plain numbers, or the body has another length than they need.
    """
    arrays: Arrays = {}
    offset = 0
    for entry in outcome.arrays:
        name, dtype, shape = str(entry["name"]), str(entry["dtype"]), [int(length) for length in entry["shape"]]
        _require_plain(name, dtype)
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        if min(shape, default=0) < 0 or offset + size > len(body):
            raise ProtocolError(f"The array {name!r} of shape {shape} does not fit into what came with it.")
        arrays[name] = np.frombuffer(body, dtype, count, offset).reshape(shape)
        offset += size
    if offset != len(body):
        raise ProtocolError(f"{len(body) - offset:,} bytes came that belong to no array.")
    return arrays


def _require_plain(name: str, dtype: str) -> None:
    if dtype not in DTYPES:
        raise ProtocolError(f"The array {name!r} has the type {dtype}; plain numbers are needed.")


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
