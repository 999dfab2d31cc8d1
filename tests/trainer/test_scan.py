"""The scan reads every picture that Pillow can, lists every one that it cannot, and hashes all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.conftest import FAST, aperture_train, fit_flags, problems, write_digits
from tests.trainer.segmentation_folders import write_blocks
from trainer.datasets.coco import read_coco
from trainer.datasets.image_folder import read_image_folder
from trainer.processes import Processes
from trainer.scan import Scan, scan_pictures
from trainer.tasks import TaskName, load_task

TINY: dict[TaskName, str] = {
    "image-classification": "resnet-tiny",
    "semantic-segmentation": "segformer-tiny",
    "object-detection": "detr-tiny",
}
ANNOTATIONS = Path("train") / "_annotations.coco.json"


def scan(data: Path) -> Scan:
    return scan_pictures(read_image_folder(data), Processes(index=0, count=1))


def write_every_kind(folder: Path) -> None:
    """Two labels of pictures in every format, mode and several sizes."""
    random = np.random.default_rng(0)
    kinds = [
        *(("RGB", suffix) for suffix in ("png", "jpg", "jpeg", "webp", "bmp", "PNG")),
        *(("L", suffix) for suffix in ("png", "jpg", "webp", "bmp")),
        *(("P", "png"), ("P", "bmp"), ("RGBA", "png"), ("RGBA", "webp"), ("LA", "png")),
        *(("1", "png"), ("I;16", "png"), ("CMYK", "jpg")),
    ]
    for split in ("train", "validation"):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            for index, (mode, suffix) in enumerate(kinds):
                size = (7 + 5 * index, 40 - index, 3)
                rgb = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
                grey = np.asarray(rgb.convert("L"), dtype=np.uint16) * 256
                image = Image.fromarray(grey) if mode == "I;16" else rgb.convert(mode)
                image.save(folder / split / label / f"{index:02d}-{mode.strip(';')}.{suffix}")


def test_every_format_and_mode_trains(tmp_path: Path) -> None:
    write_every_kind(tmp_path / "data")
    found = scan(tmp_path / "data")
    assert found.problems == ()
    assert len(found.dataset.splits["train"]) == 36
    flags = (*FAST, "--num_train_epochs", "1")
    assert aperture_train(*fit_flags(tmp_path / "data", tmp_path / "repo", "kinds", *flags)) == 0


def test_hidden_and_system_files_are_ignored(digits: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (data / "train" / "0" / name).write_bytes(b"x")
    (data / "train" / ".ipynb_checkpoints").mkdir()
    assert scan(data).problems == ()
    assert scan(data).sha256 == scan(digits).sha256


def test_hash_depends_on_names_and_contents_of_used_pictures(digits: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    before = scan(data).sha256
    assert before == scan(digits).sha256
    (data / "train" / "0" / "broken.png").write_bytes(b"x")
    assert scan(data).sha256 == before
    (data / "train" / "0" / "000.png").rename(data / "train" / "0" / "renamed.png")
    assert scan(data).sha256 != before


Change = Callable[[Path], object]


def write_boxes(folder: Path) -> Path:
    return write_coco_folder(folder, {"train": 4, "validation": 2})


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def move_a_box(data: Path) -> None:
    edit(data / ANNOTATIONS, lambda content: content["annotations"][1]["bbox"].reverse())


def turn_an_object_into_a_crowd(data: Path) -> None:
    edit(data / ANNOTATIONS, lambda content: content["annotations"][1].update(iscrowd=1))


def relabel_an_object(data: Path) -> None:
    edit(data / ANNOTATIONS, lambda content: content["annotations"][1].update(category_id=3))


def rename_a_category(data: Path) -> None:
    for split in ("train", "validation"):
        path = data / split / "_annotations.coco.json"
        edit(path, lambda content: content["categories"][0].update(name="cube"))


def reorder_pictures(data: Path) -> None:
    edit(data / ANNOTATIONS, lambda content: content["images"].reverse())


def swap_masks(data: Path) -> None:
    def change(entries: list[dict[str, str]]) -> None:
        first, second = entries[0], entries[1]
        first["seg_map"], second["seg_map"] = second["seg_map"], first["seg_map"]

    edit(data / "train" / "train.json", change)


def drop_an_entry(data: Path) -> None:
    edit(data / "train" / "train.json", lambda entries: entries.pop())


def learn_from_another_split(data: Path) -> None:
    entries = json.loads((data / "test" / "test.json").read_text())
    moved = {name: f"../test/{path}" for name, path in entries.pop().items()}
    (data / "test" / "test.json").write_text(json.dumps(entries))
    edit(data / "train" / "train.json", lambda entries: entries.append(moved))


def redraw_a_mask(data: Path) -> None:
    path = data / "train" / "annotations" / "0000.png"
    Image.fromarray(np.zeros((56, 80), np.uint8)).save(path)


def swap_labels(data: Path) -> None:
    path = data / "resources" / "id2lable.json"
    edit(path, lambda labels: labels.update({"1": labels["2"], "2": labels["1"]}))


def move_a_picture_to_another_label(data: Path) -> None:
    (data / "train" / "0" / "000.png").rename(data / "train" / "1" / "moved.png")


def rename_a_label(data: Path) -> None:
    for split in ("train", "validation", "test"):
        (data / split / "1").rename(data / split / "one")


def write_few_digits(folder: Path) -> Path:
    return write_digits(folder, {"train": 4, "validation": 2, "test": 2})


@pytest.mark.parametrize(
    ("task", "write", "change"),
    [
        *(
            ("image-classification", write_few_digits, change)
            for change in (move_a_picture_to_another_label, rename_a_label)
        ),
        *(
            ("semantic-segmentation", write_blocks, change)
            for change in (
                *(swap_masks, drop_an_entry, learn_from_another_split),
                *(redraw_a_mask, swap_labels),
            )
        ),
        *(
            ("object-detection", write_boxes, change)
            for change in (
                *(move_a_box, turn_an_object_into_a_crowd, relabel_an_object),
                *(rename_a_category, reorder_pictures),
            )
        ),
    ],
)
def test_hash_covers_all_that_is_learnt_and_not_where_it_lies(
    tmp_path: Path, task: TaskName, write: Change, change: Change
) -> None:
    def hash_of(data: Path) -> str:
        found = scan_pictures(load_task(task).read(data), Processes(index=0, count=1))
        assert found.problems == ()
        return found.sha256

    write(tmp_path / "data")
    before = hash_of(tmp_path / "data")
    other = Path(shutil.copytree(tmp_path / "data", tmp_path / "elsewhere" / "copy"))
    assert hash_of(other) == before
    change(other)
    assert hash_of(other) != before


def test_json_that_says_nothing_of_pictures_is_not_hashed(tmp_path: Path) -> None:
    data = write_boxes(tmp_path)
    before = scan_pictures(read_coco(data), Processes(index=0, count=1)).sha256
    edit(data / ANNOTATIONS, lambda content: content.update(info={"year": 2020}, licenses=[]))
    assert scan_pictures(read_coco(data), Processes(index=0, count=1)).sha256 == before


@pytest.mark.parametrize(
    ("task", "write", "change"),
    [
        ("image-classification", write_few_digits, move_a_picture_to_another_label),
        ("semantic-segmentation", write_blocks, swap_masks),
        ("object-detection", write_boxes, move_a_box),
    ],
)
def test_run_is_not_gone_on_with_where_an_annotation_changed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    task: TaskName,
    write: Change,
    change: Change,
) -> None:
    write(tmp_path / "data")
    argv = (
        *("fit", "--task", task, "--data", str(tmp_path / "data"), "--name", "some"),
        *("--model_repository", str(tmp_path / "repo"), "--output_dir", str(tmp_path / "run")),
        *("--model", TINY[task], "--input_size", "64", "--num_train_epochs", "1"),
        *("--learning_rate", "1e38", "--precision", "fp32"),
    )
    assert aperture_train(*argv) == 1  # it diverges, so that nothing is exported
    assert "the training diverged" in capsys.readouterr().err
    change(tmp_path / "data")
    assert aperture_train(*argv) == 2
    line, advice = problems(capsys.readouterr().err)
    assert line.startswith(f"dataset_sha256: the run in {tmp_path / 'run'} has ")
    assert "--restart" in advice


def test_at_most_50_bad_pictures_are_printed_and_all_are_written(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    for index in range(60):
        (data / "train" / "0" / f"bad{index}.png").write_bytes(b"not a picture")
    assert aperture_train(*fit_flags(data, tmp_path / "repo", "digits")) == 1
    lines = problems(capsys.readouterr().err)
    listed = tmp_path / "runs" / "digits" / "bad_images.txt"
    assert len(lines) == 52
    assert lines[50] == f"and 10 more; all are in {listed}"
    assert len(listed.read_text().splitlines()) == 60


def test_skip_bad_images_trains_on_the_rest(digits: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(digits, tmp_path / "data"))
    (data / "train" / "0" / "truncated.png").write_bytes(
        (data / "train" / "0" / "000.png").read_bytes()[:60]
    )
    (data / "test" / "1" / "notes.txt").write_text("x")
    flags = (*FAST, "--num_train_epochs", "1", "--skip_bad_images")
    assert aperture_train(*fit_flags(data, tmp_path / "repo", "digits", *flags)) == 0
    listed = (tmp_path / "runs" / "digits" / "bad_images.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in listed] == [
        str(data / "test" / "1" / "notes.txt"),
        str(data / "train" / "0" / "truncated.png"),
    ]
