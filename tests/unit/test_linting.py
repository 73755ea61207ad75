"""Linters over a session: planted faults are found, repaired in one decision, gone, and back after undo."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from benchmarks import planted_boxes
from benchmarks.planted_boxes import Boxes
from dataide.api import Session
from dataide.errors import ActionError, ModelError
from dataide.find import tasks
from dataide.find.issue_list import Issues
from dataide.review import learning, linting, own_rules
from dataide.review.lint_report import LintReport
from dataide.review.linters import Known, Objects, lint, objects
from dataide.review.objects import LinterError
from dataide.storage import arrow_arrays, runs
from dataide.widgets.linter_issues import learn_aside, live

Find = Callable[[str], Path]
SEEDS = (0, 1)


@pytest.fixture(autouse=True)
def no_rules_stay() -> Iterator[None]:
    before = dict(own_rules.RULES)
    yield
    own_rules.RULES.clear()
    own_rules.RULES.update(before)


def fill(session: Session, boxes: Boxes) -> None:
    """One sample for each picture; the number of an object is the row of its box."""
    database = session.context.database
    box = [[None if np.isnan(side) else float(side) for side in one] for one in boxes.box]
    with database.write() as cursor:
        cursor.executemany(
            "INSERT INTO data.sample (sample_no, sample_id, media, width_px, height_px, added_at) "
            "VALUES (?, ?, '', ?, ?, now()::TIMESTAMP)",
            [(no, f"p{no}", int(width), int(height)) for no, (width, height) in
             enumerate(zip(boxes.width_px, boxes.height_px, strict=True))],
        )  # fmt: skip
        cursor.executemany(
            "INSERT INTO data.object (object_no, sample_no, object_id, label, left_px, top_px, width_px, height_px, "
            "added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, now()::TIMESTAMP)",
            [(row, int(boxes.picture[row]), f"o{row}", boxes.names[boxes.kind[row]], *box[row])
             for row in range(len(boxes.box))],
        )  # fmt: skip
        cursor.executemany("INSERT INTO data.object_label (label) VALUES (?)", [(name,) for name in boxes.names])
        database.rebuild_views(cursor)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "boxes.duckdb") as opened:
        yield opened


@pytest.fixture
def coco(shared_data: Find) -> Boxes:
    return planted_boxes.coco(shared_data("coco128"))


def plain_boxes(count: int = 60, seed: int = 0) -> Boxes:
    """Cats and dogs of a usual size, each by itself."""
    random = np.random.default_rng(seed)
    picture = np.repeat(np.arange(count // 3), 3)
    side = random.uniform(40, 60, (count, 2))
    left = np.tile([10.0, 200.0, 400.0], count // 3) + random.uniform(0, 20, count)
    box = np.column_stack([left, random.uniform(10, 300, count), side])
    sizes = np.full(count // 3, 640.0), np.full(count // 3, 480.0)
    return Boxes(box, np.arange(count) % 2, picture, *sizes, ["cat", "dog"], [])


def linted(session: Session, **options: object) -> LintReport:
    report = session.lint(progress=False, **options)
    assert isinstance(report, LintReport)
    return report


def told(session: Session, *rules: str) -> set[str]:
    found = session.issues("linter").findings.to_arrow().to_pylist()
    return {row["object_id"] for row in found if row["rule"] in rules}


def boxes_of(session: Session) -> dict[str, tuple[object, ...]]:
    listed = session.objects.to_arrow(["object_id", "label", "left_px", "top_px", "width_px", "height_px"]).to_pylist()
    return {str(row.pop("object_id")): tuple(row.values()) for row in listed}


# Planted faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_drawn_twice_are_found_taken_away_and_come_back(session: Session, coco: Boxes, seed: int) -> None:
    boxes, copies = planted_boxes.doubled(coco, seed, 0.03)
    fill(session, boxes)
    planted = {f"o{row}" for row in copies}
    session.find_issues("linter", progress=False)
    assert planted <= told(session, "duplicate_box")
    before = boxes_of(session)
    done = session.issues("linter").accept()
    after = boxes_of(session)
    assert not planted & after.keys() and len(before) - len(after) <= len(planted) + 10
    assert done.count >= len(planted) and "Repaired" in done.sentence
    assert not session.issues("linter").findings.to_arrow().num_rows or not told(session, "duplicate_box") & planted
    session.find_issues("linter", progress=False)
    assert not told(session, "duplicate_box") & planted
    session.undo()
    assert boxes_of(session) == before
    assert session.history()["sentence"].iloc[-1].startswith("Undone: repaired")


def test_boxes_outside_inverted_or_empty_are_put_right(session: Session, coco: Boxes) -> None:
    boxes, out = planted_boxes.pushed_out(coco, 3, wholly=False)
    random = np.random.default_rng(5)
    rest = np.setdiff1d(np.arange(len(boxes.box)), out)
    wrong = np.sort(random.choice(rest, 40, replace=False))
    boxes.box[wrong[:20]] = np.column_stack([boxes.box[wrong[:20], 0] + boxes.box[wrong[:20], 2],
                                             boxes.box[wrong[:20], 1], -boxes.box[wrong[:20], 2],
                                             boxes.box[wrong[:20], 3]])  # fmt: skip
    boxes.box[wrong[20:30], 2] = 0
    boxes.box[wrong[30:], 0] = np.nan
    fill(session, boxes)
    report = linted(session, rules=["inverted_box", "empty_box", "not_a_number", "partly_outside"])
    frame = report.to_arrow().to_pylist()
    named = {rule: {row["object_id"] for row in frame if row["rule"] == rule} for rule in report.counts}
    assert named["partly_outside"] == {f"o{row}" for row in out}
    assert named["inverted_box"] == {f"o{row}" for row in wrong[:20]}
    assert named["empty_box"] == {f"o{row}" for row in wrong[20:30]}
    assert named["not_a_number"] == {f"o{row}" for row in wrong[30:]}
    before = boxes_of(session)
    done = report.repair()
    assert done.count == len(out) + 40 and done.event is not None
    after = boxes_of(session)
    assert before.keys() - after.keys() == {f"o{row}" for row in wrong[20:]}
    for row in wrong[:20].tolist():
        assert after[f"o{row}"][1:] == pytest.approx(tuple(coco.box[row]))
    again = linted(session, rules=["inverted_box", "empty_box", "not_a_number", "partly_outside", "outside_image"])
    assert not len(again) and "nothing was found" in repr(again)
    session.undo()
    assert boxes_of(session) == before
    session.redo()
    assert boxes_of(session) == after


def test_boxes_of_ten_times_the_size_are_found_by_the_session(session: Session, coco: Boxes) -> None:
    boxes, rows = planted_boxes.grown(coco, 1, 10, clip=False)
    fill(session, boxes)
    found = set(linted(session, rules="too_large").to_arrow()["object_id"].to_pylist())
    assert len(found & {f"o{row}" for row in rows}) >= 0.9 * len(rows)


@pytest.mark.once
def test_bccd_as_shipped_is_cleaned(session: Session, shared_data: Find) -> None:
    fill(session, planted_boxes.bccd(shared_data("bccd")))
    session.find_issues("linter", progress=False)
    rows = session.issues("linter").findings.to_arrow().to_pylist()
    of_rule = {rule: [row for row in rows if row["rule"] == rule] for rule in ("empty_box", "duplicate_box")}
    assert {rule: len(listed) for rule, listed in of_rule.items()} == {"empty_box": 2, "duplicate_box": 8}
    assert not {row["rule"] for row in rows} & {"outside_image", "partly_outside", "inverted_box"}
    report = linted(session)
    report.repair(["empty_box", "duplicate_box"])
    again = linted(session).counts
    assert "empty_box" not in again and "duplicate_box" not in again
    session.undo()
    assert linted(session).counts == report.counts


# What issues of objects are like -----------------------------------------------------------------------------------


def test_an_issue_names_its_worst_object_and_how_many_more_there_are(session: Session) -> None:
    boxes = plain_boxes()
    boxes.box[4] = (5, 5, 0, 10)
    boxes.box[5] = (600, 100, 80, 50)
    boxes.box[9, 2] = -40
    fill(session, boxes)
    said = repr(session.find_issues("linter", progress=False))
    assert "2 linter" in said
    listed = {row["sample_id"]: row for row in session.issues("linter").to_arrow().to_pylist()}
    assert listed["p1"]["object_id"] == "o4" and listed["p1"]["proposal"] == "delete 1 box, move 1"
    assert listed["p1"]["reason"] == "The box is empty: 0 x 10 px. And 1 more finding."
    assert listed["p3"]["object_id"] == "o9" and listed["p3"]["proposal"] == "move 1 box"
    assert len(session.issues("linter").findings.to_arrow()) == 3
    assert session.where(issue="linter").ids() == ["p1", "p3"]


def test_answers_are_about_the_findings_of_then(session: Session) -> None:
    boxes = plain_boxes()
    boxes.box[4] = (5, 5, 0, 10)
    boxes.box[9, 2] = -40
    fill(session, boxes)
    session.find_issues("linter", progress=False)
    session.issues("linter").reject()
    assert not len(session.issues("linter"))
    session.objects.add({"sample_id": "p8", "label": "cat", "bbox": [100, 100, 50, 50]})
    session.find_issues("linter", progress=False)
    assert not len(session.issues("linter")), "the same findings are not asked about again"
    session.objects.add([{"sample_id": "p1", "label": "cat", "bbox": [15, 40, 50, 50]}] * 2)
    session.find_issues("linter", progress=False)
    assert session.issues("linter").view.ids() == ["p1"], "other findings are"
    session.objects.where(label="cat").of("p1").where("top_px = 40").delete()
    states = {row["sample_id"]: row["state"] for row in session.issues("linter", None).to_arrow().to_pylist()}
    assert states["p1"] == "open", "the empty box is there all the same"
    session.objects.ids_named("o4").delete()
    states = {row["sample_id"]: row["state"] for row in session.issues("linter", None).to_arrow().to_pylist()}
    assert states["p1"] == "stale" and states["p3"] == "rejected"
    session.undo()
    assert session.issues("linter").view.ids() == ["p1"]


def test_accepted_issues_stay_accepted_until_something_else_is_found(session: Session) -> None:
    boxes = plain_boxes()
    boxes.box[4] = (5, 5, 0, 10)
    fill(session, boxes)
    session.find_issues("linter", progress=False)
    done = session.issues("linter").accept()
    assert done.sentence == "Repaired 1 object as proposed (linter)"
    assert len(session.issues("linter", "accepted")) == 1 and not len(session.issues("linter"))
    assert not session.issues("linter", "accepted").accept().event
    session.undo()
    assert len(session.issues("linter")) == 1
    repeated = session.find_issues("linter", progress=False)
    assert "Nothing has changed" not in repr(repeated) or len(session.issues("linter")) == 1


def test_what_a_detector_says_is_about_objects_as_well(session: Session) -> None:
    """Of picture 0 a cat is missed, in 1 the box is a dog's, of 2 there is nothing, in 3 it lies beside the cat."""
    count = 40
    place = np.array([10.0, 10.0, 30.0, 30.0])
    boxes = Boxes(
        np.tile(place, (count, 1)), np.zeros(count, int), np.arange(count), np.full(count, 640.0),
        np.full(count, 480.0), ["cat", "dog"], [],
    )  # fmt: skip
    boxes.kind[1] = 1
    boxes.box[3] += [14, 12, 0, 0]
    fill(session, boxes)
    session.objects.ids_named("o0").delete()
    database = session.context.database
    with database.write() as cursor:
        made = runs.create(cursor, "v1", "detection", ["cat", "dog"])
        number = runs.number_of(cursor, made, "toy/1")
        nos = np.arange(count)
        more = {"object_count": arrow_arrays.numbers((nos != 2).astype(np.uint32), np.uint32)}
        revisions = np.zeros(count)
        cursor.execute("SELECT media_revision FROM data.sample ORDER BY sample_no")
        revisions[:] = [row[0] for row in cursor.fetchall()]
        runs.store(cursor, made, number, nos, revisions, more)
        rows = [(no, 0, 0.9, 11.0, 10.0, 30.0, 29.0) for no in range(count) if no != 2]
        cursor.executemany(f"INSERT INTO {made.objects} VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", rows)
        database.rebuild_views(cursor)
    session.find_issues("box", run="v1", progress=False)
    found = {row["sample_id"]: row for row in session.issues("box").findings.to_arrow().to_pylist()}
    assert {name: (row["rule"], row["object_id"], row["repair"]) for name, row in found.items()} == {
        "p0": ("missed", None, "none"), "p1": ("wrong_class", "o1", "relabel"), "p2": ("spurious", "o2", "delete"),
        "p3": ("badly_placed", "o3", "box"),
    }  # fmt: skip
    assert found["p0"]["left_px"] == 11 and found["p0"]["label"] == "cat"
    done = session.issues("box").accept()
    assert done.count == 3
    after = boxes_of(session)
    assert after["o1"][0] == "cat" and "o2" not in after and after["o3"][1:] == (11, 10, 30, 29)
    assert session.issues("box").view.ids() == ["p0"], "nobody draws a missed box but people"
    session.undo()
    assert boxes_of(session)["o1"][0] == "dog"


