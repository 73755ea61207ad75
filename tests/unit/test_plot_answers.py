"""What panels are told about the points of a map: parts, colours, marks, gestures, details and density."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import coloring, density, gesture, plot_files, points
from dataide.widgets.answers import OPERATIONS, plot
from dataide.widgets.scatter import Scatter
from dataide.widgets.workspace import Workspace
from tests.unit.plot_session import COUNT, RARE, ask, few_are_many, plot_session, whole


@pytest.fixture(autouse=True)
def files_for_few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    few_are_many(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return plot_session(tmp_path / "big.duckdb")


@pytest.fixture
def session(file: Path) -> Iterator[di.Session]:
    with di.open(file) as opened:
        yield opened


@pytest.fixture
def workspace(session: di.Session) -> Workspace:
    return Workspace(session.context)


def test_places_that_are_no_numbers_are_no_points(session: di.Session, workspace: Workspace) -> None:
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.point SET x = 'nan' WHERE sample_no = 1")
        cursor.execute("UPDATE data.point SET y = 'inf' WHERE sample_no = 2")
        cursor.execute("UPDATE data.point SET y = '-inf' WHERE sample_no = 4")
        cursor.execute("INSERT INTO data.point VALUES (0, 4000000000, 1, 0, 0)")
    held = workspace.places.points("map")
    assert held.total == COUNT - 3 and np.isfinite(held.bounds).all()
    assert not set(held.samples(0, held.total).tolist()) & {1, 2, 4, 4_000_000_000}
    answer = ask(workspace, "locate", projection="map", nos=[1, 2, 3])[0].body["places"]
    assert answer[:2] == [None, None] and answer[2] is not None
    empty = ask(workspace, "points", projection="older", color="label")
    assert len(empty) == 1 and empty[0].body["total"] == 0 and whole(empty, 0) == b""
    shape = {"type": "polygon", "projection": "older", "points": [0, 0, 1, 0, 1, 1]}
    assert ask(workspace, "select", shape=shape, mode="replace", source="s")[0].body["count"] == 0
    for op, more in (("marks", {}), ("detail", {"box": [0, 0, 1, 1], "color": "label"})):
        assert ask(workspace, op, projection="older", **more)[0].body["places"]


def test_points_come_in_parts_and_go_on_where_they_were_cut(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "POINTS_A_PART", 4_096)
    replies = ask(workspace, "points", projection=None, color="label")
    assert [reply.body["count"] for reply in replies] == [20_000, 4_096, 4_096, 1_808]
    rest = ask(workspace, "points", projection=None, color="label", offset=24_096)
    assert [reply.body["offset"] for reply in rest] == [24_096, 28_192]
    for at, size in ((0, 4), (1, 1)):
        assert whole(replies, at)[24_096 * size :] == whole(rest, at)
    assert len({reply.body["places"] for reply in [*replies, *rest]}) == 1
    end = ask(workspace, "points", projection=None, color="label", offset=COUNT + 5)
    assert len(end) == 1 and end[0].body["count"] == 0
    bytes_of_points = sum(len(buffer) for reply in replies for buffer in reply.buffers)
    assert bytes_of_points == 5 * COUNT


class Clock:
    """A clock that stands still but for what a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("taken_s", "sizes"),
    [
        ([0.01] * 9, [300, 400, 800, 1_600, 2_000, 2_000]),  # quick: twice as many, up to the most
        ([0.2] * 9, [300, 400, 400, 400]),  # as it is
        ([0.6] * 9, [300, 400, 200, 150, 150]),  # slow: half as many, down to the least
        ([9.0, 0.01, 0.6, 0.6, 0.2], [300, 400, 800, 400, 200]),  # the first part is too small to say anything
    ],
)
def test_parts_grow_while_they_are_taken_quickly(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, taken_s: list[float], sizes: list[int]
) -> None:
    clock = Clock()
    monkeypatch.setattr(plot, "time", clock)
    for name, value in (("FIRST_PART", 300), ("SECOND_PART", 400), ("POINTS_A_PART", 2_000), ("LEAST_A_PART", 150)):
        monkeypatch.setattr(plot, name, value)
    parts = plot.points(workspace, {"projection": "map", "color": None})
    counts, waits, expected_offset = [], iter(taken_s), 0
    for part in parts:
        assert part.body["offset"] == expected_offset
        expected_offset += part.body["count"]
        counts.append(part.body["count"])
        clock.now += next(waits)
        if len(counts) == len(sizes):
            break
    assert counts == sizes


