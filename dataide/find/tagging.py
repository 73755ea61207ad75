"""`session.autotag("flower")`: marks, rounds and commits of one tag; the head itself is learned in `find/autotag.py`.

Marks stand in the session file, so that somebody goes on the next day, and each is a decision that can be undone. A
round goes over the vectors at hand (`find/neighbours.py`) and changes nothing. A commit tags what scores enough, in one
decision, and keeps the head among the models of the session.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dataide.core.actions import Tag, samples
from dataide.core.choosing import chosen
from dataide.core.mark_actions import Autotag, Mark
from dataide.core.touched import versions
from dataide.core.vectors import named
from dataide.errors import ActionError
from dataide.find import autotag
from dataide.find.autotag import Head
from dataide.find.neighbours import parts_of, require
from dataide.find.tag_process import Learning
from dataide.find.tag_vectors import UnitRows
from dataide.storage import marks, vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.core.view import View
    from dataide.find.tag_estimates import Estimate
    from dataide.storage.marks import Marks, Sign

ASKED = 24
_KEPT_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Round:
    """What one round of autotag says of all samples that are not excluded and have a vector.

    Attributes:
        number: 1 for the first since the session was opened.
        tag, embedding: of what, and by whose vectors.
        head: what was learned.
        nos: uint32, N: the samples that were scored, in no particular order.
        scores: float32, N, in [0, 1]; 0 for one without a usable vector.
        best: the estimate at the threshold with the best estimated F1.
        positives, negatives: by how many marks it was made.
        marked: the marks that there were, also those without a vector: sample number and whether it is positive.
    """

    number: int
    tag: str
    embedding: str
    head: Head
    nos: NDArray[np.uint32]
    scores: NDArray[np.float32]
    best: Estimate
    positives: int
    negatives: int
    marked: tuple[tuple[int, bool], ...] = field(repr=False)
    _context: Context = field(repr=False)
    _ranking: autotag.Ranking = field(repr=False)
    _rows: UnitRows = field(repr=False)
    _among: NDArray[np.bool_] = field(repr=False)
    _marked: NDArray[np.bool_] = field(repr=False)
    _key: tuple[Any, ...] = field(repr=False, default=())

    @property
    def view(self) -> View:
        """The samples, the likeliest first, with the column autotag_score."""
        order = self.order
        return self._view(order, f"by autotag “{self.tag}”")

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Rows of `nos` and `scores`, the likeliest first, equals in order of arrival."""
        rows = np.flatnonzero(self._among)
        found: NDArray[np.int64] = rows[np.lexsort((self.nos[rows], -self.scores[rows]))]
        return found

    def at(self, threshold: float) -> Estimate:
        """What a threshold would give: precision and recall with ranges of 90 %, from marks held out."""
        return self._ranking.at(_checked(threshold))

    @cached_property
    def steps(self) -> dict[str, Any]:
        """The same for thresholds 0, 1 / 128 … 1 at once; see `tag_estimates.Curve.steps`."""
        return dict(self._ranking.curve.steps(128))

    def ask(self, n: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], list[str]]:
        """Samples to judge next, the most useful mixed with the best: numbers, scores, and why (best, near, spread)."""
        rows, why = autotag.more(self._rows, self._ranking, n, self._among & ~self._marked)
        return self.nos[rows], self.scores[rows], why

    def near(self, threshold: float) -> NDArray[np.int64]:
        """Rows in the order of `order`, from the one at the threshold outwards, above and below in turn."""
        order = self.order
        away = np.abs(self.scores[order] - np.float32(threshold))
        found: NDArray[np.int64] = order[np.argsort(away, kind="stable")]
        return found

    def taken(self, threshold: float) -> NDArray[np.bool_]:
        """Which rows score at least the threshold; bool, N."""
        return self._among & (self.scores >= np.float32(threshold))

    def _view(self, rows: NDArray[np.int64], sentence: str) -> View:
        return self._context.view().ranked(self.nos[rows], sentence, autotag_score=self.scores[rows])

    def __len__(self) -> int:
        return int(np.count_nonzero(self._among))

    def __repr__(self) -> str:
        marked = f"{self.positives:,} + and {self.negatives:,} −"
        return (
            f"Round {self.number} of autotag “{self.tag}” over {samples(len(self))}, by {marked}. {self.best.sentence}"
        )


