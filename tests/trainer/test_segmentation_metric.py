"""The streamed metrics are those of a count pixel by pixel."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from contract.label_maps import resize_label_map
from trainer.masks import UNNAMED
from trainer.segmentation_metric import SegmentationMetric

LABELS = ("sky", "road", "car", "never")
SIZES = [(8, 8), (5, 13), (31, 7), (16, 24)]


def random_pairs(
    labels: int, seed: int, ignored: bool = True
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Maps of 8 x 8 pixels and masks of several sizes, of a few ids that agree here and there."""
    rng = np.random.default_rng(seed)
    pairs = []
    for height, width in SIZES:
        label_map = rng.integers(0, labels, (8, 8)).astype(np.uint8)
        mask = resize_label_map(label_map, height, width).copy()
        wrong = rng.random(mask.shape)
        mask[wrong < 0.4] = rng.integers(0, labels, mask.shape)[wrong < 0.4]
        if ignored:
            mask[wrong > 0.9] = 255
        pairs.append((label_map, mask))
    return pairs


def nearest(index: int, size: int) -> int:
    """Which of 8 pixels the centre of pixel `index` of `size` lies in, without rounding."""
    return math.floor((index + Fraction(1, 2)) * 8 / size)


def counted(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], labels: tuple[str, ...]
) -> dict[str, float]:
    """The metrics pixel by pixel over all pictures at once."""
    seen = []
    for label_map, mask in pairs:
        height, width = mask.shape
        for row in range(height):
            for column in range(width):
                if mask[row, column] != 255:
                    found = label_map[nearest(row, height), nearest(column, width)]
                    seen.append((int(mask[row, column]), int(found)))
    accuracy, iou = {}, {}
    for index, label in enumerate(labels):
        true = [pair for pair in seen if pair[0] == index]
        both = [pair for pair in true if pair[1] == index]
        either = [pair for pair in seen if index in pair]
        if true:
            accuracy[label], iou[label] = len(both) / len(true), len(both) / len(either)
    return {
        "mean_iou": sum(iou.values()) / len(iou),
        "mean_accuracy": sum(accuracy.values()) / len(accuracy),
        "overall_accuracy": sum(true == found for true, found in seen) / len(seen),
        **{f"per_category_accuracy/{label}": value for label, value in accuracy.items()},
        **{f"per_category_iou/{label}": value for label, value in iou.items()},
    }


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_a_count_pixel_by_pixel(seed: int) -> None:
    pairs = random_pairs(3, seed)
    metric = SegmentationMetric(LABELS)
    for label_map, mask in pairs:
        metric.add(label_map, mask)
    assert metric.compute() == pytest.approx(counted(pairs, LABELS))
    assert "per_category_iou/never" not in metric.compute()


def test_label_that_is_predicted_but_occurs_nowhere_counts_in_no_mean() -> None:
    metric = SegmentationMetric(("a", "b", "c"))
    metric.add(np.array([[0, 1, 2, 0]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8))
    assert metric.compute() == {
        "mean_iou": (1 + 1 / 2) / 2,
        "mean_accuracy": (1 + 1 / 2) / 2,
        "overall_accuracy": 3 / 4,
        "per_category_accuracy/a": 1.0,
        "per_category_accuracy/b": 1 / 2,
        "per_category_iou/a": 1.0,
        "per_category_iou/b": 1 / 2,
    }


def test_255_counts_where_it_is_a_label() -> None:
    mask = np.array([[0, 255]], np.uint8)
    right = np.array([[0, 255]], np.uint8)
    named = SegmentationMetric([f"label {index}" for index in range(256)])
    named.add(right, mask)
    assert named.confusion.sum() == 2
    assert named.compute()["per_category_iou/label 255"] == 1.0
    unnamed = SegmentationMetric([UNNAMED.format(index) for index in range(300)])
    unnamed.add(right, mask)
    assert unnamed.confusion.sum() == 1


def test_masks_that_are_ignored_everywhere_give_zeros_and_no_numbers_out_of_nothing() -> None:
    metric = SegmentationMetric(LABELS)
    metric.add(np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8))
    assert metric.compute() == {"mean_iou": 0.0, "mean_accuracy": 0.0, "overall_accuracy": 0.0}


def test_memory_does_not_grow_with_the_pictures() -> None:
    metric = SegmentationMetric(LABELS)
    for _ in range(3):
        for label_map, mask in random_pairs(3, 0):
            metric.add(label_map, mask)
        assert metric.confusion.shape == (4, 4)
        assert metric.confusion.dtype == np.int64


@pytest.mark.parametrize("size", [(1, 1), (5, 13), (16, 24), (7, 8), (100, 3)])
def test_resize_takes_the_id_at_each_pixels_centre(size: tuple[int, int]) -> None:
    label_map = np.arange(64, dtype=np.uint8).reshape(8, 8)
    expected = [
        [8 * nearest(row, size[0]) + nearest(column, size[1]) for column in range(size[1])]
        for row in range(size[0])
    ]
    assert resize_label_map(label_map, *size).tolist() == expected
