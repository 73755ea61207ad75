"""What is measured in one run, by name. Times in seconds or ms as the figure's name says, sizes in bytes."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import large
from benchmarks.stage import Stage, stage
from benchmarks.subjects import Subject, python

Figures = dict[str, Any]
TILES = "[data-dataide-panel=grid] .dataide-tile, .widget-image"
SCROLLER = """() => {
  let best = null;
  for (const node of document.querySelectorAll('[data-dataide-panel=grid] *, .widget-gridbox')) {
    const style = getComputedStyle(node).overflowY;
    if ((style === 'auto' || style === 'scroll') && node.clientHeight > 150 && node.scrollHeight > node.clientHeight
      && (!best || node.scrollHeight > best.scrollHeight)) best = node;
  }
  return best;
}"""
RATE = 2_000_000  # bits a second of the slow line
WHEEL_PX_S = 1_500  # about twelve clicks of a wheel a second
REPEATS = 3  # of a gesture within a run
HALF, PART = 0.5, 0.01


def run(name: str, subject: Subject, what: list[str], count: int, seconds: float, drawing: str) -> Figures:
    """One run of one subject: a fresh server, kernel and browser for each group of measurements."""
    figures: Figures = {}
    for group in GROUPS:
        wanted = [one for one in group.members if one in what and count <= subject.MOST.get(one, 0)]
        if not wanted:
            continue
        with stage(python(name), drawing=drawing, slow=group.first == "slow") as on:
            furnish(on, name, group.first, count)
            try:
                on.open(subject.cells(group.cells, count))
                for one in dict.fromkeys([group.first, *wanted]):
                    found = MEASURES[one](on, subject, count, seconds)
                    figures |= found if one in what else {}
            except Exception as error:  # one that fails is a finding, too
                figures[f"failed {'+'.join(wanted)}"] = f"{type(error).__name__}: {error}".split("\nCall log")[0][:400]
    return figures


def furnish(on: Stage, name: str, what: str, count: int) -> None:
    """Puts what the kernel reads beside the notebook."""
    pictures = what in ("grid", "scroll")
    if name == "dataide" or pictures:
        large.copy(large.cached(count, pictures=pictures), on.lab.work)
    else:
        made = large.DATA / f"points-v{large.VERSION}-{count}.npz"
        if not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            kinds, places = large.cloud(count)
            np.savez(made, x=places[:, 0], y=places[:, 1], c=kinds)
        shutil.copy(made, on.lab.work / "points.npz")


# Points --------------------------------------------------------------------------------------------------------


def plot(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """From the execute request to the first points, and to all of them."""
    on.start(count)
    figures = {"first_points_s": on.since_sent("first"), "all_points_s": on.since_sent("all")}
    on.notebook.wait(on.last, 120)
    on.quiet()
    snapshot = on.snapshot()
    on.notebook.show(on.last)
    box = subject.plot(on).bounding_box()
    assert box is not None, "the plot is not on the page"
    return figures | {
        "plot_down_bytes": snapshot["down"],
        "largest_message_bytes": snapshot["biggest"],
        "plot_px": [round(box["width"]), round(box["height"])],
    }


def data(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """What goes down for a view that may stay empty."""
    on.start(count)
    on.notebook.wait(on.last, 120)
    on.quiet(3000)
    snapshot = on.snapshot()
    said = "none" if snapshot["first"] is None else "drew"
    return {
        "plot_down_bytes": snapshot["down"],
        "largest_message_bytes": snapshot["biggest"],
        "view": f"{said}; {on.page.evaluate(EMPTY)}",
    }


EMPTY = """() => [...document.querySelectorAll('.jp-OutputArea-output')].map(node => {
  const say = root => [...root.querySelectorAll('*')].flatMap(n => n.shadowRoot ? [say(n.shadowRoot)] : []).join(' ')
    + ' ' + (root.textContent ?? '');
  return say(node).match(/[^.]*WebGPU[^.]*\\.?/)?.[0]?.slice(0, 120) ?? '';
}).join(' ').trim()"""


def frames(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """Pictures a second while a hand pans and while it turns the wheel."""
    if "lasso" in subject.MOST:
        subject.clear(on)
    subject.pan_tool(on)
    box = subject.plot(on).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = on.page.mouse
    on.quiet(500, 5_000)

    mouse.move(x, y)
    mouse.down(button=subject.PAN_BUTTON)  # type: ignore[arg-type]
    pan = moving(on, seconds, lambda t: mouse.move(x + 90 * math.sin(t * 4), y + 60 * math.sin(t * 3)))
    mouse.up(button=subject.PAN_BUTTON)  # type: ignore[arg-type]
    on.page.wait_for_timeout(300)  # a wheel right after a drag may be taken for scrolling
    mouse.move(x, y)
    zoom = moving(on, seconds, lambda t: on.wheel(x, y, 400 if int(t * 1.5) % 2 == 0 else -400, 600))
    return {"pan_fps": pan, "zoom_fps": zoom}


def moving(on: Stage, seconds: float, step: Callable[[float], None]) -> float:
    on.page.evaluate("() => { __bench.drain(); __bench.reset(); }")
    began = time.monotonic()
    while (t := time.monotonic() - began) < seconds:
        step(t)  # comes back once the page has taken it, a frame later at the earliest
    # What the GPU has been told but has not drawn yet belongs to the time.
    drawn = on.page.evaluate(
        "() => { __bench.drain(); return __bench.pictures * 1000 / (__bench.now() - __bench.since); }"
    )
    return round(float(drawn), 1)


def lasso(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """Mouse-up to the kernel holding what a lasso of half the points selects; the first one apart."""
    subject.lasso_tool(on)
    on.quiet(500, 10_000)
    first = gesture(on, subject, 0.5)
    share = tuned(on, subject, count, HALF)
    runs = [gesture(on, subject, share) for _ in range(REPEATS)]
    return {
        "lasso_first_ms": first["ms"],
        "lasso_ms": median(runs, "ms"),
        "lasso_highlight_ms": median(runs, "highlight_ms"),
        "lasso_selected": runs[-1]["selected"],
        "lasso_message_bytes": median(runs, "message"),
        "lasso_up_bytes": median(runs, "up"),
        "lasso_down_bytes": median(runs, "down"),
    }


def tuned(on: Stage, subject: Subject, count: int, wanted: float) -> float:
    """The share of the plot's width, from the left, that a lasso must cover to select this share of the points."""
    low, high = 0.01, 0.99
    for _ in range(9):
        share = (low + high) / 2
        got = gesture(on, subject, share, patience_s=5)["selected"] / count
        if abs(got - wanted) < 0.05 * wanted:
            break
        low, high = (share, high) if got < wanted else (low, share)
    return share


