"""From a reference to bytes, and only from where a session may read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataide.errors import DataideError, MediaError
from dataide.formats import add_folder, add_frame, add_parquet
from dataide.storage import parquet_rows
from dataide.storage.database import Database
from dataide.storage.media import Media
from dataide.storage.trust import state_folder


def png(value: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), value).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the session, beside others that it may not read."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "session").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.png").write_bytes(png(9))
    return tmp_path


@pytest.fixture
def database(place: Path) -> Iterator[Database]:
    opened = Database(place / "session" / "pets.duckdb")
    yield opened
    opened.close()


def refused(media: Media, ref: str) -> MediaError:
    with pytest.raises(MediaError) as refusal:
        media.read(ref)
    return refusal.value


def test_a_strangers_session_cannot_read_outside_of_its_folder(place: Path, database: Database) -> None:
    media = Media(database)
    (place / "session" / "inside.png").write_bytes(png(1))
    secret = place / "elsewhere" / "secret.png"
    (place / "session" / "link.png").symlink_to(secret)
    (place / "session" / "links").symlink_to(secret.parent)
    assert media.read("inside.png") == png(1)
    for ref in (
        str(secret),
        "../elsewhere/secret.png",
        "sub/../../elsewhere/secret.png",
        "link.png",
        "links/secret.png",
        secret.as_uri(),
        f"parquet:{secret}#image:0",
        "parquet:../elsewhere/secret.png#image:0",
        "/etc/hostname",
    ):
        error = refused(media, ref)
        assert error.code == "outside", ref
        assert error.hint is not None and "di.open(path, allow=[" in error.hint
    assert refused(media, "https://127.0.0.1:9/x.png").code == "outside"
    assert refused(media, "simplecache::https://127.0.0.1:9/x.png").code == "missing"  # no address, and no such file


def test_a_folder_whose_name_only_begins_alike_is_outside(place: Path, database: Database) -> None:
    (place / "session-two").mkdir()
    (place / "session-two" / "x.png").write_bytes(png())
    assert refused(Media(database), "../session-two/x.png").code == "outside"


def test_allow_opens_a_folder_for_this_process_only(place: Path, database: Database) -> None:
    assert Media(database, [place / "elsewhere"]).read("../elsewhere/secret.png") == png(9)
    assert refused(Media(database), "../elsewhere/secret.png").code == "outside"


def test_what_an_import_brought_in_is_readable_after_reopening_on_this_machine_only(
    place: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_folder(database, Media(database), place / "elsewhere", progress=False)
    ref = database.cursor().execute("SELECT media FROM data.sample").fetchall()[0][0]
    assert Media(database).read(ref) == png(9)
    everything = (place / "session" / "pets.duckdb").read_bytes()
    assert b"elsewhere" not in everything.replace(ref.encode(), b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "another-user"))
    assert refused(Media(database), ref).code == "outside"


def test_a_file_put_in_the_place_of_a_session_inherits_no_leave(place: Path) -> None:
    path = place / "session" / "pets.duckdb"
    mine = Database(path)
    Media(mine).grant(place / "elsewhere")
    mine.close()
    path.unlink()
    strangers = Database(path)
    assert refused(Media(strangers), "../elsewhere/secret.png").code == "outside"
    strangers.close()


def test_a_damaged_or_read_only_state_folder_breaks_nothing(place: Path, database: Database) -> None:
    media = Media(database)
    media.grant(place / "elsewhere")
    for file in (state_folder() / "grants").iterdir():
        file.write_text("{")
    media = Media(database)
    assert refused(media, "../elsewhere/secret.png").code == "outside"
    grants = state_folder() / "grants"
    for file in grants.iterdir():
        file.unlink()
    grants.rmdir()
    grants.write_text("a file where the folder should be")
    media.grant(place / "elsewhere")
    assert media.read("../elsewhere/secret.png") == png(9)


def test_references_are_relative_below_the_session_and_absolute_elsewhere(place: Path, database: Database) -> None:
    media = Media(database)
    below = place / "session" / "pictures" / "a#b.png"
    assert media.relative(below) == "pictures/a#b.png"
    assert media.relative(place / "elsewhere" / "secret.png") == (place / "elsewhere" / "secret.png").as_posix()
    assert media.relative(place / "session") == "."
    for name in ("blob:1.png", "parquet:x#y:0", "https:"):
        ref = media.relative(place / "session" / name)
        (place / "session" / name).write_bytes(png(3))
        assert media.read(ref) == png(3)


def test_a_moved_folder_with_its_session_still_finds_its_pictures(place: Path) -> None:
    folder = place / "session"
    (folder / "cat").mkdir()
    (folder / "cat" / "1.png").write_bytes(png(4))
    database = Database(folder / "pets.duckdb")
    add_folder(database, Media(database), folder / "cat", progress=False)
    database.close()
    folder.rename(place / "moved")
    database = Database(place / "moved" / "pets.duckdb")
    ref = database.cursor().execute("SELECT media FROM data.sample").fetchall()[0][0]
    assert Media(database).read(ref) == png(4)
    database.close()


def test_many_references_are_read_together_and_each_says_its_own_trouble(place: Path, database: Database) -> None:
    media = Media(database)
    add_frame(database, media, [{"image": png(n)} for n in range(3)], media="image", progress=False)
    blobs = [ref for (ref,) in database.cursor().execute("SELECT media FROM data.sample ORDER BY sample_no").fetchall()]
    (place / "session" / "a.png").write_bytes(png(7))
    refs = [blobs[2], "a.png", "gone.png", "blob:none", blobs[0], "", "parquet:broken", "\0"]
    answers = media.read_many(refs)
    assert [answers[0], answers[1], answers[4]] == [png(2), png(7), png(0)]
    assert all(isinstance(answers[place], DataideError) for place in (2, 3, 5, 6, 7))
    if os.name != "nt":
        os.mkfifo(place / "session" / "pipe.png")
        assert refused(media, "pipe.png").code == "not_a_file"


def parquet(path: Path, values: list[Any], **options: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"odd #:name": values, "n": list(range(len(values)))}), path, **options)


def test_rows_of_parquet_are_read_in_place_across_row_groups(
    place: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "elsewhere" / "pictures.parquet"
    parquet(path, [png(n) for n in range(100)], row_group_size=16)
    media = Media(database)
    add_parquet(database, media, path, media="odd #:name", progress=False)
    refs = [ref for (ref,) in database.cursor().execute("SELECT media FROM data.sample ORDER BY sample_no").fetchall()]
    order = [99, 0, 15, 16, 50, 0]
    assert media.read_many([refs[n] for n in order]) == [png(n) for n in order]
    # A row group too large to keep is streamed.
    monkeypatch.setattr(parquet_rows, "LARGEST_KEPT_BYTES", 1)
    assert Media(database).read_many([refs[n] for n in order]) == [png(n) for n in order]
    base = refs[0].rpartition(":")[0]
    assert refused(media, f"{base}:100").code == "missing"
    # Row 3 is another picture now: said so, and not shown. References of earlier versions do not know.
    held = path.read_bytes()
    parquet(path, [png(200 + n) for n in range(50)])
    os.utime(path, ns=(1, 1))
    error = refused(media, refs[3])
    assert error.code == "changed" and "on_conflict='replace'" in str(error)
    assert media.read(f"{base}:3") == png(203)
    path.write_bytes(b"no parquet any more")
    assert refused(media, refs[3]).code == "changed"
    assert refused(media, f"{base}:3").code == "unreadable"
    # The same file, copied back, is the same.
    path.write_bytes(held)
    assert media.read(refs[3]) == png(3)


@pytest.mark.parametrize("small", [True, False], ids=["read whole", "looked into"])
def test_a_parquet_file_with_other_pictures_of_the_same_size_is_another_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if not small:
        monkeypatch.setattr(parquet_rows, "SMALL_FILE_BYTES", 0)
    path = place / "x.parquet"
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False, "row_group_size": 4}
    parquet(path, [bytes([n]) * 3000 for n in range(10)], **options)
    before, size = parquet_rows.stamp(str(path), "odd #:name"), path.stat().st_size
    parquet(path, [bytes([n]) * 3000 for n in range(10)], **options)
    assert parquet_rows.stamp(str(path), "odd #:name") == before
    parquet(path, [bytes([n + 1]) * 3000 for n in range(10)], **options)
    assert path.stat().st_size == size
    assert parquet_rows.stamp(str(path), "odd #:name") != before


def test_hugging_face_cells_of_bytes_and_path(place: Path, database: Database) -> None:
    (place / "elsewhere" / "beside.png").write_bytes(png(5))
    path = place / "elsewhere" / "hf.parquet"
    parquet(
        path,
        [
            {"bytes": png(1), "path": "x.png"},
            {"bytes": None, "path": "beside.png"},
            {"bytes": None, "path": "../session/pets.duckdb"},
            None,
        ],
    )
    media = Media(database)
    report = add_parquet(database, media, path, media="odd #:name", progress=False)
    assert (report.added, report.problems) == (2, 2)
    refs = [ref for (ref,) in database.cursor().execute("SELECT media FROM data.sample ORDER BY sample_no").fetchall()]
    assert media.read_many(refs) == [png(1), png(5)]


def test_one_broken_parquet_file_among_good_ones_is_a_problem(place: Path, database: Database) -> None:
    parquet(place / "elsewhere" / "a.parquet", [png(1)])
    (place / "elsewhere" / "b.parquet").write_bytes(b"PAR1 but no more")
    parquet(place / "elsewhere" / "c.parquet", [png(3)])
    report = add_parquet(
        database, Media(database), place / "elsewhere" / "*.parquet", media="odd #:name", progress=False
    )
    assert (report.added, report.problems) == (2, 1)
    assert database.cursor().execute("SELECT sample_id FROM data.sample ORDER BY 1").fetchall() == [("a:0",), ("c:0",)]
