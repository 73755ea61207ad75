"""Objects as COCO's JSON (Lin et al. 2014) says them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ImportProblem
from dataide.storage import masks
from dataide.storage.object_tables import BOX

if TYPE_CHECKING:
    from dataide.core.object_views import ObjectView


def write_coco(objects: ObjectView, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Writes objects to a JSON file, and returns what it says.

    Raises:
        ImportProblem: the file cannot be written.
    """
    told = to_coco(objects)
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(told, file, ensure_ascii=False)
    except OSError as error:
        raise ImportProblem(f"{os.fspath(path)} cannot be written: {error.strerror}.", code="not_written") from error
    return told


def to_coco(objects: ObjectView) -> dict[str, Any]:
    """Objects as `images`, `annotations` and `categories`, with the samples that have such objects.

    Numbers of images are those of the samples, from 1. Ids of annotations and categories are kept where they are whole
    numbers, as in files that were read; others get the next free numbers. A place that is missing is null.
    """
    rows = objects.to_arrow().to_pylist()
    names = dict.fromkeys(str(row["sample_id"]) for row in rows)
    images = {name: number for number, name in enumerate(names, 1)}
    sizes = {row["sample_id"]: (row["picture_width_px"], row["picture_height_px"]) for row in rows}
    categories = _categories(objects, rows)
    numbers = _numbers([str(row["object_id"]) for row in rows])
    return {
        "images": [
            {"id": number, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]}
            for name, number in images.items()
        ],
        "annotations": [
            _annotation(row, number, images[row["sample_id"]], categories)
            for row, number in zip(rows, numbers, strict=True)
        ],
        "categories": list(categories.values()),
    }


def _annotation(
    row: Mapping[str, Any], number: int, image: int, categories: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    box = [row[name] for name in BOX]
    told: dict[str, Any] = {
        "id": number, "image_id": image, "bbox": None if None in box else box, "area": row["area_px"],
        "iscrowd": int(row["crowd"]),
    }  # fmt: skip
    if row["label"] is not None:
        told["category_id"] = categories[row["label"]]["id"]
    if row["polygons"]:
        told["segmentation"] = row["polygons"]
    elif row["mask_runs"] and row["mask_height_px"]:
        runs = np.asarray(row["mask_runs"], np.uint32)
        size = [row["mask_height_px"], int(runs.sum(dtype=np.int64)) // row["mask_height_px"]]
        # Readers of COCO know crowds by plain counts.
        told["segmentation"] = {"counts": runs.tolist() if row["crowd"] else masks.to_text(runs), "size": size}
    if row["keypoints"]:
        told["keypoints"] = [
            value for point in row["keypoints"] for value in (point["x_px"], point["y_px"], point["visibility"])
        ]
        told["num_keypoints"] = sum(point["visibility"] > 0 for point in row["keypoints"])
    if row["track"] is not None:
        told["track_id"] = int(row["track"]) if row["track"].isdecimal() else row["track"]
    if row["attributes"]:
        told["attributes"] = json.loads(row["attributes"])
    return told


def _categories(objects: ObjectView, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By label: those that are declared, then others that the objects have."""
    told: dict[str, dict[str, Any]] = {}
    taken: set[int] = set()
    for known in objects.declared():
        number = known["category_id"]
        if number is None or number in taken:
            number = max(taken, default=0) + 1
        taken.add(number)
        told[known["label"]] = {"id": number, "name": known["label"]}
        for name, key in (("supercategory",) * 2, ("keypoint_names", "keypoints"), ("skeleton",) * 2):
            if known[name] is not None:
                told[known["label"]][key] = known[name]
    for label in dict.fromkeys(row["label"] for row in rows if row["label"] is not None):
        if label not in told:
            told[label] = {"id": max(taken, default=0) + 1, "name": label}
            taken.add(told[label]["id"])
    return told


def _numbers(ids: list[str]) -> list[int]:
    whole = [int(one) if one.isdecimal() and str(int(one)) == one else None for one in ids]
    following = max((one for one in whole if one is not None), default=0)
    numbers = []
    for one in whole:
        if one is None:
            following += 1
        numbers.append(following if one is None else one)
    return numbers
