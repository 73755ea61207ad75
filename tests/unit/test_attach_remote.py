"""Object storage: read in place, unreachable, changed; pictures behind addresses that are fetched when looked at."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataide as di
from dataide.errors import DataideError, ImportProblem, MediaError
from dataide.storage import addresses, downloads, remote_files
from dataide.storage.downloads import Downloads


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), value).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[di.Session]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with di.open(tmp_path / "s.duckdb") as opened:
        yield opened


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "WAITS_S", (0.0, 0.0, 0.0))


@pytest.fixture
def bucket() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    for path in ("/shop", "/other"):
        if files.exists(path):
            files.rm(path, recursive=True)
    yield files
    for path in ("/shop", "/other"):
        if files.exists(path):
            files.rm(path, recursive=True)


def put(files: Any, path: str, table: pa.Table) -> None:
    with files.open(path, "wb") as file:
        pq.write_table(table, file, row_group_size=1000)


def numbers(start: int, count: int, **more: Any) -> pa.Table:
    return pa.table({"n": range(start, start + count), "kind": ["a", "b"] * (count // 2), **more})


class Server(ThreadingHTTPServer):
    """Answers as its plan says: for each path a list of answers, the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        self.plan: dict[str, list[Any]] = {}
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            number = self.server.asked[self.path]
            self.server.asked[self.path] += 1
        plan = self.server.plan.get(self.path, [404])
        answer = plan[min(number, len(plan) - 1)]
        if answer == "hang up":
            self.connection.close()
        elif isinstance(answer, int):
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            data, promised = answer if isinstance(answer, tuple) else (answer, len(answer))
            self.send_response(200)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


# Object storage ----------------------------------------------------------------------------------------------------


def test_a_bucket_is_read_in_place_and_only_the_stretches_that_are_needed(session: di.Session, bucket: Any) -> None:
    random = os.urandom(3_000_000)
    wide = pa.array([random[n * 3000 : (n + 1) * 3000] for n in range(1000)])
    put(bucket, "/shop/kind=x/1.parquet", numbers(0, 1000, wide=wide).drop_columns(["kind"]))
    put(bucket, "/shop/kind=y/2.parquet", numbers(1000, 1000, wide=wide).drop_columns(["kind"]))
    candidates = session.attach("c", "memory://shop")
    assert repr(candidates) == "2,000 rows of 'c' (2 Parquet files of memory://shop)"
    assert candidates.where("n >= 900").counts("kind") == {"y": 1000, "x": 100}
    drawn = candidates.sample(10, by="kind", seed=4)
    assert drawn.counts("kind") == {"x": 5, "y": 5}
    again = candidates.sample(10, by="kind", seed=4)
    assert drawn.to_arrow(["n"]).to_pylist() == again.to_arrow(["n"]).to_pylist()
    system = candidates._source._system
    assert system is not None and system.bytes_read < 3_000_000
    report = drawn.add(media=None, progress=False)
    assert report.added == 10
    added = session.to_pandas()
    rows = zip(added["kind"], added["n"], strict=True)
    assert added["sample_id"].tolist() == [f"kind={k}/{'xy'.index(k) + 1}:{n % 1000}" for k, n in rows]
    assert "wide" not in added
    one = session.attach("one", "memory://shop/kind=x/1.parquet").where("n < 3")
    assert one.add(media=None, progress=False).added == 3
    assert len(session.attach("some", "memory://shop/*/*.parquet")) == 2000


def test_pictures_inside_a_bucket_come_into_the_session(session: di.Session, bucket: Any) -> None:
    put(bucket, "/shop/p.parquet", pa.table({"image": [png(n) for n in range(40)], "n": range(40)}))
    assert session.attach("c", "memory://shop/p.parquet").where("n % 8 = 1").add(progress=False).added == 5
    seen = session.to_pandas()
    assert all(ref.startswith("blob:") for ref in seen["media"])
    shades = [Image.open(io.BytesIO(session.context.media.read(ref))).getpixel((0, 0)) for ref in seen["media"]]
    assert shades == seen["n"].tolist() == [1, 9, 17, 25, 33]


