"""An embedding learned from the samples themselves: in a real process, with the real torch."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ModelError
from dataide.inference import learning
from dataide.inference.embedding import embed_pictures
from dataide.inference.job import Job
from dataide.inference.kernel import Kernel
from dataide.inference.learning import LearnReport, identity_of, learn_embedding
from dataide.inference.models import metric
from dataide.inference.models.learned import Learned, named, packed, unpacked
from dataide.inference.running import once
from dataide.storage import models_used, vectors

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

COUNT = 240
COLOURS = {"red": (230, 40, 40), "green": (40, 200, 40), "blue": (60, 60, 240)}


def dotted(count: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Noise with one small dot somewhere, and the dot's colour: next to nothing for a descriptor of the whole."""
    random = np.random.default_rng(seed)
    pixels = random.integers(60, 180, (count, 32, 32, 3), np.uint8)
    names = [list(COLOURS)[number] for number in random.integers(0, len(COLOURS), count)]
    for picture, name in zip(pixels, names, strict=True):
        row, column = random.integers(0, 27, 2)
        picture[row : row + 5, column : column + 5] = COLOURS[name]
    return pixels, names


def encoded(pixels: np.ndarray) -> bytes:
    Image.fromarray(pixels).save(out := io.BytesIO(), "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    made = Kernel("cpu", threads=1)
    yield made
    made.close()


@pytest.fixture
def session(tmp_path) -> Iterator[di.Session]:
    with di.open(tmp_path / "case.duckdb") as opened:
        pixels, names = dotted(COUNT)
        opened.add_arrays(pixels, label=names, progress=False)
        yield opened


def learn(session: di.Session, kernel: Kernel, name: str = "learned", **settings) -> LearnReport:
    report = started(session, kernel, name, **settings).result(60)
    assert isinstance(report, LearnReport)
    return report


def started(session: di.Session, kernel: Kernel, name: str = "learned", **settings) -> Job[LearnReport]:
    nos = np.arange(session.context.database.sample_count, dtype=np.uint32)
    job = learn_embedding(
        session.context.database, session.context.media, nos, name, kernel=kernel, wait=False, **settings
    )
    assert isinstance(job, Job)
    return job


def rows_of(session: di.Session, name: str) -> np.ndarray:
    found = session.sql(f"SELECT vector FROM vector_{name} JOIN sample USING (sample_id) ORDER BY sample_no")
    return np.asarray(found.to_arrow()["vector"].to_pylist(), np.float32)


def while_training(job: Job[LearnReport], do: Callable[[], object]) -> None:
    """Does something at the first step of training, on the job's thread, which cannot go on meanwhile."""
    done = threading.Event()

    def watch(done_now: int, total: int, sentence: str) -> None:
        if sentence.startswith("training") and not done.is_set():
            done.set()
            do()

    job.watch(watch)
    job.wait(60)
    assert done.is_set(), job.said()


def right(vectors_of: np.ndarray, names: list[str]) -> float:
    """Which part of the later half ten neighbours of the first half name right."""
    codes = np.asarray([sorted(set(names)).index(name) for name in names])
    half = len(codes) // 2
    return float((named(vectors_of[:half], codes[:half], vectors_of[half:]) == codes[half:]).mean())


def test_a_name_of_text_vectors_is_refused_before_the_training(session):
    database = session.context.database
    with database.write() as cursor:
        vectors.create(cursor, "words", "towers/1", 3, "label")
        database.rebuild_views(cursor)
    with pytest.raises(ModelError, match="'words' is of label"):
        session.learn_embedding("words", progress=False)
    with pytest.raises(ModelError, match="There is an embedding 'words' already"):
        session.learn_embedding("Words", progress=False)


def known(session, name, task="embedding"):
    identity = identity_of(session.context.database, name, task)
    assert identity is not None
    return identity


def test_labels_are_learned_from_what_a_description_of_the_whole_does_not_see(session, kernel):
    report = learn(session, kernel, label="label", passes=12)
    assert report.classes and set(report.classes) == set(COLOURS)
    assert report.trained_on + report.held_out == COUNT
    assert report.embedded is not None and report.embedded.embedded == COUNT
    assert report.neighbours is not None and report.neighbours_auto is not None
    # Pictures that came later, by the vectors of those that were learned from.
    pixels, names = dotted(COUNT, seed=1)
    later = once(known(session, "learned"), [encoded(one) for one in pixels], kernel)
    auto = embed_pictures("auto", [encoded(one) for one in pixels], kernel=kernel)
    assert right(later.arrays["vectors"], names) > 0.9
    assert right(auto, names) < 0.7
    assert "ten neighbours name" in repr(report) and "'auto'" in repr(report)


def test_the_network_that_was_trained_tells_the_classes_apart(session, kernel):
    learn(session, kernel, label="label", passes=12)
    pixels, names = dotted(60, seed=2)
    identity = known(session, "learned", "classification")
    answer = once(identity, [encoded(one) for one in pixels], kernel)
    probabilities = answer.arrays["probabilities"]
    assert probabilities.shape == (60, 3) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    said = [answer.details["classes"][number] for number in probabilities.argmax(axis=1)]
    assert np.mean([one == name for one, name in zip(said, names, strict=True)]) > 0.9


def test_the_same_seed_and_passes_give_the_same_weights(session, kernel):
    first = learn(session, kernel, "one", label="label", passes=1)
    again = learn(session, kernel, "two", label="label", passes=1)
    other = learn(session, kernel, "three", label="label", passes=1, seed=1)
    assert np.array_equal(rows_of(session, "one"), rows_of(session, "two"))
    assert first.neighbours == again.neighbours
    assert not np.array_equal(rows_of(session, "one"), rows_of(session, "three"))
    assert first.revision != other.revision


def test_the_same_call_trains_once_and_embeds_what_is_missing(session, kernel):
    first = learn(session, kernel, label="label", passes=1)
    made = vectors.embedding(session.context.database, "learned")
    assert made is not None
    with session.context.database.write() as cursor:
        cursor.execute(f"DELETE FROM {made.table} WHERE sample_no < 9")
    again = learn(session, kernel, label="label", passes=1)
    assert again.revision == first.revision
    assert again.embedded is not None and (again.embedded.embedded, again.embedded.present) == (9, COUNT - 9)
    changed = learn(session, kernel, label="label", passes=2)
    assert changed.revision != first.revision
    assert changed.embedded is not None and changed.embedded.embedded == COUNT


def test_what_was_learned_is_there_after_a_restart(tmp_path, kernel):
    pixels, names = dotted(80)
    with di.open(tmp_path / "kept.duckdb") as session:
        session.add_arrays(pixels, label=names, progress=False)
        report = learn(session, kernel, label="label", passes=1)
        before = rows_of(session, "learned")
    with di.open(tmp_path / "kept.duckdb") as session:
        identity = identity_of(session.context.database, "learned")
        assert identity is not None and identity.revision == report.revision
        fresh = Learned("learned", "embedding", identity.pickled, lambda sentence: None, "cpu", 1)
        prepared, problems = fresh.prepare([encoded(one) for one in pixels])
        assert not problems and np.allclose(fresh.compute(prepared).arrays["vectors"], before, atol=1e-4)
        assert identity_of(session.context.database, "another") is None


def test_after_a_restart_a_picture_finds_its_like_without_training(tmp_path):
    pixels, _ = dotted(60)
    with di.open(tmp_path / "kept.duckdb") as session:
        session.add_arrays(pixels, progress=False)
        assert "without labels from 54 samples" in repr(session.learn_embedding("own", progress=False))
    with di.open(tmp_path / "kept.duckdb") as session:
        ids = session.similar(encoded(pixels[7]), k=3, embedding="own").ids()
        assert ids[0] == session.sql("SELECT sample_id FROM sample WHERE sample_no = 7").to_pandas().iloc[0, 0]


def test_without_labels_pictures_seen_in_other_ways_come_closer(tmp_path, kernel):
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    random = np.random.default_rng(0)
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    seen = metric.seen_again(np.repeat(grey[:600, :, :, None], 3, axis=3), False, random)
    names = [str(one) for one in digits.target[:600]]
    with di.open(tmp_path / "digits.duckdb") as session:
        session.add_arrays(seen, label=names, progress=False)
        report = learn(session, kernel, "alone")
        assert report.label is None and report.classes == []
        auto = embed_pictures("auto", [encoded(one) for one in seen], kernel=kernel)
        assert right(rows_of(session, "alone"), names) > right(auto, names) + 0.01
        with pytest.raises(ModelError, match="without labels, so it knows no classes"):
            once(known(session, "alone", "classification"), [encoded(seen[0])], kernel)


def test_cancelled_training_keeps_nothing_and_the_process_goes_on(session, kernel):
    job = started(session, kernel, label="label", minutes=5)
    while_training(job, job.cancel)
    assert job.state == "cancelled"
    assert "nothing was kept" in repr(job.result())
    assert identity_of(session.context.database, "learned") is None
    assert vectors.embedding(session.context.database, "learned") is None
    assert len(embed_pictures("auto", [encoded(dotted(1)[0][0])], kernel=kernel)) == 1
    assert "learned" not in kernel.models  # what it had gathered went with it


def test_a_single_picture_is_computed_while_a_network_is_trained(session, kernel):
    one = encoded(dotted(1)[0][0])
    job = started(session, kernel, label="label", minutes=5)
    reached = threading.Event()
    job.watch(lambda done, total, sentence: reached.set() if sentence.startswith("training") else None)
    assert reached.wait(60), job.said()
    assert embed_pictures("auto", [one], kernel=kernel).shape == (1, 480)
    assert job.state == "running" and "training" in repr(job)
    job.cancel()
    assert job.wait(30)


def test_killed_in_the_middle_of_training_it_says_so_and_the_next_call_works(session):
    with _own() as kernel:
        job = started(session, kernel, label="label", minutes=5)
        while_training(job, lambda: os.kill(kernel.pid or 0, signal.SIGKILL))
        with pytest.raises(ModelError, match=r"SIGKILL.*call learn_embedding"):
            job.result()
        assert identity_of(session.context.database, "learned") is None
        assert learn(session, kernel, label="label", passes=1).embedded is not None


def test_samples_without_a_label_are_embedded_and_not_trained_on(session, kernel):
    with session.context.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET label = NULL WHERE sample_no < 40")
    report = learn(session, kernel, label="label", passes=1)
    assert report.trained_on + report.held_out == COUNT - 40
    assert "40 samples have no 'label' and were not trained on" in repr(report)
    assert report.embedded is not None and report.embedded.embedded == COUNT


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        ("UPDATE data.sample SET label = 'red'", {"label": "label"}, "'label' has only the value 'red'"),
        ("UPDATE data.sample SET label = NULL", {"label": "label"}, "'label' has no values"),
        ("UPDATE data.sample SET media = '' WHERE sample_no >= 49", {}, "There are 49 samples with a picture"),
        ("UPDATE data.sample SET media = 'no.png'", {}, "Of 240 pictures 0 could be read"),
    ],
)
def test_where_too_little_can_be_learned_from_it_says_what_is_missing(session, kernel, change, settings, said):
    with session.context.database.write() as cursor:
        cursor.execute(change)
    with pytest.raises(ModelError, match=said):
        learn(session, kernel, **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label": "lable"}, "no column 'lable'. Did you mean label"),
        ({"minutes": 0}, "needs some time"),
        ({"name": "auto"}, "an embedding already"),
        ({"name": "no/name"}, "cannot be the name"),
    ],
)
def test_a_call_that_cannot_work_is_refused_at_once(session, kernel, settings, said):
    with pytest.raises(ModelError, match=said):
        started(session, kernel, **settings)


