"""A dataset as every reader returns it: samples by split, and the files that are none.

A picture or a mask is `Stored`: most are files, and a Path is one as it stands; those of a container
are records of a larger file. Whatever reads one asks it for its bytes and never where they lie.
"""

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Final, Protocol, TypeAlias, runtime_checkable

from contract.pictures import upright_size

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"

Target: TypeAlias = object  # a class index, a mask's path, boxes: the task alone looks inside


@runtime_checkable
class Stored(Protocol):
    """Where a picture or a mask lies: a file's Path, or a record of a larger file.

    It is hashable and can be pickled; str() says where it lies, for messages.
    """

    @property
    def name(self) -> str:
        """What it is called among others, without the place of the dataset."""

    def read_bytes(self) -> bytes:
        """The picture's or mask's own file, as it was encoded.

        Raises:
            OSError: It cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and what it shows.

    Attributes:
        path: The picture.
        target: What it shows, of the task's own type, whose repr() says all of it but where files
            lie: it is hashed.
        companions: Further files that belong to it, such as a mask; hashed with it.
    """

    path: Stored
    target: Target
    companions: tuple[Stored, ...] = ()

    @property
    def files(self) -> tuple[Stored, ...]:
        """The picture and its companions."""
        return (self.path, *self.companions)


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be used, and why."""

    path: Stored
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
        declared: Whether somebody said what the labels are, so that one may have no picture.
        folders: Where a split lies, if not in the root's folder of its name.
    """

    root: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    declared: bool = False
    folders: Mapping[str, Path] = field(default_factory=dict)

    def folder_of(self, split: str) -> Path:
        """Where a split lies, for messages."""
        return self.folders.get(split, self.root / split)

    @property
    def samples(self) -> list[Sample]:
        """The samples of all splits."""
        return [sample for samples in self.splits.values() for sample in samples]

    @property
    def files(self) -> list[Stored]:
        """Every file of all samples, once each, in a stable order."""
        return list(dict.fromkeys(file for sample in self.samples for file in sample.files))

    def without(self, paths: Set[Stored]) -> "Dataset":
        """A copy that lacks the samples to which any of `paths` belongs."""
        kept = {
            split: tuple(sample for sample in samples if paths.isdisjoint(sample.files))
            for split, samples in self.splits.items()
        }
        return replace(self, splits=kept)


def picture_size(stored: Stored) -> tuple[int, int] | None:
    """Width and height of a picture as it stands upright; of a file, the header alone is read.

    None where the picture has none to read: the scan says what is wrong with it.
    """
    return upright_size(stored if isinstance(stored, Path) else BytesIO(stored.read_bytes()))


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