class Tagger:
    """One tag that is learned from marks; `session.autotag(tag)` gives it.

    Args:
        context: the session's.
        tag: the word.
        embedding: whose vectors; by default those that were used with this tag last, else "auto", else the latest.

    Raises:
        ActionError: the tag is no word.
        DataideError: the session has no vectors, or none of this name.
    """

    def __init__(self, context: Context, tag: str, embedding: str | None = None) -> None:
        self.context = context
        self.tag = Tag(tag).tag
        if embedding is None:
            known = {one.name for one in vectors.embeddings(context.database)}
            before = marks.embedding_of(context.database, self.tag)
            embedding = before if before in known else None
        self.embedding = named(context, embedding)
        self._threshold: float | None = None
        self._rounds: list[Round] = []
        self._made = 0
        self._asked: set[int] = set()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, context: Context, tag: str, embedding: str | None = None) -> Self:
        """The one of this tag in this session, so that panels and cells go on with the same rounds."""
        made = cls(context, tag, embedding)
        with context.lock:
            kept = context.attached.setdefault("autotags", {})
            known = kept.get(made.tag)
            if isinstance(known, cls) and embedding in (None, known.embedding):
                return known
            kept[made.tag] = made
            return made

    # Marking ---------------------------------------------------------------------------------------------------

    def mark(self, positives: Any = None, negatives: Any = None) -> Event:
        """Says which samples are examples of the tag and which are not; a decision for each kind, to undo.

        Args:
            positives, negatives: a View, ids (a list or one), or a mask over all samples. A View with an order and a
                score, such as `ask()` gives, is as good as any.

        Raises:
            ActionError: nothing was given, or a sample twice.
            UnknownSample: an id is not there.
        """
        yes, no = self._numbers(positives), self._numbers(negatives)
        if not len(yes) and not len(no):
            raise ActionError("There is nothing to mark.", hint="tagger.mark(positives=session.selection)")
        both = np.intersect1d(yes, no)
        if len(both):
            raise ActionError(f"{samples(len(both))} would be marked both as “{self.tag}” and as not.")
        first = self.put("positive", yes) if len(yes) else None
        if not len(no) and first is not None:
            return first
        event = self.put("negative", no)
        if first is None:
            return event
        return replace(event, count=first.count + event.count, sentence=f"{first.sentence}; {event.sentence}")

    def unmark(self, what: Any) -> Event:
        """Takes marks away, of either kind."""
        return self.put("none", self._numbers(what))

    def put(self, sign: Sign, nos: NDArray[Any], *, uuid: str | None = None, target: str = "") -> Event:
        """Marks samples by their numbers; what was asked about before is noted as an answer."""
        asked = np.asarray(sorted(self._asked.intersection(np.asarray(nos).tolist())), np.uint32)
        action = Mark(self.tag, sign, self.embedding, asked)
        return self.context.journal.act(action, nos, uuid=uuid, target=target)

    @property
    def marks(self) -> Marks:
        """The marks that stand: numbers of the samples, which are positive, and which were asked about."""
        return marks.marks(self.context.database, self.tag)

    @property
    def positives(self) -> View:
        """The samples marked as having the tag."""
        return self.context.view().among(self.marks.positives, f"marked “{self.tag}”")

    @property
    def negatives(self) -> View:
        """The samples marked as not having it."""
        return self.context.view().among(self.marks.negatives, f"marked not “{self.tag}”")

    # Rounds ----------------------------------------------------------------------------------------------------

    def round(self) -> Round:
        """Learns from the marks and scores every sample; the same marks and vectors give the round that is there.

        Raises:
            ActionError: there is no positive mark yet, or no usable vector.
        """
        with self._lock:
            database = self.context.database
            known, of = require(database, self.embedding), self.marks
            version = versions(database).of(["excluded"])
            self._learning = Learning.of(self.context)
            made = (vectors.stamp(database, known), version, database.sample_count)
            key = (of.nos.tobytes(), of.positive.tobytes(), of.asked.tobytes(), made)
            if self._rounds and self._rounds[-1]._key == key:
                return self._rounds[-1]
            rows, among = self._rows()
            found = self._learn(rows, among, of, key)
            self._rounds = [*self._rounds[1 - _KEPT_ROUNDS :], found]
            return found

    @property
    def latest(self) -> Round | None:
        """The latest round; None before the first."""
        return self._rounds[-1] if self._rounds else None

    def round_of(self, number: int) -> Round | None:
        """A round that is still held, by its number."""
        return next((one for one in self._rounds if one.number == number), None)

    def ask(self, n: int = 10) -> View:
        """The samples to judge next, the most useful mixed with the best, with the column autotag_score."""
        nos, scores, _ = self.asked(n)
        return self.context.view().ranked(nos, f"to judge for “{self.tag}”", autotag_score=scores)

    def asked(self, n: int, of: Round | None = None) -> tuple[NDArray[np.uint32], NDArray[np.float32], list[str]]:
        """The same as numbers, scores and reasons; marks of these count as answers from now on."""
        if n < 1:
            raise ActionError(f"ask() takes how many, 1 or more, and not {n!r}.")
        nos, scores, why = (of or self.round()).ask(n)
        self._asked.update(nos.tolist())
        return nos, scores, why

    @property
    def threshold(self) -> float:
        """From which score on samples are taken: what was set, else where the estimated F1 is best."""
        return self.round().best.threshold if self._threshold is None else self._threshold

    @threshold.setter
    def threshold(self, value: float | None) -> None:
        self._threshold = None if value is None else _checked(value)

    def estimate(self, threshold: float | None = None) -> Estimate:
        """What a threshold would give: how many samples, precision and recall, with ranges of 90 %."""
        return self.round().at(self.threshold if threshold is None else threshold)

    # Committing ------------------------------------------------------------------------------------------------

    def commit(self, threshold: float | None = None, *, of: Round | None = None, uuid: str | None = None) -> Event:
        """Tags all samples that score enough, in one decision, and keeps the head in `session.models`.

        Positive marks get the tag whatever they score, negative ones lose it. What an earlier commit tagged and this
        one does not take loses the tag again; what people tagged or untagged themselves stays.

        Args:
            threshold: by default `tagger.threshold`.
            of: another round than the latest.
            uuid: names this very decision; a repeat does nothing.
        """
        of = of or self.round()
        line = _checked(threshold) if threshold is not None else self._threshold
        line = of.best.threshold if line is None else line
        return self._tag(of.head, of.embedding, line, of.nos, of.taken(line), of._among, uuid)

    def run(self, view: View | None = None) -> Event:
        """Tags with the head and threshold that were committed last: after samples have come, say.

        Args:
            view: among these samples; None for all.

        Raises:
            ActionError: nothing was committed under this tag, or its head cannot be read.
            DataideError: the embedding it was made with is not there.
        """
        database = self.context.database
        before = marks.committed(database, self.tag)
        if before is None:
            raise ActionError(
                f"Nothing was committed for “{self.tag}” yet.", hint="Mark some samples, then tagger.commit()."
            )
        known = require(database, before.embedding)
        kept = marks.head(database, self.tag, before.head)
        head = Head.from_json(kept or {})
        rows = UnitRows(parts_of(database, known), known.dimension)
        scores = head.score(rows)
        wanted = (self.context.view() if view is None else view).mask()
        among = np.isfinite(scores) & (scores > 0)
        inside = rows.nos < len(wanted)
        among[~inside] = False
        among[inside] &= wanted[rows.nos[inside]]
        taken = among & (scores >= np.float32(before.threshold))
        return self._tag(head, before.embedding, before.threshold, rows.nos, taken, among, None)

    def _tag(
        self,
        head: Head,
        embedding: str,
        threshold: float,
        nos: NDArray[np.uint32],
        taken: NDArray[np.bool_],
        among: NDArray[np.bool_],
        uuid: str | None,
    ) -> Event:
        scope = np.zeros(max(self.context.database.sample_count, int(nos.max(initial=0)) + 1), bool)
        scope[nos[among]] = True
        chosen_ones = np.zeros(len(scope), bool)
        chosen_ones[nos[taken]] = True
        of = self.marks
        positives = of.positives[scope[of.positives]]
        chosen_ones[positives] = True
        chosen_ones[of.negatives] = False
        action = Autotag(
            self.tag, head.revision, embedding, float(threshold), head.positives, head.negatives,
            np.flatnonzero(scope & ~chosen_ones).astype(np.uint32), head.to_json(),
        )  # fmt: skip
        target = f"autotag “{self.tag}” from {threshold:.2f} on"
        return self.context.journal.act(action, np.flatnonzero(chosen_ones).astype(np.uint32), uuid=uuid, target=target)

    # Inside ----------------------------------------------------------------------------------------------------

    def _numbers(self, what: Any) -> NDArray[np.uint32]:
        found = chosen(self.context, what)
        if found.dtype == np.bool_:
            return np.flatnonzero(found).astype(np.uint32)
        return np.unique(found).astype(np.uint32)

    def _rows(self) -> tuple[UnitRows, NDArray[np.bool_]]:
        """The vectors, and which rows are of samples that are not excluded."""
        database = self.context.database
        known = require(database, self.embedding)
        rows = UnitRows(parts_of(database, known), known.dimension)
        visible = self.context.view().mask()
        among = rows.nos < len(visible)
        among[among] = visible[rows.nos[among]]
        return rows, among

    def _learn(self, rows: UnitRows, among: NDArray[np.bool_], of: Marks, key: tuple[Any, ...]) -> Round:
        if not len(rows):
            raise ActionError(
                f"No sample has a vector of {self.embedding!r}.", hint=f"session.embed(name={self.embedding!r})"
            )
        places, there = rows.rows_of(of.nos)
        positive, asked = of.positive[there], of.asked[there]
        if len(of.positives) and not positive.any():
            raise ActionError(
                f"None of the {len(of.positives):,} positive marks has a vector of {self.embedding!r}.",
                hint="session.embed(), or autotag with another embedding: session.autotag(…, embedding=…).",
            )
        ranking = autotag.rank(
            rows, places[positive], places[~positive], found=places[~asked], among=among, ask=0, learn=self._learning
        )
        scored = among & (ranking.scores > 0)
        marked = np.zeros(len(rows), bool)
        marked[places] = True
        self._made += 1
        seen = tuple(zip(of.nos.tolist(), of.positive.tolist(), strict=True))
        return Round(
            self._made, self.tag, self.embedding, ranking.head, rows.nos, ranking.scores, ranking.best,
            int(positive.sum()), int((~positive).sum()), seen, self.context, ranking, rows, scored, marked, key,
        )  # fmt: skip

    def sentence(self) -> str:
        """What there is so far, in one line."""
        if self.context.database.closed:
            return f"Autotag “{self.tag}” of a closed session"
        of = self.marks
        said = f"Autotag “{self.tag}” by {self.embedding!r}: {len(of.positives):,} + and {len(of.negatives):,} − marked"
        latest = self.latest
        if latest is not None:
            said += f", round {latest.number}"
        if (before := marks.committed(self.context.database, self.tag)) is not None:
            said += f", committed from {before.threshold:.2f} on"
        has = marks.tagged(self.context.database, self.tag)
        return f"{said}, {samples(has)} tagged" if has else said

    def __repr__(self) -> str:
        return self.sentence()


def _checked(threshold: float) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or not 0 <= threshold <= 1:
        raise ActionError(f"A threshold lies between 0 and 1, and {threshold!r} does not.")
    return float(threshold)
