"""Keeps the functions of a process that stays as new as the files they come from."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

# Also of other places than this Python's own: installed for one user, or by a Linux distribution.
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OURS = str(Path(__file__).resolve().parents[1]) + os.sep


class UserModules:
    """The imported modules that are neither Python's, installed, nor dataide's, and when their files were written.

    A pickle names the module of its function. Where that has been imported once, Python would go on with the old code
    after the user has changed the file, and vectors would stand under a revision that did not make them.
    """

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        self._not_users = tuple({_OURS, *(os.path.realpath(paths[name]) + os.sep for name in ("stdlib", "platstdlib"))})
        self._written: dict[str, int] = {}
        self._others: dict[str, ModuleType] = {}  # whose they are is looked up once: torch brings three thousand

    def note(self) -> None:
        """Remembers the modules that have come since."""
        for name, module in list(sys.modules.items()):
            if name in self._written or self._others.get(name) is module:
                continue
            if written := self._of_user(module):
                self._written[name] = written
            else:
                self._others[name] = module

    def forget_if_changed(self) -> bool:
        """Drops them all when one of their files has changed."""
        self.note()
        for name, written in self._written.items():
            module = sys.modules.get(name)
            if module is not None and self._of_user(module) != written:
                break
        else:
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """Drops them all, to be imported anew; functions that are held stay as they are."""
        self.note()
        for name in self._written:
            sys.modules.pop(name, None)
        self._written.clear()
        importlib.invalidate_caches()

    def _of_user(self, module: ModuleType) -> int:
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or any(part in file for part in _INSTALLED):
            return 0
        if os.path.realpath(file).startswith(self._not_users):
            return 0
        try:
            return os.stat(file).st_mtime_ns
        except OSError:
            return 0
