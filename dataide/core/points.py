"""The points of a projection, in a random order that stays: any prefix is a fair sample of the whole."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from dataide.errors import ActionError, DataideError, did_you_mean

from . import cells, plot_building
from .cells import Bounds, Cover
from .codes import Array, Codes
from .coloring import Coloring, Colorings
from .gaps import Form, shortest
from .gesture import Differing, inside_ring, ring_of
from .plot_files import STEPS, DamagedPlot, PlotFile, arranged, scrambled, steps
from .region import inside_box, inside_polygon
from .touched import Touched, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from dataide.storage.database import Database

    from .object_points import ObjectPoints

# A page holds so many points; of more it gets the first ones, which are a fair sample.
MOST_POINTS = 20_000_000


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
class Caught:
    """The samples inside a shape.

    Attributes:
        mask: by sample number; its length is the map's `reach`.
        differing: points that the page's test on rounded places takes for the opposite; None where that is not known.
    """

    mask: Array
    differing: Differing | None


class Points:
    """The points of one map. Point i is the same sample on every page, as long as `places` stays.

    Attributes:
        projection: the name of the map.
        places: names places and order.
        total: how many points there are.
        reach: one more than the largest sample number.
        bounds: x low, y low, x high, y high.
        front: how many points are at hand before the whole is arranged.
        begin: starts to arrange them in the background; harmless when that is done.
    """

    def __init__(
        self,
        projection: str,
        places: str,
        bounds: Bounds,
        size: tuple[int, int],
        front: tuple[Array, Array],
        plot: Future[PlotFile],
        begin: Callable[[], None] = lambda: None,
        damaged: Callable[[], None] = lambda: None,
    ) -> None:
        self.projection = projection
        self.places = places
        self.bounds = bounds
        self.total, self.reach = size
        self.most = MOST_POINTS
        self._front_nos, self._front_xy = front
        self.front = len(self._front_nos)
        self._plot = plot
        self.begin = begin
        self._damaged = damaged

    @classmethod
    def of(cls, projection: str, nos: Array, x: Array, y: Array) -> Points:
        """Points of these places, arranged in memory: sample numbers, and finite float32 coordinates."""
        bounds = plot_building.bounds_of(x, y)
        order = np.argsort(scrambled(nos), kind="stable")[: plot_building.FRONT]
        plot: Future[PlotFile] = Future()
        plot.set_result(arranged("memory", bounds, nos[order], nos, x, y))
        held = plot.result()
        front = (held.nos[: len(order)], held.xy[: 2 * len(order)])
        return cls(projection, "memory", bounds, (held.head.total, held.head.reach), front, plot)

    @property
    def held(self) -> int:
        """How many points a page is sent: the first so many."""
        return min(self.total, self.most)

    @property
    def plot(self) -> PlotFile:
        """The arranged points; waits for them."""
        self.begin()
        return self._plot.result()

    @property
    def is_arranged(self) -> bool:
        """Whether `plot` is there at once."""
        return self._plot.done()

    @property
    def failed(self) -> bool:
        """Whether the points could not be arranged: then one must begin anew."""
        return self._plot.done() and self._plot.exception() is not None

    def rest(self) -> None:
        """Gives back the memory of what was looked at."""
        if self.is_arranged and not self.failed:
            self.plot.rest()

    @property
    def nos(self) -> Array:
        """uint32 sample numbers of all points, in the order of the wire; mapped from a file."""
        return self.plot.nos

    def samples(self, start: int, stop: int) -> Array:
        """uint32 sample numbers of points start to stop."""
        if stop <= self.front:
            return self._front_nos[start:stop]
        nos = self._read("nos", start, stop)
        if len(nos) and int(nos.max()) >= self.reach:
            self._refuse()
        return nos

    def no(self, index: int) -> int:
        """The sample of one point."""
        return int(self.samples(index, index + 1)[0])

    def quantised(self, start: int, stop: int) -> Array:
        """uint16, n x 2: places of points start to stop as steps of the bounds."""
        if stop <= self.front:
            return self._front_xy[2 * start : 2 * stop].reshape(-1, 2)
        return self._read("xy", 2 * start, 2 * stop).reshape(-1, 2)

    def marked(self, mask: Array) -> tuple[Form, bytes]:
        """Which of the points that a page holds have their sample in the mask (by sample number), in the shortest form.

        All or none of the samples is said without a look at the points, which may not be arranged yet.
        """
        count = int(np.count_nonzero(mask))
        if count == 0 or not self.total:
            return "none", b""
        if count == len(mask) and self.reach <= len(mask):
            return "all", b""
        if len(mask) < self.reach:
            mask = np.concatenate([mask, np.zeros(self.reach - len(mask), bool)])
        bits = np.empty(-(-self.held // 8), np.uint8)
        portion = 1 << 20
        for start in range(0, self.held, portion):
            stop = min(self.held, start + portion)
            bits[start // 8 : -(-stop // 8)] = np.packbits(mask[self.samples(start, stop)], bitorder="little")
        return shortest(bits, self.held)

    def own(self, mask: Array) -> Array:
        """A mask over samples as one over what the points are: here the same."""
        return mask

    # Shapes ----------------------------------------------------------------------------------------------------

    def in_polygon(self, corners: Array) -> Caught:
        """What lies inside a polygon, by the even-odd rule; it may cross itself.

        Args:
            corners: n x 2, in data coordinates.

        Raises:
            ActionError: a corner is not a number.
        """
        if not np.isfinite(corners).all():
            raise ActionError("A corner of the polygon is not a number.")
        if len(corners) < 3 or not self.total:
            return Caught(np.zeros(self.reach, bool), None)
        ring = ring_of(corners, self.bounds)
        cover = cells.of_polygon(self.plot.head.grid, corners, self._step() if ring is not None else (0.0, 0.0))
        return self._caught(cover, lambda x, y: inside_polygon(x, y, corners), ring)

    def in_box(self, x0: float, y0: float, x1: float, y1: float) -> Caught:
        """What lies in a box; corners may come in any order, its border is inside."""
        if not np.isfinite([x0, y0, x1, y1]).all():
            raise ActionError("A corner of the box is not a number.")
        if not self.total:
            return Caught(np.zeros(self.reach, bool), None)
        left, right = sorted((x0, x1))
        low, high = sorted((y0, y1))
        ring = ring_of(np.array([[left, low], [right, low], [right, high], [left, high]]), self.bounds)
        cover = cells.of_box(self.plot.head.grid, left, low, right, high, self._step())
        return self._caught(cover, lambda x, y: inside_box(x, y, left, low, right, high), ring)

    def _step(self) -> tuple[float, float]:
        x_low, y_low, x_high, y_high = self.bounds
        return (x_high - x_low) / STEPS, (y_high - y_low) / STEPS

    def _caught(self, cover: Cover, exact: Callable[[Array, Array], Array], ring: Array | None) -> Caught:
        plot = self.plot
        mask = np.zeros(self.reach, bool)
        try:
            for first, last in cells.runs(cover.inside, plot.starts):
                mask[plot.cell_nos[first:last]] = True
            stretches = cells.runs(cover.crossed, plot.starts)
            x, y, nos = (_joined(array, stretches) for array in (plot.cell_x, plot.cell_y, plot.cell_nos))
            inside = exact(x, y)
            mask[nos[inside]] = True
        except IndexError:
            self._refuse()
        differing: Differing | None = None
        if ring is not None and self.total <= self.held:
            x_low, y_low, x_high, y_high = self.bounds
            thought = inside_ring(steps(x, x_low, x_high), steps(y, y_low, y_high), ring)
            which = np.flatnonzero(thought != inside)
            differing = Differing(nos[which], self._positions(_rows(stretches)[which]), inside[which])
        plot.rest()
        return Caught(mask, differing)

    def within(self, box: Bounds, most: int) -> tuple[int, Array]:
        """How many points lie in a box, and, where they are not more than `most`, their rows in the order of cells."""
        plot = self.plot
        x0, y0, x1, y1 = box
        cover = cells.of_box(plot.head.grid, x0, y0, x1, y1)
        whole, stretches = cells.runs(cover.inside, plot.starts), cells.runs(cover.crossed, plot.starts)
        x, y = _joined(plot.cell_x, stretches), _joined(plot.cell_y, stretches)
        inside = inside_box(x, y, x0, y0, x1, y1)
        count = sum(last - first for first, last in whole) + int(np.count_nonzero(inside))
        if count > most:
            return count, np.empty(0, np.int64)
        return count, np.concatenate([_rows(whole), _rows(stretches)[inside]])

    def detail(self, rows: Array, box: Bounds) -> tuple[Array, Array, Array]:
        """Sample numbers, positions on the wire, and uint16 places (n x 2) as steps of the box, of rows `within` it."""
        plot = self.plot
        pairs = np.empty((len(rows), 2), "<u2")
        pairs[:, 0] = steps(plot.cell_x[rows], box[0], box[2])
        pairs[:, 1] = steps(plot.cell_y[rows], box[1], box[3])
        found = plot.cell_nos[rows], self._positions(rows), pairs
        if len(rows) and int(found[0].max()) >= self.reach:
            self._refuse()
        return found

    def _positions(self, rows: Array) -> Array:
        positions = self.plot.positions[rows]
        if len(positions) and int(positions.max()) >= self.total:
            self._refuse()
        return positions

    # What is not as it should be -------------------------------------------------------------------------------

    def _read(self, name: str, start: int, stop: int) -> Array:
        try:
            return self.plot.read(name, start, stop)
        except DamagedPlot:
            self._refuse()

    def _refuse(self) -> NoReturn:
        self.plot.discard()
        self._damaged()
        raise DataideError(
            f"What was kept of the map '{self.projection}' for quick drawing is damaged; it is being made anew.",
            hint="Do that again.",
            code="damaged_plot",
        )


def _joined(array: Array, stretches: Sequence[tuple[int, int]]) -> Array:
    if not stretches:
        return array[:0].copy()
    return np.concatenate([array[first:last] for first, last in stretches])


def _rows(stretches: Sequence[tuple[int, int]]) -> Array:
    if not stretches:
        return np.empty(0, np.int64)
    return np.concatenate([np.arange(first, last) for first, last in stretches])


class Places:
    """The points and colourings of one session, kept until what they show has changed."""

    def __init__(self, database: Database, codes: Codes) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._touched = Touched(database)
        self._epoch = 0  # grows with each write that may have moved a point
        self._projections: tuple[int, list[Projection]] | None = None
        self._points: dict[str, tuple[int, tuple[int, str], Points]] = {}
        self._object_maps: tuple[int, list[Projection]] | None = None
        self._objects: dict[str, tuple[int, ObjectPoints]] = {}
        self.colorings = Colorings(database, codes)

    def projections(self) -> list[Projection]:
        """All projections, the newest first."""
        with self._lock:
            self._look()
            if self._projections is None or self._projections[0] != self._epoch:
                self._projections = (self._epoch, _projections(self._database))
            return self._projections[1]

    def object_maps(self) -> list[Projection]:
        """All maps of objects, the newest first; what is asked for without a name is one of samples."""
        from .object_points import projections  # that module knows this one

        with self._lock:
            self._look()
            if self._object_maps is None or self._object_maps[0] != self._epoch:
                self._object_maps = (self._epoch, projections(self._database))
            return self._object_maps[1]

    def _of_objects(self, projection: Projection) -> ObjectPoints:
        """The points of a map of objects, read again after each decision about objects: one may have been deleted."""
        from .object_points import ObjectPoints

        version = versions(self._database).of(["objects"])
        known = self._objects.get(projection.name)
        if known is None or known[0] != version:
            made = ObjectPoints.read(self._database, projection.name)
            kept = made if known is None or known[1].places != made.places else known[1]
            known = self._objects[projection.name] = (version, kept)
            while len(self._objects) > 2:
                self._objects.pop(next(iter(self._objects)))
        return known[1]

    def _look(self) -> None:
        # Decisions (a tag, a label) leave the places alone; an import or a projection may not.
        if self._touched.since() is None:
            self._epoch += 1

    def find(self, name: str | None) -> Projection:
        """The projection with this name; None asks for the newest.

        Raises:
            DataideError: there is none, or none of that name.
        """
        projections = self.projections() or self.object_maps()
        if not projections:
            raise DataideError(
                "This session has no projection yet.",
                hint="Type session.embed() and session.project().",
                code="no_points",
            )
        if name is None:
            return projections[0]
        for projection in [*projections, *self.object_maps()]:
            if projection.name == name:
                return projection
        raise DataideError(
            f"There is no projection '{name}'.",
            hint=did_you_mean(name, [projection.name for projection in [*self.projections(), *self.object_maps()]]),
            code="unknown_projection",
        )

    def points(self, name: str | None) -> Points:
        """The points of a projection; None asks for the newest.

        The first points are there at once; what needs all of them may wait for a moment the first time.
        """
        with self._lock:
            projection = self.find(name)
            if projection in self.object_maps():
                return self._of_objects(projection)
            known = self._points.get(projection.name)
            if known is not None and known[0] == self._epoch and not known[2].failed:
                return known[2]
            key = (projection.number, plot_building.fingerprint(self._database, projection.number))
            if known is not None and known[1] == key and not known[2].failed:
                points = known[2]
            else:
                points = self._load(projection, key[1])
            self._points.pop(projection.name, None)
            self._points[projection.name] = (self._epoch, key, points)
            while len(self._points) > 3:
                self._points.pop(next(iter(self._points)))
            return points

    def prepare(self, name: str | None = None) -> None:
        """Begins to arrange the points of a projection, for whoever draws them soon."""
        self.points(name).begin()

    def _load(self, projection: Projection, fingerprint: str) -> Points:
        made = plot_building.load(self._database, projection.number, fingerprint)

        def forget() -> None:
            with self._lock:
                self._points.pop(projection.name, None)

        return Points(projection.name, made.places, made.bounds, made.size, made.front, made.plot, made.begin, forget)

    def coloring(self, column: str | None) -> Coloring:
        """The colour bytes of a column.

        Raises:
            UnknownColumn: there is no such column.
        """
        return self.colorings.get(column)

    def where(self, name: str | None, nos: Sequence[int]) -> list[list[float] | None]:
        """Where these samples lie; None for one without a place."""
        projection = self.find(name)
        if projection in self.object_maps():
            return self._of_objects(projection).places_of(nos)
        return plot_building.places_of(self._database, projection.number, nos)


# Nearly always no picture was ever replaced: then nothing need be joined to know that no place is stale.
_REPLACED = """
    SELECT (SELECT count(*) FROM data.sample WHERE media_revision <> 1)
         + (SELECT count(*) FROM data.point WHERE media_revision <> 1)
"""
# Places that somebody brought along come from no picture, and no other picture makes them stale.
_CURRENT = """
    SELECT p.projection_no, count(*)
    FROM data.point p JOIN data.sample s USING (sample_no) JOIN data.projection j USING (projection_no)
    WHERE p.media_revision = s.media_revision OR j.method = 'given' GROUP BY p.projection_no
"""
_COUNTS = "SELECT projection_no, count(*) FROM data.point GROUP BY projection_no"
_PROJECTIONS = """
    SELECT j.projection_no, j.name, j.method, coalesce(e.name, '')
    FROM data.projection j LEFT JOIN data.embedding e USING (embedding_no)
    ORDER BY j.created_at DESC, j.projection_no DESC
"""


def _projections(database: Database) -> list[Projection]:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        with database.query(sql) as cursor:
            return cursor.fetchall()

    known = rows(_PROJECTIONS)
    if not known:
        return []
    counts = dict(rows(_COUNTS))
    current = dict(rows(_CURRENT)) if rows(_REPLACED)[0][0] else counts
    total = database.sample_count
    return [
        Projection(number, name, method, embedding, counts.get(number, 0), total - current.get(number, 0))
        for number, name, method, embedding in known
    ]
