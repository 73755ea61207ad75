"""Like these, unlike those: sorted by a key, narrowed by a handle, and all above it selected."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, drag, plot, tiles
from tests.e2e.test_main_job import OPEN, wait_for

TRUTH = """(lambda s: (lambda v, i: int((v @ v[i] >= {at}).sum()))(
    (lambda m: m / __import__('numpy').linalg.norm(m, axis=1, keepdims=True))(s.vectors().to_numpy()),
    s.vectors().ids().index({of!r})))(session)"""


def test_likes_and_unlikes_by_keys_and_a_threshold_by_the_handle(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "panel = session.grid()\npanel"], name="similar.ipynb")
    notebook.run_all()
    notebook.show(1)
    grid, keys = notebook.panel("grid"), notebook.page.keyboard
    tiles(grid).nth(4).click()
    of = tiles(grid).nth(4).get_attribute("data-sample-id")
    wait_for(notebook, "len(session.selection) == 1")
    strip = grid.locator(".dataide-ranking")
    expect(strip).to_be_hidden()
    keys.press("s")
    expect(strip).to_contain_text("like 1")
    expect(tiles(grid).first).to_have_attribute("data-sample-id", str(of))
    expect(tiles(grid).first).to_contain_text("1.000")
    # The handle goes by the arrow keys, and the button says what the vectors say.
    handle = strip.get_by_label("Similarity threshold")
    handle.focus()
    before = handle.get_attribute("aria-valuetext")
    for _ in range(3):
        keys.press("ArrowLeft")
    expect(handle).not_to_have_attribute("aria-valuetext", str(before))
    button = strip.get_by_role("button", name=re.compile("^Select"))
    keys.press("Home")
    expect(button).to_contain_text("Select 1,797 above")
    # By the mouse: a press on the bars is where the handle goes.
    box = handle.bounding_box()
    assert box is not None
    notebook.page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    expect(button).not_to_contain_text("Select 1,797 above")
    said = re.search(r"Select ([\d,]+) above (-?[\d.]+)", button.inner_text())
    assert said is not None
    many, at = int(said[1].replace(",", "")), float(said[2])
    assert 1 <= many < 1797
    assert abs(notebook.value(TRUTH.format(at=at, of=of)) - many) <= 1  # float32 here, float64 there
    button.click()
    wait_for(notebook, f"len(session.selection) == {many}")
    # Unlike: what is pointed out goes back, and the strip counts it.
    far = tiles(grid).nth(7)
    other = far.get_attribute("data-sample-id")
    far.click()
    wait_for(notebook, "len(session.selection) == 1")
    keys.press("u")
    expect(strip).to_contain_text("like 1, unlike 1")
    expect(tiles(grid).nth(7)).not_to_have_attribute("data-sample-id", str(other))
    tiles(grid).nth(1).click()
    wait_for(notebook, "len(session.selection) == 1")
    keys.press("Shift+S")
    expect(strip).to_contain_text("like 2, unlike 1")
    strip.get_by_role("button", name="No longer by similarity").click()
    expect(strip).to_be_hidden()
    expect(tiles(grid).nth(4)).to_have_attribute("data-sample-id", str(of))


OBJECTS = """import dataide as di
import numpy as np
from pathlib import Path
from PIL import Image
Path("squares").mkdir(exist_ok=True)
rows = []
colours = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
for i in range(12):
    image = Image.new("RGB", (60, 40), (128, 128, 128))
    for place, (label, colour) in enumerate(colours.items()):
        left, top = 4 + 18 * place, 4 + i
        shade = tuple(min(value + (i * 7 * (place + 1)) % 30, 255) for value in colour)
        image.paste(shade, (left, top, left + 10, top + 10))
        rows.append({"sample_id": f"{i}.png", "object_id": f"{label}{i}", "label": label, "bbox": [left, top, 10, 10]})
    image.save(f"squares/{i}.png")
session = di.open("squares.duckdb")
session.add_folder("squares", progress=False)
session.add_objects(rows, progress=False)
mean_colour = lambda crops: np.stack([np.asarray(one, np.float32).mean((0, 1)) - 128 for one in crops])
session.objects.embed(mean_colour, name="colour", progress=False)
session.objects.project("pca", progress=False)
panel = session.scatter(of="objects")
panel"""


def test_a_lasso_over_a_map_of_objects_selects_objects(lab: Lab) -> None:
    notebook = lab.notebook([OBJECTS], name="objects_map.ipynb")
    notebook.run_all()
    notebook.show(0)
    scatter = notebook.panel("scatter")
    expect(scatter).to_contain_text("red")
    drag(notebook.page, plot(scatter), LEFT_HALF)
    wait_for(notebook, "len(session.selection) > 0")
    labels = notebook.value("session.objects.selected.labels")
    assert 0 < sum(labels.values()) < 36  # each sample has an object of each colour, and the colours lie apart
    assert notebook.value("session.objects.selected.samples().ids() == session.selection.ids()")
