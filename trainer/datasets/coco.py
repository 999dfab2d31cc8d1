"""COCO annotations on disk -> a Dataset: DIR/{train,validation,test}/_annotations.coco.json.

The format of EasyMaker's object detection, and of Roboflow's exports. COCO's own rules hold: a
bbox is x, y, width, height in pixels; ids may have gaps, or be text; `iscrowd` marks a region that
is neither trained on nor counted against a model; a missing `area` is the box's. The labels are
the categories of train/ in the order of their ids, as the file names them: one without any
annotation ("none", id 0, in Roboflow's exports) stays a label, which nothing ever trains.

Of the pictures only the headers are read. A file that is missing, or of another size than the
JSON says, becomes a Problem beside those that the scan finds; JSON that cannot mean what it says
is refused, every fault of it and every such file at once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import ConfigError
from contract.labels import check_labels
from trainer.datasets.coco_file import Annotation, CocoFile, Key, read_coco_file
from trainer.datasets.coco_objects import Objects, instance_of, objects_of, visible_part
from trainer.datasets.coco_split import PictureFiles, Split, check_files
from trainer.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset, Sample
from trainer.errors import DatasetError, listed

ANNOTATIONS_FILE: Final = "_annotations.coco.json"
LAYOUT: Final = f"expected DIR/{{train,validation,test}}/{ANNOTATIONS_FILE}"

RESERVED: Final = "score"  # beside the box in {label: box, "score": 0.9}


@dataclass(frozen=True, slots=True)
class _Samples:
    """A split's samples, and counts of boxes clipped and dropped."""

    samples: tuple[Sample, ...]
    clipped: int
    dropped: int


def read_coco(data: Path) -> Dataset:
    """Read a dataset to train on.

    Raises:
        DatasetError: The JSON of train or validation is missing, or a split's is malformed, names
            an image, a category or a place that does not exist, or a category that a labels.txt
            cannot hold; one line each.
    """
    paths = {split: find_annotations(data, split) for split in (TRAIN, VALIDATION, TEST)}
    splits = {
        name: Split(data, path, read_coco_file(path))
        for name, path in paths.items()
        if path is not None
    }
    faults = [_missing(data, split) for split in (TRAIN, VALIDATION) if split not in splits]
    labels = _labels_of(splits[TRAIN].content) if TRAIN in splits else None
    if labels is not None:
        faults += _label_faults(splits[TRAIN].path, labels)
    return _dataset(data, splits, labels, "train", faults)


def read_coco_split(data: Path, split: str, labels: Sequence[str]) -> Dataset:
    """Read one split to evaluate a model of known `labels` on.

    Raises:
        DatasetError: As `read_coco`, or a category that the model lacks.
    """
    path = find_annotations(data, split)
    if path is None:
        raise DatasetError(_missing(data, split))
    splits = {split: Split(data, path, read_coco_file(path))}
    return _dataset(data, splits, tuple(labels), "the model", ())


def find_annotations(data: Path, split: str) -> Path | None:
    """The JSON file of a split, in its folder or in a folder of the same name inside."""
    candidates = (folder / ANNOTATIONS_FILE for folder in (data / split, data / split / split))
    return next((path for path in candidates if path.is_file()), None)


def _missing(data: Path, split: str) -> str:
    return f"{data / split / ANNOTATIONS_FILE}: file is missing; {LAYOUT}"


def _labels_of(content: CocoFile) -> tuple[str, ...] | None:
    """The categories' names in the order of their ids; None where one is malformed."""
    if content.category_ids != frozenset(entry.id for entry in content.categories):
        return None
    ordered = sorted(content.categories, key=lambda entry: _place(entry.id))
    return tuple(entry.name for entry in ordered)


def _place(key: Key) -> tuple[bool, int, str]:
    """Where an id stands among others: numbers by value, also those in text, before other text."""
    number = isinstance(key, int) or (key.isascii() and key.isdecimal() and len(key) < 20)
    return not number, int(key) if number else 0, str(key)


def _label_faults(path: Path, labels: Sequence[str]) -> list[str]:
    """A line where a labels.txt cannot hold a label; repeated ones are told with the rest."""
    try:
        check_labels(path, tuple(dict.fromkeys(labels)))
    except ConfigError as err:
        return [str(err)]
    return []


def _dataset(
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
                [f"{split.path}: {fault}" for fault in _faults(split, labels, known_by)]
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
            for warning in _warnings(splits[name], one, labels if name == TRAIN else ())
        ),
    )


def _faults(split: Split, labels: Sequence[str] | None, known_by: str) -> Iterator[str]:
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
            yield f"{kind} {value!r} occurs {count} times"


def _samples(split: Split, files: PictureFiles, labels: Sequence[str]) -> _Samples:
    label_of = {entry.id: labels.index(entry.name) for entry in split.content.categories}
    entries: dict[Key, list[Annotation]] = {entry.id: [] for entry in split.content.images}
    for entry in split.content.annotations.values():
        entries[entry.image_id].append(entry)
    samples = []
    clipped = dropped = 0
    for image, (width, height) in files.sizes:
        instances = []
        for entry in entries[image.id]:
            box, cut = visible_part(entry, width, height)
            clipped += cut and box is not None
            dropped += box is None
            if box is not None:
                instances.append(instance_of(entry, box, label_of[entry.category_id]))
        samples.append(Sample(split.file_of(image), Objects(width, height, tuple(instances))))
    return _Samples(tuple(samples), clipped, dropped)


def _warnings(split: Split, found: _Samples, labels: Sequence[str]) -> Iterator[str]:
    """What is odd about a split but usable; `labels` are those that it should show."""
    if found.dropped:
        yield f"{split.path}: {found.dropped} boxes without any area in their picture are dropped"
    if found.clipped:
        yield f"{split.path}: {found.clipped} boxes reach out of their picture and are clipped"
    shown = {
        instance.label
        for sample in found.samples
        for instance in objects_of(sample).instances
        if not instance.crowd
    }
    if unshown := [label for index, label in enumerate(labels) if index not in shown]:
        yield (
            f"{split.path}: nothing is annotated as {', '.join(unshown)}; "
            "such a label is kept, but never learned"
        )
