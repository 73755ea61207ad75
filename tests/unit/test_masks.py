"""Masks as runs: areas, boxes, COCO's compressed text, moving."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dataide.storage import masks


def test_runs_of_random_masks_say_what_the_pixels_say() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        mask = random.random(random.integers(1, 30, 2)) < random.choice([0.02, 0.3, 0.9])
        runs = masks.encoded(mask)
        rows, columns = np.nonzero(mask)
        assert (masks.decoded(runs, mask.shape[0]) == mask).all()
        assert masks.area(runs) == mask.sum()
        around = None
        if len(rows):
            left, top = columns.min(), rows.min()
            around = (left, top, columns.max() - left + 1, rows.max() - top + 1)
        assert masks.box(runs, mask.shape[0]) == around
        assert (masks.from_text(masks.to_text(runs)) == runs).all()


def test_compressed_runs_of_coco_are_read_and_written_to_the_letter(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("coco-eval-oracle") / "instances_val2014_fakesegm100_results.json"
    entries = json.loads(path.read_text())
    assert len(entries) == 734
    for entry in entries:
        height, width = entry["segmentation"]["size"]
        counts = entry["segmentation"]["counts"]
        runs = masks.from_counts(counts, height, width)
        assert masks.to_text(runs) == counts
        assert masks.area(runs) == masks.decoded(runs, height).sum() > 0


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ("0~", "no compressed runs"),
        ("P", "no compressed runs"),
        ("PPPPPPPPPPPP0", "no compressed runs"),
        ([3, 4], "7 pixels"),
        ([3.5, 4], "no whole numbers"),
        ([-1, 13], "no length"),
        ([[1]], "no whole numbers"),
    ],
)
def test_runs_that_are_none_are_refused(counts: object, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("no length", "length that is none")):
        masks.from_counts(counts, 3, 4)  # type: ignore[arg-type]


def test_the_area_of_outlines_is_gausss() -> None:
    assert masks.polygon_area([[0, 0, 4, 0, 4, 3]]) == 6
    assert masks.polygon_area([[1e6, 1e6, 1e6, 1e6 + 2, 1e6 + 2, 1e6 + 2, 1e6 + 2, 1e6], [0, 0, 1, 0, 0, 1]]) == 4.5


def test_a_mask_moves_and_stretches_with_its_box() -> None:
    mask = np.zeros((8, 10), bool)
    mask[1:3, 2:5] = True
    moved = masks.placed(mask, (2, 1, 3, 2), (5, 4, 3, 2))
    assert moved.sum() == 6 and moved[4:6, 5:8].all()
    larger = masks.placed(mask, (2, 1, 3, 2), (2, 1, 6, 4))
    assert larger.sum() == 24 and larger[1:5, 2:8].all()
    outside = masks.placed(mask, (2, 1, 3, 2), (8, 7, 3, 2))
    assert outside.sum() == 2 and outside[7, 8:].all()
