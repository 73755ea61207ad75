"""What a notebook shows of an error: what happened, what to do, and the user's own lines."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dataide.errors import DataideError

CELL = """
import dataide as di

def ask(session):
    return session.where("labell = 'cat'")

with di.open({path!r}) as session:
    ask(session)
"""


def shown(cell: str) -> str:
    """What IPython shows of a cell that fails."""
    told: list[str] = []
    shell = InteractiveShell()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shell, "_showtraceback", lambda kind, error, lines: told.extend(lines))
        shell.run_cell(cell)
    assert told
    return "\n".join(told)


def test_an_error_is_shown_with_what_to_do_and_without_the_inside_of_dataide(tmp_path):
    text = shown(CELL.format(path=str(tmp_path / "pets.duckdb")))
    first, second, *rest = text.splitlines()
    assert "labell" in first and "UnknownColumn" in first
    assert "label" in second
    assert [line.rpartition(": ")[2] for line in rest if line] == [
        "ask(session)",
        "return session.where(\"labell = 'cat'\")",
    ]


def test_all_lines_are_shown_to_who_wants_them(tmp_path, monkeypatch):
    monkeypatch.setenv("DATAIDE_TRACEBACKS", "full")
    assert "predicate.py" in shown(CELL.format(path=str(tmp_path / "pets.duckdb")))


def test_what_an_error_came_from_is_said():
    def fails() -> None:
        raise ValueError("seven is no colour")

    try:
        try:
            fails()
        except ValueError as error:
            raise DataideError("The function failed.") from error
    except DataideError as error:
        text = "\n".join(error._render_traceback_())
    assert "It came from ValueError: seven is no colour" in text
    assert "in fails" in text
