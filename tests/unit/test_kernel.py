"""The inference kernel: one real process with many models, which outlives its jobs and not its session."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ModelError, ProtocolError
from dataide.inference import contract, pump
from dataide.inference.embedding import embed, embed_pictures
from dataide.inference.identity import identify
from dataide.inference.kernel import IDLE_MODELS, Kernel, Request
from tests.unit.inference_tools import Make, functions_in_files, gone, held_until, until

COUNT = 24


def encoded(seed: int = 0, side: int = 12, format: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out := io.BytesIO(), format)
    return out.getvalue()


@pytest.fixture
def session(tmp_path) -> Iterator[di.Session]:
    (tmp_path / "pictures").mkdir()
    for index in range(COUNT):
        (tmp_path / "pictures" / f"{index}.png").write_bytes(encoded(index))
    with di.open(tmp_path / "case.duckdb") as opened:
        opened.add_folder(tmp_path / "pictures", progress=False)
        yield opened


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel("cpu", threads=1)
    yield made
    made.close()


@pytest.fixture
def portable(tmp_path, monkeypatch) -> Iterator[Make]:
    yield from functions_in_files(tmp_path, monkeypatch)


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def stored(session: di.Session, name: str) -> np.ndarray:
    return session.sql(f"SELECT vector FROM vector_{name} ORDER BY sample_id").to_arrow()["vector"].to_pylist()


def logging(file: Path, word: str, then: str = "") -> str:
    return f"""
        def model(images):
            open({str(file)!r}, "a").write({word!r} + chr(10))
            {then}
            return np.ones((len(images), 2))
    """


def test_a_kernel_starts_with_its_first_use_and_says_how_it_is(session):
    kernel = session.kernel
    assert kernel is session.kernel
    assert (kernel.running, kernel.pid, kernel.models, kernel.memory) == (False, None, [], 0)
    assert "no process yet" in repr(kernel)
    session.embed(progress=False)
    assert kernel.running and kernel.pid != os.getpid()
    assert kernel.models == ["auto"]
    assert kernel.memory > 10 << 20
    assert kernel.queue == {"interactive": 0, "bulk": 0}
    assert kernel.versions["numpy"] == np.__version__
    assert f"process {kernel.pid}" in repr(kernel) and "auto" in repr(kernel) and "nothing waits" in repr(kernel)


def test_a_model_is_loaded_once_for_all_calls(session, portable, tmp_path):
    log = tmp_path / "loads"
    model = portable(f"open({str(log)!r}, 'a').write(f'{{os.getpid()}} ')" + textwrap.dedent(logging(log, "", "")))
    log.unlink()  # the import here
    session.take(10).embed(model, name="once", progress=False)
    pid = session.kernel.pid
    assert session.embed(model, name="once", progress=False).embedded == COUNT - 10
    assert session.kernel.pid == pid
    assert lines(log) == [str(pid)]


def test_a_changed_file_is_loaded_again_in_the_same_process(session, portable):
    one = portable("def model(images): return np.ones((len(images), 2))", "changing")
    session.embed(one, name="first", progress=False)
    pid = session.kernel.pid
    two = portable("def model(images): return np.ones((len(images), 2)) * 2", "changing")
    session.embed(two, name="second", progress=False)
    assert stored(session, "first")[0] == [1, 1]
    assert stored(session, "second")[0] == [2, 2]
    assert session.kernel.pid == pid


def test_models_that_nobody_uses_are_forgotten_in_time(kernel, portable):
    for index in range(IDLE_MODELS + 2):
        embed_pictures(
            portable(f"def model(images): return np.ones((len(images), {index + 1}))"), [encoded()], kernel=kernel
        )
    until(lambda: len(kernel.models) == IDLE_MODELS)


def test_a_model_that_is_wanted_again_is_not_forgotten_by_a_message_under_way(kernel, portable):
    identity = identify(portable("def model(images): return np.ones((len(images), 2))"), "again")
    first, second = kernel.open(identity), kernel.open(identity)
    assert first.number < second.number
    for request in (first, second):
        request.begin()
    kernel._alive().child.send(contract.Unload(identity.key, second.number))  # decided before the second began
    second.send(0, [encoded()])
    assert second.receive().arrays["vectors"].tolist() == [[1, 1]]
    kernel._alive().child.send(contract.Unload(identity.key, second.number + 1))
    second.send(1, [encoded()])
    with pytest.raises(ModelError, match="not loaded any more"):
        second.receive()


def test_an_interactive_request_overtakes_a_bulk_job_between_batches(kernel, portable, tmp_path):
    log, go = tmp_path / "log", tmp_path / "go"
    bulk = kernel.open(identify(portable(logging(log, "bulk", held_until(go))), "bulk"))
    query = kernel.open(identify(portable(logging(log, "query")), "query"), "interactive")
    bulk.begin()
    query.begin()
    for batch in range(6):
        assert bulk.send(batch, [encoded(batch)])
    until(lambda: lines(log) == ["bulk"])
    query.send(0, [encoded()])
    until(lambda: kernel.queue["interactive"] == 1)
    go.touch()
    query.receive()
    assert [bulk.receive()[0] for _ in range(6)] == list(range(6))
    # One batch was being computed, and one more may be before the query's picture is decoded.
    assert lines(log).index("query") <= 2
    assert lines(log).count("bulk") == 6


def test_decoding_for_a_query_does_not_wait_behind_decoding_for_a_job(kernel, portable, tmp_path):
    log = tmp_path / "log"
    bulk = kernel.open(identify(portable(logging(log, "bulk")), "bulk"))
    query = kernel.open(identify(portable(logging(log, "query")), "query"), "interactive")
    bulk.begin()
    query.begin()
    large = encoded(0, 1500)  # decoding takes far longer than computing
    for batch in range(10):
        bulk.send(batch, [large])
    before = len(lines(log))
    query.send(0, [encoded()])
    query.receive()
    assert before <= lines(log).index("query") <= before + 2
    for _ in range(10):
        bulk.receive()


def test_a_cancelled_request_is_dropped_and_does_not_hold_up_others(kernel, portable, tmp_path):
    log, go = tmp_path / "log", tmp_path / "go"
    first = kernel.open(identify(portable(logging(log, "first", held_until(go)))))
    first.begin()
    for batch in range(8):
        first.send(batch, [encoded(batch)])
    until(lambda: lines(log) == ["first"])
    first.end()
    with pytest.raises(ModelError, match="stopped"):
        first.receive()
    assert not first.send(9, [encoded()])
    until(lambda: kernel.queue["bulk"] == 0)
    go.touch()
    assert embed_pictures("auto", [encoded()], kernel=kernel).shape == (1, 480)
    assert lines(log) == ["first"]


def test_a_job_can_be_cancelled_while_its_model_lets_nothing_else_run(session, portable, tmp_path):
    for index in range(COUNT):
        (tmp_path / "pictures" / f"{index}.png").write_bytes(encoded(index, 200))  # more than a pipe holds
    model = portable(f"""
        import ctypes
        def model(images):
            open({str(tmp_path / "log")!r}, "a").write("began ")
            ctypes.PyDLL(None).sleep(30)  # with the interpreter's lock held
            open({str(tmp_path / "log")!r}, "a").write("ended ")
            return np.ones((len(images), 2))
    """)
    job = session.embed(model, name="greedy", batch_size=1, wait=False)
    until(lambda: lines(tmp_path / "log"))
    job.cancel()
    assert job.result(30).cancelled
    session.kernel.stop()
    assert lines(tmp_path / "log") == ["began"]


def test_a_function_comes_from_the_folder_that_the_notebook_is_in(kernel, tmp_path, monkeypatch):
    for value in (1, 2):
        folder = tmp_path / str(value)
        folder.mkdir()
        (folder / "same_name.py").write_text(
            f"import numpy as np\ndef model(images): return np.full((len(images), 1), {value})\n"
        )
        with monkeypatch.context() as here:
            here.syspath_prepend(str(folder))
            sys.modules.pop("same_name", None)
            model = __import__("same_name").model
            assert embed_pictures(model, [encoded()], kernel=kernel).tolist() == [[value]]
    sys.modules.pop("same_name", None)


def test_two_jobs_at_once_get_their_own_vectors(session, portable):
    one = portable("def model(images): return np.ones((len(images), 2))")
    two = portable("def model(images): return np.full((len(images), 3), 2)")
    jobs = [session.embed(model, name=name, batch_size=2, wait=False) for model, name in ((one, "one"), (two, "two"))]
    assert [job.result(60).embedded for job in jobs] == [COUNT, COUNT]
    assert stored(session, "one") == [[1, 1]] * COUNT
    assert stored(session, "two") == [[2, 2, 2]] * COUNT
    assert sorted(session.kernel.models) == ["model", "model"]


@pytest.mark.parametrize("failure", ["raise ValueError('bad layer')", "sys.exit('bad layer')"])
def test_a_model_that_fails_takes_nothing_else_with_it(session, portable, tmp_path, monkeypatch, failure):
    monkeypatch.setattr(pump, "cores", lambda: 2)  # four batches under way, on any machine
    go, log = tmp_path / "go", tmp_path / "log"
    good = portable(logging(log, "good", held_until(go)))
    bad = portable(f"def model(images):\n    open({str(log)!r}, 'a').write('bad ')\n    {failure}")
    job = session.embed(good, name="good", batch_size=1, wait=False)
    # One batch is computed, and as many wait as may be under way: the bad one comes between them and the others.
    until(lambda: session.kernel.queue["bulk"] == 3)
    pid = session.kernel.pid
    failing = session.embed(bad, name="bad", batch_size=COUNT, wait=False)
    until(lambda: session.kernel.queue["bulk"] == 4)
    go.touch()
    with pytest.raises(ModelError, match="bad layer"):
        failing.result(60)
    assert job.result(60).embedded == COUNT
    assert 0 < lines(log).index("bad") < COUNT - 1, "it failed in the middle of the other's work"
    assert session.kernel.pid == pid


def test_a_process_killed_in_a_job_is_reported_and_the_same_call_goes_on(session, portable, tmp_path):
    fuse = tmp_path / "fuse"
    model = portable(f"""
        def model(images):
            while os.path.exists({str(fuse)!r}) and len(open({str(fuse)!r}).read()) > 3: time.sleep(0.005)
            if os.path.exists({str(fuse)!r}): open({str(fuse)!r}, "a").write("x")
            return np.ones((len(images), 2))
    """)
    fuse.touch()
    job = session.embed(model, name="mortal", batch_size=3, wait=False)
    until(lambda: len(fuse.read_text()) == 4 and job.done >= 12)
    pid = session.kernel.pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="SIGKILL") as caught:
        job.result(30)
    assert caught.value.code == "child_died"
    kept = len(stored(session, "mortal"))
    assert kept == 12
    fuse.unlink()
    report = session.embed(model, name="mortal", batch_size=3, progress=False)
    assert (report.embedded, report.present) == (COUNT - kept, kept)
    assert session.kernel.pid != pid


def test_a_process_killed_while_idle_is_replaced_without_a_word(session):
    session.take(5).embed(progress=False)
    pid = session.kernel.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    assert session.embed(progress=False).embedded == COUNT - 5


def test_stopping_ends_work_under_way_and_the_next_use_starts_anew(session, portable, tmp_path):
    go = tmp_path / "go"
    model = portable(logging(tmp_path / "log", "x", held_until(go)))
    job = session.embed(model, name="held", batch_size=4, wait=False)
    until(lambda: lines(tmp_path / "log"))
    kernel, pid = session.kernel, session.kernel.pid
    kernel.stop()
    assert gone(pid) and not kernel.running
    with pytest.raises(ModelError, match="was stopped") as caught:
        job.result(30)
    assert caught.value.code == "stopped"
    go.touch()
    assert session.embed(model, name="held", progress=False).embedded == COUNT
    second = kernel.pid
    kernel.restart()
    assert kernel.running and kernel.pid != second and gone(second)
    assert kernel.models == []


def test_closing_the_session_ends_its_process(session):
    session.embed(progress=False)
    kernel, pid = session.kernel, session.kernel.pid
    session.close()
    assert gone(pid)
    assert "closed" in repr(kernel)
    with pytest.raises(ModelError, match="closed"):
        kernel.open(identify("auto"))


def test_no_process_is_left_when_the_notebook_is_killed(session, tmp_path):
    session.close()
    code = f"""
        import sys, dataide as di
        session = di.open({str(tmp_path / "case.duckdb")!r})
        session.embed(progress=False)
        print(session.kernel.pid, flush=True)
        sys.stdin.read()
    """
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    child = int(started.stdout.readline())
    assert not gone(child)
    started.kill()
    started.communicate(timeout=30)
    until(lambda: gone(child))


def test_memory_does_not_grow_with_the_number_of_samples(session, tmp_path):
    (tmp_path / "pictures" / "large.bmp").write_bytes(encoded(1, 700, "BMP"))  # 1.5 MB, in memory as on disk
    context, kernel = session.context, session.kernel
    with context.database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT 100 + i, 'm' || i, 'pictures/large.bmp', now()::TIMESTAMP FROM range(400) t(i)"
        )

    def embedded(start: int, end: int) -> int:
        nos = np.arange(100 + start, 100 + end)
        return embed(context.database, context.media, nos, batch_size=8, kernel=kernel).embedded

    embedded(0, 100)
    before = kernel.memory
    assert embedded(100, 400) == 300
    assert kernel.memory < before + (40 << 20), "300 pictures are 450 MB"


def test_a_batch_that_is_too_large_for_the_gpu_goes_in_smaller_parts(kernel, portable, tmp_path):
    log = tmp_path / "sizes"
    model = portable(f"""
        def model(images):
            open({str(log)!r}, "a").write(f"{{len(images)}} ")
            if len(images) > 3: raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return np.array([[np.asarray(image).mean()] for image in images])
    """)
    data = [encoded(seed) for seed in range(12)]
    vectors = embed_pictures(model, data, kernel=kernel)
    expected = [[np.asarray(Image.open(io.BytesIO(one))).mean()] for one in data]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
    embed_pictures(model, data[:6], kernel=kernel)
    assert lines(log) == ["12", "6", "3", "3", "3", "3", "3", "3"], "what did not fit once is not tried again"


@pytest.mark.torch
def test_a_device_that_is_not_there_is_named():
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, so 'cuda' is a device here")
    kernel = Kernel("cuda")
    try:
        with pytest.raises(ModelError, match="torch cannot use 'cuda' here") as caught:
            embed_pictures("resnet18", [encoded()], kernel=kernel)
        assert caught.value.code == "no_device"
        assert embed_pictures("auto", [encoded()], kernel=kernel).shape == (1, 480), "the process goes on"
    finally:
        kernel.close()


def test_arrays_cross_as_plain_numbers_only():
    arrays = {"boxes": np.arange(12, dtype=np.float32).reshape(3, 4), "counts": np.array([1, 0, 2]), "none": np.ones(0)}
    entries, parts = contract.packed(arrays)
    body = bytearray(b"".join(bytes(part) for part in parts))
    outcome = contract.Outcome(1, 0, entries, [])
    for name, array in contract.unpacked(outcome, body).items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.dtype == arrays[name].dtype
    with pytest.raises(ProtocolError, match="plain numbers"):
        contract.packed({"objects": np.array([{}, {}])})
    with pytest.raises(ProtocolError, match="plain numbers"):
        contract.unpacked(contract.Outcome(1, 0, [{"name": "x", "dtype": "|O", "shape": [1]}], []), bytearray(8))
    with pytest.raises(ProtocolError, match="does not fit"):
        contract.unpacked(outcome, body[:-1])
    with pytest.raises(ProtocolError, match="no array"):
        contract.unpacked(outcome, body + b"more")


def test_a_request_that_is_cancelled_when_the_model_is_wanted_again_does_not_wait_for_ever():
    class Silent:  # it has forgotten the model, and says nothing after that
        def __init__(self):
            self.sent: list[object] = []
            self.child = self

        def has(self, key):
            return True

        def send(self, message, body=b""):
            self.sent.append(message)
            return True

        def forget(self, request):
            return None

    process: Any = Silent()
    identity = identify(abs, "toy", task="embedding")
    request = Request(process, 1, identity.key, identity, "bulk")
    request.load(contract.Load(1, identity.key, identity.kind, identity.model, [], {}), identity.pickled)
    request.take(ModelError("The model is not loaded any more.", code="send_again"))
    request.end()
    heard: list[str] = []

    def begin() -> None:
        with pytest.raises(ModelError) as caught:
            request.begin()
        heard.append(caught.value.code)

    thread = threading.Thread(target=begin, daemon=True)
    thread.start()
    thread.join(10)
    assert heard == ["cancelled"] and len(process.sent) == 2
