"""The points of a projection, in a random order that stays: any prefix is a fair sample of the whole."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import DataideError, did_you_mean

from .codes import Array, Bars, Codes
from .region import inside_box, inside_polygon
from .selection import fitted

if TYPE_CHECKING:
    from dataide.storage.database import Database

NO_VALUE = 255
LAST_COLOR = 254
MOST_ENTRIES = 254


@dataclass(frozen=True)
class Projection:
    """One projection that the session has.

    `stale` counts samples that have no place yet, or whose place was computed from an earlier picture.
    """

    number: int
    name: str
    method: str
    embedding: str
    count: int
    stale: int


@dataclass(frozen=True)
class Points:
    """Places of samples. Row i of each array is point i on the wire."""

    projection: str
    nos: Array  # uint32
    x: Array  # float32
    y: Array
    bounds: tuple[float, float, float, float]  # x low, y low, x high, y high

    @property
    def total(self) -> int:
        return len(self.nos)

    def quantised(self, start: int, stop: int) -> Array:
        """Pairs of uint16 scaled to the bounds: 1/65,535 of the width is below a tenth of a pixel on any screen."""
        x_low, y_low, x_high, y_high = self.bounds
        pairs = np.empty((stop - start, 2), dtype="<u2")
        pairs[:, 0] = np.rint((self.x[start:stop] - x_low) * (65_535 / (x_high - x_low)))
        pairs[:, 1] = np.rint((self.y[start:stop] - y_low) * (65_535 / (y_high - y_low)))
        return pairs

    def bits(self, mask: Array) -> bytes:
        """One bit for each point: is its sample in the mask (by sample number)?"""
        longest = max(len(mask), int(self.nos.max()) + 1 if self.total else 0)
        return np.packbits(fitted(mask, longest)[self.nos], bitorder="little").tobytes()

    def in_box(self, x0: float, y0: float, x1: float, y1: float) -> Array:
        """Numbers of the samples in a box; corners may come in any order."""
        return self.nos[inside_box(self.x, self.y, x0, y0, x1, y1)]

    def in_polygon(self, corners: Array) -> Array:
        """Numbers of the samples inside a polygon, by the even-odd rule; it may cross itself.

        Args:
            corners: n x 2, in data coordinates.
        """
        return self.nos[inside_polygon(self.x, self.y, corners)]

    def places(self, nos: list[int]) -> list[list[float] | None]:
        """Where these samples lie; None for one without a place."""
        order = np.argsort(self.nos)
        wanted = np.asarray(nos, dtype=np.int64)
        found = np.searchsorted(self.nos, wanted, sorter=order)
        places: list[list[float] | None] = []
        for no, position in zip(wanted.tolist(), found.tolist(), strict=True):
            row = int(order[position]) if position < len(order) else -1
            here = row >= 0 and int(self.nos[row]) == no
            places.append([float(self.x[row]), float(self.y[row])] if here else None)
        return places


@dataclass(frozen=True)
class Coloring:
    """A colour byte for each sample number, and what the bytes mean. 255 is "no value"."""

    column: str | None
    bytes_by_no: Array | None
    values: list[str]  # of a category column, in the order of their bytes
    more: int = 0  # how many values of a category column have no colour of their own
    is_category: bool = True
    low: float = 0.0
    high: float = 0.0

    def of(self, points: Points, start: int, stop: int) -> bytes:
        """The bytes of these points."""
        if self.bytes_by_no is None:
            return bytes(stop - start)
        longest = int(points.nos.max()) + 1 if points.total else 0
        by_no = self.bytes_by_no
        if longest > len(by_no):
            by_no = np.concatenate([by_no, np.full(longest - len(by_no), NO_VALUE, dtype=np.uint8)])
        return by_no[points.nos[start:stop]].tobytes()

    def entries(self, points: Points) -> list[tuple[str | None, int, int]]:
        """(value, how many points, colour byte) of each category that has points; no value comes last."""
        colors = np.frombuffer(self.of(points, 0, points.total), dtype=np.uint8)
        counts = np.bincount(colors, minlength=256)
        entries: list[tuple[str | None, int, int]] = [
            (value, int(counts[byte]), byte) for byte, value in enumerate(self.values) if counts[byte]
        ]
        if counts[NO_VALUE]:
            entries.append((None, int(counts[NO_VALUE]), NO_VALUE))
        return entries


class Places:
    """The points and colourings of one session, kept until what they show has changed."""

    def __init__(self, database: Database, codes: Codes) -> None:
        self._database = database
        self._codes = codes
        self._lock = threading.RLock()
        self._projections: tuple[int, list[Projection]] | None = None
        self._points: dict[str, tuple[tuple[Any, ...], Points]] = {}
        self._colorings: dict[str, tuple[int, Coloring]] = {}
        self._palette: dict[str, list[str]] = {}  # the order in which the values of a column got their colours

    def projections(self) -> list[Projection]:
        """All projections, the newest first."""
        revision = self._database.revision
        with self._lock:
            if self._projections is None or self._projections[0] != revision:
                with self._database.query(_PROJECTIONS) as cursor:
                    self._projections = (revision, [Projection(*row) for row in cursor.fetchall()])
            return self._projections[1]

    def find(self, name: str | None) -> Projection:
        """The projection with this name; None asks for the newest.

        Raises:
            DataideError: there is none, or none of that name.
        """
        projections = self.projections()
        if not projections:
            raise DataideError(
                "This session has no projection yet.",
                hint="Type session.embed() and session.project().",
                code="no_points",
            )
        if name is None:
            return projections[0]
        for projection in projections:
            if projection.name == name:
                return projection
        raise DataideError(
            f"There is no projection '{name}'.",
            hint=did_you_mean(name, [projection.name for projection in projections]),
            code="unknown_projection",
        )

    def points(self, name: str | None) -> Points:
        """The points of a projection; None asks for the newest."""
        projection = self.find(name)
        with self._lock:
            # Most decisions (a tag, a label) leave the places alone: look whether they moved before reading them again.
            with self._database.query(_FINGERPRINT, [projection.number]) as cursor:
                row = cursor.fetchone()
            fingerprint = (projection.number, *(row or ()))
            known = self._points.get(projection.name)
            if known is not None and known[0] == fingerprint:
                return known[1]
            points = _read(self._database, projection)
            self._points[projection.name] = (fingerprint, points)
            while len(self._points) > 3:
                self._points.pop(next(iter(self._points)))
            return points

    def coloring(self, column: str | None) -> Coloring:
        """The colour bytes of a column.

        A value keeps its colour while the session is open: relabelling some samples must not repaint the others.

        Raises:
            UnknownColumn: there is no such column.
        """
        if column is None:
            return Coloring(None, None, [])
        with self._lock:
            version = self._codes.version(column)
            known = self._colorings.get(column)
            if known is None or known[0] != version:
                known = (version, self._color(column))
                self._colorings[column] = known
                while len(self._colorings) > 4:
                    self._colorings.pop(next(iter(self._colorings)))
            return known[1]

    def _color(self, column: str) -> Coloring:
        coded = self._codes.one(column)
        if not isinstance(coded, Bars):
            return _scaled(column, coded.numbers)
        palette = self._palette.setdefault(column, [])
        seen = set(palette)
        new = [value for value in coded.values if value not in seen]
        room = MOST_ENTRIES - len(palette)
        palette.extend(sorted(new[: max(0, room)], key=_natural))
        more = max(0, len(new) - max(0, room))
        place = {value: byte for byte, value in enumerate(palette)}
        table = np.array([*(place.get(value, LAST_COLOR) for value in coded.values), NO_VALUE], dtype=np.uint8)
        if coded.entries is None:
            return Coloring(column, table[coded.codes], list(palette), more)
        # Of several tags the most frequent one counts: written last, so that it stays.
        by_no = np.full(coded.samples, NO_VALUE, dtype=np.uint8)
        rarest_first = np.argsort(-coded.codes.astype(np.int64), kind="stable")
        by_no[coded.entries[rarest_first]] = table[coded.codes[rarest_first]]
        return Coloring(column, by_no, list(palette), more)


_PROJECTIONS = """
    WITH placed AS (
        SELECT p.projection_no, count(*) AS points, count(*) FILTER (p.media_revision = s.media_revision) AS current
        FROM data.point p JOIN data.sample s USING (sample_no) GROUP BY p.projection_no
    )
    SELECT j.projection_no, j.name, j.method, e.name, coalesce(placed.points, 0),
           (SELECT count(*) FROM data.sample) - coalesce(placed.current, 0)
    FROM data.projection j JOIN data.embedding e USING (embedding_no) LEFT JOIN placed USING (projection_no)
    ORDER BY j.created_at DESC, j.projection_no DESC
