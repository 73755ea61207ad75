"""What panels are told about objects, and what they ask to be done to them."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.api import Session
from dataide.errors import ActionError, ProtocolError, ReadOnly, UnknownSample
from dataide.storage import masks, object_rows, objects
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.answers import objects as answers
from dataide.widgets.answers.state import session_state
from dataide.widgets.dialogue import Reply
from dataide.widgets.inspector import Inspector
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace

WIDTH, HEIGHT = 64, 48


def replied(session: Session, op: str, **body: Any) -> Reply:
    """The answer to a message that was checked as on the wire."""
    reply = OPERATIONS[op](Workspace.of(session.context), check(body, protocol.ASKS[op]))
    assert isinstance(reply, Reply)
    assert check(json.loads(json.dumps(reply.body)), protocol.ANSWERS[op], "answer") == reply.body
    return reply


def asked(session: Session, op: str, **body: Any) -> dict[str, Any]:
    return dict(replied(session, op, **body).body)


def act(session: Session, verb: str, uuid: str = "", **more: Any) -> dict[str, Any]:
    return asked(session, "act_objects", verb=verb, uuid=uuid or f"{verb}-{more}", **more)


def boxes(reply: Reply) -> list[list[float]]:
    values: list[list[float]] = np.frombuffer(reply.buffers[0], np.float64).reshape(-1, 4).tolist()
    return values


def rings(reply: Reply) -> list[np.ndarray]:
    points = np.frombuffer(reply.buffers[1], np.float32).reshape(-1, 2)
    return np.split(points, np.cumsum(reply.body["points"])[:-1]) if reply.body["points"] else []


def state(session: Session) -> Any:
    return session_state(Workspace.of(session.context)).get("objects")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Four pictures of 64 x 48 px without objects."""
    pictures = np.random.default_rng(0).integers(0, 255, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with di.open(tmp_path / "shown.duckdb", author="Ada") as opened:
        opened.add_arrays(pictures, sample_id=[f"s{n}" for n in range(4)], progress=False)
        yield opened


def add(session: Session, *rows: dict[str, Any]) -> None:
    session.add_objects(list(rows), progress=False)


# ---- masks and their outlines ------------------------------------------------------------------------------------


def filled(found: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Rectilinear rings by the even-odd rule, one edge at a time."""
    mask = np.zeros((height, width), bool)
    for ring in found:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert (x0 == x1) != (y0 == y1)
            if x0 == x1:
                mask[min(y0, y1) : max(y0, y1), x0:] ^= True
    return mask


def test_outlines_of_a_mask_are_its_border_and_those_of_its_holes() -> None:
    mask = np.zeros((4, 5), bool)
    mask[0:4, 1:5] = True
    mask[1:3, 2:4] = False
    outer, hole = sorted(sorted(map(tuple, ring.tolist())) for ring in masks.outlines(mask))
    assert outer == [(1, 0), (1, 4), (5, 0), (5, 4)]
    assert hole == [(2, 1), (2, 3), (4, 1), (4, 3)]
    assert masks.outlines(np.zeros((3, 3), bool)) == [] == masks.outlines(np.zeros((0, 0), bool))


def test_outlines_filled_again_are_the_mask_also_where_pixels_touch_by_their_corners() -> None:
    random = np.random.default_rng(1)
    for _ in range(150):
        height, width = random.integers(1, 14, 2)
        mask = random.random((height, width)) < random.choice([0.1, 0.5, 0.9])
        assert (filled(masks.outlines(mask), height, width) == mask).all()


def test_a_mask_looked_at_in_cells_is_the_mask() -> None:
    random = np.random.default_rng(2)
    mask = random.random((30, 40)) < 0.5
    runs = masks.encoded(mask)
    assert (masks.sampled(runs, 30, (0, 0, 40, 30), 40, 30) == mask).all()
    assert (masks.sampled(runs, 30, (7, 3, 20, 10), 20, 10) == mask[3:13, 7:27]).all()
    # Half as fine: the pixel right of and below the middle of each cell.
    assert (masks.sampled(runs, 30, (0, 0, 40, 30), 20, 15) == mask[1::2, 1::2]).all()


def test_a_simplified_ring_stays_within_the_tolerance_of_what_it_was() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([50 + 40 * np.cos(angle), 50 + 40 * np.sin(angle)], axis=1)
    for tolerance in (0.1, 1.0, 5.0):
        few = masks.simplified(circle, tolerance)
        assert 3 <= len(few) < 120
        # The furthest a chord of a circle lies from it is its sagitta.
        chords = np.hypot(*(np.roll(few, -1, axis=0) - few).T)
        assert (40 - np.sqrt(1600 - (chords / 2) ** 2)).max() <= tolerance + 1e-9
    assert len(masks.simplified(circle, 0.1)) > 2 * len(masks.simplified(circle, 5.0))
    square = np.array([[0, 0], [5, 0], [10, 0], [10, 10], [0, 10], [0, 5]])
    assert sorted(map(tuple, masks.simplified(square, 0.5).tolist())) == [(0, 0), (0, 10), (10, 0), (10, 10)]
    assert len(masks.simplified(np.array([[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]]), 5)) < 3


def test_a_drawn_outline_covers_its_mask() -> None:
    rows, columns = np.mgrid[:480, :640]
    mask = ((columns - 300) / 150) ** 2 + ((rows - 200) / 100) ** 2 < 1
    row = {"polygons": None, "mask_runs": masks.encoded(mask).tolist(), "mask_height_px": 480}
    truth = np.pi * 150 * 100
    for scale, most in ((0.2, 60), (1.0, 250), (3.2, 700)):
        (ring,) = object_rows.outlines_of(row, scale)
        area = masks.polygon_area([ring.ravel().tolist()])
        assert abs(area - truth) / truth < 0.03
        assert 8 <= len(ring) <= most
        assert np.abs(ring.min(axis=0) - (150, 100)).max() <= 2 + 1 / scale
    # A single pixel is still to be seen.
    dot = np.zeros((480, 640), bool)
    dot[7, 9] = True
    (ring,) = object_rows.outlines_of({**row, "mask_runs": masks.encoded(dot).tolist()}, 0.2)
    assert sorted(map(tuple, ring.tolist())) == [(9, 7), (9, 8), (10, 7), (10, 8)]
    for broken in ({"mask_runs": [3, 4]}, {"mask_runs": [480 * 640]}, {"mask_runs": None}, {"mask_height_px": 0}):
        assert object_rows.outlines_of({**row, **broken}, 1.0) == []


# ---- what is drawn -----------------------------------------------------------------------------------------------


def test_without_objects_nothing_is_said_about_them(session: Session) -> None:
    assert state(session) is None
    assert asked(session, "objects", nos=[0, 1], px=64)["objects"] == []
    assert asked(session, "lint_objects", no=0) == {"findings": [], "learning": False}


def test_objects_come_as_shares_of_their_pictures(session: Session) -> None:
    add(
        session,
        {"sample_id": "s0", "label": "cat", "bbox": [16, 12, 32, 24], "segmentation": [[16, 12, 48, 12, 48, 36]]},
        {"sample_id": "s0", "label": None, "bbox": [0, 0, 64, 48]},
        {"sample_id": "s2", "label": "dog", "bbox": [60, 40, 16, 12]},
    )
    session.objects.add({"sample_id": "s3", "label": "cat", "bbox": [1, 2, 3, 4], "keypoints": [32, 24, 2, 0, 0, 0]})
    reply = replied(session, "objects", nos=[3, 0, 1, 2, 99], px=None)
    body = reply.body
    assert body["nos"] == [3, 0, 1, 2]
    assert body["starts"] == [0, 1, 3, 3, 4]
    assert (body["widths"], body["heights"]) == ([WIDTH] * 4, [HEIGHT] * 4)
    # The largest of a picture first, so that the others lie on it.
    assert [body["names"][label] if label >= 0 else None for label in body["labels"]] == ["cat", None, "cat", "dog"]
    assert boxes(reply) == [
        [1 / 64, 2 / 48, 3 / 64, 4 / 48], [0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5], [60 / 64, 40 / 48, 0.25, 0.25]
    ]  # fmt: skip
    assert body["rings"] == [0, 0, 1, 0]
    assert rings(reply)[0].tolist() == [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75]]
    assert body["keypoints"] == [[0.5, 0.5, 2], [], [], []]
    assert body["ids"][1] == session.objects.where("label is null").ids()[0]
    assert asked(session, "objects", nos=[0], px=96)["ids"] is None


def test_a_skeleton_joins_the_keypoints_that_are_there(session: Session) -> None:
    with session.context.database.write() as cursor:
        objects.declare_labels(cursor, [{"label": "cat", "skeleton": [[1, 2], [2, 4], [4, 1], [4, 9]]}])
    points = [16, 12, 2, 0, 0, 0, 9, 9, 0, 32, 24, 1]
    for label in ("cat", "dog"):
        session.objects.add({"sample_id": "s0", "label": label, "bbox": [1, 2, 3, 4], "keypoints": points})
    body = asked(session, "objects", nos=[0], px=64)
    assert body["keypoints"] == [[0.25, 0.25, 2, 0.5, 0.5, 1]] * 2
    # The second and third are labelled nowhere; there is no ninth.
    assert body["limbs"] == [[1, 0], []]


def test_shares_are_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    data = io.BytesIO()
    Image.new("RGB", (60, 40)).save(data, "JPEG", exif=exif)
    (tmp_path / "turned.jpg").write_bytes(data.getvalue())
    with di.open(tmp_path / "turned.duckdb") as session:
        session.add_frame({"sample_id": ["a"], "path": [str(tmp_path / "turned.jpg")]}, media="path", progress=False)
        add(session, {"sample_id": "a", "label": "x", "bbox": [10, 15, 20, 30]})
        reply = replied(session, "objects", nos=[0], px=None)
        assert (reply.body["widths"], reply.body["heights"]) == ([40], [60])
        assert boxes(reply) == [[0.25, 0.25, 0.5, 0.5]]
        # And so are boxes that are drawn: this one ends at the right edge of the upright picture.
        act(session, "add", no=0, label="y", box=[30, 30, 30, 20])
        assert session.objects.label("y").boxes()["width_px"].tolist() == [10]


def test_boxes_that_are_none_are_left_to_be_seen(session: Session) -> None:
    add(session, {"sample_id": "s0", "bbox": [30, 20, -10, 5]}, {"sample_id": "s0", "bbox": [float("nan"), 1, 2, 3]})
    found = boxes(replied(session, "objects", nos=[0], px=64))
    assert found[0] == [30 / 64, 20 / 48, -10 / 64, 5 / 48]
    assert np.isnan(found[1][0])


def test_tiles_get_the_largest_of_many_objects(session: Session) -> None:
    add(session, *({"sample_id": "s1", "label": "x", "bbox": [1, 1, 1 + n / 10, 2]} for n in range(250)))
    tile = replied(session, "objects", nos=[1, 0], px=128)
    assert (tile.body["more"], tile.body["starts"]) == ([50, 0], [0, 200, 200])
    assert min(width for _, _, width, _ in boxes(tile)) == pytest.approx(6 / 64)
    assert asked(session, "objects", nos=[1], px=None)["more"] == [0]


def test_an_answer_stays_below_its_bound_and_is_of_fewer_samples_then(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    outline = [value for n in range(200) for value in (32 + 30 * np.cos(n / 32), 24 + 22 * np.sin(n / 32))]
    rows = [
        {"sample_id": f"s{n % 4}", "label": "x", "bbox": [2, 2, 60, 44], "segmentation": [outline]} for n in range(80)
    ]
    add(session, *rows)
    whole = replied(session, "objects", nos=[0, 1, 2, 3], px=None)
    size = len(json.dumps(whole.body)) + sum(map(len, whole.buffers))
    for bound in (size // 3, size // 30):
        monkeypatch.setattr(answers, "MOST_BYTES", bound)
        reply = replied(session, "objects", nos=[0, 1, 2, 3], px=None)
        assert 1 <= len(reply.body["nos"]) < 4
        assert len(json.dumps(reply.body)) + sum(map(len, reply.buffers)) < bound + 1000
        assert len(reply.body["objects"]) + sum(reply.body["more"]) == 20 * len(reply.body["nos"])


def test_classes_keep_their_colours_whatever_becomes_of_them(session: Session) -> None:
    add(session, *({"sample_id": "s0", "label": label, "bbox": [1, 1, 5, 5]} for label in ("cat", "dog", "dog")))
    before = state(session)
    assert before["count"] == 3
    assert before["labels"] == [{"name": "dog", "count": 2, "color": 0}, {"name": "cat", "count": 1, "color": 1}]
    session.objects.label("dog").delete()
    act(session, "add", no=1, label="ant", box=[1, 1, 5, 5])
    after = state(session)
    assert after["version"] != before["version"]
    assert {one["name"]: one["color"] for one in after["labels"]} == {"cat": 1, "ant": 2}
    drawn = asked(session, "objects", nos=[0, 1], px=64)
    assert dict(zip(drawn["names"], drawn["colors"], strict=True)) == {"cat": 1, "ant": 2}
    # What is no news about objects counts nothing again.
    session.where().tag("seen")
    assert state(session)["version"] == after["version"]


# ---- what people do ----------------------------------------------------------------------------------------------


def test_a_box_is_drawn_moved_named_and_deleted_each_undone_in_turn(session: Session) -> None:
    added = act(session, "add", no=1, label="cat", box=[10, 10, 20, 15])
    (number,) = added["objects"]
    (sample_id, object_id) = ("s1", session.objects.ids()[0])
    assert added["sentence"] == "Added 1 object"
    assert added["python"] == f"session.objects.add({{'sample_id': '{sample_id}', 'label': 'cat', 'bbox': [10.0, 10.0, 20.0, 15.0]}})"  # fmt: skip # noqa: E501
    moved = act(session, "move", objects=[number], box=[12, 10, 20, 15])
    assert moved["python"] == f"session.objects.ids_named({object_id!r}).move([12.0, 10.0, 20.0, 15.0])"
    assert act(session, "relabel", objects=[number], label="dog")["count"] == 1
    assert session.objects.labels == {"dog": 1}
    assert act(session, "delete", objects=[number])["event"] is not None
    assert len(session.objects) == 0
    for expected in ({"dog": 1}, {"cat": 1}, {"cat": 1}, {}):
        session.undo()
        assert session.objects.labels == expected
    assert state(session) is None


def test_the_line_of_python_does_the_same(session: Session) -> None:
    (number,) = act(session, "add", no=1, label="it's", box=[1, 1, 5, 5])["objects"]
    lines = [
        act(session, "move", objects=[number], box=[2, 2, 6, 6])["python"],
        act(session, "relabel", objects=[number], label='a "b"')["python"],
        act(session, "delete", objects=[number])["python"],
    ]
    for _ in lines:
        session.undo()
    for line, count in zip(lines, (1, 1, 0), strict=True):
        exec(line, {"session": session})
        assert len(session.objects) == count
    session.undo()
    assert session.objects.label('a "b"').boxes()["left_px"].tolist() == [2]


def test_boxes_end_at_the_edge_of_the_picture_and_are_never_empty(session: Session) -> None:
    act(session, "add", no=0, label="x", box=[50, -10, 100, 30])
    act(session, "add", no=0, label="turned", box=[20, 20, -8, -9.999])
    assert [list(row) for row in zip(*(session.objects.boxes()[name] for name in ("left_px", "top_px", "width_px", "height_px")), strict=True)] == [[50, 0, 14, 20], [12, 10, 8, 10]]  # fmt: skip # noqa: E501
    (number,) = act(session, "add", "again", no=0, label="x", box=[1, 1, 5, 5])["objects"]
    for box in ([70, 10, 5, 5], [10, 10, 0, 5], [10, 10, 5, 0.001]):
        with pytest.raises(ActionError, match="Nothing of the box"):
            act(session, "add", no=0, label="x", box=box)
        with pytest.raises(ActionError, match="Nothing of the box"):
            act(session, "move", objects=[number], box=box)
    assert len(session.objects) == 3


def test_what_cannot_be_done_is_refused_with_a_sentence(session: Session) -> None:
    (number,) = act(session, "add", no=0, label=None, box=[1, 1, 5, 5])["objects"]
    assert session.objects.labels == {None: 1}
    with pytest.raises(UnknownSample):
        act(session, "add", no=99, label="x", box=[1, 1, 5, 5])
    with pytest.raises(ActionError, match="four numbers"):
        act(session, "add", no=0, label="x", box=[1, 1])
    with pytest.raises(ActionError, match="One object is moved"):
        act(session, "move", objects=[number, 5], box=[1, 1, 2, 2])
    with pytest.raises(ActionError, match="needs a label"):
        act(session, "relabel", objects=[number])
    with pytest.raises(ActionError, match="1 to"):
        act(session, "relabel", objects=[number], label=" ")
    with pytest.raises(ProtocolError, match="verb should be one of"):
        act(session, "burn", objects=[number])
    gone = act(session, "delete", objects=[77])
    assert (gone["event"], gone["count"]) == (None, 0)
    assert act(session, "move", objects=[77], box=[1, 1, 2, 2])["event"] is None
    assert act(session, "delete", objects=[])["event"] is None


def test_a_decision_that_is_told_twice_is_made_once(session: Session) -> None:
    first = act(session, "add", "same", no=0, label="x", box=[1, 1, 5, 5])
    assert act(session, "add", "same", no=0, label="x", box=[1, 1, 5, 5])["objects"] == first["objects"]
    assert len(session.objects) == 1


def test_a_session_for_reading_only_says_so(session: Session) -> None:
    add(session, {"sample_id": "s0", "label": "x", "bbox": [1, 1, 5, 5]})
    path = session.context.database.path
    session.close()
    with di.open(path, read_only=True) as reading:
        assert asked(reading, "objects", nos=[0], px=64)["names"] == ["x"]
        for verb, more in (("add", {"no": 0, "label": "x", "box": [1, 1, 5, 5]}), ("delete", {"objects": [0]})):
            with pytest.raises(ReadOnly) as refusal:
                act(reading, verb, **more)
            assert refusal.value.hint


def test_rules_speak_about_the_picture_and_their_repair_is_a_decision(session: Session) -> None:
    add(
        session,
        {"sample_id": "s0", "label": "cat", "bbox": [10, 10, 20, 20]},
        {"sample_id": "s0", "label": "cat", "bbox": [10, 10, 20, 20.5]},
        {"sample_id": "s1", "label": "cat", "bbox": [50, 10, 30, 20]},
    )
    (twice,) = [one for one in asked(session, "lint_objects", no=0)["findings"] if one["rule"] == "duplicate_box"]
    assert (len(twice["objects"]), twice["repair"]["act"]) == (2, "delete")
    act(session, "delete", objects=[twice["repair"]["object"]])
    assert not [one for one in asked(session, "lint_objects", no=0)["findings"] if one["rule"] == "duplicate_box"]
    (outside,) = [one for one in asked(session, "lint_objects", no=1)["findings"] if one["rule"] == "partly_outside"]
    assert outside["repair"]["act"] == "move"
    act(session, "move", objects=[outside["repair"]["object"]], box=outside["repair"]["box"])
    assert not [one for one in asked(session, "lint_objects", no=1)["findings"] if one["rule"] == "partly_outside"]


def test_a_page_of_real_objects_is_small_and_fits_its_pictures(
    tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    path = shared_data("coco128") / "instances_train2017_128.json"
    told = json.loads(path.read_text())
    with di.open(tmp_path / "coco.duckdb") as session:
        session.add_coco(path, progress=False)
        reply = replied(session, "objects", nos=list(range(128)), px=128)
        assert len(reply.body["objects"]) == len(told["annotations"]) == 939
        assert len(json.dumps(reply.body)) + sum(map(len, reply.buffers)) < 250_000
        ids = asked(session, "objects", nos=list(range(128)), px=None)["ids"]
        by_id = {str(one["id"]): one for one in told["annotations"]}
        sizes = {one["id"]: (one["width"], one["height"]) for one in told["images"]}
        for object_id, box in zip(ids, boxes(replied(session, "objects", nos=list(range(128)), px=None)), strict=True):
            annotation = by_id[object_id]
            width, height = sizes[annotation["image_id"]]
            back = np.array(box) * (width, height, width, height)
            assert back == pytest.approx(np.array(annotation["bbox"]), abs=1e-6)
        # An outline covers what the mask covers: areas agree for all but specks and crowds.
        wrong = 0
        fine = replied(session, "objects", nos=list(range(128)), px=None)
        ring = iter(rings(fine))
        starts, place = fine.body["starts"], 0
        for sample, (start, end) in enumerate(itertools.pairwise(starts)):
            scale = (fine.body["widths"][sample], fine.body["heights"][sample])
            for at in range(start, end):
                outlines = [next(ring) * scale for _ in range(fine.body["rings"][at])]
                annotation = by_id[ids[at]]
                if annotation["area"] > 400 and not annotation["iscrowd"]:
                    place += 1
                    area = masks.polygon_area([one.ravel().tolist() for one in outlines])
                    wrong += abs(area - annotation["area"]) > 0.05 * annotation["area"]
        assert place > 500
        assert wrong < 0.02 * place


def test_the_picture_in_a_saved_notebook_has_the_boxes(session: Session) -> None:
    no = 1
    before = Inspector(session.context, no=no).picture()
    add(session, {"sample_id": "s1", "label": "x", "bbox": [16, 12, 32, 24]})
    after = Inspector(session.context, no=no).picture()
    assert before is not None
    assert after is not None
    differs = np.argwhere((np.asarray(before) != np.asarray(after)).any(axis=2))
    scale = after.width / WIDTH
    # All that changed lies along the box, which takes the middle half of the picture both ways.
    assert np.abs(differs.min(axis=0) - (12 * scale, 16 * scale)).max() <= 2
    assert np.abs(differs.max(axis=0) - (36 * scale, 48 * scale)).max() <= 2
    inside = (differs > np.array([14, 18]) * scale).all(axis=1) & (differs < np.array([34, 46]) * scale).all(axis=1)
    assert not inside.any()
