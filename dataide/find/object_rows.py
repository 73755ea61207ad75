"""What a search says of objects, as issues of their samples: one for each sample, with a finding for each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataide.core.repairs import in_words
from dataide.storage import findings
from dataide.storage.issues import Found
from dataide.storage.object_tables import BOX
from dataide.storage.query import listed

if TYPE_CHECKING:
    from dataide.find.families import Materials
    from dataide.storage.database import Database

WARNING = "warning"
NOTHING, RELABEL, DELETE = "none", "relabel", "delete"
# Of so many relabelled objects of one sample it is said which label becomes which.
_NAMED = 2


@dataclass
class Told:
    """What is said of objects, and what would mend them: arrays and lists of one length.

    Attributes:
        rows: places in `SeenObjects`, each once.
        score: 0..1, low is severe.
        message: one sentence about each.
        act: "none", "relabel" or "delete".
        label: the new one, None for none.
        confidence: of what is proposed, 0..1; NaN where nothing says how sure it is.
        other: number of the object that it is compared with, -1 for none.
    """

    rows: NDArray[np.int64]
    score: NDArray[np.float32]
    message: Sequence[str]
    act: Sequence[str]
    label: Sequence[str | None]
    confidence: NDArray[np.float32]
    other: NDArray[np.int64]

    @classmethod
    def hints(cls, rows: np.ndarray, score: np.ndarray, message: Sequence[str]) -> Told:
        """Said, and nothing proposed."""
        count = len(rows)
        return cls(
            np.asarray(rows, np.int64), np.asarray(score, np.float32), message, [NOTHING] * count, [None] * count,
            np.full(count, np.nan, np.float32), np.full(count, -1, np.int64),
        )  # fmt: skip


def as_issues(
    materials: Materials, kind: str, told: Told, judged: np.ndarray, scores: np.ndarray | None = None
) -> Found:
    """Issues of samples: by the severest finding, with all of them beside it.

    What is known of objects of these samples that were not looked at now stays, as far as it holds.

    Args:
        materials: of the search.
        kind: of the issues.
        told: of objects.
        judged: places in `SeenObjects` of all that something can be said of; where `scores` are given their samples
            get a row that is no issue, for the order by severity.
        scores: of these, 0..1.
    """
    seen, nos = materials.seen_objects, materials.looked.nos
    labels = [seen.classes[no] if no >= 0 else None for no in seen.label_nos[told.rows].tolist()]
    kept = _kept(materials.database, kind, nos, seen.nos[seen.asked]) if not seen.asked.all() else _Kept.none()
    place = np.concatenate([seen.samples[told.rows], np.searchsorted(nos, kept.sample_no)]).astype(np.int64)
    score = np.concatenate([told.score, kept.score]).astype(np.float32)
    message, act = [*told.message, *kept.message], [*told.act, *kept.act]
    before, after = [*labels, *kept.before], [*told.label, *kept.label]
    sure = np.concatenate([told.confidence, kept.confidence])
    objects = np.concatenate([seen.nos[told.rows].astype(np.int64), kept.object_no])
    other = np.concatenate([told.other, kept.other_no])
    table = findings.table(
        nos[place], objects, other, [kind.removeprefix("object_")] * len(place), [WARNING] * len(place), score,
        message, act, np.full((len(place), 4), np.nan), after,
    )  # fmt: skip
    lowest = np.full(len(nos), np.inf, np.float32)
    if scores is not None:
        np.minimum.at(lowest, seen.samples[judged], scores.astype(np.float32))
    flagged = np.zeros(len(nos), bool)
    flagged[place] = True
    # Where something is told, what is told counts: an object below it may have been left alone for good reason.
    lowest[flagged] = np.inf
    np.minimum.at(lowest, place, score)
    rows = np.flatnonzero(np.isfinite(lowest))
    row_of = np.full(len(nos), -1, np.int64)
    row_of[rows] = np.arange(len(rows))
    reasons: dict[int, str] = {}
    words: dict[str, int] = {}
    proposal = np.full(len(rows), -1, np.int32)
    confidence = np.full(len(rows), -1.0, np.float32)
    order = np.lexsort((score, place))
    # Where one sample's findings end and those of the next begin.
    bounds = [0, *(np.flatnonzero(np.diff(place[order])) + 1).tolist(), len(order)] if len(order) else []
    for begin, end in pairwise(bounds):
        members = order[begin:end].tolist()
        row, more = int(row_of[place[members[0]]]), len(members) - 1
        reasons[row] = message[members[0]] + (f" And {more} more object{'s' if more > 1 else ''}." if more else "")
        mending = [one for one in members if act[one] != NOTHING]
        if mending:
            text = _proposed([(act[one], before[one], after[one]) for one in mending])
            proposal[row] = words.setdefault(text, len(words))
            # As sure as the least sure: they are accepted together.
            known = sure[mending]
            confidence[row] = known.min() if np.isfinite(known).all() else -1.0
    return Found(
        nos[rows], lowest[rows], flagged[rows], proposal=proposal, confidence=confidence, words=list(words),
        reasons=reasons, findings=table,
    )  # fmt: skip


def _proposed(mending: Sequence[tuple[str, str | None, str | None]]) -> str:
    """cat → dog: what is proposed for one sample, in words."""
    if len(mending) <= _NAMED and all(act == RELABEL for act, _, _ in mending):
        return ", ".join(f"{before or 'no label'} → {after}" for _, before, after in mending)
    return in_words([act for act, _, _ in mending])


@dataclass
class _Kept:
    """Findings of an earlier search that stay, as lists and arrays of one length."""

    sample_no: NDArray[np.uint32]
    object_no: NDArray[np.int64]
    other_no: NDArray[np.int64]
    score: NDArray[np.float32]
    confidence: NDArray[np.float32]
    message: list[str]
    act: list[str]
    before: list[str | None]
    label: list[str | None]

    @classmethod
    def none(cls) -> _Kept:
        numbers, real = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(np.empty(0, np.uint32), numbers, numbers, real, real, [], [], [], [])


def _kept(database: Database, kind: str, nos: np.ndarray, asked: np.ndarray) -> _Kept:
    """What holds of other objects of these samples than the ones that are asked about."""
    seen = "struct_pack(label := o.label, " + ", ".join(f"{side} := o.{side}" for side in BOX) + ")"
    sql = (
        "SELECT f.sample_no, f.object_no, f.other_no, f.score, i.confidence, f.message, f.act, o.label, f.label "
        "FROM data.finding f JOIN data.issue i ON i.kind = f.kind AND i.sample_no = f.sample_no "
        "JOIN data.object o ON o.object_no = f.object_no AND NOT o.removed "
        f"WHERE f.kind IN {listed([kind])} AND f.seen IS NOT DISTINCT FROM {seen} "
        "AND f.sample_no IN (SELECT sample_no FROM looked) AND f.object_no NOT IN (SELECT object_no FROM asked) "
        "ORDER BY f.object_no"
    )
    frames = {"looked": {"sample_no": np.ascontiguousarray(nos, np.uint32)},
              "asked": {"object_no": np.ascontiguousarray(asked, np.uint32)}}  # fmt: skip
    with database.query(sql, frames=frames) as cursor:
        rows = cursor.fetchall()
    if not rows:
        return _Kept.none()
    sample, thing, other, score, sure, message, act, before, after = zip(*rows, strict=True)
    return _Kept(
        np.asarray(sample, np.uint32), np.asarray(thing, np.int64),
        np.asarray([-1 if one is None else one for one in other], np.int64), np.asarray(score, np.float32),
        np.asarray([np.nan if one is None else one for one in sure], np.float32),
        list(message), list(act), list(before), list(after),
    )  # fmt: skip
