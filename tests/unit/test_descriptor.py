"""The descriptor "auto": what people rely on when they look for what is alike."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError
from dataide.inference.descriptor import CANVAS_PX, DIMENSION, canvas, describe


def noise(seed: int, side: int = 32) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def accuracy(train: np.ndarray, train_labels, test: np.ndarray, test_labels, *, itself: bool = False) -> float:
    """Majority of the ten nearest by cosine; of equals, the nearest."""
    right = 0
    for vector, label, position in zip(test, test_labels, range(len(test)), strict=True):
        similarity = train @ vector
        if itself:
            similarity[position] = -1
        near = train_labels[np.argsort(-similarity, kind="stable")[:10]]
        values, first, counts = np.unique(near, return_index=True, return_counts=True)
        right += values[np.lexsort((first, -counts))[0]] == label
    return right / len(test)


def test_vectors_have_length_one_and_do_not_change_from_call_to_call():
    pictures = np.stack([noise(seed) for seed in range(20)])
    vectors = describe(pictures)
    assert vectors.shape == (20, DIMENSION)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, describe(pictures))


def test_a_picture_has_the_same_vector_alone_and_among_others():
    pictures = np.stack([noise(seed) for seed in range(300)])
    np.testing.assert_allclose(describe(pictures[137:138])[0], describe(pictures)[137], atol=1e-5)


@pytest.mark.parametrize("level", [0, 127, 128, 255])
def test_an_even_picture_has_a_vector_and_equals_its_like(level):
    one, other = describe(np.full((2, 20, 30), level, np.uint8))
    assert np.isfinite(one).all()
    assert one @ other == pytest.approx(1, abs=1e-5)


def test_the_same_motif_in_another_size_is_most_alike():
    small = describe([Image.fromarray(noise(seed, 64)) for seed in range(10)])
    large = describe([Image.fromarray(noise(seed, 400)) for seed in range(10)])
    assert ((small @ large.T).argmax(axis=1) == np.arange(10)).all()
    assert np.diag(small @ large.T).min() > 0.97


def test_pictures_of_one_pixel_and_of_extreme_shape_are_described():
    sizes = [(1, 1), (1, 300), (3000, 2)]
    vectors = describe([Image.new("RGB", size, "red") for size in sizes])
    np.testing.assert_allclose(vectors @ vectors.T, 1, atol=1e-4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_any_mode_of_picture_is_described(mode):
    image = Image.fromarray(noise(1)).convert("L").convert(mode) if mode != "I;16" else Image.new(mode, (9, 9), 500)
    assert np.isfinite(describe([image])).all()
    assert canvas(image).shape == (CANVAS_PX, CANVAS_PX, 3)


def test_colour_tells_equal_shapes_apart():
    red, blue, other_red = describe([Image.new("RGB", (32, 32), color) for color in ("red", "blue", (250, 10, 5))])
    assert red @ other_red > 0.99 > 0.5 > red @ blue


def test_an_array_that_is_no_batch_of_pictures_is_refused():
    with pytest.raises(ModelError, match="not a batch of pictures"):
        describe(np.zeros((2, 8, 8), np.float32))
    with pytest.raises(ModelError, match="not a batch of pictures"):
        describe(np.zeros((8, 8), np.uint8))


def test_nothing_else_than_numpy_and_pillow_is_loaded():
    code = (
        "import sys, numpy as np; from dataide.inference.descriptor import describe;"
        "describe(np.zeros((2, 8, 8), np.uint8));"
        "print([name for name in ('torch', 'scipy', 'sklearn', 'pandas', 'pyarrow', 'duckdb') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ten_nearest_neighbours_name_nearly_every_digit():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    vectors = describe(np.rint(digits.images * (255 / 16)).astype(np.uint8))
    assert accuracy(vectors, digits.target, vectors, digits.target, itself=True) >= 0.97


@pytest.mark.parametrize(("name", "train", "floor"), [("mnist", 8000, 0.95), ("cifar10", 8000, 0.50)])
def test_ten_nearest_neighbours_name_real_pictures(name, train, floor, shared_data):
    # A part of the sets, where neighbours are fewer and worse; benchmarks/embedding.py takes them whole.
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data(name) / f"{name}.parquet", columns=["split", "label", "image"])
    test = np.flatnonzero(np.asarray(table["split"]) == "test")[:600]
    chosen = table.take(np.concatenate([np.arange(train), test]))
    labels = np.asarray(chosen["label"])
    vectors = describe([Image.open(io.BytesIO(data.as_py())) for data in chosen["image"]])
    assert accuracy(vectors[:train], labels[:train], vectors[train:], labels[train:]) >= floor
