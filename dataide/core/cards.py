"""What a tile and an inspector say about a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import UnknownSample, unknown_column
from dataide.storage.query import name_of
from dataide.storage.rows import rows_of

if TYPE_CHECKING:
    from dataide.storage.database import Database

LONGEST_CAPTION = 120
LONGEST_VALUE = 4_000


@dataclass
class Card:
    """One sample as a tile shows it."""

    no: int
    id: str
    label: str | None
    excluded: bool
    caption: str | None = None
    tags: list[str] = field(default_factory=list)
    queued: bool = False


@dataclass(frozen=True)
class Task:
    """One sample's place in one queue."""

    queue: str
    state: str
    reason: str | None


@dataclass(frozen=True)
class Field:
    """One column of one sample, as text."""

    name: str
    type: str
    value: str | None


@dataclass(frozen=True)
class Details:
    """One sample as the inspector shows it."""

    card: Card
    tasks: list[Task]
    fields: list[Field]


_TAGS = """
    SELECT sample_no, tag FROM data.tag
    WHERE sample_no BETWEEN $low AND $high AND sample_no IN (SELECT no FROM wanted) ORDER BY sample_no, tag
"""
_QUEUED = """
    SELECT DISTINCT sample_no FROM data.task
    WHERE state = 'pending' AND sample_no BETWEEN $low AND $high AND sample_no IN (SELECT no FROM wanted)
"""


def cards(database: Database, nos: Sequence[int], caption: str | None = None) -> list[Card]:
    """The cards of these samples, in their order; numbers that are not there are left out.

    Args:
        database: the open session file.
        nos: sample numbers.
        caption: a column whose value stands under the tile; also `tags` or None.

    Raises:
        UnknownColumn: there is no such column.
    """
    nos = [no for no in nos if 0 <= no < database.sample_count]
    if not nos:
        return []
    columns = database.columns()
    if caption is not None and caption not in columns and caption != "tags":
        raise unknown_column(caption, columns)
    shown = name_of(caption) if caption in columns and caption is not None else "NULL"
    rows = rows_of(database, f"sample_id, label, excluded, {shown}", nos)
    found = {
        no: Card(no, sample_id, label, bool(excluded), as_text(value, LONGEST_CAPTION))
        for no, (sample_id, label, excluded, value) in rows.items()
    }
    wanted = {"no": np.asarray(nos, dtype=np.uint32)}
    bounds = {"low": min(nos), "high": max(nos)}
    with database.query(_TAGS, bounds, frames={"wanted": wanted}) as cursor:
        for no, tag in cursor.fetchall():
            if no in found:
                found[no].tags.append(tag)
    with database.query(_QUEUED, bounds, frames={"wanted": wanted}) as cursor:
        for (no,) in cursor.fetchall():
            if no in found:
                found[no].queued = True
    if caption == "tags":
        for card in found.values():
            card.caption = as_text(", ".join(card.tags), LONGEST_CAPTION) or None
    return [found[no] for no in nos if no in found]


def details(database: Database, no: int) -> Details:
    """Everything about one sample.

    Raises:
        UnknownSample: there is no sample of this number.
    """
    here = cards(database, [no])
    if not here:
        raise UnknownSample(f"There is no sample number {no}.", hint="The session has changed: reload the page.")
    columns = {name: kind for name, kind in database.columns().items() if name not in ("sample_id", "excluded")}
    listed = ", ".join(name_of(name) for name in columns)
    with database.query(f"SELECT {listed} FROM data.sample WHERE sample_no = ?", [no]) as cursor:
        row = cursor.fetchone() or (None,) * len(columns)
    fields = [Field(name, kind, as_text(value)) for (name, kind), value in zip(columns.items(), row, strict=True)]
    with database.query(
        "SELECT queue, state, reason FROM data.task WHERE sample_no = ? ORDER BY queue", [no]
    ) as cursor:
        tasks = [Task(*values) for values in cursor.fetchall()]
    return Details(here[0], tasks, fields)


def as_text(value: Any, longest: int = LONGEST_VALUE) -> str | None:
    """A value of a column as people read it."""
    if value is None:
        return None
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float):
        text = f"{value:.5g}" if abs(value) < 100_000 else f"{value:,.0f}"
    elif isinstance(value, datetime):
        text = value.isoformat(sep=" ", timespec="seconds")
    elif isinstance(value, date):
        text = value.isoformat()
    elif isinstance(value, bytes | bytearray):
        text = f"{len(value):,} bytes"
    else:
        text = str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"
