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


SQUARES = """import dataide as di
import numpy as np
from pathlib import Path
from PIL import Image
Path("squares").mkdir(exist_ok=True)
rows = []
colours = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
for i in range(24):
    image = Image.new("RGB", (60, 40), (128, 128, 128))
    for place, (name, colour) in enumerate(colours.items()):
        left, top = 4 + 18 * place, 4 + i
        shade = tuple(min(value + (i * 7 * (place + 1)) % 30, 255) for value in colour)
        image.paste(shade, (left, top, left + 10, top + 10))
        box = [left, top, 10, 10]
        rows.append({"sample_id": f"{i}.png", "object_id": f"{name}{i}", "label": "square", "bbox": box})
    image.save(f"squares/{i}.png")
session = di.open("squares.duckdb")
session.add_folder("squares", progress=False)
session.add_objects(rows, progress=False)
mean_colour = lambda crops: np.stack([np.asarray(one, np.float32).mean((0, 1)) - 128 for one in crops])
session.objects.embed(mean_colour, name="colour", progress=False)
tagger = session.objects.autotag("rouge")
tagger"""
ROUGE = "len(session.objects.label('rouge'))"


def test_objects_are_learned_from_marked_crops_labelled_and_taken_back(lab: Lab) -> None:
    notebook = lab.notebook([SQUARES], name="objects_autotag.ipynb")
    notebook.run_all()
    notebook.show(0)
    panel, keys = notebook.panel("autotag"), notebook.page.keyboard
    shown = panel.locator(".dataide-autotag-tile")
    expect(shown.nth(8)).to_be_visible()
    panel.get_by_role("listbox").focus()

    # Each crop is marked by what it is of; the focus goes on by itself.
    for _ in range(12):
        focused = panel.locator(".dataide-autotag-tile[data-focused]")
        expect(focused).to_have_attribute("data-mark", "none")
        no = focused.get_attribute("data-no")
        keys.press("+" if (focused.get_attribute("title") or "").startswith("red") else "-")
        expect(panel.locator(f'.dataide-autotag-tile[data-no="{no}"][data-mark="none"]')).to_have_count(0)
    keys.press("r")
    panel.get_by_role("button", name="Best first").click()
    expect(shown.first).to_have_attribute("title", re.compile("^red"))
    notebook.page.wait_for_function(
        "root => [...root.querySelectorAll('.dataide-autotag-tile')].slice(0, 9).every(t => t.title.startsWith('red'))",
        arg=panel.element_handle(),
    )
    # A crop is 18 px, with the box of 10 px in its middle.
    picture = shown.first.locator("img")
    expect(picture).to_have_js_property("naturalWidth", 18)
    box, tile = shown.first.locator(".dataide-crop-box").bounding_box(), picture.bounding_box()
    assert box is not None and tile is not None
    assert abs(box["width"] - tile["width"] * 10 / 18) < 4 and abs(box["x"] - tile["x"] - tile["width"] * 4 / 18) < 4
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.show(0)
        notebook.screenshot(f"autotag-objects-{theme}")
    notebook.theme("light")
    panel.get_by_role("listbox").focus()
    keys.press("w")
    expect(picture).to_have_js_property("naturalWidth", 60)
    keys.press("w")
    expect(picture).to_have_js_property("naturalWidth", 18)

    handle = panel.get_by_role("slider", name="Threshold")
    commit = panel.get_by_role("button", name=re.compile(r"^Label [\d,]+ objects$"))
    before = commit.inner_text()
    handle.focus()
    for _ in range(40):
        keys.press("ArrowLeft")
    expect(commit).not_to_have_text(before)
    for _ in range(40):
        keys.press("ArrowRight")
    many = int(re.sub(r"\D", "", commit.inner_text()))
    commit.focus()
    keys.press("Enter")
    wait_for(notebook, f"{ROUGE} == {many}")
    assert notebook.value("np.mean([one.startswith('red') for one in session.objects.label('rouge').ids()])") > 0.9
    expect(shown.first).to_contain_text("rouge")
    assert notebook.value("session.models.to_arrow()['model'].to_pylist()")[-1] == "autotag “rouge” of objects"
    panel.get_by_role("listbox").focus()
    keys.press("z")
    wait_for(notebook, f"{ROUGE} == 0")
    expect(shown.first).to_contain_text("square")

    # Enter shows the sample that the crop is of.
    on = (shown.first.get_attribute("title") or "").split(" on ")[1].split(" · ")[0]
    keys.press("Home")
    keys.press("Enter")
    expect(panel.locator(".dataide-inspector-id")).to_have_text(on)
