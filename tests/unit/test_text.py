"""Text: words that find pictures, columns of texts that are embedded, and what becomes of them when texts change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ActionError, DataideError, ModelError, UnknownSample
from dataide.inference import embedding
from dataide.storage import documented, points, vectors
from dataide.storage.database import Database

WORDS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
COUNT = 12


def meaning(texts: list[str]) -> np.ndarray:
    """Which colours a text speaks of; a text of "nothing" has no numbers."""
    if any("crash" in text for text in texts):
        raise ValueError("a text of a crash")
    rows = [[float(word in text) + 0.01 for word in WORDS] for text in texts]
    return np.array([[np.nan] * 3 if "nothing" in text else row for text, row in zip(texts, rows, strict=True)])


class Colours:
    """Mean colours, and what colour words mean."""

    def embed_images(self, images):
        return np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])

    def embed_texts(self, texts):
        return meaning(texts)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[di.Session]:
    """Plain pictures of the three colours in turn, and a sample whose id is a word."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with di.open(tmp_path / "text.duckdb") as opened:
        names = list(WORDS)
        arrays = np.stack([np.full((6, 6, 3), WORDS[names[n % 3]], np.uint8) for n in range(COUNT)])
        opened.add_arrays(
            arrays,
            sample_id=["blue", *(f"s{n:02}" for n in range(1, COUNT))],
            label=[names[n % 3] for n in range(COUNT)],
            caption=[None if n == 3 else "  " if n == 4 else f"a {names[n % 3]} square" for n in range(COUNT)],
            price=np.arange(COUNT),
            progress=False,
        )
        yield opened


def labels(view: di.View) -> list[str]:
    return [row["label"] for row in view]


# Words that find pictures --------------------------------------------------------------------------------------------


def test_words_find_pictures(session):
    session.embed(Colours(), progress=False)
    assert labels(session.similar("something red", k=4)) == ["red"] * 4
    assert labels(session.where(label="green").similar("a green car", k=2)) == ["green"] * 2
    assert len(session.similar("something red", k=None)) == COUNT, "words are no sample that would be left out"


def test_a_sample_comes_before_words_unless_the_text_is_said_to_be_one(session):
    session.embed(Colours(), progress=False)
    assert "blue" not in session.similar("blue", k=COUNT).ids(), "the sample of this id, which is a red picture"
    assert labels(session.similar("blue", k=3)) == ["red"] * 3
    assert labels(session.similar(text="blue", k=4)) == ["blue"] * 4


def test_one_thing_to_be_similar_to_is_asked_for(session):
    with pytest.raises(ActionError, match="one of them"):
        session.similar()
    with pytest.raises(ActionError, match="one of them"):
        session.where(label="red").similar("blue", text="red")


def test_a_file_comes_before_words(session, tmp_path, monkeypatch):
    session.embed(Colours(), progress=False)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (5, 5), "blue").save("green", "PNG")
    assert labels(session.similar("green", k=2)) == ["blue"] * 2
    assert labels(session.similar(text="green", k=2)) == ["green"] * 2


def test_words_go_to_the_model_that_reads_them(session):
    session.embed(Colours(), progress=False)
    session.embed("auto", progress=False)
    assert labels(session.similar("something red", k=4)) == ["red"] * 4
    assert labels(session.similar(text="green", k=4)) == ["green"] * 4
    with pytest.raises(ModelError, match="reads pictures, not texts"):
        session.similar(text="red", embedding="auto")


def test_after_a_restart_the_model_is_asked_for(session, tmp_path):
    session.embed(Colours(), progress=False)
    session.close()
    again: Any = di.open(tmp_path / "text.duckdb")
    with pytest.raises(ModelError, match="model=model") as caught:
        again.similar("something red")
    assert caught.value.code == "needs_model"
    assert labels(again.similar("something red", k=4, model=Colours())) == ["red"] * 4
    assert again.embed(Colours(), progress=False).embedded == 0
    assert labels(again.similar("something red", k=4)) == ["red"] * 4, "the call remembered the model"
    again.close()


