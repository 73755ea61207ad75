"""Boxes of coco128 and bccd, and faults planted among them. For `linters` and its tests."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SHARE = 0.05


@dataclass(frozen=True)
class Boxes:
    """Boxes of a set: N x 4 (x, y, width, height in px), classes and pictures by number, and the pictures' sizes."""

    box: np.ndarray
    kind: np.ndarray
    picture: np.ndarray
    width_px: np.ndarray
    height_px: np.ndarray
    names: list[str]
    files: list[str]

    def columns(self) -> dict[str, np.ndarray]:
        x, y, width, height = self.box.T
        nos = np.arange(len(self.box))
        return {
            "object_no": nos,
            "sample_no": self.picture,
            "class_no": self.kind,
            "x": x,
            "y": y,
            "width": width,
            "height": height,
        }

    def samples(self) -> dict[str, np.ndarray]:
        nos = np.arange(len(self.width_px))
        return {"sample_no": nos, "width_px": self.width_px, "height_px": self.height_px}


def coco(folder: Path) -> Boxes:
    given = json.loads((folder / "instances_train2017_128.json").read_text(encoding="utf-8"))
    pictures = {image["id"]: place for place, image in enumerate(given["images"])}
    classes = [category["id"] for category in given["categories"]]
    notes = given["annotations"]
    return Boxes(
        np.array([note["bbox"] for note in notes], float),
        np.array([classes.index(note["category_id"]) for note in notes]),
        np.array([pictures[note["image_id"]] for note in notes]),
        np.array([image["width"] for image in given["images"]], float),
        np.array([image["height"] for image in given["images"]], float),
        [category["name"] for category in given["categories"]],
        [Path(image["file_name"]).name for image in given["images"]],
    )


def bccd(folder: Path) -> Boxes:
    import pyarrow.parquet as pq

    boxes = pq.read_table(folder / "boxes.parquet").to_pydict()
    images = pq.read_table(folder / "images.parquet", columns=["id", "width", "height"]).to_pydict()
    pictures = {name: place for place, name in enumerate(images["id"])}
    names = sorted(set(boxes["label"]))
    left, top, right, bottom = (np.array(boxes[name], float) for name in ("xmin", "ymin", "xmax", "ymax"))
    return Boxes(
        np.stack([left, top, right - left, bottom - top], axis=1),
        np.array([names.index(label) for label in boxes["label"]]),
        np.array([pictures[name] for name in boxes["image_id"]]),
        np.array(images["width"], float),
        np.array(images["height"], float),
        names,
        images["id"],
    )


def crops(folder: Path, boxes: Boxes) -> np.ndarray:
    """The `auto` descriptor of each box's pixels, N x 480."""
    import pyarrow.parquet as pq
    from PIL import Image

    from dataide.inference.descriptor import describe

    table = pq.read_table(folder / "images.parquet", columns=["file_name", "image"]).to_pydict()
    data = {Path(name).name: image for name, image in zip(table["file_name"], table["image"], strict=True)}
    vectors: np.ndarray = np.full((len(boxes.box), 480), np.nan, np.float32)
    for picture in np.unique(boxes.picture).tolist():
        rows = np.flatnonzero(boxes.picture == picture)
        image = Image.open(io.BytesIO(data[boxes.files[picture]])).convert("RGB")
        parts = []
        for x, y, width, height in boxes.box[rows]:
            left, top = int(max(x, 0)), int(max(y, 0))
            right, bottom = min(int(np.ceil(x + width)), image.width), min(int(np.ceil(y + height)), image.height)
            parts.append(image.crop((left, top, max(right, left + 1), max(bottom, top + 1))))
        vectors[rows] = describe(parts)
    return vectors


