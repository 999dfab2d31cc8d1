"""Pictures and masks on disk -> a Dataset: DIR/{train,validation,test}/{split}.json.

The format of EasyMaker's semantic segmentation. A split's JSON file lists {"image", "seg_map"}
relative to the split's folder; resources/id2lable.json (EasyMaker's spelling, or id2label.json)
names the ids. Every mask is read once, beside its picture's header: a file that is missing, and a
mask that does not fit its picture or its labels, becomes a Problem beside those that the scan
finds; lists that cannot mean what they say are refused, every fault of them at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.labels import check_labels
from contract.model_config import Json
from trainer.datasets.dataset import (
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    Problem,
    Sample,
    is_inside,
    why_no_file,
)
from trainer.datasets.json_file import read_json
from trainer.datasets.mask_files import bad_masks
from trainer.errors import DatasetError
from trainer.masks import UNNAMED, MaskFile, ignored_id

LIST_FILES: Final = {
    TRAIN: ("train.json",),
    VALIDATION: ("validation.json",),
    TEST: ("test.json", "train.json"),  # EasyMaker's guide names both
}
LABEL_FILES: Final = ("id2lable.json", "id2label.json")
LABEL_FOLDERS: Final = ("resources", "resources/resources", ".", "train/resources")
LAYOUT: Final = "expected DIR/{train,validation,test}/{train,validation,test}.json"
LARGEST_ID: Final = 4095  # a class costs S x S numbers for each picture in memory


@dataclass(frozen=True, slots=True)
class _List:
    """What a split's JSON file says: usable samples, missing files, and faults of the file."""

    samples: tuple[Sample, ...] = ()
    problems: tuple[Problem, ...] = ()
    faults: tuple[str, ...] = ()


def read_segmentation_folder(data: Path) -> Dataset:
    """Read a dataset to train on.

    Raises:
        DatasetError: A train or validation list or the label file is missing or malformed, or a
            path leads out of the dataset's folder; one line each.
        ConfigError: A label that a labels.txt cannot hold.
    """
    if not data.is_dir():
        raise DatasetError(f"{data}: not a folder; {LAYOUT}")
    labels, faults = _labels_or_faults(data)
    files = {split: find_list(data, split) for split in LIST_FILES}
    lists = {
        split: _read_list(data, file, ignored_id(labels))
        for split, file in files.items()
        if file is not None
    }
    faults += [
        f"{data / split / LIST_FILES[split][0]}: file is missing; {LAYOUT}"
        for split in (TRAIN, VALIDATION)
        if split not in lists
    ]
    faults += [fault for one in lists.values() for fault in one.faults]
    if faults:
        raise DatasetError(*faults)
    splits = {split: one.samples for split, one in lists.items()}
    missing = [problem for one in lists.values() for problem in one.problems]
    return Dataset(
        root=data,
        labels=labels,
        splits=splits,
        problems=(*missing, *bad_masks(splits, labels)),
        warnings=tuple(
            f"id {index} has no label; the model answers as if there were one, {name!r}"
            for index, name in enumerate(labels)
            if name == UNNAMED.format(index)
        ),
    )


def read_segmentation_split(data: Path, split: str, labels: Sequence[str]) -> Dataset:
    """Read one split to evaluate a model of known `labels` on.

    Raises:
        DatasetError: The list is missing or malformed, or the dataset names the ids otherwise.
    """
    file = find_list(data, split)
    if file is None:
        raise DatasetError(f"{data / split / LIST_FILES[split][0]}: file is missing; {LAYOUT}")
    found = _read_list(data, file, ignored_id(labels))
    faults = [*found.faults, *_other_labels(data, labels)]
    if faults:
        raise DatasetError(*faults)
    splits = {split: found.samples}
    problems = (*found.problems, *bad_masks(splits, labels))
    return Dataset(data, tuple(labels), splits, problems)


def find_list(data: Path, split: str) -> Path | None:
    """The JSON file of a split, in its folder or in a folder of the same name inside."""
    candidates = (
        folder / name
        for folder in (data / split, data / split / split)
        for name in LIST_FILES[split]
    )
    return next((path for path in candidates if path.is_file()), None)


