"""Near duplicates: the same bytes, the same picture in another file, and pictures whose vectors lie unusually close.

Three kinds of evidence, each ranked on a scale of its own where 0 is the same thing and 0.5 the threshold:

1. **exact**: equal content hashes. Copies are put together first; only one of them is searched for.
2. **look**: no model at all. Candidates by the 8 x 8 pixels of a small picture, mirror images included (or by the two
   perceptual hashes, where there are no pictures). They are then laid over each other (`alignment.py`), and the
   distance is one less the correlation of their edges.
3. **vector**: cosine distance, and cosine distance after whitening, each divided by the square root of what is usual
   around the two: far rows need less to be close. Ranking by distance alone puts dense regions first. Whitening as in
   H. Jégou and O. Chum, "Negative Evidences and Co-occurrences in Image Retrieval: the Benefit of PCA and Whitening",
   ECCV 2012; local scales as in L. Zelnik-Manor and P. Perona, "Self-Tuning Spectral Clustering", NIPS 2004,
   section 2.

**Threshold.** The logarithm of each sample's best distance is about normal among pictures that have no duplicate. Its
median and lower quartile, which a few duplicates do not move, say where the lowest part of a normal curve ends:
`LOOK_DEVIATIONS` and `VECTOR_DEVIATIONS` below the median. For `look` the threshold also stays within absolute bounds,
so that a set in which every picture has a copy is seen as one.

**Groups.** Each member is a near duplicate of the group's centre by the same measure and threshold: chains of pictures,
each like the next, fall into several groups. Centres are taken greedily, the one with most links first (star clusters:
J. Aslam, E. Pelekhov and D. Rus, "The Star Clustering Algorithm", J. Graph Algorithms and Applications 8(1), 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import DataideError
from dataide.find.evidence import EXACT, KINDS, LOOK, VECTOR, Look, Scores, Vector, close_vectors, firsts, looks
from dataide.find.grouping import best_of_groups, of_values, same_content, stars
from dataide.find.pairs import EXACT_ROWS, never

Float = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Duplicates:
    """What was found among N samples.

    Attributes:
        first, second: int64, P pairs of rows, first < second: all flagged ones, and the best pair of each sample.
        score: float32, P, 0..1, ascending: 0 the same bytes, below 0.5 flagged.
        kind: uint8, P: the evidence that the score comes from, a place in `KINDS`.
        likeness: float32, P, 0..1: for look the correlation of edges (hashes: the share of equal bits), for vector the
            cosine similarity, for exact 1.
        mirrored: bool, P: alike by look when one is mirrored.
        group: int32, N: number of the group, -1 for none.
        keep: bool, N: the one of its group proposed to keep.
        leak: bool, N: its group is in more than one split.
        conflict: bool, N: its group has more than one label.
        sample_score: float32, N: the score of its best pair; 1 where it has none.
        partner: int64, N: the other one of that pair, -1 where it has none.
        thresholds: by kind, the distance that scores 0.5.
    """

    first: Places
    second: Places
    score: Float
    kind: NDArray[np.uint8]
    likeness: Float
    mirrored: NDArray[np.bool_]
    group: NDArray[np.int32]
    keep: NDArray[np.bool_]
    leak: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    sample_score: Float
    partner: Places
    best_pair: Places = field(repr=False)
    thresholds: dict[str, float] = field(default_factory=dict)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max(initial=-1)) + 1

    def reason(self, row: int, name: Callable[[int], str] = str) -> str:
        """One sentence about a sample; `name` says what its partner is called. Empty where it has no pair."""
        pair = int(self.best_pair[row])
        if pair < 0:
            return ""
        other, kind, likeness = name(int(self.partner[row])), int(self.kind[pair]), float(self.likeness[pair])
        if kind == EXACT:
            text = f"The same bytes as {other}"
        elif kind == LOOK:
            turned = " mirrored" if self.mirrored[pair] else ""
            text = f"Looks like {other}{turned}: {100 * likeness:.1f} % agree"
        else:
            text = f"Its vector is unusually close to that of {other}: similarity {likeness:.3f}"
        if self.leak[row]:
            text += ", and copies are in different splits"
        if self.conflict[row]:
            text += ", and copies have different labels"
        return text + "."


def find_near_duplicates(
    *,
    content: Sequence[str | None] | None = None,
    pictures: NDArray[np.uint8] | None = None,
    hashes: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None,
    vectors: NDArray[Any] | None = None,
    labels: Sequence[Any] | None = None,
    splits: Sequence[Any] | None = None,
    area_px: NDArray[Any] | None = None,
    sharpness: NDArray[Any] | None = None,
    k: int = 10,
    exact_rows: int = EXACT_ROWS,
    say: Callable[[str], None] | None = None,
    stop: Callable[[], bool] = never,
) -> Duplicates:
    """Pairs and groups of near duplicates among N samples; methods and papers stand at the head of this file.

    Args:
        content: N hashes of the encoded bytes; None or "" where there is none.
        pictures: uint8 N x S x S (grey) or N x S x S x 3, S a multiple of 8: whole pictures squashed to squares, as
            `descriptor.canvas` makes them (S = 32). With smaller ones cropped copies are not told from other pictures.
        hashes: `dhash` and `phash` of `attributes.describe`, uint64 N each; looked at where there are no pictures. A
            pair of zeros is of an even picture, or of none, and says nothing.
        vectors: N x D of any float type; zeros or NaN where there is none.
        labels: N; None, NaN and "" are missing. Groups with two labels are in `conflict`.
        splits: N, likewise. Groups in two splits are in `leak`.
        area_px: N, width x height of the originals: of a group the labelled one is kept, of these the largest, of these
            the sharpest, of these the first.
        sharpness: N, likewise.
        k: how many neighbours of each sample are candidates.
        exact_rows: see `pairs.neighbours`.
        say: told what is being done.
        stop: asked now and then; when it says yes, `pairs.Stopped` is raised.

    Raises:
        DataideError: nothing to compare was given, or inputs differ in length; code "wrong_shape".
    """
    count = _count(content, pictures, hashes, vectors, labels, splits, area_px, sharpness)
    tell = say or (lambda sentence: None)
    leader = same_content(content, count)
    rows = np.flatnonzero(leader == np.arange(count))
    look = looks(pictures, hashes, rows, k, exact_rows, tell, stop)
    vector = close_vectors(vectors, rows, k, exact_rows, tell, stop)
    found = _Pairs.candidates(look, vector, len(rows), stop)
    copies = np.flatnonzero(leader != np.arange(count))

    tell("Putting near duplicates together")
    order = np.lexsort((found.second, found.first, found.score))
    best = firsts(found.first, found.second, -found.score, len(rows))
    kept = order[(found.score[order] < 0.5) | np.isin(order, best)]
    first, second = rows[found.first[kept]], rows[found.second[kept]]
    links = np.flatnonzero(found.score < 0.5)

    def close(row: int, others: Places) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = _Pairs.any(np.full(len(others), row), others, look, vector, stop).score < 0.5
        return near

    star = stars(found.first[links], found.second[links], len(rows), close, stop)
    group = np.full(count, -1, np.int64)
    group[rows] = star
    group = _with_copies(group, leader, copies)
    result = {
        "first": np.concatenate([leader[copies], np.minimum(first, second)]),
        "second": np.concatenate([copies, np.maximum(first, second)]),
        "score": np.concatenate([np.zeros(len(copies), np.float32), found.score[kept]]),
        "kind": np.concatenate([np.full(len(copies), EXACT, np.uint8), found.kind[kept]]),
        "likeness": np.concatenate([np.ones(len(copies), np.float32), found.likeness[kept]]),
        "mirrored": np.concatenate([np.zeros(len(copies), bool), found.mirrored[kept]]),
    }
    best_pair = np.full(count, -1, np.int64)
    for side in ("second", "first"):
        # Written from the worst to the best, so that the best stays.
        backwards = np.arange(len(result["first"]))[::-1]
        at = result[side][backwards]
        better = (best_pair[at] < 0) | (result["score"][backwards] <= result["score"][best_pair[at]])
        best_pair[at[better]] = backwards[better]
    has = best_pair >= 0
    partner = np.full(count, -1, np.int64)
    partner[has] = result["first"][best_pair[has]] + result["second"][best_pair[has]] - np.flatnonzero(has)
    sample_score = np.ones(count, np.float32)
    sample_score[has] = result["score"][best_pair[has]]
    label_codes, split_codes = of_values(labels, count), of_values(splits, count)
    return Duplicates(
        **result,
        group=group.astype(np.int32),
        keep=best_of_groups(group, label_codes >= 0, area_px, sharpness),
        leak=_differ(group, split_codes),
        conflict=_differ(group, label_codes),
        sample_score=sample_score,
        partner=partner,
        best_pair=best_pair,
        thresholds={KINDS[evidence.kind]: evidence.threshold for evidence in (look, vector) if evidence is not None},
    )


@dataclass
class _Pairs:
    """Pairs of places, with what both kinds of evidence say of them."""

    first: Places
    second: Places
    score: Float
    kind: NDArray[np.uint8]
    likeness: Float
    mirrored: NDArray[np.bool_]

    @classmethod
    def candidates(cls, look: Look | None, vector: Vector | None, count: int, stop: Callable[[], bool]) -> _Pairs:
        """All candidates, each once."""
        kinds = [evidence for evidence in (look, vector) if evidence is not None]
        nothing = np.empty(0, np.int64)
        keys = np.unique(np.concatenate([nothing, *(one.first * count + one.second for one in kinds)]))
        first, second = keys // max(count, 1), keys % max(count, 1)
        looked = None
        if look is not None:
            at = np.searchsorted(keys, look.first * count + look.second)
            looked = np.ones(len(keys), np.float32), np.zeros(len(keys), np.float32), np.zeros(len(keys), bool)
            for values, known in zip(looked, (look.scaled(look.distance), look.likeness, look.mirrored), strict=True):
                values[at] = known
        by_vector = None if vector is None else vector.scores(first, second, stop)
        if look is not None and looked is not None and by_vector is not None:
            # What only vectors say is looked at as well: small pictures alone may not have brought it up.
            near = np.setdiff1d(np.flatnonzero(by_vector[0] < 0.5), at)
            for values, known in zip(looked, look.scores(first[near], second[near], stop), strict=True):
                values[near] = known
        return cls.judged(first, second, looked, by_vector)

    @classmethod
    def any(
        cls, first: Places, second: Places, look: Look | None, vector: Vector | None, stop: Callable[[], bool]
    ) -> _Pairs:
        """These pairs, measured now."""
        looked, by_vector = (None if one is None else one.scores(first, second, stop) for one in (look, vector))
        return cls.judged(first, second, looked, by_vector)

    @classmethod
    def judged(cls, first: Places, second: Places, looked: Scores | None, by_vector: Scores | None) -> _Pairs:
        """One score of two. Beside a vector's, a look counts where it is that of a copy.

        Where vectors disagree the score is a geometric mean, in which they count double; but only as much as the look
        where one is mirrored, as many models tell left from right.
        """
        count = len(first)
        if looked is None or by_vector is None:
            score, likeness, mirrored = looked or by_vector or (np.ones(0, np.float32),) * 2 + (np.zeros(0, bool),)
            kind = np.full(count, LOOK if looked is not None else VECTOR, np.uint8)
            return cls(first, second, score, kind, likeness, mirrored)
        look_score, vector_score = looked[0].copy(), by_vector[0]
        known = np.isfinite(vector_score)
        doubted = known & (vector_score > look_score) & (look_score < 0.5)
        weight = np.where(looked[2], 0.5, 1 / 3).astype(np.float32)
        together = look_score**weight * np.nan_to_num(vector_score, nan=1.0) ** (1 - weight)
        look_score[doubted] = together[doubted]
        by_look = ~known | ((looked[0] < 0.5) & (look_score < vector_score))
        kind = np.where(by_look, LOOK, VECTOR).astype(np.uint8)
        score = np.where(by_look, look_score, vector_score)
        likeness = np.where(by_look, looked[1], by_vector[1])
        return cls(first, second, score, kind, likeness, looked[2] & by_look)


def _with_copies(group: Places, leader: Places, copies: Places) -> Places:
    """Copies of the same bytes join their leader's group, or found one with it; groups are numbered from 0."""
    alone = np.unique(leader[copies])
    alone = alone[group[alone] < 0]
    group[alone] = group.max(initial=-1) + 1 + np.arange(len(alone))
    group[copies] = group[leader[copies]]
    return group


