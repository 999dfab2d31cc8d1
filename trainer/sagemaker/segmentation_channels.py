"""Channels of semantic segmentation -> a Dataset: folders in pairs, or augmented manifests.

    train, train_annotation, validation, validation_annotation, and a label_map where there is one
    train, validation                               manifests, or their pipes

Labels are named by their ids, as masks know nothing else; but where a manifest's metadata name
every class, by these names. The id 255 is ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from trainer.datasets.annotated_picture import AnnotatedPicture, missing_files
from trainer.datasets.annotation_folders import read_pairs
from trainer.datasets.class_names import class_names
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Problem, Sample, Stored
from trainer.datasets.mask_files import bad_masks, values_of
from trainer.datasets.value_map import IDENTITY, ValueMap, describe_values, read_value_map
from trainer.errors import DatasetError, listed
from trainer.masks import IGNORED_ID, MaskFile
from trainer.sagemaker.channel import Channel, common_folder, needed
from trainer.sagemaker.contents import kind_of, read_manifest, refuse_other_manifest, refuse_pipe

ANNOTATION_CHANNEL: Final = "{}_annotation"
LABEL_MAP_CHANNEL: Final = "label_map"
LABEL_MAP_FILE: Final = "{}_label_map.json"


@dataclass(frozen=True, slots=True)
class _Split:
    """What a split's channels hold."""

    entries: Sequence[AnnotatedPicture]
    labels: ValueMap
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The entries as samples."""
        return tuple(self._sample(entry) for entry in self.entries)

    def _sample(self, entry: AnnotatedPicture) -> Sample:
        mask = entry.annotation
        assert isinstance(mask, Stored)  # noqa: S101 - what is read by reference
        return Sample(entry.picture, MaskFile(mask, IGNORED_ID, self.labels.id_of), (mask,))


def read_segmentation(
    channels: Mapping[str, Channel], num_classes: int, workspace: Path
) -> Dataset:
    """Read the train and validation channels, and their annotations.

    Args:
        channels: The job's channels by name.
        num_classes: How many labels there are, from 2 to 254.
        workspace: A folder of this training alone, for what comes through pipes or is fetched.

    Raises:
        BadChannel: A channel is missing, or not what is read.
        DatasetError: A channel holds other files, a label map is none, or a
            class has two names.
        BucketError: An object that a manifest names cannot be fetched.
    """
    pictures = needed(channels, TRAIN, VALIDATION)
    if LABEL_MAP_CHANNEL in channels:
        _check_label_maps(channels[LABEL_MAP_CHANNEL])
    splits = {channel.name: _read(channel, channels, workspace) for channel in pictures}
    problems = [problem for split in splits.values() for problem in split.problems]
    entries = chain.from_iterable(split.entries for split in splits.values())
    labels = class_names(entries, num_classes)
    dataset = Dataset(
        common_folder(pictures),
        labels,
        {name: split.samples for name, split in splits.items()},
        warnings=tuple(warning for name in splits for warning in _warnings(name, splits[name])),
    ).without({problem.path for problem in problems})
    problems += bad_masks(dataset.splits, labels)
    return replace(dataset, problems=tuple(problems))


def _read(channel: Channel, channels: Mapping[str, Channel], workspace: Path) -> _Split:
    masks = ANNOTATION_CHANNEL.format(channel.name)
    labels = _label_map(channel.name, channels.get(LABEL_MAP_CHANNEL))
    if masks not in channels:
        if kind_of(channel) == "manifest":
            entries = read_manifest(channel, workspace, by_reference=True)
            return _Split(entries, labels, tuple(missing_files(entries)))
        refuse_pipe(channel)
        refuse_other_manifest(channel, masks)
    (annotations,) = needed(channels, masks)
    for one in (channel, annotations):
        refuse_pipe(one)
    pairs = read_pairs(channel.folder, annotations.folder)
    warning = f"{annotations.folder}: {len(pairs.lonely)} annotations have no picture"
    return _Split(pairs.entries, labels, tuple(pairs.problems), (warning,) if pairs.lonely else ())


def _check_label_maps(channel: Channel) -> None:
    """Refuse a channel that holds none of the two label maps, or another as JSON: a slip of a name."""
    known = [LABEL_MAP_FILE.format(split) for split in (TRAIN, VALIDATION)]
    names = [str(path.relative_to(channel.folder)) for path in channel.files()]
    maps = {name for name in names if name.endswith(".json")}
    if not maps or not maps <= set(known):
        raise DatasetError(
            f"{channel.folder}: the channel {channel.name} has to hold {' or '.join(known)}, or "
            f"both; got {', '.join(listed(names)) or 'none'}"
        )


def _label_map(split: str, channel: Channel | None) -> ValueMap:
    """The label map of a split, the identity where it has none."""
    if channel is None:
        return IDENTITY
    path = channel.folder / LABEL_MAP_FILE.format(split)
    return read_value_map(path) if path.exists() else IDENTITY


def _warnings(name: str, split: _Split) -> Iterator[str]:
    """What is odd about a split but usable."""
    yield from split.warnings
    if not split.labels.unnamed:
        return
    masks = [sample.target for sample in split.samples if isinstance(sample.target, MaskFile)]
    strange = [values & split.labels.unnamed for values in values_of(masks)]
    if count := sum(map(bool, strange)):
        yield (
            f"{LABEL_MAP_FILE.format(name)}: {count} annotations hold values that the map does not "
            f"name, which are ignored: {describe_values(frozenset().union(*strange))}"
        )
