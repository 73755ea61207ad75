"""Made-up truth and predictions as COCO has them, with everything that makes measuring hard; nothing is drawn.

Also how COCO's dicts become columns, for these and for real files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dataide.evaluate.detection import Masks, Predictions, Truth

SIDE = 400
# Name: what differs from the usual.
CASES: dict[str, dict[str, Any]] = {
    "usual": {},
    "crowds": {"crowd": 0.3},
    "only_crowds": {"crowd": 1.0},
    "empty_images": {"empty": 0.5},
    "ties": {"scores": 3},
    "all_tied": {"scores": 1},
    "whole_boxes": {"whole": True, "scores": 5},
    "one_class": {"classes": 1},
    "one_image": {"images": 1},
    "many": {"images": 4, "truths": 30, "found": 160, "classes": 1},
    "classes_without_truth": {"classes": 4, "untrue": 2},
    "no_area": {"flat": 0.3},
    "outside": {"shift": 200.0},
    "small": {"scale": 0.2},
    "large": {"scale": 2.5},
    "exact": {"noise": 0.0, "scores": 4},
    "nothing_found": {"found": 0},
    "nothing_true": {"truths": 0},
    "crowded_ties": {"crowd": 0.3, "scores": 2, "noise": 0.02, "copies": 3},
}


def planted(seed: int, by: str = "boxes", points: int = 17, **differing: Any) -> tuple[dict[str, Any], list[Any]]:
    """Truth and results as COCO's files have them.

    Args:
        seed: of the draw.
        by: boxes, masks or keypoints.
        points: keypoints of an object.
        differing: see CASES.
    """
    way = {
        "images": 20, "classes": 3, "truths": 6, "found": 12, "crowd": 0.05, "empty": 0.1, "scores": 0, "whole": False,
        "untrue": 0, "flat": 0.0, "shift": 0.0, "scale": 1.0, "noise": 0.15, "copies": 1, **differing,
    }  # fmt: skip
    draw = np.random.default_rng(seed)
    truths: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, way["images"] + 1):
        there = 0 if draw.random() < way["empty"] else int(draw.integers(0, 2 * way["truths"] + 1))
        own = []
        for _ in range(there):
            size = np.exp(draw.uniform(np.log(8), np.log(180), 2)) * way["scale"]
            left_top = draw.uniform(0, SIDE - 20, 2) + draw.normal(0, 1, 2) * way["shift"]
            box = np.concatenate([left_top, size])
            if draw.random() < way["flat"]:
                box[2 + draw.integers(2)] = 0
            one: dict[str, Any] = {
                "id": len(truths) + 1, "image_id": image, "iscrowd": int(draw.random() < way["crowd"]),
                "category_id": 1 + int(draw.integers(way["classes"] - way["untrue"])),
            }  # fmt: skip
            if by == "keypoints":
                places = box[:2] + draw.random((points, 2)) * box[2:]
                seen = draw.choice([0, 1, 2], points) * (draw.random() > 0.15)
                one |= {"keypoints": np.column_stack([places, seen]).ravel().tolist()}
                one |= {"num_keypoints": int((seen > 0).sum())}
            one |= _placed(box, by, way, draw, true=True)
            own.append((one, box))
            truths.append(one)
        for _ in range(int(draw.integers(0, 2 * way["found"] + 1))):
            label = 1 + int(draw.integers(way["classes"]))
            if own and draw.random() < 0.8:
                like, box = own[int(draw.integers(len(own)))]
                label = like["category_id"] if draw.random() < 0.85 else label
                box = box + draw.normal(0, 1, 4) * way["noise"] * np.tile(box[2:], 2)
                box[2:] = np.maximum(box[2:], 0)
            else:
                like, box = None, np.concatenate([draw.uniform(0, SIDE - 20, 2), draw.uniform(0, 150, 2)])
            score = float(draw.random()) if not way["scores"] else float(draw.integers(way["scores"])) / 8
            for _ in range(way["copies"]):
                found: dict[str, Any] = {"image_id": image, "category_id": label, "score": score}
                if by == "keypoints":
                    base = np.array(like["keypoints"]).reshape(-1, 3)[:, :2] if like else np.full((points, 2), 150.0)
                    places = base + draw.normal(0, 1, (points, 2)) * way["noise"] * (box[2:] / 3 + 1)
                    found["keypoints"] = np.column_stack([places, np.ones(points)]).ravel().tolist()
                results.append(found | ({} if by == "keypoints" else _placed(box, by, way, draw, true=False)))
    images = [{"id": image, "width": SIDE, "height": SIDE} for image in range(1, way["images"] + 1)]
    categories = [{"id": number, "name": str(number)} for number in range(1, way["classes"] + 1)]
    return {"images": images, "annotations": truths, "categories": categories}, results


def _placed(box: np.ndarray, by: str, way: dict[str, Any], draw: np.random.Generator, *, true: bool) -> dict[str, Any]:
    if way["whole"]:
        box = np.round(box / 10) * 10
    # pycocotools takes results with a box for boxes, whatever else they have.
    place: dict[str, Any] = {"bbox": box.tolist()} if true or by == "boxes" else {}
    if true:
        place["area"] = float(box[2] * box[3] * draw.uniform(0.5, 1))
    if by == "masks":
        turn = np.sort(draw.uniform(0, 2 * np.pi, int(draw.integers(3, 12))))
        ring = box[:2] + box[2:] * (0.5 + 0.5 * np.column_stack([np.cos(turn), np.sin(turn)]))
        shapes = [ring.ravel().tolist()]
        if draw.random() < 0.3:
            shapes.append((ring + box[2:] * 0.4).ravel().tolist())
        place["segmentation"] = shapes if true and draw.random() < 0.7 else runs_of(shapes)
    return place


def runs_of(shapes: list[list[float]]) -> dict[str, Any]:
    """COCO's compressed runs of outlines."""
    from dataide.storage import masks

    made = Masks.from_coco([shapes], SIDE, SIDE)
    ends = np.column_stack([made.first, made.last]).ravel()
    runs = np.diff(np.concatenate([[0], ends, [SIDE * SIDE]]))
    return {"size": [SIDE, SIDE], "counts": masks.to_text(runs)}


