"""COCO files that mean something are read by COCO's rules; others get an answer that says why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.trainer.coco_folders import write_annotations, write_coco_folder
from tests.trainer.conftest import aperture_train, problems
from trainer.datasets.coco import read_coco, read_coco_split
from trainer.datasets.coco_objects import Instance, Objects, objects_of
from trainer.detection_batch import example_of
from trainer.errors import DatasetError
from trainer.pictures import Pictures, Whole
from trainer.tasks.detection import TASK

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
        f"{path}: 3 boxes without any area in their picture are dropped: annotations[2], "
        "annotations[3], annotations[4]",
        f"{path}: 2 boxes reach out of their picture and are clipped: annotations[0], "
        "annotations[1]",
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Invalid JSON: EOF while parsing"),
        (b'{"images": "\xff"}', "Invalid JSON: "),
        (100_000 * b"[", "Invalid JSON: recursion limit exceeded"),
        (b"[]", "Input should be an object, got []"),
        (b"null", "Input should be an object, got None"),
        (
            b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "disc"}]}',
            "images: List should have at least 1 item after validation, not 0, got []",
        ),
        (
            b'{"images": [{"id": 1, "file_name": "000.png"}], "annotations": [], "categories": []}',
            "categories: List should have at least 1 item after validation, not 0, got []",
        ),
    ],
)
def test_json_of_another_form_is_named(data: Path, text: bytes, message: str) -> None:
    path = data / "validation" / "_annotations.coco.json"
    path.write_bytes(text)
    (line,) = refusal(data)
    assert line.startswith(f"{path}: {message}")


def test_wrong_types_are_named(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][0]["file_name"] = 7
        content["images"][1]["file_name"] = ""
        content["images"][2]["width"] = 0
        content["categories"][0]["name"] = None
        content["categories"][1]["id"] = ["9"]
        content["annotations"][0] = "a box"
        content["annotations"][1]["image_id"] = 1.5
        content["annotations"][2]["bbox"] = {"x": 1}
        content["annotations"][3]["area"] = "large"

    path = spoil(data, "train", change)
    assert [line.removeprefix(f"{path}: ") for line in refusal(data)] == [
        "categories[0].name: Input should be a valid string, got None",
        "categories[1].id: Input should be a whole number or text, got ['9']",
        "images[0].file_name: Input should be a valid string, got 7",
        "images[1].file_name: String should have at least 1 character, got ''",
        "images[2].width: Input should be greater than 0, got 0",
        "annotations[0]: Input should be an object, got 'a box'",
        "annotations[1].image_id: Input should be a whole number or text, got 1.5",
        "annotations[2].bbox: Input should be a valid array, got {'x': 1}",
        "annotations[3].area: Input should be a valid number, unable to parse string as a number, "
        "got 'large'",
    ]


def test_faults_of_every_split_are_listed_at_once(data: Path) -> None:
    paths = [
        spoil(data, split, lambda content: content.pop("images")) for split in ("train", "test")
    ]
    assert refusal(data) == [f"{path}: images: Field required" for path in paths]


@pytest.mark.parametrize("area", [None, 0, -3])
def test_area_that_is_none_is_the_boxs(tmp_path: Path, area: float | None) -> None:
    entry = {"id": 1, "image_id": 7, "category_id": 9, "bbox": [60, 0, 10, 5], "area": area}
    (found,) = read_one(tmp_path, (64, 48), [entry]).instances
    assert found.area_px == 4 * 5  # of the part inside the picture


def test_crowd_alone_is_not_trained_on(tmp_path: Path) -> None:
    crowd = {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 30, 40], "iscrowd": 1}
    read_one(tmp_path, (64, 48), [crowd])
    dataset = read_coco(tmp_path)
    assert f"{tmp_path / 'train'}: no usable picture shows an annotated object" in TASK.faults(
        dataset
    )
    item = Pictures(dataset.splits["train"], Whole(32, 32, "pad"))[0]
    assert len(example_of(item).boxes_xyxy_px) == 0


def test_category_that_an_answers_own_key_hides_is_refused(data: Path) -> None:
    paths = [
        spoil(data, split, lambda content: content["categories"][0].update(name="score"))
        for split in ("train", "validation", "test")
    ]
    assert refusal(data) == [
        f"{path}: category 'score': an answer has a key of that name; rename it" for path in paths
    ]


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../../secret.png"])
def test_path_out_of_the_dataset_is_refused(data: Path, name: str) -> None:
    path = spoil(data, "train", lambda content: content["images"][0].update(file_name=name))
    assert refusal(data) == [f"{path}: image 0: {name!r} leads out of the dataset's folder"]


@pytest.mark.parametrize("name", [".", "a\0b", "000.png/more"])
def test_file_name_that_is_no_file_is_a_missing_file(data: Path, name: str) -> None:
    spoil(data, "train", lambda content: content["images"][1].update(file_name=name))
    (problem,) = read_coco(data).problems
    assert problem.reason == "file is missing; _annotations.coco.json names it"


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000])
def test_file_name_that_is_too_long_is_listed_with_the_other_faults(data: Path, name: str) -> None:
    spoil(data, "train", lambda content: content["images"][1].update(file_name=name))
    (data / "validation" / "000.png").unlink()
    assert [problem.reason for problem in read_coco(data).problems] == [
        "cannot be opened: File name too long; _annotations.coco.json names it",
        "file is missing; _annotations.coco.json names it",
    ]


def test_faults_of_every_kind_are_listed_at_once(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][0]["width"] = "wide"
        content["images"][1]["file_name"] = "gone.png"
        content["annotations"][0]["bbox"] = [1, 2, 3]
        content["annotations"][1]["image_id"] = 999
        content["annotations"][2]["category_id"] = 4

    paths = [spoil(data, split, change) for split in ("train", "validation")]
    (data / "test" / "_annotations.coco.json").write_text("{")
    lines = refusal(data)
    for path in paths:
        assert [line for line in lines if line.startswith(f"{path}: ")] == [
            f"{path}: images[0].width: Input should be a valid integer, got 'wide'",
            f"{path}: annotations[0].bbox: List should have at least 4 items after validation, "
            "not 3, got [1, 2, 3]",
            f"{path}: annotations[1]: there is no image of the image_id 999",
            f"{path}: annotations[2]: there is no category of the category_id 4",
        ]
    assert lines[-2:] == [
        f"{path.parent / 'gone.png'}: file is missing; _annotations.coco.json names it"
        for path in paths
    ]
    assert len(lines) == 4 + 4 + 1 + 2


def test_annotations_of_an_entry_without_a_readable_id_are_not_called_unknown(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][0]["id"] = None
        del content["categories"][0]["id"]

    path = spoil(data, "train", change)
    assert refusal(data) == [
        f"{path}: categories[0].id: Field required",
        f"{path}: images[0].id: Input should be a whole number or text, got None",
    ]


def test_categories_are_not_called_unknown_beside_malformed_ones(data: Path) -> None:
    path = spoil(data, "train", lambda content: content["categories"][0].update(name=7))
    assert refusal(data) == [f"{path}: categories[0].name: Input should be a valid string, got 7"]


def test_label_that_no_labels_txt_holds_is_listed_with_the_other_faults(data: Path) -> None:
    path = data / "train" / "_annotations.coco.json"
    for split in ("train", "validation", "test"):
        spoil(data, split, lambda content: content["categories"][0].update(name="a\nb"))
    spoil(data, "train", lambda content: content["annotations"][0].update(image_id=999))
    assert refusal(data) == [
        f"{path}: label 0 is 'a\\nb'; expected a name of one line",
        f"{path}: annotations[0]: there is no image of the image_id 999",
    ]


def test_faults_beside_a_missing_file_are_listed_with_it(data: Path) -> None:
    (data / "train" / "_annotations.coco.json").unlink()
    path = spoil(data, "validation", lambda content: content["annotations"][0].update(bbox=7))
    lines = refusal(data)
    assert lines[0].startswith(f"{data / 'train' / '_annotations.coco.json'}: file is missing")
    assert lines[1:] == [f"{path}: annotations[0].bbox: Input should be a valid array, got 7"]


def test_whole_floats_are_ids_and_sizes(data: Path) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image.update({name: float(image[name]) for name in ("id", "width", "height")})
        for annotation in content["annotations"]:
            for name in ("image_id", "category_id"):
                annotation[name] = float(annotation[name])
        for category in content["categories"]:
            category["id"] = float(category["id"])

    before = read_coco(data)
    for split in ("train", "validation"):
        spoil(data, split, change)
    assert read_coco(data) == before


def test_ids_may_be_text(data: Path) -> None:
    def change(content: Content) -> None:
        for entry in (*content["images"], *content["categories"]):
            entry["id"] = f"{entry['id']}"
        for entry in content["annotations"]:
            entry.update({name: f"{entry[name]}" for name in ("image_id", "category_id")})

    before = read_coco(data)
    for split in ("train", "validation"):
        spoil(data, split, change)
    assert read_coco(data) == before


def test_labels_of_text_ids_are_numbers_by_value_then_words(data: Path) -> None:
    ids = ["b", "10", "9", -2, "a", 25 * "9"]

    def change(content: Content) -> None:
        content["annotations"] = []
        content["categories"] = [{"id": key, "name": f"id {key}"} for key in ids]

    for split in ("train", "validation", "test"):
        spoil(data, split, change)
    assert read_coco(data).labels == ("id -2", "id 9", "id 10", f"id {25 * '9'}", "id a", "id b")


def test_id_of_text_is_not_the_number_that_it_spells(data: Path) -> None:
    path = spoil(data, "train", lambda content: content["annotations"][0].update(image_id="0"))
    assert refusal(data) == [f"{path}: annotations[0]: there is no image of the image_id '0'"]


def test_sizes_and_ids_that_are_no_whole_numbers_are_refused(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][0]["width"] = 64.5
        content["images"][1]["height"] = "64.0"
        content["images"][2]["id"] = True
        content["images"][3]["height"] = float("inf")

    path = spoil(data, "train", change)
    assert [line.removeprefix(f"{path}: ") for line in refusal(data)] == [
        "images[0].width: Input should be a valid integer, got 64.5",
        "images[1].height: Input should be a valid integer, got '64.0'",
        "images[2].id: Input should be a whole number or text, got True",
        "images[3].height: Input should be a valid integer, got inf",
    ]


def test_every_malformed_entry_is_listed_at_once(data: Path) -> None:
    def change(content: Content) -> None:
        content["images"][0]["id"] = 0.5
        content["annotations"][0]["bbox"] = [1, 2, 3]
        content["annotations"][1]["bbox"] = [1, 2, 3, "four"]
        content["annotations"][2]["bbox"] = [1, 2, 3, float("nan")]
        content["annotations"][3]["iscrowd"] = 2
        del content["categories"]

    path = spoil(data, "train", change)
    assert [line.removeprefix(f"{path}: ") for line in refusal(data)] == [
        "categories: Field required",
        "images[0].id: Input should be a whole number or text, got 0.5",
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
        "image id 0 occurs 2 times, expected once",
        "category id 3 occurs 2 times, expected once",
        "category name 'disc' occurs 2 times, expected once",
        "file_name '000.png' occurs 2 times, expected once",
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
        f"{data / 'train' / '002.png'}: is of 64 x 48 pixels, as it stands upright, but the "
        "JSON says 99 x 48",
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
        "is of 48 x 64 pixels, as it stands upright, but the JSON says 64 x 48"
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
