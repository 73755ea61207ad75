"""The command line."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import dataide as di
from dataide import cli
from dataide.cli import main


def test_check_says_what_is_in_a_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pets.duckdb"
    with di.open(path) as session, session.context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) "
            "SELECT i, 's' || i, 'm', 'cat', now()::TIMESTAMP FROM range(3) t(i)"
        )
        cursor.execute("INSERT INTO data.problem VALUES (now(), 'folder pets', 'bad.png', 'broken', 'it is cut off')")
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Session pets.duckdb: 3 samples, 1 label, 1 problem" in said
    assert "labels: cat (3)" in said
    assert "problem: bad.png: it is cut off (broken)" in said


def test_check_of_nothing_is_an_error_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.duckdb")]) == 1
    assert "There is no file none.duckdb" in capsys.readouterr().err


def test_open_writes_a_notebook_and_never_overwrites_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", str(tmp_path / "it's"), "--no-lab"]) == 0
    notebook = tmp_path / "it's.ipynb"
    cells = json.loads(notebook.read_text())["cells"]
    assert 'di.open("it\'s.duckdb")' in "".join(cells[0]["source"])
    notebook.write_text("mine")
    assert main(["open", str(tmp_path / "it's.duckdb"), "--no-lab"]) == 0
    assert notebook.read_text() == "mine"


def test_doctor_says_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    said = capsys.readouterr().out
    assert "duckdb" in said and "torch" in said and "jupyterlab" in said


def test_doctor_asks_for_what_the_package_asks_for(project: Path) -> None:
    wanted = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    extras = wanted["optional-dependencies"]
    assert set(cli._BASE) == _names(wanted["dependencies"])
    expected = {extra: _names(extras[extra]) for extra in extras if extra not in ("all", "dev")}
    assert {extra: set(known) for extra, known in cli._EXTRAS.items()} == expected


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", one, maxsplit=1)[0] for one in requirements}
