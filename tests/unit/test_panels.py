"""What panels are told by the kernel, on a real session: counts, pages, points, gestures, decisions, pictures."""

from __future__ import annotations

import io
import shutil
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import actions
from dataide.errors import DataideError, StaleOrder, UnknownColumn
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS, decisions
from dataide.widgets.dialogue import Reply
from dataide.widgets.hub import Hub
from dataide.widgets.wire import check
from tests.unit.small_session import small_session

BUILT = (Path(di.__file__).parent / "static" / "workbench.js").is_file()
pytestmark = pytest.mark.skipif(not BUILT, reason="the JavaScript is not built: make setup")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    with small_session(folder):
        pass
    return folder / "small.duckdb"


@pytest.fixture
def session(built: Path, tmp_path: Path) -> Iterator[di.Session]:
    shutil.copy(built, tmp_path)
    with di.open(tmp_path / "small.duckdb") as session:
        yield session


def ask(session: di.Session, op: str, **body: Any) -> Reply:
    """The last part of the answer, checked against the protocol on both ways."""
    checked = check(body, protocol.ASKS[op])
    answer = OPERATIONS[op](Hub.of(session.context).workspace, checked)
    reply = answer if isinstance(answer, Reply) else list(answer)[-1]
    assert check(reply.body, protocol.ANSWERS[op], "answer") == reply.body
    return reply


def page(session: di.Session, **more: Any) -> Any:
    asked = {"offset": 0, "limit": 100, "thumbs": False, "px": 64, "caption": None, **more}
    return ask(session, "page", **asked).body


def select(session: di.Session, **shape: Any) -> Any:
    return ask(session, "select", shape=shape, mode="replace", source="test").body


def test_the_state_says_everything_small(session: di.Session) -> None:
    session.where(label="cat").tag("x")
    session.where(sample_id="s001").enqueue("review")
    state = ask(session, "hello").body["state"]
    assert state["sample_count"] == 40 and state["name"] == "small"
    assert {entry["name"]: entry["count"] for entry in state["labels"]} == {"cat": 10, "dog": 10, 'a "<b>" it\'s': 10}
    assert state["tags"] == [{"name": "x", "count": 10}]
    assert state["queues"] == [{"name": "review", "count": 1}]
    assert state["history"]["undo"] == "Queued 1 sample for “review”"
    kinds = {column["name"]: column["kind"] for column in state["columns"]}
    assert (kinds["label"], kinds["price"], kinds["seen"], kinds["sample_id"]) == ("category", "number", "time", "text")
    assert state["projections"][0]["count"] == 40 and state["projections"][0]["stale"] == 0


def test_facets_count_the_whole_what_passes_and_what_is_selected(session: di.Session) -> None:
    session.where(label="cat").tag("x")
    select(session, type="samples", nos=[0, 1, 2])
    ask(session, "filter", source="facet:label", clause={"type": "in", "column": "label", "values": ["cat", None]})
    facets = {facet["column"]: facet for facet in ask(session, "facets", columns=None, bars=10).body["facets"]}
    label = {bar["value"]: (bar["total"], bar["visible"], bar["selected"]) for bar in facets["label"]["bars"]}
    assert label == {"cat": (10, 10, 1), "dog": (10, 10, 1), 'a "<b>" it\'s': (10, 10, 1), None: (10, 10, 0)}
    assert facets["tags"]["bars"] == [{"value": "x", "total": 10, "visible": 10, "selected": 1}]
    price = facets["price"]
    assert (sum(price["total"]), sum(price["visible"]), price["missing"]) == (32, 16, 8)
    assert price["edges"][0] <= 0.5 and price["edges"][-1] >= 19.5
    assert len(price["edges"]) == len(price["total"]) + 1
    assert sum(facets["seen"]["total"]) == 40
    assert not {"sample_id", "media", "content_hash", "excluded"} & set(facets)


