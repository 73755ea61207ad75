"""Issues in filters, facets, groups and history: the list `issues` of each sample, as far as it is open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.core.actions import from_wire
from dataide.core.codes import Bars
from dataide.core.issue_actions import AcceptProposals, RejectIssues
from dataide.core.order import Sort
from dataide.core.predicate import PSEUDO, parse
from dataide.core.severity import most_severe
from dataide.errors import ActionError, FilterError
from dataide.storage import issues
from dataide.storage.issues import Found
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.answers.badges import LONGEST_REASON, MOST_BADGES
from dataide.widgets.answers.state import session_state
from dataide.widgets.dialogue import Reply
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace

COUNT = 12
BUILT = (Path(di.__file__).parent / "static" / "hub.js").is_file()
needs_build = pytest.mark.skipif(not BUILT, reason="the JavaScript is not built: make setup")
PAGE = {"offset": 0, "limit": 12, "thumbs": False, "px": 64, "caption": None}


def asked(session: Session, op: str, **body: Any) -> dict[str, Any]:
    """What the page gets for it, checked as on the wire."""
    reply = OPERATIONS[op](Workspace.of(session.context), check(body, protocol.ASKS[op]))
    assert isinstance(reply, Reply)
    assert check(reply.body, protocol.ANSWERS[op], "answer") == reply.body
    return dict(reply.body)


def stored(session: Session, kinds: list[str], found: dict[str, Found]) -> None:
    """Writes what a search might have found."""
    database = session.context.database
    looked = issues.seen(database, np.arange(database.sample_count))
    with database.write() as cursor:
        issues.store(cursor, looked, kinds, found, "-".join(kinds), None)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """cat and dog in turn; wrong labels at 2, 3 and 5, of which 5 is below the threshold; 3 is dark as well."""
    with di.open(tmp_path / "pets.duckdb", author="Ada") as opened:
        database = opened.context.database
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) SELECT i, 's' || i, 'm' || i, "
                "['cat', 'dog'][i % 2 + 1], now()::TIMESTAMP FROM range(?) t(i)",
                [COUNT],
            )
        wrong = Found(
            np.asarray([2, 3, 5], np.uint32), np.asarray([0.2, 0.1, 0.6], np.float32), np.asarray([True, True, False]),
            proposal=np.asarray([1, 0, 0]), confidence=np.asarray([0.9, 0.8, 0.5]), words=["cat", "dog"], of_label=True,
            reasons={0: "5 of 5 nearest neighbours are labelled dog."},
        )  # fmt: skip
        dark = Found(np.asarray([3], np.uint32), np.asarray([0.3], np.float32), np.ones(1, bool))
        stored(opened, ["label", "dark"], {"label": wrong, "dark": dark})
        yield opened


def test_a_filter_asks_for_open_issues(session: Session) -> None:
    assert session.where(issue="label").ids() == ["s2", "s3"]
    assert repr(session.where(issue="label")) == "2 samples with an issue “label”"
    assert session.where("'dark' in issues").ids() == ["s3"]
    assert session.where("len(issues) > 1").ids() == ["s3"]
    assert len(session.where(issue=None)) == COUNT - 2
    assert session.where(issue=["dark", "blurred"]).ids() == ["s3"]
    with pytest.raises(FilterError, match="issues is a list"):
        session.where(issues="label")


def test_the_same_in_plain_sql(session: Session, tmp_path: Path) -> None:
    sql = session.where(issue="label").sql
    assert [row[1] for row in session.sql(f"SELECT 1, sample_id FROM ({sql})").fetchall()] == ["s2", "s3"]
    rows = session.sql("SELECT sample_id, proposal, state FROM issue WHERE is_issue AND kind = 'label' ORDER BY score")
    assert rows.fetchall() == [("s3", "cat", "open"), ("s2", "dog", "open")]
    session.close()
    with duckdb.connect(str(tmp_path / "pets.duckdb"), read_only=True) as plain:
        assert [row[0] for row in plain.sql(f"SELECT sample_id FROM ({sql})").fetchall()] == ["s2", "s3"]


def test_a_filter_that_is_typed_may_name_issues(session: Session) -> None:
    database = session.context.database
    typed = parse("'label' in issues and brightness is null", {**database.columns(), **PSEUDO})
    assert np.flatnonzero(typed.mask(database)).tolist() == session.where(issue="label").nos().tolist() == [2, 3]


def test_filters_and_facets_follow_answers_and_labels(session: Session) -> None:
    workspace = Workspace.of(session.context)
    context = session.context
    context.filter.set("facet:issues", {"type": "in", "column": "issues", "values": ["label"]})

    def seen() -> tuple[list[int], dict[str, int]]:
        column = workspace.codes.one("issues")
        assert isinstance(column, Bars)
        counted = dict(zip(column.values, column.counts().tolist(), strict=False))
        return np.flatnonzero(context.filter.mask()).tolist(), counted

    assert seen() == ([2, 3], {"label": 2, "dark": 1})
    context.journal.act(RejectIssues("label"), np.asarray([2], np.uint32))
    assert seen() == ([3], {"label": 1, "dark": 1})
    session.undo()
    assert seen() == ([2, 3], {"label": 2, "dark": 1})
    session.where("sample_id = 's3'").relabel("fox")
    assert seen() == ([2], {"label": 1, "dark": 1})


def test_a_grid_is_sorted_by_severity_and_not_grouped_by_issues(session: Session) -> None:
    workspace = Workspace.of(session.context)
    nos, _ = issues.ranking(session.context.database, "label", ("open",), issues_only=False)
    workspace.orders.set_sort(workspace.orders.rank(nos, "wrong labels"))
    assert workspace.orders.current().nos[:4].tolist() == [3, 2, 5, 0]
    with pytest.raises(ActionError, match="may have several issues"):
        workspace.orders.set_group("issues")


def test_decisions_about_issues_stand_in_the_history(session: Session) -> None:
    journal = session.context.journal
    journal.act(AcceptProposals("label"), np.asarray([2], np.uint32))
    journal.act(RejectIssues("label"), np.asarray([3], np.uint32))
    assert session.history()["sentence"].tolist() == [
        "Relabelled 1 sample as proposed (label)",
        "Left 1 sample as it is: no issue (label)",
    ]
    assert [one.sentence for one in journal.sample_history(2)] == ["issue “label” accepted", "label: cat → dog"]
    assert [one.sentence for one in journal.sample_history(3)] == ["issue “label” rejected"]
    assert from_wire("accept_proposals", {"kind": "label"}) == AcceptProposals("label")
    with pytest.raises(ActionError, match="needs kind"):
        from_wire("reject_issues", {})
    with pytest.raises(ActionError, match="find_issues"):
        session.where().set(issues=3)


def test_a_column_of_ones_own_may_not_take_the_name(session: Session) -> None:
    database = session.context.database
    with database.write() as cursor, pytest.warns(UserWarning, match="issues_2"):
        actual = database.ensure_columns(cursor, {"issues": "VARCHAR"})
    assert actual == {"issues": "issues_2"}


def test_the_state_counts_open_issues_by_kind(session: Session) -> None:
    workspace = Workspace.of(session.context)
    stored(session, ["outlier"], {})
    label = {"name": "label", "count": 2, "worst": 0.1, "cure": "label"}
    dark, outlier = {"name": "dark", "count": 1, "worst": 0.3}, {"name": "outlier", "count": 0, "worst": None}
    assert session_state(workspace)["issues"] == [label, dark, outlier]
    session.where("sample_id = 's3'").exclude()
    assert session_state(workspace)["issues"] == [
        label | {"count": 1, "worst": 0.2}, {"name": "dark", "count": 0, "worst": None}, outlier,
    ]  # fmt: skip
    session.undo()
    session.issues("label").accept(confidence=0.85)
    assert session_state(workspace)["issues"][1] == label | {"count": 1, "worst": 0.1}


def test_the_state_asks_again_only_when_issues_may_have_changed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.of(session.context)
    session_state(workspace)
    looks: list[int] = []
    real = issues.searches

    def looked(database: Any) -> Any:
        looks.append(1)
        return real(database)

    monkeypatch.setattr(issues, "searches", looked)
    session.where("sample_id = 's7'").tag("seen")
    session.select(session.where("sample_id = 's7'"))
    session_state(workspace)
    assert not looks
    session.where("sample_id = 's7'").relabel("fox")
    session_state(workspace)
    assert len(looks) == 1


def test_a_page_carries_the_open_issues_of_its_samples(session: Session) -> None:
    found = asked(session, "page", **PAGE)["issues"]
    assert [[one["kind"] for one in of_tile] for of_tile in found] == [
        [], [], ["label"], ["label", "dark"], [], [], [], [], [], [], [], [],
    ]  # fmt: skip
    assert found[2] == [
        {
            "kind": "label", "state": "open", "score": 0.2, "proposal": "dog", "confidence": 0.9, "cure": "label",
            "reason": "5 of 5 nearest neighbours are labelled dog.",
        }
    ]  # fmt: skip
    assert "cure" not in found[3][1]
    assert [one["kind"] for one in asked(session, "peek", no=3, px=64)["issues"]] == ["label", "dark"]
    session.issues("label").reject()
    assert [one["kind"] for one in asked(session, "page", **PAGE)["issues"][3]] == ["dark"]
    told = asked(session, "inspect", no=3, px=64)["issues"]
    assert [(one["kind"], one["state"]) for one in told] == [("dark", "open"), ("label", "rejected")]


def test_where_no_issue_is_open_pages_say_nothing_of_them(session: Session) -> None:
    session.issues("label").reject()
    session.issues("dark").reject()
    assert "issues" not in asked(session, "page", **PAGE)
    assert "issues" not in asked(session, "peek", no=3, px=64)
    assert len(asked(session, "inspect", no=3, px=64)["issues"]) == 2


def test_a_session_without_searches_asks_for_no_issues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with di.open(tmp_path / "plain.duckdb") as plain:
        with plain.context.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, added_at) SELECT i, 's' || i, 'm' || i, "
                "now()::TIMESTAMP FROM range(2) t(i)"
            ).fetchall()
        monkeypatch.setattr(issues, "of_samples", lambda *_: pytest.fail("nobody looked for issues"))
        assert session_state(Workspace.of(plain.context))["issues"] == []
        for op, ask in (("page", PAGE), ("peek", {"no": 0, "px": 64}), ("inspect", {"no": 0, "px": 64})):
            assert "issues" not in asked(plain, op, **ask)
        with pytest.raises(ActionError, match="not looked for yet"):
            asked(plain, "sort", sort={"by": "issue", "kind": None, "descending": False})


def test_badges_are_bounded(session: Session) -> None:
    kinds = [f"kind_{number}" for number in range(9)]
    one = Found(np.asarray([1], np.uint32), np.ones(1, np.float32) / 2, np.ones(1, bool), reasons={0: "why " * 500})
    stored(session, kinds, dict.fromkeys(kinds, one))
    (of_tile,) = asked(session, "page", **PAGE | {"offset": 1, "limit": 1})["issues"]
    assert len(of_tile) == MOST_BADGES
    assert {len(badge["reason"]) for badge in of_tile} == {LONGEST_REASON}


def test_of_duplicates_only_what_goes_can_be_accepted(session: Session) -> None:
    pair = Found(
        np.asarray([6, 8], np.uint32), np.zeros(2, np.float32), np.ones(2, bool), proposal=np.asarray([0, 1]),
        words=[issues.KEEP, issues.EXCLUDE], group=np.zeros(2, np.int64),
    )  # fmt: skip
    stored(session, ["near_duplicate"], {"near_duplicate": pair})
    found = asked(session, "page", **PAGE)["issues"]
    assert "cure" not in found[6][0]
    assert found[8][0]["cure"] == "excluded"


def test_sorted_by_severity_the_worst_come_first_and_the_rest_as_it_arrived(session: Session) -> None:
    orders = Workspace.of(session.context).orders

    def order(kind: str | None, descending: bool = False) -> list[int]:
        sort = {"by": "issue", "kind": kind, "descending": descending}
        assert asked(session, "sort", sort=sort) == {"sort": sort}
        assert session_state(Workspace.of(session.context))["sort"] == sort
        return orders.current().nos.tolist()

    rest = [0, 1, 4, 6, 7, 8, 9, 10, 11]
    assert order("label") == [3, 2, 5, *rest]  # 5 lies below the threshold
    assert order("label", descending=True) == [5, 2, 3, *rest]
    assert order("dark") == [3, 0, 1, 2, 4, 5, *rest[3:]]
    assert order(None) == [3, 2, 0, 1, 4, 5, *rest[3:]]
    session.context.journal.act(RejectIssues("label"), np.asarray([3], np.uint32))
    assert order("label") == [2, 5, 0, 1, 3, 4, *rest[3:]]
    session.undo()
    assert orders.current().nos.tolist()[:3] == [3, 2, 5]
    with pytest.raises(ActionError, match="label") as refused:
        order("lable")
    assert "label" in str(refused.value.hint)


def test_an_order_by_severity_is_kept_until_issues_change(session: Session) -> None:
    orders = Workspace.of(session.context).orders
    orders.set_sort(Sort("issue", kind="label"))
    first = orders.current()
    session.where("sample_id = 's7'").tag("seen")
    assert orders.current() is first
    session.issues("label").accept(confidence=0.85)
    assert orders.current().nos.tolist()[:3] == [3, 5, 0]


def test_scores_tie_in_the_order_of_arrival_and_odd_ones_do_no_harm(session: Session) -> None:
    nos = np.asarray([9, 1, 4, 7], np.uint32)
    tied = Found(nos, np.asarray([0.5, 0.5, 0.0, np.nan], np.float32), np.ones(4, bool))
    stored(session, ["outlier"], {"outlier": tied})
    assert most_severe(session.context.database, "outlier").tolist() == [4, 1, 9, 7]


@needs_build
def test_a_grid_in_python_by_severity(session: Session) -> None:
    assert session.grid(sort="issues:label").view.ids()[:3] == ["s3", "s2", "s5"]
    assert session.grid(sort="-issues:label").view.ids()[:3] == ["s5", "s2", "s3"]
    assert session.grid(sort="issues").view.ids()[:3] == ["s3", "s2", "s0"]
    with pytest.raises(ActionError, match="outlier"):
        session.grid(sort="issues:outlier")


def test_a_million_samples_are_sorted_by_severity_in_no_time(tmp_path: Path) -> None:
    count = 1_000_000
    with di.open(tmp_path / "many.duckdb") as many:
        database = many.context.database
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) SELECT i, 's' || i, '', "
                "['cat', 'dog'][i % 2 + 1], now()::TIMESTAMP FROM range(?) t(i)",
                [count],
            ).fetchall()
        score = np.random.default_rng(0).random(count).astype(np.float32)
        everything = Found(np.arange(count, dtype=np.uint32), score, score < 0.03, of_label=True)
        stored(many, ["label"], {"label": everything})
        workspace = Workspace.of(many.context)
        workspace.orders.set_sort(Sort("issue", kind="label"))
        began = time.process_time()
        order = workspace.orders.current()
        assert time.process_time() - began < 2.0  # 0.3 s on a quiet machine
        assert np.array_equal(order.nos, np.argsort(score, kind="stable"))
        began = time.process_time()
        state, page = session_state(workspace)["issues"], asked(many, "page", **PAGE | {"offset": 30_000})
        assert time.process_time() - began < 1.0  # 0.05 s
        assert state[0]["count"] == int((score < 0.03).sum())
        assert len(page["nos"]) == len(page["issues"]) == 12
