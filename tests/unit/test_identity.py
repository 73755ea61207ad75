"""What a user's model= means, and which revision it is: in this process, without a child."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from dataide.errors import ModelError
from dataide.inference import fingerprint
from dataide.inference.identity import identify, revision_of


def mean(pictures, scale=1.0):
    return np.asarray([np.asarray(one).mean((0, 1)) * scale for one in pictures])


class Measuring:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, pictures):
        return mean(pictures, self.scale)

    def measure(self, pictures):
        return mean(pictures, self.scale)


def in_main(source: str) -> dict:
    """Names of a notebook: functions whose module is __main__."""
    names: dict = {"__name__": "__main__", "np": np}
    exec(textwrap.dedent(source), names)
    return names


def test_names_files_and_objects_are_told_apart(tmp_path):
    assert identify("auto").kind == "auto"
    assert identify("resnet18").kind == "torchvision"
    assert identify(mean).kind == "callable"
    for name in ("timm:resnet50", "open_clip:ViT-B-32/laion2b", "transformers:google/vit"):
        found = identify(name)
        assert (found.kind, found.model) == ("adapter", name)
    assert identify("timm:resnet50").name == "timm_resnet50"
    file = tmp_path / "net.pt2"
    file.write_bytes(b"x")
    for given in (file, str(file)):
        found = identify(given, transform=mean)
        assert (found.kind, found.name, found.model) == ("file", "net", str(file))
    file.write_bytes(b"y")
    assert identify(file, transform=mean).revision != found.revision


def test_an_object_with_two_towers_is_one_also_when_it_can_be_called():
    class Towers(Measuring):
        def embed_images(self, pictures):
            return mean(pictures)

        def embed_texts(self, texts):
            return np.zeros((len(texts), 3))

    found = identify(Towers(2.0))
    assert (found.kind, found.name) == ("towers", "Towers")
    assert found.revision != identify(Towers(3.0)).revision
    with pytest.raises(ModelError, match="Towers is a class"):
        identify(Towers)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (3, {}, "A int is no model"),
        ("resnet18", {"clases": ["a"]}, "no option 'clases'. Did you mean classes"),
        ("resnet18", {"classes": "cat"}, "no list of names"),
        ("resnet18", {"classes": ["cat", "dog", "cat"]}, "Two classes are called 'cat'"),
        ("resnet18", {"classes": []}, "no list of names"),
        ("resnet18", {"transform": 3}, "must be a function, and this is a int"),
        (mean, {"transform": mean}, "transform= is for torch modules"),
        ("gone.pt2", {"transform": mean}, "The model file gone.pt2 cannot be read: No such file"),
        ("resnet18", {"weights": "gone.pt"}, "The weights file gone.pt cannot be read: No such file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(model, options, words):
    with pytest.raises(ModelError) as caught:
        identify(model, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("resnet18", {"threshold": object()}, "threshold= cannot be a object"),
        ("resnet18", {"threshold": np.ones(2)}, "threshold= cannot be a ndarray"),
        ("resnet18", {"threshold": "high"}, "threshold='high' is no score. Give a number from 0 to 1"),
        ("resnet18", {"threshold": float("nan")}, "threshold=nan is no score"),
        ("resnet18", {"layer": mean}, "layer= cannot be a function"),
        ("auto", {"layer": "x"}, "'auto' has no option 'layer'. Leave it out"),
        ("auto", {"transform": mean}, "'auto' has no option 'transform'"),
        (
            "timm:resnet50",
            {"layer": "x"},
            "'timm:resnet50' has no option 'layer'. There are: classes, compile, precision",
        ),
        (mean, {"weights": "x.pt"}, "A function has no option 'weights'. There are: classes, output, threshold"),
        ("net.pt2", {"transform": mean, "weights": "x.pt"}, "The model file net.pt2 has no option 'weights'"),
    ],
)
def test_options_that_cannot_be_or_would_be_ignored_are_refused(model, options, words):
    with pytest.raises(ModelError) as caught:
        identify(model, **options)
    assert words in str(caught.value)


def test_numbers_of_numpy_and_paths_are_options_like_plain_ones(tmp_path):
    weights = tmp_path / "own.pt"
    weights.write_bytes(b"x")
    plain = identify("resnet18", threshold=0.5, weights=str(weights), compile=True)
    other = identify("resnet18", threshold=np.float32(0.5), weights=weights, compile=np.bool_(True))
    assert (plain.options, plain.revision, plain.key) == (other.options, other.revision, other.key)
    assert identify(mean, threshold=np.array(0.5)).key == identify(mean, threshold=0.5).key


def test_a_file_without_a_transform_says_what_to_give(tmp_path):
    (tmp_path / "net.pt2").write_bytes(b"")
    with pytest.raises(ModelError, match="nothing says how pictures become its input") as caught:
        identify(tmp_path / "net.pt2")
    assert "transform=torchvision" in str(caught.value.hint)


def test_the_revision_changes_with_code_and_with_what_it_holds_and_with_nothing_else():
    def by(scale):
        return lambda pictures: mean(pictures) * scale

    def holding(array):
        return lambda pictures: mean(pictures) @ array

    large = np.random.default_rng(0).random((300, 300))
    other = large.copy()
    other[299, 299] += 1
    pairs = [
        (by(2), by(2), by(3)),
        (holding(large), holding(large.copy()), holding(other)),
        (functools.partial(mean, scale=2), functools.partial(mean, scale=2), functools.partial(mean, scale=3)),
        (Measuring(2), Measuring(2), Measuring(3)),
        (Measuring(2).measure, Measuring(2).measure, Measuring(3).measure),
    ]
    for first, same, another in pairs:
        assert revision_of(first) == revision_of(same)
        assert revision_of(first) != revision_of(another)


@pytest.mark.parametrize("weights", [None, "IMAGENET1K_V1"])
def test_another_layer_transform_or_threshold_is_another_revision_before_the_model_is_loaded(weights):
    def made(**options):
        identity = identify("resnet18", task="embedding", weights=weights, **options)
        digest = identity.options.get("digest")
        return identity, identity.revision or "resnet18/IMAGENET1K_V1" + (f"#{digest}" if digest else "")

    kinds = [made(), made(layer="layer2"), made(layer="layer3"), made(transform=abs), made(threshold=0.5)]
    for identity, own in kinds:
        assert [identity.matches(revision) for _, revision in kinds] == [revision == own for _, revision in kinds]
    assert len({revision for _, revision in kinds}) == 5
    assert made(layer="layer2")[1] == kinds[1][1] and not kinds[0][0].matches("resnet34/IMAGENET1K_V1")


def test_how_the_numbers_of_a_function_are_read_is_part_of_its_revision():
    ways: list[dict[str, Any]] = [
        {},
        {"output": "logits"},
        {"output": "probabilities"},
        {"threshold": 0.5},
        {"threshold": 0.05},
    ]
    found = [identify(sorted, task="classification", **way).revision or "" for way in ways]
    assert len(set(found)) == len(ways) and all(one.startswith(found[0]) for one in found)
    assert identify(sorted, task="classification", output="logits").matches(found[1])


def test_a_function_of_the_notebook_has_another_revision_when_what_it_uses_changes():
    source = """
        weights = np.arange(3.0)
        unrelated = {unrelated}
        def helper(one):
            return one * {factor}
        def model(pictures):
            return [helper(np.asarray(one).mean()) * weights for one in pictures if "x" not in {{"a", "b", "c"}}]
    """
    first = in_main(source.format(factor=1, unrelated=1))["model"]
    same = in_main(source.format(factor=1, unrelated=2))["model"]
    another = in_main(source.format(factor=2, unrelated=1))["model"]
    assert revision_of(first) == revision_of(same)
    assert revision_of(first) != revision_of(another)


def test_the_revision_is_the_same_in_another_process(tmp_path):
    names = in_main("""
        table = {"a": np.arange(4), "b": (1, 2)}
        def mean(one):
            return one
        class Holder:
            def __init__(self):
                self.lookup = {"x": 1.5}
        holder = Holder()
        def model(pictures, *, scale=2.0):
            known = "x" in {"b", "x", "long enough to be no name"}
            return [np.asarray(one).mean() * table["b"][0] * holder.lookup["x"] * scale * known for one in pictures]
    """)
    functions = [names["model"], functools.partial(names["model"], scale=3.0), lambda pictures: mean(pictures, 2.0)]
    file = tmp_path / "functions"
    file.write_bytes(cloudpickle.dumps(functions))
    code = "import pickle, sys; from dataide.inference.identity import revision_of; " + (
        "print(*[revision_of(one)[1] for one in pickle.load(open(sys.argv[1], 'rb'))], sep='\\n')"
    )
    root = str(Path(__file__).parents[2])
    told = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, cwd=root, check=True
    ).stdout.split()
    assert told == [revision_of(one)[1] for one in functions]


def test_what_cannot_be_pickled_runs_here_and_says_so():
    lock = threading.Lock()

    def model(pictures):
        with lock:
            return mean(pictures)

    found = identify(model)
    assert not found.pickled
    assert found.function is model
    assert found.note == "model cannot be sent to another process, so it runs in this one"
    assert revision_of(model) == revision_of(model)


def test_values_that_hold_themselves_have_a_fingerprint():
    first: list = [1, 2]
    first.append(first)
    second: list = [1, 2]
    second.append(second)
    assert fingerprint.of(first) == fingerprint.of(second)
    assert fingerprint.of({"b", "a"}) == fingerprint.of({"a", "b"})
    assert fingerprint.of([1, "1"]) != fingerprint.of(["1", 1])


def test_pickles_go_both_ways():
    found = identify(lambda pictures: mean(pictures))
    assert pickle.loads(found.pickled)([np.ones((2, 2, 3))]).tolist() == [[1, 1, 1]]
