"""Similar to these and not to those."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.errors import ActionError
from dataide.find.relevance import histogram, relevance


def two_directions(count: int = 3_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around two directions 60 degrees apart, and around nothing; which of the three."""
    random = np.random.default_rng(seed)
    of = random.integers(0, 3, count)
    rows = 0.15 * random.standard_normal((count, 32))
    rows[of == 0, 0] += 1
    rows[of == 1, 0] += 0.5
    rows[of == 1, 1] += 0.87
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), of


def test_what_is_unlike_an_example_comes_first_and_the_rest_falls_back():
    rows, of = two_directions()
    first, second = np.flatnonzero(of == 0)[:3], np.flatnonzero(of == 1)[:3]
    plain = relevance(rows, rows[first])
    steered = relevance(rows, rows[first], rows[second])
    gap = [scores[of == 0].mean() - scores[of == 1].mean() for scores in (plain.scores, steered.scores)]
    assert gap[1] > gap[0] + 0.1
    taken = steered.scores >= steered.threshold
    assert np.mean(of[taken] == 0) > 0.9 and not taken[second].any()
    assert steered.above(steered.threshold) == taken.sum()


def test_the_histogram_counts_every_sample_once_over_blocks():
    random = np.random.default_rng(0)
    scores = random.standard_normal(150_000).astype(np.float32)
    scores[::1000] = np.nan
    counts, edges = histogram(scores, bins=40)
    finite = scores[np.isfinite(scores)]
    assert counts.sum() == len(finite)
    assert edges[0] == finite.min() and edges[-1] == finite.max()
    inside = np.zeros(len(scores), bool)
    inside[:100] = True
    assert histogram(scores, among=inside)[0].sum() == 99


@pytest.mark.filterwarnings("error")
def test_odd_input_has_a_clear_answer():
    rows, _ = two_directions(50)
    rows[7] = np.nan
    found = relevance(rows, rows[0])  # one example, not a list of them
    assert np.isnan(found.scores[7]) and found.counts.sum() == 49
    same = relevance(np.repeat(rows[:1], 10, axis=0), rows[:1])
    assert same.counts.sum() == 10
    assert len(relevance(rows[:0], rows[:1]).scores) == 0
    with pytest.raises(ActionError, match="no usable example"):
        relevance(rows, rows[7:8])
    with pytest.raises(ActionError, match="shape"):
        relevance(rows, rows[:1, :5])
    with pytest.raises(ActionError, match="stopped"):
        relevance(rows, rows[:1], stop=lambda: True)
    with pytest.raises(ActionError, match="take each other away"):
        relevance(rows, np.stack([rows[0], -rows[0]]))
