"""Where a model fails: whether planted failures are found again, whether nothing is found where nothing is, how long.

Regions. A network tells vehicles from animals on `patch128` vectors of 20,000 pictures of CIFAR-10's training set, with
one of the ten classes hidden in turn: "missing" keeps 2 % of its pictures, "mislabel" gives 75 % of them the wrong one
of the two labels. Of the test set 5,000 pictures are for finding and 5,000 for testing; a setting counts as found when
of the ten pictures that lie deepest in one of five regions at least eight are of the hidden class. These ten are from
the 5,000 that regions were not made from, and a region must have been told as sure. "missing" counts only where the
class is at least ten points worse than the others. Both kinds of vectors, several seeds. Peers in the same run: k-means
on the mistakes, the nearest pictures to each of five centres; and the highest loss. Figures that end in "_lost" are
shares of settings that were not found: lower is better.

Nothing planted: the same model's answers dealt out to the pictures anew, so that mistakes follow nothing; how many of
20 such runs tell any region, or any conjunction. What the same model's real mistakes give is counted too
("unplanted_regions"), with how many of these regions fail more on the other pictures ("_hold", a check of the test).

Conjunctions: 12 columns and 1,000,000 rows, two slices planted in them.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
SEEDS = (0, 1, 2, 3)
ANIMALS = (2, 3, 4, 5, 6, 7)
TRAINED = 20_000
TEST = 50_000
ROWS = 1_000_000
RUNS = 20
LIMITS = {
    "mislabel_cnn256_lost": 0.1, "mislabel_patch128_lost": 0.5,
    "missing_cnn256_lost": 0.5, "missing_patch128_lost": 0.5,
    "null_regions": 1, "null_slices": 1, "conjunctions_s": 10.0, "conjunctions_cpu_s": 10.0,
}  # fmt: skip


def measure() -> dict[str, Any]:
    """Shares of settings that were not found, runs that told something of nothing, and seconds."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    figures: dict[str, Any] = {}
    if (DATA / "cifar10-embeddings").is_dir() and (DATA / "cifar10").is_dir():
        figures |= planted() | unplanted()
    figures |= conjunctions(ROWS)
    return {**figures, "limits": {name: limit for name, limit in LIMITS.items() if name in figures}}


@dataclass(frozen=True)
class Setting:
    """A model and what was done to it, as the test set shows it: 10,000 pictures."""

    kind: str
    hidden: int
    seed: int
    probabilities: np.ndarray
    wrong: np.ndarray
    inside: np.ndarray


def pictures() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    import pyarrow.parquet as pq

    folder = DATA / "cifar10-embeddings"
    table = pq.read_table(DATA / "cifar10" / "cifar10.parquet", columns=["label"])
    vectors = {name: np.load(folder / f"{name}.npy").astype(np.float32) for name in ("patch128", "cnn256")}
    return np.asarray(table["label"].to_pylist(), np.int64), vectors


def settings(classes: np.ndarray, vectors: np.ndarray, seeds: tuple[int, ...]) -> Iterator[Setting]:
    """Every class hidden in both ways; "missing" only where it makes ten points."""
    animal = np.isin(classes, ANIMALS).astype(np.int64)
    for seed in seeds:
        drawn = np.sort(np.random.default_rng(seed).permutation(TEST)[:TRAINED])
        for number, kind in enumerate(("missing", "mislabel"), 1):
            for hidden in range(10):
                random = np.random.default_rng((seed, hidden, number))
                rows, labels = drawn, animal.copy()
                some = (classes[drawn] == hidden) & (random.random(len(drawn)) < (0.98 if kind == "missing" else 0.75))
                if kind == "missing":
                    rows = drawn[~some]
                else:
                    labels[drawn[some]] = 1 - labels[drawn[some]]
                said = learned(vectors, rows, labels, (seed, hidden))
                wrong, inside = (said[:, 1] > 0.5) != animal[TEST:], classes[TEST:] == hidden
                if kind == "mislabel" or wrong[inside].mean() - wrong[~inside].mean() >= 0.1:
                    yield Setting(kind, hidden, seed, said, wrong, inside)


