"""A folder with every kind of bad file: the rest goes in, and each bad one is listed with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dataide.formats import Report, add_folder
from dataide.storage import pictures
from dataide.storage.database import Database
from dataide.storage.media import Media
from dataide.storage.thumbnails import Thumbnails
from tests.unit import poisoned_folder
from tests.unit.poisoned_folder import Poisoned


class Imported:
    def __init__(self, made: Poisoned, database: Database, media: Media, report: Report) -> None:
        self.made, self.database, self.media, self.report = made, database, media, report
        rows = (
            database.cursor()
            .execute("SELECT sample_id, sample_no, label, width_px, height_px FROM data.sample")
            .fetchall()
        )
        self.samples = {row[0]: row for row in rows}
        found = database.cursor().execute("SELECT media, code, reason, source FROM data.problem").fetchall()
        self.problems = {row[0]: row for row in found}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    folder = tmp_path_factory.mktemp("poisoned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        made = poisoned_folder.build(folder / "pets" / "pictures", folder / "outside")
        database = Database(folder / "pets" / "pets.duckdb")
        media = Media(database)
        report = add_folder(database, media, made.root, progress=False)
        yield Imported(made, database, media, report)
        media.close()
        database.close()


def test_every_good_picture_comes_in_and_every_bad_one_is_counted(imported: Imported) -> None:
    made = imported.made
    assert sorted(imported.samples) == sorted(made.good)
    assert imported.report.added == len(made.good)
    assert imported.report.problems == len(made.bad)
    assert f"{made.other} other files were left alone." in repr(imported.report)
    assert "session.problems()" in repr(imported.report)


def test_each_problem_has_its_code_and_a_reason_for_people(imported: Imported) -> None:
    codes = {name.removeprefix("pictures/"): row[1] for name, row in imported.problems.items()}
    assert codes == imported.made.bad
    for name, _, reason, source in imported.problems.values():
        assert reason.endswith((".", ")", "]")) and (reason[0].isupper() or reason[0] in "/1234567890"), (name, reason)
        assert source == "folder pictures"
        assert "Traceback" not in reason and "0x" not in reason


@pytest.mark.parametrize("kind", ["colour", "grey"])
def test_rare_formats_come_out_upright_and_in_the_right_colours(imported: Imported, kind: str) -> None:
    made = imported.made
    for name in getattr(made, kind):
        image = np.asarray(pictures.decode((made.root / name).read_bytes())).astype(int)
        assert image.shape == (poisoned_folder.HEIGHT, poisoned_folder.WIDTH, 3), name
        light, dark = (
            (poisoned_folder.LEFT, poisoned_folder.RIGHT)
            if kind == "colour"
            else (poisoned_folder.LIGHT, poisoned_folder.DARK)
        )
        assert np.abs(image[12, 10] - light).max() <= 14, (name, image[12, 10])
        assert np.abs(image[12, 30] - dark).max() <= 14, (name, image[12, 30])
        row = imported.samples[name]
        assert row[3:] == (poisoned_folder.WIDTH, poisoned_folder.HEIGHT), name


def test_thumbnails_of_all_are_what_a_browser_shows_upright(imported: Imported) -> None:
    thumbnails = Thumbnails(imported.database, imported.media)
    numbers = {row[1]: name for name, row in imported.samples.items()}
    for number, thumbnail in zip(numbers, thumbnails.get(list(numbers), 64), strict=True):
        assert thumbnail.problem is None, (numbers[number], thumbnail.problem)
        assert thumbnail.mime in ("image/png", "image/jpeg", "image/webp", "image/gif")
        image = np.asarray(pictures.decode(thumbnail.data)).astype(int)
        assert image.shape[1] > image.shape[0], numbers[number]
        assert image[12, 10].sum() != image[12, 30].sum()
        full = thumbnails.full(number, 512)
        assert (full.width_px, full.height_px, full.problem) == (poisoned_folder.WIDTH, poisoned_folder.HEIGHT, None)
    thumbnails.close()


def test_hostile_names_and_labels_are_kept_letter_by_letter(imported: Imported) -> None:
    labels = {row[2] for row in imported.samples.values()}
    assert set(poisoned_folder.HOSTILE_LABELS) <= labels
    for name in poisoned_folder.HOSTILE_NAMES:
        assert f"names/{name}" in imported.samples
    references = imported.database.cursor().execute("SELECT sample_id, media FROM data.sample").fetchall()
    for sample_id, reference in references:
        assert imported.media.read(reference) == (imported.made.root / sample_id).read_bytes()


def test_a_second_import_adds_nothing_and_lists_no_problem_twice(imported: Imported) -> None:
    again = add_folder(imported.database, imported.media, imported.made.root, progress=False)
    assert (again.added, again.skipped, again.problems) == (0, len(imported.made.good), len(imported.made.bad))
    assert imported.database.cursor().execute("SELECT count(*) FROM data.problem").fetchall() == [
        (len(imported.made.bad),)
    ]


def test_a_repaired_file_leaves_the_list_of_problems(imported: Imported) -> None:
    repaired = imported.made.root / "bad" / "empty.jpg"
    poisoned_folder.colour_picture().save(repaired, "JPEG")
    try:
        again = add_folder(imported.database, imported.media, imported.made.root, progress=False)
        left = imported.database.cursor().execute("SELECT media FROM data.problem").fetchall()
        assert again.added == 1
        assert ("pictures/bad/empty.jpg",) not in left
    finally:
        with imported.database.write() as cursor:
            cursor.execute("DELETE FROM data.sample WHERE sample_id = 'bad/empty.jpg'")
        Path(repaired).write_bytes(b"")
