"""Similar to these and unlike those: in Python, in a panel by gestures, and through an approximate index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ActionError, MediaError, ModelError, StaleOrder, UnknownSample
from dataide.storage import vectors
from dataide.storage.database import Database
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.dialogue import Reply
from dataide.widgets.workspace import Workspace

from .small_session import small_session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[di.Session]:
    with small_session(tmp_path) as made:
        yield made


def ask(session: di.Session, op: str, **body: Any) -> Any:
    answer = OPERATIONS[op](Workspace.of(session.context), body)
    assert isinstance(answer, Reply)
    return answer.body


def unit(session: di.Session) -> np.ndarray:
    rows = session.vectors("auto").to_numpy().astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def samples(*nos: int) -> dict[str, Any]:
    return {"type": "samples", "nos": list(nos)}


# In Python ------------------------------------------------------------------------------------------------------------


def test_likes_and_unlikes_go_into_one_direction(session: di.Session) -> None:
    rows = unit(session)
    query = rows[[1, 2]].mean(axis=0) - 0.5 * rows[[7, 8]].mean(axis=0)
    expected = rows @ (query / np.linalg.norm(query))
    expected[[1, 2, 7, 8]] = -2
    found = session.similar(["s001", "s002"], 10, unlike=session.where("sample_id in ('s007', 's008')"))
    order = np.argsort(-expected)[:10]
    assert found.ids() == [f"s{no:03}" for no in order]
    np.testing.assert_allclose(found.to_pandas()["similarity"], expected[order], atol=1e-6)
    assert "similar to s001, s002, unlike 2 samples" in repr(found)
    assert len(found.where("similarity > 0.0")) == int((expected[order] > 0).sum())


def test_what_is_unlike_moves_back(session: di.Session) -> None:
    plain = session.similar("s003", None).ids()
    pushed = session.similar("s003", None, unlike=plain[0])
    assert plain[0] not in pushed.ids()
    near = session.similar(plain[0], 5).ids()
    after = pushed.ids()
    assert np.mean([after.index(one) for one in near if one in after]) > np.mean(
        [plain.index(one) for one in near if one in after]
    )


def test_a_region_is_cut_out_and_embedded_with_the_same_model(session: di.Session) -> None:
    whole = session.similar("s005", 1, box=(0, 0, 8, 8))
    assert whole.ids() == ["s005"]  # the whole picture is most like itself; a region is no sample
    assert whole.to_pandas()["similarity"][0] == pytest.approx(1, abs=1e-5)
    part = session.similar("s005", 3, box=(0, 0, 4, 4))
    assert len(part) == 3 and "(0, 0, 4 x 4 px)" in repr(part)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((), {}, ActionError, "takes a sample"),
        (([],), {}, ActionError, "nothing to be similar to"),
        (("s001",), {"unlike": "s001"}, None, ""),
        (("s001",), {"box": (0, 0, 0, 3)}, ActionError, "no area"),
        (("s001",), {"box": (90, 90, 3, 3)}, ActionError, "outside of its picture"),
        (("s001",), {"box": (1, 2, 3)}, ActionError, "four numbers"),
        (("nobody",), {"box": (0, 0, 3, 3)}, UnknownSample, "no sample 'nobody'"),
        ((["s001", "s002"],), {"box": (0, 0, 3, 3)}, ActionError, "one sample's picture"),
        ((["s001", "nobody"],), {}, UnknownSample, "nobody"),
        (("s001",), {"exact": False}, ModelError, "no index"),
    ],
)
def test_what_cannot_be_asked_is_said(
    session: di.Session, arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception] | None, said: str
) -> None:
    if error is None:  # half of it remains: the direction is the same, and the sample is no find
        assert session.similar(*arguments, **options).ids() == session.similar("s001").ids()
        return
    with pytest.raises(error, match=said):
        session.similar(*arguments, **options)


def test_a_picture_that_is_gone_is_said(tmp_path: Path) -> None:
    for no in range(3):
        Image.new("RGB", (8, 8), (40 * no, 90, 200)).save(tmp_path / f"{no}.png")
    with di.open(tmp_path / "gone.duckdb") as session:
        session.add_folder(tmp_path, progress=False)
        session.embed(progress=False)
        (tmp_path / "1.png").unlink()
        with pytest.raises(MediaError, match=r"1[.]png"):
            session.similar("1.png", box=(0, 0, 2, 2))


# By gestures ----------------------------------------------------------------------------------------------------------


def test_likes_and_unlikes_are_built_one_after_the_other(session: di.Session) -> None:
    first = ask(session, "similar", target=samples(3))
    token = first["sort"]["token"]
    assert ask(session, "ranked", token=token, threshold=None)["like"] == 1
    more = ask(session, "similar", target=samples(4, 5), mode="like")["sort"]
    less = ask(session, "similar", target=samples(9), mode="unlike")["sort"]
    assert (more["label"], less["label"]) == ("3 samples", "3 samples, unlike s009")
    ranked = ask(session, "ranked", token=less["token"], threshold=None)
    assert (ranked["like"], ranked["unlike"], ranked["total"]) == (3, 1, 40)
    rows = unit(session)
    query = rows[[3, 4, 5]].mean(axis=0) - 0.5 * rows[9]
    expected = rows @ (query / np.linalg.norm(query))
    page = ask(session, "page", offset=0, limit=40, thumbs=False, px=64, caption=None)
    assert page["nos"] == np.argsort(-expected, kind="stable").tolist()
    assert page["captions"][0] == f"{expected.max():.3f}"
    with_column = ask(session, "page", offset=0, limit=40, thumbs=False, px=64, caption="label")
    assert with_column["captions"][0].endswith(f" · {expected.max():.3f}") or page["nos"][0] % 4 == 3
    # What was wanted and then is not, changes sides.
    turned = ask(session, "similar", target=samples(4), mode="unlike")["sort"]
    ranked = ask(session, "ranked", token=turned["token"], threshold=None)
    assert (ranked["like"], ranked["unlike"]) == (2, 2)


def test_the_handle_begins_where_there_is_something_to_look_at(session: di.Session) -> None:
    for mode, no in (("replace", 3), ("unlike", 9), ("like", 17)):
        sort = ask(session, "similar", target=samples(no), mode=mode)["sort"]
        began = ask(session, "ranked", token=sort["token"], threshold=None)
        assert began["above"] >= 24 + began["like"], "an example is as like itself as nothing else is"
        assert began["threshold"] == pytest.approx(round(began["threshold"], 3), abs=1e-9)


def test_the_histogram_counts_what_passes_and_above_is_selected_in_the_kernel(session: di.Session) -> None:
    token = ask(session, "similar", target=samples(3))["sort"]["token"]
    everything = ask(session, "ranked", token=token, threshold=0.5)
    cosines = unit(session) @ unit(session)[3]
    assert sum(everything["counts"]) == everything["total"] == 40
    assert everything["above"] == int((cosines >= 0.5).sum())
    assert everything["high"] == pytest.approx(1, abs=1e-5) and everything["low"] == pytest.approx(
        cosines.min(), abs=1e-5
    )
    clause = {"type": "in", "column": "label", "values": ["cat"]}
    ask(session, "filter", source="facet:label", clause=clause)
    cats = ask(session, "ranked", token=token, threshold=0.5)
    passing = np.arange(40) % 4 == 0
    assert cats["total"] == 10 and cats["above"] == int((cosines[passing] >= 0.5).sum())
    shape = {"type": "above", "token": token, "threshold": float(np.median(cosines[passing]))}
    chosen = ask(session, "select", shape=shape, mode="replace", source="grid")
    assert chosen["count"] == 5 == len(session.selection)
    assert set(session.selection.nos() % 4) == {0}


def test_a_region_of_the_inspector_and_an_object_are_examples_too(session: di.Session) -> None:
    session.add_objects([{"sample_id": "s006", "object_id": "o", "label": "x", "bbox": [0, 0, 8, 8]}], progress=False)
    region = ask(session, "similar", target={"type": "region", "no": 6, "box": [0, 0, 1, 1]})
    assert region["sort"]["label"].startswith("a region of s006 (0, 0, 8 x 8 px)")
    first = ask(session, "page", offset=0, limit=1, thumbs=False, px=64, caption=None)
    assert first["ids"] == ["s006"] and first["captions"] == ["1.000"]
    of_object = ask(session, "similar", target={"type": "object", "no": 0})
    assert ask(session, "page", offset=0, limit=1, thumbs=False, px=64, caption=None)["ids"] == ["s006"]
    both = ask(session, "similar", target=samples(1), mode="like")["sort"]
    assert both["label"].startswith("s001 and a region of s006")
    assert ask(session, "ranked", token=of_object["sort"]["token"], threshold=0.0)["like"] == 1
    with pytest.raises(UnknownSample):
        ask(session, "similar", target={"type": "object", "no": 77})
    with pytest.raises(ActionError):
        ask(session, "similar", target={"type": "region", "no": 6, "box": [0.5, 0.5, 0, 0.1]})


def test_what_is_gone_or_makes_no_sense_is_said(session: di.Session) -> None:
    with pytest.raises(ActionError, match="not sorted by similarity"):
        ask(session, "similar", target=samples(3), mode="unlike")
    first = ask(session, "similar", target=samples(3), mode="like")["sort"]  # nothing yet to add to: a new search
    with pytest.raises(ActionError, match="nothing would be left"):
        ask(session, "similar", target=samples(3), mode="unlike")
    with pytest.raises(ActionError, match="Nothing is selected"):
        ask(session, "similar", target={"type": "selection"})
    for no in range(4, 10):
        ask(session, "similar", target=samples(no))
    with pytest.raises(StaleOrder):
        ask(session, "ranked", token=first["token"], threshold=None)
    with pytest.raises(StaleOrder):
        shape = {"type": "above", "token": first["token"], "threshold": 0.1}
        ask(session, "select", shape=shape, mode="replace", source="grid")


# The index ------------------------------------------------------------------------------------------------------------


INDEXED = 60_000  # `python -m benchmarks vectors` builds one of 200,000


def made_up(database: Database, count: int, dimension: int, seed: int, first: int = 0) -> np.ndarray:
    """Vectors as networks make them: many loose clumps in few directions, and noise in all."""
    rng = np.random.default_rng(0)
    axes, middles = rng.standard_normal((16, dimension)), rng.standard_normal((500, 16))
    rng = np.random.default_rng(seed)
    around = middles[rng.integers(0, 500, count)] + 0.5 * rng.standard_normal((count, 16))
    rows = (around @ axes + 0.3 * rng.standard_normal((count, dimension))).astype(np.float32)
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) SELECT i + ?, 's' || (i + ?), '', "
            "now()::TIMESTAMP FROM range(?) t(i)",
            [first, first, count],
        )
        known = vectors.embedding(database, "made")
        if known is None:
            known = vectors.create(cursor, "made", "made/1", dimension)
            database.rebuild_views(cursor)
        vectors.store(cursor, known, np.arange(first, first + count), np.ones(count), rows)
    return rows


def recall(session: di.Session, queries: list[str]) -> float:
    shares = []
    for one in queries:
        exact = set(session.similar(one, 100).ids())
        shares.append(len(exact & set(session.similar(one, 100, exact=False).ids())) / 100)
    return float(np.mean(shares))


@pytest.mark.once
def test_an_index_finds_what_an_exact_search_finds(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    with di.open(tmp_path / "made.duckdb") as session:
        made_up(session.context.database, INDEXED, 48, seed=1)
        report: Any = session.index()
        assert report.count == INDEXED and report.recall >= 0.95 and report.queries >= 20
        assert f"{report.recall:.1%}" in repr(report)
        queries = [f"s{no}" for no in np.random.default_rng(5).integers(0, INDEXED, 20)]
        assert recall(session, queries) >= 0.95
        found = session.similar("s17", 50, exact=False).to_pandas()
        true = session.similar("s17", 200).to_pandas().set_index("sample_id")["similarity"]
        common = [one for one in found["sample_id"] if one in true.index]
        assert len(common) >= 45
        np.testing.assert_array_equal(found.set_index("sample_id")["similarity"][common], true[common])
    with di.open(tmp_path / "made.duckdb") as again:  # it is kept, and read from the cache
        assert recall(again, queries[:3]) >= 0.9


def test_what_came_later_is_found_as_well_and_too_much_of_it_asks_for_a_new_index(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    with di.open(tmp_path / "made.duckdb") as session:
        database = session.context.database
        made_up(database, 20_000, 24, seed=1)
        session.index()
        rows = made_up(database, 50, 24, seed=2, first=20_000)
        found = session.similar(session.where(sample_id=["s20000"]), 10, exact=False)
        assert found.ids() == session.similar(session.where(sample_id=["s20000"]), 10).ids()
        one = session.where("sample_id in ('s20003', 's20004', 's7')").similar("s20003", 2, exact=False)
        assert set(one.ids()) == {"s20004", "s7"}  # few may come: searched exactly
        assert len(rows) == 50
        made_up(database, 4_000, 24, seed=3, first=20_050)
        with pytest.raises(ModelError, match="came or changed"):
            session.similar("s5", 10, exact=False)
        assert len(session.similar("s5", 10)) == 10
        session.index()
        assert recall(session, ["s5", "s23000"]) >= 0.9


def test_an_index_that_is_damaged_or_of_nothing_is_no_index(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    with di.open(tmp_path / "made.duckdb") as session:
        with pytest.raises(di.DataideError):
            session.index()
        made_up(session.context.database, 2_000, 8, seed=1)
        session.index("made")
        place = session.context.database.cache_dir / "index"
        session.close()
    for path in place.glob("*.usearch"):
        path.write_bytes(b"nothing of the kind")
    with di.open(tmp_path / "made.duckdb") as session, pytest.raises(ModelError, match="no index"):
        session.similar("s5", 10, exact=False)
