"""The session's filter: one clause per source, all must hold. What it leaves out goes grey, and leaves the grid."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core import clauses
from dataide.core.clauses import Clause, SqlClause, Stated
from dataide.core.predicate import parse
from dataide.core.selection import fitted
from dataide.core.touched import versions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.changes import Changes
    from dataide.core.predicate import Predicate
    from dataide.storage.database import Database

_INCLUDED = "NOT excluded"


class Filter:
    """The clauses of all sources and their masks, computed once per revision.

    Attributes:
        version: grows by one whenever a clause changes.
        passing: grows by one whenever other samples may pass, by a clause or because the data of a clause changed.
    """

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self._lock = threading.RLock()
        self._stated: dict[str, Stated] = {}
        self._included = parse(_INCLUDED, {"excluded": "BOOLEAN"})
        self._excluded = parse("excluded", {"excluded": "BOOLEAN"})
        self._versions = versions(database)
        self._masks: dict[str, tuple[int, NDArray[np.bool_]]] = {}
        self._together: dict[str | None, tuple[tuple[int, int], NDArray[np.bool_]]] = {}
        self._passing: tuple[tuple[int, int], int] = ((-1, -1), -1)
        self.version = 0

    @property
    def clauses(self) -> tuple[Stated, ...]:
        """What each source says, in the order in which they came."""
        with self._lock:
            return tuple(self._stated.values())

    @property
    def text(self) -> str:
        """What stands in the filter box."""
        with self._lock:
            said = self._stated.get("text")
        return said.clause.text if said is not None and isinstance(said.clause, SqlClause) else ""

    @property
    def sql(self) -> str:
        """All clauses as one expression for `session.where`; empty without any."""
        parts = [said.sql for said in self.clauses]
        return parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)

    def set(self, source: str, clause: Clause | Mapping[str, Any] | None) -> Stated | None:
        """States or, with None, takes back what a source says.

        Raises:
            FilterError: the clause does not fit; what was stated before goes on holding.
        """
        stated = None if clause is None else clauses.state(source, clause, self._database.columns())
        if stated is not None:
            self._mask_of(stated.predicate)  # an expression that fails on some sample is refused now, not while drawing
        with self._lock:
            known = self._stated.get(source)
            if (known is None and stated is None) or (known is not None and stated is not None and known == stated):
                return stated
            if stated is None:
                del self._stated[source]
            else:
                self._stated[source] = stated
            self.version += 1
        self._changes.notify("filter")
        return stated

    def clear(self) -> None:
        """Takes back every clause."""
        with self._lock:
            if not self._stated:
                return
            self._stated.clear()
            self.version += 1
        self._changes.notify("filter")

    @property
    def passing(self) -> int:
        """Another number whenever the mask may be another one. Ask it before the mask, not after."""
        with self._lock:
            applied, version = self._applied(None), self.version
        key = (version, self._versions.of(_columns_of(applied)))
        with self._lock:
            if self._passing[0] != key:
                self._passing = (key, self._passing[1] + 1)
            return self._passing[1]

    def mask(self, without: str | None = None) -> NDArray[np.bool_]:
        """Which samples pass all clauses, by sample number: the same array as long as they stay. Do not write into it.

        Args:
            without: a source whose own clause is left out, so that its facet still shows what else could be chosen.
        """
        with self._lock:
            applied, version = self._applied(without), self.version
            known = self._together.get(without)
        key = (version, self._versions.of(_columns_of(applied)))
        if known is not None and known[0] == key:
            return known[1]
        masks = [self._mask_of(predicate) for predicate in applied]
        count = self._database.sample_count
        together = fitted(masks[0], count)
        if len(masks) > 1:
            together = np.logical_and.reduce([fitted(mask, count) for mask in masks])
            together.setflags(write=False)
        with self._lock:
            self._together = {source: kept for source, kept in self._together.items() if kept[0][0] == version}
            self._together[without] = (key, together)
        return together

    def _applied(self, without: str | None) -> list[Predicate]:
        applied = [said.predicate for said in self._stated.values() if said.source != without]
        # Excluded samples are hidden unless a clause asks about being excluded.
        if not any("excluded" in predicate.columns for predicate in applied):
            applied.append(self._included)
        return applied

    def _mask_of(self, predicate: Predicate) -> NDArray[np.bool_]:
        # The version first: what is written meanwhile is looked at again next time.
        version = self._versions.of(predicate.columns)
        with self._lock:
            known = self._masks.get(predicate.sql)
        if known is not None and known[0] == version:
            return known[1]
        if predicate is self._included:
            # Few are excluded, as a rule, and few are quicker to fetch than all the others.
            mask = ~self._excluded.mask(self._database)
        else:
            mask = predicate.mask(self._database)
        mask.setflags(write=False)
        with self._lock:
            current = {said.predicate.sql for said in self._stated.values()} | {predicate.sql, self._included.sql}
            self._masks = {sql: kept for sql, kept in self._masks.items() if sql in current}
            self._masks[predicate.sql] = (version, mask)
        return mask


def _columns_of(applied: list[Predicate]) -> frozenset[str]:
    return frozenset[str]().union(*(predicate.columns for predicate in applied))
