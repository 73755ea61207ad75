"""Jobs that are started in a panel: what is offered, what is refused and where, each once, and what came of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.find.issue_kinds import OBJECT_KINDS
from dataide.inference.job import Job, listen
from dataide.storage import models_used, runs
from dataide.widgets import protocol, starting
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.answers.state import session_state
from dataide.widgets.dialogue import Dialogue, Reply, WrongField, failure
from dataide.widgets.hub import Hub
from dataide.widgets.started import Starter
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace

COUNT = 40
SORT = {"sort": {"by": "added", "descending": False}}
BUILT = (Path(di.__file__).parent / "static" / "hub.js").is_file()
needs_build = pytest.mark.skipif(not BUILT, reason="the JavaScript is not built: make setup")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with di.open(tmp_path / "starting.duckdb") as session:
        pictures = np.random.default_rng(3).integers(0, 255, (COUNT, 12, 12, 3), np.uint8)
        session.add_arrays(pictures, label=["cat", "dog"] * (COUNT // 2), progress=False)
        yield session


def asked(session: di.Session, op: str, **body: Any) -> dict[str, Any]:
    """What the page gets for it, checked as on the wire."""
    reply = OPERATIONS[op](Workspace.of(session.context), check(body, protocol.ASKS[op]))
    assert isinstance(reply, Reply)
    assert check(reply.body, protocol.ANSWERS[op], "answer") == reply.body
    return dict(reply.body)


def start(session: di.Session, kind: str, target: str = "all", uuid: str = "u", **options: Any) -> Job[Any]:
    """Starts a job and returns it; it may have ended by now."""
    seen: list[Job[Any]] = []
    end = listen(session.context.database, seen.append)
    try:
        job = asked(session, "start_job", kind=kind, target=target, uuid=uuid, options=options)["job"]
        return next(one for one in seen if one.id == job)
    finally:
        end()


def refused(session: di.Session, kind: str, target: str = "all", **options: Any) -> WrongField:
    with pytest.raises(WrongField) as error:
        asked(session, "start_job", kind=kind, target=target, uuid="u", options=options)
    return error.value


def kinds(session: di.Session) -> dict[str, dict[str, Any]]:
    return {kind["kind"]: kind for kind in asked(session, "startable")["kinds"]}


def fields(session: di.Session, kind: str) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in kinds(session)[kind]["fields"]}


def values(field: dict[str, Any]) -> list[str]:
    return [choice["value"] for choice in field["choices"]]


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("dataide.widgets.starting.find_spec", lambda name: None if name in modules else found(name))


def test_only_what_is_possible_is_offered(session: di.Session) -> None:
    assert "embedding" in kinds(session) and "map" not in kinds(session)
    assert asked(session, "startable")["suggested"] == "embedding"
    session.embed("auto", progress=False)
    assert values(fields(session, "map")["embedding"]) == ["auto"]
    assert asked(session, "startable")["suggested"] == "map"
    session.project("pca", progress=False)
    assert asked(session, "startable")["suggested"] == "embedding"
    for kind in kinds(session):
        assert hasattr(session.where(), starting.KINDS[kind].method)


def test_without_torch_nothing_is_offered_that_needs_it(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch", "torchvision")
    offered = asked(session, "startable")
    assert offered["torch"] is False
    assert values(fields(session, "embedding")["model"]) == ["auto"]
    assert not {"learned", "predictions"} & {kind["kind"] for kind in offered["kinds"]}


def test_umap_is_offered_where_it_is_installed(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.embed("auto", progress=False)
    without(monkeypatch, "umap")
    assert values(fields(session, "map")["method"]) == ["pca"]
    assert refused(session, "map", method="umap").field == "method"


def test_looking_what_is_there_imports_no_torch() -> None:
    looked = "import sys, dataide.widgets.starting as s; s._has('torch'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True).stdout.strip() == "False"


def test_each_target_has_its_count(session: di.Session) -> None:
    def counts() -> dict[str, int]:
        return {one["target"]: one["count"] for one in asked(session, "startable")["targets"]}

    assert counts() == {"all": COUNT}
    session.context.filter.set("text", {"type": "sql", "text": "label = 'cat'"})
    session.select(session.ids()[:3])
    assert counts() == {"all": COUNT, "filter": COUNT // 2, "selection": 3}


def test_a_search_for_issues_asks_for_kinds_vectors_and_a_run_that_judges(session: di.Session) -> None:
    assert list(fields(session, "issues")) == ["kinds"]
    assert values(fields(session, "issues")["kinds"])[:3] == ["", "quality", "label"]
    session.embed("auto", name="mine", progress=False)
    session.embed("auto", progress=False)
    session.embed("auto", name="other", progress=False)
    with session.context.database.write() as cursor:
        runs.create(cursor, "judge", "classification")
        runs.create(cursor, "measures", "attributes")
    asks = fields(session, "issues")
    assert (asks["embedding"]["value"], values(asks["embedding"])) == ("auto", ["other", "auto", "mine"])
    assert (asks["run"]["value"], values(asks["run"])) == ("", ["", "judge"])
    assert refused(session, "issues", kinds="lable").hint == "Did you mean label?"


def test_issues_of_objects_are_offered_where_crops_have_vectors(session: di.Session) -> None:
    rows = [{"sample_id": one, "label": kind, "bbox": [1, 1, 6, 6]} for one in session.ids() for kind in "ab"]
    session.add_objects(rows, progress=False)
    assert not [kind for kind in values(fields(session, "issues")["kinds"]) if kind.startswith("object_")]
    assert refused(session, "issues", kinds="object_label").field == "kinds"
    session.objects.embed(progress=False)
    choices = {one["value"]: one["text"] for one in fields(session, "issues")["kinds"]["choices"]}
    assert choices["object_label"] == "object label" and set(OBJECT_KINDS) <= choices.keys()
    report = start(session, "issues", kinds="object_outlier").result(60)
    assert list(report.found) == ["object_outlier"]


def test_a_search_for_issues_finds_what_was_asked_for(session: di.Session) -> None:
    report = start(session, "issues", kinds="quality").result(60)
    assert report.samples == COUNT and "dark" in report.found and "label" not in report.found
    searched = {kind["name"] for kind in session_state(Workspace.of(session.context))["issues"]}
    assert searched == set(report.found)


@needs_build
def test_what_a_search_found_waits_in_the_strip_of_the_workbench_that_asked(session: di.Session) -> None:
    copies = np.zeros((4, 12, 12, 3), np.uint8)
    copies[:, 2:6] = 200
    session.add_arrays(copies, sample_id=[f"copy-{number}" for number in range(4)], progress=False)
    bench, hub = session.workbench(), Hub.of(session.context)
    told = heard(hub)
    ask = {"kind": "issues", "target": "all", "panel": bench.panel_id, "options": {"kinds": "near_duplicate"}}
    for uuid in ("u", "w"):
        job = asked(session, "start_job", uuid=uuid, **ask)["job"]
        told(partial(has_ended, job))
        (ended,) = Starter.of(hub.workspace).ended()  # the latest search alone
        assert (ended["show"], ended["state"], ended["embedding"]) == ("issues", "done", None)
        assert "4 near duplicate" in ended["message"]
    assert start(session, "issues", uuid="x", kinds="near_duplicate").wait(60)  # from elsewhere
    told(lambda all: any(one["topic"] == "toast" and "near duplicate" in one["body"]["sentence"] for one in all))
    assert len(Starter.of(hub.workspace).ended()) == 1


@needs_build
def test_the_fix_panel_of_a_workbench_is_made_when_it_is_opened(session: di.Session) -> None:
    session.find_issues("quality", progress=False)
    bench = session.workbench()
    before = bench.fix
    assert before is None
    asked(session, "configure", panel=bench.panel_id, name="fix", value="dark")
    made = bench.fix
    assert (made.config["kind"], made.config["embedded"], bench.config["fix"]) == ("dark", True, "dark")
    asked(session, "configure", panel=bench.panel_id, name="fix", value=None)
    assert bench.config["fix"] is None
    asked(session, "configure", panel=bench.panel_id, name="fix", value="bright")
    assert bench.fix is made and made.config["kind"] == "bright"
    with pytest.raises(di.DataideError):
        asked(session, "configure", panel=bench.panel_id, name="fix", value="drak")
    assert bench.config["fix"] == "bright"


@pytest.mark.parametrize(("target", "count"), [("all", COUNT), ("filter", COUNT // 2), ("selection", 3)])
def test_a_job_is_about_its_target(session: di.Session, target: str, count: int) -> None:
    session.context.filter.set("text", {"type": "sql", "text": "label = 'cat'"})
    session.select(session.ids()[:3])
    assert start(session, "embedding", target, name="mine").result(60).embedded == count
    assert session.embeddings == ["mine"]


def test_a_job_is_about_what_was_selected_when_it_was_asked_for(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered, ids = starting._offered, session.ids()

    def meanwhile(workspace: Workspace) -> Any:
        session.select(ids[5:])
        return offered(workspace)

    session.select(ids[:3])
    monkeypatch.setattr(starting, "_offered", meanwhile)
    assert start(session, "embedding", "selection").result(60).embedded == 3
    assert sorted(session.vectors().to_pandas()["sample_id"]) == sorted(ids[:3])


def test_attributes_become_columns(session: di.Session) -> None:
    before = set(session.columns)
    report = start(session, "attributes").result(60)
    assert report.enriched == COUNT
    assert set(report.columns) == set(session.columns) - before


def test_the_run_of_predictions_begins_with_a_name_that_is_free(session: di.Session) -> None:
    assert fields(session, "predictions")["run"]["value"] == "v1"
    with session.context.database.write() as cursor:
        session.context.database.ensure_columns(cursor, {"v1_class": "VARCHAR"})
    assert fields(session, "predictions")["run"]["value"] == "v2"
    with session.context.database.write() as cursor:  # a detector's has no such column
        runs.create(cursor, "v2", "detection")
    assert fields(session, "predictions")["run"]["value"] == "v3"
    with session.context.database.write() as cursor:  # its table would be the one of v3
        runs.create(cursor, "V3", "detection")
    assert fields(session, "predictions")["run"]["value"] == "v4"
    assert refused(session, "predictions", run="1 2").field == "run"
    assert refused(session, "predictions", model="").field == "model"


def test_models_trained_here_are_offered_by_any_name_and_those_with_torn_details_left_out(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "_has", lambda module: True)
    good, deep = '{"classes": ["cat", "dog"]}', "[" * 100_000 + "]" * 100_000
    written = {"my net": good, "plain": "{}", "torn": '{"classes": ["ca', "list": "[1]", "deep": deep}
    rows = {"model": list(written), "kind": ["learned"] * 5, "details": list(written.values())}
    monkeypatch.setattr(models_used, "listing", lambda database: pa.table(rows))
    field = fields(session, "predictions")["model"]
    assert (field["value"], values(field)[:2]) == ("my net", ["my net", starting.MODELS[0]])
    assert starting._filled([field], {}) == {"model": "my net"}  # type: ignore[list-item]
    with pytest.raises(WrongField, match="no name of a model") as error:
        starting._filled([field], {"model": "my nett!"})  # type: ignore[list-item]
    assert error.value.hint == "Did you mean my net?", "'auto' makes vectors, and predicts nothing"


def test_the_same_attempt_starts_one_job(session: di.Session) -> None:
    first = asked(session, "start_job", kind="embedding", target="all", uuid="u", options={})
    again = asked(session, "start_job", kind="embedding", target="all", uuid="u", options={})
    other = asked(session, "start_job", kind="embedding", target="all", uuid="w", options={})
    assert first == again != other


def test_what_cannot_be_used_is_said_at_its_field(session: di.Session) -> None:
    session.embed("auto", progress=False)
    assert refused(session, "emmbedding").field == "kind"
    assert refused(session, "emmbedding").hint == "Did you mean embedding?"
    assert refused(session, "embedding", model="res net").field == "model"
    assert refused(session, "embedding", model="").field == "model"
    assert refused(session, "embedding", name="a/b").field == "name"
    assert refused(session, "embedding", "selection").field == "target"
    assert refused(session, "map", embedding="atuo").hint == "Did you mean auto?"
    error = failure(refused(session, "map", method="tsne"))
    assert error["code"] == "wrong_field" and error["field"] == "method"
    assert not session.projections


def test_a_number_out_of_bounds_is_refused() -> None:
    field = starting._number("minutes", "Minutes", 2, "")
    assert starting._filled([field], {"minutes": 0.5}) == {"minutes": "0.5"}
    for wrong in (0.0, -1.0, 1e9):
        with pytest.raises(WrongField):
            starting._filled([field], {"minutes": wrong})


def test_a_session_for_reading_says_why_nothing_can_be_computed(session: di.Session) -> None:
    path = session.context.database.path
    session.close()
    with di.open(path, read_only=True) as reading:
        told = asked(reading, "startable")
        assert told["kinds"] == [] and "reading only" in told["note"]
        with pytest.raises(di.DataideError, match="reading only"):
            asked(reading, "start_job", kind="embedding", target="all", uuid="u", options={})


def test_a_job_that_takes_long_to_begin_holds_up_no_gesture_and_sees_those_before_it() -> None:
    order: list[str] = []
    gesture, beginning = threading.Event(), threading.Event()
    answered: dict[int, threading.Event] = {number: threading.Event() for number in range(3)}

    def answer(panel: str, op: str, body: Any) -> Reply:
        if op == "start_job":
            beginning.set()
            assert answered[2].wait(10), "the gesture after it waits"
        elif not gesture.is_set():
            gesture.wait(10)
        order.append(op)
        return Reply({})

    dialogue = Dialogue(lambda message, buffers: answered[message["id"]].set(), answer, lambda: 1)
    ask = {"kind": "map", "target": "all", "options": {}, "uuid": "u"}
    for number, (op, body) in enumerate([("sort", SORT), ("start_job", ask), ("group", {"column": None})]):
        if op == "group":
            assert not beginning.is_set()
            gesture.set()
            assert beginning.wait(10)
        dialogue.receive({"v": 1, "k": "req", "id": number, "op": op, "panel": "p", "body": body})
    assert answered[1].wait(10)
    assert order == ["sort", "group", "start_job"]
    dialogue.close()


@needs_build
def test_vectors_without_a_map_wait_in_the_strip_until_there_is_one(session: di.Session) -> None:
    hub = Hub.of(session.context)
    told = heard(hub)
    assert start(session, "embedding").wait(60)
    told(lambda all: any(ended["embedding"] == "auto" for ended in endings(all)))
    (waits,) = session_state(hub.workspace)["jobs"]["ended"]
    assert waits["state"] == "done" and "Embedded 40 samples" in waits["message"]
    job = start(session, "map", uuid="w", embedding="auto", method="pca")
    assert not Starter.of(hub.workspace).ended()
    assert job.wait(60)
    told(lambda all: any(one["topic"] == "toast" and "on the map 'auto/pca'" in one["body"]["sentence"] for one in all))
    assert session.projections == ["auto/pca"]


@needs_build
def test_an_error_stays_with_its_hint_until_it_is_dismissed(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub.of(session.context)
    told = heard(hub)

    def broken(view: di.View, model: str, **options: Any) -> Job[Any]:
        def work(job: Job[Any]) -> None:
            raise di.DataideError("There is no light.", hint="Open the window.")

        return Job(work, verb="Embedding", owner=view._context.database)

    monkeypatch.setattr(di.View, "embed", broken)
    job = start(session, "embedding")
    assert job.wait(10)
    messages = told(lambda all: bool(endings(all)))
    (ended,) = Starter.of(hub.workspace).ended()
    assert (ended["state"], ended["message"], ended["hint"]) == ("failed", "There is no light.", "Open the window.")
    assert not [one for one in messages if one["topic"] == "toast"], "said once, in the strip"
    assert asked(session, "dismiss_job", id=job.id) == {"found": True}
    assert asked(session, "dismiss_job", id=job.id) == {"found": False}
    assert not Starter.of(hub.workspace).ended()


@needs_build
def test_a_job_that_is_cancelled_leaves_nothing_behind_in_the_strip(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, stop = Hub.of(session.context), threading.Event()

    def slow(view: di.View, model: str, **options: Any) -> Job[Any]:
        def work(job: Job[Any]) -> str:
            job.on_cancel(stop.set)
            job.advance(1, COUNT, "embedding")
            stop.wait(30)
            return "as far as it went"

        return Job(work, verb="Embedding", owner=view._context.database)

    monkeypatch.setattr(di.View, "embed", slow)
    told = heard(hub)
    job = start(session, "embedding")
    assert asked(session, "cancel_job", id=job.id) == {"found": True}
    assert job.wait(10)
    told(lambda all: any(one["topic"] == "toast" and one["body"]["kind"] == "info" for one in all))
    assert not Starter.of(hub.workspace).ended()


@needs_build
def test_the_plot_that_asked_for_a_map_turns_to_it(session: di.Session) -> None:
    session.embed("auto", progress=False)
    session.project("pca", name="first", progress=False)
    bench = session.workbench(projection="first")
    told = heard(Hub.of(session.context))
    ask = {"kind": "map", "target": "all", "uuid": "u", "panel": bench.panel_id, "options": {"method": "pca"}}
    asked(session, "start_job", **ask)
    told(lambda all: any(one["topic"] == "toast" and "auto/pca" in one["body"]["sentence"] for one in all))
    assert bench.scatter.config["projection"] == "auto/pca"


Told = Callable[[Callable[[list[dict[str, Any]]], bool]], list[dict[str, Any]]]


def heard(hub: Hub) -> Told:
    """Waits until what the hub has sent from now on is enough, and returns it."""
    messages: list[dict[str, Any]] = []
    came = threading.Condition()

    def note(message: dict[str, Any], buffers: object) -> None:
        with came:
            messages.append(message)
            came.notify_all()

    hub._send_message = note  # type: ignore[method-assign]

    def until(enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        with came:
            assert came.wait_for(lambda: enough(messages), 30), messages
            return list(messages)

    return until


def has_ended(job: str, messages: list[dict[str, Any]]) -> bool:
    return any(ended["id"] == job for ended in endings(messages))


def endings(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [ended for one in messages if one["topic"] == "jobs" for ended in one["body"]["ended"]]
