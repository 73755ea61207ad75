"""Samples as people name them, as numbers: a View, ids, a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.actions import samples
from dataide.core.view import View
from dataide.errors import ActionError, UnknownSample
from dataide.storage.query import nos_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.context import Context


def chosen(context: Context, what: View | str | Sequence[str] | NDArray[Any] | None) -> NDArray[Any]:
    """Sample numbers, or a mask over all samples.

    Raises:
        UnknownSample: an id is not there.
        ActionError: a mask of another length.
    """
    if what is None:
        return np.zeros(0, dtype=bool)
    if isinstance(what, View):
        return what.mask()
    if isinstance(what, np.ndarray) and what.dtype == np.bool_:
        count = context.database.sample_count
        if len(what) != count:
            raise ActionError(
                f"The mask has {len(what):,} entries, and the session {samples(count)}.",
                hint="session.where(…).mask() has the right length.",
            )
        return what
    ids = [what] if isinstance(what, str) else [str(one) for one in what]
    nos, missing = nos_of(context.database, ids)
    if missing:
        said = f"There is no sample {missing[0]!r}." if len(ids) == 1 else f"There are no samples {missing[:3]!r} …"
        raise UnknownSample(said, hint="session.take(5).ids() shows what ids look like.")
    return nos
