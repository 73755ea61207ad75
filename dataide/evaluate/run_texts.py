"""COCO's compressed runs of many masks, read together: storage's masks.py reads one, and this is 20 times as quick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.evaluate.spans import grouped

Ints = NDArray[np.int64]

_FIVE_BITS, _SIGN, _MORE, _FIRST = 0x1F, 0x10, 0x20, 48
# Eight groups of five bits hold any run of a picture.
_MOST_CHARACTERS = 8


class NoRuns(ValueError):
    """One of the masks is none.

    Attributes:
        place: which.
    """

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


def read(texts: Sequence[str | bytes]) -> tuple[Ints, Ints]:
    """The runs that these texts stand for, one mask's behind the other's, and n + 1 offsets into them.

    Numbers in groups of five bits, the lowest first, each a character from "0" on; from the fourth on they are
    differences to the number before the last (Lin et al., ECCV 2014; maskApi.c of the COCO API).

    Raises:
        NoRuns: one is no such text.
    """
    given = [one.encode("ascii", "replace") if isinstance(one, str) else bytes(one) for one in texts]
    bounds = np.concatenate([[0], np.cumsum([len(one) for one in given], dtype=np.int64)]).astype(np.int64)
    values = np.frombuffer(b"".join(given), np.uint8).astype(np.int64) - _FIRST
    if not len(values):
        return values, bounds
    ends = np.flatnonzero((values & _MORE) == 0)
    sizes = np.diff(ends, prepend=-1)
    filled = np.flatnonzero(np.diff(bounds))
    # A text that goes on where it ends would take the next one's characters.
    torn = filled[(values[bounds[filled + 1] - 1] & _MORE) != 0]
    strange = np.flatnonzero((values < 0) | (values > 63))
    too_long = ends[sizes > _MOST_CHARACTERS]
    if len(torn) or len(strange) or len(too_long):
        bad = np.searchsorted(bounds, np.concatenate([strange, too_long]), side="right") - 1
        raise NoRuns(int(np.concatenate([torn, bad]).min()), "the counts are no compressed runs")
    _, place = grouped(sizes)
    numbers = np.add.reduceat((values & _FIVE_BITS) << (5 * place), ends - sizes + 1)
    numbers -= np.where(values[ends] & _SIGN, np.int64(1) << (5 * sizes), 0)
    offsets = np.searchsorted(ends, bounds).astype(np.int64)
    owner, turn = grouped(np.diff(offsets))
    # Three chains in each mask: the first number by itself, those that are on, and the other ones that are off.
    chain = owner * 3 + np.where(turn == 0, 0, 2 - turn % 2)
    order = np.argsort(chain, kind="stable")
    total = np.cumsum(numbers[order])
    begins = np.flatnonzero(np.diff(chain[order], prepend=-1))
    total -= np.repeat(total[begins] - numbers[order[begins]], np.diff(np.append(begins, len(order))))
    runs = np.empty(len(order), np.int64)
    runs[order] = total
    if (runs < 0).any():
        raise NoRuns(int(owner[np.argmax(runs < 0)]), "a run has a length that is none")
    return runs, offsets


def joined(lists: Sequence[Any]) -> tuple[Ints, Ints]:
    """The runs of lists of whole numbers behind each other, and n + 1 offsets into them.

    Raises:
        NoRuns: one is no list of whole numbers, or has a negative one.
    """
    arrays = []
    for place, one in enumerate(lists):
        array = np.asarray(one)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise NoRuns(place, "the counts are no whole numbers")
        if array.size and int(array.min()) < 0:
            raise NoRuns(place, "a run has a length that is none")
        arrays.append(array.astype(np.int64))
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in arrays], dtype=np.int64)]).astype(np.int64)
    return (np.concatenate(arrays) if arrays else np.empty(0, np.int64)), offsets
