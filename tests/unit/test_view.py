"""Choosing samples: conditions, orders, limits, and what comes out of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import dataide as di
from dataide.api import Session
from dataide.core.predicate import parse
from dataide.core.region import inside_box, inside_polygon
from dataide.errors import FilterError, UnknownColumn, UnknownSample

COLUMNS = {"label": "VARCHAR", "brightness": "FLOAT", "number": "BIGINT", "ok": "BOOLEAN", "added_at": "TIMESTAMP"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "pets.duckdb") as opened:
        database = opened.context.database
        with database.write() as cursor:
            database.ensure_columns(
                cursor, {"price": "DOUBLE", "taken": "DATE", "sharp": "BOOLEAN", "made": "TIMESTAMP"}
            )
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, split, brightness, price, taken, sharp, "
                "made, added_at) SELECT i, 's' || i, 'm', CASE i % 3 WHEN 0 THEN 'cat' "
                "WHEN 1 THEN 'it''s \"<b>\"' END, "
                "CASE WHEN i % 5 = 0 THEN 'val' ELSE 'train' END, (i * 7 % 100) / 100, i * 10, "
                "DATE '2026-01-01' + i::INTEGER, i % 2 = 0, TIMESTAMP '2026-01-01' + to_hours(i), now()::TIMESTAMP "
                "FROM range(100) t(i)"
            )
        yield opened


def numbers(view: di.View) -> list[int]:
    return view.nos().tolist()


# Conditions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "label = 'cat' and brightness < 0.2",
        "LABEL = 'cat' -- a comment",
        "'glare' in tags",
        "list_contains(tags, 'x') or len(queues) > 0",
        "label like 'c%' or label ilike 'D%' or label glob 'a*' or regexp_matches(label, '^x')",
        "lower(trim(label)) in ('cat', 'dog')",
        "label is null or label <> ''",
        "number between 1 and 10 and number % 2 = 0 and -number < 3",
        "case when ok then number > 1 else false end",
        "try_cast(label as integer) = 3",
        "added_at > timestamp '2026-01-01' and added_at < now()::timestamp - interval 1 day",
        "current_date > added_at",
        "sample.label = 'cat'",
        "ok",
        "coalesce(brightness, 0) > round(0.123, 2)",
        "label is distinct from 'x'",
    ],
)
def test_conditions_that_people_type_are_admitted(text: str) -> None:
    assert parse(text, COLUMNS).columns


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("label", r"gives a value \(VARCHAR\)"),
        ("label = ", "The trouble is at"),
        ("label = 'a'; drop table x", "one condition"),
        ("label = 'a'; select 1", "several statements"),
        ("true, false", "without a comma"),
        ("(select true)", "sub-query"),
        ("exists (select 1 from data.event)", "sub-query"),
        ("label in (select label from sample)", "sub-query"),
        ("true) or (true", "no filter"),
        ("'true) or (true", "no filter"),
        ("true from range(10)", "without FROM"),
        ("true where true", "without FROM"),
        ("true limit 1", "without FROM"),
        ("true as x", "no AS"),
        ("count(*) > 1", "looks at many"),
        ("sum(number) > 1", "looks at many"),
        ("row_number() over () > 1", "window"),
        ("label = ?", "holds its values"),
        ("label = $1", "holds its values"),
        ("* is null", "no filter|not one"),
        ("columns(*) is null", "not one"),
        ("read_text('/etc/passwd') = ''", "no function"),
        ("getenv('HOME') = ''", "no function"),
        ("current_setting('threads') = 1", "no function"),
        ("nextval('x') > 1", "no function"),
        ("len(list_filter(tags, lambda x: x = 'a')) > 0", "lambda|no function"),
        ("lower(brightness) = 'x'", "does not fit"),
        ("sleep_ms(1000)", "no function"),
    ],
)
def test_everything_but_a_plain_condition_is_refused(text: str, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        parse(text, COLUMNS)


def test_a_wrong_column_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownColumn) as caught:
        parse("label = 'cat' and brightnes < 1", COLUMNS)
    assert str(caught.value) == "There is no column 'brightnes'. Did you mean brightness?"
    assert caught.value.position == 18


def test_a_text_without_quotes_is_explained() -> None:
    with pytest.raises(UnknownColumn, match=r"A text stands in single quotes: 'kitten'\."):
        parse("label = kitten", COLUMNS)


def test_a_deep_condition_is_answered_not_crashed() -> None:
    with contextlib.suppress(FilterError):  # DuckDB 1.5 reads it, 2.0 does not
        parse("(" * 5000 + "true" + ")" * 5000, COLUMNS)
    assert parse(" or ".join(f"number = {n}" for n in range(500)), COLUMNS).columns == {"number"}


def test_a_condition_that_fails_on_some_sample_says_so(session: Session) -> None:
    with pytest.raises(FilterError, match=r"fails on some sample.*try_cast"):
        len(session.where("cast(label as integer) = 3"))


def test_where_by_value(session: Session) -> None:
    import datetime as dt

    assert len(session.where(label="cat")) == 34
    assert len(session.where(label=["cat", None])) == 67
    assert len(session.where(label=None)) == 33
    assert len(session.where(label=[])) == 0
    assert len(session.where(label='it\'s "<b>"')) == 33
    assert len(session.where(label="' or true --")) == 0
    assert numbers(session.where(price=30)) == [3]
    assert numbers(session.where(price=np.float64(30))) == [3]
    assert numbers(session.where(price=float("nan"))) == []
    assert len(session.where(sharp=True)) == 50
    assert numbers(session.where(taken=dt.date(2026, 1, 3))) == [2]
    assert numbers(session.where(made=dt.datetime(2026, 1, 1, 5))) == [5]
    assert numbers(session.where(sample_id=["s7", "s3"])) == [3, 7]
    assert numbers(session.where(price=np.array([10, 20]))) == [1, 2]
    assert numbers(session.where("price < 50", split="val")) == [0]
    with pytest.raises(UnknownColumn, match="Did you mean split"):
        session.where(splitt="val")
    with pytest.raises(FilterError, match="cannot be compared with a dict"):
        session.where(price={"a": 1})
    with pytest.raises(FilterError):
        len(session.where(price="dark"))


def test_labels_that_look_like_numbers(session: Session) -> None:
    session.take(3).relabel("7")
    assert len(session.where(label=7)) == 3


def test_where_by_tag_and_queue(session: Session) -> None:
    session.take(10).tag("a")
    session.order_by("-price").take(10).tag("b")
    session.take(5).enqueue("review")
    assert len(session.where(tag="a")) == 10
    assert len(session.where(tag=["a", "b"])) == 20
    assert len(session.where(tag=None)) == 80
    assert len(session.where("'a' in tags and brightness >= 0", queue="review")) == 5
    assert len(session.where("len(tags) = 1")) == 20
    assert len(session.where("not 'a' in tags")) == 90
    assert len(session.where(queue="nothing")) == 0


def test_excluded_samples_leave_unless_asked_for(session: Session) -> None:
    session.take(10).exclude()
    assert len(session) == 90
    assert len(session.where(label="cat")) == 30
    assert len(session.where("excluded")) == 10
    assert len(session.where("excluded or not excluded")) == 100
    assert len(session.select(["s1", "s50"])) == 2
    assert session.where("excluded").include().count == 10
    assert len(session) == 100


# Chains --------------------------------------------------------------------------------------------------------


def test_chaining_makes_new_views(session: Session) -> None:
    cats = session.where(label="cat")
    few = cats.order_by("-price").take(3)
    assert numbers(few) == [99, 96, 93]
    assert len(cats) == 34
    assert numbers(few.order_by("price")) == [93, 96, 99]
    assert numbers(few.where("price < 970")) == [96, 93]  # the order goes on holding
    assert numbers(few.take(2)) == [99, 96]
    assert numbers(few.take(2).take(5)) == [99, 96]
    assert isinstance(few, di.View)
    assert len(session.take(0)) == 0


def test_order_puts_missing_values_last(session: Session) -> None:
    ordered = session.order_by("label", "-price")
    labels = [row["label"] for row in ordered]
    assert labels == ["cat"] * 34 + ['it\'s "<b>"'] * 33 + [None] * 33
    assert numbers(ordered)[:2] == [99, 96]
    assert [row["label"] for row in session.order_by("label", descending=True)][-1] is None
    with pytest.raises(UnknownColumn, match="Did you mean price"):
        session.order_by("-prise")


def test_a_random_sample_is_the_same_for_the_same_seed(session: Session) -> None:
    first = session.sample(10, seed=1)
    assert numbers(first) == numbers(session.sample(10, seed=1))
    assert numbers(first) != numbers(session.sample(10, seed=2))
    assert len(set(numbers(first))) == 10
    unseeded = session.sample(10)
    assert numbers(unseeded) == numbers(unseeded)
    assert set(numbers(session.where(label="cat").sample(5, seed=3))) <= set(numbers(session.where(label="cat")))


@pytest.mark.parametrize("count", [-1, 1.5, "3", True])
def test_a_count_is_a_number(session: Session, count: object) -> None:
    with pytest.raises(FilterError):
        session.take(count)  # type: ignore[arg-type]


def test_sql_of_a_view_runs_in_plain_duckdb_and_gives_the_same(session: Session, tmp_path: Path) -> None:
    session.take(20).tag("a")
    session.take(5).enqueue("review")
    session.where(label="cat").take(2).exclude()
    session.select(session.where("price > 900"))
    steps = {
        "where": lambda v: v.where("price < 700 or label is null"),
        "tag": lambda v: v.where(tag="a"),
        "queue": lambda v: v.where(queue="review"),
        "order": lambda v: v.order_by("-brightness", "label"),
        "take": lambda v: v.take(30),
        "sample": lambda v: v.sample(40, seed=5),
        "ranked": lambda v: v.ranked(np.array([50, 3, 77, 8], dtype=np.uint32), "x", score=np.array([4.0, 3, 2, 1])),
    }
    views = [session.where(), session.selection]
    for pair in itertools.permutations(steps, 3):
        view = session.where()
        for name in pair:
            view = steps[name](view)
        views.append(view)
    expected = [(view.sql, view.ids()) for view in views]
    for view in views:
        assert len(view) == len(view.ids())
    for sql, ids in expected[:40]:
        assert [row[0] for row in session.sql(f"SELECT sample_id FROM ({sql})")] == ids
    session.close()
    with duckdb.connect(str(tmp_path / "pets.duckdb"), read_only=True) as plain:
        for sql, ids in expected:
            assert [row[0] for row in plain.execute(sql).fetchall()] == ids, sql


def test_the_sql_of_a_simple_view_is_simple(session: Session) -> None:
    view = session.where("excluded or label = 'cat'").order_by("price").take(3)
    condition = """((excluded OR ("label" = 'cat')))"""
    expected = f'SELECT * FROM sample WHERE {condition} ORDER BY "price" NULLS LAST, sample_no LIMIT 3'
    assert " ".join(view.sql.split()) == expected


def test_limits_inside_joins_are_exact_every_time(session: Session) -> None:
    """DuckDB 1.5 let a join's filter through ORDER BY … LIMIT, and answered differently from time to time."""
    wanted = np.array([50, 3, 77, 8, 12, 13, 14], dtype=np.uint32)
    few = session.sample(40, seed=5)
    expected = [no for no in wanted.tolist() if no in set(few.nos().tolist())]
    for _ in range(20):
        assert numbers(few.ranked(wanted, "x")) == expected
        assert numbers(few.among(wanted).order_by("price")) == sorted(expected)


