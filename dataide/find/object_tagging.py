"""`session.objects.autotag("wheel")`: the same on objects, by vectors of their crops; what is learned is a label."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from dataide.core import object_actions
from dataide.core.actions import Relabel, Tag
from dataide.core.object_actions import things
from dataide.core.object_mark_actions import AutotagObjects, MarkObjects
from dataide.core.object_views import ObjectView
from dataide.errors import ActionError
from dataide.find.neighbours import parts_of
from dataide.find.object_similarity import named
from dataide.find.tagging import Tagging
from dataide.storage import marks, object_marks, object_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.find.autotag import Head
    from dataide.find.tag_rounds import Round
    from dataide.find.vector_parts import Part
    from dataide.storage.marks import Committed, Marks, Sign
    from dataide.storage.vectors import Embedding

_HELD = "object_autotags"


class ObjectTagger(Tagging[ObjectView]):
    """One kind of object that is learned from marks; `session.objects.autotag(tag)` gives it.

    Objects have no tags but one label, which is drawn, counted and exported; so a commit labels what scores enough, by
    default with the tag itself. To learn which cars are taxis without touching other objects, start from those:
    `session.objects.label("car").autotag("taxi")`.

    Args:
        view: the objects to rank and label; marks may be of others.
        tag: the word.
        embedding: whose vectors; by default those that were used with this tag last, else the latest of objects.

    Raises:
        ActionError: the tag is no word.
        ModelError: objects have no vectors, or none of this name.
    """

    # A View may hold what is selected, which no write to the file tells of.
    _settled: ClassVar[bool] = False
    _thing: ClassVar[str] = "object"
    _source: ClassVar[str] = "session.objects"

    def __init__(self, view: ObjectView, tag: str, embedding: str | None = None) -> None:
        context, word = view._context, Tag(tag).tag
        if embedding is None:
            known = {one.name for one in object_vectors.embeddings(context.database)}
            before = marks.embedding_of(context.database, word, object_marks.ENDING)
            embedding = before if before in known else None
        super().__init__(context, word, named(context.database, embedding).name)
        self.view = view
        self._label: str | None = None

    @classmethod
    def of(cls, view: ObjectView, tag: str, embedding: str | None = None) -> Self:
        """The one of this tag over these objects here, so that panels and cells go on with the same rounds."""
        made = cls(view, tag, embedding)
        context: Context = made.context
        with context.lock:
            kept = context.attached.setdefault(_HELD, {})
            known = kept.get((made.tag, made.token))
            if isinstance(known, cls) and embedding in (None, known.embedding):
                known.view = view  # words may be the same of objects that were named by their numbers
                return known
            kept[made.tag, made.token] = made
            return made

    @classmethod
    def held(cls, context: Context, tag: str, token: str) -> Self:
        """The one that `of` gave in this session, by its tag and its token.

        Raises:
            ActionError: there is none: the kernel was started anew since, say.
        """
        with context.lock:
            known = context.attached.get(_HELD, {}).get((Tag(tag).tag, token))
        if not isinstance(known, cls):
            raise ActionError(
                f"The objects that “{tag}” was learned among are no longer known.",
                hint=f"session.objects.autotag({tag!r}), or run the panel's cell again.",
            )
        return known

    @property
    def token(self) -> str:
        """Names the objects that are ranked, for a panel, which holds no Views."""
        return blake2b(self.view.sentence.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def commit(
        self,
        threshold: float | None = None,
        *,
        label: str | None = None,
        of: Round[ObjectView] | None = None,
        uuid: str | None = None,
    ) -> Event:
        """Labels all objects that score enough, in one decision, and keeps the head in `session.models`.

        Positive marks get the label whatever they score; what is marked negative loses it. What an earlier commit
        labelled and this one does not take gets back the label it had; what a person relabelled since stays.

        Args:
            threshold: by default `tagger.threshold`.
            label: what the objects are called then; by default as in the commit before, else the tag.
            of: another round than the latest.
            uuid: names this very decision; a repeat does nothing.

        Raises:
            ActionError: no round can be made, or the label is none.
        """
        self._label = None if label is None else Relabel(label).label
        return self._commit(threshold, of, uuid)

    @property
    def label(self) -> str:
        """The label that a commit gives: what the latest said, else the tag."""
        before = self._committed()
        return self._label or (None if before is None else before.label) or self.tag

    @property
    def marks(self) -> Marks:
        """The marks that stand: numbers of the objects, which are positive, asked about, and stale."""
        return object_marks.marks(self.context.database, self.tag)

    @property
    def _model_name(self) -> str:
        return object_marks.model_name(self.tag)

    def _many(self, count: int) -> str:
        return things(count)

    def _numbers(self, what: Any) -> NDArray[np.uint32]:
        if what is None:
            return np.empty(0, np.uint32)
        if isinstance(what, ObjectView):
            return np.unique(what.nos())
        if isinstance(what, str | list | tuple):
            return np.unique(self._all().ids_named(what).nos())
        raise ActionError(
            f"{type(what).__name__} names no objects.", hint="Give ids of objects, or session.objects.where(…)."
        )

    def _these(self, nos: NDArray[np.uint32], sentence: str) -> ObjectView:
        return self._all().among(nos, sentence)

    def _ranked(self, nos: NDArray[np.uint32], sentence: str, scores: NDArray[np.float32]) -> ObjectView:
        return self._all().ranked(nos, scores, sentence, "autotag_score")

    def _all(self) -> ObjectView:
        return type(self.view)(self.context)

    def _parts(self, embedding: str) -> tuple[Embedding, Iterable[Part]]:
        known = named(self.context.database, embedding)
        return known, parts_of(self.context.database, known, object_vectors, "object_vectors")

    def _within(self, nos: NDArray[np.uint32], view: ObjectView | None) -> NDArray[np.bool_]:
        wanted = (self.view if view is None else view).nos()
        inside = np.zeros(max(int(wanted.max(initial=0)), int(nos.max(initial=0))) + 1, bool)
        inside[wanted] = True
        found: NDArray[np.bool_] = inside[nos]
        return found

    def _put_marks(
        self, sign: Sign, nos: NDArray[Any], asked: NDArray[np.uint32], uuid: str | None, target: str
    ) -> Event:
        action = MarkObjects(np.asarray(nos, np.uint32), self.tag, sign, self.embedding, asked)
        return object_actions.act(self.context.journal, action, uuid=uuid, target=target)

    def _put_tag(
        self,
        head: Head,
        embedding: str,
        threshold: float,
        takes: NDArray[np.uint32],
        rest: NDArray[np.uint32],
        uuid: str | None,
    ) -> Event:
        action = AutotagObjects(
            takes, self.tag, self.label, head.revision, embedding, threshold, head.positives, head.negatives, rest,
            head.to_json(),
        )  # fmt: skip
        target = f"{self.view.sentence}, autotag “{self.tag}” from {threshold:.2f} on"
        journal = self.context.journal
        return journal.act(action, action.samples(journal.database), uuid=uuid, target=target)

    def _committed(self) -> Committed | None:
        return marks.committed(self.context.database, self.tag, object_marks.COMMIT)

    def _has(self) -> str:
        has = object_marks.labelled(self.context.database, self.label)
        return f"{things(has)} labelled “{self.label}”" if has else ""
