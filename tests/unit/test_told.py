"""What came of a long call is said once: below its cell in a real ipykernel, and in one line of a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dataide as di

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

SETUP = """
import numpy as np, threading
import dataide as di
from dataide.formats import progress
from dataide.widgets import jobs
progress.FIRST_AFTER_S = jobs.FIRST_AFTER_S = 0.0  # as if everything took a while
session = di.open(FILE)
coco = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": 20, "height": 10} for n in range(6)],
    "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 4, 4]} for n in range(6)],
    "categories": [{"id": 1, "name": "cat"}],
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[tuple[str, str]]]]:
    """Runs a cell; gives its outputs as a page ends up with them: what kind each is, and its text."""
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "PYTHONPATH": str(Path(di.__file__).parents[1])})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def cell(code: str) -> list[tuple[str, str]]:
        asked = client.execute(code)
        outputs: dict[Any, tuple[str, str]] = {}
        while True:
            message = client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return list(outputs.values())
            assert kind != "error", content["traceback"]
            if kind in ("display_data", "update_display_data", "execute_result"):
                place = content.get("transient", {}).get("display_id", kind)
                outputs[place] = ("value" if kind == "execute_result" else "below", content["data"]["text/plain"])

    cell(f"FILE = {str(tmp_path_factory.mktemp('told') / 'told.duckdb')!r}\n{SETUP}")
    yield cell
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_the_report_of_a_call_stands_once_below_its_cell(run: Callable[[str], list[tuple[str, str]]]) -> None:
    ((kind, text),) = run("report = session.add_coco(coco)\nreport")
    assert kind == "below" and text.startswith("COCO: 6 objects added, with 6 new samples in ")
    ((kind, again),) = run("report")
    assert kind == "value" and f"COCO: {again}" == text, "in a later cell it is a value like any other"
    ((kind, text),) = run("first = session.lint(['empty_box'], progress=False)\nsession.find_issues('quality')")
    assert kind == "below" and text.startswith("Looked at 6 samples")
    # A value that was told of, and then another one.
    outputs = run("told = session.find_issues('quality')\nreport")
    assert [kind for kind, _ in outputs] == ["below", "value"] and outputs[1][1] == again


def test_a_report_with_a_table_takes_the_place_of_its_sentence(run: Callable[[str], list[tuple[str, str]]]) -> None:
    below, value = run("session.lint()")
    assert below == ("below", "") and value[0] == "value" and "Looked at 6 objects" in value[1]
    ((kind, text),) = run("kept = session.lint()")
    assert kind == "below" and "Looked at 6 objects" in text, "where nobody sees the value its sentence stays"


IN_A_TERMINAL = (
    SETUP
    + """
import sys
if PROMPT:
    sys.ps1 = ">>> "
report = session.add_coco(coco)
sys.stderr.write("next")
"""
)


@pytest.mark.parametrize("prompt", [False, True])
def test_a_terminal_has_one_line_which_a_narrow_window_does_not_break(tmp_path: Path, prompt: bool) -> None:
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 60))
    code = f"FILE, PROMPT = {str(tmp_path / 'told.duckdb')!r}, {prompt}\n{IN_A_TERMINAL}"
    environment = {**os.environ, "COLUMNS": "60", "PYTHONPATH": str(Path(di.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], stderr=inside, check=True, timeout=60, env=environment)
    os.close(inside)
    *lines, last = os.read(terminal, 65_536).decode().replace("\r\n", "\n").split("\n")
    os.close(terminal)
    if prompt:
        # The prompt shows the value; what was under way is wiped away.
        assert lines == [] and last.split("\r")[-2].strip() == "" and last.endswith("\rnext")
    else:
        assert len(lines) == 1 and last == "next"
        final = lines[0].split("\r")[-1]
        assert final.startswith("COCO: 6 objects added, with 6 new samples in ")
    assert all(len(one) < 60 or one.startswith("COCO: 6 objects added") for line in lines for one in line.split("\r"))
