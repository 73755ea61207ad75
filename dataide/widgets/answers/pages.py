"""Pages of the grid, the thumbnail under the pointer, and one sample in full."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dataide.core.cards import Card, cards, details
from dataide.core.object_points import ObjectPoints
from dataide.errors import ProtocolError, UnknownSample
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import InspectAnswer, InspectAsk, PageAnswer, PageAsk, PeekAnswer, PeekAsk
from dataide.widgets.rankings import caption_of
from dataide.widgets.underway import is_given_up
from dataide.widgets.vocabulary import Thumbs
from dataide.widgets.workspace import Workspace

from .badges import badges, facts, has_open
from .object_peek import cut_out
from .ordering import groups_of
from .state import issue_counts

MOST_TILES = 500
MOST_BYTES = 4 << 20
TILES_AT_ONCE = 40
# Few sizes, so that the cache of thumbnails holds few copies of a picture.
SIZES_PX = (64, 96, 128, 256, 512)
FULL_PX = (64, 4_096)


def page(workspace: Workspace, ask: PageAsk, within_s: float | None = None) -> Reply:
    """Some tiles of the current order.

    With thumbnails the page may be shorter than asked: it ends before its buffer grows over 4 MiB.

    Args:
        workspace: of the session.
        ask: which tiles.
        within_s: make no more thumbnails after this time; the page ends there.
    """
    order = workspace.orders.current()
    offset = max(0, min(ask["offset"], order.total))
    limit = max(1, min(ask["limit"], MOST_TILES))
    nos: list[int] = order.part(offset, offset + limit).tolist()
    thumbs: Thumbs | None = None
    buffers: list[bytes] = []
    if ask["thumbs"]:
        thumbs, data = thumbnails(workspace, nos, size_px(ask["px"]), within_s)
        nos = nos[: len(thumbs["mime"])]
        buffers = [data]
    shown = _all_cards(workspace, nos, ask["caption"])
    selected = workspace.selection.mask
    answer: PageAnswer = {
        "order_id": order.id,
        "total": order.total,
        "offset": offset,
        "nos": nos,
        "ids": [card.id for card in shown],
        "labels": [card.label for card in shown],
        "tags": [card.tags for card in shown],
        "queued": [card.queued for card in shown],
        "excluded": [card.excluded for card in shown],
        "selected": [no < len(selected) and bool(selected[no]) for no in nos],
        "captions": caption_of(workspace, nos, [card.caption for card in shown]),
        "thumbs": thumbs,
    }
    if ask.get("known") != order.id:
        answer["groups"] = groups_of(order)
    if has_open(workspace):
        shown_issues = badges(workspace, nos)
        answer["issues"] = [shown_issues.get(no, []) for no in nos]
    return Reply(answer, buffers)


def first(tiles: int, tile_px: int, caption: str | None) -> PageAsk:
    """What a grid with tiles of this width asks for first."""
    return {"offset": 0, "limit": tiles, "thumbs": True, "px": size_px(tile_px), "caption": caption}


def size_px(px: int) -> int:
    """The next larger of the sizes that are made."""
    return next((size for size in SIZES_PX if size >= px), SIZES_PX[-1])


def _all_cards(workspace: Workspace, nos: Sequence[int], caption: str | None) -> list[Card]:
    found = {card.no: card for card in cards(workspace.database, nos, caption)}
    return [found.get(no) or Card(no, "", None, excluded=False) for no in nos]


def thumbnails(
    workspace: Workspace, nos: Sequence[int], px: int, within_s: float | None = None
) -> tuple[Thumbs, bytes]:
    """Thumbnails back to back: of the first so many, as fit into 4 MiB and somebody waits for; one at least fits.

    Args:
        workspace: of the session.
        nos: sample numbers.
        px: of the longer side, one of SIZES_PX.
        within_s: make no more after this time.
    """
    ends = None if within_s is None else time.monotonic() + within_s
    thumbs: Thumbs = {"mime": [], "starts": [0], "problems": []}
    data: list[bytes] = []
    for start in range(0, len(nos), TILES_AT_ONCE):
        if ends is not None and start and time.monotonic() > ends:
            break
        if is_given_up():  # scrolled away: nobody will see these pictures
            break
        for thumb in workspace.thumbnails.get(nos[start : start + TILES_AT_ONCE], px):
            if thumbs["starts"][-1] + len(thumb.data) > MOST_BYTES and data:
                return thumbs, b"".join(data)
            data.append(thumb.data)
            thumbs["mime"].append(thumb.mime)
            thumbs["problems"].append(thumb.problem)
            thumbs["starts"].append(thumbs["starts"][-1] + len(thumb.data))
    return thumbs, b"".join(data)


def peek(workspace: Workspace, ask: PeekAsk) -> Reply:
    """A thumbnail and a caption for what lies under the pointer."""
    no = ask.get("no")
    of_object: int | None = None
    if no is None:
        index = ask.get("index")
        if index is None:
            raise ProtocolError("peek names a sample by `no`, or by `projection` and `index`.")
        placed = workspace.places.points(ask.get("projection"))
        if not 0 <= index < placed.total:
            raise UnknownSample("There is no point there any more.", hint="The map has changed: reload the page.")
        no = placed.no(index)
        of_object = placed.object_no(index) if isinstance(placed, ObjectPoints) else None
    (card,) = cards(workspace.database, [workspace.sample_no(no)])
    (thumb,) = workspace.thumbnails.get([no], size_px(ask["px"]))
    caption = card.id if card.label is None else f"{card.id} · {card.label}"
    answer: PeekAnswer = {
        "no": no,
        "id": card.id,
        "label": card.label if of_object is None else _object_label(workspace, of_object),
        "caption": " · ".join([caption, *card.tags[:4]]),
        "mime": thumb.mime if thumb.problem is None else None,
        "problem": thumb.problem,
    }
    if has_open(workspace):
        answer["issues"] = badges(workspace, [no]).get(no, [])
    cut = None if of_object is None else cut_out(workspace, no, of_object, size_px(ask["px"]))
    if cut is not None:
        answer["object"], data, answer["mime"] = cut
        answer["problem"] = None
        return Reply(answer, [data])
    return Reply(answer, [thumb.data] if thumb.problem is None else [])


def _object_label(workspace: Workspace, object_no: int) -> str | None:
    """On a map of objects a point is coloured by this one, and not by the label of its sample."""
    with workspace.database.query("SELECT label FROM data.object WHERE object_no = ?", [object_no]) as cursor:
        found = cursor.fetchall()
    return None if not found or found[0][0] is None else str(found[0][0])


def inspect(workspace: Workspace, ask: InspectAsk) -> Reply:
    """One sample in full, with its history."""
    no = workspace.sample_no(ask["no"])
    shown = details(workspace.database, no)
    px = max(FULL_PX[0], min(ask["px"], FULL_PX[1]))
    full = workspace.thumbnails.full(no, px)
    answer: InspectAnswer = {
        "no": no,
        "id": shown.card.id,
        "label": shown.card.label,
        "tags": shown.card.tags,
        "queues": [{"queue": task.queue, "state": task.state, "reason": task.reason} for task in shown.tasks],
        "excluded": shown.card.excluded,
        "fields": [{"name": one.name, "type": one.type, "value": one.value} for one in shown.fields],
        "history": [
            {
                "at": event.at.isoformat(timespec="seconds"),
                "author": event.author,
                "sentence": event.sentence,
                "undone": event.undone,
            }
            for event in workspace.journal.sample_history(no)
        ],
        "picture": None,
        "problem": full.problem,
    }
    if issue_counts(workspace):
        answer["issues"] = facts(workspace, no)
    if full.problem is not None:
        return Reply(answer)
    answer["picture"] = {"mime": full.mime, "width_px": full.width_px, "height_px": full.height_px}
    return Reply(answer, [full.data])
