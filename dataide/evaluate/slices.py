"""Where a model fails more than by chance: conjunctions of up to three conditions over columns and tags.

SliceLine (Sagadeeva and Boehm, "SliceLine: Fast, Linear-Algebra-based Slice Finding for ML Model Debugging", SIGMOD
2021): all conjunctions with enough support are looked at, level by level, and no combination of columns is counted in
which no slice could still fail more than everybody does (sections 3 and 4). Two things differ. Counting is done by SQL:
one GROUP BY gives the counts of as many columns as fit in a table of `_CELLS`, and conjunctions are sums over it. And
slices are not ranked by a weighted score but by how sure it is that they fail: an exact test for errors, Welch's for
losses; each level has its share of the false discoveries, so that the few slices of one condition do not pay for the
hundred thousands of three. A slice that only repeats another one is not told: conditions that change nothing are taken
away, and what is left must fail outside of what was told before, or clearly more than it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.errors import EvaluationError
from dataide.evaluate import slice_columns
from dataide.evaluate.significance import adjusted, chance_of, fisher, gap_interval, welch

if TYPE_CHECKING:
    from dataide.evaluate.slice_columns import Conditions
    from dataide.storage.database import Database

Bools = NDArray[np.bool_]
MOST_CONDITIONS = 3
FEWEST = 32
_SHARE = 0.01
_CELLS = 65_536
# Of each combination of columns so many slices are looked at closely; the others are variants of them.
_VARIANTS = 40
_FEW_ROWS = 20_000
_CLOSELY = 20_000
# After so many looks at all rows, one behind the other, that told nothing new, what is left is taken for repetition.
_IN_VAIN = 100
# A condition stays when without it the slice fails less, at this chance.
_SAYS_SOMETHING = 0.001
EXAMPLES = 6


@dataclass(frozen=True)
class Slice:
    """Samples among which a model fails more than among the others.

    Attributes:
        predicate: SQL for `session.where`.
        parts: its conditions, joined by AND in `predicate`.
        size: samples.
        metric: part that is wrong, 0 to 1, or the mean loss, among them.
        rest: the same among all others.
        gap: metric - rest.
        interval: 95 %, of the gap.
        p: how likely a slice like this one comes up by chance, corrected for all that were looked at.
        examples: numbers of up to six samples, the worst first.
        sentence: for people.
    """

    predicate: str
    parts: tuple[str, ...]
    size: int
    metric: float
    rest: float
    gap: float
    interval: tuple[float, float]
    p: float
    examples: tuple[int, ...]
    sentence: str


@dataclass(frozen=True)
class Slices:
    """What was found.

    Attributes:
        slices: the surest first.
        rows: samples that were looked at.
        metric: part of all that is wrong, or the mean loss.
        least: samples that a slice had to have.
        tested: conjunctions that were looked at, or could have been.
        columns: names of the columns and tags that conditions were made of.
    """

    slices: tuple[Slice, ...]
    rows: int
    metric: float
    least: int
    tested: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    columns: tuple[int, ...]
    conditions: tuple[int, ...]
    chance: float
    strength: float  # standard errors above everybody: tells apart chances too small for a number
    p: float = 1.0

    @property
    def rank(self) -> tuple[float, float, int]:
        return self.chance, -self.strength, len(self.columns)


def find_slices(
    database: Database,
    nos: np.ndarray,
    errors: np.ndarray,
    *,
    columns: Sequence[str] | None = None,
    leave_out: Collection[str] = (),
    conditions: int = MOST_CONDITIONS,
    least: int | None = None,
    chance: float = 0.01,
    count: int = 10,
) -> Slices:
    """The slices among which errors are more frequent, or losses higher, than elsewhere.

    Args:
        database: of the session.
        nos: uint32, N, sample numbers, each once.
        errors: N; 0 or 1 (False or True), or losses. NaN where there is none: such samples are left out.
        columns: names that conditions may be made of, "tags" among them; None for all that can be.
        leave_out: names that are not used when all are, such as columns of predictions.
        conditions: joined in one slice, 1 to 3.
        least: samples that a slice has; None for a hundredth of all, 32 at least (SliceLine's).
        chance: part of what is reported that may be there by chance; where nothing is wrong with any slice, how likely
            it is that anything is reported at all.
        count: slices at most.

    Raises:
        EvaluationError: lengths differ, numbers come twice, errors are infinite, or an option is out of range.
        UnknownColumn: there is no such column.
    """
    nos, errors = _checked(nos, errors, conditions, least, chance, count)
    least = max(FEWEST, int(np.ceil(len(nos) * _SHARE))) if least is None else least
    wrong = float(errors.mean()) if len(errors) else 0.0
    if len(nos) < 2 * least or not len(errors) or errors.min() == errors.max():
        return Slices((), len(nos), wrong, least, 0, ())
    among: dict[str, np.ndarray] = {"sample_no": nos, "lent_error": errors}
    made = slice_columns.of_columns(database, {"sample_no": nos}, least, columns=columns, leave_out=leave_out)
    codes, errors, nos = slice_columns.coded(database, made, among)
    if not made or not len(nos):
        return Slices((), len(nos), wrong, least, 0, tuple(one.name for one in made))
    search = _Search(database, made, codes, errors, least)
    told = search.run(min(conditions, len(made)), chance, count)
    slices = tuple(_described(one, search.told(one), search.mask(one), errors, nos) for one in told)
    return Slices(slices, len(nos), float(errors.mean()), least, search.tested, tuple(one.name for one in made))


class _Search:
    """The counts of all conjunctions, and the choice among them."""

    def __init__(
        self,
        database: Database,
        made: Sequence[Conditions],
        codes: Sequence[NDArray[np.uint8]],
        errors: NDArray[np.float64],
        least: int,
    ) -> None:
        self._database, self._made, self._codes, self._errors, self._least = database, made, codes, errors, least
        self._frame: dict[str, np.ndarray] = {**{f"c{at}": one for at, one in enumerate(codes)}, "lent_error": errors}
        self._binary = bool(np.isin(errors, (0.0, 1.0)).all())
        self._total, self._square = float(errors.sum()), float(np.square(errors).sum())
        self._base = self._total / len(errors)
        self._spread = self._square / len(errors) - self._base**2
        # A loss may be below nothing; how much of it a part can hold is told by losses above the smallest one.
        self._lowest = float(errors.min())
        self._alive: dict[tuple[int, ...], Bools] = {}
        self._tested: dict[int, int] = {}

    @property
    def tested(self) -> int:
        return sum(self._tested.values())

    def run(self, levels: int, chance: float, count: int) -> list[_Found]:
        found: list[_Found] = []
        for level in range(1, levels + 1):
            there = [slice_ for counted in self._counted(level) for slice_ in self._tried(*counted)]
            there.sort(key=lambda one: one.rank)
            ps = np.minimum(adjusted(np.array([one.chance for one in there]), self._tested.get(level, 0)) * levels, 1)
            found += [
                _Found(one.columns, one.conditions, one.chance, one.strength, float(p))
                for one, p in zip(there, ps, strict=True)
                if p <= chance
            ]
        found.sort(key=lambda one: one.rank)
        return self._chosen(found[:_CLOSELY], max((one.chance for one in found), default=0.0), count)

    # Counting ----------------------------------------------------------------------------------------------------

    def _counted(self, level: int) -> Iterator[tuple[tuple[int, ...], NDArray[np.float64]]]:
        """Each combination of so many columns that may hold a slice, with the counts of all its conjunctions."""
        wanted = {some for some in combinations(range(len(self._made)), level) if self._may_hold(some)}
        sizes = [one.size for one in self._made]
        while wanted:
            block = _block(wanted, sizes)
            cube = slice_columns.cube(
                self._database, self._frame, block, [sizes[at] for at in block], squares=not self._binary
            )
            for some in sorted(wanted & set(combinations(block, level))):
                wanted.discard(some)
                others = tuple(1 + at for at, column in enumerate(block) if column not in some)
                counts = cube.sum(axis=others)
                for column in some:
                    # Each time the first axis of codes becomes the last one, of conditions.
                    counts = np.tensordot(counts, self._made[column].holds.T.astype(np.float64), axes=([1], [0]))
                yield some, counts

    def _may_hold(self, some: tuple[int, ...]) -> bool:
        """Whether any conjunction of these columns may still have support and fail more than all do."""
        if len(some) == 1:
            return True
        parents = [self._alive.get(tuple(one for one in some if one != left)) for left in some]
        shape = tuple(len(self._made[at].texts) for at in some)
        alive = np.ones(shape, bool)
        for axis, parent in enumerate(parents):
            if parent is not None:
                alive &= np.expand_dims(parent, axis)
            else:
                alive[:] = False
        if not alive.any():
            # They count as tested: that they were not looked at was decided by their errors.
            self._tested[len(some)] = self._tested.get(len(some), 0) + int(np.prod(shape))
            return False
        return True

    def _tried(self, some: tuple[int, ...], counts: NDArray[np.float64]) -> list[_Found]:
        """The conjunctions of these columns that fail more than by chance; which of them may have children is kept."""
        sizes, sums = counts[0], counts[1]
        enough = (sizes >= self._least) & (sizes < len(self._errors))
        above = sums - self._lowest * sizes
        # Of a child the highest mean is that of as few samples as may be with all the errors of the parent.
        self._alive[some] = (sizes >= self._least) & (above > (self._base - self._lowest) * self._least)
        self._tested[len(some)] = self._tested.get(len(some), 0) + int(enough.sum())
        worse = enough & (sums > self._base * sizes)
        # What is less than one and a half standard errors away cannot pass, and is not worth an exact test.
        at = np.argwhere(worse & ((sums - self._base * sizes) ** 2 > 9 * np.maximum(sizes, 1) * self._spread * 0.25))
        if not len(at):
            return []
        picked = tuple(at.T)
        chances = self._chances(sums[picked], sizes[picked], counts[2][picked] if not self._binary else None)
        strengths = (sums[picked] - self._base * sizes[picked]) / np.sqrt(
            sizes[picked] * (1 - sizes[picked] / len(self._errors)) * self._spread
        )
        order = np.lexsort((-strengths, chances))[:_VARIANTS]
        return [_Found(some, tuple(at[row].tolist()), float(chances[row]), float(strengths[row])) for row in order]

    def _chances(self, sums: np.ndarray, sizes: np.ndarray, squares: np.ndarray | None) -> NDArray[np.float64]:
        if squares is None:
            return fisher(sums, sizes, int(self._total), len(self._errors))
        return welch(sums, squares, sizes, self._total, self._square, len(self._errors))

    # Choosing ----------------------------------------------------------------------------------------------------

    def _chosen(self, found: Sequence[_Found], bar: float, count: int) -> list[_Found]:
        """The surest ones, without those that repeat what was told."""
        told: list[_Found] = []
        masks: list[Bools] = []
        covered = np.zeros(len(self._errors), bool)
        # Most repeat what was told, which some of the rows show as well. Copies, for memory that lies together.
        some = slice(None, None, max(1, len(covered) // _FEW_ROWS))
        few_codes, few_errors = [one[some].copy() for one in self._codes], self._errors[some].copy()
        few_masks: list[Bools] = []
        few_covered = covered[some].copy()
        vain = 0
        for one in found:
            if len(told) >= count or vain >= _IN_VAIN:
                break
            if told and not self._new(self.mask(one, few_codes), few_covered, few_masks, few_errors, None):
                continue
            vain += 1
            mask = self.mask(one)
            if told and not self._new(mask, covered, masks, self._errors, bar):
                continue
            short, mask = self._plain(one, mask)
            if told and short is not one and not self._new(mask, covered, masks, self._errors, bar):
                continue
            vain = 0
            told.append(short)
            masks.append(mask)
            covered = covered | mask
            few_masks.append(mask[some].copy())
            few_covered = few_covered | few_masks[-1]
        return told

    def _new(
        self, mask: Bools, covered: Bools, masks: Sequence[Bools], errors: NDArray[np.float64], bar: float | None
    ) -> bool:
        """Whether it fails where nothing was told yet, or clearly more than the slice that it is a part of."""
        size = int(mask.sum())
        shared = [int((mask & known).sum()) for known in masks]
        if any(both > 0.5 * (size + int(known.sum()) - both) for both, known in zip(shared, masks, strict=True)):
            return False
        outside = mask & ~covered
        share = self._least * len(mask) / len(self._errors)
        fresh = int(outside.sum())
        if fresh >= max(size / 2, share * (0.5 if bar is None else 1)):
            return self._stands_out(outside[~covered], errors[~covered], bar)
        wider = [known for both, known in zip(shared, masks, strict=True) if both > 0.9 * size]
        return bool(wider) and all(self._stands_out(mask[known], errors[known], bar) for known in wider)

    def _stands_out(self, inside: Bools, errors: NDArray[np.float64], bar: float | None) -> bool:
        if bar is not None:
            return chance_of(errors, inside, self._binary) <= bar
        # Of some of the rows less is asked, and quicker: it is only whether a closer look is worth it.
        here = errors[inside]
        if not len(here):
            return False
        gap = float(here.sum()) / len(here) - float(errors.sum()) / len(errors)
        return gap > 0 and gap * gap * len(here) > self._spread

    def _plain(self, one: _Found, mask: Bools) -> tuple[_Found, Bools]:
        """Without conditions that say nothing: without which the slice is larger and fails as much."""
        while len(one.columns) > 1:
            for at in range(len(one.columns)):
                shorter = replace(one, columns=_without(one.columns, at), conditions=_without(one.conditions, at))
                wider = self.mask(shorter)
                if chance_of(self._errors[wider], mask[wider], self._binary) > _SAYS_SOMETHING:
                    one, mask = shorter, wider
                    break
            else:
                break
        return one, mask

    def mask(self, one: _Found, codes: Sequence[NDArray[np.uint8]] | None = None) -> Bools:
        """Which rows a slice holds: of all, or of those with these codes."""
        codes = self._codes if codes is None else codes
        held: Bools | None = None
        for column, condition in zip(one.columns, one.conditions, strict=True):
            here = self._made[column].holds[condition][codes[column]]
            held = here if held is None else held & here
        assert held is not None
        return held

    def told(self, one: _Found) -> tuple[str, ...]:
        """Its conditions as SQL."""
        pairs = zip(one.columns, one.conditions, strict=True)
        return tuple(self._made[column].texts[condition] for column, condition in pairs)


def _block(wanted: Collection[tuple[int, ...]], sizes: Sequence[int]) -> tuple[int, ...]:
    """Columns that are counted together: a wanted combination, and what adds most others as long as it all fits."""
    block = min(wanted)
    while len(block) < len(sizes):
        room = _CELLS // int(np.prod([sizes[at] for at in block]))
        fitting = [at for at in range(len(sizes)) if at not in block and sizes[at] <= room]
        gains = {
            at: sum(tuple(sorted((*some, at))) in wanted for some in combinations(block, len(min(wanted)) - 1))
            for at in fitting
        }
        best = max(gains, key=lambda at: gains[at], default=None)
        if best is None or not gains[best]:
            break
        block = tuple(sorted((*block, best)))
    return block


def _without(items: tuple[int, ...], at: int) -> tuple[int, ...]:
    return items[:at] + items[at + 1 :]


def _described(one: _Found, parts: tuple[str, ...], mask: Bools, errors: NDArray[np.float64], nos: np.ndarray) -> Slice:
    binary = bool(np.isin(errors, (0.0, 1.0)).all())
    metric, rest = float(errors[mask].mean()), float(errors[~mask].mean())
    inside = np.flatnonzero(mask)
    worst = inside[np.lexsort((nos[inside], -errors[inside]))[:EXAMPLES]]
    predicate = " AND ".join(f"({part})" if " OR " in part else part for part in parts)
    return Slice(
        predicate=predicate,
        parts=parts,
        size=len(inside),
        metric=metric,
        rest=rest,
        gap=metric - rest,
        interval=gap_interval(errors, mask, binary),
        p=one.p,
        examples=tuple(int(no) for no in nos[worst]),
        sentence=sentence(f"Where {predicate}", errors, mask, binary),
    )


def sentence(where: str, errors: NDArray[np.float64], mask: Bools, binary: bool) -> str:
    """What a slice is, for people: `where` begins it."""
    here, there = errors[mask], errors[~mask]
    if binary:
        counted = f"{here.mean():.1%} are wrong ({int(here.sum()):,} of {len(here):,})"
        return f"{where}, {counted}, against {there.mean():.1%} elsewhere."
    return f"{where}, the mean loss is {here.mean():.3g} ({len(here):,} samples), against {there.mean():.3g} elsewhere."


def _checked(
    nos: np.ndarray, errors: np.ndarray, conditions: int, least: int | None, chance: float, count: int
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    nos, errors = np.asarray(nos), np.asarray(errors, np.float64)
    if nos.ndim != 1 or nos.shape != errors.shape:
        raise EvaluationError(
            f"There are {nos.shape} sample numbers and {errors.shape} errors.", hint="Give one error a sample."
        )
    if len(np.unique(nos)) != len(nos):
        raise EvaluationError("A sample number comes twice.", hint="Give each sample once.")
    if np.isinf(errors).any():
        raise EvaluationError("Some losses are infinite.", hint="Clip them, or give NaN to leave a sample out.")
    if conditions not in (1, 2, 3):
        raise EvaluationError(f"A slice has 1 to 3 conditions, not {conditions}.", hint="For example conditions=2")
    if least is not None and least < 2:
        raise EvaluationError(f"A slice of {least} samples says nothing.", hint="Give least=2 or more.")
    if not 0 < chance < 1 or count < 1:
        raise EvaluationError(
            f"chance is {chance} and count is {count}.", hint="Give a chance between 0 and 1, and a count of 1 or more."
        )
    known = ~np.isnan(errors)
    return nos[known].astype(np.uint32), errors[known]
