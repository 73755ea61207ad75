"""Objects as crops: embedded where missing or stale, compared, laid out on a map, selected."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ActionError, ModelError, UnknownSample
from dataide.inference.crops import crop
from dataide.widgets import chosen_objects
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.workspace import Workspace

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}


def mean_colour(pictures: list[Image.Image]) -> np.ndarray:
    """What is embedded: the mean colour around grey, and the sides of the crop."""
    rows = [np.asarray(one.convert("RGB"), np.float32).reshape(-1, 3).mean(axis=0) - 128 for one in pictures]
    return np.stack(rows)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    """Eight pictures of 60 x 40 px; each with a red, a green and a blue square of 10 px at places of their own."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(8):
        image = Image.new("RGB", (60, 40), (128, 128, 128))
        for place, (label, colour) in enumerate(COLOURS.items()):
            left, top = 4 + 18 * place, 5 + index * 2
            shade = tuple(int(np.clip(value + rng.integers(-15, 15), 0, 255)) for value in colour)
            image.paste(shade, (left, top, left + 10, top + 10))
            rows.append({"sample_id": f"p{index}.png", "object_id": f"{label}{index}", "label": label,
                         "bbox": [left, top, 10, 10]})  # fmt: skip
        image.save(tmp_path / f"p{index}.png")
    with di.open(tmp_path / "crops.duckdb") as made:
        made.add_folder(tmp_path, progress=False)
        made.add_objects(rows, progress=False)
        yield made


def test_each_object_gets_the_vector_of_its_crop_and_the_same_call_does_nothing_twice(session: di.Session) -> None:
    report: Any = session.objects.embed(mean_colour, name="colour", progress=False)
    assert (report.embedded, report.present, report.problems, report.dimension) == (24, 0, 0, 3)
    vectors = session.objects.vectors("colour")
    assert len(vectors) == 24 and vectors.to_numpy().shape == (24, 3)
    table = vectors.to_pandas().set_index("object_id")["vector"]
    assert table["red3"][0] > 60 and table["red3"][1] < -60
    assert table["blue5"][2] > 60 and table["blue5"][0] < -60
    again: Any = session.objects.embed(mean_colour, name="colour", progress=False)
    assert (again.embedded, again.present) == (0, 24)
    assert "24 had their vectors already" in repr(again)


def test_what_was_moved_or_whose_picture_changed_is_embedded_anew(session: di.Session, tmp_path: Path) -> None:
    session.objects.embed(mean_colour, name="colour", progress=False)
    session.objects.ids_named("red0").move([22, 5, 10, 10])  # onto the green square
    assert len(session.objects.vectors()) == 23
    report: Any = session.objects.embed(mean_colour, name="colour", progress=False)
    assert (report.embedded, report.present) == (1, 23)
    row = session.objects.vectors().to_pandas().set_index("object_id")["vector"]["red0"]
    assert row[1] > 60 and row[0] < -60
    session.undo()
    assert len(session.objects.vectors()) == 23  # the box went back, and the vector is of another one
    Image.new("RGB", (60, 40), (250, 250, 250)).save(tmp_path / "p4.png")
    session.add_folder(tmp_path, on_conflict="replace", progress=False)
    assert len(session.objects.vectors()) == 20
    report = session.objects.embed(mean_colour, name="colour", progress=False)
    assert report.embedded == 4
    session.objects.ids_named("blue7").delete()
    assert len(session.objects.vectors()) == 23


def test_samples_that_share_a_picture_share_it_across_readings(session: di.Session, tmp_path: Path) -> None:
    again = [{"path": str(tmp_path / "p0.png"), "sample_id": "again"}]
    session.add_frame(again, media="path", sample_id="sample_id", progress=False)
    few = ["p0.png"] * 8 + ["p1.png", "again"]  # eight objects are read at first, then those of two other samples
    session.add_objects([{"sample_id": one, "label": "new", "bbox": [4, 5, 10, 10]} for one in few], progress=False)
    report: Any = session.objects.where(label="new").embed(mean_colour, name="colour", progress=False)
    assert (report.embedded, report.problems) == (10, 0)
    rows = session.objects.vectors("colour").to_numpy()
    assert np.array_equal(rows[-1], rows[0])


def test_objects_without_a_box_or_outside_of_the_picture_are_said(session: di.Session) -> None:
    session.add_objects(
        [
            {"sample_id": "p0.png", "object_id": "none", "label": "red"},
            {"sample_id": "p0.png", "object_id": "flat", "label": "red", "bbox": [1, 1, 0, 5]},
            {"sample_id": "p0.png", "object_id": "far", "label": "red", "bbox": [500, 500, 5, 5]},
        ],
        progress=False,
    )
    report: Any = session.objects.embed(mean_colour, name="colour", progress=False)
    assert (report.embedded, report.boxless, report.problems) == (24, 2, 1)
    problem = next(row for row in session.problems().to_dict("records") if row["media"] == "far")
    assert problem["code"] == "outside" and "60 x 40 px" in problem["reason"]


