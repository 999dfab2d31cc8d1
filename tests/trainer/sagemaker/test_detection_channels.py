"""Channels of object detection: images/ with annotations.json, and Ground Truth's manifests, give
the objects that COCO's files give."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.coco_folders import CATEGORIES, write_coco_folder
from tests.trainer.recordio import frame
from tests.trainer.sagemaker.box_channels import write_annotations, write_boxes
from tests.trainer.sagemaker.channel_folders import channel, channels, contents, send
from trainer.datasets.coco import read_coco
from trainer.datasets.coco_objects import objects_of
from trainer.datasets.dataset import Dataset
from trainer.errors import BadChannel, DatasetError
from trainer.sagemaker.detection_channels import read_detection

COUNTS = {"train": 6, "validation": 3}
NAME_OF = {3: "disc", 9: "square"}


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_coco(write_coco_folder(tmp_path_factory.mktemp("coco"), COUNTS))


def change(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((root / "annotations.json").read_text())
    edit(content)
    write_annotations(root, content)


@pytest.mark.parametrize("training", ["training", "train"])
def test_boxes_of_two_corners_are_the_objects_of_coco(
    coco: Dataset, tmp_path: Path, training: str
) -> None:
    write_boxes(coco, tmp_path / training, "train")
    write_boxes(coco, tmp_path / "validation", "validation")
    given = channels(tmp_path, None, training, "validation")
    found = read_detection(given, tmp_path / "workspace")
    assert contents(found) == contents(coco)
    assert found.labels == ("3", "9")
    assert found.problems == ()
    assert CATEGORIES[0]["id"] == 3


def test_the_training_is_one_channel(coco: Dataset, tmp_path: Path) -> None:
    for name in ("training", "train"):
        write_boxes(coco, tmp_path / name, "train")
    with pytest.raises(BadChannel, match="channels training and train are both given; expected"):
        read_detection(channels(tmp_path, None, "training", "train"), tmp_path)


def test_a_category_is_a_label_whether_it_is_a_number_or_a_name(
    coco: Dataset, tmp_path: Path
) -> None:
    labels = {}
    for kind, category in (("text", NAME_OF.__getitem__), ("digits", str), ("float", float)):
        write_boxes(coco, tmp_path / kind / "training", "train", category)
        found = read_detection(channels(tmp_path / kind, None, "training"), tmp_path)
        labels[kind] = found.labels
    assert labels == {"text": ("disc", "square"), "digits": ("3", "9"), "float": ("3", "9")}


def test_without_a_validation_a_fixed_share_is_held_out(coco: Dataset, tmp_path: Path) -> None:
    write_boxes(coco, tmp_path / "training", "train")
    given = channels(tmp_path, None, "training")
    found = read_detection(given, tmp_path)
    assert {split: len(samples) for split, samples in found.splits.items()} == {
        "train": 5,
        "validation": 1,
    }
    names = [sample.path.name for samples in found.splits.values() for sample in samples]
    assert sorted(names) == [f"00{n}.png" for n in range(6)]
    assert read_detection(given, tmp_path) == found
    half = read_detection(given, tmp_path, validation_share=0.5)
    assert len(half.splits["validation"]) == 3
    assert set(found.splits["validation"]) < set(half.splits["validation"])
    change(tmp_path / "training", lambda content: content["images"].reverse())
    turned = read_detection(given, tmp_path)
    assert turned.splits["validation"] == found.splits["validation"], "the order does not matter"


def keep_objects_of(content: dict[str, Any], images: set[int]) -> None:
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in images]


@pytest.mark.parametrize("shown", [{0, 10}, {20, 50}, {30, 40}])
def test_pictures_with_objects_are_on_both_sides_of_what_is_held_out(
    coco: Dataset, tmp_path: Path, shown: set[int]
) -> None:
    write_boxes(coco, tmp_path / "training", "train")
    change(tmp_path / "training", lambda content: keep_objects_of(content, shown))
    lines = ground_truth(coco, "train")
    for index, line in enumerate(lines):
        if 10 * index not in shown:
            line["bounding-box"]["annotations"] = []
    (tmp_path / "manifest" / "training").mkdir(parents=True)
    manifest = tmp_path / "manifest" / "training" / "boxes.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    for root in (tmp_path, tmp_path / "manifest"):
        found = read_detection(channels(root, None, "training"), tmp_path / "workspace")
        assert {split: len(samples) for split, samples in found.splits.items()} == {
            "train": 5,
            "validation": 1,
        }
        for samples in found.splits.values():
            assert sum(bool(objects_of(sample).instances) for sample in samples) == 1
        assert not any("no picture of the validation" in line for line in found.warnings)


def test_a_validation_without_objects_is_warned_of(coco: Dataset, tmp_path: Path) -> None:
    write_boxes(coco, tmp_path / "training", "train")
    change(tmp_path / "training", lambda content: keep_objects_of(content, {0}))
    lines = ground_truth(coco, "train")
    for line in lines:
        line["bounding-box"]["annotations"] = []
    for split in ("training", "validation"):
        (tmp_path / "manifest" / split).mkdir(parents=True)
        manifest = tmp_path / "manifest" / split / "boxes.jsonl"
        manifest.write_text("\n".join(map(json.dumps, lines)))
    folder = read_detection(channels(tmp_path, None, "training"), tmp_path)
    given = channels(tmp_path / "manifest", None, "training", "validation")
    manifest_found = read_detection(given, tmp_path)
    told = (
        "no picture of the validation shows an annotated object, so that no epoch has a mAP: no "
        "epoch is the best, and early stopping does not end the training"
    )
    assert f"{tmp_path}/training/annotations.json: {told}" in folder.warnings
    assert f"{tmp_path}/manifest/validation: {told}" in manifest_found.warnings


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            lambda content: [one.update(bbox=[0.1, 0.2, 0.5, 1]) for one in content["annotations"]],
            "each bbox lies between 0 and 1, as shares of the picture; expected xmin, ymin, xmax, "
            "ymax in pixels",
        ),
        (
            lambda content: content["annotations"][1].update(bbox=[9, 5, 4, 8]),
            "annotations[1]: bbox [9, 5, 4, 8], expected xmin, ymin, xmax, ymax, of which the "
            "latter are no smaller",
        ),
        (
            lambda content: content["annotations"][1].update(bbox=[1, 2, 3]),
            "annotations[1].bbox: List should have at least 4 items after validation, not 3, got "
            "[1, 2, 3]",
        ),
        (
            lambda content: content["annotations"][0].update(image_id=77),
            "annotations[0]: there is no image of the image_id 77",
        ),
        (
            lambda content: content["annotations"][0].update(category_id=None),
            "annotations[0].category_id: Input should be a whole number or text, got None",
        ),
        (
            lambda content: content["images"][0].update(file_name="../../x.png"),
            "image 0: '../../x.png' leads out of the dataset's folder",
        ),
        (
            lambda content: content["images"][1].update(id=0),
            "image id 0 occurs 2 times, expected once",
        ),
        (lambda content: content.pop("images"), "images: Field required"),
        (
            lambda content: content["annotations"][0].update(category_id=""),
            "label 2 is ''; expected a name of one line",
        ),
        (lambda content: content.clear(), "annotates nothing; expected images and annotations"),
    ],
)
def test_what_annotations_cannot_mean_is_told(
    coco: Dataset, tmp_path: Path, edit: Callable[[dict[str, Any]], object], told: str
) -> None:
    root = write_boxes(coco, tmp_path / "training", "train")
    change(root, edit)
    with pytest.raises(DatasetError) as caught:
        read_detection(channels(tmp_path, None, "training"), tmp_path)
    assert caught.value.problems[0] == f"{root}/annotations.json: {told}"


def test_missing_pictures_and_wrong_sizes_are_problems(coco: Dataset, tmp_path: Path) -> None:
    root = write_boxes(coco, tmp_path / "training", "train")
    (root / "images" / "000.png").unlink()
    change(root, lambda content: content["images"][1].update(width=41))
    found = read_detection(channels(tmp_path, None, "training"), tmp_path)
    assert sorted(map(str, found.problems)) == [
        f"{root}/images/000.png: file is missing; annotations.json names it",
        f"{root}/images/001.png: is of 40 x 64 pixels, as it stands upright, but the JSON says "
        "41 x 64",
    ]


def ground_truth(coco: Dataset, split: str) -> list[dict[str, Any]]:
    """The lines of a manifest as Ground Truth writes them."""
    lines = []
    for sample in coco.splits[split]:
        objects = objects_of(sample)
        boxes = [
            {
                "class_id": one.label,
                "left": one.box_xyxy_px[0],
                "top": one.box_xyxy_px[1],
                "width": one.box_xyxy_px[2] - one.box_xyxy_px[0],
                "height": one.box_xyxy_px[3] - one.box_xyxy_px[1],
            }
            for one in objects.instances
        ]
        size = {"width": objects.width, "height": objects.height, "depth": 3}
        lines.append(
            {
                "source-ref": str(sample.path),
                "bounding-box": {"image_size": [size], "annotations": boxes},
                "bounding-box-metadata": {
                    "objects": [{"confidence": 0.9} for _ in boxes],
                    "class-map": {
                        str(one.label): coco.labels[one.label] for one in objects.instances
                    },
                    "type": "groundtruth/object-detection",
                },
            }
        )
    return lines


def test_manifests_of_boxes_and_their_pipes_are_the_objects_of_coco(
    coco: Dataset, tmp_path: Path
) -> None:
    by_manifest, by_pipe = {}, {}
    for name, split in (("training", "train"), ("validation", "validation")):
        lines = ground_truth(coco, split)
        (tmp_path / name).mkdir()
        (tmp_path / name / "boxes.jsonl").write_text("\n".join(map(json.dumps, lines)))
        by_manifest[name] = replace(
            channel(tmp_path / name, "application/x-recordio"),
            attribute_names=("source-ref", "bounding-box"),
        )
        by_pipe[name] = replace(
            by_manifest[name], folder=tmp_path / "pipe" / name, pipe=True, recordio_wrapper=True
        )
        stream = (
            frame(Path(line["source-ref"]).read_bytes())
            + frame(json.dumps(line["bounding-box"]).encode())
            for line in lines
        )
        send(by_pipe[name], b"".join(stream))
    found = read_detection(by_manifest, tmp_path / "workspace")
    assert contents(found) == contents(coco)
    assert found.labels == coco.labels
    found = read_detection(by_pipe, tmp_path / "workspace")
    assert contents(found) == contents(coco)
    assert found.labels == ("0", "1")
    held = read_detection({"training": by_manifest["training"]}, tmp_path / "workspace")
    assert {split: len(samples) for split, samples in held.splits.items()} == {
        "train": 5,
        "validation": 1,
    }


def test_boxes_of_a_manifest_that_are_not_used_as_they_are_are_told(
    coco: Dataset, tmp_path: Path
) -> None:
    lines = ground_truth(coco, "train")
    boxes = [line["bounding-box"] for line in lines]
    boxes[0]["annotations"][0] |= {"left": 100, "top": 100}
    boxes[1]["annotations"][0] |= {"width": 0}
    boxes[2]["annotations"][0] |= {"left": -5}
    boxes[3]["image_size"][0] |= {"width": 39}
    boxes[3]["annotations"][0] |= {"class_id": 2}
    (tmp_path / "training").mkdir()
    path = tmp_path / "training" / "boxes.manifest"
    path.write_text("\n".join(map(json.dumps, lines)))
    found = read_detection(channels(tmp_path, None, "training"), tmp_path)
    assert list(map(str, found.problems)) == [
        f"{coco.root}/train/003.png: is of 40 x 64 pixels, as it stands upright, but {path} line 4 "
        "says 39 x 64"
    ]
    assert len(found.samples) == 5
    where = f"{tmp_path}/training"
    assert found.warnings[:2] == (
        f"{where}: 2 boxes without any area in their picture are dropped: boxes.manifest line 1 "
        "annotations[0], boxes.manifest line 2 annotations[0]",
        f"{where}: 1 boxes reach out of their picture and are clipped: boxes.manifest line 3 "
        "annotations[0]",
    )


def test_classes_that_a_manifest_leaves_out_are_told(coco: Dataset, tmp_path: Path) -> None:
    lines = ground_truth(coco, "train")
    for line in lines:
        for box in line["bounding-box"]["annotations"]:
            box["class_id"] = 2
    (tmp_path / "training").mkdir()
    path = tmp_path / "training" / "boxes.manifest"
    path.write_text("\n".join(map(json.dumps, lines)))
    found = read_detection(channels(tmp_path, None, "training"), tmp_path)
    assert found.warnings == (
        f"{tmp_path}/training: nothing is annotated as 0, 1; such a label is kept, but never learned",
    )


def test_folders_of_boxes_do_not_come_through_pipes(tmp_path: Path) -> None:
    one = replace(channel(tmp_path / "training", "application/x-recordio"), pipe=True)
    with pytest.raises(BadChannel) as caught:
        read_detection({"training": one}, tmp_path)
    assert str(caught.value) == (
        "channel training: got application/x-recordio in a pipe without records of an augmented "
        "manifest; expected RecordWrapperType RecordIO or AttributeNames, or TrainingInputMode File"
    )


def test_boxes_that_are_none_are_told_by_their_line(coco: Dataset, tmp_path: Path) -> None:
    lines = ground_truth(coco, "train")
    lines[0]["bounding-box"]["annotations"][0]["width"] = "wide"
    lines[2]["bounding-box"] = 3
    lines[3]["bounding-box"]["annotations"][0]["class_id"] = -1
    lines[4]["bounding-box"]["annotations"][0]["height"] = -3
    (tmp_path / "training").mkdir()
    path = tmp_path / "training" / "boxes.manifest"
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DatasetError) as caught:
        read_detection(channels(tmp_path, None, "training"), tmp_path)
    assert [line.removeprefix(f"{path} line ") for line in caught.value.problems] == [
        "1: annotations.0.width: Input should be a valid number, unable to parse string as a number",
        "3: annotation: Input should be a valid dictionary or instance of _Boxes",
        "4: annotations.0.class_id: Input should be greater than or equal to 0",
        "5: annotations.0.height: Input should be greater than or equal to 0",
    ]