# Samples, rules of one's own, bad input ----------------------------------------------------------------------------


def test_labels_of_samples(session: Session) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (40, 16, 16, 3), dtype=np.uint8)
    pictures[1] = pictures[0]
    labels = ["cat", "dog"] * 20
    labels[6] = "Cat "
    session.add_arrays(pictures, label=labels, sample_id=[f"s{n}" for n in range(40)], progress=False)
    session.find_issues("near_duplicate", progress=False)
    rows = {(row["rule"], row["sample_id"]): row for row in linted(session).to_arrow().to_pylist()}
    slip = rows["unknown_sample_label", "s6"]
    assert slip["label"] == "cat" and slip["object_id"] is None
    assert slip["message"] == "The label Cat  of the picture is not in the vocabulary."
    assert {name for rule, name in rows if rule == "twins_differ"} == {"s0", "s1"}
    told_now = linted(session, vocabulary=["cat"]).to_arrow().to_pylist()
    assert {row["sample_id"] for row in told_now if row["rule"] == "unknown_sample_label"} == {
        f"s{n}" for n in range(40) if labels[n] != "cat"
    }
    report = linted(session)
    assert report.repair().event is None, "labels of samples are left to people"
    assert report.view.columns["lint_score"] == "FLOAT" and set(report.view.ids()) == {"s0", "s1", "s6"}