def large(images: int, found: int, classes: int, truths: int, seed: int = 0) -> tuple[Truth, Predictions]:
    """Truth and predictions by boxes, many: most predictions lie near a truth, as those of a detector do."""
    draw = np.random.default_rng(seed)
    count = images * truths
    image = np.sort(draw.integers(0, images, count))
    boxes = np.concatenate([draw.uniform(0, 500, (count, 2)), np.exp(draw.uniform(2, 5.3, (count, 2)))], axis=1)
    label = draw.integers(0, classes, count)
    crowd = draw.random(count) < 0.01
    first = np.searchsorted(image, np.arange(images))
    many = np.searchsorted(image, np.arange(images), side="right") - first
    of = np.repeat(np.arange(images), found)
    like = np.minimum(first[of] + (draw.random(len(of)) * many[of]).astype(np.int64), count - 1)
    poor = draw.exponential(0.15, len(of))
    places = boxes[like] + poor[:, None] * draw.normal(size=(len(of), 4)) * np.tile(boxes[like, 2:], 2)
    places[:, 2:] = np.maximum(places[:, 2:], 1)
    said = np.where(draw.random(len(of)) < 0.7, label[like], draw.integers(0, classes, len(of)))
    # A detector knows how good it is, more or less.
    score = np.round(1 / (1 + np.exp(5 * poor + (said != label[like]) + draw.normal(0, 1, len(of)))), 4)
    truth = Truth(image, label, boxes, crowd=crowd, area=boxes[:, 2] * boxes[:, 3] * 0.7)
    return truth, Predictions(of, said, score, places)


def as_columns(truth: dict[str, Any], results: list[Any], by: str) -> tuple[Truth, Predictions, dict[str, Any]]:
    """COCO's dicts as columns, and which images and classes there are."""
    objects = truth["annotations"]
    sizes = {one["id"]: (one["height"], one["width"]) for one in truth["images"]}

    def column(rows: list[Any], name: str) -> np.ndarray:
        return np.array([row[name] for row in rows])

    def places(rows: list[Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if by != "masks" and all("bbox" in row for row in rows):
            given["boxes"] = np.array([row["bbox"] for row in rows], float).reshape(-1, 4)
        if by == "masks":
            size = np.array([sizes[row["image_id"]] for row in rows], np.int64).reshape(-1, 2)
            given["masks"] = Masks.from_coco([row["segmentation"] for row in rows], size[:, 0], size[:, 1])
        if by == "keypoints":
            given["keypoints"] = np.array([np.reshape(row["keypoints"], (-1, 3)) for row in rows])
        return given

    ids = [column(rows, "image_id").astype(np.int64) for rows in (objects, results)]
    labels = [column(rows, "category_id").astype(np.int64) for rows in (objects, results)]
    crowd = np.array([row.get("iscrowd", 0) for row in objects], bool)
    ours = Truth(ids[0], labels[0], **places(objects), crowd=crowd, area=column(objects, "area").astype(float))
    found = Predictions(ids[1], labels[1], column(results, "score").astype(float), **places(results))
    return ours, found, {"images": sorted(sizes), "classes": [one["id"] for one in truth["categories"]]}


def as_coco(truth: Truth, found: Predictions) -> tuple[dict[str, Any], list[Any]]:
    """Columns of boxes as COCO's dicts, with numbers from 1."""
    lists = [truth.image, truth.label, truth.boxes, truth.crowd.astype(int), truth.area]
    annotations = [
        {"id": at + 1, "image_id": image + 1, "category_id": label + 1, "bbox": box, "iscrowd": crowd, "area": area}
        for at, (image, label, box, crowd, area) in enumerate(zip(*(one.tolist() for one in lists), strict=True))
    ]
    lists = [found.image, found.label, found.score, found.boxes]
    results = [
        {"image_id": image + 1, "category_id": label + 1, "score": score, "bbox": box}
        for image, label, score, box in zip(*(one.tolist() for one in lists), strict=True)
    ]
    known = range(1, int(max(truth.image.max(), found.image.max())) + 2)
    classes = range(1, int(max(truth.label.max(), found.label.max())) + 2)
    images = [{"id": one, "width": SIDE, "height": SIDE} for one in known]
    return {"images": images, "annotations": annotations, "categories": [{"id": one} for one in classes]}, results


def every_case() -> Iterator[tuple[str, str, dict[str, Any], list[Any]]]:
    """Name, way of comparing, truth and results of all cases."""
    for by in ("boxes", "masks", "keypoints"):
        for seed, (name, differing) in enumerate(CASES.items()):
            yield f"{by} {name}", by, *planted(seed, by, **differing)
    yield "keypoints five", "keypoints", *planted(99, "keypoints", points=5)
