"""Groups of near duplicates: the same bytes, stars, and which one of a group to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.find.pairs import Stopped

Places = NDArray[np.int64]

# In larger knots of pairs only the pairs that were found count, as to measure all would take the square of their size.
LARGEST_MEASURED = 2_000


def same_content(content: Sequence[str | None] | None, count: int) -> Places:
    """For each sample the first one with the same content; itself where there is none, or no content is known."""
    leader = np.arange(count, dtype=np.int64)
    if content is None:
        return leader
    seen: dict[str, int] = {}
    for row, value in enumerate(content):
        if value:
            leader[row] = seen.setdefault(str(value), row)
    return leader


def of_values(values: Sequence[Any] | None, count: int) -> Places:
    """Values as numbers from 0; -1 where one is missing (None, NaN, "")."""
    codes = np.full(count, -1, np.int64)
    if values is None:
        return codes
    known: dict[Any, int] = {}
    for row, value in enumerate(values):
        if value is None or value == "" or value != value:
            continue
        codes[row] = known.setdefault(value, len(known))
    return codes


def components(first: Places, second: Places, count: int) -> Places:
    """For each of `count` nodes the smallest node that links lead to."""
    label = np.arange(count, dtype=np.int64)
    while True:
        least = np.minimum(label[first], label[second])
        before = label.copy()
        # The roots of both ends move, so whole trees join; then every node looks at its root's root.
        np.minimum.at(label, before[first], least)
        np.minimum.at(label, before[second], least)
        while not np.array_equal(hop := label[label], label):
            label = hop
        if np.array_equal(label, before):
            return label


def stars(
    first: Places,
    second: Places,
    count: int,
    close: Callable[[int, Places], NDArray[np.bool_]],
    stop: Callable[[], bool],
) -> Places:
    """Group of each node, -1 for none: each member is close to the centre of its group.

    Args:
        first, second: links between nodes.
        count: of nodes.
        close: which of some nodes are close to one; asked inside connected knots of up to `LARGEST_MEASURED` nodes, as
            a link may be missing between nodes that have many neighbours.
        stop: asked before each knot.
    """
    group = np.full(count, -1, np.int64)
    if not len(first):
        return group
    knot = components(first, second, count)
    both = np.concatenate([first, second])
    others = np.concatenate([second, first])
    order = np.lexsort((others, both))
    both, others = both[order], others[order]
    begins = np.searchsorted(both, np.arange(count + 1))
    linked = np.flatnonzero(np.diff(begins))
    members_order = linked[np.argsort(knot[linked], kind="stable")]
    cuts = np.flatnonzero(np.diff(knot[members_order])) + 1
    fresh = 0
    for members in np.split(members_order, cuts):
        if stop():
            raise Stopped
        left = np.ones(len(members), bool)
        degree = begins[members + 1] - begins[members]
        # The nodes with most links first; equal ones by number.
        for place in np.lexsort((members, -degree)):
            if not left[place]:
                continue
            centre = int(members[place])
            mine = np.isin(members, others[begins[centre] : begins[centre + 1]]) & left
            unknown = left & ~mine
            unknown[place] = False
            if unknown.any() and len(members) <= LARGEST_MEASURED and (mine.any() or degree[place]):
                mine[unknown] = close(centre, members[unknown])
            if not mine.any():
                continue
            mine[place] = True
            group[members[mine]] = fresh
            left &= ~mine
            fresh += 1
    return group


def best_of_groups(
    group: Places, labelled: NDArray[np.bool_], area_px: NDArray[Any] | None, sharpness: NDArray[Any] | None
) -> NDArray[np.bool_]:
    """The one of each group to keep: labelled, then the largest, then the sharpest, then the first."""
    rows = np.flatnonzero(group >= 0)
    keep = np.zeros(len(group), bool)
    keys: list[NDArray[Any]] = [rows]
    for values in (sharpness, area_px, labelled):
        if values is not None:
            worth = np.nan_to_num(np.asarray(values)[rows].astype(np.float64), nan=-1.0)
            keys.append(-worth)
    order = np.lexsort((*keys, group[rows]))
    sorted_groups = group[rows][order]
    if len(rows):
        keep[rows[order[np.concatenate([[True], sorted_groups[1:] != sorted_groups[:-1]])]]] = True
    return keep
