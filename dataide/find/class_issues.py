"""What is wrong with classes rather than with one label: two that are equally likely, and ones that are too rare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataide.errors import ModelError
from dataide.find.probes import Floats

# Two classes are equally likely where the second has two thirds of the first, and all others together less than that.
PART = 2 / 3
# A class is rare with less than this part of what it would have if all were of one size.
RARE = 0.1


@dataclass(frozen=True)
class ClassIssues:
    """Arrays of N.

    Attributes:
        score: float32 in [0, 1], 0 is severe; 1 where nothing can be said.
        is_issue: whether it is flagged.
        first: int, a class; -1 where nothing can be said.
        second: int, the class that is as likely as the first, or -1.
        reasons: sentences by row, of those that are flagged.
    """

    score: Floats
    is_issue: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    reasons: dict[int, str]


def ambiguous(probabilities: np.ndarray, *, classes: Sequence[str]) -> ClassIssues:
    """Samples that two classes fit equally well: the margin of T. Scheffer, C. Decomain and S. Wrobel, "Active Hidden
    Markov Models for Information Extraction", IDA 2001, section 3, as a part of what both have.

    Args:
        probabilities: float, N x C, calibrated: of `label_errors.suspects`, or of a run. Rows are scaled to add up to
            one; rows of zeros or of no numbers are left out.
        classes: their names.

    Raises:
        ModelError: there are not as many columns as classes.
    """
    values = np.asarray(probabilities, np.float32)
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise ModelError(
            f"The probabilities have the shape {values.shape}, and there are {len(classes):,} classes.",
            hint=f"Give N x {len(classes)}.",
            code="shape",
        )
    count = len(values)
    score = np.ones(count, np.float32)
    first, second = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    if len(classes) < 2 or not count:
        return ClassIssues(score, np.zeros(count, bool), first, second, {})
    with np.errstate(invalid="ignore"):
        total = values.sum(axis=1)
        usable = np.isfinite(total) & (total > 0) & (values >= 0).all(axis=1)
    top = np.argpartition(np.where(usable[:, None], values, 0), -2, axis=1)[:, -2:]
    pair = np.take_along_axis(np.where(usable[:, None], values, 0), top, 1) / np.where(usable, total, 1)[:, None]
    swap = pair[:, 0] > pair[:, 1]
    low, high = np.where(swap, pair[:, 1], pair[:, 0]), np.where(swap, pair[:, 0], pair[:, 1])
    score[usable] = ((high - low) / np.maximum(high + low, 1e-12))[usable]
    flagged = usable & (low >= PART * high) & (1 - high - low < PART * high)
    first[usable] = np.where(swap, top[:, 0], top[:, 1])[usable]
    second[usable] = np.where(swap, top[:, 1], top[:, 0])[usable]
    reasons = {
        int(row): f"It may as well be {classes[int(first[row])]} ({high[row]:.2f}) as "
        f"{classes[int(second[row])]} ({low[row]:.2f})."
        for row in np.flatnonzero(flagged)
    }
    return ClassIssues(score, flagged, first, second, reasons)


def imbalance(labels: np.ndarray, *, classes: Sequence[str]) -> ClassIssues:
    """Samples of classes that are so rare that nobody learns them: the share of a class against an equal share, as
    the imbalance ratio of N. Japkowicz and S. Stephen, "The Class Imbalance Problem", Intelligent Data Analysis 2002,
    section 3. Classes that nobody has are no sample's issue.

    Args:
        labels: int, N; -1 for none.
        classes: their names.

    Raises:
        ModelError: a label is no number of a class.
    """
    given = np.asarray(labels)
    if given.size and (int(given.min()) < -1 or int(given.max()) >= len(classes)):
        raise ModelError(
            f"The labels go from {given.min()} to {given.max()}, and there are {len(classes):,} classes.",
            hint=f"Give numbers from 0 to {len(classes) - 1}, and -1 where there is none.",
            code="labels",
        )
    there = given >= 0
    first = given.astype(np.int64)
    second = np.full(len(given), -1, np.int64)
    sizes = np.bincount(first[there], minlength=len(classes))
    used = int((sizes > 0).sum())
    if used < 2:
        return ClassIssues(np.ones(len(given), np.float32), np.zeros(len(given), bool), first, second, {})
    shares = np.minimum(sizes * used / sizes.sum(), 1)
    score = np.where(there, shares[np.maximum(first, 0)], 1).astype(np.float32)
    flagged = there & (score < RARE)
    reasons = {
        int(row): f"Only {sizes[first[row]]:,} of {sizes.sum():,} samples are {classes[int(first[row])]}."
        for row in np.flatnonzero(flagged)
    }
    return ClassIssues(score, flagged, first, second, reasons)
