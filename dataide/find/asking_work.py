"""What ranking samples and ranking objects have in common: who may be chosen, what is read, and the process that works.

What differs is where labels and vectors stand, what besides is known, and what is done with what was chosen.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataide.core.actions import Enqueue
from dataide.errors import ActionError, ModelError, did_you_mean
from dataide.find.active import BY_SCORE, MOST_COMPARED, STRATEGIES
from dataide.find.computing import Computing
from dataide.storage import vectors
from dataide.storage.samples import ascending

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.inference.job import Job
    from dataide.storage.vectors import Embedding

QUEUE = "to label"
# Of strategies that choose a batch, so many unless a number is named: each further one looks at the whole pool.
BATCH = 100
MOST_LABELLED = 5_000


@dataclass
class Asked:
    """What is asked for.

    Attributes:
        by: a strategy, or "auto".
        n: how many; None for all.
        embedding: whose vectors; None where there are none.
        balance: over what labels and suggestions shall be even.
        queue: where the suggested wait; None for nowhere.
        seed: of what is drawn.
        ranking: everything is ranked, also what has a label.
    """

    by: str
    n: int | None
    embedding: Embedding | None
    balance: str | None
    queue: str | None
    seed: int
    ranking: bool

    @property
    def wants_vectors(self) -> bool:
        """Whether vectors have to be looked at."""
        return self.embedding is not None and not (self.ranking and self.by == "random")


@dataclass(frozen=True)
class Labels:
    """What is known of samples or objects.

    Attributes:
        nos: uint32, N, ascending.
        codes: int64, N, of their labels; -1 for none.
        classes: what the codes stand for.
        groups: int64, N, what belongs together; None where nothing does.
    """

    nos: np.ndarray
    codes: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Found:
    """What was chosen, the most useful first.

    Attributes:
        nos: uint32, n. scores: float32, n; empty where the strategy knows none.
        by: the strategy. sentence: what was done and why.
        guesses: two class codes for each, as `suggesting.Suggestion` says; None where no model was asked.
        classes: what codes stand for.
    """

    nos: np.ndarray
    scores: np.ndarray
    by: str = ""
    sentence: str = ""
    guesses: np.ndarray | None = None
    classes: tuple[str, ...] = field(default=(), repr=False)


def checked_ranking(by: str, n: int | None) -> int | None:
    """How many are ranked by a strategy.

    Raises:
        ActionError: there is no such strategy, or fewer than one is asked for.
    """
    if by not in STRATEGIES:
        raise ActionError(f"There is no strategy {by!r}.", hint=did_you_mean(str(by), STRATEGIES))
    if n is None:
        return None if by in (*BY_SCORE, "random") else BATCH
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ActionError(f"{n!r} cannot be ranked.", hint="Ask for one at least: n=100.")
    return int(n)


def checked_suggestion(context: Context, by: str, n: int, queue: str | None, *, what: str, example: str) -> None:
    """Says before the work what cannot be suggested.

    Raises:
        ActionError: there is no such strategy, `n` is no number of samples, or the queue cannot have that name.
        ReadOnly: the session cannot be written to, and there is a queue.
    """
    if by not in (*STRATEGIES, "auto"):
        raise ActionError(f"There is no strategy {by!r}.", hint=did_you_mean(str(by), (*STRATEGIES, "auto")))
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ActionError(f"suggest() takes a number of {what}, not {n!r}.", hint=f"For example: {example}")
    if queue is not None:
        Enqueue(queue)
        vectors.check_writable(context.database)


class Asking(ABC):
    """One ranking: the work of a job, with the words for what is ranked.

    Args:
        context: the session's.
        nos: numbers to choose from.
        asked: what for.
    """

    _noun: ClassVar[str]

    def __init__(self, context: Context, nos: np.ndarray, asked: Asked) -> None:
        self._context = context
        self._database = context.database
        self._nos = ascending(np.asarray(nos, np.uint32))
        self._asked = asked
        self._notes: list[str] = []

    def ranked(self, job: Job[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers, the most useful first, and scores; none where the strategy knows none."""
        asked = self._asked
        if not len(self._nos):
            return self._nos, np.zeros(0, np.float32)
        if asked.by == "random":
            drawn = np.random.default_rng(asked.seed).permutation(self._nos)
            done = drawn[: asked.n], np.zeros(0, np.float32)
        elif (known := self._already(job)) is not None:
            done = known
        else:
            found = self._computed(job, {"strategy": asked.by})
            done = found.nos, found.scores
        job.advance(1, 1, "ranked")
        return done

    def suggested(self, job: Job[Any]) -> Any:
        """Chooses, and puts what was chosen in the queue."""
        began = time.monotonic()
        if not len(self._nos):
            raise ActionError(f"There are no {self._noun} to choose from.", hint="The view is empty.")
        found = self._computed(job, {"by": self._asked.by})
        if job.cancelled:
            raise ModelError("It was stopped; nothing was queued.", code="cancelled")
        done = self._decided(found, began)
        job.advance(1, 1, "chosen")
        return done

    # What differs ------------------------------------------------------------------------------------------------

    @abstractmethod
    def _many(self, count: int) -> str:
        """3 samples."""

    @abstractmethod
    def _waiting(self, queue: str) -> np.ndarray:
        """Which of `_nos` wait in a queue already: bool, N."""

    @abstractmethod
    def _labelled(self) -> np.ndarray:
        """The numbers of all that has a label, ascending."""

    @abstractmethod
    def _looked_at(self, nos: np.ndarray) -> Labels:
        """What is known of these (ascending); what is gone is left out."""

    @abstractmethod
    def _vectors(self, embedding: Embedding, nos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of these have a vector, ascending, and the vectors: float32, n x D."""

    @abstractmethod
    def _without_vectors(self, embedding: Embedding, count: int) -> ModelError:
        """The error about none of them having one."""

    @abstractmethod
    def _decided(self, found: Found, began: float) -> Any:
        """What comes of a suggestion: a decision, or only a view."""

    def _already(self, job: Job[Any]) -> tuple[np.ndarray, np.ndarray] | None:
        """A ranking that can be had without the process for finding; None where it cannot."""
        return None

    def _most(self, pool: np.ndarray) -> int:
        """How many may be compared."""
        return MOST_COMPARED.get(self._asked.by, len(pool)) if self._asked.ranking else len(pool)

    def _given(self, job: Job[Any], known: Labels) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What else the process is told of what is left: arrays, and values."""
        return {}, {}

    # What is the same --------------------------------------------------------------------------------------------

    def _computed(self, job: Job[Any], arguments: Mapping[str, Any]) -> Found:
        asked = self._asked
        job.advance(0, 1, "reading labels")
        pool = self._pool()
        known = self._looked_at(ascending(np.concatenate([pool, self._taught_by()])))
        with Computing() as computing:
            job.on_cancel(computing.end)
            if asked.wants_vectors:
                assert asked.embedding is not None
                job.advance(0, 1, "reading vectors")
                having, rows = self._vectors(asked.embedding, known.nos)
                without = len(pool) - int(np.count_nonzero(np.isin(pool, having)))
                if without == len(pool):
                    raise self._without_vectors(asked.embedding, len(pool))
                if without:
                    self._notes.append(f"{self._many(without)} without a vector are left out.")
                known = _of(known, having)
                computing.keep({"vectors": rows})
                del rows
            given, values = self._given(job, known)
            given |= {"labels": known.codes, "among": np.isin(known.nos, pool).astype(np.uint8)}
            job.advance(0, 1, f"comparing {self._noun}")
            arrays, details = computing.call(
                "suggest", {"n": asked.n, "seed": asked.seed, **values, **arguments}, given,
                say=lambda sentence: job.advance(0, 1, sentence),
            )  # fmt: skip
        scores = np.asarray(arrays["scores"], np.float32)
        scores = np.zeros(0, np.float32) if np.isnan(scores).all() else scores
        said = str(details["by"]), " ".join([str(details["sentence"]), *self._notes]).strip()
        return Found(known.nos[arrays["rows"]], scores, *said, arrays.get("guesses"), known.classes)

    def _pool(self) -> np.ndarray:
        """What may be chosen, ascending: not what waits in the queue, and never more than can be held."""
        asked, pool = self._asked, self._nos
        if asked.queue is not None:
            pool = pool[~self._waiting(asked.queue)]
            if not len(pool):
                raise ActionError(
                    f"All {self._many(len(self._nos))} wait in “{asked.queue}” already.",
                    hint=f"session.where(queue={asked.queue!r}) shows what waits there.",
                )
        most = self._most(pool)
        if len(pool) > most:
            self._notes.append(f"Compared {most:,} of them, drawn at random.")
            pool = np.sort(np.random.default_rng(asked.seed).choice(pool, most, replace=False))
        return pool

    def _taught_by(self) -> np.ndarray:
        """What to learn from: all that has a label, where they are counted, else so many at random."""
        nos = self._labelled()
        if self._asked.balance is None and len(nos) > MOST_LABELLED:
            nos = np.sort(np.random.default_rng(self._asked.seed).choice(nos, MOST_LABELLED, replace=False))
        return nos


def _of(known: Labels, nos: np.ndarray) -> Labels:
    """Only these, which are among them."""
    places = np.searchsorted(known.nos, nos)
    groups = None if known.groups is None else known.groups[places]
    return Labels(nos, known.codes[places], known.classes, groups)
