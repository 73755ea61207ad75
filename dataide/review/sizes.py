"""Boxes too large or too small for what they hold, and boxes of a shape that their class never has.

How large a thing of a class is in a picture depends on the class and on how far away the picture's things are. So the
size of a box (the root of its share of the picture, as a logarithm) is set against the median of its class, and the
rest against the rest of the other boxes in its picture. Besides, an oversized box swallows its neighbours, an
undersized one lies within them, and both rarely touch an edge as boxes of their size do.

How much each of these tells is learned from the set itself: some of its boxes are blown up (or shrunk) to between five
and twenty times their size in copies, and a logistic regression learns to tell copies from boxes as they are
(M. Gutmann and A. Hyvarinen, "Noise-contrastive estimation", AISTATS 2010). Boxes that are wrong in the set already
blur this a little, no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dataide.core import boxes
from dataide.review.around import Around, look_around
from dataide.review.findings import ERROR, HINT, WARNING, Gathering
from dataide.review.objects import Bools, Floats, Objects
from dataide.review.odds import Odds, group_medians, learn_odds, medians_of_others

# A class with few objects is drawn towards all classes, as if it had so many objects of the usual size or shape.
SHRINK = 3.0
# So many neighbours count as much as nothing being known about a picture.
SHRINK_PICTURE = 2.0
SMALLEST, LARGEST = 5.0, 20.0
PLANTED_SHARE = 0.1
PLANTED = 5_000
TRIES = 20
# Fewer boxes cannot teach what is usual.
FEWEST = 30
FAULTY_SHARE = 0.02
BLOCK = 16_384
# The cut finds this share of planted faults, unless that flags too many of the boxes as they are.
RECALL = 0.95
# A box too large hides what it should point at, one too small only misses some of it: the first may cost more looks.
MOST_LARGE, MOST_SMALL = 0.15, 0.03
LEFT_OUT = 0.05
# Nothing is wider than its picture; the rest is for rounding.
LARGEST_SHARE = 1.02
# A shape counts as impossible beyond this many robust standard deviations (B. Iglewicz and D. Hoaglin 1993), or more in
# large sets: sqrt(2 ln N) is what the most unusual of N sound ones would reach (D. Donoho and I. Johnstone 1994).
UNUSUAL = 3.5


@dataclass(frozen=True)
class Sizes:
    """What is usual: learned by `learn_sizes`.

    Attributes:
        size: C medians of the log size by class; `usual_size` stands for classes never seen.
        aspect, below, above: C medians of log(width / height), and its robust spread on both sides.
        count: boxes of each class.
        large, small: log odds of a fault; None where too few boxes were seen.
    """

    size: Floats
    usual_size: float
    aspect: Floats
    below: Floats
    above: Floats
    count: NDArray[np.int64]
    limit: float
    large: Odds | None = None
    small: Odds | None = None


def usable(table: Objects) -> Bools:
    """Objects whose size can be judged."""
    good: Bools = table.proper & table.known_size & table.classed
    return good


def log_size(table: Objects) -> Floats:
    """Logarithm of the root of a box's share of its picture; of usable objects only."""
    size: Floats = 0.5 * np.log(table.width * table.height / (table.width_px * table.height_px))
    return size


def columns(table: Objects, sizes: Sizes, around: Around) -> tuple[Floats, Floats]:
    """What the regression sees (N x D), and the log size that one expects (N), of usable objects."""
    size = log_size(table)
    usual = sizes.size[table.class_no]
    beyond = size - usual
    picture, others = medians_of_others(beyond, table.sample_no)
    picture *= others / (others + SHRINK_PICTURE)
    # Things of one class in one picture are the best measure where there are some.
    alike, same = medians_of_others(size, table.sample_no, table.class_no)
    apart = np.where(same > 0, size - alike, 0.0) * (same / (same + 1))
    left, top = table.x / table.width_px, table.y / table.height_px
    right, bottom = left + table.width / table.width_px, top + table.height / table.height_px
    off = np.log(table.width / table.height) - sizes.aspect[table.class_no]
    far = np.abs(off) / np.where(off > 0, sizes.above[table.class_no], sizes.below[table.class_no])
    near = 0.01
    edges = (left < near) * 1.0 + (top < near) + (right > 1 - near) + (bottom > 1 - near)
    plain = np.stack(
        [
            size,
            beyond - picture,
            picture,
            apart,
            np.log1p(same),
            np.log1p(around.held),
            np.log1p(around.held_same),
            np.log1p(around.holders),
            edges,
            edges > 2,
            np.log1p(others),
            usual,
            np.minimum(far, 5),
            around.held / np.maximum(others, 1),
        ],
        axis=1,
    )
    crossed = np.concatenate(
        [plain, plain[:, :1] * plain, plain[:, 1:2] * plain[:, 1:], plain[:, 3:4] * plain[:, 3:]], axis=1
    )
    return crossed, usual + picture


