"""mAP is COCO's: the numbers are those of its authors' own pycocotools."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO  # type: ignore[import-untyped]  # ships no types
from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]  # ships no types

from trainer.datasets.coco_objects import Instance, Objects
from trainer.datasets.dataset import Sample
from trainer.detection_metric import CocoMetric
from trainer.tasks.task import Outputs

LABELS = ("disc", "square", "star")


def scene(seed: int) -> tuple[Sample, Outputs]:
    """A picture of up to six objects, and detections that are some of them, moved a little."""
    rng = np.random.default_rng(seed)
    width, height = 640, 480
    corners = rng.uniform(0, [500, 380], (rng.integers(1, 7), 2))
    extents = rng.uniform(8, [140, 100], corners.shape)
    boxes = np.concatenate([corners, corners + extents], axis=1)
    labels = rng.integers(0, 2, len(boxes))  # no star anywhere
    crowds = rng.random(len(boxes)) < 0.15
    instances = tuple(
        Instance(int(label), tuple(box), float((box[2] - box[0]) * (box[3] - box[1])), bool(crowd))
        for label, box, crowd in zip(labels, boxes.tolist(), crowds, strict=True)
    )
    noise = rng.normal(0, 6, boxes.shape)
    wrong = np.concatenate([rng.uniform(0, 300, (3, 2)), rng.uniform(320, 470, (3, 2))], axis=1)
    found = np.concatenate([boxes + noise, wrong])
    outputs = {
        "boxes": np.clip(found / [width, height, width, height], 0, 1)[None],
        "scores": rng.uniform(0.1, 1, len(found))[None],
        "labels": np.concatenate([labels, rng.integers(0, 2, 3)])[None],
    }
    return Sample(Path(f"{seed}.png"), Objects(width, height, instances)), outputs


def reference_stats(scenes: list[tuple[Sample, Outputs]]) -> list[float]:
    """COCO's twelve numbers by pycocotools."""
    truth = COCO()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id, (sample, outputs) in enumerate(scenes):
        objects = sample.target
        assert isinstance(objects, Objects)
        size = {"width": objects.width, "height": objects.height}
        images.append({"id": image_id, **size})
        for one in objects.instances:
            left, top, right, bottom = one.box_xyxy_px
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": one.label,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": one.area_px,
                    "iscrowd": int(one.crowd),
                }
            )
        scale = np.array([objects.width, objects.height] * 2)
        for box, score, label in zip(
            outputs["boxes"][0] * scale, outputs["scores"][0], outputs["labels"][0], strict=True
        ):
            results.append(
                {
                    "image_id": image_id,
                    "category_id": int(label),
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "score": float(score),
                }
            )
    categories = [{"id": index, "name": label} for index, label in enumerate(LABELS)]
    truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
    truth.createIndex()
    judge = COCOeval(truth, truth.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    stats: list[float] = judge.stats.tolist()
    return stats


def test_numbers_are_those_of_pycocotools() -> None:
    scenes = [scene(seed) for seed in range(40)]
    metric = CocoMetric(LABELS)
    for sample, outputs in scenes:
        metric.update(outputs, [sample])
    numbers = metric.compute()
    names = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
    np.testing.assert_allclose(
        [numbers[name] for name in names], reference_stats(scenes)[:6], atol=1e-6
    )
    assert 0.1 < numbers["map"] < 0.9
    assert numbers["map"] == pytest.approx((numbers["map/disc"] + numbers["map/square"]) / 2)
    assert "map/star" not in numbers


def test_labels_numbers_are_never_cocos_own() -> None:
    scenes = [scene(seed) for seed in range(5)]
    plain, clashing = CocoMetric(LABELS), CocoMetric(("50", "small", "/large"))
    for sample, outputs in scenes:
        plain.update(outputs, [sample])
        clashing.update(outputs, [sample])
    renamed = {"map/disc": "map/50", "map/square": "map/small", "map/star": "map//large"}
    expected = {renamed.get(name, name): value for name, value in plain.compute().items()}
    assert clashing.compute() == expected
    assert len(set(expected.values())) > 5  # a wrong one of them would be seen


def test_perfect_detections_score_1_and_none_0() -> None:
    scenes = [scene(seed)[0] for seed in range(5)]
    perfect, silent = CocoMetric(LABELS), CocoMetric(LABELS)
    for sample in scenes:
        objects = sample.target
        assert isinstance(objects, Objects)
        ones = [one for one in objects.instances if not one.crowd]
        scale = np.array([objects.width, objects.height] * 2)
        boxes = np.array([one.box_xyxy_px for one in ones]).reshape(-1, 4) / scale
        labels = np.array([one.label for one in ones], np.int32)
        for metric, score in ((perfect, 0.9), (silent, 0.0)):
            outputs = {"boxes": boxes, "scores": np.full(len(ones), score), "labels": labels}
            metric.update({name: part[None] for name, part in outputs.items()}, [sample])
    assert perfect.compute()["map"] == pytest.approx(1.0)
    assert silent.compute()["map"] == 0.0


def test_merged_parts_are_the_whole() -> None:
    scenes = [scene(seed) for seed in range(10)]
    whole, first, second = CocoMetric(LABELS), CocoMetric(LABELS), CocoMetric(LABELS)
    for index, (sample, outputs) in enumerate(scenes):
        whole.update(outputs, [sample])
        (first if index < 4 else second).update(outputs, [sample])
    first.merge(second)
    assert first.compute() == whole.compute()
