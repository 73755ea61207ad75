"""Issues of one kind as columns of numbers, to be sorted, counted and thresholded in memory; and the rows of a page.

The columns are read once for each version of the answers: 24 bytes and some for each issue, a tenth of a second for a
million samples. Words stay in the file: what stands for a label and its proposal is a number, and a sample to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dataide.storage import issues
from dataide.storage.issues import CURES, EXCLUDE, STATES, State

if TYPE_CHECKING:
    from dataide.storage.database import Database

Order = Literal["severity", "confidence"]
ORDERS: tuple[Order, ...] = ("severity", "confidence")
# Of these kinds an issue is about several samples at once, and a list has an entry for each group.
GROUPED = frozenset({"near_duplicate", "leak"})
BINS = 20
NO_GROUP = -1
UNKNOWN = 255
# A file that somebody sent may hold numbers that are none: these are no suspicion.
_SCORE = "CASE WHEN isfinite(i.score) THEN i.score ELSE 1 END"
_CONFIDENCE = "CASE WHEN isfinite(i.confidence) THEN i.confidence END"


@dataclass(frozen=True, slots=True)
class Columns:
    """All issues of one kind, whatever their state, in no order.

    Attributes:
        kind: of issue.
        nos: sample numbers, each once; uint32, shape (n,).
        score: 0..1, low = severe; float32, shape (n,).
        sure: confidence of the proposal; 1 where a proposal has none, 0 without a proposal; float32, shape (n,).
        state: place in `issues.STATES`; uint8, shape (n,).
        group: of duplicates, or -1; int64, shape (n,).
        changes: open, and accepting it changes the sample; bool, shape (n,).
        pair: a number for label and proposal together; int64, shape (n,).
        has_confidence: whether any proposal says how sure it is.
        states: by sample number the place in `issues.STATES`, also of samples that were excluded since and are in no
            list any more; `UNKNOWN` without an issue; uint8.
    """

    kind: str
    nos: NDArray[np.uint32]
    score: NDArray[np.float32]
    sure: NDArray[np.float32]
    state: NDArray[np.uint8]
    group: NDArray[np.int64]
    changes: NDArray[np.bool_]
    pair: NDArray[np.int64]
    has_confidence: bool
    states: NDArray[np.uint8]

    def state_of(self, no: int) -> State:
        """The state of one sample's issue; stale where it has none any more."""
        place = int(self.states[no]) if 0 <= no < len(self.states) else UNKNOWN
        return "stale" if place == UNKNOWN else STATES[place]

    def chosen(
        self,
        states: Sequence[State] = ("open",),
        confidence: float = 0.0,
        score: float = 1.0,
        group: int | None = None,
    ) -> NDArray[np.bool_]:
        """Which of the rows are in one of these states, and sure and severe enough: the same as `issues.chosen`."""
        marks = np.isin(self.state, [STATES.index(state) for state in states])
        marks &= (self.sure >= np.float32(confidence)) & (self.score <= np.float32(score))
        if group is not None:
            marks &= self.group == group
        return marks


def columns(database: Database, kind: str) -> Columns:
    """The issues of one kind, as they are now."""
    if CURES.get(kind) == issues.OBJECTS:
        changes = "i.proposal IS NOT NULL"
    elif CURES.get(kind) == "label":
        changes = "i.proposal IS NOT NULL AND i.label IS DISTINCT FROM i.proposal"
    else:
        changes = f"coalesce(i.proposal = '{EXCLUDE}' AND NOT i.excluded, false)" if kind in CURES else "false"
    sql = (
        f"SELECT i.sample_no, {_SCORE} AS score, i.confidence IS NOT NULL AS confident, "
        f"CAST(coalesce({_CONFIDENCE}, CASE WHEN i.proposal IS NULL THEN 0 ELSE 1 END) AS FLOAT) AS sure, "
        "CAST(list_position($states, i.state) - 1 AS UTINYINT) AS state, "
        f"CAST(coalesce(i.group_no, {NO_GROUP}) AS BIGINT) AS group_no, "
        f"i.state = 'open' AND ({changes}) AS changes, "
        "CAST(hash(i.label, i.proposal) >> 1 AS BIGINT) AS pair, i.excluded AND i.state <> 'accepted' AS hidden "
        "FROM data.issue_now i WHERE i.is_issue AND i.kind = $kind"
    )
    with database.query(sql, {"states": list(STATES), "kind": kind}) as cursor:
        found = cursor.fetchnumpy()
    there = len(found["sample_no"]) > 0
    states = np.full(int(found["sample_no"].max()) + 1 if there else 0, UNKNOWN, np.uint8)
    states[found["sample_no"]] = found["state"]
    if np.any(found["hidden"]):  # what was excluded for another reason is no longer asked about
        shown = np.flatnonzero(~np.asarray(found["hidden"], np.bool_))
        found = {name: column[shown] for name, column in found.items()}
    return Columns(
        kind,
        np.asarray(found["sample_no"], np.uint32),
        np.asarray(found["score"], np.float32),
        np.asarray(found["sure"], np.float32),
        np.asarray(found["state"], np.uint8),
        np.asarray(found["group_no"], np.int64),
        np.asarray(found["changes"], np.bool_),
        np.asarray(found["pair"], np.int64),
        bool(np.any(found["confident"])),
        states,
    )


