"""Nearest neighbours by cosine similarity: exact, and fast enough for a million samples.

An index would save little here: BLAS goes through 1,000,000 x 512 numbers as fast as the memory gives them.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError, UnknownSample, did_you_mean
from dataide.find import search, vector_parts
from dataide.find.vector_parts import Part, Parts
from dataide.inference import descriptor
from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.inference.kernel import Kernel
    from dataide.storage.database import Database
    from dataide.storage.vectors import Embedding

PIECE = 65_536
_kept: weakref.WeakKeyDictionary[Database, Parts] = weakref.WeakKeyDictionary()
_locks: weakref.WeakKeyDictionary[Database, threading.Lock] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def nearest(
    database: Database,
    embedding: str,
    query: np.ndarray,
    k: int | None = None,
    among: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The samples most similar to a vector, best first; equals in order of arrival.

    Args:
        database: the session's.
        embedding: whose vectors.
        query: one vector; its length does not matter.
        k: how many; None for all.
        among: sample numbers, or a bool mask over them.

    Returns:
        Sample numbers (uint32) and cosine similarities (float32).

    Raises:
        ModelError: there is no such embedding, or the query has another dimension or is not finite.
    """
    known = require(database, embedding)
    direction = np.array(query, np.float64).reshape(-1)
    if len(direction) != known.dimension:
        raise ModelError(
            f"A vector of {len(direction)} numbers cannot be compared with {embedding!r}, which has {known.dimension}.",
            code="dimension",
        )
    if not np.isfinite(direction).all():
        raise ModelError(
            "The vector to search by has numbers that are infinite or not numbers.",
            hint="Look at it with numpy.isfinite(vector); give one whose numbers are all finite.",
            code="not_finite",
        )
    largest = np.abs(direction).max(initial=0)
    if largest > 0:
        direction /= largest  # or the squares of large numbers would be infinite
        direction /= np.sqrt(direction @ direction)
    inside = None if among is None else _inside(database, among)
    nos, cosines = search.best(_parts(database, known), direction, None if k is None else max(k, 0), inside)
    return nos, cosines.astype(np.float32)


def mean_vector(database: Database, embedding: str, nos: np.ndarray) -> np.ndarray:
    """The direction in which samples lie on average: what "similar to these" means.

    Raises:
        ModelError: none of them has a vector.
    """
    known = require(database, embedding)
    found, rows = vectors.fetch(database, known, np.asarray(nos))
    if not len(found):
        raise ModelError(
            f"None of these {len(nos):,} samples has a vector of {embedding!r}.",
            hint=f"session.embed({embedding!r})",
            code="no_vectors",
        )
    return np.asarray(_unit(rows).mean(axis=0), np.float32)


def query_vector(
    database: Database, embedding: str, target: Any, *, model: Any = None, kernel: Kernel | None = None
) -> tuple[np.ndarray, int | None]:
    """The vector to search by, and the sample's number where the target is one.

    Args:
        database: the session's.
        embedding: whose vectors are searched.
        target: a sample number, a sample id, a path, encoded bytes, a PIL picture, or a uint8 array H×W or H×W×C.
        model: the callable that made the embedding; needed for pictures that are no samples.
        kernel: the session's inference kernel, which has the model already; without it a process is started for this.

    Raises:
        UnknownSample: a string is neither a sample id nor a file.
        ModelError: the sample has no vector, or the model cannot embed a new picture.
    """
    known = require(database, embedding)
    if isinstance(target, bool | float):
        raise UnknownSample(f"{target!r} is no sample.", hint="Give a sample id, a picture, a path or an array.")
    if isinstance(target, str):
        no = _number_of(database, target)
        if no is None and not os.path.isfile(target):
            raise UnknownSample(
                f"There is no sample {target!r}, and no file of that name.", hint=_near(database, target)
            )
        target = Path(target) if no is None else no
    if isinstance(target, int | np.integer):
        return mean_vector(database, embedding, np.asarray([int(target)], np.uint32)), int(target)
    return _describe(known, target, model, kernel), None


def require(database: Database, name: str) -> Embedding:
    """The embedding of this name.

    Raises:
        ModelError: there is none; the error says which there are.
    """
    known = vectors.embedding(database, name)
    if known is None:
        there = [one.name for one in vectors.embeddings(database)]
        raise ModelError(
            f"There is no embedding {name!r}.",
            hint=did_you_mean(name, there) if there else f"session.embed({name!r}) makes it.",
            code="no_embedding",
        )
    return known


