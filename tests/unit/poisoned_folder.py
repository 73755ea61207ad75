"""Builds a folder with every kind of bad file, of good files in rare formats, and of hostile names.

`build(folder)` says what should become of each file, so that tests of the import and of the panels can share it.
"""

from __future__ import annotations

import os
import socket
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, features

WIDTH, HEIGHT = 40, 24
LEFT, RIGHT = (200, 60, 40), (40, 80, 200)
LIGHT, DARK = 220, 40
HTML = "<img src=x onerror=alert(1)>"
HOSTILE_LABELS = (HTML, "O'Brien's \"best\" cat; DROP TABLE sample", "ラベル & <b>bold<|b>")
HOSTILE_NAMES = (
    f"{HTML}.png",
    "\"double\" 'single' `back`.png",
    "new\nline.png",
    "tab\there.png",
    "ünï-日本-🐱.png",
    "a" * 240 + ".png",
    "; DROP TABLE sample; --.png",
    "100%25 #1 ?x=1&y=2.png",
    "back\\slash.png",
    "-rf.png",
    "blob:0123456789abcdef.png",
    "parquet:x#y:1.png",
    " spaces around .png",
    "</script><script>alert(1)<|script>.png".replace("/", "|"),
    "{{constructor}}${x}.png",
)


@dataclass
class Poisoned:
    """What was built.

    Attributes:
        root: the folder.
        colour: good files, by path inside the folder, that show LEFT and RIGHT.
        grey: good files that show LIGHT and DARK.
        bad: files that must become problems, with the code of each.
        other: how many files are no pictures by their extension.
        secret: a picture outside of the folder, to which a link in it leads.
    """

    root: Path
    secret: Path
    colour: list[str] = field(default_factory=list)
    grey: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    other: int = 0

    @property
    def good(self) -> list[str]:
        return [*self.colour, *self.grey]


