"""`engine="ray"`: the same vectors from actors of a real cluster on this machine, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import importlib.util
import io
import os
import re
import signal
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ModelError
from dataide.inference import contract
from dataide.inference.embedding import embed
from dataide.inference.engines.ray import RayKernel, address_of
from dataide.inference.engines.ray_actors import ATTEMPTS, LOADS, Exchange
from dataide.inference.engines.ray_cluster import Cluster, Options, Plan
from dataide.inference.engines.ray_driver import Server
from dataide.inference.identity import identify
from dataide.inference.kernel import Kernel
from tests.unit.inference_tools import Make, functions_in_files, gone, until

COUNT = 300
# Ray starts in some 10 s of a core for each process, which a busy machine may not have.
WAIT_S = 120.0
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def kernel() -> Iterator[RayKernel]:
    """One cluster with two actors of a core each, for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
        made = RayKernel(Options(actors=2, cores=1))
        yield made
        made.close()


@pytest.fixture
def session(tmp_path) -> Iterator[di.Session]:
    (tmp_path / "pictures").mkdir()
    for index in range(COUNT):
        pixels = np.random.default_rng(index).integers(0, 256, (12, 10, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{index:03}.png")
    with di.open(tmp_path / "case.duckdb") as opened:
        opened.add_folder(tmp_path / "pictures", progress=False)
        yield opened


@pytest.fixture
def portable(tmp_path, monkeypatch) -> Iterator[Make]:
    yield from functions_in_files(tmp_path, monkeypatch)


def run(session: di.Session, model: Any, **options: Any) -> Any:
    return embed(session.context.database, session.context.media, np.arange(COUNT), model, **options)


def stored(session: di.Session, name: str) -> np.ndarray:
    table = session.sql(f'SELECT vector FROM "vector_{name}" ORDER BY sample_id').to_arrow()
    return np.asarray(table["vector"].to_pylist())


def means(folder: Path) -> np.ndarray:
    files = sorted((folder / "pictures").iterdir())
    return np.asarray([[np.asarray(Image.open(file)).mean()] for file in files], np.float32)


def processes_of(pid: int) -> set[int]:
    """All processes below one, by the kernel's own list."""
    parents: dict[int, list[int]] = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            number, rest = Path(stat).read_text().split(" (", 1)
        except OSError:
            continue
        parents.setdefault(int(rest.rpartition(")")[2].split()[1]), []).append(int(number))
    found, todo = set[int](), [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found


def gcs_addresses(pid: int) -> set[str]:
    """Where the cluster below a process is reached: its processes are told."""
    found = set[str]()
    for below in processes_of(pid):
        with contextlib.suppress(OSError):
            found.update(re.findall(r"--gcs-address=([\d.]+:\d+)", Path(f"/proc/{below}/cmdline").read_text()))
    return found


# With a cluster ------------------------------------------------------------------------------------------------------


@needs_ray
def test_the_same_vectors_and_problems_as_this_machine_gives(session, kernel, tmp_path):
    (tmp_path / "pictures" / "007.png").write_bytes(b"no picture")
    local, here = Kernel("cpu", threads=1), []
    try:
        for means_of, name in ((local, "local"), (kernel, "far")):
            report = run(session, "auto", name=name, kernel=means_of, batch_size=16)
            assert (report.embedded, report.problems, report.revision) == (COUNT - 1, 1, "auto/1")
            here.append(session.problems()[["media", "code"]].drop_duplicates().values.tolist())
    finally:
        local.close()
    np.testing.assert_array_equal(stored(session, "far"), stored(session, "local"))
    assert here[0] == here[1] == [["pictures/007.png", here[0][0][1]]]
    assert "ray (2 actors on 1 machines)" in repr(kernel)


@needs_ray
def test_cancelled_work_goes_on_although_an_actor_is_killed(session, kernel, tmp_path):
    log, go = tmp_path / "log", tmp_path / "go"
    written, bell = str(log), str(go)  # a Path would change what the function is: it remembers that it was used

    def model(images):  # of this test, so it travels by value
        import time

        import numpy as np

        with open(written, "a") as file:
            file.write(f"{os.getpid():7}\n")
        # The first batches go through; then all wait.
        while os.path.getsize(written) > 6 * 8 and not os.path.exists(bell):
            time.sleep(0.005)
        return np.asarray([[np.asarray(image).mean()] for image in images], np.float32)

    job = run(session, model, name="mean", kernel=kernel, batch_size=5, wait=False)
    until(lambda: job.finished or job.done >= 10, WAIT_S)
    assert not job.finished, job.error
    job.cancel()
    go.touch()
    report = job.result()
    assert report.cancelled and 0 < report.embedded < COUNT
    before = report.embedded

    go.unlink()
    log.write_text("")
    job = run(session, model, name="mean", kernel=kernel, batch_size=5, wait=False)
    until(lambda: job.finished or len(log.read_text().split()) >= 7, WAIT_S)
    assert not job.finished, job.error
    killed = int(log.read_text().split()[-1])
    os.kill(killed, signal.SIGKILL)
    until(lambda: gone(killed))
    go.touch()
    report = job.result()
    assert (report.embedded, report.present, report.problems) == (COUNT - before, before, 0)
    np.testing.assert_allclose(stored(session, "mean"), means(tmp_path), rtol=1e-6)
    assert len(set(log.read_text().split())) > 1


@needs_ray
def test_a_model_that_fails_is_named_and_the_cluster_goes_on(session, kernel, portable):
    fails = portable("def model(images): raise RuntimeError('of its own')")
    with pytest.raises(ModelError, match="of its own"):
        run(session, fails, name="fails", kernel=kernel, batch_size=50)
    assert kernel.running


@needs_ray
def test_a_cluster_that_is_there_is_used_and_left_alone(kernel):
    kernel.open(identify("auto")).close()
    until(lambda: gcs_addresses(kernel.pid or 0), WAIT_S)
    address = gcs_addresses(kernel.pid or 0).pop()
    other = RayKernel(Options(address, actors=1, cores=1))
    heard: list[str] = []
    try:
        request = other.open(identify("auto"))
        request.begin(heard.append)
        assert request.revision == "auto/1"
        assert request.details["actors"] == 1
        assert request.send(0, [b"no picture"])
        assert request.receive().problems[0][0] == 0
    finally:
        other.close()
    assert heard[0] == f"connecting to Ray at {address}"
    assert kernel.running and gcs_addresses(kernel.pid or 0) == {address}


@needs_ray
def test_the_driver_killed_is_an_error_that_says_so_and_nothing_is_left(session, kernel, portable, tmp_path):
    log = tmp_path / "log"
    slow = portable(f"""
        def model(images):
            open({str(log)!r}, "a").write("x")
            while True: time.sleep(0.01)
    """)
    job = run(session, slow, name="slow", kernel=kernel, batch_size=5, wait=False)
    until(log.exists, WAIT_S)
    everything = processes_of(kernel.pid or 0)
    assert len(everything) > 5
    os.kill(kernel.pid or 0, signal.SIGKILL)
    with pytest.raises(ModelError, match="SIGKILL") as caught:
        job.result()
    assert caught.value.code == "child_died"
    until(lambda: all(gone(pid) for pid in everything))


# Without one ---------------------------------------------------------------------------------------------------------


def told(story: Coroutine[Any, Any, None]) -> None:
    """Runs it in a thread of its own: in the tests' own thread the loop of the browser tests may be going."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, story).result()


def test_a_batch_that_ends_its_process_again_and_again_ends_the_work():
    async def story() -> None:
        exchange = Exchange(actors=1)
        await exchange.put(0, ("picture", [1, 1], [None]))
        for _ in range(ATTEMPTS):
            assert await exchange.take(0) is not None
        with pytest.raises(ModelError, match="2 pictures"):
            await exchange.take(0)
        await exchange.drop(0)
        assert await exchange.take(0) is None

    told(story())


def test_a_model_that_ends_its_process_while_it_is_loaded_is_given_up():
    class Handle:
        _actor_id = 1

    async def story() -> None:
        exchange = Exchange(actors=2)
        assert all([await exchange.load([Handle()]) for _ in range(2 + LOADS)])
        assert not await exchange.load([Handle()])
        await exchange.say({"ready": {}})
        assert await exchange.load([Handle()])

    told(story())


def test_the_stream_of_numbers_waits_and_ends():
    async def story() -> None:
        exchange = Exchange(actors=1)
        waiting = asyncio.create_task(exchange.there(0))
        await asyncio.sleep(0)
        assert not waiting.done()
        await exchange.put(0, ("picture", [1], [None]))
        assert await waiting
        waiting = asyncio.create_task(exchange.there(1))
        await exchange.end()
        assert not await waiting
        assert await exchange.take(0) is None

    told(story())


@pytest.mark.parametrize(
    ("machines", "options", "expected"),
    [
        ([{"CPU": 2}], Options(), (1, 2, 0, 1)),
        ([{"CPU": 64}, {"CPU": 16}, {}], Options(), (20, 4, 0, 2)),
        ([{"CPU": 64}], Options(actors=3, cores=8), (3, 8, 0, 1)),
        ([{"CPU": 64, "GPU": 8}, {"CPU": 8, "GPU": 4}, {"CPU": 32}], Options(), (12, 2, 1, 2)),
        ([{"CPU": 96, "GPU": 1}], Options(), (1, 16, 1, 1)),
    ],
)
def test_the_actors_are_as_many_as_fit(machines, options, expected):
    plan = clustered(machines, options).plan()
    assert (plan.actors, plan.cores, plan.gpus, plan.machines) == expected
    assert 2 <= plan.room <= 32


def test_more_actors_than_fit_are_refused():
    with pytest.raises(ModelError, match="9 actors with 1 cores each do not fit"):
        clustered([{"CPU": 8}], Options(actors=9, cores=1)).plan()


def clustered(machines: list[dict[str, float]], options: Options) -> Cluster:
    class Ray:
        @staticmethod
        def nodes() -> list[dict[str, Any]]:
            return [{"Alive": True, "Resources": machine} for machine in machines]

    cluster = Cluster.__new__(Cluster)
    cluster.ray, cluster._options = Ray, options
    return cluster


def test_addresses(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address_of("10.0.0.1:6379") == "10.0.0.1:6379"
    assert address_of(None) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert address_of(None) == "10.0.0.2:6379"
    assert address_of("local") is None
    with pytest.raises(ModelError, match="HOST:6379"):
        address_of("ray://10.0.0.1:10001")


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'dataide\[ray\]'") as caught:
        RayKernel(Options())
    assert caught.value.code == "missing_extra"


def test_all_who_wait_for_a_model_hear_that_its_actors_cannot_be_had():
    class Broken:
        def remote(self, kind: type) -> None:
            raise RuntimeError("no actors today")

    stream = io.BytesIO()
    server: Any = Server(stream, Options())
    server._cluster = SimpleNamespace(ray=Broken(), plan=lambda: Plan(1, 1, 0, 2, 1), close=lambda: None)
    for number in (1, 2, 3):
        server.take(contract.Load(number, "auto:auto/1", "auto", "auto", [], {}), bytearray())
    server.take(contract.Cancel(3), bytearray())
    server._loads.put(None)
    server.load_until_end()
    stream.seek(0)
    heard: list[Any] = [frame[0] for frame in iter(lambda: contract.read(stream), None)]
    assert [(type(one), one.request) for one in heard] == [(contract.Failed, 1), (contract.Failed, 2)]
    assert all("no actors today" in one.message for one in heard)
    for number in (1, 2):
        server.take(contract.Cancel(number), bytearray())
    left = [name for name, value in vars(server).items() if isinstance(value, dict | set) and value]
    assert not left, "of a request that is over nothing is kept"
