"""Where a run of a session fails, by columns and in regions; stored without a model or torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.errors import EvaluationError, UnknownColumn, UnknownRun
from dataide.storage import vectors
from tests.unit.test_evaluating import stored

COUNT = 4_000


@pytest.fixture
def session(tmp_path: Path) -> di.Session:
    """4,000 samples, one in twenty wrong; by night with the camera "old" half of them, and in one corner most cats."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, COUNT)
    night, old = random.random(COUNT) < 0.4, random.random(COUNT) < 0.3
    rows = random.standard_normal((COUNT, 16)).astype(np.float32)
    corner = (random.random(COUNT) < 0.06) & (truth == 0)
    rows[corner, 3] += 6
    chance = np.where(night & old, 0.5, np.where(corner, 0.8, 0.05))
    wrong = random.random(COUNT) < chance
    session = di.open(tmp_path / "a.duckdb")
    frame = {
        "sample_id": [f"s{row:04}" for row in range(COUNT)],
        "label": np.where(truth == 0, "cat", "dog").tolist(),
        "time": np.where(night, "night", "day").tolist(),
        "camera": np.where(old, "old", "<b>new</b>").tolist(),
        "width": random.integers(100, 200, COUNT).tolist(),
    }
    session.add_frame(pa.table(frame), media=None, label="label", sample_id="sample_id", progress=False)
    nos = session.where().order_by("sample_id").nos()
    said = np.where(wrong, 1 - truth, truth)
    p = np.full((COUNT, 2), 0.1, np.float32)
    p[np.arange(COUNT), said] = 0.9
    stored(session, "v1", nos, p, classes=("cat", "dog"))
    database = session.context.database
    with database.write() as cursor:
        known = vectors.create(cursor, "mine", "made up", rows.shape[1])
        revisions = np.asarray(cursor.execute("SELECT media_revision FROM data.sample ORDER BY sample_no").fetchnumpy()[
            "media_revision"
        ], np.uint32)  # fmt: skip
        vectors.store(cursor, known, nos, revisions, rows)
        database.rebuild_views(cursor)
    session.where().ranked(nos[corner], "in the corner").tag("corner")
    return session


def test_planted_slices_are_found_as_views_of_their_samples(session: di.Session) -> None:
    with session:
        found = session.slices("v1", columns=["time", "camera", "width"])
        by_columns = [one for one in found if one.where is not None]
        first = by_columns[0]
        assert set((first.where or "").split(" AND ")) == {"\"time\" = 'night'", "\"camera\" = 'old'"}
        planted = session.where("time = 'night' AND camera = 'old'")
        assert first.view.ids() == planted.ids() and first.size == len(planted)
        assert 0.4 < first.metric < 0.6 and first.rest < 0.1 and first.gap > 0.35 and first.p < 1e-6
        assert first.interval[0] < first.gap < first.interval[1]
        truly = session.sql(
            "SELECT sample_id FROM sample s JOIN prediction_v1 p USING (sample_id) WHERE p.class <> s.label"
        ).fetchall()
        assert set(first.examples) <= {row[0] for row in truly} & set(planted.ids())
        region = next(one for one in found if one.region is not None)
        inside = set(session.where(tag="corner").ids())
        assert len(inside & set(region.view.take(50).ids())) >= 45
        assert region.sentence.endswith("What sets it apart: 'corner' IN tags (100%, elsewhere 0%).")
        assert session.slices("v1", columns=["time", "camera", "width"]).table.to_arrow() == found.table.to_arrow()
        assert region.view.tag("hard").count == region.size


def test_they_show_as_text_and_as_a_table_with_all_text_escaped(session: di.Session) -> None:
    with session:
        found = session.slices("v1")
        assert repr(found).startswith("Run 'v1' gets") and "more than by chance:" in repr(found)
        assert "<b>new" not in found._repr_html_() and found._repr_html_().count("<tr>") == len(found) + 1
        table = found.table.to_arrow()
        assert table.column_names[:4] == ["slice", "samples", "wrong", "elsewhere"] and table.num_rows == len(found)
        assert not any("v1_" in (one.where or "") for one in found), "what models said is no reason"


def test_where_nothing_is_planted_nothing_is_told(session: di.Session) -> None:
    with session:
        calm = session.where("time = 'day' AND NOT ('corner' in tags)")
        found = session.slices("v1", on=calm)
        assert len(found) == 0 and "nowhere more than by chance" in repr(found)


def test_without_vectors_regions_are_not_looked_for_and_it_says_so(tmp_path: Path) -> None:
    with di.open(tmp_path / "b.duckdb") as session:
        ids = [f"s{row:03}" for row in range(300)]
        frame = {"sample_id": ids, "label": ["cat", "dog"] * 150, "site": ["a"] * 100 + ["b"] * 200}
        session.add_frame(pa.table(frame), media=None, label="label", sample_id="sample_id", progress=False)
        nos = session.where().order_by("sample_id").nos()
        p = np.tile(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), (150, 1))
        p[:100] = p[:100, ::-1]
        stored(session, "v1", nos, p, classes=("cat", "dog"))
        found = session.slices("v1")
        assert [one.where for one in found] == ["\"site\" = 'a'"] and found[0].metric == 1
        assert "there are no vectors" in found.notes[-1] and found.notes[-1] in repr(found)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"run": "v2"}, UnknownRun, "v2"),
        ({"columns": ["tme"]}, UnknownColumn, "tme"),
        ({"embedding": "miné"}, EvaluationError, "There is no embedding 'miné' of pictures"),
        ({"label": "lable"}, UnknownColumn, "lable"),
        ({"conditions": 4}, EvaluationError, "4"),
        ({"chance": 0}, EvaluationError, "0"),
    ],
)
def test_wrong_options_are_named(session: di.Session, wrong: dict[str, Any], error: type[Exception], said: str) -> None:
    with session, pytest.raises(error, match=said):
        session.slices(**wrong)
