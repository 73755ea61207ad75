"""The ground the other browser tests stand on, shown with a widget of three lines."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.notebook import CellError

WIDGET = '''
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = """
    function render({ model, el }) {
      const button = document.createElement("button");
      const show = () => { button.textContent = `pressed ${model.get("count")} times`; };
      button.onclick = () => model.send({ press: 1 });
      model.on("change:count", show);
      show();
      el.append(button);
      if (model.get("broken")) console.error("the widget broke");
    }
    export default { render };
    """
    count = traitlets.Int(0).tag(sync=True)
    broken = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**traits)
        self.on_msg(lambda _, message, __: setattr(self, "count", self.count + 1))

counter = Counter()
'''


def test_a_click_reaches_the_kernel_and_comes_back_on_screen(lab: Lab) -> None:
    notebook = lab.notebook([WIDGET, "counter", "print(counter.count)"])
    notebook.run(0)
    notebook.run(1)
    notebook.output(1).get_by_role("button").click()
    expect(notebook.output(1).get_by_role("button")).to_have_text("pressed 1 times")
    assert notebook.run(2) == "1\n"
    assert notebook.value("[counter.count, str(counter.broken)]") == [1, "False"]


def test_a_click_is_answered_while_a_cell_is_running(lab: Lab) -> None:
    notebook = lab.notebook([WIDGET, "counter", "import time\nwhile counter.count < 2: time.sleep(0.05)"])
    notebook.run(0)
    notebook.run(1)
    notebook.output(1).get_by_role("button").click()
    expect(notebook.output(1).get_by_role("button")).to_have_text("pressed 1 times")
    notebook.start(2)
    assert notebook.value("counter.count", beside=True) == 1
    assert notebook.is_running(2)
    notebook.output(1).get_by_role("button").click()
    notebook.wait(2)


def test_reload_keeps_the_kernel_and_restart_forgets_it(lab: Lab) -> None:
    notebook = lab.notebook(["x = 1", "x"])
    notebook.run_all()
    notebook.reload()
    assert notebook.text(1) == "1"
    assert notebook.value("x") == 1
    notebook.restart()
    with pytest.raises(CellError, match="NameError"):
        notebook.run(1)


def test_dark_theme_turns_the_page_dark(lab: Lab) -> None:
    notebook = lab.notebook(["1"])
    notebook.theme("dark")
    background = notebook.page.evaluate("getComputedStyle(document.body).getPropertyValue('--jp-layout-color0')")
    assert background.strip() in {"#111111", "#111", "black"}
    assert notebook.screenshot("laboratory-dark").stat().st_size > 10_000


def test_an_error_of_a_widget_on_the_console_is_noticed(lab: Lab) -> None:
    notebook = lab.notebook([WIDGET, "Counter(broken=True)"])
    notebook.run_all()
    expect(notebook.output(1).get_by_role("button")).to_be_visible()
    assert [error for error in notebook.unexpected_errors() if "the widget broke" in error]
    notebook.expect_error("the widget broke")
