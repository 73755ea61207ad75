"""Tables of any size in place: filtered, sampled, and only what was chosen is added."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataide as di
from dataide.errors import FilterError, ImportProblem, QueryError, ReadOnly, UnknownColumn
from dataide.storage import pictures
from dataide.storage.thumbnails import _key_of

KINDS = {"cat": 60, "dog": 9, "a 'b\" <i>": 2}


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), value).save(out, "PNG")
    return out.getvalue()


def shades(session: di.Session, refs: Any) -> list[Any]:
    """What the pictures show: one pixel of each."""
    return [Image.open(io.BytesIO(session.context.media.read(ref))).getpixel((0, 0)) for ref in refs]


def rows(count_of: dict[str, int] = KINDS) -> pa.Table:
    labels = [label for label, count in count_of.items() for _ in range(count)]
    number = np.arange(len(labels))
    return pa.table(
        {
            "image": [{"bytes": png(n), "path": f"{n}.png"} for n in number.tolist()],
            "n": number,
            "label": labels,
            "source": pa.array(np.array(["web", "camera", "lab"])[number % 3]),
            "score": number / 100,
            "marks": [["x"]] * len(labels),
        }
    )


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[di.Session]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with di.open(tmp_path / "work" / "s.duckdb") as opened:
        yield opened


def spread(table: pa.Table, folder: Path) -> Path:
    """One file a label, in folders as Hugging Face has them."""
    for label in dict.fromkeys(table.column("label").to_pylist()):
        mask = np.array([one == label for one in table.column("label").to_pylist()])
        path = folder / f"label={label.replace(' ', '%20')}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table.filter(pa.array(mask)).drop_columns(["label"]), path, row_group_size=7)
    return folder


def kinds_of_sources(tmp_path: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    table = rows()
    plain = table.drop_columns(["image"])
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=7)
    spread(table, tmp_path / "many")
    own = duckdb.connect(str(tmp_path / "own.duckdb"))
    own.register("plain", plain)
    own.execute("CREATE SCHEMA part; CREATE TABLE part.rows AS FROM plain; CREATE VIEW seen AS FROM part.rows")
    own.unregister("plain")
    other = duckdb.connect(str(tmp_path / "other.duckdb"))
    other.register("plain", plain)
    other.execute('CREATE TABLE "odd.name" AS FROM plain')
    other.close()
    return {
        "file": (tmp_path / "one.parquet", {}),
        "folder": (str(tmp_path / "many"), {}),
        "pattern": (str(tmp_path / "many" / "*" / "*.parquet"), {}),
        "arrow": (plain, {}),
        "dataset": (ds.dataset(tmp_path / "one.parquet"), {}),
        "pandas": (plain.to_pandas(), {}),
        "polars": (pytest.importorskip("polars").from_arrow(plain), {}),
        "stream": (plain.to_reader(), {}),
        "connection": (own, {"table": "part.rows"}),
        "view": (own, {"table": "seen"}),
        "database": (tmp_path / "other.duckdb", {"table": '"odd.name"'}),
    }


SOURCES = (
    "file",
    "folder",
    "pattern",
    "arrow",
    "dataset",
    "pandas",
    "polars",
    "stream",
    "connection",
    "view",
    "database",
)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_is_filtered_ordered_sampled_and_counted_in_place(
    session: di.Session, tmp_path: Path, kind: str
) -> None:
    source, options = kinds_of_sources(tmp_path)[kind]
    candidates = session.attach("candidates", source, **options)
    assert list(session.attached) == ["candidates"] and len(candidates) == 71
    assert set(candidates.columns) >= {"n", "label", "source", "score", "marks"}
    chosen = candidates.where("score > 0.05 and list_contains(marks, 'x')", source=["web", "lab"]).where(label="cat")
    expected = [n for n in range(60) if n > 5 and n % 3 != 1]
    assert sorted(chosen.to_pandas()["n"]) == expected and len(chosen) == len(expected)
    assert chosen.order_by("-n").take(3).to_arrow(["n"]).column("n").to_pylist() == expected[::-1][:3]
    assert candidates.counts("label") == {"cat": 60, "dog": 9, "a 'b\" <i>": 2}
    assert candidates.counts("label", "source")["dog", "web"] == 3
    drawn = candidates.sample(30, by=["label", "source"], seed=1)
    assert drawn.counts("label") == Counter({"cat": 19, "dog": 9, "a 'b\" <i>": 2})
    assert sorted(drawn.to_pandas()["n"]) == sorted(
        candidates.sample(30, by=["label", "source"], seed=1).to_pandas()["n"]
    )
    assert [row["n"] for row in drawn] == drawn.to_arrow(["n"]).column("n").to_pylist()
    assert len(session) == 0


def test_strata_share_equally_small_ones_give_all_and_a_seed_decides(session: di.Session) -> None:
    table = pa.table({"label": ["a"] * 1000 + ["b"] * 100 + ["c"] * 5 + [None] * 3, "n": range(1108)})
    candidates = session.attach("c", table)
    for count in (1, 2, 4, 11, 12, 50, 208, 216, 1108, 5000):
        drawn = candidates.sample(count, by="label")
        sizes = drawn.counts("label")
        assert sum(sizes.values()) == min(count, 1108)
        left = count
        for position, (label, size) in enumerate(((None, 3), ("c", 5), ("b", 100), ("a", 1000))):
            low = left // (4 - position)
            assert min(size, low) <= sizes.get(label, 0) <= min(size, low + 1)
            left -= sizes.get(label, 0)
    first, again, other = (candidates.sample(50, by="label", seed=seed).to_pandas()["n"].tolist() for seed in (7, 7, 8))
    assert first == again and first != other
    assert candidates.sample(5).to_pandas()["n"].tolist() != list(range(5))
    # Any first rows are fair as well.
    assert candidates.sample(50, by="label").take(8).counts("label") == {None: 2, "a": 2, "b": 2, "c": 2}
    shares = candidates.sample(110, by="label", proportional=True).counts("label")
    assert abs(shares["a"] - 99) <= 1 and abs(shares["b"] - 10) <= 1 and shares.get("c", 0) <= 1
    nested = candidates.sample(50, by="label").where(label=["a", "b"]).sample(4, by="label", seed=2)
    assert nested.counts("label") == {"a": 2, "b": 2}


def test_candidates_never_change_and_say_what_they_hold(session: di.Session) -> None:
    candidates = session.attach("c", rows().drop_columns(["image"]))
    drawn = candidates.where(label="dog").order_by("-n").take(4).sample(2, by="source", seed=3)
    assert repr(candidates) == "71 rows of 'c' (an Arrow table)"
    assert repr(drawn) == (
        "2 rows of 'c' (an Arrow table) where label = 'dog', by n descending, the first 4, "
        "2 at random by source (seed 3)"
    )
    html = candidates.where("n >= 69")._repr_html_()
    assert "<i>" not in html and "a &#x27;b&quot; &lt;i&gt;" in html


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("nope = 1", UnknownColumn),
        ("queues is null", UnknownColumn),
        ("n + 1", FilterError),
        ("n in (select 1)", FilterError),
    ],
)
def test_a_condition_is_one_expression_over_the_columns(session: di.Session, condition: str, error: type) -> None:
    candidates = session.attach("c", rows().drop_columns(["image"]))
    with pytest.raises(error) as refusal:
        candidates.where(condition)
    assert "queues" not in str(refusal.value).replace("'queues'", "")
    with pytest.raises(UnknownColumn):
        candidates.sample(3, by="nope")
    with pytest.raises(FilterError, match="try_cast"):
        len(candidates.where("cast(label as integer) = 1"))


def test_sql_reads_the_candidates_and_reaches_nothing_else(session: di.Session, tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "one.parquet")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    candidates = session.attach("c", tmp_path / "one.parquet").where(label="dog")
    assert candidates.sql("SELECT count(*), max(n) FROM candidates").fetchall() == [(9, 68)]
    assert candidates.sql(
        "SELECT count(*) FROM candidates JOIN w USING (n)", w=pd.DataFrame({"n": [60, 61]})
    ).fetchall() == [(2,)]
    for reaching in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM '{tmp_path}/secret.csv'",
        f"SELECT * FROM read_text('{tmp_path}/*')",
        "SELECT * FROM glob('/etc/*')",
    ):
        with pytest.raises(QueryError):
            candidates.sql(reaching)
    for writing in (
        f"COPY candidates TO '{tmp_path}/x.csv'",
        "DROP VIEW candidates",
        "SET threads = 1",
        "SELECT 1; SELECT 2",
    ):
        with pytest.raises(ReadOnly):
            candidates.sql(writing)
    with pytest.raises(QueryError):
        session.sql(f"SELECT * FROM read_parquet('{tmp_path}/one.parquet')")
    assert not (tmp_path / "x.csv").exists()


def test_pictures_in_parquet_stay_there_and_rows_are_the_right_ones(session: di.Session, tmp_path: Path) -> None:
    # A condition on a column that stands in the names of folders leaves files out; numbers must not move.
    candidates = session.attach("c", spread(rows(), tmp_path / "many"))
    report = candidates.where(label="dog").add(progress=False)
    assert (report.added, report.problems) == (9, 0)
    seen = session.to_pandas()
    assert seen["width_px"].tolist() == [8] * 9 and seen["label"].tolist() == ["dog"] * 9
    assert shades(session, seen["media"]) == seen["n"].tolist()
    again = candidates.add(fetch="seen", progress=False)
    assert (again.added, again.skipped) == (62, 9)
    unseen = session.where("width_px is null").to_pandas()
    assert len(unseen) == 62
    assert shades(session, unseen["media"]) == unseen["n"].tolist()
    assert [one.problem for one in session.context.thumbnails.get(range(len(session)), 64)] == [None] * 71


def test_what_a_frame_names_is_added_as_a_frame_is(session: di.Session, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(3))
    frame = pd.DataFrame({"path": ["a.png", "gone.png", None], "label": ["x", "y", "z"], "weight": [1.5, 2.5, 3.5]})
    candidates = session.attach("c", frame)
    report = candidates.add(media="path", progress=False)
    assert (report.added, report.problems) == (1, 2)
    assert session.to_pandas()[["sample_id", "label", "weight", "width_px"]].values.tolist() == [["a.png", "x", 1.5, 8]]
    assert sorted(session.problems()["code"]) == ["missing", "missing"]
    blobs = session.attach("b", pd.DataFrame({"image": [png(1), b"no picture"], "sample_id": [7, 8]}))
    report = blobs.add(fetch="seen", progress=False)
    assert (report.added, report.problems) == (1, 1)
    assert session.context.media.read(session.where(sample_id="7").to_pandas()["media"][0]) == png(1)


def test_wrong_columns_and_words_change_nothing(session: di.Session, tmp_path: Path) -> None:
    candidates = session.attach("c", rows().drop_columns(["image"]))
    for options, said in (
        ({}, "image"),
        ({"media": "n"}, "BIGINT"),
        ({"media": None, "label": "nope"}, "nope"),
        ({"media": None, "on_conflict": "perhaps"}, "perhaps"),
        ({"media": None, "fetch": "later"}, "later"),
        ({"media": None, "sample_id": "source", "on_conflict": "error"}, "web"),
    ):
        with pytest.raises(ImportProblem, match=said):
            candidates.add(progress=False, **options)
    assert len(session) == 0 and session.problems().empty
    for source, options, said in (
        (tmp_path / "none.parquet", {}, "There is no file"),
        (str(tmp_path / "*.nothing"), {}, "There is no file"),
        (tmp_path / "none.duckdb", {"table": "t"}, "There is no file"),
        (42, {}, "int"),
        (duckdb.connect(), {}, "many tables"),
        (duckdb.connect(), {"table": "t"}, "no table"),
        ("nowhere://bucket/x.parquet", {}, "nowhere"),
    ):
        with pytest.raises(ImportProblem, match=said):
            session.attach("wrong", source, **options)  # type: ignore[arg-type]
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ImportProblem, match=r"no Parquet file.*read_csv"):
        session.attach("wrong", tmp_path / "text.csv")
    assert list(session.attached) == ["c"]


@pytest.mark.parametrize("way", ["rewritten", "gone", "appended"])
def test_a_file_that_changes_between_choosing_and_adding_is_an_error(
    session: di.Session, tmp_path: Path, way: str
) -> None:
    path = tmp_path / "one.parquet"
    pq.write_table(rows(), path)
    chosen = session.attach("c", path).sample(10, by="label")
    assert len(chosen) == 10
    if way == "gone":
        path.unlink()
    elif way == "appended":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        pq.write_table(rows().slice(5), path)
    for media in ("image", None):
        with pytest.raises(ImportProblem, match="since it was attached") as refusal:
            chosen.add(media=media, progress=False)
        assert refusal.value.code == "changed" and "ttach it again" in str(refusal.value)
    assert len(session) == 0


def test_a_parquet_file_that_changes_after_adding_shows_no_wrong_picture(session: di.Session, tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    pq.write_table(rows(), path)
    session.attach("c", path).take(5).add(fetch="seen", progress=False)
    pq.write_table(rows().slice(5), path)
    (thumb,) = session.context.thumbnails.get([0], 64)
    assert thumb.data == b"" and thumb.problem is not None and "has changed" in thumb.problem
    report = session.attach("c", path).take(5).add(fetch="seen", on_conflict="replace", progress=False)
    assert report.replaced == 5
    (thumb,) = session.context.thumbnails.get([0], 64)
    assert Image.open(io.BytesIO(thumb.data)).getpixel((0, 0)) == 5


@pytest.mark.parametrize("side", [8, 700])
def test_a_picture_nobody_looked_at_is_decoded_once(
    session: di.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    path = tmp_path / "one.parquet"
    encoded = io.BytesIO()
    Image.new("RGB", (side, side), (5, 6, 7)).save(encoded, "PNG")
    pq.write_table(pa.table({"image": [encoded.getvalue()], "id": ["a"]}), path)
    session.attach("c", path).add(sample_id="id", fetch="seen", progress=False)
    (first,) = session.context.thumbnails.get([0], 64)
    assert first.problem is None
    make = pictures.thumbnail
    monkeypatch.setattr(pictures, "thumbnail", lambda *_, **__: pytest.fail("decoded again"))
    assert session.context.thumbnails.get([0], 64) == [first]
    file = session.context.database.path
    session.close()
    with di.open(file) as again:
        assert again.context.thumbnails.get([0], 64) == [first]
        monkeypatch.setattr(pictures, "thumbnail", make)
        pq.write_table(pa.table({"image": [encoded.getvalue()], "id": ["a"], "more": [1]}), path)
        assert again.context.thumbnails.get([0], 64) == [first], "it is still the picture of that row as it was"
        assert "has changed" in (again.context.thumbnails.get([0], 32)[0].problem or "")


def test_thumbnails_are_kept_by_what_stays_the_same() -> None:
    for lasting in ("https://host/a.png", "s3://bucket/a.png", "parquet:x.parquet#image:7@0123abcd"):
        key = _key_of(lasting, 1)
        assert key is not None and key == _key_of(lasting, 1) != _key_of(lasting, 2)
        assert "host" not in key and "bucket" not in key, "addresses may carry keys"
    for passing in ("", "a.png", "/x/a@b.png", "file:///x/a.png", "FILE:///x/a.png", "parquet:x@1.parquet#image:7"):
        assert _key_of(passing, 1) is None


def test_attached_tables_end_with_the_session_and_are_not_in_its_file(session: di.Session, tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "one.parquet")
    candidates = session.attach("c", tmp_path / "one.parquet")
    session.close()
    with pytest.raises(ImportProblem, match="closed"):
        len(candidates.where("n > 3"))
    assert repr(candidates).endswith("closed")
    with di.open(tmp_path / "work" / "s.duckdb") as again:
        assert again.attached == {}
    assert os.fsencode("one.parquet") not in (tmp_path / "work" / "s.duckdb").read_bytes()


def test_a_table_of_a_lake_is_attached_through_ones_own_connection(session: di.Session, tmp_path: Path) -> None:
    pytest.importorskip("duckdb_extensions", reason="DuckLake's extension is not fetched by dataide itself")
    connection = duckdb.connect()
    connection.execute(f"INSTALL ducklake; LOAD ducklake; ATTACH 'ducklake:{tmp_path}/l.ducklake' AS lake")
    connection.register("plain", rows().drop_columns(["image"]))
    connection.execute("CREATE TABLE lake.t AS FROM plain")
    candidates = session.attach("c", connection, table="lake.main.t")
    assert candidates.sample(6, by="label").counts("label")["dog"] == 2
