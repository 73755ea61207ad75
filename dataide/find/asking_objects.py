"""Which objects to label next, from a session: `session.objects.rank(by)` and `session.objects.suggest(n)`.

Strategies are those of samples (`find/active.py`, `find/suggesting.py`, which name their papers), over vectors of crops
and labels of objects. People work picture by picture, so what is suggested are objects and what is queued are their
samples: at most a few objects of each, since those of one picture are often alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataide.core.object_actions import things
from dataide.core.queueing import EnqueueEach
from dataide.errors import ActionError, ModelError
from dataide.find.active import BY_SCORE, BY_VECTORS
from dataide.find.asking_work import QUEUE, Asked, Asking, Found, Labels, checked_ranking, checked_suggestion
from dataide.find.object_similarity import named
from dataide.find.seen_objects import crops_of
from dataide.inference.job import Job
from dataide.storage import object_labels, object_vectors
from dataide.storage.arrow import Frames

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.core.object_views import ObjectView
    from dataide.core.view import View
    from dataide.storage.vectors import Embedding

AT_MOST = 3
# So many ids are named in a reason.
_NAMED = 3


class SuggestedObjects(Frames):
    """What `objects.suggest` chose; a table of object_id, sample_id, reason, and rank_score where there are scores.

    Attributes:
        objects: the most useful first, with the column rank_score where the strategy knows scores.
        samples: those that they are on, in the order of their first object.
        by: the strategy that was used.
        why: what was done and why.
        queue: where the samples wait now.
        event: the decision, as session.history() has it.
        seconds: wall time.
    """

    def __init__(
        self, objects: ObjectView, samples: View, by: str, why: str, queue: str, event: Event, seconds: float,
        reasons: dict[str, str], chosen: int,
    ) -> None:  # fmt: skip
        self.objects, self.samples = objects, samples
        self.by, self.why, self.queue, self.event, self.seconds = by, why, queue, event, seconds
        self.reasons, self._chosen = reasons, chosen

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The objects that are there still, as an Arrow table."""
        import pyarrow as pa

        scored = ["rank_score"] if "rank_score" in self.objects.columns else []
        table = self.objects.to_arrow(["object_id", "sample_id", *scored])
        of = [self.reasons.get(one, "") for one in table.column("sample_id").to_pylist()]
        table = table.add_column(2, "reason", pa.array(of, pa.string()))
        return table if columns is None else table.select(list(columns))

    def __len__(self) -> int:
        return len(self.objects)

    def __repr__(self) -> str:
        said = f"{self.event.sentence.partition(':')[0]}: {things(self._chosen)}. {self.why}"
        return f"{said} session.where(queue={self.queue!r}) has them; session.undo() takes that back."


@dataclass
class _Asked(Asked):
    """What is asked for.

    Attributes:
        at_most: how many objects of one sample; None for any number.
    """

    at_most: int | None = None


def rank_objects(
    context: Context, nos: np.ndarray, by: str, *, embedding: str | None = None, n: int | None = None, seed: int = 0
) -> Job[tuple[np.ndarray, np.ndarray]]:
    """Starts to rank objects by how much their labels would teach; the job's result are numbers and scores.

    Args:
        context: the session's.
        nos: numbers of objects.
        by: one of `active.STRATEGIES`; probes are trained on the labels of the session's objects.
        embedding: whose vectors; by default the latest of objects.
        n: how many; None for all, or, of strategies that choose a batch, for 100.
        seed: of what is drawn.

    Raises:
        ActionError: there is no such strategy.
        ModelError: objects have no vectors, or none of this name.
    """
    n = checked_ranking(by, n)
    asked = _Asked(by, n, _embedding(context, by, embedding), None, None, int(seed), ranking=True)
    work = _AskingObjects(context, nos, asked)
    job = Job(lambda job: work.ranked(job), verb=f"Ranking objects by {by}", owner=context.database)
    job.counts = False
    return job


