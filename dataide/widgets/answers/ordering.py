"""Grouping the grids of a session, and the headings that a page needs."""

from __future__ import annotations

from dataide.core.cards import as_text
from dataide.core.order import Order
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import GroupAsk
from dataide.widgets.vocabulary import Group, Groups
from dataide.widgets.workspace import Workspace

LONGEST_HEADING = 200


def group(workspace: Workspace, ask: GroupAsk) -> Reply:
    """Groups every grid of the session by a column of categories, or no longer."""
    workspace.orders.set_group(ask["column"])
    answer: GroupAsk = {"column": workspace.orders.group}
    return Reply(answer)


def groups_of(order: Order) -> Groups | None:
    """Where each group of an order starts; None when it is not grouped."""
    if order.column is None:
        return None
    named = order.sections[:-1] if order.more else order.sections
    entries: list[Group] = []
    start = 0
    for section in named:
        entries.append({"value": as_text(section.value, LONGEST_HEADING), "start": start, "count": section.count})
        start += section.count
    return {"column": order.column, "entries": entries, "more": order.more}
