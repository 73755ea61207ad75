"""Looking for issues: what a search needs, finds, keeps and asks again, and the process that computes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import dataide as di
from dataide.api import Session
from dataide.core.issue_actions import RejectIssues
from dataide.errors import ModelError, UnknownColumn, UnknownRun
from dataide.find import small_pictures
from dataide.find.computing import Computing
from dataide.find.finding import IssueReport, find_issues
from dataide.find.issue_list import Issues
from dataide.inference.job import Job
from dataide.inference.kernel import kernel_of
from dataide.storage import arrow_arrays, issues, runs, vectors

COUNT, DIMENSION = 240, 8
CLASSES = ["cat", "dog", "fox"]


def blobs(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((3, DIMENSION)) * 4
    return (centres[np.arange(COUNT) % 3] + random.standard_normal((COUNT, DIMENSION))).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Three clear classes without pictures; 7, 8 and 100 are labelled as the next class."""
    with di.open(tmp_path / "blobs.duckdb") as opened:
        database = opened.context.database
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) SELECT i, 's' || i, '', "
                "['cat', 'dog', 'fox'][(i + (i IN (7, 8, 100))::INT) % 3 + 1], now()::TIMESTAMP FROM range(?) t(i)",
                [COUNT],
            )
            known = vectors.create(cursor, "mine", "toy/1", DIMENSION)
            vectors.store(cursor, known, np.arange(COUNT), np.ones(COUNT), blobs())
            database.rebuild_views(cursor)
        yield opened


def look(session: Session, kinds: object = "label", **options: object) -> IssueReport:
    given = options.pop("view", None)
    view = session.where() if given is None else given
    context = session.context
    report = find_issues(context.database, context.media, view.nos(), kinds, **options)  # type: ignore
    assert isinstance(report, IssueReport)
    return report


def test_wrong_labels_are_found_with_proposal_and_reason(session: Session) -> None:
    report = look(session)
    assert report.samples == COUNT and report.found == {"label": 3}
    assert repr(report).startswith("Looked at 240 samples in ") and "session.issues('label')" in repr(report)
    listed = Issues(session.context, "label").to_arrow().to_pylist()
    assert {row["sample_id"] for row in listed} == {"s7", "s8", "s100"}
    assert all(row["proposal"] == CLASSES[int(row["sample_id"][1:]) % 3] for row in listed)
    assert all(0 <= row["score"] < 0.5 and row["confidence"] > 0.5 and row["reason"] for row in listed)
    ranked, _ = issues.ranking(session.context.database, "label", ("open",), issues_only=False)
    assert len(ranked) == COUNT and set(ranked[:3].tolist()) == {7, 8, 100}, "all are ranked, for the order"
    assert Issues(session.context, "label").accept().count == 3
    assert look(session).found == {"label": 0}


def test_what_is_fresh_is_not_computed_again(session: Session) -> None:
    first = look(session)
    database = session.context.database
    revision = database.revision
    again = look(session)
    assert (first.fresh, again.fresh) == ((), ("label",)) and again.found == first.found
    assert database.revision == revision and "Nothing has changed for label" in repr(again)
    assert look(session, again=True).fresh == ()
    session.where("sample_id = 's7'").relabel("dog")
    assert look(session).fresh == (), "another label"
    with database.write() as cursor:
        known = vectors.embedding(database, "mine")
        assert known is not None
        vectors.store(cursor, known, np.asarray([1]), np.ones(1), blobs()[:1])
    assert look(session).fresh == (), "another vector"


def test_a_rejection_outlives_another_search(session: Session) -> None:
    look(session)
    session.context.journal.act(RejectIssues("label"), np.asarray([7], np.uint32))
    assert look(session, again=True).found == {"label": 2}
    assert len(Issues(session.context, "label", "rejected")) == 1
    session.undo()
    assert len(Issues(session.context, "label")) == 3


