"""COCO files that mean something are read by COCO's rules; others get an answer that says why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.trainer.coco_folders import write_annotations, write_coco_folder
from tests.trainer.conftest import aperture_train, problems
from trainer.datasets.coco import Instance, Objects, objects_of, read_coco, read_coco_split
from trainer.errors import DatasetError

Content = dict[str, Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_coco_folder(tmp_path / "data", {"train": 4, "validation": 2, "test": 2})


def spoil(data: Path, split: str, change: Callable[[Content], None]) -> Path:
    """Change a split's JSON, and return its path."""
    path = data / split / "_annotations.coco.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def refusal(data: Path) -> list[str]:
    with pytest.raises(DatasetError) as caught:
        read_coco(data)
    return list(caught.value.problems)


def read_one(folder: Path, size: tuple[int, int], annotations: list[Content]) -> Objects:
    """The objects of the only picture of a dataset, 64 x 48 unless its EXIF data turn it."""
    for split in ("train", "validation"):
        (folder / split).mkdir()
        Image.new("RGB", size).save(folder / split / "a.png")
        image = {"id": 7, "file_name": "a.png"}
        write_annotations(folder / split, [image], annotations)
    return objects_of(read_coco(folder).splits["train"][0])


def test_labels_are_the_categories_in_the_order_of_their_ids(data: Path) -> None:
    spoil(data, "train", lambda content: content["categories"].reverse())
    dataset = read_coco(data)
    assert dataset.labels == ("square", "disc")
    assert [len(dataset.splits[split]) for split in ("train", "validation", "test")] == [4, 2, 2]
    first = objects_of(dataset.splits["train"][0])
    assert (first.width, first.height) == (64, 48)
    assert [one.label for one in first.instances] == [0]


def test_bbox_is_xywh_a_missing_area_is_the_boxs_and_a_crowd_stays_one(tmp_path: Path) -> None:
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 20.5, 30, 4]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 6, "iscrowd": 1},
    ]
    assert read_one(tmp_path, (64, 48), annotations).instances == (
        Instance(1, (10, 20.5, 40, 24.5), 120.0, crowd=False),
        Instance(0, (1, 2, 4, 6), 6.0, crowd=True),
    )


def test_boxes_are_clipped_and_empty_ones_dropped_with_a_count(tmp_path: Path) -> None:
    boxes = [[-10, -5, 20, 20], [50, 40, 100, 100], [5, 5, 0, 9], [70, 5, 9, 9], [1, 1, -4, 3]]
    annotations = [
        {"id": index, "image_id": 7, "category_id": 3, "bbox": box}
        for index, box in enumerate(boxes)
    ]
    found = read_one(tmp_path, (64, 48), annotations)
    assert [one.box_xyxy_px for one in found.instances] == [(0, 0, 10, 15), (50, 40, 64, 48)]
    path = tmp_path / "train" / "_annotations.coco.json"
    assert read_coco(tmp_path).warnings[:3] == (
        f"{path}: 3 boxes without any area in their picture are dropped",
        f"{path}: 2 boxes reach out of their picture and are clipped",
        f"{path}: nothing is annotated as disc; such a label is kept, but never learned",
    )


def test_picture_without_any_object_is_a_sample(data: Path) -> None:
    spoil(data, "train", lambda content: content["annotations"].pop(0))
    assert objects_of(read_coco(data).splits["train"][0]).instances == ()


