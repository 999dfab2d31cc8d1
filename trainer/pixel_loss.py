"""The loss of a label a pixel, for logits that are smaller than the picture."""

from typing import Final

from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

NO_ID: Final = -100
"""What an ignored pixel is in a training batch."""


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits[B, K, h, w], enlarged, over the labels[B, H, W] that count."""
    enlarged = enlarge(logits, labels.shape[-1]).float()
    total = cross_entropy(enlarged, labels, ignore_index=NO_ID, reduction="sum")
    return total / (labels != NO_ID).sum().clamp(min=1)


def enlarge(logits: Tensor, size: int) -> Tensor:
    """logits[B, K, h, w] -> [B, K, size, size], bilinear between the pixels' centres."""
    return interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)
