"""Facets, and what could be typed next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dataide.core.codes import LISTS, Bars
from dataide.core.completion import Completion, complete_filter, complete_names
from dataide.core.facet_counts import BarCounts, HistogramCounts
from dataide.widgets.dialogue import Reply
from dataide.widgets.protocol import (
    CompleteAnswer,
    CompleteAsk,
    FacetsAnswer,
    FacetsAsk,
    FacetValuesAnswer,
    FacetValuesAsk,
)
from dataide.widgets.vocabulary import Bar, Facet
from dataide.widgets.workspace import Workspace

MOST_BARS = 1_000
_COLUMN_OF = {"tag": "tags", "label": "label", "queue": "queues"}


def facets(workspace: Workspace, ask: FacetsAsk) -> Reply:
    """Counts of each column: of the whole, of what passes the filter, of the selection."""
    bars = max(1, min(ask["bars"], MOST_BARS))
    counted = workspace.counts.count(ask["columns"], bars)
    answer: FacetsAnswer = {"facets": [_facet(one) for one in counted]}
    return Reply(answer)


def facet_values(workspace: Workspace, ask: FacetValuesAsk) -> Reply:
    """The values of one column that contain a text."""
    found = workspace.counts.values(ask["column"], ask["search"], max(1, min(ask["limit"], MOST_BARS)))
    answer: FacetValuesAnswer = {"bars": _bars(found), "more": found.more}
    return Reply(answer)


def _facet(counted: BarCounts | HistogramCounts) -> Facet:
    column = counted.column
    if isinstance(counted, BarCounts):
        return {
            "kind": "bars",
            "column": column.name,
            "type": column.type,
            "bars": _bars(counted),
            "more": counted.more,
        }
    return {
        "kind": "histogram",
        "column": column.name,
        "type": column.type,
        "edges": counted.column.edges.tolist(),
        "total": counted.total,
        "visible": counted.visible,
        "selected": counted.selected,
        "missing": counted.missing,
    }


def _bars(counted: BarCounts) -> list[Bar]:
    return [
        {"value": bar.value, "total": bar.total, "visible": bar.visible, "selected": bar.selected}
        for bar in counted.bars
    ]


def complete(workspace: Workspace, ask: CompleteAsk) -> Reply:
    """What could be typed next."""
    if ask["what"] == "filter":
        return _completion(complete_filter(ask["text"], ask["cursor"], workspace.codes.kinds(), _values(workspace)))
    return _completion(complete_names(ask["text"], _values(workspace)(_COLUMN_OF[ask["what"]])))


def _completion(completion: Completion) -> Reply:
    answer: CompleteAnswer = {
        "from": completion.start,
        "to": completion.stop,
        "items": [{"text": item.text, "kind": item.kind, "detail": item.detail} for item in completion.items],
    }
    return Reply(answer)


def _values(workspace: Workspace) -> Callable[[str], Sequence[tuple[str, int]]]:
    """A function that gives the values of a column with their counts, the most frequent first."""

    def values(column: str) -> Sequence[tuple[str, int]]:
        if column not in LISTS and workspace.codes.kinds().get(column) != "category":
            return []
        coded = workspace.codes.one(column)
        if not isinstance(coded, Bars):
            return []
        return list(zip(coded.values, coded.counts()[:-1].tolist(), strict=True))

    return values