def test_a_file_in_a_bucket_that_changes_is_an_error_and_nothing_is_added(session: di.Session, bucket: Any) -> None:
    put(bucket, "/shop/p.parquet", numbers(0, 200))
    chosen = session.attach("c", "memory://shop/p.parquet").sample(10)
    assert len(chosen) == 10
    put(bucket, "/shop/p.parquet", numbers(5, 200))
    with pytest.raises(ImportProblem, match=r"memory://shop/p\.parquet has changed") as refusal:
        chosen.add(media=None, progress=False)
    assert refusal.value.code == "changed" and len(session) == 0


class Broken(fsspec.AbstractFileSystem):
    """A bucket behind a line that fails; `memory` behind it has the files."""

    protocol = "broken"
    cachable = False
    failing = 0
    hanging = False
    reads = 0

    def _answer(self, work: Any) -> Any:
        Broken.reads += 1
        if Broken.hanging:
            threading.Event().wait(30)
        if Broken.failing:
            Broken.failing -= 1
            raise ConnectionResetError("the line went dead")
        return work(fsspec.filesystem("memory"))

    def info(self, path: str, **_: Any) -> Any:
        return self._answer(lambda files: files.info(self._strip_protocol(path)))

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> Any:
        return self._answer(lambda files: files.cat_file(path, start, end))


@pytest.fixture
def broken(bucket: Any) -> Iterator[type[Broken]]:
    fsspec.register_implementation("broken", Broken, clobber=True)
    Broken.failing, Broken.hanging, Broken.reads = 0, False, 0
    put(bucket, "/shop/p.parquet", numbers(0, 200))
    yield Broken
    Broken.failing, Broken.hanging = 0, False


def test_a_line_that_fails_now_and_then_is_asked_again(session: di.Session, broken: type[Broken]) -> None:
    broken.failing = 2
    candidates = session.attach("c", "broken://shop/p.parquet")
    broken.failing = 3
    assert candidates.where("n < 10").add(media=None, progress=False).added == 10


