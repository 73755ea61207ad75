"""The objects that a search looks at, as it saw them, and the vectors of their crops."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.storage import findings, object_vectors

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.vectors import Embedding


@dataclass(frozen=True)
class SeenObjects:
    """All objects of some samples, crowds left out, in order of arrival.

    Attributes:
        nos: numbers of objects, ascending; uint32, shape (n,).
        samples: places of their samples in the numbers that were given; int64, shape (n,).
        label_nos: places in `classes`, -1 for no label; int64, shape (n,).
        classes: the labels.
        boxes: left, top, width, height in px, NaN where missing; float64, shape (n, 4).
        sizes: width and height of their pictures in px, NaN where not known; float64, shape (n, 2).
        asked: which of them are looked at; the others are only around them; bool, shape (n,).
    """

    nos: NDArray[np.uint32]
    samples: NDArray[np.int64]
    label_nos: NDArray[np.int64]
    classes: tuple[str, ...]
    boxes: NDArray[np.float64]
    sizes: NDArray[np.float64]
    asked: NDArray[np.bool_]

    @cached_property
    def stamp(self) -> tuple[Any, ...]:
        """Another one whenever an object, its label or its box is, or which ones are looked at."""
        mixed = hashlib.blake2b(digest_size=16)
        for part in (self.nos, self.samples, self.label_nos, self.boxes, self.sizes, self.asked):
            mixed.update(np.ascontiguousarray(part).tobytes())
        return mixed.digest(), self.classes


def seen_objects(database: Database, sample_nos: np.ndarray, asked: np.ndarray | None = None) -> SeenObjects:
    """The objects of samples (ascending numbers), and which of them are asked about: these numbers; None for all."""
    columns, pictures, classes = findings.object_columns(database, sample_nos)
    nos = np.asarray(columns["object_no"], np.uint32)
    at = np.searchsorted(pictures["sample_no"], columns["sample_no"])
    return SeenObjects(
        nos,
        np.searchsorted(sample_nos, columns["sample_no"]).astype(np.int64),
        columns["class_no"],
        tuple(classes),
        np.stack([columns[name] for name in ("x", "y", "width", "height")], axis=1),
        np.stack([pictures["width_px"][at], pictures["height_px"][at]], axis=1),
        np.ones(len(nos), bool) if asked is None else np.isin(nos, np.asarray(asked, np.uint32)),
    )


def crops_of(database: Database, of: Embedding, nos: np.ndarray) -> NDArray[np.float32]:
    """Vectors of the crops of objects (ascending numbers), in this order; rows of NaN where none counts, or where one
    has numbers that are infinite or none, as in a file that somebody sent. Held once."""
    rows = np.full((len(nos), of.dimension), np.nan, np.float32)
    wanted = np.ascontiguousarray(nos, np.uint32)
    for some, _, vectors in object_vectors.present_rows(database, of, wanted):
        rows[np.searchsorted(wanted, some)] = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, np.nan)
    return rows


def object_ids(database: Database, nos: np.ndarray) -> dict[int, str]:
    """The ids of these objects, by number; also of those that were deleted."""
    if not len(nos):
        return {}
    frames = {"wanted": {"object_no": np.unique(nos).astype(np.uint32)}}
    sql = "SELECT object_no, object_id FROM data.object WHERE object_no IN (SELECT object_no FROM wanted)"
    with database.query(sql, frames=frames) as cursor:
        return {int(no): str(name) for no, name in cursor.fetchall()}
