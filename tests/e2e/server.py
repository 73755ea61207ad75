"""A real JupyterLab for the tests: settings, data, runtime and work folders of its own, on a free loopback port."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

START_LIMIT_S = 120.0


class LabServer:
    """Started once for all tests; everything it writes lies in one temporary folder."""

    def __init__(self, python: str | Path = sys.executable) -> None:
        self.python = Path(python)
        self._folder = tempfile.TemporaryDirectory(prefix="dataide-lab-", ignore_cleanup_errors=True)
        self.root = Path(self._folder.name)
        self.work = self.root / "work"
        self.settings = self.root / "settings"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.work.mkdir()
        self._settle()
        self._log = (self.root / "lab.log").open("wb")
        self.process = subprocess.Popen(
            self._command(), cwd=self.work, env=self._environment(),
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        self._wait_until_it_answers()

    def _settle(self) -> None:
        """No news and no dialogs that would lie over a panel."""
        apputils = self.settings / "@jupyterlab" / "apputils-extension"
        apputils.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        (apputils / "notification.jupyterlab-settings").write_text(json.dumps(quiet))

    def _command(self) -> list[str]:
        return [
            str(self.python), "-m", "jupyterlab", "--no-browser", "--allow-root",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.work}", f"--IdentityProvider.token={self.token}",
            "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
            "--LanguageServerManager.autodetect=False",  # or it asks npm where it keeps its modules
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        own = {
            "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "XDG_CONFIG_HOME": "xdg/config", "XDG_DATA_HOME": "xdg/data", "XDG_STATE_HOME": "xdg/state",
        }  # fmt: skip
        # The kernel is this Python: jupyter_client puts sys.executable where a kernel's command says "python".
        path = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        folders = {name: str(self.root / folder) for name, folder in own.items()}
        return os.environ | folders | {"PATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.get("/api")
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log()
                    self.close()
                    raise RuntimeError(f"JupyterLab did not start:\n{log}") from None
                time.sleep(0.05)

    def log(self) -> str:
        """The last lines of what the server said."""
        return (self.root / "lab.log").read_text(errors="replace")[-4000:]

    def get(self, path: str) -> Any:
        return self._request("GET", path)

    def _request(self, method: str, path: str) -> Any:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.address + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def end_kernels(self) -> None:
        """Ends the kernels a test left running, so that memory does not grow from test to test."""
        for session in self.get("/api/sessions"):
            self._request("DELETE", f"/api/sessions/{session['id']}")

    def forget_theme(self) -> None:
        (self.settings / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings").unlink(missing_ok=True)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._log.close()
        self._folder.cleanup()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
