"""A condition that asks for a word in a list is answered without lists, and says the same as with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

import dataide as di
from dataide.core.issue_actions import RejectIssues
from dataide.core.predicate import Members, parse
from dataide.storage import issues
from dataide.storage.issues import Found

COUNT = 60
WORDS = ("a", "it's", "b) or ('")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    """Tags and queues on every third and fifth sample; suspected labels, of which some are answered; some excluded."""
    with di.open(tmp_path / "lists.duckdb") as opened:
        opened.add_frame([{"sample_id": f"s{n:02}", "label": "cat"} for n in range(COUNT)], media=None, progress=False)
        for step, word in enumerate(WORDS, 3):
            ids = [f"s{n:02}" for n in range(0, COUNT, step)]
            opened.where(sample_id=ids).tag(word)
            opened.where(sample_id=ids[::2]).enqueue(word)
        nos = np.arange(20, dtype=np.uint32)
        found = Found(nos, np.linspace(0.1, 0.4, 20, dtype=np.float32), nos % 2 == 0)
        database = opened.context.database
        looked = issues.seen(database, np.arange(COUNT))
        with database.write() as cursor:
            issues.store(cursor, looked, ["dark", "it's"], {"dark": found}, "r1", None)
        opened.context.journal.act(RejectIssues("dark"), nos[2:8])
        opened.where(sample_id=["s04", "s30"]).exclude()
        yield opened


@pytest.mark.parametrize("name", ["tags", "queues", "issues"])
@pytest.mark.parametrize("word", [*WORDS, "dark", "", "none such"])
def test_it_says_what_the_list_says(session: di.Session, name: str, word: str) -> None:
    said = "'" + word.replace("'", "''") + "'"
    # `list_contains` is the same to DuckDB, and read as any other function.
    slow = session.where(f"list_contains({name}, {said})")
    assert parse(f"list_contains({name}, {said})", {}).members is None
    for text in (f"{said} in {name}", f"contains({name}, {said})", f"{said} in sample.{name.upper()}"):
        assert parse(text, {}).members == Members(name, (word,))
        quick = session.where(text)
        assert quick.ids() == slow.ids() and np.array_equal(quick.mask(), slow.mask()) and len(quick) == len(slow)
        later = session.where().order_by("-sample_id").take(25).where(text)
        assert (
            later.ids() == session.where().order_by("-sample_id").take(25).where(f"list_contains({name}, {said})").ids()
        )
    others = session.where(f"{said} not in {name}")
    assert others.ids() == session.where(f"not list_contains({name}, {said})").ids()
    assert len(others) + len(slow) == COUNT - 2
    assert len(session.where(f"{said} in {name} or label = 'cat'")) == COUNT - 2


def test_each_list_has_something_to_find(session: di.Session) -> None:
    found = [len(session.where(text)) for text in ("'a' in tags", "'it''s' in queues", "'dark' in issues")]
    assert min(found) > 2, found


@pytest.mark.parametrize(
    "text",
    [
        "'a' in tags and 'b' in tags", "lower('a') in tags", "label in tags", "NULL in tags", "'a' in ['a', 'b']",
        "not ('a' in tags) is null", "len(tags) = 0", "'a' in tags or true",
    ],
)  # fmt: skip
def test_what_asks_for_more_is_no_membership(text: str) -> None:
    assert parse(text, {"label": "VARCHAR"}).members is None


@pytest.mark.parametrize("value", ["a", ["a", "it's"], None, ["a", None], []])
@pytest.mark.parametrize("name", ["tag", "queue", "issue"])
def test_words_by_keyword_and_their_sql_say_the_same(session: di.Session, name: str, value: object) -> None:
    view = session.where(**{name: value})
    ids, sql = view.ids(), view.sql
    file = session.context.database.path
    session.close()
    with duckdb.connect(str(file), read_only=True) as plain:
        assert [row[0] for row in plain.execute(sql).fetchall()] == ids
