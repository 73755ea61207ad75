"""What happens around the panels: a busy kernel, a reloaded page, a restarted kernel, a saved notebook."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, answer_prompt, drag, plot, selected, tiles
from tests.e2e.test_main_job import OPEN, wait_for, workbench

# Far longer than anybody waits for an answer: what is answered, is answered while they run. The test ends the kernel.
LONG = "import time; time.sleep(600)"
LOOP = "import time\nend = time.time() + 600\nloss = 1.0\nwhile time.time() < end:\n    loss = loss * 0.999 + 1e-6"


def test_lasso_tag_and_scrolling_work_while_a_cell_sleeps(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits, LONG)
    notebook.start(2)
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    chosen = selected(notebook.panel("workbench"))
    notebook.page.keyboard.press("t")
    answer_prompt(notebook.page, "busy")
    tagged = "session.sql(\"select count(*) from tag where tag = 'busy'\").fetchone()[0]"
    notebook.page.wait_for_function("() => document.body.innerText.includes('busy')")
    assert notebook.value(f"{tagged}", beside=True) == chosen
    grid = notebook.panel("grid")
    before = tiles(grid).first.get_attribute("data-sample-id")
    tiles(grid).first.hover()
    notebook.page.mouse.wheel(0, 3000)
    expect(tiles(grid).first).not_to_have_attribute("data-sample-id", str(before))
    expect(tiles(grid).first.locator("img, canvas").first).to_be_visible()
    assert notebook.is_running(2)


def test_a_panel_shown_right_before_a_long_cell_is_not_blank(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "session.workbench()", LONG])
    notebook.run(0)
    notebook.start(1)
    notebook.start(2)
    notebook.show(1)
    expect(tiles(notebook.panel("grid")).first).to_be_visible()
    assert notebook.is_running(2)


def test_a_training_loop_in_pure_python_does_not_freeze_the_panels(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits, LOOP)
    notebook.start(2)
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    assert selected(notebook.panel("workbench")) > 100
    assert notebook.is_running(2)


def test_after_a_page_reload_everything_is_back_with_the_selection(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    chosen = selected(notebook.panel("workbench"))
    notebook.reload()
    notebook.show(1)
    expect(tiles(notebook.panel("grid")).first).to_be_visible()
    assert selected(notebook.panel("workbench")) == chosen
    notebook.page.keyboard.press("Escape")
    tiles(notebook.panel("grid")).nth(1).click()
    wait_for(notebook, "len(session.selection) == 1")


def test_after_a_kernel_restart_the_cells_bring_everything_back(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    notebook.execute("session.where(label='3').tag('kept')")
    notebook.expect_error("")  # the widgets of the old kernel may complain while it goes away
    notebook.restart()
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    expect(tiles(notebook.panel("grid")).first).to_be_visible()
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    assert selected(notebook.panel("workbench")) > 100
    assert notebook.value("len(session.where(tag='kept')) == len(session.where(label='3'))")


def test_a_saved_notebook_holds_a_picture_and_a_sentence(lab: Lab, digits: None) -> None:
    cells = [OPEN, "session.workbench()", "session.scatter()", "session.grid()", "session.facets()"]
    notebook = lab.notebook(cells)
    notebook.run_all()
    notebook.save()
    saved = json.loads(notebook.file.read_text())
    for cell in saved["cells"][1:]:
        (output,) = [output for output in cell["outputs"] if "data" in output]
        assert "image/png" in output["data"]
        assert "1,797" in "".join(output["data"]["text/plain"])
        assert "application/vnd.jupyter.widget-view+json" in output["data"]
