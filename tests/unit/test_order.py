"""Orders of a grid against the plain way of making them: sorted, filtered, grouped, led by what was selected."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core.grouping import grouped
from dataide.core.order import Order, Orders, Sort
from dataide.core.ranks import BLOCK, Ranks
from dataide.errors import ActionError, StaleOrder, UnknownColumn
from dataide.widgets.answers import pages
from dataide.widgets.answers.ordering import groups_of
from dataide.widgets.hub import Hub
from dataide.widgets.workspace import Workspace
from tests.unit.big_session import big_session

COUNT = 5_000
VALUES = 1_200


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = big_session(tmp_path_factory.mktemp("built") / "orders.duckdb", COUNT)
    with di.open(path) as session, session.context.database.write() as cursor:
        # 1,200 values that are as frequent as their number is high, and some samples without one.
        cursor.execute(
            "UPDATE data.sample SET split = CASE WHEN sample_no % 50 = 0 THEN NULL "
            f"ELSE 'v' || (floor(sqrt(sample_no / {COUNT}.0) * {VALUES}))::INTEGER END"
        )
    return path


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Iterator[Workspace]:
    path = tmp_path / "orders.duckdb"
    shutil.copy(built, path)
    with di.open(path) as session:
        yield Hub.of(session.context).workspace


def column(workspace: Workspace, name: str) -> list[Any]:
    with workspace.database.query(f"SELECT {name} FROM data.sample ORDER BY sample_no") as cursor:
        return [value for (value,) in cursor.fetchall()]


def expected(workspace: Workspace, sort: str | None, group: str | None) -> list[int]:
    """What a person would do: write the samples down and sort them by hand."""
    mask, lead = workspace.filter.mask(), workspace.selection.lead
    nos = [no for no in range(len(mask)) if mask[no]]
    if sort is not None:
        values = column(workspace, sort)
        nos.sort(key=lambda no: (values[no] is None, values[no] if values[no] is not None else 0, no))
    led = sorted(nos, key=lambda no: not lead[no])
    if group is None:
        return led
    groups = column(workspace, group)
    frequency: dict[Any, int] = {}
    for value in groups:
        frequency[value] = frequency.get(value, 0) + 1
    return sorted(led, key=lambda no: (groups[no] is None, -frequency[groups[no]], str(groups[no])))


@pytest.mark.parametrize("group", [None, "label", "night", "split"])
@pytest.mark.parametrize("sort", [None, "distance", "camera"])
@pytest.mark.parametrize("lassoed", [False, True])
@pytest.mark.parametrize("clause", [None, "pedestrians < 30 and weather <> 'fog'"])
def test_an_order_is_what_sorting_by_hand_gives(
    workspace: Workspace, group: str | None, sort: str | None, lassoed: bool, clause: str | None
) -> None:
    orders = workspace.orders
    if clause is not None:
        workspace.filter.set("text", {"type": "sql", "text": clause})
    if lassoed:
        workspace.selection.combine(np.random.default_rng(1).random(COUNT) < 0.3, "replace", "scatter")
    if sort is not None:
        orders.set_sort(Sort("column", column=sort))
    orders.set_group(group)
    order, wanted = orders.current(), expected(workspace, sort, group)
    if group == "split" and lassoed:
        # Beyond the groups that are named, what was caught comes first in what remains as a whole.
        cut = sum(section.count for section in order.sections[:-1])
        behind = order.nos[cut:].tolist()
        lead = workspace.selection.lead
        assert order.nos[:cut].tolist() == wanted[:cut] and sorted(behind) == sorted(wanted[cut:])
        assert behind == sorted(behind, key=lambda no: not lead[no])
        return
    assert order.nos.dtype == np.uint32 and order.nos.tolist() == wanted
    for start, stop in [(0, 120), (1_700, 1_820), (len(wanted) - 7, len(wanted) + 50), (-5, 3), (9, 9)]:
        assert order.part(start, stop).tolist() == wanted[max(start, 0) : max(stop, 0)]
    positions = [17, 3, 3, len(wanted) - 1, 0]
    assert order.at(positions).tolist() == [wanted[position] for position in positions]


def test_headings_say_where_groups_start_and_those_beyond_a_thousand_are_counted(workspace: Workspace) -> None:
    workspace.orders.set_group("split")
    workspace.filter.set("text", {"type": "sql", "text": "pedestrians > 3"})
    order = workspace.orders.current()
    groups = groups_of(order)
    assert groups is not None and len(groups["entries"]) == 1_000
    values = column(workspace, "split")
    in_order = [values[no] for no in order.nos]
    assert groups["more"] == len(set(in_order)) - 1_000 > 0
    for entry in groups["entries"]:
        start, end = entry["start"], entry["start"] + entry["count"]
        assert set(in_order[start:end]) == {entry["value"]}
    assert len(set(in_order[end:])) == groups["more"]
    assert sum(section.count for section in order.sections) == order.total


def test_a_group_without_tiles_has_no_heading_and_the_one_without_a_value_is_last(workspace: Workspace) -> None:
    workspace.orders.set_group("label")
    workspace.filter.set("text", {"type": "sql", "text": "label is null or label in ('class 3', 'class 5')"})
    groups = groups_of(workspace.orders.current())
    assert groups is not None
    assert [entry["value"] for entry in groups["entries"]][-1] is None
    assert {entry["value"] for entry in groups["entries"]} == {"class 3", "class 5", None}
    workspace.filter.set("text", {"type": "sql", "text": "label = 'nothing'"})
    order = workspace.orders.current()
    assert order.total == 0 and groups_of(order) == {"column": "label", "entries": [], "more": 0}


@pytest.mark.parametrize(
    ("name", "said"),
    [("score", "numbers"), ("taken", "times"), ("sample_id", "a value of its own"), ("tags", "several tags")],
)
def test_what_is_no_category_cannot_be_grouped_by(workspace: Workspace, name: str, said: str) -> None:
    with pytest.raises(ActionError) as refusal:
        workspace.orders.set_group(name)
    assert said in refusal.value.message and "label" in str(refusal.value.hint)
    assert workspace.orders.group is None
    with pytest.raises(UnknownColumn):
        workspace.orders.set_group("lable")


def test_an_order_keeps_its_id_while_its_content_and_its_headings_stay(workspace: Workspace) -> None:
    orders, database = workspace.orders, workspace.database
    orders.set_group("label")
    orders.set_sort(Sort("column", column="camera"))
    first = orders.current()
    with database.write() as cursor:
        cursor.execute("INSERT INTO data.tag VALUES (3, 'x')")
    assert orders.current() is first
    orders.set_group(None)
    assert orders.current().id != first.id
    assert orders.get(first.id) is first
    with pytest.raises(StaleOrder):
        orders.get("gone")


def test_a_relabel_moves_a_sample_to_its_new_group(workspace: Workspace) -> None:
    orders = workspace.orders
    orders.set_group("label")
    before = orders.current()
    no = int(before.nos[0])
    session_view = workspace.context.view().where(sample_id=f"s{no}")
    session_view.relabel("class of its own")
    order = orders.current()
    assert order.id != before.id
    assert order.sections[-2].value == "class of its own" and order.nos[-order.sections[-1].count - 1] == no


def test_the_sort_and_the_groups_are_made_once_and_not_again_for_a_tag_or_a_lasso(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def made_once(*arguments: Any) -> Any:
            made.append(what)
            return real(*arguments)

        return made_once

    monkeypatch.setattr(Orders, "_by_column", noted("sort", Orders._by_column))
    monkeypatch.setattr("dataide.core.order.grouped", noted("group", grouped))
    workspace.orders.set_sort(Sort("column", column="score"))
    workspace.orders.set_group("camera")
    workspace.orders.current()
    workspace.context.view().take(40).tag("x")
    workspace.orders.current()
    workspace.selection.combine(np.arange(50), "replace", "scatter")
    workspace.orders.current()
    assert made == ["sort", "group"]
    workspace.context.view().take(40).set(camera="camera 1")
    workspace.orders.current()
    assert made == ["sort", "group", "group"]


def test_a_page_carries_the_headings_only_to_who_does_not_know_them(workspace: Workspace) -> None:
    def page(**more: Any) -> Any:
        ask: Any = {"offset": 0, "limit": 20, "thumbs": False, "px": 64, "caption": None, **more}
        return pages.page(workspace, ask).body

    assert page()["groups"] is None
    workspace.orders.set_group("camera")
    first = page(known="another")
    assert first["groups"]["column"] == "camera" and len(first["groups"]["entries"]) == 8
    assert "groups" not in page(known=first["order_id"])
    assert page(known=None)["groups"] == first["groups"]


@pytest.mark.parametrize("count", [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 11])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
def test_any_stretch_of_ranks_is_what_counting_gives(count: int, share: float) -> None:
    random = np.random.default_rng(count)
    mask = random.random(count) < share
    ranks, places = Ranks(mask), np.flatnonzero(mask)
    assert ranks.total == len(places) and ranks == Ranks(mask.copy())
    cuts = [*random.integers(0, len(places) + 1, 12).tolist(), 0, len(places)]
    for start in cuts:
        for stop in cuts:
            assert np.array_equal(ranks.part(start, stop), places[start:stop])


def test_an_order_of_many_samples_takes_a_bit_for_each(workspace: Workspace) -> None:
    order = Order("x", None, Ranks(np.zeros(1_000_000, bool)), Ranks(np.ones(1_000_000, bool)))
    assert order.lead.nbytes + order.rest.nbytes < 260_000
    assert order.part(500_000, 500_003).tolist() == [500_000, 500_001, 500_002]
