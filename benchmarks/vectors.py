"""Vectors in a session: how fast they are committed, and how long the 100 most similar of them take to be found.

Without torch and without pictures: random vectors of 512 numbers, committed 8,192 at a time as embedding does. Each
search has a query of its own. "wrong" counts the answers that are not those of float64 over everything. "first" reads
the vectors out of the session file; "reopened" is the first search after closing and opening again. "cpu" counts all
threads. "memory_added" is without what is mapped from files, which the system may take back. "index" is the approximate
one, over vectors in clumps as networks make them (those at random are all equally far from each other, which no graph
can use): its recall is against the exact search.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

DIMENSION = 512
COMMITTED = 8_192
NEAREST = 100
RUNS = 5
INDEXED, INDEX_DIMENSION, INDEX_QUERIES = 200_000, 64, 50
LIMITS = {
    "commit_100000_us_a_vector": 20,
    "search_100000_ms": 25,
    "search_1000000_ms": 150,
    "wrong_100000": 0,
    "wrong_1000000": 0,
}


def measure() -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for count in (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            figures |= {f"{name}_{count}_{unit}".rstrip("_"): value for (name, unit), value in run(Path(folder), count)}
    with tempfile.TemporaryDirectory() as folder:
        figures |= index(Path(folder), INDEXED)
    return {**figures, "limits": LIMITS}


def index(folder: Path, count: int) -> dict[str, Any]:
    """Builds the approximate index of vectors in clumps, and compares it with the exact search."""
    if importlib.util.find_spec("usearch") is None:
        return {"index": "usearch is not installed"}
    from dataide.find import near_index
    from dataide.find.neighbours import nearest
    from dataide.storage.database import Database

    random = np.random.default_rng(0)
    axes, middles = random.standard_normal((24, INDEX_DIMENSION)), random.standard_normal((1_000, 24))
    database = Database(folder / "index.duckdb")
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, '', now()::TIMESTAMP FROM range(?) t(i)",
            [count],
        )
    queries = np.empty((0, INDEX_DIMENSION), np.float32)
    for start in range(0, count, COMMITTED):
        many = min(COMMITTED, count - start)
        around = middles[random.integers(0, len(middles), many)] + 0.5 * random.standard_normal((many, 24))
        rows = (around @ axes + 0.5 * random.standard_normal((many, INDEX_DIMENSION))).astype(np.float32)
        committed(database, start, rows)
        queries = rows[:INDEX_QUERIES] if not len(queries) else queries
    wall, cpu, report = timed(lambda: near_index.build(database, "bench"))
    near_index.approximate(database, "bench", queries[0], NEAREST, None)
    found, times = [], []
    for query in queries:
        taken, _, (nos, _) = timed(partial(near_index.approximate, database, "bench", query, NEAREST, None))
        exact = nearest(database, "bench", query, NEAREST)[0]
        found.append(float(np.isin(exact, nos).mean()))
        times.append(taken)
    database.close()
    name = f"index_{count}"
    return {
        f"{name}_build_s": round(wall, 1),
        f"{name}_build_cpu_s": round(cpu, 1),
        f"{name}_mib": round(report.size_mib),
        f"{name}_look": report.look,
        f"{name}_search_ms": round(statistics.median(times) * 1e3, 1),
        f"{name}_recall": round(statistics.mean(found), 4),
        f"{name}_recall_said": round(report.recall, 4),
    }


def run(folder: Path, count: int) -> list[tuple[tuple[str, str], float]]:
    from dataide.find.neighbours import nearest
    from dataide.storage.database import Database

    figures: dict[tuple[str, str], float] = {}
    queries = np.random.default_rng(1).standard_normal((RUNS + 1, DIMENSION)).astype(np.float32)
    best = [(np.empty(0, np.uint32), np.empty(0))] * len(queries)
    rates, cpu = [], 0.0
    path = folder / "vectors.duckdb"
    database = Database(path)
    with database.write() as cursor:
        cursor.execute(
            "INSERT INTO data.sample (sample_no, sample_id, media, added_at) "
            "SELECT i, 's' || i, i || '.png', now()::TIMESTAMP FROM range(?) t(i)",
            [count],
        )
    # Five parts, each with a rate of its own.
    random = np.random.default_rng(0)
    for start in range(0, count, count // RUNS):
        rows = random.standard_normal((count // RUNS, DIMENSION), np.float32)
        best = [merged(held, start, rows, query, NEAREST) for held, query in zip(best, queries, strict=True)]
        wall, used = committed(database, start, rows)
        rates.append(wall / len(rows) * 1e6)
        cpu += used
    del rows
    figures["commit", "us_a_vector"] = round(statistics.median(rates), 1)
    figures["commit", "vectors_a_s"] = round(1e6 / statistics.median(rates))
    figures["commit", "cpu_us_a_vector"] = round(cpu / count * 1e6, 1)
    before = own_memory()

    def search(index: int) -> bool:
        nos, _ = nearest(database, "bench", queries[index], NEAREST)
        return bool(np.array_equal(nos, best[index][0]))

    first, _, right = timed(lambda: search(0))
    figures["first_search", "s"] = round(first, 2)
    wrong = int(not right)
    times = [timed(partial(search, index)) for index in range(1, RUNS + 1)]
    figures["search", "ms"] = round(statistics.median(wall for wall, _, _ in times) * 1e3, 1)
    figures["search_fastest", "ms"] = round(min(wall for wall, _, _ in times) * 1e3, 1)
    figures["search_cpu", "ms"] = round(statistics.median(cpu for _, cpu, _ in times) * 1e3, 1)
    wrong += sum(not right for _, _, right in times)
    everything = [timed(partial(nearest, database, "bench", queries[index])) for index in (1, 2, 3)]
    figures["sort_all", "ms"] = round(statistics.median(wall for wall, _, _ in everything) * 1e3, 1)
    figures["memory_added", "mib"] = round((own_memory() - before) / 2**20)
    database.close()
    database = Database(path)
    wall, _, right = timed(lambda: search(0))
    figures["reopened_search", "ms"] = round(wall * 1e3, 1)
    figures["wrong", ""] = wrong + (not right)
    database.close()
    return list(figures.items())


def committed(database: Any, start: int, rows: np.ndarray) -> tuple[float, float]:
    """Wall and CPU seconds of committing rows, as an embedding job does."""
    from dataide.storage import vectors

    wall, cpu = time.perf_counter(), time.process_time()
    known = vectors.embedding(database, "bench")
    for at in range(0, len(rows), COMMITTED):
        lot = rows[at : at + COMMITTED]
        with database.write() as cursor:
            if known is None:
                known = vectors.create(cursor, "bench", "bench/1", rows.shape[1])
                database.rebuild_views(cursor)
            nos = np.arange(start + at, start + at + len(lot))
            vectors.store(cursor, known, nos, np.ones(len(lot)), lot)
    return time.perf_counter() - wall, time.process_time() - cpu


def merged(
    held: tuple[np.ndarray, np.ndarray], start: int, rows: np.ndarray, query: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best by float64 over everything so far, without any of the code that is measured."""
    direction = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
    cosines = np.empty(len(rows))
    for at in range(0, len(rows), COMMITTED):
        wide = rows[at : at + COMMITTED].astype(np.float64)
        cosines[at : at + COMMITTED] = wide @ direction / np.linalg.norm(wide, axis=1)
    nos = np.concatenate([held[0], np.arange(start, start + len(rows), dtype=np.uint32)])
    values = np.concatenate([held[1], cosines])
    order = np.argsort(-values, kind="stable")[:k]
    return nos[order], values[order]


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds, and what came out."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def own_memory() -> int:
    """Bytes that belong to this process alone; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
