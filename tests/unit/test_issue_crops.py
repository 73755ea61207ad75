"""What the fix panel shows of issues about objects: the worst object cut out, and the crops that are most like it."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.storage import findings, issues
from dataide.storage.issues import Found
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS, object_peek, object_tiles
from dataide.widgets.answers import issues as answers
from dataide.widgets.dialogue import Reply
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace
from tests.unit.test_object_autotag_panel import inside
from tests.unit.test_object_autotag_panel import session as coloured

session = coloured  # pictures with a red, a green and a blue square each, and vectors of these
PAGE = {"state": "open", "order": "severity", "offset": 0, "limit": 20, "thumbs": True, "px": 64, "list": None}
NONE = np.full(4, np.nan)


def by_colour(session: di.Session) -> None:
    for colour in ("red", "green", "blue"):
        session.objects.where(f"object_id LIKE '{colour}%'").relabel(colour)


def find(session: di.Session, kind: str, rows: list[tuple[int, str | None, float, str | None, Any]]) -> None:
    """Issues with such findings: sample, object, score, what it should be called, box."""
    database = session.context.database
    names = [name for _, name, _, _, _ in rows if name is not None]
    number = {one: int(session.objects.ids_named([one]).nos()[0]) for one in names}
    nos = np.unique(np.array([row[0] for row in rows], np.uint32))
    table = findings.table(
        np.array([row[0] for row in rows], np.uint32),
        np.array([-1 if name is None else number[name] for _, name, _, _, _ in rows], np.int64),
        np.full(len(rows), -1, np.int64),
        ["label"] * len(rows), ["warning"] * len(rows), np.array([row[2] for row in rows], np.float32),
        ["It looks like another."] * len(rows), ["none" if row[3] is None else "relabel" for row in rows],
        np.array([NONE if row[4] is None else row[4] for row in rows], np.float64), [row[3] for row in rows],
    )  # fmt: skip
    score = np.array([min(row[2] for row in rows if row[0] == no) for no in nos], np.float32)
    found = Found(nos, score, np.ones(len(nos), bool), findings=table)
    looked = issues.seen(database, nos)
    with database.write() as cursor:
        issues.store(cursor, looked, [kind], {kind: found}, "r1", None)


def ask(session: di.Session, op: str, **body: Any) -> Reply:
    """What the panel hears; question and answer are checked against their types."""
    reply = OPERATIONS[op](Workspace.of(session.context), check(body, protocol.ASKS[op]))
    assert isinstance(reply, Reply)
    check(json.loads(json.dumps(reply.body)), protocol.ANSWERS[op], "answer")
    return reply


def picture(reply: Any, body: Any, row: int) -> np.ndarray:
    start, end = body["thumbs"]["starts"][row : row + 2]
    return np.asarray(Image.open(io.BytesIO(reply.buffers[0][start:end])).convert("RGB"), float)


def test_a_row_shows_the_worst_object_and_where_it_lies(session: di.Session) -> None:
    by_colour(session)
    find(session, "object_label", [
        (3, "green03", 0.4, "red", None), (3, "blue03", 0.1, "red", None), (7, "green07", 0.2, "red", None),
    ])  # fmt: skip
    reply = ask(session, "issue_page", kind="object_label", **PAGE)
    body: Any = reply.body
    nos = session.objects.ids_named(["blue03", "green07"]).nos().tolist()
    assert [row["no"] for row in body["rows"]] == [3, 7]
    assert sorted(body["objects"]["nos"]) == sorted(nos) and body["objects"]["nos"][1] == nos[1]
    assert body["objects"]["labels"] == ["blue", "green"]
    for row, colour in enumerate((2, 1)):
        shown = picture(reply, body, row)
        assert max(shown.shape) == 18  # the square and what is around it, not the picture
        assert int(np.argmax(inside(shown, body["objects"]["boxes"][row]))) == colour
    # Without pictures nothing is cut, and nothing is said of them.
    assert "objects" not in ask(session, "issue_page", kind="object_label", **(PAGE | {"thumbs": False})).body
    # A worst object that is deleted leaves the next one.
    session.objects.ids_named(["blue03"]).delete()
    body = ask(session, "issue_page", kind="object_label", **PAGE).body
    assert body["objects"]["nos"][[row["no"] for row in body["rows"]].index(3)] == int(
        session.objects.ids_named(["green03"]).nos()[0]
    )


def test_what_has_no_box_yet_is_marked_in_the_whole_picture(session: di.Session) -> None:
    find(session, "box", [(2, None, 0.1, None, [15.0, 10.0, 30.0, 20.0]), (4, None, 0.2, None, None)])
    reply = ask(session, "issue_page", kind="box", **PAGE)
    body: Any = reply.body
    assert body["objects"] == {"nos": [None, None], "boxes": [[0.25, 0.25, 0.5, 0.5], None], "labels": [None, None]}
    assert picture(reply, body, 0).shape[:2] == (40, 60)


def test_issues_of_samples_say_nothing_of_objects(session: di.Session) -> None:
    database = session.context.database
    nos = np.array([1, 2], np.uint32)
    found = {"outlier": Found(nos, np.array([0.1, 0.2], np.float32), np.ones(2, bool))}
    looked = issues.seen(database, nos)
    with database.write() as cursor:
        issues.store(cursor, looked, ["outlier"], found, "r1", None)
    body: Any = ask(session, "issue_page", kind="outlier", **PAGE).body
    assert "objects" not in body and len(body["thumbs"]["mime"]) == 2


def test_neighbours_of_an_object_are_the_crops_most_like_it(session: di.Session) -> None:
    by_colour(session)
    session.objects.ids_named(["red05"]).relabel("blue")
    find(session, "object_label", [(5, "red05", 0.1, "red", None)])
    reply = ask(session, "issue_neighbours", kind="object_label", no=5, limit=6, px=64)
    body: Any = reply.body
    assert body["object"] == {"label": "blue", "proposal": "red"} and len(body["neighbours"]) == 6
    assert all(one["label"] == "red" and one["id"].startswith("red") for one in body["neighbours"])
    assert not any(one["id"].startswith("red05 ") for one in body["neighbours"])
    similar = [one["similarity"] for one in body["neighbours"]]
    assert similar == sorted(similar, reverse=True)
    for row in range(6):
        assert int(np.argmax(inside(picture(reply, body, row), body["objects"]["boxes"][row]))) == 0
    # A box that was moved has no vector until the next embedding.
    session.objects.ids_named(["red05"]).move([[20, 20, 10, 10]])
    body = ask(session, "issue_neighbours", kind="object_label", no=5, limit=6, px=64).body
    assert body["neighbours"] == [] and "session.objects.embed" in body["note"]


def test_a_picture_is_decoded_once_for_all_that_is_cut_from_it(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = object_peek.opened

    def counted(workspace: Workspace, no: int) -> Any:
        opened.append(no)
        return original(workspace, no)

    monkeypatch.setattr(object_tiles, "opened", counted)
    workspace = Workspace.of(session.context)
    ids = [f"{colour}{index:02}" for colour in ("red", "green", "blue") for index in range(4)]
    nos = [int(session.objects.ids_named([one]).nos()[0]) for one in ids]
    cards = object_tiles.cards(workspace, nos)
    tiles = object_tiles.crops(workspace, cards, 64)
    assert sorted(opened) == [0, 1, 2, 3] and [card.id for card in cards] == ids
    for row, tile in enumerate(tiles):
        shown = np.asarray(Image.open(io.BytesIO(tile.data)).convert("RGB"), float)
        assert tile.box is not None and int(np.argmax(inside(shown, list(tile.box)))) == row // 4


def test_a_page_ends_when_the_time_for_cutting_is_up(session: di.Session) -> None:
    by_colour(session)
    find(session, "object_label", [(no, f"red{no:02}", 0.1 + no / 100, "blue", None) for no in range(6)])
    body: Any = answers.issue_page(Workspace.of(session.context), {"kind": "object_label", **PAGE}, 0.0).body  # type: ignore[typeddict-item]
    assert len(body["rows"]) == 1 and body["objects"]["nos"] and len(body["thumbs"]["mime"]) == 1


def test_before_the_first_round_autotag_says_how_many_objects_are_selected(session: di.Session) -> None:
    tagger = session.objects.where("object_id LIKE 'red%'").autotag("rouge")
    asked: dict[str, Any] = {"tag": "rouge", "of": "objects", "view": tagger.token, "round": False}
    assert ask(session, "autotag", **asked).body["selected"] == 0
    session.objects.ids_named(["red01", "red02", "blue02"]).select()
    assert ask(session, "autotag", **asked).body["selected"] == 2  # the blue one is not ranked
    session.select(session.objects.ids_named(["red04"]).samples().ids())
    assert ask(session, "autotag", **asked).body["selected"] == 1