def test_a_part_of_the_samples_can_be_looked_at(session: Session) -> None:
    report = look(session, view=session.take(60))
    assert report.samples == 60 and report.found == {"label": 2}
    assert {row["sample_id"] for row in Issues(session.context).to_arrow().to_pylist()} == {"s7", "s8"}


def test_labels_of_further_people_are_used(session: Session) -> None:
    """Two more people say fox of sample 0, which is a cat by looks and label: the vectors alone would not doubt it."""
    database = session.context.database
    with database.write() as cursor:
        database.ensure_columns(cursor, {"ada": "VARCHAR", "bob": "VARCHAR"})
    with database.write() as cursor:
        cursor.execute("UPDATE data.sample SET ada = ['cat', 'dog', 'fox'][sample_no % 3 + 1]")
        cursor.execute("UPDATE data.sample SET bob = ada, label = ada")
        cursor.execute("UPDATE data.sample SET label = 'dog' WHERE sample_no = 0")
    look(session, annotators=["ada", "bob"])
    assert Issues(session.context, "label").to_pandas()["sample_id"].tolist()[:1] == ["s0"]
    with pytest.raises(UnknownColumn, match="'eve'"):
        look(session, annotators=["eve"])


def test_what_cannot_be_looked_for_is_said(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no kind of issue 'lable'") as refusal:
        look(session, "lable")
    assert "label" in str(refusal.value.hint)
    with pytest.raises(ModelError, match="No kind of issue"):
        look(session, [])
    with pytest.raises(ModelError, match="no embedding 'mien'"):
        look(session, embedding="mien")
    empty = look(session, view=session.where("false"))
    assert repr(empty) == "There are no samples to look at."
    session.where().relabel("cat")
    with pytest.raises(ModelError, match="two labels at least"):
        look(session)
    assert "two labels at least" in repr(look(session, None))
    with di.open(tmp_path / "bare.duckdb") as bare:
        with bare.context.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) "
                "SELECT i, 's' || i, '', 'l' || i % 2, now()::TIMESTAMP FROM range(20) t(i)"
            )
        with pytest.raises(ModelError, match="vector to compare"):
            look(bare)


def test_what_lies_far_out_is_found_by_itself_and_against_a_reference(session: Session) -> None:
    database = session.context.database
    random = np.random.default_rng(3)
    strange = np.asarray([20, 21, 22])
    with database.write() as cursor:
        known = vectors.embedding(database, "mine")
        assert known is not None
        centre = random.standard_normal(DIMENSION) * 40
        vectors.store(cursor, known, strange, np.ones(3), (centre + random.standard_normal((3, DIMENSION))))
    report = look(session, "outlier")
    found = {row["sample_id"]: row for row in Issues(session.context, "outlier").to_arrow().to_pylist()}
    assert {"s20", "s21", "s22"} <= found.keys() and len(found) < 0.1 * COUNT and report.found["outlier"] == len(found)
    assert all(found[name]["reason"] and found[name]["proposal"] is None for name in ("s20", "s21", "s22"))
    assert look(session, "outlier").fresh == ("outlier",)
    against = look(session, "outlier", reference=np.arange(100, COUNT), view=session.take(40))
    assert against.fresh == () and against.found["outlier"] >= 3


