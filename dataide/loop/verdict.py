"""Keep or drop: whether what was added to the training data made a model better, on named sets of samples.

Both arms, with what was added and without, are trained with the same seeds, and each sample of the validation sets is
judged under each. Which samples these are, and which seeds, is both chance: the difference of a sample under a seed has
a part of the sample, a part of the seed, and a rest. So the variance of the mean difference is estimated from the mean
squares of the two-way table with samples and seeds as random effects (S. R. Searle, G. Casella and C. E. McCulloch
1992, "Variance Components", chapter 4), and its degrees of freedom after F. E. Satterthwaite 1946, "An approximate
distribution of estimates of variance components". That a single run says little is shown by X. Bouthillier et al.
2021, "Accounting for variance in machine learning benchmarks", section 3; T. G. Dietterich 1998, "Approximate
statistical tests for comparing supervised classification learning algorithms", section 3, why samples are paired.

Small sets: two samples that contradict each other are added to each (A. Agresti and Y. Min 2005, "Simple improved
confidence intervals for comparing matched proportions"), so that ten samples that agree are not taken for certainty.
Several sets: by S. Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dataide.errors import DataideError, did_you_mean
from dataide.loop import student

Decision = Literal["keep", "drop", "no evidence"]

EVERYTHING = "everything"
# Either way; the intervals have the same level, 95 % two-sided.
LEVEL = 0.025
LEAST_SEEDS = 3


class TrialError(DataideError):
    """What two trainings gave cannot be compared."""

    code = "trial"


@dataclass(frozen=True)
class Difference:
    """What adding did on one set.

    Attributes:
        name: of the set.
        samples: in it.
        before, after: the mean of both arms over samples and seeds (accuracy, where right is 1 and wrong is 0).
        change: after minus before.
        low, high: the 95 % interval of the change, for this set alone.
        gain, loss: how likely so large a gain (loss, beyond what is allowed) is by chance, all sets considered. Of a
            set that nothing was hoped for, `gain` is 1.
        allowed: how large a loss is put up with.
    """

    name: str
    samples: int
    before: float
    after: float
    change: float
    low: float
    high: float
    gain: float
    loss: float
    allowed: float = 0.0

    @property
    def improved(self) -> bool:
        return self.gain <= LEVEL

    @property
    def broken(self) -> bool:
        return self.loss <= LEVEL

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.before:.3f} to {self.after:.3f} ({self.change:+.3f}, 95 % {self.low:+.3f} to "
            f"{self.high:+.3f}, {self.samples:,} samples)"
        )


@dataclass(frozen=True)
class Verdict:
    """What to do with what was added, and why.

    Attributes:
        decision: keep, drop, or no evidence.
        differences: by set, in their order; "everything" is the first one.
        seeds: how many pairs of trainings.
    """

    decision: Decision
    differences: dict[str, Difference]
    seeds: int

    @property
    def improved(self) -> list[str]:
        """The sets that are better by more than chance."""
        return [name for name, one in self.differences.items() if one.improved]

    @property
    def broken(self) -> list[str]:
        """The sets that are worse by more than is allowed and more than chance."""
        return [name for name, one in self.differences.items() if one.broken]

    @property
    def sentence(self) -> str:
        """The verdict and its reason, for people."""
        named = [name for name in self.improved if name != EVERYTHING] or self.improved
        if self.decision == "keep":
            return f"Keep: {_and(named)} improved, and no set became worse."
        if self.decision == "drop":
            but = f", though {_and(named)} improved" if named else ""
            return f"Drop: {_and(self.broken)} became worse{but}."
        return f"No evidence: no set that counts changed by more than chance in {self.seeds} pairs of trainings."

    def __repr__(self) -> str:
        return "\n".join([self.sentence, *(f"  {one!r}" for one in self.differences.values())])


def verdict(
    before: np.ndarray,
    after: np.ndarray,
    sets: Mapping[str, np.ndarray] | None = None,
    *,
    aims: Collection[str] | None = None,
    allowed: Mapping[str, float] | None = None,
) -> Verdict:
    """Says whether to keep what was added.

    The rule: keep when at least one set is better by more than chance and none is worse; drop when one is worse; else
    there is no evidence. By more than chance: the probability, over all sets, is at most 2.5 % in either direction.

    Args:
        before: seeds x samples, what was without: right or wrong, or any figure from 0 to 1, the larger the better.
        after: the same seeds and samples, with what was added.
        sets: by name a mask over the samples, or their positions. "everything", all samples, is always among them.
        aims: the sets that are to become better, said before the trial; the others only must not become worse. By
            default all of them: then what was added for one may be kept for another.
        allowed: by name, how much worse a set may become (0.01 is a point).

    Raises:
        TrialError: fewer than three seeds, arms of different shapes, a set that is empty or has unknown samples,
            figures that are no numbers from 0 to 1.
    """
    arms = [_arm(arm) for arm in (before, after)]
    if arms[0].shape != arms[1].shape:
        raise TrialError(
            f"One arm has {_shape(arms[0])}, the other {_shape(arms[1])}.",
            hint="Judge the same samples under the same seeds in both.",
        )
    seeds, count = arms[0].shape
    if seeds < LEAST_SEEDS:
        raise TrialError(
            f"{seeds} pairs of trainings say too little: training alone differs by the seed.",
            hint=f"Train both arms with {LEAST_SEEDS} to 5 seeds.",
            code="seeds",
        )
    members = {EVERYTHING: np.arange(count), **{name: _members(name, one, count) for name, one in (sets or {}).items()}}
    for name in [*(allowed or {}), *(aims or [])]:
        if name not in members:
            raise TrialError(f"There is no set {name!r}.", hint=did_you_mean(name, members))
    if aims is not None and not aims:
        raise TrialError("Nothing is to become better.", hint="Name a set in aims=, or leave it out.")
    allow = {name: float((allowed or {}).get(name, 0.0)) for name in members}
    tested = {name: _tested(arms[0][:, rows], arms[1][:, rows], allow[name]) for name, rows in members.items()}
    hoped = [name in aims if aims is not None else True for name in members]
    gains = np.ones(len(tested))
    gains[hoped] = _holm(np.array([one[4] for one in tested.values()])[hoped])
    losses = _holm(np.array([one[5] for one in tested.values()]))
    differences = {
        name: Difference(
            name, len(rows), mean_before, mean_after, mean_after - mean_before, low, high, gain, loss, allow[name]
        )
        for (name, rows), (mean_before, mean_after, low, high, *_), gain, loss in zip(
            members.items(), tested.values(), gains.tolist(), losses.tolist(), strict=True
        )
    }
    broken = any(one.broken for one in differences.values())
    improved = any(one.improved for one in differences.values())
    return Verdict("drop" if broken else "keep" if improved else "no evidence", differences, seeds)


def _tested(before: np.ndarray, after: np.ndarray, allowed: float) -> tuple[float, float, float, float, float, float]:
    """Both means, the interval of the change, and how likely so large a gain, and so large a loss, is by chance."""
    change = after - before
    mean = float(change.mean())
    seeds = len(change)
    # Two samples that contradict each other: together they add one square, and nothing to the sum.
    doubt = np.full((seeds, 2), 0.5**0.5)
    doubt[:, 1] *= -1
    table = np.concatenate([change - mean, doubt], axis=1)
    samples = table.shape[1]
    by_seed, by_sample = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_sample[None, :]
    of_seeds = samples * float((by_seed**2).sum()) / (seeds - 1)
    of_samples = seeds * float((by_sample**2).sum()) / (samples - 1)
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (samples - 1))
    # No smaller than either one alone: what is estimated for the rest may by chance be larger than both.
    square = max(of_seeds + of_samples - of_rest, of_samples, of_seeds)
    freedom = square**2 / (
        of_samples**2 / (samples - 1) + of_seeds**2 / (seeds - 1) + of_rest**2 / ((seeds - 1) * (samples - 1))
    )
    deviation = (square / (seeds * samples)) ** 0.5
    reach = student.quantile(LEVEL, freedom) * deviation
    gain = student.tail(mean / deviation, freedom)
    loss = student.tail(-(mean + allowed) / deviation, freedom)
    low, high = max(mean - reach, -1.0), min(mean + reach, 1.0)
    return float(before.mean()), float(after.mean()), low, high, gain, loss


def _holm(likely: np.ndarray) -> np.ndarray:
    order = np.argsort(likely, kind="stable")
    raised = np.maximum.accumulate(likely[order] * np.arange(len(likely), 0, -1))
    found = np.empty_like(likely)
    found[order] = np.minimum(raised, 1.0)
    return found


def _arm(arm: np.ndarray) -> np.ndarray:
    found = np.asarray(arm, np.float64)
    if found.ndim != 2 or not found.size:
        raise TrialError(
            f"What a training gave has the shape {found.shape}.", hint="Give seeds x samples, at least one."
        )
    if not np.isfinite(found).all() or found.min() < 0 or found.max() > 1:
        raise TrialError(
            "What a training gave is not from 0 to 1 everywhere.",
            hint="Say for each sample whether it is right (True, False), or how good it is (0 to 1).",
        )
    return found


def _members(name: str, given: np.ndarray, count: int) -> np.ndarray:
    rows = np.asarray(given)
    if rows.dtype == bool:
        if rows.shape != (count,):
            raise TrialError(f"The mask of {name!r} has {rows.size:,} places for {count:,} samples.")
        rows = np.flatnonzero(rows)
    if not rows.size:
        raise TrialError(f"The set {name!r} has no samples.", hint="Leave it out, or refresh it.", code="empty_set")
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= count:
        raise TrialError(f"The set {name!r} has samples that were not judged; there are {count:,}.")
    return np.unique(rows)


def _shape(arm: np.ndarray) -> str:
    return f"{arm.shape[0]:,} seeds and {arm.shape[1]:,} samples"


def _and(names: list[str]) -> str:
    shown = [repr(name) if name != EVERYTHING else name for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
