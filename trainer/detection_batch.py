"""Decoded pictures and their objects -> the batches that detectors train and are evaluated on.

Legend: B pictures of a batch, S side of the padded square, n objects of a picture.

Boxes leave here as transformers' losses take them: centre, width and height as parts of the
padded square. What is random depends only on the seed and on the picture's own key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import kornia.augmentation as K  # noqa: N812 - the name that kornia's documentation uses
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from trainer.datasets.coco_objects import objects_of
from trainer.detection_hyperparameters import BoxAugmentation
from trainer.detector_export import masked_inputs
from trainer.normalization import to_unit
from trainer.pictures import Item
from trainer.seeding import seeded
from trainer.tasks.task import Batch

_COLOR = 0.2  # as augment.py's
_SMALLEST_CROP = 0.5  # of the picture's height and width
_MIN_VISIBLE = 0.3  # of a box's area, or it is no object of the crop


@dataclass(frozen=True, slots=True)
class Example:
    """A decoded picture and its objects.

    Attributes:
        pixels: RGB uint8 [S, S, 3], padded right and below.
        height: Rows of it that hold the picture.
        width: Columns of it that hold the picture.
        boxes_xyxy_px: [n, 4] in pixels of it.
        labels: Class indices [n].
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    boxes_xyxy_px: NDArray[np.float32]
    labels: NDArray[np.int64]


def example_of(item: Item) -> Example:
    """A decoded sample without its crowds, which nothing is trained on."""
    objects, picture = objects_of(item.sample), item.picture
    instances = [instance for instance in objects.instances if not instance.crowd]
    boxes = np.array([one.box_xyxy_px for one in instances], np.float32).reshape(-1, 4)
    scale = [picture.content_width / objects.width, picture.content_height / objects.height]
    return Example(
        picture.pixels,
        picture.content_height,
        picture.content_width,
        boxes * np.array(scale * 2, np.float32),
        np.array([one.label for one in instances], np.int64),
    )


def train_batch(items: Sequence[Item], augmentation: BoxAugmentation, seed: int) -> Batch:
    """pixel_values[B, 3, S, S], pixel_mask[B, S, S] and labels of changed pictures."""
    examples = [
        _changed(example_of(item), augmentation, np.random.default_rng([seed, item.key]))
        for item in items
    ]
    batch = _collate(examples, _jiggle([seed, *(i.key for i in items)], augmentation))
    return {name: value for name, value in batch.items() if name != "size"}


def eval_batch(items: Sequence[Item]) -> Batch:
    """As `train_batch`, of the pictures as they are, and their size[B, 2] within the square."""
    return _collate([example_of(item) for item in items], None)


def flipped(example: Example) -> Example:
    """Mirrored left to right; the padding stays at the right."""
    pixels = example.pixels.copy()
    pixels[:, : example.width] = example.pixels[:, : example.width][:, ::-1]
    left, top, right, bottom = example.boxes_xyxy_px.T
    boxes = np.stack([example.width - right, top, example.width - left, bottom], axis=1)
    return replace(example, pixels=pixels, boxes_xyxy_px=boxes)


def cropped(example: Example, left: int, top: int, width: int, height: int) -> Example:
    """A part of the picture, enlarged to the square again.

    An object of which less than 30 % is left is none of it any more.
    """
    side = len(example.pixels)
    scale = side / max(width, height)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    part = Image.fromarray(example.pixels[top : top + height, left : left + width])
    pixels = np.zeros_like(example.pixels)
    resized = part.resize((new_width, new_height), Image.Resampling.BILINEAR)
    pixels[:new_height, :new_width] = np.asarray(resized)
    origin, end = np.array([left, top] * 2), np.array([width, height] * 2)
    boxes = np.clip(example.boxes_xyxy_px - origin, 0, end).astype(np.float32)
    whole = _areas(example.boxes_xyxy_px)
    kept = _areas(boxes) > _MIN_VISIBLE * whole
    factors = np.array([new_width / width, new_height / height] * 2, np.float32)
    return Example(pixels, new_height, new_width, boxes[kept] * factors, example.labels[kept])


def _changed(example: Example, augmentation: BoxAugmentation, rng: np.random.Generator) -> Example:
    if augmentation in ("crop", "crop_color") and rng.random() < 0.5:
        width = max(1, round(example.width * rng.uniform(_SMALLEST_CROP, 1)))
        height = max(1, round(example.height * rng.uniform(_SMALLEST_CROP, 1)))
        left = int(rng.integers(0, example.width - width + 1))
        top = int(rng.integers(0, example.height - height + 1))
        example = cropped(example, left, top, width, height)
    if augmentation != "none" and rng.random() < 0.5:
        example = flipped(example)
    return example


def _jiggle(seed: Sequence[int], augmentation: BoxAugmentation) -> Sequence[int] | None:
    return seed if augmentation == "crop_color" else None


def _collate(examples: Sequence[Example], color_seed: Sequence[int] | None) -> Batch:
    pixels = to_unit(torch.from_numpy(np.stack([example.pixels for example in examples])))
    if color_seed is not None:
        pixels = _recolored(pixels, color_seed)
    size = torch.tensor(
        [[example.height, example.width] for example in examples], dtype=torch.int32
    )
    labels = [_target(example) for example in examples]
    return {**masked_inputs(pixels, size), "labels": labels, "size": size}


def _target(example: Example) -> dict[str, Tensor]:
    """class_labels[n] and boxes[n, 4], centre, width and height as parts of the square."""
    boxes = torch.from_numpy(example.boxes_xyxy_px) / len(example.pixels)
    centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return {
        "class_labels": torch.from_numpy(example.labels),
        "boxes": torch.cat([centre, extent], dim=1),
    }


def _recolored(pixels: Tensor, seed: Sequence[int]) -> Tensor:
    """RGB pixels[B, 3, S, S] in [0, 1] of other hue, saturation and lightness."""
    with seeded(seed):
        changed: Tensor = _color()(pixels)
    return changed


@cache
def _color() -> torch.nn.Module:
    jiggle: torch.nn.Module = K.ColorJiggle(brightness=_COLOR, saturation=_COLOR, hue=_COLOR)
    return jiggle


def _areas(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas [n] of boxes [n, 4]."""
    extent: NDArray[np.float32] = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    return extent[:, 0] * extent[:, 1]
