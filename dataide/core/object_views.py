"""A View of objects: an immutable, lazy choice of boxes, masks and keypoints of samples."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dataide.core import object_actions
from dataide.core.choosing import chosen
from dataide.core.object_actions import DeleteObjects, MoveObjects, RelabelObjects, things
from dataide.core.predicate import PSEUDO, Predicate, column_named, equality_text, evaluation_error, parse
from dataide.core.steps import OrderBy, Shuffle, Take, Where, natural, ordered_by
from dataide.core.view import View
from dataide.errors import ActionError, FilterError, UnknownColumn, UnknownSample
from dataide.storage import object_query, object_tables
from dataide.storage.arrow import Frames
from dataide.storage.database import DatabaseError
from dataide.storage.object_query import ObjectQuery
from dataide.storage.query import name_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from dataide.core.context import Context
    from dataide.core.journal import Event


@dataclass(frozen=True, eq=False)
class Among:
    """Keeps these objects, or the objects of these samples."""

    column: str
    nos: NDArray[np.uint32]
    sentence: str


@dataclass(frozen=True, eq=False)
class Of:
    """Keeps the objects of the samples that a View holds at the moment of use."""

    view: View


@dataclass(frozen=True, eq=False)
class Ranked:
    """Keeps these objects in this order, with their similarities (or other scores), if there are any, as a column."""

    nos: NDArray[np.uint32]
    similarity: NDArray[np.float32] | None
    sentence: str
    column: str = "similarity"


Step = Where | OrderBy | Take | Shuffle | Among | Of | Ranked


class ObjectView(Frames):
    """Objects of a session that meet conditions, in an order; by default in order of arrival.

    Columns: object_id, sample_id, label, left_px, top_px, width_px, height_px (px of the upright picture), area_px,
    crowd, track, polygons, mask_runs, mask_height_px, keypoints, attributes (JSON), split, picture_width_px,
    picture_height_px.
    Objects of excluded samples are left out, unless a condition names `excluded` or the objects were named.
    """

    def __init__(self, context: Context, steps: tuple[Step, ...] = ()) -> None:
        self._context = context
        self._steps = steps

    # Choosing --------------------------------------------------------------------------------------------------

    def where(self, text: str | None = None, /, **equals: Any) -> Self:
        """Keeps the objects for which a condition holds: where("width_px < 8", label="person").

        Args:
            text: one boolean SQL expression over the columns of objects.
            **equals: column=value; a list means any of its values, None means no value.

        Raises:
            FilterError: the condition is something else, or names a column that objects do not have.
        """
        steps: list[Step] = []
        if text is not None:
            steps.append(Where(_parsed(text, self.columns)))
        for name, value in equals.items():
            known = _column(name, self.columns)
            predicate = _parsed(equality_text(known, value, self.columns[known]), self.columns)
            # For people a plain name needs no quotes.
            steps.append(Where(replace(predicate, text=predicate.text.replace(name_of(known), known))))
        return self._with(*steps)

    def label(self, *labels: str | None) -> Self:
        """Keeps the objects with one of these labels; None stands for those without one."""
        if not labels:
            raise FilterError("label() needs a label.", hint="For example: session.objects.label('dog', 'cat')")
        return self.where(label=labels[0] if len(labels) == 1 else list(labels))

    def of(self, what: View | str | Sequence[str]) -> Self:
        """Keeps the objects of samples: of a View, whatever it holds when this is used, or of ids.

        Raises:
            UnknownSample: an id is not there.
        """
        if isinstance(what, View):
            return self._with(Of(what))
        return self._with(Among("sample_no", chosen(self._context, what), "of samples chosen by id"))

    def ids_named(self, ids: str | Sequence[str]) -> Self:
        """Keeps the objects with these ids.

        Raises:
            UnknownSample: an id is not there, or its object was deleted.
        """
        wanted = [ids] if isinstance(ids, str) else [str(one) for one in ids]
        nos, missing = object_query.nos_of(self._context.database, wanted)
        if missing:
            raise UnknownSample(
                f"There is no object {missing[0]!r}.", hint="session.objects.take(5).ids() shows what ids look like."
            )
        return self.among(nos)

    def among(self, nos: NDArray[Any], sentence: str = "chosen by id") -> Self:
        """Keeps the objects with these numbers."""
        return self._with(Among("object_no", np.asarray(nos, np.uint32), sentence))

    def order_by(self, *columns: str, descending: bool = False) -> Self:
        """Orders by columns; "-area_px" begins with the highest, and no value comes last."""
        return self._with(ordered_by(columns, descending, self.columns, "area_px"))

    def ranked(
        self, nos: NDArray[np.uint32], similarity: NDArray[np.float32] | None, sentence: str, column: str = "similarity"
    ) -> Self:
        """Keeps the objects with these numbers, in this order, with a column `similarity`, or named else; None for an
        order without scores."""
        scores = None if similarity is None else np.asarray(similarity, np.float32)
        return self._with(Ranked(np.asarray(nos, np.uint32), scores, sentence, column))

    def take(self, count: int) -> Self:
        """Keeps the first `count` objects."""
        return self._with(Take(natural(count, "take", "objects")))

    def sample(self, n: int, seed: int | None = None) -> Self:
        """Keeps `n` objects at random, in random order; the same seed gives the same ones."""
        return self._with(Shuffle(natural(n, "sample", "objects"), secrets.randbits(31) if seed is None else int(seed)))

    # Reading ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        try:
            return self._compiled().count(self._context.database)
        except DatabaseError as error:
            raise evaluation_error(error) from error

    def __bool__(self) -> bool:
        return True  # a View of nothing is still one

    def count(self) -> int:
        """How many objects there are."""
        return len(self)

    def nos(self) -> NDArray[np.uint32]:
        """The numbers of the objects inside the session, in order."""
        return self._numbers("object_no")

    def ids(self) -> list[str]:
        """The ids of the objects, in order."""
        return [str(one) for one in self.arrays(["object_id"])["object_id"].tolist()]

    def samples(self) -> View:
        """The samples that have such an object, as a View."""
        said = f"with {self.sentence}"
        return self._context.view().among(self._numbers("sample_no", distinct=True), said)

    def arrays(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns of numbers and text as numpy arrays, in order; no value is NaN, None or masked. Loads no pandas."""
        query = self._compiled()
        sql = query.sql(", ".join(name_of(_column(name, self.columns)) for name in columns))
        try:
            with self._context.database.query(sql, frames=query.frames) as cursor:
                return dict(cursor.fetchnumpy())
        except DatabaseError as error:
            raise evaluation_error(error) from error

    def boxes(self) -> dict[str, NDArray[Any]]:
        """What rules over boxes read: object_no, sample_no (uint32), left_px, top_px, width_px, height_px, area_px
        (float64, NaN where missing), in order of arrival unless ordered otherwise."""
        found = self.arrays(["object_no", "sample_no", *object_tables.BOX, "area_px"])
        return {
            name: np.ma.filled(values, np.nan) if isinstance(values, np.ma.MaskedArray) else values
            for name, values in found.items()
        }

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The objects as an Arrow table, with all columns or these."""
        query = self._compiled()
        chosen = [_column(name, self.columns) for name in columns] if columns is not None else list(self.columns)
        if columns is None:
            chosen = [name for name in chosen if name not in ("object_no", "sample_no", "excluded")]
        try:
            sql = query.sql(", ".join(name_of(name) for name in chosen))
            return self._context.database.arrow(sql, frames=query.frames)
        except DatabaseError as error:
            raise evaluation_error(error) from error

    @property
    def labels(self) -> dict[str | None, int]:
        """How many objects have each label, the most frequent first; None stands for those without one."""
        if not self._steps:
            return object_query.label_counts(self._context.database)
        query = self._compiled()
        first = any(isinstance(step, Take | Shuffle) for step in self._steps)  # which these are, the order says
        inner = query.sql("label", ordered=first)
        sql = f"SELECT label, count(*) FROM ({inner}) GROUP BY label ORDER BY count(*) DESC, label"
        try:
            with self._context.database.query(sql, frames=query.frames) as cursor:
                return dict(cursor.fetchall())
        except DatabaseError as error:
            raise evaluation_error(error) from error

    def declared(self) -> list[dict[str, Any]]:
        """What is known of labels, in the order in which they came: label, category_id, supercategory, keypoint_names,
        skeleton. A vocabulary for linters: labels that only objects have are not in it."""
        listed: list[dict[str, Any]] = self._context.database.arrow(object_tables.LABELS).to_pylist()
        return listed

    @property
    def columns(self) -> dict[str, str]:
        """Name and SQL type of each column."""
        scored = [step for step in self._steps if isinstance(step, Ranked) and step.similarity is not None]
        return object_tables.COLUMNS | {step.column: "FLOAT" for step in scored}

    @property
    def sql(self) -> str:
        """The same as plain SQL over the documented tables."""
        return self._compiled(plain=True).sql()

    # Deciding --------------------------------------------------------------------------------------------------

    def relabel(self, label: str | None) -> Event:
        """Gives the objects another label; None takes it away."""
        return self._act(RelabelObjects(self.nos(), label))

    def delete(self) -> Event:
        """Takes the objects away; session.undo() brings them back."""
        return self._act(DeleteObjects(self.nos()))

    def move(self, boxes: ArrayLike) -> Event:
        """Gives each object another box, in order: left, top, width, height in px, shape (objects, 4).

        Outlines, masks and keypoints go with their box, stretched as it is.

        Raises:
            ActionError: there are not as many boxes as objects, or one is no box.
        """
        array = np.asarray(boxes, np.float64)
        return self._act(MoveObjects(self.nos(), array[None] if array.ndim == 1 else array))

    # Saying ----------------------------------------------------------------------------------------------------

    @property
    def sentence(self) -> str:
        """What the view holds, without counting it."""
        said = self._described()
        return f"objects{said}" if said else "all objects"

    def __repr__(self) -> str:
        if self._context.database.closed:
            return f"{self.sentence[:1].upper()}{self.sentence[1:]} of a closed session"
        return f"{things(len(self))}{self._described()}"

    # Inside ----------------------------------------------------------------------------------------------------

    def _with(self, *steps: Step) -> Self:
        return type(self)(self._context, self._steps + steps)

    def _act(self, action: object_actions.ObjectAction) -> Event:
        return object_actions.act(self._context.journal, action, target=self.sentence)

    def _numbers(self, column: str, *, distinct: bool = False) -> NDArray[np.uint32]:
        try:
            return self._compiled().numbers(column, self._context.database, distinct=distinct)
        except DatabaseError as error:
            raise evaluation_error(error) from error

    def _compiled(self, *, plain: bool = False) -> ObjectQuery:
        query = ObjectQuery(plain=plain)
        named = {name for step in self._steps if isinstance(step, Where) for name in step.predicate.columns}
        chosen = any(isinstance(step, Of | Among) for step in self._steps)
        if "excluded" not in named and not chosen:
            query.where("NOT excluded")
        database = self._context.database
        for step in self._steps:
            match step:
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
                case Among():
                    query.among(step.column, step.nos, database)
                case Of(view):
                    query.among("sample_no", view.nos(), database)
                case Ranked():
                    query.ranked(step.nos, step.similarity, step.column)
        return query

    def _described(self) -> str:
        words: list[str] = []
        for step in self._steps:
            match step:
                case Where(predicate):
                    words.append(f"{' and' if any(' where' in one for one in words) else ' where'} {predicate.text}")
                case OrderBy(columns):
                    listed = ", ".join(f"{name}{' descending' if down else ''}" for name, down in columns)
                    words.append(f", by {listed}")
                case Take(count):
                    words.append(f", the first {count:,}")
                case Shuffle(count, seed):
                    words.append(f", {count:,} at random (seed {seed})")
                case Among() | Ranked():
                    words.append(f" {step.sentence}")
                case Of(view):
                    words.append(f" of {view.sentence}")
        return "".join(words)


def _parsed(text: str, columns: Mapping[str, str]) -> Predicate:
    predicate = parse(text, dict(columns))
    if lists := predicate.columns & set(PSEUDO):
        raise FilterError(
            f"Objects have no {sorted(lists)[0]}.",
            hint="session.objects.of(session.where(tag='x')) asks their samples.",
        )
    return predicate


def _column(name: str, columns: Mapping[str, str]) -> str:
    try:
        return column_named(name, dict(columns))
    except UnknownColumn as error:
        error.message = f"Objects have no column {name!r}."
        raise error from None


def checked_rows(rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One object or several, as dicts.

    Raises:
        ActionError: it is neither.
    """
    listed = [rows] if isinstance(rows, Mapping) else list(rows)
    if not all(isinstance(row, Mapping) for row in listed):
        raise ActionError(
            "An object is a dict.", hint="session.objects.add({'sample_id': 'a.jpg', 'bbox': [1, 2, 30, 40]})"
        )
    return [dict(row) for row in listed]
