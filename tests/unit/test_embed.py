"""Embedding: every picture gets its vector once, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError
from dataide.inference import job as jobs
from dataide.inference import pump
from dataide.inference.descriptor import describe
from dataide.inference.embedding import embed, embed_pictures
from dataide.storage import vectors
from dataide.storage.database import Database
from dataide.storage.media import Media
from dataide.storage.pictures import decode
from tests.unit.inference_tools import Make, functions_in_files, gone, until

COUNT = 40


class Case:
    """A session file with pictures in a folder beside it."""

    def __init__(self, folder: Path, count: int = COUNT) -> None:
        self.folder = folder
        (folder / "pictures").mkdir()
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 256, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / f"{index}.png")
        self.database = Database(folder / "case.duckdb")
        self.media = Media(self.database)
        self.nos = np.arange(count)
        with self.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
                "SELECT i, 's' || i, 'pictures/' || i || '.png', now()::TIMESTAMP FROM range(?) t(i)",
                [count],
            )

    def embed(self, model="auto", nos=None, **options):
        return embed(self.database, self.media, self.nos if nos is None else nos, model, **options)

    def stored(self, name="auto") -> tuple[np.ndarray, np.ndarray]:
        known = vectors.embedding(self.database, name)
        assert known is not None
        return vectors.fetch(self.database, known)

    def problems(self) -> list[tuple[str, str]]:
        with self.database.query("SELECT media, code FROM data.problem ORDER BY media") as cursor:
            return cursor.fetchall()


@pytest.fixture
def case(tmp_path):
    case = Case(tmp_path)
    yield case
    jobs.end_all(case.database)
    case.database.close()


@pytest.fixture
def portable(tmp_path, monkeypatch) -> Iterator[Make]:
    yield from functions_in_files(tmp_path, monkeypatch)


def test_each_picture_gets_the_vector_of_its_own_pixels(case):
    report = case.embed()
    assert (report.embedded, report.present, report.problems, report.dimension) == (COUNT, 0, 0, 480)
    nos, stored = case.stored()
    np.testing.assert_array_equal(nos, case.nos)
    expected = describe([decode(case.media.read(f"pictures/{no}.png")) for no in case.nos])
    np.testing.assert_allclose(stored, expected, atol=1e-6)
    with case.database.query("SELECT count(*) FROM vector_auto") as cursor:
        assert cursor.fetchone() == (COUNT,)


def test_a_second_call_does_nothing_and_a_third_only_what_is_new_or_changed(case):
    case.embed(nos=np.arange(10))
    assert repr(case.embed(nos=np.arange(10))) == "10 had their vectors already."
    Image.new("RGB", (9, 9), "green").save(case.folder / "pictures" / "3.png")
    with case.database.write() as cursor:
        cursor.execute("UPDATE data.sample SET media_revision = 2 WHERE sample_no = 3")
    report = case.embed(nos=np.arange(15))
    assert (report.embedded, report.present) == (6, 9)
    _, stored = case.stored()
    np.testing.assert_allclose(stored[3], describe([Image.new("RGB", (9, 9), "green")])[0], atol=1e-6)


def test_broken_and_missing_pictures_are_listed_and_the_rest_goes_in(case):
    (case.folder / "pictures" / "5.png").write_bytes(b"not a picture")
    (case.folder / "pictures" / "6.png").unlink()
    report = case.embed(batch_size=4)
    assert (report.embedded, report.problems) == (COUNT - 2, 2)
    assert "session.problems()" in repr(report)
    assert [media for media, _ in case.problems()] == ["pictures/5.png", "pictures/6.png"]
    assert 5 not in case.stored()[0]
    case.embed()
    assert len(case.problems()) == 2, "the same problem is listed once"
    Image.new("RGB", (9, 9)).save(case.folder / "pictures" / "5.png")
    assert case.embed().embedded == 1
    assert [media for media, _ in case.problems()] == ["pictures/6.png"], "a mended picture is off the list"


def test_nothing_to_read_at_all_ends_with_a_sentence(case):
    for file in (case.folder / "pictures").iterdir():
        file.write_bytes(b"")
    report = case.embed()
    assert (report.embedded, report.problems) == (0, COUNT)
    assert vectors.embedding(case.database, "auto") is None


def test_a_function_of_a_module_runs_in_another_process(case, portable):
    model = portable("def model(images): return np.array([[i.width, i.height, os.getpid()] for i in images])")
    report = case.embed(model, name="sizes", batch_size=7)
    assert (report.embedded, report.dimension, report.note) == (COUNT, 3, None)
    _, stored = case.stored("sizes")
    np.testing.assert_array_equal(stored[:, :2], np.tile([10, 12], (COUNT, 1)))
    assert np.float32(os.getpid()) not in stored[:, 2]


def test_a_function_of_the_notebook_runs_in_the_other_process_as_well(case):
    def lightness(images):
        return np.array([[np.asarray(image).mean(), os.getpid()] for image in images])

    report = case.embed(lightness)
    assert (report.embedded, report.note) == (COUNT, None)
    processes = set(case.stored("lightness")[1][:, 1].tolist())
    assert len(processes) == 1 and os.getpid() not in processes


def test_a_function_that_cannot_be_sent_runs_here_and_the_report_says_so(case):
    seen = []
    lock = threading.Lock()

    def lightness(images):
        with lock:
            seen.append(os.getpid())
        return np.array([[np.asarray(image).mean()] for image in images])

    report = case.embed(lightness)
    assert report.embedded == COUNT
    assert report.note is not None and "runs in this one" in report.note
    assert set(seen) == {os.getpid()}
    assert vectors.embedding(case.database, "lightness") is not None


def test_a_function_whose_code_has_changed_is_run_again_and_replaces_its_vectors(case):
    exec(compile("def model(images): return np.ones((len(images), 2))", "cell", "exec"), scope := {"np": np})
    case.embed(scope["model"])
    assert case.embed(scope["model"]).embedded == 0
    exec(compile("def model(images): return np.zeros((len(images), 3))", "cell", "exec"), scope)
    report = case.embed(scope["model"], nos=np.arange(5))
    assert (report.embedded, report.dimension) == (5, 3)
    assert case.stored("model")[1].shape == (5, 3)
    assert [known.name for known in vectors.embeddings(case.database)] == ["model"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def model(images): raise KeyError('no such layer')", "no such layer"),
        ("def model(images): return np.zeros(3)", "2 x d|4 x d"),
        ("def model(images): return np.full((len(images), 2), np.nan)", "not numbers"),
        ("def model(images): return 'nothing'", "returned a str"),
    ],
)
def test_a_function_that_fails_is_named_with_its_reason(case, portable, body, said):
    with pytest.raises(ModelError, match=said):
        case.embed(portable(body), batch_size=4)


def test_what_a_function_prints_does_no_harm(case, portable):
    model = portable("def model(images):\n    print('x' * 100_000)\n    return np.ones((len(images), 2))")
    assert case.embed(model, batch_size=4).embedded == COUNT


def test_a_killed_process_is_reported_and_the_next_call_goes_on(case, portable, tmp_path):
    fuse = tmp_path / "fuse"
    fuse.touch()
    model = portable(f"""
        calls = 0
        def model(images):
            global calls
            calls += 1
            if calls == 4 and os.path.exists({str(fuse)!r}):
                os.kill(os.getpid(), 9)
            return np.ones((len(images), 2))
    """)
    with pytest.raises(ModelError, match="SIGKILL") as caught:
        case.embed(model, name="mortal", batch_size=5)
    assert caught.value.code == "child_died"
    kept = len(case.stored("mortal")[0])
    assert kept == 15
    fuse.unlink()
    report = case.embed(model, name="mortal", batch_size=5)
    assert (report.embedded, report.present) == (COUNT - kept, kept)


def test_cancelling_a_job_keeps_what_was_done_and_ends_the_process(case, portable, tmp_path):
    model = portable(f"""
        def model(images):
            if not os.path.exists({str(tmp_path / "pid")!r}):  # later batches may be killed half way through a write
                open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
            time.sleep(0.05)
            return np.ones((len(images), 2))
    """)
    job = case.embed(model, name="slow", batch_size=2, wait=False)
    assert "job.cancel()" in repr(job)
    until(lambda: job.done >= 6)
    job.cancel()
    report = job.result(10)
    assert report.cancelled and 6 <= report.embedded < COUNT
    assert len(case.stored("slow")[0]) == report.embedded
    until(lambda: gone(int((tmp_path / "pid").read_text())))
    assert case.embed(model, name="slow", batch_size=20).embedded == COUNT - report.embedded


SCRIPT = """
    import sys, os, numpy as np
    sys.path.insert(0, {folder!r})
    from dataide.storage.database import Database
    from dataide.storage.media import Media
    from dataide.inference.embedding import embed
    import slow
    database = Database({file!r})
    def say(done, total, sentence):
        print(done, flush=True)
    try:
        embed(database, Media(database), np.arange(40), slow.model, name="slow", batch_size=2, progress=say)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    database.close()
