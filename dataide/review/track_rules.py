"""Rules over tracks: one thing through the frames of a film."""

from __future__ import annotations

import numpy as np

from dataide.review.findings import BOX, ERROR, HINT, NONE, RELABEL, WARNING, Gathering
from dataide.review.objects import Bools, Floats, Objects

# A step this much longer than usual, in robust standard deviations of the logarithm; 3.5 after Iglewicz and Hoaglin.
UNUSUAL = 3.5
# A step below half the box's size leaves the boxes overlapping: that is motion, whatever the film's usual steps are.
LEAST_STEP = 0.5
LEAST_GROWTH = 1.5


def tracks(table: Objects, found: Gathering) -> None:
    """Tracks that jump, change their size at once, have two boxes in a frame, or change their class.

    Steps are measured in sizes of the box per frame, and compared with all steps of the set: median and median
    absolute deviation of their logarithms (B. Iglewicz and D. Hoaglin, "How to Detect and Handle Outliers", 1993).
    A box that jumps away and back is proposed to lie between its neighbours.
    """
    if table.track is None or table.frame is None:
        return
    rows = np.flatnonzero((table.track >= 0) & (table.frame >= 0))
    if not len(rows):
        return
    order = rows[np.lexsort((table.object_no[rows], table.frame[rows], table.track[rows]))]
    _twice(table, order, found)
    _classes(table, order, found)
    order = order[table.proper[order]]
    if len(order) > 1:
        # Of two boxes in one frame the first is followed.
        first = np.ones(len(order), bool)
        first[1:] = (table.track[order[1:]] != table.track[order[:-1]]) | (
            table.frame[order[1:]] != table.frame[order[:-1]]
        )
        _motion(table, order[first], found)


def _twice(table: Objects, order: np.ndarray, found: Gathering) -> None:
    assert table.track is not None and table.frame is not None
    before, after = order[:-1], order[1:]
    again = (table.track[before] == table.track[after]) & (table.frame[before] == table.frame[after])
    found.add("track_twice", after[again], ERROR, 0.1, others=before[again], data=(table.frame[after[again]],))


def _classes(table: Objects, order: np.ndarray, found: Gathering) -> None:
    """Objects whose class is not their track's commonest; tracks without a majority get no proposal."""
    assert table.track is not None
    order = order[table.classed[order]]
    if not len(order):
        return
    _, track = np.unique(table.track[order], return_inverse=True)
    classes = len(table.classes)
    cells, count = np.unique(track * classes + table.class_no[order], return_counts=True)
    by_count = np.lexsort((count, cells // classes))
    owners = cells[by_count] // classes
    last = np.searchsorted(owners, np.arange(track.max() + 1), "right") - 1
    most, common = count[by_count[last]], cells[by_count[last]] % classes
    majority = most * 2 > np.bincount(track)
    differs = np.flatnonzero(table.class_no[order] != common[track])
    sure = majority[track[differs]]
    found.add(
        "track_class",
        order[differs],
        WARNING,
        np.where(sure, 0.15, 0.4),
        act=np.where(sure, RELABEL, NONE),
        repair=np.where(sure, common[track[differs]], np.nan),
        other_label=common[track[differs]],
    )


def _motion(table: Objects, order: np.ndarray, found: Gathering) -> None:
    assert table.track is not None and table.frame is not None
    box = table.boxes[order]
    centre, size = box[:, :2] + box[:, 2:] / 2, np.sqrt(box[:, 2] * box[:, 3])
    same = table.track[order[1:]] == table.track[order[:-1]]
    frames = np.where(same, table.frame[order[1:]] - table.frame[order[:-1]], 1)
    step = np.hypot(*(centre[1:] - centre[:-1]).T) / np.sqrt(size[1:] * size[:-1])
    growth = np.abs(np.log(size[1:] / size[:-1]))
    jump = same & _unusual(step / frames, same, 1e-3) & (step > LEAST_STEP)
    resize = same & _unusual(growth / frames, same, 1e-3) & (growth > np.log(LEAST_GROWTH))
    # A box off its track is one bad box and two bad steps: it is told once, with where it would lie.
    alone = np.zeros(len(order), bool)
    between = box.copy()
    if len(order) > 2:
        inner = np.arange(1, len(order) - 1)
        both = same[:-1] & same[1:] & (jump[:-1] & jump[1:] | resize[:-1] & resize[1:])
        share = (frames[:-1] / (frames[:-1] + frames[1:]))[:, None]
        between[inner] = box[:-2] * (1 - share) + box[2:] * share
        direct = np.hypot(*(centre[2:] - centre[:-2]).T) / np.sqrt(size[2:] * size[:-2])
        alone[inner] = both & (direct < np.maximum(step[:-1], step[1:]) + LEAST_STEP * resize[:-1])
        # Two such in a row are no single box off its track.
        alone[1:] &= ~alone[:-1]
    told = alone[1:] | alone[:-1]
    for rule, what, severity, amount in (
        ("track_jump", jump, WARNING, step),
        ("track_resize", resize, HINT, np.exp(growth)),
    ):
        at = np.flatnonzero(what & alone[1:])
        least = LEAST_STEP if rule == "track_jump" else LEAST_GROWTH
        found.add(
            rule,
            order[at + 1],
            severity,
            0.5 * least / amount[at],
            act=BOX,
            repair=between[at + 1],
            data=(amount[at], frames[at]),
        )
        at = np.flatnonzero(what & ~told)
        found.add(
            rule,
            order[at + 1],
            severity,
            0.5 * least / amount[at],
            others=order[at],
            act=NONE,
            data=(amount[at], frames[at]),
        )


def _unusual(values: Floats, counted: Bools, least: float) -> Bools:
    """Which positive numbers are far above the usual ones; `least` keeps a film without motion from being all usual."""
    logs = np.log(values + least)
    usual = logs[counted]
    if not len(usual):
        return np.zeros(len(values), bool)
    middle = np.median(usual)
    spread = 1.4826 * np.median(np.abs(usual - middle))
    # Jitter by less than a fifth of a step is exact drawing, not a measure of what is possible.
    unusual: Bools = logs > middle + UNUSUAL * max(spread, 0.2)
    return unusual
