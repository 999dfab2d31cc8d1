"""Whole jobs that are others than test_train.py's: from channels to a published model."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from contract.repository import list_versions
from trainer.cli import run
from trainer.sagemaker.detection_models import DEFAULT_MODEL
from trainer.sagemaker.folders import Folders
from trainer.tasks import TaskName

SIDE: Final = 32
LEFT, TOP, RIGHT, BOTTOM = 8, 6, 24, 20  # the bright part of each picture


def write_job(
    base: Path, channels: Mapping[str, Mapping[str, str]], hyperparameters: Mapping[str, str]
) -> Folders:
    """A container with a job's configuration, and a folder for each channel."""
    folders = Folders(base)
    folders.config.mkdir(parents=True)
    for name, content in {
        "inputdataconfig": channels,
        "hyperparameters": hyperparameters,
    }.items():
        (folders.config / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    for name in channels:
        (folders.data / name).mkdir(parents=True)
    return folders


def picture(seed: int) -> Image.Image:
    """Dark noise with a bright part."""
    pixels = np.random.default_rng(seed).integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[TOP:BOTTOM, LEFT:RIGHT] = 250
    return Image.fromarray(pixels)


def segmentation_job(base: Path) -> Folders:
    splits = ("train", "validation")
    channels: dict[str, dict[str, str]] = {
        name: {} for split in splits for name in (split, f"{split}_annotation")
    }
    folders = write_job(
        base,
        channels,
        {
            "num_classes": "2",
            "num_training_samples": "4",
            "use_pretrained_model": "False",
            "algorithm": "fcn",
            "base_size": "32",
            "crop_size": "30",
            "epochs": "1",
            "mini_batch_size": "1" + 20 * "0",  # no more than all pictures
        },
    )
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[TOP:BOTTOM, LEFT:RIGHT] = 1
    for split in splits:
        for seed in range(4):
            picture(seed).save(folders.data / split / f"{seed}.jpg")
            Image.fromarray(mask).save(folders.data / f"{split}_annotation" / f"{seed}.png")
    return folders


def detection_job(base: Path) -> Folders:
    folders = write_job(
        base,
        {"training": {}},
        {
            "model_id": "detr-tiny",
            "input_size": str(SIDE),
            "epochs": "1",
            "learning_rate": "0.0001",
            "unheard_of": "1",
        },
    )
    training = folders.data / "training"
    (training / "images").mkdir()
    images = [{"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in range(5)]
    for image in images:
        picture(int(str(image["id"]))).save(training / "images" / str(image["file_name"]))
    boxes = [
        {"image_id": n, "bbox": [LEFT, TOP, RIGHT, BOTTOM], "category_id": "part"} for n in range(5)
    ]
    text = json.dumps({"images": images, "annotations": boxes})
    (training / "annotations.json").write_text(text, encoding="utf-8")
    return folders


def multi_label_job(base: Path) -> Folders:
    """Pictures of any of three colours, multi-hot in lists, for a small net and no square."""
    counts = {"train": 24, "validation": 8}
    names = [name for split in counts for name in (split, f"{split}_lst")]
    folders = write_job(
        base,
        {name: {"ContentType": "application/x-image"} for name in names},
        {
            "num_classes": "3",
            "num_training_samples": "24",
            "num_layers": "20",
            "image_shape": "3,24,32",
            "resize": "32",
            "multi_label": "1",
            "use_weighted_loss": "1",
            "augmentation_type": "crop",
            "epochs": "3",
            "lr_scheduler_step": "2",
            "mini_batch_size": "8",
            "_tuning_objective_metric": "validation:accuracy",
        },
    )
    random = np.random.default_rng(0)
    for split, count in counts.items():
        lines = []
        for index in range(count):
            shown = random.integers(0, 2, 3)
            pixels = np.broadcast_to(30 + 190 * shown, (32, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folders.data / split / f"{index}.png")
            lines.append("\t".join([str(index), *map(str, shown), f"{index}.png"]) + "\n")
        (folders.data / f"{split}_lst" / "files.lst").write_text("".join(lines))
    return folders


def trained(folders: Folders, algorithm: TaskName) -> None:
    """Run the job, which publishes a version and fails at nothing."""
    assert (
        run(["train"], {"APERTURE_ALGORITHM": algorithm, "SAGEMAKER_BASE_DIR": str(folders.base)})
        == 0
    )
    assert not folders.failure.exists()
    assert list_versions(folders.model / "model") == [1]


@pytest.mark.parametrize(
    ("job", "algorithm", "asked"),
    [
        (segmentation_job, "semantic-segmentation", {"use_pretrained_model": "True"}),
        (detection_job, "object-detection", {"model_id": DEFAULT_MODEL}),
    ],
)
def test_a_job_without_the_hub_says_what_else_to_start_from(
    job: Callable[[Path], Folders],
    algorithm: TaskName,
    asked: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folders = job(tmp_path)
    config = folders.config / "hyperparameters.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **asked}))
    environ = {"APERTURE_ALGORITHM": algorithm, "SAGEMAKER_BASE_DIR": str(folders.base)}
    assert run(["train"], environ) == 1
    first, *_ = folders.failure.read_text().splitlines()
    assert first.startswith("ClientError: weights of ")
    assert "use_pretrained_model False" in first


def numbers(log: str, regex: str) -> list[str]:
    return re.findall(regex, log)


@pytest.mark.parametrize("channels", [("training",), ("train", "validation")])
def test_a_bad_picture_is_named_where_it_lies(tmp_path: Path, channels: tuple[str, ...]) -> None:
    folders = detection_job(tmp_path)
    environ = {
        "APERTURE_ALGORITHM": "object-detection",
        "SAGEMAKER_BASE_DIR": str(folders.base),
    }
    training = (folders.data / "training").rename(folders.data / channels[0])
    for other in channels[1:]:
        shutil.copytree(training, folders.data / other)
    (folders.config / "inputdataconfig.json").unlink()  # the folders are the channels
    pictures = sorted((training / "images").iterdir())
    for bad in pictures:
        bad.write_bytes(b"none")
    assert run(["train"], environ) == 1
    lines = folders.failure.read_text().splitlines()
    for bad in pictures:
        assert [line.partition(": ")[0] for line in lines].count(str(bad)) == 1
    assert run(["train", "--skip_bad_images"], environ) == 1
    first, *_ = folders.failure.read_text().splitlines()
    assert first.startswith(f"ClientError: {training}: holds no usable picture")


def test_a_multi_label_job_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = multi_label_job(tmp_path)
    trained(folders, "image-classification")
    accuracies = [
        float(one) for one in numbers(capsys.readouterr().out, r"Validation-accuracy=(.*)")
    ]
    assert len(accuracies) == 3
    assert max(accuracies) > 0.8
    labels = json.loads((folders.model / "class_label_to_prediction_index.json").read_text())
    assert labels == {"0": 0, "1": 1, "2": 2}


def test_a_segmentation_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = segmentation_job(tmp_path)
    trained(folders, "semantic-segmentation")
    out = capsys.readouterr().out
    (iou,) = numbers(out, r"validation:mIOU=([0-9\.]+)")
    (accuracy,) = numbers(out, r"validation:pixel_accuracy=([0-9\.]+)")
    metrics = json.loads((folders.checkpoints / "metrics.json").read_text())["splits"]["validation"]
    assert float(iou) == pytest.approx(metrics["mean_iou"], abs=1e-3)
    assert float(accuracy) == pytest.approx(metrics["overall_accuracy"], abs=1e-3)


def test_a_detection_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folders = detection_job(tmp_path)
    trained(folders, "object-detection")
    assert len(numbers(capsys.readouterr().out, r"Val_localization=([0-9\\.]+)")) == 1
    assert json.loads((folders.model / "labels_info.json").read_text()) == {"labels": ["part"]}
    assert "unheard_of: unknown option" in caplog.text


def test_a_detection_job_whose_validation_shows_no_object_leaves_its_last_epochs_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folders = detection_job(tmp_path)
    path = folders.data / "training" / "annotations.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["annotations"][1:]
    path.write_text(json.dumps(content), encoding="utf-8")
    trained(folders, "object-detection")
    out = capsys.readouterr().out
    assert len(numbers(out, r"Val_localization=([0-9\\.]+)")) == 1
    assert "Val_mAP" not in out
    assert "no picture of the validation shows an annotated object" in caplog.text
