"""Drawn datasets are the same for the same seed, and can be read as each task's format."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.conftest import aperture_train
from trainer.datasets.image_folder import read_image_folder
from trainer.datasets.segmentation_folder import read_segmentation_folder
from trainer.scenes import RADII_TOGETHER, draw_scene

TASKS = ("image-classification", "semantic-segmentation", "object-detection")


def draw(folder: Path, *flags: str) -> dict[str, bytes]:
    """Draw a small dataset and return its files."""
    assert aperture_train("sample-data", str(folder), "--count", "8", *flags) == 0
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("task", TASKS)
def test_same_seed_draws_the_same_files(tmp_path: Path, task: str) -> None:
    first = draw(tmp_path / "a", "--task", task)
    assert first == draw(tmp_path / "b", "--task", task)
    other = draw(tmp_path / "c", "--task", task, "--seed", "7")
    assert first.keys() == other.keys()
    pictures = [name for name in first if name.endswith(".png")]
    assert all(first[name] != other[name] for name in pictures)


def test_classification_has_all_splits_labels_and_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = draw(tmp_path / "data", "--size", "32", "--labels", "6")
    dataset = read_image_folder(tmp_path / "data")
    assert dataset.labels == ("circle", "cross", "sliver", "square", "star", "triangle")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 48,
        "validation": 12,
        "test": 12,
    }
    assert len(set(files.values())) == 72
    with Image.open(BytesIO(dataset.samples[0].path.read_bytes())) as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")
    assert f"{tmp_path / 'data' / 'train'}: 48 pictures" in capsys.readouterr().out


def test_segmentation_has_easymakers_layout_and_masks_that_fit(tmp_path: Path) -> None:
    data = tmp_path / "data"
    draw(data, "--task", "semantic-segmentation")
    assert (data / "resources" / "id2lable.json").is_file()
    assert json.loads((data / "validation" / "validation.json").read_text())[0] == {
        "image": "images/0000.png",
        "seg_map": "annotations/0000.png",
    }
    dataset = read_segmentation_folder(data)
    assert dataset.problems == ()
    assert dataset.labels == ("background", "circle", "square", "star", "triangle")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 32,
        "validation": 8,
        "test": 8,
    }
    seen = [
        np.asarray(Image.open(BytesIO(sample.companions[0].read_bytes())))
        for sample in dataset.samples
    ]
    assert set(np.unique(seen).tolist()) == {0, 1, 2, 3, 4}


def test_detection_has_cocos_layout_and_boxes_round_their_things(tmp_path: Path) -> None:
    data = tmp_path / "data"
    draw(data, "--task", "object-detection", "--size", "48")
    for split, count in {"train": 32, "validation": 8, "test": 8}.items():
        coco = json.loads((data / split / "_annotations.coco.json").read_text())
        assert [category["name"] for category in coco["categories"]] == [
            "circle",
            "square",
            "star",
            "triangle",
        ]
        assert len(coco["images"]) == count
        for image in coco["images"]:
            with Image.open(data / split / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"]) == (48, 48)
        for annotation in coco["annotations"]:
            left, top, width, height = annotation["bbox"]
            assert 0 <= left < left + width <= 48
            assert 0 <= top < top + height <= 48
            assert 0 < annotation["area"] <= width * height


@pytest.mark.parametrize("seed", range(10))
def test_picture_mask_and_boxes_of_a_scene_agree(seed: int) -> None:
    shapes = ["circle", "star", "square"]
    ids = ["background", *shapes]
    scene = draw_scene(shapes, 64, RADII_TOGETHER, np.random.default_rng(seed))
    label_map = scene.label_map(ids)
    pixels = np.asarray(scene.picture).astype(int)
    assert scene.things
    for thing in scene.things:
        left, top, width, height = thing.box
        inside = label_map[top : top + height, left : left + width] == ids.index(thing.shape)
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()
        np.testing.assert_array_equal(label_map[thing.mask], ids.index(thing.shape))
        covered = pixels[thing.coverage == 255]
        assert len(np.unique(covered, axis=0)) == 1  # one colour, without the background's noise
    assert (label_map == 0).sum() == 64 * 64 - sum(thing.mask.sum() for thing in scene.things)
