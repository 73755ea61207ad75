"""Near duplicates: planted copies of real photos, chains, groups, and input that is hardly any."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.errors import DataideError
from dataide.find.alignment import agreement
from dataide.find.evidence import EXACT, LOOK, hash_parts, threshold
from dataide.find.grouping import components, stars
from dataide.find.near_duplicates import find_near_duplicates
from dataide.find.pairs import Stopped, neighbours


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures with edges, 32 x 32."""
    from PIL import Image

    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (7, 7, 3), np.uint8))
        made.append(np.asarray(coarse.resize((32, 32), Image.Resampling.BICUBIC)))
    return np.stack(made)


@pytest.mark.parametrize("count", [2, 3, 700, 2_500])
def test_neighbours_are_those_of_all_products(count):
    rows = unit(np.random.default_rng(count).standard_normal((count, 24)))
    places, similarity = neighbours(rows, k=7)
    products = (rows @ rows.T).astype(np.float64)
    np.fill_diagonal(products, -9)
    k = min(7, count - 1)
    assert np.allclose(similarity, -np.sort(-products, axis=1)[:, :k], atol=1e-5)
    assert np.allclose(np.take_along_axis(products, places.astype(np.int64), 1), similarity, atol=1e-5)


def test_rows_without_direction_are_nobodys_neighbours():
    rows = unit(np.random.default_rng(0).standard_normal((30, 5)))
    rows[3], rows[8] = 0, np.nan
    places, similarity = neighbours(rows, k=29)
    assert not np.isin(places[[0, 1, 20]], [3, 8]).any()
    assert (places[[3, 8]] == -1).all()
    assert np.isneginf(similarity[[3, 8]]).all()


def test_in_cells_close_pairs_are_found_once():
    random = np.random.default_rng(1)
    rows = random.standard_normal((3_000, 16))
    rows[1_500:] = rows[:1_500] + 0.02 * random.standard_normal((1_500, 16))
    places, _ = neighbours(unit(rows), k=5, exact_rows=100)
    assert (places[:, 0] == (np.arange(3_000) + 1_500) % 3_000).mean() > 0.97
    for row in places[:200].tolist():
        there = [one for one in row if one >= 0]
        assert len(set(there)) == len(there)


def test_many_equal_rows_stay_bounded():
    places, similarity = neighbours(np.full((9_000, 4), 0.5, np.float32), k=3, exact_rows=100)
    assert (places >= 0).all()
    assert np.allclose(similarity, 1)


def test_what_mirroring_turns_is_found_by_the_sign():
    shown = pictures(40)
    both = np.concatenate([shown, shown[:, :, ::-1]])
    found = find_near_duplicates(pictures=both)
    assert (found.partner[:40] == np.arange(40) + 40).all()
    assert found.mirrored.all()
    assert (found.score < 0.5).all()
    assert found.groups == 40
    assert "mirrored" in found.reason(0)


def test_hashes_of_mirror_images_without_hashing_them():
    from PIL import Image

    from dataide.inference.attributes import describe

    shown = pictures(60)
    columns = describe([Image.fromarray(one) for one in np.concatenate([shown, shown[:, :, ::-1]])])
    even, odd = hash_parts(columns["dhash"], columns["phash"])
    products = np.einsum("ij,ij->i", even[:60], even[60:]) - np.einsum("ij,ij->i", odd[:60], odd[60:])
    assert products.mean() > 0.9, "nearly all bits are as mirroring makes them"
    assert np.allclose((even**2).sum(1) + (odd**2).sum(1), 1, atol=1e-5)
    found = find_near_duplicates(hashes=(columns["dhash"], columns["phash"]))
    assert (found.partner[:60] == np.arange(60) + 60).mean() > 0.95


def test_agreement_of_cropped_and_of_other_pictures():
    from PIL import Image

    shown = [Image.fromarray(one).resize((200, 200), Image.Resampling.BICUBIC) for one in pictures(30)]
    cropped = [image.crop((8, 5, 194, 191)) for image in shown]
    small = np.stack([np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC)) for image in shown + cropped])
    straight = np.zeros(30, bool)
    same = agreement(small, np.arange(30), np.arange(30) + 30, straight)
    other = agreement(small, np.arange(30), 30 + (np.arange(30) + 1) % 30, straight)
    assert same.min() > 0.93
    assert other.max() < 0.8
    assert agreement(np.full((2, 32, 32), 9, np.uint8), np.array([0]), np.array([1]), straight[:1])[0] == 0


