"""The ways in: what is added, skipped, replaced and listed, on real image sets."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ImportProblem
from dataide.formats import add_arrays, add_folder, add_frame, add_parquet
from dataide.storage.database import Database
from dataide.storage.media import Media

SharedData = Callable[[str], Path]


class Opened:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = Database(folder / "pets.duckdb")
        self.media = Media(self.database)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return self.database.cursor().execute(query).fetchall()

    def pixels(self, sample_id: str) -> np.ndarray:
        cursor = self.database.cursor().execute("SELECT media FROM data.sample WHERE sample_id = ?", [sample_id])
        row = cursor.fetchone()
        assert row is not None
        return np.asarray(Image.open(io.BytesIO(self.media.read(row[0]))))


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    session = Opened(tmp_path)
    yield session
    session.media.close()
    session.database.close()


def png(value: int = 0, size: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("L", (size, size), value).save(out, "PNG")
    return out.getvalue()


def make_folder(root: Path, count: int = 6, start: int = 0) -> Path:
    for number in range(count):
        path = root / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(start + number))
    return root


# Real sets -----------------------------------------------------------------------------------------------------------


def mnist(shared_data: SharedData, count: int) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(shared_data("mnist") / "mnist.parquet").slice(0, count)


def test_mnist_comes_in_alike_as_folder_frame_arrays_and_parquet(opened: Opened, shared_data: SharedData) -> None:
    import pyarrow.parquet as pq

    table = mnist(shared_data, 600)
    rows = table.to_pylist()
    for row in rows:
        path = opened.folder / "digits" / str(row["label"]) / f"{row['id']}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["image"])
    arrays = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]))) for row in rows])
    pq.write_table(table, opened.folder / "digits.parquet")
    quiet: dict[str, Any] = {"progress": False}
    reports = [
        add_folder(opened.database, opened.media, opened.folder / "digits", **quiet),
        add_frame(opened.database, opened.media, table, media="image", label="label", sample_id="id", **quiet),
        add_arrays(
            opened.database, opened.media, arrays, label=[row["label"] for row in rows], prefix="array", **quiet
        ),
        add_parquet(opened.database, opened.media, opened.folder / "*.parquet", label="label", prefix="file ", **quiet),
    ]
    assert [report.added for report in reports] == [600] * 4
    columns = "label, width_px, height_px, format, brightness, contrast, sharpness, mean_red"
    for number, row in enumerate(rows[:50]):
        names = (f"{row['label']}/{row['id']}.png", row["id"], f"array-{number:06d}", f"file digits:{number}")
        alike = [opened.sql(f"SELECT {columns} FROM data.sample WHERE sample_id = '{name}'") for name in names]
        assert all(one == alike[0] for one in alike), alike
        assert all((opened.pixels(name) == arrays[number]).all() for name in names)
    assert opened.sql("SELECT count(*) FROM data.sample WHERE split IS NOT NULL") == [(1200,)]


def test_parquet_stays_where_it_is_and_is_read_in_place(opened: Opened, shared_data: SharedData) -> None:
    source = shared_data("houses") / "houses.parquet"
    report = add_parquet(
        opened.database, opened.media, source, media="image", label="room", sample_id="id", progress=False
    )
    assert report.added == 2140 and report.problems == 0
    assert opened.sql("SELECT count(*) FROM data.blob") == [(0,)]
    kinds = opened.database.columns()
    assert kinds["price_usd"] == "BIGINT" and kinds["bathrooms"] == "DOUBLE" and kinds["zipcode"] == "VARCHAR"
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    for row in (0, 600, 2139):
        sample_id, image = table["id"][row].as_py(), table["image"][row].as_py()
        (ref,) = opened.sql(f"SELECT media FROM data.sample WHERE sample_id = '{sample_id}'")[0]
        assert opened.media.read(ref) == image
    assert opened.folder.joinpath("pets.duckdb").stat().st_size < source.stat().st_size


def test_photos_come_in_with_sizes_and_numbers_that_agree_with_numpy(opened: Opened, shared_data: SharedData) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data("clothing") / "clothing.parquet").slice(0, 300)
    report = add_frame(
        opened.database, opened.media, table, media="image", label="label", sample_id="id", progress=False
    )
    assert report.added == 300
    for sample_id, width, height, size, brightness, contrast, red in opened.sql(
        "SELECT sample_id, width_px, height_px, bytes, brightness, contrast, mean_red FROM data.sample LIMIT 40"
    ):
        data = table["image"][table["id"].to_pylist().index(sample_id)].as_py()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        luma = np.asarray(image.convert("L")) / 255
        assert (width, height, size) == (*image.size, len(data))
        assert brightness == pytest.approx(luma.mean(), abs=0.01)
        assert contrast == pytest.approx(luma.std(), abs=0.03)
        assert red == pytest.approx(np.asarray(image)[..., 0].mean() / 255, abs=0.01)


# Frames --------------------------------------------------------------------------------------------------------------


def frames() -> dict[str, Callable[[list[dict[str, Any]]], Any]]:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    def relation(rows: list[dict[str, Any]]) -> Any:
        table = pa.Table.from_pylist(rows)
        return duckdb.connect().from_arrow(table)

    return {
        "pandas": pd.DataFrame,
        "polars": pl.DataFrame,
        "polars lazy": lambda rows: pl.DataFrame(rows).lazy(),
        "arrow table": pa.Table.from_pylist,
        "arrow reader": lambda rows: pa.Table.from_pylist(rows).to_reader(),
        "duckdb relation": relation,
        "rows": lambda rows: rows,
        "columns": lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    }


@pytest.mark.parametrize("kind", list(frames()))
def test_a_frame_of_any_kind_gives_samples_with_typed_columns(opened: Opened, kind: str) -> None:
    make_folder(opened.folder / "pictures")
    rows = [
        {
            "file": f"cat/{n}.png",
            "species": n,
            "price": n / 2,
            "ok": n > 2,
            "name": f"n{n}",
            "when": np.datetime64("2024-01-02T03:04:05", "us").item(),
        }
        for n in (1, 3, 5)
    ]
    frame = frames()[kind](rows)
    report = add_frame(
        opened.database,
        opened.media,
        frame,
        media="file",
        label="species",
        root=opened.folder / "pictures",
        progress=False,
    )
    assert report.added == 3
    columns = opened.database.columns()
    assert {name: columns[name] for name in ("price", "ok", "name")} == {
        "price": "DOUBLE",
        "ok": "BOOLEAN",
        "name": "VARCHAR",
    }
    assert columns["when"].startswith("TIMESTAMP")
    got = opened.sql("SELECT sample_id, media, label, price, ok, name FROM data.sample ORDER BY sample_no")
    assert got[0] == ("cat/1.png", "pictures/cat/1.png", "1", 0.5, False, "n1")
    assert opened.sql('SELECT year("when") FROM data.sample LIMIT 1') == [(2024,)]


def test_missing_values_are_null_and_whole_numbers_keep_no_comma(opened: Opened) -> None:
    import pandas as pd

    frame = pd.DataFrame({"image": [png(1), png(2), png(3)], "label": [7, None, 3], "score": [0.5, float("nan"), 1.0]})
    add_frame(opened.database, opened.media, frame, media="image", progress=False)
    assert opened.sql("SELECT label, score FROM data.sample ORDER BY sample_no") == [
        ("7", 0.5),
        (None, None),
        ("3", 1.0),
    ]


def test_bytes_dicts_and_arrays_in_a_column_are_kept_in_the_session(opened: Opened) -> None:
    make_folder(opened.folder)
    rows = [
        {"image": png(10)},
        {"image": {"bytes": png(20), "path": "x.png"}},
        {"image": {"bytes": None, "path": str(opened.folder / "cat" / "1.png")}},
        {"image": np.full((8, 8), 30, np.uint8)},
        {"image": Image.new("RGB", (8, 8), (40, 40, 40))},
        {"image": opened.folder / "dog" / "0.png"},
    ]
    report = add_frame(opened.database, opened.media, rows, media="image", progress=False)
    assert report.added == 6, opened.sql("SELECT * FROM data.problem")
    refs = [ref for (ref,) in opened.sql("SELECT media FROM data.sample ORDER BY sample_no")]
    means = [
        round(float(np.asarray(Image.open(io.BytesIO(opened.media.read(ref))).convert("L")).mean())) for ref in refs
    ]
    assert means == [10, 20, 1, 30, 40, 0]
    assert [ref.partition(":")[0] for ref in refs] == ["blob", "blob", "cat/1.png", "blob", "blob", "dog/0.png"]


def test_equal_pictures_in_one_frame_are_samples_of_their_own_and_stored_once(opened: Opened) -> None:
    rows = [{"image": png(1), "who": n} for n in range(3)]
    assert add_frame(opened.database, opened.media, rows, media="image", progress=False).added == 3
    assert add_frame(opened.database, opened.media, rows, media="image", progress=False).skipped == 3
    assert opened.sql("SELECT count(*) FROM data.blob") == [(1,)]


def test_a_wrong_column_name_answers_with_the_closest_one(opened: Opened) -> None:
    with pytest.raises(ImportProblem, match=r"no column 'imag'.*Did you mean image\?"):
        add_frame(opened.database, opened.media, [{"image": png()}], media="imag", progress=False)
    with pytest.raises(ImportProblem, match=r"no column 'specis'.*species"):
        add_frame(
            opened.database,
            opened.media,
            [{"image": png(), "species": 1}],
            media="image",
            label="specis",
            progress=False,
        )


def test_columns_with_reserved_names_do_not_overwrite_what_the_session_knows(opened: Opened) -> None:
    rows = [{"image": png(200), "brightness": 7, "format": "film", "excluded": "yes"}]
    with pytest.warns(UserWarning, match="kept as"):
        add_frame(opened.database, opened.media, rows, media="image", progress=False)
    assert opened.sql("SELECT brightness, brightness_2, format, format_2, excluded FROM data.sample") == [
        (pytest.approx(200 / 255), 7, "PNG", "film", False)
    ]


def test_bad_cells_are_listed_and_the_rest_comes_in(opened: Opened) -> None:
    rows = [
        {"path": None},
        {"path": ""},
        {"path": 7},
        {"path": "not/there.png"},
        {"path": "a\0b"},
        {"path": str(opened.folder / "good.png")},
    ]
    (opened.folder / "good.png").write_bytes(png())
    report = add_frame(opened.database, opened.media, rows, progress=False)
    assert (report.added, report.problems) == (1, 5)
    codes = sorted(code for (code,) in opened.sql("SELECT code FROM data.problem"))
    assert codes == ["missing", "missing", "missing", "missing", "unsupported"]


class Handler(http.server.BaseHTTPRequestHandler):
    failures = 1

    def do_GET(self) -> None:
        if self.path == "/flaky.png" and Handler.failures:
            Handler.failures -= 1
            self.send_error(503)
        elif self.path.endswith(".png") and "gone" not in self.path:
            data = png(len(self.path))
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_addresses_are_fetched_again_after_a_failure_and_stay_addresses(opened: Opened) -> None:
    import fsspec

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    with fsspec.open("memory://bucket/a.png", "wb") as file:
        file.write(png(99))
    (opened.folder / "local.png").write_bytes(png(1))
    urls = [
        f"{base}/a.png",
        f"{base}/flaky.png",
        f"{base}/gone.png",
        "memory://bucket/a.png",
        (opened.folder / "local.png").as_uri(),
    ]
    try:
        report = add_frame(opened.database, opened.media, [{"path": url} for url in urls], progress=False)
        assert (report.added, report.problems) == (4, 1), opened.sql("SELECT * FROM data.problem")
        refs = [ref for (ref,) in opened.sql("SELECT media FROM data.sample ORDER BY sample_no")]
        assert refs == [urls[0], urls[1], urls[3], "local.png"]
        assert all(isinstance(data, bytes) for data in Media(opened.database).read_many(refs))
        assert opened.sql("SELECT code FROM data.problem") == [("missing",)]
    finally:
        server.shutdown()
        server.server_close()


# Arrays --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 9, 7), (5, 9, 7, 1), (5, 9, 7, 3), (5, 9, 7, 4)])
def test_arrays_of_every_shape_come_back_pixel_by_pixel(opened: Opened, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    report = add_arrays(opened.database, opened.media, images, label=list("abcde"), fold=np.arange(5), progress=False)
    assert report.added == 5
    ids = [one for (one,) in opened.sql("SELECT sample_id FROM data.sample ORDER BY sample_no")]
    assert all((opened.pixels(one) == image.squeeze()).all() for one, image in zip(ids, images, strict=True))
    assert opened.sql("SELECT label, fold FROM data.sample WHERE label = 'c'") == [("c", 2)]
    assert add_arrays(opened.database, opened.media, images, progress=False).skipped == 5
    assert add_arrays(opened.database, opened.media, images[::-1], progress=False).added == 5


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (np.zeros((2, 8, 8)), r"\(images \* 255\)"),
        (np.full((2, 8, 8), 16.0), "255 / 16"),
        (np.zeros((2, 8, 8), bool), "astype"),
        (np.zeros((2, 3, 8, 8), np.uint8), "transpose"),
        (np.zeros((8, 8), np.uint8), "N x H x W"),
        ([np.zeros((8, 8)), np.zeros((9, 9))], "add_frame"),
    ],
)
def test_arrays_of_another_kind_are_refused_with_what_to_type(opened: Opened, images: Any, hint: str) -> None:
    with pytest.raises(ImportProblem, match=hint):
        add_arrays(opened.database, opened.media, images, progress=False)
    assert opened.sql("SELECT count(*) FROM data.sample") == [(0,)]


def test_a_column_of_another_length_is_refused(opened: Opened) -> None:
    with pytest.raises(ImportProblem, match="fold has 3 values for 2 images"):
        add_arrays(opened.database, opened.media, np.zeros((2, 4, 4), np.uint8), fold=[1, 2, 3], progress=False)


# Folders and conflicts -----------------------------------------------------------------------------------------------


def test_an_empty_folder_says_that_there_are_no_pictures(opened: Opened) -> None:
    (opened.folder / "nothing").mkdir()
    report = add_folder(opened.database, opened.media, opened.folder / "nothing", progress=False)
    assert report.added == 0 and "no pictures" in repr(report)
    with pytest.raises(ImportProblem, match="does not exist"):
        add_folder(opened.database, opened.media, opened.folder / "nowhere", progress=False)


def test_ids_of_a_folder_can_be_names_stems_or_what_a_function_says(opened: Opened) -> None:
    root = make_folder(opened.folder / "pictures", 2)
    chosen: Any
    for chosen, expected in (("name", "0.png"), ("stem", "0"), (lambda inside: inside.upper(), "DOG/0.PNG")):
        add_folder(opened.database, opened.media, root, sample_id=chosen, progress=False)
        assert opened.sql(f"SELECT count(*) FROM data.sample WHERE sample_id = '{expected}'") == [(1,)]
    with pytest.raises(ImportProblem, match="'stem'"):
        add_folder(opened.database, opened.media, root, sample_id="id", progress=False)  # type: ignore[arg-type]


def test_skip_leaves_replace_renews_and_error_changes_nothing_at_all(opened: Opened) -> None:
    root = make_folder(opened.folder / "pictures")
    add_folder(opened.database, opened.media, root, progress=False)
    before = opened.sql("SELECT * FROM data.sample ORDER BY sample_no")
    (root / "cat" / "1.png").write_bytes(png(250))
    (root / "cat" / "77.png").write_bytes(png(77))
    with pytest.raises(ImportProblem, match="nothing was changed"):
        add_folder(opened.database, opened.media, root, on_conflict="error", progress=False)
    assert opened.sql("SELECT * FROM data.sample ORDER BY sample_no") == before
    with opened.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET label = 'given by a person' WHERE sample_id = 'cat/3.png'")
    report = add_folder(opened.database, opened.media, root, label=None, on_conflict="replace", progress=False)
    assert (report.added, report.replaced, report.skipped) == (1, 6, 0)
    assert opened.sql("SELECT sample_id FROM data.sample WHERE media_revision = 2") == [("cat/1.png",)]
    assert opened.sql("SELECT brightness FROM data.sample WHERE sample_id = 'cat/1.png'") == [
        (pytest.approx(250 / 255),)
    ]
    assert opened.sql("SELECT label FROM data.sample WHERE sample_id = 'cat/3.png'") == [("given by a person",)]
    assert [row[0] for row in opened.sql("SELECT sample_no FROM data.sample ORDER BY 1")] == list(range(7))


def test_an_id_that_comes_twice_in_one_import(opened: Opened) -> None:
    rows = [{"image": png(n), "name": "same", "n": n} for n in (1, 2, 3)]
    with pytest.raises(ImportProblem, match="earlier record of the same import"):
        add_frame(
            opened.database, opened.media, rows, media="image", sample_id="name", on_conflict="error", progress=False
        )
    assert opened.sql("SELECT count(*) FROM data.sample") == [(0,)]
    report = add_frame(opened.database, opened.media, rows, media="image", sample_id="name", progress=False)
    assert (report.added, report.skipped) == (1, 2) and opened.sql("SELECT n FROM data.sample") == [(1,)]
    report = add_frame(
        opened.database, opened.media, rows, media="image", sample_id="name", on_conflict="replace", progress=False
    )
    assert report.added == 0 and report.replaced >= 1 and opened.sql("SELECT n FROM data.sample") == [(3,)]


def test_a_second_folder_with_the_same_names_is_not_lost_silently(opened: Opened) -> None:
    add_folder(opened.database, opened.media, make_folder(opened.folder / "train"), progress=False)
    report = add_folder(opened.database, opened.media, make_folder(opened.folder / "val", start=50), progress=False)
    assert report.skipped == 6 and "prefix='val/'" in repr(report)
    report = add_folder(
        opened.database, opened.media, opened.folder / "val", prefix="val/", split="val", progress=False
    )
    assert report.added == 6
    assert opened.sql("SELECT count(*) FROM data.sample WHERE split = 'val'") == [(6,)]
