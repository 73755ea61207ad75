"""A folder of broken pictures with hostile names: what is good is shown, what is hostile is shown as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Locator, expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, answer_prompt, drag, plot, selected, tiles
from tests.e2e.notebook import Notebook
from tests.e2e.test_main_job import wait_for
from tests.unit import poisoned_folder
from tests.unit.poisoned_folder import Poisoned

# Whatever of these becomes an element runs at once and leaves a trace.
IMAGE = '<img src=x onerror="window.__pwned=1">'
SCRIPT = "</script><script>window.__pwned=1</script>"
VECTOR = "<svg onload='window.__pwned=1'>&lt;b&gt;"
ATTRIBUTE = '" onmouseover="window.__pwned=1" \'{{__pwned}}${window.__pwned=1}'
HOSTILE = (IMAGE, SCRIPT, VECTOR, ATTRIBUTE)

OPEN = """
import json, dataide as di
session = di.open('pets.duckdb')
report = session.add_folder('pictures', progress=False)
session.embed(progress=False)
session.project('pca', progress=False)
print(report)
"""
SHOW = "panel = session.workbench()\npanel"
# A hostile word wherever a person may write one.
WRITE = f"""
image, script, vector, attribute = json.loads({json.dumps(json.dumps(HOSTILE))})
view = session.where("sample_id = 'colour/plain.png'")
view.set(note=image, **{{script: vector}})
view.tag(vector)
view.enqueue(attribute, reason=script)
"""
TEXTS = [
    "session",
    "session.problems()",
    "session.history()",
    "session.where('note is not null')",
    "session.sql('from sample where note is not null')",
]

# Elements that only data can have brought: with a handler, with a foreign address, or a script inside a panel.
INTRUDERS = """() => [...document.querySelectorAll('*')].filter(node =>
  [...node.attributes].some(({name, value}) => /^on/.test(name) && /__pwned|alert/.test(value))
  || node.matches('.dataide script, .dataide iframe, .dataide object, .dataide b')
  || node.matches('.dataide img[src]') && !/^(blob|data):/.test(node.getAttribute('src'))
).map(node => node.outerHTML.slice(0, 200))"""


@pytest.fixture
def poisoned(lab: Lab, tmp_path: Path) -> Poisoned:
    """The folder `pictures` beside the notebook."""
    return poisoned_folder.build(lab.work / "pictures", tmp_path / "outside")


@pytest.fixture
def notebook(lab: Lab, poisoned: Poisoned) -> Iterator[Notebook]:
    """The folder taken in and shown. Afterwards nothing of it may have been run."""
    opened = lab.notebook([OPEN, SHOW, WRITE, *TEXTS])
    spoken: list[str] = []

    def note(dialog: Dialog) -> None:
        spoken.append(dialog.message)
        dialog.dismiss()

    opened.page.on("dialog", note)
    opened.run(0)
    opened.run(1)
    opened.show(1)
    expect(tiles(opened.panel("grid")).first).to_be_visible()
    yield opened
    assert spoken == []
    assert opened.page.evaluate("() => typeof window.__pwned") == "undefined"
    assert opened.page.evaluate(INTRUDERS) == []


def test_the_good_ones_are_shown_and_the_bad_ones_counted(notebook: Notebook, poisoned: Poisoned) -> None:
    assert notebook.text(0).startswith(f"{len(poisoned.good)} samples added")
    problems = notebook.value("dict(zip(session.problems()['media'], session.problems()['code']))")
    assert {name.removeprefix("pictures/"): code for name, code in problems.items()} == poisoned.bad
    assert seen_while_scrolling(notebook) == set(poisoned.good)


def test_hostile_labels_are_text_in_every_panel(notebook: Notebook) -> None:
    bench, grid = notebook.panel("workbench"), notebook.panel("grid")
    facet = notebook.panel("facets").locator('[data-column="label"]')
    for label in poisoned_folder.HOSTILE_LABELS:
        expect(texts(facet.locator("button"), label)).to_be_visible()
        expect(texts(notebook.panel("scatter").locator("button"), label)).to_be_visible()
    html, quotes, _ = poisoned_folder.HOSTILE_LABELS

    # The chip of the filter and the one tile that is left, its inspector and its caption.
    texts(facet.locator("button"), quotes).click()
    wait_for(notebook, "len(panel.view) == 1")
    chip = bench.get_by_role("group", name="Active filters")
    expect(chip).to_contain_text(quotes)
    texts(facet.locator("button"), html).click()
    wait_for(notebook, "len(panel.view) == 2")
    expect(chip).to_contain_text(html)
    expect(tiles(grid)).to_have_count(2)
    expect(texts(grid, html)).to_be_visible()
    tile = grid.locator("[data-sample-id]").first
    name = tile.get_attribute("data-sample-id")
    tile.click()
    notebook.page.keyboard.press("Enter")
    inspector = notebook.panel("inspector")
    expect(inspector.get_by_text(str(name), exact=True).first).to_be_visible()
    expect(inspector.locator("strong")).to_have_text(str(name).split("/")[0])


def test_a_hostile_label_is_given_and_taken_back(notebook: Notebook) -> None:
    bench = notebook.panel("workbench")
    counts = "session.labels"
    before = notebook.value(counts)
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    chosen = selected(bench)
    for written in (IMAGE, SCRIPT):
        notebook.page.keyboard.press("l")
        answer_prompt(notebook.page, written)
        wait_for(notebook, f"session.labels.get({written!r}) == {chosen}")
        toast = notebook.page.get_by_role("log")
        expect(toast).to_contain_text(written)
        expect(texts(notebook.panel("facets").locator("button"), written)).to_be_visible()
        expect(texts(notebook.panel("scatter").locator("button"), written)).to_be_visible()
    notebook.page.keyboard.press("z")
    wait_for(notebook, f"session.labels.get({IMAGE!r}) == {chosen}")
    notebook.page.keyboard.press("z")
    wait_for(notebook, f"session.labels == {before!r}")


def test_hostile_tags_queues_columns_and_notes_are_text(notebook: Notebook) -> None:
    bench, grid = notebook.panel("workbench"), notebook.panel("grid")
    notebook.run(2)
    assert SCRIPT in notebook.value("[*session.columns]")
    facets = notebook.panel("facets")
    expect(texts(facets, SCRIPT)).to_be_visible()
    box = bench.get_by_label("Filter", exact=True)
    box.click()
    notebook.page.keyboard.type(f"note = '{IMAGE}'")
    notebook.page.keyboard.press("Escape")
    box.press("Enter")
    wait_for(notebook, "len(panel.view) == 1")
    tile = tiles(grid)
    expect(tile).to_have_count(1)
    expect(texts(tile, VECTOR)).to_be_visible()
    tile.click()
    notebook.page.keyboard.press("Enter")
    inspector = notebook.panel("inspector")
    for word in (IMAGE, VECTOR, SCRIPT, ATTRIBUTE):
        expect(inspector.get_by_text(word).first).to_be_attached()
    # A wrong filter is quoted in the error.
    box.fill(f"{quoted(IMAGE)} = 1")
    box.press("Enter")
    expect(bench.get_by_role("alert").first).to_contain_text(IMAGE)
    # The colours by a hostile column, and a tag from the keyboard with its completion.
    notebook.execute(f"panel.scatter.configure('color', {SCRIPT!r})")
    expect(texts(notebook.panel("scatter").locator("button"), VECTOR)).to_be_visible()


def test_what_cells_say_of_hostile_samples_is_text(notebook: Notebook) -> None:
    notebook.run(2)
    for number, code in enumerate(TEXTS, start=3):
        notebook.run(number)
        expect(notebook.output(number)).not_to_be_empty()
        assert notebook.outputs(number), code
    for number in (6, 7):
        assert {IMAGE, VECTOR} <= set(notebook.output(number).locator("td").all_inner_texts())


def texts(place: Locator, text: str) -> Locator:
    """The first element below a place whose whole text is this."""
    return place.get_by_text(text, exact=True).first


def quoted(name: str) -> str:
    """A name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def seen_while_scrolling(notebook: Notebook) -> set[str]:
    """The ids of all tiles from the first to the last; each shows its picture."""
    grid = notebook.panel("grid")
    tiles(grid).first.click()
    notebook.page.keyboard.press("Home")
    found: set[str] = set()
    loaded = """root => {
      const shown = [...root.querySelectorAll('[role=option]')];
      const loaded = image => image.complete && image.naturalWidth > 0;
      const done = shown.every(tile => tile.dataset.sampleId && [...tile.querySelectorAll('img')].every(loaded));
      if (shown.length === 0 || !done) return null;
      return shown.map(tile => [tile.dataset.sampleId, tile.ariaPosInSet === tile.ariaSetSize]);
    }"""
    new_ones = """([root, known]) =>
      [...root.querySelectorAll('[data-sample-id]')].some(tile => !known.includes(tile.dataset.sampleId))"""
    while True:
        shown = notebook.page.wait_for_function(loaded, arg=grid.element_handle()).json_value()
        new = {name for name, _ in shown} - found
        found |= new
        if any(last for _, last in shown):
            return found
        assert new, f"the grid does not scroll on after {len(found)} samples"
        notebook.page.keyboard.press("PageDown")
        notebook.page.wait_for_function(new_ones, arg=[grid.element_handle(), sorted(found)])
