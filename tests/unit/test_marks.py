"""Which points are selected and which pass the filter: exact, in bytes for the few and not for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataide as di
from dataide.core.gaps import shortest
from dataide.core.points import Points
from dataide.widgets.workspace import Workspace
from tests.unit.big_session import big_session
from tests.unit.plot_session import ask

GOLDEN = Path(__file__).resolve().parents[1] / "protocol" / "marks.json"
COUNT = 9_000
TOTAL = 4_001  # no whole number of bytes


def said(mask: Any) -> tuple[str, bytes]:
    return shortest(np.packbits(mask, bitorder="little"), len(mask))


def unfolded(form: str, data: bytes, total: int) -> Any:
    """The plain way, byte by byte."""
    if form in ("none", "all"):
        assert data == b""
        return np.full(total, form == "all")
    if form == "some":
        assert len(data) == -(-total // 8)
        return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:total].astype(bool)
    mask = np.full(total, form == "except")
    at, gap, shift = -1, 0, 0
    for byte in data:
        gap += (byte & 127) << shift
        shift += 7
        if byte < 128:
            at += gap + 1
            mask[at] = form == "only"
            gap = shift = 0
    assert shift == 0, "the last one is whole"
    return mask


def masks() -> dict[str, tuple[Any, str]]:
    random = np.random.default_rng(5)
    at = np.arange(TOTAL)
    return {
        "nothing": (at < 0, "none"),
        "everything": (at >= 0, "all"),
        "the first": (at == 0, "only"),
        "the last": (at == TOTAL - 1, "only"),
        "all but the last": (at < TOTAL - 1, "except"),
        "every other": (at % 2 == 0, "some"),
        "every second": (at % 2 == 1, "some"),
        "the first half": (at < TOTAL // 2, "some"),
        "a hundredth": (random.random(TOTAL) < 0.01, "only"),
        "half": (random.random(TOTAL) < 0.5, "some"),
        "nearly all": (random.random(TOTAL) < 0.97, "except"),
        "gaps of all lengths": (np.isin(at, [127, 255, 256, 384, 385]), "only"),
    }


@pytest.mark.parametrize("name", masks())
def test_what_is_said_is_the_mask_in_its_shortest_form(name: str) -> None:
    mask, expected = masks()[name]
    form, data = said(mask)
    assert form == expected
    assert np.array_equal(unfolded(form, data, TOTAL), mask)
    assert len(data) <= -(-TOTAL // 8)


def test_any_share_of_the_points_is_exact_and_never_longer_than_bits() -> None:
    random = np.random.default_rng(6)
    forms = set()
    for total in (1, 7, 8, 9, 300, 5_000):
        for share in (0.0, 0.001, 0.05, 0.12, 0.13, 0.3, 0.88, 0.95, 0.999, 1.0):
            mask = random.random(total) < share
            form, data = said(mask)
            forms.add(form)
            assert np.array_equal(unfolded(form, data, total), mask) and len(data) <= -(-total // 8)
    assert forms == {"none", "all", "only", "except", "some"}


def test_far_apart_points_take_longer_gaps() -> None:
    mask = np.zeros(3_000_000, bool)
    mask[[0, 128, 129 + 128, 2_500_000]] = True
    form, data = said(mask)
    assert (form, data[:4]) == ("only", bytes([0, 127, 128, 1])) and len(data) == 8
    assert np.array_equal(unfolded(form, data, len(mask)), mask)


def test_the_golden_bytes_are_what_is_written() -> None:
    for share in json.loads(GOLDEN.read_text(encoding="utf-8"))["shares"]:
        mask = np.full(share["total"], "but" in share)
        mask[share.get("but") or share.get("points") or []] = "points" in share
        assert said(mask) == (share["share"], bytes.fromhex(share["bytes"]))


@pytest.mark.parametrize("held", [COUNT, 2_501])
def test_marks_are_in_the_order_of_the_points_that_a_page_holds(held: int) -> None:
    random = np.random.default_rng(7)
    nos = random.permutation(12_000)[:COUNT].astype(np.uint32)  # not every sample has a place
    placed = Points.of("map", nos, *random.random((2, COUNT), np.float32))
    placed.most = held
    wire = placed.samples(0, held)
    for share in (0.002, 0.4, 0.99):
        mask = random.random(12_000) < share
        assert np.array_equal(unfolded(*placed.marked(mask), held), mask[wire])
    nobody = np.ones(12_000, bool)
    nobody[wire] = False
    assert placed.marked(nobody) == ("none", b"") and placed.marked(~nobody) == ("all", b"")
    early = np.ones(5_000, bool)  # samples that came later are in no mask
    assert np.array_equal(unfolded(*placed.marked(early), held), wire < 5_000)


def down(path: Path, count: int) -> dict[str, int]:
    """Bytes of the answer after filters that show or hide a thousand samples, and after selections of a thousand."""
    with di.open(big_session(path, count)) as session:
        workspace = Workspace(session.context)
        few = [f"s{no}" for no in range(0, count, count // 1_000)]
        nos = workspace.places.points("auto/pca").samples(0, count)
        sizes = {}
        for name, kind in (("shown", "in"), ("hidden", "not_in")):
            workspace.filter.set("text", {"type": kind, "column": "sample_id", "values": few})
            passing = workspace.filter.mask()
            assert min(np.count_nonzero(passing), np.count_nonzero(~passing)) == 1_000
            workspace.selection.combine(passing, "replace")
            reply = ask(workspace, "marks", projection="auto/pca")[0]
            shares = reply.body["selected"], reply.body["visible"]
            for share, data in zip(shares, reply.buffers, strict=True):
                assert np.array_equal(unfolded(share, bytes(data), count), passing[nos])
            sizes[name] = len(reply.buffers[1]) + len(json.dumps(reply.body))
        return sizes


@pytest.mark.once
def test_a_filter_costs_bytes_for_the_few_at_any_number_of_points(tmp_path: Path) -> None:
    small, large = down(tmp_path / "small.duckdb", 10_000), down(tmp_path / "large.duckdb", 1_000_000)
    for name, size in large.items():
        # A gap among a hundred times as many points is one byte longer: 7 more bits of what has to be said.
        assert size < 2_300 and size - small[name] < 1_000, (small, large)
