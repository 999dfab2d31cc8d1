"""Detections and annotations -> COCO's mean average precision, by faster-coco-eval.

Kept are the boxes alone, a few hundred numbers a picture. Boxes are compared in pixels of the
upright picture as it is on the disk, which is what the size bounds of 32 and 96 pixels mean.
"""

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
from faster_coco_eval import (  # type: ignore[import-untyped]  # it ships no types
    COCO,
    COCOeval_faster,
)
from numpy.typing import NDArray

from trainer.datasets.coco_objects import Objects, objects_of
from trainer.datasets.dataset import Sample
from trainer.tasks.task import Metrics, Outputs

BOXES: Final = "boxes"
SCORES: Final = "scores"
LABELS: Final = "labels"

# the first six of COCO's twelve numbers, in its order
NAMES: Final = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")


class CocoMetric:
    """mAP over IoU 0.50 to 0.95, at 0.50, at 0.75, by size, and of each label.

    A number over no object at all (no small one, none of a label) is left out, not -1 as in
    COCO's own table. At most 100 detections of a picture count, its best.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._objects: list[Objects] = []
        self._detections: list[NDArray[np.float64]] = []

    def update(self, outputs: Outputs, samples: Sequence[Sample]) -> None:
        """Take in boxes[B, Q, 4], scores[B, Q] and labels[B, Q]; a score of 0 is no detection."""
        for row, sample in enumerate(samples):
            objects = objects_of(sample)
            scores = outputs[SCORES][row].astype(np.float64)
            scale = np.array([objects.width, objects.height] * 2, np.float64)
            boxes = outputs[BOXES][row] * scale
            labels = outputs[LABELS][row]
            table = np.concatenate([boxes, scores[:, None], labels[:, None]], axis=1)
            self._objects.append(objects)
            self._detections.append(table[scores > 0])

    def merge(self, other: Self) -> None:
        """Take in another process's pictures."""
        self._objects += other._objects
        self._detections += other._detections

    def compute(self) -> Metrics:
        """The numbers by name; `map/LABEL` for each label that is annotated."""
        truth = COCO(_annotations(self._objects, self._labels))
        found = (
            truth.loadRes(_results(self._detections))
            if self._found_any()
            else COCO({**_annotations(self._objects, self._labels), "annotations": []})
        )
        judge = COCOeval_faster(truth, found, iouType="bbox", print_function=_silent)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        precision: NDArray[np.float64] = judge.eval["precision"]  # [IoU, recall, K, area, limit]
        by_label = {
            f"map/{label}": _mean(precision[:, :, index, 0, -1])
            for index, label in enumerate(self._labels)
        }
        numbers = {**dict(zip(NAMES, judge.stats[: len(NAMES)], strict=True)), **by_label}
        return {name: float(value) for name, value in numbers.items() if value >= 0}

    def _found_any(self) -> bool:
        return any(len(table) for table in self._detections)


def _mean(precision: NDArray[np.float64]) -> float:
    """The mean of what is not -1; -1 where nothing is."""
    counted = precision[precision >= 0]
    return float(counted.mean()) if counted.size else -1.0


def _annotations(objects: Sequence[Objects], labels: Sequence[str]) -> dict[str, Any]:
    """COCO's JSON of the truth, its ids counted from 1: 0 means unmatched in its arithmetic."""
    pairs = [(index, one) for index, picture in enumerate(objects, 1) for one in picture.instances]
    return {
        "images": [
            {"id": index, "width": picture.width, "height": picture.height}
            for index, picture in enumerate(objects, 1)
        ],
        "categories": [{"id": index, "name": label} for index, label in enumerate(labels)],
        "annotations": [
            {
                "id": index,
                "image_id": image,
                "category_id": one.label,
                "bbox": _xywh(one.box_xyxy_px),
                "area": one.area_px,
                "iscrowd": int(one.crowd),
            }
            for index, (image, one) in enumerate(pairs, 1)
        ],
    }


def _results(detections: Sequence[NDArray[np.float64]]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image,
            "category_id": int(label),
            "bbox": _xywh((left, top, right, bottom)),
            "score": score,
        }
        for image, table in enumerate(detections, 1)
        for left, top, right, bottom, score, label in table.tolist()
    ]


def _xywh(box_xyxy: tuple[float, float, float, float]) -> list[float]:
    left, top, right, bottom = box_xyxy
    return [left, top, right - left, bottom - top]


def _silent(*_: object) -> None:
    """COCO's table of twelve numbers is not printed."""
