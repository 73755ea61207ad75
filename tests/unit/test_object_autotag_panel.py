"""The panel of `session.objects.autotag`: crops to mark, whose objects it is of, commits, and a saved notebook."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ActionError, ProtocolError, UnknownSample
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS, object_peek, object_tiles
from dataide.widgets.autotag import AutotagPanel, ObjectTagger
from dataide.widgets.underway import answering
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace
from tests.unit.test_autotagging import ask, give_vectors
from tests.unit.test_object_autotag import give_crop_vectors
from tests.unit.test_protocol import golden

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
KINDS = [*COLOURS]
PICTURES = 30
PAGE = {"show": "ask", "round": 0, "threshold": 0.5, "offset": 0, "limit": 24, "px": 64, "thumbs": True}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    """30 pictures of 60 x 40 px, each with a square of each colour, all labelled "square"."""
    rng = np.random.default_rng(0)
    rows, colours = [], []
    for index in range(PICTURES):
        image = Image.new("RGB", (60, 40), (128, 128, 128))
        for place, (label, colour) in enumerate(COLOURS.items()):
            left, top = 4 + 18 * place, 5 + index % 20
            shade = tuple(int(np.clip(value + rng.integers(-25, 25), 0, 255)) for value in colour)
            image.paste(shade, (left, top, left + 10, top + 10))
            colours.append(shade)
            rows.append({"sample_id": f"p{index:02}.png", "object_id": f"{label}{index:02}", "label": "square",
                         "bbox": [left, top, 10, 10]})  # fmt: skip
        image.save(tmp_path / f"p{index:02}.png")
    with di.open(tmp_path / "crops.duckdb") as made:
        made.add_folder(tmp_path, progress=False)
        made.add_objects(rows, progress=False)
        give_crop_vectors(made, np.asarray(colours, np.float32) - 128)
        yield made


def named(tagger: ObjectTagger) -> dict[str, Any]:
    return {"tag": tagger.tag, "of": "objects", "view": tagger.token}


def mark(session: di.Session, tagger: ObjectTagger, sign: str, nos: list[int], uuid: str) -> Any:
    target = {"type": "objects", "nos": nos}
    return ask(session, "autotag_mark", **named(tagger), sign=sign, target=target, uuid=uuid)


def judge(session: di.Session, tagger: ObjectTagger, page: dict[str, Any], kind: str) -> None:
    for sign in ("positive", "negative"):
        these = [
            no
            for no, name in zip(page["nos"], page["ids"], strict=True)
            if name.startswith(kind) == (sign == "positive")
        ]
        if these:
            mark(session, tagger, sign, these, uuid4().hex)


@pytest.mark.parametrize("op", sorted(op for op in protocol.ASKS if op.startswith("autotag")))
def test_the_golden_messages_about_objects_fit(op: str) -> None:
    message = golden(f"{op}.objects")
    assert message["op"] == op and message["ask"]["of"] == "objects"
    assert check(message["ask"], protocol.ASKS[op], "ask") == message["ask"]
    assert check(message["answer"], protocol.ANSWERS[op], "answer") == message["answer"]


def test_objects_are_marked_ranked_and_labelled_through_the_panel(session: di.Session) -> None:
    tagger = session.objects.autotag("rouge")
    of = named(tagger)
    first = ask(session, "autotag", **of, round=True, nos=[0])
    assert (first["round"], first["label"], first["tagged"], first["marks"]) == (0, "rouge", 0, ["none"])
    page = ask(session, "autotag_page", **of, **PAGE)
    assert page["total"] == 3 * PICTURES and len(page["nos"]) == 24 and set(page["labels"]) == {"square"}
    assert page["objects"]["sample_ids"][0].endswith(".png")
    judge(session, tagger, page, "red")
    number = 0
    for _ in range(2):
        number = ask(session, "autotag", **of, round=True)["round"]
        page = ask(session, "autotag_page", **of, **PAGE | {"round": number})
        assert page["round"] == number and set(page["why"]) <= {"best", "near", "spread"}
        judge(session, tagger, page, "red")
    state = ask(session, "autotag", **of, round=True, nos=page["nos"])
    assert state["since"] == 0 and state["total"] == 3 * PICTURES and "objects are taken" in state["sentence"]
    best = ask(session, "autotag_page", **of, **PAGE | {"round": state["round"], "show": "best"})
    assert best["scores"] == sorted(best["scores"], reverse=True)
    assert sum(name.startswith("red") for name in best["ids"]) >= 22
    # What the button says is what is labelled.
    steps, at = state["steps"], round(state["threshold"] * 128)
    expected = steps["taken"][at] - sum(steps["no"][at:]) + sum(steps["yes"][:at])
    body = {**of, "round": state["round"], "threshold": at / 128}
    done = ask(session, "autotag_commit", **body, uuid="c")
    rouge = session.objects.label("rouge")
    assert done["count"] == expected == len(rouge) and done["sentence"] == f"Autotagged {expected} objects “rouge”"
    assert np.mean([name.startswith("red") for name in rouge.ids()]) > 0.9
    assert ask(session, "autotag_commit", **body, uuid="c")["event"] == done["event"], "a repeat does nothing"
    after = ask(session, "autotag", **of, round=False)
    assert (after["tagged"], after["committed"]) == (expected, at / 128)
    assert eval(done["python"], {"session": session}).event is None
    session.undo()
    assert session.objects.labels == {"square": 3 * PICTURES}
    with pytest.raises(UnknownSample, match="no longer at hand"):
        ask(session, "autotag_commit", **body | {"round": 99}, uuid="d")


def test_a_tile_is_the_crop_with_its_box_or_the_whole_picture_with_it(session: di.Session) -> None:
    tagger = session.objects.autotag("rouge")
    answer = operate(session, "autotag_page", **named(tagger), **PAGE)
    body, (data,) = answer.body, answer.buffers
    for i, name in enumerate(body["ids"]):
        cut = picture(body, data, i)
        assert max(cut.shape[:2]) == 18, "10 px of the square, and 4 px on each side"
        inner = inside(cut, body["objects"]["boxes"][i])
        assert KINDS[int(np.argmax(inner))] == name[:-2] and np.abs(cut[1, 1] - 128).max() < 40
        assert body["objects"]["sample_ids"][i] == f"p{name[-2:]}.png"
        assert session.context.database.arrow(
            "SELECT sample_no FROM object WHERE object_id = ?", [name]
        )[0][0].as_py() == body["objects"]["samples"][i]  # fmt: skip
    whole = operate(session, "autotag_page", **named(tagger), **PAGE | {"whole": True})
    assert whole.body["nos"] == body["nos"]
    for i, name in enumerate(whole.body["ids"]):
        shown = picture(whole.body, whole.buffers[0], i)
        assert shown.shape[:2] == (40, 60)
        assert KINDS[int(np.argmax(inside(shown, whole.body["objects"]["boxes"][i])))] == name[:-2]


def operate(session: di.Session, op: str, **body: Any) -> Any:
    return OPERATIONS[op](Workspace.of(session.context), check(body, protocol.ASKS[op], "ask"))


def picture(body: Any, data: bytes, i: int) -> np.ndarray:
    start, end = body["thumbs"]["starts"][i : i + 2]
    return np.asarray(Image.open(io.BytesIO(data[start:end])).convert("RGB"), float)


def inside(shown: np.ndarray, box: list[float]) -> np.ndarray:
    """The mean colour inside a box that is given in shares."""
    tall, wide = shown.shape[:2]
    left, top, width, height = np.multiply(box, (wide, tall) * 2)
    return np.asarray(shown[int(top) + 2 : int(top + height) - 2, int(left) + 2 : int(left + width) - 2].mean((0, 1)))


def test_a_crop_is_cut_once_and_anew_when_its_box_is_moved(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[int] = []
    original = object_peek.cut_out

    def counted(workspace: Workspace, no: int, object_no: int, px: int, picture: Any) -> Any:
        cut.append(object_no)
        return original(workspace, no, object_no, px, picture)

    monkeypatch.setattr("dataide.widgets.answers.object_tiles.cut_out", counted)
    workspace = Workspace.of(session.context)
    nos = session.objects.take(5).nos().tolist()
    first = object_tiles.crops(workspace, object_tiles.cards(workspace, nos), 64)
    again = object_tiles.crops(workspace, object_tiles.cards(workspace, nos), 64)
    assert first == again and cut == nos
    session.objects.among(np.array(nos[:1])).move([[30, 20, 10, 10]])
    moved = object_tiles.crops(workspace, object_tiles.cards(workspace, nos), 64)
    assert cut == [*nos, nos[0]] and moved[0].data != first[0].data and moved[1:] == first[1:]
    # A page that was leafed away is not cut any more.
    with answering(lambda: True):
        late = session.objects.nos()[-3:].tolist()
        assert object_tiles.crops(workspace, object_tiles.cards(workspace, late), 64) == []


def test_the_crops_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_tiles, "MOST_HELD_BYTES", 1_000)
    held = object_tiles._Held()
    for number in range(40):
        held.put((number,), object_tiles.Tile(b"x" * 100, "image/png", None, None))
    held.put(("large",), object_tiles.Tile(b"x" * 900, "image/png", None, None))
    kept = [number for number in range(40) if held.get((number,)) is not None]
    assert kept == [*range(30, 40)] and held.get(("large",)) is None


def test_objects_without_box_or_picture_and_deleted_ones(session: di.Session, tmp_path: Path) -> None:
    row = {"object_id": "none", "sample_id": "p00.png", "label": "square", "bbox": None}
    session.add_objects([row, row | {"object_id": "far", "bbox": [500, 500, 3, 3]}], progress=False)
    (tmp_path / "p01.png").unlink()
    workspace = Workspace.of(session.context)
    nos = session.objects.ids_named(["none", "far", "red01", "red02"]).nos().tolist()
    shown = object_tiles.cards(workspace, nos)
    tiles = dict(zip((card.id for card in shown), object_tiles.crops(workspace, shown, 64), strict=True))
    boxless, outside, unread, sound = (tiles[name] for name in ("none", "far", "red01", "red02"))
    assert boxless.problem is None and boxless.box is None and boxless.data, "the whole picture says more"
    assert outside.data == boxless.data
    assert unread.problem is not None and not unread.data and sound.box is not None
    thumbs, data = object_tiles.packed([boxless, unread, sound])
    assert thumbs["starts"][-1] == len(data) and thumbs["problems"][1] == unread.problem
    tagger = session.objects.autotag("rouge")
    tagger.mark(["red02", "red03"], "blue02")
    number = ask(session, "autotag", **named(tagger), round=True)["round"]
    best = PAGE | {"show": "best", "round": number, "thumbs": False}
    before = ask(session, "autotag_page", **named(tagger), **best)
    session.objects.ids_named("red02").delete()
    after = ask(session, "autotag_page", **named(tagger), **best)
    assert set(before["ids"]) - set(after["ids"]) == {"red02"}
    assert len(after["scores"]) == len(after["marks"]) == len(after["nos"]) == len(before["nos"]) - 1
    assert (
        dict(zip(before["nos"], before["scores"], strict=True)).items()
        >= dict(zip(after["nos"], after["scores"], strict=True)).items()
    )
    assert object_tiles.cards(workspace, []) == []


def test_two_panels_of_one_word_over_different_objects_stay_apart(session: di.Session) -> None:
    session.objects.where("object_id >= 'red'").relabel("crate")
    every, few = session.objects.autotag("rouge"), session.objects.label("crate").autotag("rouge")
    assert every is not few and session.objects.autotag("rouge") is every
    assert session.objects.label("crate").autotag("rouge") is few
    mark(session, every, "positive", session.objects.ids_named(["red01", "red02", "red03"]).nos().tolist(), "u")
    assert ask(session, "autotag", **named(every), round=True)["total"] == 3 * PICTURES
    state = ask(session, "autotag", **named(few), round=True)
    assert (state["total"], state["positives"]) == (PICTURES, 3)
    done = ask(session, "autotag_commit", **named(few), round=state["round"], threshold=0.0, uuid="c")
    assert session.objects.labels == {"square": 2 * PICTURES, "rouge": PICTURES}
    assert done["python"] == "session.objects.where(\"label = 'crate'\").autotag('rouge').commit(0.0)"
    chosen = session.objects.ids_named(["red01", "blue01"]).autotag("rouge")
    number = ask(session, "autotag", **named(chosen), round=True)["round"]
    done = ask(session, "autotag_commit", **named(chosen), round=number, threshold=0.0, uuid="d")
    assert done["python"] == "session.objects.label('rouge')", "objects named by hand have no line of their own"


def test_what_passes_the_filter_comes_before_the_first_round_and_the_selection_begins(session: di.Session) -> None:
    tagger = session.objects.autotag("rouge")
    workspace = Workspace.of(session.context)
    workspace.filter.set("text", {"type": "sql", "text": "sample_id < 'p10.png'"})
    page = ask(session, "autotag_page", **named(tagger), **PAGE | {"limit": 200, "thumbs": False})
    assert page["total"] == 30 and max(page["objects"]["sample_ids"]) == "p09.png"
    begin = {**named(tagger), "sign": "positive", "target": {"type": "selection"}}
    session.select(session.where("sample_id = 'p03.png'"))
    assert ask(session, "autotag_mark", **begin, uuid="a")["positives"] == 3, "all objects of what is selected"
    session.undo()
    session.objects.where("object_id < 'blue05'").select()
    assert ask(session, "autotag_mark", **begin, uuid="b")["positives"] == 5, "those that were chosen on a map"
    session.undo()
    session.objects.ids_named(["red07", "red08"]).relabel("rouge")
    assert ask(session, "autotag_mark", **begin, uuid="c", tagged=True)["positives"] == 2


def test_what_does_not_fit_is_refused(session: di.Session) -> None:
    tagger = session.objects.autotag("rouge")
    with pytest.raises(ActionError, match="no longer known") as said:
        ask(session, "autotag", tag="rouge", of="objects", view="gone", round=False)
    assert "run the panel's cell again" in str(said.value.hint)
    with pytest.raises(ActionError, match="no longer known"):
        ask(session, "autotag", tag="another", of="objects", view=tagger.token, round=False)
    samples = {"type": "samples", "nos": [1]}
    with pytest.raises(ActionError, match="tag of objects marks objects"):
        ask(session, "autotag_mark", **named(tagger), sign="positive", target=samples, uuid="u")
    give_vectors(session, np.ones((PICTURES, 2), np.float32))
    session.autotag("rouge")
    with pytest.raises(ActionError, match="tag of samples marks samples"):
        ask(session, "autotag_mark", tag="rouge", sign="positive", target={"type": "objects", "nos": [1]}, uuid="u")
    nowhere = mark(session, tagger, "positive", [-1, 2**40, 4_000_000], "v")
    assert (nowhere["event"], nowhere["positives"]) == (None, 0)
    state = ask(session, "autotag", **named(tagger), round=True, nos=[-(2**50), 2**50])
    assert state["marks"] == ["none", "none"]
    with pytest.raises(ProtocolError):
        ask(session, "autotag", tag="rouge", of="pixels", round=False)


def test_the_tagger_shows_as_a_panel_and_a_saved_notebook_as_crops(session: di.Session) -> None:
    tagger = session.objects.autotag("rouge")
    shown = tagger._repr_mimebundle_()
    assert shown is not None and "application/vnd.jupyter.widget-view+json" in shown[0]
    assert shown[0]["text/plain"] == repr(tagger)
    panel = tagger.panel(show="best")
    assert isinstance(panel, AutotagPanel) and panel.picture() is None
    assert panel.config | named(tagger) == panel.config
    assert (panel.config["show"], panel.config["among"]) == ("best", "all objects")
    assert len(panel.view) == PICTURES, "the samples that the objects are on"
    tagger.mark(["red01", "red02"], "blue03")
    marked = panel.picture()
    assert marked is not None
    # In the middle of the first tile of each row lies what was marked.
    assert np.argmax(np.asarray(marked)[38, 24]) == 0 and np.argmax(np.asarray(marked)[98, 24]) == 2
    tagger.round()
    both = panel.picture()
    assert both is not None and both.height > marked.height
    bundle = tagger._repr_mimebundle_()
    assert bundle is not None
    assert Image.open(io.BytesIO(b64decode(bundle[0]["image/png"]))).height == both.height
    json.dumps(panel.config)
    session.close()
    assert tagger._repr_mimebundle_() == ({"text/plain": "Autotag “rouge” of a closed session"}, {})