def learn_sizes(table: Objects, *, seed: int = 0, stop: Callable[[], bool] = lambda: False) -> Sizes:
    """Learns what sizes and shapes are usual.

    Args:
        table: objects of whole pictures, any number; some tens of thousands are plenty.
        seed: of the boxes that are blown up and shrunk.
        stop: asked between steps; the odds are left out when it says so.

    Returns:
        What is usual. With fewer than `FEWEST` boxes no odds are learned, and nothing is too large or too small.
    """
    table = table.take(np.flatnonzero(usable(table)))
    classes = len(table.classes)
    plain = _plain(table, classes)
    if len(table) < FEWEST or stop():
        return plain
    random = np.random.default_rng(seed)
    around = look_around(table)
    sound, _ = columns(table, plain, around)
    size = log_size(table)
    odds: list[Odds | None] = []
    for direction, most in ((1, MOST_LARGE), (-1, MOST_SMALL)):
        planted: list[Floats] = []
        tries = int(np.clip(np.ceil(PLANTED / (PLANTED_SHARE * len(table))), 1, TRIES))
        for _ in range(tries):
            if stop():
                return plain
            rows = np.flatnonzero(random.random(len(table)) < PLANTED_SHARE)
            factor = np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST), len(rows)))
            changed = table.moved(_resized(table, rows, factor**direction))
            # Near the size of the picture there is no room to grow: what hardly changed is no fault.
            grown = np.abs(log_size(changed)[rows] - size[rows]) > np.log(2)
            numbers, _ = columns(changed, plain, look_around(changed))
            planted.append(numbers[rows[grown]])
        faulty = np.concatenate(planted)
        if len(faulty) < FEWEST:
            odds.append(None)
            continue
        learned = learn_odds(sound, faulty, share=FAULTY_SHARE)
        # Faults that are in the set already must not count as sound: what looks most like one is left out.
        value = learned(sound)
        sane = value <= np.quantile(value, 1 - LEFT_OUT)
        learned = learn_odds(sound[sane], faulty, share=FAULTY_SHARE)
        odds.append(replace(learned, cut=_cut(learned(sound), learned(faulty), most)))
    return replace(plain, large=odds[0], small=odds[1])


def unusual_sizes(table: Objects, sizes: Sizes, around: Around, found: Gathering) -> None:
    """Boxes larger than pictures, too large, and too small. `around` is of all objects of the table."""
    good = usable(table)
    # Portions of whole pictures, so that what is computed for a million boxes fits into a cache.
    ends = np.unique(
        np.append(table.starts[np.searchsorted(table.starts, np.arange(0, len(table), BLOCK))], len(table))
    )
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        rows = start + np.flatnonzero(good[start:end])
        if len(rows):
            _unusual(table.take(rows), rows, sizes, around.take(rows), found)


def _unusual(part: Objects, rows: NDArray[np.int64], sizes: Sizes, around: Around, found: Gathering) -> None:
    """Of these rows of a table, which are `part` by themselves."""
    widest = np.maximum(part.width / part.width_px, part.height / part.height_px)
    numbers, expected = columns(part, sizes, around)
    size, usual = numbers[:, 0], sizes.size[part.class_no]

    def told(pick: np.ndarray) -> tuple[Floats, Floats, Floats]:
        return np.exp(size[pick]), np.exp(usual[pick]), np.exp(np.minimum(expected[pick], 0))

    beyond = widest > LARGEST_SHARE
    pick = np.flatnonzero(beyond)
    found.add("too_large", rows[pick], ERROR, 0.1 / widest[pick], data=told(pick))
    for rule, odds, direction in (("too_large", sizes.large, 1), ("too_small_for_class", sizes.small, -1)):
        if odds is None:
            continue
        value = odds(numbers)
        # A box below what is usual is not too large, whatever it holds.
        pick = np.flatnonzero((value > 0) & ~beyond & (direction * numbers[:, 1] > 0))
        score = 1 / (1 + np.exp(value[pick]))
        found.add(rule, rows[pick], np.where(score < 0.05, WARNING, HINT), score, data=told(pick))


