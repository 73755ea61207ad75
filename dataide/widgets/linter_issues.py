"""Where the search for issues and the linters, which do not know each other, meet.

Findings of linters are issues, and what is usual is learned in the process for finding.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataide.find.computing import Computing
from dataide.find.families import Family, Materials, Say, Searched
from dataide.review import learning, linting

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.review.crop_vectors import Vectors
    from dataide.review.learning import Stop
    from dataide.review.linters import Known, Objects

# How often it is asked whether to go on.
_LOOK_S = 0.1


class Linters(Family):
    """Samples whose objects, or whose label, break a rule."""

    kinds = (linting.KIND,)
    sentence = "running linters"

    def __init__(self, context: Context) -> None:
        self._context = context

    def revision(self, materials: Materials) -> str:
        return materials.stamp(self.kinds, self.method, *linting.stamp(self._context, materials.looked.nos))

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        def learn_by(table: Objects, say: Say, stop: Stop, vectors: Vectors | None) -> Known:
            return _learned(materials.computing, table, say, vectors)

        report = linting.lint_session(self._context, materials.looked.nos, learn_by=learn_by, say=say)
        notes = [f"The rule {name} did not run to its end. {why}" for name, why in report.problems]
        return {linting.KIND: linting.as_issues(report)}, notes


def further(context: Context, kinds: Sequence[str] | str | None) -> tuple[Family, ...]:
    """What else can be looked for in a session: without being named only where there are objects."""
    if kinds is None:
        with context.database.query("SELECT 1 FROM data.object WHERE NOT removed LIMIT 1") as cursor:
            if not cursor.fetchall():
                return ()
    return (Linters(context),)


def live(context: Context, no: int) -> linting.Live:
    """What linters say of one sample now; what is usual is learned aside."""
    return linting.lint_sample(context, no, learn_aside)


def learn_aside(table: Objects, say: Say, stop: Stop, vectors: Vectors | None = None) -> Known:
    """Learns what is usual in a process of its own, which ends with it; of few objects, here.

    Raises:
        ModelError: the process has ended; with the code "cancelled" where `stop` said so.
    """
    if len(table) < learning.FEW:
        return learning.here(table, say, stop, vectors)
    done = threading.Event()
    with Computing() as computing:

        def watch() -> None:
            while not done.wait(_LOOK_S):
                if stop():
                    computing.end()
                    return

        watcher = threading.Thread(target=watch, name="dataide linters stop", daemon=True)
        watcher.start()
        try:
            return _learned(computing, table, say, vectors)
        finally:
            done.set()
            watcher.join()


def _learned(computing: Computing, table: Objects, say: Say, vectors: Vectors | None) -> Known:
    arrays, arguments = learning.sent(table, vectors)
    return learning.known_from(*computing.call(learning.TASK, arguments, arrays, say=say))
