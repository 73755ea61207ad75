"""Columns, ids, tags and labels with names that SQL, HTML or a shell would trip over."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import dataide as di
from dataide.core.completion import complete_filter
from dataide.core.predicate import parse
from dataide.storage import syntax

IDS = ["it's", 'a"b', "x;y--", "é✓\n2", "%", "NULL", "tab\there", "😀", "plain"]
WORDS = ["it's", 'a"b', "line\nbreak", "😀", "<b>", "%", "x" * 200, "a,b", "[", "NULL", "'; DROP TABLE data.tag; --"]
COUNT = len(IDS)
COLUMNS: dict[str, Any] = {
    "order": np.arange(COUNT),
    "select": [f"v{n % 3}" for n in range(COUNT)],
    "a b": np.linspace(0, 1, COUNT),
    "ünï": pa.array([["x", "it's, y"], [], None] * 3),
    'q"uote': [True, False, None] * 3,
    "when": [dt.datetime(2026, 1, 1, 12, 0, 0, n) for n in range(COUNT)],
    "day": [dt.date(2026, 1, 1 + n) for n in range(COUNT)],
    "zoned": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * COUNT, pa.timestamp("us", tz="UTC")),
    "small": pa.array(np.linspace(0, 1e-30, COUNT), pa.float32()),
    "check": [None, 1] * (COUNT // 2) + [2**62],
    "show\nme": list("abcdefghi"),
}


def picture(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    pictures = [picture(20 * n) for n in range(COUNT)]
    with di.open(tmp_path / "odd.duckdb") as session:
        frame = pa.table({"picture": pictures, "id": IDS, **COLUMNS})
        session.add_frame(frame, media="picture", sample_id="id", progress=False)
        yield session


def test_ids_of_any_spelling_are_found_and_selected(session: di.Session) -> None:
    assert session.ids() == IDS
    for one in IDS:
        assert session.where(sample_id=one).ids() == [one]
        assert session.select(one).ids() == [one]


@pytest.mark.parametrize("column", list(COLUMNS))
def test_a_column_of_any_name_can_be_asked_for_ordered_by_and_completed(session: di.Session, column: str) -> None:
    empty = sum(value is None for value in pa.table(COLUMNS).column(column).to_pylist())
    assert len(session.where(**{column: None})) == empty
    offered = complete_filter("", 0, {column: "category"}, lambda _: []).items[0]
    assert len(session.where(f"{offered.text} IS NULL")) == empty
    assert session.order_by(column).to_arrow([column]).column_names == [column]
    session.grid(caption=column, sort=column)
    session.scatter(color=column)


def test_every_word_that_duckdb_reserves_is_completed_in_quotes() -> None:
    for word in syntax.reserved_words() | {"current_date", "localtime"}:
        (offered,) = (item for item in complete_filter("", 0, {word: "category"}, lambda _: []).items[:1])
        assert parse(f"{offered.text} IS NOT NULL", {word: "VARCHAR"}).columns == {word}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("order", 5),
        ("select", 'it\'s "q"\n😀'),
        ("a b", float("inf")),
        ("ünï", ["p", "q's, r", None]),
        ('q"uote', True),
        ("when", dt.datetime(2020, 2, 3, 4, 5, 6, 789)),
        ("day", dt.date(2000, 1, 1)),
        ("zoned", dt.datetime(2021, 1, 1, tzinfo=dt.UTC)),
        ("small", 0.1),
        ("check", 2**63 - 1),
    ],
)
def test_undo_of_set_brings_back_every_value_exactly(session: di.Session, column: str, value: Any) -> None:
    def values() -> list[Any]:
        return list(session.to_arrow([column]).column(column).to_pylist())

    before = values()
    for new in (value, None):
        session.take(7).set(**{column: new})
        after = values()
        assert after != before
        session.undo()
        assert values() == before
        session.redo()
        assert values() == after
        session.undo()


@pytest.mark.parametrize("word", WORDS)
def test_tags_labels_and_queues_may_be_any_text(session: di.Session, word: str) -> None:
    first = IDS[:3]
    session.take(3).tag(word)
    session.take(3).relabel(word)
    session.take(3).enqueue(word, reason=word)
    session.undo(), session.undo(), session.undo()
    assert len(session.where(tag=word)) == len(session.where(label=word)) == len(session.where(queue=word)) == 0
    session.redo(), session.redo(), session.redo()
    for found in (session.where(tag=word), session.where(label=[word]), session.where(queue=word)):
        assert found.ids() == first
    assert session.sql("SELECT DISTINCT reason FROM task").fetchall() == [(word,)]
    assert session.where(label=word).relabel(None).count == 3
    assert len(session.where(label=None)) == COUNT
