"""Random mirroring of training pictures together with their masks, by kornia.

What is drawn depends only on the seed and on the keys of the batch's pictures, as in augment.py.
"""

from collections.abc import Sequence
from functools import cache

import kornia.augmentation as K  # noqa: N812 - the name that kornia's documentation uses
from torch import Tensor

from trainer.seeding import seeded


def flip_together(pixels: Tensor, masks: Tensor, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mirror half of the float pixels[B, 3, S, S], and the masks[B, S, S] of integers with them."""
    with seeded(seed):
        flipped = _flip()(pixels, masks[:, None].to(pixels.dtype))
    return flipped[0], flipped[1][:, 0].round().to(masks.dtype)


@cache
def _flip() -> K.AugmentationSequential:
    return K.AugmentationSequential(K.RandomHorizontalFlip(p=0.5), data_keys=["input", "mask"])
