"""A session file with a map of some thousand points, and what panels are told about it, checked by the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataide.core import coloring, plot_building
from dataide.storage.database import Cursor, Database
from dataide.widgets import protocol
from dataide.widgets.answers import OPERATIONS
from dataide.widgets.dialogue import Reply
from dataide.widgets.wire import check
from dataide.widgets.workspace import Workspace

COUNT = 30_000
RARE = 3


def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is meant for very many points happens with these few."""
    monkeypatch.setattr(plot_building, "FEW_POINTS", 1_000)
    monkeypatch.setattr(coloring, "MANY_SAMPLES", 1_000)


def fill(cursor: Cursor, count: int) -> None:
    """Samples, maps and places, the same ones each time."""
    cursor.execute(
        "INSERT INTO data.sample (sample_no, sample_id, media, label, bytes, added_at) "
        "SELECT i, 's' || i, '', CASE WHEN i < ? THEN 'rare' WHEN i % 7 = 0 THEN NULL ELSE 'c' || i % 5 END, i, "
        "now()::TIMESTAMP FROM range(?) t(i)",
        [RARE, count],
    )
    cursor.execute(
        "INSERT INTO data.projection VALUES (0, 'map', 0, 'given', '{}', NULL, now()), "
        "(1, 'older', 0, 'given', '{}', NULL, now() - INTERVAL 1 DAY)"
    )
    cursor.execute(
        "INSERT INTO data.point SELECT 0, i, 1, (hash(i) % 100003) / 100003.0, (hash(i + 7) % 99991) / 99991.0 "
        "FROM range(?) t(i)",
        [count],
    )


def plot_session(path: Path) -> Path:
    """Makes the file, with COUNT samples, RARE of them of a rare label, and the maps "map" and "older" (empty).

    Returns:
        The path, closed.
    """
    database = Database(path)
    with database.write() as cursor:
        fill(cursor, COUNT)
    database.close()
    return path


def ask(workspace: Workspace, op: str, **body: Any) -> list[Reply]:
    """All parts of the answer to a request."""
    answer = OPERATIONS[op](workspace, check(body, protocol.ASKS[op]))
    replies = [answer] if isinstance(answer, Reply) else list(answer)
    for reply in replies:
        assert check(reply.body, protocol.ANSWERS[op], "answer") == reply.body
    assert [reply.last for reply in replies] == [False] * (len(replies) - 1) + [True]
    return replies


def whole(replies: list[Reply], at: int) -> bytes:
    """A buffer of all parts."""
    return b"".join(bytes(reply.buffers[at]) for reply in replies)
