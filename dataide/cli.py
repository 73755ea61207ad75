"""The command line: dataide demo | open | check | doctor."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dataide.errors import DataideError

_BASE = (
    *("duckdb", "pyarrow", "pandas", "numpy", "pillow", "anywidget", "ipywidgets"),
    *("cloudpickle", "fsspec", "tqdm"),
)
_EXTRAS = {
    "ml": ("torch", "torchvision", "umap-learn"),
    "lab": ("jupyterlab", "ipykernel", "bokeh"),
    "ray": ("ray",),
    "index": ("usearch",),
    "adapters": ("timm", "open_clip_torch", "transformers"),
}
_NOTEBOOK_VERSION = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="dataide", description="An IDE for image datasets inside JupyterLab.")
    parser.add_argument("--version", action="version", version=f"dataide {_version('dataide') or 'unknown'}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "demo", _demo, "try it out on real handwritten digits, offline", path="digits.duckdb", lab=True)
    _add(commands, "open", _open, "start JupyterLab on a notebook for a session", path=None, lab=True)
    _add(commands, "check", _check, "say what is in a session file, and what is wrong", path=None)
    _add(commands, "doctor", _doctor, "say what is installed and what is missing")
    given = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = given.run
    try:
        return run(given)
    except DataideError as error:
        print(f"dataide: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 1


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    says: str,
    *,
    path: str | None = "",
    lab: bool = False,
) -> None:
    command = commands.add_parser(name, help=says, description=f"{says[:1].upper()}{says[1:]}.")
    command.set_defaults(run=run)
    if path != "":
        command.add_argument("path", nargs="?" if path else None, default=path, type=Path, help="the session file")
    if lab:
        command.add_argument("--no-lab", action="store_true", help="do not start JupyterLab")
        command.add_argument("lab_arguments", nargs="*", help="for JupyterLab, after --")


def _demo(given: argparse.Namespace) -> int:
    from dataide.api import demo

    with demo("digits", given.path) as session:
        print(session)
    return _lab(given.path, given)


def _open(given: argparse.Namespace) -> int:
    from dataide.api import open
    from dataide.core.opening import placed

    with open(given.path) as session:
        print(session)
    return _lab(placed(given.path), given)


def _check(given: argparse.Namespace) -> int:
    from dataide.api import open

    with open(given.path, read_only=True) as session:
        print(session)
        for name, listed in (("labels", session.labels), ("tags", session.tags), ("queues", session.queues)):
            if listed:
                shown = ", ".join(f"{value} ({count:,})" for value, count in list(listed.items())[:10])
                print(f"  {name}: {shown}{', …' if len(listed) > 10 else ''}")
        decisions = session.sql("SELECT count(*) FROM event").fetchall()[0][0]
        print(f"  {decisions:,} decisions, {len(session.embeddings)} embeddings, {len(session.projections)} maps")
        rows = session.sql("SELECT media, code, reason FROM problem ORDER BY found_at DESC LIMIT 20").fetchall()
        for media, code, reason in rows:
            print(f"  problem: {media}: {reason} ({code})")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    print(f"dataide {_version('dataide') or 'not installed, run from its source'}")
    print(f"Python {platform.python_version()} at {sys.executable}, {platform.system()}, {os.cpu_count()} cores")
    missing = _report("base", _BASE)
    for extra, names in _EXTRAS.items():
        if _report(extra, names):
            print(f"  to add: pip install 'dataide[{extra}]'")
    if missing:
        print("  Parts of the base are missing: pip install --force-reinstall dataide", file=sys.stderr)
    return 1 if missing else 0


def _report(title: str, names: Sequence[str]) -> list[str]:
    found = {name: _version(name) for name in names}
    print(f"{title}: " + ", ".join(f"{name} {version or 'missing'}" for name, version in found.items()))
    return [name for name, version in found.items() if version is None]


def _lab(session: Path, given: argparse.Namespace) -> int:
    notebook = _notebook(session)
    print(f"Notebook {notebook}")
    if given.no_lab:
        return 0
    if _version("jupyterlab") is None:
        print("JupyterLab is not installed: pip install 'dataide[lab]'", file=sys.stderr)
        return 1
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(notebook), *given.lab_arguments])


def _notebook(session: Path) -> Path:
    """A small notebook beside the session; one that is there already is left as it is."""
    place = session.with_suffix(".ipynb")
    if place.exists():
        return place
    cells = [
        ["import dataide as di\n", "\n", f"session = di.open({json.dumps(session.name)})\n", "session"],
        ["session.workbench()"],
        ["session.selection.to_pandas()"],
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    body = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": kernel},
        "nbformat": _NOTEBOOK_VERSION,
        "nbformat_minor": 5,
    }
    place.write_text(json.dumps(body, indent=1), "utf-8")
    return place


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
