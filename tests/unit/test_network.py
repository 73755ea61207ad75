"""A torch module with its transform: faster than run plainly, and the same numbers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dataide.errors import ModelError
from dataide.inference.models import tuning
from dataide.inference.models.outputs import Vectors

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from torch import nn  # noqa: E402
from torchvision import transforms  # noqa: E402
from torchvision.transforms._presets import ImageClassification  # noqa: E402

from dataide.inference.models.network import Network  # noqa: E402
from dataide.inference.models.presets import Preset  # noqa: E402

pytestmark = pytest.mark.torch

STEP = 1 / 255 / 0.224  # one of 256 levels, once it is normalised


def picture(seed: int = 0, width: int = 90, height: int = 60) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    image.save(out := io.BytesIO(), format)
    return out.getvalue()


FILES = [encoded(picture(seed)) for seed in range(6)]
TENSOR = transforms.ToTensor()


class Convolutions(nn.Module):
    """Two convolutions with batch norm, whose statistics say something."""

    def __init__(self, tail: str = "mean") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.again = nn.BatchNorm2d(8)
        self.tail = tail
        for norm in (self.norm, self.again):
            norm.running_mean = torch.randn(8)
            norm.running_var = torch.rand(8) + 0.5
            norm.weight.data = torch.rand(8) + 0.5
            norm.bias.data = torch.randn(8)

    def forward(self, batch: Any) -> Any:
        one = torch.relu(self.norm(self.first(batch)))
        two = self.second(one)
        normed = self.again(two)
        if self.tail == "view":  # refused by torch where channels lie last
            return normed.view(-1, 8 * 60 * 90)[:, :50]
        if self.tail == "both":  # the convolution is read by something else too
            return (normed + two).mean((2, 3))
        return normed.mean((2, 3))


def network(module: Any, transform: Any = TENSOR, **options: Any) -> Network:
    return Network(module, transform, Vectors("case"), name="case", revision="1", device="cpu", **options)


def vectors(made: Network, data: list[bytes] = FILES) -> np.ndarray:
    prepared, problems = made.prepare(data)
    assert not problems
    return made.compute(prepared).arrays["vectors"]


def plainly(module: Any, transform: Any = TENSOR, data: list[bytes] = FILES) -> np.ndarray:
    with torch.no_grad():
        batch = torch.stack([transform(Image.open(io.BytesIO(one)).convert("RGB")) for one in data])
        return np.asarray(module.eval()(batch))


def close(first: np.ndarray, second: np.ndarray, relative: float = 1e-4) -> bool:
    return first.shape == second.shape and bool(np.abs(first - second).max() <= relative * np.abs(second).max())


# The transform that comes with torchvision's weights ------------------------------------------------------------------


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (640, 201), (60, 60), (224, 900), (257, 256)])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_the_preset_is_torchvisions_within_one_level(size: tuple[int, int], filter: str) -> None:
    interpolation = getattr(transforms.InterpolationMode, filter.upper())
    theirs = ImageClassification(crop_size=56, resize_size=64, interpolation=interpolation)
    ours = Preset.of(theirs)
    assert ours is not None
    image = picture(1, *size)
    pixels = torch.from_numpy(ours(image).copy()).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (ours.mean, ours.std))
    apart = ((pixels - mean) / std - theirs(image)).abs()
    assert apart.max() <= STEP * 1.01
    assert apart.mean() < STEP / 100


def test_other_transforms_are_run_as_they_are() -> None:
    class Mine(ImageClassification):
        def forward(self, image: Any) -> Any:
            return super().forward(image) * 2

    padded = ImageClassification(crop_size=80, resize_size=64)
    for transform in (TENSOR, Mine(crop_size=32, resize_size=40), padded, transforms.Compose([TENSOR])):
        assert Preset.of(transform) is None
    # Smooth, so that a level more or less here and there is no matter: what is left is the factor of two.
    smooth = [encoded(picture(seed).filter(ImageFilter.GaussianBlur(4))) for seed in range(4)]
    for transform in (Mine(crop_size=32, resize_size=40), ImageClassification(crop_size=32, resize_size=40)):
        made = network(Convolutions(), transform)
        assert close(vectors(made, smooth), plainly(Convolutions(), transform, smooth), 1e-3)


def test_a_preset_that_sees_much_gets_as_much() -> None:
    transform = ImageClassification(crop_size=600, resize_size=600)  # as of efficientnet_b7
    ours = Preset.of(transform)
    data = encoded(picture(0, 1300, 867), "JPEG")
    prepared, _ = network(Convolutions(), transform).prepare([data])
    assert ours is not None
    np.testing.assert_array_equal(prepared[0].permute(1, 2, 0).numpy(), ours(Image.open(io.BytesIO(data))))


def test_every_colour_is_normalised_by_its_own_mean_wherever_it_lies_in_memory() -> None:
    transform = ImageClassification(crop_size=32, resize_size=40, mean=(0.1, 0.5, 0.9), std=(0.2, 0.4, 0.8))
    made = network(Convolutions(), transform)
    prepared, _ = made.prepare(FILES)
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.1, 0.5, 0.9), (0.2, 0.4, 0.8)))
    expected = (prepared / 255 - mean) / std
    # As it comes from decoding, with colours as planes, and one picture twice (see _two).
    for batch, wanted in (
        (prepared, expected),
        (prepared.contiguous(), expected),
        (prepared[:1].repeat(2, 1, 1, 1), expected[:1].repeat(2, 1, 1, 1)),
    ):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            made._format = memory_format
            ready = made._ready(batch)
            assert ready.is_contiguous(memory_format=memory_format)
            torch.testing.assert_close(ready, wanted, rtol=0, atol=1e-5)


def test_large_jpegs_are_decoded_smaller_for_the_preset() -> None:
    transform = ImageClassification(crop_size=32, resize_size=40)
    large = picture(0, 15, 10).resize((1500, 1000), Image.Resampling.BICUBIC)
    made = network(Convolutions(), transform)
    data = encoded(large, "JPEG")
    assert max(made._decoded(data).size) < 400  # and not the whole 1,500
    prepared, _ = made.prepare([data])
    exact = Preset.of(transform)(Image.open(io.BytesIO(data)))  # type: ignore[misc]
    assert prepared.dtype == torch.uint8
    assert np.abs(prepared[0].permute(1, 2, 0).numpy().astype(int) - exact).mean() < 2  # levels of 255, of noise


# The same numbers, faster ---------------------------------------------------------------------------------------------


def test_batch_norm_is_folded_and_channels_lie_last() -> None:
    module = Convolutions()
    expected = plainly(Convolutions())
    made = network(module)
    assert close(vectors(made), expected)
    assert isinstance(module.norm, nn.Identity) and isinstance(module.again, nn.Identity)
    assert module.second.weight.is_contiguous(memory_format=torch.channels_last)
    assert made._format == torch.channels_last
    assert made.details["precision"] == "float32"
    assert close(vectors(made, FILES[:1]), expected[:1]), "a single picture"


def test_a_module_that_cannot_have_channels_last_is_run_without() -> None:
    module = Convolutions("view")
    made = network(module)
    assert close(vectors(made, FILES[:1]), plainly(Convolutions("view"))[:1]), "the first picture shows it already"
    assert close(vectors(made), plainly(Convolutions("view")))
    assert made._format == torch.contiguous_format
    assert isinstance(module.again, nn.Identity), "folding does not depend on it"


def test_a_convolution_that_others_read_is_not_folded() -> None:
    module = Convolutions("both")
    assert close(vectors(network(module)), plainly(Convolutions("both")))
    assert isinstance(module.norm, nn.Identity)
    assert isinstance(module.again, nn.BatchNorm2d)


def test_a_convolution_with_a_hook_goes_on_telling_the_same() -> None:
    module, seen = Convolutions(), []
    plain = Convolutions().eval()
    for one in (module, plain):
        one.second.register_forward_hook(lambda of, given, told: seen.append(np.asarray(told)))
    plainly(plain)
    vectors(network(module))
    assert isinstance(module.norm, nn.Identity) and isinstance(module.again, nn.BatchNorm2d)
    assert close(seen[-1], seen[0])


def test_what_cannot_be_traced_is_folded_in_its_parts() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Convolutions()

        def forward(self, batch: Any) -> Any:
            made = self.inside(batch)
            return made if float(made.sum()) > 0 else made * 2

    module = Branching()
    assert close(vectors(network(module)), plainly(Branching()))
    assert isinstance(module.inside.norm, nn.Identity)


def test_folding_that_would_change_the_numbers_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Convolutions()

    def wrong(convolution: Any, norm: Any) -> Any:
        made = nn.Conv2d(convolution.in_channels, 8, 3, padding=1)
        nn.init.constant_(made.weight, 1.0)
        return made

    monkeypatch.setattr(torch.nn.utils.fusion, "fuse_conv_bn_eval", wrong)
    assert close(vectors(network(module)), plainly(Convolutions()))
    assert isinstance(module.norm, nn.BatchNorm2d)


# Precision ------------------------------------------------------------------------------------------------------------


def test_a_small_network_is_computed_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "precision_for", lambda device, torch: "bfloat16")
    monkeypatch.setattr(tuning, "seconds", lambda compute: pytest.fail("it is not worth measuring"))
    made = network(Convolutions())
    assert close(vectors(made), plainly(Convolutions()))
    assert made.details["precision"] == "float32"


def slow_and_fast(monkeypatch: pytest.MonkeyPatch, exact_s: float, half_s: float) -> None:
    """A processor that has bfloat16, and takes so long for a batch in either."""
    told = iter([exact_s, half_s])
    monkeypatch.setattr(tuning, "WORTH_PARAMETERS", 100)
    monkeypatch.setattr(tuning, "precision_for", lambda device, torch: "bfloat16")
    monkeypatch.setattr(tuning, "seconds", lambda compute: next(told))


def test_half_precision_is_taken_where_it_is_faster_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = plainly(Convolutions())
    slow_and_fast(monkeypatch, 1.0, 0.3)
    made = network(Convolutions())
    found = vectors(made)
    assert made.details["precision"] == "bfloat16"
    assert found.dtype == np.float32
    assert close(found, expected, 0.05) and not close(found, expected, 1e-6)


def test_half_precision_is_left_where_it_is_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_and_fast(monkeypatch, 1.0, 0.9)
    made = network(Convolutions())
    assert close(vectors(made), plainly(Convolutions()))
    assert made.details["precision"] == "float32"


def test_half_precision_is_left_where_it_turns_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    class Delicate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Convolutions()

        def forward(self, batch: Any) -> Any:
            made = self.inside(batch)
            # What is left of large numbers that are nearly the same is all rounding.
            return self.inside(batch * 1.0001) - made

    slow_and_fast(monkeypatch, 1.0, 0.3)
    made = network(Delicate())
    assert close(vectors(made), plainly(Delicate()), 0.05)
    assert made.details["precision"] == "float32"


def test_precision_can_be_said() -> None:
    expected = plainly(Convolutions())
    made = network(Convolutions(), precision="bfloat16")
    found = vectors(made)
    assert made.details["precision"] == "bfloat16"
    assert close(found, expected, 0.05) and not close(found, expected, 1e-6)


def test_precision_is_still_the_one_that_was_asked_for_after_a_first_batch_that_failed() -> None:
    class Short(Convolutions):
        failed = False

        def forward(self, batch: Any) -> Any:
            if not self.failed:
                self.failed = True
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB.")
            return super().forward(batch)

    made = network(Short(), precision="bfloat16")
    with pytest.raises(ModelError, match="out of memory"):
        vectors(made)
    vectors(made)
    assert made.details["precision"] == "bfloat16"


def test_a_precision_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ModelError, match="no precision 'float8'") as caught:
        network(Convolutions(), precision="float8")
    assert "bfloat16" in str(caught.value.hint)


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_memory_that_is_short_is_told_as_the_largest_batch() -> None:
    class Greedy(Convolutions):
        def forward(self, batch: Any) -> Any:
            if len(batch) > 3:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB.")
            return super().forward(batch)

    made = network(Greedy())
    assert "largest_batch" not in made.details
    assert close(vectors(made), plainly(Convolutions()))
    assert made.details["largest_batch"] == 3


def test_a_transform_that_fails_on_one_picture_costs_that_picture() -> None:
    def wide_only(image: Image.Image) -> Any:
        if image.width < image.height:
            raise ValueError("too narrow")
        return TENSOR(image)

    made = network(Convolutions(), wide_only)
    tall = encoded(picture(9, 60, 90))
    prepared, problems = made.prepare([FILES[0], tall, b"no picture", FILES[1]])
    assert [(position, code) for position, code, _ in problems] == [(1, "transform"), (2, "not_an_image")]
    assert "too narrow" in problems[0][2]
    assert close(made.compute(prepared).arrays["vectors"], plainly(Convolutions())[:2])
    assert len(made.prepare([tall])[1]) == 1, "it has worked before"
    with pytest.raises(ModelError, match=r"transform of case failed: ValueError: too narrow") as caught:
        network(Convolutions(), wide_only).prepare([tall, tall])
    assert caught.value.code == "transform"


def test_tensors_of_several_shapes_are_refused_in_words() -> None:
    data = [FILES[0], encoded(picture(3, 40, 40))]
    with pytest.raises(ModelError, match=r"\(3, 40, 40\), \(3, 60, 90\)") as caught:
        network(Convolutions()).prepare(data)
    assert "Resize" in str(caught.value.hint)
    apart = network(Convolutions(), apart=True)
    assert [tuple(one.shape) for one in apart.prepare(data)[0]] == [(3, 60, 90), (3, 40, 40)]


def test_a_module_that_raises_is_named() -> None:
    class Broken(nn.Module):
        def forward(self, batch: Any) -> Any:
            raise KeyError("layer 7")

    with pytest.raises(ModelError, match=r"case failed: KeyError: 'layer 7'"):
        vectors(network(Broken()))


def test_what_cannot_be_compiled_runs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(module: Any) -> Any:
        def call(batch: Any) -> Any:
            raise RuntimeError("no C++ compiler was found")

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    made = network(Convolutions(), compile=True)
    assert close(vectors(made), plainly(Convolutions()))
    assert made.details["compiled"] is False
    assert "no C++ compiler was found" in made.details["note"]


def test_what_can_be_compiled_runs_so(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def compiled(module: Any) -> Any:
        def run(batch: Any) -> Any:
            calls.append(len(batch))
            return module(batch)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    made = network(Convolutions(), compile=True)
    assert close(vectors(made), plainly(Convolutions()))
    assert made.details["compiled"] is True and calls[-1] == len(FILES)


def test_pillow_keeps_the_memory_of_pictures() -> None:
    from PIL import _imaging

    from dataide.inference.models.base import keep_picture_memory

    keep_picture_memory()
    assert _imaging.get_blocks_max() * _imaging.get_block_size() == 64 << 20
