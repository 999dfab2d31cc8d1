"""The examples of data in SageMaker's documents, as they stand there."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.sagemaker.channel_folders import channels
from tests.trainer.sagemaker.documents import seed
from trainer.datasets.value_map import read_value_map
from trainer.masks import MaskFile
from trainer.sagemaker.classification_channels import read_classification
from trainer.sagemaker.detection_channels import read_detection
from trainer.sagemaker.segmentation_channels import read_segmentation

LIST = (
    "5 1 your_image_directory/train_img_dog1.jpg 1000 0 your_image_directory/train_img_cat1.jpg "
    "22 1 your_image_directory/train_img_dog2.jpg"
)
MAPS = (
    ('{ "scale": "1" }', '"scale": "1"', [0, 1, 2], [0, 1, 2]),
    (
        '{ "scale": "3" }',
        "encoded_label = [0, 3, 6] mapped_label = [0, 1, 2]",
        [0, 3, 6],
        [0, 1, 2],
    ),
    (
        '{ "map": { "0": 5, "1": 0, "2": 2 } }',
        "encoded_label = [0, 5, 2] mapped_label = [1, 0, 2]",
        [0, 5, 2],
        [1, 0, 2],
    ),
)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 1)).save(path)
    return path


def test_the_list_of_three_pictures(tmp_path: Path) -> None:
    fields = LIST.split()
    rows = [fields[start : start + 3] for start in range(0, len(fields), 3)]
    for split in ("train", "validation"):
        for _, _, name in rows:
            picture(tmp_path / split / name)
        (tmp_path / f"{split}_lst").mkdir()
        text = "".join("\t".join(row) + "\n" for row in rows)
        (tmp_path / f"{split}_lst" / "a.lst").write_text(text)
    names = ("train", "validation", "train_lst", "validation_lst")
    given = channels(tmp_path, "application/x-image", *names)
    found = read_classification(given, 2, multi_label=False, workspace=tmp_path)
    assert [(sample.path.name, sample.target) for sample in found.splits["train"]] == [
        ("train_img_dog1.jpg", 1),
        ("train_img_cat1.jpg", 0),
        ("train_img_dog2.jpg", 1),
    ]


@pytest.mark.parametrize(("file", "encoded", "mapped"), [(m[0], m[2], m[3]) for m in MAPS])
def test_the_label_maps(tmp_path: Path, file: str, encoded: list[int], mapped: list[int]) -> None:
    path = tmp_path / "train_label_map.json"
    path.write_text(file)
    Image.fromarray(np.array([encoded], np.uint8)).save(tmp_path / "mask.png")
    mask = MaskFile(tmp_path / "mask.png", 255, read_value_map(path).id_of)
    assert mask.read().tolist() == [mapped]


def test_the_four_folders_and_their_label_maps(tmp_path: Path) -> None:
    tree = {"train": ("0000", "coffee"), "validation": ("00a0", "bananna")}
    for split, stems in tree.items():
        for stem in stems:
            picture(tmp_path / split / f"{stem}.jpg")
            (tmp_path / f"{split}_annotation").mkdir(exist_ok=True)
            mask = Image.fromarray(np.array([[0, 3, 6]], np.uint8))
            mask.save(tmp_path / f"{split}_annotation" / f"{stem}.png")
        (tmp_path / "label_map").mkdir(exist_ok=True)
        (tmp_path / "label_map" / f"{split}_label_map.json").write_text('{"scale": "3"}')
    names = [f"{split}{kind}" for split in tree for kind in ("", "_annotation")]
    given = channels(tmp_path, "image/jpeg", *names, "label_map")
    found = read_segmentation(given, 3, tmp_path)
    assert found.problems == ()
    for split, stems in tree.items():
        assert [sample.path.name for sample in found.splits[split]] == [f"{s}.jpg" for s in stems]
        for sample in found.splits[split]:
            assert isinstance(sample.target, MaskFile)
            assert sample.target.read().tolist() == [[0, 1, 2]]


def test_the_form_of_annotations_json(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "training" / "images" / f"{number}.png")
    image_name, height, width, bbox_label = "{}.png", 1, 3, "person"
    xmin, ymin, xmax, ymax = 1, 0, 3, 1
    content = {
        "images": [
            {"file_name": image_name.format(n), "height": height, "width": width, "id": n}
            for n in range(2)
        ],
        "annotations": [
            {"image_id": n, "bbox": [xmin, ymin, xmax, ymax], "category_id": bbox_label}
            for n in range(2)
        ],
    }
    (tmp_path / "training" / "annotations.json").write_text(json.dumps(content))
    found = read_detection(channels(tmp_path, None, "training"), tmp_path)
    assert found.labels == ("person",)


@pytest.mark.parametrize(
    ("algorithm", "example"),
    [
        ("image_classification", LIST),
        *(
            ("semantic_segmentation", text)
            for file, example, *_ in MAPS
            for text in (file, example)
        ),
        ("semantic_segmentation", "- coffee.jpg"),
        ("semantic_segmentation", "- bananna.png"),
        ("semantic_segmentation", "- train_label_map.json"),
        (
            "object_detection",
            '{"file_name": image_name, "height": height, "width": width, "id": image_id}',
        ),
        (
            "object_detection",
            '{"image_id": image_id, "bbox": [xmin, ymin, xmax, ymax], "category_id": bbox_label}',
        ),
    ],
)
def test_these_are_the_documents_examples(algorithm: str, example: str) -> None:
    assert example in seed(algorithm)
