"""`session.autotag("flower")`: marks, rounds and commits of one tag; the head itself is learned in `find/autotag.py`.

Marks stand in the session file, so that somebody goes on the next day, and each is a decision that can be undone. A
round goes over the vectors at hand (`find/neighbours.py`) and changes nothing. A commit tags what scores enough, in one
decision, and keeps the head among the models of the session. Objects are tagged likewise (`find/object_tagging.py`).
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

import numpy as np

from dataide.core.actions import Tag, samples
from dataide.core.choosing import chosen
from dataide.core.mark_actions import Autotag, Mark
from dataide.core.vectors import named
from dataide.core.view import View
from dataide.errors import ActionError, DataideError
from dataide.find import autotag
from dataide.find.autotag import Head
from dataide.find.neighbours import parts_of, require
from dataide.find.tag_learning import Background
from dataide.find.tag_process import Learning
from dataide.find.tag_rounds import Round, Shown, checked
from dataide.find.tag_vectors import UnitRows
from dataide.storage import marks, vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.find.tag_estimates import Estimate
    from dataide.find.vector_parts import Part
    from dataide.storage.marks import Committed, Marks, Sign
    from dataide.storage.vectors import Embedding

__all__ = ["Round", "Tagger", "Tagging"]

ASKED = 24
_KEPT_ROUNDS = 3
_log = logging.getLogger(__name__)


class Tagging(ABC, Generic[Shown]):
    """One tag that is learned from marks; `Tagger` says it of samples, `ObjectTagger` of objects.

    Args:
        context: the session's.
        tag: the word.
        embedding: whose vectors.

    Raises:
        ActionError: the tag is no word.
    """

    # Whether nothing but writes to the session file can change what there is to rank.
    _settled: ClassVar[bool] = True
    _thing: ClassVar[str] = "sample"
    _source: ClassVar[str] = "session"

    def __init__(self, context: Context, tag: str, embedding: str) -> None:
        self.context = context
        self.tag = tag
        self.embedding = embedding
        self._threshold: float | None = None
        self._rounds: list[Round[Shown]] = []
        self._made = 0
        self._looked = -1
        self._background: tuple[UnitRows, NDArray[np.bool_], Background] | None = None
        self._asked: set[int] = set()
        self._lock = threading.Lock()

    # Marking ---------------------------------------------------------------------------------------------------

    def mark(self, positives: Any = None, negatives: Any = None) -> Event:
        """Says what is an example of the tag and what is not; a decision for each kind, to undo.

        Args:
            positives, negatives: a View, or ids (a list or one); of samples also a mask over all. A View with an order
                and a score, such as `ask()` gives, is as good as any.

        Raises:
            ActionError: nothing was given, or something twice.
            UnknownSample: an id is not there.
        """
        yes, no = self._numbers(positives), self._numbers(negatives)
        if not len(yes) and not len(no):
            raise ActionError("There is nothing to mark.", hint="tagger.mark(positives=…) takes a View or ids.")
        both = np.intersect1d(yes, no)
        if len(both):
            raise ActionError(f"{self._many(len(both))} would be marked both as “{self.tag}” and as not.")
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
        """Marks by numbers; what was asked about before is noted as an answer."""
        asked = np.asarray(sorted(self._asked.intersection(np.asarray(nos).tolist())), np.uint32)
        return self._put_marks(sign, nos, asked, uuid, target)

    @property
    @abstractmethod
    def marks(self) -> Marks:
        """The marks that stand: numbers, which are positive, which were asked about, and which are stale."""

    @property
    def positives(self) -> Shown:
        """What is marked as having the tag."""
        return self._these(self.marks.positives, f"marked “{self.tag}”")

    @property
    def negatives(self) -> Shown:
        """What is marked as not having it."""
        return self._these(self.marks.negatives, f"marked not “{self.tag}”")

    @property
    def stale(self) -> Shown:
        """What was marked by a picture that was replaced since: these marks do not count until they are made anew."""
        return self._these(self.marks.stale, f"marked for “{self.tag}” by an earlier picture")

    # Rounds ----------------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Starts what a first round would wait for, in the background: the process that learns, and the vectors."""
        Learning.of(self.context)  # here, where the session is open for certain: it ends with the session
        threading.Thread(target=self._warm, name="autotag warming", daemon=True).start()

    def _warm(self) -> None:
        try:
            Learning.of(self.context).warm()
            with self._lock:
                rows, among = self._rows()
                if len(rows) and not self._rounds:
                    self._background_of(rows, among)
        except DataideError:
            # Without vectors, or of a session that was closed: whoever asks for a round is told.
            _log.debug("autotag of %r was not warmed up", self.tag, exc_info=True)

    def round(self) -> Round[Shown]:
        """Learns from the marks and scores everything; the same marks and vectors give the round that is there.

        Raises:
            ActionError: there is no positive mark yet, or no usable vector.
        """
        with self._lock:
            latest, revision = self.latest, self.context.database.revision
            if latest is not None and self._settled and self._looked == revision:
                return latest
            of = self.marks
            rows, among = self._rows()
            if latest is None or not latest.is_of(rows, among, of):
                latest = self._learn(rows, among, of)
                self._rounds = [*self._rounds[1 - _KEPT_ROUNDS :], latest]
            self._looked = revision
            return latest

    @property
    def latest(self) -> Round[Shown] | None:
        """The latest round; None before the first."""
        return self._rounds[-1] if self._rounds else None

    def round_of(self, number: int) -> Round[Shown] | None:
        """A round that is still held, by its number."""
        return next((one for one in self._rounds if one.number == number), None)

    def ask(self, n: int = 10) -> Shown:
        """What to judge next, the most useful mixed with the best, with the column autotag_score."""
        nos, scores, _ = self.asked(n)
        return self._ranked(nos, f"to judge for “{self.tag}”", scores)

    def asked(
        self, n: int, of: Round[Shown] | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], list[str]]:
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
        self._threshold = None if value is None else checked(value)

    def estimate(self, threshold: float | None = None) -> Estimate:
        """What a threshold would give: how many are taken, precision and recall, with ranges of 90 %."""
        return self.round().at(self.threshold if threshold is None else threshold)

    # Committing ------------------------------------------------------------------------------------------------

    def _commit(self, threshold: float | None, of: Round[Shown] | None, uuid: str | None) -> Event:
        of = of or self.round()
        line = checked(threshold) if threshold is not None else self._threshold
        line = of.best.threshold if line is None else line
        return self._decide(of.head, of.embedding, line, of.nos, of.taken(line), of._among, uuid)

    def run(self, view: Shown | None = None) -> Event:
        """Tags with the head and threshold that were committed last: after more has come, say.

        Args:
            view: among these; None for all.

        Raises:
            ActionError: nothing was committed under this tag, or its head cannot be read.
            DataideError: the embedding it was made with is not there.
        """
        database = self.context.database
        before = self._committed()
        if before is None:
            raise ActionError(
                f"Nothing was committed for “{self.tag}” yet.", hint="Mark some examples, then tagger.commit()."
            )
        head = Head.from_json(marks.head(database, self._model_name, before.head) or {})
        rows = self._rows_of(before.embedding)
        scores = head.score(rows)
        among = self._within(rows.nos, view) & np.isfinite(scores) & (scores > 0)
        taken = among & (scores >= np.float32(before.threshold))
        return self._decide(head, before.embedding, before.threshold, rows.nos, taken, among, None)

    def _decide(
        self,
        head: Head,
        embedding: str,
        threshold: float,
        nos: NDArray[np.uint32],
        taken: NDArray[np.bool_],
        among: NDArray[np.bool_],
        uuid: str | None,
    ) -> Event:
        scope = np.zeros(int(nos.max(initial=0)) + 1, bool)
        scope[nos[among]] = True
        chosen_ones = np.zeros(len(scope), bool)
        chosen_ones[nos[taken]] = True
        of = self.marks
        for sign, marked in ((True, of.positives), (False, of.negatives)):
            inside = marked[marked < len(scope)]
            chosen_ones[inside[scope[inside]]] = sign
        takes, rest = (np.flatnonzero(one).astype(np.uint32) for one in (chosen_ones, scope & ~chosen_ones))
        return self._put_tag(head, embedding, float(threshold), takes, rest, uuid)

    # Inside ----------------------------------------------------------------------------------------------------

    def _learn(self, rows: UnitRows, among: NDArray[np.bool_], of: Marks) -> Round[Shown]:
        if not len(rows):
            raise ActionError(
                f"No {self._thing} has a vector of {self.embedding!r}.", hint=f"{self._source}.embed(…) makes them."
            )
        places, there = rows.rows_of(of.nos)
        positive, asked = of.positive[there], of.asked[there]
        if len(of.positives) and not positive.any():
            raise ActionError(
                f"None of the {len(of.positives):,} positive marks has a vector of {self.embedding!r}.",
                hint=f"{self._source}.embed(), or another embedding: {self._source}.autotag(…, embedding=…).",
            )
        ranking = autotag.rank(
            rows, places[positive], places[~positive], found=places[~asked], among=among, ask=0,
            background=self._background_of(rows, among), learn=Learning.of(self.context), things=f"{self._thing}s",
        )  # fmt: skip
        marked = np.zeros(len(rows), bool)
        marked[places] = True
        self._made += 1
        seen = tuple(zip(of.nos.tolist(), of.positive.tolist(), strict=True))
        return Round(
            self._made, self.tag, self.embedding, ranking.head, rows.nos, ranking.scores,
            int(positive.sum()), int((~positive).sum()), seen, self._ranked, self._many, ranking, rows, among,
            among & (ranking.scores > 0), marked, of,
        )  # fmt: skip

    def _background_of(self, rows: UnitRows, among: NDArray[np.bool_]) -> Background:
        """Some of all vectors, drawn once for as long as these are the vectors."""
        known = self._background
        if known is None or not (known[0].same_as(rows) and np.array_equal(known[1], among)):
            known = self._background = (rows, among, Background.of(rows, among=among))
        return known[2]

    def _rows(self) -> tuple[UnitRows, NDArray[np.bool_]]:
        """The vectors, and which rows may be asked about and tagged."""
        rows = self._rows_of(self.embedding)
        return rows, self._within(rows.nos, None)

    def _rows_of(self, embedding: str) -> UnitRows:
        known, parts = self._parts(embedding)
        return UnitRows(parts, known.dimension)

    def sentence(self) -> str:
        """What there is so far, in one line."""
        if self.context.database.closed:
            return f"Autotag “{self.tag}” of a closed session"
        of = self.marks
        said = f"Autotag “{self.tag}” by {self.embedding!r}: {len(of.positives):,} + and {len(of.negatives):,} − marked"
        if len(of.stale):
            said += f" ({len(of.stale):,} of replaced pictures no longer count)"
        latest = self.latest
        if latest is not None:
            said += f", round {latest.number}"
        if (before := self._committed()) is not None:
            said += f", committed from {before.threshold:.2f} on"
        has = self._has()
        return f"{said}, {has}" if has else said

    def __repr__(self) -> str:
        return self.sentence()

    # What samples and objects do in their own way ----------------------------------------------------------------

    @property
    @abstractmethod
    def _model_name(self) -> str:
        """The name of its heads in `session.models`."""

    @abstractmethod
    def _many(self, count: int) -> str:
        """1 sample, 10,000 samples."""

    @abstractmethod
    def _numbers(self, what: Any) -> NDArray[np.uint32]:
        """What people named, as numbers, ascending."""

    @abstractmethod
    def _these(self, nos: NDArray[np.uint32], sentence: str) -> Shown:
        """These numbers as a View."""

    @abstractmethod
    def _ranked(self, nos: NDArray[np.uint32], sentence: str, scores: NDArray[np.float32]) -> Shown:
        """The same in this order, with the column autotag_score."""

    @abstractmethod
    def _parts(self, embedding: str) -> tuple[Embedding, Iterable[Part]]:
        """An embedding by its name, and its vectors."""

    @abstractmethod
    def _within(self, nos: NDArray[np.uint32], view: Shown | None) -> NDArray[np.bool_]:
        """Which of these numbers are in a View; for None in what is ranked at all."""

    @abstractmethod
    def _put_marks(
        self, sign: Sign, nos: NDArray[Any], asked: NDArray[np.uint32], uuid: str | None, target: str
    ) -> Event:
        """The decision to mark."""

    @abstractmethod
    def _put_tag(
        self,
        head: Head,
        embedding: str,
        threshold: float,
        takes: NDArray[np.uint32],
        rest: NDArray[np.uint32],
        uuid: str | None,
    ) -> Event:
        """The decision to tag."""

    @abstractmethod
    def _committed(self) -> Committed | None:
        """What was committed last and stands."""

    @abstractmethod
    def _has(self) -> str:
        """How many have the tag, in words; "" for none."""


