"""Maps of objects as points to draw: each point is an object, and knows its sample."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage import object_vectors

from .codes import Array
from .coloring import LAST_COLOR, MOST_ENTRIES, NO_VALUE, Coloring
from .points import Points, Projection

if TYPE_CHECKING:
    from dataide.storage.database import Database

# Numbers of maps of objects as panels know them, apart from those of maps of samples.
_APART = 1 << 30


class ObjectPoints(Points):
    """The points of a map of objects. Where `Points` speaks of sample numbers, these are numbers of objects.

    Attributes:
        sample_of: uint32 by object number: its sample; 0 for objects that are not on the map.
    """

    database: Database
    sample_of: Array

    @classmethod
    def read(cls, database: Database, name: str) -> ObjectPoints:
        """The points of a map as things stand; deleted objects are not on it."""
        nos, sample_nos, x, y = object_vectors.placed(database, name)
        finite = np.isfinite(x) & np.isfinite(y)
        nos, sample_nos, x, y = nos[finite], sample_nos[finite], x[finite], y[finite]
        made = cls.of(name, nos, x, y)
        assert isinstance(made, cls)
        crc = zlib.crc32(y.tobytes(), zlib.crc32(x.tobytes(), zlib.crc32(nos.tobytes())))
        made.places = f"objects-{len(nos)}-{crc:08x}"
        made.database = database
        made.sample_of = np.zeros(made.reach, np.uint32)
        made.sample_of[nos] = sample_nos
        made._on_map = np.zeros(made.reach, bool)
        made._on_map[nos] = True
        made._sorted = (nos, sample_nos, x, y)
        made._labels = None
        made._lock = threading.Lock()
        return made

    _on_map: Array
    _sorted: tuple[Array, Array, Array, Array]
    _labels: tuple[int, Coloring] | None
    _lock: threading.Lock

    def no(self, index: int) -> int:
        """The sample of the object that one point is."""
        return int(self.sample_of[super().no(index)])

    def object_no(self, index: int) -> int:
        """The object that one point is."""
        return super().no(index)

    def own(self, mask: Array) -> Array:
        """A mask over samples as one over objects; where all points are meant, all of it is true."""
        known = self.sample_of < len(mask)
        own: Array = np.zeros(self.reach, bool)
        own[known] = mask[self.sample_of[known]]
        own &= self._on_map
        return np.ones(self.reach, bool) if np.array_equal(own, self._on_map) else own

    def samples_of(self, objects: Array, count: int) -> Array:
        """The samples of objects (a mask over them), as a mask of `count` samples."""
        mask: Array = np.zeros(count, bool)
        nos = self.sample_of[objects & self._on_map]
        mask[nos[nos < count]] = True
        return mask

    def places_of(self, nos: Sequence[int]) -> list[list[float] | None]:
        """Where the first object of each of these samples lies; None for a sample without one on the map."""
        _, sample_nos, x, y = self._sorted
        found: list[list[float] | None] = []
        for no in nos:
            at = np.flatnonzero(sample_nos == no)[:1]
            found.append([float(x[at[0]]), float(y[at[0]])] if len(at) else None)
        return found

    def colored(self, base: Coloring) -> Coloring:
        """A colouring of samples as one of objects; by `label` it is the objects' own label that counts."""
        if base.column == "label":
            return self._by_label()
        if base.bytes_by_no is None:
            return base
        return replace(base, bytes_by_no=base.of_samples(self.sample_of))

    def _by_label(self) -> Coloring:
        revision = self.database.revision
        with self._lock:
            if self._labels is None or self._labels[0] != revision:
                self._labels = (revision, self._made())
            return self._labels[1]

    def _made(self) -> Coloring:
        sql = "SELECT object_no, label FROM data.object WHERE NOT removed AND label IS NOT NULL AND object_no < ?"
        with self.database.query(sql, [self.reach]) as cursor:
            columns = cursor.fetchnumpy()
        said, codes = np.unique(np.asarray(columns["label"], dtype=object).astype(str), return_inverse=True)
        frequent = np.argsort(-np.bincount(codes, minlength=len(said)), kind="stable")[:MOST_ENTRIES]
        named = np.sort(frequent)  # colours go by the alphabet, and the rarest of very many share one
        table = np.full(len(said), LAST_COLOR, np.uint8)
        table[named] = np.arange(len(named))
        by_no = np.full(self.reach, NO_VALUE, np.uint8)
        by_no[np.asarray(columns["object_no"], np.int64)] = table[codes]
        version = self.database.revision
        return Coloring("label", by_no, said[named].tolist(), len(said) - len(named), version=version)


def projections(database: Database) -> list[Projection]:
    """Maps of objects, the newest first; `count` is of points."""
    return [
        Projection(_APART + number, name, method, embedding, count, 0)
        for number, name, method, embedding, count in object_vectors.maps(database)
    ]