def colour_picture() -> Image.Image:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2], pixels[:, WIDTH // 2 :] = LEFT, RIGHT
    return Image.fromarray(pixels)


def grey_picture() -> Image.Image:
    pixels = np.full((HEIGHT, WIDTH), DARK, np.uint8)
    pixels[:, : WIDTH // 2] = LIGHT
    return Image.fromarray(pixels)


def build(folder: Path, outside: Path) -> Poisoned:
    """Fills `folder`, and `outside` with a picture that a link leads to: put it where the session may not read."""
    outside.mkdir(parents=True, exist_ok=True)
    secret = outside / "secret.png"
    colour_picture().save(secret)
    folder.mkdir(parents=True, exist_ok=True)
    made = Poisoned(folder, secret)
    _good_colour(made)
    _good_grey(made)
    _hostile_names(made)
    _bad_bytes(made)
    _bad_files(made)
    _left_alone(made)
    return made


def _place(made: Poisoned, inside: str) -> Path:
    path = made.root / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _good_colour(made: Poisoned) -> None:
    picture = colour_picture()

    def save(inside: str, image: Image.Image, format: str, **options: object) -> None:
        image.save(_place(made, inside), format, **options)
        made.colour.append(inside)

    save("colour/plain.jpg", picture, "JPEG", quality=95)
    save("colour/plain.png", picture, "PNG")
    save("colour/cmyk.jpg", picture.convert("CMYK"), "JPEG", quality=95)
    save("colour/palette.png", picture.convert("P", palette=Image.Palette.ADAPTIVE), "PNG")
    save("colour/progressive.JPEG", picture, "JPEG", quality=95, progressive=True)
    save("colour/deflate.tif", picture, "TIFF", compression="tiff_deflate")
    save("colour/cmyk.tiff", picture.convert("CMYK"), "TIFF")
    save("colour/plain.bmp", picture, "BMP")
    save("colour/plain.ppm", picture, "PPM")
    save("colour/a png by another name.jpg", picture, "PNG")
    save("colour/without-extension", picture, "PNG")
    opaque = picture.convert("RGBA")
    save("colour/opaque-alpha.png", opaque, "PNG")
    other = Image.new("RGB", picture.size, (0, 255, 0))
    save("colour/animated.gif", picture, "GIF", save_all=True, append_images=[other], duration=50)
    if features.check("webp"):
        save("colour/plain.webp", picture, "WEBP", lossless=True)
        save("colour/animated.webp", picture, "WEBP", save_all=True, append_images=[other], lossless=True, duration=50)
    if features.check("avif"):
        save("colour/plain.avif", picture, "AVIF", quality=95)
    # Stored lying on its side; orientation 6 says how to hold it.
    sideways = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    save("colour/turned.jpg", sideways, "JPEG", quality=95, exif=exif.tobytes())
    save("colour/turned.png", sideways, "PNG", exif=exif.tobytes())
    save("colour/turned.tif", sideways, "TIFF", exif=exif)
    mirrored = Image.Exif()
    mirrored[0x0112] = 2
    flipped = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    save("colour/mirrored.jpg", flipped, "JPEG", quality=95, exif=mirrored.tobytes())


def _good_grey(made: Poisoned) -> None:
    picture = grey_picture()
    values = np.asarray(picture)

    def save(inside: str, image: Image.Image, format: str, **options: object) -> None:
        image.save(_place(made, inside), format, **options)
        made.grey.append(inside)

    save("grey/eight.png", picture, "PNG")
    sixteen = Image.fromarray(values.astype(np.uint16) * 257)
    save("grey/sixteen.png", sixteen, "PNG")
    save("grey/sixteen.tif", sixteen, "TIFF")
    save("grey/float.tif", Image.fromarray(values.astype(np.float32) / 255), "TIFF")
    save("grey/integers.tif", Image.fromarray(values.astype(np.int32) * 257), "TIFF")
    save("grey/jpeg.jpg", picture, "JPEG", quality=95)
    save("grey/pgm.pgm", picture, "PPM")
    save("grey/with-alpha.png", Image.merge("LA", (picture, Image.new("L", picture.size, 255))), "PNG")


def _hostile_names(made: Poisoned) -> None:
    picture = colour_picture()
    for name in HOSTILE_NAMES:
        inside = f"names/{name}"
        picture.save(_place(made, inside), "PNG")
        made.colour.append(inside)
    for label in HOSTILE_LABELS:
        inside = f"{label}/cat.png"
        picture.save(_place(made, inside), "PNG")
        made.colour.append(inside)


def _bad_bytes(made: Poisoned) -> None:
    import io

    def encoded(format: str, **options: object) -> bytes:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(noise).save(out, format, **options)
        return out.getvalue()

    jpeg, png, gif, tiff = encoded("JPEG"), encoded("PNG"), encoded("GIF"), encoded("TIFF")
    middle = len(png) // 2
    files = {
        "empty.jpg": (b"", "empty"),
        "text.png": (b"this is no picture\nreally\n", "not_an_image"),
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image"),
        "zeros.png": (bytes(5000), "not_an_image"),
        "random.jpg": (np.random.default_rng(1).bytes(4000), "not_an_image"),
        "archive.png": (b"PK\x03\x04" + bytes(100), "not_an_image"),
        "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported"),
        "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(100), "unsupported"),
        "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "not_an_image"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "half.png": (png[:middle], "truncated"),
        "half.gif": (gif[: len(gif) // 2], "truncated"),
        "header.jpg": (jpeg[:20], "truncated"),
        "header.png": (png[:30], "truncated"),
        "three-bytes.png": (png[:3], "truncated"),
        "scrambled.png": (png[:middle] + bytes(200) + png[middle + 200 :], "unreadable"),
        "scrambled.tif": (tiff[:4] + b"\xff\xff\xff\x7f" + tiff[8:], "unreadable"),
        "bomb.png": (bomb(), "too_large"),
        "bomb.gif": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + gif[10:], "too_large"),
        "no-pixels.png": (_png_chunks(0, 10, b""), "unreadable"),
    }
    if features.check("webp"):
        webp = encoded("WEBP")
        files["half.webp"] = (webp[: len(webp) // 2], "truncated")
    for name, (data, code) in files.items():
        _place(made, f"bad/{name}").write_bytes(data)
        made.bad[f"bad/{name}"] = code


def bomb() -> bytes:
    """A real PNG of 40,000 x 40,000 black pixels in a few hundred kilobytes."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + 40_000 // 8)
    block = row * 400
    data = b"".join(squeeze.compress(block) for _ in range(100)) + squeeze.flush()
    return _png_chunks(40_000, 40_000, data, depth=1)


def _png_chunks(width: int, height: int, data: bytes, depth: int = 8) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _bad_files(made: Poisoned) -> None:
    folder = made.root / "strange"
    folder.mkdir(exist_ok=True)
    (folder / "a-folder.png").mkdir(exist_ok=True)  # only a folder with an odd name
    if os.name == "nt":
        return
    os.mkfifo(folder / "pipe.png")
    made.bad["strange/pipe.png"] = "not_a_file"
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket may have 108 characters at most
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)
    made.bad["strange/socket.png"] = "not_a_file"
    (folder / "nowhere.png").symlink_to(folder / "is-not-there.png")
    made.bad["strange/nowhere.png"] = "missing"
    (folder / "itself.png").symlink_to(folder / "itself.png")
    made.bad["strange/itself.png"] = "unreadable"
    (folder / "leads-out.png").symlink_to(made.secret)
    made.bad["strange/leads-out.png"] = "outside"
    (folder / "folder-leads-out").symlink_to(made.secret.parent)
    made.bad["strange/folder-leads-out"] = "outside"
    (folder / "round-and-round").symlink_to(made.root)
    (folder / "linked.png").symlink_to(made.root / "colour" / "plain.png")
    made.colour.append("strange/linked.png")
    locked = folder / "locked.png"
    colour_picture().save(locked)
    locked.chmod(0)
    if os.access(locked, os.R_OK):  # root reads it all the same
        made.colour.append("strange/locked.png")
    else:
        made.bad["strange/locked.png"] = "unreadable"
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xff.png")).write_bytes(b"x")
        made.bad["strange/latin-\\xff.png"] = "unreadable"
    except OSError:
        pass  # a file system that takes only UTF-8


def _left_alone(made: Poisoned) -> None:
    for inside in ("notes.txt", "labels.csv", "colour/meta.json", "colour/README"):
        _place(made, inside).write_text("not a picture")
        made.other += 1
    for inside in (".hidden.png", ".ipynb_checkpoints/plain.png", "__MACOSX/._plain.png"):
        _place(made, inside).write_bytes(b"hidden")
