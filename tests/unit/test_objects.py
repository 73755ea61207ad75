"""Objects from frames: places, ids, what is wrong with them; the View over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataide as di
from dataide.api import Session
from dataide.errors import FilterError, ImportProblem, UnknownSample
from dataide.storage import migrations, object_rows

WIDE, HIGH = 100, 80


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "streets.duckdb", author="Ada") as opened:
        with opened.context.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, split, width_px, height_px, added_at) "
                "SELECT i, 's' || i, '', CASE WHEN i < 4 THEN 'train' ELSE 'val' END, ?, ?, now()::TIMESTAMP "
                "FROM range(6) t(i)",
                [WIDE, HIGH],
            )
        yield opened


def boxes(session: Session) -> list[tuple[float, ...]]:
    columns = ["left_px", "top_px", "width_px", "height_px"]
    return [tuple(row[name] for name in columns) for row in session.objects.to_arrow(columns).to_pylist()]


ROWS = [
    {"sample_id": "s0", "label": "dog", "x": 1.0, "y": 2.0, "width": 30.0, "height": 40.0, "track_id": 7, "wet": True},
    {
        "sample_id": "s0",
        "label": "cat",
        "x": 5.5,
        "y": 6.5,
        "width": 10.0,
        "height": 20.0,
        "track_id": None,
        "wet": None,
    },
    {"sample_id": "s4", "label": None, "x": 0.0, "y": 0.0, "width": 100.0, "height": 80.0, "track_id": 8, "wet": False},
]


@pytest.mark.parametrize("kind", [list, pd.DataFrame, pa.Table.from_pylist])
def test_any_frame_becomes_objects_and_its_other_columns_attributes(
    session: Session, kind: Callable[[object], object]
) -> None:
    report = session.add_objects(kind(ROWS), progress=False)
    assert (report.added, report.skipped, report.problems) == (3, 0, {})
    assert repr(report).startswith("3 objects added in ")
    first, second, third = list(session.objects)
    assert (first["sample_id"], first["label"], first["area_px"], first["track"]) == ("s0", "dog", 1200, "7")
    assert (second["track"], third["label"], third["split"], third["picture_width_px"]) == (None, None, "val", WIDE)
    assert [json.loads(one["attributes"])["wet"] for one in (first, second, third)] == [True, None, False]
    assert session.objects.labels == {"cat": 1, "dog": 1, None: 1}


def test_the_same_frame_again_adds_nothing_and_another_one_does(session: Session) -> None:
    session.add_objects(ROWS, progress=False)
    again = session.add_objects(ROWS, progress=False)
    assert (again.added, again.skipped) == (0, 3)
    assert session.add_objects(ROWS[:2], progress=False).added == 2
    assert len(set(session.objects.ids())) == 5


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"xmin": 10, "ymin": 20, "xmax": 40, "ymax": 60}, {}),
        ({"left": 10, "top": 20, "right": 40, "bottom": 60}, {}),
        ({"cx": 25, "cy": 40, "w": 30, "h": 40}, {}),
        ({"bbox": [10, 20, 30, 40]}, {}),
        ({"corners": [10, 20, 40, 60]}, {"box": "corners", "box_format": "xyxy"}),
        ({"a": 10, "b": 20, "c": 30, "d": 40}, {"box": ("a", "b", "c", "d"), "box_format": "xywh"}),
        ({"cx": 0.25, "cy": 0.5, "w": 0.3, "h": 0.5}, {"relative": True}),
        ({"segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]}, {}),
        ({"keypoints": [0, 0, 0, 10, 20, 2, 40, 60, 1]}, {}),
    ],
)
def test_places_are_understood_as_they_are_written(
    session: Session, row: dict[str, object], options: dict[str, object]
) -> None:
    session.add_objects([{"sample_id": "s1", **row}], progress=False, **options)  # type: ignore[arg-type]
    assert boxes(session) == [(10, 20, 30, 40)]
    assert session.objects.arrays(["area_px"])["area_px"].tolist() == [1200]


def test_wrong_boxes_are_kept_and_listed(session: Session) -> None:
    wrong = [
        (10, 10, 5, 20), (10, 10, 10, 20), (90, 10, 120, 20), (-3, 0, 4, 4), (float("nan"), 0, 4, 4),
        (float("inf"), 0, 4, 4), (0, 0, WIDE, HIGH), (0, 0, WIDE + 0.01, HIGH),
    ]  # fmt: skip
    frame = pd.DataFrame(wrong, columns=["xmin", "ymin", "xmax", "ymax"]).assign(sample_id="s1")
    frame["object_id"] = [f"o{index}" for index in range(len(wrong))]
    report = session.add_objects(frame, progress=False)
    assert report.added == len(wrong)
    assert report.problems == {"inverted_box": 1, "empty_box": 1, "outside": 2, "no_box": 2}
    listed = session.problems().set_index("media")
    assert listed["code"].to_dict() == {
        "o0": "inverted_box", "o1": "empty_box", "o2": "outside", "o3": "outside", "o4": "no_box", "o5": "no_box",
    }  # fmt: skip
    assert listed.loc["o0", "reason"] == "On s1: Its box is inverted: -5 x 10 px."
    assert boxes(session)[0] == (10, 10, -5, 10) and boxes(session)[4][0] is None
    assert session.objects.where("width_px <= 0 or height_px <= 0").ids() == ["o0", "o1"]
    assert np.isnan(session.objects.boxes()["left_px"]).tolist() == [False] * 4 + [True] * 2 + [False] * 2


def test_problems_are_listed_once_and_go_when_the_object_is_replaced(session: Session) -> None:
    bad = [{"sample_id": "s1", "object_id": "a", "bbox": [0, 0, 0, 4]}]
    session.add_objects(bad, progress=False)
    session.add_objects(bad, progress=False, on_conflict="replace")
    assert session.problems()["code"].tolist() == ["empty_box"]
    good = session.add_objects(
        [{"sample_id": "s2", "object_id": "a", "label": "x", "bbox": [0, 0, 3, 4]}],
        progress=False,
        on_conflict="replace",
    )
    assert (good.added, good.replaced, len(session.problems())) == (0, 1, 0)
    (only,) = list(session.objects)
    assert (only["sample_id"], only["label"], only["area_px"]) == ("s2", "x", 12)


def test_objects_of_unknown_samples_stay_out_and_are_counted(session: Session) -> None:
    rows = [{"sample_id": one, "bbox": [0, 0, 3, 4]} for one in ("s0", "s9", "s9", None)]
    report = session.add_objects(rows, progress=False)
    assert (report.added, report.problems) == (1, {"unknown_sample": 3})
    reasons = session.problems().set_index("media")["reason"].to_dict()
    assert reasons["s9"] == "There is no sample 's9', so 2 objects could not come in."
    assert "names no sample" in reasons["row 3"]


def test_ids_that_come_twice(session: Session) -> None:
    rows = [{"sample_id": "s0", "object_id": "a", "bbox": [left, 0, 3, 4]} for left in (1, 2)]
    with pytest.raises(ImportProblem, match=r"'a' already; nothing was added"):
        session.add_objects(rows, progress=False, on_conflict="error")
    assert len(session.objects) == 0
    report = session.add_objects(rows, progress=False)
    assert (report.added, report.skipped, boxes(session)[0][0]) == (1, 1, 1)
    assert session.add_objects(rows, progress=False, on_conflict="replace").replaced == 1
    assert boxes(session)[0][0] == 2
    session.objects.delete()
    assert session.add_objects(rows, progress=False).added == 0  # what a person deleted does not come back by itself


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"sample_id": "s0", "left_px": 1}], {}, "says where the objects are"),
        ([{"image": "s0", "bbox": [1, 2, 3, 4]}], {}, "no column 'sample_id'"),
        ([{"sample_id": "s0", "bbox": [1, 2, 3, 4]}], {"label": "lable"}, "no column 'lable'"),
        ([{"sample_id": "s0", "a": 1, "b": 1, "c": 1, "d": 1}], {"box": ("a", "b", "c", "d")}, "do not say"),
        ([{"sample_id": "s0", "a": 1}], {"box": ("a", "b")}, "2 were named"),
        ([{"sample_id": "s0", "bbox": [1, 2, 3, 4]}], {"box_format": "yxyx"}, "no format of boxes"),
        ([{"sample_id": "s0", "x": "left", "y": 1, "w": 2, "h": 3}], {}, "something else than numbers"),
        ([{"sample_id": "s0", "bbox": [1, 2, 3, 4]}], {"on_conflict": "maybe"}, "on_conflict"),
    ],
)
def test_frames_that_make_no_sense_change_nothing(
    session: Session, rows: list[dict[str, object]], options: dict[str, object], said: str
) -> None:
    with pytest.raises(ImportProblem, match=said):
        session.add_objects(rows, progress=False, **options)  # type: ignore[arg-type]
    assert len(session.objects) == 0


def test_an_empty_frame_and_lists_of_another_length(session: Session) -> None:
    empty = pa.table({"sample_id": pa.array([], pa.string()), "x": [], "y": [], "w": [], "h": []})
    assert session.add_objects(empty, progress=False).added == 0
    report = session.add_objects(
        [{"sample_id": "s0", "bbox": [1, 2, 3]}, {"sample_id": "s0", "bbox": [1, 2, 3, 4]}], progress=False
    )
    assert (report.added, report.problems) == (2, {"no_box": 1})


def test_masks_and_keypoints_come_back_as_they_went_in(session: Session) -> None:
    outline = [[0.25, 1.1, 9.33, 1.1, 5.0, 7.07], [20, 20, 30, 20, 30, 30]]
    runs = {"counts": [8000 - 40, 30, 10], "size": [HIGH, WIDE]}
    points = [10, 20, 2, 0, 0, 0, 12.5, 30, 1]
    session.add_objects(
        [
            {"sample_id": "s0", "segmentation": outline, "keypoints": None, "object_id": "outline"},
            {"sample_id": "s1", "segmentation": runs, "keypoints": points, "object_id": "runs"},
            {"sample_id": "s2", "segmentation": [[1, 2, 3]], "keypoints": [1, 2], "object_id": "bad"},
        ],
        progress=False,
    )
    found = {one["object_id"]: one for one in session.objects}
    assert found["outline"]["polygons"] == outline and found["outline"]["mask_runs"] is None
    assert found["runs"]["mask_runs"] == runs["counts"] and found["runs"]["mask_height_px"] == HIGH
    assert (found["runs"]["area_px"], found["runs"]["left_px"]) == (30, 99)
    assert [tuple(point.values()) for point in found["runs"]["keypoints"]] == [(10, 20, 2), (0, 0, 0), (12.5, 30, 1)]
    assert found["bad"]["polygons"] is None
    assert sorted(session.problems()["code"]) == ["bad_keypoints", "bad_mask", "no_box"]


def test_a_view_of_objects_chooses_orders_and_says_so(session: Session) -> None:
    session.add_objects(ROWS, progress=False)
    objects = session.objects
    assert repr(objects) == "3 objects" and objects.sentence == "all objects"
    small = objects.where("area_px < 1000 and split = 'train'")
    assert (len(small), small.count(), repr(small)) == (1, 1, "1 object where area_px < 1000 and split = 'train'")
    assert repr(objects.label("dog")) == "1 object where label = 'dog'"
    assert objects.label("dog", None).count() == 2
    assert [one["area_px"] for one in objects.order_by("-area_px").take(2)] == [8000, 1200]
    assert objects.order_by("area_px").take(2).where(label="dog").count() == 1
    assert objects.sample(2, seed=1).ids() == objects.sample(2, seed=1).ids()
    assert objects.of("s0").nos().tolist() == [0, 1]
    assert objects.of(session.where(split="val")).to_pandas()["sample_id"].tolist() == ["s4"]
    assert objects.label("dog").samples().ids() == ["s0"]
    assert objects.ids_named(objects.ids()[1]).nos().tolist() == [1]
    assert session.sql(objects.where("width_px > 20").sql).to_arrow().num_rows == 2
    assert session.sql("SELECT label, count(*) FROM object GROUP BY ALL ORDER BY 1").fetchall() == [
        ("cat", 1), ("dog", 1), (None, 1),
    ]  # fmt: skip
    with pytest.raises(FilterError, match="no column 'bright'"):
        objects.where(bright=1)
    with pytest.raises(FilterError, match="Objects have no tags"):
        objects.where("'x' in tags")
    with pytest.raises(FilterError, match="label"):
        objects.label()
    with pytest.raises(UnknownSample, match="no object 'x'"):
        objects.ids_named("x")


def test_objects_of_excluded_samples_are_left_out(session: Session) -> None:
    session.add_objects(ROWS, progress=False)
    session.where(split="val").exclude()
    assert len(session.objects) == 2 and session.objects.labels == {"cat": 1, "dog": 1}
    assert session.objects.where("excluded").count() == 1
    assert session.objects.of("s4").count() == 1


def test_a_file_of_the_first_version_gets_objects(tmp_path: Path) -> None:
    path = tmp_path / "first.duckdb"
    with duckdb.connect(str(path)) as plain:
        plain.execute(migrations.steps()[1])
        plain.execute("INSERT INTO data.meta VALUES ('version', '1'), ('format', 'dataide'), ('revision', '0')")
        plain.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) VALUES (0, 's0', '', now()::TIMESTAMP)"
        )
    with di.open(path, read_only=True) as session:
        assert len(session.objects) == 0
    with di.open(path) as session:
        assert session.add_objects([{"sample_id": "s0", "bbox": [1, 2, 3, 4]}], progress=False).added == 1
    with di.open(path) as session:
        assert boxes(session) == [(1, 2, 3, 4)]


def test_blood_cells_as_shipped(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("bccd")
    pictures = pq.read_table(folder / "images.parquet", columns=["id"])
    cells = pq.read_table(folder / "boxes.parquet")
    with di.open(tmp_path / "bccd.duckdb") as session:
        names = {"sample_id": pictures.column("id").to_pylist()}
        session.add_frame(names, media=None, progress=False)
        with session.context.database.write() as cursor:
            cursor.execute("UPDATE data.sample SET width_px = 640, height_px = 480")
        report = session.add_objects(cells, sample_id="image_id", progress=False)
        assert report.added == 4888
        assert report.problems.get("inverted_box", 0) + report.problems.get("empty_box", 0) == 2
        assert "outside" not in report.problems
        assert session.objects.labels == {"RBC": 4155, "WBC": 372, "Platelets": 361}
        one = session.objects.take(1).to_arrow().to_pylist()[0]
        assert set(json.loads(one["attributes"])) == {"difficult", "truncated"}


def test_a_page_gets_the_objects_of_its_samples(session: Session) -> None:
    session.add_objects(ROWS, progress=False)
    session.objects.add({"sample_id": "s0", "label": "bus", "bbox": [1, 2, 3, 4]})
    session.objects.label("cat").delete()
    database = session.context.database
    found = object_rows.objects_of(database, [4, 0, 0, 2], ["label", "left_px"])
    assert {no: [one["label"] for one in ones] for no, ones in found.items()} == {0: ["dog", "bus"], 4: [None]}
    assert set(found[0][0]) == {"object_no", "sample_no", "label", "left_px"}
    assert object_rows.objects_of(database, [0])[0][1]["object_id"] == session.objects.label("bus").ids()[0]
    assert object_rows.objects_of(database, []) == {} == object_rows.objects_of(database, [3, 99])
    with pytest.raises(KeyError, match="colour"):
        object_rows.objects_of(database, [0], ["colour"])