"""


def kernel(case: Case) -> subprocess.Popen[str]:
    (case.folder / "slow.py").write_text(
        "import os, time\nimport numpy as np\n"
        "def model(images):\n"
        f"    if not os.path.exists({str(case.folder / 'pid')!r}):\n"
        f"        open({str(case.folder / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(0.1)\n    return np.ones((len(images), 2))\n"
    )
    case.database.close()
    code = textwrap.dedent(SCRIPT.format(folder=str(case.folder), file=str(case.folder / "case.duckdb")))
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    for line in started.stdout:
        if line.strip().isdigit() and int(line) >= 6:
            break
    return started


def test_ctrl_c_keeps_the_work_and_ends_the_process(case):
    started = kernel(case)
    child = int((case.folder / "pid").read_text())
    started.send_signal(signal.SIGINT)
    said, _ = started.communicate(timeout=30)
    assert said.endswith("interrupted\n")
    assert gone(child)
    case.database = Database(case.folder / "case.duckdb")
    assert 6 <= len(case.stored("slow")[0]) < COUNT


def test_no_process_is_left_when_the_kernel_is_killed(case):
    started = kernel(case)
    child = int((case.folder / "pid").read_text())
    started.kill()
    started.communicate(timeout=30)
    until(lambda: gone(child))
    case.database = Database(case.folder / "case.duckdb")


def test_the_notebook_can_read_and_write_while_a_job_runs(case, portable):
    model = portable("def model(images):\n    time.sleep(0.02)\n    return np.ones((len(images), 2))")
    job = case.embed(model, name="busy", batch_size=1, wait=False)
    until(lambda: job.done > 0)
    with case.database.write() as cursor:
        cursor.execute("INSERT INTO data.tag VALUES (0, 'meanwhile')")
    assert not job.finished
    assert job.result(30).embedded == COUNT
    assert job.rate > 0 and repr(job) == "Embedding with 'busy': done, 40 of 40."


def test_progress_is_told_on_the_callers_thread(case):
    told: list[tuple[int, int, bool]] = []
    here = threading.get_ident()
    case.embed(progress=lambda done, total, sentence: told.append((done, total, threading.get_ident() == here)))
    assert told[-1][:2] == (COUNT, COUNT)
    assert all(same for _, _, same in told)


def test_closing_the_session_ends_its_jobs(case, portable):
    model = portable("def model(images):\n    time.sleep(0.05)\n    return np.ones((len(images), 2))")
    job = case.embed(model, name="cut", batch_size=1, wait=False)
    until(lambda: job.done > 0)
    jobs.end_all(case.database)
    assert job.finished and not jobs.running(case.database)


def test_a_picture_that_is_no_sample_is_embedded_alike(case):
    data = case.media.read("pictures/0.png")
    case.embed()
    np.testing.assert_allclose(embed_pictures("auto", [data])[0], case.stored()[1][0], atol=1e-6)


def test_what_is_no_model_is_refused_with_what_would_be_one(case):
    with pytest.raises(ModelError, match="Give 'auto'"):
        case.embed(42)
    with pytest.raises(ModelError, match="name of an embedding"):
        case.embed("auto", name='x"; DROP TABLE')


def test_without_torch_the_error_says_what_to_install(case):
    from importlib.util import find_spec

    if find_spec("torch") is not None:
        pytest.skip("torch is installed")
    with pytest.raises(ModelError, match=r"pip install 'dataide\[ml\]'") as caught:
        case.embed("resnet18")
    assert caught.value.code == "missing_extra"


@pytest.mark.torch
def test_weights_that_cannot_be_had_are_named_with_their_place(case, tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be downloaded") as caught:
        case.embed("resnet18")
    assert str(tmp_path / "hub" / "hub" / "checkpoints" / "resnet18-") in str(caught.value)
    with pytest.raises(ModelError, match="Did you mean resnet18"):
        case.embed("resnet_18")


@pytest.mark.torch
def test_torchvision_embeds_with_the_weights_in_its_cache(case, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    file = tmp_path / "hub" / "hub" / "checkpoints" / os.path.basename(torchvision.models.ResNet18_Weights.DEFAULT.url)
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    torch.save(network.state_dict(), file)
    (case.folder / "pictures" / "5.png").write_bytes(b"not a picture")
    report = case.embed("resnet18", nos=np.arange(8), precision="float32")
    assert (report.embedded, report.problems, report.dimension) == (7, 1, 512)
    assert report.revision == "resnet18/IMAGENET1K_V1"
    network.fc = torch.nn.Identity()
    network.eval()
    with torch.inference_mode():
        image = torchvision.models.ResNet18_Weights.DEFAULT.transforms()(decode(case.media.read("pictures/0.png")))
        expected = network(image[None]).numpy()[0]
    np.testing.assert_allclose(case.stored("resnet18")[1][0], expected, rtol=1e-3, atol=1e-3)
    assert case.embed("resnet18", nos=np.arange(5)).embedded == 0


def test_two_embeddings_cannot_differ_in_capitals_alone(case):
    case.embed("auto", name="Mine", nos=np.arange(3))
    with pytest.raises(ModelError, match="There is an embedding 'Mine' already, and SQL does not tell"):
        case.embed("auto", name="mine")
    assert case.embed("auto", name="Mine", nos=np.arange(3)).present == 3


def test_vectors_do_not_go_into_an_embedding_that_was_made_anew_meanwhile(case, monkeypatch):
    monkeypatch.setattr(pump, "COMMIT_S", 0.0)
    monkeypatch.setattr(pump, "LONGEST_PAUSE_S", 0.0)
    calls = threading.Semaphore(1)  # none of this can be pickled, so it runs here

    def model(images):
        if not calls.acquire(blocking=False):
            with case.database.write() as cursor:
                vectors.create(cursor, "toy", "other/1", 5)
                case.database.rebuild_views(cursor)
        return np.ones((len(images), 3), np.float32)

    with pytest.raises(ModelError, match="'toy' was made anew by another model meanwhile"):
        case.embed(model, name="toy", batch_size=20)
    known = vectors.embedding(case.database, "toy")
    assert known is not None and known.revision == "other/1" and len(case.stored("toy")[0]) == 0
