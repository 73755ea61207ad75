"""Keep or drop: five batches whose right verdict is known, and twenty that change nothing.

The base is 4,000 pictures of CIFAR-10's train set without 85 % of its cats, by vectors that no label went into
(`patch128`); a head is trained with five paired seeds (`inference/models/head.py`) and judged on 5,000 other pictures
of the train set: everything, and the cats (`loop/verdict.py`). Added are 1,500 clean pictures (to be kept), 1,500 with
the noisy labels of people (`worst` of CIFAR-10N), 1,500 whose labels are all wrong (to be dropped), 1,500 copies, and
500 cats (to be kept, for the cats). The twenty that change nothing are copies, drawn anew each time. One thread.

What each batch is added for is said before, as it is in a trial: the cats for the cats, all others for everything. That
matters: noisy labels, too, make the cats better (by 4 to 7 points; there were hardly any), and everything no better.

"wrong" counts verdicts that are not the right ones. Limits: none wrong; of the twenty at most two kept; 30 CPU seconds
for the slowest verdict.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CAT = 3
SEEDS = 5
RIGHT = {"clean": "keep", "noisy": "no evidence", "wrong": "drop", "copies": "no evidence", "cats": "keep"}
AIMS = {"cats": ["everything", "cats"]}
LIMITS = {"wrong": 0, "nulls_kept": 2, "verdict_cpu_s": 30.0}


def measure(seed: int = 0, nulls: int = 20, vectors: str = "patch128") -> dict[str, Any]:
    """Verdicts, changes and CPU seconds; nothing where the data sets are not there."""
    if not (DATA / "cifar10-embeddings").is_dir() or not (DATA / "cifar10n").is_dir():
        return {"limits": {}}
    case = Case(seed, vectors)
    before = case.judged(case.base, case.truth[case.base])
    figures: dict[str, Any] = {"before": round(float(before.mean()), 4)}
    slowest, wrong = 0.0, 0
    for name, (rows, labels) in case.batches().items():
        began = time.process_time()
        found = case.verdict(before, rows, labels, AIMS.get(name, ["everything"]))
        slowest = max(slowest, time.process_time() - began)
        wrong += found.decision != RIGHT[name]
        for part, one in found.differences.items():
            figures[f"{name}_{part}"] = f"{one.change:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
        figures[f"{name}_verdict"] = found.decision
    # A verdict trains both arms; the one without is shared here.
    began = time.process_time()
    case.judged(case.base, case.truth[case.base])
    figures |= {"verdict_cpu_s": round(slowest + time.process_time() - began, 1), "wrong": wrong}
    decisions = [case.verdict(before, *case.copies(number)).decision for number in range(1, nulls + 1)]
    figures |= {"nulls_kept": decisions.count("keep"), "nulls_dropped": decisions.count("drop")}
    return {**figures, "limits": LIMITS}


class Case:
    """The base, what is added to it, and what it is judged by."""

    def __init__(self, seed: int, vectors: str) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(DATA / "cifar10" / "cifar10.parquet", columns=["label"])
        self.truth = np.asarray(table["label"], np.int64)
        self.noisy = _noisy()
        self.vectors = np.load(DATA / "cifar10-embeddings" / f"{vectors}.npy").astype(np.float32)
        self._random = np.random.default_rng(seed)
        order = self._random.permutation(len(self.noisy))
        first, self.judges, self._spare = order[:4_000], order[4_000:9_000], order[9_000:]
        cats = first[self.truth[first] == CAT]
        self.base = np.setdiff1d(first, cats[: round(0.85 * len(cats))])
        self.seed = seed

    def batches(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Rows and labels by name."""
        clean, noisy, wrong = np.split(self._spare[:4_500], 3)
        cats = self._spare[4_500:][self.truth[self._spare[4_500:]] == CAT][:500]
        others = (self.truth[wrong] + self._random.integers(1, 10, len(wrong))) % 10
        return {
            "clean": (clean, self.truth[clean]),
            "noisy": (noisy, self.noisy[noisy]),
            "wrong": (wrong, others),
            "copies": self.copies(0),
            "cats": (cats, self.truth[cats]),
        }

    def copies(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.random.default_rng([self.seed, number]).choice(self.base, 1_500)
        return rows, self.truth[rows]

    def verdict(self, before: np.ndarray, rows: np.ndarray, labels: np.ndarray, aims: list[str] | None = None) -> Any:
        from dataide.loop.verdict import verdict

        after = self.judged(np.concatenate([self.base, rows]), np.concatenate([self.truth[self.base], labels]))
        return verdict(before, after, {"cats": self.truth[self.judges] == CAT}, aims=aims)

    def judged(self, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Seeds x judges: which of these are named right."""
        from dataide.inference.models import head

        classes = [str(number) for number in range(10)]
        right = []
        for seed in range(SEEDS):
            trained = head.train(self.vectors[rows], labels, classes, seed=seed, held_out=0.0)
            named = head.scores(trained.state, self.vectors[self.judges]).argmax(axis=1)
            right.append(named == self.truth[self.judges])
        return np.stack(right)


def _noisy() -> np.ndarray:
    """Labels of people for the first half of the train set: of three, a wrong one where there is any."""
    import pyarrow.parquet as pq

    table = pq.read_table(DATA / "cifar10n" / "cifar10n_first_half.parquet", columns=["worst_label"])
    return np.asarray(table["worst_label"].to_pylist(), np.int64)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