def chosen(boxes: Boxes, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.sort(random.choice(len(boxes.box), max(round(SHARE * len(boxes.box)), 1), replace=False))


def doubled(boxes: Boxes, seed: int, jitter: float) -> tuple[Boxes, np.ndarray]:
    """Some boxes again, moved and resized by up to `jitter` of their sides; returns rows of the copies."""
    rows, random = chosen(boxes, seed), np.random.default_rng(seed + 1000)
    copy = boxes.box[rows].copy()
    sides = np.tile(copy[:, 2:], 2)
    copy += random.uniform(-jitter, jitter, copy.shape) * sides
    more = replace(
        boxes,
        box=np.concatenate([boxes.box, copy]),
        kind=np.concatenate([boxes.kind, boxes.kind[rows]]),
        picture=np.concatenate([boxes.picture, boxes.picture[rows]]),
    )
    return more, np.arange(len(boxes.box), len(more.box))


def pushed_out(boxes: Boxes, seed: int, *, wholly: bool) -> tuple[Boxes, np.ndarray]:
    """Some boxes pushed over an edge, by a tenth to nine tenths of their side, or altogether."""
    rows, random = chosen(boxes, seed), np.random.default_rng(seed + 2000)
    box = boxes.box.copy()
    sides = np.stack([boxes.width_px, boxes.height_px], axis=1)[boxes.picture]
    for row in rows.tolist():
        axis, low = int(random.integers(2)), bool(random.integers(2))
        # A shift below one pixel could be rounding.
        beyond = max(box[row, 2 + axis] * random.uniform(0.1, 0.9), 1.5)
        beyond = box[row, 2 + axis] + random.uniform(1, 50) if wholly else beyond
        box[row, axis] = -beyond if low else sides[row, axis] + beyond - box[row, 2 + axis]
    return replace(boxes, box=box), rows


def spoiled(boxes: Boxes, seed: int) -> tuple[Boxes, np.ndarray]:
    """Some boxes inverted in one way or both, without a side, or with a coordinate that is no number."""
    rows = chosen(boxes, seed)
    box = boxes.box.copy()
    for place, row in enumerate(rows.tolist()):
        x, y, width, height = box[row]
        box[row] = [
            (x + width, y, -width, height),
            (x + width, y + height, -width, -height),
            (x, y, 0, height),
            (x, y, 0, 0),
            (x, np.nan, width, height),
        ][place % 5]
    return replace(boxes, box=box), rows


def grown(boxes: Boxes, seed: int, factor: float, *, clip: bool, fitting: bool = False) -> tuple[Boxes, np.ndarray]:
    """Some boxes with sides this many times as long, about their middle; cut off at the picture's edges with `clip`.

    With `fitting` only boxes that have room for it are taken, and they are moved inside.
    """
    sides = np.stack([boxes.width_px, boxes.height_px], axis=1)[boxes.picture]
    rows = chosen(boxes, seed)
    if fitting:
        room = np.flatnonzero((boxes.box[:, 2:] * factor < sides).all(axis=1))
        rows = np.sort(np.random.default_rng(seed).choice(room, min(len(rows), len(room)), replace=False))
    box = boxes.box.copy()
    middle = box[rows, :2] + box[rows, 2:] / 2
    box[rows, 2:] *= factor
    box[rows, :2] = middle - box[rows, 2:] / 2
    if fitting:
        box[rows, :2] = np.clip(box[rows, :2], 0, sides[rows] - box[rows, 2:])
    elif clip:
        end = np.minimum(box[rows, :2] + box[rows, 2:], sides[rows])
        box[rows, :2] = np.maximum(box[rows, :2], 0)
        box[rows, 2:] = end - box[rows, :2]
    return replace(boxes, box=box), rows


def relabelled(boxes: Boxes, seed: int, how: str) -> tuple[Boxes, np.ndarray]:
    """Some boxes under another class: any ("uniform"), as common as they are ("common"), or two of one picture
    exchanged ("exchanged")."""
    rows, random = chosen(boxes, seed), np.random.default_rng(seed + 3000)
    kind = boxes.kind.copy()
    if how == "exchanged":
        changed = np.zeros(len(kind), bool)
        for row in random.permutation(len(kind)).tolist():
            others = np.flatnonzero((boxes.picture == boxes.picture[row]) & (boxes.kind != boxes.kind[row]) & ~changed)
            if changed.sum() < len(rows) and len(others) and not changed[row]:
                other = int(random.choice(others))
                kind[row], kind[other] = boxes.kind[other], boxes.kind[row]
                changed[[row, other]] = True
        return replace(boxes, kind=kind), np.flatnonzero(changed)
    for row in rows.tolist():
        while kind[row] == boxes.kind[row]:
            kind[row] = random.integers(len(boxes.names)) if how == "uniform" else random.choice(boxes.kind)
    return replace(boxes, kind=kind), rows
