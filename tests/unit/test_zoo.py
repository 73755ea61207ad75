"""torchvision's models by name, with the real torchvision in a real child; weights are made here, none are fetched."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError
from dataide.inference.identity import identify
from dataide.inference.kernel import Kernel
from dataide.inference.running import once

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytestmark = pytest.mark.torch

NAME = "shufflenet_v2_x0_5"
DETECTOR = "ssdlite320_mobilenet_v3_large"


def build(name=NAME, **options):
    torch.manual_seed(0)
    detects = {"weights_backbone": None} if name == DETECTOR else {}
    return torchvision.models.get_model(name, weights=None, **detects, **options).eval()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> Iterator[Kernel]:
    hub = tmp_path_factory.mktemp("hub")
    for name in (NAME, DETECTOR):
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        file = hub / "hub" / "checkpoints" / os.path.basename(url)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(build(name).state_dict(), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("TORCH_HOME", str(hub))
        made = Kernel("cpu", threads=1)
        yield made
        made.close()


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    made = []
    for seed in range(3):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).resize((240, 200)).save(stream, "PNG")
        made.append(stream.getvalue())
    return made


def opened(pictures: list[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(one)) for one in pictures]


def probabilities(module, pictures: list[bytes]) -> np.ndarray:
    transform = torchvision.models.get_model_weights(NAME).DEFAULT.transforms()
    with torch.inference_mode():
        return module(torch.stack([transform(one) for one in opened(pictures)])).softmax(1).numpy()


def test_a_classifier_has_its_own_weights_and_categories(kernel, pictures):
    identity = identify(NAME, "run", task="classification")
    answer = once(identity, pictures, kernel)
    np.testing.assert_allclose(answer.arrays["probabilities"], probabilities(build(), pictures), atol=1e-4)
    assert answer.details["classes"][:2] == ["tench", "goldfish"]
    assert len(answer.details["classes"]) == 1000
    assert answer.details["parameters"] == sum(one.numel() for one in build().parameters())


def test_what_only_a_file_names_is_loaded_where_it_is_here_and_never_fetched(kernel, pictures):
    def of_file(name):
        known = identify(name, task="embedding")
        return replace(known, options={**known.options, "fetch": False})

    named = once(identify(NAME, task="embedding"), pictures, kernel)
    np.testing.assert_array_equal(
        once(of_file(NAME), pictures, kernel).arrays["vectors"], named.arrays["vectors"], "its weights are here"
    )
    with pytest.raises(ModelError, match="nothing is fetched because a file says so") as caught:
        once(of_file("resnet18"), pictures, kernel)
    assert caught.value.code == "needs_model" and "model='resnet18'" in str(caught.value.hint)
    with pytest.raises(ModelError, match="nothing is fetched") as caught:
        once(of_file("transformers:nobody/nothing"), pictures, kernel)
    assert "model='transformers:nobody/nothing'" in str(caught.value.hint)


def test_a_layer_of_it_embeds(kernel, pictures):
    answer = once(identify(NAME, layer="conv5", task="embedding"), pictures, kernel)
    assert answer.arrays["vectors"].shape == (3, 1024)
    plain = once(identify(NAME, task="embedding"), pictures, kernel)
    np.testing.assert_allclose(answer.arrays["vectors"], plain.arrays["vectors"], atol=1e-4)


@pytest.mark.parametrize("form", ["plain", "checkpoint", "parallel", "safetensors"])
def test_weights_of_a_file_say_how_many_classes_there_are(kernel, pictures, tmp_path, form):
    module = build(num_classes=7)
    state = module.state_dict()
    file = tmp_path / ("own.safetensors" if form == "safetensors" else "own.pt")
    if form == "safetensors":
        write_safetensors(file, state)
    elif form == "parallel":
        torch.save({f"module.{name}": value for name, value in state.items()}, file)
    else:
        torch.save({"epoch": 3, "state_dict": state} if form == "checkpoint" else state, file)
    identity = identify(NAME, "run", task="classification", weights=file, classes=list("abcdefg"))
    assert identity.revision is not None and identity.revision.startswith(f"{NAME}/{file.name}#")
    answer = once(identity, pictures, kernel)
    np.testing.assert_allclose(answer.arrays["probabilities"], probabilities(module, pictures), atol=1e-4)
    assert answer.details["classes"] == list("abcdefg")


def write_safetensors(file: Path, state: dict) -> None:
    """As the format is described: a length, a JSON text, the bytes."""
    head, parts, start = {}, [], 0
    for name, value in state.items():
        data = value.contiguous().numpy().tobytes()
        kind = {torch.float32: "F32", torch.int64: "I64"}[value.dtype]
        head[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [start, start + len(data)]}
        parts.append(data)
        start += len(data)
    text = json.dumps(head).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def test_without_names_classes_have_numbers(kernel, pictures, tmp_path):
    torch.save(build(num_classes=3).state_dict(), tmp_path / "own.pt")
    answer = once(identify(NAME, task="classification", weights=tmp_path / "own.pt"), pictures, kernel)
    assert answer.details["classes"] == ["0", "1", "2"]


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def own(folder: Path, change) -> Path:
    state = build(num_classes=3).state_dict()
    torch.save(change(state) or state, folder / "own.pt")
    return folder / "own.pt"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: {k: v for k, v in state.items() if "fc" not in k}, "it lacks fc.bias, fc.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is not of shufflenet_v2_x0_5"),
        (
            lambda state: state.update({"conv1.0.weight": torch.zeros(24, 1, 3, 3)}),
            "conv1.0.weight is 24 x 1 x 3 x 3 and not 24 x 3 x 3 x 3",
        ),
        (lambda state: [1, 2], "own.pt holds a list and no weights"),
        (lambda state: {"state_dict": {"a": 1}}, "holds a dict and no weights"),
    ],
)
def test_weights_that_do_not_fit_are_explained(kernel, pictures, tmp_path, change, words):
    with pytest.raises(ModelError) as caught:
        once(identify(NAME, task="classification", weights=own(tmp_path, change)), pictures, kernel)
    assert words in caught.value.message
    assert "own.pt" in caught.value.message


def test_weights_with_code_in_them_never_run_unless_trusted(kernel, pictures, tmp_path):
    made = tmp_path / "it_ran"
    file = own(tmp_path, lambda state: {"state_dict": state, "optimizer": Runs(made)})
    with pytest.raises(ModelError, match=r"own\.pt holds Python objects") as caught:
        once(identify(NAME, task="classification", weights=file), pictures, kernel)
    assert caught.value.code == "untrusted"
    assert "mkdir" in caught.value.message
    assert not made.exists()
    answer = once(identify(NAME, task="classification", weights=file, trust=True), pictures, kernel)
    assert answer.arrays["probabilities"].shape == (3, 3)
    assert made.exists()


def test_a_detector_finds_objects_with_its_own_categories(kernel, pictures):
    identity = identify(DETECTOR, "run", task="detection", threshold=0.0)
    answer = once(identity, pictures, kernel)
    transform = torchvision.transforms.functional.pil_to_tensor
    with torch.inference_mode():
        wanted = build(DETECTOR)([transform(one).float() / 255 for one in opened(pictures)])
    assert answer.details["classes"][:2] == ["__background__", "person"]
    assert answer.arrays["count"].tolist() == [len(one["boxes"]) for one in wanted]
    assert answer.arrays["count"].sum() > 0
    np.testing.assert_allclose(answer.arrays["scores"], np.concatenate([one["scores"] for one in wanted]), atol=1e-4)
    first = wanted[0]["boxes"][0].numpy()
    np.testing.assert_allclose(answer.arrays["boxes"][0], [*first[:2], *(first[2:] - first[:2])], atol=0.05)


def test_a_detector_with_own_weights_knows_its_classes(kernel, pictures, tmp_path):
    torch.save(build(DETECTOR, num_classes=3).state_dict(), tmp_path / "own.pt")
    names = ["__background__", "cup", "jar"]
    identity = identify(DETECTOR, task="detection", weights=tmp_path / "own.pt", classes=names, threshold=0.0)
    answer = once(identity, pictures, kernel)
    assert answer.details["classes"] == names
    assert set(answer.arrays["classes"].tolist()) <= {1, 2}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet_18", {"task": "embedding"}, "torchvision has no model 'resnet_18'. Did you mean resnet18"),
        ("fasterrcnn", {"task": "detection"}, "torchvision has no model 'fasterrcnn'"),
        ("fcos_resnet50_fpn", {"task": "embedding"}, "fcos_resnet50_fpn detects objects; it gives no vectors"),
        ("resnet18", {"task": "detection"}, "resnet18 classifies pictures; it finds no objects in them"),
        (NAME, {"task": "embedding", "layer": "conv9"}, "has no layer 'conv9'. Did you mean conv"),
        (NAME, {"task": "embedding", "weights": "IMAGENET9"}, "There are no weights 'IMAGENET9' of"),
    ],
)
def test_names_that_do_not_exist_are_answered_with_those_that_do(kernel, pictures, name, options, words):
    with pytest.raises(ModelError) as caught:
        once(identify(name, **options), pictures, kernel)
    assert words in str(caught.value)
