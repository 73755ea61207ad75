"""Rare values of every column that a scatter can be coloured by stand among the first points of a map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataide.core import rare
from dataide.core.codes import Codes
from dataide.core.plot_building import FRONT
from dataide.core.plot_files import scrambled
from dataide.core.points import Places, Points
from dataide.storage.database import Database
from dataide.storage.query import name_of

COUNT = 100_000
FEW = (17, 50_003, 99_998)  # the samples of the rare class
ROOM = 4_000


def session(path: Path, columns: dict[str, str], *, label: str = "'l' || i % 3", placed: str = "true") -> Database:
    """COUNT samples with columns of these values (SQL over `i`), and a map of those that are `placed`."""
    database = Database(path)
    few = ", ".join(map(str, FEW))
    with database.write() as cursor:
        types = {
            name: "BOOLEAN" if "=" in value and "CASE" not in value else "VARCHAR" for name, value in columns.items()
        }
        database.ensure_columns(cursor, types)
        names = "".join(f", {name_of(name)}" for name in columns)
        values = "".join(f", {value.replace('FEW', few)}" for value in columns.values())
        cursor.execute(
            f"INSERT INTO data.sample (sample_no, sample_id, media, label, added_at{names}) "
            f"SELECT i, 's' || i, '', {label.replace('FEW', few)}, now()::TIMESTAMP{values} FROM range({COUNT}) t(i)"
        )
        cursor.execute("INSERT INTO data.projection VALUES (0, 'map', 0, 'given', '{}', NULL, now())")
        cursor.execute(
            "INSERT INTO data.point SELECT 0, i, 1, (hash(i) % 100003) / 100003.0, (hash(i + 7) % 99991) / 99991.0 "
            f"FROM range({COUNT}) t(i) WHERE {placed}"
        )
    return database


def first(database: Database) -> tuple[Points, Any]:
    points = Places(database, Codes(database)).points("map")
    return points, points.samples(0, points.front)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weather", "CASE WHEN i IN (FEW) THEN 'hail' ELSE 'w' || i % 5 END"),
        ('o\'dd "name"', "CASE WHEN i IN (FEW) THEN 'it''s <b>' ELSE 'o''k' || i % 5 END"),
        ("no text", "CASE WHEN i IN (FEW) THEN 'x' ELSE 'a' || chr(0) || i % 2 END"),
        ("night", "i IN (FEW) = true"),
        ("day", "i IN (FEW) = false"),
        ("mostly empty", "CASE WHEN i IN (FEW) THEN 'said' END"),
        ("seldom", "CASE WHEN i IN (FEW) THEN 'here' WHEN i % 900 = 0 THEN 'there' END"),
    ],
)
def test_a_class_of_three_in_a_second_column_is_in_the_first_part(tmp_path: Path, name: str, value: str) -> None:
    database = session(tmp_path / "a.duckdb", {name: value})
    points, nos = first(database)
    assert len(nos) == FRONT and set(FEW) <= set(nos.tolist())
    at = np.flatnonzero(np.isin(nos, FEW))
    assert at.min() > 0, "they are mixed with the others"
    whole = points.samples(0, COUNT)
    assert np.array_equal(whole[:FRONT], nos) and sorted(whole.tolist()) == list(range(COUNT))
    database.close()


def test_a_prefix_stays_a_fair_sample_with_rare_values_in_many_columns(tmp_path: Path) -> None:
    columns = {
        f"c{n}": f"CASE WHEN hash(i + {n}) % 3000 < 100 THEN 'v' || hash(i + {n}) % 100 ELSE 'c' END" for n in range(9)
    }
    database = session(tmp_path / "a.duckdb", columns)
    points, nos = first(database)
    whole = points.samples(0, COUNT)
    assert sorted(whole.tolist()) == list(range(COUNT))
    for part in (500, 2_000, FRONT, 50_000):
        assert abs(np.median(whole[:part]) - COUNT / 2) < 4 * COUNT / np.sqrt(part)
        counts = np.bincount(whole[:part] % 3, minlength=3)
        assert abs(counts - part / 3).max() < 4 * np.sqrt(part)
    # What is there because it is rare takes a fifth of the room at most: the others are those that chance put there.
    mixed = np.argsort(np.argsort(scrambled(whole)))
    assert np.count_nonzero(mixed[:FRONT] < FRONT) >= FRONT - ROOM
    for n in range(9):
        values = [value for (value,) in _rows(database, f"SELECT c{n} FROM data.sample ORDER BY sample_no")]
        here = {values[no] for no in nos.tolist()}
        assert here == set(values), "of each value there is at least one"
    database.close()


def test_there_are_never_more_than_there_is_room_for_and_labels_come_first(tmp_path: Path) -> None:
    columns = {
        f"c{n}": f"CASE WHEN hash(i + {n}) % 1000 < 200 THEN 'v' || hash(i + {n}) % 200 ELSE 'c' END" for n in range(3)
    }
    label = "CASE WHEN hash(i) % 5000 < 100 THEN 'l' || hash(i) % 100 ELSE 'l' END"
    database = session(tmp_path / "a.duckdb", columns, label=label)
    labels = np.array([value for (value,) in _rows(database, "SELECT label FROM data.sample ORDER BY sample_no")])
    before = np.arange(2_000, dtype=np.uint32)
    for most in (0, 50, 100, 700, 100_000):
        added = rare.rare(database, before, most, None)
        assert len(added) <= most and len(set(added.tolist())) == len(added)
        assert not set(added.tolist()) & set(before.tolist())
        if most >= 100:
            assert len(set(labels[added]) | set(labels[before])) == 101, (
                "one of each label before a second value of any"
            )
    wanted = {value for value in set(labels) if np.count_nonzero(labels == value) >= rare.OF_EACH_VALUE}
    there = np.concatenate([before, added])
    for value in sorted(wanted):
        assert np.count_nonzero(labels[there] == value) >= rare.OF_EACH_VALUE
    database.close()


def test_names_and_texts_are_no_classes_but_the_most_frequent_labels_are(tmp_path: Path) -> None:
    # Sorted, so that the beginning and the middle alone look like few values.
    columns = {"scene": "'scene ' || i // 50", "remark": "CASE WHEN i > 60000 THEN 'r' || i END"}
    label = "CASE WHEN i % 1000 < 990 THEN 'l' || i % 1000 % 30 ELSE 'x' || hash(i) % 1000 END"
    database = session(tmp_path / "a.duckdb", columns, label=label)
    fair = np.sort(np.random.default_rng(1).permutation(COUNT)[: FRONT - ROOM]).astype(np.uint32)
    added = rare.rare(database, fair, ROOM, None)
    frequent = "SELECT label, count(*) FROM data.sample GROUP BY label ORDER BY 2 DESC, 1 LIMIT 254"
    said = dict(_rows(database, frequent))
    labels = np.array([value for (value,) in _rows(database, "SELECT label FROM data.sample ORDER BY sample_no")])
    assert 0 < len(added) <= ROOM and set(labels[added]) <= set(said)
    there = np.concatenate([fair, added])
    for value, count in said.items():
        assert np.count_nonzero(labels[there] == value) >= min(count, rare.OF_EACH_VALUE)
    database.close()


def test_only_samples_with_a_place_count(tmp_path: Path) -> None:
    value = "CASE WHEN i IN (FEW) OR i % 2 = 0 AND i < 3000 THEN 'rare' ELSE 'w' || i % 5 END"
    database = session(tmp_path / "a.duckdb", {"weather": value}, placed="i % 2 = 1 OR i = 99998")
    points, nos = first(database)
    assert points.total == COUNT // 2 + 1 and len(nos) == FRONT
    assert set(FEW) <= set(nos.tolist()), "the others of this value have no place"
    database.close()


def test_without_any_column_of_categories_nothing_is_asked(tmp_path: Path) -> None:
    database = session(tmp_path / "a.duckdb", {}, label="NULL")
    _, nos = first(database)
    assert len(nos) == FRONT
    database.close()


def _rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    with database.query(sql) as cursor:
        return cursor.fetchall()
