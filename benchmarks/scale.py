"""Ten thousand to ten million, side by side with the peers, in a real JupyterLab and a Chromium without a GPU.

    python -m benchmarks.scale --subjects dataide,jupyter_scatter --n 10000,1000000 --runs 3 --what plot,lasso
    python -m benchmarks table                        # the newest results as Markdown, for the README

Peers get environments of their own in .venv-peers, made sessions lie in benchmarks/data. Runs are interleaved: each
visits every subject at every size. One run is a process with a limit; what does not end within it, or fails, is
reported as that. Results go to benchmarks/results as JSON, and as a table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import measures, subjects
from benchmarks.stage import DRAWING, quiet_environment
from benchmarks.tables import markdown

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SIZES = [10_000, 100_000, 1_000_000, 5_000_000, 10_000_000]
GRID_SIZES = [10_000, 70_000, 1_000_000]
GRID = {"grid", "scroll"}


def main() -> None:
    """Runs what the command line says, or one run for a parent process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", default=",".join(subjects.names()))
    parser.add_argument("--n", default="", help="sizes; without, 10^4 to 10^7, for grids 10^4, 7x10^4 and 10^6")
    parser.add_argument("--what", default=",".join(measures.MEASURES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of panning, zooming and scrolling")
    parser.add_argument("--drawing", choices=DRAWING, default="processor", help="how Chromium draws without a GPU")
    parser.add_argument("--limit", type=float, default=300, help="seconds that one run may take")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        asked = json.loads(options.one)
        print(json.dumps(measures.run(asked["subject"], subjects.subject(asked["subject"]), **asked["how"])))
        return
    # Ended from outside, it ends what it has started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    names, what = options.subjects.split(","), options.what.split(",")
    for given, known in ((names, subjects.names()), (what, list(measures.MEASURES))):
        if unknown := set(given) - set(known):
            sys.exit(f"There is no {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    sizes = [int(float(size)) for size in options.n.split(",")] if options.n else None
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"scale-{time.strftime('%Y%m%d-%H%M%S')}.json"
    jobs = [job for name in names for job in jobs_of(name, what, sizes)]
    loaded = {name: subjects.subject(name) for name in names}
    ingest = measures.made_first(names, sorted({job["count"] for job in jobs}), what, loaded)
    told: dict[str, Any] = {
        "machine": machine(),
        "drawing": options.drawing,
        "command": " ".join(sys.argv[1:]),
        "ingest_s": ingest,
        "runs": [],
    }
    for number in range(options.runs):
        for job in jobs:
            began = time.monotonic()
            figures = guarded(job, options.seconds, options.drawing, options.limit)
            took = round(time.monotonic() - began, 1)
            row = {**job, "run": number, "took_s": took, "load": round(os.getloadavg()[0], 1), "figures": figures}
            told["runs"].append(row)
            print(json.dumps(row), flush=True)
            file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    table = markdown(told)
    file.with_suffix(".md").write_text(table, encoding="utf-8")
    print(f"\n{table}\nwritten to {file.relative_to(HERE.parent)} and its .md")


def jobs_of(name: str, what: list[str], sizes: list[int] | None) -> list[dict[str, Any]]:
    """Sizes and measurements that make sense for a subject."""
    most = subjects.subject(name).MOST
    jobs = []
    for count in sizes or sorted({*SIZES, *GRID_SIZES}):
        wanted = [one for one in what if count <= most.get(one, 0)]
        if sizes is None:
            wanted = [one for one in wanted if count in (GRID_SIZES if one in GRID else SIZES)]
        if wanted:
            jobs.append({"subject": name, "count": count, "what": wanted})
    return jobs


def guarded(job: dict[str, Any], seconds: float, drawing: str, limit_s: float) -> dict[str, Any]:
    """One run in a process of its own; past the limit it and all that it started are ended."""
    how = {"what": job["what"], "count": job["count"], "seconds": seconds, "drawing": drawing}
    command = [sys.executable, "-m", "benchmarks.scale", "--one", json.dumps({"subject": job["subject"], "how": how})]
    child = subprocess.Popen(
        command, cwd=HERE.parent, env=quiet_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said, complained = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        end(child)
        return {"failed": f"not done after {limit_s:.0f} s"}
    except BaseException:
        end(child)
        raise
    if child.returncode:
        return {"failed": (complained.strip().splitlines() or ["no word"])[-1][:400]}
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


def end(child: subprocess.Popen[str]) -> None:
    """Ends a process and all that it has started: a server, kernels and a browser."""
    with contextlib.suppress(psutil.Error):
        for process in [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
    child.communicate()


def machine() -> dict[str, Any]:
    quiet = "PLAYWRIGHT_NODEJS_PATH" in quiet_environment()
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": platform.platform(),
        "playwright_listens_to_the_network": not quiet,
    }


if __name__ == "__main__":
    main()