def gesture(on: Stage, subject: Subject, share: float, patience_s: float = 60) -> Figures:
    """One lasso, until the line is quiet again. One that selects nothing changes nothing, and is not heard of."""
    # Selecting the same once more would change nothing, so nobody would hear of it.
    subject.clear(on)
    on.quiet(200, 5_000)
    known = on.notebook.value("len(noted)")
    on.page.evaluate("() => { __bench.drain(); __bench.reset(); __bench.ups = []; }")
    subject.lasso(on, share)
    # Not polled too often: asking keeps the kernel busy.
    try:
        on.wait_for_value(f"len(noted) > {known}", patience_s)
    except TimeoutError:
        if patience_s < 60:
            return {"selected": 0}
        raise
    on.quiet(300, 20_000)
    noted = on.notebook.value(f"noted[{known}:]")
    snapshot = on.snapshot()
    up = snapshot["ups"][0]
    after = [one for one in noted if one[0] >= up] or noted[-1:]
    selected = noted[-1][1]
    done = next(at for at, held in after if held == selected)
    return {
        "ms": round(done - up, 1),
        "selected": selected,
        "message": snapshot["biggestUp"],
        "up": snapshot["up"] - snapshot["released"]["up"],
        "down": snapshot["down"] - snapshot["released"]["down"],
        "highlight_ms": None if snapshot["picture"] is None else round(snapshot["picture"] - up, 1),
    }


