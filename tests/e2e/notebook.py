"""A notebook open in JupyterLab in Chromium, as a person has it before them."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page

READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return Boolean(panel?.context?.isReady && panel.content?.widgets
    && panel.sessionContext.session?.kernel?.status === 'idle');
}"""

# Starts a cell as Shift-Enter does, and notes when its answer is complete.
START = """async index => {
  const panel = jupyterapp.shell.currentWidget, runs = (window.__runs ??= {});
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  runs[index] = null;
  jupyterapp.commands.execute('notebook:run-cell').then(() => { runs[index] = true; });
}"""

OUTPUTS = "index => jupyterapp.shell.currentWidget.content.widgets[index].model.outputs.toJSON()"

EVALUATE = """async ({code, expression, beside}) => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  let through = kernel;
  if (beside) {
    const subshell = await kernel.requestCreateSubshell({}).done;
    through = kernel.clone({handleComms: false});
    through.subshellId = subshell.content.subshell_id;
    await through.info;
  }
  const ask = {code, store_history: false, user_expressions: expression ? {value: expression} : {}};
  const future = through.requestExecute(ask);
  let printed = '';
  future.onIOPub = m => { if (m.header.msg_type === 'stream') printed += m.content.text; };
  const reply = (await future.done).content;
  if (beside) through.dispose(); // which ends the subshell as well
  return {reply, printed};
}"""


class CellError(AssertionError):
    """A cell, or code run beside the cells, raised."""


class Notebook:
    """One open notebook. Cells are counted from 0."""

    def __init__(self, page: Page, address: str, file: Path, screenshots: Path) -> None:
        self.page = page
        self.file = file
        self.work = file.parent
        self._address = address
        self._screenshots = screenshots
        self._noise: list[str] = []
        self.errors: list[str] = []
        page.on("pageerror", self._note_page_error)
        page.on("console", self._note_console)
        page.goto(address, wait_until="commit")
        self._wait_until_ready()

    # -- cells

    def run(self, index: int, timeout_s: float = 60) -> str:
        """Runs one cell to its end and returns what it printed; raises what it raised."""
        self.start(index)
        return self.wait(index, timeout_s)

    def start(self, index: int) -> None:
        """Starts a cell and returns at once."""
        self.page.evaluate(START, index)

    def wait(self, index: int, timeout_s: float = 60) -> str:
        """Waits for a started cell."""
        self.page.wait_for_function(
            "index => window.__runs && window.__runs[index]", arg=index, timeout=timeout_s * 1000
        )
        return self.text(index)

    def run_all(self, timeout_s: float = 120) -> list[str]:
        """Runs every cell in order."""
        count = self.page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets.length")
        return [self.run(index, timeout_s) for index in range(count)]

    def is_running(self, index: int) -> bool:
        """Whether a started cell has not ended yet."""
        return not self.page.evaluate("index => window.__runs && window.__runs[index]", index)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a cell as nbformat has them."""
        found: list[dict[str, Any]] = self.page.evaluate(OUTPUTS, index)
        return found

    def text(self, index: int) -> str:
        """What a cell printed and returned, as text."""
        pieces = []
        for output in self.outputs(index):
            if output["output_type"] == "error":
                raise CellError(f"cell {index}: {output['ename']}: {output['evalue']}")
            if output["output_type"] == "stream":
                pieces.append(joined(output["text"]))
            else:
                pieces.append(joined(output["data"].get("text/plain", "")))
        return "".join(pieces)

    def output(self, index: int) -> Locator:
        """The part of the page below a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def panel(self, name: str, cell: int | None = None) -> Locator:
        """The root of a dataide panel, in one cell or anywhere."""
        place = self.page.locator("body") if cell is None else self.output(cell)
        return place.locator(f'[data-dataide-panel="{name}"]').first

    def show(self, index: int) -> None:
        """Scrolls a cell's output to the top of the window."""
        self.page.evaluate("index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index; }", index)
        self.output(index).evaluate("node => node.scrollIntoView({block: 'start'})")

    # -- kernel

    def execute(self, code: str, *, beside: bool = False) -> str:
        """Runs code in the kernel without a cell and returns what it printed.

        With `beside` it runs in a subshell, so it is answered while a cell is running.
        """
        return str(self._ask_kernel(code, None, beside)["printed"])

    def value(self, expression: str, *, setup: str = "", beside: bool = False) -> Any:
        """The value of a Python expression in the kernel: anything that JSON can say."""
        wrapped = f"__import__('json').dumps({expression})"
        told = self._ask_kernel(setup, wrapped, beside)["reply"]["user_expressions"]["value"]
        if told["status"] != "ok":
            raise CellError(f"{expression}: {told['ename']}: {told['evalue']}")
        return json.loads(ast.literal_eval(told["data"]["text/plain"]))

    def _ask_kernel(self, code: str, expression: str | None, beside: bool) -> Any:
        said = self.page.evaluate(EVALUATE, {"code": code, "expression": expression, "beside": beside})
        if said["reply"]["status"] != "ok":
            raise CellError(f"{code}: {said['reply'].get('ename')}: {said['reply'].get('evalue')}")
        return said

    def interrupt(self) -> None:
        """What the stop button does."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restarts the kernel; the notebook stays open."""
        self.page.evaluate(
            "async () => { await jupyterapp.shell.currentWidget.sessionContext.restartKernel(); window.__runs = {}; }"
        )
        self.page.wait_for_function(READY, timeout=60_000)

    # -- page

    def save(self) -> None:
        self.page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")

    def reload(self, *, save: bool = True) -> None:
        """Reloads the browser page; the kernel goes on."""
        if save:
            self.save()
        self.page.goto("about:blank")
        self.page.goto(self._address, wait_until="commit")
        self._wait_until_ready()

    def theme(self, name: str) -> None:
        """`light` or `dark`."""
        title = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[name]
        self.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", title)
        light = "true" if name == "light" else "false"
        self.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)

    def screenshot(self, name: str) -> Path:
        """A picture of the window in tests/e2e/screenshots."""
        self._screenshots.mkdir(parents=True, exist_ok=True)
        path = self._screenshots / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def expect_error(self, part: str) -> None:
        """Errors on the console with this text do not fail the test."""
        self._noise.append(part)

    def unexpected_errors(self) -> list[str]:
        return [error for error in self.errors if not any(part in error for part in self._noise)]

    def _wait_until_ready(self) -> None:
        self.page.wait_for_function(READY, timeout=120_000)
        self.page.evaluate("() => jupyterapp.shell.collapseLeft()")

    def _note_page_error(self, error: Error) -> None:
        told = f"{error.message}\n{error.stack or ''}"
        if is_ours(told):
            self.errors.append(told)

    def _note_console(self, message: ConsoleMessage) -> None:
        told = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and is_ours(told):
            self.errors.append(told)


def is_ours(told: str) -> bool:
    """Widget modules are loaded from blob addresses; anywidget and the widget manager name themselves."""
    return any(part in told for part in ("blob:", "anywidget", "dataide", "widget", "Widget"))


def joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
