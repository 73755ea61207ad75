"""How many pictures go to a network at once: doubled as long as that is worth it."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.inference import pump
from dataide.inference.job import Job

COUNT = 60


class Curve:
    """A computer whose batches take so long: a fixed part, and another for each picture."""

    revision = "1"

    def __init__(self, fixed_s: float, each_s: float, most: int | None = None) -> None:
        self.details: dict[str, Any] = {}
        self.sizes: list[int] = []
        self._sent: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._fixed_s, self._each_s, self._most = fixed_s, each_s, most

    def begin(self, say: Callable[[str], None] = lambda sentence: None) -> None:
        return None

    def send(self, batch: int, data: list[bytes]) -> bool:
        self._sent.put((batch, len(data)))
        return True

    def receive(self) -> pump.Answer:
        batch, count = self._sent.get()
        self.sizes.append(count)
        if self._most is not None and count > self._most:
            self.details = {"largest_batch": self._most}
        vectors = np.ones((count, 2), np.float32)
        return pump.Answer(batch, {"vectors": vectors}, [], self._fixed_s + count * self._each_s, self.details)

    def end(self) -> None:
        return None

    def close(self) -> None:
        return None


class Pictures:
    """Work of so many pictures, which keeps what it is given."""

    def __init__(self, count: int) -> None:
        self.pending_refs = [str(number) for number in range(count)]
        self.positions: list[int] = []

    def read(self, first: int, last: int) -> list[bytes]:
        return [b"picture"] * (last - first)

    def unreadable(self, problems: list[tuple[str, str, str]]) -> None:
        raise AssertionError(problems)

    def commit(self, results: pump.Results, revision: str) -> None:
        for positions, arrays in results.batches:
            assert len(positions) == len(arrays["vectors"])
            self.positions += positions.tolist()


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four batches under way, on any machine."""
    monkeypatch.setattr(pump, "cores", lambda: 2)


def pumped(computer: Curve, count: int, batch_size: int | None = None) -> list[int]:
    """The sizes of the batches in which so many pictures went through."""
    work = Pictures(count)

    def run(job: Job[list[int]]) -> list[int]:
        pump.Pump(work, computer, batch_size=batch_size, job=job, verb="computing").run()
        return computer.sizes

    sizes = Job(run, verb="Job", owner=work).complete(None)
    assert work.positions == list(range(count)), "each once, in order"
    return sizes


def test_batches_grow_as_long_as_that_is_worth_it():
    # 16 in 24 ms are 667 a second, 32 in 40 are 800, 64 in 72 are 889, 128 in 136 are 941, 256 in 264 are 970, and
    # 512 in 520 are 985: less than a fiftieth more.
    sizes = pumped(Curve(0.008, 0.001), 20_000)
    assert sizes[0] == pump.FIRST_BATCH
    assert sorted(set(sizes[:-1])) == [16, 32, 64, 128, 256, 512]
    assert set(sizes[len(sizes) * 3 // 4 : -1]) == {256}


def test_batches_stay_small_where_a_query_would_wait_for_long():
    # 16 in 0.4 s, 32 in 0.7 s: 64 would be quicker still, and a query would wait for longer than a second.
    assert set(pumped(Curve(0.1, 0.02), 2_000)[:-1]) == {16, 32}
    assert set(pumped(Curve(1.0, 0.05), 2_000)[:-1]) == {16}


def test_batches_that_do_not_fit_into_memory_are_not_made_again():
    sizes = pumped(Curve(0.016, 0.001, most=48), 5_000)
    assert set(sizes[:-1]) == {16, 32, 64, 48}
    assert set(sizes[len(sizes) // 2 : -1]) == {48}


def test_a_batch_size_that_is_given_holds():
    assert set(pumped(Curve(0.016, 0.001), 1_000, 50)) == {50}


def test_small_work_is_not_kept_waiting_for_large_batches():
    assert pumped(Curve(0.016, 0.001), 24) == [16, 8]


@pytest.fixture
def session(tmp_path) -> Iterator[di.Session]:
    (tmp_path / "pictures").mkdir()
    random = np.random.default_rng(0)
    for index in range(COUNT):
        Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).save(out := io.BytesIO(), "PNG")
        (tmp_path / "pictures" / f"{index}.png").write_bytes(out.getvalue())
    with di.open(tmp_path / "case.duckdb") as opened:
        opened.add_folder(tmp_path / "pictures", progress=False)
        yield opened


def test_batches_of_a_network_grow_in_the_real_process_until_memory_is_short(session, monkeypatch):
    torch = pytest.importorskip("torch")
    from torchvision.transforms import ToTensor

    class Greedy(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(12 * 12 * 3, 4)

        def forward(self, batch: Any) -> Any:
            if len(batch) > 5:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB.")
            return self.last(batch.flatten(1))

    monkeypatch.setattr(pump, "FIRST_BATCH", 2)
    sizes: list[int] = []
    hear = pump.BatchSize.hear

    def heard(self: pump.BatchSize, count: int, answer: pump.Answer) -> None:
        sizes.append(count)
        # The clock of a busy machine may say anything; here a batch takes as long as any other.
        hear(self, count, answer._replace(seconds=0.01))

    monkeypatch.setattr(pump.BatchSize, "hear", heard)
    report = session.embed(Greedy(), transform=ToTensor(), name="grown", progress=False)
    assert report.embedded == sum(sizes) == COUNT
    assert sizes[0] == 2 and 8 in sizes, "it grew to what does not fit"
    assert sizes[-2] in (4, 8) and not {16, 32} & set(sizes), "and no further"
    used = session.sql("SELECT count(*) AS n FROM vector_grown").to_arrow()["n"].to_pylist()
    assert used == [COUNT]


def test_a_commit_that_fails_is_not_tried_again_and_the_reading_ends(monkeypatch):
    monkeypatch.setattr(pump, "COMMIT_PICTURES", 16)
    tried: list[int] = []

    class Full(Pictures):
        def commit(self, results: pump.Results, revision: str) -> None:
            tried.append(results.count)
            raise OSError("the disk is full")

    work = Full(200)

    def run(job: Job[None]) -> None:
        pump.Pump(work, Curve(0.01, 0.001), batch_size=16, job=job, verb="computing").run()

    with pytest.raises(OSError, match="disk is full"):
        Job(run, verb="Job", owner=work).complete(None)
    assert tried == [16]
    assert not [thread for thread in threading.enumerate() if thread.name == "dataide read pictures"]