def test_counts_follow_every_kind_of_change(session: di.Session) -> None:
    def counted(column: str) -> dict[str | None, int]:
        (facet,) = ask(session, "facets", columns=[column], bars=100).body["facets"]
        if facet["kind"] == "bars":
            return {bar["value"]: bar["total"] for bar in facet["bars"]}
        return {"sum": sum(facet["total"]), "missing": facet["missing"]}

    assert counted("label")["dog"] == 10 and counted("price")["missing"] == 8 and counted("tags") == {}
    session.where(label="dog").relabel("ant")
    assert counted("label")["ant"] == 10 and counted("price")["missing"] == 8
    session.undo()
    assert "ant" not in counted("label")
    session.redo()
    session.take(3).tag("x")
    session.where("price is null").set(price=1.0)
    assert counted("label")["ant"] == 10 and counted("tags") == {"x": 3} and counted("price")["missing"] == 0
    session.undo()
    assert counted("price")["missing"] == 8
    session.take(4).set(weather="fog")
    assert counted("weather") == {"fog": 4, None: 36}
    session.add_arrays(np.zeros((5, 8, 8), np.uint8), label=["ant"] * 5, progress=False)
    assert counted("label")["ant"] == 15 and counted("weather") == {"fog": 4, None: 41}
    session.take(2).enqueue("review")
    assert counted("queues") == {"review": 2}
    session.where("weather = 'fog'").exclude()
    assert counted("excluded") == {"false": 41, "true": 4}


def test_a_facet_shows_the_values_that_contain_a_word(session: di.Session) -> None:
    found = ask(session, "facet_values", column="label", search="O", limit=5).body
    assert [bar["value"] for bar in found["bars"]] == ["dog"]


def test_a_lasso_takes_only_what_passes_the_filter(session: di.Session) -> None:
    ask(session, "filter", source="text", clause={"type": "sql", "text": "label = 'dog'"})
    projection = session.projections[0]
    everything = [-9, -9, 9, -9, 9, 9, -9, 9]
    answer = select(session, type="polygon", projection=projection, points=everything)
    assert answer["count"] == 10
    assert session.selection.ids() == session.where(label="dog").ids()
    namespace: dict[str, Any] = {"session": session}
    session.select(None)
    eval(answer["python"], namespace)
    assert len(session.selection) == 10, "the line of Python does the same"
    assert select(session, type="box", projection=projection, x0=9, y0=9, x1=-9, y1=-9)["count"] == 10
    assert select(session, type="all")["count"] == 10
    assert select(session, type="invert")["count"] == 0
    assert select(session, type="none")["count"] == 0
    assert select(session, type="predicate", text="price > 5")["count"] < 10


def test_every_gesture_has_a_line_of_python_that_does_the_same(session: di.Session) -> None:
    shown = page(session)
    ask(session, "filter", source="text", clause={"type": "sql", "text": "price > 1"})
    ask(session, "filter", source="facet:label", clause={"type": "in", "column": "label", "values": ["cat", None]})
    shapes: list[dict[str, Any]] = [
        {"type": "all"},
        {"type": "predicate", "text": "label = 'cat'"},
        {"type": "positions", "order_id": shown["order_id"], "positions": [1, 5]},
        {"type": "none"},
    ]
    for shape in shapes:
        answer = select(session, **shape)
        before = session.selection.ids()
        session.select(session.take(7))
        eval(answer["python"], {"session": session})
        assert session.selection.ids() == before, answer["python"]


def test_the_order_of_the_grid_stays_while_its_content_does(session: di.Session) -> None:
    first = page(session)
    session.where(label="cat").tag("x")
    again = page(session)
    assert again["order_id"] == first["order_id"] and again["tags"][0] == ["x"]
    ask(session, "sort", sort={"by": "column", "column": "price", "descending": True})
    ordered = page(session, caption="price")
    assert ordered["captions"][0] == "19.5" and ordered["captions"][-1] is None
    select(session, type="range", order_id=ordered["order_id"], **{"from": 2, "to": 0})
    assert session.selection.ids() == sorted(ordered["ids"][:3])
    select(session, type="range", order_id=first["order_id"], **{"from": 0, "to": 1})
    assert session.selection.ids() == first["ids"][:2], "an order that was just on screen still counts"
    with pytest.raises(StaleOrder):
        select(session, type="range", order_id="gone", **{"from": 0, "to": 1})


