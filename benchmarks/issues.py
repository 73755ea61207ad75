"""Issues in a session of a million samples: how fast they are kept, shown, and put right.

Two kinds have a row for every sample, of which 5 % are flagged, and two a row for 2 %. "accept_1000" relabels 1,000
samples, each as its issue proposes, until it is committed: the median of five. "accept_one" relabels one. Both are
there in CPU milliseconds as well. "filter" is the mask of `issue = label`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

COUNT = 1_000_000
CLASSES = [f"class {number}" for number in range(10)]
RUNS = 5
LIMITS = {"accept_1000_ms": 100, "reject_1000_ms": 100, "undo_1000_ms": 100, "store_s": 5, "filter_ms": 150}


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return {**run(Path(folder), COUNT), "limits": LIMITS}


def run(folder: Path, count: int) -> dict[str, float]:
    import dataide as di
    from dataide.core.issue_actions import AcceptProposals, RejectIssues
    from dataide.storage import issues
    from dataide.storage.issues import Found

    figures: dict[str, float] = {}
    with di.open(folder / "issues.duckdb") as session:
        database, journal = session.context.database, session.context.journal
        with database.write() as cursor:
            cursor.execute(
                "INSERT INTO data.sample (sample_no, sample_id, media, label, added_at) "
                "SELECT i, 's' || i, '', 'class ' || i % 10, now()::TIMESTAMP FROM range(?) t(i)",
                [count],
            )
        random = np.random.default_rng(0)
        figures["look_at_labels_ms"], looked = timed(lambda: issues.seen(database, np.arange(count)))

        def everywhere() -> Found:
            score = random.random(count).astype(np.float32)
            flagged = score < 0.05
            return Found(
                looked.nos, score, flagged, ((looked.label_nos + 1) % 10).astype(np.int32),
                np.full(count, 0.9, np.float32), words=CLASSES, of_label=True,
                reasons={row: f"{row % 10} of 10 nearest neighbours" for row in np.flatnonzero(flagged).tolist()},
            )  # fmt: skip

        def here_and_there() -> Found:
            nos = np.sort(random.permutation(count)[: count // 50]).astype(np.uint32)
            return Found(nos, random.random(len(nos)).astype(np.float32), np.ones(len(nos), bool))

        def store(kind: str, found: Found) -> None:
            with database.write() as cursor:
                issues.store(cursor, looked, [kind], {kind: found}, "1", None)

        found = everywhere()
        milliseconds, _ = timed(lambda: store("label", found))
        figures["store_s"] = milliseconds / 1000
        store("outlier", everywhere())
        store("dark", here_and_there())
        store("blurred", here_and_there())
        figures["counts_ms"], _ = timed(lambda: issues.counts(database))
        figures["ranking_ms"], (nos, _) = timed(lambda: issues.ranking(database, "label", ("open",)))
        figures["page_of_120_ms"], _ = timed(lambda: issues.of_samples(database, nos[:120].tolist()))
        figures["filter_ms"], _ = timed(lambda: session.where("'label' in issues").mask())
        accepted, undone, rejected, one, cpu = [], [], [], [], []
        for start in range(0, RUNS * 2000, 2000):
            part = nos[start : start + 1000]
            began = time.process_time()
            milliseconds, event = timed(lambda part=part: journal.act(AcceptProposals("label"), part))  # type: ignore[misc]
            assert event.count == 1000
            cpu.append((time.process_time() - began) * 1000)
            accepted.append(milliseconds)
            undone.append(timed(journal.undo)[0])
            part = nos[start + 1000 : start + 2000]
            rejected.append(timed(lambda part=part: journal.act(RejectIssues("label"), part))[0])  # type: ignore[misc]
            began, part = time.process_time(), nos[-1 - start : len(nos) - start]
            assert journal.act(AcceptProposals("label"), part).count == 1
            one.append((time.process_time() - began) * 1000)
        for name, values in (("accept", accepted), ("undo", undone), ("reject", rejected)):
            figures[f"{name}_1000_ms"] = statistics.median(values)
        figures["accept_1000_cpu_ms"], figures["accept_one_cpu_ms"] = statistics.median(cpu), statistics.median(one)
    return {name: round(value, 2) for name, value in figures.items()}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return (time.perf_counter() - began) * 1000, result


if __name__ == "__main__":
    print(measure())