def find_label_file(data: Path) -> Path | None:
    """The JSON file that names the ids; EasyMaker's spelling first."""
    candidates = (data / folder / name for folder in LABEL_FOLDERS for name in LABEL_FILES)
    return next((path for path in candidates if path.is_file()), None)


def read_label_file(data: Path) -> tuple[str, ...]:
    """The labels in the order of their ids; an id below the largest without one is `unnamed-ID`.

    Raises:
        DatasetError: The file is missing, or no JSON object of ids and labels; one line a fault.
        ConfigError: A label that a labels.txt cannot hold.
    """
    path = find_label_file(data)
    if path is None:
        where = data / LABEL_FOLDERS[0]
        raise DatasetError(f"{where / LABEL_FILES[0]}: file is missing, and {LABEL_FILES[1]} too")
    pairs = _load_pairs(path)
    if faults := list(_label_faults(path, pairs)):
        raise DatasetError(*faults)
    named = {int(key): str(label) for key, label in pairs}
    labels = tuple(named.get(index, UNNAMED.format(index)) for index in range(max(named) + 1))
    check_labels(path, labels)
    return labels


def _labels_or_faults(data: Path) -> tuple[tuple[str, ...], list[str]]:
    try:
        return read_label_file(data), []
    except DatasetError as err:
        return (), list(err.problems)


def _load_pairs(path: Path) -> list[tuple[str, Json]]:
    """The members of a JSON object, repeated ones too."""
    members: list[list[tuple[str, Json]]] = []
    # The hook leaves None in the place of an object; the outermost is collected last.
    if read_json(path, members.append) is not None or not members:
        raise DatasetError(f'{path}: holds no JSON object such as {{"0": "background"}}')
    return members[-1]


def _label_faults(path: Path, pairs: Sequence[tuple[str, Json]]) -> Iterator[str]:
    if len(pairs) < 2:
        yield f"{path}: {len(pairs)} labels; expected at least 2"
    seen: set[int] = set()
    for key, label in pairs:
        index = _id_of(key)
        if index is None:
            yield f"{path}: id {key!r}; expected a whole number from 0 to {LARGEST_ID}"
        elif index in seen:
            yield f"{path}: id {key} occurs twice"
        elif not isinstance(label, str):
            yield f"{path}: the label of id {key} is {label!r}; expected text"
        if index is not None:
            seen.add(index)


def _id_of(key: str) -> int | None:
    """The id that a member's name says, or None where it is none."""
    whole = key.isascii() and key.isdigit() and len(key) <= len(str(LARGEST_ID))
    return int(key) if whole and int(key) <= LARGEST_ID else None


def _other_labels(data: Path, labels: Sequence[str]) -> Iterator[str]:
    """A line where the dataset names its ids, and otherwise than the model does."""
    path = find_label_file(data)
    if path is not None and (found := read_label_file(data)) != tuple(labels):
        yield (
            f"{path}: names the ids {', '.join(found)}; the model's labels are {', '.join(labels)}"
        )


def _read_list(data: Path, path: Path, ignored: int | None) -> _List:
    try:
        entries = read_json(path)
    except DatasetError as err:
        return _List(faults=err.faults)
    if not isinstance(entries, list):
        return _List(faults=(f'{path}: holds no list of {{"image", "seg_map"}}',))
    if not entries:
        return _List(faults=(f"{path}: the list is empty",))
    samples, problems, faults = [], [], []
    for index, entry in enumerate(entries):
        where = f"entry {index} of {path.name}"
        match entry:
            case {"image": str(image), "seg_map": str(mask)}:
                wrong = [name for name in (image, mask) if not is_inside(data, path.parent / name)]
                faults += [
                    f"{path}: entry {index}: {name!r} leads out of the dataset's folder"
                    for name in wrong
                ]
                files = path.parent / image, path.parent / mask
                reasons = {} if wrong else {one: why_no_file(one) for one in files}
                missing = {one: reason for one, reason in reasons.items() if reason}
                problems += [
                    Problem(one, f"{why}; {where} names it") for one, why in missing.items()
                ]
                if not wrong and not missing:
                    samples.append(Sample(files[0], MaskFile(files[1], ignored), files[1:]))
            case _:
                faults.append(f'{path}: entry {index} is no {{"image": path, "seg_map": path}}')
    return _List(tuple(samples), tuple(problems), tuple(faults))
