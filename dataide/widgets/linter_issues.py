"""Findings of linters as issues: where the search for issues and the linters, which do not know each other, meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataide.find.families import Family, Materials, Say, Searched
from dataide.review import linting

if TYPE_CHECKING:
    from dataide.core.context import Context


class Linters(Family):
    """Samples whose objects, or whose label, break a rule."""

    kinds = (linting.KIND,)
    sentence = "running linters"

    def __init__(self, context: Context) -> None:
        self._context = context

    def revision(self, materials: Materials) -> str:
        return materials.stamp(self.kinds, self.method, *linting.stamp(self._context, materials.looked.nos))

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        report = linting.lint_session(self._context, materials.looked.nos, say=say)
        notes = [f"The rule {name} did not run to its end. {why}" for name, why in report.problems]
        return {linting.KIND: linting.as_issues(report)}, notes


def further(context: Context, kinds: Sequence[str] | str | None) -> tuple[Family, ...]:
    """What else can be looked for in a session: without being named only where there are objects."""
    if kinds is None:
        with context.database.query("SELECT 1 FROM data.object WHERE NOT removed LIMIT 1") as cursor:
            if not cursor.fetchall():
                return ()
    return (Linters(context),)