def suggest_objects(
    context: Context,
    nos: np.ndarray,
    n: int,
    *,
    by: str = "auto",
    balance: str | None = None,
    queue: str | None = QUEUE,
    at_most: int | None = AT_MOST,
    embedding: str | None = None,
    seed: int = 0,
) -> Job[Any]:
    """Starts to choose the objects that teach most; the job's result is `SuggestedObjects`, or without a queue a view.

    What has a label, is a crowd, or lies on a sample that waits in the queue already, is left out, and so are near
    duplicates of each other.

    Args:
        context: the session's.
        nos: numbers of objects to choose from.
        n: how many.
        by: one of `active.STRATEGIES`, or "auto" for the one that the labels so far speak for.
        balance: "class": labels and suggestions together shall be as even over classes as can be, where a probe's
            guess stands for the class of what has none.
        queue: where their samples are put, as one decision; None for nowhere.
        at_most: how many objects of one sample; None for any number.
        embedding, seed: as in `rank_objects`.

    Raises:
        ActionError: no such strategy, nothing is left to suggest, `balance` is something else.
        ModelError: there is no such embedding, or none for a strategy that needs one.
    """
    checked_suggestion(context, by, n, queue, what="objects", example="session.objects.suggest(50)")
    if balance not in (None, "class"):
        raise ActionError(
            f"Objects are balanced by class, not by {balance!r}.",
            hint='session.objects.suggest(50, balance="class"); session.objects.where(…) chooses among fewer.',
        )
    if at_most is not None and (isinstance(at_most, bool) or not isinstance(at_most, int | np.integer) or at_most < 1):
        raise ActionError(
            f"at_most= is a number of objects of one sample, not {at_most!r}.", hint="None for any number."
        )
    found = _embedding(context, by if balance is None else "balance", embedding)
    asked = _Asked(by, int(n), found, balance, queue, int(seed), ranking=False)
    asked.at_most = None if at_most is None else int(at_most)
    work = _AskingObjects(context, nos, asked)
    job: Job[Any] = Job(lambda job: work.suggested(job), verb="Choosing objects to label", owner=context.database)
    job.counts = False
    return job


def _embedding(context: Context, by: str, name: str | None) -> Embedding | None:
    """Whose vectors; None where there are none and none are needed."""
    needed = name is not None or by in (*BY_SCORE, *BY_VECTORS, "badge", "balance")
    if not needed and not object_vectors.embeddings(context.database):
        return None
    return named(context.database, name)


