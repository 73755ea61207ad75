"""Training in the inference process: the model predicts by its name, and a training that was ended goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.errors import ModelError
from dataide.inference.job import Job
from dataide.inference.kernel import Kernel
from dataide.inference.predicting import predict
from dataide.inference.training import train

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_a_model_is_trained_ended_taken_up_and_predicts(tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 160)
    pixels = random.integers(0, 120, (160, 32, 32, 3), np.uint8)
    for picture, label in zip(pixels, labels, strict=True):
        picture[16 * label : 16 * label + 16] += 60
    kernel = Kernel("cpu", threads=1)
    with di.open(tmp_path / "case.duckdb") as session:
        session.add_arrays(pixels, label=[["top", "bottom"][label] for label in labels], progress=False)
        context, nos = session.context, np.arange(160, dtype=np.uint32)
        with pytest.raises(ModelError, match="no column 'lable'"):
            train(context.database, context.media, nos, "own", label="lable")
        with pytest.raises(ModelError, match="160 samples and 3 weights"):
            train(context.database, context.media, nos, "own", weights=np.ones(3))
        folder = context.database.cache_dir / "training"
        job = train(context.database, context.media, nos, "own", passes=6, kernel=kernel, wait=False)
        assert isinstance(job, Job)
        job.watch(lambda *said: job.cancel() if list(folder.glob("*.npz")) else None)
        stopped = job.result(120)
        assert stopped is not None and stopped.cancelled and list(folder.glob("*.npz"))
        report: Any = train(context.database, context.media, nos, "own", passes=6, kernel=kernel)
        assert report.accuracy is not None and report.accuracy > 0.8 and len(report.curves["loss"]) == 6
        assert not list(folder.glob("*.npz")) and "named right" in repr(report)
        again: Any = train(context.database, context.media, nos, "own", passes=6, kernel=kernel)
        assert again.revision == report.revision
        predict(context.database, context.media, nos, "own", run="v1", kernel=kernel)
        right = session.sql("SELECT avg(CAST(v1_class = label AS INTEGER)) FROM sample").to_arrow()
        assert right.column(0)[0].as_py() > 0.9
    kernel.close()