"""
_POINTS = "SELECT sample_no, x, y FROM data.point WHERE projection_no = ? AND isfinite(x) AND isfinite(y)"
_FINGERPRINT = "SELECT count(*), bit_xor(hash(sample_no, x, y)) FROM data.point WHERE projection_no = ?"


def _read(database: Database, projection: Projection) -> Points:
    with database.query(_POINTS, [projection.number]) as cursor:
        found = cursor.fetchnumpy()
    nos = np.asarray(found["sample_no"], dtype=np.uint32)
    order = np.argsort(_scrambled(nos), kind="stable")
    x = np.asarray(found["x"], dtype=np.float32)[order]
    y = np.asarray(found["y"], dtype=np.float32)[order]
    x_low, x_high = _span(x)
    y_low, y_high = _span(y)
    return Points(projection.name, nos[order], x, y, (x_low, y_low, x_high, y_high))


def _scrambled(nos: Array) -> Array:
    """A number that looks random and is always the same for a sample (finaliser of MurmurHash3, 32 bits)."""
    mixed = nos.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def _span(values: Array) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scaled(column: str, numbers: Array) -> Coloring:
    """Numbers scaled to 0…254. A few outliers must not paint everything else in one colour: they share the ends."""
    finite = np.isfinite(numbers)
    some = numbers[finite]
    low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 1.0)
    if some.size > 1_000:
        inner_low, inner_high = (float(edge) for edge in np.percentile(some, (1, 99)))
        if inner_high > inner_low and (inner_high - inner_low) < (high - low) / 2:
            low, high = inner_low, inner_high
    width = high - low or 1.0
    by_no = np.full(len(numbers), NO_VALUE, dtype=np.uint8)
    by_no[finite] = np.rint(np.clip((some - low) / width, 0, 1) * LAST_COLOR)
    return Coloring(column, by_no, [], is_category=False, low=low, high=high)


def _natural(value: str) -> tuple[bool, float, str]:
    """2 before 10, and numbers before words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value.casefold()