def test_frames(session: Session) -> None:
    view = session.where(label="cat").order_by("-price").take(3)
    assert view.ids() == ["s99", "s96", "s93"]
    assert view.to_pandas()["sample_id"].tolist() == view.ids()
    assert view.to_polars()["price"].to_list() == [990.0, 960.0, 930.0]
    assert view.to_arrow(["sample_id", "price"]).column_names == ["sample_id", "price"]
    assert pa.table(view).num_rows == 3
    assert [row["price"] for row in view] == [990.0, 960.0, 930.0]
    assert view.mask().sum() == 3 and view.mask()[99]
    assert "sample_no" not in view.to_arrow().column_names
    assert "tags" not in session.where(tag="a").to_arrow().column_names
    assert len(session.to_pandas()) == len(session.to_arrow()) == len(session.to_polars()) == 100
    with pytest.raises(UnknownColumn):
        view.to_pandas(["prise"])


def test_repr_is_a_sentence(session: Session) -> None:
    view = session.where("label = 'cat'").where(tag="glare").order_by("-brightness").take(5)
    assert repr(view) == "0 samples where label = 'cat' and tagged “glare”, by brightness descending, the first 5"
    assert repr(session.where()) == "100 samples"
    assert repr(session.take(1)) == "1 sample, the first 1"
    session.select(["s1"])
    assert repr(session.selection) == "1 sample selected"


