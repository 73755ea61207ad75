"""The two kinds of evidence of near duplicates that are measured: how pictures look, and how close vectors lie.

Methods and papers: `near_duplicates.py`. Each kind finds candidates, gives any pair a distance, and knows below which
distance one is unusually small; rows here are places among the samples that are compared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.find.alignment import agreement
from dataide.find.pairs import neighbours

Float = NDArray[np.float32]
Places = NDArray[np.int64]
# Of pairs: score (NaN: nothing is known), likeness, mirrored.
Scores = tuple[Float, Float, NDArray[np.bool_]]

EXACT, LOOK, VECTOR = 0, 1, 2
KINDS = ("exact", "look", "vector")

LOOK_DEVIATIONS = 2.33
VECTOR_DEVIATIONS = 2.75
# Distances (shares of differing bits for hashes) that are always, and never, those of a copy.
_LOOK_BOUNDS = (0.04, 0.05)
_HASH_BOUNDS = (0.05, 0.16)
# Vectors that differ by no more than rounding to half precision does.
_SAME_VECTOR = 1e-5
_LOOK_SIDE = 8
# Of how many pictures that are alike at that size the best may be a copy.
_LOOKS = 5
_BLOCK = 8_192
_WHITEN_FROM = 20_000


def threshold(distance: Float, deviations: float, bounds: tuple[float, float]) -> float:
    """Where best distances become unusually small: so many deviations below the median of their logarithms.

    Args:
        distance: each sample's smallest one; those that are not finite do not count.
        deviations: of a normal curve with the same median and lower quartile.
        bounds: the least and the largest answer.
    """
    known = distance[np.isfinite(distance)]
    if not len(known):
        return bounds[0]
    low, middle = np.quantile(np.log(np.maximum(known, 1e-9)), [0.25, 0.5])
    answer = np.exp(middle - deviations * (middle - low) / 0.6745)
    return float(np.clip(answer, *bounds))


class Evidence(ABC):
    """Distances of one kind. `first` and `second` are the candidates, places among those that are compared."""

    kind: int
    threshold: float
    first: Places
    second: Places
    distance: Float

    def scores(self, first: Places, second: Places, stop: Callable[[], bool]) -> tuple[Float, Float, NDArray[np.bool_]]:
        """Score, likeness and whether mirrored, of any pairs."""
        distance, likeness, mirrored = self.measure(first, second, stop)
        return self.scaled(distance), likeness, mirrored

    def scaled(self, distance: Float) -> Float:
        safe = np.maximum(distance, 0)
        score: Float = (safe / (safe + self.threshold)).astype(np.float32)
        return score

    @abstractmethod
    def measure(self, first: Places, second: Places, stop: Callable[[], bool]) -> Scores:
        """Distance, likeness and whether mirrored, of any pairs."""

    def _settle(self, count: int, deviations: float, bounds: tuple[float, float]) -> None:
        best = np.full(count, np.inf, np.float32)
        np.minimum.at(best, self.first, self.distance)
        np.minimum.at(best, self.second, self.distance)
        self.threshold = threshold(best, deviations, bounds)


class Look(Evidence):
    kind = LOOK

    def __init__(self, even: Float, odd: Float, pictures: NDArray[np.uint8] | None, rows: Places) -> None:
        self.even, self.odd, self.pictures, self.rows = even, odd, pictures, rows

    def search(self, k: int, exact_rows: int, stop: Callable[[], bool]) -> None:
        places, similarity = neighbours(self.even, self.odd, k=min(k, _LOOKS), exact_rows=exact_rows, stop=stop)
        first, second, value = unique_pairs(places, similarity)
        if self.pictures is not None:
            # Laying over is dear: each sample's best, and of the others as many again.
            best = np.zeros(len(first), bool)
            best[firsts(first, second, value, len(self.rows))] = True
            others = np.flatnonzero(~best)
            others = others[np.argsort(-value[others], kind="stable")[: len(self.rows) // 4]]
            chosen = np.sort(np.concatenate([np.flatnonzero(best), others]))
            first, second = first[chosen], second[chosen]
        self.first, self.second = first, second
        self.distance, self.likeness, self.mirrored = self.measure(first, second, stop)
        bounds = _HASH_BOUNDS if self.pictures is None else _LOOK_BOUNDS
        self._settle(len(self.rows), LOOK_DEVIATIONS, bounds)

    def measure(self, first: Places, second: Places, stop: Callable[[], bool]) -> Scores:
        turn = _products(self.odd, first, second)
        mirrored = turn < 0
        if self.pictures is not None:
            likeness = agreement(self.pictures, self.rows[first], self.rows[second], mirrored, stop=stop)
        else:
            likeness = ((1 + _products(self.even, first, second) + np.abs(turn)) / 2).astype(np.float32)
            nothing = ~(self.even[first].any(axis=1) & self.even[second].any(axis=1))
            likeness[nothing] = 0
        distance: Float = np.float32(1) - likeness
        return distance, likeness, mirrored


class Vector(Evidence):
    kind = VECTOR

    def __init__(self, unit: Float, whitening: tuple[Float, Float] | None) -> None:
        self.unit, self.whitening = unit, whitening
        self.there: NDArray[np.bool_] = np.asarray(unit.any(axis=1))

    def search(self, k: int, exact_rows: int, stop: Callable[[], bool]) -> None:
        places, similarity = neighbours(self.unit, k=k, exact_rows=exact_rows, stop=stop)
        # What is usual around a row: the median distance of its neighbours but the first.
        rest = similarity[:, 1:] if similarity.shape[1] > 1 else similarity
        rest = np.where(np.isfinite(rest), 1 - rest, np.nan)
        usual = np.full(len(rest), np.nan, np.float32)
        some = np.isfinite(rest).any(axis=1)
        usual[some] = np.nanmedian(rest[some], axis=1)
        self.usual = np.log(np.maximum(usual, _SAME_VECTOR))
        self.usual[~some] = np.nanmedian(self.usual) if some.any() else 0
        self.first, self.second, _ = unique_pairs(places, similarity)
        self.ratio = np.float32(0)
        if self.whitening is not None and len(self.first):
            plain = self._cosine_distance(self.first, self.second)
            white = self._white_distance(self.first, self.second)
            # Both on one scale.
            self.ratio = np.float32(np.median(np.log(plain)) - np.median(np.log(white)))
        self.distance, self.likeness, self.mirrored = self.measure(self.first, self.second, stop)
        self._settle(len(self.unit), VECTOR_DEVIATIONS, (np.sqrt(_SAME_VECTOR), np.inf))

    def measure(self, first: Places, second: Places, stop: Callable[[], bool]) -> Scores:
        plain = self._cosine_distance(first, second)
        distance = np.log(plain)
        if self.whitening is not None:
            distance = (distance + np.log(self._white_distance(first, second)) + self.ratio) / 2
        distance = np.exp(distance - (self.usual[first] + self.usual[second]) / 4).astype(np.float32)
        distance[~(self.there[first] & self.there[second])] = np.nan
        return distance, 1 - plain, np.zeros(len(first), bool)

    def _cosine_distance(self, first: Places, second: Places) -> Float:
        distance: Float = np.maximum(1 - _products(self.unit, first, second), _SAME_VECTOR)
        return distance

    def _white_distance(self, first: Places, second: Places) -> Float:
        assert self.whitening is not None
        mean, matrix = self.whitening
        result = np.empty(len(first), np.float32)
        for start in range(0, len(first), _BLOCK):
            part = slice(start, start + _BLOCK)
            one, other = ((self.unit[side[part]] - mean) @ matrix for side in (first, second))
            lengths = np.sqrt(np.einsum("ij,ij->i", one, one) * np.einsum("ij,ij->i", other, other))
            result[part] = 1 - np.einsum("ij,ij->i", one, other) / np.maximum(lengths, 1e-12)
        distance: Float = np.maximum(result, _SAME_VECTOR)
        return distance


def unique_pairs(places: NDArray[np.int32], similarity: Float) -> tuple[Places, Places, Float]:
    """Lists of neighbours as pairs, the smaller row first, each once."""
    count, k = places.shape
    row = np.repeat(np.arange(count, dtype=np.int64), k)
    other, value = places.ravel().astype(np.int64), similarity.ravel()
    there = other >= 0
    row, other, value = row[there], other[there], value[there]
    keys, at = np.unique(np.minimum(row, other) * count + np.maximum(row, other), return_index=True)
    return keys // max(count, 1), keys % max(count, 1), value[at]


def firsts(first: Places, second: Places, value: Float, count: int) -> Places:
    """The pairs that are the most similar of one of their rows."""
    order = np.argsort(value, kind="stable")
    best = np.full(count, -1, np.int64)
    for side in (first, second):
        at = side[order]
        better = (best[at] < 0) | (value[order] >= value[best[at]])
        best[at[better]] = order[better]
    return np.unique(best[best >= 0])


def _products(rows: Float, first: Places, second: Places) -> Float:
    result = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        result[part] = np.einsum("ij,ij->i", rows[first[part]], rows[second[part]])
    return result


def looks(
    pictures: NDArray[np.uint8] | None,
    hashes: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None,
    rows: Places,
    k: int,
    exact_rows: int,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> Look | None:
    if (pictures is None and hashes is None) or len(rows) < 2:
        return None
    tell(f"Comparing the look of {len(rows):,} pictures")
    if pictures is not None:
        look = Look(*small_parts(pictures, rows), pictures, rows)
    else:
        assert hashes is not None
        look = Look(*hash_parts(np.asarray(hashes[0])[rows], np.asarray(hashes[1])[rows]), None, rows)
    look.search(k, exact_rows, stop)
    return look


def close_vectors(
    vectors: NDArray[Any] | None,
    rows: Places,
    k: int,
    exact_rows: int,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
) -> Vector | None:
    if vectors is None or len(rows) < 2:
        return None
    tell(f"Comparing {len(rows):,} vectors")
    unit = np.empty((len(rows), vectors.shape[1]), np.float32)
    for start in range(0, len(rows), _BLOCK):
        part = vectors[rows[start : start + _BLOCK]].astype(np.float32)
        part[~np.isfinite(part).all(axis=1)] = 0
        part /= np.maximum(np.abs(part).max(axis=1, keepdims=True), 1e-30)  # or squares would not be finite
        unit[start : start + len(part)] = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-30)
    vector = Vector(unit, _whitening(unit))
    vector.search(k, exact_rows, stop)
    return vector


def _whitening(unit: Float) -> tuple[Float, Float] | None:
    """Mean and matrix D x D; None where rows are too few to know D directions."""
    some = unit[:: max(1, len(unit) // _WHITEN_FROM)]
    some = some[some.any(axis=1)]
    dimension = unit.shape[1]
    if len(some) < 8 * dimension:
        return None
    mean = some.mean(axis=0)
    values, directions = np.linalg.eigh(np.cov(some - mean, rowvar=False).astype(np.float64))
    # Directions with next to nothing in them hold rounding.
    values = np.maximum(values, 0) + 1e-6 * max(float(values.max()), 1e-12)
    return mean, (directions / np.sqrt(values)).astype(np.float32)


def small_parts(pictures: NDArray[np.uint8], rows: Places) -> tuple[Float, Float]:
    """8 x 8 pixels less their mean, of length 1: what mirroring leaves, and what it turns. N x 96 each (grey: 32)."""
    side = pictures.shape[1]
    cell = side // _LOOK_SIDE
    channels = pictures.shape[3] if pictures.ndim == 4 else 1
    half = _LOOK_SIDE // 2
    even, odd = (np.empty((len(rows), _LOOK_SIDE * half * channels), np.float32) for _ in range(2))
    for start in range(0, len(rows), _BLOCK):
        part = pictures[rows[start : start + _BLOCK]]
        part = part.reshape(len(part), _LOOK_SIDE, cell, _LOOK_SIDE, cell, channels)
        small = part.mean(axis=(2, 4), dtype=np.float32)
        small -= small.mean(axis=(1, 2, 3), keepdims=True)
        length = np.sqrt((small * small).sum(axis=(1, 2, 3), keepdims=True))
        # Even pictures have no look: all of them would be alike.
        small = np.where(length > _LOOK_SIDE * np.sqrt(channels), small / np.maximum(length, 1e-9), 0)
        left, right = small[:, :, :half], small[:, :, half:][:, :, ::-1]
        at = slice(start, start + len(part))
        even[at] = ((left + right) / np.sqrt(2)).reshape(len(part), -1)
        odd[at] = ((left - right) / np.sqrt(2)).reshape(len(part), -1)
    return even, odd


def hash_parts(dhash: NDArray[np.uint64], phash: NDArray[np.uint64]) -> tuple[Float, Float]:
    """The 128 bits of two hashes as +-1/sqrt(128): what mirroring leaves, and what it turns. N x 64 each.

    A mirrored picture has the differences of `dhash` from right to left with the other sign, and in `phash` the other
    sign of every odd frequency across (nearly: their median, where the bits part, is near 0). So no hash of the mirror
    image is needed. Products of such rows are 1 - 2 x the share of differing bits.
    """
    rows = [
        (np.unpackbits(np.asarray(values, ">u8").view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1)
        for values in (dhash, phash)
    ]
    across, waves = (values.reshape(-1, 8, 8) / np.float32(np.sqrt(128)) for values in rows)
    left, right = across[:, :, :4], across[:, :, 4:][:, :, ::-1]
    even = np.concatenate([(left - right) / np.sqrt(2), waves[:, :, 1::2]], axis=2).reshape(-1, 64)
    odd = np.concatenate([(left + right) / np.sqrt(2), waves[:, :, ::2]], axis=2).reshape(-1, 64)
    nothing = (np.asarray(dhash) == 0) & (np.asarray(phash) == 0)
    even[nothing] = odd[nothing] = 0
    return even.astype(np.float32), odd.astype(np.float32)
