"""A page of the grid costs the same anywhere, in a session of any size, and ends when nobody waits for it any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core.order import Sort
from dataide.storage.blobs import Blobs
from dataide.storage.rows import rows_of
from dataide.widgets.answers import pages
from dataide.widgets.hub import Hub
from dataide.widgets.underway import answering, is_given_up
from dataide.widgets.workspace import Workspace
from tests.unit.big_session import big_session
from tests.unit.small_session import small_session

ASK: Any = {"offset": 0, "limit": 120, "thumbs": True, "px": 64, "caption": None}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with small_session(tmp_path, 200) as session:
        yield session


def workspace_of(session: di.Session) -> Workspace:
    return Hub.of(session.context).workspace


def blob_hashes(session: di.Session) -> list[str]:
    with session.context.database.query("SELECT content_hash FROM data.blob") as cursor:
        return [str(value) for (value,) in cursor.fetchall()]


@pytest.mark.parametrize("sort", [Sort(), Sort("column", column="score")])
@pytest.mark.parametrize("group", [None, "camera"])
def test_the_bytes_of_a_page_do_not_grow_with_the_session(tmp_path: Path, sort: Sort, group: str | None) -> None:
    sizes: list[int] = []
    for count in (10_000, 1_000_000):
        with di.open(big_session(tmp_path / f"{count}.duckdb", count)) as session:
            workspace = workspace_of(session)
            workspace.orders.set_sort(sort)
            workspace.orders.set_group(group)
            known = workspace.orders.current().id
            ask: Any = {**ASK, "offset": count // 2, "thumbs": False, "known": known}
            reply = pages.page(workspace, ask)
            assert len(reply.body["nos"]) == 120
            sizes.append(len(json.dumps(reply.body)) + sum(map(len, reply.buffers)))
    assert abs(sizes[1] - sizes[0]) < 1_500  # numbers and ids have two digits more


def test_a_page_nobody_waits_for_makes_no_more_thumbnails(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = workspace_of(session)
    made: list[int] = []
    get = workspace.thumbnails.get

    def noted(nos: Any, px: int) -> Any:
        made.append(len(nos))
        return get(nos, px)

    monkeypatch.setattr(workspace.thumbnails, "get", noted)
    assert not is_given_up()
    with answering(lambda: sum(made) > 0):
        cancelled = pages.page(workspace, ASK)
    assert made == [pages.TILES_AT_ONCE] and len(cancelled.body["nos"]) == pages.TILES_AT_ONCE
    assert not is_given_up()
    assert len(pages.page(workspace, ASK).body["nos"]) == 120


def test_rows_are_found_by_number_wherever_they_stand(session: di.Session) -> None:
    database = session.context.database
    with database.write() as cursor:  # some rows are written anew at the end, some are gone
        cursor.execute("CREATE TEMP TABLE moved AS SELECT * FROM data.sample WHERE sample_no IN (3, 50, 51)")
        cursor.execute("DELETE FROM data.sample WHERE sample_no IN (3, 50, 51, 77)")
        cursor.execute("INSERT INTO data.sample SELECT * FROM moved; DROP TABLE moved")
    asked = [51, 3, 199, 0, 77, 50, 9_999]
    found = rows_of(database, "sample_id, label", asked)
    assert {no: values[0] for no, values in found.items()} == {no: f"s{no:03}" for no in (51, 3, 199, 0, 50)}
    assert rows_of(database, "label", []) == {}


def test_kept_pictures_are_found_by_their_hash_also_those_that_came_later(session: di.Session) -> None:
    database = session.context.database
    blobs, before = Blobs(database), blob_hashes(session)
    assert blobs.read([]) == {} and blobs.read(["no such hash"]) == {}
    random = np.random.default_rng(5)
    wanted = [before[int(i)] for i in random.integers(0, len(before), 60)]
    found = blobs.read([*wanted, "no such hash"])
    assert set(found) == set(wanted)
    assert all(session.context.media.read(f"blob:{key}") == data for key, data in found.items())
    session.add_arrays(random.integers(0, 255, (5, 9, 9), dtype=np.uint8), progress=False)
    added = sorted(set(blob_hashes(session)) - set(before))
    assert len(added) == 5 and set(blobs.read([added[0], before[0]])) == {added[0], before[0]}


def test_a_kept_picture_that_is_gone_is_a_problem_of_its_tile_alone(session: di.Session) -> None:
    workspace = workspace_of(session)
    with session.context.database.write() as cursor:
        cursor.execute("DELETE FROM data.blob WHERE 'blob:' || content_hash = (SELECT media FROM data.sample LIMIT 1)")
    problems = pages.page(workspace, ASK).body["thumbs"]["problems"]
    assert "does not hold these bytes" in problems[0] and set(problems[1:]) == {None}


def test_a_grid_groups_every_grid_and_gives_its_samples_in_that_order(session: di.Session) -> None:
    grid = session.grid(group="label")
    assert workspace_of(session).orders.group == "label"
    labels = [row["label"] for row in grid.view]
    assert labels == sorted(labels, key=lambda label: (label is None, str(label)))
    assert len(labels) == 200