def test_pages_carry_pictures_back_to_back(session: di.Session) -> None:
    asked = {"offset": 35, "limit": 100, "thumbs": True, "px": 64, "caption": "label"}
    reply = ask(session, "page", **asked)
    starts = reply.body["thumbs"]["starts"]
    assert reply.body["total"] == 40 and len(reply.body["nos"]) == 5 and len(starts) == 6
    assert starts[-1] == len(reply.buffers[0])
    assert bytes(reply.buffers[0][starts[1] : starts[1] + 4]) == b"\x89PNG"


def test_points_come_scaled_with_a_legend_and_marks(session: di.Session) -> None:
    reply = ask(session, "points", projection=None, color="label")
    pairs = np.frombuffer(reply.buffers[0], dtype="<u2").reshape(-1, 2)
    assert pairs.shape == (40, 2) and pairs.min() == 0 and pairs.max() == 65_535
    entries = reply.body["legend"]["entries"]
    assert [entry["value"] for entry in entries] == ['a "<b>" it\'s', "cat", "dog", None]
    colors = np.frombuffer(reply.buffers[1], dtype=np.uint8)
    assert {entry["color"]: entry["count"] for entry in entries} == dict(
        zip(*np.unique(colors, return_counts=True), strict=True)
    )
    select(session, type="points", projection=reply.body["projection"], indices=[3, 11])
    marks = ask(session, "marks", projection=reply.body["projection"])
    assert marks.body["selected"] == "only" and list(marks.buffers[0]) == [3, 11 - 3 - 1]
    place = ask(session, "locate", projection=reply.body["projection"], nos=[int(session.selection.nos()[0]), 99]).body
    assert place["places"][0] is not None and place["places"][1] is None


def test_relabelling_does_not_repaint_the_other_points(session: di.Session) -> None:
    before = ask(session, "points", projection=None, color="label").body["legend"]["entries"]
    session.where(label="dog").relabel("ant")
    after = ask(session, "colors", projection=session.projections[0], color="label").body["legend"]["entries"]
    colors = {entry["value"]: entry["color"] for entry in before}
    assert all(colors[entry["value"]] == entry["color"] for entry in after if entry["value"] in colors)
    assert "ant" in {entry["value"] for entry in after}


def test_a_decision_is_made_once_and_goes_back(session: di.Session) -> None:
    select(session, type="samples", nos=[0, 1, 2, 3])
    asked = {"verb": "tag", "arguments": {"tag": "x"}, "target": {"type": "selection"}, "uuid": "one"}
    first, again = ask(session, "act", **asked).body, ask(session, "act", **asked).body
    assert first == again and first["count"] == 4
    assert first["python"] == "session.selection.tag('x')"
    assert session.sql("select count(*) from tag").fetchall() == [(4,)]
    assert ask(session, "undo", uuid="two").body["count"] == 4
    assert len(session.where(tag="x")) == 0
    ask(session, "redo", uuid="three")
    assert len(session.where(tag="x")) == 4
    few = {"verb": "relabel", "arguments": {"label": "ant"}, "target": {"type": "samples", "nos": [5]}, "uuid": "four"}
    assert ask(session, "act", **few).body["python"] == "session.where(sample_id='s005').relabel('ant')"


def test_what_cannot_be_done_cannot_be_armed(session: di.Session) -> None:
    with pytest.raises(DataideError):
        ask(session, "arm", armed={"verb": "tag", "arguments": {}})
    armed = {"verb": "tag", "arguments": {"tag": "x"}}
    assert ask(session, "arm", armed=armed).body == {"armed": armed}
    assert ask(session, "hello").body["state"]["armed"] == armed


def test_similar_sorts_the_grid_by_the_picture_itself_first(session: di.Session) -> None:
    answer = ask(session, "similar", target={"type": "samples", "nos": [7]}).body
    assert answer["sort"]["by"] == "similar" and answer["sort"]["label"] == "s007"
    assert page(session)["ids"][0] == "s007"
    assert session.grid().view.ids()[0] == "s007"


def test_the_filter_box_completes_names_and_values(session: di.Session) -> None:
    def completed(text: str) -> list[str]:
        items = ask(session, "complete", what="filter", text=text, cursor=len(text)).body["items"]
        return [item["text"] for item in items]

    assert "price" in completed("pr")
    assert completed("label = 'c") == ["'cat'"]
    assert "'a \"<b>\" it''s'" in completed("label in (")
    session.where(label="cat").tag("glare")
    assert ask(session, "complete", what="tag", text="la", cursor=2).body["items"][0]["text"] == "glare"


