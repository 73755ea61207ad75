"""COCO's JSON: real files to the last digit, broken ones, images that are not there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataide as di
from dataide.api import Session
from dataide.errors import ImportProblem
from dataide.formats import json_stream
from dataide.storage import masks


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "coco.duckdb") as opened:
        yield opened


def written(folder: Path, what: Any, name: str = "instances.json") -> Path:
    path = folder / name
    path.write_text(what if isinstance(what, str) else json.dumps(what))
    return path


def small(**changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 9.5, "iscrowd": 0, "track_id": 4},
            {"id": 2, "image_id": 11, "category_id": 5, "bbox": [0, 0, 8, 6], "attributes": {"wet": 1}, "score": 0.5},
        ],
        "images": [
            {"id": 10, "file_name": "a.png", "width": 8, "height": 6},
            {"id": 11, "file_name": "deep/b.png", "width": 8, "height": 6},
        ],
        "categories": [
            {"id": 3, "name": "dog", "supercategory": "animal"},
            {"id": 5, "name": "person", "keypoints": ["nose", "eye"], "skeleton": [[1, 2]]},
        ],
    }  # fmt: skip
    return {**told, **changes}


def pictures(folder: Path, size: tuple[int, int] = (8, 6)) -> Path:
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "deep/b.png"):
        Image.new("RGB", size, "red").save(folder / name)
    return folder


@pytest.mark.parametrize(
    "name", ["coco128/instances_train2017_128.json", "coco-eval-oracle/instances_val2014_100.json"]
)
def test_real_files_come_in_as_they_are(session: Session, shared_data: Callable[[str], Path], name: str) -> None:
    folder, _, file = name.partition("/")
    path = shared_data(folder) / file
    told = json.loads(path.read_text())
    report = session.add_coco(path, progress=False)
    assert (report.added, report.samples, report.problems) == (len(told["annotations"]), len(told["images"]), {})
    names = {one["id"]: one["file_name"] for one in told["images"]}
    labels = {one["id"]: one["name"] for one in told["categories"]}
    found = {one["object_id"]: one for one in session.objects}
    for one in told["annotations"]:
        kept = found[str(one["id"])]
        box = [kept[side] for side in ("left_px", "top_px", "width_px", "height_px")]
        assert (box, kept["area_px"], kept["crowd"]) == (one["bbox"], one["area"], bool(one["iscrowd"]))
        assert (kept["sample_id"], kept["label"]) == (names[one["image_id"]], labels[one["category_id"]])
        if isinstance(one["segmentation"], list):
            assert kept["polygons"] == one["segmentation"]
            assert masks.polygon_area(kept["polygons"]) == pytest.approx(one["area"], rel=1e-9)
        else:
            assert kept["mask_runs"] == one["segmentation"]["counts"]
            height, width = one["segmentation"]["size"]
            assert (kept["mask_height_px"], sum(kept["mask_runs"])) == (height, height * width)
            around = masks.box(np.asarray(kept["mask_runs"]), height)
            # Boxes of crowds end one px early in these files.
            assert around is not None and np.abs(np.subtract(around, one["bbox"])).max() <= 1
    back = session.objects.to_coco()
    numbers = {
        one["id"]: next(i["id"] for i in told["images"] if i["file_name"] == one["file_name"]) for one in back["images"]
    }
    returned = [
        {**one, "image_id": numbers[one["image_id"]], "area": float(one["area"])} for one in back["annotations"]
    ]
    assert returned == [{**one, "area": float(one["area"])} for one in told["annotations"]]
    again = session.add_coco(path, progress=False)
    assert (again.added, again.samples, again.skipped) == (0, 0, len(told["annotations"]))


def test_pictures_that_are_there_already_are_found_by_name(
    session: Session, shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data("coco128")
    table = pq.read_table(folder / "images.parquet").slice(0, 16)
    frame = {"image": table.column("image").to_pylist(), "name": table.column("file_name").to_pylist()}
    session.add_frame(frame, media="image", sample_id="name", progress=False)
    assert len(session) == 16
    report = session.add_coco(folder / "instances_train2017_128.json", progress=False)
    assert (report.samples, report.missing, report.problems) == (112, 112, {})
    assert len(session) == 128


def test_a_folder_of_images_comes_along_and_what_is_missing_is_kept(session: Session, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images")
    told = small()
    told["images"].append({"id": 12, "file_name": "gone.png", "width": 30, "height": 20})
    path = written(tmp_path, told)
    with pytest.raises(ImportProblem, match=r"1 of 3 pictures are not in .*gone\.png; nothing was added"):
        session.add_coco(path, images=folder, missing_media="error", progress=False)
    assert len(session) == 0
    report = session.add_coco(path, images=folder, split="train", progress=False)
    assert (report.added, report.samples, report.missing, report.problems) == (2, 3, 1, {})
    assert "1 sample have no picture yet" not in repr(report) and "1 sample has no picture yet" in repr(report)
    sizes = "SELECT sample_id, width_px, height_px, split, content_hash IS NULL FROM sample ORDER BY 1"
    assert session.sql(sizes).fetchall() == [
        ("a.png", 8, 6, "train", False), ("deep/b.png", 8, 6, "train", False), ("gone.png", 30, 20, "train", True),
    ]  # fmt: skip
    first, second = list(session.objects)
    assert (first["track"], first["area_px"], first["label"]) == ("4", 9.5, "dog")
    assert json.loads(second["attributes"]) == {"score": 0.5, "wet": 1}
    assert session.sql("SELECT label, keypoint_names, skeleton, supercategory FROM object_label").fetchall() == [
        ("dog", None, None, "animal"), ("person", ["nose", "eye"], [[1, 2]], None),
    ]  # fmt: skip


def test_what_is_written_reads_as_the_same(session: Session, tmp_path: Path) -> None:
    told = small()
    told["annotations"][0]["segmentation"] = {"counts": [6, 4, 38], "size": [6, 8]}
    told["annotations"][1]["keypoints"] = [1, 2, 2, 0, 0, 0]
    session.add_coco(told, progress=False)
    session.objects.add({"sample_id": "a.png", "label": "new", "bbox": [0, 0, 1, 1], "object_id": "mine"})
    path = tmp_path / "out.json"
    told_again = session.objects.to_coco(path)
    assert json.loads(path.read_text()) == told_again
    assert [one["name"] for one in told_again["categories"]] == ["dog", "person", "new"]
    assert told_again["categories"][1]["skeleton"] == [[1, 2]]
    assert [one["id"] for one in told_again["annotations"]] == [1, 2, 3]
    with di.open(tmp_path / "second.duckdb") as second:
        second.add_coco(path, progress=False)
        kept, again = session.objects.to_arrow().to_pylist(), second.objects.to_arrow().to_pylist()
        assert json.loads(again[1].pop("attributes")) == json.loads(kept[1].pop("attributes"))
        assert [{**one, "object_id": ""} for one in again] == [{**one, "object_id": ""} for one in kept]
    empty = session.objects.label("nothing").to_coco()
    assert (empty["images"], empty["annotations"]) == ([], [])
    with pytest.raises(ImportProblem, match="cannot be written"):
        session.objects.to_coco(tmp_path / "nowhere" / "out.json")


@pytest.mark.parametrize("known", ["a.png", "train/a.png", "a", "10"])
def test_images_find_their_samples(session: Session, tmp_path: Path, known: str) -> None:
    session.add_frame([{"sample_id": known}, {"sample_id": "other"}], media=None, progress=False)
    report = session.add_coco(small(), missing_media="keep", progress=False)
    assert (report.added, report.samples) == (2, 1)
    assert session.objects.of(known).count() == 1


def test_two_samples_that_fit_alike_are_not_chosen_from(session: Session) -> None:
    session.add_frame([{"sample_id": "train/a.png"}, {"sample_id": "val/a.png"}], media=None, progress=False)
    report = session.add_coco(small(), progress=False)
    assert report.problems["ambiguous_image"] == 1
    assert session.objects.of("a.png").count() == 1  # a sample of its own


def test_a_picture_of_another_size_is_listed(session: Session, tmp_path: Path) -> None:
    turned = tmp_path / "turned"
    report = session.add_coco(small(), images=pictures(turned, (6, 8)), progress=False)
    assert report.problems["rotated"] == 2
    assert "turned by EXIF" in session.problems().query("code == 'rotated'")["reason"].iloc[0]
    with di.open(tmp_path / "other.duckdb") as other:
        report = other.add_coco(small(), images=pictures(tmp_path / "larger", (80, 60)), progress=False)
        assert report.problems == {"size_differs": 2}


def test_a_picture_that_exif_turns_is_upright_and_said_to_be_turned(session: Session, tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 6), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    told = small(images=[{"id": 10, "file_name": "a.jpg", "width": 8, "height": 6}])
    told["annotations"] = told["annotations"][:1]
    report = session.add_coco(told, images=tmp_path, progress=False)
    assert report.problems == {"rotated": 1}
    (kept,) = list(session.objects)
    assert (kept["picture_width_px"], kept["picture_height_px"], kept["left_px"]) == (6, 8, 1)


def test_bad_entries_are_counted_and_listed_and_the_rest_comes_in(session: Session, tmp_path: Path) -> None:
    nan, short = float("nan"), {"counts": [5], "size": [6, 8]}
    told = small(
        annotations=[
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 99, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"id": 3, "image_id": 10, "category_id": 77, "bbox": [1, 2, 3, 4]},
            {"id": 4, "image_id": 10, "bbox": [1, 2, 3, 4]},
            {"id": 5, "image_id": 10, "category_id": 3, "bbox": [nan, 2, 3, 4], "area": nan},
            {"id": 6, "image_id": 10, "category_id": 3, "bbox": [1, 2, 0, 4]},
            {"id": 7, "image_id": 10, "category_id": 3, "bbox": [1, 2, -3, 4]},
            {"id": 8, "image_id": 10, "category_id": 3, "bbox": [1, 2, 30, 4]},
            {"id": 9, "image_id": 10, "category_id": 3, "bbox": "none"},
            {"id": 10, "image_id": 10, "category_id": 3, "bbox": [0, 0, 1, 1], "segmentation": short},
            {"id": 11, "image_id": 10, "category_id": 3, "bbox": [0, 0, 1, 1], "keypoints": [1, 2]},
            {"id": 12, "image_id": 10, "category_id": 3, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, nan, 1, 2, 2]]},
            {"image_id": 10, "category_id": 3, "bbox": [0, 0, 1, 1]},
            {"id": 13, "category_id": 3, "bbox": [0, 0, 1, 1]},
            "no object",
            None,
        ],
        images=[*small()["images"], {"file_name": "x.png"}, 7, {"id": 10, "file_name": "again.png"}, {"id": 20}],
        categories=[*small()["categories"], {"id": 4}, "cat"],
    )  # fmt: skip
    report = session.add_coco(written(tmp_path, told), progress=False)
    assert report.problems == {
        "id_twice": 2, "unknown_image": 2, "unknown_category": 2, "no_box": 2, "empty_box": 1, "inverted_box": 1,
        "outside": 1, "bad_mask": 2, "bad_keypoints": 1, "bad_entry": 7,
    }  # fmt: skip
    assert report.added == 13
    assert len(session.problems()) == sum(report.problems.values())
    found = {one["object_id"]: one for one in session.objects}
    assert "1-2" in found and "annotation-13" in found
    assert found["3"]["label"] is None and json.loads(found["3"]["attributes"]) == {"category_id": 77}
    assert (found["7"]["width_px"], found["5"]["left_px"], found["9"]["left_px"]) == (-3, None, None)


def test_boxes_come_from_masks_where_none_is_given(session: Session) -> None:
    told = small()
    told["annotations"] = [
        {"id": 1, "image_id": 10, "category_id": 3, "segmentation": [[1, 1, 5, 1, 5, 4]]},
        {"id": 2, "image_id": 10, "category_id": 3, "segmentation": {"counts": [6, 4, 38], "size": [6, 8]}},
        {"id": 3, "image_id": 10, "category_id": 5, "keypoints": [1, 2, 2, 0, 0, 0, 4, 5, 1]},
        {"id": 4, "image_id": 10, "category_id": 5, "segmentation": []},
    ]
    report = session.add_coco(told, progress=False)
    assert report.problems == {"no_box": 1}
    sides = session.objects.boxes()
    assert sides["left_px"][:3].tolist() == [1, 1, 1] and sides["height_px"][:3].tolist() == [3, 4, 3]
    assert sides["area_px"][:3].tolist() == [6, 4, 9]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [], "annotations": [{"id": 1}, {"id": 2', "breaks off"),
        ('{"images": [], "annotations": [1 2]}', "is no JSON at character 34"),
        ("", "breaks off at character 1"),
        ("[1, 2]", "holds a list"),
        ('{"info": 1}', "no images and no annotations"),
        ("\x00\x01", "is no JSON"),
        ('{"images": [' + "[" * 100_000, "instances.json"),
    ],
)
def test_a_broken_file_changes_nothing(session: Session, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ImportProblem, match=said):
        session.add_coco(written(tmp_path, text), progress=False)
    assert len(session) == 0 and len(session.objects) == 0


def test_files_that_cannot_be_read(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ImportProblem, match="There is no file"):
        session.add_coco(tmp_path / "none.json", progress=False)
    (tmp_path / "latin.json").write_bytes(b'{"images": ["\xff"]}')
    with pytest.raises(ImportProblem, match="is not UTF-8"):
        session.add_coco(tmp_path / "latin.json", progress=False)
    with pytest.raises(ImportProblem, match="There is no folder"):
        session.add_coco(small(), images=tmp_path / "nowhere", progress=False)
    with pytest.raises(ImportProblem, match="missing_media"):
        session.add_coco(small(), missing_media="drop", progress=False)  # type: ignore[arg-type]
    with pytest.raises(ImportProblem, match=r"cannot be read"):
        session.add_coco(written(tmp_path, "not packed", "x.json.gz"), progress=False)


def test_packed_files_and_prefixes(session: Session, tmp_path: Path) -> None:
    (tmp_path / "told.json.gz").write_bytes(gzip.compress(json.dumps(small()).encode("utf-8-sig")))
    session.add_coco(tmp_path / "told.json.gz", progress=False)
    assert session.add_coco(small(), prefix="val/", progress=False).added == 2
    assert session.objects.ids() == ["1", "2", "val/1", "val/2"]


def test_a_large_file_is_read_item_by_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 7)
    told: dict[str, Any] = {
        "info": {"a": [1, {"b": "]}"}]},
        "images": [],
        "annotations": [{"id": 1234567, "x": [1.5, -2e9]}, 12345678901],
    }
    path = written(tmp_path, json.dumps(told, indent=1))
    given = list(json_stream.items(path, frozenset({"annotations", "images"})))
    assert given == [("annotations", told["annotations"][0]), ("annotations", 12345678901)]
    assert list(json_stream.items(path, frozenset({"info"}))) == [("info", told["info"])]
