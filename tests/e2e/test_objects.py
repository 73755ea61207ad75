"""Boxes over pictures: where they stand in tiles, and how they are moved, drawn, named and deleted by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import answer_prompt, tile
from tests.e2e.notebook import Notebook
from tests.e2e.test_main_job import wait_for

# White pictures of several shapes with a black rectangle each, and a box around each rectangle.
OPEN = """
import dataide as di
from pathlib import Path
from PIL import Image, ImageDraw
shapes = {'wide': (120, 80), 'tall': (77, 133), 'even': (100, 100), 'bar': (300, 40)}
Path('pictures').mkdir(exist_ok=True)
rows = []
for name, (width, height) in shapes.items():
    box = [width // 5, height // 4, width // 2, height // 2]
    image = Image.new('RGB', (width, height), 'white')
    right, bottom = box[0] + box[2] - 1, box[1] + box[3] - 1
    ImageDraw.Draw(image).rectangle((box[0], box[1], right, bottom), fill='black')
    image.save(f'pictures/{name}.png')
    rows.append({'sample_id': f'{name}.png', 'label': 'rectangle', 'bbox': box})
session = di.open('boxes.duckdb')
session.add_folder('pictures', progress=False)
session.add_objects(rows, progress=False)
"""
NAMES = ("wide", "tall", "even", "bar")
INK = """canvas => {
  const {width, height} = canvas, data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  const found = [width, height, -1, -1];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (data[4 * (y * width + x) + 3] > 0) {
    found[0] = Math.min(found[0], x); found[1] = Math.min(found[1], y);
    found[2] = Math.max(found[2], x + 1); found[3] = Math.max(found[3], y + 1);
  }
  const shown = canvas.getBoundingClientRect();
  return found.map((value, i) => i % 2 ? value * shown.height / height : value * shown.width / width);
}"""
BOX = "[round(float(session.objects.boxes()[n][0]), 1) for n in ('left_px', 'top_px', 'width_px', 'height_px')]"


def overlay(grid: Locator, name: str) -> Locator:
    return tile(grid, f"{name}.png").locator("svg.dataide-objects-over")


def shots(page: Page, grid: Locator) -> dict[str, np.ndarray]:
    """Each picture as it is on the screen now, with the pointer elsewhere."""
    page.mouse.move(2, 2)
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return {
        name: np.asarray(Image.open(io.BytesIO(picture_of(grid, name).screenshot())).convert("RGB"), np.int16)
        for name in NAMES
    }


def picture_of(grid: Locator, name: str) -> Locator:
    return tile(grid, f"{name}.png").locator(".dataide-tile-picture")


def bounds_of(where: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(where)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_boxes_stand_over_what_they_are_drawn_around_in_tiles_of_any_size(lab: Lab) -> None:
    notebook = lab.notebook([OPEN, "panel = session.grid()\npanel"])
    notebook.run_all()
    notebook.show(1)
    grid, keys = notebook.panel("grid"), notebook.page.keyboard
    toggle = grid.get_by_role("button", name="Objects", exact=True)
    tile(grid, "wide.png").hover()
    for step in range(3):
        for name in NAMES:
            expect(overlay(grid, name)).to_be_visible()
        drawn = shots(notebook.page, grid)
        tile(grid, "wide.png").hover()
        keys.press("o")
        expect(toggle).to_have_attribute("aria-pressed", "false")
        for name in NAMES:
            expect(overlay(grid, name)).to_be_hidden()
        bare = shots(notebook.page, grid)
        tile(grid, "wide.png").hover()
        keys.press("o")
        for name in NAMES:
            black = bounds_of(bare[name].max(axis=2) < 90)
            ink = bounds_of(np.abs(drawn[name] - bare[name]).max(axis=2) > 12)
            # The line lies on the edge, half of it and of its own edge inside and half outside.
            differs = np.abs(np.array(ink) - black)
            inwards = np.array([-1, -1, 1, 1]) * (np.array(ink) - black)
            assert (differs <= 3).all(), (step, name, ink, black)
            assert (inwards >= 0).all(), (step, name, ink, black)
        keys.press("+")
    # What was chosen is kept with the panel.
    keys.press("o")
    wait_for(notebook, "panel.config.get('objects') is False")


class Hand:
    """The mouse over the inspected picture, in its own px."""

    def __init__(self, notebook: Notebook) -> None:
        self.page = notebook.page
        self.panel = notebook.panel("inspector")
        self.image = self.panel.locator(".dataide-inspector-frame img")

    def at(self, x: float, y: float) -> tuple[float, float]:
        shown = self.image.bounding_box()
        width = self.image.evaluate("image => image.naturalWidth")
        assert shown is not None
        scale = shown["width"] / width
        return shown["x"] + x * scale, shown["y"] + y * scale

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), steps=4)
        self.page.mouse.move(*self.at(*end), steps=4)
        self.page.mouse.up()


def test_objects_are_edited_in_the_inspector_by_mouse_and_keyboard(lab: Lab) -> None:
    notebook = lab.notebook([OPEN, "session.inspect('wide.png')"])
    notebook.run_all()
    notebook.show(1)
    page, keys, hand = notebook.page, notebook.page.keyboard, Hand(notebook)
    notebook.execute("session.objects.of(session.ids()).where(\"sample_id <> 'wide.png'\").delete()")
    told = hand.panel.locator(".dataide-objects-told")
    expect(told).to_have_text("1 object")
    expect(hand.image).to_be_visible()

    # Select, move, resize; each is one decision, and Z takes it back.
    hand.click(50, 40)
    expect(told).to_have_text("rectangle · 60 × 40 px")
    hand.drag((50, 40), (60, 35))
    wait_for(notebook, f"{BOX} == [34, 15, 60, 40]")
    hand.drag((94, 55), (200, 65))
    wait_for(notebook, f"{BOX} == [34, 15, 86, 50]")
    expect(told).to_have_text("rectangle · 86 × 50 px")
    keys.press("z")
    # Undo may still be under way: what it brings is what is moved.
    for _ in range(3):
        keys.press("ArrowLeft")
    keys.press("Shift+ArrowDown")
    wait_for(notebook, f"{BOX} == [31, 25, 60, 40]")
    assert notebook.value("len(session.history())") == 5

    # Relabel, with the labels that objects have.
    keys.press("l")
    answer_prompt(page, "door")
    wait_for(notebook, "session.objects.labels == {'door': 1}")

    # Draw: it takes the last label, and is selected.
    keys.press("b")
    hand.drag((2, 2), (12, 22))
    wait_for(notebook, "session.objects.labels == {'door': 2}")
    expect(told).to_have_text("door · 10 × 20 px")
    keys.press("Delete")
    wait_for(notebook, "session.objects.labels == {'door': 1}")
    expect(told).to_have_text("1 object")
    keys.press("z")
    wait_for(notebook, "session.objects.labels == {'door': 2}")
    expect(told).to_have_text("2 objects")

    # Several at once: one decision.
    hand.click(50, 40)
    page.keyboard.down("Shift")
    hand.click(7, 12)
    page.keyboard.up("Shift")
    expect(told).to_have_text("2 objects selected")
    keys.press("l")
    answer_prompt(page, "gate")
    wait_for(notebook, "session.objects.labels == {'gate': 2}")
    keys.press("z")
    wait_for(notebook, "session.objects.labels == {'door': 2}")
    keys.press("Escape")
    expect(told).to_have_text("2 objects")

    # Tab goes from object to object, Esc leaves one thing at a time, O hides all.
    hand.panel.locator(".dataide-inspector-frame").focus()
    keys.press("Tab")
    expect(told).to_have_text("door · 60 × 40 px")
    keys.press("Tab")
    expect(told).to_have_text("door · 10 × 20 px")
    keys.press("Escape")
    expect(told).to_have_text("2 objects")
    keys.press("o")
    expect(hand.panel.get_by_role("button", name="Objects", exact=True)).to_have_attribute("aria-pressed", "false")
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert hand.panel.locator("canvas.dataide-objects-sheet").evaluate(INK)[2] < 0


def test_real_objects_are_shown_with_what_rules_say_about_them(lab: Lab, shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("coco128")
    cells = [
        "import dataide as di\nsession = di.open('coco.duckdb')\n"
        f"pictures = {str(folder / 'images.parquet')!r}\n"
        "session.add_parquet(pictures, media='image', sample_id='file_name', progress=False)\n"
        f"session.add_coco({str(folder / 'instances_train2017_128.json')!r}, progress=False)\n"
        "first = session.ids()[0]\n"
        "session.objects.add({'sample_id': first, 'label': 'bowl', 'bbox': [600, 400, 100, 60]})",
        "session.inspect(first)",
    ]
    notebook = lab.notebook(cells)
    notebook.run_all()
    notebook.show(1)
    panel = notebook.panel("inspector")
    finding = panel.locator(".dataide-finding", has_text="outside the picture")
    expect(finding).to_be_visible()
    expect(panel.locator(".dataide-objects-class", has_text="bowl")).to_be_visible()
    finding.get_by_role("button", name="Mend the box").click()
    expect(finding).to_have_count(0)
    placed = "session.objects.where('left_px = 600').boxes()"
    wait_for(notebook, f"float({placed}['width_px'][0]) == 40.0")
