"""Objects of the samples on a page: what tiles and the inspector draw, at a cost that hardly grows with the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.storage import arrow_arrays, masks
from dataide.storage.object_tables import BOX, KINDS
from dataide.storage.objects import Lot

if TYPE_CHECKING:
    from dataide.storage.database import Database

COLUMNS = ("object_no", "sample_no", "object_id", *KINDS)
# What is drawn of an object.
SHAPE = (*BOX, "crowd", "polygons", "mask_runs", "mask_height_px", "keypoints")
# A cell of a mask that is drawn smaller than it is. Outlines nearer to each other than this look the same.
CELLS_A_PX = 2
MOST_CELLS = 1_024  # of one mask, across and down
TOLERANCE_PX = 0.5  # as drawn
MOST_TRIES = 20  # to read what somebody is writing
FEW = 64  # corners, which are drawn as quickly as they could be thought about
# Of a mask with more corners (noise, mostly) larger cells are drawn: each corner is a step in Python.
MOST_CORNERS = 20_000
STAIRS = 0.75  # cells: the border of a mask runs along pixels, what it surrounds does not

Outlines = list[np.ndarray]

# One narrow column is read as a whole, and then the rows themselves by their ids: with all columns at once DuckDB reads
# most of a large table for a hundred samples.
_WHERE = "SELECT o.rowid AS place FROM data.object o SEMI JOIN wanted w ON w.no = o.sample_no WHERE NOT o.removed"
_ROWS = "SELECT {columns} FROM data.object WHERE rowid IN (SELECT unnest(?::BIGINT[]))"


def objects_of(
    database: Database, nos: Sequence[int], columns: Sequence[str] = COLUMNS
) -> dict[int, list[dict[str, Any]]]:
    """The objects of some samples by sample number, each a dict in order of arrival; samples without any are left out.

    Args:
        database: the open session file.
        nos: sample numbers.
        columns: which of COLUMNS; `object_no` and `sample_no` come always.

    Raises:
        KeyError: there is no such column.
    """
    for name in columns:
        if name not in COLUMNS:
            raise KeyError(name)
    names = list(dict.fromkeys(("object_no", "sample_no", *columns)))
    if not len(nos):
        return {}
    wanted = {"no": np.unique(np.asarray(nos, np.uint32))}
    sql = _ROWS.format(columns=", ".join(names))
    found: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(_of_one_moment(database, wanted, sql), key=lambda row: int(row[0])):
        found.setdefault(int(row[1]), []).append(dict(zip(names, row, strict=True)))
    return found


def _of_one_moment(database: Database, wanted: dict[str, np.ndarray], sql: str) -> list[tuple[Any, ...]]:
    """The rows; read again where a decision fell between both questions: an object that moves is another row then."""
    asked = set(wanted["no"].tolist())
    rows: list[tuple[Any, ...]] = []
    for _ in range(MOST_TRIES):
        with database.query(_WHERE, frames={"wanted": wanted}) as cursor:
            places = cursor.fetchnumpy()["place"].tolist()
        if not places:
            return []
        with database.query(sql, [places]) as cursor:
            rows = cursor.fetchall()
        if len(rows) == len(places) and all(row[1] in asked for row in rows):
            break
    return rows


def largest(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The `most` objects with the largest boxes, the largest first; those without a box come last."""

    def size(row: Mapping[str, Any]) -> float:
        width, height = row["width_px"], row["height_px"]
        return 0.0 if width is None or height is None else abs(width * height)

    return sorted(rows, key=size, reverse=True)[:most]


def outlines_of(row: Mapping[str, Any], scale: float) -> Outlines:
    """The outlines of an object's mask, for drawing: rings of corners, n x 2 float64 in px of the picture.

    Args:
        row: with the columns of SHAPE.
        scale: px on the screen for a px of the picture: what nobody would see is left out.

    Returns:
        Rings to be filled by the even-odd rule; none for an object with a box only.
    """
    tolerance = TOLERANCE_PX / scale
    if row["polygons"]:
        there = [outline for outline in row["polygons"] if outline]
        rings = [np.asarray(outline, np.float64)[: len(outline) // 2 * 2].reshape(-1, 2) for outline in there]
        thin = [masks.thinned(ring, tolerance) for ring in rings if len(ring) and np.isfinite(ring).all()]
        thin = [ring if len(ring) <= FEW else masks.simplified(ring, tolerance) for ring in thin]
        return [ring for ring in thin if len(ring) >= 3]
    if not row["mask_runs"] or not row["mask_height_px"] or None in row["mask_runs"]:
        return []
    runs, height_px = np.asarray(row["mask_runs"], np.int64), int(row["mask_height_px"])
    around = masks.box(runs, height_px)
    if around is None or int(runs.sum()) % height_px:
        return []
    left, top, width, height = around
    fine = CELLS_A_PX * scale
    columns = max(1, min(width, round(width * fine), MOST_CELLS))
    rows = max(1, min(height, round(height * fine), MOST_CELLS))
    cells = masks.sampled(runs, height_px, around, columns, rows)
    while masks.corners(cells) > MOST_CORNERS:
        columns, rows = max(1, columns // 2), max(1, rows // 2)
        cells = masks.sampled(runs, height_px, around, columns, rows)
    step = np.array([width / columns, height / rows])
    rings = masks.outlines(cells)
    thin = [masks.simplified(ring, max(STAIRS, tolerance / float(step.max()))) for ring in rings]
    # What is as small as a stair is still to be seen.
    return [(few if len(few) >= 3 else ring) * step + (left, top) for few, ring in zip(thin, rings, strict=True)]


def drawn(no: int, label: str | None, box: Sequence[float]) -> Lot:
    """One object that somebody has drawn on a sample, ready to be added: left, top, width, height in px."""
    import pyarrow as pa

    values = {
        "sample_no": arrow_arrays.numbers([no], np.uint32),
        "label": arrow_arrays.text([label]),
        **{name: arrow_arrays.numbers([value], np.float64) for name, value in zip(BOX, box, strict=True)},
    }
    return Lot(pa.Table.from_arrays(list(values.values()), list(values)))