def arranged(known: Columns, state: State, order: Order) -> NDArray[np.int64]:
    """The entries of a list, first the most severe or the surest: sample numbers, or group numbers of `GROUPED` kinds.

    A group stands where its first sample does, and is listed while any of its samples is in this state.
    """
    rows = np.flatnonzero(known.state == STATES.index(state))
    keys = [known.nos[rows], known.score[rows]]
    if order == "confidence":
        keys.append(-known.sure[rows])
    rows = rows[np.lexsort(keys)]
    if known.kind not in GROUPED:
        return known.nos[rows].astype(np.int64)
    groups = known.group[rows]
    _, first = np.unique(groups, return_index=True)
    entries: NDArray[np.int64] = groups[np.sort(first)]
    return entries


def standing(known: Columns, state: State, entries: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries of a list that was made earlier are still in its state."""
    if not len(entries):
        return np.zeros(0, np.bool_)
    of = known.group if known.kind in GROUPED else known.nos
    present = of[known.state == STATES.index(state)].astype(np.int64)
    marks = np.zeros(int(max(entries.max(), present.max(initial=0))) + 1, np.bool_)
    marks[present[present >= 0]] = True
    still: NDArray[np.bool_] = marks[entries]
    return still


@dataclass(frozen=True, slots=True)
class Change:
    """What accepting does to how many samples: `before` and `after` are labels; `after` is None where it leaves out."""

    before: str | None
    after: str | None
    count: int


def changes(database: Database, known: Columns, marks: NDArray[np.bool_], most: int) -> tuple[list[Change], int]:
    """What accepting the marked rows changes, the most frequent first, and how many other such changes there are."""
    rows = np.flatnonzero(marks & known.changes)
    pairs, first, counts = np.unique(known.pair[rows], return_index=True, return_counts=True)
    top = np.argsort(-counts, kind="stable")[:most]
    found = rows_of(database, known.kind, nos=known.nos[rows[first[top]]].tolist())
    made = []
    for place in top.tolist():
        row = found.get(int(known.nos[rows[first[place]]]))
        if row is not None:
            after = None if CURES[known.kind] == "excluded" else row.proposal
            made.append(Change(row.given, after, int(counts[place])))
    return made, len(pairs) - len(top)


def histogram(known: Columns) -> NDArray[np.int64]:
    """How many proposals that would change something lie in each twentieth, by confidence, or by severity (1 - score)
    where proposals have no confidence; int64, shape (20,)."""
    values = known.sure if known.has_confidence else 1 - known.score
    counts: NDArray[np.int64] = np.histogram(values[known.changes], bins=BINS, range=(0, 1))[0].astype(np.int64)
    return counts


@dataclass(frozen=True, slots=True)
class Row:
    """One issue of one sample, as a list shows it. `given` is the label that was looked at."""

    no: int
    given: str | None
    proposal: str | None
    confidence: float | None
    score: float
    reason: str | None
    group: int | None


def rows_of(
    database: Database, kind: str, *, nos: Sequence[int] = (), groups: Sequence[int] = (), most: int = 1_000
) -> dict[int, Row]:
    """The issues of one kind of some samples, or of all samples of some groups: by sample number, the one that stays
    first. Excluded samples as well. How they stand `Columns` know: the answers of a million samples need not be read
    for a page.

    Args:
        database: the session's.
        kind: of issue.
        nos: sample numbers.
        groups: numbers of groups.
        most: of each group.
    """
    # Numbers written out reach the scan as a filter; as a table to join with they would be met only after it.
    wanted = ", ".join(str(int(one)) for one in (groups or nos))
    if not wanted:
        return {}
    column = "i.group_no" if groups else "i.sample_no"
    inside = "ORDER BY i.proposal DESC, i.sample_no"
    few = f"QUALIFY row_number() OVER (PARTITION BY i.group_no {inside}) <= {int(most)}" if groups else ""
    sql = (
        f"SELECT i.sample_no, i.label, i.proposal, {_CONFIDENCE}, {_SCORE}, i.reason, i.group_no "
        f"FROM data.issue i WHERE i.is_issue AND i.kind = $kind AND {column} IN ({wanted}) {few} {inside}"
    )
    with database.query(sql, {"kind": kind}) as cursor:
        return {int(no): Row(int(no), *values) for no, *values in cursor.fetchall()}
