"""Thumbnails: fast, bounded, and no worse without their cache."""

from __future__ import annotations

import io
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataide.formats import add_folder
from dataide.storage import thumbnails as room
from dataide.storage.database import Database
from dataide.storage.media import Media
from dataide.storage.thumbnails import FILE, Thumbnails


class Place:
    def __init__(self, folder: Path) -> None:
        self.pictures = folder / "pictures"
        self.database = Database(folder / "pets.duckdb")
        self.media = Media(self.database)
        self.cache = self.database.cache_dir / FILE

    def add(self, count: int, width: int, height: int, format: str = "JPEG") -> None:
        random = np.random.default_rng(0)
        self.pictures.mkdir(exist_ok=True)
        for number in range(count):
            small = random.integers(0, 255, (4, 4, 3), np.uint8)
            Image.fromarray(small).resize((width, height)).save(
                self.pictures / f"{number:03d}.{format.lower()}", format
            )
        add_folder(self.database, self.media, self.pictures, progress=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Place(tmp_path)
    yield made
    made.database.close()


def test_a_first_screenful_takes_less_than_sixty_milliseconds(place: Place) -> None:
    place.add(60, 200, 200)
    Thumbnails(place.database, place.media).get([0], 128)  # what is imported once
    times: list[float] = []
    for _ in range(3):
        thumbnails = Thumbnails(place.database, place.media)
        started = time.process_time()
        got = thumbnails.get(range(60), 128)
        times.append(time.process_time() - started)
        assert all(one.problem is None and one.data for one in got)
        thumbnails.close()
    assert min(times) < 0.060


def test_order_repeats_and_unknown_numbers(place: Place) -> None:
    place.add(4, 300, 200)
    thumbnails = Thumbnails(place.database, place.media)
    got = thumbnails.get([3, 1, 99, 3], 64)
    assert got[0] == got[3] != got[1]
    assert got[2].problem == "There is no sample with the number 99."
    assert thumbnails.get([], 64) == []
    assert thumbnails.full(99, 64).problem is not None
    thumbnails.close()


def test_a_vanished_or_spoiled_file_says_why_until_it_is_back(place: Place) -> None:
    place.add(2, 50, 40)
    first, second = sorted(place.pictures.iterdir())
    data = first.read_bytes()
    first.unlink()
    second.write_bytes(data[:100])
    thumbnails = Thumbnails(place.database, place.media)
    gone, spoiled = thumbnails.get([0, 1], 64)
    assert gone.data == b"" and gone.problem is not None and "There is no file" in gone.problem
    assert spoiled.problem is not None and "ends before" in spoiled.problem
    assert thumbnails.full(1, 64).problem is not None
    first.write_bytes(data)
    assert thumbnails.get([0], 64)[0].problem is None
    thumbnails.close()


def test_thumbnails_are_made_once_and_survive_the_picture(place: Place) -> None:
    place.add(3, 900, 600)
    thumbnails = Thumbnails(place.database, place.media)
    made = thumbnails.get([0, 1, 2], 96)
    thumbnails.close()
    for path in place.pictures.iterdir():
        path.unlink()
    thumbnails = Thumbnails(place.database, place.media)
    assert thumbnails.get([0, 1, 2], 96) == made
    thumbnails.close()


@pytest.mark.parametrize("harm", ["garbage", "empty", "folder", "other table", "cut"])
def test_a_damaged_cache_costs_nothing_but_time(place: Place, harm: str) -> None:
    place.add(3, 900, 600)
    thumbnails = Thumbnails(place.database, place.media)
    made = thumbnails.get([0, 1, 2], 96)
    thumbnails.close()
    for extra in ("-wal", "-shm"):
        Path(f"{place.cache}{extra}").unlink(missing_ok=True)
    if harm == "garbage":
        place.cache.write_bytes(b"no database" * 1000)
    elif harm == "empty":
        place.cache.write_bytes(b"")
    elif harm == "cut":
        data = place.cache.read_bytes()
        place.cache.write_bytes(data[: len(data) // 2] + b"\xff" * 100)
    else:
        place.cache.unlink()
        if harm == "folder":
            place.cache.mkdir()
        else:
            with sqlite3.connect(place.cache) as other:
                other.execute("CREATE TABLE thumbnail (something TEXT)")
            other.close()
    thumbnails = Thumbnails(place.database, place.media)
    assert thumbnails.get([0, 1, 2], 96) == made
    thumbnails.close()


def test_a_read_only_session_makes_no_cache(place: Place, tmp_path: Path) -> None:
    place.add(2, 900, 600)
    place.database.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    database = Database(tmp_path / "pets.duckdb", read_only=True)
    thumbnails = Thumbnails(database, Media(database))
    assert all(one.problem is None for one in thumbnails.get([0, 1], 64))
    thumbnails.close()
    database.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert not place.cache.exists()


def test_the_cache_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_CACHED_BYTES", 20_000)
    place.add(30, 300, 200)
    thumbnails = Thumbnails(place.database, place.media)
    thumbnails._cache._most = 20_000
    for px in (60, 70, 80):
        thumbnails.get(range(30), px)
    thumbnails.close()
    with sqlite3.connect(place.cache) as cache:
        (size,) = cache.execute("SELECT sum(length(data)) FROM thumbnail").fetchone()
    cache.close()
    assert 0 < size <= 40_000


def test_many_threads_get_the_same(place: Place) -> None:
    place.add(40, 400, 300)
    thumbnails = Thumbnails(place.database, place.media)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(thumbnails.get(range(40), 96))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6 and all(answer == answers[0] for answer in answers)
    assert all(Image.open(io.BytesIO(one.data)).size[0] <= 96 for one in answers[0])
    thumbnails.close()
