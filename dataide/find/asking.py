"""What to label next, from a session: `view.rank(by)` and `session.suggest(n)`.

Vectors, labels and probabilities are read here; probes are trained and samples compared in the process for finding.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.actions import Enqueue, samples
from dataide.core.predicate import column_named
from dataide.errors import ActionError, ModelError, did_you_mean
from dataide.find.active import BY_SCORE, BY_VECTORS, Doubts, score
from dataide.find.asking_work import BATCH, QUEUE, Asked, Asking, Found, Labels, checked_ranking, checked_suggestion
from dataide.inference.job import Job
from dataide.storage import evidence, issues, runs, vectors

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.core.view import View
    from dataide.storage.database import Database
    from dataide.storage.run_tables import Run
    from dataide.storage.vectors import Embedding

_AT_ONCE = 1 << 16
# Probabilities held at once: 1 GiB. Of more, so many samples are drawn at random.
_MOST_NUMBERS = 1 << 28


@dataclass(frozen=True, repr=False)
class Suggested:
    """What `suggest` chose.

    Attributes:
        view: the samples, the most useful first, with the column rank_score where the strategy knows scores.
        by: the strategy that was used.
        why: what was done and why, in a sentence.
        queue: where they wait now.
        event: the decision, as session.history() has it.
        seconds: wall time.
    """

    view: View
    by: str
    why: str
    queue: str
    event: Event
    seconds: float

    def __len__(self) -> int:
        return len(self.view)

    def __repr__(self) -> str:
        said = f"{self.event.sentence.partition(':')[0]}. {self.why}"
        return f"{said} session.where(queue={self.queue!r}) has them; session.undo() takes that back."


@dataclass
class _Asked(Asked):
    """What is asked for.

    Attributes:
        runs: of classifiers; several are a committee.
        balance: a column.
    """

    runs: list[Run]

    @property
    def wants_vectors(self) -> bool:
        return super().wants_vectors and not (self.ranking and self.by in BY_SCORE and bool(self.runs))


def rank(
    context: Context,
    nos: np.ndarray,
    by: str,
    *,
    run: str | Sequence[str] | None = None,
    embedding: str | None = None,
    n: int | None = None,
    seed: int = 0,
) -> Job[tuple[np.ndarray, np.ndarray]]:
    """Starts to rank samples by how much their labels would teach; the job's result are numbers and scores.

    Args:
        context: the session's.
        nos: sample numbers.
        by: one of `active.STRATEGIES`.
        run: of a classifier, or several for "disagreement"; without, a probe is trained on the labels of the session.
        embedding: whose vectors; by default "auto", else the latest.
        n: how many; None for all, or, of strategies that choose a batch, for `BATCH`.
        seed: of what is drawn.

    Raises:
        ActionError: there is no such strategy, or it lacks what it needs.
        ModelError: there is no such embedding, or the run is no classifier's.
    """
    n = checked_ranking(by, n)
    asked = _asked(context.database, by, n, run, embedding, None, None, seed, ranking=True)
    work = _AskingSamples(context, nos, asked)
    job = Job(lambda job: work.ranked(job), verb=f"Ranking by {by}", owner=context.database)
    job.counts = False
    return job


def suggest(
    context: Context,
    nos: np.ndarray,
    n: int,
    *,
    by: str = "auto",
    balance: str | None = None,
    queue: str | None = QUEUE,
    run: str | Sequence[str] | None = None,
    embedding: str | None = None,
    seed: int = 0,
) -> Job[Any]:
    """Starts to choose what teaches most; the job's result is `Suggested`, or without a queue a View.

    What has a label, or waits in the queue already, is left out, and so are near duplicates of each other.

    Args:
        context: the session's.
        nos: sample numbers to choose from.
        n: how many.
        by: one of `active.STRATEGIES`, or "auto" for the one that the labels so far speak for.
        balance: a column: labels and suggestions together shall be as even over its values as can be.
        queue: where they are put, as one decision; None for nowhere.
        run, embedding, seed: as in `rank`.

    Raises:
        ActionError, ModelError: as in `rank`; nothing is left to suggest; `balance` is no column.
    """
    checked_suggestion(context, by, n, queue, what="samples", example="session.suggest(50)")
    asked = _asked(context.database, by, int(n), run, embedding, balance, queue, seed, ranking=False)
    work = _AskingSamples(context, nos, asked)
    job: Job[Any] = Job(lambda job: work.suggested(job), verb="Choosing what to label", owner=context.database)
    job.counts = False
    return job


def _asked(
    database: Database,
    by: str,
    n: int | None,
    run: str | Sequence[str] | None,
    embedding: str | None,
    balance: str | None,
    queue: str | None,
    seed: int,
    *,
    ranking: bool,
) -> _Asked:
    names = [] if run is None else [run] if isinstance(run, str) else list(run)
    committee = [_classifier(database, name) for name in names]
    if len({frozenset(one.classes) for one in committee}) > 1:
        raise ModelError(
            f"The runs {', '.join(names)} know different classes, so they cannot be a committee.",
            hint="Give runs of models with the same classes.", code="classes",
        )  # fmt: skip
    if by == "disagreement" and len(committee) == 1:
        raise ActionError(
            "Disagreement needs two runs at least.",
            hint=f"run=[{names[0]!r}, 'another'], or leave run out: probes are trained on the labels then.",
        )
    known = [one.name for one in vectors.embeddings(database)]
    if embedding is not None and embedding not in known:
        raise ModelError(
            f"There is no embedding {embedding!r}.", hint=did_you_mean(embedding, known), code="no_vectors"
        )
    name = embedding or ("auto" if "auto" in known else known[-1] if known else None)
    found = None if name is None else vectors.embedding(database, name)
    if found is None and (by in (*BY_VECTORS, "badge") or (by in BY_SCORE and not committee)):
        what = "vectors to compare samples by" if by not in BY_SCORE else "the run of a classifier, or vectors"
        raise ModelError(f"{by!r} needs {what}, and there are none.", hint="session.embed() makes vectors.")
    column = None if balance is None else column_named(balance, database.columns())
    if column == "label":
        raise ActionError(
            "What is to be labelled has no label to balance by.",
            hint="Balance by another column: of a run (balance='v1_class'), or one that came with the samples.",
        )
    return _Asked(by, n, found, column, queue, int(seed), ranking, committee)


def _classifier(database: Database, name: str) -> Run:
    known = runs.require(database, name)
    if known.task != "classification":
        names = [one.name for one in runs.runs(database) if one.task == "classification"]
        raise ModelError(
            f"The run {name!r} is one of {known.task}, and has no probabilities of classes.",
            hint=did_you_mean(name, names) or "Leave run out: a probe is trained on the labels then.", code="task",
        )  # fmt: skip
    return known


class _AskingSamples(Asking):
    """One ranking of samples: the work of a job."""

    _noun = "samples"
    _asked: _Asked

    def _many(self, count: int) -> str:
        return samples(count)

    def _waiting(self, queue: str) -> np.ndarray:
        sql = "SELECT sample_no FROM data.task WHERE queue = $queue AND state = 'pending'"
        with self._database.query(sql, {"queue": queue}) as cursor:
            waiting = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
        return np.isin(self._nos, waiting)

    def _labelled(self) -> np.ndarray:
        sql = "SELECT sample_no FROM data.sample WHERE label IS NOT NULL AND NOT excluded ORDER BY sample_no"
        with self._database.query(sql) as cursor:
            return np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)

    def _looked_at(self, nos: np.ndarray) -> Labels:
        looked = issues.seen(self._database, nos)
        codes = looked.label_nos.astype(np.int64)
        if not self._asked.runs:
            return Labels(looked.nos, codes, looked.classes)
        # Labels are numbers of a run's classes, since its columns are those. One that the run does not know is a class
        # of its own, which it never guesses.
        known = list(self._asked.runs[0].classes)
        names = known + [name for name in looked.classes if name not in known]
        place = np.array([*(names.index(name) for name in looked.classes), -1], np.int64)
        return Labels(looked.nos, place[codes], tuple(names))

    def _vectors(self, embedding: Embedding, nos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return vectors.fetch(self._database, embedding, nos)

    def _without_vectors(self, embedding: Embedding, count: int) -> ModelError:
        return ModelError(
            f"None of these {samples(count)} has a vector of {embedding.name!r}.",
            hint="session.embed() makes vectors of pictures.", code="no_vectors",
        )  # fmt: skip

    def _most(self, pool: np.ndarray) -> int:
        asked, most = self._asked, super()._most(pool)
        if not asked.runs:
            return most
        return min(most, max(_MOST_NUMBERS // (len(asked.runs) * max(len(asked.runs[0].classes), 1)), BATCH))

    def _given(self, job: Job[Any], known: Labels) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        asked, given = self._asked, dict[str, np.ndarray]()
        if asked.runs:
            job.advance(0, 1, "reading probabilities")
            given["probabilities"] = self._probabilities(known.nos)
            if np.isnan(given["probabilities"]).all():
                raise self._without_results()
        if asked.balance is not None:
            given["balance"] = evidence.words(self._database, known.nos, asked.balance)[0]
        return given, {}

    def _decided(self, found: Found, began: float) -> Suggested | View:
        asked, why = self._asked, found.sentence
        if asked.balance is not None:
            why += f" As even as can be over {asked.balance}."
        columns = {"rank_score": found.scores} if len(found.scores) else {}
        view = self._context.view().ranked(found.nos, f"suggested by {found.by}", **columns)
        if asked.queue is None:
            return view
        event = self._context.journal.act(Enqueue(asked.queue, why), found.nos, target=view.sentence)
        return Suggested(view, found.by, why, asked.queue, event, time.monotonic() - began)

    # Without the process for finding ---------------------------------------------------------------------------

    def _already(self, job: Job[Any]) -> tuple[np.ndarray, np.ndarray] | None:
        """By what runs say of each sample alone: a block at a time, whatever the number of classes."""
        if self._asked.by not in BY_SCORE or not self._asked.runs:
            return None
        kept, scores = [], []
        for start in range(0, len(self._nos), _AT_ONCE):
            if job.cancelled:
                raise ModelError("The ranking was stopped.", code="cancelled")
            job.advance(start, len(self._nos), "reading probabilities")
            part = self._nos[start : start + _AT_ONCE]
            doubts = Doubts(given=self._probabilities(part))
            value = score(self._asked.by, doubts, np.arange(len(part)))
            known = ~np.isnan(value)
            kept.append(part[known])
            scores.append(value[known])
        nos, values = np.concatenate(kept), np.concatenate(scores)
        if not len(nos):
            raise self._without_results()
        # Equals at random, or all of a tie would come from one end.
        tie = np.random.default_rng(self._asked.seed).random(len(nos))
        order = np.lexsort((tie, -values))[: self._asked.n]
        return nos[order], values[order]

    def _probabilities(self, nos: np.ndarray) -> np.ndarray:
        """Of the runs, in the order of classes of the first: float32, runs x n x classes, NaN for no result."""
        chosen = self._asked.runs
        classes = chosen[0].classes
        told = np.full((len(chosen), len(nos), len(classes)), np.nan, np.float32)
        for number, one in enumerate(chosen):
            found, rows = evidence.probabilities(self._database, one, nos)
            told[number, np.searchsorted(nos, found)] = rows[:, [one.classes.index(name) for name in classes]]
        return told

    def _without_results(self) -> ModelError:
        names = ", ".join(one.name for one in self._asked.runs)
        return ModelError(
            f"None of these {samples(len(self._nos))} has a result of {names} that is of its present picture.",
            hint=f"session.predict(model, run={self._asked.runs[0].name!r}) makes what is missing.",
            code="no_results",
        )
