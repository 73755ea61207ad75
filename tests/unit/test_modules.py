"""Torch modules of the user, from the notebook to a real child: what they compute, and how they fail."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError
from dataide.inference.identity import identify
from dataide.inference.kernel import Kernel
from dataide.inference.running import once

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.torch


def to_tensor(image):
    """As torchvision's Resize and ToTensor, without its import."""
    pixels = np.asarray(image.resize((16, 16)), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class Net(torch.nn.Module):  # type: ignore[name-defined]
    def __init__(self, seed=0, channels=3):
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Sequential(nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 4)
        self.unused = nn.Linear(6, 4)

    def forward(self, batch):
        return self.head(self.drop(self.stem(batch).mean((2, 3))))


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        made = Kernel("cpu", threads=1)
        yield made
        made.close()


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    made = []
    for seed in range(5):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        made.append(stream.getvalue())
    return made


def batch_of(pictures: list[bytes]):
    return torch.stack([to_tensor(Image.open(io.BytesIO(one))) for one in pictures])


def test_a_module_computes_what_it_does_in_evaluation_mode_and_stays_as_it_was(kernel, pictures):
    module = Net()
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    answer = once(identify(module, transform=to_tensor, task="embedding"), pictures, kernel)
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    with torch.inference_mode():
        wanted = module.eval()(batch_of(pictures)).numpy()
    np.testing.assert_allclose(answer.arrays["vectors"], wanted, atol=1e-5)
    assert answer.details["parameters"] == sum(one.numel() for one in module.parameters())
    assert answer.details["class"].endswith("test_modules.Net")


@pytest.mark.parametrize(("layer", "dimension"), [("stem", 6), ("stem.1", 6), ("drop", 6), ("head", 4)])
def test_a_layer_is_read_and_grids_are_averaged(kernel, pictures, layer, dimension):
    module = Net()
    identity = identify(module, transform=to_tensor, layer=layer, task="embedding")
    answer = once(identity, pictures, kernel)
    assert answer.arrays["vectors"].shape == (5, dimension)
    assert answer.details["layer"] == layer
    module.eval()
    with torch.inference_mode():
        stem = module.stem[0](batch_of(pictures))
        parts = {"stem.1": module.stem[1](stem), "stem": module.stem(batch_of(pictures))}
        parts["drop"] = parts["stem"].mean((2, 3))
        parts["head"] = module.head(parts["drop"])
    wanted = parts[layer].mean((2, 3)) if parts[layer].ndim == 4 else parts[layer]
    np.testing.assert_allclose(answer.arrays["vectors"], wanted.numpy(), atol=1e-5)


def test_a_class_of_the_notebook_goes_along(tmp_path):
    code = """
        import os, sys
        import numpy as np, torch
        from torch import nn
        from dataide.inference.identity import identify
        from dataide.inference.kernel import Kernel
        from dataide.inference.running import once

        class Notebook(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.shift = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
            def forward(self, batch):
                return SCALE * batch.mean((2, 3)) + self.shift

        SCALE = 10
        transform = lambda image: torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)
        module = Notebook()
        kernel = Kernel("cpu", threads=1)
        with open(sys.argv[1], "rb") as file:
            answer = once(identify(module, transform=transform), [file.read()], kernel)
        kernel.close()
        print(answer.arrays["vectors"].tolist())
        first = identify(module, transform=transform).revision
        with torch.no_grad():
            module.shift += 1
        print(first.startswith("Notebook#"), first == identify(module, transform=transform).revision)
    """
    Image.new("RGB", (4, 4), (255, 0, 255)).save(tmp_path / "one.png")
    (tmp_path / "notebook.py").write_text(textwrap.dedent(code))
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, str(tmp_path / "notebook.py"), str(tmp_path / "one.png")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert found.stdout.splitlines() == ["[[11.0, 2.0, 13.0]]", "True False"], found.stderr


def test_the_revision_knows_weights_layer_and_transform_but_not_the_mode(pictures):
    def other(image):
        return to_tensor(image) * 2

    first = identify(Net(), transform=to_tensor)
    assert identify(Net().eval(), transform=to_tensor).revision == first.revision
    assert identify(Net().half(), transform=to_tensor).revision != first.revision
    others = [
        identify(Net(seed=1), transform=to_tensor),
        identify(Net(), transform=other),
        identify(Net(), transform=to_tensor, layer="stem"),
    ]
    assert len({one.revision for one in [first, *others]}) == 4
    loud = Net()
    loud.drop.p = 0.1
    assert identify(loud, transform=to_tensor).revision != first.revision


def test_modules_of_other_precisions_and_shared_weights_arrive_whole():
    from dataide.inference.models.sending import dumps

    class Tied(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4, dtype=torch.bfloat16)
            self.second = nn.Linear(4, 4, dtype=torch.bfloat16)
            self.second.weight = self.first.weight
            self.register_buffer("scale", torch.tensor(3), persistent=False)
            self.first.bias.requires_grad_(False)

    import pickle

    module = Tied()
    back = pickle.loads(dumps(module))
    assert back.second.weight is back.first.weight
    assert torch.equal(back.first.weight, module.first.weight)
    assert back.scale.item() == 3
    assert not back.first.bias.requires_grad
    assert isinstance(back.first.bias, nn.Parameter)


class Wrapped(torch.nn.Module):  # type: ignore[name-defined]
    def __init__(self, how):
        super().__init__()
        self.net = Net()
        self.how = how

    def forward(self, batch):
        made = self.net(batch)
        if self.how == "dict":
            return {"features": made, "loss": made.sum()}
        if self.how == "tuple":
            return (made,)
        if self.how == "tokens":
            return {"last_hidden_state": torch.stack([made, made + 2], 1)}
        if self.how == "two":
            return made, made
        if self.how == "nan":
            return made * float("nan")
        if self.how == "some nan":
            return torch.where(torch.arange(len(made))[:, None] == 2, float("nan"), made)
        if self.how == "grid":
            return self.net.stem(batch)
        if self.how == "raises":
            raise ValueError("the user's own words")
        return None


@pytest.mark.parametrize(("how", "shift"), [("dict", 0), ("tuple", 0), ("tokens", 1)])
def test_the_obvious_tensor_is_taken(kernel, pictures, how, shift):
    answer = once(identify(Wrapped(how), transform=to_tensor, task="embedding"), pictures, kernel)
    with torch.inference_mode():
        wanted = Net().eval()(batch_of(pictures)).numpy() + shift
    np.testing.assert_allclose(answer.arrays["vectors"], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("two", " x 4. Wrap it in a module that returns the one that is meant"),
        ("nothing", "Wrapped returned a NoneType without a tensor."),
        ("nan", "numbers that are infinite or not numbers, for each of 5 samples"),
        ("grid", "Wrapped returned 5 x 6 x 14 x 14 for a batch of 5;"),
        ("raises", "Wrapped failed: ValueError: the user's own words."),
    ],
)
def test_what_a_module_does_wrong_is_said_with_its_name(kernel, pictures, how, words):
    with pytest.raises(ModelError) as caught:
        once(identify(Wrapped(how), transform=to_tensor, task="embedding"), pictures, kernel)
    assert words in str(caught.value)


