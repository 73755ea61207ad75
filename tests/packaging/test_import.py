"""`import dataide` stays light: what is heavy is loaded when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ["torch", "torchvision", "umap", "numba", "sklearn", "bokeh", "pandas.plotting", "matplotlib", "polars"]


def run(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_heavy_package(tmp_path: Path) -> None:
    code = f"import sys, dataide; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert run(code, tmp_path) == "[]"


def test_import_takes_less_than_half_a_second_of_cpu(tmp_path: Path) -> None:
    code = "import time; start = time.process_time(); import dataide; print(time.process_time() - start)"
    best_s = min(float(run(code, tmp_path)) for _ in range(3))
    assert best_s < 0.5


def test_every_name_the_package_offers_is_there(tmp_path: Path) -> None:
    code = "import dataide; print([name for name in dataide.__all__ if not hasattr(dataide, name)])"
    assert run(code, tmp_path) == "[]"
