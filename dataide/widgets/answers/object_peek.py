"""The object under the pointer of a map of objects: cut out of its picture, with a little of what is around it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dataide.errors import DataideError
from dataide.storage import pictures
from dataide.storage.object_tables import BOX
from dataide.widgets.protocol_objects import PeekedObject

if TYPE_CHECKING:
    from dataide.storage.pictures import Picture
    from dataide.widgets.workspace import Workspace

# Of the longer side of the box, on each side of it: enough to see what it lies on.
AROUND = 0.25
LEAST_AROUND_PX = 4
# Read at this size at most: a crop of a large picture is shown small.
READ_PX = 2_048

_FOUND = f"SELECT {', '.join(BOX)} FROM data.object WHERE object_no = ? AND NOT removed"
_MEDIA = "SELECT media FROM data.sample WHERE sample_no = ?"


def opened(workspace: Workspace, no: int) -> Picture | None:
    """The picture of a sample, decoded as large as crops need it; None where it cannot be read.

    Args:
        workspace: of the session.
        no: the sample.
    """
    with workspace.database.query(_MEDIA, [no]) as cursor:
        found = cursor.fetchall()
    if not found:
        return None
    try:
        picture = pictures.look(workspace.context.media.read(found[0][0]), max_side_px=READ_PX)
    except DataideError:
        return None
    return picture if picture.width_px and picture.height_px else None


def cut_out(
    workspace: Workspace, no: int, object_no: int, px: int, picture: Picture | None = None
) -> tuple[PeekedObject, bytes, str] | None:
    """An object and what surrounds it: where its box lies in the cut, the encoded cut, its mime type.

    None where it has no box with an area in its picture, or the picture cannot be read: then the whole one says more.

    Args:
        workspace: of the session.
        no: the sample it is on.
        object_no: its number.
        px: longest side of the cut.
        picture: of the sample, where it is open already: it is the dear part.
    """
    with workspace.database.query(_FOUND, [object_no]) as cursor:
        found = cursor.fetchall()
    if not found or any(side is None or not math.isfinite(side) for side in found[0]):
        return None
    picture = picture or opened(workspace, no)
    if picture is None:
        return None
    image = picture.image
    across, down = image.width / picture.width_px, image.height / picture.height_px
    left, top, width, height = (float(side) * scale for side, scale in zip(found[0], (across, down) * 2, strict=True))
    around = max(AROUND * max(width, height), LEAST_AROUND_PX)
    x0, y0 = max(math.floor(left - around), 0), max(math.floor(top - around), 0)
    x1, y1 = min(math.ceil(left + width + around), image.width), min(math.ceil(top + height + around), image.height)
    inside = min(left + width, image.width) > max(left, 0) and min(top + height, image.height) > max(top, 0)
    if width <= 0 or height <= 0 or not inside:
        return None
    part = image.crop((x0, y0, x1, y1))
    part.thumbnail((px, px))
    data, mime = pictures.encode(part)
    shares = [(left - x0) / (x1 - x0), (top - y0) / (y1 - y0), width / (x1 - x0), height / (y1 - y0)]
    return {"no": object_no, "box": [round(share, 5) for share in shares]}, data, mime
