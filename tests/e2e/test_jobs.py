"""A job as a person sees it: a bar below its cell and in the workbench, alive while cells run, and a Cancel button."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Lab
from tests.e2e.notebook import Notebook
from tests.e2e.test_lifecycle import LONG
from tests.e2e.test_main_job import wait_for, workbench

# A function that takes its time: 225 batches of at least 0.15 s.
SLOW = """
import threading
import numpy as np
pause = threading.Event()
def slow(images):
    pause.wait(0.15)
    return np.ones((len(images), 4), np.float32)
job = session.embed(slow, name="slow", batch_size=8, wait=False)
job
"""


def value(bar: Locator) -> float:
    return float(bar.evaluate("bar => bar.position"))


def place(plot: Locator) -> list[float]:
    """Where the plot stands in its workbench, and how large it is."""
    found: list[float] = plot.evaluate(
        "plot => { const [a, b] = [plot, plot.parentElement.closest('[data-dataide-panel]')].map("
        "one => one.getBoundingClientRect()); return [a.x - b.x, a.y - b.y, a.width, a.height]; }"
    )
    return found


def test_a_job_moves_on_while_a_cell_runs_and_is_cancelled_in_the_workbench(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits, SLOW, "job", LONG)
    bench = notebook.panel("workbench")
    plot = bench.locator("[data-dataide-panel=scatter]")
    before = place(plot)
    notebook.run(2)
    notebook.run(3)
    strip = bench.get_by_role("group", name="Jobs under way")
    expect(strip).to_be_visible()
    assert place(plot) == before, "a strip that comes moves nothing"
    bar = strip.get_by_role("progressbar", name="slow")
    expect(strip).to_contain_text("Embedding with 'slow'")
    expect(strip).to_contain_text("left")
    notebook.start(4)
    seen = value(bar)
    notebook.page.wait_for_function("([bar, seen]) => bar.position > seen", arg=[bar.element_handle(), seen])
    # Both cells that show the job show how far it is.
    for cell in (2, 3):
        expect(notebook.output(cell)).to_contain_text("of 1,797")
    assert notebook.is_running(4)

    strip.get_by_role("button", name="Cancel").click()
    expect(strip).to_be_hidden()
    assert notebook.value("(job.finished, job.state)", beside=True) == [True, "cancelled"]
    for cell in (2, 3):
        expect(notebook.output(cell)).to_contain_text("It was stopped")
        expect(notebook.output(cell).get_by_role("button", name="Cancel")).to_have_count(0)
    done = notebook.value("job.result().embedded", beside=True)
    assert 0 < done < 1797
    assert notebook.is_running(4)


def test_a_job_is_back_after_a_page_reload_and_its_cell_cancels_it(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits, SLOW)
    notebook.run(2)
    expect(notebook.output(2)).to_contain_text("of 1,797")
    notebook.reload()
    notebook.show(2)
    expect(notebook.output(2)).to_contain_text("of 1,797")
    before = said(notebook)
    notebook.page.wait_for_function(
        "([node, before]) => node.innerText !== before", arg=[notebook.output(2).element_handle(), before]
    )
    notebook.output(2).get_by_role("button", name="Cancel").click()
    wait_for(notebook, "job.finished and job.state == 'cancelled'")
    expect(notebook.output(2)).to_contain_text("It was stopped")


def test_what_a_job_fails_of_is_said_in_the_cell_and_in_the_workbench(lab: Lab, digits: None) -> None:
    broken = SLOW.replace("return np.ones((len(images), 4), np.float32)", "raise ValueError('no <b>light</b> here')")
    notebook = workbench(lab, digits, broken)
    notebook.run(2)
    expect(notebook.page.locator(".dataide-toasts")).to_contain_text("no <b>light</b> here")
    expect(notebook.output(2)).to_contain_text("no <b>light</b>")


def test_a_cell_that_waits_shows_the_bar_and_keeps_the_sentence(lab: Lab, digits: None) -> None:
    waits = SLOW.replace("job = ", "").replace(", wait=False)\njob", ")")
    notebook = workbench(lab, digits, waits)
    notebook.start(2)
    expect(notebook.output(2)).to_contain_text("of 1,797")
    notebook.output(2).get_by_role("button", name="Cancel").click()
    assert "It was stopped" in notebook.wait(2)
    # Once: it is what the call returns as well, and that is not shown again.
    (only,) = notebook.outputs(2)
    assert "It was stopped" in "".join(only["data"]["text/plain"])


def said(notebook: Notebook) -> str:
    return notebook.output(2).inner_text()
