"""Interrupted imports, processes that die, and what an import costs."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dataide.formats import add_arrays, add_folder
from dataide.formats import ingest as ingest_room
from dataide.storage import looking
from tests.unit.test_ingest import Opened, make_folder, png


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    session = Opened(tmp_path)
    yield session
    session.media.close()
    session.database.close()


def test_ctrl_c_keeps_what_was_committed_and_the_next_call_goes_on(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_room, "COMMIT_SAMPLES", 100)
    root = make_folder(opened.folder / "pictures", 900)

    def stop(done: int, total: int | None, sentence: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dataide.formats.progress.FIRST_AFTER_S", 0)
    with pytest.raises(KeyboardInterrupt):
        add_folder(opened.database, opened.media, root, progress=stop)
    (kept,) = opened.sql("SELECT count(*) FROM data.sample")[0]
    assert 0 < kept < 900
    report = add_folder(opened.database, opened.media, root, progress=False)
    assert (report.added, report.skipped) == (900 - kept, kept)
    assert [row[0] for row in opened.sql("SELECT sample_no FROM data.sample ORDER BY 1")] == list(range(900))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_real_interrupt_of_a_script_without_a_main_guard(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", 3000)
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from dataide.formats import add_folder, ingest
            from dataide.formats import progress
            from dataide.storage.database import Database
            from dataide.storage.media import Media
            print("started", flush=True)
            progress.FIRST_AFTER_S = progress.EVERY_S = 0
            ingest.COMMIT_SAMPLES, ingest.LARGEST_JOB = 64, 64
            database = Database("pets.duckdb")
            try:
                add_folder(database, Media(database), "pictures", progress=lambda *_: print("moves", flush=True))
            except KeyboardInterrupt:
                pass
            print("kept", database.cursor().execute("SELECT count(*) FROM data.sample").fetchone()[0])
            database.close()
            """
        )
    )
    environment = {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(ingest_room.__file__).parents[2]),
    }
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "moves\n":
            process.send_signal(signal.SIGINT)
            break
    words = process.stdout.read().split()
    assert process.wait(30) == 0
    assert words.count("started") == 0  # once above; a pool that imports the script again would print it again
    assert 0 < int(words[words.index("kept") + 1]) <= 3000


def test_a_picture_that_kills_a_process_is_one_problem_and_the_rest_comes_in(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(opened.folder / "pictures", 400)
    killer = root / "cat" / "killer.png"
    killer.write_bytes(png(7) + b"KILL")
    boot = (
        "import sys, pickle, os; sys.path[:] = pickle.load(sys.stdin.buffer)\n"
        "from dataide.storage import looking\n"
        "sound = looking.read_regular\n"
        "def read(path):\n"
        "    data = sound(path)\n"
        "    os._exit(139) if data.endswith(b'KILL') else None\n"
        "    return data\n"
        "looking.read_regular = read\n"
        "looking.serve()\n"
    )
    monkeypatch.setattr("dataide.formats.workers._BOOT", boot)
    report = add_folder(opened.database, opened.media, root, progress=False)
    assert (report.added, report.problems) == (400, 1)
    assert opened.sql("SELECT media, code FROM data.problem") == [("pictures/cat/killer.png", "unreadable")]


def test_where_no_process_can_be_started_the_import_works_all_the_same(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    report = add_folder(opened.database, opened.media, make_folder(opened.folder / "pictures", 400), progress=False)
    assert report.added == 400


def test_processes_that_die_at_once_do_not_stop_the_import(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataide.formats.workers._BOOT", "import sys; sys.exit(3)")
    report = add_folder(opened.database, opened.media, make_folder(opened.folder / "pictures", 400), progress=False)
    assert report.added == 400


def test_progress_is_called_with_a_rate_and_nothing_is_printed_without_a_terminal(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dataide.formats.progress.FIRST_AFTER_S", 0)
    heard: list[tuple[int, int | None, str]] = []
    root = make_folder(opened.folder / "pictures", 300)
    add_folder(opened.database, opened.media, root, progress=lambda *said: heard.append(said))
    assert heard and "a second" in heard[0][2]
    add_folder(opened.database, opened.media, root, on_conflict="replace")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_looking_never_loads_pandas_or_the_database() -> None:
    code = (
        "import sys; from dataide.storage import looking; looking.look_at([]); "
        "print([name for name in ('duckdb', 'numpy', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(looking.__file__).parents[2]
    )
    assert answer.stdout.strip() == "[]"


def test_ten_thousand_pictures_are_no_burden(opened: Opened) -> None:
    """A bound far above what it takes, to notice work that grows with the square."""
    images = np.random.default_rng(0).integers(0, 255, (10_000, 12, 12), np.uint8)
    started = time.process_time()
    assert add_arrays(opened.database, opened.media, images, progress=False).added == 10_000
    assert time.process_time() - started < 5
