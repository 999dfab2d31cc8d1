"""Decoded pictures and their masks -> the batches that segmenters train and are evaluated on.

Legend: B pictures of a batch, S their height and width, C that of a random square.

What is random depends only on the seed and on the picture's own key.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.label_maps import resize_label_map
from trainer.flips import flip_together
from trainer.masks import mask_of
from trainer.normalization import normalize, to_unit
from trainer.pictures import Item, stack
from trainer.pixel_loss import NO_ID
from trainer.scaled_crops import crop_together
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.tasks.task import Batch


def train_batch(items: Sequence[Item], wanted: SegmentationHyperparameters) -> Batch:
    """pixel_values[B, 3, S, S] and labels[B, S, S], some mirrored; S is C where they are cropped."""
    image, labels = _crops(items, wanted) if wanted.crop_size else (stack(items), _targets(items))
    pixels = to_unit(image)
    if wanted.augmentation == "flip":
        seed = [wanted.seed, *(item.key for item in items)]
        pixels, labels = flip_together(pixels, labels, seed)
    return {"pixel_values": normalize(pixels), "labels": labels}


def eval_batch(items: Sequence[Item]) -> Batch:
    """As `train_batch`, of the pictures as they are."""
    return {"pixel_values": normalize(to_unit(stack(items))), "labels": _targets(items)}


def _targets(items: Sequence[Item]) -> Tensor:
    """labels[B, S, S] of the pictures' size, int64."""
    return torch.from_numpy(np.stack([_target(item) for item in items]))


def _target(item: Item) -> NDArray[np.int64]:
    """Ids [h, w] of the picture's size; NO_ID where nothing is to be learned."""
    mask = mask_of(item.sample)
    ids = resize_label_map(mask.read(), *item.pixels.shape[:2]).astype(np.int64)
    return ids if mask.ignored is None else np.where(ids == mask.ignored, NO_ID, ids)


def _crops(items: Sequence[Item], wanted: SegmentationHyperparameters) -> tuple[Tensor, Tensor]:
    """Uint8 image[B, C, C, 3] and labels[B, C, C] of random squares of the pictures."""
    cut = [
        crop_together(item.pixels, _target(item), wanted.crop_size, wanted.seed, item.key)
        for item in items
    ]
    images, targets = zip(*cut, strict=True)
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets))
