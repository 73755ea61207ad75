"""Samples that have no picture, by the million; and maps of places that somebody already has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import dataide as di
from dataide.core.codes import Codes
from dataide.core.points import Places
from dataide.errors import DataideError, ImportProblem, UnknownColumn, UnknownSample
from dataide.storage import bulk
from dataide.widgets.answers import pages
from dataide.widgets.workspace import Workspace


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[di.Session]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with di.open(tmp_path / "s.duckdb") as opened:
        yield opened


def frame(count: int, start: int = 0) -> dict[str, Any]:
    n = np.arange(start, start + count)
    return {"n": n, "label": [f"k{i % 3}" for i in n], "when": n.astype("datetime64[us]"), "x": n / 2}


@pytest.mark.parametrize("rows", [7, 491_520])
@pytest.mark.parametrize("kind", ["dict", "pandas", "polars", "arrow", "stream", "list"])
def test_rows_of_any_frame_are_samples_once(
    session: di.Session, monkeypatch: pytest.MonkeyPatch, kind: str, rows: int
) -> None:
    monkeypatch.setattr(bulk, "ROWS", rows)
    table = pa.table(frame(40))
    source = {
        "dict": lambda: frame(40),
        "pandas": lambda: pd.DataFrame(frame(40)),
        "polars": lambda: pytest.importorskip("polars").DataFrame(frame(40)),
        "arrow": lambda: table,
        "stream": lambda: pa.Table.from_batches(table.to_batches(max_chunksize=3)).to_reader(),
        "list": lambda: table.to_pylist(),
    }[kind]
    report = session.add_frame(source(), media=None, progress=False)
    assert (report.added, report.skipped, report.problems) == (40, 0, 0)
    again = session.add_frame(source(), media=None, progress=False)
    assert (again.added, again.skipped) == (0, 40)
    other = session.add_frame(frame(5, start=100), media=None, progress=False)
    assert other.added == 5
    seen = session.to_pandas()
    assert seen["n"].tolist() == [*range(40), *range(100, 105)] and seen["sample_id"].is_unique
    assert seen["label"].tolist()[:4] == ["k0", "k1", "k2", "k0"] and (seen["media"] == "").all()
    assert session.columns["when"] == "TIMESTAMP" and session.columns["x"] == "DOUBLE"
    assert session.problems().empty and session.where(label="k1").tag("t").count == 15


def test_ids_that_are_given_are_kept_and_those_that_are_there_are_counted(session: di.Session) -> None:
    report = session.add_frame({"id": [1, 2, 2, 3], "v": [10, 20, 21, 30]}, media=None, sample_id="id", progress=False)
    assert (report.added, report.skipped) == (3, 1)
    assert dict(session.sql("SELECT sample_id, v FROM sample").fetchall()) == {"1": 10, "2": 20, "3": 30}
    later = {"id": [3, 4, 4, 2], "v": [31, 40, 41, 22], "w": ["a", "b", "c", "d"]}
    with pytest.raises(ImportProblem, match="'3' is taken by a sample that is here"):
        session.add_frame(later, media=None, sample_id="id", on_conflict="error", progress=False)
    assert len(session) == 3 and "w" not in session.columns
    session.where(sample_id="2").relabel("mine")
    report = session.add_frame(later, media=None, sample_id="id", on_conflict="replace", progress=False)
    assert (report.added, report.replaced, report.skipped) == (1, 2, 1)
    assert session.sql("SELECT sample_id, v, w, label FROM sample ORDER BY sample_id").fetchall() == [
        ("1", 10, None, None),
        ("2", 22, "d", "mine"),
        ("3", 31, "a", None),
        ("4", 41, "c", None),
    ]
    gaps = session.add_frame({"sample_id": ["a", None, None], "v": [1, 2, 2]}, media=None, progress=False)
    assert gaps.added == 3


def test_all_rows_come_in_or_none(session: di.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "ROWS", 10)

    def stream() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch(pa.table(frame(25)).to_batches()[0])
        raise OSError("the disk is gone")

    schema = pa.table(frame(1)).schema
    with pytest.raises(OSError, match="disk is gone"):
        session.add_frame(pa.RecordBatchReader.from_batches(schema, stream()), media=None, progress=False)
    assert len(session) == 0 and session.context.database.sample_count == 0
    assert session.add_frame(frame(25), media=None, progress=False).added == 25


def test_no_picture_is_no_problem(session: di.Session) -> None:
    session.add_frame(frame(3), media=None, progress=False)
    session.add_arrays(np.zeros((1, 8, 8), np.uint8), progress=False)
    thumbs = session.context.thumbnails.get(range(4), 64)
    assert [one.problem for one in thumbs] == ["No picture."] * 3 + [None]
    assert session.context.thumbnails.full(0, 256).problem == "No picture."
    report: Any = session.embed(progress=False)
    assert (report.embedded, report.problems) == (1, 0)
    with pytest.raises(DataideError, match=r"None of these samples has a picture.*add_projection"):
        session.where(label=["k0", "k1"]).embed(progress=False)
    assert session.problems().empty


# Places of one's own -------------------------------------------------------------------------------------------


def places(session: di.Session, name: str = "mine") -> dict[str, tuple[float, float]]:
    rows = session.sql("SELECT sample_id, x, y FROM point WHERE projection = ?", [name]).fetchall()
    return {sample_id: (x, y) for sample_id, x, y in rows}


@pytest.fixture
def four(session: di.Session) -> di.Session:
    values = {"sample_id": list("abcd"), "u": [0.0, 1.5, np.nan, 1e300], "v": [1, 2, 3, 4], "text": list("wxyz")}
    session.add_frame(pa.table(values), media=None, progress=False)
    return session


def test_two_columns_are_a_map(four: di.Session) -> None:
    report = four.add_projection("mine", x="u", y="v")
    assert (report.placed, report.without_place, report.replaced) == (2, 2, False)
    assert places(four) == {"a": (0, 1), "b": (1.5, 2)} and four.projections == ["mine"]
    (known,) = Places(four.context.database, Codes(four.context.database)).projections()
    assert (known.name, known.method, known.embedding, known.count, known.stale) == ("mine", "given", "", 2, 2)
    assert four.inside([(-1, 0), (1, 0), (1, 3), (-1, 3)]).ids() == ["a"]
    again = four.add_projection("mine", x="v", y="V")
    assert again.replaced and again.placed == 4 and len(places(four)) == 4 and four.projections == ["mine"]


def test_arrays_are_a_map_of_all_of_some_and_of_a_view(four: di.Session) -> None:
    assert four.add_projection("mine", [1, 2, 3, np.inf], np.array([1, 2, 3, 4], np.float32)).placed == 3
    assert four.add_projection("mine", [5, 6], [7, 8], sample_id=["d", "b"]).without_place == 2
    assert places(four) == {"d": (5, 7), "b": (6, 8)}
    view = four.order_by("-v").take(2)
    four.add_projection("mine", [1, 2], np.array([3, np.nan]), view=view)
    assert places(four) == {"d": (1, 3)}
    four.where(sample_id="a").exclude()
    assert four.add_projection("mine", [1, 2, 3], [1, 2, 3]).placed == 3 and "a" not in places(four)


def test_maps_of_vectors_go_on_beside_a_map_of_ones_own(session: di.Session) -> None:
    random = np.random.default_rng(0)
    session.add_arrays(random.integers(0, 255, (20, 8, 8), dtype=np.uint8), weight=list(range(20)), progress=False)
    session.add_projection("mine", x="weight", y="brightness")
    session.embed(progress=False)
    session.project("pca", progress=False)
    session.project("pca", refit=True, progress=False)
    assert sorted(session.projections) == ["auto/pca", "mine"] and len(places(session)) == 20
    # A name that was given and is computed now is a computed one.
    session.project("pca", name="mine", progress=False)
    assert places(session) == places(session, "auto/pca")


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "said"),
    [
        ("u", [1, 2, 3, 4], {}, ImportProblem, "either two columns or two arrays"),
        ("u", "text", {}, ImportProblem, "VARCHAR"),
        ("u", "nope", {}, UnknownColumn, "nope"),
        ([1, 2], [1, 2], {}, ImportProblem, "2 values for 4 samples"),
        ([1, 2], [1, 2], {"sample_id": ["a", "z"]}, UnknownSample, "'z'"),
        ([1, 2], [1, 2], {"sample_id": ["a", "a"]}, ImportProblem, "twice"),
        (np.zeros((4, 2)), np.zeros(4), {}, ImportProblem, "4 x 2"),
        (list("abcd"), [1, 2, 3, 4], {}, ImportProblem, "numbers"),
        ("u", "v", {"sample_id": ["a"]}, ImportProblem, "sample_id"),
    ],
)
def test_what_is_no_place_changes_nothing(
    four: di.Session, x: Any, y: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    four.add_projection("mine", x="v", y="v")
    before, revision = places(four), four.context.database.revision
    with pytest.raises(error, match=said):
        four.add_projection("mine", x, y, **options)
    assert places(four) == before and four.context.database.revision == revision


def test_a_map_where_nobody_has_a_place_is_empty(four: di.Session) -> None:
    assert four.add_projection("mine", [np.nan] * 4, [1, 2, 3, 4]).placed == 0
    assert four.inside([(0, 0), (1, 0), (1, 1)]).ids() == []


def test_a_tile_without_a_picture_says_so_and_nobody_has_a_problem(
    session: di.Session, caplog: pytest.LogCaptureFixture
) -> None:
    session.add_frame(frame(12), media=None, progress=False)
    workspace = Workspace.of(session.context)
    ask = {"offset": 0, "limit": 12, "thumbs": True, "px": 64, "caption": None}
    for group in (None, "label"):
        workspace.orders.set_group(group)
        page = pages.page(workspace, ask)  # type: ignore[arg-type]
        assert page.body["thumbs"]["problems"] == ["No picture."] * 12 and bytes(page.buffers[0]) == b""
    assert session.context.thumbnails.full(3, 512).problem == "No picture."
    assert session.problems().empty and not caplog.records
