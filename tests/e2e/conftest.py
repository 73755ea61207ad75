"""Browser tests share one JupyterLab and one Chromium; each has notebooks, a workspace and kernels of its own."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright

from tests.e2e.notebook import Notebook
from tests.e2e.server import LabServer

SCREENSHOTS = Path(__file__).resolve().parent / "screenshots"
VIEWPORT = {"width": 1400, "height": 1000}
CHROMIUM_FLAGS = [
    "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",  # containers often have 64 MB of it
    # The page itself is drawn without WebGL, which takes a tenth of the time that software in place of a GPU does.
    "--disable-gpu-compositing",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",  # WebGL2 without a GPU
]  # fmt: skip
# Conditions are waited for; a machine under load may take its time.
expect.set_options(timeout=20_000)
REPORT = pytest.StashKey[pytest.TestReport]()


class Lab:
    """What a test asks for notebooks."""

    def __init__(self, server: LabServer, browser: BrowserContext, name: str) -> None:
        self._server = server
        self._browser = browser
        self.name = name
        self.work = server.work / f"{name}-{secrets.token_hex(3)}"
        self.work.mkdir()
        self.notebooks: list[Notebook] = []

    def notebook(self, cells: Sequence[str], name: str = "notebook.ipynb") -> Notebook:
        """Writes a notebook with these cells into `work`, the kernel's working folder, and opens it."""
        file = self.work / name
        file.write_text(json.dumps(notebook_json(cells)))
        return self.open(file)

    def open(self, file: Path) -> Notebook:
        """Opens a notebook that lies in `work`."""
        place = file.relative_to(self._server.work).as_posix()
        workspace = secrets.token_hex(4)
        address = f"{self._server.address}/lab/workspaces/{workspace}/tree/{place}?token={self._server.token}"
        page = self._browser.new_page()
        page.set_default_timeout(20_000)
        opened = Notebook(page, address, file, SCREENSHOTS)
        self.notebooks.append(opened)
        return opened

    def close(self, failed: bool) -> None:
        for number, notebook in enumerate(self.notebooks):
            if failed:
                notebook.screenshot(f"failed-{self.name}-{number}")
            notebook.page.close()
        self._server.end_kernels()
        self._server.forget_theme()
        shutil.rmtree(self.work, ignore_errors=True)


@pytest.fixture(scope="session")
def lab_server() -> Iterator[LabServer]:
    """The JupyterLab of this test run."""
    server = LabServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """The Chromium of this test run; its pages share a cache, so JupyterLab loads quickly after the first test.

    It has a folder for what it keeps, as people's has: only there it keeps compiled JavaScript as well.
    """
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("chromium"),
            executable_path=chromium_path(),
            args=[*CHROMIUM_FLAGS, *root],
            viewport=VIEWPORT,  # type: ignore[arg-type]
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context
        context.close()


@pytest.fixture
def lab(lab_server: LabServer, browser: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Notebooks for one test. An error that one of our modules reports on the console fails the test."""
    lab = Lab(lab_server, browser, re.sub(r"\W+", "-", request.node.name).strip("-"))
    yield lab
    report = request.node.stash.get(REPORT, None)
    failed = report is None or report.failed
    errors = [error for notebook in lab.notebooks for error in notebook.unexpected_errors()]
    lab.close(failed or bool(errors))
    if errors and not failed:
        pytest.fail("errors on the browser's console:\n" + "\n".join(errors))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.stash[REPORT] = report
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def chromium_path() -> str | None:
    """The system's Chromium; None lets Playwright take its own."""
    if named := os.environ.get("CHROMIUM"):
        return named
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


def notebook_json(cells: Sequence[str]) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{i}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for i, source in enumerate(cells)
        ],
    }


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo session, built once: 1,797 digits with vectors and a map."""
    import dataide as di  # here, so that collecting tests needs no built dataide

    file = tmp_path_factory.mktemp("digits") / "digits.duckdb"
    di.demo("digits", path=file).close()
    return file


@pytest.fixture
def digits(lab: Lab, digits_file: Path) -> None:
    """Puts a fresh copy of the demo session, `digits.duckdb`, beside the notebook."""
    shutil.copy(digits_file, lab.work / "digits.duckdb")
