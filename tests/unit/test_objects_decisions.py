"""Decisions about objects: relabel, delete, move, add; undo, redo and history, also after opening again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.core import actions, object_actions
from dataide.core.object_actions import AddObjects, DeleteObjects, MoveObjects, RelabelObjects
from dataide.errors import ActionError, ReadOnly
from dataide.storage import masks

SAMPLES, OBJECTS = 50, 400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "streets.duckdb"
    with di.open(place, author="Ada") as session:
        session.add_frame({"sample_id": [f"s{i}" for i in range(SAMPLES)]}, media=None, progress=False)
        rows = [
            {
                "sample_id": f"s{i % SAMPLES}", "object_id": f"o{i}", "label": ("car", "bus", None)[i % 3],
                "bbox": [i / 7, 2.5, 10, 20], "segmentation": [[i / 7, 2.5, i / 7 + 10, 2.5, i / 7 + 10, 22.5]],
            }
            for i in range(OBJECTS)
        ]  # fmt: skip
        session.add_objects(rows, progress=False)
    return place


@pytest.fixture
def session(path: Path) -> Iterator[Session]:
    with di.open(path, author="Ada") as opened:
        yield opened


def state(session: Session) -> list[dict[str, Any]]:
    return session.objects.to_arrow().to_pylist()


def test_every_decision_goes_back_and_forth_to_the_last_digit(session: Session) -> None:
    objects = session.objects
    places = [[0.1 + 0.2, 1 / 3, 5, 7.7]] * 3
    states, sentences = [state(session)], []
    for decide in (
        lambda: objects.label("car").relabel("van"),
        lambda: objects.where("label is null").relabel("bus"),
        lambda: objects.label("bus").take(20).relabel(None),
        lambda: objects.take(3).move(places),
        lambda: objects.of("s7").delete(),
        lambda: objects.add([{"sample_id": "s1", "label": "bike", "bbox": [1, 2, 3, 4]}] * 2),
    ):
        sentences.append(repr(decide()))
        states.append(state(session))
    assert sentences == [
        "Relabelled 134 objects “van”", "Relabelled 133 objects “bus”", "Took the label from 20 objects",
        "Moved 3 objects", "Deleted 8 objects", "Added 2 objects",
    ]  # fmt: skip
    assert len({len(one) for one in states}) == 3 and len(states[-1]) == OBJECTS - 8 + 2
    for before in states[-2::-1]:
        assert session.undo().event is not None
        assert state(session) == before
    assert repr(session.undo()) == "There is nothing to undo"
    for after in states[1:]:
        session.redo()
        assert state(session) == after
    listed = session.history()
    assert listed["sentence"].tolist()[:6] == sentences
    assert listed["sentence"].tolist()[6] == "Undone: added 2 objects"
    assert listed["target"].tolist()[0] == "objects where label = 'car'"


def test_undo_works_after_opening_again(path: Path) -> None:
    with di.open(path) as session:
        before = state(session)
        session.objects.take(100).relabel("x")
    with di.open(path) as session:
        assert session.context.journal.head() == ("Relabelled 100 objects “x”", None)
        session.undo()
        assert state(session) == before


def test_decisions_about_samples_and_objects_take_turns(session: Session) -> None:
    session.take(10).tag("seen")
    session.objects.of("s3").relabel("x")
    session.where(sample_id="s3").set(objects=3)  # a column of the user's may be called so
    told = [one.sentence for one in session.context.journal.sample_history(3)]
    assert told == ["objects: nothing → 3", "objects relabelled “x”", "tagged “seen”"]
    session.undo()
    session.undo()
    assert session.objects.label("x").count() == 0 and session.tags == {"seen": 10}
    assert session.sql("SELECT count(objects) FROM sample").fetchall() == [(0,)]
    session.redo()
    assert session.objects.label("x").count() == 8
    session.redo()
    assert session.sql("SELECT sum(objects) FROM sample").fetchall() == [(3,)]


def test_what_changes_nothing_is_no_event(session: Session) -> None:
    done = session.objects.label("car").relabel("car")
    assert (done.event, done.count) == (None, 0)
    assert repr(done).startswith("Nothing changed: all 134 objects had the label “car” already")
    assert session.objects.label("nothing of the kind").delete().event is None
    assert session.objects.take(1).move([0, 2.5, 10, 20]).event is None
    assert len(session.history()) == 0


def test_numbers_are_never_used_again(session: Session) -> None:
    session.objects.add({"sample_id": "s0", "bbox": [1, 2, 3, 4], "label": "gone"})
    session.undo()
    session.objects.add({"sample_id": "s0", "bbox": [1, 2, 3, 4], "label": "kept"})
    assert session.objects.label("kept").nos().tolist() == [OBJECTS + 1]
    assert session.objects.label("gone").count() == 0
    assert len(session.objects) == OBJECTS + 1


def test_the_same_write_twice_is_done_once(session: Session) -> None:
    row = {"sample_id": "s0", "bbox": [1, 2, 3, 4]}
    first = session.objects.add(row, uuid="u1")
    again = session.objects.add(row, uuid="u1")
    assert first.event == again.event and len(session.objects) == OBJECTS + 1


def test_outlines_masks_and_keypoints_move_with_their_box(session: Session) -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:15, 10:30] = True
    runs = masks.encoded(mask)
    session.objects.add(
        {
            "sample_id": "s0", "object_id": "m", "bbox": [10, 5, 20, 10],
            "segmentation": {"counts": runs.tolist(), "size": [40, 60]}, "keypoints": [12, 6, 2, 0, 0, 0],
        }
    )  # fmt: skip
    session.objects.ids_named("m").move([20, 20, 10, 5])
    (moved,) = list(session.objects.ids_named("m"))
    there = masks.decoded(np.asarray(moved["mask_runs"]), moved["mask_height_px"])
    assert there.sum() == moved["area_px"] == 50 and there[20:25, 20:30].all()
    assert [tuple(point.values()) for point in moved["keypoints"]] == [(21, 20.5, 2), (0, 0, 0)]
    session.objects.ids_named("o0").move([100, 200, 20, 40])
    (outlined,) = list(session.objects.ids_named("o0"))
    assert outlined["polygons"] == [[100, 200, 120, 200, 120, 240]] and outlined["area_px"] == 400
    session.undo()
    session.undo()
    (back,) = list(session.objects.ids_named("m"))
    assert back["mask_runs"] == runs.tolist() and back["area_px"] == 200


def test_a_box_that_was_inverted_can_be_put_right(session: Session) -> None:
    session.add_objects(
        [{"sample_id": "s0", "object_id": "i", "xmin": 30, "ymin": 5, "xmax": 10, "ymax": 9}], progress=False
    )
    session.objects.ids_named("i").move([10, 5, 20, 4])
    (right,) = list(session.objects.ids_named("i"))
    assert (right["width_px"], right["area_px"]) == (20, 80)


def test_decisions_that_do_not_fit_are_refused_and_change_nothing(session: Session) -> None:
    before = state(session)
    with pytest.raises(ActionError, match="boxes of shape"):
        session.objects.take(2).move([1, 2, 3, 4])
    for box in ([1, 2, 0, 4], [1, 2, float("nan"), 4]):
        with pytest.raises(ActionError, match="above 0 px"):
            session.objects.take(1).move(box)
    with pytest.raises(ActionError, match="no sample 'x'"):
        session.objects.add({"sample_id": "x", "bbox": [1, 2, 3, 4]})
    with pytest.raises(ActionError, match="'o1' already"):
        session.objects.add({"sample_id": "s0", "object_id": "o1", "bbox": [1, 2, 3, 4]})
    with pytest.raises(ActionError, match="no object to add"):
        session.objects.add([])
    with pytest.raises(ActionError, match="is a dict"):
        session.objects.add(["a.jpg"])  # type: ignore[list-item]
    with pytest.raises(ActionError, match="characters"):
        session.objects.relabel(" ")
    with pytest.raises(ActionError, match="two places"):
        MoveObjects(np.array([1, 1]), np.ones((2, 4)))
    with pytest.raises(ActionError, match="whole ones"):
        DeleteObjects(np.array([0.5]))
    assert state(session) == before and len(session.history()) == 0


def test_a_file_for_reading_only_stays_as_it_is(path: Path) -> None:
    with di.open(path, read_only=True) as session, pytest.raises(ReadOnly):
        session.objects.take(1).delete()


def test_the_wire_names_the_same_actions(session: Session) -> None:
    journal = session.context.journal
    given = {"objects": [0, 3, 10_000], "label": "x"}
    made = actions.from_wire("relabel_objects", given)
    assert isinstance(made, RelabelObjects)
    assert object_actions.act(journal, made).count == 2
    moved = actions.from_wire("move_objects", {"objects": [5], "boxes": [[1, 2, 3, 4]]})
    assert isinstance(moved, MoveObjects) and object_actions.act(journal, moved).count == 1
    deleted = actions.from_wire("delete_objects", {"objects": [5, 5]})
    assert isinstance(deleted, DeleteObjects) and object_actions.act(journal, deleted).count == 1
    with pytest.raises(ActionError, match="no action 'paint_objects'"):
        actions.from_wire("paint_objects", {})
    with pytest.raises(ActionError, match="needs label"):
        actions.from_wire("relabel_objects", {"objects": [1]})
    with pytest.raises(ActionError, match="no object to add"):
        object_actions.act(journal, AddObjects())


def test_a_hundred_thousand_objects_are_relabelled_and_back(tmp_path: Path) -> None:
    import time

    count = 100_000
    with di.open(tmp_path / "large.duckdb") as session:
        session.add_frame({"sample_id": [f"s{i}" for i in range(1000)]}, media=None, progress=False)
        numbers = np.arange(count)
        frame = {
            "sample_id": np.char.add("s", (numbers % 1000).astype(str)).tolist(), "x": numbers / 3, "y": numbers % 7,
            "w": numbers % 11 + 1, "h": numbers % 13 + 1, "label": np.array(["a", "b"])[numbers % 2].tolist(),
        }  # fmt: skip
        session.add_objects(frame, progress=False)
        assert session.objects.relabel("c").count == count
        started = time.process_time()
        session.undo()
        assert time.process_time() - started < 1
        assert session.objects.labels == {"a": count // 2, "b": count // 2}
