"""Training pictures at a random scale, their aspect kept, and random squares of them.

What is drawn depends only on the seed and on the picture's key, as in augment.py.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.pictures import Picture, decode_picture
from trainer.pixel_loss import NO_ID

SMALLEST: Final = 0.5
LARGEST: Final = 2.0

_SCALE, _CORNER = 1, 2  # what a generator is for


@dataclass(frozen=True, slots=True)
class Scaled:
    """Each picture whole, its longer side `base_size` pixels times 0.5 to 2.

    Source: SageMaker's base_size; GluonCV scales the shorter side.
    """

    base_size: int
    seed: int

    def __call__(self, data: bytes, key: int, /) -> Picture:
        """A picture [h, w, 3] without padding."""
        factor = np.random.default_rng([self.seed, key, _SCALE]).uniform(SMALLEST, LARGEST)
        side = round(self.base_size * factor)
        picture = decode_picture(data, side, side, fit="pad")
        pixels = picture.pixels[: picture.content_height, : picture.content_width]
        return replace(picture, pixels=pixels)


def crop_together(
    pixels: NDArray[np.uint8], targets: NDArray[np.int64], size: int, seed: int, key: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """pixels[h, w, 3] and targets[h, w] -> the same square [size, size] of both.

    Where a picture is smaller there is black right and below of it, and nothing to learn.
    """
    height, width = targets.shape
    draw = np.random.default_rng([seed, key, _CORNER])
    top, left = (int(draw.integers(max(0, side - size) + 1)) for side in (height, width))
    window = np.s_[top : top + size, left : left + size]
    cut, cut_targets = pixels[window], targets[window]
    below, right = size - cut_targets.shape[0], size - cut_targets.shape[1]
    return (
        np.pad(cut, ((0, below), (0, right), (0, 0))),
        np.pad(cut_targets, ((0, below), (0, right)), constant_values=NO_ID),
    )
