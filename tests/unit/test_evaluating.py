"""What runs of a session are worth, and which samples they get wrong; stored without a model or torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.errors import EvaluationError, UnknownColumn, UnknownRun
from dataide.evaluate.classification import classification
from dataide.evaluate.runs import RunEvaluation
from dataide.storage import arrow_arrays, runs

CLASSES = ("cat", "dog", "<i>eel</i>")


def stored(
    session: di.Session,
    name: str,
    nos: np.ndarray,
    p: np.ndarray,
    classes: Sequence[str] = CLASSES,
    revision: str = "a",
) -> None:
    """Keeps a run as `predict` does."""
    database = session.context.database
    revisions = runs.pending(database, None, None, nos).media_revisions  # in the order of numbers
    assert (np.diff(nos.astype(int)) > 0).all()
    with database.write() as cursor:
        run = runs.run(database, name) or runs.create(cursor, name, "classification", classes)
        number = runs.number_of(cursor, run, revision)
        best = p.argmax(axis=1)
        more = {
            "class_no": arrow_arrays.numbers(best, np.uint32),
            "confidence": arrow_arrays.numbers(p[np.arange(len(p)), best], np.float32),
            "probabilities": pa.FixedSizeListArray.from_arrays(
                arrow_arrays.numbers(p.reshape(-1), np.float32), len(classes)
            ),
        }
        runs.store(cursor, run, number, nos, revisions, more)
        database.rebuild_views(cursor)


def judged(session: di.Session, *given: Any, **options: Any) -> RunEvaluation:
    """What `evaluate` says of a run of classification."""
    result = session.evaluate(*given, **options)
    assert isinstance(result, RunEvaluation)
    return result


def softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> di.Session:
    """90 samples in 9 videos, half of them val: three without a label, two labelled as no class of the runs."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 90)
    labels: list[str | None] = [CLASSES[number] for number in truth]
    labels[:5] = [None, None, None, "zebra", "zebra"]
    session = di.open(tmp_path / "a.duckdb")
    frame = {
        "sample_id": [f"s{row:02}" for row in range(90)],
        "label": labels,
        "video": [f"v{row // 10}" for row in range(90)],
        "split": ["val" if row % 2 else "train" for row in range(90)],
    }
    session.add_frame(pa.table(frame), media=None, label="label", sample_id="sample_id", progress=False)
    nos = session.where().order_by("sample_id").nos()
    for name, sure in (("v1", 1.0), ("v2", 3.0)):
        scores = random.standard_normal((90, 3))
        scores[np.arange(90), truth] += sure
        stored(session, name, nos[:88], softmax(scores)[:88])
    return session


def test_a_run_is_compared_with_labels_and_what_is_left_out_is_told(session: di.Session) -> None:
    with session:
        result = judged(session, "v1")
        table = session.sql(
            "SELECT s.label, p.class, p.probabilities FROM sample s JOIN prediction_v1 p USING (sample_id) "
            "WHERE s.label IN ('cat', 'dog', '<i>eel</i>') ORDER BY s.sample_no"
        ).fetchall()
        labels = [CLASSES.index(label) for label, _, _ in table]
        plain = classification(labels, probabilities=np.array([row[2] for row in table], np.float32))
        assert result.count == 83 and dict(result) == pytest.approx(dict(plain))
        assert result.notes[:3] == (
            "Left out: 2 samples without a result of run 'v1'.",
            "Left out: 3 samples without a label.",
            "Left out: 2 samples with a label that the run has no class for ('zebra' 2).",
        )
        wrong = session.where("label IS NOT NULL").to_arrow().num_rows
        assert 0 < len(result.wrong) == int((~result.right).sum()) < wrong
        loss = result.wrong.to_arrow(["v1_loss"]).column(0).to_pylist()
        assert loss == sorted(loss, reverse=True)
        assert "&lt;i&gt;eel" in result._repr_html_() and "<i>eel" not in result._repr_html_()
        assert repr(result).startswith("Run 'v1': Classification of 83 samples, 3 classes")


def test_a_cell_of_the_confusion_matrix_is_a_view(session: di.Session) -> None:
    with session:
        result = judged(session, "v1")
        for row, label in enumerate(CLASSES):
            for column, said in enumerate(CLASSES):
                view = result.taken_for(label, said)
                assert len(view) == result.confusion[row, column]
                assert set(view.to_arrow(["label"]).column(0).to_pylist()) <= {label}
        with pytest.raises(EvaluationError, match="Did you mean cat"):
            result.taken_for("cta", "dog")


def test_only_samples_of_a_view_count(session: di.Session) -> None:
    with session:
        val = session.where(split="val")
        result = judged(session, "v1", on=val)
        assert set(result.nos.tolist()) <= set(val.nos().tolist()) and result.count == 42
        with pytest.raises(EvaluationError, match="the View is empty"):
            session.evaluate("v1", on=session.where(split="test"))
        with pytest.raises(EvaluationError, match="on= takes a View"):
            session.evaluate("v1", on="val")  # type: ignore[arg-type]


