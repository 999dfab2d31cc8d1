"""Channels of image classification -> a Dataset: records, listed pictures or augmented manifests.

    train, validation                               RecordIO files of image records, or a manifest
    train, validation, train_lst, validation_lst    pictures, and a .lst file for each split

A target is the class index; with `multi_label` the sorted indices of all classes of a picture. The
classes are named by their indices, as SageMaker's answers tell them by place alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from trainer.datasets.annotated import Annotated, missing_files
from trainer.datasets.class_labels import BadLabel, ClassLabels
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Sample
from trainer.datasets.image_list import read_image_list
from trainer.datasets.image_records import read_image_records
from trainer.errors import DatasetError, listed
from trainer.sagemaker.channel import PICTURES, RECORDIO, Channel, common_folder, needed

LIST_CHANNEL: Final = "{}_lst"
"""The channel of a split's .lst file."""


def read_classification(
    channels: Mapping[str, Channel], num_classes: int, multi_label: bool, workspace: Path
) -> Dataset:
    """Read the train and validation channels.

    Args:
        channels: The job's channels by name.
        num_classes: How many classes there are.
        multi_label: Whether a picture shows any number of them.
        workspace: A folder of this training alone, for what comes through pipes.

    Raises:
        DatasetError: A channel is missing or holds other files, or labels are none; a line each.
    """
    splits = needed(channels, TRAIN, VALIDATION)
    means = ClassLabels(num_classes, multi_label)
    entries = {channel.name: _entries(channel, channels, means, workspace) for channel in splits}
    faults: list[str] = []
    samples = {name: _samples(found, means, faults) for name, found in entries.items()}
    if faults:
        raise DatasetError(*listed(faults))
    problems = tuple(problem for found in entries.values() for problem in missing_files(found))
    dataset = Dataset(common_folder(splits), means.names, samples, problems)
    return dataset.without({problem.path for problem in problems})


def _entries(
    channel: Channel, channels: Mapping[str, Channel], means: ClassLabels, workspace: Path
) -> Sequence[Annotated]:
    """What a split's channel holds."""
    most_labels = means.num_classes if means.multi_label else 1
    lists = channels.get(LIST_CHANNEL.format(channel.name))
    if channel.pipe and channel.media_type in RECORDIO:
        return list(read_image_records([channel.spooled(workspace)], most_labels))
    if channel.media_type in RECORDIO or (not channel.media_type and channel.files(".rec")):
        return list(read_image_records(channel.record_files(), most_labels))
    if channel.media_type in PICTURES or (not channel.media_type and lists is not None):
        if lists is None:
            needed(channels, LIST_CHANNEL.format(channel.name))
        else:
            return read_image_list(lists.only_file(".lst"), channel.folder)
    raise channel.unknown(RECORDIO[0], PICTURES[0])


def _samples(
    entries: Sequence[Annotated], means: ClassLabels, faults: list[str]
) -> tuple[Sample, ...]:
    """The entries as samples; what is wrong with their labels goes to `faults`."""
    samples = []
    for entry in entries:
        try:
            samples.append(Sample(entry.picture, means.of(entry.annotation)))
        except BadLabel as err:
            faults.append(f"{entry.where}: {err}")
    return tuple(samples)
