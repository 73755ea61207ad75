"""The points of a map in the two orders in which they are asked for, beside the session file and safe to delete.

In the order of the wire (any prefix is a fair sample) they are read from front to back and sent; in the order of cells
a lasso finds what it covers in few long stretches. The file is mapped: what nobody looks at takes no memory.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import MOST_CELLS, Bounds, Grid

_log = logging.getLogger(__name__)
STEPS = 65_535
# 2: rare values of every column of few categories are among the first points.
_MAGIC = b"dataide plot 2\n\0"
_ALIGNED = 4_096
_HEAD = _ALIGNED
# Section, type, and how many numbers: for each point, for each cell, and so many more.
_SECTIONS: dict[str, tuple[str, int, int, int]] = {
    "xy": ("<u2", 2, 0, 0),
    "nos": ("<u4", 1, 0, 0),
    "cell_nos": ("<u4", 1, 0, 0),
    "cell_x": ("<f4", 1, 0, 0),
    "cell_y": ("<f4", 1, 0, 0),
    "positions": ("<u4", 1, 0, 0),
    "starts": ("<u4", 0, 1, 1),
}
_READ_POINTS = 1 << 20


@dataclass(frozen=True)
class Head:
    """What a plot file is about.

    Attributes:
        places: names places and order: with another one nothing that was sent fits any more.
        total: how many points.
        reach: one more than the largest sample number.
        bounds: of the places; what the steps of `xy` are scaled to.
        cells: of the grid, each way.
    """

    places: str
    total: int
    reach: int
    bounds: Bounds
    cells: int

    @property
    def grid(self) -> Grid:
        """The grid by whose cells the points are ordered."""
        return Grid(self.bounds, self.cells)

    def sections(self) -> Iterator[tuple[str, int, str, int]]:
        """Name, first byte, type and length of each array, and at last the end of the file as section `end`."""
        at = _HEAD
        for name, (kind, a_point, a_cell, more) in _SECTIONS.items():
            count = a_point * self.total + a_cell * self.cells**2 + more
            yield name, at, kind, count
            at += -(-count * np.dtype(kind).itemsize // _ALIGNED) * _ALIGNED
        yield "end", at, "<u1", 0


class PlotFile:
    """The arrays of one map: mapped from a file, or in memory where no file can be written.

    Attributes:
        xy: uint16, 2 numbers a point, in the order of the wire: places as steps of the bounds.
        nos: uint32, sample numbers in the order of the wire.
        cell_nos: uint32, sample numbers in the order of cells.
        cell_x: float32, exact places in the order of cells; cell_y likewise.
        positions: uint32, in the order of cells: which point of the wire it is.
        starts: uint32, where the points of each cell begin.
    """

    def __init__(self, head: Head, arrays: Mapping[str, NDArray[Any]], file: Any = None) -> None:
        self.head = head
        self.path: Path | None = None
        self._arrays = dict(arrays)
        self._file = file
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None
        if file is not None:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for name, at, kind, count in head.sections():
                if name != "end":
                    self._arrays[name] = np.frombuffer(self._map, kind, count, at) if count else np.empty(0, kind)
            self._end = weakref.finalize(self, file.close)

    def __getattr__(self, name: str) -> NDArray[Any]:
        try:
            array: NDArray[Any] = self.__dict__["_arrays"][name]
        except KeyError:
            raise AttributeError(name) from None
        return array

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """A stretch of an array. Read and not mapped: what is sent once need not stay in this process's memory."""
        array = self._arrays[name]
        if self._file is None:
            return array[start:stop]
        found = np.empty(max(0, stop - start), array.dtype)
        at = next(at for section, at, _, _ in self.head.sections() if section == name)
        with self._lock:
            self._file.seek(at + start * array.itemsize)
            if self._file.readinto(found.view(np.uint8)) != found.nbytes:
                raise DamagedPlot
        return found

    def rest(self) -> None:
        """Gives back the memory of what was looked at; the system keeps it for a while in case it is wanted again."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def discard(self) -> None:
        """Deletes the file, because what is in it is not what it should be."""
        if self.path is not None:
            _remove(self.path)


class DamagedPlot(Exception):
    """A plot file holds other things than a plot file should."""


def steps(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint16]:
    """Places along one axis as steps of its bounds: a step is less than a tenth of a pixel on any screen."""
    scaled = np.asarray(values, np.float64) - low
    scaled *= STEPS / (high - low)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, 0, STEPS, out=scaled).astype("<u2")


def scrambled(nos: NDArray[np.integer]) -> NDArray[np.uint32]:
    """A number that looks random and is always the same for a sample (finaliser of MurmurHash3, 32 bits)."""
    mixed = nos.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def unscrambled(mixed: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The sample numbers that these were: no two have the same, so sorting them needs no second array."""
    nos = mixed.copy()
    nos ^= nos >> np.uint32(16)
    nos *= np.uint32(0x7ED1B41D)
    nos ^= nos >> np.uint32(13)
    nos ^= nos >> np.uint32(26)
    nos *= np.uint32(0xA5CB9243)
    nos ^= nos >> np.uint32(16)
    return nos