def test_test_split_is_optional_and_a_mounted_folder_may_repeat_its_name(tmp_path: Path) -> None:
    data = write_coco_folder(tmp_path, {"train/train": 2, "validation": 2})
    assert sorted(read_coco(data).splits) == ["train", "validation"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_missing_annotations_are_named(data: Path, split: str) -> None:
    path = data / split / "_annotations.coco.json"
    path.unlink()
    (line,) = refusal(data)
    assert line == (
        f"{path}: file is missing; expected DIR/{{train,validation,test}}/_annotations.coco.json"
    )


def test_json_that_is_none_is_refused(data: Path) -> None:
    path = data / "train" / "_annotations.coco.json"
    path.write_text('{"images": [')
    (line,) = refusal(data)
    assert line.startswith(f"{path}: Invalid JSON: EOF while parsing")


def test_every_malformed_entry_is_listed_at_once(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][0]["id"] = "zero"
        content["annotations"][0]["bbox"] = [1, 2, 3]
        content["annotations"][1]["bbox"] = [1, 2, 3, "four"]
        content["annotations"][2]["bbox"] = [1, 2, 3, float("nan")]
        content["annotations"][3]["iscrowd"] = 2
        del content["categories"]

    path = spoil(data, "train", change)
    assert [line.removeprefix(f"{path}: ") for line in refusal(data)] == [
        "categories: Field required",
        "images[0].id: Input should be a valid integer, got 'zero'",
        "annotations[0].bbox: List should have at least 4 items after validation, not 3, "
        "got [1, 2, 3]",
        "annotations[1].bbox[3]: Input should be a valid number, unable to parse string as a "
        "number, got 'four'",
        "annotations[2].bbox[3]: Input should be a finite number, got nan",
        "annotations[3].iscrowd: Input should be less than or equal to 1, got 2",
    ]


def test_annotations_of_unknown_images_and_categories_are_listed(data: Path) -> None:
    def change(content: Content) -> None:
        content["annotations"][0]["image_id"] = 999
        content["annotations"][2]["category_id"] = 4

    path = spoil(data, "validation", change)
    assert refusal(data) == [
        f"{path}: annotations[0]: there is no image of the image_id 999",
        f"{path}: annotations[2]: there is no category of the category_id 4",
    ]


def test_repeated_ids_and_names_and_paths_outside_are_listed(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][1]["id"] = 0
        content["images"][2]["file_name"] = "../../secret.png"
        content["images"][3]["file_name"] = "000.png"
        content["categories"].append({"id": 3, "name": "disc"})
        content["annotations"] = []

    path = spoil(data, "train", change)
    lines = [line.removeprefix(f"{path}: ") for line in refusal(data)]
    assert lines[:4] == [
        "image id 0 occurs 2 times",
        "category id 3 occurs 2 times",
        "category name 'disc' occurs 2 times",
        "file_name '000.png' occurs 2 times",
    ]
    assert "image 20: '../../secret.png' leads out of the dataset's folder" in lines


def test_category_that_train_or_the_model_lacks_is_named(data: Path) -> None:
    path = spoil(data, "test", lambda content: content["categories"][0].update(name="cube"))
    assert refusal(data) == [
        f"{path}: category 'cube' is unknown to train, whose labels are square, disc"
    ]
    with pytest.raises(DatasetError, match="category 'cube' is unknown to the model"):
        read_coco_split(data, "test", ("square", "disc"))


def test_categories_match_by_name_where_the_ids_of_a_split_differ(data: Path) -> None:
    def change(content: Content) -> None:
        content["categories"] = [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}]
        for entry in content["annotations"]:
            entry["category_id"] = {3: 2, 9: 1}[entry["category_id"]]

    before = read_coco_split(data, "test", ("square", "disc")).samples
    spoil(data, "test", change)
    assert read_coco_split(data, "test", ("square", "disc")).samples == before


def test_missing_files_and_other_sizes_are_problems_of_their_pictures(data: Path) -> None:
    (data / "train" / "001.png").unlink()
    spoil(data, "train", lambda content: content["images"][2].update(width=99))
    dataset = read_coco(data)
    assert [str(problem) for problem in dataset.problems] == [
        f"{data / 'train' / '001.png'}: file is missing; _annotations.coco.json names it",
        f"{data / 'train' / '002.png'}: is of 64 x 48 pixels, but the JSON says 99 x 48",
    ]


def test_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (64, 48)).save(tmp_path / split / "a.jpg", exif=exif)
        image = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}
        write_annotations(tmp_path / split, [image], [])
    assert read_coco(tmp_path).problems[0].reason == (
        "is of 48 x 64 pixels upright, as its EXIF orientation turns it, but the JSON says 64 x 48"
    )


def test_fit_lists_every_problem_before_it_trains(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "train" / "001.png").unlink()
    (data / "test" / "000.png").write_bytes(b"\x89PNG\r\n")
    flags = ["--task", "object-detection", "--data", str(data), "--name", "boxes"]
    flags += ["--model_repository", str(tmp_path / "repo"), "--output_dir", str(tmp_path / "run")]
    assert aperture_train("fit", *flags) == 1
    lines = problems(capsys.readouterr().err)
    assert lines[0].startswith(f"{data / 'test' / '000.png'}: ")
    assert lines[1].startswith(f"{data / 'train' / '001.png'}: file is missing")
    assert lines[2].startswith("2 bad files; ")
    assert not (tmp_path / "repo" / "boxes").exists()


def test_dataset_without_any_object_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(data, "train", lambda content: content["annotations"].clear())
    flags = ["--task", "object-detection", "--data", str(data), "--name", "boxes"]
    flags += ["--model_repository", str(tmp_path / "repo"), "--output_dir", str(tmp_path / "run")]
    assert aperture_train("fit", *flags) == 1
    assert problems(capsys.readouterr().err) == [
        f"{data / 'train'}: no usable picture shows an annotated object"
    ]