def test_similar_objects_have_the_same_colour_and_not_the_one_they_are_unlike(session: di.Session) -> None:
    session.objects.embed(mean_colour, name="colour", progress=False)
    found = session.objects.similar("red2", 7)
    assert found.labels == {"red": 7} and "red2" not in found.ids()
    table = found.to_pandas()
    assert list(table["similarity"]) == sorted(table["similarity"], reverse=True)
    assert found.where("similarity > 0.5", label="red").count() == 7
    both = session.objects.similar(["red1", "blue1"], unlike="green1")
    assert both.take(14).labels == {"red": 7, "blue": 7} and "green1" not in both.ids()
    some = session.objects.where(label="blue").similar("red2")
    assert some.labels == {"blue": 8}
    assert session.sql(found.sql).fetchall()[0][0] == found.ids()[0]


def test_a_region_that_is_no_object_finds_objects_and_samples(session: di.Session) -> None:
    session.objects.embed(mean_colour, name="colour", progress=False)
    found = session.objects.similar("p0.png", 8, box=(41, 6, 6, 6))
    assert found.labels == {"blue": 8}
    session.embed(mean_colour, name="whole", progress=False)
    whole = session.similar("p0.png", 3, box=(41, 6, 6, 6), embedding="whole")
    assert len(whole) == 3 and "a region of p0.png" in repr(whole)


def test_vectors_outlive_the_session_and_searching_reads_them_from_it(session: di.Session, tmp_path: Path) -> None:
    session.objects.embed(mean_colour, name="colour", progress=False)
    before = session.objects.similar("green0").ids()
    session.close()
    with di.open(tmp_path / "crops.duckdb") as again:
        assert again.objects.similar("green0").ids() == before
        with pytest.raises(ModelError, match="model of yours"):
            again.objects.similar(np.zeros((4, 4, 3), np.uint8))


def test_a_map_of_objects_has_a_point_for_each_and_a_lasso_selects_them(session: di.Session) -> None:
    session.objects.embed(mean_colour, name="colour", progress=False)
    report: Any = session.objects.project("pca", progress=False)
    assert report.placed == 24 and "24 objects" in repr(report)
    places = session.objects.map().to_pandas()
    assert len(places) == 24 and set(places["label"]) == set(COLOURS)
    reds = places[places["label"] == "red"]
    low, high = reds[["x", "y"]].min() - 1e-3, reds[["x", "y"]].max() + 1e-3
    corners = [(low.x, low.y), (high.x, low.y), (high.x, high.y), (low.x, high.y)]
    inside = session.objects.inside(corners)
    assert inside.labels == {"red": 8}  # colours lie apart
    chosen = inside.where("object_id < 'red3'").select()
    assert sorted(chosen.ids()) == ["red0", "red1", "red2"]
    assert sorted(session.objects.selected.ids()) == ["red0", "red1", "red2"]
    assert sorted(session.selection.ids()) == ["p0.png", "p1.png", "p2.png"]
    with pytest.raises(ActionError, match="none"):
        session.objects.inside([(0, 0), (1, 1)])


def test_clear_words_where_there_is_nothing_to_compare(session: di.Session) -> None:
    with pytest.raises(ModelError, match="no vectors yet") as refusal:
        session.objects.similar("red0")
    assert refusal.value.hint == "session.objects.embed() makes them."
    session.objects.where(label="red").embed(mean_colour, name="colour", progress=False)
    with pytest.raises(ModelError, match="The object 'blue0' has no vector"):
        session.objects.similar("blue0")
    with pytest.raises(UnknownSample, match="no object 'violet'"):
        session.objects.similar("violet")
    with pytest.raises(ModelError, match="no map of objects"):
        session.objects.map()


def test_a_crop_takes_whole_pixels_and_stays_inside() -> None:
    image = Image.new("RGB", (20, 10))
    image.putpixel((19, 9), (255, 0, 0))
    with Image.open(BytesIO(crop(image, (18.6, 8.2, 100, 100)))) as cut:
        assert cut.size == (2, 2) and cut.getpixel((1, 1)) == (255, 0, 0)
    for box in [(0, 0, 0, 5), (0, 0, float("nan"), 5), (30, 3, 4, 4), (3, -9, 4, 4)]:
        with pytest.raises(ActionError):
            crop(image, box)