def test_the_first_colours_are_those_of_the_whole_column(workspace: Workspace) -> None:
    first = plot.first_part(workspace, None, "label")
    assert not workspace.places.colorings.is_ready("label"), "the column was not read for them"
    replies = ask(workspace, "points", projection=None, color="label", offset=0)
    assert first.body["legend"] == replies[-1].body["legend"] and first.buffers[1] == replies[0].buffers[1]
    everything = np.frombuffer(whole(replies, 1), np.uint8)
    nos = workspace.places.points(None).samples(0, COUNT)
    by_label = {entry["value"]: entry for entry in replies[0].body["legend"]["entries"]}
    assert by_label["rare"]["count"] == RARE
    assert (everything[nos < RARE] == by_label["rare"]["color"]).all()
    assert (everything[(nos % 7 == 0) & (nos >= RARE)] == by_label[None]["color"]).all() and by_label[None][
        "color"
    ] == 255
    assert {entry["color"]: entry["count"] for entry in by_label.values()} == dict(
        zip(*np.unique(everything, return_counts=True), strict=True)
    )
    whole_colors = ask(workspace, "colors", projection="map", color="label")
    assert whole(whole_colors, 0) == everything.tobytes()


def test_what_the_first_points_look_like_is_asked_once(
    workspace: Workspace, session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    colorings, placed = workspace.places.colorings, workspace.places.points("map")
    made: list[str] = []
    real = coloring.Colorings._glimpse

    def noted(self: coloring.Colorings, column: str, points: Any) -> Any:
        made.append(column)
        return real(self, column, points)

    monkeypatch.setattr(coloring.Colorings, "_glimpse", noted)
    first = colorings.first("label", placed)
    assert isinstance(first, coloring.Glimpse) and colorings.first("label", placed) is first and made == ["label"]
    session.where(sample_id="s100").relabel("another")
    after = colorings.first("label", placed)
    assert made == ["label"] * 2 and "another" in [value for value, _, _ in after.entries(placed)]
    session.where(sample_id="s100").tag("t")
    assert colorings.first("label", placed) is after, "a tag changes no label"
    colorings.get("label")
    assert not isinstance(colorings.first("label", placed), coloring.Glimpse), "the whole column is at hand"
    with pytest.raises(di.DataideError, match="lable"):
        colorings.first("lable", placed)


def test_thirty_thousand_categories_have_254_colours_and_the_rest_another(workspace: Workspace) -> None:
    first = plot.first_part(workspace, None, "sample_id")
    replies = ask(workspace, "points", projection=None, color="sample_id")
    legend = replies[0].body["legend"]
    assert len(legend["entries"]) == 254 and legend["more"] == COUNT - 254 and first.body["legend"] == legend
    colors = np.frombuffer(whole(replies, 1), np.uint8)
    assert np.count_nonzero(colors == 254) == COUNT - 254 and len(np.unique(colors)) == 255


def test_marks_are_bits_only_where_it_is_not_all_or_none(workspace: Workspace, session: di.Session) -> None:
    reply = ask(workspace, "marks", projection="map")[0]
    assert (reply.body["selected"], reply.body["visible"], reply.buffers) == ("none", "all", [])
    workspace.selection.combine(np.arange(COUNT) % 3 == 0)
    workspace.filter.set("text", {"type": "sql", "text": "label = 'c1'"})
    reply = ask(workspace, "marks", projection="map")[0]
    assert (reply.body["selected"], reply.body["visible"]) == ("some", "some")
    nos = workspace.places.points("map").samples(0, COUNT)
    for buffer, mask in zip(reply.buffers, (workspace.selection.mask, workspace.filter.mask()), strict=True):
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")[:COUNT].astype(bool)
        assert np.array_equal(bits, mask[nos])
    workspace.filter.clear()
    workspace.selection.combine(np.ones(COUNT, bool))
    reply = ask(workspace, "marks", projection="map")[0]
    assert (reply.body["selected"], reply.body["visible"], reply.buffers) == ("all", "all", [])


def test_a_lasso_tells_panels_how_to_follow(workspace: Workspace, session: di.Session) -> None:
    circle = np.stack([np.cos(np.linspace(0, 6, 40)), np.sin(np.linspace(0, 6, 40))], axis=1) * 0.3 + 0.5
    shape = {"type": "polygon", "projection": "map", "points": circle.ravel().round(3).tolist()}
    workspace.filter.set("text", {"type": "sql", "text": "bytes % 2 = 0"})
    held = workspace.places.points("map")
    selected = np.zeros(COUNT, bool)
    ring: Any = gesture.ring_of(np.array(shape["points"]).reshape(-1, 2), held.bounds)
    pairs = held.quantised(0, COUNT)
    inside = gesture.inside_ring(pairs[:, 0], pairs[:, 1], ring)
    page = np.zeros(COUNT, bool)  # flags in the order of the wire
    visible = workspace.filter.mask()[held.samples(0, COUNT)]
    for mode in ("replace", "subtract", "add", "intersect", "replace"):
        before = workspace.selection.version
        answer = ask(workspace, "select", shape=shape, mode=mode, source="scatter-1", token="mine")[0].body
        told = workspace.selection.gesture
        count, version, same = workspace.selection.told()
        assert same is told and (count, version) == (answer["count"], answer["version"])
        if told is not None and version != before:
            assert told["token"] == "mine" and told["from"] == before and told["shape"] == shape
            assert told["places"] == held.places and told["mode"] == mode
            page = gesture.combined(page, inside & visible, mode)
            page[told["on"]], page[told["off"]] = True, False
        assert np.array_equal(page, workspace.selection.mask[held.samples(0, COUNT)]), mode
        selected = workspace.selection.mask
    assert selected.any() and not selected[1::2].any(), "only what passes the filter is selected"
    session.select(["s5"])
    assert workspace.selection.gesture is None, "what Python selects is no gesture"


def test_a_gesture_that_changes_nothing_is_told_where_a_page_would_think_otherwise(workspace: Workspace) -> None:
    held = workspace.places.points("map")
    plot_of = held.plot
    # A needle between the exact place of a point and its rounded one: the page sees one point inside, the kernel none.
    for row in range(held.total):
        x, y = float(plot_of.cell_x[row]), float(plot_of.cell_y[row])
        step = (held.bounds[2] - held.bounds[0]) / 65_535
        rounded = held.bounds[0] + round((x - held.bounds[0]) / step) * step
        if rounded - x > 0.3 * step:
            break
    left, tall = (x + rounded) / 2, (held.bounds[3] - held.bounds[1]) / 65_535
    corners = [left, y - tall, left + step, y - tall, left + step, y + tall, left, y + tall]
    shape = {"type": "polygon", "projection": "map", "points": corners}
    before = workspace.selection.version
    answer = ask(workspace, "select", shape=shape, mode="replace", source="s", token="t")[0].body
    told = workspace.selection.gesture
    assert answer["count"] == 0 and answer["version"] == before + 1
    assert told is not None and told["off"] == [int(plot_of.positions[row])] and told["on"] == []


def test_a_filter_that_changes_meanwhile_makes_a_page_ask(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataide.widgets.answers import lassos

    versions = iter(range(100))
    monkeypatch.setattr(lassos, "passing", lambda _: next(versions))
    shape = {"type": "box", "projection": "map", "x0": 0.2, "y0": 0.2, "x1": 0.7, "y1": 0.7}
    answer = ask(workspace, "select", shape=shape, mode="replace", source="s", token="t")[0].body
    assert answer["count"] > 0 and workspace.selection.gesture is None
    again = ask(workspace, "select", shape=shape, mode="replace", source="s", token="t")[0].body
    assert again["version"] == answer["version"] + 1, "a page that painted by itself learns that it must ask"


def test_detail_has_exact_places_and_flags(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.selection.combine(np.arange(COUNT) % 3 == 0)
    workspace.filter.set("text", {"type": "sql", "text": "bytes % 2 = 0"})
    box = [0.4, 0.4, 0.45, 0.47]
    reply = ask(workspace, "detail", projection="map", box=box, color="label")[0]
    held = workspace.places.points("map")
    positions = np.frombuffer(reply.buffers[0], np.uint32)
    pairs = np.frombuffer(reply.buffers[1], np.uint16).reshape(-1, 2)
    flags = np.frombuffer(reply.buffers[3], np.uint8)
    nos = held.samples(0, COUNT)[positions]
    assert reply.body["count"] == reply.body["inside"] == len(nos) > 50
    inside = held.in_box(*box).mask
    assert sorted(nos.tolist()) == np.flatnonzero(inside).tolist()
    for at in range(len(nos)):
        x, y = workspace.places.where("map", [int(nos[at])])[0] or (0, 0)
        assert abs(pairs[at, 0] / 65_535 * 0.05 + 0.4 - x) < 1e-6 and abs(pairs[at, 1] / 65_535 * 0.07 + 0.4 - y) < 1e-6
    assert np.array_equal(flags & 1, (nos % 3 == 0).astype(np.uint8))
    assert np.array_equal(flags >> 1, (nos % 2 == 0).astype(np.uint8))
    expected = np.frombuffer(whole(ask(workspace, "colors", projection="map", color="label"), 0), np.uint8)[positions]
    assert np.array_equal(np.frombuffer(reply.buffers[2], np.uint8), expected)
    monkeypatch.setattr(plot, "MOST_IN_DETAIL", 40)
    many = ask(workspace, "detail", projection="map", box=box, color="label")[0]
    assert (many.body["count"], many.body["inside"]) == (0, len(nos)) and many.buffers == [b"", b"", b"", b""]


@pytest.mark.parametrize("box", [[0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, float("inf")]])
def test_a_box_that_is_none_is_refused(workspace: Workspace, box: list[float]) -> None:
    for op, more in (("detail", {}), ("density", {"width": 4, "height": 4})):
        with pytest.raises(di.DataideError, match="box"):
            OPERATIONS[op](workspace, {"projection": "map", "box": box, "color": None, **more})


@pytest.mark.parametrize("most_exact", [10**6, 100])
def test_density_counts_every_point_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, most_exact: int
) -> None:
    monkeypatch.setattr(density, "MOST_EXACT", most_exact)
    monkeypatch.setattr(density, "_AT_ONCE", 5_000)
    workspace.selection.combine(np.arange(COUNT) % 3 == 0)
    workspace.filter.set("text", {"type": "sql", "text": "bytes % 2 = 0"})
    asked = [0.2, 0.1, 0.8, 0.9]
    reply = ask(workspace, "density", projection="map", box=asked, width=40, height=30, color="label")[0]
    said = reply.body
    held, box = workspace.places.points("map"), said["box"]
    assert (
        box[0] <= 0.2
        and box[1] <= 0.1
        and box[2] >= 0.8
        and box[3] >= 0.9
        and said["width"] <= 40 >= said["height"] - 10
    )
    nos, x, y = held.plot.cell_nos, held.plot.cell_x.astype(float), held.plot.cell_y.astype(float)
    inside = (
        held.in_box(*box).mask[nos] if most_exact > 100 else (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    )
    assert said["inside"] == inside.sum()
    column = np.clip(((x - box[0]) / (box[2] - box[0]) * said["width"]).astype(int), 0, said["width"] - 1)
    row = np.clip(((y - box[1]) / (box[3] - box[1]) * said["height"]).astype(int), 0, said["height"] - 1)
    cell = row * said["width"] + column
    passes, chosen = nos % 2 == 0, nos % 3 == 0
    counts = [
        np.bincount(cell[inside & which], minlength=said["width"] * said["height"])
        for which in (passes, ~passes, chosen)
    ]
    assert said["highest"] == max(one.max() for one in counts)
    for buffer, count in zip(reply.buffers, counts, strict=False):
        levels = np.frombuffer(buffer, np.uint8)
        expected = np.rint(255 * np.log1p(count) / np.log1p(said["highest"]))
        expected[count > 0] = np.maximum(expected[count > 0], 1)
        assert np.array_equal(levels, expected)
    colors = workspace.places.coloring("label").of_samples(nos)
    commonest = np.frombuffer(reply.buffers[3], np.uint8)
    for one in np.unique(cell[inside & passes]):
        there = np.bincount(colors[inside & passes & (cell == one)])
        assert there[commonest[one]] == there.max()


def test_of_too_many_points_a_page_holds_a_fair_sample(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MOST_POINTS", 25_000)
    replies = ask(workspace, "points", projection=None, color="label")
    assert sum(reply.body["count"] for reply in replies) == replies[0].body["held"] == 25_000
    assert replies[0].body["total"] == COUNT
    workspace.selection.combine(np.arange(COUNT) % 3 == 0)
    marked = ask(workspace, "marks", projection="map")[0]
    assert len(marked.buffers[0]) == 25_000 // 8 and marked.body["held"] == 25_000
    assert len(whole(ask(workspace, "colors", projection="map", color="label"), 0)) == 25_000
    shape = {"type": "box", "projection": "map", "x0": -1, "y0": -1, "x1": 2, "y1": 2}
    assert ask(workspace, "select", shape=shape, mode="replace", source="s", token="t")[0].body["count"] == COUNT
    assert workspace.selection.gesture is None, "density is asked for anew anyway"


def test_first_answers_do_not_wait_for_all_points(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    held_up = threading.Event()
    real = plot_files.arranged

    def slowly(*arguments: Any) -> Any:
        assert held_up.wait(10)
        return real(*arguments)

    monkeypatch.setattr(plot_files, "arranged", slowly)
    panel = Scatter(session.context, color="label")
    answers = {op: reply for op, _, reply in panel.first_answers()}
    assert answers["points"].body["count"] == 20_000 and answers["marks"].body["visible"] == "all"
    session.select(["s1"])
    assert "marks" not in {op for op, _, _ in panel.first_answers()}, "bits for all points need all points"
    assert panel.picture() is not None
    held_up.set()
    panel.workspace.places.points(None).samples(0, COUNT)
    assert {op for op, _, _ in panel.first_answers()} == {"points", "marks"}