class Tagger(Tagging[View]):
    """One tag of samples that is learned from marks; `session.autotag(tag)` gives it.

    Args:
        context: the session's.
        tag: the word.
        embedding: whose vectors; by default those that were used with this tag last, else "auto", else the latest.

    Raises:
        ActionError: the tag is no word.
        DataideError: the session has no vectors, or none of this name.
    """

    def __init__(self, context: Context, tag: str, embedding: str | None = None) -> None:
        word = Tag(tag).tag
        if embedding is None:
            known = {one.name for one in vectors.embeddings(context.database)}
            before = marks.embedding_of(context.database, word)
            embedding = before if before in known else None
        super().__init__(context, word, named(context, embedding))

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

    def commit(
        self, threshold: float | None = None, *, of: Round[View] | None = None, uuid: str | None = None
    ) -> Event:
        """Tags all samples that score enough, in one decision, and keeps the head in `session.models`.

        Positive marks get the tag whatever they score, negative ones lose it. What an earlier commit tagged and this
        one does not take loses the tag again; what people tagged or untagged themselves stays.

        Args:
            threshold: by default `tagger.threshold`.
            of: another round than the latest.
            uuid: names this very decision; a repeat does nothing.
        """
        return self._commit(threshold, of, uuid)

    @property
    def marks(self) -> Marks:
        """The marks that stand: numbers of the samples, which are positive, asked about, and stale."""
        return marks.marks(self.context.database, self.tag)

    @property
    def _model_name(self) -> str:
        return marks.model_name(self.tag)

    def _many(self, count: int) -> str:
        return samples(count)

    def _numbers(self, what: Any) -> NDArray[np.uint32]:
        found = chosen(self.context, what)
        if found.dtype == np.bool_:
            return np.flatnonzero(found).astype(np.uint32)
        return np.unique(found).astype(np.uint32)

    def _these(self, nos: NDArray[np.uint32], sentence: str) -> View:
        return self.context.view().among(nos, sentence)

    def _ranked(self, nos: NDArray[np.uint32], sentence: str, scores: NDArray[np.float32]) -> View:
        return self.context.view().ranked(nos, sentence, autotag_score=scores)

    def _parts(self, embedding: str) -> tuple[Embedding, Iterable[Part]]:
        known = require(self.context.database, embedding)
        return known, parts_of(self.context.database, known)

    def _within(self, nos: NDArray[np.uint32], view: View | None) -> NDArray[np.bool_]:
        wanted = (self.context.view() if view is None else view).mask()
        inside: NDArray[np.bool_] = nos < len(wanted)
        inside[inside] = wanted[nos[inside]]
        return inside

    def _put_marks(
        self, sign: Sign, nos: NDArray[Any], asked: NDArray[np.uint32], uuid: str | None, target: str
    ) -> Event:
        action = Mark(self.tag, sign, self.embedding, asked)
        return self.context.journal.act(action, nos, uuid=uuid, target=target)

    def _put_tag(
        self,
        head: Head,
        embedding: str,
        threshold: float,
        takes: NDArray[np.uint32],
        rest: NDArray[np.uint32],
        uuid: str | None,
    ) -> Event:
        action = Autotag(
            self.tag, head.revision, embedding, threshold, head.positives, head.negatives, rest, head.to_json()
        )
        target = f"autotag “{self.tag}” from {threshold:.2f} on"
        return self.context.journal.act(action, takes, uuid=uuid, target=target)

    def _committed(self) -> Committed | None:
        return marks.committed(self.context.database, self.tag)

    def _has(self) -> str:
        has = marks.tagged(self.context.database, self.tag)
        return f"{samples(has)} tagged" if has else ""