def learned(vectors: np.ndarray, rows: np.ndarray, labels: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """What a network of one hidden layer that has learned these rows says of the test set."""
    from dataide.find import probes

    kind = probes.Kind(hidden=128, passes=10, decay=0.01, dropout=0.1)
    folds = np.full(len(vectors), 2, np.int8)
    folds[TEST:] = 0
    folds[rows] = 1
    used = np.flatnonzero(folds < 2)
    targets = np.eye(2, dtype=np.float32)[labels[used]]
    weights = (folds[used] == 1).astype(np.float32)
    # The other fold is judged by nobody: nothing may be learned from the test set.
    number = seed[0] * 10 + seed[1]
    scores = probes.out_of_sample(vectors[used], targets, weights, folds[used], kind, seed=number)
    return probes.softmax(scores[folds[used] == 0])


def planted() -> dict[str, Any]:
    from dataide.evaluate.regions import find_regions

    classes, vectors = pictures()
    animal = np.isin(classes[TEST:], ANIMALS).astype(np.int64)
    hits: dict[str, list[float]] = {}
    took: list[float] = []
    for one in settings(classes, vectors["patch128"], SEEDS):
        for name in ("cnn256", "patch128"):
            of_test = vectors[name][TEST:]
            began = time.process_time()
            found = find_regions(
                of_test, one.wrong, labels=animal, probabilities=one.probabilities, seed=one.seed * 10 + one.hidden
            )
            took.append(time.process_time() - began)
            rest = found.tested_on
            scores = [
                np.where(animal[rest] == region.label, region.score(of_test[rest]), -np.inf) for region in found.regions
            ]
            hits.setdefault(f"{one.kind}_{name}", []).append(precision(scores, one.inside[rest]))
            mistakes = found.found_on[one.wrong[found.found_on]]
            centres = nearest_centres(of_test, mistakes, rest, one.seed)
            hits.setdefault(f"{one.kind}_{name}_kmeans", []).append(precision(centres, one.inside[rest]))
            loss = 1 - one.probabilities[rest, animal[rest]]
            hits.setdefault(f"{one.kind}_{name}_top_loss", []).append(precision([loss], one.inside[rest]))
    figures: dict[str, Any] = {"region_cpu_s": round(float(np.mean(took)), 2)}
    for name, values in hits.items():
        figures[f"{name}_lost"] = round(1 - float(np.mean(np.asarray(values) >= 0.8)), 3)
        figures[f"{name}_p10"] = round(float(np.mean(values)), 3)
    return figures | {f"{kind}_settings": len(hits[f"{kind}_cnn256"]) for kind in ("missing", "mislabel")}


def precision(scores: list[np.ndarray], inside: np.ndarray) -> float:
    """Of the ten highest, the part inside; of five scores the best."""
    return max((float(inside[np.argsort(-one, kind="stable")[:10]].mean()) for one in scores[:5]), default=0.0)


def nearest_centres(vectors: np.ndarray, mistakes: np.ndarray, rest: np.ndarray, seed: int) -> list[np.ndarray]:
    """The peer: how near pictures are to each of five centres of the mistakes."""
    from sklearn.cluster import KMeans

    centres = KMeans(5, n_init=5, random_state=seed).fit(vectors[mistakes]).cluster_centers_
    return [-np.linalg.norm(vectors[rest] - centre, axis=1) for centre in centres]


def unplanted() -> dict[str, Any]:
    """A model to which nothing was done: its mistakes dealt out anew, and as they are."""
    from dataide.evaluate.regions import find_regions

    classes, vectors = pictures()
    animal = np.isin(classes, ANIMALS).astype(np.int64)
    truth = animal[TEST:]
    of_nothing, real, hold = 0, 0, 0
    for run in range(RUNS):
        random = np.random.default_rng(100 + run)
        name = ("cnn256", "patch128")[run % 2]
        of_test = vectors[name][TEST:]
        rows = np.sort(random.permutation(TEST)[:TRAINED])
        said = learned(vectors["patch128"], rows, animal, (100, run))
        sure = said[np.arange(len(truth)), truth]
        dealt = random.permutation(sure)
        answers = np.where(np.arange(2) == truth[:, None], dealt[:, None], 1 - dealt[:, None])
        of_nothing += bool(find_regions(of_test, dealt < 0.5, labels=truth, probabilities=answers, seed=run).regions)
        half = np.sort(random.permutation(len(truth))[: len(truth) // 2])
        other = np.setdiff1d(np.arange(len(truth)), half)
        wrong = sure < 0.5
        for region in find_regions(
            of_test[half], wrong[half], labels=truth[half], probabilities=said[half], seed=run
        ).regions:
            inside = (truth[other] == region.label) & (region.score(of_test[other]) >= 0)
            real, hold = real + 1, hold + bool(wrong[other][inside].mean() > wrong[other][~inside].mean())
    return {"null_regions": of_nothing, "unplanted_regions": real, "unplanted_regions_hold": hold}


def conjunctions(count: int) -> dict[str, Any]:
    from dataide.evaluate.slices import find_slices
    from dataide.storage.database import Database

    random = np.random.default_rng(0)
    words = np.array([f"v{number}" for number in range(8)], object)
    columns: dict[str, np.ndarray] = {f"kind_{at}": words[random.integers(0, 8, count)] for at in range(5)}
    columns |= {f"number_{at}": random.standard_normal(count) for at in range(5)}
    columns |= {"flag": random.random(count) < 0.3, "grade": random.integers(0, 6, count).astype(np.int32)}
    types = {name: {"O": "VARCHAR", "f": "DOUBLE", "b": "BOOLEAN", "i": "INTEGER"}[column.dtype.kind]
             for name, column in columns.items()}  # fmt: skip
    one = (columns["kind_1"] == "v3") & (columns["number_2"] < -0.7)
    other = (columns["kind_0"] == "v5") & columns["flag"] & (columns["grade"] >= 3)
    wrong = random.random(count) < 0.1 + 0.2 * one + 0.1 * other
    with tempfile.TemporaryDirectory(prefix="dataide-slices-") as folder:
        database = Database(Path(folder) / "slices.duckdb")
        try:
            with database.write() as cursor:
                database.ensure_columns(cursor, types)
                names = ", ".join(types)
                cursor.register("made", {"sample_no": np.arange(count, dtype=np.uint32), **columns})
                cursor.execute(
                    f"INSERT INTO data.sample (sample_no, sample_id, media, added_at, {names}) "
                    f"SELECT sample_no, 's' || sample_no, '', now(), {names} FROM made"
                )
                cursor.unregister("made")
            nos = np.arange(count)
            began, cpu = time.perf_counter(), time.process_time()
            found = find_slices(database, nos, wrong, columns=list(types))
            took = {
                "conjunctions_s": round(time.perf_counter() - began, 2),
                "conjunctions_cpu_s": round(time.process_time() - cpu, 2),
            }
            masks = [database_mask(database, slice_.predicate, count) for slice_ in found.slices]
            overlap = [max(((mask & at).sum() / (mask | at).sum() for mask in masks), default=0) for at in (one, other)]
            few = np.arange(min(20_000, count))
            told = sum(
                bool(find_slices(database, few, random.random(len(few)) < 0.1, columns=list(types)).slices)
                for _ in range(RUNS)
            )
        finally:
            database.close()
    return {
        **took, "conjunctions_tested": found.tested, "slices_told": len(found.slices), "null_slices": told,
        "slice_one_overlap": round(float(overlap[0]), 3), "slice_other_overlap": round(float(overlap[1]), 3),
    }  # fmt: skip


def database_mask(database: Any, predicate: str, count: int) -> np.ndarray:
    from dataide.core.predicate import parse

    return np.asarray(parse(predicate, database.columns()).mask(database)[:count])


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
