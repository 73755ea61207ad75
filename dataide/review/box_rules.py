"""Rules that a single box, or two boxes of one picture, can break by themselves; nothing has to be learned for them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from dataide.core import boxes
from dataide.review.findings import BOX, DELETE, ERROR, HINT, NONE, RELABEL, WARNING, Gathering
from dataide.review.objects import Ints, Objects

# Half a pixel outside comes of rounding to whole pixels.
ROUNDING_PX = 0.5
# A side below this shows less than one pixel and its neighbour.
SMALLEST_PX = 2.0
DUPLICATE_IOU = 0.8
# Two things of one class hide each other that far now and then (a crowd): worth a look, not more.
SUSPICIOUS_IOU = 0.65
TWO_LABELS_IOU = 0.9
# Masks are counted in whole pixels, boxes are not: their area may differ by a rim of one pixel.
MASK_RIM_PX = 1.0


def broken(table: Objects, found: Gathering) -> None:
    """Boxes with coordinates that are no numbers, inverted ones, empty ones, and ones below two pixels."""
    finite = np.isfinite(table.boxes).all(axis=1)
    width, height = table.width, table.height
    rows = np.flatnonzero(~finite)
    found.add("not_a_number", rows, ERROR, 0.0, act=DELETE)
    if table.proper.all() and (not len(table) or min(width.min(), height.min()) >= SMALLEST_PX):
        return
    rows = np.flatnonzero(finite & ((width < 0) | (height < 0)))
    turned = boxes.upright(table.boxes[rows])
    hopeless = ~boxes.proper(turned)
    act = np.where(hopeless, DELETE, BOX)
    found.add(
        "inverted_box", rows, ERROR, 0.0, act=act, repair=_only(turned, ~hopeless), data=(width[rows], height[rows])
    )
    rows = np.flatnonzero(finite & ((width == 0) | (height == 0)) & (width >= 0) & (height >= 0))
    found.add("empty_box", rows, ERROR, 0.0, act=DELETE, data=(width[rows], height[rows]))
    least = np.minimum(width, height)
    rows = np.flatnonzero(table.proper & (least < SMALLEST_PX))
    score = 0.5 * least[rows] / SMALLEST_PX
    found.add("too_small", rows, WARNING, score, act=DELETE, data=(width[rows], height[rows]))


def outside(table: Objects, found: Gathering) -> None:
    """Boxes that leave their picture, by more than rounding, with what is inside as the repair."""
    at, width, height = table.boxes, table.width_px, table.height_px
    beyond = np.maximum(
        np.maximum(-at[:, 0], -at[:, 1]), np.maximum(at[:, 0] + at[:, 2] - width, at[:, 1] + at[:, 3] - height)
    )
    rows = np.flatnonzero(table.proper & table.known_size & (beyond > ROUNDING_PX))
    if not len(rows):
        return
    inside = boxes.clipped(at[rows], width[rows], height[rows])
    away = ~boxes.proper(inside)
    found.add("outside_image", rows[away], ERROR, 0.0, act=DELETE)
    rows, inside = rows[~away], inside[~away]
    share = 1 - inside[:, 2] * inside[:, 3] / (at[rows, 2] * at[rows, 3])
    # Below a hundredth of the box it may be a habit of the tool; it still cannot be right.
    severity = np.where(share > 0.01, ERROR, WARNING)
    found.add("partly_outside", rows, severity, 0.4 * (1 - share), act=BOX, repair=inside, data=(share, beyond[rows]))


def duplicates(table: Objects, first: Ints, second: Ints, overlap: NDArray[np.float64], found: Gathering) -> None:
    """One thing drawn twice: boxes of one class, or two labels on nearly the same box.

    Args:
        first, second: rows of pairs that overlap, first < second.
        overlap: their intersection over union; pairs below `SUSPICIOUS_IOU` are not looked at.
    """
    same = table.class_no[first] == table.class_no[second]
    if table.track is not None and table.frame is not None:
        # Pictures of a film may be one sample; then boxes of different frames do not lie on each other.
        together = table.frame[first] == table.frame[second]
        first, second, overlap, same = first[together], second[together], overlap[together], same[together]
    # The later one goes: the earlier may have been referred to.
    swapped = table.object_no[first] > table.object_no[second]
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    pick = np.flatnonzero(same & (overlap >= SUSPICIOUS_IOU))
    sure = overlap[pick] >= DUPLICATE_IOU
    found.add(
        "duplicate_box",
        second[pick],
        np.where(overlap[pick] >= 0.95, ERROR, np.where(sure, WARNING, HINT)),
        # At an overlap of 0.8 the score is 0.4.
        2 * (1 - overlap[pick]),
        others=first[pick],
        act=np.where(sure, DELETE, NONE),
        data=(overlap[pick],),
    )
    both = table.classed[first] & table.classed[second]
    pick = np.flatnonzero(both & ~same & (overlap >= TWO_LABELS_IOU))
    found.add(
        "two_labels",
        second[pick],
        WARNING,
        0.2 + 2 * (1 - overlap[pick]),
        others=first[pick],
        data=(overlap[pick],),
        other_label=table.class_no[first[pick]],
    )


def masks(table: Objects, found: Gathering) -> None:
    """Masks without pixels, and masks with more pixels than their box has room for."""
    if table.mask_area is None:
        return
    area = table.mask_area
    found.add("empty_mask", np.flatnonzero(area <= 0), ERROR, 0.0, act=DELETE)
    room = (table.width + 2 * MASK_RIM_PX) * (table.height + 2 * MASK_RIM_PX)
    rows = np.flatnonzero(table.proper & (area > room))
    found.add("mask_outside_box", rows, WARNING, room[rows] / area[rows] * 0.5, data=(area[rows], room[rows]))


def vocabulary(table: Objects, found: Gathering) -> None:
    """Objects without a label, or with one that is not allowed; a name that differs by a slip is proposed instead."""
    found.add("no_label", np.flatnonzero(table.class_no < 0), WARNING, 0.3)
    beyond = np.flatnonzero(table.class_no >= len(table.classes))
    found.add("unknown_label", beyond, ERROR, 0.0)
    if table.allowed.all():
        return
    rows = np.flatnonzero(table.classed)
    rows = rows[~table.allowed[table.class_no[rows]]]
    names = {name.casefold().strip(): no for no, name in enumerate(table.classes) if table.allowed[no]}
    meant = np.full(len(table.classes), -1, np.int64)
    for no in np.unique(table.class_no[rows]).tolist():
        near = get_close_matches(table.classes[no].casefold().strip(), list(names), 1, 0.8)
        meant[no] = names[near[0]] if near else -1
    proposal = meant[table.class_no[rows]]
    found.add(
        "unknown_label",
        rows,
        ERROR,
        0.0,
        act=np.where(proposal >= 0, RELABEL, NONE),
        repair=np.where(proposal >= 0, proposal, np.nan),
        other_label=proposal,
    )


def twins(table: Objects, samples: Mapping[str, np.ndarray], found: Gathering) -> None:
    """Pictures that look the same and are labelled differently.

    Args:
        samples: arrays of one length: sample_no, group (pictures of one number look the same; -1 for none), and where
            there is one, label_no (-1 for none). Groups come from the search for near duplicates.
    """
    if "group" not in samples:
        return
    group, sample_no = np.asarray(samples["group"], np.int64), np.asarray(samples["sample_no"], np.int64)
    members = np.flatnonzero(group >= 0)
    if not len(members):
        return
    members = members[np.argsort(group[members], kind="stable")]
    _, which, size = np.unique(group[members], return_inverse=True, return_counts=True)
    if "label_no" in samples:
        _differing_labels(np.asarray(samples["label_no"], np.int64)[members], which, sample_no[members], found)
    if not len(table):
        return
    # A picture's objects as one number: the sum of a random number for each class says which there are, and how many.
    random = np.random.default_rng(0).integers(1, 1 << 40, len(table.classes) + 1)
    weight = random[np.where(table.classed, table.class_no, len(table.classes))]
    totals = np.add.reduceat(weight, table.starts[:-1])
    drawn = table.sample_no[table.starts[:-1]]
    at = np.minimum(np.searchsorted(drawn, sample_no[members]), len(drawn) - 1)
    total = np.where(drawn[at] == sample_no[members], totals[at], 0)
    low, high = (np.full(len(size), fill) for fill in (np.iinfo(np.int64).max, np.int64(-1)))
    np.minimum.at(low, which, total)
    np.maximum.at(high, which, total)
    pick = np.flatnonzero((low < high)[which])
    found.add(
        "twins_differ_in_objects",
        np.empty(0, np.int64),
        HINT,
        0.45,
        sample_no=sample_no[members[pick]],
        data=(size[which[pick]],),
    )


def sample_labels(samples: Mapping[str, np.ndarray], found: Gathering) -> None:
    """Labels of pictures that are not in the vocabulary; a name that differs by a slip is proposed instead.

    Args:
        samples: arrays of one length: sample_no, label_no, and meant, the label that it should be: -2 where the label
            is right, -1 where nobody knows.
    """
    if "meant" not in samples:
        return
    meant = np.asarray(samples["meant"], np.int64)
    pick = np.flatnonzero(meant > -2)
    sure = meant[pick] >= 0
    found.add(
        "unknown_sample_label",
        np.empty(0, np.int64),
        ERROR,
        np.where(sure, 0.05, 0.1),
        sample_no=np.asarray(samples["sample_no"], np.int64)[pick],
        act=np.where(sure, RELABEL, NONE),
        repair=np.where(sure, meant[pick], np.nan),
        other_label=meant[pick],
        label=np.asarray(samples["label_no"], np.int64)[pick],
    )


def _differing_labels(label: Ints, which: Ints, sample_no: Ints, found: Gathering) -> None:
    """In each group the members that are not of its commonest label, which is proposed; all of them in a draw."""
    some = label >= 0
    label, which, sample_no = label[some], which[some], sample_no[some]
    if not len(label):
        return
    classes = int(label.max()) + 1
    cells, count = np.unique(which * classes + label, return_counts=True)
    owner, its_label = cells // classes, cells % classes
    order = np.lexsort((count, owner))
    owner, its_label, count = owner[order], its_label[order], count[order]
    groups, last = np.unique(owner[::-1], return_index=True)
    last = len(owner) - 1 - last
    most, second = count[last], np.where(last > 0, count[np.maximum(last - 1, 0)], 0)
    several = (last > 0) & (owner[np.maximum(last - 1, 0)] == groups)
    drawn = several & (second == most)
    size = np.bincount(which, minlength=int(groups.max()) + 1)[groups]
    at = np.searchsorted(groups, which)
    winner = its_label[last][at]
    pick = np.flatnonzero(several[at] & (drawn[at] | (label != winner)))
    sure = ~drawn[at[pick]]
    differing = size[at[pick]] - np.where(sure, most[at[pick]], 1)
    found.add(
        "twins_differ",
        np.empty(0, np.int64),
        WARNING,
        np.where(sure, 0.2, 0.35),
        sample_no=sample_no[pick],
        act=np.where(sure, RELABEL, NONE),
        repair=np.where(sure, winner[pick], np.nan),
        data=(size[at[pick]], differing),
        other_label=np.where(sure, winner[pick], -1),
    )


def _only(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where[:, None], values, np.nan)
