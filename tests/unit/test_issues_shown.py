"""Issues in filters, facets, groups and history: the list `issues` of each sample, as far as it is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.core.actions import from_wire
from dataide.core.codes import Bars
from dataide.core.issue_actions import AcceptProposals, RejectIssues
from dataide.core.predicate import PSEUDO, parse
from dataide.errors import ActionError, FilterError
from dataide.storage import issues
from dataide.storage.issues import Found
from dataide.widgets.workspace import Workspace

COUNT = 12


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
            proposal=np.asarray([1, 0, 0]), words=["cat", "dog"], of_label=True,
        )  # fmt: skip
        dark = Found(np.asarray([3], np.uint32), np.asarray([0.3], np.float32), np.ones(1, bool))
        looked = issues.seen(database, np.arange(COUNT))
        with database.write() as cursor:
            issues.store(cursor, looked, ["label", "dark"], {"label": wrong, "dark": dark}, "r1", None)
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
