"""The methods of a session about autotag; `api.Session` has them. Panels are loaded when a tagger is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataide.storage import marks
from dataide.storage.arrow import Result

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.widgets.autotag import Tagger


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
        """Tags that were marked or committed: tag, positives, negatives, tagged, embedding, threshold, head, when."""
        return Result(marks.listing(self.context.database))
