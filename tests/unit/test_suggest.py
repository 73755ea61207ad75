"""What to label next, through a session: `view.rank` and `session.suggest` on real vectors, and what may be missing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataide as di
from dataide.api import Session
from dataide.errors import ActionError, DataideError, ModelError, UnknownRun
from dataide.find.asking import Suggested
from dataide.inference.job import Job
from dataide.storage import arrow_arrays, runs, vectors

Find = Callable[[str], Path]
COUNT, LABELLED, COPIES = 3_000, 400, 300


def fill(session: Session, rows: np.ndarray, labels: Sequence[str | None], sites: Sequence[str | None]) -> None:
    """Samples s0 … without pictures, with vectors, labels and a column `site`."""
    database = session.context.database
    with database.write() as cursor:
        database.ensure_columns(cursor, {"site": "VARCHAR"})
        cursor.executemany(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, site, added_at) "
            "VALUES (?, ?, '', ?, ?, now()::TIMESTAMP)",
            [(no, f"s{no}", label, site) for no, (label, site) in enumerate(zip(labels, sites, strict=True))],
        )
        if len(rows):
            known = vectors.create(cursor, "mine", "toy/1", rows.shape[1])
            cursor.execute("SELECT media_revision FROM data.sample ORDER BY sample_no")
            revisions = np.array([row[0] for row in cursor.fetchall()])
            vectors.store(cursor, known, np.arange(len(rows)), revisions[: len(rows)], rows)
        database.rebuild_views(cursor)


def add_run(session: Session, name: str, shares: np.ndarray, classes: Sequence[str]) -> None:
    database, count = session.context.database, len(shares)
    with database.write() as cursor:
        made = runs.create(cursor, name, "classification", classes)
        number = runs.number_of(cursor, made, "toy/1")
        cursor.execute("SELECT media_revision FROM data.sample ORDER BY sample_no")
        revisions = np.array([row[0] for row in cursor.fetchall()])[:count]
        flat = arrow_arrays.numbers(shares.astype(np.float32).reshape(-1), np.float32)
        more: dict[str, Any] = {
            "class_no": arrow_arrays.numbers(shares.argmax(axis=1), np.uint32),
            "confidence": arrow_arrays.numbers(shares.max(axis=1), np.float32),
            "probabilities": pa.FixedSizeListArray.from_arrays(flat, len(classes)),
        }
        runs.store(cursor, made, number, np.arange(count), revisions, more)
        database.rebuild_views(cursor)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with di.open(tmp_path / "suggest.duckdb") as opened:
        yield opened


def real(folder: Path, kind: str, seed: int) -> tuple[np.ndarray, list[str]]:
    """Vectors of pictures that their encoder has not seen, the last ones almost copies of the first, and classes."""
    random = np.random.default_rng(seed)
    given = np.load(folder / "cifar10-embeddings" / f"{kind}.npy", mmap_mode="r")
    table = pq.read_table(folder / "cifar10" / "cifar10.parquet", columns=["label"])
    classes = np.asarray([str(one) for one in table["label"].to_pylist()], object)
    rows = np.sort(random.choice(np.arange(25_000, 50_000), COUNT - COPIES, replace=False))
    some = np.asarray(given[rows], np.float32)
    copies = some[LABELLED : LABELLED + COPIES]
    noise = random.standard_normal(copies.shape).astype(np.float32) * 1e-3 * np.abs(copies).mean()
    truth = classes[rows].tolist()
    return np.concatenate([some, copies + noise]), truth + truth[LABELLED : LABELLED + COPIES]


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def blobs(seed: int = 0, count: int = 240) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((3, 8)) * 3
    kinds = np.arange(count) % 3
    return (centres[kinds] + random.standard_normal((count, 8))).astype(np.float32), [
        ["cat", "dog", "fox"][kind] for kind in kinds
    ]


# Real vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "seed"),
    [("auto", 0), ("auto", 1), ("margin", 1), ("badge", 0), ("coreset", 1), ("typiclust", 0), ("random", 1)],
)
def test_a_queue_has_nothing_labelled_no_near_duplicates_and_is_even(
    session: Session, shared_data: Find, by: str, seed: int
) -> None:
    folder = shared_data("cifar10-embeddings").parent
    rows, truth = real(folder, "cnn256", seed)
    labels = [*truth[:LABELLED], *([None] * (COUNT - LABELLED))]
    random = np.random.default_rng(seed)
    sites = ["north" if one < 0.8 else "south" for one in random.random(COUNT)]
    fill(session, rows, labels, sites)
    done = session.suggest(60, by, balance="site", seed=seed, progress=False)
    assert isinstance(done, Suggested) and len(done) == 60
    assert done.by == ("margin" if by == "auto" else by)
    chosen = done.view.nos()
    assert set(session.where(queue="to label").ids()) == set(done.view.ids()) and session.queues == {"to label": 60}
    assert (chosen >= LABELLED).all()
    alike = unit(rows[chosen]) @ unit(rows[chosen]).T - np.eye(60)
    assert alike.max() < 0.999
    counts = {name: sum(site == name for site in sites[:LABELLED]) for name in ("north", "south")}
    added = {name: sum(sites[no] == name for no in chosen) for name in counts}
    assert added["south"] == 60, f"there were {counts}, so all have to come from the south: {added}"
    if by == "auto":
        assert "a probe is right for about" in repr(done) and "As even as can be over site." in done.why
    reasons = session.sql("SELECT DISTINCT reason FROM task").fetchall()
    assert reasons == [(done.why,)]
    again = session.suggest(60, by, seed=seed, progress=False)
    assert isinstance(again, Suggested) and not set(again.view.nos()) & set(chosen.tolist())
    session.undo()
    session.undo()
    assert session.queues == {}


def test_poor_vectors_leave_it_to_chance_and_say_so(session: Session, shared_data: Find) -> None:
    rows, truth = real(shared_data("cifar10-embeddings").parent, "patch128", 0)
    fill(session, rows, [*truth[:LABELLED], *([None] * (COUNT - LABELLED))], [None] * COUNT)
    done = session.suggest(30, progress=False)
    assert isinstance(done, Suggested) and done.by == "random"
    assert done.why.startswith("Random: by 400 labels a probe is right for about") and "too few" in done.why
    assert "rank_score" not in done.view.columns


# Ranking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["uncertainty", "margin", "entropy", "disagreement"])
def test_doubts_rank_what_lies_between_two_classes_first(session: Session, by: str) -> None:
    rows, labels = blobs(2)
    middle = np.arange(200, 240)
    rows[middle] = (rows[:3].mean(axis=0) + rows[middle]) / 2
    known = [label if no < 100 else None for no, label in enumerate(labels)]
    fill(session, rows, known, [None] * 240)
    view = session.where("label IS NULL").rank(by)
    scores = np.asarray(view.to_arrow(["rank_score"])["rank_score"].to_pylist())
    assert len(view) == 140 and (np.diff(scores) <= 0).all() and 0 <= scores.min() <= scores.max() <= 1
    assert np.isin(view.nos()[:20], middle).mean() > 0.5
    assert session.where("label IS NULL").rank(by, n=5).ids() == view.ids()[:5]
    assert view.sentence.endswith(f"by {by}")


@pytest.mark.parametrize("by", ["badge", "coreset", "typiclust", "random"])
def test_a_batch_is_of_what_has_no_label(session: Session, by: str) -> None:
    rows, labels = blobs()
    fill(session, rows, [label if no < 100 else None for no, label in enumerate(labels)], [None] * 240)
    view = session.rank(by, n=30, seed=3)
    assert len(view) == 30 and len(set(view.ids())) == 30 and "rank_score" not in view.columns
    assert by == "random" or (view.nos() >= 100).all()
    assert view.ids() == session.rank(by, n=30, seed=3).ids()
    fill_labels = session.where("label IS NULL").relabel("cat")
    assert fill_labels.count == 140 and len(session.rank(by, n=10)) == 10, "with labels on all there is an order too"


def test_a_run_takes_the_place_of_probes(session: Session) -> None:
    random = np.random.default_rng(1)
    shares = random.dirichlet([0.5] * 3, 60)
    fill(session, np.empty((0, 2)), [None] * 80, ["asked"] * 60 + ["not asked"] * 20)
    add_run(session, "one", shares, ["cat", "dog", "fox"])
    ranked = session.rank("margin", run="one")
    two = np.sort(shares, axis=1)[:, -2:]
    assert ranked.nos().tolist() == np.argsort(two[:, 1] - two[:, 0], kind="stable").tolist()
    other = shares[:, [2, 0, 1]]
    add_run(session, "two", other, ["fox", "cat", "dog"])
    agreeing = session.rank("disagreement", run=["one", "two"]).to_arrow(["rank_score"])["rank_score"].to_pylist()
    assert max(agreeing) < 1e-4, "the same classes in another order are the same"
    add_run(session, "three", random.dirichlet([0.5] * 3, 60), ["cat", "dog", "fox"])
    assert max(session.rank("disagreement", run=["one", "three"]).to_arrow()["rank_score"].to_pylist()) > 0.1
    done = session.suggest(5, "entropy", run="one", progress=False)
    assert isinstance(done, Suggested)
    assert done.view.ids() == session.rank("entropy", run="one", n=5).ids()
    with pytest.raises(ActionError, match="two runs"):
        session.rank("disagreement", run="one")
    add_run(session, "birds", shares, ["owl", "jay", "tit"])
    with pytest.raises(ModelError, match="different classes"):
        session.rank("disagreement", run=["one", "birds"])
    with pytest.raises(ModelError, match="has a result of one"):
        session.where(site="not asked").rank("margin", run="one")


# What may be missing -----------------------------------------------------------------------------------------------


def test_what_cannot_be_ranked_is_said(session: Session) -> None:
    _, labels = blobs(count=60)
    fill(session, np.empty((0, 2)), [*labels[:30], *([None] * 30)], [None] * 60)
    with pytest.raises(ModelError, match=r"'margin' needs the run of a classifier, or vectors.*session.embed"):
        session.rank("margin")
    with pytest.raises(ModelError, match="'coreset' needs vectors"):
        session.rank("coreset")
    with pytest.raises(ActionError, match=r"no strategy 'margn'.*margin"):
        session.rank("margn")
    with pytest.raises(UnknownRun):
        session.rank("margin", run="v7")
    with pytest.raises(ModelError, match="no embedding 'clip'"):
        session.suggest(5, embedding="clip")
    with pytest.raises(ActionError, match="no label to balance by"):
        session.suggest(5, balance="label")
    with pytest.raises(ActionError, match="takes a number"):
        session.suggest(0)
    with pytest.raises(ActionError):
        session.suggest(5, queue=" ")
    done = session.suggest(5, progress=False)
    assert isinstance(done, Suggested) and "neither vectors nor probabilities" in done.why
    assert len(session.where("label = 'nobody'").rank("random")) == 0
    with pytest.raises(ActionError, match="no samples"):
        session.where("label = 'nobody'").suggest(5, progress=False)
    with pytest.raises(DataideError, match="nothing left"):
        session.where("label IS NOT NULL").suggest(5, progress=False)
    session.where("label IS NULL").enqueue("to label")
    with pytest.raises(ActionError, match="wait in"):
        session.where("label IS NULL").suggest(5, progress=False)


def test_one_class_only_and_vectors_that_say_nothing(session: Session) -> None:
    rows, _ = blobs(count=60)
    rows[50:] = 0
    fill(session, rows, [*(["cat"] * 20), *([None] * 40)], [None] * 60)
    with pytest.raises(DataideError, match="two classes"):
        session.rank("margin")
    done = session.suggest(60, progress=False)
    assert isinstance(done, Suggested) and done.by == "random" and done.why.startswith("Random: 20 labels")
    assert len(done) == 30 and (done.view.nos() < 50).all()


def test_without_a_queue_nothing_is_decided_and_a_job_can_be_stopped(session: Session) -> None:
    rows, labels = blobs()
    fill(session, rows, [label if no < 100 else None for no, label in enumerate(labels)], [None] * 240)
    view = session.suggest(10, queue=None, progress=False)
    assert not isinstance(view, Suggested | Job) and len(view) == 10
    assert session.history().empty
    job = session.suggest(10, wait=False)
    assert isinstance(job, Job) and isinstance(job.result(60), Suggested) and len(session.history()) == 1
    job = session.suggest(10, "disagreement", wait=False)
    assert isinstance(job, Job)
    job.cancel()
    with pytest.raises(ModelError) as stopped:
        job.result(60)
    assert stopped.value.code == "cancelled" and len(session.history()) == 1
