"""What must not stand in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PINNED = ("constraints.txt", "js/package-lock.json", "js/.npmrc", "pyproject.toml", "binder")


def test_no_pinned_file_names_a_registry(project: Path) -> None:
    named = re.compile(r'"resolved"|index.url|registry\s*=|https?://(?!json\.schemastore|docs\.|jupyter)')
    files = [
        f for name in PINNED for f in ([project / name] if (project / name).is_file() else (project / name).glob("*"))
    ]
    assert len(files) >= 4
    found = [f"{f.name}: {line}" for f in files for line in f.read_text().splitlines() if named.search(line)]
    # npm writes the address of a funding page beside some packages; those are no registries.
    assert [line for line in found if '"url"' not in line] == []


def test_git_ignores_what_is_built(project: Path) -> None:
    built = [
        "dataide/static/hub.js",
        "js/node_modules/x.js",
        "docs/_build/index.html",
        "tests/e2e/screenshots/x.png",
        "x.duckdb",
    ]
    done = subprocess.run(["git", "check-ignore", *built], cwd=project, capture_output=True, text=True)
    if done.returncode == 128:
        pytest.skip("this copy of dataide is not a git checkout")
    assert done.stdout.split() == built
