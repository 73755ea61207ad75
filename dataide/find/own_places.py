"""Maps whose places somebody already has: two columns, or two arrays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.predicate import column_named
from dataide.errors import ImportProblem, UnknownSample
from dataide.find.projection import check_name
from dataide.storage import points
from dataide.storage.query import nos_of
from dataide.storage.samples import ascending
from dataide.storage.vectors import check_writable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from dataide.core.context import Context
    from dataide.core.view import View

_NUMBERS = ("INT", "FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True)
class PlacesReport:
    """What giving places did.

    Attributes:
        name: of the map.
        placed: samples that have a place on it.
        without_place: samples of the session that have none.
        replaced: there was a map of this name.
        seconds: it took.
    """

    name: str
    placed: int
    without_place: int
    replaced: bool
    seconds: float

    def __repr__(self) -> str:
        text = f"Placed {self.placed:,} samples on the map {self.name!r} in {self.seconds:.1f} s"
        text += ", in place of the earlier map of this name." if self.replaced else "."
        if self.without_place:
            text += f" {self.without_place:,} have no place on it (no value, NaN or infinite, or not named)."
        return text


def add_projection(
    context: Context,
    name: str,
    x: str | ArrayLike,
    y: str | ArrayLike,
    *,
    sample_id: Sequence[str] | None,
    view: View,
) -> PlacesReport:
    """See `Session.add_projection`.

    Args:
        context: the session's.
        name: of the map.
        x: a column, or values in the order of `sample_id`, else of `view`.
        y: likewise.
        sample_id: whose places these are, or None.
        view: whose places these are, where no ids are given.

    Raises:
        ImportProblem: x and y are no numbers, or not as many as samples.
        UnknownColumn: there is no such column.
        UnknownSample: an id is not there.
    """
    began = time.monotonic()
    if not isinstance(name, str) or not name.strip():
        raise ImportProblem(f"{name!r} is no name of a map.", hint="session.add_projection('mine', x='x', y='y')")
    database = context.database
    check_writable(database)
    check_name(database, name)
    if isinstance(x, str) != isinstance(y, str):
        raise ImportProblem("x and y are either two columns or two arrays.", hint="x='umap_x', y='umap_y'")
    if isinstance(x, str) and isinstance(y, str):
        if sample_id is not None:
            raise ImportProblem("Columns have a value for each sample already.", hint="Leave sample_id= out.")
        columns = [_number_column(context, one) for one in (x, y)]
        with database.write() as cursor:
            replaced, number = _replace(context, cursor, name, {"x": columns[0], "y": columns[1]})
            placed = points.from_columns(cursor, number, *columns)
    else:
        nos, places = _arrays(context, x, y, sample_id, view)
        finite = np.isfinite(places).all(axis=1)
        with database.write() as cursor:
            replaced, number = _replace(context, cursor, name, {})
            placed = points.from_arrays(cursor, number, nos[finite], places[finite])
    without = database.sample_count - placed
    return PlacesReport(name, placed, without, replaced, time.monotonic() - began)


def _replace(context: Context, cursor: Any, name: str, parameters: dict[str, Any]) -> tuple[bool, int]:
    there = points.projection(context.database, name) is not None
    return there, points.replace(cursor, name, points.NO_EMBEDDING, points.GIVEN, parameters, None)


def _number_column(context: Context, name: str) -> str:
    columns = context.database.columns()
    known = column_named(name, columns)
    if not any(kind in columns[known] for kind in _NUMBERS) or columns[known].endswith("]"):
        raise ImportProblem(
            f"The column {known!r} holds {columns[known]}, not numbers.", hint="Name two columns of numbers: x=, y=."
        )
    return known


def _arrays(
    context: Context, x: Any, y: Any, sample_id: Sequence[str] | None, view: View
) -> tuple[np.ndarray, np.ndarray]:
    """Sample numbers, and places as float32, N x 2."""
    given = [_values(values, axis) for values, axis in ((x, "x"), (y, "y"))]
    if sample_id is not None:
        ids = [str(one) for one in sample_id]
        nos, missing = nos_of(context.database, ids)
        if missing:
            raise UnknownSample(
                f"There is no sample {missing[0]!r}"
                + (f", nor {len(ids) - len(nos) - 1:,} others." if len(ids) - len(nos) > 1 else "."),
                hint="session.ids() has all ids.",
            )
        if len(ascending(nos)) < len(nos):
            raise ImportProblem("An id comes twice in sample_id.", hint="Give each sample one place.")
    else:
        nos = view.nos()
    for values, axis in zip(given, "xy", strict=True):
        if len(values) != len(nos):
            raise ImportProblem(
                f"{axis} has {len(values):,} values for {len(nos):,} samples.",
                hint="Give one for each, in the order of session.ids(), or say whose they are: sample_id= or view=.",
            )
    with np.errstate(over="ignore"):
        return nos, np.stack([values.astype(np.float32) for values in given], axis=1)


def _values(values: Any, axis: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiu":
            array = np.asarray([np.nan if value is None else value for value in array.tolist()], dtype=np.float64)
    except (TypeError, ValueError):
        raise ImportProblem(f"{axis} holds something else than numbers.", hint="Give an array of numbers.") from None
    if array.ndim != 1:
        shape = " x ".join(str(side) for side in array.shape) or "a single value"
        raise ImportProblem(f"{axis} is {shape}; it should be a row of numbers.", hint="x=places[:, 0], y=places[:, 1]")
    return array
