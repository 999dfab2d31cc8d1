"""Channels of object detection -> a Dataset: images/ with annotations.json, or augmented manifests.

    training (or train)     the pictures and their boxes
    validation              likewise; without it, a fixed share of the training is held out

A label is a category_id as text; of a manifest, the class's name where its metadata name every class,
else its index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from trainer.datasets.annotated_picture import missing_files
from trainer.datasets.box_folder import read_box_folders
from trainer.datasets.class_names import class_names
from trainer.datasets.coco_dataset import RESERVED, unlike_boxes, unmeasured, unshown
from trainer.datasets.coco_objects import objects_of
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Sample
from trainer.datasets.held_out import held_out
from trainer.datasets.manifest_boxes import read_boxes
from trainer.errors import BadChannel, DatasetError
from trainer.sagemaker.channel import Channel, common_folder, needed
from trainer.sagemaker.contents import kind_of, read_manifest, refuse_pipe

TRAINING: Final = "training"
VALIDATION_SHARE: Final = 0.2
"""Of the training's pictures, where there is no validation channel."""


def read_detection(
    channels: Mapping[str, Channel], workspace: Path, validation_share: float = VALIDATION_SHARE
) -> Dataset:
    """Read the training channel, and the validation channel if there is one.

    Args:
        channels: The job's channels by name.
        workspace: A folder of this training alone, for what comes through pipes or is fetched.
        validation_share: How much of the training is held out where there is no validation.

    Raises:
        BadChannel: A channel is missing or there twice, or not what is read.
        DatasetError: A channel holds other files; a line each.
        BucketError: An object that a manifest names cannot be fetched.
    """
    if TRAIN in channels and TRAINING in channels:
        raise BadChannel(
            f"channels {TRAINING} and {TRAIN} are both given; expected one of them, with all of the "
            "pictures to train with"
        )
    name = TRAIN if TRAIN in channels else TRAINING
    found = needed(channels, name, *(one for one in (VALIDATION,) if one in channels))
    train, validation = found[0], found[1] if len(found) > 1 else None
    if kind_of(train) == "manifest":
        dataset = _read_manifests(train, validation, workspace, validation_share)
    else:
        for one in found:
            refuse_pipe(one)
        folder = validation.folder if validation is not None else None
        root = common_folder(found)
        dataset = read_box_folders(root, train.folder, folder, validation_share)
    return replace(dataset, folders={TRAIN: train.folder, VALIDATION: found[-1].folder})


def _read_manifests(
    train: Channel, validation: Channel | None, workspace: Path, share: float
) -> Dataset:
    entries = {TRAIN: list(read_manifest(train, workspace, by_reference=False))}
    if validation is not None:
        entries[VALIDATION] = list(read_manifest(validation, workspace, by_reference=False))
    boxes = {split: read_boxes(found) for split, found in entries.items()}
    problems = [problem for found in entries.values() for problem in missing_files(found)]
    problems += [problem for found in boxes.values() for problem in found.problems]
    samples = {split: tuple(found.samples) for split, found in boxes.items()}
    if validation is None:
        samples = _without_held_out(samples[TRAIN], share, train.folder)
    last = max(
        (one.label for found in samples.values() for s in found for one in objects_of(s).instances),
        default=0,
    )
    labels = class_names(chain.from_iterable(entries.values()), last + 1)
    if RESERVED in labels:
        raise DatasetError(f"{train.folder}: class {RESERVED!r}: an answer has a key of that name")
    folders = {TRAIN: train.folder, VALIDATION: (validation or train).folder}
    warnings = [
        warning
        for split, found in boxes.items()
        for warning in unlike_boxes(folders[split], found.dropped, found.clipped)
    ]
    warnings += unshown(folders[TRAIN], samples[TRAIN], labels)
    warnings += unmeasured(folders[VALIDATION], samples[VALIDATION])
    return Dataset(
        common_folder([train] if validation is None else [train, validation]),
        labels,
        samples,
        tuple(problems),
        tuple(warnings),
    ).without({problem.path for problem in problems})


def _without_held_out(
    samples: Sequence[Sample], share: float, where: Path
) -> dict[str, tuple[Sample, ...]]:
    """The training's samples in two."""
    annotated = {place for place, sample in enumerate(samples) if objects_of(sample).instances}
    held = held_out([sample.path.name for sample in samples], share, where, annotated)
    return {
        split: tuple(one for place, one in enumerate(samples) if (place in held) == is_held)
        for split, is_held in ((TRAIN, False), (VALIDATION, True))
    }