def test_rules_of_ones_own(session: Session) -> None:
    fill(session, plain_boxes())

    @di.linter
    def left_of_all(picture: own_rules.Picture) -> np.ndarray:
        "The first box lies at the left."
        return np.arange(len(picture)) == 0

    di.linter("width_px > 55", name="wide", severity="error", repair="delete")
    di.linter("nonsense > 3", name="unreadable")
    report = linted(session, rules=["left_of_all", "wide", "unreadable"])
    assert report.counts.keys() == {"left_of_all", "wide"} and report.counts["left_of_all"] == 20
    assert report.counts["wide"] == len(session.objects.where("width_px > 55"))
    assert [name for name, _ in report.problems] == ["unreadable"] and "unreadable" in repr(report)
    only = linted(session, rules=left_of_all, objects=session.objects.label("dog"))
    assert 0 < len(only) < 20 and set(only.to_arrow()["message"].to_pylist()) == {"The first box lies at the left."}
    report.repair("wide")
    assert not len(session.objects.where("width_px > 55"))
    live = linting.lint_sample(session.context, 2).findings
    assert {one.rule for one in live} >= {"left_of_all"}
    with pytest.raises(LinterError, match="no rule 'wid'"):
        session.lint("wid")
    with pytest.raises(LinterError, match="no severity"):
        report.repair(severity="awful")  # type: ignore[arg-type]