def _differ(group: Places, codes: Places) -> NDArray[np.bool_]:
    """Whether a sample's group has more than one of these codes (-1 is none)."""
    count = int(group.max(initial=-1)) + 1
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, np.int64)
    known = (group >= 0) & (codes >= 0)
    np.minimum.at(low, group[known], codes[known])
    np.maximum.at(high, group[known], codes[known])
    differ: NDArray[np.bool_] = np.append(high > low, False)[group] & (group >= 0)
    return differ


def _count(*given: Any) -> int:
    content, pictures, hashes, vectors = given[:4]
    if pictures is None and hashes is None and vectors is None and content is None:
        raise DataideError(
            "There is nothing to compare: neither content hashes, nor small pictures, hashes or vectors.",
            hint="Embed the view first: view.embed(), or view.enrich('quality') for hashes.",
            code="wrong_shape",
        )
    lengths = {len(one) for one in (content, pictures, vectors, *given[4:]) if one is not None}
    lengths |= {len(one) for one in hashes} if hashes is not None else set()
    if len(lengths) > 1:
        raise DataideError(
            f"Near duplicates are looked for among lists of different lengths: {', '.join(map(str, sorted(lengths)))}.",
            hint="Give one entry a sample in each of them.",
            code="wrong_shape",
        )
    shape = None if pictures is None else pictures.shape
    if shape is not None and (
        len(shape) not in (3, 4) or shape[1] != shape[2] or shape[1] % 8 or not shape[1] or shape[3:] not in ((), (3,))
    ):
        raise DataideError(
            f"Small pictures of shape {shape} cannot be compared.",
            hint="Give uint8 N x S x S or N x S x S x 3, with S a multiple of 8.",
            code="wrong_shape",
        )
    if vectors is not None and vectors.ndim != 2:
        raise DataideError(f"Vectors of shape {vectors.shape} are no table N x D.", code="wrong_shape")
    return int(lengths.pop())
