"""The results of `benchmarks.scale` as Markdown: medians, one table a figure, sizes across."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

FEW = 10_000
RESULTS = Path(__file__).resolve().parent / "results"
EVERY = (10**4, 10**5, 10**6, 5 * 10**6, 10**7)
# Figure, what it is called, factor and unit for people, the target by size (and whether more is better).
ROWS: list[tuple[str, str, float, str, dict[int, float], bool]] = [
    ("first_points_s", "cell executed → first points on screen", 1, "s", dict.fromkeys(EVERY, 0.5), False),
    ("all_points_s", "→ all points on screen", 1, "s", {10**6: 0.8, 5 * 10**6: 1.5}, False),
    ("plot_down_bytes", "bytes down for the plot", 1e-6, "MB", {10**6: 5.5}, False),
    ("largest_message_bytes", "largest message", 1 / 2**20, "MiB", dict.fromkeys(EVERY, 4), False),
    ("pan_fps", "pictures a second, panning", 1, "", {10**6: 30, 10**7: 15}, True),
    ("zoom_fps", "pictures a second, zooming", 1, "", {10**6: 30, 10**7: 15}, True),
    ("lasso_ms", "lasso of half: mouse-up → kernel holds it", 1, "ms", {10**6: 60, 10**7: 300}, False),
    ("lasso_first_ms", "the first lasso", 1, "ms", {}, False),
    ("lasso_highlight_ms", "lasso of half: mouse-up → on screen", 1, "ms", {}, False),
    ("lasso_message_bytes", "the largest message up for it", 1e-3, "kB", dict.fromkeys(EVERY, 1.024), False),
    ("lasso_up_bytes", "all bytes up for it", 1e-3, "kB", {}, False),
    ("lasso_down_bytes", "bytes down after it", 1e-3, "kB", {}, False),
    ("tag_hundredth_ms", "armed lasso of 1 %: mouse-up → committed", 1, "ms", {10**6: 50}, False),
    ("tag_half_ms", "armed lasso of half: mouse-up → committed", 1, "ms", {10**6: 200}, False),
    ("browser_bytes", "browser memory for the plot", 1e-6, "MB", {}, False),
    ("browser_point_bytes", "of it, for each point beyond 10,000", 1, "B", {10**6: 10}, False),
    ("kernel_bytes", "kernel memory over the session's own data", 1e-6, "MB", {10**7: 120}, False),
    ("first_screenful_s", "grid: first screenful", 1, "s", dict.fromkeys((10**4, 70_000, 10**6), 0.5), False),
    ("jump_middle_s", "grid: jump to the middle, screenful there", 1, "s", {10**6: 0.25}, False),
    ("scroll_fps", "grid: frames a second at a steady wheel", 1, "", {10**6: 40}, True),
    ("scroll_longest_blank_ms", "grid: the longest time that a tile was blank", 1, "ms", {10**6: 150}, False),
    ("filter_ms", "filter → counts, grid and plot up to date", 1, "ms", {10**6: 250, 10**7: 1500}, False),
    ("facets_ms", "facets of 12 columns", 1, "ms", {10**6: 200}, False),
    ("slow_first_points_s", "first points over 2 Mbit/s", 1, "s", {10**6: 2}, False),
    ("slow_lasso_ms", "a lasso meanwhile", 1, "ms", {}, False),
]  # fmt: skip


def newest() -> dict[str, Any]:
    """The latest results.

    Raises:
        FileNotFoundError: there are none.
    """
    files = sorted(RESULTS.glob("scale-*.json"))
    if not files:
        raise FileNotFoundError("There are no results yet. Type: python -m benchmarks.scale")
    told: dict[str, Any] = json.loads(files[-1].read_text(encoding="utf-8"))
    return told


def medians(told: dict[str, Any]) -> dict[tuple[str, int], dict[str, float]]:
    """By subject and size: the median of each figure over its runs."""
    gathered: dict[tuple[str, int], dict[str, list[float]]] = {}
    for run in told["runs"]:
        cell = gathered.setdefault((run["subject"], run["count"]), {})
        for name, value in run["figures"].items():
            if isinstance(value, int | float):
                cell.setdefault(name, []).append(value)
    found = {key: {name: statistics.median(values) for name, values in cell.items()} for key, cell in gathered.items()}
    for (subject, count), figures in found.items():
        # The plot's own pictures do not grow with the points: what few points take is not the points'.
        few = found.get((subject, FEW), {}).get("browser_bytes")
        if count > FEW and few is not None and "browser_bytes" in figures:
            figures["browser_point_bytes"] = (figures["browser_bytes"] - few) / (count - FEW)
    return found


def failures(told: dict[str, Any]) -> list[str]:
    """What did not work, once each."""
    found: dict[str, int] = {}
    for run in told["runs"]:
        for name, value in run["figures"].items():
            if name.startswith("failed"):
                what = name.removeprefix("failed").strip() or ", ".join(run["what"])
                line = f"{run['subject']}, {run['count']:,}: {what}: {value}"
                found[line] = found.get(line, 0) + 1
    return [f"{line} ({times} of {_runs(told)} runs)" for line, times in found.items()]


def markdown(told: dict[str, Any]) -> str:
    """One table: a row for each figure and subject, sizes across; an asterisk where the target is missed."""
    found = medians(told)
    sizes = sorted({count for _, count in found})
    names = list(dict.fromkeys(subject for subject, _ in found))
    head = ["figure", "subject", *(f"{size:,}" for size in sizes), "target"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, words, factor, unit, targets, more in ROWS:
        label = words
        for subject in names:
            cells = [found.get((subject, size), {}).get(name) for size in sizes]
            if all(value is None for value in cells):
                continue
            shown = []
            for size, value in zip(sizes, cells, strict=True):
                if value is None:
                    shown.append("")
                    continue
                value *= factor
                target = targets.get(size) if subject == "dataide" else None
                missed = target is not None and (value < target if more else value > target)
                shown.append(f"{_number(value)} {unit}".strip() + (" *" if missed else ""))
            lines.append(
                "| " + " | ".join([label, subject.replace("_", "-"), *shown, _target(targets, unit, more)]) + " |"
            )
            label = ""
    host = told["machine"]
    drawn = "SwiftShader draws the pages" if told["drawing"] == "swiftshader" else "no GPU"
    about = f"Medians of {_runs(told)} runs; JupyterLab and headless Chromium, {drawn}, {host['cpus']} cores."
    lines += ["", f"{about} An asterisk marks a missed target. `python -m benchmarks.scale {told['command']}`".rstrip()]
    lines += ["", *(f"- {line}" for line in failures(told))]
    for count, seconds in told.get("ingest_s", {}).items():
        lines.append(f"- Taking in {int(count):,} pictures from one Parquet file: {seconds:,.0f} s.")
    return "\n".join(lines).rstrip() + "\n"


def _runs(told: dict[str, Any]) -> int:
    return 1 + max((run["run"] for run in told["runs"]), default=0)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _target(targets: dict[int, float], unit: str, more: bool) -> str:
    sign = "≥" if more else "≤"
    if len(set(targets.values())) == 1:
        return f"{sign} {_number(next(iter(targets.values())))} {unit}".strip()
    return ", ".join(f"{size:,}: {sign} {_number(value)} {unit}".strip() for size, value in targets.items())
