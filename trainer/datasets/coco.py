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

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trainer.datasets.coco_dataset import build_dataset, label_faults, place_of
from trainer.datasets.coco_file import CocoFile, read_coco_file
from trainer.datasets.coco_split import Split
from trainer.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset
from trainer.errors import DatasetError

ANNOTATIONS_FILE: Final = "_annotations.coco.json"
LAYOUT: Final = f"expected DIR/{{train,validation,test}}/{ANNOTATIONS_FILE}"


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
        faults += label_faults(splits[TRAIN].path, labels)
    return build_dataset(data, splits, labels, "train", faults)


def read_coco_split(data: Path, split: str, labels: Sequence[str]) -> Dataset:
    """Read one split to evaluate a model of known `labels` on.

    Raises:
        DatasetError: As `read_coco`, or a category that the model lacks.
    """
    path = find_annotations(data, split)
    if path is None:
        raise DatasetError(_missing(data, split))
    splits = {split: Split(data, path, read_coco_file(path))}
    return build_dataset(data, splits, tuple(labels), "the model", ())


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
    ordered = sorted(content.categories, key=lambda entry: place_of(entry.id))
    return tuple(entry.name for entry in ordered)
