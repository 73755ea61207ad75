"""A View: an immutable, lazy choice of samples. Chaining gives a new one; nothing is read until it is used."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from dataide.core.actions import Action, Enqueue, Exclude, Include, Relabel, Set, Tag, Untag, samples
from dataide.core.predicate import (
    PSEUDO,
    Members,
    Predicate,
    column_named,
    equality_text,
    evaluation_error,
    parse,
)
from dataide.core.steps import OrderBy, Shuffle, Take, Where, cell, natural, ordered_by
from dataide.errors import FilterError
from dataide.storage.arrow import Frames
from dataide.storage.database import DatabaseError
from dataide.storage.query import Query, ids_of, listed, name_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.core.selection import Selection

Answer = TypeVar("Answer")
_PREVIEW = 10
# Members of the lists, as `where` takes them, and in words.
_SAID = {"tag": "tagged {}", "queue": "queued for {}", "issue": "with an issue {}"}


@dataclass(frozen=True, eq=False)
class Among:
    """Keeps these samples; with `ranked` in this order, with their scores as columns."""

    nos: NDArray[np.uint32]
    sentence: str
    ranked: bool = False
    scores: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Selected:
    """Keeps what is selected at the moment of use."""

    selection: Selection


Step = Where | OrderBy | Take | Shuffle | Among | Selected


class View(Frames):
    """Samples of a session that meet conditions, in an order.

    Excluded samples are left out, unless a condition names the column `excluded` or the samples were named by id.
    """

    def __init__(self, context: Context, steps: tuple[Step, ...] = ()) -> None:
        self._context = context
        self._steps = steps

    # Choosing --------------------------------------------------------------------------------------------------

    def where(self, text: str | None = None, /, **equals: Any) -> Self:
        """Keeps the samples for which a condition holds.

        Args:
            text: one boolean SQL expression over the columns, and over the lists `tags`, `queues` and `issues`.
            **equals: column=value; a list means any of its values, None means no value. `tag=`, `queue=` and `issue=`
                ask for a tag, a waiting task and an open issue.

        Raises:
            FilterError: the condition is something else, or names a column that is not there.
        """
        columns = self._columns()
        steps: list[Step] = []
        if text is not None:
            steps.append(Where(parse(text, columns)))
        for name, value in equals.items():
            steps.append(_equality(name, value, columns))
        return self._with(*steps)

    def order_by(self, *columns: str, descending: bool = False) -> Self:
        """Orders by columns; "-brightness" or `descending=True` begins with the highest, and no value comes last."""
        return self._with(ordered_by(columns, descending, self._columns(), "brightness"))

    def take(self, count: int) -> Self:
        """Keeps the first `count` samples."""
        return self._with(Take(natural(count, "take", "samples")))

    def sample(self, n: int, seed: int | None = None) -> Self:
        """Keeps `n` samples at random, in random order; the same seed gives the same ones."""
        return self._with(Shuffle(natural(n, "sample", "samples"), secrets.randbits(31) if seed is None else int(seed)))

    # Reading ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._just_selected:
            return self._context.selection.count
        return self._run(lambda query: query.count(self._context.database))

    def nos(self) -> NDArray[np.uint32]:
        """The numbers of the samples inside the session, in order."""
        if self._just_selected:
            return self._context.selection.nos()
        return self._run(lambda query: query.nos(self._context.database))

    def mask(self) -> NDArray[np.bool_]:
        """Which samples of the session are in the view, by sample number."""
        if self._just_selected:
            return self._context.selection.mask.copy()
        return self._run(lambda query: query.mask(self._context.database))

    @property
    def _just_selected(self) -> bool:
        """Whether this is the selection itself: then the database need not be asked."""
        return len(self._steps) == 1 and isinstance(self._steps[0], Selected) and not self._context.database.closed

    def ids(self) -> list[str]:
        """The ids of the samples, in order."""
        return ids_of(self._context.database, self.nos())

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The samples as an Arrow table, with all columns or these."""
        return self._run(
            lambda query: self._context.database.arrow(query.sql(self._listed(columns)), frames=query.frames)
        )

    @property
    def columns(self) -> dict[str, str]:
        """Name and SQL type of each column."""
        return self._columns()

    @property
    def sql(self) -> str:
        """The same as plain SQL over the documented tables: for session.sql, or for DuckDB anywhere."""
        return self._compiled(plain=True).sql()

    # Deciding --------------------------------------------------------------------------------------------------

    def tag(self, tag: str) -> Event:
        """Puts a tag on the samples."""
        return self._act(Tag(tag))

    def untag(self, tag: str) -> Event:
        """Takes a tag from the samples."""
        return self._act(Untag(tag))

    def relabel(self, label: str | None) -> Event:
        """Gives the samples another label; None takes it away."""
        return self._act(Relabel(label))

    def enqueue(self, queue: str, *, reason: str | None = None, priority: float | None = None) -> Event:
        """Puts the samples in a queue for review."""
        return self._act(Enqueue(queue, reason, priority))

    def exclude(self) -> Event:
        """Leaves the samples out of every view that does not ask for them. Nothing is deleted."""
        return self._act(Exclude())

    def include(self) -> Event:
        """Brings excluded samples back: session.where("excluded").include()."""
        return self._act(Include())

    def set(self, **values: Any) -> Event:
        """Gives columns a value on these samples; a column that is not there yet is made, of the type of its value."""
        return self._act(Set(values))

    # Saying ----------------------------------------------------------------------------------------------------

    @property
    def sentence(self) -> str:
        """What the view holds, without counting it: samples where label = 'cat', by brightness descending."""
        said = _described(self._steps)
        return f"samples{said}" if said else "all samples"

    def __repr__(self) -> str:
        if self._context.database.closed:
            return f"{self.sentence[:1].upper()}{self.sentence[1:]} of a closed session"
        return f"{samples(len(self))}{_described(self._steps)}"

    def _repr_html_(self) -> str:
        table = self.take(_PREVIEW).to_arrow()
        shown = [name for name in table.column_names if name not in ("content_hash", "media_revision", "sample_no")]
        head = "".join(f"<th>{escape(name)}</th>" for name in shown)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell(row[name]))}</td>" for name in shown) + "</tr>"
            for row in table.to_pylist()
        )
        return f"<p>{escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    # Inside ----------------------------------------------------------------------------------------------------

    def among(self, nos: NDArray[np.uint32], sentence: str = "chosen by id") -> Self:
        """Keeps the samples with these numbers."""
        return self._with(Among(np.asarray(nos, dtype=np.uint32), sentence))

    def selected(self) -> Self:
        """Keeps what is selected in the session, whenever the view is used."""
        return self._with(Selected(self._context.selection))

    def ranked(self, nos: NDArray[np.uint32], sentence: str, **scores: NDArray[Any]) -> Self:
        """Keeps the samples with these numbers, in this order, with a column for each score."""
        return self._with(Among(np.asarray(nos, dtype=np.uint32), sentence, True, scores))

    def _with(self, *steps: Step) -> Self:
        return type(self)(self._context, self._steps + steps)

    def _act(self, action: Action) -> Event:
        return self._context.journal.act(action, self.nos(), target=self.sentence)

    def _columns(self) -> dict[str, str]:
        columns = self._context.database.columns()
        for step in self._steps:
            if isinstance(step, Among):
                columns.update(
                    {name: "FLOAT" if values.dtype.kind == "f" else "BIGINT" for name, values in step.scores.items()}
                )
        return columns

    def _listed(self, columns: Sequence[str] | None) -> str:
        known = self._columns()
        if columns is None:
            return ", ".join(name_of(name) for name in known)
        known["sample_no"] = "UINTEGER"
        return ", ".join(name_of(column_named(name, known)) for name in columns)

    def _run(self, use: Callable[[Query], Answer]) -> Answer:
        try:
            return use(self._compiled(plain=False))
        except DatabaseError as error:
            raise evaluation_error(error) from error

    def _compiled(self, *, plain: bool) -> Query:
        predicates = [step.predicate for step in self._steps if isinstance(step, Where)]
        named = frozenset[str]().union(*(predicate.columns for predicate in predicates))
        # For people the condition stays as it was typed.
        lists = [predicate.columns for predicate in predicates if plain or predicate.members is None]
        query = Query(plain=plain, lists=frozenset[str]().union(*lists))
        if "excluded" not in named and not any(isinstance(step, Among | Selected) for step in self._steps):
            query.where("NOT excluded")
        database = self._context.database
        for step in self._steps:
            match step:
                case Where(Predicate(members=Members() as members)) if not plain:
                    query.having(members.name, members.values, without=members.without)
                case Where(predicate):
                    query.where(predicate.sql)
                case OrderBy(columns):
                    query.order(
                        [f"{name_of(name)}{' DESC' if descending else ''} NULLS LAST" for name, descending in columns]
                    )
                case Take(count):
                    query.take(count)
                case Shuffle(count, seed):
                    query.shuffle(count, seed)
                case Among(ranked=True):
                    query.ranked(step.nos, step.scores, database)
                case Among():
                    query.among(step.nos, database)
                case Selected(selection):
                    query.among(selection.nos(), database)
        return query


