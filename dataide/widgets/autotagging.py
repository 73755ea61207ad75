"""The methods of a session about autotag; `api.Session` has them. Panels are loaded when a tagger is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataide.core.object_views import ObjectView
from dataide.storage import marks, object_marks
from dataide.storage.arrow import Result

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.widgets.autotag import ObjectTagger, Tagger


class Autotagging:
    """Tags that are learned from marks.

    Attributes:
        context: the session's.
    """

    context: Context

    def autotag(self, tag: str, embedding: str | None = None) -> Tagger:
        """Learns a tag from a few marks, and tags what is like them: mark, round, threshold, commit.

        In a notebook the answer shows as a panel. Marks stay in the session file; the same tag goes on with them.

        Args:
            tag: the word.
            embedding: whose vectors; by default those that were used with this tag last, else "auto", else the latest.

        Raises:
            ActionError: the tag is no word.
            DataideError: the session has no vectors yet, or none of this name.
        """
        from dataide.widgets.autotag import Tagger

        return Tagger.of(self.context, tag, embedding)

    @property
    def autotags(self) -> Result:
        """Tags that were marked or committed: tag, positives, negatives, stale, tagged, embedding, threshold, head,
        committed_at."""
        return Result(marks.listing(self.context.database))


class ObjectAutotagging(ObjectView):
    """Labels of objects that are learned from marks."""

    def autotag(self, tag: str, embedding: str | None = None) -> ObjectTagger:
        """Learns what a kind of object looks like from a few marks, and labels these objects by it.

        In a notebook the answer shows as a panel of crops. In Python:
        tagger = session.objects.label("car").autotag("taxi"); tagger.mark(positives=[…], negatives=[…]);
        tagger.ask(20); tagger.commit().

        Args:
            tag: the word, which is also the label that a commit gives.
            embedding: whose vectors; by default those that were used with this tag last, else the latest of objects.

        Raises:
            ActionError: the tag is no word.
            ModelError: objects have no vectors yet, or none of this name.
        """
        from dataide.widgets.autotag import ObjectTagger

        return ObjectTagger.of(self, tag, embedding)

    @property
    def autotags(self) -> Result:
        """What objects were marked with or labelled by: tag, positives, negatives, stale, label, embedding, threshold,
        head, committed_at."""
        return Result(object_marks.listing(self._context.database))
