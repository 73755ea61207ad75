"""Pictures of issues about objects: the worst object of each sample cut out, or marked in the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dataide.storage import object_vectors
from dataide.storage.object_tables import BOX
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol_issues import IssueNeighbour, IssueNeighboursAnswer, IssueObjects
from dataide.widgets.vocabulary import Thumbs

from . import object_tiles
from .object_tiles import ObjectCard, Tile

if TYPE_CHECKING:
    from dataide.widgets.workspace import Workspace


@dataclass(frozen=True)
class Worst:
    """What an issue of a sample is about first.

    Attributes:
        object_no: None where nothing has a box yet that should have one.
        box: of what has none, as shares of the picture: left, top, width, height.
        proposal: the label that it should have; None where nothing says so.
    """

    object_no: int | None
    box: object_tiles.Shares | None
    proposal: str | None


def worst(workspace: Workspace, kind: str, nos: Sequence[int]) -> dict[int, Worst]:
    """The worst finding of each of these samples that is about a place in its picture, as its reason names it first.

    Args:
        workspace: of the session.
        kind: of issue.
        nos: sample numbers.
    """
    wanted = ", ".join(str(int(no)) for no in nos)
    if not wanted:
        return {}
    sql = (
        f"SELECT f.sample_no, f.object_no, {', '.join(f'f.{side}' for side in BOX)}, s.width_px, s.height_px, f.label "
        "FROM data.finding_now f JOIN data.sample s ON s.sample_no = f.sample_no "
        f"WHERE f.kind = $kind AND f.sample_no IN ({wanted}) AND (f.object_no IS NOT NULL OR f.left_px IS NOT NULL) "
        "QUALIFY row_number() OVER (PARTITION BY f.sample_no ORDER BY f.holds DESC, f.score, f.object_no, f.rule) = 1"
    )
    with workspace.database.query(sql, {"kind": kind}) as cursor:
        rows = cursor.fetchall()
    found: dict[int, Worst] = {}
    for no, object_no, left, top, width, height, across, down, label in rows:
        sides = (left, top, width, height, across, down)
        known = object_no is None and all(side is not None and np.isfinite(side) for side in sides)
        box = (left / across, top / down, width / across, height / down) if known and across and down else None
        found[no] = Worst(object_no, box, label)
    return found


def thumbs(
    workspace: Workspace, nos: Sequence[int], found: dict[int, Worst], px: int, within_s: float | None = None
) -> tuple[Thumbs, bytes, IssueObjects]:
    """A picture for each sample, as many as are cut in time and fit into 4 MiB, and where in it the worst thing lies.

    Args:
        workspace: of the session.
        nos: sample numbers, each once.
        found: what `worst` says of them.
        px: longest side.
        within_s: cut no more after this time; the page ends there.
    """
    objects = [one.object_no for one in found.values() if one.object_no is not None]
    shown = {card.sample_no: card for card in object_tiles.cards(workspace, objects)}
    there = [shown[no] for no in nos if no in shown]
    # Fewer than asked where time was up.
    cut = zip((card.sample_no for card in there), object_tiles.crops(workspace, there, px, within_s), strict=False)
    crops = dict(cut)
    plain = [no for no in nos if no not in shown]
    whole = dict(zip(plain, workspace.thumbnails.get(plain, px) if plain else [], strict=True))
    tiles: list[Tile] = []
    for no in nos:
        if no in whole:
            box = found[no].box if no in found and whole[no].problem is None else None
            tiles.append(Tile(whole[no].data, whole[no].mime, whole[no].problem, box))
        elif no in crops:
            tiles.append(crops[no])
        else:
            break
    packed, data = object_tiles.packed(tiles)
    held = len(packed["mime"])
    return packed, data, _about([shown.get(no) for no in nos[:held]], tiles)


def neighbours(workspace: Workspace, kind: str, no: int, most: int, px: int) -> Reply | None:
    """The objects whose crops are most similar to the worst one of a sample; None where the issue is about none, or
    objects have no vectors.

    Args:
        workspace: of the session.
        kind: of issue.
        no: the sample.
        most: how many.
        px: longest side of a crop.
    """
    about = worst(workspace, kind, [no]).get(no)
    known = object_vectors.embeddings(workspace.database)[-1:]
    of = object_tiles.cards(workspace, [about.object_no]) if about is not None and about.object_no is not None else []
    if not known or not of or about is None:
        return None
    from dataide.find.neighbours import nearest_objects

    answer: IssueNeighboursAnswer = {
        "no": no,
        "neighbours": [],
        "embedding": known[0].name,
        "note": None,
        "thumbs": {"mime": [], "starts": [0], "problems": []},
        "object": {"label": of[0].label, "proposal": about.proposal},
    }
    found, rows = object_vectors.fetch(workspace.database, known[0], np.asarray([of[0].no], np.uint32))
    if not len(found):
        answer["note"] = f"Its box was drawn or moved since. Type session.objects.embed({known[0].name!r})."
        return Reply(answer, [b""])
    nos, cosines = nearest_objects(workspace.database, known[0], rows[0], most + 1)
    similar = {int(other): float(cosine) for other, cosine in zip(nos, cosines, strict=True) if other != of[0].no}
    shown = object_tiles.cards(workspace, [*similar][:most])
    tiles = object_tiles.crops(workspace, shown, px)
    answer["thumbs"], data = object_tiles.packed(tiles)
    shown = shown[: len(answer["thumbs"]["mime"])]
    answer["objects"] = _about(shown, tiles)
    answer["neighbours"] = [
        IssueNeighbour(
            no=card.sample_no,
            id=f"{card.id} on {card.sample_id}",
            label=card.label,
            similarity=similar[card.no],
            excluded=False,
        )
        for card in shown
    ]
    if not shown:
        answer["note"] = "No other object has a vector."
    return Reply(answer, [data])


def _about(cards: Sequence[ObjectCard | None], tiles: Sequence[Tile]) -> IssueObjects:
    boxes = [tile.box for tile in tiles[: len(cards)]]
    return {
        "nos": [None if card is None else card.no for card in cards],
        "boxes": [None if box is None else [round(float(share), 5) for share in box] for box in boxes],
        "labels": [None if card is None else card.label for card in cards],
    }
