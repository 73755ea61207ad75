"""Gestures and decisions: selecting, filtering, sorting, arming, acting, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from keyword import iskeyword
from typing import Any

import numpy as np

from dataide.core.actions import from_wire, samples
from dataide.core.clauses import InClause
from dataide.core.gesture import Drawn
from dataide.core.order import Sort
from dataide.core.predicate import parse
from dataide.core.selection import fitted
from dataide.errors import ActionError
from dataide.storage.query import ids_of
from dataide.widgets import chosen_objects
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import (
    ActAnswer,
    ActAsk,
    ArmAsk,
    FilterAsk,
    SelectAnswer,
    SelectAsk,
    SortAsk,
    StepAnswer,
    StepAsk,
    SubsetAnswer,
)
from dataide.widgets.rankings import above
from dataide.widgets.vocabulary import ActArguments, Shape, Target, Verb
from dataide.widgets.workspace import Workspace

from . import issues
from .lassos import lassoed, lassoed_objects
from .state import sort_on_wire

Array = np.ndarray[Any, np.dtype[Any]]
# A line of Python with more ids than this is nothing that anybody reads.
MOST_IDS = 20
MOST_CORNERS = 100
_KEYWORDS = {"tags": "tag", "queues": "queue", "issues": "issue"}


def select(workspace: Workspace, ask: SelectAsk) -> Reply:
    """Resolves a gesture against the selection."""
    shape = ask["shape"]
    drawn: Drawn | None = None
    objects = lassoed_objects(workspace, shape, ask["mode"], ask.get("token"))
    if objects is not None:
        chosen, drawn = objects.mask, objects.drawn
    elif shape["type"] == "polygon" or shape["type"] == "box":
        chosen, drawn = lassoed(workspace, shape, ask.get("token"))
    else:
        chosen = resolved(workspace, shape)
    whole = shape["type"] in ("none", "invert")  # these say what the selection is, not what comes to it
    mode = "replace" if whole or objects is not None else ask["mode"]
    armed = workspace.armed
    decision: ActAnswer | None = None
    # The panels hear of both at once: what they then ask for would hold up the commit.
    with workspace.changes.together():
        with chosen_objects.choosing(workspace.context):
            taken = workspace.selection.take(chosen, mode, ask["source"], drawn)
            if objects is not None:
                chosen_objects.remember(workspace.context, objects.objects, taken.version)
        if armed is not None and "uuid" in ask:
            target: Target = {"type": "selection"}
            decision = decided(workspace, {**armed, "target": target, "uuid": ask["uuid"]}, taken.nos())
    answer: SelectAnswer = {
        "decision": decision,
        "count": taken.count,
        "version": taken.version,
        "python": select_python(workspace, shape, chosen, mode) if objects is None else "session.objects.selected",
    }
    return Reply(answer)


def resolved(workspace: Workspace, shape: Shape) -> Array:
    """The samples that a gesture means: numbers, or a mask.

    What is drawn over the plot, or asked of everything, means samples that pass the filter.
    """
    match shape["type"]:
        case "polygon" | "box":
            return lassoed(workspace, shape)[0]
        case "points":
            placed = workspace.places.points(shape["projection"])
            picked = [placed.no(index) for index in _within(shape["indices"], placed.total)]
            return _passing(workspace, np.array(picked, dtype=np.uint32))
        case "range":
            order = workspace.orders.get(shape["order_id"])
            first, last = sorted((shape["from"], shape["to"]))
            return order.part(max(0, first), max(0, last + 1))
        case "positions":
            order = workspace.orders.get(shape["order_id"])
            return order.at(_within(shape["positions"], order.total))
        case "samples":
            return np.asarray(_within(shape["nos"], workspace.database.sample_count), dtype=np.uint32)
        case "predicate":
            mask = parse(shape["text"], workspace.database.columns()).mask(workspace.database)
            passing = workspace.filter.mask()
            return fitted(mask, len(passing)) & passing
        case "all":
            return workspace.filter.mask()
        case "above":
            return above(workspace, shape["token"], shape["threshold"])
        case "invert":
            passing = workspace.filter.mask()
            return passing & ~fitted(workspace.selection.mask, len(passing))
        case _:
            return np.zeros(0, dtype=bool)


def _passing(workspace: Workspace, nos: Array) -> Array:
    mask = workspace.filter.mask()
    known = nos[nos < len(mask)]
    return known[mask[known]]


def _within(positions: Sequence[int], count: int) -> list[int]:
    return [position for position in positions if 0 <= position < count]


def select_python(workspace: Workspace, shape: Shape, chosen: Array, mode: str) -> str:
    """The line of Python that selects the same; where there is none that anybody would read, its result is named."""
    how = "" if mode == "replace" else f", mode={mode!r}"
    match shape["type"]:
        case "none":
            return "session.select(None)"
        case "all":
            return f"session.select({filter_python(workspace)}{how})"
        case "predicate":
            return f"session.select(session.where({shape['text'].strip()!r}){where_python(workspace)}{how})"
        case "polygon" if len(shape["points"]) <= 2 * MOST_CORNERS:
            corners = np.array(shape["points"]).reshape(-1, 2).tolist()
            return _inside_python(workspace, corners, shape["projection"], how)
        case "box":
            x0, y0, x1, y1 = shape["x0"], shape["y0"], shape["x1"], shape["y1"]
            return _inside_python(workspace, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], shape["projection"], how)
        case "points" | "range" | "positions" | "samples" if 0 < len(chosen) <= MOST_IDS:
            return f"session.select({ids_of(workspace.database, chosen)!r}{how})"
        case _:
            return "session.selection"


def _inside_python(workspace: Workspace, corners: list[list[float]], projection: str, how: str) -> str:
    polygon = ", ".join(f"({x:.6g}, {y:.6g})" for x, y in corners)
    return f"session.select(session.inside([{polygon}], {projection!r}){where_python(workspace)}{how})"


def filter_python(workspace: Workspace) -> str:
    """The View of what passes the filter, as Python."""
    return f"session{where_python(workspace)}" if workspace.filter.clauses else "session.where()"


def where_python(workspace: Workspace) -> str:
    """The clauses of the filter as calls of `where`: .where("brightness < 0.2", label=["cat", None])."""
    texts: list[str] = []
    equals: dict[str, str] = {}
    for stated in workspace.filter.clauses:
        clause = stated.clause
        name = _KEYWORDS.get(clause.column or "", clause.column or "")
        if isinstance(clause, InClause) and name.isidentifier() and not iskeyword(name) and name not in equals:
            values = list(clause.values)
            equals[name] = repr(values[0] if len(values) == 1 else values)
        else:
            texts.append(stated.sql)
    first = [repr(texts[0])] if texts else []
    calls = [", ".join(first + [f"{name}={value}" for name, value in equals.items()]), *map(repr, texts[1:])]
    return "".join(f".where({call})" for call in calls if call)


def set_filter(workspace: Workspace, ask: FilterAsk) -> Reply:
    """States or takes back the clause of one source."""
    clause = ask["clause"]
    workspace.filter.set(ask["source"], clause)
    answer: SubsetAnswer = {
        "count": workspace.visible_count(),
        "version": workspace.filter.version,
        "python": filter_python(workspace),
    }
    return Reply(answer)


def sort(workspace: Workspace, ask: SortAsk) -> Reply:
    """Sorts every grid of the session."""
    wanted = ask["sort"]
    match wanted["by"]:
        case "column":
            chosen = Sort("column", column=wanted["column"], descending=wanted["descending"])
        case "issue":
            chosen = Sort("issue", kind=wanted["kind"], descending=wanted["descending"])
        case "similar":
            chosen = Sort("similar", token=wanted["token"], label=wanted["label"], descending=wanted["descending"])
        case _:
            chosen = Sort(descending=wanted["descending"])
    workspace.orders.set_sort(chosen)
    answer: SortAsk = {"sort": sort_on_wire(workspace.orders.sort)}
    return Reply(answer)


def arm(workspace: Workspace, ask: ArmAsk) -> Reply:
    """Makes every further gesture a decision at once, or stops that."""
    armed = ask["armed"]
    if armed is not None:
        if armed["verb"] in issues.VERBS:
            raise ActionError(
                "Answers to issues cannot be armed: each has a proposal of its own.",
                hint="Accept or reject them with session.fix().",
            )
        action = from_wire(armed["verb"], armed["arguments"])  # refuses what could not be carried out later
        armed = {"verb": armed["verb"], "arguments": _arguments(action.arguments())}
    workspace.arm(armed)
    answer: ArmAsk = {"armed": armed}
    return Reply(answer)


def _arguments(arguments: dict[str, Any]) -> ActArguments:
    known: ActArguments = {}
    if "tag" in arguments:
        known["tag"] = arguments["tag"]
    if "label" in arguments:
        known["label"] = arguments["label"]
    if "queue" in arguments:
        known["queue"] = arguments["queue"]
    if "reason" in arguments:
        known["reason"] = arguments["reason"]
    return known


def act(workspace: Workspace, ask: ActAsk) -> Reply:
    """Carries out one decision; the answer goes out after it is in the file."""
    return Reply(decided(workspace, ask, targeted(workspace, ask["target"])))


def decided(workspace: Workspace, ask: ActAsk, nos: Array) -> ActAnswer:
    """Commits one decision about these samples and says what it did."""
    action = from_wire(ask["verb"], ask["arguments"])
    target = ask["target"]
    if target["type"] == "selection":
        said = f"the selection ({samples(len(nos))})"
    elif target["type"] == "issues":
        said = issues.target_said(target, len(nos))
    else:
        said = ", ".join(ids_of(workspace.database, nos[:3])) + (f" and {len(nos) - 3:,} more" if len(nos) > 3 else "")
    event = workspace.journal.act(action, nos, uuid=ask["uuid"], target=said)
    return {
        "event": event.event,
        "count": event.count,
        "sentence": event.sentence,
        "python": act_python(workspace, ask["verb"], action.arguments(), target, nos),
    }


def targeted(workspace: Workspace, target: Target) -> Array:
    """Numbers of the samples that an action is about."""
    if target["type"] == "selection":
        return workspace.selection.nos()
    if target["type"] == "issues":
        return issues.targeted(workspace, target)
    return np.asarray(_within(target["nos"], workspace.database.sample_count), dtype=np.uint32)


def act_python(workspace: Workspace, verb: Verb, arguments: dict[str, Any], target: Target, nos: Array) -> str:
    """The line of Python that does the same."""
    about_issues = issues.python_of(workspace, verb, arguments, target, nos)
    if about_issues is not None and verb in issues.VERBS:
        return about_issues
    match verb:
        case "tag" | "untag":
            call = f"{verb}({arguments['tag']!r})"
        case "relabel":
            call = f"relabel({arguments['label']!r})"
        case "enqueue":
            reason = f", reason={arguments['reason']!r}" if arguments.get("reason") else ""
            call = f"enqueue({arguments['queue']!r}{reason})"
        case _:
            call = f"{verb}()"
    if about_issues is not None:
        return f"{about_issues}.{call}"
    if target["type"] == "selection":
        return f"session.selection.{call}"
    ids = ids_of(workspace.database, nos)
    return (
        f"session.where(sample_id={ids[0] if len(ids) == 1 else ids!r}).{call}" if ids else f"session.selection.{call}"
    )


def undo(workspace: Workspace, ask: StepAsk) -> Reply:
    """Takes back the latest decision that stands."""
    event = workspace.journal.undo(ask["uuid"])
    answer: StepAnswer = {"event": event.event, "count": event.count, "sentence": event.sentence}
    return Reply(answer)


def redo(workspace: Workspace, ask: StepAsk) -> Reply:
    """Does again what was undone last."""
    event = workspace.journal.redo(ask["uuid"])
    answer: StepAnswer = {"event": event.event, "count": event.count, "sentence": event.sentence}
    return Reply(answer)
