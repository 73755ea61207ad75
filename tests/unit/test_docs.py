"""The pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from dataide.storage.database import Database


def test_documented_tables_have_the_documented_columns(project: Path, tmp_path: Path) -> None:
    page = (project / "docs" / "tables.md").read_text(encoding="utf-8")
    documented = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        first_cells = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
        documented[section.split("\n", 1)[0]] = [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]
    documented.pop("vector_NAME")

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


def test_documented_keys_are_the_keys_of_the_panels(project: Path) -> None:
    page = (project / "docs" / "keyboard.md").read_text(encoding="utf-8").split("## In the grid")[0]
    documented = {re.sub(r"</?kbd>", "", cell) for cell in re.findall(r"^\| (<kbd>.+?) \|", page, flags=re.MULTILINE)}
    code = (project / "js" / "core" / "keys.ts").read_text(encoding="utf-8")
    table = code.split("SHARED_KEYS", 1)[1].split("];", 1)[0]
    assert documented == set(re.findall(r'^  \["(.+?)", ".+"\]', table, flags=re.MULTILINE))


def test_every_page_is_reached_from_the_first(project: Path) -> None:
    docs = project / "docs"
    index = (docs / "index.md").read_text(encoding="utf-8")
    assert {page.stem for page in docs.glob("*.md")} - {"index"} == set(
        re.findall(r"^(\w+)$", index, flags=re.MULTILINE)
    )
