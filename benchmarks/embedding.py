"""The descriptor "auto": how often ten neighbours name a picture, and what it costs; then embedding through a session.

Accuracy is that of the majority of the ten nearest by cosine (of equals, the nearest): digits each against all others,
MNIST and CIFAR-10 test against train. Limits: errors of 3 %, 4 % and 50 %, and a millisecond of CPU a picture.
MNIST and CIFAR-10 are read from ../shared/data beside the project, and left out where they are not there.
"""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LIMITS = {"digits_error": 0.03, "mnist_error": 0.04, "cifar10_error": 0.5, "mnist_cpu_us": 1000, "cifar10_cpu_us": 1000}
NEIGHBOURS = 10


def measure() -> dict[str, Any]:
    figures: dict[str, Any] = {"digits_error": digits()}
    for name in ("mnist", "cifar10"):
        if (DATA / name).is_dir():
            figures |= against_train(name)
    figures |= session()
    return {**figures, "limits": {name: limit for name, limit in LIMITS.items() if name in figures}}


def digits() -> float:
    from sklearn.datasets import load_digits

    from dataide.inference.descriptor import describe

    known = load_digits()
    vectors = describe(np.rint(known.images * (255 / 16)).astype(np.uint8))
    return error(vectors, known.target, vectors, known.target, itself=True)


def against_train(name: str) -> dict[str, float]:
    import pyarrow.parquet as pq
    from PIL import Image

    from dataide.inference.descriptor import describe

    table = pq.read_table(DATA / name / f"{name}.parquet", columns=["split", "label", "image"])
    encoded = table["image"].to_pylist()
    began = time.process_time()
    parts = [
        describe([Image.open(io.BytesIO(data)) for data in encoded[start : start + 256]])
        for start in range(0, len(encoded), 256)
    ]
    cpu_us = (time.process_time() - began) / len(encoded) * 1e6
    vectors, labels = np.concatenate(parts), np.asarray(table["label"])
    train = np.asarray(table["split"]) == "train"
    wrong = error(vectors[train], labels[train], vectors[~train], labels[~train])
    return {f"{name}_error": wrong, f"{name}_cpu_us": round(cpu_us)}


def error(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, *, itself: bool = False
) -> float:
    """The share that the majority of the ten nearest gets wrong."""
    wrong = 0
    for start in range(0, len(test), 500):
        rows = np.arange(len(test[start : start + 500]))
        similarity = test[start : start + 500] @ train.T
        if itself:
            similarity[rows, start + rows] = -2
        near = np.argpartition(-similarity, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(similarity, near, axis=1), axis=1), axis=1)
        votes = np.zeros((len(rows), int(train_labels.max()) + 1))
        for rank in range(NEIGHBOURS):
            votes[rows, train_labels[near[:, rank]]] += 1 + 1e-6 * (NEIGHBOURS - rank)
        wrong += int((votes.argmax(axis=1) != test_labels[start : start + 500]).sum())
    return round(wrong / len(test), 4)


def session(count: int = 10_000) -> dict[str, float]:
    """Embedding, PCA and a search over noise pictures in a folder, through the inference kernel; then one picture."""
    from PIL import Image

    import dataide as di

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        pictures.mkdir()
        for index in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).resize((32, 32)).save(pictures / f"{index}.jpg")
        opened = di.open(Path(folder, "bench.duckdb"))
        opened.add_folder(pictures, progress=False)
        kernel, wall = time.process_time(), time.perf_counter()
        opened.embed("auto", progress=False)
        figures = {
            "embed_10000_s": round(time.perf_counter() - wall, 2),
            "embed_10000_kernel_cpu_s": round(time.process_time() - kernel, 2),
        }
        wall = time.perf_counter()
        opened.project("pca", progress=False)
        figures["pca_10000_s"] = round(time.perf_counter() - wall, 2)
        one = opened.take(1).ids()[0]
        opened.similar(one, k=20)
        wall = time.perf_counter()
        opened.similar(one, k=20)
        figures["similar_ms"] = round((time.perf_counter() - wall) * 1e3, 1)
        figures["embed_one_ms"] = one_picture(opened, (pictures / "0.jpg").read_bytes())
        opened.close()
    return figures


def one_picture(opened: Any, data: bytes, times: int = 50) -> float:
    """The median wait for the vector of one picture through the running inference kernel."""
    from dataide.inference.embedding import embed_pictures

    waits = []
    for _ in range(times):
        wall = time.perf_counter()
        embed_pictures("auto", [data], kernel=opened.kernel)
        waits.append(time.perf_counter() - wall)
    return round(sorted(waits)[times // 2] * 1e3, 2)
