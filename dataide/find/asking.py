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
from dataide.find.active import BY_SCORE, BY_VECTORS, MOST_COMPARED, STRATEGIES, Doubts, score
from dataide.find.computing import Computing
from dataide.inference.job import Job
from dataide.storage import evidence, issues, runs, vectors
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.core.view import View
    from dataide.storage.database import Database
    from dataide.storage.run_tables import Run
    from dataide.storage.vectors import Embedding

QUEUE = "to label"
# Of strategies that choose a batch, so many unless a number is named: each further one looks at the whole pool.
BATCH = 100
_AT_ONCE = 1 << 16
# Probabilities held at once: 1 GiB. Of more, so many samples are drawn at random.
_MOST_NUMBERS = 1 << 28
_MOST_LABELLED = 5_000


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
class _Asked:
    """What is asked for.

    Attributes:
        by: a strategy, or "auto".
        n: how many; None for all.
        runs: of classifiers; several are a committee.
        embedding: whose vectors; None for "auto", else the latest.
        balance: a column.
        queue: where the suggested wait; None for nowhere.
        seed: of what is drawn.
        ranking: everything is ranked, also what has a label.
    """

    by: str
    n: int | None
    runs: list[Run]
    embedding: Embedding | None
    balance: str | None
    queue: str | None
    seed: int
    ranking: bool

    @property
    def wants_vectors(self) -> bool:
        """Whether vectors have to be looked at."""
        if self.ranking and (self.by == "random" or (self.by in BY_SCORE and self.runs)):
            return False
        return self.embedding is not None


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
    if by not in STRATEGIES:
        raise ActionError(f"There is no strategy {by!r}.", hint=did_you_mean(str(by), STRATEGIES))
    if n is None and by not in (*BY_SCORE, "random"):
        n = BATCH
    asked = _asked(context.database, by, n, run, embedding, None, None, seed, ranking=True)
    work = _Asking(context, ascending(np.asarray(nos, np.uint32)), asked)
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
    if by not in (*STRATEGIES, "auto"):
        raise ActionError(f"There is no strategy {by!r}.", hint=did_you_mean(str(by), (*STRATEGIES, "auto")))
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ActionError(f"suggest() takes a number of samples, not {n!r}.", hint="For example: session.suggest(50)")
    if queue is not None:
        Enqueue(queue)  # a name that cannot be used is said before the work
        vectors.check_writable(context.database)
    asked = _asked(context.database, by, int(n), run, embedding, balance, queue, seed, ranking=False)
    work = _Asking(context, ascending(np.asarray(nos, np.uint32)), asked)
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
    if n is not None and n < 1:
        raise ActionError(f"{n} samples cannot be ranked.", hint="Ask for one at least.")
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
    return _Asked(by, n, committee, found, column, queue, int(seed), ranking)


def _classifier(database: Database, name: str) -> Run:
    known = runs.require(database, name)
    if known.task != "classification":
        names = [one.name for one in runs.runs(database) if one.task == "classification"]
        raise ModelError(
            f"The run {name!r} is one of {known.task}, and has no probabilities of classes.",
            hint=did_you_mean(name, names) or "Leave run out: a probe is trained on the labels then.", code="task",
        )  # fmt: skip
    return known