def _describe(known: Embedding, target: Any, model: Any, kernel: Kernel | None) -> np.ndarray:
    data = _encoded(target)
    made_by = known.revision.partition("/")[0]
    if known.revision == f"{descriptor.NAME}/{descriptor.REVISION}":
        from dataide.storage import pictures

        return np.asarray(descriptor.describe([pictures.decode(data, max_side_px=descriptor.DECODE_SIDE_PX)])[0])
    if "#" in known.revision and model is None:
        raise ModelError(
            f"{known.name!r} was made by a function, which is needed to embed a new picture.",
            hint="Add the picture as a sample and embed it, or search by a sample id.",
            code="needs_model",
        )
    from dataide.inference.client import embed_pictures

    return np.asarray(embed_pictures(model if model is not None else made_by, [data], kernel=kernel)[0])


def _encoded(target: Any) -> bytes:
    if isinstance(target, bytes | bytearray | memoryview):
        return bytes(target)
    if isinstance(target, os.PathLike):
        try:
            return Path(target).read_bytes()
        except OSError as error:
            raise UnknownSample(f"{os.fspath(target)} cannot be read: {error.strerror}.") from None
    from PIL import Image

    if isinstance(target, np.ndarray):
        channels = target.shape[2] if target.ndim == 3 else 1
        if target.dtype != np.uint8 or target.ndim not in (2, 3) or channels not in (1, 3, 4):
            raise ModelError(
                f"An array of {target.dtype} and shape {target.shape} is no picture.",
                hint="Give uint8 of shape H×W or H×W×C.",
            )
        target = Image.fromarray(np.ascontiguousarray(target if channels > 1 else target.reshape(target.shape[:2])))
    if not isinstance(target, Image.Image):
        raise UnknownSample(
            f"A {type(target).__name__} is neither a sample nor a picture.",
            hint="Give a sample id, a path, a PIL picture or a uint8 array.",
        )
    out = io.BytesIO()
    image = target if target.mode in ("L", "RGB", "RGBA", "I;16") else target.convert("RGB")
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def prepare(database: Database, embedding: str) -> None:
    """Makes the next search a quick one; for a thread of its own, as with many vectors it takes seconds.

    Raises:
        ModelError: there is no such embedding.
    """
    _parts(database, require(database, embedding))


def _parts(database: Database, known: Embedding) -> Iterable[Part]:
    with _lock:
        of_this = _locks.setdefault(database, threading.Lock())
    with of_this:
        parts = _kept.get(database)
        if parts is not None and parts.known == known and parts.checked_at == database.revision:
            return list(parts.parts)
        identity = vector_parts.identity(database, known)
        if parts is None or parts.identity != identity:
            _kept.pop(database, None)
            parts = Parts(database, known, identity)
        if parts.refresh(database):
            _kept[database] = parts
            # What a search under way reads is not changed, but replaced.
            return list(parts.parts)
    return _in_pieces(database, known)


def _in_pieces(database: Database, known: Embedding) -> Iterator[Part]:
    """Straight from the session file: slow, but it needs neither memory nor room on the disk."""
    for start in range(0, database.sample_count, PIECE):
        nos, rows = vectors.fetch(database, known, between=(start, start + PIECE))
        yield Part.of(nos, np.zeros(len(nos), np.uint32), rows)


def _unit(rows: np.ndarray) -> np.ndarray:
    """The rows at length 1, in place: they may be half of the memory."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.maximum(lengths, 1e-12)[:, None]
    return rows


def _inside(database: Database, among: np.ndarray) -> np.ndarray:
    among = np.asarray(among)
    if among.dtype == np.bool_:
        return among
    mask = np.zeros(max(database.sample_count, int(among.max()) + 1 if len(among) else 0), bool)
    mask[among] = True
    return mask


def _number_of(database: Database, sample_id: str) -> int | None:
    with database.query("SELECT sample_no FROM data.sample WHERE sample_id = ?", [sample_id]) as cursor:
        row = cursor.fetchone()
    return int(row[0]) if row is not None else None


def _near(database: Database, wrong: str) -> str | None:
    with database.query(
        "SELECT sample_id FROM data.sample ORDER BY jaro_winkler_similarity(sample_id, ?) DESC, sample_no LIMIT 3",
        [wrong],
    ) as cursor:
        return did_you_mean(wrong, [row[0] for row in cursor.fetchall()])
