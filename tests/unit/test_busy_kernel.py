"""Panels go on answering while a cell runs: a real ipykernel, spoken to as JupyterLab does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

STATIC = Path(__file__).resolve().parents[2] / "dataide" / "static"
BUILT = (STATIC / "workbench.js").is_file()
pytestmark = pytest.mark.skipif(not BUILT, reason="the JavaScript is not built: make setup")

SETUP = """
import numpy as np, os
import dataide as di
pictures = np.random.default_rng(0).integers(0, 255, (300, 12, 12), dtype=np.uint8)
session = di.open(FILE)
session.add_arrays(pictures, label=["odd" if n % 2 else "even" for n in range(300)], progress=False)
session.embed(progress=False)
session.project("pca", progress=False)
bench = session.workbench()
bench
"""


class Page:
    """A browser page, as the kernel sees it."""

    def __init__(self, folder: Path) -> None:
        self.manager = jupyter_client.KernelManager(kernel_name="python3")
        self.manager.start_kernel(
            env={**os.environ, "PYTHONPATH": str(STATIC.parents[1])},
        )
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.subshell: str | None = None
        self.opened: dict[str, dict[str, Any]] = {}
        self.display: dict[str, Any] = {}
        self.errors: list[Any] = []
        self.next_id = 1_000
        self.run(f"FILE = {str(folder / 'busy.duckdb')!r}\n{SETUP}")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str, wait: bool = True) -> None:
        asked = self.client.execute(code)
        while wait:
            message = self.client.get_iopub_msg(timeout=60)
            self._note(message)
            own = message["parent_header"].get("msg_id") == asked
            if own and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        assert not self.errors, self.errors

    def _note(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open":
            state = content["data"]["state"]
            self.opened[state.get("_anywidget_id", "").rpartition(".")[2]] = {
                "comm_id": content["comm_id"],
                "state": state,
                "buffers": message["buffers"],
                "paths": content["data"]["buffer_paths"],
            }
        elif kind in ("execute_result", "display_data"):
            self.display = content["data"]
        elif kind == "error":
            self.errors.append(content["traceback"])

    def open_subshell(self) -> None:
        request = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(request)
        reply = self.client.get_control_msg(timeout=10)
        self.subshell = reply["content"]["subshell_id"]

    def send(self, op: str, body: dict[str, Any], panel: str = "test") -> int:
        self.next_id += 1
        message = {"v": 1, "k": "req", "id": self.next_id, "op": op, "panel": panel, "body": body}
        return self._up(message)

    def _up(self, message: Any) -> int:
        content = {"comm_id": self.opened["Hub"]["comm_id"], "data": {"method": "custom", "content": message}}
        upward = self.client.session.msg("comm_msg", content)
        upward["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(upward)
        return self.next_id

    def answer(self, request: int, timeout_s: float = 20) -> tuple[dict[str, Any], list[bytes]]:
        """The last answer to a request."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            message = self.client.get_iopub_msg(timeout=timeout_s)
            self._note(message)
            if message["msg_type"] != "comm_msg":
                continue
            content = message["content"]["data"].get("content", {})
            if content.get("k") == "res" and content["id"] == request and content["last"]:
                return content, [bytes(buffer) for buffer in message["buffers"]]
        raise TimeoutError(f"no answer to {request}")

    def until_selected(self, count: int) -> list[int]:
        """Counts of the selection in the events up to the one that says this count."""
        seen: list[int] = []
        while count not in seen:
            message = self.client.get_iopub_msg(timeout=20)
            content = message["content"].get("data", {})
            content = content.get("content", {}) if isinstance(content, dict) else {}
            if content.get("topic") == "state":
                seen.append(content["body"]["selection"]["count"])
        return seen

    def ask(self, op: str, body: dict[str, Any], panel: str = "test") -> tuple[dict[str, Any], list[bytes]]:
        return self.answer(self.send(op, body, panel))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("busy"))
    try:
        yield page
    finally:
        page.close()


