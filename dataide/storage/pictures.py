"""Encoded bytes to pixels, numbers and thumbnails.

Light on purpose: the processes that look at pictures during an import load little more than this file and Pillow.

Pillow alone decodes. Of the decoders with wheels, simplejpeg is the fastest for JPEGs of 500 x 375, to the same pixels:
about 1.3 times Pillow's rate as arrays, in full (1,530 and 1,150 a second on one core) and at half the size. With this
file's checks of the header and a Pillow picture at the end, 1.12 times are left of it. That is not worth a second
decoder with errors and limits of its own. torchvision and OpenCV are slower than simplejpeg, and PyTurboJPEG needs a
library of the system. `benchmarks/decoding.py` compares them.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataide.errors import PictureError
from dataide.storage import measures
from dataide.storage.signatures import ends_early, not_an_image, sniff

if TYPE_CHECKING:
    from PIL import Image

# Pillow's own warning limit. A JPEG may be twice as large, because its decoder can shrink while it reads.
LARGEST_PX = 89_478_485
LARGEST_JPEG_PX = 2 * LARGEST_PX
# Statistics are taken from a copy whose longest side is reduced, by a whole number, to not less than this. So sharpness
# means the same for a photo of twelve megapixels and for a thumbnail of it; and a JPEG is decoded no further than that.
STATISTICS_SIDE_PX = 64
# Decoding a picture of this size takes hundreds of megabytes: one at a time in a process.
LARGE_PX = 25_000_000

STATISTICS = (
    "width_px",
    "height_px",
    "bytes",
    "format",
    "brightness",
    "contrast",
    "sharpness",
    "mean_red",
    "mean_green",
    "mean_blue",
    "content_hash",
)

__all__ = ["decode", "encode", "look", "look_for_statistics", "sniff", "statistics", "thumbnail", "web_picture"]

MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}

_one_large_picture = threading.Semaphore(1)
_openers: dict[str, Callable[[io.BytesIO], Image.Image]] = {}


@dataclass(slots=True)
class Picture:
    """A decoded picture, upright and opaque, in mode L or RGB.

    Attributes:
        image: the pixels, perhaps smaller than the file's.
        width_px: of the whole picture as people see it, after EXIF orientation.
        height_px: likewise.
        format: as Pillow names it.
    """

    image: Image.Image
    width_px: int
    height_px: int
    format: str


def content_hash(data: bytes) -> str:
    """BLAKE2b-128 of encoded bytes, in hex: what the session knows a picture's content by."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def decode(data: bytes, *, max_side_px: int | None = None) -> Image.Image:
    """Decodes a picture to upright 8-bit RGB.

    The first frame of an animation; EXIF orientation applied; CMYK and palettes converted; 16-bit and float grey scaled
    by the range in use; transparent parts shown over white.

    Args:
        data: the encoded file.
        max_side_px: shrink to this longest side, decoding fewer pixels where the format can.

    Raises:
        PictureError: with code empty, not_an_image, truncated, too_large, unsupported or unreadable.
    """
    image = look(data, max_side_px=max_side_px).image
    return image if image.mode == "RGB" else image.convert("RGB")


def look(data: bytes, *, max_side_px: int | None = None, shrink: bool = True) -> Picture:
    """Decodes a picture to upright 8-bit grey (L) or RGB, and says what it was.

    Args:
        data: the encoded file.
        max_side_px: the longest side that is needed.
        shrink: False to stop at what the format reduces by itself while decoding, which may be larger.

    Raises:
        PictureError: see `decode`.
    """
    image, name = _open(data)
    width_px, height_px = image.size
    try:
        if width_px * height_px > LARGE_PX:
            with _one_large_picture:
                return _decoded(image, name, max_side_px, shrink)
        return _decoded(image, name, max_side_px, shrink)
    except PictureError:
        raise
    except MemoryError:
        raise PictureError(
            f"there is not enough memory for {width_px:,} x {height_px:,} pixels", code="too_large"
        ) from None
    except Exception as error:
        raise _failure(data, name, error) from None


