"""What the autotag panel asks, of samples or of objects: rounds, pages of tiles, marks, and the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from dataide.core.cards import cards
from dataide.core.selection import fitted
from dataide.core.steps import OrderBy, Take, Where
from dataide.errors import ActionError, UnknownSample
from dataide.widgets import chosen_objects
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol_autotag import (
    AutotagAnswer,
    AutotagAsk,
    AutotagCommitAnswer,
    AutotagCommitAsk,
    AutotagMarkAnswer,
    AutotagMarkAsk,
    AutotagNamed,
    AutotagPageAnswer,
    AutotagPageAsk,
)
from dataide.widgets.workspace import Workspace

from . import object_tiles
from .badges import cut
from .decisions import targeted
from .pages import size_px, thumbnails

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dataide.find.tagging import Round
    from dataide.widgets.autotag import ObjectTagger, Tagger

MOST_TILES = 200
STEPS = 128
# Of ids and labels of objects: a file that somebody sent may have some of any length.
LONGEST = 200
# Before the first round there is no order: some from everywhere, the same ones for as long as one looks.
_SEED = 0


def autotag(workspace: Workspace, ask: AutotagAsk) -> Reply:
    """How far one tag is; with `round` after learning anew."""
    tagger = _tagger(workspace, ask)
    of = tagger.marks
    latest = tagger.round() if ask["round"] and len(of.positives) else tagger.latest
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
        "tagged": tagger.count_having(),
        "total": 0 if latest is None else len(latest),
        "threshold": threshold,
        "committed": tagger.committed_from(),
        "sentence": "" if latest is None else latest.at(threshold).sentence,
        "steps": None if latest is None else latest.steps,  # type: ignore[typeddict-item]
        "marks": of.of(np.asarray(ask.get("nos", []), np.int64)),
    }
    if _is_of_objects(tagger):
        answer["label"] = tagger.label
        if latest is None:
            answer["selected"] = len(_selected(workspace, tagger))
    return Reply(answer)


def page(workspace: Workspace, ask: AutotagPageAsk) -> Reply:
    """Some tiles of one of the orders of a round; a page ends before its pictures weigh more than 4 MiB."""
    tagger = _tagger(workspace, ask)
    latest = tagger.round_of(ask["round"]) or tagger.latest
    limit = max(1, min(ask["limit"], MOST_TILES))
    total, nos, scores, why = _ordered(workspace, tagger, latest, ask, limit)
    answer: AutotagPageAnswer = {
        "round": 0 if latest is None else latest.number,
        "total": total,
        "offset": max(0, ask["offset"]),
        "nos": [],
        "ids": [],
        "labels": [],
        "tagged": [],
        "scores": [],
        "why": [],
        "marks": [],
        "thumbs": None,
    }
    tiles = _objects if _is_of_objects(tagger) else _samples
    buffers = tiles(workspace, tagger, ask, nos.tolist(), answer)
    row_of = {no: row for row, no in enumerate(nos.tolist())}
    rows = [row_of[no] for no in answer["nos"]]
    answer["scores"] = [None if scores[row] < 0 else round(float(scores[row]), 4) for row in rows]
    answer["why"] = [why[row] for row in rows]
    answer["marks"] = tagger.marks.of(nos[rows])
    return Reply(answer, buffers)


def mark(workspace: Workspace, ask: AutotagMarkAsk) -> Reply:
    """Marks samples or objects, or takes marks away."""
    tagger = _tagger(workspace, ask)
    nos = tagger.having() if ask.get("tagged", False) else _targeted(workspace, tagger, ask)
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
    tagger = _tagger(workspace, ask)
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
        "python": _commit_python(tagger, ask["threshold"]),
    }
    return Reply(answer)


def _tagger(workspace: Workspace, ask: AutotagNamed) -> Tagger | ObjectTagger:
    from dataide.widgets.autotag import ObjectTagger, Tagger

    if ask.get("of") == "objects":
        return ObjectTagger.held(workspace.context, ask["tag"], ask.get("view", ""))
    return Tagger.of(workspace.context, ask["tag"])


def _is_of_objects(tagger: Tagger | ObjectTagger) -> TypeGuard[ObjectTagger]:
    from dataide.widgets.autotag import ObjectTagger

    return isinstance(tagger, ObjectTagger)


def _ordered(
    workspace: Workspace,
    tagger: Tagger | ObjectTagger,
    latest: Round[Any] | None,
    ask: AutotagPageAsk,
    limit: int,
) -> tuple[int, NDArray[np.uint32], NDArray[np.float32], list[str | None]]:
    """How many there are, and the numbers, scores (-1 for none) and reasons of some."""
    start = max(0, ask["offset"])
    if latest is None:
        everyone = _everyone(workspace, tagger)
        mixed = np.random.default_rng(_SEED).permutation(everyone)[start : start + limit]
        return len(everyone), mixed, np.full(len(mixed), -1, np.float32), [None] * len(mixed)
    if ask["show"] == "ask":
        nos, scores, why = tagger.asked(limit, latest)
        return len(nos), nos, scores, [*why]
    rows = latest.order if ask["show"] == "best" else latest.near(ask["threshold"])
    some = rows[start : start + limit]
    return len(rows), latest.nos[some], latest.scores[some], [None] * len(some)


def _everyone(workspace: Workspace, tagger: Tagger | ObjectTagger) -> NDArray[np.uint32]:
    """What passes the filter: samples, or objects that are on such samples."""
    passing = workspace.filter.mask()
    if not _is_of_objects(tagger):
        return np.flatnonzero(passing).astype(np.uint32)
    found = tagger.view.arrays(["object_no", "sample_no"])
    on = np.asarray(found["sample_no"], np.int64)
    return np.asarray(found["object_no"], np.uint32)[fitted(passing, int(on.max(initial=-1)) + 1)[on]]


def _samples(
    workspace: Workspace, tagger: Tagger | ObjectTagger, ask: AutotagPageAsk, nos: list[int], answer: AutotagPageAnswer
) -> list[bytes]:
    """What tiles of samples say, and their pictures."""
    buffers: list[bytes] = []
    if ask["thumbs"]:
        thumbs, data = thumbnails(workspace, nos, size_px(ask["px"]))
        answer["thumbs"], nos = thumbs, nos[: len(thumbs["mime"])]
        buffers = [data]
    known = {card.no: card for card in cards(workspace.database, nos)}
    shown = [known.get(no) for no in nos]
    answer["nos"] = nos
    answer["ids"] = ["" if card is None else card.id for card in shown]
    answer["labels"] = [None if card is None else card.label for card in shown]
    answer["tagged"] = [card is not None and tagger.tag in card.tags for card in shown]
    return buffers


def _objects(
    workspace: Workspace, tagger: Tagger | ObjectTagger, ask: AutotagPageAsk, nos: list[int], answer: AutotagPageAnswer
) -> list[bytes]:
    """What tiles of objects say, and their crops; objects that were deleted since the round are left out."""
    shown = object_tiles.cards(workspace, nos)
    boxes = [card.box for card in shown]
    buffers: list[bytes] = []
    if ask["thumbs"]:
        draw = object_tiles.pictures if ask.get("whole", False) else object_tiles.crops
        tiles = draw(workspace, shown, size_px(ask["px"]))
        thumbs, data = object_tiles.packed(tiles)
        answer["thumbs"], held = thumbs, len(thumbs["mime"])
        shown, boxes = shown[:held], [tile.box for tile in tiles[:held]]
        buffers = [data]
    label = tagger.label if _is_of_objects(tagger) else None
    answer["nos"] = [card.no for card in shown]
    answer["ids"] = [str(cut(card.id, LONGEST)) for card in shown]
    answer["labels"] = [cut(card.label, LONGEST) for card in shown]
    answer["tagged"] = [card.label == label for card in shown]
    answer["objects"] = {
        "samples": [card.sample_no for card in shown],
        "sample_ids": [str(cut(card.sample_id, LONGEST)) for card in shown],
        "boxes": [None if box is None else [round(share, 5) for share in box] for box in boxes],
    }
    return buffers


def _targeted(workspace: Workspace, tagger: Tagger | ObjectTagger, ask: AutotagMarkAsk) -> NDArray[Any]:
    """Numbers of what is to be marked; the selection means, of objects, those that are ranked."""
    target = ask["target"]
    if target["type"] == "objects":
        if not _is_of_objects(tagger):
            raise ActionError("A tag of samples marks samples.", hint="session.objects.autotag(…) marks objects.")
        return np.asarray([no for no in target["nos"] if 0 <= no < 1 << 32], np.uint32)  # of others there is none
    if not _is_of_objects(tagger):
        return targeted(workspace, target)
    if target["type"] != "selection":
        raise ActionError("A tag of objects marks objects.", hint="session.autotag(…) marks samples.")
    return _selected(workspace, tagger)


def _selected(workspace: Workspace, tagger: ObjectTagger) -> NDArray[Any]:
    """The ranked objects that are selected: by a gesture over a map of objects, else all on selected samples."""
    chosen = chosen_objects.chosen(workspace.context)
    if chosen is not None:
        return np.intersect1d(chosen, tagger.view.nos())
    if not workspace.selection.count:
        return np.empty(0, np.uint32)
    found = tagger.view.arrays(["object_no", "sample_no"])
    on = np.isin(found["sample_no"], workspace.selection.nos())
    return np.unique(np.asarray(found["object_no"], np.uint32)[on])


def _commit_python(tagger: Tagger | ObjectTagger, threshold: float) -> str:
    """The line of Python that commits the same; where the objects have none that can be read, the result is named."""
    call = f"autotag({tagger.tag!r}).commit({round(threshold, 4)})"
    if not _is_of_objects(tagger):
        return f"session.{call}"
    said = "session.objects"
    for step in tagger.view._steps:
        match step:
            case Where(predicate):
                said += f".where({predicate.text!r})"
            case Take(count):
                said += f".take({count})"
            case OrderBy(columns):
                said += f".order_by({', '.join(repr(f'-{name}' if down else name) for name, down in columns)})"
            case _:
                return f"session.objects.label({tagger.label!r})"
    return f"{said}.{call}"
