"""What a threshold of autotag would give: precision and recall from marks that were held out.

Whoever asks about the samples near the threshold measures nothing by counting right answers among them. So marks held
out by cross-validation give the probability of the tag at a given score (Platt 1999), and precision and recall are sums
of these probabilities over all samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dataide.find.tag_learning import Floats, Rows, Wide, blocks, counts_of

_BINS = 512
_MIDDLE = (np.arange(_BINS) + 0.5) / _BINS
_REPEATS = 200
_ENOUGH_EACH, _ENOUGH = 8, 30


@dataclass(frozen=True)
class Estimate:
    """What a threshold would give, estimated from held-out marks.

    Attributes:
        threshold: samples that score at least this are taken.
        count: how many these are.
        precision, recall: estimates in [0, 1]; None where there are too few marks.
        precision_range, recall_range: intervals of 90 %, from resampled marks.
        marks: how many marks held out it rests on.
        enough: whether there were enough of both kinds.
        sentence: the same for people.
    """

    threshold: float
    count: int
    precision: float | None
    recall: float | None
    precision_range: tuple[float, float] | None
    recall_range: tuple[float, float] | None
    marks: int
    enough: bool
    sentence: str


@dataclass(frozen=True)
class Curve:
    """Counts of samples by score, and what each score is worth by every resampling of the marks.

    Attributes:
        counts: samples in each bin of [0, 1] without the marks; yes, no: the marks there.
        marks: how many were held out.
        enough: whether they suffice for ranges.
        things: what is counted, for sentences.
    """

    counts: Wide
    yes: Wide
    no: Wide
    marks: int
    enough: bool
    things: str
    _out: Wide | None = field(repr=False)
    _truth: Wide = field(repr=False)
    _calibrated: tuple[float, float]
    _seed: int

    @classmethod
    def of(
        cls,
        scores: Floats,
        told: NDArray[np.bool_],
        marks: Rows,
        truth: Wide,
        out: Wide | None,
        trusted: NDArray[np.bool_],
        calibrated: tuple[float, float],
        seed: int,
        things: str = "samples",
    ) -> Curve:
        inside = told[marks]
        where = _bins(scores[marks])
        yes = np.bincount(where[inside & (truth > 0)], minlength=_BINS).astype(np.float64)
        no = np.bincount(where[inside & (truth <= 0)], minlength=_BINS).astype(np.float64)
        counts = np.zeros(_BINS)
        for part in blocks(len(scores)):
            held = scores[part] if told[part].all() else scores[part][told[part]]
            counts += np.bincount(_bins(held), minlength=_BINS)
        counts -= yes + no
        held_marks = int(np.count_nonzero(trusted)) if out is not None else 0
        enough = held_marks >= _ENOUGH and min(counts_of(truth[trusted])) >= _ENOUGH_EACH
        return cls(
            counts,
            yes,
            no,
            held_marks,
            enough,
            things,
            None if out is None else out[trusted],
            truth[trusted],
            calibrated,
            seed,
        )

    @cached_property
    def worth(self) -> Wide:
        """R x bins, the probability of the tag; the first row is the estimate itself. Made when it is asked for: an
        order, and what to ask next, need no ranges."""
        if self._out is None:
            return _MIDDLE[None, :]
        random = np.random.default_rng(self._seed)
        # Bayesian bootstrap (Rubin 1981): no resampling lacks one of the kinds. Twice as wide, as marks that
        # were held out from each other were still chosen by one another.
        weights = random.dirichlet(np.full(self.marks, 0.5), _REPEATS) * self.marks
        slope, offset = _platt(self._out, self._truth, weights)
        # A bin's log odds under the calibration, back to widths of the background, and forth under another.
        width = (np.log(_MIDDLE / (1 - _MIDDLE)) - self._calibrated[1]) / self._calibrated[0]
        odds = np.maximum(slope, 0)[:, None] * width + offset[:, None]
        return np.concatenate([_MIDDLE[None, :], 1 / (1 + np.exp(-np.clip(odds, -30, 30)))])

    def threshold(self) -> float:
        """Where the expected F1 is best (Lipton, Elkan and Naryanaswamy 2014)."""
        right = np.cumsum((_MIDDLE * self.counts + self.yes)[::-1])[::-1]
        taken = np.cumsum((self.counts + self.yes + self.no)[::-1])[::-1]
        return float(np.argmax(2 * right / np.maximum(taken + right[0], 1e-12)) / _BINS)

    def taken(self, threshold: float) -> int:
        """How many score at least the threshold."""
        start = min(max(round(threshold * _BINS), 0), _BINS)
        return int((self.counts + self.yes + self.no)[start:].sum())

    def steps(self, count: int = 128) -> dict[str, list[float] | list[int] | None]:
        """What each of `count` + 1 thresholds 0, 1 / count … 1 would give, for a handle that is dragged.

        `taken` is how many samples score as much; precision, recall and their ranges of 90 % are None with too few
        marks; `bins` are the counts of samples between two thresholds, `yes` and `no` those of marks among them.
        """
        start = np.minimum(np.round(np.arange(count + 1) * (_BINS / count)).astype(int), _BINS)
        everything = self.counts + self.yes + self.no
        taken = _from(everything[None, :])[0, start]
        told: dict[str, list[float] | list[int] | None] = {
            "taken": [int(v) for v in taken],
            "bins": [int(v) for v in -np.diff(_from(everything[None, :])[0, start])],
            "yes": [int(v) for v in -np.diff(_from(self.yes[None, :])[0, start])],
            "no": [int(v) for v in -np.diff(_from(self.no[None, :])[0, start])],
        }
        names = ("precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high")
        if not self.enough:
            return told | dict.fromkeys(names)
        right = _from(self.worth * self.counts + self.yes)
        precision = np.where(taken > 0, right[:, start] / np.maximum(taken, 1), 1.0)
        recall = right[:, start] / np.maximum(right[:, :1], 1e-12)
        for name, values in (("precision", precision), ("recall", recall)):
            low, high = np.quantile(values[1:], (0.05, 0.95), axis=0)
            for ending, row in (("", values[0]), ("_low", low), ("_high", high)):
                told[f"{name}{ending}"] = [round(float(v), 4) for v in row]
        return told

    def at(self, threshold: float) -> Estimate:
        start = min(max(round(threshold * _BINS), 0), _BINS)
        count = self.taken(threshold)
        taken = f"At {threshold:.2f}, {count:,} {self.things} are taken"
        if not self.enough:
            need = f"{_ENOUGH} with at least {_ENOUGH_EACH} of each kind are needed to estimate precision and recall"
            sentence = f"{taken}; too few marks to say how many of them are right ({self.marks} held out, {need})."
            return Estimate(threshold, count, None, None, None, None, self.marks, False, sentence)
        right = self.worth[:, start:] @ self.counts[start:] + self.yes[start:].sum()
        missed = self.worth[:, :start] @ self.counts[:start] + self.yes[:start].sum()
        precision = right / max(count, 1) if count else np.ones(len(right))
        recall = right / np.maximum(right + missed, 1e-12)
        ranges = [tuple(float(v) for v in np.quantile(values[1:], (0.05, 0.95))) for values in (precision, recall)]
        shown = [f"{low:.0%} to {high:.0%}" for low, high in ranges]
        sentence = (
            f"{taken}: about {precision[0]:.0%} of them right ({shown[0]}), {recall[0]:.0%} of all found ({shown[1]}), "
            f"by {self.marks} marks held out."
        )
        first, second = ((low, high) for low, high in ranges)
        return Estimate(
            threshold, count, float(precision[0]), float(recall[0]), first, second, self.marks, True, sentence
        )


def trusted_marks(marks: Rows, truth: Wide, found: NDArray[np.integer] | None) -> NDArray[np.bool_]:
    """Which marks the estimate rests on: those that were asked for, once they suffice."""
    asked = np.ones(len(marks), bool) if found is None else ~np.isin(marks, np.asarray(found))
    enough = np.count_nonzero(asked) >= _ENOUGH and min(counts_of(truth[asked])) >= _ENOUGH_EACH
    return asked if enough else np.ones(len(marks), bool)


def calibrate(out: Wide | None, truth: Wide, trusted: NDArray[np.bool_], seen: Wide) -> tuple[float, float]:
    """Slope and offset from a score in widths of the background to a log odds."""
    if out is not None:
        slope, offset = _platt(out[trusted], truth[trusted], np.ones((1, int(trusted.sum()))))
        if slope[0] > 0.05:
            return float(slope[0]), float(offset[0])
    # Too few to say: even odds half-way between the kinds of marks, or well above the background.
    yes = float(np.mean(seen[truth > 0]))
    no = float(np.mean(seen[truth <= 0])) if np.any(truth <= 0) else 0.0
    middle = (yes + no) / 2 if yes > no else yes
    return 2.0, -2.0 * middle


def _platt(scores: Wide, truth: Wide, weights: Wide) -> tuple[Wide, Wide]:
    """Slopes and offsets of logistic curves through scored marks, one for each row of weights (R x n).

    Platt, Probabilistic outputs for support vector machines (1999), with a weak prior on the slope in the place of its
    targets inside 0 and 1: where a hundred thousand samples lie far from the tag, a few in a hundred of them would be
    most of what there seems to be of it.
    """
    target = (truth > 0).astype(np.float64)
    slope, offset = np.ones(len(weights)), np.zeros(len(weights))
    for _ in range(30):
        odds = np.clip(slope[:, None] * scores + offset[:, None], -30, 30)
        likely = 1 / (1 + np.exp(-odds))
        wrong, curvature = weights * (likely - target), weights * np.maximum(likely * (1 - likely), 1e-4)
        by_slope = (wrong * scores).sum(axis=1) + 0.1 * (slope - 1)
        by_offset = wrong.sum(axis=1) + 0.01 * offset
        a, b = (curvature * scores**2).sum(axis=1) + 0.1, (curvature * scores).sum(axis=1)
        c = curvature.sum(axis=1) + 0.01
        det = a * c - b * b
        step_slope, step_offset = (c * by_slope - b * by_offset) / det, (a * by_offset - b * by_slope) / det
        limit = np.minimum(1, 2 / np.maximum(np.abs(step_slope) + np.abs(step_offset), 1e-12))
        slope, offset = slope - limit * step_slope, offset - limit * step_offset
        if max(np.abs(step_slope).max(), np.abs(step_offset).max()) < 1e-4:
            break
    return slope, offset


def likely_of(odds: Floats) -> Floats:
    """In place: 0 where the vector was not finite."""
    bad = ~np.isfinite(odds)
    np.clip(odds, -80, 80, out=odds)
    np.negative(odds, out=odds)
    np.exp(odds, out=odds)
    odds += 1
    np.reciprocal(odds, out=odds)
    odds[bad] = 0
    return odds


def _bins(scores: Floats) -> NDArray[np.int32]:
    return np.minimum((scores * np.float32(_BINS)).astype(np.int32), _BINS - 1)


def _from(rows: Wide) -> Wide:
    """For each bin the sum of it and those after it, and 0 behind the last: R x (bins + 1)."""
    summed = np.cumsum(rows[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([summed, np.zeros((len(rows), 1))], axis=1)
