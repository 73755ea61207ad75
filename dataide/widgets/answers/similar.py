"""Similarity: sorting by examples of what is wanted and what is not, and how similar everything is to them."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.errors import ActionError, UnknownSample
from dataide.storage.query import ids_of
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol_similar import RankedAnswer, RankedAsk, SimilarAnswer, SimilarAsk
from dataide.widgets.rankings import Kept, Rankings
from dataide.widgets.workspace import Workspace

from .decisions import targeted
from .issues import embedding_in_sight
from .state import sort_on_wire

if TYPE_CHECKING:
    from dataide.find.similarity import Examples, Ranking

SCREENFUL = 24


def similar(workspace: Workspace, ask: SimilarAsk) -> Reply:
    """Sorts by similarity with the target, or with one more example of what is wanted or not."""
    from dataide.find.neighbours import require
    from dataide.find.similarity import ranked

    embedding, like, unlike = _examples(workspace, ask)
    # Samples that are examples stay in the grid: they are the measure for the rest.
    joined = _joined(like)
    found = ranked(workspace.database, embedding, joined, _joined(unlike) if unlike else None, keep=True)
    label = joined.said + (f", unlike {_joined(unlike).said}" if unlike else "")
    scores = np.full(workspace.database.sample_count, np.nan, np.float32)
    known = found.nos < len(scores)  # samples may arrive meanwhile
    scores[found.nos[known]] = found.similarity[known]
    wanted = workspace.orders.rank(found.nos, label)
    number = require(workspace.database, embedding).number
    made = Kept(str(wanted.token), embedding, like, unlike, scores, _begin(found, len(joined.nos)), number)
    Rankings.of(workspace).add(made, workspace.orders.sort.token)
    workspace.orders.set_sort(wanted)
    answer: SimilarAnswer = {"sort": sort_on_wire(wanted), "count": len(found.nos), "embedding": embedding}
    return Reply(answer)


def ranked(workspace: Workspace, ask: RankedAsk) -> Reply:
    """How similar what passes the filter is, and how much of it lies above a threshold."""
    ranking = Rankings.of(workspace).get(ask["token"])
    passing = workspace.filter.mask()
    counts, edges = ranking.histogram(passing)
    wanted = ask["threshold"]
    # As people read it, with three digits; rounded down, so that what it began at lies above it.
    threshold = floor(ranking.threshold * 1000 + 1e-6) / 1000 if wanted is None else wanted
    above = ranking.above(threshold)
    many = min(len(above), len(passing))
    answer: RankedAnswer = {
        "token": ranking.token,
        "like": _count(ranking.like),
        "unlike": _count(ranking.unlike),
        "low": float(edges[0]),
        "high": float(edges[-1]),
        "counts": counts.tolist(),
        "threshold": float(np.clip(threshold, -1, 1)),
        "above": int(np.count_nonzero(above[:many] & passing[:many])),
        "total": int(counts.sum()),
    }
    return Reply(answer)


def _begin(found: Ranking, examples: int) -> float:
    """Where the handle begins: with less than a screenful beside the examples there is nothing to look at."""
    if not len(found.similarity):
        return found.threshold
    last = min(examples + SCREENFUL, len(found.similarity)) - 1
    return min(found.threshold, float(found.similarity[last]))


def _examples(workspace: Workspace, ask: SimilarAsk) -> tuple[str, list[Examples], list[Examples]]:
    """The embedding, what is wanted and what is not."""
    from dataide.find.neighbours import require

    mode = ask.get("mode", "replace")
    sort = workspace.orders.sort
    before = Rankings.of(workspace).find(sort.token) if sort.by == "similar" else None
    if mode != "replace" and before is None:
        if mode == "unlike":
            raise ActionError(
                "The grid is not sorted by similarity, so nothing can be unlike.",
                hint="Select what it should be like and press S first.",
            )
        mode = "replace"
    if mode == "replace" or before is None:
        embedding = _embedding_in_sight(workspace)
        unlike = ask.get("unlike")
        away = [] if unlike is None else [_example(workspace, embedding, unlike)]
        return embedding, [_example(workspace, embedding, ask["target"])], away
    if require(workspace.database, before.embedding).number != before.number:
        raise ActionError(
            f"The vectors of {before.embedding!r} were made anew since, and cannot be compared with the earlier ones.",
            hint="Select what it should be like and press S for a new search.",
        )
    made = _example(workspace, before.embedding, ask["target"])
    # Who says that something is like it, no longer says that it is not.
    like, unlike_ = _without(workspace, before.like, made), _without(workspace, before.unlike, made)
    (like if mode == "like" else unlike_).append(made)
    if not like:
        raise ActionError(
            "Then nothing would be left that it should be like.",
            hint="Select something it should be like and press S.",
        )
    return before.embedding, like, unlike_


def _example(workspace: Workspace, embedding: str, target: Any) -> Examples:
    from dataide.find.similarity import of_samples, region

    if target["type"] == "region":
        if len(target["box"]) != 4:
            raise ActionError(
                "A region has four numbers: left, top, width and height, as shares of the picture.",
                hint="Draw it over the picture in the inspector.",
            )
        return region(workspace.context, embedding, int(target["no"]), target["box"], shares=True)
    if target["type"] == "object":
        return _of_object(workspace, embedding, int(target["no"]))
    nos = targeted(workspace, target)
    if not len(nos):
        raise ActionError("Nothing is selected.", hint="Draw a lasso or click a sample first.")
    return _named(workspace, of_samples(workspace.database, embedding, nos))


def _of_object(workspace: Workspace, embedding: str, object_no: int) -> Examples:
    from dataide.find.similarity import region

    sql = "SELECT sample_no, left_px, top_px, width_px, height_px FROM data.object WHERE NOT removed AND object_no = ?"
    with workspace.database.query(sql, [max(object_no, 0)]) as cursor:
        rows = cursor.fetchall()
    if not rows or object_no < 0:
        raise UnknownSample(f"There is no object number {object_no}.", hint="It may have been deleted meanwhile.")
    sample_no, *box = rows[0]
    if None in box:
        raise ActionError("This object has no box to be cut out.", hint="Give it one in the inspector first.")
    return region(workspace.context, embedding, int(sample_no), box)


def _named(workspace: Workspace, found: Examples) -> Examples:
    from dataclasses import replace

    return replace(found, said=ids_of(workspace.database, found.nos)[0]) if len(found.nos) == 1 else found


def _without(workspace: Workspace, there: list[Examples], made: Examples) -> list[Examples]:
    """Examples without the samples of another one."""
    from dataclasses import replace

    from dataide.core.actions import samples

    left: list[Examples] = []
    for one in there:
        kept = ~np.isin(one.nos, made.nos)
        if not len(one.nos) or kept.all():
            left.append(one)
        elif kept.any():
            # Rows of samples stand in the order of their numbers only where each has one; of a draw all stay.
            rows = one.rows[kept] if len(one.rows) == len(one.nos) else one.rows
            left.append(_named(workspace, replace(one, nos=one.nos[kept], rows=rows, said=samples(int(kept.sum())))))
    return left


def _joined(parts: Sequence[Examples]) -> Examples:
    from dataide.core.actions import samples
    from dataide.find.similarity import Examples

    if len(parts) == 1:
        return parts[0]
    plain = [one for one in parts if len(one.nos)]
    others = [one.said for one in parts if not len(one.nos)]
    count = sum(len(one.nos) for one in plain)
    words = [plain[0].said if len(plain) == 1 else samples(count)] if plain else []
    said = " and ".join([*words, *others[:1], *([f"{len(others) - 1} more regions"] if len(others) > 1 else [])])
    return Examples(np.concatenate([one.rows for one in parts]), np.concatenate([one.nos for one in parts]), said)


def _count(parts: Sequence[Examples]) -> int:
    return sum(len(one.nos) or len(one.rows) for one in parts)


def _embedding_in_sight(workspace: Workspace) -> str:
    """The embedding that the newest map was made from, else the newest: what looks near should be similar."""
    from dataide.storage import vectors

    known = [one.name for one in vectors.embeddings(workspace.database)]
    if not known:
        raise ActionError("The samples have no vectors yet.", hint="Type session.embed().", code="no_vectors")
    in_sight = embedding_in_sight(workspace)
    return in_sight if in_sight is not None and in_sight in known else known[-1]