def test_another_model_than_the_one_that_made_the_vectors_is_refused(session):
    class Others(Colours):
        def embed_texts(self, texts):
            return np.ones((len(texts), 3))

    session.embed(Colours(), name="colours", progress=False)
    with pytest.raises(ModelError, match="cannot be compared"):
        session.similar("something red", model=Others(), embedding="colours")


def test_what_is_no_text_says_what_to_type(session):
    with pytest.raises(DataideError, match=r"session.embed\(\)"):
        session.similar("something red")
    session.embed("auto", progress=False)
    with pytest.raises(UnknownSample, match="no file of that name"):
        session.similar("something red")
    session.embed(Colours(), progress=False)
    for empty in ("", "  "):
        with pytest.raises(ModelError, match="no text to search by"):
            session.similar(text=empty)
    with pytest.raises(ModelError, match="A int is no text"):
        session.similar(text=5)


# Columns of texts ----------------------------------------------------------------------------------------------------


def test_a_column_of_texts_is_embedded_and_searched_by_texts(session):
    report = session.embed(meaning, text="caption", name="captions", progress=False)
    assert (report.embedded, report.problems, report.dimension) == (COUNT - 2, 0, 3)
    assert "2 without a text in 'caption' were left out" in repr(report)
    assert labels(session.similar("blue skies", k=3, embedding="captions")) == ["blue"] * 3
    found = session.sql("SELECT sample_id, vector FROM vector_captions ORDER BY sample_id").to_arrow()
    assert found.num_rows == len(session.vectors("captions")) == len(session.vectors("captions").ids()) == COUNT - 2
    np.testing.assert_allclose(session.vectors("captions").to_numpy()[0], meaning(["a red square"])[0], rtol=1e-6)
    with pytest.raises(ModelError, match="reads texts, not pictures"):
        session.similar(Image.new("RGB", (5, 5)), embedding="captions")


def test_only_what_is_new_or_changed_is_embedded_again(session):
    def embed(view=session):
        return view.embed(meaning, text="caption", name="captions", progress=False)

    first = embed(session.take(5))
    assert first.embedded == 3
    report = embed()
    assert (report.embedded, report.present) == (COUNT - 5, 3)
    session.where(sample_id="s01").set(caption="red after all")
    assert "s01" not in session.vectors("captions").ids(), "a vector of another text does not count"
    assert session.sql("SELECT count(*) AS n FROM vector_captions").to_arrow().column("n").to_pylist() == [COUNT - 3]
    assert "s01" not in session.similar(text="red", embedding="captions", k=None).ids()
    assert embed().embedded == 1
    assert "s01" in session.similar(text="red", embedding="captions", k=5).ids()
    session.undo()
    assert "s01" not in session.vectors("captions").ids()
    assert embed().embedded == 1
    session.where(sample_id="s02").set(caption=None)
    report = embed()
    assert (report.embedded, report.present) == (0, COUNT - 3)
    session.where(sample_id="s05").set(price=99)
    assert embed().embedded == 0, "the text is the same"


def test_a_model_that_fails_keeps_what_was_done_and_goes_on_from_there(session):
    session.where(sample_id="s10").set(caption="a crash")
    with pytest.raises(ModelError, match="a text of a crash"):
        session.embed(meaning, text="caption", name="captions", batch_size=2, progress=False)
    done = len(session.vectors("captions"))
    assert 0 < done < COUNT - 2
    session.where(sample_id="s10").set(caption="green")
    assert session.embed(meaning, text="caption", name="captions", progress=False).embedded == COUNT - 2 - done


def test_problems_name_the_sample(session):
    session.where(sample_id="s07").set(caption="says nothing")
    report = session.embed(meaning, text="caption", name="captions", progress=False)
    assert (report.embedded, report.problems) == (COUNT - 3, 1)
    listed = session.problems()
    assert listed["media"].tolist() == ["s07"] and listed["code"].tolist() == ["not_finite"]
    session.where(sample_id="s07").set(caption="says red")
    session.embed(meaning, text="caption", name="captions", progress=False)
    assert session.problems().empty, "what was mended is off the list"