def test_a_bucket_that_cannot_be_reached_is_said_so_in_time_and_nothing_is_half_added(
    session: di.Session, broken: type[Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.failing = 1000
    with pytest.raises(
        ImportProblem, match=r"broken://shop/p\.parquet cannot be reached: the line went dead"
    ) as refusal:
        session.attach("c", "broken://shop/p.parquet")
    assert refusal.value.code == "unreachable" and "storage_options" in str(refusal.value.hint)
    broken.failing = 0
    candidates = session.attach("c", "broken://shop/p.parquet")
    broken.failing = 1000
    for use in (
        lambda: candidates.where("n < 10").add(media=None, progress=False),
        lambda: len(candidates.where("n = 3")),
    ):
        with pytest.raises(ImportProblem, match="cannot be reached: the line went dead"):
            use()
    assert len(session) == 0
    broken.failing, broken.hanging = 0, True
    monkeypatch.setattr(addresses, "TIMEOUT_S", 0.2)
    began = time.monotonic()
    with pytest.raises(ImportProblem, match="did not answer within"):
        session.attach("d", "broken://shop/p.parquet")
    assert time.monotonic() - began < 5
    assert list(session.attached) == ["c"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://other/none.parquet", "nothing at memory://other"),
        ("memory://other/*.parquet", "no file memory://other"),
        ("nowhere://x/y.parquet", "nowhere"),
        ("simplecache::memory://other/x.parquet", "chains"),
    ],
)
def test_an_address_with_nothing_behind_it(session: di.Session, bucket: Any, url: str, said: str) -> None:
    with pytest.raises(ImportProblem, match=said):
        session.attach("c", url)
    assert session.attached == {}


def test_duckdb_reaches_the_attached_files_of_a_bucket_only(session: di.Session, bucket: Any) -> None:
    put(bucket, "/shop/a.parquet", numbers(0, 10))
    put(bucket, "/shop/b.parquet", numbers(0, 10))
    candidates = session.attach("c", "memory://shop/a.parquet")
    for other in ("memory://shop/b.parquet", "attached://0/shop/b.parquet", "attached://1/shop/a.parquet"):
        with pytest.raises(DataideError):
            candidates.sql(f"SELECT * FROM read_parquet('{other}')")
    lent = remote_files.RemoteFiles(bucket, candidates._source.remote[1])  # type: ignore[index]
    assert not lent.exists("attached://0/shop/b.parquet")
    with pytest.raises(FileNotFoundError):
        lent.open("attached://0/shop/b.parquet")
    with pytest.raises(PermissionError):
        lent.open(lent.names()[0], "wb")


# Pictures behind addresses --------------------------------------------------------------------------------------


def test_addresses_wait_until_somebody_looks(session: di.Session, server: Server) -> None:
    server.plan = {f"/{n}.png": [png(n)] for n in range(30)}
    frame = pa.table({"image": [server.url(f"/{n}.png") for n in range(30)], "label": ["a", "b"] * 15})
    report = session.attach("c", frame).add(progress=False)
    assert (report.added, report.problems) == (30, 0) and "when they are looked at" in repr(report)
    assert not server.asked
    assert session.to_pandas()["width_px"].isna().all()
    first, again = (session.context.thumbnails.get([3, 4], 64) for _ in range(2))
    assert [Image.open(io.BytesIO(one.data)).getpixel((0, 0)) for one in first] == [3, 4] and first == again
    assert server.asked == {"/3.png": 1, "/4.png": 1}
    assert session.context.thumbnails.full(5, 512).width_px == 8
    session.take(8).embed(progress=False)
    assert server.asked == {f"/{n}.png": 1 for n in range(8)}
    path = session.context.database.path
    session.close()
    server.plan = {}
    with di.open(path) as reopened:
        assert reopened.context.thumbnails.get([3], 64)[0].problem is None
        assert reopened.problems().empty


def test_fetch_now_looks_at_each_picture(session: di.Session, server: Server) -> None:
    server.plan = {"/0.png": [503, "hang up", png(0)], "/1.png": [png(1)], "/2.png": [404]}
    frame = pa.table({"image": [server.url(f"/{n}.png") for n in range(3)]})
    report = session.attach("c", frame).add(fetch="now", progress=False)
    assert (report.added, report.problems) == (2, 1) and server.asked["/0.png"] == 3
    assert session.to_pandas()["width_px"].tolist() == [8, 8]
    assert session.problems()["code"].tolist() == ["missing"]


@pytest.mark.parametrize(
    ("plan", "code", "asked"),
    [
        ([500, 503, png(7)], None, 3),
        ([429, png(7)], None, 2),
        (["hang up", png(7)], None, 2),
        ([(png(7)[:20], len(png(7))), png(7)], None, 2),
        ([404], "missing", 1),
        ([403], "refused", 1),
        ([410], "missing", 1),
        ([400], "refused", 1),
        ([500], "busy", addresses.ATTEMPTS),
        ([(png(7)[:20], len(png(7)))], "busy", addresses.ATTEMPTS),
        (["hang up"], "unreachable", addresses.ATTEMPTS),
    ],
)
def test_what_may_pass_is_tried_again_and_what_is_final_is_not(
    server: Server, plan: list[Any], code: str | None, asked: int
) -> None:
    server.plan = {"/x.png": plan}
    if code is None:
        assert addresses.read_url(server.url("/x.png")) == png(7)
    else:
        with pytest.raises(MediaError) as refusal:
            addresses.read_url(server.url("/x.png"))
        assert refusal.value.code == code and "/x.png" in str(refusal.value)
    assert server.asked["/x.png"] == asked


def test_a_server_that_is_too_slow_ends_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "TIMEOUT_S", 0.15)
    held = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: held.wait(20))
    began = time.monotonic()
    with pytest.raises(MediaError, match="cannot be reached"):
        addresses.read_url(server.url("/x.png"))
    assert time.monotonic() - began < 8
    held.set()


