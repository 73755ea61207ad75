"""Figures of detection, beside pycocotools 2.0.11 on the same objects: are they the same, and how long does it take.

"different" is the largest difference of any figure: on real objects (COCO's demo, boxes and masks) and on made-up ones
with crowds, empty images, ties and the like, by boxes, masks and keypoints; -1 for "no truth" compared as well. Time is
that of 5,000 images with 100 predictions each, 80 classes and one class, from columns (the peer: from its loaded
objects) to figures, without and with intervals. The peer lives in .venv-peers/pycocotools (`uv venv`, `uv pip install
pycocotools==2.0.11`); without it only our time is told.

Then the intervals: how often one of 90 % holds the figure of the whole, over samples of 100 images out of 5,000. One
thread, CPU time.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
REAL = HERE.parents[1] / "shared" / "data" / "coco-eval-oracle"
PEER = HERE.parent / ".venv-peers" / "pycocotools" / "bin" / "python"
IMAGES, FOUND, TRUTHS = 5000, 100, 8
LIMITS = {"different": 1e-6, "different_of_class": 1e-6, "share_80": 0.2, "share_1": 0.2, "missed_by_intervals": 0.2}
RESAMPLES = 200

JUDGE = """
import contextlib, io, json, sys, time, numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
for line in sys.stdin:
    case = json.load(open(line.strip()))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = case["truth"]
        truth.createIndex()
        found = truth.loadRes(case["results"]) if case["results"] else COCO()
        if not case["results"]:
            found.dataset = {"images": case["truth"]["images"], "annotations": []}
            found.createIndex()
        way = {"boxes": "bbox", "masks": "segm"}.get(case["by"], case["by"])
        work = COCOeval(truth, found, way)
        if case["sigmas"]:
            work.params.kpt_oks_sigmas = numpy.array(case["sigmas"])
        if case["images"]:
            work.params.imgIds = case["images"]
        began = time.process_time()
        work.evaluate()
        work.accumulate()
        work.summarize()
        took = time.process_time() - began
    kept = work.eval["precision"][:, :, :, 0, -1]
    of_class = [float(one[one > -1].mean()) if (one > -1).any() else -1.0 for one in numpy.moveaxis(kept, 2, 0)]
    print(json.dumps({"figures": work.stats.tolist(), "of_class": of_class, "cpu_s": took}), flush=True)
"""


def measure() -> dict[str, Any]:
    """The largest differences, and times; what is not there is left out."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    figures: dict[str, Any] = {}
    if PEER.exists():
        figures |= compared()
    for classes in (80, 1):
        figures |= timed(classes)
    figures["missed_by_intervals"] = missed()
    return {**figures, "limits": {name: limit for name, limit in LIMITS.items() if name in figures}}


def compared() -> dict[str, Any]:
    """How far figures differ from the peer's, at most."""
    from benchmarks import planted_detections as planted
    from dataide.evaluate.detection import detection

    cases: list[tuple[str, str, Any, Any, list[int] | None]] = [(*case, None) for case in planted.every_case()]
    if REAL.is_dir():
        cases += real()
    sigmas = {"keypoints five": [0.05, 0.1, 0.03, 0.08, 0.2]}
    theirs = peer([(by, truth, results, images, sigmas.get(name)) for name, by, truth, results, images in cases])
    worst, of_class = (0.0, ""), 0.0
    for (name, by, truth, results, images), other in zip(cases, theirs, strict=True):
        ours, found, known = planted.as_columns(truth, results, by)
        known |= {"images": images} if images else {}
        result = detection(ours, found, by=by, sigmas=sigmas.get(name), resamples=0, **known)
        worst = max(worst, (float(np.abs(np.array(list(result.values())) - other["figures"]).max()), name))
        of_class = max(of_class, float(np.abs(result.per_class["AP"] - other["of_class"]).max(initial=0)))
    return {"cases": len(cases), "different": worst[0], "different_in": worst[1], "different_of_class": of_class}


def real() -> list[tuple[str, str, Any, Any, list[int] | None]]:
    """COCO's own demo."""
    truth = json.loads((REAL / "instances_val2014_100.json").read_text(encoding="utf-8"))
    cases: list[tuple[str, str, Any, Any, list[int] | None]] = []
    for by, name in (("boxes", "bbox"), ("masks", "segm")):
        results = json.loads((REAL / f"instances_val2014_fake{name}100_results.json").read_text(encoding="utf-8"))
        images = sorted({one["image_id"] for one in results})
        cases += [(f"real {by}", by, truth, results, images), (f"real {by}, all images", by, truth, results, None)]
    return cases


def timed(classes: int) -> dict[str, Any]:
    """CPU time of ours and the peer's."""
    from benchmarks import planted_detections as planted
    from dataide.evaluate.detection import detection

    truth, found = planted.large(IMAGES, FOUND, classes, TRUTHS)
    figures: dict[str, Any] = {}
    for name, resamples in (("", 0), ("_with_intervals", RESAMPLES)):
        began = time.process_time()
        result = detection(truth, found, resamples=resamples)
        figures[f"cpu_s_{classes}{name}"] = round(time.process_time() - began, 2)
    if PEER.exists():
        [other] = peer([("boxes", *planted.as_coco(truth, found), None, None)])
        figures[f"peer_cpu_s_{classes}"] = round(other["cpu_s"], 2)
        figures[f"share_{classes}"] = round(figures[f"cpu_s_{classes}"] / other["cpu_s"], 4)
        figures[f"different_{classes}"] = float(np.abs(np.array(list(result.values())) - other["figures"]).max())
    return figures


def missed(samples: int = 100, images: int = 100) -> float:
    """The share of 90 % intervals of AP that do not hold the AP of all images."""
    from benchmarks import planted_detections as planted
    from dataide.evaluate.detection import detection

    truth, found = planted.large(IMAGES, 10, 3, TRUTHS, seed=1)
    whole = detection(truth, found, resamples=0)["AP"]
    draw = np.random.default_rng(2)
    outside = 0
    for _ in range(samples):
        some = draw.choice(IMAGES, images, replace=False)
        low, high = detection(truth, found, images=some, confidence=0.9, resamples=RESAMPLES).intervals["AP"]
        outside += not low <= whole <= high
    return outside / samples


def peer(cases: list[tuple[str, Any, Any, list[int] | None, list[float] | None]]) -> list[dict[str, Any]]:
    """What pycocotools says of each case."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, (by, truth, results, images, sigmas) in enumerate(cases):
            path = Path(folder) / f"{number}.json"
            case = {"by": by, "truth": truth, "results": results, "images": images, "sigmas": sigmas}
            path.write_text(json.dumps(case), encoding="utf-8")
            names.append(str(path))
        said = subprocess.run(
            [str(PEER), "-c", JUDGE], input="\n".join(names), text=True, check=True, stdout=subprocess.PIPE
        )
    return [json.loads(line) for line in said.stdout.splitlines()]


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
