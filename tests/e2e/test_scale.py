"""A million points and a hundred thousand pictures behave as ten thousand do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from benchmarks import large
from tests.e2e.conftest import Lab
from tests.e2e.gestures import drag, plot, selected
from tests.e2e.notebook import Notebook
from tests.e2e.wire import Wire

MILLION, SMALL, PICTURES = 1_000_000, 10_000, 100_000
OPEN = "import dataide as di\nsession = di.open('large.duckdb')"
# Crosses itself, and begins outside the points.
RING = [(0.02, 0.1), (0.55, 0.12), (0.3, 0.9), (0.15, 0.4), (0.6, 0.75), (0.04, 0.85)]


@pytest.fixture(scope="session")
def large_sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Sessions of many points, by their number."""
    folder = tmp_path_factory.mktemp("large")
    files = {count: folder / str(count) / "large.duckdb" for count in (SMALL, MILLION)}
    for count, file in files.items():
        large.make(file, count)
    return files


@pytest.fixture(scope="session")
def pictures_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred thousand pictures in one Parquet file, five thousand different ones."""
    file = tmp_path_factory.mktemp("pictures") / "large.duckdb"
    large.make(file, PICTURES, pictures=True, distinct=5_000)
    return file


def scatter(lab: Lab, file: Path, *, watched: bool = False, options: str = "") -> tuple[Notebook, Wire | None]:
    """A scatter panel over a copy of a session; `watched` from the page's first websocket on."""
    shutil.copy(file, lab.work / "large.duckdb")
    # A kernel of its own: one that is still there would be found again by the name of the notebook.
    name = f"{file.stem}-{len(list(lab.work.glob('*.ipynb')))}.ipynb"
    notebook = lab.notebook([OPEN, f"panel = session.scatter({options})\npanel"], name)
    wire = None
    if watched:
        wire = Wire(notebook.page)
        notebook.reload(save=False)
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    return notebook, wire


def stage(notebook: Notebook) -> Locator:
    return notebook.panel("scatter").locator(".stage")


def all_there(notebook: Notebook, count: int) -> None:
    expect(stage(notebook)).to_have_attribute("data-loaded", str(count), timeout=60_000)


def colours(notebook: Notebook) -> int:
    """How many colours the picture of the points has."""
    return int(
        plot(notebook.panel("scatter")).evaluate(
            """canvas => {
                const {width, height} = canvas;
                if (!width || !height) return 0;
                const pen = Object.assign(document.createElement('canvas'), {width, height}).getContext('2d');
                pen.drawImage(canvas, 0, 0);
                return new Set(new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer)).size;
            }"""
        )
    )


