"""Coded columns against a slow count of the same: odd numbers, odd texts, rows in another order."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import actions, codes
from dataide.core.codes import Bars, Codes, Histogram, binned
from dataide.core.edges import nice_edges
from dataide.core.facet_counts import FacetCounts
from tests.unit.big_session import big_session

COUNT = 3_000
ODD_TEXTS = ["", "it's", '"quoted"', "a\0b", "  ", "ä", "NULL", "<b>x</b>", "\\", "1", "a,b", "x" * 300]
ODD_NUMBERS = [0.0, -0.0, 0.1, 0.3, 1e300, -1e300, 1e-300, float("nan"), float("inf"), float("-inf"), None]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = big_session(tmp_path_factory.mktemp("built") / "some.duckdb", COUNT)
    random = np.random.default_rng(1)
    with di.open(path) as session:
        database = session.context.database
        with database.write() as cursor:
            database.ensure_columns(cursor, {"words": "VARCHAR", "odd": "DOUBLE", "narrow": "FLOAT", "one": "DOUBLE"})
            rows = [
                (ODD_TEXTS[a], ODD_NUMBERS[b], float(np.float32(c)), 7.5 if d else None, number)
                for number, (a, b, c, d) in enumerate(
                    zip(
                        random.integers(0, len(ODD_TEXTS), COUNT).tolist(),
                        random.integers(0, len(ODD_NUMBERS), COUNT).tolist(),
                        random.integers(0, 11, COUNT) / 10,
                        random.integers(0, 2, COUNT).tolist(),
                        strict=True,
                    )
                )
            ]
            cursor.execute("CREATE TEMP TABLE given (words VARCHAR, odd DOUBLE, narrow FLOAT, one DOUBLE, no INTEGER)")
            cursor.executemany("INSERT INTO given VALUES (?, ?, ?, ?, ?)", rows)
            cursor.execute(
                "UPDATE data.sample SET words = g.words, odd = g.odd, narrow = g.narrow, one = g.one "
                "FROM given g WHERE g.no = sample_no"
            )
            cursor.execute("DROP TABLE given")
    return path


@pytest.fixture(params=["in order", "out of order"])
def session(built: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[di.Session]:
    with di.open(shutil.copy(built, tmp_path)) as session:
        if request.param == "out of order":
            with session.context.database.write() as cursor:
                cursor.execute("CREATE TEMP TABLE moved AS SELECT * FROM data.sample ORDER BY hash(sample_no)")
                cursor.execute("DELETE FROM data.sample")
                cursor.execute("INSERT INTO data.sample SELECT * FROM moved")
                cursor.execute("DROP TABLE moved")
        yield session


def _by_no(session: di.Session, column: str) -> list[Any]:
    with session.context.database.query(f'SELECT "{column}" FROM data.sample ORDER BY sample_no') as cursor:
        return [value for (value,) in cursor.fetchall()]


@pytest.mark.parametrize("column", ["words", "label", "split", "site", "night"])
def test_categories_are_coded_as_they_are(session: di.Session, column: str) -> None:
    coded = Codes(session.context.database).one(column)
    assert isinstance(coded, Bars)
    expected = [str(value).lower() if isinstance(value, bool) else value for value in _by_no(session, column)]
    named = [*coded.values, None]
    assert [named[code] for code in coded.codes.tolist()] == expected
    assert coded.counts().tolist() == [Counter(expected)[value] for value in named]
    assert coded.counts().tolist()[:-1] == sorted(coded.counts().tolist()[:-1], reverse=True)


def test_more_values_than_an_enumeration_takes(session: di.Session) -> None:
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET label = 'n' || sample_no WHERE sample_no > 5")
    coded = Codes(session.context.database).one("label")
    assert isinstance(coded, Bars) and len(coded.values) > 2_000
    assert [[*coded.values, None][code] for code in coded.codes.tolist()] == _by_no(session, "label")


@pytest.mark.parametrize("column", ["odd", "narrow", "score", "pedestrians", "taken", "brightness", "one", "added_at"])
def test_numbers_are_binned_between_their_edges(session: di.Session, column: str) -> None:
    coded = Codes(session.context.database).one(column)
    assert isinstance(coded, Histogram)
    numbers, missing = coded.numbers, len(coded.edges) - 1
    values = _by_no(session, column)
    assert [value is None for value in values] == [not there for there in ~np.isnan(numbers) | _is_nan(values)]
    for number, code in zip(numbers.tolist(), coded.codes.tolist(), strict=True):
        if not np.isfinite(number):
            assert code == missing
        else:
            last = code == missing - 1
            assert coded.edges[code] <= number and (number < coded.edges[code + 1] or last)
            assert number <= coded.edges[-1]


def test_in_portions_numbers_are_coded_as_at_once(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["odd", "narrow", "score", "pedestrians", "taken", "brightness", "one"]
    at_once = Codes(session.context.database).get(columns)
    monkeypatch.setattr(codes, "_AT_ONCE", 700)
    for whole, portions in zip(at_once, Codes(session.context.database).get(columns), strict=True):
        assert isinstance(whole, Histogram) and isinstance(portions, Histogram)
        assert np.array_equal(whole.codes, portions.codes) and whole.codes.dtype == portions.codes.dtype
        assert np.array_equal(whole.edges, portions.edges)


def _is_nan(values: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([isinstance(value, float) and value != value for value in values])


def test_bins_are_those_of_a_plain_search() -> None:
    random = np.random.default_rng(0)
    for low, high in [(0, 1), (-3, 4e6), (1e-9, 2e-9), (1e300, 1.7e308), (5, 5), (0, 1e-310)]:
        edges = nice_edges(low, high, 24)
        numbers = np.concatenate([random.uniform(0, 1, 5_000) * (high / 2 - low / 2) * 2 + low, edges])
        numbers = np.concatenate([numbers, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), [np.nan]])
        numbers = np.where((numbers >= edges[0]) & (numbers <= edges[-1]), numbers, np.nan)
        there = np.isfinite(numbers)
        searched = np.clip(np.searchsorted(edges, numbers[there], side="right") - 1, 0, len(edges) - 2)
        codes = binned(numbers, edges)
        assert np.array_equal(codes[there], searched)
        assert (codes[~there] == len(edges) - 1).all()
    uneven = np.array([0.0, 1.0, 10.0, 11.0, 500.0])
    numbers = random.uniform(0, 500, 5_000)
    assert np.array_equal(binned(numbers, uneven), np.searchsorted(uneven, numbers, side="right") - 1)


def test_a_range_wider_than_any_float_has_one_bin(session: di.Session) -> None:
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET score = CASE WHEN sample_no % 2 = 0 THEN -1.7e308 ELSE 1.7e308 END")
    coded = Codes(session.context.database).one("score")
    assert isinstance(coded, Histogram)
    assert coded.edges.tolist() == [-1.7e308, 1.7e308] and coded.counts().tolist() == [COUNT, 0]


def test_of_very_many_samples_stretches_say_what_kind_of_text_a_column_holds(
    session: di.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = Codes(session.context.database).kinds()
    monkeypatch.setattr(codes, "_SPREAD", 8)
    monkeypatch.setattr(codes, "_STRETCH", 100)
    with session.context.database.query(f"SELECT sample_no FROM ({codes._some(COUNT)}) ORDER BY 1") as cursor:
        looked_at = [no for (no,) in cursor.fetchall()]
    assert len(looked_at) == 800 and (looked_at[0], looked_at[-1]) == (0, COUNT - 1), "from the first to the last"
    assert max(np.diff(looked_at)) < COUNT / 8, "spread evenly"
    assert Codes(session.context.database).kinds() == everything
    database = session.context.database
    with database.write() as cursor:
        database.ensure_columns(cursor, {"mostly": "VARCHAR", "late": "VARCHAR"})
        # Alike at the beginning, all different further on: a look at the first samples alone would be wrong.
        cursor.execute("UPDATE data.sample SET mostly = CASE WHEN sample_no < 200 THEN 'x' ELSE 'n' || sample_no END")
        cursor.execute("UPDATE data.sample SET late = 'kind ' || sample_no % 3 WHERE sample_no > 2500")
    kinds = Codes(database).kinds()
    assert (kinds["mostly"], kinds["late"]) == ("text", "category")


def test_few_samples_are_all_looked_at() -> None:
    assert "WHERE" not in codes._some(codes._SPREAD * codes._STRETCH)
    assert "WHERE" in codes._some(codes._SPREAD * codes._STRETCH + 1)


def test_counts_follow_filter_selection_and_decisions(session: di.Session) -> None:
    context = session.context
    counts = FacetCounts(Codes(context.database), context.filter, context.selection)
    random = np.random.default_rng(2)
    for step in range(6):
        if step % 2:
            chosen = random.random(COUNT) < 0.3
            context.selection.combine(chosen)
        else:
            context.filter.set("text", {"type": "sql", "text": f"score < 0.{9 - step}"})
        if step == 4:
            session.select(None)
        session.context.journal.act(actions.Relabel(f"new {step}"), np.arange(step * 10, step * 10 + 15))
        (facet,) = counts.count(["label"], 100)
        labels = _by_no(session, "label")
        for what, mask in (("visible", context.filter.mask()), ("selected", context.selection.mask)):
            expected = Counter(label for label, there in zip(labels, mask.tolist(), strict=True) if there)
            assert {bar.value: getattr(bar, what) for bar in facet.bars} == {  # type: ignore[union-attr]
                value: expected[value] for value in set(labels)
            }
        assert counts.count(["label"], 100) == [facet]
