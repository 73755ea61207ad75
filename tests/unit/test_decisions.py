"""Deciding: tags, labels, queues, exclusion, columns; undo, redo and history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

import dataide as di
from dataide.api import Session
from dataide.core.actions import Exclude, Relabel, Tag, from_wire
from dataide.errors import ActionError, ReadOnly


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "pets.duckdb", author="Ada") as opened:
        database = opened.context.database
        with database.write() as cursor:
            database.ensure_columns(
                cursor, {"price": "DOUBLE", "rooms": "INTEGER", "day": "DATE", "at_home": "BOOLEAN"}
            )
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, price, rooms, added_at) "
                "SELECT i, 's' || i, 'm', CASE i % 3 WHEN 0 THEN 'cat' WHEN 1 THEN 'dog' END, "
                "i / 7, i, now()::TIMESTAMP "
                "FROM range(60) t(i)"
            )
        yield opened


def state(session: Session) -> list[tuple[object, ...]]:
    """Everything that decisions change."""
    samples = "SELECT sample_id, label, excluded, price, rooms, day, at_home FROM sample ORDER BY 1"
    return [
        *session.sql(samples).fetchall(),
        *session.sql("SELECT sample_id, tag FROM tag ORDER BY ALL").fetchall(),
        *session.sql("SELECT * FROM task ORDER BY ALL").fetchall(),
    ]


def events(session: Session) -> int:
    return int(session.sql("SELECT count(*) FROM event").fetchall()[0][0])


def test_an_action_says_what_it_did(session: Session) -> None:
    done = session.where(label="cat").tag(" glare ")
    assert repr(done) == "Tagged 20 samples “glare”"
    assert (done.count, done.event, done.verb) == (20, 1, "tag")
    assert repr(session.take(1).tag("one")) == "Tagged 1 sample “one”"
    assert repr(session.where(label="dog").relabel("cat")) == "Relabelled 20 samples “cat”"
    assert repr(session.take(2).enqueue("review", reason="blurred")) == "Queued 2 samples for “review”: blurred"
    assert repr(session.take(2).set(price=3.5)) == "Set price to 3.5 on 2 samples"
    assert repr(session.take(2).relabel(None)) == "Took the label from 2 samples"
    assert repr(session.take(2).exclude()) == "Excluded 2 samples"


def test_only_real_changes_count_and_are_logged(session: Session) -> None:
    session.take(5).tag("a")
    again = session.take(8).tag("a")
    assert again.count == 3
    nothing = session.take(8).tag("a")
    assert (nothing.event, nothing.count) == (None, 0)
    assert repr(nothing) == "Nothing changed: all 8 samples had the tag “a” already"
    assert session.where(label="cat").relabel("cat").event is None
    assert session.where().include().event is None
    assert session.take(2).untag("b").event is None
    assert session.where("false").tag("x").event is None
    assert events(session) == 2
    assert session.sql("SELECT count(*) FROM change").fetchall() == [(8,)]


def test_the_decision_is_in_the_documented_tables(session: Session) -> None:
    session.select(["s1", "s2"]).tag("glare")
    session.select(["s1"]).relabel("fox")
    assert session.sql("SELECT * FROM tag ORDER BY 1").fetchall() == [("s1", "glare"), ("s2", "glare")]
    rows = session.sql("SELECT event, author, verb, arguments, sample_count, state FROM event ORDER BY 1").fetchall()
    assert rows == [
        (1, "Ada", "tag", '{"tag": "glare"}', 2, "done"),
        (2, "Ada", "relabel", '{"label": "fox"}', 1, "done"),
    ]
    assert session.sql("SELECT * FROM change WHERE event = 2").fetchall() == [(2, "s1", "label", "dog", "fox")]


def every_action(session: Session) -> list[di.Event]:
    few = session.order_by("sample_id").take(10)
    return [
        few.tag("a"),
        session.where(label="cat").tag("a"),
        session.where(tag="a").take(4).untag("a"),
        session.where(label=None).relabel("fox"),
        few.relabel(None),
        few.enqueue("review", reason="why", priority=2),
        few.take(5).enqueue("review", reason="other"),
        few.take(3).exclude(),
        session.where("excluded").take(1).include(),
        few.set(price=0.1, rooms=7, day=dt.date(2026, 2, 3), at_home=True),
        few.set(price=None),
        session.where("price > 5").set(weather="fog"),
    ]


def test_undo_and_redo_go_through_everything_exactly(session: Session) -> None:
    before = [state(session)]
    for number, event in enumerate(every_action(session)):
        assert event.event == number + 1, event
    session.redo()  # nothing to do again
    after = state(session)
    assert after != before[0]
    states = [after]
    while (undone := session.undo()).event is not None:
        states.append(state(session))
        assert repr(undone).startswith("Undone: ")
    assert repr(undone) == "There is nothing to undo"
    assert states[-1] == before[0]
    for expected in states[-2::-1]:
        assert repr(session.redo()).startswith("Redone: ")
        assert state(session) == expected
    assert session.redo().event is None


def test_undo_and_redo_survive_closing_and_reopening(session: Session, tmp_path: Path) -> None:
    every_action(session)
    for _ in range(3):
        session.undo()
    expected = state(session)
    heads = session.context.journal.head()
    session.close()
    with di.open(tmp_path / "pets.duckdb") as again:
        assert state(again) == expected
        assert again.context.journal.head() == heads
        assert (
            repr(again.redo())
            == "Redone: set price to 0.1, rooms to 7, day to “2026-02-03”, at_home to True on 10 samples"
        )
        again.undo()
        assert repr(again.undo()) == "Undone: brought back 1 sample"


def test_a_new_decision_drops_what_was_undone(session: Session) -> None:
    session.take(5).tag("a")
    session.take(5).tag("b")
    session.undo()
    session.take(5).tag("c")
    assert session.redo().event is None
    assert session.tags == {"a": 5, "c": 5}
    assert session.sql("SELECT state FROM event ORDER BY event").fetchall() == [
        ("done",),
        ("dropped",),
        ("done",),
        ("done",),
    ]
    assert session.undo().count == 5
    assert session.tags == {"a": 5}


def test_history_is_a_frame_of_sentences(session: Session) -> None:
    session.take(5).tag("a")
    session.undo()
    session.redo()
    session.where(label="cat").relabel("kitten")
    frame = session.history()
    assert frame.columns.tolist() == ["event", "at", "author", "verb", "sentence", "count", "state", "target"]
    assert frame["sentence"].tolist() == [
        "Tagged 5 samples “a”",
        "Undone: tagged 5 samples “a”",
        "Redone: tagged 5 samples “a”",
        "Relabelled 20 samples “kitten”",
    ]
    assert frame["count"].tolist() == [5, 5, 5, 20]
    assert frame["author"].unique().tolist() == ["Ada"]
    assert frame["target"].iloc[-1] == "samples where label = 'cat'"


def test_history_of_one_sample(session: Session) -> None:
    session.take(5).tag("a")
    session.take(2).relabel("fox")
    session.take(2).enqueue("review")
    session.take(1).exclude()
    session.undo()
    lines = session.context.journal.sample_history(0)
    assert [(line.sentence, line.undone) for line in lines] == [
        ("excluded", True),
        ("queued for “review”", False),
        ("label: cat → fox", False),
        ("tagged “a”", False),
    ]
    assert lines[0].author == "Ada"
    assert abs(lines[0].at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)


def test_the_same_uuid_is_done_once(session: Session, tmp_path: Path) -> None:
    journal = session.context.journal
    nos = np.array([1, 2, 3])
    first = journal.act(Tag("a"), nos, uuid="u1")
    assert journal.act(Tag("a"), nos, uuid="u1") == first
    undone = journal.undo("u2")
    assert journal.undo("u2") == undone
    assert events(session) == 2
    session.close()
    with di.open(tmp_path / "pets.duckdb") as again:
        journal = again.context.journal
        repeated = journal.act(Tag("a"), nos, uuid="u1")
        assert (repeated.event, repeated.count, repeated.sentence) == (1, 3, "Tagged 3 samples “a”")
        assert journal.undo("u2").sentence == "Undone: tagged 3 samples “a”"
        assert events(again) == 2


def test_a_repeat_of_nothing_stays_nothing(session: Session) -> None:
    journal = session.context.journal
    session.take(3).tag("a")
    assert journal.act(Tag("a"), np.array([0, 1]), uuid="u").event is None
    session.undo()
    assert journal.act(Tag("a"), np.array([0, 1]), uuid="u").event is None
    assert session.tags == {}


def test_numbers_twice_or_unknown_are_harmless(session: Session) -> None:
    journal = session.context.journal
    assert journal.act(Tag("a"), np.array([1, 1, 2, 5_000_000])).count == 2
    assert journal.act(Exclude(), np.ones(60, dtype=bool)).count == 60
    with pytest.raises(ActionError):
        journal.act(Tag("a"), np.array([-1]))


def test_set_makes_a_column_and_says_so(session: Session) -> None:
    done = session.take(4).set(weather="fog")
    assert repr(done) == "Set weather to “fog” on 4 samples (new column weather)"
    assert session.columns["weather"] == "VARCHAR"
    assert len(session.where(weather="fog")) == 4
    assert session.take(1).set(score=1).columns == ("score",)
    assert session.columns["score"] == "BIGINT"
    assert session.take(1).set(when=dt.datetime(2026, 1, 1)).count == 1
    assert session.take(1).set(big=np.float32(1.5)).count == 1
    assert session.columns["big"] == "DOUBLE"
    assert session.take(2).set(**{"odd \"name'": 1}).count == 2


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"price": "dear"}, "The column price holds DOUBLE"),
        ({"rooms": 2.5}, "The column rooms holds INTEGER"),
        ({"rooms": True}, "The column rooms holds INTEGER"),
        ({"rooms": 10**12}, "could not be carried out|out of range"),
        ({"at_home": 1}, "The column at_home holds BOOLEAN"),
        ({"day": "2026-01-01"}, "The column day holds DATE"),
        ({"sample_id": "x"}, "cannot be set"),
        ({"media": "x"}, "cannot be set"),
        ({"excluded": True}, r"Use \.exclude"),
        ({"tags": "x"}, r"Use \.tag"),
        ({"brightness": 1.0}, "cannot be set"),
        ({"fresh": None}, "does not say what it holds"),
        ({"fresh": [1, 2]}, "does not say what it holds"),
        ({}, "nothing to set"),
    ],
)
def test_set_with_the_wrong_kind_of_value_changes_nothing(
    session: Session, values: dict[str, object], says: str
) -> None:
    expected, columns = state(session), session.columns
    with pytest.raises(ActionError, match=says):
        session.take(3).set(**values)
    assert state(session) == expected
    assert session.columns == columns
    assert events(session) == 0


@pytest.mark.parametrize("name", ["", "  ", "x" * 300, "a\0b", 3, None])
def test_names_are_texts(session: Session, name: object) -> None:
    with pytest.raises(ActionError):
        session.take(1).tag(name)  # type: ignore[arg-type]


def test_names_full_of_quotes_and_markup(session: Session) -> None:
    name = 'it\'s "a" <b>&amp;</b> “x” 标签 $tag ?; DROP TABLE data.sample; --'
    assert session.take(3).tag(name).count == 3
    assert session.take(3).relabel(name).count == 3
    assert session.take(3).enqueue(name, reason=name).count == 3
    assert len(session.where(tag=name, label=name, queue=name)) == 3
    assert session.undo().count == 3
    assert session.queues == {}
    assert session.redo().count == 3
    assert session.sql("SELECT DISTINCT queue, reason FROM task").fetchall() == [(name, name)]


def test_queue_again_only_changes_what_is_new(session: Session) -> None:
    session.take(5).enqueue("review", reason="dark")
    assert session.take(5).enqueue("review").event is None
    assert session.take(5).enqueue("review", reason="dark").event is None
    assert session.take(8).enqueue("review", reason="dark").count == 3
    assert session.take(2).enqueue("review", priority=1).count == 2
    assert session.sql("SELECT reason, priority FROM task WHERE sample_id = 's0'").fetchall() == [("dark", 1.0)]
    session.undo()
    assert session.sql("SELECT reason, priority FROM task WHERE sample_id = 's0'").fetchall() == [("dark", None)]
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.task SET state = 'done', owner = 'Bob'")
    assert session.queues == {}
    assert session.take(1).enqueue("review").count == 1
    assert session.queues == {"review": 1}
    session.undo()
    assert session.sql("SELECT DISTINCT state, owner FROM task").fetchall() == [("done", "Bob")]


def test_actions_of_the_wire(session: Session) -> None:
    assert from_wire("relabel", {"label": None}) == Relabel(None)
    assert from_wire("enqueue", {"queue": "q", "reason": "r"}).arguments() == {"queue": "q", "reason": "r"}
    with pytest.raises(ActionError, match="needs tag"):
        from_wire("tag", {})
    with pytest.raises(ActionError, match="no action 'drop'"):
        from_wire("drop", {})


def test_a_read_only_session_decides_nothing(session: Session, tmp_path: Path) -> None:
    session.take(2).tag("a")
    session.close()
    with di.open(tmp_path / "pets.duckdb", read_only=True) as look:
        for decide in (lambda: look.take(1).tag("b"), look.undo, lambda: look.take(1).set(fresh=1)):
            with pytest.raises(ReadOnly, match=r"di\.open\('pets\.duckdb'\)"):
                decide()
        assert look.tags == {"a": 2}


def test_one_decision_is_one_revision_and_all_or_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataide.storage import decisions

    revision = session.context.database.revision
    session.take(9).tag("a")
    assert session.context.database.revision == revision + 1
    expected = state(session)

    def broken(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decisions, "add_event", broken)
    with pytest.raises(KeyboardInterrupt):
        session.take(20).tag("b")
    monkeypatch.undo()
    assert state(session) == expected
    assert events(session) == 1
    assert session.take(20).tag("b").count == 20


def test_the_journal_is_readable_by_plain_duckdb(session: Session, tmp_path: Path) -> None:
    session.take(2).tag("a")
    session.close()
    with duckdb.connect(str(tmp_path / "pets.duckdb"), read_only=True) as plain:
        assert plain.execute(
            "SELECT e.verb, c.sample_id, c.after FROM event e JOIN change c USING (event)"
        ).fetchall() == [
            ("tag", "s0", "a"),
            ("tag", "s1", "a"),
        ]


def test_a_million_samples_stay_quick(tmp_path: Path) -> None:
    """CPU times, three times what they take on a slow core: a loop over samples would be a hundred times slower."""
    import time

    with di.open(tmp_path / "big.duckdb") as big:
        with big.context.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) "
                "SELECT i, 's' || i, 'm', 'l' || (i % 10), now()::TIMESTAMP FROM range(1000000) t(i)"
            )
        generator = np.random.default_rng(1)
        half = generator.random(1_000_000) < 0.5
        some = generator.choice(1_000_000, 10_000, replace=False).astype(np.uint32)
        journal = big.context.journal
        journal.act(Tag("warm"), some[:10])

        def timed(work: object) -> float:
            begun = time.process_time()
            assert callable(work)
            work()
            return time.process_time() - begun

        assert timed(lambda: journal.act(Tag("a"), some)) < 0.1
        assert timed(lambda: journal.act(Relabel("x"), half)) < 1.5
        assert timed(journal.undo) < 0.9
