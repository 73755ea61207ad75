"""Tiles of objects: what each is, and its crop, or the whole picture with its box."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage.object_tables import BOX
from dataide.widgets.underway import is_given_up
from dataide.widgets.vocabulary import Thumbs

from .object_peek import cut_out, opened
from .pages import MOST_BYTES

if TYPE_CHECKING:
    from dataide.widgets.workspace import Workspace

Shares = tuple[float, float, float, float]
# Cutting takes a decoded picture each time: a few pages are kept, so that leafing back and switching are quick.
MOST_HELD_BYTES = 16 << 20
_HELD = "crops of objects"
_CARDS = (
    f"SELECT o.object_no, o.object_id, o.label, {', '.join(f'o.{side}' for side in BOX)}, s.sample_no, s.sample_id, "
    "s.width_px, s.height_px, s.media_revision FROM data.object o JOIN data.sample s USING (sample_no) "
    "WHERE o.object_no BETWEEN ? AND ? AND o.object_no IN (SELECT unnest(?::BIGINT[])) AND NOT o.removed"
)


@dataclass(frozen=True)
class ObjectCard:
    """One object as a tile shows it.

    Attributes:
        no, id, label: of the object.
        sample_no, sample_id: what it is on.
        box: left, top, width, height as shares of the whole picture; None where box or picture have no size.
        version: another one whenever its crop may look otherwise.
    """

    no: int
    id: str
    label: str | None
    sample_no: int
    sample_id: str
    box: Shares | None
    version: tuple[object, ...]


@dataclass(frozen=True)
class Tile:
    """A picture of an object, encoded, or why there is none; `box` says where it lies in it, in shares."""

    data: bytes
    mime: str
    problem: str | None
    box: Shares | None


class _Held:
    """The latest crops. Safe on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tiles: OrderedDict[tuple[object, ...], Tile] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[object, ...]) -> Tile | None:
        with self._lock:
            found = self._tiles.get(key)
            if found is not None:
                self._tiles.move_to_end(key)
            return found

    def put(self, key: tuple[object, ...], tile: Tile) -> None:
        with self._lock:
            if key in self._tiles or len(tile.data) > MOST_HELD_BYTES // 8:
                return
            self._tiles[key] = tile
            self._bytes += len(tile.data)
            while self._bytes > MOST_HELD_BYTES:
                self._bytes -= len(self._tiles.popitem(last=False)[1].data)


def cards(workspace: Workspace, nos: Sequence[int]) -> list[ObjectCard]:
    """The objects with these numbers, in this order; those that are deleted are left out."""
    if not nos:
        return []
    with workspace.database.query(_CARDS, [min(nos), max(nos), list(nos)]) as cursor:
        rows = cursor.fetchall()
    found: dict[int, ObjectCard] = {}
    for no, object_id, label, left, top, width, height, sample_no, sample_id, across, down, revision in rows:
        box = (left, top, width, height)
        known = all(side is not None and np.isfinite(side) for side in box) and across and down
        shares = (left / across, top / down, width / across, height / down) if known else None
        found[no] = ObjectCard(no, object_id, label, sample_no, sample_id, shares, (*box, revision))
    return [found[no] for no in nos if no in found]


def crops(workspace: Workspace, shown: Sequence[ObjectCard], px: int, within_s: float | None = None) -> list[Tile]:
    """Each object cut from its picture with a little of what is around it; the whole picture where that cannot be.

    Fewer than asked where the request was given up meanwhile: nobody will see them. A picture is decoded once for all
    that is cut from it, however the objects are ordered.

    Args:
        workspace: of the session.
        shown: which.
        px: longest side of a crop.
        within_s: cut no more after this time, but at least one.
    """
    ends = None if within_s is None else time.monotonic() + within_s
    with workspace.context.lock:
        held = workspace.context.attached.setdefault(_HELD, _Held())
    assert isinstance(held, _Held)
    found = [held.get((card.no, card.version, px)) for card in shown]
    missing = [place for place, tile in enumerate(found) if tile is None]
    if ends is None:
        missing.sort(key=lambda place: shown[place].sample_no)  # stable: those of one picture in their order
    on, picture = -1, None
    for done, place in enumerate(missing):
        if is_given_up() or (ends is not None and done and time.monotonic() > ends):
            break
        card = shown[place]
        if card.sample_no != on:
            on, picture = card.sample_no, opened(workspace, card.sample_no)
        cut = None if picture is None else cut_out(workspace, on, card.no, px, picture)
        if cut is None:
            (found[place],) = pictures(workspace, [card], px)
            continue
        said, data, mime = cut
        left, top, width, height = said["box"]
        found[place] = tile = Tile(data, mime, None, (left, top, width, height))
        held.put((card.no, card.version, px), tile)
    return list(takewhile(lambda tile: tile is not None, found))  # type: ignore[arg-type]


def pictures(workspace: Workspace, shown: Sequence[ObjectCard], px: int) -> list[Tile]:
    """The whole picture of each object, as its thumbnail."""
    thumbs = workspace.thumbnails.get([card.sample_no for card in shown], px) if shown else []
    return [
        Tile(thumb.data, thumb.mime, thumb.problem, card.box if thumb.problem is None else None)
        for card, thumb in zip(shown, thumbs, strict=True)
    ]


def packed(tiles: Sequence[Tile]) -> tuple[Thumbs, bytes]:
    """Pictures back to back, as many as fit into 4 MiB, at least one."""
    thumbs: Thumbs = {"mime": [], "starts": [0], "problems": []}
    data: list[bytes] = []
    for tile in tiles:
        if thumbs["starts"][-1] + len(tile.data) > MOST_BYTES and data:
            break
        data.append(tile.data)
        thumbs["mime"].append(tile.mime)
        thumbs["problems"].append(tile.problem)
        thumbs["starts"].append(thumbs["starts"][-1] + len(tile.data))
    return thumbs, b"".join(data)
