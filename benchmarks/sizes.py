"""Kilobytes of JavaScript that travel with a widget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent.parent / "dataide" / "static"
LIMITS_KB = {"hub": 60, "scatter": 60, "grid": 40, "facets": 40, "inspector": 40, "workbench": 40}


def measure() -> dict[str, Any]:
    sizes = {f"{name}_kb": round((STATIC / f"{name}.js").stat().st_size / 1024, 1) for name in LIMITS_KB}
    return {"benchmark": "sizes", **sizes, "limits": {f"{name}_kb": limit for name, limit in LIMITS_KB.items()}}
