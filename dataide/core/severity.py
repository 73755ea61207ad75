"""Samples by the severity of their open issues: an order for grids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ActionError, did_you_mean
from dataide.storage import issues

if TYPE_CHECKING:
    from dataide.storage.database import Database

Array = np.ndarray[Any, np.dtype[Any]]

_ONE = "SELECT sample_no, score, is_issue FROM data.issue_now WHERE kind = $kind AND state = 'open'"
# Scores of different kinds say the same only where they are issues: what lies below one threshold is no worse than what
# another kind has nothing to say of.
_ANY = (
    "SELECT sample_no, min(score) AS score, true AS is_issue FROM data.issue_now "
    "WHERE is_issue AND state = 'open' GROUP BY sample_no"
)


def most_severe(database: Database, kind: str | None) -> Array:
    """The samples with open issues, the most severe first; after those of one kind comes what lies below its threshold.

    Args:
        database: the session's.
        kind: of issue; None for the worst issue of each sample.

    Returns:
        sample numbers, those of equal score in order of arrival; uint32, shape (n,).
    """
    with database.query(_ANY if kind is None else _ONE, {} if kind is None else {"kind": kind}) as cursor:
        found = cursor.fetchnumpy()
    score = np.ascontiguousarray(found["score"], np.float32)
    # One number a sample sorts in a third of the time of an ORDER BY: whether it is an issue, its score (its bits grow
    # with it, as it is never below 0) and its number.
    key = (np.maximum(score, 0) + np.float32(0)).view(np.uint32).astype(np.uint64)
    key |= (~np.asarray(found["is_issue"], bool)).astype(np.uint64) << np.uint64(31)
    key = key << np.uint64(32) | np.asarray(found["sample_no"], np.uint64)
    key.sort()
    return (key & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def check_kind(database: Database, kind: str | None) -> None:
    """Refuses a kind of issue that was never looked for.

    Raises:
        ActionError: it, or any kind where none is named.
    """
    searched = {search.kind for search in issues.searches(database)}
    if not searched:
        raise ActionError("Issues were not looked for yet.", hint="session.find_issues() looks for them.")
    if kind is not None and kind not in searched:
        near = did_you_mean(kind, sorted(searched)) or f"session.find_issues({kind!r}) looks for them."
        raise ActionError(f"Issues of the kind {kind!r} were not looked for.", hint=near)
