"""A job's channels are read as its hyperparameters say, and compared with them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from contract.errors import OptionsError
from tests.trainer.conftest import write_digits
from tests.trainer.sagemaker.containers import (
    CHANNELS,
    failure,
    train,
    write_channels,
    write_container,
)
from tests.trainer.sagemaker.job import asked
from trainer.datasets.dataset import TRAIN, VALIDATION
from trainer.sagemaker.channel import Channel


def channel(name: str, folder: Path, content_type: str | None = None) -> Channel:
    return Channel(name, folder, content_type, pipe=False, recordio_wrapper=False)


def listed_digits(folder: Path) -> dict[str, Channel]:
    """Two pictures of each of two digits in either split, and the lists of them."""
    write_digits(folder, {"train": 2, "validation": 2}, range(2))
    channels = {}
    for split in (TRAIN, VALIDATION):
        pictures = sorted((folder / split).rglob("*.png"))
        lines = [
            f"{index}\t{picture.parent.name}\t{picture.relative_to(folder / split)}\n"
            for index, picture in enumerate(pictures)
        ]
        lists = folder / f"{split}_lst"
        lists.mkdir()
        (lists / f"{split}.lst").write_text("".join(lines))
        for name in (split, f"{split}_lst"):
            channels[name] = channel(name, folder / name, "application/x-image")
    return channels


def test_lists_need_a_size_to_resize_to(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="resize: required with pictures in files of their own"):
        asked("image-classification").read(listed_digits(tmp_path), tmp_path / "work")


@pytest.mark.parametrize(("given", "warned"), [("4", False), ("100", True)])
def test_another_number_of_training_pictures_is_warned_of(
    given: str, warned: bool, tmp_path: Path
) -> None:
    wanted = asked(
        "image-classification",
        num_classes="2",
        num_training_samples=given,
        image_shape="3,8,8",
        resize="8",
    )
    dataset = wanted.read(listed_digits(tmp_path), tmp_path / "work")
    assert [sample.target for sample in dataset.splits[TRAIN]] == [0, 0, 1, 1]
    told = f"num_training_samples is {given}, but the train channel holds 4 pictures"
    assert any(warning.startswith(told) for warning in dataset.warnings) == warned


def test_the_weights_of_the_hub_are_not_asked_for_beside_a_model_channel(tmp_path: Path) -> None:
    folders = write_container(tmp_path, use_pretrained_model="1")
    assert train(folders) == 2
    assert failure(folders).startswith("ClientError: num_layers: got 20 with use_pretrained_model")
    names = (*CHANNELS, "model")
    write_channels(folders, {name: {"ContentType": "application/x-image"} for name in names})
    (folders.data / "model").mkdir()
    assert train(folders) == 2
    assert failure(folders).startswith("ClientError: channel model: ")


def test_masks_are_read_by_the_number_of_classes(tmp_path: Path) -> None:
    channels = {}
    for split in (TRAIN, VALIDATION):
        for name in (split, f"{split}_annotation"):
            (tmp_path / name).mkdir()
            channels[name] = channel(name, tmp_path / name)
        Image.new("RGB", (8, 8)).save(tmp_path / split / "one.jpg")
        Image.new("L", (8, 8), 1).save(tmp_path / f"{split}_annotation" / "one.png")
    wanted = asked("semantic-segmentation", num_classes="2", num_training_samples="1")
    dataset = wanted.read(channels, tmp_path / "work")
    assert len(dataset.labels) == 2
    assert len(dataset.splits[TRAIN]) == len(dataset.splits[VALIDATION]) == 1
    assert dataset.warnings == ()


def test_boxes_are_read_from_the_training_channel(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    images = [{"id": n, "file_name": f"{n}.png", "width": 8, "height": 8} for n in range(5)]
    boxes = [{"image_id": n, "bbox": [1, 2, 5, 6], "category_id": 7} for n in range(5)]
    for image in images:
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / str(image["file_name"]))
    text = json.dumps({"images": images, "annotations": boxes})
    (tmp_path / "annotations.json").write_text(text)
    dataset = asked("object-detection").read(
        {"training": channel("training", tmp_path)}, tmp_path / "work"
    )
    assert dataset.labels == ("7",)
    assert len(dataset.splits[TRAIN]) == 4, "a fifth is held out"
