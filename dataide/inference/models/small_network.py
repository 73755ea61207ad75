"""A network that is small enough to be trained on a notebook's own data in minutes, and how it is trained.

Four convolutions; AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization") at .01 with a warm-up and
a straight way down (Smith and Topin 2018, "Super-convergence"), smoothed labels (Szegedy et al. 2016, section 7),
pictures moved by some pixels and mirrored. `benchmarks/learned.py` and `benchmarks/recipe.py` measure what it gives.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dataide.errors import ModelError

# The first layer sees a plane of about so many cells a side: a larger canvas has larger cells, and costs the same.
PLANE = 16
WIDTHS = (32, 64, 128)
RATE = 0.01
DECAY = 0.05
SMOOTHING = 0.1
WARM_UP = 0.25
MOVED_BY = 16  # a picture is moved by up to a sixteenth of its side
MOVED_TOGETHER = 16  # so many in the same way: a copy for each one takes longer
# After so many passes nothing more is learned, however much time is left; a small set still takes some steps.
MOST_PASSES = 40
LEAST_STEPS = 600
BATCH = 256
SMALLEST_BATCH = 32
# Other work goes on between two steps, so none should take long.
STEP_S = 0.2
# Weights are put aside so often, to go on from when the loss is no number any more.
ASIDE_STEPS = 50
# Pictures that say how light and how varied the others are.
ADAPTED_TO = 4096
MOST_SETBACKS = 4


@dataclass(frozen=True)
class Step:
    """How far training is: the part that is done (0 to 1), and loss and accuracy of the last steps."""

    part: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Attributes:
        passes: over all pictures; None for as many as there is time for, up to MOST_PASSES.
        seconds: of computing, where passes are None; what others do between two steps does not count.
        mirrored: a picture may be mirrored.
        moved: a picture may be moved by a sixteenth of its side.
        smoothing: the part of each label that is spread over all classes.
        seed: of everything that is drawn.
        whole_passes: batches end where a pass ends, so that a pass is a place to stop and to go on from.
        batch: pictures in a step; None for BATCH, or fewer where there are few.
    """

    passes: float | None
    seconds: float = float("inf")
    mirrored: bool = False
    moved: bool = True
    smoothing: float = SMOOTHING
    seed: int = 0
    whole_passes: bool = False
    batch: int | None = None


class SmallNetwork(nn.Module):  # type: ignore[misc]
    """uint8 pictures N x channels x side x side in; vectors N x 2 widths[2] from `forward`, scores of classes from
    `classify`.

    The mean and the largest value of each channel are joined, because one says what fills the picture and the other
    what is anywhere in it.

    Args:
        side_px: of the pictures; a multiple of its cell (`cell_of`).
        classes: how many.
        seed: of the weights it begins with.
        widths: channels of the three planes.
        channels: of the pictures, 3 or 1.
        early: planes are made small before they are normalised, not after it: the same to learn from at a quarter of
            the work. Networks that were kept before this was so have False.
    """

    def __init__(
        self,
        side_px: int,
        classes: int,
        seed: int = 0,
        *,
        widths: Sequence[int] = WIDTHS,
        channels: int = 3,
        early: bool = False,
    ) -> None:
        super().__init__()
        self._cell = cell_of(side_px)
        self._early = early
        first, second, third = widths
        self.first = _layer(channels * self._cell**2, first, early)
        self.second = _layer(first, second)
        self.again = _layer(second, second)
        self.third = _layer(second, third)
        self.head = nn.Linear(2 * third, classes)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
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
        # Cells are gathered while a pixel is a byte.
        plane = functional.pixel_unshuffle(pictures, self._cell).contiguous(memory_format=torch.channels_last)
        each = self._cell**2
        mean, scale = self.mean.repeat_interleave(each), self.scale.repeat_interleave(each)
        plane = (plane.float() - mean[:, None, None]) * scale[:, None, None]
        plane = self.first(plane)
        plane = self.second(plane if self._early else functional.max_pool2d(plane, 2))
        plane = self.third(functional.max_pool2d(plane + self.again(plane), 2))
        cells = plane.permute(0, 2, 3, 1).flatten(1, 2)  # as they are in memory
        return torch.cat([cells.mean(1), cells.amax(1)], 1)

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


