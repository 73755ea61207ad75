"""What lies around boxes: pairs that all but coincide, and how many boxes each one holds. One sweep over all pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataide.core import boxes
from dataide.review.box_rules import SUSPICIOUS_IOU
from dataide.review.objects import Floats, Ints, Objects


@dataclass(frozen=True)
class Around:
    """Of N objects.

    Attributes:
        held, held_same, holders: N counts: boxes it holds, those of its own class among them, boxes that hold it. A
            box holds another that lies in it by four fifths and is at most half its size.
        first, second, iou: pairs of rows whose overlap may mean one thing drawn twice, and their intersection over
            union.
    """

    held: Floats
    held_same: Floats
    holders: Floats
    first: Ints
    second: Ints
    iou: Floats

    def take(self, rows: np.ndarray) -> Around:
        """The counts of these rows, without the pairs."""
        nothing = np.empty(0, np.int64)
        return Around(self.held[rows], self.held_same[rows], self.holders[rows], nothing, nothing, np.empty(0))


def look_around(table: Objects) -> Around:
    """Sweeps over all pairs of boxes that overlap; only those that nearly coincide are kept."""
    count, area = len(table), table.width * table.height
    held, same, holders = np.zeros(count), np.zeros(count), np.zeros(count)
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for first, second, shared in boxes.overlapping(table.boxes, table.sample_no):
        overlap = shared / (area[first] + area[second] - shared)
        alike = overlap >= SUSPICIOUS_IOU
        if alike.any():
            pairs.append((first[alike], second[alike], overlap[alike]))
        swap = area[first] < area[second]
        outer, inner = np.where(swap, second, first), np.where(swap, first, second)
        holds = (shared >= 0.8 * area[inner]) & (2 * area[inner] < area[outer])
        outer, inner = outer[holds], inner[holds]
        np.add.at(held, outer, 1)
        np.add.at(holders, inner, 1)
        alike = table.class_no[outer] == table.class_no[inner]
        np.add.at(same, outer[alike], 1)
    if not pairs:
        nothing = np.empty(0, np.int64)
        return Around(held, same, holders, nothing, nothing, np.empty(0))
    found = [np.concatenate(column) for column in zip(*pairs, strict=True)]
    return Around(held, same, holders, *found)
