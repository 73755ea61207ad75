"""Screenshots of the workbench in both themes, for people to look at, and what a program can check of the looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, drag, plot, selected
from tests.e2e.test_main_job import workbench

BACKGROUND = "node => getComputedStyle(node).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
OVERFLOW = "node => node.scrollWidth - node.clientWidth"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_workbench_follows_the_theme_and_fits_its_cell(lab: Lab, digits: None, theme: str) -> None:
    notebook = workbench(lab, digits)
    notebook.theme(theme)
    bench = notebook.panel("workbench")
    notebook.show(1)
    notebook.screenshot(f"workbench-{theme}")
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    selected(bench)
    notebook.screenshot(f"workbench-{theme}-selected")
    red, green, blue = bench.evaluate(BACKGROUND)
    assert (red + green + blue > 384) == (theme == "light")
    assert bench.evaluate(OVERFLOW) <= 1
    for name in ["Tag", "Relabel", "Queue", "Similar", "Exclude", "Undo", "Redo"]:
        expect(bench.get_by_role("button", name=name, exact=True).first).to_be_visible()
