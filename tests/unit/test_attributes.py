"""Attributes of pictures: hand-made pictures with answers that are known beforehand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dataide.errors import ModelError
from dataide.inference.attributes import SCHEMA, describe, distance
from dataide.storage import pictures


def photo(seed: int, width: int = 500, height: int = 375) -> Image.Image:
    """Smooth random content with texture, as photos have."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    fine = np.kron(random.integers(-40, 41, (height // 2, width // 2)), np.ones((2, 2)))
    pixels = np.asarray(coarse, np.float32)
    pixels[: fine.shape[0], : fine.shape[1]] += fine[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def one(image: Image.Image | np.ndarray) -> dict[str, Any]:
    return {name: values[0] for name, values in describe([image]).items()}


def test_an_even_black_picture():
    found = one(Image.new("RGB", (40, 20)))
    assert (found["width"], found["height"], found["aspect"]) == (40, 20, 2)
    for name in ("brightness", "contrast", "entropy", "sharpness", "noise", "colourfulness", "dhash", "phash"):
        assert found[name] == 0, name
    assert found["is_grey"]
    assert (found["colour_1"], found["colour_2"], found["colour_3"]) == ("#000000", None, None)


def test_half_black_half_white():
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:, 30:] = 255
    found = one(pixels)
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert found["entropy"] == pytest.approx(1)
    assert found["is_grey"]
    assert (found["colour_1"], found["colour_2"], found["colour_3"]) == ("#000000", "#ffffff", None)
    assert found["noise"] == 0, "a straight edge is no noise"


def test_a_checkerboard_is_as_sharp_as_it_gets():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = one(board)
    # Each pixel differs by 1 from its four neighbours: the Laplacian is 4 or -4, its variance 16.
    assert found["sharpness"] == pytest.approx(16, rel=1e-3)
    assert found["noise"] == pytest.approx(np.sqrt(np.pi / 2) * 8 / 6, rel=1e-3)


def test_entropy_of_all_levels_alike_is_eight_bits():
    found = one(np.tile(np.arange(256, dtype=np.uint8), (16, 1)))
    assert found["entropy"] == pytest.approx(8)
    assert found["noise"] == 0, "a plane is no noise"


def test_blurring_lowers_sharpness_step_by_step():
    for seed in range(5):
        copies = [photo(seed).filter(ImageFilter.GaussianBlur(radius)) for radius in (0, 1, 2, 3, 5, 8)]
        sharpness = describe(copies)["sharpness"]
        assert (np.diff(sharpness) < 0).all(), sharpness


def test_sharpness_of_a_larger_copy_compares():
    small = photo(3)
    large = small.resize((1500, 1125), Image.Resampling.BICUBIC)
    first, second = describe([small, large])["sharpness"]
    assert second == pytest.approx(first, rel=0.3)


@pytest.mark.parametrize("level", [2, 5, 10, 20])
def test_noise_is_what_was_added(level):
    random = np.random.default_rng(level)
    across = np.linspace(60, 190, 400)[None].repeat(300, axis=0)
    found = one((across + random.normal(0, level, across.shape)).clip(0, 255).round().astype(np.uint8))
    assert found["noise"] * 255 == pytest.approx(level, rel=0.2)


def test_colourfulness_as_the_paper_defines_it():
    pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    red, green, blue = pixels.reshape(-1, 3).T.astype(float)
    first, second = red - green, (red + green) / 2 - blue
    expected = np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean())
    found = one(pixels)
    assert found["colourfulness"] == pytest.approx(expected, rel=1e-4)
    assert not found["is_grey"]


def test_main_colours_by_share_however_the_picture_is_turned():
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:50] = (200, 30, 30)
    pixels[50:80] = (20, 160, 40)
    pixels[80:] = (10, 20, 220)
    for turned in (pixels, pixels[::-1], pixels.transpose(1, 0, 2)):
        found = one(turned)
        assert (found["colour_1"], found["colour_2"], found["colour_3"]) == ("#c81e1e", "#14a028", "#0a14dc")


def test_jpegs_of_grey_are_grey_and_one_colour_stays_one():
    out = io.BytesIO()
    photo(2).convert("L").convert("RGB").save(out, "JPEG", quality=85)
    assert one(pictures.decode(out.getvalue()))["is_grey"]
    out = io.BytesIO()
    noisy = 120 + np.random.default_rng(0).normal(0, 2, (90, 90, 3))
    Image.fromarray(noisy.astype(np.uint8)).save(out, "JPEG", quality=85)
    found = one(pictures.decode(out.getvalue()))
    assert found["colour_1"] is not None
    assert found["colour_2"] is None


