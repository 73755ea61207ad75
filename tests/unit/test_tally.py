"""Counts of several columns in one go are those of each by itself."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.core import tally

SIZES = [1, 2, 21, 1_001, 3, 25, 25, 300, 40_000, 70_000, 17]


@pytest.mark.parametrize("count", [0, 1, 999, 200_003])
@pytest.mark.parametrize("share", [None, 0.0, 0.01, 0.5, 1.0])
def test_counts_are_those_of_each_column_by_itself(count: int, share: float | None) -> None:
    random = np.random.default_rng(3)
    columns = []
    for size in SIZES:
        kind = np.uint8 if size <= 256 else np.uint16 if size <= 65_536 else np.uint32
        codes = random.integers(0, size, count).astype(kind)
        if count:
            codes[[0, -1]] = size - 1  # the largest code there can be
        columns.append((codes, size))
    mask = None if share is None else random.random(count) < share
    for (codes, size), counts in zip(columns, tally.tallies(columns, mask), strict=True):
        expected = np.bincount(codes if mask is None else codes[mask], minlength=size)
        assert counts.dtype == np.int64 and np.array_equal(counts, expected)
        assert np.array_equal(tally.tally(codes, size, mask), expected)


def test_columns_are_counted_together_as_far_as_there_is_room() -> None:
    groups = tally._groups(SIZES)
    assert sorted(at for group in groups for at in group) == list(range(len(SIZES)))
    for group in groups:
        assert len(group) == 1 or np.prod([SIZES[at] for at in group]) <= tally._MOST_PLACES
    assert max(map(len, groups)) >= 4 and len(groups) < len(SIZES) - 3
    assert tally._groups([]) == []
