"""Outliers that were planted: 200 foreign pictures among 9,400 of CIFAR-10, with and without a reference set.

The four plants are digits of MNIST, darkened pictures, photos of clothing, and noisy pictures. Vectors come from the
encoder beside CIFAR-10's ready embeddings, which saw neither the test pictures nor the reference (10,000 pictures of
the second half of the training set). Figures are 1 - AUROC, so that smaller is better: `all` is what `find_outliers`
says of vectors and attributes, `vectors` of vectors alone, `near` the mean distance to ten neighbours.
`isolation_forest` is scikit-learn's on the same numbers as `all`, fitted on the reference, or on the set itself where
there is none. "cpu_s" is that of all four together, mean over plants and ways.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LIMITS = {"reference_all_mean": 0.13, "clump_all_mean": 0.2}
PLANTED, AROUND, REFERENCE = 200, 9_400, 10_000
STATISTICS = ("brightness", "contrast", "entropy", "sharpness", "noise", "colourfulness")


def measure(seed: int = 0) -> dict[str, Any]:
    """1 - AUROC of each plant; nothing where the data are not there."""
    if not (DATA / "cifar10-embeddings" / "encoder.pt").is_file():
        return {"limits": {}}
    random = np.random.default_rng(seed)
    pixels = cifar()
    reference_pixels = pixels[25_000 + np.sort(random.choice(25_000, REFERENCE, replace=False))]
    around_pixels = pixels[50_000 + np.sort(random.choice(10_000, AROUND, replace=False))]
    reference, around = known(reference_pixels), known(around_pixels)
    figures: dict[str, Any] = {}
    spent = []
    for name, planted_pixels in plants(pixels, random).items():
        planted = known(planted_pixels)
        truth = np.arange(AROUND + PLANTED) >= AROUND
        for way, base in (("reference", reference), ("clump", None)):
            began = time.process_time()
            figures |= {f"{way}_{which}_{name}": value for which, value in compared(around, planted, base, truth)}
            spent.append(time.process_time() - began)
    for way in ("reference", "clump"):
        for which in ("all", "vectors", "near", "isolation_forest"):
            values = [value for name, value in figures.items() if name.startswith(f"{way}_{which}_")]
            figures[f"{way}_{which}_mean"] = round(float(np.mean(values)), 4)
    return {**figures, "cpu_s": round(float(np.mean(spent)), 2), "limits": LIMITS}


def compared(around: Any, planted: Any, base: Any, truth: np.ndarray) -> list[tuple[str, float]]:
    from dataide.find.outliers import Known, find_outliers

    vectors = np.concatenate([around.vectors, planted.vectors])
    statistics = np.concatenate([around.statistics, planted.statistics])
    found = find_outliers(Known(vectors, statistics), reference=base)
    alone = find_outliers(Known(vectors), reference=None if base is None else Known(base.vectors))
    answers = [("all", 1 - found.score), ("vectors", 1 - alone.score), ("near", near(vectors, base))]
    answers.append(("isolation_forest", forest(vectors, statistics, base)))
    return [(name, round(1 - auroc(scores, truth), 4)) for name, scores in answers]


def near(vectors: np.ndarray, base: Any) -> np.ndarray:
    from dataide.find.pairs import neighbours

    unit, own = unit_rows(vectors), base is None
    if own:
        return np.asarray(1 - neighbours(unit, k=10)[1].mean(axis=1))
    return np.asarray(1 - np.sort(unit @ unit_rows(base.vectors).T, axis=1)[:, -10:].mean(axis=1))


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


def forest(vectors: np.ndarray, statistics: np.ndarray, base: Any) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    rows = np.concatenate([vectors, statistics], axis=1)
    fitted = rows if base is None else np.concatenate([base.vectors, base.statistics], axis=1)
    return -np.asarray(IsolationForest(random_state=0, n_jobs=1).fit(fitted).score_samples(rows))


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores))


def cifar() -> np.ndarray:
    """uint8 60,000 x 32 x 32 x 3, train first."""
    return read("cifar10", "cifar10")


def read(folder: str, name: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Pictures squashed to 32 x 32, all or some of them."""
    import pyarrow.parquet as pq
    from PIL import Image

    from dataide.inference.descriptor import canvas

    column = pq.read_table(DATA / folder / f"{name}.parquet", columns=["image"])["image"]
    chosen = range(len(column)) if rows is None else rows.tolist()
    return np.stack([canvas(Image.open(io.BytesIO(column[row].as_py()))) for row in chosen])


def plants(pixels: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    from_test = [pixels[50_000 + random.choice(10_000, PLANTED, replace=False)].astype(np.float32) for _ in range(2)]
    noisy = from_test[1] + random.normal(0, 25, from_test[1].shape)
    return {
        "mnist": read("mnist", "mnist", random.choice(70_000, PLANTED, replace=False)),
        "darkened": (from_test[0] * 0.25).astype(np.uint8),
        "clothing": read("clothing", "clothing", random.choice(5_026, PLANTED, replace=False)),
        "noisy": noisy.clip(0, 255).astype(np.uint8),
    }


def known(pixels: np.ndarray) -> Any:
    from dataide.find.outliers import Known
    from dataide.inference.attributes import describe

    columns = describe(pixels)
    return Known(encoded(pixels), np.stack([columns[name] for name in STATISTICS], axis=1))


def encoded(pixels: np.ndarray) -> np.ndarray:
    """The features of `encoder.pt` (see the README beside it): float32 N x 256."""
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(1)
    weights = torch.load(DATA / "cifar10-embeddings" / "encoder.pt", weights_only=True)

    def convolved(name: str, values: Any) -> Any:
        values = f.conv2d(values, weights[f"{name}.0.weight"], padding=1)
        running = [weights[f"{name}.1.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")]
        return f.relu(f.batch_norm(values, *running))

    mean, deviation = np.array([0.4914, 0.4822, 0.4465], np.float32), np.array([0.247, 0.2435, 0.2616], np.float32)
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 256):
            part = (pixels[start : start + 256].astype(np.float32) / 255 - mean) / deviation
            values = convolved("stem", f.pixel_unshuffle(torch.from_numpy(part.transpose(0, 3, 1, 2)), 2))
            values = convolved("b2", f.max_pool2d(values, 2))
            values = convolved("b3", f.max_pool2d(values + convolved("r2", values), 2))
            vectors.append((values.mean(dim=(2, 3)) + values.amax(dim=(2, 3))).numpy())
    return np.concatenate(vectors)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
