"""Issues in the workbench: found by the button, seen in pane, tiles and facet, answered by key, taken back."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import tiles
from tests.e2e.notebook import Notebook
from tests.e2e.test_main_job import wait_for

# Digits, some of which have the label of the next one, and some of which are there twice.
WRONG = """
import dataide as di
import numpy as np
from sklearn.datasets import load_digits
digits = load_digits()
names = [str(label) for label in digits.target[:500]]
wrong = [7, 60, 113, 166, 219, 272, 325, 378]
true = {f'd{no}': names[no] for no in wrong}
for no in wrong:
    names[no] = str((int(names[no]) + 5) % 10)
images = np.concatenate([digits.images[:500], digits.images[20:24]])
pictures = (np.kron(images, np.ones((1, 4, 4))) * 15).astype(np.uint8)
session = di.open('wrong.duckdb')
session.add_arrays(pictures, label=[*names, *names[20:24]], sample_id=[f'd{no}' for no in range(504)], progress=False)
"""
CUT = """pane => [...pane.querySelectorAll('.di-issue-count, .di-issue-fix')]
  .filter(one => one.scrollWidth > one.clientWidth).length"""
OPEN = "session.issues('label').counts.get('label', 0)"


def badges(grid: Locator) -> Locator:
    return grid.locator('.dataide-badge[data-kind="issue"]')


def found(lab: Lab) -> Notebook:
    """A workbench whose pane of issues was opened by key, and whose button found some."""
    notebook = lab.notebook([WRONG, "session.workbench()"])
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    bench = notebook.panel("workbench")
    expect(tiles(notebook.panel("grid")).first).to_be_visible()
    bench.focus()
    notebook.page.keyboard.press("i")
    expect(bench.get_by_role("tab", name="Issues")).to_have_attribute("aria-selected", "true")
    expect(bench.get_by_role("tabpanel", name="Issues")).to_contain_text("Nothing was looked for yet")
    notebook.screenshot("issues-none-yet")
    notebook.page.keyboard.press("Enter")
    ended = bench.get_by_role("group", name="Jobs that ended")
    expect(ended).to_contain_text("near duplicate", timeout=120_000)
    ended.get_by_role("button", name="Show").click()
    expect(ended).to_be_hidden()
    return notebook


def test_from_the_button_to_an_answer_by_key_and_back(lab: Lab) -> None:
    notebook = found(lab)
    bench, grid, page = notebook.panel("workbench"), notebook.panel("grid"), notebook.page
    count = notebook.value(OPEN)
    assert count >= 6, "eight labels are wrong"
    kind = bench.get_by_role("button", name=f"label: {count} open")
    expect(kind).to_be_visible()
    total = notebook.value("len(session.issues())")
    expect(bench.get_by_role("tab", name=f"Issues ({total})")).to_be_visible()

    # One kind: its samples alone, the most severe first, the proposal on each tile.
    kind.click()
    expect(kind).to_have_attribute("aria-pressed", "true")
    worst = notebook.value("session.issues('label').to_pandas()[['sample_id', 'proposal']].values.tolist()")
    expect(tiles(grid)).to_have_count(count)
    expect(tiles(grid).first).to_have_attribute("data-sample-id", worst[0][0])
    expect(badges(grid)).to_have_count(count)
    expect(badges(tiles(grid).first)).to_contain_text(re.compile(rf"^→ {worst[0][1]} [01]\.\d\d"))
    assert "nearest" in (tiles(grid).first.get_attribute("title") or "")
    notebook.screenshot("issues-pane")

    # Y accepts the proposal on the focused tile, N says it is none; each is gone, and the next one is at hand.
    tiles(grid).first.click()
    page.keyboard.press("y")
    wait_for(notebook, f"{OPEN} == {count - 1}")
    assert notebook.value(f"session.where(sample_id={worst[0][0]!r}).to_pandas()['label'].item()") == worst[0][1]
    expect(badges(grid)).to_have_count(count - 1)
    expect(tiles(grid).first).to_have_attribute("data-sample-id", worst[1][0])
    page.keyboard.press("n")
    wait_for(notebook, f"{OPEN} == {count - 2}")
    assert notebook.value("session.issues('label', state='rejected').to_pandas()['sample_id'].tolist()") == [
        worst[1][0]
    ]
    expect(bench.get_by_role("button", name=f"label: {count - 2} open")).to_be_visible()

    # Undo brings both back.
    page.keyboard.press("z")
    wait_for(notebook, f"{OPEN} == {count - 1}")
    page.keyboard.press("z")
    wait_for(notebook, f"{OPEN} == {count}")
    expect(badges(grid)).to_have_count(count)
    expect(tiles(grid).first).to_have_attribute("data-sample-id", worst[0][0])

    # The inspector says why, and has the answers as buttons.
    tiles(grid).first.dblclick()
    facts = notebook.panel("inspector").get_by_role("list", name="Issues")
    expect(facts).to_contain_text("nearest")
    facts.get_by_role("button", name="Not an issue: label").click()
    wait_for(notebook, f"{OPEN} == {count - 1}")
    expect(facts).to_contain_text("no issue")
    facts.get_by_role("button", name="Ask again: label").click()
    wait_for(notebook, f"{OPEN} == {count}")
    notebook.screenshot("issues-inspected")
    page.keyboard.press("Escape")
    expect(facts).to_be_hidden()

    # A second click on the kind shows everything again; the facet does the same by itself.
    bench.get_by_role("button", name=f"label: {count} open").click()
    wait_for(notebook, "not session.context.filter.clauses")
    page.keyboard.press("i")
    facet = notebook.panel("facets").get_by_role("group", name="Values of issues")
    facet.get_by_role("button", name="near duplicate").click()
    expect(tiles(grid)).to_have_count(notebook.value("len(session.where(issue='near_duplicate'))"))
    expect(badges(grid).first).to_contain_text("duplicate")

    # The pane fits its column; it is open again after a reload, and leads to the fix panel.
    page.keyboard.press("i")
    pane = bench.get_by_role("tabpanel", name="Issues")
    expect(pane.get_by_role("button", name="Find issues")).to_be_enabled()
    assert pane.evaluate("pane => pane.scrollWidth - pane.clientWidth") == 0
    assert pane.evaluate(CUT) == 0
    notebook.reload()
    notebook.show(1)
    expect(bench.get_by_role("tab", name="Issues")).to_have_attribute("aria-selected", "true")
    bench.get_by_role("button", name="Fix: label").click()
    fix = notebook.panel("fix")
    expect(fix).to_contain_text("nearest")
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"issues-fix-drawer-{theme}")
    bench.get_by_role("button", name="Close the fix panel").click()
    expect(fix).to_be_hidden()
