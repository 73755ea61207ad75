"""Slices: conjunctions that fail more than elsewhere are found, told once, and nothing is told where nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np
import pytest

from dataide.core.predicate import parse
from dataide.errors import EvaluationError, UnknownColumn
from dataide.evaluate import significance
from dataide.evaluate.slices import find_slices
from dataide.storage.database import Database

COUNT = 6000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, dict[str, np.ndarray]]]:
    """A file of samples without pictures: labels with a quote in one, numbers with gaps and NaN, a flag, tags."""
    random = np.random.default_rng(0)
    number = random.standard_normal(COUNT)
    number[::50] = np.nan
    columns = {
        "label": np.array(["cat", "it's", "dog"], object)[random.integers(0, 3, COUNT)],
        "Light": number,
        "price": random.integers(0, 1000, COUNT).astype(np.int32),
        "grade": random.integers(0, 4, COUNT).astype(np.int32),
        "flag": random.random(COUNT) < 0.4,
        "glare": random.random(COUNT) < 0.1,
        "gap": random.random(COUNT) < 0.2,
    }
    database = Database(tmp_path_factory.mktemp("slices") / "slices.duckdb")
    with database.write() as cursor:
        kinds = {"Light": "DOUBLE", "price": "INTEGER", "grade": "INTEGER", "flag": "BOOLEAN", "maker": "VARCHAR"}
        database.ensure_columns(cursor, kinds)
        cursor.register("made", {"sample_no": np.arange(COUNT, dtype=np.uint32), **columns})
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at, label, Light, price, grade, flag, maker) "
            "SELECT sample_no, 's' || sample_no, '', now(), label, Light, price, grade, flag, "
            "CASE WHEN gap THEN NULL ELSE 'us' END FROM made"
        )
        cursor.execute("INSERT INTO data.tag (sample_no, tag) SELECT sample_no, 'gl''are' FROM made WHERE glare")
        cursor.unregister("made")
    yield database, columns
    database.close()


def errors_where(slice_: np.ndarray, rate: float = 0.5, base: float = 0.1, seed: int = 1) -> np.ndarray:
    chance = np.where(slice_, rate, base)
    return (np.random.default_rng(seed).random(len(slice_)) < chance).astype(float)


def mask(database: Database, predicate: str) -> np.ndarray:
    return np.asarray(parse(predicate, database.columns()).mask(database))


@pytest.mark.parametrize("losses", [False, True])
def test_a_planted_conjunction_is_told_once_and_its_predicate_selects_it(made, losses: bool) -> None:
    database, columns = made
    planted = (columns["label"] == "it's") & columns["flag"]
    errors = errors_where(planted)
    if losses:
        errors = np.random.default_rng(3).exponential(1, COUNT) * (1 + 3 * errors)
    found = find_slices(database, np.arange(COUNT), errors)
    assert len(found.slices) == 1
    (one,) = found.slices
    assert set(one.parts) == {"label = 'it''s'", '"flag" = true'} or set(one.parts) == {
        "\"label\" = 'it''s'",
        '"flag" = true',
    }
    np.testing.assert_array_equal(mask(database, one.predicate), planted)
    assert one.size == planted.sum()
    assert one.metric == pytest.approx(errors[planted].mean())
    assert one.interval[0] < one.gap < one.interval[1]
    assert one.p < 0.01
    assert planted[list(one.examples)].all()
    assert (errors[list(one.examples)] >= np.sort(errors[planted])[-6]).all()


def test_every_condition_says_of_a_sample_what_its_predicate_says(made) -> None:
    from dataide.evaluate import slice_columns

    database, _ = made
    nos = np.arange(COUNT, dtype=np.uint32)
    conditions = slice_columns.of_columns(database, {"sample_no": nos}, 60, columns=None, leave_out=())
    assert {one.name for one in conditions} >= {"label", "Light", "price", "grade", "flag", "maker", "tags: gl'are"}
    codes, _, order = slice_columns.coded(database, conditions, {"sample_no": nos, "lent_error": np.zeros(COUNT)})
    for one, code in zip(conditions, codes, strict=True):
        for text, holds in zip(one.texts, one.holds, strict=True):
            said = np.zeros(COUNT, bool)
            said[order] = holds[code]
            np.testing.assert_array_equal(said, mask(database, text), err_msg=text)


@pytest.mark.parametrize(
    "where", ["a missing value", "a tag", "numbers below a cut", "three conditions", "one condition"]
)
def test_what_is_planted_in_other_ways_is_found(made, where: str) -> None:
    database, columns = made
    light = np.nan_to_num(columns["Light"], nan=9.0)
    planted = {
        "a missing value": columns["gap"],
        "a tag": columns["glare"],
        "numbers below a cut": light < -0.7,
        "three conditions": (columns["label"] == "cat") & columns["flag"] & (columns["grade"] == 2),
        "one condition": columns["label"] == "dog",
    }[where]
    found = find_slices(database, np.arange(COUNT), errors_where(planted))
    best = mask(database, found.slices[0].predicate)
    assert (best & planted).sum() / (best | planted).sum() > 0.85
    assert len(found.slices) == 1


def test_two_planted_slices_are_both_told(made) -> None:
    database, columns = made
    one, other = columns["label"] == "cat", (columns["grade"] == 3) & (columns["label"] == "dog")
    found = find_slices(database, np.arange(COUNT), errors_where(one | other, rate=0.35))
    masks = [mask(database, slice_.predicate) for slice_ in found.slices]
    for planted in (one, other):
        assert max((planted & mask_).sum() / (planted | mask_).sum() for mask_ in masks) > 0.9
    assert len(masks) == 2


@pytest.mark.parametrize("losses", [False, True])
def test_where_nothing_is_planted_nothing_is_told(made, losses: bool) -> None:
    database, _ = made
    random = np.random.default_rng(5)
    told = 0
    for _run in range(10):
        errors = random.lognormal(0, 1.5, COUNT) if losses else (random.random(COUNT) < 0.1).astype(float)
        told += bool(find_slices(database, np.arange(COUNT), errors, conditions=2).slices)
    assert told == 0


def test_counts_of_a_cube_and_of_a_plain_query_are_the_same(made) -> None:
    database, columns = made
    planted = columns["flag"] & (columns["grade"] == 1)
    some = np.flatnonzero(np.arange(COUNT) % 3 > 0)
    errors = errors_where(planted)[some]
    (one,) = find_slices(database, some, errors, columns=["grade", "flag"]).slices
    inside = mask(database, one.predicate)[some]
    assert one.size == inside.sum()
    assert one.metric == pytest.approx(errors[inside].mean())
    assert one.rest == pytest.approx(errors[~inside].mean())


def test_degenerate_input_gives_nothing_or_says_what_is_wrong(made) -> None:
    database, _ = made
    nos = np.arange(COUNT)
    for errors in (np.zeros(COUNT), np.ones(COUNT), np.full(COUNT, np.nan)):
        assert find_slices(database, nos, errors).slices == ()
    assert find_slices(database, nos[:0], np.empty(0)).slices == ()
    assert find_slices(database, nos[:20], np.arange(20) % 2).slices == ()
    with pytest.raises(EvaluationError, match="twice"):
        find_slices(database, np.zeros(2), np.zeros(2))
    with pytest.raises(EvaluationError, match="errors"):
        find_slices(database, nos, np.zeros(3))
    with pytest.raises(EvaluationError, match="infinite"):
        find_slices(database, nos, np.full(COUNT, np.inf))
    with pytest.raises(EvaluationError, match="1 to 3"):
        find_slices(database, nos, np.zeros(COUNT), conditions=4)
    with pytest.raises(UnknownColumn, match="lable"):
        find_slices(database, nos, np.arange(COUNT) % 2, columns=["lable"])


def test_fishers_tail_is_the_sum_of_its_terms_and_never_below_it() -> None:
    everybody, wrong = 60, 14
    for size in (5, 20, 41):
        for errors in range(min(size, wrong) + 1):
            terms = [comb(wrong, k) * comb(everybody - wrong, size - k) for k in range(errors, min(size, wrong) + 1)]
            exact = sum(terms) / comb(everybody, size)
            said = float(significance.fisher(np.array(errors), np.array(size), wrong, everybody))
            if errors * everybody > size * wrong:
                assert exact * (1 - 1e-9) <= said <= exact * 1.01 + 1e-300
            else:
                assert said == 1


def test_welchs_test_says_how_often_so_large_a_gap_comes_up() -> None:
    random = np.random.default_rng(0)
    draws = random.standard_normal((4000, 60)) * np.where(np.arange(60) < 12, 2.0, 1.0)
    chances = np.array([float(significance.chance_of(row, np.arange(60) < 12, binary=False)) for row in draws])
    for level in (0.01, 0.05, 0.2):
        assert (chances <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 4000))


def test_intervals_of_a_gap_hold_what_is_true_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    one, other = random.binomial(40, 0.3, 2000), random.binomial(400, 0.1, 2000)
    spans = [significance.rate_gap(int(a), 40, int(b), 400) for a, b in zip(one, other, strict=True)]
    assert 0.925 < np.mean([low <= 0.2 <= high for low, high in spans]) < 0.98


def test_adjusted_chances_keep_their_order_and_grow_with_what_was_tested() -> None:
    chances = np.array([1e-6, 0.2, 1e-4])
    few, many = significance.adjusted(chances, 3), significance.adjusted(chances, 1000)
    assert (np.argsort(few) == np.argsort(chances)).all()
    assert (many >= few).all() and (few >= chances).all() and many.max() <= 1


def test_looking_writes_nothing(made) -> None:
    database, _ = made
    before = database.revision
    find_slices(database, np.arange(COUNT), np.arange(COUNT) % 2)
    assert database.revision == before
