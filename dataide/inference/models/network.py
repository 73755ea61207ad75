"""Any torch module with a transform, run as fast as the device allows."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from dataide.errors import DataideError, ModelError
from dataide.inference.models import tuning
from dataide.inference.models.base import Halving, Problem, last_words, out_of_memory
from dataide.inference.models.outputs import Computed, Output
from dataide.inference.models.presets import Preset
from dataide.storage import pictures

# Batches that lie on the GPU before they are computed; the others wait in main memory.
COPIED_AHEAD = 3


class Network:
    """A module, the transform that makes a tensor of a PIL picture, and the output that checks what comes out.

    The first batch shows which of the faster ways compute the same (see tuning.py); nothing is computed before that.

    Args:
        module: on the CPU still; it is put into evaluation mode and onto the device, and is the network's from then on.
        transform: a PIL picture (RGB) to a tensor C x H x W; all of one shape, unless `apart`.
        output: makes arrays of what the module returns for a batch.
        name: for messages.
        revision: of module, weights and transform.
        device: cpu, cuda or cuda:1.
        decode_side_px: pictures may be decoded smaller than they are, as long as they keep so many px along their
            longest side: what the transform needs and no more. None for full size, or what torchvision's transform
            of classifiers needs.
        apart: give the module a list of tensors of any size instead of one batch, as detectors want it.
        details: what else to say of the model.
        precision: "auto" for bfloat16 where the device is faster with it and the outcome stays alike, else "float32",
            "bfloat16" or "float16". Weights stay as they are.
        compile: let torch.compile make a program of it, which takes its time with the first batch.

    Raises:
        ModelError: there is no such precision.
    """

    def __init__(
        self,
        module: Any,
        transform: Callable[[Any], Any],
        output: Output,
        *,
        name: str,
        revision: str,
        device: str,
        decode_side_px: int | None = None,
        apart: bool = False,
        details: dict[str, Any] | None = None,
        precision: str = "auto",
        compile: bool = False,
    ) -> None:
        import torch

        if precision not in tuning.PRECISIONS:
            raise ModelError(
                f"There is no precision {precision!r}.", hint=f"Say one of {', '.join(tuning.PRECISIONS)}."
            )
        self._torch = torch
        self._module = module.eval().to(device)
        self._transform = transform
        self._preset = None if apart else Preset.of(transform)
        self._output = output
        self._name = name
        self._decode_side_px = decode_side_px or (self._preset.enough_px if self._preset else None)
        self._apart = apart
        self._asked = precision
        self._precision = "float32"  # until it is tuned
        self._compile = compile
        self._run: Callable[[Any], Any] = self._module
        self._tuned = False
        self._format = torch.contiguous_format
        self._halving = Halving()
        self._transforms = False  # whether the transform has made a tensor of any picture
        self._on_cuda = device.startswith("cuda")
        self._copies = threading.Semaphore(COPIED_AHEAD)
        self._stream: Any = torch.cuda.Stream(device) if self._on_cuda else None
        self.device = device
        self.takes_all_cores = not self._on_cuda
        self.revision = revision
        self.details = {**(details or {}), **output.details}

    @property
    def dimension(self) -> int:
        return getattr(self._output, "dimension", 0)

    # On the decoding threads -----------------------------------------------------------------------------------------

    def prepare(self, data: Sequence[bytes]) -> tuple[Any, list[Problem]]:
        """Decodes and transforms: one tensor N x C x H x W, or a list of tensors for a network that wants them apart.

        Raises:
            ModelError: the transform works for none of the pictures, or makes tensors of several shapes.
        """
        made: list[Any] = []
        problems: list[Problem] = []
        failure: DataideError | None = None
        for index, one in enumerate(data):
            try:
                image = self._decoded(one)
            except DataideError as error:
                problems.append((index, error.code, error.message))
                continue
            try:
                made.append((self._preset or self._transform)(image))
            except Exception as error:
                failure = self._transform_failed(error)
                problems.append((index, failure.code, failure.message))
        if failure is not None and not made and not self._transforms:
            raise failure
        self._transforms = self._transforms or bool(made)
        return (made if self._apart or not made else self._stacked(made)), problems

    def _decoded(self, data: bytes) -> Any:
        # One that is resized in any case need not be resized before.
        image = pictures.look(data, max_side_px=self._decode_side_px, shrink=self._preset is None).image
        return image if image.mode == "RGB" else image.convert("RGB")

    def _transform_failed(self, error: Exception) -> DataideError:
        if isinstance(error, DataideError):
            return error
        return ModelError(
            f"The transform of {self._name} failed: {last_words(error)}.",
            hint="It is given an RGB picture of Pillow and returns a tensor: try it on one picture.",
            code="transform",
        )

    def _stacked(self, made: list[Any]) -> Any:
        torch = self._torch
        if self._preset is not None:
            side = self._preset.crop_px
            batch = torch.empty((len(made), side, side, 3), dtype=torch.uint8, pin_memory=self._on_cuda)
            pixels = batch.numpy()
            for index, one in enumerate(made):
                pixels[index] = one
            batch = batch.permute(0, 3, 1, 2)
        else:
            if not all(isinstance(one, torch.Tensor) for one in made) or len({one.shape for one in made}) != 1:
                shapes = {str(tuple(one.shape)) if hasattr(one, "shape") else type(one).__name__ for one in made}
                listed = ", ".join(sorted(shapes)[:4])
                raise ModelError(
                    f"The transform of {self._name} does not make tensors of one shape: {listed}.",
                    hint="Let it end with a size of both sides, such as Resize((224, 224)), and ToTensor().",
                    code="transform",
                )
            batch = torch.stack(made)
            batch = batch.pin_memory() if self._on_cuda else batch
        return self._ahead(batch) if self._on_cuda else batch

    def _ahead(self, batch: Any) -> Any:
        """Copies a batch to the GPU while another is computed, unless many are there already."""
        if not self._copies.acquire(blocking=False):
            return batch
        try:
            with self._torch.cuda.stream(self._stream):
                copied = batch.to(self.device, non_blocking=True)
            self._stream.synchronize()
        except RuntimeError as error:
            self._copies.release()
            if out_of_memory(error):
                return batch  # there may be room when its turn comes
            raise
        weakref.finalize(copied, self._copies.release)  # computed, or dropped because its job was cancelled
        return copied

    # On the computing thread -----------------------------------------------------------------------------------------

    def compute(self, prepared: Any) -> Computed:
        """What the module makes of a prepared batch, in parts where memory is short.

        Raises:
            ModelError: the module failed, or what it gives is not what its task needs.
        """
        if not len(prepared):
            return self._output.empty()
        try:
            if not self._tuned:
                self._tune(prepared)
                self._tuned = True
            computed = self._halving(self._once, prepared)
        except DataideError:
            raise
        except Exception as error:
            raise ModelError(f"{self._name} failed: {last_words(error)}.") from error
        if self._halving.largest is not None:
            self.details["largest_batch"] = self._halving.largest
        self.details.update(self._output.details)  # how many classes there are, where nobody has named them
        return computed

    def _once(self, batch: Any) -> Computed:
        return self._output(self._computed(batch), len(batch))

    def _computed(self, batch: Any) -> Any:
        with self._torch.inference_mode(), self._autocast():
            return self._run(self._ready(batch))

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._precision == "float32":
            return contextlib.nullcontext()
        made: contextlib.AbstractContextManager[Any] = self._torch.autocast(
            self.device.partition(":")[0], dtype=getattr(self._torch, self._precision)
        )
        return made

    def _ready(self, batch: Any) -> Any:
        """A batch as the module wants it: on the device, normalised, in the order that its kernels like."""
        torch = self._torch
        if self._apart:
            return [one.to(self.device) for one in batch]
        if batch.is_cuda:
            batch.record_stream(torch.cuda.current_stream(self.device))  # it was made in another stream
        on = batch.to(self.device, non_blocking=True)
        if self._preset is not None and on.dtype == torch.uint8:
            mean, scale = self._normal
            # Row by row of all colours: over three colours at a time torch takes nearly three times as long.
            count, colours, high, wide = on.shape
            rows = on.permute(0, 2, 3, 1).reshape(count, high, wide * colours).to(torch.float32).sub_(mean).mul_(scale)
            on = rows.view(count, high, wide, colours).permute(0, 3, 1, 2)
        return on.contiguous(memory_format=self._format) if on.ndim == 4 else on

    @functools.cached_property
    def _normal(self) -> tuple[Any, Any]:
        """Mean and one over deviation of the colours of a row of pixels, 0..255."""
        assert self._preset is not None
        mean, std = (
            self._torch.tensor(values, device=self.device).repeat(self._preset.crop_px)
            for values in (self._preset.mean, self._preset.std)
        )
        return mean * 255, 1 / (std * 255)

    def _tune(self, prepared: Any) -> None:
        """Finds the fastest way that computes the same as the module does plainly."""
        self._precision = "float32"  # also where an earlier attempt has failed
        if not self._apart:
            self._lay_out(prepared)
        if self._asked != "auto":
            self._precision = self._asked
        elif not self._apart:
            self._precision = self._chosen(prepared)
        self.details["precision"] = self._precision
        if self._compile:
            self._compiled(prepared)

    def _lay_out(self, prepared: Any) -> None:
        torch = self._torch
        sample = _two(prepared)
        plain = self._computed(sample)
        if any(isinstance(one, torch.nn.Conv2d) for one in self._module.modules()):
            for step, memory_format in ((tuning.channels_last, torch.channels_last), (tuning.fuse, None)):
                before = self._format
                undo = step(self._module, torch)
                self._format = memory_format or before
                try:
                    fits = tuning.same(plain, self._computed(sample), torch)
                except RuntimeError as error:  # view() on what lies in another order, for one
                    if out_of_memory(error):
                        raise
                    fits = False
                if not fits:
                    undo()
                    self._format = before

    def _chosen(self, prepared: Any) -> str:
        """Half precision where the device has it, it is worth it, and the outcome is alike."""
        torch = self._torch
        half = tuning.precision_for(self.device, torch)
        if half == "float32" or sum(one.numel() for one in self._module.parameters()) < tuning.WORTH_PARAMETERS:
            return "float32"
        sample = _two(prepared)
        plain = self._computed(sample)
        # A GPU that has it is faster with it; of a CPU one cannot know.
        exact_s = 0.0 if self._on_cuda else tuning.seconds(lambda: self._computed(sample))
        self._precision = half
        try:
            if tuning.alike(plain, self._computed(sample), torch) and (
                self._on_cuda or tuning.seconds(lambda: self._computed(sample)) * tuning.FASTER < exact_s
            ):
                return half
        except RuntimeError as error:  # not everything can be computed in half precision
            if out_of_memory(error):
                raise
        self._precision = "float32"
        return "float32"

    def _compiled(self, prepared: Any) -> None:
        torch = self._torch
        self._run = torch.compile(self._module)
        try:
            self._computed(prepared[:2])
        except Exception as error:
            self._run = self._module
            if isinstance(error, RuntimeError) and out_of_memory(error):
                raise
            self.details["note"] = f"torch.compile failed ({last_words(error)}), so {self._name} runs without it"
        self.details["compiled"] = self._run is not self._module


def _two(prepared: Any) -> Any:
    """Two pictures to try a network on: with a single one, every order in memory is the same."""
    return prepared[:2] if len(prepared) > 1 else prepared.repeat(2, 1, 1, 1) if prepared.ndim == 4 else prepared