def _decoded(image: Image.Image, name: str, max_side_px: int | None, shrink: bool) -> Picture:
    width_px, height_px = image.size
    if max_side_px is not None and name == "JPEG" and max(image.size) >= 2 * max_side_px:
        # Rounded down: of 500 x 375 for 250, Pillow reads the whole 375 rows rather than 188, when it is asked for 188.
        longest = max(image.size)
        image.draft(image.mode, (max(1, width_px * max_side_px // longest), max(1, height_px * max_side_px // longest)))
    image.load()
    if name != "JPEG":
        width_px, height_px = (
            image.size
        )  # Pillow turns TIFF by itself while it loads, and GIF frames can enlarge the canvas
    image = opaque(image)
    if shrink and max_side_px is not None:
        image = _shrink(image, max_side_px)
    orientation = _orientation(image, name)
    if orientation > 1:
        image = _upright(image, orientation)
        if orientation > 4:
            width_px, height_px = height_px, width_px
    return Picture(image, width_px, height_px, name)


def statistics(image: Image.Image, data: bytes) -> dict[str, Any]:
    """The schema's columns for one decoded picture: sizes are those of `image`.

    Args:
        image: upright, mode L or RGB.
        data: the encoded bytes it came from.
    """
    name = sniff(data) or ""
    picture = Picture(image if image.mode in ("L", "RGB") else image.convert("RGB"), image.width, image.height, name)
    picture.image = _for_statistics(picture.image)
    measured = measures.measure([measures.planes(picture.image)])
    values = (
        picture.width_px,
        picture.height_px,
        len(data),
        name,
        *(float(column[0]) for column in measured),
        content_hash(data),
    )
    return dict(zip(STATISTICS, values, strict=True))


def look_for_statistics(data: bytes) -> Picture:
    """Decodes a picture as far as `measures.measure` needs it."""
    picture = look(data, max_side_px=STATISTICS_SIDE_PX, shrink=False)
    picture.image = _for_statistics(picture.image)
    return picture


def thumbnail(data: bytes, px: int, *, trusted: bool = False) -> tuple[bytes, str]:
    """A small picture for the browser: encoded bytes and their MIME type.

    Small web pictures pass through unchanged; others are decoded (reduced where the format can) and encoded as JPEG, or
    as PNG when they are tiny.

    Args:
        data: the encoded file.
        px: longest side wanted.
        trusted: the bytes were decoded before, so that they need not be decoded again to know that they are sound.

    Raises:
        PictureError: see `decode`.
    """
    image, name = _open(data)
    if _passes_through(image, name, len(data), px):
        if not trusted:
            look(data)
        return data, MIME[name]
    return encode(look(data, max_side_px=px).image)


def web_picture(data: bytes, px: int, most_bytes: int) -> tuple[bytes, str, int, int]:
    """One picture in full for the browser: bytes, MIME type, and its width and height as people see it.

    The file itself where a browser can show it and it has at most `most_bytes`, else a copy of at most `px`.

    Raises:
        PictureError: see `decode`.
    """
    image, name = _open(data)
    if len(data) <= most_bytes and name in MIME and _browser_shows(image, name, animated=True):
        picture = look(data, max_side_px=64 if name == "JPEG" else None)
        return data, MIME[name], picture.width_px, picture.height_px
    picture = look(data, max_side_px=px)
    encoded, mime = encode(picture.image, quality=90)
    side = max(picture.image.size)
    while len(encoded) > most_bytes and side > 64:
        side = side * 3 // 4
        encoded, mime = encode(_shrink(picture.image, side), quality=85)
    return encoded, mime, picture.width_px, picture.height_px


def encode(image: Image.Image, *, quality: int = 80) -> tuple[bytes, str]:
    """Encodes an L or RGB picture for the browser: PNG when tiny, where JPEG would smear it, else JPEG."""
    out = io.BytesIO()
    if max(image.size) <= 48:
        image.save(out, "PNG", compress_level=1)
        return out.getvalue(), MIME["PNG"]
    image.save(out, "JPEG", quality=quality)
    return out.getvalue(), MIME["JPEG"]


def _open(data: bytes) -> tuple[Image.Image, str]:
    """The header only: no pixel is decoded, and a bomb is refused before any memory is taken."""
    if not data:
        raise PictureError("the file is empty", code="empty")
    name = sniff(data)
    if name is None:
        raise not_an_image(data)
    opener = _openers.get(name) or _load_opener(name)
    if name == "WEBP":
        # Its decoder takes memory for the whole canvas when it opens.
        _check_size(_webp_size(data), name)
    try:
        image = opener(io.BytesIO(data))
    except MemoryError:
        raise PictureError("there is not enough memory to open it", code="too_large") from None
    except Exception as error:
        raise _failure(data, name, error) from None
    _check_size(image.size, name)
    return image, name


_PLUGINS = {
    "AVIF": ("AvifImagePlugin", "AvifImageFile", "avif"),
    "BMP": ("BmpImagePlugin", "BmpImageFile", None),
    "GIF": ("GifImagePlugin", "GifImageFile", None),
    "ICO": ("IcoImagePlugin", "IcoImageFile", None),
    "JPEG": ("JpegImagePlugin", "JpegImageFile", "jpg"),
    "JPEG2000": ("Jpeg2KImagePlugin", "Jpeg2KImageFile", "jpg_2000"),
    "PNG": ("PngImagePlugin", "PngImageFile", "zlib"),
    "PPM": ("PpmImagePlugin", "PpmImageFile", None),
    "TIFF": ("TiffImagePlugin", "TiffImageFile", None),
    "WEBP": ("WebPImagePlugin", "WebPImageFile", "webp"),
}


def _load_opener(name: str) -> Callable[[io.BytesIO], Image.Image]:
    # The plug-ins' own classes instead of Image.open: no trial of other formats, no warning that depends on the user's
    # global settings, and never the formats that start other programs (EPS) or read other files.
    from importlib import import_module

    from PIL import features

    module, opener, feature = _PLUGINS[name]
    if feature is not None and not features.check(feature):
        hint = "pip install --upgrade pillow"
        raise PictureError(f"this Pillow was built without {name}", code="unsupported", hint=hint)
    found: Callable[[io.BytesIO], Image.Image] = getattr(import_module(f"PIL.{module}"), opener)
    _openers[name] = found
    return found


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    limit = LARGEST_JPEG_PX if name == "JPEG" else LARGEST_PX
    if width * height > limit:
        raise PictureError(
            f"{width:,} x {height:,} pixels are more than the {limit // 1_000_000} million that are read",
            code="too_large",
        )
    if width < 1 or height < 1:
        raise PictureError(f"the header says {width} x {height} pixels", code="unreadable")


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    try:
        if kind == b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    except struct.error:
        raise PictureError("the file ends inside its header", code="truncated") from None


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shrink(image: Image.Image, side: int | None) -> Image.Image:
    if side is None or max(image.size) <= side:
        return image
    from PIL import Image

    info = image.info
    image = image.resize(_fit(image.size, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    image.info = info
    return image


def _for_statistics(image: Image.Image) -> Image.Image:
    factor = max(image.size) // STATISTICS_SIDE_PX
    return image.reduce(factor) if factor > 1 and min(image.size) >= factor else image


def opaque(image: Image.Image) -> Image.Image:
    """Any Pillow mode to L or RGB, as `decode` shows it, keeping `info` for the orientation."""
    mode = image.mode
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    info = image.info
    if (
        mode in ("RGBA", "LA", "PA", "RGBa", "La")
        or "transparency" in info
        or (mode == "P" and image.has_transparency_data)
    ):
        result = _over_white(image)
    elif mode == "1":
        result = image.convert("L")
    elif mode.startswith("I") or mode == "F":
        result = _scaled(image)
    elif mode == "LAB":
        result = _from_lab(image)
    else:
        result = image.convert("RGB")
    result.info = info
    return result


def _over_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=alpha)
    return white


def _scaled(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey to 8 bits.

    Such files come from microscopes, scanners and depth cameras, and often use 10 to 14 of 16 bits: browsers show these
    black. So the full scale is the smallest usual bit depth that holds the brightest pixel; signed and other values are
    stretched.
    """
    import numpy as np
    from PIL import Image

    values = np.asarray(image)
    whole = values.dtype.kind in "iu"
    values = values.astype(np.float32)
    if not whole:
        finite = np.isfinite(values)
        if not finite.all():
            values = np.where(finite, values, values[finite].min() if finite.any() else 0)
    low, high = float(values.min()), float(values.max())
    full = (255, 1023, 4095, 16383, 65535) if whole else (1, 255)
    if low >= 0 and high <= full[-1]:
        low, high = 0.0, float(next(limit for limit in full if high <= limit))
    span = high - low
    return Image.fromarray(np.rint((values - low) * (255 / span) if span else values * 0).clip(0, 255).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    result = ImageCms.applyTransform(image, to_rgb)
    assert result is not None  # None only when asked to change the picture in place
    return result


def _orientation(image: Image.Image, name: str) -> int:
    """EXIF orientation 1..8; 1 where there is none, or where Pillow has turned the picture itself."""
    info = image.info
    if name in ("TIFF", "AVIF") or not (
        "exif" in info or "Raw profile type exif" in info or "xmp" in info or "XML:com.adobe.xmp" in info
    ):
        return 1
    try:
        exif = image.getexif()
        value = exif.get(0x0112, 1)
    except Exception:
        return 1  # a damaged EXIF block is no reason to refuse the picture
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation])


def _browser_shows(image: Image.Image, name: str, *, animated: bool) -> bool:
    """Whether every browser shows these bytes as `decode` would."""
    if name not in MIME or image.mode not in ("L", "RGB", "P", "1"):
        return False
    if "transparency" in image.info or (image.mode == "P" and name == "WEBP"):
        return False
    return _orientation(image, name) == 1 and (animated or not getattr(image, "is_animated", False))


def _passes_through(image: Image.Image, name: str, size: int, px: int) -> bool:
    side = max(image.size)
    small = (side <= px and size <= 65_536) or (side <= 3 * px and size <= 16_384)
    return small and _browser_shows(image, name, animated=False)


def _failure(data: bytes, name: str, error: Exception) -> PictureError:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if "bomb" in text or "Decompressed data too large" in text:
        return PictureError(f"it unpacks to far more than its size: {text}", code="too_large")
    if ends_early(data, name) or "truncated" in text.lower():
        return PictureError(
            f"the {name} file ends before the picture does ({len(data):,} bytes are there)", code="truncated"
        )
    return PictureError(f"the {name} file is damaged: {text}", code="unreadable")
