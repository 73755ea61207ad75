"""What the kernel answers, one function for each operation of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dataide.widgets.dialogue import Reply
from dataide.widgets.workspace import Workspace

from . import counts, decisions, jobs, ordering, pages, plot, state

OPERATIONS: dict[str, Callable[[Workspace, Any], Reply | Iterable[Reply]]] = {
    "hello": state.hello,
    "points": plot.points,
    "colors": plot.colors,
    "marks": plot.marks,
    "detail": plot.detail,
    "density": plot.density,
    "peek": pages.peek,
    "locate": plot.locate,
    "page": pages.page,
    "inspect": pages.inspect,
    "facets": counts.facets,
    "facet_values": counts.facet_values,
    "select": decisions.select,
    "filter": decisions.set_filter,
    "sort": decisions.sort,
    "group": ordering.group,
    "arm": decisions.arm,
    "act": decisions.act,
    "undo": decisions.undo,
    "redo": decisions.redo,
    "similar": decisions.similar,
    "complete": counts.complete,
    "configure": state.configure,
    "cancel_job": jobs.cancel_job,
    "startable": jobs.startable,
    "start_job": jobs.start_job,
    "dismiss_job": jobs.dismiss_job,
}