def test_one_picture_without_numbers_is_a_problem_of_its_own(kernel, pictures):
    answer = once(identify(Wrapped("some nan"), transform=to_tensor, task="embedding"), pictures, kernel)
    assert [(row, code) for row, code, _ in answer.problems] == [(2, "not_finite")]
    assert answer.arrays["vectors"].shape == (4, 4)


def test_wrong_channels_are_named(kernel, pictures):
    with pytest.raises(ModelError, match=r"Net failed: RuntimeError: .*expected input.* to have 1 channels"):
        once(identify(Net(channels=1), transform=to_tensor, task="embedding"), pictures, kernel)


def test_classes_are_counted(kernel, pictures):
    module = Net()
    answer = once(identify(module, transform=to_tensor, task="classification", classes=list("abcd")), pictures, kernel)
    with torch.inference_mode():
        wanted = module.eval()(batch_of(pictures)).softmax(1).numpy()
    np.testing.assert_allclose(answer.arrays["probabilities"], wanted, atol=1e-5)
    unnamed = once(identify(module, transform=to_tensor, task="classification"), pictures, kernel)
    assert unnamed.details["classes"] == ["0", "1", "2", "3"]
    with pytest.raises(ModelError, match="Net gives 4 numbers for each sample, and there are 3 classes"):
        once(identify(module, transform=to_tensor, task="classification", classes=list("abc")), pictures, kernel)


