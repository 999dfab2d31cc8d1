"""COCO files of all splits -> a Dataset, if nothing in them or in their pictures speaks against it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import ConfigError
from contract.labels import check_labels
from trainer.datasets.coco_file import Annotation, Key
from trainer.datasets.coco_objects import Objects, instance_of, objects_of, visible_part
from trainer.datasets.coco_split import PictureFiles, Split, check_files
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Sample
from trainer.errors import DatasetError, listed

RESERVED: Final = "score"  # beside the box in {label: box, "score": 0.9}


@dataclass(frozen=True, slots=True)
class _Samples:
    """A split's samples, and the places in the file of the boxes clipped and dropped."""

    samples: tuple[Sample, ...]
    clipped: tuple[int, ...]
    dropped: tuple[int, ...]


def build_dataset(
    data: Path,
    splits: Mapping[str, Split],
    labels: tuple[str, ...] | None,
    known_by: str,
    faults: Sequence[str],
) -> Dataset:
    """The dataset, if neither `faults` nor any of the files' own speak against it."""
    every = [
        *faults,
        *(
            line
            for split in splits.values()
            for line in listed(
                [f"{split.path}: {fault}" for fault in faults_of(split, labels, known_by)]
            )
        ),
    ]
    files = {name: check_files(split) for name, split in splits.items()}
    problems = tuple(problem for one in files.values() for problem in one.problems)
    if every or labels is None:
        raise DatasetError(*every, *listed([str(problem) for problem in problems]))
    found = {name: _samples(split, files[name], labels) for name, split in splits.items()}
    return Dataset(
        root=data,
        labels=labels,
        splits={name: one.samples for name, one in found.items()},
        problems=problems,
        warnings=tuple(
            warning
            for name, one in found.items()
            for warning in (
                *unlike_boxes(splits[name].path, _places(one.dropped), _places(one.clipped)),
                *(unshown(splits[name].path, one.samples, labels) if name == TRAIN else ()),
                *(unmeasured(splits[name].path, one.samples) if name == VALIDATION else ()),
            )
        ),
    )


def unmeasured(where: object, samples: Sequence[Sample]) -> list[str]:
    """A line where the validation shows nothing that a detector's main metric could be of."""
    if any(not one.crowd for sample in samples for one in objects_of(sample).instances):
        return []
    return [
        f"{where}: no picture of the validation shows an annotated object, so that no epoch has a "
        "mAP: no epoch is the best, and early stopping does not end the training"
    ]


def place_of(key: Key) -> tuple[bool, int, str]:
    """Where an id stands among others: numbers by value, also those in text, before other text."""
    number = isinstance(key, int) or (key.isascii() and key.isdecimal() and len(key) < 20)
    return not number, int(key) if number else 0, str(key)


def label_faults(path: Path, labels: Sequence[str]) -> list[str]:
    """A line where a labels.txt cannot hold a label; repeated ones are told with the rest."""
    try:
        check_labels(path, tuple(dict.fromkeys(labels)))
    except ConfigError as err:
        return [str(err)]
    return []


def faults_of(split: Split, labels: Sequence[str] | None, known_by: str) -> Iterator[str]:
    """Everything in a file that cannot be meant; `labels` are None where they cannot be told."""
    content = split.content
    yield from content.faults
    yield from _repeated("image id", Counter(entry.id for entry in content.images))
    yield from _repeated("category id", Counter(entry.id for entry in content.categories))
    yield from _repeated("category name", Counter(entry.name for entry in content.categories))
    yield from _repeated("file_name", Counter(entry.file_name for entry in content.images))
    for category in content.categories:
        if labels is not None and category.name not in labels:
            yield (
                f"category {category.name!r} is unknown to {known_by}, "
                f"whose labels are {', '.join(labels)}"
            )
        if category.name == RESERVED:
            yield f"category {RESERVED!r}: an answer has a key of that name; rename it"
    for image in content.images:
        if not split.holds(image):
            yield f"image {image.id!r}: {image.file_name!r} leads out of the dataset's folder"
    for index, entry in content.annotations.items():
        if content.image_ids is not None and entry.image_id not in content.image_ids:
            yield f"annotations[{index}]: there is no image of the image_id {entry.image_id!r}"
        if content.category_ids is not None and entry.category_id not in content.category_ids:
            yield (
                f"annotations[{index}]: there is no category of the category_id {entry.category_id!r}"
            )


def _repeated(kind: str, counts: Mapping[Key, int]) -> Iterator[str]:
    for value, count in counts.items():
        if count > 1:
            yield f"{kind} {value!r} occurs {count} times, expected once"


def _samples(split: Split, files: PictureFiles, labels: Sequence[str]) -> _Samples:
    label_of = {entry.id: labels.index(entry.name) for entry in split.content.categories}
    entries: dict[Key, list[tuple[int, Annotation]]] = {
        entry.id: [] for entry in split.content.images
    }
    for place, entry in split.content.annotations.items():
        entries[entry.image_id].append((place, entry))
    samples = []
    clipped: list[int] = []
    dropped: list[int] = []
    for image, (width, height) in files.sizes:
        instances = []
        for place, entry in entries[image.id]:
            box, cut = visible_part(entry, width, height)
            if box is None:
                dropped.append(place)
                continue
            if cut:
                clipped.append(place)
            instances.append(instance_of(entry, box, label_of[entry.category_id]))
        samples.append(Sample(split.file_of(image), Objects(width, height, tuple(instances))))
    return _Samples(tuple(samples), tuple(sorted(clipped)), tuple(sorted(dropped)))


def unlike_boxes(where: object, dropped: Sequence[str], clipped: Sequence[str]) -> Iterator[str]:
    """Lines about boxes, by their places in a file, that are not used as they are."""
    if dropped:
        yield (
            f"{where}: {len(dropped)} boxes without any area in their picture are dropped: "
            f"{', '.join(listed(dropped))}"
        )
    if clipped:
        yield (
            f"{where}: {len(clipped)} boxes reach out of their picture and are clipped: "
            f"{', '.join(listed(clipped))}"
        )


def unshown(where: object, samples: Sequence[Sample], labels: Sequence[str]) -> Iterator[str]:
    """A line where samples show none of some labels."""
    shown = {
        instance.label
        for sample in samples
        for instance in objects_of(sample).instances
        if not instance.crowd
    }
    if missing := [label for index, label in enumerate(labels) if index not in shown]:
        yield (
            f"{where}: nothing is annotated as {', '.join(missing)}; "
            "such a label is kept, but never learned"
        )


def _places(places: Sequence[int]) -> list[str]:
    return [f"annotations[{place}]" for place in places]