def test_boxes_are_judged_by_a_detector(session: Session) -> None:
    """Of picture 0 a cat is missed, of 1 the box is a fox's, of 2 there is nothing; the others agree."""
    database = session.context.database
    boxes = [(no, "cat", 10.0, 10.0, 30.0, 30.0) for no in range(1, 30)]
    boxes[0] = (1, "fox", 10.0, 10.0, 30.0, 30.0)
    predicted = [(no, 0, 0.9, 11.0, 10.0, 30.0, 29.0) for no in range(30) if no != 2]
    with database.write() as cursor:
        cursor.executemany(
            "INSERT INTO data.object (object_no, sample_no, object_id, label, left_px, top_px, width_px, height_px, "
            "added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, now()::TIMESTAMP)",
            [(place, box[0], f"o{place}", *box[1:]) for place, box in enumerate(boxes)],
        )
        made = runs.create(cursor, "v1", "detection", ["cat", "fox"])
        number = runs.number_of(cursor, made, "toy/1")
        nos = np.arange(40)
        counted = np.isin(nos, [row[0] for row in predicted]).astype(np.uint32)
        more = {"object_count": arrow_arrays.numbers(counted, np.uint32)}
        runs.store(cursor, made, number, nos, np.ones(40), more)
        cursor.executemany(f"INSERT INTO {made.objects} VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", predicted)
        database.rebuild_views(cursor)
    report = look(session, "box", run="v1", view=session.take(50))
    found = {row["sample_id"]: row["reason"] for row in Issues(session.context, "box").to_arrow().to_pylist()}
    assert report.found == {"box": 3} and "10 have no result of the run 'v1'." in repr(report)
    assert found == {
        "s0": "A cat (0.90) has no box.",
        "s1": "A fox looks like a cat.",
        "s2": "Nothing is seen in the box of a cat.",
    }
    assert look(session, "box", run="v1", view=session.take(50)).fresh == ("box",)
    with database.write() as cursor:
        cursor.execute("UPDATE data.object SET left_px = 200 WHERE object_no = 9")
    assert look(session, "box", run="v1", view=session.take(50)).found == {"box": 4}
    with pytest.raises(ModelError, match="run of a detector"):
        look(session, "box")


def test_a_search_can_be_stopped(session: Session) -> None:
    context = session.context
    job = find_issues(context.database, context.media, session.where().nos(), "label", wait=False)
    assert isinstance(job, Job) and not job.counts
    ends = time.monotonic() + 60
    while "training" not in job.sentence and time.monotonic() < ends:
        job.wait(0.01)
    job.cancel()
    with pytest.raises(ModelError) as stopped:
        job.result(30)
    assert stopped.value.code == "cancelled" and job.state == "cancelled"
    assert not issues.searches(context.database)


def test_copies_are_grouped_and_leaks_told(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    folder = tmp_path / "pictures"
    folder.mkdir()
    coarse = random.integers(0, 255, (60, 6, 6, 3), dtype=np.uint8)
    for number, pixels in enumerate(coarse):
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"p{number:02}.png")
    Image.open(folder / "p03.png").resize((48, 48)).save(folder / "p60.jpg")
    (folder / "p61.png").write_bytes((folder / "p05.png").read_bytes())
    with di.open(tmp_path / "copies.duckdb") as session:
        session.add_folder(folder, progress=False)
        with session.context.database.write() as cursor:
            cursor.execute("UPDATE data.sample SET split = CASE WHEN media LIKE '%p60%' THEN 'test' ELSE 'train' END")
        report = look(session, ["near_duplicate", "leak"], kernel=kernel_of(session.context))
        assert report.found == {"near_duplicate": 4, "leak": 2}
        listed = Issues(session.context, "near_duplicate").to_arrow().to_pylist()
        by_id = {row["sample_id"].split(".")[0]: row for row in listed}
        assert by_id.keys() == {"p03", "p60", "p05", "p61"}
        assert by_id["p03"]["group_no"] == by_id["p60"]["group_no"] != by_id["p05"]["group_no"]
        assert by_id["p03"]["proposal"] == "keep" and by_id["p60"]["proposal"] == "exclude", "the larger one is kept"
        assert by_id["p61"]["reason"].startswith("The same bytes as p05")
        assert "different splits" in by_id["p60"]["reason"]
        nos, small = small_pictures.fetch(session.context.database, np.arange(62))
        assert len(nos) == 62 and small.shape == (62, 32, 32, 3) and small.dtype == np.uint8
        made = small_pictures.make(session.context.database, session.context.media, nos, None).result(60)
        assert (made.made, made.present) == (0, 62), "they are kept"
        (session.context.database.cache_dir / "small" / "32.bytes").write_bytes(b"")
        assert len(small_pictures.fetch(session.context.database, nos)[0]) == 0, "and safe to delete"
        with session.context.database.write() as cursor:
            cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no = 0")
        assert look(session, "near_duplicate", kernel=kernel_of(session.context)).fresh == ()


