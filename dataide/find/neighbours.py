"""Nearest neighbours by cosine similarity: exact, and fast enough for a million samples.

An index would save little here: BLAS goes through 1,000,000 x 512 numbers as fast as the memory gives them.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ModelError, UnknownSample, did_you_mean
from dataide.find import search, vector_parts
from dataide.find.vector_parts import Part, Parts, Source
from dataide.inference import descriptor
from dataide.storage import object_vectors, vectors

if TYPE_CHECKING:
    from dataide.inference.identity import Identity
    from dataide.inference.kernel import Kernel
    from dataide.storage.database import Database
    from dataide.storage.vectors import Embedding

PIECE = 65_536
_kept: weakref.WeakKeyDictionary[Database, dict[str, Parts]] = weakref.WeakKeyDictionary()
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
    unit = checked_direction(known, query)
    inside = None if among is None else _inside(database.sample_count, among)
    nos, cosines = search.best(parts_of(database, known), unit, None if k is None else max(k, 0), inside)
    return nos, cosines.astype(np.float32)


def nearest_objects(
    database: Database, known: Embedding, query: np.ndarray, k: int | None = None, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The objects whose crops are most similar to a vector, best first: object numbers and cosines, as `nearest`.

    Raises:
        ModelError: the query has another dimension or is not finite.
    """
    unit = checked_direction(known, query)
    inside = None if among is None else _inside(0, among)
    parts = parts_of(database, known, object_vectors, "object_vectors")
    nos, cosines = search.best(parts, unit, None if k is None else max(k, 0), inside)
    return nos, cosines.astype(np.float32)


def checked_direction(known: Embedding, query: np.ndarray) -> np.ndarray:
    """A query at length 1, float64; zeros stay zeros.

    Raises:
        ModelError: it has another dimension than the embedding, or is not finite.
    """
    embedding = known.name
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
    return direction


def around(
    database: Database,
    no: int,
    k: int,
    *,
    embedding: str | None = None,
    among: np.ndarray | None = None,
) -> tuple[str, np.ndarray, np.ndarray]:
    """The samples most similar to one, itself left out, best first.

    Args:
        database: the session's.
        no: its number.
        k: how many.
        embedding: whose vectors; where it is None or no longer there, the latest.
        among: sample numbers, or a bool mask over them; None for all.

    Returns:
        The embedding, sample numbers (uint32) and cosine similarities (float32).

    Raises:
        ModelError: there are no vectors, or none of this sample.
    """
    names = [one.name for one in vectors.embeddings(database)]
    if not names:
        raise ModelError("The samples have no vectors yet.", hint="Type session.embed().", code="no_vectors")
    name = embedding if embedding is not None and embedding in names else names[-1]
    query = mean_vector(database, name, np.asarray([no], np.uint32))
    nos, cosines = nearest(database, name, query, k + 1, among)
    others = np.flatnonzero(nos != no)[:k]
    return name, nos[others], cosines[others]


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
    database: Database,
    embedding: str,
    target: Any,
    *,
    model: Any = None,
    remembered: Identity | None = None,
    kernel: Kernel | None = None,
) -> tuple[np.ndarray, int | None]:
    """The vector to search by, and the sample's number where the target is one.

    Args:
        database: the session's.
        embedding: whose vectors are searched.
        target: a sample number, a sample id, a path, encoded bytes, a PIL picture, or a uint8 array H×W or H×W×C. A
            string that is neither a sample id nor a file is a text, where the model reads texts.
        model: the model that made the embedding, where the session does not know it: what `embed` was given.
        remembered: what this process made the embedding with, if it did.
        kernel: the session's inference kernel, which has the model already; without it a process is started for this.

    Raises:
        UnknownSample: a string is neither a sample id nor a file, and the model reads no texts.
        ModelError: the sample has no vector, or the model cannot embed a new picture or text.
    """
    known = require(database, embedding)
    if isinstance(target, bool | float):
        raise UnknownSample(f"{target!r} is no sample.", hint="Give a sample id, a picture, a path or an array.")
    if isinstance(target, str):
        no = _number_of(database, target)
        if no is None and not os.path.isfile(target):
            return _of_words(database, known, target, model, remembered, kernel), None
        target = Path(target) if no is None else no
    if isinstance(target, int | np.integer):
        return mean_vector(database, embedding, np.asarray([int(target)], np.uint32)), int(target)
    return described(database, known, target, model, remembered, kernel), None


