"""How issues stand for the samples of a decision: the same as the views say of all, and quick among many."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.core import object_actions
from dataide.core.actions import Relabel
from dataide.core.issue_actions import AcceptProposals, RejectIssues, ReopenIssues
from dataide.core.object_actions import DeleteObjects, MoveObjects
from dataide.storage import decisions, findings, issues, standing
from dataide.storage.issues import Found

ACTS = ("delete", "box", "relabel", "none")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "standing.duckdb") as opened:
        yield opened


def filled(session: Session, count: int, each: int = 2) -> None:
    """Samples with so many boxes each, written into the file as they are."""
    database = session.context.database
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, width_px, height_px, added_at) SELECT i, "
            "'s' || i, '', 'class ' || i % 3, 640, 480, now()::TIMESTAMP FROM range(?) t(i)",
            [count],
        ).fetchall()
        cursor.execute(
            "INSERT INTO data.object (object_no, sample_no, object_id, label, left_px, top_px, width_px, height_px, "
            f"added_at) SELECT i, i // {each}, 'o' || i, 'kind ' || i % 4, i % 400, i % 300, 40, 30, "
            "now()::TIMESTAMP FROM range(?) t(i)",
            [count * each],
        ).fetchall()
        database.rebuild_views(cursor)


def searched(session: Session, kind: str, nos: np.ndarray, seed: int = 0, each: int = 2, told_each: int = 2) -> None:
    """Issues of one kind; those about objects with so many findings each, some of them about the sample."""
    random = np.random.default_rng(seed)
    database = session.context.database
    looked = issues.seen(database, nos)
    told = None
    if issues.CURES.get(kind) == issues.OBJECTS:
        of = np.repeat(nos, told_each)
        object_no = of.astype(np.int64) * each + np.tile(np.arange(told_each), len(nos))
        object_no[random.random(len(of)) < 0.1] = -1
        other = np.where(random.random(len(of)) < 0.3, of.astype(np.int64) * each, -1)
        act = [ACTS[place] for place in random.integers(0, len(ACTS), len(of)).tolist()]
        box = np.where(np.array(act)[:, None] == "box", [[1.0, 2.0, 30.0, 20.0]], np.nan)
        label = ["kind 9" if one == "relabel" else None for one in act]
        severity = [("warning", "hint")[place] for place in (random.random(len(of)) < 0.2).astype(int).tolist()]
        told = findings.table(
            of,
            object_no,
            other,
            ["rule"] * len(of),
            severity,
            random.random(len(of)),
            ["so"] * len(of),
            act,
            box,
            label,
        )
    words = ["class 0", "class 1"]
    found = Found(
        nos, random.random(len(nos)).astype(np.float32), np.ones(len(nos), bool),
        random.integers(-1, 2, len(nos)).astype(np.int32), np.full(len(nos), 0.9, np.float32), words=words,
        of_label=kind == "label", findings=told,
    )  # fmt: skip
    with database.write() as cursor:
        issues.store(cursor, looked, [kind], {kind: found}, str(seed), None)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_decision_sees_what_the_views_say(session: Session, seed: int) -> None:
    filled(session, 120)
    random = np.random.default_rng(seed)
    database, journal = session.context.database, session.context.journal
    kinds = ("linter", "box", "label", "outlier")
    for number, kind in enumerate(kinds):
        searched(session, kind, np.sort(random.permutation(120)[:80]).astype(np.uint32), number)

    def some(most: int) -> np.ndarray:
        return np.sort(random.permutation(120)[:most]).astype(np.uint32)

    journal.act(RejectIssues("linter"), some(30))
    journal.act(ReopenIssues("linter"), some(40))
    journal.act(RejectIssues("label"), some(20))
    journal.act(AcceptProposals("label"), some(30))
    journal.act(RejectIssues("outlier"), some(30))
    journal.act(AcceptProposals("linter"), some(30))
    journal.undo()
    journal.act(AcceptProposals("linter"), some(15))
    journal.act(AcceptProposals("box"), some(15))
    journal.act(Relabel("class 2"), some(20))
    object_actions.act(journal, DeleteObjects(random.permutation(240)[:20].astype(np.uint32)))
    moved = random.permutation(240)[:20].astype(np.uint32)
    object_actions.act(journal, MoveObjects(moved, np.full((20, 4), 7.0)))
    searched(session, "linter", some(25), 9)
    with database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = media_revision + 1 WHERE sample_no % 11 = 3").fetchall()
    met: set[str] = set()
    for kind in kinds:
        target = some(70)
        with (
            database.write() as cursor,
            decisions.targeted(cursor, target),
            standing.of_target(cursor, kind) as has_findings,
        ):
            sql = "SELECT i.sample_no, i.is_issue, i.proposal, i.findings, {} i.state FROM {} ORDER BY ALL"
            mine = cursor.execute(sql.format("", "temp.standing i")).fetchall()
            joined = "data.issue_now i JOIN temp.target t ON t.sample_no = i.sample_no"
            views = cursor.execute(sql.format("", f"{joined} WHERE i.kind = '{kind}'")).fetchall()
            assert mine == views and len(mine) > 30
            met |= {row[-1] for row in mine}
            assert has_findings == (issues.CURES.get(kind) == issues.OBJECTS)
            if has_findings:
                told = "SELECT f.* FROM {} ORDER BY ALL"
                mine = cursor.execute(told.format("temp.standing_finding f")).fetchall()
                joined = "data.finding_now f JOIN temp.target t ON t.sample_no = f.sample_no"
                views = cursor.execute(told.format(f"{joined} WHERE f.kind = '{kind}'")).fetchall()
                assert mine == views and {row[-1] for row in mine} == {True, False}
    assert met == set(issues.STATES)


@pytest.mark.parametrize("kind", ["linter", "label"])
def test_a_thousand_of_many_are_accepted_within_a_tenth_of_a_second(session: Session, kind: str) -> None:
    count, each = 100_000, 5
    filled(session, count, each)
    nos = np.arange(count, dtype=np.uint32)
    searched(session, kind, nos, each=each, told_each=1)
    # Answers that have nothing to do with it: all of them are read by nobody.
    session.context.journal.act(RejectIssues(kind), nos[count // 2 :])
    spent = []
    for start in range(0, 6000, 1000):
        began = time.process_time()
        event = session.context.journal.act(AcceptProposals(kind), nos[start : start + 1000])
        spent.append(time.process_time() - began)
        assert event.count > 300
    assert min(spent) < 0.1, spent


def test_accepting_where_nothing_was_found_changes_nothing(session: Session) -> None:
    filled(session, 10)
    done = session.context.journal.act(AcceptProposals("linter"), np.arange(10, dtype=np.uint32))
    assert done.event is None and "Nothing changed" in done.sentence
    assert not len(session.history())