def arranged(
    places: str,
    bounds: Bounds,
    front: NDArray[np.uint32],
    nos: NDArray[np.uint32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> PlotFile:
    """Puts points in both orders.

    Args:
        places: the name of places and order.
        bounds: of the places.
        front: the samples that stand first, in their order.
        nos: all samples, in any order.
        x: where they are; finite.
        y: likewise.
    """
    total, reach = len(nos), int(nos.max()) + 1 if len(nos) else 0
    grid = Grid.over(bounds, total)
    head = Head(places, total, reach, bounds, grid.size)
    wire = np.concatenate([front, _behind(front, nos, reach)])
    by_no = np.empty((reach, 2), "<u2")
    by_no[nos, 0] = steps(x, bounds[0], bounds[2])
    by_no[nos, 1] = steps(y, bounds[1], bounds[3])
    xy = by_no.view("<u4")[wire, 0].view("<u2")
    del by_no
    # One sort of whole numbers orders by cell and, within a cell, by sample.
    keys = grid.cells(x, y).astype(np.uint64)
    starts = np.zeros(grid.size**2 + 1, "<u4")
    starts[1:] = np.cumsum(np.bincount(keys.view(np.int64), minlength=grid.size**2))
    keys <<= np.uint64(32)
    keys |= nos
    keys.sort()
    cell_nos = keys.astype("<u4")
    del keys
    places_by_no = np.empty(reach, "<f4")
    places_by_no[nos] = x
    cell_x = places_by_no[cell_nos]
    places_by_no[nos] = y
    cell_y = places_by_no[cell_nos]
    position_by_no = places_by_no.view("<u4")
    position_by_no[wire] = np.arange(total, dtype="<u4")
    arrays = {
        "xy": xy,
        "nos": wire.astype("<u4", copy=False),
        "cell_nos": cell_nos,
        "cell_x": cell_x,
        "cell_y": cell_y,
        "positions": position_by_no[cell_nos],
        "starts": starts,
    }
    return PlotFile(head, arrays)


def _behind(front: NDArray[np.uint32], nos: NDArray[np.uint32], reach: int) -> NDArray[np.uint32]:
    """The samples that do not stand in front, in an order that is random and stays."""
    mixed = scrambled(nos)
    mixed.sort()
    ordered = unscrambled(mixed)
    in_front = np.zeros(reach, bool)
    in_front[front] = True
    return ordered[~in_front[ordered]]


def kept(plot: PlotFile, folder: Path | None, name: str) -> PlotFile:
    """Writes the arrays to a file of this name and maps them; older files of the same map are removed.

    Where there is no folder, or it cannot be written, the file lies in a private place and goes with this process, or,
    where there is none, the arrays stay in memory.
    """
    if folder is None:
        return _in_private(plot)
    target = folder / f"{name}-{plot.head.places}.plot"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{name}-*.plot"):
            _remove(old)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f"{name}-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                _write(plot, file)
            os.replace(temporary, target)
        except BaseException:
            _remove(Path(temporary))
            raise
        return opened(target) or plot
    except OSError as error:
        _log.debug("the plot is not kept beside the session: %s", error)
        return _in_private(plot)


def _in_private(plot: PlotFile) -> PlotFile:
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115, it is open as long as the plot is
        _write(plot, file)
        file.flush()
        return PlotFile(plot.head, {}, file)
    except (OSError, ValueError) as error:
        _log.debug("the plot stays in memory: %s", error)
        return plot


def _write(plot: PlotFile, file: Any) -> None:
    said = json.dumps(asdict(plot.head)).encode()
    file.write((_MAGIC + said).ljust(_HEAD, b"\0"))
    for name, at, _, _ in plot.head.sections():
        file.seek(at)
        if name == "end":
            file.truncate(at)
        else:
            file.write(np.ascontiguousarray(getattr(plot, name)).view(np.uint8).data)


def found(folders: list[Path], name: str, fingerprint: str) -> PlotFile | None:
    """A sound file of this map with these places, from one of the folders."""
    for folder in folders:
        for path in sorted(folder.glob(f"{name}-{fingerprint}-*.plot")):
            plot = opened(path)
            if plot is not None:
                return plot
    return None


def opened(path: Path) -> PlotFile | None:
    """Maps a file; None, and the file is removed, where it is not whole."""
    try:
        file = path.open("rb", buffering=0)
    except OSError:
        return None
    try:
        plot = PlotFile(_head(file, path), {}, file)
        starts = plot.starts
        if int(starts[0]) or int(starts[-1]) != plot.head.total or bool((starts[1:] < starts[:-1]).any()):
            raise ValueError("the cells do not follow each other")
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.debug("%s is no plot: %s", path, error)
        file.close()
        _remove(path)
        return None
    plot.path = path
    return plot


def _head(file: Any, path: Path) -> Head:
    first = file.read(_HEAD)
    if not first.startswith(_MAGIC):
        raise ValueError("it begins with other bytes")
    said = json.loads(first[len(_MAGIC) :].rstrip(b"\0"))
    bounds = tuple(float(bound) for bound in said["bounds"])
    if len(bounds) != 4 or not np.isfinite(bounds).all() or bounds[2] <= bounds[0] or bounds[3] <= bounds[1]:
        raise ValueError("its bounds are none")
    head = Head(str(said["places"]), int(said["total"]), int(said["reach"]), bounds, int(said["cells"]))
    if not path.stem.endswith(f"-{head.places}") or not 0 < head.cells <= MOST_CELLS:
        raise ValueError("it is about something else")
    if not 0 <= head.total <= head.reach <= 1 << 32:
        raise ValueError("its numbers cannot be")
    (*_, (_, end, _, _)) = head.sections()
    if path.stat().st_size != end:
        raise ValueError("it is cut off")
    return head


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        _log.debug("could not remove %s", path, exc_info=True)  # Windows keeps what somebody reads
