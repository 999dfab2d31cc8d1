"""Label folders on disk -> a Dataset: DIR/{train,validation,test}/{label}/picture.

The format of EasyMaker's image classification. Nothing is opened here: a file that is not named
like a picture becomes a Problem beside the unreadable ones that the scan finds, and a layout
that cannot mean what it says is refused with every offending folder at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.labels import check_labels
from contract.model_config import LABELS_FILE
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset, Problem, Sample
from trainer.errors import DatasetError

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
LAYOUT: Final = "expected DIR/{train,validation,test}/LABEL/picture.png"

_IGNORED = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class _Entries:
    """What a folder directly holds, by name, without hidden and system files."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]


def read_image_folder(data: Path) -> Dataset:
    """Read a dataset to train on.

    Raises:
        DatasetError: No train or validation split, an empty or nested label folder, fewer than
            two labels, or a label that train lacks; one line each.
        ConfigError: A label that a labels.txt cannot hold.
    """
    present = _present_splits(data)
    missing = [split for split in (TRAIN, VALIDATION) if split not in present]
    if missing:
        raise DatasetError(*(f"{data / split}: folder is missing; {LAYOUT}" for split in missing))
    labels = tuple(folder.name for folder in _entries(data / TRAIN).folders)
    check_labels(data / TRAIN / LABELS_FILE, labels or ("none",))
    faults = [*_label_faults(data, labels), *_split_faults(data, present, labels)]
    if faults:
        raise DatasetError(*faults)
    return _dataset(data, present, labels)


def read_image_split(data: Path, split: str, labels: Sequence[str]) -> Dataset:
    """Read one split to evaluate a model of known `labels` on.

    Raises:
        DatasetError: The split is missing, empty or nested, or has a label that the model lacks.
    """
    if split not in _present_splits(data):
        raise DatasetError(f"{data / split}: folder is missing; {LAYOUT}")
    if faults := list(_split_faults(data, [split], labels, known_by="the model")):
        raise DatasetError(*faults)
    dataset = _dataset(data, [split], labels)
    if not dataset.samples:
        raise DatasetError(f"{data / split}: holds no picture; {LAYOUT}")
    return dataset


def _present_splits(data: Path) -> list[str]:
    if not data.is_dir():
        raise DatasetError(f"{data}: not a folder; {LAYOUT}")
    return [split for split in (TRAIN, VALIDATION, "test") if (data / split).is_dir()]


def _dataset(data: Path, splits: Sequence[str], labels: Sequence[str]) -> Dataset:
    samples = {split: tuple(_samples(data / split, labels)) for split in splits}
    return Dataset(
        root=data,
        labels=tuple(labels),
        splits=samples,
        problems=tuple(problem for split in splits for problem in _strangers(data / split)),
        warnings=tuple(
            f"{data / split / label}: no picture of this label; its metrics say nothing"
            for split in splits
            if split != TRAIN
            for index, label in enumerate(labels)
            if all(sample.target != index for sample in samples[split])
        ),
    )


def _label_faults(data: Path, labels: Sequence[str]) -> Iterator[str]:
    if len(labels) < 2:
        yield (
            f"{data / TRAIN}: {len(labels)} label folders; expected at least 2, one for each label"
        )
    for label in labels:
        folder = _entries(data / TRAIN / label)
        if not folder.files and not folder.folders:
            yield f"{data / TRAIN / label}: the label folder is empty; add pictures or remove it"


def _split_faults(
    data: Path, splits: Sequence[str], labels: Sequence[str], known_by: str = "train"
) -> Iterator[str]:
    for split in splits:
        for folder in _entries(data / split).folders:
            if folder.name not in labels:
                yield (
                    f"{folder}: label {folder.name!r} is unknown to {known_by}, "
                    f"whose labels are {', '.join(labels)}"
                )
            for nested in _entries(folder).folders:
                yield f"{nested}: folder inside a label folder; {LAYOUT}"


def _samples(split: Path, labels: Sequence[str]) -> Iterator[Sample]:
    for index, label in enumerate(labels):
        if (split / label).is_dir():
            for file in _entries(split / label).files:
                if file.suffix.lower() in SUFFIXES:
                    yield Sample(file, index)


def _strangers(split: Path) -> Iterator[Problem]:
    entries = _entries(split)
    for file in entries.files:
        yield Problem(file, "outside of a label folder; expected SPLIT/LABEL/picture.png")
    for folder in entries.folders:
        for file in _entries(folder).files:
            if file.suffix.lower() not in SUFFIXES:
                kind = file.suffix or "no suffix"
                yield Problem(file, f"not a picture file ({kind}); expected {', '.join(SUFFIXES)}")


def _entries(folder: Path) -> _Entries:
    shown = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _IGNORED
    )
    return _Entries(
        folders=tuple(path for path in shown if path.is_dir()),
        files=tuple(path for path in shown if not path.is_dir()),
    )
