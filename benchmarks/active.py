"""Active learning on real pictures: accuracy after 200 labels and eight more batches of 200, by every strategy.

The pool is the 25,000 pictures of CIFAR-10 that the encoder of cnn256 has not seen; patch128 are features without
labels, weak on purpose; "mnist" are 25,000 digits by the vectors of the base install. Each curve is the accuracy of a
linear probe on the test set after 200, 400, … 1,800 labels, the first 200 at random and the same for all; `mean` is the
mean of a curve, `over_random` by how much it is above the random control of the same seeds. The probe is the same for
all and not the one that asks. How much there is to be gained depends on what learns, so each curve is measured with
two: our probe, held back so strongly that a few hundred labels nearly suffice it, and what most people begin with
(`plain`): scikit-learn's logistic regression with its own settings, on the vectors as they are.

A million samples of 256 numbers are timed with 2,000 labels, 200 suggested: wall seconds, CPU seconds. "session" is
`session.suggest(200)` of 100,000 samples in a file, with the reading of vectors, the process that compares, the queue.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

# Threads of BLAS that wait for each other on a busy machine take longer than the work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = (0, 1, 2, 3, 4, 5)
BATCH, ROUNDS = 200, 8
RIDGE = 30.0
LIMITS = {
    "cnn256_auto_under_random": -0.003,
    "cnn256_auto_under_random_plain": -0.003,
    "mnist_auto_under_random": -0.003,
    "mnist_auto_under_random_plain": -0.003,
    "patch128_auto_under_random": 0.003,
    "patch128_auto_under_random_plain": 0.003,
    "session_100000_auto_s": 20,
    "suggest_1000000_auto_s": 60,
    "suggest_1000000_badge_s": 60,
    "suggest_1000000_coreset_s": 60,
    "suggest_1000000_typiclust_s": 60,
}


def measure() -> dict[str, Any]:
    from dataide.find.active import STRATEGIES

    figures: dict[str, Any] = {}
    curves: dict[str, list[float]] = {}
    if (DATA / "cifar10-embeddings").is_dir() and (DATA / "mnist").is_dir():
        for name in ("cnn256", "patch128", "mnist"):
            data = digits() if name == "mnist" else pictures(name, unit=False)
            control = np.array([curve(*data, "random", seed) for seed in SEEDS])
            for by in ("auto", *STRATEGIES):
                found = control if by == "random" else np.array([curve(*data, by, seed) for seed in SEEDS])
                for learner, way in enumerate(("", "_plain")):
                    own, over = found[:, learner], found[:, learner] - control[:, learner]
                    curves[f"{name}_{by}{way}"] = own.mean(axis=0).round(4).tolist()
                    figures[f"{name}_{by}_mean{way}"] = round(float(own.mean()), 4)
                    figures[f"{name}_{by}_over_random{way}"] = round(float(over.mean()), 4)
            for way in ("", "_plain"):
                figures[f"{name}_auto_under_random{way}"] = round(-figures[f"{name}_auto_over_random{way}"], 4)
    for by in ("auto", "margin", "badge", "coreset", "typiclust"):
        figures |= {f"suggest_1000000_{by}_{what}": value for what, value in timed(by).items()}
    figures |= in_session(100_000)
    limits = {name: limit for name, limit in LIMITS.items() if name in figures}
    return {**figures, "curves": curves, "limits": limits}


class Pictures(NamedTuple):
    """Vectors, P x D of the pool and T x D of the test set, and their classes."""

    pool: np.ndarray
    truth: np.ndarray
    tested: np.ndarray
    right: np.ndarray


def pictures(name: str, *, unit: bool = True) -> Pictures:
    import pyarrow.parquet as pq

    vectors = np.load(DATA / "cifar10-embeddings" / f"{name}.npy", mmap_mode="r")[25_000:].astype(np.float32)
    if unit:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pq.read_table(DATA / "cifar10" / "cifar10.parquet", columns=["label"])
    labels = np.asarray(table["label"], np.int64)[25_000:]
    return Pictures(vectors[:25_000], labels[:25_000], vectors[25_000:], labels[25_000:])


def digits() -> Pictures:
    from benchmarks.learned import pictures as pixels_of
    from dataide.inference import descriptor

    pixels, labels, train = pixels_of("mnist")
    random = np.random.default_rng(0)
    pool, tested = (
        random.permutation(np.flatnonzero(some))[:most] for some, most in ((train, 25_000), (~train, 10_000))
    )
    seen = [np.asarray(descriptor.describe_canvases(pixels[rows]), np.float32) for rows in (pool, tested)]
    return Pictures(seen[0], labels[pool].astype(np.int64), seen[1], labels[tested].astype(np.int64))


def curve(
    pool: np.ndarray, truth: np.ndarray, tested: np.ndarray, right: np.ndarray, by: str, seed: int
) -> list[list[float]]:
    """Accuracy after each batch, of our probe and of plain logistic regression."""
    from sklearn.linear_model import LogisticRegression

    from dataide.find.linear_probe import fit
    from dataide.find.suggesting import suggest

    vectors, seen = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (pool, tested))
    labels = np.full(len(vectors), -1, np.int64)
    first = np.random.default_rng(seed).permutation(len(vectors))[:BATCH]
    labels[first] = truth[first]
    accuracy: list[list[float]] = [[], []]
    for turn in range(ROUNDS + 1):
        known = np.flatnonzero(labels >= 0)
        probe = fit(vectors[known], labels[known], ridge=RIDGE)
        guess = probe.classes[probe.probabilities(seen).argmax(axis=1)]
        accuracy[0].append(float((guess == right).mean()))
        plain = LogisticRegression(max_iter=200).fit(pool[known], labels[known])
        accuracy[1].append(float(plain.score(tested, right)))
        if turn < ROUNDS:
            asked = suggest(BATCH, by=by, vectors=vectors, labels=labels, seed=100 * seed + turn).rows
            labels[asked] = truth[asked]
    return accuracy


def timed(by: str) -> dict[str, float]:
    """Wall and CPU seconds of one batch from a million."""
    from dataide.find.suggesting import suggest

    random = np.random.default_rng(0)
    centres = random.standard_normal((10, 256), np.float32)
    of = random.integers(0, 10, 1_000_000)
    vectors = np.empty((1_000_000, 256), np.float32)
    for start in range(0, len(vectors), 50_000):
        part = centres[of[start : start + 50_000]] + 4 * random.standard_normal((50_000, 256), np.float32)
        vectors[start : start + 50_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    labels = np.full(len(vectors), -1, np.int64)
    labels[:2_000] = of[:2_000]
    wall, cpu = time.perf_counter(), time.process_time()
    suggest(BATCH, by=by, vectors=vectors, labels=labels)
    return {"s": round(time.perf_counter() - wall, 1), "cpu_s": round(time.process_time() - cpu, 1)}


def in_session(count: int) -> dict[str, float]:
    """Wall seconds of `session.suggest(200)` by each strategy, undone after each."""
    import tempfile

    import dataide as di
    from dataide.storage import vectors

    random = np.random.default_rng(0)
    rows = random.standard_normal((10, 256), np.float32)[np.arange(count) % 10]
    rows = rows + 4 * random.standard_normal((count, 256), np.float32)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, di.open(Path(folder) / "asked.duckdb") as session:
        database = session.context.database
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) SELECT i, 's' || i, '', "
                "CASE WHEN i < 2000 THEN 'class ' || i % 10 END, now()::TIMESTAMP FROM range(?) t(i)",
                [count],
            ).fetchall()
            known = vectors.create(cursor, "mine", "made up", rows.shape[1])
            cursor.execute("SELECT media_revision FROM data.sample ORDER BY sample_no")
            revisions = np.asarray(cursor.fetchnumpy()["media_revision"], np.uint32)
            vectors.store(cursor, known, np.arange(count), revisions, rows)
            database.rebuild_views(cursor)
        for by in ("auto", "margin", "badge", "coreset", "typiclust"):
            began = time.perf_counter()
            report: Any = session.suggest(BATCH, by=by, progress=False)
            figures[f"session_{count}_{by}_s"] = round(time.perf_counter() - began, 1)
            assert len(report) == BATCH
            session.undo()
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
