"""The main job as a person does it: see, lasso, decide, take back, find the decision in DuckDB."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, RIGHT_HALF, answer_prompt, count, drag, plot, selected, tiles
from tests.e2e.notebook import Notebook

OPEN = "import dataide as di\nsession = di.open('digits.duckdb')"


def workbench(lab: Lab, digits: None, *more: str) -> Notebook:
    notebook = lab.notebook([OPEN, "panel = session.workbench()\npanel", *more])
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    expect(tiles(notebook.panel("grid")).first).to_be_visible()
    return notebook


def test_a_lasso_and_a_tag_are_in_the_database_and_survive_a_restart(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    bench = notebook.panel("workbench")
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    chosen = selected(bench)
    assert 100 < chosen < 1797
    assert notebook.value("len(session.selection)") == chosen

    notebook.page.keyboard.press("t")
    answer_prompt(notebook.page, "glare")
    expect(bench.get_by_text("glare").first).to_be_visible()
    tagged = "session.sql(\"select count(*) from tag where tag = 'glare'\").fetchone()[0]"
    notebook.page.wait_for_function("() => document.body.innerText.includes('Undo')")
    assert notebook.value(tagged) == chosen

    notebook.restart()
    notebook.run(0)
    assert notebook.value(tagged) == chosen
    notebook.execute("session.undo()")
    assert notebook.value(tagged) == 0


def test_an_armed_relabel_happens_at_mouse_up_and_z_takes_it_back(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    bench = notebook.panel("workbench")
    counts = "session.sql('select label, count(*) from sample group by all order by all').fetchall()"
    before = notebook.value(counts)
    bench.get_by_label("Arm an action").select_option(label="label “3”")
    expect(bench.get_by_text("label “3” on every lasso")).to_be_visible()
    drag(notebook.page, plot(notebook.panel("scatter")), RIGHT_HALF)
    chosen = selected(bench)
    wait_for(notebook, "{*session.selection.to_pandas()['label']} == {'3'}")
    assert notebook.value("len(session.selection)") == chosen
    assert notebook.value(counts) != before
    notebook.page.keyboard.press("z")
    wait_for(notebook, "len({*session.selection.to_pandas()['label']}) > 1")
    assert notebook.value(counts) == before


def test_shift_adds_to_a_lasso_and_alt_takes_away(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    bench, canvas = notebook.panel("workbench"), plot(notebook.panel("scatter"))
    drag(notebook.page, canvas, LEFT_HALF)
    left = selected(bench)
    drag(notebook.page, canvas, RIGHT_HALF, key="Shift")
    wait_for(notebook, f"len(session.selection) > {left}")
    both = notebook.value("len(session.selection)")
    drag(notebook.page, canvas, LEFT_HALF, key="Alt")
    wait_for(notebook, f"len(session.selection) == {both - left}")
    notebook.page.keyboard.press("Escape")
    wait_for(notebook, "len(session.selection) == 0")


def test_a_digit_key_relabels_and_the_buttons_do_what_the_keys_do(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    bench = notebook.panel("workbench")
    tiles(notebook.panel("grid")).nth(3).click()
    wait_for(notebook, "len(session.selection) == 1")
    chosen = notebook.value("session.selection.ids()[0]")
    was = notebook.value("session.selection.to_pandas()['label'][0]")
    new = "7" if was != "7" else "5"
    notebook.page.keyboard.press(new)
    wait_for(notebook, f"session.selection.to_pandas()['label'][0] == '{new}'")
    bench.get_by_role("button", name="Undo", exact=True).first.click()
    wait_for(notebook, f"session.selection.to_pandas()['label'][0] == '{was}'")
    bench.get_by_role("button", name="Redo", exact=True).first.click()
    wait_for(notebook, f"session.selection.to_pandas()['label'][0] == '{new}'")
    bench.get_by_role("button", name="Queue", exact=True).click()
    answer_prompt(notebook.page, "review")
    wait_for(notebook, f"[*session.where(queue='review').ids()] == ['{chosen}']")
    bench.get_by_role("button", name="Exclude", exact=True).click()
    wait_for(notebook, f"[*session.where('excluded').ids()] == ['{chosen}']")


def test_similar_samples_lead_the_grid(lab: Lab, digits: None) -> None:
    notebook = workbench(lab, digits)
    grid = notebook.panel("grid")
    tiles(grid).nth(5).click()
    wait_for(notebook, "len(session.selection) == 1")
    chosen = notebook.value("session.selection.ids()[0]")
    notebook.page.keyboard.press("s")
    expect(tiles(grid).first).to_have_attribute("data-sample-id", chosen)
    nearest = notebook.value(f"[*session.similar({chosen!r}, k=3).ids()]")
    shown = [tiles(grid).nth(n).get_attribute("data-sample-id") for n in range(4)]
    assert shown == [chosen, *nearest]


def test_panels_in_different_cells_are_linked_by_the_session_alone(lab: Lab, digits: None) -> None:
    notebook = lab.notebook([OPEN, "session.scatter(height=300)", "session.grid(height=300)"])
    notebook.run_all()
    notebook.show(1)
    drag(notebook.page, plot(notebook.panel("scatter", 1)), LEFT_HALF)
    chosen = selected(notebook.panel("scatter", 1))
    notebook.show(2)
    expect(count(notebook.panel("grid", 2))).to_contain_text(f"{chosen:,}")


def wait_for(notebook: Notebook, condition: str, limit_s: float = 30) -> None:
    """Until the kernel agrees."""
    deadline = time.monotonic() + limit_s
    while not notebook.value(condition):
        assert time.monotonic() < deadline, f"never came true: {condition}"
        notebook.page.wait_for_timeout(50)