def test_html_has_rows_and_no_markup_of_the_data(session: Session) -> None:
    html = session.where()._repr_html_()
    assert html.count("<tr>") == 11
    assert "<b>" not in html and "&lt;b&gt;" in html


# Selection -----------------------------------------------------------------------------------------------------


def test_the_selection_is_what_is_selected_when_it_is_used(session: Session) -> None:
    live = session.selection
    assert len(live) == 0
    returned = session.select(session.where(label="cat"))
    assert len(live) == len(returned) == 34
    session.select(["s1", "s4"], "add")
    assert len(live) == 36
    session.select(session.where(split="val"), "subtract")
    assert len(live) == 29
    mask = np.zeros(100, dtype=bool)
    mask[:10] = True
    session.select(mask, "intersect")
    assert set(numbers(live)) == {1, 3, 4, 6, 9}
    session.select("s8")
    assert live.ids() == ["s8"]
    session.select(None)
    assert len(live) == 0


def test_selecting_what_is_not_there_is_an_error(session: Session) -> None:
    with pytest.raises(UnknownSample, match="no sample 'nobody'"):
        session.select(["nobody"])
    with pytest.raises(di.DataideError, match="The mask has 5 entries"):
        session.select(np.ones(5, dtype=bool))
    with pytest.raises(di.DataideError, match="no mode"):
        session.select(["s1"], "xor")  # type: ignore[arg-type]


