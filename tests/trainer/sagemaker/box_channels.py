"""A dataset in COCO's layout as SageMaker's channels have it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.datasets.coco import ANNOTATIONS_FILE
from trainer.datasets.dataset import Dataset


def said(coco: Dataset, split: str) -> dict[str, Any]:
    """What the annotations file of a split says."""
    content: dict[str, Any] = json.loads((coco.root / split / ANNOTATIONS_FILE).read_text())
    return content


def write_boxes(
    coco: Dataset, root: Path, split: str, category: Callable[[int], object] = int
) -> Path:
    """A split as SageMaker has it: corners instead of sizes, and no categories."""
    (root / "images").mkdir(parents=True)
    content = said(coco, split)
    for image in content["images"]:
        name = image["file_name"]
        (root / "images" / name).write_bytes((coco.root / split / name).read_bytes())
    annotations = [
        {
            "image_id": one["image_id"],
            "bbox": [x, y, x + width, y + height],
            "category_id": category(one["category_id"]),
        }
        for one in content["annotations"]
        for x, y, width, height in [one["bbox"]]
    ]
    write_annotations(root, {"images": content["images"], "annotations": annotations})
    return root


def write_annotations(root: Path, content: object) -> None:
    """SageMaker's annotations.json of a split."""
    (root / "annotations.json").write_text(json.dumps(content))