def inside(places: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Which places lie in a ring by the even-odd rule, in float64 and edge by edge."""
    x, y = places.astype(np.float64).T
    odd = np.zeros(len(places), bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, 1, axis=0), strict=True):
        if y0 != y1:
            odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return odd


def corners(shape: dict[str, Any]) -> np.ndarray:
    """The ring that a `select` request carries, in data coordinates, n x 2."""
    return np.asarray(shape["points"], np.float64).reshape(-1, 2)


def test_a_million_points_arrive_and_a_lasso_selects_exactly_what_it_surrounds(
    lab: Lab, large_sessions: dict[int, Path]
) -> None:
    notebook, wire = scatter(lab, large_sessions[MILLION], watched=True)
    assert wire is not None
    all_there(notebook, MILLION)
    assert colours(notebook) > 8
    drag(notebook.page, plot(notebook.panel("scatter")), RING)
    shown = selected(notebook.panel("scatter"))
    wire.settle()
    notebook.execute("import numpy; numpy.save('selected.npy', session.context.selection.mask)")
    _, places = large.cloud(MILLION)
    truth = inside(places, corners(wire.last("select")["shape"]))
    assert 1_000 < truth.sum() < MILLION
    found = np.load(lab.work / "selected.npy")
    assert np.array_equal(found, truth), f"{int((found ^ truth).sum())} points are on the wrong side"
    assert shown == truth.sum()


def test_an_armed_lasso_costs_the_same_bytes_at_any_size(lab: Lab, large_sessions: dict[int, Path]) -> None:
    cost: dict[int, tuple[int, int]] = {}
    asked: list[str] = []
    for count in (SMALL, MILLION):
        notebook, wire = scatter(lab, large_sessions[count], watched=True)
        assert wire is not None
        all_there(notebook, count)
        notebook.execute("panel.workspace.arm({'verb': 'tag', 'arguments': {'tag': 'caught'}})")
        wire.settle()
        wire.reset()
        drag(notebook.page, plot(notebook.panel("scatter")), RING)
        wire.settle(quiet_s=1.5)
        cost[count] = (wire.up, wire.down)
        asked = [said["op"] for said in wire.asked]
        assert notebook.value("len(session.where(tag='caught'))") == notebook.value("len(session.selection)") > 0
        notebook.execute("session.close()")
        notebook.page.close()
        lab.notebooks.remove(notebook)
    (small_up, small_down), (large_up, large_down) = cost[SMALL], cost[MILLION]
    assert large_up + large_down < 1.1 * (small_up + small_down), (cost, asked)
    assert large_up < 1.1 * small_up, (cost, asked)


def test_a_line_that_breaks_among_the_chunks_loses_no_point(lab: Lab, large_sessions: dict[int, Path]) -> None:
    shutil.copy(large_sessions[MILLION], lab.work / "large.duckdb")
    notebook = lab.notebook([OPEN, "panel = session.scatter()\npanel"])
    notebook.run(0)
    # The first news of some but not all points breaks the line; watched for before the panel is there.
    notebook.page.evaluate(
        """() => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            window.__broken = null;
            new MutationObserver(changes => {
              for (const {target} of changes) {
                const loaded = Number(target.dataset.loaded), total = Number(target.dataset.total);
                if (window.__broken !== null || !(loaded > 0 && loaded < total)) continue;
                window.__broken = loaded;
                kernel.reconnect();
              }
            }).observe(document.body, {subtree: true, attributes: true, attributeFilter: ['data-loaded']});
        }"""
    )
    notebook.expect_error("WebSocket")
    notebook.start(1)
    notebook.page.wait_for_function("() => window.__broken !== null")
    all_there(notebook, MILLION)
    assert 0 < notebook.page.evaluate("window.__broken") < MILLION
    notebook.show(1)
    drag(notebook.page, plot(notebook.panel("scatter")), RING)
    assert selected(notebook.panel("scatter")) == notebook.value("len(session.selection)")


# Software that says it is a GPU, for a page that would not take software.
A_GPU = """
const context = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  return context.call(this, kind, kind === "webgl2" ? { ...options, failIfMajorPerformanceCaveat: false } : options);
};
const parameter = WebGL2RenderingContext.prototype.getParameter;
WebGL2RenderingContext.prototype.getParameter = function (name) {
  return name === 0x9246 || name === 0x1f01 ? "a real GPU" : parameter.call(this, name);
};
"""


def test_a_gpu_that_is_found_later_takes_over_with_points_and_selection(lab: Lab, digits: None) -> None:
    notebook = lab.notebook(["import dataide as di\nsession = di.open('digits.duckdb')", "session.scatter()"])
    notebook.page.add_init_script(A_GPU)
    notebook.reload(save=False)
    # What a page of this browser found before must not decide.
    notebook.page.evaluate("() => localStorage.removeItem('dataide.renderer')")
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    all_there(notebook, 1_797)
    expect(stage(notebook)).to_have_attribute("data-renderer", "webgl")
    panel = notebook.panel("scatter")
    assert plot(panel).evaluate("canvas => canvas.getContext('webgl2') !== null")
    drag(notebook.page, plot(panel), RING)
    assert selected(panel) == notebook.value("len(session.selection)")
    assert notebook.page.evaluate("() => localStorage.getItem('dataide.renderer')").startswith("webgl")
    notebook.page.evaluate("() => localStorage.removeItem('dataide.renderer')")


def test_points_outlive_a_lost_gpu_and_a_plot_without_room(lab: Lab, large_sessions: dict[int, Path]) -> None:
    notebook, _ = scatter(lab, large_sessions[SMALL], options="renderer='webgl'")
    all_there(notebook, SMALL)
    canvas = plot(notebook.panel("scatter"))
    lost = canvas.evaluate(
        """canvas => {
            const gl = canvas.getContext('webgl2');
            if (gl) gl.getExtension('WEBGL_lose_context').loseContext();
            return gl !== null;
        }"""
    )
    assert lost, "the panel was asked to draw with WebGL and did not"
    expect(stage(notebook)).to_have_attribute("data-renderer", "canvas")
    notebook.page.wait_for_timeout(300)
    assert colours(notebook) > 8
    root = notebook.panel("scatter")
    for hidden, shown in (("width: 0; overflow: hidden", ""), ("display: none", "")):
        root.evaluate("(node, css) => { node.parentElement.style.cssText = css; }", hidden)
        notebook.page.wait_for_timeout(200)
        root.evaluate("(node, css) => { node.parentElement.style.cssText = css; }", shown)
    notebook.page.wait_for_function(
        "() => document.querySelector('[data-dataide-panel=scatter] canvas').clientWidth > 200"
    )
    notebook.page.wait_for_timeout(300)
    assert colours(notebook) > 8
    drag(notebook.page, plot(root), RING)
    assert selected(root) == notebook.value("len(session.selection)")


# Tiles that are wholly or partly in sight, by position, with the size of the picture that each one shows.
IN_SIGHT = """() => {
  const grid = document.querySelector('[data-dataide-panel=grid]').getBoundingClientRect();
  return [...document.querySelectorAll('[data-dataide-panel=grid] [data-sample-id]')].filter(tile => {
    const box = tile.getBoundingClientRect();
    return box.bottom > grid.top + 60 && box.top < Math.min(grid.bottom, innerHeight) - 20;
  }).map(tile => {
    const image = tile.querySelector('img');
    const width = image?.complete ? image.naturalWidth : 0;
    return [tile.dataset.sampleId, Number(tile.getAttribute('aria-posinset')), width];
  });
}"""


def test_the_middle_of_a_hundred_thousand_pictures_is_there_at_once(lab: Lab, pictures_session: Path) -> None:
    large.copy(pictures_session, lab.work)
    notebook = lab.notebook([OPEN, "session.grid(height=600)"])
    notebook.run(0)
    notebook.run(1)
    notebook.show(1)
    there = f"() => {{ const tiles = ({IN_SIGHT})(); return tiles.length > 11 && tiles.every(one => one[2] > 0); }}"
    notebook.page.wait_for_function(there)
    notebook.page.evaluate(
        """() => {
            const scrolls = node => ['auto', 'scroll'].includes(getComputedStyle(node).overflowY);
            const tall = node => node.scrollHeight > 10 * node.clientHeight && node.clientHeight > 100;
            const box = [...document.querySelectorAll('[data-dataide-panel=grid] *')].find(n => scrolls(n) && tall(n));
            box.scrollTop = (box.scrollHeight - box.clientHeight) / 2;
        }"""
    )
    middle = f"({IN_SIGHT})().every(one => Math.abs(one[1] - {PICTURES // 2}) < 500)"
    notebook.page.wait_for_function(f"() => ({there})() && {middle}")
    shown = notebook.page.evaluate(IN_SIGHT)
    sizes = dict(notebook.value("session.sql('SELECT sample_id, width_px FROM sample').fetchall()"))
    assert {name: width for name, _, width in shown} == {name: sizes[name] for name, _, _ in shown}, json.dumps(shown)
    # A tall picture stays in its square, or it would cover what stands under it.
    boxes = notebook.page.evaluate(
        """() => [...document.querySelectorAll('[data-dataide-panel=grid] .dataide-tile-picture')].map(square => {
            const [outer, inner] = [square, square.querySelector('img')].map(node => node.getBoundingClientRect());
            return [outer.width, outer.height, inner.width, inner.height];
        })"""
    )
    assert len(boxes) > 11 and all(max(box) - min(box) < 1 for box in boxes), boxes
