"""Pictures that are numpy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dataide.errors import ImportProblem
from dataide.formats.ingest import Batch, Conflict, Ingest, Report
from dataide.formats.progress import Listener
from dataide.formats.table import column_of, texts, user_columns
from dataide.storage.looking import Pixels

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from dataide.storage.database import Database
    from dataide.storage.media import Media

BATCH = 1024
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def add_arrays(
    database: Database,
    media: Media,
    images: Any,
    *,
    label: Any = None,
    sample_id: Any = None,
    prefix: str | None = None,
    on_conflict: Conflict = "skip",
    progress: bool | Listener = True,
    **columns: Any,
) -> Report:
    """Adds one sample for each image of an array. They are kept in the session file, as PNG.

    Args:
        database: the session's file.
        media: the session's reader.
        images: uint8, N x H x W or N x H x W x C with C of 1, 3 (RGB) or 4 (RGBA).
        label: N labels, or one column's name among `columns`.
        sample_id: N ids, or one column's name; without it ids are made of `prefix` and the position.
        prefix: of the ids; without it one made of the pixels: the same arrays give the same ids, and others do not.
        on_conflict: what to do when an id is there already.
        progress: False for silence.
        **columns: N values each.

    Raises:
        ImportProblem: shape, type or the length of a column is wrong, or an id is taken and on_conflict is "error".
    """
    pixels = checked(images)
    count = len(pixels)
    named = {name: column_of(_with_length(name, values, count)) for name, values in columns.items()}
    labels = _texts(label, "label", named, count)
    ids = _texts(sample_id, "sample_id", named, count)
    splits = _texts("split", "split", named, count) if "split" in named else None
    if ids is None and sample_id is None and "sample_id" in named:
        ids = _texts("sample_id", "sample_id", named, count)
    used = (*(name for name in (label, sample_id) if isinstance(name, str)), "split", "sample_id")
    kept_ids: list[str | None] = ids if ids is not None else [None] * count
    if None in kept_ids:
        start = prefix if prefix is not None else f"array-{_fingerprint(pixels)}"
        width = max(6, len(str(count)))
        kept_ids = [f"{start}-{index:0{width}d}" if one is None else one for index, one in enumerate(kept_ids)]
    ingest = Ingest(database, "arrays", on_conflict=on_conflict, progress=progress, total=count)
    kept = {name: column for name, column in named.items() if name not in used}
    return ingest.run(_batches(pixels, [str(one) for one in kept_ids], labels, splits, kept, ingest.notes))


def checked(images: Any) -> np.ndarray:
    """The array, if it is one of pictures.

    Raises:
        ImportProblem: it is not, and what to type instead.
    """
    import numpy as np

    try:
        array = np.asarray(images)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype == object:
        raise ImportProblem(
            "The images differ in size, so they are no single array.",
            hint="session.add_frame([{'image': array, …}, …], media='image')",
        )
    if array.ndim == 4 and array.shape[3] not in _MODES and array.shape[1] in (1, 3):
        raise ImportProblem(
            f"The shape is {array.shape}: the channels stand before the pixels.",
            hint="Say images.transpose(0, 2, 3, 1).",
        )
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in _MODES):
        raise ImportProblem(
            f"The shape is {array.shape}.", hint="Give N x H x W, or N x H x W x C with 1, 3 or 4 channels."
        )
    if array.dtype != np.uint8:
        raise ImportProblem(f"The type of the pixels is {array.dtype}, not uint8.", hint=_type_hint(array))
    if len(array) and (array.shape[1] < 1 or array.shape[2] < 1):
        raise ImportProblem(f"The shape is {array.shape}: the pictures have no pixels.")
    return array


def _type_hint(array: np.ndarray) -> str:
    if array.dtype == bool:
        return "Say images.astype('uint8') * 255."
    if array.dtype.kind == "f":
        high = float(array.max()) if array.size else 1.0
        if high <= 1:
            return "These look like 0..1: say (images * 255).round().astype('uint8')."
        if high <= 16:
            return f"These go up to {high:g}: say (images * (255 / {high:g})).round().astype('uint8')."
        return "Say images.round().clip(0, 255).astype('uint8')."
    if array.dtype.kind in "iu":
        high = int(array.max()) if array.size else 0
        return (
            "Say images.astype('uint8')."
            if high <= 255
            else f"These go up to {high}: say (images * (255 / {high})).astype('uint8')."
        )
    return "Say images.astype('uint8'), scaled to 0..255."


def pixels_of(image: np.ndarray) -> Pixels:
    """One picture, H x W or H x W x C."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    mode = "L" if image.ndim == 2 else _MODES[image.shape[2]]
    return Pixels(mode, int(image.shape[1]), int(image.shape[0]), image.tobytes())


def _fingerprint(pixels: np.ndarray) -> str:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=4)
    for start in range(0, len(pixels), BATCH):
        digest.update(pixels[start : start + BATCH].tobytes())
    return digest.hexdigest()


def _with_length(name: str, values: Any, count: int) -> Any:
    if isinstance(values, str) or not hasattr(values, "__len__"):
        return [values] * count  # one value for all
    if len(values) != count:
        raise ImportProblem(f"{name} has {len(values):,} values for {count:,} images.", hint="Give one for each image.")
    return values


def _texts(given: Any, role: str, named: dict[str, pa.Array], count: int) -> list[str | None] | None:
    import pyarrow as pa

    if given is None:
        return None
    if isinstance(given, str):
        if given not in named:
            hint = f"Give {role}= a list of {count:,} values, or the name of one of the columns."
            raise ImportProblem(
                f"{role} is {given!r}, and there is no column of that name.", hint=hint, code="unknown_column"
            )
        column = named[given]
    else:
        column = column_of(_with_length(role, given, count))
    return texts(pa.chunked_array([column]))


def _batches(
    pixels: np.ndarray,
    ids: list[str],
    labels: list[str | None] | None,
    splits: list[str | None] | None,
    named: dict[str, pa.Array],
    notes: list[str],
) -> Iterator[Batch]:
    import pyarrow as pa

    table = user_columns(pa.Table.from_arrays(list(named.values()), list(named)), (), notes) if named else None
    for start in range(0, len(pixels), BATCH):
        end = min(start + BATCH, len(pixels))
        yield Batch(
            ids[start:end],
            [None] * (end - start),
            [pixels_of(image) for image in pixels[start:end]],
            labels[start:end] if labels is not None else None,
            splits[start:end] if splits is not None else None,
            table.slice(start, end - start) if table is not None else None,
        )
