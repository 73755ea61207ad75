"""The training recipe: what it chooses, what it leaves, and how it goes on after it was stopped."""

from __future__ import annotations

import numpy as np
import pytest

from dataide.errors import ModelError
from dataide.inference.models import head
from dataide.inference.models.examples import examples

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

CLASSES = ["left", "right"]


def arrows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey noise that is lighter at one side: mirrored, a picture is of the other class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pixels = random.integers(0, 120, (count, 20, 20), np.uint8)
    for picture, label in zip(pixels, labels, strict=True):
        picture[:, 10 * label : 10 * label + 10] += 60
    return pixels, labels


def bars(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coloured noise that is lighter at the top or at the bottom: mirrored, a picture is of the same class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pixels = random.integers(0, 120, (count, 32, 32, 3), np.uint8)
    for picture, label in zip(pixels, labels, strict=True):
        picture[16 * label : 16 * label + 16] += 60
    return pixels, labels


def test_pictures_are_mirrored_only_where_that_changes_nothing():
    from dataide.inference.models import recipe

    turned = recipe.choose(examples(*arrows(300), CLASSES))
    assert not turned.mirrored and turned.channels == 1 and turned.side_px == 20
    same = recipe.choose(examples(*bars(300), CLASSES))
    assert same.mirrored and same.channels == 3


def test_a_network_is_trained_and_names_pictures_it_has_not_seen():
    from dataide.inference.models import recipe

    heard: list[float] = []
    trained = recipe.train(*arrows(300), CLASSES, passes=6, threads=1, progress=lambda part, said: heard.append(part))
    pixels, labels = arrows(100, seed=1)
    assert (recipe.scores(trained.state, pixels).argmax(axis=1) == labels).mean() > 0.95
    assert trained.accuracy is not None and len(trained.curves["held_out_accuracy"]) == 6
    assert heard == sorted(heard) and heard[-1] == 1


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    from dataide.inference.models import recipe

    given = (*bars(200), CLASSES)
    whole = recipe.train(*given, passes=3, threads=1, seed=4)
    file = tmp_path / "kept" / "on_the_way.npz"
    stopped = recipe.train(*given, passes=3, threads=1, seed=4, checkpoint=file, cancelled=file.is_file)
    assert stopped.cancelled and not stopped.state and file.is_file()
    resumed = recipe.train(*given, passes=3, threads=1, seed=4, checkpoint=file)
    assert resumed.state == whole.state and not file.exists()
    assert np.array_equal(resumed.curves["loss"], whole.curves["loss"])
    file.write_bytes(b"torn")
    assert recipe.train(*given, passes=1, threads=1, checkpoint=file).state


def test_examples_of_no_weight_do_not_count():
    pixels, labels = bars(400)
    vectors = pixels.mean(axis=(2, 3)).astype(np.float32)
    wrong = np.where(np.arange(400) < 240, 1 - labels, labels)
    weights = (np.arange(400) >= 240).astype(np.float32)
    told = bars(100, seed=2)
    asked = told[0].mean(axis=(2, 3)).astype(np.float32)
    believed = head.scores(head.train(vectors, wrong, CLASSES, held_out=0.0).state, asked).argmax(axis=1)
    ignored = head.scores(head.train(vectors, wrong, CLASSES, weights=weights).state, asked).argmax(axis=1)
    assert (believed == told[1]).mean() < 0.5 and (ignored == told[1]).mean() > 0.95


def test_a_head_is_the_same_for_the_same_seed_and_leaves_out_what_is_no_number():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 8)).astype(np.float32)
    labels = (vectors[:, 0] > 0).astype(np.int64)
    vectors[3] = np.nan
    vectors[:, 5] = 2.0
    first, again = (head.train(vectors, labels, CLASSES, seed=1) for _ in range(2))
    assert first.state == again.state and first.accuracy is not None and first.accuracy > 0.8
    assert head.train(vectors, labels, CLASSES, cancelled=lambda: True).cancelled


@pytest.mark.parametrize(
    ("inputs", "labels", "options", "message"),
    [
        (np.zeros((9, 4)), np.zeros(9, int), {}, "all are 'left'"),
        (np.zeros((9, 4)), np.full(9, -1), {}, "there are none"),
        (np.zeros((0, 4)), np.zeros(0, int), {}, "there are none"),
        (np.zeros((9, 4)), np.zeros(8, int), {}, "9 examples, and labels of shape 8"),
        (np.zeros((9, 4)), np.full(9, 2), {}, "and there are 2 classes"),
        (np.zeros((9, 4)), np.arange(9) % 2 / 1.0, {}, "Labels are numbers of classes"),
        (np.zeros((9, 4)), np.arange(9) % 2, {"weights": np.full(9, -1.0)}, "some are negative"),
        (np.zeros((9, 8, 8, 3)), np.arange(9) % 2, {}, "neither pictures nor vectors"),
        (np.zeros((9, 4)), np.arange(9) % 2, {"held_out": 1.5}, "no part of the examples"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(inputs, labels, options, message):
    with pytest.raises(ModelError, match=message):
        examples(inputs, labels, CLASSES, **options)


def test_the_only_example_of_a_class_is_trained_on():
    labels = np.r_[np.zeros(50, int), 1]
    given = examples(np.zeros((51, 3)), labels, CLASSES)
    assert 50 in given.train and len(given.held_out) == 5
