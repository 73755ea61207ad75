"""Regions of embedding space in which a model fails more than by chance, and what tells them from the rest.

Where to look is said by a mixture over vectors, labels and predictions (Domino: Eyuboglu et al., ICLR 2022), whose
components with more mistakes than usual are clusters of one kind of mistake. What belongs to a region is said by a
discriminant for each: the mistakes of the component against what the model gets right of the same label. So a region is
a label, a direction and a threshold, in which no prediction takes part; pictures that nobody has labelled can be asked
too. Half of the samples are for finding, the other half for testing: a region is told only when it fails more than
everybody else among samples that it was not made from, corrected for the number of regions that were tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import slice_columns
from dataide.evaluate.region_mixture import Axes, discriminant, scored, shares
from dataide.evaluate.significance import adjusted, chance_of, chances_of, gap_interval
from dataide.evaluate.slices import EXAMPLES, sentence

if TYPE_CHECKING:
    from dataide.storage.database import Database

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
AXES = 64
FEWEST = 10
# Rows that a mixture is made from; more say little new of two dozen components.
MOST_FITTED = 20_000
# Components that are tested, for each region that is told at most.
_TRIED = 2
# Losses so high among those for finding count as failures.
_HIGH = 0.9
# A condition is worth telling of from this effect on: Cohen, Statistical Power Analysis, 1988, "medium".
_EFFECT = 0.5


@dataclass(frozen=True, eq=False)
class Region:
    """Samples of one label that lie beyond a threshold in one direction.

    Attributes:
        label: which label its samples have; None where no labels were given, -1: those without one.
        direction: float32, D; `vectors @ direction` is high inside.
        threshold: of the region: inside is what reaches it.
        size: samples inside, among all.
        checked: of these, samples it was not made from; the figures below are theirs.
        metric: part that is wrong, 0 to 1, or the mean loss, inside.
        rest: the same of all others.
        gap: metric - rest.
        interval: 95 %, of the gap.
        p: how likely such a gap is by chance, corrected for the regions that were tested.
        examples: rows of up to six samples, failures first and the most typical first among them.
        sentence: for people.
    """

    label: int | None
    direction: NDArray[np.float32]
    threshold: float
    size: int
    checked: int
    metric: float
    rest: float
    gap: float
    interval: tuple[float, float]
    p: float
    examples: tuple[int, ...]
    sentence: str

    def score(self, vectors: np.ndarray) -> NDArray[np.float32]:
        """How far inside vectors (M x D) lie, 0 at the border; labels play no part."""
        return scored(vectors, np.arange(len(vectors)), self.direction) - np.float32(self.threshold)


@dataclass(frozen=True, eq=False)
class Regions:
    """What was found.

    Attributes:
        regions: the surest first.
        found_on: rows that regions were made from.
        tested_on: rows that they were tested on.
        tested: regions that were tested.
    """

    regions: tuple[Region, ...]
    found_on: Rows
    tested_on: Rows
    tested: int


@dataclass(frozen=True, eq=False)
class _Candidate:
    label: int
    direction: NDArray[np.float32]
    threshold: float
    scores: NDArray[np.float32]  # of the rows for testing
    inside: Bools  # among the rows for testing
    size: int


def find_regions(
    vectors: np.ndarray,
    errors: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    least: int | None = None,
    chance: float = 0.01,
    count: int = 5,
    seed: int = 0,
) -> Regions:
    """The regions in which errors are more frequent, or losses higher, than elsewhere.

    Args:
        vectors: N x D; rows that are not finite are left out.
        errors: N; 0 or 1 (False or True), or losses. NaN where there is none: such samples are left out.
        labels: int, N; -1 where there is none. None: regions are of all labels together.
        probabilities: N x C, what the model says; rows need not add up to one (they are scaled), and rows that are not
            finite or negative are left out. None: only right and wrong are known.
        classes: names of labels, for sentences.
        least: samples that a region has among those for testing; None for ten, and one in a thousand at least.
        chance: how likely it is that anything is told where nothing is wrong with any region.
        count: regions at most.
        seed: of the halves, and of the mixture's beginning.

    Raises:
        EvaluationError: shapes do not fit, losses are infinite, or an option is out of range.
    """
    vectors, errors = np.asarray(vectors), np.asarray(errors, np.float64)
    known = _checked(vectors, errors, labels, probabilities, chance, count)
    rows = np.flatnonzero(known)
    random = np.random.default_rng(seed)
    order = random.permutation(rows)
    found_on, tested_on = np.sort(order[: len(rows) // 2]), np.sort(order[len(rows) // 2 :])
    least = max(FEWEST, len(tested_on) // 1000) if least is None else least
    given = np.zeros(len(vectors), np.int64) if labels is None else np.asarray(labels, np.int64)
    binary = bool(np.isin(errors[rows], (0.0, 1.0)).all())
    fitted = found_on
    if len(fitted) > MOST_FITTED:
        fitted = np.sort(random.choice(fitted, MOST_FITTED, replace=False))
    failing = _failing(errors[fitted], binary)
    nothing = Regions((), found_on, tested_on, 0)
    if failing.sum() < 2 or failing.all() or len(tested_on) < 2 * least:
        return nothing
    directions = _directions(vectors, fitted, failing, given, probabilities, count * _TRIED, seed)
    tried: list[_Candidate] = []
    for label, direction in directions:
        threshold = _threshold(scored(vectors, fitted, direction), given[fitted] == label, failing)
        scores = scored(vectors, tested_on, direction)
        inside = (given[tested_on] == label) & (scores >= threshold)
        size = int(((given[found_on] == label) & (scored(vectors, found_on, direction) >= threshold)).sum())
        tried.append(_Candidate(label, direction, threshold, scores, inside, size + int(inside.sum())))
    if not tried:
        return nothing
    raw = chances_of([one.inside for one in tried], errors[tested_on], binary)
    ps = adjusted(np.where([one.inside.sum() >= least for one in tried], raw, 1.0), len(tried))
    told: list[Region] = []
    covered = np.zeros(len(tested_on), bool)
    for at in np.argsort(ps, kind="stable").tolist():
        one = tried[at]
        if ps[at] > chance or len(told) >= count or (one.inside & covered).sum() > one.inside.sum() / 2:
            continue
        covered |= one.inside
        told.append(_described(one, float(ps[at]), errors[tested_on], tested_on, binary, classes, labels is not None))
    return Regions(tuple(told), found_on, tested_on, len(tried))


def _directions(
    vectors: np.ndarray,
    fitted: Rows,
    failing: Bools,
    labels: Rows,
    probabilities: np.ndarray | None,
    most: int,
    seed: int,
) -> list[tuple[int, NDArray[np.float32]]]:
    """Label and direction of clusters of mistakes, those with most mistakes first."""
    some = np.asarray(vectors[fitted], np.float32)
    axes = Axes.of(some, AXES)
    if axes is None:
        return []
    places = axes(some)
    names, codes = np.unique(labels[fitted], return_inverse=True)
    if probabilities is None:
        said = np.stack([~failing, failing], axis=1).astype(np.float64)
    else:
        said = np.asarray(probabilities[fitted], np.float64)
        said = said / np.maximum(said.sum(axis=1, keepdims=True), 1e-12)
    part = shares(places, codes.astype(np.int64), said, failing, seed=seed)
    mistakes = part[failing].sum(axis=0)
    rate = mistakes / np.maximum(part.sum(axis=0), 1e-9)
    worth = np.flatnonzero((rate > failing.mean()) & (mistakes >= 2))
    result: list[tuple[int, NDArray[np.float32]]] = []
    for component in worth[np.argsort(-mistakes[worth], kind="stable")][:most]:
        code = int(np.bincount(codes[failing], part[failing, component], len(names)).argmax())
        own = failing & (codes == code)
        found = discriminant(places[own], part[own, component], places[~failing & (codes == code)])
        if found is not None:
            result.append((int(names[code]), (axes.axes @ found[0]).astype(np.float32)))
    return result


def _threshold(scores: NDArray[np.float32], own: Bools, failing: Bools) -> float:
    """Where failing is surest among the rows for finding: tenths of the failures of the label are tried."""
    if not (own & failing).any():
        return float(np.inf)
    base = float(failing.mean())
    cuts = np.unique(np.quantile(scores[own & failing], np.arange(1, 10) / 10))
    best = (-np.inf, float(cuts[0]))
    for cut in cuts.tolist():
        inside = own & (scores >= cut)
        size = int(inside.sum())
        sure = (failing[inside].mean() - base) * np.sqrt(size) if size else -np.inf
        best = max(best, (float(sure), float(cut)))
    return best[1]


def _failing(errors: NDArray[np.float64], binary: bool) -> Bools:
    if binary or not len(errors):
        return errors > 0.5
    return (errors >= np.quantile(errors, _HIGH)) & (errors > np.median(errors))


def _described(
    one: _Candidate,
    p: float,
    errors: NDArray[np.float64],
    rows: Rows,
    binary: bool,
    classes: Sequence[str] | None,
    labelled: bool,
) -> Region:
    metric, rest = float(errors[one.inside].mean()), float(errors[~one.inside].mean())
    inside = np.flatnonzero(one.inside)
    typical = inside[np.lexsort((-one.scores[inside], -errors[inside] if binary else np.zeros(len(inside))))]
    where = "In a region of similar samples"
    if labelled:
        name = classes[one.label] if classes is not None and 0 <= one.label < len(classes) else str(one.label)
        where += " without a label" if one.label == -1 else f" labelled '{name}'"
    return Region(
        label=one.label if labelled else None,
        direction=one.direction,
        threshold=one.threshold,
        size=one.size,
        checked=len(inside),
        metric=metric,
        rest=rest,
        gap=metric - rest,
        interval=gap_interval(errors, one.inside, binary),
        p=p,
        examples=tuple(int(row) for row in rows[typical[:EXAMPLES]]),
        sentence=sentence(where, errors, one.inside, binary),
    )


@dataclass(frozen=True)
class Difference:
    """A condition that holds inside a region more often than elsewhere.

    Attributes:
        column: name of the column, or of the tag as `tags: glare`.
        condition: SQL for `session.where`.
        inside: part of the region for which it holds, 0 to 1.
        elsewhere: the same of all others.
        effect: Cohen's h, the difference of the two as angles; .5 is "medium", .8 "large".
    """

    column: str
    condition: str
    inside: float
    elsewhere: float
    effect: float


def differences(
    database: Database,
    nos: np.ndarray,
    inside: np.ndarray,
    *,
    columns: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    count: int = 3,
    chance: float = 0.01,
) -> tuple[Difference, ...]:
    """What tells the samples of a region from the others: for each column or tag its strongest condition.

    Cohen's h (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, chapter 6), told from a medium
    effect on, where Fisher's test, corrected for all conditions (Benjamini and Yekutieli 2001), says it is no chance.

    Args:
        database: of the session.
        nos: uint32, N, sample numbers.
        inside: bool, N, which of them the region holds.
        columns, leave_out: as of `find_slices`.
        count: columns at most.
        chance: part of what is told that may be there by chance.

    Raises:
        EvaluationError: lengths differ.
        UnknownColumn: there is no such column.
    """
    nos, inside = np.asarray(nos, np.uint32), np.asarray(inside, bool)
    if nos.shape != inside.shape:
        raise EvaluationError(f"There are {len(nos)} sample numbers and {len(inside)} flags.", hint="Give one each.")
    if not inside.any() or inside.all():
        return ()
    made = slice_columns.of_columns(database, {"sample_no": nos}, 2, columns=columns, leave_out=leave_out)
    if not made:
        return ()
    codes, flags, _ = slice_columns.coded(database, made, {"sample_no": nos, "lent_error": inside.astype(np.float64)})
    held = flags > 0.5
    best: list[tuple[float, Difference]] = []
    tested = 0
    for column, code in zip(made, codes, strict=True):
        here = np.bincount(code[held], minlength=column.size) @ column.holds.T / held.sum()
        there = np.bincount(code[~held], minlength=column.size) @ column.holds.T / (~held).sum()
        effects = 2 * np.arcsin(np.sqrt(np.clip(here, 0, 1))) - 2 * np.arcsin(np.sqrt(np.clip(there, 0, 1)))
        at, tested = int(effects.argmax()), tested + len(effects)
        told = Difference(column.name, column.texts[at], float(here[at]), float(there[at]), float(effects[at]))
        best.append((chance_of(column.holds[at][code].astype(np.float64), held, True), told))
    ps = adjusted(np.array([p for p, _ in best]), tested)
    sure = [one for p, (_, one) in zip(ps, best, strict=True) if p <= chance and one.effect >= _EFFECT]
    return tuple(sorted(sure, key=lambda one: -one.effect)[:count])


def told(found: Sequence[Difference]) -> str:
    """What distinguishes a region, as one sentence; empty where nothing does."""
    parts = [f"{one.condition} ({one.inside:.0%}, elsewhere {one.elsewhere:.0%})" for one in found]
    return f"What sets it apart: {'; '.join(parts)}." if parts else ""


def _checked(
    vectors: np.ndarray,
    errors: NDArray[np.float64],
    labels: np.ndarray | None,
    probabilities: np.ndarray | None,
    chance: float,
    count: int,
) -> Bools:
    """Which rows can be used."""
    if vectors.ndim != 2 or errors.shape != (len(vectors),):
        raise EvaluationError(
            f"Vectors of the shape {vectors.shape} and errors of the shape {errors.shape} do not fit.",
            hint="Give N x D vectors and one error each.",
        )
    if labels is not None and np.shape(labels) != (len(vectors),):
        raise EvaluationError(f"There are {np.shape(labels)} labels for {len(vectors)} vectors.", hint="Give one each.")
    if probabilities is not None and (np.ndim(probabilities) != 2 or len(probabilities) != len(vectors)):
        raise EvaluationError(
            f"Probabilities of the shape {np.shape(probabilities)} do not fit {len(vectors)} vectors.",
            hint="Give N x C: a row for each vector.",
        )
    if np.isinf(errors).any():
        raise EvaluationError("Some losses are infinite.", hint="Clip them, or give NaN to leave a sample out.")
    if not 0 < chance < 1 or count < 1:
        raise EvaluationError(
            f"chance is {chance} and count is {count}.", hint="Give a chance between 0 and 1, and a count of 1 or more."
        )
    known = ~np.isnan(errors)
    # A sum is finite only where all of a row is; it is cheaper than a table of flags.
    block = 65_536
    for start in range(0, len(vectors), block):
        part = slice(start, start + block)
        known[part] &= np.isfinite(np.asarray(vectors[part], np.float64).sum(axis=1))
        if probabilities is not None:
            said = np.asarray(probabilities[part], np.float64)
            known[part] &= np.isfinite(said.sum(axis=1)) & (said.min(axis=1, initial=0.0) >= 0)
    return known
