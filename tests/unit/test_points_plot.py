"""The points of a map in the session: their order, the files beside it, and what goes wrong."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import plot_building, plot_files
from dataide.core.codes import Codes
from dataide.core.plot_files import scrambled, unscrambled
from dataide.core.points import Places
from tests.unit.plot_session import COUNT, RARE, few_are_many, plot_session


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


def places(session: di.Session) -> Places:
    return Places(session.context.database, Codes(session.context.database))


def test_every_sample_stands_once_in_the_order_and_a_prefix_is_a_fair_sample(session: di.Session) -> None:
    held = places(session).points("map")
    nos = held.samples(0, held.total)
    assert sorted(nos.tolist()) == list(range(COUNT))
    assert np.array_equal(nos[: held.front], held.samples(0, held.front)), "what came first is a prefix of the whole"
    assert np.array_equal(held.quantised(0, held.total)[: held.front], held.quantised(0, held.front))
    for part in (500, 2_000, 20_000):
        assert abs(np.median(nos[:part]) - COUNT / 2) < 4 * COUNT / np.sqrt(part)
    again = places(session).points("map")
    assert again.places == held.places and np.array_equal(again.samples(0, COUNT), nos)


def test_of_a_rare_label_all_are_among_the_first(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot_building, "FRONT", 300)
    held = places(session).points("map")
    assert held.front == 300 and set(range(RARE)) <= set(held.samples(0, 300).tolist())
    nos = held.samples(0, COUNT)
    assert sorted(nos.tolist()) == list(range(COUNT))
    first = scrambled(nos[:300])
    assert np.median(first) < 2**32 / 50, "the others in front are those that random order puts there"


def test_scrambling_loses_nothing() -> None:
    nos = np.concatenate([np.arange(5_000), 2**32 - 1 - np.arange(5_000)]).astype(np.uint32)
    assert np.array_equal(unscrambled(scrambled(nos)), nos)
    assert len(np.unique(scrambled(nos))) == len(nos)


def test_a_second_kernel_maps_what_the_first_one_wrote(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with di.open(file) as session:
        held = places(session).points("map")
        nos, name, written = held.samples(0, COUNT), held.places, held.plot.path
    assert written is not None and written.parent == file.with_suffix(".cache") / "plots"
    monkeypatch.setattr(plot_files, "arranged", lambda *_: pytest.fail("it was arranged before"))
    for read_only in (False, True):
        with di.open(file, read_only=read_only) as session:
            held = places(session).points("map")
            assert held.places == name and held.is_arranged and np.array_equal(held.samples(0, COUNT), nos)


def test_a_decision_moves_no_point_and_an_import_is_noticed(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = places(session)
    held = here.points("map")
    written = held.plot.path
    asked: list[int] = []
    real = plot_building.fingerprint

    def noted(database: Any, number: int) -> Any:
        asked.append(number)
        return real(database, number)

    monkeypatch.setattr(plot_building, "fingerprint", noted)
    session.where(sample_id="s5").tag("x")
    assert here.points("map") is held and not asked, "a tag asks nothing of ten million places"
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET bytes = 1 WHERE sample_no = 3")
    assert here.points("map") is held and asked, "another write may have moved some: they are compared"
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.point SET x = 0.123 WHERE sample_no = 3")
    moved = here.points("map")
    assert moved is not held and moved.places != held.places
    assert (here.where("map", [3])[0] or [0.0])[0] == pytest.approx(0.123)
    assert moved.plot.path is not None and written is not None and not written.exists(), "the old file is removed"
    assert np.array_equal(held.samples(0, COUNT)[:5], held.samples(0, 5)), "who still reads the old one can"


@pytest.mark.parametrize(
    "damage", ["cut off", "head", "cells", "other points", "not a plot", "bounds", "an earlier kind"]
)
def test_a_damaged_file_is_made_anew(file: Path, damage: str) -> None:
    with di.open(file) as session:
        held = places(session).points("map")
        path, nos = held.plot.path, held.samples(0, COUNT)
    assert path is not None
    content = bytearray(path.read_bytes())
    if damage == "cut off":
        content = content[:-5_000]
    elif damage == "head":
        content[20:40] = b"#" * 20
    elif damage == "cells":
        content[-2_000:] = b"\xff" * 2_000
    elif damage == "other points":
        content = content.replace(b'"total": 30000', b'"total": 29999')
    elif damage == "bounds":
        content = content.replace(b'"cells": 128', b'"cells": 999')
    elif damage == "an earlier kind":
        content = content.replace(b"dataide plot 2\n", b"dataide plot 1\n")
    else:
        content = bytearray(b"something else")
    assert bytes(content) != path.read_bytes()
    path.write_bytes(bytes(content))
    with di.open(file) as session:
        held = places(session).points("map")
        assert np.array_equal(held.samples(0, COUNT), nos) and held.in_box(-9, -9, 9, 9).mask.sum() == COUNT


def test_numbers_that_cannot_be_are_refused_and_the_next_try_works(file: Path) -> None:
    with di.open(file) as session:
        held = places(session).points("map")
        path, sections = held.plot.path, {name: at for name, at, _, _ in held.plot.head.sections()}
    assert path is not None
    content = bytearray(path.read_bytes())
    at = sections["cell_nos"]
    content[at : at + 4 * COUNT] = b"\xff" * (4 * COUNT)
    path.write_bytes(bytes(content))
    with di.open(file) as session:
        here = places(session)
        with pytest.raises(di.DataideError, match="damaged"):
            here.points("map").in_box(-9, -9, 9, 9)
        assert here.points("map").in_box(-9, -9, 9, 9).mask.sum() == COUNT


def test_where_no_file_can_be_written_everything_works(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    with di.open(file) as session:
        (session.context.database.cache_dir / "plots").write_text("a file where the folder should be")
        held = places(session).points("map")
        assert held.plot.path is None and held.in_box(-9, -9, 9, 9).mask.sum() == COUNT
        monkeypatch.setattr(tempfile, "TemporaryFile", refused)
        held = places(session).points("map")
        assert held.plot.path is None and len(held.samples(0, COUNT)) == COUNT


def test_what_went_wrong_is_tried_again(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    here = places(session)
    with monkeypatch.context() as broken:
        broken.setattr(plot_files, "arranged", lambda *_: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            here.points("map").samples(0, COUNT)
    assert len(here.points("map").samples(0, COUNT)) == COUNT


def test_closing_does_not_wait_for_points_that_nobody_needs_any_more(file: Path) -> None:
    session = di.open(file)
    held = places(session).points("map")
    held.begin()
    session.close()
    for thread in threading.enumerate():
        if thread.name == "dataide-plot":
            thread.join(10)
            assert not thread.is_alive()
    assert held.is_arranged


def test_stale_places_are_counted_with_and_without_replaced_pictures(session: di.Session) -> None:
    (newest, older) = places(session).projections()
    assert (newest.name, newest.count, newest.stale) == ("map", COUNT, 0)
    assert (older.name, older.count, older.stale, older.embedding) == ("older", 0, COUNT, "")
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no < 10")
    assert [one.stale for one in places(session).projections()] == [0, COUNT], "places of one's own are of no picture"
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.projection SET method = 'pca'")
    assert [one.stale for one in places(session).projections()] == [10, COUNT]