def test_a_plot_of_objects_has_a_point_for_each_and_a_gesture_over_it_selects_objects(session: di.Session) -> None:
    with pytest.raises(di.DataideError, match="no map of objects"):
        session.scatter(of="objects")
    session.objects.embed(mean_colour, name="colour", progress=False)
    session.objects.project("pca", progress=False)
    panel = session.scatter(of="objects", color="label")
    name = panel.config["projection"]
    assert name == "objects/colour/pca" and panel.sentence().endswith(": a map of 24 objects")
    parts = list(ask(session, "points", projection=name, color="label"))
    assert parts[0].body["total"] == 24
    legend = {one["value"]: one["count"] for one in parts[0].body["legend"]["entries"]}
    assert legend == {"red": 8, "green": 8, "blue": 8}  # the objects' labels, not the samples'
    places = session.objects.map(name).to_pandas()
    red = places[(places["label"] == "red")]
    box = {"type": "box", "projection": name, "x0": red["x"].min(), "x1": red["x"].max(), "y0": red["y"].min(),
           "y1": red["y"].max()}  # fmt: skip
    answer = ask(session, "select", shape=box, mode="replace", source="scatter").body
    assert answer["count"] == 8  # each sample has a red one
    assert session.objects.selected.labels == {"red": 8}
    marks = ask(session, "marks", projection=name)
    assert marks.body["selected"] in ("only", "some") and marks.body["visible"] == "all"
    assert marked(marks.body["selected"], marks.buffers[0]) == 8
    # Another object on the same samples is another selection, and plots hear of it.
    version = session.context.selection.version
    one = places[places["object_id"] == "blue3"].iloc[0]
    spot = box | {"x0": one.x - 1e-3, "x1": one.x + 1e-3, "y0": one.y - 1e-3, "y1": one.y + 1e-3}
    assert ask(session, "select", shape=spot, mode="add", source="scatter").body["version"] > version
    assert session.objects.selected.labels == {"red": 8, "blue": 1}
    ask(session, "select", shape=box, mode="subtract", source="scatter")
    assert session.objects.selected.ids() == ["blue3"] and session.selection.ids() == ["p3.png"]
    # Selected elsewhere: then all objects of the samples are.
    session.select("p5.png")
    assert sorted(session.objects.selected.ids()) == ["blue5", "green5", "red5"]
    marks = ask(session, "marks", projection=name)
    assert marked(marks.body["selected"], marks.buffers[0]) == 3
    peeks = [ask(session, "peek", projection=name, index=index, px=64).body for index in range(24)]
    assert all(peek["id"].endswith(".png") for peek in peeks)
    # Under the pointer stands the label of the object, as in the legend.
    assert {label: sum(peek["label"] == label for peek in peeks) for label in legend} == legend
    session.objects.ids_named("red0").delete()
    assert next(iter(ask(session, "points", projection=name, color=None))).body["total"] == 23
    state = ask(session, "hello").body["state"]
    assert name in [one["name"] for one in state["projections"]]


def ask(session: di.Session, op: str, **body: Any) -> Any:
    return OPERATIONS[op](Workspace.of(session.context), body)


def marked(form: str, buffer: bytes) -> int:
    """How many points marks name; see `Share` in js/core/protocol.ts."""
    if form == "some":
        return int(np.unpackbits(np.frombuffer(buffer, np.uint8)).sum())
    assert form == "only"
    return sum(1 for byte in buffer if byte < 128)  # the last byte of each varint


def test_the_pointer_over_a_map_of_objects_is_answered_with_the_object_cut_out(session: di.Session) -> None:
    session.objects.embed(mean_colour, name="colour", progress=False)
    session.objects.project("pca", progress=False)
    workspace = Workspace.of(session.context)
    placed: Any = workspace.places.points("objects/colour/pca")
    for index in (0, 11, 23):
        reply: Any = OPERATIONS["peek"](workspace, {"projection": "objects/colour/pca", "index": index, "px": 64})
        cut = np.asarray(Image.open(BytesIO(reply.buffers[0])).convert("RGB"), float)
        assert reply.body["object"]["no"] == placed.object_no(index) and reply.body["no"] == placed.no(index)
        tall, wide = cut.shape[:2]
        assert max(tall, wide) == 18  # the 10 px of the square, and 4 px on each side
        left, top, width, height = np.multiply(reply.body["object"]["box"], (wide, tall) * 2)
        inner = cut[int(top) + 2 : int(top + height) - 2, int(left) + 2 : int(left + width) - 2].mean(axis=(0, 1))
        assert int(np.argmax(inner)) == ["red", "green", "blue"].index(reply.body["label"])
        assert np.abs(cut[1, 1] - 128).max() < 40  # what is around it


def test_objects_selected_from_python_are_told_though_their_samples_stay_the_same(session: di.Session) -> None:
    selection = session.context.selection
    session.objects.where(label="red").select()
    first = selection.version
    assert session.objects.selected.labels == {"red": 8}
    session.objects.where(label="blue").select()
    assert selection.version > first and len(session.selection) == 8
    assert session.objects.selected.labels == {"blue": 8}


def test_who_asks_which_objects_are_selected_waits_for_the_gesture_to_end(session: di.Session) -> None:
    objects = session.objects.where(label="red")
    chosen: list[Any] = []
    asking = threading.Thread(target=lambda: chosen.append(session.objects.selected.labels))
    with chosen_objects.choosing(session.context):
        version = session.context.selection.take(objects.samples().nos(), "replace", "code").version
        asking.start()
        asking.join(0.05)  # all three of each sample would be at hand by now
        chosen_objects.remember(session.context, objects.nos(), version)
    asking.join(10)
    assert chosen == [{"red": 8}]
