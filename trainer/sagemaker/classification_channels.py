"""Channels of image classification -> a Dataset: records, listed pictures or augmented manifests.

    train, validation                               RecordIO files of image records, or a manifest
    train, validation, train_lst, validation_lst    pictures, and a .lst file for each split

A target is the class index; with `multi_label` the sorted indices of all classes of a picture. The
classes are named by their indices, as SageMaker's answers tell them by place alone; but where a
manifest's metadata name every class, by these names.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from trainer.datasets.annotated_picture import AnnotatedPicture, missing_files
from trainer.datasets.class_labels import BadLabel, ClassLabels, LabelFormat
from trainer.datasets.class_names import class_names
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Sample
from trainer.datasets.image_list import read_image_list
from trainer.datasets.image_records import read_image_records
from trainer.errors import BadChannel, DatasetError, listed
from trainer.sagemaker.channel import Channel, common_folder, needed
from trainer.sagemaker.contents import kind_of, read_manifest, refuse_other_manifest, refuse_pipe

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
        BadChannel: A channel is missing, or not what is read.
        DatasetError: A channel holds other files, or labels are none or have two
            names; a line each.
    """
    splits = needed(channels, TRAIN, VALIDATION)
    entries, samples = {}, {}
    faults: list[str] = []
    for channel in splits:
        means = ClassLabels(num_classes, multi_label, _label_format(channel))
        entries[channel.name] = _entries(channel, channels, means, workspace)
        samples[channel.name] = _samples(entries[channel.name], means, faults)
    if faults:
        raise DatasetError(*listed(faults))
    problems = tuple(problem for found in entries.values() for problem in missing_files(found))
    labels = class_names(chain.from_iterable(entries.values()), num_classes)
    warnings = _warnings(samples, labels, multi_label=multi_label)
    dataset = Dataset(common_folder(splits), labels, samples, problems, warnings, declared=True)
    return dataset.without({problem.path for problem in problems})


def _entries(
    channel: Channel, channels: Mapping[str, Channel], means: ClassLabels, workspace: Path
) -> Sequence[AnnotatedPicture]:
    """What a split's channel holds."""
    most_labels = means.num_classes if means.multi_label else 1
    list_name = LIST_CHANNEL.format(channel.name)
    kind = kind_of(channel, has_list=list_name in channels)
    if kind == "manifest":
        return read_manifest(channel, workspace, by_reference=False)
    if kind == "records":
        paths = [channel.spooled(workspace)] if channel.pipe else channel.record_files()
        return list(read_image_records(paths, most_labels))
    if list_name not in channels:
        refuse_other_manifest(channel, list_name)
    (lists,) = needed(channels, list_name)
    refuse_pipe(lists)
    return read_image_list(lists.only_file(".lst"), channel.folder)


def _label_format(channel: Channel) -> LabelFormat:
    """How a manifest writes several classes of a picture.

    Raises:
        BadChannel: The content type names another way.
    """
    match channel.parameters.get("label-format", "multi-hot"):
        case "multi-hot":
            return "multi-hot"
        case "class-id":
            return "class-id"
        case other:
            raise BadChannel(
                f"channel {channel.name}: got label-format={other} in the content type, expected "
                "multi-hot or class-id"
            )


def _warnings(
    samples: Mapping[str, Sequence[Sample]], labels: Sequence[str], *, multi_label: bool
) -> tuple[str, ...]:
    """The classes that no picture of a split shows; of any number a picture, those in every one."""
    lines = []
    for split, found in samples.items():
        shown: Counter[object] = Counter()
        for sample in found:
            shown.update(sample.target if isinstance(sample.target, tuple) else (sample.target,))
        if hidden := [name for index, name in enumerate(labels) if not shown[index]]:
            some = ", ".join(listed(hidden))
            lines.append(f"channel {split}: no picture of {len(hidden)} classes: {some}")
        everywhere = [name for index, name in enumerate(labels) if shown[index] == len(found)]
        if multi_label and everywhere:
            some = ", ".join(listed(everywhere))
            lines.append(f"channel {split}: no picture without {len(everywhere)} classes: {some}")
    return tuple(lines)


def _samples(
    entries: Sequence[AnnotatedPicture], means: ClassLabels, faults: list[str]
) -> tuple[Sample, ...]:
    """The entries as samples; what is wrong with their labels goes to `faults`."""
    samples = []
    for entry in entries:
        try:
            samples.append(Sample(entry.picture, means.of(entry.annotation)))
        except BadLabel as err:
            faults.append(f"{entry.where}: {err}")
    return tuple(samples)
