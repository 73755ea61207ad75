"""What one sees of a job: a bar with a Cancel button below a notebook's cell, a line in a terminal.

Importing this module is what gives `Job` its display; it is light, widgets and tqdm are loaded when something is shown.
"""

from __future__ import annotations

import sys
import textwrap
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from dataide.core.told import stands_below
from dataide.inference import job as jobs
from dataide.inference.job import Job, spoken_rate, spoken_time

from .lanes import Coalescer
from .subshells import heard_while_busy
from .warm import in_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataide.formats.progress import Listener

Done = TypeVar("Done")
FIRST_AFTER_S = 0.5
EVERY_S = 0.25
_LINE = 110

_panels: weakref.WeakKeyDictionary[Job[Any], JobPanel] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


class JobPanel:
    """A job below a cell. The same panel stands wherever the job is shown; it goes on while other cells run.

    Attributes:
        box: the widget to display.
    """

    def __init__(self, job: Job[Any]) -> None:
        import ipywidgets as widgets

        self._widgets = widgets
        self._job = weakref.ref(job)
        self._verb = self._label(job.verb)
        self._bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(flex="1 1 120px", width="auto"))
        self._said = self._label("")
        self._button = widgets.Button(
            description="Cancel",
            tooltip=f"Cancel: {job.verb}. What is done stays.",
            layout=widgets.Layout(width="auto", flex="0 0 auto"),
        )
        self._button.on_click(self._cancel)
        self.box = widgets.HBox(
            [self._verb, self._bar, self._said, self._button], layout=widgets.Layout(align_items="center")
        )
        for part in (self.box, *self.box.children):
            heard_while_busy(part.comm)
        self._pace = Coalescer(self._draw, gather_s=EVERY_S, rest_s=0.0)
        self._draw()
        job.follow(lambda _: self._pace.note())
        self._pace.note()  # for what happened between the drawing and the following

    @classmethod
    def of(cls, job: Job[Any]) -> JobPanel:
        """The panel of a job, made when it is first shown."""
        with _lock:
            known = _panels.get(job)
            if known is None:
                known = _panels[job] = cls(job)
            return known

    def close(self) -> None:
        """Takes the panel out of the notebook."""
        self._pace.close()
        for part in (*self.box.children, self.box):
            part.close()

    def _cancel(self, _: object) -> None:
        job = self._job()
        if job is not None:
            job.cancel()
            self._pace.note()

    def _draw(self) -> None:
        job = self._job()
        if job is None:
            return
        if job.finished:
            self._end(job)
            return
        known = job.total > 0 and job.done > 0
        self._bar.max = max(job.total, 1)
        self._bar.value = min(job.done, job.total)
        self._said.value = _plain(", ".join(_parts(job)) if known else job.sentence)
        if job.cancelled:
            self._button.disabled = True
            self._button.description = "Cancelling"

    def _end(self, job: Job[Any]) -> None:
        """Only the sentence of what came of it is left."""
        lines = [self._label(line) for line in textwrap.wrap(job.said(), _LINE)]
        if job.state == "failed":
            for line in lines:
                line.style.text_color = "var(--jp-error-color1, #c62828)"
        old = self.box.children
        self.box.children = (self._widgets.VBox(lines),)
        for part in old:
            part.close()
        self._pace.close()

    def _label(self, text: str) -> Any:
        # A Label never takes its text for HTML.
        return self._widgets.Label(_plain(text), layout=self._widgets.Layout(width="auto", max_width="100%"))


def _plain(text: str) -> str:
    """Text that a Label does not take for a formula: a name may hold dollars and backslashes."""
    return text.replace("$", "\uff04").replace("\\", "\\\u200b")


def _parts(job: Job[Any]) -> Sequence[str]:
    parts = [f"{job.done:,} of {job.total:,}" if job.counts else job.sentence]
    if job.rate:
        parts.append(spoken_rate(job.rate))
    if job.left_s is not None:
        parts.append(f"{spoken_time(job.left_s)} left")
    return parts


def bundle(job: Job[Any]) -> dict[str, Any] | None:
    """What a notebook shows of a job; None elsewhere."""
    if not in_notebook():
        return None
    made: dict[str, Any] | None = JobPanel.of(job).box._repr_mimebundle_()
    return made


def awaited(job: Job[Done]) -> Done:
    """Waits for a job and shows it where somebody looks; one that is soon done is not shown at all."""
    if in_notebook():
        return _below_the_cell(job)
    if _in_terminal():
        return _in_a_line(job)
    return job.complete()


def shown(job: Job[Done], total: int, progress: bool | Listener, wait: bool) -> Done | Job[Done]:
    """Shows a long work where its cell waits for it; panels and `job` itself show it in any case.

    Args:
        job: the work.
        total: how many samples or objects it is about.
        progress: False for silence; or who hears how far it is.
        wait: False gives the job at once.
    """
    from dataide.formats.progress import Progress

    if callable(progress):
        bar = Progress(job.verb, progress, total)

        def show(done: int, total: int, sentence: str) -> None:
            bar.total = total
            bar.update(done)

        if wait:
            report = job.complete(show)
            bar.finish(job.done, repr(report))
            return report
        job.watch(show)
    if not wait:
        return job
    return awaited(job) if progress else job.complete()


class _Said:
    """A sentence as the output of a cell."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def __repr__(self) -> str:
        return self._sentence


def _below_the_cell(job: Job[Done]) -> Done:
    if _soon_done(job):
        return job.result()
    from IPython import display as shown

    panel = JobPanel.of(job)
    show: Any = shown.display
    handle = show(panel.box, display_id=True)
    try:
        result = job.complete()
    finally:
        # A saved notebook keeps the sentence; the widget would be gone with the kernel.
        handle.update(_Said(job.said()))
        panel.close()
    stands_below(result, lambda: handle.update(_Said("")))
    return result


def _soon_done(job: Job[Any]) -> bool:
    try:
        return job.wait(FIRST_AFTER_S)
    except KeyboardInterrupt:
        job.cancel()
        job.wait(30)
        raise


def _in_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:
        return False  # a closed stream


def _in_a_line(job: Job[Done]) -> Done:
    from tqdm import tqdm

    class Line(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # it would start a thread of its own, and nobody needs it

    # By default it takes a lock between processes, which costs a process on some systems.
    Line.set_lock(threading.RLock())
    with Line(total=job.total or None, desc=job.verb, unit=" samples", dynamic_ncols=True, delay=FIRST_AFTER_S) as line:

        def draw(done: int, total: int, sentence: str) -> None:
            line.total = total or None
            line.set_postfix_str(sentence, refresh=False)
            line.update(done - line.n)

        return job.complete(draw)


jobs.show = bundle