def test_nothing_to_lint(session: Session) -> None:
    report = linted(session)
    assert not len(report) and report.to_arrow().num_rows == 0 and report.repair().event is None
    assert linting.lint_sample(session.context, 0) == linting.Live([], False)
    with pytest.raises(ActionError, match="not looked for"):
        Issues(session.context, "linter")
    fill(session, plain_boxes(9))
    session.find_issues("linter", progress=False)
    assert not len(session.issues("linter")) and not session.issues("linter").accept().event
    job = session.lint(wait=False)
    assert not isinstance(job, LintReport) and isinstance(job.result(60), LintReport)


def test_live_findings_of_one_sample_among_a_hundred_thousand_objects(session: Session) -> None:
    boxes = plain_boxes(99_999)
    fill_many(session, boxes)
    # The first look waits for nothing: rules that need nothing learned speak at once.
    session.objects.add({"sample_id": "p5", "label": "cat", "bbox": [630, 10, 50, 40]})
    began, spent_before = time.thread_time(), time.process_time()
    first = live(session.context, 5)
    assert time.thread_time() - began < 0.1 and first.learning
    assert [one.rule for one in first.findings] == ["partly_outside"]
    learned = linting.Learned.of(session.context)
    assert learned.settled(60) and learned.at_hand() is not None
    assert time.process_time() - spent_before < 1.5, "it is learned in a process of its own"
    assert not live(session.context, 5).learning
    session.objects.add({"sample_id": "p7", "label": "dog", "bbox": [630, 10, 50, 40]})
    session.objects.add({"sample_id": "p7", "label": "dogg", "bbox": [100, 400, 0, 40]})
    spent, found = [], []
    for _ in range(5):
        start = time.process_time()
        found = linting.lint_sample(session.context, 7).findings
        spent.append(time.process_time() - start)
    assert min(spent) < 0.03, spent
    at: dict[str, Any] = {one.rule: one for one in found}
    assert at["partly_outside"].repair.box == (630, 10, 10, 40) and at["empty_box"].repair.act == "delete"
    assert at["unknown_label"].repair.label == "dog"
    assert [one.score for one in found] == sorted(one.score for one in found)


