"""What a browser may ask and a stranger's file may hold: the answer is one, or says what is wrong; never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.core.object_points import ObjectPoints
from dataide.errors import ActionError, DataideError, ModelError, ProtocolError, UnknownSample
from dataide.storage import masks, object_rows, object_vectors, vectors
from dataide.storage.database import Database
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.answers.plot import coloring_of
from dataide.widgets.dialogue import Dialogue, Reply
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace

SAMPLES = 6
NUMBERS = (-1, SAMPLES, 2**31, 2**32 - 1, 2**32, 2**53, -(2**53))


def asked(session: Session, op: str, **body: Any) -> dict[str, Any]:
    reply = OPERATIONS[op](Workspace.of(session.context), check(body, protocol.ASKS[op]))
    assert isinstance(reply, Reply)
    json.dumps(reply.body, allow_nan=False)
    return dict(reply.body)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Six pictures of 32 x 24 px with two objects each; three-dimensional vectors of samples and of objects."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (SAMPLES, 24, 32, 3), dtype=np.uint8)
    with di.open(tmp_path / "untrusted.duckdb", author="Ada") as opened:
        opened.add_arrays(pictures, sample_id=[f"s{n}" for n in range(SAMPLES)], progress=False)
        rows = [{"sample_id": f"s{n}", "label": label, "bbox": [1, 2, 8, 9]} for n in range(SAMPLES) for label in "ab"]
        opened.add_objects(rows, progress=False)
        nos = np.arange(SAMPLES, dtype=np.uint32)
        with opened.context.database.write() as cursor:
            made = vectors.create(cursor, "three", "r1", 3)
            vectors.store(cursor, made, nos, np.ones(SAMPLES, np.uint32), random.normal(size=(SAMPLES, 3)))
        yield opened


def mapped(database: Database, nos: np.ndarray, name: str = "boxes") -> None:
    """Puts these objects on a map, in a row."""
    with database.write() as cursor:
        known = object_vectors.embedding(database, "crops") or object_vectors.create(cursor, "crops", "r1", 3)
        places = np.stack([np.arange(len(nos)), np.zeros(len(nos))], axis=1).astype(np.float32)
        object_vectors.replace_map(cursor, name, known, "pca", nos.astype(np.uint32), places)


# ---- what a browser asks -----------------------------------------------------------------------------------------


def test_a_number_that_no_sample_has_is_said_to_be_none(session: Session) -> None:
    session.find_issues("grey", progress=False)
    asks: dict[str, dict[str, Any]] = {
        "inspect": {"px": 64},
        "peek": {"px": 64},
        "lint_objects": {},
        "issue_neighbours": {"kind": "grey", "limit": 3, "px": 64},
        "act_objects": {"verb": "add", "uuid": "u", "box": [1, 1, 4, 4]},
    }
    for op, body in asks.items():
        for no in NUMBERS:
            with pytest.raises(UnknownSample, match=f"There is no sample number {no}") as caught:
                asked(session, op, no=no, **body)
            assert caught.value.hint
    assert len(session.objects) == 2 * SAMPLES


@pytest.mark.parametrize(
    ("op", "body"),
    [
        ("objects", {"nos": [10**30], "px": 64}),
        ("autotag", {"tag": "t", "round": False, "nos": [-(10**30)]}),
        ("ranked", {"token": "x", "threshold": 10**400}),
        ("autotag", {"tag": "half \ud800", "round": False}),
        ("filter", {"source": "s", "clause": {"type": "in", "column": "label", "values": ["\udfff"]}}),
    ],
)
def test_numbers_without_end_and_halves_of_characters_are_refused_at_the_door(op: str, body: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        check(body, protocol.ASKS[op])


def test_the_comm_thread_hears_no_error_of_a_number_without_end() -> None:
    sent: list[dict[str, Any]] = []
    dialogue = Dialogue(lambda message, _: sent.append(message), lambda *_: Reply({}), lambda: 1)
    body = json.loads('{"token": "x", "threshold": 1' + "0" * 400 + "}")
    dialogue.receive({"v": 1, "k": "req", "id": 3, "op": "ranked", "panel": "p", "body": body})
    dialogue.close()
    assert [message["error"]["code"] for message in sent] == [ProtocolError("").code]


@pytest.mark.parametrize("label", ["", "  ", "\0", "x" * 201])
def test_a_drawn_object_gets_no_label_that_a_relabelling_would_refuse(session: Session, label: str) -> None:
    with pytest.raises(ActionError) as caught:
        asked(session, "act_objects", verb="add", no=0, box=[1, 1, 4, 4], label=label, uuid="u")
    assert caught.value.hint
    assert len(session.objects) == 2 * SAMPLES
    asked(session, "act_objects", verb="add", no=0, box=[1, 1, 4, 4], label=" dog ", uuid="u")
    assert len(session.objects.where(label="dog")) == 1


def test_a_box_without_end_is_none(tmp_path: Path) -> None:
    with di.open(tmp_path / "bare.duckdb") as session:  # nobody knows how large a picture is that is not there
        session.add_frame([{"sample_id": "s0", "label": "a"}], media=None, progress=False)
        with pytest.raises(ActionError):
            asked(session, "act_objects", verb="add", no=0, box=[1e308, 0, 1e308, 5], uuid="u")
        assert not len(session.objects)


def test_examples_of_vectors_that_were_made_anew_are_not_mixed_with_earlier_ones(session: Session) -> None:
    asked(session, "similar", target={"type": "samples", "nos": [0]})
    nos, random = np.arange(SAMPLES, dtype=np.uint32), np.random.default_rng(1)
    with session.context.database.write() as cursor:
        made = vectors.create(cursor, "three", "r2", 5)
        vectors.store(cursor, made, nos, np.ones(SAMPLES, np.uint32), random.normal(size=(SAMPLES, 5)))
    with pytest.raises(ActionError, match="made anew since") as caught:
        asked(session, "similar", target={"type": "samples", "nos": [1]}, mode="like")
    assert caught.value.hint
    assert asked(session, "similar", target={"type": "samples", "nos": [1]})["count"] == SAMPLES


# ---- maps of objects ---------------------------------------------------------------------------------------------


def test_what_is_not_on_the_map_is_no_part_of_a_gesture_over_it(session: Session) -> None:
    mapped(session.context.database, np.arange(0, 2 * SAMPLES, 2))  # those labelled a
    session.select(session.where())
    box = {"type": "box", "projection": "boxes", "x0": -0.5, "y0": -1, "x1": 0.5, "y1": 1}
    asked(session, "select", shape=box, mode="subtract", source="scatter")
    assert session.objects.selected.nos().tolist() == [2, 4, 6, 8, 10]


def test_a_map_is_not_read_again_for_a_decision_about_samples(session: Session) -> None:
    mapped(session.context.database, np.arange(SAMPLES))
    places = Workspace.of(session.context).places
    read: list[str] = []
    original = ObjectPoints.read

    def counted(database: Database, name: str) -> ObjectPoints:
        read.append(name)
        return original(database, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectPoints, "read", counted)
        before = places.points("boxes")
        colors = coloring_of(Workspace.of(session.context), before, "label")
        session.where().tag("seen")
        assert coloring_of(Workspace.of(session.context), places.points("boxes"), "label") is colors
        assert read == ["boxes"]
        session.objects.where(label="a").take(1).delete()
        assert places.points("boxes").total == before.total - 1
    assert read == ["boxes", "boxes"]


def test_an_object_that_an_import_puts_on_another_sample_is_there_at_once(session: Session) -> None:
    first = session.objects.take(1)
    mapped(session.context.database, first.nos())
    places = Workspace.of(session.context).places
    assert places.points("boxes").no(0) == 0
    moved = {"object_id": first.ids()[0], "sample_id": "s3", "label": "a", "bbox": [1, 2, 8, 9]}
    session.add_objects([moved], on_conflict="replace", progress=False)
    assert places.points("boxes").no(0) == 3
    assert places.where("boxes", [0, 3, 2**40]) == [None, [0.0, 0.0], None]


def test_colours_of_objects_go_by_the_alphabet_and_the_rarest_share_one(tmp_path: Path) -> None:
    with di.open(tmp_path / "many.duckdb") as session:
        session.add_frame([{"sample_id": "s0"}], media=None, progress=False)
        labels = [f"l{n:03d}" for n in range(300)] + ["l299", "l299", None]
        session.add_objects(
            [{"sample_id": "s0", "label": label, "bbox": [0, 0, 1, 1]} for label in labels], progress=False
        )
        mapped(session.context.database, np.arange(len(labels)))
        workspace = Workspace.of(session.context)
        found = coloring_of(workspace, workspace.places.points("boxes"), "label")
        assert found.bytes_by_no is not None
        assert found.values == sorted(found.values) and found.values[:2] == ["l000", "l001"]
        assert found.values[-1] == "l299" and found.more == 300 - len(found.values)
        by_label = dict(zip(labels, found.bytes_by_no.tolist(), strict=True))
        assert [by_label[one] for one in found.values] == list(range(len(found.values)))
        assert by_label["l298"] == by_label["l290"] and by_label[None] == 255


def test_a_map_of_samples_is_not_called_what_a_map_of_objects_is(session: Session) -> None:
    mapped(session.context.database, np.arange(SAMPLES))
    with pytest.raises(ModelError, match="of objects already"):
        session.project("pca", embedding="three", name="boxes", progress=False)
    with pytest.raises(ModelError, match="of objects already"):
        session.add_projection("boxes", np.arange(SAMPLES), np.arange(SAMPLES))


# ---- autotag over objects ----------------------------------------------------------------------------------------


def crops_given(session: Session) -> None:
    nos, random = np.arange(2 * SAMPLES, dtype=np.uint32), np.random.default_rng(2)
    with session.context.database.write() as cursor:
        made = object_vectors.create(cursor, "crops", "r1", 3)
        boxes = np.tile([1.0, 2.0, 8.0, 9.0], (len(nos), 1))
        rows = random.normal(size=(len(nos), 3)).astype(np.float32)
        object_vectors.store(cursor, made, nos, np.ones(len(nos), np.uint32), boxes, rows)


def test_whatever_is_asked_of_autotag_over_objects_is_answered_or_refused(session: Session) -> None:
    crops_given(session)
    tagger = session.objects.autotag("<b>t</b>")
    ids = session.objects.ids()
    tagger.mark(ids[:3], ids[4:6])
    tagger.round()
    named = {"tag": tagger.tag, "of": "objects", "view": tagger.token}
    page = {"show": "best", "round": 1, "threshold": 0.5, "offset": 0, "limit": 9, "px": 64, "thumbs": True}
    whole: dict[str, dict[str, Any]] = {
        "autotag": {**named, "round": False, "nos": [0, 1]},
        "autotag_page": {**named, **page, "whole": False},
        "autotag_mark": {**named, "sign": "positive", "target": {"type": "objects", "nos": [1]}, "uuid": "u"},
        "autotag_commit": {**named, "round": 1, "threshold": 0.5, "uuid": "v"},
    }
    lists: list[Any] = [[], [0, 0, 1], [-1, 2**40], [None], [1.5], list(range(50))]
    targets: list[Any] = [{"type": kind, "nos": nos} for kind in ("objects", "samples") for nos in lists]
    odd: list[Any] = [*NUMBERS, *lists, *targets, {"type": "selection"}, {"type": "objects"}, None, "", "x" * 300]
    odd += [0.5, -1.0, 1e300, True, "samples", "another", "\0"]
    answered = 0
    for op, body in whole.items():
        for field in body:
            for number, value in enumerate(odd):
                said = body | {field: value}
                if "uuid" in body and field != "uuid":
                    said["uuid"] = f"{op} {field} {number}"
                try:
                    asked(session, op, **said)
                    answered += 1
                except DataideError as error:
                    assert error.message
    assert answered > 50, "many of these are no mistakes"
    labels = set(session.objects.to_arrow(["label"]).column("label").to_pylist())
    assert labels <= {"a", "b", tagger.tag, None}


def test_ids_and_labels_without_end_do_not_fill_a_page_of_crops(session: Session) -> None:
    crops_given(session)
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.object SET label = repeat('<b>', 100000) WHERE object_no < 3").fetchall()
        cursor.execute("UPDATE data.object SET object_id = repeat('i', 300000) WHERE object_no = 3").fetchall()
    tagger = session.objects.autotag("t")
    answer = asked(
        session, "autotag_page", tag="t", of="objects", view=tagger.token, show="best", round=0, threshold=0.5,
        offset=0, limit=50, px=64, thumbs=True,
    )  # fmt: skip
    assert len(answer["nos"]) == 2 * SAMPLES and len(json.dumps(answer)) < 10_000
    assert max(len(label) for label in answer["labels"]) == max(map(len, answer["ids"])) == 200


# ---- what a file holds -------------------------------------------------------------------------------------------


def test_objects_of_a_file_that_holds_nonsense_are_drawn_as_far_as_they_can_be(session: Session) -> None:
    nowhere = "{'x_px': 'nan'::DOUBLE, 'y_px': 1, 'visibility': 2}, {'x_px': NULL, 'y_px': 1, 'visibility': 2}, NULL"
    with session.context.database.write() as cursor:
        cursor.execute(f"UPDATE data.object SET keypoints = [{nowhere}] WHERE object_no = 0").fetchall()
        cursor.execute("UPDATE data.object_label SET skeleton = [NULL, [1], [NULL, 1], [0, 7]]").fetchall()
        cursor.execute(
            "INSERT INTO data.object_label (label, skeleton) SELECT DISTINCT label, [NULL, [1], [NULL, 1], [0, 7]] "
            "FROM data.object WHERE label IS NOT NULL AND label NOT IN (SELECT label FROM data.object_label)"
        ).fetchall()
        cursor.execute(
            "UPDATE data.object SET polygons = [NULL, [1, 2, NULL, 3, 4, 5], [0, 0, 1e300, 0, 1e300, 1e300]] "
            "WHERE object_no = 1"
        ).fetchall()
        cursor.execute(
            "UPDATE data.object SET mask_runs = [1, NULL, 4], mask_height_px = 24 WHERE object_no = 2"
        ).fetchall()
    asking = check({"nos": [0, 1], "px": None}, protocol.ASKS["objects"])
    reply = OPERATIONS["objects"](Workspace.of(session.context), asking)
    assert isinstance(reply, Reply)
    json.dumps(reply.body, allow_nan=False)
    assert reply.body["objects"] == [0, 1, 2, 3] and reply.body["keypoints"] is None
    assert reply.body["limbs"] is None
    assert np.isfinite(np.frombuffer(reply.buffers[1], np.float32)).all()


def test_a_mask_of_noise_is_drawn_with_larger_cells() -> None:
    noise = np.random.default_rng(0).random((600, 600)) < 0.5
    row = {"polygons": None, "mask_runs": masks.encoded(noise).tolist(), "mask_height_px": 600}
    found = object_rows.outlines_of(row, 1.0)
    assert 0 < sum(map(len, found)) <= object_rows.MOST_CORNERS
    assert all(ring.min() >= 0 and ring.max() <= 600 for ring in found)
    mask = np.random.default_rng(1).random((40, 30)) < 0.4
    assert masks.corners(mask) == sum(map(len, masks.outlines(mask)))


@pytest.mark.parametrize("runs", [[0, 4_000_000_000] * 40, [3, 20]])
def test_a_mask_that_is_none_is_not_unpacked_to_be_moved(session: Session, runs: list[int]) -> None:
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.object SET mask_runs = ?, mask_height_px = 24 WHERE object_no = 0", [runs])
    with pytest.raises(ActionError, match="cannot be moved") as caught:
        asked(session, "act_objects", verb="move", objects=[0], box=[2, 2, 5, 5], uuid="u")
    assert caught.value.hint and session.objects.take(1).to_pandas()["left_px"].tolist() == [1.0]


@pytest.mark.parametrize("made_at", ["infinity", "290000-01-01"])
def test_issues_of_a_file_that_holds_nonsense_are_listed(session: Session, made_at: str) -> None:
    session.find_issues("grey", progress=False)
    with session.context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.issue SELECT sample_no, 'grey', 'nan', true, repeat('p', 10000), 'inf', "
            "repeat('r', 10000), NULL, media_revision, label, false, 0, NULL FROM data.sample"
        ).fetchall()
        cursor.execute("UPDATE data.issue_search SET made_at = ?, note = repeat('n', 10000)", [made_at]).fetchall()
    page = {"kind": "grey", "state": "open", "order": "severity", "offset": 0, "limit": 9, "thumbs": False, "px": 64}
    rows = asked(session, "issue_page", **page)["rows"]
    assert len(rows) == SAMPLES
    assert {(row["score"], row["confidence"], len(row["reason"]), len(row["proposal"])) for row in rows} == {
        (1.0, None, 500, 200)
    }
    assert len(json.dumps(asked(session, "issue_kinds"))) < 2_000
    assert asked(session, "hello")["state"]["issues"][0]["worst"] == 1.0
    tiles = asked(session, "page", offset=0, limit=9, thumbs=False, px=64, caption=None)["issues"]
    assert [one[0]["score"] for one in tiles] == [1.0] * SAMPLES


def test_a_map_of_a_file_that_has_a_huge_number_of_an_object_is_small(session: Session) -> None:
    mapped(session.context.database, np.arange(SAMPLES))
    with session.context.database.write() as cursor:
        for table in ("object", "object_point"):
            cursor.execute(f"UPDATE data.{table} SET object_no = 4000000000 WHERE object_no = 5").fetchall()
    points = Workspace.of(session.context).places.points("boxes")
    assert (points.total, points.reach) == (SAMPLES - 1, SAMPLES - 1)


# ---- the index ---------------------------------------------------------------------------------------------------


def test_vectors_that_point_nowhere_make_no_index(session: Session) -> None:
    pytest.importorskip("usearch")
    nos = np.arange(SAMPLES, dtype=np.uint32)
    with session.context.database.write() as cursor:
        made = vectors.create(cursor, "zero", "r1", 3)
        vectors.store(cursor, made, nos, np.ones(SAMPLES, np.uint32), np.zeros((SAMPLES, 3), np.float32))
    with pytest.raises(ModelError, match="All vectors of 'zero' are zero") as caught:
        session.index("zero")
    assert caught.value.hint