def test_texts_are_read_in_parts(session, monkeypatch):
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 3)
    assert session.embed(meaning, text="caption", name="captions", batch_size=2, progress=False).embedded == COUNT - 2
    with_text = [label for n, label in enumerate(labels(session.where())) if n not in (3, 4)]
    rows = session.vectors("captions").to_numpy()
    np.testing.assert_allclose(rows, meaning([f"a {label} square" for label in with_text]), rtol=1e-6)


def test_towers_embed_texts_as_well_and_pictures_find_texts(session):
    session.embed(Colours(), progress=False)
    with pytest.raises(ModelError, match="name='Colours_caption'"):
        session.embed(Colours(), text="caption", progress=False)
    assert len(session.vectors("Colours")) == COUNT, "the vectors of pictures are left alone"
    session.embed(Colours(), text="caption", name="captions", progress=False)
    assert labels(session.similar(Image.new("RGB", (5, 5), "lime"), k=3, embedding="captions")) == ["green"] * 3


def test_samples_without_pictures_are_embedded_and_laid_out(session):
    bare = {"id": [f"bare{n}" for n in range(6)], "caption": [f"{list(WORDS)[n % 3]} words" for n in range(6)]}
    session.add_frame(pa.table(bare), media=None, sample_id="id", progress=False)
    assert session.embed(meaning, text="caption", name="captions", progress=False).embedded == COUNT + 4
    assert {"bare0", "bare3"} <= set(session.similar(text="red", embedding="captions", k=6).ids())
    report = session.project("pca", embedding="captions", progress=False)
    assert report.placed == COUNT + 4
    assert len(session.inside([(-9, -9), (9, -9), (9, 9), (-9, 9)])) == COUNT + 4


def test_a_changed_text_is_placed_anew(session):
    session.embed(meaning, text="caption", name="captions", progress=False)
    session.project("pca", embedding="captions", progress=False)
    database = session.context.database

    def places() -> dict[int, tuple[float, float]]:
        nos, where = points.placed(database, "captions/pca")
        return {int(no): (float(x), float(y)) for no, (x, y) in zip(nos, where, strict=True)}

    before = places()
    session.where(sample_id="s01").set(caption="a blue square")
    session.embed(meaning, text="caption", name="captions", progress=False)
    assert 1 not in places()
    assert session.project("pca", embedding="captions", progress=False).placed == 1
    after = places()
    assert after.pop(1) == pytest.approx(after[2], abs=1e-4), "where the other text of blue lies"
    assert before.pop(1) != pytest.approx(after[2], abs=1e-4) and before == after


def test_a_column_without_texts_says_so(session):
    with pytest.raises(ModelError, match="Did you mean caption"):
        session.embed(meaning, text="captoin", progress=False)
    with pytest.raises(ModelError, match="holds no texts"):
        session.embed(meaning, text="price", progress=False)
    with pytest.raises(ModelError, match="None of these 1 samples has a text"):
        session.where(sample_id="s03").embed(meaning, text="caption", progress=False)
    with pytest.raises(ModelError, match="reads pictures, not texts"):
        session.embed("auto", text="caption", progress=False)


# The file ------------------------------------------------------------------------------------------------------------


def test_the_hash_of_a_text_is_the_same_in_every_version_of_duckdb(session):
    import hashlib

    with session.context.database.query(
        f"SELECT {documented.version_of('caption')} FROM data.sample s WHERE sample_id = 'blue'"
    ) as cursor:
        (found,) = cursor.fetchall()[0]
    assert found == int(hashlib.md5(b"a red square").hexdigest()[:8], 16)


@pytest.mark.parametrize("source", ["gone", 'x"; DROP TABLE data.sample; --'])
def test_a_file_whose_embedding_names_no_column_opens(session, tmp_path, source):
    session.embed(meaning, text="caption", name="captions", progress=False)
    session.embed("auto", progress=False)
    session.close()
    database = Database(tmp_path / "text.duckdb")
    with database.write() as cursor:
        cursor.execute("UPDATE data.embedding SET source = ? WHERE name = 'captions'", [source])
    database.close()
    with di.open(tmp_path / "text.duckdb") as again:
        assert len(again) == COUNT and len(again.vectors("auto")) == COUNT
        known = vectors.embedding(again.context.database, "captions")
        assert known is not None and known.source == source
