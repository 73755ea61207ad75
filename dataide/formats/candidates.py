"""Rows of an attached table: filtered, sampled and looked at in place, and only what was chosen is added."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np

from dataide.core.predicate import PSEUDO, Predicate, column_named, equality_text, evaluation_error, parse
from dataide.core.steps import OrderBy, Take, Where, cell, natural, ordered_by
from dataide.errors import FilterError, UnknownColumn, unknown_column
from dataide.storage.arrow import Frames
from dataide.storage.database import DatabaseError
from dataide.storage.query import name_of

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.core.context import Context
    from dataide.formats.ingest import Conflict, Report
    from dataide.formats.progress import Listener
    from dataide.storage.arrow import Result
    from dataide.storage.attached import Source

Answer = TypeVar("Answer")
_PREVIEW = 10
_BATCH = 1000


@dataclass(frozen=True, eq=False)
class Sample:
    """Keeps some at random; what was drawn is drawn once and stays."""

    count: int
    by: tuple[str, ...]
    seed: int
    proportional: bool
    drawn: dict[str, Any] = field(default_factory=dict)


Step = Where | OrderBy | Take | Sample


class Candidates(Frames):
    """Rows of a table that was attached, not samples yet: chosen in place, then added with `add()`.

    Immutable: each method gives new candidates. Made by `session.attach(name, source)`.
    """

    def __init__(self, context: Context, name: str, source: Source, steps: tuple[Step, ...] = ()) -> None:
        self._context = context
        self._name = name
        self._source = source
        self._steps = steps
        self._count: int | None = None

    # Choosing --------------------------------------------------------------------------------------------------

    def where(self, text: str | None = None, /, **equals: Any) -> Self:
        """Keeps the rows for which a condition holds: where("score > 0.9", label=["cat", "dog"]).

        Args:
            text: one boolean SQL expression over the columns.
            **equals: column=value; a list means any of its values, None means no value.

        Raises:
            FilterError: the condition is something else, or names a column that is not there.
        """
        columns = self.columns
        steps = [] if text is None else [Where(_parsed(text, columns))]
        for name, value in equals.items():
            known = column_named(name, columns)
            condition = equality_text(known, value, columns[known])
            # For people a plain name needs no quotes.
            plain = condition.replace(name_of(known), known) if known.isidentifier() else condition
            steps.append(Where(replace(_parsed(condition, columns), text=plain)))
        return self._with(*steps)

    def sample(
        self,
        n: int,
        by: str | Sequence[str] | None = None,
        *,
        seed: int = 0,
        proportional: bool = False,
    ) -> Self:
        """Keeps `n` rows at random, the same ones for the same seed; with `by` the same number of each kind.

        The kinds take turns: any first rows of the answer hold each kind about equally often, and a kind with few rows
        gives all it has, and the others the rest.

        Args:
            n: how many.
            by: a column, or several: each combination of their values is a kind; no value is one too.
            seed: another one draws other rows.
            proportional: draw from each kind in proportion to its size instead, at least as near as rounding allows.

        Raises:
            FilterError: n is no number, or a column is not there.
        """
        columns = (by,) if isinstance(by, str) else tuple(by or ())
        known = tuple(column_named(name, self.columns) for name in columns)
        return self._with(Sample(natural(n, "sample", "rows"), known, int(seed), proportional))

    def take(self, count: int) -> Self:
        """Keeps the first rows."""
        return self._with(Take(natural(count, "take", "rows")))

    def order_by(self, *columns: str, descending: bool = False) -> Self:
        """Orders by columns; "-score" or `descending=True` begins with the highest, and no value comes last."""
        return self._with(ordered_by(columns, descending, self.columns, "score"))

    # Reading ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name it was attached under."""
        return self._name

    @property
    def columns(self) -> dict[str, str]:
        """Name and SQL type of each column."""
        return dict(self._source.columns)

    def __len__(self) -> int:
        if self._count is None:
            rows = self._run(lambda: self._source.rows(f"SELECT count(*) FROM ({self.compiled()})", self.frames()))
            self._count = int(rows[0][0])
        return self._count

    def __bool__(self) -> bool:
        return True  # `if session.attached.get("c"):` asks whether it is there, not whether ten million rows are

    def counts(self, *columns: str) -> dict[Any, int]:
        """How many rows have each value of a column, or each combination of several, the most frequent first."""
        if not columns:
            raise FilterError("counts needs a column.", hint=f"There are: {', '.join(list(self.columns)[:12])}.")
        names = ", ".join(name_of(column_named(name, self.columns)) for name in columns)
        sql = f"SELECT {names}, count(*) FROM ({self.compiled()}) GROUP BY {names} ORDER BY count(*) DESC, {names}"
        rows = self._run(lambda: self._source.rows(sql, self.frames()))
        return {row[0] if len(columns) == 1 else row[:-1]: int(row[-1]) for row in rows}

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as an Arrow table, with all columns or these."""
        return self._run(lambda: self._source.arrow(self.compiled(self._listed(columns)), self.frames()))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict, in order, a few in memory at a time."""
        self._source.verify()
        with self._source.batches(self.compiled(self._listed(None)), _BATCH, self.frames()) as batches:
            for batch in batches:
                yield from batch.to_pylist()

    def sql(self, query: str, parameters: Sequence[Any] | dict[str, Any] | None = None, /, **frames: Any) -> Result:
        """Answers plain SQL that reads, over the table `candidates`: these rows.

        Args:
            query: one statement, for example "SELECT label, avg(score) FROM candidates GROUP BY ALL".
            parameters: values for ? or $name.
            **frames: tables to join with, by name: pandas, Polars or Arrow; `samples=session` joins with the samples.

        Raises:
            ReadOnly: the statement would change something.
            QueryError: the database refuses it.
        """
        lent = {name: frame.to_arrow() if hasattr(frame, "to_arrow") else frame for name, frame in frames.items()}
        self._source.verify()
        return self._source.ask(self.compiled(self._listed(None)), query, parameters, {**self.frames(), **lent})

    def close(self) -> None:
        """Lets go of the table; the session does it at its end."""
        self._source.close()

    # Adding ----------------------------------------------------------------------------------------------------

    def add(
        self,
        media: str | None = "image",
        label: str | None = None,
        *,
        sample_id: str | None = None,
        fetch: Literal["seen", "now"] | None = None,
        on_conflict: Conflict = "skip",
        progress: bool | Listener = True,
        root: str | None = None,
    ) -> Report:
        """Adds one sample for each row. The pictures stay where they are, wherever they can be read there.

        Rows whose pictures are not looked at now come in all or not at all. Pictures that are looked at are committed
        every few thousand: what came in before an error or Ctrl-C stays, and the same call goes on behind it.

        Args:
            media: the column of addresses, paths or encoded bytes; None adds samples without pictures.
            label: the column of labels; without it a column called `label` is taken, if there is one.
            sample_id: the column of ids; without it, and without a column called `sample_id`, addresses and paths are
                ids, and rows of Parquet files FILE:ROW.
            fetch: "now" looks at each picture once, for its size and its measures; "seen" takes the rows in at once,
                and a picture is fetched when somebody looks at it. By default addresses wait until they are seen, and
                everything else is looked at now.
            on_conflict: what to do with ids that are there: skip, replace or error.
            progress: False for silence.
            root: the folder that relative paths start from; by default that of the Parquet files, else the working
                directory.

        Raises:
            ImportProblem: a column is not there, a file has changed since it was attached, the table cannot be
                reached, or an id is taken and on_conflict is "error".
        """
        from dataide.formats.choose import Adding

        given = {"media": media, "label": label, "sample_id": sample_id, "root": root}
        adding = Adding(self._context, self, self._source, on_conflict=on_conflict, progress=progress, **given)
        return self._run(lambda: adding.run(fetch))

    # Saying ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        of = f"{self._name!r} ({self._source.sentence})"
        if self._source.closed:
            return f"Candidates of {of}, closed"
        return f"{len(self):,} {'row' if len(self) == 1 else 'rows'} of {of}{_described(self._steps)}"

    def _repr_html_(self) -> str:
        table = self.take(_PREVIEW).to_arrow([name for name, kind in self.columns.items() if not _is_data(kind)])
        head = "".join(f"<th>{escape(name)}</th>" for name in table.column_names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell(value))}</td>" for value in row.values()) + "</tr>"
            for row in table.to_pylist()
        )
        return f"<p>{escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    # Inside ----------------------------------------------------------------------------------------------------

    def compiled(self, columns: str = "*", *, only: str | None = None) -> str:
        """The whole as one query, in order.

        Args:
            columns: what to select; the number of a row is `row_name`.
            only: a further condition.
        """
        sql, order = self._upto(len(self._steps))
        if only is not None:
            sql = f"SELECT * FROM ({sql}) AS sample WHERE ({only})"
        # Without an order of its own the answer comes as the table has it: DuckDB keeps that.
        return f"SELECT {columns} FROM ({sql}) AS sample{_ordered(order)}"

    @property
    def row_name(self) -> str:
        """The name of the column that numbers the rows: one that the table does not have."""
        name = "dataide_row"
        while name.lower() in {known.lower() for known in self._source.columns}:
            name += "_"
        return name

    def frames(self) -> dict[str, Any]:
        """What the compiled query reads beside the table."""
        return {
            f"drawn_{place}": self._drawn(place) for place, step in enumerate(self._steps) if isinstance(step, Sample)
        }

    def _with(self, *steps: Step) -> Self:
        return type(self)(self._context, self._name, self._source, self._steps + steps)

    def _run(self, use: Callable[[], Answer]) -> Answer:
        self._source.verify()
        try:
            return use()
        except DatabaseError as error:
            if any(isinstance(step, Where) for step in self._steps):
                raise evaluation_error(error) from error
            raise

    def _listed(self, columns: Sequence[str] | None) -> str:
        names = self.columns if columns is None else [column_named(name, self.columns) for name in columns]
        return ", ".join(name_of(name) for name in names)

    def _base(self) -> str:
        row = self._source.row or "row_number() OVER () - 1"
        hidden = f" EXCLUDE ({', '.join(self._source.hidden)})" if self._source.hidden else ""
        return f"SELECT *{hidden}, CAST({row} AS BIGINT) AS {self.row_name} FROM {self._source.table}"

    def _upto(self, end: int) -> tuple[str, list[str]]:
        """The query of the first steps, and the keys of its order."""
        sql, order = self._base(), list[str]()
        for place, step in enumerate(self._steps[:end]):
            match step:
                case Where(predicate):
                    sql = f"SELECT * FROM ({sql}) AS sample WHERE ({predicate.sql})"
                case OrderBy(columns):
                    order = [f"{name_of(name)}{' DESC' if down else ''} NULLS LAST" for name, down in columns]
                    order.append(self.row_name)
                case Take(count):
                    sql = f"SELECT * FROM ({sql}) AS sample{_ordered(order)} LIMIT {count}"
                case Sample():
                    sql, order = self._of_drawn(place)
        return sql, order

    def _of_drawn(self, place: int) -> tuple[str, list[str]]:
        key = f"drawn_place_{place}"
        if self._source.row is None:
            # The rows themselves were kept: the table numbers none, so that they could not be found again.
            return f"SELECT * RENAME (drawn_place AS {key}) FROM drawn_{place}", [key]
        drawn = f"SELECT drawn_row, drawn_place AS {key} FROM drawn_{place}"
        return (
            f"SELECT sample.*, d.{key} FROM ({self._base()}) AS sample JOIN ({drawn}) AS d "
            f"ON sample.{self.row_name} = d.drawn_row",
            [key],
        )

    def _drawn(self, place: int) -> Any:
        """The rows that a sample step draws: numbers and places, or the rows themselves."""
        step = self._steps[place]
        assert isinstance(step, Sample)
        if "rows" not in step.drawn:
            sql, _ = self._upto(place)
            frames = {f"drawn_{before}": self._drawn(before) for before in range(place) if self._is_sample(before)}
            if self._source.row is None:
                step.drawn["rows"] = self._source.arrow(self._draw(step, sql), frames)
            else:
                found = self._source.numbers(self._draw(step, sql), frames)
                step.drawn["rows"] = {name: np.asarray(found[name], np.int64) for name in ("drawn_row", "drawn_place")}
        return step.drawn["rows"]

    def _is_sample(self, place: int) -> bool:
        return isinstance(self._steps[place], Sample)

    def _draw(self, step: Sample, sql: str) -> str:
        """One pass: the rows of each kind in random order, then the first of each, the second of each …

        In proportion, the row that comes at the fraction f of its kind comes at the fraction f of all.
        """
        row, by = self.row_name, ", ".join(name_of(name) for name in step.by)
        keyed = self._source.row is not None
        kept = ", ".join([row, *([by] if by else [])]) if keyed else "*"
        ranked = _mixed(f"SELECT {kept} FROM ({sql}) AS sample", row, step.seed)
        order, hidden = f"dataide_mixed, {row}", "dataide_mixed"
        if by:
            turn = f"row_number() OVER (PARTITION BY {by} ORDER BY {order})"
            if step.proportional:
                turn = f"({turn} - 0.5) / count(*) OVER (PARTITION BY {by})"
            ranked = f"SELECT *, {turn} AS dataide_turn FROM ({ranked})"
            order, hidden = f"dataide_turn, {order}", "dataide_mixed, dataide_turn"
        first = f"SELECT * FROM ({ranked}) ORDER BY {order} LIMIT {step.count}"
        chosen = f"{row} AS drawn_row" if keyed else f"* EXCLUDE ({hidden})"
        return (
            f"SELECT {chosen}, row_number() OVER (ORDER BY {order}) AS drawn_place FROM ({first}) ORDER BY drawn_place"
        )


