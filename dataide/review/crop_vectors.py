"""Vectors of crops as linters read them: a row for each object of a table, fetched when rows are asked for.

A million crops of 480 numbers are two gigabytes; rules look at some thousand rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dataide.storage import object_vectors, vectors

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.vectors import Embedding

FEW = 200


class Vectors(Protocol):
    """N x D float32 that gives rows by their places; rows of NaN where there is none. An array is one."""

    @property
    def ndim(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.float32]: ...


class CropVectors:
    """The vectors of objects in the session file, of their present boxes and pictures.

    Args:
        database: the session's.
        of: the embedding.
        nos: numbers of objects, each once, in the order of the rows.
    """

    ndim = 2

    def __init__(self, database: Database, of: Embedding, nos: np.ndarray) -> None:
        self._database = database
        self._of = of
        self._nos = np.asarray(nos, np.uint32)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._nos), self._of.dimension

    def __len__(self) -> int:
        return len(self._nos)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        wanted = self._nos[rows]
        order = np.argsort(wanted)
        found: NDArray[np.float32] = np.full((len(wanted), self._of.dimension), np.nan, np.float32)
        for nos, rows_of in self._rows(wanted[order]):
            found[order[np.searchsorted(wanted[order], nos)]] = rows_of
        return found

    def _rows(self, wanted: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.float32]]]:
        if len(wanted) > FEW:
            for nos, _, some in object_vectors.present_rows(self._database, self._of, wanted):
                yield nos, some
            return
        # A few numbers in the statement itself are compared while the tables are read: this is asked at every stroke.
        listed = ", ".join(map(str, wanted.tolist())) or "NULL"
        sql = (
            f"SELECT v.object_no, 0::UINTEGER AS made_of, v.vector FROM {object_vectors.valid(self._of)} "
            f"WHERE v.object_no IN ({listed}) AND o.object_no IN ({listed})"
        )
        for nos, _, some in vectors.streamed(self._database, sql, self._of.dimension, {}):
            yield nos, some


def crops(database: Database, nos: np.ndarray, of: Embedding) -> CropVectors | None:
    """The vectors of these objects; None where the embedding is no longer there."""
    return CropVectors(database, of, nos) if of in object_vectors.embeddings(database) else None


def latest(database: Database) -> Embedding | None:
    """The embedding of objects that rules look at."""
    known = object_vectors.embeddings(database)
    return known[-1] if known else None


def stamp(database: Database) -> tuple[object, ...]:
    """Another one whenever the vectors that rules look at are."""
    known = latest(database)
    return () if known is None else (known.revision, *object_vectors.stamp(database, known))