def test_rare_classes_and_samples_between_two_by_a_run(session: Session) -> None:
    database = session.context.database
    said = np.full((COUNT, 3), 0.01, np.float32)
    said[np.arange(COUNT), np.arange(COUNT) % 3] = 0.98
    said[50] = [0.5, 0.02, 0.48]
    with database.write() as cursor:
        cursor.execute("UPDATE data.sample SET label = 'yak' WHERE sample_no IN (30, 33)")
        made = runs.create(cursor, "v1", "classification", CLASSES)
        number = runs.number_of(cursor, made, "toy/1")
        more = {
            "class_no": arrow_arrays.numbers(said.argmax(axis=1), np.uint32),
            "confidence": arrow_arrays.numbers(said.max(axis=1), np.float32),
            "probabilities": pa.FixedSizeListArray.from_arrays(arrow_arrays.numbers(said.reshape(-1), np.float32), 3),
        }
        runs.store(cursor, made, number, np.arange(COUNT), np.ones(COUNT), more)
        database.rebuild_views(cursor)
    report = look(session, ["imbalance", "ambiguous", "label"], run="v1")
    rare = Issues(session.context, "imbalance").to_arrow().to_pylist()
    assert {row["sample_id"] for row in rare} == {"s30", "s33"} and report.found["imbalance"] == 2
    assert rare[0]["reason"] == "Only 2 of 240 samples are yak."
    between = Issues(session.context, "ambiguous").to_arrow().to_pylist()
    assert [row["sample_id"] for row in between] == ["s50"] and "may as well be cat" in between[0]["reason"]
    wrong = {row["sample_id"] for row in Issues(session.context, "label").to_arrow().to_pylist()}
    assert {"s7", "s8", "s100"} <= wrong
    with pytest.raises(UnknownRun, match="v2"):
        look(session, "label", run="v2")


def test_faults_of_pictures_are_told_by_kind(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(40):
        pixels = random.integers(60, 220, (48, 48, 3)).astype(np.uint8)
        if number == 7:
            pixels //= 40
        Image.fromarray(pixels).resize((200, 20) if number == 9 else (48, 48)).save(folder / f"p{number:02}.png")
    with di.open(tmp_path / "faults.duckdb") as session:
        session.add_folder(folder, progress=False)
        report = look(session, "quality", kernel=kernel_of(session.context))
        assert report.found["dark"] == 1 and report.found["odd_aspect"] == 1 and report.found["bright"] == 0
        dark = Issues(session.context, "dark").to_arrow().to_pylist()
        assert dark[0]["sample_id"].startswith("p07") and "brightness" in dark[0]["reason"]
        assert "entropy" in session.columns, "attributes that were missing are computed first"
        assert look(session, ["dark"], kernel=kernel_of(session.context)).fresh == ("dark",)


def test_the_process_computes_says_and_ends() -> None:
    said: list[str] = []
    with Computing(1) as computing:
        computing.keep({"vectors": blobs()})
        labels = np.arange(COUNT) % 3
        labels[5] = 0
        found, details = computing.call("labels", {"classes": CLASSES, "seed": 0}, {"labels": labels}, say=said.append)
        assert found["is_issue"][5] and found["proposal"][5] == 2 and any("probes" in one for one in said)
        assert len(details["reasons"]) == len(found["reasoned"])
        with pytest.raises(ModelError, match="failed: KeyError"):
            computing.call("labels", {"classes": CLASSES, "seed": 0})
        pid = computing.pid
        os.kill(pid, 9)
        with pytest.raises(ModelError, match="SIGKILL") as died:
            computing.call("labels", {"classes": CLASSES, "seed": 0}, {"labels": labels})
        assert died.value.code == "child_died"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