def test_selection_tells_only_of_changes(session: Session) -> None:
    seen: list[str] = []
    session.context.changes.subscribe(seen.append)
    session.select(["s1"])
    session.select(["s1"])
    assert seen == ["selection"]
    assert session.context.selection.version == 1


# Filter --------------------------------------------------------------------------------------------------------


def test_filter_clauses_hold_together_and_leave_their_own_facet_out(session: Session) -> None:
    chosen = session.context.filter
    chosen.set("text", {"type": "sql", "text": "price < 500"})
    chosen.set("facet:label", {"type": "in", "column": "label", "values": ["cat", None]})
    assert chosen.mask().sum() == 33
    assert chosen.mask(without="facet:label").sum() == 50
    assert chosen.mask(without="text").sum() == 67
    assert len(session.where(chosen.sql)) == 33
    assert [clause.sentence for clause in chosen.clauses] == ["price < 500", "label is cat or nothing"]
    assert chosen.text == "price < 500"
    chosen.set("text", None)
    assert chosen.mask().sum() == 67
    assert chosen.version == 3
    chosen.clear()
    assert chosen.mask().all()


@pytest.mark.parametrize(
    ("clause", "count"),
    [
        ({"type": "in", "column": "label", "values": []}, 0),
        ({"type": "in", "column": "sharp", "values": ["true"]}, 50),
        ({"type": "in", "column": "price", "values": ["30.0", "40.0"]}, 2),
        ({"type": "not_in", "column": "label", "values": ["cat"]}, 66),
        ({"type": "not_in", "column": "label", "values": ["cat", None]}, 33),
        ({"type": "not_in", "column": "label", "values": []}, 100),
        ({"type": "range", "column": "price", "low": 100, "high": 190}, 10),
        ({"type": "range", "column": "price", "low": None, "high": 190.5}, 20),
        ({"type": "range", "column": "price", "low": None, "high": None}, 100),
        ({"type": "range", "column": "made", "low": 1767225600000, "high": 1767225600000 + 3 * 3600_000}, 4),
        ({"type": "range", "column": "taken", "low": 1767225600000, "high": 1767225600000 + 24 * 3600_000}, 2),
        ({"type": "in", "column": "tags", "values": ["a"]}, 10),
        ({"type": "in", "column": "tags", "values": ["a", None]}, 100),
        ({"type": "not_in", "column": "tags", "values": ["a"]}, 90),
        ({"type": "in", "column": "label", "values": ['it\'s "<b>"']}, 33),
    ],
)
def test_each_kind_of_clause(session: Session, clause: dict[str, object], count: int) -> None:
    session.take(10).tag("a")
    stated = session.context.filter.set("x", clause)
    assert session.context.filter.mask().sum() == count
    assert stated is not None and len(session.where(stated.sql)) == count


