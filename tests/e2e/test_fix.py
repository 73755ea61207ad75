"""The fix panel: wrong labels are found, answered one by one and all at once, and everything can be undone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Lab
from tests.e2e.notebook import Notebook

# Eight digits that are labelled wrongly, as a person does who reads carelessly.
FIND = """
import dataide as di
session = di.open('digits.duckdb')
nos = [100, 300, 500, 700, 900, 1100, 1300, 1500]
rows = [session.sql('SELECT sample_id, label FROM sample WHERE sample_no = ?', [no]).fetchone() for no in nos]
truth = dict(rows)
for sample_id, label in rows:
    session.where(sample_id=sample_id).relabel(str((int(label) + 5) % 10))
report = session.find_issues('label')
"""
OPEN = "session.fix('label')"
OVERFLOW = "node => node.scrollWidth - node.clientWidth"


def entries(panel: Locator) -> Locator:
    return panel.locator(".dataide-fix-entry[data-sample-id]:not([data-sample-id=''])")


def focused(panel: Locator) -> Locator:
    return panel.locator(".dataide-fix-entry[data-focused]")


def label_of(notebook: Notebook, sample_id: str) -> str:
    asked = f"session.sql('SELECT label FROM sample WHERE sample_id = ?', [{sample_id!r}]).fetchone()[0]"
    return str(notebook.value(asked))


def wait_until(notebook: Notebook, expression: str) -> None:
    """Waits until an expression in the kernel is true; each look takes some milliseconds."""
    for _ in range(500):
        if notebook.value(expression):
            return
    raise AssertionError(f"never came true: {expression}")


@pytest.mark.usefixtures("digits")
def test_wrong_labels_are_found_and_put_right_with_the_keyboard(lab: Lab) -> None:
    notebook = lab.notebook([FIND, OPEN])
    notebook.run(0, timeout_s=120)
    notebook.run(1)
    notebook.show(1)
    panel, page = notebook.panel("fix"), notebook.page
    keyboard = page.keyboard
    expect(entries(panel).first).to_be_visible()
    count = int(notebook.value("len(session.issues('label'))"))
    assert count >= 8
    ranked = notebook.value("session.issues('label').to_arrow().column('sample_id').to_pylist()")
    assert len(set(ranked[:10]) & set(notebook.value("list(truth)"))) >= 7, "what was made wrong is ranked first"
    expect(panel.get_by_label("Kind of issue")).to_contain_text(f"label ({count})")
    expect(entries(panel).first.locator("img")).to_be_visible()

    # Accepted with one key: in the file before it is shown, and the focus is on the next.
    panel.locator(".dataide-fix-scroller").focus()
    first, second, third = ranked[:3]
    proposal = notebook.value("session.issues('label').to_arrow().column('proposal').to_pylist()[0]")
    keyboard.press("y")
    expect(panel.locator(f'[data-sample-id="{first}"]')).to_contain_text("accepted")
    assert label_of(notebook, first) == proposal
    expect(focused(panel)).to_have_attribute("data-sample-id", second)

    # Rejected: left as it is, remembered, and in its place.
    before = label_of(notebook, second)
    keyboard.press("n")
    expect(panel.locator(f'[data-sample-id="{second}"]')).to_contain_text("no issue")
    assert label_of(notebook, second) == before
    assert notebook.value("session.issues('label', 'rejected').view.ids()") == [second]
    expect(panel.get_by_text(f"2 of {count} answered")).to_be_visible()

    # Neighbours beneath the focus, with whom they agree.
    keyboard.press("v")
    near = panel.locator(".dataide-fix-neighbour")
    expect(near).to_have_count(12)
    expect(near.first.locator("img")).to_be_visible()
    expect(panel.locator(".dataide-fix-vote[data-agrees=proposal]")).to_contain_text(re.compile(r"^\d+ × \d$"))
    assert panel.evaluate(OVERFLOW) == 0
    notebook.screenshot("fix-neighbours")

    # What another panel, or Python, does shows here.
    notebook.execute(f"session.where(sample_id={third!r}).relabel('7')")
    expect(panel.locator(f'.dataide-fix-entry[data-sample-id="{third}"]')).to_contain_text("relabelled 7")
    assert notebook.value("session.history()['sentence'].tolist()")[-3:-1] == [
        "Relabelled 1 sample as proposed (label)",
        "Left 1 sample as it is: no issue (label)",
    ]


@pytest.mark.usefixtures("digits")
def test_all_that_is_sure_enough_is_accepted_after_a_preview_and_undone(lab: Lab) -> None:
    notebook = lab.notebook([FIND, OPEN])
    notebook.run(0, timeout_s=120)
    notebook.run(1)
    notebook.show(1)
    panel, page = notebook.panel("fix"), notebook.page
    keyboard = page.keyboard
    handle = panel.get_by_label("Confidence at least")
    expect(handle).to_have_value("0.9")
    sure = int(notebook.value("len(session.issues('label').chosen(confidence=0.9))"))
    assert sure > 0
    changes = "session.sql(\"SELECT count(*) FROM change WHERE field = 'label'\").fetchone()[0]"
    was = notebook.value(changes)
    panel.get_by_role("button", name=f"Accept {sure}…").click()
    preview = panel.get_by_role("dialog", name="What accepting changes")
    expect(preview).to_contain_text(f"Relabels {sure} sample")
    expect(preview.get_by_role("row").first).to_contain_text("→")
    assert notebook.value(changes) == was, "looking changes nothing"
    notebook.screenshot("fix-preview")
    keyboard.press("Enter")
    expect(preview).to_be_hidden()
    wait_until(notebook, f"len(session.issues('label', 'accepted')) == {sure}")
    assert notebook.value("session.history()['target'].tolist()[-1]").startswith(
        "open label issues with confidence 0.9"
    )
    right = "sum(label == truth[sample_id] for sample_id, label in session.sql('SELECT sample_id, label FROM sample')"
    assert notebook.value(f"{right}.fetchall() if sample_id in truth)") > 0
    expect(panel.locator('.dataide-fix-entry[data-state="accepted"]').first).to_be_visible()

    keyboard.press("z")
    wait_until(notebook, "len(session.issues('label', 'accepted')) == 0")
    expect(panel.locator('.dataide-fix-entry[data-state="accepted"]')).to_have_count(0)
    expect(panel.get_by_role("button", name=f"Accept {sure}…")).to_be_visible()

    # A page that is loaded again, in the other theme, has its place and its choices.
    keyboard.press("v")
    expect(panel.locator(".dataide-fix-neighbour").first).to_be_visible()
    notebook.theme("dark")
    picture = notebook.outputs(1)[0]["data"]
    assert "image/png" in picture and "open label issues of 1,797 samples" in "".join(picture["text/plain"])
    notebook.reload()
    expect(entries(notebook.panel("fix")).first).to_be_visible()
    expect(notebook.panel("fix").locator(".dataide-fix-neighbour").first).to_be_visible()
    notebook.screenshot("fix-dark")


@pytest.mark.usefixtures("digits")
def test_without_a_search_the_panel_starts_one(lab: Lab) -> None:
    notebook = lab.notebook(["import dataide as di\nsession = di.open('digits.duckdb')\nsession.fix()"])
    notebook.run(0)
    notebook.show(0)
    panel = notebook.panel("fix")
    expect(panel).to_contain_text("session.find_issues()")
    panel.get_by_role("button", name="Find issues").click()
    expect(entries(panel).first).to_be_visible(timeout=120_000)
    assert notebook.value("session.issues().counts")
