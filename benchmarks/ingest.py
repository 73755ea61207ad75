"""How long a folder of 10,000 small pictures takes, beside the time that Pillow needs to decode them once on the same cores.

    python -m benchmarks.ingest [--count 10000] [--repeat 3] [--json FILE]

The pictures are made here. The other side is as many processes as the import uses, each running
`Image.open(path).convert("RGB").load()`; the start of the processes is in both times.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = {"28x28 PNG, grey": ("png", 28, 28), "32x32 JPEG": ("jpg", 32, 32), "160x120 JPEG": ("jpg", 160, 120)}
LIMIT = 1.5

_DECODE = """
import sys
from PIL import Image
for path in sys.stdin.read().split("\\0"):
    Image.open(path).convert("RGB").load()
"""
# A session of its own process, with nothing imported beyond what `di.open` has imported when a user calls add_folder.
_IMPORT = """
import sys, time
from dataide.storage.database import Database
from dataide.storage.media import Media
from dataide.formats import add_folder
import numpy, pyarrow
database = Database(sys.argv[1])
media = Media(database)
started = time.perf_counter()
report = add_folder(database, media, sys.argv[2], progress=False)
print(time.perf_counter() - started, report.added)
database.close()
"""


def make(folder: Path, extension: str, width: int, height: int, count: int) -> list[Path]:
    """Pictures with the bytes of real ones: soft shapes with some noise, in ten folders."""
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    paths = []
    for number in range(count):
        path = folder / str(number % 10) / f"{number:05d}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        x, y, size = random.uniform(0, width), random.uniform(0, height), random.uniform(0.1, 0.4) * height
        shape = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * size * size))
        if extension == "png":
            Image.fromarray((255 * np.clip(shape * 2 - 0.6, 0, 1)).astype(np.uint8)).save(path)
        else:
            colour = random.uniform(40, 255, 3).astype(np.float32)
            pixels = shape[:, :, None] * colour + random.normal(30, 6, (height, width, 3)).astype(np.float32)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=85)
        paths.append(path)
    return paths


def decode_once(paths: list[Path], workers: int) -> float:
    """Seconds that plain Pillow takes."""
    shares = ["\0".join(str(path) for path in paths[start::workers]).encode() for start in range(workers)]
    started = time.perf_counter()
    processes = [subprocess.Popen([sys.executable, "-c", _DECODE], stdin=subprocess.PIPE) for _ in shares]
    for process, share in zip(processes, shares, strict=True):
        assert process.stdin is not None
        process.stdin.write(share)
        process.stdin.close()
    codes = [process.wait() for process in processes]
    assert not any(codes)
    return time.perf_counter() - started


def import_once(folder: Path, count: int) -> float:
    """Seconds that `add_folder` takes, from the call to its report: everything is committed then."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", _IMPORT, f"{place}/bench.duckdb", str(folder)]
        environment = {**os.environ, "XDG_STATE_HOME": place}
        answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    assert int(answer[1]) == count, answer
    return float(answer[0])


def run(count: int, repeat: int) -> list[dict[str, object]]:
    """One result for each kind of picture: medians of alternating runs."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    results: list[dict[str, object]] = []
    for kind, (extension, width, height) in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "pictures"
            paths = make(folder, extension, width, height, count)
            decode_once(paths, workers)
            pairs = [(decode_once(paths, workers), import_once(folder, count)) for _ in range(repeat)]
        pillow, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
        results.append(
            {
                "benchmark": "ingest",
                "pictures": kind,
                "count": count,
                "processes": workers,
                "pillow_s": round(pillow, 3),
                "import_s": round(ours, 3),
                "ratio": round(ours / pillow, 2),
                "limit": LIMIT,
                "ok": ours / pillow <= LIMIT,
            }
        )
    return results


def main() -> None:
    """Prints a table, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = run(options.count, options.repeat)
    print(f"{'pictures':<18}{'count':>8}{'Pillow':>10}{'import':>10}{'ratio':>8}{'limit':>8}")
    for result in results:
        print(
            f"{result['pictures']:<18}{result['count']:>8,}{result['pillow_s']:>8} s{result['import_s']:>8} s"
            f"{result['ratio']:>8}{result['limit']:>8}{'' if result['ok'] else '  too slow'}"
        )
    text = json.dumps(results, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
