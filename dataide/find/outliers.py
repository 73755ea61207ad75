"""Outliers: samples far from everything, from a reference set, or from their own class.

Up to four measurements of each sample, each compared with how it is spread over the reference:

1. **neighbours**: mean cosine distance to the k nearest of the reference (S. Ramaswamy, R. Rastogi and K. Shim,
   "Efficient Algorithms for Mining Outliers from Large Data Sets", SIGMOD 2000; on features of networks: Y. Sun et al.,
   "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022).
2. **density**: Mahalanobis distance with a shrunken covariance (K. Lee et al., "A Simple Unified Framework for
   Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018, with one class). It sees lengths, and
   directions that the reference does not use. Rows that shaped the covariance are measured as if they had not (J.
   Sherman and W. Morrison, Annals of Mathematical Statistics 21(1), 1950): else, of few rows, all others look far (J.
   Hardin and D. Rocke, "The Distribution of Robust Distances", Journal of Computational and Graphical Statistics 2005).
3. **statistics**: the same distance over columns of numbers about the pictures (brightness, sharpness, noise …).
4. **energy**: minus the logarithm of the sum of exponentials of a model's outputs (W. Liu et al., "Energy-based
   Out-of-distribution Detection", NeurIPS 2020), where the caller has it.

Each becomes a number of deviations: logarithms, less their median over the reference, by the upper half's spread
(median and upper quartile: outliers that are in the reference hardly move them). The root of the sum of the squares
above zero says how far out a sample is.

**Clumps.** Without a reference the set is its own, and a foreign group of 200 that are like each other has near
neighbours: itself. So k is then `CLUMP_SHARE` of the set, which no such group fills, and the covariance is that of the
inner part of the set (one step of the minimum covariance determinant: P. Rousseeuw and K. Van Driessen, Technometrics
41(3), 1999). What is far from everything by itself only is found as well, as it is farther still from that many.

**Class.** With labels, mean cosine distance to the k nearest of its own class against the same of the others in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import DataideError
from dataide.find.grouping import of_values
from dataide.find.pairs import Stopped, never

Float = NDArray[np.float32]
Numbers = NDArray[np.float64]

NEIGHBOURS = 10
CLUMP_SHARE = 0.05
# Larger references are sampled: a distance to the nearest of 20,000 says as much as one to the nearest of a million.
REFERENCE_ROWS = 20_000
# Deviations beyond which a sample is called an outlier: of a normal curve, one in 4,300 is.
DEVIATIONS = 3.5
SMALLEST_CLASS = 20
_BLOCK = 2_048
_LEAST = 1e-6
MEASUREMENTS = ("neighbours", "density", "statistics", "energy", "class")


@dataclass(frozen=True)
class Outliers:
    """What was found about N samples.

    Attributes:
        score: float32, N, 0..1, low is far out; below 0.5 is an outlier. 1 where nothing was known.
        is_outlier: bool, N.
        deviations: float32, N x 5: one column for each of `MEASUREMENTS`; NaN where it was not taken.
        times: float32, N: mean distance to neighbours over what is usual in the reference; NaN without a vector.
        class_times: float32, N: the same within its class.
    """

    score: Float
    is_outlier: NDArray[np.bool_]
    deviations: Float
    times: Float
    class_times: Float

    def reason(self, row: int) -> str:
        """One sentence about a sample, by the measurement that is farthest out; empty where nothing is known."""
        deviations = np.nan_to_num(self.deviations[row], nan=-np.inf)
        which = int(deviations.argmax())
        if not np.isfinite(deviations[which]):
            return ""
        name = MEASUREMENTS[which]
        if name == "neighbours":
            return f"Its nearest neighbours are {self.times[row]:.1f} times as far as usual."
        if name == "class":
            return f"The nearest of its class are {self.class_times[row]:.1f} times as far as usual in that class."
        what = {
            "density": "Its vector lies where next to none of the others do",
            "statistics": "Its light, sharpness or colours are unlike those of the others",
            "energy": "The model's outputs for it are unlike those for the others",
        }[name]
        return f"{what}: {deviations[which]:.1f} deviations out."


@dataclass(frozen=True)
class Known:
    """What is known of some samples. At least one of the three.

    Attributes:
        vectors: N x D of any float type, of any length; NaN or zeros where there is none.
        statistics: N x C numbers about the pictures; NaN where there is none.
        energy: N, high is strange.
    """

    vectors: NDArray[Any] | None = None
    statistics: NDArray[Any] | None = None
    energy: NDArray[Any] | None = None

    def __len__(self) -> int:
        lengths = {len(one) for one in (self.vectors, self.statistics, self.energy) if one is not None}
        if len(lengths) != 1:
            raise DataideError(
                "Outliers need vectors, statistics or energies, one entry a sample in each."
                if not lengths
                else f"Vectors, statistics and energies are of different samples: {sorted(lengths)} of them.",
                hint="Embed the view first: view.embed().",
                code="wrong_shape",
            )
        return lengths.pop()


def find_outliers(
    samples: Known,
    *,
    reference: Known | None = None,
    labels: Sequence[Any] | None = None,
    k: int = NEIGHBOURS,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
    stop: Callable[[], bool] = never,
) -> Outliers:
    """How far out each of N samples is; measurements and papers stand at the head of this file.

    Args:
        samples: what is known of them.
        reference: of samples that are as they should be, by the same model; only what both have is compared. None: the
            samples themselves, where clumps of up to about 4 % of them are found too.
        labels: N, for distances within the class; None, NaN and "" are missing. Classes of fewer than 20 are left out.
        k: neighbours that count, with a reference and within classes.
        seed: of the sample of a large reference.
        say: told what is being done.
        stop: asked now and then; when it says yes, `pairs.Stopped` is raised.

    Raises:
        DataideError: nothing is known, lengths differ, or vectors of the two have different dimensions; "wrong_shape".
    """
    count, own = len(samples), reference is None
    base = samples if reference is None else reference
    tell = say or (lambda sentence: None)
    deviations = np.full((count, len(MEASUREMENTS)), np.nan, np.float32)
    times, class_times = (np.full(count, np.nan, np.float32) for _ in range(2))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(base))[:REFERENCE_ROWS])
    if count and len(chosen) > 1:
        if samples.vectors is not None and base.vectors is not None:
            tell(f"Measuring how far {count:,} vectors are from {len(chosen):,}")
            _same_width(samples.vectors, base.vectors)
            times, deviations[:, 0] = _by_neighbours(samples.vectors, base.vectors, chosen, own, k, stop)
            deviations[:, 1] = _by_density(samples.vectors, base.vectors, chosen, own, stop)
        if samples.statistics is not None and base.statistics is not None:
            _same_width(samples.statistics, base.statistics)
            deviations[:, 2] = _by_density(_tamed(samples.statistics), _tamed(base.statistics), chosen, own, stop)
        if samples.energy is not None and base.energy is not None:
            deviations[:, 3] = _deviations(np.asarray(samples.energy, np.float64), np.asarray(base.energy, np.float64))
        if samples.vectors is not None and labels is not None:
            tell("Measuring how far samples are from their class")
            class_times, deviations[:, 4] = _by_class(samples.vectors, of_values(labels, count), k, seed, stop)
    out = np.sqrt((np.nan_to_num(deviations, nan=0).clip(0) ** 2).sum(axis=1))
    score = (DEVIATIONS**2 / (DEVIATIONS**2 + out**2)).astype(np.float32)
    return Outliers(score, score < 0.5, deviations, times, class_times)


def _deviations(values: Numbers, reference: Numbers) -> Float:
    """How many deviations above the median of the reference, by the spread of its upper half; NaN stays."""
    known = reference[np.isfinite(reference)]
    if not len(known):
        return np.full(len(values), np.nan, np.float32)
    middle, high = np.quantile(known, [0.5, 0.75])
    # Where most values are one and the same, anything else is at most so far out that it can be ranked.
    spread = max((high - middle) / 0.6745, 1e-3 * abs(middle), _LEAST)
    result: Float = ((values - middle) / spread).clip(-1e3, 1e3).astype(np.float32)
    return result


def _unit(rows: NDArray[Any]) -> Float:
    """Rows of length 1; NaN where there is no direction."""
    rows = rows.astype(np.float32)
    rows /= np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Float = np.where(np.isfinite(lengths) & (lengths > 0), rows / np.maximum(lengths, 1e-30), np.nan)
    return result


def _mean_distance(
    rows: NDArray[Any], base: Float, k: int, places: NDArray[np.int64], stop: Callable[[], bool]
) -> Numbers:
    """Mean cosine distance of each row to its k nearest of `base`; `places` says which of these it is itself, or -1."""
    result = np.full(len(rows), np.nan)
    k = max(1, min(k, len(base) - 1))
    for start in range(0, len(rows), _BLOCK):
        if stop():
            raise Stopped
        part = slice(start, start + _BLOCK)
        similarity = _unit(rows[part]) @ base.T
        itself = np.flatnonzero(places[part] >= 0)
        similarity[itself, places[part][itself]] = -np.inf
        best = np.partition(similarity, similarity.shape[1] - k, axis=1)[:, similarity.shape[1] - k :]
        result[part] = 1 - best.mean(axis=1, dtype=np.float64)
    distance: Numbers = np.maximum(result, _LEAST)
    return distance


def _by_neighbours(
    vectors: NDArray[Any],
    base: NDArray[Any],
    chosen: NDArray[np.int64],
    own: bool,
    k: int,
    stop: Callable[[], bool],
) -> tuple[Float, Float]:
    unit = _unit(base[chosen])
    good = np.isfinite(unit).all(axis=1)
    chosen, unit = chosen[good], unit[good]
    if len(unit) < 2:
        return (np.full(len(vectors), np.nan, np.float32),) * 2
    if own:
        k = max(k, int(CLUMP_SHARE * len(unit)))
    itself = np.full(len(base), -1, np.int64)
    itself[chosen] = np.arange(len(chosen))
    far = _mean_distance(vectors, unit, k, itself if own else np.full(len(vectors), -1, np.int64), stop)
    usual = far[chosen] if own else _mean_distance(base[chosen], unit, k, np.arange(len(chosen)), stop)
    times = (far / np.nanmedian(usual)).astype(np.float32)
    return times, _deviations(np.log(far), np.log(usual))


def _by_density(
    rows: NDArray[Any], base: NDArray[Any], chosen: NDArray[np.int64], own: bool, stop: Callable[[], bool]
) -> Float:
    known = chosen[np.isfinite(base[chosen]).all(axis=1)]
    fitted = base[known].astype(np.float64)
    if len(fitted) < 10:
        return np.full(len(rows), np.nan, np.float32)
    mean, matrix, squares = _shaped_by(fitted, np.ones(len(fitted), bool))
    if own:  # again by the inner part, which outliers do not shape
        mean, matrix, squares = _shaped_by(fitted, squares <= np.quantile(squares, 0.8))
    result = np.full(len(rows), np.nan)
    for start in range(0, len(rows), _BLOCK):
        if stop():
            raise Stopped
        part = slice(start, start + _BLOCK)
        result[part] = (((rows[part].astype(np.float64) - mean) @ matrix) ** 2).sum(axis=1)
    if own:
        result[known] = squares
    return _deviations(np.log(np.maximum(result, _LEAST)), np.log(np.maximum(squares, _LEAST)))


def _shaped_by(rows: Numbers, inner: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
    """Mean, a matrix that makes distances, both of the inner rows; and the squared distance of each row.

    The covariance is shrunken by as much as few rows demand: D / (D + N). Where rows are not many more than columns,
    what shaped it lies much nearer than what did not: so inner rows are as far as they would be had they been left out.
    """
    base = rows[inner]
    mean = base.mean(axis=0)
    centred = base - mean
    covariance = centred.T @ centred / len(base)
    count, dimension = base.shape
    share = dimension / (dimension + count)
    even = max(float(np.trace(covariance)) / dimension, 1e-12)
    values, directions = np.linalg.eigh((1 - share) * covariance + share * even * np.eye(dimension))
    matrix = directions / np.sqrt(np.maximum(values, 1e-9 * even))
    squares = (((rows - mean) @ matrix) ** 2).sum(axis=1)
    nearer = 1 - (1 - share) / count * squares[inner]
    squares[inner] *= (count / (count - 1)) ** 2 / nearer
    return mean, matrix, squares


def _tamed(columns: NDArray[Any]) -> Numbers:
    """Columns that are never negative by their logarithm: sharpness and noise spread over powers of ten."""
    values = np.asarray(columns, np.float64).reshape(len(columns), -1)
    return np.log(np.maximum(values, 0) + 1e-3)


def _by_class(
    vectors: NDArray[Any], codes: NDArray[np.int64], k: int, seed: int, stop: Callable[[], bool]
) -> tuple[Float, Float]:
    times, deviations = (np.full(len(vectors), np.nan, np.float32) for _ in range(2))
    random = np.random.default_rng(seed)
    order = np.argsort(codes, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if not len(members) or codes[members[0]] < 0 or len(members) < SMALLEST_CLASS:
            continue
        chosen = members[np.sort(random.permutation(len(members))[: REFERENCE_ROWS // 4])]
        unit = _unit(vectors[chosen])
        good = np.isfinite(unit).all(axis=1)
        if good.sum() < SMALLEST_CLASS:
            continue
        chosen, unit = chosen[good], unit[good]
        places = np.searchsorted(chosen, members).clip(0, len(chosen) - 1)
        places = np.where(chosen[places] == members, places, -1)
        far = _mean_distance(vectors[members], unit, k, places, stop)
        times[members] = far / np.nanmedian(far)
        deviations[members] = _deviations(np.log(far), np.log(far))
    return times, deviations


def _same_width(one: NDArray[Any], other: NDArray[Any]) -> None:
    if one.shape[1:] != other.shape[1:]:
        raise DataideError(
            f"Samples of shape {one.shape} cannot be compared with a reference of shape {other.shape}.",
            hint="Make both with the same model.",
            code="wrong_shape",
        )
