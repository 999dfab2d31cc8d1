"""Samples -> decoded pictures, in an order that depends only on the seed and the epoch.

The sampler's keys carry the epoch: key = epoch * len(samples) + index. So whatever is random about
a picture is a function of the seed and the key, not of the process that reads it, the pictures
read before it or the generator's state after a resume.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from contract.pictures import decode_picture
from trainer.datasets.dataset import Sample, Target


@dataclass(frozen=True, slots=True)
class Item:
    """A decoded sample: its key, RGB uint8 pixels [S, S, 3] and target."""

    key: int
    pixels: NDArray[np.uint8]
    target: Target


class Pictures(Dataset[Item]):
    """Samples decoded at `size` pixels, by key."""

    def __init__(self, samples: Sequence[Sample], size: int) -> None:
        self.samples = samples
        self.size = size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int) -> Item:
        sample = self.samples[key % len(self.samples)]
        picture = decode_picture(sample.path.read_bytes(), self.size, self.size)
        return Item(key, picture.pixels, sample.target)


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