class Training:
    """A network on its way: a step at a time, and at every step it can be put aside and taken up again.

    How far it is goes by the clock or by the passes, whichever is further on; so the rate of learning comes down in
    time on a slow machine, and where passes decide the same seed gives the same weights.

    Args:
        network: on its device, adapted to the pictures.
        pictures: uint8, N x channels x side x side.
        labels: int64, N.
        among: int64, the rows to train on.
        plan: how.
        weights: float32, N: how much each picture counts; by default all the same.
    """

    def __init__(
        self,
        network: SmallNetwork,
        pictures: Tensor,
        labels: Tensor,
        among: Tensor,
        plan: Plan,
        weights: Tensor | None = None,
    ) -> None:
        self.network, self.plan = network, plan
        self._pictures, self._labels, self._among = pictures, labels, among
        # As many as there are count as before, so that the rate of learning stays what it is.
        self._weights = None if weights is None else weights / weights[among].mean()
        self._device = network.mean.device
        self._half = _half_precision(self._device)
        self._source = torch.Generator().manual_seed(plan.seed)
        self._optimizer = AdamW(network)
        count = len(among)
        self._size = min(plan.batch or usual_batch(count), count)
        self._limit = (plan.passes or max(MOST_PASSES, LEAST_STEPS * self._size / count)) * count
        self._order, self._at = torch.empty(0, dtype=torch.int64), 0
        self._seen, self._spent, self._steps, self._slower, self._setbacks = 0, 0.0, 0, 1.0, 0
        self._loss = self._accuracy = float("nan")
        self._good = self._learned()

    @property
    def part(self) -> float:
        """How far it is, 0 to 1."""
        by_clock = self._spent / self.plan.seconds if self.plan.passes is None else 0.0
        return min(max(self._seen / self._limit, by_clock), 1.0)

    @property
    def passed(self) -> bool:
        """Whether it stands between two passes."""
        return self._at == len(self._order)

    def step(self) -> Step:
        """One batch.

        Raises:
            ModelError: the loss is no number, also at a lower rate.
        """
        began = time.monotonic()
        self.network.train()
        part = self.part
        rate = RATE * self._slower * (part / WARM_UP if part < WARM_UP else (1 - part) / (1 - WARM_UP))
        rows = self._among[self._next()]
        batch = augmented(self._pictures[rows].to(self._device), self.plan, self._source)
        wanted = self._labels[rows].to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            scores = self.network.classify(batch).float()
        loss = self._loss_of(scores, wanted, rows)
        value = float(loss.detach())
        if np.isfinite(value):
            if self._steps % ASIDE_STEPS == 0:
                self._good = self._learned()
            loss.backward()
            self._optimizer.step(rate)
            right = float((scores.argmax(1) == wanted).float().mean())
            self._loss = value if np.isnan(self._loss) else 0.95 * self._loss + 0.05 * value
            self._accuracy = right if np.isnan(self._accuracy) else 0.95 * self._accuracy + 0.05 * right
        else:
            self._set_back()
        self._steps, self._seen = self._steps + 1, self._seen + len(rows)
        took = time.monotonic() - began
        self._spent += took
        # Not where the passes are given: the same call is to give the same weights.
        if self.plan.passes is None and self._steps > 4 and took > 2 * STEP_S:
            self._size = max(SMALLEST_BATCH, self._size // 2)
        return Step(self.part, self._loss, self._accuracy)

    def arrays(self) -> dict[str, np.ndarray]:
        """Where it stands: with these `resume` goes on as if it had never stopped."""
        numbers = [self._at, self._seen, self._steps, self._setbacks, self._size, self._spent, self._slower]
        return {
            **{f"learned.{name}": value.cpu().numpy() for name, value in self._learned().items()},
            "order": self._order.numpy().copy(),
            "source": self._source.get_state().numpy().copy(),
            "numbers": np.array([*numbers, self._loss, self._accuracy], np.float64),
        }

    def resume(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from what `arrays` gave.

        Raises:
            ModelError: it is of another training.
        """
        own = self._learned()
        names = {name: f"learned.{name}" for name in own}
        if any(key not in arrays or arrays[key].shape != tuple(own[name].shape) for name, key in names.items()):
            raise ModelError(
                "What was kept on the way is of another network.", hint="Train anew, from the start.", code="weights"
            )
        self._good = {name: torch.from_numpy(np.array(arrays[f"learned.{name}"])) for name in own}
        self._take(self._good)
        self._order = torch.from_numpy(np.array(arrays["order"]))
        self._source.set_state(torch.from_numpy(np.array(arrays["source"])))
        at, seen, steps, setbacks, size, self._spent, self._slower, self._loss, self._accuracy = map(
            float, arrays["numbers"]
        )
        self._at, self._seen, self._steps, self._setbacks, self._size = map(int, (at, seen, steps, setbacks, size))

    def _next(self) -> Tensor:
        """Positions in `among` of the next batch."""
        if self._at == len(self._order):
            self._order, self._at = torch.randperm(len(self._among), generator=self._source), 0
        found = self._order[self._at : self._at + self._size]
        self._at += len(found)
        while len(found) < self._size and not self.plan.whole_passes:
            self._order = torch.randperm(len(self._among), generator=self._source)
            self._at = min(self._size - len(found), len(self._order))
            found = torch.cat([found, self._order[: self._at]])
        left = len(self._order) - self._at
        if self.plan.whole_passes and left < SMALLEST_BATCH < len(found):
            # A handful says too little about how varied a batch is, so the last ones go with those before them.
            found = torch.cat([found, self._order[self._at :]])
            self._at = len(self._order)
        return found

    def _loss_of(self, scores: Tensor, wanted: Tensor, rows: Tensor) -> Tensor:
        if self._weights is None:
            return functional.cross_entropy(scores, wanted, label_smoothing=self.plan.smoothing)
        each = functional.cross_entropy(scores, wanted, label_smoothing=self.plan.smoothing, reduction="none")
        return (each * self._weights[rows].to(self._device)).mean()

    def _set_back(self) -> None:
        self._setbacks += 1
        if self._setbacks > MOST_SETBACKS:
            raise ModelError(
                f"Training failed: {self._setbacks} times the loss was no number, in the end at {self._slower:g} of "
                "the rate.",
                hint="Look at the pictures and the labels that it was given.",
                code="not_finite",
            )
        self._slower /= 4
        self._take(self._good)

    def _learned(self) -> dict[str, Tensor]:
        both = {**self.network.state_dict(), **self._optimizer.state()}
        return {name: value.detach().clone() for name, value in both.items()}

    def _take(self, learned: Mapping[str, Tensor]) -> None:
        own = self.network.state_dict()
        self.network.load_state_dict({name: learned[name] for name in own})
        self._optimizer.take(learned)


class AdamW:
    """As torch.optim has it, whose first use imports a compiler: seconds of computing that a short training feels.

    Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2.
    """

    def __init__(self, network: nn.Module, decay: float = DECAY) -> None:
        self._of = dict(network.named_parameters())
        self._means = [torch.zeros_like(one) for one in self._of.values()]
        self._squares = [torch.zeros_like(one) for one in self._of.values()]
        self._decay, self._steps = decay, 0

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, rate: float) -> None:
        """Goes along the gradients, and drops them."""
        self._steps += 1
        first, second = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for one, mean, square in zip(self._of.values(), self._means, self._squares, strict=True):
            gradient = one.grad
            one.mul_(1 - rate * self._decay)
            mean.lerp_(gradient, 0.1)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            one.addcdiv_(mean, (square / second).sqrt_().add_(1e-8), value=-rate / first)
            one.grad = None

    def state(self) -> dict[str, Tensor]:
        """What it remembers, by name."""
        remembered = {f"mean of {name}": mean for name, mean in zip(self._of, self._means, strict=True)}
        remembered |= {f"square of {name}": square for name, square in zip(self._of, self._squares, strict=True)}
        return {**remembered, "steps of AdamW": torch.tensor(self._steps)}

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` gave."""
        for name, mean, square in zip(self._of, self._means, self._squares, strict=True):
            mean.copy_(state[f"mean of {name}"])
            square.copy_(state[f"square of {name}"])
        self._steps = int(state["steps of AdamW"])


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

    What is given is said at `Training` and `Plan`.

    Raises:
        ModelError: the loss is no number, also at a lower rate.
    """
    plan = Plan(passes, seconds, mirrored, seed=seed)
    under_way = Training(network, pictures, labels, among, plan)
    while under_way.part < 1:
        yield under_way.step()
    network.eval()


def augmented(batch: Tensor, plan: Plan, source: torch.Generator) -> Tensor:
    """Pictures as they are, each moved by a few pixels, and mirrored or not, as the plan allows; uint8."""
    if plan.moved:
        side = batch.shape[3]
        by = max(side // MOVED_BY, 1)
        # Beyond an edge stands what is beside it, mirrored.
        beside = torch.arange(-by, side + by).abs()
        beside = torch.minimum(beside, 2 * (side - 1) - beside).clamp(0, side - 1).to(batch.device)
        wide = batch.index_select(2, beside).index_select(3, beside)
        groups = []
        for group in wide.split(MOVED_TOGETHER):
            down, across = torch.randint(0, 2 * by + 1, (2,), generator=source).tolist()
            groups.append(group[:, :, down : down + side, across : across + side])
        batch = torch.cat(groups)
    if plan.mirrored:
        turned = torch.rand(len(batch), generator=source).to(batch.device) < 0.5
        batch = torch.where(turned[:, None, None, None], batch.flip(3), batch)
    return batch


def usual_batch(count: int) -> int:
    """How many of so many pictures go into one step."""
    return max(min(BATCH, count // 8), min(SMALLEST_BATCH, count))


def cell_of(side_px: int) -> int:
    """The side of a cell of the first layer's plane, px."""
    return max(round(side_px / PLANE), 1)


def _layer(inputs: int, outputs: int, smaller: bool = False) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    normal = nn.BatchNorm2d(outputs)
    if not smaller:
        return nn.Sequential(convolution, normal, nn.ReLU(inplace=True))
    # Named so that what is learned has the same names in both.
    return nn.Sequential(
        OrderedDict([("0", convolution), ("smaller", nn.MaxPool2d(2)), ("1", normal), ("2", nn.ReLU(inplace=True))])
    )


def _half_precision(device: torch.device) -> bool:
    """Whether bfloat16 is the quicker one: by what the processor has, because a measurement is not the same twice."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    there = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(there is not None and there())
