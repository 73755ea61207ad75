"""What a hand does in a panel. Places are fractions of an element's box, from its top left corner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from playwright.sync_api import Locator, Page, expect

LEFT_HALF = [(0.02, 0.05), (0.5, 0.05), (0.5, 0.95), (0.02, 0.95), (0.02, 0.06)]
RIGHT_HALF = [(0.98, 0.05), (0.5, 0.05), (0.5, 0.95), (0.98, 0.95), (0.98, 0.06)]


# A canvas has the size of its stage when it has been drawn for it; a layout that is still at work changes that again.
_SETTLED = """async canvas => {
  const size = node => {
    const box = node.getBoundingClientRect();
    return [box.left, box.top, box.width, box.height].join();
  };
  for (let still = 0; still < 3; ) {
    await new Promise(requestAnimationFrame);
    still = canvas.isConnected && size(canvas) === size(canvas.parentElement) ? still + 1 : 0;
  }
}"""


def drag(page: Page, area: Locator, path: Sequence[tuple[float, float]], key: str | None = None) -> None:
    """Presses the button at the first place, moves along the path and lets go, with a key held down if one is named."""
    box = area.bounding_box()
    assert box is not None, "the element is not on the page"
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in path]
    page.mouse.move(*places[0])
    if key:
        page.keyboard.down(key)
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    if key:
        page.keyboard.up(key)


def plot(panel: Locator) -> Locator:
    """The drawing area of a scatter panel, once its size and its picture have settled."""
    canvas = panel.locator("canvas").first
    expect(canvas).to_be_visible()
    canvas.evaluate(_SETTLED)
    return canvas


def count(panel: Locator) -> Locator:
    """Where a panel says how many samples are selected."""
    return panel.get_by_role("status").first


def selected(panel: Locator) -> int:
    """The count of the selection once it is not nought."""
    status = count(panel)
    expect(status).to_contain_text(re.compile(r"[1-9][\d,]* of [\d,]+"))
    found = re.search(r"([\d,]+) of", status.inner_text())
    assert found is not None
    return int(found.group(1).replace(",", ""))


def tile(panel: Locator, sample_id: str) -> Locator:
    return panel.locator(f'[data-sample-id="{sample_id}"]')


def tiles(panel: Locator) -> Locator:
    return panel.locator("[data-sample-id]")


def answer_prompt(page: Page, text: str) -> None:
    """Types into the small prompt that T and Q open, and confirms."""
    field = page.locator("[data-dataide-prompt] input, input[data-dataide-prompt]").first
    expect(field).to_be_focused()
    page.keyboard.type(text)
    page.keyboard.press("Enter")
