"""Objects that look like another class: by their shape and size, by what else is in the picture, by their crop.

One ridge regression from all of this onto the classes; each object is judged by the regression without it, which has a
closed form and costs nothing (R. Rifkin and R. Lippert, "Notes on Regularized Least Squares", MIT 2007, section 3).
The strength of the ridge is the one with the least error left out. How much evidence against a label makes a fault is
then learned from labels that are wrong on purpose: the same objects, each under a class that it is not of
(noise-contrastive estimation, M. Gutmann and A. Hyvarinen, AISTATS 2010). What else is in the picture is "context" as
in C. Galleguillos, A. Rabinovich and S. Belongie, "Object Categorization using Co-Occurrence, Location and
Appearance", CVPR 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dataide.core.boxes import tents
from dataide.review.crop_vectors import Vectors
from dataide.review.findings import HINT, RELABEL, WARNING, Gathering
from dataide.review.objects import Bools, Floats, Ints, LinterError, Objects
from dataide.review.odds import Odds, learn_odds
from dataide.review.sizes import log_size, usable

# Learned from at most so many objects.
MOST = 30_000
FEWEST = 30
# Rows that are computed together: rows x classes and rows x columns stay below some tens of megabytes.
BLOCK = 8_192
# The commonest classes say what a picture shows; the others count together.
CONTEXT = 128
RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# One label in twenty wrong is what sets of boxes are usually like; told are those of which one in ten or more is
# wrong then: on the whole, one in four.
FAULTY_SHARE = 0.05
TOLD = 0.1


@dataclass(frozen=True)
class Regression:
    """Columns to evidence for classes.

    Attributes:
        mean, centre: of the columns and of the classes, which are taken off before the fit.
        weights: D x C.
        inverse: D x D, for the weight that an object of the fit has in its own evidence.
        count: objects of the fit.
    """

    mean: Floats
    centre: Floats
    weights: Floats
    inverse: Floats
    count: int


@dataclass(frozen=True)
class Judge:
    """A regression from all columns, one that sees nothing around the object, and the odds that a label is wrong.

    The second is for labels that were exchanged within a picture: what is around them fits either.
    """

    whole: Regression
    alone: Regression
    odds: Odds


@dataclass(frozen=True)
class Swaps:
    """What classes look like, learned by `learn_swaps`.

    Attributes:
        knots: of log size, log aspect, and the middle across and down: where the columns of each have their peaks.
        scales: one factor for each part (context, shape, crop), so that they have the same weight.
        context: C places, which column of the context a class counts in.
        share: C, how common a class is.
        fitted: numbers of the objects of the fit, sorted, and their classes then.
        plain, seen: what judges without and with crop vectors.
    """

    knots: tuple[Floats, ...]
    scales: tuple[float, float, float]
    context: Ints
    share: Floats
    fitted: Ints
    fitted_class: Ints
    plain: Judge | None = None
    seen: Judge | None = None
    dimension: int = 0


def learn_swaps(
    table: Objects,
    vectors: Vectors | None = None,
    *,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Swaps | None:
    """Learns what objects of each class look like.

    Args:
        table: objects of whole pictures; at most `MOST` of them are used.
        vectors: N x D float32, one for each object in the order of the columns that the table was made from; rows of
            NaN or zeros mean none.
        seed: of the objects that are drawn and of the labels that are wrong on purpose.
        stop: asked between steps.

    Returns:
        What was learned; None with one class, or fewer than `FEWEST` objects.
    """
    random = np.random.default_rng(seed)
    rows = np.flatnonzero(usable(table))
    if len(rows) < FEWEST or len(np.unique(table.class_no[rows])) < 2:
        return None
    count = np.bincount(table.class_no[rows], minlength=len(table.classes))
    order = np.argsort(-count, kind="stable")
    context = np.full(len(count), min(CONTEXT, len(count)), np.int64)
    context[order[:CONTEXT]] = np.arange(min(CONTEXT, len(count)))
    if len(rows) > MOST:
        rows = np.sort(random.choice(rows, MOST, replace=False))
    knots = tuple(
        np.unique(np.quantile(values, np.linspace(0, 1, many)))
        for values, many in zip(_measures(table.take(rows)), (7, 7, 4, 4), strict=True)
    )
    around = counts_around(table, context, rows)
    parts: list[Floats] = [around, _shape(table.take(rows), knots)]
    whole: Bools = np.zeros(len(rows), bool)
    if vectors is not None:
        crops = _vectors(vectors, table.row[rows])
        whole = np.asarray(crops.any(axis=1))
        parts.append(crops)
    # With few crops, or crops of one class, nothing is learned of crops.
    seeing = int(whole.sum()) >= FEWEST and len(np.unique(table.class_no[rows[whole]])) > 1
    scales = [1 / max(float(np.sqrt((part * part).sum(axis=1).mean())), 1e-9) for part in parts[:2]]
    ordered = np.argsort(table.object_no[rows])
    learned = Swaps(
        knots,
        (scales[0], scales[1], 1.0),  # crops are of length 1 as they are
        context,
        count / count.sum(),
        table.object_no[rows][ordered],
        table.class_no[rows][ordered],
        dimension=0 if vectors is None else parts[2].shape[1],
    )
    joined = np.concatenate([part * scale for part, scale in zip(parts, learned.scales, strict=False)], axis=1)
    around_wide = parts[0].shape[1]
    wide = around_wide + parts[1].shape[1]
    kind = table.class_no[rows]
    # Some other object of the same picture, whose class a slip of the hand might give.
    begin, size = table.starts[table.picture[rows]], np.diff(table.starts)[table.picture[rows]]
    slip = table.class_no[begin + random.integers(0, size)]
    neighbour = np.where((slip >= 0) & (slip < len(count)), slip, kind)
    if stop():
        return learned
    plain = _fit(joined[:, :wide], around_wide, kind, neighbour, learned.share, random)
    seen = None
    if seeing and not stop():
        seen = _fit(joined[whole], around_wide, kind[whole], neighbour[whole], learned.share, random)
    return replace(learned, plain=plain, seen=seen)


def swapped(
    table: Objects,
    swaps: Swaps,
    found: Gathering,
    vectors: Vectors | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Objects that look like another class, with that class as the repair."""
    if vectors is not None and swaps.dimension and vectors.shape[1:] != (swaps.dimension,):
        raise LinterError(
            f"Crop vectors have {vectors.shape[1:]} numbers, those that were learned from had {swaps.dimension}.",
            hint="Learn again with vectors of the same embedding.",
        )
    rows = np.flatnonzero(usable(table))
    rows = rows[table.class_no[rows] < len(swaps.share)]
    for start in range(0, len(rows), BLOCK):
        if stop():
            return
        part = rows[start : start + BLOCK]
        block = table.take(part)
        columns = [
            counts_around(table, swaps.context, part) * swaps.scales[0],
            _shape(block, swaps.knots) * swaps.scales[1],
        ]
        whole: Bools = np.zeros(len(part), bool)
        if vectors is not None and swaps.seen is not None:
            crops = _vectors(vectors, table.row[part])
            whole = np.asarray(crops.any(axis=1))
            columns.append(crops * swaps.scales[2])
        for judge, chosen in ((swaps.plain, ~whole), (swaps.seen, whole)):
            if judge is None or not chosen.any():
                continue
            width = len(judge.whole.mean)
            numbers = np.concatenate(columns, axis=1)[chosen, :width]
            _tell(table, part[chosen], block.take(np.flatnonzero(chosen)), numbers, judge, swaps, found)