def _equality(name: str, value: Any, columns: dict[str, str]) -> Where:
    if name in _SAID and name not in columns:
        wanted = [value] if isinstance(value, str) or value is None else list(value)
        text = _membership(f"{name}s", wanted)
        said = _SAID[name].format(_quoted(wanted))
        predicate = replace(parse(text, columns), members=Members(f"{name}s", tuple(wanted)))
        return Where(predicate, said if None not in wanted else None)
    if name in PSEUDO:
        raise FilterError(
            f"{name} is a list.", hint=f"For example: where({name[:-1]}='x'), or where(\"'x' in {name}\")"
        )
    known = column_named(name, columns)
    text = equality_text(known, value, columns[known])
    # For people a plain name needs no quotes.
    return Where(
        replace(parse(text, columns), text=text.replace(name_of(known), known) if known.isidentifier() else text)
    )


def _membership(name: str, wanted: list[Any]) -> str:
    present = [one for one in wanted if one is not None]
    for one in present:
        if not isinstance(one, str):
            raise FilterError(f"A {name[:-1]} is a text, not {one!r}.")
    parts = [f"list_has_any({name}, [{listed(present)[1:-1]}])"] if present else []
    if len(present) < len(wanted):
        parts.append(f"len({name}) = 0")
    return " OR ".join(parts) if parts else "false"


def _described(steps: tuple[Step, ...]) -> str:
    """What the steps do, in words, to stand after “312 samples”."""
    words: list[str] = []
    conditions = False
    for step in steps:
        match step:
            case Where(predicate, sentence):
                joint = " and" if conditions else "" if sentence else " where"
                words.append(f"{joint} {sentence or _bracketed(predicate.text, several=conditions)}")
                conditions = conditions or sentence is None
                continue
            case OrderBy(columns):
                listed_columns = ", ".join(f"{name}{' descending' if down else ''}" for name, down in columns)
                words.append(f", by {listed_columns}")
            case Take(count):
                words.append(f", the first {count:,}")
            case Shuffle(count, seed):
                words.append(f", {count:,} at random (seed {seed})")
            case Among(sentence=sentence):
                words.append(f" {sentence}")
            case Selected():
                words.append(" selected")
        conditions = False
    return "".join(words)


def _bracketed(text: str, *, several: bool) -> str:
    return f"({text})" if several and " or " in text.lower() else text


def _quoted(names: list[Any]) -> str:
    return " or ".join(f"“{name}”" for name in names)
