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
from .touched import versions

if TYPE_CHECKING:
    from dataide.storage.database import Database

# Numbers of maps of objects as panels know them, apart from those of maps of samples.
_APART = 1 << 30
# Colours go by the alphabet, and the rarest of very many labels share one. Words are counted in the file: as texts of
# numpy each would be as wide as the longest.
_THERE = "NOT removed AND label IS NOT NULL AND object_no < $reach"
_NAMED = f"""
    WITH counted AS (SELECT label, count(*) AS many FROM data.object WHERE {_THERE} GROUP BY label),
    named AS (SELECT label FROM counted ORDER BY many DESC, label LIMIT {MOST_ENTRIES})
"""
_PLACED = f"""
    SELECT o.object_no, CAST(coalesce(p.place, {LAST_COLOR}) AS UTINYINT) AS place
    FROM (SELECT object_no, label FROM data.object WHERE {_THERE}) o
    LEFT JOIN (SELECT label, row_number() OVER (ORDER BY label) - 1 AS place FROM named) p ON p.label = o.label
"""


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
        crc = 0
        for column in (nos, sample_nos, x, y):  # an import may have put an object on another sample
            crc = zlib.crc32(column.tobytes(), crc)
        made.places = f"objects-{len(nos)}-{crc:08x}"
        made.database = database
        made.sample_of = np.zeros(made.reach, np.uint32)
        made.sample_of[nos] = sample_nos
        made._on_map = np.zeros(made.reach, bool)
        made._on_map[nos] = True
        made._by_sample = None
        made._sorted = (sample_nos, x, y)
        made._labels = None
        made._lock = threading.Lock()
        return made

    _on_map: Array
    _sorted: tuple[Array, Array, Array]
    _by_sample: Array | None
    _labels: tuple[int, Coloring] | None
    _lock: threading.Lock

    def no(self, index: int) -> int:
        """The sample of the object that one point is."""
        return int(self.sample_of[super().no(index)])

    def object_no(self, index: int) -> int:
        """The object that one point is."""
        return super().no(index)

    @property
    def on_map(self) -> Array:
        """Which objects are on the map, as a mask over their numbers."""
        return self._on_map

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
        sample_nos, x, y = self._sorted
        with self._lock:
            if self._by_sample is None:
                self._by_sample = np.argsort(sample_nos, kind="stable")
            by_sample = self._by_sample
        wanted = np.asarray(nos, np.int64)
        places = np.searchsorted(sample_nos, wanted, sorter=by_sample)
        found: list[list[float] | None] = []
        for no, place in zip(wanted.tolist(), places.tolist(), strict=True):
            at = by_sample[place] if place < len(by_sample) else -1
            found.append([float(x[at]), float(y[at])] if at >= 0 and sample_nos[at] == no else None)
        return found

    def colored(self, base: Coloring) -> Coloring:
        """A colouring of samples as one of objects; by `label` it is the objects' own label that counts."""
        if base.column == "label":
            return self._by_label()
        if base.bytes_by_no is None:
            return base
        return replace(base, bytes_by_no=base.of_samples(self.sample_of))

    def _by_label(self) -> Coloring:
        version = versions(self.database).of(["objects"])
        with self._lock:
            if self._labels is None or self._labels[0] != version:
                self._labels = (version, self._made(version))
            return self._labels[1]

    def _made(self, version: int) -> Coloring:
        reach = {"reach": self.reach}
        names = "SELECT (SELECT count(*) FROM counted), label FROM named ORDER BY label"
        with self.database.query(_NAMED + names, reach) as cursor:
            said = cursor.fetchall()
        with self.database.query(_NAMED + _PLACED, reach) as cursor:
            columns = cursor.fetchnumpy()
        by_no = np.full(self.reach, NO_VALUE, np.uint8)
        by_no[np.asarray(columns["object_no"], np.int64)] = np.asarray(columns["place"], np.uint8)
        more = said[0][0] - len(said) if said else 0
        return Coloring("label", by_no, [str(label) for _, label in said], more, version=version)


def projections(database: Database) -> list[Projection]:
    """Maps of objects, the newest first; `count` is of points."""
    return [
        Projection(_APART + number, name, method, embedding, count, 0)
        for number, name, method, embedding, count in object_vectors.maps(database)
    ]