def test_a_loss_that_is_no_number_costs_some_steps_and_not_the_training(monkeypatch):

    plain, calls = torch.nn.functional.cross_entropy, iter(range(10**6))

    def now_and_then(*given, **named_ones):
        return plain(*given, **named_ones) * (float("nan") if next(calls) in (5, 6) else 1.0)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", now_and_then)
    network, steps = trained_in_this_process()
    assert len(steps) > 8 and np.isfinite(steps[-1].loss) and steps[-1].part == 1
    assert all(np.isfinite(array).all() for array in network.arrays().values())
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", lambda *given, **others: given[0].sum() * np.nan)
    with pytest.raises(ModelError, match="the loss was no number"):
        trained_in_this_process()


def trained_in_this_process():
    from dataide.inference.models.small_network import SmallNetwork, training

    pixels, names = dotted(64)
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    network = SmallNetwork(32, 3)
    rows = torch.arange(len(pixels))
    network.adapt(pictures)
    codes = torch.tensor([list(COLOURS).index(name) for name in names])
    steps = training(network, pictures, codes, rows, seconds=60, passes=5, mirrored=True, seed=0)
    return network, list(steps)


def test_weights_are_plain_arrays_and_anything_else_is_refused():
    class Trap:
        def __reduce__(self):
            return os.system, ("false",)

    np.savez(out := io.BytesIO(), config=np.array([Trap()], object))
    for state in (b"no archive", b"", out.getvalue(), packed({"format": 99}, {})):
        with pytest.raises(ModelError, match="What is kept of 'own' cannot be read"):
            unpacked(state, "own")
    config = {"format": 1, "side_px": 32, "looks_at": "pixels", "classes": ["a", "b"]}
    with pytest.raises(ModelError, match="weights do not fit"):
        Learned("own", "embedding", packed(config, {}), lambda sentence: None, "cpu", 1)


def test_rare_labels_are_all_drawn_and_frequent_ones_share_the_rest():
    codes = np.repeat([0, 1, 2], [1000, 300, 10])
    counts = np.bincount(codes[learning._drawn(codes, 210, seed=3)])
    assert counts.tolist() == [100, 100, 10]
    assert np.array_equal(learning._drawn(codes, 5000, seed=3), np.arange(1310))


def test_old_weights_leave_the_file_when_others_take_their_name(session, kernel):
    learn(session, kernel, label="label", passes=1)
    learn(session, kernel, label="label", passes=1, seed=1)
    with session.context.database.query("SELECT count(*), count(state) FROM data.model WHERE kind = 'learned'") as rows:
        assert rows.fetchone() == (2, 1)
    assert models_used.trained(session.context.database, "learned") is not None


class _own:
    """A kernel of one test alone."""

    def __enter__(self) -> Kernel:
        self.kernel = Kernel("cpu", threads=1)
        return self.kernel

    def __exit__(self, *error: object) -> None:
        self.kernel.close()
