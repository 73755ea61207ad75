"""From a session file to points that can be drawn: the first ones at once, the rest arranged in the background."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import SessionClosed

from . import plot_files
from .cells import Bounds
from .plot_files import PlotFile, scrambled, steps
from .rare import MIXED, rare

if TYPE_CHECKING:
    from dataide.storage.database import Database

Array = NDArray[Any]
FRONT = 20_000
# So many points are arranged in a few milliseconds: no file, and no thread.
FEW_POINTS = 200_000
# At most so large a share of the first points is there only because a value of theirs is rare.
SHARE_OF_RARE = 1 / 5
FOLDER = "plots"

_HERE = "projection_no = $projection AND isfinite(x) AND isfinite(y) AND sample_no < $samples"
_FINGERPRINT = "SELECT count(*), bit_xor(hash(sample_no, x, y)) FROM data.point WHERE projection_no = ?"
_SPAN = f"""
    SELECT count(*), coalesce(max(sample_no) + 1, 0), min(x)::DOUBLE, min(y)::DOUBLE, max(x)::DOUBLE, max(y)::DOUBLE
    FROM data.point WHERE {_HERE}
"""
_POINTS = f"SELECT sample_no, x, y FROM data.point WHERE {_HERE}"
_FIRST = f"SELECT sample_no, x, y FROM ({MIXED.format(points=_POINTS)}) WHERE mixed < $below"
_ON_MAP = f"SELECT sample_no FROM data.point WHERE {_HERE}"
_OF_SAMPLES = f"{_POINTS} AND sample_no IN (SELECT no FROM wanted)"
_PLACES = """
    SELECT sample_no, x::DOUBLE, y::DOUBLE FROM data.point
    WHERE projection_no = ? AND isfinite(x) AND isfinite(y) AND sample_no IN ({wanted})
