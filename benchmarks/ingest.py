"""How long a folder of 10,000 small pictures takes, beside what Pillow needs to decode them once on the same cores.

    python -m benchmarks.ingest [--count 10000] [--repeat 3] [--json FILE]

The pictures are made here. The other side is as many processes as the import uses, each running
`Image.open(path).convert("RGB").load()`; the start of the processes is in both times. Runs alternate, and
medians count.
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
import os, sys, time
from dataide.storage.database import Database
from dataide.storage.media import Media
from dataide.formats import add_folder
import numpy, pyarrow
def cpu():
    return sum(os.times()[:4])
database = Database(sys.argv[1])
media = Media(database)
started, busy = time.perf_counter(), cpu()
report = add_folder(database, media, sys.argv[2], progress=False)
print(time.perf_counter() - started, cpu() - busy, report.added)
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


def decode_once(paths: list[Path], workers: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, that plain Pillow takes."""
    shares = ["\0".join(str(path) for path in paths[start::workers]).encode() for start in range(workers)]
    started, busy = time.perf_counter(), sum(os.times()[2:4])
    processes = [subprocess.Popen([sys.executable, "-c", _DECODE], stdin=subprocess.PIPE) for _ in shares]
    for process, share in zip(processes, shares, strict=True):
        assert process.stdin is not None
        process.stdin.write(share)
        process.stdin.close()
    codes = [process.wait() for process in processes]
    assert not any(codes)
    return time.perf_counter() - started, sum(os.times()[2:4]) - busy


def import_once(folder: Path, count: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, from the call of `add_folder` to its report: all is committed then."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", _IMPORT, f"{place}/bench.duckdb", str(folder)]
        environment = {**os.environ, "XDG_STATE_HOME": place}
        answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    assert int(answer[2]) == count, answer
    return float(answer[0]), float(answer[1])


def compare(kind: str, count: int, repeat: int) -> dict[str, object]:
    """Both sides for one kind of picture."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        paths = make(folder, *KINDS[kind], count)
        decode_once(paths, workers)
        pairs = [(decode_once(paths, workers), import_once(folder, count)) for _ in range(repeat)]
    pillow_s, pillow_cpu_s = (statistics.median(side) for side in zip(*(pillow for pillow, _ in pairs), strict=True))
    import_s, import_cpu_s = (statistics.median(side) for side in zip(*(ours for _, ours in pairs), strict=True))
    return {
        "pictures": kind,
        "count": count,
        "processes": workers,
        "pillow_s": round(pillow_s, 3),
        "import_s": round(import_s, 3),
        "pillow_cpu_s": round(pillow_cpu_s, 3),
        "import_cpu_s": round(import_cpu_s, 3),
        "ratio": round(import_s / pillow_s, 2),
        "cpu_ratio": round(import_cpu_s / pillow_cpu_s, 2),
        "runs": pairs,
    }


def measure(count: int = 10_000, repeat: int = 3) -> dict[str, object]:
    """What `python -m benchmarks` asks for: figures by name, and their limits."""
    figures: dict[str, object] = {}
    for kind in KINDS:
        result = compare(kind, count, repeat)
        for name in ("pillow_s", "import_s", "ratio"):
            figures[f"{kind}: {name}"] = result[name]
    figures["limits"] = {f"{kind}: ratio": LIMIT for kind in KINDS}
    return figures


def main() -> None:
    """Prints a table, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    columns = ("count", "pillow_s", "import_s", "ratio", "pillow_cpu_s", "import_cpu_s", "cpu_ratio")
    print("pictures".ljust(18) + "".join(name.rjust(14) for name in columns))
    results = []
    for kind in KINDS:
        results.append(compare(kind, options.count, options.repeat))
        print(kind.ljust(18) + "".join(str(results[-1][name]).rjust(14) for name in columns), flush=True)
    text = json.dumps({"benchmark": "ingest", "limit": LIMIT, "results": results}, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