def test_a_detector_gets_a_list_of_tensors(kernel, pictures):
    class Detector(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, images):
            assert isinstance(images, list)
            box = [[1.0, 2.0, 5.0, 8.0]]
            return [
                {"boxes": torch.tensor(box), "scores": torch.tensor([0.9]), "labels": torch.tensor([number % 2])}
                for number, _ in enumerate(images)
            ]

    answer = once(identify(Detector(), transform=to_tensor, task="detection", classes=["a", "b"]), pictures, kernel)
    assert answer.arrays["count"].tolist() == [1] * 5
    assert answer.arrays["boxes"][0].tolist() == [1, 2, 4, 6]
    assert answer.arrays["classes"].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Net is a torch module, and nothing says how pictures become its input."),
        ({"transform": to_tensor, "layer": "heat"}, "Net has no layer 'heat'. Did you mean head"),
        ({"transform": to_tensor, "weights": "x.pt"}, "Net has its weights already."),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(options, words):
    with pytest.raises(ModelError) as caught:
        identify(Net(), **options)
    assert words in str(caught.value)
    with pytest.raises(ModelError, match=r"Net is a class. Give a module of it"):
        identify(Net, transform=to_tensor)


def test_a_transform_of_the_module_is_taken():
    module = Net()
    module.transform = to_tensor
    assert identify(module).kind == "module"


def test_a_layer_that_is_never_used_is_named(kernel, pictures):
    with pytest.raises(ModelError, match="The layer 'unused' of Net is never used"):
        once(identify(Net(), transform=to_tensor, layer="unused", task="embedding"), pictures, kernel)


def test_a_module_that_cannot_travel_is_explained():
    module = Net()
    module.lock = threading.Lock()
    with pytest.raises(ModelError, match="Net cannot be sent to the inference process") as caught:
        identify(module, transform=to_tensor)
    assert "must not hold" in str(caught.value.hint)


def test_a_function_that_holds_a_module_goes_along(kernel, pictures):
    module = Net().eval()
    batch = batch_of(pictures)
    identity = identify(lambda images: module(torch.stack([to_tensor(one) for one in images])), "held")
    assert identity.pickled
    answer = once(identity, pictures, kernel)
    np.testing.assert_allclose(answer.arrays["vectors"], module(batch).detach().numpy(), atol=1e-5)
    assert answer.arrays["vectors"].shape == (5, 4)


@pytest.mark.parametrize("how", ["compiled", "parallel"])
def test_what_torch_has_put_around_a_module_is_no_hindrance(kernel, pictures, how):
    module = Net().eval()
    given = torch.compile(module) if how == "compiled" else nn.DataParallel(module)
    answer = once(identify(given, "net", transform=to_tensor, task="embedding"), pictures, kernel)
    with torch.inference_mode():
        wanted = module(batch_of(pictures)).numpy()
    np.testing.assert_allclose(answer.arrays["vectors"], wanted, atol=1e-5)


def test_a_scripted_module_is_explained():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scripted = torch.jit.script(Net())
    with pytest.raises(ModelError, match=r"torch\.export\.save\(program, 'net\.pt2'\)"):
        identify(scripted, transform=to_tensor)
