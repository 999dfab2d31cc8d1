"""Small datasets in COCO's layout, drawn and then spoilt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 3, "name": "square"}, {"id": 9, "name": "disc"}]


def draw_picture(width: int, height: int, boxes: list[list[int]], seed: int) -> Image.Image:
    """Grey noise with a bright filled rectangle for each box xywh."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(40, 90, (height, width, 3), dtype=np.uint8)
    for left, top, box_width, box_height in boxes:
        pixels[top : top + box_height, left : left + box_width] = (250, 60, 20)
    return Image.fromarray(pixels)


def write_coco_folder(
    folder: Path, counts: dict[str, int], sizes: tuple[tuple[int, int], ...] = ((64, 48), (40, 64))
) -> Path:
    """DIR/SPLIT/{_annotations.coco.json, NNN.png}: one or two rectangles a picture."""
    for split_index, (split, count) in enumerate(counts.items()):
        target = folder / split
        target.mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(count):
            rng = np.random.default_rng([split_index, index])
            width, height = sizes[index % len(sizes)]
            boxes = [_box(rng, width, height) for _ in range(1 + index % 2)]
            draw_picture(width, height, boxes, index).save(target / f"{index:03d}.png")
            images.append(
                {
                    "id": 10 * index,
                    "file_name": f"{index:03d}.png",
                    "width": width,
                    "height": height,
                }
            )
            for box in boxes:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": 10 * index,
                        "category_id": CATEGORIES[len(annotations) % 2]["id"],
                        "bbox": box,
                        "area": box[2] * box[3],
                        "segmentation": [],
                        "iscrowd": 0,
                    }
                )
        write_annotations(target, images, annotations)
    return folder


def write_annotations(
    target: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]] | None = None,
) -> Path:
    """TARGET/_annotations.coco.json."""
    path = target / "_annotations.coco.json"
    content = {
        "info": {"description": "drawn"},
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES if categories is None else categories,
    }
    path.write_text(json.dumps(content))
    return path


def _box(rng: np.random.Generator, width: int, height: int) -> list[int]:
    box_width, box_height = (int(side) for side in rng.integers(12, 30, 2))
    return [
        int(rng.integers(0, width - box_width)),
        int(rng.integers(0, height - box_height)),
        box_width,
        box_height,
    ]