def unusual_shapes(table: Objects, sizes: Sizes, found: Gathering) -> None:
    """Boxes far wider or far higher than boxes of their class; twice as far is allowed where the edge cuts them off."""
    rows = np.flatnonzero(table.proper & table.classed & (table.class_no < len(sizes.aspect)))
    rows = rows[sizes.count[table.class_no[rows]] > 0]
    if not len(rows):
        return
    box, kind = table.boxes[rows], table.class_no[rows]
    shape = np.log(box[:, 2] / box[:, 3])
    off = shape - sizes.aspect[kind]
    far = np.abs(off) / np.where(off > 0, sizes.above[kind], sizes.below[kind])
    cut = (box[:, 0] <= 1) | (box[:, 1] <= 1)
    cut |= (box[:, 0] + box[:, 2] >= table.width_px[rows] - 1) | (box[:, 1] + box[:, 3] >= table.height_px[rows] - 1)
    limit = np.where(cut, 2 * sizes.limit, sizes.limit)
    pick = np.flatnonzero(far > limit)
    found.add(
        "impossible_aspect",
        rows[pick],
        np.where(far[pick] > 2 * limit[pick], WARNING, HINT),
        0.5 * (limit[pick] / far[pick]) ** 2,
        data=(np.exp(shape[pick]), np.exp(sizes.aspect[kind[pick]])),
    )


def _plain(table: Objects, classes: int) -> Sizes:
    """Medians and spreads of classes."""
    count = np.bincount(table.class_no, minlength=classes)
    if not len(table):
        nothing = np.zeros(classes)
        return Sizes(nothing, 0.0, nothing, nothing + 1, nothing + 1, count, UNUSUAL)
    size = log_size(table)
    usual = float(np.median(size))
    share = count / (count + SHRINK)
    by_class, picture = np.full(classes, usual), np.zeros(len(table))
    # Classes and pictures explain each other's part: three rounds settle it.
    for _ in range(3):
        middle, _ = group_medians(size - picture, table.class_no, classes)
        by_class = share * middle + (1 - share) * usual
        picture, others = medians_of_others(size - by_class[table.class_no], table.sample_no)
        picture *= others / (others + SHRINK_PICTURE)
    shape = np.log(table.width / table.height)
    middle, _ = group_medians(shape, table.class_no, classes)
    aspect = share * middle + (1 - share) * float(np.median(shape))
    off = shape - aspect[table.class_no]
    spreads = []
    for side in (off < 0, off > 0):
        of_all = 1.4826 * float(np.median(np.abs(off[side]))) if side.any() else 0.0
        median, many = group_medians(np.abs(off[side]), table.class_no[side], classes)
        weight = many / (many + 5 * SHRINK)
        # Tools that snap to a grid, or a set of squares, have no spread at all; 0.1 is a tenth of a side.
        spreads.append(np.maximum(weight * 1.4826 * median + (1 - weight) * of_all, 0.1))
    limit = max(UNUSUAL, float(np.sqrt(2 * np.log(len(table)))))
    return Sizes(by_class, usual, aspect, spreads[0], spreads[1], count, limit)


def _cut(sound: Floats, faulty: Floats, most: float) -> float:
    """Between both where they part; else where it finds `RECALL` of the faulty, with at most a share of the sound."""
    top, least = float(np.quantile(sound, 1 - LEFT_OUT / 10)), float(np.quantile(faulty, 1 - RECALL))
    return (top + least) / 2 if top < least else max(least, float(np.quantile(sound, 1 - most)))


def _resized(table: Objects, rows: np.ndarray, factor: np.ndarray) -> Floats:
    """Boxes of the table with these rows blown up about their middle, and cut off at the picture's edges."""
    changed = table.boxes.copy()
    middle = changed[rows, :2] + changed[rows, 2:] / 2
    changed[rows, 2:] *= factor[:, None]
    changed[rows, :2] = middle - changed[rows, 2:] / 2
    changed[rows] = boxes.clipped(changed[rows], table.width_px[rows], table.height_px[rows])
    # A box whose middle lies on the edge keeps a sliver, so that it stays a box.
    changed[rows, 2:] = np.maximum(changed[rows, 2:], 1e-3)
    return changed


def widened(sizes: Sizes, classes: int) -> Sizes:
    """With classes that were not there when it was learned: of the usual size, and of any shape."""
    more = classes - len(sizes.size)
    return replace(
        sizes,
        size=np.append(sizes.size, np.full(more, sizes.usual_size)),
        aspect=np.append(sizes.aspect, np.zeros(more)),
        below=np.append(sizes.below, np.ones(more)),
        above=np.append(sizes.above, np.ones(more)),
        count=np.append(sizes.count, np.zeros(more, np.int64)),
    )
