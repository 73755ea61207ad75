"""A network that is small enough to be trained on a notebook's own data in minutes, and how it is trained.

Four convolutions; AdamW at .01 with a warm-up and a straight way down, smoothed labels, pictures moved by some pixels
and mirrored. `benchmarks/learned.py` measures what it gives.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dataide.errors import ModelError

# The first layer always sees a plane of so many cells a side: a larger canvas has larger cells, and costs the same.
PLANE = 16
WIDTHS = (32, 64, 128)
RATE = 0.01
DECAY = 0.05
SMOOTHING = 0.1
WARM_UP = 0.25
MOVED_BY = 16  # a picture is moved by up to a sixteenth of its side
# After so many passes nothing more is learned, however much time is left; a small set still takes some steps.
MOST_PASSES = 40
LEAST_STEPS = 600
BATCH = 256
SMALLEST_BATCH = 32
# Other work goes on between two steps, so none should take long.
STEP_S = 0.2
# Weights are put aside so often, to go on from when the loss is no number any more.
ASIDE_STEPS = 50
MOST_SETBACKS = 4


@dataclass(frozen=True)
class Step:
    """How far training is: the part that is done (0 to 1), and loss and accuracy of the last steps."""

    part: float
    loss: float
    accuracy: float


class SmallNetwork(nn.Module):  # type: ignore[misc]
    """uint8 pictures N x 3 x side x side in; vectors N x 256 from `forward`, scores of classes from `classify`.

    The mean and the largest value of each channel are joined, because one says what fills the picture and the other
    what is anywhere in it.
    """

    def __init__(self, side_px: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        self._cell = side_px // PLANE
        first, second, third = WIDTHS
        self.first = _layer(3 * self._cell**2, first)
        self.second = _layer(first, second)
        self.again = _layer(second, second)
        self.third = _layer(second, third)
        self.head = nn.Linear(2 * third, classes)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scale", torch.ones(3))
        self.dimension = 2 * third
        # A generator of its own: the process's one is drawn from by others.
        source = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=source)
        nn.init.zeros_(self.head.bias)

    def adapt(self, pictures: Tensor) -> None:
        """Notes how light and how varied these pictures are, a channel each."""
        some = pictures.float()
        self.mean = some.mean((0, 2, 3))
        self.scale = 1 / (some.std((0, 2, 3)) + 1)

    def forward(self, pictures: Tensor) -> Tensor:
        scaled = (pictures.float() - self.mean[:, None, None]) * self.scale[:, None, None]
        plane = functional.pixel_unshuffle(scaled, self._cell).contiguous(memory_format=torch.channels_last)
        plane = self.second(functional.max_pool2d(self.first(plane), 2))
        plane = self.third(functional.max_pool2d(plane + self.again(plane), 2))
        return torch.cat([plane.mean((2, 3)), plane.amax((2, 3))], 1)

    def classify(self, pictures: Tensor) -> Tensor:
        scores: Tensor = self.head(self(pictures))
        return scores

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, by name."""
        state = {name: value for name, value in self.state_dict().items() if not name.endswith("num_batches_tracked")}
        return {name: value.detach().float().cpu().numpy() for name, value in state.items()}

    def take(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes over what `arrays` gave.

        Raises:
            ModelError: they are not of such a network.
        """
        own = self.state_dict()
        wanted = {name for name in own if not name.endswith("num_batches_tracked")}
        wrong = [name for name in wanted if name not in arrays or arrays[name].shape != tuple(own[name].shape)]
        if wrong:
            raise ModelError(
                f"The weights do not fit this network: {', '.join(sorted(wrong))}.",
                hint="Train it anew with learn_embedding().",
                code="weights",
            )
        self.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in wanted}, strict=False)


def training(
    network: SmallNetwork,
    pictures: Tensor,
    labels: Tensor,
    among: Tensor,
    *,
    seconds: float,
    passes: float | None,
    mirrored: bool,
    seed: int,
) -> Iterator[Step]:
    """Trains, a step at a time, and leaves the network with the weights of the last one.

    How far it is goes by the clock or by the passes, whichever is further on; so the rate of learning comes down in
    time on a slow machine, and where passes decide the same seed gives the same weights.

    Args:
        network: on its device, adapted to the pictures.
        pictures: uint8, N x 3 x side x side.
        labels: int64, N.
        among: int64, the rows to train on.
        seconds: of computing; what others do between two steps does not count.
        passes: over all pictures; None for as many as there is time for, up to MOST_PASSES.
        mirrored: a picture may be mirrored.
        seed: of everything that is drawn.

    Raises:
        ModelError: the loss is no number, also at a lower rate.
    """
    count, device = len(among), network.mean.device
    source = torch.Generator().manual_seed(seed)
    size = max(min(BATCH, count // 8), min(SMALLEST_BATCH, count))
    seen, limit = 0, (passes or max(MOST_PASSES, LEAST_STEPS * size / count)) * count
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    good, slower, setbacks, spent, steps = _copied(network, optimizer), 1.0, 0, 0.0, 0
    order = _drawn(count, source)
    loss_now = accuracy = float("nan")
    half = _half_precision(device)
    while (part := max(seen / limit, spent / seconds if passes is None else 0.0)) < 1:
        began = time.monotonic()
        network.train()
        for group in optimizer.param_groups:
            group["lr"] = RATE * slower * (part / WARM_UP if part < WARM_UP else (1 - part) / (1 - WARM_UP))
        rows = among[torch.tensor([next(order) for _ in range(size)])]
        batch = augmented(pictures[rows].to(device), mirrored, source)
        wanted = labels[rows].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            scores = network.classify(batch).float()
        loss = functional.cross_entropy(scores, wanted, label_smoothing=SMOOTHING)
        value = float(loss.detach())
        if np.isfinite(value):
            if steps % ASIDE_STEPS == 0:
                good = _copied(network, optimizer)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right = float((scores.argmax(1) == wanted).float().mean())
            loss_now = value if np.isnan(loss_now) else 0.95 * loss_now + 0.05 * value
            accuracy = right if np.isnan(accuracy) else 0.95 * accuracy + 0.05 * right
        else:
            setbacks += 1
            if setbacks > MOST_SETBACKS:
                raise ModelError(
                    f"Training failed: {setbacks} times the loss was no number, in the end at {slower:g} of the rate.",
                    hint="Look at the pictures and the labels that it was given.",
                    code="not_finite",
                )
            slower /= 4
            _restore(network, optimizer, good)
        steps, seen = steps + 1, seen + size
        took = time.monotonic() - began
        spent += took
        # Not where the passes are given: the same call is to give the same weights.
        if passes is None and steps > 3 and took > 2 * STEP_S:
            size = max(SMALLEST_BATCH, size // 2)
        yield Step(min(max(seen / limit, spent / seconds if passes is None else 0.0), 1.0), loss_now, accuracy)
    network.eval()


def augmented(batch: Tensor, mirrored: bool, source: torch.Generator) -> Tensor:
    """Pictures as floats, moved by a few pixels, and each mirrored or not."""
    side = batch.shape[3]
    by = max(side // MOVED_BY, 1)
    wide = functional.pad(batch.float(), (by, by, by, by), mode="reflect")
    down, across = torch.randint(0, 2 * by + 1, (2,), generator=source).tolist()
    moved = wide[:, :, down : down + side, across : across + side]
    if not mirrored:
        return moved
    turned = torch.rand(len(batch), generator=source).to(batch.device) < 0.5
    return torch.where(turned[:, None, None, None], moved.flip(3), moved)


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _drawn(count: int, source: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(count, generator=source).tolist()


def _half_precision(device: torch.device) -> bool:
    """Whether bfloat16 is the quicker one: by what the processor has, because a measurement is not the same twice."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    there = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(there is not None and there())


def _copied(network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    return copy.deepcopy((network.state_dict(), optimizer.state_dict()))


def _restore(network: nn.Module, optimizer: torch.optim.Optimizer, good: tuple[dict[str, Any], dict[str, Any]]) -> None:
    weights, state = copy.deepcopy(good)
    network.load_state_dict(weights)
    optimizer.load_state_dict(state)
