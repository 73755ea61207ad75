"""The pages say what the code does."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataide import Session, View
from dataide.storage.database import Database


def test_documented_tables_have_the_documented_columns(project: Path, tmp_path: Path) -> None:
    page = (project / "docs" / "tables.md").read_text(encoding="utf-8")
    documented = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        first_cells = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
        documented[section.split("\n", 1)[0]] = [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]
    for of_what_is_made in ("vector_NAME", "prediction_NAME"):
        documented.pop(of_what_is_made)

    database = Database(tmp_path / "new.duckdb")
    try:
        found = database.arrow(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' "
            "AND database_name = current_database() ORDER BY table_name, column_index"
        )
    finally:
        database.close()
    actual: dict[str, list[str]] = {}
    for row in found.to_pylist():
        actual.setdefault(row["table_name"], []).append(row["column_name"])
    assert documented == actual


PANEL_KEYS = {
    "Everywhere": ["core/keys.ts"],
    "In the grid": ["panels/grid/keys.ts"],
    "In the fix panel": ["panels/fix/keys.ts"],
    "In the scatter": ["panels/scatter/panel.ts"],
    "In the facets": ["panels/facets/panel.ts"],
    "In the inspector": ["core/inspector/view.ts", "core/objects/object_keys.ts"],
}
MOUSE = re.compile(r"click|drag|wheel", re.IGNORECASE)


@pytest.mark.parametrize(("heading", "sources"), PANEL_KEYS.items(), ids=list(PANEL_KEYS))
def test_documented_keys_are_the_keys_of_the_panels(project: Path, heading: str, sources: list[str]) -> None:
    page = (project / "docs" / "keyboard.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page, flags=re.MULTILINE)
    (table,) = [part for part in section if part.startswith(heading + "\n")]
    rows = re.findall(r"^\| (.+?) \|", table, flags=re.MULTILINE)[1:]
    keys: list[str] = []
    for source in sources:
        code = (project / "js" / source).read_text(encoding="utf-8")
        shown = re.search(r"KEYS[^=\n]* = \[$(.+?)^\];|keys: \[$(.+?)^ *\]", code, flags=re.MULTILINE | re.DOTALL)
        assert shown is not None
        keys += re.findall(r'\["(.+?)", ".+?"\]', shown[0])
    assert [re.sub(r"</?kbd>", "", row) for row in rows] == [key for key in keys if not MOUSE.search(key)]


def test_every_page_is_reached_from_the_first(project: Path) -> None:
    docs = project / "docs"
    index = (docs / "index.md").read_text(encoding="utf-8")
    assert {page.stem for page in docs.glob("*.md")} - {"index"} == set(
        re.findall(r"^(\w+)$", index, flags=re.MULTILINE)
    )


NARRATED = (
    "index",
    "getting_started",
    "concepts",
    "ways_in",
    "embedding_and_maps",
    "similar",
    "predictions",
    "evaluation",
    "objects",
    "text",
    "attach",
)
PAGES = ["README.md", *(f"docs/{name}.md" for name in NARRATED)]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What somebody has who reads a page: some pictures, and a frame and arrays of them."""
    import dataide as di

    monkeypatch.chdir(tmp_path)
    # Without umap-learn `project("auto")` is PCA; with it each kernel would compile it for a minute.
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (60, 12, 12, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        for folder in ("photos", "more"):
            file = Path(folder, ("cat", "dog")[number % 2], f"{number:04d}.jpg")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
    Path("shards").mkdir()
    rows = [{"image": Path(f"photos/cat/{n:04d}.jpg").read_bytes(), "label": "cat"} for n in range(0, 60, 2)]
    pq.write_table(pa.Table.from_pylist(rows), "shards/1.parquet")
    Path("candidates").mkdir()
    for shard in range(2):
        candidates = [
            {
                "id": f"{shard}-{number}",
                "label": ("cat", "dog")[number % 2],
                "source": ("street", "garden", "shop")[number % 3],
                "score": number / 60,
                "image": Path("photos", ("cat", "dog")[number % 2], f"{number:04d}.jpg").read_bytes(),
                "umap_x": float(number),
                "umap_y": float(shard),
            }
            for number in range(60)
        ]
        pq.write_table(pa.Table.from_pylist(candidates), f"candidates/{shard}.parquet")
    Path("bird.jpg").write_bytes(Path("photos/cat/0000.jpg").read_bytes())
    shutil.copy("bird.jpg", "photos/bird.jpg")
    frame = pd.DataFrame({"path": ["bird.jpg"], "species": ["bird"], "name": ["tweety"]})
    # A page may begin in the middle of a session.
    session = di.open("pets.duckdb")
    session.add_folder("photos", progress=False)
    session.add_arrays(images[:12], split=["val"] * 12, label=["cat"] * 12, progress=False)
    session.embed(progress=False)
    session.project("pca", progress=False)
    session.select(session.where(label="cat"))
    given = {"images": images, "labels": ["bird"] * 60, "weights": list(range(60)), "frame": frame}
    return {"di": di, "session": session, **given}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_from_top_to_bottom(project: Path, page: str, reader: dict[str, Any]) -> None:
    text = (project / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.+?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, block {number}", "exec"), reader)
    reader["session"].close()


def test_every_name_of_the_interface_in_prose_is_there(project: Path) -> None:
    """`session.thing` and `View.thing` in running text."""
    owners = {"session": Session, "view": View, "View": View, "Session": Session}
    missing = []
    for page in [*PAGES, "docs/tables.md", "docs/keyboard.md"]:
        text = re.sub(r"^```.+?^```", "", (project / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for owner, name in re.findall(r"`(session|view|View|Session)\.(\w+)", text):
            if not hasattr(owners[owner], name):
                missing.append(f"{page}: {owner}.{name}")
    assert missing == []