def armed(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """Mouse-up to the tag being committed, for a hundredth and for half of the points."""
    figures: Figures = {}
    for name, wanted in (("hundredth", PART), ("half", HALF)):
        on.notebook.execute("panel.workspace.arm(None)")
        share = tuned(on, subject, count, wanted)
        times = []
        for number in range(REPEATS):
            tag = f"{name}{number}"
            on.notebook.execute(f"panel.workspace.arm({{'verb': 'tag', 'arguments': {{'tag': {tag!r}}}}})")
            subject.clear(on)
            on.quiet(300, 10_000)
            known = on.notebook.value("len(committed)")
            on.page.evaluate("() => { __bench.ups = []; }")
            subject.lasso(on, share)
            on.wait_for_value(f"len(committed) > {known}", 60)
            on.quiet(300, 20_000)
            up = on.snapshot()["ups"][0]
            times.append(on.notebook.value(f"committed[{known}]") - up)
        figures[f"tag_{name}_ms"] = round(statistics.median(times), 1)
        figures[f"tag_{name}_samples"] = on.notebook.value(f"len(session.where(tag={tag!r}))")
    return figures


def memory(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """What browser and kernel hold more, once all points are there, than with their data alone."""
    on.page.wait_for_timeout(500)
    kernel, browser = on.kernel_rss(), on.browser_bytes()
    on.start(count)
    on.since_sent("all")
    on.notebook.wait(on.last, 120)
    on.quiet(1000)
    after, shown = on.kernel_rss(), on.browser_bytes()
    return {
        "kernel_bytes": after - kernel,
        "browser_bytes": sum(shown[part] - browser[part] for part in ("heap", "buffers")),
        "browser_buffers_bytes": shown["buffers"] - browser["buffers"],
        "browser_rss_bytes": shown["rss"] - browser["rss"],
    }


def slow(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """The first points, and a lasso while the others come, over 2 Mbit/s."""
    assert on.slow is not None
    on.slow.throttle(RATE)
    on.start(count)
    figures: Figures = {"slow_first_points_s": on.since_sent("first")}
    on.notebook.wait(on.last, 120)
    on.notebook.show(on.last)
    known = on.notebook.value("len(noted)")
    on.page.evaluate("() => { __bench.ups = []; }")
    subject.lasso(on, HALF)
    on.wait_for_value(f"len(noted) > {known}", 120)
    up = on.snapshot()["ups"][0]
    return figures | {"slow_lasso_ms": round(on.notebook.value(f"noted[{known}][0]") - up, 1)}


# Pictures ------------------------------------------------------------------------------------------------------


def grid(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """The first screenful, and one in the middle."""
    on.start(0, TILES)
    figures: Figures = {"first_screenful_s": on.since_sent("pictures")}
    on.notebook.wait(on.last, 120)
    on.quiet()
    on.notebook.show(on.last)
    on.page.wait_for_timeout(300)
    figures["screenful"] = on.page.evaluate(f"() => __bench.tiles({TILES!r}).length")
    on.page.evaluate("() => __bench.reset()")
    jumps = []
    for place in (0.5, 0.25, 0.75):
        took = on.page.evaluate(JUMP, [SCROLLER, TILES, place])
        if took is None:
            raise TimeoutError(f"no screenful of pictures came after a jump to {place:.0%} of the grid")
        jumps.append(took)
        on.quiet(300)
    figures |= {"jump_middle_s": round(jumps[0] / 1000, 3), "jump_s": round(statistics.median(jumps) / 1000, 3)}
    return figures | {"jumps_down_bytes": on.snapshot()["down"]}


# Resolves when other tiles than before fill the view, each with its picture, and a frame has gone by.
JUMP = """([scroller, tiles, place]) => new Promise(done => {
  const box = eval(scroller)(), before = new Set(__bench.tiles(tiles).map(one => one.key));
  const began = __bench.now();
  box.scrollTop = (box.scrollHeight - box.clientHeight) * place;
  const look = () => {
    const there = __bench.tiles(tiles);
    if (there.length >= 12 && there.every(one => one.shown && one.key && !before.has(one.key)))
      return requestAnimationFrame(() => done(__bench.now() - began));
    if (__bench.now() - began > 60000) return done(null);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def scroll(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """A steady wheel: frames a second, and how long the longest-blank tile was blank."""
    on.page.evaluate(f"() => {{ ({SCROLLER})().scrollTop = 0; }}")
    on.quiet(500)
    box = on.page.evaluate(f"() => {{ const b = ({SCROLLER})().getBoundingClientRect(); return [b.x, b.y]; }}")
    on.page.evaluate(f"() => {{ __bench.reset(); __bench.watchTiles = {TILES!r}; }}")
    on.wheel(box[0] + 200, box[1] + 200, -WHEEL_PX_S * seconds, WHEEL_PX_S)
    found = on.page.evaluate(
        "() => { __bench.watchTiles = null; const s = __bench.snapshot();"
        f" return [s.frames * 1000 / (s.now - s.since), s.blank, ({SCROLLER})().scrollTop]; }}"
    )
    assert found[2] > 500, "the grid did not scroll"
    return {"scroll_fps": round(found[0], 1), "scroll_longest_blank_ms": round(found[1]), "scrolled_px": found[2]}


# Filters and counts --------------------------------------------------------------------------------------------


def filtering(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """A filter typed into the workbench: until its counts, pictures and points have stopped changing."""
    on.start(count)
    on.until("__bench.all !== null")
    on.notebook.wait(on.last, 120)
    on.notebook.show(on.last)
    on.quiet(1000)
    box = on.page.get_by_label("Filter", exact=True).first
    times, counts = [], []
    for text in ("score < 0.4", "depth > 8 and loss < 0.5", "area between 20000 and 60000"):
        box.fill(text)
        on.quiet(600)
        on.page.evaluate("() => { __bench.ops.clear(); }")
        on.page.evaluate(SETTLING, [1500, 60_000])
        box.press("Enter")
        settled = on.page.evaluate("() => window.__settling")
        if settled["late"]:
            raise TimeoutError(f"the workbench went on changing for a minute after the filter {text}")
        expected = len_of(on, text)
        assert on.notebook.value("int(session.context.filter.mask().sum())") == expected, "another filter held"
        times.append(settled["last"] - settled["began"])
        counts.append(expected)
    return {"filter_ms": round(statistics.median(times), 1), "filter_each_ms": times, "passing": counts}


# Begins with the key, and ends when the workbench has not changed for a while.
SETTLING = """([quiet, longest]) => {
  const root = document.querySelector('[data-dataide-panel=workbench]');
  window.__settling = new Promise(done => root.addEventListener(
    'keydown', () => done(__bench.settled(root, quiet, longest)), {capture: true, once: true}));
}"""


def len_of(on: Stage, text: str) -> int:
    return int(on.notebook.value(f"len(session.where({text!r}))"))


def facets(on: Stage, subject: Subject, count: int, seconds: float) -> Figures:
    """The counts of twelve columns, from the panel's request to its answer, under changing filters."""
    on.start(count)
    on.notebook.wait(on.last, 120)
    on.quiet(1000)
    on.page.evaluate("() => { __bench.ops.clear(); }")
    for clause in ("score < 0.4", "depth > 8", "area > 30000", "loss < 0.5"):
        on.notebook.execute(f"session.context.filter.set('code', {{'type': 'sql', 'text': {clause!r}}})")
        on.quiet(600)
    asked = [one for one in on.page.evaluate("() => __bench.log()") if one["op"] == "facets" and one["last"]]
    took = [one["last"] - one["sent"] for one in asked]
    if not took:
        raise RuntimeError("the panel never asked for counts")
    return {"facets_ms": round(statistics.median(took), 1), "facets_down_bytes": round(asked[-1]["down"])}


def median(runs: list[Figures], name: str) -> float | None:
    known = [run[name] for run in runs if run[name] is not None]
    return round(statistics.median(known), 1) if known else None


class Group:
    """Measurements that share a page; the first one shows the widget."""

    def __init__(self, first: str, *others: str, cells: str | None = None) -> None:
        self.first = first
        self.cells = cells or first
        self.members = (first, *others)


GROUPS = [
    Group("plot", "lasso", "armed", "frames"), Group("data", cells="plot"), Group("memory"), Group("slow"),
    Group("grid", "scroll"), Group("filter"), Group("facets"),
]  # fmt: skip
MEASURES: dict[str, Callable[[Stage, Subject, int, float], Figures]] = {
    "plot": plot, "frames": frames, "lasso": lasso, "armed": armed, "data": data, "memory": memory, "slow": slow,
    "grid": grid, "scroll": scroll, "filter": filtering, "facets": facets,
}  # fmt: skip


def made_first(names: list[str], counts: list[int], what: list[str], subjects: dict[str, Subject]) -> dict[str, float]:
    """Makes environments and sessions before anything is timed; tells how long taking in pictures took."""
    import json

    took: dict[str, float] = {}
    for name in names:
        python(name)
        for count in counts:
            wanted = {one for one in what if count <= subjects[name].MOST.get(one, 0)}
            if wanted & {"grid", "scroll"}:
                told: Path = large.cached(count, pictures=True).parent / "made.json"
                took[str(count)] = json.loads(told.read_text(encoding="utf-8"))["ingest_s"]
            if wanted - {"grid", "scroll"} and name == "dataide":
                large.cached(count)
    return took
