"""Where a run of a session fails more than by chance, as Views: by its columns and tags, and in regions of vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import EvaluationError, did_you_mean
from dataide.evaluate.figures import Table, counted
from dataide.evaluate.regions import Region, differences, find_regions, told
from dataide.evaluate.runs import classifier, columns_named, left_out, numbers, require
from dataide.evaluate.slices import MOST_CONDITIONS, Slice, find_slices
from dataide.storage import run_answers, runs, vectors

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.core.view import View
    from dataide.storage.run_tables import Run
    from dataide.storage.vectors import Embedding

# Vectors that regions are looked for in; more say little new of two dozen of them.
MOST_VECTORS = 100_000


@dataclass(frozen=True, eq=False, repr=False)
class Failing:
    """Samples among which a run fails more than elsewhere.

    Attributes:
        sentence: what they are and how often it fails, for people.
        where: SQL for `session.where`; None for a region, which has none.
        size: samples in it, of those that were compared.
        metric: part that is wrong, 0 to 1. Of a region: among samples that it was not made from.
        rest: the same of all others.
        interval: 95 %, of metric - rest.
        p: how likely something like it comes up by chance, corrected for all that was looked at.
        view: the samples, of a region the most typical first.
        examples: the ids of up to six of them, the worst first.
        region: a direction in the vectors and a threshold; None for columns.
    """

    sentence: str
    where: str | None
    size: int
    metric: float
    rest: float
    interval: tuple[float, float]
    p: float
    view: View
    examples: tuple[str, ...]
    region: Region | None = None

    @property
    def gap(self) -> float:
        """By how much more of them is wrong than of the others."""
        return self.metric - self.rest

    def __repr__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False, repr=False)
class RunSlices(Sequence[Failing]):
    """Where a run fails: those that are said by columns first, then regions; each kind the surest first.

    Attributes:
        run: its name.
        found: what was found.
        compared: how many samples were compared.
        wrong: of these, those that the run gets wrong.
        notes: what was left out, or not looked at, and why.
    """

    run: str
    found: tuple[Failing, ...]
    compared: int
    wrong: int
    notes: tuple[str, ...]

    def __getitem__(self, place: int) -> Failing:  # type: ignore[override]
        return self.found[place]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Failing]:
        return iter(self.found)

    @property
    def table(self) -> Table:
        """A row for each, with where it is, how much of it is wrong, and how sure that is."""
        each = self.found
        return Table(
            {
                "slice": [one.where or "region" for one in each],
                "samples": np.array([one.size for one in each], np.int64),
                "wrong": np.array([one.metric for one in each]),
                "elsewhere": np.array([one.rest for one in each]),
                "gap": np.array([one.gap for one in each]),
                "gap_low": np.array([one.interval[0] for one in each]),
                "gap_high": np.array([one.interval[1] for one in each]),
                "p": np.array([one.p for one in each]),
                "sentence": [one.sentence for one in each],
            }
        )

    def __repr__(self) -> str:
        head = f"Run {self.run!r} gets {self.wrong:,} of {counted(self.compared, 'sample')} wrong"
        if not self.found:
            return "\n".join([f"{head}, nowhere more than by chance.", *self.notes])
        lines = [f"{place}: {one.sentence}" for place, one in enumerate(self.found)]
        return "\n".join([f"{head}, more than by chance:", *lines, *self.notes])

    def _repr_html_(self) -> str:
        lines = repr(self).split("\n")
        said = [lines[0], *lines[len(self.found) + 1 :]] if self.found else lines
        texts = "".join(f"<p>{escape(line)}</p>" for line in said)
        return texts + (self.table.html(len(self.found)) if self.found else "")


def slices(
    context: Context,
    run: str,
    on: View | None,
    *,
    label: str = "label",
    columns: Sequence[str] | None = None,
    embedding: str | None = None,
    conditions: int = MOST_CONDITIONS,
    chance: float = 0.01,
    count: int = 10,
    seed: int = 0,
) -> RunSlices:
    """Looks where a run fails; see `ways_in.Evaluating.slices`."""
    known = classifier(context, run)
    database = context.database
    chosen = _embedding(context, embedding)
    found = run_answers.answers(database, known, numbers(context, on), *columns_named(context, label, None))
    require(found, run)
    errors = (found.predicted != found.labels).astype(np.float64)
    hidden = _columns_of_runs(context)
    by_columns = find_slices(
        database, found.nos, errors, columns=columns, leave_out=hidden, conditions=conditions, chance=chance,
        count=count,
    )  # fmt: skip
    among = context.view().ranked(found.nos, f"with a result of {run!r}")
    each = [_of_columns(context, among, one) for one in by_columns.slices]
    notes = left_out(found, run)
    if chosen is None:
        notes.append("Regions were not looked for: there are no vectors. session.embed() makes them.")
    else:
        each += _regions(context, known, chosen, found, errors, {*hidden, label}, chance, count, seed, notes)
    return RunSlices(run, tuple(each), len(errors), int(errors.sum()), tuple(notes))


def _embedding(context: Context, name: str | None) -> Embedding | None:
    known = {one.name: one for one in vectors.embeddings(context.database) if one.source is None}
    if name is None:
        return known.get("auto") or next(reversed(known.values()), None)
    if name not in known:
        raise EvaluationError(
            f"There is no embedding {name!r} of pictures.", hint=did_you_mean(name, known), code="unknown_embedding"
        )
    return known[name]


def _columns_of_runs(context: Context) -> set[str]:
    """What models have said says nothing of why they are wrong."""
    return {column for run in runs.runs(context.database) for column in run.columns.values()}


def _ids(context: Context, nos: Sequence[int]) -> tuple[str, ...]:
    return tuple(context.view().ranked(np.asarray(nos, np.uint32), "examples").ids())


def _of_columns(context: Context, among: View, one: Slice) -> Failing:
    return Failing(
        one.sentence, one.predicate, one.size, one.metric, one.rest, one.interval, one.p, among.where(one.predicate),
        _ids(context, one.examples),
    )  # fmt: skip


def _regions(
    context: Context,
    run: Run,
    embedding: Embedding,
    found: run_answers.Answers,
    errors: np.ndarray,
    hidden: set[str],
    chance: float,
    count: int,
    seed: int,
    notes: list[str],
) -> list[Failing]:
    database, wanted = context.database, found.nos
    if len(wanted) > MOST_VECTORS:
        wanted = np.sort(np.random.default_rng(seed).choice(wanted, MOST_VECTORS, replace=False))
        notes.append(f"Regions were looked for among {MOST_VECTORS:,} samples drawn at random.")
    nos, rows = vectors.fetch(database, embedding, wanted)
    if len(nos) < len(wanted):
        notes.append(f"Regions: {counted(len(wanted) - len(nos), 'sample')} without a vector of {embedding.name!r}.")
    at = np.searchsorted(found.nos, nos)
    labels = found.labels[at]
    regions = find_regions(
        rows, errors[at], labels=labels, probabilities=run_answers.probabilities(database, run, nos),
        classes=run.classes, chance=chance, count=count, seed=seed,
    )  # fmt: skip
    result = []
    for one in regions.regions:
        inside = np.flatnonzero((labels == one.label) & (one.score(rows) >= 0))
        flags = np.zeros(len(nos), bool)
        flags[inside] = True
        apart = told(differences(database, nos, flags, leave_out=sorted(hidden)))
        sentence = f"{one.sentence} {apart}".rstrip()
        typical = inside[np.argsort(-one.score(rows[inside]), kind="stable")]
        view = context.view().ranked(nos[typical], f"in a region where {run.name!r} fails")
        examples = _ids(context, nos[list(one.examples)].tolist())
        sure = (one.metric, one.rest, one.interval, one.p)
        result.append(Failing(sentence, None, len(inside), *sure, view, examples, one))
    return result
