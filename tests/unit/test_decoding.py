"""JPEGs are read no further than is needed, and never less; whatever way they are read, they look the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dataide.errors import PictureError
from dataide.storage import pictures


def smooth(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(5).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, *, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (501, 373), (1000, 999), (640, 480)])
@pytest.mark.parametrize("side", [64, 100, 125, 224, 249, 250, 256])
def test_the_largest_reduction_that_leaves_the_wanted_side(size, side):
    data = jpeg(smooth(*size))
    image = pictures.look(data, max_side_px=side, shrink=False).image
    longest = max(size)
    reduction = max(factor for factor in (1, 2, 4, 8) if longest // factor >= side)
    assert image.size == tuple(-(-part // reduction) for part in size)
    assert max(pictures.decode(data, max_side_px=side).size) == side


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_picture_is_turned_as_the_whole_one(orientation):
    data = jpeg(smooth(480, 320), orientation=orientation)
    whole = pictures.decode(data)
    reduced = pictures.decode(data, max_side_px=120)
    assert whole.size == ((480, 320) if orientation <= 4 else (320, 480))
    expected = np.asarray(whole.resize(reduced.size, Image.Resampling.BOX), np.int16)
    assert np.abs(np.asarray(reduced, np.int16) - expected).mean() < 4


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_kinds_of_jpeg_are_reduced_too(mode):
    data = jpeg(smooth(400, 300).convert(mode))
    reduced = pictures.decode(data, max_side_px=100)
    assert (reduced.mode, reduced.size) == ("RGB", (100, 75))
    expected = np.asarray(pictures.decode(data).resize((100, 75), Image.Resampling.BOX), np.int16)
    assert np.abs(np.asarray(reduced, np.int16) - expected).mean() < 4


def test_errors_are_the_same_in_full_and_reduced():
    whole = jpeg(smooth(480, 320))
    for data, code in ((whole[: len(whole) // 2], "truncated"), (b"", "empty"), (b"no picture at all", "not_an_image")):
        messages = set()
        for side in (None, 120):
            with pytest.raises(PictureError) as caught:
                pictures.decode(data, max_side_px=side)
            assert caught.value.code == code
            messages.add(caught.value.message)
        assert len(messages) == 1
