"""The vectors of one embedding, as a table of sample_id and vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataide.core.actions import samples
from dataide.errors import DataideError, did_you_mean
from dataide.storage import vectors as stored
from dataide.storage.documented import quoted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.core.context import Context

_ANY = "auto"


class Vectors:
    """`sample_id, vector` of every sample that has one of its present picture or text, in order of arrival."""

    def __init__(self, context: Context, name: str | None) -> None:
        self._context = context
        self.name = named(context, name)

    @property
    def sql(self) -> str:
        """The same as plain SQL."""
        return f"SELECT sample_id, vector FROM {quoted(f'vector_{self.name}')}"

    def to_arrow(self) -> pa.Table:
        found = self._found()
        return self._context.database.arrow(
            f"SELECT s.sample_id, v.vector FROM {stored.valid(found)} ORDER BY v.sample_no"
        )

    def to_pandas(self) -> pd.DataFrame:
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_numpy(self) -> NDArray[np.float32]:
        """The vectors alone, shape (samples, dimension), float32, in the order of `ids()`."""
        matrix: NDArray[np.float32] = stored.fetch(self._context.database, self._found())[1]
        return matrix

    def ids(self) -> list[str]:
        """The ids of the samples that have a vector."""
        ids: list[str] = self.to_arrow().column("sample_id").to_pylist()
        return ids

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return int(stored.stamp(self._context.database, self._found())[1])

    def __repr__(self) -> str:
        found = self._found()
        return f"Vectors “{self.name}” of {samples(len(self))}, {found.dimension} numbers each (model {found.revision})"

    def _found(self) -> stored.Embedding:
        found = stored.embedding(self._context.database, self.name)
        if found is None:
            raise _missing(self._context, self.name)
        return found


def named(context: Context, name: str | None) -> str:
    """The embedding of this name, or, without one, "auto" where it is there, else the latest.

    Raises:
        DataideError: there is none.
    """
    known = [one.name for one in stored.embeddings(context.database)]
    if name is None and known:
        return _ANY if _ANY in known else known[-1]
    if name is None or name not in known:
        raise _missing(context, name)
    return name


def _missing(context: Context, name: str | None) -> DataideError:
    known = [one.name for one in stored.embeddings(context.database)]
    if not known:
        return DataideError("The session has no vectors yet.", hint="session.embed()", code="no_vectors")
    return DataideError(f"There are no vectors “{name}”.", hint=did_you_mean(str(name), known), code="no_vectors")
