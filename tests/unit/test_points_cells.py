"""Which points lie inside a lasso: the cells give the same answer as a slow test of every point, borders and all."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core import cells
from dataide.core.cells import Grid
from dataide.core.gesture import Drawn, combined, inside_ring, ring_of
from dataide.core.plot_files import STEPS, steps
from dataide.core.points import Points
from dataide.core.region import inside_box, inside_polygon

RANDOM = np.random.default_rng(7)
SEEDED = RANDOM.bit_generator.state
MODES = ("replace", "add", "subtract", "intersect")
SQUARE = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
TURNS = np.linspace(0, 2 * np.pi, 60, endpoint=False)
CIRCLE = 0.5 + 0.4 * np.stack([np.cos(TURNS), np.sin(TURNS)], axis=1)
STAR = 0.5 + 0.45 * np.stack([np.cos(4 * np.pi * np.arange(5) / 5), np.sin(4 * np.pi * np.arange(5) / 5)], axis=1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same numbers for a test, whichever tests ran before."""
    RANDOM.bit_generator.state = SEEDED


def cloud(count: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    if kind == "lattice":  # many points exactly on corners, edges and borders of cells
        return RANDOM.integers(0, 17, count).astype(np.float32) / 16, RANDOM.integers(0, 17, count).astype(
            np.float32
        ) / 16
    if kind == "close":  # within a step or two of the lines of some lassos
        edges = np.concatenate([np.stack([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in (CIRCLE, STAR, SQUARE)])
        chosen, along = edges[RANDOM.integers(0, len(edges), count)], RANDOM.random((count, 1))
        places = chosen[:, 0] * (1 - along) + chosen[:, 1] * along + RANDOM.normal(size=(count, 2)) / STEPS
        places[:2] = (0, 0), (1, 1)
        return places[:, 0].astype(np.float32), places[:, 1].astype(np.float32)
    if kind == "line":
        x = RANDOM.random(count).astype(np.float32)
        return x, np.full(count, 0.5, np.float32)
    if kind == "outlier":
        x = RANDOM.random(count).astype(np.float32)
        x[0] = 1e30
        return x, RANDOM.random(count).astype(np.float32)
    if kind == "far":
        return (1e6 + RANDOM.random(count)).astype(np.float32), (-1e6 + RANDOM.random(count)).astype(np.float32)
    return RANDOM.random(count).astype(np.float32), RANDOM.random(count).astype(np.float32)


def made(count: int, kind: str = "plain") -> Points:
    x, y = cloud(count, kind)
    return Points.of("p", RANDOM.permutation(2 * count)[:count].astype(np.uint32), x, y)


def by_no(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    plot = points.plot
    return plot.cell_nos, plot.cell_x, plot.cell_y


def polygons(points: Points) -> dict[str, np.ndarray]:
    low, high = np.array(points.bounds[:2]), np.array(points.bounds[2:])
    wide = high - low
    lattice = RANDOM.integers(0, 17, (9, 2)) / 16
    return {
        "random": low + RANDOM.random((12, 2)) * wide,
        "beyond": low + (RANDOM.random((7, 2)) * 3 - 1) * wide,
        "lattice": low + lattice * wide,
        "circle": low + CIRCLE * wide,
        "star": low + STAR * wide,
        "square": low + SQUARE * wide,
        "twice": low + np.concatenate([SQUARE, SQUARE]) * wide,
        "level": low + np.array([[0.1, 0.5], [0.9, 0.5], [0.9, 0.5], [0.3, 0.5]]) * wide,
        "nearly level": low + np.array([[0, 0.5], [1, 0.5 + 1e-13], [1, 0.6], [0, 0.6]]) * wide,
        "nothing": np.repeat(low[None], 4, axis=0),
        "outside": high + (1 + RANDOM.random((5, 2))) * wide,
        "all of it": low + (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 4 - 2) * wide,
        "huge": np.array([[-1e300, -1e300], [1e300, -1e300], [1e300, 1e300], [-1e300, 1e300]]),
        "sliver": low + np.array([[0.2, 0.2], [0.8, 0.80001], [0.2, 0.20001]]) * wide,
    }


@pytest.mark.parametrize("kind", ["plain", "lattice", "close", "line", "outlier", "far"])
def test_cells_say_of_every_point_what_the_test_of_every_point_says(kind: str) -> None:
    points = made(6_000, kind)
    nos, x, y = by_no(points)
    for name, corners in polygons(points).items():
        with np.errstate(all="ignore"):
            expected = np.zeros(points.reach, bool)
            expected[nos[inside_polygon(x, y, corners)]] = True
            caught = points.in_polygon(corners)
        assert np.array_equal(caught.mask, expected), name
        box = (*corners.min(axis=0), *corners.max(axis=0))
        expected = np.zeros(points.reach, bool)
        expected[nos[inside_box(x, y, *box)]] = True
        assert np.array_equal(points.in_box(*box).mask, expected), name


def test_random_lassos_agree_with_a_reference_in_whole_fractions() -> None:
    """Even-odd by exact arithmetic; the points of a lattice lie on corners and edges of lassos with lattice corners."""
    points = made(400, "lattice")
    nos, x, y = by_no(points)
    for _ in range(25):
        corners = RANDOM.integers(-2, 19, (RANDOM.integers(3, 9), 2)) / 16
        expected = [reference(Fraction(float(px)), Fraction(float(py)), corners) for px, py in zip(x, y, strict=True)]
        mask = points.in_polygon(corners).mask
        # On a slanted edge itself float64 may fall to either side; everywhere else all agree.
        known = [where is not None for where in expected]
        assert [bool(inside) for inside in mask[nos][known]] == [where for where in expected if where is not None]
        assert sum(known) > len(known) * 0.7


def reference(x: Fraction, y: Fraction, corners: np.ndarray) -> bool | None:
    """Whether a ray to the right crosses an odd number of edges; None for a point on a slanted edge."""
    odd = False
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ax, ay, bx, by = map(Fraction, map(float, (x0, y0, x1, y1)))
        if ay == by or not min(ay, by) <= y < max(ay, by):
            continue
        crossing = ax + (bx - ax) * (y - ay) / (by - ay)
        if crossing == x and ax != bx:
            return None
        odd ^= x < crossing
    return odd


def test_a_lasso_of_twenty_thousand_corners_is_tested_in_a_moment() -> None:
    points = made(30_000)
    corners = RANDOM.random((20_000, 2))
    nos, x, y = by_no(points)
    expected = np.zeros(points.reach, bool)
    expected[nos[inside_polygon(x, y, corners)]] = True
    assert np.array_equal(points.in_polygon(corners).mask, expected)


def test_most_points_of_a_large_cloud_are_never_looked_at() -> None:
    points = made(100_000)
    turns = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    circle = 0.5 + 0.4 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    cover = cells.of_polygon(points.plot.head.grid, circle)
    tested = sum(last - first for first, last in cells.runs(cover.crossed, points.plot.starts))
    assert 0 < tested < 0.06 * points.total


def test_no_point_and_one_point_and_equal_points() -> None:
    none = Points.of("p", np.empty(0, np.uint32), np.empty(0, np.float32), np.empty(0, np.float32))
    assert none.total == 0 and not none.in_polygon(SQUARE).mask.any() and not none.in_box(0, 0, 1, 1).mask.any()
    assert none.quantised(0, 0).shape == (0, 2) and none.marked(np.ones(4, bool)) == ("none", b"")
    for value in (0.5, 1e30, -3.4e38, 0.0):
        equal = Points.of("p", np.arange(3, dtype=np.uint32), *np.full((2, 3), value, np.float32))
        x_low, y_low, x_high, y_high = equal.bounds
        assert x_low < value < x_high and y_low < value < y_high
        assert (equal.quantised(0, 3) == equal.quantised(0, 1)).all()
        around = np.array([[x_low, y_low], [x_high, y_low], [x_high, y_high], [x_low, y_high]])
        assert equal.in_polygon(around).mask.all()


def test_odd_shapes_are_refused_or_empty() -> None:
    points = made(100)
    for corners in (np.empty((0, 2)), SQUARE[:1], SQUARE[:2]):
        assert not points.in_polygon(corners).mask.any()
    with pytest.raises(di.DataideError, match="not a number"):
        points.in_polygon(np.array([[0, 0], [1, np.nan], [1, 1]]))
    with pytest.raises(di.DataideError, match="not a number"):
        points.in_box(0, 0, np.inf, 1)


def browser(ring: list[float], x: int, y: int) -> bool:
    """`inside` of js/panels/scatter/lasso.ts, word by word."""
    odd = False
    j = len(ring) - 2
    for i in range(0, len(ring), 2):
        yi, yj = ring[i + 1], ring[j + 1]
        if (yi > y) != (yj > y):
            xi, xj = ring[i], ring[j]
            if x < ((xj - xi) * (y - yi)) / (yj - yi) + xi:
                odd = not odd
        j = i
    return odd


def test_the_rounded_test_is_the_one_of_the_page() -> None:
    for _ in range(20):
        x, y = RANDOM.integers(0, 65_536, (2, 500)).astype(np.uint16)
        ring = np.round(RANDOM.random((9, 2)) * 70_000 - 2_000, RANDOM.integers(0, 3))
        x[:9], y[:9] = np.clip(ring[:, 0], 0, STEPS), np.clip(ring[:, 1], 0, STEPS)  # on the corners themselves
        expected = [browser(ring.ravel().tolist(), int(px), int(py)) for px, py in zip(x, y, strict=True)]
        assert inside_ring(x, y, ring).tolist() == expected


@pytest.mark.parametrize("kind", ["plain", "lattice", "close", "line", "far"])
def test_what_a_page_works_out_with_the_corrections_is_the_exact_selection(kind: str) -> None:
    points = made(1_500, kind)
    nos, x, y = by_no(points)
    low, high = points.bounds[:2], points.bounds[2:]
    flat = steps(x, low[0], high[0]), steps(y, low[1], high[1])
    corrected = 0
    for name, corners in polygons(points).items():
        # A line that follows the steps closely has many points on either side of it.
        near = np.array(low) + np.round((corners - low) / np.subtract(high, low) * 50) / 50 * np.subtract(high, low)
        for shape in (corners, near):
            with np.errstate(all="ignore"):
                caught = points.in_polygon(shape)
            before = RANDOM.random(points.reach) < 0.5
            for mode in MODES:
                gesture = Drawn("t", 3, {}, points.places, caught.differing).record(before, 9, mode)
                if name == "huge":
                    assert gesture is None, "no page can test a corner that far away to the last bit"
                    continue
                assert gesture is not None and gesture["from"] == 9 and gesture["mode"] == mode
                ring = ring_of(shape, points.bounds)
                assert ring is not None
                page = np.zeros(points.reach, bool)
                page[nos] = [browser(ring.ravel().tolist(), int(px), int(py)) for px, py in zip(*flat, strict=True)]
                page = combined(before, page, mode)
                wire = points.plot.nos
                page[wire[gesture["on"]]] = True
                page[wire[gesture["off"]]] = False
                exact = combined(before, caught.mask, mode)
                assert np.array_equal(page[nos], exact[nos]), (name, mode)
                assert not set(gesture["on"]) & set(gesture["off"])
                corrected += len(gesture["on"]) + len(gesture["off"])
            if name in ("random", "huge"):
                break
    assert corrected > {"close": 100, "lattice": 100}.get(kind, -1)


def test_a_box_is_told_as_its_ring() -> None:
    points = made(3_000, "lattice")
    nos, x, y = by_no(points)
    caught = points.in_box(0.5, 0.25, 0.25, 0.75)
    assert caught.differing is not None and len(caught.differing.nos), (
        "its border is inside, but for the page only half"
    )
    ring: Any = ring_of(np.array([[0.25, 0.25], [0.5, 0.25], [0.5, 0.75], [0.25, 0.75]]), points.bounds)
    page = np.zeros(points.reach, bool)
    page[nos] = inside_ring(steps(x, *points.bounds[::2]), steps(y, *points.bounds[1::2]), ring)
    page[caught.differing.nos] = caught.differing.exact
    assert np.array_equal(page, caught.mask)


def test_too_many_corrections_are_not_told() -> None:
    x = np.full(3_000, 0.5, np.float32)
    x[:2] = 0, 1
    points = Points.of("p", np.arange(3_000, dtype=np.uint32), x, RANDOM.random(3_000).astype(np.float32))
    caught = points.in_polygon(np.array([[0.5, -1], [2, -1], [2, 2], [0.5, 2]]))
    assert caught.differing is not None
    told = Drawn(None, 0, {}, "", caught.differing).record(np.zeros(3_000, bool), 0, "replace")
    assert (told is None) == (len(caught.differing.nos) > 2_000)


def test_a_grid_suits_the_number_of_points() -> None:
    bounds = (0.0, 0.0, 1.0, 1.0)
    assert [Grid.over(bounds, total).size for total in (0, 1, 100, 10**5, 10**6, 10**9)] == [1, 1, 8, 256, 512, 1_024]
