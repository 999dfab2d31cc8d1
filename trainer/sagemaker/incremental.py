"""The `model` channel -> the checkpoint that a training starts with.

SageMaker's rule: a model is trained further as what it is. What that is was written beside the
checkpoint when it was published, in the words of the algorithm's own hyperparameters, and is
compared before anything is read of the other channels.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/incremental-training.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.checkpoints import WEIGHTS, Checkpoint
from trainer.differences import differences
from trainer.errors import ArchitectureMismatch, ChannelError, listed
from trainer.sagemaker.archive import unpack_archive
from trainer.tasks import TaskName

MODEL_CHANNEL: Final = "model"
CHECKPOINT_FOLDER: Final = "checkpoint"
ARCHITECTURE_FILE: Final = "architecture.json"

_CONFIG: Final = "config.json"
_TENSORFLOW: Final = ("pipeline.config", "saved_model.pb")
_MXNET: Final = ("*.params", "*-symbol.json")
_ARCHIVES: Final = (".tar.gz", ".tgz")
_WITHOUT: Final = "leave out the model channel to start from the hub's weights, or from random ones"
_DETECTION: Final[TaskName] = "object-detection"
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


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """The files of the `model` channel.

    Attributes:
        folder: Where they lie.
        source: Where they come from, for messages: the channel's folder, or its archive.
    """

    folder: Path
    source: Path

    def named(self, path: Path) -> Path:
        """A path of them as its owner knows it; what is unpacked is gone when the job ends."""
        return self.source / path.relative_to(self.folder)


def starting_checkpoint(channel: Path, workspace: Path, wanted: Architecture) -> Path | None:
    """The checkpoint in the `model` channel, of the model that is wanted.

    JumpStart hands its detectors' weights over in this channel. They are of TensorFlow, and the
    detectors here are others, so that a job with them starts as one without the channel.

    Args:
        channel: The channel's folder.
        workspace: Where its archive is unpacked to, if it has one.
        wanted: What the model has to be.

    Returns:
        Its folder; None where a detector of AWS' own is there.

    Raises:
        ArchiveError: The archive cannot be unpacked.
        ChannelError: The channel holds no checkpoint, or those of several models.
        ArchitectureMismatch: The model is another one.
    """
    files = _unpacked(channel, workspace)
    found = _checkpoints(files.folder)
    if not found and wanted.algorithm == _DETECTION and _holds(files.folder, _TENSORFLOW):
        return None
    checkpoint = _newest_of(found, files)
    _check_architecture(checkpoint, files, wanted)
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


def _unpacked(channel: Path, workspace: Path) -> _Unpacked:
    """The files of the `model` channel: its own, or its archive's.

    Raises:
        ArchiveError: The archive cannot be unpacked.
        ChannelError: There is more than one archive.
    """
    archives = [path for path in _shown(channel) if path.name.endswith(_ARCHIVES)]
    if len(archives) > 1:
        raise ChannelError(channel, f"holds {len(archives)} archives")
    if not archives:
        return _Unpacked(channel, channel)
    folder = workspace / MODEL_CHANNEL
    if not folder.is_dir():
        unpack_archive(archives[0], folder)
    return _Unpacked(folder, archives[0])


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in an unpacked model."""
    return [
        place
        for pattern in _PLACES
        for place in ([folder] if pattern == "." else folder.glob(pattern))
        if (place / ARCHITECTURE_FILE).is_file() and (place / _CONFIG).is_file()
    ]


def _newest_of(found: list[Path], files: _Unpacked) -> Path:
    """The checkpoint of those that are found; of several versions the newest one's.

    Raises:
        ChannelError: There is none, or one without weights, or those of several models.
    """
    if not found:
        names = ", ".join(listed([path.name for path in _shown(files.folder)]))
        for program, patterns in (("MXNet", _MXNET), ("TensorFlow", _TENSORFLOW)):
            if _holds(files.folder, patterns):
                told = f"holds a model of {program}, which cannot be trained further here: {names}"
                raise ChannelError(files.source, told, _WITHOUT)
        told = "holds no checkpoint" + (f", but {names}" if names else "")
        raise ChannelError(files.source, told, _WITHOUT)
    if len({place.parent.parent for place in found}) > 1:
        raise ChannelError(files.source, f"holds {len(found)} models")
    newest = max(found, key=_version)
    if not (newest / WEIGHTS).is_file():  # weights of another name would be another format
        raise ChannelError(files.named(newest), f"holds no {WEIGHTS}, so that it is damaged")
    return newest


def _holds(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether a file of such a name lies in a folder or below."""
    return folder.is_dir() and any(
        path.is_file() for pattern in patterns for path in folder.rglob(pattern)
    )


def _check_architecture(checkpoint: Path, files: _Unpacked, wanted: Architecture) -> None:
    """Refuse a model that is another than the job's.

    Raises:
        ArchitectureMismatch: The algorithm or one of its values differs.
        ChannelError: What the model is cannot be read.
    """
    try:
        text = (checkpoint / ARCHITECTURE_FILE).read_bytes()
        found = Architecture.model_validate_json(text)
    except (OSError, ValidationError) as err:
        place = files.named(checkpoint)
        raise ChannelError(place, f"has no {ARCHITECTURE_FILE} that can be read") from err
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
