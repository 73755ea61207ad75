"""What encoded bytes are, by how they begin and end."""

from __future__ import annotations

from dataide.errors import PictureError


def sniff(data: bytes) -> str | None:
    """The format that the first bytes name, as Pillow calls it, or None."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        return "BMP"
    if data[:1] == b"P" and data[1:2] in b"1234567yfF" and data[2:3].isspace():
        return "PPM"
    if data[:4] == b"\0\0\1\0":
        return "ICO"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    if data[:12] == b"\0\0\0\x0cjP  \r\n\x87\n" or data[:4] == b"\xff\x4f\xff\x51":
        return "JPEG2000"
    return None


def ends_early(data: bytes, name: str) -> bool:
    """Whether the end is missing that a whole file of this format has."""
    if name == "PNG":
        return b"IEND" not in data[-4096:]
    if name == "JPEG":
        return b"\xff\xd9" not in data[-4096:]
    if name == "GIF":
        return b";" not in data[-16:]
    if name == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if name == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    return len(data) < 32


_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF", "not_an_image"),
    (b"PK\x03\x04", "a ZIP archive", "not_an_image"),
    (b"\x1f\x8b", "a gzip archive", "not_an_image"),
    (b"%!PS", "PostScript", "unsupported"),
    (b"8BPS", "a Photoshop file", "unsupported"),
    (b"DUCK", "a database", "not_an_image"),
    (b"PAR1", "a Parquet file", "not_an_image"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the files with `git lfs pull`", "not_an_image"),
)


def not_an_image(data: bytes) -> PictureError:
    """The error about bytes that no decoder here reads, which says what they seem to be."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return PictureError("it is an SVG drawing, which has no pixels", code="unsupported")
    if head.startswith((b"<!doctype html", b"<html")):
        return PictureError("it is an HTML page, not an image", code="not_an_image")
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return PictureError("it is HEIC, which Pillow cannot read: convert it to JPEG", code="unsupported")
    for magic, what, code in _FOREIGN:
        if data.startswith(magic):
            return PictureError(f"it is {what}", code=code)
    if not data.strip(b"\0"):
        return PictureError(f"it is {len(data):,} zero bytes", code="not_an_image")
    if len(data) < 4 or (
        len(data) < 12 and any(magic.startswith(data[:4]) for magic in (b"\x89PNG", b"GIF8", b"RIFF"))
    ):
        return PictureError(f"only {len(data)} bytes are there", code="truncated")
    if all(byte >= 9 for byte in data[:512]) and b"\n" in data[:4096]:
        return PictureError("it is text, not an image", code="not_an_image")
    return PictureError("its first bytes are of no image format that is read here", code="not_an_image")
