"""`aperture-train train` of the two other algorithms, by their smallest networks."""

import json
from pathlib import Path

import pytest

from contract.model_config import read_model_config
from tests.trainer.coco_folders import write_coco_folder
from tests.trainer.sagemaker.box_channels import write_boxes
from tests.trainer.sagemaker.containers import write_channels
from tests.trainer.segmentation_folders import write_blocks
from trainer.cli import run
from trainer.datasets.coco import read_coco
from trainer.sagemaker.folders import Folders


def train(folders: Folders, algorithm: str, **hyperparameters: str) -> int:
    folders.config.mkdir(parents=True, exist_ok=True)
    text = json.dumps(hyperparameters)
    (folders.config / "hyperparameters.json").write_text(text, encoding="utf-8")
    return run(["train", f"--algorithm={algorithm}"], {"SAGEMAKER_BASE_DIR": str(folders.base)})


def boxes(base: Path, category: str) -> Folders:
    """A container with the training channel alone, whose classes are named."""
    folders = Folders(base)
    coco = read_coco(write_coco_folder(base / "coco", {"train": 10, "validation": 2}))
    write_boxes(coco, folders.data / "training", "train", lambda number: f"{category}{number}")
    return folders


DETECTOR = {"model_id": "detr-tiny", "input_size": "64", "epochs": "1", "batch_size": "4"}


def test_boxes_train_a_detector_which_is_trained_further_on_the_same_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, other = (
        boxes(tmp_path / name, category)
        for name, category in (("first", "k"), ("second", "k"), ("other", "x"))
    )
    assert train(first, "object-detection", **DETECTOR) == 0
    labels = json.loads((first.model / "labels_info.json").read_text(encoding="utf-8"))["labels"]
    assert labels == ["k3", "k9"]
    for folders in (second, other):
        (folders.data / "model").symlink_to(first.model)  # the unpacked archive
    assert train(second, "object-detection", **DETECTOR) == 0
    assert train(other, "object-detection", **DETECTOR) == 2
    said = "classes: the model in the model channel has ['k3', 'k9'], this job wants ['x3', 'x9']"
    assert said in capsys.readouterr().err
    assert said in other.failure.read_text(encoding="utf-8")


@pytest.mark.slow
def test_masks_train_a_segmenter_of_the_crops_size(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "ml")
    blocks = write_blocks(tmp_path / "blocks")
    folders.data.mkdir(parents=True)
    for split in ("train", "validation"):
        (blocks / split / "images").rename(folders.data / split)
        (blocks / split / "annotations").rename(folders.data / f"{split}_annotation")
    hyperparameters = {
        "num_classes": "3",
        "num_training_samples": "8",
        "use_pretrained_model": "False",
        "crop_size": "20",
        "base_size": "24",
        "epochs": "1",
        "mini_batch_size": "4",
    }
    channels = [
        f"{split}{kind}" for split in ("train", "validation") for kind in ("", "_annotation")
    ]
    folders.config.mkdir(parents=True)
    write_channels(folders, {name: {"ContentType": "image/png"} for name in channels})
    assert train(folders, "semantic-segmentation", **hyperparameters) == 0
    config = read_model_config(folders.model / "model")
    assert config.inputs[0].dims == (24, 24, 3)  # rounded up to a multiple of 8
    assert config.parameters["base_model"] == "fcn-resnet-50"
