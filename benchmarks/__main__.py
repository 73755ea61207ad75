"""`make bench`, or `python -m benchmarks [NAME ...]`: runs the benchmarks, prints a table, writes JSON.

`python -m benchmarks.scale` compares sizes and peers, which takes long; `python -m benchmarks table` shows its results.

A benchmark is a module of this folder with a function `measure()`. It returns figures by name and, under "limits", the
bounds that some of them have. Each runs in a process of its own, so that none warms up another.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import tables

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
RUN = "import importlib, json, sys; print(json.dumps(importlib.import_module(sys.argv[1]).measure()))"


def main(names: list[str]) -> int:
    """Returns how many figures are over their limit, and how many benchmarks failed."""
    if names == ["table"]:
        try:
            print(tables.markdown(tables.newest()), end="")
        except FileNotFoundError as error:
            sys.exit(str(error))
        return 0
    known = [file.stem for file in sorted(HERE.glob("*.py")) if "\ndef measure(" in file.read_text(encoding="utf-8")]
    if unknown := set(names) - set(known):
        sys.exit(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    results = [run(name) for name in names or known]
    rows = [row for result in results for row in table(result)]
    for row in rows:
        print("".join(cell.ljust(width) for cell, width in zip(row, (20, 44, 14, 14, 6), strict=True)).rstrip())
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    file.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n", encoding="utf-8")
    print(f"written to {file.relative_to(HERE.parent)}")
    return sum(row[-1] == "over" for row in rows) + sum("failed" in result for result in results)


def run(name: str) -> dict[str, Any]:
    command = [sys.executable, "-c", RUN, f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"benchmark": name, "failed": f"exit {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"benchmark": name, **result}


def table(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    limits = result.get("limits", {})
    for name, value in result.items():
        if isinstance(value, int | float | str) and name != "benchmark":  # "limits", and single runs, are in the JSON
            limit = limits.get(name)
            verdict = "" if limit is None else "ok" if float(value) <= limit else "over"
            yield result["benchmark"], name, str(value), "" if limit is None else f"<= {limit}", verdict


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
