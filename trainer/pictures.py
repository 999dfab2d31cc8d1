"""Samples -> decoded pictures, in an order that depends only on the seed and the epoch.

The sampler's keys carry the epoch: key = epoch * len(samples) + index. So whatever is random about
a picture is a function of the seed and the key, not of the process that reads it, the pictures
read before it or the generator's state after a resume.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from contract.pictures import Fit, Picture, decode_picture
from trainer.datasets.dataset import Sample


@dataclass(frozen=True, slots=True)
class Item:
    """A sample and its decoded picture, RGB uint8 pixels [S, S, 3]; the key carries the epoch."""

    key: int
    picture: Picture
    sample: Sample

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture's pixels [S, S, 3]."""
        return self.picture.pixels


def stack(items: Sequence[Item]) -> Tensor:
    """The pixels of pictures of one size, uint8 [B, H, W, 3]."""
    return torch.from_numpy(np.stack([item.pixels for item in items]))


class View(Protocol):
    """How a picture file becomes the pixels of an item."""

    def __call__(self, data: bytes, key: int, /) -> Picture:
        """Decode a file; what is random about it depends on nothing but the key and the seed."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole of each picture, at one size; nothing is random."""

    height: int
    width: int
    fit: Fit

    def __call__(self, data: bytes, _key: int, /) -> Picture:
        """A picture [height, width, 3]."""
        return decode_picture(data, self.height, self.width, fit=self.fit)


class Pictures(Dataset[Item]):
    """Samples as a view shows them, by key."""

    def __init__(self, samples: Sequence[Sample], view: View) -> None:
        self.samples = samples
        self.view = view

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int) -> Item:
        sample = self.samples[key % len(self.samples)]
        return Item(key, self.view(sample.path.read_bytes(), key), sample)


class EpochSampler(Sampler[int]):
    """A new permutation of all keys each epoch, from the seed and the epoch alone.

    Batch normalisation needs two values a channel, so where the last batch would hold a single
    picture, another one each epoch is left out.
    """

    def __init__(self, count: int, batch_size: int, seed: int, *, processes: int = 1) -> None:
        # With several processes accelerate fills the last batch up instead.
        self._length = count - 1 if processes == 1 and count % batch_size == 1 else count
        self._count = count
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._count)
        return iter((self._epoch * self._count + order[: self._length]).tolist())
