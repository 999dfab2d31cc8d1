"""A training picture and its boxes are changed together, and crowds are not trained on."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.trainer.coco_folders import write_coco_folder
from trainer.datasets.coco import read_coco
from trainer.datasets.coco_objects import Instance, objects_of
from trainer.detection_batch import Example, cropped, eval_batch, example_of, flipped, train_batch
from trainer.detection_hyperparameters import BoxAugmentation
from trainer.pictures import Item, Pictures, Whole

SIDE = 64


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder = write_coco_folder(tmp_path_factory.mktemp("boxes"), {"train": 6, "validation": 1})
    pictures = Pictures(read_coco(folder).splits["train"], Whole(SIDE, SIDE, "pad"))
    return [pictures[index] for index in range(6)]


def red_box(example: Example) -> NDArray[np.int64]:
    """Left, top, right and bottom of what is red."""
    pixels = example.pixels.astype(int)
    rows, columns = np.nonzero((pixels[..., 0] > 180) & (pixels[..., 2] < 60))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def hull(example: Example) -> NDArray[np.float32]:
    """The box around all boxes."""
    boxes = example.boxes_xyxy_px
    corners: NDArray[np.float32] = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    return corners


@pytest.mark.parametrize("change", ["none", "flip", "crop"])
def test_boxes_stay_around_their_objects(items: list[Item], change: str) -> None:
    for item in items:
        example = example_of(item)
        if change == "flip":
            example = flipped(example)
        if change == "crop":
            left, top = example.width // 8, example.height // 8
            example = cropped(example, left, top, example.width - left, example.height - top)
        np.testing.assert_allclose(red_box(example), hull(example), atol=2)
        assert not example.pixels[example.height :].any()
        assert not example.pixels[:, example.width :].any()


def test_object_of_which_little_is_left_is_dropped() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    boxes = np.array([[0, 0, 40, 40], [30, 30, 60, 60]], np.float32)
    example = Example(pixels, 64, 64, boxes, np.array([0, 1]))
    part = cropped(example, 32, 32, 32, 32)
    assert part.labels.tolist() == [1]
    np.testing.assert_allclose(part.boxes_xyxy_px, [[0, 0, 56, 56]])


def test_targets_are_parts_of_the_padded_square(items: list[Item]) -> None:
    batch = eval_batch(items[:2])
    assert batch["size"].tolist() == [[48, 64], [64, 40]]
    assert batch["pixel_mask"].sum((1, 2)).tolist() == [48 * 64, 64 * 40]
    assert not batch["pixel_values"][0, :, 48:].any()
    for item, label in zip(items[:2], batch["labels"], strict=True):
        centre, extent = label["boxes"][:, :2] * SIDE, label["boxes"][:, 2:] * SIDE
        expected = [one.box_xyxy_px for one in objects_of(item.sample).instances]
        corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=1)
        np.testing.assert_allclose(corners.numpy(), expected, atol=1e-4)


def test_crowd_is_no_target(items: list[Item]) -> None:
    objects = objects_of(items[0].sample)
    crowd = Instance(0, (0.0, 0.0, 9.0, 9.0), 81.0, crowd=True)
    target = dataclasses.replace(objects, instances=(*objects.instances, crowd))
    sample = dataclasses.replace(items[0].sample, target=target)
    item = dataclasses.replace(items[0], sample=sample)
    assert len(example_of(item).labels) == len(objects.instances)


@pytest.mark.parametrize("augmentation", ["none", "flip", "crop", "crop_color"])
def test_what_is_drawn_depends_on_seed_and_key_alone(
    items: list[Item], augmentation: BoxAugmentation
) -> None:
    first = train_batch(items, augmentation, seed=3)
    torch.manual_seed(99)
    again = train_batch(items, augmentation, seed=3)
    other = train_batch(items, augmentation, seed=4)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    changed = not torch.equal(first["pixel_values"], other["pixel_values"])
    assert changed == (augmentation != "none")
