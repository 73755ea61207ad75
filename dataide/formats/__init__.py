"""Ways in and out: one file for each, loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataide.formats.arrays import add_arrays
    from dataide.formats.folder import add_folder
    from dataide.formats.frame import add_frame
    from dataide.formats.ingest import Report
    from dataide.formats.parquet import add_parquet

__all__ = ["Report", "add_arrays", "add_folder", "add_frame", "add_parquet"]

_HOMES = {
    "Report": "ingest",
    "add_arrays": "arrays",
    "add_folder": "folder",
    "add_frame": "frame",
    "add_parquet": "parquet",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
