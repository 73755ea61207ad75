"""What became of each predicted and each true object: right, or wrong in which way.

D. Bolya, S. Foley, J. Hays and J. Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV
2020, section 3.1 (kinds) and its code (which kind goes first where two fit): with a match from 0.5 and background below
0.1, a prediction without a match is badly placed if it overlaps a truth of its class in between; else of the wrong
class if it overlaps one of another class as a match would; else a duplicate if it overlaps one of its class that a
better-scored prediction has; else, if it overlaps one of another class in between, wrong in both; else background. A
truth is missed if no prediction has it, and none would have had it with another place or class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.evaluate.overlap import Overlap, blocks, pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
PAIRS_AT_ONCE = 1 << 17

# What `kind` numbers; "uncounted" lies in a crowd, is such a region, or stands behind the best 100 of its image.
KINDS = (
    "true_positive", "false_positive", "miss", "wrong_class", "badly_placed", "duplicate", "wrong_class_and_place",
    "uncounted",
)  # fmt: skip
RIGHT, BACKGROUND, MISS, CLASS, PLACE, DUPLICATE, BOTH, UNCOUNTED = range(len(KINDS))


@dataclass(frozen=True, eq=False)
class Side:
    """Predictions, or truths, in the order in which they were given.

    Attributes:
        kind: n uint8, a number of KINDS. Of truths: true_positive, miss, wrong_class or badly_placed (a prediction is
            wrong only in that), uncounted.
        partner: n int64, the row on the other side that it was matched to or is explained by; -1 for none.
        overlap: n float64, with the partner, from 0 to 1; 0 for none.
    """

    kind: NDArray[np.uint8]
    partner: Ints
    overlap: Floats

    def names(self) -> NDArray[np.str_]:
        """The kinds in words."""
        return np.asarray(np.array(KINDS)[self.kind])

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        many = np.bincount(self.kind, minlength=len(KINDS)).tolist()
        return dict(zip(KINDS, many, strict=True))

    def spread(self, rows: Ints, partner_rows: Ints, count: int) -> Side:
        """The same, where these are some rows of `count`: the others are uncounted."""
        kind, partner, overlap = np.full(count, UNCOUNTED, np.uint8), np.full(count, -1), np.zeros(count)
        kind[rows], overlap[rows] = self.kind, self.overlap
        some = self.partner >= 0
        partner[rows[some]] = partner_rows[self.partner[some]]
        return Side(kind, partner, overlap)


@dataclass(frozen=True, eq=False)
class Objects:
    """What became of every object.

    Attributes:
        predictions: a row for each prediction.
        truths: a row for each truth.
    """

    predictions: Side
    truths: Side

    def counts(self) -> dict[str, int]:
        """How many predictions there are of each kind, and how many truths are missed."""
        return {**self.predictions.counts(), "miss": self.truths.counts()["miss"]}

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """One row for each prediction, then one for each truth that no prediction's row tells of.

        Returns:
            kind (text), prediction and truth (rows as they were given, -1 for none), overlap.
        """
        told = np.zeros(len(self.truths.kind), bool)
        told[self.predictions.partner[self.predictions.partner >= 0]] = True
        rest = np.flatnonzero(~told | (self.truths.kind == MISS))
        count = len(self.predictions.kind)
        none = np.full(len(rest), -1)
        return {
            "kind": np.concatenate([self.predictions.names(), self.truths.names()[rest]]),
            "prediction": np.concatenate([np.arange(count), none]),
            "truth": np.concatenate([self.predictions.partner, rest]),
            "overlap": np.concatenate([self.predictions.overlap, np.zeros(len(rest))]),
        }


@dataclass(frozen=True, eq=False)
class Seen:
    """What the kinds are told from.

    Attributes:
        image, label: n, of predictions; score: n.
        truth_image, truth_label: m; ignored: m, truths that do not count.
        partner: n, the truth of each prediction by the matching, or -1.
        counted: n, those that were matched at all.
    """

    image: Ints
    label: Ints
    score: Floats
    truth_image: Ints
    truth_label: Ints
    ignored: Flags
    partner: Ints
    counted: Flags


def tell(seen: Seen, overlap: Overlap, match_at: float, background_at: float) -> Objects:
    """Says what became of each object.

    Args:
        seen: predictions, truths and matches, by rows.
        overlap: of rows.
        match_at: the least overlap of a match.
        background_at: below it, a prediction has nothing to do with a truth.
    """
    count, truths = len(seen.image), len(seen.truth_image)
    matched = np.flatnonzero(seen.partner >= 0)
    partner, value = seen.partner.copy(), np.zeros(count)
    value[matched] = overlap(matched, seen.partner[matched], 0.0)
    in_crowd = np.zeros(count, bool)
    in_crowd[matched] = seen.ignored[seen.partner[matched]]
    kind = np.full(count, BACKGROUND, np.uint8)
    kind[~seen.counted | in_crowd] = UNCOUNTED
    right = matched[~in_crowd[matched]]
    kind[right] = RIGHT
    open_rows = np.flatnonzero(seen.counted & (seen.partner < 0))
    same, same_at, other, other_at = _nearest(seen, overlap, open_rows, background_at)
    placed = (same >= background_at) & (same < match_at)
    ways = [placed, other >= match_at, same >= match_at, other >= background_at]
    told = np.select(ways, [PLACE, CLASS, DUPLICATE, BOTH], BACKGROUND).astype(np.uint8)
    of_class = (told == PLACE) | (told == DUPLICATE)
    beside = np.where(of_class, same_at, np.where(told == BACKGROUND, -1, other_at))
    kind[open_rows], partner[open_rows] = told, beside
    value[open_rows] = np.where(of_class, same, np.where(told == BACKGROUND, 0, other))
    truth_kind = np.where(seen.ignored, UNCOUNTED, MISS).astype(np.uint8)
    truth_partner, truth_value = np.full(truths, -1), np.zeros(truths)
    # The best-scored prediction speaks for a truth that has none; what comes last stays.
    excuses = np.flatnonzero((kind == PLACE) | (kind == CLASS))
    excuses = excuses[np.argsort(seen.score[excuses], kind="stable")]
    for rows in (excuses, right):
        at = partner[rows]
        truth_kind[at], truth_partner[at], truth_value[at] = kind[rows], rows, value[rows]
    return Objects(Side(kind, partner, value), Side(truth_kind, truth_partner, truth_value))


def _nearest(seen: Seen, overlap: Overlap, rows: Ints, least: float) -> tuple[Floats, Ints, Floats, Ints]:
    """For each of these predictions, the truth of its class, and of another, that it overlaps most."""
    truths = np.flatnonzero(~seen.ignored)
    truths = truths[np.argsort(seen.truth_image[truths], kind="stable")]
    images = seen.truth_image[truths]
    first = np.searchsorted(images, seen.image[rows])
    many = np.searchsorted(images, seen.image[rows], side="right") - first
    found = [(np.zeros(len(rows)), np.full(len(rows), -1)) for _ in range(2)]
    for block in blocks(many, max(1, PAIRS_AT_ONCE // overlap.cost)):
        left, right = pairs(block, first, many)
        if not len(left):
            continue
        at = truths[right]
        value = overlap(rows[left], at, least)
        near = np.flatnonzero((value >= least) & (value > 0))
        left, at, value = left[near], at[near], value[near]
        alike = seen.label[rows[left]] == seen.truth_label[at]
        for wanted, (best, best_at) in zip((alike, ~alike), found, strict=True):
            some, its, own = left[wanted], at[wanted], value[wanted]
            # The last to be written is the one that overlaps most.
            order = np.argsort(own, kind="stable")
            best[some[order]], best_at[some[order]] = own[order], its[order]
    return *found[0], *found[1]
