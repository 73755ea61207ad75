"""The jobs that were started in panels: each once, and what came of it until somebody puts it away."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dataide.errors import DataideError
from dataide.storage import vectors

from .protocol import StartJobAsk
from .starting import ISSUES, begin
from .vocabulary import EndedJob

if TYPE_CHECKING:
    from dataide.inference.job import Job

    from .workspace import Workspace

NAME = "starter"
MOST_ENDED = 5
MOST_REMEMBERED = 256
MOST_SAID = 600


@dataclass(frozen=True)
class _Started:
    kind: str
    panel: str | None


class Starter:
    """The jobs that were started in panels of one session.

    Args:
        workspace: of the session.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._starting = threading.RLock()
        self._lock = threading.Lock()
        self._by_uuid: OrderedDict[str, str] = OrderedDict()
        self._started: dict[str, _Started] = {}
        self._ended: list[EndedJob] = []
        self.changed: Callable[[], None] = lambda: None  # the hub tells pages of it

    @classmethod
    def of(cls, workspace: Workspace) -> Starter:
        """The one of this session."""
        context = workspace.context
        with context.lock:
            known = context.attached.get(NAME)
            if known is None:
                known = context.attached[NAME] = cls(workspace)
            assert isinstance(known, Starter)
            return known

    def start(self, ask: StartJobAsk) -> str:
        """Starts a job and returns its id at once; asked again with the same uuid it is the same job.

        Raises:
            WrongField: something that was filled in cannot be used; it says which field.
            DataideError: the job cannot be had, for another reason.
        """
        with self._starting:
            known = self._by_uuid.get(ask["uuid"])
            if known is not None:
                return known
            job = begin(self._workspace, ask)
            self._by_uuid[ask["uuid"]] = job.id
            self._started[job.id] = _Started(ask["kind"], ask.get("panel"))
            while len(self._by_uuid) > MOST_REMEMBERED:
                self._by_uuid.popitem(last=False)
        of = ask["options"].get("embedding")
        if ask["kind"] == "map" and of is not None:
            self._put_away(lambda ended: ended["embedding"] == of)
        return job.id

    def ended(self) -> list[EndedJob]:
        """What came of jobs that nobody has put away yet, the oldest first; without those whose map has come since."""
        with self._lock:
            if not self._ended:
                return []
            kept = list(self._ended)
        mapped = {one.embedding for one in self._workspace.places.projections()}
        return [ended for ended in kept if ended["embedding"] is None or ended["embedding"] not in mapped]

    def dismiss(self, job_id: str) -> bool:
        """Puts away what came of a job, on every page."""
        return self._put_away(lambda ended: ended["id"] == job_id)

    def end(self, job: Job[Any]) -> str | None:
        """Takes in that a job has ended; called on the job's thread.

        Returns:
            a sentence to show for a moment; None when nothing is to be said, or it stands in the strip of jobs.
        """
        # The job may have ended before its id was noted down.
        with self._starting:
            started = self._started.pop(job.id, None)
        if started is None:
            return job.said() if job.state == "failed" else None
        if job.state == "failed":
            message, hint = _error_of(job)
            self._keep(job, "failed", message, hint, None)
            return None
        said = job.said()
        if job.state != "done":
            return said
        report = job.result()
        if started.kind == "map":
            self._show(started, report)
        # An embedding without a map is worth a line that stays: it offers to make one.
        embedding = getattr(report, "model", None) if started.kind in ("embedding", "learned") else None
        if embedding in self._without_map():
            self._keep(job, "done", said, None, embedding)
            return None
        asking = self._workspace.panels.get(started.panel or "")
        if started.kind == ISSUES and getattr(asking, "name", None) == "workbench" and any(report.found.values()):
            # What was found before is told by the new search as well.
            self._put_away(lambda ended: ended.get("show") == "issues")
            self._keep(job, "done", said, None, None, show="issues")
            return None
        return said

    def _keep(
        self,
        job: Job[Any],
        state: Literal["done", "failed"],
        message: str,
        hint: str | None,
        embedding: str | None,
        show: Literal["issues"] | None = None,
    ) -> None:
        ended: EndedJob = {
            "id": job.id,
            "verb": job.verb[:MOST_SAID],
            "state": state,
            "message": message[:MOST_SAID],
            "hint": hint[:MOST_SAID] if hint else None,
            "embedding": embedding,
        }
        if show is not None:
            ended["show"] = show
        with self._lock:
            self._ended = [*self._ended, ended][-MOST_ENDED:]
        self.changed()

    def _put_away(self, which: Callable[[EndedJob], bool]) -> bool:
        with self._lock:
            kept = [ended for ended in self._ended if not which(ended)]
            found = len(kept) < len(self._ended)
            self._ended = kept
        if found:
            self.changed()
        return found

    def _without_map(self) -> set[str]:
        mapped = {one.embedding for one in self._workspace.places.projections()}
        return {known.name for known in vectors.embeddings(self._workspace.database)} - mapped

    def _show(self, started: _Started, report: Any) -> None:
        """Turns the plot of the workbench that asked for a map to it; a plot without a wish shows the newest anyway."""
        panel = self._workspace.panels.get(started.panel or "")
        scatter, name = getattr(panel, "scatter", None), getattr(report, "name", None)
        projections = self._workspace.places.projections()
        if scatter is None or name not in {one.name for one in projections}:
            return
        if (scatter.config.get("projection") or projections[0].name) != name:
            scatter.configure("projection", name)


def _error_of(job: Job[Any]) -> tuple[str, str | None]:
    error = job.error
    if isinstance(error, DataideError):
        return error.message, error.hint
    first_line = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__, None