def test_samples_of_a_video_widen_intervals(session: di.Session) -> None:
    with session:
        result = judged(session, "v1", groups="video")
        assert result.how.units == 9 and "in 9 groups" in repr(result)
        with pytest.raises(UnknownColumn, match="vdeo"):
            session.evaluate("v1", groups="vdeo")


def test_a_stale_result_does_not_count_and_labels_are_read_anew(session: di.Session) -> None:
    with session:
        before = judged(session, "v1")
        nos = before.nos[:10]
        stored(session, "v1", nos, np.full((10, 3), 1 / 3, np.float32), revision="b")
        later = judged(session, "v1")
        assert (
            later.count == 10
            and "Left out: 78 samples with one of an earlier picture or model: predict again." in later.notes
        )
        session.context.view().among(nos).relabel("cat")
        assert session.evaluate("v1")["accuracy"] == 1.0


def test_bad_requests_are_named(session: di.Session) -> None:
    with session:
        with pytest.raises(UnknownRun, match="v1"):
            session.evaluate("v9")
        with session.context.database.write() as cursor:
            runs.create(cursor, "boxes", "detection", ("cat",))
        with pytest.raises(EvaluationError, match="None of the 90 samples has a result of run 'boxes'"):
            session.evaluate("boxes")
        session.where().relabel(None)
        with pytest.raises(EvaluationError, match=r"None of the 90 samples.*88 samples without a label"):
            session.evaluate("v1")


def test_a_metric_of_ones_own_sees_the_run(session: di.Session) -> None:
    with session:
        result = judged(session, "v1", metrics={"eels": lambda truth, said, p: (said == 2).mean()})
        assert result["eels"] == pytest.approx(np.asarray(result.per_class["predicted"])[2] / result.count)


def test_two_runs_are_compared_on_what_both_have_seen(session: di.Session) -> None:
    with session:
        one, other = judged(session, "v1"), session.evaluate("v2")
        result = session.compare("v1", "v2")
        for name in result:
            assert result[name] == pytest.approx(other[name] - one[name], abs=1e-12), name
        assert result["accuracy"] > 0.1 and result.p["accuracy"] < 0.01 and result.interval("accuracy").low > 0
        assert len(result.fixed) - len(result.broken) == pytest.approx(result["accuracy"] * result.count)
        broken = session.sql(
            "SELECT sample_id FROM sample s JOIN prediction_v1 a USING (sample_id) "
            "JOIN prediction_v2 b USING (sample_id) WHERE a.class = s.label AND b.class <> s.label ORDER BY 1"
        ).fetchall()
        assert sorted(result.broken.ids()) == [row[0] for row in broken]
        assert repr(result).startswith("v2 against v1 on 83 samples")
        with pytest.raises(EvaluationError, match="one run"):
            session.compare("v1", "v1")


def test_runs_whose_classes_stand_in_another_order_are_compared(session: di.Session) -> None:
    with session:
        given = session.sql(
            "SELECT s.sample_no, p.probabilities FROM sample s JOIN prediction_v1 p USING (sample_id) ORDER BY 1"
        )
        rows = given.fetchall()
        nos, p = np.array([row[0] for row in rows], np.uint32), np.array([row[1] for row in rows], np.float32)
        turned = [2, 0, 1]
        stored(session, "same", nos[:60], p[:60][:, turned], [CLASSES[number] for number in turned])
        result = session.compare("v1", "same")
        assert result.count < 83 and "with a result of 'v1' alone" in result.notes[0]
        assert all(value == pytest.approx(0, abs=1e-7) for value in result.values())
        assert not len(result.fixed) and result.p["accuracy"] == 1
        stored(session, "other", nos, p[:, :2] / p[:, :2].sum(axis=1, keepdims=True), CLASSES[:2])
        with pytest.raises(EvaluationError, match="different classes"):
            session.compare("v1", "other")


def test_classes_of_one_name_are_one_class(tmp_path: Path) -> None:
    """As the two cranes of ImageNet: a label does not tell which."""
    with di.open(tmp_path / "b.duckdb") as session:
        frame = pa.table({"sample_id": ["a", "b", "c"], "label": ["crane", "crane", "gull"]})
        session.add_frame(frame, media=None, label="label", sample_id="sample_id", progress=False)
        p = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], np.float32)
        stored(session, "v1", session.where().nos(), p, ["crane", "gull", "crane"])
        result = judged(session, "v1")
        assert result["accuracy"] == 1 and result.rows.own is not None
        np.testing.assert_allclose(result.rows.own, [0.8, 0.7, 0.5], atol=1e-6)