class _AskingObjects(Asking):
    """One ranking of objects: the work of a job."""

    _noun: ClassVar[str] = "objects"
    _asked: _Asked

    def _many(self, count: int) -> str:
        return things(count)

    def _waiting(self, queue: str) -> np.ndarray:
        return np.isin(self._nos, object_labels.waiting(self._database, queue))

    def _labelled(self) -> np.ndarray:
        return object_labels.labelled(self._database)

    def _looked_at(self, nos: np.ndarray) -> Labels:
        found = object_labels.seen(self._database, nos)
        one = ~found.crowd  # many things at once teach no class, and nobody can say which they are
        return Labels(found.nos[one], found.label_nos[one], found.classes, found.sample_nos[one].astype(np.int64))

    def _pool(self) -> np.ndarray:
        """Of a suggestion only what has no label, which is said at once where there is nothing of it."""
        if self._asked.ranking:
            return super()._pool()
        found = object_labels.seen(self._database, self._nos)
        if not len(found.nos):
            raise ActionError(
                "These objects were deleted, or their samples excluded.", hint="session.objects shows what there is."
            )
        self._nos = found.nos[(found.label_nos < 0) & ~found.crowd]
        if len(self._nos):
            return super()._pool()
        crowds = int(np.count_nonzero((found.label_nos < 0) & found.crowd))
        said = f" ({crowds:,} are crowds, of which none is asked)" if crowds else ""
        raise ActionError(
            f"There is nothing left to suggest: all {things(len(found.nos))} have a label{said}.",
            hint="session.objects.label(None) is what has none; session.objects.rank('margin') ranks all.",
        )

    def _vectors(self, embedding: Embedding, nos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = crops_of(self._database, embedding, nos)
        there = np.isfinite(rows[:, 0]) if embedding.dimension else np.zeros(len(nos), bool)
        return (nos, rows) if there.all() else (nos[there], rows[there])

    def _without_vectors(self, embedding: Embedding, count: int) -> ModelError:
        return ModelError(
            f"None of these {things(count)} has a vector of {embedding.name!r} for its present box and picture.",
            hint="session.objects.embed() makes what is missing.", code="no_vectors",
        )  # fmt: skip

    def _given(self, job: Job[Any], known: Labels) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        asked, given, values = self._asked, dict[str, np.ndarray](), dict[str, Any]()
        if asked.balance is not None:
            values["balance"] = asked.balance
        if asked.at_most is not None and not asked.ranking and known.groups is not None:
            given["groups"], values["at_most"] = known.groups, asked.at_most
        return given, values

    def _decided(self, found: Found, began: float) -> SuggestedObjects | ObjectView:
        from dataide.core.object_views import ObjectView

        asked = self._asked
        with self._database.exclusive():  # nobody deletes or labels one between this look and the decision
            now = object_labels.seen(self._database, found.nos)
            stays = np.isin(found.nos, now.nos[now.label_nos < 0])
            nos = found.nos[stays]
            if not len(nos):
                raise ActionError(
                    "What was chosen has been labelled or deleted meanwhile; nothing was queued.",
                    hint="Ask again: session.objects.suggest(…)",
                )
            scores = found.scores[stays] if len(found.scores) else None
            view = ObjectView(self._context).ranked(nos, scores, f"suggested by {found.by}", "rank_score")
            if asked.queue is None:
                return view
            of = now.sample_nos[np.searchsorted(now.nos, nos)]
            named_so = view.arrays(["object_id", "sample_id"])
            each, firsts, counts = np.unique(of, return_index=True, return_counts=True)
            together = np.split(np.argsort(of, kind="stable"), np.cumsum(counts)[:-1])
            reasons = [
                reason(
                    [str(one) for one in named_so["object_id"][rows]],
                    None if found.guesses is None else found.guesses[stays][rows],
                    found.classes,
                )
                for rows in together
            ]
            why = self._why(found, len(nos))
            action = EnqueueEach(asked.queue, f"{things(len(nos))}. {why}", nos=each, reasons=reasons)
            event = self._context.journal.act(action, each, target=view.sentence)
        chosen = self._context.view().ranked(each[np.argsort(firsts)], f"with {view.sentence}")
        said = dict(zip(map(str, named_so["sample_id"][firsts]), reasons, strict=True))
        seconds = time.monotonic() - began
        return SuggestedObjects(view, chosen, found.by, why, asked.queue, event, seconds, said, len(nos))

    def _why(self, found: Found, chosen: int) -> str:
        asked, why = self._asked, found.sentence
        if asked.balance is not None:
            why += " As even as can be over classes, by what a probe guesses."
        if asked.at_most is not None:
            why += f" At most {asked.at_most} of a sample."
        assert asked.n is not None
        if chosen < asked.n:
            more = ", or no more within that limit" if asked.at_most is not None else ""
            why += f" {chosen:,} of {asked.n:,}: no more have no label and a vector{more}."
        return why


def reason(names: Sequence[str], guesses: np.ndarray | None, classes: Sequence[str]) -> str:
    """Why a sample waits: "2 objects (a1, a7): dog or cat?".

    Args:
        names: ids of its objects.
        guesses: int, n x 2, codes of the likeliest classes, -1 for none; None where no model was asked.
        classes: what the codes stand for.
    """
    asked: dict[str, list[str]] = {}
    for row, name in enumerate(names):
        pair = [] if guesses is None else [classes[code] for code in guesses[row].tolist() if 0 <= code < len(classes)]
        asked.setdefault(f"{' or '.join(pair)}?" if pair else "", []).append(name)
    parts = []
    for question, of in asked.items():
        more = f" and {len(of) - _NAMED:,} more" if len(of) > _NAMED else ""
        which = f"{things(len(of))} ({', '.join(of[:_NAMED])}{more})"
        parts.append(f"{which}: {question}" if question else f"{which} without a label")
    return "; ".join(parts)
