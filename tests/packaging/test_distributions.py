"""What a user gets from `pip install dataide`: panels that show, on a machine without Node."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tests.packaging.conftest import Distributions

BUNDLES = {f"{name}.js" for name in ("hub", "scatter", "grid", "facets", "inspector", "workbench")}

RENDER = """
import json, sys
import numpy as np
import dataide as di

session = di.open(sys.argv[1])
session.add_arrays(np.random.default_rng(0).integers(0, 255, (4, 8, 8), dtype="uint8"))
session.where().embed()
session.where().project("pca")
told = {}
for name in ("scatter", "grid"):
    panel = getattr(session, name)()
    bundle = panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    told[name] = {"mimes": sorted(data), "text": data["text/plain"], "esm": len(str(panel._esm))}
session.close()
print(json.dumps(told))
"""


def files_of_sdist(sdist: Path) -> dict[str, bytes]:
    with tarfile.open(sdist) as archive:
        members = [m for m in archive.getmembers() if m.isfile()]
        return {m.name.split("/", 1)[1]: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_and_sdist_carry_the_built_panels(distributions: Distributions) -> None:
    sdist, wheel = files_of_sdist(distributions.sdist), files_of_wheel(distributions.wheel)
    for bundle in BUNDLES:
        name = f"dataide/static/{bundle}"
        assert len(wheel[name]) > 1000, name
        assert wheel[name] == sdist[name], f"{name} was built again, on a machine without Node"


def test_wheel_holds_the_package_and_nothing_else(distributions: Distributions) -> None:
    names = set(files_of_wheel(distributions.wheel))
    assert {name.split("/")[0] for name in names if not name.startswith("dataide-")} == {"dataide"}
    assert "dataide/py.typed" in names
    assert "dataide/storage/migrations/0001_first.sql" in names
    assert not [n for n in names if n.endswith((".ts", ".map", ".pyc", ".ipynb", ".duckdb"))]


def test_sdist_holds_sources_and_no_tests_or_installed_modules(distributions: Distributions) -> None:
    names = set(files_of_sdist(distributions.sdist))
    assert {"js/core/protocol.ts", "js/build.mjs", "js/package-lock.json", "hatch_build.py", "LICENSE"} <= names
    assert not [
        n for n in names if "node_modules" in n or ".test." in n or n.startswith(("tests/", "docs/", "benchmarks/"))
    ]


def test_installed_wheel_renders_panels_without_node(
    distributions: Distributions, installed: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [installed, "-c", RENDER, str(tmp_path / "new.duckdb")],
        cwd=tmp_path,
        env=distributions.without_node,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name, panel in json.loads(done.stdout.splitlines()[-1]).items():
        assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(panel["mimes"]), name
        assert panel["esm"] > 1000, f"the module of {name} is missing"
        assert "4" in panel["text"], f"the sentence of {name} does not say how many samples there are: {panel['text']}"


def test_installed_wheel_answers_on_the_command_line(installed: Path, distributions: Distributions) -> None:
    command = installed.with_name("dataide")
    done = subprocess.run([command, "--help"], env=distributions.without_node, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "dataide" in done.stdout
