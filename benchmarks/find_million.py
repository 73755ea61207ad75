"""Searches for issues in a session of a million samples with vectors of 256: what they find, how long, how much memory.

`python -m benchmarks find_million`, or `python -m benchmarks.find_million --count 100000 --kinds label` for less. The
vectors lie around 200 centres, 20 of each of ten classes, in 256 dimensions; of the labels 5 % are wrong, 1 % of the
samples are copies of another with a little noise, and 0.1 % lie far from everything. Nothing is downloaded.

"peak_gib" is the largest sum of what the notebook's process and the one that computes held resident at any moment, of
which mapped files are part; at most 8. Recall is of what was planted, among what was flagged.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

COUNT, DIMENSION, CLASSES, CENTRES = 1_000_000, 256, 10, 200
WRONG, COPIES, FAR = 0.05, 0.01, 0.001
KINDS = ("label", "near_duplicate", "outlier")
LIMITS = {"peak_gib": 8.0}
LOOKS_EVERY_S = 0.2


def measure(count: int = COUNT, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    import dataide as di

    figures: dict[str, Any] = {"samples": count}
    with tempfile.TemporaryDirectory() as folder, di.open(Path(folder) / "large.duckdb") as session:
        wrong, copies, far = planted(session, count)
        meant = {"label": wrong, "near_duplicate": copies, "outlier": far}
        with Memory() as memory:
            for kind in kinds:
                began, cpu = time.perf_counter(), cpu_seconds()
                session.find_issues(kind, embedding="made", progress=False)
                figures[f"{kind}_s"] = round(time.perf_counter() - began, 1)
                figures[f"{kind}_cpu_s"] = round(cpu_seconds() - cpu, 1)
                with session.context.database.query(
                    "SELECT sample_no FROM data.issue WHERE kind = ? AND is_issue", [kind]
                ) as cursor:
                    flagged = cursor.fetchnumpy()["sample_no"]
                figures[f"{kind}_flagged"] = len(flagged)
                figures[f"{kind}_recall"] = round(float(np.isin(meant[kind], flagged).mean()), 3)
        figures["peak_gib"] = round(memory.peak / 2**30, 2)
    return {**figures, "limits": LIMITS}


def planted(session: Any, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fills a session; numbers of samples with a wrong label, of copies and originals, of those far out."""
    from dataide.storage import vectors

    random = np.random.default_rng(0)
    centres = random.normal(size=(CENTRES, DIMENSION)).astype(np.float32)
    centre = random.integers(0, CENTRES, count)
    label = centre % CLASSES
    wrong = np.sort(random.choice(count, int(count * WRONG), replace=False))
    label[wrong] = (label[wrong] + random.integers(1, CLASSES, len(wrong))) % CLASSES
    pairs = random.choice(count, 2 * int(count * COPIES / 2), replace=False).reshape(2, -1)
    far = np.sort(random.choice(np.setdiff1d(np.arange(count), pairs), int(count * FAR), replace=False))
    database = session.context.database
    with database.write() as cursor:
        cursor.register("labels", {"no": np.arange(count, dtype=np.uint32), "label": label})
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) "
            "SELECT no, 's' || no, '', 'class ' || label, now()::TIMESTAMP FROM labels"
        )
        cursor.unregister("labels")
        into = vectors.create(cursor, "made", "1", DIMENSION)
    step = 50_000
    for start in range(0, count, step):
        nos = np.arange(start, min(start + step, count))
        rows = centres[centre[nos]] + random.normal(scale=0.7, size=(len(nos), DIMENSION)).astype(np.float32)
        outside = np.isin(nos, far)
        rows[outside] = random.normal(scale=2, size=(int(outside.sum()), DIMENSION))
        # Both of a pair begin at a place that only they have.
        for of_pair in pairs:
            here = np.flatnonzero((of_pair >= start) & (of_pair < start + step))
            places = (
                np.stack([np.random.default_rng(int(pair)).normal(size=DIMENSION) for pair in here]) if len(here) else 0
            )
            rows[of_pair[here] - start] = centres[centre[pairs[0][here]]] + 0.7 * places
        rows += random.normal(scale=0.01, size=rows.shape).astype(np.float32)
        with database.write() as cursor:
            vectors.store(cursor, into, nos.astype(np.uint32), np.ones(len(nos), np.uint32), rows.astype(np.float32))
    # A sample whose label went wrong because its vector is a copy's is not one that anybody could find.
    return np.setdiff1d(wrong, np.concatenate([far, pairs.ravel()])), np.sort(pairs.ravel()), far


class Memory:
    """Watches what this process and those it started hold together."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(LOOKS_EVERY_S):
            self.peak = max(self.peak, sum(map(resident, [os.getpid(), *children(os.getpid())])))


def children(pid: int) -> list[int]:
    """Processes that this one started, and those that they started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            own = [int(one) for one in task.read_text().split()]
        except OSError:
            continue
        found += own + [further for one in own for further in children(one)]
    return found


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def cpu_seconds() -> float:
    """Of this process and of those that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    given = parser.parse_args()
    print(json.dumps(measure(given.count, tuple(given.kinds))))