def _tell(
    table: Objects,
    rows: Ints,
    block: Objects,
    numbers: Floats,
    judge: Judge,
    swaps: Swaps,
    found: Gathering,
) -> None:
    at = np.minimum(np.searchsorted(swaps.fitted, block.object_no), len(swaps.fitted) - 1)
    known = np.flatnonzero(swaps.fitted[at] == block.object_no)
    then = swaps.fitted_class[at[known]]
    alone = numbers[:, -len(judge.alone.mean) :]
    evidence = _evidence(judge.whole, numbers, known, then), _evidence(judge.alone, alone, known, then)
    features, other = _against(*evidence, block.class_no, swaps.share)
    value = judge.odds(features)
    pick = np.flatnonzero(value > 0)
    # Log odds of 0 are a chance of TOLD, and a score of 0.5.
    score = 1 / (1 + np.exp(value[pick]))
    found.add(
        "class_swap",
        rows[pick],
        np.where(score < 0.1, WARNING, HINT),
        score,
        act=RELABEL,
        repair=other[pick].astype(np.float64),
        other_label=other[pick],
    )


def _evidence(regression: Regression, numbers: Floats, known: Ints, then: Ints) -> Floats:
    """Evidence for each class, N x C. Rows `known` were in the fit as classes `then`: theirs is without themselves."""
    centred = numbers - regression.mean
    evidence: Floats = centred @ regression.weights + regression.centre
    if len(known):
        own = (centred[known] @ regression.inverse * centred[known]).sum(axis=1) + 1 / regression.count
        own = np.minimum(own, 0.99)[:, None]
        truth = np.zeros((len(known), evidence.shape[1]))
        truth[np.arange(len(known)), then] = 1
        evidence[known] = (evidence[known] - own * truth) / (1 - own)
    return evidence


