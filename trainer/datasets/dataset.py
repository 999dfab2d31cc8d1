"""A dataset as every reader returns it: samples by split, and the files that are none."""

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"

Target: TypeAlias = object  # a class index, a mask's path, boxes: the task alone looks inside


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture file and what it shows.

    Attributes:
        path: The picture.
        target: What it shows, of the task's own type, whose repr() says all of it but where files
            lie: it is hashed.
        companions: Further files that belong to it, such as a mask; hashed with it.
    """

    path: Path
    target: Target
    companions: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The picture and its companions."""
        return (self.path, *self.companions)


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset on disk.

    Attributes:
        root: The dataset's folder.
        labels: The class names in index order.
        splits: Samples of each split, in a stable order.
        problems: Files that are no pictures, found without opening any.
        warnings: What is odd but usable, one line each.
    """

    root: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def samples(self) -> list[Sample]:
        """The samples of all splits."""
        return [sample for samples in self.splits.values() for sample in samples]

    @property
    def files(self) -> list[Path]:
        """Every file of all samples, once each, in a stable order."""
        return list(dict.fromkeys(file for sample in self.samples for file in sample.files))

    def without(self, paths: Set[Path]) -> "Dataset":
        """A copy that lacks the samples to which any of `paths` belongs."""
        kept = {
            split: tuple(sample for sample in samples if paths.isdisjoint(sample.files))
            for split, samples in self.splits.items()
        }
        return replace(self, splits=kept)


def why_no_file(path: Path) -> str:
    """Why a path that a file of the dataset names cannot be opened as a file, or nothing."""
    try:
        return "" if path.is_file() else "file is missing"
    except OSError as err:
        return f"cannot be opened: {err.strerror}"


def is_inside(data: Path, path: Path) -> bool:
    """Whether a path that a file of the dataset names stays in it; links are the owner's own."""
    # resolve() would follow links.
    whole, root = os.path.abspath(path), os.path.abspath(data)  # noqa: PTH100
    return Path(whole).is_relative_to(root)
