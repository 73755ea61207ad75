"""One line that says how far a long work is."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, Self

from dataide.core.told import stands_below

FIRST_AFTER_S = 0.5
EVERY_S = 0.2

# Called with done, total (None while unknown) and the sentence.
Listener = Callable[[int, int | None, str], None]


class Progress:
    """Shows progress where somebody looks: one rewritten line in a terminal, one output in a notebook, else nothing.

    Args:
        what: the work, e.g. "pets".
        show: False for silence; a function is called instead of showing.
        total: if known.
        things: what is counted.
    """

    def __init__(
        self, what: str, show: bool | Listener = True, total: int | None = None, things: str = "pictures"
    ) -> None:
        self.total = total
        self._things = things
        self._what = what
        self._started = time.monotonic()
        self._due = self._started + FIRST_AFTER_S
        self._shown = False
        self._display: Any = None
        self._width = 0  # of what stands in the line of a terminal
        self._listener = show if callable(show) else None
        self._place = "listener" if self._listener else _place() if show else "none"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._shown and self._place == "terminal":
            sys.stderr.write("\n")  # what is said of the error begins a line

    def update(self, done: int) -> None:
        now = time.monotonic()
        if self._place == "none" or now < self._due:
            return
        self._due = now + EVERY_S
        self._show(done, self._sentence(done, now))

    def part(self, done: int, total: int | None, sentence: str) -> None:
        """Shows what a part of the work says, which has been given this instead of a place of its own."""
        if self._place != "none":
            self.total = total
            self._show(done, sentence)

    def finish(self, done: int, sentence: str, value: object = None) -> None:
        """The last word, if anything was shown at all.

        Args:
            done: so much.
            sentence: what came of it.
            value: what the call returns, whose repr says the same; None where it raises an error.
        """
        if not self._shown:
            return
        if self._place != "terminal":
            self._show(done, sentence)
            if value is not None and self._place == "notebook":
                stands_below(value, lambda: self._display.update(_Text("")))
            return
        # Whoever types into Python gets to see the value itself.
        prompt = value is not None and hasattr(sys, "ps1")
        self._write("" if prompt else sentence, "\r" if prompt else "\n")

    def _sentence(self, done: int, now: float) -> str:
        rate = done / max(now - self._started, 1e-9)
        of = f" of {self.total:,}" if self.total is not None else ""
        left = ""
        if self.total is not None and rate > 0 and self.total > done:
            left = f", {_duration((self.total - done) / rate)} left"
        return f"{self._what}: {done:,}{of} {self._things}, {rate:,.0f} a second{left}"

    def _show(self, done: int, sentence: str) -> None:
        self._shown = True
        if self._listener is not None:
            self._listener(done, self.total, sentence)
        elif self._place == "notebook":
            from IPython import display as shown

            text = _Text(sentence)
            if self._display is None:
                show: Any = shown.display
                self._display = show(text, display_id=True)
            else:
                self._display.update(text)
        else:
            # Over what stood there; a line that wraps could not be written over.
            room = shutil.get_terminal_size().columns - 1
            self._write(sentence if len(sentence) <= room else f"{sentence[: room - 1]}…")

    def _write(self, sentence: str, end: str = "") -> None:
        blank = " " * max(self._width - len(sentence), 0)
        self._width = len(sentence)
        sys.stderr.write(f"\r{sentence}{blank}{end}")
        sys.stderr.flush()


class _Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _place() -> str:
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    if shell is not None and getattr(shell, "kernel", None) is not None:
        return "notebook"
    try:
        return "terminal" if sys.stderr is not None and sys.stderr.isatty() else "none"
    except ValueError:
        return "none"  # a closed stream


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