@pytest.mark.parametrize("name", ["dhash", "phash"])
def test_hashes_of_alike_pictures_are_near_and_of_others_far(name):
    originals = [photo(seed) for seed in range(12)]
    hashes = describe(originals)[name]
    resized = describe([image.resize((410, 307), Image.Resampling.BICUBIC) for image in originals])[name]
    brighter = describe([image.point(lambda level: min(255, int(level * 0.9 + 20))) for image in originals])[name]
    assert distance(hashes, resized).max() <= 6
    assert distance(hashes, brighter).max() <= 8
    others = distance(hashes[:, None], hashes)[~np.eye(len(hashes), dtype=bool)]
    assert others.min() >= 14
    assert 26 <= others.mean() <= 38


def test_bits_of_the_difference_hash():
    rising = one(np.tile(np.arange(0, 252, 7, dtype=np.uint8), (36, 1)))
    assert rising["dhash"] == 2**64 - 1, "each pixel is darker than its right neighbour"
    assert one(np.tile(np.arange(0, 252, 7, dtype=np.uint8)[::-1], (36, 1)))["dhash"] == 0
    assert distance(0, 2**64 - 1) == 64
    assert distance(5, 4) == 1


def test_the_frequency_hash_is_the_sign_of_low_frequencies_about_their_median():
    pixels = np.random.default_rng(8).integers(0, 256, (32, 32), np.uint8)
    place = np.arange(32) + 0.5
    bits = ""
    found = []
    for down in range(1, 9):
        for across in range(1, 9):
            wave = np.outer(np.cos(np.pi * down * place / 32), np.cos(np.pi * across * place / 32))
            found.append((wave * pixels).sum())
    for frequency in found:
        bits += "1" if frequency > np.median(found) else "0"
    assert one(pixels)["phash"] == int(bits, 2)


@pytest.mark.parametrize("level", [1, 77, 123, 200, 255])
def test_even_pictures_have_no_bits(level):
    found = one(np.full((50, 70), level, np.uint8))
    assert (found["dhash"], found["phash"]) == (0, 0)


def test_a_faint_tint_is_grey_and_a_visible_one_is_not():
    faint, visible = np.full((2, 30, 30, 3), 100, np.uint8)
    faint[..., 2] += 5
    visible[10:20, 10:20, 0] += 20
    assert one(faint)["is_grey"]
    assert not one(visible)["is_grey"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F", "LAB", "HSV"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (700, 1), (2, 2), (3, 3)])
def test_every_mode_and_the_smallest_sizes(mode, size):
    found = one(Image.new(mode, size))
    assert (found["width"], found["height"]) == size
    for name, kind in SCHEMA.items():
        if kind == "FLOAT":
            assert np.isfinite(found[name]), name
    assert found["noise"] == 0
    assert str(found["colour_1"]).startswith("#")


def test_sixteen_bits_and_transparency_are_seen_as_decoded():
    deep = np.zeros((32, 32), np.uint16)
    deep[:, 16:] = 65535
    assert one(deep)["brightness"] == pytest.approx(0.5)
    assert one(Image.fromarray(deep))["brightness"] == pytest.approx(0.5)
    clear = one(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))
    assert (clear["brightness"], clear["colour_1"]) == (1, "#ffffff"), "what is transparent is shown over white"
    assert one(np.zeros((20, 20, 4), np.uint8))["brightness"] == 1


def test_types_are_those_of_the_schema_and_none_is_none():
    expected = {"INTEGER": "i4", "FLOAT": "f4", "BOOLEAN": "?", "VARCHAR": "O", "UBIGINT": "u8"}
    for images in ([], [photo(0)]):
        columns = describe(images)
        assert list(columns) == list(SCHEMA)
        for name, values in columns.items():
            assert values.dtype == np.dtype(expected[SCHEMA[name]])
            assert values.shape == (len(images),)


def test_a_picture_is_the_same_alone_and_among_others():
    many = [photo(seed, 120 + seed % 3, 90) for seed in range(130)]
    together = describe(many)
    for index in (0, 63, 64, 129):
        for name, value in one(many[index]).items():
            if SCHEMA[name] == "FLOAT":
                assert value == pytest.approx(together[name][index], rel=1e-5), name
            else:
                assert value == together[name][index], name


def test_sizes_of_the_originals():
    columns = describe([photo(0), photo(1)], sizes=[(4000, 3000), (1000, 2000)])
    assert columns["width"].tolist() == [4000, 1000]
    assert columns["aspect"].tolist() == pytest.approx([4 / 3, 0.5])
    with pytest.raises(ModelError, match="2 pictures and 1 sizes"):
        describe([photo(0), photo(1)], sizes=[(4000, 3000)])


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 2), (4, 4, 3, 3)])
def test_arrays_that_are_no_pictures(shape):
    with pytest.raises(ModelError, match="Number 1 of the pictures"):
        describe([np.zeros((4, 4), np.uint8), np.zeros(shape, np.uint8)])
