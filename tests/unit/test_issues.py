"""Issues: what a search found, how people answer, and what another search asks again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.api import Session
from dataide.core.issue_actions import AboutIssues, AcceptProposals, RejectIssues, ReopenIssues
from dataide.core.journal import Event
from dataide.errors import ActionError
from dataide.find.issue_list import Issues
from dataide.storage import arrow_arrays, evidence, issues, runs
from dataide.storage.issues import Found

CLASSES = ["cat", "dog", "fox"]
COUNT = 30


def filled(session: Session, count: int) -> None:
    """Samples labelled cat, dog, fox in turn; without pictures."""
    with session.context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) SELECT i, 's' || i, 'm' || i, "
            "['cat', 'dog', 'fox'][i % 3 + 1], now()::TIMESTAMP FROM range(?) t(i)",
            [count],
        )


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "pets.duckdb", author="Ada") as opened:
        filled(opened, COUNT)
        yield opened


def searched(session: Session, found: dict[str, Found], *, nos: np.ndarray | None = None, revision: str = "r1") -> None:
    database = session.context.database
    nos = np.arange(database.sample_count) if nos is None else nos
    looked = issues.seen(database, nos)
    with database.write() as cursor:
        issues.store(cursor, looked, list(found), found, revision, None)


def of_labels(nos: list[int], proposals: list[int], scores: list[float] | None = None) -> Found:
    count = len(nos)
    return Found(
        np.asarray(nos, np.uint32),
        np.asarray(scores or np.linspace(0.1, 0.4, count), np.float32),
        np.ones(count, bool),
        proposal=np.asarray(proposals, np.int32),
        confidence=np.full(count, 0.9, np.float32),
        words=CLASSES,
        reasons={0: "9 of 10 nearest neighbours are labelled dog"},
        of_label=True,
    )


def rows(session: Session, kind: str | None = None, *states: issues.State) -> list[dict[str, object]]:
    return issues.listing(session.context.database, kind, states or ("open",)).to_pylist()


def act(session: Session, action: AboutIssues, nos: list[int]) -> Event:
    return session.context.journal.act(action, np.asarray(nos, np.uint32))


def labels(session: Session, nos: list[int]) -> list[object]:
    frame = session.to_pandas(["sample_no", "label"]).set_index("sample_no")["label"]
    return [frame[no] for no in nos]


def test_what_was_found_is_listed_the_most_severe_first(session: Session) -> None:
    searched(session, {"label": of_labels([3, 4, 5], [1, 2, 0], [0.3, 0.1, 0.2])})
    listed = rows(session, "label")
    assert [row["sample_id"] for row in listed] == ["s4", "s5", "s3"]
    assert [row["proposal"] for row in listed] == ["fox", "cat", "dog"]
    assert [row["label"] for row in listed] == ["dog", "fox", "cat"]
    assert listed[2]["reason"] == "9 of 10 nearest neighbours are labelled dog"
    assert listed[0]["reason"] is None and listed[0]["revision"] == "r1"
    assert listed[0]["confidence"] == pytest.approx(0.9)
    assert issues.counts(session.context.database) == {"label": {"open": 3, "accepted": 0, "rejected": 0, "stale": 0}}
    assert issues.of_samples(session.context.database, [4, 9])[4][0].proposal == "fox"
    assert 9 not in issues.of_samples(session.context.database, [4, 9])


def test_a_search_replaces_what_was_known_of_its_samples_and_kinds_only(session: Session) -> None:
    dark = Found(np.asarray([1], np.uint32), np.asarray([0.2], np.float32), np.ones(1, bool))
    searched(session, {"label": of_labels([3, 20], [1, 0]), "dark": dark})
    database = session.context.database
    assert issues.is_fresh(database, "label", "r1") and not issues.is_fresh(database, "label", "r2")
    searched(session, {"label": of_labels([4], [2])}, nos=np.arange(10), revision="r2")
    assert sorted(str(row["sample_id"]) for row in rows(session, "label")) == ["s20", "s4"]
    assert {row["revision"] for row in rows(session, "label")} == {"r1", "r2"}
    assert len(rows(session, "dark")) == 1
    assert issues.is_fresh(database, "label", "r2") and issues.is_fresh(database, "dark", "r1")
    assert not issues.is_fresh(database, "label", "r1"), "a part of it was replaced"


def test_a_group_of_duplicates_is_replaced_whole(session: Session) -> None:
    def pair(one: int, other: int) -> Found:
        nos = np.asarray([one, other], np.uint32)
        return Found(
            nos, np.full(2, 0.1, np.float32), np.ones(2, bool), proposal=np.asarray([0, 1]), words=["keep", "exclude"],
            group=np.zeros(2, np.int64),
        )  # fmt: skip

    searched(session, {"near_duplicate": pair(1, 20)})
    searched(session, {"near_duplicate": pair(2, 21)}, nos=np.asarray([2, 21]), revision="r2")
    assert len({row["group_no"] for row in rows(session, "near_duplicate")}) == 2
    searched(session, {"near_duplicate": pair(1, 3)}, nos=np.arange(4), revision="r3")
    assert sorted(str(row["sample_id"]) for row in rows(session, "near_duplicate")) == ["s1", "s3"]


def test_accepting_gives_each_its_own_label_and_can_be_undone(session: Session) -> None:
    searched(session, {"label": of_labels([3, 4, 5, 6], [1, 2, 0, 0])})
    done = act(session, AcceptProposals("label"), [3, 4, 5, 6, 7])
    assert repr(done) == "Relabelled 3 samples as proposed (label)"
    assert labels(session, [3, 4, 5, 6, 7]) == ["dog", "fox", "cat", "cat", "dog"]
    assert len(rows(session, "label", "accepted")) == 4 and not rows(session, "label")
    session.undo()
    assert labels(session, [3, 4, 5, 6]) == ["cat", "dog", "fox", "cat"]
    assert len(rows(session, "label")) == 4
    session.redo()
    assert labels(session, [3, 4, 5]) == ["dog", "fox", "cat"]
    assert len(rows(session, "label", "accepted")) == 4
    again = act(session, AcceptProposals("label"), [3, 4, 5])
    assert again.event is None and "no open proposal" in repr(again)


def test_who_relabels_by_hand_is_not_asked_about_the_earlier_label(session: Session) -> None:
    searched(session, {"label": of_labels([3, 4], [1, 2])})
    session.where("sample_id = 's3'").relabel("bird")
    assert [row["sample_id"] for row in rows(session, "label")] == ["s4"]
    assert [row["sample_id"] for row in rows(session, "label", "stale")] == ["s3"]
    act(session, AcceptProposals("label"), [3, 4])
    assert labels(session, [3, 4]) == ["bird", "fox"]


def test_a_rejection_is_remembered_while_picture_and_label_are_the_same(session: Session) -> None:
    searched(session, {"label": of_labels([3, 4, 5], [1, 2, 0])})
    done = act(session, RejectIssues("label"), [3, 4, 9])
    assert done.count == 2 and repr(done) == "Left 2 samples as they are: no issue (label)"
    searched(session, {"label": of_labels([3, 4, 5], [1, 2, 0])}, revision="r2")
    assert [row["sample_id"] for row in rows(session, "label")] == ["s5"]
    act(session, AcceptProposals("label"), [3])
    assert labels(session, [3]) == ["cat"], "who said no is not overruled by accepting many"
    session.where("sample_id = 's3'").relabel("fox")
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no = 4")
    searched(session, {"label": of_labels([3, 4, 5], [1, 2, 0])}, revision="r3")
    assert sorted(str(row["sample_id"]) for row in rows(session, "label")) == ["s3", "s4", "s5"]


def test_a_rejection_can_be_undone_and_taken_back(session: Session) -> None:
    searched(session, {"label": of_labels([3, 4], [1, 2])})
    act(session, RejectIssues("label"), [3, 4])
    assert not rows(session, "label")
    session.undo()
    assert len(rows(session, "label")) == 2
    session.redo()
    assert act(session, ReopenIssues("label"), [4]).count == 1
    assert [row["sample_id"] for row in rows(session, "label")] == ["s4"]
    assert [row["sample_id"] for row in rows(session, "label", "rejected")] == ["s3"]
    session.undo()
    assert len(rows(session, "label", "rejected")) == 2


def test_answers_of_one_kind_say_nothing_of_another(session: Session) -> None:
    blurred = Found(np.asarray([3], np.uint32), np.asarray([0.2], np.float32), np.ones(1, bool))
    searched(session, {"label": of_labels([3], [1]), "blurred": blurred})
    act(session, RejectIssues("blurred"), [3])
    assert len(rows(session, "label")) == 1 and not rows(session, "blurred")
    session.where("sample_id = 's3'").relabel("dog")
    assert rows(session, "blurred", "rejected"), "what is blurred does not depend on the label"


def test_accepting_duplicates_leaves_out_what_need_not_be_kept(session: Session) -> None:
    found = Found(
        np.asarray([1, 2, 3], np.uint32), np.full(3, 0.05, np.float32), np.ones(3, bool),
        proposal=np.asarray([0, 1, 1]), words=["keep", "exclude"], group=np.zeros(3, np.int64),
    )  # fmt: skip
    searched(session, {"near_duplicate": found})
    done = act(session, AcceptProposals("near_duplicate"), [1, 2, 3])
    assert repr(done) == "Excluded 2 samples as proposed (near duplicate)"
    assert len(session) == COUNT - 2 and len(session.where("sample_id = 's1'")) == 1
    session.undo()
    assert len(session) == COUNT and len(rows(session, "near_duplicate")) == 3


def test_only_what_proposes_something_can_be_accepted() -> None:
    with pytest.raises(ActionError, match="propose nothing"):
        AcceptProposals("blurred")
    with pytest.raises(ActionError, match="is a text"):
        RejectIssues("")


def test_a_thousand_proposals_are_accepted_at_once(session: Session) -> None:
    count, open_ones = 50_000, 20_000
    with session.context.database.write() as cursor:
        cursor.execute("DELETE FROM data.sample")
    filled(session, count)
    random = np.random.default_rng(0)
    nos = np.sort(random.permutation(count)[:open_ones])
    searched(session, {"label": of_labels(nos.tolist(), ((nos + 1) % 3).tolist())})
    began = time.thread_time()
    done = act(session, AcceptProposals("label"), nos[:1000].tolist())
    assert done.count == 1000
    assert time.thread_time() - began < 0.5
    assert labels(session, nos[:1000].tolist()) == [CLASSES[(no + 1) % 3] for no in nos[:1000]]


def test_issues_are_a_table_a_view_and_answered_at_once(session: Session) -> None:
    assert repr(Issues(session.context)) == "No open issues"
    searched(session, {"label": of_labels([3, 4, 5], [1, 2, 0], [0.3, 0.1, 0.2])})
    listed = Issues(session.context, "label")
    assert repr(listed) == "Open label issues: 3 label" and len(listed) == 3
    assert listed.view.ids() == ["s4", "s5", "s3"]
    assert listed.view.to_pandas()["issue_score"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert list(listed.to_pandas()["proposal"]) == ["fox", "cat", "dog"]
    shown = listed._repr_html_()
    assert listed.to_arrow().num_rows == 3 and "<td>fox</td>" in shown and "<th>proposal</th>" in shown
    # Columns that tell nobody anything are in the table only: there are neither groups nor objects here.
    assert not any(f"<th>{name}</th>" in shown for name in ("revision", "group_no", "object_id"))
    assert {"revision", "group_no", "object_id"} <= set(listed.to_pandas().columns)
    assert listed.accept(confidence=0.95).event is None, "all are less sure than that"
    assert listed.accept(score=0.15).count == 1 and labels(session, [3, 4]) == ["cat", "fox"]
    assert listed.reject().count == 2 and len(listed) == 0
    assert Issues(session.context, "label", "rejected").reopen().count == 2 and len(listed) == 2
    assert Issues(session.context, None, None).counts == {"label": 3}


def test_what_was_not_looked_for_is_no_empty_list(session: Session) -> None:
    with pytest.raises(ActionError, match="were not looked for") as refusal:
        Issues(session.context, "label")
    assert "find_issues('label')" in str(refusal.value)
    searched(session, {"label": of_labels([3], [1])})
    with pytest.raises(ActionError, match="Did you mean label"):
        Issues(session.context, "lable")
    with pytest.raises(ActionError, match="no state 'done'"):
        Issues(session.context, "label", "done")  # type: ignore[arg-type]
    with pytest.raises(ActionError, match="name their kind"):
        Issues(session.context).accept()


def test_texts_of_data_are_never_html(session: Session) -> None:
    found = of_labels([3], [0])
    found = Found(
        found.nos, found.score, found.is_issue, proposal=found.proposal, words=["<script>"], reasons={0: "<b>bold</b>"},
        of_label=True,
    )  # fmt: skip
    searched(session, {"label": found})
    shown = Issues(session.context)._repr_html_()
    assert "<script>" not in shown and "&lt;b&gt;bold" in shown


def test_what_a_search_reads_besides_vectors(session: Session) -> None:
    database = session.context.database
    with database.write() as cursor:
        database.ensure_columns(cursor, {"blur": "FLOAT", "second": "VARCHAR", "phash": "UBIGINT"})
    with database.write() as cursor:
        cursor.execute(
            "UPDATE data.sample SET blur = sample_no / 10, content_hash = 'ffffffffffffffff00000000000000ab', "
            "phash = 18446744073709551615, second = 'dog' WHERE sample_no % 2 = 0"
        )
    nos = np.asarray([1, 2, 4], np.uint32)
    found = evidence.numbers(database, nos, {"blurred": "blur"})
    assert np.isnan(found["blurred"][0]) and found["blurred"][1:].tolist() == pytest.approx([0.2, 0.4])
    places, values = evidence.words(database, nos, "second")
    assert values == ["dog"] and places.tolist() == [-1, 0, 0]
    for column in ("content_hash", "phash"):
        bits, there = evidence.bits(database, nos, column)
        assert there.tolist() == [False, True, True] and int(bits[1]) == 2**64 - 1


def test_probabilities_of_a_run_are_those_of_the_present_picture(session: Session) -> None:
    database = session.context.database
    with database.write() as cursor:
        made = runs.create(cursor, "v1", "classification", CLASSES)
        number = runs.number_of(cursor, made, "toy/1")
        rows = np.eye(3, dtype=np.float32)[[2, 0, 1, 1]]
        more = {
            "class_no": arrow_arrays.numbers(rows.argmax(axis=1), np.uint32),
            "confidence": arrow_arrays.numbers(np.ones(4), np.float32),
            "probabilities": pa.FixedSizeListArray.from_arrays(arrow_arrays.numbers(rows.reshape(-1), np.float32), 3),
        }
        runs.store(cursor, made, number, np.asarray([7, 3, 9, 5]), np.asarray([1, 1, 1, 2]), more)
        database.rebuild_views(cursor)
    nos, found = evidence.probabilities(database, runs.require(database, "v1"), np.arange(9))
    assert nos.tolist() == [3, 7], "of 5 it is another picture's"
    assert found.tolist() == [[1, 0, 0], [0, 0, 1]]