_LOW = "4294967295::UBIGINT"


def _mixed(sql: str, row: str, seed: int) -> str:
    """Adds `dataide_mixed`, a number below 2^32 that looks random and is always the same for a row and a seed.

    The finaliser of MurmurHash3, twice, in plain arithmetic: DuckDB's own hash may be another one in its next version,
    and md5 takes longer than all the rest.
    """
    folded = (seed ^ (seed >> 32)) & 0xFFFF_FFFF
    one = f"CAST({row} AS UBIGINT)"
    steps = [f"xor({one} & {_LOW}, (({one} >> 32) * 2654435769::UBIGINT) & {_LOW})"]
    for salt in (folded, (folded * 0x9E37_79B1 + 0x7F4A_7C15) & 0xFFFF_FFFF):
        steps += [
            f"xor(dataide_mixed, {salt}::UBIGINT)",
            "xor(dataide_mixed, dataide_mixed >> 16)",
            f"(dataide_mixed * 2246822507::UBIGINT) & {_LOW}",
            "xor(dataide_mixed, dataide_mixed >> 13)",
            f"(dataide_mixed * 3266489909::UBIGINT) & {_LOW}",
            "xor(dataide_mixed, dataide_mixed >> 16)",
        ]
    sql = f"SELECT *, {steps[0]} AS dataide_mixed FROM ({sql})"
    for step in steps[1:]:
        sql = f"SELECT * REPLACE ({step} AS dataide_mixed) FROM ({sql})"
    return sql