def test_the_first_screenful_travels_with_the_widgets(page: Page) -> None:
    hub, grid, scatter = (page.opened[name] for name in ("Hub", "Grid", "Scatter"))
    assert hub["state"]["boot"][0]["body"]["state"]["sample_count"] == 300
    assert 16 <= len(grid["state"]["boot"][0]["body"]["nos"]) <= 120  # as many as a quarter of a second allows
    assert [boot["op"] for boot in scatter["state"]["boot"]] == ["points", "marks"]
    assert [len(buffer) for buffer in scatter["buffers"]] == [
        1_200,
        300,
    ]  # all visible and none selected: marks need no bits
    bench = page.opened["Workbench"]["state"]
    assert bench["grid"] == f"anywidget:{grid['comm_id']}"
    assert bench["hub"] == f"anywidget:{hub['comm_id']}"


def test_a_saved_notebook_has_a_picture_and_a_sentence(page: Page) -> None:
    assert page.display["text/plain"] == "Workbench of 300 samples in busy.duckdb"
    assert page.display["image/png"].startswith("iVBOR")
    assert "application/vnd.jupyter.widget-view+json" in page.display


def test_lasso_tag_and_scrolling_work_while_a_cell_runs(page: Page) -> None:
    page.open_subshell()
    page.run("import time; session.select(session.take(3)); time.sleep(6)", wait=False)
    page.until_selected(3)
    started = time.monotonic()
    points = page.opened["Scatter"]["state"]["boot"][0]["body"]
    low_x, low_y, high_x, high_y = points["bounds"]
    around = [low_x - 1, low_y - 1, high_x + 1, low_y - 1, high_x + 1, high_y + 1, low_x - 1, high_y + 1]
    shape = {"type": "polygon", "projection": points["projection"], "points": around}
    selected, _ = page.ask("select", {"shape": shape, "mode": "replace", "source": "scatter"})
    assert selected["ok"] and selected["body"]["count"] == 300
    act = {"verb": "tag", "arguments": {"tag": "busy"}, "target": {"type": "selection"}, "uuid": "u1"}
    acted, _ = page.ask("act", act)
    assert acted["body"]["count"] == 300 and acted["body"]["event"] is not None
    again, _ = page.ask("act", act)
    assert again["body"] == acted["body"], "a repeat with the same uuid is the same decision"
    rows, buffers = page.ask("page", {"offset": 120, "limit": 60, "thumbs": True, "px": 64, "caption": None})
    assert rows["body"]["tags"] == [["busy"]] * 60 and len(buffers[0]) == rows["body"]["thumbs"]["starts"][-1] > 0
    assert time.monotonic() - started < 5, "the answers waited for the cell"
    page.run("assert session.sql(\"select count(*) from tag where tag = 'busy'\").fetchall() == [(300,)]")


def test_wrong_messages_get_an_answer_and_no_traceback(page: Page) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("fly", {}, "protocol"),
        ("page", {"offset": "first"}, "protocol"),
        ("select", {"shape": {"type": "circle"}, "mode": "add", "source": "x"}, "protocol"),
        ("points", {"projection": None, "color": "lable"}, "unknown_column"),
        ("filter", {"source": "text", "clause": {"type": "sql", "text": "1; drop table sample"}}, "filter"),
        ("inspect", {"no": 4_000_000, "px": 64}, "unknown_sample"),
    ]
    for op, body, code in wrong:
        answer, _ = page.ask(op, body)
        assert not answer["ok"] and answer["error"]["code"] == code, (op, answer)
        assert answer["error"]["message"]
    page._up("nonsense")
    page._up({"v": 1, "k": "ack", "id": 5, "part": 0})
    assert page.ask("hello", {})[0]["ok"]


def test_a_page_reload_gets_the_present_state(page: Page) -> None:
    page.ask("select", {"shape": {"type": "all"}, "mode": "replace", "source": "test"})
    content = {"comm_id": page.opened["Hub"]["comm_id"], "data": {"method": "request_state"}}
    page.client.shell_channel.send(page.client.session.msg("comm_msg", content))
    while True:
        message = page.client.get_iopub_msg(timeout=20)
        data = message["content"].get("data", {})
        if message["msg_type"] == "comm_msg" and data.get("method") == "update" and "boot" in data["state"]:
            break
    assert data["state"]["boot"][0]["body"]["state"]["selection"]["count"] == 300
    assert json.dumps(data["state"]["boot"])


def test_a_burst_of_changes_ends_with_the_final_state(page: Page) -> None:
    page.run("for n in range(40): session.select(session.take(n + 1))", wait=False)
    seen = page.until_selected(40)
    assert len(seen) < 40, "each change was an event of its own"
