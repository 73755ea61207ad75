"""Metrics of one's own: any function of arrays, with an interval by resampling, and its failures told by its name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataide.errors import DataideError, EvaluationError
from dataide.evaluate.intervals import Figure, Sampling, resampled

Metric = Callable[..., Any]
_DRAWS = 200


def computed(
    metrics: Mapping[str, Metric] | None,
    arrays: tuple[NDArray[Any], ...],
    how: Sampling,
    level: float,
    *,
    taken: Mapping[str, Any],
    seed: int = 0,
) -> tuple[dict[str, Figure], list[tuple[str, str]]]:
    """Computes each metric on all rows, and 200 times on drawn ones for its interval.

    Args:
        metrics: functions by name; each is called with the arrays and gives one number.
        arrays: of equal length, a row for each sample that counts.
        how: the rows came about.
        level: of the intervals.
        taken: names that are not free.
        seed: of the draws.

    Returns:
        The figures, and name and reason of each that failed; the others are computed all the same.

    Raises:
        EvaluationError: something else than functions by name, or a name that is not free.
    """
    if metrics is not None and not isinstance(metrics, Mapping):
        raise EvaluationError("Metrics of one's own need a name each.", hint='For example: metrics={"cost": my_cost}')
    figures: dict[str, Figure] = {}
    problems: list[tuple[str, str]] = []
    for name, metric in (metrics or {}).items():
        if not isinstance(name, str) or not name or not callable(metric):
            raise EvaluationError(
                f"{name!r} is not the name of a function.", hint='For example: metrics={"cost": lambda truth, said: …}'
            )
        if name in taken:
            raise EvaluationError(f"There is a metric {name!r} already.", hint="Give yours another name.")
        try:
            value = _number(metric(*(_shown(array) for array in arrays)))
        except Exception as error:  # whatever a stranger's function raises is told by its name
            problems.append((name, _reason(error)))
            continue
        if not math.isfinite(value):
            problems.append((name, f"it gave {value}."))
            continue
        figures[name] = Figure(value, *resampled(_of_rows(metric, arrays), value, how, level, draws=_DRAWS, seed=seed))
    return figures, problems


def _of_rows(metric: Metric, arrays: tuple[NDArray[Any], ...]) -> Callable[[NDArray[np.intp]], float]:
    def of(rows: NDArray[np.intp]) -> float:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a draw may lack a class; all rows together were told about
                return _number(metric(*(array[rows] for array in arrays)))
        except Exception:  # a draw that it cannot be computed on has no value
            return math.nan

    return of


def _shown(array: NDArray[Any]) -> NDArray[Any]:
    """The array, not to be written to: the next metric sees it as well."""
    view = array.view()
    view.flags.writeable = False
    return view


def _number(value: Any) -> float:
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "fiub":
        raise TypeError(f"it gave {type(value).__name__} and not one number")
    return float(array)


def _reason(error: Exception) -> str:
    if isinstance(error, DataideError):
        return str(error)
    said = str(error).strip().rstrip(".") or "without a word"
    return f"{type(error).__name__}: {said}."
