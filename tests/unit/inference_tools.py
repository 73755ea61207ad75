"""What tests of the inference process share: functions in files of their own, and waiting for another process."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Make = Callable[..., Callable]


def functions_in_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes functions called `model`, each in a module of its own, as a user's file beside the notebook has it."""
    made: list[str] = []

    def make(body: str, name: str | None = None) -> Callable:
        name = name or f"module_{folder.name.replace('-', '_')}_{len(made)}"
        made.append(name)
        sys.modules.pop(name, None)
        (folder / f"{name}.py").write_text("import os, sys, time\nimport numpy as np\n" + textwrap.dedent(body))
        model: Callable = __import__(name).model
        return model

    monkeypatch.syspath_prepend(str(folder))
    yield make
    for name in made:
        sys.modules.pop(name, None)


def held_until(file: Path) -> str:
    """A line for a model that makes it wait for a file: the only bell that a test can ring in another process."""
    return f"while not os.path.exists({str(file)!r}): time.sleep(0.005)"


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Waits for what another thread or process brings about and cannot tell; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