def fill_many(session: Session, boxes: Boxes) -> None:
    database = session.context.database
    nos = np.arange(len(boxes.width_px))
    sides = {name: boxes.box[:, place].copy() for place, name in enumerate(("a", "b", "c", "d"))}
    table = pa.table({"no": np.arange(len(boxes.box)), "sample": boxes.picture, "kind": boxes.kind, **sides})
    from dataide.storage.database import registered

    with database.write() as cursor, registered(cursor, {"lent": table, "pictures": {"no": nos}}):
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, width_px, height_px, added_at) "
            "SELECT no, 'p' || no, '', 640, 480, now()::TIMESTAMP FROM pictures ORDER BY no"
        ).fetchall()
        cursor.execute(
            "INSERT INTO data.object (object_no, sample_no, object_id, label, left_px, top_px, width_px, height_px, "
            "added_at) SELECT no, sample, 'o' || no, ['cat', 'dog'][kind + 1], a, b, c, d, now()::TIMESTAMP FROM lent "
            "ORDER BY no"
        ).fetchall()
        cursor.execute("INSERT INTO data.object_label (label) VALUES ('cat'), ('dog')").fetchall()
        database.rebuild_views(cursor)


def test_what_another_process_learned_is_the_same(coco: Boxes) -> None:
    table = objects(coco.columns(), coco.samples(), coco.names)
    said: list[str] = []
    here, aside = learning.here(table, said.append, lambda: False), learn_aside(table, said.append, lambda: False)
    assert len(table) < learning.FEW or "Sizes" in " ".join(said)
    for findings in (lint(table, here, own=()), lint(table, aside, own=())):
        assert len(findings)
    assert [(one.rule, one.objects) for one in lint(table, here, own=())] == [
        (one.rule, one.objects) for one in lint(table, aside, own=())
    ]
    arrays, arguments = learning.sent(table)
    known = learning.known_from(*learning.task(arrays, arguments, said.append, lambda: False))
    assert known.classes == here.classes and known.swaps is not None and here.swaps is not None
    np.testing.assert_array_equal(known.swaps.fitted, here.swaps.fitted)
    np.testing.assert_allclose(known.sizes.size, here.sizes.size)


def test_learning_aside_ends_when_the_session_does(session: Session) -> None:
    fill_many(session, plain_boxes(60_000))
    live(session.context, 0)
    began = time.perf_counter()
    session.close()
    assert time.perf_counter() - began < 5


def test_what_cannot_be_learned_is_not_tried_at_every_stroke(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    fill(session, plain_boxes(60))
    tried: list[int] = []

    def fails(table: Objects, say: object, stop: object, vectors: object) -> Known:
        tried.append(len(table))
        raise ModelError("The process has died.")

    learned = linting.Learned.of(session.context)
    linting.lint_sample(session.context, 0, fails)
    assert learned.settled(10) and "could not be learned: The process has died." in caplog.text
    assert not linting.lint_sample(session.context, 0, fails).learning
    assert learned.settled(10) and tried == [60]
    linted(session)
    known = learned.at_hand()
    assert known is not None and known.classes == ("cat", "dog"), "a search learns it"


def test_only_functions_of_dataide_are_found_by_name() -> None:
    assert tasks.named(learning.TASK) is learning.task and tasks.named("labels") is tasks.labels
    for name in ("os:system", "nothing"):
        with pytest.raises(KeyError):
            tasks.named(name)


def test_findings_are_a_table_for_plain_sql(session: Session) -> None:
    boxes = plain_boxes(90)
    boxes.box[4] = [620, 10, 60, 40]
    fill(session, boxes)
    session.find_issues("linter", progress=False)
    columns = "sample_id, rule, repair, width_px, holds"
    row = f"SELECT {columns} FROM finding WHERE object_id = 'o4' AND rule = 'partly_outside'"
    assert session.sql(row).fetchall() == [("p1", "partly_outside", "box", 20.0, True)]
    session.issues("linter").accept()
    assert session.sql(row).fetchall() == [("p1", "partly_outside", "box", 20.0, False)]
    assert session.sql("SELECT count(*) FROM finding WHERE NOT holds").fetchall()[0][0] >= 1