def text_vector(
    database: Database,
    embedding: str,
    text: str,
    *,
    model: Any = None,
    remembered: Identity | None = None,
    kernel: Kernel | None = None,
) -> np.ndarray:
    """The vector of a text, to search by; arguments as of `query_vector`.

    Raises:
        ModelError: the text is empty, or the model reads no texts, or is not known here.
    """
    known = require(database, embedding)
    if not isinstance(text, str) or not text.strip():
        raise ModelError(
            "There is no text to search by." if isinstance(text, str) else f"A {type(text).__name__} is no text.",
            hint="session.similar(text='a red car')",
            code="empty_text",
        )
    identity = _model_of(database, known, model, remembered)
    if identity is None:
        raise _needs_model(known, f"the text {text!r}")
    if not _reads_texts(identity):
        raise ModelError(
            f"{known.name!r} was made by {identity.model}, which reads pictures, not texts.",
            hint="Embed with two towers, an object with embed_images and embed_texts; docs/text.md shows one.",
            code="no_text",
        )
    from dataide.inference.embedding import embed_texts

    return np.asarray(embed_texts(identity, [text], kernel=kernel)[0])


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


def for_words(
    database: Database, default: str, target: Any, text: str | None, model: Any, models: Mapping[str, Identity]
) -> str:
    """The embedding to search where none is named: for words the latest whose model reads texts, else the default.

    Args:
        database: the session's.
        default: the embedding for all else.
        target: what is searched by; only a string that is neither a sample id nor a file may be words.
        text: what is words in any case, or None.
        model: as for `query_vector`.
        models: what this process has embedded with, by name of the embedding.
    """
    if text is None and not (isinstance(target, str) and target.strip()):
        return default
    if text is None and (_number_of(database, target) is not None or os.path.isfile(target)):
        return default
    unknown = None
    for known in reversed(vectors.embeddings(database)):
        try:
            identity = _model_of(database, known, model, models.get(known.name))
        except ModelError:
            continue  # of another model than the one that was given
        if identity is not None and _reads_texts(identity):
            return known.name
        if identity is None and unknown is None and _read_texts(database, known):
            unknown = known.name
    return unknown or default


def _read_texts(database: Database, known: Embedding) -> bool:
    """Whether the embedding is of a model that is known to read texts, though not at hand."""
    made = vectors.made_by(database, known.revision)
    return known.source is not None or (made is not None and made[1] == "towers")


def _of_words(
    database: Database, known: Embedding, words: str, model: Any, remembered: Identity | None, kernel: Kernel | None
) -> np.ndarray:
    """The vector of a string that is neither a sample id nor a file."""
    identity = _model_of(database, known, model, remembered)
    unnamed = UnknownSample(f"There is no sample {words!r}, and no file of that name.", hint=_near(database, words))
    if identity is None and _read_texts(database, known):
        raise _needs_model(known, f"the text {words!r}")
    if words.strip() and (identity is None or not _reads_texts(identity)):
        raise unnamed
    try:
        return text_vector(database, known.name, words, model=model, remembered=remembered, kernel=kernel)
    except ModelError as error:
        if error.code != "no_text":
            raise
        raise unnamed from error


