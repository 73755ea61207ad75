"""Boxes, masks and keypoints: what panels draw, and what people do to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core import object_actions
from dataide.core.object_actions import AddObjects, DeleteObjects, MoveObjects, ObjectAction, RelabelObjects, things
from dataide.errors import ActionError
from dataide.storage import object_query, object_rows
from dataide.storage.object_rows import Outlines
from dataide.storage.object_tables import BOX
from dataide.storage.query import ids_of
from dataide.storage.rows import rows_of
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol_objects import (
    ActObjectsAnswer,
    ActObjectsAsk,
    LintObjectsAnswer,
    LintObjectsAsk,
    ObjectsAnswer,
    ObjectsAsk,
    ObjectsState,
    ShownFinding,
    ShownRepair,
)
from dataide.widgets.workspace import Workspace

if TYPE_CHECKING:
    from dataide.review.findings import Finding

MOST_LABELS = 200
# Of one sample: in a tile nobody tells more apart, the smallest are left out.
MOST_IN_TILES = 200
MOST_INSPECTED = 2_000
MOST_FINDINGS = 50
MOST_BYTES = 1 << 20
# As large as an inspector gets its picture.
INSPECTED_PX = 2_048
SMALLEST_PX = 16
NO_LABEL = 255
# Shares of a picture; what lies further out than this lies nowhere, and would be infinite as a Float32.
FARTHEST = 1e6
# Ten colours that everybody tells apart, and after them hues.
APART = 10

_COLORS = "object_colors"
_ANY = "SELECT 1 FROM data.object WHERE NOT removed LIMIT 1"
_NAMED = "SELECT object_no, object_id, sample_no FROM data.object WHERE NOT removed AND object_no IN ({numbers})"
_SKELETONS = (
    "SELECT label, skeleton[:200] FROM data.object_label WHERE skeleton IS NOT NULL AND list_contains(?, label)"
)
_CHANGED = "SELECT object_no FROM data.object_change WHERE event_no = ? ORDER BY object_no"


# ---- what the session has ----------------------------------------------------------------------------------------


def objects_state(workspace: Workspace) -> ObjectsState | None:
    """How many objects there are and of which classes; None as long as there are none."""
    version = workspace.versions.of(["objects", "excluded"])
    counted = workspace.kept("objects", version, lambda: _counted(workspace))
    if not counted:
        return None
    colors = label_colors(workspace)
    named = [(label, count) for label, count in counted.items() if label is not None]
    return {
        "count": sum(counted.values()),
        "version": version,
        "labels": [{"name": label, "count": count, "color": colors[label]} for label, count in named[:MOST_LABELS]],
    }


def _counted(workspace: Workspace) -> dict[str | None, int]:
    with workspace.database.query(_ANY) as cursor:
        if not cursor.fetchall():
            return {}
    counted = object_query.label_counts(workspace.database)
    _color(workspace, [label for label in counted if label is not None])
    return counted


def label_colors(workspace: Workspace) -> Mapping[str, int]:
    """The colour number of each class that was met: the most frequent got the first, and each keeps what it has."""
    known: dict[str, int] = workspace.context.attached.setdefault(_COLORS, {})
    return known


def _color(workspace: Workspace, labels: Sequence[str]) -> None:
    with workspace.context.lock:
        known = workspace.context.attached.setdefault(_COLORS, {})
        for label in labels:
            if label not in known:
                place = len(known)
                known[label] = place if place < APART else APART + (place - APART) % (NO_LABEL - APART)


# ---- what is drawn -----------------------------------------------------------------------------------------------


@dataclass
class _Columns:
    """Objects on their way out."""

    names: dict[str, int] = field(default_factory=dict)
    starts: list[int] = field(default_factory=lambda: [0])
    numbers: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    crowds: list[int] = field(default_factory=list)
    rings: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    keypoints: list[list[float]] = field(default_factory=list)
    limbs: list[list[int]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    tracks: list[str | None] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)


def objects(workspace: Workspace, ask: ObjectsAsk) -> Reply:
    """Objects of some samples as shares of their pictures, in at most 1 MiB: of the first so many samples asked for."""
    nos = list(dict.fromkeys(no for no in ask["nos"] if 0 <= no < workspace.database.sample_count))
    px = ask["px"]
    inspected = px is None
    drawn_px = INSPECTED_PX if px is None else max(SMALLEST_PX, min(px, INSPECTED_PX))
    columns = ("object_id", "label", *object_rows.SHAPE, "track") if inspected else ("label", *object_rows.SHAPE)
    found = object_rows.objects_of(workspace.database, nos, columns)
    sizes = _sizes(workspace, nos, inspected)
    most = MOST_INSPECTED if inspected else MOST_IN_TILES
    gone, weight = _Columns(), 0
    more: list[int] = []
    skeletons = _skeletons(workspace, found)
    for no in nos:
        chosen = object_rows.largest(found.get(no, []), most)
        if sizes[no] is None:
            chosen = []  # nobody knows what share a px is
        shown = [_shown(row, sizes[no] or (1, 1), drawn_px) for row in chosen]
        heavy = sum(_weight(row, outlines) for row, outlines in zip(chosen, shown, strict=True))
        if weight + heavy > MOST_BYTES:
            if more:
                break  # whoever asked asks for the others again
            chosen, shown = _lightened(chosen, shown)
        weight += heavy
        for row, outlines in zip(chosen, shown, strict=True):
            _put(gone, row, outlines, sizes[no] or (1, 1), skeletons.get(row["label"], []))
        gone.starts.append(len(gone.numbers))
        more.append(len(found.get(no, [])) - len(chosen))
    nos = nos[: len(more)]
    _color(workspace, list(gone.names))
    colors = label_colors(workspace)
    answer: ObjectsAnswer = {
        "nos": nos,
        "widths": [size[0] if (size := sizes[no]) else None for no in nos],
        "heights": [size[1] if (size := sizes[no]) else None for no in nos],
        "starts": gone.starts,
        "more": more,
        "objects": gone.numbers,
        "labels": gone.labels,
        "names": list(gone.names),
        "colors": [colors[name] for name in gone.names],
        "crowds": gone.crowds,
        "rings": gone.rings,
        "points": gone.lengths,
        "keypoints": gone.keypoints if any(gone.keypoints) else None,
        "limbs": gone.limbs if any(gone.limbs) else None,
        "ids": gone.ids if inspected else None,
        "tracks": gone.tracks if inspected else None,
    }
    boxes = np.asarray(gone.boxes, np.float64).reshape(-1, 4)
    points = np.concatenate([*gone.points, np.empty((0, 2))]).astype(np.float32)
    return Reply(answer, [boxes.tobytes(), points.tobytes()])


def _sizes(workspace: Workspace, nos: Sequence[int], inspected: bool) -> dict[int, tuple[int, int] | None]:
    """Width and height of the upright pictures, in px."""
    known = rows_of(workspace.database, "width_px, height_px", nos)
    found: dict[int, tuple[int, int] | None] = {}
    for no in nos:
        width, height = known.get(no, (None, None))
        found[no] = (int(width), int(height)) if width and height else None
        if found[no] is None and inspected:
            # Pictures that wait to be seen: this one is being looked at anyway.
            full = workspace.thumbnails.full(no, 64)
            if full.problem is None and full.width_px and full.height_px:
                found[no] = (full.width_px, full.height_px)
    return found


def _shown(row: Mapping[str, Any], size: tuple[int, int], px: int) -> Outlines:
    return object_rows.outlines_of(row, px / max(size))


def _weight(row: Mapping[str, Any], outlines: Outlines) -> int:
    """About how many bytes an object takes."""
    said = len(row.get("object_id") or "") + len(row.get("track") or "") + 32 * len(row["keypoints"] or ())
    return 60 + said + sum(8 + 8 * len(outline) for outline in outlines)


def _lightened(rows: list[dict[str, Any]], shown: list[Outlines]) -> tuple[list[dict[str, Any]], list[Outlines]]:
    """So many objects of one sample as fit; the smallest lose their outlines first, then themselves."""
    bare = [_weight(row, []) for row in rows]
    most = int(np.searchsorted(np.cumsum(bare), MOST_BYTES, side="right"))
    left = MOST_BYTES - sum(bare[:most])
    kept: list[Outlines] = []
    for row, outlines, plain in zip(rows[:most], shown, bare, strict=False):
        extra = _weight(row, outlines) - plain
        kept.append(outlines if extra <= left else [])
        left -= extra if extra <= left else 0
    return rows[:most], kept


def _skeletons(workspace: Workspace, found: Mapping[int, Sequence[Mapping[str, Any]]]) -> dict[str, list[list[int]]]:
    """The lines between keypoints of each class that has some: pairs of places among them, from 1."""
    labels = {row["label"] for rows in found.values() for row in rows if row["keypoints"]} - {None}
    if not labels:
        return {}
    with workspace.database.query(_SKELETONS, [sorted(labels)]) as cursor:
        return {label: [limb for limb in skeleton if limb and len(limb) == 2] for label, skeleton in cursor.fetchall()}


def _put(
    gone: _Columns, row: Mapping[str, Any], outlines: Outlines, size: tuple[int, int], skeleton: Sequence[Sequence[int]]
) -> None:
    width, height = size
    if row["crowd"]:
        gone.crowds.append(len(gone.numbers))
    gone.numbers.append(int(row["object_no"]))
    label = row["label"]
    gone.labels.append(-1 if label is None else gone.names.setdefault(label, len(gone.names)))
    gone.boxes.append(
        [np.nan if row[name] is None else row[name] / side for name, side in zip(BOX, (width, height) * 2, strict=True)]
    )
    gone.rings.append(len(outlines))
    gone.lengths.extend(len(outline) for outline in outlines)
    gone.points.extend(np.clip(outline / (width, height), -FARTHEST, FARTHEST) for outline in outlines)
    # One that is not labelled stands at 0, 0 and says nothing; a file may have some that are nowhere.
    seen = {
        place: point
        for place, point in enumerate(row["keypoints"] or (), 1)
        if point and point["visibility"] and _is_somewhere(point)
    }
    gone.keypoints.append(
        [
            round(value, 5)
            for point in seen.values()
            for value in (point["x_px"] / width, point["y_px"] / height, point["visibility"])
        ]
    )
    order = {place: i for i, place in enumerate(seen)}
    gone.limbs.append([order[end] for limb in skeleton if all(end in order for end in limb) for end in limb])
    gone.ids.append(row.get("object_id") or "")
    gone.tracks.append(row.get("track"))


def _is_somewhere(point: Mapping[str, Any]) -> bool:
    return all(value is not None and math.isfinite(value) for value in (point["x_px"], point["y_px"]))


# ---- what people do ----------------------------------------------------------------------------------------------


def act_objects(workspace: Workspace, ask: ActObjectsAsk) -> Reply:
    """One decision about objects; the answer goes out after it is in the file."""
    if ask["verb"] == "add":
        return _added(workspace, ask)
    numbers = [no for no in ask.get("objects", []) if 0 <= no <= 0xFFFFFFFF]
    with workspace.database.query(_NAMED.format(numbers=", ".join(map(str, numbers)) or "NULL")) as cursor:
        found = {int(no): (str(object_id), int(sample)) for no, object_id, sample in cursor.fetchall()}
    there = [no for no in numbers if no in found]
    action: ObjectAction
    match ask["verb"]:
        case "move":
            if len(numbers) != 1:
                raise ActionError("One object is moved at a time.", hint="session.objects.move takes many.")
            # An object that was deleted meanwhile lies on no picture; the journal says so.
            box = [float(value) for value in ask.get("box", [])]
            if there:
                box = clipped(workspace, found[there[0]][1], box)
            action, call = MoveObjects(np.array(numbers), np.array([box])), f"move({box!r})"
        case "relabel":
            if "label" not in ask:
                raise ActionError("A relabelling needs a label.")
            action = RelabelObjects(np.array(numbers, np.uint32), ask["label"])
            call = f"relabel({action.label!r})"
        case _:
            action, call = DeleteObjects(np.array(numbers, np.uint32)), "delete()"
    samples = sorted({found[no][1] for no in there})
    said = things(len(numbers))
    if len(samples) == 1:
        said += f" of {ids_of(workspace.database, np.array(samples, np.uint32))[0]}"
    event = object_actions.act(workspace.journal, action, uuid=ask["uuid"], target=said)
    ids = [found[no][0] for no in there]
    python = (
        "session.objects" if not ids else f"session.objects.ids_named({(ids[0] if len(ids) == 1 else ids)!r}).{call}"
    )
    answer: ActObjectsAnswer = {
        "event": event.event, "count": event.count, "sentence": event.sentence,
        "python": python, "objects": _changed(workspace, event.event),
    }  # fmt: skip
    return Reply(answer)


def _added(workspace: Workspace, ask: ActObjectsAsk) -> Reply:
    no = workspace.sample_no(ask.get("no", -1))
    box = clipped(workspace, no, [float(value) for value in ask.get("box", [])])
    label = ask.get("label")
    label = None if label is None else object_actions.checked_label(label)
    lot = object_rows.drawn(no, label, box)
    (sample_id,) = ids_of(workspace.database, np.array([no], np.uint32))
    event = object_actions.act(
        workspace.journal, AddObjects(lot=lot), uuid=ask["uuid"], target=f"a new object of {sample_id}"
    )
    given: dict[str, Any] = {"sample_id": sample_id, "label": label, "bbox": box}
    if label is None:
        del given["label"]
    answer: ActObjectsAnswer = {
        "event": event.event, "count": event.count, "sentence": event.sentence,
        "python": f"session.objects.add({given!r})", "objects": _changed(workspace, event.event),
    }  # fmt: skip
    return Reply(answer)


def clipped(workspace: Workspace, no: int, box: Sequence[float]) -> list[float]:
    """A box as far as it lies in the picture: left, top, width, height in px, to a hundredth.

    Args:
        workspace: of the session.
        no: the sample.
        box: left, top, width, height in px; negative sides are those of a box drawn upwards or to the left.

    Raises:
        ActionError: it is no box, or nothing of it lies in the picture.
    """
    if len(box) != 4 or not np.isfinite(box).all():
        raise ActionError("A box has four numbers.", hint="Give [left, top, width, height] in px.")
    left, right = sorted((box[0], box[0] + box[2]))
    top, bottom = sorted((box[1], box[1] + box[3]))
    size = _sizes(workspace, [no], True)[no]
    if size is not None:
        left, right = (min(max(x, 0.0), float(size[0])) for x in (left, right))
        top, bottom = (min(max(y, 0.0), float(size[1])) for y in (top, bottom))
    placed = [round(value, 2) for value in (left, top, right - left, bottom - top)]
    if not np.isfinite(placed).all():
        raise ActionError("A box that large is none.", hint="Draw it over the picture.")
    if placed[2] <= 0 or placed[3] <= 0:
        raise ActionError("Nothing of the box would be left in the picture.", hint="Draw it over the picture.")
    return placed


def _changed(workspace: Workspace, event: int | None) -> list[int]:
    if event is None:
        return []
    with workspace.database.query(_CHANGED, [event]) as cursor:
        return [int(no) for (no,) in cursor.fetchall()]


# ---- what rules say ----------------------------------------------------------------------------------------------


def lint_objects(workspace: Workspace, ask: LintObjectsAsk) -> Reply:
    """What rules find in the objects of one sample, the gravest first."""
    from dataide.review.linting import lint_sample

    found = lint_sample(workspace.context, workspace.sample_no(ask["no"]))
    answer: LintObjectsAnswer = {
        "findings": [_finding(one) for one in found.findings[:MOST_FINDINGS]],
        "learning": found.learning,
    }
    return Reply(answer)


def _finding(finding: Finding) -> ShownFinding:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "objects": list(finding.objects),
        "repair": _repair(finding),
    }


def _repair(finding: Finding) -> ShownRepair | None:
    """What the button beside a finding does; a repair is of the first object."""
    if not finding.objects:
        return None
    repair, first = finding.repair, finding.objects[0]
    if repair.act == "delete":
        return {"act": "delete", "object": first}
    if repair.act == "box" and repair.box is not None:
        return {"act": "move", "object": first, "box": list(repair.box)}
    if repair.act == "relabel" and repair.label is not None:
        return {"act": "relabel", "object": first, "label": repair.label}
    return None
