"""Decoders of segmentation: features[B, C, h, w] of a dilated ResNet -> logits[B, K, h, w].

The layers are those of GluonCV's models, which SageMaker's algorithm is made of; what they add to
the papers is a dropout before each classifier, and a 3 x 3 convolution behind DeepLab's pyramid.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

PYRAMID_BINS: Final = (1, 2, 3, 6)  # Zhao et al. 2017, section 3.2
CLASSIFIER_STD: Final = 0.01

_DROPOUT = 0.1
_PYRAMID_DROPOUT = 0.5  # behind the five branches that are joined in one


class PixelClassifier(nn.Conv2d):
    """features[B, C, h, w] -> logits[B, K, h, w], each pixel by itself.

    A type of its own, because it is initialised so that no label is likelier than another, and
    not by the number of its outputs.
    """

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__(channels, labels, kernel_size=1)


class FcnHead(nn.Sequential):
    """A 3 x 3 convolution and a classifier.

    Source: Long et al. 2015, arXiv 1411.4038, as a head of dilated features, which keep what the
    paper's skips brought back.
    """

    def __init__(self, channels: int, inner: int, labels: int) -> None:
        super().__init__(
            _convolution(channels, inner, side=3),
            nn.Dropout(_DROPOUT),
            PixelClassifier(inner, labels),
        )


class PyramidHead(nn.Module):
    """PSPNet's pyramid pooling: means over 1, 4, 9 and 36 parts of the picture beside each pixel.

    Source: Zhao et al. 2017, arXiv 1612.01105, section 3.2.
    """

    def __init__(self, channels: int, inner: int, labels: int) -> None:
        super().__init__()
        quarter = channels // len(PYRAMID_BINS)
        self.levels = nn.ModuleList(_convolution(channels, quarter) for _ in PYRAMID_BINS)
        self.head = FcnHead(channels + quarter * len(PYRAMID_BINS), inner, labels)

    def forward(self, features: Tensor) -> Tensor:
        """features[B, C, h, w] -> logits[B, K, h, w]."""
        size = features.shape[-2:]
        levels = [
            interpolate(level(pool(features, bins)), size, mode="bilinear", align_corners=False)
            for bins, level in zip(PYRAMID_BINS, self.levels, strict=True)
        ]
        logits: Tensor = self.head(torch.cat([features, *levels], dim=1))
        return logits


class AtrousHead(nn.Module):
    """DeepLabV3's atrous spatial pyramid pooling: dilated convolutions of several rates, and a mean.

    Source: Chen et al. 2017, arXiv 1706.05587, section 3.3.
    """

    def __init__(self, channels: int, inner: int, labels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _convolution(channels, inner),
                *(_convolution(channels, inner, side=3, dilation=rate) for rate in rates),
            ]
        )
        self.pooled = _convolution(channels, inner)
        self.project = _convolution((len(self.branches) + 1) * inner, inner)
        self.dropout = nn.Dropout(_PYRAMID_DROPOUT)
        self.head = FcnHead(inner, inner, labels)

    def forward(self, features: Tensor) -> Tensor:
        """features[B, C, h, w] -> logits[B, K, h, w]."""
        mean = self.pooled(pool(features, 1)).expand(-1, -1, *features.shape[-2:])
        joined = torch.cat([*(branch(features) for branch in self.branches), mean], dim=1)
        logits: Tensor = self.head(self.dropout(self.project(joined)))
        return logits


def pool(features: Tensor, bins: int) -> Tensor:
    """features[B, C, h, w] -> means[B, C, bins, bins], as nn.AdaptiveAvgPool2d has them.

    Two products of matrices: adaptive pooling is not in ONNX, and its gradient on a GPU is not
    the same from run to run.
    """
    rows, columns = (mean_over_bins(size, bins).to(features) for size in features.shape[-2:])
    return rows @ features @ columns.T


def mean_over_bins(size: int, bins: int) -> Tensor:
    """[bins, size]: row i takes the mean from i size / bins to (i + 1) size / bins, whole ones."""
    rows = torch.zeros(bins, size)
    for index in range(bins):
        start, end = index * size // bins, -(-(index + 1) * size // bins)
        rows[index, start:end] = 1 / (end - start)
    return rows


def _convolution(channels: int, outputs: int, side: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps height and width, a batch norm and a ReLU."""
    padding = dilation * (side // 2)
    return nn.Sequential(
        nn.Conv2d(channels, outputs, side, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
