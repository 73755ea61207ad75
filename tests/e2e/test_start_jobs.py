"""Work that is started from the workbench: vectors, a map of them, a cancelled job and a failed one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, drag, plot, selected, tiles
from tests.e2e.notebook import Notebook
from tests.e2e.test_main_job import wait_for

# Pictures that nobody has computed anything of.
NEW = """
import dataide as di
import numpy as np
from sklearn.datasets import load_digits
digits = load_digits()
pictures = (np.kron(digits.images[:400], np.ones((1, 4, 4))) * 15).astype(np.uint8)
session = di.open('new.duckdb')
session.add_arrays(pictures, label=[str(label) for label in digits.target[:400]], progress=False)
"""
# From now on "auto" takes its time: 50 batches of at least 0.2 s.
SLOW = """
import threading
pause, embed = threading.Event(), di.View.embed
def slow(images):
    pause.wait(0.2)
    return np.ones((len(images), 4), np.float32)
di.View.embed = lambda view, model, **options: embed(view, slow, batch_size=8, **options)
"""
OVERFLOW = "node => [node.scrollWidth - node.clientWidth, node.scrollHeight - node.clientHeight]"


def workbench(lab: Lab, *more: str) -> Notebook:
    notebook = lab.notebook([NEW, "session.workbench()", *more])
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    expect(tiles(notebook.panel("grid")).first).to_be_visible()
    return notebook


def form(notebook: Notebook) -> Locator:
    """Opens the form with its key."""
    bench = notebook.panel("workbench")
    bench.focus()
    notebook.page.keyboard.press("m")
    opened = bench.get_by_role("dialog", name="Compute")
    expect(opened).to_be_visible()
    return opened


def test_with_the_keyboard_to_vectors_and_to_a_map_of_them(lab: Lab) -> None:
    notebook = workbench(lab)
    bench, keyboard = notebook.panel("workbench"), notebook.page.keyboard
    asked = form(notebook)
    expect(asked.get_by_role("radio", name="Embedding vectors, to find")).to_be_focused()
    expect(asked.get_by_role("radio", name="everything 400")).to_be_checked()
    expect(asked.get_by_role("radio", name="Map")).to_have_count(0)
    keyboard.press("Escape")
    expect(asked).to_be_hidden()
    expect(bench).to_be_focused()

    form(notebook)
    keyboard.press("Enter")
    expect(asked).to_be_hidden()
    ended = bench.get_by_role("group", name="Jobs that ended")
    expect(ended).to_contain_text("Embedded 400 samples with 'auto'")
    assert notebook.value("session.embeddings") == ["auto"]
    expect(ended.get_by_role("button", name="Make a map")).to_be_visible()
    notebook.screenshot("job-done")

    form(notebook)
    expect(asked.get_by_role("radio", name="Map")).to_be_checked()
    keyboard.press("ArrowUp")
    expect(asked.get_by_role("radio", name="Embedding vectors, to find")).to_be_checked()
    keyboard.press("ArrowDown")
    expect(asked.get_by_role("radio", name="Map")).to_be_focused()
    asked.get_by_label("Method").select_option("pca")
    expect(asked.get_by_label("Of", exact=True)).to_have_value("auto")
    keyboard.press("Tab")
    asked.get_by_role("button", name="Start").press("Enter")
    expect(asked).to_be_hidden()
    expect(ended).to_be_hidden()
    expect(notebook.page.locator(".dataide-toasts")).to_contain_text("on the map 'auto/pca'")
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    assert 0 < selected(bench) < 400

    # What is selected now is what the next job is about.
    form(notebook)
    expect(asked.get_by_role("radio", name="the selection")).to_be_checked()
    assert asked.evaluate(OVERFLOW) == [0, 0]


def test_a_job_that_was_started_here_is_watched_and_cancelled(lab: Lab) -> None:
    notebook = workbench(lab, SLOW)
    notebook.run(2)
    bench = notebook.panel("workbench")
    form(notebook)
    notebook.page.keyboard.press("Enter")
    strip = bench.get_by_role("group", name="Jobs under way")
    bar = strip.get_by_role("progressbar")
    expect(strip).to_contain_text("of 400")
    seen = bar.evaluate("bar => bar.position")
    notebook.page.wait_for_function("([bar, seen]) => bar.position > seen", arg=[bar.element_handle(), seen])
    strip.get_by_role("button", name="Cancel").click()
    expect(strip).to_be_hidden()
    expect(notebook.page.locator(".dataide-toasts")).to_contain_text("It was stopped")
    expect(bench.get_by_role("group", name="Jobs that ended")).to_be_hidden()
    done = notebook.value("session.sql('select count(*) from vector_slow').fetchone()[0]")
    assert 0 < done < 400


def test_what_went_wrong_is_said_where_it_can_be_put_right(lab: Lab) -> None:
    notebook = workbench(lab)
    bench, page = notebook.panel("workbench"), notebook.page
    asked = form(notebook)
    asked.get_by_label("Model").fill("res net")
    page.keyboard.press("Enter")
    expect(asked.get_by_role("alert")).to_contain_text("no name of a model")
    expect(asked.get_by_label("Model")).to_be_focused()
    notebook.screenshot("compute-refused")
    asked.get_by_label("Model").fill("resnet1818")
    page.keyboard.press("Enter")
    expect(asked).to_be_hidden()
    ended = bench.get_by_role("group", name="Jobs that ended")
    expect(ended.get_by_role("alert")).to_contain_text("resnet1818", timeout=60_000)
    notebook.theme("dark")
    notebook.screenshot("job-failed")
    notebook.reload()
    notebook.show(1)
    expect(ended.get_by_role("alert")).to_contain_text("resnet1818")
    ended.get_by_role("button", name="Dismiss").click()
    expect(ended).to_be_hidden()
    wait_for(notebook, "session.embeddings == []")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [900, 1400])
def test_the_form_has_room(lab: Lab, theme: str, width: int) -> None:
    notebook = workbench(lab, "session.embed('auto', progress=False)")
    notebook.run(2)
    notebook.page.set_viewport_size({"width": width, "height": 1000})
    notebook.theme(theme)
    notebook.show(1)
    bench = notebook.panel("workbench")
    tiles(notebook.panel("grid")).nth(2).click()
    wait_for(notebook, "len(session.selection) == 1")
    asked = form(notebook)
    height = asked.bounding_box()["height"]  # type: ignore[index]
    for kind in asked.get_by_role("group", name="Compute").get_by_role("radio").all():
        kind.check()
        assert asked.bounding_box()["height"] == height, "another kind moves nothing"  # type: ignore[index]
        assert asked.evaluate(OVERFLOW) == [0, 0]
    asked.get_by_role("radio", name="Map").check()
    notebook.screenshot(f"compute-{theme}-{width}")
    inside, around = asked.bounding_box(), bench.bounding_box()
    assert inside is not None and around is not None
    assert inside["x"] >= around["x"] and inside["x"] + inside["width"] <= around["x"] + around["width"]
    assert inside["y"] + inside["height"] <= around["y"] + around["height"]