def test_the_inspector_says_what_is_known(session: di.Session) -> None:
    session.where(sample_id="s003").tag("odd")
    reply = ask(session, "inspect", no=3, px=256)
    assert reply.body["id"] == "s003" and reply.body["tags"] == ["odd"] and reply.body["label"] is None
    assert reply.body["picture"] == {"mime": "image/png", "width_px": 8, "height_px": 8}
    assert reply.body["history"][0]["sentence"] == "tagged “odd”"
    assert {field["name"]: field["value"] for field in reply.body["fields"]}["price"] == "1.5"
    assert ask(session, "peek", no=3, px=96).body["caption"] == "s003 · odd"


def test_what_the_user_chose_in_a_panel_is_kept(session: di.Session) -> None:
    scatter = session.scatter()
    ask(session, "configure", panel=scatter.panel_id, name="color", value="price")
    ask(session, "configure", panel=scatter.panel_id, name="tool", value="box")
    assert scatter.config["color"] == "price" and scatter.config["tool"] == "box"
    for name, value in (("color", "prise"), ("color", 3), ("height_px", "tall"), ("No Name", 1), ("embedded", True)):
        with pytest.raises(DataideError):
            ask(session, "configure", panel=scatter.panel_id, name=name, value=value)


def test_a_wrong_column_is_answered_with_the_closest_ones(session: di.Session) -> None:
    with pytest.raises(UnknownColumn, match="Did you mean label"):
        session.scatter(color="lable")
    with pytest.raises(UnknownColumn):
        session.grid(caption="prise")
    with pytest.raises(UnknownColumn):
        session.facets(columns=["label", "prise"])
    with pytest.raises(DataideError):
        session.scatter(projection="tsne")


def test_each_panel_has_a_picture_and_a_sentence_for_saved_notebooks(session: di.Session) -> None:
    from PIL import Image

    session.select(session.where(label="cat"))
    panels = [session.scatter(), session.grid(), session.facets(), session.inspect("s001"), session.workbench()]
    panels.append(session.scatter(color="price"))
    for panel in panels:
        data, _ = panel._repr_mimebundle_() or ({}, {})
        png = b64decode(data["image/png"])
        assert len(png) <= 60_000 and Image.open(io.BytesIO(png)).format == "PNG"
        assert data["text/plain"].startswith(
            ("Scatter of 40", "Grid of 40", "Facets of 40", "Sample s001", "Workbench of 40")
        )
    assert "10 selected" in repr(panels[0])


def test_each_panel_has_a_picture_and_a_sentence_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    from PIL import Image

    def shown(panel: Any) -> str:
        data = panel._repr_mimebundle_()[0]
        image = Image.open(io.BytesIO(b64decode(data["image/png"])))
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 1, "the card is not blank"
        return str(data["text/plain"])

    with di.open(tmp_path / "bare.duckdb") as session:
        for panel in (session.scatter(), session.grid(), session.facets(), session.inspect(), session.workbench()):
            assert " of 0 samples in bare.duckdb" in shown(panel)
        session.add_arrays(np.zeros((3, 8, 8), np.uint8), progress=False)
        assert shown(session.scatter()).endswith("no map yet, type session.embed() and session.project()")
        nothing_passes = session.grid()
        ask(session, "filter", source="text", clause={"type": "sql", "text": "false"})
        assert shown(nothing_passes) == "Grid of 3 samples in bare.duckdb, 0 pass the filter"
    assert shown(nothing_passes) == "Grid of a closed session"


def test_the_state_says_when_pictures_were_replaced(session: di.Session) -> None:
    def version() -> Any:
        return ask(session, "hello").body["state"]["media_version"]

    before = version()
    session.where(label="cat").tag("x")
    session.add_arrays(np.ones((1, 8, 8), np.uint8), sample_id=["new"], progress=False)
    assert version() == before
    session.add_arrays(np.full((1, 8, 8), 9, np.uint8), sample_id=["s001"], on_conflict="replace", progress=False)
    assert version() != before


