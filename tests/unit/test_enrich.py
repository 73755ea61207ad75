"""Attributes as typed columns: from pictures, functions, texts and detected objects, resumed and kept apart."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.errors import ModelError, UnknownColumn
from dataide.inference import typed_columns
from dataide.inference.attributes import describe
from dataide.inference.models import outputs
from tests.unit.inference_tools import Make, functions_in_files


@pytest.fixture
def session(tmp_path) -> Iterator[Any]:
    pictures = np.random.default_rng(0).integers(0, 255, (30, 12, 16, 3), dtype=np.uint8)
    session: Any
    with di.open(tmp_path / "attributes.duckdb") as session:
        session.add_arrays(
            pictures,
            sample_id=[f"s{n:02}" for n in range(30)],
            caption=[None if n == 0 else "word " * n for n in range(30)],
            progress=False,
        )
        session.pictures = pictures
        yield session


@pytest.fixture
def portable(tmp_path, monkeypatch) -> Iterator[Make]:
    yield from functions_in_files(tmp_path, monkeypatch)


def test_quality_is_what_describe_says_as_columns_with_types(session):
    report = session.enrich("quality", progress=False)
    assert (report.enriched, report.problems) == (30, 0)
    from PIL import Image

    expected = describe([Image.fromarray(one) for one in session.pictures])
    rows = session.to_arrow().to_pylist()
    for name in ("aspect", "entropy", "blur", "noise", "colourfulness", "is_grey", "colour_1", "dhash", "phash"):
        assert name in report.columns
        got = [row[name] for row in rows]
        if expected[name].dtype.kind == "f":
            assert got == pytest.approx(expected[name].tolist(), rel=1e-5)
        else:
            assert got == expected[name].tolist()
    kinds = session.columns
    assert (kinds["blur"], kinds["is_grey"], kinds["colour_1"], kinds["phash"]) == (
        "FLOAT",
        "BOOLEAN",
        "VARCHAR",
        "UBIGINT",
    )
    again = session.enrich("quality", progress=False)
    assert (again.enriched, again.present) == (0, 30)


def test_quality_fills_in_what_an_import_had_not_looked_at(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((6, 9, 3), 51, np.uint8)).save(tmp_path / "one.png")
    with di.open(tmp_path / "unseen.duckdb") as session:
        session.sql("SELECT 1")
        with session.context.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
                "VALUES (0, 'one', 'one.png', now()::TIMESTAMP)"
            )
        session.enrich("quality", progress=False)
        row = session.to_arrow().to_pylist()[0]
        assert (row["width_px"], row["height_px"], row["format"]) == (9, 6, "PNG")
        assert row["brightness"] == pytest.approx(0.2, abs=1e-3)


def test_a_function_adds_columns_of_its_own_types(session):
    def measure(images):
        return {
            "wide": [image.width for image in images],
            "ratio": np.array([image.width / image.height for image in images], np.float32),
            "said": [f"{image.width} px" for image in images],
            "sure": [image.width > 3 for image in images],
            "rare": [1.5 if number == 0 else None for number, _ in enumerate(images)],
        }

    report = session.enrich(measure, progress=False, batch_size=8)
    assert report.columns == ("wide", "ratio", "said", "sure", "rare")
    kinds = {name: session.columns[name] for name in report.columns}
    assert kinds == {"wide": "BIGINT", "ratio": "FLOAT", "said": "VARCHAR", "sure": "BOOLEAN", "rare": "DOUBLE"}
    assert len(session.where("wide = 16 AND said = '16 px' AND sure")) == 30
    assert len(session.where("rare = 1.5")) == 4  # the first of each batch
    assert session.facets() is not None


def test_one_value_each_is_called_as_the_function_is(session):
    def redness(images):
        return [float(np.asarray(image)[..., 0].mean()) for image in images]

    assert session.enrich(redness, progress=False).columns == ("redness",)
    assert session.order_by("-redness").take(1).ids()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def model(images): return [1.0]", "1 values of 'model' for a batch of 30"),
        ("def model(images): return {'a': ['x', 1] * 15}", "no column holds together"),
        ("def model(images): return {'a': [object()] * len(images)}", "no column holds together"),
        ("def model(images): return 5", "a int of 'model'"),
        ("def model(images): return np.array(5.0)", "a ndarray of 'model'"),
        ("def model(images): return np.ones((len(images), 2))", r"no column holds together \(ndarray\)"),
        ("def model(images): raise RuntimeError('not today')", "not today"),
    ],
)
def test_a_function_that_returns_nonsense_is_named(session, portable, body, said):
    with pytest.raises(ModelError, match=said):
        session.enrich(portable(body), progress=False)
    assert "model" not in session.columns


def test_values_of_another_kind_later_are_refused_and_the_first_ones_kept(session, portable):
    model = portable("""
        calls = [0]
        def model(images):
            calls[0] += 1
            return {'a': ['text' if calls[0] > 1 else 1] * len(images)}
    """)
    session.take(10).enrich(model, name="mixed", progress=False)
    with pytest.raises(ModelError, match="another kind for 'a'"):
        session.enrich(model, name="mixed", progress=False)
    assert len(session.where("a = 1")) == 10


def test_a_new_picture_loses_the_attributes_of_the_old_one(session):
    session.enrich("quality", progress=False)
    session.add_arrays(np.zeros((1, 12, 16, 3), np.uint8), sample_id=["s05"], on_conflict="replace", progress=False)
    assert session.where("sample_id = 's05'").to_arrow().to_pylist()[0]["entropy"] is None
    assert session.enrich("quality", progress=False).enriched == 1
    assert session.where("sample_id = 's05'").to_arrow().to_pylist()[0]["entropy"] == 0


def test_a_function_may_call_its_columns_as_it_likes(session):
    names = ["seen media", " spaced ", "", 'a"b; --', "media"]
    report = session.enrich(lambda images: {name: [1] * len(images) for name in names}, name="odd", progress=False)
    assert report.columns == ("seen media", "spaced", "column", 'a"b; --', "media_2")
    row = session.take(1).to_arrow().to_pylist()[0]
    assert [row[name] for name in report.columns] == [1] * 5 and row["media"].startswith("blob:")


def test_length_of_text_needs_no_picture(session):
    report = session.enrich("text", column="caption", progress=False)
    assert report.columns == ("caption_length", "caption_words")
    row = session.where("sample_id = 's07'").to_arrow().to_pylist()[0]
    assert (row["caption_length"], row["caption_words"]) == (35, 7)
    assert session.where("sample_id = 's00'").to_arrow().to_pylist()[0]["caption_words"] is None
    with pytest.raises(UnknownColumn, match="no column of texts 'captoin'"):
        session.enrich("text", column="captoin", progress=False)


def test_objects_are_counted_and_measured(session):
    def halves(images):
        return [{"boxes": [[0, 0, 8, 12], [0, 0, 4, 3]], "scores": [0.9, 0.8], "classes": [0, 1]} for image in images]

    with pytest.raises(ModelError, match="No detector has looked"):
        session.enrich("objects", progress=False)
    session.take(20).predict(halves, run="found", task="detection", classes=["a", "b"], progress=False)
    assert session.enrich("objects", progress=False).name == "objects of found"
    with pytest.raises(ModelError, match="'found' is the name of a run of predictions"):
        session.enrich("objects", name="found", progress=False)
    with pytest.raises(ModelError, match="cannot be the name of attributes"):
        session.enrich("objects", name="a\nb", progress=False)
    row = session.where("sample_id = 's03'").to_arrow().to_pylist()[0]
    assert (row["found_objects"], row["found_kinds"]) == (2, 2)
    assert (row["found_area"], row["found_largest"]) == pytest.approx((0.5 + 1 / 16, 0.5))
    # Where the detector has not looked nothing is known.
    assert session.where("sample_id = 's25'").to_arrow().to_pylist()[0]["found_area"] is None


def test_unknown_attributes_are_refused_with_the_closest(session):
    with pytest.raises(ModelError, match="qualty") as caught:
        session.enrich("qualty", progress=False)
    assert "quality" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        ("quality", {"foo": 1}, r"'quality' has no option 'foo'. There are: batch_size"),
        ("quality", {"column": "caption"}, "'quality' has no option 'column'"),
        ("text", {"column": "caption", "foo": 1}, r"'text' has no option 'foo'. There are: column"),
        ("text", {"column": "caption", "batch_size": 4}, "'text' has no option 'batch_size'"),
        ("objects", {"colum": "caption"}, r"'objects' has no option 'colum'. There are: run"),
        (len, {"bath_size": 4}, r"A function that enriches has no option 'bath_size'. Did you mean batch_size"),
        (len, {"classes": ["a"]}, "A function that enriches has no option 'classes'"),
    ],
)
def test_options_that_would_be_ignored_are_refused(session, what, options, said):
    with pytest.raises(ModelError, match=said):
        session.enrich(what, progress=False, **options)


def test_objects_of_an_earlier_picture_say_nothing_of_the_present_one(session):
    def halves(images):
        return [{"boxes": [[0, 0, 8, 12]], "scores": [0.9], "classes": [0]} for image in images]

    session.predict(halves, run="found", task="detection", classes=["a"], progress=False)
    session.add_arrays(np.zeros((1, 12, 16, 3), np.uint8), sample_id=["s05"], on_conflict="replace", progress=False)
    assert session.enrich("objects", progress=False).enriched == 29
    assert session.where("sample_id = 's05'").to_arrow().to_pylist()[0]["found_area"] is None
    assert session.where("sample_id = 's06'").to_arrow().to_pylist()[0]["found_area"] == pytest.approx(0.5)


def test_a_batch_without_any_column_leaves_its_samples_without_values(session, portable):
    model = portable("""
        calls = [0]
        def model(images):
            calls[0] += 1
            return {} if calls[0] == 1 else {'a': [calls[0]] * len(images)}
    """)
    assert session.enrich(model, batch_size=10, progress=False).enriched == 30
    assert (len(session.where("a IS NULL")), len(session.where("a = 2")), len(session.where("a = 3"))) == (10, 10, 10)


def test_columns_go_over_the_contract_and_back_unchanged():
    given = typed_columns.columns(
        {
            "text": ["", "ä\u2028\x00", None, "x" * 1000],
            "number": [1, 2, None, 2**62],
            "part": np.array([0.5, np.nan, 1, 2]),
            "day": [datetime.date(2026, 1, 2)] * 4,
            "large": np.array([2**64 - 1] * 4, np.uint64),
        },
        4,
        "f",
    )
    back = typed_columns.unpacked(typed_columns.packed(given))
    assert {name: column.sql for name, column in back.items()} == {
        "text": "VARCHAR",
        "number": "BIGINT",
        "part": "DOUBLE",
        "day": "VARCHAR",
        "large": "UBIGINT",
    }
    there = back["text"].there
    assert there is not None and there.tolist() == [True, True, False, True]
    assert back["text"].values.tolist()[1] == "ä\u2028\x00"
    assert back["number"].values.tolist()[3] == 2**62 and back["day"].values[0] == "2026-01-02"
    assert back["large"].values.tolist() == [2**64 - 1] * 4
    two = typed_columns.appended([back, {"text": back["text"]}])
    assert two["text"].values.tolist()[5] == "ä\u2028\x00"
    gaps = two["number"].there
    assert gaps is not None and not gaps[4:].any()


def test_texts_and_numbers_of_two_batches_do_not_make_one_column():
    texts = typed_columns.columns(["a", "b"], 2, "f")
    numbers = typed_columns.columns([1, 2], 2, "f")
    with pytest.raises(ModelError, match="'f' got texts for some pictures and numbers for others"):
        typed_columns.appended([texts, numbers])
    nothing = typed_columns.columns([None, None], 2, "f")
    both = typed_columns.appended([nothing, texts, {}], [2, 2, 1])["f"]
    assert both.there is not None and both.there.tolist() == [False, False, True, True, False]
    assert both.values.tolist() == ["", "", "a", "b", ""]


def test_halves_of_a_batch_with_different_columns_are_joined_by_their_samples():
    none, some = typed_columns.columns({}, 2, "f"), typed_columns.columns({"odd": ["a", None, "b"]}, 3, "f")
    whole = outputs.joined(
        [outputs.Computed(typed_columns.packed(none)), outputs.Computed(typed_columns.packed(some))], [2, 3]
    )
    odd = typed_columns.unpacked(whole.arrays)["odd"]
    assert odd.there is not None and odd.there.tolist() == [False, False, True, False, True]
    assert odd.values[2] == "a" and odd.values[4] == "b"
