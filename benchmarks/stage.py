"""A JupyterLab and a fresh Chromium for one run of the benchmarks, and what they are asked: bytes, pictures, memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.slow_line import SlowLine
from tests.e2e.conftest import CHROMIUM_FLAGS, VIEWPORT, Lab, chromium_path
from tests.e2e.notebook import Notebook
from tests.e2e.server import LabServer

HERE = Path(__file__).resolve().parent
SCRIPTS = [(HERE / name).read_text(encoding="utf-8") for name in ("watch.js", "scale.js")]
FLAGS = ["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc"]
# Without a GPU Chromium draws pages with the processor; WebGL needs SwiftShader, a GPU in software, to be allowed.
# Told to use SwiftShader for everything, it also puts each page together with it: 18 ms a frame whatever has changed.
DRAWING = {
    "processor": ["--enable-unsafe-swiftshader"],
    "swiftshader": ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
}
REST_MS = 1_000  # between the cell that loads the data and the one that shows them, for every subject
QUIET = HERE.parent / ".venv-peers" / "playwright"
RSS = "next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmRSS')) * 1024"


class Stage:
    """What a measurement works with: `lab`, `page` once a notebook is open, and `facts` that go into the result."""

    def __init__(self, lab: Lab, slow: SlowLine | None) -> None:
        self.lab = lab
        self.slow = slow
        self.notebook: Notebook
        self._cdp: CDPSession | None = None

    @property
    def page(self) -> Page:
        return self.notebook.page

    def open(self, cells: list[str]) -> None:
        """Opens a notebook and runs all cells but the last."""
        self.notebook = self.lab.notebook(cells)
        self.page.set_default_timeout(240_000)
        self.last = len(cells) - 1
        for index in range(self.last):
            self.notebook.run(index, timeout_s=240)
        self.page.wait_for_timeout(REST_MS)

    def start(self, points: int, tiles: str = "none") -> None:
        """Runs the last cell with everything watched."""
        self.page.evaluate(
            "tiles => Object.assign(window.__seen, {armed: true, tiles, points: null, pictures: null})", tiles
        )
        self.page.evaluate("points => __bench.arm(points)", points)
        self.notebook.start(self.last)

    def until(self, condition: str, timeout_s: float = 120) -> None:
        self.page.wait_for_function(f"() => {condition}", timeout=timeout_s * 1000, polling=20)

    def snapshot(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => __bench.snapshot()")
        return found

    def since_sent(self, name: str) -> float:
        """Seconds from the execute request until `first` or `all`, or what `watch.js` has noted as `pictures`."""
        noted = f"window.__seen.{name}" if name == "pictures" else f"__bench.{name}"
        self.until(f"{noted} !== null")
        return float(self.page.evaluate(f"({noted} - __bench.sent) / 1000"))

    def quiet(self, ms: float = 400, longest_ms: float = 60_000) -> None:
        """Waits until nothing has gone down the line for a while."""
        self.page.evaluate(
            """([quiet, longest]) => new Promise(done => {
                let seen = -1, at = performance.now(); const began = at;
                const look = () => {
                  const size = __bench.down + __bench.up, t = performance.now();
                  if (size !== seen) { seen = size; at = t; }
                  if (t - at > quiet || t - began > longest) done(); else setTimeout(look, 25);
                };
                look();
            })""",
            [ms, longest_ms],
        )

    def wheel(self, x: float, y: float, distance_px: float, speed_px_s: float) -> None:
        """Turns the wheel for so long, with an event for each frame; Playwright's own waits two frames for each."""
        self.cdp.send(
            "Input.synthesizeScrollGesture",
            {"x": x, "y": y, "yDistance": distance_px, "speed": int(speed_px_s), "gestureSourceType": "mouse"},
        )

    @property
    def cdp(self) -> CDPSession:
        """A line of our own to this page of the browser."""
        if self._cdp is None:
            self._cdp = self.page.context.new_cdp_session(self.page)
        return self._cdp

    def wait_for_value(self, expression: str, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.notebook.value(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expression} did not become true within {timeout_s:.0f} s")
            self.page.wait_for_timeout(10)

    def kernel_rss(self) -> int:
        """Bytes that the kernel holds, after it has cleaned up."""
        self.notebook.execute(
            "import gc, ctypes, contextlib\ngc.collect()\n"
            "with contextlib.suppress(OSError, AttributeError):\n    ctypes.CDLL('libc.so.6').malloc_trim(0)"
        )
        return int(self.notebook.value(RSS))

    def browser_bytes(self) -> dict[str, int]:
        """JavaScript heap and array buffers of the page and its workers after garbage collection, and its RSS."""
        heap = buffers = 0
        for ask in (self.cdp.send, *self._workers(self.cdp)):
            ask("HeapProfiler.collectGarbage")
            used = ask("Runtime.getHeapUsage")
            heap += int(used["usedSize"])
            buffers += int(used.get("backingStorageSize", 0))
        return {"heap": heap, "buffers": buffers, "rss": renderer_rss()}

    def _workers(self, cdp: CDPSession) -> list[Callable[[str], Any]]:
        """How to ask each worker of the page something: messages to its target go through the page's session."""
        sessions: list[str] = []
        answers: dict[int, Any] = {}

        def received(event: dict[str, Any]) -> None:
            told = json.loads(event["message"])
            if "id" in told:
                answers[told["id"]] = told

        cdp.on("Target.attachedToTarget", lambda event: sessions.append(event["sessionId"]))
        cdp.on("Target.receivedMessageFromTarget", received)
        cdp.send("Target.setAutoAttach", {"autoAttach": False, "waitForDebuggerOnStart": False, "flatten": False})
        cdp.send("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False})
        self.page.wait_for_timeout(50)

        def asker(session: str) -> Callable[[str], Any]:
            def ask(method: str) -> Any:
                number = time.monotonic_ns() % (1 << 31)
                message = json.dumps({"id": number, "method": method})
                cdp.send("Target.sendMessageToTarget", {"sessionId": session, "message": message})
                deadline = time.monotonic() + 10
                while number not in answers and time.monotonic() < deadline:
                    self.page.wait_for_timeout(5)
                return answers[number]["result"]

            return ask

        return [asker(session) for session in sessions]


def renderer_rss() -> int:
    """Resident bytes of the browser processes that this one has started."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "--type=renderer" in process.cmdline():
                total += process.memory_info().rss
    return total


@contextlib.contextmanager
def stage(python: Path | str, *, drawing: str = "processor", slow: bool = False) -> Iterator[Stage]:
    """A JupyterLab of this Python with a browser in which nothing is warm; with `slow`, behind a line to throttle."""
    flags = [flag for flag in CHROMIUM_FLAGS if flag not in DRAWING["swiftshader"]]
    server = LabServer(python)
    line = SlowLine(server.port) if slow else None
    try:
        if line is not None:
            server.address = f"http://127.0.0.1:{line.port}"
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=chromium_path(), args=[*flags, *FLAGS, *DRAWING[drawing]]
            )
            context = chromium.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
            for script in SCRIPTS:
                context.add_init_script(script)
            lab = Lab(server, context, "bench")
            try:
                yield Stage(lab, line)
            finally:
                if line is not None:
                    line.throttle(None)
                lab.close(failed=False)
                chromium.close()
    finally:
        if line is not None:
            line.close()
        server.close()


def quiet_environment() -> dict[str, str]:
    """An environment for child processes whose Playwright leaves the network alone.

    Playwright listens to every page's network, so each websocket message is sent to it once more as base64: 18 ms of
    CPU a megabyte, which weighs on whoever sends most. It has no switch for that, so a copy of it is made without.
    Where its source looks different it is used as it is.
    """
    import playwright
    from playwright._repo_version import version

    original = Path(playwright.__file__).parent
    place = QUIET / str(version)
    bundle = place / "playwright" / "driver" / "package" / "lib" / "coreBundle.js"
    if not bundle.exists():
        source = original / "driver" / "package" / "lib" / "coreBundle.js"
        begin = "this._sessions.set(session, sessionInfo);"
        before, found, after = (source.read_text(encoding="utf-8") if source.exists() else "").partition(begin)
        listen = 'session.send("Network.enable")'
        if not found or listen not in after[:200]:
            return dict(os.environ)
        shutil.copytree(original, place / "playwright", ignore=shutil.ignore_patterns("node", "node.exe"))
        bundle.write_text(before + found + after.replace(listen, "Promise.resolve()", 1), encoding="utf-8")
    node = original / "driver" / ("node.exe" if sys.platform == "win32" else "node")
    return os.environ | {"PYTHONPATH": str(place), "PLAYWRIGHT_NODEJS_PATH": str(node)}