def _model_of(database: Database, known: Embedding, model: Any, remembered: Identity | None) -> Identity | None:
    """The model that an embedding was made with: as given, as this process knows it, or by its public name."""
    from dataide.inference.identity import FILES, Identity, identify

    if model is not None:
        options = {"form": "text"} if known.source is not None else {}
        identity = model if isinstance(model, Identity) else identify(model, task="embedding", **options)
        if not identity.matches(known.revision):
            raise ModelError(
                f"{known.name!r} was made by {known.revision}, and this is {identity.revision or identity.model}: "
                "their vectors cannot be compared.",
                hint="Give the model that made it, with the same code and weights, or embed anew with this one.",
                code="other_model",
            )
        return identity
    if remembered is not None and remembered.matches(known.revision):
        return remembered
    name, kind = vectors.made_by(database, known.revision) or (known.revision.partition("/")[0], "torchvision")
    if kind == "learned":
        from dataide.inference.learning import identity_of

        learned = identity_of(database, name)
        return learned if learned is not None and learned.matches(known.revision) else None
    # A name with a hash behind it is of a function, or of weights in a file: of something that only its user has.
    if kind not in ("torchvision", "adapter") or "#" in known.revision or name.lower().endswith(FILES):
        return None
    public = identify(name, task="embedding")
    # The session may be a stranger's: what only its file names is taken where it is here, and never fetched.
    public = replace(public, options={**public.options, "fetch": False})
    return public if public.matches(known.revision) else None


def _reads_texts(identity: Identity) -> bool:
    """Whether it may read texts. Of open_clip and transformers only the loaded model knows; it says so itself."""
    if identity.kind == "adapter":
        return not identity.model.startswith("timm:")
    return identity.kind == "towers" or identity.options.get("form") == "text"


def _needs_model(known: Embedding, what: str) -> ModelError:
    column = f", text={known.source!r}" if known.source is not None else ""
    return ModelError(
        f"{known.name!r} was made by a model of yours, which is needed to embed {what}.",
        hint=f"Give it: similar(…, model=model). Or say once session.embed(model, name={known.name!r}{column}), which "
        "computes nothing that is there and remembers the model until the session is closed.",
        code="needs_model",
    )


def described(
    database: Database, known: Embedding, target: Any, model: Any, remembered: Identity | None, kernel: Kernel | None
) -> np.ndarray:
    """The vector of a picture that is no sample, by the model of an embedding; arguments as of `query_vector`."""
    data = _encoded(target)
    if known.revision == f"{descriptor.NAME}/{descriptor.REVISION}":
        from dataide.storage import pictures

        return np.asarray(descriptor.describe([pictures.decode(data, max_side_px=descriptor.DECODE_SIDE_PX)])[0])
    identity = _model_of(database, known, model, remembered)
    if identity is None:
        raise _needs_model(known, "a new picture")
    if identity.kind == "callable" and identity.options.get("form") == "text":
        raise ModelError(
            f"{known.name!r} was made by {identity.model}, which reads texts, not pictures.",
            hint="Search by a text: session.similar(text='…').",
            code="no_picture",
        )
    from dataide.inference.embedding import embed_pictures

    return np.asarray(embed_pictures(identity, [data], kernel=kernel)[0])


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
    parts_of(database, require(database, embedding))


def parts_of(
    database: Database, known: Embedding, source: Source = vectors, folder: str = vector_parts.FOLDER
) -> Iterable[Part]:
    """The vectors that count, where a search can run over them; a new list each time, or an iterator.

    Args:
        database: the session's.
        known: the embedding.
        source: who keeps its vectors.
        folder: where they are kept for searching, in the session's cache.
    """
    with _lock:
        of_this = _locks.setdefault(database, threading.Lock())
        kept = _kept.setdefault(database, {})
    with of_this:
        parts = kept.get(folder)
        if parts is not None and parts.known == known and parts.checked_at == database.revision:
            return list(parts.parts)
        identity = vector_parts.identity(database, known, source)
        if parts is None or parts.identity != identity:
            kept.pop(folder, None)
            parts = Parts(database, known, identity, source, folder)
        if parts.refresh(database):
            kept[folder] = parts
            # What a search under way reads is not changed, but replaced.
            return list(parts.parts)
    if source is vectors:
        return _in_pieces(database, known)
    return (Part.of(*batch) for batch in source.present_rows(database, known))


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


def _inside(count: int, among: np.ndarray) -> np.ndarray:
    among = np.asarray(among)
    if among.dtype == np.bool_:
        return among
    mask = np.zeros(max(count, int(among.max()) + 1 if len(among) else 0), bool)
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
