"""`make demo`, as somebody runs it who has just cloned the repository."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.e2e.conftest import SCREENSHOTS
from tests.e2e.gestures import LEFT_HALF, drag, plot, selected, tiles
from tests.e2e.notebook import Notebook
from tests.e2e.server import free_port

NOTEBOOK = "example_notebooks/01_first_minute.ipynb"
TOKEN = "only-for-this-test"
OWN = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR")
START_LIMIT_S = 120


@pytest.fixture
def demo(project: Path, tmp_path: Path) -> Iterator[str]:
    """The address that `make demo` prints; the notebook is a copy, so that the repository stays clean."""
    if not (project / ".venv" / "stamps" / "demo").exists() or shutil.which("make") is None:
        pytest.skip("`make demo` needs make and an environment that `make setup` made")
    (tmp_path / NOTEBOOK).parent.mkdir()
    shutil.copy(project / NOTEBOOK, tmp_path / NOTEBOOK)
    port = free_port()
    own = {f"JUPYTER{'' if name.startswith('LAB') else '_'}{name}": str(tmp_path / name.lower()) for name in OWN}
    arguments = (
        f"--no-browser --ServerApp.port={port} --ServerApp.port_retries=0 --IdentityProvider.token={TOKEN} "
        "--LabApp.expose_app_in_browser=True"
    )
    with (tmp_path / "demo.log").open("wb") as log:
        make = subprocess.Popen(
            ["make", "demo", f"DEMO_ARGS={arguments}", f"DEMO_DIR={tmp_path}"],
            cwd=project,
            env=os.environ | own | {"IPYTHONDIR": str(tmp_path / "ipython"), "MAKEFLAGS": ""},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for_answer(f"{address}/api", make, tmp_path / "demo.log")
            yield address
        finally:
            os.killpg(make.pid, signal.SIGTERM)
            try:
                make.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(make.pid, signal.SIGKILL)
                make.wait()


def test_make_demo_opens_the_notebook_that_shows_the_workbench(demo: str, browser: BrowserContext) -> None:
    page = browser.new_page()
    page.set_default_timeout(20_000)
    notebook = Notebook(page, f"{demo}/?token={TOKEN}", Path(NOTEBOOK), SCREENSHOTS)
    try:
        assert f"/lab/tree/{NOTEBOOK}" in page.url
        notebook.page.evaluate("() => void jupyterapp.commands.execute('runmenu:run-all')")
        bench = notebook.panel("workbench")
        expect(bench).to_be_visible(timeout=90_000)
        notebook.show(3)
        expect(tiles(notebook.panel("grid")).first).to_be_visible()
        drag(page, plot(notebook.panel("scatter")), LEFT_HALF)
        assert 0 < selected(bench) < 1797
        # The last cell has a workbench of its own: all ten cells ran.
        expect(notebook.panel("workbench", 9)).to_be_attached(timeout=90_000)
        assert notebook.unexpected_errors() == []
    finally:
        page.close()


def wait_for_answer(address: str, make: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while make.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(f"`make demo` did not start JupyterLab:\n{log.read_text(errors='replace')[-4000:]}")
