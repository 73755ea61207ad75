"""The published transform of torchvision's classifiers, done with a third of the work.

torchvision resizes the whole picture, cuts the middle out, and makes a float tensor of it. Here Pillow computes only
the middle, by the same filter, and pictures stay bytes until the whole batch is normalised at once, on the GPU where
there is one. A value differs by one step of 255 at most, where the two round differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


# JPEG may be decoded smaller than it is, but its longest side stays so many times as long as what the model sees.
DECODE_MARGIN = 2.5


class Preset:
    """Resize the shorter side, cut out the middle, normalise.

    Args:
        resize_px: length of the shorter side after resizing.
        crop_px: side of what is cut out of the middle.
        mean: of red, green and blue, 0..1.
        std: likewise.
        resample: one of Pillow's filters.
    """

    def __init__(self, resize_px: int, crop_px: int, mean: list[float], std: list[float], resample: int) -> None:
        self.resize_px = resize_px
        self.crop_px = crop_px
        self.mean = mean
        self.std = std
        self._resample = resample

    @classmethod
    def of(cls, transform: Any) -> Preset | None:
        """The same as a transform that came with torchvision's weights; None for any other."""
        try:
            from torchvision.transforms import InterpolationMode
            from torchvision.transforms._presets import ImageClassification
        except ImportError:
            return None
        if type(transform).__module__.startswith("dataide."):  # it only says more about what goes wrong
            transform = getattr(transform, "transform", transform)
        if type(transform) is not ImageClassification:
            return None
        from PIL import Image

        filters = {
            InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
            InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
        }
        resample = filters.get(transform.interpolation)
        resize, crop = transform.resize_size, transform.crop_size
        # A crop that is larger than the picture would be padded.
        if resample is None or len(resize) != 1 or len(crop) != 1 or crop[0] > resize[0]:
            return None
        return cls(resize[0], crop[0], list(transform.mean), list(transform.std), resample)

    @property
    def enough_px(self) -> int:
        """The longest side to which a JPEG may be decoded: the filter reduces it further all the same."""
        return int(DECODE_MARGIN * self.resize_px)

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An RGB picture of any size as uint8, crop x crop x 3."""
        width, height = image.size
        shorter = min(width, height)
        # Rounded as torchvision does.
        wide, high = int(self.resize_px * width / shorter), int(self.resize_px * height / shorter)
        left, top = round((wide - self.crop_px) / 2), round((high - self.crop_px) / 2)
        across, down = width / wide, height / high
        box = (left * across, top * down, (left + self.crop_px) * across, (top + self.crop_px) * down)
        # The last column may lie a rounding error outside.
        box = (box[0], box[1], min(box[2], width), min(box[3], height))
        return np.asarray(image.resize((self.crop_px, self.crop_px), self._resample, box=box))
