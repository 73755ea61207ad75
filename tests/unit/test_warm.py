"""Before the first panel comes, a kernel gets ready for it; nowhere else, and nothing of it outlives a session."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dataide as di
from dataide.core import coloring
from dataide.widgets import warm
from dataide.widgets.answers import pages, plot, state
from dataide.widgets.underway import is_given_up
from dataide.widgets.workspace import Workspace
from tests.unit.big_session import big_session

COUNT = 3_000


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(coloring, "MANY_SAMPLES", 1_000)
    with di.open(big_session(tmp_path / "some.duckdb", COUNT)) as session:
        yield session


def _running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dataide-warm"]


def _end(thread: threading.Thread) -> None:
    thread.join(10)
    assert not thread.is_alive()


def test_only_a_kernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not warm.in_notebook() and "IPython" not in sys.modules, "nothing is imported to find out"
    for shell, expected in ((None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=object()), True)):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert warm.in_notebook() is expected


@pytest.mark.parametrize("in_kernel", [False, True])
def test_opening_gets_ready_in_a_kernel_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    shell = SimpleNamespace(kernel=object()) if in_kernel else None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    asked: list[object] = []
    monkeypatch.setattr("dataide.api.warm_up", asked.append)
    with di.open(tmp_path / "new.duckdb") as session:
        assert asked == ([session.context] if in_kernel else [])


def test_what_the_first_answers_need_is_at_hand_afterwards(session: di.Session) -> None:
    context = session.context
    warm.warm_up(context)
    for thread in _running():
        _end(thread)
    made = Workspace.of(context)
    assert context.attached["workspace"] is made
    placed = made.places.points(None)
    assert placed.total == COUNT
    assert plot.first_part(made, None, "label").body["places"] == placed.places
    assert made.places.colorings.is_ready("label"), "the colours of all points too"
    assert not context.filter.clauses and context.selection.count == 0, "getting ready decides nothing"


def test_a_session_without_a_map_and_an_empty_one_get_ready_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), di.open(tmp_path / "new.duckdb") as session:
        warm.warm_up(session.context)
        for thread in _running():
            _end(thread)
    assert not caplog.records


@pytest.fixture
def pictured(tmp_path: Path) -> Iterator[tuple[di.Session, list[str]]]:
    """A session of a few pictures, and the references that were read since."""
    from PIL import Image

    folder = tmp_path / "pictures" / "cat"
    folder.mkdir(parents=True)
    for number in range(30):
        Image.new("RGB", (300, 200), (number * 8, 90, 40)).save(folder / f"{number:02}.jpg")
    read: list[str] = []
    with di.open(tmp_path / "pictured.duckdb") as session:
        session.add_folder(tmp_path / "pictures")
        media = session.context.thumbnails._media
        real = media.read_many

        def read_many(refs: Sequence[str]) -> Any:
            read.extend(refs)
            return real(refs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(media, "read_many", read_many)
            yield session, read


def test_the_first_pictures_of_a_grid_are_made_before_it_is_shown(pictured: tuple[di.Session, list[str]]) -> None:
    session, read = pictured
    warm.warm_up(session.context)
    for thread in _running():
        _end(thread)
    assert len(read) == 30
    grid = session.grid()
    ((_, ask, reply),) = grid.first_answers()
    assert len(read) == 30, "none is read a second time"
    assert ask["limit"] >= 30 and len(reply.body["thumbs"]["mime"]) == 30


def test_pictures_that_a_panel_asks_for_itself_are_left_to_it(pictured: tuple[di.Session, list[str]]) -> None:
    session, _ = pictured
    session.scatter()
    asked: list[bool] = []
    real = pages.page

    def page(*arguments: Any, **more: Any) -> Any:
        asked.append(is_given_up())
        return real(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "page", page)
        warm.warm_up(session.context)
        for thread in _running():
            _end(thread)
    assert asked == [True]


def test_nothing_is_fetched_from_elsewhere_before_somebody_looks(pictured: tuple[di.Session, list[str]]) -> None:
    session, read = pictured
    with session.context.database.write() as cursor:
        cursor.execute(
            "UPDATE data.sample SET media = 'http://127.0.0.1:9/' || sample_no || '.jpg' WHERE sample_no = 4"
        )
    warm.warm_up(session.context)
    for thread in _running():
        _end(thread)
    assert read == []


def test_closing_waits_for_it_and_leaves_nothing_running(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on = threading.Event(), threading.Event()
    order: list[str] = []
    real = state.session_state

    def held_up(*arguments: Any) -> Any:
        started.set()
        assert go_on.wait(10)
        answer = real(*arguments)
        order.append("warm")
        return answer

    monkeypatch.setattr(state, "session_state", held_up)
    warm.warm_up(session.context)
    assert started.wait(10)
    (thread,) = _running()

    def close() -> None:
        session.close()
        order.append("closed")

    closing = threading.Thread(target=close)
    closing.start()
    assert thread.is_alive()
    go_on.set()
    _end(closing)
    assert order == ["warm", "closed"], "the file is not closed underneath"
    assert not thread.is_alive() and not _running()


def test_a_session_that_is_closed_too_early_says_nothing(
    session: di.Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm, "_PATIENCE_S", 0.0)
    started, go_on = threading.Event(), threading.Event()
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    real = state.session_state

    def held_up(*arguments: Any) -> Any:
        started.set()
        assert go_on.wait(10)
        return real(*arguments)

    monkeypatch.setattr(state, "session_state", held_up)
    warm.warm_up(session.context)
    assert started.wait(10)
    (thread,) = _running()
    session.close()
    go_on.set()
    _end(thread)
    assert not failed
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
