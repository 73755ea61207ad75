"""The training recipe: what part of the test set a network trained in a minute or two names right, and its cost.

MNIST and CIFAR-10, the whole train set, a part of it held out by the recipe; each in a process of its own, on one
thread, whose CPU seconds count from its start, loading torch included. Reading and decoding pictures is not counted.

Limits: errors of 1.1 % for MNIST in 12 CPU seconds; for CIFAR-10, 24 % in 60 and 19 % in 140.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
RUNS = {
    "mnist": ("mnist", "quick", 0.011, 12.0),
    "cifar10": ("cifar10", "quick", 0.24, 60.0),
    "cifar10_thorough": ("cifar10", "thorough", 0.19, 140.0),
}


def measure() -> dict[str, Any]:
    """Errors and CPU seconds; what is not there is left out."""
    found: dict[str, Any] = {}
    limits: dict[str, float] = {}
    for name, (data, effort, error, cpu_s) in RUNS.items():
        if (DATA / data).is_dir():
            found |= {f"{name}_{key}": value for key, value in in_own_process(data, effort, 0).items()}
            limits |= {f"{name}_error": error, f"{name}_cpu_s": cpu_s}
    return {**found, "limits": limits}


def in_own_process(data: str, effort: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        files = prepared(data, Path(folder))
        command = [sys.executable, "-m", "benchmarks.recipe", effort, str(seed), *map(str, files)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def prepared(data: str, folder: Path) -> list[Path]:
    """Pictures as they are, labels, and which are of the train set, as files of arrays."""
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(DATA / data / f"{data}.parquet", columns=["split", "label", "image"])
    pictures = np.stack([np.asarray(Image.open(io.BytesIO(one.as_py()))) for one in table["image"]])
    arrays = (pictures, np.asarray(table["label"], np.int64), np.asarray(table["split"]) == "train")
    files = [folder / f"{name}.npy" for name in ("pictures", "labels", "train")]
    for file, array in zip(files, arrays, strict=True):
        np.save(file, array)
    return files


def one(effort: str, seed: int, files: list[str]) -> dict[str, Any]:
    """Trains on the train set and looks at the test set, which the recipe never sees."""
    pictures, labels, train = (np.load(file) for file in files)
    began = os.times()
    from dataide.inference.models import recipe

    classes = [str(number) for number in range(10)]
    trained = recipe.train(pictures[train], labels[train], classes, effort=effort, seed=seed, threads=1)
    ended = os.times()
    scores = recipe.scores(trained.state, pictures[~train])
    error = float((scores.argmax(axis=1) != labels[~train]).mean())
    assert trained.accuracy is not None
    chosen = {name: trained.chosen[name] for name in ("passes", "mirrored", "moved", "batch")}
    return {
        "error": round(error, 4),
        "held_out_error": round(1 - trained.accuracy, 4),
        "cpu_s": round(ended.user - began.user + ended.system - began.system, 1),
        "chosen": json.dumps(chosen),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]), sys.argv[3:])))
    else:
        print(json.dumps(measure(), indent=1))
