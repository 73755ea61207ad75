"""The example notebooks run from top to bottom, and stand in the repository without outputs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "example_notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
LIMIT_S = 180


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS[0].name == "01_first_minute.ipynb"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_committed_notebook_has_no_outputs_and_at_most_ten_cells(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= 10
    assert [cell.id for cell in code if cell.outputs or cell.execution_count] == []
    assert max(len(cell.source.splitlines()) for cell in code) <= 20


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_without_errors_or_warnings_and_its_panels_leave_pictures(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    before = sorted(FOLDER.rglob("*"))
    work = tmp_path / "work"
    work.mkdir()
    copy = Path(shutil.copy(file, work))
    notebook = nbformat.read(copy, as_version=4)
    resources = {"metadata": {"path": str(work)}}
    NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=resources).execute()

    panels = 0
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            said = text_of(output)
            assert output.output_type != "error", said
            assert getattr(output, "name", "") != "stderr", f"cell {number} wrote to stderr: {said}"
            assert not re.search(r"warning|traceback", said, re.IGNORECASE), f"cell {number}: {said}"
            if WIDGET in output.get("data", {}):
                panels += 1
                assert output.data["image/png"], f"cell {number} leaves no picture"
                assert re.search(r"\d samples in \w+\.duckdb", said), f"cell {number} leaves no sentence: {said}"
    shown = [
        cell for cell in notebook.cells if re.search(r"\.(workbench|scatter|grid|facets|inspect|fix)\(", cell.source)
    ]
    assert panels == len([cell for cell in shown if cell.cell_type == "code"]) >= 1
    assert sorted(FOLDER.rglob("*")) == before


def text_of(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return str(output.data.get("text/plain", ""))
