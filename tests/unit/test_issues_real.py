"""Issues of real pictures: wrong labels and copies that were planted are found, and can be put right in one step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataide as di
from dataide.api import Session
from dataide.find.finding import IssueReport, find_issues
from dataide.find.issue_list import Issues
from dataide.inference.kernel import kernel_of

COUNT, COPIES = 800, 30
Find = Callable[[str], Path]


@contextmanager
def planted(source: Path, folder: Path, seed: int) -> Iterator[tuple[Session, dict[str, str], set[str]]]:
    """Pictures drawn at random: 5 % with another label, 30 of them a second time, larger and as JPEG.

    Lends the session, the true labels of those that were made wrong, and the ids of the copied and the copies.
    """
    random = np.random.default_rng(seed)
    table = pq.read_table(source, columns=["image", "label"])
    table = table.take(np.sort(random.permutation(table.num_rows)[:COUNT]))
    encoded = [one["bytes"] if isinstance(one, dict) else one for one in table.column("image").to_pylist()]
    labels = [str(label) for label in table.column("label").to_pylist()]
    classes = sorted(set(labels))
    folder.mkdir()
    truth, names = {}, [f"p{number:04}" for number in range(COUNT)]
    for number in random.permutation(COUNT)[: COUNT // 20].tolist():
        truth[names[number]] = labels[number]
        labels[number] = classes[(classes.index(labels[number]) + int(random.integers(1, len(classes)))) % len(classes)]
    for name, data in zip(names, encoded, strict=True):
        (folder / f"{name}.png").write_bytes(data)
    copied = set()
    for number in random.permutation(COUNT)[:COPIES].tolist():
        picture = Image.open(io.BytesIO(encoded[number])).convert("RGB")
        name = f"q{number:04}"
        picture.resize((picture.width * 3 // 2, picture.height * 3 // 2)).save(folder / f"{name}.png")
        copied |= {names[number], name}
        names.append(name)
        labels.append(labels[number])
    with di.open(folder.parent / "real.duckdb") as session:
        session.add_folder(folder, progress=False)
        database = session.context.database
        known = dict(zip(names, labels, strict=True))
        with database.write() as cursor:
            rows = [(known[one.split(".")[0]], one) for one in session.ids()]
            cursor.executemany("UPDATE data.sample SET label = ? WHERE sample_id = ?", rows)
        yield session, truth, copied


@pytest.mark.once
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_wrong_labels_and_copies_of_digits(shared_data: Find, tmp_path: Path, seed: int) -> None:
    source = shared_data("mnist") / "mnist.parquet"
    with planted(source, tmp_path / "pictures", seed) as (session, truth, copied):
        context = session.context
        report = find_issues(
            context.database, context.media, session.where().nos(), ["label", "near_duplicate"],
            kernel=kernel_of(context),
        )  # fmt: skip
        assert isinstance(report, IssueReport)
        listed = Issues(context, "label").to_arrow().to_pylist()
        found = {row["sample_id"].split(".")[0]: row["proposal"] for row in listed}
        right = sum(found.get(name) == label for name, label in truth.items())
        assert right >= 0.85 * len(truth), "found, and the true label proposed"
        strange = [name for name in found if name not in truth and name.replace("q", "p") not in truth]
        assert len(strange) <= 0.03 * COUNT
        copies = {one.split(".")[0] for one in Issues(context, "near_duplicate").to_arrow()["sample_id"].to_pylist()}
        assert len(copied & copies) >= 0.9 * len(copied)
        done = Issues(context, "label").accept(confidence=0.9)
        labels = {row["sample_id"].split(".")[0]: row["label"] for row in session.where()}
        assert done.count and sum(labels[name] == label for name, label in truth.items()) >= 0.7 * len(truth)
        session.undo()
        assert len(Issues(context, "label")) == len(listed)


def test_planted_copies_of_photos(shared_data: Find, tmp_path: Path) -> None:
    with planted(shared_data("cifar10") / "cifar10.parquet", tmp_path / "pictures", 0) as (session, _, copied):
        context = session.context
        report = find_issues(
            context.database, context.media, session.where().nos(), "near_duplicate", kernel=kernel_of(context)
        )
        assert isinstance(report, IssueReport) and not report.skipped
        found = {one.split(".")[0] for one in Issues(context, "near_duplicate").to_arrow()["sample_id"].to_pylist()}
        assert len(copied & found) >= 0.95 * len(copied)
        assert len(found - copied) <= 0.02 * COUNT
