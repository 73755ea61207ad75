"""Objects are read as they are at one moment, whatever is decided about them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import dataide as di
from dataide.storage import object_rows


def test_an_object_that_is_moved_while_it_is_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    with di.open(tmp_path / "moving.duckdb") as session:
        session.add_folder(tmp_path, progress=False)
        session.add_objects(
            [
                {"sample_id": "a.png", "label": "dog", "bbox": [1, 2, 10, 10]},
                {"sample_id": "a.png", "bbox": [5, 5, 4, 4]},
            ],
            progress=False,
        )
        database = session.context.database
        asked = database.query
        moves: list[Any] = []

        @contextmanager
        def query(sql: str, *arguments: Any, **named: Any) -> Iterator[Any]:
            with asked(sql, *arguments, **named) as cursor:
                yield cursor
            if sql.startswith("SELECT o.rowid") and not moves:
                moves.append(session.objects.where(label="dog").move([20, 2, 10, 10]))

        monkeypatch.setattr(database, "query", query)
        found = object_rows.objects_of(database, [0], ("label", "left_px"))
    assert len(moves) == 1
    assert [(row["label"], row["left_px"]) for row in found[0]] == [("dog", 20.0), (None, 5.0)]
