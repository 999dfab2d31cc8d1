"""Random changes of training pictures, by kornia.

Goes in: uint8 pictures of the canvas size, 8/7 of the input's, or random parts of its size. Comes out: normalised float
pictures of the input size. What is drawn depends only on the seed and on the keys of the batch's
pictures, so a resumed run, or one with other worker processes, sees the same.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import kornia.augmentation as K  # noqa: N812 - the name that kornia's documentation uses
import torch
from torch import Tensor

from trainer.classification_hyperparameters import Augmentation
from trainer.normalization import normalize, to_unit
from trainer.pixel_size import PixelSize, sides
from trainer.seeding import seeded

CANVAS: Final = 8 / 7  # 256 / 224, the ratio of the usual ImageNet recipe

_COLOR: Final = 0.2  # SageMaker's crop_color: hue +-36 of 180, saturation and lightness +-50 of 255
_ROTATION_DEG: Final = 10.0
_SHEAR_DEG: Final = math.degrees(math.atan(0.1))
_ASPECT: Final = math.sqrt(1.25)


def canvas_size(augmentation: Augmentation, side: int) -> int:
    """Height or width in pixels that a training picture is decoded at."""
    return side if augmentation == "none" else math.ceil(side * CANVAS)


def augment(
    image: Tensor,
    augmentation: Augmentation,
    input_size: PixelSize,
    seed: Sequence[int],
    *,
    cropped: bool = False,
) -> Tensor:
    """RGB uint8 image[B, Y, X, 3] of the canvas size -> normalised input[B, 3, H, W].

    Args:
        image: The pictures, decoded at `canvas_size`; at the input's size if they are `cropped`.
        augmentation: Which changes are drawn.
        input_size: Height H and width W of the result in pixels.
        seed: Numbers that decide what is drawn.
        cropped: Whether the pictures are random parts already.
    """
    with seeded(seed):
        pixels: Tensor = _changes(augmentation, sides(input_size), cropped)(to_unit(image))
    return normalize(pixels)


@cache
def _changes(
    augmentation: Augmentation,
    size: tuple[int, int],
    cropped: bool,
) -> torch.nn.Sequential:
    crop = [*([] if cropped else [K.RandomCrop(size)]), K.RandomHorizontalFlip(p=0.5)]
    color = [K.ColorJiggle(brightness=_COLOR, saturation=_COLOR, hue=_COLOR)]
    transform = [
        K.RandomAffine(
            degrees=_ROTATION_DEG,
            shear=(-_SHEAR_DEG, _SHEAR_DEG),
            scale=(1 / _ASPECT, _ASPECT, 1.0, 1.0),
            padding_mode="reflection",
            p=1.0,
        )
    ]
    steps = {
        "none": [],
        "crop": crop,
        "crop_color": [*crop, *color],
        "crop_color_transform": [*transform, *crop, *color],
    }
    return torch.nn.Sequential(*steps[augmentation])
