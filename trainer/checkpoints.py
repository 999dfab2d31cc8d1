"""Checkpoint folders: which of them are whole, and what is in one.

The Trainer writes many files into checkpoint-N, and a kill can come between any two. Once they
are all on the disk, a manifest of their names and sizes is renamed into place: a folder whose
manifest is there and matches is whole, and every other one is as if it did not exist.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.errors import CheckpointError
from trainer.pixel_size import PixelSize
from trainer.tasks import TaskName

MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "model.safetensors"
TRAINER_STATE: Final = "trainer_state.json"
KEPT: Final = 3

_FOLDER = re.compile(r"checkpoint-(\d+)")


class Origin(BaseModel):
    """What a checkpoint's config.json says about its training, under `aperture`.

    Attributes:
        task: The task.
        base_model: The model's size name, checkpoint or hub id.
        dataset_sha256: Hash of the dataset it was trained on.
        parameters: What the task adds to the parameters of config.pbtxt.
    """

    model_config = ConfigDict(frozen=True)

    task: TaskName
    base_model: str
    dataset_sha256: str
    parameters: dict[str, str] = {}


class _Config(BaseModel):
    """The part of transformers' config.json that export and evaluation need."""

    image_size: PixelSize
    id2label: dict[int, str]
    aperture: Origin


class _State(BaseModel):
    """The part of the Trainer's own record that says which epoch was the best, if that counts."""

    best_global_step: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint folder that export and evaluation can use.

    Attributes:
        folder: Where its config.json and model.safetensors are.
        origin: What it was trained for, from and on.
        labels: The class names in index order.
        input_size: The side, or height and width, of the model's input in pixels.
    """

    folder: Path
    origin: Origin
    labels: tuple[str, ...]
    input_size: PixelSize


def open_checkpoint(folder: Path) -> Checkpoint:
    """Describe the checkpoint in `folder`, or the one that the run in it publishes.

    Raises:
        CheckpointError: There is none, or it was not trained by Aperture.
    """
    if not (folder / "config.json").is_file():
        chosen = chosen_of(folder)
        if chosen is None:
            raise CheckpointError(folder, "holds neither config.json nor a whole checkpoint-N")
        folder = chosen
    elif (folder / MANIFEST).is_file() and not is_whole(folder):
        raise CheckpointError(folder, "is incomplete: files differ from its manifest")
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(folder, f"holds no {WEIGHTS}")
    try:
        config = _Config.model_validate_json((folder / "config.json").read_bytes())
    except (OSError, ValidationError) as err:
        raise CheckpointError(
            folder, "config.json is not of a model that Aperture trained"
        ) from err
    labels = tuple(config.id2label[index] for index in sorted(config.id2label))
    return Checkpoint(folder, config.aperture, labels, config.image_size)


def newest_whole(output_dir: Path) -> Path | None:
    """The whole checkpoint-N of the most steps."""
    whole = (path for path in checkpoint_folders(output_dir) if is_whole(path))
    return max(whole, key=steps_of, default=None)


def chosen_of(output_dir: Path) -> Path | None:
    """The checkpoint-N that a run publishes: its best where it keeps that, else its newest.

    Raises:
        CheckpointError: The run has a best checkpoint, but it is not there or not whole.
    """
    newest = newest_whole(output_dir)
    if newest is None:
        return None
    path = newest / TRAINER_STATE
    state = _State.model_validate_json(path.read_bytes()) if path.is_file() else _State()
    steps = state.best_global_step
    best = newest if steps is None else checkpoint_of(output_dir, steps)
    if not is_whole(best):
        raise CheckpointError(best, "the run's best one is not whole; train anew with --restart")
    return best


def checkpoint_of(output_dir: Path, steps: int) -> Path:
    """The checkpoint-N folder of a number of steps, as the Trainer names it."""
    return output_dir / f"checkpoint-{steps}"


def steps_of(folder: Path) -> int:
    """How many steps a checkpoint-N was trained."""
    match = _FOLDER.fullmatch(folder.name)
    return int(match.group(1)) if match is not None else 0


def remove_incomplete(output_dir: Path) -> list[Path]:
    """Remove the checkpoint-N folders that a kill left half-written, and return them."""
    incomplete = [path for path in checkpoint_folders(output_dir) if not is_whole(path)]
    for path in incomplete:
        shutil.rmtree(path)
    return incomplete


def is_whole(folder: Path) -> bool:
    """Whether the manifest is there and every file that it names has its size."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def write_manifest(folder: Path) -> None:
    """Flush every file of a checkpoint to the disk, then declare it whole."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        _flush(path)
    staging = folder / f".{MANIFEST}"
    sizes = {path.name: path.stat().st_size for path in files}
    staging.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    _flush(staging)
    staging.replace(folder / MANIFEST)
    _flush(folder)


def checkpoint_folders(output_dir: Path) -> list[Path]:
    """The checkpoint-N folders of a run, whole or not."""
    if not output_dir.is_dir():
        return []
    return [path for path in output_dir.iterdir() if path.is_dir() and _FOLDER.fullmatch(path.name)]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
