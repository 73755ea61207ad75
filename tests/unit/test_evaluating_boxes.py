"""What the run of a detector is worth on samples of a session; stored without a model or torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.errors import EvaluationError
from dataide.evaluate.run_boxes import RunDetection
from dataide.storage import arrow_arrays, runs

CLASSES = ("car", "<i>dog</i>")


def detected(
    session: di.Session,
    nos: np.ndarray,
    found: Mapping[str, Sequence[tuple[Any, ...]]],
    classes: Sequence[str] = CLASSES,
) -> None:
    """Keeps a run of a detector as `predict` does; (class number, score, left, top, width, height) by sample id."""
    database = session.context.database
    revisions = runs.pending(database, None, None, nos).media_revisions
    view = session.where()
    ids = dict(zip(view.ids(), view.nos().tolist(), strict=True))
    rows = [(ids[sample], *box) for sample, boxes in found.items() for box in boxes]
    with database.write() as cursor:
        run = runs.create(cursor, "found", "detection", classes)
        number = runs.number_of(cursor, run, "a")
        many = np.array([sum(row[0] == no for row in rows) for no in nos.tolist()], np.uint32)
        runs.store(cursor, run, number, nos, revisions, {"object_count": arrow_arrays.numbers(many, np.uint32)})
        columns = [np.array([row[place] for row in rows]) for place in range(7)]
        kinds = (np.uint32, np.uint32, *[np.float64] * 5)
        names = ("sample_no", "class_no", "score", "left_px", "top_px", "width_px", "height_px")
        listed = {
            name: arrow_arrays.numbers(column.astype(kind), kind)
            for name, column, kind in zip(names, columns, kinds, strict=True)
        }
        runs.store_objects(cursor, run, nos, listed)
        database.rebuild_views(cursor)


@pytest.fixture
def session(tmp_path: Path) -> di.Session:
    """Six samples; "f" has no result, "e" no object, and one object has a class that the run does not know."""
    session = di.open(tmp_path / "a.duckdb")
    session.add_frame(pa.table({"sample_id": list("abcdef")}), media=None, sample_id="sample_id", progress=False)
    truth = [
        ("a1", "a", "car", 10, 10, 40, 40), ("a2", "a", CLASSES[1], 100, 100, 50, 50),
        ("b1", "b", "car", 0, 0, 100, 100),
        ("c1", "c", "car", 20, 20, 30, 30), ("d1", "d", "zebra", 5, 5, 60, 60), ("f1", "f", "car", 1, 1, 10, 10),
    ]  # fmt: skip
    names = ("object_id", "sample_id", "label", "left_px", "top_px", "width_px", "height_px")
    frame = pa.table({name: [row[place] for row in truth] for place, name in enumerate(names)})
    session.add_objects(frame, label="label", progress=False)
    nos = session.where().order_by("sample_id").nos()[:5]
    said = {
        "a": [(0, 0.9, 10, 10, 40, 40), (0, 0.8, 100, 100, 50, 50), (0, 0.7, 11, 10, 40, 40)],
        "b": [(0, 0.95, 30, 0, 100, 100), (0, 0.3, 0, 0, 100, 98)],
        "e": [(1, 0.6, 0, 0, 20, 20), (0, 0.5, 50, 50, 20, 20)],
    }
    detected(session, nos, said)
    return session


def test_boxes_are_measured_as_coco_does_and_every_object_is_told_of(session: di.Session) -> None:
    with session:
        result = session.evaluate("found")
        assert isinstance(result, RunDetection)
        per_class = {row["class"]: row for row in result.per_class.to_arrow().to_pylist()}
        # Cars, best first: one beside its place at .54 (right at .5), one right, a dog taken for a car, three more.
        assert per_class["car"]["truths"] == 3 and per_class["car"]["predictions"] == 6
        assert 0 < result["AP"] < result["AP50"] < 1 and np.isnan(result["APl"]) == (result.detection["APl"] == -1)
        assert per_class[CLASSES[1]]["AP"] == 0 and per_class["zebra"]["AP"] == 0
        assert result.missed.ids() == ["c1", "d1"]
        assert result.objects("wrong_class").ids() == ["a2"]
        assert result.samples("duplicate").ids() == ["a", "b"] or result.samples("duplicate").ids() == ["b", "a"]
        assert result.samples("false_positive").to_arrow(["sample_id", "false_positive"]).to_pylist() == [
            {"sample_id": "e", "false_positive": 2}
        ]
        assert result.missed.relabel("cat").count == 2
        counts = dict(zip(result.errors["kind"], np.asarray(result.errors["objects"]).tolist(), strict=True))
        assert counts["true_positive"] == 2 and counts["miss"] == 2 and counts["false_positive"] == 2


def test_what_does_not_count_is_told_and_all_text_is_escaped(session: di.Session) -> None:
    with session:
        result = session.evaluate("found")
        assert result.notes == (
            "Left out: 1 sample without a fresh result of 'found'.",
            "1 sample without true objects: whatever is predicted there counts as false.",
            "The run has no class for 'zebra': such objects count as missed.",
        )
        assert repr(result).startswith("Run 'found': boxes on 5 samples, 5 true objects")
        assert "&lt;i&gt;dog" in result._repr_html_() and "<i>dog" not in result._repr_html_()
        assert session.evaluate("found", on=session.where("sample_id IN ('a', 'b')")).count == 2


def test_what_cannot_be_asked_of_a_detector_is_refused(session: di.Session) -> None:
    with session:
        with pytest.raises(EvaluationError, match="groups= and metrics= are for classes"):
            session.evaluate("found", groups="sample_id")
        with pytest.raises(EvaluationError, match="None of the 1 samples has a result"):
            session.evaluate("found", on=session.where("sample_id = 'f'"))
        result = session.evaluate("found")
        assert isinstance(result, RunDetection)
        with pytest.raises(EvaluationError, match="miss"):
            result.objects("mis")
        with pytest.raises(EvaluationError, match="no kind 'miss'"):
            result.samples("miss")
        with pytest.raises(EvaluationError, match="compares classes"):
            session.compare("found", "other")


def test_a_run_over_coco_annotations_has_the_figures_that_come_with_them(
    tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data("coco-eval-oracle")
    results = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    annotations = json.loads((folder / "instances_val2014_100.json").read_text())
    names = {one["id"]: one["name"] for one in annotations["categories"]}
    classes = list(names.values())
    with di.open(tmp_path / "coco.duckdb") as session:
        session.add_coco(folder / "instances_val2014_100.json", missing_media="keep", progress=False)
        view = session.where()
        ids = dict(zip(view.ids(), view.nos().tolist(), strict=True))
        sample = {one["id"]: next(i for i in ids if Path(one["file_name"]).name in (i, Path(i).name, f"{i}.jpg"))
                  for one in annotations["images"]}  # fmt: skip
        found: dict[str, list[tuple[Any, ...]]] = {}
        for one in results:
            box = (classes.index(names[one["category_id"]]), one["score"], *one["bbox"])
            found.setdefault(sample[one["image_id"]], []).append(box)
        nos = np.sort(np.array([ids[one] for one in found], np.uint32))
        detected(session, nos, found, classes)
        result = session.evaluate("found", on=session.where(sample_id=list(found)))
        told = {
            "AP": 0.5070, "AP50": 0.6994, "AP75": 0.5754, "APs": 0.5856, "APm": 0.5194, "APl": 0.5014,
            "AR1": 0.3892, "AR10": 0.5961, "AR100": 0.5977, "ARs": 0.6398, "ARm": 0.5664, "ARl": 0.5643,
        }  # fmt: skip
        for name, value in told.items():
            # Equal scores in different images count in the order of samples here, of image ids there.
            assert result[name] == pytest.approx(value, abs=2e-4), name
        assert result.interval("AP").low < result["AP"] < result.interval("AP").high
