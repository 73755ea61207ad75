"""The JavaScript and CSS of the panels, as the build left them in dataide/static."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from dataide.errors import DataideError


def script(name: str) -> str:
    """The module of a panel, or of the hub.

    Raises:
        DataideError: it was never built.
    """
    return _text(f"{name}.js", _changed(f"{name}.js"))


def style(name: str) -> str:
    """The style sheet of a panel, or of the hub; empty when it has none."""
    changed = _changed(f"{name}.css")
    return "" if changed is None else _text(f"{name}.css", changed)


def _changed(file: str) -> int | None:
    """When the file was written: a developer's build shows with the next panel, without a restart of the kernel."""
    path = files("dataide") / "static" / file
    try:
        return path.stat().st_mtime_ns  # type: ignore[attr-defined,no-any-return]
    except AttributeError:
        return 0  # inside a zip file, where nothing changes
    except OSError:
        return None


@lru_cache(maxsize=32)
def _text(file: str, changed: int | None) -> str:
    if changed is None:
        raise DataideError(
            f"The part of dataide that runs in the browser is missing: dataide/static/{file} was not built.",
            hint="In a clone type `make setup`; otherwise reinstall: pip install --force-reinstall --no-deps dataide",
            code="not_built",
        )
    return (files("dataide") / "static" / file).read_text(encoding="utf-8")
