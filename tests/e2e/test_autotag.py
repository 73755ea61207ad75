"""Autotag as a person does it: mark by keys, learn, move the threshold, tag, take back."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import tiles
from tests.e2e.notebook import Notebook
from tests.e2e.test_main_job import OPEN, wait_for

TAGGED = "session.tags.get('seven', 0)"


def judge(notebook: Notebook, panel: Locator) -> None:
    """Marks every tile of the page by its label, as the focus goes on from one to the next."""
    before = numbers(panel)
    for _ in before:
        focused = panel.locator(".dataide-autotag-tile[data-focused]")
        expect(focused).to_have_attribute("data-mark", "none")
        no = focused.get_attribute("data-no")
        label = (focused.get_attribute("title") or "").split("\n")[0].split(" · ")[-1]
        notebook.page.keyboard.press("+" if label == "7" else "-")
        gone = panel.locator(f'.dataide-autotag-tile[data-no="{no}"][data-mark="none"]')
        expect(gone).to_have_count(0)
    # A page that is used up makes room for what the next round asks.
    notebook.page.wait_for_function(
        "([root, before]) => { const now = [...root.querySelectorAll('.dataide-autotag-tile')].map(t => t.dataset.no);"
        " return now.length > 0 && now.join() !== before; }",
        arg=[panel.element_handle(), ",".join(before)],
    )


def numbers(panel: Locator) -> list[str]:
    return [tile.get_attribute("data-no") or "" for tile in panel.locator(".dataide-autotag-tile").all()]


def test_sevens_are_learned_from_marks_tagged_and_taken_back(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "tagger = session.autotag('seven')\ntagger", "session.grid(height=260)"])
    for cell in range(3):
        notebook.run(cell)
    notebook.show(1)
    panel = notebook.panel("autotag")
    shown = panel.locator(".dataide-autotag-tile")
    expect(shown.nth(20)).to_be_visible()
    panel.get_by_role("listbox").focus()
    for _ in range(3):
        judge(notebook, panel)
    expect(panel).to_contain_text("precise")
    expect(panel).to_contain_text(re.compile(r"finds ≈\s+\d+ %"))
    assert notebook.value("len(tagger.marks.nos)") >= 60

    # The handle says how many are tagged, and the button tags as many.
    handle = panel.get_by_role("slider", name="Threshold")
    commit = panel.get_by_role("button", name=re.compile(r"^Tag [\d,]+ samples$"))
    before = commit.inner_text()
    handle.focus()
    for _ in range(6):
        notebook.page.keyboard.press("ArrowRight")
    expect(commit).not_to_have_text(before)
    panel.get_by_role("button", name="Best first").click()
    expect(shown.first).to_contain_text("7")
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.show(1)
        notebook.screenshot(f"autotag-{theme}")
    notebook.theme("light")
    many = int(re.sub(r"\D", "", commit.inner_text()))
    commit.click()
    wait_for(notebook, f"{TAGGED} == {many}")
    right = notebook.value("len(session.where(tag='seven', label='7'))")
    assert right / many > 0.7
    assert notebook.value("session.models.to_arrow()['model'].to_pylist()")[-1] == "autotag “seven”"
    panel.get_by_role("listbox").focus()
    notebook.page.keyboard.press("z")
    wait_for(notebook, f"{TAGGED} == 0")

    # In a grid + marks as long as the switch is on.
    marks = notebook.value("len(tagger.marks.positives)")
    panel.get_by_role("button", name="Mark in grids").click()
    notebook.show(2)
    grid = notebook.panel("grid")
    expect(grid).to_contain_text("mark “seven”")
    fresh = notebook.value("int(next(n for n in range(40) if n not in tagger.marks.nos))")
    tiles(grid).nth(fresh).click()
    notebook.page.keyboard.press("+")
    wait_for(notebook, f"len(tagger.marks.positives) == {marks + 1}")
    notebook.show(1)
    expect(panel.locator(".dataide-autotag-marks")).to_contain_text(f"{marks + 1} +")
