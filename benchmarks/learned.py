"""The learned embedding: how often ten neighbours name a picture of the test set that it has not seen, and its cost.

MNIST and CIFAR-10, trained on as many pictures of the train set as `learn_embedding` would take, by labels and without;
beside "auto" and a network that was not trained. All in this process, on one thread.

Training goes by passes here, not by the clock, so that a busy machine gives the same errors: so many take about two
minutes of one core for CIFAR-10, and half a minute for MNIST. Limits: by labels, errors of 3 % and of 30 %; without, no
more than "auto" makes.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LIMITS = {"mnist_labels_error": 0.03, "cifar10_labels_error": 0.3}
PASSES = {"mnist": 3.0, "cifar10": 8.0}
PORTION = 512


def measure() -> dict[str, Any]:
    """Errors and CPU seconds of both data sets; what is not there is left out."""
    import torch

    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    limits = dict(LIMITS)
    for name, passes in PASSES.items():
        if (DATA / name).is_dir():
            figures |= {f"{name}_{key}": value for key, value in compared(name, passes).items()}
            limits[f"{name}_alone_error"] = figures[f"{name}_auto_error"]
    return {**figures, "limits": {name: limit for name, limit in limits.items() if name in figures}}


def compared(name: str, passes: float) -> dict[str, float]:
    """One data set: the error of ten neighbours by each embedding, and what learning it took."""
    from dataide.inference import descriptor
    from dataide.inference.learning import MOST_PICTURES
    from dataide.inference.models.learned import Learned

    pixels, labels, train = pictures(name)
    known = np.random.default_rng(0).permutation(np.flatnonzero(train))[:MOST_PICTURES]
    asked = np.flatnonzero(~train)
    described = [descriptor.describe_canvases(pixels[rows]) for rows in (known, asked)]
    figures = {"auto_error": error(described[0], labels[known], described[1], labels[asked])}
    for way, how_often in (("alone", 1.0), ("untrained", 1e-6), ("labels", passes)):
        began = time.process_time()
        learning = learner(way != "alone")
        for start in range(0, len(known), PORTION):
            learning.compute(pixels[known[start : start + PORTION]])
        state = learned(learning, labels[known] if way != "alone" else None, how_often)
        model = Learned(way, "embedding", state, lambda sentence: None, "cpu", 1)
        cpu_s = time.process_time() - began
        vectors = [in_portions(model.vectors, pixels[rows]) for rows in (known, asked)]
        figures[f"{way}_error"] = error(vectors[0], labels[known], vectors[1], labels[asked])
        if way != "untrained":
            figures[f"{way}_cpu_s"] = round(cpu_s, 1)
        if way == "labels":
            scores = in_portions(model.scores, pixels[asked])
            figures["labels_network_error"] = round(float((scores.argmax(axis=1) != labels[asked]).mean()), 4)
    return figures


def learner(supervised: bool) -> Any:
    from dataide.inference.models.learned import Learning

    return Learning("own", {"side_px": 32, "supervised": supervised}, lambda sentence: None, "cpu", 1)


def learned(learning: Any, labels: np.ndarray | None, passes: float) -> bytes:
    """Gives the commands that the kernel's side gives, until the state is there."""
    command: dict[str, Any] = {"do": "learn", "classes": [str(number) for number in range(10)], "label": "label"}
    command |= {"labels": labels.tolist() if labels is not None else None, "held_out": [], "seed": 0}
    command |= {"seconds": 1e9, "passes": passes}
    while "state" not in (arrays := learning.compute(command).arrays):
        command = {"do": "go on"}
    return arrays["state"].tobytes()


def pictures(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canvases (uint8 N x 32 x 32 x 3), labels, and which are of the train set."""
    import pyarrow.parquet as pq
    from PIL import Image

    from dataide.inference.models.learned import canvases

    table = pq.read_table(DATA / name / f"{name}.parquet", columns=["split", "label", "image"])
    parts = [
        canvases([Image.open(io.BytesIO(data.as_py())) for data in batch["image"]], 32)
        for batch in table.to_batches(PORTION)
    ]
    return np.concatenate(parts), np.asarray(table["label"], np.int64), np.asarray(table["split"]) == "train"


def in_portions(look: Any, pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([look(pixels[start : start + PORTION]) for start in range(0, len(pixels), PORTION)])


def error(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, right: np.ndarray) -> float:
    from dataide.inference.models.learned import named

    wrong = sum(
        int((named(known, labels, asked[start : start + PORTION]) != right[start : start + PORTION]).sum())
        for start in range(0, len(asked), PORTION)
    )
    return round(wrong / len(asked), 4)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
