"""An IDE for image datasets inside JupyterLab: `import dataide as di`, then `di.open("pets.duckdb")`."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataide.api import Session, demo, open
    from dataide.core.journal import Event
    from dataide.errors import DataideError
    from dataide.review.linters import linter
    from dataide.views import View

__all__ = ["DataideError", "Event", "Session", "View", "demo", "linter", "open"]

_HOMES = {
    "open": "dataide.api",
    "demo": "dataide.api",
    "Session": "dataide.api",
    "View": "dataide.views",
    "Event": "dataide.core.journal",
    "linter": "dataide.review.linters",
    "DataideError": "dataide.errors",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("dataide")
        except PackageNotFoundError:
            return "0+unknown"
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Importing the module dataide.demo would put it in the place of the function di.demo.
        if name in _HOMES and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
