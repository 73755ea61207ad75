"""Narrowing down and picking: facets, the filter box, and the grid by keyboard and mouse."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import count, drag, tiles
from tests.e2e.test_main_job import OPEN, wait_for, workbench


def test_the_filter_box_and_a_facet_narrow_everything_down_together(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    bench = notebook.panel("workbench")
    box = bench.get_by_label(re.compile("filter", re.I)).first
    box.click()
    notebook.page.keyboard.type("brightness < 0.3")
    box.press("Enter")
    dark = notebook.value("len(session.where('brightness < 0.3'))")
    wait_for(notebook, f"len(panel.view) == {dark}")
    bench.locator('[data-dataide-panel="facets"]').get_by_role("button", name=re.compile(r"^3\b")).first.click()
    both = notebook.value("len(session.where(\"brightness < 0.3 and label = '3'\"))")
    assert 0 < both < dark
    wait_for(notebook, f"len(panel.view) == {both}")
    # All that is shown is what passes; A selects exactly that.
    tiles(notebook.panel("grid")).first.click()
    notebook.page.keyboard.press("a")
    wait_for(notebook, f"len(session.selection) == {both}")
    expect(count(bench)).to_contain_text(f"{both:,} of")


def test_a_wrong_column_in_the_filter_box_is_explained_and_nothing_changes(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    bench = notebook.panel("workbench")
    box = bench.get_by_label(re.compile("filter", re.I)).first
    box.click()
    notebook.page.keyboard.type("brightnes < 0.3")
    box.press("Enter")
    expect(bench.get_by_role("alert").first).to_contain_text("brightness")
    assert notebook.value("len(panel.view)") == 1797


def test_the_grid_is_worked_with_the_keyboard_alone(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "panel = session.grid()\npanel"])
    notebook.run_all()
    notebook.show(1)
    grid, keys = notebook.panel("grid"), notebook.page.keyboard
    first = tiles(grid).first
    first.click()
    wait_for(notebook, "len(session.selection) == 1")
    keys.press("Shift+ArrowRight")
    keys.press("Shift+ArrowRight")
    wait_for(notebook, "len(session.selection) == 3")
    keys.press("ArrowRight")
    keys.press("Space")
    wait_for(notebook, "len(session.selection) == 4")
    keys.press("Space")
    wait_for(notebook, "len(session.selection) == 3")
    keys.press("a")
    wait_for(notebook, "len(session.selection) == 1797")
    keys.press("Escape")
    wait_for(notebook, "len(session.selection) == 0")
    keys.press("End")
    last = notebook.value("session.order_by('sample_id').ids()[-1]")
    assert last
    expect(tiles(grid).last).to_be_visible()
    # JupyterLab's own shortcuts stayed out: no cell was added, cut or turned into text.
    cells = "() => jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.type)"
    assert notebook.page.evaluate(cells) == ["code", "code"]


def test_a_drag_box_in_the_grid_selects_the_tiles_it_touches(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "panel = session.grid()\npanel"])
    notebook.run_all()
    notebook.show(1)
    grid = notebook.panel("grid")
    first, third = tiles(grid).nth(0).bounding_box(), tiles(grid).nth(2).bounding_box()
    assert first is not None
    assert third is not None
    mouse = notebook.page.mouse
    mouse.move(first["x"] + 3, first["y"] + 3)
    mouse.down()
    mouse.move(third["x"] + third["width"] / 2, third["y"] + third["height"] / 2, steps=10)
    mouse.up()
    wait_for(notebook, "len(session.selection) == 3")
    ids = {tiles(grid).nth(n).get_attribute("data-sample-id") for n in range(3)}
    assert set(notebook.value("[*session.selection.ids()]")) == ids


def test_a_click_in_the_facets_panel_of_another_cell_narrows_the_grid(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "session.facets()", "panel = session.grid()\npanel"])
    notebook.run_all()
    notebook.show(1)
    notebook.panel("facets", 1).get_by_role("button", name=re.compile(r"^4\b")).first.click()
    wait_for(notebook, "len(panel.view) == len(session.where(label='4'))")


def test_a_histogram_is_brushed_with_the_mouse(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "panel = session.facets(columns=['brightness'])\npanel"])
    notebook.run_all()
    notebook.show(1)
    chart = notebook.panel("facets", 1).locator("svg, canvas").first
    drag(notebook.page, chart, [(0.2, 0.5), (0.5, 0.5)])
    wait_for(notebook, "0 < len(panel.view) < 1797")
