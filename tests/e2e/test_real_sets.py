"""The job on real image sets, each by another way in: see, lasso, tag, find the tag in DuckDB."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Lab
from tests.e2e.gestures import LEFT_HALF, answer_prompt, drag, plot, selected, tiles
from tests.e2e.test_main_job import wait_for

OPEN = """
import dataide as di
session = di.open('real.duckdb')
{add}
session.embed(progress=False)
session.project('pca', progress=False)
print(report)
"""

# Set, column of labels, samples, and the cell that takes them in. FILE is the set's table of pictures.
FOLDER = "report = session.add_folder('pictures', label='folder', progress=False)"
FRAME = """
import pyarrow.parquet as pq
frame = pq.read_table(FILE).slice(0, COUNT).to_pandas()
report = session.add_frame(frame, media='image', label='LABEL', sample_id='id', progress=False)
"""
ARRAYS = """
import io, numpy as np, pyarrow.parquet as pq
from PIL import Image
rows = pq.read_table(FILE).slice(0, COUNT).to_pydict()
images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in rows['image']])
report = session.add_arrays(images, label=rows['LABEL'], sample_id=rows['id'], split=rows['split'], progress=False)
"""
PARQUET = "report = session.add_parquet(FILE, media='image', label=LABELLED, sample_id='id', progress=False)"


@pytest.mark.parametrize(
    ("way", "name", "file", "label", "count"),
    [
        pytest.param(FOLDER, "cifar10", "cifar10", "label", 1500, id="folder-cifar10"),
        pytest.param(FOLDER, "coco128", "images", None, 128, id="folder-coco128"),
        pytest.param(FRAME, "clothing", "clothing", "label", 800, id="frame-clothing"),
        pytest.param(ARRAYS, "mnist", "mnist", "label", 2000, id="arrays-mnist"),
        pytest.param(PARQUET, "houses", "houses", "room", 2140, id="parquet-houses"),
        pytest.param(PARQUET, "bccd", "images", None, 364, id="parquet-bccd"),
    ],
)
def test_the_job_on_real_pictures(
    lab: Lab, shared_data: Callable[[str], Path], way: str, name: str, file: str, label: str | None, count: int
) -> None:
    table = shared_data(name) / f"{file}.parquet"
    if way is FOLDER:
        write_out(table, label, count, lab.work / "pictures")
    names = {"FILE": repr(str(table)), "COUNT": str(count), "LABELLED": repr(label), "LABEL": str(label)}
    for word, meant in names.items():
        way = way.replace(word, meant)

    notebook = lab.notebook([OPEN.format(add=textwrap.dedent(way)), "panel = session.workbench()\npanel"])
    assert notebook.run(0, timeout_s=120).startswith(f"{count:,} samples added")
    notebook.run(1)
    notebook.show(1)
    bench = notebook.panel("workbench")
    expect(tiles(notebook.panel("grid")).first.locator("img[src]")).to_be_visible()
    drag(notebook.page, plot(notebook.panel("scatter")), LEFT_HALF)
    chosen = selected(bench)
    assert 0 < chosen < count
    notebook.page.keyboard.press("t")
    answer_prompt(notebook.page, "left")
    wait_for(notebook, f"session.tags.get('left') == {chosen}")
    ids = notebook.value("sorted(session.selection.ids())")

    notebook.execute("session.close()")
    with duckdb.connect(str(lab.work / "real.duckdb"), read_only=True) as plain:
        stored = plain.sql("SELECT sample_id FROM tag WHERE tag = 'left' ORDER BY sample_id").fetchall()
    assert [sample_id for (sample_id,) in stored] == ids


def write_out(table: Path, label: str | None, count: int, folder: Path) -> None:
    """The pictures as files, in a sub-folder for each label."""
    columns = ["id", "image"] if label is None else ["id", "image", label]
    for row in pq.read_table(table, columns=columns).slice(0, count).to_pylist():
        place = folder / ("all" if label is None else str(row[label]))
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row['id']}.jpg").write_bytes(row["image"])
