"""What the autotag panel asks: rounds, pages of tiles, marks, and the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataide.core.cards import cards
from dataide.errors import UnknownSample
from dataide.storage import marks
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol_autotag import (
    AutotagAnswer,
    AutotagAsk,
    AutotagCommitAnswer,
    AutotagCommitAsk,
    AutotagMarkAnswer,
    AutotagMarkAsk,
    AutotagPageAnswer,
    AutotagPageAsk,
)
from dataide.widgets.vocabulary import Thumbs
from dataide.widgets.workspace import Workspace

from .decisions import targeted
from .issues import thumbnails
from .pages import size_px

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.core.view import View
    from dataide.find.tagging import Round
    from dataide.widgets.autotag import Tagger

MOST_TILES = 200
STEPS = 128
# Before the first round there is no order: some samples from everywhere, the same ones for as long as one looks.
_SEED = 0


def autotag(workspace: Workspace, ask: AutotagAsk) -> Reply:
    """How far one tag is; with `round` after learning anew."""
    tagger = _tagger(workspace, ask["tag"])
    of = tagger.marks
    latest = tagger.round() if ask["round"] and len(of.positives) else tagger.latest
    committed = marks.committed(workspace.database, tagger.tag)
    # As finely as the handle goes, so that the button tags what it says.
    threshold = 0.5 if latest is None else round(tagger.threshold_of(latest) * STEPS) / STEPS
    answer: AutotagAnswer = {
        "tag": tagger.tag,
        "embedding": tagger.embedding,
        "round": 0 if latest is None else latest.number,
        "since": tagger.since(of),
        "stale": tagger.since(of) > 0,
        "positives": len(of.positives),
        "negatives": len(of.negatives),
        "outdated": len(of.stale),
        "tagged": marks.tagged(workspace.database, tagger.tag),
        "total": 0 if latest is None else len(latest),
        "threshold": threshold,
        "committed": None if committed is None else committed.threshold,
        "sentence": "" if latest is None else latest.at(threshold).sentence,
        "steps": None if latest is None else latest.steps,  # type: ignore[typeddict-item]
        "marks": of.of(np.asarray(ask.get("nos", []), np.int64)),
    }
    return Reply(answer)


def page(workspace: Workspace, ask: AutotagPageAsk) -> Reply:
    """Some tiles of one of the orders of a round; a page ends before its pictures weigh more than 4 MiB."""
    tagger = _tagger(workspace, ask["tag"])
    latest = tagger.round_of(ask["round"]) or tagger.latest
    limit = max(1, min(ask["limit"], MOST_TILES))
    total, nos, scores, why = _ordered(workspace, tagger, latest, ask, limit)
    thumbs: Thumbs | None = None
    buffers: list[bytes] = []
    if ask["thumbs"]:
        thumbs, data = thumbnails(workspace, nos.tolist(), size_px(ask["px"]))
        held = len(thumbs["mime"])
        nos, scores, why = nos[:held], scores[:held], why[:held]
        buffers = [data]
    known = {card.no: card for card in cards(workspace.database, nos.tolist())}
    shown = [known.get(no) for no in nos.tolist()]
    answer: AutotagPageAnswer = {
        "round": 0 if latest is None else latest.number,
        "total": total,
        "offset": max(0, ask["offset"]),
        "nos": nos.tolist(),
        "ids": ["" if card is None else card.id for card in shown],
        "labels": [None if card is None else card.label for card in shown],
        "tagged": [card is not None and tagger.tag in card.tags for card in shown],
        "scores": [None if score < 0 else round(float(score), 4) for score in scores.tolist()],
        "why": why,
        "marks": tagger.marks.of(nos),
        "thumbs": thumbs,
    }
    return Reply(answer, buffers)


def mark(workspace: Workspace, ask: AutotagMarkAsk) -> Reply:
    """Marks samples, or takes marks away."""
    tagger = _tagger(workspace, ask["tag"])
    tagged = ask.get("tagged", False)
    nos = marks.with_tag(workspace.database, tagger.tag) if tagged else targeted(workspace, ask["target"])
    event = tagger.put(ask["sign"], nos, uuid=ask["uuid"])
    of = tagger.marks
    answer: AutotagMarkAnswer = {
        "event": event.event,
        "count": event.count,
        "sentence": event.sentence,
        "positives": len(of.positives),
        "negatives": len(of.negatives),
        "since": tagger.since(of),
    }
    return Reply(answer)


def commit(workspace: Workspace, ask: AutotagCommitAsk) -> Reply:
    """Tags what scores enough in the round that is seen."""
    tagger = _tagger(workspace, ask["tag"])
    of = tagger.round_of(ask["round"])
    if of is None:
        raise UnknownSample(
            "That round is no longer at hand.", hint="Press R for a round by the marks as they are now."
        )
    event = tagger.commit(ask["threshold"], of=of, uuid=ask["uuid"])
    answer: AutotagCommitAnswer = {
        "event": event.event,
        "count": event.count,
        "sentence": event.sentence,
        "python": f"session.autotag({tagger.tag!r}).commit({round(ask['threshold'], 4)})",
    }
    return Reply(answer)


def _tagger(workspace: Workspace, tag: str) -> Tagger:
    from dataide.widgets.autotag import Tagger

    return Tagger.of(workspace.context, tag)


def _ordered(
    workspace: Workspace, tagger: Tagger, latest: Round[View] | None, ask: AutotagPageAsk, limit: int
) -> tuple[int, NDArray[np.uint32], NDArray[np.float32], list[str | None]]:
    """How many there are, and the numbers, scores (-1 for none) and reasons of some."""
    start = max(0, ask["offset"])
    if latest is None:
        everyone = np.flatnonzero(workspace.filter.mask()).astype(np.uint32)
        mixed = np.random.default_rng(_SEED).permutation(everyone)[start : start + limit]
        return len(everyone), mixed, np.full(len(mixed), -1, np.float32), [None] * len(mixed)
    if ask["show"] == "ask":
        nos, scores, why = tagger.asked(limit, latest)
        return len(nos), nos, scores, [*why]
    rows = latest.order if ask["show"] == "best" else latest.near(ask["threshold"])
    some = rows[start : start + limit]
    return len(rows), latest.nos[some], latest.scores[some], [None] * len(some)
