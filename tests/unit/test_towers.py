"""Two towers: a user's model that reads pictures and texts, in the real inference process."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError
from dataide.inference.embedding import embed_pictures, embed_texts
from dataide.inference.identity import identify
from dataide.inference.kernel import Kernel
from dataide.inference.models.towers import TwoTower, of_towers

WORDS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


class Colours:
    """Mean colours, and what colour words mean."""

    def embed_images(self, images):
        return np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])

    def embed_texts(self, texts):
        return np.stack(
            [sum(np.asarray(WORDS.get(word, (1, 1, 1)), np.float32) for word in text.split()) for text in texts]
        )


class Uneven(Colours):
    def embed_texts(self, texts):
        return np.ones((len(texts), 5))


def png(color: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), color).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel("cpu", threads=1)
    yield kernel
    kernel.close()


def test_both_towers_give_vectors_of_one_space_and_are_loaded_once(kernel):
    identity = identify(Colours(), task="embedding")
    pictures = embed_pictures(identity, [png("red"), png("blue")], kernel=kernel)
    np.testing.assert_allclose(pictures, [[255, 0, 0], [0, 0, 255]], atol=1)
    texts = embed_texts(identity, ["red", "a blue one"], kernel=kernel)
    np.testing.assert_allclose(texts, [[255, 0, 0], [2, 2, 257]], atol=1)
    assert kernel.models == ["Colours"], "the text tower is the same model"


def test_a_picture_that_cannot_be_read_is_said_and_the_towers_go_on(kernel):
    identity = identify(Colours(), task="embedding")
    with pytest.raises(ModelError, match="cannot be embedded"):
        embed_pictures(identity, [b"no picture"], kernel=kernel)
    assert embed_texts(identity, ["red"], kernel=kernel).shape == (1, 3)


def test_towers_of_two_dimensions_are_refused_with_both(kernel):
    identity = identify(Uneven(), task="embedding")
    assert embed_pictures(identity, [png("red")], kernel=kernel).shape == (1, 3)
    with pytest.raises(ModelError, match="a picture 3 numbers and a text 5") as caught:
        embed_texts(identity, ["red"], kernel=kernel)
    assert caught.value.code == "dimension"


def test_a_model_of_pictures_says_that_it_reads_no_texts(kernel):
    with pytest.raises(ModelError, match="reads pictures, not texts") as caught:
        embed_texts(identify("auto", task="embedding"), ["red"], kernel=kernel)
    assert caught.value.code == "no_text"


def test_a_text_tower_that_raises_or_returns_the_wrong_shape_is_named():
    class Raises(Colours):
        def embed_texts(self, texts):
            raise ValueError("no such word")

    class Short(Colours):
        def embed_texts(self, texts):
            return np.ones((len(texts) + 1, 3))

    for towers, said in (
        (Raises(), "ValueError: no such word"),
        (Short(), "2 x 3 for a batch of 1 texts|2 x 3 for a batch"),
    ):
        model = of_towers(towers, "mine")
        with pytest.raises(ModelError, match=said):
            model.compute(model.prepare_text([b"red"])[0])


def test_a_batch_without_a_good_picture_is_empty():
    model = of_towers(Colours(), "mine")
    prepared, problems = model.prepare([b"no picture"])
    assert [index for index, _, _ in problems] == [0]
    assert model.compute(prepared).arrays["vectors"].shape[0] == 0


def test_weights_are_not_gone_through_again_to_load_towers(monkeypatch):
    from dataide.inference import fingerprint

    monkeypatch.setattr(fingerprint, "of", lambda *values, **options: pytest.fail("a fingerprint was taken"))
    assert of_towers(Colours(), "mine").prepare_text([b"red"]) == (["red"], [])


def test_what_lacks_a_tower_is_none():
    assert isinstance(Colours(), TwoTower)
    with pytest.raises(ModelError, match="lacks embed_images or embed_texts"):
        of_towers(object(), "mine")
