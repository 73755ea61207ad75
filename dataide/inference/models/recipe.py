"""The recipe for pictures: a small network from scratch on the CPU, in seconds to minutes.

`choose` looks at the pictures to be trained on, never at those held out, and says how to train; `Run` trains, a batch
at a time, so that other work goes on between, and can be put aside after each pass; `train` does all of it at once.
What it leaves is a "learned" model, which predicts as every other model does.

The network, its optimiser and their papers are in small_network.py. `benchmarks/recipe.py` measures what it gives.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataide.errors import ModelError
from dataide.inference import descriptor
from dataide.inference.machine import free_cores
from dataide.inference.models.base import last_words
from dataide.inference.models.examples import HELD_OUT, Examples, Progress, Trained, examples, figures
from dataide.inference.models.learned import FORMAT, canvases, named, packed, revision_of
from dataide.inference.models.small_network import (
    ADAPTED_TO,
    LEAST_STEPS,
    SMALLEST_BATCH,
    WIDTHS,
    Plan,
    SmallNetwork,
    Training,
    usual_batch,
)

NARROW = (16, 32, 64)
# Passes over many pictures by effort; pictures that are easy to tell apart need fewer.
PASSES = {"quick": 4, "thorough": 10}
EASY_PASSES = {"quick": 1, "thorough": 3}
# Below so many steps a network has not settled, whatever the size of a batch.
STEPS = {"quick": 400, "thorough": LEAST_STEPS}
MOST_PASSES = 100
# Few passes give more in more, smaller steps: 4 over CIFAR-10 name .773 right by 128 at a time, .764 by 256.
BATCH = 128
# How many pictures say what they are like, and how many of them are compared with the others.
LOOKED_AT = 2_000
ASKED = 500
# Where neighbours by a plain description leave fewer errors than this part of what guessing leaves.
EASY = 0.25
# More by chance than this many standard deviations is not believed.
DEVIATIONS = 2.0
SIDES_PX = (16, 64)
USUAL_SIDE_PX = 48
PORTION = 512


@dataclass(frozen=True)
class Chosen:
    """How to train, and why so.

    Attributes:
        widths: of the network.
        channels: of the pictures it sees, 1 where all are grey.
        side_px: of these pictures.
        passes, mirrored, moved, smoothing, batch: as of `Plan`.
        why: a sentence by name.
    """

    widths: tuple[int, ...]
    channels: int
    side_px: int
    passes: int
    mirrored: bool
    moved: bool
    smoothing: float
    batch: int
    why: dict[str, str]


def choose(given: Examples, *, effort: str = "quick", passes: int | None = None, seed: int = 0) -> Chosen:
    """Says how to train, by up to 2,000 of the pictures to be trained on.

    Mirroring: some of them are named by their neighbours among the others (descriptor.py), as they are and mirrored.
    Where the mirrored ones are named right less often, by more than chance does, left and right mean something.
    Width and passes: where few of them are named wrong, compared with guessing, the pictures are easy, and a narrow
    network needs few passes; in so few nothing is learned by heart, so they are not moved, nor labels smoothed.

    Raises:
        ModelError: there is no such effort, or no such number of passes.
    """
    if effort not in PASSES:
        raise ModelError(f"There is no effort {effort!r}.", hint="Say effort='quick' or effort='thorough'.")
    if passes is not None and not 0 < passes <= 10_000:
        raise ModelError(f"passes={passes} is no number of passes.", hint="Say passes=10.")
    random = np.random.default_rng([seed, 2])
    rows = random.permutation(given.train)[:LOOKED_AT]
    some, labels = given.inputs[rows], given.labels[rows]
    grey = some.shape[3] == 1 or bool((some == some[..., :1]).all())
    side = _side(some.shape[1:3])
    seen = _seen(some, descriptor.CANVAS_PX, 3)
    asked = max(min(ASKED, len(rows) // 2), 1)
    known = descriptor.describe_canvases(seen[asked:])
    right, turned = (
        named(known, labels[asked:], descriptor.describe_canvases(looks)) == labels[:asked]
        for looks in (seen[:asked], np.ascontiguousarray(seen[:asked, :, ::-1]))
    )
    guessing = 1 - np.bincount(labels).max() / len(labels)
    wrong = float((~right).mean()) / max(guessing, 1e-9)
    lost = right.astype(float) - turned
    # Of few pictures even a large difference may be chance; then the doubt is on the side of leaving them as they are.
    believed = DEVIATIONS * max(float(lost.std()), 0.5 / np.sqrt(asked)) / np.sqrt(asked)
    mirrored = asked >= SMALLEST_BATCH and float(lost.mean()) < believed
    easy = wrong < EASY
    count = len(given.train)
    batch = min(usual_batch(count), BATCH)
    planned = (EASY_PASSES if easy else PASSES)[effort]
    steps_in_pass = max(count / batch, 1)
    planned = passes or min(max(planned, round(STEPS[effort] / steps_in_pass)), MOST_PASSES)
    by_heart = planned > EASY_PASSES["thorough"]
    percent = f"{right.mean():.0%} of {asked} pictures are named right by their neighbours"
    return Chosen(
        widths=NARROW if easy else WIDTHS,
        channels=1 if grey else 3,
        side_px=side,
        passes=int(planned),
        mirrored=bool(mirrored and (by_heart or not easy)),
        moved=by_heart or not easy,
        smoothing=0.0 if easy else 0.1,
        batch=batch,
        why={
            "mirrored": f"{percent}, and {turned.mean():.0%} when they are mirrored",
            "easy": f"{percent}: {'easy' if easy else 'not easy'} to tell apart",
            "passes": f"{planned} over {count:,} pictures are {round(planned * steps_in_pass):,} steps",
        },
    )


class Run:
    """One training. `step` trains for a batch; between two passes `checkpoint` says all that it takes to go on.

    Args:
        given: pictures.
        chosen: how.
        seed: of everything that is drawn.
        device: cpu, cuda …
        threads: to compute with; by default what the machine has free now.
    """

    def __init__(
        self, given: Examples, chosen: Chosen, *, seed: int = 0, device: str = "cpu", threads: int | None = None
    ) -> None:
        import torch

        self._torch, self._given, self.chosen = torch, given, chosen
        self._device, self._threads = device, threads or free_cores()
        self._settings = {**asdict(chosen), "seed": seed}
        self._pixels = _seen(given.inputs, chosen.side_px, chosen.channels)
        self._fingerprint = given.fingerprint(self._settings)
        pictures = torch.from_numpy(self._pixels).permute(0, 3, 1, 2)
        labels, train = torch.from_numpy(given.labels), torch.from_numpy(given.train)
        network = SmallNetwork(
            chosen.side_px, len(given.classes), seed, widths=chosen.widths, channels=chosen.channels, early=True
        )
        network.to(device, memory_format=torch.channels_last)
        network.adapt(pictures[train[:ADAPTED_TO]].to(device))
        plan = Plan(
            chosen.passes,
            mirrored=chosen.mirrored,
            moved=chosen.moved,
            smoothing=chosen.smoothing,
            seed=seed,
            whole_passes=True,
            batch=chosen.batch,
        )
        weights = None if given.weights is None else torch.from_numpy(given.weights)
        self._training = Training(network, pictures, labels, train, plan, weights)
        self.curves: dict[str, list[float]] = {"loss": [], "accuracy": []}
        if len(given.held_out):
            self.curves |= {"held_out_loss": [], "held_out_accuracy": []}

    @property
    def part(self) -> float:
        """How far it is, 0 to 1."""
        return self._training.part

    def step(self) -> dict[str, float]:
        """One batch; after the last one of a pass the curves have another point, and "passed" is among what is told.

        Raises:
            ModelError: the loss is no number.
        """
        with self._own_threads():
            step = self._training.step()
            told = {"part": step.part, "loss": round(step.loss, 4), "accuracy": round(step.accuracy, 4)}
            if self._training.passed:
                self.curves["loss"].append(step.loss)
                self.curves["accuracy"].append(step.accuracy)
                if len(self._given.held_out):
                    rows = self._given.held_out
                    loss, right = figures(self._scores(rows), self._given.labels[rows])
                    self.curves["held_out_loss"].append(loss)
                    self.curves["held_out_accuracy"].append(right)
                told["passed"] = len(self.curves["loss"])
        return told

    def checkpoint(self) -> bytes:
        """All that it takes to go on as if it had never stopped: an .npz archive of plain arrays."""
        about = json.dumps({"fingerprint": self._fingerprint, "curves": self.curves})
        np.savez(out := io.BytesIO(), about=np.array(about), **self._training.arrays())  # type: ignore[arg-type]
        return out.getvalue()

    def resume(self, checkpoint: bytes) -> bool:
        """Goes on from a checkpoint; False, and nothing is changed, when it is of another training."""
        found = _opened(checkpoint)
        if found is None or found[0].get("fingerprint") != self._fingerprint:
            return False
        self._training.resume(found[1])
        self.curves = found[0]["curves"]
        return True

    def state(self) -> bytes:
        """The model, as `Learned` is loaded with it."""
        self._training.network.eval()
        config = {
            "format": FORMAT,
            "looks_at": "pixels",
            "classes": self._given.classes,
            "label": None,
            "side_px": self.chosen.side_px,
            "widths": list(self.chosen.widths),
            "channels": self.chosen.channels,
            "early": True,
            "mirrored": self.chosen.mirrored,
        }
        return packed(config, self._training.network.arrays())

    def trained(self, cpu_s: float, cancelled: bool = False) -> Trained:
        """What it leaves."""
        state = b"" if cancelled else self.state()
        held = self.curves.get("held_out_accuracy")
        return Trained(
            state,
            revision_of(state) if state else "",
            self._given.classes,
            held[-1] if held else None,
            self._given.held_out,
            len(self._given.train),
            {name: np.asarray(curve, np.float64) for name, curve in self.curves.items()},
            asdict(self.chosen),
            round(cpu_s, 2),
            cancelled,
        )

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        network, torch = self._training.network, self._torch
        network.eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(rows), PORTION):
                some = torch.from_numpy(self._pixels[rows[start : start + PORTION]]).permute(0, 3, 1, 2)
                parts.append(network.classify(some.to(self._device)).float().cpu().numpy())
        return np.concatenate(parts)

    def _own_threads(self) -> Any:
        return _Threads(self._torch, self._threads)


def train(
    pictures: np.ndarray | Iterable[np.ndarray],
    labels: np.ndarray | Sequence[int],
    classes: Sequence[str],
    *,
    effort: str = "quick",
    passes: int | None = None,
    seed: int = 0,
    weights: np.ndarray | Sequence[float] | None = None,
    held_out: float | np.ndarray = HELD_OUT,
    device: str = "cpu",
    threads: int | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Trained:
    """Trains a small network to tell classes of pictures apart.

    Args:
        pictures: uint8 N x H x W x C, C 3 or 1, or N x H x W; or batches of these.
        labels: N codes of classes; -1 for none.
        classes: their names.
        effort: "quick" (4 passes over many pictures, 1 over easy ones) or "thorough" (10 and 3).
        passes: over all pictures, instead.
        seed: of everything that is drawn. The same seed, data and threads give the same model.
        weights: N, how much each picture counts; 0 leaves it out.
        held_out: which part only says what the model is worth; or a mask, or row numbers.
        device: cpu, cuda …
        threads: to compute with; by default what the machine has free now.
        checkpoint: a file that is written after each pass, and taken up when it is of the same training. It is removed
            when the training is at its end.
        progress: called with the part that is done (0 to 1) and a sentence.
        cancelled: asked between two batches whether to stop.

    Raises:
        ModelError: what is given cannot be trained on, the loss is no number, or the checkpoint cannot be written.
    """
    began = time.process_time()
    given = examples(pictures, labels, classes, weights=weights, held_out=held_out, seed=seed)
    if given.inputs.ndim != 4:
        raise ModelError("These are vectors.", hint="Train a head: dataide.inference.models.head.train(…).")
    chosen = choose(given, effort=effort, passes=passes, seed=seed)
    run = Run(given, chosen, seed=seed, device=device, threads=threads)
    if checkpoint is not None and checkpoint.is_file():
        run.resume(checkpoint.read_bytes())
    while run.part < 1:
        if cancelled is not None and cancelled():
            return run.trained(time.process_time() - began, cancelled=True)
        told = run.step()
        if "passed" in told and checkpoint is not None and run.part < 1:
            write_whole(checkpoint, run.checkpoint())
        if progress is not None:
            progress(told["part"], f"training: loss {told['loss']:.2f}, {told['accuracy']:.0%} right")
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run.trained(time.process_time() - began)


def scores(state: bytes, pictures: np.ndarray) -> np.ndarray:
    """Scores of the classes before softmax, float32 N x classes, of pictures as `train` takes them.

    Raises:
        ModelError: the state is none.
    """
    from dataide.inference.models.learned import Learned

    model = Learned("the model", "classification", state, lambda sentence: None, "cpu", 0)
    array = pictures[..., None] if pictures.ndim == 3 else pictures
    parts = []
    for start in range(0, len(array), PORTION):
        found = model.scores(_seen(array[start : start + PORTION], model.side_px, model.channels))
        assert found is not None
        parts.append(found)
    return np.concatenate(parts) if parts else np.empty((0, len(model.details["classes"])), np.float32)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is there as a whole or not at all, whenever this is stopped.

    Raises:
        ModelError: it cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise ModelError(
            f"The checkpoint {path} cannot be written: {error.strerror or error}.",
            hint="Make room, or train without a checkpoint.",
            code="not_written",
        ) from error


class _Threads:
    """torch with so many threads, for a while: others in this process have theirs."""

    def __init__(self, torch: Any, count: int) -> None:
        self._torch, self._count = torch, count

    def __enter__(self) -> None:
        self._before = self._torch.get_num_threads()
        if self._before != self._count:
            self._torch.set_num_threads(self._count)

    def __exit__(self, *what: object) -> None:
        if self._before != self._count:
            self._torch.set_num_threads(self._before)


def _side(shape: tuple[int, ...]) -> int:
    """The side of the canvases: that of square pictures within bounds, made a multiple of its cell."""
    from dataide.inference.models.small_network import cell_of

    least, most = SIDES_PX
    side = max(shape) if max(shape) <= most else USUAL_SIDE_PX
    side = max(side, least)
    while side % cell_of(side):
        side += 1
    return side


def _seen(pictures: np.ndarray, side_px: int, channels: int) -> np.ndarray:
    """Pictures on canvases, uint8 N x side x side x channels; those that fit are left as they are."""
    if pictures.shape[1:3] != (side_px, side_px):
        from PIL import Image

        made = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in pictures]
        return canvases(made, side_px, channels)
    if pictures.shape[3] == channels:
        return np.ascontiguousarray(pictures)
    # Grey ones have the same number three times.
    return np.ascontiguousarray(pictures[..., :1] if channels == 1 else np.repeat(pictures, 3, axis=3))


def _opened(checkpoint: bytes) -> tuple[dict[str, Any], Mapping[str, np.ndarray]] | None:
    try:
        with np.load(io.BytesIO(checkpoint), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return json.loads(str(arrays.pop("about"))), arrays
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        last_words(error)  # torn or of something else: as if there were none
        return None


def told_of(run: Run) -> Iterator[dict[str, Any]]:
    """All steps of a run, as the inference process tells of them; a checkpoint with each pass but the last."""
    while run.part < 1:
        told: dict[str, Any] = {"doing": "training", **run.step()}
        if "passed" in told:
            told["curves"] = run.curves
            if run.part < 1:
                told["checkpoint"] = run.checkpoint()
        yield told
