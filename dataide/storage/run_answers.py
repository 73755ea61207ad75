"""What a run said of samples beside what people say: class numbers, confidences, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage import arrow_arrays
from dataide.storage.documented import quoted
from dataide.storage.run_tables import Run, stale

if TYPE_CHECKING:
    from dataide.storage.database import Database

_BATCH = 8_192
_UNKNOWN = -2


@dataclass(frozen=True, eq=False)
class Answers:
    """Samples with a result of their present picture by the latest revision, and a label that the run has a class for.

    Attributes:
        nos: uint32, ascending.
        labels, predicted: int64, class numbers.
        confidence: float32, of the predicted class.
        groups: int64, equal for samples of one group; None where nobody asked.
        asked: samples that were asked for.
        unpredicted: of these, without a result.
        stale: with a result of an earlier picture or revision.
        unlabelled: with a result and no label.
        unknown: labels that the run has no class for, and how many samples have them.
    """

    nos: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    groups: np.ndarray | None
    asked: int
    unpredicted: int
    stale: int
    unlabelled: int
    unknown: dict[str, int]


def answers(database: Database, run: Run, nos: np.ndarray, label: str, groups: str | None = None) -> Answers:
    """Reads what a run of classification said of samples, and their labels.

    Args:
        database: the session's.
        run: of classification.
        nos: sample numbers.
        label: the column of labels; empty texts are none.
        groups: the column that names the group of each; a sample without a value is a group of its own.
    """
    import pyarrow as pa

    value = f"nullif(CAST(s.{quoted(label)} AS VARCHAR), '')"
    grouped = "0, false" if groups is None else f"coalesce(hash(s.{quoted(groups)}), 0), s.{quoted(groups)} IS NULL"
    source = (
        f"FROM {run.table} r JOIN data.sample s USING (sample_no) LEFT JOIN known k ON k.name = {value} "
        "WHERE r.sample_no IN (SELECT sample_no FROM wanted)"
    )
    code = f"coalesce(k.class_no, CASE WHEN {value} IS NULL THEN -1 ELSE {_UNKNOWN} END)::INTEGER"
    first = first_named(run.classes)
    numbers = np.unique(first)
    names_of = [run.classes[number] for number in numbers.tolist()]
    frames = {
        "wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)},
        "known": pa.table({"name": arrow_arrays.text(names_of), "class_no": arrow_arrays.numbers(numbers, np.int32)}),
    }
    columns = f"r.sample_no, {code}, r.class_no, r.confidence, {stale(run)}, {grouped}"
    names = ("sample_no", "code", "class_no", "confidence", "stale", "bunch", "alone")
    sql = f"SELECT * FROM (SELECT {columns} {source}) AS found({', '.join(names)})"
    with database.query(sql, frames=frames) as cursor:
        found = {name: np.asarray(values) for name, values in cursor.fetchnumpy().items()}
    fresh = ~found["stale"]
    codes = found["code"]
    unknown: dict[str, int] = {}
    if (fresh & (codes == _UNKNOWN)).any():
        sql = (
            f"SELECT {value} AS name, count(*) {source} AND k.class_no IS NULL AND {value} IS NOT NULL "
            f"AND NOT {stale(run)} GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        with database.query(sql, frames=frames) as cursor:
            unknown = {str(name): int(count) for name, count in cursor.fetchall()}
    rows = np.flatnonzero(fresh & (codes >= 0))
    rows = rows[np.argsort(found["sample_no"][rows], kind="stable")]
    return Answers(
        found["sample_no"][rows].astype(np.uint32), codes[rows].astype(np.int64),
        first[found["class_no"][rows].astype(np.int64)], found["confidence"][rows].astype(np.float32),
        None if groups is None else _apart(found["bunch"][rows], found["alone"][rows]),
        len(nos), len(nos) - len(codes), int(np.count_nonzero(~fresh)), int(np.count_nonzero(fresh & (codes == -1))),
        unknown,
    )  # fmt: skip


def first_named(classes: Sequence[str]) -> np.ndarray:
    """For each class the number of the first one of its name: ImageNet has two cranes, and labels do not tell them."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, at) for at, name in enumerate(classes)], np.int64)


def probabilities(database: Database, run: Run, nos: np.ndarray) -> np.ndarray:
    """What the run gave each class for these samples, float32 N x classes; NaN where there is no result any more.

    Of several classes of one name the first has the sum, and the others have 0.

    Args:
        database: the session's.
        run: of classification.
        nos: sample numbers, ascending.
    """
    wanted = np.ascontiguousarray(nos, np.uint32)
    given = np.empty((len(wanted), max(len(run.classes), 1)), np.float32)
    there = np.zeros(len(wanted), bool)
    sql = f"SELECT sample_no, probabilities FROM {run.table}"
    frames: dict[str, dict[str, np.ndarray]] = {}
    if len(wanted) and int(wanted[-1]) - int(wanted[0]) < 2 * len(wanted):
        # Most of a stretch: to read all of it and leave some takes half the time of looking each one up.
        sql += f" WHERE sample_no BETWEEN {int(wanted[0])} AND {int(wanted[-1])}"
    else:
        sql += " WHERE sample_no IN (SELECT sample_no FROM wanted)"
        frames = {"wanted": {"sample_no": wanted}}
    with database.batches(sql, _BATCH, frames=frames) as batches:
        for batch in batches:
            numbers, values = batch.column(0), batch.column(1).flatten()
            if not len(numbers):
                continue
            arrived = np.frombuffer(numbers.buffers()[1], np.uint32, len(numbers), numbers.offset * 4)
            flat = np.frombuffer(values.buffers()[1], np.float32, len(values), values.offset * 4)
            rows = flat.reshape(len(arrived), -1)
            place = np.searchsorted(wanted, arrived)
            known = place < len(wanted)
            known[known] = wanted[place[known]] == arrived[known]
            if known.all() and (np.diff(place) == 1).all():
                stretch = slice(place[0], place[-1] + 1)
                given[stretch], there[stretch] = rows, True
            else:
                given[place[known]], there[place[known]] = rows[known], True
    given[~there] = np.nan
    first = first_named(run.classes)
    for number in np.flatnonzero(first != np.arange(len(first))).tolist():
        given[:, first[number]] += given[:, number]
        given[:, number] = 0
    return given


def _apart(bunch: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Numbers of groups; samples without one get a number each."""
    codes = np.unique(bunch, return_inverse=True)[1].astype(np.int64)
    codes[alone] = len(bunch) + np.arange(np.count_nonzero(alone))
    return codes
