"""Objects in a session: how fast a million boxes come in, and decisions about 100,000 of them.

Random boxes of 100,000 samples without pictures. "cpu" counts all threads. A COCO file of
50,000 annotations with outlines is read twice, as always: once to see whether it is whole.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

OBJECTS, SAMPLES, DECIDED, ANNOTATIONS = 1_000_000, 100_000, 100_000, 50_000
LIMITS = {"add_1000000_s": 20, "undo_100000_s": 1, "undo_delete_100000_s": 1}


def measure() -> dict[str, Any]:
    import dataide as di

    figures: dict[str, Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> None:
        wall, used = time.perf_counter(), time.process_time()
        work()
        figures[f"{name}_s"] = round(time.perf_counter() - wall, 2)
        figures[f"{name}_cpu_s"] = round(time.process_time() - used, 2)

    with tempfile.TemporaryDirectory() as folder, di.open(Path(folder) / "objects.duckdb") as session:
        session.add_frame({"sample_id": [f"s{no}" for no in range(SAMPLES)]}, media=None, progress=False)
        frame = boxes()
        timed("add_1000000", lambda: session.add_objects(frame, progress=False))
        timed("add_again", lambda: session.add_objects(frame, progress=False))
        assert len(session.objects) == OBJECTS
        timed("count_where", lambda: len(session.objects.where("area_px < 100", label="dog")))
        some = session.objects.take(DECIDED)
        timed("relabel_100000", lambda: some.relabel("bird"))
        timed("undo_100000", session.undo)
        timed("delete_100000", some.delete)
        timed("undo_delete_100000", session.undo)
        thousand = session.objects.among(np.arange(1000))
        timed("relabel_1000", lambda: thousand.relabel("bird"))
        path = Path(folder) / "coco.json"
        path.write_text(json.dumps(coco_file()))
        timed("coco_50000", lambda: session.add_coco(path, prefix="coco/", progress=False))
    return {**figures, "limits": LIMITS}


def boxes() -> dict[str, list[Any]]:
    random = np.random.default_rng(0)
    places = random.uniform(1, 500, (OBJECTS, 4)).round(2)
    return {
        "sample_id": [f"s{no}" for no in random.integers(0, SAMPLES, OBJECTS)],
        "label": np.array(["cat", "dog", "car", "bus"])[random.integers(0, 4, OBJECTS)].tolist(),
        **{name: places[:, side].tolist() for side, name in enumerate(("x", "y", "w", "h"))},
    }


def coco_file() -> dict[str, Any]:
    random = np.random.default_rng(1)
    corners = random.uniform(0, 500, (ANNOTATIONS, 60)).round(2).tolist()
    told = [
        {
            "id": number, "image_id": number % 1000, "category_id": 1, "bbox": outline[:4], "area": outline[4],
            "iscrowd": 0, "segmentation": [outline],
        }
        for number, outline in enumerate(corners, 1)
    ]  # fmt: skip
    images = [{"id": number, "file_name": f"s{number}", "width": 640, "height": 480} for number in range(1000)]
    return {"annotations": told, "images": images, "categories": [{"id": 1, "name": "thing"}]}
