"""What an evaluation gives: figures that read like a mapping, each with its interval, and tables beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from dataide.errors import EvaluationError, did_you_mean
from dataide.evaluate.intervals import LEVEL, Figure, Interval
from dataide.storage import arrow_arrays
from dataide.storage.arrow import Frames

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_PREVIEW = 20
_LONGEST = 40


class UnknownMetric(EvaluationError, KeyError):
    """A figure that an evaluation does not have."""

    code = "unknown_metric"


@dataclass(frozen=True, eq=False, repr=False)
class Table(Frames):
    """Columns of equal length: a row for each class, label or sample.

    Attributes:
        columns: name and values; texts or numbers. NaN is no value.
    """

    columns: Mapping[str, Sequence[str] | NDArray[np.generic]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """The column of this name."""
        if name not in self.columns:
            raise UnknownMetric(f"There is no column {name!r}.", hint=did_you_mean(name, self.columns))
        return self.columns[name]

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa

        made = {
            name: arrow_arrays.numbers(values, values.dtype)
            if isinstance(values, np.ndarray)
            else arrow_arrays.text(list(values))
            for name, values in self.columns.items()
        }
        table = pa.table(made)
        return table if columns is None else table.select(list(columns))

    def take(self, rows: NDArray[np.intp]) -> Table:
        """Some of the rows, in this order."""
        return Table(
            {
                name: values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows.tolist()]
                for name, values in self.columns.items()
            }
        )

    def __repr__(self) -> str:
        return f"{len(self):,} rows: {', '.join(self.columns)}"

    def _repr_html_(self) -> str:
        return self.html()

    def html(self, most: int = _PREVIEW) -> str:
        """The first rows as a table; all text is escaped."""
        head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in self.columns)
        shown = min(len(self), most)
        listed = [[_cell(value) for value in list(values[:shown])] for values in self.columns.values()]
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in zip(*listed, strict=True)
        )
        more = f"<p>and {len(self) - shown:,} more: .to_pandas() has all</p>" if len(self) > shown else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


@dataclass(frozen=True, eq=False, repr=False)
class Figures(Mapping[str, float]):
    """Figures by name, each with its interval: result["accuracy"], result.interval("accuracy").

    Attributes:
        figures: value, low and high of each.
        count: rows that count.
        level: of the intervals.
        notes: what else to know: what was left out and why, in sentences.
        problems: metrics of one's own that failed: name and why.
    """

    figures: Mapping[str, Figure]
    count: int
    level: float = LEVEL
    notes: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = field(default=())

    def __getitem__(self, name: str) -> float:
        return self._figure(name).value

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def interval(self, name: str) -> Interval:
        """From where to where the figure may truly lie; NaN where nothing can be said.

        Raises:
            UnknownMetric: there is no such figure.
        """
        return Interval(*self._figure(name)[1:])

    @property
    def table(self) -> Table:
        """All figures as a table: metric, value, low, high."""
        ends = np.array(list(self.figures.values()), np.float64).reshape(-1, 3)
        return Table({"metric": list(self.figures), "value": ends[:, 0], "low": ends[:, 1], "high": ends[:, 2]})

    @property
    def title(self) -> str:
        """What this is, in a few words."""
        return f"{self.count:,} rows"

    def __repr__(self) -> str:
        width = max((len(name) for name in self.figures), default=0)
        lines = [f"  {name:<{width}}  {shown(figure)}" for name, figure in self.figures.items()]
        return "\n".join([f"{self.title}, intervals of {self.level:.0%}", *lines, *self._told()])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{number(figure.value)}</td>"
            f"<td>{between(figure.low, figure.high)}</td></tr>"
            for name, figure in self.figures.items()
        )
        head = f"<th>metric</th><th>value</th><th>interval of {self.level:.0%}</th>"
        told = "".join(f"<p>{escape(line)}</p>" for line in self._told())
        return (
            f"<p>{escape(self.title)}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"{told}{self._more_html()}"
        )

    def _more_html(self) -> str:
        """What stands below the figures."""
        return ""

    def _told(self) -> list[str]:
        return [*self.notes, *(f"The metric {name!r} was not computed: {why}" for name, why in self.problems)]

    def _figure(self, name: str) -> Figure:
        if name not in self.figures:
            if name in dict(self.problems):
                raise UnknownMetric(f"The metric {name!r} was not computed: {dict(self.problems)[name]}")
            raise UnknownMetric(f"There is no metric {name!r}.", hint=did_you_mean(name, self.figures))
        return self.figures[name]


def counted(count: int, what: str) -> str:
    """1 row, 2 rows."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def shown(figure: Figure) -> str:
    """A figure with its interval, as a line of text has it."""
    ends = between(figure.low, figure.high)
    return f"{number(figure.value)}  ({ends})" if ends else number(figure.value)


def number(value: float) -> str:
    """Four digits, which is more than any interval is narrow."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def between(low: float, high: float) -> str:
    """An interval; nothing where there is none."""
    return "" if math.isnan(low) or math.isnan(high) else f"{number(low)} to {number(high)}"


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return number(float(value))
    text = f"{int(value):,}" if isinstance(value, int | np.integer) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
