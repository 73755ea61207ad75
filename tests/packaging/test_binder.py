"""What somebody sees who follows a Binder link."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object) -> None:
        return None


def test_binder_opens_the_first_notebook(project: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [project / "binder" / "start", *lab, "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="],
        cwd=project,
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert first_page(server, f"http://127.0.0.1:{port}/") == "/lab/tree/example_notebooks/01_first_minute.ipynb"
    finally:
        server.terminate()
        server.wait(15)
    assert (project / "example_notebooks" / "01_first_minute.ipynb").is_file()


def first_page(server: subprocess.Popen[bytes], address: str) -> str:
    """Where the server sends a visitor, as soon as it answers."""
    opener = urllib.request.build_opener(NoRedirect)
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(address, timeout=5)
        except urllib.error.HTTPError as answer:
            return answer.headers["Location"].split("?")[0]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError("JupyterLab did not answer")


def test_binder_brings_node_and_leaves_torch(project: Path) -> None:
    assert "nodejs" in (project / "binder" / "environment.yml").read_text()
    build = (project / "binder" / "postBuild").read_text()
    assert "umap-learn" in build
    assert "[ml]" not in build
    assert "[all]" not in build
