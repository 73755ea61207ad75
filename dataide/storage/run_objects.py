"""The true objects of samples as a detector's are compared with: columns of classes, boxes, crowds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage.object_tables import BOX

if TYPE_CHECKING:
    from dataide.storage.database import Database


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """The boxes that samples have.

    Attributes:
        sample_no, object_no: uint32, n; in order of the objects.
        label: n texts.
        boxes: float64, n x 4: left, top, width, height in px of the upright picture.
        crowd: bool, n.
        area: float64, n, in square px: what the file says, or that of the box.
        left_out: objects without a class, or without a box.
    """

    sample_no: np.ndarray
    object_no: np.ndarray
    label: list[str]
    boxes: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    left_out: int


def true_boxes(database: Database, nos: np.ndarray) -> TrueBoxes:
    """Reads the boxes of these samples (uint32, n)."""
    wanted = {"wanted": {"sample_no": np.ascontiguousarray(nos, np.uint32)}}
    source = "FROM data.object o WHERE NOT o.removed AND o.sample_no IN (SELECT sample_no FROM wanted)"
    usable = " AND ".join(
        ["nullif(o.label, '') IS NOT NULL", *(f"coalesce(isfinite(o.{side}), false)" for side in BOX)]
    )
    usable += " AND o.width_px >= 0 AND o.height_px >= 0"
    area = "coalesce(o.area_px, o.width_px * o.height_px)"
    sql = f"SELECT o.sample_no, o.object_no, o.label, coalesce(o.crowd, false) AS crowd, {area} AS area, "
    sql += f"{', '.join(f'o.{side}' for side in BOX)} {source} AND {usable} ORDER BY o.object_no"
    with database.query(sql, frames=wanted) as cursor:
        found = cursor.fetchnumpy()
    with database.query(f"SELECT count(*) {source} AND NOT ({usable})", frames=wanted) as cursor:
        left_out = int((cursor.fetchone() or (0,))[0])
    return TrueBoxes(
        np.asarray(found["sample_no"], np.uint32), np.asarray(found["object_no"], np.uint32),
        [str(label) for label in found["label"].tolist()],
        np.stack([np.asarray(found[side], np.float64) for side in BOX], axis=1),
        np.asarray(found["crowd"], bool), np.asarray(found["area"], np.float64), left_out,
    )  # fmt: skip
