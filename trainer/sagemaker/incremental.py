"""The `model` channel -> the checkpoint that a training starts with.

SageMaker's rule: a model is trained further as what it is. What that is was written beside the
checkpoint when it was published, in the words of the algorithm's own hyperparameters, and is
compared before anything is read of the other channels.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/incremental-training.html
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.checkpoints import WEIGHTS, Checkpoint
from trainer.differences import differences
from trainer.errors import ArchitectureMismatch, ChannelError, listed
from trainer.sagemaker.archive import unpack_archive

MODEL_CHANNEL: Final = "model"
CHECKPOINT_FOLDER: Final = "checkpoint"
ARCHITECTURE_FILE: Final = "architecture.json"

_CONFIG: Final = "config.json"
_ARCHIVES: Final = (".tar.gz", ".tgz")
_PLACES: Final = (".", CHECKPOINT_FOLDER, f"*/{CHECKPOINT_FOLDER}", f"*/*/{CHECKPOINT_FOLDER}")


class Architecture(BaseModel):
    """What a model is, in the words of the algorithm's hyperparameters.

    Attributes:
        algorithm: The algorithm that trained it.
        values: What a job that trains it further must have as well.
    """

    model_config = ConfigDict(frozen=True)

    algorithm: str
    values: Mapping[str, str]


def starting_checkpoint(channel: Path, workspace: Path, wanted: Architecture) -> Path:
    """The checkpoint in the `model` channel, of the model that is wanted.

    Args:
        channel: The channel's folder.
        workspace: Where its archive is unpacked to, if it has one.
        wanted: What the model has to be.

    Raises:
        ArchiveError: The archive cannot be unpacked.
        ChannelError: The channel holds no checkpoint, or those of several models.
        ArchitectureMismatch: The model is another one.
    """
    checkpoint = _find_checkpoint(_unpacked(channel, workspace))
    _check_architecture(checkpoint, wanted)
    return checkpoint


def check_classes(checkpoint: Checkpoint, labels: tuple[str, ...]) -> None:
    """Refuse a model of other classes, where an algorithm asks for the same ones.

    Raises:
        ArchitectureMismatch: The classes differ.
    """
    if checkpoint.labels != labels:
        raise ArchitectureMismatch({"classes": (list(checkpoint.labels), list(labels))})


def write_architecture(folder: Path, architecture: Architecture) -> None:
    """Write what a checkpoint's model is beside it."""
    text = json.dumps(architecture.model_dump(), indent=2) + "\n"
    (folder / ARCHITECTURE_FILE).write_text(text, encoding="utf-8")


def _unpacked(channel: Path, workspace: Path) -> Path:
    """The folder with the files of the `model` channel: itself, or its archive's.

    Raises:
        ArchiveError: The archive cannot be unpacked.
        ChannelError: There is more than one archive.
    """
    archives = [path for path in _shown(channel) if path.name.endswith(_ARCHIVES)]
    if len(archives) > 1:
        raise ChannelError(channel, f"holds {len(archives)} archives")
    if not archives:
        return channel
    folder = workspace / MODEL_CHANNEL
    if not folder.is_dir():
        unpack_archive(archives[0], folder)
    return folder


def _find_checkpoint(folder: Path) -> Path:
    """The checkpoint in an unpacked model; of several versions the newest one's.

    Raises:
        ChannelError: There is none, or one without weights, or those of several models.
    """
    found = [
        place
        for pattern in _PLACES
        for place in ([folder] if pattern == "." else folder.glob(pattern))
        if (place / ARCHITECTURE_FILE).is_file() and (place / _CONFIG).is_file()
    ]
    if not found:
        names = ", ".join(listed([path.name for path in _shown(folder)]))
        raise ChannelError(folder, "holds no checkpoint" + (f", but {names}" if names else ""))
    if len({place.parent.parent for place in found}) > 1:
        raise ChannelError(folder, f"holds {len(found)} models")
    newest = max(found, key=_version)
    if not (newest / WEIGHTS).is_file():  # weights of another name would be another format
        raise ChannelError(newest, f"holds no {WEIGHTS}, so that it is damaged")
    return newest


def _check_architecture(checkpoint: Path, wanted: Architecture) -> None:
    """Refuse a model that is another than the job's.

    Raises:
        ArchitectureMismatch: The algorithm or one of its values differs.
        ChannelError: What the model is cannot be read.
    """
    try:
        text = (checkpoint / ARCHITECTURE_FILE).read_bytes()
        found = Architecture.model_validate_json(text)
    except (OSError, ValidationError) as err:
        raise ChannelError(checkpoint, f"has no {ARCHITECTURE_FILE} that can be read") from err
    if found.algorithm != wanted.algorithm:
        raise ArchitectureMismatch({"algorithm": (found.algorithm, wanted.algorithm)})
    if mismatches := differences(found.values, wanted.values):
        raise ArchitectureMismatch(mismatches)


def _shown(folder: Path) -> list[Path]:
    """What lies in a folder, by name; hidden files do not count. Nothing in one that is not there."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _version(checkpoint: Path) -> int:
    name = checkpoint.parent.name
    return int(name) if name.isdecimal() else 0
