"""Label maps and masks -> a confusion matrix -> EasyMaker's metrics of segmentation.

Every mask is compared at its own size with the model's map, each pixel of which is the one that
the model's has at its centre. What is kept is one count for each pair of true and predicted id,
so memory depends on the number of labels and not on the pictures.

A label that occurs in no mask counts in no mean, also where it was predicted; the pixels that
were lost to it lower the others' values.
"""

from collections.abc import Collection, Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from contract.label_maps import resize_label_map
from trainer.datasets.dataset import Sample
from trainer.masks import ignored_id, mask_of
from trainer.tasks.task import Metrics, Outputs

LABEL_MAP: Final = "label_map"


class SegmentationMetric:
    """Counts pixels by true and predicted id."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._ignored = ignored_id(labels)
        self.confusion: NDArray[np.int64] = np.zeros((len(labels),) * 2, np.int64)

    def update(self, outputs: Outputs, samples: Sequence[Sample]) -> None:
        """Take in label_map[B, S, S] for a batch of samples, whose masks are read."""
        for label_map, sample in zip(outputs[LABEL_MAP], samples, strict=True):
            self.add(label_map, mask_of(sample).read())

    def merge(self, other: Self) -> None:
        """Take in another process's pixels."""
        self.confusion += other.confusion

    def add(self, label_map: NDArray[np.integer], mask: NDArray[np.integer]) -> None:
        """Count a label_map[S, S] against a mask[H, W] of ids."""
        predicted = resize_label_map(label_map, *mask.shape)
        counts = np.ones(mask.shape, np.bool_) if self._ignored is None else mask != self._ignored
        size = len(self._labels)
        pairs = mask[counts].astype(np.int64) * size + predicted[counts]
        self.confusion += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def compute(self) -> Metrics:
        """The metrics in [0, 1]; those of one label are named `per_category_iou/LABEL`."""
        correct = np.diagonal(self.confusion)
        actual, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        occurring = np.flatnonzero(actual)
        accuracy = {i: float(correct[i] / actual[i]) for i in occurring.tolist()}
        iou = {
            i: float(correct[i] / (actual[i] + predicted[i] - correct[i]))
            for i in occurring.tolist()
        }
        return {
            "mean_iou": _mean(iou.values()),
            "mean_accuracy": _mean(accuracy.values()),
            "overall_accuracy": float(correct.sum() / max(1, actual.sum())),
            **{f"per_category_accuracy/{self._labels[i]}": v for i, v in accuracy.items()},
            **{f"per_category_iou/{self._labels[i]}": v for i, v in iou.items()},
        }


def _mean(values: Collection[float]) -> float:
    return sum(values) / max(1, len(values))
