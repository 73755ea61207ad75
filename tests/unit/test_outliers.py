"""Outliers: foreign points by themselves and in clumps, far from their class, and pictures planted into real ones."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.errors import DataideError
from dataide.find.outliers import MEASUREMENTS, Known, find_outliers
from dataide.find.pairs import Stopped


def points(count: int, seed: int) -> np.ndarray:
    """Ten groups in 32 directions."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((10, 32)) * 2
    return centres[random.integers(0, 10, count)] + random.standard_normal((count, 32))


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    ranks = scores.argsort().argsort() + 1
    inside = truth.sum()
    return float((ranks[truth].sum() - inside * (inside + 1) / 2) / (inside * (~truth).sum()))


def test_strays_are_found_with_and_without_a_reference():
    random = np.random.default_rng(0)
    strays = random.standard_normal((20, 32)) * 4
    rows = np.concatenate([points(2_000, 1), strays])
    truth = np.arange(len(rows)) >= 2_000
    for reference in (Known(points(2_000, 2)), None):
        found = find_outliers(Known(rows), reference=reference)
        assert auroc(1 - found.score, truth) > 0.99
        assert found.is_outlier[truth].mean() > 0.9
        assert found.is_outlier[~truth].mean() < 0.03
        assert (found.is_outlier == (found.score < 0.5)).all()
        assert found.times[truth].min() > 1


def test_a_clump_is_found_though_its_members_are_close_to_each_other():
    clump = np.random.default_rng(3).standard_normal(32) * 4 + 0.3 * np.random.default_rng(4).standard_normal((60, 32))
    rows = np.concatenate([points(2_000, 5), clump])
    truth = np.arange(len(rows)) >= 2_000
    assert auroc(1 - find_outliers(Known(rows)).score, truth) > 0.97


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("count", "dimension"), [(300, 200), (900, 480), (120, 480)])
def test_of_few_rows_in_many_directions_hardly_any_is_far(count: int, dimension: int, seed: int):
    """What shaped the covariance is measured as if it had not: the others are not swamped."""
    random = np.random.default_rng(seed)
    scales = 1 / np.arange(1, dimension + 1)
    rows, others = (random.standard_normal((count, dimension)) * scales for _ in range(2))
    rows[:3] = random.standard_normal((3, dimension)) * scales.mean() * 3
    for reference in (None, Known(others)):
        found = find_outliers(Known(rows), reference=reference)
        assert found.is_outlier[:3].all()
        assert found.is_outlier[3:].mean() < 0.03


def test_far_from_its_class():
    random = np.random.default_rng(0)
    centres = np.eye(8)[:4] * 8
    codes = random.integers(0, 4, 800)
    rows = centres[codes] + random.standard_normal((800, 8)) * 0.6
    labels: list[str | None] = [f"class {code}" for code in codes]
    for row in range(8):
        labels[row] = f"class {(codes[row] + 1) % 4}"
    labels[100] = None
    labels[101] = "alone"
    found = find_outliers(Known(rows), labels=labels)
    column = found.deviations[:, MEASUREMENTS.index("class")]
    assert np.isnan(column[[100, 101]]).all()
    assert found.is_outlier[:8].all()
    assert np.nanmin(column[:8]) > np.nanquantile(column[8:], 0.99)
    assert "class" in found.reason(0)


def test_statistics_and_energy_alone():
    random = np.random.default_rng(1)
    columns = np.abs(random.normal(1, 0.2, (500, 3)))
    columns[7] = (1, 1, 30)
    columns[9] = np.nan
    found = find_outliers(Known(statistics=columns))
    assert found.score.argmin() == 7 and found.is_outlier[7]
    assert found.score[9] == 1 and found.reason(9) == ""
    assert "deviations out" in found.reason(7)
    energy = random.normal(0, 1, 500)
    energy[3] = 40
    assert find_outliers(Known(energy=energy), reference=Known(energy=energy[10:])).score.argmin() == 3


def test_hardly_anything():
    for count in (0, 1, 2):
        found = find_outliers(Known(np.ones((count, 4))))
        assert found.score.shape == (count,) and not found.is_outlier.any()
    same = find_outliers(Known(np.ones((100, 4))), labels=["a"] * 100)
    assert not same.is_outlier.any(), "where all are alike none is far"
    lost = np.random.default_rng(0).standard_normal((100, 4))
    lost[5], lost[6] = np.nan, 0
    found = find_outliers(Known(lost))
    assert np.isnan(found.times[[5, 6]]).all() and np.isfinite(found.score).all()
    with pytest.raises(DataideError, match="need vectors"):
        find_outliers(Known())
    with pytest.raises(DataideError, match="different samples"):
        find_outliers(Known(np.ones((3, 2)), np.ones((4, 2))))
    with pytest.raises(DataideError, match="same model"):
        find_outliers(Known(np.ones((3, 2))), reference=Known(np.ones((3, 5))))
    with pytest.raises(Stopped):
        find_outliers(Known(lost), stop=lambda: True)


def test_plants_into_real_pictures(shared_data):
    """Digits, noisy and darkened pictures among CIFAR-10, by what needs no model; the benchmark has the rest."""
    for name in ("cifar10", "mnist"):
        shared_data(name)
    from benchmarks.outliers import STATISTICS, read
    from dataide.inference.attributes import describe
    from dataide.inference.descriptor import describe_canvases

    random = np.random.default_rng(0)

    def known(pixels: np.ndarray) -> Known:
        columns = describe(pixels)
        return Known(describe_canvases(pixels), np.stack([columns[name] for name in STATISTICS], axis=1))

    real = read("cifar10", "cifar10", np.sort(random.choice(60_000, 3_060, replace=False)))
    base, around, taken = real[:1_500], real[1_500:3_000], real[3_000:].astype(np.float32)
    truth = np.arange(1_560) >= 1_500
    shares = []
    for plant in (
        read("mnist", "mnist", random.choice(70_000, 60, replace=False)),
        (taken * 0.25).astype(np.uint8),
        (taken + random.normal(0, 25, taken.shape)).clip(0, 255).astype(np.uint8),
    ):
        rows = known(np.concatenate([around, plant]))
        shares.append([auroc(1 - find_outliers(rows, reference=one).score, truth) for one in (known(base), None)])
    by_reference, alone = np.mean(shares, axis=0)
    assert by_reference > 0.87
    assert alone > 0.8
