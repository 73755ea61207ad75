"""COCO's evaluation as it is written down, one image, class, size and threshold after another: slow but plain."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZES = [(0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10)]
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


def box_overlap(ours: Any, theirs: Any, crowd: bool) -> float:
    """Of left, top, width, height."""
    width = min(ours[0] + ours[2], theirs[0] + theirs[2]) - max(ours[0], theirs[0])
    height = min(ours[1] + ours[3], theirs[1] + theirs[3]) - max(ours[1], theirs[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared, own = width * height, ours[2] * ours[3]
    return float(shared / (own if crowd else own + theirs[2] * theirs[3] - shared))


def mask_overlap(ours: Any, theirs: Any, crowd: bool) -> float:
    """Of bool pictures."""
    shared, own = int((ours & theirs).sum()), int(ours.sum())
    union = own if crowd else own + int(theirs.sum()) - shared
    return shared / union if shared else 0.0


def figures(truth: list[dict[str, Any]], found: list[dict[str, Any]], overlap: Any) -> list[float]:
    """The twelve.

    Args:
        truth: image, label, place, crowd, area.
        found: image, label, place, score, area.
        overlap: of two places, and whether the second is a crowd.
    """
    classes = sorted({one["label"] for one in truth} | {one["label"] for one in found})
    images = sorted({one["image"] for one in truth} | {one["image"] for one in found})
    precision = np.full((len(classes), 4, 10, 101), -1.0)
    recall = np.full((len(classes), 4, 3, 10), -1.0)
    for at, label in enumerate(classes):
        groups = []
        for image in images:
            theirs = [one for one in truth if (one["image"], one["label"]) == (image, label)]
            ours = [one for one in found if (one["image"], one["label"]) == (image, label)]
            ours = sorted(ours, key=lambda one: -one["score"])[:100]
            table = [[overlap(one["place"], other["place"], other["crowd"]) for other in theirs] for one in ours]
            groups.append((theirs, ours, table))
        for size, (low, high) in enumerate(SIZES):
            counted = sum(not _ignored(one, low, high) for theirs, _, _ in groups for one in theirs)
            if not counted:
                continue
            for step, threshold in enumerate(THRESHOLDS):
                rows = [row for group in groups for row in _matched(*group, threshold, low, high)]
                for place, most in enumerate((1, 10, 100)):
                    hits = sum(hit and not skip for _, rank, hit, skip in rows if rank < most)
                    recall[at, size, place, step] = hits / counted
                rows = [row for row in sorted(rows, key=lambda row: -row[0]) if not row[3]]
                hit = np.cumsum([row[2] for row in rows])
                curve = hit / np.arange(1, len(rows) + 1)
                for number, level in enumerate(RECALLS):
                    reached = [value for value, many in zip(curve, hit, strict=True) if many / counted >= level]
                    precision[at, size, step, number] = max(reached, default=0.0)

    def mean(values: np.ndarray) -> float:
        return float(values[values > -1].mean()) if (values > -1).any() else -1.0

    return [
        mean(precision[:, 0]), mean(precision[:, 0, 0]), mean(precision[:, 0, 5]),
        *(mean(precision[:, size]) for size in (1, 2, 3)),
        *(mean(recall[:, 0, place]) for place in range(3)),
        *(mean(recall[:, size, 2]) for size in (1, 2, 3)),
    ]  # fmt: skip


def _ignored(one: dict[str, Any], low: float, high: float) -> bool:
    return bool(one["crowd"] or one["area"] < low or one["area"] > high)


def _matched(theirs: Any, ours: Any, table: Any, threshold: float, low: float, high: float) -> list[Any]:
    """Score, rank, whether it hit, whether it is left out: of each prediction."""
    order = sorted(range(len(theirs)), key=lambda at: _ignored(theirs[at], low, high))
    taken: set[int] = set()
    rows = []
    for rank, one in enumerate(ours):
        best, value = -1, min(threshold, 1 - 1e-10)
        for at in order:
            if at in taken and not theirs[at]["crowd"]:
                continue
            if best >= 0 and not _ignored(theirs[best], low, high) and _ignored(theirs[at], low, high):
                break
            if table[rank][at] >= value:
                best, value = at, table[rank][at]
        if best >= 0:
            taken.add(best)
            skip = _ignored(theirs[best], low, high)
        else:
            skip = one["area"] < low or one["area"] > high
        rows.append((one["score"], rank, best >= 0, skip))
    return rows