@pytest.mark.parametrize(
    "clause",
    [
        {"type": "sql", "text": "nonsense ="},
        {"type": "sql", "text": "cast(label as integer) = 1"},
        {"type": "in", "column": "prise", "values": ["1"]},
        {"type": "range", "column": "price", "low": "x", "high": None},
        {"type": "range", "column": "price", "low": float("nan"), "high": None},
        {"type": "range", "column": "label", "low": 1, "high": 2},
        {"type": "what"},
        {"type": "in"},
    ],
)
def test_a_clause_that_does_not_fit_changes_nothing(session: Session, clause: dict[str, object]) -> None:
    session.context.filter.set("text", {"type": "sql", "text": "price < 500"})
    with pytest.raises(FilterError):
        session.context.filter.set("text", clause)
    assert session.context.filter.text == "price < 500"
    assert session.context.filter.mask().sum() == 50


def test_filter_hides_the_excluded_unless_asked(session: Session) -> None:
    session.take(10).exclude()
    assert session.context.filter.mask().sum() == 90
    session.context.filter.set("text", {"type": "sql", "text": "excluded"})
    assert session.context.filter.mask().sum() == 10


# Regions -------------------------------------------------------------------------------------------------------


def test_a_lasso_takes_the_points_inside_by_the_even_odd_rule() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=3000).astype(np.float32), generator.normal(size=3000).astype(np.float32)
    turn = np.linspace(0, 4 * np.pi, 40, endpoint=False)  # crosses itself
    polygon = np.column_stack([np.cos(turn) * (1 + 0.3 * np.sin(5 * turn)), np.sin(turn) + 0.1 * turn])

    def crossings(px: float, py: float) -> int:
        return sum(
            (y0 <= py) != (y1 <= py) and px < x0 + (py - y0) * (x1 - x0) / (y1 - y0)
            for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True)
        )

    expected = [crossings(float(px), float(py)) % 2 == 1 for px, py in zip(x, y, strict=True)]
    assert inside_polygon(x, y, polygon).tolist() == expected
    assert inside_polygon(x, y, polygon.ravel()).sum() == sum(expected)


def test_odd_lassos() -> None:
    x, y = np.array([0.5, np.nan, 2.0, 1.0]), np.array([0.5, 0.5, 2.0, 1.0])
    assert inside_polygon(x, y, [0, 0, 1, 1]).tolist() == [False] * 4
    assert inside_polygon(x, y, [0, 0, 0, 1, 1, 1, 1, 0]).tolist()[:3] == [True, False, False]
    assert inside_polygon(np.array([]), np.array([]), [0, 0, 0, 1, 1, 1]).tolist() == []
    with pytest.raises(di.DataideError, match="not a number"):
        inside_polygon(x, y, [0, 0, 0, float("nan"), 1, 1])
    assert inside_box(x, y, 1, 1, 0, 0).tolist() == [True, False, False, True]
