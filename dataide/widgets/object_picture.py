"""Boxes over the picture of one sample, for saved notebooks: as the inspector draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import palette
from .answers.objects import APART, objects, objects_state

if TYPE_CHECKING:
    from PIL.Image import Image

    from .workspace import Workspace

MOST = 100
EDGE = (0, 0, 0)


def with_boxes(workspace: Workspace, no: int, image: Image) -> Image:
    """The picture with the boxes of its largest objects; as it was, where there are none."""
    from PIL.ImageDraw import Draw

    if objects_state(workspace) is None:
        return image
    reply = objects(workspace, {"nos": [no], "px": max(image.size)})
    boxes = np.frombuffer(bytes(reply.buffers[0]), np.float64).reshape(-1, 4)[:MOST] * (image.size * 2)
    colors = [palette.category(one, APART if one < APART else 255) for one in reply.body["colors"]]
    draw = Draw(image)
    for (left, top, width, height), label in zip(boxes.tolist(), reply.body["labels"], strict=False):
        if not np.isfinite([left, top, width, height]).all():
            continue
        (x0, x1), (y0, y1) = sorted((left, left + width)), sorted((top, top + height))
        draw.rectangle((x0, y0, x1, y1), outline=EDGE, width=3)
        inner = (x0 + 1, y0 + 1, max(x1 - 1, x0 + 1), max(y1 - 1, y0 + 1))
        draw.rectangle(inner, outline=colors[label] if label >= 0 else palette.NO_VALUE, width=1)
    return image
