"""The hub: the one comm of a session. It is never shown; panels of all cells borrow what its JavaScript exports."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from dataide.errors import SessionClosed
from dataide.inference import job as jobs

from . import bundle
from .answers import OPERATIONS
from .dialogue import Buffer, Dialogue, Reply
from .lanes import Coalescer
from .protocol import VERSION
from .started import Starter
from .subshells import heard_while_busy
from .workspace import Workspace

if TYPE_CHECKING:
    from dataide.core.context import Context

_log = logging.getLogger(__name__)
NAME = "hub"
JOBS_EVERY_S = 0.25


def boot_of(widget: Hub | Any) -> list[dict[str, Any]] | None:
    """The first answers of a widget, or None: a panel without them asks as usual, so nothing here may fail."""
    try:
        if not widget.is_recent:
            return None
        return [
            {
                "op": op,
                "ask": ask,
                "rev": widget.workspace.database.revision,
                "body": reply.body,
                "buffers": list(reply.buffers),
            }
            for op, ask, reply in widget.first_answers()
        ] or None
    except Exception as error:
        _log.debug("a %s starts without its first answers: %s", type(widget).__name__, error)
        return None


class Boot(traitlets.Any):
    """A trait that is worked out whenever the browser asks for the state of its widget, and kept nowhere."""

    def __init__(self) -> None:
        super().__init__(None)
        self.tag(sync=True, to_json=lambda _, widget: boot_of(widget))


class Hub(anywidget.AnyWidget):
    """One per session: takes requests of the browser, answers them, and tells every page what has changed."""

    is_recent = True
    _closed = False

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    boot = Boot()

    def __init__(self, context: Context) -> None:
        self.workspace = Workspace.of(context)
        self._sequence = 0
        self._sequence_lock = threading.Lock()
        self._dialogue = Dialogue(self._send_message, self._answer, lambda: self.workspace.database.revision)
        self._events = Coalescer(self._send_state)
        # A job that is done within a quarter of a second is never shown: a bar that only flickers tells nothing.
        self._job_events = Coalescer(self._send_jobs, gather_s=JOBS_EVERY_S, rest_s=0.0)
        super().__init__(_esm=bundle.script(NAME), _css=bundle.style(NAME))
        heard_while_busy(self.comm)
        self.on_msg(self._on_message)
        self._unsubscribe = context.changes.subscribe(self._on_change)
        self._starter = Starter.of(self.workspace)
        self._starter.changed = self._job_events.note
        self._unsubscribe_jobs = jobs.listen(context.database, self._on_job)
        context.at_close(self.close)

    @classmethod
    def of(cls, context: Context) -> Hub:
        """The hub of a session, made when its first panel is."""
        with context.lock:
            hub = context.attached.get(NAME)
            if hub is None:
                if context.database.closed:
                    raise SessionClosed(
                        f"The session {context.name} is closed.", hint="Open it again: session = di.open(…)"
                    )
                hub = context.attached[NAME] = cls(context)
            assert isinstance(hub, Hub)
            return hub

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """The state of the session, so that panels can draw before the kernel is free."""
        reply = OPERATIONS["hello"](self.workspace, {})
        assert isinstance(reply, Reply)
        yield "hello", {}, reply

    def toast(self, sentence: str, *, kind: str = "info", event: int | None = None) -> None:
        """Shows a sentence in every page for a moment."""
        self._send_event("toast", {"sentence": sentence, "kind": kind, "event": event})

    def close(self) -> None:
        """Ends the worker threads and the comm; goes with the session, and happens once.

        ipywidgets closes a widget again when it is collected, which may be in the middle of anything: by a thread that
        holds one of the locks that closing needs.
        """
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        self._unsubscribe_jobs()
        self._events.close()
        self._job_events.close()
        self._dialogue.close()
        self.workspace.context.attached.pop(NAME, None)
        super().close()

    def _on_message(self, widget: object, content: object, buffers: object) -> None:
        self._dialogue.receive(content)

    def _answer(self, panel: str, op: str, body: Any) -> Reply | Iterable[Reply]:
        return OPERATIONS[op](self.workspace, body)

    def _on_change(self, topic: str) -> None:
        if topic != "progress":
            self._events.note()

    def _send_state(self) -> None:
        from .answers.state import session_state

        try:
            state = session_state(self.workspace)
        except SessionClosed:
            return
        self._send_event("state", state, rev=state["rev"])

    def _on_job(self, job: jobs.Job[Any]) -> None:
        """On the job's thread: until its end a note is all it costs there."""
        if job.finished:
            said = self._starter.end(job)
            if said is not None:
                self.toast(said, kind="error" if job.state == "failed" else "info")
        self._job_events.note()

    def _send_jobs(self) -> None:
        from .answers.jobs import jobs_state

        try:
            ended = self._starter.ended()
        except SessionClosed:
            ended = []
        self._send_event("jobs", jobs_state(self.workspace.database, ended))

    def _send_event(self, topic: str, body: Any, rev: int | None = None) -> None:
        with self._sequence_lock:
            self._sequence += 1
            head = {"v": VERSION, "k": "evt", "seq": self._sequence, "topic": topic}
            self._send_message(
                {**head, "rev": self.workspace.database.revision if rev is None else rev, "body": body}, ()
            )

    def _send_message(self, message: dict[str, Any], buffers: Sequence[Buffer]) -> None:
        if self.comm is not None:
            self.send(message, list(buffers) or None)

    def __repr__(self) -> str:
        return f"the hub of {self.workspace.context.name}"