def _parsed(text: str, columns: dict[str, str]) -> Predicate:
    """The condition; samples have tags and queues, but these rows are none yet."""
    try:
        predicate = parse(text, columns)
    except UnknownColumn as error:
        name = re.search(r"'(.*)'", error.message)
        raise unknown_column(name[1] if name else text, columns, position=error.position) from None
    for name_ in sorted((predicate.columns & PSEUDO.keys()) - columns.keys()):
        raise unknown_column(name_, columns)
    return predicate


def _ordered(order: Sequence[str]) -> str:
    return f" ORDER BY {', '.join(order)}" if order else ""


def _described(steps: tuple[Step, ...]) -> str:
    """What the steps do, in words, to stand after “312 rows of 'candidates'”."""
    words: list[str] = []
    conditions = False
    for step in steps:
        match step:
            case Where(predicate):
                words.append(f" {'and' if conditions else 'where'} {predicate.text}")
            case OrderBy(columns):
                listed = ", ".join(f"{name}{' descending' if down else ''}" for name, down in columns)
                words.append(f", by {listed}")
            case Take(count):
                words.append(f", the first {count:,}")
            case Sample(count, by, seed, proportional):
                kinds = f" by {' and '.join(by)}" if by else ""
                kinds += " in proportion" if by and proportional else ""
                words.append(f", {count:,} at random{kinds} (seed {seed})")
        conditions = isinstance(step, Where)
    return "".join(words)


def _is_data(kind: str) -> bool:
    return "BLOB" in kind
