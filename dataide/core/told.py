"""What stands below a cell already is not said a second time as the value of that cell.

A call that takes a while ends with a sentence below its cell: what came of it, which is also the repr of what the call
returns. Where the cell ends with the call, a notebook would show both. So the sentence stays, and the value is not
shown again; in any later cell it is shown like everything else. A value that shows more than a sentence (a table)
takes the place of it. Without a notebook nothing of this happens.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

_PRINTERS = ("_repr_html_", "_repr_mimebundle_")
# Values whose sentence stands below the running cell: that cell's number, and how to take the sentence away, or None
# where the value has no more to show than that.
_below: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_cells: dict[int, tuple[int, Callable[[], None] | None]] = {}


def stands_below(value: Any, remove: Callable[[], None]) -> None:
    """Notes that the running cell shows what this value would say.

    Args:
        value: of a class of ours, which the call returns.
        remove: takes the sentence away again.
    """
    shell = _shell()
    if shell is None:
        return
    try:
        _below[id(value)] = value
    except TypeError:
        return  # a plain list or number, which says something else than a sentence
    more = any(hasattr(type(value), name) for name in _PRINTERS)
    for gone in [key for key in _cells if key not in _below]:
        del _cells[gone]
    _cells[id(value)] = (shell.execution_count, remove if more else None)
    printer = shell.display_formatter.ipython_display_formatter
    try:
        printer.lookup_by_type(type(value))
    except KeyError:
        printer.for_type(type(value), _once)


def _once(value: Any) -> None:
    """Shows nothing where the sentence does; by this exception IPython goes on as it always does."""
    shell = _shell()
    cell, remove = _cells.pop(id(value), (-1, None)) if _below.get(id(value)) is value else (-1, None)
    if shell is None or cell != shell.execution_count:
        raise NotImplementedError
    if remove is not None:
        remove()
        raise NotImplementedError


def _shell() -> Any:
    """The notebook's IPython; None anywhere else. Nothing is imported to find out."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None