def test_the_same_bytes_the_best_one_leaks_and_conflicts():
    vectors = np.random.default_rng(0).standard_normal((60, 8))
    content = [f"hash {number}" for number in range(60)]
    content[10] = content[20] = content[3]
    content[40] = content[41]
    content[50] = content[51] = ""
    found = find_near_duplicates(
        content=content,
        vectors=vectors,
        labels=[None if one in (3, 10) else "cat" if one != 40 else "dog" for one in range(60)],
        splits=["test" if one == 20 else "train" for one in range(60)],
        area_px=np.where(np.arange(60) == 10, 500, 100),
    )
    exact = found.kind == EXACT
    assert sorted(zip(found.first[exact].tolist(), found.second[exact].tolist(), strict=True)) == [
        (3, 10),
        (3, 20),
        (40, 41),
    ]
    assert (found.score[exact] == 0).all()
    assert found.group[3] == found.group[10] == found.group[20] >= 0
    assert found.group[40] == found.group[41] != found.group[3]
    assert found.keep[20] and not found.keep[[3, 10]].any(), "the labelled one"
    assert found.leak[[3, 10, 20]].all() and not found.leak[[40, 41]].any()
    assert found.conflict[[40, 41]].all() and not found.conflict[[3, 10, 20]].any()
    assert found.reason(41, lambda row: f"s{row}").startswith("The same bytes as s40")
    assert found.keep.sum() == found.groups


def test_chains_fall_into_groups_of_what_is_alike():
    def close(row: int, others: np.ndarray) -> np.ndarray:
        return np.abs(others - row) <= 1

    links = np.arange(9)
    assert (components(links, links + 1, 11)[:10] == 0).all()
    group = stars(links, links + 1, 11, close, lambda: False)
    for number in range(group.max() + 1):
        assert np.ptp(np.flatnonzero(group == number)) <= 2, "each at most one step from the centre"
    assert group[10] == -1
    hidden = stars(np.array([0, 1]), np.array([1, 2]), 4, lambda row, others: others >= 0, lambda: False)
    assert hidden.tolist() == [0, 0, 0, -1]


def test_the_threshold_is_far_below_what_is_usual_and_a_few_copies_do_not_move_it():
    distances = np.exp(np.random.default_rng(0).normal(-1, 0.5, 20_000)).astype(np.float32)
    clean = threshold(distances, 3.0, (0, 9))
    assert (distances < clean).mean() < 0.004
    distances[:1_000] = 1e-4
    assert threshold(distances, 3.0, (0, 9)) == pytest.approx(clean, rel=0.25)
    assert threshold(np.empty(0, np.float32), 3.0, (0.1, 9)) == 0.1


def test_hardly_anything():
    for count in (0, 1):
        found = find_near_duplicates(vectors=np.ones((count, 3)), content=["a"] * count)
        assert found.groups == 0 and len(found.first) == 0 and found.group.shape == (count,)
    constant = find_near_duplicates(vectors=np.ones((40, 6)), pictures=np.full((40, 32, 32, 3), 7, np.uint8))
    assert (constant.score <= 0.5).all(), "equal vectors are as close as can be"
    lost = find_near_duplicates(vectors=np.full((20, 4), np.nan))
    assert lost.groups == 0 and (lost.sample_score == 1).all()
    with pytest.raises(DataideError, match="nothing to compare"):
        find_near_duplicates()
    with pytest.raises(DataideError, match="different lengths: 2, 3"):
        find_near_duplicates(vectors=np.ones((2, 3)), content=["a"] * 3)
    with pytest.raises(DataideError, match="multiple of 8"):
        find_near_duplicates(pictures=np.zeros((2, 12, 12), np.uint8))
    with pytest.raises(Stopped):
        find_near_duplicates(vectors=np.random.default_rng(0).random((50, 4)), stop=lambda: True)


def test_planted_copies_of_real_photos(shared_data):
    for name in ("coco128", "clothing", "houses"):
        shared_data(name)
    from benchmarks.near_duplicates import photos

    for seed in (1, 2):
        figures = photos(seed, copies=120, most=500)
        assert figures["no_model_missed"] <= 0.06
        assert figures["auto_missed"] <= 0.05
        assert figures["hashes_missed"] <= 0.3
        assert figures["auto_flagged_of_copies"] >= 0.9
        assert figures["no_model_flagged_of_others"] <= 0.01


def test_looks_of_kinds():
    shown = pictures(50)
    found = find_near_duplicates(pictures=np.concatenate([shown, shown[:5]]))
    flagged = found.score < 0.5
    assert flagged.sum() == 5 and (found.kind[flagged] == LOOK).all()