def _fit(
    columns: Floats, around: int, kind: Ints, neighbour: Ints, share: Floats, random: np.random.Generator
) -> Judge:
    """Learns from columns of which the first `around` are what is around an object."""
    whole, evidence = _regression(columns, kind, len(share))
    alone, of_itself = _regression(columns[:, around:], kind, len(share))
    # What evidence is like for right labels and for wrong ones: of any class, as common as it is, or of the picture.
    sound, _ = _against(evidence, of_itself, kind, share)
    faulty = []
    present = np.flatnonzero(share > 0)
    for drawn in (random.choice(present, len(kind)), random.choice(len(share), len(kind), p=share), neighbour):
        wrong = drawn != kind
        faulty.append(_against(evidence[wrong], of_itself[wrong], drawn[wrong], share)[0])
    odds = learn_odds(sound, np.concatenate(faulty), share=FAULTY_SHARE)
    return Judge(whole, alone, Odds(odds.mean, odds.scale, odds.weights, cut=float(np.log(TOLD / (1 - TOLD)))))


def _regression(columns: Floats, kind: Ints, classes: int) -> tuple[Regression, Floats]:
    """The regression with the least error left out, and the evidence for each object without itself (N x C)."""
    count = len(columns)
    mean = columns.mean(axis=0)
    centred = columns - mean
    truth = np.zeros((count, classes))
    truth[np.arange(count), kind] = 1
    centre = truth.mean(axis=0)
    values, basis = np.linalg.eigh(centred.T @ centred)
    values = np.maximum(values, 0)
    turned, target = centred @ basis, truth - centre
    onto = turned.T @ target
    best: tuple[float, float, Floats] | None = None
    for ridge in RIDGES:
        own = np.minimum(((turned * turned) / (values + ridge)).sum(axis=1) + 1 / count, 0.99)[:, None]
        without = (turned @ (onto / (values + ridge)[:, None]) + centre - own * truth) / (1 - own)
        error = float(((without - truth) ** 2).sum())
        if best is None or error < best[0]:
            best = (error, ridge, without)
    assert best is not None
    _, ridge, without = best
    inverse = (basis / (values + ridge)) @ basis.T
    return Regression(mean, centre, basis @ (onto / (values + ridge)[:, None]), inverse, count), without


def _against(evidence: Floats, alone: Floats, kind: Ints, share: Floats) -> tuple[Floats, Ints]:
    """For a label and the best other class: evidence above what is common, and how common it is; and that class."""
    rows = np.arange(len(kind))
    both = evidence + alone
    both -= 2 * share
    both[rows, kind] = -np.inf
    other = both.argmax(axis=1)
    given, best = evidence[rows, kind] - share[kind], evidence[rows, other] - share[other]
    lone_given, lone_best = alone[rows, kind] - share[kind], alone[rows, other] - share[other]
    log_share = np.log(np.maximum(share, 1e-9))
    apart, lone = given - best, lone_given - lone_best
    features = [given, best, apart, np.maximum(apart, -0.2), lone_given, lone_best, lone, np.maximum(lone, -0.2)]
    return np.stack([*features, log_share[kind]], axis=1), other


def _measures(table: Objects) -> tuple[Floats, Floats, Floats, Floats]:
    return (
        log_size(table),
        np.log(table.width / table.height),
        (table.x + table.width / 2) / table.width_px,
        (table.y + table.height / 2) / table.height_px,
    )


def _shape(table: Objects, knots: tuple[Floats, ...]) -> Floats:
    return tents(_measures(table), knots)


def counts_around(table: Objects, context: Ints, rows: Ints) -> Floats:
    """What else is in the picture: logarithms of how many others of each class, scaled to length 1.

    Args:
        table: all objects of the pictures.
        context: which column a class counts in.
        rows: those that are asked for, ascending.
    """
    width = int(context.max()) + 1 if len(context) else 1
    counted = np.append(context, -1)
    kind = counted[np.where(table.classed, table.class_no, len(context))]
    result = np.empty((len(rows), width))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        pictures, which = np.unique(table.picture[part], return_inverse=True)
        # All objects of these pictures, by way of where each picture begins.
        begin, size = table.starts[pictures], np.diff(table.starts)[pictures]
        owner = np.repeat(np.arange(len(pictures)), size)
        members = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(begin, size)
        some = kind[members] >= 0
        cells = np.bincount(owner[some] * width + kind[members][some], minlength=len(pictures) * width)
        counts = cells.reshape(len(pictures), width)[which].astype(np.float64)
        own = np.flatnonzero(kind[part] >= 0)
        counts[own, kind[part][own]] -= 1
        counts = np.log1p(counts)
        length = np.sqrt((counts * counts).sum(axis=1, keepdims=True))
        result[start : start + len(part)] = counts / np.maximum(length, 1e-9)
    return result


def _vectors(vectors: Vectors, rows: Ints) -> Floats:
    """These vectors scaled to length 1, zeros where there is none."""
    values = np.asarray(vectors[rows], np.float64)
    values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, 0.0)
    unit: Floats = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return unit
