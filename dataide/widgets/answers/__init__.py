"""What the kernel answers, one function for each operation of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dataide.widgets.dialogue import Reply
from dataide.widgets.workspace import Workspace

from . import autotag, counts, decisions, issues, jobs, objects, ordering, pages, plot, similar, state

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
    "similar": similar.similar,
    "ranked": similar.ranked,
    "complete": counts.complete,
    "configure": state.configure,
    "cancel_job": jobs.cancel_job,
    "startable": jobs.startable,
    "start_job": jobs.start_job,
    "dismiss_job": jobs.dismiss_job,
    "autotag": autotag.autotag,
    "autotag_page": autotag.page,
    "autotag_mark": autotag.mark,
    "autotag_commit": autotag.commit,
    "issue_kinds": issues.issue_kinds,
    "issue_page": issues.issue_page,
    "issue_preview": issues.issue_preview,
    "issue_neighbours": issues.issue_neighbours,
    "objects": objects.objects,
    "act_objects": objects.act_objects,
    "lint_objects": objects.lint_objects,
}
