"""The journal: every decision once, with the way back. Undo and redo are linear and live in the file."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from dataide.core import actions
from dataide.core.actions import Action, Set, samples
from dataide.errors import ActionError
from dataide.storage import decisions
from dataide.storage.database import DatabaseError
from dataide.storage.samples import ascending
from dataide.storage.syntax import first_line

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dataide.storage.database import Database
    from dataide.storage.decisions import EventRow

_REMEMBERED = 512
_ANSWERS = {"accepted": "accepted", "rejected": "rejected", "open": "asked again"}


@dataclass(frozen=True)
class Event:
    """What came of an action, an undo or a redo.

    Attributes:
        event: its number in the journal; None when nothing changed.
        count: how many samples really changed.
        sentence: what happened, for people.
        verb: tag, untag, relabel, enqueue, exclude, include, set, undo or redo.
        uuid: the same write under the same uuid is done once.
        columns: columns that were made for it.
    """

    event: int | None
    count: int
    sentence: str
    verb: str = ""
    uuid: str = field(default="", repr=False)
    columns: tuple[str, ...] = ()

    def __repr__(self) -> str:
        made = f" (new column{'s' if len(self.columns) > 1 else ''} {', '.join(self.columns)})" if self.columns else ""
        return f"{self.sentence}{made}"


@dataclass(frozen=True)
class SampleEvent:
    """One line in the history of one sample."""

    event: int
    at: datetime
    author: str
    sentence: str
    undone: bool


class _NothingChanged(Exception):
    """Leaves a transaction that has changed nothing."""


class Journal:
    """Carries decisions out, takes them back, and tells of them.

    Args:
        database: the open session file.
        author: who decides, as the journal says it.
    """

    def __init__(self, database: Database, author: str) -> None:
        self.database = database
        self.author = author
        # A repeat of something that changed nothing finds no row in the journal.
        self._recent: OrderedDict[str, Event] = OrderedDict()

    def act(self, action: Action, nos: NDArray[Any], *, uuid: str | None = None, target: str = "") -> Event:
        """Carries out one decision in one transaction: event, changes and present state together, or nothing.

        Args:
            action: what to do.
            nos: sample numbers, or a mask over all samples.
            uuid: names this very decision; a repeat answers with the same event and does nothing.
            target: what was acted on, for people.

        Raises:
            ActionError: the action does not fit, e.g. a text for a column of numbers.
        """
        uuid = uuid or str(uuid4())
        with self.database.exclusive():
            before = self._repeated(uuid)
            if before is not None:
                return before
            chosen = self._chosen(nos)
            made: tuple[str, ...] = ()
            if isinstance(action, Set):
                action, made = self._with_columns(action)
            try:
                event = self._carry_out(action, chosen, uuid, target, made)
            except _NothingChanged:
                sentence = action.nothing(len(chosen)) if len(chosen) else "Nothing changed: no samples were chosen"
                event = Event(None, 0, sentence, action.verb, uuid, made)
            except DatabaseError as error:
                raise ActionError(f"{action.verb} could not be carried out: {first_line(error)}") from error
            self._remember(event)
            return event

    def undo(self, uuid: str | None = None) -> Event:
        """Takes back the latest decision that stands."""
        return self._go("undo", uuid or str(uuid4()))

    def redo(self, uuid: str | None = None) -> Event:
        """Does again what was undone last; gone once a new decision was made."""
        return self._go("redo", uuid or str(uuid4()))

    def head(self) -> tuple[str | None, str | None]:
        """The sentences of what undo and redo would take back and do again."""
        undo, redo = decisions.next_undo(self.database), decisions.next_redo(self.database)
        return (_sentence(undo) if undo else None, _sentence(redo) if redo else None)

    def history(self) -> pd.DataFrame:
        """All decisions in order: event, at, author, verb, sentence, count, state, target."""
        frame: pd.DataFrame = decisions.all_events(self.database).to_pandas()
        verbs = dict(zip(frame["event"], zip(frame["verb"], frame["arguments"], strict=True), strict=True))
        sentences = []
        for row in frame.itertuples():
            if row.verb in ("undo", "redo"):
                verb, arguments = verbs.get(int(row.refers_to), (row.verb, "{}"))
                sentences.append(_went(row.verb, actions.sentence(verb, arguments, row.count)))
            else:
                sentences.append(actions.sentence(row.verb, row.arguments, row.count))
        frame.insert(4, "sentence", sentences)
        return frame[["event", "at", "author", "verb", "sentence", "count", "state", "target"]]

    def sample_history(self, no: int, limit: int = 200) -> list[SampleEvent]:
        """What was decided about one sample, the latest first."""
        return [
            SampleEvent(row.event, row.at, row.author, _change(row.verb, fieldname, before, after), row.state != "done")
            for row, fieldname, before, after in decisions.sample_changes(self.database, no, limit)
        ]

    def _carry_out(
        self, action: Action, nos: NDArray[np.uint32], uuid: str, target: str, made: tuple[str, ...]
    ) -> Event:
        if not len(nos) and not self.database.read_only:
            raise _NothingChanged
        with self.database.write() as cursor:
            number = decisions.next_event(cursor)
            with decisions.targeted(cursor, nos):
                count = action.apply(cursor, number, self.database.columns())
            if not count:
                raise _NothingChanged
            decisions.drop_undone(cursor)
            arguments = json.dumps(action.arguments(), ensure_ascii=False, default=_jsonable)
            decisions.add_event(
                cursor, number, uuid=uuid, author=self.author, verb=action.verb, arguments=arguments,
                target=target or samples(len(nos)), count=count,
            )  # fmt: skip
        return Event(number, count, action.done(count), action.verb, uuid, made)

    def _go(self, way: str, uuid: str) -> Event:
        with self.database.exclusive():
            before = self._repeated(uuid)
            if before is not None:
                return before
            row = decisions.next_undo(self.database) if way == "undo" else decisions.next_redo(self.database)
            if row is None:
                event = Event(None, 0, f"There is nothing to {way}", way, uuid)
                self._remember(event)
                return event
            with self.database.write() as cursor:
                number = decisions.next_event(cursor)
                side = "before" if way == "undo" else "after"
                decisions.restore(cursor, row.event, side=side, columns=self.database.columns())
                decisions.set_state(cursor, row.event, "undone" if way == "undo" else "done")
                decisions.add_event(
                    cursor, number, uuid=uuid, author=self.author, verb=way, arguments="{}", target=row.target,
                    count=row.count, refers_to=row.event,
                )  # fmt: skip
            event = Event(number, row.count, _went(way, _sentence(row)), way, uuid)
            self._remember(event)
            return event

    def _with_columns(self, action: Set) -> tuple[Set, tuple[str, ...]]:
        """Makes the columns that a `set` needs, in a transaction before its own: see Database.ensure_columns."""
        missing = action.missing(self.database.columns())
        if not missing:
            return action, ()
        with self.database.write() as cursor:
            actual = self.database.ensure_columns(cursor, missing)
        values = {actual.get(name.strip(), name): value for name, value in action.values.items()}
        return Set(values), tuple(actual.values())

    def _chosen(self, nos: NDArray[Any]) -> NDArray[np.uint32]:
        array = np.asarray(nos)
        if array.dtype == np.bool_:
            return np.flatnonzero(array[: self.database.sample_count]).astype(np.uint32)
        if not array.size:
            return np.empty(0, dtype=np.uint32)
        # Numbers mostly come ascending; to sort half a million again costs more than to look.
        unique = array if (array[1:] > array[:-1]).all() else ascending(array)
        if unique[0] < 0:
            raise ActionError("Sample numbers start at 0.")
        return unique[unique < self.database.sample_count].astype(np.uint32)

    def _repeated(self, uuid: str) -> Event | None:
        known = self._recent.get(uuid)
        if known is not None:
            return known
        row = decisions.by_uuid(self.database, uuid)
        if row is None:
            return None
        sentence = _sentence(row)
        if row.refers_to is not None:
            original = decisions.by_number(self.database, row.refers_to)
            sentence = _went(row.verb, _sentence(original)) if original else sentence
        return Event(row.event, row.count, sentence, row.verb, uuid)

    def _remember(self, event: Event) -> None:
        self._recent[event.uuid] = event
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)


def _sentence(row: EventRow) -> str:
    return actions.sentence(row.verb, row.arguments, row.count)


def _went(way: str, sentence: str) -> str:
    return f"{'Undone' if way == 'undo' else 'Redone'}: {sentence[:1].lower()}{sentence[1:]}"


def _change(verb: str, name: str, before: str | None, after: str | None) -> str:
    if verb.endswith("_objects"):
        return f"objects {after}"
    if name == "tag":
        return f"tagged “{after}”" if after is not None else f"tag “{before}” taken away"
    if name == "queue":
        queue = json.loads(after or before or "{}").get("queue", "")
        return f"queued for “{queue}”" if after is not None else f"taken out of “{queue}”"
    if name == "issues":
        answer = json.loads(after or "{}")
        return f"issue “{answer.get('kind', '')}” {_ANSWERS.get(answer.get('state', ''), 'answered')}"
    if name == "excluded":
        return "excluded" if after == "true" else "brought back"
    return f"{name}: {_shown(before)} → {_shown(after)}"


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value


def _jsonable(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
