"""Predictions of real models in a real child process: kept whole, resumed, stale when picture or model changed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import dataide as di
from dataide.errors import ModelError, UnknownRun
from dataide.inference.running import meant
from dataide.storage import masks, models_used, runs, vectors
from tests.unit.inference_tools import Make, functions_in_files, held_until, until

COUNT = 40


@pytest.fixture
def session(tmp_path) -> Iterator[di.Session]:
    """Grey squares: number n is as bright as n x 6; those from 20 on are labelled light, the others dark."""
    pictures = np.repeat(np.arange(COUNT, dtype=np.uint8) * 6, 64).reshape(COUNT, 8, 8)
    with di.open(tmp_path / "predictions.duckdb") as session:
        session.add_arrays(
            pictures,
            sample_id=[f"s{n:02}" for n in range(COUNT)],
            label=["dark" if n < 20 else "light" for n in range(COUNT)],
            progress=False,
        )
        yield session


@pytest.fixture
def portable(tmp_path, monkeypatch) -> Iterator[Make]:
    yield from functions_in_files(tmp_path, monkeypatch)


def lightness(images):
    light = np.array([np.asarray(image).mean() / 255 for image in images])
    return np.stack([1 - light, light], axis=1)


def logits(images):
    light = np.array([np.asarray(image).mean() / 255 for image in images])
    return np.log(np.stack([1 - light, light], axis=1) + 1e-9) + 3


CLASSES = ["dark", "light"]


def predict(session, model=lightness, **options):
    return session.predict(model, **{"run": "v1", "classes": CLASSES, "progress": False, **options})


def test_probabilities_are_kept_whole_and_the_class_is_a_column(session):
    report = predict(session)
    assert (report.predicted, report.present, report.problems) == (COUNT, 0, 0)
    assert report.classes == ("dark", "light") and report.columns == ("v1_class", "v1_confidence")
    rows = session.sql("SELECT * FROM prediction_v1 ORDER BY sample_id").to_arrow().to_pylist()
    assert [row["class"] for row in rows] == ["dark"] * 22 + ["light"] * 18
    for number, row in enumerate(rows):
        light = number * 6 / 255
        assert row["probabilities"] == pytest.approx([1 - light, light], abs=1e-6)
        assert row["confidence"] == pytest.approx(max(1 - light, light), abs=1e-6) and row["stale"] is False
    wrong = session.where("v1_class <> label AND v1_confidence < 0.6")
    assert wrong.ids() == ["s20", "s21"]


def test_scores_before_a_softmax_become_the_same_probabilities(session):
    predict(session)
    predict(session, logits, run="v2")
    both = session.sql(
        "SELECT a.probabilities AS a, b.probabilities AS b FROM prediction_v1 a JOIN prediction_v2 b USING (sample_id)"
    ).to_arrow()
    assert both.num_rows == COUNT
    for row in both.to_pylist():
        assert row["a"] == pytest.approx(row["b"], abs=1e-4)


def test_the_same_call_does_only_what_is_missing(session):
    assert session.take(15).predict(lightness, run="v1", classes=CLASSES, progress=False).predicted == 15
    second = predict(session)
    assert (second.predicted, second.present) == (25, 15)
    third = predict(session)
    assert (third.predicted, third.present) == (0, COUNT)
    assert third.columns == ("v1_class", "v1_confidence")


def test_a_new_picture_makes_its_old_result_stale_and_only_that_is_done_again(session):
    predict(session)
    white = np.full((1, 8, 8), 255, np.uint8)
    session.add_arrays(white, sample_id=["s03"], on_conflict="replace", progress=False)
    listed = session.runs.to_arrow().to_pylist()[0]
    assert (listed["run"], listed["samples"], listed["stale"]) == ("v1", COUNT, 1)
    # What was said of another picture is no fact about this one.
    assert session.where("sample_id = 's03'").to_arrow().to_pylist()[0]["v1_class"] is None
    assert predict(session).predicted == 1
    assert session.where("sample_id = 's03' AND v1_class = 'light'").ids() == ["s03"]
    assert session.runs.to_arrow().to_pylist()[0]["stale"] == 0


def test_a_new_revision_of_the_model_makes_all_old_results_stale(session, portable):
    body = "def model(images): return np.array([[{0}, 1 - {0}]] * len(images))"
    predict(session, portable(body.format(0.7)))
    changed = portable(body.format(0.2))
    session.take(10).predict(changed, run="v1", classes=CLASSES, progress=False)
    listed = session.runs.to_arrow().to_pylist()[0]
    assert (listed["samples"], listed["stale"]) == (COUNT, 30)
    # They stay to be looked at, as what they are.
    assert session.sql("SELECT count(*) FROM prediction_v1 WHERE stale AND class = 'dark'").fetchall() == [(30,)]
    assert predict(session, changed).predicted == 30
    assert session.runs.to_arrow().to_pylist()[0]["stale"] == 0


def test_a_column_of_the_user_is_never_written_over(tmp_path):
    with di.open(tmp_path / "mine.duckdb") as session:
        session.add_arrays(np.zeros((3, 8, 8), np.uint8), v1_class=["my", "own", "words"], progress=False)
        report = predict(session)
        assert report.columns == ("v1_class_2", "v1_confidence")
        assert [row["v1_class"] for row in session.to_arrow().to_pylist()] == ["my", "own", "words"]
        assert predict(session).columns == ("v1_class_2", "v1_confidence")


def test_a_row_that_is_no_number_is_a_problem_of_its_sample(session):
    def broken(images):
        rows = lightness(images)
        rows[rows[:, 1] > 0.9] = np.nan
        return rows

    report = predict(session, broken)
    bad = sum(n * 6 / 255 > 0.9 for n in range(COUNT))
    assert (report.predicted, report.problems) == (COUNT - bad, bad)
    assert {row["code"] for row in session.problems().to_dict("records")} == {"not_finite"}


@pytest.mark.parametrize(
    ("body", "classes", "said"),
    [
        ("def model(images): return np.ones((len(images), 3)) / 3", CLASSES, "3 numbers for each sample, and there"),
        ("def model(images): return np.ones((2, 2, 2))", CLASSES, "2 x 2 x 2 for a batch"),
        ("def model(images): return np.full((len(images), 2), np.nan)", None, "not numbers, for each"),
        ("def model(images): raise ValueError('wants four channels')", None, "wants four channels"),
        ("def model(images): return [None] * len(images)", None, "32 for a batch of 32"),
    ],
)
def test_a_model_that_does_wrong_is_named_with_its_fault(session, portable, body, classes, said):
    with pytest.raises(ModelError, match=said):
        predict(session, portable(body), classes=classes)
    assert session.runs.to_arrow().num_rows == 0
    assert predict(session).predicted == COUNT  # and the session goes on


def test_a_run_keeps_its_classes(session, portable):
    predict(session)
    three = portable("def model(images): return np.ones((len(images), 3)) / 3")
    with pytest.raises(ModelError, match=r"has 2 classes \(dark, light\), and this model 3"):
        predict(session, three, classes=["a", "b", "c"])
    with pytest.raises(ModelError, match="one of classification, and this is detection"):
        predict(session, task="detection")
    with pytest.raises(UnknownRun, match="There is no run 'v9'"):
        runs.require(session.context.database, "v9")


def test_a_process_that_is_killed_keeps_what_was_committed(session, portable, tmp_path, monkeypatch):
    monkeypatch.setattr("dataide.inference.pump.COMMIT_S", 0.0)
    gate = tmp_path / "gate"
    model = portable(f"""
        done = [0]
        def model(images):
            done[0] += len(images)
            if done[0] > 20:
                {held_until(gate)}
            return np.array([[0.5, 0.5]] * len(images))
    """)
    job = session.predict(model, run="v1", classes=CLASSES, batch_size=4, progress=False, wait=False)
    until(lambda: job.done >= 20)
    os.kill(session.kernel.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="SIGKILL"):
        job.result()
    kept = session.sql("SELECT count(*) FROM prediction_v1").fetchall()[0][0]
    assert 16 <= kept <= 20
    gate.touch()
    report = predict(session, model)
    assert (report.predicted, report.present) == (COUNT - kept, kept)


def test_cancelling_keeps_what_was_committed_and_the_same_call_goes_on(session, portable, tmp_path, monkeypatch):
    monkeypatch.setattr("dataide.inference.pump.COMMIT_S", 0.0)
    gate = tmp_path / "gate"
    model = portable(f"""
        calls = [0]
        def model(images):
            calls[0] += 1
            if calls[0] == 3:
                {held_until(gate)}
            return np.array([[0.5, 0.5]] * len(images))
    """)
    job = session.predict(model, run="v1", classes=CLASSES, batch_size=4, progress=False, wait=False)
    until(lambda: job.done >= 8)
    job.cancel()
    report = job.result()
    assert report.cancelled and report.predicted == 8 and job.state == "cancelled"
    gate.touch()
    assert predict(session, model).predicted == COUNT - 8


def test_open_panels_hear_of_results_while_the_job_goes_on(session, portable, tmp_path, monkeypatch):
    monkeypatch.setattr("dataide.inference.pump.COMMIT_S", 0.0)
    gate = tmp_path / "gate"
    heard = threading.Event()
    session.context.changes.subscribe(lambda topic: heard.set() if "v1_class" in session.columns else None)
    model = portable(f"""
        calls = [0]
        def model(images):
            calls[0] += 1
            if calls[0] == 3:
                {held_until(gate)}
            return np.array([[0.5, 0.5]] * len(images))
    """)
    job = session.predict(model, run="v1", classes=CLASSES, batch_size=4, progress=False, wait=False)
    assert heard.wait(30) and not job.finished
    gate.touch()
    job.result()


def test_engines_that_are_not_there_are_refused_before_anything_starts(session):
    with pytest.raises(ModelError, match="no engine 'spark'"):
        predict(session, engine="spark")
    with pytest.raises(ModelError, match="actors choose their device"):
        predict(session, engine="ray", device="cuda")


def test_of_two_revisions_in_one_run_the_later_goes_on_and_the_earlier_ends(session, portable, tmp_path, monkeypatch):
    monkeypatch.setattr("dataide.inference.pump.COMMIT_S", 0.0)
    gate = tmp_path / "gate"
    body = """
        calls = [0]
        def model(images):
            calls[0] += 1
            if calls[0] > {0}:
                {1}
            return np.array([[{2}, 1 - {2}]] * len(images))
    """
    earlier = portable(body.format(2, held_until(gate), 0.9))
    first = session.predict(earlier, run="v1", classes=CLASSES, batch_size=4, progress=False, wait=False)
    until(lambda: first.done >= 8)
    # The process computes one batch at a time, so this one has all of its results before the other goes on.
    later = portable("def model(images): return np.array([[0.2, 0.8]] * len(images))")
    from dataide.inference.kernel import Kernel

    kernel = Kernel("cpu")
    try:
        assert predict(session, later, kernel=kernel).predicted == COUNT
    finally:
        kernel.close()
    gate.touch()
    with pytest.raises(ModelError, match="The run 'v1' goes on with") as caught:
        first.result()
    assert caught.value.code == "replaced" and "name of its own" in str(caught.value.hint)
    listed = session.runs.to_arrow().to_pylist()[0]
    assert (listed["samples"], listed["stale"]) == (COUNT, 0)
    assert len(session.where("v1_class = 'light'")) == COUNT
    # Asked for again, the first one is the latest, and its own commits do not get in each other's way.
    again = predict(session, earlier, batch_size=4)
    assert (again.predicted, session.runs.to_arrow().to_pylist()[0]["stale"]) == (COUNT, 0)


def test_a_run_that_was_made_meanwhile_for_another_task_takes_no_classes(session):
    lock = threading.Lock()  # none of this can be pickled, so it runs here

    def model(images):
        with lock, session.context.database.write() as cursor:
            if runs.run(session.context.database, "v1") is None:
                runs.create(cursor, "v1", "detection")
        return lightness(images)

    with pytest.raises(ModelError, match="one of detection, and this is classification"):
        predict(session, model)


def test_a_task_that_is_none_is_refused(session):
    with pytest.raises(ModelError, match="no task 'segmentation'"):
        predict(session, task="segmentation")
    with pytest.raises(ModelError, match="no option 'task' here"):
        session.embed("auto", task="detection", progress=False)


@pytest.mark.parametrize("size", [0, -1, 2.5, "8"])
def test_a_batch_of_no_number_of_pictures_is_refused(session, size):
    with pytest.raises(ModelError, match=f"A batch of {size} pictures is not possible"):
        predict(session, batch_size=size)


# Detection -----------------------------------------------------------------------------------------------------------


def boxes(images):
    """A box around the left half, twice as sure in light pictures; nothing at all in black ones."""
    found = []
    for image in images:
        light = float(np.asarray(image).mean()) / 255
        count = 0 if light == 0 else 2
        found.append(
            {
                "boxes": [[0, 0, image.width / 2, image.height], [1, 2, 3, 7]][:count],
                "scores": [light, 0.01][:count],
                "labels": [1, 0][:count],
                "masks": np.stack([np.tri(8), np.zeros((8, 8))])[:count],
            }
        )
    return found


def test_detected_objects_are_kept_with_box_score_class_and_mask(session):
    report = predict(session, boxes, run="boxes", task="detection", threshold=0.05, classes=["sky", "left half"])
    assert (report.task, report.predicted, report.columns) == (
        "detection",
        COUNT,
        ("boxes_objects", "boxes_confidence"),
    )
    found = session.sql("SELECT * FROM prediction_boxes ORDER BY sample_id").to_arrow().to_pylist()
    # Below the threshold they are left out: 0.01 always, and the first three pictures' own.
    assert [row["sample_id"] for row in found] == [f"s{n:02}" for n in range(3, COUNT)]
    last = found[-1]
    assert (last["class"], last["left_px"], last["top_px"], last["width_px"], last["height_px"]) == (
        "left half",
        0,
        0,
        4,
        8,
    )
    assert last["score"] == pytest.approx(39 * 6 / 255, abs=1e-6)
    assert (masks.decoded(np.array(last["mask_runs"]), 8) == np.tri(8).astype(bool)).all()
    assert session.where("boxes_objects = 0").ids() == ["s00", "s01", "s02"]
    assert (
        predict(session, boxes, run="boxes", task="detection", threshold=0.05, classes=["sky", "left half"]).present
        == COUNT
    )


def test_other_names_for_classes_are_refused_also_where_nothing_is_left_to_do(session):
    predict(session)
    with pytest.raises(ModelError, match="has 2 classes"):
        predict(session, classes=["night", "day"])
    assert predict(session).present == COUNT


def test_a_lower_threshold_looks_again(session):
    def found(threshold):
        report = session.take(2).predict(
            lambda images: [{"boxes": [[0, 0, 1, 1]], "scores": [0.3], "classes": [0]} for _ in images],
            run="boxes",
            task="detection",
            threshold=threshold,
            progress=False,
        )
        return report.predicted, len(session.sql("SELECT * FROM prediction_boxes").fetchall())

    assert [found(0.5), found(0.2), found(0.2)] == [(2, 0), (2, 2), (0, 2)]


def test_classes_that_nobody_named_are_numbers(session):
    predict(session, boxes, run="boxes", task="detection", classes=None)
    assert session.sql("SELECT DISTINCT class FROM prediction_boxes").fetchall() == [("1",)]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ("{'boxes': [[0, 0, 1, 1]], 'scores': [1.0]}", "boxes, scores and classes"),
        ("{'boxes': [[0, 0, 1, 1]], 'scores': [1.0, 0.5], 'classes': [0]}", "1 boxes, 2 scores and 1 classes"),
        ("{'boxes': [[0, 0, 1, 1]], 'scores': [1.0], 'classes': [7]}", "gave the class 7"),
        ("{'boxes': [[0, 0, 1, 1]], 'scores': [1.0], 'classes': [0], 'masks': np.ones((2, 8, 8))}", "masks of shape"),
        ("{'boxes': [[0, 0, 1, 1]], 'scores': [1.0], 'classes': [-1]}", "gave the class -1"),
        ("3", "a list of"),
    ],
)
def test_a_detector_that_does_wrong_is_named_with_its_fault(session, portable, one, said):
    model = portable(f"def model(images): return [{one} for image in images]")
    with pytest.raises(ModelError, match=said):
        predict(session, model, run="boxes", task="detection")


@pytest.mark.parametrize("number", [-1, 10**9])
def test_classes_that_nobody_named_must_be_numbers_that_can_be_counted(session, number):
    def far(images):
        return [{"boxes": [[0, 0, 1, 1]], "scores": [1.0], "classes": [number]} for _ in images]

    with pytest.raises(ModelError, match="they must be numbers from 0 up to 99,999"):
        predict(session, far, run="boxes", task="detection", classes=None)
    assert session.runs.to_arrow().num_rows == 0


def test_more_classes_than_a_run_can_have_are_refused(session):
    with pytest.raises(ModelError, match="100,001 classes, and a run can have 100,000"):
        session.take(1).predict(lambda images: np.zeros((len(images), 100_001)), run="vectors", progress=False)
    assert session.runs.to_arrow().num_rows == 0


def test_two_runs_cannot_differ_in_capitals_alone(session):
    few = session.take(2)
    few.predict(lightness, run="V1", classes=CLASSES, progress=False)
    with pytest.raises(ModelError, match="There is a run 'V1' already"):
        predict(session, run="v1")
    assert few.predict(lightness, run="V1", classes=CLASSES, progress=False).present == 2


def test_a_trained_model_cannot_take_any_text_for_the_name_of_a_run(session):
    with session.context.database.write() as cursor:
        models_used.note(cursor, "learned", "learned", "learned#1", {"learned": {}}, b"weights")
    for run in ("v1\n", 'a"b', "", "x" * 64, 7):
        with pytest.raises(ModelError, match="cannot be the name of a run"):
            predict(session, "learned", run=run, classes=None)
    assert session.runs.to_arrow().num_rows == 0


def test_options_that_a_trained_model_would_ignore_are_refused(session):
    with session.context.database.write() as cursor:
        models_used.note(cursor, "learned", "learned", "learned#1", {"learned": {}}, b"weights")
    with pytest.raises(ModelError, match=r"'learned', which was trained here, has no option 'classes'. Leave it out"):
        predict(session, "learned")
    with pytest.raises(ModelError, match="has no option 'layer'"):
        session.embed("learned", layer="stem", progress=False)
    assert meant(session.context.database, "learned", None, "embedding", {"form": "text"}).options["form"] == "text"


@pytest.mark.parametrize("details", ["{torn", "[1, 2]", '"text"', '{"learned": 3}', "[" * 100_000])
def test_details_of_a_model_that_cannot_be_read_cost_nothing_else(session, details):
    with session.context.database.write() as cursor:
        models_used.note(cursor, "learned", "learned", "learned#1", {}, b"weights")
        cursor.execute("UPDATE data.model SET details = ?", [details])
    found = models_used.trained(session.context.database, "learned")
    assert found is not None and found[0] == "learned#1" and found[2] == b"weights"
    identity = meant(session.context.database, "learned", None, "classification", {})
    assert identity.options == {"task": "classification", "learned": {}} and identity.key
    assert session.models.to_arrow().to_pylist()[0]["parameters"] is None


def test_odd_names_of_classes_come_back_as_they_are(session):
    names = ['it\'s "dark"; --', "a\nb"]
    predict(session, classes=names)
    rows = session.sql("SELECT DISTINCT class FROM prediction_v1").fetchall()
    assert sorted(row[0] for row in rows) == sorted(names)


def test_what_a_strange_file_says_of_runs_harms_nothing(tmp_path):
    path = tmp_path / "strange.duckdb"
    with di.open(path) as session:
        session.add_arrays(np.zeros((2, 8, 8), np.uint8), sample_id=["a", "b"], progress=False)
        predict(session)
        with session.context.database.write() as cursor:
            cursor.execute("INSERT INTO data.run SELECT * REPLACE (7 AS run_no, 'gone' AS name) FROM data.run")
            vectors.create(cursor, "of numbers", "x/1", 2, "width_px")  # no column of texts
            cursor.execute(
                "UPDATE data.run SET fields = ?::VARCHAR[], sample_columns = ?::VARCHAR[] WHERE run_no = 0",
                [["class", "confidence", "more"], ["media", "width_px", 'x" = 1 --', "label"]],
            )
    with di.open(path) as session:
        assert session.sql("SELECT count(*) FROM prediction_v1").fetchall() == [(2,)]
        white = np.full((2, 8, 8), 255, np.uint8)
        session.add_arrays(white, sample_id=["a", "b"], on_conflict="replace", progress=False)
        assert predict(session).predicted == 2
        rows = session.sql("SELECT media, width_px FROM sample").fetchall()
        assert all(media.startswith("blob:") and width == 8 for media, width in rows)
        # The columns that it had are nobody's now, and left alone.
        assert session.where("v1_class_2 = 'light'").ids() == ["a", "b"]


def test_session_models_lists_what_was_used_with_its_revision(session):
    predict(session)
    session.embed(progress=False)
    rows = {row["model"]: row for row in session.models.to_arrow().to_pylist()}
    assert set(rows) == {"lightness", "auto"}
    assert rows["lightness"]["kind"] == "callable" and "#" in rows["lightness"]["revision"]
    assert '"classes": ["dark", "light"]' in rows["lightness"]["details"]


def test_what_only_makes_vectors_predicts_nothing(session):
    with pytest.raises(ModelError, match="'auto' makes vectors") as caught:
        session.predict("auto")
    assert caught.value.code == "task" and "resnet18" in str(caught.value.hint)
    with pytest.raises(ModelError, match="makes vectors, and predicts nothing"):
        session.predict(Towers())


class Towers:
    def embed_images(self, images):
        return np.ones((len(images), 3), np.float32)

    def embed_texts(self, texts):
        return np.ones((len(texts), 3), np.float32)
