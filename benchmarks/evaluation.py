"""Evaluating a classifier: 1,000,000 predictions of 100 classes, as arrays and from a session, and comparing two.

All figures that `session.evaluate` gives, with their intervals. The peer is scikit-learn, with those of the figures
that it has and without intervals, on a tenth of the rows; "times_sklearn" is what it takes for each second of ours.
CPU seconds of one thread; "extra_mib" is what is needed beside the probabilities, which are 381 MiB.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, CLASSES = 1_000_000, 100
PEER_ROWS = 100_000
STORED_AT_ONCE = 100_000
LIMITS = {"cpu_s": 3.0, "session_cpu_s": 3.0, "compare_cpu_s": 3.0, "extra_mib": 700.0}


def measure() -> dict[str, Any]:
    """CPU seconds and memory; without scikit-learn there is no peer."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from dataide.evaluate.classification import classification
    from dataide.evaluate.comparing import compare

    labels, one, other = predictions()
    classification(labels[:1000], probabilities=one[:1000])
    a, cpu_s = timed(lambda: classification(labels, probabilities=one))
    figures: dict[str, Any] = {
        "cpu_s": round(cpu_s, 2),
    }
    tracemalloc.start()
    b = classification(labels, probabilities=other)
    figures["extra_mib"] = round(tracemalloc.get_traced_memory()[1] / 2**20)
    tracemalloc.stop()
    compared, cpu_s = timed(lambda: compare(a, b))
    figures |= {"compare_cpu_s": round(cpu_s, 2), "better": round(compared["accuracy"], 4), "accuracy": a["accuracy"]}
    figures |= peer(labels[:PEER_ROWS], one[:PEER_ROWS])
    figures |= in_session(labels, one, a["accuracy"])
    return {**figures, "limits": LIMITS}


def predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the probabilities of two models of which the second is a little better."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, ROWS)
    scores = random.standard_normal((ROWS, CLASSES), dtype=np.float32)
    made = []
    for more in (2.5, 0.1):
        scores[np.arange(ROWS), labels] += more
        odds = np.exp(scores)
        odds /= odds.sum(axis=1, keepdims=True)
        made.append(odds)
    return labels, made[0], made[1]


def peer(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """The same figures by scikit-learn, as far as it has them."""
    try:
        from sklearn import metrics
    except ImportError:
        return {}
    from dataide.evaluate.classification import classification

    def theirs() -> float:
        said = probabilities.argmax(axis=1)
        metrics.precision_recall_fscore_support(labels, said)
        metrics.balanced_accuracy_score(labels, said)
        metrics.confusion_matrix(labels, said)
        for average in ("macro", "weighted"):
            metrics.precision_recall_fscore_support(labels, said, average=average)
        for k in (3, 5):
            metrics.top_k_accuracy_score(labels, probabilities, k=k)
        metrics.log_loss(labels, probabilities)
        truth = np.eye(CLASSES, dtype=np.int8)[labels]
        metrics.roc_auc_score(truth, probabilities, average=None)
        metrics.average_precision_score(truth, probabilities, average=None)
        return float(metrics.accuracy_score(labels, said))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probabilities of float32 do not add up to 1 to the last digit
        accuracy, cpu_s = timed(theirs)
    ours, own_s = timed(lambda: classification(labels, probabilities=probabilities))
    if abs(ours["accuracy"] - accuracy) > 1e-12:
        raise AssertionError(f"accuracy is {ours['accuracy']}, and by scikit-learn {accuracy}")
    return {"peer_cpu_s": round(cpu_s, 2), "peer_own_cpu_s": round(own_s, 2), "times_sklearn": round(cpu_s / own_s, 1)}


def in_session(labels: np.ndarray, probabilities: np.ndarray, accuracy: float) -> dict[str, Any]:
    """The same from a session file, its reading included."""
    import pyarrow as pa

    import dataide as di
    from dataide.storage import arrow_arrays, runs

    with tempfile.TemporaryDirectory() as folder, di.open(Path(folder) / "big.duckdb") as session:
        frame = {
            "sample_id": arrow_arrays.text([f"s{row}" for row in range(ROWS)]),
            "label": arrow_arrays.text([f"c{label}" for label in labels.tolist()]),
        }
        session.add_frame(pa.table(frame), media=None, label="label", sample_id="sample_id", progress=False)
        database = session.context.database
        nos = session.where().nos()
        pending = runs.pending(database, None, None, nos)
        truth = labels[np.argsort(nos)]
        if not np.array_equal(truth, labels):
            raise AssertionError("samples are not in the order of the frame")
        with database.write() as cursor:
            run = runs.create(cursor, "v1", "classification", [f"c{number}" for number in range(CLASSES)])
            number = runs.number_of(cursor, run, "a")
            for start in range(0, ROWS, STORED_AT_ONCE):
                some = slice(start, start + STORED_AT_ONCE)
                part = probabilities[some]
                best = part.argmax(axis=1)
                more = {
                    "class_no": arrow_arrays.numbers(best, np.uint32),
                    "confidence": arrow_arrays.numbers(part[np.arange(len(part)), best], np.float32),
                    "probabilities": pa.FixedSizeListArray.from_arrays(
                        arrow_arrays.numbers(part.reshape(-1), np.float32), CLASSES
                    ),
                }
                runs.store(cursor, run, number, pending.nos[some], pending.media_revisions[some], more)
        result, cpu_s = timed(lambda: session.evaluate("v1"))
        if abs(result["accuracy"] - accuracy) > 1e-12 or result.count != ROWS:
            raise AssertionError(f"the session says {result['accuracy']} of {result.count}")
        wall = time.perf_counter()
        cell = result.taken_for("c1", "c2")
        rows = len(cell.take(60).to_arrow(["sample_id"]))
        figures = {"cell_ms": round((time.perf_counter() - wall) * 1000, 1), "cell_rows": rows}
    return {"session_cpu_s": round(cpu_s, 2), **figures}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
