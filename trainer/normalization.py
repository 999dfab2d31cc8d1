"""ImageNet's mean and deviation, defined once: training, evaluation and the exported graph."""

from typing import Final

import torch
from torch import Tensor

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
LUMA: Final = (0.299, 0.587, 0.114)
"""What red, green and blue are in grey: ITU-R 601-2, as PIL's L and OpenCV have it."""


def normalize(pixels: Tensor) -> Tensor:
    """RGB pixels[B, 3, H, W] in [0, 1] -> the model's input[B, 3, H, W]."""
    mean = torch.tensor(MEAN, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=pixels.device).view(1, 3, 1, 1)
    return (pixels - mean) / std


def grey(inputs: Tensor) -> Tensor:
    """The model's input[B, 3, H, W] -> that of the same pictures in grey, as PIL's L weighs colours.

    A sum and no matrix: int8 quantises products of those.
    """
    weights, mean, std = (
        torch.tensor(values, device=inputs.device, dtype=inputs.dtype).view(1, 3, 1, 1)
        for values in (LUMA, MEAN, STD)
    )
    luma = ((inputs * std + mean) * weights).sum(dim=1, keepdim=True)
    return (luma - mean) / std


def to_unit(image: Tensor) -> Tensor:
    """RGB uint8 image[B, H, W, 3] -> float32 pixels[B, 3, H, W] in [0, 1]."""
    return image.permute(0, 3, 1, 2).to(torch.float32) / 255
