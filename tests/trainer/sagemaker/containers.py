"""SageMaker's training containers on disk: configuration and channels of scikit-learn's digits."""

import json
import shutil
from pathlib import Path
from typing import Final

from tests.trainer.conftest import write_digits
from trainer.cli import run
from trainer.sagemaker.folders import Folders

CLASSES: Final = 3
TINY: Final = {
    "num_classes": str(CLASSES),
    "num_training_samples": "24",
    "num_layers": "20",
    "image_shape": "3,16,16",
    "resize": "16",
    "epochs": "1",
    "mini_batch_size": "8",
    "learning_rate": "0.01",
}
CHANNELS: Final = ("train", "validation", "train_lst", "validation_lst")
ALGORITHM: Final = {"APERTURE_ALGORITHM": "image-classification"}


def write_container(base: Path, **hyperparameters: str) -> Folders:
    """A container with four channels of listed pictures, 24 to train on and 12 to validate."""
    folders = Folders(base)
    raw = write_digits(base / "raw", {"train": 8, "validation": 4}, range(CLASSES))
    for split in ("train", "validation"):
        folders.data.mkdir(parents=True, exist_ok=True)
        (raw / split).rename(folders.data / split)
        pictures = sorted((folders.data / split).rglob("*.png"))
        lines = [
            f"{index}\t{picture.parent.name}\t{picture.relative_to(folders.data / split)}\n"
            for index, picture in enumerate(pictures)
        ]
        (folders.data / f"{split}_lst").mkdir()
        (folders.data / f"{split}_lst" / "files.lst").write_text("".join(lines), encoding="utf-8")
    shutil.rmtree(raw)
    folders.config.mkdir(parents=True)
    write_hyperparameters(folders, **hyperparameters)
    listed = {"ContentType": "application/x-image", "TrainingInputMode": "File"}
    write_channels(folders, dict.fromkeys(CHANNELS, listed))
    return folders


def name_classes(folders: Folders) -> None:
    """Give the pictures a manifest in the place of each list, in which the classes have names."""
    for split in ("train", "validation"):
        shutil.rmtree(folders.data / f"{split}_lst")
        lines = [
            json.dumps(
                {
                    "source-ref": str(picture.relative_to(folders.data / split)),
                    "class": int(picture.parent.name),
                    "class-metadata": {"class-name": f"digit {picture.parent.name}"},
                }
            )
            for picture in sorted((folders.data / split).rglob("*.png"))
        ]
        text = "".join(f"{line}\n" for line in lines)
        (folders.data / split / "files.manifest").write_text(text, encoding="utf-8")


def write_hyperparameters(folders: Folders, **hyperparameters: str) -> None:
    """hyperparameters.json of a tiny training, and more."""
    text = json.dumps({**TINY, **hyperparameters})
    (folders.config / "hyperparameters.json").write_text(text, encoding="utf-8")


def write_channels(folders: Folders, channels: dict[str, dict[str, str]]) -> None:
    """inputdataconfig.json."""
    text = json.dumps(channels)
    (folders.config / "inputdataconfig.json").write_text(text, encoding="utf-8")


def train(folders: Folders, *flags: str) -> int:
    """Run `aperture-train train` in this process, and return its exit code."""
    return run(["train", *flags], {**ALGORITHM, "SAGEMAKER_BASE_DIR": str(folders.base)})


def failure(folders: Folders) -> str:
    """The first line of output/failure."""
    return folders.failure.read_text(encoding="utf-8").splitlines()[0]