def test_what_could_not_be_had_is_listed_once_with_what_to_do_and_leaves_the_list_when_it_comes(
    session: di.Session, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = {"/0.png": [png(0)], "/1.png": [404], "/2.png": [403], "/3.png": [500]}
    frame = pa.table({"image": [server.url(f"/{n}.png") for n in range(4)]})
    session.attach("c", frame).add(progress=False)
    revision = session.context.database.revision
    for _ in range(3):
        thumbs = session.context.thumbnails.get(range(4), 64)
    assert [one.problem is None for one in thumbs] == [True, False, False, False]
    # Scrolling by does not ask a second time, and looking writes nothing.
    assert server.asked == {"/0.png": 1, "/1.png": 1, "/2.png": 1, "/3.png": addresses.ATTEMPTS}
    assert session.context.database.revision == revision
    for _ in range(2):
        listed = session.problems()
        assert listed["media"].tolist() == [server.url(f"/{n}.png") for n in (1, 2, 3)]
        assert listed["code"].tolist() == ["missing", "refused", "busy"] and set(listed["source"]) == {"fetch"}
    assert "tried again" in listed["reason"][2]
    server.plan["/3.png"] = [png(3)]
    path = session.context.database.path
    session.close()
    with di.open(path) as reopened:
        assert reopened.context.thumbnails.get([3], 64)[0].problem is None
        assert reopened.problems()["code"].tolist() == ["missing", "refused"]


def test_a_server_that_is_gone_is_not_asked_for_each_picture(
    session: di.Session, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = {f"/{n}.png": ["hang up"] for n in range(40)}
    frame = pa.table({"image": [server.url(f"/{n}.png") for n in range(40)]})
    session.attach("c", frame).add(progress=False)
    thumbs = session.context.thumbnails.get(range(40), 64)
    assert all(one.problem for one in thumbs)
    assert sum(server.asked.values()) <= 8 * addresses.ATTEMPTS  # those that were under way at once
    assert len(session.problems()) == 40
    monkeypatch.setattr(downloads, "FORGET_S", 0.0)
    server.plan = {f"/{n}.png": [png(n)] for n in range(40)}
    session.context.media._downloads._failed.clear()
    assert not any(one.problem for one in session.context.thumbnails.get(range(40), 64))


def test_no_leave_to_read_without_adding(session: di.Session, server: Server) -> None:
    server.plan = {"/x.png": [png(0)]}
    session.attach("c", pa.table({"image": [server.url("/x.png")]})).counts("image")
    with pytest.raises(MediaError) as refusal:
        session.context.media.read(server.url("/x.png"))
    assert refusal.value.code == "outside" and not server.asked


# The cache -----------------------------------------------------------------------------------------------------


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_cache_stays_below_its_limit_and_drops_what_was_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return url.encode().ljust(10_000, b".")

    monkeypatch.setattr(downloads, "read_url", fetch)
    cache = Downloads(tmp_path / "d", most_bytes=200_000)
    for n in range(100):
        assert cache.get(f"http://x/{n}").startswith(f"http://x/{n}".encode())
        if n % 5 == 0:
            cache.get("http://x/0")
        for path in (tmp_path / "d").rglob("*"):
            # A clock of its own: files of one test are written within the same tick.
            if path.is_file() and path.stat().st_mtime_ns > 10**15:
                os.utime(path, ns=(n + 1, n + 1))
        assert total(tmp_path / "d") <= 200_000
    assert fetched.count("http://x/0") == 1 and len(fetched) == 100
    assert cache.get("http://x/99") and len(fetched) == 100
    assert cache.get("http://x/1") and len(fetched) == 101


def test_a_damaged_deleted_or_forbidden_cache_costs_speed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return b"picture " * 100

    monkeypatch.setattr(downloads, "read_url", fetch)
    cache = Downloads(tmp_path / "d")
    cache.get("http://x/1")
    (file,) = [path for path in (tmp_path / "d").rglob("*") if path.is_file()]
    assert "x" not in file.name
    for damage in (lambda: file.write_bytes(file.read_bytes()[:-9]), lambda: file.write_bytes(b"z" * 900), file.unlink):
        damage()
        assert cache.get("http://x/1") == b"picture " * 100 == cache.get("http://x/1")
    assert len(asked) == 4
    (tmp_path / "file").write_text("in the way")
    for nowhere in (Downloads(tmp_path / "file"), Downloads(None), Downloads(tmp_path / "e", writable=False)):
        assert nowhere.get("http://x/1") == b"picture " * 100
    assert len(asked) == 7 and not (tmp_path / "e").exists()


def test_many_threads_ask_for_the_same_picture_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    gate = threading.Event()

    def fetch(url: str) -> bytes:
        asked.append(url)
        gate.wait(10)
        return b"x" * 100

    monkeypatch.setattr(downloads, "read_url", fetch)
    cache, answers = Downloads(tmp_path / "d"), list[bytes]()
    threads = [threading.Thread(target=lambda: answers.append(cache.get("http://x/1"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert answers == [b"x" * 100] * 6 and len(asked) == 1
