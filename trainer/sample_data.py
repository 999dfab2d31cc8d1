"""Drawn scenes -> a dataset folder of each task in EasyMaker's layout, to try things with.

Label folders show one thing a picture; the other two layouts show up to four. The same seed draws
the same files.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from PIL import Image

from contract.label_maps import voc_palette
from trainer.datasets.dataset import TEST, TRAIN, VALIDATION
from trainer.scenes import RADII_ALONE, RADII_TOGETHER, SHAPES, Scene, draw_scene
from trainer.settings import SampleDataSettings

Counts: TypeAlias = dict[str, int]

BACKGROUND: Final = "background"

_HELD_OUT: Final = 4  # one validation and one test picture for so many training pictures
_MOST_THINGS: Final = 4


def sample_data_command(folder: Path, settings: SampleDataSettings) -> str:
    """Draw a dataset; a line that says what is where."""
    counts = WRITERS[settings.task](folder, settings)
    return ", ".join(f"{folder / split}: {count} pictures" for split, count in counts.items())


def write_label_folders(folder: Path, settings: SampleDataSettings) -> Counts:
    """Write DIR/{train,validation,test}/{shape}/NNNN.png; the pictures of each split."""
    shapes = _shapes(settings)
    for split_index, (split, count) in enumerate(_counts(settings).items()):
        for shape_index, shape in enumerate(shapes):
            target = _made(folder / split / shape)
            for index in range(count):
                random = np.random.default_rng([settings.seed, split_index, shape_index, index])
                scene = draw_scene([shape], settings.size, RADII_ALONE, random)
                scene.picture.save(target / f"{index:04d}.png")
    return {split: count * len(shapes) for split, count in _counts(settings).items()}


def write_masks(folder: Path, settings: SampleDataSettings) -> Counts:
    """Write images/, annotations/ and SPLIT.json into each split, and resources/id2lable.json."""
    labels = [BACKGROUND, *_shapes(settings)]
    counts = _counts(settings, settings.labels)
    for split_index, (split, count) in enumerate(counts.items()):
        images, masks = _made(folder / split / "images"), _made(folder / split / "annotations")
        entries = []
        for name, scene in _crowded_scenes(settings, split_index, count):
            scene.picture.save(images / name)
            mask = Image.fromarray(scene.label_map(labels))
            mask.putpalette(voc_palette().tobytes())  # mode P: ids for programs, colours for people
            mask.save(masks / name)
            entries.append({"image": f"images/{name}", "seg_map": f"annotations/{name}"})
        _write_json(folder / split / f"{split}.json", entries)
    id_to_label = {str(index): label for index, label in enumerate(labels)}
    _write_json(_made(folder / "resources") / "id2lable.json", id_to_label)  # the guide's spelling
    return counts


def write_coco(folder: Path, settings: SampleDataSettings) -> Counts:
    """Write the pictures and _annotations.coco.json into each split."""
    shapes = _shapes(settings)
    counts = _counts(settings, settings.labels)
    categories = [
        {"id": index, "name": shape, "supercategory": "shape"}
        for index, shape in enumerate(shapes, start=1)
    ]
    for split_index, (split, count) in enumerate(counts.items()):
        target = _made(folder / split)
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for name, scene in _crowded_scenes(settings, split_index, count):
            scene.picture.save(target / name)
            size = {"height": settings.size, "width": settings.size}
            annotations += _annotations(scene, shapes, len(images), len(annotations))
            images.append({"id": len(images), "file_name": name, **size})
        described = {"images": images, "annotations": annotations, "categories": categories}
        _write_json(target / "_annotations.coco.json", described)
    return counts


WRITERS: Final[dict[str, Callable[[Path, SampleDataSettings], Counts]]] = {
    "image-classification": write_label_folders,
    "semantic-segmentation": write_masks,
    "object-detection": write_coco,
}


def _annotations(
    scene: Scene, shapes: list[str], image_id: int, first_id: int
) -> list[dict[str, object]]:
    """COCO's entry for each thing."""
    return [
        {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": shapes.index(thing.shape) + 1,
            "bbox": list(thing.box),
            "area": int(thing.mask.sum()),
            "segmentation": [],
            "iscrowd": 0,
        }
        for annotation_id, thing in enumerate(scene.things, start=first_id)
    ]


def _crowded_scenes(
    settings: SampleDataSettings, split_index: int, count: int
) -> Iterator[tuple[str, Scene]]:
    """File names and scenes of one to four things."""
    known = _shapes(settings)
    for index in range(count):
        random = np.random.default_rng([settings.seed, split_index, index])
        things = int(random.integers(1, _MOST_THINGS + 1))
        shapes = [known[one] for one in random.integers(0, len(known), things).tolist()]
        yield f"{index:04d}.png", draw_scene(shapes, settings.size, RADII_TOGETHER, random)


def _shapes(settings: SampleDataSettings) -> list[str]:
    return list(SHAPES)[: settings.labels]


def _counts(settings: SampleDataSettings, times: int = 1) -> Counts:
    """Pictures of each split: `times` the wanted ones."""
    held_out = max(1, settings.count // _HELD_OUT)
    return {
        TRAIN: settings.count * times,
        VALIDATION: held_out * times,
        TEST: held_out * times,
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
