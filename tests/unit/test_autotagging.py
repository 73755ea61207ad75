"""`session.autotag`: marks that stay, rounds over a session's vectors, commits with lineage, the panel's answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.errors import ActionError, DataideError, ModelError, UnknownSample
from dataide.find.tag_process import Learning
from dataide.storage import vectors
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import ANSWERS, ASKS
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace

KINDS = 6


def clusters(count: int, seed: int = 0, dimension: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of several lengths and overlapping kinds, and the kinds."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((KINDS, dimension)) + 1
    of = random.integers(0, KINDS, count)
    rows = centres[of] + 0.7 * random.standard_normal((count, dimension))
    return (rows * random.uniform(0.5, 2, (count, 1))).astype(np.float32), of


def give_vectors(session: di.Session, rows: np.ndarray, first: int = 0, name: str = "made") -> None:
    """Puts vectors into the session as an embedding, from a sample number on."""
    database = session.context.database
    with database.write() as cursor:
        known = vectors.embedding(database, name) or vectors.create(cursor, name, f"{name}/1", rows.shape[1])
        nos = np.arange(first, first + len(rows), dtype=np.uint32)
        vectors.store(cursor, known, nos, np.ones(len(rows), np.uint32), rows)


def add_samples(session: di.Session, kinds: np.ndarray, first: int = 0) -> None:
    session.add_frame(
        [{"sample_id": f"s{first + n:05}", "label": f"kind{kind}"} for n, kind in enumerate(kinds.tolist())],
        media=None,
        label="label",
        sample_id="sample_id",
        progress=False,
    )


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    rows, kinds = clusters(1_200)
    with di.open(tmp_path / "tags.duckdb") as opened:
        add_samples(opened, kinds)
        give_vectors(opened, rows)
        yield opened


def judge(session: di.Session, tagger: Any, clicks: int, label: str = "kind2") -> None:
    """Answers what the tagger asks as the labels say."""
    asked = tagger.ask(clicks)
    truth = asked.to_pandas(["sample_id", "label"])
    has = truth["label"] == label
    tagger.mark(truth["sample_id"][has].tolist() or None, truth["sample_id"][~has].tolist() or None)


def tagged_share(session: di.Session, tag: str, label: str) -> tuple[float, float]:
    """Precision and recall of a tag, by the labels."""
    right = len(session.where(tag=tag, label=label))
    return right / max(len(session.where(tag=tag)), 1), right / len(session.where(label=label))


def test_marks_lead_to_a_tag_that_is_mostly_right_and_whose_estimate_says_so(session: di.Session) -> None:
    tagger = session.autotag("two")
    tagger.mark(session.where(label="kind2").take(2), session.where(label="kind3").take(1))
    assert repr(tagger) == "Autotag “two” by 'made': 2 + and 1 − marked"
    for _ in range(5):
        judge(session, tagger, 10)
    estimate = tagger.estimate()
    assert estimate.enough and estimate.precision is not None and estimate.recall is not None
    assert estimate.precision_range is not None and estimate.precision_range[0] <= estimate.precision
    event = tagger.commit()
    precision, recall = tagged_share(session, "two", "kind2")
    assert precision > 0.85 and recall > 0.8
    assert abs(estimate.precision - precision) < 0.2 and abs(estimate.recall - recall) < 0.2
    assert event.count == len(session.where(tag="two"))
    assert event.sentence == f"Autotagged {event.count} samples “two”"


def test_a_round_is_a_view_in_the_order_of_its_scores_and_is_made_once_for_the_same_marks(session: di.Session) -> None:
    tagger = session.autotag("two")
    tagger.mark(session.where(label="kind2").take(4))
    round_ = tagger.round()
    frame = round_.view.to_pandas(["sample_id", "label", "autotag_score"])
    assert len(frame) == 1_200 and frame["autotag_score"].is_monotonic_decreasing
    assert (frame["label"][:50] == "kind2").mean() > 0.8
    assert tagger.round() is round_
    assert "Round 1" in repr(round_) and "too few marks" in repr(round_)
    session.where(label="kind5").exclude()
    after = tagger.round()
    assert after is not round_
    assert len(after) == len(session) and not set(after.view.to_pandas(["label"])["label"]) & {"kind5"}
    assert session.autotag("two") is tagger


def test_the_scores_are_those_of_the_head_whatever_parts_the_vectors_lie_in(session: di.Session) -> None:
    """Vectors of other lengths, in several parts, are ranked as one array of unit vectors is."""
    from dataide.find.autotag import rank

    rows, _ = clusters(1_200)
    more, kinds = clusters(300, seed=5)
    tagger = session.autotag("two")
    tagger.mark(session.where(label="kind2").take(3))
    tagger.round()  # the first part is at hand before the second comes
    add_samples(session, kinds, first=1_200)
    give_vectors(session, more, first=1_200)
    round_ = tagger.round()
    everything = np.concatenate([rows, more])
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    positives = session.where(label="kind2").take(3).nos()
    by_no = np.empty(1_500, np.float32)
    by_no[round_.nos] = round_.scores
    expected = rank(everything, positives, np.empty(0, np.int64), found=positives)
    # Which vectors stand for all others depends on the order of rows, so scores agree but for that.
    assert np.corrcoef(by_no, expected.scores)[0, 1] > 0.99
    assert np.allclose(round_.head.score(everything), by_no, atol=1e-5)


def test_marks_are_decisions_to_undo_and_the_history_tells_them(session: di.Session) -> None:
    tagger = session.autotag("two")
    tagger.mark(["s00001", "s00002"], "s00003")
    assert [len(tagger.marks.positives), len(tagger.marks.negatives)] == [2, 1]
    assert session.undo().sentence == "Undone: marked 1 sample as not “two”"
    assert tagger.negatives.ids() == [] and tagger.positives.ids() == ["s00001", "s00002"]
    session.redo()
    assert tagger.negatives.ids() == ["s00003"]
    assert tagger.mark(negatives="s00001").sentence == "Marked 1 sample as not “two”"
    assert tagger.unmark(["s00003", "s00009"]).count == 1
    assert (tagger.positives.ids(), tagger.negatives.ids()) == (["s00002"], ["s00001"])
    assert "was marked “two” already" in tagger.mark("s00002").sentence.replace("marked  ", "marked ")
    told = [event.sentence for event in session.context.journal.sample_history(3)]
    assert told == ["mark “two”: negative → none", "mark “two”: nothing → negative"]
    assert session.history()["verb"].tolist()[-1] == "mark"
    assert session.tags == {}


def test_the_next_day_goes_on_with_the_same_marks_and_embedding(tmp_path: Path) -> None:
    rows, kinds = clusters(400)
    path = tmp_path / "days.duckdb"
    with di.open(path) as session:
        add_samples(session, kinds)
        give_vectors(session, rows)
        give_vectors(session, rows[:, :8], name="other")
        tagger = session.autotag("two", embedding="made")
        tagger.mark(session.where(label="kind2").take(3), session.where(label="kind4").take(3))
        judge(session, tagger, 6)
        before, asked = tagger.round(), tagger.marks.asked.sum()
    assert asked == 6
    with di.open(path) as session:
        again = session.autotag("two")
        assert again.embedding == "made"
        assert again.marks.asked.sum() == asked
        assert again.round().head.revision == before.head.revision
        assert session.autotag("another").embedding == "other"  # without a past the latest is taken


def test_a_commit_is_one_decision_whose_lineage_is_in_the_file(session: di.Session) -> None:
    tagger = session.autotag("two")
    tagger.mark(session.where(label="kind2").take(5), session.where(label="kind3").take(5))
    tagger.threshold = 0.6
    count = tagger.commit().count
    assert session.tags == {"two": count}
    arguments = json.loads(session.sql("SELECT arguments FROM event WHERE verb = 'autotag'").to_arrow()[0][0].as_py())
    head = tagger.round().head
    assert arguments["head"] == head.revision and arguments["embedding"] == "made" and arguments["threshold"] == 0.6
    assert (arguments["positives"], arguments["negatives"], arguments["tagged"]) == (5, 5, count)
    models = session.models.to_pandas()
    row = models[models["kind"] == "autotag"].iloc[0]
    assert (row["model"], row["revision"]) == ("autotag “two”", head.revision)
    assert json.loads(row["details"])["tag"] == "two"
    listed = session.autotags.to_arrow().to_pylist()
    assert [(one["tag"], one["positives"], one["tagged"], one["threshold"]) for one in listed] == [
        ("two", 5, count, 0.6)
    ]
    session.undo()
    assert session.tags == {} and session.autotags.to_arrow()["threshold"][0].as_py() is None
    session.redo()
    assert session.tags == {"two": count}
    assert tagger.commit().event is None


def test_a_later_commit_takes_back_what_an_earlier_one_put_and_leaves_what_people_did(session: di.Session) -> None:
    tagger = session.autotag("two")
    tagger.mark(session.where(label="kind2").take(5))
    session.where(sample_id="s00000").tag("two")  # by hand, before
    tagger.commit(0.2)
    many = set(session.where(tag="two").ids())
    by_hand = (session.where(tag="two").take(9).ids())[-1]
    marked = set(tagger.positives.ids())
    by_hand = next(one for one in sorted(many) if one not in marked | {"s00000"})
    session.where(sample_id=by_hand).untag("two")
    wrong = next(one for one in sorted(many) if one not in marked | {"s00000", by_hand})
    tagger.mark(negatives=wrong)
    event = tagger.commit(0.7)
    few = set(session.where(tag="two").ids())
    assert few < many and "s00000" in few and marked <= few
    assert by_hand not in few and wrong not in few
    assert "took the tag from" in event.sentence
    tagger.commit(0.0)
    assert by_hand not in session.where(tag="two").ids() and len(session.where(tag="two")) == 1_198
    session.undo()
    assert set(session.where(tag="two").ids()) == few
    # A negative mark takes the tag away even where a person had put it.
    tagger.mark(negatives="s00000")
    tagger.commit(0.7)
    assert "s00000" not in session.where(tag="two").ids()


def test_a_process_that_died_is_replaced_and_ends_with_the_session(tmp_path: Path) -> None:
    rows, kinds = clusters(300)
    with di.open(tmp_path / "ends.duckdb") as session:
        add_samples(session, kinds)
        give_vectors(session, rows)
        tagger = session.autotag("two")
        tagger.mark(session.where(label="kind2").take(2))
        learning = Learning.of(session.context)
        first = learning._computing
        assert first is not None
        first.end()
        with pytest.raises(ModelError):
            tagger.round()
        assert tagger.round().number == 1
        second = learning._computing
        assert second is not None and second.pid != first.pid
    assert learning._computing is None
    with pytest.raises(ProcessLookupError):
        os.kill(second.pid, 0)
    assert repr(tagger) == "Autotag “two” of a closed session"


def test_a_panel_starts_what_the_first_round_needs(session: di.Session) -> None:
    tagger = session.autotag("two")
    tagger._warm()  # what a panel does on a thread of its own
    learning = Learning.of(session.context)
    child, drawn = learning._computing, tagger._background
    assert child is not None and drawn is not None
    tagger.mark(session.where(label="kind2").take(3))
    tagger.round()
    assert learning._computing is child and tagger._background is drawn
    session.where(label="kind5").exclude()  # what is drawn from everything is drawn anew
    tagger.round()
    assert tagger._background is not drawn
    bare = session.autotag("two", embedding="made")
    session.close()
    bare._warm()  # a session that was closed meanwhile is nobody's trouble


def test_equal_scores_are_in_order_of_arrival_whatever_order_the_vectors_are_in(session: di.Session) -> None:
    rows, _ = clusters(1_200)
    with session.context.database.write() as cursor:
        cursor.execute("DELETE FROM data.vector_0").fetchall()
    rows[100:140] = rows[100]
    give_vectors(session, rows[600:], first=600)
    tagger = session.autotag("two")
    tagger.mark(session.where("sample_id >= 's00600'").where(label="kind2").take(3))
    tagger.round()
    give_vectors(session, rows[:600])
    found = tagger.round()
    nos, scores = found.nos[found.order], found.scores[found.order]
    assert len(nos) == 1_200
    expected = np.lexsort((found.nos, -found.scores))
    assert np.array_equal(nos, found.nos[expected]) and np.array_equal(scores, found.scores[expected])
    alike = nos[np.isin(nos, np.arange(100, 140))]
    assert np.array_equal(alike, np.arange(100, 140))
    near = found.near(0.5)
    away = np.abs(found.scores[near] - np.float32(0.5))
    assert (away[1:] >= away[:-1]).all() and len(np.unique(near)) == 1_200


def test_a_committed_head_is_run_on_new_data(session: di.Session) -> None:
    tagger = session.autotag("two")
    with pytest.raises(ActionError, match="Nothing was committed"):
        tagger.run()
    tagger.mark(session.where(label="kind2").take(8), session.where(label="kind3").take(8))
    judge(session, tagger, 20)
    tagger.commit()
    before = set(session.where(tag="two").ids())
    _, kinds = clusters(400, seed=9)
    rows, kinds = clusters(400, seed=9)
    add_samples(session, kinds, first=1_200)
    give_vectors(session, rows, first=1_200)
    event = tagger.run(session.where("sample_id >= 's01200'"))
    new = session.where(tag="two").where("sample_id >= 's01200'")
    assert event.count == len(new) > 20
    assert (new.to_pandas(["label"])["label"] == "kind2").mean() > 0.8
    assert before <= set(session.where(tag="two").ids())
    assert tagger.run().event is None  # all others are as they were
    assert event.sentence.startswith("Autotagged")


def test_what_cannot_be_done_is_said_with_what_to_do(session: di.Session, tmp_path: Path) -> None:
    tagger = session.autotag("two")
    with pytest.raises(ActionError, match="no positive mark"):
        tagger.round()
    tagger.mark(negatives=session.take(4))
    with pytest.raises(ActionError, match="no positive mark"):
        tagger.ask(3)
    with pytest.raises(ActionError, match="nothing to mark"):
        tagger.mark()
    with pytest.raises(ActionError, match="both"):
        tagger.mark("s00009", "s00009")
    with pytest.raises(UnknownSample):
        tagger.mark("nobody")
    with pytest.raises(ActionError, match="between 0 and 1"):
        tagger.threshold = 3
    with pytest.raises(ActionError, match="at least one letter"):
        session.autotag("  ")
    with pytest.raises(DataideError, match="no vectors “x”"):
        session.autotag("two", embedding="x")
    with di.open(tmp_path / "bare.duckdb") as bare:
        add_samples(bare, np.zeros(3, int))
        with pytest.raises(DataideError, match="no vectors yet") as said:
            bare.autotag("two")
        assert said.value.hint == "session.embed()"


def test_vectors_that_are_nan_constant_or_missing(tmp_path: Path) -> None:
    rows, kinds = clusters(60)
    with di.open(tmp_path / "odd.duckdb") as session:
        add_samples(session, kinds)
        rows[0] = 0
        give_vectors(session, rows[:50])
        tagger = session.autotag("two")
        tagger.mark("s00055")
        with pytest.raises(ActionError, match="None of the 1 positive marks has a vector"):
            tagger.round()
        tagger.mark("s00000")
        with pytest.raises(ActionError, match="usable vector"):
            tagger.round()
        tagger.mark(session.where(label="kind2").take(2))
        round_ = tagger.round()
        assert len(round_) == 49 and round_.view.to_pandas(["autotag_score"])["autotag_score"].min() > 0
        # Marks without a vector get the tag only where they were scored.
        tagger.commit(1.0)
        assert set(session.where(tag="two").ids()) == set(session.where(label="kind2").take(2).ids())
    with di.open(tmp_path / "same.duckdb") as session:
        add_samples(session, np.zeros(20, int))
        give_vectors(session, np.ones((20, 4), np.float32))
        tagger = session.autotag("two")
        tagger.mark("s00001")
        with pytest.raises(ActionError, match="All vectors are the same"):
            tagger.round()


def ask(session: di.Session, op: str, **body: Any) -> Any:
    """What the panel hears: the checked answer of one operation."""
    checked = check(body, ASKS[op], "ask")
    reply = OPERATIONS[op](Workspace.of(session.context), checked)
    assert isinstance(reply, Reply)
    check(json.loads(json.dumps(reply.body)), ANSWERS[op], "answer")
    return reply.body


def test_the_panel_asks_marks_learns_and_commits(session: di.Session) -> None:
    first = ask(session, "autotag", tag="two", round=True, nos=[1])
    assert (first["round"], first["steps"], first["marks"], first["embedding"]) == (0, None, ["none"], "made")
    page = {
        "tag": "two",
        "show": "ask",
        "round": 0,
        "threshold": 0.5,
        "offset": 0,
        "limit": 20,
        "px": 64,
        "thumbs": False,
    }
    shown = ask(session, "autotag_page", **page)
    assert shown["total"] == 1_200 and len(shown["nos"]) == 20 and shown["scores"] == [None] * 20
    assert ask(session, "autotag_page", **page)["nos"] == shown["nos"]
    truth = dict(zip(session.ids(), session.to_pandas()["label"], strict=True))

    def mark(nos: list[int], ids: list[str]) -> int:
        for sign in ("positive", "negative"):
            these = [no for no, id_ in zip(nos, ids, strict=True) if (truth[id_] == "kind2") == (sign == "positive")]
            target = {"type": "samples", "nos": these}
            if these:
                body = {"tag": "two", "sign": sign, "target": target, "uuid": f"{sign}{these[0]}"}
                since = ask(session, "autotag_mark", **body)["since"]
        return since

    assert mark(shown["nos"], shown["ids"]) == 20
    number = ask(session, "autotag", tag="two", round=True)["round"]
    for _ in range(3):
        shown = ask(session, "autotag_page", **page | {"round": number})
        assert shown["round"] == number and set(shown["why"]) <= {"best", "near", "spread"}
        mark(shown["nos"], shown["ids"])
        assert ask(session, "autotag", tag="two", round=False)["since"] == 20
        number = ask(session, "autotag", tag="two", round=True)["round"]
    answer = ask(session, "autotag", tag="two", round=True, nos=shown["nos"])
    assert set(answer["marks"]) <= {"positive", "negative"} and answer["since"] == 0
    steps, tagger = answer["steps"], session.autotag("two")
    at = round(answer["threshold"] * 128)
    estimate: Any = tagger.estimate(at / 128)
    assert steps["taken"][at] == estimate.count
    assert steps["precision"][at] == pytest.approx(estimate.precision, abs=1e-4)
    assert steps["recall_low"][at] == pytest.approx(estimate.recall_range[0], abs=1e-4)
    assert sum(steps["bins"]) == answer["total"] == 1_200
    assert sum(steps["yes"]) == answer["positives"] and sum(steps["no"]) == answer["negatives"]
    best = ask(session, "autotag_page", **page | {"round": number, "show": "best"})
    assert best["scores"] == sorted(best["scores"], reverse=True)
    near = ask(session, "autotag_page", **page | {"round": number, "show": "near", "threshold": 0.3})
    assert max(abs(score - 0.3) for score in near["scores"]) < 0.2
    # What the button says is what is tagged: all above, every positive, no negative.
    threshold = at / 128
    expected = steps["taken"][at] - sum(steps["no"][at:]) + sum(steps["yes"][:at])
    done = ask(session, "autotag_commit", tag="two", round=number, threshold=threshold, uuid="c")
    assert done["count"] == expected == session.tags["two"]
    assert (
        ask(session, "autotag_commit", tag="two", round=number, threshold=threshold, uuid="c")["event"] == done["event"]
    )
    assert ask(session, "autotag", tag="two", round=False)["committed"] == pytest.approx(threshold)
    assert eval(done["python"], {"session": session}).event is None
    with pytest.raises(UnknownSample, match="no longer at hand"):
        ask(session, "autotag_commit", tag="two", round=99, threshold=0.5, uuid="d")


def test_the_panel_begins_with_samples_that_have_the_tag(session: di.Session) -> None:
    session.where(label="kind2").take(7).tag("two")
    target = {"type": "selection"}
    marked = ask(session, "autotag_mark", tag="two", sign="positive", target=target, uuid="u", tagged=True)
    assert marked["positives"] == 7
    session.select(session.where(label="kind3").take(3))
    assert ask(session, "autotag_mark", tag="two", sign="negative", target=target, uuid="v")["negatives"] == 3


def test_the_tagger_is_shown_as_a_panel(session: di.Session) -> None:
    tagger = session.autotag("two")
    data = tagger._repr_mimebundle_()
    assert data is not None and "application/vnd.jupyter.widget-view+json" in data[0]
    assert data[0]["text/plain"] == repr(tagger)
    panel = tagger.panel(show="best")
    assert panel.config["tag"] == "two" and panel.config["show"] == "best"


def test_twenty_clicks_through_a_session_find_a_class_of_real_pictures(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    from benchmarks.autotag import average_precision, marked, pool

    shared_data("cifar10")
    shared_data("cifar10-embeddings")
    rows, labels = pool("cnn256")
    rows, labels = rows[:8_000], labels[:8_000]
    found = []
    with di.open(tmp_path / "cifar.duckdb") as session:
        add_samples(session, labels)
        give_vectors(session, rows)
        ids = np.asarray(session.ids())
        for kind in (1, 4, 8):
            truth = labels == kind
            tagger = session.autotag(f"kind{kind}")
            positives, negatives = marked(rows, truth, seed=kind)
            tagger.mark(ids[positives].tolist(), ids[negatives].tolist())
            while len(tagger.marks.nos) < 20:
                judge(session, tagger, 20 - len(tagger.marks.nos), f"kind{kind}")
            round_ = tagger.round()
            by_no = np.empty(len(labels), np.float32)
            by_no[round_.nos] = round_.scores
            left = np.ones(len(labels), bool)
            left[tagger.marks.nos] = False
            found.append(average_precision(by_no[left], truth[left]))
    # Measured: 0.95, 0.71 and 0.94.
    assert np.mean(found) > 0.8 and min(found) > 0.6, found
