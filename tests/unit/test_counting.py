"""Edges of histograms, completion of the filter box, and the points of a map, without a session around them."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.core.codes import Kind, sql_kind
from dataide.core.completion import complete_filter
from dataide.core.edges import nice_edges, nice_time_edges
from dataide.core.points import Points

DAY_MS = 86_400_000
KINDS: dict[str, Kind] = {
    "label": "category",
    "brightness": "number",
    "my column": "category",
    "order": "number",
    "ok": "bool",
    "media": "text",
}
VALUES = {"label": [("cat", 5), ("it's", 3), ("dog", 2)], "my column": [("a", 1)], "tags": [("glare", 4)]}


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.1, 0.93), (-3, 4e6), (1e-9, 2e-9), (5, 5), (0, 0), (1e300, 2e300), (-1e-300, 1e-300)]
)
def test_every_value_lies_between_the_edges(low: float, high: float) -> None:
    edges = nice_edges(low, high, 24)
    assert edges[0] <= low and edges[-1] >= high
    assert (np.diff(edges) > 0).all() and len(edges) <= 27


def test_edges_are_numbers_that_people_read() -> None:
    assert nice_edges(0.013, 0.97, 10).tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert nice_edges(0, 9, 24, whole=True).tolist() == [n - 0.5 for n in range(11)]
    assert nice_edges(0, 1000, 24, whole=True)[:3].tolist() == [0.0, 50.0, 100.0]
    assert nice_time_edges(0, 20 * DAY_MS, 24)[:2].tolist() == [0.0, DAY_MS]
    assert len(nice_time_edges(0, 365 * 40 * DAY_MS, 24)) <= 26


@pytest.mark.parametrize(
    ("sql_type", "kind"),
    [
        ("VARCHAR", "category"), ("ENUM('a', 'b')", "category"), ("UBIGINT", "number"), ("DECIMAL(18,3)", "number"),
        ("TIMESTAMP WITH TIME ZONE", "time"), ("DATE", "time"), ("BOOLEAN", "bool"), ("FLOAT[3]", "other"),
        ("STRUCT(a INTEGER)", "other"), ("BLOB", "other"), ("INTERVAL", "other"),
    ],
)  # fmt: skip
def test_types_of_columns_are_known(sql_type: str, kind: str) -> None:
    assert sql_kind(sql_type) == kind


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", "label"),
        ("bri", "brightness"),
        ("my", '"my column"'),
        ("ord", '"order"'),
        ("label ", "="),
        ("label = ", "'cat'"),
        ("label = 'd", "'dog'"),
        ("label = 'it''", "'it''s'"),
        ("label not in ('cat', ", "'cat'"),
        ("label in ('cat', 'd", "'dog'"),
        ('"my column" = ', "'a'"),
        ("list_contains(tags, 'gl", "'glare'"),
        ("label = 'cat' ", "and"),
        ("label = 'cat' and bri", "brightness"),
        ("brightness ", "<"),
        ("brightness < 0.2 ", "and"),
        ("ok = ", "true"),
        ("not ", "label"),
        ("reg", "regexp_matches("),
        ("label like 'c", "'cat'"),
    ],
)
def test_the_filter_box_knows_what_comes_next(text: str, first: str) -> None:
    completion = complete_filter(text, len(text), KINDS, lambda column: VALUES.get(column, []))
    assert completion.items[0].text == first
    assert completion.start <= len(text)


def test_completion_replaces_the_whole_word_under_the_cursor() -> None:
    completion = complete_filter("label = 'ca' and ok", 10, KINDS, lambda column: VALUES.get(column, []))
    assert (completion.start, completion.stop) == (8, 12)


@pytest.mark.parametrize(
    "text", ["'", "((", "label in (((", '"', "label = = =", "in (", ",", "'''", "x y z", "label not"]
)
def test_half_typed_filters_never_fail(text: str) -> None:
    for cursor in range(len(text) + 1):
        complete_filter(text, cursor, KINDS, lambda column: VALUES.get(column, []))


def test_points_are_scaled_to_their_bounds() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=1_000).astype(np.float32), random.normal(size=1_000).astype(np.float32)
    nos = random.permutation(2_000)[:1_000].astype(np.uint32)
    points = Points.of("p", nos, x, y)
    bounds = points.bounds
    assert bounds == (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    pairs = points.quantised(0, 1_000) / 65_535
    row = {no: row for row, no in enumerate(nos.tolist())}
    rows = [row[no] for no in points.samples(0, 1_000).tolist()]
    assert np.allclose(pairs[:, 0] * (bounds[2] - bounds[0]) + bounds[0], x[rows], atol=1e-4)
    assert np.allclose(pairs[:, 1] * (bounds[3] - bounds[1]) + bounds[1], y[rows], atol=1e-4)
    box = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    assert np.array_equal(points.in_polygon(box).mask, points.in_box(-0.5, -0.5, 0.5, 0.5).mask)
    assert not points.in_polygon(box[:2]).mask.any()