"""


@dataclass(frozen=True)
class Made:
    """What there is of a map at once, and the whole when it is ready.

    Attributes:
        places: the name of places and order.
        bounds: of the places.
        size: how many points, and one more than the largest sample number.
        front: sample numbers and steps (2 a point) of the first points.
        plot: all of them.
        begin: starts to arrange them, if nobody has yet. The first points are sent before: they are waited for.
    """

    places: str
    bounds: Bounds
    size: tuple[int, int]
    front: tuple[Array, Array]
    plot: Future[PlotFile]
    begin: Callable[[], None] = lambda: None


def fingerprint(database: Database, projection: int) -> str:
    """Another text when a point was added, moved or removed."""
    with database.query(_FINGERPRINT, [projection]) as cursor:
        count, mixed = cursor.fetchall()[0]
    return f"{int(count):x}x{int(mixed or 0):016x}"


def load(database: Database, projection: int, fingerprint: str) -> Made:
    """Finds the points of a map in a plot file, or reads them."""
    name = str(projection)
    plot: Future[PlotFile] = Future()
    kept = plot_files.found([database.cache_dir / FOLDER], name, fingerprint)
    if kept is not None and _fits(kept, database):
        head, first = kept.head, min(FRONT, kept.head.total)
        front = (kept.read("nos", 0, first), kept.read("xy", 0, 2 * first))
        if not first or int(front[0].max()) < head.reach:
            plot.set_result(kept)
            return Made(head.places, head.bounds, (head.total, head.reach), front, plot)
    about = {"projection": projection, "samples": database.sample_count}
    with database.query(_SPAN, about) as cursor:
        total, reach, *ends = cursor.fetchall()[0]
    bounds = _widened(*ends) if total else (0.0, 0.0, 1.0, 1.0)
    nos, x, y = _front(database, about, total)
    places = f"{fingerprint}-{zlib.crc32(nos.astype('<u4').tobytes()):08x}"
    xy = np.stack([steps(x, bounds[0], bounds[2]), steps(y, bounds[1], bounds[3])], axis=1).ravel()
    lock, started = threading.Lock(), False

    def begin() -> None:
        nonlocal started
        with lock:
            if started:
                return
            started = True
        # Not a daemon: Python waits at its end until the thread's cursor is closed.
        threading.Thread(target=_arrange, args=(database, about, made, name), name="dataide-plot", daemon=False).start()

    made = Made(places, bounds, (total, reach), (nos, xy), plot, begin)
    if total <= FEW_POINTS:
        started = True
        _arrange(database, about, made, None)
    return made


def _fits(plot: PlotFile, database: Database) -> bool:
    return plot.head.reach <= database.sample_count


def _arrange(database: Database, about: dict[str, int], made: Made, name: str | None) -> None:
    try:
        with database.query(_POINTS, about) as cursor:
            read = cursor.fetchnumpy()
        nos, x, y = (np.asarray(read.pop(column)) for column in ("sample_no", "x", "y"))
        plot = plot_files.arranged(made.places, made.bounds, made.front[0], nos, x, y)
        if name is not None:
            if database.closed:
                raise SessionClosed("The session was closed.")
            folder = None if database.read_only else database.cache_dir / FOLDER
            plot = plot_files.kept(plot, folder, name)
        made.plot.set_result(plot)
    except BaseException as error:
        made.plot.set_exception(error)


def _front(database: Database, about: dict[str, int], total: int) -> tuple[Array, Array, Array]:
    """The first points of the order: numbers, x, y. Rare values are among them, mixed with the others at random."""
    if total <= FRONT:
        nos, x, y = _read(database, _POINTS, about)
        order = np.argsort(scrambled(nos), kind="stable")
        return nos[order], x[order], y[order]
    below = 1.1 * FRONT / total
    nos, x, y = _read(database, _FIRST, {**about, "below": int(2**32 * min(1.0, below))})
    while len(nos) < FRONT and below < 1:
        below *= 2
        nos, x, y = _read(database, _FIRST, {**about, "below": int(2**32 * min(1.0, below))})
    order = np.argsort(scrambled(nos), kind="stable")
    nos, x, y = nos[order], x[order], y[order]
    # What is frequent among those that stand in front in any case needs no help.
    room = int(FRONT * SHARE_OF_RARE)
    on_map = (_ON_MAP, about) if total < about["samples"] else None
    added = rare(database, nos[: FRONT - room], room, on_map)
    if len(added):
        others = np.flatnonzero(~np.isin(nos, added))[: FRONT - len(added)]
        rare_nos, rare_x, rare_y = _read(database, _OF_SAMPLES, about, {"wanted": {"no": added}})
        nos = np.concatenate([rare_nos, nos[others]])
        x, y = np.concatenate([rare_x, x[others]]), np.concatenate([rare_y, y[others]])
    else:
        nos, x, y = nos[:FRONT], x[:FRONT], y[:FRONT]
    order = np.argsort(scrambled(nos ^ np.uint32(0x9E3779B9)), kind="stable")
    return nos[order], x[order], y[order]


def _read(
    database: Database, sql: str, about: dict[str, Any], frames: dict[str, Any] | None = None
) -> tuple[Array, Array, Array]:
    with database.query(sql, about, frames=frames) as cursor:
        read = cursor.fetchnumpy()
    nos, x, y = (np.asarray(read[column]) for column in ("sample_no", "x", "y"))
    return nos.astype(np.uint32, copy=False), x, y


def places_of(database: Database, projection: int, nos: Sequence[int]) -> list[list[float] | None]:
    """Where these samples lie on a map; None for one without a place."""
    wanted = [int(no) for no in nos if 0 <= no < 1 << 32]
    found: dict[int, list[float]] = {}
    if wanted:
        numbers = ", ".join(map(str, dict.fromkeys(wanted)))
        with database.query(_PLACES.format(wanted=numbers), [projection]) as cursor:
            found = {int(no): [x, y] for no, x, y in cursor.fetchall()}
    return [found.get(int(no)) for no in nos]


def bounds_of(x: Array, y: Array) -> Bounds:
    """The smallest box around these points, with some room where it has no width."""
    if not len(x):
        return (0.0, 0.0, 1.0, 1.0)
    return _widened(float(x.min()), float(y.min()), float(x.max()), float(y.max()))


def _widened(x_low: float, y_low: float, x_high: float, y_high: float) -> Bounds:
    (x_low, x_high), (y_low, y_high) = _span(x_low, x_high), _span(y_low, y_high)
    return x_low, y_low, x_high, y_high


def _span(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    room = max(0.5, abs(low) * 1e-3)  # of a huge number a half is nothing
    return low - room, high + room
