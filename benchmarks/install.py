"""What the light base costs: seconds and megabytes to install it, CPU seconds to import it.

Measured with uv, which does not compile what it installs, and with pip, which does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
MB = 1024 * 1024
LIMITS = {
    "pip_install_s": 15.0,
    "pip_size_mb": 400.0,
    "uv_install_s": 15.0,
    "uv_size_mb": 400.0,
    "import_cpu_s": 0.5,
}
IMPORT = "import time; start = time.process_time(); import dataide; print(time.process_time() - start)"


def measure() -> dict[str, Any]:
    """Figures by name; those in `limits` have a bound."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="dataide-install-") as folder:
        for installer in ("uv", "pip"):
            # The first one fills the package cache; the second is what is measured.
            install(installer, Path(folder) / f"{installer}-first")
            place = Path(folder) / installer
            python, before_mb, took_s = install(installer, place)
            figures[f"{installer}_install_s"] = round(took_s, 2)
            figures[f"{installer}_size_mb"] = round(size_mb(place) - before_mb, 1)
        figures["import_cpu_s"] = round(min(import_cpu_s(python, Path(folder)) for _ in range(5)), 3)
    return {"benchmark": "install", **figures, "limits": LIMITS}


def install(installer: str, place: Path) -> tuple[Path, float, float]:
    """Installs the source tree into a new environment.

    Returns:
        Its Python, the megabytes it held before, and the seconds of the installation.
    """
    venv.create(place, with_pip=installer == "pip")
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    before_mb = size_mb(place)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--link-mode=copy", "--python", str(python)]
    start = time.perf_counter()
    subprocess.run([*(uv if installer == "uv" else pip), "."], check=True, cwd=PROJECT)
    return python, before_mb, time.perf_counter() - start


def size_mb(place: Path) -> float:
    """Megabytes of the files, hard links counted once."""
    seen = {(s.st_dev, s.st_ino): s.st_size for f in place.rglob("*") if f.is_file() for s in [f.lstat()]}
    return sum(seen.values()) / MB


def import_cpu_s(python: Path, cwd: Path) -> float:
    done = subprocess.run([python, "-c", IMPORT], cwd=cwd, check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