class _Asking:
    """One ranking: the work of a job."""

    def __init__(self, context: Context, nos: np.ndarray, asked: _Asked) -> None:
        self._context = context
        self._database = context.database
        self._nos = nos
        self._asked = asked
        self._notes: list[str] = []

    def ranked(self, job: Job[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Sample numbers, the most useful first, and scores; none where the strategy knows none."""
        asked = self._asked
        if not len(self._nos):
            return self._nos, np.zeros(0, np.float32)
        if asked.by == "random":
            drawn = np.random.default_rng(asked.seed).permutation(self._nos)
            done = drawn[: asked.n], np.zeros(0, np.float32)
        elif asked.by in BY_SCORE and asked.runs:
            done = self._scored(job)
        else:
            nos, scores, _ = self._computed(job, {"strategy": asked.by})
            done = nos, scores
        job.advance(1, 1, "ranked")
        return done

    def suggested(self, job: Job[Any]) -> Suggested | View:
        """Chooses, and puts what was chosen in the queue."""
        asked, began = self._asked, time.monotonic()
        if not len(self._nos):
            raise ActionError("There are no samples to choose from.", hint="The view is empty.")
        nos, scores, details = self._computed(job, {"by": asked.by})
        by, why = str(details["by"]), " ".join([str(details["sentence"]), *self._notes])
        if asked.balance is not None:
            why += f" As even as can be over {asked.balance}."
        columns = {"rank_score": scores} if len(scores) else {}
        view = self._context.view().ranked(nos, f"suggested by {by}", **columns)
        if job.cancelled:
            raise ModelError("It was stopped; nothing was queued.", code="cancelled")
        done: Suggested | View = view
        if asked.queue is not None:
            event = self._context.journal.act(Enqueue(asked.queue, why), nos, target=view.sentence)
            done = Suggested(view, by, why, asked.queue, event, time.monotonic() - began)
        job.advance(1, 1, "chosen")
        return done

    # Without the process for finding ---------------------------------------------------------------------------

    def _scored(self, job: Job[Any]) -> tuple[np.ndarray, np.ndarray]:
        """By what runs say of each sample alone: a block at a time, whatever the number of classes."""
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

    # With it ---------------------------------------------------------------------------------------------------

    def _computed(self, job: Job[Any], arguments: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Numbers, scores (none where there are none) and what else the process says."""
        asked = self._asked
        job.advance(0, 1, "reading labels")
        pool = self._pool()
        looked = issues.seen(self._database, ascending(np.concatenate([pool, self._labelled(pool)])))
        nos, labels = looked.nos, self._codes(looked)
        given: dict[str, np.ndarray] = {}
        with Computing() as computing:
            job.on_cancel(computing.end)
            if asked.wants_vectors:
                assert asked.embedding is not None
                job.advance(0, 1, "reading vectors")
                having, rows = vectors.fetch(self._database, asked.embedding, nos)
                if not len(having):
                    raise ModelError(
                        f"None of these samples has a vector of {asked.embedding.name!r}.",
                        hint="session.embed() makes vectors of pictures.", code="no_vectors",
                    )  # fmt: skip
                without = len(pool) - int(np.count_nonzero(np.isin(pool, having)))
                if without:
                    self._notes.append(f"{samples(without)} without a vector are left out.")
                labels, nos = labels[np.searchsorted(nos, having)], having
                computing.keep({"vectors": rows})
                del rows
            if asked.runs:
                job.advance(0, 1, "reading probabilities")
                given["probabilities"] = self._probabilities(nos)
                if np.isnan(given["probabilities"]).all():
                    raise self._without_results()
            if asked.balance is not None:
                given["balance"] = evidence.words(self._database, nos, asked.balance)[0]
            given |= {"labels": labels, "among": np.isin(nos, pool).astype(np.uint8)}
            job.advance(0, 1, "comparing samples")
            arrays, details = computing.call(
                "suggest", {"n": asked.n, "seed": asked.seed, **arguments}, given,
                say=lambda sentence: job.advance(0, 1, sentence),
            )  # fmt: skip
        scores = np.asarray(arrays["scores"], np.float32)
        return nos[arrays["rows"]], np.zeros(0, np.float32) if np.isnan(scores).all() else scores, details

    def _pool(self) -> np.ndarray:
        """What may be chosen, ascending: not what waits in the queue, and never more than can be held."""
        asked, pool = self._asked, self._nos
        if asked.queue is not None:
            sql = "SELECT sample_no FROM data.task WHERE queue = $queue AND state = 'pending'"
            with self._database.query(sql, {"queue": asked.queue}) as cursor:
                waiting = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
            pool = pool[~np.isin(pool, waiting)]
            if not len(pool):
                raise ActionError(
                    f"All {samples(len(self._nos))} wait in “{asked.queue}” already.",
                    hint=f"session.where(queue={asked.queue!r}) shows them.",
                )
        most = len(pool)
        if asked.ranking:
            most = MOST_COMPARED.get(asked.by, most)
        if asked.runs:
            most = min(most, max(_MOST_NUMBERS // (len(asked.runs) * max(len(asked.runs[0].classes), 1)), BATCH))
        if len(pool) > most:
            self._notes.append(f"Compared {most:,} of them, drawn at random.")
            pool = np.sort(np.random.default_rng(asked.seed).choice(pool, most, replace=False))
        return pool

    def _labelled(self, pool: np.ndarray) -> np.ndarray:
        """The samples to learn from; all that have a label, where they are counted, else so many at random."""
        sql = "SELECT sample_no FROM data.sample WHERE label IS NOT NULL AND NOT excluded ORDER BY sample_no"
        with self._database.query(sql) as cursor:
            nos = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
        if self._asked.balance is None and len(nos) > _MOST_LABELLED:
            nos = np.sort(np.random.default_rng(self._asked.seed).choice(nos, _MOST_LABELLED, replace=False))
        return nos

    def _codes(self, looked: issues.Seen) -> np.ndarray:
        """Labels as numbers: of a run's classes where there is one, since its columns are those."""
        codes = looked.label_nos.astype(np.int64)
        if not self._asked.runs:
            return codes
        known = list(self._asked.runs[0].classes)
        # A label that the run does not know is a class of its own, which it never guesses.
        names = known + [name for name in looked.classes if name not in known]
        place = np.array([*(names.index(name) for name in looked.classes), -1], np.int64)
        found: np.ndarray = place[codes]
        return found