def test_an_empty_session_shows_its_panels(tmp_path: Path) -> None:
    with di.open(tmp_path / "empty.duckdb") as session:
        bench = session.workbench()
        assert repr(bench) == "Workbench of 0 samples in empty.duckdb"
        assert bench._repr_mimebundle_() is not None
        assert page(session)["total"] == 0
        assert ask(session, "facets", columns=None, bars=5).body["facets"][0]["column"] == "label"
        with pytest.raises(DataideError, match=r"session\.embed"):
            ask(session, "points", projection=None, color=None)


def test_the_view_behind_a_panel_is_what_it_shows(session: di.Session) -> None:
    grid = session.grid(sort="-price")
    ask(session, "filter", source="text", clause={"type": "sql", "text": "label = 'dog'"})
    assert grid.view.ids() == page(session)["ids"]
    assert session.inspect("s004").view.ids() == ["s004"]


def test_closing_the_session_ends_its_threads(session: di.Session) -> None:
    hub = Hub.of(session.context)
    session.where(label="cat").tag("x")
    session.close()
    hub._dialogue.receive({"v": 1, "k": "req", "id": 1, "op": "hello", "panel": "p", "body": {}})
    for thread in threading.enumerate():
        if thread.name.startswith(("dataide-state", "dataide-media", "dataide-events")):
            thread.join(10)
            assert not thread.is_alive()


def test_the_grid_shows_first_what_a_lasso_caught_and_stays_put_while_tiles_are_picked(tmp_path: Path) -> None:
    with small_session(tmp_path) as session:
        orders = session.grid().workspace.orders
        session.select(["s030", "s007"])
        assert list(orders.current().nos[:3]) == [7, 30, 0]
        session.context.selection.combine(np.array([3], dtype=np.uint32), "replace", "grid")
        assert list(orders.current().nos[:3]) == [7, 30, 0]
        session.context.selection.clear("grid")
        assert list(orders.current().nos[:3]) == [0, 1, 2]


def test_a_tag_is_completed_however_many_there_are(session: di.Session) -> None:
    with session.context.database.write() as cursor:
        cursor.execute("INSERT INTO data.tag SELECT i % 40, 'tag ' || i FROM range(10000) t(i)")
    found = ask(session, "complete", what="tag", text="TAG 9998", cursor=8).body["items"]
    assert [item["text"] for item in found] == ["tag 9998"]
    assert len(ask(session, "hello").body["state"]["tags"]) == 1_000


def test_panels_hear_of_a_lasso_and_its_armed_decision_only_when_both_are_done(tmp_path: Path) -> None:
    with small_session(tmp_path) as session:
        workspace = session.grid().workspace
        workspace.arm({"verb": "tag", "arguments": {"tag": "glare"}})
        heard: list[tuple[str, int]] = []
        session.context.changes.subscribe(lambda topic: heard.append((topic, session.tags.get("glare", 0))))
        shape = {"type": "samples", "nos": [1, 2, 3]}
        OPERATIONS["select"](workspace, {"shape": shape, "mode": "replace", "source": "scatter", "uuid": "u"})
        assert heard == [("selection", 3), ("data", 3)]


def test_an_armed_lasso_decides_about_what_it_caught_though_a_cell_selects_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_session(tmp_path) as session:
        workspace = session.grid().workspace
        workspace.arm({"verb": "tag", "arguments": {"tag": "glare"}})
        read = actions.from_wire

        def meanwhile(*said: Any) -> Any:
            session.select(["s020"])
            return read(*said)

        monkeypatch.setattr(decisions, "from_wire", meanwhile)
        shape = {"type": "samples", "nos": [1, 2, 3]}
        OPERATIONS["select"](workspace, {"shape": shape, "mode": "replace", "source": "scatter", "uuid": "u"})
        assert session.where(tag="glare").ids() == ["s001", "s002", "s003"]


def test_a_page_may_ask_for_a_panel_of_a_closed_session(session: di.Session) -> None:
    panel = session.facets()
    assert panel.get_state("hub")["hub"] == f"anywidget:{Hub.of(session.context).model_id}"
    session.close()
    assert panel.get_state("hub") == {"hub": None}
