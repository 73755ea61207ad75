"""Faults of pictures by their attributes: planted into real sets, and hardly flagged where there are none."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dataide.errors import DataideError, PictureError
from dataide.find.picture_issues import KINDS, find_picture_issues
from dataide.inference.attributes import describe
from dataide.storage import pictures

FILES = {"clothing": "clothing", "houses": "houses", "cifar10": "cifar10", "mnist": "mnist"}


def read(folder: Any, name: str, count: int) -> list[Image.Image]:
    import pyarrow.parquet as pq

    column = pq.read_table(folder / f"{name}.parquet", columns=["image"])["image"]
    chosen = np.random.default_rng(0).choice(len(column), count, replace=False)
    return [Image.open(io.BytesIO(column[int(row)].as_py())).convert("RGB") for row in chosen]


def planted(image: Image.Image, fault: str) -> Image.Image:
    if fault == "dark":
        return image.point(lambda level: int(level * 0.12))
    if fault == "bright":
        return image.point(lambda level: min(255, int(level * 0.3 + 200)))
    if fault == "blurred":
        return image.filter(ImageFilter.GaussianBlur(max(1.5, max(image.size) / 40)))
    return Image.new("RGB", image.size, image.getpixel((0, 0)))


@pytest.mark.parametrize("name", FILES)
def test_clean_sets_have_hardly_any(shared_data, name):
    found = find_picture_issues(describe(read(shared_data(name), FILES[name], 600)))
    for kind, issues in found.items():
        assert issues.is_issue.mean() <= 0.025, kind
        assert set(issues.reasons) == set(np.flatnonzero(issues.is_issue).tolist())


@pytest.mark.parametrize("name", ["clothing", "houses"])
def test_planted_faults_are_found(shared_data, name):
    images = read(shared_data(name), FILES[name], 600)
    clean = describe(images[20:])
    for fault in ("dark", "bright", "blurred", "low_information"):
        bad = describe([planted(image, fault) for image in images[:20]])
        found = find_picture_issues({key: np.concatenate([clean[key], bad[key]]) for key in clean})
        assert found[fault].is_issue[-20:].mean() >= 0.95, fault


def columns(count: int = 100, **changed: Any) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    values = {
        "brightness": random.normal(0.5, 0.05, count),
        "contrast": random.normal(0.2, 0.02, count),
        "entropy": random.normal(7.2, 0.2, count),
        "sharpness": np.exp(random.normal(-4, 0.3, count)),
        "width": np.full(count, 640.0),
        "height": np.full(count, 480.0),
        "is_grey": np.zeros(count),
    }
    for name, value in changed.items():
        values[name][0] = value
    return values


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("brightness", 0.02, "dark"),
        ("brightness", 0.98, "bright"),
        ("sharpness", 1e-5, "blurred"),
        ("entropy", 0.2, "low_information"),
        ("contrast", 0.0, "low_information"),
        ("width", 6_400.0, "odd_aspect"),
        ("width", 6_400.0, "odd_size"),
        ("is_grey", 1.0, "grey"),
    ],
)
def test_one_odd_picture(column, value, kind):
    found = find_picture_issues(columns(**{column: value}))
    assert found[kind].is_issue[0]
    assert found[kind].is_issue[1:].mean() <= 0.02
    assert found[kind].score[0] == found[kind].score.min()
    assert found[kind].reasons[0].endswith(".")


def test_how_a_set_is_is_no_fault():
    night = columns()
    night["brightness"] = np.random.default_rng(1).normal(0.08, 0.01, 100)
    assert not find_picture_issues(night)["dark"].is_issue.any()
    grey = columns()
    grey["is_grey"][:40] = 1
    assert not find_picture_issues(grey)["grey"].is_issue.any()
    lying = columns()
    lying["width"][::2], lying["height"][::2] = 480, 640
    assert not find_picture_issues(lying)["odd_aspect"].is_issue.any()


def test_broken_files(shared_data):
    import pyarrow.parquet as pq

    data = pq.read_table(shared_data("clothing") / "clothing.parquet", columns=["image"])["image"][:40].to_pylist()
    errors: list[str | None] = []
    for row, encoded in enumerate(data):
        try:
            pictures.decode(encoded[: len(encoded) // 2] if row < 10 else encoded)
            errors.append(None)
        except PictureError as error:
            errors.append(error.code)
    found = find_picture_issues({}, errors=errors)["truncated"]
    assert found.is_issue[:10].all() and not found.is_issue[10:].any()
    assert found.reasons[0] == "The file is damaged: truncated."


def test_hardly_anything():
    assert find_picture_issues({}) == {}
    for count in (0, 1, 3):
        few = {name: values[:count] for name, values in columns().items()}
        found = find_picture_issues(few, errors=[None] * count)
        assert set(found) == set(KINDS)
        assert not any(issues.is_issue.any() for issues in found.values())
    lost = columns(brightness=np.nan)
    assert find_picture_issues(lost)["dark"].score[0] == 1
    masked: Any = np.ma.masked_array(np.full(20, 0.5), mask=np.arange(20) == 0)
    assert find_picture_issues({"brightness": masked})["dark"].score[0] == 1
    with pytest.raises(DataideError, match="different lengths: 2, 3"):
        find_picture_issues({"brightness": np.ones(2), "entropy": np.ones(3)})
