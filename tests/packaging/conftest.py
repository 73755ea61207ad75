"""Distributions made as a release makes them, from a copy that holds only what git would carry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Distributions:
    """An sdist from the source tree, and a wheel from that sdist, made where no Node can be found."""

    sdist: Path
    wheel: Path
    without_node: dict[str, str]


def uv(*arguments: str | Path, cwd: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session")
def distributions(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Built once for all tests of this folder."""
    work = tmp_path_factory.mktemp("distributions")
    source = clean_copy(project, work / "source")
    uv("build", "--sdist", "--out-dir", work / "dist", cwd=source)
    sdist = next((work / "dist").glob("*.tar.gz"))

    (work / "empty").mkdir()
    without_node = os.environ | {"PATH": str(work / "empty")}
    assert shutil.which("node", path=without_node["PATH"]) is None
    uv("build", "--wheel", "--out-dir", work / "dist", sdist, cwd=work, environment=without_node)
    return Distributions(sdist, next((work / "dist").glob("*.whl")), without_node)


def clean_copy(project: Path, target: Path) -> Path:
    """What a commit of everything would hold: tracked files, and new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=project, capture_output=True
    )
    if listed.returncode:
        pytest.skip("this copy of dataide is not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        origin = project / name
        if origin.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, target / name)
    return target


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and the light base, and nothing else."""
    place = tmp_path_factory.mktemp("installed")
    uv("venv", "--quiet", "--python", sys.executable, place / "venv", cwd=place)
    python = place / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        distributions.wheel,
        cwd=place,
        environment=distributions.without_node,
    )
    return python


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.packaging)
