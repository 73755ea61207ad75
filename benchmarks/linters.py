"""Linters: planted faults among real boxes, how long a million objects take, and one picture while someone draws.

"session" figures are of a million boxes in a session file, five a picture: find_issues("linter") as a whole, wall
seconds, CPU seconds here and in the process that learns, and the most memory that this process held beyond what it had.

Figures of faults are the worst of three seeds, a twentieth of the boxes of coco128 each; they are left out where the
image sets are not in ../shared/data. "missed" is 1 - recall. Class swaps are counted at a precision of 0.2.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import planted_boxes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = (0, 1, 2)
LIMITS = {
    "duplicates_missed": 0,
    "outside_missed": 0,
    "broken_missed": 0,
    "tenfold_missed": 0.1,
    "tenfold_cut_off_missed_mean": 0.1,
    "swaps_missed": 0.7,
    "swaps_with_crops_missed": 0.7,
    "swaps_in_a_picture_with_crops_missed_mean": 0.7,
    "bccd_wrong_counts": 0,
    "whole_1000000_cpu_s": 10,
    "session_1000000_s": 60,
    "session_1000000_memory_added_mib": 3_000,
    "one_picture_ms": 2,
}


def measure() -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if (DATA / "coco128").is_dir():
        figures |= planted(DATA / "coco128")
    if (DATA / "bccd").is_dir():
        figures |= shipped(DATA / "bccd")
    return {**figures, **in_session(1_000_000), **speed(1_000_000), "limits": LIMITS}


def planted(folder: Path) -> dict[str, float]:
    from dataide.review.linters import Findings, lint, objects

    coco = planted_boxes.coco(folder)
    vectors = planted_boxes.crops(folder, coco)

    def findings(boxes: planted_boxes.Boxes, vectors: np.ndarray | None = None) -> Findings:
        return lint(objects(boxes.columns(), boxes.samples(), boxes.names), vectors=vectors, own=())

    def missed(boxes: planted_boxes.Boxes, rows: np.ndarray, *rules: str) -> float:
        found = findings(boxes)
        told = np.concatenate([found.object_no[found.of(rule)] for rule in rules])
        return 1 - float(np.isin(rows, told).mean())

    figures: dict[str, list[float]] = {}
    for seed in SEEDS:

        def note(name: str, value: float) -> None:
            figures.setdefault(name, []).append(value)

        for jitter in (0.0, 0.03):
            note("duplicates_missed", missed(*planted_boxes.doubled(coco, seed, jitter), "duplicate_box"))
        for wholly in (False, True):
            out = planted_boxes.pushed_out(coco, seed, wholly=wholly)
            note("outside_missed", missed(*out, "outside_image", "partly_outside"))
        note("broken_missed", missed(*planted_boxes.spoiled(coco, seed), "inverted_box", "empty_box", "not_a_number"))
        note("tenfold_missed", missed(*planted_boxes.grown(coco, seed, 10, clip=False), "too_large"))
        note("tenfold_cut_off_missed", missed(*planted_boxes.grown(coco, seed, 10, clip=True), "too_large"))
        room = planted_boxes.grown(coco, seed, 10, clip=False, fitting=True)
        note("tenfold_with_room_missed", missed(*room, "too_large"))
        for how in ("uniform", "common", "exchanged"):
            boxes, rows = planted_boxes.relabelled(coco, seed, how)
            name = "swaps_in_a_picture" if how == "exchanged" else "swaps"
            note(f"{name}_missed", 1 - recall_at(findings(boxes), rows, 0.2))
            note(f"{name}_with_crops_missed", 1 - recall_at(findings(boxes, vectors), rows, 0.2))
    worst = {name: round(max(values), 3) for name, values in figures.items()}
    means = {f"{name}_mean": round(statistics.mean(values), 3) for name, values in figures.items()}
    return {**worst, **means, "too_large_told_as_shipped": len(findings(coco).of("too_large")) / len(coco.box)}


def recall_at(findings: Any, rows: np.ndarray, precision: float) -> float:
    """The share of these rows that is told as swapped, when the list is cut where its precision is still this."""
    places = findings.of("class_swap")
    places = places[np.argsort(findings.score[places], kind="stable")]
    right = np.cumsum(np.isin(findings.object_no[places], rows))
    enough = right >= precision * np.arange(1, len(places) + 1)
    return float(right[enough].max(initial=0) / len(rows))


def shipped(folder: Path) -> dict[str, float]:
    from dataide.review.linters import lint, objects

    boxes = planted_boxes.bccd(folder)
    found = lint(objects(boxes.columns(), boxes.samples(), boxes.names), own=())
    empty = len(found.of("empty_box")) + len(found.of("inverted_box"))
    outside = len(found.of("outside_image")) + len(found.of("partly_outside"))
    wrong = abs(empty - 2) + abs(len(found.of("duplicate_box")) - 8) + outside
    return {"bccd_wrong_counts": wrong, "bccd_class_swaps_told": len(found.of("class_swap"))}


def speed(count: int) -> dict[str, float]:
    """A million made-up objects, eight a picture, of 80 classes; and pictures of 20 objects one by one."""
    from dataide.review.linters import learn, lint, lint_one, objects

    random = np.random.default_rng(0)
    kind = np.minimum(random.geometric(0.06, count) - 1, 79)
    side = np.exp(random.normal(3 + kind / 40, 0.6, (2, count)))
    columns = {
        "object_no": np.arange(count),
        "sample_no": np.arange(count) // 8,
        "class_no": kind,
        "x": random.uniform(0, 400, count),
        "y": random.uniform(0, 300, count),
        "width": side[0],
        "height": side[1],
    }
    pictures = count // 8
    samples = {
        "sample_no": np.arange(pictures),
        "width_px": np.full(pictures, 640.0),
        "height_px": np.full(pictures, 480.0),
    }
    names = [f"class {no}" for no in range(80)]
    table = objects(columns, samples, names)
    before, cpu = memory_mib(), time.process_time()
    known = learn(table)
    learned = time.process_time() - cpu
    lint(table, known, own=())
    whole = time.process_time() - cpu
    times = []
    for start in range(0, 20 * 200, 20):
        part = {name: values[start : start + 20] for name, values in columns.items() if name != "sample_no"}
        began = time.process_time()
        lint_one(part, (640, 480), names, known)
        times.append(time.process_time() - began)
    return {
        f"learn_{count}_cpu_s": round(learned, 2),
        f"whole_{count}_cpu_s": round(whole, 2),
        "memory_added_mib": round(memory_mib() - before),
        "one_picture_ms": round(statistics.median(times) * 1e3, 2),
    }


def in_session(count: int) -> dict[str, float]:
    """`find_issues("linter")` over boxes in a file: one in a hundred outside its picture, one in a hundred doubled."""
    import dataide as di

    with tempfile.TemporaryDirectory() as folder, di.open(Path(folder) / "linted.duckdb") as session:
        with session.context.database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, width_px, height_px, added_at) "
                "SELECT i, 's' || i, '', 640, 480, now()::TIMESTAMP FROM range(?) t(i)",
                [count // 5],
            ).fetchall()
            cursor.execute(
                "INSERT INTO data.object (object_no, sample_no, object_id, label, left_px, top_px, width_px, "
                "height_px, added_at) SELECT i, i // 5, 'o' || i, 'class ' || hash(i) % 20, "
                "CASE WHEN i % 100 = 3 THEN 620 WHEN i % 100 = 6 THEN 1 + (i - 1) % 5 * 100 ELSE i % 5 * 100 END, "
                "CASE WHEN i % 100 = 6 THEN (i - 1) % 7 * 50 ELSE i % 7 * 50 END, 50 + i % 13, 40 + i % 11, "
                "now()::TIMESTAMP FROM range(?) t(i)",
                [count],
            ).fetchall()
            session.context.database.rebuild_views(cursor)
        before, children = memory_mib(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        wall, cpu = time.perf_counter(), time.process_time()
        report: Any = session.find_issues("linter", progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        learned = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - children
        return {
            f"session_{count}_s": round(wall, 1),
            f"session_{count}_cpu_s": round(cpu, 1),
            f"session_{count}_learning_cpu_s": round(learned, 1),
            f"session_{count}_memory_added_mib": round(memory_mib() - before),
            f"session_{count}_issues": report.found["linter"],
        }


def memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
