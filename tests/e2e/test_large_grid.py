"""A hundred thousand pictures in a real JupyterLab: jumping, scrolling without a blank tile at rest, and groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import Locator, expect

import dataide as di
from tests.e2e.conftest import Lab
from tests.e2e.gestures import selected

COUNT = 100_000
DISTINCT = 400
CELL = "import dataide as di\nsession = di.open('large.duckdb')"

# Each tile in sight has its picture, and the picture is that of its own sample: its corner tells the number modulo 400.
SOUND = """scroller => {
  const seen = scroller.getBoundingClientRect();
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  let tiles = 0;
  for (const tile of scroller.querySelectorAll('.dataide-tile')) {
    const box = tile.getBoundingClientRect();
    if (box.bottom <= seen.top + 2 || box.top >= seen.bottom - 2) continue;
    const image = tile.querySelector('img');
    if (!image.src || !image.complete || !image.naturalWidth) return 0;
    canvas.drawImage(image, 0, 0);
    const [low, high] = canvas.getImageData(2, 2, 1, 1).data;
    if (low + 256 * high !== Number(tile.dataset.no) % 400) throw new Error('another picture than ' + tile.dataset.no);
    tiles++;
  }
  return tiles;
}"""


def large_session(path: Path) -> None:
    """Samples that share a few hundred pictures; labels a to i in turn, each tenth without one."""
    pictures = np.zeros((DISTINCT, 16, 16, 3), dtype=np.uint8)
    numbers = np.arange(DISTINCT)
    pictures[..., 0], pictures[..., 1] = (numbers & 255)[:, None, None], (numbers >> 8)[:, None, None]
    pictures[:, 4:, :, 2] = 200
    label = "['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', NULL][1 + (i % 10)]"
    with di.open(path) as session:
        session.add_arrays(pictures, label=[None if no % 10 == 9 else "abcdefghi"[no % 10] for no in numbers])
        with session.context.database.write() as cursor:
            cursor.execute(
                f"""INSERT INTO data.sample BY NAME
                SELECT i::UINTEGER AS sample_no, 'n' || i AS sample_id, s.media, s.content_hash, s.format,
                       s.width_px, s.height_px, s.added_at, {label} AS label
                FROM range({DISTINCT}, {COUNT}) r(i) JOIN data.sample s ON s.sample_no = i % {DISTINCT} ORDER BY i"""
            )


def sound(scroller: Locator) -> None:
    """Waits until each tile in sight shows its picture; a wrong one is an error at once."""
    scroller.page.wait_for_function(f"scroller => ({SOUND})(scroller) > 8", arg=scroller.element_handle())


def test_a_hundred_thousand_pictures_are_jumped_through_and_scrolled(lab: Lab) -> None:
    large_session(lab.work / "large.duckdb")
    notebook = lab.notebook([CELL, "session.grid(height=500)"])
    notebook.run_all()
    scroller = notebook.panel("grid").locator(".dataide-grid-scroller")
    sound(scroller)
    for share in (0.5, 0.25, 1, 0):
        scroller.evaluate("(node, share) => { node.scrollTop = share * node.scrollHeight; }", share)
        sound(scroller)
        nos = scroller.locator(".dataide-tile").evaluate_all("tiles => tiles.map(tile => Number(tile.dataset.no))")
        assert min(abs(no - share * COUNT) for no in nos) < 200
    scroller.hover()
    for _ in range(30):
        notebook.page.mouse.wheel(0, 180)
        notebook.page.evaluate("() => new Promise(requestAnimationFrame)")
    sound(scroller)


def test_groups_have_headings_that_select_and_stay_in_sight(lab: Lab) -> None:
    large_session(lab.work / "large.duckdb")
    notebook = lab.notebook([CELL, "session.grid(height=500, group='label')"])
    notebook.run_all()
    panel = notebook.panel("grid")
    scroller = panel.locator(".dataide-grid-scroller")
    staying = panel.locator(".dataide-grid-staying .dataide-grid-heading")
    lying = panel.locator(".dataide-grid-tiles .dataide-grid-heading")
    expect(lying.first).to_have_text("a10,000")
    lying.first.click()
    expect(panel.get_by_role("status")).to_contain_text("10,000 of")
    assert notebook.value("sorted(set(row['label'] for row in session.selection))") == ["a"]
    scroller.evaluate("node => { node.scrollTop = 0.5 * node.scrollHeight; }")
    sound(scroller)
    expect(staying).to_be_visible()
    middle = staying.locator(".dataide-grid-heading-value").inner_text()
    assert middle in "defg"
    staying.click(modifiers=["Shift"])
    expect(panel.get_by_role("status")).to_contain_text("20,000 of")
    scroller.evaluate("node => { node.scrollTop = node.scrollHeight; }")
    expect(staying).to_contain_text("no value")
    sound(scroller)
    panel.get_by_label("Group").select_option(label="none")
    expect(lying).to_have_count(0)
    assert selected(panel) == 20_000
    expect(scroller.locator(".dataide-tile").first).to_be_visible()
