"""Pictures of the panels for saved notebooks: small, made in a moment, readable on white and on dark pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.facet_counts import BarCounts, HistogramCounts

from . import palette
from .answers.plot import first_coloring, legend

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from dataide.storage.thumbnails import Thumbnails

    from .vocabulary import Legend
    from .workspace import Workspace

MOST_BYTES = 60_000
MOST_POINTS = 20_000
MOST_ENTRIES = 12
FACETS = 6
PLOT_PX = (400, 300)
LEGEND_PX = 120
CARD_CHARACTERS = 52
TILE_PX = 40
PAPER = (255, 255, 255)
INK = (60, 64, 67)
FAINT = (218, 220, 224)
BAR = (140, 170, 200)
SELECTED = (213, 94, 0)


def encoded(image: Image) -> bytes:
    """The picture as a PNG of at most 60 KB; photographs lose colours, then size, until they fit."""
    from PIL import Image as images

    for colors, scale in ((128, 1.0), (64, 1.0), (32, 0.8), (16, 0.5)):
        smaller = image
        if scale < 1:
            smaller = image.resize((round(image.width * scale), round(image.height * scale)))
        buffer = io.BytesIO()
        smaller.quantize(colors, method=images.Quantize.FASTOCTREE, dither=images.Dither.NONE).save(buffer, "PNG")
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()


def scatter(workspace: Workspace, projection: str | None, color: str | None) -> Image | None:
    """Points and their legend."""
    from PIL import Image as images

    if not workspace.places.projections():
        return None
    placed = workspace.places.points(projection)
    coloring = first_coloring(workspace, placed, color)
    count = min(placed.total, MOST_POINTS)  # points stand in random order: the first ones are a fair sample
    width, height = PLOT_PX
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    pairs = placed.quantised(0, count).astype(np.int64)
    x = 4 + pairs[:, 0] * (width - 10) // 65_535
    y = height - 6 - pairs[:, 1] * (height - 10) // 65_535
    shown = legend(workspace, placed, coloring)
    table = _table(shown)
    colors = table[coloring.of(placed, 0, count)]
    size = 2 if count > 3_000 else 3
    for down in range(size):
        for right in range(size):
            canvas[y + down, x + right] = colors
    image = images.new("RGB", (width + (0 if shown["kind"] == "none" else LEGEND_PX), height), PAPER)
    image.paste(images.fromarray(canvas), (0, 0))
    if shown["kind"] != "none":
        _draw_legend(image, shown, table, width + 8)
    return image


def contact_sheet(workspace: Workspace, columns: int = 10, rows: int = 6) -> Image | None:
    """The first tiles of the grid."""
    from PIL import Image as images

    nos = [int(no) for no in workspace.orders.current().part(0, columns * rows)]
    if not nos:
        return None
    used = -(-len(nos) // columns)
    step = TILE_PX + 4
    sheet = images.new("RGB", (columns * step + 4, used * step + 4), PAPER)
    _paste(sheet, tiles_of(workspace.thumbnails, nos), columns, 4)
    return sheet


def _paste(sheet: Image, tiles: Sequence[bytes | None], columns: int, first_top: int) -> None:
    """Tiles row by row; one that cannot be drawn leaves a grey place."""
    from PIL import Image as images

    step = TILE_PX + 4
    for position, data in enumerate(tiles):
        left, top = 4 + position % columns * step, first_top + position // columns * step
        tile = None if data is None else _tile(data, TILE_PX)
        if tile is None:
            tile = images.new("RGB", (TILE_PX, TILE_PX), FAINT)
        sheet.paste(tile, (left + (TILE_PX - tile.width) // 2, top + (TILE_PX - tile.height) // 2))


def tiles_of(thumbnails: Thumbnails, nos: Sequence[int]) -> list[bytes | None]:
    """Encoded pictures of samples, small; None where there is none."""
    return [one.data if one.problem is None else None for one in thumbnails.get(nos, 64)]


def labelled_sheet(kinds: Sequence[tuple[str, Sequence[bytes | None]]], columns: int = 10) -> Image | None:
    """Tiles of several kinds, each below its words; None where there is no tile."""
    from PIL import Image as images
    from PIL.ImageDraw import Draw

    there = [(said, tiles) for said, tiles in kinds if len(tiles)]
    if not there:
        return None
    step, line = TILE_PX + 4, 16
    heights = [line + step * -(-len(tiles) // columns) for _, tiles in there]
    sheet = images.new("RGB", (columns * step + 4, sum(heights) + 4), PAPER)
    draw = Draw(sheet)
    top = 2
    for (said, tiles), height in zip(there, heights, strict=True):
        draw.text((4, top), _short(said, CARD_CHARACTERS), fill=INK, font=_font(11))
        _paste(sheet, tiles, columns, top + line)
        top += height
    return sheet


def sample(workspace: Workspace, no: int) -> Image | None:
    """One picture."""
    (thumb,) = workspace.thumbnails.get([no], 256)
    return None if thumb.problem is not None else _tile(thumb.data, 256)


def facets(workspace: Workspace, columns: Sequence[str] | None) -> Image | None:
    """The first few facets, one below the other."""
    from PIL import Image as images
    from PIL.ImageDraw import Draw

    names = (workspace.counts.columns() if columns is None else list(columns))[:FACETS]
    counted = workspace.counts.count(names, bars=5)
    if not counted:
        return None
    width = 170
    heights = [20 + (14 * len(one.bars) if isinstance(one, BarCounts) else 40) for one in counted]
    image = images.new("RGB", (width, sum(heights) + 4), PAPER)
    draw = Draw(image)
    top = 2
    for one, height in zip(counted, heights, strict=True):
        draw.text((4, top), _short(one.column.name, 26), fill=INK, font=_font(11))
        if isinstance(one, BarCounts):
            _draw_bars(draw, one, top + 16, width)
        else:
            _draw_histogram(draw, one, top + 16, width, height - 22)
        top += height
    return image


def card(sentence: str) -> Image:
    """A sentence, where there is nothing to draw."""
    from PIL import Image as images
    from PIL.ImageDraw import Draw

    lines = wrap(sentence, CARD_CHARACTERS, max_lines=6, placeholder=" …")
    image = images.new("RGB", (PLOT_PX[0], 24 + 20 * len(lines)), PAPER)
    draw = Draw(image)
    draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=FAINT)
    for row, line in enumerate(lines):
        draw.text((12, 12 + 20 * row), line, fill=INK, font=_font(14))
    return image


def side_by_side(panels: Sequence[Image | None]) -> Image | None:
    """The panels of the workbench in one picture."""
    from PIL import Image as images

    there = [panel for panel in panels if panel is not None]
    if not there:
        return None
    height = max(panel.height for panel in there)
    whole = images.new("RGB", (sum(panel.width + 8 for panel in there) - 8, height), PAPER)
    left = 0
    for panel in there:
        whole.paste(panel, (left, 0))
        left += panel.width + 8
    return whole


def _tile(data: bytes, px: int) -> Image | None:
    from PIL import Image as images

    try:
        image = images.open(io.BytesIO(data))
        image.draft("RGB", (px, px))
        rgb = image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
    scale = px / max(rgb.size)
    size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
    return rgb.resize(size, images.Resampling.NEAREST if scale > 2 else images.Resampling.BILINEAR)


def _table(shown: Legend) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if shown["kind"] == "category":
        named = [entry for entry in shown["entries"] if entry["value"] is not None]
        return palette.categories(len(named) + shown["more"])
    if shown["kind"] == "number":
        return palette.numbers()
    return np.tile(np.array(palette.ONE_COLOR, dtype=np.uint8), (256, 1))


def _draw_legend(image: Image, shown: Legend, table: np.ndarray[Any, np.dtype[np.uint8]], left: int) -> None:
    from PIL.ImageDraw import Draw

    draw = Draw(image)
    if shown["kind"] == "category":
        draw.text((left, 4), _short(shown["column"], 18), fill=INK, font=_font(11))
        for position, entry in enumerate(shown["entries"][:MOST_ENTRIES]):
            top = 24 + 18 * position
            red, green, blue = table[entry["color"]].tolist()
            draw.rectangle((left, top + 2, left + 9, top + 11), fill=(red, green, blue))
            name = "no value" if entry["value"] is None else entry["value"]
            draw.text((left + 14, top), _short(name, 16), fill=INK, font=_font(10))
        left_out = len(shown["entries"]) - MOST_ENTRIES + shown["more"]
        if left_out > 0:
            draw.text((left, 24 + 18 * MOST_ENTRIES), f"and {left_out:,} more", fill=INK, font=_font(10))
    elif shown["kind"] == "number":
        draw.text((left, 4), _short(shown["column"], 18), fill=INK, font=_font(11))
        for row in range(200):
            red, green, blue = table[254 - row * 254 // 199].tolist()
            draw.line((left, 24 + row, left + 12, 24 + row), fill=(red, green, blue))
        draw.text((left + 18, 22), f"{shown['high']:.4g}", fill=INK, font=_font(10))
        draw.text((left + 18, 214), f"{shown['low']:.4g}", fill=INK, font=_font(10))


def _draw_bars(draw: ImageDraw, counted: BarCounts, top: int, width: int) -> None:
    longest = max((bar.total for bar in counted.bars), default=1) or 1
    for position, bar in enumerate(counted.bars):
        y = top + 14 * position
        _draw_counts(draw, (4, y + 11, width - 8, 2), [bar.total, bar.visible, bar.selected], longest)
        name = "no value" if bar.value is None else bar.value
        draw.text((4, y - 1), _short(name, 18), fill=INK, font=_font(9))
        draw.text((width - 4, y - 1), f"{bar.visible:,}", fill=INK, font=_font(9), anchor="ra")


def _draw_counts(draw: ImageDraw, box: tuple[int, int, int, int], counts: Sequence[int], longest: int) -> None:
    left, top, width, height = box
    for count, color in zip(counts, (FAINT, BAR, SELECTED), strict=True):
        if count:
            draw.rectangle((left, top, left + max(1, width * count // longest) - 1, top + height - 1), fill=color)


def _draw_histogram(draw: ImageDraw, counted: HistogramCounts, top: int, width: int, height: int) -> None:
    tallest = max(counted.total, default=1) or 1
    bins = len(counted.total)
    for position in range(bins):
        left, right = 4 + (width - 8) * position // bins, 4 + (width - 8) * (position + 1) // bins - 2
        for counts, color in ((counted.total, FAINT), (counted.visible, BAR), (counted.selected, SELECTED)):
            if counts[position]:
                high = max(1, height * counts[position] // tallest)
                draw.rectangle((left, top + height - high, max(left, right), top + height), fill=color)


@lru_cache(maxsize=8)
def _font(px: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(px)


def _short(text: str, characters: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1] + "…"
