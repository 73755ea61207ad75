"""Encoded bytes to pixels, numbers and thumbnails."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dataide.errors import PictureError
from dataide.storage import measures, pictures
from tests.unit import poisoned_folder


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def test_statistics_are_those_of_the_schema_and_agree_with_numpy() -> None:
    image = noise(60, 40)
    data = encoded(image, "PNG")
    found = pictures.statistics(pictures.decode(data), data)
    pixels, luma = np.asarray(image) / 255, np.asarray(image.convert("L")) / 255
    edges = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    assert tuple(found) == pictures.STATISTICS
    assert (found["width_px"], found["height_px"], found["bytes"], found["format"]) == (60, 40, len(data), "PNG")
    assert found["brightness"] == pytest.approx(luma.mean(), abs=1e-4)
    assert found["contrast"] == pytest.approx(luma.std(), abs=1e-4)
    assert found["sharpness"] == pytest.approx(edges.var(), rel=1e-3)
    means = [found["mean_red"], found["mean_green"], found["mean_blue"]]
    assert means == pytest.approx(pixels.mean((0, 1)).tolist(), abs=3e-3)
    assert found["content_hash"] == pictures.content_hash(data) and len(found["content_hash"]) == 32


def test_many_sizes_measured_together_are_measured_as_each_alone() -> None:
    images = [
        noise(w, h, seed)
        for seed, (w, h) in enumerate([(1, 1), (2, 9), (28, 28), (33, 17), (28, 28), (120, 90), (300, 5)])
    ]
    images += [image.convert("L") for image in images]
    together = measures.measure([measures.planes(image) for image in images])
    alone = np.concatenate([measures.measure([measures.planes(image)]) for image in images], axis=1)
    assert np.allclose(together, alone, atol=1e-6)
    assert np.isfinite(together).all() and (together >= 0).all()
    assert measures.measure([]).shape == (6, 0)


def test_a_blurred_picture_is_less_sharp_at_every_size() -> None:
    for side in (40, 160, 640):
        sharp = noise(side, side)
        blurred = sharp.filter(ImageFilter.GaussianBlur(side / 20))
        found = [pictures.look_for_statistics(encoded(image, "PNG")).image for image in (sharp, blurred)]
        values = measures.measure([measures.planes(image) for image in found])[2]
        assert values[1] < values[0] / 4, side


def test_a_large_jpeg_is_decoded_small_and_reported_large() -> None:
    data = encoded(noise(80, 60).resize((3000, 2000)), "JPEG", quality=80)
    picture = pictures.look_for_statistics(data)
    assert (picture.width_px, picture.height_px) == (3000, 2000)
    assert 64 <= max(picture.image.size) < 128
    assert max(pictures.decode(data, max_side_px=100).size) == 100


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_ends_upright(orientation: int) -> None:
    from PIL.Image import Transpose

    upright = poisoned_folder.colour_picture()
    upright.putpixel((0, 0), (0, 255, 0))  # one corner, so that mirroring shows
    stored_by = {
        1: None,
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_270,
    }[orientation]
    stored = upright if stored_by is None else upright.transpose(stored_by)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format in ("PNG", "TIFF", "WEBP"):
        options: dict[str, Any] = {"exif": exif} if format != "WEBP" else {"exif": exif.tobytes(), "lossless": True}
        data = encoded(stored, format, **options)
        assert (np.asarray(pictures.decode(data)) == np.asarray(upright)).all(), format
        thumbnail, _ = pictures.thumbnail(data, 128)
        assert pictures.decode(thumbnail).size == upright.size


def test_twelve_bits_in_sixteen_are_not_black() -> None:
    ramp = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)
    image = np.asarray(pictures.decode(encoded(Image.fromarray(ramp), "PNG")))
    assert image.min() == 0 and image.max() == 255
    full = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    image = np.asarray(pictures.decode(encoded(Image.fromarray(full), "TIFF")))
    assert np.abs(image[..., 0].astype(int) - full // 257).max() <= 1


def test_floats_with_holes_and_signs_are_stretched() -> None:
    values = np.linspace(-1000, 3000, 32 * 32, dtype=np.float32).reshape(32, 32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    image = np.asarray(pictures.decode(encoded(Image.fromarray(values), "TIFF")))
    assert image.min() == 0 and image.max() == 255


def test_transparent_parts_are_white() -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 10, 20))
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True), encoded(image.quantize(8), "PNG")):
        pixels = np.asarray(pictures.decode(data))
        assert (pixels[5, 15] == 255).all() and (pixels[5, 5] == (0, 0, 255)).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_every_mode_of_pillow_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (30, 20))
    assert pictures.decode(encoded(image, "TIFF" if mode != "P" else "PNG")).mode == "RGB"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_a_file_cut_anywhere_is_refused_or_whole_and_never_crashes(format: str) -> None:
    data = encoded(noise(40, 30), format)
    for end in range(0, len(data) - 12, max(1, len(data) // 60)):
        with pytest.raises(PictureError) as refusal:
            pictures.decode(data[:end])
        assert refusal.value.code in ("empty", "truncated", "not_an_image", "unreadable"), (end, refusal.value)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "ICO"])
def test_scrambled_bytes_raise_picture_errors_only(format: str) -> None:
    data = encoded(noise(40, 30), format)
    random = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for place in random.integers(2, len(data), 8):
            broken[place] = int(random.integers(0, 256))
        try:
            pictures.look(bytes(broken))
        except PictureError as error:
            assert error.message and "\n" not in error.message


def test_small_web_pictures_pass_through_and_others_are_made_small() -> None:
    for format in ("PNG", "JPEG", "WEBP", "GIF"):
        data = encoded(noise(40, 30), format)
        thumbnail, mime = pictures.thumbnail(data, 96)
        assert thumbnail is data and mime == f"image/{format.lower()}"
    for data in (
        encoded(noise(1000, 700), "JPEG"),
        encoded(noise(1000, 700), "PNG"),
        encoded(noise(40, 30).convert("CMYK"), "JPEG"),
        encoded(noise(40, 30), "TIFF"),
        encoded(noise(90, 60).convert("RGBA"), "PNG"),
        encoded(noise(40, 30), "GIF", save_all=True, append_images=[noise(40, 30, 1)]),
    ):
        thumbnail, mime = pictures.thumbnail(data, 96)
        assert thumbnail != data and mime in ("image/jpeg", "image/png")
        assert max(pictures.decode(thumbnail).size) <= 96
        assert Image.open(io.BytesIO(thumbnail)).mode in ("L", "RGB")


def test_the_inspector_gets_the_file_or_a_copy_below_the_limit() -> None:
    data = encoded(noise(500, 300), "JPEG")
    assert pictures.web_picture(data, 256, 4 << 20) == (data, "image/jpeg", 500, 300)
    copy, mime, width, height = pictures.web_picture(encoded(noise(500, 300), "TIFF"), 256, 4 << 20)
    assert mime == "image/jpeg" and (width, height) == (500, 300) and max(pictures.decode(copy).size) == 256
    copy, _, _, _ = pictures.web_picture(encoded(noise(2000, 1500), "PNG"), 4096, 200_000)
    assert len(copy) <= 200_000


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    import tracemalloc

    data = poisoned_folder.bomb()
    tracemalloc.start()
    try:
        with pytest.raises(PictureError, match="40,000 x 40,000") as refusal:
            pictures.decode(data)
        assert refusal.value.code == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
